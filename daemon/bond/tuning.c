/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fits the queue's AQM and the scheduler to what the paths are now; run by qb_bond_pick every
 * TUNE_NS. A path is watched while its rate is being found out: meanwhile the AQM has patience.
 */
#include "bond/tuning.h"

#include <stdio.h>

#define TUNE_NS (10 * QB_NS_PER_MS)

/* How a path's rate is watched. */
#define GROWTH_DECAY	  256 /* the part of its former rate that is forgotten each TUNE_NS */
#define GROWTH_DECAY_RTTS 14  /* ... at most so that a third takes no less than four round trips */
#define GROWTH_RTTS	  2   /* a rise this recent is one that goes on */
#define RATE_MEMORY_NS	  (60 * QB_NS_PER_SEC) /* a rate that was found out is known for so long */
#define QUEUE_PLAIN_NS	  (5 * QB_NS_PER_MS) /* above half as much RTT again: a queue of its own */
#define DIP_NS		  (400 * QB_NS_PER_MS) /* controllers drain a path for no longer (ProbeRTT) */

/* A path with less than this part of all rate does not matter for the queue. */
#define MATTERS_DIV 8

/* Flows that answer a signal by halving, or nearly, need a round trip's worth of queue: at least
 * and at most so much. */
#define STAND_MIN_NS	(15 * QB_NS_PER_MS)
#define STAND_MAX_NS	(60 * QB_NS_PER_MS)
#define PATIENT_RAMP_NS (400 * QB_NS_PER_MS)
/* The size of a full packet, for what it takes at a rate. */
#define FULL_BYTES 1514

/* What flows may leave in the queue while a link is down, until it is back (absent_stand_ns). */
#define ABSENT_MEMORY_NS    (10 * QB_NS_PER_SEC)
#define ABSENT_STAND_MAX_NS (300 * QB_NS_PER_MS)
#define GONE_MIN_NS	    (500 * QB_NS_PER_MS) /* after less the link has its rate at once */
#define RETURN_NS	    (2 * QB_NS_PER_SEC)	 /* it is found out anew for so long */

#define LAG_WORTH_TELLING_NS (5 * QB_NS_PER_MS)

/* The usable paths as a whole. */
struct totals {
	uint64_t rate_bps;
	uint64_t srtt_ns, min_rtt_ns; /* the longest, but for remote paths */
	uint64_t stand_ns;	      /* a round trip's worth of queue, for flows that halve */
};

static void watch_growth(struct qb_growth *g, const struct qb_path_view *v, uint64_t now_ns)
{
	uint64_t rate_bps = qb_view_rate_bps(v), rtts_ns = GROWTH_RTTS * v->srtt_ns;

	g->rate_bps -=
		g->rate_bps / qb_max_u64(GROWTH_DECAY, v->srtt_ns * GROWTH_DECAY_RTTS / TUNE_NS);
	g->most_bps = qb_max_u64(rate_bps, g->most_bps - g->most_bps / GROWTH_DECAY);
	if (rate_bps > g->rate_bps + g->rate_bps / 3) {
		g->rate_bps = rate_bps;
		g->since_ns = now_ns;
	}
	/* Used to the full for some time, or with a queue, and no rise: that is its rate. */
	if (v->in_flight_bytes * 4 < v->cwnd_bytes &&
	    v->srtt_ns < v->min_rtt_ns * 3 / 2 + QUEUE_PLAIN_NS)
		g->used_ns = now_ns;
	if (now_ns - g->since_ns > rtts_ns && now_ns - g->used_ns > rtts_ns)
		g->known_ns = now_ns;
	if (rate_bps > g->rate_bps - g->rate_bps / 4)
		g->dip_ns = now_ns;
}

/*
 * is_growing: the path's rate has risen by a third within its last two round trips. Then the queue
 * is as long as the paths were slow a moment ago, and who fills it must not be told to slow down.
 */
static bool is_growing(const struct qb_growth *g, const struct qb_path_view *v, uint64_t total_bps,
		       uint64_t now_ns)
{
	return qb_view_rate_bps(v) * MATTERS_DIV >= total_bps &&
	       now_ns - g->since_ns < GROWTH_RTTS * v->srtt_ns;
}

