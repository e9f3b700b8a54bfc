/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BBRv2 and BBRv3: the events, the network model and what follows from it, window and pacing rate
 * (draft-ietf-ccwg-bbr-06 §5.2, §5.5, §5.6). The phases are in bbr_phase.c, losses in bbr_loss.c.
 */
#include "cc/bbr.h"

enum {
	EXTRA_ACKED_ROUNDS = 10,
	QUANTUM_MAX_BYTES = 64 * 1024,
};

static const double PACING_MARGIN = 0.99; /* BBR.PacingMarginPercent is 1 */

/* ---- what the model asks for ---- */

uint64_t qb_bbr_bdp(const struct qb_bbr *b, double gain)
{
	if (!b->has_rtt)
		return b->init_cwnd_bytes;
	return qb_bbr_volume(gain, b->bw_bps, b->rtt.min_ns);
}

static uint64_t quantization_budget(const struct qb_bbr *b, uint64_t bytes)
{
	uint64_t quantum_bytes = QB_MIN(b->pacing_bps / 8000, (uint64_t)QUANTUM_MAX_BYTES);

	bytes = QB_MAX(bytes, QB_MAX(quantum_bytes, 2 * (uint64_t)b->mss_bytes));
	bytes = QB_MAX(bytes, qb_bbr_min_pipe(b));
	if (b->state == QB_BBR_UP)
		bytes += 2 * (uint64_t)b->mss_bytes;
	return bytes;
}

uint64_t qb_bbr_inflight(const struct qb_bbr *b, double gain)
{
	return quantization_budget(b, qb_bbr_bdp(b, gain));
}

/* ---- outputs ---- */

static void set_pacing_with_gain(struct qb_bbr *b, double gain)
{
	uint64_t rate_bps = (uint64_t)(gain * (double)b->bw_bps * PACING_MARGIN);

	if (rate_bps && (b->full.is_reached || rate_bps > b->pacing_bps))
		b->pacing_bps = rate_bps;
}

static void init_pacing(struct qb_bbr *b, uint64_t rtt_ns)
{
	double nominal_bps = (double)b->init_cwnd_bytes * 8e9 / (double)rtt_ns;

	b->pacing_bps = (uint64_t)(b->par->pacing_gain[QB_BBR_STARTUP] * nominal_bps);
}

void qb_bbr_save_cwnd(struct qb_bbr *b)
{
	if (!b->is_in_recovery && b->state != QB_BBR_PROBE_RTT)
		b->prior_cwnd_bytes = b->cwnd_bytes;
	else
		b->prior_cwnd_bytes = QB_MAX(b->prior_cwnd_bytes, b->cwnd_bytes);
}

void qb_bbr_restore_cwnd(struct qb_bbr *b)
{
	b->cwnd_bytes = QB_MAX(b->cwnd_bytes, b->prior_cwnd_bytes);
}

/* §5.6.4.7: the caps of the state we are in. */
static void bound_cwnd_for_model(struct qb_bbr *b)
{
	uint64_t cap_bytes = QB_BBR_NONE;

	if (b->state == QB_BBR_PROBE_RTT || b->state == QB_BBR_CRUISE)
		cap_bytes = qb_bbr_inflight_with_headroom(b);
	else if (qb_bbr_is_in_probe_bw(b))
		cap_bytes = b->loss.inflight_long_bytes;
	cap_bytes = QB_MIN(cap_bytes, b->loss.inflight_short_bytes);
	cap_bytes = QB_MAX(cap_bytes, qb_bbr_min_pipe(b));
	b->cwnd_bytes = QB_MIN(b->cwnd_bytes, cap_bytes);
}

static uint64_t window(const struct qb_bbr *b)
{
	if (!b->has_rtt)
		return b->init_cwnd_bytes;
	return qb_bbr_volume(qb_bbr_guide_gain(b, b->par->cwnd_gain[b->state]), b->bw_bps,
			     qb_bbr_guide_rtt_ns(b));
}

