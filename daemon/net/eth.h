/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ethernet frames around UDP datagrams, for the backend that sees frames. Pure functions over
 * bytes.
 */
#pragma once

#include "base/addr.h"

enum {
	QB_ETH_HDR_BYTES = 14,
	QB_ETH_STACK_BYTES_MAX = 14 + 40 + 8, /* what qb_eth_build prepends at most */
	QB_ETH_TTL = 64,
	QB_ETH_UDP_BYTES = 8,
	QB_ETH_CSUM_OFF = 6,
};

struct qb_eth_frame {
	struct qb_addr src, dst;
	uint8_t src_mac[6];
	uint8_t ecn;
	bool is_tagged; /* came with a VLAN ID */
	uint32_t payload_off, payload_len;
};

/*
 * qb_eth_parse reads a frame with at most two VLAN tags, IPv4 without options or IPv6 with common
 * extension headers, and UDP. The UDP checksum is not looked at: between virtual devices it is only
 * half there, and QUIC authenticates what matters. Returns 0 or -EBADMSG.
 */
int qb_eth_parse(const uint8_t *data, uint32_t len, struct qb_eth_frame *out) QB_MUST_CHECK;

struct qb_eth_hop {
	uint8_t src_mac[6], dst_mac[6];
};

/*
 * qb_eth_hdr_bytes is what the headers for a family take; qb_eth_build writes them in front of
 * the payload: to the qb_eth_hdr_bytes() bytes that end at `payload`. Don't-fragment is set. The
 * UDP checksum is complete, or, where the device completes it, the sum of the pseudo header: it
 * starts QB_ETH_UDP_BYTES before the payload, and is QB_ETH_CSUM_OFF into that.
 */
uint32_t qb_eth_hdr_bytes(uint8_t family);
void qb_eth_build(uint8_t *payload, uint32_t payload_len, const struct qb_tuple *t,
		  const struct qb_eth_hop *hop, bool is_csum_left);
