/* SPDX-License-Identifier: BSD-2-Clause */
/* The Match of a [Policy]: a list of conditions, each KIND:VALUE. Called by conf.c through the
 * table of keys. */
#include "conf/value.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
	ITEM_LEN = 64,
	TCP = 6,
	UDP = 17,
	DSCP_MAX = 63,
};

struct word {
	const char *name;
	uint8_t value;
};

static bool find(const struct word *words, const char *text, uint32_t max, uint8_t *out)
{
	uint32_t n;

	for (; words->name; words++) {
		if (strcasecmp(words->name, text) == 0) {
			*out = words->value;
			return true;
		}
	}
	if (qb_conf_parse_u32(text, 0, max, &n))
		return false;
	*out = (uint8_t)n;
	return true;
}

static int add_dscp(struct qb_conf_value *v, struct qb_match *m, const char *text)
{
	static const struct word words[] = {
		{"be", 0},    {"df", 0},    {"le", 1},	  {"cs0", 0},	{"cs1", 8},   {"cs2", 16},
		{"cs3", 24},  {"cs4", 32},  {"cs5", 40},  {"cs6", 48},	{"cs7", 56},  {"af11", 10},
		{"af12", 12}, {"af13", 14}, {"af21", 18}, {"af22", 20}, {"af23", 22}, {"af31", 26},
		{"af32", 28}, {"af33", 30}, {"af41", 34}, {"af42", 36}, {"af43", 38}, {"va", 44},
		{"ef", 46},   {NULL, 0},
	};
	uint8_t dscp;

	if (!find(words, text, DSCP_MAX, &dscp))
		return qb_conf_refuse_text(v, text,
					   "a DSCP (a name like ef, af41, cs1, or 0 to 63)");
	m->dscps |= UINT64_C(1) << dscp;
	return 0;
}

static int parse_range(const char *text, uint16_t *first, uint16_t *last)
{
	char low[8];
	size_t len = strcspn(text, "-");
	uint32_t a, b;

	if (len >= sizeof(low))
		return -EINVAL;
	memcpy(low, text, len);
	low[len] = '\0';
	if (qb_conf_parse_u32(low, 1, UINT16_MAX, &a))
		return -EINVAL;
	b = a;
	if (text[len] == '-' && qb_conf_parse_u32(text + len + 1, a, UINT16_MAX, &b))
		return -EINVAL;
	*first = (uint16_t)a;
	*last = (uint16_t)b;
	return 0;
}

/* add_port adds a transport protocol, with ports if there are any in text. */
static int add_port(struct qb_conf_value *v, struct qb_match *m, uint8_t proto, const char *text)
{
	struct qb_match_port *p = &m->ports[m->port_cnt];

	if (m->port_cnt == QB_MATCH_PORTS_MAX)
		return qb_conf_refuse(v, "more than %d protocols and ports", QB_MATCH_PORTS_MAX);
	*p = (struct qb_match_port){.proto = proto, .has_port = text != NULL};
	if (text && parse_range(text, &p->first, &p->last))
		return qb_conf_refuse_text(
			v, text, "a port or a range of ports (1 to 65535, like 3478-3481)");
	m->port_cnt++;
	return 0;
}

static int add_proto(struct qb_conf_value *v, struct qb_match *m, const char *text)
{
	static const struct word words[] = {
		{"icmp", 1}, {"tcp", TCP},   {"udp", UDP},  {"gre", 47},
		{"esp", 50}, {"icmpv6", 58}, {"sctp", 132}, {NULL, 0},
	};
	uint8_t proto;

	if (!find(words, text, 255, &proto) || proto == 0)
		return qb_conf_refuse_text(v, text,
					   "a protocol (a name like udp, esp, or 1 to 255)");
	return add_port(v, m, proto, NULL);
}

static int add_prefix(struct qb_conf_value *v, struct qb_prefix *p, uint32_t *cnt, const char *text)
{
	if (*cnt == QB_MATCH_PREFIXES_MAX)
		return qb_conf_refuse(v, "more than %d prefixes of a kind", QB_MATCH_PREFIXES_MAX);
	if (qb_prefix_parse(text, &p[*cnt]))
		return qb_conf_refuse_prefix(v, text);
	++*cnt;
	return 0;
}

