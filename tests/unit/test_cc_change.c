/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Links that change under a flow: rate, delay, blackouts, cells that wander; and traffic that comes
 * and goes, as a tunnel's does. Where no source stands beside a number, there is none: it is what
 * the product promises of auto, and of the others only that they go on.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "cc_bench.h"

#define MBIT (UINT64_C(1000000))
#define MS   CCB_MS

static const struct ccb_link cell = {
	.rate_bps = 40 * MBIT, .rtt_ns = 40 * MS, .queue_bytes = 40 * 125 * 400};

static void run_s(struct ccb *b, double s)
{
	ccb_run(b, b->now_ns + (uint64_t)(s * 1e9));
}

static void mark_run_s(struct ccb *b, double s)
{
	ccb_mark(b);
	run_s(b, s);
}

static struct ccb_flow *begin(struct ccb *b, const char *cc, const struct ccb_link *link,
			      uint64_t seed)
{
	struct ccb_flow *f;

	ccb_init(b, link, seed);
	f = ccb_add(b, cc, 0);
	run_s(b, 10);
	return f;
}

static void print(const struct ccb *b, const char *cc, const char *what)
{
	printf("%-9s %-28s %5.1f %%, queue %6.2f ms, 95th %6.1f ms, loss %.2f %%\n", cc, what,
	       100 * ccb_utilisation(b), ccb_delay_mean_ms(b), ccb_delay_pct_ms(b, 95),
	       100 * ccb_loss_rate(&b->flow[0]));
}

struct change {
	const char *cc;
	double drained_s;     /* after a halving: by then the queue is gone */
	double drained_ms;    /* mean from then on */
	double found_s;	      /* after the rate is four times as high: by then it is used */
	double lossless_util; /* of 15 s after a longer delay */
};

/*
 * BBRv3 forgets an old rate after two cycles of 2 to 3 s and a round each of REFILL and UP
 * (draft-ietf-ccwg-bbr-06 §5.5.3, §5.3.3.8), then drains a tenth of a BDP a round: 9 s. A rate four
 * times as high takes the wait of a cycle and 1.25^6.2, seven rounds of doubled growth: 6 s; BBRv2
 * ends a probe at 1.25 BDP, so each of six cycles brings a quarter, 12 s with the shortest ones.
 * BBRv1 forgets after ten rounds, but of the queue that it made then, up to 80 ms with the
 * path: 1.2 s, and 10 s of an RTT that has the queue in it are still to come: its mean is at most
 * the BDP that its window of two leaves, 40 ms. Copa: its minimum RTT lives for 10 to 20 s (NSDI
 * 2018 §2.1), during which a longer path is a queue to it; no figure is published for that, it must
 * be alive. auto sees the queue: 2 s, what the product promises.
 */
static const struct change changes[] = {
	{"auto", 2, 3, 5, 0.93}, {"bbr3", 9, 5, 6, 0.93},  {"bbr2", 9, 2, 12, 0.9},
	{"bbr1", 5, 40, 6, 0.9}, {"copa", 3, 2.5, 5, 0.4},
};

START_TEST(test_rate_halves)
{
	const struct change *c = &changes[_i];
	struct ccb b;

	begin(&b, c->cc, &cell, 3);
	b.link.rate_bps /= 2;
	mark_run_s(&b, c->drained_s);
	/* The link is never idle meanwhile, and the queue never grows beyond what a window of twice
	 * the old BDP makes. */
	ck_assert_double_ge(ccb_utilisation(&b), 0.9);
	ck_assert_double_le((double)b.delay_max_ns / 1e6, 240);
	mark_run_s(&b, 10);
	print(&b, c->cc, "after the rate has halved");
	ck_assert_double_le(ccb_delay_mean_ms(&b), c->drained_ms);
	ck_assert_double_ge(ccb_utilisation(&b), 0.93);
	ccb_fini(&b);
}
END_TEST

