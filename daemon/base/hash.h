/* SPDX-License-Identifier: BSD-2-Clause */
/* SipHash-1-3 for tables that a stranger may fill, and a cheap mixer for those that nobody can. */
#pragma once

#include "base/base.h"

struct qb_hash_key {
	uint64_t k0, k1;
};

uint64_t qb_siphash(const struct qb_hash_key *key, const void *data, size_t len);

static inline uint64_t qb_mix_u64(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ (x >> 33);
}
