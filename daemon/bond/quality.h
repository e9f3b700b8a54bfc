/* SPDX-License-Identifier: BSD-2-Clause */
/* What is measured of a link: recent loss, jitter, share of the traffic. Internal to bond/. */
#pragma once

#include "bond/bond.h"

enum {
	QB_QUALITY_BUCKETS = 10, /* of a second */
	QB_QUALITY_LOSS_MEMORY_PKTS = 512,
	QB_QUALITY_SPANS = 5, /* of loss, of which the best counts */
};

/* Why a packet left by the link that it left by. */
enum qb_sent_why {
	QB_SENT_CHOSEN, /* by the scheduler */
	QB_SENT_RULED,	/* its policy names the link, or a scheduler of its own */
	QB_SENT_KEPT,	/* its flow keeps to the link */
	QB_SENT_EXTRA,	/* it is a copy, or a repair symbol */
	QB_SENT_WHY_CNT,
};

struct qb_quality {
	uint64_t acked_packets, lost_packets; /* as of the last observation */
	uint64_t observed_ns;
	double loss; /* recent, 0..1 */
	/*
	 * What the link loses whatever we do, 0..1. A queue that overflows loses in bursts (in slow
	 * start, or when the rate falls), a bad radio all the time: so it is the loss of the best
	 * of the last few spans, and of those that differ from it by chance only, if most of the
	 * spans had any. Where so much is lost that there is no doubt, as behind a policer, fewer
	 * spans do.
	 */
	double steady_loss;
	double span_loss[QB_QUALITY_SPANS];
	uint32_t span_pkts[QB_QUALITY_SPANS];
	/* The span that runs: packets acknowledged and lost, bytes sent. */
	uint64_t span_start_ns, span_acked, span_lost, span_tx_bytes;
	uint64_t lossy_bps; /* what got through in the last span, if it had losses; else 0 */
	uint32_t span_cnt, start_span_cnt;
	bool is_span_starting; /* the link's controller was in slow start at some time in it */
	bool is_ruined;	       /* the last few spans had one in which too much was lost */
	bool is_bad;	       /* it lost BAD_LOSS or more, and has not made up for that */
	double bad_loss;       /* the most that was held against it since its last chance */
	uint32_t relapse_cnt;  /* how often it got another chance and lost as much again */
	uint64_t jitter_ns;    /* RFC 9002's rttvar */
	uint32_t tx_bytes[QB_QUALITY_BUCKETS];
	uint64_t tx_epoch; /* the newest bucket's, in tenths of a second */
	/* Of the last few dozen packets, those that left for each reason but that they were chosen to; of UINT16_MAX. */
	uint16_t why_parts[QB_SENT_WHY_CNT];
	bool is_told; /* there have been such lately */
};

void qb_quality_reset(struct qb_quality *q);
void qb_quality_observe(struct qb_quality *q, const struct qb_path_obs *obs, uint64_t now_ns);
/* qb_quality_skip ignores what was acknowledged and lost up to now: an outage is no loss rate. */
void qb_quality_skip(struct qb_quality *q, const struct qb_path_obs *obs, uint64_t now_ns);
void qb_quality_on_sent(struct qb_quality *q, uint32_t bytes, uint64_t now_ns);
void qb_quality_add_why(struct qb_quality *q, enum qb_sent_why why);
/* qb_quality_note_why: a packet leaves for the first time, or is an extra one. */
static inline void qb_quality_note_why(struct qb_quality *q, enum qb_sent_why why)
{
	if (QB_UNLIKELY(q->is_told || why != QB_SENT_CHOSEN))
		qb_quality_add_why(q, why);
}
/* qb_quality_is_mostly: most of what left of late did so for that reason. */
static inline bool qb_quality_is_mostly(const struct qb_quality *q, enum qb_sent_why why)
{
	return q->why_parts[why] > UINT16_MAX / 2;
}
/* qb_quality_tx_bytes: sent in the last second. */
uint64_t qb_quality_tx_bytes(const struct qb_quality *q, uint64_t now_ns);
