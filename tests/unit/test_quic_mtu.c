/* SPDX-License-Identifier: BSD-2-Clause */
/* Path MTU discovery by itself: the search over paths of every size, and black holes. */
#include "quic/mtu.h"

#include <check.h>
#include <stdlib.h>

#define MS(x) ((uint64_t)(x)*QB_NS_PER_MS)

enum { MAX_BYTES = 1472 };

/* search lets the probes that fit `path_bytes` arrive and returns how many were sent. */
static unsigned int search(struct qb_mtu *m, uint32_t path_bytes, uint64_t *now_ns)
{
	unsigned int sent = 0;

	while (qb_mtu_deadline_ns(m) <= *now_ns + MS(5000)) {
		uint16_t bytes;

		*now_ns = qb_max_u64(*now_ns, qb_mtu_deadline_ns(m));
		bytes = qb_mtu_probe_due(m, *now_ns);
		if (bytes == 0)
			break;
		qb_mtu_on_probe_sent(m, bytes);
		sent++;
		*now_ns += MS(20);
		if (bytes <= path_bytes)
			qb_mtu_on_probe_acked(m, bytes, *now_ns);
		else
			qb_mtu_on_probe_lost(m, bytes, *now_ns);
	}
	return sent;
}

START_TEST(every_size_is_found)
{
	uint32_t path_bytes = 1200 + (uint32_t)_i * 8;
	struct qb_mtu m;
	uint64_t now_ns = MS(1000);
	unsigned int sent;

	qb_mtu_init(&m, MAX_BYTES);
	ck_assert_uint_eq(m.cur_bytes, QB_MTU_BASE);
	qb_mtu_start(&m, now_ns);
	sent = search(&m, path_bytes, &now_ns);
	ck_assert_uint_le(m.cur_bytes, path_bytes);
	ck_assert_uint_gt(m.cur_bytes + QB_MTU_STEP, QB_MIN(path_bytes, (uint32_t)MAX_BYTES));
	ck_assert_uint_le(sent, 24);
	if (path_bytes >= MAX_BYTES)
		ck_assert_uint_eq(sent, 1);
}
END_TEST

static struct qb_mtu at_max(uint64_t now_ns)
{
	struct qb_mtu m;

	qb_mtu_init(&m, MAX_BYTES);
	qb_mtu_start(&m, now_ns);
	search(&m, MAX_BYTES, &now_ns);
	ck_assert_uint_eq(m.cur_bytes, MAX_BYTES);
	return m;
}

/* The path shrinks to 1400 while packets of 1300 and of 1470 bytes are under way, a loss every 20
 * ms. */
START_TEST(a_black_hole_for_the_largest_is_seen)
{
	uint64_t now_ns = MS(1000);
	struct qb_mtu m = at_max(now_ns);
	bool is_found = false;

	now_ns += MS(1000);
	for (int i = 0; i < 100 && !is_found; i++, now_ns += MS(20)) {
		is_found = qb_mtu_on_lost(&m, 1470, MS(50), now_ns);
		qb_mtu_on_acked(&m, 1300);
	}
	ck_assert(is_found);
	ck_assert_uint_eq(m.cur_bytes, QB_MTU_BASE);
	search(&m, 1400, &now_ns);
	ck_assert_uint_gt(m.cur_bytes, 1400 - QB_MTU_STEP);
	ck_assert_uint_le(m.cur_bytes, 1400);
}
END_TEST

/* A radio that loses half of everything loses many large ones in a row now and then, and small ones
 * too. */
START_TEST(half_lost_is_no_black_hole)
{
	uint64_t now_ns = MS(1000);
	struct qb_mtu m = at_max(now_ns);

	for (int i = 0; i < 100; i++, now_ns += MS(20)) {
		ck_assert(!qb_mtu_on_lost(&m, 1470, MS(50), now_ns));
		if (i % 2)
			ck_assert(!qb_mtu_on_lost(&m, 60, MS(50), now_ns));
		else
			qb_mtu_on_acked(&m, 60);
	}
	/* The same with the small ones arriving is one. */
	for (int i = 0; i < 7; i++, now_ns += MS(20))
		qb_mtu_on_acked(&m, 1470);
	for (int i = 0; i < 30 && m.cur_bytes > QB_MTU_BASE; i++, now_ns += MS(20)) {
		qb_mtu_on_acked(&m, 60);
		qb_mtu_on_lost(&m, 1470, MS(50), now_ns);
	}
	ck_assert_uint_eq(m.cur_bytes, QB_MTU_BASE);
}
END_TEST

