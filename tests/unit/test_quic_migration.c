/* SPDX-License-Identifier: BSD-2-Clause */
/* Tokens for the next connection, the server's preferred address, who may migrate where, and keys
 * that age. */
#include <check.h>
#include <errno.h>

#include "quic/conn.h"
#include "quic_bulk.h"
#include "quic_liar.h"

/* ---- tokens ---- */

static bool is_client_closed(struct pair *p)
{
	return p->end[CLIENT].events[QB_EV_CONN_CLOSED] > 0 &&
	       !qb_quic_next_conn(p->end[SERVER].q, NULL);
}

/* reconnect ends the connection and makes another over a link. Returns how many Retries it took. */
static uint64_t reconnect(struct pair *p, uint32_t link)
{
	uint64_t before = p->end[CLIENT].counters.v[QB_CNT_RETRY_RX];
	struct qb_tuple t = pair_client_tuple(link);

	qb_conn_close(p->end[CLIENT].conn, 0, "", p->now_ns);
	ck_assert(pair_run_until(p, is_client_closed, 10 * SEC));
	p->end[CLIENT].events[QB_EV_CONN_CLOSED] = 0;
	ck_assert_ptr_nonnull(qb_quic_connect(p->end[CLIENT].q, &t, "hub", p->now_ns));
	ck_assert(pair_run_until(p, pair_is_up, 10 * SEC));
	pair_run(p, 500 * MS);
	return p->end[CLIENT].counters.v[QB_CNT_RETRY_RX] - before;
}

START_TEST(test_token_used)
{
	struct pair_opts o = pair_default_opts(1 + (uint64_t)_i);
	struct pair *p;
	uint32_t n;

	o.retry = QB_RETRY_ALWAYS;
	o.versions[SERVER][0] = _i % 2 ? QB_QUIC_V2 : QB_QUIC_V1;
	o.versions[SERVER][1] = QB_QUIC_V1;
	if (_i % 2)
		o.version_first = QB_QUIC_V2;
	p = pair_up(&o);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_RETRY_RX], 1);
	/* Each connection brings the token for the next one. */
	for (n = 0; n < 4; n++)
		ck_assert_uint_eq(reconnect(p, 0), 0);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_TOKENS_BAD], 0);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_TOKENS_OK], 5);
	/* From another address there is none yet, from there on there is. */
	ck_assert_uint_eq(reconnect(p, 2), 1);
	ck_assert_uint_eq(reconnect(p, 2), 0);
	ck_assert_uint_eq(reconnect(p, 0), 0);
	pair_free(p);
}
END_TEST

/* A connection over several links brings a token for each of them. */
START_TEST(test_token_each_path)
{
	struct pair_opts o = pair_default_opts(10);
	struct pair *p;
	uint32_t i;

	o.retry = QB_RETRY_ALWAYS;
	p = pair_up(&o);
	for (i = 1; i < 3; i++)
		pair_open_path(p, i);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(reconnect(p, 1), 0);
	ck_assert_uint_eq(reconnect(p, 2), 0);
	pair_free(p);
}
END_TEST

/* The NAT's address changed meanwhile, or the token was used before: it counts for nothing, and a
 * Retry follows. */
START_TEST(test_token_useless)
{
	struct pair_opts o = pair_default_opts(20 + (uint64_t)_i);
	struct qb_kept_token kept;
	struct pair *p;
	uint32_t i;

	o.retry = QB_RETRY_ALWAYS;
	p = pair_up(&o);
	for (i = 0; i < QB_TOKENS_KEPT && !p->end[CLIENT].q->tokens_kept.slot[i].whose; i++)
		;
	ck_assert_uint_lt(i, QB_TOKENS_KEPT);
	kept = p->end[CLIENT].q->tokens_kept.slot[i];
	switch (_i) {
	case 0:
		qb_conn_close(p->end[CLIENT].conn, 0, "", p->now_ns);
		pair_run(p, 100 * MS);
		p->link[0].nat_host = 77;
		p->end[CLIENT].events[QB_EV_CONN_CLOSED] = 0;
		ck_assert_ptr_nonnull(pair_connect(p));
		ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
		ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_RETRY_RX], 2);
		break;
	case 1:
		ck_assert_uint_eq(reconnect(p, 0), 0);
		p->end[CLIENT].q->tokens_kept.slot[0] = kept;
		ck_assert_uint_eq(reconnect(p, 0), 1);
		break;
	case 2: /* a day later */
		p->now_ns += QB_TOKEN_NEW_LIFE_NS;
		pair_run(p, 5 * SEC);
		p->end[CLIENT].events[QB_EV_CONN_CLOSED] = 0;
		ck_assert_ptr_nonnull(pair_connect(p));
		ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
		ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_RETRY_RX], 2);
		break;
	case 3: /* noise, as another server's might look to this one */
		for (i = 0; i < kept.len; i++)
			p->end[CLIENT].q->tokens_kept.slot[0].bytes[i] ^= (uint8_t)(i * 7 + 1);
		ck_assert_uint_eq(reconnect(p, 0), 1);
		break;
	}
	pair_free(p);
}
END_TEST

