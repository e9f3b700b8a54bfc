/* SPDX-License-Identifier: BSD-2-Clause */
/* The token bucket of a path; conn_tx.c asks it, ack.c sets its rate. */
#include "quic/pacer.h"

#define NBIT_PER_BYTE INT64_C(8000000000)

enum {
	BURST_MAX_BYTES = 64 * 1024,
	BURST_MIN_PKTS = 2,
};

/* A sender that had data waiting and was woken late may catch up with so much. */
#define LATE_MAX_NS  (20 * QB_NS_PER_MS)
#define RATE_MAX_BPS UINT64_C(400000000000) /* keeps the product with it inside 63 bits */

static int64_t burst_nbit(const struct qb_pacer *p)
{
	return (int64_t)p->burst_bytes * NBIT_PER_BYTE;
}

static int64_t cap_nbit(const struct qb_pacer *p)
{
	int64_t late_nbit = (int64_t)(QB_MIN(p->rate_bps, RATE_MAX_BPS) * LATE_MAX_NS);

	return p->has_waiting ? QB_MAX(burst_nbit(p), late_nbit) : burst_nbit(p);
}

static int64_t credit_at(const struct qb_pacer *p, uint64_t now_ns)
{
	int64_t cap = cap_nbit(p), missing_nbit = cap - p->credit_nbit;
	uint64_t elapsed_ns = qb_sub_sat_u64(now_ns, p->last_ns);

	if (missing_nbit <= 0)
		return cap;
	/* Bounding the time first keeps the product inside 64 bits. */
	if (elapsed_ns > (uint64_t)missing_nbit / p->rate_bps)
		return cap;
	return p->credit_nbit + (int64_t)(elapsed_ns * p->rate_bps);
}

void qb_pacer_init(struct qb_pacer *p, uint64_t now_ns)
{
	*p = (struct qb_pacer){.last_ns = now_ns};
}

void qb_pacer_set_rate(struct qb_pacer *p, uint64_t rate_bps, uint32_t mtu_bytes, uint64_t now_ns)
{
	uint64_t burst_bytes = rate_bps / (8 * 1000);
	bool was_paced = p->rate_bps != 0;

	if (was_paced) {
		p->credit_nbit = credit_at(p, now_ns);
		p->last_ns = now_ns;
	}
	burst_bytes = QB_MAX(burst_bytes, (uint64_t)BURST_MIN_PKTS * mtu_bytes);
	p->burst_bytes = (uint32_t)QB_MIN(burst_bytes, (uint64_t)BURST_MAX_BYTES);
	p->rate_bps = rate_bps;
	if (!was_paced) {
		p->credit_nbit = burst_nbit(p);
		p->last_ns = now_ns;
	}
}

uint64_t qb_pacer_budget(const struct qb_pacer *p, uint64_t now_ns)
{
	int64_t credit_nbit;

	if (!p->rate_bps)
		return UINT64_MAX;
	credit_nbit = credit_at(p, now_ns);
	return credit_nbit > 0 ? (uint64_t)(credit_nbit / NBIT_PER_BYTE) : 0;
}

uint64_t qb_pacer_next_ns(const struct qb_pacer *p, uint32_t bytes, uint64_t now_ns)
{
	int64_t need_nbit;

	if (!p->rate_bps)
		return 0;
	need_nbit = (int64_t)QB_MIN(bytes, p->burst_bytes) * NBIT_PER_BYTE - credit_at(p, now_ns);
	if (need_nbit <= 0)
		return 0;
	return now_ns + ((uint64_t)need_nbit + p->rate_bps - 1) / p->rate_bps;
}

void qb_pacer_on_sent(struct qb_pacer *p, uint32_t bytes, uint64_t now_ns)
{
	if (!p->rate_bps)
		return;
	p->credit_nbit = credit_at(p, now_ns) - (int64_t)bytes * NBIT_PER_BYTE;
	/* A long debt helps nobody: one burst below zero is enough. */
	p->credit_nbit = QB_MAX(p->credit_nbit, -burst_nbit(p));
	p->last_ns = now_ns;
}
