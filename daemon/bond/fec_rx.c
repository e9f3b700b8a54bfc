/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receiver's side of forward error correction, called by qb_bond_rx. Protected packets pass at
 * once, and a copy of each is kept until its block is complete or old; when as many repair symbols
 * are here as sources are missing, those are made.
 *
 *     source ─► copy kept ─► on to the reorder buffer
 *     repair ─► kept ──┴─ enough? ─► missing sources ─► on to the reorder buffer
 *
 * Bounded by QB_FEC_KEPT_MAX buffers a bond, and by less where the pool is scarce. What a peer
 * claims is checked against the block: an index out of range, symbols of two lengths or a source
 * longer than the symbols end the block.
 */
#include <errno.h>

#include "base/ip_ecn.h"
#include "bond/fec.h"
#include "bond/header.h"

/* A packet of an older block would come too late for any call, and for the reorder buffer. */
#define BLOCK_AGE_NS (500 * QB_NS_PER_MS)

enum {
	IS_REPAIR = 0x80,
	IS_RS = 0x40,
	REPAIR_ZERO = 0x30,
	IDX_MASK = 0x0f,
	BLOCK_AHEAD_MAX = QB_FEC_BLOCK_MASK / 2, /* further ahead is behind: numbers wrap around */
};

/* ---- header ---- */

void qb_fec_header_build(uint8_t *p, const struct qb_fec_header *h)
{
	qb_store_be32(p, h->block & QB_FEC_BLOCK_MASK);
	p[0] = h->idx;
	if (!h->is_repair)
		return;
	p[0] |= (uint8_t)(IS_REPAIR | (h->scheme == QB_FEC_RS ? IS_RS : 0));
	p[4] = h->source_cnt;
	p[5] = 0;
}

int qb_fec_header_parse(const uint8_t *p, uint32_t len, struct qb_fec_header *h)
{
	if (len <= QB_FEC_REPAIR_LEN)
		return -EBADMSG;
	*h = (struct qb_fec_header){.block = qb_load_be32(p) & QB_FEC_BLOCK_MASK,
				    .is_repair = p[0] & IS_REPAIR,
				    .idx = p[0]};
	if (!h->is_repair)
		return h->idx < QB_FEC_SOURCES_MAX && len > QB_FEC_SOURCE_LEN + QB_BOND_HEADER_LEN
			       ? QB_FEC_SOURCE_LEN
			       : -EBADMSG;
	h->scheme = p[0] & IS_RS ? QB_FEC_RS : QB_FEC_XOR;
	h->idx = p[0] & IDX_MASK;
	h->source_cnt = p[4];
	if (p[0] & REPAIR_ZERO || p[5] != 0 || h->source_cnt == 0 ||
	    h->source_cnt > QB_FEC_SOURCES_MAX)
		return -EBADMSG;
	/* The smallest symbol holds a length, a bond header and a byte; XOR has but one. */
	if (len <= QB_FEC_REPAIR_LEN + QB_FEC_LENGTH_LEN + QB_BOND_HEADER_LEN ||
	    (h->scheme == QB_FEC_XOR && h->idx != 0))
		return -EBADMSG;
	return QB_FEC_REPAIR_LEN;
}

/* ---- blocks ---- */

void qb_fec_rx_init(struct qb_fec_rx *f, struct qb_fec_block *blocks, struct qb_pool *pool,
		    struct qb_counters *counters)
{
	memset(f, 0, sizeof(*f));
	f->blocks = blocks;
	f->pool = pool;
	f->counters = counters;
}

static void let_go(struct qb_fec_rx *f, struct qb_buf **b)
{
	if (!*b)
		return;
	qb_buf_put(f->pool, *b);
	*b = NULL;
	f->kept_cnt--;
}

/* empty gives back what a block holds. Repair symbols that were of no use are counted. */
static void empty(struct qb_fec_rx *f, struct qb_fec_block *k)
{
	for (uint32_t i = 0; i < QB_FEC_SOURCES_MAX; i++)
		let_go(f, &k->sources[i]);
	for (uint32_t i = 0; i < QB_FEC_REPAIRS_MAX; i++) {
		if (k->repairs[i])
			qb_count(f->counters, QB_CNT_FEC_USELESS);
		let_go(f, &k->repairs[i]);
	}
}

/* all_bits are those of the first cnt symbols. */
static uint32_t all_bits(uint32_t cnt)
{
	return cnt >= 32 ? UINT32_MAX : (1u << cnt) - 1;
}

/* give_up empties a block that is not waited for any more: what is missing is not made. */
static void give_up(struct qb_fec_rx *f, struct qb_fec_block *k)
{
	if (!k->is_done)
		qb_count_add(
			f->counters, QB_CNT_FEC_FAILED,
			(uint64_t)__builtin_popcount(all_bits(k->source_cnt) & ~k->source_bits));
	empty(f, k);
}

