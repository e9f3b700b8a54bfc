/* SPDX-License-Identifier: BSD-2-Clause */
/* Handshakes between two endpoints: plain, lossy, with Retry, with wrong keys, of unknown versions.
 */
#include <check.h>
#include <errno.h>

#include "quic_pair.h"

START_TEST(test_plain)
{
	struct pair_opts o = pair_default_opts(1);
	struct pair *p = pair_new(&o);
	struct qb_conn_info info;

	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	pair_run(p, 1 * SEC);
	qb_conn_get_info(p->end[CLIENT].conn, &info);
	ck_assert(info.is_established && info.is_multipath);
	ck_assert_int_eq(info.peer_idx, 0);
	qb_conn_get_info(p->end[SERVER].conn, &info);
	ck_assert(info.is_established && info.is_multipath);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_PATHS_AVAILABLE], 1);
	pair_free(p);
}
END_TEST

START_TEST(test_datagrams)
{
	struct pair_opts o = pair_default_opts(2);
	struct pair *p = pair_up(&o);
	uint32_t i;

	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, i, 4 + i % 1000), 0);
		ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, i, 4 + i % 1000), 0);
		pair_run(p, 10 * MS);
	}
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 100);
	ck_assert_uint_eq(p->end[CLIENT].dgram_cnt, 100);
	pair_free(p);
}
END_TEST

START_TEST(test_two_paths)
{
	struct pair_opts o = pair_default_opts(3);
	struct pair *p = pair_up(&o);
	uint8_t path = pair_open_path(p, 1);
	uint32_t i;

	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_OPENED], 1);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_VALIDATED], 1);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_PATH_VALIDATED], 1);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, i % 2 ? path : 0, i, 1000), 0);
		ck_assert_int_eq(pair_send_dgram(p, SERVER, i % 2 ? path : 0, i, 1000), 0);
		pair_run(p, 10 * MS);
	}
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 100);
	ck_assert_uint_eq(p->end[CLIENT].dgram_by_path[path], 50);
	pair_free(p);
}
END_TEST

static void lossy_handshake(uint64_t seed, double loss)
{
	struct pair_opts o = pair_default_opts(seed);
	struct pair *p;
	int i;

	o.idle_ns = 60 * SEC;
	p = pair_new(&o);
	p->link[0].loss = loss;
	p->link[0].jitter_ns = 20 * MS;
	p->link[0].dup = 0.1;
	p->link[0].corrupt = 0.02;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert_msg(pair_run_until(p, pair_is_up, 55 * SEC), "seed %llu: %s",
		      (unsigned long long)seed, p->end[CLIENT].reason);
	/* And it is confirmed: datagrams pass both ways. */
	for (i = 0; i < 40; i++) {
		(void)!pair_send_dgram(p, CLIENT, 0, (uint32_t)i, 100);
		(void)!pair_send_dgram(p, SERVER, 0, (uint32_t)i, 100);
		pair_run(p, 500 * MS);
	}
	ck_assert_uint_gt(p->end[SERVER].dgram_cnt, 5);
	ck_assert_uint_gt(p->end[CLIENT].dgram_cnt, 5);
	pair_free(p);
}

START_TEST(test_lossy)
{
	lossy_handshake(100 + (uint64_t)_i, 0.30);
}
END_TEST

/* With retry the token comes back, and the transport parameters prove both IDs. */
START_TEST(test_retry)
{
	struct pair_opts o = pair_default_opts(4);
	struct pair *p;

	o.retry = QB_RETRY_ALWAYS;
	p = pair_up(&o);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_RETRY_TX], 1);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_RETRY_RX], 1);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_TOKENS_OK], 1);
	pair_free(p);
}
END_TEST

START_TEST(test_retry_lossy)
{
	struct pair_opts o = pair_default_opts(500 + (uint64_t)_i);
	struct pair *p;

	o.retry = QB_RETRY_ALWAYS;
	p = pair_new(&o);
	p->link[0].loss = 0.25;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 50 * SEC));
	pair_free(p);
}
END_TEST

static struct pair_pkt saved[4];
static uint32_t saved_cnt;

