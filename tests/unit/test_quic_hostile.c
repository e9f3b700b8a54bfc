/* SPDX-License-Identifier: BSD-2-Clause */
/* What strangers and liars may send: damaged, replayed, cut, random packets; peers that break the
 * protocol. */
#include <check.h>
#include <errno.h>

#include "quic_bulk.h"
#include "quic_liar.h"

enum { KEEP_MAX = 4000 };

static struct pair_pkt *kept;
static uint32_t kept_cnt;

static bool keep(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	(void)from;
	if (kept_cnt < KEEP_MAX)
		kept[kept_cnt++] = *pkt;
	return true;
}

static void keep_start(struct pair *p)
{
	kept = calloc(KEEP_MAX, sizeof(*kept));
	kept_cnt = 0;
	p->on_packet = keep;
}

static void keep_stop(struct pair *p)
{
	p->on_packet = NULL;
	free(kept);
}

static void must_live(struct pair *p)
{
	static uint32_t no = 30000;

	ck_assert_msg(p->end[CLIENT].conn && p->end[SERVER].conn, "%s / %s", p->end[CLIENT].reason,
		      p->end[SERVER].reason);
	no++;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, no, 100), 0);
	ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, no, 100), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].dgram_seen[no], 1);
	ck_assert_uint_eq(p->end[SERVER].dgram_seen[no], 1);
}

/* Every packet of a whole connection again, in any order: nothing happens twice. */
START_TEST(test_replay)
{
	struct pair_opts o = pair_default_opts(1);
	struct pair *p = pair_new(&o);
	uint32_t i, n;

	keep_start(p);
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	pair_run(p, 100 * MS);
	pair_open_path(p, 1);
	for (i = 0; i < 300; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, i % 2, i, 100), 0);
		pair_run(p, 5 * MS);
	}
	pair_run(p, 100 * MS);
	p->on_packet = NULL;
	for (n = 0; n < 3 * kept_cnt; n++) {
		const struct pair_pkt *k = &kept[qb_rand_below(&p->rnd, kept_cnt)];

		pair_inject(p, k->to, &k->tuple, k->data, k->len);
		pair_run(p, 100 * QB_NS_PER_US);
	}
	pair_run(p, 1 * SEC);
	for (i = 0; i < 300; i++)
		ck_assert_uint_eq(p->end[SERVER].dgram_seen[i], 1);
	ck_assert_uint_gt(p->end[SERVER].counters.v[QB_CNT_DROP_DUPLICATE], 100);
	must_live(p);
	keep_stop(p);
	pair_free(p);
}
END_TEST

/* Replayed from elsewhere: an old packet must not move a path. */
START_TEST(test_replay_elsewhere)
{
	struct pair_opts o = pair_default_opts(2);
	struct pair *p = pair_up(&o);
	uint32_t i;

	keep_start(p);
	for (i = 0; i < 50; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, i, 100), 0);
		pair_run(p, 5 * MS);
	}
	pair_run(p, 100 * MS);
	for (i = 0; i < kept_cnt; i++) {
		struct pair_pkt *k = &kept[i];

		if (k->to != SERVER)
			continue;
		k->tuple.peer.ip[2] = 5;
		pair_inject(p, SERVER, &k->tuple, k->data, k->len);
	}
	pair_run(p, 2 * SEC);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_MOVED], 0);
	ck_assert_uint_eq(p->link[5].sent_pkts[SERVER], 0);
	must_live(p);
	keep_stop(p);
	pair_free(p);
}
END_TEST

static void mutate(struct pair *p, struct pair_pkt *k)
{
	uint32_t flips = 1 + (uint32_t)qb_rand_below(&p->rnd, 4);

	switch (qb_rand_below(&p->rnd, 4)) {
	case 0:
		k->len = (uint32_t)qb_rand_below(&p->rnd, k->len + 1);
		break;
	case 1:
		while (k->len < PAIR_PKT_MAX && flips--)
			k->data[k->len++] = (uint8_t)qb_rand_u64(&p->rnd);
		break;
	default:
		while (flips--)
			k->data[qb_rand_below(&p->rnd, k->len)] ^=
				(uint8_t)(1u << qb_rand_below(&p->rnd, 8));
		break;
	}
}

/* Damaged copies of everything that is sent, from the first packet on, arrive before the originals.
 */
static bool add_damaged(struct pair *p, int from, struct pair_pkt *pkt)
{
	struct pair_pkt *twin = malloc(sizeof(*twin));

	(void)from;
	*twin = *pkt;
	mutate(p, twin);
	twin->at_ns -= QB_NS_PER_US;
	pair_enqueue(p, twin);
	return true;
}

