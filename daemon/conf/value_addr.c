/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values that hold addresses: lists, prefixes, endpoints. Called by conf.c through the table of
 * keys, as the plainer types in value.c are.
 */
#include "conf/value.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

enum { DEFAULT_PORT = 443, METRICS_PORT = 9100 };

/* ---- lists ---- */

int qb_conf_next_item(struct qb_conf_value *v, const char **pos, char *item, size_t cap)
{
	const char *start = *pos, *end;

	if (!start)
		return 0;
	end = start + strcspn(start, ",");
	*pos = *end ? end + 1 : NULL;
	start += strspn(start, " \t");
	while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (end == start)
		return qb_conf_refuse(v, "an item of the list is empty");
	if ((size_t)(end - start) >= cap)
		return qb_conf_refuse(v, "\"%.40s...\" is too long", start);
	memcpy(item, start, (size_t)(end - start));
	item[end - start] = '\0';
	return 1;
}

int qb_conf_refuse_prefix(struct qb_conf_value *v, const char *text)
{
	char addr_text[QB_PREFIX_STRLEN], good[QB_PREFIX_STRLEN];
	const char *slash = strchr(text, '/');
	struct qb_addr addr;
	struct qb_prefix p = {0};
	uint32_t len;

	if (!slash || (size_t)(slash - text) >= sizeof(addr_text))
		return qb_conf_refuse_text(v, text, "a prefix");
	memcpy(addr_text, text, (size_t)(slash - text));
	addr_text[slash - text] = '\0';
	if (qb_addr_parse(addr_text, 0, &addr) ||
	    qb_conf_parse_u32(slash + 1, 0, addr.family == 4 ? 32 : 128, &len))
		return qb_conf_refuse_text(v, text, "a prefix");
	for (uint32_t i = 0; i < len; i++)
		p.ip[i / 8] |= (uint8_t)(addr.ip[i / 8] & (0x80 >> (i % 8)));
	p.family = addr.family;
	p.len = (uint8_t)len;
	return qb_conf_refuse(v, "%s has host bits set; is it %s?", text,
			      qb_prefix_format(&p, good));
}

int qb_conf_parse_prefixes(struct qb_conf_value *v, void *dst)
{
	struct qb_conf_prefixes *out = dst;
	const char *pos = v->text;
	char item[QB_PREFIX_STRLEN];
	struct qb_prefix p;
	int rc;

	out->cnt = 0;
	while ((rc = qb_conf_next_item(v, &pos, item, sizeof(item))) > 0) {
		if (qb_prefix_parse(item, &p))
			return qb_conf_refuse_prefix(v, item);
		for (uint32_t i = 0; i < out->cnt; i++)
			if (memcmp(&out->p[i], &p, sizeof(p)) == 0)
				return qb_conf_refuse(v, "%s is listed twice", item);
		if (out->cnt == QB_CONF_PREFIXES_MAX)
			return qb_conf_refuse(v, "more than %d prefixes", QB_CONF_PREFIXES_MAX);
		out->p[out->cnt++] = p;
	}
	return rc;
}

int qb_conf_parse_accept(struct qb_conf_value *v, void *dst)
{
	struct qb_conf *c = dst;

	c->route.has_accept = true;
	return qb_conf_parse_prefixes(v, &c->route.accept);
}

static int parse_pool(struct qb_conf_value *v, struct qb_prefix *out, uint8_t family)
{
	struct qb_prefix p;

	if (qb_prefix_parse(v->text, &p))
		return qb_conf_refuse_prefix(v, v->text);
	if (p.family != family)
		return qb_conf_refuse(v, "%.60s is not an IPv%u prefix", v->text, family);
	if (p.len < 8 || p.len > (family == 4 ? 31 : 127))
		return qb_conf_refuse(v, "/%u is no useful size for a pool", p.len);
	*out = p;
	return 0;
}

int qb_conf_parse_pool4(struct qb_conf_value *v, void *dst)
{
	return parse_pool(v, dst, 4);
}

int qb_conf_parse_pool6(struct qb_conf_value *v, void *dst)
{
	return parse_pool(v, dst, 6);
}

