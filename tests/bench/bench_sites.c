/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many sites in one process: as many edge nodes as are asked for, the daemon's own code, each with
 * a key, a UDP socket and an address of its own, in one thread. A hub sees no difference to as many
 * routers. tests/bench/sites drives it by lines on stdin, and every line is answered by one:
 *
 *     bench_sites COUNT HUB_ADDRESS HUB_KEY    prints the hub's [Site] sections, then an empty line
 *     connect SECONDS                          "connected N SECONDS"
 *     idle SECONDS                             "idle"
 *     load SITES PPS SECONDS BYTES             "load SENT RECEIVED": inner packets of that size
 * from each to the next
 *
 * Outside, site i is at 10.192.0.1 + 256 i (the guard limits Initials by /24), inside at 10.64.0.2
 * + i.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/csum.h"
#include "base/heap.h"
#include "node.h"
#include "os/os.h"

enum {
	FRAMES = 65536,
	SITES_MAX = 4096,
	OUTSIDE = 0x0ac00001, /* 10.192.0.1 */
	INSIDE = 0x0a400002,  /* 10.64.0.2 */
	EVENTS_MAX = 256,
	OPEN_AT_ONCE = 32, /* handshakes under way */
	INNER_UDP_LEN = 28,
	TICK_NS = 1000 * 1000, /* of the load */
};

struct site {
	struct qb_timer timer; /* first: the heap hands it back */
	struct qb_node *node;
	int fd;
	char key_pem[512];
	uint8_t pub[QB_PUBKEY_LEN];
	struct qb_tls_ctx *tls;
	bool is_told; /* its link is up */
};

struct fleet {
	struct site *sites;
	uint32_t cnt;
	struct qb_depot depot;
	struct qb_pool pool;
	struct qb_counters counters;
	struct qb_heap heap;
	int epoll_fd;
	struct qb_edge_hub hub;
	uint64_t inner_rx;
};

static void die(const char *what)
{
	fprintf(stderr, "bench_sites: %s\n", what);
	exit(1);
}

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("no memory");
	return p;
}

static struct qb_addr addr_of(uint32_t ip, uint16_t port)
{
	struct qb_addr a = {.family = 4, .port = port};

	qb_store_be32(a.ip, ip);
	return a;
}

/* ---- a site ---- */

static void open_socket(struct fleet *f, struct site *s, uint32_t idx)
{
	struct sockaddr_in local = {.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(OUTSIDE + 256 * idx),
				    .sin_port = htons(5000)};
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(f->hub.addr.port)};
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = idx};

	memcpy(&peer.sin_addr, f->hub.addr.ip, 4);
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&local, sizeof(local)) ||
	    connect(s->fd, (struct sockaddr *)&peer, sizeof(peer)) ||
	    epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev))
		die(strerror(errno));
}

static void make_node(struct fleet *f, struct site *s)
{
	struct qb_node_cfg cfg = {
		.role = QB_ROLE_EDGE,
		.tunnels = 4,
		.quic =
			{
				.limits = {.conns = 4,
					   .streams_per_conn = 16,
					   .sent_records = 4096,
					   .stream_chunks = 256},
				.tls = s->tls,
				.cc = qb_cc_find("auto"),
				.idle_timeout_ns = 120 * QB_NS_PER_SEC,
				.handshake_timeout_ns = 10 * QB_NS_PER_SEC,
				.keepalive_ns = 2 * QB_NS_PER_SEC,
				.max_path_id = 2 * QB_PATHS_MAX,
				.max_udp_bytes = 1472,
				.counters = &f->counters,
				.pool = &f->pool,
			},
	};

	if (getrandom(cfg.quic.seed, sizeof(cfg.quic.seed), 0) != sizeof(cfg.quic.seed) ||
	    qb_node_secret_derive(s->key_pem, "reset", &cfg.quic.reset_secret) ||
	    qb_node_secret_derive(s->key_pem, "token", &cfg.quic.token_secret))
		die("no secrets");
	s->node = qb_node_init(map(qb_node_footprint(&cfg)), &cfg, qb_now_ns());
	qb_edge_set_hubs(s->node, &f->hub, 1, qb_now_ns());
}

static void make_site(struct fleet *f, uint32_t idx)
{
	struct site *s = &f->sites[idx];
	char text[QB_PUBKEY_TEXT_LEN], err[QB_TLS_ERR_LEN] = "";
	uint32_t inside = INSIDE + idx;
	struct qb_tls_cfg tc = {
		.key_pem = s->key_pem,
		.name = "site",
		.alpn = "h3",
		.peers = (const uint8_t(*)[QB_PUBKEY_LEN])f->hub.public_key,
		.peer_cnt = 1,
	};

	if (qb_key_generate(s->key_pem, sizeof(s->key_pem)) ||
	    qb_key_public(s->key_pem, s->pub, err))
		die("no key");
	s->tls = qb_tls_ctx_new(&tc, err);
	if (!s->tls)
		die(err);
	qb_pubkey_format(s->pub, text);
	printf("[Site s%u]\nPublicKey = %s\nAddress = %u.%u.%u.%u\n", idx, text, inside >> 24,
	       inside >> 16 & 255, inside >> 8 & 255, inside & 255);
}

