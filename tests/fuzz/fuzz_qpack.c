/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QPACK: the first byte chooses what the rest is: a field section that is read field by field, one
 * that is checked as a request or a response, the bytes of an encoder or decoder stream, or a
 * Huffman string.
 */
#include <stdlib.h>

#include "h3/huffman.h"
#include "h3/message.h"
#include "h3/qpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const uint8_t *p, size_t len)
{
	static struct qb_qpack_reader r;
	struct qb_qpack_field f;
	static volatile uint8_t sum; /* every byte is read, for the sanitizer to see */
	size_t total = 0;

	if (qb_qpack_reader_init(&r, p, len) < 0)
		return;
	while (qb_qpack_next(&r, &f) == 1) {
		for (size_t i = 0; i < f.name_len; i++)
			sum = sum ^ f.name[i];
		for (size_t i = 0; i < f.value_len; i++)
			sum = sum ^ f.value[i];
		total += f.name_len + f.value_len + QB_QPACK_ENTRY_OVERHEAD;
		QB_BUG_ON(total > QB_QPACK_SECTION_MAX);
	}
}

static void parse(const uint8_t *p, size_t len, bool is_request)
{
	struct qb_h3_message m;

	if (qb_h3_message_parse(p, len, is_request, &m) < 0)
		return;
	QB_BUG_ON(strlen(m.authority) >= sizeof(m.authority) || strlen(m.path) >= sizeof(m.path));
	if (is_request)
		QB_BUG_ON(qb_h3_request_verdict(&m) < 200);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qb_qpack_decoder_stream s = {0};
	uint8_t out[256];

	if (size == 0)
		return 0;
	switch (data[0] % 5) {
	case 0:
		read_all(data + 1, size - 1);
		break;
	case 1:
		parse(data + 1, size - 1, true);
		break;
	case 2:
		parse(data + 1, size - 1, false);
		break;
	case 3:
		(void)!qb_qpack_on_encoder_bytes(data + 1, size - 1);
		(void)!qb_qpack_on_decoder_bytes(&s, data + 1, size - 1);
		break;
	default:
		QB_BUG_ON(qb_huffman_decode(data + 1, size - 1, out, sizeof(out)) >
			  (int)sizeof(out));
		break;
	}
	return 0;
}