/* is_dipping: the path became slower only just now, as its controller may drain it for a moment. */
static bool is_dipping(const struct qb_growth *g, uint64_t total_bps, uint64_t now_ns)
{
	return g->rate_bps * MATTERS_DIV >= total_bps && now_ns != g->dip_ns &&
	       now_ns - g->dip_ns < DIP_NS;
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

/* wants_patience watches the paths. True: who fills the queue now must not be told to slow down. */
static bool wants_patience(struct qb_tuning *t, const struct qb_path_view *views, uint32_t n,
			   uint32_t chosen, uint64_t rate_bps, uint64_t now_ns)
{
	bool is_changing = false;
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct qb_growth *g = &t->growth[i];

		if (!views[i].is_usable)
			continue;
		watch_growth(g, &views[i], now_ns);
		if (!(t->outlook.remote >> i & 1))
			is_changing |= is_growing(g, &views[i], rate_bps, now_ns) ||
				       is_dipping(g, rate_bps, now_ns);
	}
	return is_changing || (chosen & ~t->known & ~t->outlook.far) != 0;
}

/*
 * missing_bps: the part of its former rate that a path does not carry, as it failed or has only
 * just come back. That it failed is remembered.
 */
static uint64_t missing_bps(struct qb_growth *g, const struct qb_path_view *v, bool is_absent,
			    uint64_t now_ns)
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
 * absent_stand_ns: what flows had under way before a link failed may wait in the queue for a while:
 * they need it when the link is back, and to find its rate anew takes them longer than it was away.
 * A flow that is signalled keeps seven tenths (RFC 9438 §4.6), which are to be enough. Nobody else
 * waits for them: each flow has a queue of its own.
 */
static uint64_t absent_stand_ns(struct qb_tuning *t, const struct qb_path_view *views, uint32_t n,
				const struct totals *sum, uint64_t now_ns)
{
	uint64_t all_bps = sum->rate_bps, rtt_ns = sum->stand_ns;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t bps = missing_bps(&t->growth[i], &views[i], t->absent >> i & 1, now_ns);

		all_bps += bps;
		if (bps)
			rtt_ns = qb_max_u64(rtt_ns, views[i].min_rtt_ns);
	}
	if (all_bps == sum->rate_bps)
		return 0;
	/* In kbit/s, so that the product fits; and over the seven tenths. */
	rtt_ns = all_bps / 700 * rtt_ns / (sum->rate_bps / 1000 + 1);
	return qb_min_u64(qb_sub_sat_u64(rtt_ns, sum->stand_ns), ABSENT_STAND_MAX_NS);
}

static struct totals add_up(struct qb_tuning *t, const struct qb_path_view *views, uint32_t n,
			    uint64_t now_ns)
{
	struct totals sum = {0};

	for (uint32_t i = 0; i < n; i++) {
		if (!views[i].is_usable)
			continue;
		sum.rate_bps += qb_view_rate_bps(&views[i]);
		/* What takes a remote path needs no queue for the sake of its round trip. */
		if (t->outlook.remote >> i & 1)
			continue;
		sum.srtt_ns = qb_max_u64(sum.srtt_ns, views[i].srtt_ns);
		sum.min_rtt_ns = qb_max_u64(sum.min_rtt_ns, views[i].min_rtt_ns);
		if (!(t->outlook.far >> i & 1))
			t->growth[i].served_ns = now_ns;
	}
	sum.stand_ns = qb_min_u64(qb_max_u64(sum.min_rtt_ns, STAND_MIN_NS), STAND_MAX_NS);
	return sum;
}

/* tx_ns: the time that so many full packets take at a rate. */
static uint64_t tx_ns(uint64_t pkts, uint64_t rate_bps)
{
	return pkts * FULL_BYTES * 8 * QB_NS_PER_SEC / rate_bps;
}

