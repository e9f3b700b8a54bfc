/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small things every folder needs: assertions, array sizes, alignment, byte order, time units.
 * Nothing here touches a descriptor, a clock or an allocator.
 */
#pragma once

#ifndef QB_VERSION
#define QB_VERSION "0.1"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define QB_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define QB_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define QB_LIKELY(x) __builtin_expect(!!(x), 1)
#define QB_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define QB_MUST_CHECK __attribute__((warn_unused_result))
#define QB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define QB_CACHELINE 64

#define QB_MIN(a, b) ((a) < (b) ? (a) : (b))
#define QB_MAX(a, b) ((a) > (b) ? (a) : (b))

#define QB_NS_PER_US UINT64_C(1000)
#define QB_NS_PER_MS UINT64_C(1000000)
#define QB_NS_PER_SEC UINT64_C(1000000000)
/* "Never", for every deadline in the program. */
#define QB_NEVER_NS UINT64_MAX

/*
 * qb_prefetch asks for memory that is soon written to, qb_prefetch_far for what is read when much else has been done, into a cache
 * where it is in nobody's way. Nothing happens where p points to none.
 */
#define qb_prefetch(p) __builtin_prefetch(p, 1)
#define qb_prefetch_far(p) __builtin_prefetch(p, 0, 2)

/* A broken invariant of our own (never something a peer or a user can cause): stop here. */
#define QB_BUG_ON(cond)                                                                            \
	do {                                                                                       \
		if (QB_UNLIKELY(cond))                                                             \
			__builtin_trap();                                                          \
	} while (0)

static inline uint16_t qb_load_be16(const uint8_t *p)
{
	return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t qb_load_be32(const uint8_t *p)
{
	return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | p[3];
}

static inline uint64_t qb_load_be64(const uint8_t *p)
{
	return ((uint64_t)qb_load_be32(p) << 32) | qb_load_be32(p + 4);
}

static inline void qb_store_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void qb_store_be32(uint8_t *p, uint32_t v)
{
	qb_store_be16(p, (uint16_t)(v >> 16));
	qb_store_be16(p + 2, (uint16_t)v);
}

static inline void qb_store_be64(uint8_t *p, uint64_t v)
{
	qb_store_be32(p, (uint32_t)(v >> 32));
	qb_store_be32(p + 4, (uint32_t)v);
}

static inline uint64_t qb_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t qb_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* qb_sub_sat_u64 is a - b, or 0 where that would be negative. */
static inline uint64_t qb_sub_sat_u64(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}
