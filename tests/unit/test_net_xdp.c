/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AF_XDP backend over a veth pair: two receive queues, two workers, both address families,
 * native and generic XDP. Needs root. The namespaces have no name: they and the devices end with
 * the test, however that ends.
 *
 *     namespace "hub"                         namespace "edge"
 *     qbx0 10.77.0.1/24 fd77::1/64  <──────>  qbx1 10.77.0.2/24 fd77::2/64
 *     XDP, workers 0 and 1                    plain UDP sockets
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bpf/xdp_steer.skel.h"
#include "net/join.h"
#include "net/udp.h"
#include "net/xif.h"
#include "net/xsk_queue.h"
#include "net_fixture.h"

enum { WORKERS = 2, QUEUES = 2, CLIENTS = 16, ROUNDS = 12, PORT = 4433 };

static const char *const hub_addrs[] = {"10.77.0.1", "fd77::1"};
static const char *const edge_addrs[] = {"10.77.0.2", "fd77::2"};
static const enum qb_io_mode modes[] = {QB_IO_XDP_COPY, QB_IO_XDP_GENERIC};

static struct fixture fx;
static int ns_hub, ns_edge;
static uint32_t hub_ifindex;
static struct qb_net_if_cfg wanted;	     /* what a test wants otherwise than by default */
static struct qb_counters counters[WORKERS]; /* each written by its worker alone */

/* ---- namespaces ---- */

static int new_ns(void)
{
	int fd;

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void enter(int ns)
{
	ck_assert_int_eq(setns(ns, CLONE_NEWNET), 0);
}

/* Runs `ip` with the words of a line, in a namespace. */
static QB_PRINTF(2, 3) void ip(int ns, const char *fmt, ...)
{
	char line[256], *words[40] = {NULL};
	int cnt = 0, status;
	va_list ap;
	pid_t pid;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (char *w = strtok(line, " "); w; w = strtok(NULL, " "))
		words[cnt++] = w;
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (setns(ns, CLONE_NEWNET) == 0)
			execvp(words[0], words);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "ip failed: %s", words[1]);
}

static void setup(void)
{
	fixture_init(&fx);
	memset(counters, 0, sizeof(counters));
	memset(&wanted, 0, sizeof(wanted));
	ns_hub = new_ns();
	ns_edge = new_ns();
	ip(ns_hub,
	   "ip link add qbx0 numrxqueues 2 numtxqueues 2 type veth peer name qbx1 numrxqueues 2 "
	   "numtxqueues 2 netns %d",
	   getpid());
	ip(ns_hub, "ip addr add 10.77.0.1/24 dev qbx0");
	ip(ns_hub, "ip addr add fd77::1/64 dev qbx0 nodad");
	ip(ns_hub, "ip link set qbx0 up");
	ip(ns_edge, "ip addr add 10.77.0.2/24 dev qbx1");
	ip(ns_edge, "ip addr add fd77::2/64 dev qbx1 nodad");
	ip(ns_edge, "ip link set qbx1 up");
	enter(ns_hub);
	hub_ifindex = if_nametoindex("qbx0");
	ck_assert_uint_ne(hub_ifindex, 0);
}

static void teardown(void)
{
	close(ns_hub);
	close(ns_edge);
	fixture_fini(&fx);
}

/* ---- ports ---- */

static int try_if(enum qb_io_mode mode, struct qb_net_if **out)
{
	struct qb_net_if_cfg cfg = wanted;

	cfg.ifindex = hub_ifindex;
	cfg.mode = mode;
	cfg.worker_cnt = WORKERS;
	strcpy(cfg.ifname, "qbx0");
	return qb_net_if_open(&cfg, out);
}

static struct qb_net_if *open_if(enum qb_io_mode mode)
{
	struct qb_net_if *i;
	int rc = try_if(mode, &i);

	ck_assert_msg(rc == 0, "%s", i ? qb_net_if_reason(i) : "no memory");
	return i;
}

static void open_hub(struct qb_net_if *i, const char *local, struct qb_net *w[WORKERS])
{
	struct qb_net_cfg cfg = {.xif = i,
				 .local = addr_of(local),
				 .is_bound_to_device = true,
				 .link = 5,
				 .worker_cnt = WORKERS,
				 .is_server = true,
				 .depot = &fx.depot};

	cfg.local.port = PORT;
	for (cfg.worker = 0; cfg.worker < WORKERS; cfg.worker++) {
		cfg.counters = &counters[cfg.worker];
		w[cfg.worker] = open_net(&cfg);
	}
}

static void close_hub(struct qb_net_if *i, struct qb_net *w[WORKERS])
{
	for (int k = 0; k < WORKERS; k++)
		qb_net_close(w[k]);
	qb_net_if_close(i);
}

static struct qb_net *open_client(const char *local)
{
	struct qb_net_cfg cfg = {.local = addr_of(local), .worker_cnt = 1, .depot = &fx.depot};
	struct qb_net *n;

