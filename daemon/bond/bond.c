/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bond of one connection: ties flow queues, scheduler, reorder buffer and link states together.
 * Called by the tunnel on the worker that owns the connection. What protects packets is in bond_protect.c,
 * the receiving half in bond_rx.c.
 *
 *     mem: | struct qb_bond | flow queues | flow table | classes | packets under way | reorder slots, log, bits |
 *
 * Sequence numbers are given when a packet is picked, not when it is queued: what the AQM drops
 * leaves no gap, and the order of numbers is the order of sending.
 */
#include "bond/internal.h"

#include <errno.h>
#include <stdio.h>

#include "bond/header.h"

#define REPAIR_AGE_RTTS	  3
#define TAIL_NS		  (5 * QB_NS_PER_MS)
#define LOOK_NS		  (100 * QB_NS_PER_MS)
#define STEADY_LOSS_MAX	  0.005
#define REPAIR_DETOUR_NS  (50 * QB_NS_PER_MS)

enum {
	LENIENT_SHIFT = 3,  /* a flow that is called realtime or interactive may send eight times what others may, and is not bulk */
};

/* ---- life ---- */

static size_t align_up(size_t n)
{
	return (n + QB_CACHELINE - 1) & ~(size_t)(QB_CACHELINE - 1);
}

size_t qb_bond_footprint(const struct qb_bond_cfg *cfg)
{
	/* One cache line more, so that mem may have any alignment. */
	return QB_CACHELINE + align_up(sizeof(struct qb_bond)) + align_up(qb_queue_footprint()) +
	       align_up(qb_flow_table_footprint()) + align_up(qb_classes_footprint()) + align_up(qb_repair_footprint()) +
	       align_up(qb_reorder_footprint(cfg->reorder_pkts));
}

struct qb_bond *qb_bond_init(void *mem, const struct qb_bond_cfg *cfg, uint64_t now_ns)
{
	struct qb_bond *b = (struct qb_bond *)align_up((size_t)mem);
	uint8_t *p = (uint8_t *)b + align_up(sizeof(*b));
	uint32_t i;

	memset(b, 0, offsetof(struct qb_bond, scheds));
	b->sched_cnt = 1;
	b->scheds[0].sched = NULL;
	b->counters = cfg->counters;
	b->pool = cfg->pool;
	b->now_ns = now_ns;
	b->hash_key.k0 = qb_mix_u64(cfg->seed + 1);
	b->hash_key.k1 = qb_mix_u64(b->hash_key.k0 + 1);
	b->tx_seq = (uint32_t)qb_mix_u64(b->hash_key.k1 + 1);
	b->tx_deadline_ns = QB_NEVER_NS;
	qb_queue_init(&b->queue, p, cfg->queue_pkts, cfg->pool, cfg->counters);
	p += align_up(qb_queue_footprint());
	qb_flow_table_init(&b->flows, p);
	p += align_up(qb_flow_table_footprint());
	qb_classes_init(&b->classes, p);
	qb_queue_set_classes(&b->queue, &b->classes);
	p += align_up(qb_classes_footprint());
	qb_repair_init(&b->under_way, p, cfg->pool);
	p += align_up(qb_repair_footprint());
	qb_reorder_init(&b->reorder, p, cfg);
	qb_fec_code_init(&b->fec_code, b->fec_tables);
	b->explain.ring = b->decisions;
	qb_fec_tx_init(&b->fec_tx, &b->fec_code, cfg->pool, cfg->counters);
	qb_fec_rx_init(&b->fec_rx, b->fec_blocks, cfg->pool, cfg->counters);
	b->fec_want = cfg->fec;
	qb_bond_meter_init(b, cfg->seed);
	qb_links_init(&b->links);
	b->links.failback_ns = cfg->failback_ns;
	b->links.fail = cfg->fail;
	for (i = 0; i < QB_BOND_PATHS_MAX; i++)
		qb_quality_reset(&b->quality[i]);
	b->worker = cfg->worker;
	qb_bond_set_sched(b, cfg->sched);
	return b;
}

