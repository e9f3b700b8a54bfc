/* SPDX-License-Identifier: BSD-2-Clause */
/* Classes: what a DSCP asks for, what a policy's conditions match, the cache by flow, and what a
 * rule does in a bond. */
#include <check.h>
#include <stdlib.h>

#include "bond/bond.h"
#include "bond/flow.h"
#include "bond/header.h"

#define SEC QB_NS_PER_SEC

enum { FRAMES = 1024 };

static uint8_t *frames;
static struct qb_buf bufs[FRAMES];
static struct qb_depot depot;
static struct qb_pool pool;
static struct qb_counters counters;
static const struct qb_hash_key key = {1, 2};

static void setup(void)
{
	frames = malloc((size_t)FRAMES * QB_FRAME_BYTES);
	memset(&counters, 0, sizeof(counters));
	qb_depot_init(&depot, frames, bufs, FRAMES);
	qb_pool_init(&pool, &depot);
}

static void teardown(void)
{
	qb_pool_fini(&pool);
	ck_assert_uint_eq(depot.free_cnt, FRAMES);
	free(frames);
}

/* packet makes one from 10.0.0.`host` or 2001:db8::`host`. */
static struct qb_buf *packet(bool is_v6, uint8_t proto, uint8_t dscp, uint8_t host, uint16_t sport,
			     uint16_t dport)
{
	struct qb_buf *b = qb_buf_get(&pool);
	uint8_t *p = b->data, *tp = p + (is_v6 ? 40 : 20);

	b->len = (is_v6 ? 40 : 20) + 100;
	memset(p, 0, b->len);
	if (is_v6) {
		p[0] = (uint8_t)(0x60 | dscp >> 2);
		p[1] = (uint8_t)(dscp << 6);
		qb_store_be16(p + 4, 100);
		p[6] = proto;
		qb_store_be32(p + 8, 0x20010db8);
		p[23] = host;
		qb_store_be32(p + 24, 0x20010db9);
	} else {
		p[0] = 0x45;
		p[1] = (uint8_t)(dscp << 2);
		qb_store_be16(p + 2, 120);
		p[9] = proto;
		qb_store_be32(p + 12, 0x0a000000 | host);
		qb_store_be32(p + 16, 0xc6336401);
	}
	qb_store_be16(tp, sport);
	qb_store_be16(tp + 2, dport);
	return b;
}

static enum qb_class mark(struct qb_classes *c, struct qb_buf *b)
{
	struct qb_flow_pkt pkt;
	enum qb_class class;

	ck_assert_int_eq(qb_flow_parse(b->data, b->len, &key, &pkt), 0);
	class = qb_classes_mark(c, b, &pkt);
	ck_assert_int_eq(class, qb_buf_class(b));
	ck_assert_uint_eq((uint32_t)b->meta, pkt.hash);
	return class;
}

static struct qb_classes *new_classes(void)
{
	struct qb_classes *c = malloc(sizeof(*c) + qb_classes_footprint());

	memset(c, 0xa5, sizeof(*c) + qb_classes_footprint());
	qb_classes_init(c, c + 1);
	return c;
}

START_TEST(dscps)
{
	static const struct {
		uint8_t dscp;
		enum qb_class class;
	} cases[] = {
		{46, QB_CLASS_REALTIME}, {44, QB_CLASS_REALTIME},  {34, QB_CLASS_INTERACTIVE},
		{0, QB_CLASS_AUTO},	 {8, QB_CLASS_BACKGROUND}, {1, QB_CLASS_BACKGROUND},
		{10, QB_CLASS_AUTO},	 {63, QB_CLASS_AUTO},	   {48, QB_CLASS_REALTIME},
	};
	struct qb_classes *c = new_classes();

	for (int v6 = 0; v6 < 2; v6++) {
		for (uint32_t i = 0; i < QB_ARRAY_LEN(cases); i++) {
			struct qb_buf *b = packet(v6, 17, cases[i].dscp, 1, 1000, 2000);

			ck_assert_int_eq(mark(c, b), cases[i].class);
			ck_assert_ptr_null(qb_classes_treat(c, b));
			qb_buf_put(&pool, b);
		}
	}
	free(c);
}
END_TEST

#define ONE(...)                                                                                   \
	{                                                                                          \
		.match = {__VA_ARGS__}, .treat = {.class = QB_CLASS_REALTIME }                     \
	}

