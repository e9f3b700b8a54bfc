/* SPDX-License-Identifier: BSD-2-Clause */
/* The deadline scheduler: which path makes it, what is dropped, who goes first, and that this
 * brings more there in time. */
#include <check.h>
#include <stdlib.h>

#include "base/rand.h"
#include "bond/bond.h"
#include "bond/sched.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

enum { FRAMES = 1024, PKT_BYTES = 1000 };

/* ---- one decision ---- */

struct path_in {
	uint64_t rtt_ms, busy_ms; /* 0: free */
	bool is_off;
};

#define PATH(rtt_ms_, ...)                                                                         \
	{                                                                                          \
		.rtt_ms = rtt_ms_, ##__VA_ARGS__                                                   \
	}

/* clang-format off */
static const struct {
	const char *what;
	struct path_in v[3];
	uint64_t deadline_ms, age_ms;
	int want;
	uint64_t queued_bytes; /* behind it */
} picks[] = {
	{"the quickest", {PATH(40), PATH(20)}, 50, 0, 1, 0},
	{"another that is free and in time, not the quickest that is busy", {PATH(40), PATH(20, .busy_ms = 3)}, 50, 0, 0, 0},
	{"waits for the one that can make it", {PATH(140), PATH(20, .busy_ms = 3)}, 50, 0, QB_SCHED_WAIT, 0},
	{"the same with 40 ms of others behind it", {PATH(80), PATH(20, .busy_ms = 3)}, 60, 30, QB_SCHED_WAIT, 90000},
	{"too much behind it: a younger one takes the free one", {PATH(80), PATH(20, .busy_ms = 3)}, 60, 30, QB_SCHED_LATE, 150000},
	{"too much behind it, but no younger one could either", {PATH(140), PATH(20, .busy_ms = 3)}, 60, 30, QB_SCHED_WAIT, 150000},
	{"too much behind it, and none is free", {PATH(80, .busy_ms = 2), PATH(20, .busy_ms = 3)}, 60, 30, QB_SCHED_WAIT, 150000},
	{"nobody can any more", {PATH(140), PATH(20, .busy_ms = 3)}, 50, 40, QB_SCHED_LATE, 0},
	{"still in time", {PATH(140), PATH(20)}, 50, 35, 1, 0},
	{"too old", {PATH(40), PATH(20)}, 50, 45, QB_SCHED_LATE, 0},
	{"past it", {PATH(40), PATH(20)}, 50, 60, QB_SCHED_LATE, 0},
	{"no path has it in it: the quickest all the same", {PATH(240), PATH(200)}, 50, 0, 1, 0},
	{"the same, after a wait", {PATH(240), PATH(200)}, 50, 12, 1, 0},
	{"the same, after too long a wait", {PATH(240), PATH(200)}, 50, 13, QB_SCHED_LATE, 0},
	{"no path at all", {PATH(40, .is_off = true), PATH(20, .is_off = true)}, 50, 60, QB_SCHED_WAIT, 0},
	{"the only one", {PATH(40, .is_off = true), PATH(80)}, 50, 0, 1, 0},
	{"no deadline: auto waits for the better one", {PATH(140), PATH(20, .busy_ms = 3)}, 0, 0, QB_SCHED_WAIT, 0},
	{"no deadline: nothing is late", {PATH(40), PATH(20)}, 0, 5000, 1, 0},
};
/* clang-format on */

START_TEST(pick_table)
{
	_Alignas(16) uint8_t state[QB_SCHED_STATE_MAX];
	struct qb_path_view v[3] = {{0}};
	struct qb_pkt_meta pkt = {.bytes = PKT_BYTES,
				  .is_sparse = true,
				  .age_ns = picks[_i].age_ms * MS,
				  .queued_bytes = picks[_i].queued_bytes,
				  .deadline_ns = picks[_i].deadline_ms * MS};
	uint32_t n = 0;
	int got;

	for (; n < 3 && picks[_i].v[n].rtt_ms; n++) {
		const struct path_in *in = &picks[_i].v[n];

		v[n] = (struct qb_path_view){.is_usable = !in->is_off,
					     .srtt_ns = in->rtt_ms * MS,
					     .min_rtt_ns = in->rtt_ms * MS,
					     .rate_bps = 10000000,
					     .cwnd_bytes = 100000,
					     .budget_bytes = in->busy_ms ? 0 : 10000,
					     .next_send_ns =
						     in->busy_ms ? SEC + in->busy_ms * MS : 0};
	}
	qb_sched_start(&qb_sched_deadline, state);
	got = qb_sched_deadline.pick(state, v, n, &pkt, SEC);
	ck_assert_msg(got == picks[_i].want, "%s: %d, not %d", picks[_i].what, got, picks[_i].want);
}
END_TEST

