/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole connections over links that lose, repeat, reorder, damage and delay packets, go dark and
 * change addresses, all drawn from a seed: whatever happens, streams arrive byte for byte, no
 * datagram comes twice, and all memory comes back.
 *
 *     QB_SEEDS=5000 build/gcc/tests/test_quic_seeds       many seeds; QB_SEED: the first
 *     QB_SEED=1234 QB_SEEDS=1 CK_FORK=no ...              one again: the failed check's number is
 * its seed
 */
#include <check.h>
#include <errno.h>

#include "quic/conn.h"
#include "quic_pair.h"

enum {
	SEEDS = 120,
	STREAMS = 6,
	TICK_MS = 20,
	DGRAMS = 1500,
	PROBES_BYTES = 4 * 1472, /* at once: two, and challenges and their answers */
};

struct flow {
	int64_t id;
	int from;
	uint64_t total, written, read;
	bool is_bidi, is_done;
};

/* What a path had under way when it was last looked at. */
struct flight {
	uint32_t id;
	uint64_t bytes, window;
};

struct world {
	struct flow flow[STREAMS];
	uint32_t flow_cnt, link_cnt, dgram_no[2], dgram_max;
	uint64_t storm_until_ns; /* links misbehave so long */
	uint64_t dark_until_ns[PAIR_LINKS];
	double dark, rebind; /* chances a tick */
	struct flight flight[2][QB_PATHS_MAX];
	bool is_rebinding_hosts;
};

static uint64_t below(struct pair *p, uint64_t n)
{
	return qb_rand_below(&p->rnd, n);
}

static uint8_t byte_of(const struct flow *f, uint64_t off)
{
	return (uint8_t)((off + (uint64_t)f->id) * 131 + (off >> 8));
}

static void write_flow(struct pair *p, struct flow *f)
{
	struct qb_conn *c = p->end[f->from].conn;
	uint8_t piece[4096];
	int64_t n;

	while (c && f->written < f->total) {
		uint64_t most = 1 + below(p, sizeof(piece));
		size_t len = (size_t)QB_MIN(f->total - f->written, most), i;

		for (i = 0; i < len; i++)
			piece[i] = byte_of(f, f->written + i);
		n = qb_conn_stream_write(c, (uint64_t)f->id, piece, len,
					 f->written + len == f->total);
		REQUIRE(n >= 0);
		f->written += (uint64_t)n;
		if ((size_t)n < len)
			return;
	}
}

static void read_flow(struct pair *p, struct flow *f)
{
	struct qb_conn *c = p->end[!f->from].conn;
	uint8_t piece[8192];
	bool is_fin = false;
	int64_t n, i;

	while (c && !f->is_done) {
		n = qb_conn_stream_read(c, (uint64_t)f->id, piece,
					1 + (size_t)below(p, sizeof(piece)), &is_fin, NULL);
		if (n <= 0 && !is_fin)
			return;
		for (i = 0; i < n && piece[i] == byte_of(f, f->read + (uint64_t)i); i++)
			;
		REQUIRE(i == n);
		f->read += (uint64_t)n;
		f->is_done = is_fin;
		REQUIRE(!is_fin || f->read == f->total);
	}
}

static void on_event(struct pair *p, int side, const struct qb_quic_event *ev)
{
	struct world *w = p->user;
	uint32_t i;

	for (i = 0; i < w->flow_cnt; i++) {
		struct flow *f = &w->flow[i];

		if (f->id < 0 || ev->stream_id != (uint64_t)f->id)
			continue;
		if (ev->type == QB_EV_STREAM_READABLE && side != f->from)
			read_flow(p, f);
		if (ev->type == QB_EV_STREAM_WRITABLE && side == f->from)
			write_flow(p, f);
	}
}

static void open_flows(struct pair *p, struct world *w)
{
	uint32_t i;

	for (i = 0; i < w->flow_cnt; i++) {
		struct flow *f = &w->flow[i];
		struct qb_conn *c = p->end[f->from].conn;

		if (f->id >= 0 || !c)
			continue;
		f->id = qb_conn_open_stream(c, f->is_bidi);
		if (f->id >= 0)
			write_flow(p, f);
	}
}

static void open_paths(struct pair *p, struct world *w)
{
	struct qb_conn *c = p->end[CLIENT].conn;
	struct qb_path_info info;
	bool has[PAIR_LINKS] = {false};
	uint8_t i;

	for (i = 0; i < QB_PATHS_MAX; i++)
		if (qb_conn_path_info(c, i, p->now_ns, &info) && info.phase != QB_PATH_CLOSING)
			has[info.tuple.link] = true;
	for (i = 0; i < w->link_cnt; i++) {
		struct qb_tuple t = pair_client_tuple(i);

		if (!has[i] && below(p, 8) == 0)
			(void)!qb_conn_open_path(c, &t, p->now_ns);
	}
}

