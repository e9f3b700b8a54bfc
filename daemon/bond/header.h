/* SPDX-License-Identifier: BSD-2-Clause */
/* The bond header in front of an inner packet: see the drawing in bond.h. */
#pragma once

#include "base/base.h"

enum { QB_BOND_DELTA_MAX = 0x3fff };

struct qb_bond_header {
	uint32_t seq;	/* low 32 bits of the tunnel sequence number */
	uint16_t delta; /* back to the flow's previous packet, 0..QB_BOND_DELTA_MAX; 0: deliver at once */
	bool is_again;	/* this packet was sent before */
	bool is_brief;	/* it waits for one that is late, but not for one that was lost */
};

/* qb_bond_header_build writes QB_BOND_HEADER_LEN bytes at p. */
void qb_bond_header_build(uint8_t *p, const struct qb_bond_header *h);
/*
 * qb_bond_header_parse returns the bytes consumed, or -EBADMSG where the header is cut short or
 * nothing follows it.
 */
int qb_bond_header_parse(const uint8_t *p, uint32_t len, struct qb_bond_header *h) QB_MUST_CHECK;
