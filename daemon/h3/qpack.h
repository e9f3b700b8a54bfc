/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QPACK (RFC 9204) without a dynamic table: we announce a capacity of 0 and use none at the peer,
 * so field sections are self-contained, and the peer's encoder and decoder streams have next to
 * nothing to say.
 */
#pragma once

#include "wire/varint.h"

enum {
	QB_QPACK_STATIC_CNT = 99,
	QB_QPACK_ENTRY_OVERHEAD = 32, /* of a field in a section's size, RFC 9204 §3.2.1 */
	/* Largest section that we decode, in bytes of names, values and overhead:
	   SETTINGS_MAX_FIELD_SECTION_SIZE. */
	QB_QPACK_SECTION_MAX = 4096,
};

struct qb_qpack_field {
	const uint8_t *name, *value;
	size_t name_len, value_len;
};

extern const struct qb_qpack_field qb_qpack_static[QB_QPACK_STATIC_CNT];

/* A field section that is being read. The fields point into it, into the static table or into
 * `text`. */
struct qb_qpack_reader {
	const uint8_t *p, *end;
	size_t size_bytes; /* of the fields so far, as QB_QPACK_SECTION_MAX counts */
	uint8_t text[QB_QPACK_SECTION_MAX];
};

/* qb_qpack_reader_init reads the section's prefix. Returns 0 or -EBADMSG (also: it needs a dynamic
 * table). */
int qb_qpack_reader_init(struct qb_qpack_reader *r, const uint8_t *section,
			 size_t len) QB_MUST_CHECK;
/*
 * qb_qpack_next takes the next field, which is valid until the next call. Returns 1, 0 at the end,
 * -EBADMSG (the connection must fail with QPACK_DECOMPRESSION_FAILED) or -E2BIG (over
 * QB_QPACK_SECTION_MAX).
 */
int qb_qpack_next(struct qb_qpack_reader *r, struct qb_qpack_field *field) QB_MUST_CHECK;

/* qb_qpack_begin writes the prefix of a field section. */
void qb_qpack_begin(struct qb_wr *w);
/* qb_qpack_put appends a field: an index of the static table where it has it, else a plain literal.
 */
void qb_qpack_put(struct qb_wr *w, const char *name, const char *value);

/* qb_qpack_on_encoder_bytes checks what the peer's encoder says. Returns 0 or -EBADMSG. Keeps no
 * state. */
int qb_qpack_on_encoder_bytes(const uint8_t *p, size_t len) QB_MUST_CHECK;

/* An instruction of the peer's decoder that is not complete yet. */
struct qb_qpack_decoder_stream {
	bool is_inside;
	uint8_t shift;
	uint64_t stream_id;
};

/* qb_qpack_on_decoder_bytes checks what the peer's decoder says. Returns 0 or -EBADMSG. */
int qb_qpack_on_decoder_bytes(struct qb_qpack_decoder_stream *s, const uint8_t *p,
			      size_t len) QB_MUST_CHECK;
