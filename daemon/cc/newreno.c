/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * NewReno as RFC 9002 §7 has it: slow start, congestion avoidance by one packet a window, one halving a recovery
 * period, the minimum window after persistent congestion.
 */
#include "cc/algorithms.h"

struct newreno {
	uint64_t cwnd_bytes;
	uint64_t ssthresh_bytes;
	uint64_t recovery_start_ns;
	uint64_t acked_bytes; /* towards the next packet of growth */
	uint64_t prior_cwnd_bytes, prior_ssthresh_bytes;
	uint32_t mss_bytes;
	bool was_in_recovery;
};

_Static_assert(sizeof(struct newreno) <= QB_CC_STATE_MAX, "state");

static void init(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns)
{
	struct newreno *s = st;

	(void)now_ns;
	memset(s, 0, sizeof(*s));
	s->mss_bytes = cfg->mss_bytes;
	s->cwnd_bytes = cfg->init_cwnd_bytes ? cfg->init_cwnd_bytes : qb_cc_initial_cwnd(cfg->mss_bytes);
	s->ssthresh_bytes = UINT64_MAX;
}

static void on_sent(void *st, const struct qb_cc_sent *ev)
{
	(void)st;
	(void)ev;
}

static void on_ack(void *st, const struct qb_cc_ack *ev)
{
	struct newreno *s = st;

	s->was_in_recovery = s->recovery_start_ns && ev->largest_sent_ns <= s->recovery_start_ns;
	if (s->was_in_recovery || !ev->is_cwnd_limited)
		return;
	if (s->cwnd_bytes < s->ssthresh_bytes) {
		s->cwnd_bytes += ev->acked_bytes;
		return;
	}
	s->acked_bytes += ev->acked_bytes;
	if (s->acked_bytes >= s->cwnd_bytes) {
		s->acked_bytes -= s->cwnd_bytes;
		s->cwnd_bytes += s->mss_bytes;
	}
}

static void reduce(struct newreno *s, uint64_t now_ns, uint64_t largest_sent_ns)
{
	if (s->recovery_start_ns && largest_sent_ns <= s->recovery_start_ns)
		return;
	s->prior_cwnd_bytes = s->cwnd_bytes;
	s->prior_ssthresh_bytes = s->ssthresh_bytes;
	s->recovery_start_ns = now_ns;
	s->cwnd_bytes = QB_MAX(s->cwnd_bytes / 2, 2 * (uint64_t)s->mss_bytes);
	s->ssthresh_bytes = s->cwnd_bytes;
	s->acked_bytes = 0;
}

static void on_loss(void *st, const struct qb_cc_loss *ev)
{
	struct newreno *s = st;

	reduce(s, ev->now_ns, ev->largest_sent_ns);
	if (ev->is_persistent) {
		s->cwnd_bytes = 2 * (uint64_t)s->mss_bytes;
		s->recovery_start_ns = 0;
	}
}

static void on_ecn(void *st, const struct qb_cc_ecn *ev)
{
	if (ev->ce_pkts)
		reduce(st, ev->now_ns, ev->largest_sent_ns);
}

static void on_spurious(void *st, uint64_t now_ns)
{
	struct newreno *s = st;

	(void)now_ns;
	if (s->prior_cwnd_bytes <= s->cwnd_bytes)
		return;
	s->cwnd_bytes = s->prior_cwnd_bytes;
	s->ssthresh_bytes = s->prior_ssthresh_bytes;
	s->recovery_start_ns = 0;
}

static void view(const void *st, struct qb_cc_view *out)
{
	const struct newreno *s = st;

	out->cwnd_bytes = s->cwnd_bytes;
	out->pacing_bps = 0;
	out->ssthresh_bytes = s->ssthresh_bytes;
	out->phase = s->was_in_recovery		       ? "recovery"
		     : s->cwnd_bytes < s->ssthresh_bytes ? "slow start"
							 : "avoidance";
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
