/* SPDX-License-Identifier: BSD-2-Clause */
/* How a connection ends (RFC 9000 §10): closing, draining, timeouts, stateless reset. */
#include "quic/conn.h"

#include <errno.h>

static void set_reason(struct qb_close *cl, const char *text, size_t len)
{
	size_t i;

	len = QB_MIN(len, sizeof(cl->reason) - 1);
	for (i = 0; i < len; i++)
		cl->reason[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	cl->reason[len] = '\0';
}

static void note_failure(struct qb_conn *c, bool is_silent)
{
	struct qb_failure_ring *r = &c->q->failures;
	struct qb_quic_failure *f;

	if (r->cnt == QB_FAILURES) {
		r->head = (r->head + 1) % QB_FAILURES;
		r->cnt--;
	}
	f = &r->slot[(r->head + r->cnt++) % QB_FAILURES];
	*f = (struct qb_quic_failure){
		.error_code = c->close.error_code,
		.is_app = c->close.is_app,
		.is_by_peer = c->close.is_by_peer,
		.is_silent = is_silent,
		.is_handshake = c->state == QB_CONN_HANDSHAKE,
		.odcid = c->hs.odcid,
		.peer = c->path[0].tuple.peer,
	};
	f->has_key = c->tls && qb_tls_peer_key(c->tls, f->peer_key);
	memcpy(f->reason, c->close.reason, sizeof(f->reason));
}

bool qb_quic_next_failure(struct qb_quic *q, struct qb_quic_failure *out)
{
	struct qb_failure_ring *r = &q->failures;

	if (!r->cnt)
		return false;
	*out = r->slot[r->head];
	r->head = (r->head + 1) % QB_FAILURES;
	r->cnt--;
	return true;
}

/* end moves an open connection to its last states; what it holds for sending data is given back. */
static void end(struct qb_conn *c, enum qb_conn_state state, uint64_t now_ns)
{
	struct qb_counters *cnt = c->q->cfg.counters;

	note_failure(c, state == QB_CONN_DEAD);
	qb_count(cnt, c->state == QB_CONN_HANDSHAKE ? QB_CNT_HANDSHAKES_FAILED : QB_CNT_CONNS_CLOSED);
	c->state = state;
	c->close.until_ns = state == QB_CONN_DEAD ? now_ns : now_ns + 3 * qb_conn_max_pto_ns(c);
	c->close.rx_next = 1;
	qb_trace_closed(c, state == QB_CONN_DEAD, now_ns);
	/* A server that never spoke of a connection has nothing to take back. */
	if (c->was_announced || !c->is_server)
		qb_conn_queue_event(c, QB_EVBIT_CLOSED);
	qb_conn_touch(c);
}

int qb_conn_fail(struct qb_conn *c, uint64_t error_code, uint64_t frame_type, const char *why,
		 uint64_t now_ns)
{
	if (!qb_conn_is_open(c))
		return -EPROTO;
	c->close.error_code = error_code;
	c->close.frame_type = frame_type;
	c->close.is_due = true;
	set_reason(&c->close, why, strlen(why));
	end(c, QB_CONN_CLOSING, now_ns);
	return -EPROTO;
}

void qb_close_by_app(struct qb_conn *c, uint64_t error_code, const char *why, uint64_t now_ns)
{
	if (!qb_conn_is_open(c))
		return;
	c->close.is_app = true;
	qb_conn_fail(c, error_code, 0, why ? why : "", now_ns);
}

void qb_close_on_peer(struct qb_conn *c, const struct qb_frame *f, uint64_t now_ns)
{
	if (c->state == QB_CONN_CLOSING)
		c->state = QB_CONN_DRAINING;
	if (!qb_conn_is_open(c))
		return;
	c->close.error_code = f->close.error_code;
	c->close.is_app = f->type == QB_FRAME_CONNECTION_CLOSE_APP;
	c->close.is_by_peer = true;
	set_reason(&c->close, (const char *)f->close.reason.p, f->close.reason.len);
	end(c, QB_CONN_DRAINING, now_ns);
}

void qb_close_silently(struct qb_conn *c, uint64_t error_code, const char *why, uint64_t now_ns)
{
	if (!qb_conn_is_open(c))
		return;
	c->close.error_code = error_code;
	set_reason(&c->close, why, strlen(why));
	end(c, QB_CONN_DEAD, now_ns);
}

bool qb_conn_on_stateless_reset(struct qb_conn *c, const struct qb_tuple *tuple, uint64_t now_ns)
{
	uint32_t i;

	if (!qb_conn_is_open(c))
		return false;
	for (i = 0; i < c->path_cnt; i++) {
		const struct qb_path *p = &c->path[i];

		if (p->phase == QB_PATH_UNUSED || !qb_addr_eq(&p->tuple.peer, &tuple->peer))
			continue;
		qb_count(c->q->cfg.counters, QB_CNT_CONNS_RESET);
		qb_trace_reset(c, now_ns);
		c->close.is_by_peer = true;
		c->close.error_code = QB_QUIC_NO_ERROR;
		set_reason(&c->close, "stateless reset", strlen("stateless reset"));
		end(c, QB_CONN_DRAINING, now_ns);
		return true;
	}
	return false;
}

struct qb_path *qb_conn_close_path_of(struct qb_conn *c)
{
	struct qb_path *found = NULL;
	uint32_t i;

	for (i = 0; i < c->path_cnt; i++) {
		struct qb_path *p = &c->path[i];

		if (p->phase != QB_PATH_VALIDATING && p->phase != QB_PATH_OPEN)
			continue;
		if (!found || (qb_path_is_usable(p) && !qb_path_is_usable(found)) ||
		    (qb_path_is_usable(p) && p->rtt.smoothed_ns < found->rtt.smoothed_ns))
			found = p;
	}
	return found;
}

void qb_close_on_packet(struct qb_conn *c)
{
	struct qb_close *cl = &c->close;

	qb_count(c->q->cfg.counters, QB_CNT_DROP_DRAINING);
	if (c->state != QB_CONN_CLOSING)
		return;
	/* RFC 9000 §10.2.1: ever fewer answers to ever more packets. */
	if (++cl->rx_cnt < cl->rx_next)
		return;
	cl->rx_next *= 2;
	cl->is_due = true;
	qb_conn_touch(c);
}
