/* SPDX-License-Identifier: BSD-2-Clause */
/* The UDP backend over loopback: GSO and GRO, addresses, ECN, steering, and what is dropped. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/rand.h"
#include "net/udp.h"
#include "net_fixture.h"

static struct fixture fx;

static void setup(void)
{
	fixture_init(&fx);
}

static void teardown(void)
{
	fixture_fini(&fx);
}

/* The same port over io_uring. */
static void setup_uring(void)
{
	struct qb_net_if_cfg cfg = {
		.ifname = "lo", .ifindex = 1, .mode = QB_IO_URING, .worker_cnt = 8};

	fixture_init(&fx);
	ck_assert_int_eq(qb_net_if_open(&cfg, &fixture_xif), 0);
}

static void teardown_uring(void)
{
	qb_net_if_close(fixture_xif);
	fixture_xif = NULL;
	fixture_fini(&fx);
}

static struct qb_net *open_at(const char *local, uint16_t link)
{
	struct qb_net_cfg cfg = {
		.link = link, .worker_cnt = 1, .depot = &fx.depot, .counters = &fx.counters};

	if (local)
		cfg.local = addr_of(local);
	return open_net(&cfg);
}

static struct qb_tuple tuple_between(const struct qb_net *from, const struct qb_net *to)
{
	struct qb_tuple t = {0};

	qb_net_local(from, &t.local);
	qb_net_local(to, &t.peer);
	return t;
}

enum { CLOCKS_APART_NS = 5 * 1000 * 1000 }; /* between reading the two, on a busy host */

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * QB_NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static void send_batch(struct qb_net *n, struct qb_batch *b)
{
	ck_assert_int_eq(qb_net_send(n, &fx.pool, b), 0);
	ck_assert_uint_eq(b->cnt, 0);
}

static const char *const loopbacks[] = {"127.0.0.1", "::1"};

/* 64 packets of one size: one GSO message out, all there, in order, with the right tuple. */
START_TEST(gso_batch)
{
	struct qb_net *a = open_at(loopbacks[_i], 3), *b = open_at(loopbacks[_i], 7);
	struct qb_tuple t = tuple_between(a, b);
	struct qb_batch tx = {0}, rx = {0};

	for (uint32_t i = 0; i < QB_BATCH_MAX; i++)
		qb_batch_add(&tx, make_packet(&fx, &t, i == 63 ? 700 : 1000, 0, (uint8_t)i));
	send_batch(a, &tx);
	ck_assert_uint_eq(recv_some(&fx, b, &rx, QB_BATCH_MAX), QB_BATCH_MAX);
	for (uint32_t i = 0; i < QB_BATCH_MAX; i++) {
		const struct qb_buf *p = rx.buf[i];

		ck_assert_uint_eq(p->len, i == 63 ? 700 : 1000);
		ck_assert_uint_eq(mark_of(p), i);
		ck_assert(qb_addr_eq(&p->tuple.peer, &t.local));
		ck_assert(qb_addr_eq(&p->tuple.local, &t.peer));
		ck_assert_uint_eq(p->tuple.link, 7);
		ck_assert_uint_eq(p->tuple.ecn, 0);
	}
	ck_assert_uint_eq(qb_counter_read(&fx.counters, QB_CNT_IO_GSO_SEGMENTS), 64);
	ck_assert_uint_eq(qb_counter_read(&fx.counters, QB_CNT_IO_GRO_SEGMENTS), 64);
	ck_assert_uint_eq(qb_counter_read(&fx.counters, QB_CNT_IO_TX_ERRORS), 0);
	qb_batch_put(&fx.pool, &rx);
	qb_net_close(a);
	qb_net_close(b);
}
END_TEST

/*
 * await_stamps: the kernel begins to stamp what arrives some time after the first socket asked for
 * it; what has no stamp gets one when it is read.
 */
