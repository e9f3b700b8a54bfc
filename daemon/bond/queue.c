/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fq_codel (RFC 8290) for the tunnel, called by qb_bond_enqueue and qb_bond_pick.
 *
 *     idle ──push──► sparse list ──quantum used up, or a bulk packet──► bulk list (round robin)
 *       ▲                │ empty                                          │ empty
 *       └────────────────┴────────────────────────────────────────────────┘
 *
 * Unlike in RFC 8290 §4.2 a flow that ran empty leaves its list at once, instead of passing
 * through the round robin first, or staying there for another turn: the flow table already limits
 * what a sparse flow may send (bond/flow.h), and a call must not take its turn behind fifty
 * downloads. The AQM of each queue is in codel.c.
 */
#include "bond/codel.h"

#include "base/slab.h"

enum {
	/* Up to so many are dropped from the fattest flow at once: that pays for looking for it. */
	OVERLIMIT_DROPS = 16,
	/* A bulk flow's turn: what leaves in this time, but no more than half a super-packet. */
	TURN_US = 100,
	TURN_MAX_BYTES = 32 * 1024,
	REALTIME_BURST_MS = 50, /* of half the rate: what realtime flows may send at once */
	CALL_MAX_BYTES = 512, /* speech, games; what is tunnelled through UDP is larger */
	DUE_LOOKS = 64, /* flows that are compared by their deadlines */
	/* Flows that are passed over in one call; the next call begins behind them. */
	HELD_LOOKS = 32,
	/* A flow's queue is one of a set of so many; their owners are half a cache line. */
	WAYS = 8,
};

size_t qb_queue_footprint(void)
{
	return QB_QUEUE_ALL * (sizeof(struct qb_queue_flow) + 2 * sizeof(uint32_t));
}

static void clear_lists(struct qb_queue *q)
{
	for (uint32_t i = 0; i < QB_QUEUE_LIST_CNT; i++)
		q->lists[i].head = q->lists[i].tail = QB_QUEUE_NONE;
}

void qb_queue_init(struct qb_queue *q, void *mem, uint32_t cap_pkts, struct qb_pool *pool,
		   struct qb_counters *counters)
{
	memset(q, 0, sizeof(*q));
	q->flows = mem;
	q->backlog_bytes = (uint32_t *)(void *)(q->flows + QB_QUEUE_ALL);
	q->owners = q->backlog_bytes + QB_QUEUE_ALL;
	q->pool = pool;
	q->counters = counters;
	q->cap_pkts = cap_pkts;
	q->turn_bytes = QB_QUEUE_QUANTUM_BYTES;
	q->part = QB_QUEUE_BULK;
	q->target_ns = QB_CODEL_TARGET_NS;
	q->interval_ns = QB_CODEL_INTERVAL_NS;
	q->ramp_ns = QB_CODEL_INTERVAL_NS;
	q->shallow_ns = QB_L4S_TARGET_NS;
	clear_lists(q);
}

void qb_queue_forget(struct qb_queue *q)
{
	QB_BUG_ON(q->pkts);
	memset(q->touched, 0, sizeof(q->touched));
	q->owed_flows = 0;
	q->was_used = false;
	clear_lists(q);
}

void qb_queue_set_target(struct qb_queue *q, uint64_t target_ns, uint64_t interval_ns,
			 uint64_t ramp_ns, uint64_t rtt_ns)
{
	q->ramp_ns = ramp_ns;
	q->rtt_ns = rtt_ns;
	q->target_ns = target_ns;
	q->interval_ns = interval_ns;
}

void qb_queue_set_shallow(struct qb_queue *q, uint64_t shallow_ns)
{
	q->shallow_ns = shallow_ns;
}

void qb_queue_set_rate(struct qb_queue *q, uint64_t rate_bps)
{
	uint64_t turn_bytes = rate_bps / 8 * TURN_US / (QB_NS_PER_SEC / QB_NS_PER_US);

	q->rate_bps = rate_bps;
	turn_bytes = qb_max_u64(turn_bytes, QB_QUEUE_QUANTUM_BYTES);
	q->turn_bytes = (int32_t)qb_min_u64(turn_bytes, TURN_MAX_BYTES);
}

void qb_queue_set_classes(struct qb_queue *q, const struct qb_classes *classes)
{
	q->classes = classes;
}

/* ---- which queue is a flow's ---- */

