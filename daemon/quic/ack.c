/* SPDX-License-Identifier: BSD-2-Clause */
/* ACK and PATH_ACK frames: what arrived, the RTT, the delivery rate, and what the controller is told of it. */
#include "quic/conn.h"

#include <errno.h>

enum {
	/* Bound of an ACK's delay field in µs before it is scaled: more is nonsense and must not overflow. */
	DELAY_MAX = 1 << 24,
	REORDER_PKTS_MAX = 1024,
};

/* So long ACKs must have come by other paths before that is their way. */
#define DETOUR_NS (3 * QB_NS_PER_SEC)

#define TS_MAX (UINT64_C(1) << 50) /* µs: 35 years, and no overflow */

/* What one ACK frame brought. */
struct ack_work {
	struct qb_conn *c;
	struct qb_path *p;
	struct qb_space *s;
	enum qb_level level;
	uint64_t now_ns, arrived_ns;
	struct qb_rate_sample rate;
	uint64_t acked_bytes;
	uint32_t newly_cnt, eliciting_cnt, ect_cnt;
	uint64_t before_largest;  /* acknowledged before; QB_PN_NONE: nothing was */
	uint64_t largest_newly;   /* QB_PN_NONE: none */
	uint64_t largest_sent_ns;
	bool is_largest_foreign;
	bool is_detoured; /* the ACK came by another path than what it acknowledges left by */
	bool has_rtt, has_owd; /* this ACK gave an RTT sample */
};

static void give_refs(struct qb_conn *c, struct qb_sent_pkt *rec)
{
	struct qb_frame_ref ref;

	while (qb_refs_take(&c->q->ref_slab, &rec->frames, &ref))
		qb_conn_on_ref(c, &ref, true);
}

/* on_ack_seen: our report of what we received arrived, it need not be repeated. */
static void on_ack_seen(struct ack_work *w, const struct qb_sent_pkt *rec)
{
	struct qb_rx_space *rx = &w->s->rx;

	if (w->level == QB_LEVEL_APP) {
		if (w->c->path[rec->ack_path].phase == QB_PATH_UNUSED)
			return;
		rx = &w->c->path[rec->ack_path].space.rx;
	}
	qb_rx_space_on_ack_acked(rx, rec->ack_largest);
}

static bool is_foreign(const struct ack_work *w, const struct qb_sent_pkt *rec, uint64_t pn)
{
	return w->level == QB_LEVEL_APP && qb_path_is_foreign(w->p, rec, pn);
}

/*
 * note_late: a packet arrived behind later ones. Where the path puts packets out of order the time threshold of loss detection
 * grows by what they need (RFC 9002 §6.1.2 leaves that open), up to a round trip, as RACK's window does (RFC 8985 §6.2).
 */
static void note_late(struct ack_work *w, const struct qb_sent_pkt *rec)
{
	struct qb_space *s = w->s;
	uint64_t late_ns = qb_sub_sat_u64(w->now_ns - rec->sent_ns, qb_rtt_loss_delay_ns(&w->p->rtt));
	uint64_t late_us = QB_MIN(late_ns + late_ns / 8, w->p->rtt.smoothed_ns) / QB_NS_PER_US;

	if (late_us == 0 || late_us * 2 < s->reorder_us)
		return;
	s->reorder_at_s = (uint16_t)(w->now_ns / QB_NS_PER_SEC);
	s->reorder_us = (uint32_t)QB_MAX((uint64_t)s->reorder_us, QB_MIN(late_us, (uint64_t)UINT32_MAX));
}

