/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each stage of a worker's loop costs, for `io`: of one round in so many, the time and the packets of each stage. The clock is
 * read between stages, once a batch, and not at all in the other rounds. What found nothing to do counts for nothing.
 */
#pragma once

#include <stdatomic.h>

#include "os/os.h"

/* QB_STAGE(identifier, "public_name"): in the order of the two ways through, down and up (rx.c, tx.c). */
#define QB_STAGES(X)                                                                                                 \
	X(RECEIVE, "receive") /* datagrams from sockets and rings */                                                 \
	X(OPEN, "open")	      /* opened, acknowledged, unwrapped, repaired, put in order, checked */                 \
	X(DELIVER, "deliver") /* to the TUN device */                                                                \
	X(READ, "read")	      /* from the TUN device */                                                              \
	X(QUEUE, "queue")     /* checked, routed, classed, put into flow queues */                                   \
	X(SEAL, "seal")	      /* picked, given a path, wrapped, sealed */                                            \
	X(SEND, "send")	      /* to sockets and rings */

enum qb_stage {
#define QB_STAGE_ENUM(id, name) QB_STAGE_##id,
	QB_STAGES(QB_STAGE_ENUM)
#undef QB_STAGE_ENUM
		QB_STAGE_CNT
};

enum { QB_STAGE_EVERY = 16 }; /* rounds */

struct qb_stages {
	uint64_t lap_ns; /* 0: this round is not timed */
	uint32_t round;
	/* Written by the worker, read by anybody. */
	_Atomic uint64_t packets[QB_STAGE_CNT], ns[QB_STAGE_CNT];
};

/* qb_stages_round begins a round. */
static inline void qb_stages_round(struct qb_stages *s)
{
	s->lap_ns = s->round++ % QB_STAGE_EVERY == 0 ? qb_now_ns() : 0;
}

/* qb_stages_skip lets the time since the last lap be nobody's. */
static inline void qb_stages_skip(struct qb_stages *s)
{
	if (QB_UNLIKELY(s->lap_ns))
		s->lap_ns = qb_now_ns();
}

/* qb_stages_lap charges the time since the last lap, and packets, to a stage. */
static inline void qb_stages_lap(struct qb_stages *s, enum qb_stage stage, uint32_t packets)
{
	uint64_t from_ns = s->lap_ns;

	if (QB_LIKELY(!from_ns))
		return;
	s->lap_ns = qb_now_ns();
	atomic_store_explicit(&s->packets[stage], s->packets[stage] + packets, memory_order_relaxed);
	atomic_store_explicit(&s->ns[stage], s->ns[stage] + s->lap_ns - from_ns, memory_order_relaxed);
}
