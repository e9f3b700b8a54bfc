/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/3 on one connection: its birth, where QUIC's events go, and the round over all streams that
 * finds the next thing to tell. Called by the owner of the connection; declared in h3.h.
 */
#include <errno.h>

#include "h3/state.h"

size_t qb_h3_footprint(void)
{
	return sizeof(struct qb_h3);
}

int qb_h3_fail(struct qb_h3 *h, uint64_t error_code, const char *why)
{
	if (!h->is_failed)
		qb_conn_fail_app(h->conn, error_code, why);
	h->is_failed = true;
	return -EPROTO;
}

static void put_own(struct qb_h3 *h, int i, const struct qb_wr *w, const uint8_t *data)
{
	QB_BUG_ON(w->bad);
	(void)qb_h3_out_put(h->conn, &h->own[i], h->own_out[i], sizeof(h->own_out[i]), data,
			    (size_t)(w->p - data));
}

/* Type, SETTINGS, and a frame that means nothing (RFC 9114 §7.2.8). */
static void start_control(struct qb_h3 *h)
{
	uint8_t data[sizeof(h->own_out[0])];
	struct qb_wr w = qb_wr_init(data, sizeof(data));

	qb_wr_varint(&w, QB_H3_STREAM_CONTROL);
	qb_h3_settings_build(&w, h->is_server);
	qb_wr_varint(&w, qb_h3_reserved(0x3ab));
	qb_wr_varint(&w, 0);
	put_own(h, 0, &w, data);
}

static void start_qpack(struct qb_h3 *h, int i, uint64_t type)
{
	uint8_t data[8];
	struct qb_wr w = qb_wr_init(data, sizeof(data));

	qb_wr_varint(&w, type);
	put_own(h, i, &w, data);
}

/* open_own opens a stream for h->own[i]. Without one the output counts as over. */
static int open_own(struct qb_h3 *h, int i)
{
	int64_t id = qb_conn_open_stream(h->conn, false);

	h->own[i].id = id < 0 ? UINT64_MAX : (uint64_t)id;
	h->own[i].is_done = id < 0;
	if (id < 0)
		return (int)id;
	(void)qb_conn_stream_priority(h->conn, h->own[i].id, QB_H3_URGENCY_CONTROL, true);
	return 0;
}

int qb_h3_init(void *mem, struct qb_conn *conn, bool is_server, struct qb_h3 **out)
{
	struct qb_h3 *h = mem;
	int ret;

	memset(h, 0, offsetof(struct qb_h3, rooms));
	h->conn = conn;
	h->is_server = is_server;
	h->control.goaway_id = UINT64_MAX;
	h->patience = QB_H3_PATIENCE;
	ret = open_own(h, 0);
	if (ret < 0)
		return ret;
	start_control(h);
	/* Without a dynamic table these two have nothing to carry, and may be left out (RFC 9204
	 * §4.2). */
	if (open_own(h, 1) == 0)
		start_qpack(h, 1, QB_H3_STREAM_QPACK_ENCODER);
	if (open_own(h, 2) == 0)
		start_qpack(h, 2, QB_H3_STREAM_QPACK_DECODER);
	*out = h;
	return 0;
}

/* The two low bits of a stream ID: bit 0 is set on a server's streams, bit 1 on unidirectional
 * ones. */
static bool is_peers(const struct qb_h3 *h, uint64_t id)
{
	return (id & 1) != h->is_server;
}

static void on_readable(struct qb_h3 *h, uint64_t id)
{
	if (id & 2) {
		if (is_peers(h, id))
			qb_h3_uni_on_readable(h, id);
	} else if (id & 1) {
		if (is_peers(h, id)) /* RFC 9114 §6.1 */
			(void)qb_h3_fail(h, QB_H3_STREAM_CREATION_ERROR, "server opened a request");
	} else {
		qb_h3_request_on_readable(h, id);
	}
}

static void on_writable(struct qb_h3 *h, uint64_t id)
{
	struct qb_h3_request *r = qb_h3_request_find(h, id);

	for (int i = 0; i < QB_H3_OWN_UNIS; i++) {
		if (h->own[i].id == id)
			qb_h3_out_flush(h->conn, &h->own[i], h->own_out[i]);
	}
	if (r) {
		qb_h3_out_flush(h->conn, &r->out, r->room->out);
		r->is_due |= r->phase == QB_H3_REPLY && r->out.len == 0;
		qb_h3_request_settle(r);
	}
}

static void on_stopped(struct qb_h3 *h, uint64_t id, uint64_t error_code)
{
	struct qb_h3_request *r = qb_h3_request_find(h, id);

	for (int i = 0; i < QB_H3_OWN_UNIS; i++) {
		if (h->own[i].id == id)
			(void)qb_h3_fail(h, QB_H3_CLOSED_CRITICAL_STREAM,
					 "critical stream stopped");
	}
	if (r)
		qb_h3_request_on_stopped(h, r, error_code);
}

void qb_h3_on_quic_event(struct qb_h3 *h, const struct qb_quic_event *ev)
{
	if (h->is_failed)
		return;
	switch (ev->type) {
	case QB_EV_STREAM_READABLE:
		on_readable(h, ev->stream_id);
		break;
	case QB_EV_STREAM_WRITABLE:
		on_writable(h, ev->stream_id);
		break;
	case QB_EV_STREAM_STOPPED:
		on_stopped(h, ev->stream_id, ev->error_code);
		break;
	default:
		break;
	}
}

bool qb_h3_next_event(struct qb_h3 *h, struct qb_h3_event *ev)
{
	if (h->is_failed)
		return false;
	if (qb_h3_unis_poll(h, ev))
		return true;
	for (int i = 0; i < QB_H3_REQUESTS_MAX && !h->is_failed; i++) {
		if (qb_h3_request_poll(h, &h->requests[i], ev))
			return true;
	}
	return false;
}
