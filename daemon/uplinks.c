/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The edge's WAN links on the main thread: which interfaces serve, with which address and gateway, followed by netlink;
 * a routing table and a rule for each, so that its packets leave by it whatever the main table says; a port for each on
 * every worker that serves. Links live in fixed slots: a link's index is its port's index and the tuple's `link`.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>

#include "base/hash.h"

struct link_call {
	uint32_t idx;
	struct qb_net *net;
	bool is_up, is_drained;
	struct qb_addr local4, local6;
	enum qb_tier tier;
	const struct qb_cc *cc; /* NULL: the bond's */
	uint64_t network;
	struct qb_path_tune tune;
	struct qb_link_rates rates;
	struct qb_link_order order;
	/* next hops for XDP transmit */
	uint64_t keepalive_ns;
	uint8_t family;
	uint8_t src_mac[6], dst_mac[6];
	bool has_hop;
};

/* ---- on a worker's thread ---- */

static void do_add_port(struct qb_worker *w, void *arg)
{
	struct link_call *c = arg;

	qb_worker_add_port(w, c->idx, c->net);
}

static void do_del_port(struct qb_worker *w, void *arg)
{
	struct link_call *c = arg;

	qb_worker_del_port(w, c->idx);
}

static void do_set_link(struct qb_worker *w, void *arg)
{
	struct link_call *c = arg;

	qb_edge_set_link_network(w->node, c->idx, c->network, &c->tune);
	qb_edge_set_link_cc(w->node, c->idx, c->cc, qb_now_ns());
	qb_edge_set_link_keepalive(w->node, c->idx, c->keepalive_ns);
	qb_edge_set_link_rates(w->node, c->idx, &c->rates, qb_now_ns());
	qb_edge_set_link_order(w->node, c->idx, &c->order);
	qb_edge_set_link(w->node, c->idx, c->is_up, &c->local4, &c->local6, c->tier, qb_now_ns());
	qb_edge_drain_link(w->node, c->idx, c->is_drained);
}

static void do_set_hop(struct qb_worker *w, void *arg)
{
	struct link_call *c = arg;

	if (w->ports[c->idx].net)
		qb_net_set_hop(w->ports[c->idx].net, c->family, NULL, c->src_mac, c->has_hop ? c->dst_mac : NULL);
}

/* ---- the kernel's side of a link: its table and its rule ---- */

uint32_t qb_uplinks_table(const struct qb_daemon *d, uint32_t idx)
{
	uint32_t base = d->conf->tunnel.table ? d->conf->tunnel.table : QB_LINK_TABLE_DEFAULT;

	return base + 1 + idx;
}

static struct qb_prefix host_prefix(const struct qb_addr *a)
{
	struct qb_prefix p = {.family = a->family, .len = a->family == 4 ? 32 : 128};

	memcpy(p.ip, a->ip, sizeof(p.ip));
	return p;
}

static struct qb_nl_rule link_rule(const struct qb_daemon *d, uint32_t idx, const struct qb_addr *src)
{
	return (struct qb_nl_rule){
		.family = src->family,
		.priority = QB_RULE_PRIO_LINK,
		.table = qb_uplinks_table(d, idx),
		.from = host_prefix(src),
	};
}

static void clear_routing(struct qb_daemon *d, uint32_t idx)
{
	struct qb_uplink *u = &d->uplinks[idx];
	struct qb_nl_rule rule = link_rule(d, idx, &u->ruled);
	struct qb_nl_route route = {
		.dst = {.family = u->ruled.family},
		.ifindex = u->ifindex,
		.table = qb_uplinks_table(d, idx),
	};

	if (u->ruled.family == 0)
		return;
	qb_nl_rule_del(d->nl, &rule);
	qb_nl_route_del(d->nl, &route);
	memset(&u->ruled, 0, sizeof(u->ruled));
	memset(&u->gateway, 0, sizeof(u->gateway));
}

