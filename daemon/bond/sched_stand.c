/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bound on how long bulk waits. Schedulers let it wait although a path has room: that path is
 * slower, or loses much, or is left out for the sake of others. When those others take nothing for
 * longer than a receiver would have waited for the slower path, that was wrong, whatever the reason:
 * bulk then leaves by the quickest path that has room, until the scheduler chooses one again. Called
 * by qb_sched_decide.
 */
#include "bond/sched.h"

#define STAND_MAX_NS (QB_SCHED_LAG_MAX_MS * QB_NS_PER_MS)

/* quickest_free returns the path with the least delay that takes the packet now, or -1. */
static int quickest_free(const struct qb_sched_ask *ask)
{
	uint64_t best_ns = QB_NEVER_NS;
	int best = -1;

	for (uint32_t i = 0; i < ask->n; i++) {
		uint64_t delay_ns;

		if (!qb_view_can_send(&ask->v[i], ask->pkt->bytes))
			continue;
		delay_ns = qb_view_delay_ns(&ask->v[i], QB_DELAY_BY_RTT);
		if (delay_ns >= best_ns)
			continue;
		best_ns = delay_ns;
		best = (int)i;
	}
	return best;
}

int qb_sched_stand(struct qb_sched_stand *s, struct qb_counters *counters, const struct qb_sched_ask *ask, int path)
{
	bool is_going_on = ask->now_ns - s->asked_ns <= STAND_MAX_NS;
	int free;

	if (path != QB_SCHED_WAIT) {
		s->since_ns = 0;
		return path;
	}
	free = quickest_free(ask);
	if (free < 0)
		return QB_SCHED_WAIT;
	if (!s->since_ns || !is_going_on)
		s->since_ns = ask->now_ns;
	s->asked_ns = ask->now_ns;
	if (ask->now_ns - s->since_ns < STAND_MAX_NS)
		return QB_SCHED_WAIT;
	qb_count(counters, QB_CNT_SCHED_STOOD);
	return free;
}
