/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests and responses: which are malformed, and what a request is answered with. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "h3/message.h"
#include "h3/qpack.h"

enum { FIELDS_MAX = 10 };

struct fields {
	const char *f[FIELDS_MAX][2];
};

static int parse(const struct fields *fields, bool is_request, struct qb_h3_message *m)
{
	static uint8_t section[8192];
	struct qb_wr w = qb_wr_init(section, sizeof(section));

	qb_qpack_begin(&w);
	for (int i = 0; i < FIELDS_MAX && fields->f[i][0]; i++)
		qb_qpack_put(&w, fields->f[i][0], fields->f[i][1]);
	ck_assert(!w.bad);
	return qb_h3_message_parse(section, (size_t)(w.p - section), is_request, m);
}

/* clang-format off */
#define PATH_IP "/.well-known/masque/ip/"
#define CONNECT_IP {":method", "CONNECT"}, {":protocol", "connect-ip"}
#define HTTPS {":scheme", "https"}, {":authority", "hub.example"}
#define STAR {":path", PATH_IP "*/*/"}
#define GET {":method", "GET"}
/* clang-format on */

static const struct {
	const char *what;
	struct fields fields;
	int ret;
	uint16_t verdict;
} request_rows[] = {
	{"ours", {{CONNECT_IP, HTTPS, STAR, {"capsule-protocol", "?1"}}}, 0, 200},
	{"without capsule-protocol", {{CONNECT_IP, HTTPS, STAR}}, 0, 200},
	{"any order", {{STAR, HTTPS, CONNECT_IP, {"te", "trailers"}, {"x", "a\tb"}}}, 0, 200},
	{"percent-encoded", {{CONNECT_IP, HTTPS, {":path", PATH_IP "%2A/%2a/"}}}, 0, 200},
	{"host says the same", {{CONNECT_IP, HTTPS, STAR, {"host", "hub.example"}}}, 0, 200},
	/* scope */
	{"host", {{CONNECT_IP, HTTPS, {":path", PATH_IP "host.example/*/"}}}, 0, 403},
	{"protocol", {{CONNECT_IP, HTTPS, {":path", PATH_IP "*/17/"}}}, 0, 403},
	{"prefix", {{CONNECT_IP, HTTPS, {":path", PATH_IP "192.0.2.0%2F24/255/"}}}, 0, 403},
	{"protocol 256", {{CONNECT_IP, HTTPS, {":path", PATH_IP "*/256/"}}}, 0, 400},
	{"protocol 0017", {{CONNECT_IP, HTTPS, {":path", PATH_IP "*/0017/"}}}, 0, 400},
	{"protocol udp", {{CONNECT_IP, HTTPS, {":path", PATH_IP "*/udp/"}}}, 0, 400},
	{"empty protocol", {{CONNECT_IP, HTTPS, {":path", PATH_IP "*//"}}}, 0, 400},
	{"empty target", {{CONNECT_IP, HTTPS, {":path", PATH_IP "/*/"}}}, 0, 400},
	{"no last slash", {{CONNECT_IP, HTTPS, {":path", PATH_IP "*/*"}}}, 0, 404},
	{"one segment", {{CONNECT_IP, HTTPS, {":path", PATH_IP "*/"}}}, 0, 404},
	{"query", {{CONNECT_IP, HTTPS, {":path", PATH_IP "*/*/?x"}}}, 0, 404},
	{"elsewhere", {{CONNECT_IP, HTTPS, {":path", "/vpn"}}}, 0, 404},
	{"http", {{CONNECT_IP, {":scheme", "http"}, {":authority", "h"}, STAR}}, 0, 400},
	/* other requests */
	{"connect-udp",
	 {{{":method", "CONNECT"}, {":protocol", "connect-udp"}, HTTPS, STAR}},
	 0,
	 501},
	{"webtransport",
	 {{{":method", "CONNECT"}, {":protocol", "webtransport"}, HTTPS, {":path", "/"}}},
	 0,
	 501},
	{"plain CONNECT", {{{":method", "CONNECT"}, {":authority", "h:443"}}}, 0, 501},
	{"GET", {{GET, HTTPS, {":path", "/"}}}, 0, 404},
	{"GET of the tunnel", {{GET, HTTPS, STAR}}, 0, 405},
	{"GET with host alone",
	 {{GET, {":scheme", "https"}, {":path", "/"}, {"host", "h"}}},
	 0,
	 404},
	{"OPTIONS *", {{{":method", "OPTIONS"}, HTTPS, {":path", "*"}}}, 0, 404},
	{"POST", {{{":method", "POST"}, HTTPS, {":path", "/"}, {"content-length", "3"}}}, 0, 404},
	/* malformed: pseudo-header fields */
	{"nothing", {{{0}}}, -EBADMSG, 0},
	{"no method", {{HTTPS, {":path", "/"}}}, -EBADMSG, 0},
	{"no scheme", {{GET, {":authority", "h"}, {":path", "/"}}}, -EBADMSG, 0},
	{"no path", {{GET, HTTPS}}, -EBADMSG, 0},
	{"empty path", {{GET, HTTPS, {":path", ""}}}, -EBADMSG, 0},
	{"path without slash", {{GET, HTTPS, {":path", "x"}}}, -EBADMSG, 0},
	{"GET *", {{GET, HTTPS, {":path", "*"}}}, -EBADMSG, 0},
	{"no authority", {{GET, {":scheme", "https"}, {":path", "/"}}}, -EBADMSG, 0},
	{"empty host", {{GET, {":scheme", "https"}, {":path", "/"}, {"host", ""}}}, -EBADMSG, 0},
	{"empty authority",
	 {{GET, {":scheme", "https"}, {":authority", ""}, {":path", "/"}}},
	 -EBADMSG,
	 0},
	{"user in authority",
	 {{GET, {":scheme", "https"}, {":authority", "u@h"}, {":path", "/"}}},
	 -EBADMSG,
	 0},
	{"authority and host differ",
	 {{GET, HTTPS, {":path", "/"}, {"host", "other"}}},
	 -EBADMSG,
	 0},
	{"two hosts",
	 {{GET, HTTPS, {":path", "/"}, {"host", "hub.example"}, {"host", "hub.example"}}},
	 -EBADMSG,
	 0},
	{"method twice", {{GET, GET, HTTPS, {":path", "/"}}}, -EBADMSG, 0},
	{"path twice", {{CONNECT_IP, HTTPS, STAR, STAR}}, -EBADMSG, 0},
	{"status", {{GET, HTTPS, {":path", "/"}, {":status", "200"}}}, -EBADMSG, 0},
	{"unknown pseudo-header", {{GET, HTTPS, {":path", "/"}, {":new", "1"}}}, -EBADMSG, 0},
	{"pseudo-header after others", {{GET, HTTPS, {"x", "1"}, {":path", "/"}}}, -EBADMSG, 0},
	{"protocol with GET", {{GET, {":protocol", "connect-ip"}, HTTPS, STAR}}, -EBADMSG, 0},
	{"CONNECT with scheme", {{{":method", "CONNECT"}, HTTPS}}, -EBADMSG, 0},
	{"CONNECT with path", {{{":method", "CONNECT"}, {":authority", "h"}, STAR}}, -EBADMSG, 0},
	{"CONNECT without authority", {{{":method", "CONNECT"}}}, -EBADMSG, 0},
	{"CONNECT-IP without path", {{CONNECT_IP, HTTPS}}, -EBADMSG, 0},
	{"CONNECT-IP without scheme", {{CONNECT_IP, {":authority", "h"}, STAR}}, -EBADMSG, 0},
	{"CONNECT-IP with host alone",
	 {{CONNECT_IP, {":scheme", "https"}, STAR, {"host", "h"}}},
	 -EBADMSG,
	 0},
	{"empty method", {{{":method", ""}, HTTPS, {":path", "/"}}}, -EBADMSG, 0},
	{"bad method", {{{":method", "G T"}, HTTPS, {":path", "/"}}}, -EBADMSG, 0},
	/* malformed: other fields */
	{"upper case", {{GET, HTTPS, {":path", "/"}, {"Accept", "x"}}}, -EBADMSG, 0},
	{"blank in a name", {{GET, HTTPS, {":path", "/"}, {"a b", "x"}}}, -EBADMSG, 0},
	{"empty name", {{GET, HTTPS, {":path", "/"}, {"", "x"}}}, -EBADMSG, 0},
	{"newline in a value", {{GET, HTTPS, {":path", "/"}, {"a", "x\ny"}}}, -EBADMSG, 0},
	{"DEL in a value", {{GET, HTTPS, {":path", "/"}, {"a", "x\x7f"}}}, -EBADMSG, 0},
	{"blank before a value", {{GET, HTTPS, {":path", "/"}, {"a", " x"}}}, -EBADMSG, 0},
	{"blank after a value", {{GET, HTTPS, {":path", "/"}, {"a", "x\t"}}}, -EBADMSG, 0},
	{"connection", {{GET, HTTPS, {":path", "/"}, {"connection", "close"}}}, -EBADMSG, 0},
	{"keep-alive", {{GET, HTTPS, {":path", "/"}, {"keep-alive", "1"}}}, -EBADMSG, 0},
	{"proxy-connection",
	 {{GET, HTTPS, {":path", "/"}, {"proxy-connection", "x"}}},
	 -EBADMSG,
	 0},
	{"transfer-encoding",
	 {{GET, HTTPS, {":path", "/"}, {"transfer-encoding", "chunked"}}},
	 -EBADMSG,
	 0},
	{"upgrade", {{GET, HTTPS, {":path", "/"}, {"upgrade", "x"}}}, -EBADMSG, 0},
	{"te", {{GET, HTTPS, {":path", "/"}, {"te", "gzip"}}}, -EBADMSG, 0},
	{"content-length", {{GET, HTTPS, {":path", "/"}, {"content-length", "+3"}}}, -EBADMSG, 0},
	{"capsules with content-length",
	 {{CONNECT_IP, HTTPS, STAR, {"content-length", "0"}}},
	 -EBADMSG,
	 0},
	{"capsules with content-type",
	 {{CONNECT_IP, HTTPS, STAR, {"content-type", "x/y"}}},
	 -EBADMSG,
	 0},
};