static void await_stamps(struct qb_net *a, struct qb_net *b)
{
	struct qb_tuple t = tuple_between(a, b);
	struct timespec wait = {.tv_nsec = 10 * 1000 * 1000};
	bool is_stamped = false;

	for (uint32_t i = 0; i < 100 && !is_stamped; i++) {
		struct qb_batch tx = {0}, rx = {0};

		(void)qb_net_recv(b, &fx.pool, &rx); /* a ring is armed by that */
		qb_batch_add(&tx, make_packet(&fx, &t, 100, 0, 0));
		send_batch(a, &tx);
		(void)nanosleep(&wait, NULL);
		ck_assert_uint_eq(recv_some(&fx, b, &rx, 1), 1);
		is_stamped = rx.buf[0]->rx_ns < clock_ns() - wait.tv_nsec / 2;
		qb_batch_put(&fx.pool, &rx);
	}
}

/* What lay in the socket has its time of arrival, not that of being read. A time that cannot be is
 * not believed. */
START_TEST(time_of_arrival)
{
	struct qb_net *a = open_at("127.0.0.1", 0), *b = open_at("127.0.0.1", 3);
	struct qb_tuple t = tuple_between(a, b);
	struct timespec wait = {.tv_nsec = 30 * 1000 * 1000};
	uint64_t before_ns, after_ns, now_ns;
	struct qb_batch tx = {0}, rx = {0};

	await_stamps(a, b);
	before_ns = clock_ns();
	for (uint8_t mark = 0; mark < 3; mark++)
		qb_batch_add(&tx, make_packet(&fx, &t, 1200, 0, mark));
	send_batch(a, &tx);
	after_ns = clock_ns();
	(void)nanosleep(&wait, NULL);
	now_ns = clock_ns();
	while (rx.cnt < 3 && qb_net_recv(b, &fx.pool, &rx))
		;
	ck_assert_uint_eq(rx.cnt, 3);
	for (uint32_t k = 0; k < rx.cnt; k++) {
		ck_assert_uint_ge(rx.buf[k]->rx_ns, before_ns - CLOCKS_APART_NS);
		ck_assert_uint_le(rx.buf[k]->rx_ns, after_ns + CLOCKS_APART_NS);
		ck_assert_uint_lt(rx.buf[k]->rx_ns, now_ns - wait.tv_nsec / 2);
	}
	qb_batch_put(&fx.pool, &rx);
	qb_net_close(a);
	qb_net_close(b);
}
END_TEST

/* Sizes and ECN that change from packet to packet keep order and value. */
START_TEST(mixed_batch)
{
	static const uint16_t lens[] = {1200, 1200, 50,	  1200, 1300, 1300, 21,	 21,
					1350, 1350, 1350, 1000, 1000, 900,  900, 901};
	static const uint8_t ecns[] = {2, 2, 2, 1, 1, 1, 0, 0, 2, 3, 3, 3, 2, 2, 2, 2};
	struct qb_net *a = open_at(loopbacks[_i], 0), *b = open_at(loopbacks[_i], 0);
	struct qb_tuple t = tuple_between(a, b);
	struct qb_batch tx = {0}, rx = {0};

	for (uint32_t i = 0; i < 16; i++) {
		t.ecn = ecns[i];
		qb_batch_add(&tx, make_packet(&fx, &t, lens[i], 0, (uint8_t)i));
	}
	send_batch(a, &tx);
	ck_assert_uint_eq(recv_some(&fx, b, &rx, 16), 16);
	for (uint32_t i = 0; i < 16; i++) {
		ck_assert_uint_eq(rx.buf[i]->len, lens[i]);
		ck_assert_uint_eq(mark_of(rx.buf[i]), i);
		ck_assert_uint_eq(rx.buf[i]->tuple.ecn, ecns[i]);
	}
	qb_batch_put(&fx.pool, &rx);
	qb_net_close(a);
	qb_net_close(b);
}
END_TEST

