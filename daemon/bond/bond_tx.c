/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sending half of a bond: packets are classed and queued when they come, and numbered and given
 * a path when QUIC has room for one. Called by the tunnel on the worker that owns the connection.
 *
 * qb_bond_pick looks for a packet in this order:
 *
 *   returned  picked before, but refused by QUIC: numbered, so nothing with a later number should
 *             overtake it; only sparse packets go before bulk all the same (pick_back)
 *   copies    of calls' packets, and repair symbols (bond_protect.c)
 *   aside     waiting for the only links that their policy or flow may take (bond_via.c)
 *   sparse    calls, DNS, the first packets of a flow: by the quickest path
 *   repairs   reported lost, sent again with the number that they had (bond_again.c)
 *   bulk      striped
 *
 * Sequence numbers are given when a packet is picked, not when it is queued: what the AQM drops
 * leaves no gap, and the order of numbers is the order of sending.
 */
#include "bond/internal.h"

/* A path that loses no more than this part of its packets may be called steady. */
#define STEADY_LOSS_MAX 0.005

enum {
	LENIENT_SHIFT = 3, /* a flow that is called realtime or interactive may send eight times
			      what others may, and is not bulk */
};

/* classify gives a packet its class, and tells whether it is to be striped. */
static void classify(struct qb_bond *b, struct qb_buf *buf, const struct qb_flow_pkt *pkt,
		     uint64_t now_ns)
{
	enum qb_class class = qb_classes_mark(&b->classes, buf, pkt);
	bool is_urgent = class == QB_CLASS_REALTIME || class == QB_CLASS_INTERACTIVE;
	bool is_bulk = qb_flow_on_arrival(&b->flows, pkt->hash,
					  is_urgent ? buf->len >> LENIENT_SHIFT : buf->len, now_ns);

	is_bulk |= class == QB_CLASS_BULK || class == QB_CLASS_BACKGROUND ||
		   (pkt->is_stream && qb_bond_remote_keeps(b, pkt->hash));
	if (is_bulk)
		buf->flags |= QB_BUF_BULK;
	if (class == QB_CLASS_AUTO)
		class = is_bulk ? QB_CLASS_BULK : QB_CLASS_INTERACTIVE;
	qb_count(b->counters, (enum qb_counter)(QB_CNT_CLASS_REALTIME + class - QB_CLASS_REALTIME));
}

/* order_flag tells what a packet waits for, if it is not striped. */
static uint8_t order_flag(struct qb_bond *b, const struct qb_flow_pkt *pkt, uint64_t now_ns)
{
	if (pkt->is_ack || (pkt->may_ack && qb_flow_has_back(&b->flows, pkt->hash, now_ns)))
		return 0;
	return pkt->is_stream ? QB_BUF_STREAM : QB_BUF_BRIEF;
}

void qb_bond_enqueue(struct qb_bond *b, struct qb_batch *in, uint64_t now_ns)
{
	uint32_t i;

	b->now_ns = b->moved_ns = now_ns;
	for (i = 0; i < in->cnt; i++) {
		struct qb_buf *buf = in->buf[i];
		struct qb_flow_pkt pkt;

		if (qb_flow_parse(buf->data, buf->len, &b->hash_key, &pkt) != 0) {
			qb_bond_drop(b, buf, QB_CNT_DROP_TUN_MALFORMED);
			continue;
		}
		buf->flags &=
			(uint8_t) ~(QB_BUF_ORDERED | QB_BUF_BULK | QB_BUF_STREAM | QB_BUF_BRIEF);
		classify(b, buf, &pkt, now_ns);
		buf->flags |= order_flag(b, &pkt, now_ns);
		qb_queue_push(&b->queue, buf, pkt.hash, now_ns);
	}
	in->cnt = 0;
}

/* restrict_views leaves usable what the link states allow, and fills in what the bond knows of the
 * paths. Returns the usable ones, a bit each. */