static bool save_client_packets(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == CLIENT && saved_cnt < QB_ARRAY_LEN(saved))
		saved[saved_cnt++] = *pkt;
	return true;
}

/* A Retry token is bound to the client's address and does not live long. */
START_TEST(test_retry_token_bound)
{
	struct pair_opts o = pair_default_opts(5);
	struct pair *p;
	struct qb_tuple other;

	o.retry = QB_RETRY_ALWAYS;
	p = pair_new(&o);
	p->on_packet = save_client_packets;
	saved_cnt = 0;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	ck_assert_uint_ge(saved_cnt, 2);
	/* saved[1] is the Initial with the token. Let the server forget the connection first. */
	qb_conn_close(p->end[CLIENT].conn, 0, "", p->now_ns);
	pair_run(p, 8 * SEC);
	other = saved[1].tuple;
	other.peer.port++;
	pair_inject(p, SERVER, &other, saved[1].data, saved[1].len);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_TOKENS_BAD], 1);
	pair_run(p, 10 * SEC);
	pair_inject(p, SERVER, &saved[1].tuple, saved[1].data, saved[1].len);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_TOKENS_BAD], 2);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_TOKENS_OK], 1);
	pair_free(p);
}
END_TEST

START_TEST(test_wrong_client_key)
{
	struct pair_opts o = pair_default_opts(6);
	struct pair *p;

	o.wrong_client_key = true;
	p = pair_new(&o);
	ck_assert_ptr_nonnull(pair_connect(p));
	pair_run(p, 5 * SEC);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_NEW], 0);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	ck_assert(p->end[CLIENT].last[QB_EV_CONN_CLOSED].is_by_peer);
	ck_assert_uint_eq(p->end[CLIENT].last[QB_EV_CONN_CLOSED].error_code >> 8, 1);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_PEERS_REFUSED], 1);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_HANDSHAKES_FAILED], 1);
	pair_free(p);
}
END_TEST

START_TEST(test_wrong_server_key)
{
	struct pair_opts o = pair_default_opts(7);
	struct pair *p;

	o.wrong_server_key = true;
	p = pair_new(&o);
	ck_assert_ptr_nonnull(pair_connect(p));
	pair_run(p, 5 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_ESTABLISHED], 0);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_NEW], 0);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	ck_assert(!p->end[CLIENT].last[QB_EV_CONN_CLOSED].is_by_peer);
	pair_free(p);
}
END_TEST

/* Whoever does not offer multipath gets one path, and everything else works. */
START_TEST(test_without_multipath)
{
	struct pair_opts o = pair_default_opts(8);
	struct qb_tuple t = pair_client_tuple(1);
	struct qb_conn_info info;
	struct pair *p;
	uint32_t i;

	if (_i == 0)
		o.max_path_id_client = UINT32_MAX;
	else
		o.max_path_id_server = UINT32_MAX;
	p = pair_up(&o);
	qb_conn_get_info(p->end[CLIENT].conn, &info);
	ck_assert(!info.is_multipath);
	ck_assert_int_eq(qb_conn_open_path(p->end[CLIENT].conn, &t, p->now_ns), -EOPNOTSUPP);
	for (i = 0; i < 200; i++) {
		(void)!pair_send_dgram(p, CLIENT, 0, i, 600);
		(void)!pair_send_dgram(p, SERVER, 0, i, 600);
		pair_run(p, 10 * MS);
	}
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 200);
	ck_assert_uint_eq(p->end[CLIENT].dgram_cnt, 200);
	pair_free(p);
}
END_TEST

static uint32_t from_server_bytes;

static bool only_first_of_client(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == SERVER)
		from_server_bytes += pkt->len;
	return from == SERVER ? false : saved_cnt++ == 0;
}

/* A client that sends one Initial and falls silent gets three times its bytes, however long it
 * lasts. */