void qb_bond_fini(struct qb_bond *b)
{
	struct qb_buf *buf;

	while ((buf = qb_line_take(&b->returned)) || (buf = qb_line_take(&b->repairs)) || (buf = qb_line_take(&b->copies)))
		qb_buf_put(b->pool, buf);
	qb_bond_aside_fini(b);
	qb_repair_fini(&b->under_way);
	qb_fec_tx_fini(&b->fec_tx);
	qb_fec_rx_fini(&b->fec_rx);
	if (b->sparse.buf)
		qb_buf_put(b->pool, b->sparse.buf);
	if (b->bulk.buf)
		qb_buf_put(b->pool, b->bulk.buf);
	qb_queue_fini(&b->queue);
	qb_reorder_fini(&b->reorder);
}

static void set_slot(struct qb_bond_slot *slot, const struct qb_sched *s)
{
	QB_BUG_ON(s && s->state_bytes > QB_SCHED_STATE_MAX);
	slot->sched = s;
	slot->stand = (struct qb_sched_stand){0};
	if (s)
		qb_sched_start(s, slot->state);
}

void qb_bond_set_sched(struct qb_bond *b, const struct qb_sched *s)
{
	if (!s)
		s = &qb_sched_auto;
	if (s != b->scheds[0].sched)
		set_slot(&b->scheds[0], s);
	qb_classes_set_deadlines(&b->classes, s->has_deadlines);
}

struct qb_bond_slot *qb_bond_slot_of(struct qb_bond *b, const struct qb_sched *s)
{
	struct qb_bond_slot *slot = b->scheds;

	for (uint32_t i = 1; s && i < b->sched_cnt; i++)
		if (b->scheds[i].sched == s)
			slot = &b->scheds[i];
	return slot;
}

void qb_bond_set_policy(struct qb_bond *b, const struct qb_policy *policy)
{
	const struct qb_sched *wanted[QB_BOND_SCHEDS_MAX] = {b->scheds[0].sched};
	uint32_t cnt = 1, k;

	for (uint32_t i = 0; policy && i < policy->cnt; i++) {
		const struct qb_sched *s = policy->rules[i].treat.sched;

		for (k = 1; s && k < cnt && wanted[k] != s; k++)
			;
		if (s && k == cnt && cnt < QB_BOND_SCHEDS_MAX)
			wanted[cnt++] = s;
	}
	while (b->sched_cnt < cnt)
		b->scheds[b->sched_cnt++].sched = NULL;
	for (k = 1; k < b->sched_cnt; k++)
		if (b->scheds[k].sched != wanted[k])
			set_slot(&b->scheds[k], wanted[k]);
	qb_classes_set_policy(&b->classes, policy);
}

void qb_bond_set_reorder_max(struct qb_bond *b, uint64_t max_bytes)
{
	qb_reorder_set_limit(&b->reorder, max_bytes);
}

void qb_bond_set_ordered(struct qb_bond *b, bool is_ordered)
{
	b->is_ordered = is_ordered;
}

void qb_bond_set_fec(struct qb_bond *b, bool is_agreed)
{
	b->has_fec = is_agreed;
}

void qb_bond_want_fec(struct qb_bond *b, const struct qb_fec_want *want)
{
	b->fec_want = *want;
}

uint32_t qb_bond_fec_room(const struct qb_bond *b)
{
	bool is_fixed = b->fec_want.mode == QB_FEC_FIXED;

	for (uint32_t i = 0; b->classes.policy && i < b->classes.policy->cnt; i++)
		is_fixed |= b->classes.policy->rules[i].treat.fec.mode == QB_FEC_FIXED;
	return b->has_fec && is_fixed ? QB_FEC_ROOM : 0;
}

/* ---- sending ---- */

