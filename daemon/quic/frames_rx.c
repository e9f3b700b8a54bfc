/* SPDX-License-Identifier: BSD-2-Clause */
/* What each received frame does: one handler a type, in one table. Called by conn_rx.c with an
 * opened packet. */
#include "quic/conn.h"

#include <errno.h>

enum {
	/* What they make us keep or tell the application weighs more than a glance. */
	RESET_COST = 8,
	TOKEN_COST = 8,
	TINY_CREDIT = 64, /* bytes: a limit that grows by less is hardly worth its frame */
};

/*
 * Frames that change nothing (RFC 9000 §21.9): a peer may send so many at once, and so many a
 * second; each packet with something of use pays for one.
 */
static const struct qb_budget_rule frame_rule = {.burst = 10000, .per_sec = 330};

void qb_frames_init(struct qb_conn *c, uint64_t now_ns)
{
	qb_budget_init(&c->frame_budget, &frame_rule, now_ns);
}

typedef int frame_handler(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
			  struct qb_fault *fault);

static int on_nothing(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
		      struct qb_fault *fault)
{
	(void)c;
	(void)rx;
	(void)f;
	(void)fault;
	return 0;
}

static int on_ping(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
		   struct qb_fault *fault)
{
	(void)rx;
	(void)f;
	(void)fault;
	qb_conn_on_idle_frame(c, 1);
	return 0;
}

/* take_ack: an acknowledgement is of use if something in it is; a packet has no use for more of them than there are paths. */
static int take_ack(struct qb_conn *c, struct qb_rx_pkt *rx, struct qb_path *p,
		    const struct qb_frame_ack *ack)
{
	uint64_t before = p->total.acked_packets;
	int rc;

	if (rx->ack_cnt++ >= QB_PATH_IDS)
		qb_conn_on_idle_frame(c, 1);
	rc = qb_ack_on_frame(c, p, rx, ack);

	rx->is_useful |= p->total.acked_packets != before;
	return rc;
}

static int on_ack(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
		  struct qb_fault *fault)
{
	/* In 1-RTT packets a plain ACK is about path 0, whatever path carried it (RFC 10069 §4.1).
	 */
	const struct qb_path_id *pid = &c->mp.pid[0];

	(void)fault;
	if (rx->level != QB_LEVEL_APP)
		return take_ack(c, rx, &c->path[0], &f->ack);
	pid = qb_multipath_find(c, 0);
	if (!pid || !pid->has_path)
		return 0;
	return take_ack(c, rx, &c->path[pid->path], &f->ack);
}

static int on_path_ack(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
		       struct qb_fault *fault)
{
	const struct qb_path_id *pid;

	if (f->ack.path_id > c->mp.local_max)
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION, "path ID above the limit");
	pid = qb_multipath_find(c, f->ack.path_id);
	if (!pid)
		return 0; /* forgotten */
	if (!pid->has_path)
		return pid->state == QB_PID_SPARE
			       ? qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION,
					      "acknowledgement for an unused path")
			       : 0;
	return take_ack(c, rx, &c->path[pid->path], &f->ack);
}

static int on_crypto(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
		     struct qb_fault *fault)
{
	int rc;

	c->hs.is_version_fixed = true;
	rc = qb_crypto_on_frame(&c->crypto[rx->level], c->tls, rx->level, f->crypto.off,
				f->crypto.data, fault);

	if (rc == 0)
		qb_conn_on_idle_frame(c, 1);
	if (rc == 1) {
		rx->is_useful = true;
		qb_handshake_advance(c, rx->now_ns);
		return qb_conn_is_open(c) ? 0 : -EPROTO;
	}
	return rc;
}

/* is_limit_idle, asked before the frame is taken: it brings nothing, or next to nothing. */
static bool is_limit_idle(const struct qb_conn *c, const struct qb_frame *f)
{
	const struct qb_streams *s = &c->streams;

	switch (f->type) {
	case QB_FRAME_MAX_DATA:
		return f->limit.max < s->tx_max + TINY_CREDIT;
	case QB_FRAME_MAX_STREAM_DATA:
		return f->limit.max < qb_streams_tx_limit(s, f->limit.stream_id) + TINY_CREDIT;
	case QB_FRAME_MAX_STREAMS_BIDI:
		return f->limit.max <= s->own[0].max;
	case QB_FRAME_MAX_STREAMS_UNI:
		return f->limit.max <= s->own[1].max;
	default: /* *_BLOCKED: credit does not wait for them (RFC 9000 §4.1) */
		return true;
	}
}

static int on_limit(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
		    struct qb_fault *fault)
{
	if (is_limit_idle(c, f))
		qb_conn_on_idle_frame(c, 1);
	else
		rx->is_useful = true;
	return qb_streams_on_frame(&c->streams, f, fault);
}

static int on_stream(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
		     struct qb_fault *fault)
{
	if (f->stream.data.len || f->stream.is_fin)
		rx->is_useful = true;
	else
		qb_conn_on_idle_frame(c, 1);
	return qb_streams_on_frame(&c->streams, f, fault);
}

