/* SPDX-License-Identifier: BSD-2-Clause */
/* One-way delays by the peer's times of arrival: which direction is slow, and where a queue stands.
 */
#include <check.h>

#include "quic/conn.h"
#include "quic_pair.h"

static struct qb_path_info info_of(const struct pair *p, int side, uint8_t path)
{
	struct qb_path_info info;

	ck_assert(qb_conn_path_info(p->end[side].conn, path, p->now_ns, &info));
	return info;
}

static void talk(struct pair *p, uint32_t ms)
{
	static uint32_t no;

	for (; ms; ms -= 5) {
		for (uint8_t path = 0; path < 2; path++) {
			(void)!pair_send_dgram(p, CLIENT, path, no % 60000, 200);
			(void)!pair_send_dgram(p, SERVER, path, no % 60000, 200);
			no++;
		}
		pair_run(p, 5 * MS);
	}
}

static uint64_t extra_ns[2]; /* on link 1, by sender */

static bool delay_second(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if ((from == CLIENT ? pkt->tuple.peer.ip[2] : pkt->tuple.local.ip[2]) == 1)
		pkt->at_ns += extra_ns[from];
	return true;
}

static int64_t ms_of(int64_t ns)
{
	return (ns + (int64_t)MS / 2) / (int64_t)MS;
}

/* Two paths of 20 and 30 ms there and back; the second one's way up takes 40 ms more, its way
 * back 15. */
START_TEST(test_asymmetric)
{
	struct pair_opts o = pair_default_opts(1);
	struct pair *p = pair_up(&o);
	int side;

	extra_ns[CLIENT] = 40 * MS;
	extra_ns[SERVER] = 15 * MS;
	p->on_packet = delay_second;
	pair_open_path(p, 1);
	talk(p, 2000);
	for (side = 0; side < 2; side++) {
		struct qb_path_info a = info_of(p, side, 0), b = info_of(p, side, 1);

		ck_assert(a.has_owd_tx && a.has_owd_rx && b.has_owd_tx && b.has_owd_rx);
		/* Link 1 is 5 ms longer than link 0 by itself. */
		ck_assert_int_eq(ms_of(b.owd_tx_base_ns - a.owd_tx_base_ns),
				 side == CLIENT ? 45 : 20);
		ck_assert_int_eq(ms_of(b.owd_rx_base_ns - a.owd_rx_base_ns),
				 side == CLIENT ? 20 : 45);
		/* Both constants are one, and cancel: there and back is the round trip. */
		ck_assert_int_le(ms_of((int64_t)a.min_rtt_ns - a.owd_tx_base_ns - a.owd_rx_base_ns),
				 1);
		ck_assert_uint_le(a.queue_tx_ns, 2 * MS);
		ck_assert_uint_le(b.queue_rx_ns, 2 * MS);
	}
	pair_free(p);
}
END_TEST

/* A queue grows in one direction: it is seen there, by both ends, and not in the other. */
START_TEST(test_queue)
{
	struct pair_opts o = pair_default_opts(2);
	struct pair *p = pair_up(&o);
	struct qb_path_info a, b;

	extra_ns[CLIENT] = extra_ns[SERVER] = 0;
	p->on_packet = delay_second;
	pair_open_path(p, 1);
	talk(p, 1000);
	extra_ns[CLIENT] = 30 * MS;
	talk(p, 3000);
	a = info_of(p, CLIENT, 1);
	b = info_of(p, SERVER, 1);
	ck_assert_int_eq(ms_of((int64_t)a.queue_tx_ns), 30);
	ck_assert_int_le(ms_of((int64_t)a.queue_rx_ns), 1);
	ck_assert_int_eq(ms_of((int64_t)b.queue_rx_ns), 30);
	ck_assert_int_le(ms_of((int64_t)b.queue_tx_ns), 1);
	ck_assert_int_le(ms_of((int64_t)info_of(p, CLIENT, 0).queue_tx_ns), 1);
	/* What stands for long is the way. */
	talk(p, 31000);
	ck_assert_int_le(ms_of((int64_t)info_of(p, CLIENT, 1).queue_tx_ns), 1);
	pair_free(p);
}
END_TEST

