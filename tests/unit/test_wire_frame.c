/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames: each one there and back, each truncation refused, what the standards forbid, the table of
 * rules, ACK ranges.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "wire/frame.h"

static const uint8_t blob[] = "sixteen bytes 16";
#define BLOB(n)                                                                                    \
	{                                                                                          \
		blob, n                                                                            \
	}
#define CID5                                                                                       \
	{                                                                                          \
		5,                                                                                 \
		{                                                                                  \
			9, 8, 7, 6, 5                                                              \
		}                                                                                  \
	}

/* clang-format off */
static const struct {
	struct qb_frame f;
	size_t len; /* on the wire */
} frames[] = {
	{{.type = QB_FRAME_PADDING, .padding = {7}}, 7},
	{{.type = QB_FRAME_PING}, 1},
	{{.type = QB_FRAME_ACK, .ack = {.largest = 1000, .delay = 5, .first_range = 10}}, 1 + 2 + 1 + 1 + 1},
	{{.type = QB_FRAME_ACK_ECN, .ack = {.largest = 9, .first_range = 9, .ect0 = 1, .ect1 = 2, .ce = 300}}, 9},
	{{.type = QB_FRAME_RESET_STREAM, .reset_stream = {.id = 4, .error_code = 0x10c, .final_size = 70000}}, 8},
	{{.type = QB_FRAME_STOP_SENDING, .stop_sending = {.id = 8, .error_code = 3}}, 3},
	{{.type = QB_FRAME_CRYPTO, .crypto = {.off = 100, .data = BLOB(16)}}, 1 + 2 + 1 + 16},
	{{.type = QB_FRAME_NEW_TOKEN, .new_token = BLOB(9)}, 11},
	{{.type = QB_FRAME_STREAM, .stream = {.id = 3, .data = BLOB(4)}}, 1 + 1 + 1 + 4},
	{{.type = QB_FRAME_STREAM, .stream = {.id = 3, .off = 64, .data = BLOB(4)}}, 1 + 1 + 2 + 1 + 4},
	{{.type = QB_FRAME_STREAM, .stream = {.id = 3, .off = 64, .is_fin = true}}, 1 + 1 + 2 + 1},
	{{.type = QB_FRAME_MAX_DATA, .limit = {.max = QB_VARINT_MAX}}, 9},
	{{.type = QB_FRAME_MAX_STREAM_DATA, .limit = {.stream_id = 5, .max = 1 << 20}}, 6},
	{{.type = QB_FRAME_MAX_STREAMS_BIDI, .limit = {.max = QB_STREAMS_LIMIT_MAX}}, 9},
	{{.type = QB_FRAME_MAX_STREAMS_UNI, .limit = {.max = 3}}, 2},
	{{.type = QB_FRAME_DATA_BLOCKED, .limit = {.max = 3}}, 2},
	{{.type = QB_FRAME_STREAM_DATA_BLOCKED, .limit = {.stream_id = 7, .max = 3}}, 3},
	{{.type = QB_FRAME_STREAMS_BLOCKED_BIDI, .limit = {.max = 3}}, 2},
	{{.type = QB_FRAME_STREAMS_BLOCKED_UNI, .limit = {.max = 3}}, 2},
	{{.type = QB_FRAME_NEW_CONNECTION_ID, .new_cid = {.seq = 7, .retire_prior_to = 7, .cid = CID5,
		.reset_token = blob}}, 1 + 1 + 1 + 1 + 5 + 16},
	{{.type = QB_FRAME_RETIRE_CONNECTION_ID, .retire_cid = {.seq = 7}}, 2},
	{{.type = QB_FRAME_PATH_CHALLENGE, .path_challenge = {1, 2, 3, 4, 5, 6, 7, 8}}, 9},
	{{.type = QB_FRAME_PATH_RESPONSE, .path_challenge = {1, 2, 3, 4, 5, 6, 7, 8}}, 9},
	{{.type = QB_FRAME_CONNECTION_CLOSE, .close = {.error_code = 7, .frame_type = 0x18, .reason = BLOB(7)}}, 11},
	{{.type = QB_FRAME_CONNECTION_CLOSE_APP, .close = {.error_code = 0x100, .reason = {blob, 0}}}, 4},
	{{.type = QB_FRAME_HANDSHAKE_DONE}, 1},
	{{.type = QB_FRAME_IMMEDIATE_ACK}, 1},
	{{.type = QB_FRAME_RESET_STREAM_AT, .reset_stream = {.id = 4, .error_code = 1, .final_size = 9,
		.reliable_size = 9}}, 5},
	{{.type = QB_FRAME_DATAGRAM, .datagram = BLOB(16)}, 17},
	{{.type = QB_FRAME_DATAGRAM_LEN, .datagram = BLOB(16)}, 18},
	{{.type = QB_FRAME_PATH_ACK, .ack = {.path_id = 2, .largest = 7, .first_range = 7}}, 6},
	{{.type = QB_FRAME_PATH_ACK_ECN, .ack = {.path_id = 2, .largest = 7, .ce = 1}}, 9},
	{{.type = QB_FRAME_OBSERVED_ADDRESS4, .observed = {.seq = 9, .ip = {192, 0, 2, 1}, .port = 443}}, 4 + 1 + 4 + 2},
	{{.type = QB_FRAME_OBSERVED_ADDRESS6, .observed = {.seq = 70, .ip = {0x20, 1, [15] = 7}, .port = 9}}, 4 + 2 + 16 + 2},
	{{.type = QB_FRAME_ACK_TS, .ack = {.largest = 7, .first_range = 7}}, 4 + 4 + 1},
	{{.type = QB_FRAME_ACK_TS, .ack = {.largest = 7, .first_range = 7, .has_ts = true, .ts_pn = 5, .ts = 70000}},
		4 + 4 + 1 + 2 + 4},
	{{.type = QB_FRAME_ACK_TS_ECN, .ack = {.largest = 7, .ce = 1, .has_ts = true, .ts_pn = 7}}, 4 + 4 + 3 + 1 + 2 + 1},
	{{.type = QB_FRAME_PATH_ACK_TS, .ack = {.path_id = 2, .largest = 70, .has_ts = true, .ts_pn = 0, .ts = 9}},
		4 + 1 + 2 + 3 + 1 + 2 + 1 + 1},
	{{.type = QB_FRAME_PATH_ACK_TS_ECN, .ack = {.path_id = 2, .largest = 7, .ect0 = 1, .has_ts = true, .ts_pn = 7,
		.ts = 1}}, 4 + 5 + 3 + 1 + 2 + 1},
	{{.type = QB_FRAME_ACK_FREQUENCY, .ack_frequency = {.seq = 1, .eliciting_threshold = 10,
		.max_ack_delay_us = 25000, .reordering_threshold = 3}}, 2 + 1 + 1 + 4 + 1},
	{{.type = QB_FRAME_PATH_ABANDON, .path_abandon = {.path_id = 1, .error_code = 0x3e}}, 4},
	{{.type = QB_FRAME_PATH_STATUS_BACKUP, .path_status = {.path_id = 1, .seq = 2}}, 4},
	{{.type = QB_FRAME_PATH_STATUS_AVAILABLE, .path_status = {.path_id = 1, .seq = 3}}, 4},
	{{.type = QB_FRAME_PATH_NEW_CONNECTION_ID, .new_cid = {.path_id = 3, .seq = 7, .retire_prior_to = 1,
		.cid = CID5, .reset_token = blob}}, 2 + 1 + 1 + 1 + 1 + 5 + 16},
	{{.type = QB_FRAME_PATH_RETIRE_CONNECTION_ID, .retire_cid = {.path_id = 3, .seq = 7}}, 4},
	{{.type = QB_FRAME_MAX_PATH_ID, .max_path_id = {.max = UINT32_MAX}}, 10},
	{{.type = QB_FRAME_PATHS_BLOCKED, .max_path_id = {.max = 4}}, 3},
	{{.type = QB_FRAME_PATH_CIDS_BLOCKED, .path_cids_blocked = {.path_id = 4, .next_seq = 9}}, 4},
};
/* clang-format on */

