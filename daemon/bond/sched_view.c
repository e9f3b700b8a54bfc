/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What schedulers ask of a path view: its rate, when a packet could leave, when it would arrive.
 */
#include "bond/sched.h"

/* Assumed for a path without an RTT sample: with RFC 9002's 333 ms it would never get one. */
#define UNKNOWN_RTT_NS (100 * QB_NS_PER_MS)
/* A lost packet costs the inner flow a retransmission and, by its congestion control, far more. */
#define LOSS_COST_RTTS	     32
#define LOSS_COST_RTT_MIN_NS (20 * QB_NS_PER_MS)
/* By so much one-way delays must differ from half of the round trips to be used for bulk; less is
 * error of clocks and measurement. */
#define SKEW_DIV    4
#define SKEW_MIN_NS (5 * QB_NS_PER_MS)

static uint64_t rtt_ns(const struct qb_path_view *v)
{
	return v->srtt_ns ? v->srtt_ns : UNKNOWN_RTT_NS;
}

uint64_t qb_view_rate_bps(const struct qb_path_view *v)
{
	/*
	 * A delivery rate measured while there was little to deliver says little. Half the window
	 * in an RTT is what every controller keeps up: BBR's window is two BDP, the others' window
	 * is the BDP and the queue.
	 */
	uint64_t by_window =
		v->cwnd_bytes * 4 * (QB_NS_PER_SEC / QB_NS_PER_US) / (rtt_ns(v) / QB_NS_PER_US + 1);

	return qb_max_u64(qb_max_u64(v->rate_bps, by_window), QB_SCHED_RATE_MIN_BPS);
}

uint64_t qb_view_tx_ns(const struct qb_path_view *v, uint64_t bytes)
{
	return bytes * 8 * QB_NS_PER_SEC / qb_view_rate_bps(v);
}

uint64_t qb_view_wait_ns(const struct qb_path_view *v, const struct qb_pkt_meta *pkt,
			 uint64_t now_ns)
{
	uint64_t need = pkt->bytes + QB_SCHED_OVERHEAD, by_rate;

	if (v->budget_bytes >= need)
		return 0;
	if (!qb_view_is_cwnd_limited(v, pkt->bytes) && v->next_send_ns > now_ns)
		return v->next_send_ns - now_ns;
	by_rate = qb_view_tx_ns(v, need - v->budget_bytes);
	/* A wait that was in vain so far is expected to take as long again: so nobody waits for a
	 * dead path. */
	return qb_max_u64(by_rate, pkt->waited_ns);
}

uint64_t qb_views_next_ns(const struct qb_path_view *v, uint32_t n, uint32_t bytes, uint64_t now_ns)
{
	uint64_t at = QB_NEVER_NS;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (!qb_view_fits(&v[i], bytes))
			continue;
		if (qb_view_can_send(&v[i], bytes)) {
			at = qb_min_u64(at, now_ns + QB_SCHED_POLL_US * QB_NS_PER_US);
		} else if (!qb_view_is_cwnd_limited(&v[i], bytes)) {
			uint64_t need = bytes + QB_SCHED_OVERHEAD - v[i].budget_bytes;

			at = qb_min_u64(at, v[i].next_send_ns > now_ns
						    ? v[i].next_send_ns
						    : now_ns + qb_view_tx_ns(&v[i], need));
		}
	}
	return at;
}

uint64_t qb_view_base_rtt_ns(const struct qb_path_view *v)
{
	return v->min_rtt_ns ? v->min_rtt_ns : rtt_ns(v);
}

/* skew_ns: by how much one-way delay exceeds half of the round trip; up to a constant for all paths. */
static int64_t skew_ns(const struct qb_path_view *v)
{
	return (int64_t)v->owd_base_delta_ns - (int64_t)(qb_view_base_rtt_ns(v) / 2);
}

enum qb_delay_by qb_views_delay_by(const struct qb_path_view *v, uint32_t n, bool is_sparse)
{
	int64_t least_ns = INT64_MAX, most_ns = INT64_MIN;
	uint64_t quickest_ns = QB_NEVER_NS;
	bool has_owd = false;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (!v[i].is_usable)
			continue;
		has_owd |= v[i].owd_delta_ns != 0;
		quickest_ns = qb_min_u64(quickest_ns, qb_view_base_rtt_ns(&v[i]));
		least_ns = QB_MIN(least_ns, skew_ns(&v[i]));
		most_ns = QB_MAX(most_ns, skew_ns(&v[i]));
	}
	if (!has_owd)
		return QB_DELAY_BY_RTT;
	if (is_sparse)
		return QB_DELAY_BY_OWD;
	return (uint64_t)(most_ns - least_ns) > qb_max_u64(quickest_ns / SKEW_DIV, SKEW_MIN_NS) ? QB_DELAY_BY_BASE
											   : QB_DELAY_BY_RTT;
}

uint64_t qb_view_loss_cost_ns(const struct qb_path_view *v)
{
	uint64_t ppm = qb_sub_sat_u64(v->loss_ppm, QB_SCHED_LOSS_FREE_PPM);

	if (ppm == 0)
		return 0;
	return qb_max_u64(rtt_ns(v), LOSS_COST_RTT_MIN_NS) * LOSS_COST_RTTS / 1000 * ppm / 1000;
}

uint64_t qb_view_delay_ns(const struct qb_path_view *v, enum qb_delay_by by)
{
	uint64_t rtt = rtt_ns(v), min = qb_view_base_rtt_ns(v);
	uint64_t measured_queue = qb_sub_sat_u64(rtt, min), bdp, queue = 0, delay;

	/* A queue that was measured a while ago, and not fed since, has drained for so long. */
	measured_queue = qb_sub_sat_u64(measured_queue, v->sample_age_ns);
	/* What the RTT does not show yet: packets in flight beyond what the path itself holds. */
	bdp = qb_view_rate_bps(v) / 8 * (min / QB_NS_PER_US) / (QB_NS_PER_SEC / QB_NS_PER_US);
	if (v->in_flight_bytes > bdp)
		queue = qb_sub_sat_u64(qb_view_tx_ns(v, v->in_flight_bytes - bdp), measured_queue);
	if (by == QB_DELAY_BY_OWD)
		delay = v->owd_delta_ns;
	else
		delay = (by == QB_DELAY_BY_BASE ? v->owd_base_delta_ns : min / 2) + measured_queue;
	return delay + queue + qb_view_loss_cost_ns(v);
}

int qb_views_lowest_rtt(const struct qb_path_view *v, uint32_t n, uint32_t bytes, bool must_be_free)
{
	int best = -1;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (must_be_free ? !qb_view_can_send(&v[i], bytes) : !qb_view_fits(&v[i], bytes))
			continue;
		if (best < 0 || v[i].srtt_ns < v[best].srtt_ns)
			best = (int)i;
	}
	return best;
}

void qb_view_charge(struct qb_path_view *v, uint32_t bytes, uint64_t now_ns)
{
	uint64_t n = bytes + QB_SCHED_OVERHEAD;

	v->budget_bytes = qb_sub_sat_u64(v->budget_bytes, n);
	v->in_flight_bytes += n;
	v->next_send_ns = qb_max_u64(v->next_send_ns, now_ns) + qb_view_tx_ns(v, n);
}
