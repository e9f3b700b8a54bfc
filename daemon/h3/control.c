/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The peer's unidirectional streams (RFC 9114 §6.2): finding out what each is, the control stream's
 * frames, the QPACK instruction streams. Called by h3.c.
 */
#include "h3/state.h"

/* ---- control frames ---- */

static int on_control_begin(struct qb_h3 *h, const struct qb_h3_piece *piece)
{
	struct qb_h3_control *c = &h->control;

	if (!c->has_frame && piece->type != QB_H3_FRAME_SETTINGS)
		return qb_h3_fail(h, QB_H3_MISSING_SETTINGS, "first frame is not SETTINGS");
	if (!(qb_h3_frame_place(piece->type) & QB_H3_ON_CONTROL))
		return qb_h3_fail(h, QB_H3_FRAME_UNEXPECTED, "frame not for the control stream");
	if (c->has_frame && piece->type == QB_H3_FRAME_SETTINGS)
		return qb_h3_fail(h, QB_H3_FRAME_UNEXPECTED, "second SETTINGS");
	c->has_frame = true;
	c->value_len = 0;
	c->is_cut = piece->len > sizeof(c->value);

	switch (piece->type) {
	case QB_H3_FRAME_SETTINGS:
		if (piece->len > QB_H3_SETTINGS_BYTES_MAX)
			return qb_h3_fail(h, QB_H3_EXCESSIVE_LOAD, "SETTINGS too long");
		return 0;
	case QB_H3_FRAME_MAX_PUSH_ID:
		if (!h->is_server)
			return qb_h3_fail(h, QB_H3_FRAME_UNEXPECTED, "MAX_PUSH_ID from a server");
		break;
	case QB_H3_FRAME_PRIORITY_UPDATE_REQUEST:
	case QB_H3_FRAME_PRIORITY_UPDATE_PUSH:
		if (!h->is_server)
			return qb_h3_fail(h, QB_H3_FRAME_UNEXPECTED,
					  "PRIORITY_UPDATE from a server");
		return 0;
	case QB_H3_FRAME_GOAWAY:
	case QB_H3_FRAME_CANCEL_PUSH:
		break;
	default:
		return 0;
	}
	if (piece->len > sizeof(uint64_t))
		return qb_h3_fail(h, QB_H3_FRAME_ERROR, "control frame too long");
	return 0;
}

static int on_control_body(struct qb_h3 *h, const struct qb_h3_piece *piece)
{
	struct qb_h3_control *c = &h->control;
	size_t n;

	if (piece->type == QB_H3_FRAME_SETTINGS) {
		if (qb_h3_settings_feed(&c->settings, piece->data, (size_t)piece->len) < 0)
			return qb_h3_fail(h, QB_H3_SETTINGS_ERROR, "bad setting");
		return 0;
	}
	n = QB_MIN((size_t)piece->len, sizeof(c->value) - c->value_len);
	memcpy(c->value + c->value_len, piece->data, n);
	c->value_len = (uint8_t)(c->value_len + n);
	return 0;
}

static int on_settings(struct qb_h3 *h, struct qb_h3_event *ev)
{
	const struct qb_h3_settings *s = &h->control.settings.settings;
	struct qb_conn_info info;

	if (!qb_h3_settings_is_whole(&h->control.settings))
		return qb_h3_fail(h, QB_H3_FRAME_ERROR, "SETTINGS cut off");
	qb_conn_get_info(h->conn, &info);
	h->has_settings = true;
	h->can_datagrams = s->has_datagrams && info.max_datagram_bytes > 0;
	h->can_connect = s->has_connect_protocol;
	*ev = (struct qb_h3_event){
		.type = QB_H3_EV_READY,
		.session = QB_H3_NO_SESSION,
		.is_ok = h->can_datagrams && (h->is_server || h->can_connect),
	};
	return 1;
}

/*
 * RFC 9114 §5.2: the IDs of successive GOAWAYs do not grow. A client's requests from the ID on were
 * not looked at; a server hears a push ID, and has none.
 */
static int on_goaway(struct qb_h3 *h, uint64_t id, struct qb_h3_event *ev)
{
	if (id > h->control.goaway_id)
		return qb_h3_fail(h, QB_H3_ID_ERROR, "GOAWAY with a larger ID");
	if (!h->is_server && id % 4 != 0)
		return qb_h3_fail(h, QB_H3_ID_ERROR, "GOAWAY without a request's ID");
	h->control.goaway_id = id;
	h->is_going_away = true;
	for (int i = 0; !h->is_server && i < QB_H3_REQUESTS_MAX; i++) {
		struct qb_h3_request *r = &h->requests[i];

		if (r->phase != QB_H3_FREE && r->id >= id)
			qb_h3_request_abort(h, r, QB_H3_REQUEST_REJECTED);
	}
	*ev = (struct qb_h3_event){.type = QB_H3_EV_GOAWAY, .session = QB_H3_NO_SESSION};
	return 1;
}