/* ---- preferred address ---- */

static const struct qb_addr elsewhere = {.family = 4, .ip = {198, 51, 100, 9}, .port = 4443};

static bool is_elsewhere_dead, is_elsewhere_mute;
static uint32_t elsewhere_cnt, elsewhere_said_cnt;

static bool drop_elsewhere(struct pair *p, int from, struct pair_pkt *pkt)
{
	const struct qb_addr *server = from == CLIENT ? &pkt->tuple.local : &pkt->tuple.peer;

	(void)p;
	if (!qb_addr_eq(server, &elsewhere))
		return true;
	elsewhere_cnt++;
	/* Mute: after the answer to the client's challenge. */
	if (from == SERVER && is_elsewhere_mute && elsewhere_said_cnt++)
		return false;
	return !is_elsewhere_dead;
}

static struct pair *preferred_pair(uint64_t seed, double loss)
{
	struct pair_opts o = pair_default_opts(seed);
	struct pair *p;

	o.preferred4 = elsewhere;
	p = pair_new(&o);
	p->link[0].loss = loss;
	p->on_packet = drop_elsewhere;
	elsewhere_cnt = elsewhere_said_cnt = 0;
	is_elsewhere_mute = false;
	return p;
}

static void check_data(struct pair *p, uint32_t first)
{
	uint32_t i;

	for (i = first; i < first + 100; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, i, 100), 0);
		ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, i, 100), 0);
		pair_run(p, 5 * MS);
	}
	pair_run(p, 100 * MS);
	for (i = first; i < first + 100; i++) {
		ck_assert_uint_eq(p->end[SERVER].dgram_seen[i], 1);
		ck_assert_uint_eq(p->end[CLIENT].dgram_seen[i], 1);
	}
}

static void check_at(const struct pair *p, int side, uint8_t path, bool is_there)
{
	struct qb_path_info info;

	ck_assert(qb_conn_path_info(p->end[side].conn, path, p->now_ns, &info));
	ck_assert_int_eq(qb_addr_eq(side == CLIENT ? &info.tuple.peer : &info.tuple.local, &elsewhere), is_there);
}

START_TEST(test_preferred)
{
	struct pair *p = preferred_pair(30 + (uint64_t)_i, _i ? 0.2 : 0);
	struct qb_path_info info;

	is_elsewhere_dead = false;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 20 * SEC));
	pair_run(p, 3 * SEC);
	p->link[0].loss = 0;
	pair_run(p, 2 * SEC);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	ck_assert(qb_addr_eq(&info.tuple.peer, &elsewhere));
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &info));
	ck_assert(qb_addr_eq(&info.tuple.local, &elsewhere));
	check_data(p, 1000);
	/* The ID for it is in use, the first one is retired. */
	ck_assert_uint_eq(p->end[CLIENT]
				  .conn->mp.pid[0]
				  .remote.slot[p->end[CLIENT].conn->mp.pid[0].remote.cur]
				  .seq,
			  1);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_DROP_UNKNOWN_CID], 0);
	/* More paths go there as well. */
	pair_open_path(p, 1);
	pair_run(p, 1 * SEC);
	check_at(p, CLIENT, 1, true);
	check_at(p, SERVER, 1, true);
	check_data(p, 2000);
	pair_free(p);
}
END_TEST

/* It does not answer: the connection stays where it is, and nobody notices. */
START_TEST(test_preferred_dead)
{
	struct pair *p = preferred_pair(40, 0);
	struct qb_path_info info;

	is_elsewhere_dead = true;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	check_data(p, 0);
	pair_run(p, 10 * SEC);
	ck_assert_uint_gt(elsewhere_cnt, 2);
	ck_assert_uint_lt(elsewhere_cnt, 25);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	ck_assert_uint_eq(info.tuple.peer.port, 443);
	ck_assert_uint_eq(info.phase, QB_PATH_OPEN);
	check_data(p, 200);
	pair_free(p);
}
END_TEST

