/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an owner asks for, in the simulator: limits of a link's rate, both ways, while it runs; weights; links that a class takes.
 */
#include "sim.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define MS(x) ((uint64_t)(x) * QB_NS_PER_MS)
#define S(x) ((uint64_t)(x) * QB_NS_PER_SEC)

static struct sim *bring_up(uint64_t seed, uint32_t links, uint64_t rate_bps, const char *scheduler)
{
	struct sim_cfg cfg = {.seed = seed, .link_cnt = links, .scheduler = scheduler};
	struct sim *s = sim_new(&cfg);

	for (uint32_t i = 0; i < links; i++)
		sim_link_profile(s, i, rate_bps, MS(10), MS(50));
	ck_assert(sim_connect(s, S(5)));
	return s;
}

/* rate_of is what goes over a link, in Mbit/s of IP packets, measured for a span. */
static void measure(struct sim *s, uint32_t links, uint64_t span_ns, double mbps[SIM_LINKS_MAX][SIM_DIR_CNT])
{
	uint64_t before[SIM_LINKS_MAX][SIM_DIR_CNT];

	for (uint32_t i = 0; i < links; i++)
		for (int dir = 0; dir < SIM_DIR_CNT; dir++)
			before[i][dir] = sim_bytes(s, i, (enum sim_dir)dir);
	sim_run(s, span_ns);
	for (uint32_t i = 0; i < links; i++)
		for (int dir = 0; dir < SIM_DIR_CNT; dir++)
			mbps[i][dir] = (double)(sim_bytes(s, i, (enum sim_dir)dir) - before[i][dir]) * 8e3 / (double)span_ns;
}

/* A link keeps to its limits, up by the edge and down by the hub; another one is not touched; they can change. */
START_TEST(links_keep_to_their_limits)
{
	struct sim *s = bring_up(11, 2, 50000000, NULL);
	struct qb_link_rates rates = {.up_bps = 20000000, .down_bps = 10000000};
	double mbps[SIM_LINKS_MAX][SIM_DIR_CNT];

	qb_edge_set_link_rates(sim_edge(s), 0, &rates, sim_now_ns(s));
	sim_tcp_flow(s, SIM_UP);
	sim_tcp_flow(s, SIM_DOWN);
	sim_run(s, S(3));
	measure(s, 2, S(3), mbps);
	printf("limits 20 up, 10 down: %.1f, %.1f Mbit/s, and without: %.1f, %.1f\n", mbps[0][SIM_UP], mbps[0][SIM_DOWN],
	       mbps[1][SIM_UP], mbps[1][SIM_DOWN]);
	ck_assert_double_le(mbps[0][SIM_UP], 20);
	ck_assert_double_ge(mbps[0][SIM_UP], 17);
	ck_assert_double_le(mbps[0][SIM_DOWN], 10);
	ck_assert_double_ge(mbps[0][SIM_DOWN], 8);
	for (int dir = 0; dir < SIM_DIR_CNT; dir++)
		ck_assert_double_ge(mbps[1][dir], 30);
	rates = (struct qb_link_rates){.up_bps = 5000000};
	qb_edge_set_link_rates(sim_edge(s), 0, &rates, sim_now_ns(s));
	sim_run(s, S(3));
	measure(s, 2, S(3), mbps);
	ck_assert_double_le(mbps[0][SIM_UP], 5);
	ck_assert_double_ge(mbps[0][SIM_UP], 4);
	ck_assert_double_ge(mbps[0][SIM_DOWN], 40);
	sim_free(s);
}
END_TEST

/* The hub knows them again when the link has come back with another path, and after a restart of the hub. */
START_TEST(limits_outlive_paths_and_hubs)
{
	struct sim *s = bring_up(12, 2, 20000000, NULL);
	struct qb_link_rates rates = {.down_bps = 5000000};
	double mbps[SIM_LINKS_MAX][SIM_DIR_CNT];

	qb_edge_set_link_rates(sim_edge(s), 1, &rates, sim_now_ns(s));
	for (int round = 0; round < 2; round++) {
		if (round == 0) {
			sim_link_carrier(s, 1, false);
			sim_run(s, S(1));
			sim_link_carrier(s, 1, true);
		} else {
			sim_hub_restart(s);
			sim_run(s, S(1));
		}
		ck_assert(sim_connect(s, S(10)));
		sim_tcp_flow(s, SIM_DOWN);
		sim_run(s, S(3));
		measure(s, 2, S(3), mbps);
		ck_assert_double_le(mbps[1][SIM_DOWN], 5);
		ck_assert_double_ge(mbps[1][SIM_DOWN], 4);
		ck_assert_double_ge(mbps[0][SIM_DOWN], 16);
	}
	sim_free(s);
}
END_TEST

/*
 * The session begins over the second link. What the edge wishes of the first one overtakes that link's first packet, and what it
 * wishes of the second comes after: the hub keeps both.
 */
