/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Careful resume, RFC 9959: the phases of §3 and §4.2 to §4.6, and what is observed for the next
 * time (§4.1). Called by the transport with each of a path's events.
 */
#include "cc/resume.h"

enum {
	SAVE_WINDOWS_MIN = 4, /* §4.1: fewer initial windows than that are not worth it */
	JUMP_DIV = 2,	      /* §4.3: what others may have taken since is left to them */
	RETREAT_DIV = 2,      /* §4.5 */
	RTT_DIV = 2,	      /* §4.2: another path if the RTT is less than half of what it was, */
	RTT_MUL = 10,	      /* or more than ten times as long */
};

#define SLOT_NS (10 * QB_NS_PER_SEC) /* observations live for one to two of these, under load */

void qb_resume_init(struct qb_resume *r, const struct qb_cc_cfg *cfg)
{
	*r = (struct qb_resume){
		.init_bytes = qb_cc_start_cwnd(cfg),
		.min_bytes = qb_cc_min_cwnd(cfg),
	};
}

void qb_resume_seed(struct qb_resume *r, const struct qb_known *saved)
{
	if (r->phase != QB_RESUME_NORMAL || r->is_refused || r->acked_bytes >= r->init_bytes ||
	    saved->cwnd_bytes < SAVE_WINDOWS_MIN * r->init_bytes || !saved->rtt_ns)
		return;
	r->saved = *saved;
	r->phase = QB_RESUME_RECON;
}

/* ---- phases ---- */

static void enter_validating(struct qb_resume *r, uint64_t in_flight_bytes)
{
	/* Nothing more was sent than the path has carried: there is nothing to validate. */
	if (in_flight_bytes <= r->pipe_bytes) {
		r->phase = QB_RESUME_NORMAL;
		return;
	}
	r->bound_bytes = in_flight_bytes;
	r->phase = QB_RESUME_VALIDATING;
}

static void retreat(struct qb_resume *r)
{
	switch (r->phase) {
	case QB_RESUME_RECON:
		r->phase = QB_RESUME_NORMAL;
		break;
	case QB_RESUME_UNVALIDATED:
	case QB_RESUME_VALIDATING:
		r->phase = QB_RESUME_RETREAT;
		r->bound_bytes = r->pipe_bytes / RETREAT_DIV;
		r->is_refused = true;
		break;
	case QB_RESUME_NORMAL:
	case QB_RESUME_RETREAT:
	case QB_RESUME_PHASE_CNT:
		break;
	}
}

static bool is_same_path(const struct qb_resume *r, uint64_t rtt_ns)
{
	return rtt_ns >= r->saved.rtt_ns / RTT_DIV && rtt_ns / RTT_MUL <= r->saved.rtt_ns;
}

/* The initial window is through, and there is more to send than that. */
static void reconnoitre(struct qb_resume *r, const struct qb_cc_ack *ev)
{
	if (r->acked_bytes < r->init_bytes || !ev->is_cwnd_limited || !ev->min_rtt_ns)
		return;
	r->pipe_bytes = ev->prior_in_flight_bytes;
	r->bound_bytes = r->saved.cwnd_bytes / JUMP_DIV;
	if (!is_same_path(r, ev->min_rtt_ns) || r->bound_bytes <= r->pipe_bytes) {
		r->phase = QB_RESUME_NORMAL;
		return;
	}
	r->jump_ns = r->last_ns = ev->now_ns;
	r->phase = QB_RESUME_UNVALIDATED;
}

/* ---- what is seen for the next time ---- */

static void observe(struct qb_resume *r, const struct qb_cc_ack *ev)
{
	if (!ev->rate_bps || !ev->min_rtt_ns)
		return;
	/* A path that has nothing to carry unlearns nothing. */
	if (ev->now_ns >= r->seen.end_ns && r->seen.is_loaded) {
		r->seen.best_bps[0] = r->seen.best_bps[1];
		r->seen.best_bps[1] = 0;
		r->seen.is_loaded = false;
		r->seen.end_ns = ev->now_ns + SLOT_NS;
	}
	if (!r->seen.end_ns)
		r->seen.end_ns = ev->now_ns + SLOT_NS;
	r->seen.is_loaded |= !ev->is_rate_app_limited;
	r->seen.best_bps[1] = qb_max_u64(r->seen.best_bps[1], ev->rate_bps);
	r->seen.rtt_ns = ev->min_rtt_ns;
}