static bool delay_to_client(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == SERVER)
		pkt->at_ns += 10 * MS;
	return true;
}

/*
 * A busy end: what has come waits 10 ms until it is looked at. By its time of arrival that is no delay of the way, at neither
 * end: to the other it is the time that the ACK took.
 */
START_TEST(test_busy_end)
{
	struct pair_opts o = pair_default_opts(4);
	struct pair *p = pair_up(&o);
	struct qb_path_info client, server;

	pair_open_path(p, 1);
	talk(p, 1000);
	p->on_packet = delay_to_client;
	talk(p, 100); /* none is on its way any more that has not waited */
	p->lag_ns[CLIENT] = 10 * MS;
	talk(p, 3000);
	client = info_of(p, CLIENT, 0);
	server = info_of(p, SERVER, 0);
	ck_assert_int_eq(ms_of((int64_t)client.srtt_ns), 20);
	ck_assert_int_le(ms_of((int64_t)client.queue_rx_ns), 1);
	ck_assert_int_le(ms_of((int64_t)client.queue_tx_ns), 1);
	ck_assert_int_eq(ms_of((int64_t)server.srtt_ns), 20);
	ck_assert_int_le(ms_of((int64_t)server.queue_tx_ns), 1);
	pair_free(p);
}
END_TEST

/* A clock that was set while packets waited: an ACK that came before what it is about makes no round trip of nothing. */
START_TEST(test_clock_set)
{
	struct pair_opts o = pair_default_opts(4);
	struct pair *p = pair_up(&o);
	struct qb_path_info info;

	pair_open_path(p, 1);
	talk(p, 1000);
	p->lag_ns[CLIENT] = 100 * MS;
	talk(p, 100);
	info = info_of(p, CLIENT, 0);
	ck_assert_int_eq(ms_of((int64_t)info.min_rtt_ns), 20);
	ck_assert_int_eq(ms_of((int64_t)info.srtt_ns), 20);
	pair_free(p);
}
END_TEST

/* Who was not asked for times does not tell them; nor where multipath is a draft's. */
START_TEST(test_not_negotiated)
{
	struct pair_opts o = pair_default_opts(3);
	struct pair *p = pair_up(&o);

	p->end[SERVER].conn->peer.rx_timestamps_max = 0;
	pair_open_path(p, 1);
	pair_run(p, 100 * MS);
	p->end[CLIENT].conn->path[0].owd = (struct qb_owd){0};
	talk(p, 1000);
	ck_assert(!info_of(p, CLIENT, 0).has_owd_tx);
	ck_assert(info_of(p, SERVER, 0).has_owd_tx);
	pair_free(p);
}
END_TEST

START_TEST(test_window)
{
	struct qb_owd_dir d = {0};
	uint64_t now_ns = SEC, i;

	qb_owd_update(&d, -5000000, now_ns);
	ck_assert_int_eq(qb_owd_base_ns(&d), -5000000);
	ck_assert_uint_eq(qb_owd_queue_ns(&d), 0);
	for (i = 0; i < 100; i++)
		qb_owd_update(&d, -1000000, now_ns += MS);
	ck_assert_int_eq(qb_owd_base_ns(&d), -5000000);
	ck_assert_uint_ge(qb_owd_queue_ns(&d), 3990000);
	/* The minimum is forgotten after two windows, not after one. */
	qb_owd_update(&d, -1000000, now_ns += QB_OWD_WINDOW_NS);
	ck_assert_int_eq(qb_owd_base_ns(&d), -5000000);
	qb_owd_update(&d, -1000000, now_ns += QB_OWD_WINDOW_NS);
	ck_assert_int_eq(qb_owd_base_ns(&d), -1000000);
	/* After a long silence all is new. */
	qb_owd_update(&d, 7000000, now_ns += 10 * QB_OWD_WINDOW_NS);
	ck_assert_int_eq(qb_owd_base_ns(&d), 7000000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/owd");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_asymmetric);
	tcase_add_test(tc, test_queue);
	tcase_add_test(tc, test_busy_end);
	tcase_add_test(tc, test_clock_set);
	tcase_add_test(tc, test_not_negotiated);
	tcase_add_test(tc, test_window);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
