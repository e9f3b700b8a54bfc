/* SPDX-License-Identifier: BSD-2-Clause */
/* Several paths: opening, using, losing, abandoning, moving; and peers whose address changes under
 * way. */
#include <check.h>
#include <errno.h>

#include "quic_bulk.h"

static struct qb_path_info path_info(const struct pair *p, int side, uint8_t path)
{
	struct qb_path_info info;

	if (!qb_conn_path_info(p->end[side].conn, path, p->now_ns, &info))
		info.phase = QB_PATH_UNUSED;
	return info;
}

/* server_path finds the server's slot for the path that the client knows as `path`. */
static uint8_t server_path(const struct pair *p, uint8_t path)
{
	uint32_t id = path_info(p, CLIENT, path).path_id;
	uint8_t i;

	for (i = 0; i < QB_PATHS_MAX; i++) {
		struct qb_path_info info = path_info(p, SERVER, i);

		if (info.phase != QB_PATH_UNUSED && info.path_id == id)
			return i;
	}
	ck_abort_msg("the server has no path %u", id);
	return 0;
}

START_TEST(test_four_paths)
{
	struct pair_opts o = pair_default_opts(1);
	struct pair *p = pair_up(&o);
	uint8_t path[4] = {0};
	uint32_t i;

	for (i = 1; i < 4; i++)
		path[i] = pair_open_path(p, i);
	for (i = 0; i < 2000; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, path[i % 4], i, 500), 0);
		ck_assert_int_eq(pair_send_dgram(p, SERVER, server_path(p, path[i % 4]), i, 500),
				 0);
		pair_run(p, 5 * MS);
	}
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 2000);
	ck_assert_uint_eq(p->end[CLIENT].dgram_cnt, 2000);
	for (i = 0; i < 4; i++) {
		struct qb_path_info info = path_info(p, CLIENT, path[i]);

		ck_assert_uint_eq(info.phase, QB_PATH_OPEN);
		/* Each path's RTT is its link's. */
		ck_assert_uint_ge(info.srtt_ns, 2 * p->link[i].delay_ns);
		ck_assert_uint_le(info.srtt_ns, 2 * p->link[i].delay_ns + 12 * MS);
		ck_assert_uint_eq(info.mtu_bytes, 1472);
		ck_assert_uint_eq(info.lost_packets, 0);
		ck_assert_uint_eq(info.in_flight_bytes, 0);
		ck_assert_uint_eq(info.oldest_unacked_ns, 0);
		ck_assert_uint_ge(p->end[CLIENT].dgram_by_path[path[i]], 500);
	}
	pair_free(p);
}
END_TEST

/* Challenges and answers bear no mark, and are not taken for marked ones that were bleached: neither a path that
 * opens nor one whose address changes loses ECN by them. */
START_TEST(test_ecn_outlives_probes)
{
	struct pair_opts o = pair_default_opts(12);
	struct pair *p = pair_up(&o);
	uint8_t path[3] = {0};
	uint32_t i;

	for (i = 1; i < 3; i++)
		path[i] = pair_open_path(p, i);
	for (i = 0; i < 1500; i++) {
		if (i == 700)
			p->link[1].nat_port += 100;
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, path[i % 3], i, 500), 0);
		/* What the amplification limit refuses is not missed. */
		(void)!pair_send_dgram(p, SERVER, server_path(p, path[i % 3]), i, 500);
		pair_run(p, 5 * MS);
	}
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_MOVED], 1);
	for (i = 0; i < 3; i++) {
		ck_assert(path_info(p, CLIENT, path[i]).is_ecn_capable);
		ck_assert(path_info(p, SERVER, server_path(p, path[i])).is_ecn_capable);
		ck_assert_uint_ge(path_info(p, CLIENT, path[i]).ect0_rx, 400);
	}
	pair_free(p);
}
END_TEST

static uint8_t quoted[64];
static uint32_t quote_link;

/* keep_quote remembers what a router on a link would quote of the client's last packet. */
static bool keep_quote(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == CLIENT && pkt->len >= sizeof(quoted) && pkt->tuple.peer.ip[2] == quote_link)
		memcpy(quoted, pkt->data, sizeof(quoted));
	return true;
}

