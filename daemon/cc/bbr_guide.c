/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What auto.c adds to BBRv3: BBR looks at rates and losses; here the delay counts as well.
 *
 *   full    Sending faster made a queue that was not there before. BBRv3 waits for three rounds
 *           without growth; on a link without cross traffic each probe then makes a queue of most
 *           of a BDP.
 *   yield   A queue that stands in CRUISE is drained at once, at the pace of DOWN. If it grows all
 *           the same, the rate has fallen: the delivered rate is taken for the path's, until the
 *           next probe. If it does not shrink in six rounds, the delivered rate is tried for two
 *           more. If it still does not shrink, the path became longer, or cross traffic keeps the
 *           queue up: that is the base, and bandwidth is competed for as BBRv3 does. While it
 *           shrinks, losses and marks ask for no more: what is delivered then is what we send, and
 *           bounds that went by it would fall by a fifth each round.
 *   step    An RTT that jumps faster than any queue grows, and stays where it is while we yield, is
 *           a longer path: a handover, another satellite. It is the minimum from then on; the old
 *           one would keep the window too small for ten seconds.
 *   share   Paths of one connection that wait in the same queue take together what one flow would,
 *           as coupled controllers do (RFC 6356 §2); the bond finds out which ones do.
 *   renew   While RTTs near the minimum come in by themselves, ProbeRTT has nothing to find out.
 *
 * Random loss is told from congestion in bbr_noise.c, marks of bursts in bbr_marks.c.
 *
 * RTTs are judged in windows of an eighth of a round trip, by the least sample of each. Where the
 * peer tells when packets arrived, what counts is how long they waited on the way there: a queue on
 * the way back is other traffic's.
 *
 * A radio link's delay varies by itself, and the smallest RTT of ten seconds is an outlier. So the
 * RTT without a queue, for which the window is made, is the floor: of all round trips of the last
 * five to ten seconds the one whose greatest window was the least.
 *
 * Called by the other bbr_*.c files; does nothing for versions that are not guided.
 */
#include "cc/bbr.h"

enum {
	WINDOWS_PER_RTT = 8,
	PROBE_WAIT_RTTS = 16,	 /* between probes: their queue is there 3 % of the time or less */
	PROBE_ALONE_ROUNDS = 63, /* without cross traffic nobody needs us to probe like Reno */
	RENEW_DIV = 32,		 /* an RTT above the minimum by this part of it is as good */
	DRAIN_ROUNDS = 6,	 /* enough to see a queue of ours shrink */
	SURE_ROUNDS = 2,	 /* likewise at the delivered rate */
	CROSS_ROUNDS = 500,	 /* cross traffic that keeps a queue stays for some time */
	STARTUP_FULL_ROUNDS = 2, /* without growth, if there is a queue as well */
	STEP_ROUNDS = 2,	 /* a queue would have shrunk by then */
	STEP_ROUNDS_MAX = 4,	 /* and one that grows has not come back */
	STEP_PKTS = 16,		 /* fewer may come at once */
	STEP_FLAT_DIV = 32,	 /* a delay that stays does not vary by more than this part */
	JITTER_FACTOR = 6,	 /* times the mean fall from window to window: more is a queue */
	JITTER_WINDOWS = 16,	 /* over which that mean is taken */
};

#define JITTER_MAX_NS (30 * QB_NS_PER_MS)
#define FLOOR_SLOT_NS (5 * QB_NS_PER_SEC) /* the floor is that of one to two of these */
#define WINDOW_MIN_NS (4 * QB_NS_PER_MS)
/* What a queue adds to the RTT, at least and at most, to be one. */
#define QUEUE_MIN_NS (2 * QB_NS_PER_MS)
#define QUEUE_MAX_NS (25 * QB_NS_PER_MS)

/* A rate that fell does so by no more than this a round; BBR.Beta of the draft. */
static const double BW_BETA = 0.7;
/* Less than this part of the pacing rate delivered, while a queue grows: the rate has fallen. */
static const double DELIVERED_MIN = 0.95;