/*
 * The client is answered there once, and moves. The server must have its own challenge answered before it follows (RFC 9000 §9.6.2),
 * which does not come about: it goes on where it was, and the client hears it.
 */
START_TEST(test_preferred_one_way)
{
	struct pair *p = preferred_pair(45, 0);

	is_elsewhere_dead = false;
	is_elsewhere_mute = true;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	pair_run(p, 1 * SEC);
	check_data(p, 0);
	check_at(p, CLIENT, 0, true);
	check_at(p, SERVER, 0, false);
	ck_assert_uint_gt(elsewhere_said_cnt, 1);
	is_elsewhere_mute = false;
	check_data(p, 200);
	pair_run(p, 2 * SEC);
	check_data(p, 400);
	check_at(p, SERVER, 0, true);
	pair_free(p);
}
END_TEST

/* No server may point us at networks that only we can reach. */
START_TEST(test_preferred_scope)
{
	static const uint8_t bad[][4] = {{127, 0, 0, 1},  {169, 254, 1, 1},	{224, 0, 0, 1},
					 {0, 0, 0, 0},	  {255, 255, 255, 255}, {10, 0, 0, 1},
					 {192, 168, 1, 1}};
	struct pair_opts o = pair_default_opts(50 + (uint64_t)_i);
	struct pair *p;

	o.preferred4 = elsewhere;
	memcpy(o.preferred4.ip, bad[_i % 7], 4);
	p = pair_up(&o);
	pair_run(p, 1 * SEC);
	ck_assert(!p->end[CLIENT].conn->path[0].alt.validation.is_active);
	ck_assert_uint_eq(p->end[CLIENT].conn->path[0].tuple.peer.port, 443);
	check_data(p, 0);
	pair_free(p);
}
END_TEST

START_TEST(test_scopes)
{
	static const struct {
		const char *text;
		enum qb_scope scope;
	} cases[] = {
		{"0.0.0.0", QB_SCOPE_NONE},
		{"127.1.2.3", QB_SCOPE_HOST},
		{"169.254.0.1", QB_SCOPE_LINK},
		{"10.255.0.1", QB_SCOPE_SITE},
		{"172.15.0.1", QB_SCOPE_GLOBAL},
		{"172.16.0.1", QB_SCOPE_SITE},
		{"172.31.255.255", QB_SCOPE_SITE},
		{"172.32.0.1", QB_SCOPE_GLOBAL},
		{"192.168.0.1", QB_SCOPE_SITE},
		{"100.64.0.1", QB_SCOPE_SITE},
		{"100.128.0.1", QB_SCOPE_GLOBAL},
		{"8.8.8.8", QB_SCOPE_GLOBAL},
		{"224.0.0.1", QB_SCOPE_NONE},
		{"255.255.255.255", QB_SCOPE_NONE},
		{"::", QB_SCOPE_NONE},
		{"::1", QB_SCOPE_HOST},
		{"fe80::1", QB_SCOPE_LINK},
		{"febf::1", QB_SCOPE_LINK},
		{"fec0::1", QB_SCOPE_GLOBAL},
		{"fd00::1", QB_SCOPE_SITE},
		{"ff02::1", QB_SCOPE_NONE},
		{"2001:db8::1", QB_SCOPE_GLOBAL},
		{"::ffff:127.0.0.1", QB_SCOPE_HOST},
	};
	struct qb_addr a;
	uint32_t i;

	for (i = 0; i < QB_ARRAY_LEN(cases); i++) {
		ck_assert_int_eq(qb_addr_parse(cases[i].text, 0, &a), 0);
		ck_assert_msg(qb_addr_scope(&a) == cases[i].scope, "%s", cases[i].text);
	}
}
END_TEST

/* A client that seems to come from a loopback or link-local address all at once is not followed
 * there. */
