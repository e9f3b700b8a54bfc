/* SPDX-License-Identifier: BSD-2-Clause */
/* The hub's block list: by command and by file, in order, for a time, over a restart; and the block
 * file's lines. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "blocks.h"
#include "conf/conf.h"

static struct qb_prefix prefix(const char *text)
{
	struct qb_prefix p;

	ck_assert_int_eq(qb_prefix_parse(text, &p), 0);
	return p;
}

static int add(struct qb_blocks *b, const char *text, uint64_t until_s)
{
	struct qb_prefix p = prefix(text);

	return qb_blocks_add(b, &p, until_s);
}

static int del(struct qb_blocks *b, const char *text)
{
	struct qb_prefix p = prefix(text);

	return qb_blocks_del(b, &p);
}

static void in_order(const struct qb_blocks *b)
{
	for (uint32_t i = 1; i < b->cnt; i++)
		ck_assert_int_lt(qb_prefix_order(&b->list[i - 1].prefix, &b->list[i].prefix), 0);
}

START_TEST(by_command)
{
	struct qb_blocks b = {.list = NULL};

	ck_assert_int_eq(add(&b, "198.51.100.0/24", 0), 0);
	ck_assert_int_eq(add(&b, "2001:db8::/32", 100), 0);
	ck_assert_int_eq(add(&b, "192.0.2.0/24", 50), 0);
	ck_assert_int_eq(add(&b, "192.0.2.0/25", 0), 0);
	ck_assert_int_eq(add(&b, "198.51.100.0/24", 0), -EEXIST);
	ck_assert_int_eq(add(&b, "192.0.2.0/24", 70), 0); /* for longer */
	ck_assert_uint_eq(b.cnt, 4);
	in_order(&b);
	ck_assert(!qb_blocks_expire(&b, 69));
	ck_assert(qb_blocks_expire(&b, 70));
	ck_assert_uint_eq(b.cnt, 3);
	ck_assert_int_eq(del(&b, "192.0.2.0/24"), -ENOENT);
	ck_assert_int_eq(del(&b, "198.51.100.0/24"), 0);
	ck_assert(qb_blocks_expire(&b, UINT64_MAX));
	ck_assert_uint_eq(b.cnt, 1);
	qb_blocks_fini(&b);
}
END_TEST

START_TEST(by_file)
{
	struct qb_prefix first[] = {prefix("192.0.2.0/24"), prefix("198.51.100.0/24")},
			 second[] = {prefix("203.0.113.0/24")};
	struct qb_blocks b = {.list = NULL};

	ck_assert_int_eq(add(&b, "192.0.2.0/24", 10), 0);
	ck_assert_int_eq(qb_blocks_take_file(&b, first, 2), 0);
	ck_assert_uint_eq(b.cnt, 2);
	ck_assert_int_eq(del(&b, "198.51.100.0/24"), -EPERM);
	ck_assert(qb_blocks_expire(&b, 10)); /* the command's time is over: the file's word holds */
	ck_assert_uint_eq(b.cnt, 2);
	ck_assert_int_eq(add(&b, "198.51.100.0/24", 0), 0);
	ck_assert_int_eq(qb_blocks_take_file(&b, second, 1), 0);
	ck_assert_uint_eq(b.cnt, 2);
	ck_assert(qb_blocks_has(&b, &first[1]) && qb_blocks_has(&b, &second[0]) &&
		  !qb_blocks_has(&b, &first[0]));
	in_order(&b);
	ck_assert_int_eq(qb_blocks_take_file(&b, NULL, 0), 0);
	ck_assert_uint_eq(b.cnt, 1);
	qb_blocks_fini(&b);
}
END_TEST

START_TEST(kept)
{
	static uint8_t bytes[QB_BLOCKS_BYTES];
	struct qb_prefix of_file = prefix("203.0.113.0/24");
	struct qb_blocks b = {.list = NULL}, again = {.list = NULL};
	size_t len;

	ck_assert_int_eq(qb_blocks_take_file(&b, &of_file, 1), 0);
	ck_assert_int_eq(add(&b, "192.0.2.0/24", 1000), 0);
	ck_assert_int_eq(add(&b, "2001:db8::/32", 0), 0);
	len = qb_blocks_save(&b, bytes);
	ck_assert_int_eq(qb_blocks_load(&again, bytes, len), 0);
	ck_assert_uint_eq(again.cnt, 2); /* the file speaks for itself */
	ck_assert_uint_eq(again.list[0].until_s, 1000);
	ck_assert(again.list[1].by_command && !again.list[1].by_file);
	qb_blocks_fini(&again);
	ck_assert_int_eq(qb_blocks_load(&again, bytes, len - 1), -EBADMSG);
	for (size_t i = 0; i < 18;
	     i++) { /* any byte but those of the time: refused, or another prefix that can be */
		bytes[i] ^= 0xff;
		if (qb_blocks_load(&again, bytes, len) == 0)
			in_order(&again);
		bytes[i] ^= 0xff;
		qb_blocks_fini(&again);
	}
	bytes[17] = 33;
	ck_assert_int_eq(qb_blocks_load(&again, bytes, len), -EBADMSG);
	qb_blocks_fini(&again);
	qb_blocks_fini(&b);
}
END_TEST

