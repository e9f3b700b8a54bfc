/* SPDX-License-Identifier: BSD-2-Clause */
/* The reorder buffer: single cases, and properties over random links. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "bond/reorder.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

enum { FRAMES = 16384 };

static uint8_t *frames;
static struct qb_buf *bufs;
static struct qb_depot depot;
static struct qb_pool pool;
static struct qb_counters counters;
static struct qb_reorder r;
static void *mem;

static void start(uint32_t cap, enum qb_reorder_mode mode)
{
	struct qb_bond_cfg cfg = {.reorder = mode,
				  .reorder_max_ns = 30 * MS,
				  .reorder_pkts = cap,
				  .counters = &counters,
				  .pool = &pool};

	mem = malloc(qb_reorder_footprint(cap));
	memset(mem, 0xa5, qb_reorder_footprint(cap));
	qb_reorder_init(&r, mem, &cfg);
}

static void restart(uint32_t cap, enum qb_reorder_mode mode)
{
	qb_reorder_fini(&r);
	free(mem);
	start(cap, mode);
}

static void setup(void)
{
	frames = malloc((size_t)FRAMES * QB_FRAME_BYTES);
	bufs = calloc(FRAMES, sizeof(*bufs));
	memset(&counters, 0, sizeof(counters));
	qb_depot_init(&depot, frames, bufs, FRAMES);
	qb_pool_init(&pool, &depot);
	start(1024, QB_REORDER_AUTO);
}

static void teardown(void)
{
	qb_reorder_fini(&r);
	qb_pool_fini(&pool);
	ck_assert_uint_eq(depot.free_cnt, FRAMES);
	free(mem);
	free(bufs);
	free(frames);
}

static void push_any(uint8_t flags, uint32_t seq, uint16_t delta, uint8_t path, bool is_again, uint64_t now)
{
	struct qb_buf *b = qb_buf_get(&pool);

	ck_assert_ptr_nonnull(b);
	b->len = 100;
	b->seq = seq;
	b->delta = delta;
	b->path = path;
	b->flags = flags;
	qb_reorder_push(&r, b, is_again, now);
	qb_reorder_settle(&r, now);
}

static void push(uint32_t seq, uint16_t delta, uint8_t path, uint64_t now)
{
	push_any(0, seq, delta, path, false, now);
}

/* Asserts what comes out, as text: "1 2 5". */
static void expect(const char *want)
{
	struct qb_batch out = {0};
	char got[1024] = "";
	size_t n = 0;

	do {
		out.cnt = 0;
		qb_reorder_flush(&r, &out);
		for (uint32_t i = 0; i < out.cnt; i++) {
			n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%u", n ? " " : "",
					      out.buf[i]->seq);
			qb_buf_put(&pool, out.buf[i]);
		}
	} while (out.cnt);
	ck_assert_str_eq(got, want);
}

static void drain(void)
{
	while (r.ready_head) {
		struct qb_batch out = {0};

		qb_reorder_flush(&r, &out);
		qb_batch_put(&pool, &out);
	}
}

START_TEST(in_order_goes_straight_through)
{
	for (uint32_t i = 0; i < 50; i++)
		push(100 + i, i ? 1 : 0, 0, SEC);
	ck_assert_uint_eq(r.held_cnt, 0);
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_HELD], 0);
}
END_TEST

START_TEST(a_gap_is_filled_by_the_slower_path)
{
	push(1, 0, 0, SEC);
	push(2, 1, 1, SEC); /* both paths are known */
	expect("1 2");
	push(4, 1, 0, SEC);
	push(5, 1, 0, SEC);
	push(6, 1, 0, SEC);
	expect("");
	push(3, 1, 1, SEC + 20 * MS);
	expect("3 4 5 6");
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_HELD], 3);
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_TIMEOUT], 0);
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_HOLD_20MS], 3);
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_HOLD_US], 60000);
}
END_TEST

/* What is held back takes no more memory than allowed: who has waited longest goes first, and all goes out in order. */
START_TEST(memory_is_bounded)
{
	qb_reorder_set_limit(&r, 350);
	push(1, 0, 0, SEC);
	push(2, 1, 1, SEC);
	expect("1 2");
	push(10, 5, 0, SEC); /* waits for 5 */
	push(11, 5, 0, SEC + MS);
	push(12, 5, 0, SEC + 2 * MS);
	expect("");
	push(13, 5, 0, SEC + 3 * MS);
	expect("10");
	ck_assert_uint_eq(r.held_cnt, 3);
	ck_assert_uint_eq(r.held_bytes, 300);
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_FULL], 1);
	push(5, 0, 1, SEC + 4 * MS);
	expect("5");
	push(6, 0, 1, SEC + 4 * MS);
	expect("6 11");
	ck_assert_uint_eq(r.held_bytes, 200);
}
END_TEST

