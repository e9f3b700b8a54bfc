/* SPDX-License-Identifier: BSD-2-Clause */
/* The single-bottleneck harness of cc_bench.h: each step handles whatever is due first. */
#include <stdlib.h>

#include "cc_bench.h"

enum {
	ACK_EVERY = 2,
	PKT_THRESH = 3, /* RFC 9002 kPacketThreshold */
	PROBE_PKTS = 2,
	OCTAVE = 64, /* histogram cells an octave */
};

#define MAX_ACK_DELAY_NS (25 * QB_NS_PER_MS)

struct in_transit {
	uint64_t at_ns;
	uint64_t pn;
	uint32_t flow;
	bool is_ce;
};

struct ring {
	struct in_transit *v;
	uint64_t head, tail;
};

struct ccb_queue {
	struct ring wait; /* in the bottleneck's queue; at_ns is when it came */
	uint64_t busy_until_ns;
	double police_bytes; /* tokens */
	uint64_t police_ns;
	double app_debt;
};

struct ack {
	uint64_t at_ns;
	uint64_t rx_cnt; /* it acknowledges the first so many of rx_log */
	uint64_t ce_cnt;
};

struct ccb_private {
	_Alignas(16) uint8_t state[QB_CC_STATE_MAX];
	struct ccb_pkt *pkt;
	uint64_t next_pn, oldest_pn;
	uint64_t largest_acked; /* +1; 0: none */
	uint64_t limited_pn;
	uint64_t recovery_sent_ns;
	uint32_t event_lost_cnt, reorder_pkts;
	struct qb_rate rate;
	struct qb_pacer pacer;
	uint64_t loss_at_ns, last_sent_ns;
	uint32_t pto_cnt, probes;
	double backlog_bytes;
	uint64_t app_ns, next_write_ns;
	bool is_started;
	/* receiver */
	struct ring wire; /* on the way to it */
	uint64_t *rx_log; /* packet numbers in the order of their arrival */
	uint64_t rx_cnt, rx_acked_cnt, rx_largest, ce_cnt;
	uint64_t owd_base_ns;
	uint64_t ack_timer_ns;
	struct ack *acks;
	uint64_t ack_head, ack_tail;
	uint64_t done_rx_cnt, done_ce_cnt; /* what the sender has seen of them */
};

/* ---- rings ---- */

static void ring_init(struct ring *r)
{
	r->v = calloc(CCB_RING, sizeof(*r->v));
	QB_BUG_ON(!r->v);
	r->head = r->tail = 0;
}

static struct in_transit *ring_at(const struct ring *r, uint64_t i)
{
	return &r->v[i % CCB_RING];
}

/* Ordered by time; latecomers are rare. */
static void ring_insert(struct ring *r, struct in_transit t)
{
	uint64_t i = r->tail++;

	QB_BUG_ON(r->tail - r->head >= CCB_RING);
	for (; i > r->head && ring_at(r, i - 1)->at_ns > t.at_ns; i--)
		*ring_at(r, i) = *ring_at(r, i - 1);
	*ring_at(r, i) = t;
}

static uint64_t ring_first_ns(const struct ring *r)
{
	return r->head == r->tail ? QB_NEVER_NS : ring_at(r, r->head)->at_ns;
}

static uint64_t next_slot(uint64_t at_ns, uint64_t slot_ns)
{
	return slot_ns ? (at_ns + slot_ns - 1) / slot_ns * slot_ns : at_ns;
}

static struct ccb_pkt *pkt_at(const struct ccb_private *p, uint64_t pn)
{
	return &p->pkt[pn % CCB_RING];
}

/* ---- statistics ---- */

static uint32_t hist_cell(uint64_t ns)
{
	uint64_t unit = ns / (QB_NS_PER_MS / 32);
	uint32_t octave = 0;

	for (; unit >= 2 * OCTAVE; unit /= 2)
		octave++;
	return (uint32_t)QB_MIN(octave * OCTAVE + unit, (uint64_t)CCB_HIST - 1);
}

