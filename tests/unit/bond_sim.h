/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bond alone, in virtual time: two bonds back to back over emulated links. For test_bond_sim.c.
 *
 *     flows ─► bond A ─► [window + pacer] ─► link 0..n-1 (rate, queue, delay, loss)
 *                ▲                                   │
 *                └──── ACKs, after the link's delay ─┴─► bond B ─► flows' receivers
 *
 * Each path has an idealised transport: it knows the link's rate, keeps a window of 1.25 BDP and
 * paces. Inner flows are a stream that never ends (of UDP), TCP (CUBIC, SACK, three duplicates mean
 * loss), and a call of 50 packets a second. Asserted is what users see: throughput against the sum,
 * the call's delay against the best link.
 */
#pragma once

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <math.h>

#include "base/rand.h"
#include "bond/bond.h"

enum {
	FRAMES = 16384,
	LINKS_MAX = 4,
	WIRE_CAP = 8192,
	TCP_CAP = 1 << 20,
	TCP_MAX = 4,
	BULK_LEN = 1372,
	CALL_LEN = 200,
	OVERHEAD = 60,
};

#define STEP_NS (50 * QB_NS_PER_US)
#define MS	QB_NS_PER_MS
#define SEC	QB_NS_PER_SEC

struct link_cfg {
	double mbps, delay_ms, queue_ms, loss;
	double jitter_ms;
	uint64_t dead_from_ns, dead_to_ns, period_ns; /* period: dead_* repeat so often */
	enum qb_tier tier;
};

#define LINK(mbps_, delay_ms_, queue_ms_, ...)                                                     \
	{                                                                                          \
		.mbps = mbps_, .delay_ms = delay_ms_, .queue_ms = queue_ms_, ##__VA_ARGS__         \
	}

struct in_flight {
	struct qb_buf *buf; /* NULL: a probe, or lost */
	uint64_t sent_ns, arrive_ns, ack_ns;
	uint32_t bytes;
	bool is_lost, is_delivered;
};

struct path {
	struct link_cfg cfg;
	struct in_flight wire[WIRE_CAP];
	uint32_t head, deliver, tail; /* acknowledged .. delivered .. sent */
	uint64_t busy_until_ns, last_arrive_ns, tokens_ns;
	uint64_t in_flight_bytes, tx_bytes;
	uint64_t srtt_ns, rttvar_ns, min_rtt_ns;
	struct qb_path_obs obs;
	uint64_t downs, ups, down_ns, up_ns;
};

struct tcp {
	bool is_on;
	uint64_t start_ns;
	uint32_t limit; /* segments; 0 without end */
	uint32_t next, una, highest_sacked, recovery, high_water;
	uint32_t lost_scan;
	double cwnd, ssthresh, w_max, k;
	uint64_t epoch_ns, progress_ns;
	uint8_t *state; /* of each segment: bits below */
	uint32_t in_flight;
	uint64_t goodput_bytes;
	uint32_t expected; /* receiver */
	uint64_t cuts, retransmits, spurious, out_of_order;
};

enum { SEG_SENT = 1, SEG_SACKED = 2, SEG_LOST = 4, SEG_RECEIVED = 8, SEG_RETX = 16 };

struct ack_event {
	uint64_t at_ns;
	uint32_t seg;
	uint8_t flow;
	bool is_ce;
};

struct sim {
	uint64_t now_ns;
	struct qb_rand rand;
	uint8_t *frames;
	struct qb_buf *bufs;
	struct qb_depot depot;
	struct qb_pool pool;
	struct qb_counters counters;
	void *mem_a, *mem_b;
	struct qb_bond *a, *b;
	struct path *paths;
	uint32_t n;
	double reverse_ms;
	bool no_ecn;
	double udp_mbps;
	uint64_t udp_bytes, udp_next_ns, call_next_ns, observe_ns;
	uint32_t udp_seq, udp_highest, udp_reordered;
	bool has_call;
	uint32_t call_sent, call_got, call_cnt, call_gap_start;
	uint64_t call_last_ns, call_gap_ns;
	double call_ms[65536];
	uint64_t udp_last_ns, udp_gap_ns;
	struct tcp tcp[TCP_MAX];
	struct ack_event *acks;
	uint32_t ack_head, ack_tail;
	uint64_t measure_from_ns;
};

