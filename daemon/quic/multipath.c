/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Path IDs (RFC 10069): connection IDs for each, paths upon them, limits, abandoning. A connection without the
 * extension has path ID 0 and runs through the same code.
 *
 *     FREE ──limit rises──► SPARE ──first packet──► IN_USE ──PATH_ABANDON──► CLOSING ──3 PTO──► FREE
 */
#include "quic/conn.h"

enum {
	CIDS_SPARE = 2, /* of ours for a path ID that is not in use */
};

void qb_multipath_init(struct qb_conn *c)
{
	struct qb_path_id *pid = &c->mp.pid[0];

	qb_local_cids_init(&pid->local);
	qb_remote_cids_init(&pid->remote);
	pid->state = QB_PID_SPARE;
	c->mp.is_waiting = true;
}

static void mark_dirty(struct qb_conn *c)
{
	c->mp.is_dirty = true;
	qb_conn_touch(c);
}

struct qb_path_id *qb_multipath_find(struct qb_conn *c, uint64_t id)
{
	uint32_t i;

	for (i = 0; i < QB_PATH_IDS; i++) {
		if (c->mp.pid[i].state != QB_PID_FREE && c->mp.pid[i].id == id)
			return &c->mp.pid[i];
	}
	return NULL;
}

struct qb_local_cid *qb_multipath_add_cid(struct qb_conn *c, struct qb_path_id *pid, uint64_t limit)
{
	struct qb_local_cid *lc = qb_local_cids_free_slot(&pid->local, limit);

	if (!lc)
		return NULL;
	qb_endpoint_unlink_cid(c->q, &lc->entry);
	qb_endpoint_make_cid(c->q, &lc->entry.cid);
	lc->entry.conn = c;
	lc->entry.pid = (uint8_t)(pid - c->mp.pid);
	lc->seq = pid->local.next_seq++;
	lc->tx = QB_TX_DUE;
	qb_endpoint_link_cid(c->q, &lc->entry);
	return lc;
}

/* RFC 10069 §3.2: some for each unused path ID. */
void qb_multipath_refill(struct qb_conn *c)
{
	uint32_t limit_id = c->mp.is_enabled ? QB_MIN(c->mp.local_max, c->mp.remote_max) : 0, i;

	for (i = 0; i < QB_PATH_IDS; i++) {
		struct qb_path_id *pid = &c->mp.pid[i];
		uint64_t limit = c->peer.cid_limit;

		if (pid->state == QB_PID_SPARE)
			limit = QB_MIN(limit, (uint64_t)CIDS_SPARE);
		else if (pid->state != QB_PID_IN_USE)
			continue;
		if (pid->id > limit_id)
			continue;
		while (qb_multipath_add_cid(c, pid, limit))
			mark_dirty(c);
	}
}

static void new_pid(struct qb_path_id *pid, uint32_t id)
{
	memset(pid, 0, sizeof(*pid));
	qb_local_cids_init(&pid->local);
	qb_remote_cids_init(&pid->remote);
	pid->state = QB_PID_SPARE;
	pid->id = id;
}

bool qb_multipath_is_offered(const struct qb_tparams *tp)
{
	uint32_t i;

	for (i = 0; i < QB_MP_DIALECT_CNT; i++) {
		if (tp->has_max_path_id[i])
			return true;
	}
	return false;
}

void qb_multipath_on_params(struct qb_conn *c)
{
	struct qb_tparams ours;
	uint32_t id, d;

	qb_conn_our_params(c->q, &ours);
	/* The newest that both have; never two at a time. */
	for (d = 0; d < QB_MP_DIALECT_CNT; d++) {
		if (ours.has_max_path_id[d] && c->peer.has_max_path_id[d])
			break;
	}
	c->mp.is_enabled = d < QB_MP_DIALECT_CNT;
	if (c->mp.is_enabled) {
		c->mp.dialect = (enum qb_mp_dialect)d;
		c->mp.local_max = (uint32_t)ours.max_path_id[d];
		c->mp.first_remote_max = c->mp.remote_max = (uint32_t)c->peer.max_path_id[d];
		for (id = 1; id <= c->mp.local_max; id++)
			new_pid(&c->mp.pid[id], id);
	}
	qb_multipath_refill(c);
}

void qb_multipath_sync_reset(struct qb_conn *c, struct qb_path_id *pid)
{
	const struct qb_remote_cids *r = &pid->remote;
	const struct qb_remote_cid *rc = r->cur >= 0 ? &r->slot[r->cur] : NULL;
	struct qb_reset_entry *e = &pid->reset;

	/* Both are the peer's own. */
	if (QB_LIKELY(e->is_linked && rc &&
		      !memcmp(e->token, rc->token, sizeof(e->token)))) /* not secret: as said */
		return;
	qb_endpoint_unlink_reset(c->q, e);
	if (!rc || !rc->has_token)
		return;
	e->conn = c;
	memcpy(e->token, rc->token, sizeof(e->token));
	qb_endpoint_link_reset(c->q, e);
}

