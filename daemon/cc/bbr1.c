/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BBRv1 (Cardwell et al., ACM Queue 14(5), 2016; draft-cardwell-iccrg-bbr-congestion-control-00),
 * with the ACK aggregation estimate that came later and without long-term (policer) sampling.
 *
 *     Startup   pacing and window 2.885 of the estimate, until three rounds without growth
 *     Drain     the inverse, until the BDP is in flight
 *     ProbeBW   eight phases of a minimum RTT each: 1.25, 0.75, six of 1; window twice the BDP
 *     ProbeRTT  four packets for 200 ms when the minimum RTT is 10 s old
 *
 * Constants as in tcp_bbr.c of Linux 4.9, which had no margin below the rate yet.
 *
 * Loss does not enter the model. A round of packet conservation follows it, and likewise a CE mark,
 * which also ends Startup and the phase of 1.25, for a sender that sets ECT must answer (RFC 3168).
 */
#include "cc/algorithms.h"
#include "cc/bbr_model.h"

#include "base/rand.h"

enum {
	CYCLE_LEN = 8,
	BW_ROUNDS = 10,
	AGG_ROUNDS = 10,
	MIN_PIPE_PKTS = 4,
	QUANTUM_MAX_BYTES = 64 * 1024,
};

#define MIN_RTT_WINDOW_NS (10 * QB_NS_PER_SEC)
#define PROBE_RTT_TIME_NS (200 * QB_NS_PER_MS)

static const double HIGH_GAIN = 2.885, CWND_GAIN = 2;
static const double cycle_gain[CYCLE_LEN] = {1.25, 0.75, 1, 1, 1, 1, 1, 1};

enum state { STARTUP, DRAIN, PROBE_BW, PROBE_RTT };

struct bbr1 {
	enum state state;
	uint32_t mss_bytes, cycle_idx;
	uint64_t init_cwnd_bytes, min_cwnd_bytes, cwnd_bytes, prior_cwnd_bytes, pacing_bps;
	uint64_t bw_bps, min_rtt_ns, min_rtt_stamp_ns;
	uint64_t cycle_start_ns, probe_done_ns;
	uint64_t recovery_start_ns,
		conserve_until_bytes; /* prior_delivered that ends the first round of recovery */
	uint64_t delivered_bytes;
	uint64_t low_from_bytes, low_to_bytes; /* ProbeRTT's samples are not the path's */
	bool is_min_rtt_expired, is_probe_round_done, is_idle_restart, is_in_recovery,
		is_conserving;
	bool has_loss, has_marks; /* since the phase began; not yet answered */
	struct qb_bbr_max bw_filter;
	struct qb_bbr_round round;
	struct qb_bbr_full full;
	struct qb_bbr_agg agg;
	struct qb_rand rand;
};

_Static_assert(sizeof(struct bbr1) <= QB_CC_STATE_MAX, "state");

static double pacing_gain(const struct bbr1 *s)
{
	switch (s->state) {
	case STARTUP:
		return HIGH_GAIN;
	case DRAIN:
		return 1 / HIGH_GAIN;
	case PROBE_BW:
		return cycle_gain[s->cycle_idx];
	case PROBE_RTT:
		break;
	}
	return 1;
}

static uint64_t min_pipe(const struct bbr1 *s)
{
	return QB_MAX(MIN_PIPE_PKTS * (uint64_t)s->mss_bytes, s->min_cwnd_bytes);
}

static uint64_t inflight(const struct bbr1 *s, double gain)
{
	uint64_t quantum_bytes = QB_MIN(s->pacing_bps / 8000, (uint64_t)QUANTUM_MAX_BYTES);

	if (s->min_rtt_ns == QB_NEVER_NS)
		return s->init_cwnd_bytes;
	quantum_bytes = QB_MAX(quantum_bytes, 2 * (uint64_t)s->mss_bytes);
	return QB_MAX(qb_bbr_volume(gain, s->bw_bps, s->min_rtt_ns) + quantum_bytes, min_pipe(s));
}

static void set_pacing(struct bbr1 *s, double gain)
{
	uint64_t rate_bps = (uint64_t)(gain * (double)s->bw_bps);

	if (rate_bps && (s->full.is_reached || rate_bps > s->pacing_bps))
		s->pacing_bps = rate_bps;
}

static void init_pacing(struct bbr1 *s, uint64_t rtt_ns)
{
	s->pacing_bps = (uint64_t)(HIGH_GAIN * (double)s->init_cwnd_bytes * 8e9 / (double)rtt_ns);
}

static void init(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns)
{
	struct bbr1 *s = st;

	memset(s, 0, sizeof(*s));
	s->mss_bytes = cfg->mss_bytes;
	s->init_cwnd_bytes = qb_cc_start_cwnd(cfg);
	s->min_cwnd_bytes = cfg->min_cwnd_bytes;
	s->cwnd_bytes = s->init_cwnd_bytes;
	s->min_rtt_ns = QB_NEVER_NS;
	s->min_rtt_stamp_ns = s->agg.start_ns = now_ns;
	s->low_from_bytes = UINT64_MAX;
	qb_rand_seed(&s->rand, cfg->seed);
	init_pacing(s, QB_NS_PER_MS);
}