	enter(ns_edge);
	n = open_net(&cfg);
	enter(ns_hub);
	return n;
}

static uint64_t hub_count(enum qb_counter id)
{
	return qb_counter_read(&counters[0], id) + qb_counter_read(&counters[1], id);
}

static uint64_t xdp_counter(const struct qb_net_if *i, const char *name)
{
	const char *at;
	uint64_t v;

	for (uint32_t k = 0; (at = qb_net_if_counter(i, k, &v)) != NULL; k++) {
		if (strcmp(at, name) == 0)
			return v;
	}
	ck_abort_msg("no counter %s", name);
	return 0;
}

/* Which queues' sockets have something: the descriptors after that of the UDP socket. */
static void note_queues(const struct qb_net *n, bool seen[QUEUES])
{
	int fds[1 + QUEUES];

	ck_assert_uint_eq(qb_net_fds(n, fds, 1 + QUEUES), 1 + QUEUES);
	for (int q = 0; q < QUEUES; q++) {
		struct pollfd p = {.fd = fds[1 + q], .events = POLLIN};

		if (poll(&p, 1, 0) == 1)
			seen[q] = true;
	}
}

static uint32_t send_from(struct qb_net *client, int fam, uint8_t worker, uint8_t mark)
{
	struct qb_tuple t = {.peer = addr_of(hub_addrs[fam])};
	struct qb_batch tx = {0};

	t.peer.port = PORT;
	t.ecn = 2;
	for (uint32_t k = 0; k < 8; k++)
		qb_batch_add(&tx, make_packet(&fx, &t, k == 7 ? 333 : 1452, worker, mark));
	ck_assert_int_eq(qb_net_send(client, &fx.pool, &tx), 0);
	return 8;
}

static void check_received(const struct qb_batch *rx, struct qb_net *client, int fam,
			   uint8_t worker, uint8_t mark)
{
	struct qb_addr from, hub = addr_of(hub_addrs[fam]);

	hub.port = PORT;
	qb_net_local(client, &from);
	for (uint32_t k = 0; k < rx->cnt; k++) {
		const struct qb_buf *b = rx->buf[k];

		ck_assert_uint_eq(b->len, k == 7 ? 333 : 1452);
		ck_assert_uint_eq(b->data[0], 0x40);
		ck_assert_uint_eq(b->data[2], worker);
		ck_assert_uint_eq(mark_of(b), mark);
		ck_assert_uint_eq(b->tuple.ecn, 2);
		ck_assert_uint_eq(b->tuple.link, 5);
		ck_assert(qb_addr_eq(&b->tuple.peer, &from));
		ck_assert(qb_addr_eq(&b->tuple.local, &hub));
		ck_assert_uint_ge(qb_buf_headroom(&fx.depot, b), 100);
	}
}

/* The hub answers with what it got; the client must see the same bytes from the hub's address. */
static void check_echo(struct qb_net *hub, struct qb_batch *rx, struct qb_net *client, int fam,
		       uint8_t mark)
{
	struct qb_addr from = addr_of(hub_addrs[fam]);
	struct qb_batch back = {0};

	from.port = PORT;
	ck_assert_int_eq(qb_net_send(hub, &fx.pool, rx), 0);
	ck_assert_uint_eq(recv_some(&fx, client, &back, 8), 8);
	for (uint32_t k = 0; k < back.cnt; k++) {
		ck_assert_uint_eq(back.buf[k]->len, k == 7 ? 333 : 1452);
		ck_assert_uint_eq(mark_of(back.buf[k]), mark);
		ck_assert_uint_eq(back.buf[k]->tuple.ecn, 2);
		ck_assert(qb_addr_eq(&back.buf[k]->tuple.peer, &from));
	}
	qb_batch_put(&fx.pool, &back);
}

static uint64_t figure(struct qb_net_if *i, const char *name)
{
	struct qb_figure f[QB_NET_FIGURES_MAX];
	uint64_t sum = 0;

	for (uint32_t q = 0; q < QUEUES; q++) {
		uint32_t cnt = qb_net_if_queue_figures(i, q, f), k = 0;

		while (k < cnt && strcmp(f[k].name, name) != 0)
			k++;
		ck_assert_uint_lt(k, cnt);
		sum += f[k].value;
	}
	return sum;
}

static bool has_kernel(int major, int minor)
{
	struct utsname u;
	int a = 0, b = 0;

	ck_assert_int_eq(uname(&u), 0);
	ck_assert_int_eq(sscanf(u.release, "%d.%d", &a, &b), 2);
	return a > major || (a == major && b >= minor);
}

/* Clients × workers × rounds; all that is sent must come to its worker by AF_XDP, and the answer
 * home. */
