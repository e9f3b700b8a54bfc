/* SPDX-License-Identifier: BSD-2-Clause */
/* The checksum against RFC 1071's own words: sums of every length, at every alignment, and of what
 * carries most. */
#include "base/csum.h"

#include <check.h>
#include <stdlib.h>

#include "base/rand.h"

enum { LEN_MAX = 400, PAD = 64 };

/* plain is RFC 1071 §1, two bytes at a time. */
static uint16_t plain(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* stored is the sum that qb_csum_store writes, as plain gives it. */
static uint16_t stored(uint64_t sum)
{
	uint8_t b[2];

	qb_csum_store(b, sum);
	return (uint16_t)~qb_load_be16(b);
}

/* same: 0 and 0xffff are one number. */
static bool same(uint16_t a, uint16_t b)
{
	return a == b || (a % 0xffff == 0 && b % 0xffff == 0);
}

static void fill(uint8_t *p, size_t len, uint32_t pattern, struct qb_rand *rnd)
{
	for (size_t i = 0; i < len; i++)
		p[i] = pattern == 0 ? 0xff : pattern == 1 ? 0 : (uint8_t)qb_rand_u64(rnd);
}

START_TEST(every_length)
{
	static uint8_t data[LEN_MAX + PAD], copy[LEN_MAX + 2 * PAD];
	struct qb_rand rnd;

	qb_rand_seed(&rnd, 1071);
	for (size_t off = 0; off < 9; off++) {
		for (size_t len = 0; len <= LEN_MAX; len++) {
			uint64_t before = qb_rand_u64(&rnd) >> 32;

			fill(data, sizeof(data), (uint32_t)_i, &rnd);
			ck_assert(same(stored(qb_csum_add(0, data + off, len)),
				       plain(data + off, len)));
			memset(copy, 0xa5, sizeof(copy));
			ck_assert_uint_eq(
				qb_csum_fold(qb_csum_copy(before, copy + PAD, data + off, len)),
				qb_csum_fold(qb_csum_add(before, data + off, len)));
			ck_assert_mem_eq(copy + PAD, data + off, len);
			ck_assert_uint_eq(copy[PAD - 1], 0xa5);
			ck_assert_uint_eq(copy[PAD + len], 0xa5);
		}
	}
}
END_TEST

/* A sum may begin anywhere: also at one that the next word makes overflow. */
START_TEST(carries)
{
	static uint8_t ones[65535];

	memset(ones, 0xff, sizeof(ones));
	ck_assert_uint_eq(qb_csum_fold(qb_csum_add(UINT64_MAX, ones, sizeof(ones) - 1)), 0xffff);
	ck_assert_uint_eq(qb_csum_fold(qb_csum_add(UINT64_MAX - 1, ones, 64)), 0xfffe);
	ck_assert(same(stored(qb_csum_add(0, ones, sizeof(ones))), plain(ones, sizeof(ones))));
}
END_TEST

/* RFC 1071 §3's example: 00 01 f2 03 f4 f5 f6 f7 sum up to ddf2. */
START_TEST(example)
{
	const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	ck_assert_uint_eq(stored(qb_csum_add(0, data, sizeof(data))), 0xddf2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base_csum");
	TCase *tc = tcase_create("csum");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, every_length, 0, 3);
	tcase_add_test(tc, carries);
	tcase_add_test(tc, example);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