/* Each rule alone against packets of which it takes exactly those whose bit is set. */
START_TEST(conditions)
{
	static const struct {
		struct qb_rule rule;
		uint32_t takes;
	} cases[] = {
		{ONE(.dscps = 0), 0xff},
		{ONE(.dscps = UINT64_C(1) << 10), 0x40},
		{ONE(.port_cnt = 1, .ports = {{17, true, 3478, 3481}}), 0x0d},
		{ONE(.port_cnt = 1, .ports = {{0, true, 3480, 3480}}), 0x0f},
		{ONE(.port_cnt = 1, .ports = {{6, false, 0, 0}}), 0x02},
		{ONE(.port_cnt = 2, .ports = {{6, false, 0, 0}, {50, false, 0, 0}}), 0x12},
		{ONE(.port_cnt = 1, .ports = {{17, true, 3482, 9999}}), 0x40},
		{ONE(.src_cnt = 1, .src = {{.ip = {10, 0, 0, 2}, .family = 4, .len = 32}}), 0x20},
		{ONE(.src_cnt = 1, .src = {{.ip = {0x20, 1, 0xd, 0xb8}, .family = 6, .len = 32}}),
		 0x08},
		{ONE(.dst_cnt = 2, .dst = {{.ip = {0x20, 1, 0xd, 0xb9}, .family = 6, .len = 32},
					   {.ip = {198, 51, 100, 0}, .family = 4, .len = 24}}),
		 0xff},
		/* kinds together: UDP from that host */
		{ONE(.port_cnt = 1, .ports = {{17, false, 0, 0}}, .src_cnt = 1,
		     .src = {{.ip = {10, 0, 0, 1}, .family = 4, .len = 32}}),
		 0xc5},
	};
	struct qb_buf *b[8] = {
		packet(false, 17, 0, 1, 3480, 5),  packet(false, 6, 0, 1, 3480, 5),
		packet(false, 17, 0, 1, 5, 3480),  packet(true, 17, 0, 1, 3480, 5),
		packet(false, 50, 0, 1, 3480, 5),  packet(false, 1, 0, 2, 0, 0),
		packet(false, 17, 10, 1, 7, 9000), packet(false, 17, 0, 1, 3480, 3480),
	};
	struct qb_classes *c = new_classes();
	struct qb_policy policy = {.cnt = 1, .rules = {cases[_i].rule}};

	/* The last one is a fragment: it shows no ports. */
	b[7]->data[6] = 0x20;
	qb_classes_set_policy(c, &policy);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 8; i++) {
			bool is_taken = mark(c, b[i]) == QB_CLASS_REALTIME;

			ck_assert_msg(is_taken == (cases[_i].takes >> i & 1),
				      "case %d, packet %u, round %d", _i, i, round);
			ck_assert_ptr_eq(qb_classes_treat(c, b[i]),
					 is_taken ? &policy.rules[0].treat : NULL);
		}
	}
	for (uint32_t i = 0; i < 8; i++)
		qb_buf_put(&pool, b[i]);
	free(c);
}
END_TEST

/* A packet's marks count, not its flow's: of one and the same flow some may have them. */
START_TEST(firewall_marks)
{
	struct qb_policy p = {
		.cnt = 3,
		.rules = {{.match = {.mark_cnt = 2, .mark_bits = 1 << 0 | 1 << 15, .dscps = 1},
			   .treat = {.class = QB_CLASS_REALTIME}},
			  {.match = {.mark_cnt = 1, .mark_bits = 1 << 3},
			   .treat = {.class = QB_CLASS_BULK}},
			  {.match = {.mark_cnt = 1}, .treat = {.class = QB_CLASS_BACKGROUND}}}};
	static const struct {
		uint16_t marks;
		uint8_t dscp;
		enum qb_class class;
	} rows[] = {
		{0, 0, QB_CLASS_AUTO},		  {1 << 0, 0, QB_CLASS_REALTIME},
		{1 << 15, 0, QB_CLASS_REALTIME},  {1 << 1 | 1 << 4, 0, QB_CLASS_AUTO},
		{1 << 3, 0, QB_CLASS_BULK},	  {1 << 3 | 1 << 15, 0, QB_CLASS_REALTIME},
		{1 << 0, 46, QB_CLASS_REALTIME},  {1 << 3 | 1, 46, QB_CLASS_BULK},
		{0xfff6 & 0x7fff, 0, QB_CLASS_AUTO}, {0xffff, 0, QB_CLASS_REALTIME},
	};
	struct qb_classes *c = new_classes();

	qb_classes_set_policy(c, &p);
	for (uint32_t round = 0; round < 3; round++)
		for (uint32_t i = 0; i < QB_ARRAY_LEN(rows); i++) {
			struct qb_buf *b = packet(round == 1, 17, rows[i].dscp, 1, 1000, 2000);

			ck_assert_uint_eq(b->marks, 0);
			b->marks = rows[i].marks;
			ck_assert_int_eq(mark(c, b), rows[i].class);
			qb_buf_put(&pool, b);
		}
	free(c);
}
END_TEST

