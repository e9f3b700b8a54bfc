/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Generic receive offload in user space, after the rules of the kernel's (inet_gro_receive,
 * tcp_gro_receive): a packet joins its flow's newest run if cutting that run again would give the
 * very same packets. Called by tun.c on a worker's thread, once a batch; nothing is remembered from
 * one batch to the next.
 *
 * Only the newest run of a flow grows, and every packet of a flow makes or joins the newest run: so
 * runs written in the order of their first packets keep each flow in order. Packets whose flow
 * cannot be told (fragments, IP options, extension headers) are a barrier that no open run grows
 * across.
 */
#include "tun/coalesce.h"

#include "base/csum.h"
#include "base/hash.h"
#include "tun/packet.h"
#include "tun/segment.h"

enum kind {
	KIND_FLOW,    /* TCP or UDP with its ports where they are expected */
	KIND_OTHER,   /* another protocol: alone, no business of any flow */
	KIND_BARRIER, /* may belong to any flow */
};

/* What is known of one packet. */
struct view {
	const uint8_t *ip, *l4;
	uint32_t len;
	enum kind kind;
	bool is_v6, is_udp;
	bool can_lead;	 /* may be the first of a run of several */
	bool can_follow; /* may come later in one */
	bool is_last;	 /* nothing may follow it: PSH or FIN */
	uint32_t l4_off, hdr_len, payload_bytes;
	uint32_t seq;
};

static void look_at_tcp(struct view *v)
{
	uint32_t l4_len = v->len - v->l4_off;
	uint8_t flags;

	if (l4_len < TCP_HDR_LEN || tcp_hdr_len(v->l4) < TCP_HDR_LEN ||
	    tcp_hdr_len(v->l4) > l4_len) {
		v->kind = KIND_BARRIER;
		return;
	}
	flags = v->l4[TCP_FLAGS_OFF];
	v->hdr_len = v->l4_off + tcp_hdr_len(v->l4);
	v->payload_bytes = v->len - v->hdr_len;
	v->seq = qb_load_be32(v->l4 + TCP_SEQ_OFF);
	v->can_lead = v->payload_bytes > 0 && (flags & TCP_ACK) &&
		      !(flags & (TCP_SYN | TCP_RST | TCP_URG));
	/* CWR is for the first segment alone: TSO would take it from the others (RFC 3168 §6.1.2).
	 */
	v->can_follow = v->can_lead && !(flags & TCP_CWR);
	v->is_last = (flags & (TCP_PSH | TCP_FIN)) != 0;
}

static void look_at_udp(struct view *v)
{
	uint32_t l4_len = v->len - v->l4_off;

	if (l4_len < UDP_HDR_LEN) {
		v->kind = KIND_BARRIER;
		return;
	}
	v->is_udp = true;
	v->hdr_len = v->l4_off + UDP_HDR_LEN;
	v->payload_bytes = v->len - v->hdr_len;
	/* A datagram without a checksum would come out with one: leave it alone. */
	v->can_lead = v->payload_bytes > 0 && qb_load_be16(v->l4 + UDP_LEN_OFF) == l4_len &&
		      (v->l4[UDP_CSUM_OFF] | v->l4[UDP_CSUM_OFF + 1]) != 0;
	v->can_follow = v->can_lead;
}

static void look_at(struct view *v, const struct qb_buf *b)
{
	uint8_t proto;

	*v = (struct view){.ip = b->data, .len = b->len, .kind = KIND_BARRIER};
	if (v->len >= IP4_HDR_LEN && v->ip[0] == 0x45) {
		/* Fragments, the reserved bit and padding behind the packet disqualify. */
		if (qb_load_be16(v->ip + IP4_LEN_OFF) != v->len ||
		    (qb_load_be16(v->ip + IP4_FRAG_OFF) & ~IP4_DF) != 0)
			return;
		v->l4_off = IP4_HDR_LEN;
		proto = v->ip[IP4_PROTO_OFF];
	} else if (v->len >= IP6_HDR_LEN && v->ip[0] >> 4 == 6) {
		if (IP6_HDR_LEN + (uint32_t)qb_load_be16(v->ip + IP6_LEN_OFF) != v->len)
			return;
		v->is_v6 = true;
		v->l4_off = IP6_HDR_LEN;
		proto = v->ip[IP6_NEXT_OFF];
	} else {
		return;
	}
	v->l4 = v->ip + v->l4_off;
	v->kind = KIND_FLOW;
	switch (proto) {
	case PROTO_TCP:
		look_at_tcp(v);
		return;
	case PROTO_UDP:
		look_at_udp(v);
		return;
	case 0:	 /* hop-by-hop options */
	case 43: /* routing */
	case 44: /* fragment */
	case 60: /* destination options */
		v->kind = v->is_v6 ? KIND_BARRIER : KIND_OTHER;
		return;
	default:
		v->kind = KIND_OTHER;
	}
}

