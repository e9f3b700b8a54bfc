/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BBRv3 from inside: the example test cases of draft-ietf-ccwg-bbr-06 (appendix), each with its
 * title, and the answer to marks. What is about throughput on this link or that is in
 * test_cc_steady.c and test_cc_change.c.
 */
#include <check.h>
#include <stdlib.h>

#include "cc/bbr.h"
#include "cc_bench.h"

#define MBIT	(UINT64_C(1000000))
#define MS	CCB_MS
#define STEP_NS (1 * MS)

static const struct ccb_link path = {
	.rate_bps = 40 * MBIT, .rtt_ns = 40 * MS, .queue_bytes = 40 * 125 * 400};

static struct ccb b;
static struct ccb_flow *flow;

static struct qb_bbr *bbr(void)
{
	return ccb_state(flow);
}

static void setup(void)
{
	ccb_init(&b, &path, 5);
	flow = ccb_add(&b, "bbr3", 0);
	ccb_run(&b, b.now_ns);
}

static void teardown(void)
{
	ccb_fini(&b);
}

static void run_s(double s)
{
	ccb_run(&b, b.now_ns + (uint64_t)(s * 1e9));
}

/* Runs until the state is, or is no longer, that one; at most so many seconds. */
static bool run_until(enum qb_bbr_state state, bool is_in, double s)
{
	uint64_t end_ns = b.now_ns + (uint64_t)(s * 1e9);

	while (b.now_ns < end_ns) {
		if ((bbr()->state == state) == is_in)
			return true;
		ccb_run(&b, b.now_ns + STEP_NS);
	}
	return false;
}

static void reach(enum qb_bbr_state state)
{
	ck_assert(run_until(state, true, 30));
}

static void leave(enum qb_bbr_state state)
{
	ck_assert(run_until(state, false, 30));
}

static void put_off_probe_rtt(void)
{
	bbr()->rtt.probe_min_stamp_ns = b.now_ns;
}

static void lose(uint64_t lost_bytes, uint64_t tx_in_flight_bytes)
{
	struct qb_cc_loss ev = {
		.now_ns = b.now_ns,
		.lost_bytes = lost_bytes,
		.largest_sent_ns = b.now_ns - 40 * MS,
		.in_flight_bytes = flow->in_flight_bytes,
		.tx_in_flight_bytes = tx_in_flight_bytes,
		.lost_since_tx_bytes = lost_bytes,
		.delivered_bytes = bbr()->delivered_bytes,
		.range_cnt = 1,
	};

	flow->cc->on_loss(bbr(), &ev);
}

static void mark(void)
{
	struct qb_cc_ecn ev = {.now_ns = b.now_ns, .ce_pkts = 1, .ect_pkts = 10};

	flow->cc->on_ecn(bbr(), &ev);
}

/* Exiting STARTUP on Bandwidth Plateau */
START_TEST(test_startup_plateau)
{
	ck_assert_int_eq(bbr()->state, QB_BBR_STARTUP);
	leave(QB_BBR_STARTUP);
	ck_assert_int_eq(bbr()->state, QB_BBR_DRAIN);
	ck_assert(bbr()->full.is_reached);
	ck_assert(bbr()->full.is_now);
	ck_assert_uint_eq(bbr()->full.cnt, 3);
	ck_assert_double_eq_tol((double)bbr()->bw.max_bps / 40e6, 1, 0.02);
}
END_TEST

/* Exiting STARTUP on Loss When Application-Limited */
START_TEST(test_startup_loss)
{
	flow->app_bps = 12 * MBIT;
	run_s(0.5);
	ck_assert_int_eq(bbr()->state, QB_BBR_STARTUP);
	b.link.loss = 0.3;
	leave(QB_BBR_STARTUP);
	ck_assert(bbr()->full.is_reached);
	ck_assert_uint_ne(bbr()->loss.inflight_long_bytes, QB_BBR_NONE);
}
END_TEST

/* A single mark of the network ends Startup as it ends slow start (RFC 9002 §7.3.1). */
START_TEST(test_startup_mark)
{
	run_s(0.15);
	ck_assert_int_eq(bbr()->state, QB_BBR_STARTUP);
	mark();
	run_s(0.05);
	ck_assert_int_ne(bbr()->state, QB_BBR_STARTUP);
}
END_TEST

