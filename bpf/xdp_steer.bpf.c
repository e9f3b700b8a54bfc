/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Steers QUIC packets to the AF_XDP socket of the worker that owns their connection, on the queue
 * they came in by (a socket on another queue would never see them). Looks only at what is addressed
 * to this host and to a port of ours; all else, and whatever is not understood, goes on to the
 * kernel untouched and is counted by reason. What claims to be QUIC to us and cannot be, the guard
 * drops.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define QB_GUARD_LOAD(ctx, off, to, len) bpf_xdp_load_bytes(ctx, off, to, len)
#include "guard.bpf.h"

enum {
	VLAN_TAGS_MAX = 2,
	EXT_HDRS_MAX = 4,
	IP_FRAGMENT_MASK = 0x3fff, /* more-fragments flag and offset */
};

/* Set by user space before loading. */
const volatile __u32 worker_cnt = 1;
const volatile __u32 hash_seed = 0;
const volatile __u32 is_server = 0;

/* Ports of ours, a bit each; user space sets them while the program runs. */
__u64 port_bits[QB_BPF_PORT_WORDS];

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1); /* queues × workers, set by user space */
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, QB_BPF_LOCALS_MAX);
	__type(key, struct qb_bpf_local);
	__type(value, __u8);
} locals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, QB_XDP_REASON_CNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct cursor {
	void *pos;
	void *end;
};

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

struct ext_hdr {
	__u8 next;
	__u8 len; /* in units of 8 bytes, the first not counted */
};

struct packet {
	struct qb_bpf_local dst;
	struct qb_choice choice;
	struct qb_guarded guarded;
	__u8 ip_proto;
};

/* Steps over `size` bytes; NULL where the packet ends before. */
static __always_inline void *take(struct cursor *c, __u64 size)
{
	void *p = c->pos;

	if (p + size > c->end)
		return NULL;
	c->pos = p + size;
	return p;
}

static __always_inline int parse_eth(struct cursor *c, __be16 *proto)
{
	struct ethhdr *eth = take(c, sizeof(*eth));

	if (!eth)
		return -1;
	*proto = eth->h_proto;
#pragma unroll
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		struct vlan_tag *tag;

		if (*proto != bpf_htons(ETH_P_8021Q) && *proto != bpf_htons(ETH_P_8021AD))
			break;
		tag = take(c, sizeof(*tag));
		if (!tag)
			return -1;
		*proto = tag->proto;
	}
	return 0;
}

/* Returns QB_XDP_REASON_CNT when the transport header is next. */
static __always_inline enum qb_xdp_reason parse_ipv4(struct cursor *c, struct packet *p)
{
	struct iphdr *ip = take(c, sizeof(*ip));

	if (!ip)
		return QB_XDP_PASS_TRUNCATED;
	if (ip->version != 4 || ip->ihl != 5)
		return QB_XDP_PASS_IP_OPTIONS;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT_MASK))
		return QB_XDP_PASS_FRAGMENT;
	p->ip_proto = ip->protocol;
	p->dst.family = 4;
	__builtin_memcpy(p->dst.ip, &ip->daddr, 4);
	p->guarded.src.family = 4;
	__builtin_memcpy(p->guarded.src.ip, &ip->saddr, 4);
	p->choice.hash = qb_bpf_mix(p->choice.hash, ip->saddr);
	p->choice.hash = qb_bpf_mix(p->choice.hash, ip->daddr);
	return QB_XDP_REASON_CNT;
}

/* A routing header may name another destination: the kernel's business, as are fragments. */
static __always_inline enum qb_xdp_reason skip_ext_hdrs(struct cursor *c, __u8 *next)
{
#pragma unroll
	for (int i = 0; i < EXT_HDRS_MAX; i++) {
		struct ext_hdr *ext;

		if (*next == IPPROTO_FRAGMENT)
			return QB_XDP_PASS_FRAGMENT;
		if (*next == IPPROTO_ROUTING)
			return QB_XDP_PASS_IP_OPTIONS;
		if (*next != IPPROTO_HOPOPTS && *next != IPPROTO_DSTOPTS)
			return QB_XDP_REASON_CNT;
		ext = take(c, sizeof(*ext));
		if (!ext || !take(c, 6))
			return QB_XDP_PASS_TRUNCATED;
		if (ext->len && !take(c, (__u64)ext->len * 8))
			return QB_XDP_PASS_TRUNCATED;
		*next = ext->next;
	}
	return QB_XDP_REASON_CNT;
}

static __always_inline enum qb_xdp_reason parse_ipv6(struct cursor *c, struct packet *p)
{
	struct ipv6hdr *ip = take(c, sizeof(*ip));

	if (!ip)
		return QB_XDP_PASS_TRUNCATED;
	p->ip_proto = ip->nexthdr;
	p->dst.family = 6;
	__builtin_memcpy(p->dst.ip, &ip->daddr, 16);
	p->guarded.src.family = 6;
	__builtin_memcpy(p->guarded.src.ip, &ip->saddr, 16);
#pragma unroll
	for (int i = 0; i < 4; i++) {
		p->choice.hash = qb_bpf_mix(p->choice.hash, ip->saddr.in6_u.u6_addr32[i]);
		p->choice.hash = qb_bpf_mix(p->choice.hash, ip->daddr.in6_u.u6_addr32[i]);
	}
	return skip_ext_hdrs(c, &p->ip_proto);
}

