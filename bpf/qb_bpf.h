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
	X(PASS_UNKNOWN_WORKER, "xdp_pass_unknown_worker")                                          \
	X(DROP_GUARD, "xdp_drop_guard")

enum qb_xdp_reason {
#define QB_XDP_ENUM(id, name) QB_XDP_##id,
	QB_XDP_REASONS(QB_XDP_ENUM)
#undef QB_XDP_ENUM
		QB_XDP_REASON_CNT,
	QB_XDP_STEERED_LAST = QB_XDP_STEERED_HASH,
};

/*
 * QB_GUARD_REASON(identifier, "public_name", "what it counts"): why the guard drops what claims to
 * be QUIC to us, and what it counted but let by. Up to QB_GUARD_DROP_LAST it is dropped.
 */
#define QB_GUARD_REASONS(X)                                                                        \
	X(SHORT, "guard_drop_short", "datagrams shorter than any QUIC packet")                     \
	X(FIXED_BIT, "guard_drop_fixed_bit", "packets without the fixed bit")                      \
	X(CID, "guard_drop_cid", "connection IDs of a length or a worker that cannot be")          \
	X(TYPE, "guard_drop_type", "packets that only a server sends")                             \
	X(VERSION, "guard_drop_version", "unknown versions in datagrams under 1200 bytes")         \
	X(INITIAL_SIZE, "guard_drop_initial_size", "Initials in datagrams under 1200 bytes")       \
	X(LENGTH, "guard_drop_length", "lengths that run past the end")                            \
	X(SOURCE, "guard_drop_source",                                                             \
	  "packets from addresses or ports that nobody else can have")                             \
	X(BLOCKED, "guard_drop_blocked", "packets from the block list")                            \
	X(SOURCE_LIMIT, "guard_drop_source_limit", "Initials above their source prefix's rate")    \
	X(TOTAL_LIMIT, "guard_drop_total_limit", "Initials above the rate of all strangers")       \
	X(STRAY_LIMIT, "guard_drop_stray_limit", "packets of no connection above their rate")      \
	X(INITIALS, "guard_initials", "Initials let by")

enum qb_guard_reason {
#define QB_GUARD_ENUM(id, name, text) QB_GUARD_##id,
	QB_GUARD_REASONS(QB_GUARD_ENUM)
#undef QB_GUARD_ENUM
		QB_GUARD_REASON_CNT,
	QB_GUARD_DROP_LAST = QB_GUARD_STRAY_LIMIT,
	QB_GUARD_PASS = QB_GUARD_REASON_CNT,
};

enum {
	QB_GUARD_SOURCES_MAX = 65536,
	QB_GUARD_KNOWN_MAX = 16384,
	QB_GUARD_BLOCKS_MAX = 16384,
	QB_GUARD_PREFIX4_BYTES = 3, /* /24 */
	QB_GUARD_PREFIX6_BYTES = 7, /* /56 */
};

/* Which total a packet counts against. */
enum qb_guard_total {
	QB_GUARD_TOTAL_STRANGERS, /* first flights of who is not known */
	QB_GUARD_TOTAL_TOKENS,	  /* ... with a token */
	QB_GUARD_TOTAL_STRAYS,	  /* packets of no connection */
	QB_GUARD_TOTALS,
};

/* A rate: one every gap_ns, and as many at once as fit burst_ns. gap_ns 0: no limit. */
struct qb_bpf_rate {
	__u64 gap_ns;
	__u64 burst_ns;
};

/* Written by user space alone. */
struct qb_bpf_guard_conf {
	struct qb_bpf_rate source; /* of a source prefix */
	struct qb_bpf_rate total[QB_GUARD_TOTALS];
	__u32 block_cnt;
	__u32 reserved;
};

/* When each total bucket is empty again (the theoretical arrival time of the next). */
struct qb_bpf_guard_state {
	__u64 tat_ns[QB_GUARD_TOTALS];
};

struct qb_bpf_source {
	__u32 family;
	__u8 ip[8];
};

/* A key of the block list: prefix_bits counts the family's 32 bits, too. */
struct qb_bpf_block {
	__u32 prefix_bits;
	__u32 family;
	__u8 ip[16];
};

/*
 * What the steering program writes in front of a frame that it steers, as XDP metadata: when it saw
 * it (CLOCK_MONOTONIC). A driver that has no room for metadata leaves it out, so the seed of the
 * program tells that it is one.
 */
struct qb_bpf_stamp {
	__u64 ns;
	__u32 seed;
	__u32 reserved;
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
