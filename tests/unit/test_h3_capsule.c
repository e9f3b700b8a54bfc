/* SPDX-License-Identifier: BSD-2-Clause */
/* Capsules: RFC 9484 §4.7's rules, each both whole and a byte at a time; what is kept; the
 * builders. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "h3/capsule.h"
#include "tests/unit/unhex.h"

/* feed_all gives the bytes `step` at a time. Returns the capsules completed or -EBADMSG. */
static int feed_all(struct qb_capsule_parser *p, union qb_capsule_store *store, const uint8_t *data,
		    size_t len, size_t step)
{
	int done_cnt = 0;

	for (size_t off = 0; off < len; off += step) {
		struct qb_rd in = qb_rd_init(data + off, QB_MIN(step, len - off));
		int ret;

		while ((ret = qb_capsule_feed(p, store, &in)) == 1)
			done_cnt++;
		if (ret < 0)
			return ret;
		ck_assert_uint_eq(qb_rd_left(&in), 0);
	}
	return done_cnt;
}

#define V6(last) "20010db80000000000000000000000" last

static const struct {
	const char *what, *hex;
	int ret;
	bool is_idle;
} rows[] = {
	/* ADDRESS_ASSIGN */
	{"assign: none", "01 00", 1, true},
	{"assign: v4 host", "01 07 00 04 c0000201 20", 1, true},
	{"assign: v6 prefix", "01 13 00 06 20010db8000000000000000000000000 40", 1, true},
	{"assign: refused", "01 07 05 04 00000000 20", 1, true},
	{"assign: long request ID", "01 0e c000000000000001 04 c0000201 20", 1, true},
	{"assign: v4 and v6", "01 1a 00 04 0a000000 08 01 06" V6("01") "80", 1, true},
	{"assign: host bits", "01 07 00 04 c0000201 1f", -EBADMSG, false},
	{"assign: host bits of /0", "01 07 00 04 80000000 00", -EBADMSG, false},
	{"assign: host bits v6", "01 13 00 06" V6("01") "7f", -EBADMSG, false},
	{"assign: prefix too long", "01 07 00 04 c0000201 21", -EBADMSG, false},
	{"assign: prefix too long v6", "01 13 00 06" V6("01") "81", -EBADMSG, false},
	{"assign: version 5", "01 07 00 05 c0000201 20", -EBADMSG, false},
	{"assign: cut off in the entry", "01 06 00 04 c0000201 01 00", -EBADMSG, false},
	{"assign: cut off in the ID", "01 01 40 01 00", -EBADMSG, false},
	{"assign: not complete", "01 07 00 04 c00002", 0, false},
	/* ADDRESS_REQUEST */
	{"request: any v4", "02 07 01 04 00000000 20", 1, true},
	{"request: two", "02 0e 01 04 00000000 20 02 04 00000000 18", 1, true},
	{"request: none", "02 00", -EBADMSG, false},
	{"request: ID 0", "02 07 00 04 00000000 20", -EBADMSG, false},
	{"request: ID twice", "02 0e 01 04 00000000 20 01 04 00000000 18", -EBADMSG, false},
	/* ROUTE_ADVERTISEMENT */
	{"routes: none", "03 00", 1, true},
	{"routes: all v4", "03 0a 04 00000000 ffffffff 00", 1, true},
	{"routes: one address", "03 0a 04 c0000201 c0000201 11", 1, true},
	{"routes: sorted by address", "03 14 04 0a000000 0affffff 00 04 0b000000 0bffffff 00", 1,
	 true},
	{"routes: sorted by protocol", "03 14 04 0a000000 0affffff 06 04 0a000000 0affffff 11", 1,
	 true},
	{"routes: v4 before v6", "03 2c 04 0a000000 0affffff 11 06" V6("00") V6("ff") "00", 1,
	 true},
	{"routes: v6 before v4", "03 2c 06" V6("00") V6("ff") "00 04 0a000000 0affffff 00",
	 -EBADMSG, false},
	{"routes: end before start", "03 0a 04 0a000001 0a000000 00", -EBADMSG, false},
	{"routes: protocols not sorted", "03 14 04 0a000000 0affffff 11 04 0b000000 0bffffff 06",
	 -EBADMSG, false},
	{"routes: addresses not sorted", "03 14 04 0b000000 0bffffff 00 04 0a000000 0affffff 00",
	 -EBADMSG, false},
	{"routes: touch", "03 14 04 0a000000 0a0000ff 00 04 0a0000ff 0a000fff 00", -EBADMSG, false},
	{"routes: the same twice", "03 14 04 0a000000 0a0000ff 00 04 0a000000 0a0000ff 00",
	 -EBADMSG, false},
	{"routes: one protocol inside all", "03 14 04 0a000000 0affffff 00 04 0a000100 0a0001ff 06",
	 -EBADMSG, false},
	{"routes: one protocol beside all", "03 14 04 0a000000 0affffff 00 04 0b000100 0b0001ff 06",
	 1, true},
	{"routes: version 0", "03 0a 00 0a000000 0affffff 00", -EBADMSG, false},
	{"routes: cut off", "03 09 04 0a000000 0affffff 01 00", -EBADMSG, false},
	/* bond */
	{"bond", "803ab0d1 02 01 02", 1, true},
	{"fec", "803ab0d2 02 01 04", 1, true},
	{"fec: context ID cut off", "803ab0d2 02 01 40", -EBADMSG, false},
	{"bond: long integers", "803ab0d1 0c 4001 c000000000000002 4142", 1, true},
	{"bond: no context ID", "803ab0d1 01 01", -EBADMSG, false},
	{"bond: context ID cut off", "803ab0d1 02 01 40", -EBADMSG, false},
	{"bond: empty", "803ab0d1 00", -EBADMSG, false},
	/* others */
	{"datagram is skipped", "00 04 00 45 00 00", 0, true},
	{"unknown is skipped", "17 03 010203 01 00", 1, true},
	{"unknown and empty", "4fff 00", 0, true},
	{"unknown and huge", "17 ffffffffffffffff 010203", 0, false},
	{"header cut off", "40", 0, false},
	{"header cut off in the length", "01 80", 0, false},
	{"three in a row", "01 00 17 00 03 00 803ab0d1 02 01 02", 3, true},
};