static void run_traffic(enum qb_io_mode mode, int fam, bool is_tx_forced, bool is_csum_left)
{
	struct qb_net_if *i = open_if(mode);
	struct qb_net *w[WORKERS], *client[CLIENTS];
	bool seen[QUEUES] = {false};
	uint64_t sent = 0;

	ck_assert_int_eq(qb_net_if_mode(i), mode);
	i->is_tx_forced = is_tx_forced;
	i->has_tx_csum = is_csum_left;
	open_hub(i, hub_addrs[fam], w);
	if (is_csum_left && has_kernel(6, 11))
		ck_assert(i->has_tx_csum);
	ck_assert_int_eq(qb_net_mode(w[0]), mode);
	for (int c = 0; c < CLIENTS; c++) {
		client[c] = open_client(edge_addrs[fam]);
		/* Generic XDP would see the sender's super-packets whole, and leave them to the
		 * socket. */
		((struct qb_udp *)client[c])->has_gso = mode != QB_IO_XDP_GENERIC;
	}
	for (int k = 0; k < ROUNDS * CLIENTS; k++) {
		uint8_t worker = (k / CLIENTS) & 1, mark = (uint8_t)k;
		struct qb_net *c = client[k % CLIENTS];
		struct qb_batch rx = {0}, none = {0};

		sent += send_from(c, fam, worker, mark);
		note_queues(w[worker], seen);
		ck_assert_uint_eq(recv_some(&fx, w[worker], &rx, 8), 8);
		ck_assert_uint_eq(qb_net_recv(w[!worker], &fx.pool, &none), 0);
		check_received(&rx, c, fam, worker, mark);
		check_echo(w[worker], &rx, c, fam, mark);
	}
	ck_assert_uint_eq(xdp_counter(i, "xdp_steered_short"), sent);
	ck_assert_uint_eq(xdp_counter(i, "xdp_pass_too_large"), 0);
	ck_assert_uint_eq(xdp_counter(i, "xdp_pass_no_socket"), 0);
	ck_assert_uint_eq(hub_count(QB_CNT_DROP_HEADER), 0);
	ck_assert_uint_eq(hub_count(QB_CNT_IO_TX_ERRORS), 0);
	ck_assert(seen[0]);
	/* Generic XDP sees queue 0 only, unless the driver records another. */
	if (mode == QB_IO_XDP_COPY)
		ck_assert(seen[1]);
	if (is_tx_forced)
		ck_assert_uint_eq(hub_count(QB_CNT_IO_GSO_SEGMENTS), 0);
	for (int c = 0; c < CLIENTS; c++)
		qb_net_close(client[c]);
	close_hub(i, w);
}

/* Rings and frames of other sizes, and a driver that is not woken: traffic flows all the same, and
 * io shows it. */
START_TEST(other_shapes)
{
	static const struct qb_net_if_cfg shapes[] = {
		{.ring_size = QB_NET_RING_SIZE_MIN},
		{.ring_size = QB_NET_RING_SIZE_MAX},
		{.frame_bytes = QB_FRAME_BYTES_MAX},
		{.is_wakeup_off = true},
	};
	struct qb_net *w[WORKERS];
	struct qb_net_if *i;

	wanted = shapes[_i];
	if (wanted.frame_bytes)
		qb_depot_set_frame_bytes(&fx.depot, wanted.frame_bytes);
	i = open_if(QB_IO_XDP_COPY);
	open_hub(i, hub_addrs[0], w);
	ck_assert_uint_eq(figure(i, "ring_size"),
			  QUEUES * (wanted.ring_size ? wanted.ring_size : QB_NET_RING_SIZE));
	ck_assert_uint_le(figure(i, "fill_level"), figure(i, "ring_size") / 2);
	ck_assert_uint_eq(figure(i, "frame_bytes"), QUEUES * fx.depot.frame_bytes);
	ck_assert_uint_eq(figure(i, "umem_frames"), QUEUES * FIXTURE_UMEM);
	ck_assert_uint_eq(figure(i, "need_wakeup"), wanted.is_wakeup_off ? 0 : QUEUES);
	close_hub(i, w);
	run_traffic(QB_IO_XDP_COPY, _i % 2, true, false);
}
END_TEST

START_TEST(socket_transmit)
{
	run_traffic(modes[_i / 2], _i % 2, false, false);
}
END_TEST

