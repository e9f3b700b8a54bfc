/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots for the control socket: each worker fills in its part on its own thread, the main thread adds what only it
 * knows. Main thread.
 */
#include "daemon.h"

#include <stdio.h>
#include <stdlib.h>

struct snapshot {
	struct qb_daemon *d;
	struct qb_status *st;
	struct qb_site_status *sites; /* hub: by site index */
	uint32_t up_cnt;
};

static const char held[] = "no link works: the session is held, and what is sent waits";

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static bool is_serving(const char *state)
{
	return !strcmp(state, "active") || !strcmp(state, "standby");
}

/* ---- on a worker's thread ---- */

/* fill_owd: clocks at the two ends differ, so a one-way delay is told against the quickest path of the tunnel. */
static void fill_owd(struct qb_tunnel *t, const struct qb_path_info *p, uint64_t now_ns, struct qb_link_status *out)
{
	int64_t least_tx_ns = p->owd_tx_base_ns, least_rx_ns = p->owd_rx_base_ns;
	struct qb_path_info other;

	for (uint8_t i = 0; i < QB_PATHS_MAX; i++) {
		if (!t->paths[i].is_used || !qb_conn_path_info(t->conn, i, now_ns, &other))
			continue;
		if (other.has_owd_tx)
			least_tx_ns = QB_MIN(least_tx_ns, other.owd_tx_base_ns);
		if (other.has_owd_rx)
			least_rx_ns = QB_MIN(least_rx_ns, other.owd_rx_base_ns);
	}
	if (p->has_owd_tx)
		out->owd_tx_ms = ms((uint64_t)(p->owd_tx_base_ns - least_tx_ns));
	if (p->has_owd_rx)
		out->owd_rx_ms = ms((uint64_t)(p->owd_rx_base_ns - least_rx_ns));
	out->queue_tx_ms = ms(p->queue_tx_ns);
	out->queue_rx_ms = ms(p->queue_rx_ns);
}

/* fill_partners names the links whose delays and losses move with this one's; another path by the same link is none. */
static void fill_partners(const struct qb_daemon *d, struct qb_tunnel *t, uint8_t path, uint32_t partners, struct qb_link_status *out)
{
	for (uint8_t i = 0; i < QB_PATHS_MAX && out->partner_cnt < QB_STATUS_LINKS_MAX; i++)
		if (partners >> i & 1 && t->paths[i].is_used && (d->conf->role != QB_ROLE_EDGE || t->paths[i].link != t->paths[path].link))
			qb_flows_name_path(d, t, i, out->partners[out->partner_cnt++], QB_STATUS_NAME_LEN);
}

