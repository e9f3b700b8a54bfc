/* SPDX-License-Identifier: BSD-2-Clause */
/* Key updates, timeouts, keep-alive, closing, draining, stateless reset. */
#include <check.h>

#include "quic/conn.h"
#include "quic_bulk.h"

static uint64_t updates(const struct pair *p, int side)
{
	struct qb_conn_info info;

	qb_conn_get_info(p->end[side].conn, &info);
	return info.key_updates;
}

static void want_update(struct pair *p, int side)
{
	p->end[side].conn->is_update_wanted = true;
	qb_conn_touch(p->end[side].conn);
}

/* Either side, several times, over two paths with loss and reordering, while data flows. */
START_TEST(test_key_update)
{
	struct pair_opts o = pair_default_opts(1 + (uint64_t)_i);
	struct pair *p = pair_up(&o);
	uint8_t path = pair_open_path(p, 1);
	uint32_t no = 0, sent_cnt = 0, round, i;
	struct bulk b;

	for (i = 0; i < 2; i++) {
		p->link[i].loss = 0.02;
		p->link[i].jitter_ns = 30 * MS;
	}
	bulk_start(p, &b, CLIENT, 4 << 20);
	for (round = 1; round <= 8; round++) {
		int side = (int)(round + (uint32_t)_i) % 2;

		want_update(p, side);
		for (i = 0; i < 400 && (updates(p, 0) < round || updates(p, 1) < round); i++) {
			sent_cnt += pair_send_dgram(p, CLIENT, i % 2 ? path : 0, no, 200) == 0;
			(void)!pair_send_dgram(p, SERVER, i % 2 ? path : 0, no++, 200);
			pair_run(p, 5 * MS);
		}
		ck_assert_uint_eq(updates(p, CLIENT), round);
		ck_assert_uint_eq(updates(p, SERVER), round);
	}
	ck_assert(pair_run_until(p, bulk_is_done, 60 * SEC));
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_DROP_AUTH], 0);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_DROP_AUTH], 0);
	ck_assert_uint_gt(p->end[SERVER].dgram_cnt, sent_cnt * 9 / 10);
	pair_free(p);
}
END_TEST

/* Both at the same moment: one update results, not two. */
START_TEST(test_key_update_crossing)
{
	struct pair_opts o = pair_default_opts(10);
	struct pair *p = pair_up(&o);
	uint32_t i;

	pair_run(p, 2 * SEC);
	want_update(p, CLIENT);
	want_update(p, SERVER);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, i, 100), 0);
		ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, i, 100), 0);
		pair_run(p, 10 * MS);
	}
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(updates(p, CLIENT), 1);
	ck_assert_uint_eq(updates(p, SERVER), 1);
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 100);
	ck_assert_uint_eq(p->end[CLIENT].dgram_cnt, 100);
	pair_free(p);
}
END_TEST

/* Keys that have sealed half of what they may are replaced without being asked. */
START_TEST(test_key_wear)
{
	struct pair_opts o = pair_default_opts(11);
	struct pair *p = pair_up(&o);
	uint32_t i;

	p->end[CLIENT].conn->keys.sealed_cnt = (UINT64_C(1) << 22) - 10;
	for (i = 0; i < 100; i++) {
		(void)!pair_send_dgram(p, CLIENT, 0, i, 100);
		pair_run(p, 10 * MS);
	}
	if (qb_suite_confidentiality_limit(qb_tls_suite(p->end[CLIENT].conn->tls)) == 1u << 23) {
		ck_assert_uint_eq(updates(p, CLIENT), 1);
		ck_assert_uint_eq(updates(p, SERVER), 1);
	}
	ck_assert_uint_eq(p->end[SERVER].dgram_cnt, 100);
	pair_free(p);
}
END_TEST

START_TEST(test_idle_timeout)
{
	struct pair_opts o = pair_default_opts(12);
	struct pair *p;
	uint64_t start_ns;

	o.idle_ns = 5 * SEC;
	p = pair_up(&o);
	pair_run(p, 1 * SEC);
	start_ns = p->now_ns;
	pair_run(p, 3 * SEC);
	ck_assert(p->end[CLIENT].conn && p->end[SERVER].conn);
	/* Traffic one way keeps both alive. */
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), 0);
	pair_run(p, 3 * SEC);
	ck_assert(p->end[CLIENT].conn && p->end[SERVER].conn);
	pair_run(p, 3 * SEC);
	ck_assert(!p->end[CLIENT].conn && !p->end[SERVER].conn);
	ck_assert_str_eq(p->end[CLIENT].reason, "idle timeout");
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_CONNS_TIMED_OUT], 1);
	ck_assert_ptr_null(qb_quic_next_conn(p->end[SERVER].q, NULL));
	ck_assert_uint_lt(p->now_ns - start_ns, 10 * SEC);
	ck_assert_uint_eq(qb_quic_deadline_ns(p->end[SERVER].q), QB_NEVER_NS);
	pair_free(p);
}
END_TEST

