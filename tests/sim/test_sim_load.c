/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a person feels, in the simulator: a ping beside bulk transfers over a modem with a buffer of seconds, calls with bulk in
 * both directions at once, ten cuts of a link in two minutes, and silent deaths under load.
 *
 *   QB_CUTS=from,count
 *     other pairs of links drawn by seed, one of which dies silently under load: a line each
 *   QB_TRACE=ms
 *     with that, a line each so many milliseconds from the death on
 */
#include "sim_set.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MS(x) ((uint64_t)(x) * QB_NS_PER_MS)
#define S(x) ((uint64_t)(x) * QB_NS_PER_SEC)

enum { SEEDS = 6, DEATHS = 12, BACKS = 5, WATCH_STEP_MS = 10, WATCH_STEPS = 500, WATCH_SPAN = 50 }; /* what two directions do to each other is a matter of phase */

static struct sim *bring_up(uint64_t seed, uint32_t links)
{
	struct sim_cfg cfg = {.seed = seed, .link_cnt = links};

	return sim_new(&cfg);
}

/* 20 Mbit/s, 20 ms each way, and a modem that holds four seconds: what waits, waits in the tunnel, by flow. */
START_TEST(a_bloated_modem_is_not_filled)
{
	struct sim *s = bring_up(21 + (uint64_t)_i, 1);
	uint64_t p95_sum_ns = 0;
	uint32_t ping[SIM_DIR_CNT];
	struct sim_flow_stats st;

	sim_link_profile(s, 0, 20000000, MS(20), S(4));
	ck_assert(sim_connect(s, S(5)));
	for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
		ping[dir] = sim_udp_flow(s, (enum sim_dir)dir, 20, 100);
		for (int i = 0; i < 4; i++)
			sim_tcp_flow(s, (enum sim_dir)dir);
	}
	sim_run(s, S(3));
	for (int dir = 0; dir < SIM_DIR_CNT; dir++)
		sim_flow_reset(s, ping[dir]);
	sim_run(s, S(10));
	for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
		sim_flow_stats(s, ping[dir], &st);
		printf("bloated, way %d: p50 %.1f, p95 %.1f, most %.1f ms, %llu of %llu\n", dir,
		       (double)st.delay_p50_ns / 1e6, (double)st.delay_p95_ns / 1e6, (double)st.delay_max_ns / 1e6,
		       (unsigned long long)st.received, (unsigned long long)st.sent);
		p95_sum_ns += st.delay_p95_ns;
		ck_assert_uint_ge(st.received + 1, st.sent);
	}
	/* There and back: at most 50 ms more than the link takes. */
	ck_assert_uint_le(p95_sum_ns, MS(2 * 20 + 50));
	sim_free(s);
}
END_TEST

/*
 * A link and a satellite that has more, but half a second later. Padding finds out what it has while transfers fill the link. Beside
 * LTE some of them go by it, and together they have what both have; where there is next to nothing else they all go by it.
 */
START_TEST(beside_a_satellite)
{
	static const struct {
		uint64_t near_bps;
		uint32_t least_mbps, most_ms;
	} beside[] = {{20000000, 40, 450}, {4000000, 22, 1000}};
	struct sim *s = bring_up(61, 2);
	struct sim_flow_stats st;
	uint64_t late_ns = 0, bytes = 0, padding;
	uint32_t flow[4];

	sim_link_profile(s, 0, beside[_i].near_bps, MS(20), MS(80));
	sim_link_profile(s, 1, 30000000, MS(300), MS(200));
	ck_assert(sim_connect(s, S(5)));
	for (int i = 0; i < 4; i++)
		flow[i] = sim_tcp_flow(s, SIM_UP);
	sim_run(s, S(20));
	for (int i = 0; i < 4; i++)
		sim_flow_reset(s, flow[i]);
	sim_run(s, S(10));
	for (int i = 0; i < 4; i++) {
		sim_flow_stats(s, flow[i], &st);
		bytes += st.bytes;
		late_ns = QB_MAX(late_ns, st.delay_p95_ns);
	}
	padding = qb_counter_read(sim_counters(s, false), QB_CNT_FILL_PACKETS);
	printf("%u Mbit/s and a satellite: %.1f Mbit/s, p95 %.1f ms, %llu packets of padding\n",
	       (unsigned)(beside[_i].near_bps / 1000000), (double)bytes * 8 / 10e6, (double)late_ns / 1e6, (unsigned long long)padding);
	ck_assert_double_ge((double)bytes * 8 / 10e6, beside[_i].least_mbps);
	ck_assert_uint_le(late_ns, MS(beside[_i].most_ms));
	ck_assert_uint_ge(padding, 1500);
	ck_assert_uint_le(padding, 15000);
	ck_assert_uint_eq(qb_counter_read(sim_counters(s, true), QB_CNT_FILL_PACKETS), 0);
	sim_free(s);
}
END_TEST

