/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bond header: six bytes, network order. Built by qb_bond_pick, parsed by qb_bond_rx, on the
 * worker that owns the connection.
 */
#include "bond/header.h"

#include <errno.h>

#include "bond/bond.h"

enum { IS_AGAIN = 0x8000, IS_BRIEF = 0x4000 };

void qb_bond_header_build(uint8_t *p, const struct qb_bond_header *h)
{
	qb_store_be32(p, h->seq);
	qb_store_be16(p + 4, (uint16_t)(h->delta | (h->is_again ? IS_AGAIN : 0) | (h->is_brief ? IS_BRIEF : 0)));
}

int qb_bond_header_parse(const uint8_t *p, uint32_t len, struct qb_bond_header *h)
{
	if (len <= QB_BOND_HEADER_LEN)
		return -EBADMSG;
	h->seq = qb_load_be32(p);
	h->delta = qb_load_be16(p + 4) & QB_BOND_DELTA_MAX;
	h->is_again = qb_load_be16(p + 4) & IS_AGAIN;
	h->is_brief = qb_load_be16(p + 4) & IS_BRIEF;
	return QB_BOND_HEADER_LEN;
}
