/* SPDX-License-Identifier: BSD-2-Clause */
/* Inner packet parse, ECN marking, and the flow table. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "base/csum.h"
#include "base/ip_ecn.h"
#include "bond/flow.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

static const struct qb_hash_key key = {1, 2};

/* IPv4 and UDP, ports 1000 and 53, TOS 0x02, valid header checksum. */
static uint32_t make_ipv4(uint8_t *p, uint8_t proto, uint16_t frag)
{
	memset(p, 0, 64);
	p[0] = 0x45;
	p[1] = 0x02;
	qb_store_be16(p + 2, 60);
	qb_store_be16(p + 6, frag);
	p[8] = 64;
	p[9] = proto;
	qb_store_be32(p + 12, 0x0a000001);
	qb_store_be32(p + 16, 0x0a000002);
	qb_csum_store(p + 10, qb_csum_add(0, p, 20));
	qb_store_be16(p + 20, 1000);
	qb_store_be16(p + 22, 53);
	return 60;
}

/* IPv6 with a chain of extension headers (each of ext_len bytes, last_proto at the end), then
 * ports. */
static uint32_t make_ipv6(uint8_t *p, const uint8_t *chain, uint32_t n, uint8_t last_proto)
{
	uint32_t off = 40, i;

	memset(p, 0, 256);
	p[0] = 0x60;
	p[1] = 0x10; /* ECT(1) */
	p[6] = n ? chain[0] : last_proto;
	p[23] = 1;
	p[39] = 2;
	for (i = 0; i < n; i++, off += 8)
		p[off] = i + 1 < n ? chain[i + 1] : last_proto;
	qb_store_be16(p + off, 1000);
	qb_store_be16(p + off + 2, 53);
	qb_store_be16(p + 4, (uint16_t)(off - 40 + 20));
	return off + 20;
}

START_TEST(ipv4_tells_flows_apart)
{
	uint8_t p[64];
	struct qb_flow_pkt a, b;
	uint32_t len = make_ipv4(p, 17, 0);

	ck_assert_int_eq(qb_flow_parse(p, len, &key, &a), 0);
	ck_assert_uint_eq(a.version, 4);
	ck_assert_uint_eq(a.proto, 17);
	ck_assert_uint_eq(a.ecn, 2);
	ck_assert_uint_eq(a.l4_off, 20);
	ck_assert(!a.is_fragment);
	p[40] = 99; /* payload */
	p[8] = 3;   /* TTL */
	ck_assert_int_eq(qb_flow_parse(p, len, &key, &b), 0);
	ck_assert_uint_eq(a.hash, b.hash);
	p[21]++; /* source port */
	ck_assert_int_eq(qb_flow_parse(p, len, &key, &b), 0);
	ck_assert_uint_ne(a.hash, b.hash);
	p[21]--;
	p[9] = 6;
	ck_assert_int_eq(qb_flow_parse(p, len, &key, &b), 0);
	ck_assert_uint_ne(a.hash, b.hash);
}
END_TEST

START_TEST(streams_are_told_by_protocol_and_port)
{
	static const struct {
		uint8_t proto;
		uint16_t port, len;
		bool is_stream;
	} cases[] = {{6, 80, 60, false},  {6, 80, 120, true},	{17, 53, 1400, false},
		     {17, 443, 60, true}, {17, 443, 27, false}, {50, 443, 1400, false}};
	uint8_t p[1500] = {0};
	struct qb_flow_pkt pkt;

	make_ipv4(p, cases[_i].proto, 0);
	qb_store_be16(p + 2, cases[_i].len);
	qb_store_be16(p + 22, cases[_i].port);
	ck_assert_int_eq(qb_flow_parse(p, cases[_i].len, &key, &pkt), 0);
	ck_assert_int_eq(pkt.is_stream, cases[_i].is_stream);
}
END_TEST

/* mirror swaps addresses and ports. */
static void mirror(uint8_t *p, uint32_t addr_off, uint32_t addr_len, uint32_t l4_off)
{
	uint8_t q[256];

	memcpy(q, p, sizeof(q));
	memcpy(p + addr_off, q + addr_off + addr_len, addr_len);
	memcpy(p + addr_off + addr_len, q + addr_off, addr_len);
	memcpy(p + l4_off, q + l4_off + 2, 2);
	memcpy(p + l4_off + 2, q + l4_off, 2);
}

