/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a link set in the simulator; for test_sim_sets.c and the bench. */
#include "sim_set.h"

#include <math.h>
#include <stdio.h>

enum { CHANGE_STEP_MS = 100, CONNECT_LIMIT_S = 10 };

static uint64_t ms(uint64_t n)
{
	return n * QB_NS_PER_MS;
}

static void set_link(struct sim *s, uint32_t slot, const struct sim_set_link *l)
{
	for (int d = 0; d < SIM_DIR_CNT; d++) {
		struct qb_netem_params p = qb_netem_params_default();

		p.rate_bps = (uint64_t)((d == SIM_DOWN ? l->down_mbps : l->up_mbps) * 1e6);
		p.delay_ns = ms(l->rtt_ms) / 2;
		p.jitter_ns = ms(l->jitter_ms);
		p.limit_pkts = 0;
		p.limit_ns = ms(l->queue_ms);
		p.overhead_bytes = 28;
		p.loss = d == SIM_DOWN ? l->loss_down : l->loss_up;
		qb_netem_configure(sim_link(s, slot, d), &p, sim_now_ns(s));
	}
}

static void change_links(struct sim *s, const struct sim_set *set, const struct sim_set_run *run, uint64_t at_ms)
{
	uint32_t cnt = run->only == SIM_SET_ALL ? set->link_cnt : 1;

	for (uint32_t slot = 0; slot < cnt; slot++) {
		for (int d = 0; d < SIM_DIR_CNT; d++) {
			struct qb_netem_params p = sim_link(s, slot, d)->params;

			set->change(&p, run->only == SIM_SET_ALL ? slot : run->only, d, at_ms);
			qb_netem_configure(sim_link(s, slot, d), &p, sim_now_ns(s));
		}
	}
}

/* trace prints what sender, paths and receiver look like, a line a step, for whoever looks for the
 * cause of a bad figure. */
static void trace(struct sim *s, const struct sim_set_run *run, uint64_t at_ms)
{
	struct qb_tunnel *tx = sim_tunnel(s, run->dir == SIM_DOWN),
			 *rx = sim_tunnel(s, run->dir != SIM_DOWN);
	const struct qb_counters *c = sim_counters(s, run->dir == SIM_DOWN),
				 *rc = sim_counters(s, run->dir != SIM_DOWN);
	struct qb_bond_stats q, h;
	struct qb_path_info p;
	struct sim_flow_stats flow;

	if (!tx || !rx)
		return;
	qb_bond_get_stats(tx->bond, &q);
	qb_bond_get_stats(rx->bond, &h);
	sim_flow_stats(s, 0, &flow);
	printf("%6llu ms cwnd %.0f rtt %.1f cuts %llu disorder %llu queue %4u pkts %3llu ms drop "
	       "%llu repair %llu/%llu | held %4u hold %3llu ms given up %llu+%llu late %llu",
	       (unsigned long long)at_ms, flow.cwnd, (double)flow.srtt_ns / 1e6,
	       (unsigned long long)flow.cuts, (unsigned long long)flow.out_of_order, q.queued_pkts,
	       (unsigned long long)(q.queue_delay_ns / QB_NS_PER_MS),
	       (unsigned long long)qb_counter_read(c, QB_CNT_DROP_QUEUE),
	       (unsigned long long)qb_counter_read(c, QB_CNT_REPAIRED),
	       (unsigned long long)qb_counter_read(c, QB_CNT_REPAIR_FAILED), h.held_pkts,
	       (unsigned long long)(h.hold_ns / QB_NS_PER_MS),
	       (unsigned long long)qb_counter_read(rc, QB_CNT_REORDER_RELEASED_LOSS),
	       (unsigned long long)qb_counter_read(rc, QB_CNT_REORDER_TIMEOUT),
	       (unsigned long long)qb_counter_read(rc, QB_CNT_REORDER_LATE));
	for (uint8_t i = 0; i < QB_PATHS_MAX; i++) {
		struct qb_bond_link_info info;

		if (!tx->paths[i].is_used || !qb_conn_path_info(tx->conn, i, sim_now_ns(s), &p))
			continue;
		qb_bond_link_info(tx->bond, i, sim_now_ns(s), &info);
		printf(" | %u %s %.0f%% rtt %.1f/%.1f cwnd %llu of %llu %.1f Mbit/s lost %llu %s",
		       p.tuple.link, qb_link_state_name(info.state), info.share * 100,
		       (double)p.srtt_ns / 1e6, (double)p.min_rtt_ns / 1e6,
		       (unsigned long long)p.in_flight_bytes / 1000,
		       (unsigned long long)p.cwnd_bytes / 1000, (double)p.delivery_bps / 1e6,
		       (unsigned long long)p.lost_packets, info.reason);
	}
	printf("\n");
}

