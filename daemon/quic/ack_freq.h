/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How often acknowledgements are sent (draft-ietf-quic-ack-frequency): what the peer asked of us,
 * and what we ask of the peer while we send fast. One agreement a connection holds for all its
 * paths.
 */
#pragma once

#include "quic/cids.h"
#include "quic/space.h"

enum {
	QB_ACK_DELAY_MIN_US = 1000, /* our min_ack_delay */
	QB_ACK_PKTS_MAX = 32,	    /* packets that one ACK may answer, at most */
};

struct qb_conn;

/* What we ask of the peer. */
struct qb_ack_ask {
	uint64_t seq; /* of the newest ACK_FREQUENCY; 0: none was sent yet */
	uint32_t pkts, reorder_pkts;
	uint64_t delay_ns;
	enum qb_tx_state tx;
};

struct qb_ack_freq {
	struct qb_ack_policy policy; /* ours, as the peer wants it */
	uint64_t rx_next_seq;	     /* older ACK_FREQUENCY frames are ignored */
	bool can_ask;		     /* the peer sent min_ack_delay */
	uint64_t peer_min_delay_ns, peer_default_delay_ns;
	uint64_t settled_delay_ns; /* max_ack_delay that the peer surely uses, were there none newer
				      in flight */
	uint64_t review_ns;	   /* when to look at the rates again */
	struct qb_ack_ask ask;
};

void qb_ack_freq_init(struct qb_ack_freq *f);
/* qb_ack_freq_on_params: the peer's transport parameters are known. */
void qb_ack_freq_on_params(struct qb_conn *c);
/* qb_ack_freq_on_frame takes an ACK_FREQUENCY. Returns 0, or -EBADMSG with *fault. */
int qb_ack_freq_on_frame(struct qb_ack_freq *f, const struct qb_frame *frame,
			 struct qb_fault *fault) QB_MUST_CHECK;
/* qb_ack_freq_review decides, about once a round trip, whether to ask for something else. */
void qb_ack_freq_review(struct qb_conn *c, uint64_t now_ns);
/* qb_ack_freq_frame fills in the frame that is due. False: none is. */
bool qb_ack_freq_frame(const struct qb_ack_freq *f, struct qb_frame *out);
/* qb_ack_freq_on_fate: the ACK_FREQUENCY with that number was acknowledged or lost. */
void qb_ack_freq_on_fate(struct qb_ack_freq *f, uint64_t seq, bool is_acked);
/* qb_ack_freq_delay_ns is the longest that the peer may wait before it acknowledges. */
static inline uint64_t qb_ack_freq_delay_ns(const struct qb_ack_freq *f)
{
	return QB_MAX(f->settled_delay_ns, f->ask.delay_ns);
}
/*
 * qb_ack_freq_reorder_ns: a packet that came a little late is no reason for the peer to acknowledge
 * at once, if we asked it not to; so much longer must the time threshold be.
 */
static inline uint64_t qb_ack_freq_reorder_ns(const struct qb_ack_freq *f)
{
	return f->ask.seq ? f->ask.delay_ns : 0;
}
/* qb_ack_freq_wants_immediate: a probe had better say IMMEDIATE_ACK. */
static inline bool qb_ack_freq_wants_immediate(const struct qb_ack_freq *f)
{
	return f->can_ask && f->ask.seq != 0;
}
