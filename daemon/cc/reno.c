/* SPDX-License-Identifier: BSD-2-Clause */
/* What NewReno, Westwood+, Prague and the couplings have in common (RFC 9002 §7, RFC 9406). */
#include "cc/reno.h"

enum {
	CSS_GROWTH_DIVISOR = 4, /* RFC 9406 §4.3 */
};

void qb_reno_init(struct qb_reno *r, const struct qb_cc_cfg *cfg)
{
	*r = (struct qb_reno){
		.mss_bytes = cfg->mss_bytes,
		.cwnd_bytes = qb_cc_start_cwnd(cfg),
		.min_cwnd_bytes = qb_cc_min_cwnd(cfg),
		.ssthresh_bytes = UINT64_MAX,
	};
	qb_hystart_init(&r->hystart);
}

static void grow_slow_start(struct qb_reno *r, const struct qb_cc_ack *ev)
{
	enum qb_hystart_verdict verdict = QB_HYSTART_GROW;

	if (!r->hystart.is_done)
		verdict = qb_hystart_on_ack(&r->hystart, ev);
	switch (verdict) {
	case QB_HYSTART_GROW:
		r->cwnd_bytes += ev->acked_bytes;
		break;
	case QB_HYSTART_GROW_CSS:
		r->cwnd_bytes += ev->acked_bytes / CSS_GROWTH_DIVISOR;
		break;
	case QB_HYSTART_EXIT:
		r->hystart.is_done = true;
		r->ssthresh_bytes = r->cwnd_bytes;
		break;
	}
}

void qb_reno_on_sent(struct qb_reno *r, const struct qb_cc_sent *ev)
{
	qb_prr_on_sent(&r->prr, ev);
}

bool qb_reno_on_ack(struct qb_reno *r, const struct qb_cc_ack *ev)
{
	r->is_in_recovery = r->recovery_start_ns && ev->largest_sent_ns <= r->recovery_start_ns;
	if (r->is_in_recovery)
		qb_prr_on_ack(&r->prr, ev, r->ssthresh_bytes);
	else
		qb_prr_end(&r->prr);
	if (r->is_in_recovery || !ev->is_cwnd_limited)
		return false;
	if (!qb_reno_is_slow_start(r))
		return true;
	grow_slow_start(r, ev);
	return false;
}

void qb_reno_grow(struct qb_reno *r, double bytes)
{
	double want_bytes = (double)r->cwnd_bytes + r->growth_bytes + bytes;

	want_bytes = QB_MAX(want_bytes, (double)qb_reno_min_cwnd(r));
	r->cwnd_bytes = (uint64_t)want_bytes;
	r->growth_bytes = want_bytes - (double)r->cwnd_bytes;
}

bool qb_reno_is_new_event(const struct qb_reno *r, const struct qb_cc_loss *ev)
{
	return !r->recovery_start_ns || ev->largest_sent_ns > r->recovery_start_ns;
}

void qb_reno_reduce(struct qb_reno *r, uint64_t cwnd_bytes, const struct qb_cc_loss *ev)
{
	r->undo_cwnd_bytes = r->cwnd_bytes;
	r->undo_ssthresh_bytes = r->ssthresh_bytes;
	r->recovery_start_ns = ev->now_ns;
	r->is_in_recovery = true;
	r->hystart.is_done = true;
	r->cwnd_bytes = QB_MAX(cwnd_bytes, qb_reno_min_cwnd(r));
	r->ssthresh_bytes = r->cwnd_bytes;
	r->growth_bytes = 0;
	qb_prr_begin(&r->prr, r->mss_bytes, ev);
}

void qb_reno_after_loss(struct qb_reno *r, const struct qb_cc_loss *ev)
{
	qb_prr_on_loss(&r->prr, ev);
	if (!ev->is_persistent)
		return;
	qb_prr_end(&r->prr);
	r->cwnd_bytes = qb_reno_min_cwnd(r);
	r->growth_bytes = 0;
	r->recovery_start_ns = 0;
	r->undo_cwnd_bytes = 0;
}

void qb_reno_on_spurious(struct qb_reno *r)
{
	if (r->undo_cwnd_bytes <= r->cwnd_bytes)
		return;
	r->cwnd_bytes = r->undo_cwnd_bytes;
	r->ssthresh_bytes = r->undo_ssthresh_bytes;
	r->undo_cwnd_bytes = 0;
	r->recovery_start_ns = 0;
	r->is_in_recovery = false;
	qb_prr_end(&r->prr);
}

void qb_reno_view(const struct qb_reno *r, struct qb_cc_view *out)
{
	out->cwnd_bytes = QB_MAX(qb_prr_cwnd(&r->prr, r->cwnd_bytes), qb_reno_min_cwnd(r));
	out->pacing_window_bytes = r->is_in_recovery ? r->ssthresh_bytes : 0;
	out->ssthresh_bytes = r->ssthresh_bytes;
	out->phase = r->is_in_recovery		 ? "recovery"
		     : !qb_reno_is_slow_start(r) ? "avoidance"
		     : r->hystart.is_css	 ? "conservative slow start"
						 : "slow start";
}