static uint32_t restrict_views(struct qb_bond *b, struct qb_path_view *views, uint32_t n)
{
	uint32_t usable = 0, chosen, least = UINT32_MAX, i;

	n = QB_MIN(n, (uint32_t)QB_BOND_PATHS_MAX);
	for (i = 0; i < n; i++) {
		if (!views[i].is_usable)
			continue;
		usable |= 1u << i;
		if (views[i].loss_ppm == 0)
			views[i].loss_ppm = (uint32_t)(b->quality[i].steady_loss * 1e6);
	}
	b->usable = usable;
	chosen = qb_links_choose(&b->links, usable);
	if (chosen != b->chosen) {
		qb_bond_pins_part(b, b->chosen & ~chosen);
		b->chosen = chosen;
		b->tuning.next_ns = 0;
	}
	for (i = 0; i < n; i++) {
		views[i].is_usable = chosen >> i & 1;
		views[i].is_far = b->tuning.outlook.far >> i & 1;
		views[i].is_steady =
			(b->tuning.known >> i & 1) && b->quality[i].loss <= STEADY_LOSS_MAX;
		views[i].tier = (enum qb_tier)b->links.link[i].tier;
		if (views[i].is_usable && views[i].max_inner_bytes)
			least = QB_MIN(least, views[i].max_inner_bytes);
	}
	b->least_inner_bytes = least;
	return chosen;
}

/*
 * deadline_of: one that has its number already, and that transport did not take, leaves all the
 * same: all behind it would wait there for it, for longer than it is late.
 */
static uint64_t deadline_of(const struct qb_bond *b, const struct qb_buf *buf)
{
	if (buf->flags & QB_BUF_ORDERED && buf != b->repairs.head)
		return 0;
	return qb_classes_deadline_ns(&b->classes, buf);
}

static bool is_ack(const struct qb_buf *buf)
{
	return qb_buf_class(buf) == QB_CLASS_AUTO &&
	       !(buf->flags & (QB_BUF_STREAM | QB_BUF_BRIEF));
}

/* paths_for returns the paths that the packet may choose from, in views, or in room. */
static const struct qb_path_view *paths_for(struct qb_bond *b, const struct qb_bond_slot *slot,
					    const struct qb_path_view *views, uint32_t n,
					    const struct qb_buf *buf,
					    struct qb_path_view room[QB_BOND_PATHS_MAX],
					    uint64_t now_ns)
{
	const struct qb_path_view *via;
	bool is_bulk = buf->flags & QB_BUF_BULK;

	/* What is sent again takes any link. */
	if (buf == b->repairs.head)
		return views;
	via = qb_bond_via(b, buf, views, n, room);
	if (via != views || slot->sched != &qb_sched_auto || !(is_bulk || is_ack(buf)))
		return via;
	return qb_keep_views(&b->keep, views, n, is_bulk, qb_bond_inner_len(buf), room, now_ns);
}

int qb_bond_choose(struct qb_bond *b, const struct qb_path_view *views, uint32_t n,
		   const struct qb_buf *buf, uint64_t *refused_ns, uint64_t now_ns)
{
	bool is_repair = buf == b->repairs.head;
	struct qb_pkt_meta meta = {
		.bytes = qb_bond_inner_len(buf),
		.flow = qb_bond_hash_of(buf),
		.is_sparse = !(buf->flags & QB_BUF_BULK),
		.queued_bytes = qb_sub_sat_u64(
			is_repair ? b->repairs.bytes : qb_bond_queued_bytes(b), buf->len),
		.waited_ns = *refused_ns ? now_ns - *refused_ns : 0,
		.age_ns = qb_sub_sat_u64(now_ns, buf->rx_ns),
		.deadline_ns = deadline_of(b, buf),
		.is_loose = b->grain == QB_GRAIN_PACKET,
	};
	const struct qb_treatment *treat = qb_classes_treat(&b->classes, buf);
	struct qb_path_view room[QB_BOND_PATHS_MAX];
	struct qb_bond_slot *slot = qb_bond_slot_of(b, treat ? treat->sched : NULL);
	struct qb_sched_ask ask = {
		.n = n, .pkt = &meta, .worker = b->worker, .now_ns = now_ns, .stand = &slot->stand};
	int path;

	ask.v = paths_for(b, slot, views, n, buf, room, now_ns);
	path = qb_sched_decide(slot->sched, slot->state, b->counters, &ask);
	qb_explain_keep(&b->explain, slot->sched->name, &ask, path);
	if (path == QB_SCHED_WAIT && *refused_ns == 0)
		*refused_ns = now_ns;
	return path;
}

void qb_bond_drop(struct qb_bond *b, struct qb_buf *buf, enum qb_counter why)
{
	qb_count(b->counters, why);
	qb_buf_put(b->pool, buf);
}