/* classify gives a packet its class, and tells whether it is to be striped. */
static void classify(struct qb_bond *b, struct qb_buf *buf, const struct qb_flow_pkt *pkt, uint64_t now_ns)
{
	enum qb_class class = qb_classes_mark(&b->classes, buf, pkt);
	bool is_urgent = class == QB_CLASS_REALTIME || class == QB_CLASS_INTERACTIVE;
	bool is_bulk = qb_flow_on_arrival(&b->flows, pkt->hash, is_urgent ? buf->len >> LENIENT_SHIFT : buf->len, now_ns);

	is_bulk |= class == QB_CLASS_BULK || class == QB_CLASS_BACKGROUND;
	if (is_bulk)
		buf->flags |= QB_BUF_BULK;
	if (class == QB_CLASS_AUTO)
		class = is_bulk ? QB_CLASS_BULK : QB_CLASS_INTERACTIVE;
	qb_count(b->counters, (enum qb_counter)(QB_CNT_CLASS_REALTIME + class - QB_CLASS_REALTIME));
}

void qb_bond_enqueue(struct qb_bond *b, struct qb_batch *in, uint64_t now_ns)
{
	uint32_t i;

	b->now_ns = b->moved_ns = now_ns;
	for (i = 0; i < in->cnt; i++) {
		struct qb_buf *buf = in->buf[i];
		struct qb_flow_pkt pkt;

		if (qb_flow_parse(buf->data, buf->len, &b->hash_key, &pkt) != 0) {
			qb_count(b->counters, QB_CNT_DROP_TUN_MALFORMED);
			qb_buf_put(b->pool, buf);
			continue;
		}
		buf->flags &= (uint8_t) ~(QB_BUF_ORDERED | QB_BUF_BULK | QB_BUF_STREAM | QB_BUF_BRIEF);
		if (pkt.is_stream)
			buf->flags |= QB_BUF_STREAM;
		else if (!pkt.is_ack)
			buf->flags |= QB_BUF_BRIEF;
		classify(b, buf, &pkt, now_ns);
		qb_queue_push(&b->queue, buf, pkt.hash, now_ns);
	}
	in->cnt = 0;
}

/* narrow leaves usable what the link states allow, and tells what is known of losses. */
static uint32_t narrow(struct qb_bond *b, struct qb_path_view *views, uint32_t n)
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
		views[i].is_steady = (b->tuning.known >> i & 1) && b->quality[i].loss <= STEADY_LOSS_MAX;
		views[i].tier = (enum qb_tier)b->links.link[i].tier;
		if (views[i].is_usable && views[i].max_inner_bytes)
			least = QB_MIN(least, views[i].max_inner_bytes);
	}
	b->least_inner_bytes = least;
	return chosen;
}

static uint64_t queued_bytes(const struct qb_bond *b)
{
	return b->queue.bytes + b->returned.bytes + b->repairs.bytes + (b->sparse.buf ? b->sparse.buf->len : 0) +
	       (b->bulk.buf ? b->bulk.buf->len : 0);
}

/*
 * deadline_of: one that has its number already, and that transport did not take, leaves all the same: all behind it would wait there
 * for it, for longer than it is late.
 */
static uint64_t deadline_of(const struct qb_bond *b, const struct qb_buf *buf)
{
	if (buf->flags & QB_BUF_ORDERED && buf != b->repairs.head)
		return 0;
	return qb_classes_deadline_ns(&b->classes, buf);
}

/* paths_for returns the paths that the packet may choose from, in views, or in room. */
static const struct qb_path_view *paths_for(struct qb_bond *b, const struct qb_bond_slot *slot, const struct qb_path_view *views, uint32_t n,
					    const struct qb_buf *buf, struct qb_path_view room[QB_BOND_PATHS_MAX], uint64_t now_ns)
{
	const struct qb_path_view *via;
	bool is_bulk = buf->flags & QB_BUF_BULK;
	bool is_ack = qb_buf_class(buf) == QB_CLASS_AUTO && !(buf->flags & (QB_BUF_STREAM | QB_BUF_BRIEF));

	/* What is sent again takes any link. */
	if (buf == b->repairs.head)
		return views;
	via = qb_bond_via(b, buf, views, n, room);
	if (via != views || slot->sched != &qb_sched_auto || !(is_bulk || is_ack))
		return via;
	return qb_keep_views(&b->keep, views, n, is_bulk, qb_bond_inner_len(buf), room, now_ns);
}