void qb_fec_rx_fini(struct qb_fec_rx *f)
{
	for (uint32_t i = 0; i < QB_FEC_BLOCKS && f->kept_cnt; i++)
		empty(f, &f->blocks[i]);
}

static bool is_old(const struct qb_fec_block *k, uint64_t now_ns)
{
	return k->is_used && now_ns - k->since_ns > BLOCK_AGE_NS;
}

void qb_fec_rx_expire(struct qb_fec_rx *f, uint64_t now_ns)
{
	for (uint32_t i = 0; i < QB_FEC_BLOCKS && f->kept_cnt; i++) {
		if (!is_old(&f->blocks[i], now_ns))
			continue;
		give_up(f, &f->blocks[i]);
		f->blocks[i].is_done = true;
	}
}

/* block_of finds the block, or begins it in the place of an older one. NULL: it is older than what
 * is there. */
static struct qb_fec_block *block_of(struct qb_fec_rx *f, uint32_t number, uint64_t now_ns)
{
	struct qb_fec_block *k = &f->blocks[number % QB_FEC_BLOCKS];
	uint32_t ahead = (number - f->newest) & QB_FEC_BLOCK_MASK;

	if (!f->is_started)
		memset(f->blocks, 0, QB_FEC_BLOCKS * sizeof(*f->blocks));
	if (k->is_used && k->number == number)
		return k;
	/* Behind the newest by more than the ring holds, unless that is long ago: a peer may begin
	 * anew. */
	if (f->is_started && ahead > BLOCK_AHEAD_MAX &&
	    QB_FEC_BLOCK_MASK + 1 - ahead >= QB_FEC_BLOCKS && k->is_used && !is_old(k, now_ns))
		return NULL;
	if (!f->is_started || (ahead != 0 && ahead <= BLOCK_AHEAD_MAX)) {
		f->newest = number;
		f->is_started = true;
	}
	give_up(f, k);
	*k = (struct qb_fec_block){.is_used = true, .number = number, .since_ns = now_ns};
	return k;
}

static bool has_room(const struct qb_fec_rx *f)
{
	return f->kept_cnt < QB_FEC_KEPT_MAX && !qb_pool_is_scarce(f->pool);
}

/* end_block: it contradicts itself, or is complete. */
static void end_block(struct qb_fec_rx *f, struct qb_fec_block *k)
{
	empty(f, k);
	k->is_done = true;
}

static void fail(struct qb_fec_rx *f, struct qb_fec_block *k)
{
	qb_count(f->counters, QB_CNT_DROP_FEC);
	end_block(f, k);
}

/* ---- recovery ---- */

/* is_sound: no source longer than a symbol, none beyond the block's end. */
static bool is_sound(const struct qb_fec_block *k)
{
	if (k->source_bits & ~all_bits(k->source_cnt))
		return false;
	for (uint32_t i = 0; i < k->source_cnt; i++)
		if (k->sources[i] && k->sources[i]->len > k->symbol_len)
			return false;
	return true;
}

/* strip_sources leaves in the first `cnt` repair symbols nothing but what is missing. */
static void strip_sources(const struct qb_fec_block *k, uint32_t cnt, uint8_t *const *symbols,
			  const uint8_t *idx)
{
	for (uint32_t i = 0; i < k->source_cnt; i++)
		for (uint32_t a = 0; k->sources[i] && a < cnt; a++)
			qb_fec_code_drop(k->scheme, i, k->sources[i]->data, k->sources[i]->len,
					 idx[a], symbols[a]);
}

/* finish makes a solved symbol a packet: its length is looked at like any that a peer sends. */
static bool finish(const struct qb_fec_block *k, struct qb_buf *b, uint8_t path)
{
	uint32_t len = qb_load_be16(b->data);

	if (len <= QB_BOND_HEADER_LEN || len + QB_FEC_LENGTH_LEN > k->symbol_len)
		return false;
	b->data += QB_FEC_LENGTH_LEN;
	b->len = len;
	b->path = path;
	b->tuple.ecn = QB_ECN_NOT; /* it came in no packet that could be marked */
	b->flags = QB_BUF_ORDERED | QB_BUF_RECOVERED;
	return true;
}

static void recover(struct qb_fec_rx *f, struct qb_fec_block *k, uint32_t missing,
		    struct qb_batch *made)
{
	uint8_t repair_idx[QB_FEC_REPAIRS_MAX], source_idx[QB_FEC_REPAIRS_MAX];
	uint8_t *symbols[QB_FEC_REPAIRS_MAX], *sources[QB_FEC_REPAIRS_MAX];
	struct qb_buf *out[QB_FEC_REPAIRS_MAX];
	uint32_t cnt = (uint32_t)__builtin_popcount(missing), got = 0, n = 0;
	uint8_t path = 0;

