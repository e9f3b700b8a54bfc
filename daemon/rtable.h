/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hub's routing table: which site (and which worker's session) an inner destination belongs to. Immutable once
 * built; the main thread builds a new one and the workers swap.
 */
#pragma once

#include "base/addr.h"

struct qb_rtable_entry {
	uint8_t family;
	uint8_t first[16], last[16]; /* inclusive; IPv4 in the first four bytes */
	uint32_t site;
	uint16_t worker;
};

struct qb_rtable {
	uint32_t cnt;
	uint32_t first6; /* entries from here on are IPv6 */
	struct qb_rtable_entry entries[];
};

/* qb_rtable_build copies and sorts entries. Of two that overlap, the one that begins first wins. NULL: no memory. */
struct qb_rtable *qb_rtable_build(const struct qb_rtable_entry *entries, uint32_t cnt);
void qb_rtable_free(struct qb_rtable *t);
/* qb_rtable_find returns the entry that holds a destination (4 or 16 bytes), or NULL. */
const struct qb_rtable_entry *qb_rtable_find(const struct qb_rtable *t, uint8_t family, const uint8_t *dst);
