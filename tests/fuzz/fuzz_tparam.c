/* SPDX-License-Identifier: BSD-2-Clause */
/* Transport parameters; bit 0 of the first byte: from a client. What parses must survive a round
 * trip. */
#include "wire/tparam.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t first[QB_TP_BYTES_MAX], second[QB_TP_BYTES_MAX];
	struct qb_wr w1 = qb_wr_init(first, sizeof(first)), w2 = qb_wr_init(second, sizeof(second));
	struct qb_fault fault = {0};
	struct qb_tparams tp;
	bool is_client;

	if (len == 0)
		return 0;
	is_client = data[0] & 1;
	if (qb_tparams_parse(&tp, data + 1, len - 1, is_client, &fault) < 0) {
		QB_BUG_ON(fault.code != QB_QUIC_TRANSPORT_PARAMETER_ERROR || !fault.why);
		return 0;
	}
	/* Of a very long version list the end is forgotten, and with it, maybe, the chosen one. */
	if (tp.version_info.available_cnt == QB_TP_VERSIONS_MAX)
		return 0;
	qb_tparams_build(&w1, &tp, is_client, 0);
	QB_BUG_ON(w1.bad);
	QB_BUG_ON(qb_tparams_parse(&tp, first, (size_t)(w1.p - first), is_client, &fault) < 0);
	qb_tparams_build(&w2, &tp, is_client, 0);
	QB_BUG_ON(w1.p - first != w2.p - second ||
		  memcmp(first, second, (size_t)(w1.p - first)) != 0);
	return 0;
}
