/* SPDX-License-Identifier: BSD-2-Clause */
/* The AQM of a flow queue. Internal to bond/. */
#pragma once

#include "bond/queue.h"

/* qb_codel_take takes the next packet of a flow that is not dropped; NULL: the queue is empty. */
struct qb_buf *qb_codel_take(struct qb_queue *q, struct qb_queue_flow *f, uint64_t now_ns);
/* qb_codel_take_plain takes the head, whatever it is; NULL: the queue is empty. */
struct qb_buf *qb_codel_take_plain(struct qb_queue *q, struct qb_queue_flow *f);
/* qb_codel_drop counts a packet as dropped by the queue, and frees it. */
void qb_codel_drop(struct qb_queue *q, struct qb_buf *b);
