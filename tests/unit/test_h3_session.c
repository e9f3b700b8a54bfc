/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two ends talk CONNECT-IP over byte pipes: opening, addresses, routes, the bond capsule,
 * datagrams, every way to end; at any chunk size, with short writes and short reads.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "wire/varint.h"
#include "tests/unit/fake_conn.h"

struct end {
	struct qb_conn conn;
	struct qb_h3 *h;
	struct qb_h3_event ev[16]; /* what it told, oldest first */
	struct qb_h3_addr addrs[QB_H3_ADDRS_MAX];
	struct qb_h3_route routes[QB_H3_ROUTES_MAX];
	int ev_cnt;
	uint16_t answer; /* server: 0 leaves requests open */
};

static struct end client, server;

static void start(struct end *e, bool is_server)
{
	free(e->h);
	fake_init(&e->conn, is_server);
	e->ev_cnt = 0;
	e->answer = 200;
	e->h = NULL;
	ck_assert_int_eq(qb_h3_init(malloc(qb_h3_footprint()), &e->conn, is_server, &e->h), 0);
}

static void setup(void)
{
	start(&client, false);
	start(&server, true);
}

static void teardown(void)
{
	free(client.h);
	free(server.h);
	client.h = server.h = NULL;
}

static void poll(struct end *e)
{
	struct qb_h3_event ev;

	while (qb_h3_next_event(e->h, &ev)) {
		ck_assert_int_lt(e->ev_cnt, (int)QB_ARRAY_LEN(e->ev));
		e->ev[e->ev_cnt++] = ev;
		if (ev.addr_cnt)
			memcpy(e->addrs, ev.addrs, ev.addr_cnt * sizeof(*ev.addrs));
		if (ev.route_cnt)
			memcpy(e->routes, ev.routes, ev.route_cnt * sizeof(*ev.routes));
		if (ev.type == QB_H3_EV_REQUEST && e->answer)
			ck_assert_int_eq(qb_h3_respond(e->h, ev.session, e->answer), 0);
	}
}

static void writable(struct end *e)
{
	for (int i = 0; i < FAKE_STREAMS; i++) {
		if (e->conn.streams[i].is_used)
			fake_event(&e->conn, e->h, QB_EV_STREAM_WRITABLE, e->conn.streams[i].id, 0);
	}
}

/* run carries everything there is to carry, both ways. */
static void run(size_t chunk)
{
	bool is_moved = true;
	int idle_cnt = 0;

	while (idle_cnt < 3) {
		is_moved = fake_move(&client.conn, &server.conn, server.h, chunk);
		poll(&server);
		is_moved |= fake_move(&server.conn, &client.conn, client.h, chunk);
		poll(&client);
		writable(&client);
		writable(&server);
		idle_cnt = is_moved ? 0 : idle_cnt + 1;
	}
	ck_assert_msg(!client.conn.is_failed, "client: %s", client.conn.fail_why);
	ck_assert_msg(!server.conn.is_failed, "server: %s", server.conn.fail_why);
}

/* take checks the oldest event and forgets it. */
static struct qb_h3_event take(struct end *e, enum qb_h3_event_type type)
{
	struct qb_h3_event ev = e->ev[0];

	ck_assert_int_gt(e->ev_cnt, 0);
	ck_assert_int_eq(ev.type, type);
	memmove(e->ev, e->ev + 1, (size_t)--e->ev_cnt * sizeof(e->ev[0]));
	return ev;
}

static uint64_t open_session(size_t chunk)
{
	struct qb_h3_event ev;
	int64_t session;

	run(chunk);
	if (client.ev_cnt)
		ck_assert(take(&client, QB_H3_EV_READY).is_ok);
	if (server.ev_cnt)
		ck_assert(take(&server, QB_H3_EV_READY).is_ok);
	session = qb_h3_connect_ip(client.h, "hub.example:443", NULL);
	ck_assert_int_ge(session, 0);
	run(chunk);
	ev = take(&server, QB_H3_EV_REQUEST);
	ck_assert_uint_eq(ev.session, (uint64_t)session);
	ck_assert_str_eq(ev.authority, "hub.example:443");
	ck_assert_str_eq(ev.path, "/.well-known/masque/ip/*/*/");
	ev = take(&client, QB_H3_EV_RESPONSE);
	ck_assert_uint_eq(ev.session, (uint64_t)session);
	ck_assert_uint_eq(ev.status, 200);
	ck_assert(ev.is_ok);
	return (uint64_t)session;
}

