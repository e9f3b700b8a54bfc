/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one line cannot tell: keys that are missing or are for the other role, and values that
 * contradict each other. Called by conf.c once the file is read; the first contradiction ends it,
 * with the line that the user has to change.
 */
#include "conf/keys.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static int QB_PRINTF(3, 4) fail_at(const struct qb_conf_where *w, int line, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(w->err, QB_CONF_ERR_LEN, "%.200s:%d: ", w->file, line);

	va_start(ap, fmt);
	vsnprintf(w->err + n, QB_CONF_ERR_LEN - (size_t)n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static const struct qb_conf_seen *find_seen(const struct qb_conf_where *w, const char *section,
					    uint32_t idx)
{
	for (uint32_t i = 0; i < w->seen_cnt; i++)
		if (w->seen[i].idx == idx && strcmp(w->seen[i].section->name, section) == 0)
			return &w->seen[i];
	return NULL;
}

/* line_of is the line of a key, of its section where the key is not given, of the file's end
 * without either. */
static int line_of(const struct qb_conf_where *w, const char *section, uint32_t idx,
		   const char *key)
{
	const struct qb_conf_seen *s = find_seen(w, section, idx);
	int slot = s && key ? qb_conf_key_slot(s->section, key) : -1;

	if (!s)
		return w->last_line;
	return slot >= 0 && s->key_line[slot] ? s->key_line[slot] : s->line;
}

/* ---- roles and required keys ---- */

static const char *other_role(enum qb_role role)
{
	return qb_role_name(role == QB_ROLE_EDGE ? QB_ROLE_HUB : QB_ROLE_EDGE);
}

static int check_section(const struct qb_conf *c, const struct qb_conf_where *w,
			 const struct qb_conf_seen *s)
{
	const char *name = qb_conf_seen_name(c, s), *blank = *name ? " " : "";
	unsigned int mine = 1u << c->role;

	if (!(s->section->roles & mine))
		return fail_at(
			w, s->line, "[%s%s%s] is for a node whose Role is %s; this one is %s",
			s->section->name, blank, name, other_role(c->role), qb_role_name(c->role));
	for (const struct qb_conf_key *k = qb_conf_keys; k->name; k++) {
		int line;

		if (!k->parse || strcmp(k->section, s->section->name) != 0)
			continue;
		line = s->key_line[qb_conf_key_slot(s->section, k->name)];
		if (line && !(k->roles & mine))
			return fail_at(w, line,
				       "[%s] %s is for a node whose Role is %s; this one is %s",
				       s->section->name, k->name, other_role(c->role),
				       qb_role_name(c->role));
		if (!line && k->is_required)
			return fail_at(w, s->line, "[%s%s%s] has no %s; give %s", s->section->name,
				       blank, name, k->name, k->allowed);
	}
	return 0;
}

static int check_sections(const struct qb_conf *c, const struct qb_conf_where *w)
{
	const struct qb_conf_seen *node = find_seen(w, "Node", 0);

	if (!node)
		return fail_at(w, w->last_line, "there is no [Node]; give one with Role and Key");
	/* The role first: the rest is measured by it. */
	if (!node->key_line[qb_conf_key_slot(node->section, "Role")])
		return fail_at(w, node->line, "[Node] has no Role; give edge, hub");
	for (uint32_t i = 0; i < w->seen_cnt; i++)
		if (check_section(c, w, &w->seen[i]))
			return -EINVAL;
	return 0;
}

/* ---- edge ---- */

/* is_given: the key is in the file. */
static bool is_given(const struct qb_conf_where *w, const char *section, uint32_t idx, const char *key)
{
	const struct qb_conf_seen *s = find_seen(w, section, idx);
	int slot = s ? qb_conf_key_slot(s->section, key) : -1;

	return slot >= 0 && s->key_line[slot];
}

/* A hub is known by its key, or by a CA and a name. */
static int check_hub_identity(const struct qb_conf *c, const struct qb_conf_where *w, uint32_t i)
{
	const struct qb_conf_hub *h = &c->hubs[i];

	if (h->crl[0] && !h->ca[0])
		return fail_at(w, line_of(w, "Hub", i, "CRL"),
			       "[Hub %s] has a CRL and no CA; a key is revoked by another one in its place", h->name);
	if (is_given(w, "Hub", i, "PublicKey")) {
		if (h->ca[0] || h->server_name[0])
			return fail_at(w, line_of(w, "Hub", i, h->ca[0] ? "CA" : "ServerName"),
				       "[Hub %s] has a PublicKey, which says it all; give that, or CA and ServerName",
				       h->name);
		return 0;
	}
	if (!h->ca[0])
		return fail_at(w, h->line,
			       "[Hub %s] has no PublicKey; give the 44 characters that `quicbondctl pubkey` "
			       "prints, or CA and ServerName",
			       h->name);
	if (!h->server_name[0])
		return fail_at(w, line_of(w, "Hub", i, "CA"),
			       "[Hub %s] has a CA and no ServerName; give the name in the hub's certificate", h->name);
	return 0;
}

static bool is_same_hub(const struct qb_conf_hub *a, const struct qb_conf_hub *b)
{
	if (a->ca[0] && b->ca[0])
		return strcasecmp(a->server_name, b->server_name) == 0;
	return !a->ca[0] && !b->ca[0] && !memcmp(a->public_key, b->public_key, QB_CONF_PUBKEY_LEN);
}

/* To TLS a hub that is known by its key is called as its section is: by that name none may be known by a CA. */
static bool is_called_like(const struct qb_conf_hub *a, const struct qb_conf_hub *b)
{
	return !a->ca[0] && b->ca[0] && strcasecmp(a->name, b->server_name) == 0;
}

static int check_hub_pair(const struct qb_conf *c, const struct qb_conf_where *w, uint32_t i, uint32_t j)
{
	const struct qb_conf_hub *a = &c->hubs[i], *b = &c->hubs[j];
	const char *key = a->ca[0] ? "ServerName" : "PublicKey";

	if (is_same_hub(a, b))
		return fail_at(w, line_of(w, "Hub", i, key),
			       "[Hub %s] has the %s of [Hub %s]; list all addresses of one hub in its one section", a->name,
			       key, b->name);
	if (is_called_like(a, b) || is_called_like(b, a))
		return fail_at(w, a->line, "[Hub %s] and [Hub %s]: one has the other's ServerName for its own; call it otherwise",
			       b->name, a->name);
	return 0;
}

static int check_hubs(const struct qb_conf *c, const struct qb_conf_where *w)
{
	if (c->hub_cnt == 0)
		return fail_at(w, w->last_line,
			       "an edge needs a hub; give [Hub NAME] with Address and PublicKey");
	for (uint32_t i = 0; i < c->hub_cnt; i++) {
		if (check_hub_identity(c, w, i))
			return -EINVAL;
		for (uint32_t j = 0; j < i; j++)
			if (check_hub_pair(c, w, i, j))
				return -EINVAL;
	}
	return 0;
}

static int check_link(const struct qb_conf *c, const struct qb_conf_where *w, uint32_t i)
{
	const struct qb_conf_link *l = &c->links[i];

	if (strcmp(l->ifname, c->tunnel.device) == 0)
		return fail_at(w, line_of(w, "Link", i, "Interface"),
			       "[Link %s] Interface: %s is the tunnel's own device; give a WAN "
			       "interface",
			       l->name, l->ifname);
	if (l->source.family && l->gateway.family && l->source.family != l->gateway.family)
		return fail_at(
			w, line_of(w, "Link", i, "Gateway"),
			"[Link %s] Gateway is IPv%u and Source is IPv%u; both must be of one "
			"family",
			l->name, l->gateway.family, l->source.family);
	if (l->source.family && qb_addr_ip_eq(&l->source, &l->gateway))
		return fail_at(w, line_of(w, "Link", i, "Gateway"),
			       "[Link %s] Gateway is the Source; it must be the next hop's address",
			       l->name);
	for (uint32_t j = 0; j < i; j++)
		if (strcmp(l->ifname, c->links[j].ifname) == 0 &&
		    (!l->source.family || !c->links[j].source.family ||
		     qb_addr_ip_eq(&l->source, &c->links[j].source)))
			return fail_at(w, line_of(w, "Link", i, "Interface"),
				       "[Link %s] is on the interface of [Link %s]; two links may "
				       "share one only with a Source each",
				       l->name, c->links[j].name);
	return 0;
}

static bool has_link(const struct qb_conf *c, const char *name)
{
	for (uint32_t i = 0; i < c->link_cnt; i++)
		if (strcmp(c->links[i].name, name) == 0)
			return true;
	return false;
}

/* families: which are among the prefixes, a bit each; all where there are none. */
static uint32_t families(const struct qb_prefix *p, uint32_t cnt)
{
	uint32_t set = 0;

	for (uint32_t i = 0; i < cnt; i++)
		set |= 1u << p[i].family;
	return cnt ? set : UINT32_MAX;
}

/* check_match: a packet's addresses are of one family, and routing sees no DSCP. */
static int check_match(const struct qb_conf *c, const struct qb_conf_where *w, uint32_t i)
{
	const struct qb_conf_policy *p = &c->policies[i];

	if (!(families(p->match.src, p->match.src_cnt) & families(p->match.dst, p->match.dst_cnt)))
		return fail_at(w, line_of(w, "Policy", i, "Match"),
			       "[Policy %s] Match: src: and dst: are of different families, which no packet's are; give both of one", p->name);
	if (p->match.dscps && p->via.is_direct)
		return fail_at(w, line_of(w, "Policy", i, "Match"),
			       "[Policy %s] Match: dscp: does not go with Via = direct; set a mark by it and match that", p->name);
	return 0;
}

/* check_via: with Links.Auto names are those of interfaces, which come and go. */
static int check_via(const struct qb_conf *c, const struct qb_conf_where *w, uint32_t i)
{
	const struct qb_conf_via *via = &c->policies[i].via;

	for (uint32_t k = 0; k < via->cnt && !c->is_links_auto; k++) {
		if (!has_link(c, via->links[k]))
			return fail_at(w, line_of(w, "Policy", i, "Via"),
				       "[Policy %s] Via: there is no [Link %s]; name links, or bond", c->policies[i].name,
				       via->links[k]);
	}
	return 0;
}

static int check_edge(const struct qb_conf *c, const struct qb_conf_where *w)
{
	if (check_hubs(c, w))
		return -EINVAL;
	if (c->link_cnt == 0 && !c->is_links_auto)
		return fail_at(w, line_of(w, "Links", 0, "Auto"),
			       "no links: Auto is no and there is no [Link]; give either");
	for (uint32_t i = 0; i < c->link_cnt; i++)
		if (check_link(c, w, i))
			return -EINVAL;
	for (uint32_t i = 0; i < c->policy_cnt; i++)
		if (check_via(c, w, i))
			return -EINVAL;
	if (strcmp(c->bond.primary, "auto") != 0 && !c->is_links_auto && !has_link(c, c->bond.primary))
		return fail_at(w, line_of(w, "Bond", 0, "Primary"), "[Bond] Primary: there is no [Link %s]; name a link, or auto",
			       c->bond.primary);
	return 0;
}

/* ---- hub ---- */

/* Something of a site that must not be another's: sorted, so that equals are neighbours. */
struct claim {
	struct qb_prefix prefix; /* prefixes and addresses */
	const uint8_t *key;	 /* public keys */
	uint32_t site;
};

static int by_prefix(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int d = x->prefix.family - y->prefix.family;

	if (!d)
		d = memcmp(x->prefix.ip, y->prefix.ip, sizeof(x->prefix.ip));
	if (!d)
		d = x->prefix.len - y->prefix.len;
	return d ? d : (x->site > y->site) - (x->site < y->site);
}

static int by_key(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int d = memcmp(x->key, y->key, QB_CONF_PUBKEY_LEN);

	return d ? d : (x->site > y->site) - (x->site < y->site);
}

/* Sites are in the file's order: of two that clash the later one is told. */
static int check_site_keys(const struct qb_conf *c, const struct qb_conf_where *w,
			   struct claim *claims)
{
	for (uint32_t i = 0; i < c->site_cnt; i++)
		claims[i] = (struct claim){.key = c->sites[i].public_key, .site = i};
	qsort(claims, c->site_cnt, sizeof(*claims), by_key);
	for (uint32_t i = 1; i < c->site_cnt; i++)
		if (!memcmp(claims[i].key, claims[i - 1].key, QB_CONF_PUBKEY_LEN))
			return fail_at(w, line_of(w, "Site", claims[i].site, "PublicKey"),
				       "[Site %s] has the PublicKey of [Site %s]; each site needs "
				       "its own",
				       c->sites[claims[i].site].name,
				       c->sites[claims[i - 1].site].name);
	return 0;
}

/* is_edge_of_pool: the first and last address of an IPv4 subnet are no host's. */
static bool is_edge_of_pool(const struct qb_prefix *pool, const struct qb_addr *a)
{
	uint8_t first[16], last[16];

	qb_prefix_range(pool, first, last);
	if (!memcmp(first, a->ip, 16))
		return pool->family == 6 || pool->len < 31;
	return pool->family == 4 && pool->len < 31 && !memcmp(last, a->ip, 16);
}

static int check_site_addr(const struct qb_conf *c, const struct qb_conf_where *w, uint32_t i,
			   const struct qb_addr *a)
{
	const struct qb_prefix *pool = a->family == 4 ? &c->pool.v4 : &c->pool.v6;
	char addr_text[QB_ADDR_STRLEN], pool_text[QB_PREFIX_STRLEN];
	int line = line_of(w, "Site", i, "Address");

	qb_addr_format(a, addr_text);
	if (!pool->family)
		return fail_at(w, line,
			       "[Site %s] Address: there is no pool for %s; give [Pool] IPv%u",
			       c->sites[i].name, addr_text, a->family);
	qb_prefix_format(pool, pool_text);
	if (!qb_prefix_has(pool, a->family, a->ip))
		return fail_at(
			w, line,
			"[Site %s] Address: %s is outside the pool; allowed: addresses in %s",
			c->sites[i].name, addr_text, pool_text);
	if (is_edge_of_pool(pool, a))
		return fail_at(w, line,
			       "[Site %s] Address: %s is no host's address; allowed: the others in "
			       "%s",
			       c->sites[i].name, addr_text, pool_text);
	return 0;
}

static struct qb_prefix host_prefix(const struct qb_addr *a)
{
	struct qb_prefix p = {.family = a->family, .len = a->family == 4 ? 32 : 128};

	memcpy(p.ip, a->ip, sizeof(p.ip));
	return p;
}

static int check_site_addrs(const struct qb_conf *c, const struct qb_conf_where *w,
			    struct claim *claims)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->site_cnt; i++) {
		const struct qb_addr *addrs[] = {&c->sites[i].address4, &c->sites[i].address6};

		for (uint32_t j = 0; j < QB_ARRAY_LEN(addrs); j++) {
			if (!addrs[j]->family)
				continue;
			if (check_site_addr(c, w, i, addrs[j]))
				return -EINVAL;
			claims[n++] = (struct claim){.prefix = host_prefix(addrs[j]), .site = i};
		}
	}
	qsort(claims, n, sizeof(*claims), by_prefix);
	for (uint32_t i = 1; i < n; i++) {
		char text[QB_PREFIX_STRLEN];

		if (memcmp(&claims[i].prefix, &claims[i - 1].prefix, sizeof(claims[i].prefix)))
			continue;
		text[0] = '\0';
		qb_prefix_format(&claims[i].prefix, text);
		text[strcspn(text, "/")] = '\0';
		return fail_at(w, line_of(w, "Site", claims[i].site, "Address"),
			       "[Site %s] Address: %s is the address of [Site %s]; each site needs "
			       "its own",
			       c->sites[claims[i].site].name, text,
			       c->sites[claims[i - 1].site].name);
	}
	return 0;
}

