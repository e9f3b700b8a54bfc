/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hub's sites on the main thread: addresses for them out of the pool, and who is where: when a worker tells
 * that a site's session came or went, the routing table is built anew and the kernel's routes follow.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- addresses ---- */

static bool is_taken(const struct qb_site *sites, uint32_t cnt, const struct qb_prefix *p)
{
	for (uint32_t i = 0; i < cnt; i++)
		for (uint32_t k = 0; k < sites[i].addr_cnt; k++)
			if (!memcmp(&sites[i].addrs[k], p, sizeof(*p)))
				return true;
	return false;
}

/* nth_host is the pool's n-th address as a host prefix; false past its end (and its IPv4 broadcast address). */
static bool nth_host(const struct qb_prefix *pool, uint32_t n, struct qb_prefix *out)
{
	unsigned int bytes = pool->family == 4 ? 4 : 16, bits = 8 * bytes;
	uint64_t hosts = bits - pool->len >= 32 ? UINT32_MAX : UINT64_C(1) << (bits - pool->len);
	uint32_t low = qb_load_be32(pool->ip + bytes - 4) + n;

	if (n >= hosts || (pool->family == 4 && bits - pool->len > 1 && n == hosts - 1))
		return false;
	*out = *pool;
	out->len = (uint8_t)bits;
	qb_store_be32(out->ip + bytes - 4, low);
	return true;
}

static struct qb_prefix host_of(const struct qb_addr *a)
{
	struct qb_prefix p = {.family = a->family, .len = a->family == 4 ? 32 : 128};

	memcpy(p.ip, a->ip, sizeof(p.ip));
	return p;
}

static bool has_family(const struct qb_site *s, uint8_t family)
{
	for (uint32_t i = 0; i < s->addr_cnt; i++)
		if (s->addrs[i].family == family)
			return true;
	return false;
}

/* assign_family gives every site without an address of the pool's family the lowest free one; the first is the hub's. */
static int assign_family(struct qb_site *sites, uint32_t cnt, const struct qb_prefix *pool, char *err)
{
	uint32_t n = 2;

	if (pool->family == 0)
		return 0;
	for (uint32_t i = 0; i < cnt; i++) {
		struct qb_prefix p;

		if (has_family(&sites[i], pool->family))
			continue;
		do {
			if (!nth_host(pool, n++, &p)) {
				snprintf(err, QB_ERR_LEN, "the IPv%u pool has no address left for site %s",
					 pool->family, sites[i].conf->name);
				return -ENOSPC;
			}
		} while (is_taken(sites, cnt, &p));
		sites[i].addrs[sites[i].addr_cnt++] = p;
	}
	return 0;
}

/* may_keep: still of the pool, and no site's by name (its own would be set anew). */
static bool may_keep(const struct qb_conf *c, const struct qb_prefix *p)
{
	for (uint32_t i = 0; i < c->site_cnt; i++) {
		const struct qb_addr *fixed = p->family == 4 ? &c->sites[i].address4 : &c->sites[i].address6;

		if (fixed->family == p->family && !memcmp(fixed->ip, p->ip, sizeof(p->ip)))
			return false;
	}
	return qb_prefix_covers(p->family == 4 ? &c->pool.v4 : &c->pool.v6, p);
}

/* keep_routes drops what a site advertised and may not any more. */
static void keep_routes(struct qb_site *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->route_cnt; i++)
		if (qb_hub_is_allowed(&s->conf->prefixes, &s->routes[i]))
			s->routes[kept++] = s->routes[i];
	s->route_cnt = kept;
}

/* keep_addresses lets sites of the old config that are still there have what they had. */
static void keep_addresses(struct qb_daemon *d, const struct qb_conf *old, struct qb_site *sites)
{
	for (uint32_t i = 0; i < d->conf->site_cnt; i++) {
		for (uint32_t k = 0; old && k < old->site_cnt; k++) {
			struct qb_conf_site *was = &old->sites[k];

			if (memcmp(was->public_key, sites[i].conf->public_key, QB_PUBKEY_LEN))
				continue;
			sites[i] = d->sites[k];
			sites[i].conf = &d->conf->sites[i];
			sites[i].addr_cnt = 0;
			for (uint32_t a = 0; a < d->sites[k].addr_cnt; a++)
				if (may_keep(d->conf, &d->sites[k].addrs[a]))
					sites[i].addrs[sites[i].addr_cnt++] = d->sites[k].addrs[a];
			keep_routes(&sites[i]);
		}
	}
}

