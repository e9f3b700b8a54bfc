/* SPDX-License-Identifier: BSD-2-Clause */
/* Transport parameters: round trips for both roles, each limit from both sides, duplicates, what is
 * mandatory. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "wire/tparam.h"

static const struct qb_cid cid = {4, {1, 2, 3, 4}};

static struct qb_tparams full(void)
{
	struct qb_tparams tp;

	qb_tparams_init(&tp);
	tp.has_original_dcid = tp.has_initial_scid = tp.has_retry_scid = tp.has_reset_token = true;
	tp.has_preferred_addr = tp.has_version_info = tp.has_min_ack_delay = true;
	for (size_t i = 0; i < QB_MP_DIALECT_CNT; i++) {
		tp.has_max_path_id[i] = true;
		tp.max_path_id[i] = UINT32_MAX - i;
	}
	tp.disable_active_migration = tp.grease_quic_bit = tp.reset_stream_at = true;
	tp.original_dcid = tp.initial_scid = tp.retry_scid = cid;
	memset(tp.reset_token, 0xee, sizeof(tp.reset_token));
	tp.preferred_addr = (struct qb_preferred_addr){
		.ipv4 = {192, 0, 2, 1}, .port4 = 443, .ipv6 = {0x20, 1}, .port6 = 8443, .cid = cid};
	tp.max_idle_timeout_ms = 30000;
	tp.max_udp_payload_bytes = 1472;
	tp.max_data = 1 << 20;
	tp.max_stream_data_bidi_local = 1;
	tp.max_stream_data_bidi_remote = 2;
	tp.max_stream_data_uni = 3;
	tp.max_streams_bidi = 100;
	tp.max_streams_uni = QB_STREAMS_LIMIT_MAX;
	tp.ack_delay_exponent = 8;
	tp.max_ack_delay_ms = 16383;
	tp.cid_limit = 8;
	tp.max_datagram_frame_bytes = 65535;
	tp.min_ack_delay_us = 1000;
	tp.has_address_discovery = true;
	tp.address_discovery = QB_ADDRESS_BOTH;
	tp.has_rx_timestamps = true;
	tp.rx_timestamps_max = 8;
	tp.rx_timestamps_exponent = 3;
	tp.version_info = (struct qb_version_info){QB_QUIC_V1, 2, {QB_QUIC_V2, QB_QUIC_V1}};
	return tp;
}

static size_t build(uint8_t *buf, size_t cap, const struct qb_tparams *tp, bool is_client,
		    uint64_t grease)
{
	struct qb_wr w = qb_wr_init(buf, cap);

	qb_tparams_build(&w, tp, is_client, grease);
	ck_assert(!w.bad);
	return (size_t)(w.p - buf);
}

START_TEST(test_server_round_trip)
{
	struct qb_tparams tp = full(), got;
	uint8_t buf[QB_TP_BYTES_MAX], again[QB_TP_BYTES_MAX];
	struct qb_fault fault;
	size_t len = build(buf, sizeof(buf), &tp, false, 0);

	ck_assert_int_eq(qb_tparams_parse(&got, buf, len, false, &fault), 0);
	ck_assert_uint_eq(build(again, sizeof(again), &got, false, 0), len);
	ck_assert_mem_eq(buf, again, len);
	ck_assert(got.has_preferred_addr && qb_cid_eq(&got.preferred_addr.cid, &cid));
	ck_assert_uint_eq(got.preferred_addr.port6, 8443);
	ck_assert(qb_cid_eq(&got.retry_scid, &cid));
	for (size_t i = 0; i < QB_MP_DIALECT_CNT; i++)
		ck_assert_uint_eq(got.max_path_id[i], UINT32_MAX - i);
	ck_assert_uint_eq(got.version_info.available[0], QB_QUIC_V2);
	ck_assert_uint_eq(got.max_stream_data_uni, 3);
	/* A client may send none of the server's. */
	ck_assert_int_eq(qb_tparams_parse(&got, buf, len, true, &fault), -EBADMSG);
	ck_assert_uint_eq(fault.code, QB_QUIC_TRANSPORT_PARAMETER_ERROR);
}
END_TEST