/* choose asks the scheduler for the packet's path. */
static int choose(struct qb_bond *b, const struct qb_path_view *views, uint32_t n,
		  const struct qb_buf *buf, uint64_t *refused_ns, uint64_t now_ns)
{
	bool is_repair = buf == b->repairs.head;
	struct qb_pkt_meta meta = {
		.bytes = qb_bond_inner_len(buf),
		.flow = qb_bond_hash_of(buf),
		.is_sparse = !(buf->flags & QB_BUF_BULK),
		.queued_bytes =
			qb_sub_sat_u64(is_repair ? b->repairs.bytes : queued_bytes(b), buf->len),
		.waited_ns = *refused_ns ? now_ns - *refused_ns : 0,
		.age_ns = qb_sub_sat_u64(now_ns, buf->rx_ns),
		.deadline_ns = deadline_of(b, buf),
		.is_loose = b->grain == QB_GRAIN_PACKET,
	};
	const struct qb_treatment *treat = qb_classes_treat(&b->classes, buf);
	struct qb_path_view room[QB_BOND_PATHS_MAX];
	struct qb_bond_slot *slot = qb_bond_slot_of(b, treat ? treat->sched : NULL);
	struct qb_sched_ask ask = {.n = n, .pkt = &meta, .worker = b->worker, .now_ns = now_ns, .stand = &slot->stand};
	int path;

	ask.v = paths_for(b, slot, views, n, buf, room, now_ns);
	path = qb_sched_decide(slot->sched, slot->state, b->counters, &ask);
	qb_explain_keep(&b->explain, slot->sched->name, &ask, path);
	if (path == QB_SCHED_WAIT && *refused_ns == 0)
		*refused_ns = now_ns;
	return path;
}

/* is_too_big: there are paths, and none of them will ever carry the packet. */
static bool is_too_big(const struct qb_path_view *views, uint32_t n, const struct qb_buf *buf)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (qb_view_fits(&views[i], qb_bond_inner_len(buf)))
			return false;
	}
	return true;
}

