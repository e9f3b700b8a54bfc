/* SPDX-License-Identifier: BSD-2-Clause */
/* Events for a connection's observer, put together away from the packet path; called by the points
 * of trace.h. */
#include "quic/packet.h"

static const struct {
	const char *name, *space;
} rows[QB_TRACE_TYPE_CNT] = {
#define QB_TRACE(id, label, ns) [QB_TRACE_##id] = {#label, ns},
#include "quic/trace.def"
#undef QB_TRACE
};

const char *qb_trace_name(enum qb_trace_type type)
{
	return rows[type].name;
}

const char *qb_trace_space(enum qb_trace_type type)
{
	return rows[type].space;
}

static struct qb_trace_event event(const struct qb_conn *c, enum qb_trace_type type,
				   uint32_t path_id, uint64_t now_ns)
{
	return (struct qb_trace_event){
		.type = type, .path_id = path_id, .conn = c->number, .now_ns = now_ns};
}

static void emit(const struct qb_conn *c, const struct qb_trace_event *ev)
{
	c->observer->on_event(c->observer->arg, ev);
}

/* ---- packets ---- */

static void emit_packet(const struct qb_conn *c, struct qb_trace_event *ev, const uint8_t *frames,
			size_t len)
{
	ev->packet.dialect = c->mp.dialect;
	if (ev->packet.type == QB_PKT_1RTT)
		ev->packet.key_phase = c->keys.update_cnt;
	ev->extra = frames;
	ev->extra_bytes = (uint32_t)len;
	emit(c, ev);
}

void qb_trace_emit_received(const struct qb_conn *c, const struct qb_rx_pkt *rx,
			    const uint8_t *payload, size_t len)
{
	struct qb_trace_event ev = event(c, QB_TRACE_PACKET_RECEIVED, rx->path->id, rx->now_ns);

	ev.packet = (struct qb_trace_packet){.type = rx->type, .pn = rx->pn};
	emit_packet(c, &ev, payload, len);
}

void qb_trace_bare(const struct qb_conn *c, enum qb_pkt_type type, const uint32_t *versions, uint32_t cnt,
		   uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_PACKET_RECEIVED, 0, now_ns);

	QB_PROBE(packet_received, c, 0, 0, 0);
	ev.packet = (struct qb_trace_packet){.type = type};
	ev.extra = versions;
	ev.extra_bytes = cnt * (uint32_t)sizeof(*versions);
	if (c->observer)
		emit(c, &ev);
}

void qb_trace_reset(const struct qb_conn *c, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_PACKET_RECEIVED, 0, now_ns);

	QB_PROBE(packet_received, c, 0, 0, 0);
	ev.packet = (struct qb_trace_packet){.is_reset = true};
	if (c->observer)
		emit(c, &ev);
}

void qb_trace_emit_sent(const struct qb_conn *c, const struct qb_path *p,
			const struct qb_tx_pkt *pkt, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_PACKET_SENT, p->id, now_ns);

	ev.packet = (struct qb_trace_packet){
		.type = qb_tx_pkt_type(pkt->level),
		.pn = pkt->pn,
		.bytes = (uint32_t)(pkt->w.p - pkt->start) + QB_AEAD_TAG_LEN,
		.is_mtu_probe = pkt->flags & QB_SENT_MTU_PROBE,
	};
	emit_packet(c, &ev, pkt->payload, (size_t)(pkt->w.p - pkt->payload));
}

static void emit_datagrams(const struct qb_conn *c, const struct qb_path *p, const uint8_t *frames,
			   size_t len, uint64_t now_ns)
{
	struct qb_rd rd = qb_rd_init(frames, len);

	while (qb_rd_left(&rd)) {
		bool has_len = qb_rd_varint(&rd) == QB_FRAME_DATAGRAM_LEN;
		size_t bytes = has_len ? (size_t)qb_rd_varint(&rd) : qb_rd_left(&rd);

		qb_rd_take(&rd, bytes);
		qb_trace_emit_datagram(c, p, true, bytes, now_ns);
	}
}