/* ---- paths upon path IDs ---- */

uint32_t qb_multipath_open_cnt(const struct qb_conn *c)
{
	uint32_t cnt = 0, i;

	for (i = 0; i < c->path_cnt; i++)
		cnt += c->path[i].phase == QB_PATH_OPEN || c->path[i].phase == QB_PATH_VALIDATING;
	return cnt;
}

bool qb_multipath_has_healthy(const struct qb_conn *c, const struct qb_path *but)
{
	uint32_t i;

	for (i = 0; i < c->path_cnt; i++) {
		const struct qb_path *p = &c->path[i];

		if (p != but && qb_path_is_usable(p) && !qb_path_is_suspect(p))
			return true;
	}
	return false;
}

static struct qb_path *free_path(struct qb_conn *c)
{
	uint32_t i;

	for (i = 0; i < c->path_cnt; i++) {
		/* A slot's last event must be read before another path takes it. */
		if (c->path[i].phase == QB_PATH_UNUSED && !c->events.path[i])
			return &c->path[i];
	}
	return c->path_cnt < QB_PATHS_MAX ? &c->path[c->path_cnt] : NULL;
}

struct qb_path *qb_multipath_attach(struct qb_conn *c, struct qb_path_id *pid,
				    const struct qb_tuple *tuple, uint64_t now_ns)
{
	const struct qb_quic_cfg *cfg = &c->q->cfg;
	struct qb_path *p = free_path(c);

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->phase = QB_PATH_VALIDATING;
	p->idx = (uint8_t)(p - c->path);
	c->path_cnt = QB_MAX(c->path_cnt, p->idx + 1u);
	p->pid = (uint8_t)(pid - c->mp.pid);
	p->id = pid->id;
	p->tuple = *tuple;
	p->tuple.ecn = 0;
	p->opened_ns = now_ns;
	p->live.last_rx_ns = p->live.last_tx_eliciting_ns = now_ns;
	p->rx_phase_pn = QB_PN_NONE;
	qb_path_draw_spin(p, cfg->spin_of_16, qb_drbg_u64(&c->q->rnd));
	p->skip_pn = 2 + qb_drbg_u64(&c->q->rnd) % 64;
	qb_space_init(&p->space, &c->q->sent_slab);
	p->tune = cfg->tune;
	qb_rtt_init(&p->rtt, p->tune.init_rtt_ns);
	qb_pacer_init(&p->pacer, now_ns);
	qb_nat_init(&p->nat);
	qb_mtu_init(&p->mtu, cfg->max_udp_bytes);
	qb_mtu_lower_max(&p->mtu, c->peer.max_udp_payload_bytes);
	qb_path_init_cc(p, cfg->cc, &c->cc_group, qb_drbg_u64(&c->q->rnd), now_ns);
	qb_ecn_start(p);
	pid->state = QB_PID_IN_USE;
	pid->has_path = true;
	pid->path = p->idx;
	if (c->state == QB_CONN_ESTABLISHED)
		qb_multipath_refill(c);
	return p;
}

/* stop_path: nothing is sent on it any more; what it carried goes elsewhere. */
static void stop_path(struct qb_conn *c, struct qb_path *p, bool is_by_peer)
{
	p->phase = QB_PATH_CLOSING;
	p->is_closed_by_peer = is_by_peer;
	p->validation.is_active = false;
	p->probe_cnt = 0;
	p->space.loss_at_ns = QB_NEVER_NS;
	qb_loss_requeue(c, &p->space, UINT32_MAX);
	/* The peer wants to know what arrived before it forgets the path. */
	if (p->space.rx.pending_cnt)
		p->space.rx.ack_at_ns = 0;
}

void qb_multipath_abandon(struct qb_conn *c, struct qb_path_id *pid, uint64_t error_code,
			  bool is_by_peer, uint64_t now_ns)
{
	pid->is_abandoned_by_peer |= is_by_peer;
	if (pid->state != QB_PID_SPARE && pid->state != QB_PID_IN_USE)
		return;
	if (pid->has_path && qb_multipath_open_cnt(c) <= 1) {
		qb_conn_fail(c, QB_QUIC_NO_VIABLE_PATH, 0, "no path is left", now_ns);
		return;
	}
	if (!is_by_peer)
		qb_trace_abandoned(c, pid->id, error_code, false, now_ns);
	pid->state = QB_PID_CLOSING;
	pid->abandon_tx = QB_TX_DUE;
	pid->abandon_code = error_code;
	pid->forget_ns = now_ns + 3 * qb_conn_max_pto_ns(c);
	/* The peer's CIDs of this path count as retired, their reset tokens as void (RFC 10069 §3.4). */
	qb_endpoint_unlink_reset(c->q, &pid->reset);
	qb_remote_cids_init(&pid->remote);
	if (pid->has_path)
		stop_path(c, &c->path[pid->path], is_by_peer);
	mark_dirty(c);
}