static void fill_link(const struct qb_daemon *d, struct qb_tunnel *t, uint8_t path, uint64_t now_ns, struct qb_link_status *out)
{
	struct qb_path_info p;
	struct qb_bond_link_info l;

	if (!qb_conn_path_info(t->conn, path, now_ns, &p))
		return;
	qb_bond_link_info(t->bond, path, now_ns, &l);
	snprintf(out->state, sizeof(out->state), "%s", qb_link_state_name(l.state));
	snprintf(out->tier, sizeof(out->tier), "%s", qb_tier_name(l.tier));
	snprintf(out->reason, sizeof(out->reason), "%s", l.reason);
	snprintf(out->share_reason, sizeof(out->share_reason), "%s", l.share_reason);
	snprintf(out->use, sizeof(out->use), "%s", l.state == QB_LINK_ACTIVE ? qb_link_use_name(l.use) : "");
	qb_addr_format(&p.tuple.local, out->local);
	qb_addr_format(&p.tuple.peer, out->peer);
	if (p.public_addr.family)
		qb_addr_format(&p.public_addr, out->public_addr);
	out->rtt_ms = ms(p.srtt_ns);
	out->rtt_min_ms = ms(p.min_rtt_ns);
	out->rtt_var_ms = ms(p.rttvar_ns);
	out->rtt_latest_ms = ms(p.rtt_ns);
	out->rtt_loaded_ms = ms(t->paths[path].loaded_rtt_ns);
	out->jitter_ms = ms(l.jitter_ns);
	fill_owd(t, &p, now_ns, out);
	out->loss = l.loss;
	out->share = l.share;
	if (l.state == QB_LINK_ACTIVE || l.state == QB_LINK_STANDBY)
		out->score = qb_status_score(out->rtt_ms, l.loss, (double)p.busy_bps);
	out->tx_bps = t->paths[path].tx_bps;
	out->rx_bps = t->paths[path].rx_bps;
	out->cwnd_bytes = p.cwnd_bytes;
	out->in_flight_bytes = p.in_flight_bytes;
	out->ssthresh_bytes = p.ssthresh_bytes;
	out->pacing_bps = p.pacing_bps;
	out->delivery_bps = p.busy_bps;
	out->limit_bps = p.limit_bps;
	out->mtu_bytes = p.mtu_bytes;
	out->path_id = p.path_id;
	snprintf(out->congestion, sizeof(out->congestion), "%s", p.cc_name ? p.cc_name : "");
	snprintf(out->congestion_phase, sizeof(out->congestion_phase), "%s", p.cc_phase ? p.cc_phase : "");
	snprintf(out->congestion_reason, sizeof(out->congestion_reason), "%s", p.cc_why);
	snprintf(out->ecn, sizeof(out->ecn), "%s", p.ecn);
	out->ce_tx = p.ce_tx;
	out->tx_packets = p.tx_packets;
	out->rx_packets = p.rx_packets;
	out->tx_bytes = p.tx_bytes;
	out->rx_bytes = p.rx_bytes;
	out->lost_packets = p.lost_packets;
	out->spurious_packets = p.spurious_packets;
	out->auth_fail = p.unopened_packets;
	out->dup_rx = p.duplicate_packets;
	out->ooo_rx = p.reordered_packets;
	out->ect0_rx = p.ect0_rx;
	out->ect1_rx = p.ect1_rx;
	out->ce_rx = p.ce_rx;
	fill_partners(d, t, path, l.partners, out);
	out->failures = l.failures;
	out->recoveries = l.recoveries;
	out->flaps = l.flaps;
	out->state_age_s = (double)(now_ns - l.state_since_ns) / 1e9;
}

static void fill_protection(const struct qb_tunnel *t, char *out, size_t len, struct qb_status *st)
{
	struct qb_bond_stats stats;

	qb_bond_get_stats(t->bond, &stats);
	snprintf(out, len, "%.*s", (int)len - 1, stats.protection);
	st->fec.is_on |= stats.is_fec_on;
	if (stats.call_loss > st->fec.loss) {
		st->fec.loss = stats.call_loss;
		st->fec.burst = stats.call_burst;
	}
	st->fec.share = QB_MAX(st->fec.share, stats.fec_share);
}

/* add_link: the same link as another connection has it. What is measured stays as the first one says. */
static void add_link(struct qb_link_status *sum, const struct qb_link_status *one)
{
	sum->tx_bps += one->tx_bps;
	sum->rx_bps += one->rx_bps;
	sum->cwnd_bytes += one->cwnd_bytes;
	sum->in_flight_bytes += one->in_flight_bytes;
	sum->pacing_bps += one->pacing_bps;
	sum->delivery_bps += one->delivery_bps;
	sum->tx_packets += one->tx_packets;
	sum->rx_packets += one->rx_packets;
	sum->tx_bytes += one->tx_bytes;
	sum->rx_bytes += one->rx_bytes;
	sum->lost_packets += one->lost_packets;
	sum->spurious_packets += one->spurious_packets;
	sum->ect0_rx += one->ect0_rx;
	sum->ect1_rx += one->ect1_rx;
	sum->ce_rx += one->ce_rx;
}

/*
 * merge_link: of one connection's paths over a link the one that serves says what the link is like; of several connections' the first
 * one's.
 */
static void merge_link(struct qb_link_status *sum, const struct qb_link_status *one, bool is_leg)
{
	struct qb_link_status first = *sum;

	if (!is_leg || is_serving(sum->state) || !is_serving(one->state)) {
		add_link(sum, one);
	} else {
		*sum = *one;
		add_link(sum, &first);
	}
	if (!is_leg)
		return;
	sum->share = first.share + one->share;
	sum->path_cnt = first.path_cnt + one->path_cnt;
}

