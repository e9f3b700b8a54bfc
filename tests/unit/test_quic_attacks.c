/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attacks on what an endpoint holds and does: handshakes that nobody finishes, frames that change
 * nothing, streams that are opened to be reset, gaps that are never filled, carousels of addresses.
 * Each is run against the real code; memory stays inside its budget, answers and work are counted,
 * and those who do no harm are served.
 */
#include <check.h>
#include <errno.h>

#include "quic_bulk.h"
#include "quic_liar.h"

static const uint8_t bytes16[16] = {1, 2, 3};

static void must_serve(struct pair *p)
{
	static uint32_t no = 20000;

	ck_assert_msg(p->end[CLIENT].conn && p->end[SERVER].conn, "%s / %s", p->end[CLIENT].reason,
		      p->end[SERVER].reason);
	no++;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, no, 100), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_seen[no], 1);
}

/* ---- half-open handshakes ---- */

/* must_be_clean: whatever there was, it is gone, and so is its memory. */
static void must_be_clean(const struct pair *p, int side)
{
	const struct qb_quic *q = p->end[side].q;

	ck_assert_uint_eq(q->half_opens.cnt, 0);
	ck_assert_uint_eq(q->half_opens.bytes, 0);
	ck_assert_uint_eq(q->half_opens.slab.used_cnt, 0);
	ck_assert_ptr_null(q->half_opens.sources);
	ck_assert_uint_eq(q->conn_slab.used_cnt, 0);
	ck_assert_uint_eq(q->sent_slab.used_cnt, 0);
	ck_assert_uint_eq(q->ref_slab.used_cnt, 0);
	ck_assert_uint_eq(q->stream_slab.used_cnt, 0);
	ck_assert_uint_eq(q->chunks.slab.used_cnt, 0);
}

static bool is_retry(const struct pair_pkt *pkt)
{
	return (pkt->data[0] & 0xf0) == 0xf0;
}

/* The server's Retry arrives, and nothing else that it says to the first link: clients with real
 * addresses that go no further. */
static bool only_retry(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	return from == CLIENT || is_retry(pkt) || pkt->tuple.local.ip[2] != 0;
}

static struct qb_conn *connect_over(struct pair *p, uint32_t link)
{
	struct qb_tuple t = pair_client_tuple(link);

	return qb_quic_connect(p->end[CLIENT].q, &t, "hub", p->now_ns);
}

/* One real address opens handshakes without end: it gets its share, others their connection. */
START_TEST(test_one_source)
{
	struct pair_opts o = pair_default_opts(1);
	const struct qb_half_opens *h;
	struct qb_addr source;
	struct pair *p;
	uint32_t i;

	o.conns = 64;
	o.retry = _i ? QB_RETRY_AUTO : QB_RETRY_OFF;
	o.retry_half_open = 64;
	p = pair_new(&o);
	h = &p->end[SERVER].q->half_opens;
	source = pair_server_tuple(p, 0).peer;
	p->on_packet = only_retry;
	for (i = 0; i < 60; i++) {
		ck_assert_ptr_nonnull(connect_over(p, 0));
		pair_run(p, 60 * MS);
		ck_assert_uint_le(h->cnt, QB_HALF_OPEN_SOURCE_MAX);
		ck_assert_uint_le(h->bytes, QB_HALF_OPEN_SOURCE_BYTES);
	}
	ck_assert_uint_eq(qb_half_open_cnt_of(h, &source), QB_HALF_OPEN_SOURCE_MAX);
	ck_assert_uint_ge(p->end[SERVER].counters.v[QB_CNT_HALF_OPEN_EVICTED],
			  60 - QB_HALF_OPEN_SOURCE_MAX);
	/* Past a few of one source, its address is proven first. */
	if (_i)
		ck_assert_uint_ge(p->end[SERVER].counters.v[QB_CNT_RETRY_TX],
				  60 - QB_HALF_OPEN_RETRY);
	ck_assert_ptr_nonnull(connect_over(p, 1));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	pair_run(p, 70 * SEC);
	ck_assert_uint_eq(h->cnt, 0);
	ck_assert_uint_eq(h->bytes, 0);
	pair_free(p);
}
END_TEST

