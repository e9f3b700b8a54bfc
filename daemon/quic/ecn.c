/* SPDX-License-Identifier: BSD-2-Clause */
/* ECN of a path as a sender (RFC 9000 §13.4.2): which codepoint to send, and whether the path tells the truth. */
#include "quic/conn.h"

enum {
	TEST_PKTS = 10, /* marked packets that prove a path that drops them (RFC 9000 §A.4) */
};

void qb_ecn_start(struct qb_path *p)
{
	const struct qb_cc *algo = p->cc.algo;

	/* Counts go on: they belong to the packet number space, not to the addresses. */
	if (p->ecn.sent_cnt == 0)
		p->ecn.codepoint = algo->is_ect1 ? QB_ECN_ECT1 : QB_ECN_ECT0;
	p->ecn.state = algo->on_ecn ? QB_ECN_TESTING : QB_ECN_OFF;
}

uint8_t qb_ecn_codepoint(struct qb_path *p)
{
	struct qb_ecn_tx *e = &p->ecn;

	if (e->state == QB_ECN_TESTING && e->sent_cnt >= TEST_PKTS && e->lost_cnt >= e->sent_cnt)
		e->state = QB_ECN_FAILED;
	if (e->state != QB_ECN_TESTING && e->state != QB_ECN_CAPABLE)
		return QB_ECN_NOT;
	e->sent_cnt++;
	return e->codepoint;
}

static bool is_valid(const struct qb_ecn_tx *e, const struct qb_frame_ack *ack, uint32_t newly_ect_cnt)
{
	uint64_t own_old = e->codepoint == QB_ECN_ECT1 ? e->peer_ect1 : e->peer_ect0;
	uint64_t own_new = e->codepoint == QB_ECN_ECT1 ? ack->ect1 : ack->ect0;
	uint64_t other = e->codepoint == QB_ECN_ECT1 ? ack->ect0 : ack->ect1;

	if (own_new < own_old || ack->ce < e->peer_ce || other)
		return false;
	if (own_new + ack->ce > e->sent_cnt)
		return false;
	return own_new - own_old + (ack->ce - e->peer_ce) >= newly_ect_cnt;
}

void qb_ecn_on_ack(struct qb_path *p, const struct qb_frame_ack *ack, uint32_t newly_ect_cnt,
		   uint64_t largest_sent_ns, uint64_t now_ns)
{
	struct qb_ecn_tx *e = &p->ecn;
	struct qb_cc_ecn ev;

	if (e->state != QB_ECN_TESTING && e->state != QB_ECN_CAPABLE)
		return;
	/* An ACK that was overtaken says nothing new. */
	if (ack->largest < e->largest_acked)
		return;
	e->largest_acked = ack->largest;
	if (!is_valid(e, ack, newly_ect_cnt)) {
		e->state = QB_ECN_FAILED;
		return;
	}
	if (newly_ect_cnt)
		e->state = QB_ECN_CAPABLE;
	ev = (struct qb_cc_ecn){
		.now_ns = now_ns,
		.ce_pkts = ack->ce - e->peer_ce,
		.ect_pkts = newly_ect_cnt,
		.largest_sent_ns = largest_sent_ns,
		.in_flight_bytes = p->cc.in_flight_bytes,
		.srtt_ns = p->rtt.smoothed_ns,
		.delivered_bytes = p->rate.delivered_bytes,
	};
	e->peer_ect0 = ack->ect0;
	e->peer_ect1 = ack->ect1;
	e->peer_ce = ack->ce;
	ev.ect_pkts = qb_sub_sat_u64(ev.ect_pkts, ev.ce_pkts);
	if ((ev.ce_pkts || ev.ect_pkts) && p->cc.algo->on_ecn)
		p->cc.algo->on_ecn(p->cc.state, &ev);
}