/* What flows had beside a satellite. */
struct beside {
	uint32_t far, quick; /* that took it, and that had nothing to do with it; a bit each */
	double mbps;	     /* all of them */
};

static void run_beside(struct sim *s, const uint32_t *flow, uint32_t cnt, uint32_t secs, struct beside *out)
{
	struct sim_flow_stats st;

	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < cnt; i++)
		sim_flow_reset(s, flow[i]);
	sim_run(s, S(secs));
	for (uint32_t i = 0; i < cnt; i++) {
		sim_flow_stats(s, flow[i], &st);
		out->far |= (uint32_t)(st.delay_p50_ns > MS(290)) << i;
		out->quick |= (uint32_t)(st.delay_p95_ns <= MS(120)) << i;
		out->mbps += (double)st.bytes * 8 / (secs * 1e6);
	}
	printf("of %u flows %u by a satellite, %u not: %.1f Mbit/s\n", cnt, (uint32_t)__builtin_popcount(out->far),
	       (uint32_t)__builtin_popcount(out->quick), out->mbps);
}

/*
 * Of flows that fill LTE for long some go by the satellite as a whole once it is known, and all together have more from then on. One
 * alone stays, and when LTE has room again, or the satellite fails, they come back.
 */
START_TEST(whole_flows_by_a_satellite)
{
	enum { FLOWS = 16 };
	struct sim *s = bring_up(63, 2);
	uint32_t flow[FLOWS], pair[2];
	struct beside x;

	sim_link_profile(s, 0, 20000000, MS(20), MS(80));
	sim_link_profile(s, 1, 30000000, MS(300), MS(200));
	ck_assert(sim_connect(s, S(5)));
	flow[0] = sim_tcp_flow(s, SIM_UP);
	sim_run(s, S(2));
	run_beside(s, flow, 1, 12, &x);
	ck_assert_uint_eq(x.quick, 1);
	ck_assert_double_ge(x.mbps, 17);
	for (int i = 1; i < FLOWS; i++)
		flow[i] = sim_tcp_flow(s, SIM_UP);
	sim_run(s, S(2));
	run_beside(s, flow, FLOWS, 5, &x);
	ck_assert_int_ge(__builtin_popcount(x.far), 4);
	ck_assert_int_ge(__builtin_popcount(x.quick), 4);
	ck_assert_double_ge(x.mbps, 22);
	run_beside(s, flow, FLOWS, 5, &x);
	ck_assert_int_ge(__builtin_popcount(x.quick), 4);
	ck_assert_double_ge(x.mbps, 30);
	/* Two of those that went there are left: one comes back. The other does when the satellite fails. */
	pair[0] = flow[__builtin_ctz(x.far)];
	pair[1] = flow[__builtin_ctz(x.far & (x.far - 1))];
	for (uint32_t i = 0; i < FLOWS; i++)
		if (flow[i] != pair[0] && flow[i] != pair[1])
			sim_flow_stop(s, flow[i]);
	sim_run(s, S(8));
	run_beside(s, pair, 2, 4, &x);
	ck_assert_int_eq(__builtin_popcount(x.quick), 1);
	ck_assert_double_ge(x.mbps, 20);
	sim_link_down(s, 1, true);
	sim_run(s, S(5));
	run_beside(s, pair, 2, 4, &x);
	ck_assert_uint_eq(x.far, 0);
	ck_assert_double_ge(x.mbps, 17);
	sim_free(s);
}
END_TEST

