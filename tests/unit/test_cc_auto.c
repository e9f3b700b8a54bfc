/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What auto adds to BBRv3 (daemon/cc/bbr_guide.c, bbr_noise.c, bbr_marks.c): it tells random loss
 * from congestion, and its own queues from cross traffic's, and says so. There is no specification
 * of that: the numbers are what the product promises.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "cc/bbr.h"
#include "cc_bench.h"

#define MBIT (UINT64_C(1000000))
#define MS   CCB_MS

static const struct ccb_link lte = {
	.rate_bps = 20 * MBIT, .rtt_ns = 60 * MS, .queue_bytes = 2500000};

static struct ccb b;
static struct ccb_flow *flow;

static struct qb_bbr *bbr(void)
{
	return ccb_state(flow);
}

static void begin(const struct ccb_link *link, double s)
{
	ccb_init(&b, link, 5);
	flow = ccb_add(&b, "auto", 0);
	ccb_run(&b, b.now_ns + (uint64_t)(s * 1e9));
}

static void run_s(double s)
{
	ccb_run(&b, b.now_ns + (uint64_t)(s * 1e9));
}

static void teardown(void)
{
	ccb_fini(&b);
}

/* The part of a time that the phase had that word in it. */
static double part_with(const char *word, int ms)
{
	int cnt = 0;

	for (int i = 0; i < ms; i++) {
		run_s(0.001);
		cnt += strstr(flow->view.phase, word) != NULL;
	}
	return (double)cnt / ms;
}

START_TEST(test_noise_is_learnt)
{
	static const double losses[] = {0.01, 0.03, 0.06};
	struct ccb_link link = lte;

	link.loss = losses[_i];
	begin(&link, 40);
	ck_assert_double_ge(bbr()->noise.loss, losses[_i] / 2);
	ck_assert_double_le(bbr()->noise.loss, losses[_i] * 1.7);
	ck_assert_double_ge(part_with("lossy", 1000), 0.9);
	b.link.loss = 0; /* and forgotten */
	run_s(30);
	ck_assert_double_le(bbr()->noise.loss, 0.002);
	ck_assert_double_eq(part_with("lossy", 1000), 0);
}
END_TEST

/* A small window meets a loss in each round trip or two: that it is noise a probe must tell before the window has shrunk. */
START_TEST(test_noise_is_learnt_soon)
{
	static const struct {
		struct ccb_link link;
		double util;
	} rows[] = {
		{{.rate_bps = 16 * MBIT, .rtt_ns = 8 * MS, .queue_bytes = 16 * 125 * 20, .loss = 0.024}, 0.86},
		{{.rate_bps = 7 * MBIT, .rtt_ns = 6 * MS, .queue_bytes = 7 * 125 * 44, .loss = 0.044}, 0.77},
	};
	double all = 0;

	for (uint64_t seed = 1; seed <= 5; seed++) {
		if (seed > 1)
			ccb_fini(&b);
		ccb_init(&b, &rows[_i].link, seed);
		flow = ccb_add(&b, "auto", 0);
		run_s(0.5);
		ccb_mark(&b);
		run_s(2.5);
		all += ccb_utilisation(&b) / 5;
	}
	printf("auto      noise on a small link %.1f %%\n", 100 * all);
	ck_assert_double_ge(all, rows[_i].util);
}
END_TEST

/* A policer drops what is above its rate: more when we send more. */
START_TEST(test_policer_is_no_noise)
{
	struct ccb_link link = lte;
	double worst = 0;

	link.rate_bps = 100 * MBIT;
	link.police_bps = 20 * MBIT;
	link.police_burst_bytes = _i ? 30000 : 200000;
	begin(&link, 10);
	ccb_mark(&b);
	for (int i = 0; i < 60; i++) {
		run_s(1);
		worst = QB_MAX(worst, bbr()->noise.loss);
	}
	ck_assert_double_le(worst, 0.02);
	ck_assert_double_le(ccb_loss_rate(flow), 0.04);
}
END_TEST

/*
 * The same where a scheduler sends by fits and starts, so that every sample is application-limited:
 * Startup ends by what is lost, though no RTT shows a queue, and with it the pace that loses it.
 */
