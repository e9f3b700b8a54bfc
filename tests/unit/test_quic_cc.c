/* SPDX-License-Identifier: BSD-2-Clause */
/* A path's congestion controller changes while data flows. */
#include <check.h>

#include "quic_bulk.h"

static struct qb_path_info info_of(struct pair *p)
{
	struct qb_path_info info;

	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &info));
	return info;
}

/* Whichever follows whichever, with what the one sent acknowledged or lost under the next: all
 * arrives. */
START_TEST(test_change)
{
	struct pair_opts o = pair_default_opts(1);
	struct pair *p = pair_up(&o);
	struct bulk b;

	p->link[0].rate_bps = 20000000;
	p->link[0].queue_ns = 40 * MS;
	p->link[0].loss = 0.01;
	bulk_start(p, &b, SERVER, 4 << 20);
	for (uint32_t i = 0; qb_cc_list[i]; i++) {
		qb_conn_set_path_cc(p->end[SERVER].conn, 0, qb_cc_list[i], p->now_ns);
		ck_assert_str_eq(info_of(p).cc_name, qb_cc_list[i]->name);
		ck_assert_uint_eq(info_of(p).cwnd_bytes, qb_cc_initial_cwnd(info_of(p).mtu_bytes));
		pair_run(p, 100 * MS);
	}
	ck_assert(pair_run_until(p, bulk_is_done, 60 * SEC));
	pair_free(p);
}
END_TEST

/* The one that is there goes on as it is. */
START_TEST(test_same)
{
	struct pair_opts o = pair_default_opts(2);
	struct pair *p = pair_up(&o);
	uint64_t cwnd_bytes;
	struct bulk b;

	bulk_start(p, &b, SERVER, 1 << 20);
	pair_run(p, 200 * MS);
	cwnd_bytes = info_of(p).cwnd_bytes;
	ck_assert_uint_gt(cwnd_bytes, 2 * qb_cc_initial_cwnd(info_of(p).mtu_bytes));
	qb_conn_set_path_cc(p->end[SERVER].conn, 0, qb_cc_find(o.cc), p->now_ns);
	ck_assert_uint_eq(info_of(p).cwnd_bytes, cwnd_bytes);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic_cc");
	TCase *tc = tcase_create("cc");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_change);
	tcase_add_test(tc, test_same);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
