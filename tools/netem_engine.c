/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The link emulation engine: a queue that a serialiser empties, and a wire on which packets are due
 * at a time. The serialiser runs lazily, in exact virtual time: however late it is called, packets
 * leave when they would have. Called by quicbond-netem's loop and by tests/sim, one thread an
 * engine.
 */
#include "tools/netem_engine.h"

enum { NORMAL_SIGMAS = 6, DEFAULT_LIMIT_PKTS = 1000, POLICE_BURST_MIN_BYTES = 10000 };

struct qb_netem_entry {
	struct qb_timer due;
	struct qb_netem_entry *next;
	void *pkt;
	uint32_t len;
	uint8_t drop; /* enum qb_netem_drop */
	bool is_dup, is_corrupt, is_late;
	uint64_t begin_ns; /* it came into the queue */
	uint64_t corrupt_rand;
};

const char *const qb_netem_drop_names[QB_NETEM_DROP_CNT] = {
	[QB_NETEM_TAKEN] = "taken",	 [QB_NETEM_DROP_DOWN] = "down",
	[QB_NETEM_DROP_MTU] = "mtu",	 [QB_NETEM_DROP_POLICE] = "police",
	[QB_NETEM_DROP_QUEUE] = "queue", [QB_NETEM_DROP_LOSS] = "loss",
	[QB_NETEM_DROP_BURST] = "burst", [QB_NETEM_DROP_FULL] = "full",
};

/* ---- lists ---- */