enum { ACK_CAP = 1 << 16 };

static struct sim *sim_new(const struct link_cfg *links, uint32_t n, const char *sched,
			   uint64_t seed)
{
	struct sim *s = calloc(1, sizeof(*s));
	struct qb_bond_cfg cfg = {.sched = qb_sched_find(sched),
				  .reorder = QB_REORDER_AUTO,
				  .queue_pkts = 4096,
				  .reorder_pkts = 8192,
				  .seed = seed};
	double best_ms = 1e9;

	s->now_ns = 10 * SEC;
	qb_rand_seed(&s->rand, seed);
	s->frames = malloc((size_t)FRAMES * QB_FRAME_BYTES);
	s->bufs = calloc(FRAMES, sizeof(*s->bufs));
	qb_depot_init(&s->depot, s->frames, s->bufs, FRAMES);
	qb_pool_init(&s->pool, &s->depot);
	cfg.counters = &s->counters;
	cfg.pool = &s->pool;
	s->mem_a = malloc(qb_bond_footprint(&cfg));
	s->mem_b = malloc(qb_bond_footprint(&cfg));
	memset(s->mem_a, 0xa5, qb_bond_footprint(&cfg));
	memset(s->mem_b, 0x5a, qb_bond_footprint(&cfg));
	s->a = qb_bond_init(s->mem_a, &cfg, s->now_ns);
	s->b = qb_bond_init(s->mem_b, &cfg, s->now_ns);
	qb_bond_set_ordered(s->a, true);
	s->paths = calloc(LINKS_MAX, sizeof(*s->paths));
	s->acks = calloc(ACK_CAP, sizeof(*s->acks));
	s->n = n;
	for (uint32_t i = 0; i < n; i++) {
		struct path *p = &s->paths[i];

		p->cfg = links[i];
		p->min_rtt_ns = p->srtt_ns = (uint64_t)(2 * links[i].delay_ms * 1e6);
		p->rttvar_ns = p->srtt_ns / 16;
		p->obs.is_open = true;
		best_ms = fmin(best_ms, links[i].delay_ms);
		qb_bond_path_reset(s->a, (uint8_t)i, true, links[i].tier, s->now_ns);
	}
	s->reverse_ms = best_ms;
	s->udp_next_ns = s->call_next_ns = s->observe_ns = s->now_ns;
	s->measure_from_ns = s->now_ns;
	return s;
}

static void sim_free(struct sim *s)
{
	qb_bond_fini(s->a);
	qb_bond_fini(s->b);
	for (uint32_t i = 0; i < s->n; i++) {
		struct path *p = &s->paths[i];

		for (uint32_t j = p->head; j != p->tail; j++)
			if (p->wire[j % WIRE_CAP].buf)
				qb_buf_put(&s->pool, p->wire[j % WIRE_CAP].buf);
	}
	qb_pool_fini(&s->pool);
	ck_assert_uint_eq(s->depot.free_cnt, FRAMES);
	for (int i = 0; i < TCP_MAX; i++)
		free(s->tcp[i].state);
	free(s->acks);
	free(s->paths);
	free(s->mem_a);
	free(s->mem_b);
	free(s->bufs);
	free(s->frames);
	free(s);
}

/* ---- inner packets: IPv4, UDP; in the payload the number and the time of sending ---- */

static struct qb_buf *make(struct sim *s, uint8_t flow, uint32_t seq, uint32_t len)
{
	struct qb_buf *b = qb_buf_get(&s->pool);
	uint8_t *p;