static bool overlaps(const struct qb_prefix *a, const struct qb_prefix *b)
{
	return a->family == b->family && (qb_prefix_covers(a, b) || qb_prefix_covers(b, a));
}

static int clash(const struct qb_conf *c, const struct qb_conf_where *w, const struct claim *a,
		 const struct claim *b)
{
	const struct claim *late = a->site > b->site ? a : b, *early = late == a ? b : a;
	char late_text[QB_PREFIX_STRLEN], early_text[QB_PREFIX_STRLEN];

	return fail_at(
		w, line_of(w, "Site", late->site, "Prefixes"),
		"[Site %s] Prefixes: %s overlaps %s of [Site %s]; a prefix belongs to one site",
		c->sites[late->site].name, qb_prefix_format(&late->prefix, late_text),
		qb_prefix_format(&early->prefix, early_text), c->sites[early->site].name);
}

static int check_site_prefixes(const struct qb_conf *c, const struct qb_conf_where *w,
			       struct claim *claims)
{
	const struct qb_prefix *pools[] = {&c->pool.v4, &c->pool.v6};
	char text[QB_PREFIX_STRLEN], pool_text[QB_PREFIX_STRLEN];
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->site_cnt; i++) {
		for (uint32_t j = 0; j < c->sites[i].prefixes.cnt; j++) {
			const struct qb_prefix *p = &c->sites[i].prefixes.p[j];

			for (uint32_t k = 0; k < QB_ARRAY_LEN(pools); k++)
				if (pools[k]->family && overlaps(pools[k], p))
					return fail_at(
						w, line_of(w, "Site", i, "Prefixes"),
						"[Site %s] Prefixes: %s overlaps the pool %s; "
						"the pool is the hub's",
						c->sites[i].name, qb_prefix_format(p, text),
						qb_prefix_format(pools[k], pool_text));
			claims[n++] = (struct claim){.prefix = *p, .site = i};
		}
	}
	/*
	 * Prefixes either nest or are apart: sorted by first address, wider ones first, any two
	 * that overlap leave a pair of neighbours that do.
	 */
	qsort(claims, n, sizeof(*claims), by_prefix);
	for (uint32_t i = 1; i < n; i++)
		if (overlaps(&claims[i - 1].prefix, &claims[i].prefix))
			return clash(c, w, &claims[i - 1], &claims[i]);
	return 0;
}