bool qb_resume_observed(const struct qb_resume *r, struct qb_known *out)
{
	uint64_t bps = qb_max_u64(r->seen.best_bps[0], r->seen.best_bps[1]);

	*out = (struct qb_known){
		.cwnd_bytes = (uint64_t)((double)bps * (double)r->seen.rtt_ns / 8e9),
		.rtt_ns = r->seen.rtt_ns,
	};
	return out->cwnd_bytes >= SAVE_WINDOWS_MIN * r->init_bytes;
}

/* ---- events ---- */

void qb_resume_on_sent(struct qb_resume *r, const struct qb_cc_sent *ev)
{
	if (r->phase != QB_RESUME_UNVALIDATED)
		return;
	r->last_ns = ev->now_ns;
	if (ev->in_flight_bytes + ev->bytes > r->bound_bytes)
		enter_validating(r, ev->in_flight_bytes);
}

void qb_resume_on_ack(struct qb_resume *r, const struct qb_cc_ack *ev)
{
	observe(r, ev);
	r->acked_bytes += ev->acked_bytes;
	if (r->phase == QB_RESUME_NORMAL)
		return;
	if (r->phase == QB_RESUME_RECON) {
		reconnoitre(r, ev);
		return;
	}
	r->pipe_bytes += ev->acked_bytes;
	if (r->phase == QB_RESUME_UNVALIDATED) {
		if (ev->largest_sent_ns > r->jump_ns || ev->now_ns > r->jump_ns + ev->srtt_ns)
			enter_validating(r, ev->prior_in_flight_bytes);
	} else if (ev->largest_sent_ns >= r->last_ns) {
		r->phase = QB_RESUME_NORMAL;
	}
}

void qb_resume_on_loss(struct qb_resume *r, const struct qb_cc_loss *ev)
{
	(void)ev;
	retreat(r);
}

void qb_resume_on_ecn(struct qb_resume *r, const struct qb_cc_ecn *ev)
{
	if (ev->ce_pkts)
		retreat(r);
}

void qb_resume_view(const struct qb_resume *r, uint64_t srtt_ns, struct qb_cc_view *v)
{
	uint64_t bound_bps =
		srtt_ns ? (uint64_t)((double)r->bound_bytes * 8e9 / (double)srtt_ns) : 0;

	switch (r->phase) {
	case QB_RESUME_UNVALIDATED:
	case QB_RESUME_VALIDATING:
		v->pacing_bps = qb_max_u64(qb_cc_pacing_bps(v, srtt_ns), bound_bps);
		v->cwnd_bytes = qb_max_u64(v->cwnd_bytes, r->bound_bytes);
		break;
	case QB_RESUME_RETREAT:
		v->cwnd_bytes = qb_max_u64(qb_min_u64(v->cwnd_bytes, r->bound_bytes), r->min_bytes);
		if (bound_bps)
			v->pacing_bps = qb_min_u64(qb_cc_pacing_bps(v, srtt_ns), bound_bps);
		break;
	case QB_RESUME_NORMAL:
	case QB_RESUME_RECON:
	case QB_RESUME_PHASE_CNT:
		return;
	}
	v->phase = qb_resume_phase_name(r->phase);
}

const char *qb_resume_phase_name(enum qb_resume_phase phase)
{
	static const char *const names[QB_RESUME_PHASE_CNT] = {
		[QB_RESUME_NORMAL] = "normal",
		[QB_RESUME_RECON] = "reconnaissance",
		[QB_RESUME_UNVALIDATED] = "resume (unvalidated)",
		[QB_RESUME_VALIDATING] = "resume (validating)",
		[QB_RESUME_RETREAT] = "resume (retreat)",
	};

	return phase < QB_RESUME_PHASE_CNT ? names[phase] : "?";
}
