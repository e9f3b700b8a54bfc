/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How BBRv2 and BBRv3 answer to loss and to CE marks, in two time scales (draft-ietf-ccwg-bbr-06
 * §5.5.10, §5.5.11). While probing, too much loss sets inflight_longterm; otherwise each round with
 * a loss lowers the short-term bounds towards what was delivered. The draft leaves ECN open but
 * wants CE treated as congestion (§3.7): here a mark is a loss that no rate excuses, for unlike
 * loss it is no noise. What bbr_guide.c takes for a burst's is answered there.
 */
#include "cc/bbr.h"

static const double BETA = 0.7;
static const double LOSS_THRESH = 0.02;

bool qb_bbr_is_too_high(const struct qb_bbr *b, uint64_t lost_bytes, uint64_t tx_in_flight_bytes)
{
	lost_bytes = qb_sub_sat_u64(lost_bytes, qb_bbr_noise_bytes(b, tx_in_flight_bytes));
	return (double)lost_bytes > (double)tx_in_flight_bytes * LOSS_THRESH;
}

void qb_bbr_reset_congestion_signals(struct qb_bbr *b)
{
	b->loss.is_in_round = false;
	b->loss.bw_latest_bps = 0;
	b->loss.inflight_latest_bytes = 0;
}

void qb_bbr_reset_short_term(struct qb_bbr *b)
{
	b->loss.bw_short_bps = QB_BBR_NONE;
	b->loss.inflight_short_bytes = QB_BBR_NONE;
}

static bool is_probing(const struct qb_bbr *b)
{
	return b->state == QB_BBR_STARTUP || b->state == QB_BBR_REFILL || b->state == QB_BBR_UP;
}

/* ---- losses ---- */

static void save_state(struct qb_bbr *b)
{
	qb_bbr_save_cwnd(b);
	b->undo.state = QB_BBR_STATE_CNT;
	b->undo.bw_short_bps = b->loss.bw_short_bps;
	b->undo.inflight_short_bytes = b->loss.inflight_short_bytes;
	b->undo.inflight_long_bytes = b->loss.inflight_long_bytes;
}

static void note_loss(struct qb_bbr *b)
{
	if (!b->loss.is_in_round) {
		b->loss.round_delivered_bytes = b->delivered_bytes;
		save_state(b);
	}
	b->loss.is_in_round = true;
}

static void handle_too_high(struct qb_bbr *b, uint64_t tx_in_flight_bytes, bool is_app_limited,
			    uint64_t now_ns)
{
	uint64_t target_bytes = QB_MIN(qb_bbr_bdp(b, 1), b->cwnd_bytes);

	b->probe.was_too_high = true;
	b->probe.is_sample = false; /* once a probe */
	if (!is_app_limited)
		b->loss.inflight_long_bytes =
			QB_MAX(tx_in_flight_bytes, (uint64_t)(BETA * (double)target_bytes));
	if (b->state == QB_BBR_UP) {
		b->undo.state = QB_BBR_UP;
		qb_bbr_start_down(b, now_ns);
	}
}

/* At which volume in flight did the losses cross the threshold (BBRInflightAtLoss)? */
static uint64_t inflight_at_loss(const struct qb_bbr *b, const struct qb_cc_loss *ev)
{
	double inflight_prev = (double)qb_sub_sat_u64(ev->tx_in_flight_bytes, b->mss_bytes);
	double lost_prev = (double)qb_sub_sat_u64(ev->lost_since_tx_bytes, b->mss_bytes);
	double prefix = (LOSS_THRESH * inflight_prev - lost_prev) / (1 - LOSS_THRESH);

	return (uint64_t)QB_MAX(inflight_prev + prefix, 0);
}

void qb_bbr_on_loss(void *st, const struct qb_cc_loss *ev)
{
	struct qb_bbr *b = st;

	b->delivered_bytes = ev->delivered_bytes;
	b->loss.range_cnt += ev->range_cnt;
	b->start.lost_bytes += ev->lost_bytes;
	qb_bbr_noise_on_loss(b, ev->lost_bytes);
	note_loss(b);
	if (ev->largest_sent_ns > b->recovery_start_ns) {
		b->is_in_recovery = true;
		b->recovery_start_ns = ev->now_ns;
	}
	if (ev->is_persistent) {
		b->cwnd_bytes = qb_bbr_min_pipe(b);
		return;
	}
	if (b->probe.is_sample &&
	    qb_bbr_is_too_high(b, ev->lost_since_tx_bytes, ev->tx_in_flight_bytes)) {
		b->marks.is_long = false;
		handle_too_high(b, inflight_at_loss(b, ev), ev->is_app_limited, ev->now_ns);
	}
}

