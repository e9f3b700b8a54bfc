/* SPDX-License-Identifier: BSD-2-Clause */
/* Data over established connections: streams arrive intact whatever the links do; datagrams flow,
 * losses are told. */
#include <check.h>
#include <errno.h>

#include "quic/conn.h"
#include "quic_bulk.h"

static void bulk_over(uint64_t seed, double loss, double dup, double corrupt, uint64_t jitter_ns,
		      int from, uint32_t paths)
{
	struct pair_opts o = pair_default_opts(seed);
	struct pair *p = pair_up(&o);
	struct bulk b;
	uint32_t i;

	for (i = 1; i < paths; i++)
		pair_open_path(p, i);
	for (i = 0; i < paths; i++) {
		p->link[i].loss = loss;
		p->link[i].dup = dup;
		p->link[i].corrupt = corrupt;
		p->link[i].jitter_ns = jitter_ns;
	}
	bulk_start(p, &b, from, 2 << 20);
	ck_assert_msg(pair_run_until(p, bulk_is_done, 300 * SEC), "seed %llu: %llu bytes, %s",
		      (unsigned long long)seed, (unsigned long long)b.read, p->end[CLIENT].reason);
	pair_free(p);
}

START_TEST(test_clean)
{
	bulk_over(1, 0, 0, 0, 0, _i, 1);
}
END_TEST

START_TEST(test_loss)
{
	bulk_over(20 + (uint64_t)_i, 0.02, 0, 0, 0, _i % 2, 1);
}
END_TEST

START_TEST(test_everything)
{
	bulk_over(40 + (uint64_t)_i, 0.05, 0.05, 0.02, 30 * MS, _i % 2, 1 + (uint32_t)_i % 4);
}
END_TEST

/* The sender's rate follows the link: no standing losses, and most of the capacity is used. */
START_TEST(test_rate)
{
	struct pair_opts o = pair_default_opts(60);
	struct pair *p = pair_up(&o);
	struct qb_path_info info;
	uint64_t start_ns, took_ns;
	struct bulk b;

	p->link[0].rate_bps = 20000000;
	p->link[0].queue_ns = 40 * MS;
	start_ns = p->now_ns;
	bulk_start(p, &b, SERVER, 10 << 20);
	ck_assert(pair_run_until(p, bulk_is_done, 60 * SEC));
	took_ns = p->now_ns - start_ns;
	/* 10 MiB at 20 Mbit/s are 4.2 s. */
	ck_assert_uint_lt(took_ns, 6 * SEC);
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &info));
	ck_assert_uint_eq(info.mtu_bytes, 1472);
	ck_assert_uint_gt(info.delivery_bps, 10000000);
	ck_assert_uint_lt(info.delivery_bps, 22000000);
	ck_assert_uint_lt(info.lost_packets, 400);
	pair_free(p);
}
END_TEST

/* An ACK must go with datagrams the other way, not in packets of its own. */
START_TEST(test_piggyback)
{
	struct pair_opts o = pair_default_opts(61);
	struct pair *p = pair_up(&o);
	uint64_t before[2];
	uint32_t i;
	int side;

	for (side = 0; side < 2; side++)
		before[side] = p->link[0].sent_pkts[side];
	for (i = 0; i < 1000; i++) {
		(void)!pair_send_dgram(p, CLIENT, 0, i, 700);
		(void)!pair_send_dgram(p, SERVER, 0, i, 700);
		pair_run(p, 2 * MS);
	}
	for (side = 0; side < 2; side++) {
		uint64_t sent = p->link[0].sent_pkts[side] - before[side];

		ck_assert_uint_ge(sent, 1000);
		ck_assert_uint_lt(sent, 1650);
	}
	ck_assert_uint_gt(p->end[SERVER].dgram_cnt, 990);
	pair_free(p);
}
END_TEST

