/* SPDX-License-Identifier: BSD-2-Clause */
/* Link quality: what counts as a link's steady loss, and what does not take it back. */
#include "bond/quality.h"

#include <check.h>
#include <stdlib.h>

#include "base/rand.h"

#define MS QB_NS_PER_MS

static struct qb_quality q;
static struct qb_path_obs obs;
static struct qb_rand dice;
static uint64_t now;

static void setup(void)
{
	qb_quality_reset(&q);
	obs = (struct qb_path_obs){.is_open = true};
	now = 100 * QB_NS_PER_SEC;
}

/* carry lets time pass with so many packets a 10 ms, of which some are lost. */
static void carry(uint32_t ms, uint32_t pkts, uint32_t lost, uint32_t bytes)
{
	for (uint32_t t = 0; t < ms; t += 10, now += 10 * MS) {
		for (uint32_t i = 0; i < pkts; i++)
			qb_quality_on_sent(&q, bytes, now);
		obs.acked_packets += pkts - lost;
		obs.lost_packets += lost;
		qb_quality_observe(&q, &obs, now);
	}
}

START_TEST(one_burst_is_not_steady)
{
	carry(200, 20, 10, 1400);
	carry(3000, 20, 0, 1400);
	ck_assert_double_eq(q.steady_loss, 0);
}
END_TEST

START_TEST(steady_loss_is_the_best_of_the_last_spans)
{
	carry(3000, 20, 2, 1400);
	ck_assert_double_eq_tol(q.steady_loss, 0.1, 0.01);
	carry(3000, 20, 0, 1400);
	ck_assert_double_eq(q.steady_loss, 0);
}
END_TEST

/*
 * Random loss is told as what it is, also where so little goes by that some spans lose nothing: the
 * mean of a minute's readings, by packets in 10 ms.
 */
START_TEST(random_loss_is_told_as_what_it_is)
{
	static const struct {
		double loss;
		uint32_t pkts;
	} rows[] = {{0.02, 4}, {0.02, 20}, {0.05, 4}, {0.1, 4}, {0.03, 100}};
	double sum = 0, loss = rows[_i].loss;
	uint32_t low = 0;

	qb_rand_seed(&dice, 7);
	for (uint32_t t = 0; t < 61000; t += 10) {
		uint32_t lost = 0;

		for (uint32_t i = 0; i < rows[_i].pkts; i++)
			lost += (double)qb_rand_below(&dice, 1000000) < loss * 1e6;
		carry(10, rows[_i].pkts, lost, 1400);
		if (t >= 1000) {
			sum += q.steady_loss / 6000;
			low += q.steady_loss < loss / 2;
		}
	}
	ck_assert_double_eq_tol(sum, loss, loss / 10);
	ck_assert_uint_le(low, 6000 / 10);
}
END_TEST

/* A queue that overflows every half a second, or for a while, or in most spans a little and in one much: that is no steady
 * loss, or not more than the little. */
START_TEST(overflows_are_no_steady_loss)
{
	double most = 0;

	carry(1000, 4, 0, 1400);
	for (uint32_t i = 0; i < 60; i++) {
		carry(10, 4, i % 2 ? 4 : 1, 1400);
		carry(490, 4, 0, 1400);
		most = QB_MAX(most, q.steady_loss);
	}
	ck_assert_double_eq(most, 0);
	for (uint32_t i = 0; i < 60; i++) {
		carry(10, 100, 1, 1400);
		carry(190, 100, 0, 1400);
		if (i % 4 == 0)
			carry(20, 100, 50, 1400);
		if (i >= 5)
			most = QB_MAX(most, q.steady_loss);
	}
	ck_assert_double_le(most, 0.002);
}
END_TEST

/* A policer lets calls pass: that they lose nothing does not say that bulk would not. It has a chance soon, but the next late. */
START_TEST(calls_do_not_take_loss_back)
{
	carry(3000, 20, 0, 1400);
	carry(3000, 20, 10, 1400);
	ck_assert_double_eq_tol(q.steady_loss, 0.5, 0.02);
	carry(300, 1, 0, 200);
	ck_assert_double_ge(q.steady_loss, 0.2);
	carry(3000, 1, 0, 200);
	ck_assert_double_le(q.steady_loss, 0.02);
	carry(500, 20, 10, 1400);
	carry(5000, 1, 0, 200);
	ck_assert_double_ge(q.steady_loss, 0.3);
	/* In the course of a minute or two it gets its chance all the same. */
	carry(120000, 1, 0, 200);
	ck_assert_double_le(q.steady_loss, 0.01);
}
END_TEST

/*
 * A controller that finds out a link with a short buffer loses a tenth or a third for several round trips: such a link has its
 * next chance soon. The one after that is far off.
 */
