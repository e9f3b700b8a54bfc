/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way up: from an inner packet that the kernel gave us to a sealed UDP payload, stage by stage.
 *
 *     admit            inner packets → checked, hop limit lowered, MSS clamped; errors answered by ICMP
 *     qb_bond_enqueue  → classed, in flow queues
 *     qb_bond_pick     → the next packet and the path it takes, as late as possible
 *     qb_h3_wrap       → HTTP datagram header in front
 *     qb_conn_send_datagram → one sealed QUIC packet, in the same buffer; small ones that wait share one (qb_conn_send_bundle)
 *
 * ECN: the outer field belongs to the QUIC path, which validates what it marks (RFC 9000 §13.4.2) and answers to CE by its
 * congestion control; it is no copy of the inner one. RFC 9484 §10.2 leaves it there: the guidance of RFC 6040 does not apply
 * to a tunnel with congestion control, but is not forbidden either. Two ways lead a congested link's mark to the inner sender:
 *
 * - Here, always: what a slower path means shows where the backlog stands, in the queue of qb_bond_enqueue, which marks what
 *   knows ECN and drops the rest (the feed-backward mode of RFC 9599 §3.3).
 * - At the far end, as RFC 6040 has it (rx.c, base/ip_ecn.c): an inner packet that knows ECN leaves the tunnel with the mark of
 *   the packet around it. That is a round trip and a standing queue earlier: half of the inner delay on one link that marks, at
 *   the same rate within a few percent, as the inner sender slows down by what the outer one did, not once more. Not so for
 *   a flow that is striped over several links: a mark of one would slow it down on all (a fifth of the rate for nothing), so
 *   those wait for the queue.
 *
 * An inner packet that is Not-ECT is never dropped for a mark that has been heeded. Apart from these the inner field passes as
 * it came.
 *
 * On a worker's thread; the simulator calls it too.
 */
#include "node.h"
#include "inner.h"

#include <errno.h>

enum {
	ICMP_PER_SECOND = 1000,
	ICMP_BURST = 50,
};

/* may_send_icmp is a token bucket over time: icmp_tokens_ns is when the bucket was last full, as it were. */
static bool may_send_icmp(struct qb_node *n, uint64_t now_ns)
{
	uint64_t cost_ns = QB_NS_PER_SEC / ICMP_PER_SECOND;
	uint64_t floor_ns = qb_sub_sat_u64(now_ns, ICMP_BURST * cost_ns);

	n->icmp_tokens_ns = qb_max_u64(n->icmp_tokens_ns, floor_ns);
	if (n->icmp_tokens_ns + cost_ns > now_ns)
		return false;
	n->icmp_tokens_ns += cost_ns;
	return true;
}

/*
 * The errors' source must not be an address of this host, or its kernel takes them for forged. 192.0.0.8 is the dummy
 * address for this (RFC 7600 §4.8); for IPv6, one of the discard-only prefix (RFC 6666).
 */
static const uint8_t icmp_src4[4] = {192, 0, 0, 8};
static const uint8_t icmp_src6[16] = {0x01, [15] = 8};

static void answer_error(struct qb_node *n, const struct qb_buf *bad, enum qb_inner_error error,
			 uint32_t mtu_bytes, uint64_t now_ns)
{
	const uint8_t *src = bad->data[0] >> 4 == 4 ? icmp_src4 : icmp_src6;
	struct qb_buf *out;

	if (qb_batch_full(&n->icmp_out))
		return;
	if (!may_send_icmp(n, now_ns)) {
		qb_count(n->counters, QB_CNT_DROP_ICMP_LIMIT);
		return;
	}
	out = qb_buf_get(n->pool);
	if (!out) {
		qb_count(n->counters, QB_CNT_DROP_NO_BUFFER);
		return;
	}
	if (!qb_inner_icmp_error(bad, error, mtu_bytes, src, out)) {
		qb_buf_put(n->pool, out);
		return;
	}
	qb_count(n->counters, QB_CNT_ICMP_TX);
	qb_batch_add(&n->icmp_out, out);
}

static void refuse(struct qb_node *n, struct qb_buf *b, enum qb_inner_error error, enum qb_counter reason,
		   uint32_t mtu_bytes, uint64_t now_ns)
{
	qb_count(n->counters, reason);
	answer_error(n, b, error, mtu_bytes, now_ns);
	qb_buf_put(n->pool, b);
}

