/* SPDX-License-Identifier: BSD-2-Clause */
/* Delivery rate sampling; called by conn_tx.c for each packet sent and by ack.c for each acknowledged. */
#include "quic/rate.h"

void qb_rate_on_sent(struct qb_rate *r, struct qb_sent_pkt *p, uint64_t in_flight_bytes,
		     uint64_t now_ns)
{
	if (!in_flight_bytes) {
		r->first_sent_ns = now_ns;
		r->delivered_ns = now_ns;
	}
	p->delivered_bytes = r->delivered_bytes;
	p->delivered_ns = r->delivered_ns;
	p->first_sent_ns = r->first_sent_ns;
	p->lost_bytes = r->lost_bytes;
	p->tx_in_flight_bytes = (uint32_t)QB_MIN(in_flight_bytes + p->bytes, UINT32_MAX);
	if (r->app_limited_bytes)
		p->flags |= QB_SENT_APP_LIMITED;
}

void qb_rate_on_acked(struct qb_rate *r, struct qb_rate_sample *rs, const struct qb_sent_pkt *p,
		      uint64_t pn, uint64_t now_ns)
{
	r->delivered_bytes += p->bytes;
	r->delivered_ns = now_ns;
	if (rs->has_data && (p->sent_ns < rs->newest_sent_ns ||
			     (p->sent_ns == rs->newest_sent_ns && pn < rs->newest_pn)))
		return;
	rs->has_data = true;
	rs->newest_sent_ns = p->sent_ns;
	rs->newest_pn = pn;
	rs->prior_delivered_bytes = p->delivered_bytes;
	rs->prior_ns = p->delivered_ns;
	rs->prior_lost_bytes = p->lost_bytes;
	rs->is_app_limited = p->flags & QB_SENT_APP_LIMITED;
	rs->tx_in_flight_bytes = p->tx_in_flight_bytes;
	rs->send_elapsed_ns = p->sent_ns - p->first_sent_ns;
	rs->ack_elapsed_ns = now_ns - p->delivered_ns;
	r->first_sent_ns = p->sent_ns;
}

void qb_rate_finish(struct qb_rate *r, struct qb_rate_sample *rs, uint64_t min_rtt_ns)
{
	if (r->app_limited_bytes && r->delivered_bytes > r->app_limited_bytes)
		r->app_limited_bytes = 0;
	if (!rs->has_data)
		return;
	rs->interval_ns = QB_MAX(rs->send_elapsed_ns, rs->ack_elapsed_ns);
	rs->delivered_bytes = r->delivered_bytes - rs->prior_delivered_bytes;
	rs->lost_bytes = r->lost_bytes - rs->prior_lost_bytes;
	/* Shorter than the smallest RTT: ACK compression, not bandwidth (§4.1.2.4). */
	if (!rs->interval_ns || rs->interval_ns < min_rtt_ns)
		return;
	rs->bps = (uint64_t)((double)rs->delivered_bytes * 8e9 / (double)rs->interval_ns);
	r->bps = rs->bps;
	if (!rs->is_app_limited || rs->bps / 1000 > r->busy_kbps)
		r->busy_kbps = (uint32_t)qb_min_u64(rs->bps / 1000, UINT32_MAX);
}

void qb_rate_set_app_limited(struct qb_rate *r, uint64_t in_flight_bytes)
{
	r->app_limited_bytes = QB_MAX(r->delivered_bytes + in_flight_bytes, UINT64_C(1));
}
