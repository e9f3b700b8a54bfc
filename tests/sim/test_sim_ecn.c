/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ECN through the tunnel: what a link's AQM marks outside reaches an inner packet that knows ECN
 * (RFC 6040), once and where it says something about that packet's flow.
 */
#include "sim.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define MS(x) ((uint64_t)(x)*QB_NS_PER_MS)
#define S(x)  ((uint64_t)(x)*QB_NS_PER_SEC)

enum { RATE = 20000000 };

static struct sim *sim;

/* Links with a queue of 200 ms whose AQM marks above a step. */
static void begin_as(const struct sim_cfg *cfg, uint64_t delay_ns, uint64_t mark_ns)
{
	sim = sim_new(cfg);
	for (uint32_t l = 0; l < cfg->link_cnt; l++) {
		sim_link_profile(sim, l, RATE, delay_ns, MS(200));
		for (int d = 0; d < SIM_DIR_CNT; d++) {
			struct qb_netem_params p = sim_link(sim, l, d)->params;

			p.mark_ns = mark_ns;
			qb_netem_configure(sim_link(sim, l, d), &p, sim_now_ns(sim));
		}
	}
	ck_assert(sim_connect(sim, S(5)));
}

static void begin(uint32_t link_cnt, const char *congestion, uint64_t mark_ns)
{
	struct sim_cfg cfg = {.seed = 5, .link_cnt = link_cnt, .congestion = congestion};

	begin_as(&cfg, MS(25), mark_ns);
}

static uint32_t bulk(enum sim_dir dir, enum qb_ecn ecn)
{
	uint32_t flow = sim_tcp_flow(sim, dir);

	sim_flow_ecn(sim, flow, ecn);
	return flow;
}

static struct sim_flow_stats after(uint32_t flow, uint64_t warm_ns, uint64_t span_ns)
{
	struct sim_flow_stats st;

	sim_run(sim, warm_ns);
	sim_flow_reset(sim, flow);
	sim_run(sim, span_ns);
	sim_flow_stats(sim, flow, &st);
	return st;
}

static uint64_t count(bool is_hub, enum qb_counter what)
{
	return qb_counter_read(sim_counters(sim, is_hub), what);
}

static double part(const struct sim_flow_stats *st, uint64_t span_ns)
{
	return (double)st->bytes * 8e9 / (double)span_ns / RATE;
}

/*
 * One link, one flow that knows ECN, both ways: it hears of the link's queue by marks. What one
 * reduction leaves of a full path is 0.7 (RFC 9438 §4.6), of which headers take a twentieth; it is
 * back at the whole between two.
 */
START_TEST(marks_arrive)
{
	enum sim_dir dir = _i ? SIM_DOWN : SIM_UP;
	struct sim_flow_stats st;
	uint32_t flow, call;

	begin(1, NULL, MS(5));
	flow = bulk(dir, QB_ECN_ECT0);
	call = sim_udp_flow(sim, dir, 50, 200); /* Not-ECT: neither marked nor dropped */
	st = after(flow, S(4), S(8));
	printf("%s: %.2f of the link, %lu packets marked, %lu by links, p95 %.1f ms\n",
	       _i ? "down" : "up", part(&st, S(8)), (unsigned long)st.ce,
	       (unsigned long)count(dir == SIM_UP, QB_CNT_ECN_CARRIED),
	       (double)st.delay_p95_ns / 1e6);
	ck_assert_uint_gt(count(dir == SIM_UP, QB_CNT_ECN_CARRIED), 10);
	ck_assert_uint_gt(st.ce, 0);
	ck_assert_double_ge(part(&st, S(8)), 0.7 * 19 / 20);
	sim_flow_stats(sim, call, &st);
	ck_assert_uint_eq(st.ce, 0);
	ck_assert_uint_ge(st.received + 5, st.sent); /* those under way */
	sim_free(sim);
}
END_TEST

