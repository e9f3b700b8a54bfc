/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the peer sends on request streams: a request (server) or a response (client), then capsules
 * in DATA frames. Called by h3.c for events of QUIC's and from its round.
 *
 *     server: HEADERS ──► HELD ──► OFFERED ──respond 200──► OPEN ──► ENDED ──► DRAIN ──► FREE
 *                └── refused ────────┴── respond else ────────────────────────►┘
 *     client: HEADERS ──2xx──► OPEN ──► ENDED ──► DRAIN ──► FREE
 *
 * and plain ones, which plain.c looks after from their header on:
 *
 *     server: HEADERS ──► ASKED ──qb_h3_reply──► REPLY ──► DRAIN ──► FREE
 *     client: HEADERS ──► BODY ──► DRAIN ──► FREE
 */
#include <errno.h>

#include "h3/state.h"

struct qb_h3_request *qb_h3_request_find(struct qb_h3 *h, uint64_t id)
{
	for (int i = 0; i < QB_H3_REQUESTS_MAX; i++) {
		struct qb_h3_request *r = &h->requests[i];

		if (r->phase != QB_H3_FREE && r->id == id)
			return r;
	}
	return NULL;
}

struct qb_h3_request *qb_h3_request_new(struct qb_h3 *h, uint64_t id)
{
	for (int i = 0; i < QB_H3_REQUESTS_MAX; i++) {
		struct qb_h3_request *r = &h->requests[i];

		if (r->phase != QB_H3_FREE)
			continue;
		*r = (struct qb_h3_request){
			.id = id,
			.phase = QB_H3_HEADERS,
			.out.id = id,
			.room = &h->rooms[i],
		};
		r->room->in.off = r->room->in.len = 0;
		r->room->in.is_readable = r->room->in.has_fin = false;
		return r;
	}
	return NULL;
}

int qb_h3_request_put(struct qb_h3 *h, struct qb_h3_request *r, const uint8_t *data, size_t len)
{
	return qb_h3_out_put(h->conn, &r->out, r->room->out, sizeof(r->room->out), data, len);
}

/* ---- ends ---- */

void qb_h3_request_settle(struct qb_h3_request *r)
{
	if (r->phase == QB_H3_DRAIN && r->out.is_done)
		r->phase = QB_H3_FREE;
}

/* end leaves the stream to its output buffer, after a word to the owner if the session is known
 * there. */
static void end(struct qb_h3_request *r, uint64_t error_code)
{
	if (r->phase == QB_H3_ENDED)
		return;
	r->phase = r->is_told ? QB_H3_ENDED : QB_H3_DRAIN;
	r->is_told = false;
	r->error_code = error_code;
	qb_h3_request_settle(r);
}

static void stop_reading(struct qb_h3 *h, struct qb_h3_request *r, uint64_t error_code)
{
	if (!r->room->in.has_fin)
		(void)qb_conn_stream_stop(h->conn, r->id, error_code);
}

void qb_h3_request_abort(struct qb_h3 *h, struct qb_h3_request *r, uint64_t error_code)
{
	qb_h3_out_reset(h->conn, &r->out, error_code);
	stop_reading(h, r, error_code);
	end(r, error_code);
}

void qb_h3_request_finish(struct qb_h3 *h, struct qb_h3_request *r)
{
	h->patience = (uint8_t)QB_MIN(h->patience + QB_H3_PATIENCE_EARNED, (int)QB_H3_PATIENCE);
	qb_h3_out_fin(h->conn, &r->out, r->room->out);
	stop_reading(h, r, QB_H3_NO_ERROR);
	end(r, QB_H3_NO_ERROR);
}

/* refuse answers without a body and without asking the owner. */
static void refuse(struct qb_h3 *h, struct qb_h3_request *r, uint16_t status)
{
	uint8_t frame[128];
	struct qb_wr w = qb_wr_init(frame, sizeof(frame));

	qb_h3_build_response(&w, status, NULL);
	(void)qb_h3_request_put(h, r, frame, (size_t)(w.p - frame));
	qb_h3_request_finish(h, r);
}

/*
 * on_given_up: requests cost the server more than the client that makes them in order to take them back; who does little else
 * is taking us for a ride (RFC 9114 §10.5).
 */
static int on_given_up(struct qb_h3 *h)
{
	if (!h->is_server)
		return 0;
	if (!h->patience)
		return qb_h3_fail(h, QB_H3_EXCESSIVE_LOAD, "too many requests given up");
	h->patience--;
	return 0;
}

