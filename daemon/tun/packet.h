/* SPDX-License-Identifier: BSD-2-Clause */
/* Offsets and bits of IP, TCP and UDP headers that cutting and joining share. Internal to tun/. */
#pragma once

#include "base/base.h"

enum {
	IP4_HDR_LEN = 20,
	IP4_LEN_OFF = 2,
	IP4_ID_OFF = 4,
	IP4_FRAG_OFF = 6,
	IP4_PROTO_OFF = 9,
	IP4_CSUM_OFF = 10,
	IP4_ADDRS_OFF = 12,
	IP6_HDR_LEN = 40,
	IP6_LEN_OFF = 4,
	IP6_NEXT_OFF = 6,
	IP6_ADDRS_OFF = 8,
	TCP_HDR_LEN = 20,
	TCP_SEQ_OFF = 4,
	TCP_ACK_OFF = 8,
	TCP_DOFF_OFF = 12,
	TCP_FLAGS_OFF = 13,
	TCP_WINDOW_OFF = 14,
	TCP_CSUM_OFF = 16,
	TCP_URG_OFF = 18,
	UDP_HDR_LEN = 8,
	UDP_LEN_OFF = 4,
	UDP_CSUM_OFF = 6,

	PROTO_TCP = 6,
	PROTO_UDP = 17,
	IP4_DF = 0x4000,

	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
	TCP_ECE = 0x40,
	TCP_CWR = 0x80,

	IP_LEN_MAX = 65535,
};

static inline uint32_t tcp_hdr_len(const uint8_t *tcp)
{
	return (uint32_t)(tcp[TCP_DOFF_OFF] >> 4) * 4;
}
