/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decision to duplicate, called by the bond: qb_copies_look with each look at the paths,
 * qb_copies_wanted for each packet that leaves. A call is small and cannot wait for a
 * retransmission: where the best link loses one packet in two hundred, or its delay varies, a copy
 * by another link costs little and hides both. The same where it failed a moment ago, and may fail
 * again: what is in flight then is missing for as long as it takes to notice. A budget bounds what
 * copies cost others.
 */
#include "bond/copies.h"

#include <stdio.h>

#include "bond/sched.h"

/* Loss from which calls are duplicated, and below which they are not any more. */
#define LOSS_ON	 0.005
#define LOSS_OFF 0.002
/* The same for the delay's mean deviation. */
#define JITTER_ON_NS  (15 * QB_NS_PER_MS)
#define JITTER_OFF_NS (8 * QB_NS_PER_MS)
/* Once on, it stays on for so long. */
#define HOLD_NS (3 * QB_NS_PER_SEC)
/* A copy that comes later than this is of no use to a call. */
#define LAG_MAX_NS (150 * QB_NS_PER_MS)
/* Another link that loses as much as this does not help. */
#define OTHER_LOSS_MAX 0.3

enum {
	BUDGET_SHARE = 20,	 /* copies take no more than a twentieth of the bond's rate, */
	BUDGET_MIN_BPS = 200000, /* or enough for two calls, */
	BURST_BYTES = 16384,	 /* and so much at once */
};

static double loss_of(const struct qb_path_view *v, const struct qb_quality *q)
{
	/* A link that we fill has losses by that; steady_loss leaves these out. */
	return v->in_flight_bytes * 4 < v->cwnd_bytes ? q->loss : q->steady_loss;
}

static int best_of(const struct qb_path_view *views, uint32_t n)
{
	enum qb_delay_by by = qb_views_delay_by(views, n, true);
	uint64_t best_ns = UINT64_MAX;
	int best = -1;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t ns;

		if (!views[i].is_usable)
			continue;
		ns = qb_view_delay_ns(&views[i], by);
		if (ns < best_ns) {
			best_ns = ns;
			best = (int)i;
		}
	}
	return best;
}

static bool has_other(const struct qb_path_view *views, uint32_t n, uint32_t best,
		      const struct qb_copies_know *know)
{
	for (uint32_t i = 0; i < n; i++)
		if (i != best && views[i].is_usable &&
		    know->lag_ns[i] <= know->lag_ns[best] + LAG_MAX_NS &&
		    loss_of(&views[i], &know->quality[i]) < OTHER_LOSS_MAX)
			return true;
	return false;
}

void qb_copies_look(struct qb_copies *c, const struct qb_path_view *views, uint32_t n,
		    const struct qb_copies_know *know, uint64_t now_ns)
{
	const struct qb_quality *quality = know->quality;
	int best = best_of(views, n);
	bool pays = false;

	if (best < 0)
		return;
	c->rate_bps = 0;
	for (uint32_t i = 0; i < n; i++)
		if (views[i].is_usable)
			c->rate_bps += qb_view_rate_bps(&views[i]);
	c->why_path = (uint8_t)best;
	c->why_loss = loss_of(&views[best], &quality[best]);
	/* A few packets show no loss where there is one: once proven, it counts while there are
	 * losses. */
	if (c->pays && quality[best].loss > LOSS_ON)
		c->why_loss = QB_MAX(c->why_loss, quality[best].loss);
	c->why_jitter_ns = quality[best].jitter_ns;
	c->is_back = know->back >> best & 1;
	if (has_other(views, n, (uint32_t)best, know))
		pays = c->is_back || c->why_loss > (c->pays ? LOSS_OFF : LOSS_ON) ||
		       c->why_jitter_ns > (c->pays ? JITTER_OFF_NS : JITTER_ON_NS);
	if (pays == c->pays || (c->pays && now_ns - c->since_ns < HOLD_NS))
		return;
	c->pays = pays;
	c->since_ns = now_ns;
}

bool qb_copies_spend(struct qb_copies *c, uint32_t bytes, uint64_t now_ns)
{
	/* A token bucket, kept as a time. */
	uint64_t rate_bps = qb_max_u64(c->rate_bps / BUDGET_SHARE, BUDGET_MIN_BPS);
	uint64_t burst_ns = (uint64_t)BURST_BYTES * 8 * QB_NS_PER_SEC / rate_bps;
	uint64_t cost_ns = (uint64_t)bytes * 8 * QB_NS_PER_SEC / rate_bps;

	c->filled_ns = qb_max_u64(c->filled_ns, qb_sub_sat_u64(now_ns, burst_ns));
	if (c->filled_ns + cost_ns > now_ns)
		return false;
	c->filled_ns += cost_ns;
	return true;
}

bool qb_copies_is_call(const struct qb_buf *b)
{
	if (b->flags & QB_BUF_BULK)
		return false;
	return qb_buf_class(b) == QB_CLASS_REALTIME ||
	       (qb_buf_class(b) == QB_CLASS_AUTO && qb_buf_is_udp(b) &&
		b->flags & (QB_BUF_STREAM | QB_BUF_BRIEF));
}

uint32_t qb_copies_wanted(struct qb_copies *c, const struct qb_treatment *treat,
			  uint32_t sched_copies, const struct qb_buf *b, uint64_t now_ns)
{
	if (treat && treat->copies != QB_POLICY_COPIES_AUTO)
		return treat->copies;
	if (sched_copies > 1)
		return sched_copies;
	return c->pays && qb_copies_is_call(b) && qb_copies_spend(c, b->len, now_ns) ? 2 : 1;
}

void qb_copies_reason(const struct qb_copies *c, char *buf, size_t len)
{
	bool is_calm = c->why_loss <= LOSS_OFF && c->why_jitter_ns <= JITTER_OFF_NS;
	const char *before = c->is_back ? "; it had failed a moment ago"
			     : c->pays && is_calm ? "; it was worse a moment ago" : "";

	snprintf(buf, len, "calls are sent %s: the best link loses %.1f %%, jitter %.1f ms%s",
		 c->pays ? "twice" : "once", c->why_loss * 100, (double)c->why_jitter_ns / 1e6, before);
}
