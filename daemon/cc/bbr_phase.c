/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The states of BBRv2 and BBRv3 and the ways between them: Startup and Drain, the four phases of
 * ProbeBW, ProbeRTT (draft-ietf-ccwg-bbr-06 §5.3). Called by bbr.c for each ACK.
 */
#include "cc/bbr.h"

enum {
	RENO_ROUNDS_MAX = 63, /* §5.3.3.8: never wait for more round trips to probe */
	UP_ROUNDS_MAX = 30,
	OVERFLOW_PKTS = 3,	  /* lost in a round: fewer may be noise */
	OVERFLOW_FLAT_ROUNDS = 2, /* that overflowed and brought no more than the one before */
};

#define OVERFLOW_RTT_NS (2 * QB_NS_PER_MS) /* at least so much more is a queue */

/* §5.3.3.8: BBR.bw_probe_wait, of 2 s and up to a second more. */
#define PROBE_WAIT_NS	   (2 * QB_NS_PER_SEC)
#define PROBE_WAIT_RAND_NS QB_NS_PER_SEC
/* BBR.MinRTTFilterLen, BBR.ProbeRTTInterval, BBR.ProbeRTTDuration. */
#define MIN_RTT_WINDOW_NS     (10 * QB_NS_PER_SEC)
#define PROBE_RTT_INTERVAL_NS (5 * QB_NS_PER_SEC)
#define PROBE_RTT_TIME_NS     (200 * QB_NS_PER_MS)

static const double HEADROOM = 0.15;	     /* BBR.Headroom */
static const double UP_INFLIGHT_GAIN = 1.25; /* BBRv2: UP ends with so many BDP in flight */

static void begin_round(struct qb_bbr *b)
{
	qb_bbr_round_begin(&b->round, b->delivered_bytes);
}

/* ---- Startup and Drain ---- */

void qb_bbr_enter_startup(struct qb_bbr *b)
{
	b->state = QB_BBR_STARTUP;
	b->start.overflow_cnt = b->start.flat_cnt = 0;
	b->start.overflow_bps = 0;
}

static void enter_drain(struct qb_bbr *b)
{
	b->state = QB_BBR_DRAIN;
	b->drain_start_round = b->round.cnt;
}

/*
 * has_overflowed: a path that sends in bursts, or only what a scheduler leaves to it, has none but
 * application-limited samples: no round counts as one without growth (§5.3.1.2), and the sample at
 * a round's end belongs to the next burst and has seen no loss. A buffer that overflows is told by
 * a round with losses above the threshold, and RTTs of a queue in it. A policer has no queue, but
 * drops more than any radio.
 */
static bool has_overflowed(struct qb_bbr *b)
{
	uint64_t all_bytes = b->start.lost_bytes + b->delivered_bytes - b->start.from_bytes;

	return b->start.lost_bytes >= OVERFLOW_PKTS * (uint64_t)b->mss_bytes &&
	       qb_bbr_is_too_high(b, b->start.lost_bytes, all_bytes) &&
	       (b->start.peak_rtt_ns > b->rtt.min_ns + QB_MAX(b->rtt.min_ns / 8, OVERFLOW_RTT_NS) ||
		qb_bbr_noise_is_policed(b, b->start.lost_bytes, all_bytes));
}

/* note_overflow: a buffer overflowed. If the rate is no higher than at the last time, it is the
 * link's. */
static void note_overflow(struct qb_bbr *b)
{
	bool is_flat = b->bw.max_bps < b->start.overflow_bps + b->start.overflow_bps / 4;

	b->start.overflow_cnt++;
	b->start.flat_cnt = is_flat ? b->start.flat_cnt + 1 : 0;
	b->start.overflow_bps = b->bw.max_bps;
}

/*
 * is_startup_congested, §5.3.1.3: a round trip with losses in several ranges. So many rounds that
 * overflow say as much: a burst that loses its tail has but one range. A CE mark alone is enough,
 * unless it is a burst's.
 */
static bool is_startup_congested(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	bool is_lossy;

	b->start.peak_rtt_ns = qb_max_u64(b->start.peak_rtt_ns, rs->rtt_ns);
	if (b->loss.ce_pkts && !qb_bbr_marks_are_burst(b))
		return true;
	if (!b->loss.is_round_start)
		return false;
	is_lossy = b->loss.range_cnt >= b->par->startup_full_loss_cnt &&
		   !qb_bbr_guide_is_growing(b) &&
		   qb_bbr_is_too_high(b, rs->rate_lost_bytes, rs->tx_in_flight_bytes);
	if (has_overflowed(b)) {
		note_overflow(b);
		is_lossy |= b->start.flat_cnt >= OVERFLOW_FLAT_ROUNDS ||
			    b->start.overflow_cnt >= b->par->startup_full_loss_cnt;
	}
	b->loss.range_cnt = 0;
	b->start.lost_bytes = b->start.peak_rtt_ns = 0;
	b->start.from_bytes = b->delivered_bytes;
	return is_lossy;
}

