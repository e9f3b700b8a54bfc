/* SPDX-License-Identifier: BSD-2-Clause */
/* Why this path: what is kept of decisions, and the words for it. */
#include <check.h>
#include <stdlib.h>

#include "bond/explain.h"
#include "bond/sched.h"

#define MS QB_NS_PER_MS

struct path_in {
	uint64_t rtt_ms, busy_ms;
	bool is_far;
	uint32_t mtu;
};

#define PATH(rtt_ms_, ...)                                                                         \
	{                                                                                          \
		.rtt_ms = rtt_ms_, ##__VA_ARGS__                                                   \
	}

/* clang-format off */
static const struct {
	struct path_in v[3];
	bool is_sparse;
	int path;
	const char *want;
} cases[] = {
	{{PATH(20), PATH(60)}, true, 0, "arrives first, 20.0 ms before lte"},
	{{PATH(20), PATH(60)}, true, 1, "its turn, although dsl is 20.0 ms quicker"},
	{{PATH(20, .busy_ms = 3), PATH(60)}, false, 1, "dsl is busy for 3.0 ms"},
	{{PATH(20, .busy_ms = 3), PATH(60)}, false, QB_SCHED_WAIT, "waits for dsl, 3.0 ms: arrives first all the same"},
	{{PATH(20, .busy_ms = 30), PATH(60)}, false, QB_SCHED_WAIT, "waits, although lte is free"},
	{{PATH(20, .busy_ms = 3), PATH(60)}, false, QB_SCHED_LATE, "too late: dsl would take 13.0 ms"},
	{{PATH(20), PATH(600, .is_far = true)}, false, 0, "the only link that may carry it"},
	{{PATH(20), PATH(600, .is_far = true)}, true, 0, "arrives first, 290.0 ms before lte"},
	{{PATH(20, .mtu = 500), PATH(60)}, true, 1, "the only link that may carry it"},
	{{PATH(0), PATH(0)}, true, QB_SCHED_WAIT, "no link is there for it"},
	{{PATH(60), PATH(20), PATH(40)}, true, 1, "arrives first, 10.0 ms before sat"},
};
/* clang-format on */

START_TEST(words)
{
	static const char *const names[QB_BOND_PATHS_MAX] = {"dsl", "lte", "sat"};
	static struct qb_bond_decision ring[QB_BOND_DECISIONS];
	static struct qb_explain e = {.ring = ring};
	struct qb_pkt_meta pkt = {.bytes = 1000, .flow = 7, .is_sparse = cases[_i].is_sparse};
	struct qb_path_view v[3] = {{0}};
	struct qb_sched_ask ask = {.v = v, .n = 3, .pkt = &pkt, .now_ns = QB_NS_PER_SEC};
	char text[96];

	for (uint32_t i = 0; i < 3; i++) {
		const struct path_in *in = &cases[_i].v[i];

		v[i] = (struct qb_path_view){.is_usable = in->rtt_ms != 0,
					     .is_far = in->is_far,
					     .srtt_ns = in->rtt_ms * MS,
					     .min_rtt_ns = in->rtt_ms * MS,
					     .rate_bps = 10000000,
					     .cwnd_bytes = 100000,
					     .budget_bytes = in->busy_ms ? 0 : 10000,
					     .next_send_ns = QB_NS_PER_SEC + in->busy_ms * MS,
					     .max_inner_bytes = in->mtu};
	}
	e.next_ns = e.cnt = 0;
	qb_explain_keep(&e, "auto", &ask, cases[_i].path);
	ck_assert_uint_eq(e.cnt, 1);
	ck_assert_str_eq(e.ring[0].sched, "auto");
	ck_assert_uint_eq(e.ring[0].bytes, 1000);
	ck_assert_uint_eq(e.ring[0].flow, 7);
	qb_bond_explain(&e.ring[0], names, text, sizeof(text));
	ck_assert_str_eq(text, cases[_i].want);
}
END_TEST

START_TEST(one_in_a_while_is_kept)
{
	static struct qb_bond_decision ring[QB_BOND_DECISIONS];
	static struct qb_explain e = {.ring = ring};
	struct qb_pkt_meta pkt = {.bytes = 1000};
	struct qb_sched_ask ask = {.pkt = &pkt, .now_ns = QB_NS_PER_SEC};

	for (uint32_t i = 0; i < 100; i++, ask.now_ns += MS)
		qb_explain_keep(&e,
				"a name that is longer than there is any room for in a decision",
				&ask, QB_SCHED_WAIT);
	ck_assert_uint_eq(e.cnt, 20);
	ck_assert_uint_eq(strlen(e.ring[0].sched), sizeof(e.ring[0].sched) - 1);
	for (uint32_t i = 0; i < 1000; i++, ask.now_ns += 5 * MS)
		qb_explain_keep(&e, "auto", &ask, QB_SCHED_WAIT);
	ck_assert_uint_eq(e.cnt, 1020);
	ck_assert_uint_eq(e.ring[(e.cnt - 1) % QB_BOND_DECISIONS].at_ns, ask.now_ns - 5 * MS);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond explain");
	TCase *tc = tcase_create("explain");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, words, 0, (int)QB_ARRAY_LEN(cases));
	tcase_add_test(tc, one_in_a_while_is_kept);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
