/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bonding promises in the simulator: the sum of even links, never less than the best one, calls under load, silent death,
 * recovery, outages, hub restarts. Rates are compared with what the same code gets over one link in the same simulation.
 */
#include "sim.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define MS(x) ((uint64_t)(x) * QB_NS_PER_MS)
#define S(x) ((uint64_t)(x) * QB_NS_PER_SEC)

struct link {
	uint64_t rate_bps;
	uint64_t rtt_ms;
	uint64_t queue_ms;
};

static const struct link fibre_dsl[] = {{300000000, 10, 40}, {80000000, 30, 60}};
static const struct link twins[] = {{100000000, 25, 50}, {100000000, 25, 50}};

static struct sim *bring_up(uint64_t seed, const struct link *links, uint32_t cnt)
{
	struct sim_cfg cfg = {.seed = seed, .link_cnt = cnt};
	struct sim *s = sim_new(&cfg);

	for (uint32_t i = 0; i < cnt; i++)
		sim_link_profile(s, i, links[i].rate_bps, MS(links[i].rtt_ms) / 2, MS(links[i].queue_ms));
	ck_assert_msg(sim_connect(s, S(5)), "seed %llu: not connected", (unsigned long long)seed);
	return s;
}

/* goodput is what `flows` TCP-like flows get in one direction, in bit/s of inner packets, after they have settled. */
static double goodput(struct sim *s, enum sim_dir dir, uint32_t flows, uint64_t settle_s, uint64_t span_s)
{
	uint32_t ids[16];
	double bytes = 0;

	for (uint32_t i = 0; i < flows; i++)
		ids[i] = sim_tcp_flow(s, dir);
	sim_run(s, S(settle_s));
	for (uint32_t i = 0; i < flows; i++)
		sim_flow_reset(s, ids[i]);
	sim_run(s, S(span_s));
	for (uint32_t i = 0; i < flows; i++) {
		struct sim_flow_stats st;

		sim_flow_stats(s, ids[i], &st);
		bytes += (double)st.bytes;
		sim_flow_stop(s, ids[i]);
	}
	return bytes * 8 / (double)span_s;
}

static double run_goodput(uint64_t seed, const struct link *links, uint32_t cnt, enum sim_dir dir, uint32_t flows)
{
	struct sim *s = bring_up(seed, links, cnt);
	double bps = goodput(s, dir, flows, 4, 6);

	sim_free(s);
	return bps;
}

START_TEST(links_come_up)
{
	static const struct link links[] = {
		{300000000, 10, 40}, {80000000, 30, 60}, {20000000, 80, 100}, {50000000, 20, 50}};

	for (uint32_t cnt = 1; cnt <= QB_ARRAY_LEN(links); cnt++) {
		struct sim *s = bring_up(_i * 16 + cnt, links, cnt);

		ck_assert_uint_eq(qb_counter_read(sim_counters(s, true), QB_CNT_HANDSHAKES), 1);
		sim_free(s);
	}
}
END_TEST

START_TEST(uneven_links_add_up)
{
	enum sim_dir dir = _i;
	double sum = run_goodput(1, fibre_dsl, 2, dir, 8);

	printf("300/10 + 80/30, 8 flows, %s: %.1f Mbit/s\n", dir == SIM_UP ? "up" : "down", sum / 1e6);
	ck_assert_double_ge(sum, 0.85 * 380e6);
}
END_TEST

START_TEST(one_flow_is_never_slower_than_the_best_link)
{
	enum sim_dir dir = _i;
	double alone = run_goodput(2, fibre_dsl, 1, dir, 1);
	double bonded = run_goodput(2, fibre_dsl, 2, dir, 1);

	printf("one flow, %s: alone %.1f, bonded %.1f Mbit/s\n", dir == SIM_UP ? "up" : "down", alone / 1e6, bonded / 1e6);
	ck_assert_double_ge(bonded, alone);
}
END_TEST

