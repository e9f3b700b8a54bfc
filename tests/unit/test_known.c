/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of known links: what it keeps, for how long, and its text. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "known.h"

static struct qb_known_table a, b;
static char text[QB_KNOWN_TEXT_MAX];

static void clear(void)
{
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
}

static struct qb_known what(uint64_t cwnd_bytes)
{
	return (struct qb_known){.cwnd_bytes = cwnd_bytes, .rtt_ns = cwnd_bytes * 10};
}

static uint64_t cwnd_of(const struct qb_known_table *t, uint64_t key, uint64_t now_ns)
{
	struct qb_known k;

	return qb_known_get(t, key, now_ns, &k) ? k.cwnd_bytes : 0;
}

static void put(struct qb_known_table *t, uint64_t key, uint64_t cwnd_bytes, uint64_t now_ns)
{
	struct qb_known k = what(cwnd_bytes);

	qb_known_put(t, key, &k, now_ns);
}

START_TEST(test_keeps)
{
	put(&a, 5, 100, 1);
	put(&a, 5, 200, 2);
	put(&a, 6, 300, 2);
	ck_assert_uint_eq(cwnd_of(&a, 5, 3), 200);
	ck_assert_uint_eq(cwnd_of(&a, 6, 3), 300);
	ck_assert_uint_eq(cwnd_of(&a, 7, 3), 0);
	put(&a, 0, 300, 2); /* no key */
	ck_assert_uint_eq(cwnd_of(&a, 0, 3), 0);
}
END_TEST

/* One more than there are places of its kind: the oldest goes. */
START_TEST(test_oldest_goes)
{
	for (uint64_t i = 1; i <= QB_KNOWN_WAYS + 1; i++)
		put(&a, i * QB_KNOWN_SETS, i, i == 2 ? 1 : 10 + i);
	for (uint64_t i = 1; i <= QB_KNOWN_WAYS + 1; i++)
		ck_assert_uint_eq(cwnd_of(&a, i * QB_KNOWN_SETS, 100), i == 2 ? 0 : i);
}
END_TEST

START_TEST(test_expires)
{
	const uint64_t at = 5000 * QB_NS_PER_SEC;

	put(&a, 5, 100, at);
	ck_assert_uint_eq(cwnd_of(&a, 5, at + QB_KNOWN_LIFE_NS), 100);
	ck_assert_uint_eq(cwnd_of(&a, 5, at + QB_KNOWN_LIFE_NS + 1), 0);
	/* The wall clock was set back a little, and by years. */
	a.wall_ns = 2 * QB_KNOWN_LIFE_NS;
	put(&a, 6, 100, at);
	a.wall_ns -= QB_KNOWN_LIFE_NS / 2;
	ck_assert_uint_eq(cwnd_of(&a, 6, at), 100);
	a.wall_ns = 0;
	ck_assert_uint_eq(cwnd_of(&a, 6, at), 0);
}
END_TEST

START_TEST(test_merge)
{
	put(&a, 1, 100, 10);
	put(&a, 2, 200, 10);
	put(&b, 2, 222, 11);
	put(&b, 3, 300, 9);
	put(&b, 1, 111, 9);
	ck_assert_uint_eq(qb_known_merge(&a, &b), 2);
	ck_assert_uint_eq(cwnd_of(&a, 1, 20), 100);
	ck_assert_uint_eq(cwnd_of(&a, 2, 20), 222);
	ck_assert_uint_eq(cwnd_of(&a, 3, 20), 300);
	ck_assert_uint_eq(qb_known_merge(&a, &b), 0);
}
END_TEST

START_TEST(test_forget)
{
	for (uint64_t key = 1; key <= 3; key++)
		put(&a, key, 100 * key, 10);
	ck_assert_uint_eq(qb_known_forget(&a, 2), 1);
	ck_assert_uint_eq(qb_known_forget(&a, 2), 0);
	ck_assert_uint_eq(cwnd_of(&a, 2, 20), 0);
	ck_assert_uint_eq(cwnd_of(&a, 3, 20), 300);
	ck_assert_uint_eq(qb_known_forget(&a, 0), 2);
	for (uint32_t i = 0; i < QB_KNOWN_SETS * QB_KNOWN_WAYS; i++)
		ck_assert_ptr_null(qb_known_at(&a, i));
}
END_TEST

