/* SPDX-License-Identifier: BSD-2-Clause */
/* Keep-alives for NATs: how long a silence they stand is learned from what the server sees. */
#include <check.h>

#include "quic/conn.h"
#include "quic_pair.h"

/* Link 1 has a NAT that forgets after a silence of timeout_ns; 0: never. */
static struct nat {
	uint64_t timeout_ns, seen_ns;
	uint32_t lost_cnt;
} nat;

static bool forgetful(struct pair *p, int from, struct pair_pkt *pkt)
{
	if ((from == CLIENT ? pkt->tuple.peer.ip[2] : pkt->tuple.local.ip[2]) != 1)
		return true;
	if (from == CLIENT && nat.timeout_ns && nat.seen_ns &&
	    p->now_ns - nat.seen_ns > nat.timeout_ns) {
		p->link[1].nat_port++;
		nat.lost_cnt++;
	}
	if (from == CLIENT)
		pkt->tuple.peer.port = p->link[1].nat_port;
	nat.seen_ns = p->now_ns;
	return true;
}

/* clang-format off */
static const struct row {
	uint64_t timeout_s, from_s, to_s;
	uint32_t lost_max;
} rows[] = {
	{0, 120, 120, 0}, {180, 120, 120, 0}, {60, 40, 59, 3}, {30, 17, 29, 3}, {10, 6, 10, 3},
};
/* clang-format on */

START_TEST(test_longest)
{
	const struct row *row = &rows[_i];
	struct pair_opts o = pair_default_opts(1);
	struct qb_path_info info;
	struct pair *p;
	uint64_t sent;
	uint8_t path;

	o.keepalive_ns = 2 * SEC;
	p = pair_up(&o);
	path = pair_open_path(p, 1);
	/* The server leaves it to the client. */
	p->end[SERVER].q->cfg.keepalive_ns = 0;
	nat = (struct nat){.timeout_ns = row->timeout_s * SEC};
	p->on_packet = forgetful;
	qb_conn_set_path_keepalive(p->end[CLIENT].conn, path, QB_KEEPALIVE_LONGEST);
	pair_run(p, 3600 * SEC);
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, path, p->now_ns, &info));
	ck_assert_uint_ge(info.keepalive_ns, row->from_s * SEC);
	ck_assert_uint_le(info.keepalive_ns, row->to_s * SEC);
	ck_assert_uint_le(nat.lost_cnt, row->lost_max);
	ck_assert_uint_eq(nat.lost_cnt > 0, row->lost_max > 0);
	/* And what was learned holds: no more is lost, and little is sent. */
	nat.lost_cnt = 0;
	sent = p->link[1].sent_pkts[CLIENT];
	pair_run(p, 3600 * SEC);
	ck_assert_uint_eq(nat.lost_cnt, 0);
	ck_assert_uint_le(p->link[1].sent_pkts[CLIENT] - sent, 2 * 3600 / row->from_s + 20);
	/* It is there when it is needed. */
	ck_assert_int_eq(pair_send_dgram(p, SERVER, path, 1, 100), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].dgram_seen[1], 1);
	pair_free(p);
}
END_TEST

/* Alone it keeps the connection as well. */
START_TEST(test_only_path)
{
	struct pair_opts o = pair_default_opts(2);
	struct pair *p = pair_up(&o);
	struct qb_path_info info;

	qb_conn_set_path_keepalive(p->end[CLIENT].conn, 0, QB_KEEPALIVE_LONGEST);
	pair_run(p, 3600 * SEC);
	ck_assert(pair_is_up(p));
	ck_assert(qb_conn_path_info(p->end[CLIENT].conn, 0, p->now_ns, &info));
	ck_assert_uint_eq(info.keepalive_ns, 15 * SEC);
	pair_free(p);
}
END_TEST

START_TEST(test_fixed)
{
	struct pair_opts o = pair_default_opts(3);
	struct pair *p = pair_up(&o);
	uint64_t sent;

	qb_conn_set_path_keepalive(p->end[CLIENT].conn, 0, 7 * SEC);
	pair_run(p, 20 * SEC);
	sent = p->link[0].sent_pkts[CLIENT];
	pair_run(p, 700 * SEC);
	sent = p->link[0].sent_pkts[CLIENT] - sent;
	ck_assert_uint_ge(sent, 95);
	ck_assert_uint_le(sent, 210); /* a PING, and an ACK of what comes back now and then */
	pair_free(p);
}
END_TEST

/* An address that changes while there is traffic says nothing about silences. */
START_TEST(test_not_by_silence)
{
	struct qb_nat n;

	qb_nat_init(&n);
	qb_nat_on_ping(&n, 25 * SEC, 100 * SEC);
	qb_nat_on_moved(&n, 110 * SEC);
	ck_assert_uint_eq(n.interval_ns, QB_NAT_FIRST_NS);
	qb_nat_on_ping(&n, 25 * SEC, 200 * SEC);
	qb_nat_on_moved(&n, 201 * SEC);
	ck_assert_uint_eq(n.interval_ns, 12500 * MS);
	qb_nat_on_moved(&n, 202 * SEC);
	ck_assert_uint_eq(n.interval_ns, 12500 * MS);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/nat");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_longest, 0, (int)QB_ARRAY_LEN(rows));
	tcase_add_test(tc, test_only_path);
	tcase_add_test(tc, test_fixed);
	tcase_add_test(tc, test_not_by_silence);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
