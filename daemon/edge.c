/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The edge's part of a node: reach a hub over whichever link answers first, ask for a CONNECT-IP session, keep one path a
 * link, and begin again when the connection ends. On a node's thread.
 *
 *     no link ──► connecting ──► connected
 *       ▲  link gone │ ▲ CONN_CLOSED  │
 *       └────────────┘ └──────────────┘ (at once the first time, then with a backoff)
 *
 * With a ticket of the hub's the request for the session is in the first flight (0-RTT), over each link that is tried, and the
 * answer comes a round trip later. Nothing else goes out so early: inner packets would lack forward secrecy, and could be
 * replayed to third parties, and there is no address to send from before the answer.
 */
#include "node.h"

#include <errno.h>
#include <stdio.h>

enum {
	STAGGER_MS = 250,	 /* between attempts over different links */
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 5000,
	PATH_RETRY_MIN_MS = 100,
	PATH_RETRY_MAX_MS = 2000,
	ERRAND_S = 2 * 24 * 3600,    /* tickets are good for a week: a tunnel that lasts longer has them renewed */
	ERRAND_RETRY_S = 3600,
	ERRAND_END_MS = 500, /* after the first ticket: there may be more of them than fit into a packet */
	BOND_CONTEXT = 2,	 /* client-allocated context IDs are even (RFC 9484 §5) */
	FEC_CONTEXT = 4,
};

/* set_state tells a new state, and a new reason for an old one; "" is no reason. */
static void set_state(struct qb_node *n, const char *state, const char *reason)
{
	struct qb_edge *e = &n->edge;
	struct qb_notice *note;

	if (e->state == state && (!*reason || !strcmp(e->reason, reason)))
		return;
	note = qb_node_notice(n, QB_NOTE_HUB_STATE);
	note->from = e->state;
	note->to = state;
	if (e->tunnel)
		note->group = e->tunnel->group;
	snprintf(note->reason, sizeof(note->reason), "%s", reason);
	memcpy(e->reason, note->reason, sizeof(e->reason));
	e->state = state;
}

static const char state_down[] = "down", state_connecting[] = "connecting", state_connected[] = "connected";
static const char no_link[] = "no link is up";

void qb_edge_init(struct qb_node *n, uint64_t now_ns)
{
	n->edge.state = state_down;
	n->edge.group = n->cfg.group;
	snprintf(n->edge.reason, sizeof(n->edge.reason), "%s", no_link);
	n->edge.next_attempt_ns = now_ns;
	n->edge.errand_ns = n->edge.errand_end_ns = QB_NEVER_NS;
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		n->edge.links[i].path = -1;
		n->edge.links[i].base = i;
		n->edge.links[i].told_path_id = QB_PATH_ID_NONE;
		n->edge.links[i].better_ns = now_ns;
		n->edge.links[i].order.rank = (uint8_t)i;
	}
}

/* same_hub finds a hub of that name and key, at the same address if there is one; -1: none. */
static int same_hub(const struct qb_edge *e, const struct qb_edge_hub *hub)
{
	int found = -1;

	for (uint32_t i = 0; i < e->hub_cnt; i++) {
		const struct qb_edge_hub *h = &e->hubs[i];

		if (strcmp(h->name, hub->name) != 0 || memcmp(h->public_key, hub->public_key, QB_PUBKEY_LEN) != 0)
			continue;
		if (qb_addr_eq(&h->addr, &hub->addr))
			return (int)i;
		if (found < 0)
			found = (int)i;
	}
	return found;
}

void qb_edge_set_hubs(struct qb_node *n, const struct qb_edge_hub *hubs, uint32_t cnt, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;
	struct qb_edge_hub ours = e->hubs[e->hub_idx];
	int idx;

	cnt = QB_MIN(cnt, (uint32_t)QB_EDGE_HUBS_MAX);
	if (cnt == e->hub_cnt && !memcmp(e->hubs, hubs, cnt * sizeof(hubs[0])))
		return;
	/* Legs are told by the numbers of addresses, which are other ones now. */
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++)
		qb_edge_end_leg(n, i, now_ns);
	memcpy(e->hubs, hubs, cnt * sizeof(hubs[0]));
	e->hub_cnt = cnt;
	for (uint32_t i = 0; i < e->attempt_cnt; i++)
		qb_conn_close(e->attempts[i].conn, QB_H3_NO_ERROR, "other hubs are configured", now_ns);
	if (!e->tunnel)
		return;
	idx = same_hub(e, &ours);
	if (idx >= 0)
		e->hub_idx = (uint32_t)idx;
	else
		qb_conn_close(e->tunnel->conn, QB_H3_NO_ERROR, "the hub is not configured any more", now_ns);
}

