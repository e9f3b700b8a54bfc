/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of an edge's links have a path. As a rule all of them, those in reserve too: then they
 * stand in within milliseconds. Where Failover says otherwise a link in reserve has none before the
 * better ones have been gone for so long, or at all; and one of tier "never" has none. Such a link
 * costs nothing, not even probes, and the hub cannot use it either. Called by edge.c on a node's
 * thread.
 */
#include "node.h"

/* A path that is not wanted any more is closed when nothing can be under way on it. */
#define IDLE_NS (1 * QB_NS_PER_SEC)

static uint32_t place_of(const struct qb_node *n, const struct qb_edge_link *l)
{
	return l->tier * QB_NODE_LINKS_MAX + (n->cfg.is_failover ? l->order.rank : 0);
}

static bool works(const struct qb_node *n, const struct qb_edge_link *l)
{
	return l->path >= 0 && n->edge.tunnel &&
	       n->edge.tunnel->paths[l->path].seen_state == QB_LINK_ACTIVE;
}

/* is_spared: one that is used before it works. */
static bool is_spared(const struct qb_node *n, const struct qb_edge_link *l)
{
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		const struct qb_edge_link *other = &n->edge.links[i];

		if (works(n, other) && place_of(n, other) < place_of(n, l))
			return true;
	}
	return false;
}

uint64_t qb_edge_use_ns(const struct qb_node *n, uint32_t link)
{
	const struct qb_edge_link *l = &n->edge.links[link];

	if (l->tier == QB_TIER_NEVER)
		return QB_NEVER_NS;
	if (!l->order.is_reserve || n->cfg.reserve_ns == 0)
		return 0;
	return n->cfg.reserve_ns == QB_NEVER_NS ? QB_NEVER_NS : l->better_ns + n->cfg.reserve_ns;
}

/* is_idle: it has been out of use for long enough, and the tunnel does without it. */
static bool is_idle(const struct qb_node *n, const struct qb_edge_link *l, uint64_t now_ns)
{
	struct qb_bond_link_info info;

	qb_bond_link_info(n->edge.tunnel->bond, (uint8_t)l->path, now_ns, &info);
	return info.state != QB_LINK_ACTIVE && now_ns - info.state_since_ns >= IDLE_NS &&
	       is_spared(n, l);
}

void qb_edge_look_after_reserve(struct qb_node *n, uint64_t now_ns)
{
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		struct qb_edge_link *l = &n->edge.links[i];

		if (l->tier != QB_TIER_NEVER && !(l->order.is_reserve && n->cfg.reserve_ns))
			continue;
		if (is_spared(n, l))
			l->better_ns = now_ns;
		if (l->path >= 0 && n->edge.tunnel && qb_edge_use_ns(n, i) > now_ns &&
		    is_idle(n, l, now_ns))
			qb_edge_close_link_path(n, i, now_ns);
	}
}
