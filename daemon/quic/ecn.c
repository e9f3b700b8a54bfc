/* SPDX-License-Identifier: BSD-2-Clause */
/* ECN of a path as a sender (RFC 9000 §13.4.2): which codepoint to send, and whether the path tells the truth. */
#include "quic/conn.h"

enum {
	TEST_PKTS = 10, /* marked packets that prove a path that drops them (RFC 9000 §A.4) */
};

void qb_ecn_start(struct qb_path *p)
{
	struct qb_ecn_tx *e = &p->ecn;

	/* What the peer has counted goes on: it belongs to the packet number space, not to the addresses. */
	e->codepoint = p->cc.algo->is_ect1 ? QB_ECN_ECT1 : QB_ECN_ECT0;
	e->test_cnt = e->lost_cnt = 0;
	e->state = p->cc.algo->on_ecn && !p->tune.is_ecn_off ? QB_ECN_TESTING : QB_ECN_OFF;
}

uint8_t qb_ecn_codepoint(struct qb_path *p)
{
	struct qb_ecn_tx *e = &p->ecn;

	if (e->state == QB_ECN_TESTING && e->test_cnt >= TEST_PKTS && e->lost_cnt >= e->test_cnt)
		e->state = QB_ECN_FAILED;
	if (e->state != QB_ECN_TESTING && e->state != QB_ECN_CAPABLE)
		return QB_ECN_NOT;
	e->test_cnt++;
	if (e->codepoint == QB_ECN_ECT1)
		e->ect1_cnt++;
	else
		e->ect0_cnt++;
	return e->codepoint;
}

/*
 * is_valid: no count falls, none is larger than what was sent with it, and every marked packet that is newly acknowledged was
 * counted with a mark. A path's codepoint changes with its controller, so both may occur.
 */
static bool is_valid(const struct qb_ecn_tx *e, const struct qb_frame_ack *ack, uint32_t newly_ect_cnt)
{
	if (ack->ect0 < e->peer_ect0 || ack->ect1 < e->peer_ect1 || ack->ce < e->peer_ce)
		return false;
	if (ack->ect0 > e->ect0_cnt || ack->ect1 > e->ect1_cnt ||
	    ack->ect0 + ack->ect1 + ack->ce > e->ect0_cnt + e->ect1_cnt)
		return false;
	return ack->ect0 - e->peer_ect0 + (ack->ect1 - e->peer_ect1) + (ack->ce - e->peer_ce) >= newly_ect_cnt;
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
	if ((!ev.ce_pkts && !ev.ect_pkts) || !p->cc.algo->on_ecn)
		return;
	p->cc.algo->on_ecn(p->cc.state, &ev);
	qb_resume_on_ecn(&p->cc.resume, &ev);
}