void qb_edge_set_advertise(struct qb_node *n, const struct qb_conf_prefixes *p)
{
	n->edge.advertise = *p;
}

const char *qb_edge_hub_name(const struct qb_node *n)
{
	return n->edge.hub_idx < n->edge.hub_cnt ? n->edge.hubs[n->edge.hub_idx].name : "";
}

/* link_tuple joins a link's address of the hub's family with the hub's. Returns false when the link has none. */
static bool link_tuple(const struct qb_edge *e, uint32_t link, const struct qb_addr *hub, struct qb_tuple *out)
{
	const struct qb_edge_link *l = &e->links[link];
	const struct qb_addr *local = hub->family == 4 ? &l->local4 : &l->local6;

	if (!l->is_up || local->family == 0)
		return false;
	memset(out, 0, sizeof(*out));
	out->local = *local;
	out->peer = *hub;
	out->link = (uint16_t)l->base;
	return true;
}

bool qb_edge_path_tuple(const struct qb_edge *e, uint32_t link, struct qb_tuple *out)
{
	const char *name = e->hubs[e->hub_idx].name;

	if (e->links[link].base != link)
		return link_tuple(e, link, &e->hubs[e->links[link].hub].addr, out);
	if (link_tuple(e, link, &e->hubs[e->hub_idx].addr, out))
		return true;
	for (uint32_t i = 0; i < e->hub_cnt; i++)
		if (!strcmp(e->hubs[i].name, name) && link_tuple(e, link, &e->hubs[i].addr, out))
			return true;
	return false;
}

/* ---- links ---- */

/* It tells the hub of tier and drain, too, so that it keeps to them on the way down. */
void qb_edge_apply_policy(struct qb_node *n, uint32_t link)
{
	const struct qb_edge_link *l = &n->edge.links[link];
	struct qb_tunnel *t = n->edge.tunnel;

	if (!t || l->path < 0)
		return;
	qb_bond_set_rank(t->bond, (uint8_t)l->path, l->order.rank);
	qb_bond_set_tier(t->bond, (uint8_t)l->path, l->tier);
	qb_bond_set_drained(t->bond, (uint8_t)l->path, l->is_drained);
	qb_conn_set_path_keepalive(t->conn, (uint8_t)l->path, l->keepalive_ns);
	qb_conn_set_path_backup(t->conn, (uint8_t)l->path,
				l->is_drained || l->tier != QB_TIER_PRIMARY ||
					(n->cfg.is_failover && t->paths[l->path].seen_state == QB_LINK_STANDBY));
}

void qb_edge_set_failover(struct qb_node *n, bool is_failover)
{
	n->cfg.is_failover = is_failover;
	if (!n->edge.tunnel)
		return;
	qb_bond_set_failover(n->edge.tunnel->bond, is_failover);
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++)
		qb_edge_apply_policy(n, i);
}

void qb_edge_set_link_order(struct qb_node *n, uint32_t link, const struct qb_link_order *order)
{
	for (uint32_t i = link; i < QB_NODE_LINKS_MAX; i = qb_edge_next_leg(&n->edge, link, i)) {
		n->edge.links[i].order = *order;
		qb_edge_apply_policy(n, i);
	}
}

void qb_edge_set_reserve(struct qb_node *n, uint64_t reserve_ns)
{
	n->cfg.reserve_ns = reserve_ns;
}

static bool is_same_wish(const struct qb_link_rates *told, uint64_t down_bps, const struct qb_link_rates *rates)
{
	return told->down_bps == down_bps && told->weight == rates->weight && told->is_metered == rates->is_metered &&
	       strcmp(told->name, rates->name) == 0;
}

/* tell_links tells the hub what each link is called and how much of it it may use, once it is known to understand. */
static void tell_links(struct qb_tunnel *t, uint64_t now_ns)
{
	struct qb_path_info info;

	for (uint32_t i = 0; t->bond_tx_context && i < QB_NODE_LINKS_MAX; i++) {
		struct qb_edge_link *l = &t->node->edge.links[i];
		uint64_t down_bps = l->rates.down_bps / qb_edge_leg_cnt(&t->node->edge, l->base);
		bool is_told, is_wish = down_bps || l->rates.weight || *l->rates.name || l->rates.is_metered;
		struct qb_h3_link wish = {.rate_kbps = (down_bps + 999) / 1000,
					  .weight = l->rates.weight,
					  .name = l->rates.name,
					  .is_metered = l->rates.is_metered};
		int ret;

		if (l->path < 0 || !qb_conn_path_info(t->conn, (uint8_t)l->path, now_ns, &info))
			continue;
		is_told = l->told_path_id == info.path_id;
		if (is_told ? is_same_wish(&l->told, down_bps, &l->rates) : !is_wish)
			continue;
		wish.path_id = info.path_id;
		ret = qb_h3_send_link(t->h3, t->session, &wish);
		qb_tunnel_note_sent(t, QB_UNSENT_LINKS, ret);
		if (ret)
			return;
		l->told_path_id = info.path_id;
		l->told = l->rates;
		l->told.down_bps = down_bps;
	}
}

