/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two ends of a connection's streams, joined by a network that loses, reorders, delays and falsely
 * reports packets lost, by seed. Whatever it does, both applications, driven by events alone, get
 * each other's bytes whole, and in the end no memory is missing.
 */
#include "streams_side.h"

#include <errno.h>

#include "base/rand.h"
#include "require.h"

enum { FLIGHT_MAX = 64, APP_STREAM_MAX = 256, STEP_MAX = 400000 };

/* What one application knows of one stream. */
struct app_stream {
	uint64_t id;
	uint64_t written, total; /* total 0: this side does not send on it */
	uint64_t read;
	uint64_t reset_at; /* give up sending after so many bytes; UINT64_MAX never */
	bool sends, receives, is_fin_written, is_read_over, is_write_over, is_reset_seen;
};

struct packet {
	uint8_t data[1200];
	size_t len;
	struct qb_frame_ref refs[SIDE_REF_CAP];
	size_t ref_cnt;
	bool is_used, is_declared_lost;
};

struct end {
	struct side side;
	struct app_stream app[APP_STREAM_MAX];
	size_t app_cnt;
	struct packet flight[FLIGHT_MAX];
	uint64_t opens_left;
};

static struct end ends[2];
static struct qb_rand rnd;
static uint64_t loss_pct, reset_pct, now_ns;

static uint8_t byte_at(int sender, uint64_t id, uint64_t off)
{
	return (uint8_t)((off * 131) ^ (off >> 8) ^ (id * 17) ^ (uint64_t)sender * 91);
}

/* ---- applications ---- */

static struct app_stream *app_find(int me, uint64_t id)
{
	struct end *e = &ends[me];

	for (size_t i = 0; i < e->app_cnt; i++)
		if (e->app[i].id == id)
			return &e->app[i];
	REQUIRE(e->app_cnt < APP_STREAM_MAX);
	e->app[e->app_cnt] = (struct app_stream){
		.id = id,
		.sends = !(id & 2) || (id & 1) == (uint64_t)me,
		.receives = !(id & 2) || (id & 1) != (uint64_t)me,
		.total = qb_rand_below(&rnd, 40000),
		.reset_at = UINT64_MAX,
	};
	if (qb_rand_below(&rnd, 100) < reset_pct)
		e->app[e->app_cnt].reset_at = qb_rand_below(&rnd, 20000);
	return &e->app[e->app_cnt++];
}

static void app_write(int me, struct app_stream *a)
{
	struct qb_streams *s = &ends[me].side.s;

	while (a->sends && !a->is_write_over) {
		uint8_t data[3000];
		size_t len = (size_t)qb_min_u64(1 + qb_rand_below(&rnd, sizeof(data)),
						a->total - a->written);
		bool is_fin = a->written + len == a->total;
		int64_t n;

		if (a->written >= a->reset_at) {
			ck_assert_int_eq(qb_streams_reset(s, a->id, 99), 0);
			a->is_write_over = true;
			return;
		}
		for (size_t i = 0; i < len; i++)
			data[i] = byte_at(me, a->id, a->written + i);
		n = qb_streams_write_data(s, a->id, data, len, is_fin);
		if (n == -EPIPE || n == -ENOENT) {
			a->is_write_over = true; /* stopped by the peer */
			return;
		}
		REQUIRE(n >= 0 && n <= (int64_t)len);
		a->written += (uint64_t)n;
		if (n < (int64_t)len)
			return; /* an event will come */
		a->is_write_over = is_fin;
		a->is_fin_written = is_fin;
	}
}

static void app_read(int me, struct app_stream *a)
{
	struct qb_streams *s = &ends[me].side.s;

	while (!a->is_read_over) {
		uint8_t data[2500];
		uint64_t code = 0;
		bool is_fin;
		int64_t n = qb_streams_read(s, a->id, data, 1 + qb_rand_below(&rnd, sizeof(data)),
					    &is_fin, &code);

		if (n == -ECONNRESET) {
			ck_assert_uint_eq(code, 99);
			a->is_read_over = a->is_reset_seen = true;
			return;
		}
		REQUIRE(n >= 0);
		for (int64_t i = 0; i < n; i++)
			REQUIRE(data[i] == byte_at(!me, a->id, a->read + (uint64_t)i));
		a->read += (uint64_t)n;
		a->is_read_over = is_fin;
		if (n == 0)
			return;
		if (!is_fin && qb_rand_below(&rnd, 1000) < reset_pct) {
			ck_assert_int_eq(qb_streams_stop(s, a->id, 99), 0);
			a->is_read_over = a->is_reset_seen = true;
		}
	}
}

