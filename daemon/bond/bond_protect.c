/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is sent so that packets may be lost: copies, which copies.c decides on, and repair symbols,
 * which fec_tx.c makes. Called as the packets leave. Both wait in one line for a path that their
 * packets did not take.
 */
#include "bond/internal.h"

/* A copy of a call's packet waits for a path no longer than this. */
#define COPY_PATIENCE_NS (5 * QB_NS_PER_MS)
/* How old a protected packet may be when it is recovered; half of it is the wait for its block's
 * end. */
#define FEC_DEADLINE_NS (60 * QB_NS_PER_MS)

struct qb_buf *qb_bond_copy_of(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns)
{
	struct qb_buf *copy = qb_buf_get(b->pool);

	if (!copy)
		return NULL;
	if (!(buf->flags & QB_BUF_ORDERED))
		qb_bond_number(b, buf, now_ns);
	copy->len = buf->len;
	memcpy(copy->data, buf->data, buf->len);
	copy->rx_ns = buf->rx_ns;
	copy->meta = buf->meta;
	copy->seq = buf->seq;
	copy->delta = buf->delta;
	copy->flags = buf->flags;
	return copy;
}

void qb_bond_put_copy(struct qb_bond *b, struct qb_buf *buf, uint64_t more, uint64_t taken,
		      uint64_t now_ns)
{
	struct qb_buf *copy = qb_bond_copy_of(b, buf, now_ns);

	if (!copy) {
		qb_count(b->counters, QB_CNT_COPIES_SKIPPED);
		return;
	}
	copy->meta &= ~(UINT64_C(0xff) << QB_META_AVOID_SHIFT);
	copy->meta &= ~(UINT64_C(0xf) << QB_META_COPIES_SHIFT);
	copy->meta |= taken << QB_META_AVOID_SHIFT | more << QB_META_COPIES_SHIFT;
	qb_line_put(&b->copies, copy, false);
}

/* multiply queues what else shall leave of a packet that was just handed out. Returns whether there
 * is anything. */
static bool multiply(struct qb_bond *b, const struct qb_treatment *treat, struct qb_buf *buf,
		     uint64_t now_ns)
{
	const struct qb_bond_slot *slot = qb_bond_slot_of(b, treat ? treat->sched : NULL);
	uint32_t copies, taken;

	if ((b->chosen & (b->chosen - 1)) == 0)
		return false;
	/* A policy that names links decides on copies itself. */
	if (treat && treat->via && treat->copies == QB_POLICY_COPIES_AUTO)
		return false;
	copies = qb_copies_wanted(&b->duplication, treat, slot->sched->copies, buf, now_ns);
	if (copies < 2)
		return false;
	/* A path behind the same bottleneck would be as late, or lose the copy as well. */
	taken = 1u << buf->path;
	if (b->chosen & ~(taken | b->sbd.partners[buf->path]))
		taken |= b->sbd.partners[buf->path];
	qb_bond_put_copy(b, buf, copies - 2, taken, now_ns);
	return true;
}

void qb_bond_put_symbols(struct qb_bond *b, uint64_t now_ns)
{
	struct qb_buf *symbol;
	uint64_t taken;

	while ((symbol = qb_fec_tx_next(&b->fec_tx, &taken, now_ns))) {
		symbol->meta = qb_meta(0, QB_CLASS_AUTO, QB_RULE_NONE);
		symbol->meta |= taken << QB_META_AVOID_SHIFT;
		/* No packet under way has this number: symbols are not sent again. */
		symbol->seq = b->tx_seq + (UINT32_C(1) << 31);
		symbol->rx_ns = now_ns;
		qb_line_put(&b->copies, symbol, false);
	}
}

/* fec_wanted is what a rule wants, or else the bond. */
static const struct qb_fec_want *fec_wanted(const struct qb_bond *b,
					    const struct qb_treatment *treat)
{
	return treat && treat->fec.mode != QB_FEC_INHERIT ? &treat->fec : &b->fec_want;
}

