/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet number space (RFC 9000 §12.3): Initial, Handshake, and one for each path in 1-RTT. The receiving half
 * knows what arrived and when it must be acknowledged; the sending half keeps records (sent.h) and timers.
 */
#pragma once

#include "base/ip_ecn.h"
#include "quic/ranges.h"
#include "quic/sent.h"

enum {
	QB_ACK_DELAY_MAX_MS = 10,  /* our max_ack_delay */
	QB_ACK_DELAY_EXPONENT = 3,
	QB_REORDER_PKTS = 3,	   /* kPacketThreshold */
	QB_RX_TIMESTAMPS = 8,	   /* times of arrival that a peer may put into an ACK */
	QB_ACK_EVERY = 2,	   /* ack-eliciting packets (RFC 9000 §13.2.2) */
};

/* When an ACK must leave; the peer may change it (ack_freq.h). */
struct qb_ack_policy {
	uint32_t every_pkts;   /* ack-eliciting packets */
	uint32_t reorder_pkts; /* a gap so far behind the newest is reported at once; 0: never */
	uint64_t max_delay_ns;
};

extern const struct qb_ack_policy qb_ack_policy_default;   /* RFC 9000 §13.2 */
extern const struct qb_ack_policy qb_ack_policy_handshake; /* at once */

struct qb_rx_space {
	struct qb_ranges ranges;
	uint64_t largest_ns;  /* when the largest number arrived */
	uint64_t ts_sent_ns;  /* when the peer was last told a time of arrival */
	uint64_t ack_at_ns;   /* when an ACK must leave; 0 at once, QB_NEVER_NS none due */
	uint32_t pending_cnt; /* ack-eliciting packets not reported yet */
	uint64_t largest_reported; /* largest number in the last ACK; QB_PN_NONE */
	bool was_ce;	      /* the packet before was CE-marked */
	bool is_l4s;	      /* what was marked ECN-capable last was ECT(1) */
	uint64_t ect0, ect1, ce;
};

/* Lost packets with nothing acknowledged between them, for persistent congestion (RFC 9002 §7.6). */
struct qb_lost_run {
	uint64_t first_sent_ns; /* 0: none */
	uint64_t last_pn;
};

struct qb_space {
	struct qb_rx_space rx;
	struct qb_sent sent;
	uint16_t reorder_pkts;	    /* packet threshold of loss detection; grows with spurious losses */
	uint16_t reorder_at_s;	    /* when packets last came later than others; low bits */
	uint32_t reorder_us;	    /* the time threshold is so much longer for that */
	struct qb_lost_run lost_run;
	uint64_t loss_at_ns;	    /* when the time threshold declares the next loss; QB_NEVER_NS */
	uint64_t last_eliciting_ns; /* when the last ack-eliciting packet was sent */
};

void qb_space_init(struct qb_space *s, struct qb_slab *sent_slab);
/* qb_rx_space_on_packet records an authenticated packet that is no duplicate. */
void qb_rx_space_on_packet(struct qb_rx_space *s, uint64_t pn, bool is_eliciting, enum qb_ecn ecn,
			   const struct qb_ack_policy *policy, uint64_t now_ns);
/* qb_rx_space_repeat_ack makes due what was said before. False: nothing was received yet. */
bool qb_rx_space_repeat_ack(struct qb_rx_space *s);
static inline bool qb_rx_space_is_due(const struct qb_rx_space *s, uint64_t now_ns)
{
	return s->ack_at_ns <= now_ns;
}
/* How an acknowledgement is written. */
struct qb_ack_form {
	bool has_path;
	enum qb_mp_dialect dialect;
	uint32_t path_id;
	bool has_ts; /* with the time at which the largest arrived, in 2^ts_exponent µs since ts_basis_ns */
	uint8_t ts_exponent;
	uint64_t ts_basis_ns;
};
/*
 * qb_rx_space_write_ack appends an ACK or (has_path) PATH_ACK frame. Returns false when it does not fit or
 * nothing was ever received. qb_rx_space_on_ack_sent then clears what was due.
 */
bool qb_rx_space_write_ack(struct qb_rx_space *s, struct qb_wr *w, struct qb_ack_form form,
			   uint64_t now_ns);
void qb_rx_space_on_ack_sent(struct qb_rx_space *s);
/* qb_rx_space_wants_ts: it is time to tell the peer a time of arrival again. */
bool qb_rx_space_wants_ts(const struct qb_rx_space *s, uint64_t now_ns);
/* qb_rx_space_on_ack_acked: the peer knows that we have everything up to largest (low 32 bits). */
void qb_rx_space_on_ack_acked(struct qb_rx_space *s, uint32_t largest_low);