static void check_startup_done(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	if (b->state != QB_BBR_STARTUP)
		return;
	if (!b->full.is_reached && is_startup_congested(b, rs)) {
		b->undo.state = QB_BBR_STARTUP;
		b->full.is_reached = true;
		b->marks.is_long = b->loss.ce_pkts != 0;
		b->loss.inflight_long_bytes =
			QB_MAX(qb_bbr_bdp(b, 1), b->loss.inflight_latest_bytes);
	} else if (qb_bbr_guide_is_full(b)) {
		b->full.is_reached = true;
	}
	if (b->full.is_reached)
		enter_drain(b);
}

static void check_drain_done(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	uint32_t max_rounds = b->par->drain_max_rounds;

	if (b->state != QB_BBR_DRAIN)
		return;
	if (rs->in_flight_bytes <= qb_bbr_inflight(b, 1) ||
	    (max_rounds && b->round.cnt > b->drain_start_round + max_rounds))
		qb_bbr_start_down(b, rs->now_ns);
}

/* ---- ProbeBW ---- */

static uint64_t target_inflight(const struct qb_bbr *b)
{
	return QB_MIN(qb_bbr_bdp(b, 1), b->cwnd_bytes);
}

uint64_t qb_bbr_inflight_with_headroom(const struct qb_bbr *b)
{
	uint64_t long_bytes = b->loss.inflight_long_bytes;
	uint64_t room_bytes = (uint64_t)(HEADROOM * (double)long_bytes);

	if (long_bytes == QB_BBR_NONE)
		return QB_BBR_NONE;
	room_bytes = QB_MAX(room_bytes, (uint64_t)b->mss_bytes);
	room_bytes = qb_bbr_marks_headroom_bytes(b, room_bytes);
	return QB_MAX(qb_sub_sat_u64(long_bytes, room_bytes), qb_bbr_min_pipe(b));
}

void qb_bbr_start_down(struct qb_bbr *b, uint64_t now_ns)
{
	qb_bbr_reset_congestion_signals(b);
	b->probe.up_acked_per_inc_bytes = QB_BBR_NONE;
	b->probe.rounds_since_up = qb_rand_below(&b->rand, 2);
	b->probe.wait_ns = PROBE_WAIT_NS + qb_rand_below(&b->rand, PROBE_WAIT_RAND_NS);
	b->probe.wait_ns = QB_MAX(b->probe.wait_ns, qb_bbr_guide_probe_wait_ns(b));
	b->probe.cycle_start_ns = now_ns;
	b->probe.acks = QB_BBR_ACKS_PROBE_STOPPING;
	begin_round(b);
	b->state = QB_BBR_DOWN;
}

void qb_bbr_start_refill(struct qb_bbr *b)
{
	qb_bbr_reset_short_term(b);
	qb_bbr_guide_on_refill(b);
	b->probe.up_rounds = 0;
	b->probe.up_acked_bytes = 0;
	b->probe.was_precautionary = false;
	b->probe.acks = QB_BBR_ACKS_REFILLING;
	begin_round(b);
	b->state = QB_BBR_REFILL;
}

static void raise_inflight_slope(struct qb_bbr *b)
{
	uint64_t growth_pkts = UINT64_C(1) << b->probe.up_rounds;

	b->probe.up_rounds = QB_MIN(b->probe.up_rounds + 1, (uint32_t)UP_ROUNDS_MAX);
	b->probe.up_acked_per_inc_bytes =
		QB_MAX(b->cwnd_bytes / growth_pkts, (uint64_t)b->mss_bytes);
}

static void start_up(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	b->probe.acks = QB_BBR_ACKS_PROBE_STARTING;
	b->probe.cycle_start_ns = rs->now_ns;
	begin_round(b);
	qb_bbr_full_reset(&b->full, rs->rate_bps);
	b->state = QB_BBR_UP;
	raise_inflight_slope(b);
	qb_bbr_guide_on_up(b);
}

