/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The edge's tunnel in the kernel: addresses on the TUN device, routes for what the hub offers and the config accepts.
 * Specific prefixes go to the main table, where the longest one wins; default routes to a table of our own that a rule asks
 * after main's specific routes. Main thread.
 */
#include "daemon.h"

#include <stdio.h>

/* ---- ranges to prefixes ---- */

/* Big-endian numbers of `len` bytes. */
static bool add_one(uint8_t *n, size_t len)
{
	while (len-- > 0)
		if (++n[len])
			return true;
	return false; /* wrapped */
}

static bool bit_is_set(const uint8_t *n, unsigned int bit)
{
	return n[bit / 8] & (0x80 >> (bit % 8));
}

/* last_of stores the last address of first/len. */
static void last_of(const uint8_t *first, unsigned int len, size_t bytes, uint8_t *last)
{
	memcpy(last, first, bytes);
	for (unsigned int bit = len; bit < 8 * bytes; bit++)
		last[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
}

/* shortest is the shortest prefix that begins at first and ends at or before last. */
static unsigned int shortest(const uint8_t *first, const uint8_t *last, size_t bytes)
{
	unsigned int len = (unsigned int)(8 * bytes);

	while (len > 0 && !bit_is_set(first, len - 1)) {
		uint8_t end[16];

		last_of(first, len - 1, bytes, end);
		if (memcmp(end, last, bytes) > 0)
			break;
		len--;
	}
	return len;
}

static uint32_t range_prefixes(const struct qb_h3_route *r, struct qb_prefix *out, uint32_t cap)
{
	size_t bytes = r->family == 4 ? 4 : 16;
	uint8_t at[16] = {0};
	uint32_t cnt = 0;

	memcpy(at, r->first, bytes);
	while (cnt < cap && memcmp(at, r->last, bytes) <= 0) {
		struct qb_prefix *p = &out[cnt++];
		uint8_t end[16];

		memset(p, 0, sizeof(*p));
		p->family = r->family;
		p->len = (uint8_t)shortest(at, r->last, bytes);
		memcpy(p->ip, at, bytes);
		last_of(at, p->len, bytes, end);
		memcpy(at, end, bytes);
		if (!add_one(at, bytes))
			break;
	}
	return cnt;
}

uint32_t qb_routes_from_ranges(const struct qb_h3_route *ranges, uint32_t cnt, struct qb_prefix *out, uint32_t cap)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < cnt; i++)
		used += range_prefixes(&ranges[i], out + used, cap - used);
	return used;
}

/* ---- addresses ---- */

static bool has_prefix(const struct qb_prefix *list, uint32_t cnt, const struct qb_prefix *p)
{
	for (uint32_t i = 0; i < cnt; i++)
		if (!memcmp(&list[i], p, sizeof(*p)))
			return true;
	return false;
}

void qb_routes_set_addresses(struct qb_daemon *d, const struct qb_prefix *addrs, uint32_t cnt)
{
	char text[QB_PREFIX_STRLEN];
	uint32_t ifindex = qb_tun_ifindex(d->tun);

	for (uint32_t i = 0; i < d->addr_cnt; i++)
		if (!has_prefix(addrs, cnt, &d->addrs[i]))
			qb_nl_addr_del(d->nl, ifindex, &d->addrs[i]);
	for (uint32_t i = 0; i < cnt; i++) {
		int ret = has_prefix(d->addrs, d->addr_cnt, &addrs[i]) ? 0 : qb_nl_addr_add(d->nl, ifindex, &addrs[i]);

		if (ret)
			qb_warn("cannot set address %s on %s: %s", qb_prefix_format(&addrs[i], text),
				qb_tun_name(d->tun), strerror(-ret));
	}
	memcpy(d->addrs, addrs, cnt * sizeof(addrs[0]));
	d->addr_cnt = cnt;
}

/* ---- routes ---- */

static bool is_accepted(const struct qb_conf *c, const struct qb_prefix *p)
{
	if (!c->route.has_accept)
		return true;
	for (uint32_t i = 0; i < c->route.accept.cnt; i++)
		if (qb_prefix_covers(&c->route.accept.p[i], p))
			return true;
	return false;
}

