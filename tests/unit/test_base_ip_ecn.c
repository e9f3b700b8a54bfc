/* SPDX-License-Identifier: BSD-2-Clause */
/* Marks in IP headers, and what a tunnel's outer header does to the inner one: RFC 6040's table,
 * cell by cell. */
#include "base/csum.h"
#include "base/ip_ecn.h"

#include <check.h>
#include <stdlib.h>

static void make(uint8_t ip[40], int version, enum qb_ecn ecn)
{
	memset(ip, 0, 40);
	if (version == 6) {
		ip[0] = 0x6b;
		ip[1] = (uint8_t)(0x8f | ecn << 4); /* DSCP 46, a flow label */
		return;
	}
	ip[0] = 0x45;
	ip[1] = (uint8_t)(0xb8 | ecn);
	ip[8] = 64;
	qb_store_be32(ip + 12, 0xc0000201);
	qb_csum_store(ip + 10, qb_csum_add(0, ip, 20));
}

/* RFC 6040 §4.2, figure 4, as it is in a tunnel whose outer field is its own (ip_ecn.c): rows are
 * the inner field, columns the outer one, in the order Not-ECT, ECT(1), ECT(0), CE. */
static const enum qb_ecn classic[4][4] = {
	[QB_ECN_NOT] = {QB_ECN_NOT, QB_ECN_NOT, QB_ECN_NOT, QB_ECN_NOT},
	[QB_ECN_ECT1] = {QB_ECN_ECT1, QB_ECN_ECT1, QB_ECN_ECT1, QB_ECN_CE},
	[QB_ECN_ECT0] = {QB_ECN_ECT0, QB_ECN_ECT0, QB_ECN_ECT0, QB_ECN_CE},
	[QB_ECN_CE] = {QB_ECN_CE, QB_ECN_CE, QB_ECN_CE, QB_ECN_CE},
};

START_TEST(egress_table)
{
	int version = _i & 1 ? 4 : 6;
	bool is_l4s = _i & 2;

	for (int inner = 0; inner < 4; inner++) {
		for (int outer = 0; outer < 4; outer++) {
			enum qb_ecn want = classic[inner][outer];
			uint8_t ip[40], before[40];
			bool is_marked;

			if (is_l4s && inner == QB_ECN_ECT0)
				want = QB_ECN_ECT0;
			make(ip, version, (enum qb_ecn)inner);
			memcpy(before, ip, sizeof(ip));
			is_marked = qb_ip_ecn_egress(ip, (enum qb_ecn)outer, is_l4s);
			ck_assert_int_eq(qb_ip_ecn(ip), want);
			ck_assert_int_eq(is_marked, want != (enum qb_ecn)inner);
			if (version == 4)
				ck_assert_uint_eq(qb_csum_fold(qb_csum_add(0, ip, 20)), 0xffff);
			/* Nothing but the field and the checksum. */
			ip[1] = before[1];
			memcpy(ip + 10, before + 10, 2);
			ck_assert_mem_eq(ip, before, sizeof(ip));
		}
	}
}
END_TEST

START_TEST(mark)
{
	for (int version = 4; version <= 6; version += 2) {
		for (int ecn = 0; ecn < 4; ecn++) {
			uint8_t ip[40];

			make(ip, version, (enum qb_ecn)ecn);
			ck_assert_int_eq(qb_ip_ecn(ip), ecn);
			ck_assert_int_eq(qb_ip_mark_ce(ip), ecn != QB_ECN_NOT);
			ck_assert_int_eq(qb_ip_ecn(ip), ecn == QB_ECN_NOT ? QB_ECN_NOT : QB_ECN_CE);
			ck_assert_uint_eq(version == 4 ? ip[1] & 0xfc : ip[1] & 0xcf,
					  version == 4 ? 0xb8 : 0x8f);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/ip_ecn");
	TCase *tc = tcase_create("ip_ecn");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, egress_table, 0, 4);
	tcase_add_test(tc, mark);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