static void apply_rates(struct qb_node *n, uint32_t link, uint64_t now_ns)
{
	const struct qb_edge_link *l = &n->edge.links[link];
	struct qb_tunnel *t = n->edge.tunnel;

	if (!t || l->path < 0)
		return;
	qb_conn_limit_path(t->conn, (uint8_t)l->path, l->rates.up_bps / qb_edge_leg_cnt(&n->edge, l->base), now_ns);
	t->paths[l->path].weight = l->rates.weight;
	t->paths[l->path].is_metered = l->rates.is_metered;
	tell_links(t, now_ns);
}

void qb_edge_set_link_rates(struct qb_node *n, uint32_t link, const struct qb_link_rates *rates, uint64_t now_ns)
{
	for (uint32_t i = link; i < QB_NODE_LINKS_MAX; i = qb_edge_next_leg(&n->edge, link, i)) {
		n->edge.links[i].rates = *rates;
		apply_rates(n, i, now_ns);
	}
}

void qb_edge_close_link_path(struct qb_node *n, uint32_t link, uint64_t now_ns)
{
	struct qb_edge_link *l = &n->edge.links[link];

	if (l->path < 0 || !n->edge.tunnel)
		return;
	/* The only path stays: there is nothing better, and the link may come back. */
	if (qb_conn_close_path(n->edge.tunnel->conn, (uint8_t)l->path, 0, now_ns) == 0) {
		qb_tunnel_path_del(n->edge.tunnel, (uint8_t)l->path, now_ns);
		l->path = -1;
	}
}

static void drop_attempts_over(struct qb_node *n, uint32_t link, uint64_t now_ns)
{
	for (uint32_t i = 0; i < n->edge.attempt_cnt; i++)
		if (n->edge.attempts[i].link == link)
			qb_conn_close(n->edge.attempts[i].conn, 0, "link is gone", now_ns);
}

static void move_path(struct qb_node *n, const struct qb_edge_link *l, const struct qb_tuple *tuple, uint64_t now_ns)
{
	if (qb_conn_move_path(n->edge.tunnel->conn, (uint8_t)l->path, tuple, now_ns) == 0)
		qb_count(n->counters, QB_CNT_PATH_MOVES);
}

static void set_slot(struct qb_node *n, uint32_t slot, bool is_up, const struct qb_addr *local4, const struct qb_addr *local6,
		     enum qb_tier tier, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;
	struct qb_edge_link *l = &e->links[slot];
	bool is_moved = !qb_addr_eq(&l->local4, local4) || !qb_addr_eq(&l->local6, local6);
	struct qb_tuple tuple;

	l->is_up = is_up;
	l->local4 = *local4;
	l->local6 = *local6;
	l->tier = tier;
	qb_edge_apply_policy(n, slot);
	l->retry_ns = now_ns;
	l->retry_cnt = 0;
	if (!is_up) {
		if (e->tunnel && l->path >= 0)
			qb_tunnel_path_lost(e->tunnel, (uint8_t)l->path, now_ns);
		qb_edge_close_link_path(n, slot, now_ns);
		drop_attempts_over(n, slot, now_ns);
		return;
	}
	if (!e->tunnel) {
		e->next_attempt_ns = now_ns;
	} else if (l->path >= 0 && is_moved && qb_edge_path_tuple(e, slot, &tuple)) {
		tuple.peer = l->to.family == tuple.peer.family ? l->to : tuple.peer;
		move_path(n, l, &tuple, now_ns);
	}
}

void qb_edge_set_link(struct qb_node *n, uint32_t link, bool is_up, const struct qb_addr *local4,
		      const struct qb_addr *local6, enum qb_tier tier, uint64_t now_ns)
{
	const struct qb_edge *e = &n->edge;

	qb_edge_end_leg(n, link, now_ns);
	for (uint32_t i = qb_edge_next_leg(e, link, link); i < QB_NODE_LINKS_MAX; i = qb_edge_next_leg(e, link, i))
		set_slot(n, i, is_up, local4, local6, tier, now_ns);
	set_slot(n, link, is_up, local4, local6, tier, now_ns);
	for (uint32_t i = 0; !is_up && i < QB_NODE_LINKS_MAX; i++)
		if (e->links[i].base == link)
			qb_edge_end_leg(n, i, now_ns);
}