	ck_assert_ptr_nonnull(b);
	p = b->data;
	b->len = len;
	memset(p, 0, 48);
	p[0] = 0x45;
	p[1] = s->no_ecn ? 0 : 2; /* ECT(0) */
	qb_store_be16(p + 2, (uint16_t)len);
	p[9] = 17;
	p[12] = 10;
	p[15] = flow;
	p[16] = 10;
	p[19] = 99;
	qb_store_be16(p + 20, (uint16_t)(1000 + flow));
	qb_store_be16(p + 22, 53);
	qb_store_be32(p + 28, seq);
	qb_store_be64(p + 32, s->now_ns);
	return b;
}

static void enqueue(struct sim *s, struct qb_buf *b)
{
	struct qb_batch batch = {.cnt = 1, .buf = {b}};

	qb_bond_enqueue(s->a, &batch, s->now_ns);
}

/* ---- TCP ---- */

static uint32_t tcp_pipe(const struct tcp *t)
{
	return t->in_flight;
}

static void tcp_cut(struct sim *s, struct tcp *t, double beta)
{
	if (t->una < t->recovery)
		return;
	t->recovery = t->high_water;
	t->w_max = t->cwnd;
	t->cwnd = fmax(2, t->cwnd * beta);
	t->ssthresh = t->cwnd;
	t->k = cbrt(t->w_max * (1 - beta) / 0.4);
	t->epoch_ns = s->now_ns;
	t->cuts++;
}

static void tcp_on_ack(struct sim *s, struct tcp *t, uint32_t seg, bool is_ce)
{
	if (t->state[seg] & SEG_SACKED) {
		t->spurious++;
		return;
	}
	if (!(t->state[seg] & SEG_LOST))
		t->in_flight--;
	else
		t->spurious += !(t->state[seg] & SEG_RETX);
	t->state[seg] = (uint8_t)((t->state[seg] | SEG_SACKED) & ~SEG_LOST);
	t->highest_sacked = QB_MAX(t->highest_sacked, seg);
	t->progress_ns = s->now_ns;
	while (t->una < t->high_water && t->state[t->una] & SEG_SACKED)
		t->una++;
	for (; t->lost_scan + 3 <= t->highest_sacked; t->lost_scan++) {
		if (!(t->state[t->lost_scan] & (SEG_SACKED | SEG_LOST))) {
			t->state[t->lost_scan] |= SEG_LOST;
			t->in_flight--;
			t->next = QB_MIN(t->next, t->lost_scan);
			tcp_cut(s, t, 0.7);
		}
	}
	if (is_ce)
		tcp_cut(s, t, 0.85);
	if (t->una < t->recovery)
		return;
	if (t->cwnd < t->ssthresh) {
		t->cwnd += 1;
	} else {
		double dt = (double)(s->now_ns - t->epoch_ns) / 1e9 - t->k;
		double target = 0.4 * dt * dt * dt + t->w_max;

		t->cwnd += fmax(1.0 / t->cwnd, fmin(0.5, (target - t->cwnd) / t->cwnd));
	}
}

static void tcp_run(struct sim *s, uint8_t flow)
{
	struct tcp *t = &s->tcp[flow];

	if (!t->is_on || s->now_ns < t->start_ns)
		return;
	if (t->progress_ns == 0)
		t->progress_ns = s->now_ns;
	if (tcp_pipe(t) && s->now_ns - t->progress_ns > 400 * MS) {
		for (uint32_t i = t->una; i < t->high_water; i++) {
			if (t->state[i] & (SEG_SACKED | SEG_LOST))
				continue;
			t->state[i] |= SEG_LOST;
			t->in_flight--;
		}
		t->next = t->una;
		t->ssthresh = fmax(2, t->cwnd / 2);
		t->cwnd = 2;
		t->w_max = t->ssthresh;
		t->epoch_ns = t->progress_ns = s->now_ns;
		t->k = 0;
		t->cuts++;
	}
	for (uint32_t burst = 0; burst < 10 && tcp_pipe(t) < (uint32_t)t->cwnd; burst++) {
		while (t->next < t->high_water && !(t->state[t->next] & SEG_LOST))
			t->next++;
		if (t->next >= (t->limit ? t->limit : TCP_CAP - 1))
			return;
		if (t->state[t->next] & SEG_LOST) {
			t->state[t->next] = (uint8_t)((t->state[t->next] & ~SEG_LOST) | SEG_RETX);
			t->retransmits++;
		}
		t->state[t->next] |= SEG_SENT;
		enqueue(s, make(s, flow, t->next, BULK_LEN));
		t->in_flight++;
		t->next++;
		t->high_water = QB_MAX(t->high_water, t->next);
	}
}

