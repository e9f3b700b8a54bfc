/* SPDX-License-Identifier: BSD-2-Clause */
/* The link emulation engine in virtual time: what goes in comes out when, in what order, and how
 * often. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/netem_engine.h"

enum { CAP = 4096, PKTS_MAX = 100000 };

static const uint64_t ms = QB_NS_PER_MS;
static struct qb_netem eng;
static void *mem;
/* The packets are their own numbers. */
static char pkts[PKTS_MAX];

/* What came out. */
static struct seen {
	uint32_t id;
	uint64_t at_ns;
	enum qb_netem_drop drop;
	bool is_copy, is_corrupt, is_late;
	uint64_t corrupt_rand;
} seen[2 * PKTS_MAX];
static uint32_t seen_cnt;

static void open_engine(const struct qb_netem_params *p, uint64_t seed)
{
	free(mem);
	mem = aligned_alloc(16, (qb_netem_footprint(CAP) + 15) & ~(size_t)15);
	ck_assert_ptr_nonnull(mem);
	qb_netem_init(&eng, mem, CAP, seed);
	qb_netem_configure(&eng, p, 0);
	seen_cnt = 0;
}

static void close_engine(void)
{
	free(mem);
	mem = NULL;
}

static enum qb_netem_drop put(uint32_t id, uint32_t len, uint64_t at_ns)
{
	return qb_netem_enqueue(&eng, &pkts[id], len, at_ns);
}

static void take(uint64_t now_ns)
{
	struct qb_netem_out out;

	while (qb_netem_dequeue(&eng, now_ns, &out)) {
		ck_assert_uint_lt(seen_cnt, QB_ARRAY_LEN(seen));
		if (!out.drop)
			ck_assert_uint_le(out.at_ns, eng.now_ns);
		seen[seen_cnt++] = (struct seen){
			.id = (uint32_t)((char *)out.pkt - pkts),
			.at_ns = out.at_ns,
			.drop = out.drop,
			.is_copy = out.is_copy,
			.is_corrupt = out.is_corrupt,
			.is_late = out.is_late,
			.corrupt_rand = out.corrupt_rand,
		};
	}
}

/* run_until follows the engine's own deadlines, which must lead somewhere. */
static void run_until(uint64_t end_ns)
{
	for (;;) {
		uint64_t at_ns = qb_netem_deadline_ns(&eng);

		if (at_ns > end_ns)
			break;
		take(at_ns);
		/* A deadline that has passed must not come again. */
		ck_assert_uint_gt(qb_netem_deadline_ns(&eng), at_ns);
	}
	take(end_ns);
}

/* drain runs to the end: nothing may stay inside. */
static void drain(void)
{
	run_until(QB_NEVER_NS - 1);
	ck_assert_uint_eq(qb_netem_held_cnt(&eng), 0);
	ck_assert_uint_eq(qb_netem_deadline_ns(&eng), QB_NEVER_NS);
}

/* feed offers cnt packets of len bytes, one each gap_ns, and drains. */
static void feed(uint32_t cnt, uint32_t len, uint64_t gap_ns)
{
	for (uint32_t i = 0; i < cnt; i++) {
		run_until(i * gap_ns);
		put(i, len, i * gap_ns);
	}
	drain();
}

static uint32_t delivered(void)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < seen_cnt; i++)
		cnt += seen[i].drop == QB_NETEM_TAKEN;
	return cnt;
}

START_TEST(test_perfect)
{
	struct qb_netem_params p = qb_netem_params_default();

	open_engine(&p, 1);
	ck_assert_uint_eq(qb_netem_deadline_ns(&eng), QB_NEVER_NS);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(put(i, 1500, 5 * ms), QB_NETEM_TAKEN);
	take(5 * ms + 200);
	ck_assert_uint_eq(seen_cnt, 100);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_uint_eq(seen[i].id, i);
	ck_assert_uint_eq(eng.stats.out_bytes, 150000);
	close_engine();
}
END_TEST

static const struct {
	uint64_t bps;
	uint32_t len;
	int32_t overhead;
	uint64_t each_ns;
} rate_rows[] = {
	{8000000, 1000, 0, 1000000}, {300000000, 1400, 0, 37333},   {1000000000, 1500, 24, 12192},
	{1000, 125, 0, 1000000000},  {8000000, 1000, -500, 500000}, {10000000000, 64, 0, 51},
};