/* Peers that take turns in a batch still leave as one message each. */
START_TEST(interleaved_peers)
{
	struct qb_net *a = open_at("127.0.0.1", 0);
	struct qb_net *b = open_at("127.0.0.1", 1), *c = open_at("127.0.0.1", 2);
	struct qb_tuple tb = tuple_between(a, b), tc = tuple_between(a, c);
	struct qb_batch tx = {0}, rb = {0}, rc = {0};

	for (uint32_t i = 0; i < 32; i++)
		qb_batch_add(&tx, make_packet(&fx, i & 1 ? &tc : &tb, 1100, 0, (uint8_t)i));
	send_batch(a, &tx);
	ck_assert_uint_eq(qb_counter_read(&fx.counters, QB_CNT_IO_GSO_SEGMENTS), 32);
	ck_assert_uint_eq(recv_some(&fx, b, &rb, 16), 16);
	ck_assert_uint_eq(recv_some(&fx, c, &rc, 16), 16);
	for (uint32_t i = 0; i < 16; i++) {
		ck_assert_uint_eq(mark_of(rb.buf[i]), 2 * i);
		ck_assert_uint_eq(mark_of(rc.buf[i]), 2 * i + 1);
	}
	qb_batch_put(&fx.pool, &rb);
	qb_batch_put(&fx.pool, &rc);
	qb_net_close(a);
	qb_net_close(b);
	qb_net_close(c);
}
END_TEST

/* A super-packet that does not fit the batch is remembered. */
START_TEST(small_batches)
{
	struct qb_net *a = open_at("127.0.0.1", 0), *b = open_at("127.0.0.1", 0);
	struct qb_tuple t = tuple_between(a, b);
	struct qb_batch tx = {0}, rx = {0};
	uint32_t next = 0;

	for (uint32_t i = 0; i < 40; i++)
		qb_batch_add(&tx, make_packet(&fx, &t, 1200, 0, (uint8_t)i));
	send_batch(a, &tx);
	while (next < 40) {
		struct qb_buf *filler = qb_buf_get(&fx.pool);

		/* Leave room for five. */
		rx.cnt = 0;
		while (rx.cnt < QB_BATCH_MAX - 5)
			qb_batch_add(&rx, filler);
		ck_assert_uint_eq(recv_some(&fx, b, &rx, QB_BATCH_MAX), QB_BATCH_MAX);
		for (uint32_t i = QB_BATCH_MAX - 5; i < QB_BATCH_MAX; i++) {
			ck_assert_uint_eq(mark_of(rx.buf[i]), next++);
			qb_buf_put(&fx.pool, rx.buf[i]);
		}
		qb_buf_put(&fx.pool, filler);
	}
	qb_net_close(a);
	qb_net_close(b);
}
END_TEST

/*
 * What comes is laid into frames by what came before: here sizes and lengths of super-packets
 * change all the time, batches have room for a few only.
 */
START_TEST(never_what_came_before)
{
	enum { ROUNDS = 200 };
	static const uint16_t sizes[] = {1200, 40, 1350, 1200, 700, 1728, 21, 1350, 64};
	struct qb_net *a = open_at(loopbacks[_i], 0), *b = open_at(loopbacks[_i], 0);
	struct qb_tuple t = tuple_between(a, b);
	struct qb_rand rnd;

	qb_rand_seed(&rnd, 7);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint32_t cnt = 1 + (uint32_t)qb_rand_below(&rnd, 40),
			 room = 1 + (uint32_t)qb_rand_below(&rnd, QB_BATCH_MAX), got = 0;
		uint16_t len = sizes[qb_rand_below(&rnd, QB_ARRAY_LEN(sizes))], lens[QB_BATCH_MAX];
		struct qb_batch tx = {0};

		for (uint32_t i = 0; i < cnt; i++) {
			if (qb_rand_below(&rnd, 8) == 0)
				len = sizes[qb_rand_below(&rnd, QB_ARRAY_LEN(sizes))];
			lens[i] = len;
			qb_batch_add(&tx, make_packet(&fx, &t, len, 0, (uint8_t)(i + round)));
		}
		send_batch(a, &tx);
		while (got < cnt) {
			struct qb_batch rx = {0};
			struct qb_buf *filler = qb_buf_get(&fx.pool);

			while (rx.cnt < QB_BATCH_MAX - room)
				qb_batch_add(&rx, filler);
			recv_some(&fx, b, &rx, QB_MIN(QB_BATCH_MAX, rx.cnt + cnt - got));
			ck_assert_uint_gt(rx.cnt, QB_BATCH_MAX - room);
			for (uint32_t i = QB_BATCH_MAX - room; i < rx.cnt; i++, got++) {
				uint8_t want[QB_FRAME_BYTES];

				memset(want, (uint8_t)(got + round), sizeof(want));
				ck_assert_uint_eq(rx.buf[i]->len, lens[got]);
				ck_assert_mem_eq(rx.buf[i]->data + 3, want, lens[got] - 3);
				qb_buf_put(&fx.pool, rx.buf[i]);
			}
			qb_buf_put(&fx.pool, filler);
		}
	}
	ck_assert_uint_eq(qb_counter_read(&fx.counters, QB_CNT_DROP_OVERSIZE), 0);
	qb_net_close(a);
	qb_net_close(b);
}
END_TEST

