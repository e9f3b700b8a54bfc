/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a peer may not do on HTTP/3's streams and which error answers it, and what must be let
 * through. Every row is delivered whole and a byte at a time.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "h3/frames.h"
#include "tests/unit/fake_conn.h"
#include "tests/unit/unhex.h"

static struct qb_conn conn;
static struct qb_h3 *h3;
static struct qb_h3_event last; /* of the last poll that told anything */
static uint32_t type_cnt[QB_H3_EV_GOAWAY + 1];

static void poll(void)
{
	while (qb_h3_next_event(h3, &last)) {
		type_cnt[last.type]++;
		if (last.type == QB_H3_EV_REQUEST)
			ck_assert_int_eq(qb_h3_respond(h3, last.session, 200), 0);
	}
}

static void rx(uint64_t id, const char *hex, size_t step, bool is_fin)
{
	uint8_t in[512];
	size_t len = unhex(hex, in);

	if (len == 0)
		fake_rx(&conn, h3, id, in, 0, is_fin);
	for (size_t off = 0; off < len; off += step) {
		size_t n = QB_MIN(step, len - off);

		fake_rx(&conn, h3, id, in + off, n, is_fin && off + n == len);
		poll();
	}
	poll();
}

static void start(bool is_server)
{
	free(h3);
	fake_init(&conn, is_server);
	memset(type_cnt, 0, sizeof(type_cnt));
	memset(&last, 0, sizeof(last));
	ck_assert_int_eq(qb_h3_init(malloc(qb_h3_footprint()), &conn, is_server, &h3), 0);
}

static void teardown(void)
{
	free(h3);
	h3 = NULL;
}

enum role { CLIENT, SERVER };

static uint64_t peer_uni(enum role role, unsigned n)
{
	return 4u * n + (role == SERVER ? 2 : 3);
}

#define TYPE_AND_SETTINGS "00 04 04 3301 0801 "
enum { OK = FAKE_NO_CODE };

/* ---- the control stream ---- */