static double hist_ms(uint32_t cell)
{
	uint32_t octave = cell < 2 * OCTAVE ? 0 : cell / OCTAVE - 1;

	return (double)(cell - octave * OCTAVE) * (double)(UINT64_C(1) << octave) / 32;
}

static void note_delay(struct ccb *b, uint64_t ns)
{
	b->delay_hist[hist_cell(ns)]++;
	b->delay_cnt++;
	b->delay_sum_ns += ns;
	b->delay_max_ns = qb_max_u64(b->delay_max_ns, ns);
}

void ccb_mark(struct ccb *b)
{
	b->mark_ns = b->now_ns;
	b->queue_peak_bytes = b->queue_bytes;
	b->drop_cnt = b->served_bytes = 0;
	memset(b->delay_hist, 0, sizeof(b->delay_hist));
	b->delay_cnt = b->delay_sum_ns = b->delay_max_ns = 0;
	for (uint32_t i = 0; i < b->flow_cnt; i++)
		b->flow[i].stats = (struct ccb_stats){0};
}

double ccb_flow_bps(const struct ccb *b, const struct ccb_flow *f)
{
	return (double)f->stats.acked_bytes * 8e9 / (double)(b->now_ns - b->mark_ns);
}

double ccb_utilisation(const struct ccb *b)
{
	double sum = 0;

	for (uint32_t i = 0; i < b->flow_cnt; i++)
		sum += ccb_flow_bps(b, &b->flow[i]);
	return sum / (double)b->link.rate_bps;
}

double ccb_delay_mean_ms(const struct ccb *b)
{
	return b->delay_cnt ? (double)b->delay_sum_ns / (double)b->delay_cnt / 1e6 : 0;
}

double ccb_delay_pct_ms(const struct ccb *b, double pct)
{
	double left = (double)b->delay_cnt * pct / 100;
	uint32_t i;

	for (i = 0; i < CCB_HIST - 1 && left > b->delay_hist[i]; i++)
		left -= b->delay_hist[i];
	return hist_ms(i);
}

double ccb_loss_rate(const struct ccb_flow *f)
{
	return f->stats.sent_pkts ? (double)f->stats.lost_pkts / (double)f->stats.sent_pkts : 0;
}

void *ccb_state(struct ccb_flow *f)
{
	return f->priv->state;
}

/* ---- the bottleneck ---- */

static bool police(struct ccb *b, uint32_t bytes)
{
	struct ccb_queue *q = b->queue;

	if (!b->link.police_bps)
		return true;
	q->police_bytes += (double)(b->now_ns - q->police_ns) * (double)b->link.police_bps / 8e9;
	q->police_bytes = QB_MIN(q->police_bytes, (double)b->link.police_burst_bytes);
	q->police_ns = b->now_ns;
	if (q->police_bytes < bytes)
		return false;
	q->police_bytes -= bytes;
	return true;
}

static void enqueue(struct ccb *b, uint32_t flow, uint64_t pn)
{
	struct ccb_queue *q = b->queue;
	uint32_t bytes = pkt_at(b->flow[flow].priv, pn)->rec.bytes;

	if (b->link.is_down || !police(b, bytes) || b->queue_bytes + bytes > b->link.queue_bytes) {
		b->drop_cnt++;
		return;
	}
	if (q->wait.head == q->wait.tail)
		q->busy_until_ns = b->now_ns + (uint64_t)(bytes * 8e9 / (double)b->link.rate_bps);
	ring_insert(&q->wait, (struct in_transit){.at_ns = b->now_ns, .pn = pn, .flow = flow});
	b->queue_bytes += bytes;
	b->queue_peak_bytes = QB_MAX(b->queue_peak_bytes, b->queue_bytes);
}