START_TEST(flows_do_not_wait_for_each_other)
{
	push(1, 0, 0, SEC);
	push(2, 0, 1, SEC);
	expect("1 2");
	push(5, 2, 0, SEC); /* of the flow whose 3 is missing */
	push(6, 5, 0, SEC); /* successor of 1, which is out */
	push(7, 0, 0, SEC); /* sparse */
	expect("6 7");
	push(3, 2, 1, SEC);
	expect("3 5");
}
END_TEST

START_TEST(a_loss_is_known_when_every_path_has_passed)
{
	push(1, 0, 0, SEC);
	push(2, 0, 1, SEC);
	expect("1 2");
	push(4, 1, 0, SEC); /* 3 is missing; path 1 may still bring it */
	expect("");
	push(5, 0, 1, SEC + MS); /* no, it has passed */
	expect("5 4");
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_RELEASED_LOSS], 1);
	push(3, 2, 1, SEC + 2 * MS);
	expect("3");
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_LATE], 1);
}
END_TEST

/* A call waits for what its flow has overtaken; what was lost is sent again, but not waited for. */
START_TEST(a_call_waits_for_the_late_but_not_for_the_lost)
{
	uint64_t at;

	qb_reorder_set_rtt(&r, 0, 40 * MS);
	qb_reorder_set_rtt(&r, 1, 40 * MS);
	push(1, 0, 0, SEC);
	push(2, 0, 1, SEC);
	expect("1 2");
	push_any(QB_BUF_BRIEF, 4, 1, 0, false, SEC);
	push_any(QB_BUF_BRIEF, 5, 1, 0, false, SEC + MS);
	expect("");
	push_any(QB_BUF_BRIEF, 3, 1, 1, false, SEC + 10 * MS);
	expect("3 4 5");
	/* 6 and 8 are lost, and of another flow 9: each path passes them. */
	push_any(QB_BUF_BRIEF, 7, 1, 0, false, SEC + 20 * MS);
	push_any(QB_BUF_BRIEF, 10, 2, 0, false, SEC + 20 * MS);
	push(11, 2, 0, SEC + 20 * MS);
	expect("");
	push(12, 0, 1, SEC + 21 * MS);
	expect("12 7 10");
	push(13, 0, 0, SEC + 21 * MS);
	expect("13");
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_RELEASED_LOSS], 2);
	qb_reorder_settle(&r, SEC + 400 * MS);
	expect("11");
	/* Where a path does not pass: not for long, whatever bulk waits for. */
	push(17, 0, 1, SEC + 500 * MS);
	push(18, 0, 0, SEC + 500 * MS);
	expect("17 18");
	push_any(QB_BUF_BRIEF, 20, 1, 0, false, SEC + 500 * MS);
	push(22, 1, 0, SEC + 500 * MS);
	at = qb_reorder_deadline_ns(&r);
	ck_assert_uint_le(at, SEC + 500 * MS + QB_REORDER_BRIEF_MAX_NS);
	qb_reorder_expire(&r, at - 1);
	expect("");
	qb_reorder_expire(&r, at);
	expect("20");
	ck_assert_uint_gt(qb_reorder_deadline_ns(&r), at);
}
END_TEST

START_TEST(a_single_path_never_waits)
{
	push(1, 0, 0, SEC);
	push(3, 1, 0, SEC);
	push(7, 2, 0, SEC);
	expect("1 3 7");
}
END_TEST

START_TEST(an_idle_path_is_not_waited_for)
{
	push(1, 0, 0, SEC);
	push(2, 0, 1, SEC);
	expect("1 2");
	push(3, 0, 0, SEC + 2 * SEC);
	push(5, 1, 0, SEC + 2 * SEC); /* 4 is missing, and only path 0 is in use */
	expect("3 5");
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_TIMEOUT], 0);
}
END_TEST