START_TEST(even_links_give_one_flow_their_sum)
{
	enum sim_dir dir = _i;
	double bps = run_goodput(3, twins, 2, dir, 1);

	printf("2 x 100/25, one flow, %s: %.1f Mbit/s\n", dir == SIM_UP ? "up" : "down", bps / 1e6);
	ck_assert_double_ge(bps, 0.80 * 200e6);
}
END_TEST

START_TEST(calls_stay_quick_under_load)
{
	enum sim_dir dir = _i;
	struct sim *s = bring_up(4, fibre_dsl, 2);
	uint32_t up = sim_udp_flow(s, SIM_UP, 50, 200), down = sim_udp_flow(s, SIM_DOWN, 50, 200);
	struct sim_flow_stats a, b;

	goodput(s, dir, 8, 2, 6);
	sim_flow_stats(s, up, &a);
	sim_flow_stats(s, down, &b);
	printf("call under load %s: p95 %.1f ms up, %.1f ms down\n", dir == SIM_UP ? "up" : "down",
	       (double)a.delay_p95_ns / 1e6, (double)b.delay_p95_ns / 1e6);
	ck_assert_uint_lt(a.delay_p95_ns + b.delay_p95_ns, MS(60));
	ck_assert_uint_ge(a.received * 1000, a.sent * 990);
	ck_assert_uint_ge(b.received * 1000, b.sent * 990);
	sim_free(s);
}
END_TEST

START_TEST(a_silent_death_leaves_a_short_gap)
{
	uint32_t victim = _i & 1;
	enum sim_dir dir = _i >> 1;
	struct sim *s = bring_up(5 + _i, twins, 2);
	uint32_t udp = sim_udp_flow(s, dir, 1000, 300), tcp = sim_tcp_flow(s, dir);
	struct sim_flow_stats st;
	uint64_t bytes;

	sim_run(s, S(4));
	sim_flow_reset(s, udp);
	sim_flow_reset(s, tcp);
	sim_link_down(s, victim, true);
	sim_run(s, S(3));
	sim_flow_stats(s, udp, &st);
	printf("link %u dies, %s: gap %.1f ms, %llu of %llu lost\n", victim, dir == SIM_UP ? "up" : "down",
	       (double)st.max_gap_ns / 1e6, (unsigned long long)(st.sent - st.received), (unsigned long long)st.sent);
	ck_assert_uint_le(st.max_gap_ns, MS(300));
	sim_flow_stats(s, tcp, &st);
	ck_assert_uint_ge(st.bytes * 8 / 3, 50000000);
	ck_assert_int_eq(sim_link_state(s, false, victim), QB_LINK_FAILED);

	sim_link_down(s, victim, false);
	sim_run(s, S(2));
	bytes = sim_bytes(s, victim, dir);
	ck_assert_int_eq(sim_link_state(s, false, victim), QB_LINK_ACTIVE);
	sim_run(s, S(1));
	ck_assert_uint_ge((sim_bytes(s, victim, dir) - bytes) * 8, 20000000);
	sim_free(s);
}
END_TEST

START_TEST(carrier_loss_is_quicker)
{
	struct sim *s = bring_up(20 + _i, twins, 2);
	uint32_t udp = sim_udp_flow(s, SIM_UP, 1000, 300), back = sim_udp_flow(s, SIM_DOWN, 1000, 300);
	struct sim_flow_stats st;

	sim_run(s, S(2));
	sim_flow_reset(s, udp);
	sim_flow_reset(s, back);
	sim_link_carrier(s, _i, false);
	sim_run(s, S(2));
	sim_flow_stats(s, udp, &st);
	ck_assert_uint_le(st.max_gap_ns, MS(100));
	sim_flow_stats(s, back, &st);
	ck_assert_uint_le(st.max_gap_ns, MS(300));
	sim_link_carrier(s, _i, true);
	sim_run(s, S(2));
	ck_assert_int_eq(sim_link_state(s, false, _i), QB_LINK_ACTIVE);
	sim_free(s);
}
END_TEST

