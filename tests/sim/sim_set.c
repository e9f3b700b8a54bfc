/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a link set in the simulator; for test_sim_sets.c and the bench. */
#include "sim_set.h"

#include <math.h>
#include <stdio.h>

enum { CHANGE_STEP_MS = 100, CONNECT_LIMIT_S = 10, FULL_PACKET_BITS = 1500 * 8, LAST_CALLS_MS = 500 };

static uint64_t ms(uint64_t n)
{
	return n * QB_NS_PER_MS;
}

/* way_ns is how long one way is of a round trip that takes rtt_ms. */
static uint64_t way_ns(const struct sim_set_link *l, enum sim_dir dir, uint32_t rtt_ms)
{
	int64_t skew_ns = (int64_t)l->skew_ms * (int64_t)QB_NS_PER_MS;

	return ms(rtt_ms) / 2 + (uint64_t)(dir == SIM_UP ? skew_ns : -skew_ns);
}

static void set_link(struct sim *s, uint32_t slot, const struct sim_set_link *l)
{
	for (int d = 0; d < SIM_DIR_CNT; d++) {
		struct qb_netem_params p = qb_netem_params_default();

		p.rate_bps = (uint64_t)((d == SIM_DOWN ? l->down_mbps : l->up_mbps) * 1e6);
		p.delay_ns = way_ns(l, d, l->rtt_ms);
		p.jitter_ns = ms(l->jitter_ms);
		p.limit_pkts = 0;
		p.limit_ns = ms(l->queue_ms);
		p.overhead_bytes = 28;
		p.loss = d == SIM_DOWN ? l->loss_down : l->loss_up;
		if (l->burst_pkts) {
			p.ge_p = l->burst_p;
			p.ge_r = 1.0 / l->burst_pkts;
			p.ge_bad = 1;
			/* So long a burst lasts as that many full packets take, whether they are sent or not. */
			p.ge_step_ns = FULL_PACKET_BITS * QB_NS_PER_SEC / p.rate_bps;
		}
		qb_netem_configure(sim_link(s, slot, d), &p, sim_now_ns(s));
	}
}

static bool is_restless(const struct sim_set_link *l)
{
	return l->delay_every_ms || l->rate_every_ms || l->flap_up_ms;
}

static bool is_second_span(uint64_t at_ms, uint32_t every_ms)
{
	return every_ms && at_ms / every_ms % 2;
}

/* live makes of a link what it is at that time. */
static void live(struct qb_netem_params *p, const struct sim_set_link *l, enum sim_dir dir, uint64_t at_ms)
{
	double mbps = dir == SIM_DOWN ? l->down_mbps : l->up_mbps;
	uint32_t rtt_ms = l->rtt_ms;

	if (is_second_span(at_ms, l->delay_every_ms))
		rtt_ms += l->delay_more_ms;
	if (is_second_span(at_ms, l->rate_every_ms))
		mbps *= l->rate_part;
	p->delay_ns = way_ns(l, dir, rtt_ms);
	p->rate_bps = (uint64_t)(mbps * 1e6);
	p->is_down = l->flap_up_ms && at_ms % (l->flap_up_ms + l->flap_down_ms) >= l->flap_up_ms;
}

static bool is_changing(const struct sim_set *set)
{
	bool is = set->change;

	for (uint32_t i = 0; i < set->link_cnt; i++)
		is |= is_restless(&set->link[i]);
	return is;
}

static void change_links(struct sim *s, const struct sim_set *set, const struct sim_set_run *run, uint64_t at_ms)
{
	uint32_t cnt = run->only == SIM_SET_ALL ? set->link_cnt : 1;

	for (uint32_t slot = 0; slot < cnt; slot++) {
		for (int d = 0; d < SIM_DIR_CNT; d++) {
			struct qb_netem_params p = sim_link(s, slot, d)->params;
			uint32_t link = run->only == SIM_SET_ALL ? slot : run->only;

			if (is_restless(&set->link[link]))
				live(&p, &set->link[link], d, at_ms);
			if (set->change)
				set->change(&p, link, d, at_ms);
			qb_netem_configure(sim_link(s, slot, d), &p, sim_now_ns(s));
		}
	}
}