static void drop_late(struct qb_bond *b, struct qb_buf *buf)
{
	qb_count(b->counters, QB_CNT_DROP_LATE);
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

/*
 * warm_up stands in for a path that the scheduler chose for bulk but of which the receiver does not
 * know yet: a copy now and then goes there, the packet itself looks for another. Returns the copy,
 * or NULL with *path chosen anew.
 */
static struct qb_buf *warm_up(struct qb_bond *b, struct qb_bond_pending *p, struct qb_path_view *views,
			      uint32_t n, int *path, uint64_t now_ns)
{
	struct qb_buf *copy = NULL;
	bool is_off[QB_BOND_PATHS_MAX] = {false};
	uint32_t i;

	while (*path >= 0 && !copy &&
	       !qb_warm_is_ready(&b->warm, (uint8_t)*path, b->tuning.outlook.lag_ns[*path], now_ns)) {
		if (qb_warm_wants_copy(&b->warm, (uint8_t)*path, now_ns))
			copy = qb_bond_copy_of(b, p->buf, now_ns);
		if (copy) {
			qb_bond_hand_out(b, copy, &views[*path], *path, now_ns);
			qb_warm_on_sent(&b->warm, (uint8_t)*path, true, now_ns);
			break;
		}
		is_off[*path] = true;
		views[*path].is_usable = false;
		*path = choose(b, views, n, p->buf, &p->refused_ns, now_ns);
		if (*path == QB_SCHED_LATE) /* not by those that are left */
			*path = QB_SCHED_WAIT;
	}
	for (i = 0; i < n; i++)
		views[i].is_usable = views[i].is_usable || is_off[i];
	return copy;
}

/* pick_first_repair takes the first of those that are to be sent again, if a path takes it. */
static struct qb_buf *pick_first_repair(struct qb_bond *b, struct qb_path_view *views, uint32_t n, uint64_t now_ns)
{
	struct qb_line *l = &b->repairs;
	struct qb_buf *buf;
	int path;

	for (;;) {
		while ((buf = l->head) && is_too_big(views, n, buf)) {
			qb_count(b->counters, QB_CNT_DROP_TOO_BIG);
			qb_buf_put(b->pool, qb_bond_take_repair(b));
		}
		if (!buf)
			return NULL;
		path = choose(b, views, n, buf, &l->refused_ns, now_ns);
		if (path != QB_SCHED_LATE)
			break;
		drop_late(b, qb_bond_take_repair(b));
	}
	if (path == QB_SCHED_WAIT) {
		qb_bond_wait_for_paths(b, views, n, qb_bond_inner_len(buf), now_ns);
		return NULL;
	}
	return qb_bond_hand_out(b, qb_bond_take_repair(b), &views[path], path, now_ns);
}

/*
 * pick_returned takes the first of what transport did not take that a path takes now. One that waits for the links of its
 * policy is passed over; true in *is_blocked: another one waits, and all that comes behind with it.
 */
static struct qb_buf *pick_returned(struct qb_bond *b, struct qb_path_view *views, uint32_t n, bool *is_blocked, uint64_t now_ns)
{
	struct qb_path_view room[QB_BOND_PATHS_MAX];
	struct qb_line *l = &b->returned;
	struct qb_buf *before = NULL, *buf;

	*is_blocked = false;
	while ((buf = before ? before->next : l->head)) {
		bool is_lost = is_too_big(views, n, buf);
		int path = is_lost ? QB_SCHED_LATE : choose(b, views, n, buf, &l->refused_ns, now_ns);

		if (path >= 0) {
			buf = qb_bond_hand_out(b, qb_line_take_after(l, before), &views[path], path, now_ns);
			qb_bond_order_anew(b, buf, now_ns);
			return buf;
		}
		if (path == QB_SCHED_LATE) {
			qb_count(b->counters, is_lost ? QB_CNT_DROP_TOO_BIG : QB_CNT_DROP_LATE);
			qb_buf_put(b->pool, qb_line_take_after(l, before));
			continue;
		}
		qb_bond_wait_for_paths(b, qb_bond_via(b, buf, views, n, room), n, qb_bond_inner_len(buf), now_ns);
		if (!qb_bond_is_via(b, buf)) {
			*is_blocked = true;
			return NULL;
		}
		before = buf;
	}
	return NULL;
}

/*
 * has_detour: other paths than the one that lost a packet would take all repairs in less than a second loss would cost, and
 * are not later than that either. What was lost twice takes any.
 */
static bool has_detour(const struct qb_bond *b, const struct qb_path_view *views, uint32_t n, uint32_t loser)
{
	uint64_t lag_ns = b->tuning.outlook.lag_ns[loser] + qb_max_u64(REPAIR_DETOUR_NS, views[loser].srtt_ns);
	bool takes_any = qb_repair_tries(b->repairs.head) > 1;
	uint32_t bytes = qb_bond_inner_len(b->repairs.head), i;
	uint64_t rate_bps = 0;

	for (i = 0; i < n; i++) {
		if (i == loser || views[i].is_far || !qb_view_fits(&views[i], bytes))
			continue;
		if (takes_any)
			return true;
		if (views[i].loss_ppm <= views[loser].loss_ppm && b->tuning.outlook.lag_ns[i] <= lag_ns)
			rate_bps += qb_view_rate_bps(&views[i]);
	}
	return b->repairs.bytes * 8 * QB_NS_PER_SEC <= rate_bps * REPAIR_DETOUR_NS;
}

/*
 * pick_repair: by another path than the one that lost the packet, where that takes little time. What was lost twice leaves
 * by two.
 */
static struct qb_buf *pick_repair(struct qb_bond *b, struct qb_path_view *views, uint32_t n, uint64_t now_ns)
{
	uint8_t loser = b->repairs.head->path;
	uint64_t waits_ns = b->repairs.refused_ns ? now_ns - b->repairs.refused_ns : 0;
	bool is_hidden = loser < n && views[loser].is_usable && waits_ns < REPAIR_DETOUR_NS && has_detour(b, views, n, loser);
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
		b->others_bytes += (int32_t)(qb_bond_inner_len(buf) / QB_MAX(b->queue.owed_flows, 1u));
	return buf;
}

/* spare_repairs passes over what was found to have arrived while it waited to be sent again. */
static void spare_repairs(struct qb_bond *b)
{
	while (b->repairs.head && qb_repair_is_spared(&b->under_way, b->repairs.head)) {
		qb_count(b->counters, QB_CNT_REPAIR_SPARED);
		qb_buf_put(b->pool, qb_bond_take_repair(b));
	}
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
	/* One that was bulk when it came says nothing new: else a call that once had to wait would be bulk for ever. */
	if (p == &b->bulk && !(p->buf->flags & QB_BUF_BULK)) {
		qb_flow_on_backlog(&b->flows, qb_bond_hash_of(p->buf), now_ns);
		p->buf->flags |= QB_BUF_BULK;
	}
	return true;
}

static struct qb_buf *pick_pending(struct qb_bond *b, struct qb_bond_pending *p, struct qb_path_view *views,
				   uint32_t n, uint64_t now_ns)
{
	while (refill(b, p, now_ns)) {
		struct qb_buf *buf = p->buf;
		int path, ride;

		if (is_too_big(views, n, buf)) {
			qb_count(b->counters, QB_CNT_DROP_TOO_BIG);
			qb_buf_put(b->pool, buf);
			p->buf = NULL;
			continue;
		}
		ride = p == &b->bulk ? qb_bond_ride(b, views, n, buf, now_ns) : QB_SCHED_WAIT;
		path = ride >= 0 ? ride : choose(b, views, n, buf, &p->refused_ns, now_ns);
		if (path == QB_SCHED_LATE) {
			qb_queue_refund(&b->queue, buf);
			drop_late(b, buf);
			p->buf = NULL;
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
		qb_bond_meter_tx(b, buf, (uint8_t)path, now_ns);
		qb_bond_pin_sent(b, buf, (uint8_t)path);
		buf = qb_bond_hand_out(b, buf, &views[path], path, now_ns);
		qb_bond_protect(b, buf, now_ns);
		return buf;
	}
	return NULL;
}

/* pick_aside takes the first of those that were set aside whose link takes it now. */
static struct qb_buf *pick_aside(struct qb_bond *b, struct qb_path_view *views, uint32_t n, uint64_t now_ns)
{
	struct qb_path_view room[QB_BOND_PATHS_MAX];
	struct qb_bond_pending *p;

	for (uint32_t slot = 0; (p = qb_bond_aside_next(b, &slot));) {
		struct qb_buf *buf = p->buf;
		int path;

		/* Its link may have become a smaller one while it waited. */
		if (is_too_big(views, n, buf)) {
			qb_bond_aside_done(b, p);
			qb_count(b->counters, QB_CNT_DROP_TOO_BIG);
			qb_buf_put(b->pool, buf);
			continue;
		}
		path = choose(b, views, n, buf, &p->refused_ns, now_ns);
		if (path == QB_SCHED_LATE) {
			qb_bond_aside_done(b, p);
			drop_late(b, buf);
			continue;
		}
		if (path < 0) {
			qb_bond_wait_for_paths(b, qb_bond_via(b, buf, views, n, room), n, qb_bond_inner_len(buf), now_ns);
			continue;
		}
		qb_bond_aside_done(b, p);
		qb_bond_meter_tx(b, buf, (uint8_t)path, now_ns);
		qb_bond_pin_sent(b, buf, (uint8_t)path);
		buf = qb_bond_hand_out(b, buf, &views[path], path, now_ns);
		qb_bond_protect(b, buf, now_ns);
		return buf;
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

/* pick_others: flows that lost nothing take turns with a long line of what is sent again (others_bytes); those of which it is wait. */
static struct qb_buf *pick_others(struct qb_bond *b, struct qb_path_view *views, uint32_t n, uint64_t now_ns)
{
	struct qb_buf *buf = pick_bulk(b, views, n, now_ns);

	if (buf)
		b->others_bytes -= (int32_t)qb_bond_inner_len(buf);
	return buf;
}

/* pick_striped takes what is sent again, or what is striped. */
static struct qb_buf *pick_striped(struct qb_bond *b, struct qb_path_view *views, uint32_t n, bool is_blocked, uint64_t now_ns)
{
	struct qb_buf *buf = NULL;

	b->queue.is_owed_held = qb_bond_has_long_line(b);
	if (b->queue.is_owed_held && b->is_line_mixed)
		qb_bond_part_line(b);
	if (b->queue.is_owed_held && b->others_bytes > 0 && !is_blocked)
		buf = pick_others(b, views, n, now_ns);
	if (!buf && b->repairs.head)
		buf = pick_repair(b, views, n, now_ns);
	if (!buf && !is_blocked)
		buf = pick_bulk(b, views, n, now_ns);
	b->queue.is_owed_held = false;
	return buf;
}

/* look_at_losses tells forward error correction what a call's packets meet on the best path. */
static void look_at_losses(struct qb_bond *b, const struct qb_path_view *views, uint32_t n)
{
	uint8_t path = b->duplication.why_path;

	if (path < n)
		qb_fec_tx_look(&b->fec_tx, b->duplication.why_loss, qb_repair_burst(&b->under_way, path), views[path].srtt_ns);
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
	if (narrow(b, views, n) == 0)
		return NULL;
	if (qb_tuning_is_due(&b->tuning, now_ns))
		b->tuning.absent = qb_links_absent(&b->links);
	if (qb_tuning_look(&b->tuning, &b->queue, views, n, b->chosen, now_ns)) {
		qb_bond_remote_look(b, queued_bytes(b), b->queue.rate_bps, now_ns);
		qb_copies_look(&b->duplication, views, n, b->quality, b->tuning.outlook.lag_ns, now_ns);
		look_at_losses(b, views, n);
	}
	buf = pick_returned(b, views, n, &is_blocked, now_ns);
	if (!buf)
		buf = qb_bond_pick_copy(b, views, n, now_ns);
	if (!buf)
		buf = pick_aside(b, views, n, now_ns);
	if (!buf)
		buf = pick_pending(b, &b->sparse, views, n, now_ns);
	spare_repairs(b);
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

static uint32_t queued_pkts(const struct qb_bond *b)
{
	return b->queue.pkts + b->returned.pkts + b->repairs.pkts + b->copies.pkts + (b->sparse.buf != NULL) + (b->bulk.buf != NULL) +
	       (uint32_t)__builtin_popcountll(b->aside_set);
}

bool qb_bond_has_queued(const struct qb_bond *b)
{
	return b->queue.pkts || b->returned.pkts || b->repairs.pkts || b->copies.pkts || b->sparse.buf || b->bulk.buf || b->aside_set ||
	       qb_fec_tx_deadline_ns(&b->fec_tx) <= b->now_ns;
}

uint64_t qb_bond_tx_deadline_ns(const struct qb_bond *b)
{
	return qb_min_u64(b->tx_deadline_ns, qb_fec_tx_deadline_ns(&b->fec_tx));
}

/* ---- links ---- */

/* follow_rtt: how long a packet may be under way, and one that may be lost is worth sending again. */
static void follow_rtt(struct qb_bond *b, const struct qb_path_obs *obs, uint32_t n)
{
	uint64_t rtt_ns = 0;
	uint32_t i;

	for (i = 0; i < QB_MIN(n, (uint32_t)QB_BOND_PATHS_MAX); i++) {
		if (obs[i].is_open && qb_links_is_alive(&b->links, (uint8_t)i))
			rtt_ns = qb_max_u64(rtt_ns, obs[i].srtt_ns);
	}
	b->slowest_rtt_ns = rtt_ns;
	b->repair_age_ns = REPAIR_AGE_RTTS * rtt_ns;
}

/*
 * wants_tail_probe: the path has no more to send for now, and what it sent last is still under way.
 * If that was lost nothing tells before the probe timeout, so something small goes after it.
 */
static bool wants_tail_probe(struct qb_bond *b, uint8_t path, const struct qb_path_obs *o,
			     uint64_t now_ns)
{
	if (!b->tail_ns[path] || now_ns - b->tail_ns[path] < TAIL_NS)
		return false;
	b->tail_ns[path] = 0;
	return o->oldest_unacked_ns != 0;
}

/*
 * wants_look: a path that was left out as too far behind has nothing under way that would tell what it is like now. Only while
 * there is something to stripe.
 */
static bool wants_look(struct qb_bond *b, uint8_t path, const struct qb_path_obs *o, uint64_t now_ns)
{
	if (!(b->tuning.outlook.far >> path & 1) || o->oldest_unacked_ns || now_ns - b->bulk_ns > LOOK_NS ||
	    now_ns - b->look_ns[path] < LOOK_NS)
		return false;
	b->look_ns[path] = now_ns;
	return true;
}

uint32_t qb_bond_observe(struct qb_bond *b, uint8_t path, const struct qb_path_obs *obs_all,
			 uint32_t n, uint64_t now_ns)
{
	bool was_alive;
	uint32_t actions;

	b->now_ns = now_ns;
	if (path >= n || path >= QB_BOND_PATHS_MAX)
		return QB_LINK_ACT_NONE;
	if (obs_all[path].is_open) {
		qb_reorder_set_rtt(&b->reorder, path, obs_all[path].srtt_ns + 2 * obs_all[path].rttvar_ns);
		follow_rtt(b, obs_all, n);
	}
	was_alive = qb_links_is_alive(&b->links, path);
	actions = qb_links_observe(&b->links, path, obs_all, QB_MIN(n, (uint32_t)QB_BOND_PATHS_MAX),
				   now_ns);
	if (wants_tail_probe(b, path, &obs_all[path], now_ns) || wants_look(b, path, &obs_all[path], now_ns))
		actions |= QB_LINK_ACT_PROBE;
	if (qb_bond_remote_fill(b, path, &obs_all[path], now_ns))
		actions |= QB_LINK_ACT_FILL;
	qb_sbd_observe(&b->sbd, path, &obs_all[path], now_ns);
	if (was_alive && qb_links_is_alive(&b->links, path))
		qb_quality_observe(&b->quality[path], &obs_all[path], now_ns);
	else
		qb_quality_skip(&b->quality[path], &obs_all[path], now_ns);
	return actions;
}

uint64_t qb_bond_observe_deadline_ns(const struct qb_bond *b)
{
	return qb_min_u64(qb_links_deadline_ns(&b->links), qb_bond_tail_due_ns(b));
}

void qb_bond_path_reset(struct qb_bond *b, uint8_t path, bool is_present, enum qb_tier tier,
			uint64_t now_ns)
{
	QB_BUG_ON(path >= QB_BOND_PATHS_MAX);
	b->now_ns = now_ns;
	qb_links_reset(&b->links, path, is_present, tier, now_ns);
	qb_quality_reset(&b->quality[path]);
	qb_reorder_path_reset(&b->reorder, path);
	qb_warm_reset(&b->warm, path);
	qb_tuning_reset(&b->tuning, path);
	qb_sbd_reset(&b->sbd, path);
	b->pinning.filled_ns[path] = 0;
	b->remote.filled_ns[path] = 0;
}

void qb_bond_set_rank(struct qb_bond *b, uint8_t path, uint8_t rank)
{
	QB_BUG_ON(path >= QB_BOND_PATHS_MAX || rank >= QB_BOND_PATHS_MAX);
	qb_links_set_rank(&b->links, path, rank, b->now_ns);
}

void qb_bond_get_stats(const struct qb_bond *b, struct qb_bond_stats *out)
{
	/* What is copied is not corrected, too. */
	bool is_fec_on = b->has_fec && b->fec_tx.is_on && !b->duplication.pays;

	*out = (struct qb_bond_stats){
		.queued_pkts = queued_pkts(b),
		.queued_bytes = queued_bytes(b),
		.queue_delay_ns = b->queue_delay_ns,
		.held_pkts = b->reorder.held_cnt,
		.hold_ns = b->reorder.hold_ns,
		.sched = b->scheds[0].sched->name,
		.is_fec_on = is_fec_on,
		.call_loss = b->fec_tx.why_loss,
		.call_burst = b->fec_tx.why_burst,
		.fec_share = is_fec_on ? b->fec_tx.share : 0,
	};
	qb_copies_reason(&b->duplication, out->protection, sizeof(out->protection));
	if (is_fec_on)
		qb_fec_tx_reason(&b->fec_tx, out->protection, sizeof(out->protection));
}
