/* SPDX-License-Identifier: BSD-2-Clause */
/* Small quick links while there are calls: bulk and ACKs leave them in time, and no link that may
 * carry more is held back. */
#include <check.h>
#include <stdlib.h>

#include "bond/bond.h"
#include "bond/keep.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

enum { FULL_BYTES = 1400, ACK_BYTES = 60, ROOM_BYTES = 100000 };

struct link_in {
	uint64_t rtt_ms, pacing_kbps, in_flight_bytes;
	bool is_busy, is_off;
	uint64_t delivery_kbps;
};

#define LINK(rtt_ms_, pacing_kbps_, in_flight_, ...)                                               \
	{                                                                                          \
		.rtt_ms = rtt_ms_, .pacing_kbps = pacing_kbps_, .in_flight_bytes = in_flight_,     \
		##__VA_ARGS__                                                                      \
	}

/* clang-format off */
static const struct {
	const char *what;
	struct link_in v[3];
	bool is_ack, no_calls;
	uint32_t want; /* without room for it, a bit each */
} rows[] = {
	{"one packet beyond what it holds", {LINK(8, 2000, 3000), LINK(70, 60000, 300000)}, .want = 0},
	{"two of them", {LINK(8, 2000, 4500), LINK(70, 60000, 300000)}, .want = 1},
	{"no calls", {LINK(8, 2000, 4500), LINK(70, 60000, 300000)}, .no_calls = true, .want = 0},
	{"alone it carries all", {LINK(8, 2000, 9000), LINK(70, 60000, 0, .is_off = true)}, .want = 0},
	{"what it delivers now is not what it can: idle, or just healed", {LINK(8, 80000, 9000, .delivery_kbps = 10), LINK(70, 60000, 0)},
	 .want = 0},
	{"nothing is known of its rate", {LINK(8, 0, 9000), LINK(70, 60000, 0)}, .want = 0},
	{"it is not the quickest: calls have others", {LINK(80, 2000, 90000), LINK(8, 60000, 0)}, .want = 0},
	{"nor if it nearly is", {LINK(30, 2000, 90000), LINK(8, 60000, 0)}, .want = 0},
	{"but if that is small, too", {LINK(30, 2000, 90000), LINK(8, 2000, 0), LINK(70, 60000, 0)}, .want = 1},
	{"a good part of all", {LINK(8, 4000, 90000), LINK(30, 30000, 0)}, .want = 0},
	{"next to nothing of all", {LINK(8, 4000, 8900), LINK(30, 60000, 0)}, .want = 1},
	{"an ACK fills less", {LINK(8, 1000, 1200), LINK(70, 60000, 0)}, .is_ack = true, .want = 0},
	{"and takes another link", {LINK(8, 1000, 1900), LINK(70, 60000, 0)}, .is_ack = true, .want = 1},
	{"that must have room", {LINK(8, 1000, 1900), LINK(70, 60000, 0, .is_busy = true)}, .is_ack = true, .want = 0},
	{"and must not be slow", {LINK(8, 1000, 1900), LINK(600, 30000, 0)}, .is_ack = true, .want = 0},
	{"both of two", {LINK(8, 1000, 1900), LINK(12, 1000, 2400), LINK(70, 60000, 0)}, .is_ack = true, .want = 3},
};
/* clang-format on */

static uint32_t fill(const struct link_in *in, struct qb_path_view v[3])
{
	uint32_t n = 0;

	for (; n < 3 && in[n].rtt_ms; n++)
		v[n] = (struct qb_path_view){
			.is_usable = !in[n].is_off,
			.srtt_ns = in[n].rtt_ms * MS,
			.min_rtt_ns = in[n].rtt_ms * MS,
			.rate_bps =
				(in[n].delivery_kbps ? in[n].delivery_kbps : in[n].pacing_kbps) *
				1000,
			.pacing_bps = in[n].pacing_kbps * 1000,
			.in_flight_bytes = in[n].in_flight_bytes,
			.cwnd_bytes =
				in[n].pacing_kbps * in[n].rtt_ms / 4, /* twice what it holds */
			.budget_bytes = in[n].is_busy ? 0 : ROOM_BYTES,
		};
	return n;
}

