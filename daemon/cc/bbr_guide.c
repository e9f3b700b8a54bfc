/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What auto.c adds to BBRv3. BBR looks at rates and losses; here the delay has a say as well:
 *
 *   full    Sending faster made a queue that was not there before. BBRv3 waits for three rounds
 *           without growth, which on a link of one's own is a queue of most of a BDP each probe.
 *   yield   A queue that stands while cruising is drained at once, at the pace of DOWN. If it grows
 *           all the same, the rate has fallen: the delivered rate is the rate then, now and for the
 *           next probe. If it does not shrink in six rounds, the delivered rate is tried for two
 *           more. If it does not shrink then, the path became longer or others keep it up: that is
 *           the base, and their share is fought for as BBRv3 does.
 *   step    A delay that jumps faster than any queue grows, and stays where it is while we yield,
 *           is a longer path: a handover, another satellite. It is the minimum from then on, for
 *           the old one would keep the window too small for ten seconds.
 *   noise   Loss without a queue, and not more of it when we send faster, is the radio's and no
 *           congestion. A policer or a short buffer drops without much of a queue, too, but in
 *           proportion to the excess, so it does not pass.
 *   share   Paths of one connection that wait in the same queue take together what one flow would,
 *           as the couplings do (RFC 6356 §2): the bond finds out which do.
 *   marks   A mark of the network where no queue stands is a burst's: some packets waited behind each
 *           other. It bounds what is in flight to what the path holds, and takes nothing off the
 *           rate; a queue that stands and is marked is answered as a loss.
 *   renew   While RTTs near the minimum come in by themselves, ProbeRTT has nothing to find out.
 *
 * Where the peer tells when packets arrived, what counts is what they waited for on the way there:
 * the queue on the way back is other traffic's.
 *
 * A radio delays packets as it likes, and the smallest RTT of ten seconds is its luckiest one: a
 * queue is what stands above the quietest round trip, the one whose windows all were low. That is
 * the floor, and the window is made for it.
 *
 * Called by the other bbr_*.c files; does nothing for versions that do not ask for it.
 */
#include "cc/bbr.h"

#include <math.h>

enum {
	WINDOWS_PER_RTT = 8,
	JUDGE_PKTS = 64,      /* fewer say nothing of a loss rate */
	PROBE_WAIT_RTTS = 16, /* the queue of a probe is 3 % of the time or less */
	PROBE_ALONE_ROUNDS = 63, /* who shares with nobody need not ask as often as Reno would */
	RENEW_DIV = 32,
	DRAIN_ROUNDS = 6,	 /* enough to see a queue of ours shrink */
	SURE_ROUNDS = 2,	 /* ... of one that is sure to */
	FOREIGN_ROUNDS = 500,	 /* others who keep a queue stay for some time */
	STARTUP_FULL_ROUNDS = 2, /* without growth, if there is a queue as well */
	STEP_ROUNDS = 2,	 /* a queue would have shrunk by then */
	STEP_ROUNDS_MAX = 4,	 /* and one that grows has not come back */
	STEP_FLAT_DIV = 32,
	MARKS_ROUNDS = 16, /* RFC 8257 §4.2: g is 1/16 */
};

/* A queue that is told from jitter stands above it by so many times what the RTT falls from window
 * to window. */
#define JITTER_FACTOR 6
#define JITTER_MAX_NS (30 * QB_NS_PER_MS)
#define FLOOR_SLOT_NS (5 * QB_NS_PER_SEC) /* the floor is that of one to two of these */
#define WINDOW_MIN_NS (4 * QB_NS_PER_MS)
#define QUEUE_MIN_NS  (2 * QB_NS_PER_MS)
#define QUEUE_MAX_NS  (25 * QB_NS_PER_MS)

static const double BW_BETA = 0.7, DELIVERED_MIN = 0.95;
static const double MARKS_QUIET = 0.01;
static const double NOISE_VISIBLE = 0.002;
static const double NOISE_MAX = 0.1; /* no link worth bonding loses more for no reason */

void qb_bbr_guide_init(struct qb_bbr *b)
{
	struct qb_bbr_guide *g = &b->guide;

	g->win_rtt_ns = g->last_win_rtt_ns = QB_NEVER_NS;
	g->win_min_ns = g->last_win_min_ns = g->up_base_ns = g->base_ns = QB_NEVER_NS;
	g->floor.slot_ns[0] = g->floor.slot_ns[1] = QB_NEVER_NS;
}

