/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a hub lets a site do, with the daemon's real code in the simulator: sources, also of packets that waited for their order;
 * a table of sites that changes under a session; notices that a site cannot flood.
 */
#include "sim.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MS(x) ((uint64_t)(x) * QB_NS_PER_MS)
#define S(x) ((uint64_t)(x) * QB_NS_PER_SEC)

enum { AT_REST_BYTES = 96 << 10, TRAFFIC_BYTES = 600 << 10, KEPT_BYTES = 160 << 10 };

static struct sim *sim;
static struct qb_node *hub;

static void set_up(void)
{
	struct sim_cfg cfg = {.seed = 7, .link_cnt = 2};
	struct qb_notice note;

	sim = sim_new(&cfg);
	sim_link_profile(sim, 0, 20000000, MS(5), MS(40));
	sim_link_profile(sim, 1, 20000000, MS(12), MS(40));
	ck_assert(sim_connect(sim, S(5)));
	hub = sim_hub(sim);
	while (qb_node_next_notice(hub, &note))
		;
}

static void tear_down(void)
{
	sim_free(sim);
}

static struct qb_h3_route range(const char *prefix)
{
	struct qb_h3_route r = {0};
	struct qb_prefix p;

	ck_assert_int_eq(qb_prefix_parse(prefix, &p), 0);
	r.family = p.family;
	qb_prefix_range(&p, r.first, r.last);
	return r;
}

/* numbered is a packet from a source, with a bond header in front: sequence number and the distance to its flow's one before. */
static struct qb_buf *numbered(const uint8_t src[4], uint32_t seq, uint16_t delta)
{
	struct qb_buf *b = qb_buf_get(hub->pool);

	ck_assert_ptr_nonnull(b);
	b->len = 40;
	memset(b->data, 0, b->len);
	b->data[0] = 0x45;
	b->data[3] = 40;
	b->data[8] = 64;
	b->data[9] = 17;
	memcpy(b->data + 12, src, 4);
	memcpy(b->data + 16, (uint8_t[]){10, 2, 0, 2}, 4);
	qb_buf_push(b, QB_BOND_HEADER_LEN);
	qb_store_be32(b->data, seq);
	qb_store_be16(b->data + 4, delta);
	b->flags = QB_BUF_ORDERED;
	b->path = 0;
	return b;
}

/* What waits in vain for the packet before it comes out by a timer: another way out, and as much a stranger's word. */
START_TEST(released_packets_are_checked)
{
	static const uint8_t own[4] = {10, 64, 0, 2}, foreign[4] = {192, 0, 2, 9};
	const uint8_t *src = _i ? foreign : own;
	struct qb_batch in = {.cnt = 2}, out = {0};
	uint64_t now_ns = sim_now_ns(sim);

	in.buf[0] = numbered(own, 1000, 0);
	in.buf[1] = numbered(src, 1010, 5);
	qb_bond_rx(hub->tunnels->bond, &in, &out, now_ns);
	ck_assert_uint_eq(out.cnt, 1); /* the other one is held */
	qb_batch_put(hub->pool, &out);
	qb_tunnel_arm(hub->tunnels, now_ns);
	ck_assert(!qb_node_poll(hub, &out, now_ns + S(1)));
	ck_assert_uint_eq(out.cnt, _i ? 0 : 1);
	ck_assert_uint_eq(qb_counter_read(sim_counters(sim, true), QB_CNT_DROP_SOURCE), _i ? 1 : 0);
	qb_batch_put(hub->pool, &out);
}
END_TEST

/* next_table is the hub's table with a stranger in front, so that the site's index is another one. */
static void next_table(struct qb_hub_site table[2])
{
	memset(table, 0, 2 * sizeof(table[0]));
	memset(table[0].public_key, 0xaa, QB_PUBKEY_LEN);
	table[1] = hub->hub.sites[0];
	table[1].tunnels[0] = NULL;
}

