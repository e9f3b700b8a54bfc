/* SPDX-License-Identifier: BSD-2-Clause */
/* The measurements that all versions of BBR share (draft-ietf-ccwg-bbr-06 §5.3.1.2, §5.5.1, §5.5.2,
 * §5.5.9). */
#include "cc/bbr_model.h"

enum {
	FULL_BW_ROUNDS = 3, /* without much growth: the pipe is full */
};

void qb_bbr_max_reset(struct qb_bbr_max *m, uint64_t value, uint64_t at)
{
	for (int i = 0; i < 3; i++) {
		m->best[i].value = value;
		m->best[i].at = at;
	}
}

uint64_t qb_bbr_max_update(struct qb_bbr_max *m, uint64_t value, uint64_t at, uint64_t window)
{
	uint64_t age;

	if (value >= m->best[0].value || at - m->best[2].at > window) {
		qb_bbr_max_reset(m, value, at);
		return value;
	}
	if (value >= m->best[1].value) {
		m->best[1].value = m->best[2].value = value;
		m->best[1].at = m->best[2].at = at;
	} else if (value >= m->best[2].value) {
		m->best[2].value = value;
		m->best[2].at = at;
	}
	age = at - m->best[0].at;
	if (age > window) { /* the best one is too old: the others move up */
		m->best[0] = m->best[1];
		m->best[1] = m->best[2];
		m->best[2].value = value;
		m->best[2].at = at;
		if (at - m->best[0].at > window) {
			m->best[0] = m->best[1];
			m->best[1] = m->best[2];
		}
	} else if (m->best[1].at == m->best[0].at && age > window / 4) {
		m->best[1].value = m->best[2].value = value;
		m->best[1].at = m->best[2].at = at;
	} else if (m->best[2].at == m->best[1].at && age > window / 2) {
		m->best[2].value = value;
		m->best[2].at = at;
	}
	return m->best[0].value;
}

void qb_bbr_round_update(struct qb_bbr_round *r, const struct qb_cc_ack *rs)
{
	r->is_start = rs->prior_delivered_bytes >= r->next_delivered_bytes;
	if (!r->is_start)
		return;
	qb_bbr_round_begin(r, rs->delivered_bytes);
	r->cnt++;
}

void qb_bbr_full_reset(struct qb_bbr_full *f, uint64_t base_bps)
{
	f->base_bps = base_bps;
	f->cnt = 0;
	f->is_now = false;
}

void qb_bbr_full_update(struct qb_bbr_full *f, const struct qb_bbr_round *r,
			const struct qb_cc_ack *rs)
{
	if (f->is_now || !r->is_start || rs->is_rate_app_limited || !rs->rate_bps)
		return;
	if (rs->rate_bps >= f->base_bps + f->base_bps / 4) {
		qb_bbr_full_reset(f, rs->rate_bps);
		return;
	}
	f->is_now = ++f->cnt >= FULL_BW_ROUNDS;
	f->is_reached |= f->is_now;
}

void qb_bbr_agg_update(struct qb_bbr_agg *a, uint64_t bw_bps, uint64_t cwnd_bytes, uint64_t round,
		       uint64_t window_rounds, const struct qb_cc_ack *rs)
{
	uint64_t expected_bytes = qb_bbr_volume(1, bw_bps, rs->now_ns - a->start_ns);
	uint64_t extra_bytes;

	if (a->delivered_bytes <= expected_bytes) { /* no burst, or the end of one */
		a->delivered_bytes = 0;
		a->start_ns = rs->now_ns;
		expected_bytes = 0;
	}
	a->delivered_bytes += rs->acked_bytes;
	extra_bytes = QB_MIN(a->delivered_bytes - expected_bytes, cwnd_bytes);
	a->extra_bytes = qb_bbr_max_update(&a->filter, extra_bytes, round, window_rounds);
}