START_TEST(test_rate)
{
	struct qb_netem_params p = qb_netem_params_default();
	uint64_t each_ns = rate_rows[_i].each_ns;

	p.rate_bps = rate_rows[_i].bps;
	p.overhead_bytes = rate_rows[_i].overhead;
	open_engine(&p, 1);
	for (uint32_t i = 0; i < 10; i++)
		ck_assert_int_eq(put(i, rate_rows[_i].len, ms), QB_NETEM_TAKEN);
	ck_assert_uint_eq(qb_netem_queue_ns(&eng) / 20, 10 * each_ns / 20);
	drain();
	ck_assert_uint_eq(seen_cnt, 10);
	for (uint32_t i = 0; i < 10; i++) {
		ck_assert_uint_eq(seen[i].id, i);
		ck_assert_uint_eq(seen[i].at_ns, ms + (i + 1) * each_ns);
	}
	close_engine();
}
END_TEST

/* However late the engine is called, packets left when they would have. */
START_TEST(test_rate_called_late)
{
	struct qb_netem_params p = qb_netem_params_default();

	p.rate_bps = 8000000;
	p.delay_ns = 20 * ms;
	open_engine(&p, 1);
	for (uint32_t i = 0; i < 50; i++)
		put(i, 1000, 0);
	take(1000 * ms);
	ck_assert_uint_eq(seen_cnt, 50);
	for (uint32_t i = 0; i < 50; i++)
		ck_assert_uint_eq(seen[i].at_ns, (i + 1) * ms + 20 * ms);
	close_engine();
}
END_TEST

START_TEST(test_delay)
{
	struct qb_netem_params p = qb_netem_params_default();

	p.delay_ns = 20 * ms;
	open_engine(&p, 1);
	put(0, 100, ms);
	put(1, 100, 2 * ms);
	ck_assert_uint_eq(qb_netem_deadline_ns(&eng), 21 * ms);
	take(21 * ms - 1);
	ck_assert_uint_eq(seen_cnt, 0);
	take(21 * ms);
	ck_assert_uint_eq(seen_cnt, 1);
	take(22 * ms);
	ck_assert_uint_eq(seen_cnt, 2);
	ck_assert_uint_eq(seen[1].at_ns, 22 * ms);
	close_engine();
}
END_TEST

START_TEST(test_time_does_not_go_back)
{
	struct qb_netem_params p = qb_netem_params_default();

	p.delay_ns = ms;
	open_engine(&p, 1);
	take(10 * ms);
	put(0, 100, 4 * ms);
	ck_assert_uint_eq(qb_netem_deadline_ns(&eng), 11 * ms);
	close_engine();
}
END_TEST

static void check_jitter(enum qb_netem_dist dist, bool is_reorder, double want_dev_ms)
{
	struct qb_netem_params p = qb_netem_params_default();
	double sum = 0, squares = 0;
	uint32_t swaps = 0;

	p.delay_ns = 50 * ms;
	p.jitter_ns = 10 * ms;
	p.dist = dist;
	p.is_jitter_reorder = is_reorder;
	open_engine(&p, 7);
	feed(20000, 100, is_reorder ? ms : 200 * ms);
	ck_assert_uint_eq(seen_cnt, 20000);
	for (uint32_t i = 0; i < seen_cnt; i++) {
		double d =
			(double)(seen[i].at_ns - seen[i].id * (is_reorder ? ms : 200 * ms)) / 1e6;

		sum += d;
		squares += d * d;
		swaps += i > 0 && seen[i].id < seen[i - 1].id;
	}
	sum /= seen_cnt;
	squares = squares / seen_cnt - sum * sum;
	ck_assert_double_eq_tol(sum, 50, 0.3);
	ck_assert_double_eq_tol(squares, want_dev_ms * want_dev_ms, 3);
	if (is_reorder)
		ck_assert_uint_gt(swaps, 5000);
	else
		ck_assert_uint_eq(swaps, 0);
	close_engine();
}

START_TEST(test_jitter)
{
	check_jitter(QB_NETEM_UNIFORM, false, 5.7735);
	check_jitter(QB_NETEM_UNIFORM, true, 5.7735);
	check_jitter(QB_NETEM_NORMAL, false, 10);
	check_jitter(QB_NETEM_NORMAL, true, 10);
}
END_TEST