static void set_cwnd(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	uint64_t want_bytes = window(b) + b->agg.extra_bytes;

	b->max_inflight_bytes = quantization_budget(b, want_bytes);
	if (b->full.is_reached)
		b->cwnd_bytes = QB_MIN(b->cwnd_bytes + rs->acked_bytes, b->max_inflight_bytes);
	else if (b->cwnd_bytes < b->max_inflight_bytes || b->delivered_bytes < b->init_cwnd_bytes)
		b->cwnd_bytes += rs->acked_bytes;
	b->cwnd_bytes = QB_MAX(b->cwnd_bytes, qb_bbr_min_pipe(b));
	if (b->state == QB_BBR_PROBE_RTT)
		b->cwnd_bytes = QB_MIN(b->cwnd_bytes, qb_bbr_probe_rtt_cwnd(b));
	bound_cwnd_for_model(b);
}

/* ---- the model ---- */

/* §5.5.3, §5.5.6: a maximum over two slots, this cycle and the last. */
static void update_max_bw(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	uint64_t *slot_bps = &b->bw.cycle_bps[1];

	if (!rs->rate_bps || (rs->is_rate_app_limited && rs->rate_bps < b->bw.max_bps))
		return;
	*slot_bps = QB_MAX(*slot_bps, rs->rate_bps);
	b->bw.max_bps = QB_MAX(b->bw.cycle_bps[0], b->bw.cycle_bps[1]);
}

static void update_rounds(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	qb_bbr_round_update(&b->round, rs);
	if (b->round.is_start) {
		b->probe.rounds_since_up++;
		b->limited.in_last_round = b->limited.in_round;
		b->limited.in_round = false;
	}
}

static void update_model(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	uint64_t window = b->full.is_reached ? EXTRA_ACKED_ROUNDS : 1;

	update_rounds(b, rs);
	update_max_bw(b, rs);
	qb_bbr_guide_on_ack(b, rs);
	qb_bbr_loss_begin(b, rs);
	qb_bbr_agg_update(&b->agg, b->bw_bps, b->cwnd_bytes, b->round.cnt, window, rs);
	qb_bbr_full_update(&b->full, &b->round, rs);
	qb_bbr_phase_update(b, rs);
	qb_bbr_loss_end(b, rs);
	b->bw_bps = QB_MIN(b->bw.max_bps, b->loss.bw_short_bps);
}

/* ---- events ---- */

void qb_bbr_init(struct qb_bbr *b, const struct qb_bbr_params *par, const struct qb_cc_cfg *cfg,
		 uint64_t now_ns)
{
	memset(b, 0, sizeof(*b));
	b->par = par;
	b->mss_bytes = cfg->mss_bytes;
	b->init_cwnd_bytes = qb_cc_start_cwnd(cfg);
	b->min_cwnd_bytes = cfg->min_cwnd_bytes;
	b->cwnd_bytes = b->init_cwnd_bytes;
	qb_rand_seed(&b->rand, cfg->seed);
	b->rtt.min_ns = b->rtt.probe_min_ns = QB_NEVER_NS;
	b->rtt.min_stamp_ns = b->rtt.probe_min_stamp_ns = now_ns;
	b->agg.start_ns = now_ns;
	b->low.from_bytes = QB_BBR_NONE;
	b->loss.inflight_long_bytes = QB_BBR_NONE;
	b->undo.state = QB_BBR_STATE_CNT;
	b->probe.up_acked_per_inc_bytes = QB_BBR_NONE;
	qb_bbr_guide_init(b);
	qb_bbr_reset_short_term(b);
	init_pacing(b, QB_NS_PER_MS);
	qb_bbr_enter_startup(b);
}

/* §5.4.1: after a silence with nothing in flight, the pipe is empty and so is the queue. */
static void on_restart_from_idle(struct qb_bbr *b, uint64_t now_ns)
{
	b->is_idle_restart = true;
	b->agg.start_ns = now_ns;
	b->agg.delivered_bytes = 0;
	if (qb_bbr_is_in_probe_bw(b))
		set_pacing_with_gain(b, 1);
	else if (b->state == QB_BBR_PROBE_RTT)
		qb_bbr_probe_rtt_check_done(b, now_ns);
}

