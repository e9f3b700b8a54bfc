/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Prague: the scalable controller of L4S (RFC 9331 §4,
 * draft-briscoe-iccrg-prague-congestion-control-04), on ECT(1). The network marks early and often;
 * the window falls by half of the fraction of marks, once a (virtual) round trip.
 *
 *     growth what is acknowledged unmarked counts, so that it never saturates the marking
 *     alpha  moving average of the marked fraction, 1/16 a virtual RTT; 1 at the first mark
 *     vRTT   max(srtt, 25 ms), so that short paths do not starve long ones; after 500 rounds it
 *            slows growth as well
 *     loss   as Reno, less what a mark has taken in the same round
 *
 * Constants as in the draft and in TCP Prague for Linux (tcp_prague.c 0.7), which goes over to the
 * virtual RTT after 4 rounds and paces 3 % up and down around the rate.
 */
#include "cc/algorithms.h"
#include "cc/reno.h"

enum {
	RTT_INDEPENDENT_ROUNDS = 500,
};

#define RTT_VIRTUAL_MIN_NS (25 * QB_NS_PER_MS)

static const double ALPHA_GAIN = 1.0 / 16;
static const double PACING_SLOW_START = 2;

struct prague {
	struct qb_reno reno;
	double alpha;
	uint64_t ce_pkts, ect_pkts; /* in this virtual round */
	uint64_t marked_bytes;	    /* of the ACK that comes */
	uint64_t round_end_ns;
	uint64_t cut_ns, cut_bytes; /* the last reduction by marks */
	uint64_t srtt_ns;
	uint32_t round_cnt;
	bool has_marks; /* ever */
};

_Static_assert(sizeof(struct prague) <= QB_CC_STATE_MAX, "state");

static void init(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns)
{
	struct prague *s = st;

	*s = (struct prague){.round_end_ns = now_ns, .alpha = 1};
	qb_reno_init(&s->reno, cfg);
}

static void on_sent(void *st, const struct qb_cc_sent *ev)
{
	struct prague *s = st;

	qb_reno_on_sent(&s->reno, ev);
}

static uint64_t virtual_rtt_ns(uint64_t srtt_ns)
{
	return QB_MAX(srtt_ns, RTT_VIRTUAL_MIN_NS);
}

static void on_ack(void *st, const struct qb_cc_ack *ev)
{
	struct prague *s = st;
	struct qb_cc_ack unmarked = *ev;
	double scale = 1;

	s->srtt_ns = ev->srtt_ns;
	unmarked.acked_bytes = qb_sub_sat_u64(ev->acked_bytes, s->marked_bytes);
	s->marked_bytes = 0;
	if (!qb_reno_on_ack(&s->reno, &unmarked))
		return;
	if (s->round_cnt >= RTT_INDEPENDENT_ROUNDS)
		scale = (double)ev->srtt_ns / (double)virtual_rtt_ns(ev->srtt_ns);
	qb_reno_grow(&s->reno, qb_reno_increase(&s->reno, unmarked.acked_bytes) * scale * scale);
}

static void end_round(struct prague *s, const struct qb_cc_ecn *ev)
{
	uint64_t all_pkts = s->ce_pkts + s->ect_pkts;

	s->round_end_ns = ev->now_ns + virtual_rtt_ns(ev->srtt_ns);
	s->round_cnt += !qb_reno_is_slow_start(&s->reno);
	if (s->has_marks && all_pkts)
		s->alpha += ALPHA_GAIN * ((double)s->ce_pkts / (double)all_pkts - s->alpha);
	s->ce_pkts = s->ect_pkts = 0;
}

/* A cut leaves the state of growth alone: no recovery period, for the next packets may well be
 * unmarked. */
static void cut_by_marks(struct prague *s, const struct qb_cc_ecn *ev)
{
	double cut_bytes = s->alpha * (double)s->reno.cwnd_bytes / 2;

	if (s->cut_ns && ev->now_ns < s->cut_ns + virtual_rtt_ns(ev->srtt_ns))
		return;
	s->cut_ns = ev->now_ns;
	s->cut_bytes = (uint64_t)cut_bytes;
	qb_reno_grow(&s->reno, -cut_bytes);
	s->reno.ssthresh_bytes = s->reno.cwnd_bytes;
	s->reno.hystart.is_done = true;
}

static void on_ecn(void *st, const struct qb_cc_ecn *ev)
{
	struct prague *s = st;

	s->marked_bytes += ev->ce_pkts * s->reno.mss_bytes;
	s->ce_pkts += ev->ce_pkts;
	s->ect_pkts += ev->ect_pkts;
	s->has_marks |= ev->ce_pkts != 0;
	if (ev->now_ns >= s->round_end_ns)
		end_round(s, ev);
	if (ev->ce_pkts)
		cut_by_marks(s, ev);
}

static void on_loss(void *st, const struct qb_cc_loss *ev)
{
	struct prague *s = st;
	uint64_t full_bytes = s->reno.cwnd_bytes;

	if (qb_reno_is_new_event(&s->reno, ev)) {
		/* What a mark took in this round counts towards the halving. */
		if (s->cut_ns && ev->now_ns < s->cut_ns + virtual_rtt_ns(s->srtt_ns))
			full_bytes += s->cut_bytes;
		qb_reno_reduce(&s->reno, QB_MIN(full_bytes / 2, s->reno.cwnd_bytes), ev);
	}
	qb_reno_after_loss(&s->reno, ev);
}

static void on_spurious(void *st, uint64_t now_ns)
{
	struct prague *s = st;

	(void)now_ns;
	qb_reno_on_spurious(&s->reno);
}

static void view(const void *st, struct qb_cc_view *out)
{
	const struct prague *s = st;
	double gain = qb_reno_is_slow_start(&s->reno) ? PACING_SLOW_START : 1;

	qb_reno_view(&s->reno, out);
	/* A quarter more, as the transport has it for others, would be marked by a queue of a
	 * millisecond. */
	if (s->srtt_ns)
		out->pacing_bps =
			(uint64_t)(gain * (double)out->cwnd_bytes * 8e9 / (double)s->srtt_ns);
}

const struct qb_cc qb_cc_prague = {
	.name = "prague",
	.state_bytes = sizeof(struct prague),
	.is_ect1 = true,
	.init = init,
	.on_sent = on_sent,
	.on_ack = on_ack,
	.on_loss = on_loss,
	.on_ecn = on_ecn,
	.on_spurious = on_spurious,
	.view = view,
};
