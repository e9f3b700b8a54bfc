/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet protection against the sample packets of RFC 9001 Appendix A and RFC 9369 Appendix A, the
 * nonce of RFC 10069 §2.4, key updates, Retry tags and tampering.
 */
#include <errno.h>
#include <stdlib.h>

#include "tls/internal.h"
#include "tls_hex.h"

static const uint8_t dcid[] = {0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08};

static const char client_crypto[] =
	"060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868"
	"04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578"
	"616d706c652e636f6dff01000100000a00080006001d00170018001000070005"
	"04616c706e000500050100000000003300260024001d00209370b2c9caa47fba"
	"baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400"
	"0d0010000e0403050306030203080408050806002d00020101001c0002400100"
	"3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000"
	"75300901100f088394c8f03e51570806048000ffff";

static const char server_payload[] =
	"02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf739"
	"88cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c94"
	"0d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00"
	"020304";

static const char chacha_secret[] =
	"9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b";

/* Of the 1,200-byte client Initial the beginning and the tag; the tag covers the rest. */
struct vector {
	uint32_t version;
	const char *client_header, *client_head, *client_tag;
	const char *server_header, *server_packet;
	const char *retry;
	const char *chacha_ku, *chacha_packet;
};

static const struct vector vectors[] = {
	{
		.version = QB_QUIC_V1,
		.client_header = "c300000001088394c8f03e5157080000449e00000002",
		.client_head = "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11"
			       "d242b123dc9bd8bab936b47d92ec356c0bab7df5976d27cd449f63300099f399",
		.client_tag = "e221af44860018ab0856972e194cd934",
		.server_header = "c1000000010008f067a5502a4262b50040750001",
		.server_packet = "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a"
				 "5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3"
				 "dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84"
				 "022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4"
				 "2158407dd074ee",
		.retry = "ff000000010008f067a5502a4262b5746f6b656e"
			 "04a265ba2eff4d829058fb3f0f2496ba",
		.chacha_ku = "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9",
		.chacha_packet = "4cfe4189655e5cd55c41f69080575d7999c25a5bfb",
	},
	{
		.version = QB_QUIC_V2,
		.client_header = "d36b3343cf088394c8f03e5157080000449e00000002",
		.client_head = "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485"
			       "dd04de806071bf03dceebfa162e75d6c96058bdbfb127cdfcbf903388e99ad04",
		.client_tag = "a18b2faa745b6fe189cf772a9f84cbfc",
		.server_header = "d16b3343cf0008f067a5502a4262b50040750001",
		.server_packet = "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698"
				 "baeea26b91eb761d9b89237bbf87263017915358230035f7fd3945d88965cf17"
				 "f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2"
				 "c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca8"
				 "4bed8521e2e140",
		.retry = "cf6b3343cf0008f067a5502a4262b5746f6b656e"
			 "c8646ce8bfe33952d955543665dcc7b6",
		.chacha_ku = "c69374c49e3d2a9466fa689e49d476db5d0dfbc87d32ceeaa6343fd0ae4c7d88",
		.chacha_packet = "5558b1c60ae7b6b932bc27d786f4bc2bb20f2162ba",
	},
};

static void mask_header(const struct qb_keys *k, uint8_t *pkt, size_t pn_off, size_t pn_len)
{
	uint8_t mask[QB_HP_MASK_LEN];

	qb_keys_hp_mask(k, pkt + pn_off + 4, mask);
	pkt[0] ^= mask[0] & (pkt[0] & 0x80 ? 0x0f : 0x1f);
	for (size_t i = 0; i < pn_len; i++)
		pkt[pn_off + i] ^= mask[1 + i];
}

/* Seals and masks; returns the packet's length. */
static size_t protect(const struct qb_keys *k, uint64_t pn, uint8_t *pkt, size_t hdr_len,
		      size_t pn_len, size_t payload_len)
{
	qb_keys_seal(k, 0, pn, pkt, hdr_len, payload_len);
	mask_header(k, pkt, hdr_len - pn_len, pn_len);
	return hdr_len + payload_len + QB_AEAD_TAG_LEN;
}