/* Only repairs come, by paths that count as idle: what is past its time is let go, and nobody is called for it again and again. */
START_TEST(a_deadline_that_is_past_is_dealt_with)
{
	uint64_t now = SEC;

	qb_reorder_set_rtt(&r, 0, 140 * MS);
	for (uint32_t i = 0; i < 20; i++)
		push(100 + i, i ? 1 : 0, 0, now);
	push(121, 1, 0, now); /* 120 is missing */
	now += 250 * MS;
	push_any(0, 123, 1, 0, true, now); /* 122 is, too */
	qb_reorder_expire(&r, now);
	ck_assert_uint_ge(r.held_cnt, 1);
	drain();
	ck_assert_uint_gt(qb_reorder_deadline_ns(&r), now);
}
END_TEST

/*
 * Many were lost together, and come again one after the other, slowly. What waits behind them has patience as long as those before
 * its own come, but not for ever.
 */
START_TEST(who_is_next_in_a_row_of_repairs_waits)
{
	uint64_t now = SEC, limit;
	uint32_t i;

	qb_reorder_set_rtt(&r, 0, 20 * MS);
	qb_reorder_set_rtt(&r, 1, 20 * MS);
	for (i = 0; i < 200; i++)
		push(i - 80, i ? 1 : 0, i % 2, now);
	push(160, 1, 0, now); /* 120 to 159 are missing: those of path 1, which died */
	drain();
	limit = qb_reorder_deadline_ns(&r) - now;
	ck_assert_uint_lt(limit, 200 * MS);
	for (i = 120; i < 160; i++) {
		now += 4 * MS;
		push_any(0, i, 1, 0, true, now);
		qb_reorder_expire(&r, now);
		drain();
	}
	ck_assert_uint_gt(now, SEC + limit);
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_TIMEOUT] + counters.v[QB_CNT_REORDER_RELEASED_LOSS], 0);
	ck_assert_uint_eq(r.held_cnt, 0);
	/* 161 to 199 are missing, and those that come again never get there. */
	push(200, 1, 0, now);
	limit = now + QB_REORDER_REPAIR_MAX_NS + QB_REORDER_HOLD_MAX_NS;
	for (i = 0; r.held_cnt && now < limit; now += 5 * MS, i++) {
		push_any(0, 161 + i / 8, 1, 0, true, now);
		qb_reorder_settle(&r, now);
		qb_reorder_expire(&r, now);
	}
	ck_assert_uint_eq(r.held_cnt, 0);
	ck_assert_uint_lt(i, 38 * 8);
	drain();
}
END_TEST

/* flow_on pushes what comes by two paths in turn, a packet each 5 ms, and lets nobody wait for longer than is due. */
static void flow_on(uint32_t *seq, uint32_t cnt, uint64_t *now)
{
	for (uint32_t i = 0; i < cnt; i++, *now += 5 * MS) {
		push((*seq)++, 1, i % 2, *now);
		qb_reorder_expire(&r, *now);
		drain();
	}
}

/* lose_and_repair: so many are missing, and come again so much later, all at once. */
static void lose_and_repair(uint32_t *seq, uint32_t cnt, uint64_t late_ns, uint64_t *now)
{
	uint32_t first = *seq;

	*seq += cnt;
	flow_on(seq, (uint32_t)(late_ns / (5 * MS)), now);
	for (uint32_t i = 0; i < cnt; i++)
		push_any(0, first + i, 1, 0, true, *now);
	drain();
}

/*
 * How late what is sent again comes is learned from many losses, not from one of many packets: those that were lost together came by
 * the quick path, and at once; the next comes by the slow one, or is lost once more.
 */
START_TEST(one_burst_does_not_tell_how_late_repairs_are)
{
	uint64_t now = SEC;
	uint32_t seq = 100;

	qb_reorder_set_rtt(&r, 0, 40 * MS);
	qb_reorder_set_rtt(&r, 1, 140 * MS);
	push(seq++, 0, 0, now);
	flow_on(&seq, 40, &now);
	lose_and_repair(&seq, 40, 50 * MS, &now);
	flow_on(&seq, 40, &now);
	lose_and_repair(&seq, 1, 200 * MS, &now);
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_RELEASED_LOSS] + counters.v[QB_CNT_REORDER_TIMEOUT], 0);
	for (uint32_t i = 0; i < 100; i++) {
		flow_on(&seq, 80, &now);
		lose_and_repair(&seq, 1, 50 * MS, &now);
	}
	ck_assert_uint_le(r.repair_ns, 150 * MS);
}
END_TEST

