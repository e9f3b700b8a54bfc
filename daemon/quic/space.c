/* SPDX-License-Identifier: BSD-2-Clause */
/* What was received in a packet number space, and when to say so; used by conn_rx.c and conn_tx.c. */
#include "quic/space.h"

enum {
	RANGES_KEPT = 8,
	TS_EVERY_NS = 5 * 1000 * 1000, /* one time of arrival says it for those near it */
};

/* What comes after such a silence is acknowledged at once: who keeps a thousand quiet connections wakes up once for each PING. */
#define QUIET_NS QB_NS_PER_SEC

const struct qb_ack_policy qb_ack_policy_default = {
	.every_pkts = QB_ACK_EVERY,
	.reorder_pkts = 1,
	.max_delay_ns = QB_ACK_DELAY_MAX_MS * QB_NS_PER_MS,
};
const struct qb_ack_policy qb_ack_policy_handshake = {.every_pkts = 1, .reorder_pkts = 1};

void qb_space_init(struct qb_space *s, struct qb_slab *sent_slab)
{
	qb_ranges_init(&s->rx.ranges);
	s->rx.largest_ns = s->rx.ts_sent_ns = 0;
	s->rx.ack_at_ns = QB_NEVER_NS;
	s->rx.pending_cnt = 0;
	s->rx.largest_reported = QB_PN_NONE;
	s->rx.was_ce = s->rx.is_l4s = false;
	s->rx.ect0 = s->rx.ect1 = s->rx.ce = 0;
	qb_sent_init(&s->sent, sent_slab);
	s->reorder_pkts = QB_REORDER_PKTS;
	s->reorder_us = s->reorder_at_s = 0;
	s->lost_run = (struct qb_lost_run){0};
	s->loss_at_ns = QB_NEVER_NS;
	s->last_eliciting_ns = 0;
}

static void count_ecn(struct qb_rx_space *s, enum qb_ecn ecn)
{
	if (ecn == QB_ECN_ECT0 || ecn == QB_ECN_ECT1)
		s->is_l4s = ecn == QB_ECN_ECT1;
	s->ect0 += ecn == QB_ECN_ECT0;
	s->ect1 += ecn == QB_ECN_ECT1;
	s->ce += ecn == QB_ECN_CE;
}

/* smallest_missing is the smallest number from `from` on that is missing below the largest; QB_PN_NONE: none is. */
static uint64_t smallest_missing(const struct qb_ranges *ranges, uint64_t from)
{
	uint64_t missing = QB_PN_NONE;
	uint32_t i;

	for (i = ranges->cnt; i-- > 1 && ranges->r[i].first > from;)
		missing = QB_MAX(ranges->r[i - 1].last + 1, from);
	/* All below the floor was received once. */
	if (i == 0 && ranges->cnt && ranges->r[0].first > QB_MAX(from, ranges->floor))
		missing = QB_MAX(from, ranges->floor);
	return missing;
}

/*
 * is_reordered: what arrived, or is missing, would let the peer declare a loss or take one back
 * (draft-ietf-quic-ack-frequency §6.2).
 */
static bool is_reordered(const struct qb_rx_space *s, uint64_t pn, bool is_in_order, uint32_t threshold)
{
	uint64_t largest = qb_ranges_largest(&s->ranges), reported = s->largest_reported, missing;
	uint64_t from;

	if (threshold <= 1)
		return threshold && !is_in_order;
	/* QB_PN_NONE + 1 is 0. */
	from = qb_sub_sat_u64(reported + 1, threshold);
	if (reported != QB_PN_NONE && pn < from)
		return true;
	if (QB_LIKELY(s->ranges.r[s->ranges.cnt - 1].first <= from))
		return false;
	missing = smallest_missing(&s->ranges, from);
	return missing != QB_PN_NONE && largest - missing >= threshold;
}

/* is_marked_anew: every mark is news, but where ACKs are to be few only the first in a row. */
static bool is_marked_anew(struct qb_rx_space *s, enum qb_ecn ecn, uint32_t every_pkts)
{
	bool was_ce = s->was_ce;

	s->was_ce = ecn == QB_ECN_CE;
	return s->was_ce && (!was_ce || every_pkts <= QB_ACK_EVERY);
}

