/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reorder buffer, called by qb_bond_rx and qb_bond_rx_poll.
 *
 * A held packet lies in slot (predecessor mod cap), for a packet has at most one successor: when
 * the predecessor is delivered, its successor is found at once, and the successor's successor after
 * it. So every step is O(1), and flows do not wait for each other.
 *
 * A missing packet is given up when
 *   - every path that carries traffic has delivered something with a higher number, and the time
 * has passed in which the sender learns of the loss and sends the packet again. A path delivers in
 *     order, but for a tolerance that is learned, so the packet was lost. This is the usual case;
 *   - the first that waits for it has waited for the hold time, which follows the measured spread
 *     between paths, and for that time;
 *   - the sequence moves on by more than the buffer spans.
 *
 * What these times are is learned in reorder_learn.c.
 *
 *     floor_seq              highest_seq
 *     ───┴──────────────────────┴────► sequence numbers
 *      resolved │ arrived/done bits, gaps, held packets
 */
#include "bond/reorder.h"

#include "base/slab.h"

enum {
	BIT_WORDS = QB_REORDER_WINDOW / 64,
	START_SPAN = 64, /* so many packets may be under way ahead of the first that arrives */
};

/* ---- memory ---- */

static uint32_t used_words(uint32_t cap)
{
	return (cap + 63) / 64;
}

size_t qb_reorder_footprint(uint32_t cap)
{
	return sizeof(struct qb_reorder_slot) * cap +
	       sizeof(struct qb_reorder_mark) * 2 * QB_REORDER_LOG_LEN +
	       sizeof(uint64_t) * (2 * BIT_WORDS + used_words(cap));
}

void qb_reorder_init(struct qb_reorder *r, void *mem, const struct qb_bond_cfg *cfg)
{
	uint32_t cap = cfg->reorder_pkts;

	QB_BUG_ON(cap == 0 || (cap & (cap - 1)) != 0 || cap > QB_REORDER_CAP_MAX);
	memset(r, 0, sizeof(*r));
	r->mode = cfg->reorder;
	r->fixed_ns = cfg->reorder_max_ns;
	r->pool = cfg->pool;
	r->counters = cfg->counters;
	r->cap = cap;
	for (uint32_t i = 0; i < QB_REORDER_LINES; i++)
		r->lines[i].oldest = r->lines[i].newest = QB_REORDER_IDX_NONE;
	r->hold_ns = r->mode == QB_REORDER_FIXED ? r->fixed_ns : QB_REORDER_HOLD_START_NS;
	/* The big parts stay untouched until they are used. */
	r->slots = mem;
	r->log = (struct qb_reorder_mark *)(void *)(r->slots + cap);
	r->passed = r->log + QB_REORDER_LOG_LEN;
	r->arrived = (uint64_t *)(void *)(r->passed + QB_REORDER_LOG_LEN);
	r->done = r->arrived + BIT_WORDS;
	r->slot_used = r->done + BIT_WORDS;
}

static bool bit_get(const uint64_t *bits, uint64_t seq)
{
	return bits[seq % QB_REORDER_WINDOW / 64] >> (seq % 64) & 1;
}

static void bit_set(uint64_t *bits, uint64_t seq)
{
	bits[seq % QB_REORDER_WINDOW / 64] |= UINT64_C(1) << (seq % 64);
}

/* bits_clear clears the bits of [from, to). */
static void bits_clear(uint64_t *bits, uint64_t from, uint64_t to)
{
	if (to - from >= QB_REORDER_WINDOW) {
		memset(bits, 0, QB_REORDER_WINDOW / 8);
		return;
	}
	while (from < to) {
		uint64_t *word = &bits[from % QB_REORDER_WINDOW / 64];
		uint64_t n = qb_min_u64(64 - from % 64, to - from);
		uint64_t ones = n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;

		*word &= ~(ones << (from % 64));
		from += n;
	}
}

/* ---- slots ---- */

static bool slot_is_used(const struct qb_reorder *r, uint32_t idx)
{
	return r->slot_used[idx / 64] >> (idx % 64) & 1;
}

/* slot_insert links the slot into its line in front of `before`, or at the newest end. */
static void slot_insert(struct qb_reorder *r, uint32_t idx, uint32_t before)
{
	struct qb_reorder_slot *s = &r->slots[idx];
	struct qb_reorder_line *l = &r->lines[s->line];

	s->next = before;
	s->prev = before == QB_REORDER_IDX_NONE ? l->newest : r->slots[before].prev;
	if (s->prev == QB_REORDER_IDX_NONE)
		l->oldest = idx;
	else
		r->slots[s->prev].next = idx;
	if (before == QB_REORDER_IDX_NONE)
		l->newest = idx;
	else
		r->slots[before].prev = idx;
	r->slot_used[idx / 64] |= UINT64_C(1) << (idx % 64);
	r->held_cnt++;
	r->held_bytes += s->buf->len;
}