START_TEST(test_client_round_trip)
{
	struct qb_tparams tp = full(), got;
	uint8_t buf[QB_TP_BYTES_MAX];
	struct qb_fault fault;
	size_t len = build(buf, sizeof(buf), &tp, true, UINT64_C(0x123456789abcdef3));

	ck_assert_int_eq(qb_tparams_parse(&got, buf, len, true, &fault), 0);
	ck_assert(!got.has_original_dcid && !got.has_retry_scid && !got.has_reset_token);
	ck_assert(!got.has_preferred_addr);
	ck_assert(got.has_initial_scid && got.grease_quic_bit && got.reset_stream_at);
	ck_assert_uint_eq(got.max_ack_delay_ms, 16383);
	/* Every truncation is an error, or leaves out what is mandatory or a whole parameter. */
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);

		memcpy(exact, buf, cut);
		if (qb_tparams_parse(&got, exact, cut, true, &fault) == 0)
			ck_assert(got.has_initial_scid);
		free(exact);
	}
}
END_TEST

START_TEST(test_defaults)
{
	static const uint8_t wire[] = {0x0f, 0};
	struct qb_fault fault;
	struct qb_tparams tp;
	uint8_t buf[16];

	ck_assert_int_eq(qb_tparams_parse(&tp, wire, sizeof(wire), true, &fault), 0);
	ck_assert_uint_eq(tp.max_udp_payload_bytes, 65527);
	ck_assert_uint_eq(tp.ack_delay_exponent, 3);
	ck_assert_uint_eq(tp.max_ack_delay_ms, 25);
	ck_assert_uint_eq(tp.cid_limit, 2);
	ck_assert_uint_eq(tp.max_data, 0);
	for (size_t i = 0; i < QB_MP_DIALECT_CNT; i++)
		ck_assert(!tp.has_max_path_id[i]);
	ck_assert(!tp.has_min_ack_delay && !tp.grease_quic_bit);
	ck_assert_uint_eq(build(buf, sizeof(buf), &tp, true, 0), sizeof(wire));
}
END_TEST

START_TEST(test_grease_is_reserved)
{
	struct qb_tparams tp;
	uint64_t grease = UINT64_C(0x9e3779b97f4a7c15);

	qb_tparams_init(&tp);
	for (int i = 0; i < 1000; i++, grease = grease * 6364136223846793005u + 1) {
		uint8_t buf[32];
		struct qb_rd rd = qb_rd_init(buf, build(buf, sizeof(buf), &tp, true, grease | 1));

		ck_assert_uint_eq(qb_rd_varint(&rd) % 31, 27);
		qb_rd_bytes(&rd, qb_rd_varint(&rd));
		ck_assert(!rd.bad && qb_rd_left(&rd) == 0);
	}
}
END_TEST