void qb_bbr_guide_init(struct qb_bbr *b)
{
	struct qb_bbr_guide *g = &b->guide;

	g->win_rtt_ns = g->last_win_rtt_ns = QB_NEVER_NS;
	g->win_min_ns = g->last_win_min_ns = g->up_base_ns = g->base_ns = QB_NEVER_NS;
	g->floor.slot_ns[0] = g->floor.slot_ns[1] = QB_NEVER_NS;
}

/* drained_ns: by how much a queue can shrink in a time; DRAIN sends at 0.5 of the rate, DOWN at
 * 0.8. */
static uint64_t drained_ns(const struct qb_bbr *b, uint64_t span_ns)
{
	return b->state == QB_BBR_DRAIN ? span_ns / 2 : span_ns / 4;
}

/*
 * learn_jitter: a queue of ours does not shrink while we send at the rate or faster, and else by no
 * more than what we leave out, seen up to a round trip later. What the RTT falls beyond that is
 * jitter.
 */
static void learn_jitter(struct qb_bbr *b, uint64_t now_ns)
{
	struct qb_bbr_guide *g = &b->guide;
	uint64_t fall_ns;

	if (b->state == QB_BBR_PROBE_RTT || g->last_win_min_ns == QB_NEVER_NS)
		return;
	if (b->state == QB_BBR_DRAIN || b->state == QB_BBR_DOWN || qb_bbr_guide_is_yielding(b))
		g->drained_until_ns = now_ns + g->last_win_min_ns;
	fall_ns = QB_MIN(qb_sub_sat_u64(g->last_win_min_ns, g->win_min_ns), JITTER_MAX_NS);
	if (now_ns < g->drained_until_ns)
		fall_ns = qb_sub_sat_u64(fall_ns, drained_ns(b, now_ns - g->win_start_ns));
	g->jitter_ns = g->jitter_ns - g->jitter_ns / JITTER_WINDOWS + fall_ns / JITTER_WINDOWS;
}

static uint64_t jitter_ns(const struct qb_bbr *b)
{
	return QB_MIN(b->guide.jitter_ns * JITTER_FACTOR, JITTER_MAX_NS);
}

static uint64_t plain_thresh_ns(const struct qb_bbr *b)
{
	return QB_MIN(QB_MAX(b->rtt.min_ns / 8, QUEUE_MIN_NS), QUEUE_MAX_NS);
}

/* queue_thresh_ns: how much more RTT is a queue: an eighth, within bounds, and what jitter is. */
static uint64_t queue_thresh_ns(const struct qb_bbr *b)
{
	return plain_thresh_ns(b) + jitter_ns(b);
}

/* probe_thresh_ns: how much more is the queue of our own probe. */
static uint64_t probe_thresh_ns(const struct qb_bbr *b)
{
	return QB_MIN(QB_MAX(b->rtt.min_ns / 16, QUEUE_MIN_NS), QUEUE_MAX_NS) + jitter_ns(b);
}

/* ---- the floor ---- */

static uint64_t floor_ns(const struct qb_bbr *b)
{
	uint64_t ns = QB_MIN(b->guide.floor.slot_ns[0], b->guide.floor.slot_ns[1]);

	return ns == QB_NEVER_NS ? b->rtt.min_ns : QB_MAX(ns, b->rtt.min_ns);
}

static void begin_floor_round(struct qb_bbr *b)
{
	b->guide.floor.round_max_ns = b->guide.floor.win_cnt = 0;
	b->guide.floor.is_limited = false;
}

static void reset_floor(struct qb_bbr *b, uint64_t rtt_ns)
{
	b->guide.floor.slot_ns[0] = b->guide.floor.slot_ns[1] = rtt_ns;
	begin_floor_round(b);
}

/*
 * update_floor: a round trip in which we were application-limited says nothing: bursts with pauses
 * between them make a queue that comes and goes as jitter does. Without any other the floor is the
 * minimum.
 */
