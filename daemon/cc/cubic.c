/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CUBIC (RFC 9438) with HyStart++ (RFC 9406) for the first slow start and PRR (RFC 9937) in
 * recovery. Windows are kept in bytes,
 * the cubic function in segments, as the RFC's constants want. Time without enough to send does not
 * count (§5.8).
 */
#include "cc/algorithms.h"
#include "cc/hystart.h"
#include "cc/prr.h"

#include <math.h>

static const double C = 0.4, BETA = 0.7;
static const double ALPHA = 3 * (1 - 0.7) / (1 + 0.7); /* §4.3 */

struct cubic {
	double cwnd, cwnd_prior, w_max, w_est, k_s; /* segments; k in seconds */
	double ssthresh;			    /* segments; 0: none yet */
	uint64_t epoch_ns;			    /* 0: begins with the next ACK */
	uint64_t recovery_start_ns;
	uint64_t idle_since_ns; /* app-limited since; 0: not */
	double cwnd_min;
	uint32_t mss_bytes;
	bool is_in_recovery;
	struct qb_hystart hystart;
	struct qb_prr prr;
	struct { /* for a loss that was none (§4.9) */
		double cwnd, cwnd_prior, w_max, w_est, k_s, ssthresh;
		uint64_t epoch_ns;
		bool is_valid;
	} undo;
};

_Static_assert(sizeof(struct cubic) <= QB_CC_STATE_MAX, "state");

static bool in_slow_start(const struct cubic *s)
{
	return s->ssthresh == 0 || s->cwnd < s->ssthresh;
}

static void init(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns)
{
	struct cubic *s = st;
	uint64_t cwnd = qb_cc_start_cwnd(cfg);

	(void)now_ns;
	memset(s, 0, sizeof(*s));
	s->mss_bytes = cfg->mss_bytes;
	s->cwnd_min = (double)qb_cc_min_cwnd(cfg) / cfg->mss_bytes;
	s->cwnd = (double)cwnd / cfg->mss_bytes;
	qb_hystart_init(&s->hystart);
}

static void on_sent(void *st, const struct qb_cc_sent *ev)
{
	struct cubic *s = st;

	qb_prr_on_sent(&s->prr, ev);
	/* The clock of the cubic function stands still while there is nothing to send. */
	if (ev->is_app_limited) {
		if (s->idle_since_ns == 0)
			s->idle_since_ns = ev->now_ns;
	} else if (s->idle_since_ns) {
		/* An epoch that began meanwhile is moved by its own share only. */
		if (s->epoch_ns)
			s->epoch_ns += ev->now_ns - qb_max_u64(s->idle_since_ns, s->epoch_ns);
		s->idle_since_ns = 0;
	}
}

static double w_cubic(const struct cubic *s, double t_s)
{
	return C * pow(t_s - s->k_s, 3) + s->w_max;
}

static void begin_epoch(struct cubic *s, uint64_t now_ns)
{
	s->epoch_ns = now_ns;
	s->w_est = s->cwnd;
	if (s->w_max <= s->cwnd) {
		s->w_max = s->cwnd;
		s->k_s = 0;
	} else {
		s->k_s = cbrt((s->w_max - s->cwnd) / C);
	}
}

static void grow_slow_start(struct cubic *s, const struct qb_cc_ack *ev)
{
	double acked = (double)ev->acked_bytes / s->mss_bytes;

	if (s->hystart.is_done) {
		s->cwnd += acked;
		return;
	}
	switch (qb_hystart_on_ack(&s->hystart, ev)) {
	case QB_HYSTART_GROW:
		s->cwnd += acked;
		break;
	case QB_HYSTART_GROW_CSS:
		s->cwnd += acked / 4;
		break;
	case QB_HYSTART_EXIT: /* §4.10: without a loss, the plateau is here */
		s->hystart.is_done = true;
		s->ssthresh = s->cwnd;
		s->w_max = s->cwnd_prior = s->cwnd;
		s->epoch_ns = 0;
		break;
	}
}

static void grow_avoidance(struct cubic *s, const struct qb_cc_ack *ev)
{
	double acked = (double)ev->acked_bytes / s->mss_bytes;
	double t_s, target, alpha;

	if (s->epoch_ns == 0)
		begin_epoch(s, ev->now_ns);
	t_s = (double)(ev->now_ns - s->epoch_ns) / 1e9;
	alpha = s->w_est >= s->cwnd_prior ? 1 : ALPHA;
	s->w_est += alpha * acked / s->cwnd;
	if (w_cubic(s, t_s) < s->w_est) {
		s->cwnd = QB_MAX(s->cwnd, s->w_est);
		return;
	}
	target = w_cubic(s, t_s + (double)ev->srtt_ns / 1e9);
	target = QB_MIN(QB_MAX(target, s->cwnd), 1.5 * s->cwnd);
	s->cwnd += (target - s->cwnd) / s->cwnd * acked;
}