static void set_fixed(struct qb_site *s, const struct qb_addr *fixed)
{
	uint32_t kept = 0;

	if (fixed->family == 0)
		return;
	for (uint32_t i = 0; i < s->addr_cnt; i++)
		if (s->addrs[i].family != fixed->family)
			s->addrs[kept++] = s->addrs[i];
	s->addrs[kept++] = host_of(fixed);
	s->addr_cnt = kept;
}

static struct qb_site *build_sites(struct qb_daemon *d, const struct qb_conf *old, char *err)
{
	uint32_t cnt = d->conf->site_cnt;
	struct qb_site *sites = calloc(cnt ? cnt : 1, sizeof(*sites));

	if (!sites)
		return NULL;
	for (uint32_t i = 0; i < cnt; i++) {
		sites[i].conf = &d->conf->sites[i];
		sites[i].mtu_bytes = QB_INNER_MTU_MIN;
	}
	keep_addresses(d, old, sites);
	for (uint32_t i = 0; i < cnt; i++) {
		set_fixed(&sites[i], &d->conf->sites[i].address4);
		set_fixed(&sites[i], &d->conf->sites[i].address6);
	}
	if (assign_family(sites, cnt, &d->conf->pool.v4, err) || assign_family(sites, cnt, &d->conf->pool.v6, err)) {
		free(sites);
		return NULL;
	}
	return sites;
}

/* ---- the workers' tables ---- */

struct site_call {
	struct qb_hub_site *sites;
	uint32_t cnt;
	struct qb_conf_prefixes advertise;
	struct qb_rtable *rtable;
	uint32_t site, generation;
};

static void do_set_sites(struct qb_worker *w, void *arg)
{
	struct site_call *c = arg;

	qb_hub_set_sites(w->node, c->sites, c->cnt, qb_now_ns());
	qb_hub_set_advertise(w->node, &c->advertise);
	w->rtable = c->rtable;
}

static void do_set_rtable(struct qb_worker *w, void *arg)
{
	struct site_call *c = arg;

	w->rtable = c->rtable;
}

static void do_close_site(struct qb_worker *w, void *arg)
{
	struct site_call *c = arg;

	qb_hub_close_site(w->node, c->site, c->generation, "replaced by a newer session", qb_now_ns());
}

/* everything is what a hub offers unless [Route] Advertise says otherwise. */
static void set_advertise(const struct qb_conf *c, struct qb_conf_prefixes *out)
{
	*out = c->route.advertise;
	if (out->cnt)
		return;
	if (c->pool.v4.family)
		out->p[out->cnt++] = (struct qb_prefix){.family = 4};
	if (c->pool.v6.family)
		out->p[out->cnt++] = (struct qb_prefix){.family = 6};
}

static uint32_t site_entries(const struct qb_daemon *d, uint32_t idx, struct qb_rtable_entry *out)
{
	const struct qb_site *s = &d->sites[idx];
	struct qb_rtable_entry e = {.site = idx};
	uint32_t cnt = 0;

	for (uint8_t m = 0; m < QB_SESSIONS_MAX; m++)
		if (s->sessions[m].is_up && s->sessions[m].mtu_bytes == s->mtu_bytes)
			e.via[e.via_cnt++] = (struct qb_rtable_via){.worker = s->sessions[m].worker, .member = m};
	for (uint32_t i = 0; i < s->addr_cnt; i++, cnt++) {
		out[cnt] = e;
		out[cnt].family = s->addrs[i].family;
		qb_prefix_range(&s->addrs[i], out[cnt].first, out[cnt].last);
	}
	for (uint32_t i = 0; i < s->route_cnt; i++, cnt++) {
		out[cnt] = e;
		out[cnt].family = s->routes[i].family;
		memcpy(out[cnt].first, s->routes[i].first, 16);
		memcpy(out[cnt].last, s->routes[i].last, 16);
	}
	return cnt;
}

/* build_rtable makes the routing table of all connected sites. */
static struct qb_rtable *build_rtable(const struct qb_daemon *d)
{
	struct qb_rtable_entry *entries;
	struct qb_rtable *t;
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < d->conf->site_cnt; i++)
		if (d->sites[i].is_up)
			cnt += d->sites[i].addr_cnt + d->sites[i].route_cnt;
	entries = calloc(1 + cnt, sizeof(*entries));
	if (!entries)
		return NULL;
	cnt = 0;
	for (uint32_t i = 0; i < d->conf->site_cnt; i++)
		if (d->sites[i].is_up)
			cnt += site_entries(d, i, entries + cnt);
	t = qb_rtable_build(entries, cnt);
	free(entries);
	return t;
}