static void serve(struct ccb *b)
{
	struct ccb_queue *q = b->queue;
	struct in_transit t = *ring_at(&q->wait, q->wait.head++);
	struct ccb_flow *f = &b->flow[t.flow];
	uint32_t bytes = pkt_at(f->priv, t.pn)->rec.bytes;
	uint64_t service_ns = (uint64_t)(bytes * 8e9 / (double)b->link.rate_bps);
	uint64_t waited_ns = qb_sub_sat_u64(b->now_ns - t.at_ns, service_ns);

	b->queue_bytes -= bytes;
	b->served_bytes += bytes;
	note_delay(b, waited_ns);
	pkt_at(f->priv, t.pn)->owd_ns = waited_ns + (b->link.rtt_ns + f->extra_rtt_ns) / 2;
	if (q->wait.head != q->wait.tail) {
		bytes = pkt_at(b->flow[ring_at(&q->wait, q->wait.head)->flow].priv,
			       ring_at(&q->wait, q->wait.head)->pn)
				->rec.bytes;
		q->busy_until_ns = b->now_ns + (uint64_t)(bytes * 8e9 / (double)b->link.rate_bps);
	}
	if (b->link.is_down || (b->link.loss > 0 && qb_rand_unit(&b->rand) < b->link.loss))
		return;
	t.is_ce = b->link.mark_ns && waited_ns > b->link.mark_ns;
	t.at_ns =
		next_slot(b->now_ns, b->link.data_slot_ns) + (b->link.rtt_ns + f->extra_rtt_ns) / 2;
	if (b->link.jitter_ns) {
		const struct ring *wire = &f->priv->wire;

		t.at_ns += (uint64_t)(qb_rand_unit(&b->rand) * 2 * (double)b->link.jitter_ns);
		if (wire->head != wire->tail)
			t.at_ns = qb_max_u64(t.at_ns, ring_at(wire, wire->tail - 1)->at_ns);
	}
	if (b->link.reorder > 0 && qb_rand_unit(&b->rand) < b->link.reorder)
		t.at_ns += b->link.reorder_ns;
	ring_insert(&f->priv->wire, t);
}

/* ---- receiver ---- */

static void send_ack(struct ccb *b, struct ccb_flow *f)
{
	struct ccb_private *p = f->priv;
	struct ack a = {.rx_cnt = p->rx_cnt, .ce_cnt = p->ce_cnt};

	p->rx_acked_cnt = p->rx_cnt;
	p->ack_timer_ns = QB_NEVER_NS;
	if (b->link.is_down || (b->link.ack_loss > 0 && qb_rand_unit(&b->rand) < b->link.ack_loss))
		return;
	a.at_ns = next_slot(b->now_ns, b->link.ack_slot_ns) + b->link.ack_wait_ns +
		  (b->link.rtt_ns + f->extra_rtt_ns) / 2;
	if (p->ack_head != p->ack_tail)
		a.at_ns = qb_max_u64(a.at_ns, p->acks[(p->ack_tail - 1) % CCB_RING].at_ns);
	p->acks[p->ack_tail++ % CCB_RING] = a;
}

static void receive(struct ccb *b, struct ccb_flow *f)
{
	struct ccb_private *p = f->priv;
	struct in_transit t = *ring_at(&p->wire, p->wire.head++);
	bool is_in_order = p->rx_cnt == 0 || t.pn == p->rx_largest + 1;

	p->rx_log[p->rx_cnt++ % CCB_RING] = t.pn;
	p->rx_largest = QB_MAX(p->rx_largest, t.pn);
	p->ce_cnt += t.is_ce;
	if (!is_in_order || t.is_ce || p->rx_cnt - p->rx_acked_cnt >= ACK_EVERY)
		send_ack(b, f);
	else if (p->ack_timer_ns == QB_NEVER_NS)
		p->ack_timer_ns = b->now_ns + MAX_ACK_DELAY_NS;
}