START_TEST(test_damaged)
{
	struct pair_opts o = pair_default_opts(100 + (uint64_t)_i);
	struct pair *p = pair_new(&o);
	struct bulk b;

	o.retry = _i % 2 ? QB_RETRY_ALWAYS : QB_RETRY_OFF;
	p->on_packet = add_damaged;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert_msg(pair_run_until(p, pair_is_up, 30 * SEC), "seed %d: %s", _i,
		      p->end[CLIENT].reason);
	pair_run(p, 100 * MS);
	pair_open_path(p, 1);
	bulk_start(p, &b, _i % 2, 300000);
	ck_assert(pair_run_until(p, bulk_is_done, 60 * SEC));
	must_live(p);
	pair_free(p);
}
END_TEST

/* Noise that looks like QUIC, with and without the right connection ID. */
START_TEST(test_random)
{
	struct pair_opts o = pair_default_opts(200);
	struct pair *p = pair_up(&o);
	uint8_t pkt[PAIR_PKT_MAX];
	uint32_t n, i, len;

	for (n = 0; n < 30000; n++) {
		int side = (int)(n % 2);
		struct qb_tuple t = side == CLIENT ? pair_client_tuple(0) : pair_server_tuple(p, 0);
		const struct qb_cid *cid = &p->end[side].conn->hs.local_scid;

		len = (uint32_t)qb_rand_below(&p->rnd, n % 8 ? 100 : 1500);
		for (i = 0; i < len; i++)
			pkt[i] = (uint8_t)qb_rand_u64(&p->rnd);
		if (len > 40 && n % 3 == 0) {
			pkt[0] = (uint8_t)((pkt[0] & 0x3f) | 0x40);
			memcpy(pkt + 1, cid->id, cid->len);
		} else if (len > 40 && n % 3 == 1) {
			pkt[0] |= 0xc0;
			qb_store_be32(pkt + 1, n % 5 ? QB_QUIC_V1 : n % 2 ? QB_QUIC_V2 : 0);
			pkt[5] = cid->len;
			memcpy(pkt + 6, cid->id, cid->len);
			pkt[6 + cid->len] = (uint8_t)(n % 21);
		}
		pair_inject(p, side, &t, pkt, len);
		if (n % 100 == 0)
			pair_run(p, 1 * MS);
	}
	must_live(p);
	pair_free(p);
}
END_TEST

/* Initials from nobody: random content under valid headers must leave nothing behind. */
START_TEST(test_initial_flood)
{
	struct pair_opts o = pair_default_opts(201);
	struct pair *p = pair_new(&o);
	uint8_t pkt[1200];
	uint32_t n, i;

	for (n = 0; n < 500; n++) {
		struct qb_tuple t = pair_server_tuple(p, n % 8);

		for (i = 0; i < sizeof(pkt); i++)
			pkt[i] = (uint8_t)qb_rand_u64(&p->rnd);
		pkt[0] = (uint8_t)(0xc0 | (pkt[0] & 0x0f));
		qb_store_be32(pkt + 1, QB_QUIC_V1);
		pkt[5] = 8;
		pkt[14] = 8;
		pkt[23] = 0;
		qb_store_be16(pkt + 24, 0x4000 | (1200 - 26));
		pair_inject(p, SERVER, &t, pkt, sizeof(pkt));
		ck_assert_ptr_null(qb_quic_next_conn(p->end[SERVER].q, NULL));
	}
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_DROP_AUTH], 500);
	ck_assert_uint_eq(qb_quic_deadline_ns(p->end[SERVER].q), QB_NEVER_NS);
	pair_free(p);
}
END_TEST

static struct qb_buf *make_long(struct pair_end *e, uint8_t dcid_len, const uint8_t *dcid)
{
	struct qb_buf *b = qb_buf_get(&e->pool);

	b->len = 1200;
	b->data[0] = 0xc0;
	qb_store_be32(b->data + 1, QB_QUIC_V1);
	b->data[5] = dcid_len;
	memcpy(b->data + 6, dcid, QB_CID_LEN);
	b->tuple = (struct qb_tuple){.peer = {.family = 4, .port = 9}};
	return b;
}

