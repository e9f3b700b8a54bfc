/* SPDX-License-Identifier: BSD-2-Clause */
/* The meter of heavy flows: rates and paths come out right from a sample, the cost is bounded,
 * light flows do not push heavy ones out. */
#include <check.h>
#include <stdlib.h>

#include "bond/bond.h"
#include "bond/flow.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

static const struct qb_hash_key key = {.k0 = 1, .k1 = 2};
static struct qb_meter m;
static struct qb_meter_flow flows[QB_METER_FLOWS];
static uint64_t now;
static uint32_t looked_cnt;

static void setup(void)
{
	memset(&m, 0xa5, sizeof(m));
	memset(flows, 0xa5, sizeof(flows));
	qb_meter_init(&m, flows, 7);
	now = 1000 * SEC;
	looked_cnt = 0;
}

/* build writes a UDP packet of a flow: 10.0.x.y:1000 to 10.9.9.9:53. */
static void build(uint8_t *p, uint32_t flow, uint32_t len)
{
	memset(p, 0, 28);
	p[0] = 0x45;
	qb_store_be16(p + 2, (uint16_t)len);
	p[9] = 17;
	memcpy(p + 12, (uint8_t[]){10, 0, (uint8_t)(flow >> 8), (uint8_t)flow, 10, 9, 9, 9}, 8);
	qb_store_be16(p + 20, 1000);
	qb_store_be16(p + 22, 53);
}

static uint32_t hash_of(uint32_t flow)
{
	struct qb_flow_pkt pkt;
	uint8_t p[1500];

	build(p, flow, 100);
	ck_assert_int_eq(qb_flow_parse(p, 100, &key, &pkt), 0);
	return pkt.hash;
}

static void pass(uint32_t flow, uint32_t len, uint8_t path, uint64_t delay_ns)
{
	uint8_t p[1500];

	if (!qb_meter_wants(&m, len))
		return;
	looked_cnt++;
	build(p, flow, len);
	qb_meter_look(&m, &key,
		      &(struct qb_meter_look){.ip = p,
					      .len = len,
					      .path = path,
					      .class = QB_CLASS_BULK,
					      .delay_ns = delay_ns},
		      now);
}

static const struct qb_meter_flow *flow_of(uint32_t flow)
{
	for (uint32_t i = 0; i < QB_METER_FLOWS; i++)
		if (m.hash[i] == hash_of(flow))
			return &m.flows[i];
	return NULL;
}

/* A download of about 800 Mbit/s over two links, 7 : 3, one of 200, and a call: 40 kbit/s. */
static void a_second(uint32_t seconds)
{
	for (uint32_t i = 0; i < seconds * 85000; i++) {
		now += SEC / 85000;
		if (i % 5 == 4)
			pass(2, 1470, 1, MS);
		else
			pass(1, 1470, i % 10 < 3 ? 1 : 0, 2 * MS);
		if (i % 1700 == 0)
			pass(3, 100, 0, 0);
	}
}

START_TEST(rates_and_paths_come_out_right)
{
	const struct qb_meter_flow *big, *small;
	uint64_t sum = 0;

	a_second(4);
	ck_assert(qb_meter_settle(&m, now));
	big = flow_of(1);
	small = flow_of(2);
	ck_assert_ptr_nonnull(big);
	ck_assert_ptr_nonnull(small);
	ck_assert_double_eq_tol((double)qb_meter_bps(&m, big, now) / 8e8, 1, 0.05);
	ck_assert_double_eq_tol((double)qb_meter_bps(&m, small, now) / 2e8, 1, 0.1);
	/* i % 10 < 3 of those that are not i % 5 == 4: 3 of 8 */
	ck_assert_double_eq_tol((double)(big->now.by_path[1] + big->last.by_path[1]) /
					(big->now.bytes + big->last.bytes),
				3. / 8, 0.05);
	ck_assert_uint_eq(small->last.by_path[0], 0);
	ck_assert_uint_eq(big->now.delay_max_ns | big->last.delay_max_ns, 2 * MS);
	ck_assert_uint_eq(big->class, QB_CLASS_BULK);
	ck_assert_uint_eq(big->proto, 17);
	ck_assert_uint_eq(big->src.port, 1000);
	ck_assert_uint_eq(big->dst.port, 53);
	ck_assert_mem_eq(big->src.ip, ((uint8_t[]){10, 0, 0, 1}), 4);
	/* Nothing gets lost: all that went by is on one account or another, but for what came after
	 * the last look. */
	for (uint32_t i = 0; i < QB_METER_FLOWS; i++)
		sum += m.hash[i] ? m.flows[i].bytes : 0;
	ck_assert_uint_eq(sum + m.gone_bytes, UINT64_C(4) * 85000 * 1470 + 4 * 50 * 100);
}
END_TEST