/* Exiting DRAIN Based on Inflight */
START_TEST(test_drain_inflight)
{
	reach(QB_BBR_DRAIN);
	ck_assert_double_eq_tol((double)bbr()->pacing_bps / (double)bbr()->bw_bps, 0.5 * 0.99,
				0.01);
	leave(QB_BBR_DRAIN);
	ck_assert_uint_le(flow->in_flight_bytes, qb_bbr_inflight(bbr(), 1) + 8 * CCB_MSS_BYTES);
	ck_assert(qb_bbr_is_in_probe_bw(bbr()));
}
END_TEST

/* Exiting DRAIN Based on Time */
START_TEST(test_drain_time)
{
	uint64_t start_round;

	reach(QB_BBR_DRAIN);
	b.link.rate_bps /= 4;
	start_round = bbr()->drain_start_round;
	leave(QB_BBR_DRAIN);
	ck_assert_uint_gt(flow->in_flight_bytes, qb_bbr_inflight(bbr(), 1));
	ck_assert_uint_eq(bbr()->round.cnt, start_round + 4);
}
END_TEST

/* Exiting PROBE_UP on Bandwidth Plateau */
START_TEST(test_up_plateau)
{
	uint64_t start_round;

	reach(QB_BBR_UP);
	ck_assert_double_eq_tol((double)bbr()->pacing_bps / (double)bbr()->bw_bps, 1.25 * 0.99,
				0.01);
	start_round = bbr()->round.cnt;
	leave(QB_BBR_UP);
	ck_assert_int_eq(bbr()->state, QB_BBR_DOWN);
	ck_assert(bbr()->full.is_now);
	ck_assert_uint_ge(bbr()->round.cnt, start_round + 3);
}
END_TEST

/* Exiting PROBE_UP on Loss When Application-Limited */
START_TEST(test_up_loss)
{
	reach(QB_BBR_UP);
	flow->app_bps = 20 * MBIT;
	b.link.loss = 0.2;
	leave(QB_BBR_UP);
	ck_assert(bbr()->state == QB_BBR_DOWN || bbr()->state == QB_BBR_CRUISE);
	ck_assert(bbr()->probe.was_too_high);
}
END_TEST

/* Never Exiting PROBE_UP (or STARTUP) When Application-Limited With No Loss; Entering and Exiting
 * PROBE_RTT During STARTUP */
START_TEST(test_startup_app_limited)
{
	bool was_probe_rtt = false;

	flow->app_bps = 2 * MBIT;
	for (int i = 0; i < 2000; i++) {
		run_s(0.01);
		was_probe_rtt |= bbr()->state == QB_BBR_PROBE_RTT;
		ck_assert(bbr()->state == QB_BBR_STARTUP || bbr()->state == QB_BBR_PROBE_RTT);
	}
	ck_assert(was_probe_rtt);
	run_until(QB_BBR_PROBE_RTT, false, 1);
	ck_assert_int_eq(bbr()->state, QB_BBR_STARTUP);
	ck_assert(!bbr()->full.is_reached);
}
END_TEST

START_TEST(test_up_app_limited)
{
	reach(QB_BBR_UP);
	flow->app_bps = 2 * MBIT;
	run_s(0.1);
	for (int i = 0; i < 1000; i++) {
		put_off_probe_rtt();
		run_s(0.01);
		ck_assert_int_eq(bbr()->state, QB_BBR_UP);
	}
}
END_TEST

/* Exiting PROBE_DOWN on Inflight */
START_TEST(test_down_inflight)
{
	reach(QB_BBR_UP);
	reach(QB_BBR_DOWN);
	ck_assert_double_eq_tol((double)bbr()->pacing_bps / (double)bbr()->bw_bps, 0.9 * 0.99,
				0.01);
	leave(QB_BBR_DOWN);
	ck_assert_int_eq(bbr()->state, QB_BBR_CRUISE);
	ck_assert_uint_le(flow->in_flight_bytes, qb_bbr_inflight(bbr(), 1) + 4 * CCB_MSS_BYTES);
}
END_TEST

