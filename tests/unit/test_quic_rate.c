/* SPDX-License-Identifier: BSD-2-Clause */
/* Delivery rate samples. */
#include <check.h>

#include "quic/rate.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

/* Ten packets of 1,000 bytes, 1 ms apart, acknowledged one by one 50 ms later: 8 Mbit/s. */
START_TEST(test_rate)
{
	struct qb_sent_pkt pkt[100] = {0};
	struct qb_rate r = {0};
	uint64_t in_flight = 0, t;
	uint32_t sent = 0, acked = 0;

	for (t = 1000; t < 1150; t++) {
		if (sent < 100) {
			pkt[sent].bytes = 1000;
			pkt[sent].sent_ns = t * MS;
			qb_rate_on_sent(&r, &pkt[sent++], in_flight, t * MS);
			in_flight += 1000;
		}
		if (t >= 1050) {
			struct qb_rate_sample rs = {0};

			qb_rate_on_acked(&r, &rs, &pkt[acked], acked, t * MS);
			in_flight -= 1000;
			qb_rate_finish(&r, &rs, 50 * MS);
			acked++;
			if (acked > 51) {
				ck_assert_uint_ge(rs.bps, 7900000);
				ck_assert_uint_le(rs.bps, 8100000);
				ck_assert(!rs.is_app_limited);
			}
		}
	}
	ck_assert_uint_eq(r.delivered_bytes, 100000);
}
END_TEST

START_TEST(test_rate_app_limited)
{
	struct qb_sent_pkt pkt[3] = {{.bytes = 1000}, {.bytes = 1000}, {.bytes = 1000}};
	struct qb_rate r = {0};
	struct qb_rate_sample rs = {0};

	qb_rate_set_app_limited(&r, 0);
	pkt[0].sent_ns = 1 * SEC;
	qb_rate_on_sent(&r, &pkt[0], 0, 1 * SEC);
	ck_assert(pkt[0].flags & QB_SENT_APP_LIMITED);
	qb_rate_on_acked(&r, &rs, &pkt[0], 0, 2 * SEC);
	qb_rate_finish(&r, &rs, SEC);
	ck_assert(rs.is_app_limited);
	ck_assert_uint_eq(rs.bps, 8000);
	pkt[1].sent_ns = 3 * SEC;
	qb_rate_on_sent(&r, &pkt[1], 0, 3 * SEC);
	ck_assert(!(pkt[1].flags & QB_SENT_APP_LIMITED));
	/* Faster than light: compressed ACKs give no sample. */
	rs = (struct qb_rate_sample){0};
	qb_rate_on_acked(&r, &rs, &pkt[1], 1, 3 * SEC + 10);
	qb_rate_finish(&r, &rs, SEC);
	ck_assert_uint_eq(rs.bps, 0);
}
END_TEST

/* What a path delivered while it was kept busy is not forgotten over a few packets now and then;
 * one that got slower is found out. */
START_TEST(test_rate_busy)
{
	static const struct {
		uint16_t bytes, interval_ms;
		bool is_limited;
		uint64_t want_bps;
	} rows[] = {
		{20000, 20, true, 8000000},  {1000, 20, true, 8000000}, {40000, 20, true, 16000000},
		{10000, 20, false, 4000000}, {1000, 20, true, 4000000},
	};
	struct qb_rate r = {0};
	uint64_t now_ns = SEC;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++, now_ns += 10 * SEC) {
		struct qb_sent_pkt pkt = {.bytes = rows[i].bytes, .sent_ns = now_ns};
		struct qb_rate_sample rs = {0};

		if (rows[i].is_limited)
			qb_rate_set_app_limited(&r, 0);
		qb_rate_on_sent(&r, &pkt, 0, now_ns);
		qb_rate_on_acked(&r, &rs, &pkt, i, now_ns + rows[i].interval_ms * SEC / 1000);
		qb_rate_finish(&r, &rs, SEC / 100);
		ck_assert_uint_eq(r.bps, rows[i].bytes * 8000ull / rows[i].interval_ms);
		ck_assert_uint_eq(r.busy_kbps, rows[i].want_bps / 1000);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/rate");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_rate);
	tcase_add_test(tc, test_rate_app_limited);
	tcase_add_test(tc, test_rate_busy);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
