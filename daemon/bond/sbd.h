/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared bottlenecks: two links whose packets wait in one queue, like two SIM cards in one cell.
 * Such links are one when it comes to protection: what is lost or late on one of them is on the
 * other. What counts is the way towards the peer, where it tells arrival times; else the round trip
 * has to do. Internal to bond/.
 */
#pragma once

#include "bond/bond.h"

enum {
	QB_SBD_INTERVALS = 64, /* that are compared */
	QB_SBD_LEN_MS = 200,   /* of each */
};

struct qb_sbd_path {
	uint64_t acked_packets;
	bool has_owd;
	int64_t from_ns; /* what delays are told against */
	uint64_t sum_ns;
	uint32_t cnt;
	uint32_t mean_us[QB_SBD_INTERVALS]; /* of the delay, a ring; 0: not known */
};

struct qb_sbd {
	uint64_t end_ns; /* of the present interval */
	uint32_t cnt;	 /* intervals so far */
	uint32_t sample_cnt; /* in the present one, of all paths */
	uint32_t fresh_cnt;  /* so many more until nothing is known of any path */
	struct qb_sbd_path path[QB_BOND_PATHS_MAX];
	int8_t votes[QB_BOND_PATHS_MAX][QB_BOND_PATHS_MAX]; /* for sharing; below 0 against */
	uint8_t partners[QB_BOND_PATHS_MAX];		    /* who shares with it, a bit each */
};

void qb_sbd_reset(struct qb_sbd *s, uint8_t path);
/* qb_sbd_expect: the two share a bottleneck, by all that is known; what is measured may say otherwise
 * later. */
void qb_sbd_expect(struct qb_sbd *s, uint8_t a, uint8_t b);
void qb_sbd_observe(struct qb_sbd *s, uint8_t path, const struct qb_path_obs *obs, uint64_t now_ns);
