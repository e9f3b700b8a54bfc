/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deficit round robin with the paths' rates as weights: each packet gives every free path credit by
 * its part of the rate, the richest one sends and pays. In the long run bytes follow rates, packet
 * sizes whatever.
 */
#include "bond/sched.h"

/* Credit is kept within this, so that a path that was busy for long does not get a burst
 * afterwards. */
#define CREDIT_MAX_BYTES 65536

struct weighted_state {
	int64_t credit_bytes[QB_BOND_PATHS_MAX];
};

static void weighted_init(void *st)
{
	memset(st, 0, sizeof(struct weighted_state));
}

static int weighted_pick(void *st, const struct qb_path_view *v, uint32_t n,
			 const struct qb_pkt_meta *pkt, uint64_t now_ns)
{
	struct weighted_state *s = st;
	uint64_t total_kbps = 0;
	int best = -1;
	uint32_t i;

	(void)now_ns;
	for (i = 0; i < n; i++) {
		if (qb_view_can_send(&v[i], pkt->bytes))
			total_kbps += qb_view_rate_bps(&v[i]) / 1000;
	}
	if (total_kbps == 0)
		return QB_SCHED_WAIT;
	for (i = 0; i < n; i++) {
		if (!qb_view_can_send(&v[i], pkt->bytes))
			continue;
		s->credit_bytes[i] +=
			(int64_t)(pkt->bytes * (qb_view_rate_bps(&v[i]) / 1000) / total_kbps);
		s->credit_bytes[i] = QB_MIN(s->credit_bytes[i], CREDIT_MAX_BYTES);
		if (best < 0 || s->credit_bytes[i] > s->credit_bytes[best])
			best = (int)i;
	}
	s->credit_bytes[best] = QB_MAX(s->credit_bytes[best] - pkt->bytes, -CREDIT_MAX_BYTES);
	return best;
}

const struct qb_sched qb_sched_weighted = {
	.name = "weighted",
	.state_bytes = sizeof(struct weighted_state),
	.init = weighted_init,
	.pick = weighted_pick,
};
