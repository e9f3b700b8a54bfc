/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Resumption and 0-RTT between two endpoints in memory: round trips are counted by the clock; data
 * arrives once and whole, whether the server takes it early or not; and first flights that are
 * replayed, reordered, lost or sent to the wrong server do no harm.
 */
#include <check.h>
#include <errno.h>
#include <time.h>

#include "quic_pair.h"

enum {
	RTT_MS = 20,
	SESSIONS = 8,
	ASK_MAX = 60000,
	RECORDED = 32,
};

struct session {
	uint8_t bytes[QB_SESSION_MAX];
	size_t len;
};

/* Contexts that outlive the endpoints, as a state directory makes them; and what the applications
 * saw. */
struct world {
	struct qb_tickets *tickets;
	struct qb_tls_ctx *tls[2];
	struct session session[SESSIONS];
	uint32_t session_cnt;
	/* of the pair under way */
	uint32_t ask_bytes;
	bool is_asking_late; /* only once established */
	uint32_t asks, answers,
		asks_early; /* whole requests that the server saw, answers that the client saw */
	uint32_t ask_off;
	uint64_t answer_ns;
	bool is_bad;
	/* first flight */
	struct pair_pkt recorded[RECORDED];
	uint32_t recorded_cnt;
};

static struct world world;

static uint8_t byte_at(uint32_t off)
{
	return (uint8_t)(off * 7 + off / 251);
}

static void make_world(void)
{
	char pem[2][512], err[QB_TLS_ERR_LEN] = "";
	uint8_t pub[2][QB_PUBKEY_LEN];

	memset(&world, 0, sizeof(world));
	world.tickets = qb_tickets_new(NULL, (uint64_t)time(NULL));
	ck_assert_ptr_nonnull(world.tickets);
	pair_make_keys(pem, pub);
	for (int i = 0; i < 2; i++) {
		struct qb_tls_cfg tc = {
			.is_server = i == SERVER,
			.key_pem = pem[i],
			.name = i == SERVER ? "hub" : "edge",
			.alpn = "h3",
			.peers = (const uint8_t(*)[QB_PUBKEY_LEN]) & pub[!i],
			.peer_cnt = 1,
			.tickets = world.tickets,
			.is_early = true,
		};

		world.tls[i] = qb_tls_ctx_new(&tc, err);
		ck_assert_ptr_nonnull(world.tls[i]);
	}
	world.ask_bytes = 300;
}

static void drop_world(void)
{
	qb_tls_ctx_free(world.tls[0]);
	qb_tls_ctx_free(world.tls[1]);
	qb_tickets_free(world.tickets);
}

static struct pair_opts opts(uint64_t seed)
{
	struct pair_opts o = pair_default_opts(seed);

	o.tls[0] = world.tls[0];
	o.tls[1] = world.tls[1];
	o.is_early[0] = o.is_early[1] = true;
	o.early_context = "app";
	return o;
}

/* ---- the applications: a request of ask_bytes, an answer of one byte ---- */

static void ask(struct qb_conn *c)
{
	static uint8_t data[ASK_MAX];
	int64_t id = qb_conn_open_stream(c, true);

	ck_assert_int_ge(id, 0);
	for (uint32_t i = 0; i < world.ask_bytes; i++)
		data[i] = byte_at(i);
	ck_assert_int_eq(qb_conn_stream_write(c, (uint64_t)id, data, world.ask_bytes, true),
			 world.ask_bytes);
}

static void serve(const struct qb_quic_event *ev)
{
	struct qb_conn_info info;
	uint8_t data[1500];
	bool is_fin = false;
	int64_t n;

	while ((n = qb_conn_stream_read(ev->conn, ev->stream_id, data, sizeof(data), &is_fin,
					NULL)) > 0)
		for (int64_t i = 0; i < n; i++)
			world.is_bad |= data[i] != byte_at(world.ask_off++);
	if (!is_fin)
		return;
	world.is_bad |= world.ask_off != world.ask_bytes;
	world.ask_off = 0;
	world.asks++;
	qb_conn_get_info(ev->conn, &info);
	world.asks_early += !info.is_established;
	ck_assert_int_eq(qb_conn_stream_write(ev->conn, ev->stream_id, "!", 1, true), 1);
}