/* Exiting PROBE_DOWN After Max Time */
START_TEST(test_down_time)
{
	reach(QB_BBR_UP);
	reach(QB_BBR_DOWN);
	b.link.rate_bps = b.link.rate_bps * 8 / 10;
	put_off_probe_rtt();
	leave(QB_BBR_DOWN);
	ck_assert_int_eq(bbr()->state, QB_BBR_REFILL);
}
END_TEST

/* Entering and Exiting PROBE_RTT */
START_TEST(test_probe_rtt)
{
	uint64_t start_ns, cwnd_bytes;

	reach(QB_BBR_CRUISE);
	cwnd_bytes = flow->view.cwnd_bytes;
	reach(QB_BBR_PROBE_RTT);
	ck_assert_uint_gt(b.now_ns, bbr()->rtt.probe_min_stamp_ns);
	start_ns = b.now_ns;
	run_s(0.1);
	ck_assert_uint_le(flow->view.cwnd_bytes, qb_bbr_bdp(bbr(), 0.5));
	leave(QB_BBR_PROBE_RTT);
	ck_assert_uint_ge(b.now_ns - start_ns, 200 * MS);
	ck_assert_uint_le(b.now_ns - start_ns, 350 * MS);
	ck_assert_int_eq(bbr()->state, QB_BBR_CRUISE);
	ck_assert_uint_ge(flow->view.cwnd_bytes, cwnd_bytes * 9 / 10);
	ck_assert_double_eq_tol((double)bbr()->rtt.min_ns, 40e6, 1e6);
}
END_TEST

/* Skipping PROBE_RTT Due to Application-Limited Sending */
START_TEST(test_probe_rtt_skipped)
{
	reach(QB_BBR_CRUISE);
	flow->app_bps = 1;
	run_s(6);
	flow->app_bps = 0;
	for (int i = 0; i < 300; i++) {
		run_s(0.01);
		ck_assert_int_ne(bbr()->state, QB_BBR_PROBE_RTT);
	}
}
END_TEST

/* Achieving Expected STARTUP (Cruise) Bandwidth on a Link With Aggregation */
START_TEST(test_aggregation)
{
	b.link.ack_slot_ns = 20 * MS;
	run_s(3);
	reach(QB_BBR_CRUISE);
	ck_assert_uint_ge(bbr()->agg.extra_bytes, 40 * 125 * 10);
	ck_assert_uint_gt(flow->view.cwnd_bytes, 2 * qb_bbr_bdp(bbr(), 1));
	ccb_mark(&b);
	run_s(10);
	ck_assert_double_ge(ccb_utilisation(&b), 0.95);
}
END_TEST

/* Correctly Managing Sub-Packet BDPs */
START_TEST(test_sub_packet)
{
	b.link.rate_bps = 100000;
	b.link.rtt_ns = 20 * MS;
	run_s(20);
	ck_assert_uint_ge(flow->view.cwnd_bytes, 4 * CCB_MSS_BYTES);
	ccb_mark(&b);
	run_s(20);
	ck_assert_double_ge(ccb_utilisation(&b), 0.95);
	ck_assert_double_le(ccb_delay_mean_ms(&b), 700);
}
END_TEST

/* Handling Spurious Fast Recovery */
START_TEST(test_spurious_up)
{
	uint64_t long_bytes;

	reach(QB_BBR_UP);
	long_bytes = bbr()->loss.inflight_long_bytes;
	lose(30 * CCB_MSS_BYTES, 200 * CCB_MSS_BYTES);
	ck_assert_int_eq(bbr()->state, QB_BBR_DOWN);
	ck_assert_uint_ne(bbr()->loss.inflight_long_bytes, long_bytes);
	flow->cc->on_spurious(bbr(), b.now_ns);
	ck_assert_int_eq(bbr()->state, QB_BBR_REFILL);
	ck_assert_uint_eq(bbr()->loss.inflight_long_bytes, long_bytes);
	reach(QB_BBR_UP);
}
END_TEST