START_TEST(wishes_may_come_before_their_paths)
{
	struct sim *s = sim_new(&(struct sim_cfg){.seed = 14, .link_cnt = 2});

	sim_link_profile(s, 0, 20000000, MS(150), MS(50));
	sim_link_profile(s, 1, 20000000, MS(5), MS(50));
	for (uint32_t i = 0; i < 2; i++)
		qb_edge_set_link_rates(sim_edge(s), i, &(struct qb_link_rates){.down_bps = (i + 1) * 1000000, .name = {(char)('a' + i)}},
				       sim_now_ns(s));
	ck_assert(sim_connect(s, S(10)));
	ck_assert_str_eq(qb_tunnel_peer_name(sim_tunnel(s, true), 0), "b");
	ck_assert_str_eq(qb_tunnel_peer_name(sim_tunnel(s, true), 1), "a");
	sim_free(s);
}
END_TEST

/* An edge that changes its mind now and then is heard; one that floods its hub with wishes is sent away, and may come again. */
START_TEST(wishes_have_a_bound)
{
	struct sim *s = bring_up(16, 2, 20000000, NULL);
	const struct qb_counters *edge = sim_counters(s, false);
	uint64_t before = edge->v[QB_CNT_HANDSHAKES];

	for (uint32_t i = 0; i < 450; i++) {
		qb_edge_set_link_rates(sim_edge(s), 0, &(struct qb_link_rates){.weight = 100 + i % 2}, sim_now_ns(s));
		sim_run(s, i < 100 ? MS(10) : MS(2));
		if (i < 150)
			ck_assert_uint_eq(edge->v[QB_CNT_HANDSHAKES], before);
	}
	ck_assert(sim_connect(s, S(10)));
	ck_assert_uint_eq(edge->v[QB_CNT_HANDSHAKES], before + 1);
	sim_free(s);
}
END_TEST

/* A satellite beside a link that is full is filled with padding by both ends, but not where it is paid by volume. */
START_TEST(what_is_paid_by_volume_is_not_filled)
{
	struct sim *s = sim_new(&(struct sim_cfg){.seed = 15, .link_cnt = 2});

	sim_link_profile(s, 0, 5000000, MS(20), MS(60));
	sim_link_profile(s, 1, 10000000, MS(290), MS(100));
	qb_edge_set_link_rates(sim_edge(s), 1, &(struct qb_link_rates){.is_metered = _i}, sim_now_ns(s));
	ck_assert(sim_connect(s, S(10)));
	sim_tcp_flow(s, SIM_UP);
	sim_tcp_flow(s, SIM_DOWN);
	sim_run(s, S(8));
	for (int is_hub = 0; is_hub < 2; is_hub++) {
		uint64_t cnt = sim_counters(s, is_hub)->v[QB_CNT_FILL_PACKETS];

		printf("paid by volume: %s, filled by %s: %llu packets\n", _i ? "yes" : "no", is_hub ? "hub" : "edge", (unsigned long long)cnt);
		ck_assert_int_eq(cnt > 100, !_i);
		ck_assert_int_eq(cnt > 0, !_i);
	}
	sim_free(s);
}
END_TEST

/* Weights are heeded at both ends: three to one over links that are even. */
START_TEST(weights_go_both_ways)
{
	struct sim *s = bring_up(13, 2, 40000000, "weighted");
	double mbps[SIM_LINKS_MAX][SIM_DIR_CNT];

	for (uint32_t i = 0; i < 2; i++)
		qb_edge_set_link_rates(sim_edge(s), i, &(struct qb_link_rates){.weight = i ? 100 : 300}, sim_now_ns(s));
	sim_udp_flow(s, SIM_UP, 2000, 1000);
	sim_udp_flow(s, SIM_DOWN, 2000, 1000);
	sim_run(s, S(2));
	measure(s, 2, S(2), mbps);
	for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
		printf("weights 300 and 100, %s: %.1f and %.1f Mbit/s\n", dir == SIM_UP ? "up" : "down", mbps[0][dir], mbps[1][dir]);
		ck_assert_double_eq_tol(mbps[0][dir] / mbps[1][dir], 3, 0.4);
	}
	sim_free(s);
}
END_TEST

/* ---- [Bond] Mode ---- */

/* used is the set of links that carried more than probes within a second, both ways together. */
static uint32_t used(struct sim *s, uint32_t links)
{
	double mbps[SIM_LINKS_MAX][SIM_DIR_CNT];
	uint32_t set = 0;

	measure(s, links, S(1), mbps);
	for (uint32_t i = 0; i < links; i++)
		set |= (uint32_t)(mbps[i][SIM_UP] > 0.5 || mbps[i][SIM_DOWN] > 0.5) << i;
	return set;
}