static void tcp_start(struct sim *s, uint8_t flow)
{
	struct tcp *t = &s->tcp[flow];

	t->is_on = true;
	t->start_ns = s->now_ns;
	t->cwnd = 10;
	t->ssthresh = 1e9;
	t->state = calloc(1, TCP_CAP);
}

static void tcp_receive(struct sim *s, uint8_t flow, const struct qb_buf *b)
{
	struct tcp *t = &s->tcp[flow];
	uint32_t seg = qb_load_be32(b->data + 28);
	struct ack_event *e = &s->acks[s->ack_tail++ % ACK_CAP];

	if (seg < t->expected || seg > t->expected)
		t->out_of_order++;
	if (!(t->state[seg] & SEG_RECEIVED) && s->now_ns >= s->measure_from_ns)
		t->goodput_bytes += BULK_LEN;
	t->state[seg] |= SEG_RECEIVED;
	t->expected = QB_MAX(t->expected, seg + 1);
	*e = (struct ack_event){.at_ns = s->now_ns + (uint64_t)(s->reverse_ms * 1e6),
				.seg = seg,
				.flow = flow,
				.is_ce = (b->data[1] & 3) == 3};
}

/* ---- receivers ---- */

static void receive(struct sim *s, struct qb_buf *b)
{
	uint8_t flow = b->data[15];

	if (flow == 100) {
		uint32_t seq = qb_load_be32(b->data + 28);

		if (s->now_ns >= s->measure_from_ns)
			s->udp_bytes += b->len;
		if (seq < s->udp_highest)
			s->udp_reordered++;
		s->udp_highest = QB_MAX(s->udp_highest, seq);
		if (s->udp_last_ns)
			s->udp_gap_ns = QB_MAX(s->udp_gap_ns, s->now_ns - s->udp_last_ns);
		s->udp_last_ns = s->now_ns;
	} else if (flow == 101) {
		uint64_t sent_ns = qb_load_be64(b->data + 32);

		s->call_got++;
		if (s->call_last_ns)
			s->call_gap_ns = QB_MAX(s->call_gap_ns, s->now_ns - s->call_last_ns);
		s->call_last_ns = s->now_ns;
		if (s->now_ns >= s->measure_from_ns)
			s->call_ms[s->call_cnt++] = (double)(s->now_ns - sent_ns) / 1e6;
	} else {
		tcp_receive(s, flow, b);
	}
}

static void take_out(struct sim *s, struct qb_batch *out)
{
	for (uint32_t i = 0; i < out->cnt; i++) {
		receive(s, out->buf[i]);
		qb_buf_put(&s->pool, out->buf[i]);
	}
	out->cnt = 0;
}

/* ---- paths ---- */

static bool is_dead(const struct path *p, uint64_t now_ns)
{
	uint64_t t = p->cfg.period_ns ? now_ns % p->cfg.period_ns : now_ns;

	return t >= p->cfg.dead_from_ns && t < p->cfg.dead_to_ns;
}

static uint64_t cwnd_of(const struct path *p)
{
	return (uint64_t)(1.25 * p->cfg.mbps * 125 * (2 * p->cfg.delay_ms + 4)) + 8 * 1432;
}