/* "Packet too big" counts for the path that it quotes a packet of, by address and connection ID, and for no other. */
START_TEST(test_packet_too_big)
{
	struct pair_opts o = pair_default_opts(4);
	struct pair *p = pair_up(&o);
	uint8_t path = pair_open_path(p, 1);
	struct qb_tuple t = pair_client_tuple(1);
	struct qb_ptb ptb = {.local = t.local, .peer = t.peer, .bytes = 1300, .quoted = quoted};
	struct qb_quic *q = p->end[CLIENT].q;

	pair_run(p, 2 * SEC);
	ck_assert_uint_eq(path_info(p, CLIENT, path).mtu_bytes, 1472);
	quote_link = 1;
	p->on_packet = keep_quote;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, path, 1, 1000), 0);
	pair_run(p, 1 * SEC);

	/* From another port, cut short, of another connection ID, or of a handshake packet: no. */
	ptb.quoted_len = sizeof(quoted);
	ptb.local.port++;
	ck_assert(!qb_quic_on_ptb(q, &ptb, p->now_ns));
	ptb.local.port--;
	for (ptb.quoted_len = 0; ptb.quoted_len < 1 + QB_CID_LEN; ptb.quoted_len++)
		ck_assert(!qb_quic_on_ptb(q, &ptb, p->now_ns));
	quoted[1] ^= 1;
	ck_assert(!qb_quic_on_ptb(q, &ptb, p->now_ns));
	quoted[1] ^= 1;
	quoted[0] |= 0x80;
	ck_assert(!qb_quic_on_ptb(q, &ptb, p->now_ns));
	quoted[0] &= 0x7f;
	ck_assert_uint_eq(path_info(p, CLIENT, path).mtu_bytes, 1472);

	ck_assert(qb_quic_on_ptb(q, &ptb, p->now_ns));
	ck_assert_uint_eq(path_info(p, CLIENT, path).mtu_bytes, 1200);
	ck_assert_uint_eq(path_info(p, CLIENT, 0).mtu_bytes, 1472);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(path_info(p, CLIENT, path).mtu_bytes, 1300);
	ck_assert(path_info(p, CLIENT, path).is_mtu_settled);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_PTB_TAKEN], 1);
	pair_free(p);
}
END_TEST

/* As many paths as there are slots, and then a clear no. */
START_TEST(test_path_limits)
{
	struct pair_opts o = pair_default_opts(2);
	struct qb_tuple t = pair_client_tuple(1);
	struct pair *p;
	uint32_t i;

	o.max_path_id_server = 3;
	p = pair_up(&o);
	ck_assert_int_eq(qb_conn_open_path(p->end[SERVER].conn, &t, p->now_ns), -EPERM);
	for (i = 1; i <= 3; i++)
		pair_open_path(p, i);
	/* No more path IDs; asking does no harm. */
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(qb_conn_open_path(p->end[CLIENT].conn, &t, p->now_ns), -EAGAIN);
		pair_run(p, 1 * SEC);
		ck_assert(p->end[CLIENT].conn && p->end[SERVER].conn);
	}
	/* One path less, and the IDs go on. */
	p->end[CLIENT].events[QB_EV_PATHS_AVAILABLE] = 0;
	ck_assert_int_eq(qb_conn_close_path(p->end[CLIENT].conn, 2, 0, p->now_ns), 0);
	pair_run(p, 3 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_PATHS_AVAILABLE], 1);
	pair_open_path(p, 1);
	pair_free(p);

	o = pair_default_opts(3);
	o.max_path_id_client = o.max_path_id_server = 15;
	p = pair_up(&o);
	for (i = 1; i < QB_PATHS_MAX; i++)
		pair_open_path(p, i);
	ck_assert_int_eq(qb_conn_open_path(p->end[CLIENT].conn, &t, p->now_ns), -ENOSPC);
	pair_free(p);
}
END_TEST

/* Loss on one path is that path's alone. */
START_TEST(test_loss_is_per_path)
{
	struct pair_opts o = pair_default_opts(4);
	struct pair *p = pair_up(&o);
	uint8_t path = pair_open_path(p, 1);
	uint32_t i;

	p->link[1].loss = 0.1;
	for (i = 0; i < 4000; i++) {
		(void)!pair_send_dgram(p, CLIENT, i % 2 ? path : 0, i, 500);
		pair_run(p, 2 * MS);
	}
	pair_run(p, 2 * SEC);
	ck_assert_uint_eq(path_info(p, CLIENT, 0).lost_packets, 0);
	ck_assert_uint_gt(path_info(p, CLIENT, path).lost_packets, 80);
	ck_assert_uint_lt(path_info(p, CLIENT, path).cwnd_bytes,
			  path_info(p, CLIENT, 0).cwnd_bytes + 1);
	pair_free(p);
}
END_TEST