/* ---- sender ---- */

static void update_view(struct ccb *b, struct ccb_flow *f)
{
	uint64_t rate_bps;

	f->view = (struct qb_cc_view){0};
	f->cc->view(f->priv->state, &f->view);
	qb_resume_view(&f->resume, qb_rtt_has_sample(&f->rtt) ? f->rtt.smoothed_ns : 0, &f->view);
	rate_bps = qb_cc_pacing_bps(&f->view, qb_rtt_has_sample(&f->rtt) ? f->rtt.smoothed_ns : 0);
	qb_pacer_set_rate(&f->priv->pacer, rate_bps, CCB_MSS_BYTES, b->now_ns);
}

static void send_one(struct ccb *b, struct ccb_flow *f)
{
	struct ccb_private *p = f->priv;
	uint64_t pn = p->next_pn++;
	struct qb_sent_pkt *rec = &pkt_at(p, pn)->rec;
	struct qb_cc_sent ev = {.now_ns = b->now_ns, .bytes = CCB_MSS_BYTES};

	QB_BUG_ON(p->next_pn - p->oldest_pn >= CCB_RING);
	*rec = (struct qb_sent_pkt){
		.sent_ns = b->now_ns, .bytes = CCB_MSS_BYTES, .state = QB_SENT_FLIGHT};
	qb_rate_on_sent(&p->rate, rec, f->in_flight_bytes, b->now_ns);
	f->in_flight_bytes += rec->bytes;
	f->stats.sent_pkts++;
	qb_pacer_on_sent(&p->pacer, rec->bytes, b->now_ns);
	ev.in_flight_bytes = f->in_flight_bytes;
	ev.is_app_limited = p->rate.app_limited_bytes != 0;
	f->cc->on_sent(p->state, &ev);
	qb_resume_on_sent(&f->resume, &ev);
	p->last_sent_ns = b->now_ns;
	enqueue(b, (uint32_t)(f - b->flow), pn);
}

static bool has_data(const struct ccb *b, const struct ccb_flow *f)
{
	if (b->now_ns < f->start_ns || b->now_ns >= f->stop_ns)
		return false;
	return !f->app_bps || f->priv->backlog_bytes >= CCB_MSS_BYTES;
}

static void write_app(struct ccb *b, struct ccb_flow *f)
{
	struct ccb_private *p = f->priv;
	double burst_bytes = QB_MAX((double)f->app_burst_bytes, (double)CCB_MSS_BYTES);

	if (!f->app_bps || b->now_ns < f->start_ns || b->now_ns < p->next_write_ns)
		return;
	/* A tunnel's queue is short: what does not go in time is dropped there. */
	p->backlog_bytes =
		QB_MIN(p->backlog_bytes + burst_bytes, burst_bytes + (double)f->app_bps / 80);
	p->next_write_ns = QB_MAX(p->next_write_ns, f->start_ns) +
			   (uint64_t)(burst_bytes * 8e9 / (double)f->app_bps);
	if (p->next_write_ns < b->now_ns)
		p->next_write_ns = b->now_ns;
}

static void try_send(struct ccb *b, struct ccb_flow *f)
{
	struct ccb_private *p = f->priv;

	write_app(b, f);
	for (; p->probes; p->probes--)
		send_one(b, f);
	while (has_data(b, f) && f->in_flight_bytes + CCB_MSS_BYTES <= f->view.cwnd_bytes &&
	       qb_pacer_budget(&p->pacer, b->now_ns) >= CCB_MSS_BYTES) {
		send_one(b, f);
		if (f->app_bps)
			p->backlog_bytes -= CCB_MSS_BYTES;
	}
	if (f->in_flight_bytes + CCB_MSS_BYTES <= f->view.cwnd_bytes &&
	    qb_pacer_budget(&p->pacer, b->now_ns) >= CCB_MSS_BYTES)
		qb_rate_set_app_limited(&p->rate, f->in_flight_bytes);
	else
		p->limited_pn = p->next_pn;
}