START_TEST(test_jitter_keeps_order)
{
	struct qb_netem_params p = qb_netem_params_default();

	p.rate_bps = 100000000;
	p.delay_ns = 5 * ms;
	p.jitter_ns = 20 * ms;
	open_engine(&p, 3);
	feed(5000, 1000, 90000);
	ck_assert_uint_eq(seen_cnt, 5000);
	for (uint32_t i = 0; i < seen_cnt; i++)
		ck_assert_uint_eq(seen[i].id, i);
	close_engine();
}
END_TEST

static const struct {
	uint64_t pkts, bytes, ns;
	uint32_t fit; /* of 100 packets of 1,000 bytes at 1 ms each, all at once */
} limit_rows[] = {
	{10, 0, 0, 10},	  {0, 10500, 0, 10}, {0, 0, 10 * QB_NS_PER_MS, 11},
	{20, 5000, 0, 5}, {0, 0, 0, 100},
};

START_TEST(test_limit)
{
	struct qb_netem_params p = qb_netem_params_default();
	uint32_t fit = limit_rows[_i].fit;

	p.rate_bps = 8000000;
	p.limit_pkts = limit_rows[_i].pkts;
	p.limit_bytes = limit_rows[_i].bytes;
	p.limit_ns = limit_rows[_i].ns;
	open_engine(&p, 1);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(put(i, 1000, 0), i < fit ? QB_NETEM_TAKEN : QB_NETEM_DROP_QUEUE);
	ck_assert_uint_eq(eng.stats.drops[QB_NETEM_DROP_QUEUE], 100 - fit);
	ck_assert_uint_eq(eng.stats.queue_max_pkts, fit);
	/* One leaves, one fits. */
	if (fit < 100) {
		ck_assert_int_eq(put(0, 1000, ms - 1), QB_NETEM_DROP_QUEUE);
		ck_assert_int_eq(put(0, 1000, ms), QB_NETEM_TAKEN);
	}
	drain();
	close_engine();
}
END_TEST

START_TEST(test_mtu_and_capacity)
{
	struct qb_netem_params p = qb_netem_params_default();

	p.mtu_bytes = 1400;
	p.delay_ns = ms;
	open_engine(&p, 1);
	eng.l2_bytes = 14;
	ck_assert_int_eq(put(0, 1414, 0), QB_NETEM_TAKEN);
	ck_assert_int_eq(put(1, 1415, 0), QB_NETEM_DROP_MTU);
	for (uint32_t i = 1; i < CAP; i++)
		ck_assert_int_eq(put(i, 100, 0), QB_NETEM_TAKEN);
	ck_assert_int_eq(put(CAP, 100, 0), QB_NETEM_DROP_FULL);
	drain();
	ck_assert_uint_eq(seen_cnt, CAP);
	close_engine();
}
END_TEST

START_TEST(test_loss)
{
	static const double rates[] = {0, 0.001, 0.05, 0.5, 1};
	struct qb_netem_params p = qb_netem_params_default();
	uint32_t lost;

	p.loss = rates[_i];
	open_engine(&p, 42);
	feed(50000, 100, 1000);
	ck_assert_uint_eq(seen_cnt, 50000);
	lost = seen_cnt - delivered();
	ck_assert_uint_eq(eng.stats.drops[QB_NETEM_DROP_LOSS], lost);
	ck_assert_double_eq_tol(lost / 50000.0, p.loss, 0.01 * (p.loss > 0.01) + 0.0005);
	if (p.loss >= 1)
		ck_assert_uint_eq(lost, 50000);
	if (p.loss <= 0)
		ck_assert_uint_eq(lost, 0);
	close_engine();
}
END_TEST

/* What is lost has used the link: the rest gets through at its share of the rate. */
START_TEST(test_loss_uses_the_rate)
{
	struct qb_netem_params p = qb_netem_params_default();

	p.rate_bps = 8000000;
	p.loss = 0.5;
	open_engine(&p, 1);
	feed(500, 1000, 0);
	for (uint32_t i = 0; i < seen_cnt; i++)
		if (!seen[i].drop)
			ck_assert_uint_eq(seen[i].at_ns, (seen[i].id + 1) * ms);
	close_engine();
}
END_TEST