START_TEST(rules)
{
	static union qb_capsule_store store;
	uint8_t in[128];
	size_t len = unhex(rows[_i].hex, in);

	for (size_t step = 1; step <= len; step++) {
		struct qb_capsule_parser p = {0};

		ck_assert_msg(feed_all(&p, &store, in, len, step) == rows[_i].ret, "%s, step %zu",
			      rows[_i].what, step);
		if (rows[_i].ret >= 0)
			ck_assert_msg(qb_capsule_is_idle(&p) == rows[_i].is_idle, "%s",
				      rows[_i].what);
	}
}
END_TEST

START_TEST(values)
{
	static union qb_capsule_store store;
	struct qb_capsule_parser p = {0};
	uint8_t in[128];

	ck_assert_int_eq(feed_all(&p, &store, in, unhex(rows[5].hex, in), 3), 1);
	ck_assert_uint_eq(p.type, QB_CAPSULE_ADDRESS_ASSIGN);
	ck_assert_uint_eq(qb_capsule_kept_cnt(&p), 2);
	ck_assert_uint_eq(store.addrs[0].prefix.family, 4);
	ck_assert_uint_eq(store.addrs[0].prefix.len, 8);
	ck_assert_uint_eq(store.addrs[0].prefix.ip[0], 10);
	ck_assert_uint_eq(store.addrs[0].prefix.ip[4], 0);
	ck_assert_uint_eq(store.addrs[1].request_id, 1);
	ck_assert_uint_eq(store.addrs[1].prefix.family, 6);
	ck_assert_uint_eq(store.addrs[1].prefix.ip[15], 1);

	ck_assert_int_eq(
		feed_all(&p, &store, in, unhex("803ab0d1 0c 4001 c000000000000002 4142", in), 1),
		1);
	ck_assert_uint_eq(p.numbers[0], 1);
	ck_assert_uint_eq(p.numbers[1], 2);
}
END_TEST

