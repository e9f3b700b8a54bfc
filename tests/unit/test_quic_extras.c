/* SPDX-License-Identifier: BSD-2-Clause */
/* Reliable resets, priorities, the greased fixed bit, the spin bit, persistent congestion. */
#include <check.h>
#include <errno.h>

#include "quic/conn.h"
#include "quic_bulk.h"

/* ---- RESET_STREAM_AT ---- */

struct reset_case {
	const char *what;
	uint64_t written, fin;
	uint64_t at[3]; /* promised, one call after the other; 0 the end of them */
	uint64_t want;	/* bytes that must arrive */
};

static const struct reset_case reset_cases[] = {
	{"a header", 20000, 0, {100}, 100},
	{"all of it", 20000, 0, {20000}, 20000},
	{"more than one window", 600000, 0, {300000}, 300000},
	{"in two steps", 60000, 0, {50000, 1000}, 1000},
	{"in three steps", 60000, 0, {50000, 40000, 1}, 1},
	{"after the end", 5000, 1, {4000}, 4000},
	{"one byte", 1, 0, {1}, 1},
};

struct reader {
	uint64_t id, read;
	bool is_reset;
	uint64_t code;
};

static void read_on(struct pair *p, int side, const struct qb_quic_event *ev)
{
	struct reader *r = p->user;
	uint8_t piece[4096];
	bool is_fin = false;
	int64_t n, i;

	if (side != SERVER || ev->type != QB_EV_STREAM_READABLE || ev->stream_id != r->id)
		return;
	while ((n = qb_conn_stream_read(p->end[SERVER].conn, r->id, piece, sizeof(piece), &is_fin,
					&r->code)) > 0) {
		for (i = 0; i < n; i++)
			ck_assert_uint_eq(piece[i], bulk_byte(r->read + (uint64_t)i));
		r->read += (uint64_t)n;
	}
	r->is_reset |= n == -ECONNRESET;
	ck_assert(!is_fin);
}

static bool is_reset(struct pair *p)
{
	return ((struct reader *)p->user)->is_reset;
}

static void write_some(struct pair *p, uint64_t id, uint64_t *written, uint64_t to, bool is_fin)
{
	uint8_t piece[1000];

	while (*written < to) {
		size_t len = (size_t)QB_MIN(to - *written, sizeof(piece)), i;
		int64_t n;

		for (i = 0; i < len; i++)
			piece[i] = bulk_byte(*written + i);
		n = qb_conn_stream_write(p->end[CLIENT].conn, id, piece, len,
					 is_fin && *written + len == to);
		ck_assert_int_ge(n, 0);
		*written += (uint64_t)n;
		if ((size_t)n < len)
			return;
	}
}

START_TEST(test_reset_at)
{
	const struct reset_case *k = &reset_cases[(size_t)_i % QB_ARRAY_LEN(reset_cases)];
	struct pair_opts o = pair_default_opts(1 + (uint64_t)_i);
	struct pair *p = pair_up(&o);
	struct reader r = {0};
	uint64_t written = 0, at;
	uint32_t i;

	p->link[0].loss = _i < (int)QB_ARRAY_LEN(reset_cases) ? 0 : 0.1;
	p->link[0].jitter_ns = p->link[0].loss > 0 ? 20 * MS : 0;
	p->user = &r;
	p->on_event = read_on;
	r.id = (uint64_t)qb_conn_open_stream(p->end[CLIENT].conn, _i % 2);
	write_some(p, r.id, &written, k->written, k->fin);
	for (i = 0; i < 3 && k->at[i]; i++) {
		/* What does not fit into the buffer was not written: it cannot be promised. */
		at = QB_MIN(k->at[i], written);
		ck_assert_int_eq(qb_conn_stream_reset_at(p->end[CLIENT].conn, r.id, 77, at), 0);
		ck_assert_int_eq(qb_conn_stream_reset_at(p->end[CLIENT].conn, r.id, 77, at + 1),
				 -EINVAL);
		ck_assert_int_eq(qb_conn_stream_write(p->end[CLIENT].conn, r.id, "x", 1, true),
				 -EPIPE);
		if (_i % 3 == 0)
			pair_run(p, 5 * MS);
	}
	ck_assert_msg(pair_run_until(p, is_reset, 60 * SEC), "%s, seed %d", k->what, _i);
	ck_assert_uint_eq(r.code, 77);
	ck_assert_msg(r.read >= QB_MIN(k->want, written), "%s: %llu bytes", k->what,
		      (unsigned long long)r.read);
	/* Both ends forget the stream. */
	p->link[0].loss = 0;
	pair_run(p, 10 * SEC);
	if (!(_i % 2)) {
		ck_assert_uint_eq(p->end[CLIENT].conn->streams.live_cnt, 0);
		ck_assert_uint_eq(p->end[SERVER].conn->streams.live_cnt, 0);
	}
	ck_assert_uint_eq(p->end[CLIENT].conn->streams.tx_bytes,
			  p->end[SERVER].conn->streams.rx_bytes);
	pair_free(p);
}
END_TEST

