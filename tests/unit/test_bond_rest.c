/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bond that was quiet for a while: what it says it does without may become zeros, wholly or by
 * pages, or stay; what comes then is numbered, put in order and told from copies as before. One
 * bond here is both ends: what it sends it receives.
 */
#include <check.h>
#include <stdlib.h>

#include "bond/bond.h"
#include "bond/header.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

enum { FRAMES = 4096, REORDER_PKTS = 1024, PKTS = 60, LEN = 1300, PAGE = 4096 };

static uint8_t *frames;
static struct qb_buf *bufs;
static struct qb_depot depot;
static struct qb_pool pool;
static struct qb_counters counters;
static struct qb_bond *b;
static void *mem;
static uint64_t now;
static uint32_t next_mark, want_mark; /* packets are numbered, too, by who sends them */

static void setup(void)
{
	struct qb_bond_cfg cfg = {.reorder = QB_REORDER_AUTO,
				  .queue_pkts = 1000,
				  .reorder_pkts = REORDER_PKTS,
				  .seed = 42,
				  .counters = &counters,
				  .pool = &pool};
	struct qb_path_obs obs[QB_BOND_PATHS_MAX] = {0};

	now = 50 * SEC;
	next_mark = want_mark = 0;
	frames = malloc((size_t)FRAMES * QB_FRAME_BYTES);
	bufs = calloc(FRAMES, sizeof(*bufs));
	memset(&counters, 0, sizeof(counters));
	qb_depot_init(&depot, frames, bufs, FRAMES);
	qb_pool_init(&pool, &depot);
	mem = calloc(1, qb_bond_footprint(&cfg));
	b = qb_bond_init(mem, &cfg, now);
	qb_bond_set_ordered(b, true);
	for (uint32_t i = 0; i < QB_BOND_PATHS_MAX; i++)
		obs[i] = (struct qb_path_obs){.is_open = true, .srtt_ns = 20 * MS};
	qb_bond_path_reset(b, 0, true, QB_TIER_PRIMARY, now);
	(void)qb_bond_observe(b, 0, obs, QB_BOND_PATHS_MAX, now);
}

static void teardown(void)
{
	qb_bond_fini(b);
	qb_pool_fini(&pool);
	ck_assert_uint_eq(depot.free_cnt, FRAMES);
	free(mem);
	free(bufs);
	free(frames);
}

static void enqueue(void)
{
	struct qb_batch in = {0};

	for (uint32_t i = 0; i < PKTS; i++) {
		struct qb_buf *buf = qb_buf_get(&pool);

		memset(buf->data, 0, LEN);
		buf->len = LEN;
		buf->data[0] = 0x45;
		qb_store_be16(buf->data + 2, LEN);
		buf->data[9] = 6;
		buf->data[32] = 0x50;
		qb_store_be32(buf->data + 100, next_mark++);
		qb_batch_add(&in, buf);
	}
	qb_bond_enqueue(b, &in, now);
}

/* A numbered packet on its way; keep: what was sent may be lost. */
static struct qb_buf *send_one(bool keep)
{
	struct qb_path_view v = {.is_usable = true,
				 .is_validated = true,
				 .srtt_ns = 20 * MS,
				 .min_rtt_ns = 20 * MS,
				 .cwnd_bytes = 50000,
				 .rate_bps = 10000000,
				 .budget_bytes = 6000,
				 .max_inner_bytes = 1400};
	uint8_t path;
	struct qb_buf *buf = qb_bond_pick(b, &v, 1, now, &path), *copy = qb_buf_get(&pool);

	ck_assert_ptr_nonnull(buf);
	ck_assert(buf->flags & QB_BUF_ORDERED);
	copy->len = buf->len;
	copy->flags = buf->flags;
	memcpy(copy->data, buf->data, buf->len);
	if (keep)
		qb_bond_on_sent(b, buf, LEN, now);
	qb_buf_put(&pool, buf);
	return copy;
}

static void receive(struct qb_buf *buf)
{
	struct qb_batch in = {.cnt = 1, .buf = {buf}}, out = {0};

	qb_bond_rx(b, &in, &out, now);
	for (uint32_t i = 0; i < out.cnt; i++)
		ck_assert_uint_eq(qb_load_be32(out.buf[i]->data + 100), want_mark++);
	qb_batch_put(&pool, &out);
}