START_TEST(test_keepalive)
{
	struct pair_opts o = pair_default_opts(13);
	struct pair *p;
	uint64_t before;

	o.idle_ns = 5 * SEC;
	o.keepalive_ns = 2 * SEC;
	p = pair_up(&o);
	pair_open_path(p, 1);
	before = p->link[1].sent_pkts[CLIENT] + p->link[1].sent_pkts[SERVER];
	pair_run(p, 60 * SEC);
	ck_assert(p->end[CLIENT].conn && p->end[SERVER].conn);
	/* Each path is kept open at every NAT, and not more than that. */
	before = p->link[1].sent_pkts[CLIENT] + p->link[1].sent_pkts[SERVER] - before;
	ck_assert_uint_ge(before, 50);
	ck_assert_uint_le(before, 150);
	pair_free(p);
}
END_TEST

START_TEST(test_dead_peer)
{
	struct pair_opts o = pair_default_opts(14);
	struct pair *p;
	uint32_t i;

	o.idle_ns = 10 * SEC;
	o.keepalive_ns = 2 * SEC;
	p = pair_up(&o);
	for (i = 0; i < PAIR_LINKS; i++)
		p->link[i].is_down = true;
	pair_run(p, 14 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_CLOSED], 1);
	pair_free(p);
}
END_TEST

static struct pair_pkt latest;

static bool keep_latest(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == CLIENT)
		latest = *pkt;
	return true;
}

START_TEST(test_close)
{
	struct pair_opts o = pair_default_opts(15 + (uint64_t)_i);
	struct pair *p = pair_up(&o);
	struct qb_quic_event *ev = &p->end[!_i].last[QB_EV_CONN_CLOSED];
	struct qb_tuple tuple = pair_server_tuple(p, 0);

	p->on_packet = keep_latest;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), 0);
	qb_conn_close(p->end[_i].conn, 0x0100, "so long\n", p->now_ns);
	pair_run(p, 100 * MS);
	ck_assert_uint_eq(p->end[_i].events[QB_EV_CONN_CLOSED], 1);
	ck_assert(!p->end[_i].last[QB_EV_CONN_CLOSED].is_by_peer);
	ck_assert_uint_eq(p->end[!_i].events[QB_EV_CONN_CLOSED], 1);
	ck_assert(ev->is_by_peer && ev->is_app_error);
	ck_assert_uint_eq(ev->error_code, 0x0100);
	/* What peers say is made printable. */
	ck_assert_str_eq(p->end[!_i].reason, "so long?");
	/* Draining and closing end after three PTOs. */
	pair_run(p, 2 * SEC);
	ck_assert_ptr_null(qb_quic_next_conn(p->end[SERVER].q, NULL));
	ck_assert_ptr_null(qb_quic_next_conn(p->end[CLIENT].q, NULL));
	/* The connection ID that the latest packet was for is nobody's now. */
	ck_assert_uint_eq(latest.data[0] & 0x80, 0);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_DROP_UNKNOWN_CID], 0);
	pair_inject(p, SERVER, &tuple, latest.data, latest.len);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_DROP_UNKNOWN_CID], 1);
	pair_free(p);
}
END_TEST

/* The CONNECTION_CLOSE is lost: whoever goes on talking is told again, ever more rarely. */
START_TEST(test_close_lost)
{
	struct pair_opts o = pair_default_opts(17);
	struct pair *p = pair_up(&o);
	uint32_t i;

	/* Long PTOs, so that the closing state lasts. */
	p->link[0].delay_ns = 200 * MS;
	for (i = 0; i < 20; i++) {
		(void)!pair_send_dgram(p, CLIENT, 0, i, 100);
		pair_run(p, 100 * MS);
	}
	p->link[0].is_down = true;
	qb_conn_close(p->end[SERVER].conn, 1, "", p->now_ns);
	pair_run(p, 10 * MS);
	p->link[0].is_down = false;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 99, 100), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	ck_assert(p->end[CLIENT].last[QB_EV_CONN_CLOSED].is_by_peer);
	pair_free(p);
}
END_TEST

START_TEST(test_close_during_handshake)
{
	struct pair_opts o = pair_default_opts(18);
	struct pair *p = pair_new(&o);
	struct qb_conn *c = pair_connect(p);

	pair_run(p, _i ? 15 * MS : 5 * MS);
	qb_conn_close(c, 0x100, "never mind", p->now_ns);
	pair_run(p, 10 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_NEW], 0);
	ck_assert_ptr_null(qb_quic_next_conn(p->end[SERVER].q, NULL));
	ck_assert_ptr_null(qb_quic_next_conn(p->end[CLIENT].q, NULL));
	pair_free(p);
}
END_TEST

