/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parses and builds Ethernet, IP and UDP headers for the AF_XDP backend. The XDP program has looked
 * at the same bytes, but nothing here relies on that.
 */
#include "net/eth.h"

#include <errno.h>

#include "base/csum.h"

enum {
	ETHERTYPE_IP4 = 0x0800,
	ETHERTYPE_IP6 = 0x86dd,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_QINQ = 0x88a8,
	VLAN_TAGS_MAX = 2,
	VLAN_ID_MASK = 0x0fff,
	IP4_HDR_BYTES = 20,
	IP6_HDR_BYTES = 40,
	EXT_HDRS_MAX = 4,
	PROTO_HOPOPTS = 0,
	PROTO_UDP = 17,
	PROTO_DSTOPTS = 60,
	IP4_FRAGMENT_MASK = 0x3fff,
	IP4_DONT_FRAGMENT = 0x4000,
};

/* ---- parse ---- */

struct reader {
	const uint8_t *data;
	uint32_t off, len;
};

static const uint8_t *take(struct reader *r, uint32_t size)
{
	const uint8_t *p = r->data + r->off;

	if (size > r->len - r->off)
		return NULL;
	r->off += size;
	return p;
}

static int parse_eth(struct reader *r, struct qb_eth_frame *f, uint16_t *type)
{
	const uint8_t *p = take(r, QB_ETH_HDR_BYTES);

	if (p == NULL)
		return -EBADMSG;
	memcpy(f->src_mac, p + 6, 6);
	*type = qb_load_be16(p + 12);
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		if (*type != ETHERTYPE_VLAN && *type != ETHERTYPE_QINQ)
			break;
		p = take(r, 4);
		if (p == NULL)
			return -EBADMSG;
		/* ID 0 is a priority tag: the frame is of the untagged network. */
		if (qb_load_be16(p) & VLAN_ID_MASK)
			f->is_tagged = true;
		*type = qb_load_be16(p + 2);
	}
	return 0;
}

/* Cuts the reader to the IP packet, which Ethernet may have padded. */
static int cut(struct reader *r, uint32_t ip_off, uint32_t ip_bytes)
{
	if (ip_bytes < r->off - ip_off || ip_bytes > r->len - ip_off)
		return -EBADMSG;
	r->len = ip_off + ip_bytes;
	return 0;
}

static int parse_ip4(struct reader *r, struct qb_eth_frame *f)
{
	uint32_t ip_off = r->off;
	const uint8_t *p = take(r, IP4_HDR_BYTES);

	if (p == NULL || p[0] != 0x45 || (qb_load_be16(p + 6) & IP4_FRAGMENT_MASK) != 0 ||
	    p[9] != PROTO_UDP || qb_csum_fold(qb_csum_add(0, p, IP4_HDR_BYTES)) != 0xffff)
		return -EBADMSG;
	f->ecn = p[1] & 3;
	f->src.family = f->dst.family = 4;
	memcpy(f->src.ip, p + 12, 4);
	memcpy(f->dst.ip, p + 16, 4);
	return cut(r, ip_off, qb_load_be16(p + 2));
}

static int skip_ext_hdrs(struct reader *r, uint8_t next)
{
	for (int i = 0; i < EXT_HDRS_MAX && (next == PROTO_HOPOPTS || next == PROTO_DSTOPTS); i++) {
		const uint8_t *p = take(r, 8);

		if (p == NULL || take(r, p[1] * 8u) == NULL)
			return -EBADMSG;
		next = p[0];
	}
	return next == PROTO_UDP ? 0 : -EBADMSG;
}

static int parse_ip6(struct reader *r, struct qb_eth_frame *f)
{
	uint32_t ip_off = r->off;
	const uint8_t *p = take(r, IP6_HDR_BYTES);

	if (p == NULL || p[0] >> 4 != 6)
		return -EBADMSG;
	f->ecn = (p[1] >> 4) & 3;
	f->src.family = f->dst.family = 6;
	memcpy(f->src.ip, p + 8, 16);
	memcpy(f->dst.ip, p + 24, 16);
	if (cut(r, ip_off, IP6_HDR_BYTES + (uint32_t)qb_load_be16(p + 4)))
		return -EBADMSG;
	return skip_ext_hdrs(r, p[6]);
}