/* Each lost datagram is reported once, with its cookie; what arrived is not. */
START_TEST(test_lost_reports)
{
	struct pair_opts o = pair_default_opts(62);
	struct pair *p = pair_up(&o);
	static uint8_t reported[4000];
	struct qb_lost_datagram lost;
	uint32_t i, lost_cnt = 0;

	memset(reported, 0, sizeof(reported));
	p->link[0].loss = 0.05;
	for (i = 0; i < 4000; i++) {
		while (pair_send_dgram(p, CLIENT, 0, i, 300) == -EAGAIN)
			pair_run(p, 5 * MS);
		pair_run(p, 1 * MS);
		while (qb_conn_next_lost(p->end[CLIENT].conn, &lost)) {
			ck_assert_uint_lt(lost.cookie, 4000);
			ck_assert_uint_eq(lost.path, 0);
			reported[lost.cookie]++;
		}
	}
	p->link[0].loss = 0;
	pair_run(p, 2 * SEC);
	while (qb_conn_next_lost(p->end[CLIENT].conn, &lost))
		reported[lost.cookie]++;
	for (i = 0; i < 4000; i++) {
		ck_assert_uint_eq(reported[i] + p->end[SERVER].dgram_seen[i], 1);
		lost_cnt += reported[i];
	}
	ck_assert_uint_gt(lost_cnt, 120);
	ck_assert_uint_lt(lost_cnt, 320);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_DATAGRAMS_LOST], lost_cnt);
	pair_free(p);
}
END_TEST

START_TEST(test_datagram_limits)
{
	struct pair_opts o = pair_default_opts(63);
	struct pair *p = pair_up(&o);
	struct qb_path_info info;
	struct qb_buf *b;
	uint32_t i;

	pair_run(p, 2 * SEC);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	ck_assert_uint_eq(info.mtu_bytes, 1472);
	ck_assert_uint_ge(info.max_datagram_bytes, 1472 - QB_QUIC_OVERHEAD);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, info.max_datagram_bytes + 1), -EMSGSIZE);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, info.max_datagram_bytes), 0);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 1, 1, 100), -ENOTCONN);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, QB_PATHS_MAX, 1, 100), -ENOTCONN);
	/* Empty ones are legal. */
	b = qb_buf_get(&p->end[CLIENT].pool);
	b->len = 0;
	ck_assert_int_eq(qb_conn_send_datagram(p->end[CLIENT].conn, 0, b, 0, p->now_ns), 0);
	pair_transmit(p, CLIENT, &b->tuple, b->data, b->len);
	qb_buf_put(&p->end[CLIENT].pool, b);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 2);
	/* Past the window nothing leaves, and the buffer is untouched. */
	for (i = 2; pair_send_dgram(p, CLIENT, 0, i, 1000) == 0; i++)
		ck_assert_uint_lt(i, 1000);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, i, 1000), -EAGAIN);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	ck_assert(info.budget_bytes < 1100 || info.next_send_ns > p->now_ns);
	pair_free(p);
}
END_TEST

/* A tunnel that always has more to send must fill a link without filling its queue for ever. */
static uint32_t flood_no;

static void flood(struct pair *p, int side)
{
	if (side != CLIENT || !p->end[CLIENT].conn)
		return;
	while (flood_no < PAIR_DGRAMS && pair_send_dgram(p, CLIENT, 0, flood_no, 1200) == 0)
		flood_no++;
}

START_TEST(test_datagram_rate)
{
	struct pair_opts o = pair_default_opts(64);
	struct pair *p = pair_up(&o);
	struct qb_path_info info;

	p->link[0].rate_bps = 50000000;
	p->link[0].queue_ns = 50 * MS;
	flood_no = 0;
	p->on_tick = flood;
	p->tick_ns = 1 * MS;
	pair_run(p, 10 * SEC);
	p->on_tick = NULL;
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	/* 10 s at 50 Mbit/s are 52,000 datagrams of 1,200 bytes. */
	ck_assert_uint_gt(p->end[SERVER].dgram_cnt, 42000);
	ck_assert_uint_gt(info.delivery_bps, 40000000);
	ck_assert_uint_lt(info.delivery_bps, 56000000);
	pair_free(p);
}
END_TEST

static struct {
	uint64_t bytes, window, pto_cnt;
} flight[2];

