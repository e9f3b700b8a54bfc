/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Next hops of the AF_XDP backend: which MAC address a peer is reached by. What the owner has set
 * comes from the kernel's neighbour table and rules; what was seen as the source of the peer's own
 * frames fills the gap.
 */
#pragma once

#include "net/eth.h"

enum {
	QB_HOP_BUCKETS = 128,
	QB_HOP_WAYS = 4,
};

enum qb_hop_state {
	QB_HOP_NONE,	   /* nothing is known */
	QB_HOP_UNRESOLVED, /* set, but without a MAC yet; or not reachable by a plain frame (a VLAN)
			    */
	QB_HOP_READY,
};

struct qb_hop {
	struct qb_addr peer; /* port 0 */
	enum qb_hop_state state;
	bool is_set; /* by the owner: not to be replaced by what is learned */
	struct qb_eth_hop mac;
};

struct qb_hops {
	struct qb_hop fallback[2]; /* IPv4, IPv6 */
	struct qb_hop table[QB_HOP_BUCKETS][QB_HOP_WAYS];
	uint8_t next_way;
};

/* qb_hops_set: dst_mac NULL is "not resolved", which also forgets what was learned for the family.
 */
void qb_hops_set(struct qb_hops *h, uint8_t family, const struct qb_addr *peer,
		 const uint8_t src_mac[6], const uint8_t *dst_mac);
/* qb_hops_learn notes who delivered a peer's frame. A tagged frame tells that plain ones would not
 * arrive. */
void qb_hops_learn(struct qb_hops *h, const struct qb_addr *peer, const uint8_t own_mac[6],
		   const uint8_t peer_mac[6], bool is_tagged);
/* qb_hops_find returns the addresses to use, or NULL: then the kernel sends. */
const struct qb_eth_hop *qb_hops_find(const struct qb_hops *h, const struct qb_addr *peer);