static const struct {
	size_t chunk, read_max, write_max;
} pace_rows[] = {
	{SIZE_MAX, SIZE_MAX, SIZE_MAX},
	{1, SIZE_MAX, SIZE_MAX},
	{SIZE_MAX, 1, SIZE_MAX},
	{SIZE_MAX, SIZE_MAX, 1},
	{3, 2, 5},
	{7, 64, 100},
};

static void set_pace(int i)
{
	client.conn.read_max = server.conn.read_max = pace_rows[i].read_max;
	client.conn.write_max = server.conn.write_max = pace_rows[i].write_max;
}

START_TEST(exchange)
{
	static const struct qb_h3_addr request[] = {{1, {{0}, 4, 32}}, {2, {{0}, 6, 128}}};
	static const struct qb_h3_addr assign[] = {{1, {{10, 1, 2, 3}, 4, 32}},
						   {0, {{0x20, 1, 0xd, 0xb8}, 6, 48}}};
	static struct qb_h3_route routes[QB_H3_ROUTES_MAX];
	size_t chunk = pace_rows[_i].chunk;
	struct qb_h3_event ev;
	uint64_t session;

	for (uint32_t i = 0; i < QB_H3_ROUTES_MAX; i++) {
		routes[i].family = 6;
		routes[i].ip_proto = 17;
		routes[i].first[2] = routes[i].last[2] = (uint8_t)i;
	}
	set_pace(_i);
	session = open_session(chunk);

	ck_assert_int_eq(qb_h3_send_bond(client.h, session, 1, 2), 0);
	ck_assert_int_eq(qb_h3_send_addresses(client.h, session, true, request, 2), 0);
	ck_assert_int_eq(qb_h3_send_routes(server.h, session, routes, QB_H3_ROUTES_MAX), 0);
	ck_assert_int_eq(qb_h3_send_addresses(server.h, session, false, assign, 2), 0);
	ck_assert_int_eq(qb_h3_send_bond(server.h, session, 1, 2), 0);
	run(chunk);

	ev = take(&server, QB_H3_EV_BOND);
	ck_assert_uint_eq(ev.session, session);
	ck_assert_uint_eq(ev.bond_version, 1);
	ck_assert_uint_eq(ev.bond_context, 2);
	ev = take(&server, QB_H3_EV_ADDRESS_REQUEST);
	ck_assert(ev.is_ok);
	ck_assert_uint_eq(ev.addr_cnt, 2);
	ck_assert_mem_eq(server.addrs, request, sizeof(request));

	ev = take(&client, QB_H3_EV_ROUTES);
	ck_assert(ev.is_ok);
	ck_assert_uint_eq(ev.route_cnt, QB_H3_ROUTES_MAX);
	ck_assert_mem_eq(client.routes, routes, sizeof(routes));
	ev = take(&client, QB_H3_EV_ADDRESS_ASSIGN);
	ck_assert_uint_eq(ev.addr_cnt, 2);
	ck_assert_mem_eq(client.addrs, assign, sizeof(assign));
	ck_assert_uint_eq(take(&client, QB_H3_EV_BOND).bond_context, 2);

	/* an orderly end, by either side: FIN both ways */
	if (_i % 2)
		qb_h3_close_session(client.h, session, QB_H3_NO_ERROR);
	else
		qb_h3_close_session(server.h, session, QB_H3_NO_ERROR);
	run(chunk);
	ev = take(_i % 2 ? &server : &client, QB_H3_EV_CLOSED);
	ck_assert_uint_eq(ev.session, session);
	ck_assert_uint_eq(ev.error_code, QB_H3_NO_ERROR);
	ck_assert_int_eq(client.ev_cnt + server.ev_cnt, 0);
	ck_assert_int_eq(qb_h3_send_bond(client.h, session, 1, 2), -ENOENT);
	ck_assert_int_eq(qb_h3_send_bond(server.h, session, 1, 2), -ENOENT);
}
END_TEST

