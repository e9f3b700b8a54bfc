/* SPDX-License-Identifier: BSD-2-Clause */
/* The last decisions of a bond's schedulers, with the paths as they were. Internal to bond/. */
#pragma once

#include "bond/bond.h"

/* One decision in so long is kept: often enough to look at, and rare enough to cost nothing. */
#define QB_EXPLAIN_GAP_NS (5 * QB_NS_PER_MS)

struct qb_explain {
	uint64_t next_ns;	       /* when the next one is kept */
	uint32_t cnt;		       /* kept in all */
	struct qb_bond_decision *ring; /* of QB_BOND_DECISIONS; one is touched when it is kept */
};

/* qb_explain_keep notes what a scheduler said of a packet, if it is time. */
void qb_explain_keep(struct qb_explain *e, const char *sched, const struct qb_sched_ask *ask,
		     int path);
