/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet protection keys. Everything that costs time (HKDF, key schedules) happens when keys are
 * made; sealing, opening and masking a packet only read struct qb_keys, and allocate nothing.
 * Called by quic/ on the worker that owns the connection.
 */
#include "tls/internal.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/aead.h>
#include <openssl/aes.h>
#include <openssl/chacha.h>
#include <openssl/cipher.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>

enum {
	KEY_MAX = 32,
	INITIAL_SECRET_LEN = 32,
	LABEL_MAX = 32, /* "tls13 " and the longest label */
};

struct qb_keys {
	EVP_AEAD_CTX aead;
	uint8_t iv[QB_TLS_NONCE_LEN];
	enum qb_suite suite;
	union {
		AES_KEY aes;
		uint8_t chacha[KEY_MAX];
	} hp;
	uint32_t version;
	uint32_t secret_len;
	uint8_t secret[QB_SECRET_MAX];
};

struct suite_row {
	const char *name;
	const EVP_AEAD *(*aead)(void);
	const EVP_MD *(*md)(void);
	uint32_t key_len;
	uint64_t confidentiality_limit;
	uint64_t integrity_limit;
};

/* Limits: RFC 9001 §6.6. ChaCha20 outlives the 2^62 packet numbers. */
static const struct suite_row suites[QB_SUITE_CNT] = {
	[QB_SUITE_AES128GCM] = {"AES-128-GCM", EVP_aead_aes_128_gcm, EVP_sha256, 16,
				UINT64_C(1) << 23, UINT64_C(1) << 52},
	[QB_SUITE_AES256GCM] = {"AES-256-GCM", EVP_aead_aes_256_gcm, EVP_sha384, 32,
				UINT64_C(1) << 23, UINT64_C(1) << 52},
	[QB_SUITE_CHACHA20] = {"ChaCha20-Poly1305", EVP_aead_chacha20_poly1305, EVP_sha256, 32,
			       UINT64_MAX, UINT64_C(1) << 36},
};

struct version_row {
	uint32_t version;
	const char *key, *iv, *hp, *ku;
	uint8_t initial_salt[20];
	uint8_t retry_key[16];
	uint8_t retry_nonce[QB_TLS_NONCE_LEN];
};

/* RFC 9001 §5.1, §5.2, §5.8; RFC 9369 §3.3. */
static const struct version_row versions[] = {
	{
		QB_QUIC_V1,
		"quic key",
		"quic iv",
		"quic hp",
		"quic ku",
		{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
		 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a},
		{0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68,
		 0xc8, 0x4e},
		{0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb},
	},
	{
		QB_QUIC_V2,
		"quicv2 key",
		"quicv2 iv",
		"quicv2 hp",
		"quicv2 ku",
		{0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
		 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9},
		{0x8f, 0xb4, 0xb0, 0x1b, 0x56, 0xac, 0x48, 0xe2, 0x60, 0xfb, 0xcb, 0xce, 0xad, 0x7c,
		 0xcc, 0x92},
		{0xd8, 0x69, 0x69, 0xbc, 0x2d, 0x7c, 0x6d, 0x99, 0x90, 0xef, 0xb0, 0x4a},
	},
};

static const struct version_row *version_find(uint32_t version)
{
	for (size_t i = 0; i < QB_ARRAY_LEN(versions); i++)
		if (versions[i].version == version)
			return &versions[i];
	return NULL;
}

bool qb_suite_is_fast(void)
{
	return EVP_has_aes_hardware() != 0;
}

const char *qb_suite_name(enum qb_suite suite)
{
	return suites[suite].name;
}

uint64_t qb_suite_confidentiality_limit(enum qb_suite suite)
{
	return suites[suite].confidentiality_limit;
}

uint64_t qb_suite_integrity_limit(enum qb_suite suite)
{
	return suites[suite].integrity_limit;
}

/* HKDF-Expand-Label with an empty context (RFC 8446 §7.1). Fails only for want of memory. */
static bool expand_label(const EVP_MD *md, const uint8_t *secret, size_t secret_len,
			 const char *label, uint8_t *out, size_t out_len)
{
	static const char prefix[] = "tls13 ";
	uint8_t info[2 + 1 + LABEL_MAX + 1];
	size_t prefix_len = sizeof(prefix) - 1, label_len = strlen(label);
	size_t len = 0;

	QB_BUG_ON(prefix_len + label_len > LABEL_MAX);
	qb_store_be16(info, (uint16_t)out_len);
	len += 2;
	info[len++] = (uint8_t)(prefix_len + label_len);
	memcpy(info + len, prefix, prefix_len);
	len += prefix_len;
	memcpy(info + len, label, label_len);
	len += label_len;
	info[len++] = 0;
	return HKDF_expand(out, out_len, md, secret, secret_len, info, len) == 1;
}