void qb_bond_wait_for_paths(struct qb_bond *b, const struct qb_path_view *views, uint32_t n,
			    uint32_t bytes, uint64_t now_ns)
{
	b->tx_deadline_ns =
		qb_min_u64(b->tx_deadline_ns, qb_views_next_ns(views, n, bytes, now_ns));
}

struct qb_buf *qb_bond_hand_out(struct qb_bond *b, struct qb_buf *buf, struct qb_path_view *view,
				int path, uint64_t now_ns)
{
	uint32_t bytes = qb_bond_inner_len(buf);

	b->queue_delay_ns = qb_sub_sat_u64(now_ns, buf->rx_ns);
	qb_view_charge(view, bytes, now_ns);
	qb_quality_on_sent(&b->quality[path], bytes, now_ns);
	qb_links_on_sent(&b->links, (uint8_t)path, now_ns);
	if (buf->flags & QB_BUF_BULK)
		b->tail_ns[path] = b->bulk_ns = now_ns;
	buf->path = (uint8_t)path;
	if (b->is_ordered && !(buf->flags & (QB_BUF_ORDERED | QB_BUF_FEC)))
		qb_bond_number(b, buf, now_ns);
	qb_warm_on_sent(&b->warm, (uint8_t)path, false, now_ns);
	return buf;
}

/* why_here: who says that the packet leaves by the path that it was given. */
static enum qb_sent_why why_here(const struct qb_bond *b, const struct qb_buf *buf)
{
	const struct qb_treatment *treat = qb_classes_treat(&b->classes, buf);

	if (treat && (treat->sched || (treat->via && qb_bond_is_via(b, buf))))
		return QB_SENT_RULED;
	return qb_bond_pin_path(b, buf) >= 0 ? QB_SENT_KEPT : QB_SENT_CHOSEN;
}

/* hand_out_first: a packet leaves for the first time. */
static struct qb_buf *hand_out_first(struct qb_bond *b, struct qb_buf *buf,
				     struct qb_path_view *views, int path, uint64_t now_ns)
{
	qb_bond_meter_tx(b, buf, (uint8_t)path, now_ns);
	qb_quality_note_why(&b->quality[path], why_here(b, buf));
	qb_bond_pin_sent(b, buf, (uint8_t)path);
	buf = qb_bond_hand_out(b, buf, &views[path], path, now_ns);
	qb_bond_protect(b, buf, now_ns);
	return buf;
}

/* let_quicker lets quicker paths carry bulk that they were too small for, until the one that is to carry it does. */
static void let_quicker(const struct qb_bond *b, struct qb_path_view *views, uint32_t n, int path)
{
	for (uint32_t i = 0; i < n; i++)
		views[i].is_far = views[i].is_far && b->tuning.outlook.late_ns[i] >= b->tuning.outlook.late_ns[path];
}

/*
 * warm_up stands in for a path that the scheduler chose for bulk but of which the receiver does not
 * know yet: a copy now and then goes there, the packet itself looks for another. Returns the copy,
 * or NULL with *path chosen anew.
 */
static struct qb_buf *warm_up(struct qb_bond *b, struct qb_bond_pending *p,
			      struct qb_path_view *views, uint32_t n, int *path, uint64_t now_ns)
{
	struct qb_buf *copy = NULL;
	bool is_off[QB_BOND_PATHS_MAX] = {false};
	uint32_t i;

	while (*path >= 0 && !copy &&
	       !qb_warm_is_ready(&b->warm, (uint8_t)*path, b->tuning.outlook.late_ns[*path],
				 now_ns)) {
		if (qb_warm_wants_copy(&b->warm, (uint8_t)*path, now_ns))
			copy = qb_bond_copy_of(b, p->buf, now_ns);
		if (copy) {
			qb_quality_note_why(&b->quality[*path], QB_SENT_EXTRA);
			qb_bond_hand_out(b, copy, &views[*path], *path, now_ns);
			qb_warm_on_sent(&b->warm, (uint8_t)*path, true, now_ns);
			break;
		}
		is_off[*path] = true;
		views[*path].is_usable = false;
		let_quicker(b, views, n, *path);
		*path = qb_bond_choose(b, views, n, p->buf, &p->refused_ns, now_ns);
		if (*path == QB_SCHED_LATE) /* not by those that are left */
			*path = QB_SCHED_WAIT;
	}
	for (i = 0; i < n; i++) {
		views[i].is_usable = views[i].is_usable || is_off[i];
		views[i].is_far = b->tuning.outlook.far >> i & 1;
	}
	return copy;
}