/* keep_window: between two looks what is in flight did not grow beyond the window, but for probes. */
static void keep_window(struct pair *p, int side)
{
	struct pair_end *e = &p->end[side];
	struct qb_path_info info;
	uint64_t pto_cnt = e->counters.v[QB_CNT_PTO_FIRED];

	flood(p, side);
	if (!e->conn)
		return;
	ck_assert(qb_conn_path_info(e->conn, 0, p->now_ns, &info));
	if (info.in_flight_bytes > flight[side].bytes && pto_cnt == flight[side].pto_cnt)
		ck_assert_uint_le(info.in_flight_bytes, QB_MAX(info.cwnd_bytes, flight[side].window));
	ck_assert_uint_le(e->conn->streams.tx_bytes, e->conn->streams.tx_max);
	flight[side].bytes = info.in_flight_bytes;
	flight[side].window = info.cwnd_bytes;
	flight[side].pto_cnt = pto_cnt;
}

/*
 * Streams one way, datagrams the other, ACKs with both, by a link that is too slow: both stay within the
 * window, whatever the controller (RFC 9002 §7), and within the peer's credit. Neither starves.
 */
START_TEST(test_window_is_kept)
{
	struct pair_opts o = pair_default_opts(66 + (uint64_t)_i);
	struct pair *p;
	struct bulk b;

	o.cc = qb_cc_list[_i]->name;
	p = pair_up(&o);
	p->link[0].rate_bps = 10000000;
	p->link[0].queue_ns = 40 * MS;
	memset(flight, 0, sizeof(flight));
	flood_no = 0;
	bulk_start(p, &b, SERVER, 3 << 20);
	p->on_tick = keep_window;
	p->tick_ns = 1 * MS;
	/* Beside datagrams the transfer's own share, and what it needs from the other side: credit and ACKs. */
	ck_assert(pair_run_until(p, bulk_is_done, 8 * SEC));
	ck_assert_uint_gt(flood_no, 500);
	pair_free(p);
}
END_TEST

/* Who only receives is not acknowledged: what it remembers of its own ACKs must not grow until it
 * cannot send any. */
START_TEST(test_one_way)
{
	struct pair_opts o = pair_default_opts(65);
	struct qb_path_info info;
	struct pair *p;

	o.conns = 1;
	o.sent_records = 2048;
	o.ack_pkts_max = 1;
	p = pair_up(&o);
	p->link[0].rate_bps = 50000000;
	p->link[0].queue_ns = 20 * MS;
	flood_no = 0;
	p->on_tick = flood;
	p->tick_ns = 1 * MS;
	pair_run(p, 10 * SEC);
	p->on_tick = NULL;
	ck_assert_uint_gt(p->end[SERVER].counters.v[QB_CNT_PACKETS_TX], 8 * o.sent_records);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	ck_assert_uint_gt(p->end[SERVER].dgram_cnt, 40000);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_PTO_FIRED], 0);
	pair_free(p);
}
END_TEST

/* A link that swallows large packets: the search ends just below its limit, and follows it down. */
START_TEST(test_mtu)
{
	struct pair_opts o = pair_default_opts(65);
	struct pair *p = pair_new(&o);
	struct qb_path_info info;
	uint32_t i;

	p->link[0].mtu_bytes = 1400;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	pair_run(p, 30 * SEC);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	ck_assert_uint_le(info.mtu_bytes, 1400);
	ck_assert_uint_ge(info.mtu_bytes, 1385);
	/* Losing probes was no congestion. */
	ck_assert_uint_ge(info.cwnd_bytes, 14000);
	p->link[0].mtu_bytes = 1300;
	for (i = 0; i < 2000; i++) {
		(void)!pair_send_dgram(p, CLIENT, 0, i, i % 2 ? 1350 : 100);
		pair_run(p, 5 * MS);
	}
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	ck_assert_uint_le(info.mtu_bytes, 1300);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_MTU_BLACK_HOLES], 1);
	ck_assert_uint_ge(info.mtu_bytes, 1200);
	pair_free(p);
}
END_TEST