void qb_trace_emit_sent_datagram(const struct qb_conn *c, const struct qb_path *p,
				 const struct qb_buf *b, struct qb_trace_layout at, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_PACKET_SENT, p->id, now_ns);

	emit_datagrams(c, p, b->data + at.hdr_len + at.before_len, at.payload_len - at.before_len, now_ns);
	ev.packet = (struct qb_trace_packet){
		.type = QB_PKT_1RTT, .pn = at.pn, .bytes = b->len + QB_AEAD_TAG_LEN};
	emit_packet(c, &ev, b->data + at.hdr_len, at.payload_len);
}

void qb_trace_emit_dropped(const struct qb_conn *c, uint32_t why)
{
	struct qb_trace_event ev =
		event(c, QB_TRACE_PACKET_DROPPED, QB_TRACE_NO_PATH, c->q->now_ns);

	ev.dropped.why = why;
	emit(c, &ev);
}

void qb_trace_lost(const struct qb_conn *c, const struct qb_path *p,
		   const struct qb_trace_lost *lost, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_PACKET_LOST, p->id, now_ns);

	QB_PROBE(packet_lost, c, p->id, lost->pn, lost->bytes);
	ev.lost = *lost;
	if (c->observer)
		emit(c, &ev);
}

void qb_trace_emit_datagram(const struct qb_conn *c, const struct qb_path *p, bool is_out,
			    size_t bytes, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_DATAGRAM_DATA_MOVED, p->id, now_ns);

	ev.datagram.is_out = is_out;
	ev.datagram.bytes = (uint32_t)bytes;
	emit(c, &ev);
}

/* ---- the state of a path ---- */

void qb_trace_emit_metrics(const struct qb_conn *c, const struct qb_path *p, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_RECOVERY_METRICS_UPDATED, p->id, now_ns);
	struct qb_trace_metrics *m = &ev.metrics;

	if (qb_rtt_has_sample(&p->rtt)) {
		m->min_rtt_ns = p->rtt.min_ns;
		m->srtt_ns = p->rtt.smoothed_ns;
		m->latest_rtt_ns = p->rtt.latest_ns;
		m->rttvar_ns = p->rtt.var_ns;
	}
	m->cwnd_bytes = p->cc.view.cwnd_bytes;
	m->in_flight_bytes = p->cc.in_flight_bytes;
	m->ssthresh_bytes = p->cc.view.ssthresh_bytes;
	m->pacing_bps = p->pacer.rate_bps;
	m->delivery_bps = p->rate.bps;
	m->lost_packets = p->total.lost_packets;
	m->spurious_packets = p->total.spurious_packets;
	m->pto_count = p->pto_count;
	m->eliciting_cnt = p->space.sent.eliciting_cnt;
	emit(c, &ev);
}

static void tell_congestion(const struct qb_conn *c, const struct qb_path *p, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_CONGESTION_STATE_UPDATED, p->id, now_ns);

	QB_PROBE(congestion_state_updated, c, p->id, p->told.cc_phase, p->cc.view.phase);
	ev.congestion.was = p->told.cc_phase;
	ev.congestion.now = p->cc.view.phase;
	if (c->observer)
		emit(c, &ev);
}

static void tell_mtu(const struct qb_conn *c, const struct qb_path *p, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_MTU_UPDATED, p->id, now_ns);

	QB_PROBE(mtu_updated, c, p->id, p->told.mtu_bytes, p->mtu.cur_bytes);
	ev.mtu.was_bytes = p->told.mtu_bytes;
	ev.mtu.bytes = p->mtu.cur_bytes;
	ev.mtu.is_settled = p->mtu.is_settled;
	if (c->observer)
		emit(c, &ev);
}

static void tell_ecn(const struct qb_conn *c, const struct qb_path *p, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_ECN_STATE_UPDATED, p->id, now_ns);

	QB_PROBE(ecn_state_updated, c, p->id, (int)p->told.ecn, (int)p->ecn.state);
	ev.ecn.was = p->told.ecn;
	ev.ecn.now = p->ecn.state;
	if (c->observer)
		emit(c, &ev);
}

