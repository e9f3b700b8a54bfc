/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every controller in every situation, one row a controller and one column a situation, all on a link of 20 Mbit/s and
 * 40 ms (BDP 100 kB) whose buffer is one BDP where nothing else is said. A cell is the range that the controller's
 * specification, or what was published about it, leads one to expect; where from stands at the column.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "cc_bench.h"

#define MBIT	  (UINT64_C(1000000))
#define MS	  CCB_MS
#define BDP_BYTES 100000

struct range {
	double min, max;
};

struct row {
	const char *cc;
	struct range start_lost;    /* BDPs lost in start-up */
	struct range steady_util;   /* of the link */
	struct range standing_ms;   /* queue that is always there: 5th percentile of the waiting time */
	struct range mean_ms;	    /* mean waiting time */
	struct range loss_response; /* window after a loss of a few packets, of that before */
	struct range rtt_share;	    /* of the flow with 40 ms beside one with 80 ms */
	struct range cubic_share;   /* beside one CUBIC */
	struct range lossy_util;    /* with 1 % random loss */
	struct range halved_util, halved_ms, doubled_util;
	struct range bloat_util, bloat_ms; /* with a buffer of 4 s: mean waiting time */
	struct range ack_loss_util;	   /* with 20 % of the ACKs lost */
	struct range blackout_util;	   /* from two to seven seconds after 3 s of nothing */
};

/*
 * Where the ranges come from, column by column; x% of the link are x/100.
 *
 *  start_lost     A window that doubles is at twice BDP and buffer when the first loss comes back: up to BDP + buffer, 2 here, are
 *                 lost, and in the 4 s of the test once more a BDP at the next peak (RFC 9406 §1; HyStart++ leaves earlier where a
 *                 queue shows). BBRv1 keeps 2.89 BDP for three rounds (Cardwell et al. 2016): up to 3 × 1.5, BBRv2 as much until
 *                 its eight lossy ranges; BBRv3 no more than 2 BDP, and out by loss (draft-ietf-ccwg-bbr-06 §5.3.1). Copa leaves
 *                 when its rate passes the target, Prague at the first mark: neither fills the buffer.
 *  steady_util    A buffer of a BDP keeps a halving window busy (Appenzeller et al., SIGCOMM 2004), CUBIC's 0.7 all the more. BBR
 *                 paces 1 % below the rate and gives 2 to 3 % to ProbeRTT and DOWN (draft §5.3.4.2, §5.6.2). Prague's AIMD on a
 *                 step of 2 packets' time loses a few percent.
 *  standing_ms    What never drains. Halving from 2 BDP leaves nothing, 0.7 of 2 BDP leaves 0.4 BDP, 16 ms of the 40. The others
 *                 empty the queue each cycle: DOWN and ProbeRTT, Copa's five RTTs (NSDI 2018 §2.2).
 *  mean_ms        Of a saw between 0 and 1 BDP: half of 40 ms; between 0.4 and 1: 28. Copa: 2.5 packets of 0.5 ms (§2.1).
 *                 BBR: UP is 1.25 BDP for some rounds in 63.
 *  loss_response  RFC 9002 §7.3.2: 0.5, and the growth of a second; RFC 9438 §4.6: 0.7. Westwood+: what the path holds.
 *                 Copa and BBRv1 do not answer to a loss that is no tenth of a round; BBRv2 and BBRv3: Beta, 0.7, for the cycle.
 *  rtt_share      Half the RTT. Reno: at or above a half (Lakshman and Madhow, ToN 5(3), 1997); CUBIC: about a half, for it grows
 *                 with time (RFC 9438 §3.3). BBRv1 starves the shorter (Hock et al., ICNP 2017 §V-D), BBRv2 and v3 less. Prague
 *                 is Reno's law above its virtual RTT of 25 ms. Copa is fair whatever the RTT (§4).
 *  cubic_share    Buffer of 1 BDP. Reno: below CUBIC, near it in the Reno-friendly region (RFC 9438 §5.1). BBRv1 takes most of
 *                 a short buffer (Hock et al. §V-C); v2 and v3 are to leave a share (draft §5.3.3.8.1). Prague falls back to
 *                 Reno where nothing marks (RFC 9331 §4.3).
 *  lossy_util     Reno: 1.22/√p packets a RTT, 12 of 80 (Mathis et al. 1997), so does CUBIC there; Westwood+ gains
 *                 severalfold (Grieco and Mascolo 2004 §5); BBRv1 and Copa ignore it; v2 and v3 are to survive 1 %.
 *  halved_*       Where the buffer is twice the BDP by then, loss-based ones fill it: 0.4 to 0.9 of 80 ms.
 *  bloat_*        Loss-based ones fill what there is unless HyStart++ left before; the others do not care.
 */