/* Marks instead of losses: the window stays small, and nothing has to be sent twice. */
START_TEST(test_ecn)
{
	struct pair_opts o = pair_default_opts(66);
	struct pair *p = pair_up(&o);
	struct qb_path_info info;
	struct bulk b;

	p->link[0].ce = 0.02;
	bulk_start(p, &b, CLIENT, 3 << 20);
	ck_assert(pair_run_until(p, bulk_is_done, 100 * SEC));
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	ck_assert_uint_eq(info.lost_packets, 0);
	ck_assert_uint_lt(info.cwnd_bytes, 60000);
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &info));
	ck_assert_uint_gt(info.ce_rx, 10);
	ck_assert_uint_gt(info.ect0_rx, 1000);
	pair_free(p);
}
END_TEST

/* A path that clears the marks gets none any more. */
START_TEST(test_ecn_bleached)
{
	struct pair_opts o = pair_default_opts(67);
	struct pair *p = pair_new(&o);
	struct qb_path_info info;
	struct bulk b;

	p->link[0].is_bleaching = true;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	bulk_start(p, &b, CLIENT, 1 << 20);
	ck_assert(pair_run_until(p, bulk_is_done, 100 * SEC));
	p->link[0].is_bleaching = false;
	bulk_start(p, &b, CLIENT, 1 << 20);
	ck_assert(pair_run_until(p, bulk_is_done, 100 * SEC));
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &info));
	ck_assert_uint_eq(info.ect0_rx + info.ect1_rx + info.ce_rx, 0);
	pair_free(p);
}
END_TEST

/* The link is gone for seconds while data is under way: that is persistent congestion, and the
 * window shows it. */
START_TEST(test_persistent_congestion)
{
	struct pair_opts o = pair_default_opts(68);
	struct pair *p = pair_up(&o);
	struct qb_path_info info;
	uint32_t i;

	for (i = 0; i < 1000; i++) {
		(void)!pair_send_dgram(p, CLIENT, 0, i, 200);
		pair_run(p, 5 * MS);
		p->link[0].is_down = i >= 100 && i < 500;
	}
	pair_run(p, 100 * MS);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_PERSISTENT_CONGESTION], 1);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	ck_assert_uint_lt(info.cwnd_bytes, 14000);
	pair_free(p);
}
END_TEST

/* A packet overtaken by many is declared lost, arrives all the same, and makes the path more
 * patient. */
static uint32_t held_no;

static bool hold_some(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == CLIENT && pkt->len > 150 && ++held_no % 50 == 0)
		pkt->at_ns += 12 * MS;
	return true;
}

START_TEST(test_spurious)
{
	struct pair_opts o = pair_default_opts(69);
	struct pair *p = pair_up(&o);
	struct qb_path_info info;
	uint64_t early;
	uint32_t i;

	p->link[0].delay_ns = 100 * MS;
	pair_run(p, 1 * SEC);
	p->on_packet = hold_some;
	held_no = 0;
	for (i = 0; i < 3000; i++) {
		if (i == 1000) {
			ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
			early = info.spurious_packets;
			ck_assert_uint_gt(early, 0);
		}
		(void)!pair_send_dgram(p, CLIENT, 0, i, 200);
		pair_run(p, 2 * MS);
	}
	pair_run(p, 1 * SEC);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	ck_assert_uint_eq(info.spurious_packets, info.lost_packets);
	/* It learned from the first few. */
	ck_assert_uint_lt(info.spurious_packets, early + 5);
	ck_assert_uint_ge(info.cwnd_bytes, 14720);
	pair_free(p);
}
END_TEST

/* add_dgram appends datagram `no` of len bytes to a bundle. */
static void add_dgram(struct pair_end *e, struct qb_buf *bundle, uint32_t no, uint32_t len)
{
	struct qb_buf *b = qb_buf_get(&e->pool);
	uint32_t i, before = bundle->len;

	qb_store_be32(b->data, no);
	for (i = 4; i < len; i++)
		b->data[i] = (uint8_t)(no + i);
	b->len = len;
	qb_bundle_add(bundle, b);
	ck_assert_uint_eq(bundle->len - before, qb_bundle_bytes(len));
	qb_buf_put(&e->pool, b);
}