static int on_max_push_id(struct qb_h3 *h, uint64_t id)
{
	struct qb_h3_control *c = &h->control;

	if (c->has_max_push_id && id < c->max_push_id)
		return qb_h3_fail(h, QB_H3_ID_ERROR, "MAX_PUSH_ID went down");
	c->has_max_push_id = true;
	c->max_push_id = id;
	return 0;
}

/* on_priority_update: RFC 9218 §7.2. A value too long to be sensible is not read. */
static int on_priority_update(struct qb_h3 *h, uint64_t id, size_t off)
{
	const struct qb_h3_control *c = &h->control;
	struct qb_h3_priority p;

	if (id % 4)
		return qb_h3_fail(h, QB_H3_ID_ERROR, "priority of no request");
	if (c->is_cut)
		return 0;
	qb_h3_priority_parse(c->value + off, c->value_len - off, &p);
	qb_h3_request_update(h, id, &p);
	return 0;
}

static int on_control_end(struct qb_h3 *h, uint64_t type, struct qb_h3_event *ev)
{
	struct qb_h3_control *c = &h->control;
	uint64_t id;
	size_t n;

	if (type == QB_H3_FRAME_SETTINGS)
		return on_settings(h, ev);
	if (qb_h3_frame_place(type) == QB_H3_ANYWHERE)
		return 0;
	n = qb_varint_read(c->value, c->value_len, &id);
	if (n == 0)
		return qb_h3_fail(h, QB_H3_FRAME_ERROR, "control frame cut off");
	if (type == QB_H3_FRAME_PRIORITY_UPDATE_REQUEST)
		return on_priority_update(h, id, n);
	if (type == QB_H3_FRAME_PRIORITY_UPDATE_PUSH)
		return qb_h3_fail(h, QB_H3_ID_ERROR, "priority of a push that was not promised");
	if (n != c->value_len)
		return qb_h3_fail(h, QB_H3_FRAME_ERROR, "control frame too long");
	if (type == QB_H3_FRAME_GOAWAY)
		return on_goaway(h, id, ev);
	if (type == QB_H3_FRAME_MAX_PUSH_ID)
		return on_max_push_id(h, id);
	return qb_h3_fail(h, QB_H3_ID_ERROR, "CANCEL_PUSH without a push"); /* RFC 9114 §7.2.3 */
}

static int on_control_piece(struct qb_h3 *h, const struct qb_h3_piece *piece,
			    struct qb_h3_event *ev)
{
	if (piece->kind == QB_H3_PIECE_BEGIN)
		return on_control_begin(h, piece);
	if (piece->kind == QB_H3_PIECE_BODY)
		return on_control_body(h, piece);
	return on_control_end(h, piece->type, ev);
}

/* ---- streams ---- */

static int fail_closed(struct qb_h3 *h)
{
	return qb_h3_fail(h, QB_H3_CLOSED_CRITICAL_STREAM, "critical stream closed");
}

/* Returns 1 with an event, 0 when there is no more to read, negative when the connection failed. */
static int poll_control(struct qb_h3 *h, struct qb_h3_uni *u, struct qb_h3_event *ev)
{
	struct qb_h3_control *c = &h->control;
	uint64_t code;
	int ret;

	c->in.is_readable |= u->is_readable;
	u->is_readable = false;
	while ((ret = qb_h3_in_fill(h->conn, u->id, &c->in, &code)) > 0) {
		struct qb_rd rd = qb_h3_in_rd(&c->in);
		struct qb_h3_piece piece;

		ret = 0;
		while (ret == 0 && qb_h3_framer_next(&c->framer, &rd, &piece) != QB_H3_PIECE_NONE)
			ret = on_control_piece(h, &piece, ev);
		qb_h3_in_taken(&c->in, &rd);
		if (ret != 0)
			return ret;
	}
	return ret < 0 || c->in.has_fin ? fail_closed(h) : 0;
}

static int poll_qpack(struct qb_h3 *h, struct qb_h3_uni *u)
{
	uint8_t buf[128];
	bool is_fin = false;

	while (u->is_readable) {
		int64_t n = qb_conn_stream_read(h->conn, u->id, buf, sizeof(buf), &is_fin, NULL);

		if (n < 0)
			return fail_closed(h);
		if (n == 0)
			u->is_readable = false;
		if (u->kind == QB_H3_UNI_ENCODER && qb_qpack_on_encoder_bytes(buf, (size_t)n) < 0)
			return qb_h3_fail(h, QB_QPACK_ENCODER_STREAM_ERROR,
					  "dynamic table not allowed");
		if (u->kind == QB_H3_UNI_DECODER &&
		    qb_qpack_on_decoder_bytes(&h->decoder_stream, buf, (size_t)n) < 0)
			return qb_h3_fail(h, QB_QPACK_DECODER_STREAM_ERROR,
					  "acknowledges what was not sent");
		if (is_fin)
			return fail_closed(h);
	}
	return 0;
}

