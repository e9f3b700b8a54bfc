/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The generator behind connection IDs and challenges: blocks of ChaCha20 keystream, of which the
 * first 32 bytes replace the key at once and the rest is handed out and wiped on the way (fast key
 * erasure), so that a leaked state tells nothing about what was drawn before. Each worker owns one.
 */
#include "tls/drbg.h"

#include <openssl/chacha.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

static void refill(struct qb_drbg *d)
{
	uint8_t nonce[12] = {0};

	qb_store_be64(nonce + 4, d->block_idx++);
	memset(d->out, 0, sizeof(d->out));
	CRYPTO_chacha_20(d->out, d->out, sizeof(d->out), d->key, nonce, 0);
	memcpy(d->key, d->out, sizeof(d->key));
	OPENSSL_cleanse(d->out, sizeof(d->key));
	d->out_off = sizeof(d->key);
}

void qb_drbg_seed(struct qb_drbg *d, const uint8_t seed[32])
{
	memcpy(d->key, seed, sizeof(d->key));
	d->block_idx = 0;
	refill(d);
}

void qb_drbg_bytes(struct qb_drbg *d, void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		size_t n = sizeof(d->out) - d->out_off;

		if (n == 0) {
			refill(d);
			continue;
		}
		n = QB_MIN(n, len);
		memcpy(p, d->out + d->out_off, n);
		memset(d->out + d->out_off, 0, n);
		d->out_off += (uint32_t)n;
		p += n;
		len -= n;
	}
}

uint64_t qb_drbg_u64(struct qb_drbg *d)
{
	uint8_t b[8];

	qb_drbg_bytes(d, b, sizeof(b));
	return qb_load_be64(b);
}

void qb_os_entropy(void *out, size_t len)
{
	RAND_bytes(out, len);
}