static const struct {
	const char *what;
	enum role role;
	const char *hex; /* all of the control stream */
	uint32_t code;
	uint32_t ready_cnt;
} control_rows[] = {
	{"settings", SERVER, TYPE_AND_SETTINGS, OK, 1},
	{"settings, none", SERVER, "00 04 00", OK, 1},
	{"settings, long varints", SERVER, "4000 4004 8000000a 4033 c000000000000001", OK, 1},
	{"settings, grease", CLIENT, "00 04 08 3301 4040 05 5234 00", OK, 1},
	{"settings, QPACK and sizes", CLIENT, "00 04 09 015064 0600 0710 3301", OK, 1},
	{"settings, not all there", SERVER, "00 04 04 3301 08", OK, 0},
	{"settings, value cut off", SERVER, "00 04 03 3301 08", QB_H3_FRAME_ERROR, 0},
	{"settings, ID cut off", SERVER, "00 04 01 40", QB_H3_FRAME_ERROR, 0},
	{"settings, too long", SERVER, "00 04 5001", QB_H3_EXCESSIVE_LOAD, 0},
	{"settings, datagram 2", SERVER, "00 04 02 3302", QB_H3_SETTINGS_ERROR, 0},
	{"settings, connect protocol 2", CLIENT, "00 04 02 0802", QB_H3_SETTINGS_ERROR, 0},
	{"settings, twice the same", SERVER, "00 04 04 3301 3301", QB_H3_SETTINGS_ERROR, 0},
	{"settings, twice a size", SERVER, "00 04 04 0601 0602", QB_H3_SETTINGS_ERROR, 0},
	{"settings, 0 of HTTP/2", SERVER, "00 04 02 0000", QB_H3_SETTINGS_ERROR, 0},
	{"settings, 2 of HTTP/2", SERVER, "00 04 02 0200", QB_H3_SETTINGS_ERROR, 0},
	{"settings, 3 of HTTP/2", CLIENT, "00 04 02 0300", QB_H3_SETTINGS_ERROR, 0},
	{"settings, 4 of HTTP/2", CLIENT, "00 04 02 0400", QB_H3_SETTINGS_ERROR, 0},
	{"settings, 5 of HTTP/2", SERVER, "00 04 02 0500", QB_H3_SETTINGS_ERROR, 0},
	{"second settings", SERVER, TYPE_AND_SETTINGS "04 00", QB_H3_FRAME_UNEXPECTED, 1},
	/* the first frame */
	{"goaway first", SERVER, "00 07 01 00", QB_H3_MISSING_SETTINGS, 0},
	{"data first", SERVER, "00 00 00", QB_H3_MISSING_SETTINGS, 0},
	{"grease first", SERVER, "00 21 00", QB_H3_MISSING_SETTINGS, 0},
	{"priority first", SERVER, "00 800f0700 01 00", QB_H3_MISSING_SETTINGS, 0},
	/* frames that have no place here */
	{"data", SERVER, TYPE_AND_SETTINGS "00 00", QB_H3_FRAME_UNEXPECTED, 1},
	{"headers", CLIENT, TYPE_AND_SETTINGS "01 00", QB_H3_FRAME_UNEXPECTED, 1},
	{"push promise", CLIENT, TYPE_AND_SETTINGS "05 01 00", QB_H3_FRAME_UNEXPECTED, 1},
	{"2 of HTTP/2", SERVER, TYPE_AND_SETTINGS "02 00", QB_H3_FRAME_UNEXPECTED, 1},
	{"6 of HTTP/2", SERVER, TYPE_AND_SETTINGS "06 00", QB_H3_FRAME_UNEXPECTED, 1},
	{"8 of HTTP/2", CLIENT, TYPE_AND_SETTINGS "08 00", QB_H3_FRAME_UNEXPECTED, 1},
	{"9 of HTTP/2", CLIENT, TYPE_AND_SETTINGS "09 00", QB_H3_FRAME_UNEXPECTED, 1},
	{"max push ID from a server", CLIENT, TYPE_AND_SETTINGS "0d 01 00", QB_H3_FRAME_UNEXPECTED,
	 1},
	{"priority from a server", CLIENT, TYPE_AND_SETTINGS "800f0700 01 00",
	 QB_H3_FRAME_UNEXPECTED, 1},
	{"push priority from a server", CLIENT, TYPE_AND_SETTINGS "800f0701 01 00",
	 QB_H3_FRAME_UNEXPECTED, 1},
	/* unknown ones are skipped, whatever they hold */
	{"grease", SERVER, TYPE_AND_SETTINGS "21 03 000102 4040 00 7fff 01 ff", OK, 1},
	{"grease without end", SERVER, TYPE_AND_SETTINGS "21 ffffffffffffffff 0707", OK, 1},
	/* goaway */
	{"goaway", SERVER, TYPE_AND_SETTINGS "07 01 07 07 01 07 07 01 03", OK, 1},
	{"goaway grows", SERVER, TYPE_AND_SETTINGS "07 01 07 07 01 08", QB_H3_ID_ERROR, 1},
	{"goaway to a client", CLIENT, TYPE_AND_SETTINGS "07 02 4008 07 01 04", OK, 1},
	{"goaway not a request", CLIENT, TYPE_AND_SETTINGS "07 01 01", QB_H3_ID_ERROR, 1},
	{"goaway empty", SERVER, TYPE_AND_SETTINGS "07 00", QB_H3_FRAME_ERROR, 1},
	{"goaway cut off", SERVER, TYPE_AND_SETTINGS "07 01 40", QB_H3_FRAME_ERROR, 1},
	{"goaway with more", SERVER, TYPE_AND_SETTINGS "07 02 0000", QB_H3_FRAME_ERROR, 1},
	{"goaway too long", SERVER, TYPE_AND_SETTINGS "07 09", QB_H3_FRAME_ERROR, 1},
	/* pushes */
	{"max push ID", SERVER, TYPE_AND_SETTINGS "0d 01 03 0d 01 03 0d 01 04", OK, 1},
	{"max push ID shrinks", SERVER, TYPE_AND_SETTINGS "0d 01 03 0d 01 02", QB_H3_ID_ERROR, 1},
	{"max push ID empty", SERVER, TYPE_AND_SETTINGS "0d 00", QB_H3_FRAME_ERROR, 1},
	{"cancel push", SERVER, TYPE_AND_SETTINGS "03 01 00", QB_H3_ID_ERROR, 1},
	{"cancel push to a client", CLIENT, TYPE_AND_SETTINGS "03 01 00", QB_H3_ID_ERROR, 1},
	{"cancel push empty", CLIENT, TYPE_AND_SETTINGS "03 00", QB_H3_FRAME_ERROR, 1},
	/* priorities */
	{"priority", SERVER, TYPE_AND_SETTINGS "800f0700 06 04 753d322c69", OK, 1},
	{"priority, long", SERVER, TYPE_AND_SETTINGS "800f0700 0c 04 7878787878787878787878", OK,
	 1},
	{"priority of no request", SERVER, TYPE_AND_SETTINGS "800f0700 01 02", QB_H3_ID_ERROR, 1},
	{"priority of a push", SERVER, TYPE_AND_SETTINGS "800f0701 01 00", QB_H3_ID_ERROR, 1},
	{"priority empty", SERVER, TYPE_AND_SETTINGS "800f0700 00", QB_H3_FRAME_ERROR, 1},
};