/* disturb lets links go dark, come back, and change what the server sees of them. */
static void disturb(struct pair *p, struct world *w)
{
	uint32_t i;

	for (i = 0; i < w->link_cnt; i++) {
		struct pair_link *l = &p->link[i];

		if (l->is_down && p->now_ns >= w->dark_until_ns[i])
			l->is_down = false;
		if (p->now_ns >= w->storm_until_ns)
			continue;
		if (pair_chance(p, w->dark)) {
			l->is_down = true;
			w->dark_until_ns[i] = p->now_ns + below(p, 1500 * MS);
		}
		/* During the handshake a server stays with the address that it began with (RFC 9000
		 * §9). */
		if (pair_is_up(p) && pair_chance(p, w->rebind)) {
			l->nat_port = (uint16_t)(5000 + below(p, 50000));
			if (w->is_rebinding_hosts)
				l->nat_host = (uint8_t)(1 + below(p, 200));
		}
	}
}

static void calm(struct pair *p)
{
	uint32_t i;

	for (i = 0; i < PAIR_LINKS; i++) {
		struct pair_link *l = &p->link[i];

		l->loss = QB_MIN(l->loss, 0.02);
		l->corrupt = l->truncate = 0;
	}
}

static void send_some(struct pair *p, struct world *w, int side)
{
	uint8_t path = (uint8_t)below(p, w->link_cnt);
	struct qb_lost_datagram lost;
	int rc;

	while (qb_conn_next_lost(p->end[side].conn, &lost))
		REQUIRE(lost.cookie < w->dgram_no[side]);
	if (w->dgram_no[side] >= w->dgram_max)
		return;
	rc = pair_send_dgram(p, side, path, w->dgram_no[side], 8 + (uint32_t)below(p, 1000));
	REQUIRE(rc == 0 || rc == -EAGAIN || rc == -ENOTCONN || rc == -EMSGSIZE);
	w->dgram_no[side] += rc == 0;
}

/*
 * must_keep_limits: what is sent stays within the peer's credit and, on each path, the window; over it only go probes, challenges
 * and their answers, a few at a time (RFC 9002 §7.5).
 */
static void must_keep_limits(struct pair *p, struct world *w, int side)
{
	const struct qb_conn *c = p->end[side].conn;

	REQUIRE(c->streams.tx_bytes <= c->streams.tx_max);
	REQUIRE(c->streams.rx_bytes <= c->streams.rx.max);
	for (uint32_t i = 0; i < c->path_cnt; i++) {
		const struct qb_path *path = &c->path[i];
		struct flight *was = &w->flight[side][i];
		uint64_t most = QB_MAX(QB_MAX(path->cc.view.cwnd_bytes, was->window), was->bytes);

		if (path->phase == QB_PATH_OPEN && path->id == was->id)
			REQUIRE(path->cc.in_flight_bytes <= most + PROBES_BYTES);
		*was = (struct flight){path->id, path->cc.in_flight_bytes, path->cc.view.cwnd_bytes};
	}
}

static void on_tick(struct pair *p, int side)
{
	struct world *w = p->user;

	if (side == CLIENT)
		disturb(p, w);
	if (!p->end[CLIENT].conn || !p->end[SERVER].conn)
		return;
	must_keep_limits(p, w, side);
	if (side == CLIENT) {
		open_flows(p, w);
		open_paths(p, w);
	}
	send_some(p, w, side);
}

static bool is_all_done(struct pair *p)
{
	const struct world *w = p->user;
	uint32_t i;

	for (i = 0; i < w->flow_cnt; i++)
		if (!w->flow[i].is_done)
			return false;
	return true;
}

static struct pair_opts draw_opts(uint64_t seed, struct qb_rand *r)
{
	static const char *const ccs[] = {"newreno", "cubic", "bbr3"};
	struct pair_opts o = pair_default_opts(seed);

	o.cc = ccs[qb_rand_below(r, QB_ARRAY_LEN(ccs))];
	o.retry = qb_rand_below(r, 3) == 0 ? QB_RETRY_ALWAYS : QB_RETRY_OFF;
	o.idle_ns = 60 * SEC;
	o.keepalive_ns = SEC + qb_rand_below(r, 4 * SEC);
	o.ack_pkts_max = (uint32_t)qb_rand_below(r, 3) ? 0 : 1;
	o.key_update_ns = qb_rand_below(r, 3) == 0 ? SEC + qb_rand_below(r, 3 * SEC) : 0;
	o.is_quic_bit_greased[CLIENT] = qb_rand_below(r, 2);
	o.is_quic_bit_greased[SERVER] = qb_rand_below(r, 2);
	o.spin_of_16 = 15 * qb_rand_below(r, 2);
	if (qb_rand_below(r, 3) == 0)
		o.versions[SERVER][0] = QB_QUIC_V2, o.versions[SERVER][1] = QB_QUIC_V1;
	if (qb_rand_below(r, 6) == 0)
		o.max_path_id_server = UINT32_MAX;
	if (qb_rand_below(r, 4) == 0)
		o.stream_chunks = 256 + (uint32_t)qb_rand_below(r, 512);
	return o;
}

