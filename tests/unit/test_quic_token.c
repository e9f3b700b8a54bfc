/* SPDX-License-Identifier: BSD-2-Clause */
/* Retry tokens: bound, short-lived, tamper-proof. */
#include <check.h>
#include <errno.h>

#include "quic/token.h"

#define SEC QB_NS_PER_SEC

START_TEST(test_token)
{
	struct qb_node_secret key = {.key = {1, 2, 3}}, other = {.key = {4}};
	struct qb_addr a = {.family = 4, .ip = {192, 0, 2, 7}, .port = 1234}, b = a;
	struct qb_token in = {.odcid_len = 8, .odcid = {1, 2, 3, 4, 5, 6, 7, 8}}, out;
	uint8_t cid[10] = {9, 9}, buf[QB_TOKEN_MAX];
	uint64_t now = 100 * SEC;
	struct qb_drbg rnd;
	size_t len, i;

	qb_drbg_seed(&rnd, key.key);
	len = qb_token_build(&key, &rnd, &a, cid, sizeof(cid), &in, now, buf);
	ck_assert_uint_le(len, sizeof(buf));
	ck_assert_int_eq(qb_token_check(&key, &a, cid, sizeof(cid), buf, len, now + SEC, &out), 0);
	ck_assert_uint_eq(out.odcid_len, 8);
	ck_assert_mem_eq(out.odcid, in.odcid, 8);
	ck_assert_int_eq(qb_token_check(&key, &a, cid, sizeof(cid), buf, len,
					now + QB_TOKEN_LIFE_NS + 1, &out),
			 -ETIME);
	ck_assert_int_eq(qb_token_check(&key, &a, cid, sizeof(cid), buf, len, now - 1, &out),
			 -ETIME);
	b.port++;
	ck_assert_int_eq(qb_token_check(&key, &b, cid, sizeof(cid), buf, len, now, &out), -EBADMSG);
	ck_assert_int_eq(qb_token_check(&other, &a, cid, sizeof(cid), buf, len, now, &out),
			 -EBADMSG);
	ck_assert_int_eq(qb_token_check(&key, &a, cid, 9, buf, len, now, &out), -EBADMSG);
	for (i = 0; i < len; i++) {
		buf[i] ^= 0x10;
		ck_assert_int_eq(qb_token_check(&key, &a, cid, sizeof(cid), buf, len, now, &out),
				 -EBADMSG);
		buf[i] ^= 0x10;
		ck_assert_int_eq(qb_token_check(&key, &a, cid, sizeof(cid), buf, i, now, &out),
				 -EBADMSG);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/token");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_token);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
