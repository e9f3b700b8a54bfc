/* SPDX-License-Identifier: BSD-2-Clause */
/* Fixed-size objects over memory that was given once. One thread a slab. */
#include "base/slab.h"

static size_t round_up(size_t bytes)
{
	return (bytes + 15) & ~(size_t)15;
}

size_t qb_slab_footprint(size_t obj_bytes, uint32_t cap)
{
	return round_up(obj_bytes) * cap;
}

void qb_slab_init(struct qb_slab *s, void *mem, size_t obj_bytes, uint32_t cap)
{
	memset(s, 0, sizeof(*s));
	s->mem = mem;
	s->obj_bytes = (uint32_t)round_up(obj_bytes);
	s->cap = cap;
}

void *qb_slab_get(struct qb_slab *s)
{
	void *obj = s->free_list;

	if (obj) {
		memcpy(&s->free_list, obj, sizeof(void *));
	} else {
		if (s->fresh_idx == s->cap)
			return NULL;
		obj = s->mem + (size_t)s->fresh_idx++ * s->obj_bytes;
	}
	s->used_cnt++;
	return obj;
}

void qb_slab_put(struct qb_slab *s, void *obj)
{
	QB_BUG_ON((uint8_t *)obj < s->mem || s->used_cnt == 0);
#ifdef QB_DEBUG
	memset(obj, 0xdb, s->obj_bytes);
#endif
	memcpy(obj, &s->free_list, sizeof(void *));
	s->free_list = obj;
	s->used_cnt--;
}