static __always_inline enum qb_xdp_reason parse_udp(struct cursor *c, struct packet *p)
{
	struct udphdr *udp;
	__u16 port;

	if (p->ip_proto != IPPROTO_UDP)
		return QB_XDP_PASS_NOT_UDP;
	udp = take(c, sizeof(*udp));
	if (!udp)
		return QB_XDP_PASS_TRUNCATED;
	port = bpf_ntohs(udp->dest);
	if (!(port_bits[port / 64] >> (port % 64) & 1))
		return QB_XDP_PASS_OTHER_PORT;
	/* A router forwards packets to such ports as well: ours are addressed to this host. */
	if (!bpf_map_lookup_elem(&locals, &p->dst))
		return QB_XDP_PASS_NOT_LOCAL;
	/* The kernel drops what seems to come from itself; here nobody else would. */
	p->guarded.is_forged = udp->source == 0 ||
			       bpf_map_lookup_elem(&locals, &p->guarded.src) != NULL;
	p->guarded.bytes = bpf_ntohs(udp->len) - sizeof(*udp);
	p->choice.hash = qb_bpf_mix(p->choice.hash, ((__u32)udp->source << 16) | udp->dest);
	return QB_XDP_REASON_CNT;
}

/* A length that lies is dropped here; a header that is not in the first buffer is the kernel's. */
static __always_inline enum qb_xdp_reason guard(struct xdp_md *ctx, struct cursor *c,
						struct qb_guarded *g)
{
	__u8 *p = c->pos;

	g->off = (__u32)(c->pos - (void *)(long)ctx->data);
	if ((__s32)g->bytes < 0 || g->off + g->bytes > bpf_xdp_get_buff_len(ctx)) {
		qb_guard_count(QB_GUARD_LENGTH, 1);
		return QB_XDP_DROP_GUARD;
	}
	if (g->bytes < QB_QUIC_MIN_BYTES) {
		qb_guard_count(QB_GUARD_SHORT, 1);
		return QB_XDP_DROP_GUARD;
	}
	if (p + QB_QUIC_LONG_BYTES > (__u8 *)c->end)
		return QB_XDP_PASS_TRUNCATED;
	return qb_guard_judge(ctx, g, p) == QB_GUARD_PASS ? QB_XDP_REASON_CNT : QB_XDP_DROP_GUARD;
}

/* The helpers that the guard calls leave the packet where it is, but the verifier wants it looked
 * at again. */
static __always_inline enum qb_xdp_reason choose_worker(struct cursor *c, struct qb_choice *choice)
{
	__u8 *p = take(c, QB_QUIC_LONG_BYTES);

	if (!p)
		return QB_XDP_PASS_TRUNCATED;
	return p[0] & QB_QUIC_LONG ? qb_choose_long(choice, p) : qb_choose_short(choice, p);
}

static __always_inline enum qb_xdp_reason classify(struct xdp_md *ctx, struct packet *p)
{
	struct cursor c = {(void *)(long)ctx->data, (void *)(long)ctx->data_end};
	enum qb_xdp_reason reason;
	__be16 proto;

	if (parse_eth(&c, &proto))
		return QB_XDP_PASS_TRUNCATED;
	if (proto == bpf_htons(ETH_P_IP))
		reason = parse_ipv4(&c, p);
	else if (proto == bpf_htons(ETH_P_IPV6))
		reason = parse_ipv6(&c, p);
	else
		return QB_XDP_PASS_NOT_IP;
	if (reason == QB_XDP_REASON_CNT)
		reason = parse_udp(&c, p);
	if (reason != QB_XDP_REASON_CNT)
		return reason;
	if (bpf_xdp_get_buff_len(ctx) > QB_BPF_FRAME_BYTES_MAX)
		return QB_XDP_PASS_TOO_LARGE;
	reason = guard(ctx, &c, &p->guarded);
	return reason == QB_XDP_REASON_CNT ? choose_worker(&c, &p->choice) : reason;
}

static __always_inline void count(__u32 reason)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &reason);

	if (value)
		(*value)++;
}

/* Whoever takes the frame out of its ring learns when it came, not when he woke up. */
static __always_inline void stamp(struct xdp_md *ctx)
{
	struct qb_bpf_stamp *s;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*s)))
		return;
	s = (void *)(long)ctx->data_meta;
	if ((void *)(s + 1) > (void *)(long)ctx->data)
		return;
	s->ns = bpf_ktime_get_ns();
	s->seed = hash_seed;
	s->reserved = 0;
}

SEC("xdp.frags")
int qb_xdp_steer(struct xdp_md *ctx)
{
	struct packet p = {.choice = {.workers = worker_cnt, .hash = hash_seed},
			   .guarded = {.cnt = 1, .workers = worker_cnt, .is_server = is_server}};
	enum qb_xdp_reason reason = classify(ctx, &p);
	int action = XDP_PASS;

	if (reason <= QB_XDP_STEERED_LAST) {
		__u32 key = ctx->rx_queue_index * worker_cnt + p.choice.worker;

		action = bpf_redirect_map(&xsks, key, XDP_PASS);
		if (action == XDP_REDIRECT)
			stamp(ctx);
		else
			reason = QB_XDP_PASS_NO_SOCKET;
	} else if (reason == QB_XDP_DROP_GUARD) {
		action = XDP_DROP;
	}
	count(reason);
	return action;
}

char _license[] SEC("license") = "Dual BSD/GPL";