/* Gilbert-Elliott: p / (p + r) of all packets are lost, in runs of 1 / r. */
START_TEST(test_bursts)
{
	struct qb_netem_params p = qb_netem_params_default();
	uint32_t lost = 0, runs = 0;
	static bool is_lost[PKTS_MAX];

	p.ge_p = 0.01;
	p.ge_r = 0.25;
	open_engine(&p, 5);
	feed(PKTS_MAX, 100, 1000);
	for (uint32_t i = 0; i < seen_cnt; i++)
		is_lost[seen[i].id] = seen[i].drop == QB_NETEM_DROP_BURST;
	for (uint32_t i = 0; i < PKTS_MAX; i++) {
		lost += is_lost[i];
		runs += is_lost[i] && (i == 0 || !is_lost[i - 1]);
	}
	ck_assert_double_eq_tol(lost / (double)PKTS_MAX, 0.01 / 0.26, 0.004);
	ck_assert_double_eq_tol(lost / (double)runs, 4, 0.4);
	close_engine();
}
END_TEST

/* A fade that is over before the next packet comes loses one at most; without a step it waits for packets to end it. */
START_TEST(test_bursts_pass_by_themselves)
{
	struct qb_netem_params p = qb_netem_params_default();
	static bool is_lost[PKTS_MAX];
	uint32_t lost = 0, runs = 0;

	p.ge_p = 0.01;
	p.ge_r = 0.25;
	p.ge_step_ns = _i ? ms : 0;
	open_engine(&p, 5);
	feed(PKTS_MAX, 100, 100 * ms);
	for (uint32_t i = 0; i < seen_cnt; i++)
		is_lost[seen[i].id] = seen[i].drop == QB_NETEM_DROP_BURST;
	for (uint32_t i = 0; i < PKTS_MAX; i++) {
		lost += is_lost[i];
		runs += is_lost[i] && (i == 0 || !is_lost[i - 1]);
	}
	ck_assert_double_eq_tol(lost / (double)PKTS_MAX, 0.01 / 0.26, 0.004);
	ck_assert_double_eq_tol(lost / (double)runs, (_i ? 1.04 : 4), (_i ? 0.05 : 0.4));
	close_engine();
}
END_TEST

START_TEST(test_burst_losses_by_state)
{
	struct qb_netem_params p = qb_netem_params_default();

	p.ge_p = 0.5;
	p.ge_r = 0.5;
	p.ge_bad = 0.4;
	p.ge_good = 0.2;
	open_engine(&p, 5);
	feed(50000, 100, 1000);
	ck_assert_double_eq_tol((seen_cnt - delivered()) / 50000.0, 0.3, 0.01);
	close_engine();
}
END_TEST

START_TEST(test_reorder)
{
	struct qb_netem_params p = qb_netem_params_default();

	p.delay_ns = 10 * ms;
	p.reorder = 1;
	p.reorder_gap = 5;
	p.reorder_delay_ns = 3 * ms;
	open_engine(&p, 1);
	feed(1000, 100, ms);
	ck_assert_uint_eq(eng.stats.reorder_pkts, 200);
	/* Every fifth is late, and nothing else. */
	for (uint32_t i = 0; i < seen_cnt; i++)
		ck_assert_uint_eq(seen[i].at_ns - seen[i].id * ms,
				  (seen[i].id % 5 == 4 ? 13 : 10) * ms);
	close_engine();

	p.reorder = 0.1;
	p.reorder_gap = 0;
	open_engine(&p, 1);
	feed(10000, 100, ms);
	ck_assert_double_eq_tol((double)eng.stats.reorder_pkts, 1000, 100);
	close_engine();
}
END_TEST

START_TEST(test_dup)
{
	struct qb_netem_params p = qb_netem_params_default();
	uint32_t copies = 0;

	p.delay_ns = 10 * ms;
	p.dup = 0.25;
	p.dup_delay_ns = 2 * ms;
	open_engine(&p, 1);
	feed(10000, 100, 10 * ms);
	ck_assert_double_eq_tol((double)eng.stats.dup_pkts, 2500, 150);
	ck_assert_uint_eq(seen_cnt, 10000 + eng.stats.dup_pkts);
	for (uint32_t i = 0; i < seen_cnt; i++) {
		if (!seen[i].is_copy)
			continue;
		copies++;
		ck_assert_uint_eq(seen[i + 1].id, seen[i].id);
		ck_assert(!seen[i + 1].is_copy);
		ck_assert_uint_eq(seen[i + 1].at_ns, seen[i].at_ns + 2 * ms + 1);
	}
	ck_assert_uint_eq(copies, eng.stats.dup_pkts);
	close_engine();
}
END_TEST