static void restart_server(struct pair *p, const struct pair_opts *o)
{
	struct pair_end *e = &p->end[SERVER];

	qb_quic_fini(e->q);
	free(e->mem);
	e->conn = NULL;
	pair_start_end(p, SERVER, o);
}

/* A server that lost its memory says so, on whatever path it is asked, and also for a worker that it has not got any more. */
START_TEST(test_stateless_reset)
{
	struct pair_opts o = pair_default_opts(19);
	struct pair *p;
	uint8_t path;

	o.server_worker = _i < 2 ? 0 : 3;
	o.server_workers = 4;
	p = pair_up(&o);
	path = pair_open_path(p, 1);
	o.server_worker = 0;
	o.server_workers = 2;
	restart_server(p, &o);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, _i % 2 ? path : 0, 1, 100), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_str_eq(p->end[CLIENT].reason, "stateless reset");
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_CONNS_RESET], 1);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_STATELESS_RESET_TX], 1);
	pair_free(p);
}
END_TEST

/* A datagram that came to the wrong worker is no reason to reset the connection that another one has. */
START_TEST(test_no_reset_for_another_worker)
{
	struct pair_opts o = pair_default_opts(19);
	struct pair *p;

	o.server_worker = 1;
	o.server_workers = 2;
	p = pair_up(&o);
	o.server_worker = 0;
	restart_server(p, &o);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 0);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_STATELESS_RESET_TX], 0);
	pair_free(p);
}
END_TEST

static uint32_t resets_seen, resets_too_long;
static uint32_t trigger_len;

static bool count_resets(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from != SERVER)
		return true;
	resets_seen++;
	resets_too_long += pkt->len >= trigger_len || pkt->len < 21 || pkt->len > 43 ||
			   (pkt->data[0] & 0xc0) != 0x40;
	return false;
}

/* Resets are shorter than what they answer, and a flood of strays does not become a flood of
 * resets. */
START_TEST(test_stateless_reset_limits)
{
	struct pair_opts o = pair_default_opts(20);
	struct pair *p = pair_new(&o);
	struct qb_tuple t = pair_server_tuple(p, 0);
	uint8_t pkt[1200];
	uint32_t i;

	p->on_packet = count_resets;
	resets_seen = resets_too_long = 0;
	for (i = 0; i < sizeof(pkt); i++)
		pkt[i] = (uint8_t)qb_rand_u64(&p->rnd);
	pkt[0] = 0x40;
	pkt[1 + QB_CID_WORKER_OFF] = 0;
	for (trigger_len = 1; trigger_len < 100; trigger_len++) {
		pair_inject(p, SERVER, &t, pkt, trigger_len);
		pair_run(p, 100 * MS);
	}
	ck_assert_uint_eq(resets_too_long, 0);
	ck_assert_uint_eq(resets_seen, 99 - 21);
	/* Another worker's number: it is not ours to say. */
	pkt[1 + QB_CID_WORKER_OFF] = 1;
	pair_inject(p, SERVER, &t, pkt, 100);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(resets_seen, 99 - 21);
	pkt[1 + QB_CID_WORKER_OFF] = 0;
	for (i = 0; i < 10000; i++) {
		pair_inject(p, SERVER, &t, pkt, 100);
		pair_run(p, 100 * QB_NS_PER_US);
	}
	/* One second's worth and the burst. */
	ck_assert_uint_le(resets_seen, 99 + 2 * 200 + 10);
	pair_free(p);
}
END_TEST

/* A forged reset must carry the token and come from the peer's address. */
START_TEST(test_reset_forged)
{
	struct pair_opts o = pair_default_opts(21);
	struct pair *p = pair_up(&o);
	struct qb_tuple t = pair_client_tuple(0);
	uint8_t pkt[43] = {0x40, 1, 2, 3};

	memcpy(pkt + 27, p->end[CLIENT].conn->mp.pid[0].reset.token, 16);
	pkt[42] ^= 1;
	pair_inject(p, CLIENT, &t, pkt, sizeof(pkt));
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_CONNS_RESET], 0);
	pkt[42] ^= 1;
	t.peer.port++;
	pair_inject(p, CLIENT, &t, pkt, sizeof(pkt));
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_CONNS_RESET], 0);
	t.peer.port--;
	pair_inject(p, CLIENT, &t, pkt, sizeof(pkt));
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_CONNS_RESET], 1);
	pair_free(p);
}
END_TEST