START_TEST(requests)
{
	struct qb_h3_message m;
	int ret = parse(&request_rows[_i].fields, true, &m);

	ck_assert_msg(ret == request_rows[_i].ret, "%s: %d", request_rows[_i].what, ret);
	if (ret == 0)
		ck_assert_msg(qb_h3_request_verdict(&m) == request_rows[_i].verdict, "%s: %u",
			      request_rows[_i].what, qb_h3_request_verdict(&m));
}
END_TEST

static const struct {
	const char *what;
	struct fields fields;
	int ret;
	uint16_t status;
} response_rows[] = {
	{"success", {{{":status", "200"}, {"capsule-protocol", "?1"}}}, 0, 200},
	{"interim", {{{":status", "103"}}}, 0, 103},
	{"error with content",
	 {{{":status", "404"}, {"content-length", "9"}, {"content-type", "a/b"}}},
	 0,
	 404},
	{"none", {{{"x", "y"}}}, -EBADMSG, 0},
	{"101", {{{":status", "101"}}}, -EBADMSG, 0},
	{"099", {{{":status", "099"}}}, -EBADMSG, 0},
	{"20", {{{":status", "20"}}}, -EBADMSG, 0},
	{"2000", {{{":status", "2000"}}}, -EBADMSG, 0},
	{"2x0", {{{":status", "2x0"}}}, -EBADMSG, 0},
	{"twice", {{{":status", "200"}, {":status", "200"}}}, -EBADMSG, 0},
	{"method", {{{":status", "200"}, {":method", "GET"}}}, -EBADMSG, 0},
	{"connection", {{{":status", "200"}, {"connection", "x"}}}, -EBADMSG, 0},
	{"204", {{{":status", "204"}}}, -EBADMSG, 0},
	{"205", {{{":status", "205"}}}, -EBADMSG, 0},
	{"206", {{{":status", "206"}}}, -EBADMSG, 0},
	{"success with content", {{{":status", "200"}, {"content-length", "0"}}}, -EBADMSG, 0},
};