static void take_answer(const struct pair *p, const struct qb_quic_event *ev)
{
	uint8_t data[16];
	bool is_fin = false;

	if (qb_conn_stream_read(ev->conn, ev->stream_id, data, sizeof(data), &is_fin, NULL) != 1)
		return;
	world.is_bad |= data[0] != '!';
	world.answers++;
	world.answer_ns = p->now_ns;
}

static void on_event(struct pair *p, int side, const struct qb_quic_event *ev)
{
	struct session *s = &world.session[world.session_cnt];

	if (ev->type == QB_EV_CONN_EARLY && side == CLIENT && !world.is_asking_late)
		ask(ev->conn);
	else if (ev->type == QB_EV_CONN_ESTABLISHED &&
		 (world.is_asking_late || !p->end[CLIENT].events[QB_EV_CONN_EARLY]))
		ask(ev->conn);
	else if (ev->type == QB_EV_STREAM_READABLE && side == SERVER)
		serve(ev);
	else if (ev->type == QB_EV_STREAM_READABLE)
		take_answer(p, ev);
	else if (ev->type == QB_EV_SESSION && world.session_cnt < SESSIONS) {
		s->len = qb_conn_take_session(ev->conn, s->bytes);
		world.session_cnt += s->len > 0;
		while (world.session_cnt < SESSIONS && (s = &world.session[world.session_cnt])) {
			s->len = qb_conn_take_session(ev->conn, s->bytes);
			if (!s->len)
				break;
			world.session_cnt++;
		}
	}
}

static bool is_answered(struct pair *p)
{
	(void)p;
	return world.answers > 0;
}

static struct pair *start(const struct pair_opts *o)
{
	struct pair *p = pair_new(o);

	world.asks = world.answers = world.asks_early = world.ask_off = 0;
	world.answer_ns = 0;
	p->on_event = on_event;
	return p;
}

static void resume(struct pair *p, const struct session *s)
{
	struct qb_tuple t = pair_client_tuple(0);

	ck_assert_ptr_nonnull(
		qb_quic_resume(p->end[CLIENT].q, &t, "hub", s->bytes, s->len, p->now_ns));
}

/* first_visit gets sessions from a connection without any. */
static struct session first_visit(const struct pair_opts *o)
{
	struct pair *p = start(o);

	world.session_cnt = 0;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, is_answered, 10 * SEC));
	pair_run(p, 300 * MS);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_RESUMPTIONS], 0);
	ck_assert_uint_ge(world.session_cnt, 3);
	pair_free(p);
	return world.session[0];
}

static uint64_t count(const struct pair *p, int side, enum qb_counter what)
{
	return p->end[side].counters.v[what];
}

/* Pairs begin at SEC. What the pacer does to a first flight stays under a tenth of a round trip. */
static uint64_t answer_ms(void)
{
	return (world.answer_ns - SEC) / MS;
}

static void check_round_trips(uint64_t cnt)
{
	ck_assert_uint_ge(answer_ms(), cnt * RTT_MS);
	ck_assert_uint_le(answer_ms(), cnt * RTT_MS + RTT_MS / 10);
}

/* visit resumes, waits for the answer and checks that all arrived once. Returns the pair. */
static struct pair *visit(const struct pair_opts *o, const struct session *s)
{
	struct pair *p = start(o);

	resume(p, s);
	ck_assert(pair_run_until(p, is_answered, 10 * SEC));
	ck_assert_uint_eq(world.asks, 1);
	ck_assert(!world.is_bad);
	return p;
}

/* ---- how many round trips ---- */

