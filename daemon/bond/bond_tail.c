/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a transfer over uneven links (TailCopies): when nothing is left to send, what is still under way on a slow link,
 * where it would keep the receiver waiting, goes by the quickest one, too. The receiver drops what comes second. Called by
 * the tunnel when it looks at its links.
 *
 * It is taken for the end when no bulk has left for a moment, and nothing is queued. Copies are paid for from the budget of
 * those of calls, and each packet is sent again but once.
 */
#include "bond/internal.h"

/* So long nothing leaves before it is taken for the end. */
#define IDLE_NS (5 * QB_NS_PER_MS)
/* What a copy must gain. */
#define GAIN_NS (5 * QB_NS_PER_MS)

void qb_bond_set_tail(struct qb_bond *b, bool is_on)
{
	b->has_tail = is_on;
}

uint64_t qb_bond_tail_due_ns(const struct qb_bond *b)
{
	return b->has_tail && b->bulk_ns ? b->bulk_ns + IDLE_NS : QB_NEVER_NS;
}

/* quickest returns the path in use with the lowest round trip, or -1. */
static int quickest(const struct qb_bond *b, const struct qb_path_obs *obs, uint32_t n)
{
	int best = -1;

	for (uint32_t i = 0; i < n; i++)
		if (b->chosen >> i & 1 && obs[i].is_open && obs[i].srtt_ns && (best < 0 || obs[i].srtt_ns < obs[best].srtt_ns))
			best = (int)i;
	return best;
}

/* is_late: a packet that left then by that path is expected after a copy that leaves now by the quickest. */
static bool is_late(const struct qb_path_obs *slow, const struct qb_path_obs *quick, uint64_t sent_ns, uint64_t now_ns)
{
	return sent_ns + slow->srtt_ns / 2 + 2 * slow->rttvar_ns > now_ns + quick->srtt_ns / 2 + GAIN_NS;
}

struct qb_buf *qb_bond_take_tail(struct qb_bond *b, const struct qb_path_obs *obs, uint32_t n, uint32_t *seq, uint32_t *inner_len,
				 uint64_t now_ns)
{
	struct qb_buf *copy;
	int quick;

	n = QB_MIN(n, (uint32_t)QB_BOND_PATHS_MAX);
	if (now_ns < qb_bond_tail_due_ns(b))
		return NULL;
	if (b->queue.pkts || b->returned.head || b->bulk.buf || b->sparse.buf || b->aside_set) {
		b->bulk_ns = now_ns; /* it goes on */
		return NULL;
	}
	quick = quickest(b, obs, n);
	for (const struct qb_repair_slot *s; quick >= 0 && (s = qb_repair_next(&b->under_way, seq)); ++*seq) {
		if (!(s->flags & QB_BUF_BULK) || s->tries || s->path >= n || s->path == quick ||
		    !is_late(&obs[s->path], &obs[quick], s->sent_ns, now_ns))
			continue;
		if (!qb_copies_spend(&b->duplication, s->inner_len, now_ns))
			break;
		copy = qb_repair_take_at(&b->under_way, *seq, inner_len);
		if (!copy)
			break; /* there are no buffers */
		qb_count(b->counters, QB_CNT_TAIL_COPIES);
		qb_count_add(b->counters, QB_CNT_COPIES_BYTES, *inner_len);
		return copy;
	}
	/* Once a tail. */
	b->bulk_ns = 0;
	return NULL;
}
