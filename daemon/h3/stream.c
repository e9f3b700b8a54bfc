/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bytes between QUIC's streams and our buffers. Called by control.c, request.c and session.c.
 * Output that a stream does not take at once waits here for QB_EV_STREAM_WRITABLE.
 */
#include <errno.h>

#include "h3/state.h"

enum qb_h3_seen qb_h3_window_take(struct qb_h3_window *w, uint64_t number)
{
	uint64_t age;

	if (number >= w->next) {
		uint64_t shift = number + 1 - w->next;

		w->seen = (shift < 64 ? w->seen << shift : 0) | 1;
		w->next = number + 1;
		return QB_H3_SEEN_NEW;
	}
	age = w->next - 1 - number;
	if (age >= 64)
		return QB_H3_SEEN_TOO_OLD;
	if (w->seen >> age & 1)
		return QB_H3_SEEN_BEFORE;
	w->seen |= UINT64_C(1) << age;
	return QB_H3_SEEN_NEW;
}

int qb_h3_in_fill(struct qb_conn *c, uint64_t id, struct qb_h3_in *in, uint64_t *error_code)
{
	int64_t n;

	if (in->off < in->len)
		return in->len - in->off;
	in->off = in->len = 0;
	if (!in->is_readable || in->has_fin)
		return 0;
	*error_code = QB_H3_REQUEST_CANCELLED;
	n = qb_conn_stream_read(c, id, in->buf, sizeof(in->buf), &in->has_fin, error_code);
	if (n < 0)
		return -ECONNRESET;
	if (n == 0)
		in->is_readable = false;
	in->len = (uint16_t)n;
	return (int)n;
}

struct qb_rd qb_h3_in_rd(const struct qb_h3_in *in)
{
	return qb_rd_init(in->buf + in->off, (size_t)(in->len - in->off));
}

void qb_h3_in_taken(struct qb_h3_in *in, const struct qb_rd *rd)
{
	in->off = (uint16_t)(in->len - qb_rd_left(rd));
}

void qb_h3_out_reset(struct qb_conn *c, struct qb_h3_out *o, uint64_t error_code)
{
	o->off = o->len = 0;
	if (!o->is_done)
		(void)qb_conn_stream_reset(c, o->id, error_code);
	o->is_done = true;
}

void qb_h3_out_flush(struct qb_conn *c, struct qb_h3_out *o, uint8_t *buf)
{
	int64_t n;

	if (o->is_done || (o->len == 0 && !o->has_fin))
		return;
	n = qb_conn_stream_write(c, o->id, buf + o->off, o->len, o->has_fin);
	if (n < 0) { /* stopped or gone; QB_EV_STREAM_STOPPED tells the rest */
		o->off = o->len = 0;
		o->is_done = true;
		return;
	}
	o->off = (uint16_t)(o->off + n);
	o->len = (uint16_t)(o->len - n);
	o->is_done = o->len == 0 && o->has_fin;
}

int qb_h3_out_put(struct qb_conn *c, struct qb_h3_out *o, uint8_t *buf, size_t cap,
		  const uint8_t *data, size_t len)
{
	int64_t n;

	if (o->is_done || o->has_fin)
		return -EPIPE;
	if (len > cap - o->len)
		return -EAGAIN;
	if (o->len) {
		memmove(buf, buf + o->off, o->len);
		memcpy(buf + o->len, data, len);
		o->off = 0;
		o->len = (uint16_t)(o->len + len);
		qb_h3_out_flush(c, o, buf);
		return 0;
	}
	/* Only what the stream has no room for needs the buffer. */
	n = qb_conn_stream_write(c, o->id, data, len, false);
	o->is_done = n < 0;
	o->off = 0;
	o->len = (uint16_t)(n < 0 ? 0 : len - (size_t)n);
	memcpy(buf, data + len - o->len, o->len);
	return 0;
}

void qb_h3_out_fin(struct qb_conn *c, struct qb_h3_out *o, uint8_t *buf)
{
	o->has_fin = true;
	qb_h3_out_flush(c, o, buf);
}