/* What looked like a black hole and was a full policer is over with the first probe. */
/* A path that loses half of all sizes: what three lost probes say is an eighth's chance, not the path's size. */
START_TEST(half_lost_makes_no_smaller_path)
{
	uint64_t now_ns = MS(1000);
	struct qb_mtu m;

	qb_mtu_init(&m, MAX_BYTES);
	qb_mtu_start(&m, now_ns);
	for (int i = 0; i < 5; i++) {
		ck_assert_uint_eq(qb_mtu_probe_due(&m, now_ns), MAX_BYTES);
		qb_mtu_on_probe_sent(&m, MAX_BYTES);
		qb_mtu_on_acked(&m, 60);
		qb_mtu_on_lost(&m, 60, MS(50), now_ns);
		now_ns += MS(20);
		qb_mtu_on_probe_lost(&m, MAX_BYTES, now_ns);
	}
	qb_mtu_on_probe_sent(&m, qb_mtu_probe_due(&m, now_ns));
	qb_mtu_on_probe_acked(&m, MAX_BYTES, now_ns);
	ck_assert_uint_eq(m.cur_bytes, MAX_BYTES);
	ck_assert(m.is_settled);
	/* One that carries no larger ones is found out all the same. */
	qb_mtu_init(&m, MAX_BYTES);
	qb_mtu_start(&m, now_ns);
	for (int i = 0; i < 100 && qb_mtu_probe_due(&m, now_ns); i++) {
		qb_mtu_on_probe_sent(&m, qb_mtu_probe_due(&m, now_ns));
		qb_mtu_on_lost(&m, 60, MS(50), now_ns);
		qb_mtu_on_probe_lost(&m, m.probe_bytes, now_ns);
	}
	ck_assert(m.is_settled);
	ck_assert_uint_eq(m.cur_bytes, QB_MTU_BASE);
}
END_TEST

START_TEST(a_policer_is_no_black_hole)
{
	uint64_t now_ns = MS(1000);
	struct qb_mtu m = at_max(now_ns);

	for (int i = 0; i < 30 && m.cur_bytes > QB_MTU_BASE; i++, now_ns += MS(20)) {
		qb_mtu_on_acked(&m, 60);
		qb_mtu_on_lost(&m, 1470, MS(50), now_ns);
	}
	ck_assert_uint_eq(m.cur_bytes, QB_MTU_BASE);
	ck_assert_uint_eq(qb_mtu_probe_due(&m, now_ns), MAX_BYTES);
	ck_assert_uint_eq(search(&m, MAX_BYTES, &now_ns), 1);
	ck_assert_uint_eq(m.cur_bytes, MAX_BYTES);
	ck_assert(m.is_settled);
}
END_TEST

/* Random loss of packets of all sizes, a tenth of them, is none. */
START_TEST(plain_loss_is_no_black_hole)
{
	uint64_t now_ns = MS(1000);
	struct qb_mtu m = at_max(now_ns);

	for (int i = 0; i < 10000; i++, now_ns += MS(2)) {
		uint32_t bytes = 1250 + (uint32_t)(i * 37 % 222);

		if (i % 10 == 0)
			ck_assert(!qb_mtu_on_lost(&m, bytes, MS(50), now_ns));
		else
			qb_mtu_on_acked(&m, bytes);
	}
	ck_assert_uint_eq(m.cur_bytes, MAX_BYTES);
}
END_TEST

START_TEST(small_packets_tell_nothing)
{
	struct qb_mtu m = at_max(MS(1000));

	for (int i = 0; i < 1000; i++)
		ck_assert(!qb_mtu_on_lost(&m, 1200, MS(50), MS(2000 + 20 * i)));
	ck_assert_uint_eq(m.cur_bytes, MAX_BYTES);
}
END_TEST

/* The peer's max_udp_payload_size is a bound like the configured one; neither goes below what QUIC
 * needs. */
START_TEST(peer_takes_less)
{
	uint64_t now_ns = MS(1000);
	struct qb_mtu m;

	qb_mtu_init(&m, MAX_BYTES);
	qb_mtu_lower_max(&m, 1300);
	qb_mtu_start(&m, now_ns);
	search(&m, MAX_BYTES, &now_ns);
	ck_assert_uint_eq(m.cur_bytes, 1300);
	qb_mtu_init(&m, 100);
	ck_assert_uint_eq(m.max_bytes, QB_MTU_BASE);
}
END_TEST