void qb_sites_settle(struct qb_daemon *d)
{
	struct site_call call = {0};

	if (!d->is_rtable_stale)
		return;
	call.rtable = build_rtable(d);
	if (!call.rtable)
		return;
	d->is_rtable_stale = false;
	for (uint16_t w = 0; w < d->worker_cnt; w++)
		qb_worker_call(&d->workers[w], do_set_rtable, &call);
	qb_rtable_free(d->rtable);
	d->rtable = call.rtable;
}

static struct qb_hub_site *build_table(const struct qb_daemon *d)
{
	struct qb_hub_site *table = calloc(d->conf->site_cnt ? d->conf->site_cnt : 1, sizeof(*table));

	for (uint32_t i = 0; table && i < d->conf->site_cnt; i++) {
		memcpy(table[i].public_key, d->sites[i].conf->public_key, QB_PUBKEY_LEN);
		memcpy(table[i].addrs, d->sites[i].addrs, sizeof(table[i].addrs));
		table[i].addr_cnt = d->sites[i].addr_cnt;
		table[i].prefixes = d->sites[i].conf->prefixes;
	}
	return table;
}

/*
 * give_tables gives each worker a table of sites and, in the same call, the routing table that goes with it: a site's index in the
 * one leads to another site in a different one. Nothing has changed when it fails.
 */
static int give_tables(struct qb_daemon *d)
{
	struct qb_hub_site *tables[QB_WORKERS_MAX] = {NULL};
	struct site_call call = {.cnt = d->conf->site_cnt, .rtable = build_rtable(d)};
	bool is_whole = call.rtable;

	for (uint16_t w = 0; w < d->worker_cnt; w++) {
		tables[w] = build_table(d);
		is_whole &= tables[w] != NULL;
	}
	for (uint16_t w = 0; !is_whole && w < d->worker_cnt; w++)
		free(tables[w]);
	if (!is_whole) {
		qb_rtable_free(call.rtable);
		return -ENOMEM;
	}
	set_advertise(d->conf, &call.advertise);
	for (uint16_t w = 0; w < d->worker_cnt; w++) {
		call.sites = tables[w];
		qb_worker_call(&d->workers[w], do_set_sites, &call);
		free(d->site_tables[w]);
		d->site_tables[w] = tables[w];
	}
	qb_rtable_free(d->rtable);
	d->rtable = call.rtable;
	d->is_rtable_stale = false;
	return 0;
}

/* ---- the kernel's routes ---- */

static void clear_kernel_routes(struct qb_daemon *d, struct qb_site *s)
{
	for (uint32_t i = 0; i < s->kernel_cnt; i++)
		qb_nl_route_del(d->nl, &s->kernel[i]);
	s->kernel_cnt = 0;
}

static bool has_kernel_route(const struct qb_nl_route *list, uint32_t cnt, const struct qb_prefix *dst)
{
	for (uint32_t i = 0; i < cnt; i++)
		if (!memcmp(&list[i].dst, dst, sizeof(*dst)))
			return true;
	return false;
}

/*
 * set_kernel_routes: the site's addresses and prefixes lead into the tunnel, each with the site's own MTU. A route that
 * only changes is replaced: there is no moment without it.
 */
static void set_kernel_routes(struct qb_daemon *d, struct qb_site *s)
{
	struct qb_prefix prefixes[QB_TUNNEL_ROUTES_MAX];
	struct qb_nl_route set[QB_TUNNEL_ROUTES_MAX];
	char text[QB_PREFIX_STRLEN];
	uint32_t cnt = s->addr_cnt, set_cnt = 0;

	memcpy(prefixes, s->addrs, cnt * sizeof(prefixes[0]));
	cnt += qb_routes_from_ranges(s->routes, s->route_cnt, prefixes + cnt, QB_TUNNEL_ROUTES_MAX - cnt);
	for (uint32_t i = 0; i < cnt; i++) {
		struct qb_nl_route r = {
			.dst = prefixes[i],
			.ifindex = qb_tun_ifindex(d->tun),
			.mtu_bytes = s->mtu_bytes,
		};
		int ret;

		if (has_kernel_route(set, set_cnt, &r.dst))
			continue;
		ret = qb_nl_route_add(d->nl, &r);
		if (ret)
			qb_warn("site %s: cannot set the route to %s: %s", s->conf->name,
				qb_prefix_format(&r.dst, text), strerror(-ret));
		else
			set[set_cnt++] = r;
	}
	for (uint32_t i = 0; i < s->kernel_cnt; i++)
		if (!has_kernel_route(set, set_cnt, &s->kernel[i].dst))
			qb_nl_route_del(d->nl, &s->kernel[i]);
	memcpy(s->kernel, set, set_cnt * sizeof(set[0]));
	s->kernel_cnt = set_cnt;
}