/* The key depends on the network, the prefix and the other end, not on port or host. */
START_TEST(test_key)
{
	struct qb_addr v4 = {.family = 4, .port = 9, .ip = {192, 0, 2, 1}},
		       v6 = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8}};
	uint8_t peer[QB_PUBKEY_LEN] = {1}, other[QB_PUBKEY_LEN] = {2};
	uint64_t key = qb_known_key(7, &v4, peer), key6 = qb_known_key(7, &v6, peer);

	ck_assert_uint_ne(key, 0);
	ck_assert_uint_ne(key, key6);
	ck_assert_uint_ne(key, qb_known_key(8, &v4, peer));
	ck_assert_uint_ne(key, qb_known_key(7, &v4, other));
	v4.ip[3] = 200;
	v4.port = 80;
	v6.ip[15] = 1;
	ck_assert_uint_eq(key, qb_known_key(7, &v4, peer));
	ck_assert_uint_eq(key6, qb_known_key(7, &v6, peer));
	v4.ip[2] = 3;
	v6.ip[7] = 1;
	ck_assert_uint_ne(key, qb_known_key(7, &v4, peer));
	ck_assert_uint_ne(key6, qb_known_key(7, &v6, peer));
}
END_TEST

START_TEST(test_text)
{
	size_t len;

	for (uint64_t i = 1; i <= 300; i++)
		put(&a, i * UINT64_C(0x9e3779b97f4a7c15), 1000 + i, i * QB_NS_PER_SEC);
	len = qb_known_format(&a, text);
	ck_assert_uint_lt(len, sizeof(text));
	ck_assert_int_eq(qb_known_parse(&b, text, len), 300);
	ck_assert_mem_eq(a.slot, b.slot, sizeof(a.slot));
	/* Cut anywhere it is not whole, and nothing of it counts. */
	clear();
	for (size_t cut = 0; cut < len; cut += 7) {
		ck_assert_int_eq(qb_known_parse(&a, text, cut), -EBADMSG);
		ck_assert_mem_eq(a.slot, b.slot, sizeof(a.slot));
	}
}
END_TEST

/* A full table fits the text's bound. */
START_TEST(test_text_full)
{
	for (uint32_t i = 0; i < QB_KNOWN_SETS * QB_KNOWN_WAYS; i++)
		a.slot[i / QB_KNOWN_WAYS][i % QB_KNOWN_WAYS] =
			(struct qb_known_entry){.key = UINT64_MAX - i,
						.what = {UINT64_MAX, UINT64_MAX},
						.at_ns = UINT64_MAX};
	ck_assert_uint_le(qb_known_format(&a, text), sizeof(text));
}
END_TEST

START_TEST(test_bad_text)
{
	static const char *const bad[] = {
		"",
		"quicbond known links 1\n",
		"quicbond known links 2\nend 0\n",
		"quicbond known links 1\nend 1\n",
		"quicbond known links 1\nend 0\n ",
		"quicbond known links 1\nend 0",
		"quicbond known links 1\n1 2 3\nend 1\n",
		"quicbond known links 1\n1 2 3 4 5\nend 1\n",
		"quicbond known links 1\n0 2 3 4\nend 1\n",
		"quicbond known links 1\ng 2 3 4\nend 1\n",
		"quicbond known links 1\n1 -2 3 4\nend 1\n",
		"quicbond known links 1\n1 2 3 \nend 1\n",
		"quicbond known links 1\n1 99999999999999999999 3 4\nend 1\n",
		"quicbond known links 1\n1 2 3 99999999999999\nend 1\n",
		"quicbond known links 1\n11111111111111111 2 3 4\nend 1\n",
	};

	ck_assert_int_eq(qb_known_parse(&a, bad[_i], strlen(bad[_i])), -EBADMSG);
	ck_assert_mem_eq(a.slot, b.slot, sizeof(a.slot));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("known");
	TCase *t = tcase_create("known");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, clear, NULL);
	tcase_add_test(t, test_keeps);
	tcase_add_test(t, test_oldest_goes);
	tcase_add_test(t, test_expires);
	tcase_add_test(t, test_merge);
	tcase_add_test(t, test_forget);
	tcase_add_test(t, test_key);
	tcase_add_test(t, test_text);
	tcase_add_test(t, test_text_full);
	tcase_add_loop_test(t, test_bad_text, 0, 15);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