/* clang-format off */
#define RENO {0, 3.2}, {0.97, 1.01}, {0, 5}, {15, 30}, {0.48, 0.85}, {0.45, 0.85}, {0.3, 0.55}, {0.1, 0.2}, \
	{0.97, 1.01}, {25, 70}, {0.97, 1.01}, {0.97, 1.01}, {100, 4000}, {0.95, 1.01}, {0.9, 1.01}
static const struct row rows[] = {
	{"newreno", RENO},
	{"lia", RENO},
	{"olia", RENO},
	{"balia", RENO}, /* alone on its connection, a coupling is Reno (RFC 6356 §3) */
	{"cubic", {0, 3.2}, {0.98, 1.01}, {8, 24}, {20, 36}, {0.65, 0.85}, {0.3, 0.8}, {0.4, 0.6}, {0.1, 0.22},
		{0.98, 1.01}, {40, 80}, {0.98, 1.01}, {0.98, 1.01}, {100, 4000}, {0.97, 1.01}, {0.95, 1.01}},
	{"westwood", {0, 3.2}, {0.95, 1.01}, {0, 6}, {15, 30}, {0.3, 0.95}, {0.35, 0.85}, {0.3, 0.6}, {0.3, 1},
		{0.95, 1.01}, {20, 70}, {0.95, 1.01}, {0.97, 1.01}, {100, 4000}, {0.95, 1.01}, {0.9, 1.01}},
	{"copa", {0, 0.1}, {0.97, 1.01}, {0, 1}, {0.2, 2}, {0.9, 1.1}, {0.35, 0.65}, {0.2, 0.7}, {0.95, 1.01},
		{0.97, 1.01}, {0.5, 5}, {0.97, 1.01}, {0.97, 1.01}, {0.2, 2}, {0.95, 1.01}, {0.95, 1.01}},
	{"prague", {0, 0.1}, {0.93, 1.01}, {0, 1}, {0.2, 3}, {0.48, 0.9}, {0.45, 0.85}, {0.3, 0.55}, {0.1, 0.2},
		{0.9, 1.01}, {0.2, 4}, {0.93, 1.01}, {0.93, 1.01}, {0.2, 3}, {0.9, 1.01}, {0.93, 1.01}},
	{"bbr1", {0, 4.5}, {0.95, 1.01}, {0, 1}, {0.5, 6}, {0.9, 1.1}, {0.02, 0.5}, {0.5, 1}, {0.95, 1.01},
		{0.95, 1.01}, {0.5, 8}, {0.95, 1.01}, {0.95, 1.01}, {0.5, 6}, {0.95, 1.01}, {0.9, 1.01}},
	{"bbr2", {0, 4.5}, {0.94, 0.99}, {0, 1}, {0.05, 2}, {0.65, 1}, {0.15, 0.6}, {0.35, 0.8}, {0.6, 1},
		{0.94, 0.99}, {0.05, 4}, {0.94, 0.99}, {0.94, 0.99}, {0.05, 2}, {0.94, 0.99}, {0.9, 1.01}},
	{"bbr3", {0, 1.5}, {0.95, 0.99}, {0, 1}, {0.5, 5}, {0.65, 1}, {0.15, 0.6}, {0.35, 0.8}, {0.6, 1},
		{0.95, 0.99}, {0.5, 8}, {0.95, 0.99}, {0.95, 0.99}, {0.5, 5}, {0.95, 0.99}, {0.9, 1.01}},
	/* What auto promises: 97 %, a millisecond, lossy links as if they were not, and about as much for CUBIC as for itself. */
	{"auto", {0, 1.5}, {0.97, 1.01}, {0, 0.5}, {0.05, 1.5}, {0.65, 1}, {0.2, 0.6}, {0.33, 0.75}, {0.9, 1.01},
		{0.97, 1.01}, {0.05, 2}, {0.97, 1.01}, {0.97, 1.01}, {0.05, 1.5}, {0.97, 1.01}, {0.95, 1.01}},
};
/* clang-format on */

