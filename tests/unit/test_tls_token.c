/* SPDX-License-Identifier: BSD-2-Clause */
/* Node secrets, reset tokens, sealed tokens, and the generator that feeds them. */
#include <errno.h>
#include <stdlib.h>

#include "tls/internal.h"
#include "tls_hex.h"

enum { BODY_LEN = 21, OVERHEAD = 28 };

static const uint8_t addr[18] = {192, 0, 2, 1};
static const uint8_t body[BODY_LEN] = "the first DCID, say.";

static struct qb_drbg drbg_of(uint8_t n)
{
	uint8_t seed[32] = {n};
	struct qb_drbg d;

	qb_drbg_seed(&d, seed);
	return d;
}

START_TEST(token_round)
{
	struct qb_node_secret s = {{1, 2, 3}};
	struct qb_drbg d = drbg_of(1);
	uint8_t a[BODY_LEN + OVERHEAD], b[BODY_LEN + OVERHEAD], out[BODY_LEN];

	ck_assert_uint_eq(qb_token_seal(&s, &d, addr, sizeof(addr), body, BODY_LEN, a), sizeof(a));
	ck_assert_uint_eq(qb_token_seal(&s, &d, addr, sizeof(addr), body, BODY_LEN, b), sizeof(b));
	ck_assert_mem_ne(a, b, sizeof(a));
	ck_assert_int_eq(qb_token_open(&s, addr, sizeof(addr), a, sizeof(a), out, sizeof(out)),
			 BODY_LEN);
	ck_assert_mem_eq(out, body, BODY_LEN);
	ck_assert_uint_eq(qb_token_seal(&s, &d, NULL, 0, NULL, 0, a), OVERHEAD);
	ck_assert_int_eq(qb_token_open(&s, NULL, 0, a, OVERHEAD, out, 0), 0);
}
END_TEST

START_TEST(token_refused)
{
	struct qb_node_secret s = {{1, 2, 3}}, other = {{1, 2, 4}};
	struct qb_drbg d = drbg_of(2);
	uint8_t token[BODY_LEN + OVERHEAD], bad[sizeof(token)], out[BODY_LEN], elsewhere[18];

	qb_token_seal(&s, &d, addr, sizeof(addr), body, BODY_LEN, token);
	memcpy(elsewhere, addr, sizeof(addr));
	elsewhere[3] ^= 1;
	ck_assert_int_eq(qb_token_open(&s, elsewhere, 18, token, sizeof(token), out, sizeof(out)),
			 -EBADMSG);
	ck_assert_int_eq(qb_token_open(&s, addr, 17, token, sizeof(token), out, sizeof(out)),
			 -EBADMSG);
	ck_assert_int_eq(qb_token_open(&other, addr, 18, token, sizeof(token), out, sizeof(out)),
			 -EBADMSG);
	ck_assert_int_eq(qb_token_open(&s, addr, 18, token, sizeof(token), out, BODY_LEN - 1),
			 -EBADMSG);
	for (size_t i = 0; i < sizeof(token); i++) {
		memcpy(bad, token, sizeof(bad));
		bad[i] ^= 1;
		ck_assert_int_eq(qb_token_open(&s, addr, 18, bad, sizeof(bad), out, sizeof(out)),
				 -EBADMSG);
	}
	for (size_t len = 0; len < sizeof(token); len++) {
		uint8_t *cut = malloc(len ? len : 1);

		memcpy(cut, token, len);
		ck_assert_int_eq(qb_token_open(&s, addr, 18, cut, len, out, sizeof(out)), -EBADMSG);
		free(cut);
	}
}
END_TEST