void qb_edge_drain_link(struct qb_node *n, uint32_t link, bool is_drained)
{
	for (uint32_t i = link; i < QB_NODE_LINKS_MAX; i = qb_edge_next_leg(&n->edge, link, i)) {
		n->edge.links[i].is_drained = is_drained;
		qb_edge_apply_policy(n, i);
	}
}

void qb_edge_set_link_keepalive(struct qb_node *n, uint32_t link, uint64_t keepalive_ns)
{
	for (uint32_t i = link; i < QB_NODE_LINKS_MAX; i = qb_edge_next_leg(&n->edge, link, i)) {
		n->edge.links[i].keepalive_ns = keepalive_ns;
		qb_edge_apply_policy(n, i);
	}
}

void qb_edge_set_link_network(struct qb_node *n, uint32_t link, uint64_t network, const struct qb_path_tune *tune)
{
	for (uint32_t i = link; i < QB_NODE_LINKS_MAX; i = qb_edge_next_leg(&n->edge, link, i)) {
		struct qb_edge_link *l = &n->edge.links[i];

		l->network = network;
		l->tune = *tune;
		if (n->edge.tunnel && l->path >= 0)
			qb_conn_tune_path(n->edge.tunnel->conn, (uint8_t)l->path, tune, 0);
	}
}

void qb_edge_set_link_cc(struct qb_node *n, uint32_t link, const struct qb_cc *cc, uint64_t now_ns)
{
	n->edge.links[link].cc = cc;
	if (n->edge.tunnel)
		qb_tunnel_apply_cc(n->edge.tunnel, now_ns);
}

/* ---- connecting ---- */

static bool is_tried(const struct qb_edge *e, uint32_t link, uint32_t hub)
{
	for (uint32_t i = 0; i < e->attempt_cnt; i++)
		if (e->attempts[i].link == link && e->attempts[i].hub == hub)
			return true;
	return false;
}

/* name_of: by a ServerName TLS knows that a CA vouches for the hub; no other hub is called by one (conf/check.c). */
static const char *name_of(const struct qb_edge_hub *hub)
{
	return hub->server_name[0] ? hub->server_name : hub->name;
}

/* connect_with takes the newest ticket of the hub out, if there is one: it is good once. */
static struct qb_conn *connect_with(struct qb_node *n, const struct qb_edge_hub *hub, const struct qb_tuple *tuple,
				    uint64_t now_ns)
{
	struct qb_edge_tickets *ts = &n->edge.tickets;
	struct qb_edge_ticket *t;
	struct qb_conn *conn;
	uint32_t i = ts->cnt;

	while (i > 0 && memcmp(ts->t[i - 1].hub_key, hub->public_key, QB_PUBKEY_LEN) != 0)
		i--;
	if (i == 0)
		return qb_quic_connect(n->quic, tuple, name_of(hub), now_ns);
	t = &ts->t[i - 1];
	conn = qb_quic_resume(n->quic, tuple, name_of(hub), t->bytes, t->len, now_ns);
	memmove(t, t + 1, (ts->cnt - i) * sizeof(*t));
	explicit_bzero(&ts->t[--ts->cnt], sizeof(*t));
	n->edge.has_new_tickets = true;
	return conn;
}

static void keep_ticket(struct qb_edge_tickets *ts, const struct qb_edge_ticket *t)
{
	if (ts->cnt == QB_EDGE_TICKETS) {
		memmove(&ts->t[0], &ts->t[1], (QB_EDGE_TICKETS - 1) * sizeof(ts->t[0]));
		ts->cnt--;
	}
	ts->t[ts->cnt++] = *t;
}

static void take_tickets(struct qb_node *n, struct qb_conn *conn, uint64_t now_ns)
{
	struct qb_edge_ticket t = {0};
	struct qb_conn_info info;

	qb_conn_get_info(conn, &info);
	memcpy(t.hub_key, info.peer_key, QB_PUBKEY_LEN);
	while ((t.len = (uint32_t)qb_conn_take_session(conn, t.bytes)) > 0) {
		keep_ticket(&n->edge.tickets, &t);
		n->edge.has_new_tickets = true;
		n->edge.errand_ns = now_ns + ERRAND_S * QB_NS_PER_SEC;
	}
	explicit_bzero(&t, sizeof(t));
}

/* ---- errands: new tickets for a tunnel that lasts ---- */

