/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bond's links, as the tunnel sees them: it tells what it observed on each path, and what was
 * decided about it. The states themselves are in state.c.
 */
#include "bond/internal.h"

/* Packets that left earlier than so many round trips ago are not sent again: their flow has done so
 * itself. */
#define REPAIR_AGE_RTTS 3
/* So long after the last bulk packet of a path it is taken for the last one. */
#define TAIL_NS (5 * QB_NS_PER_MS)
/* How often a path that is left out of striping is probed, and how recent bulk must be for that. */
#define LOOK_NS (100 * QB_NS_PER_MS)

/* follow_rtt: how long a packet may be under way, and for how long a lost one is sent again. */
static void follow_rtt(struct qb_bond *b, const struct qb_path_obs *obs, uint32_t n)
{
	uint64_t rtt_ns = 0;
	uint32_t i;

	for (i = 0; i < QB_MIN(n, (uint32_t)QB_BOND_PATHS_MAX); i++) {
		if (obs[i].is_open && qb_links_is_alive(&b->links, (uint8_t)i))
			rtt_ns = qb_max_u64(rtt_ns, obs[i].srtt_ns);
	}
	b->slowest_rtt_ns = rtt_ns;
	b->repair_age_ns = REPAIR_AGE_RTTS * rtt_ns;
}

/*
 * wants_tail_probe: the path has no more to send at present, and what it sent last is still under way.
 * If that was lost nothing tells before the probe timeout, so something small goes after it.
 */
static bool wants_tail_probe(struct qb_bond *b, uint8_t path, const struct qb_path_obs *o,
			     uint64_t now_ns)
{
	if (!b->tail_ns[path] || now_ns - b->tail_ns[path] < TAIL_NS)
		return false;
	b->tail_ns[path] = 0;
	return o->oldest_unacked_ns != 0;
}

/*
 * wants_look: a path that was left out as too far behind has nothing under way that would tell what
 * it is like now. Only while there is something to stripe.
 */
static bool wants_look(struct qb_bond *b, uint8_t path, const struct qb_path_obs *o,
		       uint64_t now_ns)
{
	if (!(b->tuning.outlook.far >> path & 1) || o->oldest_unacked_ns ||
	    now_ns - b->bulk_ns > LOOK_NS || now_ns - b->look_ns[path] < LOOK_NS)
		return false;
	b->look_ns[path] = now_ns;
	return true;
}

uint32_t qb_bond_observe(struct qb_bond *b, uint8_t path, const struct qb_path_obs *obs_all,
			 uint32_t n, uint64_t now_ns)
{
	bool was_alive;
	uint32_t actions;

	b->now_ns = now_ns;
	if (path >= n || path >= QB_BOND_PATHS_MAX)
		return QB_LINK_ACT_NONE;
	if (obs_all[path].is_open) {
		qb_reorder_set_rtt(&b->reorder, path,
				   obs_all[path].srtt_ns + 2 * obs_all[path].rttvar_ns);
		follow_rtt(b, obs_all, n);
	}
	was_alive = qb_links_is_alive(&b->links, path);
	actions = qb_links_observe(&b->links, path, obs_all, QB_MIN(n, (uint32_t)QB_BOND_PATHS_MAX),
				   now_ns);
	if (wants_tail_probe(b, path, &obs_all[path], now_ns) ||
	    wants_look(b, path, &obs_all[path], now_ns))
		actions |= QB_LINK_ACT_PROBE;
	if (qb_bond_remote_fill(b, path, &obs_all[path], now_ns))
		actions |= QB_LINK_ACT_FILL;
	qb_sbd_observe(&b->sbd, path, &obs_all[path], now_ns);
	if (was_alive && qb_links_is_alive(&b->links, path))
		qb_quality_observe(&b->quality[path], &obs_all[path], now_ns);
	else
		qb_quality_skip(&b->quality[path], &obs_all[path], now_ns);
	return actions;
}

uint64_t qb_bond_observe_deadline_ns(const struct qb_bond *b)
{
	return qb_min_u64(qb_links_deadline_ns(&b->links), qb_bond_tail_due_ns(b));
}

void qb_bond_path_reset(struct qb_bond *b, uint8_t path, bool is_present, enum qb_tier tier,
			uint64_t now_ns)
{
	QB_BUG_ON(path >= QB_BOND_PATHS_MAX);
	b->now_ns = now_ns;
	qb_links_reset(&b->links, path, is_present, tier, now_ns);
	qb_quality_reset(&b->quality[path]);
	qb_reorder_path_reset(&b->reorder, path);
	qb_warm_reset(&b->warm, path);
	qb_tuning_reset(&b->tuning, path);
	qb_sbd_reset(&b->sbd, path);
	b->pinning.filled_ns[path] = 0;
	qb_bond_remote_reset(b, path);
}

void qb_bond_set_rank(struct qb_bond *b, uint8_t path, uint8_t rank)
{
	QB_BUG_ON(path >= QB_BOND_PATHS_MAX || rank >= QB_BOND_PATHS_MAX);
	qb_links_set_rank(&b->links, path, rank, b->now_ns);
}

enum qb_link_state qb_bond_link_state(const struct qb_bond *b, uint8_t path)
{
	return (enum qb_link_state)b->links.link[path].state;
}

void qb_bond_set_tier(struct qb_bond *b, uint8_t path, enum qb_tier tier)
{
	qb_links_set_tier(&b->links, path, tier, b->now_ns);
}

void qb_bond_set_failback(struct qb_bond *b, uint64_t failback_ns)
{
	qb_links_set_failback(&b->links, failback_ns, b->now_ns);
}

void qb_bond_want_fail(struct qb_bond *b, const struct qb_fail_want *want)
{
	b->links.fail = *want;
}

void qb_bond_set_failover(struct qb_bond *b, bool is_failover)
{
	qb_links_set_failover(&b->links, is_failover, b->now_ns);
}

void qb_bond_set_drained(struct qb_bond *b, uint8_t path, bool is_drained)
{
	qb_links_set_drained(&b->links, path, is_drained, b->now_ns);
}

void qb_bond_expect_partners(struct qb_bond *b, uint8_t path, uint8_t other)
{
	qb_sbd_expect(&b->sbd, path, other);
}

uint8_t qb_bond_partners(const struct qb_bond *b, uint8_t path)
{
	return b->sbd.partners[path];
}