static uint32_t tunnel_table(const struct qb_daemon *d)
{
	return d->conf->tunnel.table ? d->conf->tunnel.table : QB_LINK_TABLE_DEFAULT;
}

static void set_rules(struct qb_daemon *d, bool is_wanted)
{
	if (d->has_default_rules == is_wanted)
		return;
	for (uint8_t family = 4; family <= 6; family += 2) {
		struct qb_nl_rule main_rule = {
			.family = family,
			.priority = QB_RULE_PRIO_MAIN,
			.table = 254,
			.suppress_prefix_len_plus1 = 1,
		};
		struct qb_nl_rule tunnel_rule = {
			.family = family,
			.priority = QB_RULE_PRIO_TUNNEL,
			.table = tunnel_table(d),
		};
		const struct qb_nl_rule *rules[] = {&main_rule, &tunnel_rule};

		for (unsigned int i = 0; i < QB_ARRAY_LEN(rules); i++) {
			int ret = is_wanted ? qb_nl_rule_add(d->nl, rules[i]) : qb_nl_rule_del(d->nl, rules[i]);

			if (ret && is_wanted)
				qb_warn("cannot set an IPv%u rule: %s", family, strerror(-ret));
		}
	}
	d->has_default_rules = is_wanted;
}

static bool same_route(const struct qb_nl_route *a, const struct qb_nl_route *b)
{
	return a->table == b->table && !memcmp(&a->dst, &b->dst, sizeof(a->dst));
}

static bool has_route(const struct qb_nl_route *list, uint32_t cnt, const struct qb_nl_route *r)
{
	for (uint32_t i = 0; i < cnt; i++)
		if (same_route(&list[i], r))
			return true;
	return false;
}

static uint32_t add_defaults(struct qb_prefix *out)
{
	out[0] = (struct qb_prefix){.family = 4};
	out[1] = (struct qb_prefix){.family = 6};
	return 2;
}

/* wanted lists the routes that should be there now. */
static uint32_t wanted(const struct qb_daemon *d, struct qb_nl_route *out, bool *has_default)
{
	struct qb_prefix prefixes[QB_TUNNEL_ROUTES_MAX];
	uint32_t cnt = qb_routes_from_ranges(d->offered, d->offered_cnt, prefixes, QB_TUNNEL_ROUTES_MAX);
	bool is_connected = d->hub_state && !strcmp(d->hub_state, "connected");
	uint32_t used = 0;

	*has_default = false;
	if (!is_connected && d->conf->tunnel.is_direct_on_loss)
		return 0;
	/* Before a hub has offered anything, what would go through it must not leak either. */
	if (!is_connected && d->offered_cnt == 0 && d->conf->tunnel.has_default_route)
		cnt = add_defaults(prefixes);
	for (uint32_t i = 0; i < cnt; i++) {
		bool is_default = prefixes[i].len == 0;

		if (!is_accepted(d->conf, &prefixes[i]) || (is_default && !d->conf->tunnel.has_default_route))
			continue;
		out[used++] = (struct qb_nl_route){
			.dst = prefixes[i],
			.ifindex = qb_tun_ifindex(d->tun),
			.table = is_default ? tunnel_table(d) : 0,
		};
		*has_default |= is_default;
	}
	return used;
}

void qb_routes_update(struct qb_daemon *d)
{
	struct qb_nl_route want[QB_TUNNEL_ROUTES_MAX];
	char text[QB_PREFIX_STRLEN];
	bool has_default;
	uint32_t cnt = wanted(d, want, &has_default);

	for (uint32_t i = 0; i < d->route_cnt; i++)
		if (!has_route(want, cnt, &d->routes[i]))
			qb_nl_route_del(d->nl, &d->routes[i]);
	for (uint32_t i = 0; i < cnt; i++) {
		int ret = has_route(d->routes, d->route_cnt, &want[i]) ? 0 : qb_nl_route_add(d->nl, &want[i]);

		if (ret)
			qb_warn("cannot set the route to %s: %s", qb_prefix_format(&want[i].dst, text),
				strerror(-ret));
	}
	memcpy(d->routes, want, cnt * sizeof(want[0]));
	d->route_cnt = cnt;
	set_rules(d, has_default);
}
