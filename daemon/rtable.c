/* SPDX-License-Identifier: BSD-2-Clause */
/* The hub's routing table: sorted ranges and a binary search. Built on the main thread, read by workers. */
#include "rtable.h"
#include "inner.h"

#include <stdlib.h>

static int cmp(const void *a, const void *b)
{
	const struct qb_rtable_entry *x = a, *y = b;

	return x->family != y->family ? x->family - y->family : memcmp(x->first, y->first, sizeof(x->first));
}

struct qb_rtable *qb_rtable_build(const struct qb_rtable_entry *entries, uint32_t cnt)
{
	struct qb_rtable *t = calloc(1, sizeof(*t) + cnt * sizeof(t->entries[0]));
	struct qb_rtable_entry *last = NULL;

	if (!t)
		return NULL;
	if (cnt)
		memcpy(t->entries, entries, cnt * sizeof(entries[0]));
	qsort(t->entries, cnt, sizeof(t->entries[0]), cmp);
	for (uint32_t i = 0; i < cnt; i++) {
		struct qb_rtable_entry *e = &t->entries[i];

		if (last && last->family == e->family && memcmp(e->first, last->last, 16) <= 0)
			continue;
		last = &t->entries[t->cnt++];
		*last = *e;
		if (last->family == 4)
			t->first6 = t->cnt;
	}
	return t;
}

void qb_rtable_free(struct qb_rtable *t)
{
	free(t);
}

const struct qb_rtable_entry *qb_rtable_find(const struct qb_rtable *t, uint8_t family, const uint8_t *dst)
{
	size_t len = family == 4 ? 4 : 16;
	uint32_t low = family == 4 ? 0 : t->first6;
	uint32_t end = family == 4 ? t->first6 : t->cnt;
	uint32_t high = end;

	while (low < high) { /* the first entry that begins after dst */
		uint32_t mid = low + (high - low) / 2;

		if (memcmp(t->entries[mid].first, dst, len) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == (family == 4 ? 0 : t->first6))
		return NULL;
	return memcmp(dst, t->entries[low - 1].last, len) <= 0 ? &t->entries[low - 1] : NULL;
}

const struct qb_rtable_via *qb_rtable_via_of(const struct qb_rtable_entry *e, const struct qb_buf *b)
{
	return &e->via[e->via_cnt > 1 ? qb_inner_flow(b->data, b->len) % e->via_cnt : 0];
}