static bool was_touched(const struct qb_queue *q, uint32_t idx)
{
	return q->touched[idx / 64] >> (idx % 64) & 1;
}

static struct qb_queue_flow *flow_at(struct qb_queue *q, uint32_t idx)
{
	if (!was_touched(q, idx)) {
		memset(&q->flows[idx], 0, sizeof(q->flows[idx]));
		q->touched[idx / 64] |= UINT64_C(1) << (idx % 64);
	}
	return &q->flows[idx];
}

/* first_way is the queue that the flow's hash points to: each class has its own ones. */
static uint32_t first_way(enum qb_class class, uint32_t hash)
{
	static const uint16_t first[QB_CLASS_CNT] = {
		[QB_CLASS_REALTIME] = QB_QUEUE_FLOWS,
		[QB_CLASS_INTERACTIVE] = QB_QUEUE_FLOWS + QB_QUEUE_CLASSED,
		[QB_CLASS_BACKGROUND] = QB_QUEUE_FLOWS + 2 * QB_QUEUE_CLASSED,
	};

	return first[class] ? first[class] + hash % QB_QUEUE_CLASSED : hash % QB_QUEUE_FLOWS;
}

static uint32_t other_way(uint32_t first, uint32_t i)
{
	_Static_assert(QB_QUEUE_FLOWS % WAYS == 0 && QB_QUEUE_CLASSED % WAYS == 0, "whole sets");
	return first - first % WAYS + (first + i) % WAYS;
}

/* queue_of finds the queue that the flow has, or shares. */
static uint32_t queue_of(const struct qb_queue *q, enum qb_class class, uint32_t hash)
{
	uint32_t first = first_way(class, hash);

	for (uint32_t i = 0; i < WAYS; i++)
		if (q->owners[other_way(first, i)] == hash)
			return other_way(first, i);
	return first;
}

/* take_over makes an idle queue the flow's: what CoDel knows of another one is not held against it. */
static void take_over(struct qb_queue *q, uint32_t idx, uint32_t hash)
{
	struct qb_queue_flow *f = flow_at(q, idx);

	q->owners[idx] = hash;
	f->first_above_ns = f->drop_next_ns = 0;
	f->drop_cnt = f->last_drop_cnt = 0;
	f->deficit_bytes = 0;
	f->is_dropping = f->is_shared = false;
}

/*
 * claim finds the queue for the flow's next packet. Where all of its set are in use it shares the first one, and goes on to do so while
 * that holds packets which may be its own: they stay in order.
 */
static uint32_t claim(struct qb_queue *q, enum qb_class class, uint32_t hash)
{
	uint32_t idx = queue_of(q, class, hash), first = first_way(class, hash);

	if (q->owners[idx] == hash || (q->backlog_bytes[first] && flow_at(q, first)->is_shared))
		return idx;
	for (uint32_t i = 0; i < WAYS; i++) {
		idx = other_way(first, i);
		if (q->backlog_bytes[idx] || flow_at(q, idx)->list != QB_QUEUE_IDLE)
			continue;
		take_over(q, idx, hash);
		return idx;
	}
	flow_at(q, first)->is_shared = true;
	return first;
}

/* ---- lists of flow queues ---- */

static struct qb_queue_flow *list_head(const struct qb_queue *q, enum qb_queue_list list)
{
	uint16_t idx = q->lists[list].head;

	return idx == QB_QUEUE_NONE ? NULL : &q->flows[idx];
}

static void list_append(struct qb_queue *q, enum qb_queue_list list, struct qb_queue_flow *f)
{
	struct qb_queue_list_ends *ends = &q->lists[list];
	uint16_t idx = qb_queue_idx_of(q, f);

	f->list = (uint8_t)list;
	f->next = QB_QUEUE_NONE;
	if (ends->tail == QB_QUEUE_NONE)
		ends->head = idx;
	else
		q->flows[ends->tail].next = idx;
	ends->tail = idx;
}

static void list_pop(struct qb_queue *q, enum qb_queue_list list)
{
	struct qb_queue_list_ends *ends = &q->lists[list];
	struct qb_queue_flow *f = &q->flows[ends->head];

	ends->head = f->next;
	if (ends->head == QB_QUEUE_NONE)
		ends->tail = QB_QUEUE_NONE;
	f->list = QB_QUEUE_IDLE;
}