static uint64_t send_at(const struct ccb *b, const struct ccb_flow *f)
{
	const struct ccb_private *p = f->priv;
	uint64_t at_ns;

	if (!p->is_started)
		return f->start_ns;
	if (b->now_ns >= f->stop_ns)
		return QB_NEVER_NS;
	if (f->app_bps && p->backlog_bytes < CCB_MSS_BYTES)
		return p->next_write_ns;
	if (f->in_flight_bytes + CCB_MSS_BYTES > f->view.cwnd_bytes)
		return f->app_bps ? p->next_write_ns : QB_NEVER_NS;
	at_ns = qb_pacer_next_ns(&p->pacer, CCB_MSS_BYTES, b->now_ns);
	return at_ns ? at_ns : b->now_ns;
}

struct loss_sum {
	struct qb_cc_loss ev;
	uint32_t cnt;
	uint64_t prev_pn, run_start_ns;
};

static void lose(struct ccb_flow *f, struct loss_sum *sum, uint64_t pn)
{
	struct ccb_private *p = f->priv;
	struct qb_sent_pkt *rec = &pkt_at(p, pn)->rec;

	rec->state = QB_SENT_LOST;
	f->in_flight_bytes -= rec->bytes;
	f->stats.lost_pkts++;
	p->rate.lost_bytes += rec->bytes;
	sum->ev.lost_bytes += rec->bytes;
	sum->ev.largest_sent_ns = rec->sent_ns;
	sum->ev.tx_in_flight_bytes = rec->tx_in_flight_bytes;
	sum->ev.lost_since_tx_bytes = p->rate.lost_bytes - rec->lost_bytes;
	sum->ev.is_app_limited = rec->flags & QB_SENT_APP_LIMITED;
	sum->ev.range_cnt += !sum->cnt || sum->prev_pn + 1 != pn;
	if (!sum->cnt || sum->prev_pn + 1 != pn)
		sum->run_start_ns = rec->sent_ns;
	if (rec->sent_ns - sum->run_start_ns > qb_rtt_persistent_ns(&f->rtt, MAX_ACK_DELAY_NS, 0) &&
	    sum->run_start_ns > f->rtt.first_sample_ns)
		sum->ev.is_persistent = true;
	sum->prev_pn = pn;
	sum->cnt++;
}

static uint64_t detect_loss(struct ccb *b, struct ccb_flow *f)
{
	struct ccb_private *p = f->priv;
	uint64_t delay_ns = qb_rtt_loss_delay_ns(&f->rtt);
	struct loss_sum sum = {.ev = {.now_ns = b->now_ns}};

	p->loss_at_ns = QB_NEVER_NS;
	for (uint64_t pn = p->oldest_pn; pn + 1 < p->largest_acked; pn++) {
		struct qb_sent_pkt *rec = &pkt_at(p, pn)->rec;

		if (rec->state != QB_SENT_FLIGHT)
			continue;
		if (p->largest_acked - 1 - pn < p->reorder_pkts &&
		    rec->sent_ns + delay_ns > b->now_ns) {
			p->loss_at_ns = rec->sent_ns + delay_ns;
			break;
		}
		lose(f, &sum, pn);
	}
	if (!sum.cnt)
		return 0;
	sum.ev.in_flight_bytes = f->in_flight_bytes;
	sum.ev.delivered_bytes = p->rate.delivered_bytes;
	if (sum.ev.largest_sent_ns > p->recovery_sent_ns) {
		p->recovery_sent_ns = b->now_ns;
		p->event_lost_cnt = 0;
	}
	p->event_lost_cnt += sum.cnt;
	f->cc->on_loss(p->state, &sum.ev);
	qb_resume_on_loss(&f->resume, &sum.ev);
	return sum.ev.lost_bytes;
}