/* §5.3.3.5: inflight_longterm grows by 1, 2, 4, … packets a round trip while it is the bound. */
static void probe_inflight_upward(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	uint64_t inc;

	if (!qb_bbr_is_cwnd_limited(b) || b->cwnd_bytes < b->loss.inflight_long_bytes)
		return;
	b->probe.up_acked_bytes += rs->acked_bytes;
	if (b->probe.up_acked_bytes >= b->probe.up_acked_per_inc_bytes) {
		inc = b->probe.up_acked_bytes / b->probe.up_acked_per_inc_bytes;
		b->probe.up_acked_bytes -= inc * b->probe.up_acked_per_inc_bytes;
		b->loss.inflight_long_bytes += inc * b->mss_bytes;
	}
	if (b->round.is_start)
		raise_inflight_slope(b);
}

static void advance_max_bw(struct qb_bbr *b)
{
	if (!b->bw.cycle_bps[1])
		return; /* nothing was measured: the old maximum stays */
	b->bw.cycle_bps[0] = b->bw.cycle_bps[1];
	b->bw.cycle_bps[1] = 0;
	b->bw.max_bps = b->bw.cycle_bps[0];
	b->bw.has_advanced = true;
}

/* adapt_long_term returns true if it made a transition. */
static bool adapt_long_term(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	if (b->probe.acks == QB_BBR_ACKS_PROBE_STARTING && b->round.is_start)
		b->probe.acks = QB_BBR_ACKS_PROBE_FEEDBACK;
	if (b->probe.acks == QB_BBR_ACKS_PROBE_STOPPING && b->round.is_start) {
		b->probe.is_sample = false;
		b->probe.acks = QB_BBR_ACKS_INIT;
		qb_bbr_noise_on_probe_end(b);
		if (qb_bbr_is_in_probe_bw(b) && !rs->is_rate_app_limited)
			advance_max_bw(b);
		if (qb_bbr_is_in_probe_bw(b) && b->probe.was_precautionary &&
		    !b->probe.was_too_high) {
			qb_bbr_start_refill(b); /* the careful probe was safe: now a real one */
			return true;
		}
	}
	if (b->loss.inflight_long_bytes == QB_BBR_NONE ||
	    qb_bbr_is_too_high(b, rs->rate_lost_bytes, rs->tx_in_flight_bytes))
		return false;
	b->loss.inflight_long_bytes = QB_MAX(b->loss.inflight_long_bytes, rs->tx_in_flight_bytes);
	if (b->state == QB_BBR_UP)
		probe_inflight_upward(b, rs);
	return false;
}

static bool check_time_to_probe(struct qb_bbr *b, uint64_t now_ns)
{
	uint64_t reno_rounds = QB_MIN(target_inflight(b) / b->mss_bytes, (uint64_t)RENO_ROUNDS_MAX);

	reno_rounds = QB_MAX(reno_rounds, qb_bbr_guide_probe_rounds(b));
	if (now_ns <= b->probe.cycle_start_ns + b->probe.wait_ns &&
	    b->probe.rounds_since_up < reno_rounds)
		return false;
	qb_bbr_start_refill(b);
	return true;
}

static bool is_time_to_cruise(const struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	if (qb_bbr_guide_is_drained(b))
		return true;
	return rs->in_flight_bytes <= qb_bbr_inflight_with_headroom(b) &&
	       rs->in_flight_bytes <= qb_bbr_inflight(b, 1);
}

static bool is_time_to_go_down(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	/* In flight before the ACK made room, to a packet: the window keeps it from being more. */
	if (b->par->is_precautionary && b->probe.was_too_high &&
	    rs->prior_in_flight_bytes + b->mss_bytes > b->loss.inflight_long_bytes) {
		b->probe.was_precautionary = true;
		return true;
	}
	if (qb_bbr_guide_is_full(b))
		return true;
	if (!b->par->is_up_until_full)
		return rs->now_ns > b->probe.cycle_start_ns + b->rtt.min_ns &&
		       rs->in_flight_bytes >= qb_bbr_inflight(b, UP_INFLIGHT_GAIN);
	if (qb_bbr_is_cwnd_limited(b) && b->cwnd_bytes >= b->loss.inflight_long_bytes) {
		/* The bound, not the path, limits the rate. */
		qb_bbr_full_reset(&b->full, rs->rate_bps);
		return false;
	}
	return b->full.is_now;
}

static void update_probe_bw(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	if (!b->full.is_reached || adapt_long_term(b, rs))
		return;
	switch (b->state) {
	case QB_BBR_DOWN:
		if (!check_time_to_probe(b, rs->now_ns) && is_time_to_cruise(b, rs))
			b->state = QB_BBR_CRUISE;
		break;
	case QB_BBR_CRUISE:
		check_time_to_probe(b, rs->now_ns);
		break;
	case QB_BBR_REFILL: /* for one round */
		if (b->round.is_start) {
			b->probe.is_sample = true;
			start_up(b, rs);
		}
		break;
	case QB_BBR_UP:
		if (is_time_to_go_down(b, rs)) {
			b->probe.was_too_high = false;
			qb_bbr_start_down(b, rs->now_ns);
		}
		break;
	default:
		break;
	}
}