/*
 * One of two links behind a tunnel that marks is gone. While the queue is drained at less than the rate, what is delivered is what
 * is sent: no reason to go lower with each mark.
 */
START_TEST(test_rate_falls_under_marks)
{
	struct ccb_link link = {
		.rate_bps = 75 * MBIT, .rtt_ns = 35 * MS, .queue_bytes = 75 * 125 * 300, .mark_ns = 5 * MS};
	struct ccb b;

	begin(&b, "auto", &link, 3);
	b.link.rate_bps = 28 * MBIT;
	run_s(&b, 1);
	mark_run_s(&b, 6);
	print(&b, "auto", "75 to 28 Mbit/s, marked");
	ck_assert_double_ge(ccb_utilisation(&b), 0.97);
	ck_assert_double_le(ccb_delay_mean_ms(&b), 1);
	ccb_fini(&b);
}
END_TEST

START_TEST(test_rate_quadruples)
{
	const struct change *c = &changes[_i];
	struct ccb b;

	begin(&b, c->cc, &cell, 3);
	b.link.rate_bps *= 4;
	run_s(&b, c->found_s);
	mark_run_s(&b, 5);
	print(&b, c->cc, "rate four times as high");
	ck_assert_double_ge(ccb_utilisation(&b), 0.9);
	ccb_fini(&b);
}
END_TEST

/* draft-ietf-ccwg-bbr-06, appendix: ten times the rate, and a tenth. */
START_TEST(test_rate_tenfold)
{
	static const char *const names[] = {"bbr3", "auto"};
	struct ccb_link link = cell;
	struct ccb b;

	link.rate_bps = 10 * MBIT;
	begin(&b, names[_i], &link, 5);
	b.link.rate_bps = 100 * MBIT;
	run_s(&b, 8);
	mark_run_s(&b, 5);
	ck_assert_double_ge(ccb_utilisation(&b), 0.9);
	b.link.rate_bps = 10 * MBIT;
	run_s(&b, 30);
	mark_run_s(&b, 10);
	print(&b, names[_i], "ten times less");
	ck_assert_double_ge(ccb_utilisation(&b), 0.93);
	ck_assert_double_le(ccb_delay_mean_ms(&b), 20);
	ccb_fini(&b);
}
END_TEST

/* A handover to a longer way: the model must not take it for a queue for long. */
START_TEST(test_delay_grows)
{
	const struct change *c = &changes[_i];
	struct ccb b;

	begin(&b, c->cc, &cell, 3);
	b.link.rtt_ns += 20 * MS;
	mark_run_s(&b, 15);
	print(&b, c->cc, "20 ms more delay");
	ck_assert_double_ge(ccb_utilisation(&b), c->lossless_util);
	ccb_fini(&b);
}
END_TEST

/* A constellation that moves every 15 s. */
START_TEST(test_satellites)
{
	struct ccb b;

	begin(&b, "auto", &cell, 3);
	ccb_mark(&b);
	for (int i = 0; i < 8; i++) {
		b.link.rtt_ns = (i & 1 ? 30 : 55) * MS;
		run_s(&b, 15);
	}
	print(&b, "auto", "satellites");
	ck_assert_double_ge(ccb_utilisation(&b), 0.95);
	ck_assert_double_le(ccb_delay_mean_ms(&b), 3);
	ck_assert_double_le(ccb_loss_rate(&b.flow[0]), 0.002);
	ccb_fini(&b);
}
END_TEST

/*
 * The steps of the bonding bench: 30 to 80 ms and back, at 150 Mbit/s. The new delay is no queue,
 * even if not all ACKs tell when packets arrived, and if packets wait for a moment behind those
 * that were sent into the gap.
 */
