/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one loop behind every checksum. The ones' complement sum of 16-bit words is also that of
 * wider ones, so blocks of 64 bytes are added as 32-bit words in 64-bit lanes, which need no
 * carries; the compiler makes of them what the machine's vectors are. Called by whoever builds or
 * checks IP packets.
 */
#include "base/csum.h"

/* 32 bytes: one register with AVX2, two with SSE2 or NEON. */
typedef uint64_t lanes __attribute__((vector_size(32)));

enum { BLOCK_BYTES = 2 * sizeof(lanes) };

/* Wider vectors where the machine has them. A sanitizer's runtime is not up yet when the choice is
 * made. */
#if defined(__x86_64__) && defined(__ELF__) && !defined(__SANITIZE_ADDRESS__) &&                   \
	!defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define WITH_AVX2 __attribute__((target_clones("avx2", "default")))
#else
#define WITH_AVX2
#endif

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

/* blocks sums (and copies, if there is a dst) whole blocks. A lane takes 2^32 words before it could
 * overflow. */
static inline __attribute__((always_inline)) uint64_t blocks(uint8_t *dst, const uint8_t *p,
							     size_t len)
{
	const lanes low = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
	lanes even0 = {0}, odd0 = {0}, even1 = {0}, odd1 = {0}, v0, v1;

	for (; len >= BLOCK_BYTES; len -= BLOCK_BYTES, p += BLOCK_BYTES) {
		memcpy(&v0, p, sizeof(v0));
		memcpy(&v1, p + sizeof(v0), sizeof(v1));
		if (dst) {
			memcpy(dst, &v0, sizeof(v0));
			memcpy(dst + sizeof(v0), &v1, sizeof(v1));
			dst += BLOCK_BYTES;
		}
		even0 += v0 & low;
		odd0 += v0 >> 32;
		even1 += v1 & low;
		odd1 += v1 >> 32;
	}
	even0 += odd0 + even1 + odd1;
	return even0[0] + even0[1] + even0[2] + even0[3];
}

WITH_AVX2 static uint64_t sum_blocks(const uint8_t *p, size_t len)
{
	return blocks(NULL, p, len);
}

WITH_AVX2 static uint64_t copy_blocks(uint8_t *dst, const uint8_t *p, size_t len)
{
	return blocks(dst, p, len);
}

/* sum_rest sums what is less than a block, without a detour by memory. */
static uint64_t sum_rest(uint64_t sum, const uint8_t *p, size_t len)
{
	uint64_t tail = 0;
	uint32_t v32;
	uint16_t v16;

	for (; len >= 8; len -= 8, p += 8)
		sum = add_carry(sum, load64(p));
	if (len & 4) {
		memcpy(&v32, p, sizeof(v32));
		tail += v32;
		p += sizeof(v32);
	}
	if (len & 2) {
		memcpy(&v16, p, sizeof(v16));
		tail += v16;
		p += sizeof(v16);
	}
	/* A zero byte pads an odd end. */
	if (len & 1)
		tail += qb_csum_word((uint16_t)(*p << 8));
	return add_carry(sum, tail);
}

uint64_t qb_csum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t whole = len - len % BLOCK_BYTES;

	if (whole)
		sum = add_carry(sum, sum_blocks(p, whole));
	return sum_rest(sum, p + whole, len - whole);
}

uint64_t qb_csum_copy(uint64_t sum, void *dst, const void *src, size_t len)
{
	const uint8_t *p = src;
	size_t whole = len - len % BLOCK_BYTES;

	if (whole)
		sum = add_carry(sum, copy_blocks(dst, p, whole));
	memcpy((uint8_t *)dst + whole, p + whole, len - whole);
	return sum_rest(sum, p + whole, len - whole);
}