static void abandon_by(int side, uint64_t seed)
{
	struct pair_opts o = pair_default_opts(seed);
	struct pair *p = pair_up(&o);
	struct qb_tuple t = pair_client_tuple(2);
	uint8_t path = pair_open_path(p, 1), there;
	uint32_t round, i;
	int rc;

	ck_assert_int_eq(qb_conn_close_path(p->end[CLIENT].conn, 5, 0, p->now_ns), -ENOENT);
	/* Path IDs are not used again, yet closing and opening may go on for ever. */
	for (round = 0; round < 20; round++) {
		there = side == CLIENT ? path : server_path(p, path);
		ck_assert_int_eq(qb_conn_close_path(p->end[side].conn, there, 0x3e, p->now_ns), 0);
		for (i = 0; i < 100; i++) {
			ck_assert_int_eq(pair_send_dgram(p, side, there, i, 100), -ENOTCONN);
			if (pair_send_dgram(p, CLIENT, 0, i, 100) != 0)
				break;
			pair_run(p, 20 * MS);
			if (path_info(p, CLIENT, path).phase == QB_PATH_UNUSED)
				break;
		}
		ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_PATH_CLOSED], round + 1);
		ck_assert_uint_eq(p->end[CLIENT].last[QB_EV_PATH_CLOSED].path, path);
		ck_assert(p->end[CLIENT].last[QB_EV_PATH_CLOSED].is_by_peer == (side == SERVER));
		pair_run(p, 2 * SEC);
		ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_CLOSED], round + 1);
		rc = qb_conn_open_path(p->end[CLIENT].conn, &t, p->now_ns);
		ck_assert_int_ge(rc, 0);
		path = (uint8_t)rc;
		pair_run(p, 1 * SEC);
		ck_assert_uint_eq(path_info(p, CLIENT, path).phase, QB_PATH_OPEN);
		ck_assert_uint_eq(path_info(p, CLIENT, path).path_id, round + 2);
	}
	ck_assert_int_eq(qb_conn_close_path(p->end[CLIENT].conn, path, 0, p->now_ns), 0);
	ck_assert_int_eq(qb_conn_close_path(p->end[CLIENT].conn, 0, 0, p->now_ns), -EBUSY);
	pair_free(p);
}

START_TEST(test_abandon)
{
	abandon_by(CLIENT, 5);
}
END_TEST

START_TEST(test_abandon_by_server)
{
	abandon_by(SERVER, 6);
}
END_TEST

/* Path 0 is a path like any other. */
START_TEST(test_abandon_first)
{
	struct pair_opts o = pair_default_opts(7);
	struct pair *p = pair_up(&o);
	uint8_t path = pair_open_path(p, 1);
	struct bulk b;

	bulk_start(p, &b, CLIENT, 1 << 20);
	pair_run(p, 30 * MS);
	ck_assert_int_eq(qb_conn_close_path(p->end[CLIENT].conn, 0, 0, p->now_ns), 0);
	p->link[0].is_down = true;
	ck_assert(pair_run_until(p, bulk_is_done, 60 * SEC));
	pair_run(p, 5 * SEC);
	ck_assert_uint_eq(path_info(p, CLIENT, 0).phase, QB_PATH_UNUSED);
	ck_assert_uint_eq(path_info(p, CLIENT, path).phase, QB_PATH_OPEN);
	pair_free(p);
}
END_TEST

/* A link dies without a word; the owner notices and says so: streams go on elsewhere, and come
 * back. */