static void run_for(struct sim *s, const struct sim_set *set, const struct sim_set_run *run, uint64_t *at_ms,
		    uint32_t span_ms)
{
	uint64_t end_ms = *at_ms + span_ms;

	if (!set->change && !run->trace_ms) {
		sim_run(s, ms(span_ms));
		*at_ms = end_ms;
		return;
	}
	while (*at_ms < end_ms) {
		uint32_t step_ms = run->trace_ms ? QB_MIN(run->trace_ms, (uint32_t)CHANGE_STEP_MS)
						 : CHANGE_STEP_MS;

		if (set->change)
			change_links(s, set, run, *at_ms);
		sim_run(s, ms(step_ms));
		*at_ms += step_ms;
		if (run->trace_ms && *at_ms % run->trace_ms == 0)
			trace(s, run, *at_ms);
	}
}

static void add_call(struct sim *s, uint32_t flow, struct sim_set_result *out)
{
	struct sim_flow_stats st;

	sim_flow_stats(s, flow, &st);
	/* A packet or two are on their way at both ends of the measurement. */
	if (st.sent > st.received + 2)
		out->call_loss = QB_MAX(out->call_loss, (double)(st.sent - st.received) / (double)st.sent);
	out->call_p95_ms = QB_MAX(out->call_p95_ms, (double)st.delay_p95_ns / 1e6);
	out->call_p99_ms = QB_MAX(out->call_p99_ms, (double)st.delay_p99_ns / 1e6);
	out->call_max_ms = QB_MAX(out->call_max_ms, (double)st.delay_max_ns / 1e6);
}

static void dump_counters(struct sim *s)
{
	for (int c = 0; c < (int)QB_COUNTER_CNT; c++) {
		uint64_t edge = qb_counter_read(sim_counters(s, false), c),
			 hub = qb_counter_read(sim_counters(s, true), c);

		if (edge || hub)
			printf("%-28s edge %10llu hub %10llu\n", qb_counter_rows[c].name,
			       (unsigned long long)edge, (unsigned long long)hub);
	}
}

static void measure(struct sim *s, const struct sim_set *set, const struct sim_set_run *run, struct sim_set_result *out)
{
	uint32_t ids[SIM_FLOWS_MAX], cnt = 0;
	uint64_t at_ms = 0;

	for (; cnt < run->flows; cnt++)
		ids[cnt] = run->is_quic ? sim_quic_flow(s, run->dir) : sim_tcp_flow(s, run->dir);
	if (run->has_calls) {
		ids[cnt++] = sim_udp_flow(s, SIM_UP, 50, 200);
		ids[cnt++] = sim_udp_flow(s, SIM_DOWN, 50, 200);
	}
	run_for(s, set, run, &at_ms, run->settle_ms);
	for (uint32_t i = 0; i < cnt; i++)
		sim_flow_reset(s, ids[i]);
	run_for(s, set, run, &at_ms, run->span_ms);
	for (uint32_t i = 0; i < cnt; i++) {
		struct sim_flow_stats st;

		if (i >= run->flows) {
			add_call(s, ids[i], out);
			continue;
		}
		sim_flow_stats(s, ids[i], &st);
		out->mbps += (double)st.bytes * 8 / run->span_ms / 1e3;
	}
	if (run->trace_ms)
		dump_counters(s);
	out->dropped = qb_counter_read(sim_counters(s, run->dir == SIM_DOWN), QB_CNT_DROP_QUEUE);
	out->repaired = qb_counter_read(sim_counters(s, run->dir == SIM_DOWN), QB_CNT_REPAIRED);
	out->timed_out = qb_counter_read(sim_counters(s, run->dir == SIM_UP), QB_CNT_REORDER_TIMEOUT) +
			 qb_counter_read(sim_counters(s, run->dir == SIM_UP), QB_CNT_REORDER_RELEASED_LOSS);
}