/* With busy polling traffic flows as without, and the sockets are set so. */
START_TEST(busy_poll)
{
	struct qb_net_if_cfg cfg = {.ifindex = hub_ifindex,
				    .mode = QB_IO_XDP_COPY,
				    .worker_cnt = WORKERS,
				    .is_busy_polled = true};
	int fds[QUEUES + 2], prefers = 0;
	struct qb_net *w[WORKERS], *c = open_client(edge_addrs[0]);
	struct qb_batch rx = {0};
	struct qb_net_if *i;
	socklen_t len = sizeof(prefers);

	strcpy(cfg.ifname, "qbx0");
	ck_assert_int_eq(qb_net_if_open(&cfg, &i), 0);
	open_hub(i, hub_addrs[0], w);
	ck_assert_uint_eq(qb_net_fds(w[0], fds, QUEUES + 2), QUEUES + 1);
	ck_assert_int_eq(getsockopt(fds[1], SOL_SOCKET, SO_PREFER_BUSY_POLL, &prefers, &len), 0);
	ck_assert_int_eq(prefers, 1);
	ck_assert_uint_eq(figure(i, "busy_poll_sockets"), WORKERS * QUEUES);
	ck_assert_ptr_nonnull(strstr(qb_net_if_reason(i), "; busy polling"));
	for (uint8_t mark = 0; mark < 20; mark++) {
		send_from(c, 0, 0, mark);
		ck_assert_uint_eq(recv_some(&fx, w[0], &rx, 8), 8);
		check_received(&rx, c, 0, 0, mark);
		check_echo(w[0], &rx, c, 0, mark);
	}
	qb_net_close(c);
	close_hub(i, w);
}
END_TEST

/* The ring's transmit side and the headers that we build: the kernel checks their checksums. */
START_TEST(ring_transmit)
{
	run_traffic(modes[_i / 2], _i % 2, true, false);
}
END_TEST

/* The UDP checksum is left to whoever has the frame last, by metadata: here the kernel, as veth has
 * no such device. */
START_TEST(ring_transmit_csum_left)
{
	run_traffic(QB_IO_XDP_COPY, _i, true, true);
}
END_TEST

/* A super-packet that generic XDP gets to see whole is the socket's, which has GRO for it. */
START_TEST(generic_super_packet)
{
	struct qb_net_if *i = open_if(QB_IO_XDP_GENERIC);
	struct qb_net *w[WORKERS], *c = open_client(edge_addrs[0]);
	struct qb_batch rx = {0};

	open_hub(i, hub_addrs[0], w);
	send_from(c, 0, 1, 1);
	ck_assert_uint_eq(recv_some(&fx, w[1], &rx, 8), 8);
	check_received(&rx, c, 0, 1, 1);
	ck_assert_uint_eq(xdp_counter(i, "xdp_pass_too_large"), 1);
	qb_batch_put(&fx.pool, &rx);
	qb_net_close(c);
	close_hub(i, w);
}
END_TEST

/* A next hop that is set goes before what was learned; unresolved, the socket sends. */
START_TEST(next_hop)
{
	static const uint8_t wrong[6] = {2, 0, 0, 0, 0, 9};
	struct qb_net_if *i = open_if(QB_IO_XDP_COPY);
	struct qb_net *w[WORKERS], *c = open_client(edge_addrs[0]);
	struct qb_batch rx = {0}, back = {0};

	i->is_tx_forced = true;
	open_hub(i, hub_addrs[0], w);
	/* Round 1: unresolved. */
	qb_net_set_hop(w[0], 4, NULL, i->mac, NULL);
	send_from(c, 0, 0, 1);
	ck_assert_uint_eq(recv_some(&fx, w[0], &rx, 8), 8);
	qb_net_set_hop(w[0], 4, NULL, i->mac, NULL);
	check_echo(w[0], &rx, c, 0, 1);
	ck_assert_uint_eq(hub_count(QB_CNT_IO_NO_NEIGHBOUR), 8);
	/* Round 2: a wrong one; nothing comes back, so it was used. */
	qb_net_set_hop(w[0], 4, NULL, i->mac, wrong);
	send_from(c, 0, 0, 2);
	ck_assert_uint_eq(recv_some(&fx, w[0], &rx, 8), 8);
	ck_assert_int_eq(qb_net_send(w[0], &fx.pool, &rx), 0);
	ck_assert_uint_eq(qb_net_recv(c, &fx.pool, &back), 0);
	ck_assert_uint_eq(hub_count(QB_CNT_IO_NO_NEIGHBOUR), 8);
	qb_net_close(c);
	close_hub(i, w);
}
END_TEST

/* More packets are held than the UMEM has frames: none is lost, and what goes back by the ring is
 * copied into it. */
