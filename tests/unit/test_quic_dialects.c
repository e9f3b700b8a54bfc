/* SPDX-License-Identifier: BSD-2-Clause */
/* The dialects of multipath: how frames are written, which one is chosen, and that they are never
 * mixed. */
#include <check.h>
#include <errno.h>

#include "quic/packet.h"
#include "quic_bulk.h"

#define RFC (1u << QB_MP_RFC)
#define D15 (1u << QB_MP_DRAFT15)
#define D10 (1u << QB_MP_DRAFT10)

/* ---- on the wire ---- */

static const uint8_t token[16] = {9};

/* clang-format off */
static const struct wire_case {
	struct qb_frame f;
	uint8_t len;
	uint8_t bytes[48]; /* -15 and -10: behind 0x95228c */
} wire_cases[] = {
	{{.type = QB_FRAME_PATH_STATUS_BACKUP, .path_status = {2, 7}}, 3, {0x07, 2, 7}},
	{{.type = QB_FRAME_PATH_STATUS_AVAILABLE, .path_status = {2, 7}}, 3, {0x08, 2, 7}},
	{{.type = QB_FRAME_PATH_NEW_CONNECTION_ID,
	  .new_cid = {.path_id = 3, .seq = 1, .cid = {4, {1, 2, 3, 4}}, .reset_token = token}},
	 25, {0x09, 3, 1, 0, 4, 1, 2, 3, 4, 9}},
	{{.type = QB_FRAME_PATH_RETIRE_CONNECTION_ID, .retire_cid = {3, 1}}, 3, {0x0a, 3, 1}},
	{{.type = QB_FRAME_MAX_PATH_ID, .max_path_id = {5}}, 2, {0x0c, 5}},
	{{.type = QB_FRAME_PATHS_BLOCKED, .max_path_id = {5}}, 2, {0x0d, 5}},
	{{.type = QB_FRAME_PATH_CIDS_BLOCKED, .path_cids_blocked = {5, 2}}, 3, {0x0e, 5, 2}},
	{{.type = QB_FRAME_PATH_ABANDON, .path_abandon = {6, 1}}, 3, {0x05, 6, 1}},
};
/* clang-format on */

START_TEST(test_wire)
{
	const struct wire_case *k = &wire_cases[_i / 2];
	enum qb_mp_dialect dialect = _i % 2 ? QB_MP_DRAFT10 : QB_MP_DRAFT15;
	bool is_known = qb_frame_has_dialect(k->f.type, dialect);
	struct qb_frame f = k->f, got;
	uint8_t buf[64], want[64] = {0x95, 0x22, 0x8c};
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));
	size_t len = 3u + k->len;
	struct qb_fault fault = {0};

	memcpy(want + 3, k->bytes, k->len);
	/* Up to -10, an empty reason phrase. */
	len += dialect == QB_MP_DRAFT10 && f.type == QB_FRAME_PATH_ABANDON;
	f.dialect = dialect;
	qb_frame_build(&w, &f);
	ck_assert_uint_eq((size_t)(w.p - buf), len);
	ck_assert_mem_eq(buf, want, len);
	if (!is_known) {
		ck_assert_int_eq(qb_frame_parse_as(&got, buf, len, QB_PKT_1RTT, dialect, &fault),
				 -EBADMSG);
		return;
	}
	ck_assert_int_eq(qb_frame_parse_as(&got, buf, len, QB_PKT_1RTT, dialect, &fault), (int)len);
	ck_assert_uint_eq(got.type, f.type);
	ck_assert_int_eq(got.dialect, dialect);
	ck_assert_uint_eq(got.path_status.path_id, f.path_status.path_id);
	/* Cut short at any place. */
	while (len-- > 1)
		ck_assert_int_eq(qb_frame_parse_as(&got, buf, len, QB_PKT_1RTT, dialect, &fault),
				 -EBADMSG);
	/* To the RFC it is nothing, nor is the RFC's own number known here. */
	ck_assert_int_eq(qb_frame_parse(&got, buf, sizeof(buf), QB_PKT_1RTT, &fault), -EBADMSG);
	ck_assert_uint_eq(fault.code, QB_QUIC_FRAME_ENCODING_ERROR);
	w = qb_wr_init(buf, sizeof(buf));
	f.dialect = QB_MP_RFC;
	qb_frame_build(&w, &f);
	ck_assert_int_eq(
		qb_frame_parse_as(&got, buf, (size_t)(w.p - buf), QB_PKT_1RTT, dialect, &fault),
		-EBADMSG);
	ck_assert_uint_eq(fault.code, QB_QUIC_FRAME_ENCODING_ERROR);
}
END_TEST

