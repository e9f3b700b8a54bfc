/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Variable-length integers (RFC 9000 §16) and the two cursors with which everything on the wire is
 * read and written: they never leave their bounds. The first access that does not fit sets `bad`,
 * which sticks; later accesses do nothing (reads give 0), so a parser reads all its fields and asks
 * once.
 */
#pragma once

#include "base/base.h"

#define QB_VARINT_MAX ((UINT64_C(1) << 62) - 1)

/* Bytes that lie somewhere else: not owned, not terminated. */
struct qb_bytes {
	const uint8_t *p;
	size_t len;
};

struct qb_rd {
	const uint8_t *p, *end;
	bool bad;
};

struct qb_wr {
	uint8_t *p, *end;
	bool bad;
};

/* qb_varint_len is the length of v's shortest encoding: 1, 2, 4 or 8 bytes. v <= QB_VARINT_MAX. */
static inline size_t qb_varint_len(uint64_t v)
{
	return v < 0x40 ? 1 : v < 0x4000 ? 2 : v < 0x40000000 ? 4 : 8;
}

/*
 * qb_varint_read decodes one integer from at most len bytes. Returns its length, or 0 when it is
 * cut off (for byte streams, where the rest may still come).
 */
size_t qb_varint_read(const uint8_t *p, size_t len, uint64_t *out);
/* qb_varint_write stores v in its shortest encoding at p, which has room, and returns the length.
 */
size_t qb_varint_write(uint8_t *p, uint64_t v);
/* qb_varint_write_as stores v in exactly len (1, 2, 4 or 8) bytes, for lengths that are patched in
 * later. */
void qb_varint_write_as(uint8_t *p, uint64_t v, size_t len);

/* ---- reading ---- */

static inline struct qb_rd qb_rd_init(const void *data, size_t len)
{
	const uint8_t *p = data;

	return (struct qb_rd){.p = p, .end = p ? p + len : p};
}

static inline size_t qb_rd_left(const struct qb_rd *r)
{
	return (size_t)(r->end - r->p);
}

/* qb_rd_take returns the next n bytes and moves past them, or NULL (bad). */
static inline const uint8_t *qb_rd_take(struct qb_rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (QB_UNLIKELY(r->bad || qb_rd_left(r) < n)) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return p;
}

uint8_t qb_rd_u8(struct qb_rd *r);
uint16_t qb_rd_be16(struct qb_rd *r);
uint32_t qb_rd_be32(struct qb_rd *r);
uint64_t qb_rd_varint(struct qb_rd *r);
/* qb_rd_varint_min also says whether the encoding was the shortest (frame types must be: RFC 9000
 * §12.4). */
uint64_t qb_rd_varint_min(struct qb_rd *r, bool *is_minimal);
/* qb_rd_bytes takes n bytes without copying them. n may be any 64-bit value off the wire. */
struct qb_bytes qb_rd_bytes(struct qb_rd *r, uint64_t n);
/* qb_rd_copy copies n bytes out. */
void qb_rd_copy(struct qb_rd *r, void *out, size_t n);

/* ---- writing ---- */

static inline struct qb_wr qb_wr_init(void *buf, size_t cap)
{
	uint8_t *p = buf;

	return (struct qb_wr){.p = p, .end = p ? p + cap : p};
}

static inline size_t qb_wr_room(const struct qb_wr *w)
{
	return (size_t)(w->end - w->p);
}

/* qb_wr_take returns room for the next n bytes and moves past them, or NULL (bad). */
static inline uint8_t *qb_wr_take(struct qb_wr *w, size_t n)
{
	uint8_t *p = w->p;

	if (QB_UNLIKELY(w->bad || qb_wr_room(w) < n)) {
		w->bad = true;
		return NULL;
	}
	w->p += n;
	return p;
}

void qb_wr_u8(struct qb_wr *w, uint8_t v);
void qb_wr_be16(struct qb_wr *w, uint16_t v);
void qb_wr_be32(struct qb_wr *w, uint32_t v);
/* qb_wr_varint sets bad for v > QB_VARINT_MAX as well. */
void qb_wr_varint(struct qb_wr *w, uint64_t v);
void qb_wr_bytes(struct qb_wr *w, const void *data, size_t len);
