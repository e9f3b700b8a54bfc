/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Router duties on inner packets, for tx.c and rx.c: header checks, hop limit (RFC 9484 §7: lowered
 * once, on encapsulation), MSS clamping, ICMP errors. On a worker's thread.
 */
#include "inner.h"
#include "base/csum.h"
#include "base/hash.h"

#include <errno.h>

enum {
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ICMP6 = 58,
	EXT_HOPS = 0, /* of IPv6 */
	EXT_ROUTING = 43,
	EXT_FRAGMENT = 44,
	EXT_AUTH = 51,
	EXT_DEST = 60,
	EXT_MIN = 8, /* bytes */
	IP4_HDR = 20,
	IP6_HDR = 40,
	TCP_HDR = 20,
	TCP_SYN = 0x02,
	TCP_OPT_END = 0,
	TCP_OPT_NOP = 1,
	TCP_OPT_MSS = 2,
	ICMP_HDR = 8,
	ICMP4_QUOTE_MAX = 576 - IP4_HDR - ICMP_HDR,
	ICMP6_QUOTE_MAX = 1280 - IP6_HDR - ICMP_HDR,
};

/* csum_replace updates a checksum for one changed 16-bit word (RFC 1624). */
static void csum_replace(uint8_t *csum, uint16_t before, uint16_t after)
{
	qb_csum_store(csum, qb_csum_word((uint16_t)~qb_load_be16(csum)) + qb_csum_word((uint16_t)~before) +
				    qb_csum_word(after));
}

int qb_inner_check(struct qb_buf *b)
{
	uint32_t total;

	if (b->len < IP4_HDR)
		return -EBADMSG;
	switch (b->data[0] >> 4) {
	case 4:
		total = qb_load_be16(b->data + 2);
		if ((b->data[0] & 0x0f) < 5 || total < 4u * (b->data[0] & 0x0f) || total > b->len)
			return -EBADMSG;
		b->len = total;
		return 4;
	case 6:
		if (b->len < IP6_HDR)
			return -EBADMSG;
		total = IP6_HDR + qb_load_be16(b->data + 4);
		if (total > b->len)
			return -EBADMSG;
		b->len = total;
		return 6;
	default:
		return -EBADMSG;
	}
}

const uint8_t *qb_inner_source(const uint8_t *ip)
{
	return ip[0] >> 4 == 4 ? ip + 12 : ip + 8;
}

const uint8_t *qb_inner_dest(const uint8_t *ip)
{
	return ip[0] >> 4 == 4 ? ip + 16 : ip + 24;
}

uint32_t qb_inner_flow(const uint8_t *ip, uint32_t len)
{
	bool is_v4 = ip[0] >> 4 == 4;
	const uint8_t *addrs = qb_inner_source(ip);
	uint32_t addr_bytes = is_v4 ? 8 : 32, off = is_v4 ? 4u * (ip[0] & 0x0f) : IP6_HDR;
	uint8_t proto = ip[is_v4 ? 9 : 6];
	bool is_fragment = is_v4 && (qb_load_be16(ip + 6) & 0x3fff) != 0;
	uint64_t h = proto;

	for (uint32_t i = 0; i < addr_bytes; i += 4)
		h = qb_mix_u64(h ^ qb_load_be32(addrs + i));
	if ((proto == PROTO_TCP || proto == PROTO_UDP) && !is_fragment && len >= off + 4)
		h = qb_mix_u64(h ^ qb_load_be32(ip + off));
	return (uint32_t)(h >> 16);
}

bool qb_inner_hop(struct qb_buf *b)
{
	uint8_t *ip = b->data;

	if (ip[0] >> 4 == 6) {
		if (ip[7] <= 1)
			return false;
		ip[7]--;
		return true;
	}
	if (ip[8] <= 1)
		return false;
	csum_replace(ip + 10, qb_load_be16(ip + 8), (uint16_t)(qb_load_be16(ip + 8) - 0x100));
	ip[8]--;
	return true;
}

/* tcp_header finds the TCP header of an unfragmented packet without IPv6 extension headers; NULL:
 * none. */