START_TEST(test_large_steps)
{
	struct ccb_link link = {
		.rate_bps = 150 * MBIT, .rtt_ns = 30 * MS, .queue_bytes = 150 * 125 * 100};
	struct ccb b;

	link.has_owd = _i; /* which shows half of the step */
	link.owd_gap_ns = _i == 2 ? 10 * MS : 0;
	begin(&b, "auto", &link, 3);
	ccb_mark(&b);
	for (int i = 0; i < 4; i++) {
		b.link.rtt_ns = (i & 1 ? 30 : 80) * MS;
		run_s(&b, 0.15);
		b.link.ack_wait_ns = 4 * MS;
		run_s(&b, 0.015);
		b.link.ack_wait_ns = 0;
		run_s(&b, 14.835);
	}
	print(&b, "auto", "steps of 50 ms");
	ck_assert_double_ge(ccb_utilisation(&b), 0.95);
	ck_assert_double_le(ccb_delay_mean_ms(&b), 2);
	ccb_fini(&b);
}
END_TEST

/* A little queue that stood before a step, or jitter, is not in it: the new delay is a little less than it seemed at first. */
START_TEST(test_steps_sink)
{
	struct ccb_link link = {.rate_bps = 26 * MBIT, .rtt_ns = 28 * MS, .queue_bytes = 26 * 125 * 47, .has_owd = true};
	double all = 0;
	struct ccb b;

	for (uint64_t half_ms = 3; half_ms <= 6; half_ms++) {
		link.jitter_ns = half_ms * MS / 2;
		begin(&b, "auto", &link, 3);
		ccb_mark(&b);
		for (int i = 0; i < 12; i++) {
			b.link.rtt_ns = (i & 1 ? 28 : 113) * MS;
			run_s(&b, 2.67);
		}
		print(&b, "auto", "steps of 85 ms, jitter");
		all += ccb_utilisation(&b) / 4;
		ccb_fini(&b);
	}
	ck_assert_double_ge(all, 0.7);
}
END_TEST

/*
 * A quick link becomes ten times as long. What few packets its old window lets go come in clusters, ACKs wait a little, and a
 * queue of a probe may be in the first of the new round trips: none of that is another step, or the end of this one. What was
 * lost at random bounds the volume in flight, but on the longer path there is more to fill. It had two fifths.
 */
START_TEST(test_steps_of_a_quick_link)
{
	struct ccb_link link = {.rate_bps = 17 * MBIT,
				.rtt_ns = 11 * MS,
				.queue_bytes = 17 * 125 * 244,
				.loss = 0.0022,
				.ack_slot_ns = 5 * MS,
				.has_owd = true};
	struct ccb b;
	double least = 1, all = 0;

	for (uint64_t seed = 0; seed < 8; seed++) {
		begin(&b, "auto", &link, 3 + seed);
		ccb_mark(&b);
		for (int i = 0; i < 8; i++) {
			b.link.rtt_ns = (i & 1 ? 11 : 116) * MS;
			run_s(&b, 2.838);
		}
		print(&b, "auto", "steps of 105 ms");
		all += ccb_utilisation(&b) / 8;
		least = QB_MIN(least, ccb_utilisation(&b));
		ccb_fini(&b);
	}
	ck_assert_double_ge(all, 0.65);
	ck_assert_double_ge(least, 0.5);
}
END_TEST

/* A radio that holds everything back for a while makes a queue as suddenly: it drains, and no
 * longer path is believed. */
START_TEST(test_stalls)
{
	struct ccb b;
	struct ccb_flow *f = begin(&b, "auto", &cell, 3);

	ccb_mark(&b);
	for (int i = 0; i < 10; i++) {
		b.link.rate_bps = cell.rate_bps / 1000;
		run_s(&b, 0.08);
		b.link.rate_bps = cell.rate_bps;
		run_s(&b, 3);
	}
	print(&b, "auto", "stalls of 80 ms");
	ck_assert_double_ge((double)f->stats.acked_bytes * 8 / 30.8, 0.9 * (double)cell.rate_bps);
	ck_assert_double_le(ccb_delay_mean_ms(&b), 12);
	mark_run_s(&b, 5);
	ck_assert_double_le(ccb_delay_mean_ms(&b), 2);
	ccb_fini(&b);
}
END_TEST

