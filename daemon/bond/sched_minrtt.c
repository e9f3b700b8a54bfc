/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The free path with the lowest smoothed RTT. Paths within a tenth of it, or what `minrtt:N%` says, count as
 * equal: the one in use stays in use.
 */
#include "bond/sched.h"

enum { TOLERANCE_PCT = 10 };

struct minrtt_state {
	uint32_t tolerance_pct;
	uint8_t last; /* index + 1; 0 none */
};

static void minrtt_init(void *st)
{
	*(struct minrtt_state *)st = (struct minrtt_state){.tolerance_pct = TOLERANCE_PCT};
}

static int minrtt_pick(void *st, const struct qb_path_view *v, uint32_t n,
		       const struct qb_pkt_meta *pkt, uint64_t now_ns)
{
	struct minrtt_state *s = st;
	int best = -1, last = (int)s->last - 1;
	uint32_t i;

	(void)now_ns;
	for (i = 0; i < n; i++) {
		if (qb_view_can_send(&v[i], pkt->bytes) &&
		    (best < 0 || v[i].srtt_ns < v[best].srtt_ns))
			best = (int)i;
	}
	if (best < 0)
		return QB_SCHED_WAIT;
	if (last >= 0 && (uint32_t)last < n && qb_view_can_send(&v[last], pkt->bytes) &&
	    v[last].srtt_ns <= v[best].srtt_ns + v[best].srtt_ns / 100 * s->tolerance_pct)
		return last;
	s->last = (uint8_t)(best + 1);
	return best;
}

const struct qb_sched qb_sched_minrtt = {
	.name = "minrtt",
	.has_param = true,
	.param = TOLERANCE_PCT,
	.state_bytes = sizeof(struct minrtt_state),
	.init = minrtt_init,
	.pick = minrtt_pick,
};