/* One link at a time, in order, both ways; when it dies the next one, and back again; together when the mode changes. */
START_TEST(one_link_at_a_time)
{
	struct sim *s = bring_up(17, 3, 20000000, NULL);
	struct sim_flow_stats st;
	uint32_t up, down;

	qb_edge_set_failover(sim_edge(s), true);
	up = sim_udp_flow(s, SIM_UP, 1000, 1000);
	down = sim_udp_flow(s, SIM_DOWN, 1000, 1000);
	sim_run(s, S(3));
	ck_assert_uint_eq(used(s, 3), 1u << 0);
	sim_flow_reset(s, up);
	sim_flow_reset(s, down);
	sim_link_down(s, 0, true);
	sim_run(s, S(2));
	ck_assert_uint_eq(used(s, 3), 1u << 1);
	sim_flow_stats(s, up, &st);
	ck_assert_uint_le(st.max_gap_ns, MS(300));
	sim_flow_stats(s, down, &st);
	ck_assert_uint_le(st.max_gap_ns, MS(300));
	sim_link_down(s, 0, false);
	sim_run(s, S(4));
	ck_assert_uint_eq(used(s, 3), 1u << 0);
	qb_edge_set_failover(sim_edge(s), false);
	sim_tcp_flow(s, SIM_UP);
	sim_tcp_flow(s, SIM_DOWN);
	sim_run(s, S(3));
	ck_assert_uint_eq(used(s, 3), 7);
	sim_free(s);
}
END_TEST

/* set_order says of a link what the main thread would. */
static void set_order(struct sim *s, uint32_t link, enum qb_tier tier, uint8_t rank, bool is_reserve)
{
	const struct qb_edge_link *l = &sim_edge(s)->edge.links[link];
	struct qb_link_order order = {.rank = rank, .is_reserve = is_reserve};
	struct qb_addr local4 = l->local4, local6 = l->local6;

	qb_edge_set_link_order(sim_edge(s), link, &order);
	qb_edge_set_link(sim_edge(s), link, l->is_up, &local4, &local6, tier, sim_now_ns(s));
}

/* The first is the one that is to be, both ways, and another one without a packet lost. */
START_TEST(the_primary_link_comes_first)
{
	struct sim *s = bring_up(18, 3, 20000000, NULL);
	struct sim_flow_stats st;
	uint32_t flows[SIM_DIR_CNT];

	for (uint32_t i = 0; i < 3; i++)
		set_order(s, i, QB_TIER_PRIMARY, (uint8_t)(2 - i), i != 2);
	qb_edge_set_failover(sim_edge(s), true);
	for (int dir = 0; dir < SIM_DIR_CNT; dir++)
		flows[dir] = sim_udp_flow(s, (enum sim_dir)dir, 1000, 1000);
	sim_run(s, S(2));
	ck_assert_uint_eq(used(s, 3), 1u << 2);
	for (int dir = 0; dir < SIM_DIR_CNT; dir++)
		sim_flow_reset(s, flows[dir]);
	set_order(s, 1, QB_TIER_PRIMARY, 0, false);
	set_order(s, 2, QB_TIER_PRIMARY, 1, true);
	sim_run(s, S(1));
	ck_assert_uint_eq(used(s, 3), 1u << 1);
	for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
		sim_flow_stop(s, flows[dir]);
		sim_run(s, MS(200));
		sim_flow_stats(s, flows[dir], &st);
		ck_assert_uint_ge(st.received, st.sent);
	}
	sim_free(s);
}
END_TEST

/* silence: nothing at all goes over a link for two seconds, neither way. */
static bool is_silent(struct sim *s, uint32_t link)
{
	uint64_t before = sim_bytes(s, link, SIM_UP) + sim_bytes(s, link, SIM_DOWN);

	sim_run(s, S(2));
	return sim_bytes(s, link, SIM_UP) + sim_bytes(s, link, SIM_DOWN) == before;
}

/*
 * A link in reserve is not even opened while a better one works, and for three seconds after that; it is closed when that is back. By
 * hand, it takes who says so.
 */
START_TEST(a_link_in_reserve_may_be_kept_closed)
{
	struct sim *s = bring_up(19, 2, 20000000, NULL);

	set_order(s, 1, QB_TIER_BACKUP, 0, true);
	qb_edge_set_reserve(sim_edge(s), _i ? QB_NEVER_NS : S(3));
	for (int dir = 0; dir < SIM_DIR_CNT; dir++)
		sim_udp_flow(s, (enum sim_dir)dir, 1000, 1000);
	sim_run(s, S(3));
	ck_assert(is_silent(s, 1));
	ck_assert_int_eq(sim_edge(s)->edge.links[1].path, -1);
	ck_assert_uint_eq(used(s, 2), 1u << 0);
	sim_link_down(s, 0, true);
	ck_assert(is_silent(s, 1));
	sim_run(s, S(2));
	if (_i) {
		ck_assert(is_silent(s, 1));
		qb_edge_set_reserve(sim_edge(s), 0);
		sim_run(s, MS(500));
	}
	ck_assert_uint_eq(used(s, 2) & 2, 2);
	qb_edge_set_reserve(sim_edge(s), _i ? QB_NEVER_NS : S(3));
	sim_link_down(s, 0, false);
	sim_run(s, S(4));
	ck_assert_uint_eq(used(s, 2), 1u << 0);
	ck_assert(is_silent(s, 1));
	sim_free(s);
}
END_TEST