/* send_bundle sends datagrams no ... no + cnt - 1 of len bytes in one packet, with the cookie no. */
static int send_bundle(struct pair *p, uint32_t no, uint32_t cnt, uint32_t len)
{
	struct pair_end *e = &p->end[CLIENT];
	struct qb_buf *bundle = qb_buf_get(&e->pool);
	uint32_t i;
	int rc;

	for (i = 0; i < cnt; i++)
		add_dgram(e, bundle, no + i, len);
	rc = qb_conn_send_bundle(e->conn, 0, bundle, cnt, no, p->now_ns);
	if (rc == 0)
		pair_transmit(p, CLIENT, &bundle->tuple, bundle->data, bundle->len);
	qb_buf_put(&e->pool, bundle);
	return rc;
}

/* On a path that puts packets far out of order, by many packets or by half a round trip, hardly any are held for lost. */
START_TEST(test_reordering)
{
	static const struct {
		uint64_t rate_bps, jitter_ns;
	} paths[] = {{30000000, 40 * MS}, {100000000, 20 * MS}, {5000000, 60 * MS}};
	struct pair_opts o = pair_default_opts(80 + (uint64_t)_i);
	struct qb_path_info info;
	struct pair *p;
	struct bulk b;

	o.cc = "auto";
	p = pair_up(&o);
	p->link[0].delay_ns = 30 * MS;
	p->link[0].rate_bps = paths[_i].rate_bps;
	p->link[0].queue_ns = 100 * MS;
	p->link[0].jitter_ns = paths[_i].jitter_ns;
	bulk_start(p, &b, SERVER, 8 << 20);
	ck_assert(pair_run_until(p, bulk_is_done, 25 * SEC));
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &info));
	ck_assert_uint_le(info.spurious_packets * 50, info.tx_packets);
	pair_free(p);
}
END_TEST

/* What a path waits for is not what left after the oldest of it: of that, some may have been acknowledged. */
START_TEST(test_in_flight)
{
	struct pair_opts o = pair_default_opts(79);
	struct pair *p = pair_up(&o);
	struct qb_lost_datagram d;
	uint64_t pn = 0;

	p->link[0].delay_ns = 20 * MS;
	for (uint32_t i = 0; i < 40; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, i, 300), 0);
		pair_run(p, 5 * MS);
	}
	pair_run(p, 1 * SEC);
	ck_assert(!qb_conn_next_in_flight(p->end[CLIENT].conn, 0, &pn, &d));
	p->link[0].loss = 1;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 40, 300), 0);
	pair_run(p, 1 * MS);
	p->link[0].loss = 0;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 41, 300), 0);
	pair_run(p, 1 * MS);
	for (uint32_t i = 40; i < 42; i++) {
		ck_assert(qb_conn_next_in_flight(p->end[CLIENT].conn, 0, &pn, &d));
		ck_assert_uint_eq(d.cookie, i);
		ck_assert_uint_eq(d.cnt, 1);
		ck_assert_uint_eq(d.path, 0);
	}
	ck_assert(!qb_conn_next_in_flight(p->end[CLIENT].conn, 0, &pn, &d));
	/* By now 41 has been acknowledged, and 40 is not held for lost yet. */
	pair_run(p, 40 * MS);
	pn = 0;
	ck_assert(qb_conn_next_in_flight(p->end[CLIENT].conn, 0, &pn, &d));
	ck_assert_uint_eq(d.cookie, 40);
	ck_assert(!qb_conn_next_in_flight(p->end[CLIENT].conn, 0, &pn, &d));
	ck_assert(!qb_conn_next_in_flight(p->end[CLIENT].conn, 7, &pn, &d));
	pair_free(p);
}
END_TEST