/* The rate of a cell wanders between 4 and 50 Mbit/s: what was there to use was used, and the queue
 * is no modem's. */
START_TEST(test_wandering_cell)
{
	struct qb_rand r;
	struct ccb b;
	double rate = 20e6, capacity = 0;

	qb_rand_seed(&r, (uint64_t)_i + 3);
	begin(&b, "auto", &cell, 3);
	ccb_mark(&b);
	for (int i = 0; i < 600; i++) {
		rate *= 1 + 0.3 * (qb_rand_unit(&r) - 0.5);
		rate = QB_MIN(QB_MAX(rate, 4e6), 50e6);
		b.link.rate_bps = (uint64_t)rate;
		capacity += rate / 10;
		run_s(&b, 0.1);
	}
	printf("auto      wandering cell               %5.1f %%, queue %.2f ms, 95th %.1f ms\n",
	       100 * (double)b.flow[0].stats.acked_bytes * 8 / capacity, ccb_delay_mean_ms(&b),
	       ccb_delay_pct_ms(&b, 95));
	ck_assert_double_ge((double)b.flow[0].stats.acked_bytes * 8, 0.8 * capacity);
	ck_assert_double_le(ccb_delay_mean_ms(&b), 40);
	ccb_fini(&b);
}
END_TEST

/*
 * Every controller: five seconds without a packet, and two round trips after the first one gets
 * through the flow is back. RFC 9002 §7.6 makes it begin at the minimum window.
 */
START_TEST(test_blackout)
{
	const struct qb_cc *cc = qb_cc_list[_i];
	struct ccb b;
	struct ccb_flow *f = begin(&b, cc->name, &cell, 3);
	uint64_t acked_bytes;

	b.link.is_down = true;
	run_s(&b, 5);
	ck_assert_uint_ge(f->view.cwnd_bytes, 2 * CCB_MSS_BYTES);
	b.link.is_down = false;
	for (acked_bytes = f->total_acked_bytes; f->total_acked_bytes == acked_bytes;)
		run_s(&b, 0.01);
	run_s(&b, 2);
	mark_run_s(&b, 3);
	print(&b, cc->name, "after a blackout");
	ck_assert_double_ge(ccb_utilisation(&b), 0.5);
	run_s(&b, 10);
	mark_run_s(&b, 10);
	ck_assert_double_ge(ccb_utilisation(&b), 0.9);
	ccb_fini(&b);
}
END_TEST

/* A tunnel that idles, trickles, and is asked for everything: no estimate is forgotten, no burst
 * made. */
START_TEST(test_app_limited)
{
	static const char *const names[] = {"auto", "bbr3", "bbr2", "bbr1"};
	struct ccb b;
	struct ccb_flow *f = begin(&b, names[_i], &cell, 3);

	f->app_bps = 4 * MBIT;
	mark_run_s(&b, 30);
	ck_assert_double_ge(ccb_flow_bps(&b, f), 3.8e6);
	ck_assert_double_le(ccb_delay_mean_ms(&b), 1);
	f->app_bps = 0;
	mark_run_s(&b, 1);
	print(&b, names[_i], "a second after a trickle");
	ck_assert_double_ge(ccb_utilisation(&b), 0.75);
	f->app_bps = 1;
	run_s(&b, 30);
	f->app_bps = 0;
	mark_run_s(&b, 1);
	print(&b, names[_i], "a second after silence");
	ck_assert_double_ge(ccb_utilisation(&b), 0.75);
	ck_assert_double_le((double)b.delay_max_ns / 1e6, 60);
	ccb_fini(&b);
}
END_TEST