static size_t build(uint8_t *buf, size_t cap, const struct qb_frame *f)
{
	struct qb_wr w = qb_wr_init(buf, cap);

	qb_frame_build(&w, f);
	ck_assert(!w.bad);
	return (size_t)(w.p - buf);
}

/* A frame that runs to the end of the packet cannot be cut short. */
static bool has_no_end(const struct qb_frame *f)
{
	return f->type == QB_FRAME_DATAGRAM || f->type == QB_FRAME_PADDING;
}

START_TEST(test_round_trip)
{
	const struct qb_frame *f = &frames[_i].f;
	uint8_t buf[64], again[64];
	struct qb_fault fault;
	struct qb_frame got;
	size_t len = build(buf, sizeof(buf), f);

	ck_assert_uint_eq(len, frames[_i].len);
	ck_assert_int_eq(qb_frame_parse(&got, buf, len, QB_PKT_1RTT, &fault), (int)len);
	ck_assert_uint_eq(got.type, f->type);
	ck_assert_uint_eq(build(again, sizeof(again), &got), len);
	ck_assert_mem_eq(buf, again, len);
	/* What follows is left alone. */
	buf[len] = QB_FRAME_PING;
	if (!has_no_end(f))
		ck_assert_int_eq(qb_frame_parse(&got, buf, len + 1, QB_PKT_1RTT, &fault), (int)len);
}
END_TEST

