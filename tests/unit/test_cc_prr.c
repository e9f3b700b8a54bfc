/* SPDX-License-Identifier: BSD-2-Clause */
/* Proportional Rate Reduction (RFC 9937): the RFC's example, its bounds over a table of flights,
 * and the controllers that use it. */
#include <check.h>
#include <stdlib.h>

#include "cc/prr.h"

#define MS QB_NS_PER_MS

enum { MSS = 1200 };

/* A flight in recovery: who sends as much as the window lets him, or less. */
struct flight {
	struct qb_prr prr;
	uint64_t ssthresh_bytes, in_flight_bytes, now_ns;
	uint64_t sent_bytes, acked_bytes;
};

static struct qb_cc_loss loss_of(uint64_t now_ns, uint64_t in_flight_bytes, uint64_t lost_bytes)
{
	return (struct qb_cc_loss){
		.now_ns = now_ns, .lost_bytes = lost_bytes, .in_flight_bytes = in_flight_bytes};
}

/* An ACK of some packets that finds others lost. */
static void ack(struct flight *f, uint64_t acked_bytes, uint64_t lost_bytes)
{
	struct qb_cc_ack ev = {
		.now_ns = f->now_ns,
		.acked_bytes = acked_bytes,
		.lost_bytes = lost_bytes,
		.prior_in_flight_bytes = f->in_flight_bytes,
		.in_flight_bytes = f->in_flight_bytes - acked_bytes - lost_bytes,
	};
	struct qb_cc_loss loss = loss_of(f->now_ns, ev.in_flight_bytes, lost_bytes);

	if (!f->prr.is_active)
		qb_prr_begin(&f->prr, MSS, &loss);
	else if (lost_bytes)
		qb_prr_on_loss(&f->prr, &loss);
	f->in_flight_bytes = ev.in_flight_bytes;
	f->acked_bytes += acked_bytes;
	qb_prr_on_ack(&f->prr, &ev, f->ssthresh_bytes);
	f->now_ns += MS;
}

/* Sends at most max_pkts. Returns how many. */
static uint64_t send(struct flight *f, uint64_t max_pkts)
{
	uint64_t cnt = 0;

	while (cnt < max_pkts && f->in_flight_bytes + MSS <= qb_prr_cwnd(&f->prr, 0)) {
		struct qb_cc_sent ev = {.now_ns = f->now_ns, .bytes = MSS};

		qb_prr_on_sent(&f->prr, &ev);
		f->in_flight_bytes += MSS;
		f->sent_bytes += MSS;
		cnt++;
	}
	return cnt;
}

/* RFC 9937 §8, the first example, from the third ACK on: of 20 segments one is lost, and 10 are to
 * be in flight. Where the flight is 10 (the 17th here) §6.2 allows nothing and the example one
 * more; Linux goes by the rule, and so do we. */
START_TEST(test_example)
{
	static const uint8_t cwnd[] = {19, 18, 18, 17, 17, 16, 16, 15, 15, 14,
				       14, 13, 13, 12, 12, 11, 10, 10, 10};
	static const uint8_t in_flight[] = {18, 18, 17, 17, 16, 16, 15, 15, 14, 14,
					    13, 13, 12, 12, 11, 11, 10, 9,  9};
	struct flight f = {.in_flight_bytes = 20 * MSS, .ssthresh_bytes = 10 * MSS, .now_ns = MS};

	for (size_t i = 0; i < QB_ARRAY_LEN(cwnd); i++) {
		ack(&f, MSS, i == 0 ? MSS : 0);
		ck_assert_uint_eq(qb_prr_cwnd(&f.prr, 0), cwnd[i] * (uint64_t)MSS);
		ck_assert_uint_eq(f.in_flight_bytes, in_flight[i] * (uint64_t)MSS);
		send(&f, UINT64_MAX);
	}
	ck_assert_uint_eq(f.in_flight_bytes, 10 * MSS);
}
END_TEST

/* Most of the flight is lost: what is delivered may be sent again, and a packet for each ACK on top
 * (slow start), up to ssthresh. By the RFC's rules, SafeACKs from the second ACK on. */
START_TEST(test_heavy_loss)
{
	static const uint8_t cwnd[] = {5, 6, 7, 8, 9, 10, 10};
	struct flight f = {.in_flight_bytes = 20 * MSS, .ssthresh_bytes = 10 * MSS, .now_ns = MS};

	for (size_t i = 0; i < QB_ARRAY_LEN(cwnd); i++) {
		ack(&f, MSS, i == 0 ? 15 * MSS : 0);
		ck_assert_uint_eq(qb_prr_cwnd(&f.prr, 0), cwnd[i] * (uint64_t)MSS);
		send(&f, UINT64_MAX);
	}
}
END_TEST

