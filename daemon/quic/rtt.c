/* SPDX-License-Identifier: BSD-2-Clause */
/* RTT estimation; called by ack.c with each acknowledgement that gives a sample. */
#include "quic/rtt.h"

void qb_rtt_init(struct qb_rtt *r, uint64_t initial_ns)
{
	initial_ns = initial_ns ? initial_ns : QB_RTT_INITIAL_NS;
	*r = (struct qb_rtt){.smoothed_ns = initial_ns, .var_ns = initial_ns / 2};
}

/* RFC 9002 §6.2.2: a resumed connection may use the RTT of the one before. */
void qb_rtt_expect(struct qb_rtt *r, uint64_t rtt_ns)
{
	enum { MIN_MS = 50 };

	if (qb_rtt_has_sample(r))
		return;
	rtt_ns = QB_MAX(2 * rtt_ns, MIN_MS * QB_NS_PER_MS);
	r->smoothed_ns = QB_MIN(rtt_ns, (uint64_t)QB_RTT_INITIAL_NS);
	r->var_ns = r->smoothed_ns / 2;
}

void qb_rtt_update(struct qb_rtt *r, uint64_t latest_ns, uint64_t ack_delay_ns, uint64_t now_ns)
{
	uint64_t adjusted_ns = latest_ns, diff_ns;

	r->latest_ns = latest_ns;
	if (!qb_rtt_has_sample(r)) {
		r->min_ns = latest_ns;
		r->smoothed_ns = latest_ns;
		r->var_ns = latest_ns / 2;
		r->first_sample_ns = QB_MAX(now_ns, UINT64_C(1));
		return;
	}
	r->min_ns = QB_MIN(r->min_ns, latest_ns);
	if (latest_ns >= r->min_ns + ack_delay_ns)
		adjusted_ns = latest_ns - ack_delay_ns;
	/* RFC 9002 §A.7: the variance is taken against the old smoothed value. */
	diff_ns = adjusted_ns > r->smoothed_ns ? adjusted_ns - r->smoothed_ns
					       : r->smoothed_ns - adjusted_ns;
	r->var_ns = (3 * r->var_ns + diff_ns) / 4;
	r->smoothed_ns = (7 * r->smoothed_ns + adjusted_ns) / 8;
}

uint64_t qb_rtt_pto_ns(const struct qb_rtt *r, uint64_t max_ack_delay_ns)
{
	return r->smoothed_ns + QB_MAX(4 * r->var_ns, (uint64_t)QB_RTT_GRANULARITY_NS) +
	       max_ack_delay_ns;
}

uint64_t qb_rtt_loss_delay_ns(const struct qb_rtt *r)
{
	uint64_t rtt_ns = QB_MAX(r->smoothed_ns, r->latest_ns);

	return QB_MAX(rtt_ns + rtt_ns / 8, (uint64_t)QB_RTT_GRANULARITY_NS);
}

uint64_t qb_rtt_persistent_ns(const struct qb_rtt *r, uint64_t max_ack_delay_ns, uint32_t ptos)
{
	return (ptos ? ptos : QB_RTT_PERSISTENT_PTOS) * qb_rtt_pto_ns(r, max_ack_delay_ns);
}
