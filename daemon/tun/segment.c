/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Software segmentation, as Linux does it (tcp_gso_segment, __udp_gso_segment): each piece has a
 * copy of the headers with its own lengths, IPv4 identification, sequence number, flags and
 * complete checksums. Called by tun.c on a worker's thread.
 */
#include "tun/segment.h"

#include <errno.h>

#include "base/csum.h"
#include "tun/packet.h"

enum { TAG_OFF = 12, TAG_LEN = 4, TPID = 0x8100 };

/* said_len is how long a packet says it is, with the part that a tag moves left out; 0: not IP. */
static uint32_t said_len(const uint8_t *p)
{
	switch (p[0] >> 4) {
	case 4:
		return qb_load_be16(p + IP4_LEN_OFF);
	case 6:
		return IP6_HDR_LEN + qb_load_be16(p + IP6_LEN_OFF);
	default:
		return 0;
	}
}

uint16_t qb_segment_untag(struct virtio_net_hdr_v1 *vh, uint8_t **pkt, uint32_t *len)
{
	uint8_t *p = *pkt;
	uint16_t tag;

	/* The tag's type could be an address: the length tells. */
	if (*len < IP4_HDR_LEN + TAG_LEN || qb_load_be16(p + TAG_OFF) != TPID ||
	    said_len(p) != *len - TAG_LEN)
		return 0;
	tag = qb_load_be16(p + TAG_OFF + 2);
	memmove(p + TAG_LEN, p, TAG_OFF);
	*pkt = p + TAG_LEN;
	*len -= TAG_LEN;
	if (vh->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && vh->csum_start >= TAG_LEN)
		vh->csum_start = (uint16_t)(vh->csum_start - TAG_LEN);
	return tag;
}

/* check_ip finds out where the transport header is without extension headers, and how long the
 * packet says it is. */
static int check_ip(struct qb_segment *s, uint32_t *total_len, uint8_t *proto)
{
	if (s->len < IP4_HDR_LEN)
		return -EBADMSG;
	switch (s->pkt[0] >> 4) {
	case 4:
		s->l4_off = (uint32_t)(s->pkt[0] & 0xf) * 4;
		*total_len = qb_load_be16(s->pkt + IP4_LEN_OFF);
		*proto = s->pkt[IP4_PROTO_OFF];
		return s->l4_off < IP4_HDR_LEN || s->l4_off > s->len ? -EBADMSG : 0;
	case 6:
		if (s->len < IP6_HDR_LEN)
			return -EBADMSG;
		s->is_v6 = true;
		s->l4_off = IP6_HDR_LEN;
		*total_len = IP6_HDR_LEN + qb_load_be16(s->pkt + IP6_LEN_OFF);
		*proto = s->pkt[IP6_NEXT_OFF];
		return 0;
	default:
		return -EBADMSG;
	}
}

