/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was lost and is sent again: from the memory of what is under way (repair.c) to the line of
 * those that wait to leave, from which qb_bond_pick takes them. Called by the tunnel as QUIC
 * reports.
 */
#include "bond/internal.h"

#include "bond/header.h"

/* A lost packet this old is sent again all the same; its flow has hardly given it up. */
#define REPAIR_AGE_MIN_NS (100 * QB_NS_PER_MS)
/* What is to be sent again and takes longer than this is what a large link had under way when it
 * died. */
#define REPAIR_LINE_NS (250 * QB_NS_PER_MS)

void qb_bond_on_sent(struct qb_bond *b, struct qb_buf *buf, uint32_t inner_len, uint64_t now_ns)
{
	if (buf->flags & QB_BUF_ORDERED)
		qb_repair_keep(&b->under_way, buf, inner_len, now_ns);
}

void qb_bond_on_settled(struct qb_bond *b, const uint64_t oldest_unacked_ns[QB_BOND_PATHS_MAX],
			uint64_t now_ns)
{
	qb_repair_settle(&b->under_way, oldest_unacked_ns, now_ns);
}

struct qb_buf *qb_bond_take_lost(struct qb_bond *b, uint32_t seq, uint8_t path, uint64_t sent_ns,
				 uint32_t *inner_len, uint64_t now_ns)
{
	struct qb_buf *buf = qb_repair_take(&b->under_way, seq, path, sent_ns, inner_len);

	if (!buf)
		return NULL;
	if (qb_repair_tries(buf) < QB_REPAIR_TRIES_MAX &&
	    now_ns - sent_ns < qb_max_u64(b->repair_age_ns, REPAIR_AGE_MIN_NS))
		return buf;
	qb_count(b->counters, QB_CNT_REPAIR_FAILED);
	qb_buf_put(b->pool, buf);
	return NULL;
}

void qb_bond_on_arrived(struct qb_bond *b, uint32_t seq, uint32_t cnt, uint8_t path, uint64_t sent_ns)
{
	qb_repair_spare(&b->under_way, seq, cnt, path, sent_ns);
}

struct qb_buf *qb_bond_take_stranded(struct qb_bond *b, uint32_t seq, uint8_t path, uint64_t sent_ns,
				     uint32_t *inner_len)
{
	return qb_repair_take_stranded(&b->under_way, seq, path, sent_ns, inner_len);
}

bool qb_bond_has_long_line(const struct qb_bond *b)
{
	return b->repairs.bytes * 8 * QB_NS_PER_SEC > b->queue.rate_bps * REPAIR_LINE_NS;
}

void qb_bond_part_line(struct qb_bond *b)
{
	struct qb_line first = {0}, rest = {0};
	struct qb_buf *buf;

	while ((buf = qb_line_take(&b->repairs)))
		qb_line_put(buf->flags & QB_BUF_BULK ? &rest : &first, buf, false);
	while ((buf = qb_line_take(&rest)))
		qb_line_put(&first, buf, false);
	b->repairs = first;
	b->is_line_mixed = false;
}

static void put_repair(struct qb_bond *b, struct qb_buf *buf)
{
	b->is_line_mixed |= !(buf->flags & QB_BUF_BULK);
	qb_line_put(&b->repairs, buf, false);
	qb_queue_owe(&b->queue, buf, true);
}

void qb_bond_repair(struct qb_bond *b, struct qb_buf *buf)
{
	struct qb_bond_header h;

	/* It was protected once; this time it comes alone. */
	if (buf->flags & QB_BUF_FEC)
		qb_buf_pull(buf, QB_FEC_SOURCE_LEN);
	buf->flags &= (uint8_t)~QB_BUF_FEC;
	if (qb_bond_header_parse(buf->data, buf->len, &h) < 0) {
		qb_count(b->counters, QB_CNT_REPAIR_FAILED);
		qb_buf_put(b->pool, buf);
		return;
	}
	h.is_again = true;
	qb_bond_header_build(buf->data, &h);
	qb_repair_count_try(buf);
	put_repair(b, buf);
	qb_count(b->counters, QB_CNT_REPAIRED);
}

struct qb_buf *qb_bond_take_repair(struct qb_bond *b)
{
	struct qb_buf *buf = qb_line_take(&b->repairs);

	qb_queue_owe(&b->queue, buf, false);
	return buf;
}
