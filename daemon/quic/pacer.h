/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pacing of one path: a token bucket filled at the pacing rate. Credit is kept in billionths of a bit, so
 * that no rate loses anything to rounding.
 */
#pragma once

#include "base/base.h"

struct qb_pacer {
	uint64_t rate_bps;   /* 0: not paced */
	uint64_t last_ns;
	int64_t credit_nbit; /* may go below zero: probes are not held back, but they count */
	uint32_t burst_bytes;
	bool has_waiting; /* data waits for the next credit: being woken late must not cost it its rate */
};

void qb_pacer_init(struct qb_pacer *p, uint64_t now_ns);
/* qb_pacer_set_rate changes the rate from now on; the burst is 1 ms of it, at least two packets. */
void qb_pacer_set_rate(struct qb_pacer *p, uint64_t rate_bps, uint32_t mtu_bytes, uint64_t now_ns);
/* qb_pacer_budget is how many bytes may leave at now_ns (UINT64_MAX: not paced). */
uint64_t qb_pacer_budget(const struct qb_pacer *p, uint64_t now_ns);
/* qb_pacer_next_ns is when `bytes` may leave; 0: now. bytes is at most the burst. */
uint64_t qb_pacer_next_ns(const struct qb_pacer *p, uint32_t bytes, uint64_t now_ns);
void qb_pacer_on_sent(struct qb_pacer *p, uint32_t bytes, uint64_t now_ns);
