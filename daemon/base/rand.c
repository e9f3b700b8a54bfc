/* SPDX-License-Identifier: BSD-2-Clause */
/* xoshiro256** (Blackman, Vigna 2018), seeded by splitmix64. */
#include "base/rand.h"

static uint64_t rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

void qb_rand_seed(struct qb_rand *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));

		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		r->s[i] = z ^ (z >> 31);
	}
}

uint64_t qb_rand_u64(struct qb_rand *r)
{
	uint64_t out = rotl(r->s[1] * 5, 7) * 9;
	uint64_t t = r->s[1] << 17;

	r->s[2] ^= r->s[0];
	r->s[3] ^= r->s[1];
	r->s[1] ^= r->s[2];
	r->s[0] ^= r->s[3];
	r->s[2] ^= t;
	r->s[3] = rotl(r->s[3], 45);
	return out;
}

uint64_t qb_rand_below(struct qb_rand *r, uint64_t bound)
{
	return (uint64_t)(((unsigned __int128)qb_rand_u64(r) * bound) >> 64);
}

double qb_rand_unit(struct qb_rand *r)
{
	return (double)(qb_rand_u64(r) >> 11) * 0x1p-53;
}