static int check_sites(const struct qb_conf *c, const struct qb_conf_where *w)
{
	size_t cnt = 0;
	struct claim *claims;
	int rc;

	for (uint32_t i = 0; i < c->site_cnt; i++)
		cnt += QB_MAX(c->sites[i].prefixes.cnt, 2u);
	if (cnt == 0)
		return 0;
	claims = calloc(cnt, sizeof(*claims));
	if (!claims)
		return fail_at(w, w->last_line, "out of memory");
	rc = check_site_keys(c, w, claims);
	if (!rc)
		rc = check_site_addrs(c, w, claims);
	if (!rc)
		rc = check_site_prefixes(c, w, claims);
	free(claims);
	return rc;
}

/* pool_room is how many sites can have an address: not the subnet's ends, and one is the hub's. */
static uint64_t pool_room(const struct qb_prefix *pool)
{
	uint32_t bits = (pool->family == 4 ? 32u : 128u) - pool->len;

	if (bits > 32)
		return UINT64_MAX;
	if (pool->family == 4 && bits >= 2)
		return (UINT64_C(1) << bits) - 3;
	return (UINT64_C(1) << bits) - (pool->family == 6 && bits > 1 ? 2 : 1);
}

static int check_pool(const struct qb_conf *c, const struct qb_conf_where *w)
{
	const struct qb_prefix *pools[] = {&c->pool.v4, &c->pool.v6};
	char text[QB_PREFIX_STRLEN];

	if (!c->pool.v4.family && !c->pool.v6.family)
		return fail_at(
			w, line_of(w, "Pool", 0, NULL),
			"a hub needs addresses for its sites; give [Pool] IPv4, IPv6 or both");
	for (uint32_t i = 0; i < QB_ARRAY_LEN(pools); i++) {
		if (!pools[i]->family || pool_room(pools[i]) >= c->site_cnt)
			continue;
		return fail_at(
			w, line_of(w, "Pool", 0, i == 0 ? "IPv4" : "IPv6"),
			"[Pool] %s has room for %llu sites and there are %u; give a larger one",
			qb_prefix_format(pools[i], text), (unsigned long long)pool_room(pools[i]),
			c->site_cnt);
	}
	return 0;
}