/* Each datagram of a bundle arrives once, or is reported lost, all of a packet alike. */
START_TEST(test_bundles)
{
	struct pair_opts o = pair_default_opts(77);
	struct pair *p = pair_up(&o);
	static uint8_t reported[4000];
	struct qb_lost_datagram lost;
	uint32_t i, lost_cnt = 0, room;

	memset(reported, 0, sizeof(reported));
	room = qb_conn_bundle_room(p->end[CLIENT].conn, 0);
	ck_assert_uint_ge(room, QB_BUNDLE_MAX * qb_bundle_bytes(70));
	ck_assert_uint_eq(qb_conn_bundle_room(p->end[CLIENT].conn, 1), 0);
	ck_assert_uint_eq(qb_conn_bundle_room(p->end[CLIENT].conn, 200), 0);
	p->link[0].loss = 0.05;
	for (i = 0; i < 4000; i += 8) {
		while (send_bundle(p, i, 8, 4 + i % 97) == -EAGAIN)
			pair_run(p, 5 * MS);
		pair_run(p, 1 * MS);
	}
	p->link[0].loss = 0;
	pair_run(p, 2 * SEC);
	while (qb_conn_next_lost(p->end[CLIENT].conn, &lost)) {
		ck_assert_uint_eq(lost.cnt, 8);
		ck_assert_uint_eq(lost.cookie % 8, 0);
		for (i = 0; i < lost.cnt; i++)
			reported[lost.cookie + i]++;
	}
	for (i = 0; i < 4000; i++) {
		ck_assert_uint_eq(reported[i] + p->end[SERVER].dgram_seen[i], 1);
		lost_cnt += reported[i];
	}
	ck_assert_uint_gt(lost_cnt, 50);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_DATAGRAMS_LOST], lost_cnt);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_BUNDLES_TX], 500);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_BUNDLED_TX], 4000);
	pair_free(p);
}
END_TEST

/* A packet is as large as its path allows, and no larger. */
START_TEST(test_bundle_room)
{
	struct pair_opts o = pair_default_opts(78);
	struct pair *p = pair_up(&o);
	struct pair_end *e = &p->end[CLIENT];
	struct qb_buf *bundle = qb_buf_get(&e->pool);
	uint32_t room, len;

	pair_run(p, 5 * SEC); /* the MTU is found */
	room = qb_conn_bundle_room(e->conn, 0);
	ck_assert_uint_gt(room, 1300);
	add_dgram(e, bundle, 1, 200);
	for (len = 200; qb_bundle_bytes(len) < room - bundle->len + 1; len++)
		;
	add_dgram(e, bundle, 2, len);
	ck_assert_uint_eq(bundle->len, room + 1);
	ck_assert_int_eq(qb_conn_send_bundle(e->conn, 0, bundle, 2, 1, p->now_ns), -EMSGSIZE);
	ck_assert_uint_eq(bundle->len, room + 1);
	bundle->len = 0;
	add_dgram(e, bundle, 1, 200);
	add_dgram(e, bundle, 2, len - 1);
	ck_assert_int_eq(qb_conn_send_bundle(e->conn, 0, bundle, 2, 1, p->now_ns), 0);
	pair_transmit(p, CLIENT, &bundle->tuple, bundle->data, bundle->len);
	qb_buf_put(&e->pool, bundle);
	pair_run(p, 100 * MS);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 2);
	ck_assert_uint_eq(p->end[SERVER].dgram_seen[1] + p->end[SERVER].dgram_seen[2], 2);
	pair_free(p);
}
END_TEST

/* receive opens packets of the client in one call after another, and returns the numbers of their
 * datagrams in order. */
static uint32_t receive(struct pair *p, struct qb_batch *in, uint32_t *nos, uint32_t cap)
{
	struct pair_end *e = &p->end[SERVER];
	struct qb_batch out = {0};
	uint32_t cnt = 0, i;

	while (in->cnt) {
		uint32_t before = in->cnt;

		qb_quic_recv(e->q, in, &out, p->now_ns);
		ck_assert_uint_lt(in->cnt, before);
		for (i = 0; i < out.cnt; i++) {
			ck_assert_uint_lt(cnt, cap);
			ck_assert_ptr_eq(out.buf[i]->conn, e->conn);
			nos[cnt++] = qb_load_be32(out.buf[i]->data);
		}
		qb_batch_put(&e->pool, &out);
	}
	return cnt;
}

