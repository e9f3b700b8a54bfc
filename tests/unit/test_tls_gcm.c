/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AES-GCM with wide vectors, of every width that this processor has, against BoringSSL's and the
 * published test cases: every length that a packet may have, headers of every length, forgeries.
 * Where the processor has no such vectors, it says so.
 */
#include <check.h>
#include <openssl/aead.h>
#include <stdio.h>
#include <stdlib.h>

#include "tls/gcm.h"
#include "tls_hex.h"

enum { LEN_MAX = 1600, AD_MAX = 70, TAG = 16, GUARD = 32 };

static const uint32_t widths[] = {2, 4};

static bool has(uint32_t lanes)
{
	return lanes <= qb_gcm_lanes();
}

static void fill(uint8_t *p, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

/* sealed_by_boringssl returns the sealed length. */
static size_t sealed_by_boringssl(const uint8_t *key, size_t key_len, const uint8_t nonce[12],
				  const uint8_t *ad, size_t ad_len, uint8_t *data, size_t len)
{
	EVP_AEAD_CTX c;
	size_t out_len;

	EVP_AEAD_CTX_zero(&c);
	ck_assert(EVP_AEAD_CTX_init(&c,
				    key_len == 16 ? EVP_aead_aes_128_gcm() : EVP_aead_aes_256_gcm(),
				    key, key_len, TAG, NULL));
	ck_assert(
		EVP_AEAD_CTX_seal(&c, data, &out_len, len + TAG, nonce, 12, data, len, ad, ad_len));
	EVP_AEAD_CTX_cleanup(&c);
	return out_len;
}

static void check_like_boringssl(uint32_t lanes, size_t key_len, size_t ad_len, size_t len)
{
	uint8_t key[32], nonce[12], ad[AD_MAX], got[LEN_MAX + TAG + GUARD], want[LEN_MAX + TAG],
		plain[LEN_MAX + GUARD];
	uint8_t guard[GUARD];
	struct qb_gcm g;

	fill(key, sizeof(key), (uint32_t)len);
	fill(nonce, sizeof(nonce), (uint32_t)len + 1);
	fill(ad, sizeof(ad), (uint32_t)len + 2);
	fill(plain, sizeof(plain), (uint32_t)len + 3);
	memset(guard, 0xa5, sizeof(guard));
	memcpy(got, plain, len);
	memcpy(want, plain, len);
	memcpy(got + len + TAG, guard, GUARD);
	ck_assert_uint_eq(sealed_by_boringssl(key, key_len, nonce, ad, ad_len, want, len),
			  len + TAG);
	qb_gcm_init(&g, key, key_len, lanes);
	qb_gcm_seal(&g, nonce, ad, ad_len, got, len);
	ck_assert_mem_eq(got, want, len + TAG);
	ck_assert_mem_eq(got + len + TAG, guard, GUARD);
	ck_assert(qb_gcm_open(&g, nonce, ad, ad_len, got, len));
	ck_assert_mem_eq(got, plain, len);
	ck_assert_mem_eq(got + len, want + len, TAG);
	ck_assert_mem_eq(got + len + TAG, guard, GUARD);
}

START_TEST(every_length)
{
	if (!has(widths[_i]))
		return;
	for (size_t len = 0; len <= LEN_MAX; len++) {
		check_like_boringssl(widths[_i], 16, len % (AD_MAX + 1), len);
		check_like_boringssl(widths[_i], 32, 13, len);
	}
	for (size_t ad_len = 0; ad_len <= AD_MAX; ad_len++)
		check_like_boringssl(widths[_i], 16, ad_len, 300);
}
END_TEST

/* Any bit of header, ciphertext or tag that is another one; what is left tells nothing. */
START_TEST(forgeries)
{
	enum { AD = 13, LEN = 600 };
	uint8_t key[16], nonce[12], pkt[AD + LEN + TAG], bad[sizeof(pkt)];
	static const uint8_t zeros[LEN];
	struct qb_gcm g;

	if (!has(widths[_i]))
		return;
	fill(key, sizeof(key), 1);
	fill(nonce, sizeof(nonce), 2);
	fill(pkt, sizeof(pkt), 3);
	qb_gcm_init(&g, key, sizeof(key), widths[_i]);
	qb_gcm_seal(&g, nonce, pkt, AD, pkt + AD, LEN);
	for (size_t bit = 0; bit < 8 * sizeof(pkt); bit++) {
		memcpy(bad, pkt, sizeof(pkt));
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!qb_gcm_open(&g, nonce, bad, AD, bad + AD, LEN));
		ck_assert_mem_eq(bad + AD, zeros, LEN);
	}
	nonce[11] ^= 1;
	memcpy(bad, pkt, sizeof(pkt));
	ck_assert(!qb_gcm_open(&g, nonce, bad, AD, bad + AD, LEN));
	nonce[11] ^= 1;
	memcpy(bad, pkt, sizeof(pkt));
	ck_assert(!qb_gcm_open(&g, nonce, bad, AD - 1, bad + AD, LEN));
	ck_assert(qb_gcm_open(&g, nonce, pkt, AD, pkt + AD, LEN));
}
END_TEST

/* Test cases 2, 4 and 16 of "The Galois/Counter Mode of Operation" (McGrew, Viega). */
static const struct {
	const char *key, *nonce, *ad, *plain, *sealed;
} published[] = {
	{
		"00000000000000000000000000000000",
		"000000000000000000000000",
		"",
		"00000000000000000000000000000000",
		"0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
	},
	{
		"feffe9928665731c6d6a8f9467308308",
		"cafebabefacedbaddecaf888",
		"feedfacedeadbeeffeedfacedeadbeefabaddad2",
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
		"21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
		"5bc94fbc3221a5db94fae95ae7121a47",
	},
	{
		"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		"cafebabefacedbaddecaf888",
		"feedfacedeadbeeffeedfacedeadbeefabaddad2",
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
		"76fc6ece0f4e1768cddf8853bb2d551b",
	},
};

START_TEST(published_cases)
{
	for (size_t i = 0; has(widths[_i]) && i < QB_ARRAY_LEN(published); i++) {
		uint8_t key[32], nonce[12], ad[32], data[128], want[128];
		size_t key_len = tls_unhex(published[i].key, key, sizeof(key));
		size_t ad_len = tls_unhex(published[i].ad, ad, sizeof(ad));
		size_t len = tls_unhex(published[i].plain, data, sizeof(data));
		struct qb_gcm g;

		ck_assert_uint_eq(tls_unhex(published[i].nonce, nonce, sizeof(nonce)), 12);
		ck_assert_uint_eq(tls_unhex(published[i].sealed, want, sizeof(want)), len + TAG);
		qb_gcm_init(&g, key, key_len, widths[_i]);
		qb_gcm_seal(&g, nonce, ad, ad_len, data, len);
		ck_assert_mem_eq(data, want, len + TAG);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tls_gcm");
	TCase *tc = tcase_create("gcm");
	const int width_cnt = (int)QB_ARRAY_LEN(widths);
	SRunner *sr;
	int failed;

	printf("lanes that this processor has: %u\n", qb_gcm_lanes());
	tcase_add_loop_test(tc, every_length, 0, width_cnt);
	tcase_add_loop_test(tc, forgeries, 0, width_cnt);
	tcase_add_loop_test(tc, published_cases, 0, width_cnt);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