static void set_routing(struct qb_daemon *d, uint32_t idx, const struct qb_addr *src, const struct qb_addr *gw)
{
	struct qb_uplink *u = &d->uplinks[idx];
	struct qb_nl_rule rule = link_rule(d, idx, src);
	struct qb_nl_route route = {
		.dst = {.family = src->family},
		.ifindex = u->ifindex,
		.via = *gw,
		.table = qb_uplinks_table(d, idx),
	};
	int ret;

	if (qb_addr_ip_eq(&u->ruled, src) && qb_addr_ip_eq(&u->gateway, gw))
		return;
	clear_routing(d, idx);
	ret = qb_nl_route_add(d->nl, &route);
	if (!ret)
		ret = qb_nl_rule_add(d->nl, &rule);
	if (ret)
		qb_warn("link %s: cannot set its routing table: %s", u->conf.name, strerror(-ret));
	u->ruled = *src;
	u->ruled.port = 0;
	u->gateway = *gw;
}

/* ---- what a link should be ---- */

struct link_want {
	bool is_up;
	const char *why_not;
	const struct qb_if *iface;
	uint8_t family;
	struct qb_addr src, gw;
};

static bool hub_has_family(const struct qb_daemon *d, uint8_t family)
{
	for (uint32_t i = 0; i < d->hub_cnt; i++)
		if (d->hubs[i].addr.family == family)
			return true;
	return false;
}

/* on_link: a hub's address that the interface reaches without a gateway. */
static bool on_link(struct qb_daemon *d, uint32_t ifindex, uint8_t family)
{
	struct qb_addr hop;

	for (uint32_t i = 0; i < d->hub_cnt; i++)
		if (d->hubs[i].addr.family == family &&
		    qb_nl_next_hop(d->nl, ifindex, &d->hubs[i].addr, &hop) == 0)
			return true;
	return false;
}

static bool want_family(struct qb_daemon *d, const struct qb_uplink *u, uint8_t family, struct link_want *w)
{
	const struct qb_if *i = w->iface;
	bool has_default = family == 4 ? i->has_default4 : i->has_default6;

	w->src = u->conf.source.family == family ? u->conf.source : family == 4 ? i->src4 : i->src6;
	w->gw = u->conf.gateway.family == family ? u->conf.gateway : family == 4 ? i->gw4 : i->gw6;
	w->family = family;
	if (!hub_has_family(d, family) || w->src.family == 0)
		return false;
	return has_default || w->gw.family || on_link(d, i->ifindex, family);
}

static struct link_want want_link(struct qb_daemon *d, const struct qb_uplink *u)
{
	struct link_want w = {.iface = qb_nl_if_by_name(d->nl, u->conf.ifname)};

	if (u->is_down_by_command)
		w.why_not = "taken down by command";
	else if (!w.iface)
		w.why_not = "no such interface";
	else if (!w.iface->is_up)
		w.why_not = "interface is down";
	else if (!want_family(d, u, 4, &w) && !want_family(d, u, 6, &w))
		w.why_not = "no address or no route to the hub";
	w.is_up = !w.why_not;
	return w;
}

/* ---- ports ---- */

static void close_port(struct qb_daemon *d, uint32_t idx)
{
	struct qb_uplink *u = &d->uplinks[idx];
	struct link_call call = {.idx = idx};

	for (uint16_t w = 0; w < d->worker_cnt; w++) {
		if (u->ports[w])
			qb_worker_call(&d->workers[w], do_del_port, &call);
		u->ports[w] = 0;
	}
	u->is_open = false;
	if (u->xif)
		qb_net_if_close(u->xif);
	u->xif = NULL;
}

static const uint16_t any_port[QB_WORKERS_MAX];

/* fail_open warns once of each reason, for it is tried again every second. */
static int fail_open(struct qb_daemon *d, uint32_t idx, int ret, const char *why)
{
	struct qb_uplink *u = &d->uplinks[idx];

	if (strcmp(u->reason, why))
		qb_warn("link %s on %s: %s", u->conf.name, u->conf.ifname, why);
	snprintf(u->reason, sizeof(u->reason), "%s", why);
	close_port(d, idx);
	return ret;
}

