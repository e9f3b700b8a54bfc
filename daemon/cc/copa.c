/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copa (Arun and Balakrishnan, NSDI 2018): the window moves towards the rate 1/(δ·d_q) packets a
 * second, where d_q is the queueing delay, the standing RTT (the least of the last half RTT) less
 * the least of the last 10 s.
 *
 *     slow start   doubles each RTT until the rate is above its target (or a loss)
 *     default      δ = 0.5: a few packets in the queue, whatever the other flows of its kind; loss
 *                  does not matter unless it is a tenth of a round: a policer has no queue to show
 *     competitive  the queue was not nearly empty once in five RTTs, so others fill it: 1/δ grows
 *                  by one an RTT and is halved by a loss or a mark
 *
 * The window changes by v/(δ·w) packets an acknowledged packet; v doubles each RTT once the
 * direction was the same for three, and falls back to 1 when it changes.
 *
 * The paper's constants; mvfst (Copa.cpp) has the same windows, velocity and pace, no competitive
 * mode, and a δ of 0.05, a queue ten times as long.
 */
#include "cc/algorithms.h"

enum {
	SAME_DIRECTION_RTTS = 3,
	COMPETITIVE_RTTS = 5,
	STANDING_SLOTS = 4, /* of an eighth of an RTT: the last half */
	MAX_SLOTS = 4,	    /* of an RTT */
	INV_DELTA_MAX = 100,
	FEW_PKTS = 4,
};

#define MIN_RTT_WINDOW_NS (10 * QB_NS_PER_SEC)

static const double DELTA_DEFAULT = 0.5;
static const double LOSS_MAX = 0.1;	/* of a round: more is no accident */
static const double NEARLY_EMPTY = 0.1; /* of the span between the least and the largest RTT */

struct copa {
	double cwnd, cwnd_at_round, cwnd_min; /* packets */
	double delta, velocity;
	uint64_t min_ns, next_min_ns, next_min_stamp_ns;
	uint64_t max_bps, next_max_bps; /* of the same time */
	uint64_t standing_ns[STANDING_SLOTS],
		standing_end_ns; /* minimum by slots, the newest first */
	uint64_t largest_ns[MAX_SLOTS];
	uint64_t round_end_ns, empty_ns; /* when the queue was nearly empty last */
	uint64_t recovery_start_ns;
	uint64_t round_acked_bytes, round_lost_bytes;
	double undo_cwnd, undo_delta;
	uint32_t mss_bytes, same_cnt;
	bool is_slow_start, is_up, is_competitive, is_lossy_round;
};

_Static_assert(sizeof(struct copa) <= QB_CC_STATE_MAX, "state");

static void init(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns)
{
	struct copa *s = st;
	uint64_t cwnd_bytes = qb_cc_start_cwnd(cfg);

	*s = (struct copa){
		.cwnd = (double)cwnd_bytes / cfg->mss_bytes,
		.cwnd_min = (double)qb_cc_min_cwnd(cfg) / cfg->mss_bytes,
		.delta = DELTA_DEFAULT,
		.velocity = 1,
		.min_ns = QB_NEVER_NS,
		.next_min_ns = QB_NEVER_NS,
		.next_min_stamp_ns = now_ns,
		.mss_bytes = cfg->mss_bytes,
		.is_slow_start = true,
		.is_up = true,
		.empty_ns = now_ns,
	};
	for (int i = 0; i < STANDING_SLOTS; i++)
		s->standing_ns[i] = QB_NEVER_NS;
}

static void on_sent(void *st, const struct qb_cc_sent *ev)
{
	(void)st;
	(void)ev;
}

/* ---- delay ---- */

/* The minimum of 10 to 20 s, in two halves, so that it can rise again. */
static void update_min(struct copa *s, uint64_t rtt_ns, uint64_t now_ns)
{
	s->next_min_ns = qb_min_u64(s->next_min_ns, rtt_ns);
	if (now_ns - s->next_min_stamp_ns > MIN_RTT_WINDOW_NS) {
		s->min_ns = s->next_min_ns;
		s->max_bps = s->next_max_bps;
		s->next_min_ns = QB_NEVER_NS;
		s->next_max_bps = 0;
		s->next_min_stamp_ns = now_ns;
	}
	s->min_ns = qb_min_u64(s->min_ns, rtt_ns);
}