START_TEST(the_other_way_has_its_hash)
{
	uint8_t p[256];
	uint32_t len = _i ? make_ipv6(p, NULL, 0, 17) : make_ipv4(p, 17, 0), back;
	struct qb_flow_pkt there, here;

	ck_assert_int_eq(qb_flow_parse(p, len, &key, &there), 0);
	back = qb_flow_back_hash(p, &there, &key);
	ck_assert_uint_ne(back, there.hash);
	mirror(p, _i ? 8 : 12, _i ? 16 : 4, there.l4_off);
	ck_assert_int_eq(qb_flow_parse(p, len, &key, &here), 0);
	ck_assert_uint_eq(here.hash, back);
	ck_assert_uint_eq(qb_flow_back_hash(p, &here, &key), there.hash);
	/* UDP and as small as an acknowledgement. */
	ck_assert(here.may_ack);
	p[_i ? 6 : 9] = 6;
	ck_assert_int_eq(qb_flow_parse(p, len, &key, &here), 0);
	ck_assert(!here.may_ack);
}
END_TEST

START_TEST(fragments_of_a_flow_hash_alike)
{
	uint8_t p[64];
	struct qb_flow_pkt first, later;
	uint32_t len = make_ipv4(p, 17, 0x2000);

	ck_assert_int_eq(qb_flow_parse(p, len, &key, &first), 0);
	ck_assert(first.is_fragment);
	make_ipv4(p, 17, 185);
	memset(p + 20, 0xee, 40);
	ck_assert_int_eq(qb_flow_parse(p, len, &key, &later), 0);
	ck_assert_uint_eq(first.hash, later.hash);
}
END_TEST

START_TEST(ipv6_extensions_are_passed)
{
	static const uint8_t chain[] = {0, 60, 43, 135};
	uint8_t p[256];
	struct qb_flow_pkt plain, ext;
	uint32_t len = make_ipv6(p, NULL, 0, 17);

	ck_assert_int_eq(qb_flow_parse(p, len, &key, &plain), 0);
	ck_assert_uint_eq(plain.l4_off, 40);
	ck_assert_uint_eq(plain.ecn, 1);
	len = make_ipv6(p, chain, 4, 17);
	ck_assert_int_eq(qb_flow_parse(p, len, &key, &ext), 0);
	ck_assert_uint_eq(ext.l4_off, 40 + 32);
	ck_assert_uint_eq(ext.proto, 17);
	ck_assert_uint_eq(ext.hash, plain.hash);
}
END_TEST

START_TEST(ipv6_fragments)
{
	static const uint8_t chain[] = {44};
	uint8_t p[256];
	struct qb_flow_pkt atomic, first, later;
	uint32_t len = make_ipv6(p, chain, 1, 17);

	ck_assert_int_eq(qb_flow_parse(p, len, &key, &atomic), 0);
	ck_assert(!atomic.is_fragment);
	qb_store_be16(p + 42, 1);
	ck_assert_int_eq(qb_flow_parse(p, len, &key, &first), 0);
	ck_assert(first.is_fragment);
	ck_assert_uint_ne(first.hash, atomic.hash);
	qb_store_be16(p + 42, 0x0100);
	memset(p + 48, 0xee, 20);
	ck_assert_int_eq(qb_flow_parse(p, len, &key, &later), 0);
	ck_assert_uint_eq(later.hash, first.hash);
}
END_TEST

static const struct {
	const char *what;
	uint32_t off;
	uint8_t value;
	uint32_t len; /* 0: as made */
} bad_ipv4[] = {
	{"version 5", 0, 0x55, 0},
	{"header of 16", 0, 0x44, 0},
	{"header past the end", 0, 0x4f, 40},
	{"longer than len", 3, 61, 0},
	{"shorter than header", 3, 19, 0},
	{"cut", 0, 0x45, 19},
	{"empty", 0, 0x45, UINT32_MAX},
};

START_TEST(malformed_ipv4_is_refused)
{
	uint8_t p[64];
	struct qb_flow_pkt out;
	uint32_t len = make_ipv4(p, 17, 0);

	p[bad_ipv4[_i].off] = bad_ipv4[_i].value;
	if (bad_ipv4[_i].len)
		len = bad_ipv4[_i].len == UINT32_MAX ? 0 : bad_ipv4[_i].len;
	ck_assert_msg(qb_flow_parse(p, len, &key, &out) == -EBADMSG, "%s", bad_ipv4[_i].what);
}
END_TEST

START_TEST(malformed_ipv6_is_refused)
{
	static const uint8_t chain[] = {0};
	uint8_t p[256];
	struct qb_flow_pkt out;
	uint32_t len = make_ipv6(p, chain, 1, 17);

	ck_assert_int_eq(qb_flow_parse(p, len, &key, &out), 0);
	ck_assert_int_eq(qb_flow_parse(p, len - 1, &key, &out), -EBADMSG);
	ck_assert_int_eq(qb_flow_parse(p, 39, &key, &out), -EBADMSG);
	p[41] = 200; /* the extension claims more than there is */
	ck_assert_int_eq(qb_flow_parse(p, len, &key, &out), -EBADMSG);
}
END_TEST