/* is_silent drops what the server says to every link but the first, where there is a connection. */
static bool but_first_only_retry(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	return from == CLIENT || is_retry(pkt) || pkt->tuple.local.ip[2] == 0;
}

/*
 * Many real addresses fill the table: who has most makes room, never an established connection. At
 * last a handshake of somebody who has none yet still gets in.
 */
START_TEST(test_full_table)
{
	struct pair_opts o = pair_default_opts(2);
	struct qb_conn *first;
	struct pair *p;
	uint32_t i;

	o.conns = 20;
	o.retry = QB_RETRY_AUTO;
	o.retry_half_open = 5;
	p = pair_new(&o);
	ck_assert_ptr_nonnull(connect_over(p, 0));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	first = p->end[SERVER].conn;
	pair_run(p, 200 * MS);
	p->on_packet = but_first_only_retry;
	for (i = 0; i < 200; i++) {
		/* The clients' own table is as small. */
		struct qb_conn *c = qb_quic_next_conn(p->end[CLIENT].q, NULL);

		if (c != p->end[CLIENT].conn && i >= 15)
			qb_conn_free(c);
		ck_assert_ptr_nonnull(connect_over(p, 1 + i % 7));
		pair_run(p, 100 * MS);
		ck_assert_uint_le(p->end[SERVER].q->conn_slab.used_cnt, 20);
	}
	ck_assert_ptr_eq(p->end[SERVER].conn, first);
	ck_assert_uint_gt(p->end[SERVER].counters.v[QB_CNT_HALF_OPEN_EVICTED], 100);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_DROP_CONN_LIMIT], 0);
	must_serve(p);
	/* All is taken; an honest one comes. */
	p->on_packet = NULL;
	qb_conn_free(qb_quic_next_conn(p->end[CLIENT].q, NULL));
	p->end[CLIENT].conn = p->end[SERVER].conn = NULL;
	ck_assert_ptr_nonnull(connect_over(p, 3));
	ck_assert(pair_run_until(p, pair_is_up, 2 * SEC));
	pair_free(p);
}
END_TEST

/* ---- every way out of a handshake gives back what it took ---- */

enum way_out {
	OUT_DONE,
	OUT_TIMEOUT,
	OUT_CLIENT_CLOSES,
	OUT_WRONG_KEY,
	OUT_RETRY,
	OUT_EVICTED,
	OUT_BROKEN,
	OUT_CNT
};

static bool no_server(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	return from == CLIENT || is_retry(pkt);
}

START_TEST(test_leak)
{
	enum way_out way = (enum way_out)_i;
	struct qb_frame f = {.type = QB_FRAME_HANDSHAKE_DONE};
	struct pair_opts o = pair_default_opts(3);
	struct pair *p;
	struct qb_conn *c;
	uint32_t n;

	o.retry = way == OUT_RETRY ? QB_RETRY_ALWAYS : QB_RETRY_OFF;
	o.wrong_client_key = way == OUT_WRONG_KEY;
	o.conns = way == OUT_EVICTED ? 32 : 8;
	p = pair_new(&o);
	if (way != OUT_DONE && way != OUT_WRONG_KEY)
		p->on_packet = no_server;
	for (n = 0; n < 30; n++) {
		c = pair_connect(p);
		ck_assert_ptr_nonnull(c);
		pair_run(p, 100 * MS);
		if (way == OUT_BROKEN) /* in an Initial: the server closes */
			send_frames(p, CLIENT, c, QB_LEVEL_INITIAL, &f, 1);
		if (way == OUT_CLIENT_CLOSES || (way == OUT_DONE && n % 2))
			qb_conn_close(c, 0, "", p->now_ns);
		pair_run(p, way == OUT_TIMEOUT	 ? 70 * SEC
			    : way == OUT_EVICTED ? 100 * MS
						 : 10 * SEC);
		if (way != OUT_EVICTED && qb_quic_next_conn(p->end[CLIENT].q, NULL)) {
			qb_conn_free(c);
			p->end[CLIENT].conn = NULL;
		}
	}
	pair_run(p, 100 * SEC);
	must_be_clean(p, SERVER);
	pair_free(p);
}
END_TEST