static uint32_t flow_hash(const struct view *v)
{
	const uint8_t *addrs = v->ip + (v->is_v6 ? IP6_ADDRS_OFF : IP4_ADDRS_OFF);
	uint64_t h = (uint64_t)qb_load_be32(v->l4) << 1 | v->is_udp;
	uint64_t word;

	for (uint32_t i = 0; i < (v->is_v6 ? 32 : 8); i += 8) {
		memcpy(&word, addrs + i, sizeof(word));
		h = qb_mix_u64(h ^ word);
	}
	return (uint32_t)h;
}

static bool is_same_flow(const struct qb_run *run, const uint8_t *first, const struct view *v)
{
	uint32_t addrs_off = v->is_v6 ? IP6_ADDRS_OFF : IP4_ADDRS_OFF;

	/* Ports follow the addresses, there being no options. */
	return run->is_v6 == v->is_v6 && run->is_udp == v->is_udp &&
	       memcmp(first + addrs_off, v->ip + addrs_off, v->l4_off + 4 - addrs_off) == 0;
}

/* find_slot returns the flow's place in the table, or the free one where it belongs. */
static uint32_t find_slot(const struct qb_joiner *j, const struct qb_batch *in,
			  const struct view *v)
{
	uint32_t i = flow_hash(v) % QB_JOINER_SLOTS;

	for (; j->slot[i] != 0; i = (i + 1) % QB_JOINER_SLOTS) {
		const struct qb_run *run = &j->run[j->slot[i] - 1];

		if (is_same_flow(run, in->buf[run->first]->data, v))
			break;
	}
	return i;
}

static bool has_same_ip4(struct qb_run *run, const uint8_t *a, const struct view *v)
{
	const uint8_t *b = v->ip;
	uint16_t id_a = qb_load_be16(a + IP4_ID_OFF), id_b = qb_load_be16(b + IP4_ID_OFF);
	bool is_fixed = run->is_id_fixed;

	/* Type of service; DF; TTL. Protocol and addresses are the flow's. */
	if (a[1] != b[1] || a[6] != b[6] || a[8] != b[8])
		return false;
	/* Where fragmentation is forbidden the identification means nothing (RFC 6864 §4.1) and may
	 * stand still. */
	if (run->cnt == 1)
		is_fixed = id_a == id_b && (b[6] & (IP4_DF >> 8)) != 0;
	if (id_b != (uint16_t)(id_a + (is_fixed ? 0 : run->cnt)))
		return false;
	run->is_id_fixed = is_fixed;
	return true;
}

static bool has_same_tcp(const struct qb_run *run, const uint8_t *a, const struct view *v)
{
	const uint8_t may_differ = TCP_FIN | TCP_PSH | TCP_CWR;
	const uint8_t *b = v->l4;

	return v->seq == run->next_seq && v->hdr_len == run->hdr_len &&
	       memcmp(a + TCP_ACK_OFF, b + TCP_ACK_OFF, 5) == 0 && /* and the data offset */
	       ((a[TCP_FLAGS_OFF] ^ b[TCP_FLAGS_OFF]) & ~may_differ) == 0 &&
	       memcmp(a + TCP_WINDOW_OFF, b + TCP_WINDOW_OFF, 2) == 0 &&
	       memcmp(a + TCP_URG_OFF, b + TCP_URG_OFF, v->hdr_len - v->l4_off - TCP_URG_OFF) == 0;
}

/* is_intact verifies the IPv4 header's and the transport checksum: after joining nobody could. */
static bool is_intact(const uint8_t *ip, uint32_t len, bool is_v6, bool is_udp)
{
	uint32_t l4_off = is_v6 ? IP6_HDR_LEN : IP4_HDR_LEN;
	uint32_t addrs_off = is_v6 ? IP6_ADDRS_OFF : IP4_ADDRS_OFF;
	uint8_t proto = is_udp ? PROTO_UDP : PROTO_TCP;
	uint64_t sum = qb_csum_pseudo(ip + addrs_off, l4_off - addrs_off, proto, len - l4_off);

	if (!is_v6 && qb_csum_fold(qb_csum_add(0, ip, IP4_HDR_LEN)) != 0xffff)
		return false;
	return qb_csum_fold(qb_csum_add(sum, ip + l4_off, len - l4_off)) == 0xffff;
}

/* try_join appends the packet to the run if it is the next piece of it. */
static bool try_join(struct qb_joiner *j, const struct qb_batch *in, struct qb_run *run,
		     const struct view *v, uint8_t idx)
{
	const struct qb_buf *first = in->buf[run->first];

	if (!run->is_open || run < &j->run[j->barrier] || !v->can_follow ||
	    v->payload_bytes > run->piece_bytes || run->len + v->payload_bytes > IP_LEN_MAX)
		return false;
	if (!run->is_udp && !has_same_tcp(run, first->data + run->l4_off, v))
		return false;
	/* Version, traffic class and flow label; hop limit. */
	if (run->is_v6 ? memcmp(first->data, v->ip, 4) != 0 || first->data[7] != v->ip[7]
		       : !has_same_ip4(run, first->data, v))
		return false;
	if (!run->is_checked) {
		run->is_checked = true;
		run->is_open = is_intact(first->data, first->len, v->is_v6, v->is_udp);
	}
	if (!run->is_open || !is_intact(v->ip, v->len, v->is_v6, v->is_udp))
		return false;
	j->next[run->last] = idx;
	run->last = idx;
	run->cnt++;
	run->len += v->payload_bytes;
	run->next_seq += v->payload_bytes;
	run->is_open = v->payload_bytes == run->piece_bytes && !v->is_last;
	return true;
}