void qb_bbr_on_ecn(void *st, const struct qb_cc_ecn *ev)
{
	struct qb_bbr *b = st;

	qb_bbr_marks_on_ecn(b, ev);
	b->loss.ce_pkts += ev->ce_pkts; /* answered with the ACK that brought them */
}

static void answer_marks(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	if (!b->loss.ce_pkts || b->state == QB_BBR_STARTUP)
		return; /* Startup ends by it, in bbr_phase.c */
	if (qb_bbr_marks_are_burst(b)) {
		b->marks.has_burst = true;
		return;
	}
	note_loss(b);
	if (b->probe.is_sample)
		handle_too_high(b, rs->tx_in_flight_bytes, rs->is_rate_app_limited, rs->now_ns);
	b->marks.is_long = true;
}

/* ---- rounds ---- */

/* Once a round with a loss, while not probing: down to what was delivered, by no more than Beta. */
static void adapt_lower_bounds(struct qb_bbr *b)
{
	uint64_t bw_bps, inflight_bytes;

	if (is_probing(b) || !b->loss.is_in_round || qb_bbr_noise_explains_round(b) ||
	    qb_bbr_guide_is_draining(b))
		return;
	bw_bps = b->loss.bw_short_bps == QB_BBR_NONE ? b->bw.max_bps : b->loss.bw_short_bps;
	inflight_bytes = b->loss.inflight_short_bytes == QB_BBR_NONE ? b->cwnd_bytes
								     : b->loss.inflight_short_bytes;
	b->loss.bw_short_bps = QB_MAX(b->loss.bw_latest_bps, (uint64_t)(BETA * (double)bw_bps));
	b->loss.inflight_short_bytes =
		QB_MAX(b->loss.inflight_latest_bytes, (uint64_t)(BETA * (double)inflight_bytes));
}

void qb_bbr_loss_begin(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	answer_marks(b, rs);
	b->loss.is_round_start = false;
	b->loss.bw_latest_bps = QB_MAX(b->loss.bw_latest_bps, rs->rate_bps);
	b->loss.inflight_latest_bytes =
		QB_MAX(b->loss.inflight_latest_bytes, rs->rate_delivered_bytes);
	if (rs->prior_delivered_bytes < b->loss.round_delivered_bytes)
		return;
	b->loss.round_delivered_bytes = rs->delivered_bytes;
	b->loss.is_round_start = true;
	adapt_lower_bounds(b);
	qb_bbr_marks_on_round(b);
	qb_bbr_guide_bound_bw(b);
	b->loss.is_in_round = false;
	b->noise.round_lost_bytes = 0;
}

void qb_bbr_loss_end(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	b->loss.ce_pkts = 0;
	if (!b->loss.is_round_start)
		return;
	b->loss.bw_latest_bps = rs->rate_bps;
	b->loss.inflight_latest_bytes = rs->rate_delivered_bytes;
}

/* ---- a loss episode that was none ---- */

void qb_bbr_on_spurious(void *st, uint64_t now_ns)
{
	struct qb_bbr *b = st;
	enum qb_bbr_state back = b->undo.state;

	(void)now_ns;
	qb_bbr_restore_cwnd(b);
	b->loss.is_in_round = false;
	qb_bbr_full_reset(&b->full, 0);
	b->loss.bw_short_bps = QB_MAX(b->loss.bw_short_bps, b->undo.bw_short_bps);
	b->loss.inflight_short_bytes =
		QB_MAX(b->loss.inflight_short_bytes, b->undo.inflight_short_bytes);
	b->loss.inflight_long_bytes =
		QB_MAX(b->loss.inflight_long_bytes, b->undo.inflight_long_bytes);
	b->undo.state = QB_BBR_STATE_CNT;
	if (back == QB_BBR_STARTUP && b->state != QB_BBR_STARTUP) {
		b->full.is_reached = false;
		if (b->state != QB_BBR_PROBE_RTT)
			qb_bbr_enter_startup(b);
	} else if (back == QB_BBR_UP && b->state != QB_BBR_UP && b->state != QB_BBR_PROBE_RTT) {
		qb_bbr_start_refill(b);
	}
}