/* Calls while both directions are full: nearly none lost, and no later than 30 ms after the best link's delay. */
START_TEST(calls_with_bulk_both_ways)
{
	static const struct {
		uint64_t rate_bps, delay_ms;
	} links[] = {{50000000, 10}, {20000000, 25}};
	struct sim *s = bring_up(31 + (uint64_t)_i, 2);
	uint32_t call[SIM_DIR_CNT];
	struct sim_flow_stats st;

	for (uint32_t i = 0; i < 2; i++)
		sim_link_profile(s, i, links[i].rate_bps, MS(links[i].delay_ms), MS(200));
	ck_assert(sim_connect(s, S(5)));
	for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
		call[dir] = sim_udp_flow(s, (enum sim_dir)dir, 50, 200);
		for (int i = 0; i < 4; i++)
			sim_tcp_flow(s, (enum sim_dir)dir);
	}
	sim_run(s, S(6)); /* the transfers' start is over */
	for (int dir = 0; dir < SIM_DIR_CNT; dir++)
		sim_flow_reset(s, call[dir]);
	sim_run(s, S(15));
	for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
		sim_flow_stats(s, call[dir], &st);
		printf("call, way %d: p95 %.1f, p99 %.1f ms, %llu of %llu\n", dir, (double)st.delay_p95_ns / 1e6,
		       (double)st.delay_p99_ns / 1e6, (unsigned long long)st.received, (unsigned long long)st.sent);
		ck_assert_uint_le(st.delay_p95_ns, MS(10 + 30));
		ck_assert_double_ge((double)st.received, 0.995 * (double)st.sent - 1);
	}
	sim_free(s);
}
END_TEST

/* Small packets that wait at the same time share QUIC packets; of one that is lost, all that it held comes again. */
START_TEST(small_packets_share)
{
	enum { FLOWS = 16 };
	struct sim *s = bring_up(61 + (uint64_t)_i, 2);
	const struct qb_counters *c = sim_counters(s, false);
	uint64_t sent = 0, received = 0, bundles, bundled, again;
	uint32_t flow[FLOWS];

	for (uint32_t i = 0; i < 2; i++)
		sim_link_profile(s, i, 20000000, MS(10 + 5 * i), MS(100));
	ck_assert(sim_connect(s, S(5)));
	for (uint32_t i = 0; i < 2; i++) {
		struct qb_netem_params p = sim_link(s, i, SIM_UP)->params;

		p.loss = 0.02;
		qb_netem_configure(sim_link(s, i, SIM_UP), &p, sim_now_ns(s));
	}
	for (uint32_t i = 0; i < FLOWS; i++)
		flow[i] = sim_udp_flow(s, SIM_UP, 400, 80);
	sim_run(s, S(4));
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct sim_flow_stats st;

		sim_flow_stop(s, flow[i]);
		sim_run(s, MS(200));
		sim_flow_stats(s, flow[i], &st);
		ck_assert_uint_eq(st.duplicates, 0);
		sent += st.sent;
		received += st.received;
	}
	bundles = qb_counter_read(c, QB_CNT_BUNDLES_TX);
	bundled = qb_counter_read(c, QB_CNT_BUNDLED_TX);
	again = qb_counter_read(c, QB_CNT_REPAIRED);
	printf("small: %llu of %llu, %llu of them in bundles of %.1f, %llu again\n", (unsigned long long)received,
	       (unsigned long long)sent, (unsigned long long)bundled, (double)bundled / (double)bundles, (unsigned long long)again);
	ck_assert_double_ge((double)received, 0.995 * (double)sent);
	ck_assert_uint_gt(2 * bundled, sent);
	ck_assert_uint_gt(bundled, 3 * bundles);
	ck_assert_uint_gt(again, sent / 100);
	sim_free(s);
}
END_TEST

