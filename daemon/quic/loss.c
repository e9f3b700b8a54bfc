/* SPDX-License-Identifier: BSD-2-Clause */
/* Loss detection and probe timeouts (RFC 9002 §6), persistent congestion (§7.6). One path, one space at a time. */
#include "quic/conn.h"

enum {
	PTO_REQUEUE_PKTS = 2, /* oldest packets whose frames a probe carries again */
};

enum { REORDER_HALF_S = 10 }; /* a path that has kept the order for so long is trusted to by half */

static void push_lost_datagram(struct qb_conn *c, const struct qb_path *p,
			       const struct qb_sent_pkt *rec)
{
	struct qb_lost_ring *r = &c->lost;

	qb_count_add(c->q->cfg.counters, QB_CNT_DATAGRAMS_LOST, rec->datagram_cnt);
	if (r->cnt == QB_LOST_RING) {
		r->head = (r->head + 1) % QB_LOST_RING;
		r->cnt--;
	}
	c->lost_slots[(r->head + r->cnt++) % QB_LOST_RING] = (struct qb_lost_datagram){
		.cookie = rec->cookie,
		.sent_ns = rec->sent_ns,
		.path = p->idx,
		.cnt = rec->datagram_cnt,
	};
}

static void lose_refs(struct qb_conn *c, struct qb_sent_pkt *rec)
{
	struct qb_frame_ref ref;

	while (qb_refs_take(&c->q->ref_slab, &rec->frames, &ref))
		qb_conn_on_ref(c, &ref, false);
}

/* leave_flight takes a packet out of all sums. */
static void leave_flight(struct qb_path *p, struct qb_space *s, const struct qb_sent_pkt *rec)
{
	if (p && (rec->flags & QB_SENT_IN_FLIGHT))
		p->cc.in_flight_bytes -= rec->bytes;
	if (rec->flags & QB_SENT_ELICITING)
		s->sent.eliciting_cnt--;
}

/*
 * is_signal: the loss says something of congestion here. Too large is not too much (RFC 9000 §14.4), and another address is
 * another path (§9.4).
 */
static bool is_signal(const struct qb_path *p, const struct qb_space *s, const struct qb_sent_pkt *rec, uint64_t pn)
{
	return !(rec->flags & QB_SENT_MTU_PROBE) && !(s == &p->space && qb_path_is_foreign(p, rec, pn));
}

static enum qb_pkt_type pkt_type_of(const struct qb_conn *c, const struct qb_space *s)
{
	if (s == &c->hs_space[0])
		return QB_PKT_INITIAL;
	return s == &c->hs_space[1] ? QB_PKT_HANDSHAKE : QB_PKT_1RTT;
}

static void declare_lost(struct qb_conn *c, struct qb_path *p, struct qb_space *s,
			 struct qb_sent_pkt *rec, uint64_t pn, struct qb_loss *loss, uint64_t now_ns)
{
	bool is_probe = rec->flags & QB_SENT_MTU_PROBE;
	struct qb_trace_lost lost = {
		.type = pkt_type_of(c, s),
		.pn = pn,
		.sent_ns = rec->sent_ns,
		.bytes = rec->bytes,
		.is_by_time = s->sent.largest_acked - pn < s->reorder_pkts,
		.is_mtu_probe = is_probe,
	};

	qb_trace_lost(c, p, &lost, now_ns);
	rec->state = QB_SENT_LOST;
	leave_flight(p, s, rec);
	if (rec->flags & QB_SENT_DATAGRAM)
		push_lost_datagram(c, p, rec);
	lose_refs(c, rec);
	if (is_probe) {
		qb_mtu_on_probe_lost(&p->mtu, rec->bytes, now_ns);
		return;
	}
	qb_count(c->q->cfg.counters, QB_CNT_PACKETS_LOST);
	p->total.lost_packets++;
	p->total.lost_bytes += rec->bytes;
	if (!is_signal(p, s, rec, pn))
		return;
	p->rate.lost_bytes += rec->bytes;
	if (rec->flags & QB_SENT_ECT)
		p->ecn.lost_cnt++;
	if (qb_mtu_on_lost(&p->mtu, rec->bytes, qb_rtt_pto_ns(&p->rtt, 0), now_ns)) {
		qb_count(c->q->cfg.counters, QB_CNT_MTU_BLACK_HOLES);
		qb_path_update_cc(p, now_ns);
	}
	loss->bytes += rec->bytes;
	loss->pkt_cnt++;
	loss->largest_sent_ns = rec->sent_ns;
	loss->is_app_limited = rec->flags & QB_SENT_APP_LIMITED;
	loss->tx_in_flight_bytes = rec->tx_in_flight_bytes;
	loss->lost_since_tx_bytes = p->rate.lost_bytes - rec->lost_bytes;
}

