/* SPDX-License-Identifier: BSD-2-Clause */
/* Variable-length integers and bounded cursors: every parser and builder of the wire goes through
 * here. */
#include "wire/varint.h"

size_t qb_varint_read(const uint8_t *p, size_t len, uint64_t *out)
{
	size_t n;

	if (len == 0)
		return 0;
	n = (size_t)1 << (p[0] >> 6);
	if (len < n)
		return 0;
	switch (n) {
	case 1:
		*out = p[0];
		break;
	case 2:
		*out = qb_load_be16(p) & 0x3fff;
		break;
	case 4:
		*out = qb_load_be32(p) & 0x3fffffff;
		break;
	default:
		*out = qb_load_be64(p) & QB_VARINT_MAX;
	}
	return n;
}

void qb_varint_write_as(uint8_t *p, uint64_t v, size_t len)
{
	switch (len) {
	case 1:
		p[0] = (uint8_t)v;
		break;
	case 2:
		qb_store_be16(p, (uint16_t)(v | 0x4000));
		break;
	case 4:
		qb_store_be32(p, (uint32_t)(v | 0x80000000));
		break;
	default:
		qb_store_be64(p, v | (UINT64_C(3) << 62));
	}
}

size_t qb_varint_write(uint8_t *p, uint64_t v)
{
	size_t len = qb_varint_len(v);

	qb_varint_write_as(p, v, len);
	return len;
}

uint8_t qb_rd_u8(struct qb_rd *r)
{
	const uint8_t *p = qb_rd_take(r, 1);

	return p ? *p : 0;
}

uint16_t qb_rd_be16(struct qb_rd *r)
{
	const uint8_t *p = qb_rd_take(r, 2);

	return p ? qb_load_be16(p) : 0;
}

uint32_t qb_rd_be32(struct qb_rd *r)
{
	const uint8_t *p = qb_rd_take(r, 4);

	return p ? qb_load_be32(p) : 0;
}

uint64_t qb_rd_varint_min(struct qb_rd *r, bool *is_minimal)
{
	uint64_t v = 0;
	size_t n = r->bad ? 0 : qb_varint_read(r->p, qb_rd_left(r), &v);

	*is_minimal = n == qb_varint_len(v);
	if (n == 0)
		r->bad = true;
	r->p += n;
	return v;
}

uint64_t qb_rd_varint(struct qb_rd *r)
{
	bool is_minimal;

	return qb_rd_varint_min(r, &is_minimal);
}

struct qb_bytes qb_rd_bytes(struct qb_rd *r, uint64_t n)
{
	const uint8_t *p = qb_rd_take(r, n);

	return (struct qb_bytes){.p = p, .len = p ? n : 0};
}

void qb_rd_copy(struct qb_rd *r, void *out, size_t n)
{
	const uint8_t *p = qb_rd_take(r, n);

	if (p && n)
		memcpy(out, p, n);
}

void qb_wr_u8(struct qb_wr *w, uint8_t v)
{
	uint8_t *p = qb_wr_take(w, 1);

	if (p)
		*p = v;
}

void qb_wr_be16(struct qb_wr *w, uint16_t v)
{
	uint8_t *p = qb_wr_take(w, 2);

	if (p)
		qb_store_be16(p, v);
}

void qb_wr_be32(struct qb_wr *w, uint32_t v)
{
	uint8_t *p = qb_wr_take(w, 4);

	if (p)
		qb_store_be32(p, v);
}

void qb_wr_varint(struct qb_wr *w, uint64_t v)
{
	uint8_t *p;

	if (v > QB_VARINT_MAX) {
		w->bad = true;
		return;
	}
	p = qb_wr_take(w, qb_varint_len(v));
	if (p)
		qb_varint_write(p, v);
}

void qb_wr_bytes(struct qb_wr *w, const void *data, size_t len)
{
	uint8_t *p = qb_wr_take(w, len);

	if (p && len)
		memcpy(p, data, len);
}
