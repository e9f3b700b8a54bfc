/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sender's half of ordering: each packet that leaves gets a number, and its header says for which
 * earlier one it is to wait at the receiver. Called by qb_bond_pick; the other half is reorder.c.
 *
 * What is striped waits for its flow's previous packet, and for that to be sent again if it was
 * lost. A call's packets wait for nothing while their flow keeps to one path. When the scheduler
 * finds a quicker one, they would overtake those that are still on the slower one: so for as long as
 * these may be in flight, each waits for the one before, but not until a lost one comes again. What
 * has a deadline waits for nothing either: that could make it late.
 */
#include "bond/internal.h"

#include "bond/header.h"

/* follow notes the path of a flow's packet. Returns whether it may overtake earlier ones. */
static bool follow(struct qb_bond *b, const struct qb_buf *buf, uint64_t now_ns)
{
	return qb_flow_follow(&b->flows, qb_bond_hash_of(buf), buf->path, b->chosen,
			      b->slowest_rtt_ns, now_ns);
}

/* put_in_order fills in whether a packet waits for its flow's previous one, and how (is_brief). */
static void put_in_order(struct qb_bond *b, const struct qb_buf *buf, struct qb_bond_header *h,
			 uint64_t now_ns)
{
	const struct qb_treatment *treat = qb_classes_treat(&b->classes, buf);
	bool is_ordered = buf->flags & (QB_BUF_BULK | QB_BUF_STREAM);

	h->is_brief = false;
	if (treat && treat->ordering != QB_ORDERING_AUTO)
		is_ordered = treat->ordering == QB_ORDERING_YES;
	else if (!is_ordered && buf->flags & QB_BUF_BRIEF)
		h->is_brief = is_ordered = follow(b, buf, now_ns);
	else if (!(buf->flags & QB_BUF_STREAM) && qb_classes_deadline_ns(&b->classes, buf))
		is_ordered = false;
	h->delta = is_ordered ? buf->delta : 0;
}

void qb_bond_number(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns)
{
	struct qb_bond_header h = {.seq = b->tx_seq++};

	buf->seq = h.seq;
	buf->delta = qb_flow_number(&b->flows, qb_bond_hash_of(buf), buf->seq, now_ns);
	if (buf->delta > QB_BOND_DELTA_MAX)
		buf->delta = 0;
	put_in_order(b, buf, &h, now_ns);
	qb_bond_header_build(qb_buf_push(buf, QB_BOND_HEADER_LEN), &h);
	buf->flags |= QB_BUF_ORDERED;
}

void qb_bond_order_anew(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns)
{
	struct qb_bond_header h;

	/* What repair symbols cover stays as it is. */
	if (!(buf->flags & QB_BUF_ORDERED) || buf->flags & QB_BUF_FEC ||
	    qb_bond_header_parse(buf->data, buf->len, &h) < 0 || h.is_again)
		return;
	put_in_order(b, buf, &h, now_ns);
	qb_bond_header_build(buf->data, &h);
}
