/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as an Ethernet frame: what is accepted lies inside the frame. */
#include "net/eth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qb_eth_frame f;

	if (qb_eth_parse(data, (uint32_t)size, &f))
		return 0;
	QB_BUG_ON(f.payload_off > size || f.payload_len > size - f.payload_off);
	QB_BUG_ON(f.src.family != f.dst.family || (f.src.family != 4 && f.src.family != 6));
	QB_BUG_ON(f.ecn > 3);
	return 0;
}