void sim_set_trace(struct sim *s, enum sim_dir dir, uint32_t flow_id, uint64_t at_ms)
{
	struct qb_tunnel *tx = sim_tunnel(s, dir == SIM_DOWN), *rx = sim_tunnel(s, dir != SIM_DOWN);
	const struct qb_counters *c = sim_counters(s, dir == SIM_DOWN), *rc = sim_counters(s, dir != SIM_DOWN);
	struct qb_bond_stats q, h;
	struct qb_path_info p;
	struct sim_flow_stats flow;

	if (!tx || !rx)
		return;
	qb_bond_get_stats(tx->bond, &q);
	qb_bond_get_stats(rx->bond, &h);
	sim_flow_stats(s, flow_id, &flow);
	printf("%6llu ms %s cwnd %.0f rtt %.1f cuts %llu disorder %llu queue %4u pkts %3llu ms drop "
	       "%llu repair %llu/%llu | held %4u hold %3llu ms given up %llu+%llu late %llu",
	       (unsigned long long)at_ms, flow.phase ? flow.phase : "", flow.cwnd, (double)flow.srtt_ns / 1e6,
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
		printf(" | %u %s %.0f%% rtt %.1f/%.1f cwnd %llu of %llu %.1f Mbit/s lost %llu %s; %s",
		       p.tuple.link, qb_link_state_name(info.state), info.share * 100,
		       (double)p.srtt_ns / 1e6, (double)p.min_rtt_ns / 1e6,
		       (unsigned long long)p.in_flight_bytes / 1000,
		       (unsigned long long)p.cwnd_bytes / 1000, (double)p.delivery_bps / 1e6,
		       (unsigned long long)p.lost_packets, p.cc_phase, info.reason);
	}
	printf("\n");
}

static void run_for(struct sim *s, const struct sim_set *set, const struct sim_set_run *run, uint64_t *at_ms,
		    uint32_t span_ms)
{
	uint64_t end_ms = *at_ms + span_ms;
	bool changes = is_changing(set);

	if (!changes && !run->trace_ms) {
		sim_run(s, ms(span_ms));
		*at_ms = end_ms;
		return;
	}
	while (*at_ms < end_ms) {
		uint32_t step_ms = run->trace_ms ? QB_MIN(run->trace_ms, (uint32_t)CHANGE_STEP_MS)
						 : CHANGE_STEP_MS;

		if (changes)
			change_links(s, set, run, *at_ms);
		sim_run(s, ms(step_ms));
		*at_ms += step_ms;
		if (run->trace_ms && *at_ms % run->trace_ms == 0)
			sim_set_trace(s, run->dir, 0, *at_ms);
	}
}

static void add_call(const struct sim_flow_stats *st, struct sim_set_result *out)
{
	out->call_loss = QB_MAX(out->call_loss, (double)(st->sent - st->arrived) / (double)st->sent);
	out->call_p95_ms = QB_MAX(out->call_p95_ms, (double)st->delay_p95_ns / 1e6);
	out->call_p99_ms = QB_MAX(out->call_p99_ms, (double)st->delay_p99_ns / 1e6);
	out->call_max_ms = QB_MAX(out->call_max_ms, (double)st->delay_max_ns / 1e6);
}

/* end_calls: what is on its way when they end is not lost. */
static void end_calls(struct sim *s, const struct sim_set *set, const struct sim_set_run *run, const uint32_t ids[2],
		      uint64_t *at_ms, struct sim_set_result *out)
{
	struct sim_flow_stats st;

	for (uint32_t i = 0; i < 2; i++)
		sim_flow_stop(s, ids[i]);
	run_for(s, set, run, at_ms, LAST_CALLS_MS);
	for (uint32_t i = 0; i < 2; i++) {
		sim_flow_stats(s, ids[i], &st);
		add_call(&st, out);
	}
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
		ids[cnt] = run->inner ? sim_inner_flow(s, run->dir, run->inner)
			   : run->is_quic ? sim_quic_flow(s, run->dir) : sim_tcp_flow(s, run->dir);
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

		sim_flow_stats(s, ids[i], &st);
		if (i < run->flows)
			out->mbps += (double)st.bytes * 8 / run->span_ms / 1e3;
		else if (i - run->flows == (uint32_t)run->dir)
			out->call_mbps = (double)st.bytes * 8 / run->span_ms / 1e3;
	}
	if (run->has_calls)
		end_calls(s, set, run, &ids[run->flows], &at_ms, out);
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

