/* SPDX-License-Identifier: BSD-2-Clause */
/* When packets are acknowledged, and how the frame looks. */
#include <check.h>
#include <stdlib.h>

#include "quic/space.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

static struct qb_slab make_slab(size_t obj, uint32_t cnt)
{
	struct qb_slab s;

	qb_slab_init(&s, aligned_alloc(16, qb_slab_footprint(obj, cnt)), obj, cnt);
	return s;
}

START_TEST(test_ack_timing)
{
	struct qb_space *s = malloc(sizeof(*s));
	struct qb_slab slab = make_slab(qb_sent_slab_bytes(), 1);
	struct qb_rx_space *rx = &s->rx;

	qb_space_init(s, &slab);
	/* The first waits a little, the second does not. */
	qb_rx_space_on_packet(rx, 0, true, QB_ECN_NOT, &qb_ack_policy_default, SEC);
	ck_assert_uint_eq(rx->ack_at_ns, SEC + 10 * MS);
	qb_rx_space_on_packet(rx, 1, true, QB_ECN_NOT, &qb_ack_policy_default, SEC + MS);
	ck_assert(qb_rx_space_is_due(rx, SEC + MS));
	qb_rx_space_on_ack_sent(rx);
	ck_assert_uint_eq(rx->ack_at_ns, QB_NEVER_NS);
	/* What elicits nothing is never due. */
	qb_rx_space_on_packet(rx, 2, false, QB_ECN_NOT, &qb_ack_policy_default, SEC);
	ck_assert_uint_eq(rx->ack_at_ns, QB_NEVER_NS);
	/* A gap, its filling, and a CE mark are reported at once. */
	qb_rx_space_on_packet(rx, 4, true, QB_ECN_NOT, &qb_ack_policy_default, SEC);
	ck_assert(qb_rx_space_is_due(rx, SEC));
	qb_rx_space_on_ack_sent(rx);
	qb_rx_space_on_packet(rx, 3, true, QB_ECN_NOT, &qb_ack_policy_default, SEC);
	ck_assert(qb_rx_space_is_due(rx, SEC));
	qb_rx_space_on_ack_sent(rx);
	qb_rx_space_on_packet(rx, 5, true, QB_ECN_CE, &qb_ack_policy_default, SEC);
	ck_assert(qb_rx_space_is_due(rx, SEC));
	ck_assert_uint_eq(rx->ce, 1);
	qb_rx_space_on_ack_sent(rx);
	/* Handshake packets always. */
	qb_rx_space_on_packet(rx, 6, true, QB_ECN_NOT, &qb_ack_policy_handshake, SEC);
	ck_assert(qb_rx_space_is_due(rx, SEC));
	qb_rx_space_on_ack_sent(rx);
	/* And what comes after a silence, but not what comes behind that. */
	qb_rx_space_on_packet(rx, 7, true, QB_ECN_NOT, &qb_ack_policy_default, 2 * SEC - 1);
	ck_assert(!qb_rx_space_is_due(rx, 2 * SEC));
	qb_rx_space_on_ack_sent(rx);
	qb_rx_space_on_packet(rx, 8, true, QB_ECN_NOT, &qb_ack_policy_default, 3 * SEC);
	ck_assert(qb_rx_space_is_due(rx, 3 * SEC));
	qb_rx_space_on_ack_sent(rx);
	qb_rx_space_on_packet(rx, 9, true, QB_ECN_NOT, &qb_ack_policy_default, 3 * SEC + MS);
	ck_assert(!qb_rx_space_is_due(rx, 3 * SEC + MS));
	free(slab.mem);
	free(s);
}
END_TEST

START_TEST(test_ack_frame)
{
	struct qb_space *s = malloc(sizeof(*s));
	struct qb_slab slab = make_slab(qb_sent_slab_bytes(), 1);
	struct qb_rx_space *rx = &s->rx;
	struct qb_fault fault;
	struct qb_ack_iter it;
	struct qb_range r;
	struct qb_frame f;
	uint8_t buf[500];
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));
	uint64_t pn;
	int n;

	qb_space_init(s, &slab);
	ck_assert(!qb_rx_space_write_ack(rx, &w, (struct qb_ack_form){0}, SEC));
	for (pn = 0; pn < 100; pn += pn % 10 == 8 ? 2 : 1)
		qb_rx_space_on_packet(rx, pn, true, QB_ECN_NOT, &qb_ack_policy_default, SEC);
	ck_assert(qb_rx_space_write_ack(rx, &w, (struct qb_ack_form){.has_path = true, .path_id = 3},
					SEC + 8 * MS));
	n = qb_frame_parse(&f, buf, (size_t)(w.p - buf), QB_PKT_1RTT, &fault);
	ck_assert_int_eq(n, w.p - buf);
	ck_assert_uint_eq(f.type, QB_FRAME_PATH_ACK);
	ck_assert_uint_eq(f.ack.path_id, 3);
	ck_assert_uint_eq(f.ack.largest, 98);
	ck_assert_uint_eq(f.ack.delay, 1000); /* 8 ms in units of 8 µs */
	qb_ack_iter_init(&it, &f.ack);
	for (pn = 90; qb_ack_iter_next(&it, &r); pn -= 10) {
		ck_assert_uint_eq(r.first, pn);
		ck_assert_uint_eq(r.last, pn + 8);
	}
	/* Once the peer has seen that report, the old part of it goes; the newest range stays. */
	ck_assert_uint_eq(rx->ranges.cnt, 10);
	qb_rx_space_on_ack_acked(rx, 98);
	ck_assert_uint_eq(rx->ranges.cnt, 1);
	ck_assert_uint_eq(qb_ranges_largest(&rx->ranges), 98);
	ck_assert(qb_ranges_has(&rx->ranges, 9));
	free(slab.mem);
	free(s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/space");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_ack_timing);
	tcase_add_test(tc, test_ack_frame);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