static const struct ccb_link wan = {.rate_bps = 20 * MBIT, .rtt_ns = 40 * MS, .queue_bytes = BDP_BYTES};

static void check(const char *cc, const char *what, double value, struct range r)
{
	printf("%-9s %-28s %8.3f   (%g to %g)\n", cc, what, value, r.min, r.max);
	ck_assert_msg(value >= r.min && value <= r.max, "%s: %s is %g, not %g to %g", cc, what, value, r.min, r.max);
}

static struct ccb_link prague_aware(const char *cc, struct ccb_link link)
{
	/* Prague is for paths that mark: a step at two packets' time (RFC 9332, appendix A.1: a step is no shorter), here
	 * that of the slower link that a test goes to. */
	if (!strcmp(cc, "prague"))
		link.mark_ns = 2 * CCB_MSS_BYTES * 8 * UINT64_C(1000000000) / (10 * MBIT);
	return link;
}

static struct ccb_flow *begin(struct ccb *b, const char *cc, const struct ccb_link *link, double s)
{
	struct ccb_link l = prague_aware(cc, *link);
	struct ccb_flow *f;

	ccb_init(b, &l, 7);
	f = ccb_add(b, cc, 0);
	ccb_run(b, b->now_ns + (uint64_t)(s * 1e9));
	ccb_mark(b);
	return f;
}

static void run_s(struct ccb *b, double s)
{
	ccb_run(b, b->now_ns + (uint64_t)(s * 1e9));
}

static double util_of(struct ccb *b, double s)
{
	ccb_mark(b);
	run_s(b, s);
	return ccb_utilisation(b);
}

/* ---- the situations ---- */

START_TEST(test_start)
{
	const struct row *r = &rows[_i];
	struct ccb b;
	struct ccb_flow *f = begin(&b, r->cc, &wan, 0);

	run_s(&b, 4);
	check(r->cc, "BDPs lost at the start", (double)f->stats.lost_pkts * CCB_MSS_BYTES / BDP_BYTES, r->start_lost);
	ck_assert_str_ne(f->view.phase, "slow start");
	ck_assert_str_ne(f->view.phase, "startup");
	ccb_fini(&b);
}
END_TEST

START_TEST(test_steady)
{
	const struct row *r = &rows[_i];
	struct ccb b;

	begin(&b, r->cc, &wan, 10);
	check(r->cc, "steady utilisation", util_of(&b, 30), r->steady_util);
	check(r->cc, "standing queue, ms", ccb_delay_pct_ms(&b, 5), r->standing_ms);
	check(r->cc, "mean queue, ms", ccb_delay_mean_ms(&b), r->mean_ms);
	ccb_fini(&b);
}
END_TEST

