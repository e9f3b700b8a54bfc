/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BLEST (Ferlin et al., IFIP Networking 2016): the slower path is left alone where its packet would
 * still be under way when the faster path has filled the receiver's buffer, for then it blocks.
 * There is no common window in a datagram tunnel: the reorder buffer stands for it. `blest:Nms` lets the
 * faster path be blocked for so long.
 */
#include "bond/sched.h"

/* The peer's reorder buffer is not announced; this is the smallest that quicbond uses. */
#define WINDOW_BYTES (1024 * 1400)
/* λ = 1.2, the share of the estimate that is kept as a margin, in fiftieths. */
#define LAMBDA_50 60

struct blest_state {
	uint32_t threshold_us; /* by which the faster path may be blocked */
};

static void blest_init(void *st)
{
	memset(st, 0, sizeof(struct blest_state));
}

static int blest_pick(void *st, const struct qb_path_view *v, uint32_t n,
		      const struct qb_pkt_meta *pkt, uint64_t now_ns)
{
	int fast = qb_views_lowest_rtt(v, n, pkt->bytes, false),
	    slow = qb_views_lowest_rtt(v, n, pkt->bytes, true);
	const struct blest_state *s = st;
	uint64_t rounds, fast_bytes, room, blocked_ns;

	(void)now_ns;
	if (slow < 0 || slow == fast)
		return slow < 0 ? QB_SCHED_WAIT : slow;
	rounds = v[slow].srtt_ns / qb_max_u64(v[fast].srtt_ns, 1) + 1;
	rounds = qb_min_u64(rounds, 64);
	/* What the fast path sends meanwhile: a window a round, each one packet larger. */
	fast_bytes = (v[fast].cwnd_bytes + (rounds - 1) * pkt->bytes / 2) * rounds;
	room = qb_sub_sat_u64(WINDOW_BYTES, v[slow].in_flight_bytes + pkt->bytes);
	blocked_ns = qb_view_tx_ns(&v[fast], qb_sub_sat_u64(fast_bytes * LAMBDA_50 / 50, room));
	return blocked_ns <= s->threshold_us * QB_NS_PER_US ? slow : QB_SCHED_WAIT;
}

const struct qb_sched qb_sched_blest = {
	.name = "blest",
	.state_bytes = sizeof(struct blest_state),
	.has_param = true,
	.init = blest_init,
	.pick = blest_pick,
};