/* CRYPTO frames with gaps before the handshake: what waits for them is charged to their source. */
START_TEST(test_crypto_gaps_half_open)
{
	struct pair_opts o = pair_default_opts(4);
	const struct qb_half_opens *h;
	struct pair *p;
	struct qb_frame f = {.type = QB_FRAME_CRYPTO, .crypto = {.data = {bytes16, 1}}};
	uint32_t i, n, chunks = 0;

	o.conns = 32;
	p = pair_new(&o);
	h = &p->end[SERVER].q->half_opens;
	p->on_packet = no_server;
	for (i = 0; i < 30; i++) {
		struct qb_conn *c = pair_connect(p);

		for (n = 0; n < 2000 && c; n++) {
			f.crypto.off = 4000 + (n * 2048) % 12000;
			send_frames(p, CLIENT, c, QB_LEVEL_INITIAL, &f, 1);
			if (n % 16 == 0)
				pair_run(p, MS);
			chunks = QB_MAX(chunks, p->end[SERVER].q->chunks.slab.used_cnt);
			ck_assert_uint_le(h->bytes, QB_HALF_OPEN_SOURCE_BYTES);
		}
	}
	ck_assert_uint_gt(chunks, 0);
	ck_assert_uint_le((uint64_t)chunks * sizeof(struct qb_chunk), QB_HALF_OPEN_SOURCE_BYTES);
	pair_run(p, 100 * SEC);
	must_be_clean(p, SERVER);
	pair_free(p);
}
END_TEST

/* ---- frames that change nothing ---- */

/* clang-format off */
static const struct idle {
	const char *what;
	int from;
	struct qb_frame f;
} idles[] = {
	{"PING", CLIENT, {.type = QB_FRAME_PING}},
	{"empty DATAGRAM", CLIENT, {.type = QB_FRAME_DATAGRAM_LEN}},
	{"empty STREAM", CLIENT, {.type = QB_FRAME_STREAM, .stream = {.id = 0}}},
	{"STREAM_DATA_BLOCKED", CLIENT, {.type = QB_FRAME_STREAM_DATA_BLOCKED, .limit = {.max = 5}}},
	{"DATA_BLOCKED", CLIENT, {.type = QB_FRAME_DATA_BLOCKED, .limit = {.max = 5}}},
	{"STREAMS_BLOCKED", CLIENT, {.type = QB_FRAME_STREAMS_BLOCKED_BIDI, .limit = {.max = 5}}},
	{"old MAX_DATA", CLIENT, {.type = QB_FRAME_MAX_DATA, .limit = {.max = 5}}},
	{"old MAX_STREAMS", SERVER, {.type = QB_FRAME_MAX_STREAMS_UNI, .limit = {.max = 1}}},
	{"old MAX_STREAM_DATA", CLIENT, {.type = QB_FRAME_MAX_STREAM_DATA, .limit = {.max = 5}}},
	{"IMMEDIATE_ACK", CLIENT, {.type = QB_FRAME_IMMEDIATE_ACK}},
	{"old ACK_FREQUENCY", CLIENT, {.type = QB_FRAME_ACK_FREQUENCY, .ack_frequency = {.max_ack_delay_us = 9000}}},
	{"NEW_TOKEN", SERVER, {.type = QB_FRAME_NEW_TOKEN, .new_token = {bytes16, 16}}},
	{"HANDSHAKE_DONE", SERVER, {.type = QB_FRAME_HANDSHAKE_DONE}},
	{"PATHS_BLOCKED", CLIENT, {.type = QB_FRAME_PATHS_BLOCKED, .max_path_id = {.max = 7}}},
	{"PATH_CIDS_BLOCKED", CLIENT, {.type = QB_FRAME_PATH_CIDS_BLOCKED, .path_cids_blocked = {.path_id = 1}}},
	{"MAX_PATH_ID", CLIENT, {.type = QB_FRAME_MAX_PATH_ID, .max_path_id = {.max = 7}}},
	{"old PATH_STATUS", SERVER, {.type = QB_FRAME_PATH_STATUS_BACKUP, .path_status = {.path_id = 0}}},
	{"PATH_CHALLENGE", CLIENT, {.type = QB_FRAME_PATH_CHALLENGE}},
	{"PATH_RESPONSE", CLIENT, {.type = QB_FRAME_PATH_RESPONSE}},
	{"old ACK", CLIENT, {.type = QB_FRAME_ACK}},
	{"old PATH_ACK", SERVER, {.type = QB_FRAME_PATH_ACK, .ack = {.largest = 1, .first_range = 1}}},
	{"RETIRE_CONNECTION_ID", CLIENT, {.type = QB_FRAME_PATH_RETIRE_CONNECTION_ID, .retire_cid = {.path_id = 3}}},
};
/* clang-format on */