/*
 * A scheduler's bursts overflow a short buffer, half of the link's rate on average: every rate
 * sample is application-limited, and what is lost is each burst's tail. Start-up ends all the same,
 * and with it the pace that overflows the buffer.
 */
START_TEST(test_burst_tails)
{
	static const char *const names[] = {"auto", "bbr3", "bbr2"};
	static const struct {
		uint64_t burst_bytes, buffer_bytes;
	} rows[] = {{30000, 15000},  {60000, 15000},  {60000, 25000}, {100000, 15000},
		    {100000, 25000}, {150000, 40000}, {150000, 80000}};
	const char *cc = names[_i % 3];
	struct ccb_link link = {
		.rate_bps = 10 * MBIT, .rtt_ns = 40 * MS, .queue_bytes = rows[_i / 3].buffer_bytes};
	struct ccb b;
	struct ccb_flow *f;

	ccb_init(&b, &link, 5);
	f = ccb_add(&b, cc, 0);
	f->app_bps = 5 * MBIT;
	f->app_burst_bytes = rows[_i / 3].burst_bytes;
	run_s(&b, 10);
	ck_assert_str_ne(f->view.phase, "startup");
	mark_run_s(&b, 10);
	print(&b, cc, "bursts, a short buffer");
	ck_assert_double_le(ccb_loss_rate(f), 0.01);
	ck_assert_double_ge(ccb_flow_bps(&b, f), 4.8e6);
	ccb_fini(&b);
}
END_TEST

/* A little traffic on a link that loses 2 % for no reason is no overflow: when there is more, the
 * rate is still looked for. */
START_TEST(test_trickle_with_noise)
{
	static const char *const names[] = {"auto", "bbr3", "bbr2"};
	struct ccb_link link = cell;
	struct ccb b;
	struct ccb_flow *f;

	link.loss = 0.02;
	ccb_init(&b, &link, 5);
	f = ccb_add(&b, names[_i], 0);
	f->app_bps = 2 * MBIT;
	f->app_burst_bytes = 30000;
	run_s(&b, 10);
	ck_assert_ptr_nonnull(strstr(f->view.phase, "startup"));
	f->app_bps = 0;
	mark_run_s(&b, 2);
	print(&b, names[_i], "after a trickle with noise");
	ck_assert_double_ge(ccb_utilisation(&b), 0.6);
	ccb_fini(&b);
}
END_TEST

/* Bursts of an application below the rate of the link pass as they are. */
START_TEST(test_bursts)
{
	struct ccb b;
	struct ccb_flow *f = begin(&b, "auto", &cell, 3);

	f->app_bps = 10 * MBIT;
	f->app_burst_bytes = 60000;
	mark_run_s(&b, 20);
	ck_assert_double_ge(ccb_flow_bps(&b, f), 9.3e6);
	ck_assert_double_le(ccb_delay_pct_ms(&b, 95), 10);
	ccb_fini(&b);
}
END_TEST

/*
 * Start-up with a buffer of half a BDP and more. A doubling window loses BDP and buffer, and where
 * a buffer is above a BDP HyStart++ leaves before: 2, and 0.8 once more with CUBIC's 0.7. The
 * models' window of 2 BDP loses what does not fit, half a BDP a round with half a BDP of buffer,
 * until two rounds of loss are seen and one is under way, 1.5; BBRv1's and BBRv2's 2.885, in the
 * round that finds the rate, three without growth and the one under way, 5 times 1.385 a round
 * of 1.5 RTTs and less where rounds are shorter, 5 in all (test_cc_matrix.c).
 */
