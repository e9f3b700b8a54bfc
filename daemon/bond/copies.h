/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Duplication: whether a packet is to go by more than one link. On demand (a policy, the redundant
 * scheduler), or for calls when it pays: the best link loses or jitters, and another one has room.
 * Internal to bond/.
 */
#pragma once

#include "bond/bond.h"
#include "bond/quality.h"

struct qb_copies {
	bool pays;	  /* for calls */
	uint8_t why_path; /* the best link, as of the last look */
	double why_loss;
	uint64_t why_jitter_ns;
	bool is_back;	    /* the best link failed, and came back a moment ago */
	uint64_t since_ns;  /* of pays */
	uint64_t rate_bps;  /* of all links */
	uint64_t filled_ns; /* the budget, a token bucket, as the time when it began to fill */
};

/* What is known of each path beside its view. */
struct qb_copies_know {
	const struct qb_quality *quality;
	const uint64_t *lag_ns;
	uint32_t back; /* those that failed, and came back a moment ago: a bit each */
};

/* qb_copies_look decides anew; views as the schedulers see them. */
void qb_copies_look(struct qb_copies *c, const struct qb_path_view *views, uint32_t n,
		    const struct qb_copies_know *know, uint64_t now_ns);
/*
 * qb_copies_wanted: how many links are to carry the packet, usually 1. treat may be NULL;
 * sched_copies is what its scheduler asks for. Copies that nobody asked for are taken from the
 * budget.
 */
uint32_t qb_copies_wanted(struct qb_copies *c, const struct qb_treatment *treat,
			  uint32_t sched_copies, const struct qb_buf *b, uint64_t now_ns);
/* qb_copies_spend takes so much from the budget; false: there is not enough in it. */
bool qb_copies_spend(struct qb_copies *c, uint32_t bytes, uint64_t now_ns);
/* qb_copies_is_call: its class is realtime; or it has none, and is a datagram of a sparse flow. */
bool qb_copies_is_call(const struct qb_buf *b);
/* qb_copies_reason writes whether and why calls are sent twice. */
void qb_copies_reason(const struct qb_copies *c, char *buf, size_t len);