START_TEST(test_truncations)
{
	const struct qb_frame *f = &frames[_i].f;
	uint8_t buf[64];
	struct qb_fault fault;
	struct qb_frame got;
	size_t len = build(buf, sizeof(buf), f);

	if (has_no_end(f))
		return;
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *exact =
			malloc(cut ? cut : 1); /* so that a sanitizer sees a byte too many */

		memcpy(exact, buf, cut);
		fault.code = 0;
		ck_assert_int_eq(qb_frame_parse(&got, exact, cut, QB_PKT_1RTT, &fault), -EBADMSG);
		ck_assert_uint_eq(fault.code, QB_QUIC_FRAME_ENCODING_ERROR);
		ck_assert_ptr_nonnull(fault.why);
		free(exact);
	}
}
END_TEST

START_TEST(test_build_bounds)
{
	for (size_t cap = 0; cap < frames[_i].len; cap++) {
		uint8_t buf[64];
		struct qb_wr w = qb_wr_init(buf, cap);

		memset(buf, 0xa5, sizeof(buf));
		ck_assert(!qb_frame_try(&w, &frames[_i].f));
		ck_assert(!w.bad);
		ck_assert_ptr_eq(w.p, buf);
		qb_frame_build(&w, &frames[_i].f);
		ck_assert(w.bad);
		ck_assert_ptr_eq(w.p, buf);
		for (size_t i = cap; i < sizeof(buf); i++)
			ck_assert_uint_eq(buf[i], 0xa5);
	}
}
END_TEST

/* Fields land where they belong: one frame with a distinct value in every field. */
START_TEST(test_fields)
{
	static const uint8_t wire[] = {0x7e, 0x78, 1, 2, 1, 3, 'a', 'b', 'c', 0,  1,  2, 3,
				       4,    5,	   6, 7, 8, 9, 10,  11,	 12,  13, 14, 15};
	struct qb_fault fault;
	struct qb_frame f;

	ck_assert_int_eq(qb_frame_parse(&f, wire, sizeof(wire), QB_PKT_1RTT, &fault), sizeof(wire));
	ck_assert_uint_eq(f.type, QB_FRAME_PATH_NEW_CONNECTION_ID);
	ck_assert_uint_eq(f.new_cid.path_id, 1);
	ck_assert_uint_eq(f.new_cid.seq, 2);
	ck_assert_uint_eq(f.new_cid.retire_prior_to, 1);
	ck_assert_uint_eq(f.new_cid.cid.len, 3);
	ck_assert_mem_eq(f.new_cid.cid.id, "abc", 3);
	ck_assert_ptr_eq(f.new_cid.reset_token, wire + 9);
}
END_TEST

