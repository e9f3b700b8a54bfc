/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects of one size out of memory that was given once: what the sans-I/O core has instead of malloc.
 * Untouched objects cost no resident memory: the free list grows into fresh memory only when it is empty.
 */
#pragma once

#include "base/base.h"

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
