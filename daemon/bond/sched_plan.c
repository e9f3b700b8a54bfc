/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Schedulers that run outside of this folder, like BPF programs: a run costs a system call, so it
 * decides for several packets at once. Called by sched.c in place of a pick.
 *
 *     pick ─► plan of the packet's kind ──serves──► its next path
 *                  │ used up, out of date, other paths usable, or the path has no room
 *                  ▼
 *             run ──checked──► a new plan; nonsense ──► auto, for FAULT_NS
 *
 * Whatever the program answers, nothing leaves by a path that may not send, and nothing waits for
 * ever.
 */
#include "bond/sched.h"

/* For how long auto stands in after an answer that made no sense. */
#define FAULT_NS (100 * QB_NS_PER_MS)
/* An answer that has a packet wait for longer while a path is free makes no sense. */
#define STARVED_NS (250 * QB_NS_PER_MS)

struct plan {
	uint64_t until_ns;
	uint64_t wait_ns; /* when a run last answered "wait": it is not asked again at that time */
	uint32_t usable;  /* paths when it was made, a bit each */
	uint32_t next;
	struct qb_sched_answer answer;
};

struct plan_state {
	struct plan bulk, sparse;
	uint64_t fault_until_ns;
	uint64_t memory[QB_SCHED_MEMORY_WORDS];
	_Alignas(8) uint8_t stand_in[QB_SCHED_AUTO_BYTES]; /* auto's state */
};

_Static_assert(sizeof(struct plan_state) <= QB_SCHED_STATE_MAX, "a slot holds it");

void qb_sched_plan_init(void *st)
{
	struct plan_state *s = st;

	QB_BUG_ON(qb_sched_auto.state_bytes > sizeof(s->stand_in));
	memset(s, 0, sizeof(*s));
	qb_sched_auto.init(s->stand_in);
}

static uint32_t usable_paths(const struct qb_sched_ask *ask)
{
	uint32_t usable = 0;

	for (uint32_t i = 0; i < ask->n; i++)
		usable |= (uint32_t)qb_view_fits(&ask->v[i], ask->pkt->bytes) << i;
	return usable;
}

/* nonsense says what is wrong with an answer, or NULL. */
static const char *nonsense(const struct qb_sched_answer *a, uint32_t usable)
{
	if (a->cnt == 0)
		return "gave no picks";
	if (a->cnt > QB_SCHED_PICKS_MAX)
		return "gave more picks than there is room for";
	for (uint32_t i = 0; i < a->cnt; i++) {
		int path = a->pick[i];

		if (path != QB_SCHED_WAIT &&
		    (path < 0 || path >= QB_BOND_PATHS_MAX || !(usable >> path & 1)))
			return "picked a path that is not to be used";
	}
	return NULL;
}

static int stand_in(struct plan_state *s, const struct qb_sched_ask *ask)
{
	return qb_sched_auto.pick(s->stand_in, ask->v, ask->n, ask->pkt, ask->now_ns);
}

static int fail(const struct qb_sched *sched, struct plan_state *s, struct qb_counters *counters,
		const struct qb_sched_ask *ask, const char *what)
{
	qb_count(counters, QB_CNT_SCHED_FAULTS);
	sched->fault(sched, what);
	s->fault_until_ns = ask->now_ns + FAULT_NS;
	s->bulk.until_ns = s->sparse.until_ns = 0;
	return stand_in(s, ask);
}

/* starves: the packet waits and waits, and somewhere it could go. */
static bool starves(const struct qb_sched_ask *ask)
{
	if (ask->pkt->waited_ns < STARVED_NS)
		return false;
	for (uint32_t i = 0; i < ask->n; i++)
		if (qb_view_can_send(&ask->v[i], ask->pkt->bytes))
			return true;
	return false;
}

/* follow takes the plan's next path if that can take the packet; else what it says stays to be
 * said. */
static int follow(struct plan *p, const struct qb_sched_ask *ask)
{
	int path = p->answer.pick[p->next];

	if (path == QB_SCHED_WAIT || !qb_view_can_send(&ask->v[path], ask->pkt->bytes))
		return QB_SCHED_WAIT;
	p->next++;
	return path;
}

static bool serves(const struct plan *p, const struct qb_sched_ask *ask, uint32_t usable)
{
	return ask->now_ns < p->until_ns && p->usable == usable && p->next < p->answer.cnt;
}

/* renew makes a new plan. Returns NULL, or what is wrong with it. */
static const char *renew(const struct qb_sched *sched, struct plan_state *s, struct plan *p,
			 const struct qb_sched_ask *ask, uint32_t usable)
{
	const char *what;

	p->until_ns = 0;
	p->next = p->answer.cnt = 0;
	if (sched->run(sched, ask, s->memory, &p->answer))
		return "failed";
	what = nonsense(&p->answer, usable);
	if (what)
		return what;
	p->until_ns = ask->now_ns + p->answer.valid_ns;
	p->usable = usable;
	return NULL;
}

int qb_sched_plan_pick(const struct qb_sched *sched, void *st, struct qb_counters *counters,
		       const struct qb_sched_ask *ask)
{
	struct plan_state *s = st;
	struct plan *p = ask->pkt->is_sparse ? &s->sparse : &s->bulk;
	uint32_t usable = usable_paths(ask);
	int path = QB_SCHED_WAIT;

	if (ask->now_ns < s->fault_until_ns)
		return stand_in(s, ask);
	if (usable == 0 || (p->wait_ns == ask->now_ns && p->usable == usable))
		return QB_SCHED_WAIT;
	if (serves(p, ask, usable))
		path = follow(p, ask);
	if (path == QB_SCHED_WAIT) {
		const char *what = renew(sched, s, p, ask, usable);

		qb_count(counters, QB_CNT_SCHED_RUNS);
		if (what)
			return fail(sched, s, counters, ask, what);
		path = follow(p, ask);
	}
	if (path != QB_SCHED_WAIT) {
		qb_count(counters, QB_CNT_SCHED_PICKS);
		return path;
	}
	if (starves(ask))
		return fail(sched, s, counters, ask, "let packets wait while a path was free");
	p->wait_ns = ask->now_ns;
	return QB_SCHED_WAIT;
}