START_TEST(test_no_forged_move)
{
	struct pair_opts o = pair_default_opts(60);
	struct pair *p = pair_up(&o);
	struct qb_path *path = &p->end[SERVER].conn->path[0];
	struct qb_tuple before = path->tuple;
	struct qb_rx_pkt rx = {.is_non_probing = true, .now_ns = p->now_ns};
	struct qb_buf b = {.len = 100};

	rx.b = &b;
	rx.pn = qb_ranges_largest(&path->space.rx.ranges);
	b.tuple = before;
	memcpy(b.tuple.peer.ip, (uint8_t[]){127, 0, 0, 1}, 4);
	qb_path_on_address(p->end[SERVER].conn, path, &rx);
	ck_assert(qb_tuple_eq(&path->tuple, &before));
	memcpy(b.tuple.peer.ip, (uint8_t[]){169, 254, 0, 1}, 4);
	qb_path_on_address(p->end[SERVER].conn, path, &rx);
	ck_assert(qb_tuple_eq(&path->tuple, &before));
	memcpy(b.tuple.peer.ip, (uint8_t[]){10, 0, 0, 77}, 4);
	qb_path_on_address(p->end[SERVER].conn, path, &rx);
	ck_assert(!qb_tuple_eq(&path->tuple, &before));
	pair_free(p);
}
END_TEST

/* ---- who may migrate ---- */

START_TEST(test_migration_refused)
{
	struct pair_opts o = pair_default_opts(70 + (uint64_t)_i);
	struct qb_tuple t = pair_client_tuple(1);
	struct pair *p;

	o.is_migration_refused[SERVER] = true;
	if (_i)
		o.preferred4 = elsewhere;
	p = pair_up(&o);
	pair_run(p, 2 * SEC);
	/* Not to the address of the handshake; the preferred one is another matter (RFC 9000
	 * §18.2). */
	ck_assert_int_eq(qb_conn_move_path(p->end[CLIENT].conn, 0, &t, p->now_ns), -EPERM);
	ck_assert_int_eq(qb_conn_open_path(p->end[CLIENT].conn, &t, p->now_ns), -EPERM);
	if (_i) {
		t.peer = elsewhere;
		ck_assert_int_eq(qb_conn_move_path(p->end[CLIENT].conn, 0, &t, p->now_ns), 0);
		pair_run(p, 2 * SEC);
		ck_assert_uint_eq(p->end[SERVER].conn->path[0].tuple.peer.ip[2], 1);
	}
	/* A NAT does what it likes. */
	p->link[_i].nat_port += 100;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 5000, 1000), 0);
	pair_run(p, 1 * SEC);
	check_data(p, 0);
	pair_free(p);
}
END_TEST

/* A RETIRE_CONNECTION_ID overtakes packets on the old link: they are late, and no reason for a stateless reset. */
START_TEST(test_retired_lingers)
{
	struct pair_opts o = pair_default_opts(90);
	struct pair *p = pair_up(&o);
	struct qb_remote_cids *to = &p->end[CLIENT].conn->mp.pid[0].remote;
	struct qb_tuple at = pair_server_tuple(p, 0);
	uint8_t late[60] = {0x40};
	uint32_t i;

	for (i = 1; i < 8; i++) {
		struct qb_tuple t = pair_client_tuple(i % 3);
		uint64_t seq = qb_remote_cids_current(to)->seq;

		memcpy(late + 1, qb_remote_cids_current(to)->cid.id, QB_CID_LEN);
		ck_assert_int_eq(qb_conn_move_path(p->end[CLIENT].conn, 0, &t, p->now_ns), 0);
		pair_run(p, 2 * SEC);
		ck_assert_uint_gt(qb_remote_cids_current(to)->seq, seq);
		pair_inject(p, SERVER, &at, late, sizeof(late));
		pair_run(p, 1 * SEC);
		ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_DROP_AUTH], i);
	}
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_STATELESS_RESET_TX], 0);
	pair_free(p);
}
END_TEST

/* RFC 9000 §9.4: what was in flight to the old network and is lost there is no congestion of the
 * new one. */
START_TEST(test_old_losses)
{
	struct pair_opts o = pair_default_opts(80);
	struct pair *p = pair_up(&o);
	struct qb_tuple t = pair_client_tuple(1);
	struct qb_path_info info;
	struct bulk b;

	bulk_start(p, &b, SERVER, 8 << 20);
	pair_run(p, 200 * MS);
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &info));
	ck_assert_uint_gt(info.in_flight_bytes, 100000);
	p->link[0].is_down = true;
	ck_assert_int_eq(qb_conn_move_path(p->end[CLIENT].conn, 0, &t, p->now_ns), 0);
	pair_run(p, 1 * SEC);
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &info));
	ck_assert_uint_eq(info.tuple.peer.ip[2], 1);
	ck_assert_uint_gt(info.lost_packets, 50);
	ck_assert_uint_eq(info.ssthresh_bytes, UINT64_MAX); /* slow start all the time */
	ck_assert(pair_run_until(p, bulk_is_done, 20 * SEC));
	pair_free(p);
}
END_TEST

