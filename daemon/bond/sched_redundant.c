/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Redundant: each packet by several links at once. The packet itself takes the link with the lowest
 * round trip, and waits for it; copies take others that have room (bond_protect.c). So the rate is the
 * quickest link's, and any one link may lose what it likes. A receiver hands on the first copy and
 * drops the rest.
 */
#include "bond/sched.h"

static int redundant_pick(void *st, const struct qb_path_view *v, uint32_t n,
			  const struct qb_pkt_meta *pkt, uint64_t now_ns)
{
	int best = qb_views_lowest_rtt(v, n, pkt->bytes, false);

	(void)st;
	(void)now_ns;
	if (best < 0)
		return QB_SCHED_WAIT;
	if (qb_view_can_send(&v[best], pkt->bytes))
		return best;
	/* Longer than a round trip is no queue: it may have died. */
	if (pkt->waited_ns < v[best].srtt_ns)
		return QB_SCHED_WAIT;
	best = qb_views_lowest_rtt(v, n, pkt->bytes, true);
	return best < 0 ? QB_SCHED_WAIT : best;
}

const struct qb_sched qb_sched_redundant = {
	.name = "redundant", .copies = QB_BOND_PATHS_MAX, .pick = redundant_pick};
const struct qb_sched qb_sched_redundant2 = {
	.name = "redundant:2", .copies = 2, .pick = redundant_pick};
const struct qb_sched qb_sched_redundant3 = {
	.name = "redundant:3", .copies = 3, .pick = redundant_pick};
const struct qb_sched qb_sched_redundant4 = {
	.name = "redundant:4", .copies = 4, .pick = redundant_pick};
