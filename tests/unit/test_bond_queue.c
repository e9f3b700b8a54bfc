/* SPDX-License-Identifier: BSD-2-Clause */
/* The tunnel's queue in virtual time: sparse flows first, fairness, CoDel, bounds, ECN. */
#include <check.h>
#include <stdlib.h>

#include "bond/queue.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

enum { FRAMES = 2048 };

static uint8_t *frames;
static struct qb_buf bufs[FRAMES];
static struct qb_depot depot;
static struct qb_pool pool;
static struct qb_counters counters;
static struct qb_queue q;
static void *mem;
static uint32_t pushed;

static void start(uint32_t cap)
{
	mem = malloc(qb_queue_footprint());
	memset(mem, 0xa5, qb_queue_footprint());
	qb_queue_init(&q, mem, cap, &pool, &counters);
}

static void setup(void)
{
	frames = malloc((size_t)FRAMES * QB_FRAME_BYTES);
	memset(&counters, 0, sizeof(counters));
	qb_depot_init(&depot, frames, bufs, FRAMES);
	qb_pool_init(&pool, &depot);
	start(1000);
}

static void teardown(void)
{
	qb_queue_fini(&q);
	qb_pool_fini(&pool);
	ck_assert_uint_eq(depot.free_cnt, FRAMES);
	free(mem);
	free(frames);
}

static void push(uint32_t flow, uint32_t len, bool is_bulk, uint8_t ecn, uint64_t now)
{
	struct qb_buf *b = qb_buf_get(&pool);

	ck_assert_ptr_nonnull(b);
	b->len = len;
	memset(b->data, 0, 20);
	b->data[0] = 0x45;
	b->data[1] = ecn;
	b->meta = flow;
	b->seq = ++pushed;
	b->flags = is_bulk ? QB_BUF_BULK : 0;
	qb_queue_push(&q, b, flow, now);
}

static struct qb_buf *pop(uint64_t now)
{
	struct qb_buf *b = qb_queue_pop_sparse(&q, now);

	return b ? b : qb_queue_pop_bulk(&q, now);
}

START_TEST(sparse_goes_first_and_only_within_its_quantum)
{
	struct qb_buf *b;

	for (int i = 0; i < 5; i++)
		push(1, 1400, true, 0, SEC);
	push(2, 200, false, 0, SEC);
	b = qb_queue_pop_sparse(&q, SEC);
	ck_assert_uint_eq(b->meta, 2);
	ck_assert(!(b->flags & QB_BUF_BULK));
	qb_buf_put(&pool, b);
	ck_assert_ptr_null(qb_queue_pop_sparse(&q, SEC));
	/* A burst: what is beyond the quantum joins the bulk. */
	for (int i = 0; i < 10; i++)
		push(3, 1000, false, 0, SEC);
	for (int i = 0; i < 2; i++) {
		b = qb_queue_pop_sparse(&q, SEC);
		ck_assert_uint_eq(b->meta, 3);
		qb_buf_put(&pool, b);
	}
	ck_assert_ptr_null(qb_queue_pop_sparse(&q, SEC));
	while ((b = qb_queue_pop_bulk(&q, SEC))) {
		/* Who was bulk when it came is told from who had to wait. */
		ck_assert_int_eq(!!(b->flags & QB_BUF_BULK), b->meta == 1);
		qb_buf_put(&pool, b);
	}
	ck_assert_uint_eq(q.pkts, 0);
	ck_assert_uint_eq(q.bytes, 0);
}
END_TEST