/* keeps_to_held: its flow keeps to a path that is busy. One that sends little keeps to none. */
static bool keeps_to_held(const struct qb_queue *q, const struct qb_queue_flow *f)
{
	uint32_t hash = (uint32_t)f->head->meta;
	const struct qb_pin *pin = &q->pins[qb_pin_of(hash)];

	return f->list >= QB_QUEUE_INTERACTIVE && pin->until_ns && (!pin->flow || pin->flow == hash) && q->held_paths >> pin->path & 1;
}

static bool has_owed(const struct qb_queue *q, const struct qb_buf *b)
{
	uint32_t idx = first_way(qb_buf_class(b), (uint32_t)b->meta);

	return was_touched(q, idx) && q->flows[idx].owed;
}

/* is_held: its first packet belongs to a policy, or to a flow, whose packets must stay. */
static bool is_held(const struct qb_queue *q, const struct qb_queue_flow *f)
{
	uint32_t rule = f->head ? qb_buf_rule(f->head) : QB_RULE_NONE;

	if (q->held_paths && f->head && keeps_to_held(q, f))
		return true;
	if (q->is_owed_held && f->head && has_owed(q, f->head))
		return true;
	return q->held_rules && rule < QB_POLICY_RULES_MAX && q->held_rules >> rule & 1;
}

static uint64_t due_ns(const struct qb_queue *q, uint16_t idx)
{
	const struct qb_buf *b = q->flows[idx].head;

	return b && !is_held(q, &q->flows[idx]) ? qb_classes_due_ns(q->classes, b) : QB_NEVER_NS;
}

/* most_urgent is the list's head, after the flow with the earliest deadline was put there. */
static struct qb_queue_flow *most_urgent(struct qb_queue *q, enum qb_queue_list list)
{
	struct qb_queue_list_ends *ends = &q->lists[list];
	uint16_t idx = ends->head, before = QB_QUEUE_NONE, best_before = QB_QUEUE_NONE, best;
	uint64_t best_ns = QB_NEVER_NS;

	if (!qb_queue_has_deadlines(q) || idx == QB_QUEUE_NONE || idx == ends->tail)
		return list_head(q, list);
	best_ns = due_ns(q, idx);
	for (uint32_t i = 1; i < DUE_LOOKS && q->flows[idx].next != QB_QUEUE_NONE; i++) {
		uint64_t at_ns;

		before = idx;
		idx = q->flows[idx].next;
		at_ns = due_ns(q, idx);
		if (at_ns >= best_ns)
			continue;
		best_ns = at_ns;
		best_before = before;
	}
	if (best_before == QB_QUEUE_NONE)
		return list_head(q, list);
	best = q->flows[best_before].next;
	q->flows[best_before].next = q->flows[best].next;
	if (ends->tail == best)
		ends->tail = best_before;
	q->flows[best].next = ends->head;
	ends->head = best;
	return &q->flows[best];
}

/* ---- in and out ---- */

static void drop_from_fattest(struct qb_queue *q)
{
	uint32_t i, fattest = 0, n, floor_bytes;
	struct qb_queue_flow *f;

	for (i = 1; i < QB_QUEUE_ALL; i++) {
		if (q->backlog_bytes[i] > q->backlog_bytes[fattest])
			fattest = i;
	}
	f = flow_at(q, fattest);
	floor_bytes = q->backlog_bytes[fattest] / 2;
	for (n = 0; n < OVERLIMIT_DROPS && f->head; n++) {
		if (n > 0 && q->backlog_bytes[fattest] <= floor_bytes)
			break;
		qb_codel_drop(q, qb_codel_take_plain(q, f));
	}
}

static enum qb_queue_list home_of(enum qb_class class)
{
	static const uint8_t home[QB_CLASS_CNT] = {
		[QB_CLASS_AUTO] = QB_QUEUE_BULK,
		[QB_CLASS_REALTIME] = QB_QUEUE_INTERACTIVE,
		[QB_CLASS_INTERACTIVE] = QB_QUEUE_INTERACTIVE,
		[QB_CLASS_BULK] = QB_QUEUE_BULK,
		[QB_CLASS_BACKGROUND] = QB_QUEUE_BACKGROUND,
	};

	return (enum qb_queue_list)home[class];
}

/*
 * join_round has the flow take turns with the others of its class. What it owes from before it still owes: who runs empty
 * after each packet gains nothing by coming back. What it took as realtime was its due.
 */
