/* SPDX-License-Identifier: BSD-2-Clause */
/* Plans of schedulers that run outside: when one is asked again, and what becomes of answers that
 * make no sense. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bond/sched.h"

#define MS QB_NS_PER_MS

/* What the scheduler will say, and what it was asked. */
static struct {
	struct qb_sched_answer answer;
	int ret;
	uint32_t runs, faults, worker;
	bool was_sparse;
	uint64_t memory;
	char what[64];
} outside;

static int run(const struct qb_sched *s, const struct qb_sched_ask *ask,
	       uint64_t memory[QB_SCHED_MEMORY_WORDS], struct qb_sched_answer *out)
{
	(void)s;
	outside.runs++;
	outside.worker = ask->worker;
	outside.was_sparse = ask->pkt->is_sparse;
	outside.memory = ++memory[QB_SCHED_MEMORY_WORDS - 1];
	*out = outside.answer;
	return outside.ret;
}

static void fault(const struct qb_sched *s, const char *what)
{
	(void)s;
	outside.faults++;
	snprintf(outside.what, sizeof(outside.what), "%s", what);
}

static const struct qb_sched sched = {.name = "outside", .run = run, .fault = fault};
static struct qb_counters counters;
static struct qb_path_view v[3];
static struct qb_pkt_meta pkt;
static _Alignas(16) uint8_t state[QB_SCHED_STATE_MAX];
static uint64_t now;

static int pick(void)
{
	struct qb_sched_ask ask = {.v = v, .n = 3, .pkt = &pkt, .worker = 5, .now_ns = now};

	return qb_sched_plan_pick(&sched, state, &counters, &ask);
}

static void say(uint32_t cnt, int8_t path)
{
	outside.answer = (struct qb_sched_answer){.valid_ns = MS, .cnt = cnt};
	memset(outside.answer.pick, path, sizeof(outside.answer.pick));
}

static void setup(void)
{
	memset(&outside, 0, sizeof(outside));
	memset(&counters, 0, sizeof(counters));
	now = QB_NS_PER_SEC;
	for (uint32_t i = 0; i < 3; i++)
		v[i] = (struct qb_path_view){.is_usable = true,
					     .srtt_ns = (30 - 10 * i) * MS,
					     .min_rtt_ns = (30 - 10 * i) * MS,
					     .rate_bps = 10000000,
					     .cwnd_bytes = 100000,
					     .budget_bytes = 20000};
	pkt = (struct qb_pkt_meta){.bytes = 1000};
	memset(state, 0xa5, sizeof(state));
	qb_sched_plan_init(state);
}

START_TEST(one_run_serves_many)
{
	say(8, 1);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(pick(), 1);
	ck_assert_uint_eq(outside.runs, 1);
	ck_assert_uint_eq(outside.worker, 5);
	ck_assert_int_eq(pick(), 1);
	ck_assert_uint_eq(outside.runs, 2);
	ck_assert_uint_eq(outside.memory, 2);
	ck_assert_uint_eq(counters.v[QB_CNT_SCHED_PICKS], 9);
	ck_assert_uint_eq(counters.v[QB_CNT_SCHED_RUNS], 2);
	ck_assert_uint_eq(counters.v[QB_CNT_SCHED_FAULTS], 0);
}
END_TEST

START_TEST(kinds_have_plans_of_their_own)
{
	say(8, 1);
	ck_assert_int_eq(pick(), 1);
	ck_assert(!outside.was_sparse);
	say(8, 2);
	pkt.is_sparse = true;
	ck_assert_int_eq(pick(), 2);
	ck_assert(outside.was_sparse);
	pkt.is_sparse = false;
	ck_assert_int_eq(pick(), 1);
	ck_assert_uint_eq(outside.runs, 2);
}
END_TEST

START_TEST(asked_again_when_things_change)
{
	say(64, 1);
	ck_assert_int_eq(pick(), 1);
	/* time */
	now += MS;
	ck_assert_int_eq(pick(), 1);
	ck_assert_uint_eq(outside.runs, 2);
	/* other paths */
	v[0].is_usable = false;
	ck_assert_int_eq(pick(), 1);
	ck_assert_uint_eq(outside.runs, 3);
	v[0].is_usable = true;
	ck_assert_int_eq(pick(), 1);
	ck_assert_uint_eq(outside.runs, 4);
	/* the path has no room: once at a time, and the packet waits */
	v[1].budget_bytes = 1000;
	ck_assert_int_eq(pick(), QB_SCHED_WAIT);
	ck_assert_uint_eq(outside.runs, 5);
	ck_assert_int_eq(pick(), QB_SCHED_WAIT);
	ck_assert_uint_eq(outside.runs, 5);
	/* it has again: the pick was kept */
	v[1].budget_bytes = 2000;
	now += MS / 2;
	ck_assert_int_eq(pick(), 1);
	ck_assert_uint_eq(outside.runs, 5);
	ck_assert_uint_eq(outside.faults, 0);
}
END_TEST

