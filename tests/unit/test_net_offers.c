/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What drivers offer to XDP: answers of the netdev family as drivers give them, cut and damaged
 * ones, and the question itself, to the loopback device.
 */
#include <check.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "net/offers.h"

struct answer {
	uint8_t msg[256];
	uint32_t len;
};

static void begin(struct answer *a)
{
	memset(a, 0, sizeof(*a));
	a->len = NLMSG_HDRLEN + GENL_HDRLEN;
}

static void put(struct answer *a, uint16_t type, const void *value, uint16_t bytes)
{
	struct nlattr attr = {.nla_type = type, .nla_len = (uint16_t)(NLA_HDRLEN + bytes)};

	memcpy(a->msg + a->len, &attr, sizeof(attr));
	memcpy(a->msg + a->len + NLA_HDRLEN, value, bytes);
	a->len += NLA_ALIGN(attr.nla_len);
}

static void put_bits(struct answer *a, uint16_t type, uint64_t bits)
{
	put(a, type, &bits, sizeof(bits));
}

static void finish(struct answer *a)
{
	struct nlmsghdr nl = {.nlmsg_len = a->len, .nlmsg_type = 40};

	memcpy(a->msg, &nl, sizeof(nl));
}

static void make_full(struct answer *a)
{
	uint32_t ifindex = 7;

	begin(a);
	put(a, 1, &ifindex, sizeof(ifindex));
	put_bits(a, 3, 0x7f);
	put_bits(a, 5, 0x3);
	put_bits(a, 6, 0x7);
	finish(a);
}

START_TEST(all_that_there_is)
{
	struct answer a;
	char text[160];

	make_full(&a);
	ck_assert_int_eq(qb_net_offers_parse(a.msg, a.len, text, sizeof(text)), 0);
	ck_assert_str_eq(
		text,
		"xdp redirect xmit zero-copy frags rx-timestamp rx-hash tx-timestamp tx-checksum "
		"tx-launch-time");
	/* What finds no room is cut, and ends. */
	ck_assert_int_eq(qb_net_offers_parse(a.msg, a.len, text, 12), 0);
	ck_assert_str_eq(text, "xdp redirec");
}
END_TEST

/* A driver without metadata, and one without XDP. */
START_TEST(less)
{
	struct answer a;
	char text[160];

	begin(&a);
	put_bits(&a, 3, 0x3 | 0x8);
	put_bits(&a, 5, 0);
	put_bits(&a, 6, 0);
	finish(&a);
	ck_assert_int_eq(qb_net_offers_parse(a.msg, a.len, text, sizeof(text)), 0);
	ck_assert_str_eq(text, "xdp redirect zero-copy");
	begin(&a);
	put_bits(&a, 3, 0);
	finish(&a);
	ck_assert_int_eq(qb_net_offers_parse(a.msg, a.len, text, sizeof(text)), -ENODATA);
	ck_assert_str_eq(text, "");
}
END_TEST

/* Every length of it, each in memory of its own, and every bit turned: nothing is read that is not
 * there. */
START_TEST(damaged)
{
	struct answer a;
	char text[160];

	make_full(&a);
	for (uint32_t len = 0; len <= a.len; len++) {
		uint8_t *copy = malloc(len + 1);

		memcpy(copy, a.msg, len);
		ck_assert_int_eq(qb_net_offers_parse(copy, len, text, sizeof(text)),
				 len == a.len ? 0 : -ENODATA);
		free(copy);
	}
	for (uint32_t bit = 0; bit < a.len * 8; bit++) {
		struct answer b = a;

		b.msg[bit / 8] ^= (uint8_t)(1u << bit % 8);
		(void)qb_net_offers_parse(b.msg, b.len, text, sizeof(text));
		ck_assert_uint_lt(strlen(text), sizeof(text));
	}
}
END_TEST

/* The loopback device has no native XDP; a kernel before 6.3 does not know the question. */
START_TEST(asked)
{
	char text[160] = "x";

	ck_assert_int_lt(qb_net_offers(1, text, sizeof(text)), 0);
	ck_assert_str_eq(text, "");
	ck_assert_int_lt(qb_net_offers(0x7ffffff0, text, sizeof(text)), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/offers");
	TCase *tc = tcase_create("offers");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, all_that_there_is);
	tcase_add_test(tc, less);
	tcase_add_test(tc, damaged);
	tcase_add_test(tc, asked);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