/* Of tier "never" a link is closed once others do without it, and a new connection leaves it alone. */
START_TEST(a_link_that_nobody_wants_is_closed)
{
	struct sim *s = bring_up(20, 2, 20000000, NULL);

	set_order(s, 0, QB_TIER_NEVER, 0, false);
	sim_run(s, S(3));
	ck_assert(is_silent(s, 0));
	sim_hub_restart(s);
	ck_assert(is_silent(s, 0));
	sim_run(s, S(2));
	ck_assert(sim_tunnel(s, false) != NULL);
	set_order(s, 0, QB_TIER_PRIMARY, 0, false);
	ck_assert(sim_connect(s, S(2)));
	sim_free(s);
}
END_TEST

/* ---- what is counted ---- */

/* A link that goes by its carrier is a failover with a gap like any; and what load costs is known of every link. */
START_TEST(a_carrier_that_goes_is_a_failover)
{
	struct sim *s = bring_up(21, 2, 20000000, NULL);
	const struct qb_counters *c = sim_counters(s, false);
	uint64_t gaps = 0;

	sim_tcp_flow(s, SIM_UP);
	sim_run(s, S(2));
	ck_assert_uint_eq(qb_counter_read(c, QB_CNT_FAILOVERS), 0);
	ck_assert_uint_gt(sim_tunnel(s, false)->loaded_queue_ns, 0);
	for (uint8_t i = 0; i < 2; i++)
		ck_assert_uint_ge(sim_tunnel(s, false)->paths[i].loaded_rtt_ns, MS(20));
	sim_link_carrier(s, 0, false);
	sim_run(s, S(1));
	ck_assert_uint_eq(qb_counter_read(c, QB_CNT_FAILOVERS), 1);
	ck_assert_uint_gt(qb_counter_read(c, QB_CNT_RESCUED), 0);
	for (uint32_t i = QB_CNT_FAILOVER_50MS; i <= QB_CNT_FAILOVER_MORE; i++)
		gaps += qb_counter_read(c, i);
	ck_assert_uint_eq(gaps, 1);
	sim_free(s);
}
END_TEST

/* A link that begins to fail again and again is held back, which is counted; so is one that goes on from another address. */
START_TEST(flaps_and_moves_are_counted)
{
	struct sim *s = bring_up(22, 2, 20000000, NULL);
	struct qb_addr local, none = {0};

	sim_udp_flow(s, SIM_UP, 500, 1000);
	sim_udp_flow(s, SIM_DOWN, 500, 1000);
	for (int i = 0; i < 4; i++) {
		sim_link_down(s, 0, true);
		sim_run(s, S(2));
		sim_link_down(s, 0, false);
		sim_run(s, S(2));
	}
	ck_assert_uint_ge(qb_counter_read(sim_counters(s, false), QB_CNT_FLAPS_HELD), 1);
	local = sim_edge(s)->edge.links[1].local4;
	local.ip[3] ^= 0x40;
	qb_edge_set_link(sim_edge(s), 1, true, &local, &none, QB_TIER_PRIMARY, sim_now_ns(s));
	sim_run(s, S(1));
	for (int i = 0; i < 2; i++)
		ck_assert_uint_eq(qb_counter_read(sim_counters(s, i), QB_CNT_PATH_MOVES), 1);
	sim_free(s);
}
END_TEST

/* ---- [Bond] Grain ---- */

static uint64_t other_seed(void)
{
	return getenv("QB_RUN") ? strtoul(getenv("QB_RUN"), NULL, 10) : 0;
}

/* torn: how many flows that sent much lately did so by several paths. Adds these to *paths, a bit each. */
static uint32_t torn(struct sim *s, bool is_hub, uint32_t *paths)
{
	const struct qb_meter *m = qb_bond_meter(sim_tunnel(s, is_hub)->bond, QB_BOND_TX, sim_now_ns(s));
	uint32_t torn_cnt = 0;

	for (uint32_t i = 0; m && i < QB_METER_FLOWS; i++) {
		const struct qb_meter_flow *f = &m->flows[i];
		uint32_t cnt = 0;

		for (uint32_t p = 0; m->hash[i] && p < QB_METER_PATHS; p++) {
			if (f->last.by_path[p] < 100000)
				continue;
			*paths |= 1u << p;
			cnt++;
		}
		torn_cnt += cnt > 1;
	}
	return torn_cnt;
}

/*
 * With Grain = flow each transfer keeps to one link, up and down, and none is left with little to do: flows are few, so how well
 * they fill both differs by how they come to be spread. When a link dies its flows go on by the other; striped again they take both.
 */