/*
 * pick_returned takes the first of what transport did not take that a path takes now. One that
 * waits for the links of its policy is passed over; true in *is_blocked: another one waits, and all
 * that comes behind with it.
 */
static struct qb_buf *pick_returned(struct qb_bond *b, struct qb_path_view *views, uint32_t n,
				    bool *is_blocked, uint64_t now_ns)
{
	struct qb_path_view room[QB_BOND_PATHS_MAX];
	struct qb_line *l = &b->returned;
	struct qb_buf *before = NULL, *buf;

	*is_blocked = false;
	while ((buf = before ? before->next : l->head)) {
		bool has_no_path = qb_bond_is_too_big(views, n, buf);
		int path = has_no_path ? QB_SCHED_LATE
				       : qb_bond_choose(b, views, n, buf, &l->refused_ns, now_ns);

		if (path >= 0) {
			buf = qb_bond_hand_out(b, qb_line_take_after(l, before), &views[path], path,
					       now_ns);
			qb_bond_order_anew(b, buf, now_ns);
			return buf;
		}
		if (path == QB_SCHED_LATE) {
			qb_bond_drop(b, qb_line_take_after(l, before),
				     has_no_path ? QB_CNT_DROP_TOO_BIG : QB_CNT_DROP_LATE);
			continue;
		}
		qb_bond_wait_for_paths(b, qb_bond_via(b, buf, views, n, room), n,
				       qb_bond_inner_len(buf), now_ns);
		if (!qb_bond_is_via(b, buf)) {
			*is_blocked = true;
			return NULL;
		}
		before = buf;
	}
	return NULL;
}

static bool refill(struct qb_bond *b, struct qb_bond_pending *p, uint64_t now_ns)
{
	if (p->buf)
		return true;
	p->refused_ns = 0;
	p->buf = p == &b->sparse ? qb_queue_pop_sparse(&b->queue, now_ns)
				 : qb_queue_pop_bulk(&b->queue, now_ns);
	if (!p->buf)
		return false;
	/* One that was bulk when it came says nothing new: else a call that once had to wait would
	 * be bulk for ever. */
	if (p == &b->bulk && !(p->buf->flags & QB_BUF_BULK)) {
		qb_flow_on_backlog(&b->flows, qb_bond_hash_of(p->buf), now_ns);
		p->buf->flags |= QB_BUF_BULK;
	}
	return true;
}

static void drop_pending(struct qb_bond *b, struct qb_bond_pending *p, enum qb_counter why)
{
	qb_bond_drop(b, p->buf, why);
	p->buf = NULL;
}

/* pick_pending takes the next sparse packet, or the next of bulk, for which the scheduler has a
 * path. */
static struct qb_buf *pick_pending(struct qb_bond *b, struct qb_bond_pending *p,
				   struct qb_path_view *views, uint32_t n, uint64_t now_ns)
{
	while (refill(b, p, now_ns)) {
		struct qb_buf *buf = p->buf;
		int path, ride;

		if (qb_bond_is_too_big(views, n, buf)) {
			drop_pending(b, p, QB_CNT_DROP_TOO_BIG);
			continue;
		}
		ride = p == &b->bulk ? qb_bond_ride(b, views, n, buf, now_ns) : QB_SCHED_WAIT;
		path = ride >= 0 ? ride : qb_bond_choose(b, views, n, buf, &p->refused_ns, now_ns);
		if (path == QB_SCHED_LATE) {
			qb_queue_refund(&b->queue, buf);
			drop_pending(b, p, QB_CNT_DROP_LATE);
			continue;
		}
		if (b->is_ordered && p == &b->bulk && !qb_bond_is_via(b, buf)) {
			struct qb_buf *copy = warm_up(b, p, views, n, &path, now_ns);

			if (copy)
				return copy;
		}
		if (path == QB_SCHED_WAIT) {
			qb_bond_wait_for_paths(b, views, n, qb_bond_inner_len(buf), now_ns);
			if (qb_bond_set_aside(b, p))
				continue;
			return NULL;
		}
		p->buf = NULL;
		if (qb_copies_is_call(buf))
			qb_keep_on_call(&b->keep, now_ns);
		if (p == &b->bulk)
			qb_bond_board(b, buf, (uint8_t)path, path == ride, now_ns);
		return hand_out_first(b, buf, views, path, now_ns);
	}
	return NULL;
}