/* set_aqm: CoDel's target, interval and ramp, and the threshold of L4S marks. */
static void set_aqm(const struct qb_tuning *t, struct qb_queue *q, const struct totals *sum,
		    uint64_t absent_ns, bool is_patient)
{
	/* Slow links: not less than two packets' time, else each packet is taken for a queue. */
	uint64_t two_pkts_ns = tx_ns(2, sum->rate_bps), target_ns, interval_ns, ramp_ns;

	target_ns = qb_max_u64(qb_max_u64(two_pkts_ns, QB_CODEL_TARGET_NS), sum->stand_ns);
	/* The backlog in front of slower paths must not be signalled. */
	target_ns = qb_max_u64(target_ns + t->outlook.backlog_ns * 5 / 4, absent_ns);
	interval_ns = qb_max_u64(QB_CODEL_INTERVAL_NS, sum->srtt_ns + target_ns);
	ramp_ns = qb_max_u64(2 * target_ns, interval_ns / 2);
	if (is_patient) {
		target_ns += 2 * sum->srtt_ns;
		ramp_ns = qb_max_u64(ramp_ns, PATIENT_RAMP_NS);
	}
	/* The bound of all queues together drops blindly: it must not end a flow's growth. */
	target_ns = qb_min_u64(target_ns, tx_ns(q->cap_pkts, sum->rate_bps) / 4);
	qb_queue_set_target(q, target_ns, interval_ns, ramp_ns, sum->srtt_ns);
	/* Nor is that backlog to be marked where an L4S flow is striped. */
	qb_queue_set_shallow(q, qb_max_u64(QB_L4S_TARGET_NS, two_pkts_ns) + t->outlook.backlog_ns);
}

bool qb_tuning_look(struct qb_tuning *t, struct qb_queue *q, const struct qb_path_view *views,
		    uint32_t n, uint32_t chosen, uint64_t now_ns)
{
	struct totals sum;
	uint64_t absent_ns;
	bool is_patient;

	if (!qb_tuning_is_due(t, now_ns))
		return false;
	t->next_ns = now_ns + TUNE_NS;
	sum = add_up(t, views, n, now_ns);
	if (sum.rate_bps == 0)
		return false;
	t->known = known_paths(t, now_ns);
	is_patient = wants_patience(t, views, n, chosen, sum.rate_bps, now_ns);
	qb_sched_look(views, n, t->known, &t->outlook);
	absent_ns = absent_stand_ns(t, views, n, &sum, now_ns);
	set_aqm(t, q, &sum, absent_ns, is_patient);
	qb_queue_set_rate(q, sum.rate_bps);
	return true;
}

void qb_tuning_found(struct qb_tuning *t, uint8_t path, uint64_t now_ns)
{
	t->growth[path].known_ns = now_ns;
	t->next_ns = 0;
}

void qb_tuning_reset(struct qb_tuning *t, uint8_t path)
{
	t->outlook.lag_ns[path] = t->outlook.late_ns[path] = 0;
	t->growth[path] = (struct qb_growth){0};
}

enum qb_link_use qb_tuning_explain(const struct qb_tuning *t, uint8_t path, double loss,
				   bool is_heeded, bool is_only, char *buf, size_t len)
{
	uint64_t lag_ns = t->outlook.lag_ns[path];
	unsigned lag_ms = (unsigned)(lag_ns / QB_NS_PER_MS);

	is_heeded = is_heeded && !is_only;
	if (loss * 1e6 > 2 * QB_SCHED_LOSS_FREE_PPM) {
		snprintf(buf, len, "loses %.1f %%%s", loss * 100,
			 is_heeded ? ": used when others are full" : "");
		return is_heeded ? QB_LINK_USE_WHEN_FULL : QB_LINK_USE_NORMAL;
	}
	if (is_only)
		return QB_LINK_USE_NORMAL;
	if (!is_heeded) {
		if (lag_ns > LAG_WORTH_TELLING_NS)
			snprintf(buf, len, "%u ms behind", lag_ms);
		return QB_LINK_USE_NORMAL;
	}
	if (t->outlook.far >> path & 1) {
		snprintf(buf, len, "%u ms behind: %s", lag_ms,
			 t->outlook.remote >> path & 1 ? "takes whole flows only"
						       : "would slow flows down");
		return QB_LINK_USE_LEFT_OUT;
	}
	if (lag_ns > LAG_WORTH_TELLING_NS) {
		snprintf(buf, len, "%u ms behind: used when others are full", lag_ms);
		return QB_LINK_USE_WHEN_FULL;
	}
	return QB_LINK_USE_NORMAL;
}
