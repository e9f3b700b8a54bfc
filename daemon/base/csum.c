/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one loop behind every checksum: four independent 64-bit sums with the carry added back in,
 * which keeps the adders busy on any 64-bit machine without vector code. Called by whoever builds
 * or checks IP packets.
 */
#include "base/csum.h"

static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

uint64_t qb_csum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t s1 = 0, s2 = 0, s3 = 0, tail = 0;

	for (; len >= 32; len -= 32, p += 32) {
		sum = add_carry(sum, load64(p));
		s1 = add_carry(s1, load64(p + 8));
		s2 = add_carry(s2, load64(p + 16));
		s3 = add_carry(s3, load64(p + 24));
	}
	for (; len >= 8; len -= 8, p += 8)
		sum = add_carry(sum, load64(p));
	/* A zero byte pads an odd end, wherever the machine keeps its low byte. */
	memcpy(&tail, p, len);
	sum = add_carry(sum, tail);
	sum = add_carry(sum, s1);
	return add_carry(sum, add_carry(s2, s3));
}