static int check_hub(const struct qb_conf *c, const struct qb_conf_where *w)
{
	for (uint32_t i = 0; i < c->listen.if_cnt; i++)
		if (strcmp(c->listen.ifnames[i], c->tunnel.device) == 0)
			return fail_at(
				w, line_of(w, "Listen", 0, "Interface"),
				"[Listen] Interface: %s is the tunnel's own device; give WAN "
				"interfaces",
				c->tunnel.device);
	if (!c->listen.cert_file[0] != !c->listen.cert_key_file[0])
		return fail_at(w, line_of(w, "Listen", 0, c->listen.cert_file[0] ? "Certificate" : "CertificateKey"),
			       "[Listen] Certificate and CertificateKey belong together; give both");
	if (check_pool(c, w))
		return -EINVAL;
	return check_sites(c, w);
}

static int check_node(const struct qb_conf *c, const struct qb_conf_where *w)
{
	if (c->umem_frames > qb_conf_buffers(c))
		return fail_at(w, line_of(w, "Node", 0, "Umem"),
			       "[Node] Umem is a part of Buffers, of which there are %u; give fewer, or more Buffers",
			       qb_conf_buffers(c));
	return 0;
}

int qb_conf_check(const struct qb_conf *c, const struct qb_conf_where *w)
{
	struct qb_match_mark marks[QB_MATCH_ALL_MARKS_MAX];

	if (check_sections(c, w) || check_node(c, w))
		return -EINVAL;
	if (qb_fail_want_is_crossed(&c->bond.fail))
		return fail_at(w, line_of(w, "Bond", 0, "FailMin"),
			       "[Bond] FailMin is more than FailMax; at most that");
	for (uint32_t i = 0; i < c->policy_cnt; i++)
		if (check_match(c, w, i))
			return -EINVAL;
	if (qb_conf_marks(c, marks) > QB_MATCH_ALL_MARKS_MAX)
		return fail_at(w, line_of(w, "Policy", c->policy_cnt - 1, "Match"),
			       "the policies match by more than %d different marks; masks may serve for several", QB_MATCH_ALL_MARKS_MAX);
	return c->role == QB_ROLE_EDGE ? check_edge(c, w) : check_hub(c, w);
}