static int init_single(struct qb_segment *s, const struct virtio_net_hdr_v1 *vh, uint32_t total_len)
{
	/* As ip_rcv does: what is longer than its header says is cut, what is shorter is broken. */
	if (total_len > s->len || total_len < s->l4_off)
		return -EBADMSG;
	s->len = total_len;
	s->piece_bytes = s->len;
	s->cnt = 1;
	if (!(vh->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return 0;
	if (vh->csum_start < s->l4_off || (uint32_t)vh->csum_start + vh->csum_offset + 2 > s->len)
		return -EBADMSG;
	s->l4_off = vh->csum_start;
	s->csum_off = s->l4_off + vh->csum_offset;
	return 0;
}

/*
 * init_pseudo: a partial checksum holds the sum of the pseudo header with the super-packet's
 * length, right even where a routing header hides the last destination; else it is made from the
 * addresses.
 */
static int init_pseudo(struct qb_segment *s, const struct virtio_net_hdr_v1 *vh, uint8_t proto)
{
	uint8_t want = s->kind == QB_SEGMENT_TCP ? PROTO_TCP : PROTO_UDP;
	uint16_t partial;

	if (vh->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		memcpy(&partial, s->pkt + s->csum_off, sizeof(partial));
		s->pseudo_sum = partial + (0xffff - qb_csum_word((uint16_t)(s->len - s->l4_off)));
		return 0;
	}
	if (proto != want)
		return -EBADMSG;
	if (s->is_v6)
		s->pseudo_sum = qb_csum_pseudo(s->pkt + IP6_ADDRS_OFF, 32, want, 0);
	else
		s->pseudo_sum = qb_csum_pseudo(s->pkt + IP4_ADDRS_OFF, 8, want, 0);
	return 0;
}

/* without is what takes a 16-bit field out of a sum again. */
static uint64_t without(const uint8_t *field)
{
	uint16_t v;

	memcpy(&v, field, sizeof(v));
	return 0xffff - v;
}

/*
 * init_sums sums the headers once for all pieces. (Summing each piece's own would also read what
 * was written an instant ago in smaller bits, which stalls the processor.)
 */
static void init_sums(struct qb_segment *s)
{
	const uint8_t *ip = s->pkt, *l4 = s->pkt + s->l4_off;

	if (!s->is_v6)
		s->ip_sum = qb_csum_fold(qb_csum_add(0, ip, (size_t)(ip[0] & 0xf) * 4)) +
			    without(ip + IP4_LEN_OFF) + without(ip + IP4_ID_OFF) +
			    without(ip + IP4_CSUM_OFF);
	/* Transport headers have an even length, so the payload's sum goes on where theirs ends. */
	s->l4_sum = qb_csum_fold(qb_csum_add(s->pseudo_sum, l4, s->hdr_len - s->l4_off)) +
		    without(s->pkt + s->csum_off);
	if (s->kind == QB_SEGMENT_TCP)
		s->l4_sum += without(l4 + TCP_SEQ_OFF) + without(l4 + TCP_SEQ_OFF + 2) +
			     without(l4 + TCP_DOFF_OFF);
	else
		s->l4_sum += without(l4 + UDP_LEN_OFF);
}

static int init_super(struct qb_segment *s, const struct virtio_net_hdr_v1 *vh, uint8_t proto)
{
	uint32_t l4_min = s->kind == QB_SEGMENT_TCP ? TCP_HDR_LEN : UDP_HDR_LEN;
	uint32_t csum_offset = s->kind == QB_SEGMENT_TCP ? TCP_CSUM_OFF : UDP_CSUM_OFF;
	uint32_t payload_bytes;
	int ret;

	if (vh->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (vh->csum_start < s->l4_off || vh->csum_offset != csum_offset)
			return -EBADMSG;
		s->l4_off = vh->csum_start; /* behind IPv6 extension headers */
	}
	if (vh->gso_size == 0 || s->len > IP_LEN_MAX || s->l4_off + l4_min > s->len)
		return -EBADMSG;
	s->csum_off = s->l4_off + csum_offset;
	s->hdr_len = s->l4_off +
		     (s->kind == QB_SEGMENT_TCP ? tcp_hdr_len(s->pkt + s->l4_off) : UDP_HDR_LEN);
	if (s->hdr_len < s->l4_off + l4_min || s->hdr_len > s->len)
		return -EBADMSG;
	payload_bytes = s->len - s->hdr_len;
	s->piece_bytes = vh->gso_size;
	s->cnt = payload_bytes ? (payload_bytes + s->piece_bytes - 1) / s->piece_bytes : 1;
	ret = init_pseudo(s, vh, proto);
	if (ret == 0)
		init_sums(s);
	return ret;
}

int qb_segment_init(struct qb_segment *s, const struct virtio_net_hdr_v1 *vh, const uint8_t *pkt,
		    uint32_t len)
{
	uint32_t total_len;
	uint8_t proto;
	int ret;

	*s = (struct qb_segment){.pkt = pkt, .len = len};
	ret = check_ip(s, &total_len, &proto);
	if (ret)
		return ret;
	switch (vh->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return init_single(s, vh, total_len);
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		s->kind = QB_SEGMENT_TCP;
		return init_super(s, vh, proto);
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		s->kind = QB_SEGMENT_UDP;
		return init_super(s, vh, proto);
	default:
		return -EBADMSG;
	}
}

/* store_csum fills in the transport checksum; UDP writes a sum of zero as 0xffff (RFC 768). */
static void store_csum(uint8_t *field, uint64_t sum, bool is_udp)
{
	qb_csum_store(field, sum);
	if (is_udp && field[0] == 0 && field[1] == 0)
		memset(field, 0xff, 2);
}

static void finish_single(const struct qb_segment *s, uint8_t *out)
{
	/* The field holds the pseudo header's sum already, so it is summed along. */
	if (s->csum_off)
		store_csum(out + s->csum_off, qb_csum_add(0, out + s->l4_off, s->len - s->l4_off),
			   s->csum_off - s->l4_off == UDP_CSUM_OFF);
}

static void put_ip(const struct qb_segment *s, uint8_t *ip, uint32_t len)
{
	uint16_t id;

	if (s->is_v6) {
		qb_store_be16(ip + IP6_LEN_OFF, (uint16_t)(len - IP6_HDR_LEN));
		return;
	}
	id = (uint16_t)(qb_load_be16(s->pkt + IP4_ID_OFF) + s->idx);
	qb_store_be16(ip + IP4_LEN_OFF, (uint16_t)len);
	qb_store_be16(ip + IP4_ID_OFF, id);
	qb_csum_store(ip + IP4_CSUM_OFF,
		      s->ip_sum + qb_csum_word((uint16_t)len) + qb_csum_word(id));
}

/* put_tcp returns the sum of what it puts. */
static uint64_t put_tcp(const struct qb_segment *s, uint8_t *tcp)
{
	const uint8_t *from = s->pkt + s->l4_off;
	uint32_t seq = qb_load_be32(from + TCP_SEQ_OFF) + s->idx * s->piece_bytes;
	uint8_t flags = from[TCP_FLAGS_OFF];

	if (s->idx > 0)
		flags &= (uint8_t)~TCP_CWR;
	if (s->idx + 1 < s->cnt)
		flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	qb_store_be32(tcp + TCP_SEQ_OFF, seq);
	tcp[TCP_FLAGS_OFF] = flags;
	return qb_csum_word((uint16_t)(seq >> 16)) + qb_csum_word((uint16_t)seq) +
	       qb_csum_word((uint16_t)(from[TCP_DOFF_OFF] << 8 | flags));
}

static uint64_t put_udp(uint8_t *udp, uint32_t l4_len)
{
	qb_store_be16(udp + UDP_LEN_OFF, (uint16_t)l4_len);
	return qb_csum_word((uint16_t)l4_len);
}

/* next_whole copies a packet that is not cut. */
static void next_whole(const struct qb_segment *s, uint8_t *out)
{
	memcpy(out, s->pkt, s->len);
	finish_single(s, out);
}

/* next_piece cuts one piece off a super-packet. */
static void next_piece(const struct qb_segment *s, uint8_t *out, uint32_t from,
		       uint32_t payload_bytes)
{
	uint32_t len = s->hdr_len + payload_bytes, l4_len = len - s->l4_off;
	uint8_t *l4 = out + s->l4_off;
	uint64_t sum = s->l4_sum + qb_csum_word((uint16_t)l4_len);

	memcpy(out, s->pkt, s->hdr_len);
	put_ip(s, out, len);
	sum += s->kind == QB_SEGMENT_TCP ? put_tcp(s, l4) : put_udp(l4, l4_len);
	sum = qb_csum_copy(sum, out + s->hdr_len, s->pkt + from, payload_bytes);
	store_csum(out + s->csum_off, sum, s->kind == QB_SEGMENT_UDP);
}

uint32_t qb_segment_next(struct qb_segment *s, uint8_t *out)
{
	uint32_t from = s->hdr_len + s->idx * s->piece_bytes;
	uint32_t payload_bytes = QB_MIN(s->piece_bytes, s->len - from);

	if (s->kind == QB_SEGMENT_NONE)
		next_whole(s, out);
	else
		next_piece(s, out, from, payload_bytes);
	s->idx++;
	return s->hdr_len + payload_bytes;
}
