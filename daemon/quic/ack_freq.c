/* SPDX-License-Identifier: BSD-2-Clause */
/* ACK_FREQUENCY in both directions; frames_rx.c and ack.c feed it, conn_tx.c sends what it wants.
 */
#include "quic/conn.h"

enum {
	WINDOW_PARTS = 8, /* ACKs a window of packets, at least */
	RTT_PARTS = 4,	  /* ACKs a round trip, at least */
};

void qb_ack_freq_init(struct qb_ack_freq *f)
{
	*f = (struct qb_ack_freq){
		.policy = qb_ack_policy_default,
		.settled_delay_ns = QB_MAX_ACK_DELAY_DEFAULT_MS * QB_NS_PER_MS,
	};
}

void qb_ack_freq_on_params(struct qb_conn *c)
{
	struct qb_ack_freq *f = &c->ack_freq;

	f->peer_default_delay_ns = c->peer.max_ack_delay_ms * QB_NS_PER_MS;
	f->settled_delay_ns = f->peer_default_delay_ns;
	f->peer_min_delay_ns = c->peer.min_ack_delay_us * QB_NS_PER_US;
	f->can_ask = c->peer.has_min_ack_delay && c->q->cfg.ack_pkts_max != 1;
}

int qb_ack_freq_on_frame(struct qb_ack_freq *f, const struct qb_frame *frame,
			 struct qb_fault *fault)
{
	uint64_t delay_us = frame->ack_frequency.max_ack_delay_us;

	if (delay_us < QB_ACK_DELAY_MIN_US)
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION,
				    "requested ACK delay below min_ack_delay");
	if (frame->ack_frequency.seq < f->rx_next_seq)
		return 0;
	f->rx_next_seq = frame->ack_frequency.seq + 1;
	f->policy.max_delay_ns = delay_us * QB_NS_PER_US;
	/* The threshold is how many may go unacknowledged; the next one brings the ACK. */
	f->policy.every_pkts = (uint32_t)QB_MIN(frame->ack_frequency.eliciting_threshold,
						(uint64_t)UINT32_MAX - 1) +
			       1;
	f->policy.reorder_pkts =
		(uint32_t)QB_MIN(frame->ack_frequency.reordering_threshold, (uint64_t)UINT32_MAX);
	return 0;
}

/* ---- asking ---- */

/* add_path takes a path's needs into account: the fastest says how many packets, the shortest how
 * long. */
static void add_path(const struct qb_path *p, struct qb_ack_ask *want, uint64_t now_ns)
{
	uint64_t pkts;

	if (!qb_path_is_usable(p) || !qb_rtt_has_sample(&p->rtt) ||
	    p->live.last_tx_eliciting_ns + 2 * p->rtt.smoothed_ns < now_ns)
		return;
	pkts = p->cc.view.cwnd_bytes / p->mtu.cur_bytes / WINDOW_PARTS;
	want->pkts = (uint32_t)QB_MAX(pkts, (uint64_t)want->pkts);
	want->delay_ns = QB_MIN(want->delay_ns, p->rtt.smoothed_ns / RTT_PARTS);
	want->reorder_pkts = QB_MAX(want->reorder_pkts, p->space.reorder_pkts);
}

/* is_other: different enough to be worth a frame. */
static bool is_other(const struct qb_ack_ask *want, const struct qb_ack_ask *have)
{
	return want->pkts >= 2 * have->pkts || 2 * want->pkts <= have->pkts ||
	       want->reorder_pkts != have->reorder_pkts ||
	       want->delay_ns > have->delay_ns + have->delay_ns / 2 ||
	       want->delay_ns < have->delay_ns - have->delay_ns / 3;
}

void qb_ack_freq_review(struct qb_conn *c, uint64_t now_ns)
{
	struct qb_ack_freq *f = &c->ack_freq;
	uint32_t pkts_max = c->q->cfg.ack_pkts_max ? c->q->cfg.ack_pkts_max : QB_ACK_PKTS_MAX, i;
	struct qb_ack_ask want = {.delay_ns = f->peer_default_delay_ns,
				  .reorder_pkts = QB_REORDER_PKTS};
	uint64_t rtt_ns = QB_RTT_INITIAL_NS;

	if (!f->can_ask || now_ns < f->review_ns || !c->hs.is_confirmed)
		return;
	for (i = 0; i < c->path_cnt; i++) {
		add_path(&c->path[i], &want, now_ns);
		if (qb_path_is_usable(&c->path[i]))
			rtt_ns = QB_MIN(rtt_ns, c->path[i].rtt.smoothed_ns);
	}
	f->review_ns = now_ns + rtt_ns;
	want.pkts = QB_MIN(want.pkts, pkts_max);
	/* Nothing to gain where every other packet is acknowledged anyhow. */
	if (want.pkts <= QB_ACK_EVERY && !f->ask.seq)
		return;
	want.pkts = QB_MAX(want.pkts, (uint32_t)QB_ACK_EVERY);
	want.delay_ns = QB_MAX(want.delay_ns, f->peer_min_delay_ns);
	want.delay_ns = QB_MAX(want.delay_ns, QB_ACK_DELAY_MIN_US * QB_NS_PER_US);
	if (f->ask.seq && !is_other(&want, &f->ask))
		return;
	/* The longer of the two delays counts until the new one is known to have arrived. */
	f->settled_delay_ns = qb_ack_freq_delay_ns(f);
	want.seq = f->ask.seq + 1;
	want.tx = QB_TX_DUE;
	f->ask = want;
	qb_conn_touch(c);
}

bool qb_ack_freq_frame(const struct qb_ack_freq *f, struct qb_frame *out)
{
	if (f->ask.tx != QB_TX_DUE)
		return false;
	*out = (struct qb_frame){
		.type = QB_FRAME_ACK_FREQUENCY,
		.ack_frequency =
			{
				.seq = f->ask.seq,
				.eliciting_threshold = f->ask.pkts - 1,
				.max_ack_delay_us = f->ask.delay_ns / QB_NS_PER_US,
				.reordering_threshold = f->ask.reorder_pkts,
			},
	};
	return true;
}

void qb_ack_freq_on_fate(struct qb_ack_freq *f, uint64_t seq, bool is_acked)
{
	/* Only the newest matters: an older one is neither repeated nor in force. */
	if (seq != f->ask.seq || f->ask.tx != QB_TX_SENT)
		return;
	f->ask.tx = is_acked ? QB_TX_DONE : QB_TX_DUE;
	if (is_acked)
		f->settled_delay_ns = f->ask.delay_ns;
}
