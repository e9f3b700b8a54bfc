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

/* ---- where a path starts from ---- */

START_TEST(test_tune)
{
	static const struct qb_path_tune tune = {
		.init_window_pkts = 40, .min_window_pkts = 7, .init_rtt_ns = 800 * MS, .persistent_ptos = 10};
	struct pair_opts o = pair_default_opts(3);
	struct pair *p = pair_up(&o);
	struct qb_tuple t = pair_client_tuple(1);
	struct qb_path_info before, after;
	int path;

	pair_run(p, 1 * SEC);
	path = qb_conn_open_path(p->end[CLIENT].conn, &t, p->now_ns);
	ck_assert_int_eq(path, 1);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 1, p->now_ns, &before));
	qb_conn_tune_path(p->end[CLIENT].conn, 1, &tune, p->now_ns);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 1, p->now_ns, &after));
	ck_assert_uint_eq(before.cwnd_bytes, 14720);
	ck_assert_uint_eq(after.cwnd_bytes, 40 * 1472);
	ck_assert_uint_gt(after.pto_ns, 2 * before.pto_ns);
	/* Once there is a sample, the window is what it has become. */
	pair_run(p, 1 * SEC);
	qb_conn_tune_path(p->end[CLIENT].conn, 1, &(struct qb_path_tune){.init_window_pkts = 2}, p->now_ns);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 1, p->now_ns, &after));
	ck_assert_uint_ge(after.cwnd_bytes, 40 * 1472);
	pair_free(p);
}
END_TEST

/* Whatever goes wrong, the least window is left, by every controller. */
START_TEST(test_min_window)
{
	struct pair_opts o = pair_default_opts(4);
	struct pair *p;
	struct bulk b;

	o.cc = qb_cc_list[_i]->name;
	o.tune.min_window_pkts = 12;
	p = pair_up(&o);
	p->link[0].rate_bps = 5000000;
	p->link[0].queue_ns = 20 * MS;
	p->link[0].loss = 0.2;
	bulk_start(p, &b, SERVER, 1 << 20);
	for (int i = 0; i < 100; i++) {
		pair_run(p, 20 * MS);
		ck_assert_uint_ge(info_of(p).cwnd_bytes, 12 * 1472);
	}
	pair_free(p);
}
END_TEST

/* A black hole of so many probe timeouts is persistent congestion, or not yet (RFC 9002 §7.6). */
START_TEST(test_persistent)
{
	struct pair_opts o = pair_default_opts(5);
	struct pair *p;
	struct bulk b;

	o.tune.persistent_ptos = _i ? 50 : 0;
	p = pair_up(&o);
	p->link[0].rate_bps = 20000000;
	p->link[0].queue_ns = 40 * MS;
	bulk_start(p, &b, SERVER, 16 << 20);
	pair_run(p, 1 * SEC);
	p->link[0].is_down = true;
	pair_run(p, 1 * SEC);
	p->link[0].is_down = false;
	pair_run(p, 2 * SEC);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_PERSISTENT_CONGESTION], _i ? 0 : 1);
	pair_free(p);
}
END_TEST

/* ---- ECN ---- */

static struct qb_path_info client_info(struct pair *p)
{
	struct qb_path_info info;

	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	return info;
}

/* ECT(1) is for Prague alone (RFC 9331 §4), also when controllers change in mid-flight; the path stays valid. */
START_TEST(test_codepoint)
{
	struct pair_opts o = pair_default_opts(6);
	struct pair *p;
	struct bulk b;
	uint64_t ect0, ect1;

	o.cc = qb_cc_list[_i]->name;
	p = pair_up(&o);
	p->link[0].rate_bps = 20000000;
	p->link[0].queue_ns = 40 * MS;
	bulk_start(p, &b, SERVER, 16 << 20);
	pair_run(p, 500 * MS);
	ck_assert_str_eq(info_of(p).ecn, "capable");
	ect0 = client_info(p).ect0_rx;
	ect1 = client_info(p).ect1_rx;
	ck_assert_uint_ge(qb_cc_list[_i]->is_ect1 ? ect1 : ect0, 100);
	ck_assert_uint_eq(qb_cc_list[_i]->is_ect1 ? ect0 : ect1, 0);
	qb_conn_set_path_cc(p->end[SERVER].conn, 0, qb_cc_find(qb_cc_list[_i]->is_ect1 ? "cubic" : "prague"),
			    p->now_ns);
	pair_run(p, 500 * MS);
	ck_assert_str_eq(info_of(p).ecn, "capable");
	ck_assert_uint_gt(qb_cc_list[_i]->is_ect1 ? client_info(p).ect0_rx : client_info(p).ect1_rx, 100);
	ect0 = client_info(p).ect0_rx;
	ect1 = client_info(p).ect1_rx;
	pair_run(p, 500 * MS);
	ck_assert_uint_eq(qb_cc_list[_i]->is_ect1 ? client_info(p).ect1_rx : client_info(p).ect0_rx,
			  qb_cc_list[_i]->is_ect1 ? ect1 : ect0);
	pair_free(p);
}
END_TEST

