/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hub's routing table: which site, by which of its sessions on which worker, an inner destination belongs to. Immutable
 * once built; the main thread builds a new one and the workers swap.
 */
#pragma once

#include "node.h"

/* A session that leads to a site: whose worker's, and which member of its group. */
struct qb_rtable_via {
	uint16_t worker;
	uint8_t member;
};

struct qb_rtable_entry {
	uint8_t family;
	uint8_t first[16], last[16]; /* inclusive; IPv4 in the first four bytes */
	uint32_t site;
	uint32_t via_cnt; /* at least 1 */
	struct qb_rtable_via via[QB_SESSIONS_MAX];
};

struct qb_rtable {
	uint32_t cnt;
	uint32_t first6; /* entries from here on are IPv6 */
	struct qb_rtable_entry entries[];
};

/* qb_rtable_build copies and sorts entries. Of two that overlap, the one that begins first wins. NULL: no memory. */
struct qb_rtable *qb_rtable_build(const struct qb_rtable_entry *entries, uint32_t cnt);
void qb_rtable_free(struct qb_rtable *t);
/* qb_rtable_via_of spreads inner flows over a site's sessions: all packets of a flow go by the same one. */
const struct qb_rtable_via *qb_rtable_via_of(const struct qb_rtable_entry *e, const struct qb_buf *b);
/* qb_rtable_find returns the entry that holds a destination (4 or 16 bytes), or NULL. */
const struct qb_rtable_entry *qb_rtable_find(const struct qb_rtable *t, uint8_t family, const uint8_t *dst);