START_TEST(test_stream_forms)
{
	/* type, id, [off], [len], data: all eight of them carry "hi" at offset 0 or 9. */
	for (uint8_t bits = 0; bits < 8; bits++) {
		uint8_t buf[8], n = 0;
		struct qb_fault fault;
		struct qb_frame f;

		buf[n++] = QB_FRAME_STREAM | bits;
		buf[n++] = 6;
		if (bits & 4)
			buf[n++] = 9;
		if (bits & 2)
			buf[n++] = 2;
		buf[n++] = 'h';
		buf[n++] = 'i';
		ck_assert_int_eq(qb_frame_parse(&f, buf, n, QB_PKT_0RTT, &fault), n);
		ck_assert_uint_eq(f.type, QB_FRAME_STREAM);
		ck_assert_uint_eq(f.stream.id, 6);
		ck_assert_uint_eq(f.stream.off, bits & 4 ? 9 : 0);
		ck_assert_int_eq(f.stream.is_fin, bits & 1);
		ck_assert_uint_eq(f.stream.data.len, 2);
		ck_assert_mem_eq(f.stream.data.p, "hi", 2);
	}
}
END_TEST

#define BIG 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff

/* clang-format off */
static const struct {
	const char *what;
	enum qb_pkt_type pkt;
	uint64_t code;
	uint8_t len;
	uint8_t wire[40];
} wrong[] = {
	{"unknown type", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 1, {0x20}},
	{"unknown long type", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 2, {0x7e, 0x7d}},
	{"PING in two bytes", QB_PKT_1RTT, QB_QUIC_PROTOCOL_VIOLATION, 2, {0x40, 0x01}},
	{"PATH_ACK in four bytes", QB_PKT_1RTT, QB_QUIC_PROTOCOL_VIOLATION, 8, {0x80, 0, 0, 0x3e, 0, 0, 0, 0}},
	{"first ACK range below zero", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 5, {2, 5, 0, 0, 6}},
	{"gap below zero", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 7, {2, 5, 0, 1, 2, 2, 0}},
	{"range below zero", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 7, {2, 5, 0, 1, 2, 0, 2}},
	{"huge gap", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 14, {2, 5, 0, 1, 2, BIG, 0}},
	{"huge range", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 14, {2, 5, 0, 1, 2, 0, BIG}},
	{"ACK range count", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 14, {2, 5, 0, BIG, 0, 0, 0}},
	{"STREAM beyond 2^62-1", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 11, {0x0c, 0, BIG, 'x'}},
	{"CRYPTO beyond 2^62-1", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 11, {0x06, BIG, 1, 'x'}},
	{"huge CRYPTO length", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 10, {0x06, 0, BIG}},
	{"huge STREAM length", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 10, {0x0a, 0, BIG}},
	{"empty token", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 2, {0x07, 0}},
	{"MAX_STREAMS above 2^60", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 9,
		{0x12, 0xd0, 0, 0, 0, 0, 0, 0, 1}},
	{"STREAMS_BLOCKED above 2^60", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 9,
		{0x17, 0xd0, 0, 0, 0, 0, 0, 0, 1}},
	{"empty connection ID", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 20, {0x18, 1, 0, 0}},
	{"connection ID of 21", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 40, {0x18, 1, 0, 21}},
	{"retire prior to > seq", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 40, {0x18, 1, 2, 8}},
	{"reliable > final", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 5, {0x24, 0, 0, 4, 5}},
	{"path ID 2^32", QB_PKT_1RTT, QB_QUIC_PROTOCOL_VIOLATION, 10, {0x7e, 0x7a, 0xc0, 0, 0, 1, 0, 0, 0, 0}},
	{"PATHS_BLOCKED 2^32", QB_PKT_1RTT, QB_QUIC_PROTOCOL_VIOLATION, 10,
		{0x7e, 0x7b, 0xc0, 0, 0, 1, 0, 0, 0, 0}},
	{"ACK delay of 2^14 ms", QB_PKT_1RTT, QB_QUIC_PROTOCOL_VIOLATION, 9,
		{0x40, 0xaf, 1, 1, 0x80, 0xfa, 0x00, 0x00, 1}},
	{"ACK in 0-RTT", QB_PKT_0RTT, QB_QUIC_PROTOCOL_VIOLATION, 5, {2, 0, 0, 0, 0}},
	{"CRYPTO in 0-RTT", QB_PKT_0RTT, QB_QUIC_PROTOCOL_VIOLATION, 3, {6, 0, 0}},
	{"NEW_TOKEN in 0-RTT", QB_PKT_0RTT, QB_QUIC_PROTOCOL_VIOLATION, 3, {7, 1, 0}},
	{"PATH_RESPONSE in 0-RTT", QB_PKT_0RTT, QB_QUIC_PROTOCOL_VIOLATION, 9, {0x1b}},
	{"RETIRE_CONNECTION_ID in 0-RTT", QB_PKT_0RTT, QB_QUIC_PROTOCOL_VIOLATION, 2, {0x19}},
	{"HANDSHAKE_DONE in 0-RTT", QB_PKT_0RTT, QB_QUIC_PROTOCOL_VIOLATION, 1, {0x1e}},
	{"STREAM in Initial", QB_PKT_INITIAL, QB_QUIC_PROTOCOL_VIOLATION, 3, {0x08, 0, 0}},
	{"STREAM in Handshake", QB_PKT_HANDSHAKE, QB_QUIC_PROTOCOL_VIOLATION, 3, {0x08, 0, 0}},
	{"application close in Handshake", QB_PKT_HANDSHAKE, QB_QUIC_PROTOCOL_VIOLATION, 3, {0x1d, 0, 0}},
	{"DATAGRAM in Handshake", QB_PKT_HANDSHAKE, QB_QUIC_PROTOCOL_VIOLATION, 1, {0x30}},
	{"timestamp of a packet below zero", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 12,
		{0x83, 0x17, 0x83, 0x07, 5, 0, 0, 5, 1, 6, 1, 9}},
	{"more timestamps than bytes", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 13,
		{0x83, 0x17, 0x83, 0x07, 5, 0, 0, 5, 1, 0, 3, 9, 9}},
	{"timestamp ranges cut short", QB_PKT_1RTT, QB_QUIC_FRAME_ENCODING_ERROR, 12,
		{0x83, 0x17, 0x83, 0x07, 5, 0, 0, 5, 2, 0, 1, 9}},
	{"timestamps in 0-RTT", QB_PKT_0RTT, QB_QUIC_PROTOCOL_VIOLATION, 9, {0x83, 0x17, 0x83, 0x07}},
	{"PATH_ACK in 0-RTT", QB_PKT_0RTT, QB_QUIC_PROTOCOL_VIOLATION, 6, {0x3e}},
	{"PATH_ABANDON in 0-RTT", QB_PKT_0RTT, QB_QUIC_PROTOCOL_VIOLATION, 4, {0x7e, 0x75}},
};
/* clang-format on */