START_TEST(responses)
{
	struct qb_h3_message m;
	int ret = parse(&response_rows[_i].fields, false, &m);

	ck_assert_msg(ret == response_rows[_i].ret, "%s: %d", response_rows[_i].what, ret);
	if (ret == 0)
		ck_assert_uint_eq(m.status, response_rows[_i].status);
}
END_TEST

START_TEST(lengths)
{
	char text[QB_H3_FIELD_MAX + 1], big[5000];
	struct fields f = {{CONNECT_IP, {":scheme", "https"}, {":authority", text}, STAR}};
	struct fields f_big = {{CONNECT_IP, HTTPS, STAR, {"x", big}}};
	struct qb_h3_message m;

	memset(text, 'a', sizeof(text));
	text[QB_H3_FIELD_MAX - 1] = 0;
	ck_assert_int_eq(parse(&f, true, &m), 0);
	ck_assert_uint_eq(qb_h3_request_verdict(&m), 200);
	ck_assert_str_eq(m.authority, text);
	ck_assert(qb_h3_is_authority(text));
	text[QB_H3_FIELD_MAX - 1] = 'a';
	text[QB_H3_FIELD_MAX] = 0;
	ck_assert_int_eq(parse(&f, true, &m), 0);
	ck_assert_uint_eq(qb_h3_request_verdict(&m), 431);
	ck_assert(!qb_h3_is_authority(text));

	memset(big, 'b', sizeof(big));
	big[sizeof(big) - 1] = 0;
	ck_assert_int_eq(parse(&f_big, true, &m), -E2BIG);
	ck_assert(!qb_h3_is_authority(""));
	ck_assert(!qb_h3_is_authority("a b"));
	ck_assert(qb_h3_is_authority("[2001:db8::1]:443"));
}
END_TEST