static void transmit(struct sim *s, struct path *p, struct qb_buf *b, uint32_t bytes)
{
	struct in_flight *f = &p->wire[p->tail % WIRE_CAP];
	uint64_t tx_ns = (uint64_t)(bytes * 8e3 / p->cfg.mbps);
	uint64_t queue_ns = qb_sub_sat_u64(p->busy_until_ns, s->now_ns);

	ck_assert_uint_lt(p->tail - p->head, WIRE_CAP);
	*f = (struct in_flight){.buf = b, .sent_ns = s->now_ns, .bytes = bytes};
	f->is_lost = is_dead(p, s->now_ns) || queue_ns > p->cfg.queue_ms * 1e6 ||
		     qb_rand_unit(&s->rand) < p->cfg.loss;
	if (!f->is_lost) {
		p->busy_until_ns = qb_max_u64(p->busy_until_ns, s->now_ns) + tx_ns;
		f->arrive_ns = p->busy_until_ns + (uint64_t)(p->cfg.delay_ms * 1e6) +
			       (uint64_t)(qb_rand_unit(&s->rand) * p->cfg.jitter_ms * 1e6);
		f->arrive_ns = qb_max_u64(f->arrive_ns, p->last_arrive_ns);
		p->last_arrive_ns = f->arrive_ns;
		f->ack_ns = f->arrive_ns + (uint64_t)(p->cfg.delay_ms * 1e6);
	} else {
		f->arrive_ns = f->ack_ns = QB_NEVER_NS;
		if (b)
			qb_buf_put(&s->pool, b);
		f->buf = NULL;
	}
	p->tail++;
	p->in_flight_bytes += bytes;
	p->tx_bytes += s->now_ns >= s->measure_from_ns ? bytes : 0;
}

static void path_deliver(struct sim *s, struct path *p, uint8_t idx)
{
	struct qb_batch in = {0}, out = {0};

	while (p->deliver != p->tail) {
		struct in_flight *f = &p->wire[p->deliver % WIRE_CAP];

		if (!f->is_lost && (f->arrive_ns > s->now_ns || qb_batch_full(&in)))
			break;
		p->deliver++;
		if (f->is_lost || !f->buf)
			continue;
		if (is_dead(p, s->now_ns)) {
			f->is_lost = true;
			qb_buf_put(&s->pool, f->buf);
			f->buf = NULL;
			continue;
		}
		f->buf->path = idx;
		qb_batch_add(&in, f->buf);
		f->buf = NULL;
	}
	do {
		qb_bond_rx(s->b, &in, &out, s->now_ns);
		take_out(s, &out);
	} while (in.cnt || qb_bond_rx_deadline_ns(s->b) == 0);
}

static void path_acks(struct sim *s, struct path *p)
{
	uint32_t i = p->head, last = p->head;

	/* Those before the newest acknowledged one that were lost are declared lost by it. */
	for (; i != p->deliver; i++) {
		struct in_flight *f = &p->wire[i % WIRE_CAP];
		uint64_t rtt;

		if (f->is_lost)
			continue;
		if (f->ack_ns > s->now_ns)
			break;
		if (is_dead(p, s->now_ns)) {
			f->is_lost = true;
			continue;
		}
		last = i + 1;
		rtt = s->now_ns - f->sent_ns;
		p->rttvar_ns = (3 * p->rttvar_ns +
				(rtt > p->srtt_ns ? rtt - p->srtt_ns : p->srtt_ns - rtt)) /
			       4;
		p->srtt_ns = (7 * p->srtt_ns + rtt) / 8;
		p->min_rtt_ns = qb_min_u64(p->min_rtt_ns, rtt);
		p->obs.last_ack_ns = s->now_ns;
		p->obs.last_acked_sent_ns = f->sent_ns;
	}
	for (; p->head != last; p->head++) {
		struct in_flight *f = &p->wire[p->head % WIRE_CAP];

		p->in_flight_bytes -= f->bytes;
		if (f->is_lost)
			p->obs.lost_packets++;
		else
			p->obs.acked_packets++;
	}
}

