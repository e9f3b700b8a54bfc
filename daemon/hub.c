/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hub's part of a node: a site whose key is listed gets a CONNECT-IP session, its addresses, and the right to use
 * them; or as many sessions as it has workers, if it says that they belong together. Another session of the same site replaces
 * what was before. On a node's thread.
 */
#include "node.h"

#include <errno.h>
#include <stdio.h>

enum {
	LINK_MIN_KBPS = 64,
	LINK_MAX_KBPS = 400000000,
	LINK_WEIGHT_MAX = 1000,
	ASKS_AT_ONCE = 256,
};

#define ASK_NS (50 * QB_NS_PER_MS)

static void advertise(struct qb_node *n, struct qb_tunnel *t)
{
	struct qb_h3_route routes[QB_CONF_PREFIXES_MAX];
	uint32_t cnt = qb_tunnel_ranges(n->hub.advertise.p, n->hub.advertise.cnt, routes, QB_CONF_PREFIXES_MAX);

	qb_tunnel_note_sent(t, QB_UNSENT_ROUTES, qb_h3_send_routes(t->h3, t->session, routes, cnt));
}

void qb_hub_set_advertise(struct qb_node *n, const struct qb_conf_prefixes *p)
{
	bool is_same = !memcmp(&n->hub.advertise, p, sizeof(*p));

	n->hub.advertise = *p;
	for (struct qb_tunnel *t = n->tunnels; t && !is_same; t = t->next)
		if (t->is_open)
			advertise(n, t);
}

static uint32_t find_site(const struct qb_hub *h, const uint8_t key[QB_PUBKEY_LEN])
{
	for (uint32_t i = 0; i < h->site_cnt; i++)
		if (!memcmp(h->sites[i].public_key, key, QB_PUBKEY_LEN))
			return i;
	return QB_SITE_NONE;
}

bool qb_hub_is_allowed(const struct qb_conf_prefixes *prefixes, const struct qb_h3_route *r)
{
	for (uint32_t i = 0; i < prefixes->cnt; i++) {
		const struct qb_prefix *p = &prefixes->p[i];

		if (qb_prefix_has(p, r->family, r->first) && qb_prefix_has(p, r->family, r->last))
			return true;
	}
	return false;
}

static void allow_sources(const struct qb_hub_site *site, struct qb_tunnel *t, const struct qb_h3_route *routes,
			  uint32_t cnt)
{
	t->source_cnt = qb_tunnel_ranges(site->addrs, site->addr_cnt, t->sources, QB_NODE_SOURCES_MAX);
	cnt = QB_MIN(cnt, (uint32_t)QB_NODE_SOURCES_MAX - t->source_cnt);
	if (cnt)
		memcpy(&t->sources[t->source_cnt], routes, cnt * sizeof(routes[0]));
	t->source_cnt += cnt;
}

/* keep_requests remembers what could not be answered, the first of them if there are too many. */
static void keep_requests(struct qb_tunnel *t, const struct qb_h3_addr *requests, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt && t->request_cnt < QB_H3_ADDRS_MAX; i++) {
		t->request_ids[t->request_cnt] = requests[i].request_id;
		t->request_families[t->request_cnt++] = requests[i].prefix.family;
	}
}