/* Capsules that were sent before the end still arrive. */
START_TEST(capsules_then_end)
{
	uint64_t session;

	set_pace(_i);
	session = open_session(pace_rows[_i].chunk);
	ck_assert_int_eq(qb_h3_send_bond(client.h, session, 1, 2), 0);
	ck_assert_int_eq(qb_h3_send_routes(client.h, session, NULL, 0), 0);
	qb_h3_close_session(client.h, session, QB_H3_NO_ERROR);
	run(pace_rows[_i].chunk);
	(void)take(&server, QB_H3_EV_BOND);
	ck_assert_uint_eq(take(&server, QB_H3_EV_ROUTES).route_cnt, 0);
	ck_assert_uint_eq(take(&server, QB_H3_EV_CLOSED).error_code, QB_H3_NO_ERROR);
}
END_TEST

START_TEST(slots_are_used_again)
{
	for (int i = 0; i < 20; i++) {
		uint64_t session;

		client.conn.max_bidi = 20;
		session = open_session(SIZE_MAX);
		if (i % 3 == 0)
			qb_h3_close_session(client.h, session, QB_H3_NO_ERROR);
		else if (i % 3 == 1)
			qb_h3_close_session(server.h, session, QB_H3_REQUEST_CANCELLED);
		else
			qb_h3_close_session(client.h, session, QB_H3_REQUEST_CANCELLED);
		run(SIZE_MAX);
		ck_assert_uint_eq(take(i % 3 == 1 ? &client : &server, QB_H3_EV_CLOSED).error_code,
				  i % 3 ? QB_H3_REQUEST_CANCELLED : QB_H3_NO_ERROR);
		fake_find(&client.conn, session)->is_used = false;
		fake_find(&server.conn, session)->is_used = false;
	}
}
END_TEST

START_TEST(refused)
{
	static const uint16_t rows[] = {300, 403, 404, 503};
	struct qb_h3_event ev;
	int64_t session;

	run(SIZE_MAX);
	(void)take(&client, QB_H3_EV_READY);
	server.answer = rows[_i];
	session = qb_h3_connect_ip(client.h, "h", NULL);
	run(SIZE_MAX);
	ev = take(&client, QB_H3_EV_RESPONSE);
	ck_assert_uint_eq(ev.status, rows[_i]);
	ck_assert(!ev.is_ok);
	ck_assert_int_eq(client.ev_cnt, 0); /* no CLOSED after it */
	ck_assert_int_eq(qb_h3_send_bond(client.h, (uint64_t)session, 1, 2), -ENOENT);
	(void)take(&server, QB_H3_EV_READY);
	(void)take(&server, QB_H3_EV_REQUEST);
	ck_assert_int_eq(server.ev_cnt, 0);
}
END_TEST

START_TEST(respond_arguments)
{
	static const uint16_t bad[] = {0, 100, 101, 199, 201, 204, 299, 600};
	int64_t session;

	server.answer = 0;
	run(SIZE_MAX);
	session = qb_h3_connect_ip(client.h, "h", NULL);
	run(SIZE_MAX);
	for (size_t i = 0; i < QB_ARRAY_LEN(bad); i++)
		ck_assert_int_eq(qb_h3_respond(server.h, (uint64_t)session, bad[i]), -EINVAL);
	ck_assert_int_eq(qb_h3_respond(server.h, 400, 200), -ENOENT);
	ck_assert_int_eq(qb_h3_send_bond(server.h, (uint64_t)session, 1, 2), -ENOENT);
	ck_assert_int_eq(qb_h3_respond(server.h, (uint64_t)session, 200), 0);
	ck_assert_int_eq(qb_h3_respond(server.h, (uint64_t)session, 200), -ENOENT);
}
END_TEST

START_TEST(connect_arguments)
{
	ck_assert_int_eq(qb_h3_connect_ip(client.h, "h", NULL), -EAGAIN); /* no SETTINGS yet */
	run(SIZE_MAX);
	ck_assert_int_eq(qb_h3_connect_ip(client.h, "", NULL), -EINVAL);
	ck_assert_int_eq(qb_h3_connect_ip(client.h, "a/b", NULL), -EINVAL);
	ck_assert_int_eq(qb_h3_connect_ip(server.h, "h", NULL), -ENOTCONN);
	client.conn.max_bidi = 1;
	ck_assert_int_eq(qb_h3_connect_ip(client.h, "h", NULL), 0);
	ck_assert_int_eq(qb_h3_connect_ip(client.h, "h", NULL), -EAGAIN);
	client.conn.max_bidi = 8;
	ck_assert_int_eq(qb_h3_connect_ip(client.h, "h", NULL), 4);
	ck_assert_int_eq(qb_h3_connect_ip(client.h, "h", NULL), 8);
	ck_assert_int_eq(qb_h3_connect_ip(client.h, "h", NULL), 12);
	ck_assert_int_eq(qb_h3_connect_ip(client.h, "h", NULL), -ENOSPC);
}
END_TEST