static void fill_security(const struct qb_edge *e, struct qb_status *st)
{
	struct qb_conn_info info;

	qb_conn_get_info(e->tunnel->conn, &info);
	st->hub.cipher = qb_suite_name(info.suite);
	st->hub.is_resumed = info.is_resumed;
	st->hub.is_early = info.early == QB_TLS_EARLY_ACCEPTED;
	st->hub.tickets = e->tickets.cnt;
	st->hub.key_updates = info.key_updates;
}

static void collect_edge(struct qb_worker *w, void *arg)
{
	struct snapshot *s = arg;
	struct qb_edge *e = &w->node->edge;
	uint64_t now_ns = qb_now_ns();

	if (!e->tunnel)
		return;
	snprintf(s->st->hub.name, sizeof(s->st->hub.name), "%s", qb_edge_hub_name(w->node));
	qb_addr_format(&e->hubs[e->hub_idx].addr, s->st->hub.address);
	if (!s->st->hub.cipher)
		fill_security(e, s->st);
	s->st->loaded_queue_ms = s->st->loaded_queue_ms > 0 ? s->st->loaded_queue_ms : ms(e->tunnel->loaded_queue_ns);
	if (!s->st->protection[0])
		fill_protection(e->tunnel, s->st->protection, sizeof(s->st->protection), s->st);
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		const struct qb_edge_link *l = &e->links[i];
		struct qb_link_status *out = &s->st->links[l->base], one = {0};

		if (l->path < 0)
			continue;
		fill_link(s->d, e->tunnel, (uint8_t)l->path, now_ns, &one);
		one.path_cnt = 1;
		if (out->state[0])
			merge_link(out, &one, l->base != i);
		else
			*out = one;
	}
}

static void add_tunnel(struct qb_worker *w, struct qb_tunnel *t, struct snapshot *s, uint64_t now_ns)
{
	struct qb_site_status *site = &s->sites[t->site];

	if (t->group.member == 0)
		site->loaded_queue_ms = ms(t->loaded_queue_ns);
	if (t->group.member == 0)
		fill_protection(t, site->protection, sizeof(site->protection), s->st);
	for (uint8_t i = 0; i < QB_PATHS_MAX && site->link_cnt < QB_STATUS_LINKS_MAX; i++) {
		struct qb_link_status *l = &site->links[site->link_cnt];
		const struct qb_net *net = w->ports[t->paths[i].link].net;

		if (!t->paths[i].is_used)
			continue;
		memset(l, 0, sizeof(*l));
		fill_link(s->d, t, i, now_ns, l);
		l->path_cnt = 1;
		if (t->group.member)
			snprintf(l->name, sizeof(l->name), "path%u.%u", l->path_id, t->group.member);
		else
			snprintf(l->name, sizeof(l->name), "path%u", l->path_id);
		snprintf(l->peer_name, sizeof(l->peer_name), "%s", qb_tunnel_peer_name(t, l->path_id));
		if (net) {
			snprintf(l->io, sizeof(l->io), "%s", qb_io_mode_name(qb_net_mode(net)));
			snprintf(l->io_reason, sizeof(l->io_reason), "%s", qb_net_reason(net));
		}
		site->link_cnt++;
	}
}

static void collect_hub(struct qb_worker *w, void *arg)
{
	struct snapshot *s = arg;
	uint64_t now_ns = qb_now_ns();

	for (struct qb_tunnel *t = w->node->tunnels; t; t = t->next)
		if (t->site < s->d->conf->site_cnt && t->session != QB_H3_NO_SESSION &&
		    w->node->hub.sites[t->site].tunnels[t->group.member] == t)
			add_tunnel(w, t, s, now_ns);
}

/* ---- on the main thread ---- */

static bool is_wanted(const struct qb_uplink *u)
{
	return u->tier_in_force != QB_TIER_NEVER;
}

static int32_t signal_of(struct qb_daemon *d, uint32_t ifindex)
{
	if (!d->radio)
		d->radio = qb_radio_open();
	return d->radio ? qb_radio_dbm(d->radio, ifindex) : 0;
}