START_TEST(control)
{
	enum role role = control_rows[_i].role;

	for (size_t step = 1; step < 600; step *= 3) {
		start(role);
		rx(peer_uni(role, 0), control_rows[_i].hex, step, false);
		ck_assert_msg(conn.fail_code == control_rows[_i].code, "%s, step %zu: %lx %s",
			      control_rows[_i].what, step, conn.fail_code, conn.fail_why);
		ck_assert_msg(type_cnt[QB_H3_EV_READY] == control_rows[_i].ready_cnt, "%s",
			      control_rows[_i].what);
	}
}
END_TEST

static const struct {
	enum role role;
	const char *hex;
	uint32_t max_datagram_bytes;
	bool is_ok;
} ready_rows[] = {
	{SERVER, "00 04 02 3301", 1200, true},	     {SERVER, "00 04 02 3300", 1200, false},
	{SERVER, "00 04 00", 1200, false},	     {SERVER, "00 04 02 3301", 0, false},
	{CLIENT, "00 04 04 3301 0801", 1200, true},  {CLIENT, "00 04 02 3301", 1200, false},
	{CLIENT, "00 04 04 3301 0800", 1200, false}, {CLIENT, "00 04 02 0801", 1200, false},
};

START_TEST(ready)
{
	start(ready_rows[_i].role);
	conn.max_datagram_bytes = ready_rows[_i].max_datagram_bytes;
	rx(peer_uni(ready_rows[_i].role, 0), ready_rows[_i].hex, 100, false);
	ck_assert_int_eq(last.type, QB_H3_EV_READY);
	ck_assert_int_eq(last.is_ok, ready_rows[_i].is_ok);
	if (ready_rows[_i].role == CLIENT && !last.is_ok)
		ck_assert_int_eq(qb_h3_connect_ip(h3, "h", NULL), -EOPNOTSUPP);
}
END_TEST

/* ---- other unidirectional streams ---- */