/* Routes change: long after a search has ended it looks again. */
START_TEST(search_is_repeated)
{
	uint64_t now_ns = MS(1000);
	struct qb_mtu m;

	qb_mtu_init(&m, MAX_BYTES);
	qb_mtu_start(&m, now_ns);
	search(&m, 1400, &now_ns);
	ck_assert_uint_le(m.cur_bytes, 1400);
	ck_assert_uint_eq(qb_mtu_deadline_ns(&m), now_ns + QB_MTU_RAISE_NS);
	now_ns += QB_MTU_RAISE_NS;
	search(&m, MAX_BYTES, &now_ns);
	ck_assert_uint_eq(m.cur_bytes, MAX_BYTES);
	ck_assert_uint_eq(qb_mtu_deadline_ns(&m), QB_NEVER_NS);
}
END_TEST

/* What a router says is tried first, and believed only as far as a probe proves it. */
START_TEST(a_hint_shortens_the_search)
{
	uint64_t now_ns = MS(1000);
	struct qb_mtu m = at_max(now_ns);

	ck_assert(qb_mtu_on_ptb(&m, 1391, now_ns));
	ck_assert_uint_eq(m.cur_bytes, QB_MTU_BASE);
	ck_assert(!m.is_settled);
	ck_assert_uint_eq(search(&m, 1391, &now_ns), 1);
	ck_assert_uint_eq(m.cur_bytes, 1391);
	ck_assert(m.is_settled);
	/* The same again, or more, says nothing new. */
	ck_assert(!qb_mtu_on_ptb(&m, 1391, now_ns));
	ck_assert(!qb_mtu_on_ptb(&m, MAX_BYTES, now_ns));
	ck_assert_uint_eq(m.cur_bytes, 1391);
	/* A router that lied costs no more than the time to the next look. */
	now_ns += QB_MTU_RAISE_NS;
	search(&m, MAX_BYTES, &now_ns);
	ck_assert_uint_eq(m.cur_bytes, MAX_BYTES);
}
END_TEST

/* Never below what every path carries, and a hint that is too good is found out. */
START_TEST(a_hint_is_only_a_hint)
{
	uint64_t now_ns = MS(1000);
	struct qb_mtu m = at_max(now_ns);

	ck_assert(qb_mtu_on_ptb(&m, 68, now_ns));
	ck_assert_uint_eq(search(&m, MAX_BYTES, &now_ns), 0);
	ck_assert_uint_eq(m.cur_bytes, QB_MTU_BASE);
	m = at_max(now_ns);
	ck_assert(qb_mtu_on_ptb(&m, 1400, now_ns));
	search(&m, 1300, &now_ns);
	ck_assert_uint_le(m.cur_bytes, 1300);
	ck_assert_uint_gt(m.cur_bytes + QB_MTU_STEP, 1300);
}
END_TEST

/* In the middle of a search it is one more fact. */
START_TEST(a_hint_while_searching)
{
	uint64_t now_ns = MS(1000);
	struct qb_mtu m;

	qb_mtu_init(&m, MAX_BYTES);
	qb_mtu_start(&m, now_ns);
	qb_mtu_on_probe_sent(&m, qb_mtu_probe_due(&m, now_ns));
	ck_assert(!qb_mtu_on_ptb(&m, 1350, now_ns));
	ck_assert_uint_eq(search(&m, 1350, &now_ns), 1);
	ck_assert_uint_eq(m.cur_bytes, 1350);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("quic_mtu");
	TCase *tc = tcase_create("mtu");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, every_size_is_found, 0, 40);
	tcase_add_test(tc, a_black_hole_for_the_largest_is_seen);
	tcase_add_test(tc, half_lost_is_no_black_hole);
	tcase_add_test(tc, half_lost_makes_no_smaller_path);
	tcase_add_test(tc, a_policer_is_no_black_hole);
	tcase_add_test(tc, plain_loss_is_no_black_hole);
	tcase_add_test(tc, small_packets_tell_nothing);
	tcase_add_test(tc, peer_takes_less);
	tcase_add_test(tc, search_is_repeated);
	tcase_add_test(tc, a_hint_shortens_the_search);
	tcase_add_test(tc, a_hint_is_only_a_hint);
	tcase_add_test(tc, a_hint_while_searching);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