/* However many come at once, none is dropped for want of room in a batch, and none overtakes
 * another. */
START_TEST(test_bundles_in_order)
{
	struct pair_opts o = pair_default_opts(79);
	struct pair *p = pair_up(&o);
	struct pair_end *e = &p->end[CLIENT], *to = &p->end[SERVER];
	uint32_t nos[QB_BATCH_MAX * QB_BUNDLE_MAX], sent = 0, i;
	struct qb_batch in = {0};

	while (in.cnt < 30) {
		struct qb_buf *bundle = qb_buf_get(&e->pool), *b;
		uint32_t cnt = QB_BUNDLE_MAX - in.cnt % 3;

		for (i = 0; i < cnt; i++)
			add_dgram(e, bundle, sent + i, 20);
		if (qb_conn_send_bundle(e->conn, 0, bundle, cnt, 0, p->now_ns)) {
			qb_buf_put(&e->pool, bundle);
			break;
		}
		b = qb_buf_get(&to->pool);
		memcpy(b->data, bundle->data, bundle->len);
		b->len = bundle->len;
		b->tuple = pair_client_tuple(0);
		b->tuple = (struct qb_tuple){.local = b->tuple.peer, .peer = b->tuple.local};
		qb_batch_add(&in, b);
		qb_buf_put(&e->pool, bundle);
		sent += cnt;
	}
	ck_assert_uint_gt(sent, QB_BATCH_MAX);
	ck_assert_uint_eq(receive(p, &in, nos, QB_ARRAY_LEN(nos)), sent);
	for (i = 0; i < sent; i++)
		ck_assert_uint_eq(nos[i], i);
	ck_assert_uint_eq(to->counters.v[QB_CNT_DROP_NO_BUFFER], 0);
	pair_free(p);
}
END_TEST

/* What was sealed can be read again by its sender, as long as keys and path are there. */
START_TEST(test_unseal)
{
	struct pair_opts o = pair_default_opts(70);
	struct pair *p = pair_up(&o);
	struct pair_end *e = &p->end[CLIENT];
	uint32_t len, i;

	p->is_garbage_ok = true;
	for (len = 0; len < 1200; len += 13) {
		struct qb_buf *b = qb_buf_get(&e->pool);

		for (i = 0; i < len; i++)
			b->data[i] = (uint8_t)(i + len);
		b->len = len;
		/* Now and then an ACK rides along. */
		(void)!pair_send_dgram(p, SERVER, 0, len, 50);
		pair_run(p, 12 * MS);
		ck_assert_int_eq(qb_conn_send_datagram(e->conn, 0, b, len, p->now_ns), 0);
		pair_transmit(p, CLIENT, &b->tuple, b->data, b->len);
		ck_assert_int_eq(qb_conn_unseal_datagram(e->conn, 0, b), 0);
		ck_assert_uint_ge(b->len, len + 1);
		REQUIRE(b->data[b->len - len - 1] == 0x30);
		for (i = 0; i < len; i++)
			REQUIRE(b->data[b->len - len + i] == (uint8_t)(i + len));
		ck_assert_int_eq(qb_conn_unseal_datagram(e->conn, 1, b), -EBADMSG);
		ck_assert_int_eq(qb_conn_unseal_datagram(e->conn, 200, b), -EBADMSG);
		qb_buf_put(&e->pool, b);
		pair_run(p, 50 * MS);
	}
	pair_free(p);
}
END_TEST

static uint32_t padded_sizes[PAIR_PKT_MAX];

static bool see_size(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == CLIENT)
		padded_sizes[pkt->len]++;
	return true;
}