static void update_floor(struct qb_bbr *b, uint64_t now_ns)
{
	struct qb_bbr_guide *g = &b->guide;

	g->floor.round_max_ns = QB_MAX(g->floor.round_max_ns, g->last_win_min_ns);
	if (++g->floor.win_cnt < WINDOWS_PER_RTT)
		return;
	g->base_ns = QB_MIN(g->base_ns, g->floor.round_max_ns);
	if (now_ns >= g->floor.end_ns) {
		g->floor.slot_ns[0] = g->floor.slot_ns[1];
		g->floor.slot_ns[1] = QB_NEVER_NS;
		g->floor.end_ns = now_ns + FLOOR_SLOT_NS;
	}
	/* In Startup each round may have a queue of ours: no more of it than jitter can be. */
	if (b->state == QB_BBR_STARTUP)
		g->floor.round_max_ns =
			QB_MIN(g->floor.round_max_ns, b->rtt.min_ns + JITTER_MAX_NS);
	if (!g->floor.is_limited)
		g->floor.slot_ns[1] = QB_MIN(g->floor.slot_ns[1], g->floor.round_max_ns);
	begin_floor_round(b);
}

uint64_t qb_bbr_guide_rtt_ns(const struct qb_bbr *b)
{
	return b->par->is_guided ? floor_ns(b) : b->rtt.min_ns;
}

static bool is_queued(const struct qb_bbr *b, uint64_t win_ns)
{
	return win_ns != QB_NEVER_NS && win_ns > floor_ns(b) + queue_thresh_ns(b);
}

bool qb_bbr_guide_has_queue(const struct qb_bbr *b)
{
	return is_queued(b, b->guide.last_win_min_ns);
}

bool qb_bbr_guide_has_rtt_queue(const struct qb_bbr *b)
{
	return is_queued(b, b->guide.last_win_rtt_ns);
}

/* ---- our own queue, and cross traffic's ---- */

/* has_shrunk: the queue, from what a window's minimum was earlier. */
static bool has_shrunk(const struct qb_bbr *b, uint64_t from_ns)
{
	return qb_sub_sat_u64(from_ns, b->guide.last_win_min_ns) >= queue_thresh_ns(b) / 2;
}

/* has_own_queue: a queue above the base, which draining does not lower. */
static bool has_own_queue(const struct qb_bbr *b)
{
	return qb_bbr_guide_has_queue(b) &&
	       b->guide.last_win_min_ns > b->guide.base_ns + queue_thresh_ns(b);
}

/* has_cross_queue: cross traffic keeps a queue. */
static bool has_cross_queue(const struct qb_bbr *b)
{
	return b->guide.base_ns != QB_NEVER_NS &&
	       b->guide.base_ns > floor_ns(b) + queue_thresh_ns(b);
}

static void begin_drain(struct qb_bbr *b, bool is_sure)
{
	b->guide.is_drain_sure = is_sure;
	b->guide.drain_from_ns = b->guide.last_win_min_ns;
	b->guide.drain_from_round = b->round.cnt;
}

static void end_drain(struct qb_bbr *b)
{
	b->guide.is_drain_sure = false;
	b->guide.drain_from_ns = 0;
}

/*
 * can_be_sure: maybe we take the rate for too high. At the delivered rate a queue of ours does
 * shrink, unless another path of ours fills it.
 */
static bool can_be_sure(const struct qb_bbr *b)
{
	return !b->guide.is_drain_sure && b->loss.bw_latest_bps && b->sharer_cnt <= 1 &&
	       b->round.cnt >= b->guide.cross_until_round;
}

/* judge_drain: the time is up in which a queue of ours would have shrunk. */
static void judge_drain(struct qb_bbr *b)
{
	struct qb_bbr_guide *g = &b->guide;

	if (has_shrunk(b, g->drain_from_ns) || has_shrunk(b, g->round_win_ns)) {
		end_drain(b);
		return;
	}
	if (can_be_sure(b)) {
		b->loss.bw_short_bps = QB_MIN(b->loss.bw_short_bps, b->loss.bw_latest_bps);
		begin_drain(b, true);
		return;
	}
	g->base_ns = g->last_win_min_ns;
	if (g->is_drain_sure) {
		b->loss.bw_short_bps = QB_BBR_NONE;
		g->cross_until_round = b->round.cnt + CROSS_ROUNDS;
	}
	end_drain(b);
}

