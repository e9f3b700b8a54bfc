/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * On the TUN device's egress: tells the daemon which of the firewall marks that its policies name a
 * packet has. A mark does not go through the device; a VLAN tag does, in the packet's bytes, for
 * super-packets as for others, and whatever queue the packet is put into. A bit of the tag for each
 * mark that fits; without any, there is no tag (tun/segment.c takes it out again).
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tun_marks.bpf.h"

/* Written by user space at any time. */
struct qb_tun_mark marks[QB_TUN_MARKS_MAX];

SEC("tc")
int qb_tun_marks(struct __sk_buff *skb)
{
	__u32 mark = skb->mark, bits = 0;

	/* Without branches, or the verifier would look at each set of marks by itself. */
	for (int i = 0; i < QB_TUN_MARKS_MAX; i++) {
		__u64 differs = (mark & marks[i].mask) ^ marks[i].value;

		bits |= (__u32)((differs - 1) >> 63) << i;
	}
	if (bits)
		bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), (__u16)bits);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