/* Another version's reset may have a long header, no fixed bit, or the length of an Initial: the token is what counts (RFC 9000 §10.3). */
START_TEST(test_reset_of_any_form)
{
	static const struct {
		uint8_t first, version, len;
		bool is_known; /* it names a connection ID of ours */
	} forms[] = {
		{0xc3, 1, 60, false},	{0xc3, 9, 60, false}, {0xe3, 1, 60, true}, {0xc3, 1, 60, true},
		{0x80, 1, 60, false},	{0x00, 0, 43, false}, {0x40, 0, 60, true}, {0xf0, 1, 60, true},
		{0xc0, 1, 21, false},
	};
	struct pair_opts o = pair_default_opts(22);
	struct pair *p = pair_up(&o);
	struct qb_tuple t = pair_client_tuple(0);
	const struct qb_cid *cid = &p->end[CLIENT].conn->hs.local_scid;
	uint8_t pkt[64] = {forms[_i].first, 0, 0, 0, forms[_i].version, QB_CID_LEN};
	uint8_t at = pkt[0] & 0x80 ? 6 : 1, len = forms[_i].len;

	if (forms[_i].is_known)
		memcpy(pkt + at, cid->id, cid->len);
	if (pkt[0] & 0x80 && len > 40)
		pkt[at + QB_CID_LEN + 1] = (uint8_t)(len - (at + QB_CID_LEN + 2));
	memcpy(pkt + len - 16, p->end[CLIENT].conn->mp.pid[0].reset.token, 16);
	pkt[len - 1] ^= 1;
	pair_inject(p, CLIENT, &t, pkt, len);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_CONNS_RESET], 0);
	pkt[len - 1] ^= 1;
	pair_inject(p, CLIENT, &t, pkt, len);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_CONNS_RESET], 1);
	pair_free(p);
}
END_TEST

/* Who is to be looked at: whoever got something, or whose timer ran (here, what finds the losses on a dead link); once each time,
 * and never one that is gone. */
START_TEST(test_who_moved)
{
	struct pair_opts o = pair_default_opts(60);
	struct pair *p = pair_up(&o);
	struct qb_conn *c = p->end[CLIENT].conn;
	struct qb_quic *q = p->end[CLIENT].q;

	ck_assert_ptr_eq(qb_quic_next_moved(q), c);
	ck_assert_ptr_null(qb_quic_next_moved(q));
	ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, 0, 200), 0);
	pair_run(p, SEC);
	ck_assert_ptr_eq(qb_quic_next_moved(q), c);
	p->link[0].loss = 1;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 200), 0);
	pair_run(p, 100 * MS);
	while (qb_quic_next_moved(q))
		;
	pair_run(p, 5 * SEC);
	ck_assert_ptr_eq(qb_quic_next_moved(q), c);
	ck_assert_ptr_null(qb_quic_next_moved(q));
	qb_conn_note_moved(c);
	qb_conn_free(c);
	ck_assert_ptr_null(qb_quic_next_moved(q));
	p->end[CLIENT].conn = NULL;
	pair_free(p);
}
END_TEST

/* A path's slot that was never used holds what a connection before this one had in it: nobody looks there. */
START_TEST(test_slots_never_used)
{
	struct pair_opts o = pair_default_opts(5);
	struct pair *p = pair_up(&o);
	struct qb_conn *c = p->end[CLIENT].conn;
	struct qb_path *was = &c->path[c->path_cnt];
	int64_t id = qb_conn_open_stream(c, true);
	uint64_t before;

	ck_assert_int_ge(id, 0);
	ck_assert_int_eq(qb_conn_stream_write(c, (uint64_t)id, "1", 1, false), 1);
	before = c->streams.send_buf_bytes;
	was->phase = QB_PATH_OPEN;
	was->is_down = false;
	was->cc.view.cwnd_bytes = UINT64_C(1) << 40;
	ck_assert_int_eq(qb_conn_stream_write(c, (uint64_t)id, "2", 1, false), 1);
	ck_assert_uint_eq(c->streams.send_buf_bytes, before);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/life");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_key_update, 0, 6);
	tcase_add_test(tc, test_key_update_crossing);
	tcase_add_test(tc, test_key_wear);
	tcase_add_test(tc, test_idle_timeout);
	tcase_add_test(tc, test_keepalive);
	tcase_add_test(tc, test_dead_peer);
	tcase_add_loop_test(tc, test_close, 0, 2);
	tcase_add_test(tc, test_close_lost);
	tcase_add_loop_test(tc, test_close_during_handshake, 0, 2);
	tcase_add_loop_test(tc, test_stateless_reset, 0, 4);
	tcase_add_test(tc, test_no_reset_for_another_worker);
	tcase_add_test(tc, test_stateless_reset_limits);
	tcase_add_test(tc, test_reset_forged);
	tcase_add_loop_test(tc, test_reset_of_any_form, 0, 9);
	tcase_add_test(tc, test_who_moved);
	tcase_add_test(tc, test_slots_never_used);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