START_TEST(one_round_trip)
{
	struct pair_opts o = opts(1);
	struct session s = first_visit(&o);
	struct pair *p = visit(&o, &s);
	struct qb_tuple second = pair_client_tuple(1);
	struct qb_conn_info info;

	/* Both endpoints are new; only tickets and keys were kept. */
	check_round_trips(1);
	ck_assert_uint_eq(world.asks_early, 1);
	pair_run(p, 300 * MS);
	for (int side = 0; side < 2; side++) {
		ck_assert_uint_eq(count(p, side, QB_CNT_RESUMPTIONS), 1);
		ck_assert_uint_eq(count(p, side, QB_CNT_EARLY_ACCEPTED), 1);
		ck_assert_uint_eq(count(p, side, QB_CNT_EARLY_REJECTED), 0);
		ck_assert_uint_eq(p->end[side].events[QB_EV_CONN_EARLY], 1);
		qb_conn_get_info(p->end[side].conn, &info);
		ck_assert(info.is_established && info.is_resumed);
		ck_assert_int_eq(info.early, QB_TLS_EARLY_ACCEPTED);
		ck_assert_int_eq(info.peer_idx, 0);
	}
	ck_assert_uint_ge(count(p, SERVER, QB_CNT_EARLY_PACKETS_RX), 1);
	/* Multipath comes with the handshake's end, as ever (RFC 10069 §2.1). */
	ck_assert(info.is_multipath);
	ck_assert_int_eq(qb_conn_open_path(p->end[CLIENT].conn, &second, p->now_ns), 1);
	pair_run(p, 300 * MS);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_VALIDATED], 1);
	pair_free(p);
}
END_TEST

START_TEST(two_round_trips_without)
{
	struct pair_opts o = opts(2);
	struct pair *p = start(&o);

	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, is_answered, 10 * SEC));
	check_round_trips(2);
	pair_free(p);
}
END_TEST

START_TEST(nobody_wants_early_data)
{
	struct pair_opts o = opts(3);
	struct session s = first_visit(&o);
	struct pair *p;

	o.is_early[CLIENT] = false;
	p = visit(&o, &s);
	check_round_trips(2);
	ck_assert_uint_eq(count(p, SERVER, QB_CNT_RESUMPTIONS), 1);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_EARLY], 0);
	pair_free(p);
	/* A server that stopped taking it: the client's data comes a round trip later. */
	s = world.session[1];
	o.is_early[CLIENT] = true;
	o.is_early[SERVER] = false;
	p = visit(&o, &s);
	check_round_trips(2);
	ck_assert_uint_eq(count(p, CLIENT, QB_CNT_EARLY_REJECTED), 1);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_EARLY], 0);
	pair_free(p);
}
END_TEST

/* What an observer is told of the keys of 0-RTT. */
struct key_watch {
	struct qb_observer o;
	uint32_t made, discarded;
	bool is_resumed, is_early;
};

static void watch_keys(void *arg, const struct qb_trace_event *ev)
{
	struct key_watch *w = arg;

	w->made += ev->type == QB_TRACE_KEY_UPDATED && ev->key.level == QB_LEVEL_EARLY && !ev->key.is_server;
	w->discarded += ev->type == QB_TRACE_KEY_DISCARDED && ev->key.level == QB_LEVEL_EARLY && !ev->key.is_server;
	if (ev->type == QB_TRACE_CONNECTION_STATE_UPDATED) {
		w->is_resumed = ev->state.is_resumed;
		w->is_early = ev->state.is_early;
	}
}