/* ---- addresses ---- */

static bool is_multicast(const struct qb_addr *a)
{
	return a->family == 4 ? a->ip[0] >= 224 : a->ip[0] == 0xff;
}

static bool is_unspecified(const struct qb_addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->ip, zero, sizeof(zero)) == 0;
}

/* parse_host reads the address of one host, without a port. */
static int parse_host(struct qb_conf_value *v, const char *text, struct qb_addr *out)
{
	struct qb_addr a;

	if (qb_addr_parse(text, 0, &a) || a.port != 0)
		return qb_conf_refuse_text(v, text, "an IP address");
	if (is_unspecified(&a) || is_multicast(&a))
		return qb_conf_refuse_text(v, text, "the address of one host");
	*out = a;
	return 0;
}

int qb_conf_parse_auto_addr(struct qb_conf_value *v, void *dst)
{
	if (strcasecmp(v->text, "auto") == 0) {
		memset(dst, 0, sizeof(struct qb_addr));
		return 0;
	}
	return parse_host(v, v->text, dst);
}

int qb_conf_parse_site_addrs(struct qb_conf_value *v, void *dst)
{
	struct qb_conf_site *site = dst;
	const char *pos = v->text;
	char item[QB_PREFIX_STRLEN];
	int rc;

	while ((rc = qb_conf_next_item(v, &pos, item, sizeof(item))) > 0) {
		struct qb_addr a, *slot;

		if (parse_host(v, item, &a))
			return -EINVAL;
		slot = a.family == 4 ? &site->address4 : &site->address6;
		if (slot->family)
			return qb_conf_refuse(v, "more than one IPv%u address", a.family);
		*slot = a;
	}
	return rc;
}

int qb_conf_parse_listen_addrs(struct qb_conf_value *v, void *dst)
{
	struct qb_conf *c = dst;
	const char *pos = v->text;
	char item[QB_ADDR_STRLEN];
	struct qb_addr a;
	int rc;

	c->listen.addr_cnt = 0;
	while ((rc = qb_conf_next_item(v, &pos, item, sizeof(item))) > 0) {
		if (qb_addr_parse(item, DEFAULT_PORT, &a) || a.port == 0 || is_multicast(&a))
			return qb_conf_refuse_text(v, item, "an address to listen on");
		for (uint32_t i = 0; i < c->listen.addr_cnt; i++)
			if (qb_addr_eq(&c->listen.addrs[i], &a))
				return qb_conf_refuse(v, "%s is listed twice", item);
		if (c->listen.addr_cnt == QB_CONF_LISTEN_MAX)
			return qb_conf_refuse(v, "more than %d addresses", QB_CONF_LISTEN_MAX);
		c->listen.addrs[c->listen.addr_cnt++] = a;
	}
	return rc;
}

int qb_conf_parse_metrics_addr(struct qb_conf_value *v, void *dst)
{
	struct qb_addr a = {.family = 0};

	if (strcasecmp(v->text, "off") != 0 &&
	    (qb_addr_parse(v->text, METRICS_PORT, &a) || a.port == 0 || is_multicast(&a)))
		return qb_conf_refuse_text(v, v->text, "an address to listen on");
	memcpy(dst, &a, sizeof(a));
	return 0;
}

int qb_conf_parse_preferred(struct qb_conf_value *v, void *dst)
{
	struct qb_conf *c = dst;
	const char *pos = v->text;
	char item[QB_ADDR_STRLEN];
	int rc;

	while ((rc = qb_conf_next_item(v, &pos, item, sizeof(item))) > 0) {
		struct qb_addr a, *slot;

		if (qb_addr_parse(item, DEFAULT_PORT, &a) || a.port == 0 || is_unspecified(&a) ||
		    is_multicast(&a))
			return qb_conf_refuse_text(v, item, "an address that edges could go to");
		slot = a.family == 4 ? &c->listen.preferred4 : &c->listen.preferred6;
		if (slot->family)
			return qb_conf_refuse(v, "more than one IPv%u address", a.family);
		*slot = a;
	}
	return rc;
}