static void on_reset(struct qb_h3 *h, struct qb_h3_request *r, uint64_t error_code)
{
	if (on_given_up(h))
		return;
	qb_h3_out_reset(h->conn, &r->out, QB_H3_REQUEST_CANCELLED);
	end(r, error_code);
}

static void on_plain_fin(struct qb_h3 *h, struct qb_h3_request *r)
{
	if (r->phase != QB_H3_BODY)
		return;
	if (r->body_left != 0 && r->body_left != QB_H3_LEN_UNKNOWN) {
		/* Shorter than announced: malformed (RFC 9114 §4.1.2). */
		qb_h3_request_abort(h, r, QB_H3_MESSAGE_ERROR);
		return;
	}
	r->is_told = false;
	qb_h3_request_finish(h, r);
}

static void on_fin(struct qb_h3 *h, struct qb_h3_request *r)
{
	if (!qb_h3_framer_is_idle(&r->framer))
		(void)qb_h3_fail(h, QB_H3_FRAME_ERROR, "frame cut off by the end of its stream");
	else if (r->phase == QB_H3_HEADERS)
		qb_h3_request_abort(h, r,
				    h->is_server ? QB_H3_REQUEST_INCOMPLETE : QB_H3_MESSAGE_ERROR);
	else if (r->is_plain)
		on_plain_fin(h, r);
	else if (!qb_capsule_is_idle(&r->capsule)) /* RFC 9297 §3.3 */
		qb_h3_request_abort(h, r, QB_H3_MESSAGE_ERROR);
	else
		qb_h3_request_finish(h, r);
}

void qb_h3_request_on_stopped(struct qb_h3 *h, struct qb_h3_request *r, uint64_t error_code)
{
	qb_h3_out_reset(h->conn, &r->out, error_code);
	/*
	 * A server that wants no more of a request may still have answered it (RFC 9114 §4.1), and
	 * whoever ends a session in order sends FIN as well: read on until there it is.
	 */
	if ((r->phase == QB_H3_HEADERS && !h->is_server) || r->phase == QB_H3_BODY ||
	    (r->phase == QB_H3_OPEN && error_code == QB_H3_NO_ERROR))
		return;
	if (r->phase == QB_H3_DRAIN) {
		qb_h3_request_settle(r);
		return;
	}
	if (!on_given_up(h))
		qb_h3_request_abort(h, r, error_code);
}

/* ---- messages ---- */

static uint32_t session_cnt(const struct qb_h3 *h)
{
	uint32_t cnt = 0;

	for (int i = 0; i < QB_H3_REQUESTS_MAX; i++) {
		enum qb_h3_phase phase = h->requests[i].phase;

		cnt += phase == QB_H3_HELD || phase == QB_H3_OFFERED || phase == QB_H3_OPEN;
	}
	return cnt;
}

/* ---- priorities ---- */

static struct qb_h3_update *find_update(struct qb_h3 *h, uint64_t id)
{
	for (int i = 0; i < QB_H3_UPDATES_MAX; i++) {
		if (h->updates[i].priority.is_given && h->updates[i].id == id)
			return &h->updates[i];
	}
	return NULL;
}

void qb_h3_request_update(struct qb_h3 *h, uint64_t id, const struct qb_h3_priority *p)
{
	const struct qb_h3_request *r = qb_h3_request_find(h, id);
	struct qb_h3_update *u = find_update(h, id);

	if (r && r->is_plain) {
		(void)qb_conn_stream_priority(h->conn, id, p->urgency, p->is_incremental);
		return;
	}
	if (!u) {
		u = &h->updates[h->updates_next];
		h->updates_next = (uint8_t)((h->updates_next + 1) % QB_H3_UPDATES_MAX);
	}
	*u = (struct qb_h3_update){.id = id, .priority = *p};
}

/* set_priority: an update says more than the header, whichever came first. */
static void set_priority(struct qb_h3 *h, const struct qb_h3_request *r, const struct qb_h3_message *m)
{
	struct qb_h3_update *u = find_update(h, r->id);
	struct qb_h3_priority p = u ? u->priority : m->priority;

	if (u)
		u->priority.is_given = false;
	if (!r->is_plain)
		p = (struct qb_h3_priority){.urgency = QB_H3_URGENCY_SESSION, .is_incremental = true};
	(void)qb_conn_stream_priority(h->conn, r->id, p.urgency, p.is_incremental);
}

