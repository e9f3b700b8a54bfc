/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * NewReno as RFC 9002 §7 has it: slow start (left by HyStart++, RFC 9406, or a loss), congestion
 * avoidance by one packet a window, one halving a recovery period, the minimum window after
 * persistent congestion.
 */
#include "cc/algorithms.h"
#include "cc/reno.h"

struct newreno {
	struct qb_reno reno;
};

_Static_assert(sizeof(struct newreno) <= QB_CC_STATE_MAX, "state");

static void init(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns)
{
	struct newreno *s = st;

	(void)now_ns;
	qb_reno_init(&s->reno, cfg);
}

static void on_sent(void *st, const struct qb_cc_sent *ev)
{
	struct newreno *s = st;

	qb_reno_on_sent(&s->reno, ev);
}

static void on_ack(void *st, const struct qb_cc_ack *ev)
{
	struct newreno *s = st;

	if (qb_reno_on_ack(&s->reno, ev))
		qb_reno_grow(&s->reno, qb_reno_increase(&s->reno, ev->acked_bytes));
}

static void on_loss(void *st, const struct qb_cc_loss *ev)
{
	struct newreno *s = st;

	if (qb_reno_is_new_event(&s->reno, ev))
		qb_reno_reduce(&s->reno, s->reno.cwnd_bytes / 2, ev);
	qb_reno_after_loss(&s->reno, ev);
}

static void on_ecn(void *st, const struct qb_cc_ecn *ev)
{
	struct qb_cc_loss mark = qb_reno_mark(ev);

	if (ev->ce_pkts)
		on_loss(st, &mark);
}

static void on_spurious(void *st, uint64_t now_ns)
{
	struct newreno *s = st;

	(void)now_ns;
	qb_reno_on_spurious(&s->reno);
}

static void view(const void *st, struct qb_cc_view *out)
{
	const struct newreno *s = st;

	qb_reno_view(&s->reno, out);
}

const struct qb_cc qb_cc_newreno = {
	.name = "newreno",
	.state_bytes = sizeof(struct newreno),
	.init = init,
	.on_sent = on_sent,
	.on_ack = on_ack,
	.on_loss = on_loss,
	.on_ecn = on_ecn,
	.on_spurious = on_spurious,
	.view = view,
};