/* As soon as a flow's queue is empty its next packet may go first, whatever it was before, and whoever else is in the round. */
START_TEST(who_was_bulk_goes_first_again)
{
	struct qb_buf *b;

	for (int i = 0; i < 20; i++)
		push(1, 1400, true, 0, SEC);
	for (int i = 0; i < 3; i++)
		push(2, 1000, _i == 0, 0, SEC);
	for (int got = 0; got < 3;) {
		b = pop(SEC);
		got += b->meta == 2;
		qb_buf_put(&pool, b);
	}
	push(2, 200, false, 0, SEC);
	b = qb_queue_pop_sparse(&q, SEC);
	ck_assert_ptr_nonnull(b);
	ck_assert_uint_eq(b->meta, 2);
	qb_buf_put(&pool, b);
}
END_TEST

START_TEST(bulk_flows_share_by_bytes)
{
	uint64_t sent[3] = {0};
	uint32_t sizes[3] = {1400, 700, 100};

	for (int i = 0; i < 40; i++)
		push(0, sizes[0], true, 0, SEC);
	for (int i = 0; i < 80; i++)
		push(1, sizes[1], true, 0, SEC);
	for (int i = 0; i < 560; i++)
		push(2, sizes[2], true, 0, SEC);
	for (uint64_t total = 0; total < 90000;) {
		struct qb_buf *b = pop(SEC);

		sent[b->meta] += b->len;
		total += b->len;
		qb_buf_put(&pool, b);
	}
	for (int i = 0; i < 3; i++)
		ck_assert_msg(sent[i] > 27000 && sent[i] < 33000, "%d: %lu", i,
			      (unsigned long)sent[i]);
}
END_TEST

/* A turn is a packet or two on slow links, 100 us of a fast one, and never more than half a super-packet. */
START_TEST(turns_follow_the_rate)
{
	static const struct {
		uint64_t rate_bps;
		uint32_t least, most; /* packets of 1,400 bytes in a turn */
	} cases[] = {
		{0, 1, 2}, {10000000, 1, 2}, {100000000, 1, 2}, {1000000000, 8, 10}, {100000000000, 22, 25},
	};
	uint32_t changes = 0;
	uint64_t last = 2;

	qb_queue_set_target(&q, SEC, SEC, SEC, 0);
	qb_queue_set_rate(&q, cases[_i].rate_bps);
	for (int i = 0; i < 200; i++)
		push((uint32_t)i % 2, 1400, true, 0, SEC);
	for (int i = 0; i < 200; i++) {
		struct qb_buf *b = pop(SEC);

		changes += b->meta != last;
		last = b->meta;
		qb_buf_put(&pool, b);
	}
	ck_assert_uint_ge(changes, 200 / cases[_i].most - 1);
	ck_assert_uint_le(changes, 200 / cases[_i].least + 4);
}
END_TEST

static void push_class(uint32_t flow, enum qb_class class, uint32_t len, bool is_bulk, uint64_t now)
{
	struct qb_buf *b = qb_buf_get(&pool);

	ck_assert_ptr_nonnull(b);
	b->len = len;
	memset(b->data, 0, 20);
	b->data[0] = 0x45;
	b->meta = flow | (uint64_t)class << 40;
	b->flags = is_bulk ? QB_BUF_BULK : 0;
	qb_queue_push(&q, b, flow, now);
}

/* What a realtime flow took in its time is not held against it when it has to take turns. */
START_TEST(realtime_leaves_no_debts)
{
	uint32_t got = 0;

	for (int i = 0; i < 300; i++)
		push_class(1, QB_CLASS_REALTIME, 1000, false, SEC);
	push_class(1, QB_CLASS_REALTIME, 1000, false, SEC);
	for (int i = 0; i < 250; i++)
		qb_buf_put(&pool, qb_queue_pop_sparse(&q, SEC));
	qb_queue_set_rate(&q, 1000000);
	for (int i = 0; i < 50; i++)
		push_class(2, QB_CLASS_INTERACTIVE, 1000, true, SEC);
	for (int i = 0; i < 57; i++) {
		struct qb_buf *b = pop(SEC);

		got += (uint32_t)b->meta == 1;
		qb_buf_put(&pool, b);
	}
	ck_assert_uint_ge(got, 25);
}
END_TEST