/* update_base: an RTT that does not fall while we yield is a longer path's, or cross traffic's. */
static void update_base(struct qb_bbr *b)
{
	struct qb_bbr_guide *g = &b->guide;
	uint32_t rounds = g->is_drain_sure ? SURE_ROUNDS : DRAIN_ROUNDS;

	g->base_ns = QB_MIN(g->base_ns, g->last_win_min_ns + jitter_ns(b));
	g->base_ns = QB_MAX(g->base_ns, floor_ns(b));
	if (!has_own_queue(b) || (b->state != QB_BBR_CRUISE && b->state != QB_BBR_DOWN))
		end_drain(b);
	else if (!g->drain_from_ns)
		begin_drain(b, false);
	else if (b->round.cnt >= g->drain_from_round + rounds)
		judge_drain(b);
}

/* step_flat_ns: by so much a delay varies that stays where it jumped to. */
static uint64_t step_flat_ns(const struct qb_bbr *b)
{
	return QB_MAX(b->guide.step_ns / STEP_FLAT_DIV, QB_NS_PER_MS);
}

/*
 * is_step_there: what looks like a step shows on the way there as well, if by half of it: on the way back alone it is more often a
 * queue of others. And this is no path whose delay varies so much by itself that it would look the same, nor one so small that a few
 * packets at once would.
 */
static bool is_step_there(const struct qb_bbr *b)
{
	const struct qb_bbr_guide *g = &b->guide;
	uint64_t low_ns = floor_ns(b);

	if (qb_bbr_volume(1, b->bw.max_bps, qb_sub_sat_u64(g->step_ns, low_ns)) < STEP_PKTS * (uint64_t)b->mss_bytes)
		return false;
	return g->step_ns && jitter_ns(b) <= step_flat_ns(b) && low_ns <= b->rtt.min_ns + plain_thresh_ns(b) &&
	       g->last_win_min_ns != QB_NEVER_NS &&
	       qb_sub_sat_u64(g->last_win_min_ns, low_ns) >= qb_sub_sat_u64(g->step_ns, low_ns) / 4;
}

static uint64_t window_ns(const struct qb_cc_ack *rs)
{
	return QB_MAX(rs->min_rtt_ns / WINDOWS_PER_RTT, WINDOW_MIN_NS);
}

/*
 * jump_thresh_ns: more than this in a window is a jump. After one the round trip is the longer one already: in an eighth of the former a
 * few packets come in, or one, of which delayed ACKs and what stands behind a probe would make another jump, and then the end of it.
 */
static uint64_t jump_thresh_ns(const struct qb_bbr *b)
{
	uint64_t ns = queue_thresh_ns(b);

	return is_step_there(b) ? QB_MAX(ns, b->guide.step_ns / 8) : ns;
}

/* hold_more: a longer path holds more before anything is lost: bounds that losses on the shorter one set are that much higher. */
static void hold_more(struct qb_bbr *b, uint64_t more_ns)
{
	uint64_t more_bytes = qb_bbr_volume(1, b->bw.max_bps, more_ns);

	if (b->loss.inflight_long_bytes != QB_BBR_NONE)
		b->loss.inflight_long_bytes += more_bytes;
	if (b->loss.inflight_short_bytes != QB_BBR_NONE)
		b->loss.inflight_short_bytes += more_bytes;
}

static void accept_step(struct qb_bbr *b, uint64_t now_ns)
{
	struct qb_bbr_guide *g = &b->guide;

	g->stepped_to_ns = 0;
	if (is_step_there(b)) {
		hold_more(b, qb_sub_sat_u64(g->step_ns, floor_ns(b)));
		g->stepped_from_ns = floor_ns(b);
		g->stepped_to_ns = g->step_ns;
	}
	b->rtt.min_ns = b->rtt.probe_min_ns = g->base_ns = g->step_ns;
	reset_floor(b, g->step_ns);
	b->rtt.min_stamp_ns = b->rtt.probe_min_stamp_ns = now_ns;
	if (g->slowed_bps) { /* it was the window that held the rate back */
		g->slowed_bps = 0;
		b->loss.bw_short_bps = QB_BBR_NONE;
	}
	g->step_ns = 0;
	end_drain(b);
}

