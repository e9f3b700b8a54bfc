/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LIA, the linked increases of RFC 6356: all paths together take as much as one TCP would on the
 * best of them, and no path grows faster than a TCP there. With x = w/rtt, a path's window grows
 * for each acknowledged packet by
 *
 *     min(max_k(w_k/rtt_k²) / (Σ x_k)², 1/w_i)
 *
 * and is halved by a loss. Slow start and recovery are each path's own (RFC 6356 §3).
 */
#include "cc/algorithms.h"
#include "cc/coupled.h"

static double increase(const struct qb_coupled *s, uint64_t acked_bytes, uint64_t now_ns)
{
	double total = qb_coupled_total_rate(s, now_ns), best = 0;

	for (uint32_t i = 0; i < QB_CC_GROUP_MAX; i++) {
		const struct qb_cc_member *m = &s->group->member[i];

		if (qb_coupled_is_usable(m, now_ns))
			best = QB_MAX(best, qb_coupled_rate(m) / (double)m->srtt_ns);
	}
	best /= total * total;
	return QB_MIN(best, 1 / (double)s->reno.cwnd_bytes) * (double)acked_bytes *
	       s->reno.mss_bytes;
}

static const struct qb_coupled_rule rule = {
	.increase = increase,
	.decrease = qb_coupled_halve,
};

static void init(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns)
{
	(void)now_ns;
	qb_coupled_init(st, &rule, cfg);
}

const struct qb_cc qb_cc_lia = {
	.name = "lia",
	.init = init,
	QB_COUPLED_HOOKS,
};