/* is_unbroken: nothing that was sent between two packets is known to have arrived. */
static bool is_unbroken(const struct qb_sent *sent, uint64_t from_pn, uint64_t to_pn)
{
	uint64_t pn;

	if (from_pn + 1 < sent->tail_pn)
		return false;
	for (pn = from_pn + 1; pn < to_pn; pn++) {
		if (qb_sent_at(sent, pn)->state == QB_SENT_ACKED)
			return false;
	}
	return true;
}

/* extend_run adds a lost packet; true: with it, all was lost for so long that nothing known still holds. */
static bool extend_run(const struct qb_path *p, struct qb_space *s, const struct qb_sent_pkt *rec,
		       uint64_t pn, uint64_t persistent_ns)
{
	struct qb_lost_run *run = &s->lost_run;
	bool is_first = !run->first_sent_ns || !is_unbroken(&s->sent, run->last_pn, pn);

	if (!qb_rtt_has_sample(&p->rtt) || rec->sent_ns <= p->rtt.first_sample_ns)
		return false;
	if (is_first)
		run->first_sent_ns = rec->sent_ns;
	run->last_pn = pn;
	if (rec->sent_ns - run->first_sent_ns <= persistent_ns)
		return false;
	/* Said once; the next time begins with another one. */
	run->first_sent_ns = 0;
	return true;
}

static void tell_cc(struct qb_conn *c, struct qb_path *p, const struct qb_loss *loss, uint64_t now_ns)
{
	struct qb_cc_loss ev = {
		.now_ns = now_ns,
		.lost_bytes = loss->bytes,
		.largest_sent_ns = loss->largest_sent_ns,
		.in_flight_bytes = p->cc.in_flight_bytes,
		.tx_in_flight_bytes = loss->tx_in_flight_bytes,
		.lost_since_tx_bytes = loss->lost_since_tx_bytes,
		.delivered_bytes = p->rate.delivered_bytes,
		.range_cnt = loss->range_cnt,
		.is_persistent = loss->is_persistent,
		.is_app_limited = loss->is_app_limited,
	};

	if (loss->largest_sent_ns > p->cc.recovery_sent_ns) {
		p->cc.recovery_sent_ns = now_ns;
		p->cc.event_lost_cnt = 0;
	}
	p->cc.event_lost_cnt += loss->pkt_cnt;
	if (loss->is_persistent)
		qb_count(c->q->cfg.counters, QB_CNT_PERSISTENT_CONGESTION);
	p->cc.algo->on_loss(p->cc.state, &ev);
	qb_resume_on_loss(&p->cc.resume, &ev);
	qb_path_update_cc(p, now_ns);
}

/* reorder_ns: how much later than others a packet may come. */
static uint64_t reorder_ns(struct qb_space *s, uint64_t now_ns)
{
	uint16_t now_s = (uint16_t)(now_ns / QB_NS_PER_SEC);

	if (s->reorder_us && (uint16_t)(now_s - s->reorder_at_s) >= REORDER_HALF_S) {
		s->reorder_us /= 2;
		s->reorder_at_s = now_s;
	}
	return s->reorder_us * QB_NS_PER_US;
}

uint64_t qb_loss_detect(struct qb_conn *c, struct qb_path *p, enum qb_level level, uint64_t now_ns)
{
	struct qb_space *s = qb_conn_space(c, level, p);
	uint64_t delay_ns = qb_rtt_loss_delay_ns(&p->rtt) + qb_ack_freq_reorder_ns(&c->ack_freq) + reorder_ns(s, now_ns);
	uint64_t persistent_ns = 
		qb_rtt_persistent_ns(&p->rtt, qb_conn_peer_ack_delay_ns(c), p->tune.persistent_ptos);
	uint64_t largest = s->sent.largest_acked, pn;
	struct qb_loss loss = {0};
	uint64_t prev_pn = QB_PN_NONE;

	s->loss_at_ns = QB_NEVER_NS;
	if (largest == QB_PN_NONE)
		return 0;
	for (pn = QB_MAX(s->sent.first_flight_pn, s->sent.tail_pn); pn < largest; pn++) {
		struct qb_sent_pkt *rec = qb_sent_at(&s->sent, pn);

		if (rec->state != QB_SENT_FLIGHT || !(rec->flags & QB_SENT_ELICITING))
			continue;
		if (largest - pn < s->reorder_pkts && rec->sent_ns + delay_ns > now_ns) {
			/* Those behind it were sent later still. */
			s->loss_at_ns = rec->sent_ns + delay_ns;
			break;
		}
		if (is_signal(p, s, rec, pn)) {
			loss.range_cnt += prev_pn == QB_PN_NONE || prev_pn + 1 != pn;
			prev_pn = pn;
			loss.is_persistent |= extend_run(p, s, rec, pn, persistent_ns);
		}
		declare_lost(c, p, s, rec, pn, &loss, now_ns);
	}
	s->sent.first_flight_pn = QB_MAX(pn, s->sent.first_flight_pn);
	if (loss.pkt_cnt)
		tell_cc(c, p, &loss, now_ns);
	return loss.bytes;
}