static void write_off(struct sim *s, struct path *p)
{
	for (; p->head != p->tail; p->head++) {
		struct in_flight *f = &p->wire[p->head % WIRE_CAP];

		if (f->buf)
			qb_buf_put(&s->pool, f->buf);
		p->in_flight_bytes -= f->bytes;
		p->obs.lost_packets++;
	}
	p->deliver = p->tail;
}

static void observe(struct sim *s)
{
	struct qb_path_obs obs[LINKS_MAX] = {0};

	for (uint32_t i = 0; i < s->n; i++) {
		struct path *p = &s->paths[i];

		obs[i] = p->obs;
		obs[i].srtt_ns = p->srtt_ns;
		obs[i].rttvar_ns = p->rttvar_ns;
		obs[i].oldest_unacked_ns =
			p->head == p->tail ? 0 : p->wire[p->head % WIRE_CAP].sent_ns;
	}
	for (uint32_t i = 0; i < s->n; i++) {
		struct path *p = &s->paths[i];
		uint32_t act = qb_bond_observe(s->a, (uint8_t)i, obs, s->n, s->now_ns);

		if (act & QB_LINK_ACT_DOWN) {
			p->downs++;
			p->down_ns = s->now_ns;
			write_off(s, p);
		}
		if (act & QB_LINK_ACT_UP) {
			p->ups++;
			p->up_ns = s->now_ns;
		}
		if (act & QB_LINK_ACT_PROBE)
			transmit(s, p, NULL, 60);
	}
}

static void views_of(struct sim *s, struct qb_path_view *v)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct path *p = &s->paths[i];
		uint64_t cwnd = cwnd_of(p), burst_ns = 2 * MS;
		uint64_t rate = (uint64_t)(p->cfg.mbps * 1e6), room, by_pacer;

		p->tokens_ns = qb_max_u64(p->tokens_ns, qb_sub_sat_u64(s->now_ns, burst_ns));
		room = qb_sub_sat_u64(cwnd, p->in_flight_bytes);
		by_pacer =
			s->now_ns > p->tokens_ns ? (s->now_ns - p->tokens_ns) * rate / 8 / SEC : 0;
		/* At least a packet at a time, however slow. */
		if (s->now_ns >= p->tokens_ns && by_pacer < 1500)
			by_pacer = 1500;
		v[i] = (struct qb_path_view){
			.is_usable = true,
			.is_validated = true,
			.srtt_ns = p->srtt_ns,
			.min_rtt_ns = p->min_rtt_ns,
			.rttvar_ns = p->rttvar_ns,
			.cwnd_bytes = cwnd,
			.in_flight_bytes = p->in_flight_bytes,
			.rate_bps = rate,
			.budget_bytes = qb_min_u64(room, by_pacer),
			.next_send_ns = p->tokens_ns > s->now_ns ? p->tokens_ns : 0,
			.max_inner_bytes = 1400,
		};
	}
}

static void send_all(struct sim *s)
{
	struct qb_path_view v[LINKS_MAX];
	struct qb_buf *b;
	uint8_t path;

	views_of(s, v);
	while ((b = qb_bond_pick(s->a, v, s->n, s->now_ns, &path))) {
		struct path *p = &s->paths[path];
		uint32_t bytes = b->len + OVERHEAD;

		transmit(s, p, b, bytes);
		p->tokens_ns = qb_max_u64(p->tokens_ns, s->now_ns - 2 * MS) +
			       (uint64_t)(bytes * 8e3 / p->cfg.mbps);
	}
}

