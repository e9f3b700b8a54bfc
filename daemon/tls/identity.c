/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A node's identity: its Ed25519 key as PEM text, and the 44 characters that peers know it by.
 * Called at start, on reload and by the command line tools, never on a worker.
 */
#include "tls/internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include <openssl/base64.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

/* PKCS#8 of an Ed25519 key is this prefix and the 32-byte seed (RFC 8410 §7). */
static const uint8_t pkcs8_prefix[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
				       0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};

int qb_key_generate(char *pem, size_t cap)
{
	uint8_t der[sizeof(pkcs8_prefix) + QB_TLS_SEED_LEN];
	char line[65];
	int n;

	memcpy(der, pkcs8_prefix, sizeof(pkcs8_prefix));
	RAND_bytes(der + sizeof(pkcs8_prefix), QB_TLS_SEED_LEN);
	EVP_EncodeBlock((uint8_t *)line, der, sizeof(der));
	n = snprintf(pem, cap, "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n",
		     line);
	OPENSSL_cleanse(der, sizeof(der));
	OPENSSL_cleanse(line, sizeof(line));
	if (n < 0 || (size_t)n >= cap) {
		OPENSSL_cleanse(pem, cap);
		return -ENOSPC;
	}
	return 0;
}

/* A service cannot be asked for a passphrase. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

static const char *key_parse_reason(const char *pem)
{
	if (strstr(pem, "-----BEGIN ENCRYPTED PRIVATE KEY-----") || strstr(pem, "ENCRYPTED\n"))
		return "the private key is encrypted with a passphrase";
	if (!strstr(pem, "PRIVATE KEY-----"))
		return "no PEM private key found";
	return "the PEM private key is malformed";
}

EVP_PKEY *qb_tls_any_key_parse(const char *pem, char err[QB_TLS_ERR_LEN])
{
	size_t len = strlen(pem);
	BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	if (!key)
		snprintf(err, QB_TLS_ERR_LEN, "%s", key_parse_reason(pem));
	return key;
}

EVP_PKEY *qb_tls_key_parse(const char *pem, char err[QB_TLS_ERR_LEN])
{
	EVP_PKEY *key = qb_tls_any_key_parse(pem, err);

	if (key && EVP_PKEY_id(key) != EVP_PKEY_ED25519) {
		snprintf(err, QB_TLS_ERR_LEN, "the private key is not an Ed25519 key");
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

int qb_key_public(const char *pem, uint8_t pub[QB_PUBKEY_LEN], char err[QB_TLS_ERR_LEN])
{
	EVP_PKEY *key = qb_tls_key_parse(pem, err);
	size_t len = QB_PUBKEY_LEN;

	if (!key)
		return -EINVAL;
	QB_BUG_ON(!EVP_PKEY_get_raw_public_key(key, pub, &len) || len != QB_PUBKEY_LEN);
	EVP_PKEY_free(key);
	return 0;
}

void qb_pubkey_format(const uint8_t pub[QB_PUBKEY_LEN], char text[QB_PUBKEY_TEXT_LEN])
{
	EVP_EncodeBlock((uint8_t *)text, pub, QB_PUBKEY_LEN);
}

int qb_pubkey_parse(const char *text, uint8_t pub[QB_PUBKEY_LEN])
{
	uint8_t buf[QB_PUBKEY_TEXT_LEN];
	char again[QB_PUBKEY_TEXT_LEN];
	size_t len;

	if (strnlen(text, QB_PUBKEY_TEXT_LEN) != QB_PUBKEY_TEXT_LEN - 1)
		return -EINVAL;
	if (!EVP_DecodeBase64(buf, &len, sizeof(buf), (const uint8_t *)text,
			      QB_PUBKEY_TEXT_LEN - 1) ||
	    len != QB_PUBKEY_LEN)
		return -EINVAL;
	/* One key has one spelling: refuse stray bits in the last character. */
	qb_pubkey_format(buf, again);
	if (strcmp(text, again) != 0)
		return -EINVAL;
	memcpy(pub, buf, QB_PUBKEY_LEN);
	return 0;
}