static bool derive_hp(struct qb_keys *k, const struct version_row *v)
{
	const struct suite_row *s = &suites[k->suite];
	uint8_t key[KEY_MAX];
	bool ok = expand_label(s->md(), k->secret, k->secret_len, v->hp, key, s->key_len);

	if (ok && k->suite == QB_SUITE_CHACHA20)
		memcpy(k->hp.chacha, key, sizeof(k->hp.chacha));
	else if (ok)
		ok = AES_set_encrypt_key(key, s->key_len * 8, &k->hp.aes) == 0;
	OPENSSL_cleanse(key, sizeof(key));
	return ok;
}

/* Everything but header protection, which a key update leaves alone. */
static struct qb_keys *keys_make(const struct version_row *v, enum qb_suite suite,
				 const uint8_t *secret, size_t secret_len)
{
	const struct suite_row *s = &suites[suite];
	struct qb_keys *k = calloc(1, sizeof(*k));
	uint8_t key[KEY_MAX];
	bool ok;

	if (!k)
		return NULL;
	k->suite = suite;
	k->version = v->version;
	k->secret_len = (uint32_t)secret_len;
	memcpy(k->secret, secret, secret_len);
	EVP_AEAD_CTX_zero(&k->aead);
	ok = expand_label(s->md(), secret, secret_len, v->key, key, s->key_len) &&
	     expand_label(s->md(), secret, secret_len, v->iv, k->iv, sizeof(k->iv)) &&
	     EVP_AEAD_CTX_init(&k->aead, s->aead(), key, s->key_len, QB_AEAD_TAG_LEN, NULL);
	OPENSSL_cleanse(key, sizeof(key));
	if (ok)
		return k;
	qb_keys_free(k);
	return NULL;
}

struct qb_keys *qb_keys_new(uint32_t version, enum qb_suite suite, const uint8_t *secret,
			    size_t secret_len)
{
	const struct version_row *v = version_find(version);
	struct qb_keys *k;

	QB_BUG_ON(suite >= QB_SUITE_CNT || secret_len > QB_SECRET_MAX);
	if (!v)
		return NULL;
	k = keys_make(v, suite, secret, secret_len);
	if (k && !derive_hp(k, v)) {
		qb_keys_free(k);
		return NULL;
	}
	return k;
}

static struct qb_keys *initial_new(uint32_t version, const uint8_t *prk, size_t prk_len,
				   const char *label)
{
	uint8_t secret[INITIAL_SECRET_LEN]; /* not secret: it follows from what is in every packet */
	struct qb_keys *k = NULL;

	if (expand_label(EVP_sha256(), prk, prk_len, label, secret, sizeof(secret)))
		k = qb_keys_new(version, QB_SUITE_AES128GCM, secret, sizeof(secret));
	return k;
}

int qb_keys_new_initial(uint32_t version, const uint8_t *dcid, size_t dcid_len, bool is_server,
			struct qb_keys **rx, struct qb_keys **tx)
{
	const struct version_row *v = version_find(version);
	uint8_t prk[EVP_MAX_MD_SIZE];
	struct qb_keys *client, *server;
	size_t prk_len;

	if (!v)
		return -EINVAL;
	if (!HKDF_extract(prk, &prk_len, EVP_sha256(), dcid, dcid_len, v->initial_salt,
			  sizeof(v->initial_salt)))
		return -ENOMEM;
	client = initial_new(version, prk, prk_len, "client in");
	server = initial_new(version, prk, prk_len, "server in");
	if (!client || !server) {
		qb_keys_free(client);
		qb_keys_free(server);
		return -ENOMEM;
	}
	*rx = is_server ? client : server;
	*tx = is_server ? server : client;
	return 0;
}

struct qb_keys *qb_keys_next(const struct qb_keys *k)
{
	const struct version_row *v = version_find(k->version);
	uint8_t secret[QB_SECRET_MAX];
	struct qb_keys *next = NULL;

