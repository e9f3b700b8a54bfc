/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registry of schedulers, and the questions that they ask of a path view. A scheduler is a pure
 * function over a snapshot; adding one is a file and a line in the list.
 */
#include "bond/sched.h"

#include <errno.h>

/* Assumed for a path without an RTT sample: with RFC 9002's 333 ms it would never get one. */
#define UNKNOWN_RTT_NS (100 * QB_NS_PER_MS)
/* A lost packet costs the inner flow a retransmission and, by its congestion control, far more. */
#define LOSS_COST_RTTS	     32
#define LOSS_COST_RTT_MIN_NS (20 * QB_NS_PER_MS)
#define RATE_MIN_BPS	     64000 /* of any path, so that nothing is divided by 0 */
#define JITTER_FACTOR	     2	   /* times rttvar: packets are so much later at times */
/* By so much one-way delays must differ from half of the round trips to be used for bulk; less is
 * error of clocks and measurement. */
#define SKEW_DIV    4
#define SKEW_MIN_NS (5 * QB_NS_PER_MS)
#define ALL_PPM		     UINT64_C(1000000)

const struct qb_sched *const qb_sched_list[] = {
	&qb_sched_auto,
	&qb_sched_minrtt,
	&qb_sched_roundrobin,
	&qb_sched_weighted,
	&qb_sched_blest,
	&qb_sched_ecf,
	&qb_sched_deadline,
	&qb_sched_redundant,
	&qb_sched_redundant2,
	&qb_sched_redundant3,
	&qb_sched_redundant4,
	NULL,
};

const struct qb_sched *qb_sched_find(const char *name)
{
	uint32_t i;

	for (i = 0; qb_sched_list[i]; i++) {
		if (strcmp(qb_sched_list[i]->name, name) == 0)
			return qb_sched_list[i];
	}
	return NULL;
}

/* In the order of qb_sched_forms. */
static const struct {
	const struct qb_sched *base;
	uint32_t least, most;
	const char *unit;
	uint32_t scale;
} tunable[] = {
	{&qb_sched_minrtt, 0, 100, "%", 1},
	{&qb_sched_blest, 1, 10000, "ms", 1000},
};
const char *const qb_sched_forms[] = {"minrtt:0-100%", "blest:1-10000ms", NULL};

int qb_sched_tune(const char *name, struct qb_sched *out)
{
	uint32_t i;

	for (i = 0; i < QB_ARRAY_LEN(tunable); i++) {
		size_t len = strlen(tunable[i].base->name);
		uint32_t number = 0;
		const char *at;

		if (strncmp(name, tunable[i].base->name, len) != 0 || name[len] != ':')
			continue;
		for (at = name + len + 1; *at >= '0' && *at <= '9' && number <= tunable[i].most; at++)
			number = number * 10 + (uint32_t)(*at - '0');
		if (at == name + len + 1 || number < tunable[i].least || number > tunable[i].most ||
		    strcmp(at, tunable[i].unit) != 0)
			continue;
		*out = *tunable[i].base;
		out->name = name;
		out->param = number * tunable[i].scale;
		return 0;
	}
	return -ENOENT;
}

void qb_sched_start(const struct qb_sched *s, void *st)
{
	if (s->run)
		qb_sched_plan_init(st);
	else if (s->init)
		s->init(st);
	if (s->has_param)
		memcpy(st, &s->param, sizeof(s->param));
}

int qb_sched_decide(const struct qb_sched *s, void *st, struct qb_counters *counters, const struct qb_sched_ask *ask)
{
	int path = s->run ? qb_sched_plan_pick(s, st, counters, ask) : s->pick(st, ask->v, ask->n, ask->pkt, ask->now_ns);

	return ask->stand && !ask->pkt->is_sparse ? qb_sched_stand(ask->stand, counters, ask, path) : path;
}

static uint64_t rtt_ns(const struct qb_path_view *v)
{
	return v->srtt_ns ? v->srtt_ns : UNKNOWN_RTT_NS;
}

uint64_t qb_view_rate_bps(const struct qb_path_view *v)
{
	/*
	 * A delivery rate measured while there was little to deliver says little. Half the window
	 * in an RTT is what every controller keeps up: BBR's window is two BDP, the others' window
	 * is the BDP and the queue.
	 */
	uint64_t by_window =
		v->cwnd_bytes * 4 * (QB_NS_PER_SEC / QB_NS_PER_US) / (rtt_ns(v) / QB_NS_PER_US + 1);

	return qb_max_u64(qb_max_u64(v->rate_bps, by_window), RATE_MIN_BPS);
}

uint64_t qb_view_tx_ns(const struct qb_path_view *v, uint64_t bytes)
{
	return bytes * 8 * QB_NS_PER_SEC / qb_view_rate_bps(v);
}

uint64_t qb_view_wait_ns(const struct qb_path_view *v, const struct qb_pkt_meta *pkt,
			 uint64_t now_ns)
{
	uint64_t need = pkt->bytes + QB_SCHED_OVERHEAD, by_rate;

	if (v->budget_bytes >= need)
		return 0;
	if (!qb_view_is_cwnd_limited(v, pkt->bytes) && v->next_send_ns > now_ns)
		return v->next_send_ns - now_ns;
	by_rate = qb_view_tx_ns(v, need - v->budget_bytes);
	/* A wait that was in vain so far is expected to take as long again: so nobody waits for a
	 * dead path. */
	return qb_max_u64(by_rate, pkt->waited_ns);
}

