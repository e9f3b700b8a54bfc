/* SPDX-License-Identifier: BSD-2-Clause */
/* Packet headers: round trips in both versions, every truncation, packet number vectors (RFC 9000
 * §A.2, §A.3). */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "require.h"
#include "wire/header.h"

static const struct qb_cid dcid = {8, {0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08}};
static const struct qb_cid scid = {5, {1, 2, 3, 4, 5}};
static const struct qb_cid no_cid = {0};
static const uint8_t token[] = "a token";

static const struct {
	uint32_t version;
	enum qb_pkt_type type;
	uint8_t first; /* with pn_len 2 */
} long_types[] = {
	{QB_QUIC_V1, QB_PKT_INITIAL, 0xc1},   {QB_QUIC_V1, QB_PKT_0RTT, 0xd1},
	{QB_QUIC_V1, QB_PKT_HANDSHAKE, 0xe1}, {QB_QUIC_V2, QB_PKT_INITIAL, 0xd1},
	{QB_QUIC_V2, QB_PKT_0RTT, 0xe1},      {QB_QUIC_V2, QB_PKT_HANDSHAKE, 0xf1},
};

/* A long packet with 30 sealed bytes and `extra` bytes of another packet behind it. */
static size_t build_long(uint8_t *buf, size_t cap, int i, const struct qb_cid *src, size_t extra)
{
	struct qb_long_hdr h = {.type = long_types[i].type,
				.version = long_types[i].version,
				.dcid = &dcid,
				.scid = src,
				.pn = 0x1234,
				.pn_len = 2};
	struct qb_wr w = qb_wr_init(buf, cap);
	uint8_t *length_at;
	size_t hdr_len;

	if (h.type == QB_PKT_INITIAL)
		h.token = (struct qb_bytes){token, sizeof(token)};
	qb_hdr_build_long(&w, &h, &length_at);
	ck_assert(!w.bad);
	hdr_len = (size_t)(w.p - buf);
	ck_assert_uint_eq(hdr_len, qb_hdr_long_len(&h));
	ck_assert_uint_eq(buf[0], long_types[i].first);
	qb_hdr_set_length(length_at, 2 + 30);
	memset(w.p, 0x55, 30 + extra);
	return hdr_len + 30 + extra;
}

START_TEST(test_long)
{
	uint8_t buf[256];
	size_t len = build_long(buf, sizeof(buf), _i, &scid, 17);
	struct qb_hdr h;

	ck_assert_int_eq(qb_hdr_parse(&h, buf, len, 8), 0);
	ck_assert_int_eq(h.type, long_types[_i].type);
	ck_assert_uint_eq(h.version, long_types[_i].version);
	ck_assert(qb_cid_is(&dcid, h.dcid) && qb_cid_is(&scid, h.scid));
	ck_assert_uint_eq(h.pkt_len, len - 17);
	ck_assert_uint_eq(qb_pn_read(buf + h.pn_off, 2), 0x1234);
	ck_assert_uint_eq(h.pkt_len - h.pn_off, 32);
	if (h.type == QB_PKT_INITIAL) {
		ck_assert_uint_eq(h.token.len, sizeof(token));
		ck_assert_mem_eq(h.token.p, token, sizeof(token));
	}
	/* Nothing shorter than the packet parses. */
	for (size_t cut = 0; cut < h.pkt_len; cut++) {
		struct qb_hdr short_h;

		ck_assert_int_eq(qb_hdr_parse(&short_h, buf, cut, 8), -EBADMSG);
	}
	len = build_long(buf, sizeof(buf), _i, &no_cid, 0);
	ck_assert_int_eq(qb_hdr_parse(&h, buf, len, 8), 0);
	ck_assert_uint_eq(h.scid.len, 0);
}
END_TEST

START_TEST(test_long_overrun)
{
	struct qb_long_hdr h = {.type = QB_PKT_INITIAL,
				.version = QB_QUIC_V1,
				.dcid = &dcid,
				.scid = &scid,
				.pn = 1,
				.pn_len = 4};
	uint8_t buf[64], *length_at;

	for (size_t cap = 0; cap < qb_hdr_long_len(&h); cap++) {
		struct qb_wr w = qb_wr_init(buf, cap);

		qb_hdr_build_long(&w, &h, &length_at);
		ck_assert(w.bad);
	}
}
END_TEST

START_TEST(test_short)
{
	uint8_t buf[64] = {0};
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));
	struct qb_hdr h;
	size_t len;

	qb_hdr_build_short(&w, &dcid, true, true, 0xabcdef, 3);
	ck_assert_uint_eq(buf[0], 0x40 | 0x20 | 0x04 | 2);
	ck_assert_uint_eq((size_t)(w.p - buf), 1 + 8 + 3);
	len = 1 + 8 + 4 + 16;
	ck_assert_int_eq(qb_hdr_parse(&h, buf, len, 8), 0);
	ck_assert_int_eq(h.type, QB_PKT_1RTT);
	ck_assert(qb_cid_is(&dcid, h.dcid));
	ck_assert_uint_eq(h.pn_off, 9);
	ck_assert_uint_eq(h.pkt_len, len);
	ck_assert_uint_eq(qb_pn_read(buf + 9, 3), 0xabcdef);
	for (size_t cut = 0; cut < len; cut++)
		ck_assert_int_eq(qb_hdr_parse(&h, buf, cut, 8), -EBADMSG);
}
END_TEST