START_TEST(a_total_outage_is_survived)
{
	struct sim *s = bring_up(30 + _i, twins, 2);
	uint32_t udp = sim_udp_flow(s, SIM_UP, 100, 300);
	struct sim_flow_stats st;

	sim_run(s, S(1));
	sim_link_down(s, 0, true);
	sim_link_down(s, 1, true);
	sim_run(s, S(_i ? 45 : 10)); /* with and without the idle timeout */
	sim_link_down(s, 0, false);
	sim_link_down(s, 1, false);
	sim_run(s, S(8));
	sim_flow_reset(s, udp);
	sim_run(s, S(2));
	sim_flow_stats(s, udp, &st);
	ck_assert_uint_ge(st.received, 190);
	ck_assert_int_eq(sim_link_state(s, false, 0), QB_LINK_ACTIVE);
	ck_assert_int_eq(sim_link_state(s, false, 1), QB_LINK_ACTIVE);
	sim_free(s);
}
END_TEST

/* The session is held through 20 s and through 100 s of silence, and a transfer goes on as soon as
 * the links do. */
START_TEST(a_session_is_held)
{
	struct sim_cfg cfg = {.seed = 90 + _i, .link_cnt = 2, .hold_s = 120};
	struct sim *s = sim_new(&cfg);
	struct sim_flow_stats st;
	uint32_t tcp, call;

	for (uint32_t i = 0; i < 2; i++)
		sim_link_profile(s, i, twins[i].rate_bps, MS(twins[i].rtt_ms) / 2,
				 MS(twins[i].queue_ms));
	ck_assert(sim_connect(s, S(5)));
	tcp = sim_tcp_flow(s, _i & 1 ? SIM_UP : SIM_DOWN);
	call = sim_udp_flow(s, SIM_DOWN, 50, 200);
	sim_run(s, S(3));
	sim_link_down(s, 0, true);
	sim_link_down(s, 1, true);
	sim_run(s, S(_i < 2 ? 20 : 100));
	sim_link_down(s, 0, false);
	sim_link_down(s, 1, false);
	sim_flow_reset(s, call);
	sim_run(s, S(2));
	sim_flow_stats(s, call, &st);
	ck_assert_uint_ge(st.received, 25);
	sim_flow_reset(s, tcp);
	sim_run(s, S(3));
	sim_flow_stats(s, tcp, &st);
	printf("after an outage of %d s: %.1f Mbit/s\n", _i < 2 ? 20 : 100,
	       (double)st.bytes * 8 / 3 / 1e6);
	ck_assert_uint_ge(st.bytes * 8 / 3, 20000000);
	ck_assert_uint_eq(qb_counter_read(sim_counters(s, true), QB_CNT_HANDSHAKES), 1);
	ck_assert_uint_eq(qb_counter_read(sim_counters(s, false), QB_CNT_CONNS_TIMED_OUT), 0);
	sim_free(s);
}
END_TEST

/*
 * A link with the shorter round trip and the longer way up: calls go up by the other one, and come down by this. The ends' clocks
 * have nothing to do with each other.
 */
START_TEST(each_direction_has_its_quickest_link)
{
	static const uint64_t delay_ms[2][SIM_DIR_CNT] = {{[SIM_UP] = 10, [SIM_DOWN] = 70}, {[SIM_UP] = 35, [SIM_DOWN] = 35}};
	static const uint64_t want_ms[SIM_DIR_CNT] = {[SIM_UP] = 10, [SIM_DOWN] = 35};
	struct sim_cfg cfg = {.seed = 230 + (uint64_t)_i, .link_cnt = 2};
	struct sim *s = sim_new(&cfg);

	for (uint32_t link = 0; link < 2; link++) {
		sim_link_profile(s, link, 100000000, 0, MS(50));
		for (int d = 0; d < SIM_DIR_CNT; d++) {
			struct qb_netem_params p = sim_link(s, link, d)->params;

			p.delay_ns = MS(delay_ms[link][d]);
			qb_netem_configure(sim_link(s, link, d), &p, sim_now_ns(s));
		}
	}
	ck_assert(sim_connect(s, S(5)));
	for (int d = 0; d < SIM_DIR_CNT; d++) {
		uint32_t call = sim_udp_flow(s, d, 50, 200);
		struct sim_flow_stats st;

		sim_run(s, S(4));
		sim_flow_reset(s, call);
		sim_run(s, S(2));
		sim_flow_stats(s, call, &st);
		ck_assert_uint_ge(st.delay_p50_ns, MS(want_ms[d]));
		ck_assert_uint_le(st.delay_p95_ns, MS(want_ms[d] + 5));
		sim_flow_stop(s, call);
	}
	sim_free(s);
}
END_TEST