static void assign_addresses(const struct qb_hub_site *site, struct qb_tunnel *t,
			     const struct qb_h3_addr *requests, uint32_t request_cnt)
{
	struct qb_h3_addr out[QB_H3_ADDRS_MAX] = {0};
	bool is_answered[QB_NODE_ADDRS_MAX] = {false};
	uint32_t cnt = 0;
	int ret;

	/* One capsule holds so many; the site's own addresses come first. */
	request_cnt = QB_MIN(request_cnt, (uint32_t)QB_H3_ADDRS_MAX - site->addr_cnt);
	/* Each request gets our address of its family, or the all-zero one that says no (RFC 9484 §4.7.1). */
	for (uint32_t r = 0; r < request_cnt; r++) {
		struct qb_h3_addr *a = &out[cnt++];

		a->request_id = requests[r].request_id;
		a->prefix.family = requests[r].prefix.family;
		a->prefix.len = a->prefix.family == 4 ? 32 : 128;
		for (uint32_t i = 0; i < site->addr_cnt; i++) {
			if (site->addrs[i].family != a->prefix.family || is_answered[i])
				continue;
			a->prefix = site->addrs[i];
			is_answered[i] = true;
			break;
		}
	}
	for (uint32_t i = 0; i < site->addr_cnt; i++)
		if (!is_answered[i])
			out[cnt++].prefix = site->addrs[i];
	ret = qb_h3_send_addresses(t->h3, t->session, false, out, cnt);
	qb_tunnel_note_sent(t, QB_UNSENT_ADDRESSES, ret);
	if (ret == -EAGAIN)
		keep_requests(t, requests, request_cnt);
	else
		t->request_cnt = 0;
}

/* renew keeps a session under the rules of a new table: what its site may not use any more is no source from now on. */
static void renew(struct qb_tunnel *t, struct qb_hub_site *site, const struct qb_hub_site *was)
{
	struct qb_h3_route routes[QB_NODE_SOURCES_MAX];
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < t->source_cnt; i++)
		if (qb_hub_is_allowed(&site->prefixes, &t->sources[i]))
			routes[cnt++] = t->sources[i];
	allow_sources(site, t, routes, cnt);
	if (site->addr_cnt != was->addr_cnt || memcmp(site->addrs, was->addrs, site->addr_cnt * sizeof(site->addrs[0])))
		assign_addresses(site, t, NULL, 0);
	site->tunnels[t->group.member] = t;
}

void qb_hub_set_sites(struct qb_node *n, struct qb_hub_site *sites, uint32_t cnt, uint64_t now_ns)
{
	const struct qb_hub_site *was = n->hub.sites;

	n->hub.sites = sites;
	n->hub.site_cnt = cnt;
	for (struct qb_tunnel *t = n->tunnels; t; t = t->next) {
		uint32_t was_site = t->site;
		struct qb_conn_info info;

		qb_conn_get_info(t->conn, &info);
		t->site = find_site(&n->hub, info.peer_key);
		if (t->is_unproven) {
			/* It was told what the old table said: it comes again. */
			qb_conn_close(t->conn, QB_H3_REQUEST_REJECTED, "the sites are others now", now_ns);
		} else if (t->site == QB_SITE_NONE) {
			t->is_open = false;
			qb_conn_close(t->conn, QB_H3_NO_ERROR, "the site is not listed any more", now_ns);
		} else if (t->is_open && was_site != QB_SITE_NONE) {
			renew(t, &sites[t->site], &was[was_site]);
		}
	}
}

/* limit_idle: a site that opens connections and asks for nothing on them does not fill the hub; its oldest one goes. */
static void limit_idle(struct qb_node *n, uint32_t site, uint64_t now_ns)
{
	struct qb_tunnel *oldest = NULL; /* the list begins with the newest */
	uint32_t cnt = 0;

	for (struct qb_tunnel *t = n->tunnels; t; t = t->next) {
		if (t->site != site || t->session != QB_H3_NO_SESSION)
			continue;
		cnt++;
		oldest = t;
	}
	if (cnt >= QB_NODE_LINKS_MAX) /* one for each link may be trying */
		qb_conn_close(oldest->conn, QB_H3_REQUEST_REJECTED, "too many connections without a session", now_ns);
}

/* tell_peers: the site answers from there. */
static void tell_peers(struct qb_tunnel *t, uint64_t now_ns)
{
	struct qb_path_info path;

	for (uint8_t i = 0; i < QB_PATHS_MAX; i++)
		if (qb_conn_path_info(t->conn, i, now_ns, &path))
			qb_tunnel_tell_peer(t, &path);
}