static void app_open(int me)
{
	struct end *e = &ends[me];
	int64_t id;

	if (e->opens_left == 0)
		return;
	id = qb_streams_open(&e->side.s, qb_rand_below(&rnd, 2));
	if (id < 0)
		return;
	e->opens_left--;
	qb_streams_set_priority(&e->side.s, (uint64_t)id, (uint8_t)qb_rand_below(&rnd, 8),
				qb_rand_below(&rnd, 2));
	app_write(me, app_find(me, (uint64_t)id));
}

static void app_events(int me)
{
	struct qb_quic_event ev;

	while (qb_streams_next_event(&ends[me].side.s, &ev)) {
		struct app_stream *a = app_find(me, ev.stream_id);

		if (ev.type == QB_EV_STREAM_STOPPED) {
			ck_assert_uint_eq(ev.error_code, 99);
			a->is_write_over = true;
			a->is_fin_written = false;
		} else if (ev.type == QB_EV_STREAM_WRITABLE) {
			app_write(me, a);
		} else {
			bool is_new = a->sends && a->written == 0 && !a->is_write_over;

			REQUIRE(ev.type == QB_EV_STREAM_READABLE);
			app_read(me, a);
			if (is_new)
				app_write(me, a);
		}
	}
	REQUIRE(!qb_streams_has_event(&ends[me].side.s));
}

/* ---- network ---- */

static void net_send(int me)
{
	struct end *e = &ends[me];
	struct packet *p = e->flight;
	struct qb_wr w;
	bool had_data = qb_streams_has_data(&e->side.s);
	size_t cap = 200 + qb_rand_below(&rnd, sizeof(p->data) - 200);

	while (p < e->flight + FLIGHT_MAX && p->is_used)
		p++;
	if (p == e->flight + FLIGHT_MAX)
		return;
	p->ref_cnt = 0;
	w = qb_wr_init(p->data, cap);
	p->len = qb_streams_write(&e->side.s, &w, p->refs, 1 + qb_rand_below(&rnd, SIDE_REF_CAP),
				  &p->ref_cnt, false, now_ns);
	REQUIRE(!w.bad);
	REQUIRE((size_t)(w.p - p->data) == p->len);
	REQUIRE((p->len > 0) == had_data);
	REQUIRE((p->ref_cnt > 0) == had_data);
	p->is_used = had_data;
	p->is_declared_lost = false;
}

static int deliver(int to, const struct packet *p)
{
	size_t off = 0, n = 0;

	while (off < p->len) {
		struct qb_fault fault = {0};
		struct qb_frame f;
		int len = qb_frame_parse(&f, p->data + off, p->len - off, QB_PKT_1RTT, &fault);
		int rc;

		REQUIRE(len > 0);
		REQUIRE(qb_streams_is_frame(f.type));
		rc = qb_streams_on_frame(&ends[to].side.s, &f, &fault);
		if (rc == -ENOBUFS)
			return rc;
		if (rc)
			ck_abort_msg("%s: %s", qb_frame_name(f.type), fault.why);
		off += (size_t)len;
		n++;
	}
	REQUIRE(n == p->ref_cnt); /* one reference a frame */
	return 0;
}

static void tell(struct end *e, struct packet *p, bool is_acked)
{
	for (size_t i = 0; i < p->ref_cnt; i++) {
		if (is_acked)
			qb_streams_on_acked(&e->side.s, &p->refs[i]);
		else
			qb_streams_on_lost(&e->side.s, &p->refs[i]);
	}
}

/* Some packet in flight meets its fate. */
static void net_fate(int me)
{
	struct end *e = &ends[me];
	struct packet *p = &e->flight[qb_rand_below(&rnd, FLIGHT_MAX)];
	uint64_t dice = qb_rand_below(&rnd, 100);

	if (!p->is_used)
		return;
	if (dice < loss_pct) {
		tell(e, p, false);
		p->is_used = false;
	} else if (dice < loss_pct + loss_pct / 2) {
		tell(e, p, false); /* a spurious loss: it may still arrive */
		p->is_declared_lost = true;
	} else if (deliver(!me, p) < 0) {
		tell(e, p, false);
		p->is_used = false;
	} else {
		tell(e, p, true);
		p->is_used = qb_rand_below(&rnd, 100) < loss_pct / 2; /* and it may arrive twice */
	}
}

