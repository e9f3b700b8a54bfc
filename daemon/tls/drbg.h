/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unpredictable bytes from a 32-byte seed (ChaCha20 keystream, rekeyed as it goes): connection IDs,
 * PATH_CHALLENGE data, packet number skips. Seeded from the kernel in the daemon, from the scenario's
 * seed in the simulator.
 */
#pragma once

#include "base/base.h"

struct qb_drbg {
	uint8_t key[32];
	uint64_t block_idx;
	uint8_t out[512];
	uint32_t out_off;
};

void qb_drbg_seed(struct qb_drbg *d, const uint8_t seed[32]);
void qb_drbg_bytes(struct qb_drbg *d, void *out, size_t len);
uint64_t qb_drbg_u64(struct qb_drbg *d);
/* qb_os_entropy fills out from the kernel (BoringSSL's RAND_bytes); it cannot fail. */
void qb_os_entropy(void *out, size_t len);