/* ---- timers ---- */

static bool has_handshake_space(const struct qb_conn *c, const struct qb_path *p)
{
	return p->idx == 0 && !c->hs.is_confirmed;
}

/* hs_pto_base_ns: when the handshake's probe timer started; QB_NEVER_NS: it does not run. */
static uint64_t hs_pto_base_ns(const struct qb_conn *c, const struct qb_path *p)
{
	uint64_t base_ns = QB_NEVER_NS;
	uint32_t i;

	/* At the amplification limit nothing could be sent (RFC 9002 §6.2.2.1). */
	if (qb_path_amp_room(p) < QB_MTU_BASE)
		return QB_NEVER_NS;
	for (i = 0; i < 2; i++) {
		if (c->hs_space[i].sent.eliciting_cnt)
			base_ns = QB_MIN(base_ns, c->hs_space[i].last_eliciting_ns);
	}
	/* The server may be waiting for our leave to send more: it must hear from us. */
	if (base_ns == QB_NEVER_NS && !c->is_server)
		base_ns = c->hs.probe_base_ns;
	return base_ns;
}

static uint64_t pto_at_ns(const struct qb_conn *c, const struct qb_path *p)
{
	uint64_t base_ns;

	if (has_handshake_space(c, p)) {
		base_ns = hs_pto_base_ns(c, p);
		return base_ns == QB_NEVER_NS ? base_ns : base_ns + qb_path_pto_ns(p, 0);
	}
	/* Challenges are repeated by validation; a path held for dead is probed by its owner. */
	if (!qb_path_is_usable(p) || !p->space.sent.eliciting_cnt)
		return QB_NEVER_NS;
	return p->space.last_eliciting_ns + qb_path_pto_ns(p, qb_conn_peer_ack_delay_ns(c));
}

static uint64_t loss_at_ns(const struct qb_conn *c, const struct qb_path *p)
{
	uint64_t at_ns = p->space.loss_at_ns;

	if (has_handshake_space(c, p)) {
		at_ns = QB_MIN(at_ns, c->hs_space[0].loss_at_ns);
		at_ns = QB_MIN(at_ns, c->hs_space[1].loss_at_ns);
	}
	return at_ns;
}

uint64_t qb_loss_deadline_ns(struct qb_conn *c, struct qb_path *p)
{
	uint64_t at_ns = loss_at_ns(c, p);

	return at_ns != QB_NEVER_NS ? at_ns : pto_at_ns(c, p);
}

static void on_pto(struct qb_conn *c, struct qb_path *p, uint64_t now_ns)
{
	qb_count(c->q->cfg.counters, QB_CNT_PTO_FIRED);
	p->pto_count++;
	if (has_handshake_space(c, p)) {
		qb_loss_requeue(c, &c->hs_space[0], UINT32_MAX);
		qb_loss_requeue(c, &c->hs_space[1], UINT32_MAX);
		/* With 0-RTT: its data, or what it was answered with. */
		qb_loss_requeue(c, &p->space, PTO_REQUEUE_PKTS);
		c->hs.probe_cnt = p->pto_count > 1 ? 2 : 1;
		c->hs.probe_base_ns = now_ns;
		c->hs_space[0].last_eliciting_ns = now_ns;
		c->hs_space[1].last_eliciting_ns = now_ns;
		return;
	}
	/* Where another path answers, this one's data need not wait for its verdict (RFC 10069 §5.7). */
	qb_loss_requeue(c, &p->space,
			p->pto_count > 1 && qb_multipath_has_healthy(c, p) ? UINT32_MAX
									   : PTO_REQUEUE_PKTS);
	p->probe_cnt = p->pto_count > 1 ? 2 : 1;
}

void qb_loss_on_timer(struct qb_conn *c, struct qb_path *p, uint64_t now_ns)
{
	uint64_t at_ns = loss_at_ns(c, p);

	if (at_ns <= now_ns) {
		if (has_handshake_space(c, p)) {
			qb_loss_detect(c, p, QB_LEVEL_INITIAL, now_ns);
			qb_loss_detect(c, p, QB_LEVEL_HANDSHAKE, now_ns);
		}
		qb_loss_detect(c, p, QB_LEVEL_APP, now_ns);
	} else if (at_ns == QB_NEVER_NS && pto_at_ns(c, p) <= now_ns) {
		on_pto(c, p, now_ns);
	} else {
		return;
	}
	qb_trace_recovery(c, p, now_ns);
}

