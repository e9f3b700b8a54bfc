/* SPDX-License-Identifier: BSD-2-Clause */
/* What quic.h offers on a connection: opening, closing, paths, streams, facts. */
#include "quic/conn.h"
#include "quic/session.h"

#include <errno.h>

/* ---- connections ---- */

static struct qb_conn *connect_with(struct qb_quic *q, const struct qb_tuple *tuple, const char *server_name,
				    const struct qb_session *resume, uint64_t now_ns)
{
	struct qb_conn *c = qb_conn_new(q, false, tuple, now_ns);

	if (!c)
		return NULL;
	q->now_ns = now_ns;
	/* A session is for one version (RFC 9369 §5). */
	c->version = c->hs.first_version = resume ? resume->version : q->cfg.version_first;
	c->hs.server_addr = tuple->peer;
	c->hs.server_hash = server_name ? qb_siphash(&q->owner_key, server_name, strlen(server_name))
					: qb_siphash(&q->owner_key, tuple->peer.ip, sizeof(tuple->peer.ip));
	if (qb_handshake_begin(c, server_name, resume, now_ns) < 0) {
		qb_conn_free(c);
		return NULL;
	}
	return c;
}

struct qb_conn *qb_quic_connect(struct qb_quic *q, const struct qb_tuple *tuple, const char *server_name,
				uint64_t now_ns)
{
	return connect_with(q, tuple, server_name, NULL, now_ns);
}

struct qb_conn *qb_quic_resume(struct qb_quic *q, const struct qb_tuple *tuple, const char *server_name,
			       const uint8_t *session, size_t len, uint64_t now_ns)
{
	struct qb_session s;
	bool is_good = qb_session_parse(&s, session, len) == 0 && qb_version_is_ours(&q->cfg, s.version);

	return connect_with(q, tuple, server_name, is_good ? &s : NULL, now_ns);
}

void qb_conn_close(struct qb_conn *c, uint64_t error_code, const char *reason, uint64_t now_ns)
{
	qb_close_by_app(c, error_code, reason, now_ns);
}

void qb_conn_fail_app(struct qb_conn *c, uint64_t error_code, const char *why)
{
	qb_close_by_app(c, error_code, why, c->q->now_ns);
}

void qb_conn_update_key(struct qb_conn *c)
{
	if (!qb_conn_is_open(c))
		return;
	c->is_update_wanted = true;
	qb_conn_touch(c);
}

void *qb_conn_user(const struct qb_conn *c)
{
	return c->user;
}

void qb_conn_set_user(struct qb_conn *c, void *user)
{
	c->user = user;
}

const char *qb_conn_reason(const struct qb_conn *c)
{
	return c->close.reason;
}

void qb_conn_get_info(const struct qb_conn *c, struct qb_conn_info *out)
{
	static const char *const states[] = {
		[QB_CONN_HANDSHAKE] = "handshake", [QB_CONN_ESTABLISHED] = "established",
		[QB_CONN_CLOSING] = "closing",	   [QB_CONN_DRAINING] = "draining",
		[QB_CONN_DEAD] = "dead",
	};

	*out = (struct qb_conn_info){
		.state = c->state == QB_CONN_ESTABLISHED && c->hs.is_confirmed ? "confirmed" : states[c->state],
		.is_established = c->state == QB_CONN_ESTABLISHED,
		.is_closing = !qb_conn_is_open(c),
		.is_closed_by_peer = c->close.is_by_peer,
		.is_multipath = c->mp.is_enabled,
		.peer_idx = c->was_announced ? qb_tls_peer_index(c->tls) : -1,
		.suite = c->was_announced ? qb_tls_suite(c->tls) : QB_SUITE_AES128GCM,
		.version = c->version,
		.created_ns = c->created_ns,
		.last_rx_ns = c->last_rx_ns,
		.streams = c->streams.live_cnt,
		.stream_credit_bytes = c->streams.tx_max - c->streams.tx_bytes,
		.stream_window_bytes = c->streams.rx.size,
		.odcid = c->hs.odcid,
		.key_updates = c->keys.update_cnt,
		.is_greasing = c->is_greasing,
		.is_resumed = c->was_announced && qb_tls_is_resumed(c->tls),
		.early = c->was_announced ? qb_tls_early(c->tls) : QB_TLS_EARLY_NONE,
	};
	if (c->was_announced)
		out->has_peer_key = qb_tls_peer_key(c->tls, out->peer_key);
	/* The limit counts the frame's type as well. */
	if (c->peer.max_datagram_frame_bytes > 1)
		out->max_datagram_bytes =
			(uint32_t)QB_MIN(c->peer.max_datagram_frame_bytes - 1, (uint64_t)65535);
}