static const struct {
	const char *what;
	enum role role;
	const char *hex[3]; /* streams in the order in which they are opened */
	bool is_fin;	    /* of the last */
	uint32_t code;
	uint32_t stop_code; /* of the last */
} uni_rows[] = {
	{"QPACK streams", SERVER, {"02", "03"}, false, OK, OK},
	{"two control", SERVER, {"00", "00"}, false, QB_H3_STREAM_CREATION_ERROR, OK},
	{"two encoder", SERVER, {"02", "02"}, false, QB_H3_STREAM_CREATION_ERROR, OK},
	{"two decoder", CLIENT, {"03", "03"}, false, QB_H3_STREAM_CREATION_ERROR, OK},
	{"push to a server", SERVER, {"01"}, false, QB_H3_STREAM_CREATION_ERROR, OK},
	{"push to a client", CLIENT, {"01 00"}, false, QB_H3_ID_ERROR, OK},
	{"unknown", SERVER, {"4040 0102"}, false, OK, QB_H3_STREAM_CREATION_ERROR},
	{"unknown, long", CLIENT, {"c000000000000040"}, false, OK, QB_H3_STREAM_CREATION_ERROR},
	{"unknown and over", CLIENT, {"21"}, true, OK, QB_H3_STREAM_CREATION_ERROR},
	{"webtransport", SERVER, {"4054 00"}, false, OK, QB_H3_STREAM_CREATION_ERROR},
	{"over before the type", SERVER, {""}, true, OK, OK},
	{"over inside the type", SERVER, {"40"}, true, OK, OK},
	{"control over", SERVER, {TYPE_AND_SETTINGS}, true, QB_H3_CLOSED_CRITICAL_STREAM, OK},
	{"control over at once", SERVER, {"00"}, true, QB_H3_CLOSED_CRITICAL_STREAM, OK},
	{"encoder over", CLIENT, {"02"}, true, QB_H3_CLOSED_CRITICAL_STREAM, OK},
	{"decoder over", CLIENT, {"03 40"}, true, QB_H3_CLOSED_CRITICAL_STREAM, OK},
	{"encoder: capacity 0", SERVER, {"02 20"}, false, OK, OK},
	{"encoder: capacity", SERVER, {"02 3fbd01"}, false, QB_QPACK_ENCODER_STREAM_ERROR, OK},
	{"encoder: insert", SERVER, {"02 c00f"}, false, QB_QPACK_ENCODER_STREAM_ERROR, OK},
	{"decoder: cancel", SERVER, {"03 44 7f01"}, false, OK, OK},
	{"decoder: acknowledge", SERVER, {"03 84"}, false, QB_QPACK_DECODER_STREAM_ERROR, OK},
	{"decoder: increment", CLIENT, {"03 01"}, false, QB_QPACK_DECODER_STREAM_ERROR, OK},
};

START_TEST(uni)
{
	enum role role = uni_rows[_i].role;

	for (size_t step = 1; step < 100; step *= 10) {
		unsigned n = 0;

		start(role);
		for (; n < 3 && uni_rows[_i].hex[n]; n++)
			rx(peer_uni(role, n), uni_rows[_i].hex[n], step,
			   uni_rows[_i].is_fin && !uni_rows[_i].hex[n + 1]);
		ck_assert_msg(conn.fail_code == uni_rows[_i].code, "%s, step %zu: %lx",
			      uni_rows[_i].what, step, conn.fail_code);
		ck_assert_msg(fake_get(&conn, peer_uni(role, n - 1))->stop_code ==
				      uni_rows[_i].stop_code,
			      "%s, step %zu", uni_rows[_i].what, step);
	}
}
END_TEST

/* A stream that was turned away does not come back as a new one, and does not use up a slot. */
START_TEST(many_unknown_unis)
{
	start(SERVER);
	rx(peer_uni(SERVER, 0), TYPE_AND_SETTINGS, 100, false);
	for (unsigned n = 1; n < 200; n++) {
		rx(peer_uni(SERVER, n), "21", 1, false);
		ck_assert_uint_eq(fake_find(&conn, peer_uni(SERVER, n))->stop_code,
				  QB_H3_STREAM_CREATION_ERROR);
		rx(peer_uni(SERVER, n), "00 00 00", 1, false);
		fake_find(&conn, peer_uni(SERVER, n))->is_used = false;
	}
	rx(peer_uni(SERVER, 201), "02", 1, false); /* 200 comes later */
	rx(peer_uni(SERVER, 200), "03", 1, false);
	rx(peer_uni(SERVER, 202), "03", 1, false);
	ck_assert_uint_eq(conn.fail_code, QB_H3_STREAM_CREATION_ERROR);
}
END_TEST