/* fill_radio tells what a link hears, and what its modem does. */
static void fill_radio(struct qb_daemon *d, const struct qb_uplink *u, struct qb_link_status *l)
{
	const struct qb_modem *m = qb_modems_find(d->modems, u->conf.ifname);

	snprintf(l->kind, sizeof(l->kind), "%s", m ? "mobile" : qb_link_kind_of(u->conf.ifname));
	if (u->is_open && !strcmp(l->kind, "wifi"))
		l->signal_dbm = signal_of(d, u->ifindex);
	if (!m)
		return;
	l->signal_dbm = m->dbm;
	l->signal_pct_plus1 = m->has_quality ? m->quality_pct + 1u : 0;
	snprintf(l->technology, sizeof(l->technology), "%s", m->technology);
}

/* fill_no_path tells of a link that has no path. */
static void fill_no_path(const struct qb_daemon *d, const struct qb_uplink *u, struct qb_link_status *l)
{
	const char *why = u->is_up ? qb_uplinks_why_unused(d, u) : u->reason, *state = u->is_up ? "probing" : "absent";

	snprintf(l->state, sizeof(l->state), "%s", u->is_up && why ? "standby" : state);
	snprintf(l->reason, sizeof(l->reason), "%s", why ? why : "no path yet");
	memcpy(l->share_reason, l->reason, sizeof(l->share_reason));
}

/* is_held: the session waits for a link: none has served for a while. */
static bool is_held(const struct qb_daemon *d, uint32_t up_cnt)
{
	return up_cnt == 0 && d->hub_state && !strcmp(d->hub_state, "connected") && qb_now_ns() - d->served_ns > QB_NS_PER_SEC;
}

static const char *edge_state(const struct qb_daemon *d, uint32_t up_cnt)
{
	uint32_t wanted = 0;

	if (up_cnt == 0 && !is_held(d, up_cnt))
		up_cnt = 1;
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++)
		wanted += d->uplinks[i].is_used && is_wanted(&d->uplinks[i]) && !d->uplinks[i].is_down_by_command;
	return qb_status_bond_state(d->hub_state, up_cnt, wanted);
}

void qb_status_follow(struct qb_daemon *d)
{
	uint64_t now_ns = qb_now_ns();
	const char *state;
	uint32_t up_cnt = 0;

	if (d->conf->role != QB_ROLE_EDGE)
		return;
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		const struct qb_uplink *u = &d->uplinks[i];

		up_cnt += u->is_used && u->is_up && is_wanted(u) && u->path_state &&
			  qb_status_link_counts(u->path_state, (double)(now_ns - u->path_since_ns) / 1e9);
	}
	if (up_cnt || !d->hub_state || strcmp(d->hub_state, "connected") != 0)
		d->served_ns = now_ns;
	state = edge_state(d, up_cnt);
	if (d->bond_state && state != d->bond_state)
		qb_daemon_emit(d, "bond_state", d->conf->name, d->bond_state, state, is_held(d, up_cnt) ? held : "");
	d->bond_state = state;
}

static void finish_edge(struct qb_daemon *d, struct qb_status *st)
{
	uint64_t tx_bps = 0;
	uint32_t up_cnt = 0;

	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		const struct qb_uplink *u = &d->uplinks[i];
		struct qb_link_status *l = &st->links[st->link_cnt];

		if (!u->is_used)
			continue;
		if (st->link_cnt != i)
			*l = st->links[i];
		st->link_cnt++;
		snprintf(l->name, sizeof(l->name), "%s", u->conf.name);
		snprintf(l->ifname, sizeof(l->ifname), "%s", u->conf.ifname);
		fill_radio(d, u, l);
		snprintf(l->tier, sizeof(l->tier), "%s", qb_tier_name(u->tier));
		if (u->is_open) {
			snprintf(l->io, sizeof(l->io), "%s", qb_io_mode_name(u->io));
			snprintf(l->io_reason, sizeof(l->io_reason), "%s", u->io_reason);
		}
		l->rank = u->order.rank + 1u;
		l->weight = u->conf.weight;
		/* The last path stays, though it has no port: what that waits for is the reason. */
		if (!l->state[0] || (!u->is_up && !u->is_open))
			fill_no_path(d, u, l);
		up_cnt += is_wanted(u) && qb_status_link_counts(l->state, l->state_age_s);
		tx_bps += l->tx_bps;
	}
	/* Each connection knows only its own shares. */
	for (uint32_t i = 0; st->connections > 1 && i < st->link_cnt; i++)
		st->links[i].share = tx_bps ? (double)st->links[i].tx_bps / (double)tx_bps : 0;
	snprintf(st->hub.state, sizeof(st->hub.state), "%s", d->hub_state ? d->hub_state : "down");
	snprintf(st->hub.reason, sizeof(st->hub.reason), "%s", is_held(d, up_cnt) ? held : d->hub_reason);
	if (!st->hub.name[0] && d->hub_cnt) {
		snprintf(st->hub.name, sizeof(st->hub.name), "%s", d->hubs[0].name);
		qb_addr_format(&d->hubs[0].addr, st->hub.address);
	}
	for (uint32_t i = 0; i < d->addr_cnt && i < QB_STATUS_ADDRS_MAX; i++, st->tunnel.address_cnt++)
		qb_prefix_format(&d->addrs[i], st->tunnel.addresses[i]);
	snprintf(st->state, sizeof(st->state), "%s", edge_state(d, up_cnt));
}