/* A way that was demanded and could be had once may fail later on, and sockets do meanwhile. */
static int open_if(struct qb_daemon *d, uint32_t idx, const struct link_want *want, char *why, size_t cap)
{
	struct qb_uplink *u = &d->uplinks[idx];
	struct qb_net_if_cfg cfg = {
		.ifindex = want->iface->ifindex,
		.worker_cnt = d->worker_cnt,
		.is_busy_polled = u->conf.xdp.is_busy_polled,
		.is_wakeup_off = !u->conf.xdp.has_wakeup,
		.ring_size = u->conf.xdp.ring_size,
		.frame_bytes = d->conf->frame_bytes,
		.may_fall_back = u->was_open,
	};
	int ret;

	if (qb_io_mode_parse(u->conf.io, &cfg.mode))
		cfg.mode = QB_IO_AUTO;
	memcpy(cfg.ifname, u->conf.ifname, sizeof(cfg.ifname));
	ret = qb_net_if_open(&cfg, &u->xif);
	u->is_io_refused = ret != 0;
	if (ret)
		snprintf(why, cap, "Io = %.15s cannot be had: %.90s", u->conf.io,
			 u->xif ? qb_net_if_reason(u->xif) : strerror(-ret));
	return ret;
}

/* open_on opens the link's port on one worker. port 0: any. */
static int open_on(struct qb_daemon *d, uint32_t idx, uint16_t worker, uint8_t family, uint16_t port, char *why, size_t cap)
{
	struct qb_uplink *u = &d->uplinks[idx];
	struct qb_net_cfg cfg = {
		.xif = u->xif,
		.local = {.family = family, .port = port},
		.is_bound_to_device = true,
		.link = (uint16_t)idx,
		.worker = worker,
		.worker_cnt = d->worker_cnt,
		.depot = &d->depot,
		.counters = &d->workers[worker].counters,
	};
	struct link_call call = {.idx = idx};
	struct qb_addr local;
	char err[160] = "";
	int ret;

	memcpy(cfg.ifname, u->conf.ifname, sizeof(cfg.ifname));
	ret = qb_net_open(&cfg, &call.net, err);
	if (ret) {
		snprintf(why, cap, "cannot open a socket: %.100s", err);
		return ret;
	}
	qb_net_local(call.net, &local);
	qb_net_if_add_port(u->xif, local.port);
	u->ports[worker] = local.port;
	if (worker == 0) {
		u->local = local;
		u->io = qb_net_mode(call.net);
		snprintf(u->io_reason, sizeof(u->io_reason), "%s", qb_net_reason(call.net));
	}
	qb_worker_call(&d->workers[worker], do_add_port, &call);
	return 0;
}

/* open_beside opens the port on a worker beside the first one; it can do without the link. */
static void open_beside(struct qb_daemon *d, uint32_t idx, uint16_t worker, uint8_t family, uint16_t port)
{
	struct qb_uplink *u = &d->uplinks[idx];
	char why[sizeof(u->reason)];

	if (open_on(d, idx, worker, family, port, why, sizeof(why)))
		qb_warn("link %s on %s, worker %u: %s", u->conf.name, u->conf.ifname, worker, why);
}

/* open_port opens the link's ports; `ports`, by worker, are those that they shall have. */
static int open_port(struct qb_daemon *d, uint32_t idx, const struct link_want *want, const uint16_t ports[QB_WORKERS_MAX])
{
	struct qb_uplink *u = &d->uplinks[idx];
	char why[sizeof(u->reason)] = "";
	int ret = open_if(d, idx, want, why, sizeof(why));

	if (!ret)
		ret = open_on(d, idx, 0, want->family, ports[0], why, sizeof(why));
	if (ret)
		return fail_open(d, idx, ret, why);
	u->ifindex = want->iface->ifindex;
	u->family = want->family;
	u->is_open = true;
	u->was_open = true;
	for (uint16_t w = 1; w < d->worker_cnt; w++)
		if (d->lanes[w].is_joined)
			open_beside(d, idx, w, want->family, ports[w]);
	return 0;
}