/* Packets full of them end the connection, soon, and the victim has not answered more than it was
 * asked. */
START_TEST(test_idle_flood)
{
	const struct idle *a = &idles[_i];
	struct pair_opts o = pair_default_opts(10 + (uint64_t)_i);
	struct pair *p = pair_up(&o);
	struct pair_end *victim = &p->end[!a->from];
	uint64_t before = p->link[0].sent_pkts[!a->from];
	uint32_t sent = 0, pkts = 0;

	while (victim->conn && pkts < 2000) {
		sent += send_frames(p, a->from, p->end[a->from].conn, QB_LEVEL_APP, &a->f, 1000);
		pkts++;
		pair_run(p, 2 * MS);
	}
	ck_assert_msg(!victim->conn, "%s: %u taken", a->what, sent);
	ck_assert_uint_eq(victim->last[QB_EV_CONN_CLOSED].error_code, QB_QUIC_PROTOCOL_VIOLATION);
	ck_assert_uint_eq(victim->counters.v[QB_CNT_FLOODS], 1);
	/* What leaves is held within 20 ms of flight, and the budget. */
	ck_assert_uint_lt(sent, 10000 + 330 * 4 + 12 * 1200);
	ck_assert_uint_le(p->link[0].sent_pkts[!a->from] - before, 8 * pkts + 16);
	pair_run(p, 10 * SEC);
	must_be_clean(p, !a->from);
	pair_free(p);
}
END_TEST

/* One of each now and then is anybody's right. */
START_TEST(test_idle_calm)
{
	const struct idle *a = &idles[_i];
	struct pair_opts o = pair_default_opts(40 + (uint64_t)_i);
	struct pair *p = pair_up(&o);
	uint32_t i, gap_ms = a->f.type == QB_FRAME_NEW_TOKEN ? 40 : 4;
	const struct qb_frame ping = {.type = QB_FRAME_PING};

	for (i = 0; i < 15000; i++) {
		if (i % 1000 == 0) /* ACKs ask for nothing */
			send_frame(p, a->from, &ping);
		send_frame(p, a->from, &a->f);
		pair_run(p, gap_ms * MS);
	}
	must_serve(p);
	ck_assert_uint_eq(p->end[!a->from].counters.v[QB_CNT_FLOODS], 0);
	pair_free(p);
}
END_TEST

/* A window that is opened byte by byte. */
START_TEST(test_tiny_window_updates)
{
	struct pair_opts o = pair_default_opts(70);
	struct pair *p = pair_up(&o);
	struct qb_frame f = {.type = QB_FRAME_MAX_DATA};
	uint32_t n;

	f.limit.max = p->end[SERVER].conn->streams.tx_max;
	for (n = 0; n < 40000 && p->end[SERVER].conn; n++) {
		f.limit.max++;
		send_frame(p, CLIENT, &f);
		pair_run(p, 100 * QB_NS_PER_US);
	}
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_FLOODS], 1);
	ck_assert_uint_lt(n, 15000);
	pair_free(p);
}
END_TEST

/* Useful traffic pays for what is not: a busy peer is no flood, however often it pings. */
START_TEST(test_busy_is_no_flood)
{
	struct pair_opts o = pair_default_opts(71);
	struct pair *p = pair_up(&o);
	struct qb_frame ping = {.type = QB_FRAME_PING};
	uint32_t i;

	p->link[0].delay_ns = MS;
	for (i = 0; i < 40000; i++) {
		(void)!pair_send_dgram(p, CLIENT, 0, i % 10000, 60);
		send_frame(p, CLIENT, &ping);
		pair_run(p, 500 * QB_NS_PER_US);
	}
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_FLOODS], 0);
	must_serve(p);
	pair_free(p);
}
END_TEST

/* ---- acknowledgements ---- */

static bool is_client_mute;

static bool nothing_of_client(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	(void)pkt;
	return from == SERVER || !is_client_mute;
}

