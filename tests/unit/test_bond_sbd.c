/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared bottlenecks, told from delays that were made up. */
#include "bond/sbd.h"

#include <check.h>
#include <stdlib.h>

#include "base/rand.h"

#define MS QB_NS_PER_MS

static struct qb_sbd s;
static struct qb_path_obs obs[3];
static struct qb_rand rnd;
static uint64_t now;
static bool has_owd;	   /* the peer tells arrival times, by a clock that is behind */
static bool has_owd_queue; /* the queue is on the way there, else on the way back */

/* A queue that wanders between 0 and 40 ms. */
struct queue {
	double ms, goal;
};

static double wander(struct queue *q)
{
	if (qb_rand_below(&rnd, 40) == 0)
		q->goal = (double)qb_rand_below(&rnd, 40);
	q->ms += (q->goal - q->ms) / 20;
	return q->ms;
}

static void setup(void)
{
	memset(&s, 0, sizeof(s));
	memset(obs, 0, sizeof(obs));
	has_owd = false;
	qb_rand_seed(&rnd, 7);
	now = 50 * QB_NS_PER_SEC;
}

/* Paths 0 and 1 share q[0] if they are to; path 2 has a queue of its own. noise_ms is each path's
 * own. */
static void run_s(uint32_t seconds, bool is_shared, uint32_t noise_ms)
{
	static struct queue q[3];

	for (uint32_t t = 0; t < seconds * 100; t++, now += 10 * MS) {
		double ms[3] = {wander(&q[0]), wander(&q[1]), wander(&q[2])};

		if (is_shared)
			ms[1] = ms[0];
		for (uint8_t i = 0; i < 3; i++) {
			double noise = (double)qb_rand_below(&rnd, noise_ms * 1000 + 1) / 1000;

			obs[i].srtt_ns = (uint64_t)((20 + 15 * i + ms[i] + noise) * 1e6);
			obs[i].has_owd = has_owd;
			obs[i].owd_ns = (int64_t)((-5e6 + 10 * i + noise) * 1e6) + (has_owd_queue ? (int64_t)(ms[i] * 1e6) : 0);
			obs[i].acked_packets++;
			qb_sbd_observe(&s, i, &obs[i], now);
		}
	}
}

START_TEST(those_who_share_are_found_and_forgotten)
{
	run_s(40, true, (uint32_t)_i);
	ck_assert_uint_eq(s.partners[0], 2);
	ck_assert_uint_eq(s.partners[1], 1);
	ck_assert_uint_eq(s.partners[2], 0);
	/* One of them moves elsewhere. */
	run_s(40, false, (uint32_t)_i);
	ck_assert_uint_eq(s.partners[0] | s.partners[1] | s.partners[2], 0);
	run_s(40, true, (uint32_t)_i);
	ck_assert_uint_eq(s.partners[0], 2);
	qb_sbd_reset(&s, 1);
	ck_assert_uint_eq(s.partners[0] | s.partners[1], 0);
}
END_TEST

/* Nobody looks at a bond at rest: what was known before that does not stand beside what comes after it. */
START_TEST(what_is_old_is_forgotten)
{
	uint32_t gap_s = _i ? 3 : 60, gone = gap_s * 1000 / QB_SBD_LEN_MS, known = 0;

	run_s(12, true, 1);
	now += gap_s * QB_NS_PER_SEC;
	qb_sbd_observe(&s, 0, &obs[0], now);
	for (uint32_t i = 0; i < QB_SBD_INTERVALS; i++)
		known += s.path[0].mean_us[i] != 0;
	ck_assert_uint_le(known, qb_sub_sat_u64(QB_SBD_INTERVALS, gone - 1));
	/* The interval before the present one is one in which nothing was known. */
	ck_assert_uint_eq(s.path[0].mean_us[(s.cnt - 1) % QB_SBD_INTERVALS], 0);
	run_s(40, true, 1);
	ck_assert_uint_eq(s.partners[0], 2);
}
END_TEST

/* Where arrival times are known, a queue counts if it is on the way there, and one on the way back does not. */
START_TEST(the_way_there_is_what_counts)
{
	has_owd = true;
	has_owd_queue = true;
	run_s(40, true, 1);
	ck_assert_uint_eq(s.partners[0], 2);
	ck_assert_uint_eq(s.partners[2], 0);
	/* They turn out to share the way back alone. */
	has_owd_queue = false;
	run_s(60, true, 20);
	ck_assert_uint_eq(s.partners[0] | s.partners[1] | s.partners[2], 0);
	/* Once the peer tells no more, the round trip has to do. */
	has_owd = false;
	run_s(40, true, 1);
	ck_assert_uint_eq(s.partners[0], 2);
}
END_TEST

START_TEST(those_who_do_not_are_left_alone)
{
	run_s(120, false, (uint32_t)_i);
	ck_assert_uint_eq(s.partners[0] | s.partners[1] | s.partners[2], 0);
}
END_TEST

/* What is known beforehand holds until it is measured to be otherwise. */
START_TEST(what_is_expected)
{
	qb_sbd_expect(&s, 0, 2);
	run_s(5, true, 0);
	ck_assert_uint_eq(s.partners[0], 4);
	ck_assert_uint_eq(s.partners[2], 1);
	run_s(60, true, 0);
	ck_assert_uint_eq(s.partners[0], 2);
	ck_assert_uint_eq(s.partners[2], 0);
}
END_TEST

/* Without queues there is nothing to tell; silence is not one. */
START_TEST(quiet_paths_say_nothing)
{
	for (uint32_t t = 0; t < 6000; t++, now += 10 * MS)
		for (uint8_t i = 0; i < 3; i++) {
			obs[i].srtt_ns = 20 * MS;
			obs[i].acked_packets += t % 2;
			qb_sbd_observe(&s, i, &obs[i], now);
		}
	ck_assert_uint_eq(s.partners[0] | s.partners[1] | s.partners[2], 0);
	run_s(40, true, 0);
	ck_assert_uint_eq(s.partners[0], 2);
	/* An hour later they are still who they were: nobody has said otherwise. */
	now += 3600 * QB_NS_PER_SEC;
	qb_sbd_observe(&s, 0, &obs[0], now);
	ck_assert_uint_eq(s.partners[0], 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bond sbd");
	TCase *tc = tcase_create("sbd");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, those_who_share_are_found_and_forgotten, 0, 4);
	tcase_add_loop_test(tc, what_is_old_is_forgotten, 0, 2);
	tcase_add_test(tc, the_way_there_is_what_counts);
	tcase_add_loop_test(tc, those_who_do_not_are_left_alone, 0, 4);
	tcase_add_test(tc, what_is_expected);
	tcase_add_test(tc, quiet_paths_say_nothing);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