START_TEST(the_first_rule_counts_and_a_new_policy_is_heeded_at_once)
{
	struct qb_policy a = {
		.cnt = 3,
		.rules = {{.match = {.dscps = 1}, .treat = {.class = QB_CLASS_BULK}},
			  {.match = {.dscps = 3}, .treat = {.class = QB_CLASS_REALTIME}},
			  {.match = {.dscps = 0}, .treat = {.ordering = QB_ORDERING_NO}}}};
	struct qb_policy none = {.cnt = 0};
	struct qb_classes *c = new_classes();
	struct qb_buf *b = packet(false, 17, 0, 1, 1, 2), *ef = packet(false, 17, 46, 1, 1, 2);

	qb_classes_set_policy(c, &a);
	ck_assert_int_eq(mark(c, b), QB_CLASS_BULK);
	/* A rule without a class leaves it to the DSCP. */
	ck_assert_int_eq(mark(c, ef), QB_CLASS_REALTIME);
	ck_assert_ptr_eq(qb_classes_treat(c, ef), &a.rules[2].treat);
	ck_assert_int_eq(mark(c, b), QB_CLASS_BULK);
	a.rules[0].treat.class = QB_CLASS_BACKGROUND;
	for (int i = 0; i < 600; i++) {
		enum qb_class want = i % 2 ? QB_CLASS_BACKGROUND : QB_CLASS_INTERACTIVE;

		a.rules[0].treat.class = want;
		qb_classes_set_policy(c, &a);
		ck_assert_int_eq(mark(c, b), want);
	}
	qb_classes_set_policy(c, &none);
	/* What was marked under the old policy finds no rule any more. */
	ck_assert_ptr_null(qb_classes_treat(c, b));
	ck_assert_int_eq(mark(c, b), QB_CLASS_AUTO);
	qb_buf_put(&pool, b);
	qb_buf_put(&pool, ef);
	free(c);
}
END_TEST

/* ---- in a bond ---- */

static struct qb_bond *b;
static void *mem;

static void bond_setup(void)
{
	struct qb_bond_cfg cfg = {
				  .queue_pkts = 500,
				  .reorder_pkts = 256,
				  .seed = 1,
				  .counters = &counters,
				  .pool = &pool};
	struct qb_path_obs obs[QB_BOND_PATHS_MAX] = {{.is_open = true}, {.is_open = true}};

	setup();
	mem = malloc(qb_bond_footprint(&cfg));
	b = qb_bond_init(mem, &cfg, SEC);
	qb_bond_set_ordered(b, true);
	for (uint8_t i = 0; i < 2; i++) {
		qb_bond_path_reset(b, i, true, QB_TIER_PRIMARY, SEC);
		qb_bond_observe(b, i, obs, 2, SEC);
	}
}

static void bond_teardown(void)
{
	qb_bond_fini(b);
	free(mem);
	teardown();
}

static void enqueue(struct qb_buf *buf, uint64_t now)
{
	struct qb_batch in = {.cnt = 1, .buf = {buf}};

	qb_bond_enqueue(b, &in, now);
}

static struct qb_buf *pick(uint64_t now, uint8_t *path)
{
	struct qb_path_view v[2];

	for (uint32_t i = 0; i < 2; i++)
		v[i] = (struct qb_path_view){.is_usable = true,
					     .is_validated = true,
					     .srtt_ns = (10 + 20 * i) * QB_NS_PER_MS,
					     .min_rtt_ns = (10 + 20 * i) * QB_NS_PER_MS,
					     .cwnd_bytes = 100000,
					     .rate_bps = 10000000,
					     .budget_bytes = 15000,
					     .max_inner_bytes = 1400};
	return qb_bond_pick(b, v, 2, now, path);
}