/* ---- paths ---- */

static struct qb_path *path_at(struct qb_conn *c, uint8_t path)
{
	if (path >= c->path_cnt || c->path[path].phase == QB_PATH_UNUSED)
		return NULL;
	return &c->path[path];
}

static void fill_cc(const struct qb_path *p, struct qb_path_info *out, uint64_t now_ns)
{
	out->cwnd_bytes = p->cc.view.cwnd_bytes;
	out->ssthresh_bytes = p->cc.view.ssthresh_bytes;
	out->in_flight_bytes = p->cc.in_flight_bytes;
	out->pacing_bps = p->pacer.rate_bps;
	out->delivery_bps = p->rate.bps;
	out->busy_bps = p->rate.busy_kbps * UINT64_C(1000);
	out->limit_bps = p->limit_bps;
	out->cc_name = p->cc.algo->name;
	out->cc_phase = p->cc.view.phase;
	out->cc_why = p->cc.view.why ? p->cc.view.why : "";
	out->is_cc_starting = p->cc.algo->is_starting && p->cc.algo->is_starting(p->cc.state);
	out->budget_bytes = qb_path_budget(p, now_ns);
	out->next_send_ns = qb_pacer_next_ns(&p->pacer, p->mtu.cur_bytes, now_ns);
}

static void fill_owd(const struct qb_owd *o, struct qb_path_info *out)
{
	out->has_owd_tx = o->tx.has_sample;
	out->owd_tx_ns = o->tx.smoothed_ns;
	out->owd_tx_base_ns = qb_owd_base_ns(&o->tx);
	out->queue_tx_ns = qb_owd_queue_ns(&o->tx);
	out->has_owd_rx = o->rx.has_sample;
	out->owd_rx_ns = o->rx.smoothed_ns;
	out->owd_rx_base_ns = qb_owd_base_ns(&o->rx);
	out->queue_rx_ns = qb_owd_queue_ns(&o->rx);
}

static void fill_liveness(const struct qb_path *p, struct qb_path_info *out)
{
	const struct qb_sent_pkt *oldest = qb_sent_oldest(&p->space.sent);

	out->last_rx_ns = p->live.last_rx_ns;
	out->last_ack_ns = p->live.last_ack_ns;
	out->last_acked_sent_ns = p->live.last_acked_sent_ns;
	out->oldest_unacked_ns = oldest ? oldest->sent_ns : 0;
}

static const char *const ecn_names[] = {
	[QB_ECN_OFF] = "off",
	[QB_ECN_TESTING] = "testing",
	[QB_ECN_CAPABLE] = "capable",
	[QB_ECN_FAILED] = "failed",
};

static void fill_totals(const struct qb_path *p, struct qb_path_info *out)
{
	const struct qb_path_totals *t = &p->total;

	out->tx_packets = t->tx_packets;
	out->tx_bytes = t->tx_bytes;
	out->rx_packets = t->rx_packets;
	out->rx_bytes = t->rx_bytes;
	out->lost_packets = t->lost_packets;
	out->lost_bytes = t->lost_bytes;
	out->spurious_packets = t->spurious_packets;
	out->acked_packets = t->acked_packets;
	out->unopened_packets = t->unopened_packets;
	out->duplicate_packets = t->duplicate_packets;
	out->reordered_packets = t->reordered_packets;
	out->ect0_rx = p->space.rx.ect0;
	out->ect1_rx = p->space.rx.ect1;
	out->ce_rx = p->space.rx.ce;
	out->is_ecn_capable = p->ecn.state == QB_ECN_CAPABLE;
	out->ecn = ecn_names[p->ecn.state];
	out->ce_tx = p->ecn.peer_ce;
}