/* admit_one returns whether the packet may be queued; else it is gone. */
static bool admit_one(struct qb_node *n, struct qb_tunnel *t, struct qb_buf *b, uint64_t now_ns)
{
	if (qb_inner_check(b) < 0) {
		qb_count(n->counters, QB_CNT_DROP_TUN_MALFORMED);
		qb_buf_put(n->pool, b);
		return false;
	}
	if (!t || !t->is_open) {
		refuse(n, b, QB_INNER_NO_ROUTE, QB_CNT_DROP_NO_ROUTE, 0, now_ns);
		return false;
	}
	if (b->len > t->mtu_bytes) {
		refuse(n, b, QB_INNER_TOO_BIG, QB_CNT_DROP_TOO_BIG, t->mtu_bytes, now_ns);
		return false;
	}
	if (!qb_inner_hop(b)) {
		refuse(n, b, QB_INNER_TTL, QB_CNT_DROP_TTL, 0, now_ns);
		return false;
	}
	if (qb_inner_clamp_mss(b, t->mtu_bytes))
		qb_count(n->counters, QB_CNT_MSS_CLAMPED);
	return true;
}

void qb_tx(struct qb_node *n, struct qb_tunnel *t, struct qb_batch *inner, uint64_t now_ns)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < inner->cnt; i++)
		if (admit_one(n, t, inner->buf[i], now_ns))
			inner->buf[kept++] = inner->buf[i];
	inner->cnt = kept;
	if (kept == 0)
		return;
	qb_bond_enqueue(t->bond, inner, now_ns);
	qb_tunnel_mark_ready(t);
	qb_tunnel_stir(t);
}

static uint64_t context_of(const struct qb_tunnel *t, const struct qb_buf *b)
{
	if (b->flags & QB_BUF_FEC)
		return t->fec_tx_context;
	return b->flags & QB_BUF_ORDERED ? t->bond_tx_context : 0;
}

/* refuse_picked tells the sender of a packet that the path's MTU shrank while it was queued. */
static void refuse_picked(struct qb_tunnel *t, struct qb_buf *b, uint32_t max_inner_bytes, uint64_t now_ns)
{
	struct qb_node *n = t->node;

	if (!qb_bond_strip(b)) { /* a repair symbol has no sender */
		qb_count(n->counters, QB_CNT_DROP_TOO_BIG);
		qb_buf_put(n->pool, b);
		return;
	}
	refuse(n, b, QB_INNER_TOO_BIG, QB_CNT_DROP_TOO_BIG, QB_MAX(max_inner_bytes, (uint32_t)QB_INNER_MTU_MIN), now_ns);
}

/*
 * What flush_tunnel works with. In hand are the packets picked last that have not left yet: small ones of one path, with numbers
 * in a row, which may share a packet.
 */
struct sender {
	struct qb_tunnel *t;
	struct qb_batch *udp;
	struct qb_path_view views[QB_PATHS_MAX];
	uint32_t view_cnt;
	uint64_t now_ns;
	struct qb_buf *hand[QB_BUNDLE_MAX + 1];
	uint32_t hand_cnt, hand_bytes, room_bytes;
	uint32_t header_len; /* of those that may share: what qb_h3_wrap writes in front */
	bool has_bundled;
};

static void look_at_paths(struct sender *s)
{
	s->view_cnt = qb_tunnel_views(s->t, s->views, s->now_ns);
	s->has_bundled = false;
}

static int send_single(struct sender *s, struct qb_buf *b)
{
	uint32_t len = b->len;
	int ret;

	qb_h3_wrap(s->t->h3, s->t->session, context_of(s->t, b), b);
	ret = qb_conn_send_datagram(s->t->conn, b->path, b, b->seq, s->now_ns);
	if (ret) {
		qb_buf_pull(b, b->len - len);
		return ret;
	}
	qb_bond_on_sent(s->t->bond, b, len, s->now_ns);
	qb_batch_add(s->udp, b);
	return 0;
}

/* send_together returns false when the first cnt in hand did not leave in one packet. */
static bool send_together(struct sender *s, uint32_t cnt)
{
	struct qb_pool *pool = s->t->node->pool;
	struct qb_buf *bundle = qb_buf_get(pool);
	uint32_t i;

	if (!bundle)
		return false;
	for (i = 0; i < cnt; i++) {
		struct qb_buf *b = s->hand[i];

		qb_h3_wrap(s->t->h3, s->t->session, context_of(s->t, b), b);
		qb_bundle_add(bundle, b);
		qb_buf_pull(b, s->header_len);
	}
	if (qb_conn_send_bundle(s->t->conn, s->hand[0]->path, bundle, cnt, s->hand[0]->seq, s->now_ns)) {
		qb_buf_put(pool, bundle);
		return false;
	}
	for (i = 0; i < cnt; i++) {
		struct qb_buf *b = s->hand[i];

		b->flags |= i ? QB_BUF_BUNDLED | QB_BUF_FOLLOWS : QB_BUF_BUNDLED;
		qb_bond_on_sent(s->t->bond, b, b->len, s->now_ns);
		qb_buf_put(pool, b);
	}
	qb_batch_add(s->udp, bundle);
	s->has_bundled = true;
	return true;
}