/* tuple.local chooses the source; the receiver sees to which address it was sent. */
START_TEST(source_address)
{
	struct qb_net *a = open_at("0.0.0.0", 0), *b = open_at("0.0.0.0", 0);
	struct qb_tuple t = tuple_between(a, b);
	struct qb_batch tx = {0}, rx = {0};
	uint16_t port_a = t.local.port, port_b = t.peer.port;

	t.local = addr_of("127.0.0.2");
	t.peer = addr_of("127.0.0.3");
	t.local.port = port_a;
	t.peer.port = port_b;
	qb_batch_add(&tx, make_packet(&fx, &t, 500, 0, 1));
	qb_batch_add(&tx, make_packet(&fx, &t, 500, 0, 2));
	send_batch(a, &tx);
	ck_assert_uint_eq(recv_some(&fx, b, &rx, 2), 2);
	ck_assert(qb_addr_eq(&rx.buf[0]->tuple.local, &t.peer));
	ck_assert(qb_addr_eq(&rx.buf[0]->tuple.peer, &t.local));
	/* And back, by the tuple as it came. */
	send_batch(b, &rx);
	ck_assert_uint_eq(recv_some(&fx, a, &rx, 2), 2);
	ck_assert(qb_addr_eq(&rx.buf[1]->tuple.local, &t.local));
	ck_assert(qb_addr_eq(&rx.buf[1]->tuple.peer, &t.peer));
	qb_batch_put(&fx.pool, &rx);
	qb_net_close(a);
	qb_net_close(b);
}
END_TEST

/* Family 0: one port in both families. */
START_TEST(both_families)
{
	struct qb_net *a = open_at(NULL, 0), *b = open_at(NULL, 0);
	struct qb_batch tx = {0}, rx = {0};
	struct qb_addr la, lb;
	int fds[4];

	qb_net_local(a, &la);
	qb_net_local(b, &lb);
	ck_assert_uint_eq(la.family, 0);
	ck_assert_uint_ne(la.port, 0);
	ck_assert_uint_eq(qb_net_fds(a, fds, 4), fixture_xif ? 1 : 2);
	ck_assert_uint_eq(qb_net_fds(a, fds, 1), 1);
	for (int i = 0; i < 2; i++) {
		struct qb_tuple t = {.peer = addr_of(loopbacks[i])};

		t.peer.port = lb.port;
		qb_batch_add(&tx, make_packet(&fx, &t, 300, 0, (uint8_t)i));
	}
	send_batch(a, &tx);
	ck_assert_uint_eq(recv_some(&fx, b, &rx, 2), 2);
	for (uint32_t i = 0; i < 2; i++) {
		uint8_t mark = mark_of(rx.buf[i]);

		ck_assert_uint_eq(rx.buf[i]->tuple.peer.family, mark ? 6 : 4);
		ck_assert_uint_eq(rx.buf[i]->tuple.peer.port, la.port);
		ck_assert_uint_eq(rx.buf[i]->tuple.local.port, lb.port);
	}
	qb_batch_put(&fx.pool, &rx);
	qb_net_close(a);
	qb_net_close(b);
}
END_TEST