START_TEST(node_secret)
{
	struct qb_node_secret a, b, c;
	char pem[256], pem2[256];

	ck_assert_int_eq(qb_key_generate(pem, sizeof(pem)), 0);
	ck_assert_int_eq(qb_key_generate(pem2, sizeof(pem2)), 0);
	ck_assert_int_eq(qb_node_secret_derive(pem, "reset", &a), 0);
	ck_assert_int_eq(qb_node_secret_derive(pem, "reset", &b), 0);
	ck_assert_mem_eq(&a, &b, sizeof(a));
	ck_assert_int_eq(qb_node_secret_derive(pem, "token", &b), 0);
	ck_assert_mem_ne(&a, &b, sizeof(a));
	ck_assert_int_eq(qb_node_secret_derive(pem2, "reset", &c), 0);
	ck_assert_mem_ne(&a, &c, sizeof(a));
	ck_assert_int_eq(qb_node_secret_derive("nonsense", "reset", &c), -EINVAL);
}
END_TEST

/* RFC 4231 test case 1 has a 20-byte key; ours are 32, so: HMAC-SHA256 of "abc" under zeros. */
START_TEST(reset_token)
{
	struct qb_node_secret s = {{0}};
	uint8_t token[QB_RESET_TOKEN_LEN], want[QB_RESET_TOKEN_LEN];

	qb_reset_token(&s, (const uint8_t *)"abc", 3, token);
	tls_unhex("fd7adb152c05ef80dccf50a1fa4c05d5", want, sizeof(want));
	ck_assert_mem_eq(token, want, sizeof(want));
	qb_reset_token(&s, (const uint8_t *)"abd", 3, token);
	ck_assert_mem_ne(token, want, sizeof(want));
}
END_TEST

/* The seed of zeros gives the ChaCha20 keystream of RFC 8439 §A.1 #1, whose first half becomes the
 * key. */
START_TEST(drbg_keystream)
{
	static const uint8_t zero[32];
	uint8_t want[32], got[32];
	struct qb_drbg d;

	qb_drbg_seed(&d, zero);
	tls_unhex("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7", want, 32);
	ck_assert_mem_eq(d.key, want, 32);
	tls_unhex("da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586", want, 32);
	qb_drbg_bytes(&d, got, sizeof(got));
	ck_assert_mem_eq(got, want, 32);
}
END_TEST

START_TEST(drbg_stream)
{
	struct qb_drbg a = drbg_of(3), b = drbg_of(3), c = drbg_of(4);
	uint8_t x[5000], y[5000];
	size_t off = 0;

	qb_drbg_bytes(&a, x, sizeof(x));
	for (size_t n = 1; off < sizeof(y); n += 3) {
		n = QB_MIN(n, sizeof(y) - off);
		qb_drbg_bytes(&b, y + off, n);
		off += n;
	}
	ck_assert_mem_eq(x, y, sizeof(x));
	/* What was handed out is gone from the state. */
	for (uint32_t i = 0; i < a.out_off; i++)
		ck_assert_uint_eq(a.out[i], 0);
	qb_drbg_bytes(&c, y, sizeof(y));
	ck_assert_mem_ne(x, y, 64);
	ck_assert_uint_eq(qb_drbg_u64(&a), qb_drbg_u64(&b));
	ck_assert_uint_ne(qb_drbg_u64(&a), qb_drbg_u64(&a));
}
END_TEST

START_TEST(entropy_and_compare)
{
	uint8_t a[32] = {0}, b[32] = {0};

	ck_assert(qb_ct_eq(a, b, sizeof(a)));
	b[31] = 1;
	ck_assert(!qb_ct_eq(a, b, sizeof(a)));
	ck_assert(qb_ct_eq(a, b, 31));
	qb_os_entropy(a, sizeof(a));
	qb_os_entropy(b, sizeof(b));
	ck_assert(!qb_ct_eq(a, b, sizeof(a)));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tls_token");
	TCase *tc = tcase_create("token");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, token_round);
	tcase_add_test(tc, token_refused);
	tcase_add_test(tc, node_secret);
	tcase_add_test(tc, reset_token);
	tcase_add_test(tc, drbg_keystream);
	tcase_add_test(tc, drbg_stream);
	tcase_add_test(tc, entropy_and_compare);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