/* An error of QPACK's is told even after a malformed field. */
START_TEST(qpack_error_wins)
{
	static const uint8_t section[] = {0, 0, 0xd9 /* :status in a request */, 0x80};
	struct qb_h3_message m;

	ck_assert_int_eq(qb_h3_message_parse(section, 3, true, &m), -EBADMSG);
	ck_assert_int_eq(qb_h3_message_parse(section, 4, true, &m), -EPROTO);
	ck_assert_int_eq(qb_h3_message_parse(section, 0, true, &m), -EPROTO);
}
END_TEST

START_TEST(builders)
{
	uint8_t frame[512];
	struct qb_wr w = qb_wr_init(frame, sizeof(frame));
	struct qb_h3_message m;
	struct qb_rd rd;
	uint64_t len;

	qb_h3_build_request(&w, "hub.example:443", NULL);
	rd = qb_rd_init(frame, (size_t)(w.p - frame));
	ck_assert_uint_eq(qb_rd_varint(&rd), 1);
	len = qb_rd_varint(&rd);
	ck_assert_uint_eq(len, qb_rd_left(&rd));
	ck_assert_int_eq(qb_h3_message_parse(rd.p, len, true, &m), 0);
	ck_assert_uint_eq(qb_h3_request_verdict(&m), 200);
	ck_assert_str_eq(m.authority, "hub.example:443");
	ck_assert_str_eq(m.path, PATH_IP "*/*/");
	ck_assert_uint_eq(m.group.id, 0);

	for (uint16_t status = 200; status < 600; status++) {
		if (status >= 204 && status <= 206)
			continue;
		w = qb_wr_init(frame, sizeof(frame));
		qb_h3_build_response(&w, status, NULL);
		ck_assert(!w.bad);
		ck_assert_int_eq(
			qb_h3_message_parse(frame + 2, (size_t)(w.p - frame) - 2, false, &m), 0);
		ck_assert_uint_eq(m.status, status);
	}
}
END_TEST

