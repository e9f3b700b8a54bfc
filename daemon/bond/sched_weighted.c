/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deficit round robin with weights, which are the paths' rates where none are configured: each
 * packet gives every path credit by its weight, also to one that must wait for its pacer; of those
 * that have room the one with the most credit sends, and pays. In the long run bytes follow weights,
 * whatever the packet sizes, as long as the paths carry that. A path without a configured weight
 * gets no less than a twentieth, so that none is starved.
 */
#include "bond/sched.h"

/* The bound of credit: a path that was busy for long gets no burst afterwards. */
#define CREDIT_MAX_BYTES 65536.

enum { WEIGHT_MAX = 1000, FLOOR_PARTS = 20 };

struct weighted_state {
	/* With fractions: rounding would cost a small weight more than a large one. */
	double credit_bytes[QB_BOND_PATHS_MAX];
};

static void weighted_init(void *st)
{
	memset(st, 0, sizeof(struct weighted_state));
}

/* weights_of fills in the weight of each path that the packet fits (else 0), and returns the sum. */
static uint64_t weights_of(const struct qb_path_view *v, uint32_t n, uint32_t bytes,
			   uint64_t *weight)
{
	uint64_t fastest_kbps = 1, total = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		weight[i] = qb_view_fits(&v[i], bytes) ? qb_view_rate_bps(&v[i]) / 1000 : 0;
		fastest_kbps = qb_max_u64(fastest_kbps, weight[i]);
	}
	/* The fastest one's rate is a weight of 1000, so that both kinds may be mixed. */
	for (i = 0; i < n; i++) {
		if (weight[i])
			weight[i] =
				v[i].weight ? v[i].weight * fastest_kbps : weight[i] * WEIGHT_MAX;
		total += weight[i];
	}
	for (i = 0; i < n; i++) {
		uint64_t more = weight[i] && !v[i].weight
					? qb_sub_sat_u64(total / FLOOR_PARTS, weight[i])
					: 0;

		weight[i] += more;
		total += more;
	}
	return total;
}

static bool has_free(const struct qb_path_view *v, uint32_t n, uint32_t bytes)
{
	for (uint32_t i = 0; i < n; i++)
		if (qb_view_can_send(&v[i], bytes))
			return true;
	return false;
}

static int weighted_pick(void *st, const struct qb_path_view *v, uint32_t n,
			 const struct qb_pkt_meta *pkt, uint64_t now_ns)
{
	struct weighted_state *s = st;
	uint64_t weight[QB_BOND_PATHS_MAX], total = weights_of(v, n, pkt->bytes, weight);
	int best = -1;
	uint32_t i;

	(void)now_ns;
	if (!has_free(v, n, pkt->bytes))
		return QB_SCHED_WAIT;
	for (i = 0; i < n; i++) {
		if (weight[i] == 0)
			continue;
		s->credit_bytes[i] += pkt->bytes * ((double)weight[i] / (double)total);
		s->credit_bytes[i] = QB_MIN(s->credit_bytes[i], CREDIT_MAX_BYTES);
		if (!qb_view_can_send(&v[i], pkt->bytes))
			continue;
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