START_TEST(told_to_wait)
{
	say(1, QB_SCHED_WAIT);
	ck_assert_int_eq(pick(), QB_SCHED_WAIT);
	ck_assert_int_eq(pick(), QB_SCHED_WAIT);
	ck_assert_uint_eq(outside.runs, 1);
	say(1, 0);
	now += MS / 10;
	ck_assert_int_eq(pick(), 0);
	/* no path at all is no question */
	for (uint32_t i = 0; i < 3; i++)
		v[i].is_usable = false;
	ck_assert_int_eq(pick(), QB_SCHED_WAIT);
	ck_assert_uint_eq(outside.runs, 2);
}
END_TEST

static const struct {
	uint32_t cnt;
	int8_t path;
	int ret;
	uint64_t waited_ms;
	const char *what;
} nonsense[] = {
	{0, 0, 0, 0, "gave no picks"},
	{65, 0, 0, 0, "gave more picks than there is room for"},
	{UINT32_MAX, 0, 0, 0, "gave more picks than there is room for"},
	{1, 3, 0, 0, "picked a path that is not to be used"},
	{1, 7, 0, 0, "picked a path that is not to be used"},
	{64, INT8_MAX, 0, 0, "picked a path that is not to be used"},
	{64, INT8_MIN, 0, 0, "picked a path that is not to be used"},
	{1, 1, 0, 0, "picked a path that is not to be used"},
	{1, 0, -EIO, 0, "failed"},
	{1, QB_SCHED_WAIT, 0, 250, "let packets wait while a path was free"},
};

START_TEST(nonsense_has_auto_stand_in)
{
	say(nonsense[_i].cnt, nonsense[_i].path);
	outside.ret = nonsense[_i].ret;
	pkt.waited_ns = nonsense[_i].waited_ms * MS;
	v[1].is_usable = false;
	/* auto takes the path with the lowest delay */
	ck_assert_int_eq(pick(), 2);
	ck_assert_str_eq(outside.what, nonsense[_i].what);
	ck_assert_uint_eq(counters.v[QB_CNT_SCHED_FAULTS], 1);
	ck_assert_uint_eq(counters.v[QB_CNT_SCHED_PICKS], 0);
	/* for a while, nobody is asked */
	now += 99 * MS;
	say(1, 0);
	outside.ret = 0;
	ck_assert_int_eq(pick(), 2);
	ck_assert_uint_eq(outside.runs, 1);
	now += MS;
	ck_assert_int_eq(pick(), 0);
	ck_assert_uint_eq(outside.runs, 2);
	ck_assert_uint_eq(outside.faults, 1);
}
END_TEST

START_TEST(waiting_is_no_fault_while_nothing_is_free)
{
	say(1, QB_SCHED_WAIT);
	pkt.waited_ns = 250 * MS;
	for (uint32_t i = 0; i < 3; i++)
		v[i].budget_bytes = 0;
	ck_assert_int_eq(pick(), QB_SCHED_WAIT);
	ck_assert_uint_eq(outside.faults, 0);
}
END_TEST

/* Whatever it says, nothing leaves by a path that may not send. */
START_TEST(never_a_path_that_may_not)
{
	uint64_t x = 88172645463325252u;

	for (int round = 0; round < 200000; round++) {
		int got;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		outside.answer.cnt = x >> 60 ? (uint32_t)(x & 63) : (uint32_t)x;
		outside.answer.valid_ns = x >> 20 & 0xfffff;
		outside.ret = (x >> 40 & 15) ? 0 : -EIO;
		for (uint32_t i = 0; i < QB_SCHED_PICKS_MAX; i++)
			outside.answer.pick[i] =
				(int8_t)((x >> 50 & 31) ? (x >> i) % 4 - 1 : x >> i);
		for (uint32_t i = 0; i < 3; i++) {
			v[i].is_usable = (x >> (4 * i) & 15) > 1;
			v[i].budget_bytes = (x >> (12 + 2 * i) & 3) * 700;
		}
		pkt.is_sparse = x >> 33 & 1;
		pkt.waited_ns = (x >> 34 & 7) ? 0 : 300 * MS;
		now += x >> 44;
		got = pick();
		if (got == QB_SCHED_WAIT)
			continue;
		ck_assert_int_ge(got, 0);
		ck_assert_int_lt(got, 3);
		ck_assert(qb_view_can_send(&v[got], pkt.bytes));
	}
	ck_assert_uint_gt(outside.faults, 1000);
	ck_assert_uint_gt(counters.v[QB_CNT_SCHED_PICKS], 500);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond plan");
	TCase *tc = tcase_create("plan");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, one_run_serves_many);
	tcase_add_test(tc, kinds_have_plans_of_their_own);
	tcase_add_test(tc, asked_again_when_things_change);
	tcase_add_test(tc, told_to_wait);
	tcase_add_loop_test(tc, nonsense_has_auto_stand_in, 0, (int)QB_ARRAY_LEN(nonsense));
	tcase_add_test(tc, waiting_is_no_fault_while_nothing_is_free);
	tcase_add_test(tc, never_a_path_that_may_not);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