/* In a batch, what belongs to a connection goes before what may open one; else the order stays. */
START_TEST(test_known_first)
{
	static const uint8_t other[QB_CID_LEN] = {1};
	struct pair_opts o = pair_default_opts(203);
	struct pair *p = pair_up(&o);
	struct pair_end *e = &p->end[SERVER];
	const struct qb_cid *own = &e->conn->mp.pid[0].local.slot[0].entry.cid;
	struct qb_buf *b[] = {make_long(e, 255, other), make_long(e, QB_CID_LEN, other),
			      make_long(e, QB_CID_LEN, own->id), make_long(e, 0, other)};
	struct qb_batch in = {.cnt = 4, .buf = {b[0], b[1], b[2], b[3]}};
	struct qb_batch out = {.cnt = QB_BATCH_MAX}; /* full: all stay */

	ck_assert_uint_eq(own->len, QB_CID_LEN);
	b[3]->data[0] = 0x40; /* a short header is no stranger's */
	qb_quic_recv(e->q, &in, &out, p->now_ns);
	ck_assert_uint_eq(in.cnt, 4);
	ck_assert_ptr_eq(in.buf[0], b[2]);
	ck_assert_ptr_eq(in.buf[1], b[3]);
	ck_assert_ptr_eq(in.buf[2], b[0]);
	ck_assert_ptr_eq(in.buf[3], b[1]);
	qb_batch_put(&e->pool, &in);
	pair_free(p);
}
END_TEST

/* ---- peers that lie: frames put into real packets ---- */

static const uint8_t a_token[16] = {1, 2, 3};

#define CID(first)                                                                                 \
	{                                                                                          \
		.len = 8, .id = { first, 2, 3, 4, 5, 6, 7, 8 }                                     \
	}

/* clang-format off */
static const struct lie {
	const char *what;
	int from;
	uint64_t error;
	struct qb_frame f;
} lies[] = {
	{"ack of the future", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_ACK, .ack = {.largest = 100000}}},
	{"ack of the future with a time", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_ACK_TS, .ack = {.largest = 100000, .has_ts = true, .ts_pn = 99999, .ts = 5}}},
	{"path ack of the future", SERVER, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_PATH_ACK, .ack = {.path_id = 0, .largest = 100000}}},
	{"path ack of an unused path", SERVER, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_PATH_ACK, .ack = {.path_id = 3, .largest = 0}}},
	{"path ack above the limit", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_PATH_ACK, .ack = {.path_id = 300, .largest = 0}}},
	{"HANDSHAKE_DONE from a client", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_HANDSHAKE_DONE}},
	{"OBSERVED_ADDRESS from a client", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_OBSERVED_ADDRESS4}},
	{"NEW_TOKEN from a client", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_NEW_TOKEN, .new_token = {a_token, 3}}},
	{"retire never issued", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_RETIRE_CONNECTION_ID, .retire_cid = {.seq = 1000}}},
	{"retire on a path above the limit", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_PATH_RETIRE_CONNECTION_ID, .retire_cid = {.path_id = 99, .seq = 0}}},
	{"too many IDs", CLIENT, QB_QUIC_CONNECTION_ID_LIMIT_ERROR,
	 {.type = QB_FRAME_NEW_CONNECTION_ID,
	  .new_cid = {.seq = 77, .cid = CID(1), .reset_token = a_token}}},
	{"same number, other ID", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_NEW_CONNECTION_ID,
	  .new_cid = {.seq = 1, .cid = CID(1), .reset_token = a_token}}},
	{"IDs for a path above the limit", SERVER, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_PATH_NEW_CONNECTION_ID,
	  .new_cid = {.path_id = 50, .cid = CID(1), .reset_token = a_token}}},
	{"abandon above the limit", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_PATH_ABANDON, .path_abandon = {.path_id = 50}}},
	{"abandon of the only path", CLIENT, QB_QUIC_NO_VIABLE_PATH,
	 {.type = QB_FRAME_PATH_ABANDON, .path_abandon = {.path_id = 0}}},
	{"status above the limit", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_PATH_STATUS_BACKUP, .path_status = {.path_id = 50}}},
	{"smaller MAX_PATH_ID than at first", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_MAX_PATH_ID, .max_path_id = {.max = 1}}},
	{"PATHS_BLOCKED above the limit", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_PATHS_BLOCKED, .max_path_id = {.max = 99}}},
	{"PATH_CIDS_BLOCKED above the limit", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_PATH_CIDS_BLOCKED, .path_cids_blocked = {.path_id = 99}}},
	{"PATH_CIDS_BLOCKED out of the blue", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_PATH_CIDS_BLOCKED, .path_cids_blocked = {.path_id = 1, .next_seq = 99}}},
	{"stream limit", CLIENT, QB_QUIC_STREAM_LIMIT_ERROR,
	 {.type = QB_FRAME_STREAM, .stream = {.id = 4000, .data = {a_token, 3}}}},
	{"flow control", CLIENT, QB_QUIC_FLOW_CONTROL_ERROR,
	 {.type = QB_FRAME_STREAM, .stream = {.id = 0, .off = 1 << 30, .data = {a_token, 3}}}},
	{"CRYPTO far ahead", CLIENT, QB_QUIC_CRYPTO_BUFFER_EXCEEDED,
	 {.type = QB_FRAME_CRYPTO, .crypto = {.off = 1 << 20, .data = {a_token, 3}}}},
	{"ACK delay below our minimum", CLIENT, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_ACK_FREQUENCY, .ack_frequency = {.max_ack_delay_us = 999}}},
	{"ACK delay out of all bounds", SERVER, QB_QUIC_PROTOCOL_VIOLATION,
	 {.type = QB_FRAME_ACK_FREQUENCY, .ack_frequency = {.max_ack_delay_us = (1 << 14) * 1000}}},
	{"reset of a stream that was not opened", CLIENT, QB_QUIC_STREAM_STATE_ERROR,
	 {.type = QB_FRAME_RESET_STREAM_AT, .reset_stream = {.id = 1}}},
	{"more promised than there is", CLIENT, QB_QUIC_FRAME_ENCODING_ERROR,
	 {.type = QB_FRAME_RESET_STREAM_AT,
	  .reset_stream = {.id = 0, .final_size = 10, .reliable_size = 11}}},
};
/* clang-format on */

