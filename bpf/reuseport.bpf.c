/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Chooses the socket of a SO_REUSEPORT group by the same rule as the XDP program, so that a packet
 * comes to the same worker by either way. What the rule does not cover is left to the kernel's own
 * hash. A super-packet that GRO joined is steered by its first datagram; the workers hand the
 * others over.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "quic.bpf.h"

const volatile __u32 worker_cnt = 1;
const volatile __u32 hash_seed = 0;

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 1); /* workers, set by user space */
	__type(key, __u32);
	__type(value, __u64);
} socks SEC(".maps");

/* Source then destination, word by word, as the XDP program mixes them. */
static __always_inline __u32 hash_addrs(struct sk_reuseport_md *md, __u32 hash)
{
	__u32 w[8];

	if (md->eth_protocol == bpf_htons(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes_relative(md, __builtin_offsetof(struct ipv6hdr, saddr), w,
						32, BPF_HDR_START_NET))
			return md->hash;
#pragma unroll
		for (int i = 0; i < 4; i++)
			hash = qb_bpf_mix(qb_bpf_mix(hash, w[i]), w[i + 4]);
		return hash;
	}
	if (bpf_skb_load_bytes_relative(md, __builtin_offsetof(struct iphdr, saddr), w, 8,
					BPF_HDR_START_NET))
		return md->hash;
	return qb_bpf_mix(qb_bpf_mix(hash, w[0]), w[1]);
}

static __always_inline enum qb_xdp_reason choose_worker(struct sk_reuseport_md *md,
							struct qb_choice *choice)
{
	__u8 quic[QB_QUIC_LONG_BYTES] = {};
	struct udphdr udp;

	if (bpf_skb_load_bytes(md, 0, &udp, sizeof(udp)) ||
	    bpf_skb_load_bytes(md, sizeof(udp), quic, QB_QUIC_SHORT_BYTES))
		return QB_XDP_PASS_TRUNCATED;
	if (!(quic[0] & QB_QUIC_LONG))
		return qb_choose_short(choice, quic);
	if (bpf_skb_load_bytes(md, sizeof(udp), quic, sizeof(quic)))
		return QB_XDP_PASS_TRUNCATED;
	choice->hash = hash_addrs(md, hash_seed);
	choice->hash = qb_bpf_mix(choice->hash, ((__u32)udp.source << 16) | udp.dest);
	return qb_choose_long(choice, quic);
}

SEC("sk_reuseport")
int qb_reuseport_steer(struct sk_reuseport_md *md)
{
	struct qb_choice choice = {.workers = worker_cnt};

	if (choose_worker(md, &choice) <= QB_XDP_STEERED_LAST)
		bpf_sk_select_reuseport(md, &socks, &choice.worker, 0);
	return SK_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