/* ---- the test ---- */

static bool is_over(int me)
{
	const struct end *e = &ends[me];

	return e->opens_left == 0 && e->side.s.live_cnt == 0 && !qb_streams_has_data(&e->side.s);
}

static void finish_sending(int me)
{
	struct end *e = &ends[me];

	/* Streams that the peer opened implicitly or cut off before anything could be read. */
	for (uint64_t kind = 0; kind < 4; kind += 2) {
		const struct qb_stream_set *set = &e->side.s.peer[kind >> 1];

		for (uint64_t i = 0; i < set->opened_cnt; i++) {
			struct app_stream *a = app_find(me, i << 2 | kind | (uint64_t)!me);

			if (a->written == 0) /* the rest is for events to bring about */
				app_write(me, a);
		}
	}
}

static void check_ends(void)
{
	for (int me = 0; me < 2; me++) {
		for (size_t i = 0; i < ends[me].app_cnt; i++) {
			const struct app_stream *a = &ends[me].app[i];
			const struct app_stream *b = app_find(!me, a->id);

			if (!a->receives)
				continue;
			ck_assert(a->is_read_over);
			if (!a->is_reset_seen) {
				ck_assert(b->is_fin_written);
				ck_assert_uint_eq(a->read, b->total);
			}
			ck_assert_uint_le(a->read, b->written);
		}
	}
}

static void run(uint64_t seed, uint32_t chunk_cnt)
{
	struct qb_tparams tp = side_params();
	int step;

	qb_rand_seed(&rnd, seed);
	now_ns = 1;
	for (int i = 0; i < 2; i++) {
		memset(&ends[i], 0, sizeof(ends[i]));
		side_init(&ends[i].side, i, &tp, chunk_cnt);
		ends[i].opens_left = 20;
	}
	for (int i = 0; i < 2; i++) {
		qb_streams_set_peer_params(&ends[i].side.s, &ends[!i].side.tp);
		qb_streams_set_rtt(&ends[i].side.s, 50 * QB_NS_PER_MS);
	}
	for (step = 0; step < STEP_MAX && !(is_over(0) && is_over(1)); step++) {
		int me = (int)qb_rand_below(&rnd, 2);

		now_ns += qb_rand_below(&rnd, QB_NS_PER_MS);
		app_open(me);
		net_send(me);
		for (int i = 0; i < 8; i++)
			net_fate((int)qb_rand_below(&rnd, 2));
		app_events(0);
		app_events(1);
		if (step % 64 == 0)
			finish_sending(me);
	}
	ck_assert_msg(step < STEP_MAX, "seed %d does not come to an end: %d and %d streams live",
		      (int)seed, (int)ends[0].side.s.live_cnt, (int)ends[1].side.s.live_cnt);
	check_ends();
	side_fini(&ends[0].side);
	side_fini(&ends[1].side);
}

START_TEST(test_clean)
{
	loss_pct = reset_pct = 0;
	run((uint64_t)_i, SIDE_CHUNK_CNT);
}
END_TEST

START_TEST(test_lossy)
{
	loss_pct = 5 + 10 * ((uint64_t)_i % 4);
	reset_pct = 0;
	run(1000 + (uint64_t)_i, SIDE_CHUNK_CNT);
}
END_TEST

START_TEST(test_lossy_with_resets)
{
	loss_pct = 5 + 10 * ((uint64_t)_i % 4);
	reset_pct = 30;
	run(2000 + (uint64_t)_i, SIDE_CHUNK_CNT);
}
END_TEST

/* Half of the chunks just covers the receive windows: writers keep running dry, still everything
 * arrives. */
START_TEST(test_little_memory)
{
	loss_pct = 10;
	reset_pct = 0;
	run(3000 + (uint64_t)_i, 96);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/streams over a bad network");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_clean, 0, 8);
	tcase_add_loop_test(tc, test_lossy, 0, 24);
	tcase_add_loop_test(tc, test_lossy_with_resets, 0, 24);
	tcase_add_loop_test(tc, test_little_memory, 0, 8);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