static int unprotect(const struct qb_keys *k, uint64_t pn, uint8_t *pkt, size_t hdr_len,
		     size_t pn_len, size_t len)
{
	mask_header(k, pkt, hdr_len - pn_len, pn_len);
	return qb_keys_open(k, 0, pn, pkt, hdr_len, len - hdr_len);
}

struct initial_keys {
	struct qb_keys *client_rx, *client_tx, *server_rx, *server_tx;
};

static struct initial_keys initial_new(uint32_t version)
{
	struct initial_keys k;

	ck_assert_int_eq(
		qb_keys_new_initial(version, dcid, sizeof(dcid), false, &k.client_rx, &k.client_tx),
		0);
	ck_assert_int_eq(
		qb_keys_new_initial(version, dcid, sizeof(dcid), true, &k.server_rx, &k.server_tx),
		0);
	return k;
}

static void initial_free(struct initial_keys *k)
{
	qb_keys_free(k->client_rx);
	qb_keys_free(k->client_tx);
	qb_keys_free(k->server_rx);
	qb_keys_free(k->server_tx);
}

START_TEST(client_initial)
{
	const struct vector *v = &vectors[_i];
	struct initial_keys k = initial_new(v->version);
	uint8_t pkt[1200] = {0}, plain[1162] = {0}, want[64];
	size_t hdr_len = tls_unhex(v->client_header, pkt, sizeof(pkt));

	tls_unhex(client_crypto, plain, sizeof(plain));
	memcpy(pkt + hdr_len, plain, sizeof(plain));
	ck_assert_uint_eq(protect(k.client_tx, 2, pkt, hdr_len, 4, sizeof(plain)), sizeof(pkt));
	tls_unhex(v->client_head, want, sizeof(want));
	ck_assert_mem_eq(pkt, want, 64);
	tls_unhex(v->client_tag, want, sizeof(want));
	ck_assert_mem_eq(pkt + sizeof(pkt) - 16, want, 16);

	ck_assert_int_eq(unprotect(k.server_rx, 2, pkt, hdr_len, 4, sizeof(pkt)), sizeof(plain));
	ck_assert_mem_eq(pkt + hdr_len, plain, sizeof(plain));
	initial_free(&k);
}
END_TEST

START_TEST(server_initial)
{
	const struct vector *v = &vectors[_i];
	struct initial_keys k = initial_new(v->version);
	uint8_t pkt[160], plain[128], want[160];
	size_t hdr_len = tls_unhex(v->server_header, pkt, sizeof(pkt));
	size_t plain_len = tls_unhex(server_payload, plain, sizeof(plain));
	size_t len = tls_unhex(v->server_packet, want, sizeof(want));

	memcpy(pkt + hdr_len, plain, plain_len);
	ck_assert_uint_eq(protect(k.server_tx, 1, pkt, hdr_len, 2, plain_len), len);
	ck_assert_mem_eq(pkt, want, len);
	ck_assert_int_eq(unprotect(k.client_rx, 1, pkt, hdr_len, 2, len), plain_len);
	ck_assert_mem_eq(pkt + hdr_len, plain, plain_len);
	initial_free(&k);
}
END_TEST

START_TEST(chacha_short)
{
	const struct vector *v = &vectors[_i];
	const uint64_t pn = 654360564;
	uint8_t pkt[32] = {0x42, 0x00, 0xbf, 0xf4, 0x01}, want[32], secret[32];
	struct qb_keys *k;
	size_t len = tls_unhex(v->chacha_packet, want, sizeof(want));

	tls_unhex(chacha_secret, secret, sizeof(secret));
	k = qb_keys_new(v->version, QB_SUITE_CHACHA20, secret, sizeof(secret));
	ck_assert_int_eq(qb_keys_suite(k), QB_SUITE_CHACHA20);
	ck_assert_uint_eq(protect(k, pn, pkt, 4, 3, 1), len);
	ck_assert_mem_eq(pkt, want, len);
	ck_assert_int_eq(unprotect(k, pn, pkt, 4, 3, len), 1);
	ck_assert_uint_eq(pkt[0], 0x42);
	ck_assert_uint_eq(pkt[4], 0x01);
	qb_keys_free(k);
}
END_TEST

