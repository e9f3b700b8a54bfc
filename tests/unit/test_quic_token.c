/* SPDX-License-Identifier: BSD-2-Clause */
/* Address validation tokens: bound, short-lived, tamper-proof, for one use. */
#include <check.h>
#include <errno.h>

#include "quic/token.h"

#define SEC QB_NS_PER_SEC

static const struct qb_node_secret key = {.key = {1, 2, 3}}, other = {.key = {4}};
static const struct qb_addr here = {.family = 4, .ip = {192, 0, 2, 7}, .port = 1234};
static const uint8_t cid[10] = {9, 9};

static struct qb_token_owner owner_at(const struct qb_addr *peer)
{
	return (struct qb_token_owner){peer, QB_QUIC_V1, {cid, sizeof(cid)}};
}

static int check(const struct qb_node_secret *k, const struct qb_token_owner *o,
		 const uint8_t *token, size_t len, uint64_t now_ns)
{
	struct qb_token out;

	return qb_token_check(k, o, (struct qb_bytes){token, len}, now_ns, &out);
}

START_TEST(test_token)
{
	struct qb_token in = {
		.is_retry = _i == 0, .odcid_len = 8, .odcid = {1, 2, 3, 4, 5, 6, 7, 8}};
	uint64_t now = 100 * SEC, life = _i ? QB_TOKEN_NEW_LIFE_NS : QB_TOKEN_LIFE_NS;
	struct qb_token_owner owner = owner_at(&here), o;
	uint8_t buf[QB_TOKEN_MAX];
	struct qb_addr b = here;
	struct qb_token out;
	struct qb_drbg rnd;
	size_t len, i;

	qb_drbg_seed(&rnd, key.key);
	len = qb_token_build(&key, &rnd, &owner, &in, now, buf);
	ck_assert_uint_le(len, sizeof(buf));
	ck_assert_int_eq(qb_token_check(&key, &owner, (struct qb_bytes){buf, len}, now + SEC, &out),
			 0);
	ck_assert(out.is_retry == in.is_retry);
	if (out.is_retry) {
		ck_assert_uint_eq(out.odcid_len, 8);
		ck_assert_mem_eq(out.odcid, in.odcid, 8);
	}
	ck_assert_int_eq(check(&key, &owner, buf, len, now + life), 0);
	ck_assert_int_eq(check(&key, &owner, buf, len, now + life + 1), -ETIME);
	ck_assert_int_eq(check(&key, &owner, buf, len, now - 1), -ETIME);
	ck_assert_int_eq(check(&other, &owner, buf, len, now), -EBADMSG);
	/* Another port or connection ID is another client, for a Retry. */
	b.port++;
	o = owner_at(&b);
	ck_assert_int_eq(check(&key, &o, buf, len, now), in.is_retry ? -EBADMSG : 0);
	o = owner_at(&here);
	o.cid.len--;
	ck_assert_int_eq(check(&key, &o, buf, len, now), in.is_retry ? -EBADMSG : 0);
	b.ip[3]++;
	o = owner_at(&b);
	ck_assert_int_eq(check(&key, &o, buf, len, now), -EBADMSG);
	o = owner_at(&here);
	o.version = QB_QUIC_V2;
	ck_assert_int_eq(check(&key, &o, buf, len, now), -EBADMSG);
	for (i = 0; i < len; i++) {
		buf[i] ^= 0x11;
		ck_assert_int_eq(check(&key, &owner, buf, len, now), -EBADMSG);
		buf[i] ^= 0x11;
		ck_assert_int_eq(check(&key, &owner, buf, i, now), -EBADMSG);
	}
}
END_TEST

START_TEST(test_seen)
{
	static struct qb_tokens_seen seen;
	struct qb_hash_key hk = {1, 2};
	uint8_t token[40] = {0};
	uint32_t i, again = 0;

	for (i = 0; i < 200; i++) {
		qb_store_be32(token, i);
		ck_assert(qb_tokens_seen_add(&seen, &hk, (struct qb_bytes){token, sizeof(token)}));
		ck_assert(!qb_tokens_seen_add(&seen, &hk, (struct qb_bytes){token, sizeof(token)}));
	}
	for (i = 0; i < 200; i++) {
		qb_store_be32(token, i);
		again += qb_tokens_seen_add(&seen, &hk, (struct qb_bytes){token, sizeof(token)});
	}
	/* Two may share a place, not many. */
	ck_assert_uint_lt(again, 60);
}
END_TEST