START_TEST(test_silent_death)
{
	struct pair_opts o = pair_default_opts(8);
	struct pair *p = pair_up(&o);
	uint8_t path = pair_open_path(p, 1);
	uint64_t start_ns, before;
	struct bulk b;
	uint32_t i;

	/* Link 0 has the shorter RTT, so the stream is there. */
	p->link[0].rate_bps = 20000000;
	p->link[0].queue_ns = 50 * MS;
	bulk_start(p, &b, CLIENT, 4 << 20);
	pair_run(p, 200 * MS);
	p->link[0].is_down = true;
	start_ns = p->now_ns;
	pair_run(p, 200 * MS);
	qb_conn_set_path_down(p->end[CLIENT].conn, 0, true, p->now_ns);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), -ENOTCONN);
	ck_assert(pair_run_until(p, bulk_is_done, 60 * SEC));
	ck_assert_uint_lt(p->now_ns - start_ns, 20 * SEC);
	/* While it is down, only probes are sent there. */
	before = p->link[0].sent_pkts[CLIENT];
	pair_run(p, 5 * SEC);
	ck_assert_uint_eq(p->link[0].sent_pkts[CLIENT], before);
	for (i = 0; i < 3; i++) {
		qb_conn_probe_path(p->end[CLIENT].conn, 0, p->now_ns);
		pair_run(p, 1 * SEC);
	}
	ck_assert_uint_eq(p->link[0].sent_pkts[CLIENT], before + 3);
	/* The link is back: the next probe is answered. */
	p->link[0].is_down = false;
	start_ns = p->now_ns;
	qb_conn_probe_path(p->end[CLIENT].conn, 0, p->now_ns);
	pair_run(p, 1 * SEC);
	ck_assert_uint_gt(path_info(p, CLIENT, 0).last_ack_ns, start_ns);
	qb_conn_set_path_down(p->end[CLIENT].conn, 0, false, p->now_ns);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 2, 100), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_seen[2], 1);
	ck_assert_uint_eq(path_info(p, CLIENT, path).phase, QB_PATH_OPEN);
	pair_free(p);
}
END_TEST

/*
 * A path that is to be filled is kept as full as it takes, so that its rate is known then, and not for longer than was asked.
 * The window holds.
 */
START_TEST(test_fill)
{
	struct pair_opts o = pair_default_opts(9);
	struct pair *p = pair_up(&o);
	uint8_t path = pair_open_path(p, 1);
	uint64_t before;

	p->link[1].rate_bps = 20000000;
	p->link[1].queue_ns = 100 * MS;
	pair_run(p, 1 * SEC);
	ck_assert_uint_lt(path_info(p, CLIENT, path).delivery_bps, 1000000);
	qb_conn_fill_path(p->end[CLIENT].conn, path, p->now_ns + 2 * SEC, p->now_ns);
	pair_run(p, 3 * SEC);
	ck_assert_uint_ge(path_info(p, CLIENT, path).delivery_bps, 17000000);
	ck_assert_uint_gt(p->end[CLIENT].counters.v[QB_CNT_FILL_PACKETS], 1500);
	ck_assert_uint_le(p->end[CLIENT].counters.v[QB_CNT_FILL_PACKETS], 4000);
	before = p->link[1].sent_pkts[CLIENT];
	pair_run(p, 2 * SEC);
	ck_assert_uint_le(p->link[1].sent_pkts[CLIENT] - before, 2);
	/* Nothing is sent where nothing comes back. */
	p->link[1].is_down = true;
	qb_conn_fill_path(p->end[CLIENT].conn, path, p->now_ns + 20 * SEC, p->now_ns);
	pair_run(p, 20 * SEC);
	ck_assert_uint_le(p->link[1].sent_pkts[CLIENT] - before, 1000);
	pair_free(p);
}
END_TEST

/* Each path is filled for as long as was asked for it: of two, the one that is no longer to be filled is quiet. */
START_TEST(test_fill_ends)
{
	struct pair_opts o = pair_default_opts(9);
	struct pair *p = pair_up(&o);
	uint8_t first = pair_open_path(p, 1), second = pair_open_path(p, 2);
	struct qb_conn *c = p->end[CLIENT].conn;
	uint64_t before[2];

	p->link[1].rate_bps = p->link[2].rate_bps = 20000000;
	p->link[1].queue_ns = p->link[2].queue_ns = 100 * MS;
	pair_run(p, 1 * SEC);
	qb_conn_fill_path(c, second, p->now_ns + 200 * MS, p->now_ns);
	for (uint32_t i = 0; i < 5; i++) {
		qb_conn_fill_path(c, first, p->now_ns + 300 * MS, p->now_ns);
		pair_run(p, 100 * MS);
	}
	before[0] = p->link[1].sent_pkts[CLIENT];
	before[1] = p->link[2].sent_pkts[CLIENT];
	for (uint32_t i = 0; i < 10; i++) {
		qb_conn_fill_path(c, first, p->now_ns + 300 * MS, p->now_ns);
		pair_run(p, 100 * MS);
	}
	ck_assert_uint_gt(p->link[1].sent_pkts[CLIENT] - before[0], 500);
	ck_assert_uint_le(p->link[2].sent_pkts[CLIENT] - before[1], 5);
	pair_free(p);
}
END_TEST

