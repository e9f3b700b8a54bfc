/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QPACK field sections, both ways, and the two instruction streams (RFC 9204 §4). Called by
 * message.c for sections and by control.c for the streams.
 */
#include "h3/qpack.h"

#include <errno.h>

#include "h3/huffman.h"

/* RFC 7541 §5.1: the low prefix_bits of the byte at *p, and more bytes if these are all ones. */
static int read_int(const uint8_t **p, const uint8_t *end, unsigned prefix_bits, uint64_t *out)
{
	uint64_t mask = (UINT64_C(1) << prefix_bits) - 1;
	uint64_t v;

	if (*p == end)
		return -EBADMSG;
	v = *(*p)++ & mask;
	if (v == mask) {
		unsigned shift = 0;
		uint8_t byte;

		do {
			if (*p == end || shift > 56)
				return -EBADMSG;
			byte = *(*p)++;
			v += (uint64_t)(byte & 0x7f) << shift;
			shift += 7;
		} while (byte & 0x80);
		if (v > QB_VARINT_MAX)
			return -EBADMSG;
	}
	*out = v;
	return 0;
}

/*
 * A string literal whose Huffman flag is the bit above its length prefix. Decoded text goes behind
 * what the field has in r->text already (*used).
 */
static int read_string(struct qb_qpack_reader *r, unsigned prefix_bits, size_t *used,
		       const uint8_t **str, size_t *str_len)
{
	bool is_huffman;
	uint64_t len;
	int n;

	if (r->p == r->end)
		return -EBADMSG;
	is_huffman = *r->p >> prefix_bits & 1;
	n = read_int(&r->p, r->end, prefix_bits, &len);
	if (n < 0 || len > (uint64_t)(r->end - r->p))
		return -EBADMSG;
	*str = r->p;
	*str_len = (size_t)len;
	r->p += len;
	if (!is_huffman)
		return 0;

	n = qb_huffman_decode(*str, *str_len, r->text + *used, sizeof(r->text) - *used);
	if (n < 0)
		return n;
	*str = r->text + *used;
	*str_len = (size_t)n;
	*used += (size_t)n;
	return 0;
}

int qb_qpack_reader_init(struct qb_qpack_reader *r, const uint8_t *section, size_t len)
{
	uint64_t required_cnt, delta_base;
	bool is_negative;

	r->p = section;
	r->end = section + len;
	r->size_bytes = 0;
	if (read_int(&r->p, r->end, 8, &required_cnt) < 0 || r->p == r->end)
		return -EBADMSG;
	/* With a sign the base would be -1 - delta (RFC 9204 §4.5.1.2). */
	is_negative = *r->p & 0x80;
	if (read_int(&r->p, r->end, 7, &delta_base) < 0)
		return -EBADMSG;
	return required_cnt != 0 || is_negative ? -EBADMSG : 0;
}

static int read_static(struct qb_qpack_reader *r, unsigned prefix_bits,
		       struct qb_qpack_field *field)
{
	uint64_t idx;

	if (read_int(&r->p, r->end, prefix_bits, &idx) < 0 || idx >= QB_QPACK_STATIC_CNT)
		return -EBADMSG;
	*field = qb_qpack_static[idx];
	return 0;
}

/* RFC 9204 §4.5.2-4.5.6. What refers to the dynamic table (T = 0, post-base) is an error: it is
 * empty. */
static int read_field(struct qb_qpack_reader *r, struct qb_qpack_field *field)
{
	uint8_t first = *r->p;
	size_t used = 0;
	int ret;

	if (first & 0x80)
		return first & 0x40 ? read_static(r, 6, field) : -EBADMSG;
	if (first & 0x40)
		ret = first & 0x10 ? read_static(r, 4, field) : -EBADMSG;
	else if (first & 0x20)
		ret = read_string(r, 3, &used, &field->name, &field->name_len);
	else
		ret = -EBADMSG;
	if (ret < 0)
		return ret;
	return read_string(r, 7, &used, &field->value, &field->value_len);
}

int qb_qpack_next(struct qb_qpack_reader *r, struct qb_qpack_field *field)
{
	int ret;

	if (r->p == r->end)
		return 0;
	ret = read_field(r, field);
	if (ret < 0)
		return ret;
	r->size_bytes += field->name_len + field->value_len + QB_QPACK_ENTRY_OVERHEAD;
	return r->size_bytes > QB_QPACK_SECTION_MAX ? -E2BIG : 1;
}

static void put_int(struct qb_wr *w, uint8_t flags, unsigned prefix_bits, uint64_t v)
{
	uint64_t mask = (UINT64_C(1) << prefix_bits) - 1;

	if (v < mask) {
		qb_wr_u8(w, (uint8_t)(flags | v));
		return;
	}
	qb_wr_u8(w, (uint8_t)(flags | mask));
	for (v -= mask; v >= 0x80; v >>= 7)
		qb_wr_u8(w, (uint8_t)(0x80 | (v & 0x7f)));
	qb_wr_u8(w, (uint8_t)v);
}

static void put_string(struct qb_wr *w, uint8_t flags, unsigned prefix_bits, const char *text)
{
	size_t len = strlen(text);

	put_int(w, flags, prefix_bits, len);
	qb_wr_bytes(w, text, len);
}

void qb_qpack_begin(struct qb_wr *w)
{
	put_int(w, 0, 8, 0); /* Required Insert Count */
	put_int(w, 0, 7, 0); /* Base */
}

static bool is_text(const uint8_t *p, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(p, text, len) == 0;
}

void qb_qpack_put(struct qb_wr *w, const char *name, const char *value)
{
	int name_idx = -1;

	for (int i = 0; i < QB_QPACK_STATIC_CNT; i++) {
		const struct qb_qpack_field *f = &qb_qpack_static[i];

		if (!is_text(f->name, f->name_len, name))
			continue;
		if (is_text(f->value, f->value_len, value)) {
			put_int(w, 0xc0, 6, (uint64_t)i);
			return;
		}
		if (name_idx < 0)
			name_idx = i;
	}
	if (name_idx >= 0)
		put_int(w, 0x50, 4, (uint64_t)name_idx);
	else
		put_string(w, 0x20, 3, name);
	put_string(w, 0, 7, value);
}

/* RFC 9204 §4.3: into a table that can hold nothing, nothing can be inserted; its capacity can be
 * set to 0. */
int qb_qpack_on_encoder_bytes(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] != 0x20)
			return -EBADMSG;
	}
	return 0;
}

/*
 * RFC 9204 §4.4: no section of ours refers to the dynamic table and nothing was inserted, so
 * neither a Section Acknowledgment nor an increment can be right. A Stream Cancellation may come
 * for any stream.
 */
int qb_qpack_on_decoder_bytes(struct qb_qpack_decoder_stream *s, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!s->is_inside) {
			if ((p[i] & 0xc0) != 0x40)
				return -EBADMSG;
			s->is_inside = (p[i] & 0x3f) == 0x3f;
			s->stream_id = 0x3f;
			s->shift = 0;
			continue;
		}
		if (s->shift > 56)
			return -EBADMSG;
		s->stream_id += (uint64_t)(p[i] & 0x7f) << s->shift;
		s->shift = (uint8_t)(s->shift + 7);
		if (s->stream_id > QB_VARINT_MAX)
			return -EBADMSG;
		s->is_inside = p[i] & 0x80;
	}
	return 0;
}