/* Promised, and then taken back altogether, by ourselves or because the peer does not want it. */
START_TEST(test_reset_at_taken_back)
{
	struct pair_opts o = pair_default_opts(50 + (uint64_t)_i);
	struct pair *p = pair_up(&o);
	struct qb_conn *c = p->end[CLIENT].conn;
	struct reader r = {0};
	uint64_t written = 0;

	p->user = &r;
	p->on_event = read_on;
	r.id = (uint64_t)qb_conn_open_stream(c, false);
	write_some(p, r.id, &written, 200000, false);
	ck_assert_int_eq(qb_conn_stream_reset_at(c, r.id, 7, written), 0);
	p->link[0].loss = 0.1;
	pair_run(p, 12 * MS);
	switch (_i) {
	case 0:
		ck_assert_int_eq(qb_conn_stream_reset(c, r.id, 8), 0);
		break;
	case 1:
		ck_assert_int_eq(qb_conn_stream_reset_at(c, r.id, 8, 0), 0);
		break;
	case 2:
		ck_assert_int_eq(qb_conn_stream_stop(p->end[SERVER].conn, r.id, 9), 0);
		r.is_reset = true;
		break;
	}
	ck_assert(pair_run_until(p, is_reset, 20 * SEC));
	p->link[0].loss = 0;
	pair_run(p, 10 * SEC);
	/* The code of the first reset stands. */
	if (_i < 2)
		ck_assert_uint_eq(r.code, 7);
	ck_assert(p->end[CLIENT].conn && p->end[SERVER].conn);
	ck_assert_uint_eq(c->streams.live_cnt, 0);
	ck_assert_uint_eq(p->end[SERVER].conn->streams.live_cnt, 0);
	ck_assert_uint_eq(c->streams.tx_bytes, p->end[SERVER].conn->streams.rx_bytes);
	pair_free(p);
}
END_TEST

START_TEST(test_reset_at_unknown)
{
	struct pair_opts o = pair_default_opts(60);
	struct pair *p = pair_up(&o);
	struct qb_conn *c = p->end[CLIENT].conn;
	int64_t id = qb_conn_open_stream(c, true);

	ck_assert_int_eq(qb_conn_stream_reset_at(c, 400, 7, 0), -ENOENT);
	c->streams.can_reset_at = false;
	ck_assert_int_eq(qb_conn_stream_reset_at(c, (uint64_t)id, 7, 0), -EOPNOTSUPP);
	ck_assert_int_eq(qb_conn_stream_reset(c, (uint64_t)id, 7), 0);
	pair_free(p);
}
END_TEST

/* ---- priorities ---- */

static int64_t prio_id[3];
static uint64_t prio_read[3], prio_seen[3];

static void prio_event(struct pair *p, int side, const struct qb_quic_event *ev)
{
	uint8_t piece[4096];
	bool is_fin = false;
	uint32_t i;
	int64_t n;

	for (i = 0; i < 3 && (int64_t)ev->stream_id != prio_id[i]; i++)
		;
	if (i == 3 || side != SERVER || ev->type != QB_EV_STREAM_READABLE)
		return;
	do {
		n = qb_conn_stream_read(p->end[SERVER].conn, ev->stream_id, piece, sizeof(piece),
					&is_fin, NULL);
		prio_read[i] += n > 0 ? (uint64_t)n : 0;
	} while (n > 0 && !is_fin);
	/* How far the others were when this one came to its end. */
	if (is_fin)
		prio_seen[i] = prio_read[(i + 1) % 3] + prio_read[(i + 2) % 3];
}

/* 0: the urgent one first; 1: in turn, one after the other; 2: fair shares. With losses all the
 * same. */