START_TEST(flows_keep_to_a_link)
{
	struct sim *s = bring_up(23 + (uint64_t)_i + other_seed(), 2, 20000000, NULL);
	double mbps[SIM_LINKS_MAX][SIM_DIR_CNT];
	uint32_t paths = 0;

	sim_link_profile(s, 1, 40000000, MS(15), MS(50));
	qb_bond_set_grain(sim_tunnel(s, false)->bond, QB_GRAIN_FLOW);
	qb_bond_set_grain(sim_tunnel(s, true)->bond, QB_GRAIN_FLOW);
	for (int i = 0; i < 6; i++) {
		sim_tcp_flow(s, SIM_UP);
		sim_tcp_flow(s, SIM_DOWN);
	}
	sim_run(s, S(6));
	measure(s, 2, S(2), mbps);
	for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
		printf("by flow, %s: %.1f and %.1f Mbit/s\n", dir == SIM_UP ? "up" : "down", mbps[0][dir], mbps[1][dir]);
		ck_assert_double_ge(mbps[0][dir], 5);
		ck_assert_double_ge(mbps[1][dir], 20);
		paths = 0;
		/* One may have changed for the better in that second. */
		ck_assert_uint_le(torn(s, dir == SIM_DOWN, &paths), 1);
		ck_assert_uint_eq(paths, 3);
	}
	sim_link_carrier(s, 0, false);
	sim_run(s, S(2));
	measure(s, 2, S(3), mbps);
	for (int dir = 0; dir < SIM_DIR_CNT; dir++)
		ck_assert_double_ge(mbps[1][dir], 24);
	sim_link_carrier(s, 0, true);
	ck_assert(sim_connect(s, S(3)));
	qb_bond_set_grain(sim_tunnel(s, false)->bond, QB_GRAIN_AUTO);
	sim_run(s, S(4));
	paths = 0;
	ck_assert_uint_gt(torn(s, false, &paths), 1);
	sim_free(s);
}
END_TEST

/* Of calls, and of transfers (not of what acknowledges others): what went by each one's favourite path. */
struct kept {
	uint64_t bytes[2], by_favourite[2];
};

static void note_kept(struct sim *s, bool is_hub, struct kept *k)
{
	const struct qb_meter *m = qb_bond_meter(sim_tunnel(s, is_hub)->bond, QB_BOND_TX, sim_now_ns(s));

	for (uint32_t i = 0; m && i < QB_METER_FLOWS; i++) {
		const struct qb_meter_flow *f = &m->flows[i];
		uint32_t most = 0, sum = 0, is_tcp;

		if (!m->hash[i])
			continue;
		is_tcp = f->proto == 6;
		for (uint32_t p = 0; p < QB_METER_PATHS; p++) {
			most = QB_MAX(most, f->last.by_path[p]);
			sum += f->last.by_path[p];
		}
		if (is_tcp && sum < 200000)
			continue;
		k->bytes[is_tcp] += sum;
		k->by_favourite[is_tcp] += most;
	}
}

/* keep_count lets both ends go by a grain for a while, and then counts for so many seconds. */
static void keep_count(struct sim *s, enum qb_grain grain, uint32_t secs, struct kept k[SIM_DIR_CNT])
{
	memset(k, 0, SIM_DIR_CNT * sizeof(*k));
	qb_bond_set_grain(sim_tunnel(s, false)->bond, grain);
	qb_bond_set_grain(sim_tunnel(s, true)->bond, grain);
	sim_run(s, S(4));
	for (uint32_t i = 0; i < secs; i++) {
		sim_run(s, S(1));
		note_kept(s, false, &k[SIM_UP]);
		note_kept(s, true, &k[SIM_DOWN]);
	}
}

static double kept_part(const struct kept *k, bool is_tcp)
{
	return k->bytes[is_tcp] ? (double)k->by_favourite[is_tcp] / (double)k->bytes[is_tcp] : 0;
}

/*
 * Three calls each way over two even links whose delays waver keep to one of them. Two transfers each way beside them take both links,
 * half and half, but by the grain flow; the calls then go over to the link that is clearly the quicker, now and then, and are still
 * far from half and half. Calls are not copied here, which would look like taking both. (What the grain packet is to a call:
 * the_grain_may_be_a_packet, test_bond_bond.c.)
 */
START_TEST(the_grain_is_what_keeps_to_a_link)
{
	static const struct qb_policy once = {
		.cnt = 1, .rules = {{.match = {.ports = {{.proto = 17}}, .port_cnt = 1}, .treat = {.copies = 1, .fec = {.mode = QB_FEC_OFF}}}}};
	static const struct qb_fec_want no_fec_here = {.mode = QB_FEC_OFF};
	static const enum qb_grain grains[] = {QB_GRAIN_AUTO, QB_GRAIN_PACKET, QB_GRAIN_FLOW};
	struct sim *s = bring_up(61 + other_seed(), 2, 20000000, NULL);
	struct kept k[SIM_DIR_CNT];

	qb_node_set_policy(sim_edge(s), &once, &no_fec_here);
	qb_node_set_policy(sim_hub(s), &once, &no_fec_here);
	for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
		for (uint32_t link = 0; link < 2; link++) {
			struct qb_netem_params p = sim_link(s, link, dir)->params;

			p.jitter_ns = MS(1);
			qb_netem_configure(sim_link(s, link, dir), &p, sim_now_ns(s));
		}
		for (int i = 0; i < 3; i++)
			sim_udp_flow(s, dir, 50, 200);
	}
	keep_count(s, QB_GRAIN_AUTO, 4, k);
	for (int dir = 0; dir < SIM_DIR_CNT; dir++)
		ck_assert_double_ge(kept_part(&k[dir], false), 0.95);
	for (int dir = 0; dir < SIM_DIR_CNT; dir++)
		for (int i = 0; i < 2; i++)
			sim_tcp_flow(s, dir);
	for (uint32_t g = 0; g < QB_ARRAY_LEN(grains); g++) {
		keep_count(s, grains[g], 4, k);
		for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
			double call = kept_part(&k[dir], false), transfer = kept_part(&k[dir], true);

			printf("grain %s, %s: %.1f %% of a call and %.1f %% of a transfer by one link\n", qb_grain_name(grains[g]),
			       dir == SIM_UP ? "up" : "down", call * 100, transfer * 100);
			if (grains[g] == QB_GRAIN_FLOW)
				ck_assert_double_ge(transfer, 0.9);
			else
				ck_assert_double_le(transfer, 0.65);
			if (grains[g] == QB_GRAIN_AUTO)
				ck_assert_double_ge(call, 0.65);
		}
	}
	sim_free(s);
}
END_TEST