/* The field of our own is read as its definition says, or not at all; the request stands either way. */
static const struct {
	const char *value;
	uint64_t id;
	uint8_t member;
} group_rows[] = {
	{"1;member=0", 1, 0},
	{"999999999999999;member=255", QB_H3_GROUP_ID_MAX, 255},
	{"1000000000000000;member=0", 0, 0},
	{"1;member=256", 0, 0},
	{"1;member=0001", 0, 0},
	{"1;member=", 0, 0},
	{"1;member=1;x", 0, 0},
	{"1;member=-1", 0, 0},
	{"1;members=1", 0, 0},
	{"1", 0, 0},
	{";member=1", 0, 0},
	{"-1;member=1", 0, 0},
	{"1.0;member=1", 0, 0},
	{"1 ;member=1", 0, 0},
	{"", 0, 0},
};

START_TEST(groups)
{
	struct fields f = {{CONNECT_IP, HTTPS, STAR, {"quicbond-session", group_rows[_i].value}}};
	struct qb_h3_message m;

	ck_assert_int_eq(parse(&f, true, &m), 0);
	ck_assert_uint_eq(qb_h3_request_verdict(&m), 200);
	ck_assert_uint_eq(m.group.id, group_rows[_i].id);
	ck_assert_uint_eq(m.group.member, group_rows[_i].member);
}
END_TEST

START_TEST(groups_are_said_and_answered)
{
	const struct qb_h3_group group = {.id = QB_H3_GROUP_ID_MAX, .member = 7};
	uint8_t frame[512];
	struct qb_wr w = qb_wr_init(frame, sizeof(frame));
	struct qb_h3_message m;
	struct qb_rd rd;

	qb_h3_build_request(&w, "hub.example:443", &group);
	rd = qb_rd_init(frame, (size_t)(w.p - frame));
	ck_assert_uint_eq(qb_rd_varint(&rd), 1);
	ck_assert_uint_eq(qb_rd_varint(&rd), qb_rd_left(&rd));
	ck_assert_int_eq(qb_h3_message_parse(rd.p, qb_rd_left(&rd), QB_H3_REQUEST, &m), 0);
	ck_assert_uint_eq(m.group.id, group.id);
	ck_assert_uint_eq(m.group.member, 7);

	for (uint16_t status = 200; status <= 404; status += 204) {
		w = qb_wr_init(frame, sizeof(frame));
		qb_h3_build_response(&w, status, &group);
		ck_assert(!w.bad);
		rd = qb_rd_init(frame, (size_t)(w.p - frame));
		ck_assert_uint_eq(qb_rd_varint(&rd), 1);
		ck_assert_uint_eq(qb_rd_varint(&rd), qb_rd_left(&rd));
		ck_assert_int_eq(qb_h3_message_parse(rd.p, qb_rd_left(&rd), QB_H3_TUNNEL_RESPONSE, &m), 0);
		ck_assert_uint_eq(m.group.id, status == 200 ? group.id : 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("h3_message");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed_cnt;

	tcase_add_loop_test(tc, requests, 0, QB_ARRAY_LEN(request_rows));
	tcase_add_loop_test(tc, responses, 0, QB_ARRAY_LEN(response_rows));
	tcase_add_test(tc, lengths);
	tcase_add_test(tc, qpack_error_wins);
	tcase_add_test(tc, builders);
	tcase_add_loop_test(tc, groups, 0, QB_ARRAY_LEN(group_rows));
	tcase_add_test(tc, groups_are_said_and_answered);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed_cnt = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed_cnt ? 1 : 0;
}