	if (expand_label(suites[k->suite].md(), k->secret, k->secret_len, v->ku, secret,
			 k->secret_len))
		next = keys_make(v, k->suite, secret, k->secret_len);
	OPENSSL_cleanse(secret, sizeof(secret));
	if (next)
		next->hp = k->hp;
	return next;
}

void qb_keys_free(struct qb_keys *k)
{
	if (!k)
		return;
	EVP_AEAD_CTX_cleanup(&k->aead);
	OPENSSL_cleanse(k, sizeof(*k));
	free(k);
}

enum qb_suite qb_keys_suite(const struct qb_keys *k)
{
	return k->suite;
}

void qb_keys_seal(const struct qb_keys *k, uint32_t path_id, uint64_t pn, uint8_t *pkt,
		  size_t hdr_len, size_t payload_len)
{
	uint8_t nonce[QB_TLS_NONCE_LEN];
	uint8_t *payload = pkt + hdr_len;
	size_t out_len;
	int ok;

	qb_tls_nonce(k->iv, path_id, pn, nonce);
	ok = EVP_AEAD_CTX_seal(&k->aead, payload, &out_len, payload_len + QB_AEAD_TAG_LEN, nonce,
			       sizeof(nonce), payload, payload_len, pkt, hdr_len);
	/* It can only refuse lengths, and those are ours. */
	QB_BUG_ON(!ok || out_len != payload_len + QB_AEAD_TAG_LEN);
}

int qb_keys_open(const struct qb_keys *k, uint32_t path_id, uint64_t pn, uint8_t *pkt,
		 size_t hdr_len, size_t sealed_len)
{
	uint8_t nonce[QB_TLS_NONCE_LEN];
	uint8_t *payload = pkt + hdr_len;
	size_t out_len;

	qb_tls_nonce(k->iv, path_id, pn, nonce);
	if (!EVP_AEAD_CTX_open(&k->aead, payload, &out_len, sealed_len, nonce, sizeof(nonce),
			       payload, sealed_len, pkt, hdr_len)) {
		ERR_clear_error();
		return -EBADMSG;
	}
	return (int)out_len;
}

void qb_keys_hp_mask(const struct qb_keys *k, const uint8_t sample[QB_HP_SAMPLE_LEN],
		     uint8_t mask[QB_HP_MASK_LEN])
{
	uint8_t block[AES_BLOCK_SIZE];

	if (k->suite == QB_SUITE_CHACHA20) {
		/* RFC 9001 §5.4.4: the sample is a little-endian counter and a nonce. */
		uint32_t counter = (uint32_t)sample[0] | (uint32_t)sample[1] << 8 |
				   (uint32_t)sample[2] << 16 | (uint32_t)sample[3] << 24;

		memset(mask, 0, QB_HP_MASK_LEN);
		CRYPTO_chacha_20(mask, mask, QB_HP_MASK_LEN, k->hp.chacha, sample + 4, counter);
		return;
	}
	AES_encrypt(sample, block, &k->hp.aes);
	memcpy(mask, block, QB_HP_MASK_LEN);
}

void qb_retry_tag(uint32_t version, const uint8_t *odcid, size_t odcid_len, const uint8_t *retry,
		  size_t retry_len, uint8_t tag[16])
{
	const struct version_row *v = version_find(version);
	uint8_t odcid_len8 = (uint8_t)odcid_len;
	EVP_CIPHER_CTX c;
	int n, ok;

	/* Neither end makes or expects a Retry of a version that it does not speak. */
	QB_BUG_ON(!v || odcid_len > UINT8_MAX || retry_len > INT32_MAX);
	/* The streaming interface, for the packet need not be copied behind the ODCID then. */
	EVP_CIPHER_CTX_init(&c);
	ok = EVP_EncryptInit_ex(&c, EVP_aes_128_gcm(), NULL, v->retry_key, v->retry_nonce) &&
	     EVP_EncryptUpdate(&c, NULL, &n, &odcid_len8, 1) &&
	     (odcid_len == 0 || EVP_EncryptUpdate(&c, NULL, &n, odcid, (int)odcid_len)) &&
	     EVP_EncryptUpdate(&c, NULL, &n, retry, (int)retry_len) &&
	     EVP_EncryptFinal_ex(&c, NULL, &n) &&
	     EVP_CIPHER_CTX_ctrl(&c, EVP_CTRL_AEAD_GET_TAG, QB_AEAD_TAG_LEN, tag);
	QB_BUG_ON(!ok);
	EVP_CIPHER_CTX_cleanup(&c);
}