/* start_errand connects where the hub is known to be: a preferred address is for one connection (RFC 9000 §9.6.1). */
static void start_errand(struct qb_node *n, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;
	struct qb_path_info path;
	struct qb_tuple tuple;

	if (e->errand && now_ns >= e->errand_end_ns) {
		e->errand_end_ns = QB_NEVER_NS;
		qb_conn_close(e->errand, QB_H3_NO_ERROR, "tickets are here", now_ns);
	}
	if (e->errand || now_ns < e->errand_ns)
		return;
	e->errand_end_ns = QB_NEVER_NS;
	e->errand_ns = now_ns + ERRAND_RETRY_S * QB_NS_PER_SEC;
	for (uint8_t i = 0; i < QB_PATHS_MAX && !e->errand; i++)
		if (e->tunnel->paths[i].is_used && qb_conn_path_info(e->tunnel->conn, i, now_ns, &path) &&
		    path.phase == QB_PATH_OPEN && qb_edge_path_tuple(e, path.tuple.link, &tuple))
			e->errand = qb_quic_connect(n->quic, &tuple, name_of(&e->hubs[e->hub_idx]), now_ns);
}

/* on_errand takes the events of such a connection; it is over when tickets are here. */
static void on_errand(struct qb_node *n, const struct qb_quic_event *ev, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;
	struct qb_conn_info info;

	if (ev->type == QB_EV_CONN_CLOSED)
		e->errand = NULL;
	if (ev->type != QB_EV_SESSION)
		return;
	qb_conn_get_info(ev->conn, &info);
	if (!memcmp(info.peer_key, e->hubs[e->hub_idx].public_key, QB_PUBKEY_LEN))
		take_tickets(n, ev->conn, now_ns);
	e->errand_end_ns = qb_min_u64(e->errand_end_ns, now_ns + ERRAND_END_MS * QB_NS_PER_MS);
}

void qb_edge_set_tickets(struct qb_node *n, const struct qb_edge_tickets *tickets)
{
	n->edge.tickets = *tickets;
	n->edge.has_new_tickets = false;
}

/* start_attempt begins a handshake over the next combination of hub address and link that is not under way. */
static bool start_attempt(struct qb_node *n, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;
	uint32_t combos = e->hub_cnt * QB_NODE_LINKS_MAX;

	for (uint32_t k = 0; k < combos; k++) {
		uint32_t combo = (e->next_try + k) % combos;
		uint32_t link = combo % QB_NODE_LINKS_MAX, hub = combo / QB_NODE_LINKS_MAX;
		struct qb_tuple tuple;
		struct qb_conn *conn;

		if (e->links[link].base != link || qb_edge_use_ns(n, link) > now_ns || is_tried(e, link, hub) || !link_tuple(e, link, &e->hubs[hub].addr, &tuple))
			continue;
		e->next_try = combo + 1;
		conn = connect_with(n, &e->hubs[hub], &tuple, now_ns);
		if (!conn)
			return false;
		qb_conn_tune_path(conn, 0, &e->links[link].tune, now_ns);
		e->attempts[e->attempt_cnt++] = (struct qb_edge_attempt){conn, link, hub};
		return true;
	}
	return false;
}

/* first_use_ns: from when on there is a link to try; QB_NEVER_NS. */
static uint64_t first_use_ns(const struct qb_node *n)
{
	const struct qb_edge *e = &n->edge;
	uint64_t at = QB_NEVER_NS;
	struct qb_tuple tuple;

	for (uint32_t l = 0; l < QB_NODE_LINKS_MAX; l++)
		for (uint32_t h = 0; h < e->hub_cnt; h++)
			if (link_tuple(e, l, &e->hubs[h].addr, &tuple))
				at = qb_min_u64(at, qb_edge_use_ns(n, l));
	return at;
}

static void back_off(struct qb_node *n, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;
	uint64_t wait_ms = (uint64_t)BACKOFF_MIN_MS << QB_MIN(e->failures, 6u);

	wait_ms = QB_MIN(wait_ms, (uint64_t)BACKOFF_MAX_MS);
	wait_ms += qb_rand_below(&n->rand, wait_ms / 4 + 1);
	e->next_attempt_ns = now_ns + (e->failures ? wait_ms * QB_NS_PER_MS : 0);
	e->failures++;
}

static int find_attempt(const struct qb_edge *e, const struct qb_conn *conn)
{
	for (uint32_t i = 0; i < e->attempt_cnt; i++)
		if (e->attempts[i].conn == conn)
			return (int)i;
	return -1;
}

/* tell_closed says why the hub is not connected, and who says so. */
static void tell_closed(struct qb_node *n, const struct qb_conn *conn)
{
	const char *why = qb_conn_reason(conn);
	char reason[QB_CONN_REASON_LEN];
	struct qb_conn_info info;

	qb_conn_get_info(conn, &info);
	snprintf(reason, sizeof(reason), "%s%.80s", info.is_closed_by_peer ? "the hub says: " : "",
		 *why ? why : "connection closed");
	set_state(n, state_connecting, reason);
}