/* network_of tells networks apart by interface and gateway; the address that a link has there is added on use. */
static uint64_t network_of(const struct qb_uplink *u)
{
	static const struct qb_hash_key plain;
	uint8_t all[sizeof(u->conf.ifname) + 1 + sizeof(u->gateway.ip)] = {0};

	memcpy(all, u->conf.ifname, strnlen(u->conf.ifname, sizeof(u->conf.ifname)));
	all[sizeof(u->conf.ifname)] = u->gateway.family;
	memcpy(all + sizeof(u->conf.ifname) + 1, u->gateway.ip, sizeof(u->gateway.ip));
	return qb_siphash(&plain, all, sizeof(all));
}

/* rates_of: each worker has a connection of its own over the link, and its part of what is allowed. The hub gets the link's name
 * as well. */
static struct qb_link_rates rates_of(const struct qb_daemon *d, const struct qb_uplink *u)
{
	struct qb_link_rates rates;
	uint32_t cnt = 0;

	for (uint16_t w = 0; w < d->worker_cnt; w++)
		cnt += d->lanes[w].is_joined && u->ports[w];
	cnt = QB_MAX(cnt, 1u);
	rates = (struct qb_link_rates){
		.up_bps = u->conf.rate_up_bps / cnt,
		.down_bps = u->conf.rate_down_bps / cnt,
		.weight = u->conf.weight,
		.is_metered = u->conf.keepalive_ns == QB_KEEPALIVE_LONGEST,
	};
	snprintf(rates.name, sizeof(rates.name), "%.*s", (int)sizeof(rates.name) - 1, u->conf.name);
	return rates;
}

/* tell_one tells a worker how a link is now; where it has no port for it, that it is down. */
static void tell_one(struct qb_daemon *d, uint32_t idx, uint16_t worker)
{
	struct qb_uplink *u = &d->uplinks[idx];
	struct link_call call = {
		.idx = idx,
		.is_up = u->is_up && u->ports[worker],
		.tier = u->tier_in_force,
		.order = u->order,
		.is_drained = u->is_drained,
		.cc = qb_cc_find(u->conf.congestion), /* "bond" is none of them */
		.keepalive_ns = u->conf.keepalive_ns,
		.network = network_of(u),
		.tune = qb_daemon_tune(d->conf, &u->conf),
		.rates = rates_of(d, u),
	};
	struct qb_addr *local = u->family == 4 ? &call.local4 : &call.local6;

	if (call.is_up) {
		*local = u->local;
		local->port = u->ports[worker];
	}
	qb_worker_call(&d->workers[worker], do_set_link, &call);
}

void qb_uplinks_tell(struct qb_daemon *d, uint32_t idx)
{
	for (uint16_t w = 0; w < d->worker_cnt; w++)
		if (w == 0 || d->lanes[w].is_joined)
			tell_one(d, idx, w);
}

/* refresh_hop gives XDP transmit the link-layer next hop towards the hub. */
static void refresh_hop(struct qb_daemon *d, uint32_t idx, const struct link_want *want)
{
	struct qb_uplink *u = &d->uplinks[idx];
	struct link_call call = {.idx = idx, .family = want->family};
	struct qb_addr hop = want->gw;

	if (u->io != QB_IO_XDP_ZEROCOPY && u->io != QB_IO_XDP_COPY)
		return;
	for (uint32_t i = 0; hop.family == 0 && i < d->hub_cnt; i++)
		if (d->hubs[i].addr.family == want->family &&
		    qb_nl_next_hop(d->nl, u->ifindex, &d->hubs[i].addr, &hop))
			hop.family = 0;
	if (hop.family == 0)
		return;
	memcpy(call.src_mac, want->iface->mac, 6);
	call.has_hop = qb_nl_neighbour(d->nl, u->ifindex, &hop, call.dst_mac) == 0;
	for (uint16_t w = 0; w < d->worker_cnt; w++)
		if (u->ports[w])
			qb_worker_call(&d->workers[w], do_set_hop, &call);
}