/* A client's parameters: initial_source_connection_id and one more. */
/* clang-format off */
static const struct {
	const char *name;
	bool is_ok;
	uint8_t len;
	uint8_t wire[48];
} limits[] = {
	{"max_udp_payload_size 1200", true, 4, {0x03, 2, 0x44, 0xb0}},
	{"max_udp_payload_size 1199", false, 4, {0x03, 2, 0x44, 0xaf}},
	{"max_udp_payload_size 65528", true, 6, {0x03, 4, 0x80, 0, 0xff, 0xf8}},
	{"initial_max_streams_bidi 2^60", true, 10, {0x08, 8, 0xd0, 0, 0, 0, 0, 0, 0, 0}},
	{"initial_max_streams_bidi 2^60+1", false, 10, {0x08, 8, 0xd0, 0, 0, 0, 0, 0, 0, 1}},
	{"initial_max_streams_uni 2^60+1", false, 10, {0x09, 8, 0xd0, 0, 0, 0, 0, 0, 0, 1}},
	{"ack_delay_exponent 20", true, 3, {0x0a, 1, 20}},
	{"ack_delay_exponent 21", false, 3, {0x0a, 1, 21}},
	{"max_ack_delay 16383", true, 4, {0x0b, 2, 0x7f, 0xff}},
	{"max_ack_delay 16384", false, 6, {0x0b, 4, 0x80, 0, 0x40, 0}},
	{"active_connection_id_limit 2", true, 3, {0x0e, 1, 2}},
	{"active_connection_id_limit 1", false, 3, {0x0e, 1, 1}},
	{"initial_max_path_id 2^32-1", true, 10, {0x3e, 8, 0xc0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}},
	{"initial_max_path_id 2^32", false, 10, {0x3e, 8, 0xc0, 0, 0, 1, 0, 0, 0, 0}},
	{"that of draft -15", true, 10, {0xcf, 0x73, 0x9b, 0xbc, 0x1b, 0x66, 0x6d, 0x0d, 1, 2}},
	{"that of draft -10", true, 10, {0xcf, 0x73, 0x9b, 0xbc, 0x1b, 0x66, 0x6d, 0x09, 1, 2}},
	{"that of draft -10, empty", false, 9, {0xcf, 0x73, 0x9b, 0xbc, 0x1b, 0x66, 0x6d, 0x09, 0}},
	{"disable_active_migration", true, 2, {0x0c, 0}},
	{"disable_active_migration with a value", false, 3, {0x0c, 1, 0}},
	{"grease_quic_bit with a value", false, 4, {0x6a, 0xb2, 1, 0}},
	{"reset_stream_at with a value", false, 3, {0x1d, 1, 0}},
	{"varint longer than the parameter", false, 3, {0x04, 1, 0x40}},
	{"varint shorter than the parameter", false, 4, {0x04, 2, 1, 0}},
	{"empty varint", false, 2, {0x04, 0}},
	{"value cut short", false, 3, {0x04, 2, 0x40}},
	{"no length", false, 1, {0x04}},
	{"duplicate", false, 6, {0x04, 1, 1, 0x04, 1, 1}},
	{"unknown", true, 5, {0x21, 3, 1, 2, 3}},
	{"unknown, huge", true, 9, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}},
	{"min_ack_delay 25 ms", true, 13, {0xc0, 0, 0, 0, 0xff, 0x04, 0xde, 0x1b, 4, 0x80, 0, 0x61, 0xa8}},
	{"min_ack_delay above max_ack_delay", false, 13,
		{0xc0, 0, 0, 0, 0xff, 0x04, 0xde, 0x1b, 4, 0x80, 0, 0x61, 0xa9}},
	{"address_discovery 2", true, 10, {0xc0, 0, 0, 0, 0x9f, 0x81, 0xa1, 0x76, 1, 2}},
	{"address_discovery 3", false, 10, {0xc0, 0, 0, 0, 0x9f, 0x81, 0xa1, 0x76, 1, 3}},
	{"receive_timestamps_exponent 20", true, 6, {0x80, 0x04, 0xac, 0x26, 1, 20}},
	{"receive_timestamps_exponent 21", false, 6, {0x80, 0x04, 0xac, 0x26, 1, 21}},
	{"version_information", true, 14, {0x11, 12, 0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf, 0, 0, 0, 1}},
	{"version_information, choice not offered", false, 10, {0x11, 8, 0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf}},
	{"version_information, nothing offered", false, 6, {0x11, 4, 0, 0, 0, 1}},
	{"version_information, zero chosen", false, 10, {0x11, 8, 0, 0, 0, 0, 0, 0, 0, 0}},
	{"version_information, zero offered", false, 14, {0x11, 12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0}},
	{"version_information, not x4", false, 13, {0x11, 11, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}},
	{"version_information, empty", false, 2, {0x11, 0}},
	{"second initial_source_connection_id", false, 2, {0x0f, 0}},
	{"client: original_destination_connection_id", false, 2, {0x00, 0}},
	{"client: stateless_reset_token", false, 18, {0x02, 16}},
	{"client: preferred_address", false, 43, {0x0d, 41}},
	{"client: retry_source_connection_id", false, 2, {0x10, 0}},
};
/* clang-format on */