static void on_new(struct qb_node *n, struct qb_conn *conn, uint64_t now_ns)
{
	struct qb_conn_info info;
	struct qb_path_info path;
	struct qb_tunnel *t;
	uint32_t site;

	qb_conn_get_info(conn, &info);
	site = find_site(&n->hub, info.peer_key);
	if (site == QB_SITE_NONE) {
		qb_count(n->counters, QB_CNT_PEERS_REFUSED);
		qb_conn_close(conn, QB_H3_REQUEST_REJECTED, "the key is not listed", now_ns);
		return;
	}
	qb_node_observe_site(n, conn, info.peer_key, now_ns);
	limit_idle(n, site, now_ns);
	t = qb_tunnel_new(n, conn, now_ns);
	if (!t) {
		qb_conn_close(conn, QB_H3_REQUEST_REJECTED, "the hub is full", now_ns);
		return;
	}
	t->site = site;
	t->is_unproven = !info.is_established;
	for (uint8_t i = 0; i < QB_PATHS_MAX; i++)
		if (qb_conn_path_info(conn, i, now_ns, &path))
			qb_tunnel_path_add(t, i, path.tuple.link, QB_TIER_PRIMARY, now_ns);
	if (!t->is_unproven)
		tell_peers(t, now_ns);
}

static void forget_session(struct qb_node *n, struct qb_tunnel *t, const char *reason)
{
	struct qb_notice *note;

	if (t->site == QB_SITE_NONE || t->session == QB_H3_NO_SESSION)
		return;
	if (n->hub.sites[t->site].tunnels[t->group.member] == t)
		n->hub.sites[t->site].tunnels[t->group.member] = NULL;
	note = qb_tunnel_notice(t, QB_NOTE_SITE_DOWN);
	snprintf(note->reason, sizeof(note->reason), "%s", reason);
}

static void on_closed(struct qb_node *n, struct qb_conn *conn)
{
	struct qb_tunnel *t = qb_conn_user(conn);

	if (!t)
		return;
	forget_session(n, t, qb_conn_reason(conn));
	qb_tunnel_free(t);
}

void qb_hub_on_event(struct qb_node *n, const struct qb_quic_event *ev, uint64_t now_ns)
{
	struct qb_tunnel *t = qb_conn_user(ev->conn);

	if (ev->type == QB_EV_CONN_EARLY) {
		on_new(n, ev->conn, now_ns);
	} else if (ev->type == QB_EV_CONN_NEW && t && t->is_unproven) {
		qb_hub_on_proof(n, t, now_ns);
	} else if (ev->type == QB_EV_CONN_NEW && !t) {
		on_new(n, ev->conn, now_ns);
	} else if (ev->type == QB_EV_CONN_CLOSED) {
		on_closed(n, ev->conn);
	}
}

void qb_hub_close_site(struct qb_node *n, uint32_t site, uint32_t generation, const char *why, uint64_t now_ns)
{
	for (struct qb_tunnel *t = n->tunnels; t; t = t->next) {
		if (t->site != site || t->generation != generation)
			continue;
		t->is_open = false;
		qb_conn_close(t->conn, QB_H3_NO_ERROR, why, now_ns);
	}
}

/* ---- HTTP/3 ---- */

bool qb_hub_replaces(const struct qb_h3_group *newer, const struct qb_h3_group *older)
{
	return newer->id == 0 || newer->id != older->id || newer->member == older->member;
}

/* make_room ends what a new session stands in for. */
static void make_room(struct qb_hub_site *site, const struct qb_h3_group *group, uint64_t now_ns)
{
	for (uint32_t i = 0; i < QB_SESSIONS_MAX; i++) {
		struct qb_tunnel *t = site->tunnels[i];

		if (!t || !qb_hub_replaces(group, &t->group))
			continue;
		t->is_open = false;
		qb_conn_close(t->conn, QB_H3_NO_ERROR, "replaced by a newer session", now_ns);
		site->tunnels[i] = NULL;
	}
}