/* best_left finds the link of the highest rate of those that are left; one that flaps is nobody's measure. */
static uint32_t best_left(const struct sim_set *set, enum sim_dir dir, uint32_t left, double *mbps)
{
	uint32_t best = 0;

	*mbps = 0;
	for (uint32_t i = 0; i < set->link_cnt; i++) {
		double rate = dir == SIM_DOWN ? set->link[i].down_mbps : set->link[i].up_mbps;

		if (!(left >> i & 1) || rate <= *mbps || set->link[i].flap_up_ms)
			continue;
		*mbps = rate;
		best = i;
	}
	return best;
}

double sim_set_best_mbps(const struct sim_set *set, const struct sim_set_run *run, double *sum_mbps)
{
	struct sim_set_run alone = *run;
	uint32_t left = (1u << set->link_cnt) - 1;
	struct sim_set_result r;
	double best = 0, sum = 0, most;

	while (left) {
		alone.only = best_left(set, run->dir, left, &most);
		/* What cannot be the best need not be run, nor can what is slower still. */
		if (most == 0 || (!sum_mbps && most <= best))
			break;
		left &= ~(1u << alone.only);
		if (!sim_set_go(set, &alone, &r))
			continue;
		best = QB_MAX(best, r.mbps);
		sum += r.mbps + r.call_mbps;
	}
	if (sum_mbps)
		*sum_mbps = sum;
	return best;
}

double sim_set_quiet_ms(const struct sim_set *set, const struct sim_set_run *run)
{
	struct sim_set_run quiet = *run;
	struct sim_set_result r;
	double best_ms = INFINITY;

	quiet.flows = 0;
	quiet.has_calls = true;
	quiet.trace_ms = 0;
	for (uint32_t i = 0; i < set->link_cnt; i++) {
		quiet.only = i;
		if (!set->link[i].flap_up_ms && sim_set_go(set, &quiet, &r) && r.call_loss < 0.5)
			best_ms = fmin(best_ms, r.call_p95_ms);
	}
	return best_ms;
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

static void unsettle(struct qb_rand *r, struct sim_set_link *l, bool may_flap)
{
	switch (qb_rand_below(r, may_flap ? 4 : 3)) {
	case 0:
		l->burst_pkts = draw_log(r, 2, 40);
		l->burst_p = draw(r, 0.0005, 0.03) / l->burst_pkts;
		break;
	case 1:
		l->delay_every_ms = draw_log(r, 500, 4000);
		l->delay_more_ms = draw_log(r, 10, 120);
		break;
	case 2:
		l->rate_every_ms = draw_log(r, 500, 4000);
		l->rate_part = draw(r, 0.1, 0.8);
		break;
	case 3:
		l->flap_up_ms = draw_log(r, 500, 5000);
		l->flap_down_ms = draw_log(r, 300, 3000);
		break;
	}
}

/* unsettle_some has each second link lead an eventful life. One flaps at most: the others are to be seen not to care. */
static void unsettle_some(uint64_t seed, struct sim_set *set)
{
	bool may_flap = true;
	struct qb_rand r;

	qb_rand_seed(&r, seed * 104729 + 3);
	for (uint32_t i = 0; i < set->link_cnt; i++) {
		if (qb_rand_below(&r, 2) == 0)
			continue;
		unsettle(&r, &set->link[i], may_flap);
		may_flap = may_flap && !set->link[i].flap_up_ms;
	}
}

void sim_set_draw(uint64_t seed, bool is_restless, struct sim_set *out)
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
	if (is_restless)
		unsettle_some(seed, out);
}

static int describe_life(const struct sim_set_link *l, char *buf, size_t cap)
{
	if (l->burst_pkts)
		return snprintf(buf, cap, " bursts of %u each %.0f", l->burst_pkts, 1 / l->burst_p);
	if (l->delay_every_ms)
		return snprintf(buf, cap, " +%u ms each %u", l->delay_more_ms, 2 * l->delay_every_ms);
	if (l->rate_every_ms)
		return snprintf(buf, cap, " rate x %.2f each %u", l->rate_part, 2 * l->rate_every_ms);
	if (l->flap_up_ms)
		return snprintf(buf, cap, " flaps %u-%u", l->flap_up_ms, l->flap_down_ms);
	return 0;
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
		if (off < cap)
			off += (size_t)describe_life(l, buf + off, cap - off);
	}
}
