/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Link sets: several links as they are found in the field, run with TCP-like flows and calls, all together or one link
 * alone. The promises of bonding are ratios between such runs.
 */
#pragma once

#include "sim.h"

enum { SIM_SET_ALL = UINT32_MAX };

struct sim_set_link {
	double down_mbps, up_mbps;
	uint32_t rtt_ms, queue_ms;
	int32_t skew_ms; /* added to the one-way delay up, and taken off the one down */
	uint32_t jitter_ms;	 /* mean of an additional one-way delay that keeps the order */
	double loss_down, loss_up; /* 0..1 */
	/* How the link changes over time; 0: not in this way. */
	double burst_p; /* chance of each packet to begin a burst of losses, of burst_pkts on average */
	uint32_t burst_pkts;
	uint32_t delay_every_ms, delay_more_ms; /* every other span, its round trip is longer by that */
	uint32_t rate_every_ms;			/* every other span, its rate is rate_part of what it was */
	double rate_part;
	uint32_t flap_up_ms, flap_down_ms; /* how long it works, and is dead, in turns */
};

struct sim_set {
	const char *name;
	uint32_t link_cnt;
	struct sim_set_link link[SIM_LINKS_MAX];
	/* If set, called every 100 ms for each link (its index in the set) with the time since the start. */
	void (*change)(struct qb_netem_params *p, uint32_t link, enum sim_dir dir, uint64_t at_ms);
};

struct sim_set_run {
	uint64_t seed;
	uint32_t only; /* this link alone, or SIM_SET_ALL */
	enum sim_dir dir;
	uint32_t flows;
	bool is_quic; /* the flows are QUIC-like, not TCP-like */
	const char *inner; /* they are our own QUIC, with this controller; NULL: they are models */
	uint32_t settle_ms, span_ms;
	bool has_calls;
	uint32_t trace_ms;		    /* print a line every so many ms; 0: none */
	const char *scheduler, *congestion; /* NULL: the defaults */
};

struct sim_set_result {
	double mbps;
	double call_mbps; /* rate of the call in the same direction */
	double call_loss; /* the worse direction's */
	double call_p95_ms, call_p99_ms, call_max_ms;
	uint64_t dropped, repaired, timed_out;
};

/* sim_set_draw draws a set by seed; a restless one has links that lose in bursts, change delay or rate, or flap. */
void sim_set_draw(uint64_t seed, bool is_restless, struct sim_set *out);
/* sim_set_describe writes the links' figures. */
void sim_set_describe(const struct sim_set *set, char *buf, size_t cap);
/* sim_set_go runs it. False: the links did not come up. */
bool sim_set_go(const struct sim_set *set, const struct sim_set_run *run, struct sim_set_result *out);
/*
 * sim_set_best_mbps runs links alone, and returns the best one's rate. With sum_mbps (may be NULL) it runs all of them, for the
 * sum of what they carry, their calls included.
 */
double sim_set_best_mbps(const struct sim_set *set, const struct sim_set_run *run, double *sum_mbps);
/* sim_set_quiet_ms: the calls' p95 on the quickest link without other traffic. */
double sim_set_quiet_ms(const struct sim_set *set, const struct sim_set_run *run);
/* sim_set_trace prints a line with the state of a direction's sender, receiver, paths and a flow, to find the cause of a bad figure. */
void sim_set_trace(struct sim *s, enum sim_dir dir, uint32_t flow, uint64_t at_ms);