/* Ten cuts of one link in two minutes: a call and a paced transfer that fit the other one lose nothing to speak of, and are never
 * silent for long. */
START_TEST(ten_cuts_in_two_minutes)
{
	struct sim *s = bring_up(41, 2);
	uint32_t call[SIM_DIR_CNT], film[SIM_DIR_CNT];
	struct sim_flow_stats st;

	for (uint32_t i = 0; i < 2; i++)
		sim_link_profile(s, i, 20000000, MS(10 + 5 * i), MS(100));
	ck_assert(sim_connect(s, S(5)));
	for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
		call[dir] = sim_udp_flow(s, (enum sim_dir)dir, 50, 200);
		film[dir] = sim_udp_flow(s, (enum sim_dir)dir, 500, 1000);
	}
	sim_run(s, S(3));
	for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
		sim_flow_reset(s, call[dir]);
		sim_flow_reset(s, film[dir]);
	}
	for (int cut = 0; cut < 10; cut++) {
		sim_link_down(s, 0, true);
		sim_run(s, S(5));
		sim_link_down(s, 0, false);
		sim_run(s, S(7));
	}
	for (int i = 0; i < 2 * SIM_DIR_CNT; i++) {
		sim_flow_stats(s, i < SIM_DIR_CNT ? call[i] : film[i - SIM_DIR_CNT], &st);
		printf("ten cuts, %s %d: %llu of %llu, longest gap %.1f ms\n", i < SIM_DIR_CNT ? "call" : "film",
		       i % SIM_DIR_CNT, (unsigned long long)st.received, (unsigned long long)st.sent, (double)st.max_gap_ns / 1e6);
		ck_assert_double_ge((double)st.received, 0.995 * (double)st.sent);
		ck_assert_uint_le(st.max_gap_ns, MS(300));
	}
	sim_free(s);
}
END_TEST

/* ---- silent death under load, links drawn by seed ---- */

struct death {
	double call_gap_ms, bulk_gap_ms; /* the longest silence, of a call and of a transfer */
	double alone_ms;   /* from the death to the transfer's having nine tenths of the other link */
	double full_ms;	   /* and from the healing to its having as much of what it had with both */
	double back_ms;	   /* from the link's healing to its being in service at both ends */
	double back_ratio; /* what the transfer gets in the second second after that, of what it got before */
	double call_loss;
};

static double log_between(struct qb_rand *r, double from, double to)
{
	return from * pow(to / from, (double)qb_rand_below(r, 1000) / 1000);
}

static double bytes_in(struct sim *s, uint32_t flow, uint64_t span_ns)
{
	struct sim_flow_stats st;

	sim_flow_reset(s, flow);
	sim_run(s, span_ns);
	sim_flow_stats(s, flow, &st);
	return (double)st.bytes;
}

static bool is_in_service(struct sim *s, uint32_t link)
{
	return sim_link_state(s, false, link) == QB_LINK_ACTIVE && sim_link_state(s, true, link) == QB_LINK_ACTIVE;
}

/* A transfer's bytes, and whether a link was in service, each 10 ms. */
struct watch {
	double bytes[WATCH_STEPS];
	uint32_t cnt, in_service_from; /* cnt: not so far */
};