/* say has the client send on a path for a while. */
static void say(struct pair *p, uint8_t path, uint64_t span_ns)
{
	for (uint64_t end_ns = p->now_ns + span_ns; p->now_ns < end_ns; pair_run(p, 10 * MS))
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, path, 1, 500), 0);
}

/*
 * The server holds a path for dead, so what comes by it is acknowledged by the other one, which is quicker: that is no measure of this
 * path, unless it goes on and on. When it ends, the path has its RTT again.
 */
START_TEST(test_acks_by_another_path)
{
	struct pair_opts o = pair_default_opts(31);
	struct pair *p = pair_up(&o);
	uint8_t path = pair_open_path(p, 3), back;
	uint64_t there_ns = p->link[3].delay_ns, back_ns = p->link[0].delay_ns;

	ck_assert_uint_gt(there_ns, back_ns + 5 * MS);
	say(p, path, 500 * MS);
	ck_assert_uint_ge(path_info(p, CLIENT, path).min_rtt_ns, 2 * there_ns);
	back = server_path(p, path);
	qb_conn_set_path_down(p->end[SERVER].conn, back, true, p->now_ns);
	say(p, path, 2 * SEC);
	ck_assert_uint_ge(path_info(p, CLIENT, path).last_ack_ns, p->now_ns - 100 * MS);
	ck_assert_uint_ge(path_info(p, CLIENT, path).min_rtt_ns, 2 * there_ns);
	ck_assert_uint_ge(path_info(p, CLIENT, path).srtt_ns, 2 * there_ns);
	say(p, path, 2 * SEC);
	ck_assert_uint_ge(path_info(p, CLIENT, path).min_rtt_ns, there_ns + back_ns);
	ck_assert_uint_lt(path_info(p, CLIENT, path).min_rtt_ns, there_ns + back_ns + 5 * MS);
	qb_conn_set_path_down(p->end[SERVER].conn, back, false, p->now_ns);
	say(p, path, 200 * MS);
	ck_assert_uint_ge(path_info(p, CLIENT, path).min_rtt_ns, 2 * there_ns);
	pair_free(p);
}
END_TEST

/* reports takes what is told of datagrams' fates; those that arrived are struck from a list of expected ones. */
static uint32_t reports(struct pair *p, uint8_t path, uint64_t *expected)
{
	struct qb_lost_datagram r;
	uint32_t lost_cnt = 0;

	while (qb_conn_next_lost(p->end[CLIENT].conn, &r)) {
		ck_assert_uint_eq(r.path, path);
		for (uint32_t i = 0; i < r.cnt && r.has_arrived; i++) {
			ck_assert(*expected >> (r.cookie + i) & 1);
			*expected &= ~(UINT64_C(1) << (r.cookie + i));
		}
		lost_cnt += r.has_arrived ? 0 : r.cnt;
	}
	return lost_cnt;
}

/*
 * The link dies while packets are on their way, and their ACKs die with it. Who doubts it asks by the other one and hears at once what
 * arrived, which is neither a sign of life nor a measure of the link; each doubt is answered once.
 */
START_TEST(test_doubt)
{
	struct pair_opts o = pair_default_opts(32);
	struct pair *p = pair_up(&o);
	uint8_t path = pair_open_path(p, 3);
	uint64_t expected = 0, asked_pkts;
	struct qb_path_info before, info;
	struct qb_conn *c = p->end[CLIENT].conn;

	say(p, path, 500 * MS);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(reports(p, path, &expected), 0);
	for (uint32_t i = 10; i < 50; i++) {
		p->link[3].is_down = i >= 30;
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, path, i, 100), 0);
		pair_run(p, 1 * MS);
		expected |= (uint64_t)(i < 30) << i;
	}
	pair_run(p, 30 * MS);
	before = path_info(p, CLIENT, path);
	ck_assert_uint_ne(before.oldest_unacked_ns, 0);
	asked_pkts = p->link[0].sent_pkts[SERVER];
	qb_conn_doubt_path(c, path, true, p->now_ns);
	pair_run(p, 2 * p->link[0].delay_ns + 2 * MS);
	ck_assert_uint_eq(reports(p, path, &expected), 0);
	ck_assert_uint_eq(expected, 0);
	info = path_info(p, CLIENT, path);
	ck_assert_uint_eq(info.last_ack_ns, before.last_ack_ns);
	ck_assert_uint_eq(info.last_acked_sent_ns, before.last_acked_sent_ns);
	ck_assert_uint_eq(info.srtt_ns, before.srtt_ns);
	pair_run(p, 1 * SEC);
	ck_assert_uint_le(p->link[0].sent_pkts[SERVER], asked_pkts + 2);
	p->link[3].is_down = false;
	qb_conn_probe_path(c, path, p->now_ns);
	pair_run(p, 1 * SEC);
	ck_assert_uint_gt(path_info(p, CLIENT, path).last_ack_ns, before.last_ack_ns);
	ck_assert_uint_eq(path_info(p, CLIENT, path).in_flight_bytes, 0);
	qb_conn_doubt_path(c, path, false, p->now_ns);
	ck_assert_uint_eq(path_info(p, CLIENT, path).phase, QB_PATH_OPEN);
	pair_free(p);
}
END_TEST