static struct qb_buf *slot_remove(struct qb_reorder *r, uint32_t idx)
{
	struct qb_reorder_slot *s = &r->slots[idx];
	struct qb_reorder_line *l = &r->lines[s->line];

	if (s->prev == QB_REORDER_IDX_NONE)
		l->oldest = s->next;
	else
		r->slots[s->prev].next = s->next;
	if (s->next == QB_REORDER_IDX_NONE)
		l->newest = s->prev;
	else
		r->slots[s->next].prev = s->prev;
	r->slot_used[idx / 64] &= ~(UINT64_C(1) << (idx % 64));
	r->held_cnt--;
	r->held_bytes -= s->buf->len;
	return s->buf;
}

static void ready_append(struct qb_reorder *r, struct qb_buf *b)
{
	b->next = NULL;
	if (r->ready_tail)
		r->ready_tail->next = b;
	else
		r->ready_head = b;
	r->ready_tail = b;
}

/* slot_of: the slot of the packet whose predecessor has this number. */
static uint32_t slot_of(const struct qb_reorder *r, uint64_t pred)
{
	return (uint32_t)(pred & (r->cap - 1));
}

static bool has_successor(const struct qb_reorder *r, uint64_t seq)
{
	uint32_t idx = slot_of(r, seq);

	return slot_is_used(r, idx) && r->slots[idx].pred == seq;
}

/* count_hold puts the time that a packet was held back into its class. */
static void count_hold(struct qb_reorder *r, uint64_t hold_ns)
{
	static const uint8_t bounds_ms[] = {5, 20, 50, 100};
	uint32_t i = 0;

	while (i < QB_ARRAY_LEN(bounds_ms) && hold_ns > bounds_ms[i] * QB_NS_PER_MS)
		i++;
	qb_count(r->counters, (enum qb_counter)(QB_CNT_REORDER_HOLD_5MS + i));
	qb_count_add(r->counters, QB_CNT_REORDER_HOLD_US, hold_ns / QB_NS_PER_US);
}

/* release takes a packet out that was held. */
static struct qb_buf *release(struct qb_reorder *r, uint32_t idx)
{
	count_hold(r, qb_sub_sat_u64(r->now_ns, r->slots[idx].since_ns));
	return slot_remove(r, idx);
}

/* deliver releases a packet and everything that waited for it, in a row. */
static void deliver(struct qb_reorder *r, struct qb_buf *b, uint64_t seq)
{
	for (;;) {
		uint32_t idx = slot_of(r, seq);

		bit_set(r->done, seq);
		ready_append(r, b);
		if (!has_successor(r, seq))
			return;
		seq = r->slots[idx].seq;
		b = release(r, idx);
	}
}

/* give_up releases the packet in a slot, whose predecessor is not to come any more. */
static void give_up(struct qb_reorder *r, uint32_t idx, enum qb_counter why)
{
	uint64_t seq = r->slots[idx].seq;

	/* Should the predecessor come after all, it goes out at once, late. */
	bit_set(r->done, r->slots[idx].pred);
	qb_count(r->counters, why);
	deliver(r, release(r, idx), seq);
}

/*
 * raise_floor gives up all gaps below `floor`. In ascending order, so that what waits for a packet
 * that is itself held comes out behind it.
 */
static void raise_floor(struct qb_reorder *r, uint64_t floor, enum qb_counter why)
{
	uint64_t seq = r->floor_seq, end;

	if (floor <= seq)
		return;
	/* Held predecessors lie within one span of the ring. */
	end = qb_min_u64(floor, seq + r->cap);
	while (seq < end && r->held_cnt) {
		uint32_t idx = slot_of(r, seq);
		uint64_t word = r->slot_used[idx / 64] >> (idx % 64);

		if (word == 0) {
			seq += QB_MIN(64 - idx % 64, r->cap - idx);
			continue;
		}
		if (!(word & 1)) {
			seq += (uint32_t)__builtin_ctzll(word);
			continue;
		}
		give_up(r, idx, why);
		seq++;
	}
	r->floor_seq = floor;
}

void qb_reorder_forget(struct qb_reorder *r)
{
	QB_BUG_ON(r->held_cnt);
	r->log_cnt = r->passed_cnt = 0;
	if (r->is_started)
		r->floor_seq = r->highest_seq + 1;
}

/* ---- arrivals ---- */

/* full_seq finds the 64-bit number nearest to the highest one so far that ends in these 32 bits. */
static uint64_t full_seq(const struct qb_reorder *r, uint32_t low)
{
	return r->highest_seq + (uint64_t)(int64_t)(int32_t)(low - (uint32_t)r->highest_seq);
}