START_TEST(test_lies)
{
	const struct lie *l = &lies[_i];
	struct pair_opts o = pair_default_opts(300 + (uint64_t)_i);
	struct pair *p = pair_up(&o);
	const struct qb_quic_event *ev = &p->end[!l->from].last[QB_EV_CONN_CLOSED];

	if (l->error == QB_QUIC_CONNECTION_ID_LIMIT_ERROR) {
		/* One more than there were is still fine. */
		struct qb_frame first = l->f;

		first.new_cid.seq--;
		first.new_cid.cid.id[0]++;
		send_frame(p, l->from, &first);
	}
	send_frame(p, l->from, &l->f);
	pair_run(p, 100 * MS);
	ck_assert_msg(p->end[!l->from].events[QB_EV_CONN_CLOSED] == 1, "%s: accepted", l->what);
	ck_assert_msg(ev->error_code == l->error && !ev->is_by_peer, "%s: error %llx, %s", l->what,
		      (unsigned long long)ev->error_code, p->end[!l->from].reason);
	/* And the liar is told. */
	ck_assert_uint_eq(p->end[l->from].last[QB_EV_CONN_CLOSED].error_code, l->error);
	pair_free(p);
}
END_TEST

/* clang-format off */
static const struct qb_frame harmless[] = {
	{.type = QB_FRAME_PING},
	{.type = QB_FRAME_IMMEDIATE_ACK},
	{.type = QB_FRAME_ACK_FREQUENCY, .ack_frequency = {.seq = 9, .max_ack_delay_us = 1000}},
	{.type = QB_FRAME_ACK_FREQUENCY,
	 .ack_frequency = {.seq = 1 << 20, .max_ack_delay_us = 16383999,
			   .eliciting_threshold = QB_VARINT_MAX, .reordering_threshold = QB_VARINT_MAX}},
	{.type = QB_FRAME_PATH_RESPONSE, .path_challenge = {1, 2, 3}},
	{.type = QB_FRAME_PATH_CHALLENGE, .path_challenge = {1, 2, 3}},
	{.type = QB_FRAME_PATHS_BLOCKED, .max_path_id = {.max = 7}},
	{.type = QB_FRAME_PATH_CIDS_BLOCKED, .path_cids_blocked = {.path_id = 1, .next_seq = 2}},
	{.type = QB_FRAME_MAX_PATH_ID, .max_path_id = {.max = 7}},
	{.type = QB_FRAME_PATH_STATUS_AVAILABLE, .path_status = {.path_id = 5, .seq = 9}},
	{.type = QB_FRAME_PATH_STATUS_BACKUP, .path_status = {.path_id = 5, .seq = 3}},
	{.type = QB_FRAME_PATH_ABANDON, .path_abandon = {.path_id = 6}},
	{.type = QB_FRAME_PATH_ABANDON, .path_abandon = {.path_id = 6}},
	{.type = QB_FRAME_PATH_RETIRE_CONNECTION_ID, .retire_cid = {.path_id = 4, .seq = 0}},
	{.type = QB_FRAME_DATA_BLOCKED, .limit = {.max = 5}},
	{.type = QB_FRAME_MAX_DATA, .limit = {.max = 0}},
};
/* clang-format on */

