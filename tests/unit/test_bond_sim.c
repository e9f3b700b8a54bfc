/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What users judge a bond by, in virtual time (bond_sim.h): links add up, calls keep the best
 * link's delay, no transfer is slower than on the best link alone, and links that die or come back
 * are hardly noticed. QB_TEST_VERBOSE=1 prints figures.
 */
#include "bond_sim.h"

/* ---- sum: what all links carry of inner bytes ---- */

static const struct topology {
	const char *name;
	uint32_t n;
	struct link_cfg link[LINKS_MAX];
	double udp_min, tcp_min; /* of the sum */
} topologies[] = {
	{"single 50", 1, {LINK(50, 10, 50)}, 0.97, 0.90},
	{"even 50+50, 10 ms", 2, {LINK(50, 10, 50), LINK(50, 10, 50)}, 0.95, 0.90},
	{"even 10+10, 15 ms", 2, {LINK(10, 15, 80), LINK(10, 15, 80)}, 0.95, 0.90},
	{"50/10 ms + 20/25 ms", 2, {LINK(50, 10, 50), LINK(20, 25, 80)}, 0.95, 0.85},
	{"20/10 ms + 50/40 ms", 2, {LINK(20, 10, 50), LINK(50, 40, 80)}, 0.95, 0.85},
	{"16/8 ms + 30/35 ms jitter 5",
	 2,
	 {LINK(16, 8, 50), LINK(30, 35, 80, .jitter_ms = 5)},
	 0.95,
	 0.85},
	{"three 30/10 20/20 40/30",
	 3,
	 {LINK(30, 10, 50), LINK(20, 20, 50), LINK(40, 30, 50)},
	 0.95,
	 0.85},
	{"four 25/10..25",
	 4,
	 {LINK(25, 10, 50), LINK(25, 15, 50), LINK(25, 20, 50), LINK(25, 25, 50)},
	 0.95,
	 0.85},
	{"100/5 + 5/60", 2, {LINK(100, 5, 50), LINK(5, 60, 100)}, 0.93, 0.90},
};

static double sum_of(const struct topology *t)
{
	double sum = 0;

	for (uint32_t i = 0; i < t->n; i++)
		sum += t->link[i].mbps;
	return sum * BULK_LEN / (BULK_LEN + 6 + OVERHEAD);
}

static double best_delay(const struct topology *t)
{
	double best = 1e9;

	for (uint32_t i = 0; i < t->n; i++)
		best = fmin(best, t->link[i].delay_ms);
	return best;
}

START_TEST(greedy_udp_gets_the_sum)
{
	const struct topology *t = &topologies[_i];
	struct sim *s = sim_new(t->link, t->n, "auto", 1);
	double slowest = 1e9;

	for (uint32_t i = 0; i < t->n; i++)
		slowest = fmin(slowest, t->link[i].mbps);
	s->has_call = true;
	s->udp_mbps = sum_of(t) * 1.1;
	sim_run(s, 2);
	sim_measure(s);
	sim_run(s, 3);
	report(s, t->name);
	ck_assert_msg(mbps_since(s, s->udp_bytes) >= t->udp_min * sum_of(t), "%s: %f of %f",
		      t->name, mbps_since(s, s->udp_bytes), sum_of(t));
	ck_assert_uint_le(s->udp_reordered, s->udp_seq / 1000);
	/* The call: the best link's delay, a packet that is just being sent, and the pacer's slot.
	 */
	ck_assert_msg(call_percentile(s, 0.99) <= best_delay(t) + 8, "%s: call %f ms", t->name,
		      call_percentile(s, 0.99));
	sim_free(s);
}
END_TEST

START_TEST(tcp_gets_the_sum)
{
	const struct topology *t = &topologies[_i];
	struct sim *s = sim_new(t->link, t->n, "auto", 2);

	s->has_call = true;
	tcp_start(s, 0);
	sim_run(s, 10);
	sim_measure(s);
	sim_run(s, 10);
	report(s, t->name);
	ck_assert_msg(mbps_since(s, s->tcp[0].goodput_bytes) >= t->tcp_min * sum_of(t),
		      "%s: %f of %f", t->name, mbps_since(s, s->tcp[0].goodput_bytes), sum_of(t));
	ck_assert_msg(call_percentile(s, 0.99) <= best_delay(t) + 8, "%s: call %f ms", t->name,
		      call_percentile(s, 0.99));
	sim_free(s);
}
END_TEST

/* ---- never slower than the best link alone ---- */

static double tcp_alone(const struct link_cfg *link, double warm_s, double run_s)
{
	struct sim *s = sim_new(link, 1, "auto", 3);
	double mbps;

	tcp_start(s, 0);
	sim_run(s, warm_s);
	sim_measure(s);
	sim_run(s, run_s);
	mbps = mbps_since(s, s->tcp[0].goodput_bytes);
	sim_free(s);
	return mbps;
}