static void forget(struct qb_conn *c, struct qb_path_id *pid)
{
	uint32_t i;

	for (i = 0; i < QB_CIDS_LOCAL; i++)
		qb_endpoint_unlink_cid(c->q, &pid->local.slot[i].entry);
	if (pid->has_path) {
		struct qb_path *p = &c->path[pid->path];

		qb_trace_tuple(c, p, true, c->q->now_ns);
		qb_loss_forget(c, p, &p->space);
		p->phase = QB_PATH_UNUSED;
		qb_cc_group_leave(&c->cc_group, p->cc.state);
		qb_conn_queue_path_event(c, p, QB_EVBIT_PATH_CLOSED);
	}
	/* Path IDs are never used again: the peer may have another one instead. */
	new_pid(pid, ++c->mp.local_max);
	c->mp.max_path_id_tx = QB_TX_DUE;
	mark_dirty(c);
	qb_multipath_refill(c);
	qb_multipath_check_available(c);
}

static bool is_forgettable(const struct qb_path_id *pid)
{
	return pid->state == QB_PID_CLOSING && pid->abandon_tx == QB_TX_DONE;
}

void qb_multipath_on_timer(struct qb_conn *c, uint64_t now_ns)
{
	uint32_t i;

	for (i = 0; i < QB_PATH_IDS; i++) {
		if (is_forgettable(&c->mp.pid[i]) && c->mp.pid[i].forget_ns <= now_ns)
			forget(c, &c->mp.pid[i]);
	}
}

uint64_t qb_multipath_deadline_ns(const struct qb_conn *c)
{
	uint64_t at_ns = QB_NEVER_NS;
	uint32_t i;

	for (i = 0; i < QB_PATH_IDS; i++) {
		if (is_forgettable(&c->mp.pid[i]))
			at_ns = QB_MIN(at_ns, c->mp.pid[i].forget_ns);
	}
	return at_ns;
}

/* ---- the client's side ---- */

/* first_spare: path IDs are used in order. */
static struct qb_path_id *first_spare(struct qb_conn *c)
{
	uint32_t limit_id = QB_MIN(c->mp.local_max, c->mp.remote_max), i;
	struct qb_path_id *best = NULL;

	for (i = 0; i < QB_PATH_IDS; i++) {
		struct qb_path_id *pid = &c->mp.pid[i];

		if (pid->state != QB_PID_SPARE || pid->id > limit_id)
			continue;
		if (!best || pid->id < best->id)
			best = pid;
	}
	return best;
}

struct qb_path_id *qb_multipath_next_spare(struct qb_conn *c)
{
	struct qb_path_id *pid = first_spare(c);

	/* When the first has no CIDs yet, wait for them. */
	return pid && qb_remote_cids_current(&pid->remote) && pid->local.next_seq ? pid : NULL;
}

void qb_multipath_check_available(struct qb_conn *c)
{
	if (c->is_server || !c->mp.is_waiting || !c->mp.is_enabled || !c->hs.is_confirmed ||
	    !free_path(c) || !qb_multipath_next_spare(c))
		return;
	c->mp.is_waiting = false;
	qb_conn_queue_event(c, QB_EVBIT_PATHS_AVAILABLE);
}

void qb_multipath_complain(struct qb_conn *c)
{
	struct qb_path_id *spare = first_spare(c);
	uint32_t limit = c->mp.remote_max;

	/* Once for each limit; a path ID that exists lacks CIDs only for a moment. */
	if (c->mp.blocked_tx == QB_TX_DUE || c->mp.blocked_tx == QB_TX_SENT ||
	    (!spare && c->mp.blocked_at == limit + 1) || limit > c->mp.local_max)
		return;
	c->mp.blocked_at = limit + 1;
	c->mp.blocked_on = spare;
	c->mp.blocked_tx = QB_TX_DUE;
	mark_dirty(c);
}

void qb_multipath_set_status(struct qb_conn *c, struct qb_path_id *pid, bool is_backup)
{
	if (!c->mp.is_enabled)
		return;
	pid->is_backup = is_backup;
	qb_multipath_ask(c, pid);
}

void qb_multipath_ask(struct qb_conn *c, struct qb_path_id *pid)
{
	if (!c->mp.is_enabled)
		return;
	pid->status_tx_seq++;
	pid->status_tx = QB_TX_DUE;
	mark_dirty(c);
}