static void on_newly_acked(struct ack_work *w, struct qb_sent_pkt *rec, uint64_t pn)
{
	struct qb_path *p = w->p;

	rec->state = QB_SENT_ACKED;
	w->newly_cnt++;
	if (QB_UNLIKELY(w->before_largest != QB_PN_NONE && pn < w->before_largest))
		note_late(w, rec);
	/* As with losses, what elicits no ACK is nobody's loss. */
	p->total.acked_packets += (rec->flags & QB_SENT_ELICITING) != 0;
	if (w->largest_newly == QB_PN_NONE || pn > w->largest_newly) {
		w->largest_newly = pn;
		w->largest_sent_ns = rec->sent_ns;
		w->is_largest_foreign = is_foreign(w, rec, pn);
	}
	if (rec->flags & QB_SENT_IN_FLIGHT) {
		p->cc.in_flight_bytes -= rec->bytes;
		if (!is_foreign(w, rec, pn)) {
			w->acked_bytes += rec->bytes;
			qb_rate_on_acked(&p->rate, &w->rate, rec, pn, w->now_ns);
		}
	}
	if (rec->flags & QB_SENT_ELICITING) {
		w->s->sent.eliciting_cnt--;
		w->eliciting_cnt++;
	}
	w->ect_cnt += (rec->flags & QB_SENT_ECT) != 0;
	if (QB_UNLIKELY(rec->flags & QB_SENT_MTU_PROBE))
		qb_mtu_on_probe_acked(&p->mtu, rec->bytes, w->now_ns);
	else if (rec->flags & QB_SENT_ELICITING) /* the others arrive, but are never lost */
		qb_mtu_on_acked(&p->mtu, rec->bytes);
	if (rec->flags & QB_SENT_HAS_ACK)
		on_ack_seen(w, rec);
	if (rec->frames)
		give_refs(w->c, rec);
}

/* on_spurious: it was declared lost, and arrived. Reordering explains it: wait longer before the next verdict. */
static void on_spurious(struct ack_work *w, struct qb_sent_pkt *rec, uint64_t pn)
{
	struct qb_path *p = w->p;
	uint64_t distance = qb_sub_sat_u64(w->s->sent.largest_acked, pn);

	rec->state = QB_SENT_ACKED;
	p->total.spurious_packets++;
	qb_count(w->c->q->cfg.counters, QB_CNT_PACKETS_SPURIOUS);
	distance = QB_MIN(distance + 1, (uint64_t)REORDER_PKTS_MAX);
	w->s->reorder_pkts = QB_MAX(w->s->reorder_pkts, (uint16_t)distance);
	note_late(w, rec);
	if (rec->sent_ns > p->cc.recovery_sent_ns || !p->cc.event_lost_cnt || is_foreign(w, rec, pn))
		return;
	if (--p->cc.event_lost_cnt == 0 && p->cc.algo->on_spurious)
		p->cc.algo->on_spurious(p->cc.state, w->now_ns);
}

/*
 * take_range goes through the records of [first, last] from above. Runs that were acknowledged before are jumped
 * over, so that the ranges which every ACK repeats cost nothing: each record that was looked at knows how far down its run
 * goes, so that no order of ranges has the same way gone twice. Returns false for a packet that was never sent.
 */
static bool take_range(struct ack_work *w, uint64_t first, uint64_t last)
{
	const struct qb_sent *sent = &w->s->sent;
	uint64_t tail = sent->tail_pn, pn = last;

	if (last < tail)
		return true;
	first = QB_MAX(first, tail);
	for (;;) {
		struct qb_sent_pkt *rec = qb_sent_at(sent, pn);
		uint64_t down_to = pn;

		switch ((enum qb_sent_state)rec->state) {
		case QB_SENT_SKIPPED:
			return false;
		case QB_SENT_ACKED:
			down_to = rec->run_lo_pn;
			break;
		case QB_SENT_FLIGHT:
			on_newly_acked(w, rec, pn);
			break;
		case QB_SENT_LOST:
			on_spurious(w, rec, pn);
			break;
		}
		rec->run_lo_pn = QB_MIN(down_to, first);
		if (down_to <= first)
			break;
		pn = down_to - 1;
	}
	return true;
}

/*
 * is_rtt_of: an ACK by another path tells how long one of them takes there and the other one back. That is the path's RTT only where
 * ACKs take that way for good, and nothing measured by another way is then left of it (RFC 10069 §5.4).
 */
