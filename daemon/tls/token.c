/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a node can recognise as its own without remembering it: stateless reset tokens and the
 * sealed tokens of Retry and NEW_TOKEN. Their keys come from the private key, so they survive a
 * restart. Called by quic/ on workers; the secrets are read-only there.
 */
#include "tls/internal.h"

#include <errno.h>
#include <limits.h>

#include <openssl/aead.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>

enum { TOKEN_OVERHEAD = QB_TLS_NONCE_LEN + QB_AEAD_TAG_LEN };

int qb_node_secret_derive(const char *key_pem, const char *label, struct qb_node_secret *out)
{
	static const char salt[] = "quicbond node secret";
	char err[QB_TLS_ERR_LEN];
	EVP_PKEY *key = qb_tls_key_parse(key_pem, err);
	uint8_t seed[QB_TLS_SEED_LEN];
	size_t seed_len = sizeof(seed);
	int ok;

	if (!key)
		return -EINVAL;
	ok = EVP_PKEY_get_raw_private_key(key, seed, &seed_len) &&
	     HKDF(out->key, sizeof(out->key), EVP_sha256(), seed, seed_len, (const uint8_t *)salt,
		  sizeof(salt) - 1, (const uint8_t *)label, strlen(label));
	OPENSSL_cleanse(seed, sizeof(seed));
	EVP_PKEY_free(key);
	return ok ? 0 : -EINVAL;
}

void qb_reset_token(const struct qb_node_secret *s, const uint8_t *cid, size_t cid_len,
		    uint8_t token[QB_RESET_TOKEN_LEN])
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned int mac_len;

	QB_BUG_ON(!HMAC(EVP_sha256(), s->key, sizeof(s->key), cid, cid_len, mac, &mac_len));
	memcpy(token, mac, QB_RESET_TOKEN_LEN);
	OPENSSL_cleanse(mac, sizeof(mac));
}

static void token_aead(EVP_AEAD_CTX *aead, const struct qb_node_secret *s)
{
	EVP_AEAD_CTX_zero(aead);
	QB_BUG_ON(!EVP_AEAD_CTX_init(aead, EVP_aead_aes_256_gcm_siv(), s->key, sizeof(s->key),
				     QB_AEAD_TAG_LEN, NULL));
}

size_t qb_token_seal(const struct qb_node_secret *s, struct qb_drbg *rnd, const uint8_t *ad,
		     size_t ad_len, const uint8_t *body, size_t body_len, uint8_t *token)
{
	uint8_t *nonce = token;
	EVP_AEAD_CTX aead;
	size_t len;
	int ok;

	qb_drbg_bytes(rnd, nonce, QB_TLS_NONCE_LEN);
	token_aead(&aead, s);
	ok = EVP_AEAD_CTX_seal(&aead, token + QB_TLS_NONCE_LEN, &len, body_len + QB_AEAD_TAG_LEN,
			       nonce, QB_TLS_NONCE_LEN, body, body_len, ad, ad_len);
	EVP_AEAD_CTX_cleanup(&aead);
	QB_BUG_ON(!ok);
	return QB_TLS_NONCE_LEN + len;
}

int qb_token_open(const struct qb_node_secret *s, const uint8_t *ad, size_t ad_len,
		  const uint8_t *token, size_t token_len, uint8_t *body, size_t cap)
{
	EVP_AEAD_CTX aead;
	size_t len;
	int ok;

	if (token_len < TOKEN_OVERHEAD || token_len - TOKEN_OVERHEAD > cap || token_len > INT_MAX)
		return -EBADMSG;
	token_aead(&aead, s);
	ok = EVP_AEAD_CTX_open(&aead, body, &len, cap, token, QB_TLS_NONCE_LEN,
			       token + QB_TLS_NONCE_LEN, token_len - QB_TLS_NONCE_LEN, ad, ad_len);
	EVP_AEAD_CTX_cleanup(&aead);
	if (!ok) {
		ERR_clear_error();
		return -EBADMSG;
	}
	return (int)len;
}

bool qb_ct_eq(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}