/* shares pops cnt packets while every class has some, and counts them by class. */
static void shares(uint32_t cnt, uint32_t got[QB_CLASS_CNT])
{
	memset(got, 0, QB_CLASS_CNT * sizeof(got[0]));
	for (uint32_t i = 0; i < cnt; i++) {
		struct qb_buf *b = pop(SEC);

		ck_assert_ptr_nonnull(b);
		got[qb_buf_class(b)] += b->len;
		qb_buf_put(&pool, b);
	}
}

START_TEST(classes_share_by_their_parts)
{
	uint32_t got[QB_CLASS_CNT], sum;

	for (int i = 0; i < 300; i++) {
		push_class(1, QB_CLASS_INTERACTIVE, 1400, true, SEC);
		push_class(2, QB_CLASS_BULK, 700, true, SEC);
		push_class(3, QB_CLASS_BACKGROUND, 1400, true, SEC);
	}
	shares(400, got);
	sum = got[QB_CLASS_INTERACTIVE] + got[QB_CLASS_BULK] + got[QB_CLASS_BACKGROUND];
	ck_assert_uint_ge(got[QB_CLASS_INTERACTIVE] * 100, sum * 55);
	ck_assert_uint_le(got[QB_CLASS_INTERACTIVE] * 100, sum * 65);
	ck_assert_uint_ge(got[QB_CLASS_BULK] * 100, sum * 30);
	/* Never starved, never more than its part while others want something. */
	ck_assert_uint_ge(got[QB_CLASS_BACKGROUND] * 100, sum * 4);
	ck_assert_uint_le(got[QB_CLASS_BACKGROUND] * 100, sum * 7);
	/* Alone it has everything: what is left of the others goes, then it gets its turn. A few were dropped: a flood. */
	shares(490, got);
	ck_assert_uint_gt(got[QB_CLASS_BACKGROUND], 200 * 1400);
}
END_TEST

START_TEST(realtime_goes_first_but_not_for_ever)
{
	uint32_t got[QB_CLASS_CNT];

	qb_queue_set_rate(&q, 10000000);
	for (int i = 0; i < 400; i++) {
		push_class(1, QB_CLASS_REALTIME, 1000, false, SEC);
		push_class(2, QB_CLASS_AUTO, 1000, true, SEC);
	}
	push_class(3, QB_CLASS_AUTO, 100, false, SEC);
	shares(30, got);
	ck_assert_uint_eq(got[QB_CLASS_REALTIME], 30 * 1000);
	/* Half of the rate for a burst's time is 31 packets: who wants more takes turns. */
	shares(300, got);
	ck_assert_uint_ge(got[QB_CLASS_AUTO], 80 * 1000);
	ck_assert_uint_ge(got[QB_CLASS_REALTIME], 150 * 1000);
}
END_TEST

/*
 * Half a second of a call has waited through an outage, and ten transfers fill a link of 0.5 Mbit/s: a tenth of that is less than the call
 * needs. Who sends larger packets takes his turn, and so does a flood of small ones beyond half of the rate.
 */
START_TEST(a_call_that_had_to_wait_goes_first)
{
	static const struct {
		uint32_t len, pkts;
		bool is_first;
	} waiting[] = {{200, 15, true}, {1200, 15, false}, {200, 100, false}};
	uint32_t first = 0;
	struct qb_buf *b;

	qb_queue_set_rate(&q, 500000);
	for (uint32_t i = 0; i < waiting[_i].pkts; i++) {
		push(1, waiting[_i].len, false, 0, SEC);
		q.flows[1].tail->flags |= QB_BUF_BRIEF;
	}
	for (uint32_t i = 0; i < 40; i++)
		push(2 + i % 10, 1400, true, 0, SEC);
	while ((b = qb_queue_pop_sparse(&q, SEC))) {
		ck_assert_uint_eq(b->meta, 1);
		qb_buf_put(&pool, b);
		first++;
	}
	ck_assert_int_eq(first == waiting[_i].pkts, waiting[_i].is_first);
	ck_assert_uint_le(first * waiting[_i].len, QB_QUEUE_QUANTUM_BYTES + 500000 / 8 / 2 / 20 + 2 * waiting[_i].len);
	while ((b = pop(SEC)))
		qb_buf_put(&pool, b);
}
END_TEST