START_TEST(test_start_up)
{
	static const double buffer_bdps[] = {0.5, 1, 2, 100};
	const struct qb_cc *cc = qb_cc_list[_i];
	bool is_bold = !strcmp(cc->name, "bbr1") || !strcmp(cc->name, "bbr2");
	bool is_model = !strcmp(cc->name, "bbr3") || !strcmp(cc->name, "auto");

	for (size_t i = 0; i < QB_ARRAY_LEN(buffer_bdps); i++) {
		struct ccb_link link = cell;
		struct ccb b;
		double lost_bdps;

		link.queue_bytes = (uint64_t)(200000 * buffer_bdps[i]);
		ccb_init(&b, &link, 7);
		ccb_add(&b, cc->name, 0);
		run_s(&b, 3);
		lost_bdps = (double)b.flow[0].stats.lost_pkts * CCB_MSS_BYTES / 200000;
		printf("%-9s start-up, buffer %5.1f BDP: %5.1f %%, %.2f BDP lost\n", cc->name,
		       buffer_bdps[i], 100 * ccb_utilisation(&b), lost_bdps);
		ck_assert_double_le(lost_bdps, is_bold			    ? 5
					       : is_model		    ? 1.5
					       : !strcmp(cc->name, "cubic") ? 2.8
									    : 2.1);
		ck_assert_double_ge(ccb_utilisation(&b), 0.6);
		ccb_fini(&b);
	}
}
END_TEST

/* Losses that were none (reordering within an eighth of the RTT): the rate is not given up. */
START_TEST(test_reordering)
{
	static const char *const names[] = {"auto", "bbr3", "cubic", "newreno"};
	struct ccb_link link = cell;
	struct ccb b;

	link.reorder = 0.02;
	link.reorder_ns = 3 * MS;
	begin(&b, names[_i], &link, 3);
	mark_run_s(&b, 20);
	print(&b, names[_i], "reordering");
	ck_assert_double_ge(ccb_utilisation(&b), 0.93);
	ccb_fini(&b);
}
END_TEST

/* The same seed is the same run, to the byte. */
START_TEST(test_repeatable)
{
	const struct qb_cc *cc = qb_cc_list[_i];
	uint64_t acked_bytes[2];

	for (int i = 0; i < 2; i++) {
		struct ccb_link link = cell;
		struct ccb b;

		link.loss = 0.005;
		acked_bytes[i] = begin(&b, cc->name, &link, 11)->total_acked_bytes;
		ccb_fini(&b);
	}
	ck_assert_uint_eq(acked_bytes[0], acked_bytes[1]);
}
END_TEST

static int algorithm_cnt(void)
{
	int cnt = 0;

	while (qb_cc_list[cnt])
		cnt++;
	return cnt;
}

int main(void)
{
	Suite *s = suite_create("cc_change");
	TCase *t = tcase_create("change");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, test_rate_halves, 0, QB_ARRAY_LEN(changes));
	tcase_add_test(t, test_rate_falls_under_marks);
	tcase_add_loop_test(t, test_rate_quadruples, 0, QB_ARRAY_LEN(changes));
	tcase_add_loop_test(t, test_rate_tenfold, 0, 2);
	tcase_add_loop_test(t, test_delay_grows, 0, QB_ARRAY_LEN(changes));
	tcase_add_test(t, test_satellites);
	tcase_add_loop_test(t, test_large_steps, 0, 3);
	tcase_add_test(t, test_steps_sink);
	tcase_add_test(t, test_steps_of_a_quick_link);
	tcase_add_test(t, test_stalls);
	tcase_add_loop_test(t, test_wandering_cell, 0, 4);
	tcase_add_loop_test(t, test_blackout, 0, algorithm_cnt());
	tcase_add_loop_test(t, test_app_limited, 0, 4);
	tcase_add_loop_test(t, test_burst_tails, 0, 3 * 7);
	tcase_add_loop_test(t, test_trickle_with_noise, 0, 3);
	tcase_add_test(t, test_bursts);
	tcase_add_loop_test(t, test_start_up, 0, algorithm_cnt());
	tcase_add_loop_test(t, test_reordering, 0, 4);
	tcase_add_loop_test(t, test_repeatable, 0, algorithm_cnt());
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
