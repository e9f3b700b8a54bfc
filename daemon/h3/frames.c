/* SPDX-License-Identifier: BSD-2-Clause */
/* The HTTP/3 frame layer. Called by control.c and request.c with whatever bytes a stream has. */
#include "h3/frames.h"

/* clang-format off */
static const struct {
	uint64_t type;
	enum qb_h3_place place;
} places[] = {
	{QB_H3_FRAME_DATA,                    QB_H3_ON_REQUEST},
	{QB_H3_FRAME_HEADERS,                 QB_H3_ON_REQUEST},
	{0x02,                                QB_H3_NOWHERE}, /* PRIORITY of HTTP/2, RFC 9114 §7.2.8 */
	{QB_H3_FRAME_CANCEL_PUSH,             QB_H3_ON_CONTROL},
	{QB_H3_FRAME_SETTINGS,                QB_H3_ON_CONTROL},
	{QB_H3_FRAME_PUSH_PROMISE,            QB_H3_ON_REQUEST},
	{0x06,                                QB_H3_NOWHERE}, /* PING */
	{QB_H3_FRAME_GOAWAY,                  QB_H3_ON_CONTROL},
	{0x08,                                QB_H3_NOWHERE}, /* WINDOW_UPDATE */
	{0x09,                                QB_H3_NOWHERE}, /* CONTINUATION */
	{QB_H3_FRAME_MAX_PUSH_ID,             QB_H3_ON_CONTROL},
	{QB_H3_FRAME_PRIORITY_UPDATE_REQUEST, QB_H3_ON_CONTROL},
	{QB_H3_FRAME_PRIORITY_UPDATE_PUSH,    QB_H3_ON_CONTROL},
};
/* clang-format on */

enum qb_h3_place qb_h3_frame_place(uint64_t type)
{
	for (size_t i = 0; i < QB_ARRAY_LEN(places); i++) {
		if (places[i].type == type)
			return places[i].place;
	}
	return QB_H3_ANYWHERE;
}

/* Reads type and length, which may come a byte at a time. */
static bool read_header(struct qb_h3_framer *f, struct qb_rd *in)
{
	while (qb_rd_left(in) > 0) {
		struct qb_rd header;

		f->header[f->header_len++] = qb_rd_u8(in);
		header = qb_rd_init(f->header, f->header_len);
		f->type = qb_rd_varint(&header);
		f->left = qb_rd_varint(&header);
		if (!header.bad)
			return true;
	}
	return false;
}

enum qb_h3_piece_kind qb_h3_framer_next(struct qb_h3_framer *f, struct qb_rd *in,
					struct qb_h3_piece *out)
{
	*out = (struct qb_h3_piece){.kind = QB_H3_PIECE_NONE};
	if (!f->is_inside) {
		if (!read_header(f, in))
			return QB_H3_PIECE_NONE;
		f->header_len = 0;
		f->is_inside = true;
		out->kind = QB_H3_PIECE_BEGIN;
		out->len = f->left;
	} else if (f->left == 0) {
		f->is_inside = false;
		out->kind = QB_H3_PIECE_END;
	} else if (qb_rd_left(in) > 0) {
		out->kind = QB_H3_PIECE_BODY;
		out->len = qb_min_u64(f->left, qb_rd_left(in));
		out->data = qb_rd_take(in, (size_t)out->len);
		f->left -= out->len;
	}
	out->type = f->type;
	return out->kind;
}

void qb_h3_framer_unread(struct qb_h3_framer *f, struct qb_rd *in, size_t n)
{
	in->p -= n;
	f->left += n;
}