START_TEST(without_gso)
{
	struct qb_net *a = open_at(loopbacks[_i], 0), *b = open_at(loopbacks[_i], 0);
	struct qb_tuple t = tuple_between(a, b);
	struct qb_batch tx = {0}, rx = {0};

	((struct qb_udp *)a)->has_gso = false;
	for (uint32_t i = 0; i < 50; i++) {
		t.ecn = i & 1;
		qb_batch_add(&tx, make_packet(&fx, &t, 1200, 0, (uint8_t)i));
	}
	send_batch(a, &tx);
	ck_assert_uint_eq(recv_some(&fx, b, &rx, 50), 50);
	for (uint32_t i = 0; i < 50; i++) {
		ck_assert_uint_eq(mark_of(rx.buf[i]), i);
		ck_assert_uint_eq(rx.buf[i]->tuple.ecn, i & 1);
	}
	ck_assert_uint_eq(qb_counter_read(&fx.counters, QB_CNT_IO_GSO_SEGMENTS), 0);
	qb_batch_put(&fx.pool, &rx);
	qb_net_close(a);
	qb_net_close(b);
}
END_TEST

/* A kernel that refuses a run gets its packets one by one, and after some strikes no more runs. */
START_TEST(gso_refused)
{
	struct qb_net *a = open_at("127.0.0.1", 0), *b = open_at("127.0.0.1", 0);
	struct qb_udp *u = (struct qb_udp *)a;
	struct qb_tuple t = tuple_between(a, b);
	struct qb_batch tx = {0}, rx = {0};
	int no_csum = 1;

	/* GSO wants checksums: without them the kernel answers EINVAL. */
	ck_assert_int_eq(setsockopt(u->fd[0], SOL_SOCKET, SO_NO_CHECK, &no_csum, sizeof(no_csum)),
			 0);
	for (uint32_t round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < 10; i++)
			qb_batch_add(&tx, make_packet(&fx, &t, 1200, 0, (uint8_t)i));
		send_batch(a, &tx);
	}
	ck_assert(!u->has_gso);
	ck_assert_ptr_nonnull(strstr(qb_net_reason(a), "no UDP GSO"));
	ck_assert_uint_eq(recv_some(&fx, b, &rx, 40), 40);
	for (uint32_t i = 0; i < 40; i++)
		ck_assert_uint_eq(mark_of(rx.buf[i]), i % 10);
	ck_assert_uint_eq(qb_counter_read(&fx.counters, QB_CNT_IO_TX_ERRORS), 0);
	qb_batch_put(&fx.pool, &rx);
	qb_net_close(a);
	qb_net_close(b);
}
END_TEST

START_TEST(oversize_is_dropped)
{
	struct qb_net *b = open_at("127.0.0.1", 0);
	struct qb_batch rx = {0};
	union qb_sockaddr sa;
	struct qb_addr to;
	uint8_t big[1900] = {0x40};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len;

	qb_net_local(b, &to);
	len = qb_sockaddr_set(&sa, &to);
	ck_assert_int_eq(sendto(fd, big, sizeof(big), 0, &sa.sa, len), sizeof(big));
	ck_assert_int_eq(sendto(fd, big, 0, 0, &sa.sa, len), 0);
	ck_assert_int_eq(sendto(fd, big, 100, 0, &sa.sa, len), 100);
	ck_assert_uint_eq(recv_some(&fx, b, &rx, 1), 1);
	ck_assert_uint_eq(rx.buf[0]->len, 100);
	ck_assert_uint_eq(qb_counter_read(&fx.counters, QB_CNT_DROP_OVERSIZE), 1);
	qb_batch_put(&fx.pool, &rx);
	close(fd);
	qb_net_close(b);
}
END_TEST

START_TEST(empty_pool)
{
	struct qb_net *a = open_at("127.0.0.1", 0), *b = open_at("127.0.0.1", 0);
	struct qb_tuple t = tuple_between(a, b);
	struct qb_batch tx = {0}, rx = {0};
	struct qb_pool none;
	struct qb_depot nothing = fx.depot;

	nothing.free_cnt = 0;
	nothing.free_list = nothing.umem_free_list = NULL;
	nothing.umem_free_cnt = 0;
	qb_pool_init(&none, &nothing);
	for (uint32_t i = 0; i < 8; i++)
		qb_batch_add(&tx, make_packet(&fx, &t, 1200, 0, (uint8_t)i));
	send_batch(a, &tx);
	ck_assert_uint_eq(qb_net_recv(b, &none, &rx), 0);
	ck_assert_uint_eq(qb_counter_read(&fx.counters, QB_CNT_DROP_NO_BUFFER), 8);
	qb_net_close(a);
	qb_net_close(b);
}
END_TEST