/* A burst whose packets arrive two by two in the wrong order, the last one twice. */
static void burst(void)
{
	struct qb_buf *one, *two, *again = NULL;

	enqueue();
	for (uint32_t i = 0; i < PKTS; i += 2) {
		one = send_one(true);
		two = send_one(true);
		if (i + 2 == PKTS) {
			again = qb_buf_get(&pool);
			again->len = two->len;
			again->flags = two->flags;
			memcpy(again->data, two->data, two->len);
		}
		/* The order of a flow begins with its second packet. */
		receive(i < 4 ? one : two);
		receive(i < 4 ? two : one);
	}
	receive(again);
	ck_assert_uint_eq(want_mark, next_mark);
	ck_assert(!qb_bond_has_queued(b));
}

enum waste { ALL, PAGES, EVERY_OTHER_PAGE, NOTHING, WASTE_CNT };

static void waste(const struct qb_bond_span *s, enum waste how)
{
	uintptr_t from = ((uintptr_t)s->mem + PAGE - 1) / PAGE * PAGE,
		  end = (uintptr_t)s->mem + s->bytes;

	if (how == ALL)
		memset(s->mem, 0, s->bytes);
	for (uintptr_t at = from; how != NOTHING && how != ALL && at + PAGE <= end;
	     at += how == PAGES ? PAGE : 2 * PAGE)
		memset((void *)at, 0, PAGE);
}

START_TEST(goes_on_behind_a_rest)
{
	struct qb_bond_span spans[QB_BOND_SPANS_MAX];
	size_t bytes = 0;
	uint32_t cnt;

	ck_assert_uint_eq(qb_bond_rest(b, spans, now + 20 * SEC), 0); /* never used */
	for (uint32_t round = 0; round < 5; round++) {
		burst();
		ck_assert_uint_lt(depot.free_cnt + pool.cnt, FRAMES); /* of what is under way */
		now += 9 * SEC;
		ck_assert_uint_eq(qb_bond_rest(b, spans, now), 0);
		now += 2 * SEC;
		cnt = qb_bond_rest(b, spans, now);
		ck_assert_uint_eq(cnt, QB_BOND_SPANS_MAX);
		ck_assert_uint_eq(depot.free_cnt + pool.cnt, FRAMES);
		for (uint32_t i = 0; i < cnt; i++) {
			ck_assert((uint8_t *)spans[i].mem >= (uint8_t *)mem);
			bytes += spans[i].bytes;
			waste(&spans[i], (enum waste)_i);
		}
		ck_assert_uint_eq(qb_bond_rest(b, spans, now + 20 * SEC), 0);
	}
	ck_assert_uint_gt(bytes / 5, 400 << 10);
	burst();
	ck_assert_uint_eq(qb_counter_read(&counters, QB_CNT_DROP_REORDER_DUP), 6);
	ck_assert_uint_eq(qb_counter_read(&counters, QB_CNT_REORDER_LATE), 0);
}
END_TEST

/* What waits, to be sent or for its order, is no rest. */
START_TEST(nothing_that_waits_is_let_go)
{
	struct qb_bond_span spans[QB_BOND_SPANS_MAX];
	struct qb_batch out = {0};

	burst();
	enqueue();
	ck_assert_uint_eq(qb_bond_rest(b, spans, now + 20 * SEC), 0);
	for (uint32_t i = 0; i < PKTS; i++) {
		struct qb_buf *buf = send_one(false);

		if (i)
			receive(buf);
		else
			qb_buf_put(&pool, buf);
	}
	ck_assert_uint_eq(want_mark, PKTS);
	ck_assert_uint_eq(qb_bond_rest(b, spans, now + 20 * SEC), 0);
	(void)qb_bond_rx_poll(b, &out, now + 5 * SEC);
	ck_assert_uint_eq(out.cnt, PKTS - 1);
	qb_batch_put(&pool, &out);
	ck_assert_uint_eq(qb_bond_rest(b, spans, now + 20 * SEC), QB_BOND_SPANS_MAX);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond_rest");
	TCase *tc = tcase_create("rest");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, goes_on_behind_a_rest, 0, WASTE_CNT);
	tcase_add_test(tc, nothing_that_waits_is_let_go);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