static void watch(struct sim *s, enum sim_dir dir, uint32_t flow, uint32_t link, struct watch *w)
{
	uint32_t trace_ms = getenv("QB_TRACE") ? (uint32_t)strtoul(getenv("QB_TRACE"), NULL, 10) : 0;
	struct sim_flow_stats st;

	w->in_service_from = WATCH_STEPS;
	for (w->cnt = 0; w->cnt < WATCH_STEPS; w->cnt++) {
		sim_run(s, MS(WATCH_STEP_MS));
		sim_flow_stats(s, flow, &st);
		w->bytes[w->cnt] = (double)st.bytes;
		if (w->in_service_from == WATCH_STEPS && is_in_service(s, link))
			w->in_service_from = w->cnt;
		if (trace_ms && (w->cnt + 1) * WATCH_STEP_MS % trace_ms == 0)
			sim_set_trace(s, dir, flow, (w->cnt + 1) * WATCH_STEP_MS);
	}
}

/* ms_to is when a half second began in which the transfer had nine tenths of a rate in bytes a second. */
static double ms_to(const struct watch *w, double rate)
{
	for (uint32_t i = 0; i + WATCH_SPAN < w->cnt; i++)
		if ((w->bytes[i + WATCH_SPAN] - w->bytes[i]) * 1000 / (WATCH_SPAN * WATCH_STEP_MS) >= 0.9 * rate)
			return (i + 1) * (double)WATCH_STEP_MS;
	return w->cnt * (double)WATCH_STEP_MS;
}

struct pair {
	double mbps[2];
	uint64_t delay_ms[2], queue_ms[2];
};

static struct pair draw_pair(struct qb_rand *r)
{
	struct pair p;

	for (uint32_t i = 0; i < 2; i++) {
		p.queue_ms[i] = (uint64_t)log_between(r, 30, 300);
		p.delay_ms[i] = (uint64_t)log_between(r, 3, 50);
		p.mbps[i] = log_between(r, 5, 60);
	}
	return p;
}

static enum sim_dir dir_of(uint64_t seed)
{
	return seed & 1 ? SIM_DOWN : SIM_UP;
}

/* die cuts one of two links that a transfer and calls use, at any moment, for five seconds. given: NULL to have them drawn. */
static struct death die(uint64_t seed, const struct pair *given)
{
	static const double INNER = 0.93; /* of a link's rate is left for what is inside, whose TCP has to find it */
	struct sim *s = bring_up(seed, 2);
	uint32_t call[SIM_DIR_CNT], bulk, link = seed / 2 & 1;
	struct death d = {0};
	struct sim_flow_stats st;
	struct pair pair;
	struct watch w;
	struct qb_rand r;
	double before;

	qb_rand_seed(&r, seed + 77);
	pair = given ? *given : draw_pair(&r);
	for (uint32_t i = 0; i < 2; i++)
		sim_link_profile(s, i, (uint64_t)(pair.mbps[i] * 1e6), MS(pair.delay_ms[i]), MS(pair.queue_ms[i]));
	QB_BUG_ON(!sim_connect(s, S(5)));
	for (int dir = 0; dir < SIM_DIR_CNT; dir++)
		call[dir] = sim_udp_flow(s, (enum sim_dir)dir, 50, 200);
	bulk = sim_tcp_flow(s, dir_of(seed));
	sim_run(s, S(3) + MS(qb_rand_below(&r, 1000)));
	before = bytes_in(s, bulk, S(1));
	for (int dir = 0; dir < SIM_DIR_CNT; dir++)
		sim_flow_reset(s, call[dir]);
	sim_flow_reset(s, bulk);
	sim_link_down(s, link, true);
	watch(s, dir_of(seed), bulk, link, &w);
	d.alone_ms = ms_to(&w, INNER * pair.mbps[!link] * 1e6 / 8 - 2 * 50 * 200);
	sim_flow_stats(s, bulk, &st);
	d.bulk_gap_ms = (double)st.max_gap_ns / 1e6;
	for (int dir = 0; dir < SIM_DIR_CNT; dir++) {
		sim_flow_stats(s, call[dir], &st);
		d.call_gap_ms = QB_MAX(d.call_gap_ms, (double)st.max_gap_ns / 1e6);
		d.call_loss = QB_MAX(d.call_loss, 1 - (double)st.received / (double)st.sent);
	}
	sim_link_down(s, link, false);
	watch(s, dir_of(seed), bulk, link, &w);
	d.back_ms = (w.in_service_from + 1) * (double)WATCH_STEP_MS;
	d.full_ms = ms_to(&w, before);
	d.back_ratio = (w.bytes[3000 / WATCH_STEP_MS] - w.bytes[2000 / WATCH_STEP_MS]) / before;
	sim_free(s);
	return d;
}

