/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cutting what a TUN device with a virtio header gives (a TCP or UDP super-packet, or one packet
 * with a partial checksum) into single, complete IP packets. Pure functions over bytes.
 */
#pragma once

#include <linux/virtio_net.h>

#include "base/base.h"

/* <linux/virtio_net.h> of older systems lacks it; in Linux since 6.2. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum qb_segment_kind { QB_SEGMENT_NONE, QB_SEGMENT_TCP, QB_SEGMENT_UDP };

/* A super-packet being cut. The bytes at pkt have to stay until the last piece is out. */
struct qb_segment {
	const uint8_t *pkt;
	uint32_t len;
	uint32_t l4_off;
	uint32_t hdr_len;     /* the headers that every piece begins with; 0 for a packet that stays
				 whole */
	uint32_t piece_bytes; /* payload of every piece but the last */
	uint32_t cnt, idx;    /* pieces in all; the next one */
	uint32_t csum_off;    /* of the checksum to fill in, 0: none */
	uint64_t pseudo_sum;  /* of the pseudo header without its length */
	uint64_t ip_sum, l4_sum; /* of the headers without what differs from piece to piece */
	enum qb_segment_kind kind;
	bool is_v6;
};

/*
 * qb_segment_init looks at what was read. Returns 0 or -EBADMSG: not IP, cut short, or a header
 * that contradicts the packet.
 */
int qb_segment_init(struct qb_segment *s, const struct virtio_net_hdr_v1 *vh, const uint8_t *pkt,
		    uint32_t len) QB_MUST_CHECK;

/*
 * qb_segment_untag takes a VLAN tag out that a filter on the device's egress has put into an IP
 * packet, behind what would be the Ethernet addresses: the virtio header, where the packet begins
 * and its length are as without. Returns the tag's 16 bits; 0: there was none.
 */
uint16_t qb_segment_untag(struct virtio_net_hdr_v1 *vh, uint8_t **pkt, uint32_t *len);

/* qb_segment_max_len: no piece is longer. */
static inline uint32_t qb_segment_max_len(const struct qb_segment *s)
{
	return QB_MIN(s->len, s->hdr_len + s->piece_bytes);
}

static inline uint32_t qb_segment_left(const struct qb_segment *s)
{
	return s->cnt - s->idx;
}

/* qb_segment_next writes the next piece (one is left; out has qb_segment_max_len bytes) and returns
 * its length. */
uint32_t qb_segment_next(struct qb_segment *s, uint8_t *out);