static void acknowledge(struct pair *p, uint64_t first, uint64_t last)
{
	const struct qb_frame f = {.type = QB_FRAME_PATH_ACK, .ack = {.largest = last, .first_range = last - first}};

	is_client_mute = false;
	send_frame(p, CLIENT, &f);
	is_client_mute = true;
}

/*
 * The oldest packet is not acknowledged, so that the others are kept; every other one is, one by one, then all of them: whatever
 * was gone through once is known to be one run, and would not be gone through again for any range that ends in it.
 */
START_TEST(test_ack_walk)
{
	struct pair_opts o = pair_default_opts(75);
	struct pair *p = pair_up(&o);
	const struct qb_sent *sent = &p->end[SERVER].conn->path[0].space.sent;
	uint64_t lo, hi, pn, start = sent->next_pn;
	uint32_t i;

	p->on_packet = nothing_of_client;
	is_client_mute = true;
	for (i = 0; i < 9; i++)
		ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, i, 20), 0);
	/* The longest stretch from the newest down in which no number was left out. */
	hi = sent->next_pn - 1;
	for (lo = hi; lo > start && qb_sent_at(sent, lo - 1)->state != QB_SENT_SKIPPED; lo--)
		;
	ck_assert_uint_ge(hi - lo, 4);
	for (pn = lo + 1; pn <= hi; pn += 2)
		acknowledge(p, pn, pn);
	acknowledge(p, lo + 1, hi);
	pair_run(p, 11 * MS);
	ck_assert_ptr_nonnull(p->end[SERVER].conn);
	ck_assert_uint_le(sent->tail_pn, lo);
	for (pn = lo + 1; pn <= hi; pn++) {
		ck_assert_uint_eq(qb_sent_at(sent, pn)->state, QB_SENT_ACKED);
		ck_assert_uint_eq(qb_sent_at(sent, pn)->run_lo_pn, lo + 1);
	}
	pair_free(p);
}
END_TEST

/* ---- streams ---- */

static void read_resets(struct pair *p, int side, const struct qb_quic_event *ev)
{
	uint8_t data[64];
	bool is_fin;

	(void)p;
	if (ev->type != QB_EV_STREAM_READABLE)
		return;
	(void)qb_conn_stream_read(ev->conn, ev->stream_id, data, sizeof(data), &is_fin, NULL);
	if (side == SERVER)
		(void)qb_conn_stream_reset(ev->conn, ev->stream_id, 0);
}

/* Rapid reset: opened, and given up at once, as fast as the limits allow. */
START_TEST(test_rapid_reset)
{
	struct pair_opts o = pair_default_opts(80);
	struct pair *p = pair_up(&o);
	uint32_t n = 0, most = 0;
	int64_t id;

	p->on_event = read_resets;
	while (pair_is_up(p) && n < 20000) {
		id = qb_conn_open_stream(p->end[CLIENT].conn, true);
		if (id >= 0) {
			ck_assert_int_eq(qb_conn_stream_write(p->end[CLIENT].conn, (uint64_t)id,
							      "x", 1, false),
					 1);
			ck_assert_int_eq(qb_conn_stream_reset(p->end[CLIENT].conn, (uint64_t)id, 1),
					 0);
			n++;
		}
		pair_run(p, 200 * QB_NS_PER_US);
		if (p->end[SERVER].conn)
			most = QB_MAX(most, p->end[SERVER].conn->streams.live_cnt);
	}
	ck_assert_msg(p->end[SERVER].counters.v[QB_CNT_FLOODS] == 1, "%u: %s, %s", n,
		      p->end[CLIENT].reason, p->end[SERVER].reason);
	ck_assert_uint_lt(n, 3000);
	ck_assert_uint_le(most, 32);
	pair_free(p);
}
END_TEST

/* CRYPTO in 1-RTT packets with gaps that are never filled: a window's worth of chunks, then the
 * end. */
