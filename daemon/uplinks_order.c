/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of an edge's links come first: by tier, and where one is used at a time by Primary,
 * Priority and the order in which they came; and what `quicbondctl failover` makes of that. Main
 * thread.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>

enum { PRIORITY_NONE = 1000 };

static bool is_primary(const struct qb_daemon *d, const struct qb_uplink *u)
{
	return strcmp(d->conf->bond.primary, u->conf.name) == 0;
}

/* precedes orders links of one tier; those that are equal keep their order. */
static bool precedes(const struct qb_daemon *d, uint32_t a, uint32_t b)
{
	const struct qb_uplink *x = &d->uplinks[a], *y = &d->uplinks[b];
	uint32_t px = x->conf.priority ? x->conf.priority : PRIORITY_NONE,
		 py = y->conf.priority ? y->conf.priority : PRIORITY_NONE;

	if (is_primary(d, x) != is_primary(d, y))
		return is_primary(d, x);
	return px != py ? px < py : a < b;
}

/* alone_of is the link that Mode = single uses: the primary one, or the first of the best tier; -1:
 * none. */
static int alone_of(const struct qb_daemon *d)
{
	int alone = -1;

	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		const struct qb_uplink *u = &d->uplinks[i];

		if (!u->is_used || u->tier == QB_TIER_NEVER)
			continue;
		if (is_primary(d, u))
			return (int)i;
		if (alone < 0 || u->tier < d->uplinks[alone].tier ||
		    (u->tier == d->uplinks[alone].tier && precedes(d, i, (uint32_t)alone)))
			alone = (int)i;
	}
	return alone;
}

static struct qb_link_order order_of(const struct qb_daemon *d, uint32_t idx)
{
	const struct qb_uplink *u = &d->uplinks[idx];
	struct qb_link_order order = {0};

	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		const struct qb_uplink *other = &d->uplinks[i];
		bool is_before = other->is_used && i != idx && precedes(d, i, idx);

		if (!other->is_used || other->tier == QB_TIER_NEVER)
			continue;
		order.rank += is_before;
		order.is_reserve |=
			other->tier < u->tier || (d->conf->bond.mode == QB_MODE_FAILOVER &&
						  other->tier == u->tier && is_before);
	}
	return order;
}

void qb_uplinks_settle(struct qb_daemon *d)
{
	int alone = d->conf->bond.mode == QB_MODE_SINGLE ? alone_of(d) : -1;

	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		struct qb_uplink *u = &d->uplinks[i];
		struct qb_link_order order = order_of(d, i);
		enum qb_tier tier = alone >= 0 && (uint32_t)alone != i ? QB_TIER_NEVER : u->tier;
		bool is_left;

		if (!u->is_used ||
		    (order.rank == u->order.rank && order.is_reserve == u->order.is_reserve &&
		     tier == u->tier_in_force))
			continue;
		is_left = tier == QB_TIER_NEVER && u->tier_in_force != tier;
		u->order = order;
		u->tier_in_force = tier;
		if (u->is_up)
			qb_uplinks_tell(d, i);
		/* Of one that served the worker tells itself. */
		if (is_left && u->is_up && u->path_state && !strcmp(u->path_state, "standby"))
			qb_daemon_emit(d, "link_state", u->conf.name, u->path_state, "standby", qb_uplinks_why_unused(d, u));
	}
}

uint64_t qb_uplinks_reserve_ns(const struct qb_daemon *d)
{
	return d->is_failed_over ? 0 : d->conf->bond.failover_ns;
}

const char *qb_uplinks_why_unused(const struct qb_daemon *d, const struct qb_uplink *u)
{
	if (u->tier == QB_TIER_NEVER)
		return "not used: its tier is never";
	if (u->tier_in_force == QB_TIER_NEVER)
		return "not used: Mode is single";
	if (u->order.is_reserve && qb_uplinks_reserve_ns(d) == QB_NEVER_NS)
		return "in reserve: for quicbondctl failover now";
	if (u->order.is_reserve && qb_uplinks_reserve_ns(d))
		return "in reserve: opened when the better ones stay away";
	return NULL;
}

/* ---- quicbondctl failover ---- */

static uint32_t place_of(const struct qb_daemon *d, const struct qb_uplink *u)
{
	return u->tier * QB_NODE_LINKS_MAX +
	       (d->conf->bond.mode == QB_MODE_FAILOVER ? u->order.rank : 0);
}

static bool is_ready(const struct qb_uplink *u)
{
	return u->is_used && u->is_up && !u->is_drained && u->tier_in_force != QB_TIER_NEVER;
}

static int leave(struct qb_daemon *d, char *err)
{
	uint32_t first = UINT32_MAX, last = 0;

	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		if (!is_ready(&d->uplinks[i]))
			continue;
		first = QB_MIN(first, place_of(d, &d->uplinks[i]));
		last = QB_MAX(last, place_of(d, &d->uplinks[i]));
	}
	if (first >= last) {
		snprintf(err, QB_ERR_LEN,
			 "no link is in reserve and up; Tier and Mode = failover keep links in "
			 "reserve");
		return -ENOENT;
	}
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++)
		if (is_ready(&d->uplinks[i]) && place_of(d, &d->uplinks[i]) == first)
			d->uplinks[i].is_drained = d->uplinks[i].is_left = true;
	d->is_failed_over = true;
	return 0;
}

static int come_back(struct qb_daemon *d, char *err)
{
	if (!d->is_failed_over) {
		snprintf(err, QB_ERR_LEN, "there has been no failover by command");
		return -ENOENT;
	}
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		if (d->uplinks[i].is_left)
			d->uplinks[i].is_drained = false;
		d->uplinks[i].is_left = false;
	}
	d->is_failed_over = false;
	return 0;
}

static void do_set_reserve(struct qb_worker *w, void *arg)
{
	qb_edge_set_reserve(w->node, *(uint64_t *)arg);
}

int qb_uplinks_failover(struct qb_daemon *d, const char *verb, char *err)
{
	bool is_now = strcmp(verb, "now") == 0;
	uint64_t reserve_ns;
	int ret;

	if (d->conf->role != QB_ROLE_EDGE) {
		snprintf(err, QB_ERR_LEN, "links are the edge's: ask there");
		return -EINVAL;
	}
	ret = is_now ? leave(d, err) : come_back(d, err);
	if (ret)
		return ret;
	reserve_ns = qb_uplinks_reserve_ns(d);
	for (uint16_t w = 0; w < d->worker_cnt; w++)
		qb_worker_call(&d->workers[w], do_set_reserve, &reserve_ns);
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++)
		if (d->uplinks[i].is_used && d->uplinks[i].is_up)
			qb_uplinks_tell(d, i);
	qb_daemon_emit(d, "failover", d->conf->name, is_now ? "first" : "reserve",
		       is_now ? "reserve" : "first", "by command");
	return 0;
}
