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
	int32_t skew_ms; /* up takes so much more than half of the round trip, down so much less */
	uint32_t jitter_ms;	 /* mean of a one-way delay on top, in order */
	double loss_down, loss_up; /* 0..1 */
	/* What happens to it in the course of time; 0: nothing of the kind. */
	double burst_p;			     /* of each packet to begin a run of losses, of burst_pkts on average */
	uint32_t burst_pkts;
	uint32_t delay_every_ms, delay_more_ms; /* each second span of so long, its round trip is longer by that */
	uint32_t rate_every_ms;		     /* likewise its rate is a part of what it was */
	double rate_part;
	uint32_t flap_up_ms, flap_down_ms; /* works for so long, then is dead for so long, and so on */
};

struct sim_set {
	const char *name;
	uint32_t link_cnt;
	struct sim_set_link link[SIM_LINKS_MAX];
	/* change, if any, is called each 100 ms with the time since the start, for one link (its index in the set) at a time. */
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
	uint32_t trace_ms;		    /* print a line so often; 0: never */
	const char *scheduler, *congestion; /* NULL: the defaults */
};

struct sim_set_result {
	double mbps;
	double call_mbps; /* what the call that goes the same way had */
	double call_loss; /* the worse direction's */
	double call_p95_ms, call_p99_ms, call_max_ms;
	uint64_t dropped, repaired, timed_out;
};

/* sim_set_draw makes up a set; a restless one has links with bursts of loss, steps of delay or rate, or that flap. */
void sim_set_draw(uint64_t seed, bool is_restless, struct sim_set *out);
/* sim_set_describe writes the links' figures. */
void sim_set_describe(const struct sim_set *set, char *buf, size_t cap);
/* sim_set_go runs it. False: the links did not come up. */
bool sim_set_go(const struct sim_set *set, const struct sim_set_run *run, struct sim_set_result *out);
/*
 * sim_set_best_mbps runs links alone for the result of the best; with sum_mbps, which may be NULL, all of them for the sum of
 * what they carry, each its call, too.
 */
double sim_set_best_mbps(const struct sim_set *set, const struct sim_set_run *run, double *sum_mbps);
/* sim_set_quiet_ms is what the calls' p95 is on the quickest link, which carries nothing else: jitter and all. */
double sim_set_quiet_ms(const struct sim_set *set, const struct sim_set_run *run);
/*
 * sim_set_trace prints what the sender and receiver of a way, its paths and a flow look like: a line, for whoever looks for the cause
 * of a bad figure.
 */
void sim_set_trace(struct sim *s, enum sim_dir dir, uint32_t flow, uint64_t at_ms);
