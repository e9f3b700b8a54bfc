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
/* A detour around the path that lost a packet may take so long: a second loss would cost more. */
#define REPAIR_DETOUR_NS (50 * QB_NS_PER_MS)

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

void qb_bond_on_arrived(struct qb_bond *b, uint32_t seq, uint32_t cnt, uint8_t path,
			uint64_t sent_ns)
{
	qb_repair_spare(&b->under_way, seq, cnt, path, sent_ns);
}

struct qb_buf *qb_bond_take_stranded(struct qb_bond *b, uint32_t seq, uint8_t path,
				     uint64_t sent_ns, uint32_t *inner_len)
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

/* take_repair takes the first of those that are to be sent again; there is one. */
static struct qb_buf *take_repair(struct qb_bond *b)
{
	struct qb_buf *buf = qb_line_take(&b->repairs);

	qb_queue_owe(&b->queue, buf, false);
	return buf;
}

/* pick_first_repair takes the first of those that are to be sent again, if a path takes it. */
static struct qb_buf *pick_first_repair(struct qb_bond *b, struct qb_path_view *views, uint32_t n,
					uint64_t now_ns)
{
	struct qb_line *l = &b->repairs;
	struct qb_buf *buf;
	int path;

	for (;;) {
		while ((buf = l->head) && qb_bond_is_too_big(views, n, buf))
			qb_bond_drop(b, take_repair(b), QB_CNT_DROP_TOO_BIG);
		if (!buf)
			return NULL;
		path = qb_bond_choose(b, views, n, buf, &l->refused_ns, now_ns);
		if (path != QB_SCHED_LATE)
			break;
		qb_bond_drop(b, take_repair(b), QB_CNT_DROP_LATE);
	}
	if (path == QB_SCHED_WAIT) {
		qb_bond_wait_for_paths(b, views, n, qb_bond_inner_len(buf), now_ns);
		return NULL;
	}
	return qb_bond_hand_out(b, take_repair(b), &views[path], path, now_ns);
}

/*
 * has_detour: other paths than the one that lost a packet would take all repairs in less than a
 * second loss would cost, and are not later than that either. What was lost twice takes any.
 */
static bool has_detour(const struct qb_bond *b, const struct qb_path_view *views, uint32_t n,
		       uint32_t loser)
{
	uint64_t lag_ns = b->tuning.outlook.lag_ns[loser] +
			  qb_max_u64(REPAIR_DETOUR_NS, views[loser].srtt_ns);
	bool takes_any = qb_repair_tries(b->repairs.head) > 1;
	uint32_t bytes = qb_bond_inner_len(b->repairs.head), i;
	uint64_t rate_bps = 0;

	for (i = 0; i < n; i++) {
		if (i == loser || views[i].is_far || !qb_view_fits(&views[i], bytes))
			continue;
		if (takes_any)
			return true;
		if (views[i].loss_ppm <= views[loser].loss_ppm &&
		    b->tuning.outlook.lag_ns[i] <= lag_ns)
			rate_bps += qb_view_rate_bps(&views[i]);
	}
	return b->repairs.bytes * 8 * QB_NS_PER_SEC <= rate_bps * REPAIR_DETOUR_NS;
}

struct qb_buf *qb_bond_pick_repair(struct qb_bond *b, struct qb_path_view *views, uint32_t n,
				   uint64_t now_ns)
{
	uint8_t loser = b->repairs.head->path;
	uint64_t waits_ns = b->repairs.refused_ns ? now_ns - b->repairs.refused_ns : 0;
	bool is_hidden = loser < n && views[loser].is_usable && waits_ns < REPAIR_DETOUR_NS &&
			 has_detour(b, views, n, loser);
	struct qb_buf *buf;

	if (is_hidden)
		views[loser].is_usable = false;
	buf = pick_first_repair(b, views, n, now_ns);
	if (is_hidden)
		views[loser].is_usable = true;
	if (buf && qb_repair_tries(buf) > 1)
		qb_bond_put_copy(b, buf, 0, 1u << buf->path, now_ns);
	/* A flow that lost nothing has as much as one of those that did. */
	if (buf && b->others_bytes <= 0)
		b->others_bytes +=
			(int32_t)(qb_bond_inner_len(buf) / QB_MAX(b->queue.owed_flows, 1u));
	return buf;
}

void qb_bond_spare_repairs(struct qb_bond *b)
{
	while (b->repairs.head && qb_repair_is_spared(&b->under_way, b->repairs.head))
		qb_bond_drop(b, take_repair(b), QB_CNT_REPAIR_SPARED);
}