START_TEST(short_umem)
{
	enum { UMEM = 1024, HELD = 256 };
	struct qb_net_if *i = open_if(QB_IO_XDP_COPY);
	struct qb_net *w[WORKERS], *c = open_client(edge_addrs[0]);
	static struct qb_batch held[HELD];
	uint64_t copied;

	qb_depot_set_umem(&fx.depot, UMEM);
	i->is_tx_forced = _i;
	open_hub(i, hub_addrs[0], w);
	ck_assert_uint_le(figure(i, "fill_target"), UMEM / 2);
	for (uint32_t k = 0; k < HELD; k++) {
		held[k].cnt = 0;
		send_from(c, 0, 0, (uint8_t)k);
		ck_assert_uint_eq(recv_some(&fx, w[0], &held[k], 8), 8);
		check_received(&held[k], c, 0, 0, (uint8_t)k);
	}
	copied = hub_count(QB_CNT_IO_UMEM_COPIES);
	ck_assert_uint_gt(copied, (uint64_t)(HELD * 8 - UMEM));
	ck_assert_uint_eq(hub_count(QB_CNT_IO_XSK_RX), (uint64_t)(HELD * 8));
	for (uint32_t k = 0; k < HELD; k++)
		check_echo(w[0], &held[k], c, 0, (uint8_t)k);
	ck_assert_uint_eq(hub_count(QB_CNT_IO_XSK_TX), _i ? HELD * 8 : 0);
	if (_i)
		ck_assert_uint_ge(hub_count(QB_CNT_IO_UMEM_COPIES), 2 * copied);
	qb_net_close(c);
	close_hub(i, w);
}
END_TEST

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * QB_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* However late a worker comes to its rings, it learns when a packet came. Nor does the kernel always come at once. */
START_TEST(arrival_time)
{
	const int late_ms = 200;

	struct qb_net_if *i = open_if(modes[_i]);
	struct qb_net *w[WORKERS], *c = open_client(edge_addrs[0]);
	struct qb_batch rx = {0};

	((struct qb_udp *)c)->has_gso = false;
	open_hub(i, hub_addrs[0], w);
	for (uint8_t mark = 0; mark < 3; mark++) {
		uint64_t sent_ns = clock_ns(), done_ns;

		send_from(c, 0, 0, mark);
		done_ns = clock_ns();
		poll(NULL, 0, late_ms);
		ck_assert_uint_eq(recv_some(&fx, w[0], &rx, 8), 8);
		for (uint32_t k = 0; k < rx.cnt; k++) {
			ck_assert_uint_ge(rx.buf[k]->rx_ns, sent_ns);
			ck_assert_uint_lt(rx.buf[k]->rx_ns, done_ns + (uint64_t)late_ms * QB_NS_PER_MS * 2 / 3);
			if (k)
				ck_assert_uint_ge(rx.buf[k]->rx_ns, rx.buf[k - 1]->rx_ns);
		}
		qb_batch_put(&fx.pool, &rx);
	}
	ck_assert_uint_eq(hub_count(QB_CNT_IO_XSK_RX), 24);
	ck_assert_uint_eq(hub_count(QB_CNT_IO_XSK_STAMPED), 24);
	qb_net_close(c);
	close_hub(i, w);
}
END_TEST

/* What is not steered still comes by the socket, and its address is learned from there. */
START_TEST(socket_beside)
{
	struct qb_net_if *i = open_if(QB_IO_XDP_COPY);
	struct qb_net *w[WORKERS], *c = open_client("0.0.0.0");
	struct qb_tuple t = {.peer = addr_of("10.77.0.9")};
	struct qb_batch tx = {0}, rx = {0};
	uint64_t before;

	open_hub(i, "0.0.0.0", w);
	ip(ns_hub, "ip addr add 10.77.0.9/24 dev qbx0");
	t.peer.port = PORT;
	for (int k = 0; k < 2; k++) {
		before = xdp_counter(i, "xdp_pass_not_local");
		qb_batch_add(&tx, make_packet(&fx, &t, 1200, 1, 9));
		ck_assert_int_eq(qb_net_send(c, &fx.pool, &tx), 0);
		ck_assert_uint_eq(recv_some(&fx, w[1], &rx, 1), 1);
		ck_assert_uint_eq(mark_of(rx.buf[0]), 9);
		ck_assert(qb_addr_eq(&rx.buf[0]->tuple.local, &t.peer));
		ck_assert_uint_eq(xdp_counter(i, "xdp_pass_not_local") - before, k == 0);
		ck_assert_uint_eq(xdp_counter(i, "xdp_steered_short"), (uint64_t)k);
		qb_batch_put(&fx.pool, &rx);
	}
	/* Told that the address went, the program lets such packets pass again. */
	ip(ns_hub, "ip addr del 10.77.0.9/24 dev qbx0");
	qb_net_if_refresh(i);
	before = xdp_counter(i, "xdp_pass_not_local");
	qb_batch_add(&tx, make_packet(&fx, &t, 1200, 1, 9));
	ck_assert_int_eq(qb_net_send(c, &fx.pool, &tx), 0);
	ck_assert_uint_eq(xdp_counter(i, "xdp_pass_not_local") - before, 1);
	qb_net_close(c);
	close_hub(i, w);
}
END_TEST

static uint32_t stamp_calls(struct bpf_program *prog)
{
	const struct bpf_insn *insns = bpf_program__insns(prog);
	uint32_t calls = 0;

	for (size_t k = 0; k < bpf_program__insn_cnt(prog); k++)
		calls += insns[k].code == (BPF_JMP | BPF_CALL) && insns[k].src_reg == 0 &&
			 insns[k].imm == BPF_FUNC_xdp_adjust_meta;
	return calls;
}