struct ack_sum {
	struct qb_rate_sample rs;
	uint64_t acked_bytes, acked_pkts, largest_sent_ns, largest_pn;
	bool has_new_largest;
};

static void take_acked(struct ccb *b, struct ccb_flow *f, uint64_t pn, struct ack_sum *sum)
{
	struct ccb_private *p = f->priv;
	struct qb_sent_pkt *rec = &pkt_at(p, pn)->rec;

	if (rec->state == QB_SENT_LOST) {
		uint64_t distance = qb_sub_sat_u64(p->largest_acked, pn + 1);

		rec->state = QB_SENT_ACKED;
		p->reorder_pkts =
			QB_MAX(p->reorder_pkts, (uint32_t)QB_MIN(distance + 1, UINT64_C(300)));
		if (rec->sent_ns <= p->recovery_sent_ns && p->event_lost_cnt &&
		    --p->event_lost_cnt == 0) {
			f->stats.spurious_cnt++;
			f->cc->on_spurious(p->state, b->now_ns);
		}
		return;
	}
	if (rec->state != QB_SENT_FLIGHT)
		return;
	rec->state = QB_SENT_ACKED;
	f->in_flight_bytes -= rec->bytes;
	f->stats.acked_bytes += rec->bytes;
	f->total_acked_bytes += rec->bytes;
	qb_rate_on_acked(&p->rate, &sum->rs, rec, pn, b->now_ns);
	sum->acked_bytes += rec->bytes;
	sum->acked_pkts++;
	if (sum->acked_pkts == 1 || pn > sum->largest_pn) {
		sum->largest_pn = pn;
		sum->largest_sent_ns = rec->sent_ns;
	}
	if (pn + 1 > p->largest_acked) {
		p->largest_acked = pn + 1;
		sum->has_new_largest = true;
	}
}

static void tell_ecn(struct ccb *b, struct ccb_flow *f, const struct ack *a,
		     const struct ack_sum *sum)
{
	struct ccb_private *p = f->priv;
	struct qb_cc_ecn ev = {
		.now_ns = b->now_ns,
		.ce_pkts = a->ce_cnt - p->done_ce_cnt,
		.largest_sent_ns = sum->largest_sent_ns,
		.in_flight_bytes = f->in_flight_bytes,
		.srtt_ns = f->rtt.smoothed_ns,
		.delivered_bytes = p->rate.delivered_bytes,
	};

	p->done_ce_cnt = a->ce_cnt;
	ev.ect_pkts = qb_sub_sat_u64(sum->acked_pkts, ev.ce_pkts);
	f->stats.ce_pkts += ev.ce_pkts;
	if (!b->link.mark_ns || !f->cc->on_ecn)
		return;
	f->cc->on_ecn(p->state, &ev);
	qb_resume_on_ecn(&f->resume, &ev);
}