START_TEST(sources_follow_a_new_table)
{
	struct qb_tunnel *t = hub->tunnels;
	static struct qb_hub_site table[2]; /* the hub uses it to its end */
	struct qb_notice note;

	t->sources[t->source_cnt++] = range("10.1.0.0/16");
	t->sources[t->source_cnt++] = range("10.2.0.0/24");
	next_table(table);
	ck_assert_int_eq(qb_prefix_parse("10.64.0.9/32", &table[1].addrs[0]), 0);
	ck_assert_int_eq(qb_prefix_parse("10.2.0.0/16", &table[1].prefixes.p[0]), 0);
	table[1].prefixes.cnt = 1;
	qb_hub_set_sites(hub, table, 2, sim_now_ns(sim));
	ck_assert_uint_eq(t->site, 1);
	ck_assert_ptr_eq(table[1].tunnels[0], t);
	ck_assert_ptr_null(table[0].tunnels[0]);
	ck_assert_uint_eq(t->source_cnt, 2);
	ck_assert_mem_eq(t->sources[0].first, ((uint8_t[]){10, 64, 0, 9}), 4);
	ck_assert_mem_eq(t->sources[1].last, ((uint8_t[]){10, 2, 0, 255}), 4);
	/* The edge is told of its new address. */
	while (qb_node_next_notice(sim_edge(sim), &note))
		;
	sim_run(sim, MS(200));
	while (qb_node_next_notice(sim_edge(sim), &note) && note.type != QB_NOTE_ADDRESSES)
		;
	ck_assert_int_eq(note.type, QB_NOTE_ADDRESSES);
	ck_assert_uint_eq(note.cnt, 1);
	ck_assert_mem_eq(note.prefixes[0].ip, ((uint8_t[]){10, 64, 0, 9}), 4);
	ck_assert_uint_eq(hub->tunnels->generation, t->generation);
}
END_TEST

START_TEST(a_site_that_is_gone_is_closed)
{
	static struct qb_hub_site table[2]; /* the hub uses it to its end */

	next_table(table);
	qb_hub_set_sites(hub, table, 1, sim_now_ns(sim));
	ck_assert(!hub->tunnels->is_open);
	/* Listed again before its end: that session does not come back. */
	qb_hub_set_sites(hub, table, 2, sim_now_ns(sim));
	ck_assert_ptr_null(table[1].tunnels[0]);
	ck_assert(sim_connect(sim, S(5)));
	ck_assert_ptr_eq(table[1].tunnels[0], hub->tunnels);
}
END_TEST

START_TEST(notices_name_the_site_and_do_not_pile_up)
{
	struct qb_tunnel *t = hub->tunnels;
	struct qb_notice note;

	qb_tunnel_notice(t, QB_NOTE_SITE_UP);
	for (uint32_t i = 1; i <= 1000; i++) {
		qb_tunnel_notice(t, QB_NOTE_ROUTES)->cnt = i;
		qb_tunnel_notice(t, QB_NOTE_MTU)->mtu_bytes = i;
		qb_tunnel_notice(t, QB_NOTE_LINK_STATE)->link = i;
	}
	ck_assert(qb_node_next_notice(hub, &note));
	ck_assert_int_eq(note.type, QB_NOTE_SITE_UP);
	ck_assert_mem_eq(note.site_key, hub->hub.sites[0].public_key, QB_PUBKEY_LEN);
	ck_assert_uint_eq(note.generation, t->generation);
	ck_assert(qb_node_next_notice(hub, &note));
	ck_assert_int_eq(note.type, QB_NOTE_ROUTES);
	ck_assert_uint_eq(note.cnt, 1000);
	ck_assert(qb_node_next_notice(hub, &note));
	ck_assert_int_eq(note.type, QB_NOTE_MTU);
	ck_assert_uint_eq(note.mtu_bytes, 1000);
	for (uint32_t i = 0; i < QB_NODE_NOTICES_MAX - 3; i++) { /* the newest ones, in order */
		ck_assert(qb_node_next_notice(hub, &note));
		ck_assert_int_eq(note.type, QB_NOTE_LINK_STATE);
		ck_assert_uint_eq(note.link, 1000 - (QB_NODE_NOTICES_MAX - 4) + i);
	}
	ck_assert(!qb_node_next_notice(hub, &note));
}
END_TEST