/* What goes into a dispatcher does not change packets: the kernel would refuse it there. */
START_TEST(program_for_dispatcher)
{
	struct qb_steer_params params = {.worker_cnt = 1, .queue_cnt = 1};
	struct xdp_steer *s = qb_steer_open(&params, true, _i);

	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(stamp_calls(s->progs.qb_xdp_steer), _i ? 0 : 1);
	ck_assert_int_eq(xdp_steer__load(s), 0);
	xdp_steer__destroy(s);
}
END_TEST

/* ask_joiner sends a request of so many bytes with so many descriptors; returns what it answers, or
 * 1 where it has ended. */
static int ask_joiner(int fd, const struct qb_join_request *q, size_t bytes, uint32_t fd_cnt,
		      char why[QB_JOIN_WHY_LEN])
{
	int fds[QB_JOIN_FDS_MAX], got[QB_JOIN_FDS_MAX];
	struct qb_join_answer a = {0};
	uint32_t got_cnt;

	for (uint32_t k = 0; k < QB_JOIN_FDS_MAX; k++)
		fds[k] = fd;
	if (qb_join_send(fd, q, bytes, fds, fd_cnt))
		return 1;
	if (qb_join_recv(fd, &a, sizeof(a), got, &got_cnt) != sizeof(a))
		return 1;
	ck_assert_uint_eq(got_cnt, 0);
	if (why)
		memcpy(why, a.why, QB_JOIN_WHY_LEN);
	return a.rc;
}

/* The joiner is root: it refuses whatever is not as it should be, and ends by what is no request at
 * all, or when it is left. */