/* Losses that go on hold the flight where it is: no more leaves than was delivered (PRR-CRB). */
START_TEST(test_conserves_while_losing)
{
	struct flight f = {.in_flight_bytes = 40 * MSS, .ssthresh_bytes = 20 * MSS, .now_ns = MS};

	ack(&f, MSS, 25 * MSS);
	send(&f, UINT64_MAX);
	for (int i = 0; i < 5; i++) {
		ack(&f, MSS, MSS);
		ck_assert_uint_eq(send(&f, UINT64_MAX), 1);
	}
	ck_assert_uint_le(f.sent_bytes, f.acked_bytes);
}
END_TEST

struct row {
	uint64_t flight_pkts, lost_pkts, ack_pkts;
	double beta;
};

static const struct row rows[] = {{20, 1, 1, 0.5},    {20, 1, 2, 0.5},	   {20, 9, 1, 0.5},
				  {20, 5, 1, 0.7},    {100, 1, 1, 0.5},	   {100, 1, 2, 0.7},
				  {100, 29, 2, 0.7},  {100, 60, 1, 0.5},   {100, 80, 2, 0.7},
				  {1000, 1, 10, 0.5}, {1000, 300, 2, 0.7}, {1000, 600, 10, 0.5},
				  {3, 1, 1, 0.7},     {5000, 10, 64, 0.7}, {5000, 2500, 2, 0.5}};

/* §5: at the end of the round the flight is what the controller wants, as near as one ACK allows;
 * meanwhile nothing is faster than slow start, and no silence is longer than the reduction. */
START_TEST(test_flights)
{
	const struct row *row = &rows[_i];
	struct flight f = {.in_flight_bytes = row->flight_pkts * MSS, .now_ns = MS};
	uint64_t left = row->flight_pkts - row->lost_pkts, lost = row->lost_pkts, silent = 0;

	f.ssthresh_bytes = (uint64_t)((double)f.in_flight_bytes * row->beta);
	while (left) {
		uint64_t pkts = QB_MIN(row->ack_pkts, left), before = f.sent_bytes;

		ack(&f, pkts * MSS, lost * MSS);
		lost = 0;
		left -= pkts;
		silent = send(&f, UINT64_MAX) ? 0 : silent + 1;
		ck_assert_uint_le(f.sent_bytes - before, 2 * QB_MAX(pkts, UINT64_C(1)) * MSS);
		ck_assert_uint_le(silent, 2);
		ck_assert(f.prr.is_active);
	}
	ck_assert_uint_le(f.in_flight_bytes, QB_MAX(f.ssthresh_bytes, UINT64_C(2) * MSS));
	if ((double)row->lost_pkts <= (1 - row->beta) * (double)row->flight_pkts)
		ck_assert_uint_ge(f.in_flight_bytes + (row->ack_pkts + 1) * MSS, f.ssthresh_bytes);
}
END_TEST

/* Whoever had little to send may catch up afterwards, but not beyond ssthresh. */
START_TEST(test_app_limited)
{
	struct flight f = {.in_flight_bytes = 100 * MSS, .ssthresh_bytes = 50 * MSS, .now_ns = MS};

	ack(&f, MSS, MSS);
	for (int i = 0; i < 80; i++) {
		ack(&f, MSS, 0);
		ck_assert_uint_le(qb_prr_cwnd(&f.prr, 0),
				  QB_MAX(f.in_flight_bytes + 42 * MSS, f.ssthresh_bytes));
	}
	send(&f, UINT64_MAX);
	ck_assert_uint_le(f.in_flight_bytes, 50 * MSS);
	ck_assert_uint_ge(f.in_flight_bytes, 49 * MSS);
}
END_TEST

/* A loss that a timer found: one packet goes at once, and more losses make no room. */
START_TEST(test_timer)
{
	struct qb_cc_loss loss = loss_of(MS, 50 * MSS, 10 * MSS);
	struct flight f = {
		.in_flight_bytes = 50 * MSS, .ssthresh_bytes = 30 * MSS, .now_ns = 2 * MS};

	qb_prr_begin(&f.prr, MSS, &loss);
	ck_assert_uint_eq(f.prr.flight_bytes, 60 * MSS);
	ck_assert_uint_eq(send(&f, UINT64_MAX), 1);
	f.in_flight_bytes -= 5 * MSS;
	loss = loss_of(2 * MS, f.in_flight_bytes, 5 * MSS);
	qb_prr_on_loss(&f.prr, &loss);
	ck_assert_uint_eq(send(&f, UINT64_MAX), 0);
	ack(&f, 2 * MSS, 0); /* half of it: ceil(2 * 30 / 60), and that one is out */
	ck_assert_uint_eq(send(&f, UINT64_MAX), 0);
	ack(&f, 2 * MSS, 0);
	ck_assert_uint_eq(send(&f, UINT64_MAX), 1);
}
END_TEST

/* ---- in the controllers ---- */

static const char *const users[] = {"newreno", "cubic", "westwood", "prague",
				    "lia",     "olia",	"balia"};

struct unit {
	_Alignas(16) uint8_t st[QB_CC_STATE_MAX];
	const struct qb_cc *cc;
	struct qb_cc_group group;
};

static uint64_t cwnd(const struct unit *u)
{
	struct qb_cc_view v;

	u->cc->view(u->st, &v);
	return v.cwnd_bytes;
}