static void finish_site(const struct qb_daemon *d, uint32_t idx, struct qb_site_status *out)
{
	const struct qb_site *s = &d->sites[idx];

	snprintf(out->name, sizeof(out->name), "%s", s->conf->name);
	snprintf(out->state, sizeof(out->state), "%s", s->is_up ? "connected" : "down");
	for (uint32_t m = QB_SESSIONS_MAX; m-- > 0;) {
		if (!s->sessions[m].is_up)
			continue;
		out->worker = s->sessions[m].worker;
		out->connections++;
	}
	out->connected_s = s->is_up ? (double)(qb_now_ns() - s->up_ns) / 1e9 : 0;
	for (uint32_t i = 0; i < s->addr_cnt && i < QB_STATUS_ADDRS_MAX; i++)
		qb_prefix_format(&s->addrs[i], out->addresses[out->address_cnt++]);
	for (uint32_t i = s->addr_cnt; i < s->kernel_cnt && out->prefix_cnt < QB_STATUS_ADDRS_MAX; i++)
		qb_prefix_format(&s->kernel[i].dst, out->prefixes[out->prefix_cnt++]);
}

static void finish_hub(struct qb_daemon *d, struct qb_status *st)
{
	const struct qb_prefix *pools[] = {&d->conf->pool.v4, &d->conf->pool.v6};
	uint32_t up_cnt = 0;

	for (uint32_t i = 0; i < d->conf->site_cnt; i++) {
		finish_site(d, i, &st->sites[i]);
		st->connections += st->sites[i].connections;
		up_cnt += d->sites[i].is_up;
	}
	for (unsigned int i = 0; i < QB_ARRAY_LEN(pools); i++)
		if (pools[i]->family)
			qb_prefix_format(pools[i], st->tunnel.addresses[st->tunnel.address_cnt++]);
	snprintf(st->state, sizeof(st->state), "%s", up_cnt ? "serving" : "idle");
}

static void add_one(struct qb_status *st, const char *name, uint64_t value)
{
	if (st->extra_cnt == QB_ARRAY_LEN(st->extra))
		return;
	snprintf(st->extra[st->extra_cnt].name, sizeof(st->extra[0].name), "%s", name);
	st->extra[st->extra_cnt++].value = value;
}

static void add_extra(struct qb_status *st, struct qb_net_if *xif, const char *ifname)
{
	const char *name;
	uint64_t value;

	for (uint32_t i = 0; xif && (name = qb_net_if_counter(xif, i, &value)); i++) {
		if (st->extra_cnt == QB_ARRAY_LEN(st->extra))
			return;
		snprintf(st->extra[st->extra_cnt].name, sizeof(st->extra[0].name), "xdp_%s_%s", ifname, name);
		st->extra[st->extra_cnt++].value = value;
	}
}

static void fill_guard(struct qb_status *st, const struct qb_daemon *d, const struct qb_guard_attack *a)
{
	uint64_t now_ns = qb_now_ns();

	add_one(st, "guard_attacks", a->cnt);
	st->guard.is_there = true;
	st->guard.is_attacked = a->is_on;
	st->guard.attacks = a->cnt;
	st->guard.blocks = d->blocks.cnt;
	if (a->is_on)
		st->guard.since_s = (double)(now_ns - a->begin_ns) / 1e9;
	else if (a->cnt)
		st->guard.over_s = (double)(now_ns - a->end_ns) / 1e9;
	if (a->cnt)
		qb_shield_why(d, st->guard.reason, sizeof(st->guard.reason));
}

