/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stream data in memory. A chunk buffer is a sparse window onto a byte stream, made of chunks that
 * each cover an aligned part of it, with one mark a byte. A receive buffer marks what has arrived,
 * a send buffer what has been acknowledged; both let go of the front. However a stream is cut up,
 * its memory is its window, rounded up to whole chunks, and holes cost nothing extra.
 *
 * Chunks of all buffers of an endpoint come from one store, which also finds them: a hash by
 * (buffer, chunk number).
 */
#pragma once

#include "base/slab.h"

enum {
	QB_CHUNK_BYTES = 2048,
	QB_CHUNK_WORDS = QB_CHUNK_BYTES / 64,
};

struct qb_chunk {
	struct qb_chunk *hash_next;
	struct qb_chunk *next, *prev; /* of the same buffer, in no order */
	struct qb_chunk_buf *owner;
	uint64_t no; /* offset / QB_CHUNK_BYTES */
	uint64_t mark[QB_CHUNK_WORDS];
	uint8_t data[QB_CHUNK_BYTES];
};

struct qb_chunk_store {
	struct qb_slab slab;
	struct qb_chunk **bucket;
	uint64_t seed;
	uint32_t bucket_mask;
};

/* qb_chunk_store_footprint is the memory that cnt chunks and their table need. */
size_t qb_chunk_store_footprint(uint32_t cnt);
/* qb_chunk_store_init: mem has that footprint and 16-byte alignment; seed is random, unknown to
 * peers. */
void qb_chunk_store_init(struct qb_chunk_store *st, void *mem, uint32_t cnt, uint64_t seed);

static inline uint32_t qb_chunk_store_free_cnt(const struct qb_chunk_store *st)
{
	return st->slab.cap - st->slab.used_cnt;
}

/*
 * qb_chunk_store_send_room is how many bytes may be taken for sending. Half of the store is for
 * received data alone: what cannot be received is not acknowledged, and two ends whose send buffers
 * had eaten all memory would wait for each other for ever.
 */
static inline size_t qb_chunk_store_send_room(const struct qb_chunk_store *st)
{
	return (size_t)qb_sub_sat_u64(qb_chunk_store_free_cnt(st), (st->slab.cap + 1) / 2) *
	       QB_CHUNK_BYTES;
}

/*
 * What one connection takes of the store, in one direction. It may hold as much as is still free: n
 * connections that take all they can leave a part in n + 1 to the others, so nobody is shut out by
 * those who do not read or do not acknowledge.
 */
struct qb_chunk_share {
	struct qb_chunk_store *store;
	uint32_t cnt;
};

/* qb_chunk_share_send_room is how many bytes the connection may take for sending. */
static inline size_t qb_chunk_share_send_room(const struct qb_chunk_share *sh)
{
	size_t room = qb_chunk_store_send_room(sh->store);

	return (size_t)qb_sub_sat_u64(room, (uint64_t)sh->cnt * QB_CHUNK_BYTES);
}

/* qb_chunk_share_is_over: it holds more received data than is its part. */
static inline bool qb_chunk_share_is_over(const struct qb_chunk_share *sh)
{
	return sh->cnt > qb_chunk_store_free_cnt(sh->store);
}

struct qb_chunk_buf {
	struct qb_chunk_store *store;
	struct qb_chunk_share *share; /* NULL: on nobody's account */
	struct qb_chunk *chunks;      /* all of them */
	struct qb_chunk *recent;      /* the one used last */
	uint64_t base;		      /* nothing below is kept */
	uint64_t frontier;	      /* every byte below is marked */
	uint64_t marked_end;	      /* no byte from here on is marked */
	uint64_t stored_end;	      /* no byte from here on was put */
	uint32_t cnt;
};

void qb_chunk_buf_init(struct qb_chunk_buf *b, struct qb_chunk_store *st);
/* qb_chunk_buf_init_shared: its chunks count in a share, which outlives it. */
void qb_chunk_buf_init_shared(struct qb_chunk_buf *b, struct qb_chunk_share *sh);
/* qb_chunk_buf_clear gives all chunks back. Offsets stay. */
void qb_chunk_buf_clear(struct qb_chunk_buf *b);

/*
 * qb_chunk_buf_put stores len bytes at off; what lies below base is skipped. Returns how many bytes
 * from off on are in place: less than len when the store ran out of chunks.
 */
size_t qb_chunk_buf_put(struct qb_chunk_buf *b, uint64_t off, const void *data, size_t len);
/* qb_chunk_buf_get copies out len bytes at off, all of which were put and not released. */
void qb_chunk_buf_get(struct qb_chunk_buf *b, uint64_t off, void *out, size_t len);
/* qb_chunk_buf_mark marks len bytes (that were put) and moves the frontier; returns whether it
 * moved. */
bool qb_chunk_buf_mark(struct qb_chunk_buf *b, uint64_t off, size_t len);
/*
 * qb_chunk_buf_unmarked finds the first run of unmarked bytes in [off, end): its start, and its end
 * in *run_end. Returns end when all are marked.
 */
uint64_t qb_chunk_buf_unmarked(struct qb_chunk_buf *b, uint64_t off, uint64_t end,
			       uint64_t *run_end);
/* qb_chunk_buf_release forgets everything below off. */
void qb_chunk_buf_release(struct qb_chunk_buf *b, uint64_t off);