START_TEST(ce_mark_keeps_the_checksum)
{
	uint8_t p[64];

	for (uint32_t i = 0; i < 65536; i++) {
		make_ipv4(p, 17, 0);
		qb_store_be16(p + 4, (uint16_t)i);
		p[1] = i & 1 ? 0x01 : 0xba;
		qb_store_be16(p + 10, 0);
		qb_csum_store(p + 10, qb_csum_add(0, p, 20));
		ck_assert(qb_ip_mark_ce(p));
		ck_assert_uint_eq(p[1] & 3, 3);
		ck_assert_uint_eq(qb_csum_fold(qb_csum_add(0, p, 20)), 0xffff);
	}
	p[1] &= 0xfc;
	ck_assert(!qb_ip_mark_ce(p));
	ck_assert_uint_eq(p[1] & 3, 0);
}
END_TEST

START_TEST(ce_mark_ipv6)
{
	uint8_t p[256];

	make_ipv6(p, NULL, 0, 6);
	ck_assert(qb_ip_mark_ce(p));
	ck_assert_uint_eq(p[1], 0x30);
	p[1] = 0x0f;
	ck_assert(!qb_ip_mark_ce(p));
	ck_assert_uint_eq(p[1], 0x0f);
}
END_TEST

static struct qb_flow_table table;

static void table_setup(void)
{
	void *mem = malloc(qb_flow_table_footprint());

	memset(mem, 0xa5, qb_flow_table_footprint());
	qb_flow_table_init(&table, mem);
}

static void table_teardown(void)
{
	free(table.sets);
}

START_TEST(rate_makes_bulk_and_rest_unmakes_it)
{
	uint64_t now = SEC;
	bool is_bulk = false;

	/* A call: 50 packets of 200 bytes a second. */
	for (int i = 0; i < 500; i++, now += 20 * MS)
		ck_assert(!qb_flow_on_arrival(&table, 7, 200, now));
	/* 10 Mbit/s: bulk after some packets. */
	for (int i = 0; i < 50; i++, now += MS)
		is_bulk = qb_flow_on_arrival(&table, 8, 1250, now);
	ck_assert(is_bulk);
	ck_assert(qb_flow_on_arrival(&table, 8, 60, now + 300 * MS));
	ck_assert(!qb_flow_on_arrival(&table, 8, 60, now + 1200 * MS));
	ck_assert(!qb_flow_on_arrival(&table, 9, 60, now));
	qb_flow_on_backlog(&table, 9, now);
	ck_assert(qb_flow_on_arrival(&table, 9, 60, now + MS));
}
END_TEST

START_TEST(delta_is_the_distance_to_the_flow_s_last)
{
	uint64_t now = SEC;

	ck_assert_uint_eq(qb_flow_number(&table, 5, 0xfffffffe, now), 0);
	ck_assert_uint_eq(qb_flow_number(&table, 6, 0xffffffff, now), 0);
	ck_assert_uint_eq(qb_flow_number(&table, 5, 3, now), 5);
	ck_assert_uint_eq(qb_flow_number(&table, 5, 3 + 65535, now), 65535);
	ck_assert_uint_eq(qb_flow_number(&table, 5, 3 + 65535 + 65536, now), 0);
	/* Quiet for long: nothing to wait for. */
	qb_flow_on_arrival(&table, 6, 60, now + 3 * SEC);
	ck_assert_uint_eq(qb_flow_number(&table, 6, 10, now + 3 * SEC), 0);
}
END_TEST

