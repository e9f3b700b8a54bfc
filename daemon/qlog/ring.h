/* SPDX-License-Identifier: BSD-2-Clause */
/* Events on their way from one worker to the writer: a ring of bytes between exactly two threads,
 * which never blocks. */
#pragma once

#include <stdatomic.h>

#include "quic/quic.h"

struct qb_qlog_ring {
	_Alignas(QB_CACHELINE) _Atomic uint64_t head; /* bytes ever written; the worker's */
	_Atomic uint64_t dropped;		      /* events that found no room */
	_Alignas(QB_CACHELINE) _Atomic uint64_t tail; /* bytes ever read; the writer's */
	_Alignas(QB_CACHELINE) uint8_t *mem;
	size_t bytes; /* a power of two */
};

/* qb_qlog_ring_init uses bytes (a power of two, at least 16 KB) at mem. */
void qb_qlog_ring_init(struct qb_qlog_ring *r, void *mem, size_t bytes);
/* qb_qlog_ring_put copies an event with what belongs to it, or counts it as dropped. */
void qb_qlog_ring_put(struct qb_qlog_ring *r, const struct qb_trace_event *ev);
/* qb_qlog_ring_get shows the oldest event, valid until qb_qlog_ring_next; NULL: none. */
const struct qb_trace_event *qb_qlog_ring_get(struct qb_qlog_ring *r);
void qb_qlog_ring_next(struct qb_qlog_ring *r);
