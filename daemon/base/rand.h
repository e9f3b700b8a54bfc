/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fast seeded generator (xoshiro256**) for jitter, simulation and hashing seeds. Not for secrets:
 * those come from qb_drbg (tls/drbg.h).
 */
#pragma once

#include "base/base.h"

struct qb_rand {
	uint64_t s[4];
};

void qb_rand_seed(struct qb_rand *r, uint64_t seed);
uint64_t qb_rand_u64(struct qb_rand *r);
/* qb_rand_below returns a number in [0, bound), bound > 0, without bias worth speaking of. */
uint64_t qb_rand_below(struct qb_rand *r, uint64_t bound);
/* qb_rand_unit returns a number in [0, 1). */
double qb_rand_unit(struct qb_rand *r);
