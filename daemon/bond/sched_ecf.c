/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ECF, earliest completion first (Lim et al., CoNEXT 2017): with the fastest path's window full,
 * the second best is used only if what is queued would not be done earlier by waiting for the
 * fastest.
 */
#include "bond/sched.h"

struct ecf_state {
	bool is_waiting;
};

static void ecf_init(void *st)
{
	memset(st, 0, sizeof(struct ecf_state));
}

/* window_of is what the path carries in a round trip, as a window is in the paper: that of a controller that paces, like BBR,
 * is about twice as much. */
static uint64_t window_of(const struct qb_path_view *v)
{
	uint64_t by_rate = qb_view_rate_bps(v) / 8 * (v->srtt_ns / QB_NS_PER_US) / (QB_NS_PER_SEC / QB_NS_PER_US);

	return qb_max_u64(qb_min_u64(v->cwnd_bytes, by_rate), 1);
}

static int ecf_pick(void *st, const struct qb_path_view *v, uint32_t n,
		    const struct qb_pkt_meta *pkt, uint64_t now_ns)
{
	struct ecf_state *state = st;
	int fast = qb_views_lowest_rtt(v, n, pkt->bytes, false),
	    slow = qb_views_lowest_rtt(v, n, pkt->bytes, true);
	uint64_t k = pkt->queued_bytes + pkt->bytes, cwnd_f, cwnd_s, x_f, srtt_f_us, srtt_s_us,
		 delta_us, bound;

	(void)now_ns;
	if (slow < 0 || slow == fast)
		return slow < 0 ? QB_SCHED_WAIT : slow;
	srtt_f_us = v[fast].srtt_ns / QB_NS_PER_US;
	srtt_s_us = v[slow].srtt_ns / QB_NS_PER_US;
	delta_us = qb_max_u64(v[fast].rttvar_ns, v[slow].rttvar_ns) / QB_NS_PER_US;
	cwnd_f = window_of(&v[fast]);
	cwnd_s = window_of(&v[slow]);
	x_f = qb_max_u64(k, cwnd_f);
	bound = cwnd_f * (srtt_s_us + delta_us);
	/* Having waited, go on waiting for a little longer: β = 1/4. */
	if (state->is_waiting)
		bound += bound / 4;
	if (srtt_f_us * (x_f + cwnd_f) >= bound) {
		state->is_waiting = false;
		return slow;
	}
	if (srtt_s_us * qb_max_u64(k, cwnd_s) < cwnd_s * (2 * srtt_f_us + delta_us))
		return slow;
	state->is_waiting = true;
	return QB_SCHED_WAIT;
}

const struct qb_sched qb_sched_ecf = {
	.name = "ecf",
	.state_bytes = sizeof(struct ecf_state),
	.init = ecf_init,
	.pick = ecf_pick,
};