static const struct {
	const char *name;
	struct link_cfg link[2];
	double factor; /* of the best link alone */
	bool no_ecn;
} never_slower[] = {
	{"second loses 5 %", {LINK(40, 10, 50), LINK(40, 20, 50, .loss = 0.05)}, 0.95, false},
	{"second loses 1 %", {LINK(40, 10, 50), LINK(40, 20, 50, .loss = 0.01)}, 0.95, false},
	{"both lose 0.1 %",
	 {LINK(20, 10, 50, .loss = 0.001), LINK(20, 20, 50, .loss = 0.001)},
	 0.95,
	 false},
	{"second is a satellite", {LINK(40, 10, 50), LINK(20, 300, 100)}, 0.98, false},
	{"second has 300 kbit/s", {LINK(40, 10, 50), LINK(0.3, 60, 500)}, 0.98, false},
	{"jitter 30 ms", {LINK(40, 10, 50), LINK(20, 20, 50, .jitter_ms = 30)}, 0.98, false},
	{"without ECN", {LINK(40, 10, 50), LINK(20, 40, 50)}, 1.2, true},
	{"without ECN, even", {LINK(40, 10, 50), LINK(40, 10, 50)}, 1.7, true},
};

START_TEST(tcp_is_never_slower_than_the_best_link)
{
	struct sim *s = sim_new(never_slower[_i].link, 2, "auto", 3);
	double alone = fmax(tcp_alone(&never_slower[_i].link[0], 5, 10),
			    tcp_alone(&never_slower[_i].link[1], 5, 10));

	s->has_call = true;
	s->no_ecn = never_slower[_i].no_ecn;
	tcp_start(s, 0);
	sim_run(s, 5);
	sim_measure(s);
	sim_run(s, 10);
	report(s, never_slower[_i].name);
	ck_assert_msg(mbps_since(s, s->tcp[0].goodput_bytes) >= never_slower[_i].factor * alone,
		      "%s: %f, alone %f", never_slower[_i].name,
		      mbps_since(s, s->tcp[0].goodput_bytes), alone);
	ck_assert_msg(call_percentile(s, 0.99) <= never_slower[_i].link[0].delay_ms + 8,
		      "%s: call %f", never_slower[_i].name, call_percentile(s, 0.99));
	sim_free(s);
}
END_TEST

/* Seconds until a flow has brought over so many bytes, from a cold start. */
static double transfer_s(const struct link_cfg *links, uint32_t n, uint64_t bytes)
{
	struct sim *s = sim_new(links, n, "auto", 4);
	uint64_t begin_ns;
	double took;

	s->has_call = true;
	sim_run(s, 1);
	sim_measure(s);
	begin_ns = s->now_ns;
	tcp_start(s, 0);
	s->tcp[0].limit = (uint32_t)(bytes / BULK_LEN);
	while (s->tcp[0].goodput_bytes < bytes / BULK_LEN * BULK_LEN)
		sim_step(s);
	took = (double)(s->now_ns - begin_ns) / 1e9;
	sim_free(s);
	return took;
}

START_TEST(short_transfers_take_no_longer)
{
	static const uint64_t sizes[] = {15000, 60000, 250000, 1000000, 5000000};
	static const struct link_cfg links[][2] = {
		{LINK(20, 10, 50), LINK(20, 10, 50)},
		{LINK(20, 10, 50), LINK(20, 40, 50)},
		{LINK(50, 8, 50), LINK(10, 60, 100)},
	};
	uint32_t which = (uint32_t)_i / QB_ARRAY_LEN(sizes),
		 size = (uint32_t)_i % QB_ARRAY_LEN(sizes);
	double one = transfer_s(links[which], 1, sizes[size]);
	double two = transfer_s(links[which], 2, sizes[size]);

	if (getenv("QB_TEST_VERBOSE"))
		printf("transfer %u of %lu: alone %.3f s, bond %.3f s\n", which,
		       (unsigned long)sizes[size], one, two);
	ck_assert_msg(two <= one * 1.05 + 0.002, "%f s, alone %f s", two, one);
}
END_TEST

/* ---- links that die and come back ---- */