START_TEST(test_ecn_off)
{
	struct pair_opts o = pair_default_opts(7);
	struct pair *p;
	struct bulk b;

	o.tune.is_ecn_off = true;
	p = pair_up(&o);
	bulk_start(p, &b, SERVER, 1 << 20);
	ck_assert(pair_run_until(p, bulk_is_done, 20 * SEC));
	ck_assert_str_eq(info_of(p).ecn, "off");
	ck_assert_uint_eq(client_info(p).ect0_rx + client_info(p).ect1_rx, 0);
	pair_free(p);
}
END_TEST

/* A path that clears marks is found out, and another one may have them (RFC 9000 §13.4.2): each for itself. */
START_TEST(test_ecn_by_path)
{
	struct pair_opts o = pair_default_opts(8);
	struct pair *p = pair_up(&o);
	struct qb_path_info info;
	struct bulk b;

	p->link[0].is_bleaching = true;
	pair_open_path(p, 1);
	pair_run(p, 500 * MS);
	bulk_start(p, &b, SERVER, 4 << 20);
	ck_assert(pair_run_until(p, bulk_is_done, 20 * SEC));
	ck_assert_str_eq(info_of(p).ecn, "failed");
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 1, p->now_ns, &info));
	ck_assert_str_eq(info.ecn, "capable");
	/* Another controller does not make it trust the path again. */
	qb_conn_set_path_cc(p->end[SERVER].conn, 0, qb_cc_find("prague"), p->now_ns);
	ck_assert_str_eq(info_of(p).ecn, "failed");
	pair_free(p);
}
END_TEST

/* What the network marked is what the sender counts, to the packet; and Prague keeps its queue at the marks. */
START_TEST(test_ce_counts)
{
	struct pair_opts o = pair_default_opts(9);
	struct pair *p;
	struct bulk b;

	o.cc = _i ? "cubic" : "prague";
	p = pair_up(&o);
	p->link[0].rate_bps = 50000000;
	p->link[0].queue_ns = 100 * MS;
	p->link[0].ce = 0.02;
	bulk_start(p, &b, SERVER, 8 << 20);
	ck_assert(pair_run_until(p, bulk_is_done, 60 * SEC));
	pair_run(p, 1 * SEC);
	ck_assert_uint_gt(client_info(p).ce_rx, 20);
	ck_assert_uint_eq(info_of(p).ce_tx, client_info(p).ce_rx);
	ck_assert_str_eq(info_of(p).ecn, "capable");
	pair_free(p);
}
END_TEST

/* ---- a controller that follows another ---- */

/* What the one before has found is not to be found again: half of it is there as soon as the initial window is through. */
START_TEST(test_change_resumes)
{
	struct pair_opts o = pair_default_opts(10);
	struct pair *p;
	uint64_t before;
	struct bulk b;

	o.cc = "cubic";
	p = pair_up(&o);
	p->link[0].rate_bps = 100000000;
	p->link[0].queue_ns = 40 * MS;
	p->link[0].delay_ns = 40 * MS;
	bulk_start(p, &b, SERVER, 64 << 20);
	pair_run(p, 3 * SEC);
	before = info_of(p).delivery_bps;
	qb_conn_set_path_cc(p->end[SERVER].conn, 0, qb_cc_find("bbr3"), p->now_ns);
	pair_run(p, 280 * MS);
	ck_assert_uint_gt(info_of(p).delivery_bps, before / 3);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic_cc");
	TCase *tc = tcase_create("cc");
	SRunner *r;
	int failed, cc_cnt = 0;

	while (qb_cc_list[cc_cnt])
		cc_cnt++;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_change);
	tcase_add_test(tc, test_same);
	tcase_add_test(tc, test_tune);
	tcase_add_loop_test(tc, test_min_window, 0, cc_cnt);
	tcase_add_loop_test(tc, test_persistent, 0, 2);
	tcase_add_loop_test(tc, test_codepoint, 0, cc_cnt);
	tcase_add_test(tc, test_ecn_off);
	tcase_add_test(tc, test_ecn_by_path);
	tcase_add_loop_test(tc, test_ce_counts, 0, 2);
	tcase_add_test(tc, test_change_resumes);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
