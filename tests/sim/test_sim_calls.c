/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls over links that lose: what is lost in the end, what delay that costs, and what is spent on
 * it. The whole stack, in the simulator.
 */
#include "sim.h"

#include <check.h>
#include <stdio.h>

#define MS(x) ((uint64_t)(x)*QB_NS_PER_MS)
#define S(x)  ((uint64_t)(x)*QB_NS_PER_SEC)

struct loss {
	double random, burst_in,
		burst_out; /* burst: Gilbert-Elliott, chances a packet to begin and to end */
};

struct result {
	double lost[SIM_DIR_CNT], overhead[SIM_DIR_CNT];
	uint64_t p95_ns[SIM_DIR_CNT];
	uint64_t copies, repairs, recovered;
};

static void set_loss(struct sim *s, uint32_t link, const struct loss *l)
{
	for (int d = 0; d < SIM_DIR_CNT; d++) {
		struct qb_netem_params p = sim_link(s, link, d)->params;

		p.loss = l->random;
		p.ge_p = l->burst_in;
		p.ge_r = l->burst_out;
		qb_netem_configure(sim_link(s, link, d), &p, sim_now_ns(s));
	}
}

static uint64_t total(struct sim *s, enum qb_counter counter)
{
	return qb_counter_read(sim_counters(s, false), counter) +
	       qb_counter_read(sim_counters(s, true), counter);
}

/* calls lets `pps` packets a second of them run both ways for half a minute, over links of 20
 * Mbit/s, the second 5 ms longer. */
static void calls(uint64_t seed, uint32_t pps, uint32_t links, uint64_t delay_ms,
		  const struct loss *loss, struct result *out)
{
	struct sim_cfg cfg = {.seed = seed, .link_cnt = links};
	struct sim *s = sim_new(&cfg);
	uint32_t flow[SIM_DIR_CNT];
	uint64_t bytes[SIM_DIR_CNT] = {0};

	for (uint32_t i = 0; i < links; i++)
		sim_link_profile(s, i, 20000000, MS(delay_ms + 5 * i), MS(100));
	ck_assert(sim_connect(s, S(5)));
	for (uint32_t i = 0; i < links; i++)
		set_loss(s, i, loss);
	flow[SIM_UP] = sim_udp_flow(s, SIM_UP, pps, 200);
	flow[SIM_DOWN] = sim_udp_flow(s, SIM_DOWN, pps, 200);
	sim_run(s, S(5));
	sim_flow_reset(s, flow[SIM_UP]);
	sim_flow_reset(s, flow[SIM_DOWN]);
	for (uint32_t d = 0; d < SIM_DIR_CNT; d++)
		for (uint32_t i = 0; i < links; i++)
			bytes[d] -= sim_bytes(s, i, d);
	sim_run(s, S(30));
	for (uint32_t d = 0; d < SIM_DIR_CNT; d++) {
		struct sim_flow_stats st;

		for (uint32_t i = 0; i < links; i++)
			bytes[d] += sim_bytes(s, i, d);
		sim_flow_stats(s, flow[d], &st);
		/* One or two are on their way at either end. */
		out->lost[d] = st.sent > st.received + 2
				       ? (double)(st.sent - st.received) / (double)st.sent
				       : 0;
		out->p95_ns[d] = st.delay_p95_ns;
		out->overhead[d] = (double)bytes[d] / (double)(st.sent * 200) - 1;
		ck_assert_uint_eq(st.duplicates, 0);
	}
	out->copies = total(s, QB_CNT_COPIES_SENT);
	out->repairs = total(s, QB_CNT_FEC_SENT);
	out->recovered = total(s, QB_CNT_FEC_RECOVERED);
	sim_free(s);
}

static void call(uint64_t seed, uint32_t links, uint64_t delay_ms, const struct loss *loss,
		 struct result *out)
{
	calls(seed, 50, links, delay_ms, loss, out);
}

static void print(const char *what, const struct result *r)
{
	for (int d = 0; d < SIM_DIR_CNT; d++)
		printf("%s, %s: lost %.2f %%, p95 %.1f ms, %.0f %% on top\n", what,
		       d == SIM_UP ? "up" : "down", r->lost[d] * 100, (double)r->p95_ns[d] / 1e6,
		       r->overhead[d] * 100);
	printf("  %llu copies, %llu repair symbols, %llu packets recovered\n",
	       (unsigned long long)r->copies, (unsigned long long)r->repairs,
	       (unsigned long long)r->recovered);
}

START_TEST(random_loss_on_both_links)
{
	struct result r;

	call(100 + _i, 2, 15, &(struct loss){.random = 0.05}, &r);
	print("5 % on two links", &r);
	for (int d = 0; d < SIM_DIR_CNT; d++) {
		ck_assert_double_lt(r.lost[d], 0.005);
		ck_assert_uint_le(r.p95_ns[d], MS(15 + 30));
	}
	ck_assert_uint_gt(r.copies, 1000);
}
END_TEST