START_TEST(traced_keys)
{
	struct pair_opts o = opts(16);
	struct session s = first_visit(&o);
	struct key_watch w[2] = {{.o = {watch_keys, &w[0]}}, {.o = {watch_keys, &w[1]}}};
	struct pair *p;

	if (_i)
		o.early_context = "another app"; /* rejected: the server has no such keys */
	p = start(&o);
	for (int side = 0; side < 2; side++)
		qb_quic_set_observer(p->end[side].q, &w[side].o);
	resume(p, &s);
	ck_assert(pair_run_until(p, is_answered, 10 * SEC));
	pair_run(p, SEC);
	ck_assert_uint_eq(w[CLIENT].made, 1);
	ck_assert_uint_eq(w[CLIENT].discarded, 1);
	ck_assert_uint_eq(w[SERVER].made, !_i);
	ck_assert_uint_eq(w[SERVER].discarded, !_i);
	for (int side = 0; side < 2; side++) {
		ck_assert(w[side].is_resumed);
		ck_assert(w[side].is_early == !_i);
	}
	pair_free(p);
}
END_TEST

/* Retry costs its round trip; 0-RTT goes with the second Initial as well (RFC 9000 §17.2.5.2). */
START_TEST(with_a_retry)
{
	struct pair_opts o = opts(4);
	struct session s = first_visit(&o);
	struct pair *p;

	o.retry = QB_RETRY_ALWAYS;
	p = visit(&o, &s);
	check_round_trips(2);
	ck_assert_uint_eq(count(p, SERVER, QB_CNT_RETRY_TX), 1);
	ck_assert_uint_eq(world.asks_early, 1);
	pair_run(p, 300 * MS);
	ck_assert_uint_eq(count(p, SERVER, QB_CNT_EARLY_ACCEPTED), 1);
	pair_free(p);
}
END_TEST

/* ---- rejected ---- */

START_TEST(rejected_data_is_sent_again)
{
	struct pair_opts o = opts(5);
	struct session s = first_visit(&o);
	struct pair *p;

	world.ask_bytes = 20000;
	o.early_context = "another app";
	p = visit(&o, &s);
	ck_assert_uint_eq(world.asks_early, 0);
	pair_run(p, 300 * MS);
	for (int side = 0; side < 2; side++) {
		ck_assert_uint_eq(count(p, side, QB_CNT_RESUMPTIONS), 1);
		ck_assert_uint_eq(count(p, side, QB_CNT_EARLY_REJECTED), 1);
		ck_assert_uint_eq(count(p, side, QB_CNT_EARLY_ACCEPTED), 0);
	}
	ck_assert_uint_eq(count(p, SERVER, QB_CNT_EARLY_PACKETS_RX), 0);
	/* Nobody took that for congestion. */
	ck_assert_uint_eq(count(p, CLIENT, QB_CNT_PACKETS_LOST), 0);
	pair_free(p);
}
END_TEST

static void ask_many(struct pair *p, int side, const struct qb_quic_event *ev)
{
	if (ev->type == QB_EV_CONN_EARLY && side == CLIENT)
		for (int i = 0; i < 12; i++)
			ask(ev->conn);
	(void)p;
}

/*
 * A server that wants another key share (HelloRetryRequest): no 0-RTT before the second ClientHello can be meant (RFC 8446
 * §4.2.10), so all of it is sent again, once; a lossy network changes nothing of that.
 */
START_TEST(hello_retry_request)
{
	struct pair_opts o = opts(500 + (uint64_t)_i);
	struct session s;
	struct pair *p;

	ck_assert_int_eq(qb_tls_ctx_set_groups(world.tls[SERVER], "P-256"), 0);
	s = first_visit(&o);
	world.ask_bytes = 20000;
	p = start(&o);
	if (_i) {
		p->link[0].loss = 0.15;
		p->link[0].jitter_ns = 10 * MS;
	}
	resume(p, &s);
	ck_assert(pair_run_until(p, is_answered, 60 * SEC));
	if (!_i)
		check_round_trips(4); /* of 20000 bytes a window's worth goes first */
	pair_run(p, SEC);
	ck_assert_uint_eq(world.asks, 1);
	ck_assert_uint_eq(world.asks_early, 0);
	ck_assert(!world.is_bad);
	ck_assert_uint_eq(count(p, CLIENT, QB_CNT_EARLY_REJECTED), 1);
	ck_assert_uint_eq(count(p, SERVER, QB_CNT_EARLY_ACCEPTED), 0);
	ck_assert_uint_eq(count(p, SERVER, QB_CNT_EARLY_PACKETS_RX), 0);
	for (int side = 0; side < 2; side++)
		ck_assert_uint_eq(count(p, side, QB_CNT_RESUMPTIONS), 1);
	pair_free(p);
}
END_TEST