/*
 * One link, whose AQM marks what waits for more than five full packets, and machines that are woken each so often and then catch
 * up: many packets are marked that wait behind each other only. The link was used to a half, or was taken for a slower one from
 * the first mark in start-up on.
 */
START_TEST(bursts_that_are_marked)
{
	static const uint64_t ticks_us[] = {0, 500, 2000, 4000};
	struct sim_cfg cfg = {.link_cnt = 1, .tick_ns = ticks_us[_i] * QB_NS_PER_US};
	struct sim_flow_stats st;
	struct qb_path_info info;

	for (cfg.seed = 1; cfg.seed <= 3; cfg.seed++) {
		begin_as(&cfg, MS(20), MS(3));
		st = after(bulk(SIM_DOWN, QB_ECN_NOT), S(2), S(5));
		ck_assert(qb_conn_path_info(sim_tunnel(sim, false)->conn, 0, sim_now_ns(sim), &info));
		printf("woken each %.1f ms: %.2f of the link, p95 %.1f ms\n", (double)cfg.tick_ns / 1e6, part(&st, S(5)),
		       (double)st.delay_p95_ns / 1e6);
		ck_assert_uint_gt(info.ce_rx, 0);
		ck_assert_double_ge(part(&st, S(5)), 0.9);
		sim_free(sim);
	}
}
END_TEST

/* Nothing that is not marked outside is marked by the far end, and nothing that is Not-ECT is. */
START_TEST(no_marks_of_its_own)
{
	begin(1, NULL, _i ? MS(5) : 0);
	after(bulk(SIM_DOWN, _i ? QB_ECN_NOT : QB_ECN_ECT0), 0, S(4));
	ck_assert_uint_eq(count(false, QB_CNT_ECN_CARRIED), 0);
	sim_free(sim);
}
END_TEST

/* A flow that is striped over two links does not pay on both for the marks of one. */
START_TEST(striped_flows_wait_for_the_queue)
{
	struct sim_flow_stats st;
	uint32_t flow;

	begin(2, NULL, MS(5));
	flow = bulk(SIM_DOWN, QB_ECN_ECT0);
	st = after(flow, S(4), S(10));
	printf("two links: %.2f of their sum, %lu marked by links\n", part(&st, S(10)) / 2,
	       (unsigned long)count(false, QB_CNT_ECN_CARRIED));
	ck_assert_double_ge(part(&st, S(10)) / 2, 0.85);
	sim_free(sim);
}
END_TEST

/* An L4S path marks early and often: for inner flows that are L4S too, not for classic ones (RFC
 * 9331 §5.2). */
START_TEST(l4s_marks_are_for_l4s)
{
	struct sim_flow_stats st;
	struct qb_path_info info;

	begin(1, "prague", MS(1));
	st = after(bulk(SIM_DOWN, _i ? QB_ECN_ECT1 : QB_ECN_ECT0), 0, S(5));
	ck_assert(qb_conn_path_info(sim_tunnel(sim, false)->conn, 0, sim_now_ns(sim), &info));
	ck_assert_uint_gt(info.ce_rx, 0);
	ck_assert_uint_gt(info.ect1_rx, 1000);
	printf("L4S: %s, %lu packets marked, %lu by links\n", _i ? "ECT(1)" : "ECT(0)",
	       (unsigned long)st.ce, (unsigned long)count(false, QB_CNT_ECN_CARRIED));
	if (_i)
		ck_assert_uint_gt(count(false, QB_CNT_ECN_CARRIED), 0);
	else
		ck_assert_uint_eq(count(false, QB_CNT_ECN_CARRIED), 0);
	sim_free(sim);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim_ecn");
	TCase *tc = tcase_create("ecn");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, marks_arrive, 0, 2);
	tcase_add_loop_test(tc, bursts_that_are_marked, 0, 4);
	tcase_add_loop_test(tc, no_marks_of_its_own, 0, 2);
	tcase_add_test(tc, striped_flows_wait_for_the_queue);
	tcase_add_loop_test(tc, l4s_marks_are_for_l4s, 0, 2);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