START_TEST(test_harmless)
{
	struct pair_opts o = pair_default_opts(400);
	struct pair *p = pair_up(&o);
	uint32_t round, i;

	for (round = 0; round < 50; round++) {
		for (i = 0; i < QB_ARRAY_LEN(harmless); i++) {
			send_frame(p, (int)(round % 2), &harmless[i]);
			pair_run(p, 5 * MS);
		}
	}
	must_live(p);
	pair_open_path(p, 1);
	pair_free(p);
}
END_TEST

/* An optimistic ACK covers a number that was left out on purpose. */
START_TEST(test_optimistic_ack)
{
	struct pair_opts o = pair_default_opts(401);
	struct pair *p = pair_up(&o);
	struct qb_frame f = {.type = QB_FRAME_PATH_ACK};
	const struct qb_sent *sent;
	uint32_t i;

	p->link[0].is_down = true;
	for (i = 0; i < 200 && p->end[SERVER].conn; i++) {
		(void)!pair_send_dgram(p, SERVER, 0, i, 20);
		if (i % 10 == 9) {
			sent = &p->end[SERVER].conn->path[0].space.sent;
			f.ack.largest = sent->next_pn - 1;
			f.ack.first_range = 9;
			p->link[0].is_down = false;
			send_frame(p, CLIENT, &f);
			p->link[0].is_down = true;
			pair_run(p, 15 * MS);
		}
	}
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_uint_eq(p->end[SERVER].last[QB_EV_CONN_CLOSED].error_code,
			  QB_QUIC_PROTOCOL_VIOLATION);
	pair_free(p);
}
END_TEST

static struct qb_conn *unfinished;

/* The client's Finished gets lost: the server goes on with the handshake. */
static bool without_finished(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	(void)pkt;
	return from == SERVER || !unfinished->keys.tx[QB_LEVEL_HANDSHAKE];
}

/* Nor are numbers acknowledged in the handshake that nobody sent there, by either side. */
START_TEST(test_optimistic_handshake)
{
	const struct qb_frame f = {.type = QB_FRAME_ACK, .ack = {.largest = 1000}};
	struct pair_opts o = pair_default_opts(403);
	struct pair *p = pair_new(&o);
	struct qb_conn *c = pair_connect(p);
	int liar = _i % 2;
	enum qb_level level = _i < 2 ? QB_LEVEL_INITIAL : QB_LEVEL_HANDSHAKE;

	unfinished = c;
	p->on_packet = without_finished;
	/* Until the liar has the keys. */
	while (liar == SERVER && !qb_quic_next_conn(p->end[SERVER].q, NULL)) {
		pair_poll(p, CLIENT);
		ck_assert(pair_step(p, p->now_ns + 5 * SEC));
	}
	if (liar == SERVER)
		c = qb_quic_next_conn(p->end[SERVER].q, NULL);
	while (!c->keys.tx[level]) {
		pair_poll(p, CLIENT);
		ck_assert(pair_step(p, p->now_ns + 5 * SEC));
	}
	p->on_packet = NULL;
	send_frames(p, liar, c, level, &f, 1);
	pair_run(p, 3 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].last[QB_EV_CONN_CLOSED].error_code, QB_QUIC_PROTOCOL_VIOLATION);
	pair_free(p);
}
END_TEST