bool qb_conn_path_info(const struct qb_conn *c, uint8_t path, uint64_t now_ns,
		       struct qb_path_info *out)
{
	const struct qb_path *p;

	if (path >= c->path_cnt || c->path[path].phase == QB_PATH_UNUSED)
		return false;
	p = &c->path[path];
	*out = (struct qb_path_info){
		.phase = p->phase,
		.path_id = p->id,
		.tuple = p->tuple,
		.public_addr = p->observed,
		.keepalive_ns = qb_conn_keepalive_ns(c, p),
		.opened_ns = p->opened_ns,
		.validated_ns = p->validated_ns,
		.pto_ns = qb_rtt_pto_ns(&p->rtt, qb_conn_peer_ack_delay_ns(c)),
		.pto_count = p->pto_count,
		.max_datagram_bytes = qb_datagram_max(c, p),
		.mtu_bytes = p->mtu.cur_bytes,
		.is_mtu_settled = p->mtu.is_settled,
		.is_peer_backup = c->mp.pid[p->pid].is_peer_backup,
	};
	if (qb_rtt_has_sample(&p->rtt)) {
		out->rtt_ns = p->rtt.latest_ns;
		out->srtt_ns = p->rtt.smoothed_ns;
		out->rttvar_ns = p->rtt.var_ns;
		out->min_rtt_ns = p->rtt.min_ns;
	}
	fill_owd(&p->owd, out);
	fill_cc(p, out, now_ns);
	fill_liveness(p, out);
	fill_totals(p, out);
	return true;
}

bool qb_conn_path_is_l4s(const struct qb_conn *c, uint8_t path)
{
	return path < c->path_cnt && c->path[path].space.rx.is_l4s;
}

int qb_conn_open_path(struct qb_conn *c, const struct qb_tuple *tuple, uint64_t now_ns)
{
	struct qb_path_id *pid;
	struct qb_path *p;

	c->q->now_ns = now_ns;
	if (c->is_server)
		return -EPERM;
	if (c->state != QB_CONN_ESTABLISHED || !c->hs.is_confirmed)
		return -ENOTCONN;
	if (!c->mp.is_enabled)
		return -EOPNOTSUPP;
	if (!qb_path_may_migrate(c, &tuple->peer))
		return -EPERM;
	pid = qb_multipath_next_spare(c);
	if (!pid) {
		c->mp.is_waiting = true;
		qb_multipath_complain(c);
		return -EAGAIN;
	}
	p = qb_multipath_attach(c, pid, tuple, now_ns);
	if (!p) {
		c->mp.is_waiting = true;
		return -ENOSPC;
	}
	/* We chose the peer's address; it is the path that must be proven, not the peer (RFC 9000 §8.2). */
	p->amp.is_validated = true;
	qb_trace_tuple(c, p, false, now_ns);
	qb_path_start_validation(p, qb_conn_max_pto_ns(c), now_ns);
	qb_conn_touch(c);
	return p->idx;
}

int qb_conn_close_path(struct qb_conn *c, uint8_t path, uint64_t error_code, uint64_t now_ns)
{
	struct qb_path *p = path_at(c, path);

	if (!p || p->phase == QB_PATH_CLOSING || !qb_conn_is_open(c))
		return -ENOENT;
	if (!c->mp.is_enabled || qb_multipath_open_cnt(c) <= 1)
		return -EBUSY;
	qb_multipath_abandon(c, qb_conn_pid(c, p), error_code, false, now_ns);
	return 0;
}