START_TEST(a_rule_has_its_own_scheduler)
{
	struct qb_policy p = {.cnt = 2,
			      .rules = {{.match = {.dscps = 1 << 10},
					 .treat = {.sched = qb_sched_find("roundrobin")}},
					{.match = {.dscps = 1 << 12},
					 .treat = {.sched = qb_sched_find("minrtt")}}}};
	uint32_t by_path[2][2] = {{0}};

	qb_bond_set_policy(b, &p);
	for (uint32_t i = 0; i < 40; i++) {
		struct qb_buf *buf;
		uint8_t path;

		enqueue(packet(false, 17, i % 2 ? 10 : 0, 1, 5, 6), SEC);
		buf = pick(SEC, &path);
		ck_assert_ptr_nonnull(buf);
		by_path[i % 2][path]++;
		qb_buf_put(&pool, buf);
	}
	ck_assert_uint_eq(by_path[0][0], 20); /* auto: a sparse flow keeps to the quick link */
	ck_assert_uint_eq(by_path[1][0], 10);
	ck_assert_uint_eq(by_path[1][1], 10);
}
END_TEST

START_TEST(order_where_it_is_wanted)
{
	struct qb_policy p = {
		.cnt = 2,
		.rules = {{.match = {.dscps = 2}, .treat = {.ordering = QB_ORDERING_YES}},
			  {.match = {.dscps = 4},
			   .treat = {.class = QB_CLASS_BULK, .ordering = QB_ORDERING_NO}}}};
	uint32_t deltas[3] = {0};

	qb_bond_set_policy(b, &p);
	for (uint32_t i = 0; i < 30; i++)
		enqueue(packet(false, 17, (uint8_t)(i % 3), (uint8_t)(i % 3), 5, 6), SEC);
	for (uint32_t i = 0; i < 30; i++) {
		struct qb_bond_header h;
		struct qb_buf *buf;
		uint8_t path;

		buf = pick(SEC, &path);
		ck_assert_ptr_nonnull(buf);
		ck_assert_int_gt(qb_bond_header_parse(buf->data, buf->len, &h), 0);
		deltas[buf->data[QB_BOND_HEADER_LEN + 1] >> 2] += h.delta != 0;
		qb_buf_put(&pool, buf);
	}
	ck_assert_uint_eq(deltas[0], 0); /* sparse: at once */
	ck_assert_uint_eq(deltas[1], 9); /* all but the first name the one before */
	ck_assert_uint_eq(deltas[2], 0);
}
END_TEST

START_TEST(classes_are_counted_and_told_by_behaviour_without_a_mark)
{
	uint8_t path;

	for (uint32_t i = 0; i < 300; i++) {
		struct qb_buf *buf;

		enqueue(packet(false, 17, i % 2 ? 46 : 0, 1, 5, 6), SEC);
		buf = pick(SEC, &path);
		ck_assert_ptr_nonnull(buf);
		qb_buf_put(&pool, buf);
	}
	ck_assert_uint_eq(counters.v[QB_CNT_CLASS_REALTIME], 150);
	/* 300 × 120 bytes within no time: beyond what a sparse flow may send, not beyond what a
	 * call may. */
	ck_assert_uint_gt(counters.v[QB_CNT_CLASS_INTERACTIVE], 50);
	ck_assert_uint_eq(counters.v[QB_CNT_CLASS_INTERACTIVE] + counters.v[QB_CNT_CLASS_BULK],
			  150);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond_classes");
	TCase *tc = tcase_create("classes"), *in_bond = tcase_create("bond");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, dscps);
	tcase_add_loop_test(tc, conditions, 0, 11);
	tcase_add_test(tc, firewall_marks);
	tcase_add_test(tc, the_first_rule_counts_and_a_new_policy_is_heeded_at_once);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(in_bond, bond_setup, bond_teardown);
	tcase_add_test(in_bond, a_rule_has_its_own_scheduler);
	tcase_add_test(in_bond, order_where_it_is_wanted);
	tcase_add_test(in_bond, classes_are_counted_and_told_by_behaviour_without_a_mark);
	suite_add_tcase(s, in_bond);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
