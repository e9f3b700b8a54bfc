/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ECN field of IP packets (RFC 3168 §5), in the bytes of a packet: what it is, to mark it, and
 * what the outer header of a tunnel does to the inner one (RFC 6040). The caller knows that there
 * is a whole header of IPv4 or IPv6.
 */
#pragma once

#include "base/base.h"

enum qb_ecn { QB_ECN_NOT, QB_ECN_ECT1, QB_ECN_ECT0, QB_ECN_CE };

static inline enum qb_ecn qb_ip_ecn(const uint8_t *ip)
{
	return (enum qb_ecn)(ip[0] >> 4 == 6 ? ip[1] >> 4 & 3 : ip[1] & 3);
}

/* qb_ip_mark_ce sets Congestion Experienced. Returns false where the packet's transport does not
 * know ECN (the packet is unchanged). */
bool qb_ip_mark_ce(uint8_t *ip);

/*
 * qb_ip_ecn_egress carries what the outer header of a packet says to the inner one where that
 * leaves the tunnel. is_l4s: what the path's sender marks ECN-capable, it marks ECT(1). Returns
 * whether the inner packet was marked.
 */
bool qb_ip_ecn_egress(uint8_t *ip, enum qb_ecn outer, bool is_l4s);
