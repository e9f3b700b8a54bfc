/* SPDX-License-Identifier: BSD-2-Clause */
/* Records of sent packets and their frame references. */
#include <check.h>
#include <stdlib.h>

#include "quic/refs.h"
#include "quic/sent.h"

static struct qb_slab make_slab(size_t obj, uint32_t cnt)
{
	struct qb_slab s;

	qb_slab_init(&s, aligned_alloc(16, qb_slab_footprint(obj, cnt)), obj, cnt);
	return s;
}

START_TEST(test_sent)
{
	struct qb_slab slab = make_slab(qb_sent_slab_bytes(), 4);
	struct qb_sent *s = malloc(sizeof(*s));
	struct qb_sent_pkt *p;
	uint64_t pn;

	qb_sent_init(s, &slab);
	for (pn = 0; pn < 4 * QB_SENT_CHUNK; pn++) {
		ck_assert(qb_sent_reserve(s));
		ck_assert_uint_eq(s->next_pn, pn);
		p = qb_sent_push(s);
		p->state = QB_SENT_FLIGHT;
		p->flags = QB_SENT_ELICITING;
		p->sent_ns = pn;
		s->eliciting_cnt++;
	}
	/* Memory is out: nothing may be sent. */
	ck_assert(!qb_sent_reserve(s));
	ck_assert_uint_eq(qb_sent_at(s, 100)->sent_ns, 100);
	ck_assert_uint_eq(qb_sent_oldest(s)->sent_ns, 0);
	for (pn = 0; pn < 70; pn++) {
		qb_sent_at(s, pn)->state = pn == 65 ? QB_SENT_LOST : QB_SENT_ACKED;
		s->eliciting_cnt--;
	}
	s->largest_acked = 69;
	qb_sent_trim(s, 1000, 500);
	/* The lost one is remembered for a while. */
	ck_assert_uint_eq(s->tail_pn, 65);
	ck_assert_uint_eq(slab.used_cnt, 3);
	qb_sent_skip_settled(s);
	ck_assert_uint_eq(s->first_flight_pn, 70);
	ck_assert_uint_eq(qb_sent_oldest(s)->sent_ns, 70);
	qb_sent_trim(s, 1000, 1500);
	ck_assert_uint_eq(s->tail_pn, 70);
	ck_assert(qb_sent_reserve(s));
	qb_sent_fini(s);
	ck_assert_uint_eq(slab.used_cnt, 0);
	free(s);
	free(slab.mem);
}
END_TEST

/* What is in flight grows and shrinks: a directory comes and goes, and no record is mistaken for
 * another one. */
START_TEST(test_sent_directory)
{
	enum { LARGEST = 3 * QB_SENT_NEAR * QB_SENT_CHUNK };
	struct qb_slab slab = make_slab(qb_sent_slab_bytes(), 3 * QB_SENT_NEAR + 2);
	struct qb_sent *s = malloc(sizeof(*s));
	uint64_t flight = 0;

	qb_sent_init(s, &slab);
	for (uint32_t wave = 0; wave < 8; wave++) {
		flight = wave % 2 ? QB_SENT_CHUNK : LARGEST - 17 * wave;
		for (uint32_t n = 0; n < 2 * LARGEST; n++) {
			ck_assert(qb_sent_reserve(s));
			*qb_sent_push(s) = (struct qb_sent_pkt){.state = QB_SENT_FLIGHT,
								.flags = QB_SENT_ELICITING,
								.sent_ns = s->next_pn - 1};
			while (s->next_pn - s->tail_pn > flight) {
				ck_assert_uint_eq(qb_sent_at(s, s->tail_pn)->sent_ns, s->tail_pn);
				qb_sent_at(s, s->tail_pn)->state = QB_SENT_ACKED;
				s->largest_acked = s->tail_pn;
				qb_sent_trim(s, 0, s->next_pn);
			}
			ck_assert_uint_eq(qb_sent_at(s, (s->tail_pn + s->next_pn) / 2)->sent_ns,
					  (s->tail_pn + s->next_pn) / 2);
		}
		ck_assert_int_eq(s->dir != NULL, wave % 2 == 0);
	}
	/* No memory for a directory: no more packets, until some are settled. */
	while (qb_slab_get(&slab))
		;
	while (qb_sent_reserve(s))
		qb_sent_push(s)->state = QB_SENT_FLIGHT;
	ck_assert_ptr_null(s->dir);
	ck_assert_uint_le(s->next_pn - s->tail_pn, QB_SENT_NEAR * QB_SENT_CHUNK);
	qb_sent_fini(s);
	free(s);
	free(slab.mem);
}
END_TEST

/* Round and round: millions of packets in a handful of chunks. */
START_TEST(test_sent_ring)
{
	struct qb_slab slab = make_slab(qb_sent_slab_bytes(), 3);
	struct qb_sent *s = malloc(sizeof(*s));
	uint64_t n;

	qb_sent_init(s, &slab);
	for (n = 0; n < 300000; n++) {
		if (!qb_sent_reserve(s))
			ck_abort_msg("no memory at %llu", (unsigned long long)n);
		qb_sent_push(s)->state = QB_SENT_FLIGHT;
		if (n < 60)
			continue;
		qb_sent_at(s, n - 60)->state = QB_SENT_ACKED;
		s->largest_acked = n - 60;
		qb_sent_trim(s, 0, 0);
	}
	qb_sent_fini(s);
	ck_assert_uint_eq(slab.used_cnt, 0);
	free(s);
	free(slab.mem);
}
END_TEST

START_TEST(test_refs)
{
	struct qb_slab slab = make_slab(qb_refs_slab_bytes(), QB_REFS_PER_PKT + 2);
	struct qb_frame_ref in[3] = {{.id = 1}, {.id = 2}, {.id = 3}}, out;
	uint32_t head, i;

	ck_assert_uint_eq(qb_refs_store(&slab, in, 0), 0);
	head = qb_refs_store(&slab, in, 3);
	ck_assert(!qb_refs_has_room(&slab));
	for (i = 1; i <= 3; i++) {
		ck_assert(qb_refs_take(&slab, &head, &out));
		ck_assert_uint_eq(out.id, i);
	}
	ck_assert(!qb_refs_take(&slab, &head, &out));
	ck_assert(qb_refs_has_room(&slab));
	head = qb_refs_store(&slab, in, 3);
	qb_refs_drop(&slab, &head);
	ck_assert_uint_eq(slab.used_cnt, 0);
	free(slab.mem);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/sent");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_sent);
	tcase_add_test(tc, test_sent_directory);
	tcase_add_test(tc, test_sent_ring);
	tcase_add_test(tc, test_refs);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
