/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the auto scheduler makes of the paths as a whole, now and then: which of them bulk is striped over.
 */
#include "bond/sched.h"

#define JITTER_FACTOR 2 /* times rttvar: packets are so much later at times */
#define ALL_PPM	      UINT64_C(1000000)

/* A path as qb_sched_look sees it. */
struct runner {
	uint64_t delay_ns;
	uint64_t cost_ns;   /* of that, what loss is expected to cost */
	uint64_t way_ns;    /* of that, without any queue */
	uint64_t rate_bps;  /* of what arrives */
	uint64_t jitter_ns; /* how much later packets are at times, and all that waits for them */
	uint32_t bit;	    /* its index */
};

/* line_up lists the usable paths, the quickest first. */
static uint32_t line_up(const struct qb_path_view *v, uint32_t n, struct runner *r)
{
	uint32_t cnt = 0, i, at;

	for (i = 0; i < n; i++) {
		struct runner x = {.bit = i};

		if (!v[i].is_usable)
			continue;
		x.delay_ns = qb_view_delay_ns(&v[i], QB_DELAY_BY_RTT);
		x.cost_ns = qb_view_loss_cost_ns(&v[i]);
		x.way_ns = qb_view_base_rtt_ns(&v[i]) / 2;
		x.jitter_ns = JITTER_FACTOR * v[i].rttvar_ns;
		x.rate_bps = qb_view_rate_bps(&v[i]) * qb_sub_sat_u64(ALL_PPM, v[i].loss_ppm) / ALL_PPM;
		x.rate_bps = qb_max_u64(x.rate_bps, QB_SCHED_RATE_MIN_BPS); /* all is lost: it is a path all the same */
		for (at = cnt++; at > 0 && r[at - 1].delay_ns > x.delay_ns; at--)
			r[at] = r[at - 1];
		r[at] = x;
	}
	return cnt;
}

static bool is_remote(const struct runner *quick, const struct runner *r)
{
	return r->way_ns > quick->way_ns + QB_SCHED_REMOTE_MS * QB_NS_PER_MS;
}

/* span_bps: the rate of the paths from `first` on that are close enough for the receiver to wait for;
 * *end: the first of the others. */
static uint64_t span_bps(const struct runner *r, uint32_t cnt, uint32_t first, uint32_t *end)
{
	uint64_t span_ns = QB_SCHED_LAG_MAX_MS * QB_NS_PER_MS;
	uint64_t rate_bps = 0;
	uint32_t i;

	for (i = first; i < cnt && r[i].delay_ns - r[first].delay_ns <= span_ns; i++)
		rate_bps += is_remote(&r[first], &r[i]) ? 0 : r[i].rate_bps;
	*end = i;
	return rate_bps;
}

/*
 * lag_allowed_ns: how far behind the fastest a path may be. All that is striped takes as long as
 * its slowest part, so a little more rate is worth a little more delay; what brings more than all
 * the faster ones together is always welcome.
 */
static uint64_t lag_allowed_ns(uint64_t rate_bps, uint64_t faster_bps)
{
	uint64_t pct = rate_bps * 100 / (faster_bps + 1);

	if (pct >= 100)
		return QB_SCHED_LAG_MAX_MS * QB_NS_PER_MS;
	return QB_MIN(pct * QB_SCHED_LAG_PER_PCT_US * QB_NS_PER_US,
		      QB_SCHED_LAG_GOOD_MS * QB_NS_PER_MS);
}

/* times_for: how many times the quickest's rate the paths from r on need to be used instead. */
static uint64_t times_for(const struct runner *quick, const struct runner *r, uint32_t known, uint32_t was_far)
{
	if (!is_remote(quick, r))
		return 1;
	/* What is still being found out has a queue of its own making. */
	if (!(known >> r->bit & 1))
		return UINT32_MAX;
	/* Back and forth would be worse than either. */
	return was_far >> quick->bit & 1 ? QB_SCHED_REMOTE_TIMES - 1 : QB_SCHED_REMOTE_TIMES;
}

/*
 * qb_sched_look decides which paths a flow may be striped over: the quickest ones that are close
 * enough to each other, unless others carry several times as much; and of these the ones that add
 * enough rate for their delay. A path whose rate is not known yet is tried, but not a remote one:
 * its rate is found out without striping (bond_remote.c).
 */
void qb_sched_look(const struct qb_path_view *v, uint32_t n, uint32_t known,
		   struct qb_sched_outlook *out)
{
	struct runner r[QB_BOND_PATHS_MAX];
	uint32_t cnt = line_up(v, n, r), first = 0, end = 0, i;
	uint64_t best_bps = 0, faster_bps = 0, first_ns = QB_NEVER_NS;
	uint32_t was_far = out->far;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < cnt; i++)
		first_ns = qb_min_u64(first_ns, r[i].delay_ns - r[i].cost_ns);
	for (i = 0; i < cnt; i++) {
		uint32_t i_end;
		uint64_t bps = span_bps(r, cnt, i, &i_end);

		out->lag_ns[r[i].bit] = r[i].delay_ns - r[0].delay_ns;
		out->late_ns[r[i].bit] = r[i].delay_ns - r[i].cost_ns - first_ns;
		if (bps <= best_bps * times_for(&r[0], &r[i], known, was_far))
			continue;
		best_bps = bps;
		first = i;
		end = i_end;
	}
	for (i = 0; i < cnt; i++) {
		uint64_t lag_ns = r[i].delay_ns - r[first].delay_ns;
		uint64_t allowed_ns = lag_allowed_ns(r[i].rate_bps, faster_bps);
		uint64_t late_ns = lag_ns + qb_sub_sat_u64(r[i].jitter_ns, r[first].jitter_ns);
		bool is_known = known >> r[i].bit & 1;

		/* Back and forth would be worse than either. */
		if (was_far >> r[i].bit & 1)
			allowed_ns -= allowed_ns / 4;
		if (i > first && is_remote(&r[first], &r[i]))
			out->remote |= 1u << r[i].bit;
		if (i < first || i >= end || out->remote >> r[i].bit & 1 || (i > first && is_known && late_ns > allowed_ns)) {
			out->far |= 1u << r[i].bit;
			continue;
		}
		faster_bps += r[i].rate_bps;
		out->backlog_ns = lag_ns;
	}
}
