/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bringing a slower path into use. The receiver waits for a path only while it hears from it; the
 * first packets on one that was quiet would be taken for lost, and reach their flow out of order.
 * So first a few copies of what the faster paths carry go that way: the receiver drops them, but
 * learns how far the path lags.
 */
#pragma once

#include "bond/bond.h"

struct qb_warm {
	uint64_t tx_ns[QB_BOND_PATHS_MAX];    /* when the last numbered packet left by the path */
	uint64_t since_ns[QB_BOND_PATHS_MAX]; /* since when there was no pause */
	uint64_t copy_ns[QB_BOND_PATHS_MAX];  /* when the last copy left */
};

void qb_warm_reset(struct qb_warm *w, uint8_t path);
/* qb_warm_is_ready: the receiver knows that the path, lag_ns behind the fastest, is in use. */
bool qb_warm_is_ready(const struct qb_warm *w, uint8_t path, uint64_t lag_ns, uint64_t now_ns);
/* qb_warm_wants_copy: time for another copy. */
bool qb_warm_wants_copy(const struct qb_warm *w, uint8_t path, uint64_t now_ns);
void qb_warm_on_sent(struct qb_warm *w, uint8_t path, bool is_copy, uint64_t now_ns);