/* By how much a queue shrinks in a time at most: the pace of DOWN is 0.8 of the link's rate. */
static uint64_t drained_ns(const struct qb_bbr *b, uint64_t span_ns)
{
	return b->state == QB_BBR_DRAIN ? span_ns / 2 : span_ns / 4;
}

/*
 * learn_jitter: a queue of ours only grows while we send as fast or faster, and shrinks by no more
 * than what we leave out, until a round trip later; what makes the RTT fall beyond that is the
 * path's own unrest.
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
	g->jitter_ns = g->jitter_ns - g->jitter_ns / 16 + fall_ns / 16;
}

static uint64_t jitter_ns(const struct qb_bbr *b)
{
	return QB_MIN(b->guide.jitter_ns * JITTER_FACTOR, JITTER_MAX_NS);
}

static uint64_t plain_thresh_ns(const struct qb_bbr *b)
{
	return QB_MIN(QB_MAX(b->rtt.min_ns / 8, QUEUE_MIN_NS), QUEUE_MAX_NS);
}

/* How much more RTT is a queue: an eighth, within bounds, and what comes and goes by itself. */
static uint64_t queue_thresh_ns(const struct qb_bbr *b)
{
	return plain_thresh_ns(b) + jitter_ns(b);
}

/* How much more is one that our probe made. */
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
 * The floor is the least of what all windows of a round trip were below. One in which the path was
 * left to itself says nothing: bursts with pauses between make a queue that comes and goes as
 * jitter does, and without any other the floor is the minimum.
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
	/* In start-up each round of it may have a queue of ours: no more than jitter can be. */
	if (b->state == QB_BBR_STARTUP)
		g->floor.round_max_ns = QB_MIN(g->floor.round_max_ns, b->rtt.min_ns + JITTER_MAX_NS);
	if (!g->floor.is_limited)
		g->floor.slot_ns[1] = QB_MIN(g->floor.slot_ns[1], g->floor.round_max_ns);
	begin_floor_round(b);
}

uint64_t qb_bbr_guide_rtt_ns(const struct qb_bbr *b)
{
	return b->par->is_guided ? floor_ns(b) : b->rtt.min_ns;
}

static bool has_queue(const struct qb_bbr *b)
{
	return b->guide.last_win_min_ns != QB_NEVER_NS &&
	       b->guide.last_win_min_ns > floor_ns(b) + queue_thresh_ns(b);
}

/* ---- delay ---- */

/* A queue above what draining cannot lower. */
static bool has_own_queue(const struct qb_bbr *b)
{
	return has_queue(b) && b->guide.last_win_min_ns > b->guide.base_ns + queue_thresh_ns(b);
}

static bool is_foreign_queue(const struct qb_bbr *b)
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

/* The rate may be thought too high: below what is delivered a queue of ours does shrink, unless
 * another path of ours fills it. */
static bool can_be_sure(const struct qb_bbr *b)
{
	return !b->guide.is_drain_sure && b->loss.bw_latest_bps && b->sharer_cnt <= 1 &&
	       b->round.cnt >= b->guide.foreign_until_round;
}

static void judge_drain(struct qb_bbr *b)
{
	struct qb_bbr_guide *g = &b->guide;

	if (g->last_win_min_ns + queue_thresh_ns(b) / 2 <= g->drain_from_ns) {
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
		g->foreign_until_round = b->round.cnt + FOREIGN_ROUNDS;
	}
	end_drain(b);
}

/* What does not go down while we yield is a longer way or a queue that others keep up: live with
 * it. */
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

static uint64_t window_ns(const struct qb_cc_ack *rs)
{
	return QB_MAX(rs->min_rtt_ns / WINDOWS_PER_RTT, WINDOW_MIN_NS);
}