/* The edge's side of a reload: row 0 lists its hub at another address too, row 1 under another key, row 2 under another name. */
START_TEST(a_hub_that_is_not_configured_is_left)
{
	struct qb_node *edge = sim_edge(sim);
	struct qb_edge_hub hubs[2] = {edge->edge.hubs[0], edge->edge.hubs[0]};
	uint64_t closed = qb_counter_read(sim_counters(sim, false), QB_CNT_CONNS_CLOSED);
	bool is_kept = _i == 0;

	hubs[0].addr.ip[3]++;
	if (_i == 1)
		hubs[0].public_key[0] ^= 1;
	if (_i == 2)
		snprintf(hubs[0].name, sizeof(hubs[0].name), "other");
	qb_edge_set_hubs(edge, hubs, is_kept ? 2 : 1, sim_now_ns(sim));
	sim_run(sim, MS(100));
	ck_assert(is_kept == (qb_counter_read(sim_counters(sim, false), QB_CNT_CONNS_CLOSED) == closed));
	if (is_kept)
		ck_assert_uint_eq(edge->edge.hub_idx, 1);
}
END_TEST

/* More capsules than a stream holds while its peer is silent: what was said last arrives all the same. */
START_TEST(capsules_without_room_are_sent_again)
{
	struct qb_tunnel *t = hub->tunnels;
	struct qb_conf_prefixes routes = {.cnt = QB_CONF_PREFIXES_MAX};
	struct qb_notice note;
	bool is_told = false;
	uint32_t n;

	for (n = 0; n < 5000 && !t->unsent; n++) {
		for (uint32_t i = 0; i < routes.cnt; i++) {
			routes.p[i] = (struct qb_prefix){.family = 4, .len = 24, .ip = {10, (uint8_t)n, (uint8_t)(2 * i)}};
			if (n >= 256)
				routes.p[i].ip[0] = (uint8_t)(11 + n / 256);
		}
		qb_hub_set_advertise(hub, &routes);
	}
	ck_assert_int_eq(t->unsent, QB_UNSENT_ROUTES);
	routes.p[0] = (struct qb_prefix){.family = 4, .len = 8, .ip = {9}};
	qb_hub_set_advertise(hub, &routes);
	ck_assert_int_eq(t->unsent, QB_UNSENT_ROUTES);
	sim_run(sim, S(3));
	ck_assert_int_eq(t->unsent, 0);
	while (qb_node_next_notice(sim_edge(sim), &note))
		if (note.type == QB_NOTE_ROUTES)
			is_told = note.routes[0].first[0] == 9;
	ck_assert(is_told);
}
END_TEST

/* resident is how much of a node's memory was ever touched. */
static size_t resident(const struct qb_node *n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = qb_node_footprint(&n->cfg) / page, cnt = 0;
	unsigned char *seen = malloc(pages);

	ck_assert_int_eq(mincore((void *)n, pages * page, seen), 0);
	for (size_t i = 0; i < pages; i++)
		cnt += seen[i] & 1;
	free(seen);
	return cnt * page;
}

/* What a hub keeps of a site that is connected and at rest, without TLS and the site's row in the main thread's table, which take
 * 7 kB; here rounded up to pages part by part, as if there were no other site. */
START_TEST(a_site_at_rest_is_small)
{
	struct sim_cfg cfg = {.seed = 8, .link_cnt = 1};
	struct sim *s = sim_new(&cfg);
	size_t before = resident(sim_hub(s)), bytes;

	sim_link_profile(s, 0, 20000000, MS(5), MS(40));
	ck_assert(sim_connect(s, S(5)));
	sim_run(s, S(30));
	bytes = resident(sim_hub(s)) - before;
	printf("a site at rest: %zu bytes\n", bytes);
	ck_assert_uint_le(bytes, AT_REST_BYTES);
	sim_free(s);
}
END_TEST

/* What traffic of a site took comes back when it has been quiet for ten seconds, but for what all sites share; and nothing is amiss
 * when there is traffic again. */