static void join_round(struct qb_queue *q, struct qb_queue_flow *f)
{
	f->deficit_bytes = QB_MAX(QB_MIN(f->deficit_bytes, QB_QUEUE_QUANTUM_BYTES), -QB_QUEUE_QUANTUM_BYTES);
	list_append(q, f->home, f);
}

void qb_queue_push(struct qb_queue *q, struct qb_buf *b, uint32_t hash, uint64_t now_ns)
{
	enum qb_class class = qb_buf_class(b);
	struct qb_queue_flow *f;
	uint32_t idx;

	if (QB_UNLIKELY(!q->was_used)) {
		qb_clear_sparse(q->backlog_bytes, QB_QUEUE_ALL * sizeof(uint32_t));
		qb_clear_sparse(q->owners, QB_QUEUE_ALL * sizeof(uint32_t));
		q->was_used = true;
	}
	idx = claim(q, class, hash);
	f = flow_at(q, idx);
	b->rx_ns = now_ns;
	b->next = NULL;
	if (f->tail)
		f->tail->next = b;
	else
		f->head = b;
	f->tail = b;
	q->backlog_bytes[idx] += b->len;
	q->bytes += b->len;
	q->pkts++;
	if (f->list == QB_QUEUE_IDLE) {
		f->is_shared = false;
		f->home = (uint8_t)home_of(class);
		if (b->flags & QB_BUF_BULK) {
			join_round(q, f);
		} else {
			f->deficit_bytes = QB_QUEUE_QUANTUM_BYTES;
			list_append(q, class == QB_CLASS_REALTIME ? QB_QUEUE_REALTIME : QB_QUEUE_SPARSE, f);
		}
	}
	if (q->pkts > q->cap_pkts)
		drop_from_fattest(q);
}

/*
 * charge_realtime books a packet of a realtime flow. What marks itself urgent gets half of the rate before all others; who
 * wants more takes turns: a mark must not be a way to starve everybody else. So does a call that waited for so long that it is
 * beyond its quantum.
 */
static void charge_realtime(struct qb_queue *q, uint32_t bytes, uint64_t now_ns)
{
	if (q->rate_bps)
		q->realtime_ns = qb_max_u64(q->realtime_ns, now_ns) + (uint64_t)bytes * 16 * QB_NS_PER_SEC / q->rate_bps;
}

static bool is_within_half(const struct qb_queue *q, uint64_t now_ns)
{
	return q->realtime_ns < now_ns + REALTIME_BURST_MS * QB_NS_PER_MS;
}

/*
 * is_call: its sender does not slow down. When it had to wait for longer than its quantum lasts, as through an outage, the turn that
 * it would take among the transfers of a small link is less than it needs: it would be late, and lose packets, for good.
 */
static bool is_call(const struct qb_buf *b)
{
	return b->flags & QB_BUF_BRIEF && b->len <= CALL_MAX_BYTES;
}

static bool may_go_first(const struct qb_queue *q, const struct qb_queue_flow *f, enum qb_queue_list list, uint64_t now_ns)
{
	if (f->head->flags & QB_BUF_BULK)
		return false;
	if (list == QB_QUEUE_REALTIME)
		return is_within_half(q, now_ns);
	return f->deficit_bytes > 0 || (q->rate_bps && is_call(f->head) && is_within_half(q, now_ns));
}

/*
 * pass_over moves a flow whose packets must stay to the end of its list; *looks is how many more times. False: it is none of
 * those.
 */
static bool pass_over(struct qb_queue *q, struct qb_queue_flow *f, enum qb_queue_list list, uint32_t *looks)
{
	if (!is_held(q, f))
		return false;
	--*looks;
	list_pop(q, list);
	list_append(q, list, f);
	return true;
}

static struct qb_buf *pop_first(struct qb_queue *q, enum qb_queue_list list, uint64_t now_ns)
{
	uint32_t looks = HELD_LOOKS;
	struct qb_queue_flow *f;
	struct qb_buf *b;

