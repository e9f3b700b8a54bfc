/* SPDX-License-Identifier: BSD-2-Clause */
/* Private keys as PEM, public keys as base64, and the certificates that carry them. */
#include <errno.h>
#include <stdlib.h>

#include <openssl/pool.h>

#include "tls/internal.h"
#include "tls_hex.h"

/* RFC 8410 §10.3 and §10.1. */
static const char rfc8410_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
	"-----END PRIVATE KEY-----\n";
static const char rfc8410_pub[] =
	"19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

START_TEST(key_known)
{
	uint8_t pub[32], want[32];
	char err[QB_TLS_ERR_LEN];

	ck_assert_int_eq(qb_key_public(rfc8410_pem, pub, err), 0);
	tls_unhex(rfc8410_pub, want, sizeof(want));
	ck_assert_mem_eq(pub, want, 32);
}
END_TEST

START_TEST(key_generate)
{
	char pem[120], pem2[256], err[QB_TLS_ERR_LEN];
	uint8_t a[32], b[32];

	ck_assert_int_eq(qb_key_generate(pem, sizeof(pem)), 0);
	ck_assert_int_eq(qb_key_generate(pem2, sizeof(pem2)), 0);
	ck_assert_int_eq(qb_key_public(pem, a, err), 0);
	ck_assert_int_eq(qb_key_public(pem2, b, err), 0);
	ck_assert_mem_ne(a, b, 32);
	ck_assert_int_eq(qb_key_generate(pem, strlen(pem)), -ENOSPC);
}
END_TEST

static const struct {
	const char *pem, *why;
} bad_pem[] = {
	{"", "no PEM private key found"},
	{"hello\n", "no PEM private key found"},
	{"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
	 "no PEM private key found"},
	{"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIE\n-----END PRIVATE KEY-----\n",
	 "the PEM private key is malformed"},
	{"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK",
	 "the PEM private key is malformed"},
	{"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
	 "the private key is encrypted with a passphrase"},
	/* X25519 (RFC 8410 §3): the same but for the algorithm. */
	{"-----BEGIN PRIVATE KEY-----\n"
	 "MC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
	 "-----END PRIVATE KEY-----\n",
	 "the private key is not an Ed25519 key"},
};

START_TEST(key_errors)
{
	char err[QB_TLS_ERR_LEN] = "";
	uint8_t pub[32];

	ck_assert_int_eq(qb_key_public(bad_pem[_i].pem, pub, err), -EINVAL);
	ck_assert_str_eq(err, bad_pem[_i].why);
}
END_TEST

START_TEST(pubkey_text)
{
	static const char text[] = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
	char out[QB_PUBKEY_TEXT_LEN];
	uint8_t want[32], got[32];

	tls_unhex(rfc8410_pub, want, sizeof(want));
	qb_pubkey_format(want, out);
	ck_assert_str_eq(out, text);
	ck_assert_int_eq(qb_pubkey_parse(text, got), 0);
	ck_assert_mem_eq(got, want, 32);
}
END_TEST

static const char *const bad_pubkeys[] = {
	"",
	"=",
	"Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE",
	"Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE==",
	"Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuF=", /* stray bits */
	"Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuEA", /* 33 bytes */
	"Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZu==", /* 31 bytes */
	"Gb9ECWmEzf6FQbrBZ9w7 shQhqowtrbLDFw4rXAxZuE=",
	"Gb9ECWmEzf6FQbrBZ9w7-shQhqowtrbLDFw4rXAxZuE=",
	"Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n",
};

START_TEST(pubkey_errors)
{
	uint8_t pub[32];

	ck_assert_int_eq(qb_pubkey_parse(bad_pubkeys[_i], pub), -EINVAL);
}
END_TEST

START_TEST(certificate)
{
	char err[QB_TLS_ERR_LEN], name[66];
	EVP_PKEY *key = qb_tls_key_parse(rfc8410_pem, err);
	CRYPTO_BUFFER *a = qb_tls_cert_build(key, "hub.example", err);
	CRYPTO_BUFFER *b = qb_tls_cert_build(key, "hub.example", err);
	uint8_t want[32], got[32];
	size_t len = CRYPTO_BUFFER_len(a);

	ck_assert_uint_eq(len, CRYPTO_BUFFER_len(b));
	ck_assert_mem_eq(CRYPTO_BUFFER_data(a), CRYPTO_BUFFER_data(b), len);
	ck_assert_int_eq(qb_tls_cert_key(CRYPTO_BUFFER_data(a), len, got), 0);
	tls_unhex(rfc8410_pub, want, sizeof(want));
	ck_assert_mem_eq(got, want, 32);
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = malloc(n ? n : 1);

		memcpy(cut, CRYPTO_BUFFER_data(a), n);
		ck_assert_int_eq(qb_tls_cert_key(cut, n, got), -EBADMSG);
		free(cut);
	}
	memset(name, 'n', sizeof(name));
	name[65] = '\0';
	ck_assert_ptr_null(qb_tls_cert_build(key, name, err));
	ck_assert_str_eq(err, "the name must have 1 to 64 bytes");
	ck_assert_ptr_null(qb_tls_cert_build(key, "", err));
	ck_assert_ptr_null(qb_tls_cert_build(key, "\xff\xfe", err));
	CRYPTO_BUFFER_free(a);
	CRYPTO_BUFFER_free(b);
	EVP_PKEY_free(key);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tls_identity");
	TCase *tc = tcase_create("identity");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, key_known);
	tcase_add_test(tc, key_generate);
	tcase_add_loop_test(tc, key_errors, 0, (int)QB_ARRAY_LEN(bad_pem));
	tcase_add_test(tc, pubkey_text);
	tcase_add_loop_test(tc, pubkey_errors, 0, (int)QB_ARRAY_LEN(bad_pubkeys));
	tcase_add_test(tc, certificate);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