START_TEST(the_hold_time_ends_a_wait)
{
	uint64_t at;

	push(1, 0, 0, SEC);
	push(2, 0, 1, SEC);
	push(4, 1, 0, SEC);
	push(5, 1, 0, SEC + MS);
	expect("1 2");
	at = qb_reorder_deadline_ns(&r);
	ck_assert_uint_le(at, SEC + QB_REORDER_HOLD_MAX_NS);
	qb_reorder_expire(&r, at - 1);
	expect("");
	qb_reorder_expire(&r, at);
	expect("4 5");
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_TIMEOUT], 1);
	ck_assert_uint_eq(qb_reorder_deadline_ns(&r), QB_NEVER_NS);
	push(3, 1, 1, at + MS);
	expect("3");
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_LATE], 1);
}
END_TEST

START_TEST(a_wait_is_inherited_by_what_is_waited_for)
{
	uint64_t at;

	push(1, 0, 0, SEC);
	push(2, 0, 1, SEC);
	expect("1 2");
	push(6, 1, 0, SEC); /* waits for 5 */
	at = qb_reorder_deadline_ns(&r);
	push(5, 1, 0, SEC + 20 * MS); /* waits for 4; its successor's time counts */
	ck_assert_uint_le(qb_reorder_deadline_ns(&r), at + 30 * MS);
	qb_reorder_expire(&r, qb_reorder_deadline_ns(&r));
	expect("5 6");
}
END_TEST

START_TEST(second_copies_are_dropped)
{
	push(1, 0, 0, SEC);
	push(2, 1, 1, SEC);
	push(2, 1, 0, SEC);
	push(4, 1, 0, SEC);
	push(4, 1, 0, SEC);
	push(1, 0, 1, SEC);
	expect("1 2");
	push(3, 1, 1, SEC);
	expect("3 4");
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_REORDER_DUP], 3);
}
END_TEST

START_TEST(numbers_wrap_and_the_first_may_be_preceded)
{
	push(0xfffffffe, 3, 0, SEC);
	push(0xfffffff0, 1, 1, SEC); /* sent before the first: late, not garbage */
	push(0xffffffff, 1, 0, SEC);
	expect("4294967294 4294967280 4294967295");
	push(1, 1, 0, SEC);
	expect("");
	push(0, 1, 1, SEC);
	expect("0 1");
}
END_TEST

/* A flow's first packets take several paths; who comes first waits for who left first. */
START_TEST(the_first_to_arrive_is_not_the_first)
{
	qb_reorder_set_rtt(&r, 0, 40 * MS);
	qb_reorder_set_rtt(&r, 1, 20 * MS);
	push(102, 1, 1, SEC);
	push(103, 1, 1, SEC);
	expect("");
	push(100, 0, 0, SEC + 10 * MS);
	push(101, 1, 0, SEC + 11 * MS);
	expect("100 101 102 103");
	ck_assert_uint_eq(counters.v[QB_CNT_REORDER_LATE], 0);
}
END_TEST

START_TEST(full_means_oldest_first)
{
	restart(64, QB_REORDER_AUTO);
	push(1, 0, 0, SEC);
	push(2, 0, 1, SEC);
	expect("1 2");
	/* Each waits for one that never comes, on a path that never passes. */
	for (uint32_t i = 0; i < 5000; i++) {
		struct qb_batch out = {0};

		push(4 + 2 * i, 1, 0, SEC);
		ck_assert_uint_le(r.held_cnt, 64);
		qb_reorder_flush(&r, &out);
		for (uint32_t j = 0; j < out.cnt; j++)
			qb_buf_put(&pool, out.buf[j]);
	}
	/* A jump over everything. */
	push(4000000, 1, 0, SEC);
	ck_assert_uint_le(r.held_cnt, 1);
}
END_TEST

START_TEST(modes)
{
	restart(1024, QB_REORDER_OFF);
	push(1, 0, 0, SEC);
	push(2, 0, 1, SEC);
	push(4, 1, 0, SEC);
	push(3, 1, 1, SEC);
	push(3, 1, 1, SEC);
	expect("1 2 4 3");
	restart(1024, QB_REORDER_FIXED);
	push(1, 0, 0, SEC);
	push(2, 0, 1, SEC);
	push(4, 1, 0, SEC);
	expect("1 2");
	ck_assert_uint_eq(qb_reorder_deadline_ns(&r), SEC + 30 * MS);
}
END_TEST

/* ---- properties ---- */

enum { PKTS = 6000, FLOWS = 5, PATHS_MAX = 4 };

struct arrival {
	uint64_t at_ns;
	uint32_t idx;
	uint16_t delta;
	uint8_t path, flow;
};

static int cmp_arrival(const void *a, const void *b)
{
	const struct arrival *x = a, *y = b;

	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	return x->idx < y->idx ? -1 : x->idx > y->idx;
}