START_TEST(test_priority)
{
	enum { BYTES = 120000 };
	struct pair_opts o = pair_default_opts(70 + (uint64_t)_i);
	struct pair *p = pair_up(&o);
	struct qb_conn *c = p->end[CLIENT].conn;
	static uint8_t data[BYTES];
	int how = _i % 3;
	uint32_t i;

	memset(prio_read, 0, sizeof(prio_read));
	memset(prio_seen, 0, sizeof(prio_seen));
	p->link[0].rate_bps = 10000000;
	p->link[0].queue_ns = 1 * SEC;
	p->link[0].loss = _i < 3 ? 0 : 0.02;
	p->on_event = prio_event;
	for (i = 0; i < 3; i++) {
		prio_id[i] = qb_conn_open_stream(c, false);
		ck_assert_int_ge(prio_id[i], 0);
		if (how == 0 && i == 2)
			ck_assert_int_eq(qb_conn_stream_priority(c, (uint64_t)prio_id[i], 1, true),
					 0);
		if (how == 1)
			ck_assert_int_eq(qb_conn_stream_priority(c, (uint64_t)prio_id[i], 3, false),
					 0);
		ck_assert_int_eq(qb_conn_stream_write(c, (uint64_t)prio_id[i], data, BYTES, true),
				 BYTES);
	}
	pair_run(p, 20 * SEC);
	for (i = 0; i < 3; i++)
		ck_assert_uint_eq(prio_read[i], BYTES);
	switch (how) {
	case 0:
		ck_assert_uint_lt(prio_seen[2], BYTES / 2);
		break;
	case 1:
		ck_assert_uint_lt(prio_seen[0], BYTES / 2);
		ck_assert_uint_lt(prio_seen[1], BYTES + BYTES / 2);
		break;
	case 2:
		for (i = 0; i < 3; i++)
			ck_assert_uint_gt(prio_seen[i], BYTES);
		break;
	}
	ck_assert_int_eq(qb_conn_stream_priority(c, 4000, 1, true), -ENOENT);
	pair_free(p);
}
END_TEST

/* ---- first bytes ---- */

static uint32_t clear_cnt[2], set_cnt[2], early_clear;
static uint32_t spin_flips[2], short_cnt[2];
static int last_spin[2];

static bool watch_bits(struct pair *p, int from, struct pair_pkt *pkt)
{
	bool is_long = pkt->data[0] & 0x80;

	if (pkt->data[0] & 0x40)
		set_cnt[from]++;
	else
		clear_cnt[from]++;
	/* The client's first flight, when it cannot know. */
	if (from == CLIENT && !p->end[CLIENT].rx_pkts)
		early_clear += !(pkt->data[0] & 0x40);
	if (!is_long) {
		int spin = (pkt->data[0] & 0x20) != 0;

		short_cnt[from]++;
		spin_flips[from] += last_spin[from] >= 0 && spin != last_spin[from];
		last_spin[from] = spin;
	}
	return true;
}

static void watch_start(struct pair *p)
{
	memset(clear_cnt, 0, sizeof(clear_cnt));
	memset(set_cnt, 0, sizeof(set_cnt));
	memset(spin_flips, 0, sizeof(spin_flips));
	memset(short_cnt, 0, sizeof(short_cnt));
	last_spin[0] = last_spin[1] = -1;
	early_clear = 0;
	p->on_packet = watch_bits;
}

static void talk(struct pair *p, uint32_t cnt)
{
	uint32_t i;

	for (i = 0; i < cnt; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, i, 100), 0);
		ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, i, 100), 0);
		pair_run(p, 5 * MS);
	}
	pair_run(p, 100 * MS);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, cnt);
	ck_assert_uint_eq(p->end[CLIENT].dgram_cnt, cnt);
}

/* Whoever is told that the bit may be anything makes it noise; else it is set. */
START_TEST(test_grease)
{
	struct pair_opts o = pair_default_opts(80 + (uint64_t)_i);
	struct pair *p;

	o.is_quic_bit_greased[CLIENT] = _i & 1;
	o.is_quic_bit_greased[SERVER] = _i & 2;
	p = pair_new(&o);
	watch_start(p);
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	talk(p, 200);
	ck_assert_uint_eq(early_clear, 0);
	if (_i == 3) {
		ck_assert_uint_gt(clear_cnt[CLIENT], set_cnt[CLIENT] / 2);
		ck_assert_uint_gt(set_cnt[CLIENT], clear_cnt[CLIENT] / 2);
		ck_assert_uint_gt(clear_cnt[SERVER], set_cnt[SERVER] / 2);
	} else {
		/* The one that takes it does not say so of the other. */
		ck_assert_uint_eq(clear_cnt[CLIENT] + clear_cnt[SERVER], 0);
	}
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_DROP_FIXED_BIT], 0);
	pair_free(p);
}
END_TEST