/* ---- sessions ---- */

static void close_session(struct qb_daemon *d, uint32_t site, uint16_t worker, uint32_t generation)
{
	struct site_call call = {.site = site, .generation = generation};

	qb_worker_call(&d->workers[worker], do_close_site, &call);
}

/*
 * follow_sessions: what holds for the site as a whole. A session that has just begun, and looks for its paths' MTU yet, does not lower
 * the site's: it gets no flows before (site_entries).
 */
static void follow_sessions(struct qb_site *s)
{
	s->is_up = false;
	for (uint32_t m = 0; m < QB_SESSIONS_MAX; m++) {
		const struct qb_site_session *one = &s->sessions[m];

		if (!one->is_up)
			continue;
		s->mtu_bytes = s->is_up ? QB_MAX(s->mtu_bytes, one->mtu_bytes) : one->mtu_bytes;
		s->is_up = true;
	}
}

/*
 * make_room ends the sessions that a new one replaces. On the same worker the node has done it. Notices of two workers come in any
 * order: the later session wins, whichever is told first. Returns whether the new one stays.
 */
static bool make_room(struct qb_daemon *d, uint32_t idx, uint16_t worker, const struct qb_notice *note)
{
	struct qb_site *s = &d->sites[idx];

	for (uint32_t m = 0; m < QB_SESSIONS_MAX; m++) {
		struct qb_site_session *old = &s->sessions[m];

		if (!old->is_up || !qb_hub_replaces(&note->group, &old->group))
			continue;
		if (old->worker != worker && old->opened_ns > note->opened_ns) {
			close_session(d, idx, worker, note->generation);
			return false;
		}
		if (old->worker != worker)
			close_session(d, idx, old->worker, old->generation);
		old->is_up = false;
	}
	return true;
}

static void on_site_up(struct qb_daemon *d, uint32_t idx, uint16_t worker, const struct qb_notice *note)
{
	struct qb_site *s = &d->sites[idx];

	if (note->group.member >= QB_SESSIONS_MAX || !make_room(d, idx, worker, note))
		return;
	follow_sessions(s);
	if (!s->is_up) {
		s->up_ns = qb_now_ns();
		s->route_cnt = 0;
		qb_daemon_emit(d, "site", s->conf->name, "down", "connected", "");
	} else {
		qb_info("site %s: another connection, on worker %u", s->conf->name, worker);
	}
	s->sessions[note->group.member] = (struct qb_site_session){
		.is_up = true,
		.worker = worker,
		.generation = note->generation,
		.group = note->group,
		.opened_ns = note->opened_ns,
		.mtu_bytes = note->mtu_bytes,
	};
	follow_sessions(s);
	set_kernel_routes(d, s);
	d->is_rtable_stale = true;
}

/* current is the session that a notice tells of; NULL: another has replaced it, or there was none. */
static struct qb_site_session *current(struct qb_site *s, uint16_t worker, const struct qb_notice *note)
{
	for (uint32_t m = 0; m < QB_SESSIONS_MAX; m++) {
		struct qb_site_session *one = &s->sessions[m];

		if (one->is_up && one->worker == worker && one->generation == note->generation)
			return one;
	}
	return NULL;
}

static void on_site_down(struct qb_daemon *d, struct qb_site *s, struct qb_site_session *one, const struct qb_notice *note)
{
	one->is_up = false;
	follow_sessions(s);
	if (s->is_up) {
		qb_info("site %s: a connection less, on worker %u: %s", s->conf->name, one->worker, note->reason);
		set_kernel_routes(d, s);
	} else {
		clear_kernel_routes(d, s);
		qb_daemon_emit(d, "site", s->conf->name, "connected", "down", note->reason);
	}
	d->is_rtable_stale = true;
}

static void on_routes(struct qb_daemon *d, struct qb_site *s, const struct qb_notice *note)
{
	memcpy(s->routes, note->routes, note->cnt * sizeof(note->routes[0]));
	s->route_cnt = note->cnt;
	keep_routes(s); /* it may have been under way when the config changed */
	set_kernel_routes(d, s);
	d->is_rtable_stale = true;
}

/* find_site: by its key, for the worker that sent a notice may have had another table. */
static uint32_t find_site(const struct qb_daemon *d, const uint8_t key[QB_PUBKEY_LEN])
{
	uint32_t i = 0;

	while (i < d->conf->site_cnt && memcmp(d->sites[i].conf->public_key, key, QB_PUBKEY_LEN) != 0)
		i++;
	return i;
}

