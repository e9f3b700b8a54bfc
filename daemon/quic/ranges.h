/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packet numbers received in one packet number space: what duplicates are told from and ACK
 * frames are made of. At most QB_RANGES_MAX ranges are kept; when there are more, the oldest is
 * forgotten, and everything below what is remembered counts as received.
 */
#pragma once

#include "wire/frame.h"

enum { QB_RANGES_MAX = 64 };

struct qb_ranges {
	uint32_t cnt;
	uint64_t floor;			  /* everything below counts as received */
	struct qb_range r[QB_RANGES_MAX]; /* ascending, disjoint, not adjacent: as qb_ack_build
					     wants them */
};

void qb_ranges_init(struct qb_ranges *s);
/* qb_ranges_insert returns false when pn was there already (or is too old to know). O(1) in order.
 */
bool qb_ranges_insert(struct qb_ranges *s, uint64_t pn);
bool qb_ranges_has(const struct qb_ranges *s, uint64_t pn);
/* qb_ranges_remove_below forgets the numbers below pn; they count as received from then on. */
void qb_ranges_remove_below(struct qb_ranges *s, uint64_t pn);

/* qb_ranges_largest is the largest number, or QB_PN_NONE. */
static inline uint64_t qb_ranges_largest(const struct qb_ranges *s)
{
	return s->cnt ? s->r[s->cnt - 1].last : QB_PN_NONE;
}

/* qb_ranges_nth returns the i-th range from the newest down, or NULL. */
static inline const struct qb_range *qb_ranges_nth(const struct qb_ranges *s, uint32_t i)
{
	return i < s->cnt ? &s->r[s->cnt - 1 - i] : NULL;
}