/* ---- [Bond] TailCopies ---- */

static const struct qb_fec_want no_fec = {.mode = QB_FEC_OFF};

/* Bulk that comes in little bits over a quick and a slow link in turns: each ends with what the slow one has, but for copies. */
START_TEST(ends_do_not_wait_for_the_slow_link)
{
	static const struct qb_policy bulk = {
		.cnt = 1,
		.rules = {{.match = {.ports = {{.proto = 17}}, .port_cnt = 1}, .treat = {.class = QB_CLASS_BULK, .fec = {.mode = QB_FEC_OFF}}}}};
	struct sim_cfg cfg = {.seed = 31, .link_cnt = 2, .scheduler = "roundrobin"};
	struct sim *s = sim_new(&cfg);
	struct sim_flow_stats st;
	uint32_t flow;

	sim_link_profile(s, 0, 20000000, MS(5), MS(50));
	sim_link_profile(s, 1, 20000000, MS(80), MS(50));
	ck_assert(sim_connect(s, S(3)));
	qb_node_set_policy(sim_edge(s), &bulk, &no_fec);
	qb_bond_set_tail(sim_tunnel(s, false)->bond, _i);
	flow = sim_udp_flow(s, SIM_UP, 20, 600);
	sim_run(s, S(2));
	sim_flow_reset(s, flow);
	sim_run(s, S(4));
	sim_flow_stats(s, flow, &st);
	printf("tail copies %s: mostly within %.1f ms, %llu copies\n", _i ? "on" : "off", (double)st.delay_p95_ns / 1e6,
	       (unsigned long long)qb_counter_read(sim_counters(s, false), QB_CNT_TAIL_COPIES));
	ck_assert_uint_eq(st.duplicates, 0);
	ck_assert_uint_ge(st.received, 76);
	if (_i) {
		ck_assert_uint_le(st.delay_p95_ns, MS(30));
		ck_assert_uint_ge(qb_counter_read(sim_counters(s, true), QB_CNT_DROP_REORDER_DUP), 20);
	} else {
		ck_assert_uint_ge(st.delay_p95_ns, MS(80));
		ck_assert_uint_eq(qb_counter_read(sim_counters(s, false), QB_CNT_TAIL_COPIES), 0);
	}
	sim_free(s);
}
END_TEST

/* ---- [Policy] Via ---- */

/* All UDP by link 1. */
static const struct qb_policy udp_by_link1 = {
	.cnt = 1, .rules = {{.match = {.ports = {{.proto = 17}}, .port_cnt = 1}, .treat = {.via = 1u << 1, .fec = {.mode = QB_FEC_OFF}}}}};

static double share_of(struct sim *s, uint32_t link)
{
	struct qb_tunnel *t = sim_tunnel(s, false);
	const struct qb_meter *m = qb_bond_meter(t->bond, QB_BOND_TX, sim_now_ns(s));
	uint64_t all = 0, part = 0;

	for (uint32_t i = 0; m && i < QB_METER_FLOWS; i++) {
		const struct qb_meter_flow *f = &m->flows[i];

		for (uint32_t p = 0; m->hash[i] && f->proto == 17 && p < QB_METER_PATHS; p++) {
			all += f->last.by_path[p];
			part += t->paths[p].link == link ? f->last.by_path[p] : 0;
		}
	}
	return all ? (double)part / (double)all : -1;
}

/* part_of is the share of UDP that left the edge by a link of late. The meter looks at some packets only, and may see none of a slow
 * flow's in a second. */
static double part_of(struct sim *s, uint32_t link)
{
	for (uint32_t i = 0; i < 3 && share_of(s, link) < 0; i++)
		sim_run(s, S(1));
	return share_of(s, link);
}

/* A call takes the link that its policy names, although another one is quicker; when that dies it goes on by others, and comes
 * back to it. A link that is kept in reserve is as good. */
