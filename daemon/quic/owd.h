/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One-way delays of a path, from the times at which the peer says that packets arrived
 * (draft-ietf-quic-receive-ts). The peer's clock begins somewhere else, so a delay is known up to a
 * constant; the constant is the same for all paths of a connection, and opposite for the two
 * directions. What counts are differences: between paths, and against the smallest of the last half
 * minute, which is the way without queues. Clocks drift apart by less than that matters in the
 * meantime.
 */
#pragma once

#include "base/base.h"

#define QB_OWD_WINDOW_NS (15 * QB_NS_PER_SEC) /* two of them make the base */

struct qb_owd_dir {
	bool has_sample;
	int64_t latest_ns, smoothed_ns;
	int64_t min_ns[2];  /* of this window and the one before */
	uint64_t window_ns; /* when this one began */
};

struct qb_owd {
	struct qb_owd_dir tx, rx; /* towards the peer, from it */
};

void qb_owd_update(struct qb_owd_dir *d, int64_t delay_ns, uint64_t now_ns);
static inline int64_t qb_owd_base_ns(const struct qb_owd_dir *d)
{
	return QB_MIN(d->min_ns[0], d->min_ns[1]);
}
/* qb_owd_queue_ns is how much longer than the base packets take lately. */
static inline uint64_t qb_owd_queue_ns(const struct qb_owd_dir *d)
{
	return d->smoothed_ns > qb_owd_base_ns(d) ? (uint64_t)(d->smoothed_ns - qb_owd_base_ns(d))
						  : 0;
}
