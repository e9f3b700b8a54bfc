/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a router does to an inner IP packet: check it, lower its hop limit, clamp TCP's MSS, and answer with ICMP
 * errors. Works in place on bytes; knows nothing of tunnels.
 */
#pragma once

#include "base/buf.h"

enum qb_inner_error {
	QB_INNER_TOO_BIG,	/* ICMPv4 3/4, ICMPv6 2/0, with the MTU */
	QB_INNER_TTL,		/* 11/0, 3/0 */
	QB_INNER_NO_ROUTE,	/* 3/0, 1/0 */
	QB_INNER_BAD_SOURCE,	/* 3/13, 1/5 */
};

/* qb_inner_check: a well-formed IPv4 or IPv6 header whose length fits; trims link padding. Returns 4, 6, or -EBADMSG. */
int qb_inner_check(struct qb_buf *b) QB_MUST_CHECK;
/* qb_inner_source / _dest point at the packet's 4- or 16-byte addresses. */
const uint8_t *qb_inner_source(const uint8_t *ip);
const uint8_t *qb_inner_dest(const uint8_t *ip);
/*
 * qb_inner_flow is the same number for all packets of a flow: of addresses, protocol, and the ports of TCP and UDP in what is
 * no fragment.
 */
uint32_t qb_inner_flow(const uint8_t *ip, uint32_t len);
/* qb_inner_hop lowers TTL or hop limit by one. Returns false when it ran out (the packet is unchanged). */
bool qb_inner_hop(struct qb_buf *b);
/* qb_inner_clamp_mss lowers the MSS of a TCP SYN to what fits mtu_bytes. Returns whether it did. */
bool qb_inner_clamp_mss(struct qb_buf *b, uint32_t mtu_bytes);
/*
 * qb_inner_icmp_error turns a copy of the offending packet into an ICMP error to its sender in `out` (an empty buffer).
 * src: our address of that family (4 or 16 bytes). Returns false where none may be sent (RFC 1122 §3.2.2, RFC 4443
 * §2.4: about ICMP errors, fragments, multicast or unspecified sources).
 */
bool qb_inner_icmp_error(const struct qb_buf *bad, enum qb_inner_error error, uint32_t mtu_bytes,
			 const uint8_t *src, struct qb_buf *out);
