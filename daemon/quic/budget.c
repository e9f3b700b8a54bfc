/* SPDX-License-Identifier: BSD-2-Clause */
/* The token buckets of budget.h; spent by frames_rx.c, path_validation.c and stateless.c. */
#include "quic/budget.h"

bool qb_budget_spend(struct qb_budget *b, const struct qb_budget_rule *rule, uint32_t cost,
		     uint64_t now_ns)
{
	uint64_t step_ns = QB_NS_PER_SEC / rule->per_sec;
	uint64_t earned = qb_sub_sat_u64(now_ns, b->refill_ns) / step_ns;

	if (earned) {
		b->tokens = (uint32_t)QB_MIN(b->tokens + earned, (uint64_t)rule->burst);
		b->refill_ns += earned * step_ns;
	}
	if (b->tokens < cost)
		return false;
	b->tokens -= cost;
	return true;
}
