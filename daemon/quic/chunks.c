/* SPDX-License-Identifier: BSD-2-Clause */
/* Sparse, marked byte buffers out of fixed chunks. Called by the stream code, on the send and
 * receive side. */
#include "quic/chunks.h"

#include "base/hash.h"

/* ---- the store ---- */

static uint32_t bucket_cnt(uint32_t cnt)
{
	uint32_t n = 16;

	while (n < cnt && n < UINT32_C(1) << 31)
		n <<= 1;
	return n;
}

static size_t table_bytes(uint32_t cnt)
{
	return bucket_cnt(cnt) * sizeof(struct qb_chunk *);
}

size_t qb_chunk_store_footprint(uint32_t cnt)
{
	return table_bytes(cnt) + qb_slab_footprint(sizeof(struct qb_chunk), cnt);
}

void qb_chunk_store_init(struct qb_chunk_store *st, void *mem, uint32_t cnt, uint64_t seed)
{
	st->bucket = mem;
	st->bucket_mask = bucket_cnt(cnt) - 1;
	st->seed = seed;
	memset(st->bucket, 0, table_bytes(cnt));
	qb_slab_init(&st->slab, (uint8_t *)mem + table_bytes(cnt), sizeof(struct qb_chunk), cnt);
}

static struct qb_chunk **bucket_of(const struct qb_chunk_buf *b, uint64_t no)
{
	const struct qb_chunk_store *st = b->store;
	uint64_t owner = qb_mix_u64(st->seed ^ (uintptr_t)b);

	return &st->bucket[qb_mix_u64(owner + no) & st->bucket_mask];
}

static struct qb_chunk *find(struct qb_chunk_buf *b, uint64_t no)
{
	struct qb_chunk *c = b->recent;

	if (c && c->no == no)
		return c;
	if (b->cnt == 0)
		return NULL;
	for (c = *bucket_of(b, no); c; c = c->hash_next) {
		if (c->no == no && c->owner == b) {
			b->recent = c;
			return c;
		}
	}
	return NULL;
}

static struct qb_chunk *find_or_add(struct qb_chunk_buf *b, uint64_t no)
{
	struct qb_chunk *c = find(b, no);
	struct qb_chunk **head;

	if (c)
		return c;
	c = qb_slab_get(&b->store->slab);
	if (!c)
		return NULL;
	head = bucket_of(b, no);
	c->hash_next = *head;
	*head = c;
	c->prev = NULL;
	c->next = b->chunks;
	if (c->next)
		c->next->prev = c;
	b->chunks = c;
	c->owner = b;
	c->no = no;
	memset(c->mark, 0, sizeof(c->mark));
	b->recent = c;
	b->cnt++;
	if (b->share)
		b->share->cnt++;
	return c;
}

static void drop(struct qb_chunk_buf *b, struct qb_chunk *c)
{
	struct qb_chunk **p = bucket_of(b, c->no);

	while (*p != c)
		p = &(*p)->hash_next;
	*p = c->hash_next;
	if (c->prev)
		c->prev->next = c->next;
	else
		b->chunks = c->next;
	if (c->next)
		c->next->prev = c->prev;
	if (b->recent == c)
		b->recent = NULL;
	b->cnt--;
	if (b->share)
		b->share->cnt--;
	qb_slab_put(&b->store->slab, c);
}

/* ---- a buffer ---- */

void qb_chunk_buf_init(struct qb_chunk_buf *b, struct qb_chunk_store *st)
{
	*b = (struct qb_chunk_buf){.store = st};
}

void qb_chunk_buf_init_shared(struct qb_chunk_buf *b, struct qb_chunk_share *sh)
{
	*b = (struct qb_chunk_buf){.store = sh->store, .share = sh};
}

void qb_chunk_buf_clear(struct qb_chunk_buf *b)
{
	while (b->chunks)
		drop(b, b->chunks);
}

/* Length of the part of [off, off + len) that lies in the chunk of off. */
static size_t piece_len(uint64_t off, size_t len)
{
	return QB_MIN(len, (size_t)(QB_CHUNK_BYTES - off % QB_CHUNK_BYTES));
}

size_t qb_chunk_buf_put(struct qb_chunk_buf *b, uint64_t off, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t done = off < b->base ? (size_t)qb_min_u64(len, b->base - off) : 0;

	while (done < len) {
		size_t n = piece_len(off + done, len - done);
		struct qb_chunk *c = find_or_add(b, (off + done) / QB_CHUNK_BYTES);

		if (!c)
			break;
		memcpy(c->data + (off + done) % QB_CHUNK_BYTES, p + done, n);
		done += n;
	}
	b->stored_end = qb_max_u64(b->stored_end, off + done);
	return done;
}