START_TEST(test_wire_ack)
{
	struct qb_range r[2] = {{1, 2}, {5, 9}};
	struct qb_frame f = {.type = _i ? QB_FRAME_PATH_ACK_ECN : QB_FRAME_PATH_ACK,
			     .dialect = QB_MP_DRAFT15,
			     .ack = {.path_id = 4, .ce = 3}},
			got;
	const uint8_t want[] = {0x95, 0x22, 0x8c, (uint8_t)_i, 4, 9, 0, 1, 4, 1, 1};
	struct qb_fault fault;
	uint8_t buf[64];
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));

	ck_assert(qb_ack_build(&w, &f, r, 2));
	ck_assert_mem_eq(buf, want, sizeof(want));
	ck_assert_int_eq(qb_frame_parse_as(&got, buf, (size_t)(w.p - buf), QB_PKT_1RTT,
					   QB_MP_DRAFT15, &fault),
			 (int)(w.p - buf));
	ck_assert_uint_eq(got.ack.largest, 9);
	ck_assert_uint_eq(got.ack.ce, _i ? 3 : 0);
}
END_TEST

START_TEST(test_wire_abandon_reason)
{
	const uint8_t bytes[] = {0x95, 0x22, 0x8c, 0x05, 6, 1, 3, 'b', 'y', 'e', 1};
	struct qb_fault fault;
	struct qb_frame got;

	ck_assert_int_eq(
		qb_frame_parse_as(&got, bytes, sizeof(bytes), QB_PKT_1RTT, QB_MP_DRAFT10, &fault),
		10);
	ck_assert_uint_eq(got.path_abandon.path_id, 6);
	ck_assert_int_eq(
		qb_frame_parse_as(&got, bytes, sizeof(bytes), QB_PKT_1RTT, QB_MP_DRAFT15, &fault),
		6);
	ck_assert_int_eq(qb_frame_parse_as(&got, bytes, 9, QB_PKT_1RTT, QB_MP_DRAFT10, &fault),
			 -EBADMSG);
}
END_TEST

/* ---- between two endpoints ---- */

static const struct choice {
	uint32_t client, server;
	int want; /* -1: no multipath */
} choices[] = {
	{0, 0, QB_MP_RFC},
	{RFC | D15 | D10, RFC | D15 | D10, QB_MP_RFC},
	{RFC | D15 | D10, RFC, QB_MP_RFC},
	{RFC | D15 | D10, D15 | D10, QB_MP_DRAFT15},
	{D15, RFC | D15, QB_MP_DRAFT15},
	{RFC | D15 | D10, D10, QB_MP_DRAFT10},
	{D10, RFC | D10, QB_MP_DRAFT10},
	{RFC, D15 | D10, -1},
	{D10, D15, -1},
};

static void flow(struct pair *p, uint8_t path, uint32_t first)
{
	uint32_t i;

	for (i = first; i < first + 200; i++) {
		(void)!pair_send_dgram(p, CLIENT, i % 2 ? path : 0, i, 300);
		(void)!pair_send_dgram(p, SERVER, i % 2 ? path : 0, i, 300);
		pair_run(p, 5 * MS);
	}
	pair_run(p, 500 * MS);
}