static bool is_rtt_of(struct qb_path *p, bool is_detoured, uint64_t now_ns)
{
	if (is_detoured == p->is_rtt_detoured) {
		p->detour_ns = 0;
		return true;
	}
	if (is_detoured && qb_rtt_has_sample(&p->rtt)) {
		p->detour_ns = p->detour_ns ? p->detour_ns : now_ns;
		if (now_ns - p->detour_ns < DETOUR_NS)
			return false;
	}
	p->rtt.first_sample_ns = p->detour_ns = 0;
	p->is_rtt_detoured = is_detoured;
	return true;
}

static void sample_rtt(struct ack_work *w, const struct qb_frame_ack *ack)
{
	struct qb_conn *c = w->c;
	uint64_t delay_ns = 0, arrived_ns = w->arrived_ns;

	if (w->largest_newly != ack->largest || !w->eliciting_cnt || w->is_largest_foreign ||
	    !is_rtt_of(w->p, w->is_detoured, w->now_ns))
		return;
	if (w->level == QB_LEVEL_APP) {
		delay_ns = (QB_MIN(ack->delay, (uint64_t)DELAY_MAX) << c->peer.ack_delay_exponent) *
			   QB_NS_PER_US;
		if (c->hs.is_confirmed)
			delay_ns = QB_MIN(delay_ns, qb_conn_peer_ack_delay_ns(c));
	}
	/* Before it was asked for? The clock that stamps was set. No round trip is none, and the least is kept. */
	if (arrived_ns <= w->largest_sent_ns)
		arrived_ns = w->now_ns;
	w->has_rtt = true;
	qb_rtt_update(&w->p->rtt, arrived_ns - w->largest_sent_ns, delay_ns, w->now_ns);
	qb_streams_set_rtt(&c->streams, w->p->rtt.smoothed_ns);
}

/*
 * sample_owd measures both ways by the peer's clock, before the ACK settles what it is about: there with the time of arrival, and back
 * with the time at which the ACK must have left.
 */
static void sample_owd(struct ack_work *w, const struct qb_frame_ack *ack, bool is_own_way)
{
	const struct qb_sent *sent = &w->s->sent;
	uint64_t delay_ns = (QB_MIN(ack->delay, (uint64_t)DELAY_MAX) << w->c->peer.ack_delay_exponent) * QB_NS_PER_US;
	uint64_t there_ns = QB_MIN(ack->ts, (uint64_t)TS_MAX) * QB_NS_PER_US;
	const struct qb_sent_pkt *rec;

	if (w->level != QB_LEVEL_APP || ack->ts_pn < sent->tail_pn || ack->ts_pn >= sent->next_pn)
		return;
	rec = qb_sent_at(sent, ack->ts_pn);
	/* Once a packet: later ACKs may say it again. */
	if (rec->state != QB_SENT_FLIGHT)
		return;
	qb_owd_update(&w->p->owd.tx, (int64_t)(there_ns - rec->sent_ns), w->now_ns);
	w->has_owd = ack->ts_pn == ack->largest;
	if (is_own_way && ack->ts_pn == ack->largest)
		qb_owd_update(&w->p->owd.rx, (int64_t)(w->arrived_ns - there_ns - delay_ns), w->now_ns);
}