/* What the client says binds the server, which never moves anyhow. */
START_TEST(test_migration_refused_by_client)
{
	struct pair_opts o = pair_default_opts(80);
	struct pair *p;

	o.is_migration_refused[CLIENT] = true;
	p = pair_up(&o);
	pair_open_path(p, 1);
	pair_free(p);
}
END_TEST

/* ---- keys that age ---- */

START_TEST(test_key_age)
{
	struct pair_opts o = pair_default_opts(90 + (uint64_t)_i);
	struct qb_conn_info info[2];
	struct pair *p;
	uint32_t i;

	o.key_update_ns = 10 * SEC;
	o.keepalive_ns = _i ? 1 * SEC : 0;
	o.idle_ns = 300 * SEC;
	p = pair_up(&o);
	p->link[0].loss = 0.02;
	for (i = 0; i < 600; i++) {
		if (!_i) {
			(void)!pair_send_dgram(p, CLIENT, 0, i, 100);
			(void)!pair_send_dgram(p, SERVER, 0, i, 100);
		}
		pair_run(p, 100 * MS);
	}
	qb_conn_get_info(p->end[CLIENT].conn, &info[CLIENT]);
	qb_conn_get_info(p->end[SERVER].conn, &info[SERVER]);
	ck_assert_uint_ge(info[CLIENT].key_updates, 4);
	ck_assert_uint_le(info[CLIENT].key_updates, 6);
	ck_assert_uint_le(info[CLIENT].key_updates, info[SERVER].key_updates + 1);
	ck_assert_uint_le(info[SERVER].key_updates, info[CLIENT].key_updates + 1);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_DROP_AUTH], 0);
	pair_free(p);
}
END_TEST

/* A connection that says nothing is not woken to change its keys again and again. */
START_TEST(test_key_age_idle)
{
	struct pair_opts o = pair_default_opts(95);
	uint32_t steps = 0;
	struct pair *p;
	uint64_t until_ns;

	o.key_update_ns = 2 * SEC;
	o.idle_ns = 600 * SEC;
	p = pair_up(&o);
	pair_run(p, 5 * SEC);
	until_ns = p->now_ns + 120 * SEC;
	while (pair_step(p, until_ns))
		steps++;
	ck_assert_uint_lt(steps, 40);
	pair_free(p);
}
END_TEST

/* Keys that have sealed enough are changed by whoever notices first; no packet is lost by it. */
START_TEST(test_key_packets)
{
	struct pair_opts o = pair_default_opts(97);
	struct qb_conn_info info[2];
	struct pair *p;
	uint32_t i;

	o.key_update_pkts = 1000;
	p = pair_up(&o);
	for (i = 0; i < 20000; i++) {
		while (pair_send_dgram(p, CLIENT, 0, i, 100) < 0)
			pair_run(p, 1 * MS);
		if (i % 4 == 0)
			pair_run(p, 1 * MS);
	}
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 20000);
	qb_conn_get_info(p->end[CLIENT].conn, &info[CLIENT]);
	qb_conn_get_info(p->end[SERVER].conn, &info[SERVER]);
	ck_assert_uint_ge(info[CLIENT].key_updates, 12);
	ck_assert_uint_le(info[CLIENT].key_updates, 20);
	ck_assert_uint_eq(info[SERVER].key_updates, info[CLIENT].key_updates);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_DROP_AUTH], 0);
	pair_free(p);
}
END_TEST