/* More than is kept is checked all the same. */
START_TEST(bounds)
{
	static struct qb_h3_route routes[QB_H3_ROUTES_MAX + 2];
	static uint8_t buf[8192];
	static struct {
		union qb_capsule_store store;
		uint8_t guard[64];
	} mem;
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));
	struct qb_capsule_parser p = {0};
	struct qb_h3_addr addrs[QB_H3_ADDRS_MAX + 1] = {0};
	size_t len;

	memset(&mem, 0xa5, sizeof(mem));
	for (uint32_t i = 0; i < QB_ARRAY_LEN(routes); i++) {
		routes[i].family = 6;
		routes[i].first[15] = routes[i].last[15] = (uint8_t)i;
	}
	qb_capsule_build_routes(&w, routes, QB_ARRAY_LEN(routes));
	ck_assert(!w.bad);
	len = (size_t)(w.p - buf);
	ck_assert_int_eq(feed_all(&p, &mem.store, buf, len, 7), 1);
	ck_assert_uint_eq(qb_capsule_kept_cnt(&p), QB_H3_ROUTES_MAX);
	ck_assert_uint_eq(p.entry_cnt, QB_H3_ROUTES_MAX + 2);
	ck_assert_uint_eq(mem.store.routes[QB_H3_ROUTES_MAX - 1].last[15], QB_H3_ROUTES_MAX - 1);
	ck_assert_uint_eq(mem.guard[0], 0xa5);

	buf[len - 2] = 0; /* the last one's end */
	ck_assert_int_eq(feed_all(&p, &mem.store, buf, len, 7), -EBADMSG);

	for (uint32_t i = 0; i < QB_ARRAY_LEN(addrs); i++)
		addrs[i] = (struct qb_h3_addr){.request_id = i + 1,
					       .prefix = {.family = 4, .len = 32}};
	w = qb_wr_init(buf, sizeof(buf));
	qb_capsule_build_addrs(&w, true, addrs, QB_ARRAY_LEN(addrs));
	memset(&p, 0, sizeof(p));
	ck_assert_int_eq(feed_all(&p, &mem.store, buf, (size_t)(w.p - buf), 1), 1);
	ck_assert_uint_eq(qb_capsule_kept_cnt(&p), QB_H3_ADDRS_MAX);
	ck_assert_uint_eq(p.entry_cnt, QB_H3_ADDRS_MAX + 1);
}
END_TEST

START_TEST(builders)
{
	static const struct qb_h3_addr addr = {7, {{192, 0, 2, 1}, 4, 32}};
	static const struct qb_h3_addr host_bits = {7, {{192, 0, 2, 1}, 4, 24}};
	static const struct qb_h3_route route = {4, 17, {10}, {10, 255}};
	uint8_t buf[64], want[64];
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));

	qb_capsule_build_addrs(&w, false, &addr, 1);
	ck_assert_uint_eq((size_t)(w.p - buf), unhex("01 07 07 04 c0000201 20", want));
	ck_assert_mem_eq(buf, want, (size_t)(w.p - buf));
	ck_assert(qb_capsule_check(buf, (size_t)(w.p - buf)));
	ck_assert(!qb_capsule_check(buf, (size_t)(w.p - buf) - 1));
	ck_assert(!qb_capsule_check(buf, (size_t)(w.p - buf) + 1));

	w = qb_wr_init(buf, sizeof(buf));
	qb_capsule_build_routes(&w, &route, 1);
	ck_assert_uint_eq((size_t)(w.p - buf), unhex("03 0a 04 0a000000 0aff0000 11", want));
	ck_assert_mem_eq(buf, want, (size_t)(w.p - buf));

	w = qb_wr_init(buf, sizeof(buf));
	qb_capsule_build_context(&w, QB_CAPSULE_BOND, 1, 2);
	ck_assert_uint_eq((size_t)(w.p - buf), unhex("803ab0d1 02 01 02", want));
	ck_assert_mem_eq(buf, want, (size_t)(w.p - buf));

	w = qb_wr_init(buf, sizeof(buf));
	qb_capsule_build_context(&w, QB_CAPSULE_FEC, 1, 4);
	ck_assert_uint_eq((size_t)(w.p - buf), unhex("803ab0d2 02 01 04", want));
	ck_assert_mem_eq(buf, want, (size_t)(w.p - buf));

	w = qb_wr_init(buf, sizeof(buf));
	qb_capsule_build_link(&w, &(struct qb_h3_link){3, 20000, 100, "not for all to see\n", false});
	ck_assert_uint_eq((size_t)(w.p - buf), unhex("803ab0d3 07 03 80004e20 4064", want));
	ck_assert_mem_eq(buf, want, (size_t)(w.p - buf));
	ck_assert(qb_capsule_check(buf, (size_t)(w.p - buf)));
	buf[4] = 5; /* cut in the third number */
	ck_assert(!qb_capsule_check(buf, (size_t)(w.p - buf) - 2));

	w = qb_wr_init(buf, sizeof(buf));
	qb_capsule_build_link(&w, &(struct qb_h3_link){3, 0, 0, "dsl-1", false});
	ck_assert_uint_eq((size_t)(w.p - buf), unhex("803ab0d3 09 03 00 00 05 64736c2d31", want));
	ck_assert_mem_eq(buf, want, (size_t)(w.p - buf));
	w = qb_wr_init(buf, sizeof(buf));
	qb_capsule_build_link(&w, &(struct qb_h3_link){.path_id = 3, .name = "a-link-whose-name-has-40-characters-in-it"});
	ck_assert_uint_eq((size_t)(w.p - buf), 4 + 1 + 3 + 1 + 31);
	ck_assert(qb_capsule_check(buf, (size_t)(w.p - buf)));

	w = qb_wr_init(buf, sizeof(buf));
	qb_capsule_build_link(&w, &(struct qb_h3_link){3, 0, 0, "lte", true});
	ck_assert_uint_eq((size_t)(w.p - buf), unhex("803ab0d3 08 03 00 00 03 6c7465 01", want));
	ck_assert_mem_eq(buf, want, (size_t)(w.p - buf));
	w = qb_wr_init(buf, sizeof(buf));
	qb_capsule_build_link(&w, &(struct qb_h3_link){3, 0, 0, "", true});
	ck_assert_uint_eq((size_t)(w.p - buf), unhex("803ab0d3 05 03 00 00 00 01", want));
	ck_assert_mem_eq(buf, want, (size_t)(w.p - buf));

	w = qb_wr_init(buf, sizeof(buf));
	qb_capsule_build_addrs(&w, false, &host_bits, 1);
	ck_assert(!qb_capsule_check(buf, (size_t)(w.p - buf)));
	w = qb_wr_init(buf, 5);
	qb_capsule_build_addrs(&w, false, &addr, 1);
	ck_assert_int_eq(w.bad, true);
}
END_TEST

