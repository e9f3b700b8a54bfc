/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mesh = full: besides the path that each of an edge's links has, one to each other address of the
 * hub that the link can reach. Such a leg is a slot in the table of links that no link needs, with
 * all that its link has, but its path; the link wants its slot back when it comes. Called by edge.c
 * on a node's thread.
 */
#include "node.h"

uint32_t qb_edge_next_leg(const struct qb_edge *e, uint32_t link, uint32_t at)
{
	for (uint32_t i = at == link ? 0 : at + 1; i < QB_NODE_LINKS_MAX; i++)
		if (i != link && e->links[i].base == link)
			return i;
	return QB_NODE_LINKS_MAX;
}

uint32_t qb_edge_leg_cnt(const struct qb_edge *e, uint32_t link)
{
	uint32_t cnt = 0;

	for (uint32_t i = link; i < QB_NODE_LINKS_MAX; i = qb_edge_next_leg(e, link, i))
		cnt++;
	return cnt;
}

void qb_edge_end_leg(struct qb_node *n, uint32_t slot, uint64_t now_ns)
{
	struct qb_edge_link *l = &n->edge.links[slot], *link = &n->edge.links[l->base];

	if (l->base == slot)
		return;
	qb_edge_close_link_path(n, slot, now_ns);
	/* The only path of all stays, and is the link's then. */
	if (l->path >= 0 && n->edge.tunnel && link->path < 0) {
		link->path = l->path;
		link->to = l->to;
	}
	l->base = slot;
	l->is_up = false;
	l->path = -1;
	l->told_path_id = QB_PATH_ID_NONE;
}

static bool serves(const struct qb_edge *e, const struct qb_edge_link *l)
{
	return e->tunnel && l->path >= 0 &&
	       qb_link_state_serves(e->tunnel->paths[l->path].seen_state);
}

void qb_edge_set_mesh(struct qb_node *n, bool is_full, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;

	n->cfg.is_mesh_full = is_full;
	for (uint32_t i = 0; !is_full && i < QB_NODE_LINKS_MAX; i++) {
		struct qb_edge_link *leg = &e->links[i], *link = &e->links[leg->base];
		struct qb_edge_link was = *leg;

		/* The path that works is the one to keep. */
		if (serves(e, leg) && !serves(e, link)) {
			leg->path = link->path;
			leg->to = link->to;
			link->path = was.path;
			link->to = was.to;
		}
		qb_edge_end_leg(n, i, now_ns);
	}
}

/* goes_to: one of the link's paths has that address, or had it before the hub asked for another
 * one, or will have it. */
static bool goes_to(const struct qb_edge *e, uint32_t link, const struct qb_addr *hub,
		    uint64_t now_ns)
{
	struct qb_path_info info;
	struct qb_tuple tuple;

	for (uint32_t i = link; i < QB_NODE_LINKS_MAX; i = qb_edge_next_leg(e, link, i)) {
		const struct qb_edge_link *l = &e->links[i];

		if (l->path >= 0 ? qb_addr_eq(&l->to, hub)
				 : qb_edge_path_tuple(e, i, &tuple) && qb_addr_eq(&tuple.peer, hub))
			return true;
		if (l->path >= 0 &&
		    qb_conn_path_info(e->tunnel->conn, (uint8_t)l->path, now_ns, &info) &&
		    qb_addr_eq(&info.tuple.peer, hub))
			return true;
	}
	return false;
}

/* free_slot: from the end, for links come from the beginning. */
static uint32_t free_slot(const struct qb_edge *e)
{
	uint32_t i = QB_NODE_LINKS_MAX;

	while (i-- > 0)
		if (e->links[i].base == i && !e->links[i].is_up && e->links[i].path < 0)
			return i;
	return QB_NODE_LINKS_MAX;
}

static void add_leg(struct qb_edge *e, uint32_t link, uint32_t hub, uint64_t now_ns)
{
	uint32_t slot = free_slot(e);
	struct qb_edge_link *l = &e->links[slot];

	if (slot == QB_NODE_LINKS_MAX)
		return;
	*l = e->links[link];
	l->base = link;
	l->hub = hub;
	l->path = -1;
	l->told_path_id = QB_PATH_ID_NONE;
	l->retry_ns = now_ns;
	l->retry_cnt = 0;
}

void qb_edge_look_after_legs(struct qb_node *n, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;

	for (uint32_t i = 0; n->cfg.is_mesh_full && i < QB_NODE_LINKS_MAX; i++) {
		const struct qb_edge_link *l = &e->links[i];

		if (l->base != i || !l->is_up || l->path < 0)
			continue;
		for (uint32_t h = 0; h < e->hub_cnt; h++) {
			const struct qb_edge_hub *hub = &e->hubs[h];

			if (!strcmp(hub->name, e->hubs[e->hub_idx].name) &&
			    (hub->addr.family == 4 ? l->local4 : l->local6).family &&
			    !goes_to(e, i, &hub->addr, now_ns))
				add_leg(e, i, h, now_ns);
		}
	}
}