static void on_sent(void *st, const struct qb_cc_sent *ev)
{
	struct bbr1 *s = st;

	if (ev->in_flight_bytes > ev->bytes || !ev->is_app_limited)
		return;
	s->is_idle_restart = true;
	s->agg.start_ns = ev->now_ns;
	s->agg.delivered_bytes = 0;
	if (s->state == PROBE_BW)
		set_pacing(s, 1);
}

/* ---- phases ---- */

static void begin_cycle_phase(struct bbr1 *s, uint32_t idx, uint64_t now_ns)
{
	s->cycle_idx = idx % CYCLE_LEN;
	s->cycle_start_ns = now_ns;
	s->has_loss = false;
}

static void enter_probe_bw(struct bbr1 *s, uint64_t now_ns)
{
	s->state = PROBE_BW;
	/* Any phase but that of 0.75: its queue to drain does not exist. */
	begin_cycle_phase(s, (uint32_t)(qb_rand_below(&s->rand, CYCLE_LEN - 1) + 2) % CYCLE_LEN,
			  now_ns);
}

static void update_cycle(struct bbr1 *s, const struct qb_cc_ack *rs)
{
	bool is_over = rs->now_ns - s->cycle_start_ns > s->min_rtt_ns;
	double gain = cycle_gain[s->cycle_idx];

	if (s->state != PROBE_BW)
		return;
	if (gain > 1)
		is_over = is_over && (s->has_loss || s->has_marks ||
				      rs->prior_in_flight_bytes >= inflight(s, gain));
	else if (gain < 1)
		is_over = is_over || rs->prior_in_flight_bytes <= inflight(s, 1);
	if (is_over)
		begin_cycle_phase(s, s->cycle_idx + 1, rs->now_ns);
}

static void update_startup(struct bbr1 *s, const struct qb_cc_ack *rs)
{
	qb_bbr_full_update(&s->full, &s->round, rs);
	if (s->state == STARTUP && s->has_marks)
		s->full.is_reached = true;
	if (s->state == STARTUP && s->full.is_reached)
		s->state = DRAIN;
	if (s->state == DRAIN && rs->in_flight_bytes <= inflight(s, 1))
		enter_probe_bw(s, rs->now_ns);
}

static void end_probe_rtt(struct bbr1 *s, uint64_t now_ns)
{
	s->min_rtt_stamp_ns = now_ns;
	s->cwnd_bytes = QB_MAX(s->cwnd_bytes, s->prior_cwnd_bytes);
	if (s->full.is_reached)
		enter_probe_bw(s, now_ns);
	else
		s->state = STARTUP;
}

static void handle_probe_rtt(struct bbr1 *s, const struct qb_cc_ack *rs)
{
	s->low_to_bytes = s->delivered_bytes + rs->in_flight_bytes;
	if (!s->probe_done_ns) {
		if (rs->in_flight_bytes > min_pipe(s))
			return;
		s->probe_done_ns = rs->now_ns + PROBE_RTT_TIME_NS;
		s->is_probe_round_done = false;
		qb_bbr_round_begin(&s->round, s->delivered_bytes);
		return;
	}
	s->is_probe_round_done |= s->round.is_start;
	if (s->is_probe_round_done && rs->now_ns > s->probe_done_ns)
		end_probe_rtt(s, rs->now_ns);
}

static void update_min_rtt(struct bbr1 *s, const struct qb_cc_ack *rs)
{
	bool is_expired = rs->now_ns > s->min_rtt_stamp_ns + MIN_RTT_WINDOW_NS;

	if (rs->rtt_ns && (rs->rtt_ns <= s->min_rtt_ns || is_expired)) {
		s->min_rtt_ns = rs->rtt_ns;
		s->min_rtt_stamp_ns = rs->now_ns;
	}
	if (is_expired && !s->is_idle_restart && s->state != PROBE_RTT) {
		s->prior_cwnd_bytes = s->cwnd_bytes;
		s->state = PROBE_RTT;
		s->probe_done_ns = 0;
		s->low_from_bytes = s->delivered_bytes;
	}
	if (s->state == PROBE_RTT)
		handle_probe_rtt(s, rs);
	s->is_idle_restart = false;
}

/* ---- window ---- */

static void update_recovery(struct bbr1 *s, const struct qb_cc_ack *rs)
{
	if (s->is_conserving && rs->prior_delivered_bytes >= s->conserve_until_bytes)
		s->is_conserving = false;
	if (s->is_in_recovery && rs->largest_sent_ns > s->recovery_start_ns) {
		s->is_in_recovery = s->is_conserving = false;
		s->cwnd_bytes = QB_MAX(s->cwnd_bytes, s->prior_cwnd_bytes);
	}
}

