/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why this path: every few milliseconds one decision is kept, with all paths as they were then.
 * Called by bond_tx.c after a scheduler has decided; the words are put together when somebody asks.
 */
#include "bond/explain.h"

#include <stdio.h>

#include "bond/sched.h"

static enum qb_choice_state state_of(const struct qb_path_view *v, const struct qb_pkt_meta *pkt)
{
	if (!v->is_usable)
		return QB_CHOICE_OFF;
	if (!qb_view_fits(v, pkt->bytes))
		return QB_CHOICE_TOO_BIG;
	if (v->is_far && !pkt->is_sparse)
		return QB_CHOICE_FAR;
	return qb_view_can_send(v, pkt->bytes) ? QB_CHOICE_FREE : QB_CHOICE_BUSY;
}

void qb_explain_keep(struct qb_explain *e, const char *sched, const struct qb_sched_ask *ask,
		     int path)
{
	struct qb_bond_decision *d = &e->ring[e->cnt % QB_BOND_DECISIONS];
	enum qb_delay_by by;

	if (ask->now_ns < e->next_ns)
		return;
	by = qb_views_delay_by(ask->v, ask->n, ask->pkt->is_sparse);
	e->next_ns = ask->now_ns + QB_EXPLAIN_GAP_NS;
	e->cnt++;
	*d = (struct qb_bond_decision){.at_ns = ask->now_ns,
				       .flow = ask->pkt->flow,
				       .bytes = ask->pkt->bytes,
				       .is_sparse = ask->pkt->is_sparse,
				       .path = (int8_t)path};
	snprintf(d->sched, sizeof(d->sched), "%s", sched);
	for (uint32_t i = 0; i < ask->n && i < QB_BOND_PATHS_MAX; i++) {
		struct qb_bond_choice *c = &d->choices[i];

		c->state = (uint8_t)state_of(&ask->v[i], ask->pkt);
		if (c->state == QB_CHOICE_OFF)
			continue;
		c->delay_ns = qb_view_delay_ns(&ask->v[i], by);
		c->wait_ns = qb_view_wait_ns(&ask->v[i], ask->pkt, ask->now_ns);
	}
}

const char *qb_choice_state_name(enum qb_choice_state s)
{
	static const char *const names[QB_CHOICE_STATE_CNT] = {
		[QB_CHOICE_OFF] = "off",   [QB_CHOICE_TOO_BIG] = "too big", [QB_CHOICE_FAR] = "far",
		[QB_CHOICE_BUSY] = "busy", [QB_CHOICE_FREE] = "free",
	};

	return (unsigned int)s < QB_CHOICE_STATE_CNT ? names[s] : "unknown";
}

static uint64_t arrival_ns(const struct qb_bond_choice *c)
{
	return c->delay_ns + c->wait_ns;
}

/* earliest returns the path other than `except` by which the packet would arrive first, or -1. */
static int earliest(const struct qb_bond_decision *d, int except)
{
	int best = -1;

	for (int i = 0; i < QB_BOND_PATHS_MAX; i++) {
		if (i == except || d->choices[i].state < QB_CHOICE_BUSY)
			continue;
		if (best < 0 || arrival_ns(&d->choices[i]) < arrival_ns(&d->choices[best]))
			best = i;
	}
	return best;
}

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static void explain_wait(const struct qb_bond_decision *d, const char *const *names, char *out,
			 size_t len)
{
	int best = earliest(d, -1);

	if (best < 0)
		snprintf(out, len, "no link is there for it");
	else if (d->path == QB_SCHED_LATE)
		snprintf(out, len, "too late: %s would take %.1f ms", names[best],
			 ms(arrival_ns(&d->choices[best])));
	else if (d->choices[best].state == QB_CHOICE_BUSY)
		snprintf(out, len, "waits for %s, %.1f ms: arrives first all the same", names[best],
			 ms(d->choices[best].wait_ns));
	else
		snprintf(out, len, "waits, although %s is free", names[best]);
}

void qb_bond_explain(const struct qb_bond_decision *d, const char *const names[QB_BOND_PATHS_MAX],
		     char *out, size_t len)
{
	const struct qb_bond_choice *own;
	uint64_t own_ns, other_ns;
	int other;

	if (d->path < 0) {
		explain_wait(d, names, out, len);
		return;
	}
	other = earliest(d, d->path);
	if (other < 0) {
		snprintf(out, len, "the only link that may carry it");
		return;
	}
	own = &d->choices[d->path];
	if (own->state == QB_CHOICE_FAR) {
		snprintf(out, len, "others took nothing for long, although %s was to arrive first",
			 names[other]);
		return;
	}
	own_ns = arrival_ns(own);
	other_ns = arrival_ns(&d->choices[other]);
	if (own_ns <= other_ns)
		snprintf(out, len, "arrives first, %.1f ms before %s", ms(other_ns - own_ns),
			 names[other]);
	else if (d->choices[other].state == QB_CHOICE_BUSY)
		snprintf(out, len, "%s is busy for %.1f ms", names[other],
			 ms(d->choices[other].wait_ns));
	else
		snprintf(out, len, "its turn, although %s is %.1f ms quicker", names[other],
			 ms(own_ns - other_ns));
}