START_TEST(test_policer_ends_startup)
{
	static const uint64_t police_mbit[] = {1, 2}, burst_bytes[] = {3000, 1252};
	struct ccb_link link = lte;

	link.rate_bps = 100 * MBIT;
	link.rtt_ns = 30 * MS;
	link.police_bps = police_mbit[_i] * MBIT;
	link.police_burst_bytes = 10000;
	begin(&link, 0);
	flow->app_bps = 2 * link.police_bps;
	flow->app_burst_bytes = burst_bytes[_i];
	run_s(20);
	ck_assert_str_ne(flow->view.phase, "startup");
	ccb_mark(&b);
	run_s(10);
	printf("policed while application-limited: %.1f %% lost\n", 100 * ccb_loss_rate(flow));
	ck_assert_double_le(ccb_loss_rate(flow), 0.2); /* of a half, which Startup would lose */
	ck_assert_double_ge(ccb_flow_bps(&b, flow), 0.8 * (double)link.police_bps);
}
END_TEST

/* Traffic the other way makes ACKs wait, now and then: no queue of ours, where the peer tells when
 * packets arrived, be it not in all of them. */
START_TEST(test_queue_on_the_way_back)
{
	struct ccb_link link = lte;
	uint64_t jitter_ns = 0;

	link.has_owd = true;
	link.owd_gap_ns = _i * 10 * MS;
	begin(&link, 5);
	ccb_mark(&b);
	for (int i = 0; i < 300; i++) {
		b.link.ack_wait_ns = (uint64_t)(i % 10) * 5 * MS;
		run_s(0.1);
		jitter_ns = QB_MAX(jitter_ns, bbr()->guide.jitter_ns);
	}
	printf("ACKs that wait: %.1f %% of the link, queue %.1f ms, jitter %.2f ms\n",
	       100 * ccb_utilisation(&b), ccb_delay_mean_ms(&b), (double)jitter_ns / 1e6);
	ck_assert_double_ge(ccb_utilisation(&b), _i ? 0.96 : 0.97);
	ck_assert_double_le(ccb_delay_mean_ms(&b), 10);
	ck_assert_uint_le(jitter_ns, 2 * MS);
}
END_TEST

/* So does a buffer that is too short, and one that CUBIC keeps full. */
START_TEST(test_overflow_is_no_noise)
{
	struct ccb_link link = lte;

	link.queue_bytes = _i ? 30000 : 150000;
	begin(&link, 0);
	if (_i == 0)
		ccb_add(&b, "cubic", 5 * CCB_SEC);
	run_s(60);
	ck_assert_double_le(bbr()->noise.loss, 0.01);
}
END_TEST

/* A longer path is no queue: found out within a second, without losing the rate meanwhile. */
START_TEST(test_base_rises)
{
	begin(&lte, 10);
	b.link.rtt_ns += 30 * MS;
	ccb_mark(&b);
	run_s(2);
	ck_assert_uint_ge(bbr()->guide.base_ns, 85 * MS);
	ck_assert_double_le(part_with("yielding", 2000), 0.2);
	ck_assert_double_ge(ccb_utilisation(&b), 0.85);
	b.link.rtt_ns -= 30 * MS;
	run_s(1);
	ck_assert_uint_le(bbr()->guide.base_ns, 67 * MS); /* no more above than what is a queue */
}
END_TEST

/*
 * A radio's jitter is no queue of ours, and its losses are none of a buffer: where all packets wait
 * up to twice the mean, and now and then none does, the link is used all the same and no queue
 * stands. Ten seeds each, for chance decides which RTT is the smallest one.
 */
struct radio {
	uint64_t rate_bps, rtt_ns, jitter_ns;
	double loss, util_min, queue_max_ms;
};

static const struct radio radios[] = {
	{30 * MBIT, 80 * MS, 20 * MS, 0.005, 0.9, 16},
	{30 * MBIT, 80 * MS, 20 * MS, 0, 0.92, 20},
	{30 * MBIT, 80 * MS, 10 * MS, 0.02, 0.8, 8},
	{30 * MBIT, 20 * MS, 10 * MS, 0.005, 0.88, 6},
	{100 * MBIT, 20 * MS, 3 * MS, 0.005, 0.88, 3},
	{100 * MBIT, 20 * MS, 40 * MS, 0.005, 0.8, 16},
	{5 * MBIT, 20 * MS, 20 * MS, 0.005, 0.9, 35},
};

