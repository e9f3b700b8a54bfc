/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What controllers of the Reno family share: slow start with HyStart++ (RFC 9406), recovery periods
 * with PRR (RFC 9937), the minimum window, and undoing a spurious reduction (RFC 9002 §7). The
 * algorithm says how the window grows in congestion avoidance and how far it falls.
 */
#pragma once

#include "cc/hystart.h"
#include "cc/prr.h"

struct qb_reno {
	uint64_t cwnd_bytes;
	uint64_t ssthresh_bytes; /* UINT64_MAX: none yet */
	uint64_t recovery_start_ns;
	double growth_bytes;			       /* not yet a whole byte of window */
	uint64_t undo_cwnd_bytes, undo_ssthresh_bytes; /* 0: nothing to undo */
	uint64_t min_cwnd_bytes;
	uint32_t mss_bytes;
	bool is_in_recovery;
	struct qb_hystart hystart;
	struct qb_prr prr;
};

void qb_reno_init(struct qb_reno *r, const struct qb_cc_cfg *cfg);
void qb_reno_on_sent(struct qb_reno *r, const struct qb_cc_sent *ev);
/* qb_reno_on_ack handles recovery and slow start. True: congestion avoidance, so the algorithm lets
 * the window grow. */
bool qb_reno_on_ack(struct qb_reno *r, const struct qb_cc_ack *ev);
/* qb_reno_grow adds to the window; fractions of a byte are kept. It never shrinks it below the
 * minimum. */
void qb_reno_grow(struct qb_reno *r, double bytes);
/* qb_reno_is_new_event: the loss or mark does not belong to the present recovery period. */
bool qb_reno_is_new_event(const struct qb_reno *r, const struct qb_cc_loss *ev);
/* qb_reno_reduce begins a recovery period that ends with that window, or the minimum. */
void qb_reno_reduce(struct qb_reno *r, uint64_t cwnd_bytes, const struct qb_cc_loss *ev);
/* qb_reno_after_loss comes after the reduction, if there was one: the minimum window for persistent
 * congestion (RFC 9002 §7.6.2). */
void qb_reno_after_loss(struct qb_reno *r, const struct qb_cc_loss *ev);
void qb_reno_on_spurious(struct qb_reno *r);
void qb_reno_view(const struct qb_reno *r, struct qb_cc_view *out);

/* qb_reno_mark: a mark as a loss of no bytes, for those that answer both alike (RFC 9002 §7.1). */
static inline struct qb_cc_loss qb_reno_mark(const struct qb_cc_ecn *ev)
{
	return (struct qb_cc_loss){
		.now_ns = ev->now_ns,
		.largest_sent_ns = ev->largest_sent_ns,
		.in_flight_bytes = ev->in_flight_bytes,
		.delivered_bytes = ev->delivered_bytes,
	};
}

static inline uint64_t qb_reno_min_cwnd(const struct qb_reno *r)
{
	return r->min_cwnd_bytes;
}

static inline bool qb_reno_is_slow_start(const struct qb_reno *r)
{
	return r->cwnd_bytes < r->ssthresh_bytes;
}

/* qb_reno_increase is the classic growth for so many acknowledged bytes: a packet a window. */
static inline double qb_reno_increase(const struct qb_reno *r, uint64_t acked_bytes)
{
	return (double)r->mss_bytes * (double)acked_bytes / (double)r->cwnd_bytes;
}