static void take_ack(struct ccb *b, struct ccb_flow *f)
{
	struct ccb_private *p = f->priv;
	struct ack a = p->acks[p->ack_head++ % CCB_RING];
	struct ack_sum sum = {0};
	struct qb_cc_ack ev = {.now_ns = b->now_ns, .prior_in_flight_bytes = f->in_flight_bytes};

	for (; p->done_rx_cnt < a.rx_cnt; p->done_rx_cnt++)
		take_acked(b, f, p->rx_log[p->done_rx_cnt % CCB_RING], &sum);
	if (sum.has_new_largest) {
		ev.rtt_ns = b->now_ns - sum.largest_sent_ns;
		qb_rtt_update(&f->rtt, ev.rtt_ns, 0, b->now_ns);
	}
	if (!sum.acked_pkts)
		return;
	tell_ecn(b, f, &a, &sum);
	qb_rate_finish(&p->rate, &sum.rs, f->rtt.min_ns);
	ev.lost_bytes = detect_loss(b, f);
	while (p->oldest_pn < p->next_pn && pkt_at(p, p->oldest_pn)->rec.state != QB_SENT_FLIGHT &&
	       p->next_pn - p->oldest_pn > 1)
		p->oldest_pn++;
	ev.acked_bytes = sum.acked_bytes;
	ev.has_queue = b->link.has_owd && sum.has_new_largest &&
		       (!b->link.owd_gap_ns || b->now_ns / b->link.owd_gap_ns % 4);
	if (ev.has_queue) {
		uint64_t owd_ns = pkt_at(p, sum.largest_pn)->owd_ns;

		p->owd_base_ns = p->owd_base_ns ? qb_min_u64(p->owd_base_ns, owd_ns) : owd_ns;
		ev.queue_ns = owd_ns - p->owd_base_ns;
	}
	ev.in_flight_bytes = f->in_flight_bytes;
	ev.largest_sent_ns = sum.largest_sent_ns;
	ev.srtt_ns = f->rtt.smoothed_ns;
	ev.min_rtt_ns = f->rtt.min_ns;
	ev.rate_bps = sum.rs.bps;
	ev.rate_interval_ns = sum.rs.interval_ns;
	ev.rate_delivered_bytes = sum.rs.delivered_bytes;
	ev.rate_lost_bytes = sum.rs.lost_bytes;
	ev.prior_delivered_bytes = sum.rs.prior_delivered_bytes;
	ev.delivered_bytes = p->rate.delivered_bytes;
	ev.tx_in_flight_bytes = sum.rs.tx_in_flight_bytes;
	ev.is_rate_app_limited = sum.rs.is_app_limited;
	ev.sharer_cnt = f->sharer_cnt;
	ev.is_cwnd_limited = sum.largest_pn < p->limited_pn;
	f->cc->on_ack(p->state, &ev);
	qb_resume_on_ack(&f->resume, &ev);
	p->pto_cnt = 0;
	update_view(b, f);
	QB_BUG_ON(f->view.cwnd_bytes < CCB_MSS_BYTES);
}

static uint64_t timer_at(const struct ccb_flow *f)
{
	const struct ccb_private *p = f->priv;

	if (p->loss_at_ns != QB_NEVER_NS)
		return p->loss_at_ns;
	if (!f->in_flight_bytes)
		return QB_NEVER_NS;
	return p->last_sent_ns +
	       (qb_rtt_pto_ns(&f->rtt, MAX_ACK_DELAY_NS) << QB_MIN(p->pto_cnt, 6U));
}

static void on_timer(struct ccb *b, struct ccb_flow *f)
{
	if (f->priv->loss_at_ns != QB_NEVER_NS) {
		detect_loss(b, f);
		update_view(b, f);
		return;
	}
	f->priv->pto_cnt++;
	f->priv->probes = PROBE_PKTS;
}

static void start_flow(struct ccb *b, struct ccb_flow *f)
{
	struct qb_cc_cfg cfg = {
		.mss_bytes = CCB_MSS_BYTES,
		.init_rtt_ns = QB_RTT_INITIAL_NS,
		.seed = qb_rand_u64(&b->rand),
		.group = f->group ? &b->group[f->group] : f->shared_group,
	};

	f->priv->is_started = true;
	f->cc->init(f->priv->state, &cfg, b->now_ns);
	qb_resume_init(&f->resume, &cfg);
	qb_resume_seed(&f->resume, &f->known);
	update_view(b, f);
}

/* ---- the clock ---- */

static uint64_t flow_next_ns(const struct ccb *b, const struct ccb_flow *f)
{
	const struct ccb_private *p = f->priv;
	uint64_t at_ns = qb_min_u64(send_at(b, f), timer_at(f));

	at_ns = qb_min_u64(at_ns, ring_first_ns(&p->wire));
	at_ns = qb_min_u64(at_ns, p->ack_timer_ns);
	if (p->ack_head != p->ack_tail)
		at_ns = qb_min_u64(at_ns, p->acks[p->ack_head % CCB_RING].at_ns);
	return at_ns;
}