/* ACKs that are only late: another path has told all that they say before they come, and they say how long they took all the same. */
static bool delay_acks(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == SERVER && pkt->tuple.link == 3)
		pkt->at_ns += 200 * MS;
	return true;
}

START_TEST(test_doubt_by_mistake)
{
	struct pair_opts o = pair_default_opts(33);
	struct pair *p = pair_up(&o);
	uint8_t path = pair_open_path(p, 3);
	uint64_t sent_ns, srtt_ns, expected = UINT64_C(1) << 7;

	say(p, path, 500 * MS);
	pair_run(p, 1 * SEC);
	p->on_packet = delay_acks;
	sent_ns = p->now_ns;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, path, 7, 500), 0);
	pair_run(p, 100 * MS);
	qb_conn_doubt_path(p->end[CLIENT].conn, path, true, p->now_ns);
	pair_run(p, 60 * MS);
	ck_assert_uint_eq(reports(p, path, &expected), 0);
	ck_assert_uint_eq(expected, 0);
	ck_assert_uint_lt(path_info(p, CLIENT, path).last_acked_sent_ns, sent_ns);
	srtt_ns = path_info(p, CLIENT, path).srtt_ns;
	pair_run(p, 200 * MS);
	ck_assert_uint_ge(path_info(p, CLIENT, path).last_acked_sent_ns, sent_ns);
	ck_assert_uint_gt(path_info(p, CLIENT, path).srtt_ns, srtt_ns + 15 * MS);
	pair_free(p);
}
END_TEST

/* Nobody says that the link is dead: probe timeouts alone must get the stream through. */
START_TEST(test_death_unnoticed)
{
	struct pair_opts o = pair_default_opts(9);
	struct pair *p = pair_up(&o);
	struct bulk b;

	pair_open_path(p, 1);
	bulk_start(p, &b, CLIENT, 1 << 20);
	pair_run(p, 60 * MS);
	p->link[0].is_down = true;
	ck_assert(pair_run_until(p, bulk_is_done, 60 * SEC));
	pair_free(p);
}
END_TEST

/* A path that never answers is given up, with an event; the connection lives on. */
START_TEST(test_validation_fails)
{
	struct pair_opts o = pair_default_opts(10);
	struct pair *p = pair_up(&o);
	struct qb_tuple t = pair_client_tuple(3);

	p->link[3].is_down = true;
	ck_assert_int_ge(qb_conn_open_path(p->end[CLIENT].conn, &t, p->now_ns), 0);
	pair_run(p, 10 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_PATH_FAILED], 1);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_PATH_CLOSED], 1);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_seen[1], 1);
	p->link[3].is_down = false;
	pair_open_path(p, 3);
	pair_free(p);
}
END_TEST

/* The NAT gives the path another port, or another address: the server follows once it has checked.
 */
START_TEST(test_rebinding)
{
	struct pair_opts o = pair_default_opts(11 + (uint64_t)_i);
	struct pair *p = pair_up(&o);
	struct qb_path_info info;
	struct bulk b;

	if (_i == 0)
		p->link[0].nat_port = 7777;
	else
		p->link[0].nat_host = 9;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_MOVED], 1);
	info = path_info(p, SERVER, 0);
	ck_assert_uint_eq(info.tuple.peer.port, p->link[0].nat_port);
	ck_assert_uint_eq(info.tuple.peer.ip[3], p->link[0].nat_host);
	bulk_start(p, &b, SERVER, 200000);
	ck_assert(pair_run_until(p, bulk_is_done, 20 * SEC));
	pair_free(p);
}
END_TEST

