/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Token buckets against peers that are entitled to a thing now and then, and do nothing else:
 * frames that change nothing, resets, moves to other addresses (RFC 9000 §21.9). What is of use
 * earns tokens, so that a busy peer is never taken for a busybody.
 */
#pragma once

#include "base/base.h"

struct qb_budget {
	uint32_t tokens;
	uint64_t refill_ns;
};

struct qb_budget_rule {
	uint32_t burst;
	uint32_t per_sec;
};

static inline void qb_budget_init(struct qb_budget *b, const struct qb_budget_rule *rule,
				  uint64_t now_ns)
{
	*b = (struct qb_budget){rule->burst, now_ns};
}

/* qb_budget_spend takes `cost` tokens. False: there are not so many; then none are taken. */
bool qb_budget_spend(struct qb_budget *b, const struct qb_budget_rule *rule, uint32_t cost,
		     uint64_t now_ns);

static inline void qb_budget_earn(struct qb_budget *b, const struct qb_budget_rule *rule)
{
	b->tokens += b->tokens < rule->burst;
}