START_TEST(critical_streams_reset_or_stopped)
{
	static const char *const types[] = {"00", "02", "03"};

	for (unsigned i = 0; i < 3; i++) {
		start(SERVER);
		rx(peer_uni(SERVER, 0), types[i], 1, false);
		fake_rx_reset(&conn, h3, peer_uni(SERVER, 0), 7);
		poll();
		ck_assert_uint_eq(conn.fail_code, QB_H3_CLOSED_CRITICAL_STREAM);

		start(SERVER);
		fake_rx_stop(&conn, h3, 4 * i + 3, 7);
		ck_assert_uint_eq(conn.fail_code, QB_H3_CLOSED_CRITICAL_STREAM);
	}
	start(SERVER); /* before its type it is nobody's stream */
	rx(peer_uni(SERVER, 0), "40", 1, false);
	fake_rx_reset(&conn, h3, peer_uni(SERVER, 0), 7);
	poll();
	ck_assert(!conn.is_failed);
}
END_TEST

START_TEST(server_opens_a_request)
{
	start(CLIENT);
	rx(1, "01", 1, false);
	ck_assert_uint_eq(conn.fail_code, QB_H3_STREAM_CREATION_ERROR);
}
END_TEST

/* ---- request streams ---- */

/* :method CONNECT, :protocol connect-ip, :scheme https, :authority h, :path ... */
#define CONNECT_IP                                                                                 \
	"01 3a 0000 cf 27 02 3a70726f746f636f6c 0a 636f6e6e6563742d6970 d7 50 01 68 "              \
	"51 1b 2f2e77656c6c2d6b6e6f776e2f6d61737175652f69702f2a2f2a2f "
#define GET	 "01 08 0000 d1 d7 50 01 68 c1 "
#define GET_LONG "01 09 0000 d1 d7 50 01 68 c1 d6 " /* :scheme twice */
#define R200	 "01 03 0000 d9 "

