/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small set-associative table of next hops. An entry that the owner set is never evicted by one
 * that was learned; learned ones replace each other. Belongs to one port, so to one thread.
 */
#include "net/hop.h"

#include "base/hash.h"

static struct qb_hop *bucket_of(const struct qb_hops *h, const struct qb_addr *peer)
{
	uint64_t a, b;

	memcpy(&a, peer->ip, 8);
	memcpy(&b, peer->ip + 8, 8);
	a = qb_mix_u64(a ^ qb_mix_u64(b + peer->family));
	return (struct qb_hop *)h->table[a % QB_HOP_BUCKETS];
}

static struct qb_hop *find_peer(const struct qb_hops *h, const struct qb_addr *peer)
{
	struct qb_hop *way = bucket_of(h, peer);

	for (uint32_t i = 0; i < QB_HOP_WAYS; i++) {
		if (way[i].state != QB_HOP_NONE && qb_addr_ip_eq(&way[i].peer, peer))
			return &way[i];
	}
	return NULL;
}

/* A place for a new entry: an empty one, else one that was learned. NULL: all were set by the
 * owner. */
static struct qb_hop *make_room(struct qb_hops *h, const struct qb_addr *peer)
{
	struct qb_hop *way = bucket_of(h, peer);

	for (uint32_t i = 0; i < QB_HOP_WAYS; i++) {
		if (way[i].state == QB_HOP_NONE)
			return &way[i];
	}
	for (uint32_t i = 0; i < QB_HOP_WAYS; i++) {
		struct qb_hop *hop = &way[h->next_way++ % QB_HOP_WAYS];

		if (!hop->is_set)
			return hop;
	}
	return NULL;
}

static void forget_learned(struct qb_hops *h, uint8_t family)
{
	struct qb_hop *all = &h->table[0][0];

	for (uint32_t i = 0; i < QB_HOP_BUCKETS * QB_HOP_WAYS; i++) {
		if (!all[i].is_set && all[i].peer.family == family)
			all[i].state = QB_HOP_NONE;
	}
}

void qb_hops_set(struct qb_hops *h, uint8_t family, const struct qb_addr *peer,
		 const uint8_t src_mac[6], const uint8_t *dst_mac)
{
	struct qb_hop *hop = peer ? find_peer(h, peer) : &h->fallback[family == 6];

	if (dst_mac == NULL)
		forget_learned(h, family);
	if (hop == NULL)
		hop = make_room(h, peer);
	if (hop == NULL)
		return;
	*hop = (struct qb_hop){.is_set = true, .state = QB_HOP_UNRESOLVED};
	if (peer)
		hop->peer = *peer;
	if (dst_mac == NULL)
		return;
	hop->state = QB_HOP_READY;
	memcpy(hop->mac.src_mac, src_mac, 6);
	memcpy(hop->mac.dst_mac, dst_mac, 6);
}

void qb_hops_learn(struct qb_hops *h, const struct qb_addr *peer, const uint8_t own_mac[6],
		   const uint8_t peer_mac[6], bool is_tagged)
{
	struct qb_hop *hop = find_peer(h, peer);

	if (hop == NULL)
		hop = make_room(h, peer);
	if (hop == NULL || hop->is_set)
		return;
	hop->peer = *peer;
	hop->peer.port = 0;
	hop->state = is_tagged ? QB_HOP_UNRESOLVED : QB_HOP_READY;
	memcpy(hop->mac.src_mac, own_mac, 6);
	memcpy(hop->mac.dst_mac, peer_mac, 6);
}

const struct qb_eth_hop *qb_hops_find(const struct qb_hops *h, const struct qb_addr *peer)
{
	const struct qb_hop *own = find_peer(h, peer);
	const struct qb_hop *fallback = &h->fallback[peer->family == 6];
	const struct qb_hop *use = own;

	/* What the routing says goes before what was seen, but a VLAN's peer never gets a plain
	 * frame. */
	if (own == NULL ||
	    (!own->is_set && own->state == QB_HOP_READY && fallback->state == QB_HOP_READY))
		use = fallback;
	return use && use->state == QB_HOP_READY ? &use->mac : NULL;
}
