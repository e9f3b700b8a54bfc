/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets that keep to some links: those whose policy names them, and with Grain = flow those of each flow that sends much; called
 * by bond_tx.c. While none of those can carry anything they go like all others. While those are busy, the first that waits of each
 * policy, or for each path, is set aside, and the queue passes over the rest: nobody else waits for links that he does not take.
 */
#include "bond/internal.h"

/* via_paths is the set (a bit a path) of those that the links in `via` have now, and that live. */
static uint32_t via_paths(const struct qb_bond *b, uint32_t via)
{
	uint32_t paths = 0;

	for (uint8_t i = 0; i < QB_BOND_PATHS_MAX; i++)
		if (b->usable >> i & 1 && via >> b->link_of[i] & 1 &&
		    qb_links_is_alive(&b->links, i))
			paths |= 1u << i;
	return qb_links_choose(&b->links, paths);
}

static const struct qb_treatment *treat_via(const struct qb_bond *b, const struct qb_buf *buf)
{
	const struct qb_treatment *treat = qb_classes_treat(&b->classes, buf);

	return treat && treat->via ? treat : NULL;
}

bool qb_bond_is_via(const struct qb_bond *b, const struct qb_buf *buf)
{
	const struct qb_treatment *treat = treat_via(b, buf);

	return (treat && via_paths(b, treat->via)) || qb_bond_pin_path(b, buf) >= 0;
}

const struct qb_path_view *qb_bond_via(struct qb_bond *b, const struct qb_buf *buf,
				       const struct qb_path_view *views, uint32_t n,
				       struct qb_path_view room[QB_BOND_PATHS_MAX])
{
	const struct qb_treatment *treat = treat_via(b, buf);
	uint32_t paths = treat ? via_paths(b, treat->via) : 0;
	bool is_fit = false;

	if (!paths) {
		int path = qb_bond_pin(b, buf, views, n);

		paths = path < 0 ? 0 : 1u << path;
	}
	if (!paths)
		return views;
	memcpy(room, views, n * sizeof(*views));
	for (uint32_t i = 0; i < n; i++) {
		room[i].is_usable = paths >> i & 1;
		room[i].is_far = false;
		is_fit |= qb_view_fits(&room[i], qb_bond_inner_len(buf));
	}
	return is_fit ? room : views;
}

/* hold_back tells the queue whose packets stay. */
static void hold_back(struct qb_bond *b)
{
	b->queue.held_rules = (uint32_t)b->aside_set;
	b->queue.held_paths = (uint8_t)(b->aside_set >> QB_POLICY_RULES_MAX);
}

bool qb_bond_set_aside(struct qb_bond *b, struct qb_bond_pending *p)
{
	int path = treat_via(b, p->buf) ? -1 : qb_bond_pin_path(b, p->buf);
	uint32_t slot = path < 0 ? qb_buf_rule(p->buf) : QB_POLICY_RULES_MAX + (uint32_t)path;

	_Static_assert(ASIDE_CNT <= 64, "a bit for each");
	if (!qb_bond_is_via(b, p->buf) || slot >= ASIDE_CNT || b->aside_set >> slot & 1)
		return false;
	b->aside[slot] = *p;
	b->aside_set |= UINT64_C(1) << slot;
	if (path >= 0)
		qb_bond_pin_waits(b, (uint8_t)path);
	hold_back(b);
	p->buf = NULL;
	return true;
}

struct qb_bond_pending *qb_bond_aside_next(struct qb_bond *b, uint32_t *slot)
{
	uint64_t left = *slot < ASIDE_CNT ? b->aside_set >> *slot : 0;

	if (!left)
		return NULL;
	*slot += (uint32_t)__builtin_ctzll(left) + 1;
	return &b->aside[*slot - 1];
}

void qb_bond_aside_done(struct qb_bond *b, struct qb_bond_pending *p)
{
	p->buf = NULL;
	b->aside_set &= ~(UINT64_C(1) << (p - b->aside));
	hold_back(b);
}

void qb_bond_aside_fini(struct qb_bond *b)
{
	struct qb_bond_pending *p;

	for (uint32_t slot = 0; (p = qb_bond_aside_next(b, &slot));)
		qb_buf_put(b->pool, p->buf);
	b->aside_set = 0;
}

void qb_bond_set_link(struct qb_bond *b, uint8_t path, uint8_t link)
{
	QB_BUG_ON(path >= QB_BOND_PATHS_MAX || link >= QB_BOND_LINKS_MAX);
	b->link_of[path] = link;
	qb_links_set_rank(&b->links, path, link % QB_BOND_PATHS_MAX, b->now_ns);
}
