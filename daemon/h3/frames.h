/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/3 code points and the frame layer (RFC 9114 §7, §8.1): cuts a stream's bytes into frames as
 * they come, keeping no more than a frame's header.
 */
#pragma once

#include "h3/h3.h"
#include "wire/varint.h"

/* Error codes beside those in h3.h (RFC 9114 §8.1, RFC 9204 §6). */
enum {
	QB_H3_STREAM_CREATION_ERROR = 0x0103,
	QB_H3_CLOSED_CRITICAL_STREAM = 0x0104,
	QB_H3_FRAME_UNEXPECTED = 0x0105,
	QB_H3_FRAME_ERROR = 0x0106,
	QB_H3_ID_ERROR = 0x0108,
	QB_H3_SETTINGS_ERROR = 0x0109,
	QB_H3_MISSING_SETTINGS = 0x010a,
	QB_H3_REQUEST_INCOMPLETE = 0x010d,
	QB_QPACK_DECOMPRESSION_FAILED = 0x0200,
	QB_QPACK_ENCODER_STREAM_ERROR = 0x0201,
	QB_QPACK_DECODER_STREAM_ERROR = 0x0202,
};

/* Types of unidirectional streams (RFC 9114 §6.2, RFC 9204 §4.2). */
enum {
	QB_H3_STREAM_CONTROL = 0x00,
	QB_H3_STREAM_PUSH = 0x01,
	QB_H3_STREAM_QPACK_ENCODER = 0x02,
	QB_H3_STREAM_QPACK_DECODER = 0x03,
};

enum qb_h3_frame_type {
	QB_H3_FRAME_DATA = 0x00,
	QB_H3_FRAME_HEADERS = 0x01,
	QB_H3_FRAME_CANCEL_PUSH = 0x03,
	QB_H3_FRAME_SETTINGS = 0x04,
	QB_H3_FRAME_PUSH_PROMISE = 0x05,
	QB_H3_FRAME_GOAWAY = 0x07,
	QB_H3_FRAME_MAX_PUSH_ID = 0x0d,
	QB_H3_FRAME_PRIORITY_UPDATE_REQUEST = 0xf0700,
	QB_H3_FRAME_PRIORITY_UPDATE_PUSH = 0xf0701,
};

/* qb_h3_reserved is the nth code point that means nothing, so that peers stay used to such (RFC
 * 9114 §7.2.8). */
static inline uint64_t qb_h3_reserved(uint64_t n)
{
	return 0x1f * n + 0x21;
}

/* Where a frame type may appear. */
enum qb_h3_place {
	QB_H3_NOWHERE = 0, /* reserved, because HTTP/2 used it */
	QB_H3_ON_CONTROL = 1,
	QB_H3_ON_REQUEST = 2,
	QB_H3_ANYWHERE = 3, /* unknown: to be skipped */
};

enum qb_h3_place qb_h3_frame_place(uint64_t type);

enum qb_h3_piece_kind {
	QB_H3_PIECE_NONE,  /* all input was taken */
	QB_H3_PIECE_BEGIN, /* type and len of a frame */
	QB_H3_PIECE_BODY,  /* some of its payload: data, len */
	QB_H3_PIECE_END,
};

struct qb_h3_piece {
	enum qb_h3_piece_kind kind;
	uint64_t type;
	uint64_t len;
	const uint8_t *data;
};

struct qb_h3_framer {
	uint64_t type, left; /* of the frame we are inside of */
	uint8_t header[16], header_len;
	bool is_inside;
};

/* qb_h3_framer_next takes one piece from the front of `in`. Call it again until it returns NONE. */
enum qb_h3_piece_kind qb_h3_framer_next(struct qb_h3_framer *f, struct qb_rd *in,
					struct qb_h3_piece *out);
/* qb_h3_framer_unread gives back the last n bytes of the BODY piece that came last. */
void qb_h3_framer_unread(struct qb_h3_framer *f, struct qb_rd *in, size_t n);

/* qb_h3_framer_is_idle: not inside a frame, so the stream may end here. */
static inline bool qb_h3_framer_is_idle(const struct qb_h3_framer *f)
{
	return !f->is_inside && f->header_len == 0;
}
