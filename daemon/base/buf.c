/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffer pools: a worker's own stack of buffers over a depot that all workers share. A worker goes to the depot,
 * under its spin lock, for half a cache at a time.
 */
#include "base/buf.h"

enum {
	REFILL = QB_POOL_CACHE / 2,
	FREE_MIN_SHARE = 4,
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void depot_lock(struct qb_pool *p)
{
	struct qb_depot *d = p->depot;

	if (QB_LIKELY(!__atomic_exchange_n(&d->lock, 1, __ATOMIC_ACQUIRE)))
		return;
	if (p->counters)
		qb_count(p->counters, QB_CNT_DEPOT_WAITS);
	do {
		while (__atomic_load_n(&d->lock, __ATOMIC_RELAXED))
			relax();
	} while (__atomic_exchange_n(&d->lock, 1, __ATOMIC_ACQUIRE));
}

static void depot_unlock(struct qb_depot *d)
{
	__atomic_store_n(&d->lock, 0, __ATOMIC_RELEASE);
}

void qb_depot_init(struct qb_depot *d, uint8_t *frames, struct qb_buf *bufs, uint32_t frame_cnt)
{
	memset(d, 0, sizeof(*d));
	d->frames = frames;
	d->bufs = bufs;
	d->frame_cnt = frame_cnt;
	d->free_cnt = frame_cnt;
	/* Lowest index on top: what is touched first stays small. */
	for (uint32_t i = frame_cnt; i-- > 0;) {
		bufs[i].idx = i;
		bufs[i].next = d->free_list;
		d->free_list = &bufs[i];
	}
}

void qb_pool_init(struct qb_pool *p, struct qb_depot *d)
{
	p->depot = d;
	p->cnt = 0;
	p->empty_cnt = 0;
	p->counters = NULL;
}

/* add_free: others look at the count without the lock. */
static void add_free(struct qb_depot *d, int cnt)
{
	__atomic_store_n(&d->free_cnt, d->free_cnt + (uint32_t)cnt, __ATOMIC_RELAXED);
}

static void pool_flush(struct qb_pool *p, uint32_t keep)
{
	struct qb_depot *d = p->depot;

	depot_lock(p);
	while (p->cnt > keep) {
		struct qb_buf *b = p->cache[--p->cnt];

		b->next = d->free_list;
		d->free_list = b;
		add_free(d, 1);
	}
	depot_unlock(d);
}

void qb_pool_fini(struct qb_pool *p)
{
	pool_flush(p, 0);
}

static void pool_refill(struct qb_pool *p)
{
	struct qb_depot *d = p->depot;

	depot_lock(p);
	while (p->cnt < REFILL && d->free_list) {
		p->cache[p->cnt++] = d->free_list;
		d->free_list = d->free_list->next;
		add_free(d, -1);
	}
	depot_unlock(d);
}

struct qb_buf *qb_buf_get(struct qb_pool *p)
{
	struct qb_buf *b;

	if (QB_UNLIKELY(p->cnt == 0)) {
		pool_refill(p);
		if (p->cnt == 0) {
			p->empty_cnt++;
			return NULL;
		}
	}
	b = p->cache[--p->cnt];
	b->data = qb_buf_frame(p->depot, b) + QB_HEADROOM;
	b->len = 0;
	b->flags = 0;
	b->ref_cnt = 1;
	b->conn = NULL;
	b->next = NULL;
	return b;
}

void qb_buf_put(struct qb_pool *p, struct qb_buf *b)
{
	/* The only holder needs no locked instruction. */
	if (qb_buf_is_shared(b) && __atomic_sub_fetch(&b->ref_cnt, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	if (QB_UNLIKELY(p->cnt == QB_POOL_CACHE))
		pool_flush(p, REFILL);
	p->cache[p->cnt++] = b;
}

void qb_batch_put(struct qb_pool *p, struct qb_batch *batch)
{
	for (uint32_t i = 0; i < batch->cnt; i++)
		qb_buf_put(p, batch->buf[i]);
	batch->cnt = 0;
}

bool qb_pool_is_scarce(const struct qb_pool *p)
{
	const struct qb_depot *d = p->depot;

	return __atomic_load_n(&d->free_cnt, __ATOMIC_RELAXED) < d->frame_cnt / FREE_MIN_SHARE;
}
