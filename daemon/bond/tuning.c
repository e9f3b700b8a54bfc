/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fits queue and scheduler to what the paths are now; run by qb_bond_pick each few milliseconds. A
 * path is watched as its rate is found out: meanwhile the queue's AQM has patience.
 */
#include "bond/tuning.h"

#include <stdio.h>

#define GROWTH_DECAY	     256 /* part by which a path's former rate is forgotten each TUNE_NS */
#define GROWTH_DECAY_RTTS    14  /* that part at most, times the round trips */
#define GROWTH_RTTS	     2
#define QUEUE_PLAIN_NS	     (5 * QB_NS_PER_MS)
#define DIP_NS		     (400 * QB_NS_PER_MS)
#define RATE_MEMORY_NS	     (60 * QB_NS_PER_SEC)
#define TUNE_NS		     (10 * QB_NS_PER_MS)
#define PATIENT_RAMP_NS	     (400 * QB_NS_PER_MS)
#define STAND_MIN_NS	     (15 * QB_NS_PER_MS)
#define STAND_MAX_NS	     (60 * QB_NS_PER_MS)
#define ABSENT_MEMORY_NS     (10 * QB_NS_PER_SEC)
#define ABSENT_STAND_MAX_NS  (300 * QB_NS_PER_MS)
#define GONE_MIN_NS	     (500 * QB_NS_PER_MS) /* less is a hiccup: after it the link has what it has */
#define RETURN_NS	     (2 * QB_NS_PER_SEC)
#define LAG_WORTH_TELLING_NS (5 * QB_NS_PER_MS)

/*
 * is_growing: a path's rate has risen by a good part within its last two round trips, and that
 * matters beside the others. Then the queue is as long as the paths were slow a moment ago, and who
 * fills it must not be told to slow down.
 */
static bool is_growing(struct qb_growth *g, const struct qb_path_view *v, uint64_t total_bps,
		       uint64_t now_ns)
{
	uint64_t rate_bps = qb_view_rate_bps(v), rtts_ns = GROWTH_RTTS * v->srtt_ns;

	/* A third less in no less than four round trips: a rate that stays is none that rises. */
	g->rate_bps -= g->rate_bps / qb_max_u64(GROWTH_DECAY, v->srtt_ns * GROWTH_DECAY_RTTS / TUNE_NS);
	g->most_bps = qb_max_u64(rate_bps, g->most_bps - g->most_bps / GROWTH_DECAY);
	if (rate_bps > g->rate_bps + g->rate_bps / 3) {
		g->rate_bps = rate_bps;
		g->since_ns = now_ns;
	}
	/* Used as much as it allows for some time, or with a queue of its own, and nothing came of
	 * it: that is its rate. */
	if (v->in_flight_bytes * 4 < v->cwnd_bytes &&
	    v->srtt_ns < v->min_rtt_ns * 3 / 2 + QUEUE_PLAIN_NS)
		g->used_ns = now_ns;
	if (now_ns - g->since_ns > rtts_ns && now_ns - g->used_ns > rtts_ns)
		g->known_ns = now_ns;
	if (rate_bps > g->rate_bps - g->rate_bps / 4)
		g->dip_ns = now_ns;
	return rate_bps * 8 >= total_bps && now_ns - g->since_ns < rtts_ns;
}

/* is_dipping: the path has become slower only just now. Some controllers do that to see the path
 * empty, for a moment. */
static bool is_dipping(const struct qb_growth *g, uint64_t total_bps, uint64_t now_ns)
{
	return g->rate_bps * 8 >= total_bps && now_ns != g->dip_ns && now_ns - g->dip_ns < DIP_NS;
}

static uint32_t known_paths(const struct qb_tuning *t, uint64_t now_ns)
{
	uint32_t known = 0, i;

	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		if (t->growth[i].known_ns && now_ns - t->growth[i].known_ns < RATE_MEMORY_NS)
			known |= 1u << i;
	}
	return known;
}

/* is_patience_due: who fills the queue now must not be told to slow down. */
static bool is_patience_due(struct qb_tuning *t, const struct qb_path_view *views, uint32_t n,
			    uint32_t chosen, uint64_t rate_bps, uint64_t now_ns)
{
	bool is_due = false;
	uint32_t i;

	for (i = 0; i < n; i++) {
		bool is_changing = views[i].is_usable && (is_growing(&t->growth[i], &views[i], rate_bps, now_ns) ||
							  is_dipping(&t->growth[i], rate_bps, now_ns));

		is_due |= is_changing && !(t->outlook.remote >> i & 1);
	}
	return is_due || (chosen & ~t->known & ~t->outlook.far) != 0;
}

/* missing_bps: the part of its former rate that a path does not carry because it failed, or was only just healed. */
static uint64_t missing_bps(struct qb_growth *g, const struct qb_path_view *v, bool is_absent, uint64_t now_ns)
{
	if (is_absent) {
		if (now_ns - g->served_ns >= GONE_MIN_NS)
			g->absent_ns = now_ns;
		return g->served_ns && now_ns - g->served_ns <= ABSENT_MEMORY_NS ? g->most_bps : 0;
	}
	if (!v->is_usable || !g->absent_ns || now_ns - g->absent_ns > RETURN_NS)
		return 0;
	return qb_sub_sat_u64(g->most_bps, qb_view_rate_bps(v));
}

/*
 * absent_stand_ns: what flows had under way before a link failed may wait here for a while: it is what they need when the link is
 * back, until it carries it, and to find it anew takes them longer than the link was away. Who answers to a signal keeps seven tenths
 * (RFC 9438 §4.6), which are to be enough. Only they wait: each flow has a queue of its own.
 */
