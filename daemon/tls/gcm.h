/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AES-GCM (NIST SP 800-38D) where the processor does several blocks with one instruction.
 * BoringSSL's does one at a time, which is a fifth of what a tunnelled packet costs at either end.
 */
#pragma once

#include "base/base.h"

enum {
	QB_GCM_ROUND_KEYS = 15,
	QB_GCM_POWERS = 17, /* of a stride, or less and the block of lengths */
	QB_GCM_LANES_MAX = 4,
};

/* A key made ready. All of it is secret. */
struct qb_gcm {
	uint8_t round_key[QB_GCM_ROUND_KEYS][16];
	/* H^17 ... H^1, each for reduce(); then zeros, for what a vector reaches too far. */
	uint8_t power[QB_GCM_POWERS + QB_GCM_LANES_MAX - 1][16];
	uint8_t is_long; /* AES-256 */
	uint8_t lanes;	 /* blocks in a vector */
};

/* qb_gcm_lanes: the most lanes that this processor can do; 0: leave it to BoringSSL. */
uint32_t qb_gcm_lanes(void);
/* qb_gcm_init takes a key of 16 or 32 bytes. lanes: 2 or 4, and no more than qb_gcm_lanes(). */
void qb_gcm_init(struct qb_gcm *g, const uint8_t *key, size_t key_len, uint32_t lanes);
/* qb_gcm_seal encrypts in place and writes the tag behind. */
void qb_gcm_seal(const struct qb_gcm *g, const uint8_t nonce[12], const uint8_t *ad, size_t ad_len,
		 uint8_t *data, size_t len);
/* qb_gcm_open decrypts in place what its tag follows. Returns false, and leaves zeros, when that is
 * not of it. */
bool qb_gcm_open(const struct qb_gcm *g, const uint8_t nonce[12], const uint8_t *ad, size_t ad_len,
		 uint8_t *data, size_t len) QB_MUST_CHECK;