int qb_conn_move_path(struct qb_conn *c, uint8_t path, const struct qb_tuple *tuple, uint64_t now_ns)
{
	struct qb_path *p = path_at(c, path);

	if (!p || p->phase == QB_PATH_CLOSING)
		return -ENOENT;
	if (c->is_server || !qb_path_may_migrate(c, &tuple->peer))
		return -EPERM;
	if (!c->hs.is_confirmed)
		return -ENOTCONN;
	qb_path_leave(c, p);
	p->phase = QB_PATH_VALIDATING;
	p->is_new_network = true;
	qb_path_restart(c, p, tuple, now_ns);
	return 0;
}

void qb_conn_set_path_backup(struct qb_conn *c, uint8_t path, bool is_backup)
{
	struct qb_path *p = path_at(c, path);

	if (p && p->phase != QB_PATH_CLOSING)
		qb_multipath_set_status(c, qb_conn_pid(c, p), is_backup);
}

void qb_conn_set_path_keepalive(struct qb_conn *c, uint8_t path, uint64_t keepalive_ns)
{
	struct qb_path *p = path_at(c, path);

	if (!p || p->keepalive_ns == keepalive_ns)
		return;
	p->keepalive_ns = keepalive_ns;
	qb_conn_touch(c);
}

void qb_conn_probe_path(struct qb_conn *c, uint8_t path, uint64_t now_ns)
{
	struct qb_path *p = path_at(c, path);

	c->q->now_ns = now_ns;
	if (!p || p->phase == QB_PATH_CLOSING)
		return;
	p->probe_cnt = QB_MAX(p->probe_cnt, (uint8_t)1);
	qb_conn_touch(c);
}

void qb_conn_fill_path(struct qb_conn *c, uint8_t path, uint64_t until_ns, uint64_t now_ns)
{
	struct qb_path *p = path_at(c, path);

	c->q->now_ns = now_ns;
	if (!p)
		return;
	p->fill_until_ns = until_ns;
	c->fill_until_ns = QB_MAX(c->fill_until_ns, until_ns);
	qb_conn_touch(c);
}

void qb_conn_set_path_down(struct qb_conn *c, uint8_t path, bool is_down, uint64_t now_ns)
{
	struct qb_path *p = path_at(c, path);

	c->q->now_ns = now_ns;
	if (!p || p->is_down == is_down)
		return;
	p->is_down = is_down;
	if (is_down)
		qb_loss_requeue(c, &p->space, UINT32_MAX);
	else
		p->pto_count = 0;
	qb_conn_touch(c);
}

void qb_conn_doubt_path(struct qb_conn *c, uint8_t path, bool is_doubted, uint64_t now_ns)
{
	struct qb_path *p = path_at(c, path);

	c->q->now_ns = now_ns;
	if (!p || p->is_doubted == is_doubted)
		return;
	p->is_doubted = is_doubted;
	p->is_hearsay_due = is_doubted;
	p->doubted_ns = now_ns;
	if (is_doubted)
		qb_multipath_ask(c, qb_conn_pid(c, p));
	qb_conn_touch(c);
}

void qb_conn_set_path_cc(struct qb_conn *c, uint8_t path, const struct qb_cc *cc, uint64_t now_ns)
{
	struct qb_path *p = path_at(c, path);

	struct qb_known known;
	bool is_known;

	if (!p || p->cc.algo == cc)
		return;
	is_known = qb_resume_observed(&p->cc.resume, &known);
	qb_path_init_cc(p, cc, &c->cc_group, qb_drbg_u64(&c->q->rnd), now_ns);
	if (is_known) /* what the one before has found is not to be found again */
		qb_resume_seed(&p->cc.resume, &known);
	if (p->ecn.state != QB_ECN_FAILED)
		qb_ecn_start(p);
}

void qb_conn_set_path_sharers(struct qb_conn *c, uint8_t path, uint32_t cnt)
{
	struct qb_path *p = path_at(c, path);

	if (p)
		p->sharer_cnt = cnt;
}