START_TEST(joiner_refuses)
{
	struct qb_join_request enter = {
		.verb = QB_JOIN_ENTER, .ifindex = hub_ifindex, .is_native = true};
	struct qb_join_request q = enter;
	char why[QB_JOIN_WHY_LEN] = "";
	int pair[2], status;
	pid_t pid;

	enter.params = (struct qb_steer_params){.worker_cnt = 1, .queue_cnt = 2};
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(pair[0]);
		setenv("LIBXDP_BPFFS", "/nonexistent", 1);
		qb_joiner_run(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	q.verb = (enum qb_join_verb)99;
	ck_assert_int_eq(ask_joiner(pair[0], &q, sizeof(q), 0, NULL), -EINVAL);
	q = enter;
	q.params.is_server = true; /* and no guard's maps, or too few, or for one who is none */
	ck_assert_int_eq(ask_joiner(pair[0], &q, sizeof(q), 0, NULL), -EINVAL);
	ck_assert_int_eq(ask_joiner(pair[0], &q, sizeof(q), QB_JOIN_GUARD_MAPS - 1, NULL), -EINVAL);
	ck_assert_int_eq(ask_joiner(pair[0], &enter, sizeof(q), 1, NULL), -EINVAL);
	ck_assert_int_eq(ask_joiner(pair[0], &enter, sizeof(q), 0, why), -EBUSY);
	ck_assert_msg(strstr(why, "libxdp does not know it"), "%s", why);
	q = (struct qb_join_request){.verb = QB_JOIN_LEAVE, .ifindex = hub_ifindex, .prog_id = 1};
	ck_assert_int_eq(ask_joiner(pair[0], &q, sizeof(q), 0, NULL), -ENOENT);
	q.verb = QB_JOIN_LOOK;
	ck_assert_int_ne(ask_joiner(pair[0], &q, sizeof(q), 0, NULL), 0);
	/* Who asks it to end by a signal does not get that. */
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	ck_assert_int_ne(ask_joiner(pair[0], &q, sizeof(q), 0, NULL), 1);
	if (_i)
		ck_assert_int_eq(ask_joiner(pair[0], &q, sizeof(q) - 1, 0, NULL), 1);
	close(pair[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

static void open_second(struct qb_net_if *i, struct qb_net **out)
{
	struct qb_net_cfg cfg = {.xif = i,
				 .local = addr_of(hub_addrs[1]),
				 .link = 6,
				 .worker_cnt = WORKERS,
				 .is_server = true,
				 .depot = &fx.depot,
				 .counters = &counters[0]};

	cfg.local.port = PORT;
	*out = open_net(&cfg);
}

/* Two listen addresses on one interface: the packets of both come by the first one's rings, each
 * with its link. */
START_TEST(two_ports)
{
	struct qb_net_if *i = open_if(QB_IO_XDP_COPY);
	struct qb_net *w[WORKERS], *second, *c[2];
	struct qb_batch rx = {0};

	open_hub(i, hub_addrs[0], w);
	open_second(i, &second);
	for (int fam = 0; fam < 2; fam++) {
		c[fam] = open_client(edge_addrs[fam]);
		send_from(c[fam], fam, 0, 1);
		ck_assert_uint_eq(recv_some(&fx, w[0], &rx, 8), 8);
		ck_assert_uint_eq(rx.buf[0]->tuple.link, fam ? 6 : 5);
		check_echo(fam ? second : w[0], &rx, c[fam], fam, 1);
	}
	ck_assert_uint_eq(xdp_counter(i, "xdp_steered_short"), 16);
	/* Without the first port the second one has its own socket still. */
	qb_net_close(w[0]);
	send_from(c[1], 1, 0, 1);
	ck_assert_uint_eq(recv_some(&fx, second, &rx, 8), 8);
	ck_assert_uint_eq(rx.buf[0]->tuple.link, 6);
	ck_assert_uint_eq(xdp_counter(i, "xdp_pass_no_socket"), 8);
	qb_batch_put(&fx.pool, &rx);
	/* With all ports closed the program lets their packets pass unseen. */
	qb_net_close(second);
	qb_net_close(w[1]);
	send_from(c[1], 1, 0, 1);
	ck_assert_uint_eq(xdp_counter(i, "xdp_pass_other_port"), 8);
	qb_net_close(c[0]);
	qb_net_close(c[1]);
	qb_net_if_close(i);
}
END_TEST

/* What the kernel says of rings and buffers. */
START_TEST(figures)
{
	struct qb_figure f[QB_NET_FIGURES_MAX] = {0};
	struct qb_net_if *i = open_if(QB_IO_XDP_COPY);
	struct qb_net *w[WORKERS], *c = open_client(edge_addrs[0]);
	struct qb_batch rx = {0};
	uint64_t filled;

	ck_assert_uint_eq(qb_net_if_queue_figures(i, 0, f), 0); /* no port yet */
	open_hub(i, hub_addrs[0], w);
	filled = figure(i, "fill_level");
	ck_assert_uint_gt(filled, 0);
	ck_assert_uint_eq(filled, figure(i, "fill_target"));
	ck_assert_uint_eq(figure(i, "rx_level"), 0);
	send_from(c, 0, 0, 1);
	send_from(c, 0, 1, 1);
	ck_assert_uint_eq(figure(i, "rx_level"), 16);
	ck_assert_uint_eq(figure(i, "fill_level"), filled - 16);
	ck_assert_uint_eq(recv_some(&fx, w[0], &rx, 8), 8);
	qb_batch_put(&fx.pool, &rx);
	ck_assert_uint_eq(recv_some(&fx, w[1], &rx, 8), 8);
	qb_batch_put(&fx.pool, &rx);
	ck_assert_uint_eq(figure(i, "rx_level"), 0);
	ck_assert_uint_eq(figure(i, "fill_level"), filled);
	/* Nobody reads: the ring fills up, and what comes then is counted. */
	for (uint32_t n = 0; n < 2 * QB_NET_RING_SIZE * QUEUES / 8; n++)
		send_from(c, 0, 0, 1);
	ck_assert_uint_gt(figure(i, "rx_ring_full") + figure(i, "rx_fill_ring_empty"), 0);
	ck_assert_uint_eq(qb_net_if_queue_figures(i, QUEUES, f), 0);
	memset(f, 0, sizeof(f));
	ck_assert_uint_eq(qb_net_socket_figures(w[0], f), 5);
	ck_assert_str_eq(f[1].name, "rx_buffer_bytes");
	ck_assert_uint_gt(f[1].value, 1 << 20);
	ck_assert_ptr_null(qb_net_if_check(i));
	qb_net_close(c);
	close_hub(i, w);
}
END_TEST

/* ---- two threads on one queue's rings ---- */

struct worker {
	struct qb_net *net;
	uint8_t no;
	uint32_t got; /* atomic */
	bool is_done; /* atomic */
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct qb_pool pool;

	qb_pool_init(&pool, &fx.depot);
	while (!__atomic_load_n(&w->is_done, __ATOMIC_ACQUIRE)) {
		struct qb_batch rx = {0};
		uint32_t cnt = qb_net_recv(w->net, &pool, &rx);

		for (uint32_t k = 0; k < cnt; k++)
			QB_BUG_ON(rx.buf[k]->data[2] != w->no || rx.buf[k]->tuple.ecn != 2);
		__atomic_fetch_add(&w->got, cnt, __ATOMIC_RELAXED);
		/* Echo, so that completions cross as well. */
		if (cnt && qb_net_send(w->net, &pool, &rx) != 0)
			__builtin_trap();
	}
	qb_pool_fini(&pool);
	return NULL;
}

static void swallow(struct qb_net *c)
{
	struct qb_batch rx = {0};

	while (qb_net_recv(c, &fx.pool, &rx) > 0)
		qb_batch_put(&fx.pool, &rx);
}

/* Waits until the worker has `want`; gives up after a second without progress. */
static void wait_for(struct worker *w, struct qb_net *c, uint32_t want)
{
	for (int idle = 0; idle < WAIT_MS; idle++) {
		uint32_t got = __atomic_load_n(&w->got, __ATOMIC_RELAXED);

		swallow(c);
		if (got >= want)
			return;
		poll(NULL, 0, 1);
		if (__atomic_load_n(&w->got, __ATOMIC_RELAXED) != got)
			idle = 0;
	}
}

START_TEST(two_threads)
{
	struct qb_net_if *i = open_if(QB_IO_XDP_COPY);
	struct qb_net *net[WORKERS], *c = open_client(edge_addrs[0]);
	struct worker w[WORKERS];
	pthread_t thread[WORKERS];

	i->is_tx_forced = _i;
	open_hub(i, hub_addrs[0], net);
	for (uint8_t k = 0; k < WORKERS; k++) {
		w[k] = (struct worker){.net = net[k], .no = k};
		ck_assert_int_eq(pthread_create(&thread[k], NULL, work, &w[k]), 0);
	}
	for (uint32_t round = 0; round < 200; round++) {
		send_from(c, 0, 0, 1);
		send_from(c, 0, 1, 2);
		if (round % 4 == 3) {
			wait_for(&w[0], c, (round + 1) * 8);
			wait_for(&w[1], c, (round + 1) * 8);
		}
	}
	for (uint8_t k = 0; k < WORKERS; k++) {
		__atomic_store_n(&w[k].is_done, true, __ATOMIC_RELEASE);
		pthread_join(thread[k], NULL);
		ck_assert_uint_eq(w[k].got, 1600);
	}
	qb_net_close(c);
	close_hub(i, net);
}
END_TEST

/* Nothing stays behind: ports and interfaces open and close many times, with traffic in their
 * rings. */
START_TEST(reopen)
{
	struct qb_net *c = open_client(edge_addrs[0]);

	for (int k = 0; k < 5; k++) {
		struct qb_net_if *i = open_if(modes[k & 1]);
		struct qb_net *w[WORKERS];

		open_hub(i, hub_addrs[0], w);
		send_from(c, 0, 0, 1);
		send_from(c, 0, 1, 1);
		qb_net_close(w[1]);
		qb_net_close(w[0]);
		open_hub(i, hub_addrs[0], w);
		send_from(c, 0, 1, 1);
		close_hub(i, w);
	}
	qb_net_close(c);
}
END_TEST

START_TEST(modes_and_reasons)
{
	struct qb_net_if *i, *second;
	struct qb_net *w[WORKERS];

	/* A veth pair has no zero-copy. */
	i = open_if(QB_IO_AUTO);
	ck_assert_int_eq(qb_net_if_mode(i), QB_IO_UDP);
	ck_assert_ptr_nonnull(strstr(qb_net_if_reason(i), "no zero-copy"));
	open_hub(i, hub_addrs[0], w);
	ck_assert_int_eq(qb_net_mode(w[0]), QB_IO_UDP);
	ck_assert_str_eq(qb_net_reason(w[0]), qb_net_if_reason(i));
	close_hub(i, w);

	ck_assert_int_lt(try_if(QB_IO_XDP_ZEROCOPY, &i), 0);
	ck_assert_int_eq(qb_net_if_mode(i), QB_IO_UDP);
	qb_net_if_close(i);

	i = open_if(QB_IO_XDP_COPY);
	ck_assert_uint_eq(i->queue_cnt, QUEUES);
	ck_assert_int_eq(try_if(QB_IO_XDP_COPY, &second), -EBUSY);
	ck_assert_ptr_nonnull(strstr(qb_net_if_reason(second), "already"));
	qb_net_if_close(second);
	qb_net_if_close(i);

	i = open_if(QB_IO_UDP);
	ck_assert_ptr_null(qb_net_if_counter(i, 0, &(uint64_t){0}));
	qb_net_if_close(i);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/xdp");
	TCase *tc = tcase_create("veth");
	SRunner *sr;
	int failed;

	if (geteuid() != 0) {
		printf("SKIP: network namespaces and XDP need root\n");
		return 77;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, socket_transmit, 0, 4);
	tcase_add_loop_test(tc, other_shapes, 0, 4);
	tcase_add_loop_test(tc, ring_transmit, 0, 4);
	tcase_add_loop_test(tc, ring_transmit_csum_left, 0, 2);
	tcase_add_loop_test(tc, program_for_dispatcher, 0, 2);
	tcase_add_loop_test(tc, joiner_refuses, 0, 2);
	tcase_add_test(tc, generic_super_packet);
	tcase_add_test(tc, next_hop);
	tcase_add_test(tc, socket_beside);
	tcase_add_loop_test(tc, short_umem, 0, 2);
	tcase_add_loop_test(tc, arrival_time, 0, (int)QB_ARRAY_LEN(modes));
	tcase_add_test(tc, two_ports);
	tcase_add_test(tc, figures);
	tcase_add_test(tc, busy_poll);
	tcase_add_loop_test(tc, two_threads, 0, 2);
	tcase_add_test(tc, reopen);
	tcase_add_test(tc, modes_and_reasons);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
