/* SPDX-License-Identifier: BSD-2-Clause */
/* Proportional Rate Reduction: RFC 9937 §6.2, in its names. */
#include "cc/prr.h"

static void allow(struct qb_prr *p, uint64_t in_flight_bytes, uint64_t sndcnt_bytes)
{
	p->allowed_bytes = sndcnt_bytes;
	p->cwnd_bytes = in_flight_bytes + sndcnt_bytes;
}

void qb_prr_begin(struct qb_prr *p, uint32_t mss_bytes, const struct qb_cc_loss *ev)
{
	*p = (struct qb_prr){
		.flight_bytes = ev->in_flight_bytes + ev->lost_bytes,
		.start_ns = ev->now_ns,
		.mss_bytes = mss_bytes,
		.is_active = true,
	};
	allow(p, ev->in_flight_bytes, mss_bytes); /* found by a timer: one packet without an ACK */
}

void qb_prr_on_sent(struct qb_prr *p, const struct qb_cc_sent *ev)
{
	p->out_bytes += ev->bytes;
	p->allowed_bytes = qb_sub_sat_u64(p->allowed_bytes, ev->bytes);
}

/* proportional is CEIL(prr_delivered * ssthresh / RecoverFS), in whole packets as in the RFC's
 * example: nothing waits for the rest of a packet's worth. */
static uint64_t proportional(const struct qb_prr *p, uint64_t ssthresh_bytes)
{
	double whole = (double)QB_MAX(p->flight_bytes, UINT64_C(1)) * p->mss_bytes;
	double pkts = (double)p->delivered_bytes * (double)ssthresh_bytes / whole;
	uint64_t cnt = (uint64_t)pkts;

	return (cnt + ((double)cnt < pkts)) * p->mss_bytes;
}

void qb_prr_on_ack(struct qb_prr *p, const struct qb_cc_ack *ev, uint64_t ssthresh_bytes)
{
	uint64_t sndcnt;

	if (!p->is_active || !ev->acked_bytes)
		return;
	if (ev->now_ns == p->start_ns) /* the ACK that revealed the loss */
		p->flight_bytes = qb_max_u64(p->flight_bytes, ev->prior_in_flight_bytes);
	p->delivered_bytes += ev->acked_bytes;
	if (ev->in_flight_bytes > ssthresh_bytes) {
		sndcnt = qb_sub_sat_u64(proportional(p, ssthresh_bytes), p->out_bytes);
	} else {
		sndcnt = qb_sub_sat_u64(p->delivered_bytes, p->out_bytes);
		sndcnt = qb_max_u64(sndcnt, ev->acked_bytes);
		if (!ev->lost_bytes)
			sndcnt += p->mss_bytes;
		sndcnt = qb_min_u64(sndcnt, ssthresh_bytes - ev->in_flight_bytes);
	}
	if (!p->out_bytes && !sndcnt)
		sndcnt = p->mss_bytes;
	allow(p, ev->in_flight_bytes, sndcnt);
}

void qb_prr_on_loss(struct qb_prr *p, const struct qb_cc_loss *ev)
{
	allow(p, ev->in_flight_bytes, p->allowed_bytes);
}