START_TEST(test_wrong)
{
	struct qb_fault fault = {0};
	struct qb_frame f;
	int rc = qb_frame_parse(&f, wrong[_i].wire, wrong[_i].len, wrong[_i].pkt, &fault);

	ck_assert_msg(rc == -EBADMSG, "%s: %d", wrong[_i].what, rc);
	ck_assert_msg(fault.code == wrong[_i].code, "%s: %s, code %#x", wrong[_i].what, fault.why,
		      (unsigned int)fault.code);
}
END_TEST

/* The columns of RFC 9000 table 3 and of the extensions, written down a second time. */
START_TEST(test_rules)
{
	static const struct {
		uint64_t type;
		const char *packets, *name;
		bool elicits, in_flight, probing;
	} rules[] = {
		/* clang-format off */
		{0x00, "IH01", "PADDING", false, true, true}, {0x01, "IH01", "PING", true, true, false},
		{0x02, "IH1", "ACK", false, false, false}, {0x03, "IH1", "ACK_ECN", false, false, false},
		{0x04, "01", "RESET_STREAM", true, true, false}, {0x05, "01", "STOP_SENDING", true, true, false},
		{0x06, "IH1", "CRYPTO", true, true, false}, {0x07, "1", "NEW_TOKEN", true, true, false},
		{0x08, "01", "STREAM", true, true, false}, {0x0f, "01", "STREAM", true, true, false},
		{0x18, "01", "NEW_CONNECTION_ID", true, true, true},
		{0x19, "1", "RETIRE_CONNECTION_ID", true, true, false},
		{0x1a, "01", "PATH_CHALLENGE", true, true, true}, {0x1b, "1", "PATH_RESPONSE", true, true, true},
		{0x1c, "IH01", "CONNECTION_CLOSE", false, false, false},
		{0x1d, "01", "CONNECTION_CLOSE_APP", false, false, false},
		{0x1e, "1", "HANDSHAKE_DONE", true, true, false}, {0x30, "01", "DATAGRAM", true, true, false},
		{0x3e, "1", "PATH_ACK", false, false, false}, {0x3e75, "1", "PATH_ABANDON", true, true, false},
		{0x3e7c, "1", "PATH_CIDS_BLOCKED", true, true, false},
		{0xaf, "1", "ACK_FREQUENCY", true, true, false},
		{0x9f81a6, "1", "OBSERVED_ADDRESS", true, true, true},
		{0x03178307, "1", "ACK_RECEIVE_TIMESTAMPS", false, false, false},
		{0x03178309, "1", "PATH_ACK_RECEIVE_TIMESTAMPS", false, false, false},
		/* clang-format on */
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(rules); i++) {
		const struct qb_frame_rule *r = qb_frame_rule(rules[i].type);
		uint8_t packets = 0;

		ck_assert_ptr_nonnull(r);
		ck_assert_str_eq(r->name, rules[i].name);
		for (const char *p = rules[i].packets; *p; p++)
			packets |= *p == 'I'   ? QB_IN_INITIAL
				   : *p == 'H' ? QB_IN_HANDSHAKE
				   : *p == '0' ? QB_IN_0RTT
					       : QB_IN_1RTT;
		ck_assert_uint_eq(r->packets, packets);
		ck_assert_int_eq(!!(r->flags & QB_FRAME_ELICITS_ACK), rules[i].elicits);
		ck_assert_int_eq(!!(r->flags & QB_FRAME_IN_FLIGHT), rules[i].in_flight);
		ck_assert_int_eq(!!(r->flags & QB_FRAME_PROBING), rules[i].probing);
		ck_assert_int_eq(!!(r->flags & QB_FRAME_MULTIPATH),
				 rules[i].type == 0x3e || (rules[i].type >= 0x3e75 && rules[i].type <= 0x3e7c) ||
					 rules[i].type == 0x03178309);
	}
	ck_assert_ptr_null(qb_frame_rule(0x20));
	ck_assert_ptr_null(qb_frame_rule(0x3e74));
	ck_assert_ptr_null(qb_frame_rule(UINT64_MAX));
	ck_assert_str_eq(qb_frame_name(0x40), "UNKNOWN");
}
END_TEST