/* Four packets in a row, with an idle link around it: the buffer is long, and no other loss comes. */
START_TEST(test_loss_response)
{
	const struct row *r = &rows[_i];
	struct ccb_link link = wan;
	struct ccb b;
	struct ccb_flow *f;
	double before, least;

	link.queue_bytes = 10 * BDP_BYTES;
	f = begin(&b, r->cc, &link, 6);
	while (strstr(f->view.phase, "probe rtt"))
		run_s(&b, 0.1);
	before = least = (double)f->view.cwnd_bytes;
	b.link.loss = 1;
	run_s(&b, 0.002);
	b.link.loss = 0;
	run_s(&b, 1);
	least = QB_MIN((double)f->view.cwnd_bytes, before * 2);
	check(r->cc, "window after a loss", least / before, r->loss_response);
	ccb_fini(&b);
}
END_TEST

/* Whom a full buffer hits is a matter of phase (Floyd and Jacobson, 1992): the mean of some seeds and starts. */
static double share(const char *first, const char *second, uint64_t extra_rtt_ns, const struct ccb_link *link)
{
	const int runs = 4;
	double sum = 0;

	for (int i = 0; i < runs; i++) {
		struct ccb b;

		ccb_init(&b, link, (uint64_t)i + 7);
		b.link.rtt_ns += (uint64_t)i * MS / 4;
		ccb_add(&b, first, i % 2 ? 0 : 2 * CCB_SEC);
		ccb_add(&b, second, i % 2 ? 2 * CCB_SEC : 0)->extra_rtt_ns = extra_rtt_ns;
		run_s(&b, 12);
		ccb_mark(&b);
		run_s(&b, 40);
		sum += ccb_flow_bps(&b, &b.flow[0]) / (ccb_utilisation(&b) * (double)b.link.rate_bps);
		ccb_fini(&b);
	}
	return sum / runs;
}

START_TEST(test_rtt_fairness)
{
	struct ccb_link link = prague_aware(rows[_i].cc, wan);

	link.queue_bytes = 2 * BDP_BYTES;
	check(rows[_i].cc, "share with half the RTT", share(rows[_i].cc, rows[_i].cc, 40 * MS, &link), rows[_i].rtt_share);
}
END_TEST

START_TEST(test_beside_cubic)
{
	check(rows[_i].cc, "share beside CUBIC", share(rows[_i].cc, "cubic", 0, &wan), rows[_i].cubic_share);
}
END_TEST

START_TEST(test_random_loss)
{
	const struct row *r = &rows[_i];
	struct ccb_link link = wan;
	struct ccb b;

	link.loss = 0.01;
	begin(&b, r->cc, &link, 8);
	check(r->cc, "utilisation at 1 % loss", util_of(&b, 30), r->lossy_util);
	ccb_fini(&b);
}
END_TEST

START_TEST(test_halves_and_doubles)
{
	const struct row *r = &rows[_i];
	struct ccb b;

	begin(&b, r->cc, &wan, 10);
	b.link.rate_bps /= 2;
	run_s(&b, 10);
	check(r->cc, "utilisation, rate halved", util_of(&b, 10), r->halved_util);
	check(r->cc, "mean queue, rate halved, ms", ccb_delay_mean_ms(&b), r->halved_ms);
	b.link.rate_bps *= 2;
	run_s(&b, 10);
	check(r->cc, "utilisation, doubled again", util_of(&b, 10), r->doubled_util);
	ccb_fini(&b);
}
END_TEST

START_TEST(test_four_seconds)
{
	const struct row *r = &rows[_i];
	struct ccb_link link = wan;
	struct ccb b;

	link.queue_bytes = 40 * (uint64_t)250000;
	begin(&b, r->cc, &link, 10);
	check(r->cc, "utilisation, buffer of 4 s", util_of(&b, 30), r->bloat_util);
	check(r->cc, "mean queue, buffer of 4 s, ms", ccb_delay_mean_ms(&b), r->bloat_ms);
	ccb_fini(&b);
}
END_TEST