static bool is_open(const struct site *s)
{
	return s->node && s->node->edge.tunnel && s->node->edge.tunnel->is_open;
}

static void take_inner(struct fleet *f, struct qb_batch *inner)
{
	for (uint32_t i = 0; i < inner->cnt; i++)
		f->inner_rx += inner->buf[i]->len >= INNER_UDP_LEN &&
			       inner->buf[i]->data[9] == IPPROTO_UDP;
	qb_batch_put(&f->pool, inner);
}

static void run_site(struct fleet *f, struct site *s, struct qb_batch *udp)
{
	uint64_t now_ns = qb_now_ns();
	struct qb_batch inner = {0}, out = {0};
	struct qb_notice note;
	bool has_more;

	while (qb_rx(s->node, udp, &inner, now_ns))
		take_inner(f, &inner);
	take_inner(f, &inner);
	while (qb_node_poll(s->node, &inner, now_ns))
		take_inner(f, &inner);
	take_inner(f, &inner);
	do {
		has_more = qb_tx_flush(s->node, &out, now_ns);
		/* What the kernel has no room for is lost, as on any link. */
		for (uint32_t i = 0; i < out.cnt; i++)
			(void)!send(s->fd, out.buf[i]->data, out.buf[i]->len, 0);
		qb_batch_put(&f->pool, &out);
	} while (has_more);
	while (qb_node_next_notice(s->node, &note))
		;
	qb_heap_set(&f->heap, &s->timer, qb_node_deadline_ns(s->node));
}

static void receive_site(struct fleet *f, uint32_t idx)
{
	struct site *s = &f->sites[idx];
	struct qb_batch udp = {0};

	while (!qb_batch_full(&udp)) {
		struct qb_buf *b = qb_buf_get(&f->pool);
		ssize_t len;

		if (!b)
			die("out of buffers");
		len = recv(s->fd, b->data, QB_FRAME_BYTES - QB_HEADROOM - QB_TAILROOM, 0);
		if (len <= 0) {
			qb_buf_put(&f->pool, b);
			break;
		}
		b->len = (uint32_t)len;
		b->tuple = (struct qb_tuple){.local = addr_of(OUTSIDE + 256 * idx, 5000),
					     .peer = f->hub.addr};
		b->rx_ns = qb_now_ns();
		qb_batch_add(&udp, b);
	}
	run_site(f, s, &udp);
}

/* step lets everybody do what is due, waiting until until_ns at most. */
static void step(struct fleet *f, uint64_t until_ns)
{
	struct epoll_event evs[EVENTS_MAX];
	struct qb_timer *first = qb_heap_first(&f->heap);
	uint64_t at_ns = first ? qb_min_u64(until_ns, first->at_ns) : until_ns;
	uint64_t wait_ns = qb_sub_sat_u64(at_ns, qb_now_ns());
	struct timespec ts = {.tv_sec = (time_t)(wait_ns / QB_NS_PER_SEC),
			      .tv_nsec = (long)(wait_ns % QB_NS_PER_SEC)};
	int cnt = epoll_pwait2(f->epoll_fd, evs, EVENTS_MAX, &ts, NULL);

	for (int i = 0; i < cnt; i++)
		receive_site(f, evs[i].data.u32);
	while ((first = qb_heap_first(&f->heap)) && first->at_ns <= qb_now_ns()) {
		struct qb_batch none = {0};

		run_site(f, (struct site *)first, &none);
	}
}

/* ---- commands ---- */

static void begin_site(struct fleet *f, uint32_t idx)
{
	struct site *s = &f->sites[idx];
	struct qb_addr local = addr_of(OUTSIDE + 256 * idx, 5000), none = {0};
	struct qb_batch nothing = {0};

	open_socket(f, s, idx);
	make_node(f, s);
	qb_edge_set_link(s->node, 0, true, &local, &none, QB_TIER_PRIMARY, qb_now_ns());
	run_site(f, s, &nothing);
}

static uint32_t open_cnt(const struct fleet *f)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < f->cnt; i++)
		cnt += is_open(&f->sites[i]);
	return cnt;
}