/*
 * lower_step: what was sent in the gap queued behind itself, and that queue is gone, within a round. If most of the step is left the
 * watch begins anew at the height that there is now. What goes on shrinking is a queue.
 */
static void lower_step(struct qb_bbr *b, uint64_t ns)
{
	struct qb_bbr_guide *g = &b->guide;
	bool is_most_left = 2 * ns > g->step_ns + floor_ns(b);

	g->step_ns = is_most_left && is_step_there(b) && b->round.cnt <= g->jump_round + 1 ? ns : 0;
	g->step_round = b->round.cnt;
}

/*
 * watch_step: a queue grows by no more than a second a second, even where twice the rate comes in;
 * and it shrinks. After a step what was sent in the gap may queue behind itself for a window or
 * two: where there is no jitter the watch goes on, but a step is accepted at its own height only.
 * The small queue that stood before may be gone after it: by so much the RTT may fall.
 */
static void watch_step(struct qb_bbr *b, uint64_t before_ns, const struct qb_cc_ack *rs)
{
	struct qb_bbr_guide *g = &b->guide;
	uint64_t ns = g->last_win_rtt_ns, /* one-way delays show a step of one way only */
		flat_ns = step_flat_ns(b);

	if (before_ns != QB_NEVER_NS && ns > before_ns + jump_thresh_ns(b) + window_ns(rs)) {
		if (!g->step_ns)
			g->step_queue_ns = QB_MIN(qb_sub_sat_u64(before_ns, b->rtt.min_ns),
						  plain_thresh_ns(b));
		g->step_ns = ns;
		g->step_round = g->jump_round = b->round.cnt;
	} else if (g->step_ns && ns + flat_ns + g->step_queue_ns < g->step_ns) {
		lower_step(b, ns);
	} else if (g->step_ns && ((ns > g->step_ns + flat_ns && jitter_ns(b) > flat_ns) ||
				  b->round.cnt > g->step_round + STEP_ROUNDS_MAX)) {
		g->step_ns = 0;
	} else if (g->step_ns && ns <= g->step_ns + flat_ns &&
		   b->round.cnt >= g->step_round + STEP_ROUNDS) {
		accept_step(b, rs->now_ns);
	}
}

/*
 * forward_rtt_ns: the RTT as it would be if only the forward path had queues: what ACKs wait for
 * behind other traffic is not ours to drain. Clocks drift, so that the one-way delay alone is not
 * used. An ACK without a time stamp is taken to have waited as long as the last one with one: else
 * a queue on the way back would come and go with the time stamps, and pass for jitter that hides
 * our own queue.
 */
static uint64_t forward_rtt_ns(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	uint64_t over_ns = qb_sub_sat_u64(rs->rtt_ns, b->rtt.min_ns);

	if (rs->has_queue)
		b->guide.back_ns = qb_sub_sat_u64(over_ns, rs->queue_ns);
	return rs->rtt_ns - QB_MIN(over_ns, b->guide.back_ns);
}

/*
 * watch_return: the RTT is down to half of a step that was accepted. The path is the short one again: to wait for the floor to follow
 * would be to let a queue of the difference stand, for it hides that there is less to fill. Such a fall is no jitter, either.
 */
static void watch_return(struct qb_bbr *b)
{
	struct qb_bbr_guide *g = &b->guide;

	if (!g->stepped_to_ns || g->win_rtt_ns >= (g->stepped_from_ns + g->stepped_to_ns) / 2)
		return;
	g->stepped_to_ns = 0;
	g->last_win_min_ns = g->last_win_rtt_ns = QB_NEVER_NS;
	reset_floor(b, QB_NEVER_NS);
}