static void start(struct qb_reorder *r, uint32_t low)
{
	/* Far from both ends of 64 bits: numbers before the first one need no special care. */
	r->highest_seq = (UINT64_C(1) << 40) + low - 1;
	/* The first to arrive need not be the first that left. */
	r->floor_seq = r->highest_seq - QB_MIN(START_SPAN, r->cap / 2);
	qb_clear_sparse(r->arrived, sizeof(uint64_t) * (2 * BIT_WORDS + used_words(r->cap)));
	r->is_started = true;
}

static void advance(struct qb_reorder *r, uint64_t seq, uint64_t now_ns)
{
	uint64_t span_floor = seq - r->cap + 1;

	/* Before the bits of the numbers that fall out are used anew. */
	if (span_floor > r->floor_seq)
		raise_floor(r, span_floor, QB_CNT_REORDER_TIMEOUT);
	bits_clear(r->arrived, r->highest_seq + 1, seq + 1);
	bits_clear(r->done, r->highest_seq + 1, seq + 1);
	r->highest_seq = seq;
	qb_reorder_log_reached(r, now_ns);
}

static uint8_t line_of(const struct qb_buf *b)
{
	return b->flags & QB_BUF_BRIEF ? QB_REORDER_BRIEF : QB_REORDER_WHOLE;
}

/* oldest_of_all is the slot that has waited longest; there is one. */
static uint32_t oldest_of_all(const struct qb_reorder *r)
{
	uint32_t whole = r->lines[QB_REORDER_WHOLE].oldest,
		 brief = r->lines[QB_REORDER_BRIEF].oldest;

	if (whole == QB_REORDER_IDX_NONE || brief == QB_REORDER_IDX_NONE)
		return whole == QB_REORDER_IDX_NONE ? brief : whole;
	return r->slots[brief].since_ns < r->slots[whole].since_ns ? brief : whole;
}

static void hold(struct qb_reorder *r, struct qb_buf *b, uint64_t seq, uint64_t pred,
		 uint64_t now_ns)
{
	uint32_t idx = slot_of(r, pred), before = QB_REORDER_IDX_NONE;
	struct qb_reorder_slot *s = &r->slots[idx];

	if (slot_is_used(r, idx)) {
		/* Two that claim one predecessor: a sender that follows the format does not do
		 * that. */
		deliver(r, b, seq);
		return;
	}
	*s = (struct qb_reorder_slot){
		.buf = b, .seq = seq, .pred = pred, .since_ns = now_ns, .line = line_of(b)};
	/* It goes out before the packet that waits for it, so it must not be given up later. */
	if (has_successor(r, seq) && r->slots[slot_of(r, seq)].line == s->line) {
		before = slot_of(r, seq);
		s->since_ns = r->slots[before].since_ns;
	}
	slot_insert(r, idx, before);
	qb_count(r->counters, QB_CNT_REORDER_HELD);
	while (r->limit_bytes && r->held_bytes > r->limit_bytes)
		give_up(r, oldest_of_all(r), QB_CNT_REORDER_FULL);
}

void qb_reorder_set_limit(struct qb_reorder *r, uint64_t limit_bytes)
{
	r->limit_bytes = limit_bytes;
}

static void note_repair(struct qb_reorder *r, uint8_t path, uint64_t seq, uint64_t now_ns)
{
	if (has_successor(r, seq))
		qb_count(r->counters, QB_CNT_REORDER_REPAIRED);
	qb_reorder_learn_repair(r, path, seq, now_ns);
}

void qb_reorder_push(struct qb_reorder *r, struct qb_buf *b, bool is_again, uint64_t now_ns)
{
	/* What forward error correction recovered says nothing about paths and retransmissions. */
	bool is_recovered = b->flags & QB_BUF_RECOVERED;
	uint64_t seq, pred;

	b->flags &= (uint8_t)~QB_BUF_RECOVERED;
	r->now_ns = now_ns;
	if (!r->is_started)
		start(r, b->seq);
	seq = full_seq(r, b->seq);
	if (seq + QB_REORDER_WINDOW <= r->highest_seq ||
	    (seq <= r->highest_seq && bit_get(r->arrived, seq))) {
		/* A copy still tells how late its path is: that is what senders send some for. */
		if (!is_again && !is_recovered && seq + QB_REORDER_WINDOW > r->highest_seq)
			qb_reorder_learn_path(r, b->path, seq, now_ns);
		qb_count(r->counters, QB_CNT_DROP_REORDER_DUP);
		qb_buf_put(r->pool, b);
		return;
	}
	if (!is_again && !is_recovered)
		qb_reorder_learn_path(r, b->path, seq, now_ns);
	else if (!is_recovered)
		note_repair(r, b->path, seq, now_ns);
	if (seq > r->highest_seq)
		advance(r, seq, now_ns);
	bit_set(r->arrived, seq);
	pred = seq - b->delta;
	if (seq < r->floor_seq || bit_get(r->done, seq)) {
		qb_count(r->counters, QB_CNT_REORDER_LATE);
		deliver(r, b, seq);
	} else if (b->delta == 0 || pred < r->floor_seq || bit_get(r->done, pred) ||
		   r->mode == QB_REORDER_OFF) {
		deliver(r, b, seq);
	} else {
		hold(r, b, seq, pred, now_ns);
	}
}