START_TEST(key_update)
{
	const struct vector *v = &vectors[_i];
	static const uint8_t sample[QB_HP_SAMPLE_LEN] = {1, 2, 3, 4, 5};
	uint8_t secret[32], ku[32], a[64] = {7}, b[64] = {7};
	uint8_t mask_old[QB_HP_MASK_LEN], mask_new[QB_HP_MASK_LEN];
	struct qb_keys *k, *next, *want;

	tls_unhex(chacha_secret, secret, sizeof(secret));
	tls_unhex(v->chacha_ku, ku, sizeof(ku));
	k = qb_keys_new(v->version, QB_SUITE_CHACHA20, secret, sizeof(secret));
	want = qb_keys_new(v->version, QB_SUITE_CHACHA20, ku, sizeof(ku));
	next = qb_keys_next(k);
	qb_keys_seal(next, 0, 9, a, 8, 40);
	qb_keys_seal(want, 0, 9, b, 8, 40);
	ck_assert_mem_eq(a, b, sizeof(a));
	ck_assert_int_eq(qb_keys_open(k, 0, 9, b, 8, 56), -EBADMSG);
	qb_keys_hp_mask(k, sample, mask_old);
	qb_keys_hp_mask(next, sample, mask_new);
	ck_assert_mem_eq(mask_old, mask_new, sizeof(mask_old));
	qb_keys_hp_mask(want, sample, mask_new);
	ck_assert_mem_ne(mask_old, mask_new, sizeof(mask_old));
	qb_keys_free(k);
	qb_keys_free(next);
	qb_keys_free(want);
}
END_TEST

START_TEST(retry)
{
	const struct vector *v = &vectors[_i];
	uint8_t pkt[64], tag[16];
	size_t len = tls_unhex(v->retry, pkt, sizeof(pkt));

	qb_retry_tag(v->version, dcid, sizeof(dcid), pkt, len - 16, tag);
	ck_assert_mem_eq(tag, pkt + len - 16, 16);
	qb_retry_tag(v->version, dcid, sizeof(dcid) - 1, pkt, len - 16, tag);
	ck_assert_mem_ne(tag, pkt + len - 16, 16);
	qb_retry_tag(v->version, NULL, 0, pkt, len - 16, tag);
	ck_assert_mem_ne(tag, pkt + len - 16, 16);
}
END_TEST

START_TEST(multipath_nonce)
{
	uint8_t iv[12], want[12], nonce[12];

	tls_unhex("6b26114b9cba2b63a9e8dd4f", iv, sizeof(iv));
	tls_unhex("6b2611489cba2b63a9e8097e", want, sizeof(want));
	qb_tls_nonce(iv, 3, 54321, nonce);
	ck_assert_mem_eq(nonce, want, sizeof(want));
}
END_TEST

/*
 * SHA-384 and AES-256, which no RFC samples: secret 00..2f, header a0..a7, payload 01..10, path 2,
 * packet number 77; computed by another implementation.
 */
START_TEST(aes256_known_answer)
{
	uint8_t secret[48], pkt[8 + 16 + 16], want[32], mask[QB_HP_MASK_LEN], sample[16] = {0};
	struct qb_keys *k;

	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)i;
	for (size_t i = 0; i < 8; i++)
		pkt[i] = (uint8_t)(0xa0 + i);
	for (size_t i = 0; i < 16; i++)
		pkt[8 + i] = (uint8_t)(1 + i);
	k = qb_keys_new(QB_QUIC_V1, QB_SUITE_AES256GCM, secret, sizeof(secret));
	qb_keys_seal(k, 2, 77, pkt, 8, 16);
	tls_unhex("94a0d43ce575c3a154e66a4c87ee827c4e2f099a08afd9092b04d0a0fcad565e", want,
		  sizeof(want));
	ck_assert_mem_eq(pkt + 8, want, 32);
	qb_keys_hp_mask(k, sample, mask);
	tls_unhex("fb26a6decf", want, sizeof(want));
	ck_assert_mem_eq(mask, want, sizeof(mask));
	qb_keys_free(k);
}
END_TEST

static struct qb_keys *keys_of_suite(enum qb_suite suite)
{
	static const uint8_t secret[QB_SECRET_MAX] = {0x5a, 1, 2, 3};

	return qb_keys_new(QB_QUIC_V1, suite, secret, suite == QB_SUITE_AES256GCM ? 48 : 32);
}