/* ---- in a bond ---- */

static uint8_t *frames;
static struct qb_buf bufs[FRAMES];
static struct qb_depot depot;
static struct qb_pool pool;
static struct qb_counters counters;
static struct qb_bond *b;
static void *mem;
static struct qb_policy policy;

/* Packets are told apart by their DSCP, which is also the number of their rule, and by what is in
 * them. */
static void setup(void)
{
	struct qb_bond_cfg cfg = {.queue_pkts = 500,
				  .reorder_pkts = 256,
				  .seed = 1,
				  .counters = &counters,
				  .pool = &pool};
	struct qb_path_obs obs[QB_BOND_PATHS_MAX] = {{.is_open = true}};

	frames = malloc((size_t)FRAMES * QB_FRAME_BYTES);
	memset(&counters, 0, sizeof(counters));
	qb_depot_init(&depot, frames, bufs, FRAMES);
	qb_pool_init(&pool, &depot);
	mem = malloc(qb_bond_footprint(&cfg));
	b = qb_bond_init(mem, &cfg, SEC);
	qb_bond_path_reset(b, 0, true, QB_TIER_PRIMARY, SEC);
	qb_bond_observe(b, 0, obs, 1, SEC);
	memset(&policy, 0, sizeof(policy));
}

static void teardown(void)
{
	qb_bond_fini(b);
	qb_pool_fini(&pool);
	ck_assert_uint_eq(depot.free_cnt, FRAMES);
	free(mem);
	free(frames);
}

static void rule(uint32_t dscp, uint64_t deadline_ms, const struct qb_sched *sched)
{
	policy.rules[policy.cnt++] = (struct qb_rule){.match = {.dscps = UINT64_C(1) << dscp},
						      .treat = {.class = QB_CLASS_REALTIME,
								.sched = sched,
								.deadline_ns = deadline_ms * MS}};
}

static void enqueue(uint32_t dscp, uint32_t tag, uint64_t now)
{
	struct qb_buf *buf = qb_buf_get(&pool);
	struct qb_batch in = {.cnt = 1, .buf = {buf}};

	buf->len = PKT_BYTES;
	memset(buf->data, 0, PKT_BYTES);
	buf->data[0] = 0x45;
	buf->data[1] = (uint8_t)(dscp << 2);
	qb_store_be16(buf->data + 2, PKT_BYTES);
	buf->data[8] = 64;
	buf->data[9] = 17;
	buf->data[15] = (uint8_t)dscp; /* a flow for each */
	qb_store_be32(buf->data + 28, tag);
	qb_bond_enqueue(b, &in, now);
}

static struct qb_path_view view(uint64_t budget_bytes)
{
	return (struct qb_path_view){.is_usable = true,
				     .is_validated = true,
				     .srtt_ns = 20 * MS,
				     .min_rtt_ns = 20 * MS,
				     .cwnd_bytes = 1000000,
				     .rate_bps = 10000000,
				     .budget_bytes = budget_bytes};
}

/* pick returns the DSCP of the next packet, or -1; the path takes one at a time. */
static int pick(uint64_t now, uint32_t *tag)
{
	struct qb_path_view v = view(PKT_BYTES + 40);
	uint8_t path;
	struct qb_buf *buf = qb_bond_pick(b, &v, 1, now, &path);
	int dscp;

	if (!buf)
		return -1;
	dscp = buf->data[1] >> 2;
	if (tag)
		*tag = qb_load_be32(buf->data + 28);
	qb_buf_put(&pool, buf);
	return dscp;
}

START_TEST(the_earliest_deadline_goes_first)
{
	rule(10, 300, NULL);
	rule(12, 100, NULL);
	rule(14, 200, NULL);
	qb_bond_set_policy(b, &policy);
	qb_bond_set_sched(b, &qb_sched_deadline);
	for (uint32_t i = 0; i < 3; i++)
		enqueue(10, i, SEC);
	enqueue(12, 0, SEC + MS);
	enqueue(14, 0, SEC + MS);
	enqueue(12, 1, SEC + 2 * MS);
	ck_assert_int_eq(pick(SEC + 2 * MS, NULL), 12);
	ck_assert_int_eq(pick(SEC + 2 * MS, NULL), 12);
	ck_assert_int_eq(pick(SEC + 2 * MS, NULL), 14);
	/* What is due at 300 is older by now than what comes with 100. */
	enqueue(12, 2, SEC + 220 * MS);
	ck_assert_int_eq(pick(SEC + 220 * MS, NULL), 10);
	ck_assert_int_eq(pick(SEC + 220 * MS, NULL), 10);
	ck_assert_int_eq(pick(SEC + 220 * MS, NULL), 10);
	ck_assert_int_eq(pick(SEC + 220 * MS, NULL), 12);
	ck_assert_int_eq(pick(SEC + 220 * MS, NULL), -1);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_LATE], 0);
}
END_TEST