START_TEST(test_corrupt)
{
	struct qb_netem_params p = qb_netem_params_default();
	uint32_t cnt = 0;

	p.corrupt = 0.1;
	open_engine(&p, 1);
	feed(10000, 100, 1000);
	for (uint32_t i = 0; i < seen_cnt; i++)
		cnt += seen[i].is_corrupt;
	ck_assert_double_eq_tol(cnt, 1000, 100);
	ck_assert_uint_eq(eng.stats.corrupt_pkts, cnt);
	close_engine();
}
END_TEST

START_TEST(test_streak)
{
	struct qb_netem_params p = qb_netem_params_default();
	uint32_t lost = 0, longest_lost = 0, damaged = 0, longest_damaged = 0;

	p.loss = 0.3;
	p.corrupt = 0.3;
	p.streak = 3;
	open_engine(&p, 1);
	feed(10000, 100, 1000);
	for (uint32_t i = 0; i < seen_cnt; i++) {
		lost = seen[i].drop ? lost + 1 : 0;
		longest_lost = QB_MAX(longest_lost, lost);
		if (seen[i].drop) /* is none to tell whether it was damaged */
			continue;
		damaged = seen[i].is_corrupt ? damaged + 1 : 0;
		longest_damaged = QB_MAX(longest_damaged, damaged);
	}
	ck_assert_uint_eq(longest_lost, 3);
	ck_assert_uint_ge(longest_damaged, 3);
	/* (p + p² + p³) / (1 + p + p² + p³) */
	ck_assert_double_eq_tol((double)eng.stats.drops[QB_NETEM_DROP_LOSS], 2943, 200);
	close_engine();
	p.loss = 0;
	p.corrupt = 1;
	open_engine(&p, 1);
	feed(1000, 100, 1000);
	ck_assert_uint_eq(eng.stats.corrupt_pkts, 750);
	close_engine();
}
END_TEST

/* Eleven packets at once, a millisecond each: the n-th waits n ms, and those above the step are to be marked. */
START_TEST(test_mark)
{
	struct qb_netem_params p = qb_netem_params_default();

	p.rate_bps = 8000000;
	p.mark_ns = 5 * ms;
	open_engine(&p, 1);
	for (uint32_t i = 0; i < 11; i++)
		put(i, 1000, 0);
	drain();
	for (uint32_t i = 0; i < 11; i++)
		ck_assert_int_eq(seen[i].is_late, seen[i].id > 5);
	ck_assert_uint_eq(eng.stats.late_pkts, 5);
	close_engine();
}
END_TEST

START_TEST(test_policer)
{
	struct qb_netem_params p = qb_netem_params_default();
	uint32_t taken = 0;

	p.police_bps = 8000000;
	p.police_burst_bytes = 10000;
	open_engine(&p, 1);
	/* The bucket at once, then a packet a millisecond. */
	for (uint32_t i = 0; i < 20; i++)
		taken += !put(i, 1000, 0);
	ck_assert_uint_eq(taken, 10);
	ck_assert_int_eq(put(20, 1000, ms - 1), QB_NETEM_DROP_POLICE);
	ck_assert_int_eq(put(21, 1000, ms), QB_NETEM_TAKEN);
	ck_assert_int_eq(put(22, 1000, ms), QB_NETEM_DROP_POLICE);
	/* Full again, and no fuller. */
	taken = 0;
	for (uint32_t i = 0; i < 20; i++)
		taken += !put(30 + i, 1000, 1000 * ms);
	ck_assert_uint_eq(taken, 10);
	/* Three times the rate, over ten seconds. */
	taken = 0;
	for (uint32_t i = 0; i < 30000; i++) {
		uint64_t at_ns = 2000 * ms + i * (ms / 3);

		run_until(at_ns);
		taken += !put(i, 1000, at_ns);
	}
	ck_assert_double_eq_tol(taken, 10010, 5);
	drain();
	close_engine();
}
END_TEST

