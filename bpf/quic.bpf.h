/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The rule by which both programs choose a worker from the first bytes of a QUIC packet (RFC 8999:
 * only what every version keeps). Included by the BPF programs alone.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "qb_bpf.h"

/* As much of a datagram as the choice needs: a long header up to the connection ID's end. */
enum {
	QB_QUIC_LONG = 0x80,
	QB_QUIC_SHORT_BYTES = 1 + QB_BPF_CID_LEN,
	QB_QUIC_LONG_BYTES = 1 + 4 + 1 + QB_BPF_CID_LEN,
	QB_QUIC_V1 = 0x00000001,
	QB_QUIC_V2 = 0x6b3343cf,
};

struct qb_choice {
	__u32 worker;
	__u32 workers; /* how many there are */
	__u32 hash;    /* of addresses and ports */
};

/* Initial and 0-RTT carry a connection ID of the client's making. v2 numbers the types anew (RFC
 * 9369 §3.2). */
static __always_inline int qb_is_first_flight(__u8 first, __u32 version)
{
	__u32 type = (first >> 4) & 3;

	if (version == QB_QUIC_V2)
		type = (type - 1) & 3;
	return type <= 1;
}

static __always_inline enum qb_xdp_reason qb_choose_by_cid(struct qb_choice *c, __u8 worker,
							   enum qb_xdp_reason steered)
{
	if (worker >= c->workers)
		return QB_XDP_PASS_UNKNOWN_WORKER;
	c->worker = worker;
	return steered;
}

/* p: QB_QUIC_LONG_BYTES readable bytes. */
static __always_inline enum qb_xdp_reason qb_choose_long(struct qb_choice *c, const __u8 *p)
{
	__u32 version = ((__u32)p[1] << 24) | ((__u32)p[2] << 16) | ((__u32)p[3] << 8) | p[4];
	enum qb_xdp_reason reason = QB_XDP_PASS_FOREIGN_CID;

	/* Version 0 is Version Negotiation: it answers us, so it carries our connection ID. */
	if (version != 0 && version != QB_QUIC_V1 && version != QB_QUIC_V2)
		return QB_XDP_PASS_VERSION;
	if (p[5] == QB_BPF_CID_LEN)
		reason = qb_choose_by_cid(c, p[6 + QB_BPF_CID_WORKER_OFF], QB_XDP_STEERED_LONG);
	if (reason == QB_XDP_STEERED_LONG || version == 0 || !qb_is_first_flight(p[0], version))
		return reason;
	c->worker = qb_bpf_scale(c->hash, c->workers);
	return QB_XDP_STEERED_HASH;
}

/* p: QB_QUIC_SHORT_BYTES readable bytes. */
static __always_inline enum qb_xdp_reason qb_choose_short(struct qb_choice *c, const __u8 *p)
{
	return qb_choose_by_cid(c, p[1 + QB_BPF_CID_WORKER_OFF], QB_XDP_STEERED_SHORT);
}
