/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remote paths: so far behind the quickest (a geostationary satellite beside LTE) that what is
 * striped over them waits longer than most flows take. Called by bond.c, where the scheduler is
 * auto. Nothing is striped over them; where one carries several times as much as all near ones,
 * everything goes there (sched.c).
 *
 * For that it must be known what a remote path carries, and what is sent there to find out must not
 * be anybody's data: once the near paths have been full for a while, it is filled with padding
 * until its congestion control knows.
 */
#include "bond/internal.h"

#define FULL_AFTER_NS	QB_NS_PER_SEC
#define FULL_MOST_NS	(2 * QB_NS_PER_SEC)
#define FULL_STEP_NS	(100 * QB_NS_PER_MS)
#define FULL_BACKLOG_NS (5 * QB_NS_PER_MS)

/* Its congestion control may have been told before to find out anew: that takes as long. */
#define FILL_RTTS     4
#define FILL_MOST_NS  (15 * QB_NS_PER_SEC)
#define FILL_AGAIN_NS (300 * QB_NS_PER_SEC)

void qb_bond_remote_look(struct qb_bond *b, uint64_t backlog_bytes, uint64_t rate_bps,
			 uint64_t now_ns)
{
	struct qb_remote *r = &b->remote;
	uint64_t span_ns = qb_min_u64(now_ns - r->seen_ns, FULL_STEP_NS);

	r->seen_ns = now_ns;
	if (backlog_bytes * 8 * QB_NS_PER_SEC >= FULL_BACKLOG_NS * rate_bps)
		r->full_ns = qb_min_u64(r->full_ns + span_ns, FULL_MOST_NS);
	else
		r->full_ns = qb_sub_sat_u64(r->full_ns, span_ns);
}

bool qb_bond_remote_fill(struct qb_bond *b, uint8_t path, const struct qb_path_obs *o,
			 uint64_t now_ns)
{
	struct qb_remote *r = &b->remote;
	uint64_t since_ns = now_ns - r->filled_ns[path];

	if (!(b->tuning.outlook.remote >> path & 1) || !(b->chosen >> path & 1) ||
	    b->scheds[0].sched != &qb_sched_auto || b->tuning.known >> path & 1 ||
	    now_ns - r->seen_ns > QB_BOND_FILL_MS * QB_NS_PER_MS)
		return false;
	if (!r->filled_ns[path] || since_ns > FILL_AGAIN_NS) {
		if (r->full_ns < FULL_AFTER_NS)
			return false;
		r->filled_ns[path] = now_ns;
		return true;
	}
	if (since_ns > FILL_MOST_NS || o->is_starting || since_ns < FILL_RTTS * o->srtt_ns)
		return since_ns <= FILL_MOST_NS;
	qb_tuning_found(&b->tuning, path, now_ns);
	return false;
}