static void on_attempt_closed(struct qb_node *n, uint32_t i, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;
	struct qb_conn *conn = e->attempts[i].conn;

	e->attempts[i] = e->attempts[--e->attempt_cnt];
	if (qb_conn_user(conn))
		qb_tunnel_free(qb_conn_user(conn));
	if (e->tunnel)
		return;
	if (e->state == state_connecting)
		tell_closed(n, conn);
	if (e->attempt_cnt == 0)
		back_off(n, now_ns);
}

static void request_session(struct qb_tunnel *t, const struct qb_edge_hub *hub, uint64_t now_ns);

/* on_early asks for the session at once. The hub that the ticket is of has been checked when it was taken. */
static void on_early(struct qb_node *n, struct qb_conn *conn, uint64_t now_ns)
{
	int i = find_attempt(&n->edge, conn);
	struct qb_tunnel *t = i >= 0 ? qb_tunnel_new(n, conn, now_ns) : NULL;

	if (!t)
		return;
	qb_h3_resume(t->h3);
	request_session(t, &n->edge.hubs[n->edge.attempts[i].hub], now_ns);
}

static void on_established(struct qb_node *n, struct qb_conn *conn, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;
	int i = find_attempt(e, conn);
	struct qb_edge_attempt won;
	struct qb_conn_info info;

	if (i < 0)
		return;
	won = e->attempts[i];
	e->attempts[i] = e->attempts[--e->attempt_cnt];
	qb_conn_get_info(conn, &info);
	if (e->tunnel || memcmp(info.peer_key, e->hubs[won.hub].public_key, QB_PUBKEY_LEN) != 0) {
		if (qb_conn_user(conn))
			qb_tunnel_free(qb_conn_user(conn));
		qb_conn_close(conn, QB_H3_NO_ERROR, e->tunnel ? "not needed" : "another hub's key", now_ns);
		return;
	}
	e->tunnel = qb_conn_user(conn) ? qb_conn_user(conn) : qb_tunnel_new(n, conn, now_ns);
	if (!e->tunnel) {
		qb_conn_close(conn, QB_H3_NO_ERROR, "no HTTP/3 streams", now_ns);
		return;
	}
	for (uint32_t k = 0; k < e->attempt_cnt; k++)
		qb_conn_close(e->attempts[k].conn, QB_H3_NO_ERROR, "another link was faster", now_ns);
	e->hub_idx = won.hub;
	e->links[won.link].path = 0;
	e->links[won.link].to = e->hubs[won.hub].addr;
	qb_tunnel_path_add(e->tunnel, 0, (uint16_t)won.link, e->links[won.link].tier, now_ns);
	qb_edge_apply_policy(n, won.link);
	apply_rates(n, won.link, now_ns);
}

static void on_closed(struct qb_node *n, struct qb_conn *conn, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;
	int i = find_attempt(e, conn);

	if (i >= 0) {
		on_attempt_closed(n, (uint32_t)i, now_ns);
		return;
	}
	if (!e->tunnel || e->tunnel->conn != conn)
		return;
	tell_closed(n, conn);
	qb_tunnel_free(e->tunnel);
	e->tunnel = NULL;
	for (uint32_t l = 0; l < QB_NODE_LINKS_MAX; l++) {
		qb_edge_end_leg(n, l, now_ns);
		e->links[l].path = -1;
		e->links[l].told_path_id = QB_PATH_ID_NONE;
	}
	back_off(n, now_ns);
}

/* ---- paths ---- */

static void on_path_lost(struct qb_node *n, uint8_t path, uint64_t now_ns)
{
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		struct qb_edge_link *l = &n->edge.links[i];
		uint64_t wait_ms = (uint64_t)PATH_RETRY_MIN_MS << QB_MIN(l->retry_cnt, 5u);

		if (l->path != path)
			continue;
		l->path = -1;
		l->retry_cnt++;
		l->retry_ns = now_ns + QB_MIN(wait_ms, (uint64_t)PATH_RETRY_MAX_MS) * QB_NS_PER_MS;
	}
}