/* ---- the minimum of the RTT, and ProbeRTT ---- */

static void update_min_rtt(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	b->rtt.is_probe_expired = rs->now_ns > b->rtt.probe_min_stamp_ns + PROBE_RTT_INTERVAL_NS;
	if (rs->rtt_ns && (rs->rtt_ns < b->rtt.probe_min_ns || b->rtt.is_probe_expired)) {
		b->rtt.probe_min_ns = rs->rtt_ns;
		b->rtt.probe_min_stamp_ns = rs->now_ns;
	} else if (rs->rtt_ns && qb_bbr_guide_renews_min(b, rs->rtt_ns)) {
		b->rtt.probe_min_stamp_ns = rs->now_ns;
		if (b->rtt.probe_min_ns <= b->rtt.min_ns)
			b->rtt.min_stamp_ns = rs->now_ns;
	}
	if (b->rtt.probe_min_ns < b->rtt.min_ns ||
	    rs->now_ns > b->rtt.min_stamp_ns + MIN_RTT_WINDOW_NS) {
		b->rtt.min_ns = b->rtt.probe_min_ns;
		b->rtt.min_stamp_ns = b->rtt.probe_min_stamp_ns;
	}
}

uint64_t qb_bbr_probe_rtt_cwnd(const struct qb_bbr *b)
{
	return QB_MAX(qb_bbr_bdp(b, b->par->cwnd_gain[QB_BBR_PROBE_RTT]), qb_bbr_min_pipe(b));
}

static void exit_probe_rtt(struct qb_bbr *b, uint64_t now_ns)
{
	qb_bbr_reset_short_term(b);
	if (b->full.is_reached) {
		qb_bbr_start_down(b, now_ns);
		b->state = QB_BBR_CRUISE; /* less than the BDP is in flight: nothing to drain */
	} else {
		qb_bbr_enter_startup(b);
	}
}

void qb_bbr_probe_rtt_check_done(struct qb_bbr *b, uint64_t now_ns)
{
	if (!b->rtt.probe_done_ns || now_ns <= b->rtt.probe_done_ns)
		return;
	b->rtt.probe_min_stamp_ns = now_ns;
	qb_bbr_restore_cwnd(b);
	exit_probe_rtt(b, now_ns);
}

static void enter_probe_rtt(struct qb_bbr *b)
{
	/*
	 * Where a queue of seconds makes rounds so long that no probe ends between two ProbeRTTs,
	 * the filter would keep the rate that made the queue for good; the draft overlooks that.
	 */
	if (qb_bbr_is_in_probe_bw(b) && !b->bw.has_advanced)
		advance_max_bw(b);
	b->bw.has_advanced = false;
	qb_bbr_save_cwnd(b);
	b->state = QB_BBR_PROBE_RTT;
	b->rtt.probe_done_ns = 0;
	b->low.from_bytes = b->delivered_bytes;
	b->probe.acks = QB_BBR_ACKS_PROBE_STOPPING;
	begin_round(b);
}

static void handle_probe_rtt(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	b->low.to_bytes = b->delivered_bytes + rs->in_flight_bytes;
	if (!b->rtt.probe_done_ns) {
		if (rs->in_flight_bytes > qb_bbr_probe_rtt_cwnd(b))
			return;
		b->rtt.probe_done_ns = rs->now_ns + PROBE_RTT_TIME_NS;
		b->rtt.is_probe_round_done = false;
		begin_round(b);
		return;
	}
	b->rtt.is_probe_round_done |= b->round.is_start;
	if (b->rtt.is_probe_round_done)
		qb_bbr_probe_rtt_check_done(b, rs->now_ns);
}

static void check_probe_rtt(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	if (b->state != QB_BBR_PROBE_RTT && b->rtt.is_probe_expired && !b->is_idle_restart)
		enter_probe_rtt(b);
	if (b->state == QB_BBR_PROBE_RTT)
		handle_probe_rtt(b, rs);
	b->is_idle_restart = false;
}

void qb_bbr_phase_update(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	check_startup_done(b, rs);
	check_drain_done(b, rs);
	update_probe_bw(b, rs);
	update_min_rtt(b, rs);
	check_probe_rtt(b, rs);
}
