/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text forms of addresses and prefixes, prefix arithmetic, scopes. Numeric only: names are resolved elsewhere. Called
 * from configuration, control and logs, and when a peer moves; never per packet.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

/* parse_uint reads decimal digits that fill the text, at most max. */
static int parse_uint(const char *text, uint32_t max, uint32_t *out)
{
	uint32_t v = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		v = v * 10 + (uint32_t)(*text - '0');
		if (v > max)
			return -EINVAL;
	}
	*out = v;
	return 0;
}

int qb_addr_parse(const char *text, uint16_t default_port, struct qb_addr *out)
{
	char host[QB_ADDR_STRLEN];
	const char *port = NULL, *end;
	uint32_t port_num = default_port;
	size_t host_len;

	memset(out, 0, sizeof(*out));
	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return -EINVAL;
		if (end[1] == ':')
			port = end + 2;
	} else {
		end = strchr(text, ':');
		if (end && !strchr(end + 1, ':'))
			port = end + 1;
		else
			end = text + strlen(text);
	}
	host_len = (size_t)(end - text);
	if (host_len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, host_len);
	host[host_len] = '\0';

	if (port && parse_uint(port, 65535, &port_num))
		return -EINVAL;
	if (inet_pton(AF_INET, host, out->ip) == 1)
		out->family = 4;
	else if (inet_pton(AF_INET6, host, out->ip) == 1)
		out->family = 6;
	else
		return -EINVAL;
	out->port = (uint16_t)port_num;
	return 0;
}

const char *qb_addr_format(const struct qb_addr *a, char buf[QB_ADDR_STRLEN])
{
	char host[INET6_ADDRSTRLEN];

	if (a->family == 0)
		return strcpy(buf, "-");
	inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, host, sizeof(host));
	if (a->port == 0)
		snprintf(buf, QB_ADDR_STRLEN, "%s", host);
	else
		snprintf(buf, QB_ADDR_STRLEN, a->family == 4 ? "%s:%u" : "[%s]:%u", host, a->port);
	return buf;
}

/* bit_mask is the mask of the first `bits` (0..8) bits of a byte. */
static uint8_t bit_mask(unsigned int bits)
{
	return (uint8_t)(0xff00u >> bits);
}

/* byte_mask is the network mask's byte i of a prefix length. */
static uint8_t byte_mask(unsigned int prefix_len, unsigned int i)
{
	if (prefix_len >= 8 * (i + 1))
		return 0xff;
	return prefix_len <= 8 * i ? 0 : bit_mask(prefix_len - 8 * i);
}

static unsigned int family_len(uint8_t family)
{
	return family == 6 ? 16 : 4;
}

int qb_prefix_parse(const char *text, struct qb_prefix *out)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t host_len = slash ? (size_t)(slash - text) : strlen(text);
	uint32_t len;

	memset(out, 0, sizeof(*out));
	if (host_len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, host_len);
	host[host_len] = '\0';
	if (inet_pton(AF_INET, host, out->ip) == 1)
		out->family = 4;
	else if (inet_pton(AF_INET6, host, out->ip) == 1)
		out->family = 6;
	else
		return -EINVAL;
	len = 8 * family_len(out->family);
	if (slash && parse_uint(slash + 1, len, &len))
		return -EINVAL;
	out->len = (uint8_t)len;
	for (unsigned int i = 0; i < family_len(out->family); i++)
		if (out->ip[i] & ~byte_mask(len, i))
			return -EINVAL;
	return 0;
}

const char *qb_prefix_format(const struct qb_prefix *p, char buf[QB_PREFIX_STRLEN])
{
	char host[INET6_ADDRSTRLEN];

	if (p->family == 0)
		return strcpy(buf, "-");
	inet_ntop(p->family == 4 ? AF_INET : AF_INET6, p->ip, host, sizeof(host));
	snprintf(buf, QB_PREFIX_STRLEN, "%s/%u", host, p->len);
	return buf;
}

int qb_prefix_order(const struct qb_prefix *a, const struct qb_prefix *b)
{
	int by_ip = memcmp(a->ip, b->ip, sizeof(a->ip));

	if (a->family != b->family)
		return a->family - b->family;
	return by_ip ? by_ip : a->len - b->len;
}

bool qb_prefix_has(const struct qb_prefix *p, uint8_t family, const uint8_t *ip)
{
	if (p->family != family)
		return false;
	for (unsigned int i = 0; 8 * i < p->len; i++)
		if ((ip[i] ^ p->ip[i]) & byte_mask(p->len, i))
			return false;
	return true;
}

bool qb_prefix_covers(const struct qb_prefix *outer, const struct qb_prefix *inner)
{
	return outer->len <= inner->len && qb_prefix_has(outer, inner->family, inner->ip);
}

void qb_prefix_range(const struct qb_prefix *p, uint8_t first[16], uint8_t last[16])
{
	memset(first, 0, 16);
	memset(last, 0, 16);
	for (unsigned int i = 0; i < family_len(p->family); i++) {
		first[i] = p->ip[i];
		last[i] = p->ip[i] | (uint8_t)~byte_mask(p->len, i);
	}
}

static enum qb_scope scope4(uint32_t ip)
{
	if (ip == 0 || ip >> 28 >= 14)
		return QB_SCOPE_NONE;
	if (ip >> 24 == 127)
		return QB_SCOPE_HOST;
	if (ip >> 16 == 0xa9fe)
		return QB_SCOPE_LINK;
	if (ip >> 24 == 10 || ip >> 20 == 0xac1 || ip >> 16 == 0xc0a8 || ip >> 22 == 0x64400000 >> 22)
		return QB_SCOPE_SITE;
	return QB_SCOPE_GLOBAL;
}

enum qb_scope qb_addr_scope(const struct qb_addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
	static const uint8_t zero[15];

	if (a->family == 4)
		return scope4(qb_load_be32(a->ip));
	if (a->family != 6 || a->ip[0] == 0xff)
		return QB_SCOPE_NONE;
	if (memcmp(a->ip, mapped, sizeof(mapped)) == 0)
		return scope4(qb_load_be32(a->ip + 12));
	if (memcmp(a->ip, zero, sizeof(zero)) == 0)
		return a->ip[15] == 1 ? QB_SCOPE_HOST : QB_SCOPE_NONE;
	if (a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80)
		return QB_SCOPE_LINK;
	return (a->ip[0] & 0xfe) == 0xfc ? QB_SCOPE_SITE : QB_SCOPE_GLOBAL;
}