/* correct makes a packet part of a block of forward error correction, if it is worth it. */
static void correct(struct qb_bond *b, const struct qb_treatment *treat, struct qb_buf *buf,
		    uint64_t now_ns)
{
	struct qb_fec_plan plan =
		qb_fec_tx_plan(&b->fec_tx, fec_wanted(b, treat), qb_copies_is_call(buf));
	uint64_t deadline_ns = treat && treat->deadline_ns ? treat->deadline_ns : FEC_DEADLINE_NS;

	if (plan.sources == 0 || qb_bond_inner_len(buf) + QB_FEC_ROOM > b->least_inner_bytes)
		return;
	if (qb_fec_tx_add(&b->fec_tx, &plan, buf, deadline_ns / 2, now_ns))
		qb_bond_put_symbols(b, now_ns);
}

void qb_bond_protect(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns)
{
	const struct qb_treatment *treat = qb_classes_treat(&b->classes, buf);

	/* Without numbers nobody could tell copies apart. */
	if (b->is_ordered && !multiply(b, treat, buf, now_ns) && b->has_fec)
		correct(b, treat, buf, now_ns);
}

/* other_paths fills in the paths that a copy may take. */
static void other_paths(const struct qb_path_view *views, uint32_t n, const struct qb_buf *buf,
			struct qb_path_view others[QB_BOND_PATHS_MAX])
{
	uint64_t avoid = buf->meta >> QB_META_AVOID_SHIFT;

	memcpy(others, views, n * sizeof(*views));
	for (uint32_t i = 0; i < n; i++)
		others[i].is_usable = others[i].is_usable && !(avoid >> i & 1);
	/* A repair symbol may follow its sources, if there is no other way. */
	if (buf->flags & QB_BUF_FEC &&
	    qb_views_lowest_rtt(others, n, qb_bond_inner_len(buf), false) < 0)
		memcpy(others, views, n * sizeof(*views));
}

/* may_wait: no path that the first copy may take is free, but one of them may be so in time. */
static bool may_wait(struct qb_bond *b, const struct qb_path_view *others, uint32_t n,
		     uint64_t now_ns)
{
	const struct qb_buf *buf = b->copies.head;
	uint64_t *since_ns = &b->copies.refused_ns;

	if (buf->flags & QB_BUF_BULK ||
	    qb_views_lowest_rtt(others, n, qb_bond_inner_len(buf), false) < 0 ||
	    (*since_ns && now_ns - *since_ns >= COPY_PATIENCE_NS))
		return false;
	if (*since_ns == 0)
		*since_ns = now_ns;
	return true;
}

struct qb_buf *qb_bond_pick_copy(struct qb_bond *b, struct qb_path_view *views, uint32_t n,
				 uint64_t now_ns)
{
	struct qb_path_view others[QB_BOND_PATHS_MAX];
	struct qb_buf *buf;

	while ((buf = b->copies.head)) {
		uint64_t more = buf->meta >> QB_META_COPIES_SHIFT & 0xf;
		int path;

		other_paths(views, n, buf, others);
		path = qb_views_lowest_rtt(others, n, qb_bond_inner_len(buf), true);
		if (path < 0 && may_wait(b, others, n, now_ns)) {
			qb_bond_wait_for_paths(b, others, n, qb_bond_inner_len(buf), now_ns);
			return NULL;
		}
		buf = qb_line_take(&b->copies);
		if (path < 0) {
			qb_bond_drop(b, buf, QB_CNT_COPIES_SKIPPED);
			continue;
		}
		if (more) {
			uint64_t avoid = buf->meta >> QB_META_AVOID_SHIFT | UINT64_C(1) << path;

			qb_bond_put_copy(b, buf, more - 1, avoid, now_ns);
		}
		if (!(buf->flags & QB_BUF_FEC)) {
			qb_count(b->counters, QB_CNT_COPIES_SENT);
			qb_count_add(b->counters, QB_CNT_COPIES_BYTES, qb_bond_inner_len(buf));
		}
		qb_quality_note_why(&b->quality[path], QB_SENT_EXTRA);
		return qb_bond_hand_out(b, buf, &views[path], path, now_ns);
	}
	return NULL;
}