START_TEST(test_ack_loss)
{
	const struct row *r = &rows[_i];
	struct ccb_link link = wan;
	struct ccb b;

	link.ack_loss = 0.2;
	begin(&b, r->cc, &link, 10);
	check(r->cc, "utilisation, ACKs lost", util_of(&b, 20), r->ack_loss_util);
	ccb_fini(&b);
}
END_TEST

START_TEST(test_blackout)
{
	const struct row *r = &rows[_i];
	struct ccb b;
	struct ccb_flow *f = begin(&b, r->cc, &wan, 10);
	uint64_t acked_bytes;

	b.link.is_down = true;
	run_s(&b, 3);
	b.link.is_down = false;
	for (acked_bytes = f->total_acked_bytes; f->total_acked_bytes == acked_bytes;)
		run_s(&b, 0.01);
	run_s(&b, 2);
	check(r->cc, "utilisation after a blackout", util_of(&b, 5), r->blackout_util);
	ccb_fini(&b);
}
END_TEST

/* ---- couplings over two bottlenecks ---- */

static const char *const couplings[] = {"lia", "olia", "balia"};

/* Two links of their own clocks, in step. */
static void run_both(struct ccb b[2], double s)
{
	uint64_t until_ns = b[0].now_ns + (uint64_t)(s * 1e9);

	for (uint64_t at_ns = b[0].now_ns; at_ns < until_ns; at_ns += MS)
		for (int i = 0; i < 2; i++)
			ccb_run(&b[i], at_ns + MS);
}

/* RFC 6356 §2, goal 1: no worse than the best path alone. Two links without anybody else are both filled; where one has a
 * rival, OLIA and BALIA (Khalili et al., CoNEXT 2012; Peng et al., ToN 24(1), 2016) leave that link to him rather than share it
 * alike, and the other one is full all the same. */
START_TEST(test_separate_bottlenecks)
{
	const char *cc = couplings[_i / 2];
	bool has_rival = _i % 2;
	static struct qb_cc_group group;
	struct ccb b[2];
	double part;

	memset(&group, 0, sizeof(group));
	for (int i = 0; i < 2; i++) {
		ccb_init(&b[i], &wan, 7 + (uint64_t)i);
		ccb_add(&b[i], cc, 0)->shared_group = &group;
	}
	if (has_rival)
		ccb_add(&b[0], "newreno", 2 * CCB_SEC);
	run_both(b, 15);
	for (int i = 0; i < 2; i++)
		ccb_mark(&b[i]);
	run_both(b, 40);
	part = ccb_flow_bps(&b[0], &b[0].flow[0]) / (double)wan.rate_bps;
	printf("%-9s %s: %.2f and %.2f of two links\n", cc, has_rival ? "with a rival on the first" : "alone", part,
	       ccb_flow_bps(&b[1], &b[1].flow[0]) / (double)wan.rate_bps);
	ck_assert_double_ge(ccb_flow_bps(&b[1], &b[1].flow[0]), 0.93 * (double)wan.rate_bps);
	if (has_rival)
		ck_assert_double_le(part, 0.5); /* uncoupled, it would be a half */
	else
		ck_assert_double_ge(part, 0.93);
	for (int i = 0; i < 2; i++)
		ccb_fini(&b[i]);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		test_start,	  test_steady,		   test_loss_response, test_rtt_fairness, test_beside_cubic,
		test_random_loss, test_halves_and_doubles, test_four_seconds,  test_ack_loss,	  test_blackout,
	};
	Suite *s = suite_create("cc_matrix");
	TCase *t = tcase_create("matrix");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	for (size_t i = 0; i < QB_ARRAY_LEN(tests); i++)
		tcase_add_loop_test(t, tests[i], 0, QB_ARRAY_LEN(rows));
	tcase_add_loop_test(t, test_separate_bottlenecks, 0, 2 * QB_ARRAY_LEN(couplings));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