/* open_paths gives every link that is up a path. */
static void open_paths(struct qb_node *n, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;

	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		struct qb_edge_link *l = &e->links[i];
		struct qb_tuple tuple;
		int path;

		if (!l->is_up || l->path >= 0 || qb_edge_use_ns(n, i) > now_ns || now_ns < l->retry_ns ||
		    !qb_edge_path_tuple(e, i, &tuple))
			continue;
		path = qb_conn_open_path(e->tunnel->conn, &tuple, now_ns);
		if (path < 0) {
			l->retry_ns = now_ns + PATH_RETRY_MIN_MS * QB_NS_PER_MS;
			if (path == -EOPNOTSUPP)
				l->retry_ns = QB_NEVER_NS;
			continue;
		}
		l->path = path;
		l->to = tuple.peer;
		qb_conn_tune_path(e->tunnel->conn, (uint8_t)path, &l->tune, now_ns);
		qb_tunnel_path_add(e->tunnel, (uint8_t)path, (uint16_t)l->base, l->tier, now_ns);
		for (uint32_t k = l->base; k < QB_NODE_LINKS_MAX; k = qb_edge_next_leg(e, l->base, k)) {
			qb_edge_apply_policy(n, k);
			apply_rates(n, k, now_ns);
		}
	}
}

void qb_edge_on_event(struct qb_node *n, const struct qb_quic_event *ev, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;
	bool is_ours = e->tunnel && e->tunnel->conn == ev->conn;

	if (e->errand == ev->conn) {
		on_errand(n, ev, now_ns);
		return;
	}

	switch (ev->type) {
	case QB_EV_CONN_EARLY:
		on_early(n, ev->conn, now_ns);
		break;
	case QB_EV_SESSION:
		take_tickets(n, ev->conn, now_ns);
		break;
	case QB_EV_CONN_ESTABLISHED:
		on_established(n, ev->conn, now_ns);
		break;
	case QB_EV_CONN_CLOSED:
		on_closed(n, ev->conn, now_ns);
		break;
	case QB_EV_PATH_FAILED:
	case QB_EV_PATH_CLOSED:
		if (is_ours)
			on_path_lost(n, ev->path, now_ns);
		break;
	case QB_EV_PATH_VALIDATED:
		for (uint32_t i = 0; is_ours && i < QB_NODE_LINKS_MAX; i++)
			if (e->links[i].path == ev->path)
				e->links[i].retry_cnt = 0;
		break;
	case QB_EV_PATHS_AVAILABLE:
		for (uint32_t i = 0; is_ours && i < QB_NODE_LINKS_MAX; i++)
			e->links[i].retry_ns = qb_min_u64(e->links[i].retry_ns, now_ns);
		break;
	default:
		break;
	}
}

void qb_edge_poll(struct qb_node *n, uint64_t now_ns)
{
	struct qb_edge *e = &n->edge;

	if (e->has_new_tickets || e->tokens_change != qb_quic_tokens_change(n->quic)) {
		e->has_new_tickets = false;
		e->tokens_change = qb_quic_tokens_change(n->quic);
		qb_node_notice(n, QB_NOTE_TICKETS);
	}
	qb_edge_look_after_reserve(n, now_ns);
	if (e->tunnel) {
		qb_edge_look_after_legs(n, now_ns);
		open_paths(n, now_ns);
		start_errand(n, now_ns);
		return;
	}
	if (first_use_ns(n) > now_ns) {
		set_state(n, state_down, no_link);
		return;
	}
	set_state(n, state_connecting, "");
	if (now_ns < e->next_attempt_ns || e->attempt_cnt == QB_NODE_LINKS_MAX)
		return;
	e->next_attempt_ns = now_ns + STAGGER_MS * QB_NS_PER_MS;
	if (!start_attempt(n, now_ns) && e->attempt_cnt == 0)
		back_off(n, now_ns);
}

uint64_t qb_edge_deadline_ns(const struct qb_node *n)
{
	const struct qb_edge *e = &n->edge;
	uint64_t at = QB_NEVER_NS;

	if (!e->tunnel)
		return e->attempt_cnt < QB_NODE_LINKS_MAX ? qb_max_u64(e->next_attempt_ns, first_use_ns(n)) : QB_NEVER_NS;
	at = e->errand ? e->errand_end_ns : e->errand_ns;
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++)
		if (e->links[i].is_up && e->links[i].path < 0)
			at = qb_min_u64(at, qb_max_u64(e->links[i].retry_ns, qb_edge_use_ns(n, i)));
	return at;
}

/* ---- HTTP/3 ---- */

static void request_session(struct qb_tunnel *t, const struct qb_edge_hub *hub, uint64_t now_ns)
{
	int64_t session = qb_h3_connect_ip(t->h3, hub->name, &t->node->edge.group);

	if (session < 0)
		qb_conn_close(t->conn, QB_H3_NO_ERROR, "cannot open a CONNECT-IP stream", now_ns);
	else
		t->session = (uint64_t)session;
}