	for (uint32_t i = 0; i < QB_FEC_REPAIRS_MAX && n < cnt; i++) {
		if (!k->repairs[i])
			continue;
		path = k->repairs[i]->path;
		symbols[n] = k->repairs[i]->data;
		repair_idx[n++] = (uint8_t)i;
	}
	for (n = 0; n < cnt && made->cnt + n < QB_BATCH_MAX && (out[n] = qb_buf_get(f->pool));
	     n++) {
		source_idx[n] = (uint8_t)__builtin_ctz(missing);
		sources[n] = out[n]->data;
		missing &= missing - 1;
	}
	if (n == cnt) {
		strip_sources(k, cnt, symbols, repair_idx);
		if (qb_fec_code_solve(k->scheme, cnt, repair_idx, symbols, source_idx, sources,
				      k->symbol_len))
			got = cnt;
	}
	for (uint32_t i = 0; i < got; i++)
		let_go(f, &k->repairs[repair_idx[i]]);
	for (uint32_t i = 0; i < n; i++) {
		if (i < got && finish(k, out[i], path)) {
			qb_count(f->counters, QB_CNT_FEC_RECOVERED);
			qb_batch_add(made, out[i]);
			continue;
		}
		qb_count(f->counters, QB_CNT_DROP_FEC);
		qb_buf_put(f->pool, out[i]);
	}
}

/* try_recover looks whether the block is complete, or can be completed. */
static void try_recover(struct qb_fec_rx *f, struct qb_fec_block *k, struct qb_batch *made)
{
	uint32_t missing;

	if (k->source_cnt == 0)
		return;
	missing = all_bits(k->source_cnt) & ~k->source_bits;
	if (missing == 0) {
		end_block(f, k);
	} else if (!is_sound(k)) {
		fail(f, k);
	} else if (__builtin_popcount(missing) <= __builtin_popcount(k->repair_bits)) {
		recover(f, k, missing, made);
		end_block(f, k);
	}
}

/* ---- arrivals ---- */

/* keep_source copies a packet: what goes on will be changed. */
static void keep_source(struct qb_fec_rx *f, struct qb_fec_block *k, uint32_t idx,
			const struct qb_buf *b)
{
	bool fits = b->len + QB_FEC_LENGTH_LEN <= QB_FEC_SYMBOL_MAX;
	struct qb_buf *copy = fits && has_room(f) ? qb_buf_get(f->pool) : NULL;

	if (!copy) {
		/* Without all that arrived nothing can be made any more. */
		end_block(f, k);
		return;
	}
	qb_store_be16(copy->data, (uint16_t)b->len);
	memcpy(copy->data + QB_FEC_LENGTH_LEN, b->data, b->len);
	copy->len = b->len + QB_FEC_LENGTH_LEN;
	k->sources[idx] = copy;
	k->source_bits |= 1u << idx;
	f->kept_cnt++;
}

/* keep_repair takes the buffer; false: it is not needed, or contradicts what was there before. */
static bool keep_repair(struct qb_fec_rx *f, struct qb_fec_block *k, const struct qb_fec_header *h,
			struct qb_buf *b)
{
	if (k->source_cnt == 0) {
		k->source_cnt = h->source_cnt;
		k->scheme = h->scheme;
		k->symbol_len = b->len;
	}
	if (k->source_cnt != h->source_cnt || k->scheme != h->scheme || k->symbol_len != b->len ||
	    k->symbol_len > QB_FEC_SYMBOL_MAX) {
		fail(f, k);
		return false;
	}
	if (k->repairs[h->idx] || !has_room(f))
		return false;
	k->repairs[h->idx] = b;
	k->repair_bits |= 1u << h->idx;
	f->kept_cnt++;
	return true;
}

struct qb_buf *qb_fec_rx_take(struct qb_fec_rx *f, struct qb_buf *b, struct qb_batch *made,
			      uint64_t now_ns)
{
	struct qb_fec_block *k;
	struct qb_fec_header h;
	int n = qb_fec_header_parse(b->data, b->len, &h);

	b->flags &= (uint8_t)~QB_BUF_FEC;
	if (n < 0) {
		qb_count(f->counters, QB_CNT_DROP_FEC);
		qb_buf_put(f->pool, b);
		return NULL;
	}
	qb_buf_pull(b, (uint32_t)n);
	k = block_of(f, h.block, now_ns);
	if (!h.is_repair) {
		b->flags |= QB_BUF_ORDERED;
		if (k && !k->is_done && !(k->source_bits >> h.idx & 1)) {
			keep_source(f, k, h.idx, b);
			try_recover(f, k, made);
		}
		return b;
	}
	if (!k || k->is_done || !keep_repair(f, k, &h, b)) {
		qb_count(f->counters, QB_CNT_FEC_USELESS);
		qb_buf_put(f->pool, b);
		return NULL;
	}
	try_recover(f, k, made);
	return NULL;
}