	while (looks && (f = most_urgent(q, list))) {
		if (pass_over(q, f, list, &looks))
			continue;
		if (f->head && !may_go_first(q, f, list, now_ns)) {
			list_pop(q, list);
			join_round(q, f);
			continue;
		}
		b = qb_codel_take(q, f, now_ns);
		if (!f->head)
			list_pop(q, list);
		if (!b)
			continue;
		if (list == QB_QUEUE_REALTIME || f->deficit_bytes <= 0)
			charge_realtime(q, b->len, now_ns);
		f->deficit_bytes = QB_MAX(f->deficit_bytes - (int32_t)b->len, -QB_QUEUE_QUANTUM_BYTES);
		return b;
	}
	return NULL;
}

struct qb_buf *qb_queue_pop_sparse(struct qb_queue *q, uint64_t now_ns)
{
	struct qb_buf *b = pop_first(q, QB_QUEUE_REALTIME, now_ns);

	return b ? b : pop_first(q, QB_QUEUE_SPARSE, now_ns);
}

/*
 * part_in_turn chooses among the classes that have something: deficit round robin with parts of 12, 7 and 1. So the
 * background is left a twentieth at the least, and interactive traffic that has become bulk takes less than twice what
 * the bulk has.
 */
static enum qb_queue_list part_in_turn(struct qb_queue *q)
{
	static const uint8_t parts[QB_QUEUE_LIST_CNT] = {
		[QB_QUEUE_INTERACTIVE] = 12, [QB_QUEUE_BULK] = 7, [QB_QUEUE_BACKGROUND] = 1};

	/* A deficit is less than a packet, and each part more: the second round finds one. */
	for (uint32_t i = 0; i < 2 * (QB_QUEUE_LIST_CNT - QB_QUEUE_INTERACTIVE) + 1; i++) {
		if (!list_head(q, q->part))
			q->part_bytes[q->part] = 0;
		else if (q->part_bytes[q->part] > 0)
			return q->part;
		if (++q->part == QB_QUEUE_LIST_CNT)
			q->part = QB_QUEUE_INTERACTIVE;
		q->part_bytes[q->part] += parts[q->part] * q->turn_bytes;
	}
	return q->part;
}

struct qb_buf *qb_queue_pop_bulk(struct qb_queue *q, uint64_t now_ns)
{
	uint32_t looks = HELD_LOOKS;
	enum qb_queue_list list;
	struct qb_queue_flow *f;
	struct qb_buf *b;

	while (looks && ((list = part_in_turn(q)), (f = list_head(q, list)))) {
		if (pass_over(q, f, list, &looks)) {
			/* The others' turn comes no later for it. */
			if (looks % (HELD_LOOKS / 4) == 0)
				q->part_bytes[list] = 0;
			continue;
		}
		if (f->head && f->deficit_bytes <= 0) {
			f->deficit_bytes += q->turn_bytes;
			list_pop(q, list);
			list_append(q, list, f);
			continue;
		}
		b = qb_codel_take(q, f, now_ns);
		/* Were it to stay until it is found empty, the next packet that may go first would join it here. */
		if (!f->head)
			list_pop(q, list);
		if (!b)
			continue;
		f->deficit_bytes -= (int32_t)b->len;
		q->part_bytes[list] -= (int32_t)b->len;
		return b;
	}
	return NULL;
}

void qb_queue_owe(struct qb_queue *q, const struct qb_buf *b, bool is_owed)
{
	struct qb_queue_flow *f = flow_at(q, first_way(qb_buf_class(b), (uint32_t)b->meta));

	if (is_owed ? f->owed == UINT16_MAX : f->owed == 0)
		return;
	q->owed_flows += is_owed && f->owed == 0;
	f->owed = (uint16_t)(is_owed ? f->owed + 1 : f->owed - 1);
	q->owed_flows -= !is_owed && f->owed == 0;
}

void qb_queue_refund(struct qb_queue *q, const struct qb_buf *b)
{
	struct qb_queue_flow *f = flow_at(q, queue_of(q, qb_buf_class(b), (uint32_t)b->meta));

	f->deficit_bytes += (int32_t)b->len;
	if (f->list >= QB_QUEUE_INTERACTIVE)
		q->part_bytes[f->list] += (int32_t)b->len;
}

void qb_queue_fini(struct qb_queue *q)
{
	uint32_t i;

	for (i = 0; i < QB_QUEUE_ALL && q->pkts; i++) {
		struct qb_buf *b;

		if (!q->backlog_bytes[i])
			continue;
		while ((b = qb_codel_take_plain(q, &q->flows[i])))
			qb_buf_put(q->pool, b);
	}
}