uint64_t qb_views_next_ns(const struct qb_path_view *v, uint32_t n, uint32_t bytes, uint64_t now_ns)
{
	uint64_t at = QB_NEVER_NS;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (!qb_view_fits(&v[i], bytes))
			continue;
		if (qb_view_can_send(&v[i], bytes)) {
			at = qb_min_u64(at, now_ns + QB_SCHED_POLL_US * QB_NS_PER_US);
		} else if (!qb_view_is_cwnd_limited(&v[i], bytes)) {
			uint64_t need = bytes + QB_SCHED_OVERHEAD - v[i].budget_bytes;

			at = qb_min_u64(at, v[i].next_send_ns > now_ns
						    ? v[i].next_send_ns
						    : now_ns + qb_view_tx_ns(&v[i], need));
		}
	}
	return at;
}

static uint64_t base_rtt_ns(const struct qb_path_view *v)
{
	return v->min_rtt_ns ? v->min_rtt_ns : rtt_ns(v);
}

/* skew_ns: by how much one-way delay exceeds half of the round trip; up to a constant for all paths. */
static int64_t skew_ns(const struct qb_path_view *v)
{
	return (int64_t)v->owd_base_delta_ns - (int64_t)(base_rtt_ns(v) / 2);
}

enum qb_delay_by qb_views_delay_by(const struct qb_path_view *v, uint32_t n, bool is_sparse)
{
	int64_t least_ns = INT64_MAX, most_ns = INT64_MIN;
	uint64_t quickest_ns = QB_NEVER_NS;
	bool has_owd = false;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (!v[i].is_usable)
			continue;
		has_owd |= v[i].owd_delta_ns != 0;
		quickest_ns = qb_min_u64(quickest_ns, base_rtt_ns(&v[i]));
		least_ns = QB_MIN(least_ns, skew_ns(&v[i]));
		most_ns = QB_MAX(most_ns, skew_ns(&v[i]));
	}
	if (!has_owd)
		return QB_DELAY_BY_RTT;
	if (is_sparse)
		return QB_DELAY_BY_OWD;
	return (uint64_t)(most_ns - least_ns) > qb_max_u64(quickest_ns / SKEW_DIV, SKEW_MIN_NS) ? QB_DELAY_BY_BASE
											   : QB_DELAY_BY_RTT;
}

static uint64_t loss_cost_ns(const struct qb_path_view *v)
{
	uint64_t ppm = qb_sub_sat_u64(v->loss_ppm, QB_SCHED_LOSS_FREE_PPM);

	if (ppm == 0)
		return 0;
	return qb_max_u64(rtt_ns(v), LOSS_COST_RTT_MIN_NS) * LOSS_COST_RTTS / 1000 * ppm / 1000;
}

uint64_t qb_view_delay_ns(const struct qb_path_view *v, enum qb_delay_by by)
{
	uint64_t rtt = rtt_ns(v), min = base_rtt_ns(v);
	uint64_t measured_queue = qb_sub_sat_u64(rtt, min), bdp, queue = 0, delay;

	/* A queue that was measured a while ago, and not fed since, has drained for so long. */
	measured_queue = qb_sub_sat_u64(measured_queue, v->sample_age_ns);
	/* What the RTT does not show yet: packets in flight beyond what the path itself holds. */
	bdp = qb_view_rate_bps(v) / 8 * (min / QB_NS_PER_US) / (QB_NS_PER_SEC / QB_NS_PER_US);
	if (v->in_flight_bytes > bdp)
		queue = qb_sub_sat_u64(qb_view_tx_ns(v, v->in_flight_bytes - bdp), measured_queue);
	if (by == QB_DELAY_BY_OWD)
		delay = v->owd_delta_ns;
	else
		delay = (by == QB_DELAY_BY_BASE ? v->owd_base_delta_ns : min / 2) + measured_queue;
	return delay + queue + loss_cost_ns(v);
}

int qb_views_lowest_rtt(const struct qb_path_view *v, uint32_t n, uint32_t bytes, bool must_be_free)
{
	int best = -1;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (must_be_free ? !qb_view_can_send(&v[i], bytes) : !qb_view_fits(&v[i], bytes))
			continue;
		if (best < 0 || v[i].srtt_ns < v[best].srtt_ns)
			best = (int)i;
	}
	return best;
}

void qb_view_charge(struct qb_path_view *v, uint32_t bytes, uint64_t now_ns)
{
	uint64_t n = bytes + QB_SCHED_OVERHEAD;

	v->budget_bytes = qb_sub_sat_u64(v->budget_bytes, n);
	v->in_flight_bytes += n;
	v->next_send_ns = qb_max_u64(v->next_send_ns, now_ns) + qb_view_tx_ns(v, n);
}

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
		x.cost_ns = loss_cost_ns(&v[i]);
		x.way_ns = base_rtt_ns(&v[i]) / 2;
		x.jitter_ns = JITTER_FACTOR * v[i].rttvar_ns;
		x.rate_bps = qb_view_rate_bps(&v[i]) * qb_sub_sat_u64(ALL_PPM, v[i].loss_ppm) / ALL_PPM;
		x.rate_bps = qb_max_u64(x.rate_bps, RATE_MIN_BPS); /* all is lost: it is a path all the same */
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
