/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Known links in the daemon's own code: a session that ends and comes again starts at what the link carried, in both directions;
 * slower, it does no harm; in another network, or a day later, it begins from nothing.
 */
#include "sim.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "quic/conn.h"

#define MS(x) ((uint64_t)(x) * QB_NS_PER_MS)
#define S(x)  ((uint64_t)(x) * QB_NS_PER_SEC)

enum { RATE = 100000000, FIRST_MS = 400 };

static struct sim *sim;
static uint32_t flow;

/* Learnt for ten seconds: the session carries more than the link. */
static void learn(enum sim_dir dir)
{
	struct sim_cfg cfg = {.seed = 11, .link_cnt = 1};

	sim = sim_new(&cfg);
	sim_link_profile(sim, 0, RATE, MS(30), MS(100));
	ck_assert(sim_connect(sim, S(5)));
	flow = sim_udp_flow(sim, dir, 11000, 1200);
	sim_run(sim, S(10));
}

static struct qb_known_table *known(bool is_hub)
{
	return is_hub ? &sim_hub(sim)->known : &sim_edge(sim)->known;
}

struct start {
	double bytes, p95_ms, lost;
	bool has_resumed, is_refused;
};

/* The session ends, and another one begins: what comes through in its first moments. */
static struct start again(enum sim_dir dir)
{
	struct qb_node *node = dir == SIM_UP ? sim_edge(sim) : sim_hub(sim);
	const struct qb_path *p;
	struct sim_flow_stats st;
	struct qb_path_info info;
	struct start s = {0};

	qb_conn_close(sim_edge(sim)->edge.tunnel->conn, 0, "again", sim_now_ns(sim));
	sim_run(sim, MS(50));
	ck_assert(sim_connect(sim, S(5)));
	sim_flow_reset(sim, flow);
	p = &node->tunnels->conn->path[0];
	for (int i = 0; i < FIRST_MS; i++) {
		sim_run(sim, MS(1));
		s.has_resumed |= p->cc.resume.phase >= QB_RESUME_UNVALIDATED;
	}
	sim_flow_stats(sim, flow, &st);
	s.bytes = (double)st.bytes;
	sim_run(sim, S(1));
	ck_assert(qb_conn_path_info(node->tunnels->conn, 0, sim_now_ns(sim), &info));
	s.lost = (double)info.lost_packets;
	s.p95_ms = (double)info.srtt_ns / 1e6;
	s.is_refused = p->cc.resume.is_refused;
	return s;
}

static struct start cold_start(enum sim_dir dir)
{
	memset(known(false)->slot, 0, sizeof(known(false)->slot));
	memset(known(true)->slot, 0, sizeof(known(true)->slot));
	return again(dir);
}

START_TEST(a_known_link_starts_faster)
{
	enum sim_dir dir = _i ? SIM_UP : SIM_DOWN;
	struct start warm, cold;

	learn(dir);
	warm = again(dir);
	cold = cold_start(dir);
	printf("first %d ms, %s: %.0f kB cold, %.0f kB known; lost %.0f and %.0f\n", FIRST_MS, dir == SIM_UP ? "up" : "down",
	       cold.bytes / 1e3, warm.bytes / 1e3, cold.lost, warm.lost);
	ck_assert(warm.has_resumed && !warm.is_refused);
	ck_assert(!cold.has_resumed);
	ck_assert_double_ge(warm.bytes, 1.2 * cold.bytes);
	ck_assert_double_le(warm.lost, cold.lost + 20);
	sim_free(sim);
}
END_TEST

/* Half of the rate, a tenth of it. */
START_TEST(a_slower_link_is_not_hurt)
{
	static const double parts[] = {0.5, 0.1};
	uint64_t rate = (uint64_t)(RATE * parts[_i]);
	struct start warm, cold;

	learn(SIM_DOWN);
	sim_link_profile(sim, 0, rate, MS(30), MS(60));
	warm = again(SIM_DOWN);
	cold = cold_start(SIM_DOWN);
	printf("%2.0f %% of the rate: %.0f kB cold, %.0f kB known; lost %.0f and %.0f, RTT %.0f and %.0f ms%s\n",
	       100 * parts[_i], cold.bytes / 1e3, warm.bytes / 1e3, cold.lost, warm.lost, cold.p95_ms, warm.p95_ms,
	       warm.is_refused ? ", refused" : "");
	ck_assert(_i || warm.has_resumed); /* at a tenth, the first window alone may lose packets */
	/* What of the jump did not fit is for nothing: at a tenth that is a few packets' time. */
	ck_assert_double_ge(warm.bytes, (_i ? 0.7 : 0.95) * cold.bytes);
	ck_assert_double_le(warm.p95_ms, cold.p95_ms + 20);
	/* The jump is half of 750 kB at the most. */
	ck_assert_double_le(warm.lost, cold.lost + 375000 / 1200);
	sim_free(sim);
}
END_TEST

/* Another network: the gateway (0), the address (1); the same a day later (2). */
START_TEST(a_link_elsewhere_is_not_known)
{
	struct qb_edge_link *l;
	struct qb_addr other;

	learn(SIM_UP);
	l = &sim_edge(sim)->edge.links[0];
	other = l->local4;
	other.ip[1]++;
	switch (_i) {
	case 0:
		l->network = 77;
		break;
	case 1:
		l->local4 = other;
		break;
	case 2:
		known(false)->wall_ns += QB_KNOWN_LIFE_NS + S(60);
		break;
	}
	ck_assert(!again(SIM_UP).has_resumed);
	sim_free(sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_known");
	TCase *tc = tcase_create("known");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, a_known_link_starts_faster, 0, 2);
	tcase_add_loop_test(tc, a_slower_link_is_not_hurt, 0, 2);
	tcase_add_loop_test(tc, a_link_elsewhere_is_not_known, 0, 3);
	suite_add_tcase(suite, tc);
	r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