static uint64_t absent_stand_ns(struct qb_tuning *t, const struct qb_path_view *views, uint32_t n, uint64_t rate_bps,
				uint64_t rtt_ns, uint64_t now_ns)
{
	uint64_t all_bps = rate_bps, most_ns = rtt_ns;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t bps = missing_bps(&t->growth[i], &views[i], t->absent >> i & 1, now_ns);

		all_bps += bps;
		if (bps)
			most_ns = qb_max_u64(most_ns, views[i].min_rtt_ns);
	}
	if (all_bps == rate_bps)
		return 0;
	return qb_min_u64(qb_sub_sat_u64(all_bps / 700 * most_ns / (rate_bps / 1000 + 1), rtt_ns), ABSENT_STAND_MAX_NS);
}

bool qb_tuning_look(struct qb_tuning *t, struct qb_queue *q, const struct qb_path_view *views,
		    uint32_t n, uint32_t chosen, uint64_t now_ns)
{
	uint64_t srtt_ns = 0, min_rtt_ns = 0, rate_bps = 0, two_pkts_ns, target_ns, interval_ns, ramp_ns,
		 full_ns;
	bool is_patient;
	uint32_t i;

	if (!qb_tuning_is_due(t, now_ns))
		return false;
	t->next_ns = now_ns + TUNE_NS;
	for (i = 0; i < n; i++) {
		if (!views[i].is_usable)
			continue;
		rate_bps += qb_view_rate_bps(&views[i]);
		/* What takes another path is none of the queue's business, but for room. */
		if (t->outlook.remote >> i & 1)
			continue;
		srtt_ns = qb_max_u64(srtt_ns, views[i].srtt_ns);
		min_rtt_ns = qb_max_u64(min_rtt_ns, views[i].min_rtt_ns);
		if (!(t->outlook.far >> i & 1))
			t->growth[i].served_ns = now_ns;
	}
	if (rate_bps == 0)
		return false;
	t->known = known_paths(t, now_ns);
	is_patient = is_patience_due(t, views, n, chosen, rate_bps, now_ns);
	qb_sched_look(views, n, t->known, &t->outlook);
	/* Slow links: not less than two packets' time, else each packet stands for a queue. */
	two_pkts_ns = 2 * 1514 * 8 * QB_NS_PER_SEC / rate_bps;
	target_ns = qb_max_u64(two_pkts_ns, QB_CODEL_TARGET_NS);
	/* A flow that answers to a signal by halving, or nearly, must have a round trip's worth to
	 * fall back on. */
	min_rtt_ns = qb_min_u64(qb_max_u64(min_rtt_ns, STAND_MIN_NS), STAND_MAX_NS);
	target_ns = qb_max_u64(target_ns, min_rtt_ns) + t->outlook.backlog_ns * 5 / 4;
	target_ns = qb_max_u64(target_ns, absent_stand_ns(t, views, n, rate_bps, min_rtt_ns, now_ns));
	interval_ns = qb_max_u64(QB_CODEL_INTERVAL_NS, srtt_ns + target_ns);
	ramp_ns = qb_max_u64(2 * target_ns, interval_ns / 2);
	if (is_patient) {
		target_ns += 2 * srtt_ns;
		ramp_ns = qb_max_u64(ramp_ns, PATIENT_RAMP_NS);
	}
	/* The bound of all queues together must never be what ends a flow's growth: it drops
	 * blindly. */
	full_ns = (uint64_t)q->cap_pkts * 1514 * 8 * QB_NS_PER_SEC / rate_bps;
	target_ns = qb_min_u64(target_ns, full_ns / 4);
	qb_queue_set_target(q, target_ns, interval_ns, ramp_ns, srtt_ns);
	qb_queue_set_rate(q, rate_bps);
	/* The same holds for an L4S flow that is striped, beyond a wait of its own. */
	qb_queue_set_shallow(q, qb_max_u64(QB_L4S_TARGET_NS, two_pkts_ns) + t->outlook.backlog_ns);
	return true;
}

void qb_tuning_found(struct qb_tuning *t, uint8_t path, uint64_t now_ns)
{
	t->growth[path].known_ns = now_ns;
	t->next_ns = 0;
}

void qb_tuning_reset(struct qb_tuning *t, uint8_t path)
{
	t->outlook.lag_ns[path] = 0;
	t->growth[path] = (struct qb_growth){0};
}

enum qb_link_use qb_tuning_explain(const struct qb_tuning *t, uint8_t path, double loss, bool is_heeded, char *buf, size_t len)
{
	uint64_t lag_ns = t->outlook.lag_ns[path];
	unsigned lag_ms = (unsigned)(lag_ns / QB_NS_PER_MS);

	if (loss * 1e6 > 2 * QB_SCHED_LOSS_FREE_PPM) {
		snprintf(buf, len, "loses %.1f %%%s", loss * 100, is_heeded ? ": used when others are full" : "");
		return is_heeded ? QB_LINK_USE_WHEN_FULL : QB_LINK_USE_NORMAL;
	}
	if (!is_heeded) {
		if (lag_ns > LAG_WORTH_TELLING_NS)
			snprintf(buf, len, "%u ms behind", lag_ms);
		return QB_LINK_USE_NORMAL;
	}
	if (t->outlook.far >> path & 1) {
		snprintf(buf, len, "%u ms behind: %s", lag_ms,
			 t->outlook.remote >> path & 1 ? "nothing is striped over it" : "would slow flows down");
		return QB_LINK_USE_LEFT_OUT;
	}
	if (lag_ns > LAG_WORTH_TELLING_NS) {
		snprintf(buf, len, "%u ms behind: used when others are full", lag_ms);
		return QB_LINK_USE_WHEN_FULL;
	}
	return QB_LINK_USE_NORMAL;
}
