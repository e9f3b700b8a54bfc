/* SPDX-License-Identifier: BSD-2-Clause */
/* Round-trip time by the formulas of RFC 9002. */
#include <check.h>

#include "quic/rtt.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

START_TEST(test_rtt)
{
	struct qb_rtt r;

	qb_rtt_init(&r, 0);
	ck_assert(!qb_rtt_has_sample(&r));
	/* RFC 9002 §6.2.2: 333 ms and half of it make about a second. */
	ck_assert_uint_eq(qb_rtt_pto_ns(&r, 0), 333 * MS + 4 * (333 * MS / 2));
	qb_rtt_update(&r, 100 * MS, 50 * MS, 1 * SEC);
	ck_assert_uint_eq(r.smoothed_ns, 100 * MS);
	ck_assert_uint_eq(r.var_ns, 50 * MS);
	ck_assert_uint_eq(r.min_ns, 100 * MS);
	/* The delay is taken off: 140 - 20 = 120, var = 3/4 * 50 + 1/4 * 20, srtt = 7/8 * 100 + 1/8
	 * * 120. */
	qb_rtt_update(&r, 140 * MS, 20 * MS, 2 * SEC);
	ck_assert_uint_eq(r.var_ns, 42500000);
	ck_assert_uint_eq(r.smoothed_ns, 102500000);
	/* But never below the smallest RTT. */
	qb_rtt_update(&r, 110 * MS, 20 * MS, 3 * SEC);
	ck_assert_uint_eq(r.smoothed_ns, (7 * UINT64_C(102500000) + 110 * MS) / 8);
	ck_assert_uint_eq(r.min_ns, 100 * MS);
	qb_rtt_update(&r, 80 * MS, 0, 3 * SEC);
	ck_assert_uint_eq(r.min_ns, 80 * MS);
	ck_assert_uint_eq(qb_rtt_pto_ns(&r, 25 * MS), r.smoothed_ns + 4 * r.var_ns + 25 * MS);
	ck_assert_uint_eq(qb_rtt_persistent_ns(&r, 25 * MS, 0), 3 * qb_rtt_pto_ns(&r, 25 * MS));
	ck_assert_uint_eq(qb_rtt_persistent_ns(&r, 25 * MS, 8), 8 * qb_rtt_pto_ns(&r, 25 * MS));
	ck_assert_uint_eq(qb_rtt_loss_delay_ns(&r), r.smoothed_ns + r.smoothed_ns / 8);
}
END_TEST

START_TEST(test_rtt_granularity)
{
	struct qb_rtt r;
	int i;

	qb_rtt_init(&r, 0);
	for (i = 0; i < 100; i++)
		qb_rtt_update(&r, 100 * 1000, 0, SEC);
	ck_assert_uint_eq(r.smoothed_ns, 100 * 1000);
	ck_assert_uint_eq(qb_rtt_pto_ns(&r, 0), 100 * 1000 + MS);
	ck_assert_uint_eq(qb_rtt_loss_delay_ns(&r), MS);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/rtt");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_rtt);
	tcase_add_test(tc, test_rtt_granularity);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
