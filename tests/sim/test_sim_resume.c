/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tunnel that comes back: after a restart of the edge or of the hub its session is open again one
 * round trip after the first packet. And what looks like a restart but is not one changes nothing.
 */
#include "sim.h"

#include <check.h>
#include <stdlib.h>

#define MS(x) ((uint64_t)(x)*QB_NS_PER_MS)
#define S(x)  ((uint64_t)(x)*QB_NS_PER_SEC)

enum { ONE_WAY_MS = 30, RTT_MS = 2 * ONE_WAY_MS };

static struct sim *sim;

static void make(uint32_t link_cnt)
{
	struct sim_cfg cfg = {.seed = 11 + link_cnt, .link_cnt = link_cnt};

	sim = sim_new(&cfg);
	for (uint32_t l = 0; l < link_cnt; l++)
		sim_link_profile(sim, l, 50000000, MS(ONE_WAY_MS + 10 * l), MS(40));
	ck_assert(sim_connect(sim, S(5)));
	ck_assert_uint_ge(sim_edge(sim)->edge.tickets.cnt, 3);
}

static bool is_open(void)
{
	const struct qb_tunnel *t = sim_edge(sim)->edge.tunnel;

	return t && t->is_open;
}

/* open_after_ms runs until the edge's session is open. Returns how long that took. */
static double open_after_ms(uint64_t limit_ns)
{
	uint64_t begin_ns = sim_now_ns(sim);

	while (!is_open() && sim_now_ns(sim) - begin_ns < limit_ns)
		sim_run(sim, MS(1) / 4);
	ck_assert(is_open());
	return (double)(sim_now_ns(sim) - begin_ns) / 1e6;
}

static uint64_t count(bool is_hub, enum qb_counter what)
{
	return qb_counter_read(sim_counters(sim, is_hub), what);
}

static uint32_t tunnel_cnt(void)
{
	uint32_t cnt = 0;

	for (const struct qb_tunnel *t = sim_hub(sim)->tunnels; t; t = t->next)
		cnt++;
	return cnt;
}

/* check_traffic: inner packets get through both ways, at once. */
static void check_traffic(void)
{
	for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
		uint32_t flow = sim_udp_flow(sim, (enum sim_dir)dir, 200, 500);
		struct sim_flow_stats st;

		sim_run(sim, MS(500));
		sim_flow_stop(sim, flow);
		sim_run(sim, MS(300));
		sim_flow_stats(sim, flow, &st);
		ck_assert_uint_ge(st.sent, 90);
		ck_assert_uint_eq(st.received, st.sent);
	}
}

START_TEST(the_edge_restarts)
{
	uint64_t begun;
	double ms;

	make(1);
	begun = count(true, QB_CNT_HANDSHAKES);
	sim_edge_restart(sim);
	ms = open_after_ms(S(5));
	ck_assert_double_ge(ms, RTT_MS);
	ck_assert_double_le(ms, RTT_MS + 5);
	check_traffic();
	ck_assert_uint_eq(count(true, QB_CNT_EARLY_ACCEPTED), 1);
	ck_assert_uint_eq(count(false, QB_CNT_EARLY_ACCEPTED), 1);
	ck_assert_uint_eq(count(true, QB_CNT_HANDSHAKES), begun + 1);
	ck_assert_ptr_null(sim_hub(sim)->tunnels->next);
	/* It brought new tickets for the next time, and the time after that. */
	for (int i = 0; i < 12; i++) {
		sim_edge_restart(sim);
		ck_assert_double_le(open_after_ms(S(5)), RTT_MS + 5);
		sim_run(sim, MS(500));
	}
	sim_free(sim);
}
END_TEST

/* A hub that sends everybody back to prove their addresses knows who was there before: one round trip, all the same. */
START_TEST(with_retry)
{
	uint64_t sent;

	make(2);
	qb_quic_set_retry(sim_hub(sim)->quic, QB_RETRY_ALWAYS);
	for (int i = 0; i < 8; i++) {
		sim_edge_restart(sim);
		ck_assert_double_le(open_after_ms(S(5)), RTT_MS + 5);
		sim_run(sim, MS(500));
	}
	ck_assert_uint_eq(count(true, QB_CNT_RETRY_TX), 0);
	ck_assert_uint_ge(count(true, QB_CNT_TOKENS_OK), 8);
	/* Without the tokens it is two, also with a ticket. */
	sent = count(true, QB_CNT_RETRY_TX);
	ck_assert_int_eq(qb_quic_set_tokens(sim_edge(sim)->quic, (const uint8_t *)"qbtoken1", 9), 0);
	sim_edge_restart(sim);
	ck_assert_double_ge(open_after_ms(S(5)), 2 * RTT_MS);
	ck_assert_uint_gt(count(true, QB_CNT_RETRY_TX), sent);
	sim_free(sim);
}
END_TEST

START_TEST(without_a_ticket)
{
	make(1);
	sim_edge(sim)->edge.tickets.cnt = 0;
	sim_edge_restart(sim);
	/* The handshake, SETTINGS with its end, the request. */
	ck_assert_double_ge(open_after_ms(S(5)), 2 * RTT_MS);
	sim_free(sim);
}
END_TEST