/* end_window draws the conclusions from a window that had samples. */
static void end_window(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	struct qb_bbr_guide *g = &b->guide;
	uint64_t before_ns;

	watch_return(b);
	before_ns = g->last_win_rtt_ns;
	learn_jitter(b, rs->now_ns);
	g->last_win_min_ns = g->win_min_ns;
	g->last_win_rtt_ns = g->win_rtt_ns;
	update_floor(b, rs->now_ns);
	watch_step(b, before_ns, rs);
	g->queue_windows =
		qb_bbr_guide_has_queue(b) && rs->is_rate_app_limited ? g->queue_windows + 1 : 0;
	update_base(b);
}

static void update_window(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	struct qb_bbr_guide *g = &b->guide;

	if (rs->now_ns >= g->win_end_ns) {
		if (g->win_min_ns != QB_NEVER_NS)
			end_window(b, rs);
		g->win_min_ns = g->win_rtt_ns = QB_NEVER_NS;
		g->win_start_ns = rs->now_ns;
		g->win_end_ns = rs->now_ns + window_ns(rs);
	}
	if (!rs->rtt_ns)
		return;
	g->win_rtt_ns = qb_min_u64(g->win_rtt_ns, rs->rtt_ns);
	g->win_min_ns = qb_min_u64(g->win_min_ns, forward_rtt_ns(b, rs));
}

bool qb_bbr_guide_is_full(const struct qb_bbr *b)
{
	const struct qb_bbr_guide *g = &b->guide;

	if (!b->par->is_guided || !b->has_rtt || g->last_win_min_ns == QB_NEVER_NS)
		return false;
	/*
	 * A path that the scheduler uses now and then is always application-limited, so that rounds
	 * without growth are not counted. A queue that stood for a whole round trip tells as much.
	 */
	if (b->state == QB_BBR_STARTUP)
		return (b->full.cnt >= STARTUP_FULL_ROUNDS && qb_bbr_guide_has_queue(b)) ||
		       g->queue_windows >= WINDOWS_PER_RTT;
	/* Cross traffic's queue hides ours: then the rate alone decides, as in BBRv3. */
	return g->up_base_ns != QB_NEVER_NS &&
	       g->last_win_min_ns > g->up_base_ns + probe_thresh_ns(b);
}

bool qb_bbr_guide_is_growing(const struct qb_bbr *b)
{
	return b->par->is_guided && !b->full.cnt;
}

bool qb_bbr_guide_is_yielding(const struct qb_bbr *b)
{
	return b->par->is_guided && b->state == QB_BBR_CRUISE && has_own_queue(b);
}

/* Where paths share a queue, it is another's yielding that shrinks it. */
bool qb_bbr_guide_is_draining(const struct qb_bbr *b)
{
	return b->par->is_guided && b->sharer_cnt <= 1 &&
	       (b->state == QB_BBR_DOWN || qb_bbr_guide_is_yielding(b)) && has_shrunk(b, b->guide.round_win_ns);
}

void qb_bbr_guide_bound_bw(struct qb_bbr *b)
{
	struct qb_bbr_guide *g = &b->guide;
	uint64_t bw_bps = QB_MIN(b->loss.bw_short_bps, b->bw.max_bps);
	bool is_growing = g->last_win_min_ns >= g->round_win_ns, is_filled = g->is_round_filled;

	g->round_win_ns = g->last_win_min_ns;
	g->is_round_filled = false;
	if (!b->par->is_guided || (b->state != QB_BBR_CRUISE && b->state != QB_BBR_DOWN))
		return;
	/* Who sent little has little delivered, and waits for delayed ACKs. */
	if (!is_filled || !is_growing || !has_own_queue(b) ||
	    b->loss.bw_latest_bps >= (uint64_t)(DELIVERED_MIN * (double)b->pacing_bps))
		return;
	bw_bps = QB_MAX(b->loss.bw_latest_bps, (uint64_t)(BW_BETA * (double)bw_bps));
	b->loss.bw_short_bps = g->slowed_bps = bw_bps;
}