/*
 * send_first sends the first cnt in hand. Returns false when the tunnel's paths are to be left alone. What a path does not take,
 * and all behind it, is picked again.
 */
static bool send_first(struct sender *s, uint32_t cnt)
{
	uint32_t i = cnt > 1 && send_together(s, cnt) ? cnt : 0;
	int ret = 0;

	for (; i < cnt && !qb_batch_full(s->udp); i++) {
		struct qb_buf *b = s->hand[i];

		ret = send_single(s, b);
		if (ret == -EMSGSIZE)
			refuse_picked(s->t, b, s->views[b->path].max_inner_bytes, s->now_ns);
		else if (ret)
			break;
	}
	if (i == cnt) {
		s->hand_cnt -= cnt;
		s->hand[0] = s->hand[cnt];
		return true;
	}
	if (ret && ret != -EMSGSIZE)
		s->views[s->hand[i]->path].budget_bytes = 0;
	while (s->hand_cnt > i)
		qb_bond_unpick(s->t->bond, s->hand[--s->hand_cnt], s->now_ns);
	s->hand_cnt = 0;
	return ret != -ENOTCONN;
}

/* may_share: another packet of its size would find room beside it. */
static bool may_share(const struct sender *s, const struct qb_buf *b)
{
	return (b->flags & (QB_BUF_ORDERED | QB_BUF_FEC)) == QB_BUF_ORDERED &&
	       2 * qb_bundle_bytes(b->len + s->header_len) <= s->views[b->path].max_inner_bytes;
}

static bool fits_in_hand(const struct sender *s, const struct qb_buf *b)
{
	const struct qb_buf *first = s->hand[0];

	return s->hand_cnt && s->hand_cnt < QB_BUNDLE_MAX && b->path == first->path && b->seq == first->seq + s->hand_cnt &&
	       s->hand_bytes + qb_bundle_bytes(b->len + s->header_len) <= s->room_bytes;
}

/* put takes a picked packet in hand, or sends it behind what was there. Returns what send_first does. */
static bool put(struct sender *s, struct qb_buf *b)
{
	bool is_small = may_share(s, b);

	if (!is_small || !fits_in_hand(s, b)) {
		s->hand[s->hand_cnt++] = b;
		if (!send_first(s, s->hand_cnt - 1))
			return false;
		if (!is_small || !s->hand_cnt)
			return send_first(s, s->hand_cnt);
		s->room_bytes = qb_conn_bundle_room(s->t->conn, b->path);
		s->hand_bytes = 0;
		s->hand_cnt = 0;
	}
	s->hand[s->hand_cnt++] = b;
	s->hand_bytes += qb_bundle_bytes(b->len + s->header_len);
	return true;
}

/*
 * finish sends what is in hand when there is nothing more to pick. Returns whether to try again: a path may have refused what
 * another one takes, and a bundle costs its path less than its packets would one by one.
 */
static bool finish(struct sender *s)
{
	if (!s->hand_cnt || !send_first(s, s->hand_cnt))
		return false;
	if (s->has_bundled)
		look_at_paths(s);
	return true;
}

/* flush_tunnel sends what the tunnel's paths take now. Returns true when `udp` is full and there may be more. */
static bool flush_tunnel(struct qb_tunnel *t, struct qb_batch *udp, uint64_t now_ns)
{
	struct sender s;
	bool goes_on = true;

	s.t = t;
	s.udp = udp;
	s.now_ns = now_ns;
	s.hand_cnt = 0;
	qb_tunnel_repair(t, now_ns);
	look_at_paths(&s);
	s.header_len = qb_h3_wrap_bytes(t->session, t->bond_tx_context);
	while (goes_on && udp->cnt + (s.hand_cnt > 0) < QB_BATCH_MAX) {
		uint8_t path;
		struct qb_buf *b = qb_bond_pick(t->bond, s.views, s.view_cnt, now_ns, &path);

		goes_on = b ? put(&s, b) : finish(&s);
	}
	if (goes_on && send_first(&s, s.hand_cnt))
		return true;
	qb_conn_set_backlog(t->conn, qb_bond_has_queued(t->bond), now_ns);
	return false;
}

bool qb_tx_flush(struct qb_node *n, struct qb_batch *udp, uint64_t now_ns)
{
	while (n->ready) {
		struct qb_tunnel *t = n->ready;

		if (t->is_open && flush_tunnel(t, udp, now_ns))
			return true;
		n->ready = t->next_ready;
		t->is_ready = false;
		qb_tunnel_arm(t, now_ns);
	}
	if (qb_quic_send(n->quic, udp, now_ns))
		return true;
	/* Its timers may have found losses, which leave room for others. */
	qb_tunnel_wake_moved(n, now_ns);
	return n->ready != NULL;
}