static void do_connect(struct fleet *f, double seconds)
{
	uint64_t from_ns = qb_now_ns(), end_ns = from_ns + (uint64_t)(seconds * 1e9);
	uint32_t begun = 0, open = 0;

	while (open < f->cnt && qb_now_ns() < end_ns) {
		while (begun < f->cnt && begun < open + OPEN_AT_ONCE)
			begin_site(f, begun++);
		step(f, qb_now_ns() + 5 * QB_NS_PER_MS);
		open = open_cnt(f);
	}
	printf("connected %u %.2f\n", open, (double)(qb_now_ns() - from_ns) / 1e9);
}

static void do_idle(struct fleet *f, double seconds)
{
	uint64_t end_ns = qb_now_ns() + (uint64_t)(seconds * 1e9);

	while (qb_now_ns() < end_ns)
		step(f, end_ns);
	printf("idle\n");
}

/* send_inner has a site send a UDP packet to the next one of the first `cnt`. */
static bool send_inner(struct fleet *f, uint32_t idx, uint32_t cnt, uint32_t bytes)
{
	struct site *s = &f->sites[idx];
	struct qb_batch in = {0}, none = {0};
	struct qb_buf *b = qb_buf_get(&f->pool);
	uint8_t *p;

	if (!b)
		return false;
	p = b->data;
	memset(p, 0, bytes);
	p[0] = 0x45;
	qb_store_be16(p + 2, (uint16_t)bytes);
	p[8] = 64;
	p[9] = IPPROTO_UDP;
	qb_store_be32(p + 12, INSIDE + idx);
	qb_store_be32(p + 16, INSIDE + (idx + 1) % cnt);
	qb_csum_store(p + 10, qb_csum_add(0, p, 20));
	qb_store_be16(p + 20, 7000);
	qb_store_be16(p + 22, 7000);
	qb_store_be16(p + 24, (uint16_t)(bytes - 20));
	b->len = bytes;
	b->rx_ns = qb_now_ns();
	qb_batch_add(&in, b);
	qb_tx(s->node, s->node->edge.tunnel, &in, qb_now_ns());
	run_site(f, s, &none);
	return true;
}

static void do_load(struct fleet *f, uint32_t cnt, double pps, double seconds, uint32_t bytes)
{
	uint64_t from_ns = qb_now_ns(), end_ns = from_ns + (uint64_t)(seconds * 1e9), now_ns,
		 sent = 0;
	uint32_t next = 0;

	f->inner_rx = 0;
	while ((now_ns = qb_now_ns()) < end_ns) {
		uint64_t due = (uint64_t)(pps * (double)(now_ns - from_ns) / 1e9);

		for (uint32_t burst = 0; sent < due && burst < QB_BATCH_MAX; burst++) {
			if (is_open(&f->sites[next]))
				sent += send_inner(f, next, cnt, bytes);
			next = (next + 1) % cnt;
		}
		step(f, now_ns + TICK_NS);
	}
	for (end_ns += QB_NS_PER_SEC / 5; qb_now_ns() < end_ns;)
		step(f, end_ns);
	printf("load %llu %llu\n", (unsigned long long)sent, (unsigned long long)f->inner_rx);
}

static void obey(struct fleet *f, const char *line)
{
	double seconds, pps;
	uint32_t cnt, bytes;

	if (sscanf(line, "connect %lf", &seconds) == 1)
		do_connect(f, seconds);
	else if (sscanf(line, "idle %lf", &seconds) == 1)
		do_idle(f, seconds);
	else if (sscanf(line, "load %u %lf %lf %u", &cnt, &pps, &seconds, &bytes) == 4 &&
		 cnt >= 1 && cnt <= f->cnt && bytes >= INNER_UDP_LEN && bytes <= QB_INNER_MTU_MIN)
		do_load(f, cnt, pps, seconds, bytes);
	else
		die("connect SECONDS, idle SECONDS, load SITES PPS SECONDS BYTES");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct fleet f = {.hub.name = "hub"};
	char line[128];

	f.cnt = argc == 4 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	if (f.cnt < 1 || f.cnt > SITES_MAX || qb_addr_parse(argv[2], 4433, &f.hub.addr) ||
	    f.hub.addr.family != 4 || qb_pubkey_parse(argv[3], f.hub.public_key)) {
		fprintf(stderr, "usage: bench_sites COUNT HUB_ADDRESS HUB_KEY\n");
		return 2;
	}
	f.sites = calloc(f.cnt, sizeof(*f.sites));
	f.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!f.sites || f.epoll_fd < 0)
		die("no memory");
	qb_depot_init(&f.depot, map((size_t)FRAMES * QB_FRAME_BYTES),
		      map(FRAMES * sizeof(struct qb_buf)), FRAMES);
	qb_pool_init(&f.pool, &f.depot);
	qb_heap_init(&f.heap, map(f.cnt * sizeof(struct qb_timer *)), f.cnt);
	for (uint32_t i = 0; i < f.cnt; i++)
		make_site(&f, i);
	printf("\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		obey(&f, line);
	return 0;
}
