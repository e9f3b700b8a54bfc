/* SPDX-License-Identifier: BSD-2-Clause */
/* Challenges and answers (RFC 9000 §8.2), and peers whose address changes (§9.3). */
#include "quic/conn.h"

/* Each move costs challenges to two addresses and a new token: a NAT that forgets is served, a carousel is not. */
static const struct qb_budget_rule move_rule = {.burst = 16, .per_sec = 2};

void qb_path_init_moves(struct qb_conn *c, uint64_t now_ns)
{
	qb_budget_init(&c->move_budget, &move_rule, now_ns);
}

void qb_path_on_challenge(struct qb_conn *c, struct qb_rx_pkt *rx, const uint8_t *data)
{
	struct qb_response *r;

	/* No flood: who asks so often is not answered each time. */
	if (c->response_cnt == QB_RESPONSES)
		return;
	r = &c->response[c->response_cnt++];
	memcpy(r->data, data, sizeof(r->data));
	r->path = rx->path->idx;
	r->tuple = rx->b->tuple;
	r->max_bytes = QB_AMPLIFICATION * rx->b->len;
	r->is_other_cid = rx->path->rx_cid && rx->path->rx_cid != rx->cid;
	r->tuple.ecn = 0;
}

static bool matches(const struct qb_validation *v, const uint8_t *data)
{
	uint32_t cnt = QB_MIN(v->sent_cnt, (uint8_t)QB_CHALLENGES), i;

	for (i = 0; i < cnt; i++) {
		if (qb_ct_eq(v->data[i], data, QB_PATH_CHALLENGE_LEN))
			return true;
	}
	return false;
}

bool qb_path_may_migrate(const struct qb_conn *c, const struct qb_addr *peer)
{
	/* The preferred address is exempt (RFC 9000 §18.2). */
	return !c->peer.disable_active_migration || !qb_addr_eq(peer, &c->hs.server_addr);
}

/* reset_measures: another network, nothing that was measured holds (RFC 9000 §9.4). */
static void reset_measures(struct qb_conn *c, struct qb_path *p, uint64_t now_ns)
{
	p->is_new_network = false;
	p->cc.foreign_pn = 0;
	p->cc.own_pn = p->cc.moved_pn;
	qb_rtt_init(&p->rtt, p->tune.init_rtt_ns);
	p->owd = (struct qb_owd){0};
	qb_mtu_init(&p->mtu, p->mtu.max_bytes);
	qb_path_init_cc(p, p->cc.algo, &c->cc_group, qb_drbg_u64(&c->q->rnd), now_ns);
	qb_ecn_start(p);
	p->pto_count = 0;
}

void qb_path_tell_observed(struct qb_conn *c, struct qb_path *p)
{
	if (c->is_server && c->peer.has_address_discovery && c->peer.address_discovery != QB_ADDRESS_TELL)
		p->observed_tx = QB_TX_DUE;
}

void qb_path_on_observed(struct qb_path *p, const struct qb_frame *f, uint64_t now_ns)
{
	struct qb_addr *a = &p->observed, was;

	if (f->observed.seq < p->observed_seq)
		return;
	p->observed_seq = f->observed.seq + 1;
	was = *a;
	*a = (struct qb_addr){.family = f->type == QB_FRAME_OBSERVED_ADDRESS6 ? 6 : 4, .port = f->observed.port};
	memcpy(a->ip, f->observed.ip, qb_addr_ip_len(a));
	if (was.family && !qb_addr_eq(&was, a))
		qb_nat_on_moved(&p->nat, now_ns);
}

/* forget_prev: the path's former address is nothing to us any more, nor is the connection ID that was for it. */
static void forget_prev(struct qb_conn *c, struct qb_path *p)
{
	if (p->has_prev_cid) {
		qb_remote_cids_retire(&qb_conn_pid(c, p)->remote, p->prev_cid_seq);
		c->mp.is_dirty = true;
	}
	p->has_prev = p->has_prev_cid = false;
}

/*
 * change_cid: who moves with another connection ID does not want to be recognised, so what we send to the new address has another
 * one as well (RFC 9000 §9.5). is_kept: the old address keeps its own, for what is still to be said there.
 */