/* Some thousand looks a second, whether at a gigabit or at a call. */
START_TEST(looks_are_bounded)
{
	a_second(1);
	ck_assert_uint_le(looked_cnt, 12 * QB_METER_PER_SECOND);
	looked_cnt = 0;
	a_second(3);
	ck_assert_uint_le(looked_cnt, 3 * QB_METER_PER_SECOND * 5 / 4);
	ck_assert_uint_ge(looked_cnt, QB_METER_PER_SECOND);
}
END_TEST

START_TEST(a_call_alone_is_counted_to_the_byte)
{
	for (uint32_t i = 0; i < 500; i++) {
		now += 20 * MS;
		pass(3, 160, 0, 0);
	}
	ck_assert_ptr_nonnull(flow_of(3));
	ck_assert_uint_ge(flow_of(3)->bytes, 490 * 160);
	ck_assert_double_eq_tol((double)qb_meter_bps(&m, flow_of(3), now), 64000, 8000);
}
END_TEST

/* 20 Gbit/s: more than 64 bits hold where it is counted by the nanosecond. */
START_TEST(a_fast_one)
{
	for (uint32_t i = 0; i < 4 * 1700000; i++) {
		now += SEC / 1700000;
		pass(1, 1470, 0, 0);
		if (i == 2 * 1700000)
			looked_cnt = 0;
	}
	ck_assert_double_eq_tol((double)qb_meter_bps(&m, flow_of(1), now) / (1470 * 8 * 1700000.),
				1, 0.02);
	ck_assert_uint_le(looked_cnt, 2 * QB_METER_PER_SECOND * 5 / 4);
}
END_TEST

/* Ten thousand hosts that are scanned do not hide the download that goes on. */
START_TEST(light_flows_do_not_push_out_heavy_ones)
{
	for (uint32_t i = 0; i < 60000; i++) {
		now += SEC / 20000;
		pass(1, 1470, 0, 0);
		pass(2, 1000, 0, 0);
		pass(100 + i % 10000, 60, 0, 0);
	}
	ck_assert_ptr_nonnull(flow_of(1));
	ck_assert_ptr_nonnull(flow_of(2));
	ck_assert_uint_le(flow_of(1)->since_ns, 1001 * SEC);
	ck_assert_double_eq_tol((double)qb_meter_bps(&m, flow_of(1), now) / (1470 * 8 * 20000.), 1,
				0.1);
}
END_TEST

START_TEST(what_is_over_has_no_rate)
{
	a_second(2);
	now += SEC / 2;
	ck_assert(qb_meter_settle(&m, now));
	now += 5 * SEC;
	ck_assert(!qb_meter_settle(&m, now));
	ck_assert_uint_eq(qb_meter_bps(&m, flow_of(1), now), 0);
	ck_assert_uint_gt(flow_of(1)->bytes, 0);
}
END_TEST

START_TEST(drops_and_marks_of_known_flows)
{
	pass(3, 100, 0, 0);
	pass(3, 100, 0, 0);
	qb_meter_on_drop(&m, hash_of(3));
	qb_meter_on_drop(&m, hash_of(4));
	qb_meter_on_mark(&m, hash_of(3));
	qb_meter_on_mark(&m, hash_of(3));
	ck_assert_uint_eq(flow_of(3)->drops, 1);
	ck_assert_uint_eq(flow_of(3)->marks, 2);
	ck_assert_ptr_null(flow_of(4));
}
END_TEST

/* Ends of IPv6 flows, and of what has no ports. */
START_TEST(ends_of_flows)
{
	uint8_t p[60] = {
		0x60, [5] = 20, [6] = 58, [8] = 0xfd, [23] = 1, [24] = 0xfd, [39] = 2, [40] = 128};

	ck_assert(qb_meter_wants(&m, sizeof(p)));
	qb_meter_look(&m, &key, &(struct qb_meter_look){.ip = p, .len = sizeof(p)}, now);
	ck_assert_uint_eq(m.flows[0].proto, 58);
	ck_assert_uint_eq(m.flows[0].src.family, 6);
	ck_assert_mem_eq(m.flows[0].src.ip, p + 8, 16);
	ck_assert_mem_eq(m.flows[0].dst.ip, p + 24, 16);
	ck_assert_uint_eq(m.flows[0].src.port | m.flows[0].dst.port, 0);
	/* What is no packet is nobody's. */
	ck_assert(qb_meter_wants(&m, 10000));
	qb_meter_look(&m, &key, &(struct qb_meter_look){.ip = p, .len = 30}, now);
	ck_assert_uint_eq(m.hash[1], 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("meter");
	TCase *tc = tcase_create("meter");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, rates_and_paths_come_out_right);
	tcase_add_test(tc, looks_are_bounded);
	tcase_add_test(tc, a_call_alone_is_counted_to_the_byte);
	tcase_add_test(tc, a_fast_one);
	tcase_add_test(tc, light_flows_do_not_push_out_heavy_ones);
	tcase_add_test(tc, what_is_over_has_no_rate);
	tcase_add_test(tc, drops_and_marks_of_known_flows);
	tcase_add_test(tc, ends_of_flows);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