void qb_conn_tune_path(struct qb_conn *c, uint8_t path, const struct qb_path_tune *tune, uint64_t now_ns)
{
	struct qb_path *p = path_at(c, path);

	if (!p)
		return;
	if (p->tune.is_ecn_off != tune->is_ecn_off) {
		p->tune.is_ecn_off = tune->is_ecn_off;
		qb_ecn_start(p);
	}
	p->tune = *tune;
	if (qb_rtt_has_sample(&p->rtt))
		return;
	qb_rtt_init(&p->rtt, tune->init_rtt_ns);
	qb_path_init_cc(p, p->cc.algo, &c->cc_group, qb_drbg_u64(&c->q->rnd), now_ns);
}

void qb_conn_limit_path(struct qb_conn *c, uint8_t path, uint64_t limit_bps, uint64_t now_ns)
{
	struct qb_path *p = path_at(c, path);

	if (!p || p->limit_bps == limit_bps)
		return;
	p->limit_bps = limit_bps;
	qb_path_update_cc(p, now_ns);
}

bool qb_conn_path_known(const struct qb_conn *c, uint8_t path, struct qb_known *out)
{
	const struct qb_path *p = path < c->path_cnt ? &c->path[path] : NULL;

	return p && p->phase == QB_PATH_OPEN && qb_resume_observed(&p->cc.resume, out);
}

void qb_conn_resume_path(struct qb_conn *c, uint8_t path, const struct qb_known *known)
{
	struct qb_path *p = path_at(c, path);

	if (p)
		qb_resume_seed(&p->cc.resume, known);
}

/* ---- streams ---- */

int64_t qb_conn_open_stream(struct qb_conn *c, bool is_bidi)
{
	if (!qb_conn_may_write(c))
		return -ENOTCONN;
	return qb_streams_open(&c->streams, is_bidi);
}

static uint64_t window_of_all(const struct qb_conn *c)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < c->path_cnt; i++)
		if (qb_path_is_usable(&c->path[i]))
			bytes += c->path[i].cc.view.cwnd_bytes;
	return bytes;
}

int64_t qb_conn_stream_write(struct qb_conn *c, uint64_t id, const void *data, size_t len, bool is_fin)
{
	if (!qb_conn_may_write(c))
		return -ENOENT;
	qb_conn_touch(c);
	qb_streams_set_window(&c->streams, window_of_all(c));
	return qb_streams_write_data(&c->streams, id, data, len, is_fin);
}

int64_t qb_conn_stream_read(struct qb_conn *c, uint64_t id, void *out, size_t cap, bool *is_fin,
			    uint64_t *error_code)
{
	if (!c->was_announced)
		return -ENOENT;
	/* Reading frees window: the peer may have to be told. */
	if (qb_conn_is_open(c))
		qb_conn_touch(c);
	return qb_streams_read(&c->streams, id, out, cap, is_fin, error_code);
}

int qb_conn_stream_reset(struct qb_conn *c, uint64_t id, uint64_t error_code)
{
	if (!qb_conn_may_write(c))
		return -ENOENT;
	qb_conn_touch(c);
	return qb_streams_reset(&c->streams, id, error_code);
}

int qb_conn_stream_reset_at(struct qb_conn *c, uint64_t id, uint64_t error_code, uint64_t reliable_bytes)
{
	if (!qb_conn_may_write(c))
		return -ENOENT;
	qb_conn_touch(c);
	return qb_streams_reset_at(&c->streams, id, error_code, reliable_bytes);
}

int qb_conn_stream_priority(struct qb_conn *c, uint64_t id, uint8_t urgency, bool is_incremental)
{
	return qb_streams_set_priority(&c->streams, id, urgency, is_incremental);
}

int qb_conn_stream_stop(struct qb_conn *c, uint64_t id, uint64_t error_code)
{
	if (!qb_conn_may_write(c))
		return -ENOENT;
	qb_conn_touch(c);
	return qb_streams_stop(&c->streams, id, error_code);
}
