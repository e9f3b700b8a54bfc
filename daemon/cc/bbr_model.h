/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every BBR measures: windowed maxima, packet-timed rounds, the full-pipe test and the degree
 * of ACK aggregation (draft-ietf-ccwg-bbr-06 §5.3.1.2, §5.5). Used by bbr1.c and by the machine of
 * the later versions (bbr.h).
 */
#pragma once

#include "cc/cc.h"

/* A windowed maximum after Kathleen Nichols: the best sample of the window and the best of what
 * came after it, twice. */
struct qb_bbr_max {
	struct {
		uint64_t value, at;
	} best[3];
};

void qb_bbr_max_reset(struct qb_bbr_max *m, uint64_t value, uint64_t at);
/* qb_bbr_max_update takes a sample of the (virtual) time `at` and returns the maximum over the last
 * `window`. */
uint64_t qb_bbr_max_update(struct qb_bbr_max *m, uint64_t value, uint64_t at, uint64_t window);

struct qb_bbr_round {
	uint64_t next_delivered_bytes; /* the round ends with a packet that was sent after so much
					  was delivered */
	uint64_t cnt;
	bool is_start; /* the present ACK began a round */
};

/* qb_bbr_round_update: RS.prior_delivered tells which round the acknowledged packet was sent in. */
void qb_bbr_round_update(struct qb_bbr_round *r, const struct qb_cc_ack *rs);

static inline void qb_bbr_round_begin(struct qb_bbr_round *r, uint64_t delivered_bytes)
{
	r->next_delivered_bytes = delivered_bytes;
}

struct qb_bbr_full {
	uint64_t base_bps;
	uint32_t cnt;
	bool is_now;	 /* since the last reset */
	bool is_reached; /* ever */
};

void qb_bbr_full_reset(struct qb_bbr_full *f, uint64_t base_bps);
void qb_bbr_full_update(struct qb_bbr_full *f, const struct qb_bbr_round *r,
			const struct qb_cc_ack *rs);

struct qb_bbr_agg {
	struct qb_bbr_max filter;
	uint64_t start_ns, delivered_bytes;
	uint64_t extra_bytes; /* delivered at once beyond what the rate explains */
};

void qb_bbr_agg_update(struct qb_bbr_agg *a, uint64_t bw_bps, uint64_t cwnd_bytes, uint64_t round,
		       uint64_t window_rounds, const struct qb_cc_ack *rs);

/* qb_bbr_volume is how many bytes a rate carries in a time, times a gain. */
static inline uint64_t qb_bbr_volume(double gain, uint64_t rate_bps, uint64_t time_ns)
{
	return (uint64_t)(gain * (double)rate_bps * (double)time_ns / 8e9);
}