/* Every scheduler in turn, both ends, under load: nothing is lost and nothing comes twice. */
START_TEST(schedulers_change_under_load)
{
	struct sim *s = bring_up(95, twins, 2);
	uint32_t udp = sim_udp_flow(s, SIM_UP, 1000, 300), tcp = sim_tcp_flow(s, SIM_DOWN);
	struct sim_flow_stats st;

	sim_run(s, S(2));
	sim_flow_reset(s, udp);
	for (uint32_t i = 0; qb_sched_list[i]; i++) {
		for (int hub = 0; hub < 2; hub++)
			qb_bond_set_sched(sim_tunnel(s, hub)->bond, qb_sched_list[i]);
		sim_run(s, MS(400));
	}
	sim_flow_stats(s, udp, &st);
	/* Some are on their way. */
	ck_assert_uint_le(st.sent - st.received, 40);
	ck_assert_uint_eq(st.duplicates, 0);
	sim_flow_stats(s, tcp, &st);
	ck_assert_uint_ge(st.bytes, 20000000);
	ck_assert_uint_eq(st.duplicates, 0);
	sim_free(s);
}
END_TEST

/* congestion_reason of links -j, of a second: does it say that the link is one flow with another? */
static bool is_coupled(struct sim *s, enum sim_dir dir, uint8_t path)
{
	const struct qb_tunnel *t = sim_tunnel(s, dir == SIM_DOWN);
	struct qb_path_info info;

	for (int i = 0; i < 100; i++) {
		sim_run(s, MS(10));
		if (qb_conn_path_info(t->conn, path, sim_now_ns(s), &info) &&
		    strstr(info.cc_why, "as one flow"))
			return true;
	}
	return false;
}

/*
 * Two links behind one cell of 60 Mbit/s are told as such, in the direction in which there is
 * traffic, and their congestion control takes no more of it than one flow would, which is all of it
 * where there is nobody else; two links of the same sort and load that share nothing are not.
 */
START_TEST(a_shared_bottleneck_is_told)
{
	bool is_shared = _i < 4;
	uint32_t flows = _i & 1 ? 8 : 1, ids[8];
	enum sim_dir dir = _i >> 1 & 1;
	struct sim_cfg cfg = {.seed = 200 + _i, .link_cnt = 2, .cell = is_shared ? 3 : 0};
	struct sim *s = sim_new(&cfg);
	struct qb_bond_link_info info;
	struct sim_flow_stats st;
	double mbps = 0;

	for (uint32_t i = 0; i < 2; i++)
		sim_link_profile(s, i, is_shared ? 500000000 : 30000000, MS(i ? 18 : 12), MS(150));
	sim_link_profile(s, SIM_CELL, 60000000, MS(3), MS(150));
	ck_assert(sim_connect(s, S(5)));
	for (uint32_t i = 0; i < flows; i++)
		ids[i] = sim_tcp_flow(s, dir);
	sim_run(s, S(10));
	for (uint32_t i = 0; i < flows; i++)
		sim_flow_reset(s, ids[i]);
	sim_run(s, S(15));
	for (uint32_t i = 0; i < flows; i++) {
		sim_flow_stats(s, ids[i], &st);
		mbps += (double)st.bytes * 8 / 15 / 1e6;
	}
	qb_bond_link_info(sim_tunnel(s, dir == SIM_DOWN)->bond, 0, sim_now_ns(s), &info);
	printf("%s, %u flows: %.1f Mbit/s, partners %x\n", is_shared ? "one cell" : "two links",
	       flows, mbps, info.partners);
	ck_assert_int_eq(info.partners != 0, is_shared);
	ck_assert_double_ge(mbps, 50);
	for (uint8_t i = 0; i < 2 && !is_shared; i++)
		ck_assert(!is_coupled(s, dir, i));
	if (is_shared)
		ck_assert(is_coupled(s, dir, 0) || is_coupled(s, dir, 1));
	sim_free(s);
}
END_TEST