START_TEST(rejected_and_the_limits_are_lower)
{
	struct pair_opts o = opts(6);
	struct session s = first_visit(&o);
	struct pair *p;

	o.streams = 8;
	p = start(&o);
	p->on_event = ask_many;
	resume(p, &s);
	pair_run(p, SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_str_eq(p->end[CLIENT].reason, "0-RTT rejected, and limits are lower now");
	pair_free(p);
}
END_TEST

START_TEST(accepted_and_the_limits_are_lower)
{
	struct pair_opts o = opts(7);
	struct session s = first_visit(&o);
	struct pair *p;

	/* The client believes to remember one stream more than the server ever allowed: two bytes,
	 * 0x10 in the blob. */
	for (size_t i = 8; i + 1 < 64; i++) {
		if (s.bytes[i] == 16 && s.bytes[i + 1] == 16) {
			s.bytes[i] = 17;
			break;
		}
	}
	p = start(&o);
	resume(p, &s);
	pair_run(p, SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_uint_eq(p->end[CLIENT].last[QB_EV_CONN_CLOSED].error_code,
			  0x0a); /* PROTOCOL_VIOLATION */
	ck_assert_str_eq(p->end[CLIENT].reason, "max_streams_bidi");
	pair_free(p);
}
END_TEST

/* ---- the way of the first flight ---- */

static bool record(struct pair *p, int from, struct pair_pkt *k)
{
	(void)p;
	if (from == CLIENT && world.recorded_cnt < RECORDED)
		world.recorded[world.recorded_cnt++] = *k;
	return true;
}

START_TEST(a_replayed_first_flight)
{
	struct pair_opts o = opts(8);
	struct session s = first_visit(&o);
	struct pair *p = start(&o);
	uint32_t flight;

	world.recorded_cnt = 0;
	world.ask_bytes = 3000;
	p->on_packet = record;
	resume(p, &s);
	pair_run(p, MS);
	flight = world.recorded_cnt;
	ck_assert_uint_ge(flight, 3);
	ck_assert(pair_run_until(p, is_answered, 10 * SEC));
	pair_run(p, 300 * MS);
	ck_assert_uint_eq(world.asks, 1);
	pair_free(p);

	/* The server restarts with its memory, and hears all that again, twice, from somebody else.
	 */
	p = start(&o);
	p->is_garbage_ok = true;
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < flight; i++) {
			struct pair_pkt *k = &world.recorded[i];

			k->tuple.peer.port = (uint16_t)(7000 + round);
			pair_inject(p, SERVER, &k->tuple, k->data, k->len);
		}
		pair_run(p, SEC);
	}
	ck_assert_uint_eq(world.asks, 0);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_EARLY], 0);
	ck_assert_uint_eq(count(p, SERVER, QB_CNT_EARLY_PACKETS_RX), 0);
	ck_assert_uint_ge(count(p, SERVER, QB_CNT_EARLY_REPLAYED), 1);
	pair_free(p);
}
END_TEST

static bool delay_first(struct pair *p, int from, struct pair_pkt *k)
{
	if (from == CLIENT && world.recorded_cnt++ == 0)
		k->at_ns = p->now_ns + 15 * MS;
	return true;
}