static void unit_ack(struct unit *u, uint64_t now_ns, uint64_t sent_ns, uint64_t prior_bytes,
		     uint64_t lost_bytes)
{
	struct qb_cc_ack ev = {
		.now_ns = now_ns,
		.acked_bytes = MSS,
		.lost_bytes = lost_bytes,
		.prior_in_flight_bytes = prior_bytes,
		.in_flight_bytes = prior_bytes - MSS - lost_bytes,
		.largest_sent_ns = sent_ns,
		.srtt_ns = 100 * MS,
		.min_rtt_ns = 100 * MS,
	};

	u->cc->on_ack(u->st, &ev);
}

/* One of 100 packets is lost: the window goes down step by step, and an ACK of what was sent
 * afterwards leaves ssthresh. Returns with recovery under way after so many ACKs. */
static uint64_t into_recovery(struct unit *u, const char *name, int acks)
{
	struct qb_cc_cfg cfg = {.mss_bytes = MSS,
				.init_rtt_ns = 100 * MS,
				.init_cwnd_bytes = 100 * MSS,
				.seed = 1,
				.group = &u->group};
	struct qb_cc_loss loss = loss_of(200 * MS, 98 * MSS, MSS);
	uint64_t in_flight_bytes = 98 * MSS, was;

	*u = (struct unit){.cc = qb_cc_find(name)};
	u->cc->init(u->st, &cfg, 100 * MS);
	was = cwnd(u);
	loss.largest_sent_ns = 100 * MS;
	u->cc->on_loss(u->st, &loss);
	unit_ack(u, 200 * MS, 101 * MS, 100 * MSS, MSS);
	for (int i = 1; i < acks; i++) {
		struct qb_cc_sent sent = {.now_ns = 200 * MS, .bytes = MSS};

		ck_assert_uint_le(cwnd(u), was);
		ck_assert_uint_ge(cwnd(u) + MSS, was - (uint64_t)i * MSS);
		while (in_flight_bytes + MSS <= cwnd(u)) {
			u->cc->on_sent(u->st, &sent);
			in_flight_bytes += MSS;
		}
		unit_ack(u, (200 + (uint64_t)i) * MS, (101 + (uint64_t)i) * MS, in_flight_bytes, 0);
		in_flight_bytes -= MSS;
	}
	return was;
}

START_TEST(test_users)
{
	struct qb_cc_view v;
	struct unit u;
	uint64_t was = into_recovery(&u, users[_i], 1);

	ck_assert_uint_ge(cwnd(&u), was - 2 * MSS);
	was = into_recovery(&u, users[_i], 98);
	u.cc->view(u.st, &v);
	ck_assert_str_eq(v.phase, "recovery");
	ck_assert_uint_lt(v.ssthresh_bytes, was * 8 / 10);
	ck_assert_uint_le(v.cwnd_bytes, v.ssthresh_bytes + 2 * MSS);
	ck_assert_uint_ge(v.cwnd_bytes + 2 * MSS, v.ssthresh_bytes);
	unit_ack(&u, 300 * MS, 201 * MS, v.cwnd_bytes, 0);
	ck_assert_uint_eq(cwnd(&u), v.ssthresh_bytes);
}
END_TEST

/* The loss was none (RFC 9438 §4.9): the whole window is back in the middle of recovery, and stays
 * while the rest of the flight is acknowledged. */
START_TEST(test_undo)
{
	struct unit u;
	uint64_t was = into_recovery(&u, users[_i], 40);

	ck_assert_uint_lt(cwnd(&u), was - 10 * MSS);
	u.cc->on_spurious(u.st, 241 * MS);
	ck_assert_uint_eq(cwnd(&u), was);
	unit_ack(&u, 242 * MS, 142 * MS, 80 * MSS, 0);
	ck_assert_uint_eq(cwnd(&u), was);
}
END_TEST

/* Persistent congestion in the middle of it: the minimum window, whatever is in flight. */
START_TEST(test_persistent)
{
	struct qb_cc_loss loss = loss_of(250 * MS, 20 * MSS, 60 * MSS);
	struct unit u;

	into_recovery(&u, users[_i], 20);
	loss.is_persistent = true;
	loss.largest_sent_ns = 150 * MS;
	u.cc->on_loss(u.st, &loss);
	ck_assert_uint_eq(cwnd(&u), 2 * MSS);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cc_prr");
	TCase *t = tcase_create("prr");
	SRunner *r;
	int failed;

	tcase_add_test(t, test_example);
	tcase_add_test(t, test_heavy_loss);
	tcase_add_test(t, test_conserves_while_losing);
	tcase_add_loop_test(t, test_flights, 0, QB_ARRAY_LEN(rows));
	tcase_add_test(t, test_app_limited);
	tcase_add_test(t, test_timer);
	tcase_add_loop_test(t, test_users, 0, QB_ARRAY_LEN(users));
	tcase_add_loop_test(t, test_undo, 0, QB_ARRAY_LEN(users));
	tcase_add_loop_test(t, test_persistent, 0, QB_ARRAY_LEN(users));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