void qb_trace_changes(const struct qb_conn *c, struct qb_path *p, uint64_t now_ns)
{
	if (p->cc.view.phase && p->told.cc_phase != p->cc.view.phase)
		tell_congestion(c, p, now_ns);
	if (p->told.mtu_bytes != p->mtu.cur_bytes || p->told.is_mtu_settled != p->mtu.is_settled)
		tell_mtu(c, p, now_ns);
	if (p->told.ecn != p->ecn.state)
		tell_ecn(c, p, now_ns);
	p->told.cc_phase = p->cc.view.phase;
	p->told.mtu_bytes = p->mtu.cur_bytes;
	p->told.is_mtu_settled = p->mtu.is_settled;
	p->told.ecn = p->ecn.state;
}

void qb_trace_tuple(const struct qb_conn *c, const struct qb_path *p, bool is_gone, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_TUPLE_ASSIGNED, p->id, now_ns);

	QB_PROBE(tuple_assigned, c, p->id, (int)p->idx, (int)p->tuple.link);
	ev.assigned.tuple = p->tuple;
	ev.assigned.is_gone = is_gone;
	if (c->observer)
		emit(c, &ev);
}

void qb_trace_validated(const struct qb_conn *c, const struct qb_path *p, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_PATH_VALIDATED, p->id, now_ns);

	QB_PROBE(path_validated, c, p->id, (int)p->idx, 0);
	if (c->observer)
		emit(c, &ev);
}

void qb_trace_abandoned(const struct qb_conn *c, uint32_t path_id, uint64_t error_code,
			bool is_by_peer, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_PATH_ABANDONED, path_id, now_ns);

	QB_PROBE(path_abandoned, c, path_id, error_code, (int)is_by_peer);
	ev.abandoned.error_code = error_code;
	ev.abandoned.is_by_peer = is_by_peer;
	if (c->observer)
		emit(c, &ev);
}

void qb_conn_trace_link(const struct qb_conn *c, uint8_t path, const char *was, const char *now,
			const char *reason, uint64_t now_ns)
{
	struct qb_trace_event ev;

	if (path >= c->path_cnt || c->path[path].phase == QB_PATH_UNUSED)
		return;
	QB_PROBE(link_state_updated, c, c->path[path].id, was, now);
	ev = event(c, QB_TRACE_LINK_STATE_UPDATED, c->path[path].id, now_ns);
	ev.congestion.was = was;
	ev.congestion.now = now;
	ev.extra = reason;
	ev.extra_bytes = (uint32_t)strlen(reason);
	if (c->observer)
		emit(c, &ev);
}

/* ---- the connection ---- */

void qb_trace_started(const struct qb_conn *c, bool is_midway, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_CONNECTION_STARTED, QB_TRACE_NO_PATH, now_ns);
	struct qb_trace_started *s = &ev.started;

	QB_PROBE(connection_started, c, QB_TRACE_NO_PATH, (int)c->is_server, 0);
	if (!c->observer)
		return;
	s->is_server = c->is_server;
	s->is_midway = is_midway;
	s->version = c->version;
	s->odcid = c->hs.odcid;
	s->local_cid = c->hs.local_scid;
	s->remote_cid = c->hs.has_peer_scid ? c->hs.peer_scid : c->hs.odcid;
	s->tuple = c->path[0].tuple;
	emit(c, &ev);
}

void qb_trace_state(const struct qb_conn *c, const char *state, uint64_t now_ns)
{
	struct qb_trace_event ev =
		event(c, QB_TRACE_CONNECTION_STATE_UPDATED, QB_TRACE_NO_PATH, now_ns);

	QB_PROBE(connection_state_updated, c, QB_TRACE_NO_PATH, state, 0);
	ev.state.name = state;
	if (c->state == QB_CONN_ESTABLISHED) {
		ev.state.suite = qb_tls_suite(c->tls);
		ev.state.is_resumed = qb_tls_is_resumed(c->tls);
		ev.state.is_early = qb_tls_early(c->tls) == QB_TLS_EARLY_ACCEPTED;
	}
	if (c->observer)
		emit(c, &ev);
}