START_TEST(test_kept)
{
	static struct qb_tokens_kept kept;
	uint8_t token[QB_TOKEN_KEPT_MAX + 1] = {0}, out[QB_TOKEN_KEPT_MAX];
	uint32_t i, cnt = 0;

	memset(&kept, 0, sizeof(kept));
	ck_assert_uint_eq(qb_tokens_take(&kept, 5, QB_QUIC_V1, out), 0);
	for (i = 1; i <= 3; i++) {
		token[0] = (uint8_t)i;
		qb_tokens_keep(&kept, 5, QB_QUIC_V1, (struct qb_bytes){token, i});
	}
	qb_tokens_keep(&kept, 5, QB_QUIC_V1, (struct qb_bytes){token, sizeof(token)});
	ck_assert_uint_eq(qb_tokens_take(&kept, 5, QB_QUIC_V2, out), 0);
	ck_assert_uint_eq(qb_tokens_take(&kept, 6, QB_QUIC_V1, out), 0);
	/* The newest, once. */
	ck_assert_uint_eq(qb_tokens_take(&kept, 5, QB_QUIC_V1, out), 3);
	ck_assert_uint_eq(out[0], 3);
	ck_assert_uint_eq(qb_tokens_take(&kept, 5, QB_QUIC_V1, out), 0);
	for (i = 1; i <= 100; i++)
		qb_tokens_keep(&kept, i, QB_QUIC_V1, (struct qb_bytes){token, QB_TOKEN_KEPT_MAX});
	ck_assert_uint_eq(qb_tokens_take(&kept, 100, QB_QUIC_V1, out), QB_TOKEN_KEPT_MAX);
	for (i = 1; i <= 100; i++)
		cnt += qb_tokens_take(&kept, i, QB_QUIC_V1, out) != 0;
	ck_assert_uint_eq(cnt, QB_TOKENS_KEPT - 1);
}
END_TEST

/* What is kept comes back from its bytes, and from no others. */
START_TEST(test_saved)
{
	static struct qb_tokens_kept kept, back;
	uint8_t token[QB_TOKEN_KEPT_MAX], out[QB_TOKEN_KEPT_MAX], file[QB_TOKENS_BYTES + 1];
	uint32_t i, cnt;
	size_t len;

	for (cnt = 0; cnt <= QB_TOKENS_KEPT; cnt++) {
		memset(&kept, 0, sizeof(kept));
		for (i = 1; i <= cnt; i++) {
			memset(token, (int)i, sizeof(token));
			qb_tokens_keep(&kept, i, QB_QUIC_V1 + i, (struct qb_bytes){token, QB_TOKEN_KEPT_MAX - i});
			ck_assert_uint_eq(kept.change_cnt, i);
		}
		len = qb_tokens_build(&kept, file);
		ck_assert_uint_le(len, QB_TOKENS_BYTES);
		for (i = 0; i < len; i += 7)
			ck_assert_int_eq(qb_tokens_parse(&back, file, i), -EBADMSG);
		ck_assert_int_eq(qb_tokens_parse(&back, file, len + 1), -EBADMSG);
		ck_assert_uint_eq(qb_tokens_take(&back, 1, QB_QUIC_V1 + 1, out), 0);
		ck_assert_int_eq(qb_tokens_parse(&back, file, len), 0);
		for (i = 1; i <= cnt; i++) {
			ck_assert_uint_eq(qb_tokens_take(&back, i, QB_QUIC_V1 + i, out), QB_TOKEN_KEPT_MAX - i);
			ck_assert_uint_eq(out[0], i);
			ck_assert_uint_eq(back.change_cnt, i);
		}
	}
	ck_assert_uint_eq(qb_tokens_build(&back, file), 9);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/token");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_token, 0, 2);
	tcase_add_test(tc, test_seen);
	tcase_add_test(tc, test_kept);
	tcase_add_test(tc, test_saved);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