static void change_cid(struct qb_conn *c, struct qb_path *p, bool is_kept)
{
	struct qb_path_id *pid = qb_conn_pid(c, p);
	const struct qb_remote_cid *old = qb_remote_cids_current(&pid->remote);

	if (!old || !qb_remote_cids_switch(&pid->remote))
		return;
	if (is_kept) {
		p->has_prev_cid = true;
		p->prev_cid_seq = old->seq;
	} else {
		qb_remote_cids_retire(&pid->remote, old->seq);
		c->mp.is_dirty = true;
	}
	qb_multipath_sync_reset(c, pid);
}

void qb_path_leave(struct qb_conn *c, struct qb_path *p)
{
	forget_prev(c, p);
	p->prev_tuple = p->tuple;
	change_cid(c, p, true);
}

void qb_path_on_validated(struct qb_conn *c, struct qb_path *p, uint64_t now_ns)
{
	p->validation.is_active = false;
	p->amp.is_validated = true;
	p->validated_ns = now_ns;
	forget_prev(c, p);
	if (c->is_server && p->is_new_network)
		p->token_tx = QB_TX_DUE;
	qb_path_tell_observed(c, p);
	if (p->is_new_network)
		reset_measures(c, p, now_ns);
	if (p->phase == QB_PATH_VALIDATING) {
		p->phase = QB_PATH_OPEN;
		p->was_validated = true;
		p->token_tx = c->is_server ? QB_TX_DUE : QB_TX_NONE;
		qb_conn_queue_path_event(c, p, QB_EVBIT_PATH_VALIDATED);
	} else {
		qb_conn_queue_path_event(c, p, QB_EVBIT_PATH_MOVED);
	}
	qb_trace_validated(c, p, now_ns);
	qb_mtu_start(&p->mtu, now_ns);
	qb_preferred_probe(c, p, now_ns);
	qb_conn_touch(c);
}

void qb_path_on_response(struct qb_conn *c, const uint8_t *data, uint64_t now_ns)
{
	uint32_t i;

	for (i = 0; i < c->path_cnt; i++) {
		struct qb_path *p = &c->path[i];

		if (p->phase == QB_PATH_UNUSED)
			continue;
		if (p->validation.is_active && matches(&p->validation, data)) {
			qb_path_on_validated(c, p, now_ns);
			return;
		}
		if (p->alt.validation.is_active && matches(&p->alt.validation, data)) {
			qb_preferred_on_response(c, p, now_ns);
			return;
		}
	}
	qb_conn_on_idle_frame(c, 1);
}

void qb_path_restart(struct qb_conn *c, struct qb_path *p, const struct qb_tuple *tuple,
		     uint64_t now_ns)
{
	/* Another way, other NATs. */
	qb_nat_init(&p->nat);
	p->observed = (struct qb_addr){0};
	p->alt.validation.is_active = false;
	p->tuple = *tuple;
	p->tuple.ecn = 0;
	p->cc.moved_pn = p->space.sent.next_pn;
	qb_trace_tuple(c, p, false, now_ns);
	qb_path_start_validation(p, qb_conn_max_pto_ns(c), now_ns);
	qb_conn_touch(c);
}

/* go_back: the peer is heard at its old, validated address again. What was sent elsewhere meanwhile is no loss of this
 * path, and its window and RTT are what they were (RFC 9000 §9.3.2). */
static void go_back(struct qb_conn *c, struct qb_path *p, uint64_t now_ns)
{
	struct qb_path_id *pid = qb_conn_pid(c, p);

	if (p->has_prev_cid && qb_remote_cids_use(&pid->remote, p->prev_cid_seq)) {
		qb_multipath_sync_reset(c, pid);
		c->mp.is_dirty = true;
	}
	p->has_prev_cid = false;
	p->rx_cid = NULL;
	p->cc.foreign_pn = p->cc.left_pn;
	p->cc.own_pn = p->space.sent.next_pn;
	p->tuple = p->prev_tuple;
	qb_trace_tuple(c, p, false, now_ns);
	p->has_prev = false;
	p->is_new_network = false;
	p->validation.is_active = false;
	p->amp.is_validated = true;
	p->validated_ns = now_ns;
}