static void update_standing(struct copa *s, const struct qb_cc_ack *ev)
{
	if (ev->now_ns >= s->standing_end_ns) {
		memmove(&s->standing_ns[1], &s->standing_ns[0],
			sizeof(s->standing_ns[0]) * (STANDING_SLOTS - 1));
		s->standing_ns[0] = QB_NEVER_NS;
		s->standing_end_ns = ev->now_ns + ev->srtt_ns / (2 * STANDING_SLOTS);
	}
	s->standing_ns[0] = qb_min_u64(s->standing_ns[0], ev->rtt_ns);
}

static uint64_t standing_ns(const struct copa *s)
{
	uint64_t least_ns = QB_NEVER_NS;

	for (int i = 0; i < STANDING_SLOTS; i++)
		least_ns = qb_min_u64(least_ns, s->standing_ns[i]);
	return least_ns;
}

static uint64_t queue_ns(const struct copa *s)
{
	return qb_sub_sat_u64(standing_ns(s), s->min_ns);
}

/* ---- once an RTT ---- */

static void turn(struct copa *s)
{
	s->velocity = 1;
	s->same_cnt = 0;
	s->is_up = !s->is_up;
	s->cwnd_at_round = s->cwnd;
}

static void update_velocity(struct copa *s)
{
	if ((s->cwnd > s->cwnd_at_round) != s->is_up) {
		turn(s);
		return;
	}
	s->cwnd_at_round = s->cwnd;
	if (++s->same_cnt >= SAME_DIRECTION_RTTS)
		s->velocity *= 2;
	/* No more than half the window in an RTT. */
	s->velocity = QB_MIN(s->velocity, QB_MAX(s->delta * s->cwnd / 2, 1.0));
}

static void update_mode(struct copa *s, const struct qb_cc_ack *ev)
{
	s->is_competitive = ev->now_ns - s->empty_ns > COMPETITIVE_RTTS * ev->srtt_ns;
	if (!s->is_competitive) {
		s->delta = DELTA_DEFAULT;
	} else if (!s->is_lossy_round) {
		s->delta = 1 / QB_MIN(1 / s->delta + 1, (double)INV_DELTA_MAX);
	}
	s->is_lossy_round = false;
	if ((double)s->round_lost_bytes >
	    LOSS_MAX * (double)(s->round_lost_bytes + s->round_acked_bytes)) {
		s->cwnd = QB_MAX(s->cwnd / 2, s->cwnd_min);
		s->velocity = 1;
	}
	s->round_lost_bytes = s->round_acked_bytes = 0;
	memmove(&s->largest_ns[1], &s->largest_ns[0], sizeof(s->largest_ns[0]) * (MAX_SLOTS - 1));
	s->largest_ns[0] = 0;
}

static void note_queue(struct copa *s, const struct qb_cc_ack *ev)
{
	uint64_t largest_ns = 0;
	uint64_t wait_ns = queue_ns(s), few_ns = s->min_ns / 3;

	if (s->max_bps)
		few_ns = qb_min_u64(few_ns, FEW_PKTS * (uint64_t)s->mss_bytes * 8 * QB_NS_PER_SEC /
						    s->max_bps);
	s->largest_ns[0] = qb_max_u64(s->largest_ns[0], ev->rtt_ns);
	for (int i = 0; i < MAX_SLOTS; i++)
		largest_ns = qb_max_u64(largest_ns, s->largest_ns[i]);
	/* On a slow link the few packets that we want queued are never a tenth of the span. */
	if ((double)wait_ns <= NEARLY_EMPTY * (double)qb_sub_sat_u64(largest_ns, s->min_ns) ||
	    wait_ns <= few_ns)
		s->empty_ns = ev->now_ns;
}

static void update_delay(struct copa *s, const struct qb_cc_ack *ev)
{
	s->next_max_bps = qb_max_u64(s->next_max_bps, ev->rate_bps);
	update_min(s, ev->rtt_ns, ev->now_ns);
	s->max_bps = qb_max_u64(s->max_bps, ev->rate_bps);
	update_standing(s, ev);
	note_queue(s, ev);
	if (ev->now_ns < s->round_end_ns)
		return;
	s->round_end_ns = ev->now_ns + ev->srtt_ns;
	if (!s->is_slow_start) {
		update_velocity(s);
		update_mode(s, ev);
	}
}