/*
 * on_reset: RESET_STREAM, STOP_SENDING. Streams that are opened to be reset cost us both, the peer nothing; one of ours that it does
 * not want is our own doing.
 */
static int on_reset(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
		    struct qb_fault *fault)
{
	uint64_t id = f->type == QB_FRAME_STOP_SENDING ? f->stop_sending.id : f->reset_stream.id;

	if (!qb_streams_is_own(&c->streams, id))
		qb_conn_on_idle_frame(c, RESET_COST);
	else if (qb_streams_tx_limit(&c->streams, id) == QB_VARINT_MAX)
		qb_conn_on_idle_frame(c, 1);
	else
		rx->is_useful = true;
	return qb_streams_on_frame(&c->streams, f, fault);
}

static int on_multipath(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
			struct qb_fault *fault)
{
	/* A few of them are needed, once. */
	qb_conn_on_idle_frame(c, 1);
	return qb_multipath_on_frame(c, rx, f, fault);
}

static int on_challenge(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
			struct qb_fault *fault)
{
	(void)fault;
	qb_conn_on_idle_frame(c, 1);
	qb_path_on_challenge(c, rx, f->path_challenge);
	return 0;
}

static int on_response(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
		       struct qb_fault *fault)
{
	(void)fault;
	qb_path_on_response(c, f->path_challenge, rx->now_ns);
	return 0;
}

static int on_close(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
		    struct qb_fault *fault)
{
	(void)fault;
	qb_close_on_peer(c, f, rx->now_ns);
	return -EPROTO;
}

static int on_new_token(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
			struct qb_fault *fault)
{
	if (c->is_server)
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION, "NEW_TOKEN from a client");
	qb_conn_on_idle_frame(c, TOKEN_COST);
	/* A server of ours sends it on the path that it is for. */
	qb_tokens_keep(&c->q->tokens_kept, qb_conn_token_key(c, &rx->path->tuple.local), c->version,
		       f->new_token);
	return 0;
}

static int on_handshake_done(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
			     struct qb_fault *fault)
{
	(void)f;
	if (c->is_server)
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION,
				    "HANDSHAKE_DONE from a client");
	if (c->hs.is_confirmed)
		qb_conn_on_idle_frame(c, 1);
	qb_handshake_confirm(c, rx->now_ns);
	return 0;
}

static int on_ack_frequency(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
			    struct qb_fault *fault)
{
	(void)rx;
	qb_conn_on_idle_frame(c, 1);
	return qb_ack_freq_on_frame(&c->ack_freq, f, fault);
}

static int on_immediate_ack(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
			    struct qb_fault *fault)
{
	(void)f;
	(void)fault;
	rx->wants_ack = true;
	qb_conn_on_idle_frame(c, 1);
	return 0;
}

/* copy_datagram puts a payload that is not the first of its UDP datagram into a buffer of its own.
 */
static void copy_datagram(struct qb_conn *c, struct qb_rx_pkt *rx, struct qb_bytes data)
{
	struct qb_buf *b;

	if (qb_batch_full(rx->out) || data.len > QB_FRAME_BYTES - QB_HEADROOM) {
		qb_count(c->q->cfg.counters, QB_CNT_DROP_NO_BUFFER);
		return;
	}
	b = qb_buf_get(c->q->cfg.pool);
	if (!b) {
		qb_count(c->q->cfg.counters, QB_CNT_DROP_NO_BUFFER);
		return;
	}
	if (data.len)
		memcpy(b->data, data.p, data.len);
	b->len = (uint32_t)data.len;
	b->tuple = rx->b->tuple;
	b->rx_ns = rx->b->rx_ns;
	b->conn = c;
	b->path = rx->path->idx;
	qb_batch_add(rx->out, b);
}

static int on_datagram(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
		       struct qb_fault *fault)
{
	(void)fault;
	qb_count(c->q->cfg.counters, QB_CNT_DATAGRAMS_RX);
	if (f->datagram.len)
		rx->is_useful = true;
	else
		qb_conn_on_idle_frame(c, 1);
	qb_trace_datagram(c, rx->path, false, f->datagram.len, rx->now_ns);
	if (rx->has_datagram) {
		copy_datagram(c, rx, f->datagram);
		return 0;
	}
	rx->has_datagram = true;
	rx->slot = (uint8_t)rx->out->cnt++;
	rx->datagram = f->datagram;
	rx->datagram_path = rx->path->idx;
	return 0;
}

static int on_observed(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
		       struct qb_fault *fault)
{
	/* Only clients of ours ask for it. */
	if (c->is_server)
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION, "address discovery was not asked for");
	qb_conn_on_idle_frame(c, 1);
	qb_path_on_observed(rx->path, f, rx->now_ns);
	return 0;
}

static int on_not_negotiated(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_frame *f,
			     struct qb_fault *fault)
{
	(void)c;
	(void)rx;
	(void)f;
	return qb_fault_set(fault, QB_QUIC_FRAME_ENCODING_ERROR, "extension was not negotiated");
}