/* clang-format off */
static const struct raw_lie {
	const char *what;
	enum qb_level level;
	uint64_t error;
	uint8_t first; /* bits that are set in the first byte */
	uint8_t len, payload[20];
} raw_lies[] = {
	{"reserved bit of 1-RTT", QB_LEVEL_APP, QB_QUIC_PROTOCOL_VIOLATION, 0x08, 1, {1}},
	{"the other one", QB_LEVEL_APP, QB_QUIC_PROTOCOL_VIOLATION, 0x10, 1, {1}},
	{"reserved bit of an Initial", QB_LEVEL_INITIAL, QB_QUIC_PROTOCOL_VIOLATION, 0x04, 1, {1}},
	{"reserved bit of a Handshake packet", QB_LEVEL_HANDSHAKE, QB_QUIC_PROTOCOL_VIOLATION, 0x08, 1, {1}},
	{"no frames", QB_LEVEL_APP, QB_QUIC_PROTOCOL_VIOLATION, 0, 0, {0}},
	{"no frames in a Handshake packet", QB_LEVEL_HANDSHAKE, QB_QUIC_PROTOCOL_VIOLATION, 0, 0, {0}},
	{"an unknown frame", QB_LEVEL_APP, QB_QUIC_FRAME_ENCODING_ERROR, 0, 2, {1, 0x21}},
	{"an unknown frame in an Initial", QB_LEVEL_INITIAL, QB_QUIC_FRAME_ENCODING_ERROR, 0, 2, {1, 0x3d}},
	{"PING in two bytes", QB_LEVEL_APP, QB_QUIC_PROTOCOL_VIOLATION, 0, 2, {0x40, 1}},
	{"STREAM in an Initial", QB_LEVEL_INITIAL, QB_QUIC_PROTOCOL_VIOLATION, 0, 3, {0x08, 0, 'x'}},
	{"DATAGRAM in a Handshake packet", QB_LEVEL_HANDSHAKE, QB_QUIC_PROTOCOL_VIOLATION, 0, 2, {0x30, 'x'}},
	{"the application's close in an Initial", QB_LEVEL_INITIAL, QB_QUIC_PROTOCOL_VIOLATION, 0, 3, {0x1d, 0, 0}},
	{"PATH_ACK in a Handshake packet", QB_LEVEL_HANDSHAKE, QB_QUIC_PROTOCOL_VIOLATION, 0, 5, {0x3e, 0, 0, 0, 0}},
	{"a frame cut short", QB_LEVEL_APP, QB_QUIC_FRAME_ENCODING_ERROR, 0, 2, {0x04, 0}},
	{"more times of arrival than were asked for", QB_LEVEL_APP, QB_QUIC_PROTOCOL_VIOLATION, 0, 20,
		{0x83, 0x17, 0x83, 0x07, 0, 0, 0, 0, 1, 0, QB_RX_TIMESTAMPS + 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
};
/* clang-format on */

static uint32_t initial_dgram_len = 1200;

/* send_raw seals what the table says as it should be, with four bytes of number, so that even an empty packet has its sample. */
static void send_raw(struct pair *p, struct qb_conn *c, const struct raw_lie *l)
{
	struct qb_path *path = &c->path[0];
	const struct qb_remote_cid *rc = qb_remote_cids_current(&qb_conn_pid(c, path)->remote);
	uint8_t pkt[1200], *length_at = NULL;
	struct qb_wr w = qb_wr_init(pkt, sizeof(pkt));
	struct qb_long_hdr lh = {.type = qb_tx_pkt_type(l->level), .version = c->version, .dcid = &rc->cid,
				 .scid = &c->hs.local_scid, .pn_len = 4};
	size_t hdr_len;
	uint64_t pn;

	REQUIRE(qb_tx_next_pn(c, path, l->level, &pn));
	lh.pn = pn;
	if (l->level == QB_LEVEL_APP)
		qb_hdr_build_short(&w, &rc->cid, false, c->keys.phase, pn, 4);
	else
		qb_hdr_build_long(&w, &lh, &length_at);
	hdr_len = (size_t)(w.p - pkt);
	pkt[0] |= l->first;
	qb_wr_bytes(&w, l->payload, l->len);
	if (length_at)
		qb_hdr_set_length(length_at, 4u + l->len + QB_AEAD_TAG_LEN);
	qb_tx_seal(c, path, l->level, pkt, hdr_len, 4, pn, l->len);
	qb_tx_record(c, path, l->level, 0, hdr_len + l->len + QB_AEAD_TAG_LEN, p->now_ns);
	memset(pkt + hdr_len + l->len + QB_AEAD_TAG_LEN, 0, sizeof(pkt) - hdr_len - l->len - QB_AEAD_TAG_LEN);
	/* An Initial fills a datagram; what follows it is no packet. */
	pair_transmit(p, CLIENT, &path->tuple, pkt,
		      l->level == QB_LEVEL_INITIAL ? initial_dgram_len : (uint32_t)(hdr_len + l->len + QB_AEAD_TAG_LEN));
}

/* Packets that only a liar's QUIC makes. */
START_TEST(test_raw_lies)
{
	const struct raw_lie *l = &raw_lies[_i];
	struct pair_opts o = pair_default_opts(430 + (uint64_t)_i);
	struct pair *p = l->level == QB_LEVEL_APP ? pair_up(&o) : pair_new(&o);

	if (l->level == QB_LEVEL_APP) {
		unfinished = p->end[CLIENT].conn;
	} else {
		unfinished = pair_connect(p);
		p->on_packet = without_finished;
		while (!unfinished->keys.tx[l->level]) {
			pair_poll(p, CLIENT);
			ck_assert(pair_step(p, p->now_ns + 5 * SEC));
		}
		p->on_packet = NULL;
	}
	send_raw(p, unfinished, l);
	pair_run(p, 2 * SEC);
	ck_assert_msg(p->end[CLIENT].last[QB_EV_CONN_CLOSED].error_code == l->error &&
			      p->end[CLIENT].last[QB_EV_CONN_CLOSED].is_by_peer,
		      "%s: %llx, %s", l->what, (unsigned long long)p->end[CLIENT].last[QB_EV_CONN_CLOSED].error_code,
		      p->end[CLIENT].reason);
	pair_free(p);
}
END_TEST

static bool nothing_of_anybody(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	(void)pkt;
	(void)from;
	return false;
}

/* A datagram that is too small to open a connection opens none, and is not answered, whatever version it is of (RFC 9000 §14.1, §6.1). */
START_TEST(test_too_small)
{
	static const struct raw_lie lie = {"PING", QB_LEVEL_INITIAL, 0, 0, 1, {1}};
	struct pair_opts o = pair_default_opts(460);
	struct pair *p = pair_new(&o);
	struct qb_tuple t = pair_server_tuple(p, 0);
	struct pair_end *e = &p->end[SERVER];
	uint8_t pkt[1200] = {0xc0, 0x0a, 0x1a, 0x2a, 0x3a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0};
	uint32_t len;

	p->on_packet = nothing_of_anybody;
	ck_assert_ptr_nonnull(pair_connect(p));
	for (len = 1198; len <= 1200; len++) {
		pair_inject(p, SERVER, &t, pkt, len);
		pair_poll(p, SERVER);
		ck_assert_uint_eq(e->counters.v[QB_CNT_VERSION_NEG_TX], len == 1200);
	}
	ck_assert_uint_eq(e->counters.v[QB_CNT_DROP_VERSION], 3);
	p->on_packet = NULL;
	initial_dgram_len = 1199;
	send_raw(p, qb_quic_next_conn(p->end[CLIENT].q, NULL), &lie);
	p->on_packet = nothing_of_anybody;
	pair_run(p, 20 * MS);
	ck_assert_uint_eq(e->counters.v[QB_CNT_DROP_INITIAL_SIZE], 1);
	ck_assert_ptr_null(qb_quic_next_conn(e->q, NULL));
	ck_assert_uint_eq(e->counters.v[QB_CNT_PACKETS_TX], 1);
	initial_dgram_len = 1200;
	pair_free(p);
}
END_TEST

/* Retire-prior-to floods without acknowledging our RETIREs end the connection, not our memory. */
START_TEST(test_retire_flood)
{
	struct pair_opts o = pair_default_opts(402);
	struct pair *p = pair_up(&o);
	struct qb_frame f = {.type = _i ? QB_FRAME_PATH_NEW_CONNECTION_ID : QB_FRAME_NEW_CONNECTION_ID};
	uint32_t i;

	f.new_cid.path_id = (uint64_t)_i; /* in use, or not yet */
	f.new_cid.cid.len = 8;
	f.new_cid.reset_token = a_token;
	for (i = 0; i < 20 && p->end[SERVER].conn; i++) {
		f.new_cid.seq = f.new_cid.retire_prior_to = 100 + i;
		f.new_cid.cid.id[0] = (uint8_t)i;
		send_frame(p, CLIENT, &f);
		pair_run(p, 100 * QB_NS_PER_US);
	}
	pair_run(p, 11 * MS);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_uint_eq(p->end[SERVER].last[QB_EV_CONN_CLOSED].error_code,
			  QB_QUIC_CONNECTION_ID_LIMIT_ERROR);
	pair_free(p);
}
END_TEST

/* A challenge flood is answered, within bounds. */
START_TEST(test_challenge_flood)
{
	struct pair_opts o = pair_default_opts(403);
	struct pair *p = pair_up(&o);
	struct qb_frame f = {.type = QB_FRAME_PATH_CHALLENGE};
	uint64_t before = p->link[0].sent_pkts[SERVER];
	uint32_t i;

	for (i = 0; i < 300; i++)
		send_frame(p, CLIENT, &f);
	pair_run(p, 1 * SEC);
	ck_assert_uint_le(p->link[0].sent_pkts[SERVER] - before, 320);
	must_live(p);
	pair_free(p);
}
END_TEST

/* Two key updates in a row, without waiting for anything: an error, not a race through the phases.
 */
START_TEST(test_key_update_abuse)
{
	struct pair_opts o = pair_default_opts(410);
	struct pair *p = pair_up(&o);
	struct qb_frame ping = {.type = QB_FRAME_PING};
	uint32_t i;

	pair_run(p, 2 * SEC);
	for (i = 0; i < 2; i++) {
		qb_conn_update_keys(p->end[CLIENT].conn);
		send_frame(p, CLIENT, &ping);
	}
	pair_run(p, 100 * MS);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_uint_eq(p->end[SERVER].last[QB_EV_CONN_CLOSED].error_code,
			  QB_QUIC_KEY_UPDATE_ERROR);
	pair_free(p);
}
END_TEST

static bool from_elsewhere(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == CLIENT)
		pkt->tuple.peer.ip[2] = 6;
	return true;
}

/* A small challenge from an address that nothing is known of gets a small answer. */
START_TEST(test_challenge_reflection)
{
	struct pair_opts o = pair_default_opts(411);
	struct pair *p = pair_up(&o);
	struct qb_frame f = {.type = QB_FRAME_PATH_CHALLENGE};
	uint64_t asked = p->link[0].sent_bytes[CLIENT];

	p->on_packet = from_elsewhere;
	send_frame(p, CLIENT, &f);
	p->on_packet = NULL;
	asked = p->link[0].sent_bytes[CLIENT] - asked;
	pair_run(p, 1 * SEC);
	ck_assert_uint_gt(p->link[6].sent_bytes[SERVER], 0);
	ck_assert_uint_le(p->link[6].sent_bytes[SERVER], 3 * asked);
	/* A probe does not move the path. */
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_MOVED], 0);
	must_live(p);
	pair_free(p);
}
END_TEST

