/* SPDX-License-Identifier: BSD-2-Clause */
/* Chunk buffers against flat arrays, several of them in one store. */
#include <check.h>
#include <stdlib.h>

#include "base/rand.h"
#include "quic/chunks.h"
#include "require.h"

enum { SPACE = 40000, BUF_CNT = 3, STORE_CNT = BUF_CNT * (SPACE / QB_CHUNK_BYTES + 2) };

static struct qb_chunk_store store;
static void *mem;
static struct qb_rand rnd;

static void set_up(void)
{
	mem = aligned_alloc(16, qb_chunk_store_footprint(STORE_CNT));
	qb_chunk_store_init(&store, mem, STORE_CNT, 42);
}

static void tear_down(void)
{
	free(mem);
}

struct model {
	struct qb_chunk_buf b;
	uint8_t data[SPACE];
	bool mark[SPACE];
};

static uint64_t model_frontier(const struct model *m)
{
	uint64_t off = 0;

	while (off < SPACE && m->mark[off])
		off++;
	return off;
}

static void step_write(struct model *m)
{
	uint64_t off = qb_rand_below(&rnd, SPACE);
	size_t len = (size_t)qb_min_u64(qb_rand_below(&rnd, 5000), SPACE - off);
	uint64_t before = m->b.frontier;
	bool moved;

	ck_assert_uint_eq(qb_chunk_buf_put(&m->b, off, m->data + off, len), len);
	moved = qb_chunk_buf_mark(&m->b, off, len);
	memset(m->mark + off, true, len);
	ck_assert_uint_eq(m->b.frontier, model_frontier(m));
	ck_assert_int_eq(moved, m->b.frontier != before);
}

static void step_read(struct model *m)
{
	uint64_t avail = m->b.frontier - m->b.base;
	size_t len = (size_t)qb_rand_below(&rnd, avail + 1);
	static uint8_t out[SPACE];

	qb_chunk_buf_get(&m->b, m->b.base, out, len);
	ck_assert(len == 0 || memcmp(out, m->data + m->b.base, len) == 0);
	qb_chunk_buf_release(&m->b, m->b.base + len);
}

static void step_unmarked(struct model *m)
{
	uint64_t off = qb_rand_below(&rnd, SPACE), end = off + qb_rand_below(&rnd, SPACE - off + 1);
	uint64_t want = off, want_end, got_end = 0;
	uint64_t got = qb_chunk_buf_unmarked(&m->b, off, end, &got_end);

	while (want < end && m->mark[want])
		want++;
	want_end = want;
	while (want_end < end && !m->mark[want_end])
		want_end++;
	ck_assert_uint_eq(got, want);
	if (want < end)
		ck_assert_uint_eq(got_end, want_end);
}

START_TEST(test_against_model)
{
	static struct model m[BUF_CNT];

	qb_rand_seed(&rnd, (uint64_t)_i);
	for (int i = 0; i < BUF_CNT; i++) {
		qb_chunk_buf_init(&m[i].b, &store);
		memset(m[i].mark, 0, sizeof(m[i].mark));
		for (size_t j = 0; j < SPACE; j++)
			m[i].data[j] = (uint8_t)qb_rand_u64(&rnd);
	}
	for (int step = 0; step < 2000; step++) {
		struct model *one = &m[qb_rand_below(&rnd, BUF_CNT)];

		switch (qb_rand_below(&rnd, step < 100 ? 2 : 4)) {
		case 0:
			step_write(one);
			break;
		case 1:
			step_unmarked(one);
			break;
		default:
			step_read(one);
		}
	}
	for (int i = 0; i < BUF_CNT; i++)
		qb_chunk_buf_clear(&m[i].b);
	ck_assert_uint_eq(qb_chunk_store_free_cnt(&store), STORE_CNT);
}
END_TEST

/* A stream whose bytes were all read holds no memory, wherever in a chunk it stands. */
START_TEST(test_all_read)
{
	struct qb_chunk_buf b;
	uint8_t out[700];

	qb_chunk_buf_init(&b, &store);
	for (uint64_t off = 0; off < 3 * QB_CHUNK_BYTES; off += sizeof(out)) {
		memset(out, (int)(off / sizeof(out)), sizeof(out));
		ck_assert_uint_eq(qb_chunk_buf_put(&b, off, out, sizeof(out)), sizeof(out));
		ck_assert(qb_chunk_buf_mark(&b, off, sizeof(out)));
		memset(out, 0xff, sizeof(out));
		qb_chunk_buf_get(&b, off, out, sizeof(out));
		ck_assert_uint_eq(out[0], off / sizeof(out));
		ck_assert_uint_eq(out[sizeof(out) - 1], off / sizeof(out));
		/* All but the last byte, then that as well. */
		qb_chunk_buf_release(&b, off + sizeof(out) - 1);
		ck_assert_uint_eq(qb_chunk_store_free_cnt(&store), STORE_CNT - 1);
		qb_chunk_buf_release(&b, off + sizeof(out));
		ck_assert_uint_eq(qb_chunk_store_free_cnt(&store), STORE_CNT);
	}
}
END_TEST

/* Bytes a window apart cost two chunks, not what lies between; a far release costs no walk over it.
 */
START_TEST(test_sparse)
{
	struct qb_chunk_buf b;

	qb_chunk_buf_init(&b, &store);
	ck_assert_uint_eq(qb_chunk_buf_put(&b, 0, "a", 1), 1);
	ck_assert_uint_eq(qb_chunk_buf_put(&b, UINT64_C(1) << 40, "b", 1), 1);
	ck_assert_uint_eq(b.cnt, 2);
	ck_assert(!qb_chunk_buf_mark(&b, UINT64_C(1) << 40, 1));
	ck_assert(qb_chunk_buf_mark(&b, 0, 1));
	ck_assert_uint_eq(b.frontier, 1);
	qb_chunk_buf_release(&b, UINT64_C(1) << 40);
	ck_assert_uint_eq(b.cnt, 1);
	qb_chunk_buf_clear(&b);
}
END_TEST

START_TEST(test_empty_store)
{
	static uint8_t data[(STORE_CNT + 2) * QB_CHUNK_BYTES];
	struct qb_chunk_buf b;

	qb_chunk_buf_init(&b, &store);
	ck_assert_uint_eq(qb_chunk_buf_put(&b, 100, data, sizeof(data)),
			  STORE_CNT * QB_CHUNK_BYTES - 100);
	ck_assert_uint_eq(qb_chunk_store_free_cnt(&store), 0);
	qb_chunk_buf_release(&b, QB_CHUNK_BYTES - 1);
	ck_assert_uint_eq(qb_chunk_store_free_cnt(&store), 0);
	qb_chunk_buf_release(&b, QB_CHUNK_BYTES);
	ck_assert_uint_eq(qb_chunk_store_free_cnt(&store), 1);
	qb_chunk_buf_clear(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/chunks");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_against_model, 0, 20);
	tcase_add_test(tc, test_all_read);
	tcase_add_test(tc, test_sparse);
	tcase_add_test(tc, test_empty_store);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