/* ---- ACK ---- */

static const struct qb_range ranges[] = {
	{0, 0}, {5, 9}, {100, 30000}, {30002, 30002}, {40000, 40010}};

static void check_ack(const uint8_t *buf, size_t len, size_t cnt)
{
	struct qb_fault fault;
	struct qb_ack_iter it;
	struct qb_range r;
	struct qb_frame f;
	size_t n = 0;

	ck_assert_int_eq(qb_frame_parse(&f, buf, len, QB_PKT_1RTT, &fault), (int)len);
	ck_assert_uint_eq(f.ack.largest, 40010);
	ck_assert_uint_eq(f.ack.delay, 77);
	ck_assert_uint_eq(f.ack.ce,
			  f.type == QB_FRAME_ACK_ECN || f.type == QB_FRAME_PATH_ACK_ECN ||
					  f.type == QB_FRAME_ACK_TS_ECN ||
					  f.type == QB_FRAME_PATH_ACK_TS_ECN
				  ? 3
				  : 0);
	ck_assert_uint_eq(f.ack.ts, f.ack.has_ts ? 1234567 : 0);
	ck_assert_int_eq(f.ack.has_ts, f.type >= QB_FRAME_ACK_TS);
	qb_ack_iter_init(&it, &f.ack);
	while (qb_ack_iter_next(&it, &r)) {
		ck_assert_uint_lt(n, cnt);
		ck_assert_uint_eq(r.first, ranges[QB_ARRAY_LEN(ranges) - 1 - n].first);
		ck_assert_uint_eq(r.last, ranges[QB_ARRAY_LEN(ranges) - 1 - n].last);
		n++;
	}
	ck_assert_uint_eq(n, cnt);
}

