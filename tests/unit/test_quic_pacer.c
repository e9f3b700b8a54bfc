/* SPDX-License-Identifier: BSD-2-Clause */
/* The token bucket: rates over six orders of magnitude, bursts, debts. */
#include <check.h>

#include "quic/pacer.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

START_TEST(test_pacer_unpaced)
{
	struct qb_pacer p;

	qb_pacer_init(&p, SEC);
	ck_assert_uint_eq(qb_pacer_budget(&p, SEC), UINT64_MAX);
	ck_assert_uint_eq(qb_pacer_next_ns(&p, 1500, SEC), 0);
	qb_pacer_on_sent(&p, 1500, SEC);
	ck_assert_uint_eq(qb_pacer_budget(&p, SEC), UINT64_MAX);
}
END_TEST

static const uint64_t rates[] = {1000,	   64000,      1000000,
				 33333333, 1000000000, UINT64_C(100000000000)};

/* Whatever the rate, over ten seconds as much leaves as it says. */
START_TEST(test_pacer_rate)
{
	uint64_t rate = rates[_i], now = SEC, sent = 0, next;
	struct qb_pacer p;
	double expect = (double)rate * 10 / 8;
	uint32_t n;

	qb_pacer_init(&p, now);
	qb_pacer_set_rate(&p, rate, 1200, now);
	ck_assert_uint_ge(p.burst_bytes, 2400);
	ck_assert_uint_le(p.burst_bytes, 65536);
	for (n = 0; now < 11 * SEC && n < 3000000; n++) {
		next = qb_pacer_next_ns(&p, 1200, now);
		if (next) {
			ck_assert_uint_gt(next, now);
			ck_assert(qb_pacer_budget(&p, now) < 1200);
			now = next;
			ck_assert_uint_eq(qb_pacer_next_ns(&p, 1200, now), 0);
		}
		qb_pacer_on_sent(&p, 1200, now);
		sent += 1200;
	}
	if (now >= 11 * SEC) {
		ck_assert_double_ge((double)sent, expect * 0.999);
		ck_assert_double_le((double)sent, expect * 1.001 + p.burst_bytes + 1200);
	} else {
		double secs = (double)(now - SEC) / 1e9;

		ck_assert_double_le((double)sent, (double)rate * secs / 8 + p.burst_bytes + 1200);
	}
}
END_TEST

START_TEST(test_pacer_burst)
{
	struct qb_pacer p;

	qb_pacer_init(&p, 0);
	qb_pacer_set_rate(&p, 80000000, 1200, 0);
	ck_assert_uint_eq(p.burst_bytes, 10000);
	/* However long it was idle, no more than the burst. */
	ck_assert_uint_eq(qb_pacer_budget(&p, 1000 * SEC), 10000);
	qb_pacer_on_sent(&p, 10000, 1000 * SEC);
	ck_assert_uint_eq(qb_pacer_budget(&p, 1000 * SEC), 0);
	ck_assert_uint_eq(qb_pacer_budget(&p, 1000 * SEC + MS / 2), 5000);
	/* A change of rate takes nothing away and gives nothing for free. */
	qb_pacer_set_rate(&p, 160000000, 1200, 1000 * SEC + MS / 2);
	ck_assert_uint_eq(qb_pacer_budget(&p, 1000 * SEC + MS / 2), 5000);
	ck_assert_uint_eq(p.burst_bytes, 20000);
	/* Probes may overdraw, by one burst at most. */
	qb_pacer_on_sent(&p, 60000, 1000 * SEC + MS / 2);
	ck_assert_uint_eq(qb_pacer_next_ns(&p, 1200, 1000 * SEC + MS / 2),
			  1000 * SEC + MS / 2 + (20000 + 1200) * 50);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/pacer");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_pacer_unpaced);
	tcase_add_loop_test(tc, test_pacer_rate, 0, (int)QB_ARRAY_LEN(rates));
	tcase_add_test(tc, test_pacer_burst);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