bool sim_set_go(const struct sim_set *set, const struct sim_set_run *run, struct sim_set_result *out)
{
	bool is_all = run->only == SIM_SET_ALL;
	struct sim_cfg cfg = {
		.seed = run->seed,
		.link_cnt = is_all ? set->link_cnt : 1,
		.scheduler = run->scheduler,
		.congestion = run->congestion,
	};
	struct sim *s = sim_new(&cfg);
	bool is_up;

	*out = (struct sim_set_result){0};
	for (uint32_t i = 0; i < cfg.link_cnt; i++)
		set_link(s, i, &set->link[is_all ? i : run->only]);
	is_up = sim_connect(s, CONNECT_LIMIT_S * QB_NS_PER_SEC);
	if (is_up)
		measure(s, set, run, out);
	sim_free(s);
	return is_up;
}

double sim_set_best_mbps(const struct sim_set *set, const struct sim_set_run *run)
{
	struct sim_set_run alone = *run;
	struct sim_set_result r;
	double best = 0;

	for (alone.only = 0; alone.only < set->link_cnt; alone.only++) {
		const struct sim_set_link *l = &set->link[alone.only];
		double most = run->dir == SIM_DOWN ? l->down_mbps : l->up_mbps;

		/* What cannot be the best need not be run. */
		if (most > best && sim_set_go(set, &alone, &r))
			best = QB_MAX(best, r.mbps);
	}
	return best;
}

/* ---- sets made up ---- */

static double draw(struct qb_rand *r, double from, double to)
{
	return from + (to - from) * (double)qb_rand_below(r, 1u << 20) / (double)(1u << 20);
}

/* draw_log: as likely between 2 and 4 as between 4 and 8. */
static uint32_t draw_log(struct qb_rand *r, uint32_t from, uint32_t to)
{
	return (uint32_t)((double)from * pow((double)to / from, draw(r, 0, 1)));
}

void sim_set_draw(uint64_t seed, struct sim_set *out)
{
	struct qb_rand r;

	qb_rand_seed(&r, seed * 7919 + 1);
	*out = (struct sim_set){.name = "drawn", .link_cnt = 2 + (uint32_t)qb_rand_below(&r, 3)};
	for (uint32_t i = 0; i < out->link_cnt; i++) {
		struct sim_set_link *l = &out->link[i];
		uint64_t kind = qb_rand_below(&r, 10);

		l->down_mbps = draw_log(&r, 2, 64);
		l->up_mbps = qb_rand_below(&r, 2) ? l->down_mbps : l->down_mbps / (double)(1 + qb_rand_below(&r, 8));
		l->up_mbps = QB_MAX(l->up_mbps, 1.0);
		l->rtt_ms = draw_log(&r, 6, 150);
		l->queue_ms = draw_log(&r, 20, 500);
		l->jitter_ms = qb_rand_below(&r, 2) ? 0 : (uint32_t)qb_rand_below(&r, 1 + l->rtt_ms / 4);
		if (kind >= 6)
			l->loss_down = l->loss_up = draw(&r, 0, 0.005);
		if (kind == 9)
			l->loss_down = draw(&r, 0, 0.05);
	}
}

void sim_set_describe(const struct sim_set *set, char *buf, size_t cap)
{
	size_t off = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < set->link_cnt && off < cap; i++) {
		const struct sim_set_link *l = &set->link[i];
		int n = snprintf(buf + off, cap - off, "%s%.4g/%.4g %u ms q%u j%u %.2g/%.2g%%", i ? ", " : "", l->down_mbps,
				 l->up_mbps, l->rtt_ms, l->queue_ms, l->jitter_ms, l->loss_down * 100, l->loss_up * 100);

		off += n > 0 ? (size_t)n : 0;
	}
}
