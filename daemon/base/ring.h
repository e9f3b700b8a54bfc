/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ring of pointers between exactly one producer thread and one consumer thread. Capacity is a power of
 * two. Never blocks: a full ring refuses, and the caller counts that.
 */
#pragma once

#include <stdatomic.h>

#include "base/base.h"

struct qb_ring {
	_Alignas(QB_CACHELINE) _Atomic uint32_t head; /* producer writes */
	_Alignas(QB_CACHELINE) _Atomic uint32_t tail; /* consumer writes */
	_Alignas(QB_CACHELINE) uint32_t mask;
	void **slots;
};

/* qb_ring_init uses cap slots (a power of two) of the caller's memory. */
static inline void qb_ring_init(struct qb_ring *r, void **slots, uint32_t cap)
{
	QB_BUG_ON(cap == 0 || (cap & (cap - 1)) != 0);
	atomic_init(&r->head, 0);
	atomic_init(&r->tail, 0);
	r->mask = cap - 1;
	r->slots = slots;
}

/* qb_ring_is_full is for the producer. */
static inline bool qb_ring_is_full(struct qb_ring *r)
{
	return atomic_load_explicit(&r->head, memory_order_relaxed) -
		       atomic_load_explicit(&r->tail, memory_order_acquire) > r->mask;
}

/* qb_ring_push returns false when the ring is full. */
static inline bool qb_ring_push(struct qb_ring *r, void *item)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) > r->mask)
		return false;
	r->slots[head & r->mask] = item;
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	return true;
}

/* qb_ring_pop returns NULL when the ring is empty. */
static inline void *qb_ring_pop(struct qb_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	void *item;

	if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
		return NULL;
	item = r->slots[tail & r->mask];
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return item;
}
