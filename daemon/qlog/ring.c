/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A record is a struct qb_trace_event with its extra bytes behind it, in one piece: what does not
 * fit before the end of the memory begins at its start again, behind a mark.
 *
 *     | record | record | ... | mark |unused|
 */
#include "qlog/ring.h"

enum {
	ALIGN = 16,
	EXTRA_MAX = 4096, /* of one event; nothing that quic/ tells is larger */
};

struct record {
	uint32_t bytes; /* of the whole record */
	bool is_mark;	/* nothing up to the end of the memory */
	_Alignas(ALIGN) struct qb_trace_event ev;
};

void qb_qlog_ring_init(struct qb_qlog_ring *r, void *mem, size_t bytes)
{
	QB_BUG_ON(bytes < 16384 || (bytes & (bytes - 1)) != 0);
	*r = (struct qb_qlog_ring){.mem = mem, .bytes = bytes};
}

static struct record *at(const struct qb_qlog_ring *r, uint64_t pos)
{
	return (struct record *)(void *)(r->mem + (pos & (r->bytes - 1)));
}

void qb_qlog_ring_put(struct qb_qlog_ring *r, const struct qb_trace_event *ev)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	size_t need = (sizeof(struct record) + ev->extra_bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	size_t to_end = r->bytes - (size_t)(head & (r->bytes - 1));
	size_t skip = need > to_end ? to_end : 0;
	struct record *rec;

	if (ev->extra_bytes > EXTRA_MAX || skip + need > r->bytes - (size_t)(head - tail)) {
		atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
		return;
	}
	if (skip) {
		at(r, head)->bytes = (uint32_t)skip;
		at(r, head)->is_mark = true;
	}
	rec = at(r, head + skip);
	rec->bytes = (uint32_t)need;
	rec->is_mark = false;
	rec->ev = *ev;
	if (ev->extra_bytes)
		memcpy(rec + 1, ev->extra, ev->extra_bytes);
	rec->ev.extra = ev->extra_bytes ? rec + 1 : NULL;
	atomic_store_explicit(&r->head, head + skip + need, memory_order_release);
}

const struct qb_trace_event *qb_qlog_ring_get(struct qb_qlog_ring *r)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	const struct record *rec;

	if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
		return NULL;
	rec = at(r, tail);
	if (!rec->is_mark)
		return &rec->ev;
	qb_qlog_ring_next(r);
	return qb_qlog_ring_get(r);
}

void qb_qlog_ring_next(struct qb_qlog_ring *r)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	atomic_store_explicit(&r->tail, tail + at(r, tail)->bytes, memory_order_release);
}
