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
	uint64_t since_ns;  /* of pays */
	uint64_t rate_bps;  /* of all links */
	uint64_t filled_ns; /* when the budget was full last, as it were */
};

/* qb_copies_look decides anew; views as the schedulers see them, quality and lag by path. */
void qb_copies_look(struct qb_copies *c, const struct qb_path_view *views, uint32_t n,
		    const struct qb_quality *quality, const uint64_t *lag_ns, uint64_t now_ns);
/*
 * qb_copies_wanted: how many links shall carry the packet, 1 for the usual case. treat may be NULL;
 * sched_copies is what its scheduler asks for. What is sent without being asked for is taken from
 * the budget.
 */
uint32_t qb_copies_wanted(struct qb_copies *c, const struct qb_treatment *treat,
			  uint32_t sched_copies, const struct qb_buf *b, uint64_t now_ns);
/* qb_copies_spend takes so much from the budget; false: there is not enough. */
bool qb_copies_spend(struct qb_copies *c, uint32_t bytes, uint64_t now_ns);
/* qb_copies_is_call: the packet is called one, or looks like one: a datagram of a flow that sends little. */
bool qb_copies_is_call(const struct qb_buf *b);
/* qb_copies_reason writes whether and why calls are sent twice. */
void qb_copies_reason(const struct qb_copies *c, char *buf, size_t len);
