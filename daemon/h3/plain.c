/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plain requests and responses: GET and HEAD with a body of announced length in one DATA frame, as a
 * server of files wants it. Bodies are not buffered: they go between the owner and QUIC's stream.
 * The first half is called by the owner (h3.h), the second by request.c.
 */
#include <errno.h>

#include "h3/state.h"

/* ---- the client ---- */

static int can_get(const struct qb_h3 *h, const char *authority, const char *path)
{
	if (h->is_server || h->is_failed)
		return -ENOTCONN;
	if (h->is_going_away)
		return -ESHUTDOWN;
	return qb_h3_is_authority(authority) && qb_h3_is_path(path) ? 0 : -EINVAL;
}

int64_t qb_h3_get(struct qb_h3 *h, const char *authority, const char *path)
{
	uint8_t frame[2 * QB_H3_FIELD_MAX + 160];
	struct qb_wr w = qb_wr_init(frame, sizeof(frame));
	struct qb_h3_request *r;
	int64_t id;
	int ret = can_get(h, authority, path);

	if (ret < 0)
		return ret;
	r = qb_h3_request_new(h, 0);
	if (!r)
		return -ENOSPC;
	id = qb_conn_open_stream(h->conn, true);
	if (id < 0) {
		r->phase = QB_H3_FREE;
		return id;
	}
	r->id = r->out.id = (uint64_t)id;
	r->is_told = r->is_plain = true;
	qb_h3_build_get(&w, authority, path);
	QB_BUG_ON(w.bad);
	(void)qb_h3_request_put(h, r, frame, (size_t)(w.p - frame));
	qb_h3_out_fin(h->conn, &r->out, r->room->out);
	return id;
}

static bool is_inside_data(const struct qb_h3_request *r)
{
	return r->framer.is_inside && r->framer.type == QB_H3_FRAME_DATA && r->framer.left > 0;
}

/* take_data copies bytes of the present DATA frame: what was read already, else right from QUIC. */
static int64_t take_data(struct qb_h3 *h, struct qb_h3_request *r, uint8_t *out, size_t cap,
			 uint64_t *error_code)
{
	struct qb_h3_in *in = &r->room->in;
	int64_t n = in->len - in->off;

	cap = (size_t)qb_min_u64(cap, r->framer.left);
	if (n > 0) {
		n = (int64_t)QB_MIN((size_t)n, cap);
		memcpy(out, in->buf + in->off, (size_t)n);
		in->off = (uint16_t)(in->off + n);
	} else if (in->is_readable && !in->has_fin) {
		n = qb_conn_stream_read(h->conn, r->id, out, cap, &in->has_fin, error_code);
		if (n < 0)
			return -ECONNRESET;
		in->is_readable = n > 0;
	}
	if (qb_h3_plain_on_data(r, (uint64_t)n) < 0) {
		qb_h3_request_abort(h, r, QB_H3_MESSAGE_ERROR);
		return 0;
	}
	r->framer.left -= (uint64_t)n;
	return n;
}

/*
 * next_data brings the reader to the next bytes of the body. Returns 1 when they are there, 0 when
 * they are not or the message is over.
 */
static int next_data(struct qb_h3 *h, struct qb_h3_request *r)
{
	struct qb_h3_event unused;
	uint64_t error_code = 0;
	int ret = 0;

	while (r->phase == QB_H3_BODY && !is_inside_data(r)) {
		ret = qb_h3_request_piece(h, r, &unused);
		if (ret == -EPROTO)
			return 0;
		if (ret != -EAGAIN)
			continue;
		ret = qb_h3_in_fill(h->conn, r->id, &r->room->in, &error_code);
		if (ret == 0 && !r->room->in.has_fin)
			return 0;
		if (ret <= 0)
			qb_h3_request_on_end(h, r, ret, error_code);
	}
	return r->phase == QB_H3_BODY;
}

