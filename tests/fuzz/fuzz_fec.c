/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receiving half of forward error correction against a peer that sends what it likes. A record
 * is a time step and a path (1 byte), the length of what follows (2) and of which all is a packet
 * in the FEC context; a length beyond the input is cut. Whatever comes out came in a bond header's
 * company, memory stays bounded, and every buffer comes home.
 */
#include <stdlib.h>

#include "bond/bond.h"
#include "bond/fec.h"

enum { FRAMES = 1024, RECORD = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct qb_pool *pool, struct qb_batch *out)
{
	for (uint32_t i = 0; i < out->cnt; i++)
		if (out->buf[i]->len == 0 || out->buf[i]->len > QB_FEC_SYMBOL_MAX ||
		    out->buf[i]->flags & (QB_BUF_FEC | QB_BUF_ORDERED | QB_BUF_RECOVERED))
			abort();
	qb_batch_put(pool, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t frames[FRAMES * QB_FRAME_BYTES];
	static struct qb_buf bufs[FRAMES];
	static struct qb_depot depot;
	static struct qb_pool pool;
	static struct qb_counters counters;
	struct qb_bond_cfg cfg = {
		.reorder_pkts = 128, .queue_pkts = 64, .counters = &counters, .pool = &pool};
	struct qb_batch in = {0}, out = {0};
	uint64_t now = QB_NS_PER_SEC;
	struct qb_bond *b;
	void *mem = malloc(qb_bond_footprint(&cfg));

	memset(bufs, 0, sizeof(bufs));
	qb_depot_init(&depot, frames, bufs, FRAMES);
	qb_pool_init(&pool, &depot);
	b = qb_bond_init(mem, &cfg, now);
	while (size >= RECORD) {
		uint32_t len = qb_load_be16(data + 1) % (QB_FEC_SYMBOL_MAX + QB_FEC_REPAIR_LEN);
		struct qb_buf *buf = qb_buf_get(&pool);

		if (!buf)
			abort();
		len = (uint32_t)QB_MIN((size_t)len, size - RECORD);
		memcpy(buf->data, data + RECORD, len);
		buf->len = len;
		buf->flags = QB_BUF_FEC;
		buf->path = data[0] & 7;
		now += (uint64_t)(data[0] >> 3) * QB_NS_PER_MS;
		qb_batch_add(&in, buf);
		do {
			qb_bond_rx(b, &in, &out, now);
			take(&pool, &out);
		} while (in.cnt);
		while (qb_bond_rx_poll(b, &out, now))
			take(&pool, &out);
		take(&pool, &out);
		data += RECORD + len;
		size -= RECORD + len;
	}
	qb_bond_fini(b);
	qb_pool_fini(&pool);
	if (depot.free_cnt != FRAMES)
		abort();
	free(mem);
	return 0;
}
