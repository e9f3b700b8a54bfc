/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Proportional Rate Reduction (RFC 9937): during a recovery period the flight shrinks to its new
 * size a bit with every ACK, instead of at once with half a round trip of silence after it; where
 * the losses have taken more than that, it grows back no faster than in slow start. For controllers
 * whose reduction is a window: they say when a period begins and ends, and show qb_prr_cwnd while
 * it lasts. They are paced by the window to end with: the window holds back here, not the pacer.
 *
 * QUIC has no cumulative ACK and sends no packet twice: an ACK that reveals no loss is the RFC's
 * SafeACK, and its RecoverFS is the flight before the loss and the ACK that revealed it.
 */
#pragma once

#include "cc/cc.h"

struct qb_prr {
	uint64_t cwnd_bytes;
	uint64_t delivered_bytes, out_bytes; /* prr_delivered, prr_out: in this period */
	uint64_t flight_bytes;		     /* RecoverFS */
	uint64_t allowed_bytes;		     /* of sndcnt, not sent yet */
	uint64_t start_ns;
	uint32_t mss_bytes;
	bool is_active;
};

/* qb_prr_begin begins a period; of a mark, the lost bytes are 0. */
void qb_prr_begin(struct qb_prr *p, uint32_t mss_bytes, const struct qb_cc_loss *ev);
void qb_prr_on_sent(struct qb_prr *p, const struct qb_cc_sent *ev);
/* qb_prr_on_ack: each ACK of the period; ssthresh_bytes is the flight to end with. */
void qb_prr_on_ack(struct qb_prr *p, const struct qb_cc_ack *ev, uint64_t ssthresh_bytes);
/* qb_prr_on_loss: what is lost makes no room by itself. */
void qb_prr_on_loss(struct qb_prr *p, const struct qb_cc_loss *ev);

static inline void qb_prr_end(struct qb_prr *p)
{
	p->is_active = false;
}

/* qb_prr_cwnd is the window to show for a controller that holds cwnd_bytes for right: never less
 * than the minimum (RFC 9002 §7.2). */
static inline uint64_t qb_prr_cwnd(const struct qb_prr *p, uint64_t cwnd_bytes)
{
	return p->is_active ? QB_MAX(p->cwnd_bytes, 2 * (uint64_t)p->mss_bytes) : cwnd_bytes;
}