static bool has_uni(const struct qb_h3 *h, enum qb_h3_uni_kind kind)
{
	for (int i = 0; i < QB_H3_UNIS_MAX; i++) {
		if (h->unis[i].kind == kind)
			return true;
	}
	return false;
}

static int set_uni_kind(struct qb_h3 *h, struct qb_h3_uni *u, enum qb_h3_uni_kind kind)
{
	if (has_uni(h, kind))
		return qb_h3_fail(h, QB_H3_STREAM_CREATION_ERROR, "second critical stream");
	u->kind = kind;
	return 0;
}

static int on_uni_type(struct qb_h3 *h, struct qb_h3_uni *u, uint64_t type)
{
	switch (type) {
	case QB_H3_STREAM_CONTROL:
		return set_uni_kind(h, u, QB_H3_UNI_CONTROL);
	case QB_H3_STREAM_QPACK_ENCODER:
		return set_uni_kind(h, u, QB_H3_UNI_ENCODER);
	case QB_H3_STREAM_QPACK_DECODER:
		return set_uni_kind(h, u, QB_H3_UNI_DECODER);
	case QB_H3_STREAM_PUSH:
		/* RFC 9114 §6.2.2; a client that never sent MAX_PUSH_ID allows no push (§4.6). */
		if (h->is_server)
			return qb_h3_fail(h, QB_H3_STREAM_CREATION_ERROR, "push from a client");
		return qb_h3_fail(h, QB_H3_ID_ERROR, "push was not allowed");
	default: /* RFC 9114 §6.2.3: never the connection's fault */
		(void)qb_conn_stream_stop(h->conn, u->id, QB_H3_STREAM_CREATION_ERROR);
		u->kind = QB_H3_UNI_FREE;
		return 0;
	}
}

/* Reads no more than the type. A stream may end before it (RFC 9114 §6.2). */
static int poll_new_uni(struct qb_h3 *h, struct qb_h3_uni *u)
{
	while (u->is_readable && u->kind == QB_H3_UNI_NEW) {
		size_t need = u->type_len ? (size_t)1 << (u->type[0] >> 6) : 1;
		bool is_fin = false;
		uint64_t type;
		int64_t n = qb_conn_stream_read(h->conn, u->id, u->type + u->type_len,
						need - u->type_len, &is_fin, NULL);

		if (n < 0) {
			u->kind = QB_H3_UNI_FREE;
			return 0;
		}
		if (n == 0)
			u->is_readable = false;
		u->type_len = (uint8_t)(u->type_len + n);
		if (qb_varint_read(u->type, u->type_len, &type) > 0) {
			int ret = on_uni_type(h, u, type);

			if (ret < 0)
				return ret;
		}
		if (is_fin && u->kind > QB_H3_UNI_NEW)
			return fail_closed(h);
		if (is_fin)
			u->kind = QB_H3_UNI_FREE;
	}
	return 0;
}

bool qb_h3_unis_poll(struct qb_h3 *h, struct qb_h3_event *ev)
{
	for (int i = 0; i < QB_H3_UNIS_MAX && !h->is_failed; i++) {
		struct qb_h3_uni *u = &h->unis[i];

		if (u->kind == QB_H3_UNI_NEW && poll_new_uni(h, u) < 0)
			return false;
		if (u->kind == QB_H3_UNI_CONTROL) {
			if (poll_control(h, u, ev) > 0)
				return true;
		} else if (u->kind == QB_H3_UNI_ENCODER || u->kind == QB_H3_UNI_DECODER) {
			(void)poll_qpack(h, u);
		}
	}
	return false;
}

void qb_h3_uni_on_readable(struct qb_h3 *h, uint64_t id)
{
	struct qb_h3_uni *free_uni = NULL;
	enum qb_h3_seen seen;

	for (int i = 0; i < QB_H3_UNIS_MAX; i++) {
		struct qb_h3_uni *u = &h->unis[i];

		if (u->kind == QB_H3_UNI_FREE) {
			free_uni = u;
		} else if (u->id == id) {
			u->is_readable = true;
			return;
		}
	}
	seen = qb_h3_window_take(&h->uni_seen, id / 4);
	if (seen == QB_H3_SEEN_BEFORE)
		return;
	if (seen == QB_H3_SEEN_TOO_OLD || !free_uni) {
		(void)qb_conn_stream_stop(h->conn, id, QB_H3_STREAM_CREATION_ERROR);
		return;
	}
	*free_uni = (struct qb_h3_uni){.id = id, .kind = QB_H3_UNI_NEW, .is_readable = true};
}