static bool rebind_later;

static bool duplicate_elsewhere(struct pair *p, int from, struct pair_pkt *pkt)
{
	struct pair_pkt *twin;

	if (from == CLIENT && rebind_later) {
		rebind_later = false;
		/* An attacker's copy, from its own address, arrives first. */
		twin = malloc(sizeof(*twin));
		*twin = *pkt;
		twin->tuple.peer.ip[2] = 7;
		twin->at_ns -= 5 * MS;
		pair_enqueue(p, twin);
	}
	return true;
}

/* An on-path attacker that races a copy of a packet gains nothing: the server comes back to the
 * real address. */
START_TEST(test_rebinding_attack)
{
	struct pair_opts o = pair_default_opts(13);
	struct pair *p = pair_up(&o);
	uint32_t i;

	p->on_packet = duplicate_elsewhere;
	p->link[7].is_down = true;
	rebind_later = true;
	for (i = 0; i < 200; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, i, 100), 0);
		pair_run(p, 20 * MS);
	}
	ck_assert_uint_eq(path_info(p, SERVER, 0).tuple.peer.ip[2], 0);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 200);
	/* Nothing but a little went to the attacker. */
	ck_assert_uint_lt(p->link[7].sent_bytes[SERVER], 3 * 1300);
	pair_free(p);
}
END_TEST

/* The client's own address changes. */
START_TEST(test_move)
{
	struct pair_opts o = pair_default_opts(14);
	struct pair *p = pair_up(&o);
	struct qb_tuple t = pair_client_tuple(2);
	struct bulk b;

	pair_open_path(p, 1);
	bulk_start(p, &b, CLIENT, 1 << 20);
	pair_run(p, 30 * MS);
	p->link[0].is_down = true;
	ck_assert_int_eq(qb_conn_move_path(p->end[CLIENT].conn, 0, &t, p->now_ns), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(path_info(p, CLIENT, 0).phase, QB_PATH_OPEN);
	ck_assert_uint_eq(path_info(p, CLIENT, 0).path_id, 0);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), 0);
	ck_assert(pair_run_until(p, bulk_is_done, 20 * SEC));
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(path_info(p, SERVER, 0).tuple.peer.ip[2], 2);
	ck_assert_uint_eq(p->end[SERVER].dgram_seen[1], 1);
	pair_free(p);
}
END_TEST

/* Moving again and again needs new connection IDs each time: the peer's supply must keep up. */
START_TEST(test_move_often)
{
	struct pair_opts o = pair_default_opts(15);
	struct pair *p = pair_up(&o);
	uint32_t i;

	for (i = 0; i < 50; i++) {
		struct qb_tuple t = pair_client_tuple(i % 4);

		ck_assert_int_eq(qb_conn_move_path(p->end[CLIENT].conn, 0, &t, p->now_ns), 0);
		pair_run(p, 1 * SEC);
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, i, 100), 0);
		pair_run(p, 500 * MS);
		ck_assert_uint_eq(p->end[SERVER].dgram_seen[i], 1);
		ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, i, 100), 0);
		pair_run(p, 500 * MS);
		ck_assert_uint_eq(p->end[CLIENT].dgram_seen[i], 1);
	}
	pair_free(p);
}
END_TEST

START_TEST(test_status)
{
	struct pair_opts o = pair_default_opts(16);
	struct pair *p = pair_up(&o);
	uint8_t path = pair_open_path(p, 1), there = server_path(p, path);

	ck_assert(!path_info(p, SERVER, there).is_peer_backup);
	p->link[0].loss = p->link[1].loss = 0.3;
	qb_conn_set_path_backup(p->end[CLIENT].conn, path, true);
	pair_run(p, 3 * SEC);
	ck_assert(path_info(p, SERVER, there).is_peer_backup);
	ck_assert(!path_info(p, SERVER, 0).is_peer_backup);
	qb_conn_set_path_backup(p->end[CLIENT].conn, path, false);
	qb_conn_set_path_backup(p->end[CLIENT].conn, 0, true);
	pair_run(p, 3 * SEC);
	ck_assert(!path_info(p, SERVER, there).is_peer_backup);
	ck_assert(path_info(p, SERVER, 0).is_peer_backup);
	pair_free(p);
}
END_TEST

/* Everything at once, for many seeds: paths open, close, die and come back under loss while a
 * stream runs. */