static void refresh_one(struct qb_daemon *d, uint32_t idx)
{
	struct qb_uplink *u = &d->uplinks[idx];
	struct link_want want = want_link(d, u);
	bool was_up = u->is_up;

	/* A port is for one interface and one family: another of either means another port. */
	if (u->is_open && (!want.is_up || want.iface->ifindex != u->ifindex || want.family != u->family)) {
		u->is_up = false;
		qb_uplinks_tell(d, idx);
		clear_routing(d, idx);
		close_port(d, idx);
	}
	if (!want.is_up) {
		u->is_io_refused = false;
		snprintf(u->reason, sizeof(u->reason), "%s", want.why_not);
	} else {
		struct qb_addr before = u->local;

		if (!u->is_open && open_port(d, idx, &want, any_port))
			return;
		u->reason[0] = '\0';
		set_routing(d, idx, &want.src, &want.gw);
		memcpy(u->local.ip, want.src.ip, sizeof(u->local.ip));
		qb_net_if_refresh(u->xif);
		refresh_hop(d, idx, &want);
		u->is_up = true;
		if (!was_up || !qb_addr_eq(&before, &u->local))
			qb_uplinks_tell(d, idx);
	}
	if (was_up != u->is_up)
		qb_daemon_emit(d, "link", u->conf.name, was_up ? "up" : "absent", u->is_up ? "up" : "absent", u->reason);
}

/*
 * reopen gives a port that is in use another interface object below it, as the one it has does not work as it should any more. The
 * peer sees the same port, so that the path stays.
 */
static void reopen(struct qb_daemon *d, uint32_t idx, const char *why)
{
	struct qb_uplink *u = &d->uplinks[idx];
	struct link_want want = want_link(d, u);
	enum qb_io_mode was = u->io;
	uint16_t ports[QB_WORKERS_MAX];

	memcpy(ports, u->ports, sizeof(ports));
	if (!want.is_up || want.iface->ifindex != u->ifindex || want.family != u->family)
		return;
	close_port(d, idx);
	if (open_port(d, idx, &want, ports) && open_port(d, idx, &want, any_port)) {
		u->is_up = false;
		qb_uplinks_tell(d, idx);
		return;
	}
	memcpy(u->local.ip, want.src.ip, sizeof(u->local.ip));
	refresh_hop(d, idx, &want);
	qb_uplinks_tell(d, idx);
	qb_daemon_emit(d, "io", u->conf.name, qb_io_mode_name(was), qb_io_mode_name(u->io), why);
}

void qb_uplinks_poll(struct qb_daemon *d)
{
	uint64_t now_ns = qb_now_ns();

	if (d->conf->role != QB_ROLE_EDGE || now_ns - d->uplinks_ns < QB_NS_PER_SEC)
		return;
	d->uplinks_ns = now_ns;
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		struct qb_uplink *u = &d->uplinks[i];
		const char *why = u->is_open ? qb_net_if_check(u->xif) : NULL;

		if (why)
			reopen(d, i, why);
		else if (u->is_used && !u->is_open)
			refresh_one(d, i);
	}
	if (!d->modems)
		d->modems = qb_modems_new(-1);
	if (d->modems)
		qb_modems_poll(d->modems, now_ns);
	qb_status_follow(d);
}

/* ---- which links there are ---- */

int qb_uplinks_find(const struct qb_daemon *d, const char *name)
{
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++)
		if (d->uplinks[i].is_used && !strcmp(d->uplinks[i].conf.name, name))
			return (int)i;
	return -1;
}

static void add_uplink(struct qb_daemon *d, const struct qb_conf_link *conf)
{
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		struct qb_uplink *u = &d->uplinks[i];

		if (u->is_used)
			continue;
		memset(u, 0, sizeof(*u));
		u->is_used = true;
		d->are_links_new = true;
		u->conf = *conf;
		if (qb_tier_parse(conf->tier, &u->tier))
			u->tier = QB_TIER_PRIMARY;
		u->tier_in_force = u->tier;
		return;
	}
	qb_warn("link %s is left out: more than %d links", conf->name, QB_NODE_LINKS_MAX);
}