START_TEST(a_hub_restart_is_survived)
{
	struct sim *s = bring_up(40 + _i, twins, 2);
	uint32_t udp = sim_udp_flow(s, SIM_UP, 100, 300);
	struct sim_flow_stats st;

	sim_run(s, S(1));
	sim_hub_restart(s);
	sim_run(s, S(3));
	sim_flow_reset(s, udp);
	sim_run(s, S(2));
	sim_flow_stats(s, udp, &st);
	ck_assert_uint_ge(st.received, 190);
	ck_assert_uint_ge(qb_counter_read(sim_counters(s, false), QB_CNT_CONNS_RESET), 1);
	sim_free(s);
}
END_TEST

START_TEST(a_nasty_link_hurts_nobody)
{
	struct sim *s = bring_up(50 + _i, twins, 2);
	uint32_t udp = sim_udp_flow(s, SIM_UP, 2000, 500), tcp = sim_tcp_flow(s, SIM_DOWN);
	struct sim_flow_stats st;

	for (int d = 0; d < SIM_DIR_CNT; d++) {
		struct qb_netem_params p = sim_link(s, 1, d)->params;

		p.dup = 0.05;
		p.corrupt = 0.02;
		p.reorder = 0.05;
		p.reorder_delay_ns = MS(4);
		p.loss = 0.01;
		qb_netem_configure(sim_link(s, 1, d), &p, sim_now_ns(s));
	}
	sim_run(s, S(8));
	sim_flow_stats(s, udp, &st);
	ck_assert_uint_eq(st.duplicates, 0);
	ck_assert_uint_ge(st.received * 100, st.sent * 95);
	sim_flow_stats(s, tcp, &st);
	ck_assert_uint_eq(st.duplicates, 0);
	ck_assert_uint_ge(st.bytes * 8 / 8, 50000000);
	ck_assert_uint_gt(qb_counter_read(sim_counters(s, false), QB_CNT_DROP_AUTH), 0);
	ck_assert_uint_gt(qb_counter_read(sim_counters(s, false), QB_CNT_DROP_DUPLICATE), 0);
	sim_free(s);
}
END_TEST

START_TEST(a_flapping_link_does_not_hurt_the_other)
{
	struct sim *s = bring_up(60 + _i, twins, 2);
	uint32_t tcp = sim_tcp_flow(s, SIM_DOWN);
	struct sim_flow_stats st;

	sim_run(s, S(3));
	sim_flow_reset(s, tcp);
	for (int k = 0; k < 10; k++) {
		sim_link_down(s, 1, k % 2 == 0);
		sim_run(s, S(1));
	}
	sim_flow_stats(s, tcp, &st);
	printf("flapping: %.1f Mbit/s\n", (double)st.bytes * 8 / 10 / 1e6);
	ck_assert_uint_ge(st.bytes * 8 / 10, 70000000);
	sim_free(s);
}
END_TEST