static const uint64_t ack_types[] = {QB_FRAME_ACK, QB_FRAME_ACK_ECN, QB_FRAME_PATH_ACK,
				     QB_FRAME_PATH_ACK_ECN, QB_FRAME_ACK_TS, QB_FRAME_ACK_TS_ECN,
				     QB_FRAME_PATH_ACK_TS, QB_FRAME_PATH_ACK_TS_ECN};

/* With less and less room the oldest ranges go; never a broken frame. */
START_TEST(test_ack_build)
{
	struct qb_frame f = {.type = ack_types[_i],
			     .ack = {.path_id = 1, .delay = 77, .ect0 = 1, .ect1 = 2, .ce = 3,
				     .has_ts = true, .ts_pn = 40010, .ts = 1234567}};
	size_t last_cnt = QB_ARRAY_LEN(ranges) + 1;

	for (size_t cap = 64; cap > 0; cap--) {
		uint8_t buf[64];
		struct qb_wr w = qb_wr_init(buf, cap);
		struct qb_frame got;
		struct qb_fault fault;

		if (!qb_ack_build(&w, &f, ranges, QB_ARRAY_LEN(ranges))) {
			ck_assert_ptr_eq(w.p, buf);
			ck_assert(!w.bad);
			ck_assert_uint_eq(last_cnt, 1);
			return;
		}
		ck_assert_int_gt(
			qb_frame_parse(&got, buf, (size_t)(w.p - buf), QB_PKT_1RTT, &fault), 0);
		ck_assert_uint_le(got.ack.range_cnt + 1, last_cnt);
		last_cnt = got.ack.range_cnt + 1;
		check_ack(buf, (size_t)(w.p - buf), last_cnt);
	}
	ck_abort_msg("an ACK cannot fit into nothing");
}
END_TEST

START_TEST(test_payload_fit)
{
	for (size_t room = 0; room < 200; room++) {
		for (size_t fixed = 0; fixed < 10; fixed++) {
			size_t n = qb_payload_fit(room, fixed, 150);

			ck_assert_uint_le(n, 150);
			if (n)
				ck_assert_uint_le(fixed + qb_varint_len(n) + n, room);
			/* One more would not have fitted. */
			if (n < 150)
				ck_assert_uint_gt(fixed + qb_varint_len(n + 1) + n + 1, room);
		}
	}
	ck_assert_uint_eq(qb_payload_fit(100, 3, 5), 5);
}
END_TEST

START_TEST(test_error_names)
{
	ck_assert_str_eq(qb_quic_error_name(QB_QUIC_FINAL_SIZE_ERROR), "FINAL_SIZE_ERROR");
	ck_assert_str_eq(qb_quic_error_name(0x012e), "CRYPTO_ERROR");
	ck_assert_str_eq(qb_quic_error_name(0x3e76), "PATH_UNSTABLE_OR_POOR");
	ck_assert_str_eq(qb_quic_error_name(0x0200), "UNKNOWN");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire/frame");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_round_trip, 0, QB_ARRAY_LEN(frames));
	tcase_add_loop_test(tc, test_truncations, 0, QB_ARRAY_LEN(frames));
	tcase_add_loop_test(tc, test_build_bounds, 0, QB_ARRAY_LEN(frames));
	tcase_add_test(tc, test_fields);
	tcase_add_test(tc, test_stream_forms);
	tcase_add_loop_test(tc, test_wrong, 0, QB_ARRAY_LEN(wrong));
	tcase_add_test(tc, test_rules);
	tcase_add_loop_test(tc, test_ack_build, 0, QB_ARRAY_LEN(ack_types));
	tcase_add_test(tc, test_payload_fit);
	tcase_add_test(tc, test_error_names);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