void qb_path_on_address(struct qb_conn *c, struct qb_path *p, const struct qb_rx_pkt *rx)
{
	struct qb_tuple tuple = rx->b->tuple;
	bool is_other_cid = p->rx_cid && p->rx_cid != rx->cid;

	if (QB_LIKELY(qb_tuple_eq(&p->tuple, &tuple))) {
		p->rx_cid = rx->cid;
		return;
	}
	if (!rx->is_non_probing || !c->hs.is_confirmed || p->phase == QB_PATH_CLOSING ||
	    rx->pn != qb_ranges_largest(&p->space.rx.ranges))
		return;
	if (p->has_prev && qb_tuple_eq(&p->prev_tuple, &tuple)) {
		go_back(c, p, rx->now_ns);
		return;
	}
	if (qb_addr_eq(&p->tuple.peer, &tuple.peer) && qb_addr_eq(&p->tuple.local, &tuple.local)) {
		/* By another interface of ours. */
		p->rx_cid = rx->cid;
		p->tuple = tuple;
		p->tuple.ecn = 0;
		return;
	}
	/* A client that came to our preferred address is where it was. */
	if (qb_addr_eq(&p->tuple.peer, &tuple.peer)) {
		qb_preferred_on_arrival(c, p, &tuple, rx->now_ns);
		return;
	}
	/* Nobody comes from there: it is another's packet, sent on (RFC 9000 §21.5.6). */
	if (!qb_path_is_peer_ok(&p->tuple.peer, &tuple.peer))
		return;
	/* Its packets count all the same; the next one moves the path, once it may. */
	if (!qb_budget_spend(&c->move_budget, &move_rule, 1, rx->now_ns)) {
		qb_count(c->q->cfg.counters, QB_CNT_MOVES_REFUSED);
		return;
	}
	/* Only a validated address costs us what we know: anybody can replay a packet from elsewhere. */
	p->is_new_network |= !qb_addr_ip_eq(&p->tuple.peer, &tuple.peer);
	if (p->amp.is_validated) {
		p->prev_tuple = p->tuple;
		p->has_prev = true;
		p->cc.left_pn = p->space.sent.next_pn;
	}
	if (is_other_cid)
		change_cid(c, p, p->amp.is_validated);
	p->rx_cid = rx->cid;
	p->amp = (struct qb_amp){.rx_bytes = rx->b->len};
	qb_path_restart(c, p, &tuple, rx->now_ns);
}

void qb_path_on_validation_timer(struct qb_conn *c, struct qb_path *p, uint64_t now_ns)
{
	struct qb_validation *v = &p->validation;

	if (p->alt.validation.is_active && now_ns >= p->alt.validation.give_up_ns)
		p->alt.validation.is_active = false;
	if (!v->is_active || now_ns < v->give_up_ns)
		return;
	if (p->has_prev) {
		go_back(c, p, now_ns);
		return;
	}
	/* The last path of all is not given up: the idle timeout decides. */
	if (!c->mp.is_enabled || qb_multipath_open_cnt(c) <= 1) {
		qb_path_start_validation(p, qb_conn_max_pto_ns(c), now_ns);
		return;
	}
	v->is_active = false;
	qb_conn_queue_path_event(c, p, QB_EVBIT_PATH_FAILED);
	qb_multipath_abandon(c, qb_conn_pid(c, p), QB_QUIC_PATH_UNSTABLE_OR_POOR, false, now_ns);
}

static uint64_t deadline_ns(const struct qb_validation *v)
{
	return v->is_active ? QB_MIN(v->next_ns, v->give_up_ns) : QB_NEVER_NS;
}

uint64_t qb_path_validation_deadline_ns(const struct qb_path *p)
{
	const struct qb_validation *v = &p->validation;
	uint64_t alt_ns = deadline_ns(&p->alt.validation);

	if (v->is_active && qb_path_amp_room(p) < QB_CHALLENGE_ROOM_MIN)
		return QB_MIN(v->give_up_ns, alt_ns);
	return QB_MIN(deadline_ns(v), alt_ns);
}
