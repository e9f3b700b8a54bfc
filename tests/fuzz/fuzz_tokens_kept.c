/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of an edge's address validation tokens. What parses must survive a round trip. */
#include "quic/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t bytes[QB_TOKENS_BYTES], out[QB_TOKEN_KEPT_MAX];
	static struct qb_tokens_kept kept;

	if (qb_tokens_parse(&kept, data, len) < 0) {
		QB_BUG_ON(qb_tokens_build(&kept, bytes) != 9);
		return 0;
	}
	QB_BUG_ON(qb_tokens_build(&kept, bytes) != len || memcmp(bytes, data, len) != 0);
	/* Taken again, one by one. */
	for (int i = 0; i < QB_TOKENS_KEPT; i++)
		if (kept.slot[i].whose)
			QB_BUG_ON(!qb_tokens_take(&kept, kept.slot[i].whose, kept.slot[i].version, out));
	QB_BUG_ON(qb_tokens_build(&kept, bytes) != 9);
	return 0;
}
