/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BALIA, balanced linked adaptation (Peng, Walid, Hwang, Low, IEEE/ACM ToN 24(1), 2016;
 * draft-walid-mptcp-congestion-control-04): between LIA's friendliness and OLIA's responsiveness.
 * With x = w/rtt and α = max_k(x_k)/x_i, the window grows for each acknowledged packet by
 *
 *     x_i/rtt_i / (Σ x_k)² · (1+α)/2 · (4+α)/5
 *
 * and a loss takes w_i/2 · min(α, 1.5).
 */
#include "cc/algorithms.h"
#include "cc/coupled.h"

static const double ALPHA_LOSS_MAX = 1.5;

static double alpha_of(const struct qb_coupled *s, uint64_t now_ns)
{
	double own = qb_coupled_rate(s->self), best = own;

	for (uint32_t i = 0; i < QB_CC_GROUP_MAX; i++)
		if (qb_coupled_is_usable(&s->group->member[i], now_ns))
			best = QB_MAX(best, qb_coupled_rate(&s->group->member[i]));
	return best / own;
}

static double increase(const struct qb_coupled *s, uint64_t acked_bytes, uint64_t now_ns)
{
	double total = qb_coupled_total_rate(s, now_ns), alpha = alpha_of(s, now_ns);
	double share = qb_coupled_rate(s->self) / (double)s->self->srtt_ns / (total * total);

	return share * (1 + alpha) / 2 * (4 + alpha) / 5 * (double)acked_bytes * s->reno.mss_bytes;
}

static uint64_t decrease(const struct qb_coupled *s, uint64_t now_ns)
{
	double alpha, cwnd = (double)s->reno.cwnd_bytes;

	if (!s->self->srtt_ns)
		return qb_coupled_halve(s, now_ns);
	alpha = alpha_of(s, now_ns);
	return (uint64_t)(cwnd - cwnd / 2 * QB_MIN(alpha, ALPHA_LOSS_MAX));
}

static const struct qb_coupled_rule rule = {
	.increase = increase,
	.decrease = decrease,
};

static void init(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns)
{
	(void)now_ns;
	qb_coupled_init(st, &rule, cfg);
}

const struct qb_cc qb_cc_balia = {
	.name = "balia",
	.init = init,
	QB_COUPLED_HOOKS,
};