/* clang-format off */
static frame_handler *const handlers[] = {
	[QB_FRAME_PADDING] = on_nothing,
	[QB_FRAME_PING] = on_ping,
	[QB_FRAME_ACK] = on_ack,
	[QB_FRAME_ACK_ECN] = on_ack,
	[QB_FRAME_RESET_STREAM] = on_reset,
	[QB_FRAME_STOP_SENDING] = on_reset,
	[QB_FRAME_CRYPTO] = on_crypto,
	[QB_FRAME_NEW_TOKEN] = on_new_token,
	[QB_FRAME_STREAM ... QB_FRAME_STREAM + 7] = on_stream,
	[QB_FRAME_MAX_DATA ... QB_FRAME_STREAMS_BLOCKED_UNI] = on_limit,
	[QB_FRAME_NEW_CONNECTION_ID] = on_multipath,
	[QB_FRAME_RETIRE_CONNECTION_ID] = on_multipath,
	[QB_FRAME_PATH_CHALLENGE] = on_challenge,
	[QB_FRAME_PATH_RESPONSE] = on_response,
	[QB_FRAME_CONNECTION_CLOSE] = on_close,
	[QB_FRAME_CONNECTION_CLOSE_APP] = on_close,
	[QB_FRAME_HANDSHAKE_DONE] = on_handshake_done,
	[QB_FRAME_IMMEDIATE_ACK] = on_immediate_ack,
	[QB_FRAME_RESET_STREAM_AT] = on_reset,
	[QB_FRAME_DATAGRAM] = on_datagram,
	[QB_FRAME_DATAGRAM_LEN] = on_datagram,
	[QB_FRAME_PATH_ACK] = on_path_ack,
	[QB_FRAME_PATH_ACK_ECN] = on_path_ack,
};
/* clang-format on */

static frame_handler *handler_of(const struct qb_conn *c, uint64_t type,
				 const struct qb_frame_rule *rule)
{
	if ((rule->flags & QB_FRAME_MULTIPATH) && !c->mp.is_enabled)
		return on_not_negotiated;
	if (type < QB_ARRAY_LEN(handlers) && handlers[type])
		return handlers[type];
	if (qb_frame_is_observed(type))
		return on_observed;
	if (qb_frame_is_ack_ts(type))
		return type >= QB_FRAME_PATH_ACK_TS ? on_path_ack : on_ack;
	if (rule->flags & QB_FRAME_MULTIPATH)
		return on_multipath;
	if (type == QB_FRAME_ACK_FREQUENCY)
		return on_ack_frequency;
	return on_not_negotiated;
}

static int fail(struct qb_conn *c, const struct qb_rx_pkt *rx, const struct qb_fault *fault,
		uint64_t type)
{
	return qb_conn_fail(c, fault->code, type, fault->why, rx->now_ns);
}

/* settle_budget, at a packet's end: it pays for what it brought that was of no use. */
static bool settle_budget(struct qb_conn *c, const struct qb_rx_pkt *rx)
{
	uint32_t cost = c->idle_frames;

	c->idle_frames = 0;
	if (QB_LIKELY(rx->is_useful)) {
		qb_budget_earn(&c->frame_budget, &frame_rule);
		if (QB_LIKELY(!cost))
			return true;
	}
	return !cost || qb_budget_spend(&c->frame_budget, &frame_rule, cost, rx->now_ns);
}

int qb_frames_rx(struct qb_conn *c, struct qb_rx_pkt *rx, const uint8_t *p, size_t len)
{
	struct qb_fault fault = {0};
	bool is_nobufs = false;

	c->idle_frames = 0;
	if (!len) {
		qb_fault_set(&fault, QB_QUIC_PROTOCOL_VIOLATION, "packet without frames");
		return fail(c, rx, &fault, 0);
	}
	while (len > 0) {
		const struct qb_frame_rule *rule;
		struct qb_frame f;
		int n, rc;

		n = qb_frame_parse_as(&f, p, len, rx->type, c->mp.dialect, &fault);
		if (n < 0)
			return fail(c, rx, &fault, f.type);
		p += n;
		len -= (size_t)n;
		rule = qb_frame_rule(f.type);
		rx->is_eliciting |= rule->flags & QB_FRAME_ELICITS_ACK;
		rx->is_non_probing |= !(rule->flags & QB_FRAME_PROBING);
		rc = handler_of(c, f.type, rule)(c, rx, &f, &fault);
		if (rc == -EBADMSG)
			return fail(c, rx, &fault, f.type);
		if (rc == -EPROTO)
			return rc;
		is_nobufs |= rc == -ENOBUFS;
	}
	if (QB_UNLIKELY(!settle_budget(c, rx))) {
		qb_count(c->q->cfg.counters, QB_CNT_FLOODS);
		qb_fault_set(&fault, QB_QUIC_PROTOCOL_VIOLATION,
			     "too many frames that change nothing");
		return fail(c, rx, &fault, 0);
	}
	return is_nobufs ? -ENOBUFS : 0;
}