START_TEST(test_churn)
{
	struct pair_opts o = pair_default_opts(1000 + (uint64_t)_i);
	struct pair *p = pair_up(&o);
	struct bulk b;
	uint32_t i;

	for (i = 0; i < 5; i++) {
		p->link[i].loss = 0.03;
		p->link[i].jitter_ns = 10 * MS;
		p->link[i].dup = 0.02;
		p->link[i].corrupt = 0.01;
	}
	bulk_start(p, &b, _i % 2, 3 << 20);
	for (i = 0; i < 40 && !b.is_done; i++) {
		struct qb_tuple t = pair_client_tuple(1 + (uint32_t)qb_rand_below(&p->rnd, 4));
		uint8_t path = (uint8_t)qb_rand_below(&p->rnd, QB_PATHS_MAX);

		switch (qb_rand_below(&p->rnd, 4)) {
		case 0:
		case 1:
			(void)!qb_conn_open_path(p->end[CLIENT].conn, &t, p->now_ns);
			break;
		case 2:
			if (path)
				qb_conn_close_path(p->end[qb_rand_below(&p->rnd, 2)].conn, path, 0,
						   p->now_ns);
			break;
		case 3:
			p->link[t.link].is_down = !p->link[t.link].is_down;
			break;
		}
		pair_run(p, qb_rand_below(&p->rnd, 300 * MS));
		ck_assert_msg(p->end[CLIENT].conn && p->end[SERVER].conn, "seed %d: %s / %s", _i,
			      p->end[CLIENT].reason, p->end[SERVER].reason);
	}
	for (i = 0; i < 5; i++)
		p->link[i].is_down = false;
	ck_assert_msg(pair_run_until(p, bulk_is_done, 200 * SEC), "seed %d: %llu bytes; %s / %s",
		      _i, (unsigned long long)b.read, p->end[CLIENT].reason, p->end[SERVER].reason);
	pair_free(p);
}
END_TEST

static uint32_t challenges_to_drop;

static bool drop_first_packets(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from != CLIENT || pkt->tuple.peer.ip[2] != 3 || !challenges_to_drop)
		return true;
	challenges_to_drop--;
	return false;
}

/* The first packets of a new path are lost: the RTTs of the others say how soon to try again. */
START_TEST(test_challenge_lost)
{
	static const uint64_t limit_ms[] = {0, 100, 300, 700};
	struct pair_opts o = pair_default_opts(170);
	struct pair *p = pair_up(&o);
	struct qb_tuple t = pair_client_tuple(3);
	uint64_t from_ns = p->now_ns;
	int path;

	challenges_to_drop = (uint32_t)_i;
	p->on_packet = drop_first_packets;
	path = qb_conn_open_path(p->end[CLIENT].conn, &t, p->now_ns);
	ck_assert_int_ge(path, 0);
	while (path_info(p, CLIENT, (uint8_t)path).phase != QB_PATH_OPEN)
		ck_assert(pair_step(p, from_ns + 5 * SEC));
	ck_assert_uint_ge(p->now_ns - from_ns, limit_ms[_i] * MS);
	ck_assert_uint_le(p->now_ns - from_ns, (limit_ms[_i] + 60) * MS);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/paths");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 240);
	tcase_add_test(tc, test_four_paths);
	tcase_add_test(tc, test_ecn_outlives_probes);
	tcase_add_test(tc, test_packet_too_big);
	tcase_add_test(tc, test_path_limits);
	tcase_add_test(tc, test_loss_is_per_path);
	tcase_add_test(tc, test_abandon);
	tcase_add_test(tc, test_abandon_by_server);
	tcase_add_test(tc, test_abandon_first);
	tcase_add_test(tc, test_silent_death);
	tcase_add_test(tc, test_fill);
	tcase_add_test(tc, test_fill_ends);
	tcase_add_test(tc, test_acks_by_another_path);
	tcase_add_test(tc, test_doubt);
	tcase_add_test(tc, test_doubt_by_mistake);
	tcase_add_test(tc, test_death_unnoticed);
	tcase_add_test(tc, test_validation_fails);
	tcase_add_loop_test(tc, test_rebinding, 0, 2);
	tcase_add_test(tc, test_rebinding_attack);
	tcase_add_test(tc, test_move);
	tcase_add_test(tc, test_move_often);
	tcase_add_test(tc, test_status);
	tcase_add_loop_test(tc, test_churn, 0, 30);
	tcase_add_loop_test(tc, test_challenge_lost, 0, 4);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
