/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bond that carries nothing for a while needs none of its large parts: flows are forgotten anyway
 * by then, nothing is queued or held back, and what is under way still nobody would send again.
 * Called once a second by who owns the memory, which may give it back to the system; what comes
 * next touches as much of it anew as it needs.
 */
#include "bond/internal.h"

#define QUIET_NS (10 * QB_NS_PER_SEC)

static bool is_at_rest(const struct qb_bond *b)
{
	return !qb_bond_has_queued(b) && !b->reorder.held_cnt && !b->reorder.ready_head;
}

bool qb_bond_is_quiet(const struct qb_bond *b)
{
	return !b->moved_ns;
}

uint32_t qb_bond_rest(struct qb_bond *b, struct qb_bond_span out[QB_BOND_SPANS_MAX],
		      uint64_t now_ns)
{
	uint32_t cnt = 0;

	if (!b->moved_ns || now_ns - b->moved_ns < QUIET_NS || !is_at_rest(b))
		return 0;
	b->moved_ns = 0;
	qb_queue_forget(&b->queue);
	qb_flow_table_init(&b->flows, b->flows.sets);
	qb_repair_forget(&b->under_way);
	qb_reorder_forget(&b->reorder);
	for (uint32_t i = 0; i < QB_ARRAY_LEN(b->meters); i++)
		qb_meter_forget(&b->meters[i]);
	out[cnt++] = (struct qb_bond_span){b->queue.flows, qb_queue_footprint()};
	out[cnt++] = (struct qb_bond_span){b->flows.sets, qb_flow_table_footprint()};
	out[cnt++] = (struct qb_bond_span){b->classes.cache, qb_classes_footprint()};
	out[cnt++] = (struct qb_bond_span){b->under_way.slots, qb_repair_footprint()};
	out[cnt++] = (struct qb_bond_span){b->reorder.slots, qb_reorder_footprint(b->reorder.cap)};
	out[cnt++] = (struct qb_bond_span){b->meter_flows, sizeof(b->meter_flows)};
	return cnt;
}