START_TEST(test_down)
{
	struct qb_netem_params p = qb_netem_params_default();

	p.rate_bps = 8000000;
	p.delay_ns = 10 * ms;
	open_engine(&p, 1);
	for (uint32_t i = 0; i < 20; i++)
		put(i, 1000, 0);
	run_until(15 * ms);
	ck_assert_uint_eq(delivered(), 5);
	p.is_down = true;
	qb_netem_configure(&eng, &p, 15 * ms);
	ck_assert_int_eq(put(50, 1000, 16 * ms), QB_NETEM_DROP_DOWN);
	run_until(25 * ms);
	/* On the wire or in the queue, it is gone. */
	ck_assert_uint_eq(delivered(), 5);
	p.is_down = false;
	qb_netem_configure(&eng, &p, 25 * ms);
	drain();
	ck_assert_uint_eq(delivered(), 10);
	ck_assert_uint_eq(seen_cnt, 20);
	ck_assert_uint_eq(eng.stats.drops[QB_NETEM_DROP_DOWN], 11);
	close_engine();
}
END_TEST

START_TEST(test_change_rate)
{
	struct qb_netem_params p = qb_netem_params_default();

	p.rate_bps = 8000000;
	open_engine(&p, 1);
	for (uint32_t i = 0; i < 4; i++)
		put(i, 1000, 0);
	/* Half of packet 1 is sent: what is left of it, and the rest, goes at a quarter of the
	 * rate. */
	run_until(ms + ms / 2);
	p.rate_bps = 2000000;
	qb_netem_configure(&eng, &p, ms + ms / 2);
	run_until(4 * ms);
	/* Faster than anything: all at once. */
	p.rate_bps = 0;
	qb_netem_configure(&eng, &p, 4 * ms);
	drain();
	ck_assert_uint_eq(seen_cnt, 4);
	ck_assert_uint_eq(seen[0].at_ns, ms);
	ck_assert_uint_eq(seen[1].at_ns, 3 * ms + ms / 2);
	ck_assert_uint_eq(seen[2].at_ns, 4 * ms);
	ck_assert_uint_eq(seen[3].at_ns, 4 * ms + 1);
	close_engine();
}
END_TEST

/* A shorter delay does not let later packets overtake. */
START_TEST(test_change_delay)
{
	struct qb_netem_params p = qb_netem_params_default();

	p.delay_ns = 100 * ms;
	open_engine(&p, 1);
	put(0, 100, 0);
	p.delay_ns = 10 * ms;
	qb_netem_configure(&eng, &p, ms);
	put(1, 100, ms);
	put(2, 100, 95 * ms);
	drain();
	ck_assert_uint_eq(seen[0].at_ns, 100 * ms);
	ck_assert_uint_eq(seen[1].at_ns, 100 * ms + 1);
	ck_assert_uint_eq(seen[2].at_ns, 105 * ms);
	close_engine();
}
END_TEST

static uint64_t digest(uint64_t seed, const struct qb_netem_params *p)
{
	uint64_t h = 0;

	open_engine(p, seed);
	feed(3000, 1000, 100000);
	for (uint32_t i = 0; i < seen_cnt; i++)
		h = (h ^ (seen[i].id * 31 + seen[i].at_ns + seen[i].drop + seen[i].corrupt_rand)) *
		    UINT64_C(0x100000001b3);
	close_engine();
	return h;
}

START_TEST(test_determinism)
{
	struct qb_netem_params p = qb_netem_params_default();
	static bool was_lost[3000];

	p.rate_bps = 100000000;
	p.delay_ns = 20 * ms;
	p.jitter_ns = 5 * ms;
	p.loss = 0.1;
	p.ge_p = 0.01;
	p.ge_r = 0.3;
	p.dup = 0.05;
	p.corrupt = 0.05;
	p.reorder = 0.05;
	ck_assert_uint_eq(digest(9, &p), digest(9, &p));
	ck_assert_uint_ne(digest(9, &p), digest(10, &p));

	/* Which packets are lost does not depend on the other impairments. */
	digest(9, &p);
	for (uint32_t i = 0; i < seen_cnt; i++)
		was_lost[seen[i].id] = seen[i].drop == QB_NETEM_DROP_LOSS;
	p = qb_netem_params_default();
	p.loss = 0.1;
	digest(9, &p);
	ck_assert_uint_eq(seen_cnt, 3000);
	for (uint32_t i = 0; i < seen_cnt; i++)
		ck_assert_int_eq(was_lost[seen[i].id], seen[i].drop == QB_NETEM_DROP_LOSS);
}
END_TEST