START_TEST(test_spurious_cruise)
{
	reach(QB_BBR_CRUISE);
	lose(10 * CCB_MSS_BYTES, 160 * CCB_MSS_BYTES);
	run_s(0.1);
	ck_assert_uint_ne(bbr()->loss.bw_short_bps, QB_BBR_NONE);
	ck_assert_uint_ne(bbr()->loss.inflight_short_bytes, QB_BBR_NONE);
	flow->cc->on_spurious(bbr(), b.now_ns);
	ck_assert_uint_eq(bbr()->loss.bw_short_bps, QB_BBR_NONE);
	ck_assert_uint_eq(bbr()->loss.inflight_short_bytes, QB_BBR_NONE);
	ck_assert_int_eq(bbr()->state, QB_BBR_CRUISE);
}
END_TEST

START_TEST(test_spurious_startup)
{
	flow->app_bps = 12 * MBIT;
	run_s(0.5);
	b.link.loss = 0.3;
	leave(QB_BBR_STARTUP);
	flow->cc->on_spurious(bbr(), b.now_ns);
	ck_assert_int_eq(bbr()->state, QB_BBR_STARTUP);
	ck_assert(!bbr()->full.is_reached);
	ck_assert_uint_eq(bbr()->loss.inflight_long_bytes, QB_BBR_NONE);
}
END_TEST

/* Handling Loss During PROBE_UP After inflight_longterm is Set */
START_TEST(test_loss_lowers_long)
{
	uint64_t bdp_bytes;

	reach(QB_BBR_UP);
	lose(30 * CCB_MSS_BYTES, 300 * CCB_MSS_BYTES);
	ck_assert_uint_ne(bbr()->loss.inflight_long_bytes, QB_BBR_NONE);
	leave(QB_BBR_DOWN);
	reach(QB_BBR_UP);
	bdp_bytes = qb_bbr_bdp(bbr(), 1);
	lose(20 * CCB_MSS_BYTES, 40 * CCB_MSS_BYTES);
	ck_assert_int_eq(bbr()->state, QB_BBR_DOWN);
	ck_assert_uint_eq(bbr()->loss.inflight_long_bytes, (uint64_t)(0.7 * (double)bdp_bytes));
}
END_TEST

/* §5.3.3.6: the probe after one that went too high stops at inflight_longterm, and a safe one is
 * followed by a real one. */
START_TEST(test_precautionary)
{
	reach(QB_BBR_UP);
	lose(30 * CCB_MSS_BYTES, 180 * CCB_MSS_BYTES);
	ck_assert(bbr()->probe.was_too_high);
	put_off_probe_rtt();
	for (int i = 0; i < 5000 && !bbr()->probe.was_precautionary; i++)
		run_s(0.001);
	ck_assert(bbr()->probe.was_precautionary);
	ck_assert(!bbr()->probe.was_too_high);
	ck_assert_int_eq(bbr()->state, QB_BBR_DOWN);
	leave(QB_BBR_DOWN);
	ck_assert_int_eq(bbr()->state, QB_BBR_REFILL);
}
END_TEST

/* Handling Application-Limited Sending During PROBE_REFILL */
START_TEST(test_refill_app_limited)
{
	uint64_t max_bps;

	reach(QB_BBR_REFILL);
	max_bps = bbr()->bw.max_bps;
	flow->app_bps = 1 * MBIT;
	leave(QB_BBR_REFILL);
	ck_assert_int_eq(bbr()->state, QB_BBR_UP);
	run_s(1);
	ck_assert_uint_eq(bbr()->bw.max_bps, max_bps);
}
END_TEST

/* Decreasing bandwidth: one round's loss lowers the short-term bounds by no more than Beta, REFILL
 * forgets them (§5.5.10.2). */
START_TEST(test_short_term)
{
	uint64_t max_bps;

	reach(QB_BBR_CRUISE);
	max_bps = bbr()->bw.max_bps;
	b.link.rate_bps /= 10;
	b.link.queue_bytes = 20000;
	for (int i = 0; i < 500 && bbr()->loss.bw_short_bps == QB_BBR_NONE; i++)
		run_s(0.001);
	ck_assert_uint_lt(bbr()->loss.bw_short_bps, max_bps);
	ck_assert_uint_ge(bbr()->loss.bw_short_bps, max_bps * 69 / 100);
	run_s(0.8);
	ck_assert_uint_le(bbr()->bw_bps, 8 * MBIT);
	reach(QB_BBR_REFILL);
	ck_assert_uint_eq(bbr()->loss.bw_short_bps, QB_BBR_NONE);
}
END_TEST

