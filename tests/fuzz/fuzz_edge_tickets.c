/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of an edge's tickets. What parses must survive a round trip. */
#include "node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t bytes[QB_EDGE_TICKETS_BYTES];
	static struct qb_edge_tickets ts;

	if (qb_edge_tickets_parse(&ts, data, len) < 0) {
		QB_BUG_ON(ts.cnt);
		return 0;
	}
	QB_BUG_ON(qb_edge_tickets_build(&ts, bytes) != len || memcmp(bytes, data, len) != 0);
	return 0;
}
