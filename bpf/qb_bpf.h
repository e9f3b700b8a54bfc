/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the BPF programs and user space agree on: where a connection ID names its worker, the
 * reasons that are counted, and the hash that spreads what carries no connection ID of ours.
 */
#pragma once

#include <linux/types.h>

enum {
	/* Of the connection IDs that we issue: QB_CID_LEN and QB_CID_WORKER_OFF in quic/quic.h. */
	QB_BPF_CID_LEN = 10,
	QB_BPF_CID_WORKER_OFF = 1,
	/* Largest frame that fits a UMEM chunk behind the kernel's headroom. */
	QB_BPF_FRAME_BYTES_MAX = 2048 - 256,
	QB_BPF_WORKERS_MAX = 256,
	QB_BPF_LOCALS_MAX = 256,
	QB_BPF_PORT_WORDS = 65536 / 64,
};

/* QB_XDP_REASON(identifier, "public_name"): what became of a frame. Up to QB_XDP_STEERED_LAST it
 * was steered. */
#define QB_XDP_REASONS(X)                                                                          \
	X(STEERED_SHORT, "xdp_steered_short")                                                      \
	X(STEERED_LONG, "xdp_steered_long")                                                        \
	X(STEERED_HASH, "xdp_steered_hash")                                                        \
	X(PASS_NO_SOCKET, "xdp_pass_no_socket")                                                    \
	X(PASS_NOT_IP, "xdp_pass_not_ip")                                                          \
	X(PASS_TRUNCATED, "xdp_pass_truncated")                                                    \
	X(PASS_IP_OPTIONS, "xdp_pass_ip_options")                                                  \
	X(PASS_FRAGMENT, "xdp_pass_fragment")                                                      \
	X(PASS_NOT_UDP, "xdp_pass_not_udp")                                                        \
	X(PASS_OTHER_PORT, "xdp_pass_other_port")                                                  \
	X(PASS_NOT_LOCAL, "xdp_pass_not_local")                                                    \
	X(PASS_TOO_LARGE, "xdp_pass_too_large")                                                    \
	X(PASS_VERSION, "xdp_pass_version")                                                        \
	X(PASS_FOREIGN_CID, "xdp_pass_foreign_cid")                                                \
	X(PASS_UNKNOWN_WORKER, "xdp_pass_unknown_worker")

enum qb_xdp_reason {
#define QB_XDP_ENUM(id, name) QB_XDP_##id,
	QB_XDP_REASONS(QB_XDP_ENUM)
#undef QB_XDP_ENUM
		QB_XDP_REASON_CNT,
	QB_XDP_STEERED_LAST = QB_XDP_STEERED_HASH,
};

/* An address of this host, as in struct qb_addr: IPv4 in the first four bytes. */
struct qb_bpf_local {
	__u8 ip[16];
	__u32 family;
};

/* qb_bpf_hash mixes addresses and ports, in network order, into a number. */
static inline __attribute__((always_inline)) __u32 qb_bpf_mix(__u32 h, __u32 word)
{
	h ^= word;
	h *= 0x85ebca6bU;
	return h ^ (h >> 15);
}

/* qb_bpf_scale maps a hash to [0, cnt). */
static inline __attribute__((always_inline)) __u32 qb_bpf_scale(__u32 hash, __u32 cnt)
{
	hash ^= hash >> 16;
	hash *= 0xc2b2ae35U;
	hash ^= hash >> 13;
	return (__u32)(((__u64)hash * cnt) >> 32);
}