void qb_reorder_pass(struct qb_reorder *r, struct qb_buf *b)
{
	ready_append(r, b);
}

/* give_up_brief releases the brief ones whose predecessor every path has passed: it was lost. */
static void give_up_brief(struct qb_reorder *r, uint64_t passed)
{
	const struct qb_reorder_line *l = &r->lines[QB_REORDER_BRIEF];

	while (l->oldest != QB_REORDER_IDX_NONE && r->slots[l->oldest].pred < passed)
		give_up(r, l->oldest, QB_CNT_REORDER_RELEASED_LOSS);
}

void qb_reorder_settle(struct qb_reorder *r, uint64_t now_ns)
{
	uint64_t passed = UINT64_MAX;
	uint32_t i;

	if (!r->is_started)
		return;
	r->now_ns = now_ns;
	qb_reorder_update_hold(r, now_ns);
	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		const struct qb_reorder_path *p = &r->paths[i];

		if (qb_reorder_is_carrying(r, p, now_ns))
			passed = qb_min_u64(passed, p->highest_seq - p->tolerance_pkts);
	}
	if (passed != UINT64_MAX) {
		qb_reorder_note_passed(r, passed, now_ns);
		give_up_brief(r, passed);
	}
	/* A lost packet has its repair time, also when every path has fallen silent since. */
	while (qb_reorder_passed_due_ns(r) <= now_ns) {
		raise_floor(r, r->passed[r->passed_first].seq, QB_CNT_REORDER_RELEASED_LOSS);
		r->passed_first = (r->passed_first + 1) % QB_REORDER_LOG_LEN;
		r->passed_cnt--;
	}
}

/* line_expiry_ns: when the oldest packet of a line has waited long enough. */
static uint64_t line_expiry_ns(const struct qb_reorder *r, uint32_t line)
{
	uint32_t oldest = r->lines[line].oldest;
	uint64_t wait_ns = r->hold_ns + r->repair_ns;

	if (oldest == QB_REORDER_IDX_NONE)
		return QB_NEVER_NS;
	if (line == QB_REORDER_WHOLE)
		return qb_reorder_waits_from_ns(r, r->slots[oldest].pred,
						r->slots[oldest].since_ns) +
		       wait_ns;
	wait_ns = qb_min_u64(qb_max_u64(r->hold_ns, QB_REORDER_BRIEF_MIN_NS),
			     QB_REORDER_BRIEF_MAX_NS);
	return r->slots[oldest].since_ns + wait_ns;
}

static uint64_t expiry_ns(const struct qb_reorder *r)
{
	uint64_t at_ns = line_expiry_ns(r, QB_REORDER_WHOLE);

	if (at_ns != QB_NEVER_NS)
		at_ns = qb_min_u64(at_ns, qb_reorder_passed_due_ns(r));
	return qb_min_u64(at_ns, line_expiry_ns(r, QB_REORDER_BRIEF));
}

void qb_reorder_expire(struct qb_reorder *r, uint64_t now_ns)
{
	r->now_ns = now_ns;
	for (uint32_t i = 0; i < QB_REORDER_LINES; i++)
		while (now_ns >= line_expiry_ns(r, i))
			give_up(r, r->lines[i].oldest, QB_CNT_REORDER_TIMEOUT);
}

bool qb_reorder_flush(struct qb_reorder *r, struct qb_batch *out)
{
	while (r->ready_head) {
		struct qb_buf *b = r->ready_head;

		if (qb_batch_full(out))
			return true;
		r->ready_head = b->next;
		if (!r->ready_head)
			r->ready_tail = NULL;
		b->next = NULL;
		qb_batch_add(out, b);
	}
	return false;
}

uint64_t qb_reorder_deadline_ns(const struct qb_reorder *r)
{
	if (r->ready_head)
		return 0;
	return expiry_ns(r);
}

void qb_reorder_fini(struct qb_reorder *r)
{
	struct qb_buf *b;

	for (uint32_t i = 0; i < QB_REORDER_LINES; i++)
		while (r->lines[i].oldest != QB_REORDER_IDX_NONE)
			qb_buf_put(r->pool, slot_remove(r, r->lines[i].oldest));
	while ((b = r->ready_head)) {
		r->ready_head = b->next;
		qb_buf_put(r->pool, b);
	}
	r->ready_tail = NULL;
}