static void remove_uplink(struct qb_daemon *d, uint32_t idx)
{
	struct qb_uplink *u = &d->uplinks[idx];

	if (u->is_up) {
		u->is_up = false;
		qb_uplinks_tell(d, idx);
	}
	clear_routing(d, idx);
	close_port(d, idx);
	u->is_used = false;
	d->are_links_new = true;
}

/* discover makes a link of every interface with a default route (Links.Auto). A link stays when its route goes: it is absent. */
static void discover(struct qb_daemon *d)
{
	uint32_t cnt;
	const struct qb_if *ifs = qb_nl_interfaces(d->nl, &cnt);

	for (uint32_t i = 0; i < cnt; i++) {
		struct qb_conf_link link;

		if (ifs[i].is_loopback || ifs[i].is_tun || (!ifs[i].has_default4 && !ifs[i].has_default6) ||
		    ifs[i].ifindex == qb_tun_ifindex(d->tun) || qb_uplinks_find(d, ifs[i].name) >= 0)
			continue;
		qb_conf_link_init(&link);
		memcpy(link.name, ifs[i].name, sizeof(ifs[i].name));
		memcpy(link.ifname, ifs[i].name, sizeof(ifs[i].name));
		add_uplink(d, &link);
	}
}

/* share_rates: there are more workers, or fewer. */
static void share_rates(struct qb_daemon *d)
{
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		const struct qb_uplink *u = &d->uplinks[i];

		if (u->is_used && u->is_up && (u->conf.rate_up_bps || u->conf.rate_down_bps))
			qb_uplinks_tell(d, i);
	}
}

void qb_uplinks_join(struct qb_daemon *d, uint16_t worker)
{
	if (d->lanes[worker].is_joined)
		return;
	d->lanes[worker].is_joined = true;
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		struct qb_uplink *u = &d->uplinks[i];

		if (!u->is_used)
			continue;
		if (u->is_open)
			open_beside(d, i, worker, u->family, 0);
		tell_one(d, i, worker);
	}
	qb_uplinks_refresh(d);
	share_rates(d);
}

void qb_uplinks_leave(struct qb_daemon *d, uint16_t worker)
{
	if (!d->lanes[worker].is_joined)
		return;
	d->lanes[worker].is_joined = false;
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		struct qb_uplink *u = &d->uplinks[i];
		struct link_call call = {.idx = i};

		if (!u->ports[worker])
			continue;
		u->ports[worker] = 0;
		tell_one(d, i, worker);
		qb_worker_call(&d->workers[worker], do_del_port, &call);
	}
	share_rates(d);
}

static bool names_links(const struct qb_conf *c)
{
	for (uint32_t i = 0; i < c->policy_cnt; i++)
		if (c->policies[i].via.cnt)
			return true;
	return false;
}

void qb_uplinks_refresh(struct qb_daemon *d)
{
	if (d->conf->role != QB_ROLE_EDGE)
		return;
	if (d->conf->is_links_auto)
		discover(d);
	qb_uplinks_settle(d);
	/* Before any path has another link's number. */
	if (d->are_links_new && names_links(d->conf) && qb_settings_apply(d, NULL) == 0)
		d->are_links_new = false;
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++)
		if (d->uplinks[i].is_used)
			refresh_one(d, i);
}

int qb_uplinks_open(struct qb_daemon *d, char err[QB_ERR_LEN])
{
	(void)err;
	for (uint32_t i = 0; i < d->conf->link_cnt; i++)
		add_uplink(d, &d->conf->links[i]);
	qb_uplinks_refresh(d);
	return 0;
}

void qb_uplinks_close(struct qb_daemon *d)
{
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++)
		if (d->uplinks[i].xif)
			qb_net_if_close(d->uplinks[i].xif);
}

static bool is_configured(const struct qb_conf *c, const struct qb_conf_link *link)
{
	for (uint32_t i = 0; i < c->link_cnt; i++)
		if (!strcmp(c->links[i].name, link->name))
			return true;
	return false;
}

