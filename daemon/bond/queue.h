/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tunnel's queue: flow queues served by deficit round robin, by class, sparse flows first, CoDel in
 * each (RFC 8290, RFC 8289), with a bound on all of them together. A flow's queue is one of a few where its hash points to: one
 * that no other flow uses, so that no call waits in the queue of a download. Where packets have deadlines, the earliest goes first among
 * realtime and among sparse flows, and what is late is dropped.
 *
 *     realtime ─────────────┐ strictly, up to half of the rate
 *     sparse ───────────────┤ each within its quantum
 *     interactive ─12 parts─┤
 *     bulk ─────────7 parts─┤ of what is left
 *     background ───1 part──┘
 */
#pragma once

#include "base/buf.h"
#include "base/counters.h"
#include "bond/classes.h"
#include "bond/meter.h"
#include "bond/pins.h"

enum {
	QB_QUEUE_FLOWS = 1024,	/* of no class in particular */
	QB_QUEUE_CLASSED = 128, /* of each other class: no flow shares a queue with one of another class */
	QB_QUEUE_ALL = QB_QUEUE_FLOWS + 3 * QB_QUEUE_CLASSED,
	QB_QUEUE_QUANTUM_BYTES = 1514,
	QB_QUEUE_NONE = 0xffff,
};

#define QB_CODEL_TARGET_NS   (5 * QB_NS_PER_MS)
#define QB_L4S_TARGET_NS     QB_NS_PER_MS
#define QB_CODEL_INTERVAL_NS (100 * QB_NS_PER_MS)

enum qb_queue_list {
	QB_QUEUE_IDLE,
	QB_QUEUE_REALTIME,
	QB_QUEUE_SPARSE,
	QB_QUEUE_INTERACTIVE, /* from here on: served in parts */
	QB_QUEUE_BULK,
	QB_QUEUE_BACKGROUND,
	QB_QUEUE_LIST_CNT,
};

/* One flow queue; a cache line. */
struct qb_queue_flow {
	struct qb_buf *head, *tail;
	uint64_t first_above_ns; /* CoDel: when the sojourn time will have been too long for an
				    interval */
	uint64_t drop_next_ns;
	uint32_t drop_cnt, last_drop_cnt;
	int32_t deficit_bytes;
	uint16_t next; /* in its list */
	uint16_t owed; /* packets that wait to be sent again, of flows whose hash points here */
	uint8_t list;  /* enum qb_queue_list */
	uint8_t home;  /* the list of its class that is served in parts */
	bool is_dropping;
	bool is_shared; /* it may hold packets of others than its owner */
};

struct qb_queue_list_ends {
	uint16_t head, tail;
};

struct qb_queue {
	struct qb_queue_flow *flows;
	const struct qb_classes *classes; /* borrowed: tells deadlines; NULL: there are none */
	struct qb_pool *pool;
	struct qb_counters *counters;
	uint32_t held_rules; /* of policies, a bit each: whose packets must stay */
	uint8_t held_paths;  /* the same of the flows that keep to them */
	bool is_owed_held;   /* the same of the flows that have packets to be sent again */
	uint32_t owed_flows; /* how many these are */
	const struct qb_pin *pins; /* borrowed; while there are held paths */
	struct qb_meter *meter; /* told of drops and marks; NULL: none */
	uint32_t pkts, cap_pkts;
	uint64_t bytes;
	uint64_t target_ns, interval_ns, ramp_ns, rtt_ns, shallow_ns;
	int32_t turn_bytes; /* of a bulk flow */
	int32_t part_bytes[QB_QUEUE_LIST_CNT]; /* that a class may still send in its turn */
	uint8_t part;			       /* the list whose turn it is */
	uint64_t rate_bps;
	uint64_t realtime_ns; /* when what realtime flows sent would have left, had they half the rate */
	struct qb_queue_list_ends lists[QB_QUEUE_LIST_CNT];
	uint64_t touched[QB_QUEUE_ALL / 64]; /* flow queues that hold more than old memory */
	uint32_t *backlog_bytes; /* of each flow queue, apart: looking for the fattest reads just
				    these */
	uint32_t *owners;	 /* the hash of the flow that each is of, or was last */
	bool was_used;		 /* they are cleared */
};

static inline uint16_t qb_queue_idx_of(const struct qb_queue *q, const struct qb_queue_flow *f)
{
	return (uint16_t)(f - q->flows);
}

/* qb_queue_has_deadlines: some packets have one. */
static inline bool qb_queue_has_deadlines(const struct qb_queue *q)
{
	return q->classes && q->classes->has_any_deadlines;
}

size_t qb_queue_footprint(void);
void qb_queue_init(struct qb_queue *q, void *mem, uint32_t cap_pkts, struct qb_pool *pool,
		   struct qb_counters *counters);
void qb_queue_fini(struct qb_queue *q);
/* qb_queue_forget: of an empty queue, what is known of flows. Its memory may be anything from then on. */
void qb_queue_forget(struct qb_queue *q);
/* qb_queue_set_classes: who knows packets' deadlines. */
void qb_queue_set_classes(struct qb_queue *q, const struct qb_classes *classes);
/*
 * qb_queue_set_target: what CoDel shall take for a good queue, over which time it looks, the queue
 * at which it does not wait for that, and the round trip behind this queue.
 */
void qb_queue_set_target(struct qb_queue *q, uint64_t target_ns, uint64_t interval_ns,
			 uint64_t ramp_ns, uint64_t rtt_ns);
/* qb_queue_set_shallow: how long a packet of an L4S flow may wait before it is marked. */
void qb_queue_set_shallow(struct qb_queue *q, uint64_t shallow_ns);
/*
 * qb_queue_set_rate tells the rate at which the queue is served. A bulk flow's turn is fitted to
 * it: a packet on slow links, longer on fast ones, so that what belongs together stays together for
 * GSO and GRO.
 */
void qb_queue_set_rate(struct qb_queue *q, uint64_t rate_bps);
/* qb_queue_push takes the packet, with its class in meta; it is bulk where QB_BUF_BULK is set. Sets rx_ns to now_ns. */
void qb_queue_push(struct qb_queue *q, struct qb_buf *b, uint32_t hash, uint64_t now_ns);
/* qb_queue_pop_sparse returns a packet of a realtime flow, or of one that keeps within its quantum, or NULL. */
struct qb_buf *qb_queue_pop_sparse(struct qb_queue *q, uint64_t now_ns);
/* qb_queue_pop_bulk returns the next of the others, or NULL; one without QB_BUF_BULK had to wait in a queue that did not drain. */
struct qb_buf *qb_queue_pop_bulk(struct qb_queue *q, uint64_t now_ns);
/* qb_queue_owe: a packet of the flow waits to be sent again, or does not any more. */
void qb_queue_owe(struct qb_queue *q, const struct qb_buf *b, bool is_owed);
/* qb_queue_refund: a packet that was popped is dropped: its flow has its turn all the same. */
void qb_queue_refund(struct qb_queue *q, const struct qb_buf *b);