START_TEST(classes_share_no_queue)
{
	struct qb_buf *b;

	/* One hash, two classes: the flow of the one does not wait for that of the other. */
	for (int i = 0; i < 50; i++)
		push_class(5, QB_CLASS_AUTO, 1400, true, SEC);
	push_class(5, QB_CLASS_REALTIME, 200, false, SEC);
	b = qb_queue_pop_sparse(&q, SEC);
	ck_assert_ptr_nonnull(b);
	ck_assert_int_eq(qb_buf_class(b), QB_CLASS_REALTIME);
	qb_buf_put(&pool, b);
}
END_TEST

enum { SET = 8, SAME_SET = QB_QUEUE_FLOWS };

/* fill has so many flows, whose hashes all point to one queue, wait with two packets each. */
static void fill(uint32_t flows)
{
	for (uint32_t i = 1; i <= flows; i++) {
		push(5 + i * SAME_SET, 1400, true, 0, SEC);
		push(5 + i * SAME_SET, 1400, true, 0, SEC);
	}
}

/* A call whose hash points to where a download waits: it goes first all the same, however many those are, up to a set of them. */
START_TEST(no_call_waits_in_the_queue_of_a_download)
{
	struct qb_buf *b;

	for (uint32_t flows = 1; flows < SET; flows++) {
		fill(flows);
		push(5, 200, false, 0, SEC);
		b = qb_queue_pop_sparse(&q, SEC);
		ck_assert_ptr_nonnull(b);
		ck_assert_uint_eq(b->meta, 5);
		qb_buf_put(&pool, b);
		ck_assert_ptr_null(qb_queue_pop_sparse(&q, SEC));
		for (uint32_t i = 0; i < 2 * flows; i++) {
			b = pop(SEC);
			ck_assert_ptr_nonnull(b);
			qb_buf_put(&pool, b);
		}
		ck_assert_uint_eq(q.pkts, 0);
	}
}
END_TEST

/* One more shares a queue, and stays there until that is empty, though others are free before: else its packets overtook each other. */
START_TEST(who_shares_a_queue_stays_in_order)
{
	uint32_t last = 0, got = 0;
	struct qb_buf *b;

	fill(SET);
	for (uint32_t i = 0; i < 4 * SET; i++) {
		if (i < 2 * SET + 4)
			push(5, 1400, true, 0, SEC);
		b = pop(SEC);
		ck_assert_ptr_nonnull(b);
		if (b->meta == 5) {
			ck_assert_uint_gt(b->seq, last);
			last = b->seq;
			got++;
		}
		qb_buf_put(&pool, b);
	}
	while ((b = pop(SEC))) {
		got += b->meta == 5;
		ck_assert_uint_gt(b->seq, last);
		last = b->seq;
		qb_buf_put(&pool, b);
	}
	ck_assert_uint_eq(got, 2 * SET + 4);
	/* That is over now. */
	fill(1);
	push(5, 200, false, 0, SEC);
	b = qb_queue_pop_sparse(&q, SEC);
	ck_assert_ptr_nonnull(b);
	qb_buf_put(&pool, b);
}
END_TEST