static void on_request(struct qb_h3 *h, struct qb_h3_request *r, const struct qb_h3_message *m)
{
	uint16_t status = qb_h3_request_verdict(m);

	if (h->is_serving && (m->is_get || m->is_head) && !m->is_too_long) {
		qb_h3_plain_on_request(r, m);
		set_priority(h, r, m);
		return;
	}
	if (status != 200) {
		refuse(h, r, status);
		return;
	}
	if (session_cnt(h) >= QB_H3_SESSIONS_MAX) {
		qb_h3_request_abort(h, r, QB_H3_REQUEST_REJECTED);
		return;
	}
	/* The section was read: its room is free. */
	memcpy(r->room->request.authority, m->authority, sizeof(m->authority));
	memcpy(r->room->request.path, m->path, sizeof(m->path));
	r->group = m->group;
	r->phase = QB_H3_HELD;
	set_priority(h, r, m);
}

static int on_response(struct qb_h3 *h, struct qb_h3_request *r, const struct qb_h3_message *m,
		       struct qb_h3_event *ev)
{
	if (m->status / 100 == 1)
		return 0; /* the final one is still to come */
	if (r->is_plain)
		return qb_h3_plain_on_response(r, m, ev);
	*ev = (struct qb_h3_event){
		.type = QB_H3_EV_RESPONSE,
		.session = r->id,
		.is_ok = m->status / 100 == 2,
		.status = m->status,
		.group = m->group,
	};
	if (ev->is_ok && !r->out.is_done) {
		r->phase = QB_H3_OPEN;
		return 1;
	}
	r->is_told = ev->is_ok; /* a success whose stream was stopped meanwhile: over at once */
	qb_h3_request_abort(h, r, QB_H3_REQUEST_CANCELLED);
	return 1;
}

static enum qb_h3_kind section_kind(const struct qb_h3 *h, const struct qb_h3_request *r)
{
	if (r->phase != QB_H3_HEADERS)
		return QB_H3_TRAILERS;
	if (h->is_server)
		return QB_H3_REQUEST;
	return r->is_plain ? QB_H3_RESPONSE : QB_H3_TUNNEL_RESPONSE;
}

static int on_section(struct qb_h3 *h, struct qb_h3_request *r, struct qb_h3_event *ev)
{
	enum qb_h3_kind kind = section_kind(h, r);
	struct qb_h3_message m;

	switch (qb_h3_message_parse(r->room->section, r->section_len, kind, &m)) {
	case 0:
		if (kind == QB_H3_TRAILERS)
			return 0;
		if (!h->is_server)
			return on_response(h, r, &m, ev);
		on_request(h, r, &m);
		return 0;
	case -EPROTO:
		return qb_h3_fail(h, QB_QPACK_DECOMPRESSION_FAILED, "bad field section");
	case -E2BIG:
		if (h->is_server)
			refuse(h, r, 431);
		else
			qb_h3_request_abort(h, r, QB_H3_REQUEST_CANCELLED);
		return 0;
	default:
		qb_h3_request_abort(h, r, QB_H3_MESSAGE_ERROR);
		return 0;
	}
}

/* ---- frames ---- */

static int on_begin(struct qb_h3 *h, struct qb_h3_request *r, const struct qb_h3_piece *piece)
{
	if (!(qb_h3_frame_place(piece->type) & QB_H3_ON_REQUEST))
		return qb_h3_fail(h, QB_H3_FRAME_UNEXPECTED, "frame not for a request stream");
	if (piece->type == QB_H3_FRAME_PUSH_PROMISE)
		return h->is_server ? qb_h3_fail(h, QB_H3_FRAME_UNEXPECTED, "push from a client")
				    : qb_h3_fail(h, QB_H3_ID_ERROR, "push was not allowed");
	if (piece->type == QB_H3_FRAME_DATA && (r->phase == QB_H3_HEADERS || r->has_trailers))
		return qb_h3_fail(h, QB_H3_FRAME_UNEXPECTED, "DATA outside a message");
	if (piece->type != QB_H3_FRAME_HEADERS)
		return 0;
	if (r->phase == QB_H3_OPEN) /* RFC 9114 §4.4: after CONNECT only DATA */
		return qb_h3_fail(h, QB_H3_FRAME_UNEXPECTED, "HEADERS inside a session");
	if (r->has_trailers)
		return qb_h3_fail(h, QB_H3_FRAME_UNEXPECTED, "HEADERS after trailers");
	r->has_trailers = r->phase != QB_H3_HEADERS;
	r->section_len = 0;
	if (piece->len <= sizeof(r->room->section))
		return 0;
	if (h->is_server)
		refuse(h, r, 431);
	else
		qb_h3_request_abort(h, r, QB_H3_REQUEST_CANCELLED);
	return 0;
}