START_TEST(an_overflow_soon_has_another_chance)
{
	uint32_t lost = _i ? 10 : 4;

	carry(1500, 10, 0, 1400);
	carry(1500, 30, lost, 1400);
	ck_assert_double_ge(q.steady_loss, 0.08);
	carry(3000, 1, 0, 200);
	ck_assert_double_le(q.steady_loss, 0.02);
	carry(1000, 30, lost, 1400);
	ck_assert_double_ge(q.steady_loss, 0.08);
	carry(3000, 1, 0, 200);
	ck_assert_double_ge(q.steady_loss, 0.08);
}
END_TEST

/* An overflow that grows while the controller backs off is one: the link had no chance in between. */
START_TEST(an_overflow_that_grows_is_one)
{
	carry(1500, 10, 0, 1400);
	carry(1200, 30, 2, 1400);
	carry(1200, 30, 5, 1400);
	ck_assert_double_ge(q.steady_loss, 0.15);
	carry(3000, 1, 0, 200);
	ck_assert_double_le(q.steady_loss, 0.04);
}
END_TEST

/*
 * The last losses of an overflow are reported when the link is used no more. What passes since then, and loses nothing, does not bring
 * back what was forgiven.
 */
START_TEST(what_loses_nothing_is_no_charge)
{
	carry(1500, 10, 0, 1400);
	carry(1200, 30, 3, 1400);
	carry(400, 30, 3, 0);
	ck_assert_double_ge(q.steady_loss, 0.08);
	for (uint32_t i = 0; i < 50; i++) {
		double before = q.steady_loss;

		carry(10, 1, 0, 200);
		carry(30, 0, 0, 0);
		ck_assert_double_le(q.steady_loss, before);
	}
	ck_assert_double_le(q.steady_loss, 0.03);
	/* One that does lose is. */
	carry(1000, 30, 3, 1400);
	ck_assert_double_ge(q.steady_loss, 0.08);
}
END_TEST

/* A policer: most is lost from one moment to the next, and nobody should wait for a second to
 * believe it. */
START_TEST(ruin_is_believed_at_once)
{
	carry(3000, 20, 0, 1400);
	carry(450, 20, 14, 1400);
	ck_assert_double_ge(q.steady_loss, 0.4);
}
END_TEST

/* A rate that falls fills the buffer, which overflows until the controller gives way. */
START_TEST(an_overflow_is_no_ruin)
{
	carry(3000, 20, 0, 1400);
	carry(190, 20, 14, 1400);
	carry(1000, 20, 0, 1400);
	ck_assert_double_eq(q.steady_loss, 0);
}
END_TEST

/* A start-up that overflows a buffer for some round trips does not ruin the link; one that goes on and on does. */
START_TEST(start_up_is_no_ruin)
{
	carry(1500, 20, 0, 1400);
	obs.is_starting = true;
	carry(700, 20, 10, 1400);
	obs.is_starting = false;
	carry(300, 20, 0, 1400);
	ck_assert_double_lt(q.steady_loss, 0.02);
	obs.is_starting = true;
	carry(4000, 20, 10, 1400);
	ck_assert_double_ge(q.steady_loss, 0.4);
}
END_TEST

/* Less than ruin counts in start-up, too: a radio that loses one in twenty is told while its rate is still looked for. */
START_TEST(loss_in_start_up_counts)
{
	obs.is_starting = true;
	carry(1500, 20, 1, 1400);
	ck_assert_double_eq_tol(q.steady_loss, 0.05, 0.01);
}
END_TEST

/* Each chance that a link got in vain makes it wait longer for the next; a good one makes up for
 * all. */
START_TEST(chances_become_rare)
{
	double left[3];

	carry(3000, 20, 0, 1400);
	for (int i = 0; i < 3; i++) {
		carry(450, 20, 14, 1400);
		ck_assert_double_ge(q.steady_loss, 0.4);
		carry(60000, 1, 0, 200);
		left[i] = q.steady_loss;
	}
	ck_assert_double_gt(left[1], 2 * left[0]);
	ck_assert_double_gt(left[2], left[1]);
	carry(5000, 20, 0, 1400);
	ck_assert_double_eq(q.steady_loss, 0);
	ck_assert_uint_eq(q.relapse_cnt, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond quality");
	TCase *tc = tcase_create("quality");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, one_burst_is_not_steady);
	tcase_add_test(tc, start_up_is_no_ruin);
	tcase_add_test(tc, loss_in_start_up_counts);
	tcase_add_test(tc, steady_loss_is_the_best_of_the_last_spans);
	tcase_add_loop_test(tc, random_loss_is_told_as_what_it_is, 0, 5);
	tcase_add_test(tc, overflows_are_no_steady_loss);
	tcase_add_test(tc, calls_do_not_take_loss_back);
	tcase_add_loop_test(tc, an_overflow_soon_has_another_chance, 0, 2);
	tcase_add_test(tc, an_overflow_that_grows_is_one);
	tcase_add_test(tc, what_loses_nothing_is_no_charge);
	tcase_add_test(tc, ruin_is_believed_at_once);
	tcase_add_test(tc, an_overflow_is_no_ruin);
	tcase_add_test(tc, chances_become_rare);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