static const struct {
	const char *what;
	enum role role;
	const char *hex;
	bool is_fin;
	uint32_t code;	     /* of the connection */
	uint32_t reset_code; /* of the stream */
	uint32_t stop_code;
	enum qb_h3_event_type last;
} request_rows[] = {
	/* what a server gets */
	{"connect-ip", SERVER, CONNECT_IP, false, OK, OK, OK, QB_H3_EV_REQUEST},
	{"grease around", SERVER, "21 02 0000 " CONNECT_IP "4040 00 00 02 0100 21 00", false, OK,
	 OK, OK, QB_H3_EV_ADDRESS_ASSIGN},
	{"capsule in pieces", SERVER, CONNECT_IP "00 01 03 00 00 21 02 ffff 00 04 00 03 00 01",
	 false, OK, OK, OK, QB_H3_EV_ROUTES},
	{"end", SERVER, CONNECT_IP, true, OK, OK, OK, QB_H3_EV_CLOSED},
	{"end after a capsule", SERVER, CONNECT_IP "00 02 0300", true, OK, OK, OK, QB_H3_EV_CLOSED},
	{"end inside a capsule", SERVER, CONNECT_IP "00 02 1707", true, OK, QB_H3_MESSAGE_ERROR, OK,
	 QB_H3_EV_CLOSED},
	{"end inside a capsule's type", SERVER, CONNECT_IP "00 01 40", true, OK,
	 QB_H3_MESSAGE_ERROR, OK, QB_H3_EV_CLOSED},
	{"end inside a frame", SERVER, CONNECT_IP "00 02 17", true, QB_H3_FRAME_ERROR, OK, OK, 0},
	{"end inside a header", SERVER, CONNECT_IP "00", true, QB_H3_FRAME_ERROR, OK, OK, 0},
	{"end inside grease", SERVER, CONNECT_IP "21 05 00", true, QB_H3_FRAME_ERROR, OK, OK, 0},
	{"end inside HEADERS", SERVER, "01 0e 0000", true, QB_H3_FRAME_ERROR, OK, OK, 0},
	{"end at once", SERVER, "", true, OK, QB_H3_REQUEST_INCOMPLETE, OK, 0},
	{"end before HEADERS", SERVER, "21 00", true, OK, QB_H3_REQUEST_INCOMPLETE, OK, 0},
	{"bad capsule", SERVER, CONNECT_IP "00 04 0102 0007", false, OK, QB_H3_MESSAGE_ERROR,
	 QB_H3_MESSAGE_ERROR, QB_H3_EV_CLOSED},
	{"bond", SERVER, CONNECT_IP "00 07 803ab0d1 02 0102", false, OK, OK, OK, QB_H3_EV_BOND},
	{"data first", SERVER, "00 00", false, QB_H3_FRAME_UNEXPECTED, OK, OK, 0},
	{"HEADERS twice", SERVER, CONNECT_IP GET, false, QB_H3_FRAME_UNEXPECTED, OK, OK, 0},
	{"settings", SERVER, "04 00", false, QB_H3_FRAME_UNEXPECTED, OK, OK, 0},
	{"goaway in a session", SERVER, CONNECT_IP "07 01 00", false, QB_H3_FRAME_UNEXPECTED, OK,
	 OK, 0},
	{"max push ID", SERVER, "0d 01 00", false, QB_H3_FRAME_UNEXPECTED, OK, OK, 0},
	{"cancel push", SERVER, "03 01 00", false, QB_H3_FRAME_UNEXPECTED, OK, OK, 0},
	{"push promise", SERVER, "05 03 000000", false, QB_H3_FRAME_UNEXPECTED, OK, OK, 0},
	{"priority", SERVER, "800f0700 01 00", false, QB_H3_FRAME_UNEXPECTED, OK, OK, 0},
	{"2 of HTTP/2", SERVER, "02 00", false, QB_H3_FRAME_UNEXPECTED, OK, OK, 0},
	{"9 of HTTP/2", SERVER, CONNECT_IP "09 00", false, QB_H3_FRAME_UNEXPECTED, OK, OK, 0},
	{"no QPACK", SERVER, "01 00", false, QB_QPACK_DECOMPRESSION_FAILED, OK, OK, 0},
	{"dynamic table", SERVER, "01 03 038110", false, QB_QPACK_DECOMPRESSION_FAILED, OK, OK, 0},
	{"malformed", SERVER, GET_LONG, false, OK, QB_H3_MESSAGE_ERROR, QB_H3_MESSAGE_ERROR, 0},
	/* what a client gets */
	{"200", CLIENT, R200, false, OK, OK, OK, QB_H3_EV_RESPONSE},
	{"interim first", CLIENT, "01 03 0000 d8 21 00" R200, false, OK, OK, OK, QB_H3_EV_RESPONSE},
	{"404", CLIENT, "01 03 0000 db 00 05 0102030405", true, OK, QB_H3_REQUEST_CANCELLED,
	 QB_H3_REQUEST_CANCELLED, QB_H3_EV_RESPONSE},
	{"101", CLIENT, "01 08 0000 5f09 03 313031", false, OK, QB_H3_MESSAGE_ERROR,
	 QB_H3_MESSAGE_ERROR, QB_H3_EV_CLOSED},
	{"204", CLIENT, "01 04 0000 ff01", false, OK, QB_H3_MESSAGE_ERROR, QB_H3_MESSAGE_ERROR,
	 QB_H3_EV_CLOSED},
	{"200 and end", CLIENT, R200, true, OK, OK, OK, QB_H3_EV_CLOSED},
	{"end without an answer", CLIENT, "", true, OK, QB_H3_MESSAGE_ERROR, OK, QB_H3_EV_CLOSED},
	{"end after an interim one", CLIENT, "01 03 0000 d8", true, OK, QB_H3_MESSAGE_ERROR, OK,
	 QB_H3_EV_CLOSED},
	{"data before HEADERS", CLIENT, "00 00", false, QB_H3_FRAME_UNEXPECTED, OK, OK, 0},
	{"push promise to a client", CLIENT, "05 03 000000", false, QB_H3_ID_ERROR, OK, OK, 0},
	{"settings to a client", CLIENT, R200 "04 00", false, QB_H3_FRAME_UNEXPECTED, OK, OK, 0},
	{"trailers", CLIENT, R200 "01 02 0000", false, QB_H3_FRAME_UNEXPECTED, OK, OK, 0},
	{"header section too large", CLIENT, "01 5001", false, OK, QB_H3_REQUEST_CANCELLED,
	 QB_H3_REQUEST_CANCELLED, QB_H3_EV_CLOSED},
	{"QPACK error", CLIENT, "01 03 000080", false, QB_QPACK_DECOMPRESSION_FAILED, OK, OK, 0},
};

