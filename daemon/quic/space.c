/* SPDX-License-Identifier: BSD-2-Clause */
/* What was received in a packet number space, and when to say so; used by conn_rx.c and conn_tx.c. */
#include "quic/space.h"

enum { RANGES_KEPT = 8 };

void qb_space_init(struct qb_space *s, struct qb_slab *sent_slab)
{
	qb_ranges_init(&s->rx.ranges);
	s->rx.largest_ns = 0;
	s->rx.ack_at_ns = QB_NEVER_NS;
	s->rx.pending_cnt = 0;
	s->rx.ect0 = s->rx.ect1 = s->rx.ce = 0;
	qb_sent_init(&s->sent, sent_slab);
	s->reorder_pkts = QB_REORDER_PKTS;
	s->loss_at_ns = QB_NEVER_NS;
	s->last_eliciting_ns = 0;
}

static void count_ecn(struct qb_rx_space *s, enum qb_ecn ecn)
{
	s->ect0 += ecn == QB_ECN_ECT0;
	s->ect1 += ecn == QB_ECN_ECT1;
	s->ce += ecn == QB_ECN_CE;
}

void qb_rx_space_on_packet(struct qb_rx_space *s, uint64_t pn, bool is_eliciting, enum qb_ecn ecn,
			   uint64_t max_delay_ns, uint64_t now_ns)
{
	uint64_t largest = qb_ranges_largest(&s->ranges);
	bool is_in_order = pn == largest + 1; /* QB_PN_NONE + 1 is 0 */

	qb_ranges_insert(&s->ranges, pn);
	count_ecn(s, ecn);
	if (largest == QB_PN_NONE || pn > largest)
		s->largest_ns = now_ns;
	if (!is_eliciting)
		return;
	s->pending_cnt++;
	if (!max_delay_ns || !is_in_order || ecn == QB_ECN_CE || s->pending_cnt >= QB_ACK_EVERY)
		s->ack_at_ns = 0;
	else
		s->ack_at_ns = QB_MIN(s->ack_at_ns, now_ns + max_delay_ns);
}

bool qb_rx_space_write_ack(const struct qb_rx_space *s, struct qb_wr *w, bool has_path,
			   uint32_t path_id, uint64_t now_ns)
{
	bool has_ecn = s->ect0 || s->ect1 || s->ce;
	struct qb_frame f = {
		.ack = {
			.path_id = path_id,
			.delay = (qb_sub_sat_u64(now_ns, s->largest_ns) / QB_NS_PER_US) >>
				 QB_ACK_DELAY_EXPONENT,
			.ect0 = s->ect0,
			.ect1 = s->ect1,
			.ce = s->ce,
		},
	};

	if (!s->ranges.cnt)
		return false;
	if (has_path)
		f.type = has_ecn ? QB_FRAME_PATH_ACK_ECN : QB_FRAME_PATH_ACK;
	else
		f.type = has_ecn ? QB_FRAME_ACK_ECN : QB_FRAME_ACK;
	return qb_ack_build(w, &f, s->ranges.r, s->ranges.cnt);
}

void qb_rx_space_on_ack_sent(struct qb_rx_space *s)
{
	s->pending_cnt = 0;
	s->ack_at_ns = QB_NEVER_NS;
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