void qb_bbr_guide_on_refill(struct qb_bbr *b)
{
	if (!b->guide.slowed_bps)
		return;
	b->bw.cycle_bps[0] = 0;
	b->bw.cycle_bps[1] = b->bw.max_bps = b->guide.slowed_bps;
	b->guide.slowed_bps = 0;
}

bool qb_bbr_guide_is_drained(const struct qb_bbr *b)
{
	return b->par->is_guided && b->probe.acks == QB_BBR_ACKS_INIT && !has_own_queue(b);
}

bool qb_bbr_guide_renews_min(const struct qb_bbr *b, uint64_t rtt_ns)
{
	return b->par->is_guided && rtt_ns <= b->rtt.probe_min_ns + b->rtt.probe_min_ns / RENEW_DIV;
}

/*
 * is_held_back: losses have brought the window below what the path carried, and there is no queue:
 * whether they were random only a probe tells.
 */
static bool is_held_back(const struct qb_bbr *b)
{
	return b->loss.inflight_short_bytes < qb_bbr_volume(1, b->bw.max_bps, b->rtt.min_ns) &&
	       !qb_bbr_guide_has_queue(b);
}

uint64_t qb_bbr_guide_probe_wait_ns(const struct qb_bbr *b)
{
	return b->par->is_guided && b->has_rtt ? PROBE_WAIT_RTTS * b->rtt.min_ns : 0;
}

uint64_t qb_bbr_guide_probe_rounds(const struct qb_bbr *b)
{
	if (!b->par->is_guided || has_cross_queue(b))
		return 0;
	return is_held_back(b) ? PROBE_WAIT_RTTS : PROBE_ALONE_ROUNDS;
}

void qb_bbr_guide_on_up(struct qb_bbr *b)
{
	b->guide.up_base_ns =
		has_cross_queue(b) ? QB_NEVER_NS : QB_MAX(b->guide.last_win_min_ns, floor_ns(b));
}

/* ---- sharing ---- */

static bool is_sharing(const struct qb_bbr *b)
{
	return b->par->is_guided && b->sharer_cnt > 1 && qb_bbr_is_in_probe_bw(b);
}

/*
 * A BBR flow takes bandwidth from others by what it sends beyond its rate: the window's excess over
 * the BDP, which stands in a queue that others keep, and the probe's. Several paths of a connection
 * through one bottleneck divide one flow's excess. Their rates add up, so a bottleneck that nobody
 * else uses is as full as with one.
 */
double qb_bbr_guide_gain(const struct qb_bbr *b, double gain)
{
	return is_sharing(b) && gain > 1 ? 1 + (gain - 1) / b->sharer_cnt : gain;
}

void qb_bbr_guide_on_ack(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	if (!b->par->is_guided)
		return;
	update_window(b, rs);
	b->guide.is_round_filled |= !rs->is_rate_app_limited;
	/* ProbeRTT is there to see the RTT without a queue. */
	b->guide.floor.is_limited |= rs->is_rate_app_limited && b->state != QB_BBR_PROBE_RTT;
	qb_bbr_noise_on_ack(b, rs);
}

const char *qb_bbr_guide_why(const struct qb_bbr *b)
{
	if (!b->par->is_guided)
		return NULL;
	if (b->state == QB_BBR_STARTUP)
		return "the rate is still being found";
	if (qb_bbr_guide_is_yielding(b))
		return b->guide.slowed_bps ? "the rate has fallen: as much as is delivered"
					   : "a queue of our own is drained";
	if (is_sharing(b))
		return "shares its bottleneck with another link: both together as one flow";
	if (has_cross_queue(b))
		return "others keep a queue: a share of it is kept as BBRv3 does";
	if (qb_bbr_noise_is_lossy(b))
		return "loss without a queue is noise: the rate is kept";
	if (b->guide.slowed_bps)
		return "the rate has fallen: it is looked for at the next probe";
	if (b->loss.inflight_short_bytes != QB_BBR_NONE)
		return "losses: less in flight until the next probe";
	return "no queue and no loss: the rate that the path delivers";
}
