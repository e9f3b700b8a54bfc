/* SPDX-License-Identifier: BSD-2-Clause */
/* A binary min-heap of embedded timers. */
#include "base/heap.h"

void qb_heap_init(struct qb_heap *h, struct qb_timer **slots, uint32_t cap)
{
	h->slots = slots;
	h->cnt = 0;
	h->cap = cap;
}

static void place(struct qb_heap *h, uint32_t i, struct qb_timer *t)
{
	h->slots[i] = t;
	t->pos = i + 1;
}

static void sift_up(struct qb_heap *h, uint32_t i, struct qb_timer *t)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / 2;

		if (h->slots[parent]->at_ns <= t->at_ns)
			break;
		place(h, i, h->slots[parent]);
		i = parent;
	}
	place(h, i, t);
}

static void sift_down(struct qb_heap *h, uint32_t i, struct qb_timer *t)
{
	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= h->cnt)
			break;
		if (child + 1 < h->cnt && h->slots[child + 1]->at_ns < h->slots[child]->at_ns)
			child++;
		if (h->slots[child]->at_ns >= t->at_ns)
			break;
		place(h, i, h->slots[child]);
		i = child;
	}
	place(h, i, t);
}

static void settle(struct qb_heap *h, uint32_t i, struct qb_timer *t)
{
	if (i > 0 && h->slots[(i - 1) / 2]->at_ns > t->at_ns)
		sift_up(h, i, t);
	else
		sift_down(h, i, t);
}

void qb_heap_set(struct qb_heap *h, struct qb_timer *t, uint64_t at_ns)
{
	if (t->pos && t->at_ns == at_ns)
		return;
	t->at_ns = at_ns;
	if (at_ns == QB_NEVER_NS) {
		uint32_t i = t->pos - 1;
		struct qb_timer *last;

		if (t->pos == 0)
			return;
		t->pos = 0;
		last = h->slots[--h->cnt];
		if (last != t)
			settle(h, i, last);
		return;
	}
	if (t->pos == 0) {
		QB_BUG_ON(h->cnt == h->cap);
		sift_up(h, h->cnt++, t);
		return;
	}
	settle(h, t->pos - 1, t);
}
