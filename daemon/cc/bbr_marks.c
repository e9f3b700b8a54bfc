/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CE marks, for auto.c. A mark while no queue stands is a burst's: an AQM that marks from a few
 * packets on marks those that leave together, from a worker that was woken late or behind a router
 * that aggregates. Such a mark bounds what is in flight to what the path holds, and takes nothing
 * off the rate. A queue that stands and is marked is answered as a loss (bbr_loss.c).
 *
 * Called by the other bbr_*.c files; says no to versions that are not guided.
 */
#include "cc/bbr.h"

enum {
	MARKS_ROUNDS = 16, /* RFC 8257 §4.2: g is 1/16 */
};

/* Below this part of packets marked, a mark in UP is the probe's own queue, and the first news of
 * it. */
static const double MARKS_QUIET = 0.01;

bool qb_bbr_marks_are_burst(const struct qb_bbr *b)
{
	if (!b->par->is_guided || qb_bbr_guide_has_queue(b))
		return false;
	/* In Startup bursts are marked, too, as long as the rate grows. */
	if (b->state == QB_BBR_STARTUP)
		return !b->full.cnt;
	return b->state != QB_BBR_UP || b->marks.part > MARKS_QUIET;
}

void qb_bbr_marks_on_ecn(struct qb_bbr *b, const struct qb_cc_ecn *ev)
{
	b->marks.ce_pkts += ev->ce_pkts;
	b->marks.all_pkts += ev->ce_pkts + ev->ect_pkts;
}

/* held_bytes: what the path itself holds, in flight and in ACKs that come together. */
static uint64_t held_bytes(const struct qb_bbr *b)
{
	return qb_bbr_volume(1, b->bw_bps, qb_bbr_guide_rtt_ns(b)) + b->agg.extra_bytes;
}

/* bound_bursts lowers the window in proportion to the marks (RFC 8257 §3.3), once a round. */
static void bound_bursts(struct qb_bbr *b)
{
	uint64_t bytes = QB_MIN(b->loss.inflight_short_bytes, b->cwnd_bytes);

	bytes = (uint64_t)((1 - b->marks.part / 2) * (double)bytes);
	b->loss.inflight_short_bytes = QB_MAX(bytes, held_bytes(b));
}

void qb_bbr_marks_on_round(struct qb_bbr *b)
{
	struct qb_bbr_marks *m = &b->marks;
	double part = (double)m->ce_pkts / (double)QB_MAX(m->all_pkts, (uint64_t)1);

	/* What is marked in UP is the probe's own. */
	if (m->all_pkts && b->state != QB_BBR_UP)
		m->part += (part - m->part) / MARKS_ROUNDS;
	m->ce_pkts = m->all_pkts = 0;
	if (m->has_burst && (b->state == QB_BBR_CRUISE || b->state == QB_BBR_DOWN))
		bound_bursts(b);
	m->has_burst = false;
}

uint64_t qb_bbr_marks_headroom_bytes(const struct qb_bbr *b, uint64_t room_bytes)
{
	if (!b->par->is_guided || !b->marks.is_long)
		return room_bytes;
	return QB_MIN(room_bytes, qb_sub_sat_u64(b->loss.inflight_long_bytes, held_bytes(b)));
}