void qb_trace_closed(const struct qb_conn *c, bool is_silent, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_CONNECTION_CLOSED, QB_TRACE_NO_PATH, now_ns);

	QB_PROBE(connection_closed, c, QB_TRACE_NO_PATH, c->close.error_code,
		 (int)c->close.is_by_peer);
	ev.closed.error_code = c->close.error_code;
	ev.closed.is_app = c->close.is_app;
	ev.closed.is_by_peer = c->close.is_by_peer;
	ev.closed.is_silent = is_silent;
	ev.extra = c->close.reason;
	ev.extra_bytes = (uint32_t)strlen(c->close.reason);
	if (c->observer)
		emit(c, &ev);
}

void qb_trace_params(const struct qb_conn *c, bool is_local, const void *params, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_PARAMETERS_SET, QB_TRACE_NO_PATH, now_ns);

	QB_PROBE(parameters_set, c, QB_TRACE_NO_PATH, (int)is_local, 0);
	ev.params.is_local = is_local;
	ev.extra = params;
	ev.extra_bytes = sizeof(struct qb_tparams);
	if (c->observer)
		emit(c, &ev);
}

void qb_trace_key(const struct qb_conn *c, enum qb_trace_type type, enum qb_level level, bool is_tx,
		  uint64_t phase, const char *trigger, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, type, QB_TRACE_NO_PATH, now_ns);

	if (type == QB_TRACE_KEY_UPDATED)
		QB_PROBE(key_updated, c, QB_TRACE_NO_PATH, (int)level, phase);
	else
		QB_PROBE(key_discarded, c, QB_TRACE_NO_PATH, (int)level, phase);
	ev.key.level = level;
	ev.key.is_server = is_tx == c->is_server;
	ev.key.phase = phase;
	ev.key.trigger = trigger;
	if (c->observer)
		emit(c, &ev);
}

void qb_trace_ended(const struct qb_conn *c, uint64_t now_ns)
{
	struct qb_trace_event ev = event(c, QB_TRACE_TRACE_ENDED, QB_TRACE_NO_PATH, now_ns);

	QB_PROBE(trace_ended, c, QB_TRACE_NO_PATH, 0, 0);
	if (c->observer)
		emit(c, &ev);
}

/* ---- who watches ---- */

void qb_quic_set_observer(struct qb_quic *q, const struct qb_observer *o)
{
	q->cfg.observer = o;
}

/* introduce tells what an observer missed. */
static void introduce(struct qb_conn *c, uint64_t now_ns)
{
	struct qb_tparams ours;
	uint32_t i;

	qb_trace_started(c, true, now_ns);
	qb_conn_our_params(c->q, &ours);
	qb_trace_params(c, true, &ours, now_ns);
	if (c->hs.is_params_ok)
		qb_trace_params(c, false, &c->peer, now_ns);
	if (c->state == QB_CONN_ESTABLISHED)
		qb_trace_state(c, "handshake_complete", now_ns);
	if (c->hs.is_confirmed)
		qb_trace_state(c, "handshake_confirmed", now_ns);
	for (i = 0; i < c->path_cnt; i++) {
		struct qb_path *p = &c->path[i];

		if (p->phase == QB_PATH_UNUSED)
			continue;
		qb_trace_tuple(c, p, false, now_ns);
		memset(&p->told, 0, sizeof(p->told));
		qb_trace_emit_metrics(c, p, now_ns);
		qb_trace_changes(c, p, now_ns);
	}
}

void qb_conn_set_observer(struct qb_conn *c, const struct qb_observer *o, uint64_t now_ns)
{
	if (c->observer == o)
		return;
	if (c->observer)
		qb_trace_ended(c, now_ns);
	c->observer = o;
	/* A server's connection does not count before the client's first packet has been opened. */
	if (o && (!c->is_server || c->hs.has_peer_scid))
		introduce(c, now_ns);
}
