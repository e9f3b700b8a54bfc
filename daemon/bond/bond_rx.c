/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receiving half of a bond, called by the tunnel for what comes out of QUIC: headers off, what was lost is made good by
 * repair symbols, and what is numbered goes through the reorder buffer.
 */
#include "bond/internal.h"

#include "bond/header.h"

static void receive_numbered(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns)
{
	struct qb_bond_header h;
	int n;

	n = qb_bond_header_parse(buf->data, buf->len, &h);
	if (n < 0) {
		qb_count(b->counters, QB_CNT_DROP_TUN_MALFORMED);
		qb_buf_put(b->pool, buf);
		return;
	}
	qb_buf_pull(buf, (uint32_t)n);
	buf->flags &= (uint8_t) ~(QB_BUF_ORDERED | QB_BUF_BRIEF);
	if (h.is_brief)
		buf->flags |= QB_BUF_BRIEF;
	buf->seq = h.seq;
	buf->delta = h.delta;
	qb_reorder_push(&b->reorder, buf, h.is_again, now_ns);
}

/* receive_fec takes what is in the FEC context, and goes on with what comes out of it: at most as much as a block has. */
static void receive_fec(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns)
{
	struct qb_batch made = {0};

	buf = qb_fec_rx_take(&b->fec_rx, buf, &made, now_ns);
	if (buf)
		receive_numbered(b, buf, now_ns);
	for (uint32_t i = 0; i < made.cnt; i++) {
		made.buf[i]->rx_ns = now_ns;
		receive_numbered(b, made.buf[i], now_ns);
	}
}

static void receive_one(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns)
{
	if (buf->flags & QB_BUF_FEC)
		receive_fec(b, buf, now_ns);
	else if (buf->flags & QB_BUF_ORDERED)
		receive_numbered(b, buf, now_ns);
	else
		qb_reorder_pass(&b->reorder, buf);
}

/* flush hands on what is in order. Returns true when `out` filled up. */
static bool flush(struct qb_bond *b, struct qb_batch *out, uint64_t now_ns)
{
	uint32_t from = out->cnt;
	bool is_full = qb_reorder_flush(&b->reorder, out);

	qb_bond_meter_rx(b, out, from, now_ns);
	return is_full;
}

void qb_bond_rx(struct qb_bond *b, struct qb_batch *in, struct qb_batch *out, uint64_t now_ns)
{
	bool is_full = flush(b, out, now_ns);
	uint32_t i;

	b->now_ns = b->moved_ns = now_ns;
	for (i = 0; i < in->cnt && !is_full; i++) {
		receive_one(b, in->buf[i], now_ns);
		is_full = flush(b, out, now_ns);
	}
	in->cnt -= i;
	memmove(in->buf, in->buf + i, in->cnt * sizeof(in->buf[0]));
	if (is_full)
		return;
	qb_reorder_settle(&b->reorder, now_ns);
	qb_reorder_expire(&b->reorder, now_ns);
	flush(b, out, now_ns);
}

bool qb_bond_rx_poll(struct qb_bond *b, struct qb_batch *out, uint64_t now_ns)
{
	b->now_ns = now_ns;
	qb_fec_rx_expire(&b->fec_rx, now_ns);
	qb_reorder_settle(&b->reorder, now_ns);
	qb_reorder_expire(&b->reorder, now_ns);
	return flush(b, out, now_ns);
}

uint64_t qb_bond_rx_deadline_ns(const struct qb_bond *b)
{
	return qb_reorder_deadline_ns(&b->reorder);
}
