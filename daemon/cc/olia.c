/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * OLIA, opportunistic linked increases (Khalili et al., IEEE/ACM ToN 21(5), 2013;
 * draft-khalili-mptcp-congestion-control-05): Pareto-optimal where LIA is not. The window grows for
 * each acknowledged packet by
 *
 *     (w_i/rtt_i²) / (Σ x_k)² + ε_i/w_i
 *
 * where ε moves growth from the paths M with the largest window to the collected paths B\M: B are
 * the best by ℓ/rtt², the square of the rate that Reno would have there (ℓ: the larger of the bytes
 * acknowledged since the last loss and between the last two). A loss halves.
 */
#include "cc/algorithms.h"
#include "cc/coupled.h"

struct census {
	double best;		/* largest ℓ/rtt² */
	uint64_t largest_bytes; /* largest window */
	uint32_t cnt, collected_cnt, largest_cnt;
};

static double quality(const struct qb_cc_member *m)
{
	double l = (double)QB_MAX(m->since_loss_bytes, m->between_losses_bytes);

	return l / ((double)m->srtt_ns * (double)m->srtt_ns);
}

static struct census count(const struct qb_coupled *s, uint64_t now_ns)
{
	const struct qb_cc_member *all = s->group->member;
	struct census c = {0};

	for (uint32_t i = 0; i < QB_CC_GROUP_MAX; i++) {
		if (!qb_coupled_is_usable(&all[i], now_ns))
			continue;
		c.cnt++;
		c.best = QB_MAX(c.best, quality(&all[i]));
		c.largest_bytes = QB_MAX(c.largest_bytes, all[i].cwnd_bytes);
	}
	for (uint32_t i = 0; i < QB_CC_GROUP_MAX; i++) {
		if (!qb_coupled_is_usable(&all[i], now_ns))
			continue;
		if (all[i].cwnd_bytes >= c.largest_bytes)
			c.largest_cnt++;
		else if (quality(&all[i]) >= c.best)
			c.collected_cnt++;
	}
	return c;
}

static double epsilon(const struct qb_coupled *s, uint64_t now_ns)
{
	struct census c = count(s, now_ns);

	if (!c.collected_cnt)
		return 0;
	if (s->self->cwnd_bytes >= c.largest_bytes)
		return -1.0 / (c.cnt * c.largest_cnt);
	return quality(s->self) >= c.best ? 1.0 / (c.cnt * c.collected_cnt) : 0;
}

static double increase(const struct qb_coupled *s, uint64_t acked_bytes, uint64_t now_ns)
{
	double total = qb_coupled_total_rate(s, now_ns);
	double share = qb_coupled_rate(s->self) / (double)s->self->srtt_ns / (total * total);

	share += epsilon(s, now_ns) / (double)s->reno.cwnd_bytes;
	return share * (double)acked_bytes * s->reno.mss_bytes;
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

const struct qb_cc qb_cc_olia = {
	.name = "olia",
	.init = init,
	QB_COUPLED_HOOKS,
};