static void fill_capsule_event(const struct qb_h3_request *r, struct qb_h3_event *ev)
{
	const struct qb_capsule_parser *p = &r->capsule;
	uint32_t cnt = qb_capsule_kept_cnt(p);

	*ev = (struct qb_h3_event){.session = r->id, .is_ok = cnt == p->entry_cnt};
	if (p->type == QB_CAPSULE_BOND || p->type == QB_CAPSULE_FEC) {
		ev->type = p->type == QB_CAPSULE_BOND ? QB_H3_EV_BOND : QB_H3_EV_FEC;
		ev->bond_version = p->numbers[0];
		ev->bond_context = p->numbers[1];
	} else if (p->type == QB_CAPSULE_LINK) {
		ev->type = QB_H3_EV_LINK;
		ev->link = (struct qb_h3_link){p->numbers[0], p->numbers[1], p->numbers[2], r->room->capsules.name,
					       p->numbers[3] & QB_CAPSULE_LINK_METERED};
	} else if (p->type == QB_CAPSULE_ROUTE_ADVERTISEMENT) {
		ev->type = QB_H3_EV_ROUTES;
		ev->routes = r->room->capsules.routes;
		ev->route_cnt = cnt;
	} else {
		ev->type = p->type == QB_CAPSULE_ADDRESS_ASSIGN ? QB_H3_EV_ADDRESS_ASSIGN
								: QB_H3_EV_ADDRESS_REQUEST;
		ev->addrs = r->room->capsules.addrs;
		ev->addr_cnt = cnt;
	}
}

static int on_data(struct qb_h3 *h, struct qb_h3_request *r, const struct qb_h3_piece *piece,
		   struct qb_rd *in, struct qb_h3_event *ev)
{
	struct qb_rd data = qb_rd_init(piece->data, (size_t)piece->len);
	int ret;

	if (r->is_plain) {
		if (qb_h3_plain_on_data(r, piece->len) < 0)
			qb_h3_request_abort(h, r, QB_H3_MESSAGE_ERROR);
		return 0;
	}
	ret = qb_capsule_feed(&r->capsule, &r->room->capsules, &data);

	if (ret < 0)
		qb_h3_request_abort(h, r, QB_H3_MESSAGE_ERROR);
	if (ret <= 0)
		return 0;
	qb_h3_framer_unread(&r->framer, in, qb_rd_left(&data));
	fill_capsule_event(r, ev);
	return 1;
}

static int on_piece(struct qb_h3 *h, struct qb_h3_request *r, const struct qb_h3_piece *piece,
		    struct qb_rd *in, struct qb_h3_event *ev)
{
	if (piece->kind == QB_H3_PIECE_BEGIN)
		return on_begin(h, r, piece);
	if (piece->type == QB_H3_FRAME_HEADERS) {
		if (piece->kind == QB_H3_PIECE_END)
			return on_section(h, r, ev);
		memcpy(r->room->section + r->section_len, piece->data, (size_t)piece->len);
		r->section_len = (uint16_t)(r->section_len + piece->len);
	} else if (piece->type == QB_H3_FRAME_DATA && piece->kind == QB_H3_PIECE_BODY) {
		return on_data(h, r, piece, in, ev);
	}
	return 0;
}

void qb_h3_request_on_end(struct qb_h3 *h, struct qb_h3_request *r, int ret, uint64_t error_code)
{
	if (ret < 0)
		on_reset(h, r, error_code);
	else
		on_fin(h, r);
	r->has_end = true;
}

/* ---- the round ---- */

/* is_reading: what comes is looked at here. (A body is read by qb_h3_read_body.) */
static bool is_reading(const struct qb_h3_request *r)
{
	return r->phase == QB_H3_HEADERS || r->phase == QB_H3_OPEN || r->phase == QB_H3_ASKED ||
	       r->phase == QB_H3_REPLY;
}

int qb_h3_request_piece(struct qb_h3 *h, struct qb_h3_request *r, struct qb_h3_event *ev)
{
	struct qb_h3_in *in = &r->room->in;
	struct qb_rd rd = qb_h3_in_rd(in);
	struct qb_h3_piece piece;
	int ret = -EAGAIN;

	if (qb_h3_framer_next(&r->framer, &rd, &piece) != QB_H3_PIECE_NONE)
		ret = on_piece(h, r, &piece, &rd, ev);
	qb_h3_in_taken(in, &rd);
	return ret;
}