/* What the NAT makes of the client is told to it, on each path, and again when it changes. */
START_TEST(test_address_discovery)
{
	struct pair_opts o = pair_default_opts(96 + (uint64_t)_i);
	struct pair *p;
	struct qb_path_info info;
	uint32_t i, no = 0;
	uint8_t path;

	p = pair_up(&o);
	path = pair_open_path(p, 2);
	if (_i)
		p->link[0].loss = p->link[2].loss = 0.3;
	for (i = 0; i < 4; i++) {
		p->link[2].nat_port = (uint16_t)(9000 + i);
		p->link[2].nat_host = (uint8_t)(1 + i / 2);
		for (; no < 100 * (i + 1); no++) {
			(void)!pair_send_dgram(p, CLIENT, path, no, 100);
			pair_run(p, 30 * MS);
		}
		ck_assert(qb_conn_path_info(p->end[CLIENT].conn, path, p->now_ns, &info));
		ck_assert_int_eq(info.public_addr.family, 4);
		ck_assert_uint_eq(info.public_addr.port, 9000 + i);
		ck_assert_mem_eq(info.public_addr.ip, ((uint8_t[]){10, 0, 2, (uint8_t)(1 + i / 2)}), 4);
	}
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	ck_assert_uint_eq(info.public_addr.port, 5000);
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &info));
	ck_assert_uint_eq(info.public_addr.family, 0);
	pair_free(p);
}
END_TEST

static bool is_client_up(struct pair *p)
{
	return p->end[CLIENT].conn;
}

/*
 * A NAT forgets the client right after its last handshake packet: what the server says goes nowhere, and what the client repeats
 * has no keys there any more. A packet of the client's that the server can read must show it the new address.
 */
START_TEST(test_rebinding_before_confirmation)
{
	struct pair_opts o = pair_default_opts(95);
	struct pair *p = pair_new(&o);

	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, is_client_up, 5 * SEC));
	p->link[0].nat_port = 7777;
	pair_run(p, 10 * SEC);
	ck_assert(pair_is_up(p));
	ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, 1, 100), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].dgram_seen[1], 1);
	pair_free(p);
}
END_TEST

/* ---- nobody can tell that two addresses are one client's ---- */

enum { CIDS_SEEN = 64 };

/* The connection IDs that were on each link, to either side. */
static struct {
	uint8_t id[CIDS_SEEN][QB_CID_LEN];
	uint32_t cnt;
} cids_seen[2][PAIR_LINKS];

static bool note_cids(struct pair *p, int from, struct pair_pkt *pkt)
{
	uint32_t link = from == CLIENT ? pkt->tuple.peer.ip[2] : pkt->tuple.local.ip[2], i;
	uint32_t *cnt = &cids_seen[from][link].cnt;

	(void)p;
	if (pkt->data[0] & 0x80)
		return true;
	for (i = 0; i < *cnt; i++) {
		if (!memcmp(cids_seen[from][link].id[i], pkt->data + 1, QB_CID_LEN))
			return true;
	}
	ck_assert_uint_lt(*cnt, CIDS_SEEN);
	memcpy(cids_seen[from][link].id[(*cnt)++], pkt->data + 1, QB_CID_LEN);
	return true;
}

static void must_be_strangers(uint32_t a, uint32_t b)
{
	for (int from = 0; from < 2; from++) {
		ck_assert_uint_gt(cids_seen[from][a].cnt, 0);
		ck_assert_uint_gt(cids_seen[from][b].cnt, 0);
		for (uint32_t i = 0; i < cids_seen[from][a].cnt; i++)
			for (uint32_t j = 0; j < cids_seen[from][b].cnt; j++)
				ck_assert_mem_ne(cids_seen[from][a].id[i], cids_seen[from][b].id[j], QB_CID_LEN);
	}
}

/* A client that moves takes new connection IDs, and so does the server, with and without other paths (RFC 9000 §9.5). */
START_TEST(test_move_unlinkable)
{
	struct pair_opts o = pair_default_opts(120 + (uint64_t)_i);
	struct pair *p;
	uint32_t i, at = 0;

	if (_i)
		o.max_path_id_server = UINT32_MAX;
	memset(cids_seen, 0, sizeof(cids_seen));
	p = pair_up(&o);
	pair_run(p, 200 * MS);
	p->on_packet = note_cids;
	for (i = 0; i < 12; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, i, 100), 0);
		ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, i, 100), 0);
		pair_run(p, 300 * MS);
		ck_assert_uint_eq(p->end[SERVER].dgram_seen[i], 1);
		ck_assert_uint_eq(p->end[CLIENT].dgram_seen[i], 1);
		if (i % 3 == 2 && at < 3) {
			struct qb_tuple t = pair_client_tuple(++at);

			ck_assert_int_eq(qb_conn_move_path(p->end[CLIENT].conn, 0, &t, p->now_ns), 0);
		}
	}
	for (i = 0; i < at; i++)
		must_be_strangers(i, i + 1);
	must_be_strangers(0, 2);
	/* What was given back was replaced. */
	ck_assert_ptr_nonnull(qb_remote_cids_spare(&p->end[SERVER].conn->mp.pid[0].remote));
	pair_free(p);
}
END_TEST