START_TEST(a_class_takes_the_link_that_it_names)
{
	struct sim *s = bring_up(14, 2, 20000000, NULL);
	struct sim_flow_stats st;
	uint32_t call;

	sim_link_profile(s, 1, 20000000, MS(25), MS(50));
	qb_node_set_policy(sim_edge(s), &udp_by_link1, &no_fec);
	if (_i)
		qb_bond_set_tier(sim_tunnel(s, false)->bond, (uint8_t)sim_edge(s)->edge.links[1].path, QB_TIER_BACKUP);
	call = sim_udp_flow(s, SIM_UP, 50, 200);
	sim_tcp_flow(s, SIM_UP);
	sim_run(s, S(3));
	ck_assert_double_eq(part_of(s, 1), 1);
	sim_flow_reset(s, call);
	sim_link_carrier(s, 1, false);
	sim_run(s, S(3));
	ck_assert_double_eq(part_of(s, 0), 1);
	sim_flow_stats(s, call, &st);
	ck_assert_uint_ge(st.received, 140);
	sim_link_carrier(s, 1, true);
	sim_run(s, S(5));
	ck_assert_double_eq(part_of(s, 1), 1);
	sim_free(s);
}
END_TEST

/* More than the named link carries waits, and is dropped, by itself: TCP has the other link for itself, and a call that no
 * policy names is not held up. */
START_TEST(a_full_link_holds_up_those_alone_that_name_it)
{
	static const struct qb_policy bulk_by_link1 = {
		.cnt = 1,
		.rules = {{.match = {.ports = {{.proto = 17}}, .port_cnt = 1},
			   .treat = {.class = QB_CLASS_BULK, .via = 1u << 1, .fec = {.mode = QB_FEC_OFF}}}}};
	struct sim *s = bring_up(15, 2, 40000000, NULL);
	double mbps[SIM_LINKS_MAX][SIM_DIR_CNT];
	uint32_t flood[4], tcp;
	struct sim_flow_stats st;
	uint64_t got = 0;

	sim_link_profile(s, 1, 5000000, MS(10), MS(50));
	qb_node_set_policy(sim_edge(s), &bulk_by_link1, &no_fec);
	for (uint32_t i = 0; i < QB_ARRAY_LEN(flood); i++)
		flood[i] = sim_udp_flow(s, SIM_UP, 1000, 1000);
	tcp = sim_tcp_flow(s, SIM_UP);
	sim_run(s, S(3));
	sim_flow_reset(s, tcp);
	for (uint32_t i = 0; i < QB_ARRAY_LEN(flood); i++)
		sim_flow_reset(s, flood[i]);
	measure(s, 2, S(3), mbps);
	sim_flow_stats(s, tcp, &st);
	printf("32 Mbit/s of UDP by a link of 5: %.1f there, %.1f by the other; TCP %.1f\n", mbps[1][SIM_UP], mbps[0][SIM_UP],
	       (double)st.bytes * 8e-6 / 3);
	ck_assert_double_ge((double)st.bytes * 8e-6 / 3, 32);
	ck_assert_double_le(st.srtt_ns / 1e6, 120);
	ck_assert_double_ge(mbps[1][SIM_UP], 4);
	for (uint32_t i = 0; i < QB_ARRAY_LEN(flood); i++) {
		sim_flow_stats(s, flood[i], &st);
		got += st.bytes;
	}
	ck_assert_double_ge((double)got * 8e-6 / 3, 3.5);
	ck_assert_double_le((double)got * 8e-6 / 3, 6);
	sim_free(s);
}
END_TEST

/* What is of use for 30 ms and brings more than there is in time is not held back for what was
 * dropped or lost: a link of its own loses, others are filled by TCP. */
START_TEST(what_has_a_deadline_is_not_waited_for)
{
	struct qb_policy policy = {.cnt = 1,
				   .rules = {{.match = {.ports = {{.proto = 17}}, .port_cnt = 1}}}};
	struct sim *s = bring_up(31, 3, 30000000, NULL);
	struct qb_netem_params lossy;
	struct sim_flow_stats st;
	uint32_t film[3];

	policy.rules[0].treat = (struct qb_treatment){.sched = qb_sched_find("deadline"),
						      .deadline_ns = MS(30),
						      .fec = {.mode = QB_FEC_OFF}};
	sim_link_profile(s, 1, 20000000, MS(25), MS(100));
	sim_link_profile(s, 2, 8000000, MS(40), MS(100));
	lossy = sim_link(s, 0, SIM_UP)->params;
	lossy.loss = 0.005;
	qb_netem_configure(sim_link(s, 0, SIM_UP), &lossy, sim_now_ns(s));
	qb_node_set_policy(sim_edge(s), &policy, &no_fec);
	sim_tcp_flow(s, SIM_UP);
	for (uint32_t i = 0; i < QB_ARRAY_LEN(film); i++)
		film[i] = sim_udp_flow(s, SIM_UP, 1000, 1200);
	sim_run(s, S(3));
	for (uint32_t i = 0; i < QB_ARRAY_LEN(film); i++)
		sim_flow_reset(s, film[i]);
	sim_run(s, S(5));
	for (uint32_t i = 0; i < QB_ARRAY_LEN(film); i++) {
		sim_flow_stats(s, film[i], &st);
		printf("of use for 30 ms: %lu came, median %.1f ms, 95 %% within %.1f\n",
		       (unsigned long)st.received, (double)st.delay_p50_ns / 1e6,
		       (double)st.delay_p95_ns / 1e6);
		ck_assert_uint_ge(st.received, 1500);
		ck_assert_double_le((double)st.delay_p95_ns / 1e6, 35);
	}
	sim_free(s);
}
END_TEST

