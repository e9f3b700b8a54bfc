/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 0-RTT (RFC 9001 §4.6): a client's data in its first flight, under keys and limits of an earlier
 * connection, and the server's answer before the client's Finished. Called by handshake.c,
 * conn_rx.c, conn_tx.c and endpoint.c.
 *
 *     client: resumed ──keys──► on ──accepted──► established (limits can only have grown)
 *                                └──rejected──► all of it is due again, under the server's new
 * limits server: ClientHello with a good ticket ──► on: reads 0-RTT, answers in 1-RTT ──Finished──►
 * established
 */
#include "quic/conn.h"
#include "quic/session.h"

#include <errno.h>

/* ---- both ---- */

static void begin(struct qb_conn *c)
{
	c->early.is_on = true;
	/* Who has a ticket of ours is no stranger. */
	qb_half_open_remove(&c->q->half_opens, &c->half_open);
	c->was_announced = true;
	qb_conn_queue_event(c, QB_EVBIT_EARLY);
}

void qb_early_discard(struct qb_conn *c, uint64_t now_ns)
{
	if (!c->keys.tx[QB_LEVEL_EARLY] && !c->keys.rx[QB_LEVEL_EARLY])
		return;
	qb_keyring_discard(&c->keys, QB_LEVEL_EARLY);
	qb_trace_key(c, QB_TRACE_KEY_DISCARDED, QB_LEVEL_EARLY, !c->is_server, 0, "tls", now_ns);
}

void qb_early_on_complete(struct qb_conn *c, uint64_t now_ns)
{
	struct qb_early *e = &c->early;
	struct qb_counters *cnt = c->q->cfg.counters;

	/* What is acknowledged from here on proves 1-RTT keys (RFC 9001 §4.1.2, §6). */
	c->path[0].tx_phase_pn = c->path[0].space.sent.next_pn;
	e->end_pn = c->is_server ? 0 : c->path[0].space.sent.next_pn;
	if (c->is_server)
		e->forget_ns = now_ns + 3 * qb_conn_max_pto_ns(c);
	else
		qb_early_discard(c, now_ns);
	if (qb_tls_is_resumed(c->tls))
		qb_count(cnt, QB_CNT_RESUMPTIONS);
	if (qb_tls_early(c->tls) == QB_TLS_EARLY_ACCEPTED)
		qb_count(cnt, QB_CNT_EARLY_ACCEPTED);
	if (qb_tls_early(c->tls) == QB_TLS_EARLY_REJECTED)
		qb_count(cnt, QB_CNT_EARLY_REJECTED);
	e->is_on = false;
}

void qb_early_on_timer(struct qb_conn *c, uint64_t now_ns)
{
	if (c->early.forget_ns > now_ns)
		return;
	c->early.forget_ns = QB_NEVER_NS;
	qb_early_discard(c, now_ns);
}

/* ---- server ---- */

int qb_early_set_context(struct qb_conn *c)
{
	const char *app = c->q->cfg.early_context;
	struct qb_tparams tp;
	uint8_t bytes[256];
	struct qb_wr w = qb_wr_init(bytes, sizeof(bytes));

	if (!c->q->cfg.is_early)
		return 0;
	qb_conn_our_params(c->q, &tp);
	qb_session_put_params(&w, &tp);
	if (app)
		qb_wr_bytes(&w, app, strlen(app));
	QB_BUG_ON(w.bad);
	return qb_tls_set_early_context(c->tls, bytes, (size_t)(w.p - bytes));
}

void qb_early_accept(struct qb_conn *c)
{
	if (qb_tls_is_replay(c->tls) && !c->early.is_replay_counted) {
		c->early.is_replay_counted = true;
		qb_count(c->q->cfg.counters, QB_CNT_EARLY_REPLAYED);
	}
	if (c->early.is_on || c->state != QB_CONN_HANDSHAKE || !c->hs.is_params_ok ||
	    qb_tls_early(c->tls) != QB_TLS_EARLY_ACCEPTED)
		return;
	qb_streams_set_peer_params(&c->streams, &c->peer);
	begin(c);
}

bool qb_early_is_awaited(const struct qb_conn *c)
{
	return c->is_server && c->q->cfg.is_early && c->state == QB_CONN_HANDSHAKE &&
	       !c->hs.is_params_ok;
}