static void add_run(struct qb_joiner *j, const struct view *v, uint8_t idx, bool has_uso)
{
	j->run[j->run_cnt++] = (struct qb_run){
		.first = idx,
		.last = idx,
		.cnt = 1,
		.is_open = v->kind == KIND_FLOW && v->can_lead && !v->is_last &&
			   (has_uso || !v->is_udp),
		.is_v6 = v->is_v6,
		.is_udp = v->is_udp,
		.l4_off = (uint8_t)v->l4_off,
		.hdr_len = (uint8_t)v->hdr_len,
		.piece_bytes = (uint16_t)v->payload_bytes,
		.len = v->len,
		.next_seq = v->seq + v->payload_bytes,
	};
}

void qb_joiner_plan(struct qb_joiner *j, const struct qb_batch *in, bool has_uso)
{
	struct view v;

	j->run_cnt = 0;
	j->barrier = 0;
	memset(j->slot, 0, sizeof(j->slot));
	for (uint32_t i = 0; i < in->cnt; i++) {
		uint32_t slot = 0;

		look_at(&v, in->buf[i]);
		if (v.kind == KIND_FLOW) {
			slot = find_slot(j, in, &v);
			if (j->slot[slot] &&
			    try_join(j, in, &j->run[j->slot[slot] - 1], &v, (uint8_t)i))
				continue;
		}
		add_run(j, &v, (uint8_t)i, has_uso);
		if (v.kind == KIND_FLOW)
			j->slot[slot] = (uint8_t)j->run_cnt;
		else if (v.kind == KIND_BARRIER)
			j->barrier = j->run_cnt;
	}
}

/* build_headers makes the first packet's headers those of the whole, with a partial checksum. */
static void build_headers(const struct qb_run *run, uint8_t *ip, const uint8_t *last_l4)
{
	uint32_t l4_len = run->len - run->l4_off;
	uint8_t *l4 = ip + run->l4_off;
	uint64_t pseudo;
	uint16_t partial;

	if (run->is_v6) {
		qb_store_be16(ip + IP6_LEN_OFF, (uint16_t)(run->len - IP6_HDR_LEN));
		pseudo = qb_csum_pseudo(ip + IP6_ADDRS_OFF, 32, run->is_udp ? PROTO_UDP : PROTO_TCP,
					l4_len);
	} else {
		qb_store_be16(ip + IP4_LEN_OFF, (uint16_t)run->len);
		memset(ip + IP4_CSUM_OFF, 0, 2);
		qb_csum_store(ip + IP4_CSUM_OFF, qb_csum_add(0, ip, IP4_HDR_LEN));
		pseudo = qb_csum_pseudo(ip + IP4_ADDRS_OFF, 8, run->is_udp ? PROTO_UDP : PROTO_TCP,
					l4_len);
	}
	if (run->is_udp)
		qb_store_be16(l4 + UDP_LEN_OFF, (uint16_t)l4_len);
	else
		l4[TCP_FLAGS_OFF] |= last_l4[TCP_FLAGS_OFF] & (TCP_PSH | TCP_FIN);
	partial = qb_csum_fold(pseudo);
	memcpy(l4 + (run->is_udp ? UDP_CSUM_OFF : TCP_CSUM_OFF), &partial, sizeof(partial));
}

static uint8_t gso_type(const struct qb_run *run, const uint8_t *l4)
{
	uint8_t type;

	if (run->is_udp)
		return VIRTIO_NET_HDR_GSO_UDP_L4;
	type = run->is_v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	return l4[TCP_FLAGS_OFF] & TCP_CWR ? type | VIRTIO_NET_HDR_GSO_ECN : type;
}

uint32_t qb_joiner_build(const struct qb_joiner *j, const struct qb_batch *in,
			 const struct qb_run *run, struct virtio_net_hdr_v1 *vh,
			 struct iovec iov[QB_BATCH_MAX])
{
	const struct qb_buf *first = in->buf[run->first], *last = in->buf[run->last];
	uint32_t cnt = 1;

	memset(vh, 0, sizeof(*vh));
	iov[0] = (struct iovec){.iov_base = first->data, .iov_len = first->len};
	if (run->cnt == 1)
		return 1;
	for (uint8_t i = run->first; i != run->last; cnt++) {
		i = j->next[i];
		iov[cnt].iov_base = in->buf[i]->data + run->hdr_len;
		iov[cnt].iov_len = in->buf[i]->len - run->hdr_len;
	}
	build_headers(run, first->data, last->data + run->l4_off);
	vh->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	vh->gso_type = gso_type(run, first->data + run->l4_off);
	vh->hdr_len = run->hdr_len;
	vh->gso_size = run->piece_bytes;
	vh->csum_start = run->l4_off;
	vh->csum_offset = run->is_udp ? UDP_CSUM_OFF : TCP_CSUM_OFF;
	return cnt;
}