static uint64_t to_bytes(const struct cubic *s, double segments)
{
	return (uint64_t)(segments * s->mss_bytes);
}

static void on_ack(void *st, const struct qb_cc_ack *ev)
{
	struct cubic *s = st;

	s->is_in_recovery = s->recovery_start_ns && ev->largest_sent_ns <= s->recovery_start_ns;
	if (s->is_in_recovery)
		qb_prr_on_ack(&s->prr, ev, to_bytes(s, s->ssthresh));
	else
		qb_prr_end(&s->prr);
	if (s->is_in_recovery || !ev->is_cwnd_limited)
		return;
	if (in_slow_start(s))
		grow_slow_start(s, ev);
	else
		grow_avoidance(s, ev);
}

static void reduce(struct cubic *s, const struct qb_cc_loss *ev, double floor_segments)
{
	if (s->recovery_start_ns && ev->largest_sent_ns <= s->recovery_start_ns)
		return;
	s->undo.cwnd = s->cwnd;
	s->undo.cwnd_prior = s->cwnd_prior;
	s->undo.w_max = s->w_max;
	s->undo.w_est = s->w_est;
	s->undo.k_s = s->k_s;
	s->undo.ssthresh = s->ssthresh;
	s->undo.epoch_ns = s->epoch_ns;
	s->undo.is_valid = true;

	s->recovery_start_ns = ev->now_ns;
	s->is_in_recovery = true;
	s->hystart.is_done = true;
	s->cwnd_prior = s->cwnd;
	s->w_max = s->cwnd < s->w_max ? s->cwnd * (1 + BETA) / 2
				      : s->cwnd; /* fast convergence, §4.7 */
	s->ssthresh = QB_MAX(s->cwnd * BETA, floor_segments);
	s->cwnd = s->ssthresh;
	s->epoch_ns = 0;
	qb_prr_begin(&s->prr, s->mss_bytes, ev);
}

static void on_loss(void *st, const struct qb_cc_loss *ev)
{
	struct cubic *s = st;

	reduce(s, ev, s->cwnd_min);
	qb_prr_on_loss(&s->prr, ev);
	if (ev->is_persistent) {
		qb_prr_end(&s->prr);
		s->cwnd = s->cwnd_min;
		s->recovery_start_ns = 0;
		s->undo.is_valid = false;
	}
}

static void on_ecn(void *st, const struct qb_cc_ecn *ev)
{
	struct cubic *s = st;
	struct qb_cc_loss mark = {
		.now_ns = ev->now_ns,
		.largest_sent_ns = ev->largest_sent_ns,
		.in_flight_bytes = ev->in_flight_bytes,
	};

	if (ev->ce_pkts)
		reduce(s, &mark, s->cwnd_min > 2 ? s->cwnd_min : 1);
}

static void on_spurious(void *st, uint64_t now_ns)
{
	struct cubic *s = st;

	(void)now_ns;
	if (!s->undo.is_valid || s->undo.cwnd <= s->cwnd)
		return;
	s->cwnd = s->undo.cwnd;
	s->cwnd_prior = s->undo.cwnd_prior;
	s->w_max = s->undo.w_max;
	s->w_est = s->undo.w_est;
	s->k_s = s->undo.k_s;
	s->ssthresh = s->undo.ssthresh;
	s->epoch_ns = s->undo.epoch_ns;
	s->recovery_start_ns = 0;
	s->undo.is_valid = false;
	s->is_in_recovery = false;
	qb_prr_end(&s->prr);
}

static void view(const void *st, struct qb_cc_view *out)
{
	const struct cubic *s = st;

	out->cwnd_bytes = qb_prr_cwnd(&s->prr, to_bytes(s, s->cwnd));
	if (s->is_in_recovery)
		out->cwnd_bytes = qb_max_u64(out->cwnd_bytes, to_bytes(s, s->cwnd_min));
	out->ssthresh_bytes = s->ssthresh == 0 ? UINT64_MAX : to_bytes(s, s->ssthresh);
	out->pacing_window_bytes = s->is_in_recovery ? out->ssthresh_bytes : 0;
	out->phase = s->is_in_recovery	 ? "recovery"
		     : !in_slow_start(s) ? "avoidance"
		     : s->hystart.is_css ? "conservative slow start"
					 : "slow start";
}

const struct qb_cc qb_cc_cubic = {
	.name = "cubic",
	.state_bytes = sizeof(struct cubic),
	.init = init,
	.on_sent = on_sent,
	.on_ack = on_ack,
	.on_loss = on_loss,
	.on_ecn = on_ecn,
	.on_spurious = on_spurious,
	.view = view,
};