static void offer_bond(struct qb_tunnel *t)
{
	qb_tunnel_note_sent(t, QB_UNSENT_BOND, qb_h3_send_bond(t->h3, t->session, QB_BOND_VERSION, BOND_CONTEXT));
}

static void offer_fec(struct qb_tunnel *t)
{
	qb_tunnel_note_sent(t, QB_UNSENT_FEC, qb_h3_send_fec(t->h3, t->session, QB_BOND_FEC_VERSION, FEC_CONTEXT));
}

static void advertise(struct qb_node *n, struct qb_tunnel *t)
{
	struct qb_h3_route routes[QB_CONF_PREFIXES_MAX];
	const struct qb_conf_prefixes *adv = &n->edge.advertise;
	uint32_t cnt = qb_tunnel_ranges(adv->p, adv->cnt, routes, QB_CONF_PREFIXES_MAX);

	if (cnt)
		qb_tunnel_note_sent(t, QB_UNSENT_ROUTES, qb_h3_send_routes(t->h3, t->session, routes, cnt));
}

void qb_edge_resend(struct qb_node *n, struct qb_tunnel *t, uint64_t now_ns)
{
	uint8_t unsent = t->unsent;

	t->unsent = 0;
	if (unsent & QB_UNSENT_BOND)
		offer_bond(t);
	if (unsent & QB_UNSENT_FEC)
		offer_fec(t);
	if (unsent & QB_UNSENT_ROUTES)
		advertise(n, t);
	if (unsent & QB_UNSENT_LINKS)
		tell_links(t, now_ns);
}

static void open_session(struct qb_node *n, struct qb_tunnel *t)
{
	t->is_open = true;
	n->edge.failures = 0;
	/* The hub's first numbered packets may overtake its answer. */
	t->bond_rx_context = BOND_CONTEXT;
	t->fec_rx_context = FEC_CONTEXT;
	offer_bond(t);
	offer_fec(t);
	advertise(n, t);
	set_state(n, state_connected, qb_edge_hub_name(n));
}

static void on_addresses(struct qb_node *n, const struct qb_h3_event *ev)
{
	struct qb_notice *note = qb_node_notice(n, QB_NOTE_ADDRESSES);

	note->cnt = QB_MIN(ev->addr_cnt, (uint32_t)QB_H3_ADDRS_MAX);
	for (uint32_t i = 0; i < note->cnt; i++)
		note->prefixes[i] = ev->addrs[i].prefix;
}

static void on_routes(struct qb_node *n, const struct qb_h3_event *ev)
{
	struct qb_notice *note = qb_node_notice(n, QB_NOTE_ROUTES);

	note->cnt = QB_MIN(ev->route_cnt, (uint32_t)QB_NODE_SOURCES_MAX);
	memcpy(note->routes, ev->routes, note->cnt * sizeof(ev->routes[0]));
}

void qb_edge_on_h3(struct qb_node *n, struct qb_tunnel *t, const struct qb_h3_event *ev, uint64_t now_ns)
{
	switch (ev->type) {
	case QB_H3_EV_READY:
		if (ev->is_ok && t->session == QB_H3_NO_SESSION)
			request_session(t, &n->edge.hubs[n->edge.hub_idx], now_ns);
		else if (!ev->is_ok)
			qb_conn_close(t->conn, QB_H3_NO_ERROR, "the hub speaks no CONNECT-IP", now_ns);
		break;
	case QB_H3_EV_RESPONSE:
		t->group = ev->group;
		if (ev->status / 100 == 2)
			open_session(n, t);
		else
			qb_conn_close(t->conn, QB_H3_REQUEST_CANCELLED, "the hub refused the session", now_ns);
		break;
	case QB_H3_EV_ADDRESS_ASSIGN:
		on_addresses(n, ev);
		break;
	case QB_H3_EV_ROUTES:
		on_routes(n, ev);
		break;
	case QB_H3_EV_BOND:
		if (ev->bond_version == QB_BOND_VERSION && ev->bond_context == BOND_CONTEXT) {
			t->bond_tx_context = BOND_CONTEXT;
			qb_bond_set_ordered(t->bond, true);
			tell_links(t, now_ns);
		}
		break;
	case QB_H3_EV_FEC:
		if (ev->bond_version == QB_BOND_FEC_VERSION && ev->bond_context == FEC_CONTEXT) {
			t->fec_tx_context = FEC_CONTEXT;
			qb_bond_set_fec(t->bond, true);
		}
		break;
	case QB_H3_EV_CLOSED:
	case QB_H3_EV_GOAWAY:
		qb_conn_close(t->conn, QB_H3_NO_ERROR, "the hub ended the session", now_ns);
		break;
	default:
		break;
	}
}
