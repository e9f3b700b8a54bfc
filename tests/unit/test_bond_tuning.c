/* SPDX-License-Identifier: BSD-2-Clause */
/* How long packets may stand in the queue while a link is gone, and once it is back. */
#include <check.h>
#include <stdlib.h>

#include "bond/tuning.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

static struct qb_queue q = {.cap_pkts = 10000};
static struct qb_tuning t;
static struct qb_path_view v[2];
static uint64_t now_ns;

/* Two links, 20 and 40 Mbit/s, 40 and 60 ms, both known. */
static void setup(void)
{
	memset(&t, 0, sizeof(t));
	now_ns = 100 * SEC;
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t rate_bps = (i + 1) * 20000000, rtt_ns = (40 + 20 * i) * MS;

		v[i] = (struct qb_path_view){
			.is_usable = true,
			.is_validated = true,
			.srtt_ns = rtt_ns,
			.min_rtt_ns = rtt_ns,
			.rate_bps = rate_bps,
			.cwnd_bytes = rate_bps / 8 * (rtt_ns / MS) / 1000 * 2,
		};
		v[i].in_flight_bytes = v[i].cwnd_bytes / 2;
	}
}

/* run_ms looks for so long, and returns the queue's least target in the last quarter second: what
 * it is without patience for growth. */
static uint64_t run_ms(uint64_t ms)
{
	uint64_t end_ns = now_ns + ms * MS, least_ns = UINT64_MAX;

	for (; now_ns < end_ns; now_ns += 10 * MS) {
		qb_tuning_look(&t, &q, v, 2, t.absent ? 1 : 3, now_ns);
		if (now_ns + 250 * MS >= end_ns)
			least_ns = QB_MIN(least_ns, q.target_ns);
	}
	return least_ns;
}

static void set_gone(bool is_gone)
{
	t.absent = is_gone ? 2 : 0;
	v[1].is_usable = !is_gone;
	/* Back, it carries next to nothing at first. */
	v[1].rate_bps = 1000000;
	v[1].cwnd_bytes = 20000;
	v[1].in_flight_bytes = 15000;
}

/* A flow that had both needs 60 Mbit/s for 60 ms under way, and is left with so much after it was
 * told to slow down once. */
START_TEST(what_a_lost_link_carried_may_stand)
{
	uint64_t sound_ns = run_ms(5000), gone_ns;

	set_gone(true);
	gone_ns = run_ms(1000);
	ck_assert_uint_gt(gone_ns, sound_ns + 50 * MS);
	ck_assert_uint_gt(gone_ns + 45 * MS, 60 / 20 * 60 * MS * 10 / 7);
	ck_assert_uint_le(gone_ns, 300 * MS);
	/* The link is back, and has nothing yet: it would be the flow's end to be told now. */
	set_gone(false);
	ck_assert_uint_gt(run_ms(500), gone_ns / 2);
	/* Two seconds must do. */
	ck_assert_uint_lt(run_ms(4000), gone_ns / 2);
}
END_TEST

START_TEST(a_link_that_only_stumbled_was_not_gone)
{
	uint64_t sound_ns = run_ms(5000);

	set_gone(true);
	run_ms(200);
	set_gone(false);
	ck_assert_uint_lt(run_ms(500), sound_ns + 30 * MS);
}
END_TEST

/* A failure of long ago is no reason any more. */
START_TEST(what_is_gone_for_long_is_not_waited_for)
{
	uint64_t gone_ns;

	run_ms(5000);
	set_gone(true);
	gone_ns = run_ms(5000);
	ck_assert_uint_lt(run_ms(6000), gone_ns / 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond tuning");
	TCase *tc = tcase_create("tuning");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, what_a_lost_link_carried_may_stand);
	tcase_add_test(tc, a_link_that_only_stumbled_was_not_gone);
	tcase_add_test(tc, what_is_gone_for_long_is_not_waited_for);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
