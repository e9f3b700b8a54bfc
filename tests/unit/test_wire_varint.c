/* SPDX-License-Identifier: BSD-2-Clause */
/* Variable-length integers: the vectors of RFC 9000 §A.1, bounds, and cursors that must never
 * overrun. */
#include <check.h>
#include <stdlib.h>

#include "wire/varint.h"

static const struct {
	uint8_t bytes[8];
	size_t len;
	uint64_t value;
	bool is_minimal;
} vectors[] = {
	{{0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c}, 8, UINT64_C(151288809941952652), true},
	{{0x9d, 0x7f, 0x3e, 0x7d}, 4, 494878333, true},
	{{0x7b, 0xbd}, 2, 15293, true},
	{{0x25}, 1, 37, true},
	{{0x40, 0x25}, 2, 37, false},
};

START_TEST(test_vectors)
{
	struct qb_rd rd = qb_rd_init(vectors[_i].bytes, vectors[_i].len);
	bool is_minimal;
	uint64_t v;

	ck_assert_uint_eq(qb_varint_read(vectors[_i].bytes, vectors[_i].len, &v), vectors[_i].len);
	ck_assert_uint_eq(v, vectors[_i].value);
	ck_assert_uint_eq(qb_rd_varint_min(&rd, &is_minimal), vectors[_i].value);
	ck_assert(!rd.bad);
	ck_assert_int_eq(is_minimal, vectors[_i].is_minimal);
	for (size_t len = 0; len < vectors[_i].len; len++) {
		rd = qb_rd_init(vectors[_i].bytes, len);
		ck_assert_uint_eq(qb_varint_read(vectors[_i].bytes, len, &v), 0);
		qb_rd_varint(&rd);
		ck_assert(rd.bad);
	}
}
END_TEST

static const struct {
	uint64_t value;
	size_t len;
} sizes[] = {
	{0, 1},	      {63, 1},
	{64, 2},      {16383, 2},
	{16384, 4},   {(1 << 30) - 1, 4},
	{1 << 30, 8}, {QB_VARINT_MAX, 8},
};

START_TEST(test_round_trip)
{
	uint8_t buf[8];
	uint64_t v;

	ck_assert_uint_eq(qb_varint_len(sizes[_i].value), sizes[_i].len);
	ck_assert_uint_eq(qb_varint_write(buf, sizes[_i].value), sizes[_i].len);
	ck_assert_uint_eq(qb_varint_read(buf, sizeof(buf), &v), sizes[_i].len);
	ck_assert_uint_eq(v, sizes[_i].value);
	for (size_t len = sizes[_i].len; len <= 8; len *= 2) {
		qb_varint_write_as(buf, sizes[_i].value, len);
		ck_assert_uint_eq(qb_varint_read(buf, sizeof(buf), &v), len);
		ck_assert_uint_eq(v, sizes[_i].value);
	}
}
END_TEST

START_TEST(test_writer_bounds)
{
	for (size_t cap = 0; cap < sizes[_i].len; cap++) {
		uint8_t buf[16];
		struct qb_wr w = qb_wr_init(buf, cap);

		memset(buf, 0xa5, sizeof(buf));
		qb_wr_varint(&w, sizes[_i].value);
		ck_assert(w.bad);
		ck_assert_ptr_eq(w.p, buf);
		qb_wr_u8(&w, 1); /* bad sticks, even if this would fit */
		ck_assert(w.bad);
		for (size_t i = 0; i < sizeof(buf); i++)
			ck_assert_uint_eq(buf[i], 0xa5);
	}
}
END_TEST

START_TEST(test_writer_refuses_too_big)
{
	uint8_t buf[16];
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));

	qb_wr_varint(&w, QB_VARINT_MAX + 1);
	ck_assert(w.bad);
}
END_TEST

START_TEST(test_cursor_fields)
{
	uint8_t buf[16];
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));
	struct qb_rd rd;
	struct qb_bytes b;

	qb_wr_u8(&w, 0xab);
	qb_wr_be16(&w, 0x1234);
	qb_wr_be32(&w, 0xdeadbeef);
	qb_wr_varint(&w, 15293);
	qb_wr_bytes(&w, "quic", 4);
	ck_assert(!w.bad);
	ck_assert_uint_eq(qb_wr_room(&w), 16 - 13);
	rd = qb_rd_init(buf, 13);
	ck_assert_uint_eq(qb_rd_u8(&rd), 0xab);
	ck_assert_uint_eq(qb_rd_be16(&rd), 0x1234);
	ck_assert_uint_eq(qb_rd_be32(&rd), 0xdeadbeef);
	ck_assert_uint_eq(qb_rd_varint(&rd), 15293);
	b = qb_rd_bytes(&rd, 4);
	ck_assert_mem_eq(b.p, "quic", 4);
	ck_assert(!rd.bad && qb_rd_left(&rd) == 0);
	ck_assert_uint_eq(qb_rd_u8(&rd), 0);
	ck_assert(rd.bad);
}
END_TEST

START_TEST(test_reader_huge_length)
{
	uint8_t buf[4] = {0};
	struct qb_rd rd = qb_rd_init(buf, sizeof(buf));
	struct qb_bytes b = qb_rd_bytes(&rd, UINT64_MAX);

	ck_assert(rd.bad && b.p == NULL && b.len == 0);
	ck_assert_ptr_eq(rd.p, buf);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire/varint");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_vectors, 0, QB_ARRAY_LEN(vectors));
	tcase_add_loop_test(tc, test_round_trip, 0, QB_ARRAY_LEN(sizes));
	tcase_add_loop_test(tc, test_writer_bounds, 0, QB_ARRAY_LEN(sizes));
	tcase_add_test(tc, test_writer_refuses_too_big);
	tcase_add_test(tc, test_cursor_fields);
	tcase_add_test(tc, test_reader_huge_length);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