START_TEST(the_hub_restarts)
{
	uint64_t lost_ns;

	make(1);
	sim_hub_restart(sim);
	/* Something is sent, and answered by a stateless reset. */
	sim_udp_flow(sim, SIM_UP, 100, 200);
	lost_ns = sim_now_ns(sim);
	while (is_open() && sim_now_ns(sim) - lost_ns < S(5))
		sim_run(sim, MS(1) / 4);
	ck_assert_uint_le(sim_now_ns(sim) - lost_ns, MS(RTT_MS + 40));
	ck_assert_double_le(open_after_ms(S(5)), RTT_MS + 5);
	sim_run(sim, MS(500));
	ck_assert_uint_eq(count(true, QB_CNT_EARLY_ACCEPTED), 1);
	check_traffic();
	sim_free(sim);
}
END_TEST

/* The first link is dead in one direction: the request arrives, the answer does not. */
START_TEST(another_link_is_faster)
{
	struct qb_netem_params dead = qb_netem_params_default();

	make(2);
	dead.is_down = true;
	qb_netem_configure(sim_link(sim, 0, SIM_DOWN), &dead, sim_now_ns(sim));
	sim_edge_restart(sim);
	/* 250 ms later the second one is tried, 80 ms there and back. */
	ck_assert_double_le(open_after_ms(S(5)), 250 + RTT_MS + 20 + 10);
	ck_assert_uint_eq(count(false, QB_CNT_EARLY_ACCEPTED), 1);
	check_traffic();
	/* The attempt over the first link has not replaced it, nor does it linger. */
	sim_run(sim, S(12));
	ck_assert(is_open());
	ck_assert_ptr_nonnull(sim_hub(sim)->tunnels);
	ck_assert_ptr_null(sim_hub(sim)->tunnels->next);
	sim_free(sim);
}
END_TEST

/* A tunnel that lasts for weeks has its tickets renewed, and is not disturbed by it. */
START_TEST(tickets_are_renewed)
{
	struct qb_edge *e;
	struct qb_tunnel *before;

	make(1);
	e = &sim_edge(sim)->edge;
	before = e->tunnel;
	ck_assert_uint_gt(e->errand_ns, sim_now_ns(sim) + S(24 * 3600));
	e->tickets.cnt = 0;
	e->errand_ns = sim_now_ns(sim) + S(1);
	sim_run(sim, S(3));
	ck_assert_uint_ge(e->tickets.cnt, 3);
	ck_assert_uint_gt(e->errand_ns, sim_now_ns(sim) + S(24 * 3600));
	ck_assert_ptr_null(e->errand);
	ck_assert_ptr_eq(e->tunnel, before);
	ck_assert(is_open());
	ck_assert_uint_eq(tunnel_cnt(), 1);
	sim_edge_restart(sim);
	ck_assert_double_le(open_after_ms(S(5)), RTT_MS + 5);
	sim_free(sim);
}
END_TEST

/*
 * A first flight that is never finished, as a replay would be: the hub answers, and nobody says
 * more. The session that the site has goes on meanwhile.
 */
START_TEST(an_unfinished_request_replaces_nothing)
{
	struct qb_netem_params dead = qb_netem_params_default();
	struct qb_hub_site *site;
	struct qb_tunnel *before;

	make(1);
	site = &sim_hub(sim)->hub.sites[0];
	before = site->tunnels[0];
	ck_assert_ptr_nonnull(before);
	dead.is_down = true;
	qb_netem_configure(sim_link(sim, 0, SIM_DOWN), &dead, sim_now_ns(sim));
	sim_edge_restart(sim);
	sim_run(sim, MS(200));
	/* It was read and answered ... */
	ck_assert_ptr_ne(sim_hub(sim)->tunnels, before);
	ck_assert_uint_ne(sim_hub(sim)->tunnels->session, QB_H3_NO_SESSION);
	ck_assert(sim_hub(sim)->tunnels->is_unproven && !sim_hub(sim)->tunnels->is_open);
	/* ... and the old session stands, until the handshake is given up and after. */
	ck_assert_ptr_eq(site->tunnels[0], before);
	ck_assert(before->is_open);
	sim_run(sim, S(12));
	ck_assert_ptr_eq(site->tunnels[0], before);
	/* What remains of it is the edge's next attempt, at most. */
	ck_assert_uint_le(tunnel_cnt(), 2);
	sim_free(sim);
}
END_TEST

/* A site that the hub forgets while its request is on the way. */
START_TEST(a_revoked_site_stays_out)
{
	struct qb_hub_site other = {0};

	make(1);
	sim_edge_restart(sim);
	sim_run(sim, MS(ONE_WAY_MS + 5));
	ck_assert(sim_hub(sim)->tunnels->is_unproven);
	memset(other.public_key, 0xaa, sizeof(other.public_key));
	qb_hub_set_sites(sim_hub(sim), &other, 1, sim_now_ns(sim));
	sim_run(sim, S(3));
	ck_assert(!is_open());
	ck_assert_ptr_null(other.tunnels[0]);
	sim_free(sim);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim/resume");
	TCase *tc = tcase_create("resume");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_edge_restarts);
	tcase_add_test(tc, with_retry);
	tcase_add_test(tc, without_a_ticket);
	tcase_add_test(tc, the_hub_restarts);
	tcase_add_test(tc, another_link_is_faster);
	tcase_add_test(tc, tickets_are_renewed);
	tcase_add_test(tc, an_unfinished_request_replaces_nothing);
	tcase_add_test(tc, a_revoked_site_stays_out);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