START_TEST(what_is_late_is_dropped)
{
	uint32_t tag;

	rule(10, 100, NULL);
	rule(12, 0, NULL);
	rule(14, 100, qb_sched_find("minrtt"));
	qb_bond_set_policy(b, &policy);
	qb_bond_set_sched(b, &qb_sched_deadline);
	for (uint32_t i = 0; i < 4; i++)
		enqueue(10, i, SEC + i * 20 * MS);
	/* 100 ms, of which the path takes 10: the last two can be there in time. */
	ck_assert_int_eq(pick(SEC + 125 * MS, &tag), 10);
	ck_assert_uint_eq(tag, 2);
	ck_assert_int_eq(pick(SEC + 125 * MS, &tag), 10);
	ck_assert_uint_eq(tag, 3);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_LATE], 2);
	/* Realtime has 150 ms of its own accord, another scheduler's packets and other classes have
	 * for ever. */
	enqueue(12, 0, 2 * SEC);
	enqueue(12, 1, 2 * SEC + 50 * MS);
	enqueue(14, 0, 2 * SEC);
	enqueue(0, 0, 2 * SEC);
	ck_assert_int_eq(pick(2 * SEC + 160 * MS, &tag), 12);
	ck_assert_uint_eq(tag, 1);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_LATE], 3);
	ck_assert_int_eq(pick(2 * SEC + 160 * MS, NULL), 14);
	ck_assert_int_eq(pick(2 * SEC + 160 * MS, NULL), 0);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_LATE], 3);
	/* Another scheduler looks at no deadline. */
	qb_bond_set_sched(b, NULL);
	enqueue(10, 0, 3 * SEC);
	ck_assert_int_eq(pick(3 * SEC + 160 * MS, NULL), 10);
	/* But for a rule that has this one. */
	policy.cnt = 0;
	rule(10, 100, &qb_sched_deadline);
	qb_bond_set_policy(b, &policy);
	enqueue(10, 0, 4 * SEC);
	enqueue(0, 0, 4 * SEC);
	ck_assert_int_eq(pick(4 * SEC + 160 * MS, NULL), 0);
	ck_assert_int_eq(pick(4 * SEC + 160 * MS, NULL), -1);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_LATE], 4);
}
END_TEST

/* What has its number when transport does not take it leaves late rather than never: those behind it would wait there for longer. */
START_TEST(what_has_a_number_leaves)
{
	struct qb_path_view v = view(5000);
	struct qb_buf *buf, *again;
	uint8_t path;

	rule(10, 100, NULL);
	qb_bond_set_policy(b, &policy);
	qb_bond_set_sched(b, &qb_sched_deadline);
	qb_bond_set_ordered(b, true);
	enqueue(10, 0, SEC);
	enqueue(10, 1, SEC);
	buf = qb_bond_pick(b, &v, 1, SEC, &path);
	ck_assert_ptr_nonnull(buf);
	qb_bond_unpick(b, buf, SEC);
	again = qb_bond_pick(b, &v, 1, SEC + 95 * MS, &path);
	ck_assert_ptr_eq(again, buf);
	qb_buf_put(&pool, buf);
	/* The other has none yet. */
	ck_assert_ptr_null(qb_bond_pick(b, &v, 1, SEC + 95 * MS, &path));
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_LATE], 1);
}
END_TEST

/*
 * overload has a path of a packet every 10 ms carry two flows that bring 12 packets every 100 ms
 * between them, one in a hurry and one not. Returns how many of 1200 left in time; *late: how many
 * left in vain.
 */
static uint32_t overload(const struct qb_sched *sched, uint32_t *late)
{
	static const uint64_t deadline_ns[2] = {40 * MS, 200 * MS};
	uint64_t sent_ns[2][1200], now = SEC;
	uint32_t cnt[2] = {0}, in_time = 0;

	qb_bond_set_sched(b, sched);
	*late = 0;
	for (uint32_t ms = 0; ms < 10000; ms++, now += MS) {
		uint32_t tag;
		int dscp;

		/* four at once, and eight by and by */
		for (int k = 0; ms % 100 == 0 && k < 4; k++) {
			sent_ns[0][cnt[0]] = now;
			enqueue(10, cnt[0]++, now);
		}
		if (ms % 100 < 96 && ms % 12 == 0) {
			sent_ns[1][cnt[1]] = now;
			enqueue(12, cnt[1]++, now);
		}
		if (ms % 10 != 5)
			continue;
		dscp = pick(now, &tag);
		if (dscp < 0)
			continue;
		/* 10 ms one way */
		if (now + 10 * MS <= sent_ns[dscp == 12][tag] + deadline_ns[dscp == 12])
			in_time++;
		else
			(*late)++;
	}
	return in_time;
}

