/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tunnel's queue: 1,024 flow queues served by deficit round robin, sparse flows first, CoDel in
 * each (RFC 8290, RFC 8289), with a bound on all of them together.
 */
#pragma once

#include "base/buf.h"
#include "base/counters.h"

enum {
	QB_QUEUE_FLOWS = 1024,
	QB_QUEUE_QUANTUM_BYTES = 1514,
	QB_QUEUE_NONE = 0xffff,
};

#define QB_CODEL_TARGET_NS   (5 * QB_NS_PER_MS)
#define QB_CODEL_INTERVAL_NS (100 * QB_NS_PER_MS)

enum qb_queue_list { QB_QUEUE_IDLE, QB_QUEUE_SPARSE, QB_QUEUE_BULK, QB_QUEUE_LIST_CNT };

/* One flow queue; a cache line. */
struct qb_queue_flow {
	struct qb_buf *head, *tail;
	uint64_t first_above_ns; /* CoDel: when the sojourn time will have been too long for an
				    interval */
	uint64_t drop_next_ns;
	uint32_t drop_cnt, last_drop_cnt;
	int32_t deficit_bytes;
	uint16_t next; /* in its list */
	uint8_t list;  /* enum qb_queue_list */
	bool is_dropping;
};

struct qb_queue_list_ends {
	uint16_t head, tail;
};

struct qb_queue {
	struct qb_queue_flow *flows;
	struct qb_pool *pool;
	struct qb_counters *counters;
	uint32_t pkts, cap_pkts;
	uint64_t bytes;
	uint64_t target_ns, interval_ns, rtt_ns;
	int32_t turn_bytes; /* of a bulk flow */
	struct qb_queue_list_ends lists[QB_QUEUE_LIST_CNT];
	uint64_t touched[QB_QUEUE_FLOWS / 64]; /* flow queues that hold more than old memory */
	uint32_t *backlog_bytes; /* of each flow queue, apart: looking for the fattest reads just
				    these */
};

size_t qb_queue_footprint(void);
void qb_queue_init(struct qb_queue *q, void *mem, uint32_t cap_pkts, struct qb_pool *pool,
		   struct qb_counters *counters);
void qb_queue_fini(struct qb_queue *q);
/*
 * qb_queue_set_target: what CoDel shall take for a good queue, over which time it looks, and the round trip behind
 * this queue.
 */
void qb_queue_set_target(struct qb_queue *q, uint64_t target_ns, uint64_t interval_ns, uint64_t rtt_ns);
/*
 * qb_queue_set_rate fits a bulk flow's turn to the rate at which the queue is served: a packet on slow links, longer on
 * fast ones, so that what belongs together stays together for GSO and GRO.
 */
void qb_queue_set_rate(struct qb_queue *q, uint64_t rate_bps);
/* qb_queue_push takes the packet; it is bulk where QB_BUF_BULK is set. Sets rx_ns to now_ns. */
void qb_queue_push(struct qb_queue *q, struct qb_buf *b, uint32_t hash, uint64_t now_ns);
/* qb_queue_pop_sparse returns a packet of a flow that keeps within its quantum, or NULL. */
struct qb_buf *qb_queue_pop_sparse(struct qb_queue *q, uint64_t now_ns);
/* qb_queue_pop_bulk returns the next of the others, QB_BUF_BULK set, or NULL. */
struct qb_buf *qb_queue_pop_bulk(struct qb_queue *q, uint64_t now_ns);