START_TEST(test_amplification)
{
	struct pair_opts o = pair_default_opts(9);
	struct pair *p = pair_new(&o);

	p->on_packet = only_first_of_client;
	saved_cnt = from_server_bytes = 0;
	ck_assert_ptr_nonnull(pair_connect(p));
	pair_run(p, 40 * SEC);
	ck_assert_uint_gt(from_server_bytes, 0);
	ck_assert_uint_le(from_server_bytes, 3 * 1200);
	pair_run(p, 60 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_ptr_null(qb_quic_next_conn(p->end[SERVER].q, NULL));
	ck_assert_ptr_null(qb_quic_next_conn(p->end[CLIENT].q, NULL));
	pair_free(p);
}
END_TEST

static bool save_server_packets(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == SERVER && saved_cnt < QB_ARRAY_LEN(saved))
		saved[saved_cnt++] = *pkt;
	return false;
}

START_TEST(test_version_negotiation)
{
	struct pair_opts o = pair_default_opts(10);
	struct pair *p = pair_new(&o);
	struct qb_tuple t = pair_server_tuple(p, 0);
	uint8_t pkt[1200] = {0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 3, 9, 9, 9};
	const uint8_t *v = saved[0].data;

	p->on_packet = save_server_packets;
	saved_cnt = 0;
	/* One that is too small for us to answer, then a proper one. */
	pair_inject(p, SERVER, &t, pkt, 1199);
	pair_inject(p, SERVER, &t, pkt, 1200);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(saved_cnt, 1);
	ck_assert_uint_eq(v[0] & 0x80, 0x80);
	ck_assert_uint_eq(qb_load_be32(v + 1), 0);
	ck_assert_uint_eq(v[5], 3);
	ck_assert_mem_eq(v + 6, pkt + 15, 3);
	ck_assert_uint_eq(v[9], 8);
	ck_assert_mem_eq(v + 10, pkt + 6, 8);
	ck_assert_uint_eq(qb_load_be32(v + 18), QB_QUIC_V1);
	/* Never an answer to Version Negotiation. */
	memset(pkt + 1, 0, 4);
	pair_inject(p, SERVER, &t, pkt, 1200);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(saved_cnt, 1);
	pair_free(p);
}
END_TEST

/* The server's table is full: the next client is told so. */
START_TEST(test_conn_limit)
{
	struct pair_opts o = pair_default_opts(11);
	struct pair *p;
	struct qb_tuple t = pair_client_tuple(1);
	int i;

	o.conns = 1;
	p = pair_up(&o);
	for (i = 0; i < 2; i++)
		p->end[CLIENT].events[QB_EV_CONN_CLOSED] = 0;
	qb_conn_set_user(p->end[CLIENT].conn, p);
	ck_assert_ptr_null(qb_quic_connect(p->end[CLIENT].q, &t, "hub", p->now_ns));
	/* The client's own table is full as well: make room there and only there. */
	p->link[0].is_down = true;
	qb_conn_close(p->end[CLIENT].conn, 0, "", p->now_ns);
	pair_run(p, 5 * SEC);
	ck_assert_ptr_nonnull(qb_quic_connect(p->end[CLIENT].q, &t, "hub", p->now_ns));
	p->end[CLIENT].events[QB_EV_CONN_CLOSED] = 0;
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_uint_eq(p->end[CLIENT].last[QB_EV_CONN_CLOSED].error_code, 2);
	ck_assert_uint_ge(p->end[SERVER].counters.v[QB_CNT_DROP_CONN_LIMIT], 1);
	pair_free(p);
}
END_TEST

static bool drop_server_packets(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	(void)pkt;
	return from == CLIENT;
}

/* Many handshakes that lead nowhere: from some number on, strangers must prove their address first.
 */
START_TEST(test_retry_auto)
{
	struct pair_opts o = pair_default_opts(12);
	struct pair *p;
	uint32_t i;

	o.retry = QB_RETRY_AUTO;
	o.retry_half_open = 3;
	p = pair_new(&o);
	p->on_packet = drop_server_packets;
	for (i = 0; i < 3; i++)
		ck_assert_ptr_nonnull(pair_connect(p));
	pair_run(p, 300 * MS);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_RETRY_TX], 0);
	p->on_packet = NULL;
	ck_assert_ptr_nonnull(pair_connect(p));
	pair_run(p, 300 * MS);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_RETRY_TX], 1);
	/* And everybody gets in after all. */
	pair_run(p, 20 * SEC);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_NEW], 4);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_ESTABLISHED], 4);
	pair_free(p);
}
END_TEST

