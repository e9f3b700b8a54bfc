/* SPDX-License-Identifier: BSD-2-Clause */
/* Handshakes between two endpoints: plain, lossy, with Retry, with wrong keys, of unknown versions. */
#include "quic_pair.h"

START_TEST(test_plain)
{
	struct pair_opts o = pair_default_opts(1);
	struct pair *p = pair_new(&o);
	struct qb_conn_info info;

	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	pair_run(p, 1 * SEC);
	qb_conn_get_info(p->end[CLIENT].conn, &info);
	ck_assert(info.is_established && info.is_multipath);
	ck_assert_int_eq(info.peer_idx, 0);
	qb_conn_get_info(p->end[SERVER].conn, &info);
	ck_assert(info.is_established && info.is_multipath);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_PATHS_AVAILABLE], 1);
	pair_free(p);
}
END_TEST

START_TEST(test_datagrams)
{
	struct pair_opts o = pair_default_opts(2);
	struct pair *p = pair_up(&o);
	uint32_t i;

	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, i, 4 + i % 1000), 0);
		ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, i, 4 + i % 1000), 0);
		pair_run(p, 10 * MS);
	}
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 100);
	ck_assert_uint_eq(p->end[CLIENT].dgram_cnt, 100);
	pair_free(p);
}
END_TEST

START_TEST(test_two_paths)
{
	struct pair_opts o = pair_default_opts(3);
	struct pair *p = pair_up(&o);
	uint8_t path = pair_open_path(p, 1);
	uint32_t i;

	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_OPENED], 1);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_VALIDATED], 1);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_PATH_VALIDATED], 1);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, i % 2 ? path : 0, i, 1000), 0);
		ck_assert_int_eq(pair_send_dgram(p, SERVER, i % 2 ? path : 0, i, 1000), 0);
		pair_run(p, 10 * MS);
	}
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 100);
	ck_assert_uint_eq(p->end[CLIENT].dgram_by_path[path], 50);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/handshake");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_plain);
	tcase_add_test(tc, test_datagrams);
	tcase_add_test(tc, test_two_paths);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