START_TEST(request)
{
	enum role role = request_rows[_i].role;

	for (size_t step = 1; step < 600; step *= 3) {
		struct fake_stream *s;

		start(role);
		rx(peer_uni(role, 0), TYPE_AND_SETTINGS, 100, false);
		if (role == CLIENT)
			ck_assert_int_eq(qb_h3_connect_ip(h3, "h", NULL), 0);
		rx(0, request_rows[_i].hex, step, request_rows[_i].is_fin);
		s = fake_get(&conn, 0);
		ck_assert_msg(conn.fail_code == request_rows[_i].code, "%s, step %zu: %lx %s",
			      request_rows[_i].what, step, conn.fail_code, conn.fail_why);
		ck_assert_msg(s->tx_code == request_rows[_i].reset_code, "%s, step %zu: %lx",
			      request_rows[_i].what, step, s->tx_code);
		/* a stream that ended by FIN may or may not be asked to stop: the step decides */
		if (!request_rows[_i].is_fin)
			ck_assert_msg(s->stop_code == request_rows[_i].stop_code,
				      "%s, step %zu: %lx", request_rows[_i].what, step,
				      s->stop_code);
		if (request_rows[_i].last)
			ck_assert_msg(last.type == request_rows[_i].last, "%s, step %zu: %d",
				      request_rows[_i].what, step, last.type);
	}
}
END_TEST

/* Requests that are answered without the owner: HEADERS with the status, and FIN. */
static const struct {
	const char *what, *hex, *answer;
} answer_rows[] = {
	{"GET /", GET, "01 03 0000 db"}, /* 404 */
	{"POST / with content", "01 08 0000 d4 d7 50 01 68 c1 00 03 616263", "01 03 0000 db"},
	{"plain CONNECT", "01 06 0000 cf 50 01 68", "01 08 0000 5f09 03 353031"}, /* 501 */
	{"section too large", "01 5001", "01 08 0000 5f09 03 343331"},		  /* 431 */
};

START_TEST(answers)
{
	uint8_t want[64];
	size_t len = unhex(answer_rows[_i].answer, want);

	for (size_t step = 1; step < 100; step += 50) {
		struct fake_stream *s;

		start(SERVER);
		rx(peer_uni(SERVER, 0), TYPE_AND_SETTINGS, 100, false);
		rx(0, answer_rows[_i].hex, step, false);
		s = fake_get(&conn, 0);
		ck_assert(!conn.is_failed);
		ck_assert_uint_eq(s->tx_len, len);
		ck_assert_mem_eq(s->tx, want, len);
		ck_assert(s->tx_fin);
		ck_assert_uint_eq(s->stop_code, QB_H3_NO_ERROR);
		rx(0, "ff", 1, true); /* late bytes hurt nobody */
		ck_assert(!conn.is_failed);
	}
}
END_TEST

/* Without datagrams there is no tunnel: the request waits for SETTINGS, then is refused. */
START_TEST(request_before_settings)
{
	start(SERVER);
	rx(0, CONNECT_IP, 100, false);
	ck_assert_uint_eq(type_cnt[QB_H3_EV_REQUEST], 0);
	rx(peer_uni(SERVER, 0), "00 04 02 3301", 100, false);
	ck_assert_uint_eq(type_cnt[QB_H3_EV_REQUEST], 1);

	start(SERVER);
	rx(0, CONNECT_IP, 100, false);
	rx(peer_uni(SERVER, 0), "00 04 00", 100, false);
	ck_assert_uint_eq(type_cnt[QB_H3_EV_REQUEST], 0);
	ck_assert(fake_get(&conn, 0)->tx_fin);
	ck_assert_uint_eq(fake_get(&conn, 0)->tx_len, 6); /* status 400 is index 67 */
}
END_TEST