START_TEST(test_jitter)
{
	const struct radio *r = &radios[_i];
	double least = 1, most_ms = 0;

	for (uint64_t seed = 1; seed <= 10; seed++) {
		ccb_init(&b,
			 &(struct ccb_link){.rate_bps = r->rate_bps,
					    .rtt_ns = r->rtt_ns,
					    .queue_bytes = r->rate_bps / 8 / 5,
					    .loss = r->loss,
					    .jitter_ns = r->jitter_ns},
			 seed);
		flow = ccb_add(&b, "auto", 0);
		run_s(12);
		ccb_mark(&b);
		run_s(30);
		least = QB_MIN(least, ccb_utilisation(&b));
		most_ms = QB_MAX(most_ms, ccb_delay_mean_ms(&b));
		if (seed < 10)
			ccb_fini(&b);
	}
	printf("%3.0f Mbit/s, %2.0f ms, jitter %2.0f ms, loss %.1f %%: at least %.1f %%, queue at "
	       "most %.1f ms\n",
	       (double)r->rate_bps / 1e6, (double)r->rtt_ns / 1e6, (double)r->jitter_ns / 1e6,
	       100 * r->loss, 100 * least, most_ms);
	ck_assert_double_ge(least, r->util_min);
	ck_assert_double_le(most_ms, r->queue_max_ms);
}
END_TEST

/* A rate that falls makes a queue that grows although we yield: the model follows within a second.
 */
START_TEST(test_rate_is_bound)
{
	begin(&lte, 10);
	b.link.rate_bps /= 2;
	ck_assert_double_gt(part_with("yielding", 1000), 0);
	run_s(1);
	ck_assert_uint_le(bbr()->bw_bps, 11 * MBIT);
	ck_assert_uint_le(b.queue_bytes, 12 * 1252);
}
END_TEST

/* ProbeRTT is not needed where no queue stands (it would cost 2 %). */
START_TEST(test_no_probe_rtt)
{
	begin(&lte, 10);
	ck_assert_double_eq(part_with("probe rtt", 30000), 0);
	ck_assert_double_eq_tol((double)bbr()->rtt.min_ns / 1e6, 60.5, 1);
}
END_TEST

/* With application-limited traffic nothing is learnt that is not so. */
START_TEST(test_app_limited)
{
	uint64_t max_bps;

	begin(&lte, 10);
	max_bps = bbr()->bw.max_bps;
	flow->app_bps = 3 * MBIT;
	run_s(60);
	ck_assert_uint_ge(bbr()->bw.max_bps, max_bps * 9 / 10);
	ck_assert_uint_le(bbr()->bw.max_bps, max_bps * 11 / 10);
	ck_assert_double_eq(bbr()->noise.loss, 0);
}
END_TEST

/*
 * A few packets a second: little is delivered, and their ACKs come late. That is no rate that fell,
 * and no queue: what comes behind a pause finds the path as it was.
 */
START_TEST(test_pauses)
{
	static const struct ccb_link fibre = {
		.rate_bps = 300 * MBIT, .rtt_ns = 16 * MS, .queue_bytes = 1500000};
	uint64_t least_bps = UINT64_MAX;

	begin(&fibre, 5);
	for (int i = 0; i < 100; i++) {
		flow->app_bps = i % 10 ? 0 : MBIT / 3;
		run_s(0.07);
		least_bps = QB_MIN(least_bps, bbr()->bw_bps);
	}
	ck_assert_uint_ge(least_bps, 270 * MBIT);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cc_auto");
	TCase *t = tcase_create("auto");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_loop_test(t, test_noise_is_learnt, 0, 3);
	tcase_add_loop_test(t, test_noise_is_learnt_soon, 0, 2);
	tcase_add_loop_test(t, test_policer_is_no_noise, 0, 2);
	tcase_add_loop_test(t, test_policer_ends_startup, 0, 2);
	tcase_add_loop_test(t, test_queue_on_the_way_back, 0, 2);
	tcase_add_loop_test(t, test_overflow_is_no_noise, 0, 2);
	tcase_add_test(t, test_base_rises);
	tcase_add_loop_test(t, test_jitter, 0, QB_ARRAY_LEN(radios));
	tcase_add_test(t, test_rate_is_bound);
	tcase_add_test(t, test_no_probe_rtt);
	tcase_add_test(t, test_app_limited);
	tcase_add_test(t, test_pauses);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
