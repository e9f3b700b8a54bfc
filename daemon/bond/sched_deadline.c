/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deadlines: a packet with one takes the free path on which it arrives first, if that is in time; it
 * does not wait for a better one, as with auto. It waits while a path that is busy now can still make
 * it. What no path can deliver in time is dropped at once, and counted: it would only delay those
 * behind it. The queue serves the earliest deadline first (queue.c).
 *
 * A deadline that even the quickest path cannot meet is extended by what that one takes: a setting
 * must not stop all traffic. Packets without a deadline are left to auto.
 */
#include "bond/sched.h"

/* A path's delay may exceed the expected one by this. */
#define MARGIN_RTTVARS 1
/* The part of a deadline that may be spent waiting here, however long paths take. */
#define WAIT_PART 4

static void deadline_init(void *st)
{
	qb_sched_auto.init(st);
}

/* delay_of: until the packet's last byte has arrived. One-way delays are known as differences only,
 * so half of the round trip has to do. */
static uint64_t delay_of(const struct qb_path_view *v, const struct qb_pkt_meta *pkt)
{
	return qb_view_delay_ns(v, QB_DELAY_BY_RTT) + v->rttvar_ns * MARGIN_RTTVARS +
	       qb_view_tx_ns(v, pkt->bytes);
}

struct offer {
	uint64_t arrival_ns; /* from now, with the wait for a slot; QB_NEVER_NS: none */
	int path;
};

static void better(struct offer *o, uint64_t arrival_ns, uint32_t path)
{
	if (arrival_ns < o->arrival_ns)
		*o = (struct offer){arrival_ns, (int)path};
}

/*
 * holds_up: the packet can wait for a better path than the one that is free, but so much is queued
 * behind it that the better paths alone would be too late for the newest. If it is dropped a younger
 * one can take the free path: else all would wait until they are as old as they may be, and only the
 * quickest path would be used.
 */
static bool holds_up(const struct qb_path_view *v, uint32_t n, const struct qb_pkt_meta *pkt,
		     const struct offer *free, uint64_t useful_ns, uint64_t least_ns)
{
	uint64_t better_bps = 0;

	if (free->path < 0 || free->arrival_ns > useful_ns)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (qb_view_fits(&v[i], pkt->bytes) && delay_of(&v[i], pkt) < free->arrival_ns)
			better_bps += qb_view_rate_bps(&v[i]);
	return better_bps &&
	       pkt->queued_bytes * 8 * QB_NS_PER_SEC / better_bps > useful_ns - least_ns;
}

static int deadline_pick(void *st, const struct qb_path_view *v, uint32_t n,
			 const struct qb_pkt_meta *pkt, uint64_t now_ns)
{
	struct offer free = {QB_NEVER_NS, QB_SCHED_WAIT}, any = free;
	uint64_t least_ns = QB_NEVER_NS, useful_ns, left_ns;

	if (pkt->deadline_ns == 0)
		return qb_sched_auto.pick(st, v, n, pkt, now_ns);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t delay_ns, arrival_ns;

		if (!qb_view_fits(&v[i], pkt->bytes))
			continue;
		delay_ns = delay_of(&v[i], pkt);
		arrival_ns = delay_ns + qb_view_wait_ns(&v[i], pkt, now_ns);
		least_ns = qb_min_u64(least_ns, delay_ns);
		better(&any, arrival_ns, i);
		if (qb_view_can_send(&v[i], pkt->bytes))
			better(&free, arrival_ns, i);
	}
	if (any.path < 0)
		return QB_SCHED_WAIT;
	useful_ns = qb_max_u64(pkt->deadline_ns, least_ns + pkt->deadline_ns / WAIT_PART);
	left_ns = qb_sub_sat_u64(useful_ns, pkt->age_ns);
	if (free.arrival_ns <= left_ns)
		return free.path;
	if (any.arrival_ns > left_ns || holds_up(v, n, pkt, &free, useful_ns, least_ns))
		return QB_SCHED_LATE;
	return QB_SCHED_WAIT;
}

const struct qb_sched qb_sched_deadline = {
	.name = "deadline",
	.state_bytes = QB_SCHED_AUTO_BYTES,
	.has_deadlines = true,
	.init = deadline_init,
	.pick = deadline_pick,
};