int64_t qb_h3_read_body(struct qb_h3 *h, uint64_t id, void *out, size_t cap, bool *is_end)
{
	struct qb_h3_request *r = qb_h3_request_find(h, id);
	uint64_t error_code = QB_H3_REQUEST_CANCELLED;
	size_t len = 0;

	*is_end = false;
	if (!r || h->is_failed || r->phase != QB_H3_BODY)
		return -ENOENT;
	while (len < cap && next_data(h, r)) {
		int64_t n = take_data(h, r, (uint8_t *)out + len, cap - len, &error_code);

		/* Cut off inside a frame, or reset: what came until then is of no use. */
		if (n < 0 || (n == 0 && r->room->in.has_fin && r->phase == QB_H3_BODY))
			qb_h3_request_on_end(h, r, (int)n, error_code);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (h->is_failed || r->phase == QB_H3_ENDED)
		return -ENOENT;
	*is_end = r->phase != QB_H3_BODY;
	return (int64_t)len;
}

/* ---- the server ---- */

void qb_h3_serve(struct qb_h3 *h)
{
	h->is_serving = h->is_server;
}

/* over: all was handed to the stream, and nobody needs to hear of it. */
static void over(struct qb_h3 *h, struct qb_h3_request *r)
{
	r->is_told = false;
	qb_h3_request_finish(h, r);
}

int qb_h3_reply(struct qb_h3 *h, uint64_t id, uint16_t status, uint64_t body_len)
{
	struct qb_h3_request *r = qb_h3_request_find(h, id);
	uint8_t frames[160];
	struct qb_wr w = qb_wr_init(frames, sizeof(frames));

	if (h->is_failed || !r || r->phase != QB_H3_ASKED)
		return -ENOENT;
	if (status < 200 || status > 599 || body_len > QB_VARINT_MAX)
		return -EINVAL;
	qb_h3_build_reply(&w, status, body_len);
	if (r->is_head)
		body_len = 0;
	if (body_len) {
		qb_wr_varint(&w, QB_H3_FRAME_DATA);
		qb_wr_varint(&w, body_len);
	}
	QB_BUG_ON(w.bad);
	(void)qb_h3_request_put(h, r, frames, (size_t)(w.p - frames));
	r->phase = QB_H3_REPLY;
	r->body_left = body_len;
	r->is_due = true;
	if (!body_len)
		over(h, r);
	return 0;
}

int64_t qb_h3_write_body(struct qb_h3 *h, uint64_t id, const void *data, size_t len)
{
	struct qb_h3_request *r = qb_h3_request_find(h, id);
	int64_t n;

	if (h->is_failed || !r || r->phase != QB_H3_REPLY)
		return -ENOENT;
	qb_h3_out_flush(h->conn, &r->out, r->room->out);
	if (r->out.len)
		return 0;
	len = (size_t)qb_min_u64(len, r->body_left);
	n = qb_conn_stream_write(h->conn, id, data, len, len == r->body_left);
	if (n < 0)
		return -ENOENT;
	r->body_left -= (uint64_t)n;
	if (r->body_left == 0) {
		r->out.is_done = true;
		over(h, r);
	}
	return n;
}

/* ---- what request.c hands on ---- */

void qb_h3_plain_on_request(struct qb_h3_request *r, const struct qb_h3_message *m)
{
	r->is_plain = true;
	r->is_head = m->is_head;
	r->body_left = m->content_len;
	memcpy(r->room->request.authority, m->authority, sizeof(m->authority));
	memcpy(r->room->request.path, m->path, sizeof(m->path));
	r->phase = QB_H3_ASKED;
}

int qb_h3_plain_on_response(struct qb_h3_request *r, const struct qb_h3_message *m,
			    struct qb_h3_event *ev)
{
	*ev = (struct qb_h3_event){
		.type = QB_H3_EV_RESPONSE,
		.session = r->id,
		.is_ok = m->status / 100 == 2,
		.status = m->status,
		.body_len = m->content_len,
	};
	r->phase = QB_H3_BODY;
	r->is_due = true;
	/* It tells the length of what it does not send (RFC 9110 §8.6). */
	r->body_left = m->status == 304 ? QB_H3_LEN_UNKNOWN : m->content_len;
	return 1;
}

int qb_h3_plain_on_data(struct qb_h3_request *r, uint64_t len)
{
	/* While the answer goes out, body_left is its own; what the client still says is read away. */
	if (r->body_left == QB_H3_LEN_UNKNOWN || r->phase == QB_H3_REPLY)
		return 0;
	if (len > r->body_left)
		return -EBADMSG;
	r->body_left -= len;
	return 0;
}

static int tell_get(struct qb_h3_request *r, struct qb_h3_event *ev)
{
	if (r->is_told)
		return -EAGAIN;
	r->is_told = true;
	*ev = (struct qb_h3_event){
		.type = QB_H3_EV_GET,
		.session = r->id,
		.is_head = r->is_head,
	};
	memcpy(ev->authority, r->room->request.authority, sizeof(ev->authority));
	memcpy(ev->path, r->room->request.path, sizeof(ev->path));
	return 1;
}

int qb_h3_plain_tell(struct qb_h3_request *r, struct qb_h3_event *ev)
{
	if (r->phase == QB_H3_ASKED)
		return tell_get(r, ev);
	if (!r->is_due)
		return -EAGAIN;
	r->is_due = false;
	*ev = (struct qb_h3_event){
		.type = r->phase == QB_H3_REPLY ? QB_H3_EV_WRITABLE : QB_H3_EV_BODY,
		.session = r->id,
	};
	return 1;
}