static void draw_links(struct pair *p, struct world *w)
{
	uint32_t i;

	for (i = 0; i < w->link_cnt; i++) {
		struct pair_link *l = &p->link[i];

		l->delay_ns = MS + below(p, 80 * MS);
		l->jitter_ns = below(p, 2) ? below(p, 60 * MS) : 0;
		l->loss = below(p, 3) ? (double)below(p, 15) / 100 : 0;
		l->dup = below(p, 2) ? (double)below(p, 10) / 100 : 0;
		l->corrupt = below(p, 3) == 0 ? (double)below(p, 10) / 100 : 0;
		l->truncate = below(p, 4) == 0 ? (double)below(p, 10) / 100 : 0;
		l->ce = below(p, 4) == 0 ? (double)below(p, 20) / 100 : 0;
		l->is_bleaching = below(p, 4) == 0;
		l->mtu_bytes = below(p, 3) == 0 ? 1200 + (uint32_t)below(p, 300) : 0;
		if (below(p, 3) == 0) {
			l->rate_bps = 1000000 + below(p, 50000000);
			l->queue_ns = 5 * MS + below(p, 200 * MS);
		}
	}
}

static void draw_flows(struct pair *p, struct world *w)
{
	uint32_t i;

	for (i = 0; i < w->flow_cnt; i++)
		w->flow[i] = (struct flow){
			.id = -1,
			.from = (int)below(p, 2),
			.is_bidi = below(p, 2),
			.total = 1 + below(p, below(p, 4) ? 20000 : 400000),
		};
}

static struct pair_end *spoiler(struct pair *p)
{
	return p->end[CLIENT].events[QB_EV_CONN_CLOSED] ? &p->end[CLIENT] : &p->end[SERVER];
}

START_TEST(test_seed)
{
	struct qb_rand r;
	struct pair_opts o;
	struct world w = {0};
	struct pair *p;
	uint32_t i;
	int side;

	qb_rand_seed(&r, (uint64_t)_i * 7919 + 1);
	o = draw_opts((uint64_t)_i + 1, &r);
	p = pair_new(&o);
	w.link_cnt = 1 + (uint32_t)below(p, 4);
	w.flow_cnt = 1 + (uint32_t)below(p, STREAMS);
	w.dgram_max = below(p, 2) ? DGRAMS : 0;
	w.storm_until_ns = p->now_ns + below(p, 15 * SEC);
	w.dark = below(p, 3) == 0 ? 0.005 : 0;
	w.rebind = below(p, 3) == 0 ? 0.01 : 0;
	w.is_rebinding_hosts = below(p, 2);
	draw_links(p, &w);
	draw_flows(p, &w);
	p->user = &w;
	p->on_event = on_event;
	p->on_tick = on_tick;
	p->tick_ns = TICK_MS * MS;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert_msg(pair_run_until(p, pair_is_up, 50 * SEC), "seed %d: no connection: %s", _i,
		      spoiler(p)->reason);
	if (p->now_ns < w.storm_until_ns)
		pair_run(p, w.storm_until_ns - p->now_ns);
	calm(p);
	ck_assert_msg(pair_run_until(p, is_all_done, 300 * SEC) &&
			      !spoiler(p)->events[QB_EV_CONN_CLOSED],
		      "seed %d: not all arrived: %s", _i, spoiler(p)->reason);
	pair_run(p, 5 * SEC);
	for (side = 0; side < 2; side++) {
		struct pair_end *e = &p->end[side];

		ck_assert_msg(e->conn, "seed %d: closed at last: %s", _i, e->reason);
		for (i = 0; i < w.dgram_no[!side]; i++)
			ck_assert_uint_le(e->dgram_seen[i], 1);
		qb_conn_close(e->conn, 0, "done", p->now_ns);
	}
	pair_run(p, 60 * SEC);
	for (side = 0; side < 2; side++) {
		const struct qb_quic *q = p->end[side].q;

		ck_assert_uint_eq(q->conn_slab.used_cnt, 0);
		ck_assert_uint_eq(q->sent_slab.used_cnt, 0);
		ck_assert_uint_eq(q->ref_slab.used_cnt, 0);
		ck_assert_uint_eq(q->stream_slab.used_cnt, 0);
		ck_assert_uint_eq(q->chunks.slab.used_cnt, 0);
		ck_assert_uint_eq(q->half_opens.cnt, 0);
	}
	pair_free(p);
}
END_TEST

static int env(const char *name, int otherwise)
{
	const char *text = getenv(name);

	return text ? atoi(text) : otherwise;
}

int main(void)
{
	Suite *s = suite_create("quic/seeds");
	TCase *tc = tcase_create("all");
	int first = env("QB_SEED", 0), cnt = env("QB_SEEDS", SEEDS), failed;
	SRunner *sr;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_seed, first, first + cnt);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	if (failed)
		printf("a failed check's number is its seed: QB_SEED=N QB_SEEDS=1 CK_FORK=no runs "
		       "it again\n");
	return failed != 0;
}