/* What is to be sent again holds its own flow, in whichever queue that is, and not who has the one its hash points to. */
START_TEST(what_is_owed_holds_its_flow)
{
	static const uint32_t flows[] = {5 + SAME_SET, 5, 6};
	struct qb_buf owed = {.meta = 5}, *b;

	for (uint32_t i = 0; i < QB_ARRAY_LEN(flows); i++)
		push(flows[i], 1400, true, 0, SEC);
	qb_queue_owe(&q, &owed, true);
	q.is_owed_held = true;
	b = pop(SEC);
	ck_assert_ptr_nonnull(b);
	ck_assert_uint_eq(b->meta, 6);
	qb_buf_put(&pool, b);
	ck_assert_ptr_null(pop(SEC));
	ck_assert_uint_eq(q.owed_flows, 1);
	qb_queue_owe(&q, &owed, false);
	ck_assert_uint_eq(q.owed_flows, 0);
	for (uint32_t i = 0; i < 2; i++) {
		b = pop(SEC);
		ck_assert_ptr_nonnull(b);
		qb_buf_put(&pool, b);
	}
}
END_TEST

START_TEST(packets_of_a_flow_stay_in_order)
{
	uint32_t seq = 0, next = 0;

	for (uint64_t now = SEC; now < 2 * SEC; now += MS) {
		struct qb_buf *b;

		for (int i = 0; i < 3; i++) {
			push(1, 500, false, 0, now);
			q.flows[1].tail->seq = seq++;
		}
		for (int i = 0; i < 2; i++) {
			b = pop(now);
			ck_assert_uint_ge(b->seq, next);
			next = b->seq + 1;
			qb_buf_put(&pool, b);
		}
	}
}
END_TEST

/* Input at 1.2 times the output for some seconds; returns the longest wait in the last of them, and
 * counts. */
static uint64_t overload(uint8_t ecn, double seconds, uint32_t *ce)
{
	uint64_t worst = 0, end = SEC + (uint64_t)(seconds * 1e9), in = SEC;

	*ce = 0;
	for (uint64_t now = SEC; now < end; now += MS) {
		struct qb_buf *b;

		/* A sender that heeds signals would slow down; this one never does, CoDel has to
		 * drop. */
		for (; in <= now; in += 833333)
			push(1, 1400, true, ecn, now);
		b = pop(now);
		if (!b)
			continue;
		*ce += (b->data[1] & 3) == 3;
		if (now > end - SEC)
			worst = QB_MAX(worst, now - b->rx_ns);
		qb_buf_put(&pool, b);
	}
	return worst;
}

START_TEST(codel_drops_when_the_queue_stands)
{
	uint32_t ce;

	overload(0, 5, &ce);
	ck_assert_uint_eq(ce, 0);
	ck_assert_uint_gt(counters.v[QB_CNT_DROP_QUEUE], 50);
	ck_assert_uint_lt(q.pkts, 1000);
}
END_TEST

START_TEST(codel_marks_what_knows_ecn)
{
	uint32_t ce;

	overload(2, 2, &ce);
	ck_assert_uint_gt(ce, 10);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_QUEUE], 0);
}
END_TEST

/* An L4S flow is marked from a millisecond on, all the time, and never dropped; a classic one beside it knows nothing of that. */
START_TEST(l4s_flows_have_a_shallow_target)
{
	uint32_t ce[4] = {0}, got[4] = {0};

	for (uint64_t now = SEC; now < 2 * SEC; now += MS) {
		struct qb_buf *b;

		/* Three packets each stand in either queue: 6 ms at a packet a millisecond. */
		for (uint32_t ecn = 1; ecn <= 2; ecn++)
			while (!q.was_used || q.backlog_bytes[ecn] < 3 * 1400)
				push(ecn, 1400, true, (uint8_t)ecn, now);
		b = pop(now);
		got[b->meta]++;
		ce[b->meta] += (b->data[1] & 3) == 3;
		qb_buf_put(&pool, b);
	}
	ck_assert_uint_gt(got[1], 450);
	ck_assert_uint_ge(ce[1], got[1] - 5);
	ck_assert_uint_lt(ce[2] * 10, got[2]);
	ck_assert_uint_eq(counters.v[QB_CNT_ECN_MARKED], ce[1] + ce[2]);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_QUEUE], 0);
	/* Where a backlog is let stand, it is not marked for that. */
	qb_queue_set_shallow(&q, 20 * MS);
	memset(&counters, 0, sizeof(counters));
	for (uint64_t now = 2 * SEC; q.backlog_bytes[1]; now += MS)
		qb_buf_put(&pool, pop(now));
	ck_assert_uint_eq(counters.v[QB_CNT_ECN_MARKED], 0);
}
END_TEST

