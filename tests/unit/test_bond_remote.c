/* SPDX-License-Identifier: BSD-2-Clause */
/* When a remote path is filled with padding: how often, and for how long. */
#include <check.h>
#include <stdlib.h>

#include "bond/internal.h"

#define MBPS(x) ((uint64_t)(x)*1000000)
#define S(x)	((uint64_t)(x)*QB_NS_PER_SEC)
#define STEP_NS (100 * QB_NS_PER_MS)

enum { PATH = 1 };

/* A bond that is always full, of which path 1 is remote, and nobody ever finds out what it carries.
 */
static struct qb_bond *bond_full(void)
{
	struct qb_bond *b = calloc(1, sizeof(*b));

	ck_assert_ptr_nonnull(b);
	b->scheds[0].sched = &qb_sched_auto;
	b->chosen = 3;
	b->tuning.outlook.remote = 1 << PATH;
	return b;
}

/* filled_s: for how many of these seconds the path is filled. */
static double filled_s(struct qb_bond *b, uint64_t all_bps, uint64_t *now_ns, uint64_t span_ns,
		       bool comes_and_goes)
{
	const struct qb_path_obs o = {
		.is_open = true, .srtt_ns = 600 * QB_NS_PER_MS, .is_starting = true};
	uint64_t end_ns = *now_ns + span_ns;
	uint32_t cnt = 0, other_cnt = 0;

	for (uint32_t i = 0; *now_ns < end_ns; *now_ns += STEP_NS, i++) {
		qb_bond_remote_look(b, 1 << 20, all_bps, *now_ns);
		if (comes_and_goes && i % 100 == 0)
			qb_bond_remote_reset(b, PATH);
		cnt += qb_bond_remote_fill(b, PATH, &o, *now_ns);
		other_cnt += qb_bond_remote_fill(b, 0, &o, *now_ns);
	}
	ck_assert_uint_eq(other_cnt, 0);
	return (double)cnt * (double)STEP_NS / 1e9;
}

START_TEST(less_and_less_often)
{
	struct qb_bond *b = bond_full();
	uint64_t now_ns = S(1000);

	ck_assert_double_eq_tol(filled_s(b, MBPS(10), &now_ns, S(290), false), 15, 1);
	ck_assert_double_eq_tol(filled_s(b, MBPS(10), &now_ns, S(310), false), 15, 1);
	ck_assert_double_eq_tol(filled_s(b, MBPS(10), &now_ns, S(290), false), 0, 0.1);
	ck_assert_double_eq_tol(filled_s(b, MBPS(10), &now_ns, S(310), false), 15, 1);
	/* In a day not a hundredth of the time. */
	ck_assert_double_le(filled_s(b, MBPS(10), &now_ns, S(86400), false), 86400 / 100);
	ck_assert_double_le(filled_s(b, MBPS(6), &now_ns, S(600), false), 16);
	ck_assert_double_eq_tol(filled_s(b, MBPS(4), &now_ns, S(310), false), 15, 1);
	free(b);
}
END_TEST

START_TEST(not_each_time_that_it_comes_back)
{
	struct qb_bond *b = bond_full();
	uint64_t now_ns = S(1000);

	ck_assert_double_le(filled_s(b, MBPS(10), &now_ns, S(600), true), 2 * 16);
	free(b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bond_remote");
	TCase *tc = tcase_create("bond_remote");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, less_and_less_often);
	tcase_add_test(tc, not_each_time_that_it_comes_back);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