static void set_cwnd(struct bbr1 *s, const struct qb_cc_ack *rs)
{
	double gain = s->state == STARTUP || s->state == DRAIN ? HIGH_GAIN : CWND_GAIN;
	uint64_t target_bytes = inflight(s, gain) + s->agg.extra_bytes;

	if (s->is_conserving)
		s->cwnd_bytes = QB_MAX(s->cwnd_bytes, rs->in_flight_bytes + rs->acked_bytes);
	else if (s->full.is_reached)
		s->cwnd_bytes = QB_MIN(s->cwnd_bytes + rs->acked_bytes, target_bytes);
	else if (s->cwnd_bytes < target_bytes || s->delivered_bytes < s->init_cwnd_bytes)
		s->cwnd_bytes += rs->acked_bytes;
	s->cwnd_bytes = QB_MAX(s->cwnd_bytes, min_pipe(s));
	if (s->state == PROBE_RTT)
		s->cwnd_bytes = QB_MIN(s->cwnd_bytes, min_pipe(s));
}

/* ---- events ---- */

static void on_ack(void *st, const struct qb_cc_ack *ev)
{
	struct bbr1 *s = st;
	struct qb_cc_ack rs = *ev;

	s->delivered_bytes = ev->delivered_bytes;
	if (ev->prior_delivered_bytes >= s->low_from_bytes &&
	    ev->prior_delivered_bytes <= s->low_to_bytes)
		rs.is_rate_app_limited = true;
	if (s->min_rtt_ns == QB_NEVER_NS && ev->rtt_ns)
		init_pacing(s, ev->rtt_ns);
	qb_bbr_round_update(&s->round, &rs);
	if (rs.rate_bps && (rs.rate_bps >= s->bw_bps || !rs.is_rate_app_limited))
		s->bw_bps = qb_bbr_max_update(&s->bw_filter, rs.rate_bps, s->round.cnt, BW_ROUNDS);
	qb_bbr_agg_update(&s->agg, s->bw_bps, s->cwnd_bytes, s->round.cnt,
			  s->full.is_reached ? AGG_ROUNDS : 1, &rs);
	update_cycle(s, &rs);
	update_startup(s, &rs);
	update_min_rtt(s, &rs);
	update_recovery(s, &rs);
	set_pacing(s, pacing_gain(s));
	set_cwnd(s, &rs);
	s->has_marks = false;
}

static void conserve(struct bbr1 *s, uint64_t largest_sent_ns, uint64_t in_flight_bytes,
		     uint64_t now_ns)
{
	s->has_loss = true;
	if (s->recovery_start_ns && largest_sent_ns <= s->recovery_start_ns)
		return;
	if (!s->is_in_recovery && s->state != PROBE_RTT)
		s->prior_cwnd_bytes = s->cwnd_bytes;
	s->recovery_start_ns = now_ns;
	s->is_in_recovery = s->is_conserving = true;
	s->conserve_until_bytes = s->delivered_bytes;
	s->cwnd_bytes = QB_MAX(in_flight_bytes + s->mss_bytes, min_pipe(s));
}

static void on_loss(void *st, const struct qb_cc_loss *ev)
{
	struct bbr1 *s = st;

	s->delivered_bytes = ev->delivered_bytes;
	conserve(s, ev->largest_sent_ns, ev->in_flight_bytes, ev->now_ns);
	if (ev->is_persistent)
		s->cwnd_bytes = min_pipe(s);
}

static void on_ecn(void *st, const struct qb_cc_ecn *ev)
{
	struct bbr1 *s = st;

	if (!ev->ce_pkts)
		return;
	s->has_marks = true;
	conserve(s, ev->largest_sent_ns, ev->in_flight_bytes, ev->now_ns);
}

static void on_spurious(void *st, uint64_t now_ns)
{
	struct bbr1 *s = st;

	(void)now_ns;
	s->is_in_recovery = s->is_conserving = false;
	s->cwnd_bytes = QB_MAX(s->cwnd_bytes, s->prior_cwnd_bytes);
	qb_bbr_full_reset(&s->full, 0);
}

static void view(const void *st, struct qb_cc_view *out)
{
	const struct bbr1 *s = st;

	out->cwnd_bytes = s->cwnd_bytes;
	out->pacing_bps = s->pacing_bps;
	out->ssthresh_bytes = UINT64_MAX;
	switch (s->state) {
	case STARTUP:
		out->phase = "startup";
		break;
	case DRAIN:
		out->phase = "drain";
		break;
	case PROBE_BW:
		out->phase = cycle_gain[s->cycle_idx] > 1   ? "probe up"
			     : cycle_gain[s->cycle_idx] < 1 ? "probe down"
							    : "probe cruise";
		break;
	case PROBE_RTT:
		out->phase = "probe rtt";
		break;
	}
}

const struct qb_cc qb_cc_bbr1 = {
	.name = "bbr1",
	.state_bytes = sizeof(struct bbr1),
	.init = init,
	.on_sent = on_sent,
	.on_ack = on_ack,
	.on_loss = on_loss,
	.on_ecn = on_ecn,
	.on_spurious = on_spurious,
	.view = view,
};