START_TEST(test_up_mark)
{
	reach(QB_BBR_UP);
	mark();
	run_s(0.01);
	ck_assert_int_eq(bbr()->state, QB_BBR_DOWN);
	ck_assert_uint_ne(bbr()->loss.inflight_long_bytes, QB_BBR_NONE);
}
END_TEST

START_TEST(test_cruise_mark)
{
	reach(QB_BBR_CRUISE);
	mark();
	run_s(0.1);
	ck_assert_uint_ne(bbr()->loss.bw_short_bps, QB_BBR_NONE);
}
END_TEST

/* RFC 9002 §7.6.2, with the window that BBR needs to work (BBR.MinPipeCwnd). */
START_TEST(test_persistent)
{
	struct qb_cc_loss ev = {
		.lost_bytes = 100 * CCB_MSS_BYTES, .range_cnt = 1, .is_persistent = true};

	reach(QB_BBR_CRUISE);
	ev.now_ns = ev.largest_sent_ns = b.now_ns;
	ev.delivered_bytes = bbr()->delivered_bytes;
	flow->cc->on_loss(bbr(), &ev);
	ck_assert_uint_eq(bbr()->cwnd_bytes, 4 * CCB_MSS_BYTES);
	run_s(0.5);
	ck_assert_uint_ge(flow->view.cwnd_bytes, qb_bbr_bdp(bbr(), 1));
}
END_TEST

/* A queue of seconds makes rounds longer than ProbeRTT's interval: the old rate must go all the
 * same. */
START_TEST(test_no_livelock)
{
	b.link.rate_bps = 100 * MBIT;
	b.link.queue_bytes = 2000000;
	run_s(10);
	b.link.rate_bps = 10 * MBIT;
	run_s(20);
	ck_assert_uint_le(bbr()->bw.max_bps, 11 * MBIT);
}
END_TEST

/* Nichols' filter against the plain maximum of the last so many samples: never below it, and never
 * older. */
START_TEST(test_max_filter)
{
	enum { WINDOW = 10, CNT = 2000 };
	struct qb_bbr_max m;
	struct qb_rand r;
	uint64_t sample[CNT];

	qb_rand_seed(&r, (uint64_t)_i);
	memset(&m, 0, sizeof(m));
	for (uint64_t t = 0; t < CNT; t++) {
		uint64_t least = 0, most = 0, got;

		sample[t] = 100 + qb_rand_below(&r, 1000);
		got = qb_bbr_max_update(&m, sample[t], t, WINDOW);
		for (uint64_t k = t > WINDOW ? t - WINDOW : 0; k <= t; k++)
			most = QB_MAX(most, sample[k]);
		least = sample[t];
		ck_assert_uint_le(got, most);
		ck_assert_uint_ge(got, least);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cc_bbr");
	TCase *t = tcase_create("draft");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_startup_plateau);
	tcase_add_test(t, test_startup_loss);
	tcase_add_test(t, test_startup_mark);
	tcase_add_test(t, test_startup_app_limited);
	tcase_add_test(t, test_drain_inflight);
	tcase_add_test(t, test_drain_time);
	tcase_add_test(t, test_up_plateau);
	tcase_add_test(t, test_up_loss);
	tcase_add_test(t, test_up_app_limited);
	tcase_add_test(t, test_up_mark);
	tcase_add_test(t, test_down_inflight);
	tcase_add_test(t, test_down_time);
	tcase_add_test(t, test_probe_rtt);
	tcase_add_test(t, test_probe_rtt_skipped);
	tcase_add_test(t, test_aggregation);
	tcase_add_test(t, test_sub_packet);
	tcase_add_test(t, test_spurious_up);
	tcase_add_test(t, test_spurious_cruise);
	tcase_add_test(t, test_spurious_startup);
	tcase_add_test(t, test_loss_lowers_long);
	tcase_add_test(t, test_precautionary);
	tcase_add_test(t, test_refill_app_limited);
	tcase_add_test(t, test_short_term);
	tcase_add_test(t, test_cruise_mark);
	tcase_add_test(t, test_persistent);
	tcase_add_test(t, test_no_livelock);
	tcase_add_loop_test(t, test_max_filter, 0, 5);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
