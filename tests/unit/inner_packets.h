/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Builds and checks IP packets for the tests of the TUN side: written byte by byte with a checksum
 * of its own, the plainest there is, so that a fault in the daemon's cannot hide.
 */
#pragma once

#include "base/base.h"

struct pkt_spec {
	bool is_v6, is_udp;
	bool has_timestamps; /* TCP: 12 bytes of options */
	uint8_t flow;	     /* last byte of the source address, and part of the ports */
	uint8_t tos, ttl;    /* ttl 0: 64 */
	uint8_t flags;	     /* TCP */
	uint16_t id, frag;   /* IPv4 */
	uint32_t seq, ack;
	uint16_t window; /* 0: 1000 */
	uint32_t payload_len;
	uint32_t payload_seed; /* content: byte i is seed + i, mixed */
	bool has_no_csum;      /* UDP: zero */
	uint32_t ip_options;   /* bytes of NOP, a multiple of 4 */
};

static inline uint16_t naive_csum(uint32_t sum, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline uint32_t naive_pseudo(const uint8_t *ip, uint8_t proto, uint32_t l4_len)
{
	bool is_v6 = ip[0] >> 4 == 6;
	const uint8_t *addrs = ip + (is_v6 ? 8 : 12);
	uint32_t sum = proto + l4_len;

	for (uint32_t i = 0; i < (is_v6 ? 32u : 8u); i += 2)
		sum += qb_load_be16(addrs + i);
	return sum;
}

static inline uint32_t pkt_l4_off(const uint8_t *ip)
{
	return ip[0] >> 4 == 6 ? 40 : (uint32_t)(ip[0] & 0xf) * 4;
}

static inline uint8_t pkt_proto(const uint8_t *ip)
{
	return ip[0] >> 4 == 6 ? ip[6] : ip[9];
}

static inline void pkt_set_csums(uint8_t *ip, uint32_t len)
{
	uint32_t l4_off = pkt_l4_off(ip);
	uint8_t proto = pkt_proto(ip);
	uint8_t *field = ip + l4_off + (proto == 17 ? 6 : 16);
	uint16_t csum;

	if (ip[0] >> 4 == 4) {
		qb_store_be16(ip + 10, 0);
		qb_store_be16(ip + 10, naive_csum(0, ip, l4_off));
	}
	qb_store_be16(field, 0);
	csum = naive_csum(naive_pseudo(ip, proto, len - l4_off), ip + l4_off, len - l4_off);
	qb_store_be16(field, csum == 0 && proto == 17 ? 0xffff : csum);
}

/* pkt_is_intact: lengths and checksums of one packet are right. */
static inline bool pkt_is_intact(const uint8_t *ip, uint32_t len)
{
	uint32_t l4_off = pkt_l4_off(ip);

	if (ip[0] >> 4 == 4 ? qb_load_be16(ip + 2) != len || naive_csum(0, ip, l4_off) != 0
			    : qb_load_be16(ip + 4) + 40u != len)
		return false;
	if (pkt_proto(ip) == 17 && qb_load_be16(ip + l4_off + 4) != len - l4_off)
		return false;
	return naive_csum(naive_pseudo(ip, pkt_proto(ip), len - l4_off), ip + l4_off,
			  len - l4_off) == 0;
}

/* pkt_build writes the packet and returns its length. */
static inline uint32_t pkt_build(uint8_t *p, const struct pkt_spec *s)
{
	uint32_t ip_len = s->is_v6 ? 40 : 20 + s->ip_options;
	uint32_t l4_len = s->is_udp ? 8 : s->has_timestamps ? 32 : 20;
	uint32_t len = ip_len + l4_len + s->payload_len;
	uint8_t *l4 = p + ip_len;

	memset(p, 0, ip_len + l4_len);
	if (s->is_v6) {
		qb_store_be32(p, 0x60000000u | (uint32_t)s->tos << 20);
		qb_store_be16(p + 4, (uint16_t)(len - 40));
		p[6] = s->is_udp ? 17 : 6;
		p[7] = s->ttl ? s->ttl : 64;
		p[8] = p[24] = 0xfd;
		p[23] = s->flow;
		p[39] = 1;
	} else {
		p[0] = (uint8_t)(0x40 | ip_len / 4);
		p[1] = s->tos;
		qb_store_be16(p + 2, (uint16_t)len);
		qb_store_be16(p + 4, s->id);
		qb_store_be16(p + 6, s->frag);
		p[8] = s->ttl ? s->ttl : 64;
		p[9] = s->is_udp ? 17 : 6;
		qb_store_be32(p + 12, 0x0a000000u | s->flow);
		qb_store_be32(p + 16, 0x0a000101);
		memset(p + 20, 1, s->ip_options);
	}
	qb_store_be16(l4, (uint16_t)(1024 + s->flow));
	qb_store_be16(l4 + 2, 443);
	if (s->is_udp) {
		qb_store_be16(l4 + 4, (uint16_t)(8 + s->payload_len));
	} else {
		qb_store_be32(l4 + 4, s->seq);
		qb_store_be32(l4 + 8, s->ack);
		l4[12] = (uint8_t)(l4_len / 4 << 4);
		l4[13] = s->flags;
		qb_store_be16(l4 + 14, s->window ? s->window : 1000);
		if (s->has_timestamps) {
			qb_store_be32(l4 + 20, 0x0101080a);
			qb_store_be32(l4 + 24, 0x12345678);
			qb_store_be32(l4 + 28, 0x9abcdef0);
		}
	}
	for (uint32_t i = 0; i < s->payload_len; i++)
		l4[l4_len + i] = (uint8_t)((s->payload_seed + i) * 167 + (i >> 8));
	pkt_set_csums(p, len);
	if (s->is_udp && s->has_no_csum)
		qb_store_be16(l4 + 6, 0);
	return len;
}