struct scenario {
	uint32_t paths;
	double spread_ms, jitter_ms, loss, dup;
	bool is_ordered; /* no flow may ever be out of order once the paths are known */
};

static const struct scenario scenarios[] = {
	{1, 0, 0, 0.02, 0, true},   {2, 0, 0, 0, 0.05, true},
	{2, 30, 0, 0, 0, true},	    {2, 60, 0, 0.01, 0.01, true},
	{3, 80, 5, 0.005, 0, true}, {4, 120, 20, 0.02, 0.02, true},
	{2, 390, 0, 0, 0, false},   {4, 500, 100, 0.1, 0.1, false},
};

static uint64_t worst_wait_ns;

static uint32_t make_arrivals(const struct scenario *sc, struct qb_rand *rand, struct arrival *a)
{
	uint64_t last[PATHS_MAX] = {0};
	uint32_t prev[FLOWS], n = 0;
	bool has_prev[FLOWS] = {false};

	for (uint32_t i = 0; i < PKTS; i++) {
		uint8_t flow = (uint8_t)qb_rand_below(rand, FLOWS);
		uint8_t path = (uint8_t)qb_rand_below(rand, sc->paths);
		uint64_t sent = 10 * SEC + i * MS / 4;
		uint64_t delay = (uint64_t)((10 + sc->spread_ms * path / QB_MAX(sc->paths - 1, 1u) +
					     qb_rand_unit(rand) * sc->jitter_ms) *
					    1e6);
		struct arrival x = {.at_ns = QB_MAX(sent + delay, last[path]),
				    .idx = i,
				    .path = path,
				    .flow = flow};

		/* A path delivers in order. */
		last[path] = x.at_ns;
		x.delta = has_prev[flow] && i - prev[flow] < 65536 ? (uint16_t)(i - prev[flow]) : 0;
		has_prev[flow] = true;
		prev[flow] = i;
		if (qb_rand_unit(rand) < sc->loss)
			continue;
		a[n++] = x;
		if (qb_rand_unit(rand) < sc->dup) {
			x.at_ns += 3 * MS;
			a[n++] = x;
		}
	}
	qsort(a, n, sizeof(*a), cmp_arrival);
	return n;
}

struct run {
	uint64_t seed, arrived_ns[PKTS];
	uint8_t flow[PKTS], state[PKTS]; /* state: 1 arrived, 2 delivered */
	uint32_t base, newest[FLOWS], out_of_order, delivered, distinct;
};

static void take_out(struct run *u, uint64_t now)
{
	struct qb_batch out;

	do {
		out.cnt = 0;
		qb_reorder_flush(&r, &out);
		for (uint32_t j = 0; j < out.cnt; j++) {
			uint32_t idx = out.buf[j]->seq - u->base, *newest;

			ck_assert_uint_lt(idx, PKTS);
			ck_assert_msg(u->state[idx] == 1, "seed %lu: %u is in state %u",
				      (unsigned long)u->seed, idx, u->state[idx]);
			u->state[idx] = 2;
			u->delivered++;
			newest = &u->newest[u->flow[idx]];
			/* At first the paths are not known yet; at the end nothing passes the last
			 * losses. */
			u->out_of_order += idx < *newest && idx > 1000 && idx < PKTS - 1000;
			*newest = QB_MAX(*newest, idx);
			worst_wait_ns = QB_MAX(worst_wait_ns, now - u->arrived_ns[idx]);
			qb_buf_put(&pool, out.buf[j]);
		}
	} while (out.cnt);
}

static void run_timers(struct run *u, uint64_t until)
{
	while (qb_reorder_deadline_ns(&r) <= until) {
		uint64_t now = qb_reorder_deadline_ns(&r);

		qb_reorder_settle(&r, now);
		qb_reorder_expire(&r, now);
		take_out(u, now);
	}
}