/* A link's name and flags: none, one, both, more that comes in a later version; and what is refused. */
START_TEST(names_of_links)
{
	static const struct {
		const char *hex, *name; /* NULL: malformed */
		uint64_t flags;
	} named[] = {
		{"803ab0d3 03 03 00 00", "", 0},
		{"803ab0d3 04 03 00 00 00", "", 0},
		{"803ab0d3 07 03 00 00 03 61427e", "aB~", 0},
		{"803ab0d3 08 03 00 00 03 61427e 01", "aB~", 1},
		{"803ab0d3 05 03 00 00 00 01", "", 1},
		{"803ab0d3 0a 03 00 00 03 61427e 4103 ff", "aB~", 0x103}, /* and more that comes in a later version */
		{"803ab0d3 08 03 00 00 03 61427e 41", NULL, 0},
		{"803ab0d3 23 03 00 00 1f 61616161616161616161616161616161616161616161616161616161616161", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0},
		{"803ab0d3 24 03 00 00 20 6161616161616161616161616161616161616161616161616161616161616161", NULL, 0},
		{"803ab0d3 04 03 00 00 ff", NULL, 0},
		{"803ab0d3 06 03 00 00 03 6161", NULL, 0},
		{"803ab0d3 06 03 00 00 02 6120", NULL, 0},
		{"803ab0d3 06 03 00 00 02 0061", NULL, 0},
		{"803ab0d3 06 03 00 00 02 61c3", NULL, 0},
		{"803ab0d3 06 03 00 00 02 617f", NULL, 0},
	};
	union qb_capsule_store store;
	uint8_t data[64];

	memset(&store, 'x', sizeof(store));
	for (size_t i = 0; i < QB_ARRAY_LEN(named); i++) {
		size_t len = unhex(named[i].hex, data);

		for (size_t step = 1; step <= len; step++) {
			struct qb_capsule_parser p = {.numbers = {9, 9, 9, 9}};
			int ret = 0;

			for (size_t off = 0; off < len && ret == 0; off += step) {
				struct qb_rd in = qb_rd_init(data + off, QB_MIN(step, len - off));

				ret = qb_capsule_feed(&p, &store, &in);
			}
			ck_assert_int_eq(ret, named[i].name ? 1 : -EBADMSG);
			if (named[i].name)
				ck_assert_str_eq(store.name, named[i].name);
			if (named[i].name)
				ck_assert_uint_eq(p.numbers[3], named[i].flags);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("h3_capsule");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed_cnt;

	tcase_add_test(tc, names_of_links);
	tcase_add_loop_test(tc, rules, 0, QB_ARRAY_LEN(rows));
	tcase_add_test(tc, values);
	tcase_add_test(tc, bounds);
	tcase_add_test(tc, builders);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed_cnt = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed_cnt ? 1 : 0;
}