int qb_conf_parse_listen_ifaces(struct qb_conf_value *v, void *dst)
{
	struct qb_conf *c = dst;
	const char *pos = v->text;
	char item[QB_CONF_NAME_LEN];
	int rc;

	c->listen.if_cnt = 0;
	if (strcasecmp(v->text, "all") == 0)
		return 0;
	while ((rc = qb_conf_next_item(v, &pos, item, sizeof(item))) > 0) {
		if (!qb_conf_is_ifname(item))
			return qb_conf_refuse_text(v, item, "an interface name");
		for (uint32_t i = 0; i < c->listen.if_cnt; i++)
			if (strcmp(c->listen.ifnames[i], item) == 0)
				return qb_conf_refuse(v, "%s is listed twice", item);
		if (c->listen.if_cnt == QB_CONF_LISTEN_MAX)
			return qb_conf_refuse(v, "more than %d interfaces", QB_CONF_LISTEN_MAX);
		memcpy(c->listen.ifnames[c->listen.if_cnt++], item, strlen(item) + 1);
	}
	return rc;
}

/* is_hostname: RFC 1123 §2.1 labels; all digits and dots would be a mistyped address. */
static bool is_hostname(const char *text)
{
	size_t label = 0;
	bool has_alpha = false;

	if (strlen(text) > 253)
		return false;
	for (const char *p = text; *p; p++) {
		if (*p == '.') {
			if (label == 0 || p[-1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!isalnum((unsigned char)*p) && *p != '_' && (*p != '-' || label == 0))
			return false;
		has_alpha |= !isdigit((unsigned char)*p);
		if (++label > 63)
			return false;
	}
	return label > 0 && text[strlen(text) - 1] != '-' && has_alpha;
}

/* parse_endpoint reads "name:port", "192.0.2.1:port", "[v6]:port", each with or without the port.
 */
static int parse_endpoint(struct qb_conf_value *v, char *text, char host[QB_CONF_PATH_LEN],
			  uint16_t *port)
{
	uint32_t port_num = DEFAULT_PORT;
	struct qb_addr a;
	char *colon;

	if (!qb_addr_parse(text, DEFAULT_PORT, &a)) {
		if (a.port == 0 || is_unspecified(&a) || is_multicast(&a))
			return qb_conf_refuse_text(v, text, "an address that a hub can have");
		*port = a.port;
		a.port = 0;
		qb_addr_format(&a, host);
		return 0;
	}
	colon = strchr(text, ':');
	if (colon) {
		if (qb_conf_parse_u32(colon + 1, 1, 65535, &port_num))
			return qb_conf_refuse_text(v, text, "HOST:PORT");
		*colon = '\0';
	}
	if (!is_hostname(text))
		return qb_conf_refuse_text(v, text, "a host's name or address");
	snprintf(host, QB_CONF_PATH_LEN, "%s", text);
	*port = (uint16_t)port_num;
	return 0;
}

int qb_conf_parse_hub_addrs(struct qb_conf_value *v, void *dst)
{
	struct qb_conf_hub *hub = dst;
	const char *pos = v->text;
	char item[QB_CONF_PATH_LEN], host[QB_CONF_PATH_LEN];
	uint16_t port = 0;
	int rc;

	while ((rc = qb_conf_next_item(v, &pos, item, sizeof(item))) > 0) {
		if (parse_endpoint(v, item, host, &port))
			return -EINVAL;
		for (uint32_t i = 0; i < hub->addr_cnt; i++)
			if (hub->addrs[i].port == port && strcasecmp(hub->addrs[i].host, host) == 0)
				return qb_conf_refuse(v, "%.60s port %u is listed twice", host,
						      port);
		if (hub->addr_cnt == QB_CONF_HUB_ADDRS_MAX)
			return qb_conf_refuse(v, "more than %d addresses", QB_CONF_HUB_ADDRS_MAX);
		memcpy(hub->addrs[hub->addr_cnt].host, host, sizeof(host));
		hub->addrs[hub->addr_cnt++].port = port;
	}
	return rc;
}