START_TEST(one_path_without_multipath)
{
	struct sim_cfg cfg = {.seed = 70, .link_cnt = 2, .is_single_path = true};
	struct sim *s = sim_new(&cfg);
	uint32_t udp;
	struct sim_flow_stats st;

	sim_link_profile(s, 0, 100000000, MS(10), MS(40));
	sim_link_profile(s, 1, 100000000, MS(10), MS(40));
	ck_assert(sim_connect(s, S(5)));
	udp = sim_udp_flow(s, SIM_UP, 100, 300);
	sim_run(s, S(5));
	sim_flow_stats(s, udp, &st);
	ck_assert_uint_ge(st.received, 490);
	sim_free(s);
}
END_TEST

START_TEST(ipv6_outside)
{
	struct sim_cfg cfg = {.seed = 80, .link_cnt = 2, .is_ipv6_outside = true};
	struct sim *s = sim_new(&cfg);

	sim_link_profile(s, 0, 100000000, MS(10), MS(40));
	sim_link_profile(s, 1, 100000000, MS(10), MS(40));
	ck_assert(sim_connect(s, S(5)));
	ck_assert_double_ge(goodput(s, SIM_DOWN, 4, 3, 3), 150e6);
	sim_free(s);
}
END_TEST

/* Link sets drawn by seed: the bond is at least about as good as its best link. */
START_TEST(random_link_sets)
{
	struct link links[3] = {0};
	struct qb_rand r;
	uint32_t cnt, best = 0;
	double alone, bonded;

	qb_rand_seed(&r, 1000 + _i);
	cnt = 2 + (uint32_t)qb_rand_below(&r, 2);
	for (uint32_t i = 0; i < cnt; i++) {
		links[i].rate_bps = 5000000 + qb_rand_below(&r, 95000000);
		links[i].rtt_ms = 8 + qb_rand_below(&r, 72);
		links[i].queue_ms = 30 + qb_rand_below(&r, 70);
		if (links[i].rate_bps > links[best].rate_bps)
			best = i;
	}
	alone = run_goodput(_i, &links[best], 1, SIM_DOWN, 1);
	bonded = run_goodput(_i, links, cnt, SIM_DOWN, 1);
	printf("set %d:", _i);
	for (uint32_t i = 0; i < cnt; i++)
		printf(" %.1f Mbit/s %u ms (queue %u ms)%s", (double)links[i].rate_bps / 1e6, (unsigned)links[i].rtt_ms,
		       (unsigned)links[i].queue_ms, i + 1 < cnt ? "," : "");
	printf(": best link %.1f Mbit/s, bond %.1f\n", alone / 1e6, bonded / 1e6);
	ck_assert_double_ge(bonded, 0.95 * alone);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_bond");
	TCase *tc = tcase_create("bond");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, links_come_up, 0, 5);
	tcase_add_loop_test(tc, uneven_links_add_up, 0, 2);
	tcase_add_loop_test(tc, one_flow_is_never_slower_than_the_best_link, 0, 2);
	tcase_add_loop_test(tc, even_links_give_one_flow_their_sum, 0, 2);
	tcase_add_loop_test(tc, calls_stay_quick_under_load, 0, 2);
	tcase_add_loop_test(tc, a_silent_death_leaves_a_short_gap, 0, 4);
	tcase_add_loop_test(tc, carrier_loss_is_quicker, 0, 2);
	tcase_add_loop_test(tc, a_total_outage_is_survived, 0, 2);
	tcase_add_loop_test(tc, each_direction_has_its_quickest_link, 0, 3);
	tcase_add_test(tc, schedulers_change_under_load);
	tcase_add_loop_test(tc, a_shared_bottleneck_is_told, 0, 8);
	tcase_add_loop_test(tc, a_session_is_held, 0, 4);
	tcase_add_loop_test(tc, a_hub_restart_is_survived, 0, 2);
	tcase_add_loop_test(tc, a_nasty_link_hurts_nobody, 0, 2);
	tcase_add_loop_test(tc, a_flapping_link_does_not_hurt_the_other, 0, 2);
	tcase_add_test(tc, one_path_without_multipath);
	tcase_add_test(tc, ipv6_outside);
	tcase_add_loop_test(tc, random_link_sets, 0, 8);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