START_TEST(test_choice)
{
	const struct choice *k = &choices[(size_t)_i % QB_ARRAY_LEN(choices)];
	struct pair_opts o = pair_default_opts(1 + (uint64_t)_i);
	struct qb_conn_info info;
	struct pair *p;
	uint8_t path;

	o.mp_dialects[CLIENT] = k->client;
	o.mp_dialects[SERVER] = k->server;
	p = pair_up(&o);
	qb_conn_get_info(p->end[CLIENT].conn, &info);
	ck_assert(info.is_multipath == (k->want >= 0));
	if (k->want < 0) {
		flow(p, 0, 0);
		ck_assert_uint_gt(p->end[SERVER].dgram_cnt, 195);
		pair_free(p);
		return;
	}
	ck_assert_int_eq(p->end[CLIENT].conn->mp.dialect, k->want);
	ck_assert_int_eq(p->end[SERVER].conn->mp.dialect, k->want);
	p->link[0].loss = p->link[1].loss = _i < (int)QB_ARRAY_LEN(choices) ? 0 : 0.05;
	path = pair_open_path(p, 1);
	flow(p, path, 0);
	ck_assert_uint_gt(p->end[SERVER].dgram_by_path[path], 80);
	/* Status, another ID, giving up, a new path with a new ID. */
	qb_conn_set_path_backup(p->end[CLIENT].conn, path, true);
	pair_run(p, 1 * SEC);
	ck_assert(p->end[SERVER].conn->mp.pid[p->end[SERVER].conn->path[1].pid].is_peer_backup);
	{
		struct qb_tuple t = pair_client_tuple(2);

		ck_assert_int_eq(qb_conn_move_path(p->end[CLIENT].conn, path, &t, p->now_ns), 0);
	}
	pair_run(p, 1 * SEC);
	ck_assert_int_eq(qb_conn_close_path(p->end[CLIENT].conn, path,
					    QB_QUIC_PATH_UNSTABLE_OR_POOR, p->now_ns),
			 0);
	pair_run(p, 3 * SEC);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_PATH_CLOSED], 1);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_PATH_CLOSED], 1);
	path = pair_open_path(p, 3);
	flow(p, path, 1000);
	ck_assert_uint_gt(p->end[SERVER].dgram_cnt, 300);
	ck_assert(p->end[CLIENT].conn && p->end[SERVER].conn);
	pair_free(p);
}
END_TEST

/* A peer that mixes them breaks the protocol. */
START_TEST(test_mixed)
{
	static const struct {
		uint32_t spoken;
		enum qb_mp_dialect lie;
	} lies[] = {{RFC, QB_MP_DRAFT15}, {D15, QB_MP_RFC}, {D10, QB_MP_RFC}, {RFC, QB_MP_DRAFT10}};
	struct pair_opts o = pair_default_opts(50 + (uint64_t)_i);
	struct qb_frame f = {.type = QB_FRAME_PATH_STATUS_BACKUP,
			     .dialect = lies[_i].lie,
			     .path_status = {.path_id = 0, .seq = 3}};
	struct qb_batch out = {0};
	struct qb_tx_dgram d;
	struct qb_tx_pkt *pkt;
	struct pair *p;

	o.mp_dialects[CLIENT] = o.mp_dialects[SERVER] = lies[_i].spoken;
	p = pair_up(&o);
	ck_assert(qb_tx_open(&d, p->end[CLIENT].conn, &p->end[CLIENT].conn->path[0], 1200));
	pkt = qb_tx_begin(&d, QB_LEVEL_APP);
	ck_assert_ptr_nonnull(pkt);
	ck_assert(qb_tx_frame(pkt, &f, NULL));
	ck_assert_uint_gt(qb_tx_close(&d, 0, &out, p->now_ns), 0);
	pair_transmit(p, CLIENT, &out.buf[0]->tuple, out.buf[0]->data, out.buf[0]->len);
	qb_batch_put(&p->end[CLIENT].pool, &out);
	pair_run(p, 100 * MS);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_uint_eq(p->end[SERVER].last[QB_EV_CONN_CLOSED].error_code,
			  QB_QUIC_FRAME_ENCODING_ERROR);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/dialects");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_wire, 0, 2 * (int)QB_ARRAY_LEN(wire_cases));
	tcase_add_loop_test(tc, test_wire_ack, 0, 2);
	tcase_add_test(tc, test_wire_abandon_reason);
	tcase_add_loop_test(tc, test_choice, 0, 3 * (int)QB_ARRAY_LEN(choices));
	tcase_add_loop_test(tc, test_mixed, 0, 4);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