START_TEST(a_short_queue_is_left_alone)
{
	uint32_t ce = 0;

	/* Bursts of 20 packets each 25 ms, drained within the burst's time: no standing queue. */
	for (uint64_t now = SEC; now < 4 * SEC; now += MS) {
		struct qb_buf *b;

		for (int i = 0; now % (25 * MS) == 0 && i < 20; i++)
			push(1, 1400, true, 2, now);
		b = pop(now);
		if (b) {
			ce += (b->data[1] & 3) == 3;
			qb_buf_put(&pool, b);
		}
	}
	ck_assert_uint_eq(ce, 0);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_QUEUE], 0);
}
END_TEST

START_TEST(the_target_can_be_raised)
{
	uint32_t ce;

	qb_queue_set_target(&q, 300 * MS, 400 * MS, 600 * MS, 0);
	overload(2, 1, &ce);
	ck_assert_uint_eq(ce, 0);
}
END_TEST

/* Half of the bound is one flow's: it is told at once, however patient the queue was told to be. */
START_TEST(a_flood_is_told_before_the_bound)
{
	struct qb_buf *b;

	qb_queue_set_target(&q, SEC, SEC, SEC, 0);
	for (int i = 0; i < 499; i++)
		push(1, 1400, true, 2, SEC);
	b = pop(SEC + MS);
	ck_assert_uint_eq(b->data[1] & 3, 2);
	qb_buf_put(&pool, b);
	for (int i = 0; i < 4; i++)
		push(1, 1400, true, 2, SEC);
	b = pop(SEC + 2 * MS);
	ck_assert_uint_eq(b->data[1] & 3, 3);
	qb_buf_put(&pool, b);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_QUEUE], 0);
}
END_TEST

START_TEST(what_waited_through_an_outage_is_passed_over)
{
	struct qb_buf *b;

	for (int i = 0; i < 50; i++)
		push(1, 1400, true, 0, SEC);
	push(2, 200, false, 0, SEC);
	push(1, 1300, true, 0, 20 * SEC);
	/* The only one of its flow goes out, however old it is. */
	b = pop(21 * SEC);
	ck_assert_uint_eq(b->len, 200);
	qb_buf_put(&pool, b);
	b = pop(21 * SEC);
	ck_assert_uint_eq(b->len, 1300);
	qb_buf_put(&pool, b);
	ck_assert_ptr_null(pop(21 * SEC));
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_QUEUE], 50);
}
END_TEST

START_TEST(overflow_takes_from_the_fattest)
{
	uint32_t got = 0;
	struct qb_buf *b;

	for (int i = 0; i < 20; i++)
		push(7, 300, true, 0, SEC);
	for (int i = 0; i < 3000; i++) {
		push(8, 1400, true, 0, SEC);
		ck_assert_uint_le(q.pkts, 1000);
	}
	ck_assert_uint_ge(counters.v[QB_CNT_DROP_QUEUE], 2020);
	while ((b = pop(SEC))) {
		got += b->meta == 7;
		qb_buf_put(&pool, b);
	}
	ck_assert_uint_eq(got, 20);
}
END_TEST