START_TEST(unreachable)
{
	struct qb_net *a = open_at("127.0.0.1", 0);
	struct qb_tuple t = {.peer = addr_of("[::1]:9")};
	struct qb_batch tx = {0};

	qb_batch_add(&tx, make_packet(&fx, &t, 100, 0, 0));
	ck_assert_int_eq(qb_net_send(a, &fx.pool, &tx), -ENETUNREACH);
	ck_assert_uint_eq(tx.cnt, 0);
	ck_assert_uint_eq(qb_counter_read(&fx.counters, QB_CNT_IO_TX_ERRORS), 1);
	qb_net_close(a);
}
END_TEST

START_TEST(open_errors)
{
	struct qb_net *a = open_at("127.0.0.1", 0), *b;
	struct qb_net_cfg cfg = {.worker_cnt = 1, .depot = &fx.depot};
	char err[160];

	qb_net_local(a, &cfg.local);
	ck_assert_int_eq(qb_net_open(&cfg, &b, err), -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(err, "127.0.0.1:"));
	cfg.local.port = 0;
	cfg.is_bound_to_device = true;
	strcpy(cfg.ifname, "qbnosuch0");
	ck_assert_int_eq(qb_net_open(&cfg, &b, err), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err, "qbnosuch0"));
	cfg.worker = 1;
	ck_assert_int_eq(qb_net_open(&cfg, &b, err), -EINVAL);
	ck_assert_ptr_null(b);
	qb_net_close(a);
}
END_TEST

START_TEST(modes)
{
	enum qb_io_mode m;

	for (unsigned int i = 0; i < QB_IO_MODE_CNT; i++) {
		ck_assert_int_eq(qb_io_mode_parse(qb_io_mode_name((enum qb_io_mode)i), &m), 0);
		ck_assert_uint_eq(m, i);
	}
	ck_assert_int_eq(qb_io_mode_parse("XDP-Copy", &m), 0);
	ck_assert_uint_eq(m, QB_IO_XDP_COPY);
	ck_assert_int_eq(qb_io_mode_parse("xdp", &m), -EINVAL);
	ck_assert_int_eq(qb_io_mode_parse("", &m), -EINVAL);
}
END_TEST

/* ---- SO_REUSEPORT ---- */

static void open_group(const char *local, struct qb_net *w[2])
{
	struct qb_net_cfg cfg = {.local = addr_of(local),
				 .worker_cnt = 2,
				 .is_server = true,
				 .depot = &fx.depot,
				 .counters = &fx.counters};

	w[0] = open_net(&cfg);
	qb_net_local(w[0], &cfg.local);
	cfg.worker = 1;
	w[1] = open_net(&cfg);
}

static void send_one(struct qb_net *a, struct qb_buf *b)
{
	struct qb_batch tx = {0};

	qb_batch_add(&tx, b);
	send_batch(a, &tx);
}

/* The worker in the connection ID decides, in short and long headers, from whatever source port. */
START_TEST(steering_by_cid)
{
	struct qb_net *w[2];

	open_group(loopbacks[_i], w);
	for (uint8_t round = 0; round < 20; round++) {
		struct qb_net *a = open_at(loopbacks[_i], 0);
		struct qb_tuple t = tuple_between(a, w[0]);
		struct qb_batch rx = {0};
		uint8_t worker = round & 1;
		struct qb_buf *b = make_packet(&fx, &t, 1200, worker, round);

		if (round & 2) {
			/* A Handshake packet of v1. */
			memcpy(b->data, (uint8_t[]){0xe0, 0, 0, 0, 1, 10, 0x55, worker}, 8);
		}
		send_one(a, b);
		ck_assert_uint_eq(recv_some(&fx, w[worker], &rx, 1), 1);
		ck_assert_uint_eq(mark_of(rx.buf[0]), round);
		ck_assert_uint_eq(qb_net_recv(w[!worker], &fx.pool, &rx), 0);
		qb_batch_put(&fx.pool, &rx);
		qb_net_close(a);
	}
	qb_net_close(w[0]);
	qb_net_close(w[1]);
}
END_TEST

