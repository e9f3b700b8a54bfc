/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IP addresses, UDP endpoints, prefixes and the pair of endpoints ("tuple") that a QUIC path runs on.
 * IPv4 addresses use the first four bytes of ip[]; the rest is zero, so that equality is memcmp.
 */
#pragma once

#include "base/base.h"

enum {
	QB_ADDR_STRLEN = 64,   /* "[v6%scope]:port" with its NUL */
	QB_PREFIX_STRLEN = 52, /* "v6/128" with its NUL */
};

struct qb_addr {
	uint8_t ip[16];
	uint16_t port;	   /* host order; 0 where only the address counts */
	uint8_t family;	   /* 4, 6, or 0 for "none" */
	uint8_t reserved;  /* zero */
	uint32_t scope_id; /* interface index of a link-local address, else 0 */
};

struct qb_prefix {
	uint8_t ip[16]; /* host bits zero */
	uint8_t family; /* 4 or 6 */
	uint8_t len;
};

/* The endpoints of a datagram and the link it came in by or leaves by. */
struct qb_tuple {
	struct qb_addr local;
	struct qb_addr peer;
	uint16_t link;	   /* the owner's index of the link (edge) or listen socket (hub) */
	uint8_t ecn;	   /* the IP header's ECN bits; not part of the tuple's identity */
	uint8_t reserved[5]; /* zero */
};

static inline bool qb_addr_eq(const struct qb_addr *a, const struct qb_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static inline bool qb_addr_ip_eq(const struct qb_addr *a, const struct qb_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static inline bool qb_tuple_eq(const struct qb_tuple *a, const struct qb_tuple *b)
{
	return a->link == b->link && qb_addr_eq(&a->local, &b->local) &&
	       qb_addr_eq(&a->peer, &b->peer);
}

/* How far an address reaches, the narrowest first. */
enum qb_scope {
	QB_SCOPE_NONE, /* unspecified, multicast, broadcast: no host's */
	QB_SCOPE_HOST, /* loopback */
	QB_SCOPE_LINK,
	QB_SCOPE_SITE, /* RFC 1918, RFC 6598, unique local */
	QB_SCOPE_GLOBAL,
};

enum qb_scope qb_addr_scope(const struct qb_addr *a);

static inline uint8_t qb_addr_ip_len(const struct qb_addr *a)
{
	return a->family == 6 ? 16 : 4;
}

/*
 * qb_addr_parse reads "192.0.2.1", "192.0.2.1:443", "2001:db8::1" or "[2001:db8::1]:443"; where no port
 * is written it becomes default_port. Returns 0 or -EINVAL (not a numeric address, or a bad port).
 */
int qb_addr_parse(const char *text, uint16_t default_port, struct qb_addr *out) QB_MUST_CHECK;

/* qb_addr_format writes the address, with its port unless that is 0, and returns buf. */
const char *qb_addr_format(const struct qb_addr *a, char buf[QB_ADDR_STRLEN]);

/*
 * qb_prefix_parse reads "10.0.0.0/8"; without "/len" it is a host. Returns 0 or -EINVAL (malformed,
 * too long, or host bits set).
 */
int qb_prefix_parse(const char *text, struct qb_prefix *out) QB_MUST_CHECK;
const char *qb_prefix_format(const struct qb_prefix *p, char buf[QB_PREFIX_STRLEN]);

/* qb_prefix_order is below, at or above 0 as a comes before b: by family, address, length. */
int qb_prefix_order(const struct qb_prefix *a, const struct qb_prefix *b);

/* qb_prefix_has tells whether the family's address (4 or 16 bytes) lies inside the prefix. */
bool qb_prefix_has(const struct qb_prefix *p, uint8_t family, const uint8_t *ip);
/* qb_prefix_covers tells whether every address of inner lies inside outer. */
bool qb_prefix_covers(const struct qb_prefix *outer, const struct qb_prefix *inner);
/* qb_prefix_range stores the first and last address of the prefix (16-byte arrays, as in ip[]). */
void qb_prefix_range(const struct qb_prefix *p, uint8_t first[16], uint8_t last[16]);
