/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tunnel asks and says of a bond's links by name; the states themselves are in state.c. */
#include "bond/internal.h"

void qb_bond_set_tier(struct qb_bond *b, uint8_t path, enum qb_tier tier)
{
	qb_links_set_tier(&b->links, path, tier, b->now_ns);
}

void qb_bond_set_failback(struct qb_bond *b, uint64_t failback_ns)
{
	qb_links_set_failback(&b->links, failback_ns, b->now_ns);
}

void qb_bond_want_fail(struct qb_bond *b, const struct qb_fail_want *want)
{
	b->links.fail = *want;
}

void qb_bond_set_failover(struct qb_bond *b, bool is_failover)
{
	qb_links_set_failover(&b->links, is_failover, b->now_ns);
}

void qb_bond_set_drained(struct qb_bond *b, uint8_t path, bool is_drained)
{
	qb_links_set_drained(&b->links, path, is_drained, b->now_ns);
}

void qb_bond_expect_partners(struct qb_bond *b, uint8_t path, uint8_t other)
{
	qb_sbd_expect(&b->sbd, path, other);
}

uint8_t qb_bond_partners(const struct qb_bond *b, uint8_t path)
{
	return b->sbd.partners[path];
}