/* pick_aside takes the first of those that were set aside whose link takes it now. */
static struct qb_buf *pick_aside(struct qb_bond *b, struct qb_path_view *views, uint32_t n,
				 uint64_t now_ns)
{
	struct qb_path_view room[QB_BOND_PATHS_MAX];
	struct qb_bond_pending *p;

	for (uint32_t slot = 0; (p = qb_bond_aside_next(b, &slot));) {
		struct qb_buf *buf = p->buf;
		int path;

		/* Its link may have become a smaller one while it waited. */
		if (qb_bond_is_too_big(views, n, buf)) {
			qb_bond_aside_done(b, p);
			qb_bond_drop(b, buf, QB_CNT_DROP_TOO_BIG);
			continue;
		}
		path = qb_bond_choose(b, views, n, buf, &p->refused_ns, now_ns);
		if (path == QB_SCHED_LATE) {
			qb_bond_aside_done(b, p);
			qb_bond_drop(b, buf, QB_CNT_DROP_LATE);
			continue;
		}
		if (path < 0) {
			qb_bond_wait_for_paths(b, qb_bond_via(b, buf, views, n, room), n,
					       qb_bond_inner_len(buf), now_ns);
			continue;
		}
		qb_bond_aside_done(b, p);
		return hand_out_first(b, buf, views, path, now_ns);
	}
	return NULL;
}

/*
 * pick_bulk: what others wait for is not used up in smaller pieces. A path that has room for a bulk
 * packet now but not for the sparse one or the repair ahead of it shall save up for that.
 */
static struct qb_buf *pick_bulk(struct qb_bond *b, struct qb_path_view *views, uint32_t n,
				uint64_t now_ns)
{
	uint64_t saved[QB_BOND_PATHS_MAX] = {0};
	uint32_t ahead_bytes, i;
	struct qb_buf *buf;

	ahead_bytes = b->sparse.buf ? qb_bond_inner_len(b->sparse.buf) : 0;
	if (b->repairs.head)
		ahead_bytes = QB_MAX(ahead_bytes, qb_bond_inner_len(b->repairs.head));
	if (ahead_bytes == 0)
		return pick_pending(b, &b->bulk, views, n, now_ns);
	for (i = 0; i < n; i++) {
		if (qb_view_can_send(&views[i], ahead_bytes))
			continue;
		saved[i] = views[i].budget_bytes;
		views[i].budget_bytes = 0;
	}
	buf = pick_pending(b, &b->bulk, views, n, now_ns);
	for (i = 0; i < n; i++)
		views[i].budget_bytes += saved[i];
	return buf;
}

/* pick_others: flows that lost nothing take turns with a long line of what is sent again
 * (others_bytes); those of which it is wait. */
static struct qb_buf *pick_others(struct qb_bond *b, struct qb_path_view *views, uint32_t n,
				  uint64_t now_ns)
{
	struct qb_buf *buf = pick_bulk(b, views, n, now_ns);

	if (buf)
		b->others_bytes -= (int32_t)qb_bond_inner_len(buf);
	return buf;
}

/* pick_striped takes what is sent again, or what is striped. */
static struct qb_buf *pick_striped(struct qb_bond *b, struct qb_path_view *views, uint32_t n,
				   bool is_blocked, uint64_t now_ns)
{
	struct qb_buf *buf = NULL;

	b->queue.is_owed_held = qb_bond_has_long_line(b);
	if (b->queue.is_owed_held && b->is_line_mixed)
		qb_bond_part_line(b);
	if (b->queue.is_owed_held && b->others_bytes > 0 && !is_blocked)
		buf = pick_others(b, views, n, now_ns);
	if (!buf && b->repairs.head)
		buf = qb_bond_pick_repair(b, views, n, now_ns);
	if (!buf && !is_blocked)
		buf = pick_bulk(b, views, n, now_ns);
	b->queue.is_owed_held = false;
	return buf;
}

