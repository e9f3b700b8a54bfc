/* SPDX-License-Identifier: BSD-2-Clause */
/* The block file, and the block list that is kept over a restart: taken in order or refused, and
 * what was taken is kept as it is. */
#include <stdlib.h>

#include "blocks.h"
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_kept(const uint8_t *data, size_t size)
{
	static uint8_t bytes[QB_BLOCKS_BYTES];
	struct qb_blocks first = {.list = NULL}, second = {.list = NULL};

	if (qb_blocks_load(&first, data, size) == 0) {
		QB_BUG_ON(qb_blocks_load(&second, bytes, qb_blocks_save(&first, bytes)) != 0);
		QB_BUG_ON(second.cnt != first.cnt);
	}
	qb_blocks_fini(&first);
	qb_blocks_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char err[QB_CONF_ERR_LEN];
	struct qb_conf_blocks out;

	if (qb_conf_parse_blocks("f", (const char *)data, size, &out, err) == 0) {
		for (uint32_t i = 1; i < out.cnt; i++)
			QB_BUG_ON(qb_prefix_order(&out.p[i - 1], &out.p[i]) >= 0);
		free(out.p);
	} else {
		QB_BUG_ON(out.p || out.cnt);
	}
	check_kept(data, size);
	return 0;
}