START_TEST(test_crypto_gaps)
{
	struct pair_opts o = pair_default_opts(81);
	struct pair *p = pair_up(&o);
	struct qb_frame f = {.type = QB_FRAME_CRYPTO, .crypto = {.data = {bytes16, 1}}};
	uint32_t n, most = 0, before = p->end[SERVER].q->chunks.slab.used_cnt;

	for (n = 0; n < 40000 && p->end[SERVER].conn; n++) {
		f.crypto.off = 1 + 2 * (n % 8000);
		send_frames(p, CLIENT, p->end[CLIENT].conn, QB_LEVEL_APP, &f, 8);
		most = QB_MAX(most, p->end[SERVER].q->chunks.slab.used_cnt);
		pair_run(p, 50 * QB_NS_PER_US);
	}
	ck_assert_uint_le(most - before, QB_CRYPTO_WINDOW / QB_CHUNK_BYTES + 1);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_FLOODS], 1);
	ck_assert_uint_lt(n, 3000);
	pair_free(p);
}
END_TEST

static bool no_acks_of_first(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	return from == SERVER || pkt->tuple.peer.ip[2] != 0;
}

/* A site that never acknowledges fills its share of the memory for streams, and no more: another
 * one's transfer goes through. */
START_TEST(test_chunk_share_send)
{
	struct pair_opts o = pair_default_opts(82);
	struct pair *p;
	struct qb_conn *mute, *good;
	static uint8_t data[65536];
	struct bulk b;
	uint32_t i;

	o.stream_chunks = 256;
	p = pair_up(&o);
	mute = p->end[SERVER].conn;
	p->end[CLIENT].conn = p->end[SERVER].conn = NULL;
	ck_assert_ptr_nonnull(connect_over(p, 1));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	good = p->end[SERVER].conn;
	ck_assert_ptr_ne(mute, good);
	p->on_packet = no_acks_of_first;
	for (i = 0; i < 8; i++) {
		int64_t id = qb_conn_open_stream(mute, true);

		ck_assert_int_ge(id, 0);
		ck_assert_int_ge(
			qb_conn_stream_write(mute, (uint64_t)id, data, sizeof(data), false), 0);
	}
	ck_assert_uint_gt(p->end[SERVER].q->chunks.slab.used_cnt, 50);
	ck_assert_uint_le(p->end[SERVER].q->chunks.slab.used_cnt, 66);
	bulk_start(p, &b, SERVER, 300000);
	ck_assert(pair_run_until(p, bulk_is_done, 5 * SEC));
	pair_free(p);
}
END_TEST

/* Nor does one that leaves a gap and fills the window behind it. */
START_TEST(test_chunk_share_receive)
{
	struct pair_opts o = pair_default_opts(83);
	struct qb_frame f = {.type = QB_FRAME_STREAM, .stream = {.data = {bytes16, 16}}};
	struct pair *p;
	struct qb_conn *holes;
	struct bulk b;
	uint32_t n;

	o.stream_chunks = 64;
	p = pair_up(&o);
	holes = p->end[CLIENT].conn;
	for (n = 0; n < 2000; n++) {
		f.stream.id = 4 * (n % 16);
		f.stream.off = 1000 + 2048 * (n / 16 % 120);
		send_frames(p, CLIENT, holes, QB_LEVEL_APP, &f, 1);
		pair_run(p, MS);
		ck_assert_uint_le(p->end[SERVER].q->chunks.slab.used_cnt, 33);
	}
	p->end[CLIENT].conn = p->end[SERVER].conn = NULL;
	ck_assert_ptr_nonnull(connect_over(p, 1));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	bulk_start(p, &b, CLIENT, 300000);
	ck_assert(pair_run_until(p, bulk_is_done, 20 * SEC));
	pair_free(p);
}
END_TEST

/* ---- addresses ---- */

static uint32_t carousel;

static bool from_carousel(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == CLIENT && carousel) {
		pkt->tuple.peer.ip[2] = 6;
		pkt->tuple.peer.ip[3] = (uint8_t)carousel;
	}
	return true;
}

/* A peer that is somewhere else with every packet: it is followed now and then, not asked each
 * time. */
START_TEST(test_migration_flood)
{
	struct qb_frame ping = {.type = QB_FRAME_PING};
	struct pair_opts o = pair_default_opts(90);
	struct pair *p = pair_up(&o);
	uint64_t before = p->link[6].sent_pkts[SERVER];
	uint32_t i;

	p->on_packet = from_carousel;
	for (i = 0; i < 2000; i++) {
		carousel = 1 + i % 200;
		send_frame(p, CLIENT, &ping);
		pair_run(p, MS);
	}
	ck_assert_uint_gt(p->end[SERVER].counters.v[QB_CNT_MOVES_REFUSED], 100);
	/* Each move asks the new address at most, and what is sent there meanwhile is three times
	 * what came. */
	ck_assert_uint_lt(p->link[6].sent_pkts[SERVER] - before, 1000);
	carousel = 0;
	pair_run(p, 5 * SEC);
	must_serve(p);
	pair_free(p);
}
END_TEST