/* A link that is too far behind to help is said to be, once, and again when it is not any more. */
START_TEST(what_a_link_is_used_for_is_told)
{
	static const char *const want[][2] = {{"normal", "left_out"}, {"left_out", "normal"}};
	struct sim *s = bring_up(16, 2, 20000000, NULL);
	struct qb_notice note;
	uint32_t told = 0;

	sim_link_profile(s, 1, 2000000, MS(300), MS(50));
	sim_tcp_flow(s, SIM_UP);
	for (uint32_t second = 0; second < 30; second++) {
		if (second == 10)
			sim_link_profile(s, 1, 20000000, MS(10), MS(50));
		sim_run(s, S(1));
		while (qb_node_next_notice(sim_edge(s), &note)) {
			if (note.type != QB_NOTE_LINK_USE || note.link != 1 || told == QB_ARRAY_LEN(want) ||
			    strcmp(note.to, want[told][1]))
				continue;
			ck_assert_ptr_nonnull(strstr(note.reason, told ? "carries " : " ms behind: "));
			told++;
		}
	}
	ck_assert_uint_eq(told, QB_ARRAY_LEN(want));
	sim_free(s);
}
END_TEST

/* ---- Scheduler = deadline ---- */

/*
 * A flow with a deadline that brings half as much again as the links carry: what arrives is in time, and is nearly what they
 * carry, also by the slower one of the two.
 */
START_TEST(an_overload_is_not_late)
{
	static const struct qb_policy udp_in_60_ms = {
		.cnt = 1,
		.rules = {{.match = {.ports = {{.proto = 17}}, .port_cnt = 1},
			   .treat = {.class = QB_CLASS_REALTIME, .deadline_ns = MS(60), .fec = {.mode = QB_FEC_OFF}}}}};
	double pps = _i ? 15e6 / 8000 : 20e6 / 8000;
	struct sim *s = bring_up(41, 2, 10000000, "deadline");
	struct sim_flow_stats st;
	uint32_t flow;

	if (_i)
		sim_link_profile(s, 1, 5000000, MS(20), MS(200));
	qb_node_set_policy(sim_edge(s), &udp_in_60_ms, &no_fec);
	flow = sim_udp_flow(s, SIM_UP, 1.5 * pps, 1000);
	sim_run(s, S(3));
	sim_flow_reset(s, flow);
	sim_run(s, S(2));
	sim_flow_stats(s, flow, &st);
	printf("overload of %s links with a deadline of 60 ms: %.0f %% of what they carry, mostly within %.1f ms\n", _i ? "uneven" : "even",
	       (double)st.received * 100 / (2 * pps), (double)st.delay_p95_ns / 1e6);
	ck_assert_uint_le(st.delay_p95_ns, MS(62));
	ck_assert_double_ge((double)st.received, 0.8 * 2 * pps);
	sim_free(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_policy");
	TCase *tc = tcase_create("sim_policy");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, links_keep_to_their_limits);
	tcase_add_test(tc, limits_outlive_paths_and_hubs);
	tcase_add_test(tc, wishes_may_come_before_their_paths);
	tcase_add_test(tc, wishes_have_a_bound);
	tcase_add_loop_test(tc, what_is_paid_by_volume_is_not_filled, 0, 2);
	tcase_add_test(tc, weights_go_both_ways);
	tcase_add_test(tc, one_link_at_a_time);
	tcase_add_test(tc, the_primary_link_comes_first);
	tcase_add_test(tc, a_carrier_that_goes_is_a_failover);
	tcase_add_test(tc, the_grain_is_what_keeps_to_a_link);
	tcase_add_loop_test(tc, flows_keep_to_a_link, 0, getenv("QB_RUN") ? 20 : 2);
	tcase_add_loop_test(tc, ends_do_not_wait_for_the_slow_link, 0, 2);
	tcase_add_test(tc, flaps_and_moves_are_counted);
	tcase_add_loop_test(tc, a_link_in_reserve_may_be_kept_closed, 0, 2);
	tcase_add_test(tc, a_link_that_nobody_wants_is_closed);
	tcase_add_loop_test(tc, a_class_takes_the_link_that_it_names, 0, 2);
	tcase_add_test(tc, what_has_a_deadline_is_not_waited_for);
	tcase_add_test(tc, what_a_link_is_used_for_is_told);
	tcase_add_test(tc, a_full_link_holds_up_those_alone_that_name_it);
	tcase_add_loop_test(tc, an_overload_is_not_late, 0, 2);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