/* tell_routes says what a site may source besides its own addresses. */
static void tell_routes(const struct qb_hub_site *site, struct qb_tunnel *t)
{
	struct qb_notice *note;

	if (t->source_cnt <= site->addr_cnt)
		return;
	note = qb_tunnel_notice(t, QB_NOTE_ROUTES);
	note->cnt = t->source_cnt - site->addr_cnt;
	memcpy(note->routes, &t->sources[site->addr_cnt], note->cnt * sizeof(note->routes[0]));
}

/* take_over makes a session the one of its site. */
static void take_over(struct qb_node *n, struct qb_tunnel *t, uint64_t now_ns)
{
	struct qb_hub_site *site = &n->hub.sites[t->site];

	make_room(site, &t->group, now_ns);
	t->generation = ++n->hub.next_generation;
	site->tunnels[t->group.member] = t;
	t->is_open = true;
	qb_tunnel_notice(t, QB_NOTE_SITE_UP)->mtu_bytes = t->mtu_bytes;
	tell_routes(site, t);
}

void qb_hub_on_proof(struct qb_node *n, struct qb_tunnel *t, uint64_t now_ns)
{
	t->is_unproven = false;
	tell_peers(t, now_ns);
	if (t->session != QB_H3_NO_SESSION && t->site != QB_SITE_NONE)
		take_over(n, t, now_ns);
}

/*
 * A request in 0-RTT is answered at once, but it takes nothing away from the session that the site has until the client's Finished
 * shows that this is no replay: whatever becomes of the filter for those, a request may be repeated without harm.
 */
static void on_request(struct qb_node *n, struct qb_tunnel *t, const struct qb_h3_event *ev, uint64_t now_ns)
{
	struct qb_hub_site *site;

	struct qb_h3_group group = ev->group.id ? ev->group : (struct qb_h3_group){0};

	if (t->session != QB_H3_NO_SESSION || t->site == QB_SITE_NONE || group.member >= QB_SESSIONS_MAX) {
		qb_h3_respond(t->h3, ev->session, 409);
		return;
	}
	site = &n->hub.sites[t->site];
	t->session = ev->session;
	t->group = group;
	t->opened_ns = now_ns;
	allow_sources(site, t, NULL, 0);
	qb_h3_respond(t->h3, ev->session, 200);
	assign_addresses(site, t, NULL, 0);
	if (n->hub.advertise.cnt)
		advertise(n, t);
	if (!t->is_unproven)
		take_over(n, t, now_ns);
}

static void agree_bond(struct qb_tunnel *t)
{
	qb_tunnel_note_sent(t, QB_UNSENT_BOND,
			    qb_h3_send_bond(t->h3, t->session, QB_BOND_VERSION, t->bond_rx_context));
}

static void agree_fec(struct qb_tunnel *t)
{
	qb_tunnel_note_sent(t, QB_UNSENT_FEC,
			    qb_h3_send_fec(t->h3, t->session, QB_BOND_FEC_VERSION, t->fec_rx_context));
}

void qb_hub_resend(struct qb_node *n, struct qb_tunnel *t)
{
	struct qb_h3_addr requests[QB_H3_ADDRS_MAX] = {0};
	uint32_t cnt = t->request_cnt;
	uint8_t unsent = t->unsent;

	t->unsent = 0;
	t->request_cnt = 0;
	if (t->site == QB_SITE_NONE)
		return;
	for (uint32_t i = 0; i < cnt; i++) {
		requests[i].request_id = t->request_ids[i];
		requests[i].prefix.family = t->request_families[i];
	}
	if (unsent & QB_UNSENT_BOND)
		agree_bond(t);
	if (unsent & QB_UNSENT_FEC)
		agree_fec(t);
	if (unsent & QB_UNSENT_ADDRESSES)
		assign_addresses(&n->hub.sites[t->site], t, requests, cnt);
	if (unsent & QB_UNSENT_ROUTES)
		advertise(n, t);
}