static void accept_step(struct qb_bbr *b, uint64_t now_ns)
{
	struct qb_bbr_guide *g = &b->guide;

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
 * A queue grows by no more than a second a second, even where twice the rate comes in; and it
 * shrinks. What is sent into the gap that a step leaves may wait behind itself for a window or two:
 * that tells nothing where the path is quiet, but a step is accepted at its own height only. The
 * little queue that stood before may be gone after it: that much it may sink.
 */
static void watch_step(struct qb_bbr *b, uint64_t before_ns, const struct qb_cc_ack *rs)
{
	struct qb_bbr_guide *g = &b->guide;
	uint64_t ns = g->last_win_rtt_ns, /* one-way delays show a step of one way only */
		flat_ns = QB_MAX(g->step_ns / STEP_FLAT_DIV, QB_NS_PER_MS);

	if (before_ns != QB_NEVER_NS && ns > before_ns + queue_thresh_ns(b) + window_ns(rs)) {
		if (!g->step_ns)
			g->step_queue_ns = QB_MIN(qb_sub_sat_u64(before_ns, b->rtt.min_ns),
						  plain_thresh_ns(b));
		g->step_ns = ns;
		g->step_round = b->round.cnt;
	} else if (g->step_ns && (ns + flat_ns + g->step_queue_ns < g->step_ns ||
				  (ns > g->step_ns + flat_ns && jitter_ns(b) > flat_ns) ||
				  b->round.cnt > g->step_round + STEP_ROUNDS_MAX)) {
		g->step_ns = 0;
	} else if (g->step_ns && ns <= g->step_ns + flat_ns &&
		   b->round.cnt >= g->step_round + STEP_ROUNDS) {
		accept_step(b, rs->now_ns);
	}
}

/*
 * The RTT as it would be if only the way there had queues: what ACKs wait for behind other traffic
 * is not ours to drain. Clocks drift, so that the one-way delay alone is not believed. An ACK that
 * does not tell waited as long as the last one that did: else a longer way back, or a queue there,
 * came and went with what ACKs tell, and passed for jitter that hides our own queue.
 */
static uint64_t there_rtt_ns(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	uint64_t over_ns = qb_sub_sat_u64(rs->rtt_ns, b->rtt.min_ns);

	if (rs->has_queue)
		b->guide.back_ns = qb_sub_sat_u64(over_ns, rs->queue_ns);
	return rs->rtt_ns - QB_MIN(over_ns, b->guide.back_ns);
}

static void update_window(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	struct qb_bbr_guide *g = &b->guide;

	if (rs->now_ns >= g->win_end_ns) {
		if (g->win_min_ns != QB_NEVER_NS) {
			uint64_t before_ns = g->last_win_rtt_ns;

			learn_jitter(b, rs->now_ns);
			g->last_win_min_ns = g->win_min_ns;
			g->last_win_rtt_ns = g->win_rtt_ns;
			update_floor(b, rs->now_ns);
			watch_step(b, before_ns, rs);
			g->queue_windows =
				has_queue(b) && rs->is_rate_app_limited ? g->queue_windows + 1 : 0;
			update_base(b);
		}
		g->win_min_ns = g->win_rtt_ns = QB_NEVER_NS;
		g->win_start_ns = rs->now_ns;
		g->win_end_ns = rs->now_ns + window_ns(rs);
	}
	if (!rs->rtt_ns)
		return;
	g->win_rtt_ns = qb_min_u64(g->win_rtt_ns, rs->rtt_ns);
	g->win_min_ns = qb_min_u64(g->win_min_ns, there_rtt_ns(b, rs));
}

bool qb_bbr_guide_is_full(const struct qb_bbr *b)
{
	const struct qb_bbr_guide *g = &b->guide;

	if (!b->par->is_guided || !b->has_rtt || g->last_win_min_ns == QB_NEVER_NS)
		return false;
	/*
	 * A path that a scheduler uses by fits and starts is always application-limited, and rounds
	 * without growth are never counted. A queue that stood for a whole round trip tells as
	 * much.
	 */
	if (b->state == QB_BBR_STARTUP)
		return (b->full.cnt >= STARTUP_FULL_ROUNDS && has_queue(b)) ||
		       g->queue_windows >= WINDOWS_PER_RTT;
	/* A queue that others keep hides ours: then the rate alone decides, as in BBRv3. */
	return g->up_base_ns != QB_NEVER_NS &&
	       g->last_win_min_ns > g->up_base_ns + probe_thresh_ns(b);
}

bool qb_bbr_guide_is_yielding(const struct qb_bbr *b)
{
	return b->par->is_guided && b->state == QB_BBR_CRUISE && has_own_queue(b);
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
	/* Who sent little saw little delivered, and waited for delayed ACKs. */
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

/* Losses have brought the window below what the path carried, and there is no queue: whether they
 * were noise only a probe tells. */
static bool is_held_back(const struct qb_bbr *b)
{
	return b->loss.inflight_short_bytes < qb_bbr_volume(1, b->bw.max_bps, b->rtt.min_ns) &&
	       !has_queue(b);
}

uint64_t qb_bbr_guide_probe_wait_ns(const struct qb_bbr *b)
{
	return b->par->is_guided && b->has_rtt ? PROBE_WAIT_RTTS * b->rtt.min_ns : 0;
}

uint64_t qb_bbr_guide_probe_rounds(const struct qb_bbr *b)
{
	if (!b->par->is_guided || is_foreign_queue(b))
		return 0;
	return is_held_back(b) ? PROBE_WAIT_RTTS : PROBE_ALONE_ROUNDS;
}

void qb_bbr_guide_on_up(struct qb_bbr *b)
{
	b->guide.up_base_ns =
		is_foreign_queue(b) ? QB_NEVER_NS : QB_MAX(b->guide.last_win_min_ns, floor_ns(b));
}

/* ---- sharing ---- */

static bool is_sharing(const struct qb_bbr *b)
{
	return b->par->is_guided && b->sharer_cnt > 1 && qb_bbr_is_in_probe_bw(b);
}

/*
 * What a BBR flow takes from others it takes by what it sends beyond its rate: the window's excess
 * over the BDP, which stands in a queue that others keep, and that of the probe. Several paths of a
 * connection through one bottleneck divide one flow's excess. Their rates add up by themselves, so
 * a bottleneck of their own is as full as before.
 */
double qb_bbr_guide_gain(const struct qb_bbr *b, double gain)
{
	return is_sharing(b) && gain > 1 ? 1 + (gain - 1) / b->sharer_cnt : gain;
}

/* ---- noise ---- */

/* Who drops ACKs or lets them wait is no quiet radio either. */
static bool is_unquiet(const struct qb_bbr *b)
{
	return has_queue(b) || (b->guide.last_win_rtt_ns != QB_NEVER_NS &&
				b->guide.last_win_rtt_ns > floor_ns(b) + queue_thresh_ns(b));
}

bool qb_bbr_guide_is_growing(const struct qb_bbr *b)
{
	return b->par->is_guided && !b->full.cnt;
}

/* The mean and two deviations of it, for losses come in lumps. */
uint64_t qb_bbr_guide_noise_bytes(const struct qb_bbr *b, uint64_t of_bytes)
{
	double pkts = b->guide.noise * (double)of_bytes / b->mss_bytes;

	return b->guide.noise > 0 ? (uint64_t)((pkts + 2 * sqrt(pkts)) * b->mss_bytes) : 0;
}

bool qb_bbr_guide_is_policed(const struct qb_bbr *b, uint64_t lost_bytes, uint64_t of_bytes)
{
	return b->par->is_guided && (double)lost_bytes > NOISE_MAX * (double)of_bytes;
}

bool qb_bbr_guide_is_lossy(const struct qb_bbr *b)
{
	return b->guide.noise > NOISE_VISIBLE;
}

bool qb_bbr_guide_is_noise(const struct qb_bbr *b)
{
	uint64_t round_bytes = b->guide.round_lost_bytes + b->loss.inflight_latest_bytes;

	return b->par->is_guided && !is_unquiet(b) && !b->loss.ce_pkts &&
	       b->guide.round_lost_bytes <= qb_bbr_guide_noise_bytes(b, round_bytes);
}

/* ---- marks ---- */

/*
 * A mark without a queue that stands is that of a burst: what an AQM that marks from a few packets
 * on makes of those that leave together, from a worker that was woken late or behind a router that
 * gathers. Start-up's are such as long as the rate grows; a probe's only where marks come anyway,
 * for else they are its own queue, and the first news of it.
 */
bool qb_bbr_guide_is_burst(const struct qb_bbr *b)
{
	if (!b->par->is_guided || has_queue(b))
		return false;
	if (b->state == QB_BBR_STARTUP)
		return !b->full.cnt;
	return b->state != QB_BBR_UP || b->guide.marks.part > MARKS_QUIET;
}

void qb_bbr_guide_on_marks(struct qb_bbr *b, const struct qb_cc_ecn *ev)
{
	b->guide.marks.ce_pkts += ev->ce_pkts;
	b->guide.marks.all_pkts += ev->ce_pkts + ev->ect_pkts;
}

/* What the path itself holds: in flight, and in acknowledgements that come together. */
static uint64_t held_bytes(const struct qb_bbr *b)
{
	return qb_bbr_volume(1, b->bw_bps, qb_bbr_guide_rtt_ns(b)) + b->agg.extra_bytes;
}

/* The window comes down by as little as the marks are few (RFC 8257 §3.3), round by round. */
static void bound_bursts(struct qb_bbr *b)
{
	uint64_t bytes = QB_MIN(b->loss.inflight_short_bytes, b->cwnd_bytes);

	bytes = (uint64_t)((1 - b->guide.marks.part / 2) * (double)bytes);
	b->loss.inflight_short_bytes = QB_MAX(bytes, held_bytes(b));
}

void qb_bbr_guide_on_marked_round(struct qb_bbr *b)
{
	struct qb_bbr_guide *g = &b->guide;
	double part = (double)g->marks.ce_pkts / (double)QB_MAX(g->marks.all_pkts, (uint64_t)1);

	/* What a probe has marked is its own. */
	if (g->marks.all_pkts && b->state != QB_BBR_UP)
		g->marks.part += (part - g->marks.part) / MARKS_ROUNDS;
	g->marks.ce_pkts = g->marks.all_pkts = 0;
	if (g->marks.has_burst && (b->state == QB_BBR_CRUISE || b->state == QB_BBR_DOWN))
		bound_bursts(b);
	g->marks.has_burst = false;
}

uint64_t qb_bbr_guide_headroom_bytes(const struct qb_bbr *b, uint64_t room_bytes)
{
	if (!b->par->is_guided || !b->guide.marks.is_long)
		return room_bytes;
	return QB_MIN(room_bytes, qb_sub_sat_u64(b->loss.inflight_long_bytes, held_bytes(b)));
}

static bool is_probe_feedback(const struct qb_bbr *b)
{
	return b->probe.acks == QB_BBR_ACKS_PROBE_FEEDBACK ||
	       b->probe.acks == QB_BBR_ACKS_PROBE_STOPPING;
}

static bool is_quiet_feedback(const struct qb_bbr *b)
{
	return b->probe.acks == QB_BBR_ACKS_INIT && b->full.is_reached && !is_unquiet(b);
}

void qb_bbr_guide_on_ack(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	if (!b->par->is_guided)
		return;
	update_window(b, rs);
	b->guide.is_round_filled |= !rs->is_rate_app_limited;
	/* ProbeRTT is there to see the RTT without a queue. */
	b->guide.floor.is_limited |= rs->is_rate_app_limited && b->state != QB_BBR_PROBE_RTT;
	if (is_probe_feedback(b))
		b->guide.up_acked_bytes += rs->acked_bytes;
	else if (is_quiet_feedback(b))
		b->guide.quiet_acked_bytes += rs->acked_bytes;
}

void qb_bbr_guide_on_loss(struct qb_bbr *b, uint64_t lost_bytes)
{
	b->guide.round_lost_bytes += lost_bytes;
	if (is_probe_feedback(b))
		b->guide.up_lost_bytes += lost_bytes;
	else if (is_quiet_feedback(b))
		b->guide.quiet_lost_bytes += lost_bytes;
}

/* Enough packets for a rate: takes it and starts over. */
static bool take_rate(const struct qb_bbr *b, uint64_t *acked_bytes, uint64_t *lost_bytes,
		      double *rate)
{
	uint64_t all_bytes = *acked_bytes + *lost_bytes;

	if (all_bytes < JUDGE_PKTS * (uint64_t)b->mss_bytes)
		return false;
	*rate = (double)*lost_bytes / (double)all_bytes;
	*acked_bytes = *lost_bytes = 0;
	return true;
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
	if (is_foreign_queue(b))
		return "others keep a queue: a share of it is kept as BBRv3 does";
	if (qb_bbr_guide_is_lossy(b))
		return "loss without a queue is noise: the rate is kept";
	if (b->guide.slowed_bps)
		return "the rate has fallen: it is looked for at the next probe";
	if (b->loss.inflight_short_bytes != QB_BBR_NONE)
		return "losses: less in flight until the next probe";
	return "no queue and no loss: the rate that the path delivers";
}

void qb_bbr_guide_on_probe_end(struct qb_bbr *b)
{
	struct qb_bbr_guide *g = &b->guide;
	double up_loss;

	if (!b->par->is_guided)
		return;
	take_rate(b, &g->quiet_acked_bytes, &g->quiet_lost_bytes, &g->quiet_loss);
	if (!take_rate(b, &g->up_acked_bytes, &g->up_lost_bytes, &up_loss))
		return;
	if (up_loss > 2 * g->quiet_loss + 0.01 || g->quiet_loss > NOISE_MAX)
		g->noise /= 2;
	else
		g->noise += (g->quiet_loss - g->noise) / 2;
}
