/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Detection of shared bottlenecks, called by qb_bond_observe.
 *
 * As in RFC 8382 §3 delays are averaged over intervals, and paths without variation have no
 * bottleneck to share (§3.3.1). RFC 8382 then groups flows by how alike skewness, variability and
 * frequency of their delays are. But two links of one sort under one load are alike in all that
 * without sharing anything, and to take them for one would cost; so what counts is whether the
 * delays move together: from interval to interval, up and down, and by as much. One such spell may
 * be chance, or a load that comes and goes on all links; only several in a row are believed.
 */
#include "bond/sbd.h"

enum {
	SAMPLES_MIN = 3,
	COMMON_MIN = 40, /* intervals that both know */
	LOOK_EACH = 16,	 /* intervals */
	VOTES_MAX = 3,
};

/* A path that varies by less has no queue that says anything. */
#define VARIATION_MIN_US 400.0

static const double ALIKE = 0.8, UNLIKE = 0.5; /* correlation */
static const double SCALE_MAX = 1.6;

void qb_sbd_reset(struct qb_sbd *s, uint8_t path)
{
	uint32_t i;

	memset(&s->path[path], 0, sizeof(s->path[path]));
	s->partners[path] = 0;
	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		s->partners[i] &= (uint8_t) ~(1u << path);
		s->votes[i][path] = s->votes[path][i] = 0;
	}
}

void qb_sbd_expect(struct qb_sbd *s, uint8_t a, uint8_t b)
{
	s->votes[a][b] = s->votes[b][a] = VOTES_MAX;
	s->partners[a] |= (uint8_t)(1u << b);
	s->partners[b] |= (uint8_t)(1u << a);
}

/* change_us is how much the mean has changed in the interval at slot; false: not known. */
static bool change_us(const struct qb_sbd_path *p, uint32_t slot, double *out)
{
	uint32_t now_us = p->mean_us[slot % QB_SBD_INTERVALS];
	uint32_t before_us = p->mean_us[(slot + QB_SBD_INTERVALS - 1) % QB_SBD_INTERVALS];

	*out = (double)now_us - (double)before_us;
	return now_us && before_us;
}

/* verdict: 1 the two move together, -1 they do not, 0 nobody can tell. */
static int verdict(const struct qb_sbd *s, const struct qb_sbd_path *a, const struct qb_sbd_path *b)
{
	double sum_aa = 0, sum_bb = 0, sum_ab = 0, x, y, square;
	uint32_t i, n = 0;

	/* The oldest interval has none before it. */
	for (i = 1; i < QB_SBD_INTERVALS; i++) {
		if (!change_us(a, s->cnt + i, &x) || !change_us(b, s->cnt + i, &y))
			continue;
		sum_aa += x * x;
		sum_bb += y * y;
		sum_ab += x * y;
		n++;
	}
	if (n < COMMON_MIN)
		return 0;
	square = VARIATION_MIN_US * VARIATION_MIN_US * n;
	if (sum_aa < square || sum_bb < square)
		return sum_aa < square && sum_bb < square ? 0 : -1;
	/* The mean of changes is nearly zero: correlation without it. */
	if (sum_ab <= 0 || sum_ab * sum_ab < UNLIKE * UNLIKE * sum_aa * sum_bb)
		return -1;
	if (sum_aa > sum_bb * SCALE_MAX * SCALE_MAX || sum_bb > sum_aa * SCALE_MAX * SCALE_MAX)
		return -1;
	return sum_ab * sum_ab >= ALIKE * ALIKE * sum_aa * sum_bb;
}

static void vote(struct qb_sbd *s, uint32_t a, uint32_t b)
{
	int votes = s->votes[a][b] + verdict(s, &s->path[a], &s->path[b]);

	votes = QB_MAX(QB_MIN(votes, VOTES_MAX), -VOTES_MAX);
	s->votes[a][b] = s->votes[b][a] = (int8_t)votes;
	if (votes == VOTES_MAX) {
		qb_sbd_expect(s, (uint8_t)a, (uint8_t)b);
	} else if (votes <= 0) {
		s->partners[a] &= (uint8_t) ~(1u << b);
		s->partners[b] &= (uint8_t) ~(1u << a);
	}
}

static void end_interval(struct qb_sbd *s)
{
	uint32_t i, j;

	s->sample_cnt = 0;
	s->fresh_cnt -= s->fresh_cnt > 0;

	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		struct qb_sbd_path *p = &s->path[i];
		bool is_known = p->cnt >= SAMPLES_MIN;

		p->mean_us[s->cnt % QB_SBD_INTERVALS] =
			is_known ? (uint32_t)(p->sum_ns / p->cnt / QB_NS_PER_US) : 0;
		if (is_known)
			s->fresh_cnt = QB_SBD_INTERVALS;
		p->sum_ns = 0;
		p->cnt = 0;
	}
	if (++s->cnt % LOOK_EACH)
		return;
	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		for (j = i + 1; j < QB_BOND_PATHS_MAX; j++)
			vote(s, i, j);
	}
}

/* delay_ns is on a scale of the path's own; what was known on another one is forgotten. */
static uint64_t delay_ns(struct qb_sbd_path *p, const struct qb_path_obs *obs)
{
	const int64_t middle_ns = (int64_t)QB_NS_PER_SEC;
	int64_t delay = obs->has_owd ? obs->owd_ns : (int64_t)obs->srtt_ns;

	if (p->from_ns == 0 || p->has_owd != obs->has_owd) {
		p->has_owd = obs->has_owd;
		p->from_ns = delay - middle_ns;
		p->sum_ns = p->cnt = 0;
		memset(p->mean_us, 0, sizeof(p->mean_us));
	}
	return (uint64_t)QB_MAX(delay - p->from_ns, INT64_C(1000));
}

/* end_intervals: those in which nobody looked are over as well. Where nothing is known of any path, none has anything to tell. */
static void end_intervals(struct qb_sbd *s, uint64_t gone)
{
	for (; gone && (s->sample_cnt || s->fresh_cnt); gone--)
		end_interval(s);
	s->cnt += (uint32_t)gone;
}

void qb_sbd_observe(struct qb_sbd *s, uint8_t path, const struct qb_path_obs *obs, uint64_t now_ns)
{
	struct qb_sbd_path *p = &s->path[path];
	uint64_t len_ns = QB_SBD_LEN_MS * QB_NS_PER_MS;

	if (now_ns >= s->end_ns) {
		end_intervals(s, s->end_ns ? (now_ns - s->end_ns) / len_ns + 1 : 1);
		s->end_ns = now_ns >= s->end_ns + len_ns ? now_ns + len_ns : s->end_ns + len_ns;
	}
	if (obs->acked_packets == p->acked_packets || obs->srtt_ns == 0)
		return;
	p->acked_packets = obs->acked_packets;
	p->sum_ns += delay_ns(p, obs);
	p->cnt++;
	s->sample_cnt++;
}
