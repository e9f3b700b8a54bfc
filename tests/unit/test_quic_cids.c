/* SPDX-License-Identifier: BSD-2-Clause */
/* Connection IDs of a path ID: stored, rotated, retired. */
#include <check.h>
#include <errno.h>

#include "quic/cids.h"

static struct qb_frame_new_cid new_cid(uint64_t seq, uint64_t prior)
{
	static uint8_t token[16];
	struct qb_frame_new_cid f = {.seq = seq, .retire_prior_to = prior, .reset_token = token};

	f.cid.len = 8;
	qb_store_be64(f.cid.id, seq * 7919 + 1);
	return f;
}

START_TEST(test_remote_cids)
{
	struct qb_remote_cids s;
	struct qb_frame_new_cid f;
	struct qb_fault fault;
	uint64_t seq;

	qb_remote_cids_init(&s);
	ck_assert_ptr_null(qb_remote_cids_current(&s));
	for (seq = 0; seq < 4; seq++) {
		f = new_cid(seq, 0);
		ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), 0);
		/* Repetition is no sin. */
		ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), 0);
	}
	ck_assert_uint_eq(qb_remote_cids_current(&s)->seq, 0);
	f = new_cid(4, 0);
	ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), -EBADMSG);
	ck_assert_uint_eq(fault.code, QB_QUIC_CONNECTION_ID_LIMIT_ERROR);
	/* Rotation makes room, and owes a RETIRE. */
	qb_remote_cids_retire(&s, 0); /* not while it is in use */
	ck_assert_int_eq(s.retire_tx[0], QB_TX_NONE);
	ck_assert(qb_remote_cids_switch(&s));
	qb_remote_cids_retire(&s, 0);
	ck_assert_uint_eq(qb_remote_cids_current(&s)->seq, 1);
	ck_assert_uint_eq(qb_remote_cids_spare(&s)->seq, 2);
	ck_assert_uint_eq(s.retire_seq[0], 0);
	ck_assert_int_eq(s.retire_tx[0], QB_TX_DUE);
	ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), 0);
	/* The frame about the retired one comes late again: it does not come back. */
	f = new_cid(0, 0);
	ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), 0);
	/* The peer retires all but the newest. */
	f = new_cid(5, 5);
	ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), 0);
	ck_assert_uint_eq(qb_remote_cids_current(&s)->seq, 5);
	ck_assert_ptr_null(qb_remote_cids_spare(&s));
	ck_assert(!qb_remote_cids_switch(&s));
	ck_assert_uint_eq(qb_remote_cids_current(&s)->seq, 5);
	/* A number below the limit that arrives now is retired at once. */
	s.retire_tx[0] = QB_TX_SENT;
	qb_remote_cids_on_retire_fate(&s, 0, false);
	ck_assert_int_eq(s.retire_tx[0], QB_TX_DUE);
	s.retire_tx[0] = QB_TX_SENT;
	qb_remote_cids_on_retire_fate(&s, 0, true);
	ck_assert_int_eq(s.retire_tx[0], QB_TX_NONE);
	/* Not even once the peer knows that it was given back. */
	f = new_cid(0, 0);
	ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), 0);
	ck_assert_ptr_null(qb_remote_cids_find(&s, 0));
	ck_assert_int_eq(s.retire_tx[0], QB_TX_NONE);
}
END_TEST

/* Numbers that come in any order, with gaps and again: each is taken once. */
START_TEST(test_seen)
{
	static const struct {
		uint64_t seq;
		bool was_seen;
	} steps[] = {
		{3, false}, {3, true}, {0, false}, {1, false}, {0, true}, {2, false}, {66, false},
		{3, true},  {4, false}, {2, true} /* too long ago to know */, {130, false}, {67, false},
		{66, true}, {130, true}, {131, false}, {130, true}, {67, true},
	};
	struct qb_remote_cids s;

	qb_remote_cids_init(&s);
	for (size_t i = 0; i < QB_ARRAY_LEN(steps); i++)
		ck_assert_msg(qb_remote_cids_see(&s, steps[i].seq) == steps[i].was_seen, "step %d", (int)i);
}
END_TEST

START_TEST(test_local_cids)
{
	struct qb_local_cids s;
	struct qb_local_cid *c;
	uint32_t i;

	qb_local_cids_init(&s);
	for (i = 0; i < 2; i++) {
		c = qb_local_cids_free_slot(&s, 2);
		ck_assert_ptr_nonnull(c);
		c->seq = s.next_seq++;
		c->tx = QB_TX_DUE;
	}
	ck_assert_ptr_null(qb_local_cids_free_slot(&s, 2));
	ck_assert_ptr_nonnull(qb_local_cids_free_slot(&s, 100));
	ck_assert_ptr_eq(qb_local_cids_find(&s, 1), c);
	ck_assert_ptr_null(qb_local_cids_find(&s, 2));
	c->tx = QB_TX_NONE;
	ck_assert_ptr_null(qb_local_cids_find(&s, 1));
	ck_assert_ptr_nonnull(qb_local_cids_free_slot(&s, 2));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/cids");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_remote_cids);
	tcase_add_test(tc, test_seen);
	tcase_add_test(tc, test_local_cids);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