START_TEST(full)
{
	struct qb_prefix *many = calloc(QB_BLOCKS_MAX, sizeof(*many));
	struct qb_blocks b = {.list = NULL};

	for (uint32_t i = 0; i < QB_BLOCKS_MAX; i++) {
		many[i] = (struct qb_prefix){.family = 4, .len = 32};
		qb_store_be32(many[i].ip, 0x0a000000 + i * 3);
	}
	ck_assert_int_eq(add(&b, "192.0.2.0/24", 0), 0);
	ck_assert_int_eq(qb_blocks_take_file(&b, many, QB_BLOCKS_MAX), -ENOSPC);
	ck_assert_uint_eq(b.cnt, QB_BLOCKS_MAX);
	in_order(&b);
	ck_assert_int_eq(add(&b, "198.51.100.0/24", 0), -ENOSPC);
	ck_assert_int_eq(qb_blocks_take_file(&b, NULL, 0), 0);
	ck_assert_uint_eq(b.cnt, 1);
	qb_blocks_fini(&b);
	free(many);
}
END_TEST

/* ---- the file ---- */

static const struct {
	const char *text, *err; /* NULL: two prefixes */
} files[] = {
	{"# drop\n\n192.0.2.0/24 ; SBL1\r\n\t2001:db8::/32# x\n192.0.2.0/24\n", NULL},
	{"2001:db8::/32\n192.0.2.0/24", NULL},
	{"192.0.2.0/24\n10.0.0.1/8\n", "f:2: 10.0.0.1/8 has host bits set; is it 10.0.0.0/8?; "},
	{"192.0.2.0/24\n\nhost.example\n", "f:3: \"host.example\" is not a prefix; "},
	{"192.0.2.0/24 198.51.100.0/24\n", "f:1: one prefix a line; "},
	{"192.0.2.0/24\0\n", NULL},
	{"1.2.3.4/33\n", "f:1: \"1.2.3.4/33\" is not a prefix; "},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	 "\n",
	 "f:1: \"aaaa"},
};

START_TEST(file)
{
	struct qb_conf_blocks out;
	char err[QB_CONF_ERR_LEN] = "";
	int ret = qb_conf_parse_blocks("f", files[_i].text, strlen(files[_i].text), &out, err);

	if (files[_i].err) {
		ck_assert_int_eq(ret, -EINVAL);
		ck_assert_msg(strncmp(err, files[_i].err, strlen(files[_i].err)) == 0, "%s", err);
		ck_assert_ptr_null(out.p);
		return;
	}
	ck_assert_msg(ret == 0, "%s", err);
	ck_assert_uint_eq(out.cnt, strchr(files[_i].text, ':') ? 2 : 1);
	for (uint32_t i = 1; i < out.cnt; i++)
		ck_assert_int_lt(qb_prefix_order(&out.p[i - 1], &out.p[i]), 0);
	free(out.p);
}
END_TEST

START_TEST(long_file)
{
	char *text = malloc((QB_CONF_BLOCKS_MAX + 1) * 20), err[QB_CONF_ERR_LEN] = "";
	struct qb_conf_blocks out;
	size_t len = 0;

	for (uint32_t i = 0; i <= QB_CONF_BLOCKS_MAX; i++)
		len += (size_t)sprintf(text + len, "10.%u.%u.%u\n", i >> 16, i >> 8 & 255, i & 255);
	ck_assert_int_eq(qb_conf_parse_blocks("f", text, len, &out, err), -EINVAL);
	ck_assert_msg(strncmp(err, "f:16385: more than 16384 prefixes; ", 35) == 0, "%s", err);
	len = (size_t)(strrchr(text, '\n') - text);
	while (text[len - 1] != '\n')
		len--;
	ck_assert_int_eq(qb_conf_parse_blocks("f", text, len, &out, err), 0);
	ck_assert_uint_eq(out.cnt, QB_CONF_BLOCKS_MAX);
	free(out.p);
	free(text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("blocks");
	TCase *tc = tcase_create("blocks");
	SRunner *r;
	int failed;

	tcase_add_test(tc, by_command);
	tcase_add_test(tc, by_file);
	tcase_add_test(tc, kept);
	tcase_add_test(tc, full);
	tcase_add_loop_test(tc, file, 0, (int)QB_ARRAY_LEN(files));
	tcase_add_test(tc, long_file);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