START_TEST(tampering)
{
	struct qb_keys *k = keys_of_suite((enum qb_suite)_i);
	uint8_t sealed[10 + 30 + 16], pkt[sizeof(sealed)];

	memset(sealed, 0x33, sizeof(sealed));
	qb_keys_seal(k, 5, 1234567, sealed, 10, 30);
	for (size_t i = 0; i < sizeof(sealed); i++) {
		memcpy(pkt, sealed, sizeof(pkt));
		pkt[i] ^= 0x40;
		ck_assert_int_eq(qb_keys_open(k, 5, 1234567, pkt, 10, 46), -EBADMSG);
	}
	memcpy(pkt, sealed, sizeof(pkt));
	ck_assert_int_eq(qb_keys_open(k, 4, 1234567, pkt, 10, 46), -EBADMSG);
	memcpy(pkt, sealed, sizeof(pkt));
	ck_assert_int_eq(qb_keys_open(k, 5, 1234568, pkt, 10, 46), -EBADMSG);
	for (size_t len = 0; len < 46; len++) {
		memcpy(pkt, sealed, sizeof(pkt));
		ck_assert_int_eq(qb_keys_open(k, 5, 1234567, pkt, 10, len), -EBADMSG);
	}
	memcpy(pkt, sealed, sizeof(pkt));
	ck_assert_int_eq(qb_keys_open(k, 5, 1234567, pkt, 10, 46), 30);
	qb_keys_free(k);
}
END_TEST

START_TEST(lengths)
{
	struct qb_keys *k = keys_of_suite((enum qb_suite)_i);

	for (size_t len = 0; len <= 1500; len += 1 + len / 7) {
		uint8_t *pkt = malloc(3 + len + QB_AEAD_TAG_LEN);

		memset(pkt, 0x77, 3 + len);
		qb_keys_seal(k, UINT32_MAX, (UINT64_C(1) << 62) - 1, pkt, 3, len);
		ck_assert_int_eq(qb_keys_open(k, UINT32_MAX, (UINT64_C(1) << 62) - 1, pkt, 3,
					      len + QB_AEAD_TAG_LEN),
				 (int)len);
		for (size_t i = 0; i < len; i++)
			ck_assert_uint_eq(pkt[3 + i], 0x77);
		free(pkt);
	}
	qb_keys_free(k);
}
END_TEST

START_TEST(odd_input)
{
	struct qb_keys *rx = NULL, *tx = NULL;
	uint8_t secret[32] = {0};

	ck_assert_int_eq(qb_keys_new_initial(0xff00001d, dcid, 8, false, &rx, &tx), -EINVAL);
	ck_assert_ptr_null(rx);
	ck_assert_ptr_null(qb_keys_new(2, QB_SUITE_CHACHA20, secret, sizeof(secret)));
	ck_assert_int_eq(qb_keys_new_initial(QB_QUIC_V1, NULL, 0, false, &rx, &tx), 0);
	qb_keys_free(rx);
	qb_keys_free(tx);
	qb_keys_free(NULL);
	ck_assert_str_eq(qb_suite_name(QB_SUITE_AES128GCM), "AES-128-GCM");
	ck_assert_uint_eq(qb_suite_confidentiality_limit(QB_SUITE_AES256GCM), 1 << 23);
	ck_assert_uint_eq(qb_suite_integrity_limit(QB_SUITE_CHACHA20), UINT64_C(1) << 36);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tls_keys");
	TCase *tc = tcase_create("keys");
	const int versions = (int)QB_ARRAY_LEN(vectors);
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, client_initial, 0, versions);
	tcase_add_loop_test(tc, server_initial, 0, versions);
	tcase_add_loop_test(tc, chacha_short, 0, versions);
	tcase_add_loop_test(tc, key_update, 0, versions);
	tcase_add_loop_test(tc, retry, 0, versions);
	tcase_add_test(tc, multipath_nonce);
	tcase_add_test(tc, aes256_known_answer);
	tcase_add_loop_test(tc, tampering, 0, QB_SUITE_CNT);
	tcase_add_loop_test(tc, lengths, 0, QB_SUITE_CNT);
	tcase_add_test(tc, odd_input);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
