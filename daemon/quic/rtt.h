/* SPDX-License-Identifier: BSD-2-Clause */
/* Round-trip time of a path and what is derived from it (RFC 9002 §5, §6). */
#pragma once

#include "base/base.h"

enum {
	QB_RTT_INITIAL_NS = 333 * 1000 * 1000, /* kInitialRtt */
	QB_RTT_GRANULARITY_NS = 1000 * 1000,   /* kGranularity */
	QB_RTT_PERSISTENT_PTOS = 3,	       /* kPersistentCongestionThreshold */
};

struct qb_rtt {
	uint64_t latest_ns, min_ns, smoothed_ns, var_ns;
	uint64_t first_sample_ns; /* when the first sample was taken; 0: none yet */
};

/* qb_rtt_init begins without a sample; initial_ns is what to assume till then, 0: kInitialRtt. */
void qb_rtt_init(struct qb_rtt *r, uint64_t initial_ns);
/* qb_rtt_expect begins with what an earlier connection measured, generously: the way may be another one now. */
void qb_rtt_expect(struct qb_rtt *r, uint64_t rtt_ns);
/* qb_rtt_update takes a sample; ack_delay_ns is already bounded by the peer's max_ack_delay. */
void qb_rtt_update(struct qb_rtt *r, uint64_t latest_ns, uint64_t ack_delay_ns, uint64_t now_ns);
/* qb_rtt_pto_ns is the probe timeout before backoff (RFC 9002 §6.2.1). */
uint64_t qb_rtt_pto_ns(const struct qb_rtt *r, uint64_t max_ack_delay_ns);
/* qb_rtt_loss_delay_ns is the time threshold of loss detection (RFC 9002 §6.1.2). */
uint64_t qb_rtt_loss_delay_ns(const struct qb_rtt *r);
/* qb_rtt_persistent_ns is the duration of persistent congestion (RFC 9002 §7.6.1): so many PTOs, 0: 3. */
uint64_t qb_rtt_persistent_ns(const struct qb_rtt *r, uint64_t max_ack_delay_ns, uint32_t ptos);

static inline bool qb_rtt_has_sample(const struct qb_rtt *r)
{
	return r->first_sample_ns != 0;
}
