/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects of one size out of memory that was given once: what the sans-I/O core has instead of malloc.
 * Untouched objects cost no resident memory: the free list grows into fresh memory only when it is empty.
 */
#pragma once

#include "base/base.h"

/*
 * A large object of which most is never touched begins on a page of its own, with what is always used first: half a page is saved
 * for each on average, as it shares none with the unused end of another one. Its size is rounded up by qb_page_up.
 */
enum { QB_PAGE_BYTES = 4096 };

static inline size_t qb_page_up(size_t bytes)
{
	return (bytes + QB_PAGE_BYTES - 1) & ~(size_t)(QB_PAGE_BYTES - 1);
}

/* qb_clear_sparse zeroes memory of which most was never written: what is zero is not written, and so costs no memory. */
static inline void qb_clear_sparse(void *mem, size_t bytes)
{
	uint64_t *p = mem;

	for (size_t i = 0; i < bytes / sizeof(*p); i++)
		if (p[i])
			p[i] = 0;
}

struct qb_slab {
	uint8_t *mem;
	void *free_list;
	uint32_t obj_bytes; /* rounded up to 16 */
	uint32_t cap;
	uint32_t fresh_idx; /* objects from here on were never handed out */
	uint32_t used_cnt;
};

/* qb_slab_footprint is the memory that cap objects of obj_bytes need. */
size_t qb_slab_footprint(size_t obj_bytes, uint32_t cap);
/* qb_slab_init manages mem, which has qb_slab_footprint(obj_bytes, cap) bytes and 16-byte alignment. */
void qb_slab_init(struct qb_slab *s, void *mem, size_t obj_bytes, uint32_t cap);
/* qb_slab_get returns an object (contents undefined) or NULL when all are out. */
void *qb_slab_get(struct qb_slab *s);
/* qb_slab_put takes an object back; debug builds poison it. */
void qb_slab_put(struct qb_slab *s, void *obj);