void qb_chunk_buf_get(struct qb_chunk_buf *b, uint64_t off, void *out, size_t len)
{
	uint8_t *p = out;

	while (len) {
		size_t n = piece_len(off, len);
		struct qb_chunk *c = find(b, off / QB_CHUNK_BYTES);

		QB_BUG_ON(!c);
		memcpy(p, c->data + off % QB_CHUNK_BYTES, n);
		p += n;
		off += n;
		len -= n;
	}
}

/* Sets n bits from bit i on. */
static void set_bits(uint64_t *word, size_t i, size_t n)
{
	size_t end = i + n, first = i / 64, last = (end - 1) / 64;
	uint64_t head = UINT64_MAX << i % 64, tail = UINT64_MAX >> (63 - (end - 1) % 64);

	if (first == last) {
		word[first] |= head & tail;
		return;
	}
	word[first] |= head;
	for (i = first + 1; i < last; i++)
		word[i] = UINT64_MAX;
	word[last] |= tail;
}

/* next_in_chunk is the first bit from i on that is `want`, or QB_CHUNK_BYTES. */
static size_t next_in_chunk(const struct qb_chunk *c, size_t i, bool want)
{
	uint64_t flip = want ? 0 : UINT64_MAX;
	size_t at = i / 64;
	uint64_t word = (c->mark[at] ^ flip) & UINT64_MAX << i % 64;

	while (!word) {
		if (++at == QB_CHUNK_WORDS)
			return QB_CHUNK_BYTES;
		word = c->mark[at] ^ flip;
	}
	return at * 64 + (size_t)__builtin_ctzll(word);
}

/* The first offset in [off, end) whose mark is `want`, or end. Bytes without a chunk are unmarked. */
static uint64_t next_with(struct qb_chunk_buf *b, uint64_t off, uint64_t end, bool want)
{
	while (off < end) {
		struct qb_chunk *c = find(b, off / QB_CHUNK_BYTES);
		size_t i = off % QB_CHUNK_BYTES, at = QB_CHUNK_BYTES;

		if (!c && !want)
			return off;
		if (c)
			at = next_in_chunk(c, i, want);
		off += at - i;
		if (at < QB_CHUNK_BYTES)
			break;
	}
	return qb_min_u64(off, end);
}

bool qb_chunk_buf_mark(struct qb_chunk_buf *b, uint64_t off, size_t len)
{
	uint64_t end = off + len;

	if (end <= b->frontier)
		return false;
	if (off > b->frontier) {
		while (off < end) {
			size_t n = piece_len(off, (size_t)(end - off));
			struct qb_chunk *c = find(b, off / QB_CHUNK_BYTES);

			QB_BUG_ON(!c);
			set_bits(c->mark, off % QB_CHUNK_BYTES, n);
			off += n;
		}
		b->marked_end = qb_max_u64(b->marked_end, end);
		return false;
	}
	/* In order, as nearly always: no bits needed, except where the gap up to later bytes has
	 * closed. */
	b->frontier = end;
	if (b->marked_end > end)
		b->frontier = next_with(b, end, b->marked_end, false);
	return true;
}

uint64_t qb_chunk_buf_unmarked(struct qb_chunk_buf *b, uint64_t off, uint64_t end,
			       uint64_t *run_end)
{
	uint64_t marks_end = qb_min_u64(end, b->marked_end);

	off = qb_max_u64(off, b->frontier);
	if (off < marks_end)
		off = next_with(b, off, marks_end, false);
	if (off >= end)
		return end;
	*run_end = end;
	if (off < marks_end) {
		uint64_t next = next_with(b, off, marks_end, true);

		if (next < marks_end)
			*run_end = next;
	}
	return off;
}

void qb_chunk_buf_release(struct qb_chunk_buf *b, uint64_t off)
{
	uint64_t from = b->base / QB_CHUNK_BYTES, to = off / QB_CHUNK_BYTES;

	if (off <= b->base)
		return;
	b->base = off;
	/* Empty: the chunk that is not full goes too, for most streams are silent most of the time. */
	if (off >= b->stored_end) {
		qb_chunk_buf_clear(b);
		return;
	}
	if (to - from <= b->cnt) {
		for (uint64_t no = from; no < to; no++) {
			struct qb_chunk *c = find(b, no);

			if (c)
				drop(b, c);
		}
		return;
	}
	for (struct qb_chunk *c = b->chunks, *next; c; c = next) {
		next = c->next;
		if (c->no < to)
			drop(b, c);
	}
}
