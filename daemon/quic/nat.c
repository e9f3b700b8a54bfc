/* SPDX-License-Identifier: BSD-2-Clause */
/* The search for the longest silence that a NAT stands; driven by the keep-alive timer in conn.c
 * and by OBSERVED_ADDRESS. */
#include "quic/nat.h"

enum { SURVIVALS = 2 }; /* one may be luck: something else kept the binding */

/* The server validates a new address before it tells of it: a round trip or two. What comes later
 * has another cause. */
#define TELL_NS (5 * QB_NS_PER_SEC)

void qb_nat_init(struct qb_nat *n)
{
	*n = (struct qb_nat){.interval_ns = QB_NAT_FIRST_NS};
}

/* ceiling is how far the search may go: well below what cost a binding. */
static uint64_t ceiling_ns(const struct qb_nat *n)
{
	return n->lost_ns ? QB_MAX(n->lost_ns * 3 / 4, QB_NAT_LEAST_NS) : QB_NAT_MOST_NS;
}

/* on_kept: no other address was reported since the last ping. */
static void on_kept(struct qb_nat *n)
{
	bool is_full = n->tested_ns >= n->interval_ns;

	n->tested_ns = 0;
	if (!is_full || ++n->survived_cnt < SURVIVALS)
		return;
	n->survived_cnt = 0;
	n->interval_ns = QB_MIN(n->interval_ns * 3 / 2, QB_MIN(ceiling_ns(n), QB_NAT_MOST_NS));
}

void qb_nat_on_ping(struct qb_nat *n, uint64_t silent_ns, uint64_t now_ns)
{
	if (n->tested_ns)
		on_kept(n);
	n->tested_ns = silent_ns;
	n->pinged_ns = now_ns;
}

void qb_nat_on_moved(struct qb_nat *n, uint64_t now_ns)
{
	/* Not by silence: then it says nothing about it. */
	if (!n->tested_ns || now_ns - n->pinged_ns > TELL_NS)
		return;
	n->lost_ns = n->lost_ns ? QB_MIN(n->lost_ns, n->tested_ns) : n->tested_ns;
	n->interval_ns = QB_MAX(QB_MIN(n->interval_ns, n->lost_ns / 2), QB_NAT_LEAST_NS);
	n->tested_ns = 0;
	n->survived_cnt = 0;
}