static void call_for(struct qb_keep *k, uint64_t from_ns, uint64_t ms)
{
	for (uint64_t at_ms = 0; at_ms < ms; at_ms += 20)
		qb_keep_on_call(k, from_ns + at_ms * MS);
}

START_TEST(keep_table)
{
	struct qb_path_view v[3] = {{0}}, room[QB_BOND_PATHS_MAX];
	uint32_t n = fill(rows[_i].v, v), got = 0;
	const struct qb_path_view *out;
	struct qb_keep k = {0};

	if (!rows[_i].no_calls)
		call_for(&k, SEC, 1000);
	out = qb_keep_views(&k, v, n, !rows[_i].is_ack, rows[_i].is_ack ? ACK_BYTES : FULL_BYTES,
			    room, 2 * SEC);
	for (uint32_t i = 0; i < n; i++)
		if (v[i].is_usable && v[i].budget_bytes &&
		    (!out[i].is_usable || !out[i].budget_bytes))
			got |= 1u << i;
	ck_assert_msg(got == rows[_i].want, "%s: %#x", rows[_i].what, got);
	/* The snapshot itself is as it was: what is sent next may take any path. */
	ck_assert_uint_eq(v[0].budget_bytes, ROOM_BYTES);
}
END_TEST

/* A call counts while it lasts and for 3 s; a packet now and then is none. */
START_TEST(calls_end)
{
	static const struct link_in in[3] = {LINK(8, 2000, 9000), LINK(70, 60000, 0)};
	struct qb_path_view v[3] = {{0}}, room[QB_BOND_PATHS_MAX];
	uint32_t n = fill(in, v);
	struct qb_keep k = {0};

	for (uint64_t s = 1; s < 30; s++)
		qb_keep_on_call(&k, s * SEC / 5);
	ck_assert_ptr_eq(qb_keep_views(&k, v, n, true, FULL_BYTES, room, 6 * SEC), v);
	call_for(&k, 10 * SEC, 1000);
	ck_assert_ptr_eq(qb_keep_views(&k, v, n, true, FULL_BYTES, room, 13 * SEC), room);
	ck_assert_ptr_eq(qb_keep_views(&k, v, n, true, FULL_BYTES, room, 14 * SEC), v);
}
END_TEST

/*
 * A link that is taken for far too small: in 25 ms it delivers what may be in flight, its
 * controller learns that rate, and so on. Before long it counts as small no more.
 */
START_TEST(who_is_taken_for_too_small_is_not_for_long)
{
	static const uint64_t rtts_ms[] = {5, 25, 100};
	struct qb_path_view v[3] = {{0}}, room[QB_BOND_PATHS_MAX];
	struct link_in in[3] = {LINK(rtts_ms[_i], 64, 0), LINK(rtts_ms[_i] + 5, 60000, 0)};
	uint32_t rounds = 0;
	struct qb_keep k = {0};

	call_for(&k, SEC, 1000);
	for (; in[0].pacing_kbps <= 6000; rounds++) {
		uint32_t n = fill(in, v);

		while (qb_keep_views(&k, v, n, true, FULL_BYTES, room, 2 * SEC) == v &&
		       v[0].in_flight_bytes < 1000000)
			v[0].in_flight_bytes += FULL_BYTES;
		in[0].pacing_kbps = v[0].in_flight_bytes * 8 / in[0].rtt_ms;
		ck_assert_uint_lt(rounds, 50);
	}
	ck_assert_uint_le(rounds * rtts_ms[_i], 3000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond_keep");
	TCase *tc = tcase_create("keep");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, keep_table, 0, QB_ARRAY_LEN(rows));
	tcase_add_test(tc, calls_end);
	tcase_add_loop_test(tc, who_is_taken_for_too_small_is_not_for_long, 0, 3);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