START_TEST(early_data_before_its_initial)
{
	struct pair_opts o = opts(9);
	struct session s = first_visit(&o);
	struct pair *p;

	world.ask_bytes = 6000;
	world.recorded_cnt = 0;
	p = start(&o);
	p->on_packet = delay_first;
	resume(p, &s);
	ck_assert(pair_run_until(p, is_answered, 10 * SEC));
	ck_assert_uint_eq(world.asks, 1);
	/* Nothing of it was lost: the answer came with the Initial that was late. */
	ck_assert_uint_eq(answer_ms(), RTT_MS + 5);
	ck_assert_uint_ge(count(p, SERVER, QB_CNT_EARLY_PACKETS_RX), 5);
	pair_free(p);
}
END_TEST

START_TEST(strangers_early_data_is_bounded)
{
	struct pair_opts o = opts(10);
	struct session s = first_visit(&o);
	struct pair *p;
	uint32_t free_cnt;

	world.ask_bytes = 30000;
	world.recorded_cnt = 0;
	p = start(&o);
	p->on_packet = record;
	resume(p, &s);
	pair_run(p, MS);
	pair_free(p);
	/* Only what follows the first datagram, again and again, with other connection IDs. */
	p = start(&o);
	p->is_garbage_ok = true;
	free_cnt = p->end[SERVER].depot.free_cnt;
	for (uint32_t n = 0; n < 5000; n++) {
		struct pair_pkt *k = &world.recorded[1 + n % (world.recorded_cnt - 1)];

		qb_store_be32(k->data + 8, n);
		pair_inject(p, SERVER, &k->tuple, k->data, k->len);
	}
	pair_run(p, SEC);
	ck_assert_uint_le(free_cnt - p->end[SERVER].depot.free_cnt, 8 + QB_POOL_CACHE);
	ck_assert_ptr_null(qb_quic_next_conn(p->end[SERVER].q, NULL));
	pair_free(p);
}
END_TEST

/* drop_finished loses the client's first packets after its first flight. */
static bool drop_finished(struct pair *p, int from, struct pair_pkt *k)
{
	(void)k;
	return from != CLIENT || p->now_ns < SEC + 10 * MS || p->now_ns > SEC + 100 * MS;
}

START_TEST(the_finished_is_lost)
{
	struct pair_opts o = opts(11);
	struct session s = first_visit(&o);
	struct qb_tuple second = pair_client_tuple(1);
	struct pair *p = start(&o);

	p->on_packet = drop_finished;
	resume(p, &s);
	pair_run(p, 90 * MS);
	/* Early data is acknowledged, and that confirms nothing. */
	ck_assert_uint_eq(world.answers, 1);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_NEW], 0);
	pair_run(p, 2 * SEC);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_NEW], 1);
	ck_assert_ptr_nonnull(p->end[CLIENT].conn);
	ck_assert_int_eq(qb_conn_open_path(p->end[CLIENT].conn, &second, p->now_ns), 1);
	pair_free(p);
}
END_TEST

START_TEST(bad_networks)
{
	struct pair_opts o = opts(1000 + (uint64_t)_i);
	struct session s;
	struct pair *p;

	world.ask_bytes = 300;
	s = first_visit(&o);
	world.ask_bytes = 1 + (uint32_t)_i * 997 % 20000;
	if (_i % 5 == 4)
		o.early_context = "another app";
	p = start(&o);
	p->link[0].loss = 0.15;
	p->link[0].dup = 0.1;
	p->link[0].jitter_ns = 20 * MS;
	p->link[0].corrupt = _i % 3 ? 0 : 0.05;
	resume(p, &s);
	ck_assert_msg(pair_run_until(p, is_answered, 60 * SEC), "seed %d: no answer", _i);
	pair_run(p, SEC);
	ck_assert_uint_eq(world.asks, 1);
	ck_assert(!world.is_bad);
	pair_free(p);
}
END_TEST

/* ---- sessions and versions ---- */

