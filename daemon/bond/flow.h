/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inner packets and the flows they belong to: the 5-tuple hash, and a bounded table of what must be
 * remembered of a flow between two of its packets.
 */
#pragma once

#include "base/base.h"
#include "base/hash.h"

enum {
	QB_FLOW_SETS = 2048,
	QB_FLOW_WAYS = 4,
	/* A flow that sends more than this beyond QB_FLOW_SPARSE_BYTES_PER_TICK is bulk. */
	QB_FLOW_SPARSE_BURST_BYTES = 16384,
	QB_FLOW_SPARSE_BYTES_PER_TICK = 256, /* a tick is 2^20 ns: 2 Mbit/s */
	/* Once bulk, a flow stays so for this long: longer than any packet of it is held back. */
	QB_FLOW_BULK_TICKS = 500,
	/* What a flow has under way may be overtaken for so long, when it stops being bulk or takes
	 * another path. */
	QB_FLOW_TAIL_TICKS = 128,
	/* A flow that was quiet for so long has nothing under way. */
	QB_FLOW_FORGET_TICKS = 2000,
};

/* What an inner packet's headers say. */
struct qb_flow_pkt {
	uint32_t hash;	 /* of the 5-tuple, or of addresses and protocol where there are no ports */
	uint32_t l4_off; /* of the transport header; the packet's length where there is none */
	uint8_t version; /* 4 or 6 */
	uint8_t proto;
	uint8_t ecn, dscp;
	bool is_fragment;
	bool has_ports; /* at l4_off */
	/*
	 * TCP with data, or QUIC on its usual port: its sender takes packets that are out of order
	 * for lost, and if that happens in its first round trips, while its flow still counts as
	 * sparse, it is slow for long.
	 */
	bool is_stream;
	bool may_ack; /* UDP so small that it may be an ACK of QUIC: it is, if the reverse flow is heavy */
	bool is_ack; /* TCP without data: reordering does it no harm, waiting does */
};

/*
 * qb_flow_parse reads the headers of an IP packet. Returns 0, or -EBADMSG: not IP, cut short, or
 * its own length fields disagree with len.
 */
int qb_flow_parse(const uint8_t *p, uint32_t len, const struct qb_hash_key *key,
		  struct qb_flow_pkt *out) QB_MUST_CHECK;

/* qb_flow_back_hash is the hash of the reverse flow of a packet that was parsed. */
uint32_t qb_flow_back_hash(const uint8_t *p, const struct qb_flow_pkt *pkt, const struct qb_hash_key *key);

struct qb_flow {
	uint32_t hash; /* 0: free */
	uint32_t last_seq;
	uint32_t seen_tick;
	uint16_t level_16b; /* leaky bucket, in units of 16 bytes */
	/* Ticks left of being bulk and of the tail; when the reverse flow was heavy; path of the
	 * last sparse packet; last_seq is valid. */
	uint16_t state;
};

struct qb_flow_table {
	struct qb_flow (*sets)[QB_FLOW_WAYS];
	uint64_t touched[QB_FLOW_SETS / 64]; /* sets that are initialised, a bit each */
};

size_t qb_flow_table_footprint(void);
void qb_flow_table_init(struct qb_flow_table *t, void *mem);
/* qb_flow_on_arrival notes a packet of a flow and tells whether the flow is bulk. */
bool qb_flow_on_arrival(struct qb_flow_table *t, uint32_t hash, uint32_t bytes, uint64_t now_ns);
/* qb_flow_on_backlog: the flow filled its queue faster than that drains; it is bulk from now on. */
void qb_flow_on_backlog(struct qb_flow_table *t, uint32_t hash, uint64_t now_ns);
/* qb_flow_on_back: the reverse flow is heavy. qb_flow_has_back: it was within the last seconds. */
void qb_flow_on_back(struct qb_flow_table *t, uint32_t hash, uint64_t now_ns);
bool qb_flow_has_back(struct qb_flow_table *t, uint32_t hash, uint64_t now_ns);
/*
 * qb_flow_follow notes the path that a packet of a sparse flow takes. Returns true while the packet
 * may overtake others of its flow: for span_ns after the flow left a path of those in `alive` (a
 * bit each). What is under way on a dead one is not waited for.
 */
bool qb_flow_follow(struct qb_flow_table *t, uint32_t hash, uint8_t path, uint32_t alive,
		    uint64_t span_ns, uint64_t now_ns);
/* qb_flow_number notes the flow's newest sequence number and returns the distance to the one
 * before, or 0. */
uint16_t qb_flow_number(struct qb_flow_table *t, uint32_t hash, uint32_t seq, uint64_t now_ns);