static void add_guard(struct qb_status *st, const struct qb_daemon *d)
{
	const char *name;
	uint64_t value;

	for (uint32_t i = 0; d->guard && (name = qb_guard_counter(d->guard, i, &value)); i++)
		add_one(st, name, value);
	add_one(st, "guard_attack", d->is_attacked);
	if (d->guard)
		fill_guard(st, d, qb_guard_attack(d->guard));
}

static void finish_fec(const struct qb_daemon *d, struct qb_status *st)
{
	const struct qb_fec_want *w = &d->conf->bond.fec;
	uint64_t bytes = qb_counter_read(&st->counters, QB_CNT_FEC_PROTECTED_BYTES);

	if (w->mode == QB_FEC_FIXED && w->is_rs)
		snprintf(st->fec.wanted, sizeof(st->fec.wanted), "rs:%u+%u", w->sources, w->repairs);
	else if (w->mode == QB_FEC_FIXED)
		snprintf(st->fec.wanted, sizeof(st->fec.wanted), "xor:%u", w->sources);
	else if (w->mode == QB_FEC_AUTO && w->max_pct)
		snprintf(st->fec.wanted, sizeof(st->fec.wanted), "auto:%u-%u", w->min_pct, w->max_pct);
	else
		snprintf(st->fec.wanted, sizeof(st->fec.wanted), "%s", w->mode == QB_FEC_OFF ? "off" : "auto");
	if (bytes)
		st->fec.overhead = (double)qb_counter_read(&st->counters, QB_CNT_FEC_BYTES) / (double)bytes;
}

int qb_status_fill(void *arg, struct qb_status *st, char *err)
{
	struct qb_site_status *sites;
	struct qb_daemon *d = arg;
	struct snapshot s = {.d = d, .st = st};

	memset(st, 0, sizeof(*st));
	snprintf(st->role, sizeof(st->role), "%s", qb_role_name(d->conf->role));
	snprintf(st->name, sizeof(st->name), "%s", d->conf->name);
	snprintf(st->tunnel.device, sizeof(st->tunnel.device), "%s", qb_tun_name(d->tun));
	snprintf(st->scheduler, sizeof(st->scheduler), "%s", qb_settings_scheduler(d));
	snprintf(st->grain, sizeof(st->grain), "%s", qb_grain_name(d->conf->bond.grain));
	st->tunnel.mtu_bytes = d->tun_mtu_bytes;
	st->uptime_s = (double)(qb_now_ns() - d->start_ns) / 1e9;
	st->workers = d->worker_cnt;
	for (uint16_t w = 0; w < d->worker_cnt; w++)
		for (uint32_t i = 0; i < QB_COUNTER_CNT; i++)
			st->counters.v[i] += qb_counter_read(&d->workers[w].counters, i);
	finish_fec(d, st);
	if (d->conf->role == QB_ROLE_EDGE) {
		snprintf(st->mode, sizeof(st->mode), "%s", qb_bond_mode_name(d->conf->bond.mode));
		for (uint16_t w = 0; w < d->worker_cnt; w++) {
			st->connections += d->lanes[w].is_connected;
			qb_worker_call(&d->workers[w], collect_edge, &s);
		}
		finish_edge(d, st);
		for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++)
			if (d->uplinks[i].is_used)
				add_extra(st, d->uplinks[i].xif, d->uplinks[i].conf.ifname);
		return 0;
	}
	sites = calloc(d->conf->site_cnt ? d->conf->site_cnt : 1, sizeof(*sites));
	if (!sites) {
		snprintf(err, QB_ERR_LEN, "out of memory");
		return -1;
	}
	s.sites = sites;
	st->sites = sites;
	st->site_cnt = d->conf->site_cnt;
	for (uint16_t w = 0; w < d->worker_cnt; w++)
		qb_worker_call(&d->workers[w], collect_hub, &s);
	finish_hub(d, st);
	add_guard(st, d);
	for (uint32_t i = 0; i < d->conf->listen.if_cnt; i++)
		add_extra(st, d->listens[i].xif, d->conf->listen.ifnames[i]);
	return 0;
}

void qb_status_done(void *arg, struct qb_status *st)
{
	(void)arg;
	free(st->sites);
	st->sites = NULL;
}
