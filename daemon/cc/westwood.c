/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP Westwood+ (Grieco and Mascolo, ACM CCR 34(2), 2004): Reno's growth; after a loss the window
 * becomes what the measured rate fills at the smallest RTT, so that a radio's losses cost no more
 * than the queue that was there. The rate is filtered twice, each sample covering a round trip or
 * 50 ms, as Linux does.
 */
#include "cc/algorithms.h"
#include "cc/reno.h"

#define SAMPLE_MIN_NS (50 * QB_NS_PER_MS)

struct westwood {
	struct qb_reno reno;
	double bw_bps, bw_ns_bps; /* twice filtered, once filtered; 0: none yet */
	uint64_t sample_start_ns, sample_bytes;
	uint64_t rtt_min_ns; /* since the last timeout; QB_NEVER_NS: none yet */
};

_Static_assert(sizeof(struct westwood) <= QB_CC_STATE_MAX, "state");

static void init(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns)
{
	struct westwood *s = st;

	*s = (struct westwood){.sample_start_ns = now_ns, .rtt_min_ns = QB_NEVER_NS};
	qb_reno_init(&s->reno, cfg);
}

static void on_sent(void *st, const struct qb_cc_sent *ev)
{
	struct westwood *s = st;

	qb_reno_on_sent(&s->reno, ev);
}

static void sample_rate(struct westwood *s, const struct qb_cc_ack *ev)
{
	uint64_t span_ns = ev->now_ns - s->sample_start_ns;
	double bps;

	if (ev->rtt_ns)
		s->rtt_min_ns = qb_min_u64(s->rtt_min_ns, ev->rtt_ns);
	s->sample_bytes += ev->acked_bytes;
	if (span_ns < QB_MAX(ev->srtt_ns, SAMPLE_MIN_NS))
		return;
	bps = (double)s->sample_bytes * 8e9 / (double)span_ns;
	s->sample_bytes = 0;
	s->sample_start_ns = ev->now_ns;
	if (!ev->is_cwnd_limited && bps < s->bw_bps)
		return; /* it is what there was to send, not what the path can do */
	/* While the window doubles, the filter would be rounds behind. */
	if (s->bw_ns_bps == 0 || (qb_reno_is_slow_start(&s->reno) && bps > s->bw_bps)) {
		s->bw_ns_bps = s->bw_bps = bps;
		return;
	}
	s->bw_ns_bps = (7 * s->bw_ns_bps + bps) / 8;
	s->bw_bps = (7 * s->bw_bps + s->bw_ns_bps) / 8;
}

static void on_ack(void *st, const struct qb_cc_ack *ev)
{
	struct westwood *s = st;

	sample_rate(s, ev);
	if (qb_reno_on_ack(&s->reno, ev))
		qb_reno_grow(&s->reno, qb_reno_increase(&s->reno, ev->acked_bytes));
}

static void reduce(struct westwood *s, const struct qb_cc_loss *ev)
{
	uint64_t fit_bytes = s->reno.cwnd_bytes / 2;

	if (!qb_reno_is_new_event(&s->reno, ev))
		return;
	if (s->bw_bps > 0 && s->rtt_min_ns != QB_NEVER_NS)
		fit_bytes = (uint64_t)(s->bw_bps * (double)s->rtt_min_ns / 8e9);
	qb_reno_reduce(&s->reno, QB_MIN(fit_bytes, s->reno.cwnd_bytes), ev);
}

static void on_loss(void *st, const struct qb_cc_loss *ev)
{
	struct westwood *s = st;

	reduce(s, ev);
	qb_reno_after_loss(&s->reno, ev);
	if (ev->is_persistent)
		s->rtt_min_ns = QB_NEVER_NS; /* the route may be another one now */
}

static void on_ecn(void *st, const struct qb_cc_ecn *ev)
{
	struct qb_cc_loss mark = qb_reno_mark(ev);

	if (ev->ce_pkts)
		on_loss(st, &mark);
}

static void on_spurious(void *st, uint64_t now_ns)
{
	struct westwood *s = st;

	(void)now_ns;
	qb_reno_on_spurious(&s->reno);
}

static void view(const void *st, struct qb_cc_view *out)
{
	const struct westwood *s = st;

	qb_reno_view(&s->reno, out);
}

const struct qb_cc qb_cc_westwood = {
	.name = "westwood",
	.state_bytes = sizeof(struct westwood),
	.init = init,
	.on_sent = on_sent,
	.on_ack = on_ack,
	.on_loss = on_loss,
	.on_ecn = on_ecn,
	.on_spurious = on_spurious,
	.view = view,
};