START_TEST(a_silent_death_under_load)
{
	struct death d = die((uint64_t)_i, NULL);

	printf("death %d: call silent %.1f ms, transfer %.1f ms, back after %.0f ms with %.2f\n", _i, d.call_gap_ms,
	       d.bulk_gap_ms, d.back_ms, d.back_ratio);
	ck_assert_double_le(d.call_gap_ms, 300);
	ck_assert_double_le(d.bulk_gap_ms, 300);
	ck_assert_double_le(d.back_ms, 2000);
}
END_TEST

/*
 * Where a large link died and a small one is left, what had arrived while its ACKs died is not sent again, and what comes again slowly is
 * waited for: the transfer was silent for 161 ms, and was told to slow down.
 */
START_TEST(a_silent_death_of_the_larger_link)
{
	struct death d = die(81, NULL);

	printf("death of the larger: transfer silent for %.1f ms, has the other after %.0f ms\n", d.bulk_gap_ms, d.alone_ms);
	ck_assert_double_le(d.bulk_gap_ms, 100);
	ck_assert_double_le(d.alone_ms, 100);
}
END_TEST

/*
 * With the link that is back the inner flow needs many times the window: it took the first of these more than five seconds, and those
 * drawn by seed as well, whose flows were told to slow down while the link was away and once more when it was back.
 */
START_TEST(a_transfer_has_its_rate_again_when_a_link_is_back)
{
	static const struct pair pairs[] = {
		{{17.4, 43.9}, {4, 39}, {100, 100}},
		{{20, 20}, {10, 20}, {100, 100}},
	};
	static const uint64_t seeds[BACKS] = {2, 3, 36, 69, 25}; /* which dies, and which way the transfer goes */
	bool is_given = _i < (int)QB_ARRAY_LEN(pairs);
	struct death d = die(seeds[_i], is_given ? &pairs[_i] : NULL);

	printf("back %d: full after %.0f ms, %.2f after two seconds\n", _i, d.full_ms, d.back_ratio);
	ck_assert_double_le(d.full_ms, 2000);
	ck_assert_double_ge(d.back_ratio, is_given ? 0.8 : 0.9);
}
END_TEST

static int run_deaths(const char *range)
{
	char *end;
	unsigned long from = strtoul(range, &end, 10), cnt = *end ? strtoul(end + 1, NULL, 10) : 1;

	for (unsigned long seed = from; seed < from + cnt; seed++) {
		struct death d = die(seed, NULL);

		printf("death %lu: call silent %.1f ms, lost %.2f %%, transfer silent %.1f ms, has the other after %.0f ms; back "
		       "after %.0f ms, full after %.0f ms, then %.2f of what it was\n",
		       seed, d.call_gap_ms, d.call_loss * 100, d.bulk_gap_ms, d.alone_ms, d.back_ms, d.full_ms, d.back_ratio);
		fflush(stdout);
	}
	return 0;
}

/*
 * A large link dies under load, and a small one is left: what was under way takes it a second. A flow that begins then has its
 * share at once, and a ping waits for none of it.
 */
