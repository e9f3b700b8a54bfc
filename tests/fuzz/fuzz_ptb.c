/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as an ICMP message, the first one choosing the family: what is quoted lies inside. */
#include "ptb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct qb_ptb ptb;
	uint8_t family = len && data[0] & 1 ? 6 : 4;

	if (len == 0 || !qb_ptb_parse(family, data + 1, len - 1, &ptb))
		return 0;
	QB_BUG_ON(ptb.local.family != family || ptb.peer.family != family || ptb.bytes == 0);
	QB_BUG_ON(ptb.quoted < data + 1 || ptb.quoted + ptb.quoted_len > data + len);
	return 0;
}