void qb_bbr_on_sent(void *st, const struct qb_cc_sent *ev)
{
	struct qb_bbr *b = st;

	if (ev->in_flight_bytes <= ev->bytes && ev->is_app_limited)
		on_restart_from_idle(b, ev->now_ns);
	if (ev->in_flight_bytes + b->mss_bytes > b->cwnd_bytes)
		b->limited.in_round = true;
}

/* The first round trip replaces the guess that the first flight was paced by (§5.6.2). */
static void note_first_rtt(struct qb_bbr *b, const struct qb_cc_ack *ev)
{
	if (b->has_rtt || !ev->rtt_ns)
		return;
	b->has_rtt = true;
	init_pacing(b, ev->rtt_ns);
}

void qb_bbr_on_ack(void *st, const struct qb_cc_ack *ev)
{
	struct qb_bbr *b = st;
	struct qb_cc_ack rs = *ev;
	bool is_marked = b->loss.ce_pkts != 0;
	enum qb_bbr_state state;

	b->sharer_cnt = ev->sharer_cnt;
	b->delivered_bytes = ev->delivered_bytes;
	if (ev->prior_delivered_bytes >= b->low.from_bytes &&
	    ev->prior_delivered_bytes <= b->low.to_bytes)
		rs.is_rate_app_limited = true;
	if (b->is_in_recovery && ev->largest_sent_ns > b->recovery_start_ns) {
		b->is_in_recovery = false;
		qb_bbr_restore_cwnd(b);
	}
	note_first_rtt(b, ev);
	update_model(b, &rs);
	state = qb_bbr_guide_is_yielding(b) ? QB_BBR_DOWN : b->state;
	set_pacing_with_gain(b, qb_bbr_guide_gain(b, b->par->pacing_gain[state]));
	if (is_marked && b->state == QB_BBR_STARTUP)
		rs.acked_bytes = 0; /* what was marked does not make the window grow */
	set_cwnd(b, &rs);
}

bool qb_bbr_is_starting(const void *st)
{
	const struct qb_bbr *b = st;

	return b->state == QB_BBR_STARTUP || b->state == QB_BBR_DRAIN;
}

void qb_bbr_view(const void *st, struct qb_cc_view *out)
{
	static const char *const names[QB_BBR_STATE_CNT] = {
		[QB_BBR_STARTUP] = "startup",	  [QB_BBR_DRAIN] = "drain",
		[QB_BBR_DOWN] = "probe down",	  [QB_BBR_CRUISE] = "probe cruise",
		[QB_BBR_REFILL] = "probe refill", [QB_BBR_UP] = "probe up",
		[QB_BBR_PROBE_RTT] = "probe rtt",
	};
	static const char *const lossy_names[QB_BBR_STATE_CNT] = {
		[QB_BBR_STARTUP] = "startup (lossy)",	  [QB_BBR_DRAIN] = "drain (lossy)",
		[QB_BBR_DOWN] = "probe down (lossy)",	  [QB_BBR_CRUISE] = "probe cruise (lossy)",
		[QB_BBR_REFILL] = "probe refill (lossy)", [QB_BBR_UP] = "probe up (lossy)",
		[QB_BBR_PROBE_RTT] = "probe rtt (lossy)",
	};
	const struct qb_bbr *b = st;

	out->cwnd_bytes = b->cwnd_bytes;
	out->pacing_bps = b->pacing_bps;
	out->ssthresh_bytes = UINT64_MAX;
	out->why = qb_bbr_guide_why(b);
	out->phase = qb_bbr_guide_is_yielding(b) ? "probe cruise (yielding)"
		     : qb_bbr_noise_is_lossy(b)	 ? lossy_names[b->state]
						 : names[b->state];
}