/* A token shows that its owner had the parameter: its first packet may come without the bit (RFC 9287 §3.1). */
START_TEST(test_grease_with_token)
{
	struct pair_opts o = pair_default_opts(95);
	struct qb_tuple t = pair_client_tuple(0);
	struct qb_conn *c;
	struct pair *p;

	o.is_quic_bit_greased[SERVER] = true;
	p = pair_up(&o);
	pair_run(p, 200 * MS);
	qb_conn_close(p->end[CLIENT].conn, 0, "", p->now_ns);
	pair_run(p, 10 * SEC);
	p->end[CLIENT].conn = p->end[SERVER].conn = NULL;
	watch_start(p);
	p->end[CLIENT].rx_pkts = 0;
	c = qb_quic_connect(p->end[CLIENT].q, &t, "hub", p->now_ns);
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_gt(c->hs.token_len, 0);
	c->is_greasing = true;
	while (!(qb_mix_u64(c->path[0].skip_pn) & 2)) /* the first number's lot */
		c->path[0].skip_pn++;
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	ck_assert_uint_gt(early_clear, 0);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_PTO_FIRED], 0);
	pair_free(p);
}
END_TEST

/* Without the bit strangers get nothing, not even a reset. */
START_TEST(test_grease_strangers)
{
	struct pair_opts o = pair_default_opts(90);
	struct qb_tuple t;
	struct pair *p;
	uint8_t pkt[1200] = {0x80, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x44, 0x9e};
	uint64_t sent;

	o.is_quic_bit_greased[SERVER] = true;
	p = pair_up(&o);
	t = pair_server_tuple(p, 3);
	sent = p->link[3].sent_pkts[SERVER];
	pair_inject(p, SERVER, &t, pkt, sizeof(pkt));
	pkt[0] = 0x00;
	pair_inject(p, SERVER, &t, pkt, sizeof(pkt));
	pair_run(p, 100 * MS);
	ck_assert_uint_eq(p->link[3].sent_pkts[SERVER], sent);
	pair_free(p);
}
END_TEST

/* Spinning shows the round trip; else the bit is noise. */
START_TEST(test_spin)
{
	struct pair_opts o = pair_default_opts(100 + (uint64_t)_i);
	struct pair *p;
	uint64_t took_ns;

	o.spin_of_16 = _i % 2 ? 15 : 0;
	p = pair_up(&o);
	/* One path in 16 does not take part: then the other end's is no wave either. */
	if (_i % 2 &&
	    !(p->end[CLIENT].conn->path[0].spin.is_on && p->end[SERVER].conn->path[0].spin.is_on)) {
		pair_free(p);
		return;
	}
	watch_start(p);
	took_ns = p->now_ns;
	talk(p, 400);
	took_ns = p->now_ns - took_ns;
	if (_i % 2) {
		/* Twice a period of two round trips of 20 ms. */
		ck_assert_uint_gt(spin_flips[CLIENT], took_ns / (20 * MS) * 7 / 10);
		ck_assert_uint_lt(spin_flips[CLIENT], took_ns / (20 * MS) * 13 / 10);
	} else {
		ck_assert_uint_gt(spin_flips[CLIENT], short_cnt[CLIENT] * 4 / 10);
		ck_assert_uint_lt(spin_flips[CLIENT], short_cnt[CLIENT] * 6 / 10);
	}
	pair_free(p);
}
END_TEST

/* How many of 200 connections spin: never all, whatever was asked for (RFC 9000 §17.4). */
START_TEST(test_spin_share)
{
	static const struct {
		uint8_t of_16;
		uint32_t least, most;
	} rows[] = {{0, 0, 0}, {8, 70, 130}, {15, 160, 198}, {16, 160, 198}};
	uint32_t on_cnt = 0, i;

	for (i = 0; i < 200; i++) {
		struct pair_opts o = pair_default_opts(1000 + i);
		struct pair *p;

		o.spin_of_16 = rows[_i].of_16;
		p = pair_new(&o);
		ck_assert_ptr_nonnull(pair_connect(p));
		on_cnt += qb_quic_next_conn(p->end[CLIENT].q, NULL)->path[0].spin.is_on;
		pair_free(p);
	}
	ck_assert_uint_ge(on_cnt, rows[_i].least);
	ck_assert_uint_le(on_cnt, rows[_i].most);
}
END_TEST

/* Who turns it off shall not have to wait for another connection; the same again changes nothing.
 */