bool qb_early_hold(struct qb_quic *q, struct qb_buf *b, uint64_t now_ns)
{
	struct qb_early_held *slot = NULL;
	uint32_t i;

	if (!q->cfg.is_early || !q->cfg.is_server)
		return false;
	for (i = 0; i < QB_EARLY_HELD; i++) {
		struct qb_early_held *h = &q->early_held[i];

		if (!h->b || now_ns - h->at_ns > QB_EARLY_HOLD_NS) {
			slot = h;
			break;
		}
	}
	/* Full: who came first is more likely to be about to go on. */
	if (!slot)
		return false;
	if (slot->b)
		qb_buf_put(q->cfg.pool, slot->b);
	else
		q->early_held_cnt++;
	*slot = (struct qb_early_held){b, now_ns};
	return true;
}

struct qb_buf *qb_early_take_held(struct qb_quic *q, const struct qb_cid *dcid)
{
	uint32_t i;

	for (i = 0; i < QB_EARLY_HELD && q->early_held_cnt; i++) {
		struct qb_buf *b = q->early_held[i].b;
		struct qb_hdr h;

		if (!b || qb_hdr_parse(&h, b->data, b->len, QB_CID_LEN) < 0 ||
		    !qb_cid_is(dcid, h.dcid))
			continue;
		q->early_held[i].b = NULL;
		q->early_held_cnt--;
		return b;
	}
	return NULL;
}

void qb_early_fini(struct qb_quic *q)
{
	uint32_t i;

	for (i = 0; i < QB_EARLY_HELD; i++) {
		if (q->early_held[i].b)
			qb_buf_put(q->cfg.pool, q->early_held[i].b);
		q->early_held[i].b = NULL;
	}
}

/* ---- client ---- */

int qb_early_resume(struct qb_conn *c, const struct qb_session *s)
{
	if (qb_tls_resume(c->tls, s->tls.p, s->tls.len, c->q->cfg.is_early) < 0)
		return -EINVAL;
	c->remembered = s->params;
	if (s->rtt_ns)
		qb_rtt_expect(&c->path[0].rtt, s->rtt_ns);
	return 0;
}

void qb_early_begin(struct qb_conn *c)
{
	if (c->is_server || qb_tls_early(c->tls) != QB_TLS_EARLY_OFFERED || c->early.is_tried)
		return;
	c->keys.tx[QB_LEVEL_EARLY] = qb_tls_take_keys(c->tls, QB_LEVEL_EARLY, true);
	if (!c->keys.tx[QB_LEVEL_EARLY])
		return;
	qb_trace_key(c, QB_TRACE_KEY_UPDATED, QB_LEVEL_EARLY, true, 0, "tls", c->q->now_ns);
	c->early.is_tried = true;
	c->peer = c->remembered;
	qb_mtu_lower_max(&c->path[0].mtu, c->peer.max_udp_payload_bytes);
	qb_streams_set_peer_params(&c->streams, &c->peer);
	begin(c);
}

void qb_early_send_again(struct qb_conn *c)
{
	if (c->early.is_tried)
		qb_loss_abandon(c, &c->path[0], &c->path[0].space);
}

void qb_early_stop(struct qb_conn *c)
{
	qb_early_send_again(c);
	qb_early_discard(c, c->q->now_ns);
}

int qb_early_check_params(struct qb_conn *c, uint64_t now_ns)
{
	const char *what;

	if (!c->early.is_tried)
		return 0;
	if (qb_tls_early(c->tls) == QB_TLS_EARLY_ACCEPTED) {
		what = qb_session_lowered(&c->remembered, &c->peer);
		return what ? qb_conn_fail(c, QB_QUIC_PROTOCOL_VIOLATION, 0, what, now_ns) : 0;
	}
	qb_early_stop(c);
	c->early.is_on = false;
	/* Everything is sent again as if for the first time, if it may be. */
	if (qb_streams_replace_peer_params(&c->streams, &c->peer) < 0)
		return qb_conn_fail(c, QB_QUIC_INTERNAL_ERROR, 0,
				    "0-RTT rejected, and limits are lower now", now_ns);
	return 0;
}

size_t qb_conn_take_session(struct qb_conn *c, uint8_t out[QB_SESSION_MAX])
{
	uint8_t tls[QB_TLS_SESSION_MAX];
	struct qb_session s = {.version = c->version, .params = c->peer};
	const struct qb_rtt *rtt = &c->path[0].rtt;
	size_t len;

	if (c->is_server || c->state != QB_CONN_ESTABLISHED)
		return 0;
	if (c->path[0].phase != QB_PATH_UNUSED && qb_rtt_has_sample(rtt))
		s.rtt_ns = rtt->smoothed_ns;
	s.tls = (struct qb_bytes){tls, qb_tls_take_session(c->tls, tls)};
	len = s.tls.len ? qb_session_build(&s, out) : 0;
	explicit_bzero(tls, sizeof(tls));
	return len;
}