static void list_init(struct qb_netem_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static void list_push(struct qb_netem_list *l, struct qb_netem_entry *en)
{
	en->next = NULL;
	*l->tail = en;
	l->tail = &en->next;
}

static struct qb_netem_entry *list_pop(struct qb_netem_list *l)
{
	struct qb_netem_entry *en = l->head;

	l->head = en->next;
	if (!l->head)
		l->tail = &l->head;
	return en;
}

/* ---- dice ---- */

/* hits is drawn even for 0, so that the n-th packet gets the n-th number whatever was set before.
 */
static bool hits(struct qb_netem *e, enum qb_netem_die die, double probability)
{
	return qb_rand_unit(&e->dice[die]) < probability;
}

/* is_unlucky: hits, but not for longer than the streak is allowed to be. */
static bool is_unlucky(struct qb_netem *e, enum qb_netem_die die, double probability, uint32_t *streak)
{
	bool is_hit = hits(e, die, probability) && (!e->params.streak || *streak < e->params.streak);

	*streak = is_hit ? *streak + 1 : 0;
	return is_hit;
}

static double power(double x, uint64_t n)
{
	double y = 1;

	for (; n; n >>= 1, x *= x)
		if (n & 1)
			y *= x;
	return y;
}

/* ge_turn_chance: that the link's state is another one than at the last packet's time. */
static double ge_turn_chance(struct qb_netem *e, uint64_t sent_ns)
{
	const struct qb_netem_params *p = &e->params;
	uint64_t step_ns = p->ge_step_ns, turns = 1;
	double bad = p->ge_p / (p->ge_p + p->ge_r);

	if (step_ns)
		turns = qb_max_u64(1, qb_sub_sat_u64(sent_ns, e->ge_ns) / step_ns);
	e->ge_ns = sent_ns;
	return (e->is_ge_bad ? 1 - bad : bad) * (1 - power(1 - p->ge_p - p->ge_r, turns));
}

static bool is_burst_lost(struct qb_netem *e, uint64_t sent_ns)
{
	const struct qb_netem_params *p = &e->params;
	double turn = qb_rand_unit(&e->dice[QB_NETEM_DIE_GE]);
	double fate = qb_rand_unit(&e->dice[QB_NETEM_DIE_GE]);

	if (p->ge_p <= 0) {
		e->is_ge_bad = false;
		return false;
	}
	if (turn < ge_turn_chance(e, sent_ns))
		e->is_ge_bad = !e->is_ge_bad;
	return fate < (e->is_ge_bad ? p->ge_bad : p->ge_good);
}

/* normal_unit is near enough to N(0, 1): the sum of twelve uniform numbers, within 6 deviations. */
static double normal_unit(struct qb_rand *r)
{
	uint32_t sum = 0;

	for (int i = 0; i < 3; i++) {
		uint64_t v = qb_rand_u64(r);

		sum += (uint32_t)((v & 0xffff) + (v >> 16 & 0xffff) + (v >> 32 & 0xffff) +
				  (v >> 48));
	}
	return (double)sum / 65536.0 - 6.0;
}

static uint64_t jittered_delay_ns(struct qb_netem *e)
{
	const struct qb_netem_params *p = &e->params;
	double unit, ns;

	if (p->jitter_ns == 0)
		return p->delay_ns;
	if (p->dist == QB_NETEM_NORMAL)
		unit = normal_unit(&e->dice[QB_NETEM_DIE_JITTER]);
	else
		unit = 2 * qb_rand_unit(&e->dice[QB_NETEM_DIE_JITTER]) - 1;
	ns = (double)p->delay_ns + unit * (double)p->jitter_ns;
	return ns > 0 ? (uint64_t)ns : 0;
}

/* ---- time on the link ---- */

static uint64_t bits_time_ns(uint64_t bytes, uint64_t rate_bps)
{
	unsigned __int128 ns = (unsigned __int128)bytes * 8 * QB_NS_PER_SEC / rate_bps;

	return ns < QB_NEVER_NS / 2 ? (uint64_t)ns : QB_NEVER_NS / 2;
}

static uint64_t wire_bytes(const struct qb_netem_params *p, uint32_t len)
{
	int64_t bytes = (int64_t)len + p->overhead_bytes;

	return bytes > 0 ? (uint64_t)bytes : 0;
}

static uint64_t send_time_ns(const struct qb_netem_params *p, uint32_t len)
{
	return p->rate_bps ? bits_time_ns(wire_bytes(p, len), p->rate_bps) : 0;
}

/* is_reordered: only every gap-th packet is a candidate. */
static bool is_reordered(struct qb_netem *e)
{
	bool is_hit = hits(e, QB_NETEM_DIE_REORDER, e->params.reorder);

	if (++e->gap_idx < e->params.reorder_gap)
		return false;
	e->gap_idx = 0;
	return is_hit;
}

/*
 * put_on_wire decides all that happens to a packet whose last bit has left at sent_ns. Those kept
 * in order arrive at least a nanosecond apart, for the heap does not keep the order of equals.
 */
static void put_on_wire(struct qb_netem *e, struct qb_netem_entry *en, uint64_t sent_ns)
{
	const struct qb_netem_params *p = &e->params;
	bool is_late = is_reordered(e);
	uint64_t at_ns = sent_ns + jittered_delay_ns(e);

	en->is_dup = hits(e, QB_NETEM_DIE_DUP, p->dup);
	en->is_corrupt = is_unlucky(e, QB_NETEM_DIE_CORRUPT, p->corrupt, &e->corrupt_streak);
	en->corrupt_rand = en->is_corrupt ? qb_rand_u64(&e->dice[QB_NETEM_DIE_CORRUPT]) : 0;
	if (is_unlucky(e, QB_NETEM_DIE_LOSS, p->loss, &e->lost_streak))
		en->drop = QB_NETEM_DROP_LOSS;
	if (is_burst_lost(e, sent_ns) && !en->drop)
		en->drop = QB_NETEM_DROP_BURST;
	if (en->drop) {
		list_push(&e->lost, en);
		return;
	}
	if (is_late) {
		at_ns += p->reorder_delay_ns;
		e->stats.reorder_pkts++;
	} else if (!p->is_jitter_reorder || p->jitter_ns == 0) {
		at_ns = qb_max_u64(at_ns, e->arrival_ns + 1);
		e->arrival_ns = at_ns;
	}
	qb_heap_set(&e->wire, &en->due, at_ns);
}

static void pop_to_wire(struct qb_netem *e)
{
	struct qb_netem_entry *en = list_pop(&e->queue);
	uint64_t sent_ns = e->sent_at_ns;
	uint64_t waited_ns = qb_sub_sat_u64(sent_ns - en->begin_ns, send_time_ns(&e->params, en->len));

	en->is_late = e->params.mark_ns && waited_ns > e->params.mark_ns;
	e->stats.late_pkts += en->is_late;
	e->queue_pkts--;
	e->queue_bytes -= en->len;
	if (e->queue.head)
		e->sent_at_ns += send_time_ns(&e->params, e->queue.head->len);
	put_on_wire(e, en, sent_ns);
}

/* advance brings the serialiser up to now. */
static void advance(struct qb_netem *e, uint64_t now_ns)
{
	e->now_ns = qb_max_u64(e->now_ns, now_ns);
	while (e->queue.head && e->sent_at_ns <= e->now_ns)
		pop_to_wire(e);
}

uint64_t qb_netem_queue_ns(const struct qb_netem *e)
{
	const struct qb_netem_params *p = &e->params;
	uint64_t behind_bytes;
	int64_t overhead;

	if (!e->queue.head || p->rate_bps == 0)
		return 0;
	behind_bytes = e->queue_bytes - e->queue.head->len;
	overhead = (int64_t)(e->queue_pkts - 1) * p->overhead_bytes;
	if (overhead < 0)
		behind_bytes = qb_sub_sat_u64(behind_bytes, (uint64_t)-overhead);
	else
		behind_bytes += (uint64_t)overhead;
	return qb_sub_sat_u64(e->sent_at_ns, e->now_ns) + bits_time_ns(behind_bytes, p->rate_bps);
}

/* ---- admission ---- */

/* is_policed is a token bucket, kept as the time at which it will be full again (GCRA). */
static bool is_policed(struct qb_netem *e, uint32_t len)
{
	const struct qb_netem_params *p = &e->params;
	uint64_t burst_bytes = p->police_burst_bytes;
	uint64_t full_ns, cost_ns, depth_ns;

	if (p->police_bps == 0)
		return false;
	if (burst_bytes == 0)
		burst_bytes = qb_max_u64(p->police_bps / 800, POLICE_BURST_MIN_BYTES);
	full_ns = qb_max_u64(e->police_tat_ns, e->now_ns);
	cost_ns = bits_time_ns(wire_bytes(p, len), p->police_bps);
	depth_ns = bits_time_ns(burst_bytes, p->police_bps);
	if (full_ns - e->now_ns + cost_ns > depth_ns)
		return true;
	e->police_tat_ns = full_ns + cost_ns;
	return false;
}

static bool is_queue_full(const struct qb_netem *e, uint32_t len)
{
	const struct qb_netem_params *p = &e->params;

	if (p->rate_bps == 0)
		return false;
	return (p->limit_pkts && e->queue_pkts >= p->limit_pkts) ||
	       (p->limit_bytes && e->queue_bytes + len > p->limit_bytes) ||
	       (p->limit_ns && qb_netem_queue_ns(e) > p->limit_ns);
}

static enum qb_netem_drop admit(struct qb_netem *e, uint32_t len)
{
	if (e->params.is_down)
		return QB_NETEM_DROP_DOWN;
	if (e->params.mtu_bytes && len > e->params.mtu_bytes + e->l2_bytes)
		return QB_NETEM_DROP_MTU;
	if (is_policed(e, len))
		return QB_NETEM_DROP_POLICE;
	return is_queue_full(e, len) ? QB_NETEM_DROP_QUEUE : QB_NETEM_TAKEN;
}

static void queue_push(struct qb_netem *e, struct qb_netem_entry *en)
{
	if (!e->queue.head)
		e->sent_at_ns = e->now_ns + send_time_ns(&e->params, en->len);
	en->begin_ns = e->now_ns;
	list_push(&e->queue, en);
	e->queue_pkts++;
	e->queue_bytes += en->len;
	e->stats.queue_max_pkts = qb_max_u64(e->stats.queue_max_pkts, e->queue_pkts);
	e->stats.queue_max_bytes = qb_max_u64(e->stats.queue_max_bytes, e->queue_bytes);
}

enum qb_netem_drop qb_netem_enqueue(struct qb_netem *e, void *pkt, uint32_t len, uint64_t now_ns)
{
	struct qb_netem_entry *en = NULL;
	enum qb_netem_drop drop;

	advance(e, now_ns);
	e->stats.in_pkts++;
	e->stats.in_bytes += len;
	drop = admit(e, len);
	if (!drop) {
		en = qb_slab_get(&e->entries);
		if (!en)
			drop = QB_NETEM_DROP_FULL;
	}
	if (drop) {
		e->stats.drops[drop]++;
		return drop;
	}
	*en = (struct qb_netem_entry){.pkt = pkt, .len = len};
	if (e->params.rate_bps)
		queue_push(e, en);
	else
		put_on_wire(e, en, e->now_ns);
	return QB_NETEM_TAKEN;
}

/* ---- delivery ---- */

uint64_t qb_netem_deadline_ns(const struct qb_netem *e)
{
	const struct qb_netem_params *p = &e->params;
	const struct qb_timer *first = qb_heap_first(&e->wire);
	uint64_t at_ns = first ? first->at_ns : QB_NEVER_NS;
	uint64_t spread_ns = p->jitter_ns * (p->dist == QB_NETEM_NORMAL ? NORMAL_SIGMAS : 1);

	if (e->lost.head)
		return e->now_ns;
	/* The head has no arrival time yet, but it cannot come sooner than this. */
	if (e->queue.head)
		at_ns = qb_min_u64(at_ns, e->sent_at_ns + qb_sub_sat_u64(p->delay_ns, spread_ns));
	return at_ns;
}

static void give_back(struct qb_netem *e, struct qb_netem_entry *en, struct qb_netem_out *out)
{
	*out = (struct qb_netem_out){
		.pkt = en->pkt,
		.len = en->len,
		.drop = en->drop,
		.is_late = en->is_late,
		.is_corrupt = en->is_corrupt,
		.corrupt_rand = en->corrupt_rand,
		.at_ns = en->due.at_ns,
	};
	if (en->drop) {
		e->stats.drops[en->drop]++;
		qb_slab_put(&e->entries, en);
		return;
	}
	e->stats.out_pkts++;
	e->stats.out_bytes += en->len;
	e->stats.corrupt_pkts += en->is_corrupt;
	if (!en->is_dup) {
		qb_slab_put(&e->entries, en);
		return;
	}
	out->is_copy = true;
	en->is_dup = false;
	e->stats.dup_pkts++;
	qb_heap_set(&e->wire, &en->due, en->due.at_ns + e->params.dup_delay_ns + 1);
}

bool qb_netem_dequeue(struct qb_netem *e, uint64_t now_ns, struct qb_netem_out *out)
{
	struct qb_netem_entry *en;
	struct qb_timer *first;
	uint64_t at_ns;

	advance(e, now_ns);
	if (e->lost.head) {
		give_back(e, list_pop(&e->lost), out);
		return true;
	}
	first = qb_heap_first(&e->wire);
	if (!first || first->at_ns > e->now_ns)
		return false;
	en = QB_CONTAINER_OF(first, struct qb_netem_entry, due);
	at_ns = first->at_ns;
	qb_heap_set(&e->wire, first, QB_NEVER_NS);
	en->due.at_ns = at_ns;
	if (e->params.is_down)
		en->drop = QB_NETEM_DROP_DOWN;
	give_back(e, en, out);
	return true;
}

/* ---- set-up ---- */

struct qb_netem_params qb_netem_params_default(void)
{
	return (struct qb_netem_params){
		.limit_pkts = DEFAULT_LIMIT_PKTS,
		.reorder_delay_ns = 10 * QB_NS_PER_MS,
		.ge_bad = 1,
	};
}

static size_t heap_bytes(uint32_t cap)
{
	return (sizeof(struct qb_timer *) * cap + 15) & ~(size_t)15;
}

size_t qb_netem_footprint(uint32_t cap)
{
	return heap_bytes(cap) + qb_slab_footprint(sizeof(struct qb_netem_entry), cap);
}

void qb_netem_init(struct qb_netem *e, void *mem, uint32_t cap, uint64_t seed)
{
	memset(e, 0, sizeof(*e));
	e->params = qb_netem_params_default();
	qb_heap_init(&e->wire, mem, cap);
	qb_slab_init(&e->entries, (uint8_t *)mem + heap_bytes(cap), sizeof(struct qb_netem_entry),
		     cap);
	list_init(&e->queue);
	list_init(&e->lost);
	for (uint32_t i = 0; i < QB_NETEM_DIE_CNT; i++)
		qb_rand_seed(&e->dice[i], seed * QB_NETEM_DIE_CNT + i);
}

void qb_netem_configure(struct qb_netem *e, const struct qb_netem_params *p, uint64_t now_ns)
{
	uint64_t old_bps = e->params.rate_bps;

	advance(e, now_ns);
	e->params = *p;
	if (!e->queue.head || p->rate_bps == old_bps)
		return;
	if (p->rate_bps == 0) {
		e->sent_at_ns = e->now_ns;
		advance(e, now_ns);
		return;
	}
	/* What is left of the packet being sent takes the inverse ratio of the rates as long. */
	e->sent_at_ns = e->now_ns + (uint64_t)((double)(e->sent_at_ns - e->now_ns) *
					       ((double)old_bps / (double)p->rate_bps));
}