static void run_scenario(const struct scenario *sc, uint64_t seed)
{
	static struct arrival a[2 * PKTS];
	static struct run u;
	struct qb_rand rand;
	uint32_t n;

	memset(&u, 0, sizeof(u));
	u.seed = seed;
	qb_rand_seed(&rand, seed);
	restart(2048, QB_REORDER_AUTO);
	u.base = seed & 1 ? (uint32_t)qb_rand_u64(&rand) : 0xffffffff - PKTS / 2;
	n = make_arrivals(sc, &rand, a);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t idx = a[i].idx;

		run_timers(&u, a[i].at_ns);
		if (!u.state[idx]) {
			u.distinct++;
			u.arrived_ns[idx] = a[i].at_ns;
			u.flow[idx] = a[i].flow;
			u.state[idx] = 1;
		}
		push(u.base + idx, a[i].delta, a[i].path, a[i].at_ns);
		ck_assert_uint_le(r.held_cnt, 2048);
		take_out(&u, a[i].at_ns);
	}
	run_timers(&u, a[n - 1].at_ns + SEC);
	ck_assert_msg(u.delivered == u.distinct, "seed %lu: %u of %u", (unsigned long)seed,
		      u.delivered, u.distinct);
	ck_assert_uint_eq(r.held_cnt, 0);
	if (sc->is_ordered)
		ck_assert_msg(u.out_of_order == 0, "seed %lu: %u out of order", (unsigned long)seed,
			      u.out_of_order);
}

START_TEST(nothing_lost_nothing_twice_and_in_order)
{
	for (uint64_t seed = 1; seed <= 20; seed++)
		run_scenario(&scenarios[_i], seed * 1000 + (uint64_t)_i);
}
END_TEST

/* Losses on two paths 60 ms apart cost no more than the spread, whatever the hold time. */
START_TEST(losses_are_released_within_the_spread)
{
	static const struct scenario sc = {2, 60, 0, 0.01, 0, true};

	worst_wait_ns = 0;
	memset(&counters, 0, sizeof(counters));
	for (uint64_t seed = 1; seed <= 10; seed++)
		run_scenario(&sc, seed);
	ck_assert_uint_le(worst_wait_ns, 68 * MS);
	ck_assert_uint_gt(counters.v[QB_CNT_REORDER_RELEASED_LOSS], 100);
	ck_assert_uint_lt(counters.v[QB_CNT_REORDER_TIMEOUT],
			  counters.v[QB_CNT_REORDER_RELEASED_LOSS] / 20);
}
END_TEST

START_TEST(hold_time_follows_the_spread)
{
	uint64_t now = SEC;

	for (uint32_t i = 0; i < 4000; i++, now += MS)
		push(1000 + i, 0, 0, now);
	ck_assert_uint_le(r.hold_ns, 2 * QB_REORDER_HOLD_MIN_NS);
	for (uint32_t i = 0; i < 2000; i++, now += MS) {
		push(5000 + 2 * i, 0, 0, now);
		if (i >= 40)
			push(5000 + 2 * (i - 40) + 1, 0, 1, now);
	}
	ck_assert_uint_ge(r.hold_ns, 40 * MS);
	ck_assert_uint_le(r.hold_ns, 60 * MS);
	while (r.ready_head) {
		struct qb_batch out = {0};

		qb_reorder_flush(&r, &out);
		qb_batch_put(&pool, &out);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond reorder");
	TCase *tc = tcase_create("cases");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, in_order_goes_straight_through);
	tcase_add_test(tc, a_gap_is_filled_by_the_slower_path);
	tcase_add_test(tc, memory_is_bounded);
	tcase_add_test(tc, flows_do_not_wait_for_each_other);
	tcase_add_test(tc, a_loss_is_known_when_every_path_has_passed);
	tcase_add_test(tc, a_call_waits_for_the_late_but_not_for_the_lost);
	tcase_add_test(tc, a_single_path_never_waits);
	tcase_add_test(tc, an_idle_path_is_not_waited_for);
	tcase_add_test(tc, a_deadline_that_is_past_is_dealt_with);
	tcase_add_test(tc, who_is_next_in_a_row_of_repairs_waits);
	tcase_add_test(tc, one_burst_does_not_tell_how_late_repairs_are);
	tcase_add_test(tc, the_hold_time_ends_a_wait);
	tcase_add_test(tc, a_wait_is_inherited_by_what_is_waited_for);
	tcase_add_test(tc, second_copies_are_dropped);
	tcase_add_test(tc, numbers_wrap_and_the_first_may_be_preceded);
	tcase_add_test(tc, the_first_to_arrive_is_not_the_first);
	tcase_add_test(tc, full_means_oldest_first);
	tcase_add_test(tc, modes);
	suite_add_tcase(s, tc);
	tc = tcase_create("properties");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, nothing_lost_nothing_twice_and_in_order, 0,
			    (int)QB_ARRAY_LEN(scenarios));
	tcase_add_test(tc, losses_are_released_within_the_spread);
	tcase_add_test(tc, hold_time_follows_the_spread);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