START_TEST(test_version_negotiation)
{
	static const uint32_t versions[] = {QB_QUIC_V2, QB_QUIC_V1, 0x0a0a0a0a};
	uint8_t buf[600], long_cid[255];
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));
	struct qb_hdr h;
	size_t len;

	memset(long_cid, 7, sizeof(long_cid));
	qb_vn_build(&w, 0x2a, (struct qb_bytes){long_cid, 255}, (struct qb_bytes){long_cid, 200},
		    versions, 3);
	ck_assert(!w.bad);
	len = (size_t)(w.p - buf);
	ck_assert_uint_eq(buf[0] & 0xc0, 0xc0);
	ck_assert_int_eq(qb_hdr_parse(&h, buf, len, 8), 0);
	ck_assert_int_eq(h.type, QB_PKT_VERSION_NEGOTIATION);
	ck_assert_uint_eq(h.dcid.len, 255);
	ck_assert_uint_eq(h.scid.len, 200);
	ck_assert_uint_eq(qb_vn_cnt(&h), 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(qb_vn_version(&h, i), versions[i]);
	ck_assert_int_eq(qb_hdr_parse(&h, buf, len - 1, 8), -EBADMSG);	/* not a multiple of 4 */
	ck_assert_int_eq(qb_hdr_parse(&h, buf, len - 12, 8), -EBADMSG); /* no version at all */
}
END_TEST

/* The Retry packet of RFC 9001 §A.4. */
START_TEST(test_retry)
{
	static const uint8_t wire[] = {0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x08, 0xf0, 0x67,
				       0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5, 0x74, 0x6f, 0x6b,
				       0x65, 0x6e, 0x04, 0xa2, 0x65, 0xba, 0x2e, 0xff, 0x4d,
				       0x82, 0x90, 0x58, 0xfb, 0x3f, 0x0f, 0x24, 0x96, 0xba};
	static const struct qb_cid retry_scid = {8,
						 {0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5}};
	uint8_t buf[64];
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));
	struct qb_hdr h;

	ck_assert_int_eq(qb_hdr_parse(&h, wire, sizeof(wire), 8), 0);
	ck_assert_int_eq(h.type, QB_PKT_RETRY);
	ck_assert_uint_eq(h.dcid.len, 0);
	ck_assert(qb_cid_is(&retry_scid, h.scid));
	ck_assert_uint_eq(h.token.len, 5);
	ck_assert_mem_eq(h.token.p, "token", 5);
	ck_assert_ptr_eq(h.retry_tag, wire + sizeof(wire) - 16);
	ck_assert_uint_eq(h.pkt_len, sizeof(wire));
	qb_retry_build(&w, QB_QUIC_V1, 0x0f, &no_cid, &retry_scid, h.token);
	ck_assert_uint_eq((size_t)(w.p - buf), sizeof(wire) - 16);
	ck_assert_mem_eq(buf, wire, sizeof(wire) - 16);
	ck_assert_int_eq(qb_hdr_parse(&h, wire, 15 + 15, 8), -EBADMSG);

	w = qb_wr_init(buf, sizeof(buf));
	qb_retry_build(&w, QB_QUIC_V2, 0, &dcid, &scid, (struct qb_bytes){token, sizeof(token)});
	ck_assert_uint_eq(buf[0], 0xc0);
	memset(w.p, 0, 16);
	ck_assert_int_eq(qb_hdr_parse(&h, buf, (size_t)(w.p - buf) + 16, 8), 0);
	ck_assert_int_eq(h.type, QB_PKT_RETRY);
	ck_assert_uint_eq(h.token.len, sizeof(token));
}
END_TEST

START_TEST(test_other_versions_and_long_cids)
{
	uint8_t buf[128] = {0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 30};
	struct qb_hdr h;

	buf[36] = 40; /* scid length */
	ck_assert_int_eq(qb_hdr_parse(&h, buf, sizeof(buf), 8), 0);
	ck_assert_int_eq(h.type, QB_PKT_OTHER_VERSION);
	ck_assert_uint_eq(h.version, 0x1a2a3a4a);
	ck_assert_uint_eq(h.dcid.len, 30);
	ck_assert_uint_eq(h.scid.len, 40);
	ck_assert_int_eq(qb_hdr_parse(&h, buf, 5 + 1 + 30 + 1 + 39, 8), -EBADMSG);
	/* v1 has no such connection IDs. */
	qb_store_be32(buf + 1, QB_QUIC_V1);
	ck_assert_int_eq(qb_hdr_parse(&h, buf, sizeof(buf), 8), -EBADMSG);
}
END_TEST

