/* SPDX-License-Identifier: BSD-2-Clause */
/* A bounded set of received packet numbers. Called once for every packet that opened. */
#include "quic/ranges.h"

void qb_ranges_init(struct qb_ranges *s)
{
	s->cnt = 0;
	s->floor = 0;
}

/* Index of the first range that ends at or above pn (cnt if none), searched from the newest down.
 */
static uint32_t find(const struct qb_ranges *s, uint64_t pn)
{
	uint32_t i = s->cnt;

	while (i > 0 && s->r[i - 1].last >= pn)
		i--;
	return i;
}

static void remove_at(struct qb_ranges *s, uint32_t i, uint32_t n)
{
	memmove(&s->r[i], &s->r[i + n], (s->cnt - i - n) * sizeof(s->r[0]));
	s->cnt -= n;
}

/* Opens a new range before index i, forgetting the oldest range where there is no room. */
static void insert_at(struct qb_ranges *s, uint32_t i, uint64_t pn)
{
	if (s->cnt == QB_RANGES_MAX) {
		if (i == 0) { /* older than all: it is the one to be forgotten */
			s->floor = pn + 1;
			return;
		}
		s->floor = s->r[0].last + 1;
		remove_at(s, 0, 1);
		i--;
	}
	memmove(&s->r[i + 1], &s->r[i], (s->cnt - i) * sizeof(s->r[0]));
	s->r[i] = (struct qb_range){pn, pn};
	s->cnt++;
}

bool qb_ranges_insert(struct qb_ranges *s, uint64_t pn)
{
	uint32_t i;
	bool joins_below, joins_above;

	if (pn < s->floor)
		return false;
	i = find(s, pn);
	if (i < s->cnt && s->r[i].first <= pn)
		return false;
	joins_below = i > 0 && s->r[i - 1].last + 1 == pn;
	joins_above = i < s->cnt && s->r[i].first == pn + 1;
	if (joins_below && joins_above) {
		s->r[i - 1].last = s->r[i].last;
		remove_at(s, i, 1);
	} else if (joins_below) {
		s->r[i - 1].last = pn;
	} else if (joins_above) {
		s->r[i].first = pn;
	} else {
		insert_at(s, i, pn);
	}
	return true;
}

bool qb_ranges_has(const struct qb_ranges *s, uint64_t pn)
{
	uint32_t i;

	if (pn < s->floor)
		return true;
	i = find(s, pn);
	return i < s->cnt && s->r[i].first <= pn;
}

void qb_ranges_remove_below(struct qb_ranges *s, uint64_t pn)
{
	uint32_t n = 0;

	while (n < s->cnt && s->r[n].last < pn)
		n++;
	remove_at(s, 0, n);
	if (s->cnt && s->r[0].first < pn)
		s->r[0].first = pn;
	s->floor = qb_max_u64(s->floor, pn);
}