/* unset undoes what was set of a link that no section is for. */
static void unset(struct qb_uplink *u)
{
	struct qb_conf_link plain;

	qb_conf_link_init(&plain);
	memcpy(u->conf.congestion, plain.congestion, sizeof(plain.congestion));
	memcpy(u->conf.tier, plain.tier, sizeof(plain.tier));
	u->conf.rate_up_bps = plain.rate_up_bps;
	u->conf.rate_down_bps = plain.rate_down_bps;
	u->conf.weight = plain.weight;
	u->conf.priority = plain.priority;
	u->tier = QB_TIER_PRIMARY;
}

void qb_uplinks_reload(struct qb_daemon *d)
{
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		struct qb_uplink *u = &d->uplinks[i];

		if (!u->is_used || is_configured(d->conf, &u->conf))
			continue;
		if (!d->conf->is_links_auto) {
			remove_uplink(d, i);
			continue;
		}
		unset(u);
		if (u->is_up)
			qb_uplinks_tell(d, i);
	}
	for (uint32_t i = 0; i < d->conf->link_cnt; i++) {
		const struct qb_conf_link *link = &d->conf->links[i];
		int idx = qb_uplinks_find(d, link->name);

		if (idx < 0) {
			add_uplink(d, link);
			continue;
		}
		if (strcmp(d->uplinks[idx].conf.ifname, link->ifname) || strcmp(d->uplinks[idx].conf.io, link->io) ||
		    !qb_conf_xdp_eq(&d->uplinks[idx].conf.xdp, &link->xdp)) {
			remove_uplink(d, (uint32_t)idx);
			add_uplink(d, link);
			continue;
		}
		d->uplinks[idx].conf = *link;
		if (!qb_tier_parse(link->tier, &d->uplinks[idx].tier))
			qb_uplinks_tell(d, (uint32_t)idx);
	}
	qb_uplinks_refresh(d);
}

int qb_uplinks_set(struct qb_daemon *d, const struct qb_conf_setting *s, const char *value, char err[QB_CONF_ERR_LEN])
{
	int idx = qb_uplinks_find(d, s->name), ret;

	if (idx < 0) {
		snprintf(err, QB_CONF_ERR_LEN, "no link is called \"%s\"", s->name);
		return -ENOENT;
	}
	ret = qb_conf_setting_store(s, &d->uplinks[idx].conf, value, qb_conf_known_names(), err);
	if (ret)
		return ret;
	/* The value has been read: it is a tier's name. A command may have changed it otherwise, which another key leaves alone. */
	if (!strcmp(qb_conf_setting_key(s), "Tier"))
		QB_BUG_ON(qb_tier_parse(d->uplinks[idx].conf.tier, &d->uplinks[idx].tier));
	qb_uplinks_settle(d);
	refresh_one(d, (uint32_t)idx);
	if (d->uplinks[idx].is_up)
		qb_uplinks_tell(d, (uint32_t)idx);
	return 0;
}

int qb_uplinks_command(struct qb_daemon *d, const char *name, const char *verb, char *err)
{
	int idx = qb_uplinks_find(d, name);
	struct qb_uplink *u;

	if (idx < 0) {
		snprintf(err, QB_ERR_LEN, "no link is called \"%s\"", name);
		return -ENOENT;
	}
	u = &d->uplinks[idx];
	if (!strcmp(verb, "up")) {
		u->is_down_by_command = false;
		u->is_drained = u->is_left = false;
	} else if (!strcmp(verb, "down")) {
		u->is_down_by_command = true;
	} else if (!strcmp(verb, "drain")) {
		u->is_drained = true;
	} else if (strncmp(verb, "tier=", 5) || qb_tier_parse(verb + 5, &u->tier)) {
		snprintf(err, QB_ERR_LEN,
			 "\"%s\" is no link command; up, down, drain, tier=primary|secondary|backup|never", verb);
		return -EINVAL;
	}
	qb_uplinks_settle(d);
	refresh_one(d, (uint32_t)idx);
	if (u->is_up)
		qb_uplinks_tell(d, (uint32_t)idx);
	return 0;
}
