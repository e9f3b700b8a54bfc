/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the links that live carry traffic: those of the best tier, or, in failover mode, the one
 * of it that has the lowest rank. The others are kept in reserve. A link that comes back to a
 * better tier waits until it has been sound for the failback time. Called by state.c when a link
 * enters or leaves service, and by bond_links.c when a setting changes.
 */
#include "bond/state.h"

#include <errno.h>
#include <stdio.h>

static const char *const tier_names[QB_TIER_CNT] = {
	[QB_TIER_PRIMARY] = "primary",
	[QB_TIER_SECONDARY] = "secondary",
	[QB_TIER_BACKUP] = "backup",
	[QB_TIER_NEVER] = "never",
};

const char *qb_tier_name(enum qb_tier t)
{
	return (unsigned)t < QB_TIER_CNT ? tier_names[t] : "?";
}

int qb_tier_parse(const char *text, enum qb_tier *out)
{
	unsigned i;

	for (i = 0; i < QB_TIER_CNT; i++) {
		if (strcmp(text, tier_names[i]) == 0) {
			*out = (enum qb_tier)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* tier_in_force: a link that the peer asked to keep in reserve (RFC 10069 §4.3) is a backup at
 * best. */
static enum qb_tier tier_in_force(const struct qb_link *k)
{
	return k->is_peer_backup ? QB_MAX((enum qb_tier)k->tier, QB_TIER_BACKUP)
				 : (enum qb_tier)k->tier;
}

/* order_of: links of a lower order are used before those of a higher one, links of one order
 * together. */
static uint32_t order_of(const struct qb_links *l, const struct qb_link *k)
{
	return tier_in_force(k) * QB_BOND_PATHS_MAX + (l->is_failover ? k->rank : 0);
}

uint64_t qb_links_failback_at_ns(const struct qb_links *l, const struct qb_link *k)
{
	return l->failback_ns == QB_NEVER_NS ? QB_NEVER_NS : k->serving_ns + l->failback_ns;
}

/* best_order of the links in service. One that has only just come back counts if it is the only
 * one. */
static uint32_t best_order(const struct qb_links *l, uint64_t now_ns)
{
	uint32_t none = QB_TIER_NEVER * QB_BOND_PATHS_MAX, best = none, best_of_all = none, i;

	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		const struct qb_link *k = &l->link[i];

		if (!qb_link_is_serving(k))
			continue;
		best_of_all = QB_MIN(best_of_all, order_of(l, k));
		if (!k->is_back || now_ns >= qb_links_failback_at_ns(l, k))
			best = QB_MIN(best, order_of(l, k));
	}
	return best >= none ? best_of_all : best;
}

/* reserve_reason says why a link is not used while those of order `best` are. */
static void reserve_reason(const struct qb_links *l, const struct qb_link *k, uint32_t best,
			   char *buf, size_t len)
{
	enum qb_tier tier = tier_in_force(k);
	uint32_t order = order_of(l, k);

	if (tier == QB_TIER_NEVER)
		snprintf(buf, len, "not used");
	else if (order < best && l->failback_ns == QB_NEVER_NS)
		snprintf(buf, len, "in reserve: back, and Failback is never");
	else if (order < best)
		snprintf(buf, len, "in reserve: back, must stay sound for %llu s",
			 (unsigned long long)(l->failback_ns / QB_NS_PER_SEC));
	else if (tier == best / QB_BOND_PATHS_MAX)
		snprintf(buf, len, "in reserve: one link is used at a time");
	else if (k->is_peer_backup && k->tier < QB_TIER_BACKUP)
		snprintf(buf, len, "in reserve: the peer asked for it");
	else
		snprintf(buf, len, "in reserve: %s", tier_names[tier]);
}

void qb_links_settle(struct qb_links *l, uint64_t now_ns)
{
	uint32_t best = best_order(l, now_ns), i;

	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		struct qb_link *k = &l->link[i];
		char reason[sizeof(k->reason)];

		if (!qb_link_is_serving(k))
			continue;
		if (order_of(l, k) == best && tier_in_force(k) != QB_TIER_NEVER) {
			k->is_back = false;
			l->seen_orders |= 1u << best;
			if (k->state != QB_LINK_ACTIVE)
				qb_link_set_state(k, QB_LINK_ACTIVE, "", now_ns);
			continue;
		}
		reserve_reason(l, k, best, reason, sizeof(reason));
		qb_link_set_state(k, QB_LINK_STANDBY, reason, now_ns);
	}
}

bool qb_links_others_serve(const struct qb_links *l, uint8_t path)
{
	uint32_t i;

	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		if (i != path && qb_link_is_serving(&l->link[i]) &&
		    tier_in_force(&l->link[i]) != QB_TIER_NEVER)
			return true;
	}
	return false;
}

bool qb_links_is_comeback(const struct qb_links *l, const struct qb_link *k)
{
	uint32_t order = order_of(l, k), i;

	if (l->failback_ns == 0 || tier_in_force(k) == QB_TIER_NEVER ||
	    !(l->seen_orders >> order & 1) || (k->was_in_service && !k->is_down))
		return false;
	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		if (l->link[i].state == QB_LINK_ACTIVE && &l->link[i] != k)
			return order_of(l, &l->link[i]) > order;
	}
	return false;
}

void qb_links_set_tier(struct qb_links *l, uint8_t path, enum qb_tier tier, uint64_t now_ns)
{
	l->link[path].tier = (uint8_t)tier;
	qb_links_settle(l, now_ns);
}

void qb_links_set_failback(struct qb_links *l, uint64_t failback_ns, uint64_t now_ns)
{
	l->failback_ns = failback_ns;
	qb_links_settle(l, now_ns);
}

void qb_links_set_rank(struct qb_links *l, uint8_t path, uint8_t rank, uint64_t now_ns)
{
	if (l->link[path].rank == rank)
		return;
	l->link[path].rank = rank;
	qb_links_settle(l, now_ns);
}

void qb_links_set_failover(struct qb_links *l, bool is_failover, uint64_t now_ns)
{
	l->is_failover = is_failover;
	qb_links_settle(l, now_ns);
}

/* badness: of the links that may carry data the lowest are used; UINT32_MAX: it may not at all. */
static uint32_t badness(const struct qb_link *k)
{
	enum qb_tier tier = tier_in_force(k);

	if (!k->is_present || k->is_drained || tier == QB_TIER_NEVER)
		return UINT32_MAX;
	switch ((enum qb_link_state)k->state) {
	case QB_LINK_ACTIVE:
		return 0;
	case QB_LINK_STANDBY:
		return 1 + tier;
	case QB_LINK_SUSPECT:
		return 10;
	case QB_LINK_PROBING:
		return 11;
	case QB_LINK_FAILED:
		return 12;
	default:
		return UINT32_MAX;
	}
}

uint32_t qb_links_choose(const struct qb_links *l, uint32_t candidates)
{
	uint32_t best = UINT32_MAX, set = 0;

	for (; candidates; candidates &= candidates - 1) {
		uint32_t i = (uint32_t)__builtin_ctz(candidates);
		uint32_t bad = badness(&l->link[i]);

		if (bad == UINT32_MAX || bad > best)
			continue;
		if (bad < best)
			set = 0;
		best = bad;
		set |= 1u << i;
	}
	return set;
}