/* ---- events ---- */

/* λ = w/RTTstanding against λ_t = 1/(δ·d_q). */
static bool is_below_target(const struct copa *s)
{
	return s->cwnd * s->delta * (double)queue_ns(s) <= (double)standing_ns(s);
}

static void on_ack(void *st, const struct qb_cc_ack *ev)
{
	struct copa *s = st;
	double acked = (double)ev->acked_bytes / s->mss_bytes, step;

	s->round_acked_bytes += ev->acked_bytes;
	if (ev->rtt_ns)
		update_delay(s, ev);
	if (standing_ns(s) == QB_NEVER_NS)
		return;
	if (!is_below_target(s)) {
		if (s->is_slow_start)
			s->cwnd_at_round = s->cwnd;
		s->is_slow_start = false;
		step = -s->velocity / (s->delta * s->cwnd);
	} else if (!ev->is_cwnd_limited) {
		return;
	} else {
		step = s->is_slow_start ? 1 : s->velocity / (s->delta * s->cwnd);
	}
	if (!s->is_slow_start && (step > 0) != s->is_up) {
		step /= s->velocity;
		turn(s);
	}
	s->cwnd = QB_MAX(s->cwnd + step * acked, s->cwnd_min);
}

static void reduce(struct copa *s, uint64_t largest_sent_ns, uint64_t now_ns)
{
	if (s->recovery_start_ns && largest_sent_ns <= s->recovery_start_ns)
		return;
	s->recovery_start_ns = now_ns;
	s->undo_cwnd = s->cwnd;
	s->undo_delta = s->delta;
	s->is_lossy_round = true;
	if (s->is_slow_start) {
		s->cwnd = QB_MAX(s->cwnd / 2, s->cwnd_min);
		s->is_slow_start = false;
	} else if (s->is_competitive) {
		s->delta = QB_MIN(2 * s->delta, DELTA_DEFAULT);
	}
}

static void on_loss(void *st, const struct qb_cc_loss *ev)
{
	struct copa *s = st;

	s->round_lost_bytes += ev->lost_bytes;
	reduce(s, ev->largest_sent_ns, ev->now_ns);
	if (ev->is_persistent) {
		s->cwnd = s->cwnd_at_round = s->cwnd_min;
		s->velocity = 1;
		s->undo_cwnd = 0;
	}
}

/* A mark, unlike a loss, is no accident: the queue is too long, in any mode. */
static void on_ecn(void *st, const struct qb_cc_ecn *ev)
{
	struct copa *s = st;
	double cwnd = s->cwnd;
	bool was_new = !s->recovery_start_ns || ev->largest_sent_ns > s->recovery_start_ns;

	if (!ev->ce_pkts || !was_new)
		return;
	reduce(s, ev->largest_sent_ns, ev->now_ns);
	s->cwnd = QB_MAX(cwnd / 2, s->cwnd_min);
	s->velocity = 1;
}

static void on_spurious(void *st, uint64_t now_ns)
{
	struct copa *s = st;

	(void)now_ns;
	if (s->undo_cwnd <= s->cwnd)
		return;
	s->cwnd = s->undo_cwnd;
	s->delta = s->undo_delta;
	s->undo_cwnd = 0;
}

static void view(const void *st, struct qb_cc_view *out)
{
	const struct copa *s = st;
	uint64_t rtt_ns = standing_ns(s);

	out->cwnd_bytes = (uint64_t)(s->cwnd * s->mss_bytes);
	out->pacing_bps = rtt_ns == QB_NEVER_NS
				  ? 0
				  : (uint64_t)(2 * s->cwnd * s->mss_bytes * 8e9 / (double)rtt_ns);
	out->ssthresh_bytes = UINT64_MAX;
	out->phase = s->is_slow_start	 ? "slow start"
		     : s->is_competitive ? "competitive"
					 : "default";
}

const struct qb_cc qb_cc_copa = {
	.name = "copa",
	.state_bytes = sizeof(struct copa),
	.init = init,
	.on_sent = on_sent,
	.on_ack = on_ack,
	.on_loss = on_loss,
	.on_ecn = on_ecn,
	.on_spurious = on_spurious,
	.view = view,
};