static uint8_t *tcp_header(const struct qb_buf *b, uint32_t *len)
{
	uint8_t *ip = b->data;
	uint32_t off;

	if (ip[0] >> 4 == 4) {
		if (ip[9] != PROTO_TCP || (qb_load_be16(ip + 6) & 0x1fff) != 0)
			return NULL;
		off = 4u * (ip[0] & 0x0f);
	} else {
		if (ip[6] != PROTO_TCP)
			return NULL;
		off = IP6_HDR;
	}
	if (b->len < off + TCP_HDR)
		return NULL;
	*len = b->len - off;
	return ip + off;
}

bool qb_inner_clamp_mss(struct qb_buf *b, uint32_t mtu_bytes)
{
	uint32_t len, hdr_len, off = TCP_HDR;
	uint8_t *tcp = tcp_header(b, &len);
	uint32_t overhead = (b->data[0] >> 4 == 4 ? IP4_HDR : IP6_HDR) + TCP_HDR;

	if (!tcp || !(tcp[13] & TCP_SYN) || mtu_bytes <= overhead)
		return false;
	hdr_len = 4u * (tcp[12] >> 4);
	if (hdr_len > len)
		return false;
	while (off < hdr_len && tcp[off] != TCP_OPT_END) {
		uint16_t mss, limit = (uint16_t)(mtu_bytes - overhead);

		if (tcp[off] == TCP_OPT_NOP) {
			off++;
			continue;
		}
		if (off + 1 >= hdr_len || tcp[off + 1] < 2 || off + tcp[off + 1] > hdr_len)
			return false;
		if (tcp[off] != TCP_OPT_MSS || tcp[off + 1] != 4) {
			off += tcp[off + 1];
			continue;
		}
		mss = qb_load_be16(tcp + off + 2);
		if (mss <= limit)
			return false;
		qb_store_be16(tcp + off + 2, limit);
		/* An option at an odd offset straddles two checksum words. */
		if (off & 1)
			csum_replace(tcp + 16, (uint16_t)(mss << 8 | mss >> 8),
				     (uint16_t)(limit << 8 | limit >> 8));
		else
			csum_replace(tcp + 16, mss, limit);
		return true;
	}
	return false;
}

/* may_answer4: no errors about errors, later fragments, or packets from nowhere or to many. */
static bool may_answer4(const uint8_t *ip, uint32_t len)
{
	uint32_t hdr = 4u * (ip[0] & 0x0f);

	if (ip[12] == 0 || ip[12] >= 224 || ip[12] == 127 || ip[16] >= 224)
		return false;
	if (qb_load_be16(ip + 6) & 0x1fff)
		return false;
	if (ip[9] != PROTO_ICMP)
		return true;
	if (len <= hdr)
		return false;
	switch (ip[hdr]) { /* queries may be answered */
	case 0:
	case 8:
	case 13:
	case 14:
		return true;
	default:
		return false;
	}
}

static bool is_ext6(uint8_t next)
{
	return next == EXT_HOPS || next == EXT_ROUTING || next == EXT_FRAGMENT ||
	       next == EXT_AUTH || next == EXT_DEST;
}

/* is_error6: it is an ICMPv6 error, or may be one: what it is cannot be seen. */
static bool is_error6(const uint8_t *ip, uint32_t len)
{
	uint32_t off = IP6_HDR;
	uint8_t next = ip[6];

	while (is_ext6(next)) {
		const uint8_t *ext = ip + off;

		if (len < off + EXT_MIN)
			return true;
		/* Of later fragments only what the first one begins with is known. */
		if (next == EXT_FRAGMENT && qb_load_be16(ext + 2) & 0xfff8)
			return ext[0] == PROTO_ICMP6 || is_ext6(ext[0]);
		if (next == EXT_FRAGMENT)
			off += EXT_MIN;
		else
			off += next == EXT_AUTH ? 4u * (ext[1] + 2u) : 8u * (ext[1] + 1u);
		next = ext[0];
	}
	/* ICMPv6 errors have the high bit of the type clear. */
	return next == PROTO_ICMP6 && (len <= off || !(ip[off] & 0x80));
}

