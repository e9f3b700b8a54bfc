/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A binary heap of deadlines, each embedded in the object that waits for it. The owner gives the slots.
 */
#pragma once

#include "base/base.h"

struct qb_timer {
	uint64_t at_ns;
	uint32_t pos; /* place in the heap + 1; 0 while not in it */
};

struct qb_heap {
	struct qb_timer **slots;
	uint32_t cnt;
	uint32_t cap;
};

void qb_heap_init(struct qb_heap *h, struct qb_timer **slots, uint32_t cap);
/* qb_heap_set arms, moves or (at_ns == QB_NEVER_NS) removes the timer. */
void qb_heap_set(struct qb_heap *h, struct qb_timer *t, uint64_t at_ns);
/* qb_heap_first returns the earliest timer, or NULL. */
static inline struct qb_timer *qb_heap_first(const struct qb_heap *h)
{
	return h->cnt ? h->slots[0] : NULL;
}
