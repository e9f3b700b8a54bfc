/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbered packets that wait to leave (again), ahead of everything that has no number yet. Internal
 * to bond/.
 */
#pragma once

#include "bond/bond.h"

struct qb_line {
	struct qb_buf *head, *tail;
	uint32_t pkts;
	uint64_t bytes;
	uint64_t refused_ns; /* since when the scheduler does not want the first; 0 not yet */
};

void qb_line_put(struct qb_line *l, struct qb_buf *buf, bool is_front);
/* qb_line_take returns the first, or NULL. */
struct qb_buf *qb_line_take(struct qb_line *l);
/* qb_line_take_after does so with the one behind `before`; NULL: the first. */
struct qb_buf *qb_line_take_after(struct qb_line *l, struct qb_buf *before);