int qb_eth_parse(const uint8_t *data, uint32_t len, struct qb_eth_frame *out)
{
	struct reader r = {.data = data, .len = len};
	const uint8_t *udp;
	uint32_t udp_bytes;
	uint16_t type;
	int rc;

	memset(out, 0, sizeof(*out));
	if (parse_eth(&r, out, &type))
		return -EBADMSG;
	if (type == ETHERTYPE_IP4)
		rc = parse_ip4(&r, out);
	else if (type == ETHERTYPE_IP6)
		rc = parse_ip6(&r, out);
	else
		rc = -EBADMSG;
	if (rc)
		return rc;
	udp = take(&r, QB_ETH_UDP_BYTES);
	if (udp == NULL)
		return -EBADMSG;
	udp_bytes = qb_load_be16(udp + 4);
	if (udp_bytes < QB_ETH_UDP_BYTES || udp_bytes - QB_ETH_UDP_BYTES > r.len - r.off)
		return -EBADMSG;
	out->src.port = qb_load_be16(udp);
	out->dst.port = qb_load_be16(udp + 2);
	out->payload_off = r.off;
	out->payload_len = udp_bytes - QB_ETH_UDP_BYTES;
	return 0;
}

/* ---- build ---- */

uint32_t qb_eth_hdr_bytes(uint8_t family)
{
	return QB_ETH_HDR_BYTES + (family == 6 ? IP6_HDR_BYTES : IP4_HDR_BYTES) + QB_ETH_UDP_BYTES;
}

static void build_ip4(uint8_t *p, uint32_t udp_bytes, const struct qb_tuple *t)
{
	p[0] = 0x45;
	p[1] = t->ecn & 3;
	qb_store_be16(p + 2, (uint16_t)(IP4_HDR_BYTES + udp_bytes));
	/* An atomic datagram needs no identification (RFC 6864 §4.1). */
	qb_store_be16(p + 4, 0);
	qb_store_be16(p + 6, IP4_DONT_FRAGMENT);
	p[8] = QB_ETH_TTL;
	p[9] = PROTO_UDP;
	qb_store_be16(p + 10, 0);
	memcpy(p + 12, t->local.ip, 4);
	memcpy(p + 16, t->peer.ip, 4);
	qb_csum_store(p + 10, qb_csum_add(0, p, IP4_HDR_BYTES));
}

static void build_ip6(uint8_t *p, uint32_t udp_bytes, const struct qb_tuple *t)
{
	qb_store_be32(p, 6u << 28 | (uint32_t)(t->ecn & 3) << 20);
	qb_store_be16(p + 4, (uint16_t)udp_bytes);
	p[6] = PROTO_UDP;
	p[7] = QB_ETH_TTL;
	memcpy(p + 8, t->local.ip, 16);
	memcpy(p + 24, t->peer.ip, 16);
}

/*
 * addrs: both addresses in the IP header. A computed zero is sent as all ones: zero means "none",
 * which IPv6 forbids and which turns the receiver's GRO off.
 */
static void build_udp(uint8_t *p, uint32_t udp_bytes, const struct qb_tuple *t,
		      const uint8_t *addrs, bool is_csum_left)
{
	uint64_t sum;
	uint16_t part;

	qb_store_be16(p, t->local.port);
	qb_store_be16(p + 2, t->peer.port);
	qb_store_be16(p + 4, (uint16_t)udp_bytes);
	qb_store_be16(p + QB_ETH_CSUM_OFF, 0);
	sum = qb_csum_pseudo(addrs, 2 * (size_t)qb_addr_ip_len(&t->peer), PROTO_UDP, udp_bytes);
	if (is_csum_left) {
		part = qb_csum_fold(sum);
		memcpy(p + QB_ETH_CSUM_OFF, &part, sizeof(part));
		return;
	}
	qb_csum_store(p + QB_ETH_CSUM_OFF, qb_csum_add(sum, p, udp_bytes));
	if (qb_load_be16(p + QB_ETH_CSUM_OFF) == 0)
		qb_store_be16(p + QB_ETH_CSUM_OFF, 0xffff);
}

void qb_eth_build(uint8_t *payload, uint32_t payload_len, const struct qb_tuple *t,
		  const struct qb_eth_hop *hop, bool is_csum_left)
{
	uint32_t udp_bytes = QB_ETH_UDP_BYTES + payload_len;
	bool is_ip6 = t->peer.family == 6;
	uint8_t *p = payload - qb_eth_hdr_bytes(t->peer.family);

	memcpy(p, hop->dst_mac, 6);
	memcpy(p + 6, hop->src_mac, 6);
	qb_store_be16(p + 12, is_ip6 ? ETHERTYPE_IP6 : ETHERTYPE_IP4);
	p += QB_ETH_HDR_BYTES;
	if (is_ip6)
		build_ip6(p, udp_bytes, t);
	else
		build_ip4(p, udp_bytes, t);
	build_udp(payload - QB_ETH_UDP_BYTES, udp_bytes, t, p + (is_ip6 ? 8 : 12), is_csum_left);
}