START_TEST(what_a_large_link_had_holds_up_nobody_else)
{
	struct sim *s = bring_up(71, 2);
	struct sim_flow_stats st;
	uint32_t ping, fresh;

	sim_link_profile(s, 0, 100000000, MS(10), MS(100));
	sim_link_profile(s, 1, 4000000, MS(20), MS(200));
	ck_assert(sim_connect(s, S(5)));
	ping = sim_udp_flow(s, SIM_UP, 50, 100);
	for (int i = 0; i < 4; i++)
		sim_tcp_flow(s, SIM_UP);
	sim_run(s, S(3));
	sim_link_down(s, 0, true);
	sim_run(s, MS(200));
	sim_flow_reset(s, ping);
	fresh = sim_tcp_flow(s, SIM_UP);
	sim_run(s, MS(600));
	sim_flow_stats(s, ping, &st);
	printf("100 Mbit/s die, 4 are left: ping %.1f ms at the most", (double)st.delay_max_ns / 1e6);
	ck_assert_uint_le(st.delay_max_ns, MS(150));
	sim_flow_stats(s, fresh, &st);
	printf(", a new flow has %llu packets after 0.6 s\n", (unsigned long long)st.received);
	/* Of four million bits a second a fifth are 70 a second. */
	ck_assert_uint_ge(st.received, 25);
	sim_free(s);
}
END_TEST

/*
 * A transfer that fills no link, and the quick one dies silently: its packets do not leave one by one, each after having waited for
 * the dead one, until that is found out.
 */
START_TEST(a_slow_transfer_outlives_its_link)
{
	static const struct qb_policy udp_is_bulk = {
		.cnt = 1,
		.rules = {{.match = {.ports = {{.proto = 17}}, .port_cnt = 1}, .treat = {.class = QB_CLASS_BULK, .fec = {.mode = QB_FEC_OFF}}}}};
	static const struct qb_fec_want no_fec = {.mode = QB_FEC_OFF};
	struct sim *s = bring_up(73, 2);
	struct sim_flow_stats st;
	uint32_t film;

	sim_link_profile(s, 0, 20000000, MS(10), MS(100));
	sim_link_profile(s, 1, 20000000, MS(30), MS(100));
	ck_assert(sim_connect(s, S(5)));
	qb_node_set_policy(sim_edge(s), &udp_is_bulk, &no_fec);
	film = sim_udp_flow(s, SIM_UP, _i ? 2000 : 250, 1000);
	sim_run(s, S(3));
	sim_flow_reset(s, film);
	sim_link_down(s, 0, true);
	sim_run(s, S(1));
	sim_flow_stats(s, film, &st);
	printf("a film of %d Mbit/s outlives its link: silent for %.0f ms, at most %.0f ms late\n", _i ? 16 : 2, (double)st.max_gap_ns / 1e6,
	       (double)st.delay_max_ns / 1e6);
	ck_assert_uint_le(st.max_gap_ns, MS(160));
	ck_assert_uint_le(st.delay_max_ns, MS(250));
	sim_free(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_load");
	TCase *tc = tcase_create("sim_load"), *far = tcase_create("satellite");
	SRunner *sr;
	int failed;

	if (getenv("QB_CUTS"))
		return run_deaths(getenv("QB_CUTS"));
	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, a_bloated_modem_is_not_filled, 0, SEEDS);
	tcase_add_loop_test(tc, calls_with_bulk_both_ways, 0, SEEDS);
	tcase_add_loop_test(tc, a_silent_death_under_load, 0, DEATHS);
	tcase_add_test(tc, a_silent_death_of_the_larger_link);
	tcase_add_loop_test(tc, a_transfer_has_its_rate_again_when_a_link_is_back, 0, BACKS);
	tcase_add_test(tc, ten_cuts_in_two_minutes);
	tcase_add_loop_test(tc, small_packets_share, 0, 2);
	tcase_add_loop_test(tc, a_slow_transfer_outlives_its_link, 0, 2);
	tcase_add_test(tc, what_a_large_link_had_holds_up_nobody_else);
	suite_add_tcase(suite, tc);
	tcase_set_timeout(far, 60);
	tcase_add_loop_test(far, beside_a_satellite, 0, 2);
	tcase_add_test(far, whole_flows_by_a_satellite);
	suite_add_tcase(suite, far);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