static bool may_answer6(const uint8_t *ip, uint32_t len, enum qb_inner_error error)
{
	static const uint8_t unspecified[16];

	if (ip[8] == 0xff || !memcmp(ip + 8, unspecified, 16))
		return false;
	if (ip[24] == 0xff && error != QB_INNER_TOO_BIG)
		return false;
	return !is_error6(ip, len);
}

static void build4(const struct qb_buf *bad, enum qb_inner_error error, uint32_t mtu_bytes,
		   const uint8_t *src, struct qb_buf *out)
{
	static const uint8_t type_code[][2] = {
		[QB_INNER_TOO_BIG] = {3, 4},
		[QB_INNER_TTL] = {11, 0},
		[QB_INNER_NO_ROUTE] = {3, 0},
		[QB_INNER_BAD_SOURCE] = {3, 13},
	};
	uint32_t quote = QB_MIN(bad->len, (uint32_t)ICMP4_QUOTE_MAX);
	uint8_t *ip = out->data, *icmp = ip + IP4_HDR;

	out->len = IP4_HDR + ICMP_HDR + quote;
	memset(ip, 0, IP4_HDR + ICMP_HDR);
	ip[0] = 0x45;
	ip[1] = 0xc0; /* internetwork control, RFC 1812 §4.3.2.5 */
	qb_store_be16(ip + 2, (uint16_t)out->len);
	ip[8] = 64;
	ip[9] = PROTO_ICMP;
	memcpy(ip + 12, src, 4);
	memcpy(ip + 16, bad->data + 12, 4);
	qb_csum_store(ip + 10, qb_csum_add(0, ip, IP4_HDR));
	icmp[0] = type_code[error][0];
	icmp[1] = type_code[error][1];
	if (error == QB_INNER_TOO_BIG)
		qb_store_be16(icmp + 6, (uint16_t)mtu_bytes);
	memcpy(icmp + ICMP_HDR, bad->data, quote);
	qb_csum_store(icmp + 2, qb_csum_add(0, icmp, ICMP_HDR + quote));
}

static void build6(const struct qb_buf *bad, enum qb_inner_error error, uint32_t mtu_bytes,
		   const uint8_t *src, struct qb_buf *out)
{
	static const uint8_t type_code[][2] = {
		[QB_INNER_TOO_BIG] = {2, 0},
		[QB_INNER_TTL] = {3, 0},
		[QB_INNER_NO_ROUTE] = {1, 0},
		[QB_INNER_BAD_SOURCE] = {1, 5},
	};
	uint32_t quote = QB_MIN(bad->len, (uint32_t)ICMP6_QUOTE_MAX);
	uint8_t *ip = out->data, *icmp = ip + IP6_HDR;
	uint64_t sum;

	out->len = IP6_HDR + ICMP_HDR + quote;
	memset(ip, 0, IP6_HDR + ICMP_HDR);
	ip[0] = 0x60;
	qb_store_be16(ip + 4, (uint16_t)(ICMP_HDR + quote));
	ip[6] = PROTO_ICMP6;
	ip[7] = 64;
	memcpy(ip + 8, src, 16);
	memcpy(ip + 24, bad->data + 8, 16);
	icmp[0] = type_code[error][0];
	icmp[1] = type_code[error][1];
	if (error == QB_INNER_TOO_BIG)
		qb_store_be32(icmp + 4, mtu_bytes);
	memcpy(icmp + ICMP_HDR, bad->data, quote);
	sum = qb_csum_pseudo(ip + 8, 32, PROTO_ICMP6, ICMP_HDR + quote);
	qb_csum_store(icmp + 2, qb_csum_add(sum, icmp, ICMP_HDR + quote));
}

bool qb_inner_icmp_error(const struct qb_buf *bad, enum qb_inner_error error, uint32_t mtu_bytes,
			 const uint8_t *src, struct qb_buf *out)
{
	if (bad->data[0] >> 4 == 4) {
		if (!may_answer4(bad->data, bad->len))
			return false;
		/* Without DF a router would fragment; the tunnel does not, and says so all the
		 * same. */
		build4(bad, error, mtu_bytes, src, out);
		return true;
	}
	if (!may_answer6(bad->data, bad->len, error))
		return false;
	build6(bad, error, mtu_bytes, src, out);
	return true;
}