/* Many plain requests one after the other, in any order, use the same few slots. */
START_TEST(many_requests)
{
	start(SERVER);
	rx(peer_uni(SERVER, 0), TYPE_AND_SETTINGS, 100, false);
	for (unsigned n = 0; n < 300; n++) {
		uint64_t id = 4u * (n ^ 1);

		rx(id, GET, 100, true);
		ck_assert(fake_find(&conn, id)->tx_fin);
		fake_find(&conn, id)->is_used = false;
	}
	rx(0, GET, 100, true); /* long ago */
	ck_assert_uint_eq(fake_find(&conn, 0)->tx_code, QB_H3_REQUEST_REJECTED);
	ck_assert(!conn.is_failed);
}
END_TEST

/* A client gives up request n, by a reset or by asking the server to stop. */
static void give_up(unsigned n)
{
	uint64_t id = 4u * n;

	if (n & 1) {
		fake_rx_reset(&conn, h3, id, QB_H3_REQUEST_CANCELLED);
		poll();
	} else {
		rx(id, "01", 1, false);
		fake_rx_stop(&conn, h3, id, QB_H3_REQUEST_CANCELLED);
		poll();
	}
	fake_find(&conn, id)->is_used = false;
}

/* Requests that are taken back as soon as they are made: an end with HTTP/3's word for it (RFC 9114 §8.1). */
START_TEST(rapid_reset)
{
	unsigned n = 0;

	start(SERVER);
	rx(peer_uni(SERVER, 0), TYPE_AND_SETTINGS, 100, false);
	while (!conn.is_failed && n < 1000)
		give_up(n++);
	ck_assert_uint_eq(n, 101);
	ck_assert_uint_eq(conn.fail_code, QB_H3_EXCESSIVE_LOAD);
}
END_TEST

/* A browser on a page that is being left gives up many, and others arrive: that may go on for ever. */
START_TEST(impatient_browser)
{
	start(SERVER);
	rx(peer_uni(SERVER, 0), TYPE_AND_SETTINGS, 100, false);
	for (unsigned n = 0; n < 5000; n++) {
		uint64_t id = 4u * n;

		if (n % 5) {
			give_up(n);
			continue;
		}
		rx(id, GET, 100, true);
		ck_assert(fake_find(&conn, id)->tx_fin);
		fake_find(&conn, id)->is_used = false;
	}
	ck_assert(!conn.is_failed);
}
END_TEST

/* Our own first bytes: stream types, and SETTINGS a peer of the same make takes. */
START_TEST(own_streams)
{
	start(SERVER);
	ck_assert_uint_eq(fake_find(&conn, 3)->tx[0], QB_H3_STREAM_CONTROL);
	ck_assert_uint_eq(fake_find(&conn, 3)->tx[1], QB_H3_FRAME_SETTINGS);
	ck_assert_uint_eq(fake_find(&conn, 7)->tx_len, 1);
	ck_assert_uint_eq(fake_find(&conn, 7)->tx[0], QB_H3_STREAM_QPACK_ENCODER);
	ck_assert_uint_eq(fake_find(&conn, 11)->tx[0], QB_H3_STREAM_QPACK_DECODER);
	for (uint64_t n = 0; n < 5000; n++)
		ck_assert_int_eq(qb_h3_frame_place(qb_h3_reserved(n)), QB_H3_ANYWHERE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("h3_rules");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed_cnt;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, control, 0, QB_ARRAY_LEN(control_rows));
	tcase_add_loop_test(tc, ready, 0, QB_ARRAY_LEN(ready_rows));
	tcase_add_loop_test(tc, uni, 0, QB_ARRAY_LEN(uni_rows));
	tcase_add_test(tc, many_unknown_unis);
	tcase_add_test(tc, critical_streams_reset_or_stopped);
	tcase_add_test(tc, server_opens_a_request);
	tcase_add_loop_test(tc, request, 0, QB_ARRAY_LEN(request_rows));
	tcase_add_loop_test(tc, answers, 0, QB_ARRAY_LEN(answer_rows));
	tcase_add_test(tc, request_before_settings);
	tcase_add_test(tc, many_requests);
	tcase_add_test(tc, rapid_reset);
	tcase_add_test(tc, impatient_browser);
	tcase_add_test(tc, own_streams);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed_cnt = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed_cnt ? 1 : 0;
}