static void sim_step(struct sim *s)
{
	struct qb_batch out = {0};

	s->now_ns += STEP_NS;
	for (; s->udp_mbps > 0 && s->udp_next_ns <= s->now_ns;
	     s->udp_next_ns += (uint64_t)(BULK_LEN * 8e3 / s->udp_mbps))
		enqueue(s, make(s, 100, s->udp_seq++, BULK_LEN));
	for (; s->has_call && s->call_next_ns <= s->now_ns; s->call_next_ns += 20 * MS)
		enqueue(s, make(s, 101, s->call_sent++, CALL_LEN));
	while (s->ack_head != s->ack_tail && s->acks[s->ack_head % ACK_CAP].at_ns <= s->now_ns) {
		struct ack_event *e = &s->acks[s->ack_head++ % ACK_CAP];

		tcp_on_ack(s, &s->tcp[e->flow], e->seg, e->is_ce);
	}
	for (uint8_t i = 0; i < TCP_MAX; i++)
		tcp_run(s, i);
	for (uint32_t i = 0; i < s->n; i++) {
		path_deliver(s, &s->paths[i], (uint8_t)i);
		path_acks(s, &s->paths[i]);
	}
	if (qb_bond_rx_deadline_ns(s->b) <= s->now_ns) {
		qb_bond_rx_poll(s->b, &out, s->now_ns);
		take_out(s, &out);
	}
	if (s->now_ns >= s->observe_ns) {
		observe(s);
		s->observe_ns = s->now_ns + 10 * MS;
	}
	send_all(s);
}

static void sim_run(struct sim *s, double seconds)
{
	uint64_t end_ns = s->now_ns + (uint64_t)(seconds * 1e9);

	while (s->now_ns < end_ns)
		sim_step(s);
}

static void sim_measure(struct sim *s)
{
	s->measure_from_ns = s->now_ns;
	s->call_cnt = 0;
	s->udp_bytes = 0;
	s->udp_gap_ns = s->call_gap_ns = 0;
	for (int i = 0; i < TCP_MAX; i++)
		s->tcp[i].goodput_bytes = 0;
	for (uint32_t i = 0; i < s->n; i++)
		s->paths[i].tx_bytes = 0;
}

static int cmp_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double call_percentile(struct sim *s, double q)
{
	if (s->call_cnt == 0)
		return 0;
	qsort(s->call_ms, s->call_cnt, sizeof(double), cmp_double);
	return s->call_ms[(uint32_t)((s->call_cnt - 1) * q)];
}

static double mbps_since(const struct sim *s, uint64_t bytes)
{
	return (double)bytes * 8e3 / (double)(s->now_ns - s->measure_from_ns);
}

static void report(struct sim *s, const char *what)
{
	struct qb_bond_stats st;

	qb_bond_get_stats(s->b, &st);
	if (!getenv("QB_TEST_VERBOSE"))
		return;
	printf("%-34s udp %6.1f tcp %6.1f", what, mbps_since(s, s->udp_bytes),
	       mbps_since(s, s->tcp[0].goodput_bytes));
	for (uint32_t i = 0; i < s->n; i++)
		printf(" [%u] %5.1f", i, mbps_since(s, s->paths[i].tx_bytes));
	printf(" call p50 %.1f p99 %.1f max %.1f (%u/%u)", call_percentile(s, 0.5),
	       call_percentile(s, 0.99), call_percentile(s, 1), s->call_got, s->call_sent);
	printf(" ooo %lu cuts %lu retx %lu spur %lu held %lu loss %lu tmo %lu late %lu hold %.1f "
	       "qdrop %lu\n",
	       (unsigned long)s->tcp[0].out_of_order, (unsigned long)s->tcp[0].cuts,
	       (unsigned long)s->tcp[0].retransmits, (unsigned long)s->tcp[0].spurious,
	       (unsigned long)s->counters.v[QB_CNT_REORDER_HELD],
	       (unsigned long)s->counters.v[QB_CNT_REORDER_RELEASED_LOSS],
	       (unsigned long)s->counters.v[QB_CNT_REORDER_TIMEOUT],
	       (unsigned long)s->counters.v[QB_CNT_REORDER_LATE], (double)st.hold_ns / 1e6,
	       (unsigned long)s->counters.v[QB_CNT_DROP_QUEUE]);
	fflush(stdout);
}