START_TEST(more_arrives_in_time)
{
	uint32_t with, without, late_with, late_without;

	rule(10, 40, NULL);
	rule(12, 200, NULL);
	qb_bond_set_policy(b, &policy);
	without = overload(qb_sched_find("minrtt"), &late_without);
	teardown();
	setup();
	rule(10, 40, NULL);
	rule(12, 200, NULL);
	qb_bond_set_policy(b, &policy);
	with = overload(&qb_sched_deadline, &late_with);
	ck_assert_uint_eq(late_with, 0);
	ck_assert_uint_ge(with, 980); /* of 1000 that fit */
	ck_assert_uint_ge(late_without, 100);
	ck_assert_uint_ge(with, without + 100);
}
END_TEST

/* What is dropped as late is not paid for with the flow's turn: of more than its share, so much arrives, and in time. */
START_TEST(who_brings_too_much_gets_its_share_in_time)
{
	uint64_t sent_ns[1300], now = SEC;
	uint32_t cnt = 0, in_time = 0, late = 0, other = 0;

	rule(10, 60, NULL);
	policy.rules[0].treat.class = QB_CLASS_BULK;
	qb_bond_set_policy(b, &policy);
	qb_bond_set_sched(b, &qb_sched_deadline);
	for (uint32_t ms = 0; ms < 4000; ms++, now += MS) {
		uint32_t tag;
		int dscp;

		for (int k = 0; ms % 10 == 0 && k < 3; k++) {
			sent_ns[cnt] = now;
			enqueue(10, cnt++, now);
			enqueue(0, 0, now);
		}
		if (ms % 5 != 4)
			continue;
		dscp = pick(now, &tag);
		ck_assert_int_ge(dscp, 0);
		other += dscp == 0;
		if (dscp != 10)
			continue;
		if (now + 10 * MS <= sent_ns[tag] + 60 * MS)
			in_time++;
		else
			late++;
	}
	ck_assert_uint_eq(late, 0);
	ck_assert_uint_ge(in_time, 350); /* of 800 that fit, for two */
	ck_assert_uint_ge(other, 350);
}
END_TEST

/* Any mix of deadlines and times: what leaves under its deadline was in time, and every packet is
 * sent or counted. */
START_TEST(random_deadlines)
{
	static uint64_t due_ns[4096];
	struct qb_rand r;
	uint32_t sent = 0, cnt = 0;
	uint64_t now = SEC;

	qb_rand_seed(&r, (uint64_t)_i);
	for (uint32_t i = 0; i < 16; i++)
		rule(i, 20 + qb_rand_u64(&r) % 200, NULL);
	qb_bond_set_policy(b, &policy);
	qb_bond_set_sched(b, &qb_sched_deadline);
	while (cnt < 4000) {
		uint32_t dscp = (uint32_t)(qb_rand_u64(&r) % 16), tag;

		now += qb_rand_u64(&r) % (2 * MS);
		due_ns[cnt] = now + policy.rules[dscp].treat.deadline_ns;
		enqueue(dscp, cnt++, now);
		if (qb_rand_u64(&r) % 3 && pick(now, &tag) >= 0) {
			sent++;
			/* the path takes 10 ms */
			ck_assert_uint_le(now + 10 * MS, due_ns[tag]);
		}
	}
	while (pick(now, NULL) >= 0)
		sent++;
	ck_assert_uint_eq(sent + counters.v[QB_CNT_DROP_LATE] + counters.v[QB_CNT_DROP_QUEUE], cnt);
	ck_assert_uint_gt(sent, cnt / 4);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond deadline");
	TCase *tc = tcase_create("pick"), *in_bond = tcase_create("bond");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, pick_table, 0, (int)QB_ARRAY_LEN(picks));
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(in_bond, setup, teardown);
	tcase_add_test(in_bond, the_earliest_deadline_goes_first);
	tcase_add_test(in_bond, what_is_late_is_dropped);
	tcase_add_test(in_bond, what_has_a_number_leaves);
	tcase_add_test(in_bond, more_arrives_in_time);
	tcase_add_test(in_bond, who_brings_too_much_gets_its_share_in_time);
	tcase_add_loop_test(in_bond, random_deadlines, 0, 10);
	suite_add_tcase(s, in_bond);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
