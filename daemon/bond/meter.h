/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which flows are heavy, in one direction of a bond: found by looking at a sample of the packets,
 * about as many a second whatever the rate is, so that what it costs is bounded. Every byte is
 * booked on the flow of the packet that was looked at next: sums are exact, and a flow's part is
 * the closer to the truth the heavier it is. At low rates every packet is looked at. Part of the
 * front door: who asks for the list gets these entries.
 */
#pragma once

#include "base/addr.h"
#include "base/hash.h"

enum {
	QB_METER_FLOWS = 32, /* remembered; the lightest gives way to one that is not yet known */
	QB_METER_PATHS = 8,
	QB_METER_PER_SECOND = 2000, /* packets that are looked at, about */
};

/* A flow as it was lately: in the window that runs and the one before, a second each. */
struct qb_meter_flow {
	struct qb_addr src, dst;
	uint8_t proto;
	uint8_t class; /* enum qb_class; 0: not known */
	uint32_t back_hash; /* of the flow the other way */
	uint64_t since_ns, seen_ns;
	uint64_t bytes;	       /* in all */
	uint64_t drops, marks; /* by this end's queue */
	struct qb_meter_part {
		uint32_t bytes, samples;
		uint32_t by_path[QB_METER_PATHS]; /* bytes */
		uint64_t delay_sum_ns, delay_max_ns;
	} now, last;
};

struct qb_meter {
	int64_t left_bytes;  /* until the next look */
	uint32_t gone_bytes; /* since the last */
	uint32_t step_bytes; /* between two looks, on average */
	uint32_t look_cnt;   /* in this window */
	uint64_t window_ns, last_span_ns, window_bytes;
	uint64_t random;
	uint32_t hash[QB_METER_FLOWS]; /* apart: looking for one reads just these; 0: free */
	struct qb_meter_flow *flows;   /* one is touched when it is first used */
};

/* What is noted of a packet that is looked at. */
struct qb_meter_look {
	const uint8_t *ip;
	uint32_t len;
	uint8_t path, class;
	uint64_t delay_ns; /* that it spent waiting here */
};

/* qb_meter_init is given memory for QB_METER_FLOWS of them. */
void qb_meter_init(struct qb_meter *m, struct qb_meter_flow *flows, uint64_t seed);
/* qb_meter_forget: of all flows. Their memory may be anything from then on. */
void qb_meter_forget(struct qb_meter *m);
/* qb_meter_wants counts a packet's bytes, and tells whether it is to be looked at. */
static inline bool qb_meter_wants(struct qb_meter *m, uint32_t bytes)
{
	m->gone_bytes += bytes;
	m->left_bytes -= bytes;
	return QB_UNLIKELY(m->left_bytes < 0);
}
/* qb_meter_look returns the packet's flow; NULL: it is none that can be read. */
const struct qb_meter_flow *qb_meter_look(struct qb_meter *m, const struct qb_hash_key *key,
					  const struct qb_meter_look *look, uint64_t now_ns);
/* qb_meter_on_drop and _mark: the queue dropped or marked a packet of that flow. */
void qb_meter_on_drop(struct qb_meter *m, uint32_t hash);
void qb_meter_on_mark(struct qb_meter *m, uint32_t hash);
/* qb_meter_settle ends windows that are over: before the flows are read. False: nothing went by
 * lately. */
bool qb_meter_settle(struct qb_meter *m, uint64_t now_ns);
/* qb_meter_bps is a flow's rate, from the two windows. */
uint64_t qb_meter_bps(const struct qb_meter *m, const struct qb_meter_flow *f, uint64_t now_ns);
