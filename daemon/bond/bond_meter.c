/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the bond tells its meters of heavy flows, one a direction: called by bond_tx.c for each packet
 * that leaves, or is handed on in order. And what it learns from the one of what comes: whose small packets, the other way, are
 * acknowledgements, whatever protocol that is.
 */
#include "bond/internal.h"

/* What comes at more than this is no speech, and small packets that go back meanwhile are its acknowledgements. */
#define HEAVY_BPS UINT64_C(1000000)

void qb_bond_meter_init(struct qb_bond *b, uint64_t seed)
{
	_Static_assert((int)QB_METER_PATHS == (int)QB_BOND_PATHS_MAX, "one index for both");
	for (uint32_t i = 0; i < QB_ARRAY_LEN(b->meters); i++)
		qb_meter_init(&b->meters[i], b->meter_flows[i], seed + i);
	b->queue.meter = &b->meters[QB_BOND_TX];
}

void qb_bond_meter_tx(struct qb_bond *b, const struct qb_buf *buf, uint8_t path, uint64_t now_ns)
{
	uint32_t len = qb_bond_inner_len(buf);
	enum qb_class class = qb_buf_class(buf);
	struct qb_meter_look look;

	if (!qb_meter_wants(&b->meters[QB_BOND_TX], len))
		return;
	if (class == QB_CLASS_AUTO)
		class = buf->flags & QB_BUF_BULK ? QB_CLASS_BULK : QB_CLASS_INTERACTIVE;
	look = (struct qb_meter_look){
		.ip = buf->data + (buf->len - len),
		.len = len,
		.path = path,
		.class = (uint8_t) class,
		.delay_ns = qb_sub_sat_u64(now_ns, buf->rx_ns),
	};
	qb_meter_look(&b->meters[QB_BOND_TX], &b->hash_key, &look, now_ns);
}

void qb_bond_meter_rx(struct qb_bond *b, const struct qb_batch *out, uint32_t from, uint64_t now_ns)
{
	for (uint32_t i = from; i < out->cnt; i++) {
		const struct qb_buf *buf = out->buf[i];
		const struct qb_meter_flow *flow;
		struct qb_meter_look look;

		if (!qb_meter_wants(&b->meters[QB_BOND_RX], buf->len))
			continue;
		look = (struct qb_meter_look){
			.ip = buf->data,
			.len = buf->len,
			.path = buf->path,
			.delay_ns = qb_sub_sat_u64(now_ns, buf->rx_ns),
		};
		flow = qb_meter_look(&b->meters[QB_BOND_RX], &b->hash_key, &look, now_ns);
		if (flow && qb_meter_bps(&b->meters[QB_BOND_RX], flow, now_ns) > HEAVY_BPS)
			qb_flow_on_back(&b->flows, flow->back_hash, now_ns);
	}
}

const struct qb_meter *qb_bond_meter(struct qb_bond *b, enum qb_bond_direction dir, uint64_t now_ns)
{
	return qb_meter_settle(&b->meters[dir], now_ns) ? &b->meters[dir] : NULL;
}