START_TEST(test_bad_lengths)
{
	uint8_t buf[256];
	size_t len = build_long(buf, sizeof(buf), 2, &scid, 0);
	struct qb_hdr h;
	uint8_t *length_at = buf + 1 + 4 + 1 + 8 + 1 + 5;

	ck_assert_int_eq(qb_hdr_parse(&h, buf, len, 8), 0);
	qb_hdr_set_length(length_at, 33); /* one byte more than there is */
	ck_assert_int_eq(qb_hdr_parse(&h, buf, len, 8), -EBADMSG);
	qb_hdr_set_length(length_at, 20); /* just room for the sample */
	ck_assert_int_eq(qb_hdr_parse(&h, buf, len, 8), 0);
	qb_hdr_set_length(length_at, 19);
	ck_assert_int_eq(qb_hdr_parse(&h, buf, len, 8), -EBADMSG);
}
END_TEST

START_TEST(test_dcid)
{
	uint8_t buf[256];
	size_t len = build_long(buf, sizeof(buf), 0, &scid, 0);
	struct qb_bytes id;

	ck_assert_int_eq(qb_hdr_dcid(buf, len, 10, &id), 0);
	ck_assert(qb_cid_is(&dcid, id));
	ck_assert_int_eq(qb_hdr_dcid(buf, 13, 10, &id), -EBADMSG);
	buf[0] = 0x40;
	ck_assert_int_eq(qb_hdr_dcid(buf, 11, 10, &id), 0);
	ck_assert_uint_eq(id.len, 10);
	ck_assert_ptr_eq(id.p, buf + 1);
	ck_assert_int_eq(qb_hdr_dcid(buf, 10, 10, &id), -EBADMSG);
	ck_assert_int_eq(qb_hdr_dcid(buf, 0, 10, &id), -EBADMSG);
}
END_TEST

static const struct {
	uint64_t pn, largest_acked;
	uint8_t len;
} pn_lens[] = {
	{0xac5c02, 0xabe8b3, 2}, {0xace8fe, 0xabe8b3, 3},   {0, QB_PN_NONE, 1},
	{127, QB_PN_NONE, 1},	 {128, QB_PN_NONE, 2},	    {0x7fff, QB_PN_NONE, 2},
	{0x8000, QB_PN_NONE, 3}, {0x7fffff, QB_PN_NONE, 3}, {0x800000, QB_PN_NONE, 4},
	{1001, 1000, 1},	 {1128, 1000, 1},	    {1129, 1000, 2},
};

START_TEST(test_pn_len)
{
	ck_assert_uint_eq(qb_pn_len(pn_lens[_i].pn, pn_lens[_i].largest_acked), pn_lens[_i].len);
}
END_TEST

static const struct {
	uint64_t expected;
	uint32_t truncated;
	uint8_t len;
	uint64_t pn;
} pn_decodes[] = {
	{0xa82f30eb, 0x9b32, 2, 0xa82f9b32}, /* RFC 9000 §A.3 */
	{0, 0, 1, 0},
	{0, 255, 1, 255},
	{256, 255, 1, 255},
	{256, 0, 1, 256},
	{200, 10, 1, 266},
	{384, 0, 1, 512},
	{383, 0, 1, 256},
	{256, 128, 1, 384},
	{256, 129, 1, 129},
	{300, 200, 1, 200},
	{QB_PN_MAX, 0xff, 1, QB_PN_MAX},
	{QB_PN_MAX, 0x00, 1, QB_PN_MAX - 0xff},
};

START_TEST(test_pn_decode)
{
	ck_assert_uint_eq(
		qb_pn_decode(pn_decodes[_i].expected, pn_decodes[_i].truncated, pn_decodes[_i].len),
		pn_decodes[_i].pn);
}
END_TEST

/* Whatever the sender's rule makes short, the receiver restores, wherever it stands meanwhile. */
START_TEST(test_pn_round_trip)
{
	for (uint64_t acked = 1000; acked < UINT64_C(1) << 40; acked = acked * 7 + 3) {
		for (uint64_t step = 1; step < UINT64_C(1) << 31; step *= 3) {
			uint64_t pn = acked + step;
			uint8_t len = qb_pn_len(pn, acked), buf[4];

			qb_pn_write(buf, pn, len);
			REQUIRE(qb_pn_decode(acked + 1, qb_pn_read(buf, len), len) == pn);
			REQUIRE(qb_pn_decode(pn, qb_pn_read(buf, len), len) == pn);
			REQUIRE(qb_pn_decode(pn + step / 2, qb_pn_read(buf, len), len) == pn);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire/header");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_long, 0, QB_ARRAY_LEN(long_types));
	tcase_add_test(tc, test_long_overrun);
	tcase_add_test(tc, test_short);
	tcase_add_test(tc, test_version_negotiation);
	tcase_add_test(tc, test_retry);
	tcase_add_test(tc, test_other_versions_and_long_cids);
	tcase_add_test(tc, test_bad_lengths);
	tcase_add_test(tc, test_dcid);
	tcase_add_loop_test(tc, test_pn_len, 0, QB_ARRAY_LEN(pn_lens));
	tcase_add_loop_test(tc, test_pn_decode, 0, QB_ARRAY_LEN(pn_decodes));
	tcase_add_test(tc, test_pn_round_trip);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