/* clang-format off */
static const struct qb_addr forbidden[] = {
	{.family = 4, .port = 1000, .ip = {127, 0, 0, 1}},
	{.family = 4, .port = 1000, .ip = {169, 254, 1, 1}},
	{.family = 4, .port = 1000, .ip = {224, 0, 0, 5}},
	{.family = 4, .port = 1000, .ip = {255, 255, 255, 255}},
	{.family = 4, .port = 1000, .ip = {0}},
	{.family = 4, .port = 0, .ip = {10, 0, 6, 1}},
	{.family = 6, .port = 1000, .ip = {[15] = 1}},
	{.family = 6, .port = 1000, .ip = {0xfe, 0x80, [15] = 1}},
	{.family = 6, .port = 1000, .ip = {0xff, 0x02, [15] = 1}},
	{.family = 6, .port = 1000, .ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}},
};
/* clang-format on */

static const struct qb_addr *liar_at;

static bool from_forbidden(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == CLIENT && liar_at)
		pkt->tuple.peer = *liar_at;
	/* The links know no such addresses: what is sent there fails this test. */
	if (from == SERVER)
		ck_assert_int_eq(pkt->tuple.local.family, 4);
	return true;
}

/* Nobody who is heard from the network lives there: no handshake, no move, no path, no packet (RFC
 * 9000 §21.5). */
START_TEST(test_forbidden_addresses)
{
	struct pair_opts o = pair_default_opts(91);
	struct pair *p = pair_new(&o);
	struct qb_tuple t;
	uint32_t i, drops;
	int path;

	liar_at = &forbidden[_i];
	p->on_packet = from_forbidden;
	ck_assert_ptr_nonnull(pair_connect(p));
	pair_run(p, 2 * SEC);
	ck_assert_ptr_null(qb_quic_next_conn(p->end[SERVER].q, NULL));
	ck_assert_uint_ge(p->end[SERVER].counters.v[QB_CNT_DROP_PEER_ADDRESS], 1);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_PACKETS_TX], 0);
	liar_at = NULL;
	ck_assert(pair_run_until(p, pair_is_up, 10 * SEC));
	pair_run(p, 200 * MS);
	liar_at = &forbidden[_i];
	for (i = 0; i < 20; i++) {
		(void)!pair_send_dgram(p, CLIENT, 0, i, 100);
		pair_run(p, 10 * MS);
	}
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_MOVED], 0);
	t = pair_client_tuple(2);
	path = qb_conn_open_path(p->end[CLIENT].conn, &t, p->now_ns);
	ck_assert_int_ge(path, 0);
	drops = (uint32_t)p->end[SERVER].events[QB_EV_PATH_OPENED];
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_OPENED], drops);
	liar_at = NULL;
	pair_run(p, 1 * SEC);
	must_serve(p);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/attacks");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_one_source, 0, 2);
	tcase_add_test(tc, test_full_table);
	tcase_add_loop_test(tc, test_leak, 0, OUT_CNT);
	tcase_add_test(tc, test_crypto_gaps_half_open);
	tcase_add_loop_test(tc, test_idle_flood, 0, (int)QB_ARRAY_LEN(idles));
	tcase_add_loop_test(tc, test_idle_calm, 0, (int)QB_ARRAY_LEN(idles));
	tcase_add_test(tc, test_tiny_window_updates);
	tcase_add_test(tc, test_busy_is_no_flood);
	tcase_add_test(tc, test_ack_walk);
	tcase_add_test(tc, test_rapid_reset);
	tcase_add_test(tc, test_crypto_gaps);
	tcase_add_test(tc, test_chunk_share_send);
	tcase_add_test(tc, test_chunk_share_receive);
	tcase_add_test(tc, test_migration_flood);
	tcase_add_loop_test(tc, test_forbidden_addresses, 0, (int)QB_ARRAY_LEN(forbidden));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