static void on_link(struct qb_tunnel *t, const struct qb_h3_event *ev, uint64_t now_ns)
{
	const struct qb_h3_link *l = &ev->link;
	struct qb_path_wish wish = {
		.is_used = true,
		.path_id = l->path_id,
		/* Less than that would not even carry what a path needs to live. */
		.limit_bps = l->rate_kbps ? qb_min_u64(qb_max_u64(l->rate_kbps, LINK_MIN_KBPS), LINK_MAX_KBPS) * 1000 : 0,
		.weight = (uint32_t)qb_min_u64(l->weight, LINK_WEIGHT_MAX),
		.is_metered = l->is_metered,
	};

	snprintf(wish.name, sizeof(wish.name), "%s", l->name);
	qb_tunnel_wish(t, &wish, now_ns);
}

static void on_routes(struct qb_node *n, struct qb_tunnel *t, const struct qb_h3_event *ev)
{
	const struct qb_hub_site *site = &n->hub.sites[t->site];
	struct qb_notice *note = qb_tunnel_notice(t, QB_NOTE_ROUTES);

	/* Of an unproven session nobody takes notice; take_over tells what is allowed then. */
	for (uint32_t i = 0; i < ev->route_cnt && note->cnt < QB_NODE_SOURCES_MAX - QB_NODE_ADDRS_MAX; i++)
		if (qb_hub_is_allowed(&site->prefixes, &ev->routes[i]))
			note->routes[note->cnt++] = ev->routes[i];
	allow_sources(site, t, note->routes, note->cnt);
}

/*
 * may_ask: what a site asks for in capsules costs others: each change of its routes is one of the kernel's, and of all workers'
 * tables. So many are answered at once, and then one each ASK_NS.
 */
static bool may_ask(struct qb_tunnel *t, const struct qb_h3_event *ev, uint64_t now_ns)
{
	if (ev->type != QB_H3_EV_ADDRESS_REQUEST && ev->type != QB_H3_EV_ROUTES && ev->type != QB_H3_EV_LINK)
		return true;
	t->asked_ns = qb_max_u64(t->asked_ns, now_ns) + ASK_NS;
	return t->asked_ns <= now_ns + ASKS_AT_ONCE * ASK_NS;
}

void qb_hub_on_h3(struct qb_node *n, struct qb_tunnel *t, const struct qb_h3_event *ev, uint64_t now_ns)
{
	if (ev->type == QB_H3_EV_REQUEST) {
		on_request(n, t, ev, now_ns);
		return;
	}
	if (t->site == QB_SITE_NONE || ev->session != t->session)
		return;
	if (!may_ask(t, ev, now_ns)) {
		qb_conn_close(t->conn, QB_H3_EXCESSIVE_LOAD, "too many capsules", now_ns);
		return;
	}
	switch (ev->type) {
	case QB_H3_EV_ADDRESS_REQUEST:
		assign_addresses(&n->hub.sites[t->site], t, ev->addrs, ev->addr_cnt);
		break;
	case QB_H3_EV_ROUTES:
		on_routes(n, t, ev);
		break;
	case QB_H3_EV_BOND:
		if (ev->bond_version == QB_BOND_VERSION && ev->bond_context != 0 && t->bond_tx_context == 0) {
			t->bond_rx_context = t->bond_tx_context = ev->bond_context;
			qb_bond_set_ordered(t->bond, true);
			agree_bond(t);
		}
		break;
	case QB_H3_EV_FEC:
		/* Its packets carry bond headers, so that comes first; two contexts that are one could not be told apart. */
		if (ev->bond_version == QB_BOND_FEC_VERSION && ev->bond_context != 0 && t->fec_tx_context == 0 &&
		    t->bond_tx_context != 0 && ev->bond_context != t->bond_tx_context) {
			t->fec_rx_context = t->fec_tx_context = ev->bond_context;
			qb_bond_set_fec(t->bond, true);
			agree_fec(t);
		}
		break;
	case QB_H3_EV_LINK:
		on_link(t, ev, now_ns);
		break;
	case QB_H3_EV_CLOSED:
		qb_conn_close(t->conn, QB_H3_NO_ERROR, "the site ended the session", now_ns);
		break;
	default:
		break;
	}
}