/* Takes pieces until one tells something (1), the connection fails (< 0), or the bytes are used up
 * (0). */
static int take_pieces(struct qb_h3 *h, struct qb_h3_request *r, struct qb_h3_event *ev)
{
	int ret = 0;

	while (ret == 0 && is_reading(r))
		ret = qb_h3_request_piece(h, r, ev);
	return ret == -EAGAIN ? 0 : ret;
}

/* Returns 1 with an event, 0 when there is more to do, -EAGAIN when there is not, else: failed. */
static int read_on(struct qb_h3 *h, struct qb_h3_request *r, struct qb_h3_event *ev)
{
	uint64_t error_code;
	int ret = take_pieces(h, r, ev);

	if (ret != 0 || !is_reading(r))
		return ret;
	ret = qb_h3_in_fill(h->conn, r->id, &r->room->in, &error_code);
	if (ret > 0)
		return 0;
	if (ret == 0 && (!r->room->in.has_fin || r->has_end))
		return -EAGAIN;
	qb_h3_request_on_end(h, r, ret, error_code);
	return h->is_failed ? -EPROTO : 0;
}

/* A request is offered once the peer's SETTINGS are here: without datagrams there is no tunnel. */
static int offer(struct qb_h3 *h, struct qb_h3_request *r, struct qb_h3_event *ev)
{
	if (!h->has_settings)
		return -EAGAIN;
	if (!h->can_datagrams) {
		refuse(h, r, 400);
		return 0;
	}
	*ev = (struct qb_h3_event){
		.type = QB_H3_EV_REQUEST,
		.session = r->id,
		.is_ok = true,
	};
	memcpy(ev->authority, r->room->request.authority, sizeof(ev->authority));
	memcpy(ev->path, r->room->request.path, sizeof(ev->path));
	ev->group = r->group;
	r->phase = QB_H3_OFFERED;
	r->is_told = true;
	return 1;
}

/* What a client sends after its request is read away, so that its stream ends in order. */
static int plain_step(struct qb_h3 *h, struct qb_h3_request *r, struct qb_h3_event *ev)
{
	if (qb_h3_plain_tell(r, ev) > 0)
		return 1;
	return is_reading(r) ? read_on(h, r, ev) : -EAGAIN;
}

static int step(struct qb_h3 *h, struct qb_h3_request *r, struct qb_h3_event *ev)
{
	switch (r->phase) {
	case QB_H3_HEADERS:
	case QB_H3_OPEN:
		return read_on(h, r, ev);
	case QB_H3_HELD:
		return offer(h, r, ev);
	case QB_H3_ASKED:
	case QB_H3_REPLY:
	case QB_H3_BODY:
		return plain_step(h, r, ev);
	case QB_H3_ENDED:
		*ev = (struct qb_h3_event){
			.type = QB_H3_EV_CLOSED,
			.session = r->id,
			.error_code = r->error_code,
		};
		r->phase = QB_H3_DRAIN;
		qb_h3_request_settle(r);
		return 1;
	case QB_H3_DRAIN:
		qb_h3_request_settle(r);
		return -EAGAIN;
	default:
		return -EAGAIN;
	}
}

bool qb_h3_request_poll(struct qb_h3 *h, struct qb_h3_request *r, struct qb_h3_event *ev)
{
	int ret;

	do
		ret = step(h, r, ev);
	while (ret == 0);
	return ret > 0;
}

void qb_h3_request_on_readable(struct qb_h3 *h, uint64_t id)
{
	struct qb_h3_request *r = qb_h3_request_find(h, id);
	enum qb_h3_seen seen;

	if (r) {
		r->room->in.is_readable = true;
		r->is_due |= r->phase == QB_H3_BODY;
		return;
	}
	if (!h->is_server)
		return;
	seen = qb_h3_window_take(&h->bidi_seen, id / 4);
	if (seen == QB_H3_SEEN_BEFORE)
		return; /* done with, but for QUIC's last words */
	r = seen == QB_H3_SEEN_NEW ? qb_h3_request_new(h, id) : NULL;
	if (!r) {
		(void)qb_conn_stream_reset(h->conn, id, QB_H3_REQUEST_REJECTED);
		(void)qb_conn_stream_stop(h->conn, id, QB_H3_REQUEST_REJECTED);
		return;
	}
	r->room->in.is_readable = true;
}