/* Whatever is set and changed: every packet comes back once, no sooner than it may, and the sums
 * agree. */
START_TEST(test_everything_comes_back)
{
	struct qb_rand r;
	struct qb_netem_params p = qb_netem_params_default();
	uint64_t now_ns = 0, taken = 0, kept = 0, copies = 0;
	static uint8_t state[PKTS_MAX];

	qb_rand_seed(&r, (uint64_t)_i);
	memset(state, 0, sizeof(state));
	open_engine(&p, (uint64_t)_i);
	for (uint32_t i = 0; i < 20000; i++) {
		now_ns += qb_rand_below(&r, 200000);
		if (qb_rand_below(&r, 100) == 0) {
			p.rate_bps = qb_rand_below(&r, 3) * qb_rand_below(&r, 200000000);
			p.delay_ns = qb_rand_below(&r, 30 * ms);
			p.jitter_ns = qb_rand_below(&r, 10 * ms);
			p.is_jitter_reorder = qb_rand_below(&r, 2);
			p.dist = (enum qb_netem_dist)qb_rand_below(&r, 2);
			p.limit_ns = qb_rand_below(&r, 40 * ms);
			p.overhead_bytes = (int32_t)qb_rand_below(&r, 200) - 100;
			p.loss = qb_rand_unit(&r) / 4;
			p.ge_p = qb_rand_unit(&r) / 10;
			p.ge_r = qb_rand_unit(&r);
			p.dup = qb_rand_unit(&r) / 4;
			p.reorder = qb_rand_unit(&r) / 4;
			p.is_down = qb_rand_below(&r, 10) == 0;
			p.police_bps = qb_rand_below(&r, 2) * 50000000;
			qb_netem_configure(&eng, &p, now_ns);
		}
		if (qb_rand_below(&r, 4) == 0)
			take(now_ns);
		if (put(i, (uint32_t)qb_rand_below(&r, 1500), now_ns) == QB_NETEM_TAKEN) {
			state[i] = 1;
			taken++;
		} else {
			kept++;
		}
	}
	drain();
	for (uint32_t i = 0; i < seen_cnt; i++) {
		ck_assert_uint_eq(state[seen[i].id], 1);
		if (seen[i].is_copy)
			copies++;
		else
			state[seen[i].id] = 2;
	}
	ck_assert_uint_eq(seen_cnt, taken + copies);
	ck_assert_uint_eq(eng.stats.in_pkts, taken + kept);
	ck_assert_uint_eq(eng.stats.out_pkts, delivered());
	ck_assert_uint_eq(eng.queue_pkts + eng.queue_bytes, 0);
	close_engine();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("netem_engine");
	TCase *tc = tcase_create("engine");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_perfect);
	tcase_add_loop_test(tc, test_rate, 0, QB_ARRAY_LEN(rate_rows));
	tcase_add_test(tc, test_rate_called_late);
	tcase_add_test(tc, test_delay);
	tcase_add_test(tc, test_time_does_not_go_back);
	tcase_add_test(tc, test_jitter);
	tcase_add_test(tc, test_jitter_keeps_order);
	tcase_add_loop_test(tc, test_limit, 0, QB_ARRAY_LEN(limit_rows));
	tcase_add_test(tc, test_mtu_and_capacity);
	tcase_add_loop_test(tc, test_loss, 0, 5);
	tcase_add_test(tc, test_loss_uses_the_rate);
	tcase_add_test(tc, test_bursts);
	tcase_add_loop_test(tc, test_bursts_pass_by_themselves, 0, 2);
	tcase_add_test(tc, test_burst_losses_by_state);
	tcase_add_test(tc, test_reorder);
	tcase_add_test(tc, test_dup);
	tcase_add_test(tc, test_corrupt);
	tcase_add_test(tc, test_streak);
	tcase_add_test(tc, test_mark);
	tcase_add_test(tc, test_policer);
	tcase_add_test(tc, test_down);
	tcase_add_test(tc, test_change_rate);
	tcase_add_test(tc, test_change_delay);
	tcase_add_test(tc, test_determinism);
	tcase_add_loop_test(tc, test_everything_comes_back, 0, 20);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