START_TEST(a_change_of_the_path_is_noticed_for_a_while)
{
	uint64_t now = SEC;

	ck_assert(!qb_flow_follow(&table, 5, 0, 3, 20 * MS, now));
	ck_assert(!qb_flow_follow(&table, 5, 0, 3, 20 * MS, now));
	ck_assert(qb_flow_follow(&table, 5, 1, 3, 20 * MS, now));
	for (int i = 0; i < 19; i++) {
		now += MS;
		qb_flow_on_arrival(&table, 5, 200, now);
		ck_assert(qb_flow_follow(&table, 5, 1, 3, 20 * MS, now));
	}
	now += 5 * MS;
	qb_flow_on_arrival(&table, 5, 200, now);
	ck_assert(!qb_flow_follow(&table, 5, 1, 3, 20 * MS, now));
	/* The path that it left is dead. */
	ck_assert(!qb_flow_follow(&table, 5, 0, 1, 20 * MS, now));
	/* No longer than a tail, however long the round trip. */
	ck_assert(qb_flow_follow(&table, 5, 7, 1, 5 * SEC, now));
	now += 2 * QB_FLOW_TAIL_TICKS * MS;
	ck_assert(!qb_flow_on_arrival(&table, 5, 200, now));
	ck_assert(!qb_flow_follow(&table, 5, 7, 0xff, 5 * SEC, now));
	/* The same when it is bulk no more. */
	qb_flow_on_backlog(&table, 5, now);
	ck_assert(qb_flow_on_arrival(&table, 5, 200, now));
	now += (QB_FLOW_BULK_TICKS + QB_FLOW_TAIL_TICKS / 2) * MS;
	ck_assert(!qb_flow_on_arrival(&table, 5, 200, now));
	ck_assert(qb_flow_follow(&table, 5, 7, 0xff, 0, now));
	now += 2 * QB_FLOW_TAIL_TICKS * MS;
	qb_flow_on_arrival(&table, 5, 200, now);
	ck_assert(!qb_flow_follow(&table, 5, 7, 0xff, 0, now));
}
END_TEST

/* What comes back heavily makes small packets acknowledgements, for two to four seconds; of a flow that sends nothing, nothing is kept. */
START_TEST(what_comes_back_is_remembered_for_a_while)
{
	uint64_t now = SEC, last = SEC;

	qb_flow_on_back(&table, 5, now);
	ck_assert(!qb_flow_has_back(&table, 5, now));
	for (; now < 30 * SEC; now += _i ? 1900 * MS : 20 * MS) {
		bool has;

		qb_flow_on_arrival(&table, 5, 60, now);
		qb_flow_follow(&table, 5, (uint8_t)(now / SEC % 2), 3, 20 * MS, now);
		if (now < 10 * SEC) {
			qb_flow_on_back(&table, 5, now);
			last = now;
		}
		has = qb_flow_has_back(&table, 5, now);
		ck_assert(has || now - last > 2 * SEC);
		ck_assert(!has || now - last < 5 * SEC);
		ck_assert(!qb_flow_has_back(&table, 6, now));
	}
	/* Nor what it was before it was forgotten. */
	qb_flow_on_back(&table, 5, now);
	now += 3 * SEC;
	qb_flow_on_arrival(&table, 5, 60, now);
	ck_assert(!qb_flow_has_back(&table, 5, now));
}
END_TEST

START_TEST(the_table_is_bounded_and_forgets_the_quietest)
{
	uint32_t set = 77u << 10;
	uint64_t now = SEC;

	for (uint32_t i = 0; i < 4; i++, now += 10 * MS) {
		qb_flow_on_arrival(&table, set | i | 1u << 30, 60, now);
		qb_flow_number(&table, set | i | 1u << 30, i, now);
	}
	/* A fifth of the same set takes the place of the first. */
	qb_flow_on_arrival(&table, set | 4 | 1u << 30, 60, now);
	ck_assert_uint_eq(qb_flow_number(&table, set | 1 | 1u << 30, 100, now), 99);
	ck_assert_uint_eq(qb_flow_number(&table, set | 0 | 1u << 30, 101, now), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond flow");
	TCase *tc = tcase_create("parse");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, ipv4_tells_flows_apart);
	tcase_add_loop_test(tc, streams_are_told_by_protocol_and_port, 0, 6);
	tcase_add_loop_test(tc, the_other_way_has_its_hash, 0, 2);
	tcase_add_test(tc, fragments_of_a_flow_hash_alike);
	tcase_add_test(tc, ipv6_extensions_are_passed);
	tcase_add_test(tc, ipv6_fragments);
	tcase_add_loop_test(tc, malformed_ipv4_is_refused, 0, (int)QB_ARRAY_LEN(bad_ipv4));
	tcase_add_test(tc, malformed_ipv6_is_refused);
	tcase_add_test(tc, ce_mark_keeps_the_checksum);
	tcase_add_test(tc, ce_mark_ipv6);
	suite_add_tcase(s, tc);
	tc = tcase_create("table");
	tcase_add_checked_fixture(tc, table_setup, table_teardown);
	tcase_add_test(tc, rate_makes_bulk_and_rest_unmakes_it);
	tcase_add_test(tc, delta_is_the_distance_to_the_flow_s_last);
	tcase_add_test(tc, a_change_of_the_path_is_noticed_for_a_while);
	tcase_add_loop_test(tc, what_comes_back_is_remembered_for_a_while, 0, 2);
	tcase_add_test(tc, the_table_is_bounded_and_forgets_the_quietest);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