/* tell_link: events about a site's link have the site's name, and which of its links it is. */
static void tell_link(struct qb_daemon *d, const char *site, const struct qb_notice *note)
{
	char link[sizeof("path4294967295")];
	struct qb_ctl_event ev = {.type = note->type == QB_NOTE_LINK_USE ? "link_use" : "link_state",
				  .name = site,
				  .link = link,
				  .peer_name = note->path.name,
				  .from = note->from,
				  .to = note->to,
				  .reason = note->reason};

	snprintf(link, sizeof(link), "path%u", note->path.path_id);
	qb_daemon_tell(d, &ev);
}

void qb_sites_on_notice(struct qb_daemon *d, uint16_t worker, const struct qb_notice *note)
{
	uint32_t idx = find_site(d, note->site_key);
	struct qb_site *s = &d->sites[idx];
	struct qb_site_session *one;

	if (note->site == QB_SITE_NONE || idx == d->conf->site_cnt)
		return;
	if (note->type == QB_NOTE_SITE_UP)
		on_site_up(d, idx, worker, note);
	else if (note->type == QB_NOTE_PEER && d->guard)
		qb_guard_know(d->guard, &note->peer);
	else if ((note->type == QB_NOTE_LINK_STATE || note->type == QB_NOTE_LINK_USE) &&
		 note->group.member == 0) /* the others' links are the same */
		tell_link(d, s->conf->name, note);
	one = current(s, worker, note);
	if (!one)
		return;
	switch (note->type) {
	case QB_NOTE_SITE_DOWN:
		on_site_down(d, s, one, note);
		break;
	case QB_NOTE_ROUTES:
		on_routes(d, s, note);
		break;
	case QB_NOTE_MTU:
		one->mtu_bytes = note->mtu_bytes;
		follow_sessions(s);
		set_kernel_routes(d, s);
		d->is_rtable_stale = true;
		break;
	default:
		break;
	}
}

/* ---- start, reload, stop ---- */

static int set_own_address(struct qb_daemon *d, const struct qb_prefix *pool, char *err)
{
	struct qb_prefix own;
	int ret;

	if (pool->family == 0)
		return 0;
	if (!nth_host(pool, 1, &own))
		return 0;
	own.len = pool->len;
	ret = qb_nl_addr_add(d->nl, qb_tun_ifindex(d->tun), &own);
	if (ret)
		snprintf(err, QB_ERR_LEN, "cannot set the pool's first address on %s: %s", qb_tun_name(d->tun),
			 strerror(-ret));
	return ret;
}

int qb_sites_open(struct qb_daemon *d, char err[QB_ERR_LEN])
{
	int ret;

	snprintf(err, QB_ERR_LEN, "out of memory");
	d->sites = build_sites(d, NULL, err);
	if (!d->sites || give_tables(d))
		return -ENOMEM;
	ret = set_own_address(d, &d->conf->pool.v4, err);
	if (!ret)
		ret = set_own_address(d, &d->conf->pool.v6, err);
	return ret;
}

/* follow_routes takes a site's kernel routes from the table before: away when it is gone, anew when they are others. */
static void follow_routes(struct qb_daemon *d, struct qb_site *was, const uint8_t key[QB_PUBKEY_LEN])
{
	uint32_t idx = find_site(d, key);
	struct qb_site *s = &d->sites[idx];

	if (idx == d->conf->site_cnt)
		clear_kernel_routes(d, was);
	else if (s->is_up && (s->addr_cnt != was->addr_cnt || s->route_cnt != was->route_cnt ||
			      memcmp(s->addrs, was->addrs, s->addr_cnt * sizeof(s->addrs[0]))))
		set_kernel_routes(d, s);
}

int qb_sites_reload(struct qb_daemon *d, const struct qb_conf *old, char *err)
{
	struct qb_site *was = d->sites, *sites;
	int ret;

	snprintf(err, QB_ERR_LEN, "out of memory");
	sites = build_sites(d, old, err);
	if (!sites)
		return -ENOSPC;
	d->sites = sites;
	ret = give_tables(d);
	if (ret) {
		d->sites = was;
		free(sites);
		return ret;
	}
	for (uint32_t k = 0; k < old->site_cnt; k++)
		follow_routes(d, &was[k], old->sites[k].public_key);
	free(was);
	return 0;
}

void qb_sites_close(struct qb_daemon *d)
{
	for (uint16_t w = 0; w < QB_WORKERS_MAX; w++)
		free(d->site_tables[w]);
	free(d->sites);
	qb_rtable_free(d->rtable);
}
