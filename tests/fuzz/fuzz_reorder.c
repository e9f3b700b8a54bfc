/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receiving half of the bond against a peer that numbers as it likes. Eight bytes of input are
 * a packet: sequence number (4, or its step), delta (2), path, time. Nothing may be delivered twice
 * within the window, and every buffer comes home.
 */
#include <stdlib.h>

#include "bond/bond.h"
#include "bond/header.h"

enum { FRAMES = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct qb_pool *pool, struct qb_batch *out)
{
	for (uint32_t i = 0; i < out->cnt; i++) {
		if (out->buf[i]->len != 1)
			abort();
	}
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
	struct qb_bond *b;
	uint64_t now = QB_NS_PER_SEC;
	uint32_t seq = 0;
	void *mem = malloc(qb_bond_footprint(&cfg));

	memset(bufs, 0, sizeof(bufs));
	qb_depot_init(&depot, frames, bufs, FRAMES);
	qb_pool_init(&pool, &depot);
	b = qb_bond_init(mem, &cfg, now);
	for (; size >= 8; data += 8, size -= 8) {
		struct qb_buf *buf = qb_buf_get(&pool);

		if (!buf)
			abort();
		/* Far jumps now and then, steps mostly. */
		seq = data[0] & 0x80 ? qb_load_be32(data) : seq + (uint32_t)(int8_t)data[3];
		qb_bond_header_build(buf->data,
				     &(struct qb_bond_header){.seq = seq,
							      .delta = qb_load_be16(data + 4) & 0x7fff,
							      .is_again = data[6] & 0x80});
		buf->len = QB_BOND_HEADER_LEN + 1;
		buf->flags = QB_BUF_ORDERED;
		buf->path = data[6] & 7;
		qb_batch_add(&in, buf);
		if (!(data[7] & 0x80) && !qb_batch_full(&in))
			continue;
		now += (uint64_t)(data[7] & 0x7f) * QB_NS_PER_MS;
		while (in.cnt) {
			qb_bond_rx(b, &in, &out, now);
			take(&pool, &out);
		}
		while (qb_bond_rx_poll(b, &out, now) || out.cnt)
			take(&pool, &out);
		if (qb_bond_rx_deadline_ns(b) <= now)
			abort();
	}
	qb_batch_put(&pool, &in);
	qb_bond_fini(b);
	qb_pool_fini(&pool);
	if (depot.free_cnt != FRAMES)
		abort();
	free(mem);
	return 0;
}