static void flow_step(struct ccb *b, struct ccb_flow *f)
{
	struct ccb_private *p = f->priv;

	if (!p->is_started) {
		if (b->now_ns < f->start_ns)
			return;
		start_flow(b, f);
	}
	while (ring_first_ns(&p->wire) <= b->now_ns)
		receive(b, f);
	if (p->ack_timer_ns <= b->now_ns)
		send_ack(b, f);
	while (p->ack_head != p->ack_tail && p->acks[p->ack_head % CCB_RING].at_ns <= b->now_ns)
		take_ack(b, f);
	if (timer_at(f) <= b->now_ns)
		on_timer(b, f);
	try_send(b, f);
}

void ccb_run(struct ccb *b, uint64_t until_ns)
{
	struct ccb_queue *q = b->queue;

	for (;;) {
		uint64_t next_ns = q->wait.head != q->wait.tail ? q->busy_until_ns : QB_NEVER_NS;

		for (uint32_t i = 0; i < b->flow_cnt; i++)
			next_ns = qb_min_u64(next_ns, flow_next_ns(b, &b->flow[i]));
		if (next_ns > until_ns)
			break;
		b->now_ns = qb_max_u64(b->now_ns, next_ns);
		while (q->wait.head != q->wait.tail && q->busy_until_ns <= b->now_ns)
			serve(b);
		for (uint32_t i = 0; i < b->flow_cnt; i++)
			flow_step(b, &b->flow[i]);
	}
	b->now_ns = until_ns;
}

/* ---- set-up ---- */

void ccb_init(struct ccb *b, const struct ccb_link *link, uint64_t seed)
{
	memset(b, 0, sizeof(*b));
	b->link = *link;
	b->now_ns = b->mark_ns = QB_NS_PER_SEC; /* zero means "never" in places */
	b->queue = calloc(1, sizeof(*b->queue));
	QB_BUG_ON(!b->queue);
	ring_init(&b->queue->wait);
	b->queue->police_bytes = (double)link->police_burst_bytes;
	b->queue->police_ns = b->now_ns;
	qb_rand_seed(&b->rand, seed);
}

struct ccb_flow *ccb_add(struct ccb *b, const char *cc, uint64_t start_ns)
{
	struct ccb_flow *f = &b->flow[b->flow_cnt++];
	struct ccb_private *p;

	QB_BUG_ON(b->flow_cnt > CCB_FLOWS);
	f->cc = qb_cc_find(cc);
	f->start_ns = start_ns + QB_NS_PER_SEC;
	f->stop_ns = QB_NEVER_NS;
	p = f->priv = aligned_alloc(16, (sizeof(*p) + 15) / 16 * 16);
	QB_BUG_ON(!f->cc || !p);
	memset(p, 0, sizeof(*p));
	p->pkt = calloc(CCB_RING, sizeof(*p->pkt));
	p->rx_log = calloc(CCB_RING, sizeof(*p->rx_log));
	p->acks = calloc(CCB_RING, sizeof(*p->acks));
	QB_BUG_ON(!p->pkt || !p->rx_log || !p->acks);
	ring_init(&p->wire);
	p->ack_timer_ns = p->loss_at_ns = QB_NEVER_NS;
	p->reorder_pkts = PKT_THRESH;
	qb_rtt_init(&f->rtt, 0);
	qb_pacer_init(&p->pacer, b->now_ns);
	return f;
}

void ccb_fini(struct ccb *b)
{
	for (uint32_t i = 0; i < b->flow_cnt; i++) {
		struct ccb_private *p = b->flow[i].priv;

		free(p->pkt);
		free(p->rx_log);
		free(p->acks);
		free(p->wire.v);
		free(p);
	}
	free(b->queue->wait.v);
	free(b->queue);
}
