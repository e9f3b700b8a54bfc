/* SPDX-License-Identifier: BSD-2-Clause */
/* Received packet numbers against a naive model: a byte for each number. */
#include <check.h>
#include <stdlib.h>

#include "base/rand.h"
#include "quic/ranges.h"
#include "require.h"

enum { MODEL_CNT = 4096 };

static struct qb_ranges set;
static bool model[MODEL_CNT];

static void check_invariants(void)
{
	REQUIRE(set.cnt <= QB_RANGES_MAX);
	for (uint32_t i = 0; i < set.cnt; i++) {
		REQUIRE(set.r[i].first <= set.r[i].last);
		REQUIRE(set.r[i].first >= set.floor);
		if (i)
			REQUIRE(set.r[i].first > set.r[i - 1].last + 1);
		for (uint64_t pn = set.r[i].first; pn <= set.r[i].last; pn++)
			REQUIRE(model[pn]);
	}
}

static void check_model(void)
{
	for (uint64_t pn = 0; pn < MODEL_CNT; pn++)
		REQUIRE(qb_ranges_has(&set, pn) == (model[pn] || pn < set.floor));
}

static void insert(uint64_t pn)
{
	bool was_there = model[pn] || pn < set.floor;

	REQUIRE(qb_ranges_insert(&set, pn) == !was_there);
	model[pn] = true;
	REQUIRE(qb_ranges_has(&set, pn));
}

/* Packets in rough order, with losses, duplicates and stragglers; ACKs of ACKs move the floor. */
START_TEST(test_against_model)
{
	struct qb_rand r;
	uint64_t next = 0;

	qb_rand_seed(&r, (uint64_t)_i);
	qb_ranges_init(&set);
	memset(model, 0, sizeof(model));
	while (next < MODEL_CNT - 8) {
		uint64_t dice = qb_rand_below(&r, 100);

		if (dice < 50)
			insert(next++);
		else if (dice < 50 + (uint64_t)(_i % 4) * 10)
			next += 1 + qb_rand_below(&r, 3);
		else if (dice < 95)
			insert(qb_sub_sat_u64(next, qb_rand_below(&r, 300)));
		else if (_i % 3 == 0 && next)
			qb_ranges_remove_below(&set, qb_sub_sat_u64(next, qb_rand_below(&r, 500)));
		if (dice < 5)
			check_invariants();
	}
	check_invariants();
	check_model();
}
END_TEST

START_TEST(test_in_order_is_one_range)
{
	qb_ranges_init(&set);
	ck_assert_uint_eq(qb_ranges_largest(&set), QB_PN_NONE);
	ck_assert_ptr_null(qb_ranges_nth(&set, 0));
	for (uint64_t pn = 0; pn < 1000; pn++)
		ck_assert(qb_ranges_insert(&set, pn));
	ck_assert_uint_eq(set.cnt, 1);
	ck_assert_uint_eq(qb_ranges_largest(&set), 999);
	ck_assert(!qb_ranges_insert(&set, 0));
	ck_assert(!qb_ranges_insert(&set, 999));
}
END_TEST

/* One range too many: the oldest goes, and its numbers can never be taken for new ones. */
START_TEST(test_oldest_is_forgotten)
{
	qb_ranges_init(&set);
	for (uint64_t i = 0; i < QB_RANGES_MAX + 10; i++)
		ck_assert(qb_ranges_insert(&set, 10 + i * 2));
	ck_assert_uint_eq(set.cnt, QB_RANGES_MAX);
	ck_assert_uint_eq(set.r[0].first, 10 + 10 * 2);
	ck_assert(qb_ranges_has(&set, 10));
	ck_assert(qb_ranges_has(&set, 11)); /* never received, but nobody knows any more */
	ck_assert(!qb_ranges_insert(&set, 11));
	/* Just below the oldest, and no room: it is the one to go. */
	ck_assert(!qb_ranges_insert(&set, 28));
	ck_assert(qb_ranges_insert(&set, 29));
	ck_assert_uint_eq(set.r[0].first, 29);
	ck_assert_uint_eq(qb_ranges_nth(&set, 0)->last, 10 + (QB_RANGES_MAX + 9) * 2);
	ck_assert_uint_eq(qb_ranges_nth(&set, QB_RANGES_MAX - 1)->first, 29);
}
END_TEST

START_TEST(test_full_set_and_an_older_one)
{
	qb_ranges_init(&set);
	for (uint64_t i = 0; i < QB_RANGES_MAX; i++)
		qb_ranges_insert(&set, 100 + i * 2);
	ck_assert(qb_ranges_insert(&set, 50)); /* new, though it cannot be remembered as a range */
	ck_assert_uint_eq(set.cnt, QB_RANGES_MAX);
	ck_assert(!qb_ranges_insert(&set, 50));
	ck_assert(!qb_ranges_insert(&set, 49));
	ck_assert(!qb_ranges_has(&set, 51));
}
END_TEST

START_TEST(test_remove_below)
{
	qb_ranges_init(&set);
	for (uint64_t pn = 0; pn < 100; pn++)
		if (pn % 10 != 9)
			qb_ranges_insert(&set, pn);
	qb_ranges_remove_below(&set, 45);
	ck_assert_uint_eq(set.r[0].first, 45);
	ck_assert_uint_eq(set.r[0].last, 48);
	ck_assert(qb_ranges_has(&set, 9));
	ck_assert(!qb_ranges_insert(&set, 39));
	ck_assert(qb_ranges_insert(&set, 49));
	qb_ranges_remove_below(&set, 1000);
	ck_assert_uint_eq(set.cnt, 0);
	ck_assert_uint_eq(qb_ranges_largest(&set), QB_PN_NONE);
	ck_assert(!qb_ranges_insert(&set, 999));
	ck_assert(qb_ranges_insert(&set, 1000));
	qb_ranges_remove_below(&set, 10); /* the floor never sinks */
	ck_assert(!qb_ranges_insert(&set, 500));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/ranges");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_against_model, 0, 40);
	tcase_add_test(tc, test_in_order_is_one_range);
	tcase_add_test(tc, test_oldest_is_forgotten);
	tcase_add_test(tc, test_full_set_and_an_older_one);
	tcase_add_test(tc, test_remove_below);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