START_TEST(a_quiet_site_gives_back)
{
	struct sim_cfg cfg = {.seed = 8, .link_cnt = 2};
	struct sim *s = sim_new(&cfg);
	size_t before = resident(sim_hub(s)), at_rest, loaded, quiet;
	struct sim_flow_stats stats;
	uint32_t up, down, call;

	sim_link_profile(s, 0, 20000000, MS(5), MS(40));
	sim_link_profile(s, 1, 20000000, MS(25), MS(40));
	ck_assert(sim_connect(s, S(5)));
	sim_run(s, S(30));
	at_rest = resident(sim_hub(s)) - before;
	for (uint32_t round = 0; round < 2; round++) {
		up = sim_tcp_flow(s, SIM_UP);
		down = sim_tcp_flow(s, SIM_DOWN);
		sim_run(s, S(5));
		sim_flow_stop(s, up);
		sim_flow_stop(s, down);
		sim_run(s, S(5));
		loaded = resident(sim_hub(s)) - before;
		sim_run(s, S(10));
		quiet = resident(sim_hub(s)) - before;
		printf("a site at rest: %zu bytes, after traffic %zu, quiet again %zu\n", at_rest, loaded, quiet);
		ck_assert_uint_gt(loaded, at_rest + TRAFFIC_BYTES);
		ck_assert_uint_le(quiet, at_rest + KEPT_BYTES);
		call = sim_udp_flow(s, SIM_UP, 100, 200);
		sim_run(s, S(3));
		sim_flow_stop(s, call);
		sim_run(s, S(1));
		sim_flow_stats(s, call, &stats);
		ck_assert_uint_eq(stats.received, stats.sent);
	}
	sim_flow_stats(s, up, &stats);
	ck_assert_uint_gt(stats.bytes, 10000000);
	sim_free(s);
}
END_TEST

/* awake counts the milliseconds of a span in which a node had anything to do by itself. */
static uint32_t awake(struct sim *s, struct qb_node *n, uint32_t span_ms)
{
	uint32_t cnt = 0;

	for (uint32_t ms = 0; ms < span_ms; ms++) {
		cnt += qb_node_deadline_ns(n) <= sim_now_ns(s) + MS(1);
		sim_run(s, MS(1));
	}
	return cnt;
}

/* A site that carries nothing costs its hub a wake-up for each PING and no other: a hub has thousands. What begins then, either
 * way, is looked after as at any other time: a link that dies under it is left at once. */
START_TEST(a_site_at_rest_is_let_alone)
{
	struct sim_cfg cfg = {.seed = 11 + (uint64_t)_i, .link_cnt = 2};
	struct sim *s = sim_new(&cfg);
	struct sim_flow_stats stats;
	uint32_t wakes, call;

	sim_link_profile(s, 0, 20000000, MS(5), MS(40));
	sim_link_profile(s, 1, 20000000, MS(25), MS(40));
	ck_assert(sim_connect(s, S(5)));
	call = sim_udp_flow(s, SIM_DOWN, 100, 200);
	sim_run(s, S(3));
	sim_flow_stop(s, call);
	sim_run(s, S(15));
	wakes = awake(s, sim_hub(s), 20000);
	printf("a site at rest: awake in %u of 20000 ms\n", wakes);
	ck_assert_uint_le(wakes, 8);
	ck_assert(sim_tunnel(s, true)->is_resting);

	call = sim_udp_flow(s, _i ? SIM_UP : SIM_DOWN, 100, 200);
	sim_run(s, MS(50));
	ck_assert(!sim_tunnel(s, true)->is_resting);
	sim_link_down(s, 0, true);
	sim_run(s, S(2));
	sim_flow_stats(s, call, &stats);
	ck_assert_uint_lt(stats.max_gap_ns, MS(300));
	ck_assert_int_eq(sim_link_state(s, !_i, 0), QB_LINK_FAILED);
	sim_free(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_hub");
	TCase *tc = tcase_create("hub");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, released_packets_are_checked, 0, 2);
	tcase_add_test(tc, sources_follow_a_new_table);
	tcase_add_test(tc, a_site_that_is_gone_is_closed);
	tcase_add_test(tc, notices_name_the_site_and_do_not_pile_up);
	tcase_add_test(tc, capsules_without_room_are_sent_again);
	tcase_add_loop_test(tc, a_hub_that_is_not_configured_is_left, 0, 3);
	suite_add_tcase(suite, tc);
	tc = tcase_create("rest");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_site_at_rest_is_let_alone, 0, 2);
	suite_add_tcase(suite, tc);
	tc = tcase_create("memory");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_site_at_rest_is_small);
	tcase_add_test(tc, a_quiet_site_gives_back);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