START_TEST(capsule_arguments)
{
	static const struct qb_h3_route unsorted[] = {{4, 0, {11}, {12}}, {4, 0, {10}, {10}}};
	static const struct qb_h3_route many[QB_H3_ROUTES_MAX + 1];
	static const struct qb_h3_addr zero_id = {0, {{0}, 4, 32}};
	static const struct qb_h3_addr host_bits = {1, {{10, 0, 0, 1}, 4, 8}};
	static const struct qb_h3_addr no_family = {1, {{0}, 0, 0}};
	uint64_t session = open_session(SIZE_MAX);

	ck_assert_int_eq(qb_h3_send_routes(client.h, session, unsorted, 2), -EINVAL);
	ck_assert_int_eq(qb_h3_send_routes(client.h, session, many, QB_ARRAY_LEN(many)), -EINVAL);
	ck_assert_int_eq(qb_h3_send_addresses(client.h, session, true, &zero_id, 1), -EINVAL);
	ck_assert_int_eq(qb_h3_send_addresses(client.h, session, true, &zero_id, 0), -EINVAL);
	ck_assert_int_eq(qb_h3_send_addresses(client.h, session, false, &host_bits, 1), -EINVAL);
	ck_assert_int_eq(qb_h3_send_addresses(client.h, session, false, &no_family, 1), -EINVAL);
	ck_assert_int_eq(qb_h3_send_bond(client.h, session, 1, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(qb_h3_send_bond(client.h, session + 4, 1, 2), -ENOENT);
	run(SIZE_MAX);
	ck_assert_int_eq(server.ev_cnt, 0);
}
END_TEST

/* A stream that takes nothing: capsules wait in the buffer, whole or not at all, and all come out
 * in order. */
START_TEST(full_buffer)
{
	uint64_t session = open_session(SIZE_MAX);
	int sent_cnt = 0;

	client.conn.write_max = 0;
	while (qb_h3_send_bond(client.h, session, 1, (uint64_t)sent_cnt) == 0)
		sent_cnt++;
	ck_assert_int_gt(sent_cnt, 100);
	ck_assert_int_eq(qb_h3_send_bond(client.h, session, 1, 2), -EAGAIN);
	client.conn.write_max = 100;
	for (int i = 0; i < sent_cnt; i++) {
		struct qb_h3_event ev = {0};

		while (!qb_h3_next_event(server.h, &ev)) {
			writable(&client);
			ck_assert(fake_move(&client.conn, &server.conn, server.h, SIZE_MAX));
		}
		ck_assert_uint_eq(ev.bond_context, (uint64_t)i);
	}
	ck_assert_int_eq(qb_h3_send_bond(client.h, session, 1, 2), 0);
}
END_TEST

START_TEST(more_sessions_than_slots)
{
	static uint8_t request[256];
	struct qb_wr w = qb_wr_init(request, sizeof(request));
	uint64_t id;

	server.answer = 0;
	run(SIZE_MAX);
	for (int i = 0; i < QB_H3_SESSIONS_MAX; i++)
		ck_assert_int_ge(qb_h3_connect_ip(client.h, "h", NULL), 0);
	run(SIZE_MAX);
	(void)take(&server, QB_H3_EV_READY);
	ck_assert_int_eq(server.ev_cnt, QB_H3_SESSIONS_MAX);

	/* a fifth CONNECT-IP, made by hand for the client would not send it */
	qb_wr_bytes(&w, fake_find(&client.conn, 0)->tx, fake_find(&client.conn, 0)->tx_len);
	ck_assert(!w.bad);
	id = 4u * QB_H3_SESSIONS_MAX;
	fake_rx(&server.conn, server.h, id, request, (size_t)(w.p - request), false);
	poll(&server);
	ck_assert_int_eq(server.ev_cnt, QB_H3_SESSIONS_MAX);
	ck_assert_uint_eq(fake_find(&server.conn, id)->tx_code, QB_H3_REQUEST_REJECTED);
	ck_assert_uint_eq(fake_find(&server.conn, id)->stop_code, QB_H3_REQUEST_REJECTED);

	/* streams past all slots */
	for (int i = 1; i <= 3; i++)
		fake_rx(&server.conn, server.h, id + 4u * (unsigned)i, request, 1, false);
	ck_assert_uint_eq(fake_find(&server.conn, id + 8)->tx_code, FAKE_NO_CODE);
	ck_assert_uint_eq(fake_find(&server.conn, id + 12)->tx_code, QB_H3_REQUEST_REJECTED);
	ck_assert(!server.conn.is_failed);
}
END_TEST

/* The peer's resets and stops reach the owner once, with their code. */
START_TEST(peer_aborts)
{
	uint64_t session = open_session(SIZE_MAX);
	struct end *victim = _i & 1 ? &client : &server;

	if (_i & 2)
		fake_rx_reset(&victim->conn, victim->h, session, 0x123);
	else
		fake_rx_stop(&victim->conn, victim->h, session, 0x123);
	poll(victim);
	ck_assert_uint_eq(take(victim, QB_H3_EV_CLOSED).error_code, 0x123);
	poll(victim);
	ck_assert_int_eq(victim->ev_cnt, 0);
	ck_assert_int_eq(qb_h3_send_bond(victim->h, session, 1, 2), -ENOENT);
	ck_assert(!victim->conn.is_failed);
	ck_assert(fake_find(&victim->conn, session)->tx_reset);
}
END_TEST

/* A reset while the owner still thinks about a request is told after the answer. */
START_TEST(reset_while_offered)
{
	int64_t session;

	server.answer = 0;
	run(SIZE_MAX);
	session = qb_h3_connect_ip(client.h, "h", NULL);
	run(SIZE_MAX);
	qb_h3_close_session(client.h, (uint64_t)session, QB_H3_NO_ERROR); /* not open: a reset */
	run(SIZE_MAX);
	(void)take(&server, QB_H3_EV_READY);
	(void)take(&server, QB_H3_EV_REQUEST);
	ck_assert_int_eq(qb_h3_respond(server.h, (uint64_t)session, 200), -ENOENT);
	ck_assert_uint_eq(take(&server, QB_H3_EV_CLOSED).error_code, QB_H3_REQUEST_CANCELLED);
}
END_TEST

START_TEST(goaway)
{
	uint64_t first = open_session(SIZE_MAX), second = open_session(SIZE_MAX);
	uint8_t frame[] = {0x07, 0x01, (uint8_t)second};
	uint8_t again[] = {0x07, 0x01, (uint8_t)first};

	fake_rx(&client.conn, client.h, 3, frame, sizeof(frame), false);
	poll(&client);
	(void)take(&client, QB_H3_EV_GOAWAY);
	ck_assert_uint_eq(client.ev[0].session, second);
	ck_assert_uint_eq(take(&client, QB_H3_EV_CLOSED).error_code, QB_H3_REQUEST_REJECTED);
	ck_assert_int_eq(client.ev_cnt, 0);
	ck_assert_int_eq(qb_h3_send_bond(client.h, first, 1, 2), 0);
	ck_assert_int_eq(qb_h3_connect_ip(client.h, "h", NULL), -ESHUTDOWN);
	fake_rx(&client.conn, client.h, 3, again, sizeof(again), false);
	poll(&client);
	(void)take(&client, QB_H3_EV_GOAWAY);
	ck_assert_uint_eq(take(&client, QB_H3_EV_CLOSED).session, first);
	ck_assert(!client.conn.is_failed);
}
END_TEST

/* ---- datagrams ---- */

static uint8_t frame_mem[512];

static struct qb_buf buf_of(const void *data, uint32_t len)
{
	struct qb_buf b = {.data = frame_mem + 64, .len = len};

	memcpy(b.data, data, len);
	return b;
}

START_TEST(wrap_and_unwrap)
{
	static const uint64_t contexts[] = {0, 2, 63, 64, 0x3fffffff, QB_VARINT_MAX};
	uint64_t first = open_session(SIZE_MAX), second = open_session(SIZE_MAX);

	for (size_t i = 0; i < QB_ARRAY_LEN(contexts); i++) {
		struct qb_buf b = buf_of("packet", 6);
		uint64_t session, context;

		qb_h3_wrap(client.h, second, contexts[i], &b);
		ck_assert_uint_le(b.len, 6 + QB_H3_DATAGRAM_OVERHEAD);
		if (i < 3)
			ck_assert_uint_eq(b.len, 8);
		ck_assert_int_eq(qb_h3_unwrap(server.h, &b, &session, &context), 0);
		ck_assert_uint_eq(session, second);
		ck_assert_uint_eq(context, contexts[i]);
		ck_assert_uint_eq(b.len, 6);
		ck_assert_mem_eq(b.data, "packet", 6);
	}
	ck_assert_uint_ne(first, second);
}
END_TEST

START_TEST(unwrap_unknown)
{
	uint64_t known = open_session(SIZE_MAX), session, context;
	struct qb_buf b = buf_of("\x05\x00x", 3); /* stream 20 */

	ck_assert_int_eq(qb_h3_unwrap(server.h, &b, &session, &context), -ENOENT);
	b = buf_of("\x00", 1); /* no context ID */
	ck_assert_int_eq(qb_h3_unwrap(server.h, &b, &session, &context), -ENOENT);
	b = buf_of("\x00\x00", 2); /* no payload */
	ck_assert_int_eq(qb_h3_unwrap(server.h, &b, &session, &context), 0);
	ck_assert_uint_eq(b.len, 0);
	qb_h3_close_session(client.h, known, QB_H3_NO_ERROR);
	b = buf_of("\x00\x00x", 3);
	ck_assert_int_eq(qb_h3_unwrap(client.h, &b, &session, &context), -ENOENT);
	ck_assert(!server.conn.is_failed);
}
END_TEST

START_TEST(unwrap_malformed)
{
	static const struct {
		const char *bytes;
		uint32_t len;
	} rows[] = {{"", 0},
		    {"\x40", 1},
		    {"\xd0\0\0\0\0\0\0\0\0", 9},
		    {"\xff\xff\xff\xff\xff\xff\xff\xff\0", 9}};
	struct qb_buf b = buf_of(rows[_i].bytes, rows[_i].len);
	uint64_t session, context;

	(void)open_session(SIZE_MAX);
	b = buf_of(rows[_i].bytes, rows[_i].len);
	ck_assert_int_eq(qb_h3_unwrap(server.h, &b, &session, &context), -EBADMSG);
	ck_assert_uint_eq(server.conn.fail_code, QB_H3_DATAGRAM_ERROR);
	ck_assert_int_eq(qb_h3_unwrap(server.h, &b, &session, &context), -ENOENT);
}
END_TEST

START_TEST(init_without_streams)
{
	struct qb_h3 *h = NULL;
	void *mem = malloc(qb_h3_footprint());

	fake_init(&client.conn, false);
	client.conn.max_uni = 0;
	ck_assert_int_eq(qb_h3_init(mem, &client.conn, false, &h), -EAGAIN);
	ck_assert_ptr_null(h);
	client.conn.max_uni = 1; /* the QPACK streams may be left out */
	ck_assert_int_eq(qb_h3_init(mem, &client.conn, false, &h), 0);
	ck_assert_uint_eq(client.conn.streams[0].tx[0], 0);
	free(mem);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("h3_session");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed_cnt;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, exchange, 0, QB_ARRAY_LEN(pace_rows));
	tcase_add_loop_test(tc, capsules_then_end, 0, QB_ARRAY_LEN(pace_rows));
	tcase_add_test(tc, slots_are_used_again);
	tcase_add_loop_test(tc, refused, 0, 4);
	tcase_add_test(tc, respond_arguments);
	tcase_add_test(tc, connect_arguments);
	tcase_add_test(tc, capsule_arguments);
	tcase_add_test(tc, full_buffer);
	tcase_add_test(tc, more_sessions_than_slots);
	tcase_add_loop_test(tc, peer_aborts, 0, 4);
	tcase_add_test(tc, reset_while_offered);
	tcase_add_test(tc, goaway);
	tcase_add_test(tc, wrap_and_unwrap);
	tcase_add_test(tc, unwrap_unknown);
	tcase_add_loop_test(tc, unwrap_malformed, 0, 4);
	tcase_add_test(tc, init_without_streams);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed_cnt = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed_cnt ? 1 : 0;
}