/* tell_cc reports the acknowledgement to the controller. */
static void tell_cc(struct ack_work *w, uint64_t prior_in_flight, uint64_t lost_bytes)
{
	struct qb_path *p = w->p;
	const struct qb_rate_sample *rs = &w->rate;
	struct qb_cc_ack ev = {
		.now_ns = w->now_ns,
		.acked_bytes = w->acked_bytes,
		.in_flight_bytes = p->cc.in_flight_bytes,
		.prior_in_flight_bytes = prior_in_flight,
		.lost_bytes = lost_bytes,
		.largest_sent_ns = w->largest_sent_ns,
		.rtt_ns = w->has_rtt ? p->rtt.latest_ns : 0,
		.srtt_ns = p->rtt.smoothed_ns,
		.min_rtt_ns = p->rtt.min_ns,
		.rate_bps = rs->bps,
		.rate_interval_ns = rs->interval_ns,
		.rate_delivered_bytes = rs->delivered_bytes,
		.rate_lost_bytes = rs->lost_bytes,
		.prior_delivered_bytes = rs->prior_delivered_bytes,
		.delivered_bytes = p->rate.delivered_bytes,
		.tx_in_flight_bytes = rs->tx_in_flight_bytes,
		.has_queue = w->has_owd,
		.queue_ns = w->has_owd ? (uint64_t)(p->owd.tx.latest_ns - qb_owd_base_ns(&p->owd.tx)) : 0,
		.sharer_cnt = p->sharer_cnt,
		.is_rate_app_limited = rs->is_app_limited,
		.is_cwnd_limited = w->level != QB_LEVEL_APP || w->largest_newly < p->cc.limited_pn,
	};

	if (!w->acked_bytes)
		return;
	p->cc.algo->on_ack(p->cc.state, &ev);
	qb_resume_on_ack(&p->cc.resume, &ev);
}

static void on_key_phase_acked(struct ack_work *w)
{
	struct qb_keyring *k = &w->c->keys;

	if (w->level != QB_LEVEL_APP || !k->is_update_unacked ||
	    w->largest_newly < w->p->tx_phase_pn)
		return;
	k->is_update_unacked = false;
	k->acked_ns = w->now_ns;
}

static void finish(struct ack_work *w, const struct qb_frame_ack *ack, uint64_t prior_in_flight)
{
	struct qb_path *p = w->p;
	uint64_t lost_bytes;

	sample_rtt(w, ack);
	qb_ecn_on_ack(p, ack, w->ect_cnt, w->largest_sent_ns, w->now_ns);
	qb_rate_finish(&p->rate, &w->rate, p->rtt.min_ns);
	lost_bytes = qb_loss_detect(w->c, p, w->level, w->now_ns);
	tell_cc(w, prior_in_flight, lost_bytes);
	if (w->eliciting_cnt) {
		p->live.last_ack_ns = w->now_ns;
		p->live.last_acked_sent_ns =
			QB_MAX(p->live.last_acked_sent_ns, w->largest_sent_ns);
	}
	/* RFC 9002 §6.2.1: a client in doubt about its address keeps backing off. */
	if (!w->c->hs.is_peer_validating)
		p->pto_count = 0;
	on_key_phase_acked(w);
	/* RFC 9001 §4.1.2: an acknowledged 1-RTT packet confirms the handshake as HANDSHAKE_DONE does. */
	if (w->level == QB_LEVEL_APP && (p->idx != 0 || w->largest_newly >= w->c->early.end_pn))
		qb_handshake_confirm(w->c, w->now_ns);
	qb_path_update_cc(p, w->now_ns);
	qb_trace_recovery(w->c, p, w->now_ns);
	qb_ack_freq_review(w->c, w->now_ns);
}

/*
 * tell_arrived says of a path in doubt what came out at its far end. Packets are gone through from the newest down; those in a row make
 * one report, and when there is no room for more, the oldest go untold: they were sent again first.
 */
static void tell_arrived(struct ack_work *w, const struct qb_sent_pkt *rec)
{
	struct qb_lost_ring *r = &w->c->lost;
	struct qb_lost_datagram *last = &w->c->lost_slots[(r->head + r->cnt - 1) % QB_LOST_RING];

	if (r->cnt && last->has_arrived && last->path == w->p->idx && rec->cookie + rec->datagram_cnt == last->cookie &&
	    last->cnt + rec->datagram_cnt <= UINT16_MAX) {
		last->cookie = rec->cookie;
		last->cnt += rec->datagram_cnt;
		return;
	}
	if (r->cnt == QB_LOST_RING)
		return;
	w->c->lost_slots[(r->head + r->cnt++) % QB_LOST_RING] = (struct qb_lost_datagram){
		.cookie = rec->cookie,
		.sent_ns = rec->sent_ns,
		.path = w->p->idx,
		.has_arrived = true,
		.cnt = rec->datagram_cnt,
	};
}