void qb_rx_space_on_packet(struct qb_rx_space *s, uint64_t pn, bool is_eliciting, enum qb_ecn ecn,
			   const struct qb_ack_policy *policy, uint64_t now_ns)
{
	uint64_t largest = qb_ranges_largest(&s->ranges);
	bool is_in_order = pn == largest + 1; /* QB_PN_NONE + 1 is 0 */
	bool is_marked = is_marked_anew(s, ecn, policy->every_pkts);
	/* A lone PING, as likely as not: nothing will come to wait for. */
	bool is_first = s->largest_ns && qb_sub_sat_u64(now_ns, s->largest_ns) >= QUIET_NS;

	qb_ranges_insert(&s->ranges, pn);
	count_ecn(s, ecn);
	if (largest == QB_PN_NONE || pn > largest)
		s->largest_ns = now_ns;
	if (!is_eliciting)
		return;
	s->pending_cnt++;
	if (s->pending_cnt >= policy->every_pkts || is_marked || is_first ||
	    is_reordered(s, pn, is_in_order, policy->reorder_pkts))
		s->ack_at_ns = 0;
	else
		s->ack_at_ns = QB_MIN(s->ack_at_ns, now_ns + policy->max_delay_ns);
}

bool qb_rx_space_repeat_ack(struct qb_rx_space *s)
{
	if (!s->ranges.cnt)
		return false;
	s->pending_cnt = QB_MAX(s->pending_cnt, 1u);
	s->ack_at_ns = 0;
	return true;
}

bool qb_rx_space_wants_ts(const struct qb_rx_space *s, uint64_t now_ns)
{
	return now_ns - s->ts_sent_ns >= TS_EVERY_NS && s->largest_ns > s->ts_sent_ns;
}

/* with_ts is the type that has timestamps as well. */
static uint64_t with_ts(uint64_t type)
{
	switch (type) {
	case QB_FRAME_ACK:
		return QB_FRAME_ACK_TS;
	case QB_FRAME_ACK_ECN:
		return QB_FRAME_ACK_TS_ECN;
	case QB_FRAME_PATH_ACK:
		return QB_FRAME_PATH_ACK_TS;
	default:
		return QB_FRAME_PATH_ACK_TS_ECN;
	}
}

bool qb_rx_space_write_ack(struct qb_rx_space *s, struct qb_wr *w, struct qb_ack_form form,
			   uint64_t now_ns)
{
	bool has_ecn = s->ect0 || s->ect1 || s->ce;
	struct qb_frame f = {
		.dialect = form.dialect,
		.ack = {
			.path_id = form.path_id,
			.delay = (qb_sub_sat_u64(now_ns, s->largest_ns) / QB_NS_PER_US) >>
				 QB_ACK_DELAY_EXPONENT,
			.ect0 = s->ect0,
			.ect1 = s->ect1,
			.ce = s->ce,
		},
	};

	if (!s->ranges.cnt)
		return false;
	if (form.has_path)
		f.type = has_ecn ? QB_FRAME_PATH_ACK_ECN : QB_FRAME_PATH_ACK;
	else
		f.type = has_ecn ? QB_FRAME_ACK_ECN : QB_FRAME_ACK;
	if (form.has_ts && qb_rx_space_wants_ts(s, now_ns)) {
		struct qb_frame timed = f;

		timed.type = with_ts(f.type);
		timed.ack.has_ts = true;
		timed.ack.ts_pn = qb_ranges_largest(&s->ranges);
		timed.ack.ts = (qb_sub_sat_u64(s->largest_ns, form.ts_basis_ns) / QB_NS_PER_US) >> form.ts_exponent;
		if (qb_ack_build(w, &timed, s->ranges.r, s->ranges.cnt)) {
			s->ts_sent_ns = now_ns;
			return true;
		}
	}
	return qb_ack_build(w, &f, s->ranges.r, s->ranges.cnt);
}

void qb_rx_space_on_ack_sent(struct qb_rx_space *s)
{
	s->pending_cnt = 0;
	s->ack_at_ns = QB_NEVER_NS;
	s->largest_reported = qb_ranges_largest(&s->ranges);
}

void qb_rx_space_on_ack_acked(struct qb_rx_space *s, uint32_t largest_low)
{
	uint64_t largest = qb_ranges_largest(&s->ranges), acked;

	/* Few ranges cost little, and what is remembered may still arrive, late but welcome. */
	if (s->ranges.cnt <= RANGES_KEPT)
		return;
	/* The newest number with those low bits that we may have reported. */
	acked = largest - (uint32_t)((uint32_t)largest - largest_low);
	/* The largest range stays, whatever was acknowledged: ACK frames need it. */
	qb_ranges_remove_below(&s->ranges, QB_MIN(acked, s->ranges.r[s->ranges.cnt - 1].first));
}
