/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the owner asks of a session: opening and answering requests, sending capsules, closing; and
 * datagrams, which are all that happens per packet. Declared in h3.h.
 */
#include <errno.h>

#include "h3/state.h"

/* RFC 9297 §2.1: larger values would not be a stream ID after multiplication. */
static const uint64_t quarter_id_max = (UINT64_C(1) << 60) - 1;

static int can_request(const struct qb_h3 *h)
{
	if (h->is_server || h->is_failed)
		return -ENOTCONN;
	if (!h->has_settings && !h->is_resumed)
		return -EAGAIN;
	if (!h->can_connect || !h->can_datagrams)
		return -EOPNOTSUPP;
	return h->is_going_away ? -ESHUTDOWN : 0;
}

static uint32_t open_cnt(const struct qb_h3 *h)
{
	uint32_t cnt = 0;

	for (int i = 0; i < QB_H3_REQUESTS_MAX; i++)
		cnt += h->requests[i].is_told && !h->requests[i].is_plain;
	return cnt;
}

void qb_h3_resume(struct qb_h3 *h)
{
	if (h->is_server || h->has_settings)
		return;
	h->is_resumed = h->can_connect = h->can_datagrams = true;
}

int64_t qb_h3_connect_ip(struct qb_h3 *h, const char *authority, const struct qb_h3_group *group)
{
	uint8_t frame[QB_H3_FIELD_MAX + 224];
	struct qb_wr w = qb_wr_init(frame, sizeof(frame));
	struct qb_h3_request *r;
	int64_t id;
	int ret = can_request(h);

	if (ret < 0)
		return ret;
	if (!qb_h3_is_authority(authority) || (group && group->id > QB_H3_GROUP_ID_MAX))
		return -EINVAL;
	if (open_cnt(h) >= QB_H3_SESSIONS_MAX)
		return -ENOSPC;
	r = qb_h3_request_new(h, 0);
	if (!r)
		return -ENOSPC;
	id = qb_conn_open_stream(h->conn, true);
	if (id < 0) {
		r->phase = QB_H3_FREE;
		return id;
	}
	r->id = r->out.id = (uint64_t)id;
	r->is_told = true;
	(void)qb_conn_stream_priority(h->conn, r->id, QB_H3_URGENCY_SESSION, true);
	qb_h3_build_request(&w, authority, group);
	QB_BUG_ON(w.bad);
	(void)qb_h3_request_put(h, r, frame, (size_t)(w.p - frame));
	return id;
}

int qb_h3_respond(struct qb_h3 *h, uint64_t session, uint16_t status)
{
	struct qb_h3_request *r = qb_h3_request_find(h, session);
	uint8_t frame[192];
	struct qb_wr w = qb_wr_init(frame, sizeof(frame));

	if (h->is_failed || !r || r->phase != QB_H3_OFFERED)
		return -ENOENT;
	if (status != 200 && (status < 300 || status > 599))
		return -EINVAL;
	qb_h3_build_response(&w, status, &r->group);
	QB_BUG_ON(w.bad);
	(void)qb_h3_request_put(h, r, frame, (size_t)(w.p - frame));
	if (status == 200) {
		r->phase = QB_H3_OPEN;
		return 0;
	}
	r->is_told = false;
	qb_h3_request_finish(h, r);
	return 0;
}

static struct qb_h3_request *find_open(struct qb_h3 *h, uint64_t session)
{
	struct qb_h3_request *r = qb_h3_request_find(h, session);

	return r && r->phase == QB_H3_OPEN && !h->is_failed ? r : NULL;
}

/* A capsule that is being built, with room in front for the DATA frame's header. */
enum { FRAME_HEADER_BYTES = 1 + 8 };

struct capsule_frame {
	uint8_t bytes[FRAME_HEADER_BYTES + QB_CAPSULE_BYTES_MAX];
};

static struct qb_wr capsule_begin(struct capsule_frame *f)
{
	return qb_wr_init(f->bytes + FRAME_HEADER_BYTES, QB_CAPSULE_BYTES_MAX);
}

static int capsule_send(struct qb_h3 *h, uint64_t session, struct capsule_frame *f,
			const struct qb_wr *w)
{
	struct qb_h3_request *r = find_open(h, session);
	uint8_t *p = f->bytes + FRAME_HEADER_BYTES;
	size_t len = (size_t)(w->p - p);
	int ret;

	if (!r)
		return -ENOENT;
	if (w->bad || !qb_capsule_check(p, len))
		return -EINVAL;
	p -= qb_varint_len(len);
	(void)qb_varint_write(p, len);
	*--p = QB_H3_FRAME_DATA;
	ret = qb_h3_request_put(h, r, p, (size_t)(w->p - p));
	return ret == -EPIPE ? -ENOENT : ret;
}