static void look_at_copies(struct qb_bond *b, const struct qb_path_view *views, uint32_t n,
			   uint64_t now_ns)
{
	struct qb_copies_know know = {
		.quality = b->quality,
		.lag_ns = b->tuning.outlook.lag_ns,
		.back = qb_links_back(&b->links, now_ns),
	};

	qb_copies_look(&b->duplication, views, n, &know, now_ns);
}

/* look_at_losses tells forward error correction what a call's packets meet on the best path. */
static void look_at_losses(struct qb_bond *b, const struct qb_path_view *views, uint32_t n)
{
	uint8_t path = b->duplication.why_path;

	if (path < n)
		qb_fec_tx_look(&b->fec_tx, b->duplication.why_loss,
			       qb_repair_burst(&b->under_way, path), views[path].srtt_ns);
}

/*
 * pick_back takes what transport did not take, before all others; of bulk, though, sparse packets go
 * first as always. A window with room for nearly a packet refuses bulk again and again, and that
 * would take each slot of the other paths that a call waits for.
 */
static struct qb_buf *pick_back(struct qb_bond *b, struct qb_path_view *views, uint32_t n,
				bool *is_blocked, uint64_t now_ns)
{
	const struct qb_buf *first = b->returned.head;
	struct qb_buf *buf = NULL;

	*is_blocked = false;
	if (first && first->flags & QB_BUF_BULK)
		buf = pick_pending(b, &b->sparse, views, n, now_ns);
	return buf ? buf : pick_returned(b, views, n, is_blocked, now_ns);
}

struct qb_buf *qb_bond_pick(struct qb_bond *b, struct qb_path_view *views, uint32_t n,
			    uint64_t now_ns, uint8_t *path)
{
	struct qb_buf *buf = NULL;
	bool is_blocked;

	b->now_ns = now_ns;
	b->tx_deadline_ns = QB_NEVER_NS;
	if (!qb_bond_has_queued(b))
		return NULL;
	n = QB_MIN(n, (uint32_t)QB_BOND_PATHS_MAX);
	/* Also while there is no path at all: what is due must not be asked for again and again. */
	qb_bond_put_symbols(b, now_ns);
	if (restrict_views(b, views, n) == 0)
		return NULL;
	if (qb_tuning_is_due(&b->tuning, now_ns))
		b->tuning.absent = qb_links_absent(&b->links);
	if (qb_tuning_look(&b->tuning, &b->queue, views, n, b->chosen, now_ns)) {
		qb_bond_remote_look(b, qb_bond_queued_bytes(b), b->queue.rate_bps, now_ns);
		look_at_copies(b, views, n, now_ns);
		look_at_losses(b, views, n);
	}
	buf = pick_back(b, views, n, &is_blocked, now_ns);
	if (!buf)
		buf = qb_bond_pick_copy(b, views, n, now_ns);
	if (!buf)
		buf = pick_aside(b, views, n, now_ns);
	if (!buf)
		buf = pick_pending(b, &b->sparse, views, n, now_ns);
	qb_bond_spare_repairs(b);
	if (!buf)
		buf = pick_striped(b, views, n, is_blocked, now_ns);
	if (buf)
		*path = buf->path;
	return buf;
}

void qb_bond_unpick(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns)
{
	/* It keeps its number: what was picked after it may name it as predecessor. */
	b->now_ns = now_ns;
	qb_line_put(&b->returned, buf, true);
	b->tx_deadline_ns = qb_min_u64(b->tx_deadline_ns, now_ns + QB_SCHED_POLL_US * QB_NS_PER_US);
}

bool qb_bond_strip(struct qb_buf *buf)
{
	if (!(buf->flags & QB_BUF_ORDERED))
		return !(buf->flags & QB_BUF_FEC);
	qb_buf_pull(buf, QB_BOND_HEADER_LEN + (buf->flags & QB_BUF_FEC ? QB_FEC_SOURCE_LEN : 0));
	return true;
}

bool qb_bond_has_queued(const struct qb_bond *b)
{
	return b->queue.pkts || b->returned.pkts || b->repairs.pkts || b->copies.pkts ||
	       b->sparse.buf || b->bulk.buf || b->aside_set ||
	       qb_fec_tx_deadline_ns(&b->fec_tx) <= b->now_ns;
}

uint64_t qb_bond_tx_deadline_ns(const struct qb_bond *b)
{
	return qb_min_u64(b->tx_deadline_ns, qb_fec_tx_deadline_ns(&b->fec_tx));
}