/* Several connections between the same two endpoints do not know of each other. */
START_TEST(test_many_conns)
{
	struct pair_opts o = pair_default_opts(13);
	struct pair *p = pair_new(&o);
	struct qb_conn *c, *next;
	uint32_t i, no = 0;

	p->link[0].loss = 0.05;
	for (i = 0; i < 8; i++)
		ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert_ptr_null(pair_connect(p));
	pair_run(p, 20 * SEC);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_NEW], 8);
	p->link[0].loss = 0;
	for (i = 0; i < 2; i++) {
		for (c = qb_quic_next_conn(p->end[i].q, NULL); c;
		     c = qb_quic_next_conn(p->end[i].q, c)) {
			p->end[i].conn = c;
			ck_assert_int_eq(pair_send_dgram(p, (int)i, 0, no++, 300), 0);
		}
	}
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 8);
	ck_assert_uint_eq(p->end[CLIENT].dgram_cnt, 8);
	for (c = qb_quic_next_conn(p->end[CLIENT].q, NULL); c; c = next) {
		next = qb_quic_next_conn(p->end[CLIENT].q, c);
		qb_conn_close(c, 0, "", p->now_ns);
	}
	pair_run(p, 5 * SEC);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_CLOSED], 8);
	ck_assert_ptr_null(qb_quic_next_conn(p->end[SERVER].q, NULL));
	pair_free(p);
}
END_TEST

/* A flood of strays does not keep a client from its Retry. */
START_TEST(test_retry_not_starved)
{
	struct pair_opts o = pair_default_opts(14);
	struct pair *p;
	struct qb_tuple t;
	uint8_t stray[100] = {0x40};
	uint32_t i;

	o.retry = QB_RETRY_ALWAYS;
	p = pair_new(&o);
	t = pair_server_tuple(p, 1);
	for (i = 0; i < 2000; i++) {
		qb_store_be32(stray + 2, i);
		pair_inject(p, SERVER, &t, stray, sizeof(stray));
		pair_run(p, 100 * QB_NS_PER_US);
	}
	ck_assert_uint_le(p->end[SERVER].counters.v[QB_CNT_STATELESS_RESET_TX], 250);
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 200 * MS));
	pair_free(p);
}
END_TEST

/* Whole: the CRYPTO data again, and padded; from the second timeout on twice (RFC 9002 §6.2.4). */
START_TEST(test_probes)
{
	struct pair_opts o = pair_default_opts(7);
	struct pair *p = pair_new(&o);

	p->link[0].is_down = true;
	(void)pair_connect(p);
	pair_run(p, 500 * MS);
	ck_assert_uint_eq(p->link[0].sent_pkts[CLIENT], 1);
	pair_run(p, SEC); /* 1 s after the first */
	ck_assert_uint_eq(p->link[0].sent_pkts[CLIENT], 2);
	pair_run(p, 2 * SEC); /* 2 s later */
	ck_assert_uint_eq(p->link[0].sent_pkts[CLIENT], 4);
	pair_run(p, 4 * SEC);
	ck_assert_uint_eq(p->link[0].sent_pkts[CLIENT], 6);
	ck_assert_uint_eq(p->link[0].sent_bytes[CLIENT], 6 * 1200);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/handshake");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_plain);
	tcase_add_test(tc, test_datagrams);
	tcase_add_test(tc, test_two_paths);
	tcase_add_loop_test(tc, test_lossy, 0, 60);
	tcase_add_test(tc, test_retry);
	tcase_add_loop_test(tc, test_retry_lossy, 0, 20);
	tcase_add_test(tc, test_retry_token_bound);
	tcase_add_test(tc, test_wrong_client_key);
	tcase_add_test(tc, test_wrong_server_key);
	tcase_add_loop_test(tc, test_without_multipath, 0, 2);
	tcase_add_test(tc, test_amplification);
	tcase_add_test(tc, test_version_negotiation);
	tcase_add_test(tc, test_conn_limit);
	tcase_add_test(tc, test_retry_auto);
	tcase_add_test(tc, test_many_conns);
	tcase_add_test(tc, test_retry_not_starved);
	tcase_add_test(tc, test_probes);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