START_TEST(test_spin_set)
{
	struct pair_opts o = pair_default_opts(120);
	uint32_t on_cnt = 0, i;
	struct qb_path *path;
	struct pair *p;

	o.spin_of_16 = 8;
	p = pair_up(&o);
	path = &p->end[CLIENT].conn->path[0];
	for (i = 0; i < 64; i++) {
		bool was = path->spin.is_on;

		qb_quic_set_spin(p->end[CLIENT].q, 8);
		ck_assert(path->spin.is_on == was);
		qb_quic_set_spin(p->end[CLIENT].q, 15);
		on_cnt += path->spin.is_on;
		qb_quic_set_spin(p->end[CLIENT].q, 0);
		ck_assert(!path->spin.is_on);
		qb_quic_set_spin(p->end[CLIENT].q, 8);
	}
	ck_assert_uint_gt(on_cnt, 48);
	watch_start(p);
	qb_quic_set_spin(p->end[CLIENT].q, 0);
	talk(p, 100);
	ck_assert_uint_gt(spin_flips[CLIENT], short_cnt[CLIENT] * 3 / 10);
	pair_free(p);
}
END_TEST

/* Another connection ID, and the wave begins anew: nobody shall recognize it (RFC 9000 §17.4). */
START_TEST(test_spin_cid)
{
	struct pair_opts o = pair_default_opts(121);
	struct qb_conn *c;
	struct qb_tuple t;
	struct pair *p;

	p = pair_up(&o);
	c = p->end[CLIENT].conn;
	pair_run(p, 200 * MS);
	watch_start(p);
	c->path[0].spin =
		(struct qb_spin){true, true, c->mp.pid[c->path[0].pid].remote.slot[0].seq};
	t = pair_client_tuple(1);
	ck_assert_int_eq(qb_conn_move_path(c, 0, &t, p->now_ns), 0);
	while (last_spin[CLIENT] < 0)
		ck_assert(pair_step(p, p->now_ns + SEC));
	ck_assert_int_eq(last_spin[CLIENT], 0);
	pair_free(p);
}
END_TEST

/* ---- persistent congestion ---- */

static void send_for(struct pair *p, uint64_t for_ns, uint32_t *no)
{
	uint64_t until_ns = p->now_ns + for_ns;

	while (p->now_ns < until_ns) {
		(void)!pair_send_dgram(p, CLIENT, 0, (*no)++, 300);
		pair_run(p, 10 * MS);
	}
}

/* A blackout longer than three probe timeouts is persistent congestion, a short one is a loss. */
START_TEST(test_persistent)
{
	struct pair_opts o = pair_default_opts(120 + (uint64_t)_i);
	struct pair *p;
	struct qb_path_info info;
	uint32_t no = 0;

	o.cc = _i < 2 ? "newreno" : "cubic";
	p = pair_up(&o);
	send_for(p, 2 * SEC, &no);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	p->link[0].is_down = true;
	send_for(p, _i % 2 ? 8 * info.pto_ns : info.pto_ns, &no);
	p->link[0].is_down = false;
	send_for(p, 3 * SEC, &no);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_PERSISTENT_CONGESTION], _i % 2);
	ck_assert_uint_gt(p->end[CLIENT].counters.v[QB_CNT_PACKETS_LOST], 0);
	pair_free(p);
}
END_TEST

static bool drop_even(struct pair *p, int from, struct pair_pkt *pkt)
{
	static uint32_t n;

	(void)p;
	return from != CLIENT || pkt->len < 300 || n++ % 2;
}

/* Many losses with arrivals between them, for however long, are none. */
START_TEST(test_not_persistent)
{
	struct pair_opts o = pair_default_opts(130);
	struct pair *p = pair_up(&o);
	uint32_t no = 0;

	send_for(p, 1 * SEC, &no);
	p->on_packet = drop_even;
	send_for(p, 5 * SEC, &no);
	ck_assert_uint_gt(p->end[CLIENT].counters.v[QB_CNT_PACKETS_LOST], 100);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_PERSISTENT_CONGESTION], 0);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/extras");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_reset_at, 0, 6 * (int)QB_ARRAY_LEN(reset_cases));
	tcase_add_loop_test(tc, test_reset_at_taken_back, 0, 3);
	tcase_add_test(tc, test_reset_at_unknown);
	tcase_add_loop_test(tc, test_priority, 0, 6);
	tcase_add_loop_test(tc, test_grease, 0, 4);
	tcase_add_test(tc, test_grease_with_token);
	tcase_add_test(tc, test_grease_strangers);
	tcase_add_loop_test(tc, test_spin, 0, 8);
	tcase_add_loop_test(tc, test_spin_share, 0, 4);
	tcase_add_test(tc, test_spin_set);
	tcase_add_test(tc, test_spin_cid);
	tcase_add_loop_test(tc, test_persistent, 0, 4);
	tcase_add_test(tc, test_not_persistent);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
