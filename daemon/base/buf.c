/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffer pools: a worker's own stack of buffers over a depot that all workers share. A worker goes to the depot,
 * under its spin lock, for half a cache at a time.
 */
#include "base/buf.h"

enum {
	REFILL = QB_POOL_CACHE / 2,
	UMEM_REFILL = QB_POOL_UMEM_CACHE / 2,
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

/* put_back: the lock is held, or nobody else knows the depot yet. Others look at the counts without it. */
static void put_back(struct qb_depot *d, struct qb_buf *b)
{
	bool is_umem = qb_buf_is_umem(d, b);
	struct qb_buf **list = is_umem ? &d->umem_free_list : &d->free_list;

	b->next = *list;
	*list = b;
	__atomic_store_n(&d->free_cnt, d->free_cnt + 1, __ATOMIC_RELAXED);
	if (is_umem)
		__atomic_store_n(&d->umem_free_cnt, d->umem_free_cnt + 1, __ATOMIC_RELAXED);
}

static struct qb_buf *take_out(struct qb_depot *d, bool is_umem)
{
	struct qb_buf **list = is_umem ? &d->umem_free_list : &d->free_list;
	struct qb_buf *b = *list;

	if (!b)
		return NULL;
	*list = b->next;
	__atomic_store_n(&d->free_cnt, d->free_cnt - 1, __ATOMIC_RELAXED);
	if (is_umem)
		__atomic_store_n(&d->umem_free_cnt, d->umem_free_cnt - 1, __ATOMIC_RELAXED);
	return b;
}

void qb_depot_set_umem(struct qb_depot *d, uint32_t umem_cnt)
{
	d->free_list = d->umem_free_list = NULL;
	d->free_cnt = d->umem_free_cnt = 0;
	d->umem_cnt = umem_cnt;
	/* Lowest index on top: what is touched first stays small. */
	for (uint32_t i = d->frame_cnt; i-- > 0;)
		put_back(d, &d->bufs[i]);
}

void qb_depot_init(struct qb_depot *d, uint8_t *frames, struct qb_buf *bufs, uint32_t frame_cnt)
{
	memset(d, 0, sizeof(*d));
	d->frames = frames;
	d->bufs = bufs;
	d->frame_cnt = frame_cnt;
	d->frame_bytes = QB_FRAME_BYTES;
	for (uint32_t i = 0; i < frame_cnt; i++)
		bufs[i].idx = i;
	qb_depot_set_umem(d, 0);
}

void qb_depot_set_frame_bytes(struct qb_depot *d, uint32_t frame_bytes)
{
	QB_BUG_ON(frame_bytes != QB_FRAME_BYTES && frame_bytes != QB_FRAME_BYTES_MAX);
	d->frame_bytes = frame_bytes;
}

void qb_pool_init(struct qb_pool *p, struct qb_depot *d)
{
	p->depot = d;
	p->cnt = 0;
	p->umem_cnt = 0;
	p->empty_cnt = 0;
	p->counters = NULL;
}

static void flush(struct qb_pool *p, struct qb_buf *const *cache, uint32_t *cnt, uint32_t keep)
{
	depot_lock(p);
	while (*cnt > keep)
		put_back(p->depot, cache[--*cnt]);
	depot_unlock(p->depot);
}

void qb_pool_fini(struct qb_pool *p)
{
	flush(p, p->cache, &p->cnt, 0);
	flush(p, p->umem_cache, &p->umem_cnt, 0);
}

static uint32_t umem_free(const struct qb_depot *d)
{
	return __atomic_load_n(&d->umem_free_cnt, __ATOMIC_RELAXED);
}

bool qb_depot_umem_is_scarce(const struct qb_depot *d)
{
	return umem_free(d) < d->umem_cnt / FREE_MIN_SHARE;
}

/* pop: there is one. The one below it comes next. */
static struct qb_buf *pop(struct qb_buf *const *cache, uint32_t *cnt)
{
	struct qb_buf *b = cache[--*cnt];

	if (QB_LIKELY(*cnt > 0))
		qb_buf_foresee(cache[*cnt - 1]);
	return b;
}

static struct qb_buf *get_plain(struct qb_pool *p)
{
	struct qb_buf *b;

	if (QB_LIKELY(p->cnt > 0))
		return pop(p->cache, &p->cnt);
	depot_lock(p);
	while (p->cnt < REFILL && (b = take_out(p->depot, false)))
		p->cache[p->cnt++] = b;
	depot_unlock(p->depot);
	return p->cnt ? pop(p->cache, &p->cnt) : NULL;
}

static struct qb_buf *get_umem(struct qb_pool *p)
{
	struct qb_buf *b;

	if (QB_LIKELY(p->umem_cnt > 0))
		return pop(p->umem_cache, &p->umem_cnt);
	if (umem_free(p->depot) == 0)
		return NULL;
	depot_lock(p);
	while (p->umem_cnt < UMEM_REFILL && (b = take_out(p->depot, true)))
		p->umem_cache[p->umem_cnt++] = b;
	depot_unlock(p->depot);
	return p->umem_cnt ? pop(p->umem_cache, &p->umem_cnt) : NULL;
}

static struct qb_buf *make_ready(struct qb_pool *p, struct qb_buf *b)
{
	b->data = qb_buf_frame(p->depot, b) + QB_HEADROOM;
	b->len = 0;
	b->flags = 0;
	b->marks = 0;
	b->ref_cnt = 1;
	b->conn = NULL;
	b->next = NULL;
	return b;
}

struct qb_buf *qb_buf_get_umem(struct qb_pool *p)
{
	struct qb_buf *b = get_umem(p);

	return b ? make_ready(p, b) : NULL;
}

struct qb_buf *qb_buf_get(struct qb_pool *p)
{
	const struct qb_depot *d = p->depot;
	struct qb_buf *b = NULL;

	if (QB_UNLIKELY(__atomic_load_n(&d->umem_tx_queues, __ATOMIC_RELAXED) > 0) &&
	    !qb_depot_umem_is_scarce(d))
		b = get_umem(p);
	if (QB_LIKELY(!b))
		b = get_plain(p);
	if (QB_UNLIKELY(!b))
		b = get_umem(p);
	if (QB_LIKELY(b))
		return make_ready(p, b);
	p->empty_cnt++;
	return NULL;
}

void qb_buf_put(struct qb_pool *p, struct qb_buf *b)
{
	/* The only holder needs no locked instruction. */
	if (qb_buf_is_shared(b) && __atomic_sub_fetch(&b->ref_cnt, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	if (qb_buf_is_umem(p->depot, b)) {
		if (QB_UNLIKELY(p->umem_cnt == QB_POOL_UMEM_CACHE))
			flush(p, p->umem_cache, &p->umem_cnt, UMEM_REFILL);
		p->umem_cache[p->umem_cnt++] = b;
		return;
	}
	if (QB_UNLIKELY(p->cnt == QB_POOL_CACHE))
		flush(p, p->cache, &p->cnt, REFILL);
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