/* A copy of a packet raced from elsewhere must not cost the path its window and its RTT (RFC 9000 §9.3.2), whatever its
 * controller: what was sent there in the meantime is no loss of this path. */
START_TEST(test_migration_costs_nothing)
{
	struct pair_opts o = pair_default_opts(412);
	struct pair *p;
	struct qb_path_info before, after;
	struct bulk b;

	o.cc = qb_cc_list[_i]->name;
	p = pair_up(&o);
	bulk_start(p, &b, SERVER, 1 << 20);
	ck_assert(pair_run_until(p, bulk_is_done, 20 * SEC));
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &before));
	ck_assert_uint_gt(before.cwnd_bytes, 20000);
	p->on_packet = from_elsewhere;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), 0);
	p->on_packet = NULL;
	pair_run(p, 50 * MS);
	must_live(p);
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &after));
	ck_assert_uint_ge(after.cwnd_bytes, before.cwnd_bytes);
	ck_assert_uint_le(after.srtt_ns, 2 * before.srtt_ns);
	ck_assert_uint_eq(after.tuple.peer.ip[2], 0);
	pair_free(p);
}
END_TEST

/* In the middle of a transfer, where all that is in flight for a round trip goes to the wrong place. */
START_TEST(test_migration_costs_nothing_under_load)
{
	struct pair_opts o = pair_default_opts(413);
	struct pair *p;
	struct qb_path_info before, after;
	struct bulk b;

	o.cc = qb_cc_list[_i]->name;
	p = pair_up(&o);
	p->link[0].rate_bps = 100000000;
	p->link[0].queue_ns = 1 * SEC;
	bulk_start(p, &b, SERVER, 32 << 20);
	pair_run(p, 600 * MS);
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &before));
	p->on_packet = from_elsewhere;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), 0);
	p->on_packet = NULL;
	pair_run(p, 300 * MS);
	ck_assert_uint_gt(p->link[6].sent_bytes[SERVER], 0);
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &after));
	ck_assert_uint_eq(after.tuple.peer.ip[2], 0);
	ck_assert_uint_gt(after.lost_packets, before.lost_packets);
	ck_assert_uint_ge(after.cwnd_bytes, before.cwnd_bytes * 9 / 10);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_PERSISTENT_CONGESTION], 0);
	ck_assert(pair_run_until(p, bulk_is_done, 20 * SEC));
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/hostile");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed, cc_cnt = 0;

	while (qb_cc_list[cc_cnt])
		cc_cnt++;
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_replay);
	tcase_add_test(tc, test_replay_elsewhere);
	tcase_add_loop_test(tc, test_damaged, 0, 30);
	tcase_add_test(tc, test_random);
	tcase_add_test(tc, test_initial_flood);
	tcase_add_test(tc, test_known_first);
	tcase_add_loop_test(tc, test_lies, 0, (int)QB_ARRAY_LEN(lies));
	tcase_add_test(tc, test_harmless);
	tcase_add_test(tc, test_optimistic_ack);
	tcase_add_loop_test(tc, test_optimistic_handshake, 0, 4);
	tcase_add_loop_test(tc, test_raw_lies, 0, (int)QB_ARRAY_LEN(raw_lies));
	tcase_add_test(tc, test_too_small);
	tcase_add_loop_test(tc, test_retire_flood, 0, 2);
	tcase_add_test(tc, test_challenge_flood);
	tcase_add_test(tc, test_key_update_abuse);
	tcase_add_test(tc, test_challenge_reflection);
	tcase_add_loop_test(tc, test_migration_costs_nothing, 0, cc_cnt);
	tcase_add_loop_test(tc, test_migration_costs_nothing_under_load, 0, cc_cnt);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