/* must_carry_padded sends datagrams of every length with each packet of a size that pad_bytes allows. */
static void must_carry_padded(struct pair *p, uint16_t pad_bytes, uint64_t cookie)
{
	struct pair_end *e = &p->end[CLIENT];
	uint32_t len, size, largest = e->conn->path[0].mtu.cur_bytes, seen = p->end[SERVER].dgram_cnt, sent_cnt = 0;

	qb_quic_set_padding(e->q, pad_bytes);
	for (len = 0; len <= qb_datagram_max(e->conn, &e->conn->path[0]); len += 7, sent_cnt++) {
		struct qb_buf *b = qb_buf_get(&e->pool);

		memset(b->data, (int)len, len);
		b->len = len;
		/* Now and then an ACK rides along, or finds no room. */
		(void)!pair_send_dgram(p, SERVER, 0, len, 50);
		pair_run(p, 12 * MS);
		memset(padded_sizes, 0, sizeof(padded_sizes));
		ck_assert_int_eq(qb_conn_send_datagram(e->conn, 0, b, cookie, p->now_ns), 0);
		size = b->len;
		pair_transmit(p, CLIENT, &b->tuple, b->data, b->len);
		ck_assert_msg(size == largest || size % pad_bytes == 0, "%u of %u bytes", size, len);
		ck_assert_uint_le(size, largest);
		REQUIRE(padded_sizes[size] == 1);
		/* Its sender finds it again. */
		ck_assert_int_eq(qb_conn_unseal_datagram(e->conn, 0, b), 0);
		REQUIRE(b->data[b->len - len - 1] == 0x30);
		for (uint32_t i = 0; i < len; i++)
			REQUIRE(b->data[b->len - len + i] == (uint8_t)len);
		qb_buf_put(&e->pool, b);
		pair_run(p, 50 * MS);
	}
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, seen + sent_cnt);
}

/* Sizes of packets tell nothing of what is inside, and nothing of it is lost or changed by that. */
START_TEST(test_padding)
{
	struct pair_opts o = pair_default_opts(71);
	struct pair *p = pair_up(&o);

	p->is_garbage_ok = true;
	p->on_packet = see_size;
	pair_run(p, 5 * SEC); /* the MTU is found */
	must_carry_padded(p, 64, 1);
	must_carry_padded(p, 600, 2);
	must_carry_padded(p, UINT16_MAX, 3);
	ck_assert_uint_gt(p->end[CLIENT].counters.v[QB_CNT_PADDING_TX], 0);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_PADDING_TX], 0);
	/* Two small ones that share a packet. */
	ck_assert_int_eq(send_bundle(p, 5, 2, 40), 0);
	REQUIRE(padded_sizes[p->end[CLIENT].conn->path[0].mtu.cur_bytes] >= 1);
	qb_quic_set_padding(p->end[CLIENT].q, 0);
	memset(padded_sizes, 0, sizeof(padded_sizes));
	ck_assert_int_eq(send_bundle(p, 7, 2, 40), 0);
	ck_assert_uint_eq(padded_sizes[p->end[CLIENT].conn->path[0].mtu.cur_bytes], 0);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/transfer");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed, cc_cnt = 0;

	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, test_clean, 0, 2);
	tcase_add_loop_test(tc, test_loss, 0, 4);
	tcase_add_loop_test(tc, test_everything, 0, 8);
	tcase_add_test(tc, test_rate);
	tcase_add_test(tc, test_piggyback);
	tcase_add_test(tc, test_lost_reports);
	tcase_add_test(tc, test_datagram_limits);
	tcase_add_test(tc, test_datagram_rate);
	while (qb_cc_list[cc_cnt])
		cc_cnt++;
	tcase_add_loop_test(tc, test_window_is_kept, 0, cc_cnt);
	tcase_add_test(tc, test_one_way);
	tcase_add_test(tc, test_mtu);
	tcase_add_test(tc, test_persistent_congestion);
	tcase_add_test(tc, test_spurious);
	tcase_add_test(tc, test_unseal);
	tcase_add_test(tc, test_padding);
	tcase_add_loop_test(tc, test_reordering, 0, 3);
	tcase_add_test(tc, test_in_flight);
	tcase_add_test(tc, test_bundles);
	tcase_add_test(tc, test_bundle_room);
	tcase_add_test(tc, test_bundles_in_order);
	tcase_add_test(tc, test_ecn);
	tcase_add_test(tc, test_ecn_bleached);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