/* One that only asks whether another way is open is answered there by another connection ID, and moves to that one later. */
START_TEST(test_probe_unlinkable)
{
	struct pair_opts o = pair_default_opts(130);
	struct pair *p = pair_up(&o);
	struct qb_conn *c = p->end[CLIENT].conn;
	struct qb_remote_cids *r = &c->mp.pid[0].remote;
	struct qb_frame f = {.type = QB_FRAME_PATH_CHALLENGE, .path_challenge = {1, 2, 3}};
	const struct qb_tuple was = c->path[0].tuple;

	memset(cids_seen, 0, sizeof(cids_seen));
	pair_run(p, 200 * MS);
	p->on_packet = note_cids;
	ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, 1, 100), 0);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), 0);
	pair_run(p, 200 * MS);
	/* As a client does that tries before it moves: another address, another ID. */
	ck_assert(qb_remote_cids_switch(r));
	c->path[0].tuple = pair_client_tuple(2);
	send_frame(p, CLIENT, &f);
	ck_assert(qb_remote_cids_use(r, 0));
	c->path[0].tuple = was;
	pair_run(p, 200 * MS);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_MOVED], 0);
	must_be_strangers(0, 2);
	pair_free(p);
}
END_TEST

/* A NAT's doing needs no new ones, and an attempt that fails goes back to the old ones. */
START_TEST(test_failed_move_keeps_its_ids)
{
	struct pair_opts o = pair_default_opts(131);
	struct pair *p;
	struct qb_tuple t = pair_client_tuple(2), was = pair_client_tuple(0);
	uint64_t before;

	o.max_path_id_server = UINT32_MAX;
	p = pair_up(&o);
	pair_run(p, 200 * MS);
	before = qb_remote_cids_current(&p->end[SERVER].conn->mp.pid[0].remote)->seq;
	/* Nothing comes back from there. */
	ck_assert_int_eq(qb_conn_move_path(p->end[CLIENT].conn, 0, &t, p->now_ns), 0);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 2, 100), 0);
	pair_run(p, 12 * MS);
	p->link[2].is_down = true;
	pair_run(p, 20 * MS);
	ck_assert_uint_ne(qb_remote_cids_current(&p->end[SERVER].conn->mp.pid[0].remote)->seq, before);
	pair_run(p, 5 * SEC);
	ck_assert_uint_eq(qb_remote_cids_current(&p->end[SERVER].conn->mp.pid[0].remote)->seq, before);
	ck_assert_int_eq(qb_conn_move_path(p->end[CLIENT].conn, 0, &was, p->now_ns), 0);
	pair_run(p, 1 * SEC);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), 0);
	ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, 1, 100), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_seen[1], 1);
	ck_assert_uint_eq(p->end[CLIENT].dgram_seen[1], 1);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/migration");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_token_used, 0, 6);
	tcase_add_test(tc, test_token_each_path);
	tcase_add_loop_test(tc, test_token_useless, 0, 4);
	tcase_add_loop_test(tc, test_preferred, 0, 10);
	tcase_add_test(tc, test_preferred_dead);
	tcase_add_test(tc, test_preferred_one_way);
	tcase_add_loop_test(tc, test_preferred_scope, 0, 7);
	tcase_add_test(tc, test_scopes);
	tcase_add_test(tc, test_no_forged_move);
	tcase_add_test(tc, test_old_losses);
	tcase_add_test(tc, test_retired_lingers);
	tcase_add_loop_test(tc, test_move_unlinkable, 0, 2);
	tcase_add_test(tc, test_probe_unlinkable);
	tcase_add_test(tc, test_failed_move_keeps_its_ids);
	tcase_add_loop_test(tc, test_migration_refused, 0, 2);
	tcase_add_test(tc, test_migration_refused_by_client);
	tcase_add_loop_test(tc, test_key_age, 0, 2);
	tcase_add_test(tc, test_key_age_idle);
	tcase_add_test(tc, test_key_packets);
	tcase_add_test(tc, test_rebinding_before_confirmation);
	tcase_add_loop_test(tc, test_address_discovery, 0, 4);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