/*
 * is_hearsay: another path says what arrived by one in doubt before it was. That is nothing to go by: it is no sign of life, and the path's
 * own ACK, if it still comes, says how long that took.
 */
static bool is_hearsay(const struct ack_work *w, const struct qb_frame_ack *ack)
{
	const struct qb_sent *sent = &w->s->sent;

	return w->p->is_doubted && w->level == QB_LEVEL_APP && w->is_detoured && !w->p->is_rtt_detoured &&
	       (ack->largest < sent->tail_pn || qb_sent_at(sent, ack->largest)->sent_ns <= w->p->doubted_ns);
}

/* hear tells the owner what is heard so, once a doubt: nothing else is new. Returns false for a packet that was never sent. */
static bool hear(struct ack_work *w, const struct qb_frame_ack *ack)
{
	const struct qb_sent *sent = &w->s->sent;
	struct qb_ack_iter it;
	struct qb_range r;

	if (!w->p->is_hearsay_due)
		return true;
	w->p->is_hearsay_due = false;
	qb_ack_iter_init(&it, ack);
	while (qb_ack_iter_next(&it, &r)) {
		for (uint64_t pn = r.last + 1; pn > QB_MAX(r.first, sent->tail_pn); pn--) {
			const struct qb_sent_pkt *rec = qb_sent_at(sent, pn - 1);

			if (rec->state == QB_SENT_SKIPPED)
				return false;
			if (rec->state == QB_SENT_FLIGHT && (rec->flags & QB_SENT_DATAGRAM))
				tell_arrived(w, rec);
		}
	}
	return true;
}

int qb_ack_on_frame(struct qb_conn *c, struct qb_path *p, const struct qb_rx_pkt *rx,
		    const struct qb_frame_ack *ack)
{
	struct ack_work w = {
		.c = c,
		.p = p,
		.s = qb_conn_space(c, rx->level, p),
		.level = rx->level,
		.now_ns = rx->now_ns,
		.arrived_ns = rx->b->rx_ns,
		.is_detoured = rx->path != p,
		.largest_newly = QB_PN_NONE,
	};
	uint64_t prior_in_flight = p->cc.in_flight_bytes;
	struct qb_sent *sent = &w.s->sent;
	struct qb_ack_iter it;
	struct qb_range r;

	if (ack->largest >= sent->next_pn)
		goto lie;
	if (ack->ts_cnt > QB_RX_TIMESTAMPS)
		return qb_conn_fail(c, QB_QUIC_PROTOCOL_VIOLATION, QB_FRAME_ACK_TS, "more timestamps than were asked for",
				    rx->now_ns);
	if (QB_UNLIKELY(is_hearsay(&w, ack))) {
		if (!hear(&w, ack))
			goto lie;
		return 0;
	}
	w.before_largest = sent->largest_acked;
	if (sent->largest_acked == QB_PN_NONE || ack->largest > sent->largest_acked)
		sent->largest_acked = ack->largest;
	if (ack->has_ts)
		sample_owd(&w, ack, !w.is_detoured);
	qb_ack_iter_init(&it, ack);
	while (qb_ack_iter_next(&it, &r)) {
		if (!take_range(&w, r.first, r.last))
			goto lie;
		/* Ranges come from the newest down: the rest is settled. */
		if (r.first <= sent->tail_pn)
			break;
	}
	if (w.newly_cnt)
		finish(&w, ack, prior_in_flight);
	qb_sent_skip_settled(sent);
	qb_sent_trim(sent, 2 * qb_rtt_pto_ns(&p->rtt, 0), rx->now_ns);
	return 0;
lie:
	return qb_conn_fail(c, QB_QUIC_PROTOCOL_VIOLATION, QB_FRAME_ACK,
			    "acknowledged a packet that was never sent", rx->now_ns);
}
