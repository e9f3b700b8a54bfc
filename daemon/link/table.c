/* SPDX-License-Identifier: BSD-2-Clause */
/* Growing arrays for the cache: a handful of rows on most hosts, so order is kept and search is
 * linear. */
#include "link/internal.h"

#include <stdlib.h>

bool qb_nl_table_add(struct nl_table *t, const void *row)
{
	if (t->cnt == t->cap) {
		uint32_t cap = t->cap ? 2 * t->cap : 16;
		void *rows = realloc(t->rows, (size_t)cap * t->row_bytes);

		if (!rows)
			return false;
		t->rows = rows;
		t->cap = cap;
	}
	memcpy(qb_nl_table_row(t, t->cnt++), row, t->row_bytes);
	return true;
}

void qb_nl_table_remove(struct nl_table *t, uint32_t idx)
{
	t->cnt--;
	memmove(qb_nl_table_row(t, idx), qb_nl_table_row(t, idx + 1),
		(size_t)(t->cnt - idx) * t->row_bytes);
}