/* One link alone, and so long that a retransmission comes too late for a call: forward error
 * correction. */
START_TEST(random_loss_on_one_link)
{
	struct result r;

	call(400 + _i, 1, 50, &(struct loss){.random = 0.05}, &r);
	print("5 % on one link", &r);
	for (int d = 0; d < SIM_DIR_CNT; d++) {
		ck_assert_double_lt(r.lost[d], 0.005);
		ck_assert_uint_le(r.p95_ns[d], MS(50 + 40));
	}
	ck_assert_uint_gt(r.recovered, 50);
	/* Two packets and a symbol. */
	ck_assert_uint_le(r.repairs, 2 * 35 * 50 * 55 / 100);
}
END_TEST

/* As the link loses more, more is added, and no more than that takes. */
START_TEST(what_is_added_follows_the_loss)
{
	static const struct {
		double loss, least, most; /* symbols to packets */
	} rows[] = {{0.002, 0, 0.02}, {0.01, 0.05, 0.25}, {0.05, 0.2, 0.4}, {0.1, 0.3, 0.5}};
	double pkts = 2 * 35 * 400, part;
	struct result r;

	calls(600, 400, 1, 50, &(struct loss){.random = rows[_i].loss}, &r);
	part = (double)r.repairs / pkts;
	printf("%.1f %% on one link: %.1f symbols to 100 packets\n", rows[_i].loss * 100, part * 100);
	print("400 packets a second", &r);
	ck_assert_double_ge(part, rows[_i].least);
	ck_assert_double_le(part, rows[_i].most);
	for (int d = 0; d < SIM_DIR_CNT; d++)
		ck_assert_double_lt(r.lost[d], 0.005);
}
END_TEST

START_TEST(bursts_of_loss)
{
	struct result r;

	/* 1 % of the packets, four at a time. */
	call(200 + _i, 2, 15, &(struct loss){.burst_in = 0.0025, .burst_out = 0.25}, &r);
	print("1 % in bursts on two links", &r);
	for (int d = 0; d < SIM_DIR_CNT; d++) {
		ck_assert_double_lt(r.lost[d], 0.005);
		ck_assert_uint_le(r.p95_ns[d], MS(15 + 30));
	}
}
END_TEST

START_TEST(good_links_cost_nothing)
{
	struct result r;

	call(300, 2, 15, &(struct loss){0}, &r);
	print("no loss", &r);
	ck_assert_uint_eq(r.copies + r.repairs, 0);
	ck_assert_double_eq(r.lost[SIM_UP] + r.lost[SIM_DOWN], 0);
	ck_assert_uint_le(r.p95_ns[SIM_UP], MS(16));
}
END_TEST

/*
 * Two links of which now one, now the other is the quicker, for downloads fill them: a flow that is
 * light, but has many packets, goes from one to the other all the time, and arrives in order
 * nevertheless.
 */
START_TEST(in_order_over_links_of_different_delay)
{
	struct sim_cfg cfg = {.seed = 500 + (uint64_t)_i, .link_cnt = 2};
	struct sim *s = sim_new(&cfg);
	uint32_t flow[SIM_DIR_CNT];

	sim_link_profile(s, 0, 40000000, MS(5), MS(100));
	sim_link_profile(s, 1, 40000000, MS(10), MS(100));
	ck_assert(sim_connect(s, S(5)));
	for (int d = 0; d < SIM_DIR_CNT; d++) {
		flow[d] = sim_udp_flow(s, d, 1000, 220);
		sim_tcp_flow(s, d);
	}
	sim_run(s, S(2));
	for (int d = 0; d < SIM_DIR_CNT; d++)
		sim_flow_reset(s, flow[d]);
	sim_run(s, S(5));
	for (int d = 0; d < SIM_DIR_CNT; d++) {
		struct sim_flow_stats st;

		sim_flow_stats(s, flow[d], &st);
		printf("order, %s: %llu of %llu overtaken, p95 %.1f ms\n",
		       d == SIM_UP ? "up" : "down", (unsigned long long)st.out_of_order,
		       (unsigned long long)st.received, (double)st.delay_p95_ns / 1e6);
		/* Where a delay wavers, calls are sent twice: a packet without a copy may come behind one with. */
		ck_assert_uint_le(st.out_of_order, 15);
		/* It had to take its turn now and then, and does not do so ever after. */
		ck_assert_uint_le(st.delay_p95_ns, MS(30));
		ck_assert_uint_ge(st.received, 4950);
	}
	sim_free(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_calls");
	TCase *tc = tcase_create("calls");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, random_loss_on_both_links, 0, 4);
	tcase_add_loop_test(tc, random_loss_on_one_link, 0, 4);
	tcase_add_loop_test(tc, what_is_added_follows_the_loss, 0, 4);
	tcase_add_loop_test(tc, bursts_of_loss, 0, 4);
	tcase_add_test(tc, good_links_cost_nothing);
	tcase_add_loop_test(tc, in_order_over_links_of_different_delay, 0, 4);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