START_TEST(test_limits)
{
	uint8_t buf[64] = {0x0f, 1, 0x77};
	struct qb_fault fault = {0};
	struct qb_tparams tp;
	int rc;

	memcpy(buf + 3, limits[_i].wire, limits[_i].len);
	rc = qb_tparams_parse(&tp, buf, 3u + limits[_i].len, true, &fault);
	ck_assert_msg((rc == 0) == limits[_i].is_ok, "%s: %d", limits[_i].name, rc);
	if (rc) {
		ck_assert_int_eq(rc, -EBADMSG);
		ck_assert_uint_eq(fault.code, QB_QUIC_TRANSPORT_PARAMETER_ERROR);
		ck_assert_ptr_nonnull(fault.why);
	}
}
END_TEST

START_TEST(test_server_values)
{
	struct qb_tparams tp = full(), got;
	uint8_t buf[QB_TP_BYTES_MAX];
	struct qb_fault fault;
	size_t len;

	tp.has_original_dcid = false;
	len = build(buf, sizeof(buf), &tp, false, 0);
	ck_assert_int_eq(qb_tparams_parse(&got, buf, len, false, &fault), -EBADMSG);
	ck_assert_str_eq(fault.why, "original_destination_connection_id missing");
	tp = full();
	tp.has_initial_scid = false;
	len = build(buf, sizeof(buf), &tp, false, 0);
	ck_assert_int_eq(qb_tparams_parse(&got, buf, len, false, &fault), -EBADMSG);
	ck_assert_str_eq(fault.why, "initial_source_connection_id missing");
	tp = full();
	tp.preferred_addr.cid.len = 0;
	len = build(buf, sizeof(buf), &tp, false, 0);
	ck_assert_int_eq(qb_tparams_parse(&got, buf, len, false, &fault), -EBADMSG);
	ck_assert_str_eq(fault.why, "preferred_address");
	tp = full();
	tp.version_info.available_cnt = 0; /* a server may offer nothing else */
	len = build(buf, sizeof(buf), &tp, false, 0);
	ck_assert_int_eq(qb_tparams_parse(&got, buf, len, false, &fault), 0);
	/* Token and connection IDs of a wrong length. */
	ck_assert_int_eq(qb_tparams_parse(&got, (const uint8_t[]){0x02, 1, 0}, 3, false, &fault),
			 -EBADMSG);
	ck_assert_str_eq(fault.why, "stateless_reset_token");
	memset(buf, 0, 23);
	buf[1] = 21;
	ck_assert_int_eq(qb_tparams_parse(&got, buf, 23, false, &fault), -EBADMSG);
	ck_assert_str_eq(fault.why, "original_destination_connection_id");
}
END_TEST

START_TEST(test_build_bounds)
{
	struct qb_tparams tp = full();
	uint8_t buf[QB_TP_BYTES_MAX];
	size_t len = build(buf, sizeof(buf), &tp, false, 3);

	for (size_t cap = 0; cap < len; cap++) {
		struct qb_wr w = qb_wr_init(buf, cap);

		qb_tparams_build(&w, &tp, false, 3);
		ck_assert(w.bad);
		ck_assert(w.p <= w.end);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire/tparam");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, test_server_round_trip);
	tcase_add_test(tc, test_client_round_trip);
	tcase_add_test(tc, test_defaults);
	tcase_add_test(tc, test_grease_is_reserved);
	tcase_add_loop_test(tc, test_limits, 0, QB_ARRAY_LEN(limits));
	tcase_add_test(tc, test_server_values);
	tcase_add_test(tc, test_build_bounds);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