static bool parse_hex_or_decimal(const char *text, char until, uint32_t *out, const char **end)
{
	unsigned long long n;
	char *at;

	if (!isdigit((unsigned char)*text))
		return false;
	n = strtoull(text, &at, strncasecmp(text, "0x", 2) == 0 ? 16 : 10);
	*end = at;
	*out = (uint32_t)n;
	return n <= UINT32_MAX && (*at == '\0' || *at == until);
}

/* add_mark reads VALUE or VALUE/MASK, as nft and ip have it. */
static int add_mark(struct qb_conf_value *v, struct qb_match *m, const char *text)
{
	struct qb_match_mark mark = {.mask = UINT32_MAX};
	const char *end = text;
	bool is_fine = parse_hex_or_decimal(text, '/', &mark.value, &end);

	if (is_fine && *end == '/')
		is_fine = parse_hex_or_decimal(end + 1, '\0', &mark.mask, &end);
	if (!is_fine || !mark.mask)
		return qb_conf_refuse_text(v, text, "a firewall mark (a number, or number/mask)");
	if (mark.value & ~mark.mask)
		return qb_conf_refuse(v, "mark:%.40s has bits outside of its mask: no packet's mark is that", text);
	if (m->mark_cnt == QB_MATCH_MARKS_MAX)
		return qb_conf_refuse(v, "more than %d marks", QB_MATCH_MARKS_MAX);
	m->marks[m->mark_cnt++] = mark;
	return 0;
}

static int add_item(struct qb_conf_value *v, struct qb_match *m, char *item)
{
	char *value = strchr(item, ':');

	if (value) {
		*value++ = '\0';
		for (size_t n = strlen(item); n && strchr(" \t", item[n - 1]); n--)
			item[n - 1] = '\0';
		value += strspn(value, " \t");
	}
	if (strcasecmp(item, "udp") == 0)
		return add_port(v, m, UDP, value);
	if (strcasecmp(item, "tcp") == 0)
		return add_port(v, m, TCP, value);
	if (!value || !*value)
		return qb_conf_refuse_text(v, item, "a condition");
	if (strcasecmp(item, "dscp") == 0)
		return add_dscp(v, m, value);
	if (strcasecmp(item, "port") == 0)
		return add_port(v, m, 0, value);
	if (strcasecmp(item, "proto") == 0)
		return add_proto(v, m, value);
	if (strcasecmp(item, "mark") == 0)
		return add_mark(v, m, value);
	if (strcasecmp(item, "src") == 0)
		return add_prefix(v, m->src, &m->src_cnt, value);
	if (strcasecmp(item, "dst") == 0)
		return add_prefix(v, m->dst, &m->dst_cnt, value);
	return qb_conf_refuse_text(v, item, "a kind of condition");
}

int qb_conf_parse_via(struct qb_conf_value *v, void *dst)
{
	struct qb_conf_via via = {0};
	const char *pos = v->text;
	char item[QB_CONF_NAME_LEN];
	int rc;

	via.is_direct = strcasecmp(v->text, "direct") == 0;
	while (!via.is_direct && strcasecmp(v->text, "bond") != 0 && (rc = qb_conf_next_item(v, &pos, item, sizeof(item))) != 0) {
		if (rc < 0)
			return rc;
		if (!qb_conf_is_name(item) || strcasecmp(item, "bond") == 0 || strcasecmp(item, "direct") == 0)
			return qb_conf_refuse_text(v, item, "a link's name");
		if (via.cnt == QB_CONF_LINKS_MAX)
			return qb_conf_refuse(v, "more than %d links", QB_CONF_LINKS_MAX);
		memcpy(via.links[via.cnt++], item, strlen(item) + 1);
	}
	*(struct qb_conf_via *)dst = via;
	return 0;
}

int qb_conf_parse_match(struct qb_conf_value *v, void *dst)
{
	struct qb_match m = {0};
	const char *pos = v->text;
	char item[ITEM_LEN];
	int rc;

	while ((rc = qb_conf_next_item(v, &pos, item, sizeof(item))) > 0)
		if (add_item(v, &m, item))
			return -EINVAL;
	if (rc == 0)
		*(struct qb_match *)dst = m;
	return rc;
}
