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
	/* Once bulk, a flow stays so for at least this long: longer than any packet of it is held
	   back. */
	QB_FLOW_BULK_TICKS = 500,
	/*
	 * When a flow is bulk no longer, or takes another path, what it has under way may be overtaken for
	 * so long at most.
	 */
	QB_FLOW_TAIL_TICKS = 128,
	/* A flow that was quiet for so long has nothing under way that its next packet could
	   overtake. */
	QB_FLOW_FORGET_TICKS = 2000,
};

/* What an inner packet's headers say. */
struct qb_flow_pkt {
	uint32_t
		hash; /* of the 5-tuple; of the addresses and protocol where ports cannot be seen */
	uint32_t l4_off; /* where the transport header begins; == packet length where there is none
			  */
	uint8_t version; /* 4 or 6 */
	uint8_t proto;
	uint8_t ecn, dscp;
	bool is_fragment;
	bool has_ports; /* at l4_off */
	/*
	 * Data of TCP, or QUIC on its usual port: its sender takes packets that overtake each
	 * other for lost, and slows down for long when that happens in its first round trips, when
	 * it still passes for sparse.
	 */
	bool is_stream;
	bool is_ack; /* TCP without data: those that overtake each other do no harm, those that wait do */
};

/*
 * qb_flow_parse reads the headers of an IP packet. Returns 0, or -EBADMSG: not IP, cut short, or
 * its own length fields disagree with len.
 */
int qb_flow_parse(const uint8_t *p, uint32_t len, const struct qb_hash_key *key,
		  struct qb_flow_pkt *out) QB_MUST_CHECK;

struct qb_flow {
	uint32_t hash; /* 0: free */
	uint32_t last_seq;
	uint32_t seen_tick;
	uint16_t level_16b;  /* leaky bucket, in units of 16 bytes */
	uint16_t state;	     /* ticks left of being bulk and of the tail, path of the last sparse packet; last_seq is valid */
};

struct qb_flow_table {
	struct qb_flow (*sets)[QB_FLOW_WAYS];
	uint64_t touched[QB_FLOW_SETS / 64]; /* sets that hold more than old memory */
};

size_t qb_flow_table_footprint(void);
void qb_flow_table_init(struct qb_flow_table *t, void *mem);
/* qb_flow_on_arrival notes a packet of a flow and tells whether the flow is bulk. */
bool qb_flow_on_arrival(struct qb_flow_table *t, uint32_t hash, uint32_t bytes, uint64_t now_ns);
/* qb_flow_on_backlog: the flow filled its queue faster than that drains; it is bulk from now on. */
void qb_flow_on_backlog(struct qb_flow_table *t, uint32_t hash, uint64_t now_ns);
/*
 * qb_flow_follow notes the path that a packet of a sparse flow takes. Returns true while the packet
 * may overtake others of its flow: for span_ns after it left a path of those in `alive`, a bit
 * each. What a dead one owes is not waited for.
 */
bool qb_flow_follow(struct qb_flow_table *t, uint32_t hash, uint8_t path, uint32_t alive,
		    uint64_t span_ns, uint64_t now_ns);
/* qb_flow_number notes the flow's newest sequence number and returns the distance to the one
 * before, or 0. */
uint16_t qb_flow_number(struct qb_flow_table *t, uint32_t hash, uint32_t seq, uint64_t now_ns);