START_TEST(silent_death_is_a_short_gap)
{
	struct link_cfg links[] = {LINK(20, 12.5, 50), LINK(20, 12.5, 50)};
	struct sim *s;
	struct qb_bond_link_info info;

	links[_i % 2].dead_from_ns = 12 * SEC;
	links[_i % 2].dead_to_ns = 15 * SEC;
	s = sim_new(links, 2, "auto", (uint64_t)_i);
	s->has_call = true;
	s->udp_mbps = _i / 2 ? 30 : 2;
	sim_run(s, 1.9);
	sim_measure(s);
	sim_run(s, 3);
	if (getenv("QB_TEST_VERBOSE"))
		printf("death: stream gap %.1f ms, call gap %.1f ms, down after %.1f ms\n",
		       (double)s->udp_gap_ns / 1e6, (double)s->call_gap_ns / 1e6,
		       (double)s->paths[_i % 2].down_ns / 1e6 - 12000);
	ck_assert_uint_lt(s->udp_gap_ns, 100 * MS);
	ck_assert_uint_lt(s->call_gap_ns, 120 * MS);
	qb_bond_link_info(s->a, (uint8_t)(_i % 2), s->now_ns, &info);
	ck_assert_int_eq(info.state, QB_LINK_FAILED);
	ck_assert_ptr_nonnull(strstr(info.reason, "no ACK for"));
	ck_assert_uint_eq(s->paths[_i % 2].downs, 1);
	/* It heals at 15 s and is back within a second. */
	sim_run(s, 2);
	ck_assert_uint_eq(s->paths[_i % 2].ups, 1);
	ck_assert_uint_lt(s->paths[_i % 2].up_ns, 16 * SEC);
	sim_free(s);
}
END_TEST

START_TEST(a_toggling_link_does_not_hurt)
{
	struct link_cfg links[] = {LINK(20, 12.5, 50),
				   LINK(20, 12.5, 50, .dead_from_ns = SEC, .dead_to_ns = 2 * SEC,
					.period_ns = 2 * SEC)};
	struct sim *s = sim_new(links, 2, "auto", 5);

	s->has_call = true;
	tcp_start(s, 0);
	sim_run(s, 10);
	sim_measure(s);
	sim_run(s, 20);
	report(s, "toggling each second");
	ck_assert_uint_le(s->paths[1].downs, 3);
	ck_assert(mbps_since(s, s->tcp[0].goodput_bytes) > 17);
	ck_assert_uint_lt(s->call_gap_ns, 120 * MS);
	sim_free(s);
}
END_TEST

START_TEST(total_outage_heals_at_once)
{
	struct link_cfg links[] = {
		LINK(20, 12.5, 50, .dead_from_ns = 12 * SEC, .dead_to_ns = 15 * SEC),
		LINK(20, 25, 50, .dead_from_ns = 12 * SEC, .dead_to_ns = 15 * SEC)};
	struct sim *s = sim_new(links, 2, "auto", 6);

	s->has_call = true;
	sim_run(s, 8);
	/* 3 s without a link; then at most a probe interval and a round trip. */
	ck_assert_uint_lt(s->call_gap_ns, 3700 * MS);
	ck_assert_uint_ge(s->call_gap_ns, 3000 * MS);
	sim_free(s);
}
END_TEST

START_TEST(secondary_takes_over_and_gives_back)
{
	struct link_cfg links[] = {
		LINK(20, 12.5, 50, .dead_from_ns = 12 * SEC, .dead_to_ns = 14 * SEC),
		LINK(20, 25, 50, .tier = QB_TIER_SECONDARY),
	};
	struct sim *s = sim_new(links, 2, "auto", 7);

	s->has_call = true;
	s->udp_mbps = 30;
	sim_run(s, 1.9);
	ck_assert_uint_eq(s->paths[1].tx_bytes, 0);
	sim_measure(s);
	sim_run(s, 1.6);
	ck_assert_uint_gt(s->paths[1].tx_bytes, 1000000);
	ck_assert_uint_lt(s->udp_gap_ns, 160 * MS);
	sim_run(s, 2);
	sim_measure(s);
	sim_run(s, 1);
	ck_assert_uint_eq(s->paths[1].tx_bytes, 0);
	ck_assert_uint_gt(s->paths[0].tx_bytes, 2000000);
	sim_free(s);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bond sim");
	TCase *tc = tcase_create("sum");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, greedy_udp_gets_the_sum, 0, (int)QB_ARRAY_LEN(topologies));
	tcase_add_loop_test(tc, tcp_gets_the_sum, 0, (int)QB_ARRAY_LEN(topologies));
	suite_add_tcase(s, tc);
	tc = tcase_create("never slower");
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, tcp_is_never_slower_than_the_best_link, 0,
			    (int)QB_ARRAY_LEN(never_slower));
	tcase_add_loop_test(tc, short_transfers_take_no_longer, 0, 15);
	suite_add_tcase(s, tc);
	tc = tcase_create("death and return");
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, silent_death_is_a_short_gap, 0, 4);
	tcase_add_test(tc, a_toggling_link_does_not_hurt);
	tcase_add_test(tc, total_outage_heals_at_once);
	tcase_add_test(tc, secondary_takes_over_and_gives_back);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(suite());
	int failed;

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