START_TEST(many_flows_random)
{
	uint64_t x = 88172645463325252u;
	uint32_t in = 0, out = 0;

	for (int i = 0; i < 200000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (x % 5 < 3) {
			push((uint32_t)(x >> 20) % 3000, 40 + (uint32_t)(x >> 40) % 1400,
			     x >> 60 & 1, 0, SEC + (uint64_t)i * 10000);
			in++;
		} else {
			struct qb_buf *b = pop(SEC + (uint64_t)i * 10000);

			out += b != NULL;
			if (b)
				qb_buf_put(&pool, b);
		}
	}
	ck_assert_uint_eq(in, out + q.pkts + counters.v[QB_CNT_DROP_QUEUE]);
}
END_TEST

/* Of flows that keep to a path, those of a busy one stay; not those of others, new ones, those that send little, and those whose hash
 * meets one that does so alone. */
START_TEST(flows_of_a_busy_path_stay)
{
	static struct qb_pin pins[QB_PINS];
	static const uint32_t order[] = {2, 3, 4, 5 + QB_PINS};
	struct qb_buf *b;

	pins[qb_pin_of(5)] = (struct qb_pin){.until_ns = 2 * SEC, .path = 0, .flow = 5};
	pins[qb_pin_of(1)] = (struct qb_pin){.until_ns = 2 * SEC, .path = 0};
	pins[qb_pin_of(2)] = (struct qb_pin){.until_ns = 2 * SEC, .path = 0};
	pins[qb_pin_of(3)] = (struct qb_pin){.until_ns = 2 * SEC, .path = 1};
	q.pins = pins;
	q.held_paths = 1u << 0;
	push(1, 1000, true, 0, SEC);
	push(2, 200, false, 0, SEC);
	push(3, 1000, true, 0, SEC);
	push(4, 1000, true, 0, SEC);
	push(5 + QB_PINS, 1000, true, 0, SEC);
	for (uint32_t i = 0; i < QB_ARRAY_LEN(order); i++) {
		b = pop(SEC);
		ck_assert_ptr_nonnull(b);
		ck_assert_uint_eq(b->meta, order[i]);
		qb_buf_put(&pool, b);
	}
	ck_assert_ptr_null(pop(SEC));
	q.held_paths = 0;
	b = pop(SEC);
	ck_assert_ptr_nonnull(b);
	ck_assert_uint_eq(b->meta, 1);
	qb_buf_put(&pool, b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond queue");
	TCase *tc = tcase_create("queue");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, sparse_goes_first_and_only_within_its_quantum);
	tcase_add_loop_test(tc, who_was_bulk_goes_first_again, 0, 2);
	tcase_add_test(tc, bulk_flows_share_by_bytes);
	tcase_add_test(tc, realtime_leaves_no_debts);
	tcase_add_loop_test(tc, turns_follow_the_rate, 0, 5);
	tcase_add_test(tc, classes_share_by_their_parts);
	tcase_add_test(tc, realtime_goes_first_but_not_for_ever);
	tcase_add_loop_test(tc, a_call_that_had_to_wait_goes_first, 0, 3);
	tcase_add_test(tc, classes_share_no_queue);
	tcase_add_test(tc, no_call_waits_in_the_queue_of_a_download);
	tcase_add_test(tc, who_shares_a_queue_stays_in_order);
	tcase_add_test(tc, what_is_owed_holds_its_flow);
	tcase_add_test(tc, packets_of_a_flow_stay_in_order);
	tcase_add_test(tc, codel_drops_when_the_queue_stands);
	tcase_add_test(tc, codel_marks_what_knows_ecn);
	tcase_add_test(tc, l4s_flows_have_a_shallow_target);
	tcase_add_test(tc, a_short_queue_is_left_alone);
	tcase_add_test(tc, the_target_can_be_raised);
	tcase_add_test(tc, a_flood_is_told_before_the_bound);
	tcase_add_test(tc, what_waited_through_an_outage_is_passed_over);
	tcase_add_test(tc, overflow_takes_from_the_fattest);
	tcase_add_test(tc, many_flows_random);
	tcase_add_test(tc, flows_of_a_busy_path_stay);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
