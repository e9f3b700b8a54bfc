/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The guard as a filter on a UDP socket, for interfaces without XDP: a packet has come through the
 * kernel's IP layer by then, but wakes nobody. The packet begins with its UDP header. Of datagrams
 * that GRO joined the first is looked at, and all are charged.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define QB_GUARD_LOAD(ctx, off, to, len) bpf_skb_load_bytes(ctx, off, to, len)
#include "guard.bpf.h"

const volatile __u32 worker_cnt = 1;

static __always_inline int load_source(struct __sk_buff *skb, struct qb_bpf_local *src)
{
	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		src->family = 6;
		return bpf_skb_load_bytes_relative(skb, __builtin_offsetof(struct ipv6hdr, saddr),
						   src->ip, 16, BPF_HDR_START_NET);
	}
	src->family = 4;
	return bpf_skb_load_bytes_relative(skb, __builtin_offsetof(struct iphdr, saddr), src->ip, 4,
					   BPF_HDR_START_NET);
}

SEC("socket")
int qb_guard_filter(struct __sk_buff *skb)
{
	struct qb_guarded g = {
		.off = sizeof(struct udphdr), .cnt = 1, .workers = worker_cnt, .is_server = 1};
	__u8 head[QB_QUIC_LONG_BYTES] = {};
	__be16 port;

	g.bytes = skb->len - sizeof(struct udphdr);
	if (skb->gso_size && skb->gso_segs) {
		g.bytes = skb->gso_size;
		g.cnt = skb->gso_segs;
	}
	if (g.bytes < QB_QUIC_MIN_BYTES) {
		qb_guard_count(QB_GUARD_SHORT, 1);
		return 0;
	}
	/* What cannot be read is user space's to judge. */
	if (load_source(skb, &g.src) || bpf_skb_load_bytes(skb, 0, &port, sizeof(port)) ||
	    bpf_skb_load_bytes(skb, g.off, head, sizeof(head)))
		return skb->len;
	g.is_forged = port == 0;
	return qb_guard_judge(skb, &g, head) == QB_GUARD_PASS ? skb->len : 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