/* Initials with a connection ID of the client's spread, and those of one client stay together. */
START_TEST(steering_of_initials)
{
	uint32_t seen[2] = {0, 0};
	struct qb_net *w[2];

	open_group(loopbacks[_i], w);
	for (uint8_t client = 0; client < 32; client++) {
		struct qb_net *a = open_at(loopbacks[_i], 0);
		struct qb_tuple t = tuple_between(a, w[0]);
		struct qb_batch rx = {0};
		uint32_t got;

		for (uint8_t k = 0; k < 3; k++) {
			struct qb_buf *b = make_packet(&fx, &t, 1200, 0, client);

			/* Connection IDs differ, the client is the same. */
			memcpy(b->data, (uint8_t[]){0xc0, 0, 0, 0, 1, 8, k, k, k, k}, 10);
			send_one(a, b);
		}
		got = qb_net_recv(w[0], &fx.pool, &rx);
		ck_assert(got == 0 || got == 3);
		ck_assert_uint_eq(qb_net_recv(w[1], &fx.pool, &rx), 3 - got);
		seen[got == 0]++;
		qb_batch_put(&fx.pool, &rx);
		qb_net_close(a);
	}
	/* 32 fair coins: fewer than 4 of a side comes once in 400,000 runs. */
	ck_assert_uint_ge(seen[0], 4);
	ck_assert_uint_ge(seen[1], 4);
	qb_net_close(w[1]);
	qb_net_close(w[0]);
}
END_TEST

/* A group ends with its last member: the port can be opened again. */
START_TEST(group_reopens)
{
	struct qb_net *w[2];
	struct qb_addr first;

	open_group("127.0.0.1", w);
	qb_net_local(w[0], &first);
	qb_net_close(w[0]);
	qb_net_close(w[1]);
	open_group("127.0.0.1", w);
	ck_assert_int_eq(((struct qb_udp *)w[0])->is_in_group[0], true);
	qb_net_close(w[0]);
	qb_net_close(w[1]);
}
END_TEST

static TCase *make_case(const char *name, void (*before)(void), void (*after)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, before, after);
	tcase_add_loop_test(tc, gso_batch, 0, 2);
	tcase_add_test(tc, time_of_arrival);
	tcase_add_loop_test(tc, mixed_batch, 0, 2);
	tcase_add_test(tc, interleaved_peers);
	tcase_add_test(tc, small_batches);
	tcase_add_loop_test(tc, never_what_came_before, 0, 2);
	tcase_add_test(tc, source_address);
	tcase_add_test(tc, both_families);
	tcase_add_loop_test(tc, without_gso, 0, 2);
	tcase_add_test(tc, gso_refused);
	tcase_add_test(tc, oversize_is_dropped);
	tcase_add_test(tc, empty_pool);
	tcase_add_test(tc, unreachable);
	if (geteuid() == 0) {
		tcase_add_loop_test(tc, steering_by_cid, 0, 2);
		tcase_add_loop_test(tc, steering_of_initials, 0, 2);
		tcase_add_test(tc, group_reopens);
	}
	return tc;
}

int main(void)
{
	struct qb_net_if_cfg cfg = {
		.ifname = "lo", .ifindex = 1, .mode = QB_IO_URING, .worker_cnt = 1};
	Suite *s = suite_create("net/udp");
	TCase *tc = make_case("sockets", setup, teardown);
	struct qb_net_if *xif;
	SRunner *sr;
	int failed;

	tcase_add_test(tc, open_errors);
	tcase_add_test(tc, modes);
	suite_add_tcase(s, tc);
	if (qb_net_if_open(&cfg, &xif) == 0)
		suite_add_tcase(s, make_case("uring", setup_uring, teardown_uring));
	else
		printf("not tested: %s\n", qb_net_if_reason(xif));
	qb_net_if_close(xif);
	if (geteuid() != 0)
		printf("not root: no BPF, so steering between workers is not tested\n");
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
