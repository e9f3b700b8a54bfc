/* SPDX-License-Identifier: BSD-2-Clause */
/* Inner IP packets of any kind: parse and mark, within bounds. */
#include <stdlib.h>

#include "base/ip_ecn.h"
#include "bond/flow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct qb_hash_key key = {1, 2};
	struct qb_flow_pkt pkt;
	uint8_t *copy;

	if (size > 2048)
		return 0;
	/* A heap block of exactly that size, so that the sanitizer sees each byte too many. */
	copy = malloc(size ? size : 1);
	memcpy(copy, data, size);
	if (qb_flow_parse(copy, (uint32_t)size, &key, &pkt) == 0) {
		if (pkt.l4_off > size || pkt.hash == 0 || (pkt.version != 4 && pkt.version != 6))
			abort();
		if (qb_ip_mark_ce(copy) != (pkt.ecn != 0))
			abort();
		if (qb_flow_parse(copy, (uint32_t)size, &key, &pkt) != 0 || pkt.ecn == 1 ||
		    pkt.ecn == 2)
			abort();
	}
	free(copy);
	return 0;
}
