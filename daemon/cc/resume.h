/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Careful resume (RFC 9959): a path whose capacity was measured at an earlier time need not find it
 * again from the initial window. This stands between the transport and whatever controller the path
 * has: it sees the same events, and may widen or narrow the controller's view. The controller
 * itself learns by what is acknowledged, as in any slow start.
 *
 *     reconnaissance ─> unvalidated ─> validating ─> normal
 *          │                └──────┬───────┘          ^
 *          │                       v (loss or mark)   │
 *          └──────> normal   safe retreat ────────────┘
 *
 *     reconnaissance  the initial window; the path's RTT must fit what was saved
 *     unvalidated     for a round trip, half of the saved window, paced over the RTT
 *     validating      as much as is in flight, until all of that is acknowledged
 *     safe retreat    half of what was acknowledged, until the jump's packets are settled
 *
 * Meanwhile and ever after it observes what the path delivers, for the next time.
 */
#pragma once

#include "cc/cc.h"

/* What is saved of a path (RFC 9959 §4: saved_cwnd, saved_rtt). */
struct qb_known {
	uint64_t cwnd_bytes; /* delivered in a minimum RTT; 0: nothing is known */
	uint64_t rtt_ns;
};

enum qb_resume_phase {
	QB_RESUME_NORMAL,
	QB_RESUME_RECON,
	QB_RESUME_UNVALIDATED,
	QB_RESUME_VALIDATING,
	QB_RESUME_RETREAT,
	QB_RESUME_PHASE_CNT
};

struct qb_resume {
	enum qb_resume_phase phase;
	struct qb_known saved;
	uint64_t init_bytes, min_bytes; /* the initial and the least window */
	uint64_t acked_bytes;		/* so far */
	uint64_t pipe_bytes;		/* PipeSize: what the path is known to hold */
	uint64_t bound_bytes; /* the window of the phase: at least (unvalidated, validating), at
				 most */
	uint64_t jump_ns, last_ns; /* when the first and the last unvalidated packet were sent */
	bool is_refused;	   /* the path did not hold what was saved */
	struct {
		uint64_t best_bps[2], end_ns, rtt_ns;
		bool is_loaded; /* something in this slot was not application-limited */
	} seen;
};

/* qb_resume_init begins without any knowledge; cfg is the controller's. */
void qb_resume_init(struct qb_resume *r, const struct qb_cc_cfg *cfg);
/* qb_resume_seed gives what was saved of the path; of no use once it has carried more than the
 * initial window. */
void qb_resume_seed(struct qb_resume *r, const struct qb_known *saved);
/* The controller's events, after it has had them. */
void qb_resume_on_sent(struct qb_resume *r, const struct qb_cc_sent *ev);
void qb_resume_on_ack(struct qb_resume *r, const struct qb_cc_ack *ev);
void qb_resume_on_loss(struct qb_resume *r, const struct qb_cc_loss *ev);
void qb_resume_on_ecn(struct qb_resume *r, const struct qb_cc_ecn *ev);
/* qb_resume_view changes what the controller wants to what the phase says. */
void qb_resume_view(const struct qb_resume *r, uint64_t srtt_ns, struct qb_cc_view *v);
/* qb_resume_observed tells what is worth saving; false: too little was seen of the path. */
bool qb_resume_observed(const struct qb_resume *r, struct qb_known *out);
const char *qb_resume_phase_name(enum qb_resume_phase phase);
