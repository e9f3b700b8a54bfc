/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of known links: a text is taken whole or not at all, and what was taken is written and
 * read again as it is. */
#include "known.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct qb_known_table first, second, none;
	static char text[QB_KNOWN_TEXT_MAX];
	int cnt;

	memset(&first, 0, sizeof(first));
	memset(&second, 0, sizeof(second));
	cnt = qb_known_parse(&first, (const char *)data, size);
	if (cnt < 0) {
		QB_BUG_ON(memcmp(&first, &none, sizeof(none)) != 0);
		return 0;
	}
	QB_BUG_ON(qb_known_parse(&second, text, qb_known_format(&first, text)) > cnt);
	QB_BUG_ON(qb_known_merge(&second, &first) != 0);
	return 0;
}