START_TEST(version_2_resumes_in_version_2)
{
	struct pair_opts o = opts(12);
	struct session s;
	struct pair *p;
	struct qb_conn_info info;

	o.versions[SERVER][0] = QB_QUIC_V2;
	o.versions[SERVER][1] = QB_QUIC_V1;
	s = first_visit(&o);
	p = visit(&o, &s);
	check_round_trips(1);
	qb_conn_get_info(p->end[CLIENT].conn, &info);
	ck_assert_uint_eq(info.version, QB_QUIC_V2);
	pair_free(p);
}
END_TEST

START_TEST(the_server_lost_that_version)
{
	struct pair_opts o = opts(13);
	struct session s = first_visit(&o);
	struct pair *p;

	o.versions[SERVER][0] = QB_QUIC_V2;
	p = visit(&o, &s);
	ck_assert_uint_eq(count(p, SERVER, QB_CNT_VERSION_NEG_TX), 1);
	ck_assert_uint_eq(world.asks_early, 0);
	pair_free(p);
}
END_TEST

START_TEST(bytes_that_are_no_session)
{
	struct pair_opts o = opts(14);
	struct session s = first_visit(&o), bad;

	for (size_t len = 0; len < s.len; len += 1 + len / 8) {
		struct pair *p;

		bad = s;
		bad.len = len;
		p = visit(&o, &bad);
		check_round_trips(2);
		pair_free(p);
	}
}
END_TEST

START_TEST(closed_in_the_first_flight)
{
	struct pair_opts o = opts(15);
	struct session s = first_visit(&o);
	struct pair *p = start(&o);

	resume(p, &s);
	pair_run(p, 5 * MS);
	qb_conn_close(qb_quic_next_conn(p->end[CLIENT].q, NULL), 0x100, "changed my mind",
		      p->now_ns);
	pair_run(p, 10 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	/* Whom the server had told about, it tells about the end. */
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_EARLY],
			  p->end[SERVER].events[QB_EV_CONN_CLOSED]);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_NEW], 0);
	ck_assert_ptr_null(qb_quic_next_conn(p->end[SERVER].q, NULL));
	pair_free(p);
}
END_TEST

static bool has_tickets(struct pair *p)
{
	return p->end[CLIENT].events[QB_EV_SESSION] > 0;
}

/*
 * Tickets fill a packet. What another path needs goes before them: picoquicdemo gives up if it cannot open its paths when the
 * handshake is confirmed.
 */
START_TEST(tickets_do_not_hold_up_paths)
{
	struct qb_tuple t = pair_client_tuple(1);
	struct pair_opts o = opts(77);
	struct pair *p = start(&o);

	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, has_tickets, 5 * SEC));
	ck_assert_int_ge(qb_conn_open_path(p->end[CLIENT].conn, &t, p->now_ns), 0);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/early");
	TCase *tc = tcase_create("early");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_world, drop_world);
	tcase_add_test(tc, one_round_trip);
	tcase_add_test(tc, two_round_trips_without);
	tcase_add_test(tc, nobody_wants_early_data);
	tcase_add_loop_test(tc, traced_keys, 0, 2);
	tcase_add_test(tc, with_a_retry);
	tcase_add_test(tc, rejected_data_is_sent_again);
	tcase_add_loop_test(tc, hello_retry_request, 0, 12);
	tcase_add_test(tc, rejected_and_the_limits_are_lower);
	tcase_add_test(tc, accepted_and_the_limits_are_lower);
	tcase_add_test(tc, a_replayed_first_flight);
	tcase_add_test(tc, early_data_before_its_initial);
	tcase_add_test(tc, strangers_early_data_is_bounded);
	tcase_add_test(tc, the_finished_is_lost);
	tcase_add_loop_test(tc, bad_networks, 0, 60);
	tcase_add_test(tc, version_2_resumes_in_version_2);
	tcase_add_test(tc, the_server_lost_that_version);
	tcase_add_test(tc, bytes_that_are_no_session);
	tcase_add_test(tc, closed_in_the_first_flight);
	tcase_add_test(tc, tickets_do_not_hold_up_paths);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