void qb_loss_requeue(struct qb_conn *c, struct qb_space *s, uint32_t max_pkts)
{
	uint64_t pn;

	if (!s->sent.eliciting_cnt)
		return;
	for (pn = QB_MAX(s->sent.first_flight_pn, s->sent.tail_pn);
	     pn < s->sent.next_pn && max_pkts; pn++) {
		struct qb_sent_pkt *rec = qb_sent_at(&s->sent, pn);

		if (rec->state != QB_SENT_FLIGHT || !rec->frames)
			continue;
		lose_refs(c, rec);
		max_pkts--;
	}
}

void qb_loss_abandon(struct qb_conn *c, struct qb_path *p, struct qb_space *s)
{
	uint64_t pn;

	for (pn = s->sent.tail_pn; pn < s->sent.next_pn; pn++) {
		struct qb_sent_pkt *rec = qb_sent_at(&s->sent, pn);

		if (rec->state != QB_SENT_FLIGHT)
			continue;
		rec->state = QB_SENT_LOST;
		leave_flight(p, s, rec);
		lose_refs(c, rec);
	}
	s->sent.first_flight_pn = s->sent.next_pn;
}

void qb_loss_forget(struct qb_conn *c, struct qb_path *p, struct qb_space *s)
{
	uint64_t pn;

	for (pn = s->sent.tail_pn; pn < s->sent.next_pn; pn++) {
		struct qb_sent_pkt *rec = qb_sent_at(&s->sent, pn);

		if (rec->state == QB_SENT_FLIGHT)
			leave_flight(p, s, rec);
		qb_refs_drop(&c->q->ref_slab, &rec->frames);
	}
	qb_sent_fini(&s->sent);
}

/* ---- fate of frames ---- */

static void on_handshake_done_fate(struct qb_conn *c, bool is_acked)
{
	if (c->hs.done_tx != QB_TX_DONE)
		c->hs.done_tx = is_acked ? QB_TX_DONE : QB_TX_DUE;
}

static void on_new_token_fate(struct qb_conn *c, uint64_t path_id, bool is_acked)
{
	const struct qb_path_id *pid = qb_multipath_find(c, path_id);
	struct qb_path *p = pid && pid->has_path ? &c->path[pid->path] : NULL;

	if (p && p->token_tx == QB_TX_SENT)
		p->token_tx = is_acked ? QB_TX_DONE : QB_TX_DUE;
}

static void on_observed_fate(struct qb_conn *c, const struct qb_frame_ref *ref, bool is_acked)
{
	const struct qb_path_id *pid = qb_multipath_find(c, ref->id);
	struct qb_path *p = pid && pid->has_path ? &c->path[pid->path] : NULL;

	/* A newer one says more. */
	if (p && p->observed_tx == QB_TX_SENT && ref->off == p->observed_seq)
		p->observed_tx = is_acked ? QB_TX_DONE : QB_TX_DUE;
}

void qb_conn_on_ref(struct qb_conn *c, const struct qb_frame_ref *ref, bool is_acked)
{
	if (ref->kind <= QB_REF_STREAMS_LAST) {
		if (is_acked)
			qb_streams_on_acked(&c->streams, ref);
		else
			qb_streams_on_lost(&c->streams, ref);
		return;
	}
	switch ((enum qb_conn_ref)ref->kind) {
	case QB_REF_CRYPTO:
		if (!is_acked)
			qb_crypto_on_lost(&c->crypto[ref->id], ref->off, ref->len);
		break;
	case QB_REF_HANDSHAKE_DONE:
		on_handshake_done_fate(c, is_acked);
		break;
	case QB_REF_NEW_TOKEN:
		on_new_token_fate(c, ref->id, is_acked);
		break;
	case QB_REF_OBSERVED:
		on_observed_fate(c, ref, is_acked);
		break;
	case QB_REF_ACK_FREQUENCY:
		qb_ack_freq_on_fate(&c->ack_freq, ref->off, is_acked);
		break;
	case QB_REF_NEW_CID:
	case QB_REF_RETIRE_CID:
	case QB_REF_PATH_ABANDON:
	case QB_REF_PATH_STATUS:
	case QB_REF_MAX_PATH_ID:
	case QB_REF_PATHS_BLOCKED:
	case QB_REF_CIDS_BLOCKED:
		qb_multipath_on_ref(c, ref, is_acked);
		break;
	}
}
