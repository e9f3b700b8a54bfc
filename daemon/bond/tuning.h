/* SPDX-License-Identifier: BSD-2-Clause */
/* What the bond makes of its paths as a whole, and how it sets the queue by that. Internal. */
#pragma once

#include "bond/queue.h"
#include "bond/sched.h"

/* How a path's rate rises while it is found out. Times are 0 where it never happened. */
struct qb_growth {
	uint64_t rate_bps;  /* one of late, by which a rise is told */
	uint64_t most_bps;  /* the highest of late */
	uint64_t since_ns;  /* when it last rose */
	uint64_t dip_ns;    /* when it was last no lower than three quarters of rate_bps */
	uint64_t used_ns;   /* when it last had room to spare */
	uint64_t known_ns;  /* when it was last as high as the path allows */
	uint64_t served_ns; /* when the path last carried what is striped */
	uint64_t absent_ns; /* when it was last known to have failed */
};

struct qb_tuning {
	uint64_t next_ns; /* 0: at once */
	uint32_t absent;  /* paths that failed and may be back, a bit each; set before each look */
	uint32_t known;	  /* paths whose rate has been found out, a bit each */
	struct qb_growth growth[QB_BOND_PATHS_MAX];
	struct qb_sched_outlook outlook;
};

/* qb_tuning_is_due: the next qb_tuning_look will look. */
static inline bool qb_tuning_is_due(const struct qb_tuning *t, uint64_t now_ns)
{
	return now_ns >= t->next_ns;
}
/*
 * qb_tuning_look looks at the paths anew, if it is time, and sets the queue's AQM: a backlog has to
 * stand before a slower path is worth using (sched_auto.c), so CoDel must let it, and for longer
 * than the round trip of the flows inside may be. chosen: paths that may carry data, a bit each.
 * Returns whether it looked.
 */
bool qb_tuning_look(struct qb_tuning *t, struct qb_queue *q, const struct qb_path_view *views,
		    uint32_t n, uint32_t chosen, uint64_t now_ns);
/* qb_tuning_found: the path's rate has been found out by other means. */
void qb_tuning_found(struct qb_tuning *t, uint8_t path, uint64_t now_ns);
/* qb_tuning_reset: the slot has a new path. */
void qb_tuning_reset(struct qb_tuning *t, uint8_t path);
/*
 * qb_tuning_explain tells how a path is used, and writes why if it carries little. loss: its steady
 * one, 0 to 1. is_heeded: the scheduler goes by the outlook; if not, only what is wrong with the
 * path is written. is_only: there is no other that it could be behind.
 */
enum qb_link_use qb_tuning_explain(const struct qb_tuning *t, uint8_t path, double loss,
				   bool is_heeded, bool is_only, char *buf, size_t len);