int qb_h3_send_addresses(struct qb_h3 *h, uint64_t session, bool is_request,
			 const struct qb_h3_addr *addrs, uint32_t cnt)
{
	struct capsule_frame f;
	struct qb_wr w = capsule_begin(&f);

	if (cnt > QB_H3_ADDRS_MAX)
		return -EINVAL;
	qb_capsule_build_addrs(&w, is_request, addrs, cnt);
	return capsule_send(h, session, &f, &w);
}

int qb_h3_send_routes(struct qb_h3 *h, uint64_t session, const struct qb_h3_route *routes,
		      uint32_t cnt)
{
	struct capsule_frame f;
	struct qb_wr w = capsule_begin(&f);

	if (cnt > QB_H3_ROUTES_MAX)
		return -EINVAL;
	qb_capsule_build_routes(&w, routes, cnt);
	return capsule_send(h, session, &f, &w);
}

static int send_context(struct qb_h3 *h, uint64_t session, enum qb_capsule_type type, uint64_t version, uint64_t context)
{
	struct capsule_frame f;
	struct qb_wr w = capsule_begin(&f);

	if (version > QB_VARINT_MAX || context > QB_VARINT_MAX)
		return -EINVAL;
	qb_capsule_build_context(&w, type, version, context);
	return capsule_send(h, session, &f, &w);
}

int qb_h3_send_bond(struct qb_h3 *h, uint64_t session, uint64_t version, uint64_t context)
{
	return send_context(h, session, QB_CAPSULE_BOND, version, context);
}

int qb_h3_send_fec(struct qb_h3 *h, uint64_t session, uint64_t version, uint64_t context)
{
	return send_context(h, session, QB_CAPSULE_FEC, version, context);
}

int qb_h3_send_link(struct qb_h3 *h, uint64_t session, const struct qb_h3_link *link)
{
	struct capsule_frame f;
	struct qb_wr w = capsule_begin(&f);

	if (link->path_id > QB_VARINT_MAX || link->rate_kbps > QB_VARINT_MAX || link->weight > QB_VARINT_MAX)
		return -EINVAL;
	qb_capsule_build_link(&w, link);
	return capsule_send(h, session, &f, &w);
}

void qb_h3_close_session(struct qb_h3 *h, uint64_t session, uint64_t error_code)
{
	struct qb_h3_request *r = qb_h3_request_find(h, session);

	if (!r || h->is_failed)
		return;
	r->is_told = false; /* whoever closes it knows */
	if (r->phase == QB_H3_ENDED) {
		r->phase = QB_H3_DRAIN;
		qb_h3_request_settle(r);
	} else if (r->phase == QB_H3_OPEN && error_code == QB_H3_NO_ERROR) {
		qb_h3_request_finish(h, r);
	} else if (r->phase != QB_H3_DRAIN) {
		qb_h3_request_abort(
			h, r, error_code == QB_H3_NO_ERROR ? QB_H3_REQUEST_CANCELLED : error_code);
	}
}

/* ---- datagrams ---- */

uint32_t qb_h3_wrap_bytes(uint64_t session, uint64_t context)
{
	return (uint32_t)(qb_varint_len(session / 4) + qb_varint_len(context));
}

void qb_h3_wrap(const struct qb_h3 *h, uint64_t session, uint64_t context, struct qb_buf *b)
{
	uint64_t quarter_id = session / 4;
	size_t quarter_len = qb_varint_len(quarter_id);
	uint8_t *p = qb_buf_push(b, (uint32_t)(quarter_len + qb_varint_len(context)));

	(void)h;
	(void)qb_varint_write(p, quarter_id);
	(void)qb_varint_write(p + quarter_len, context);
}

int qb_h3_unwrap(struct qb_h3 *h, struct qb_buf *b, uint64_t *session, uint64_t *context)
{
	struct qb_rd rd = qb_rd_init(b->data, b->len);
	uint64_t quarter_id = qb_rd_varint(&rd);

	if (h->is_failed)
		return -ENOENT;
	if (rd.bad || quarter_id > quarter_id_max) {
		(void)qb_h3_fail(h, QB_H3_DATAGRAM_ERROR, "datagram without a stream ID");
		return -EBADMSG;
	}
	*session = quarter_id * 4;
	*context = qb_rd_varint(&rd);
	if (rd.bad || !find_open(h, *session))
		return -ENOENT;
	qb_buf_pull(b, (uint32_t)(rd.p - b->data));
	return 0;
}
