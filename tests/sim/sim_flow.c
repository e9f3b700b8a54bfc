/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows of the simulator. Packets are real IPv4 packets with UDP or TCP headers (ports name the
 * flow), whose payload carries a sequence number and a send time. The TCP-like sender is CUBIC (RFC
 * 9438) with RACK's reordering window (RFC 8985 §6.2: a quarter of the minimum RTT), so that
 * cross-path reordering hurts it as it hurts the real one; an ACK tells of the 64 packets up to the
 * one that caused it, as SACK would, of the row before those in which none is missing, as a cumulative
 * one does whichever ACK comes first, and whether its own was marked. The QUIC-like one finds losses as RFC 9002 §6.1
 * has it, by three packets or 9/8 of a round trip. Nothing is ever retransmitted: what counts is what gets through.
 */
#include "sim_flow.h"

#include <math.h>
#include <stdlib.h>

enum {
	IP_HDR = 20,
	UDP_HDR = 8,
	TCP_HDR = 20,
	BODY_OFF = IP_HDR + TCP_HDR, /* the same for both kinds: UDP's body just begins later */
	BODY_LEN = 28,
	ACK_SPAN = 64,
	TCP_INIT_CWND = 10,
	RTO_MIN_MS = 400,
	RTO_FIRST_MS = 1000, /* RFC 6298 §2.1 */
	RTO_MAX_MS = 60000,
	QUIC_PACKET_THRESHOLD = 3,
};

static const double CUBIC_C = 0.4, CUBIC_BETA = 0.7;
/* RFC 9438 §4.3: what Reno would add each round trip with that beta. */
static const double RENO_ALPHA = 3 * (1 - 0.7) / (1 + 0.7);

void flow_init(struct flow *f, uint32_t id, enum flow_kind kind, enum sim_dir dir, uint64_t now_ns)
{
	memset(f, 0, sizeof(*f));
	f->kind = kind;
	f->id = id;
	f->dir = dir;
	f->bytes = SIM_MTU;
	f->next_ns = now_ns;
	f->last_rx_ns = now_ns;
	f->last_ack_ns = now_ns;
	f->seen = calloc(FLOW_WINDOW / 8, 1);
	f->delay_us = calloc(DELAYS_MAX, sizeof(*f->delay_us));
	f->pkts = calloc(FLOW_WINDOW, sizeof(*f->pkts));
	f->cwnd = TCP_INIT_CWND;
	f->ssthresh = FLOW_WINDOW / 2;
	f->min_rtt_ns = QB_NEVER_NS;
	QB_BUG_ON(!f->seen || !f->delay_us || !f->pkts);
}

void flow_fini(struct flow *f)
{
	if (f->inner)
		inner_free(f->inner);
	free(f->seen);
	free(f->delay_us);
	free(f->pkts);
}

/* rto_ns: RFC 6298 §2.3, §5.5. */
static uint64_t rto_ns(const struct flow *f)
{
	uint64_t rto = f->srtt_ns ? f->srtt_ns + 4 * f->rttvar_ns : RTO_FIRST_MS * QB_NS_PER_MS;

	rto = qb_max_u64(rto, RTO_MIN_MS * QB_NS_PER_MS) << QB_MIN(f->timeout.cnt, 7u);
	return qb_min_u64(rto, RTO_MAX_MS * QB_NS_PER_MS);
}

uint64_t flow_next_ns(const struct flow *f)
{
	if (f->is_stopped)
		return QB_NEVER_NS;
	if (f->kind == FLOW_INNER)
		return inner_next_ns(f->inner);
	if (f->kind == FLOW_UDP)
		return f->next_ns;
	if (f->out_cnt < (uint32_t)f->cwnd && f->next_seq - f->tail_seq < FLOW_WINDOW - 1)
		return f->next_ns;
	return f->last_ack_ns + rto_ns(f);
}

static void build_headers(const struct flow *f, struct qb_buf *b, bool is_ack, uint32_t len)
{
	bool is_up = (f->dir == SIM_UP) != is_ack;
	uint8_t *ip = b->data, *tp = ip + IP_HDR;

	b->len = len;
	memset(ip, 0, len);
	ip[0] = 0x45;
	ip[1] = is_ack ? 0 : (uint8_t)f->ecn;
	qb_store_be16(ip + 2, (uint16_t)len);
	ip[8] = 64;
	ip[9] = f->kind == FLOW_TCP ? 6 : 17;
	qb_store_be32(ip + 12, is_up ? SIM_SITE_IP : SIM_FAR_IP);
	qb_store_be32(ip + 16, is_up ? SIM_FAR_IP : SIM_SITE_IP);
	qb_store_be16(tp, (uint16_t)(SIM_PORT_BASE + f->id));
	qb_store_be16(tp + 2, (uint16_t)(SIM_PORT_BASE + f->id));
	if (f->kind == FLOW_QUIC)
		qb_store_be16(tp + (is_ack ? 0 : 2), 443);
	if (f->kind != FLOW_TCP)
		qb_store_be16(tp + 4, (uint16_t)(len - IP_HDR));
	else
		tp[12] = 5 << 4;
}

static void on_rto(struct flow *f, uint64_t now_ns)
{
	/* RFC 5681 §3.1: a timeout of what was sent again lowers ssthresh no further. */
	if (f->timeout.cnt == 0) {
		f->timeout.from_seq = f->tail_seq;
		f->timeout.cwnd = f->cwnd;
		f->timeout.ssthresh = f->ssthresh;
		f->timeout.w_max = f->w_max;
		f->ssthresh = fmax(f->cwnd * CUBIC_BETA, 2);
		f->w_max = f->cwnd;
	}
	for (uint64_t seq = f->tail_seq; seq < f->next_seq; seq++) {
		struct flow_pkt *p = &f->pkts[seq % FLOW_WINDOW];

		p->is_given_up |= p->is_out;
		p->is_out = false;
	}
	f->tail_seq = f->next_seq;
	f->out_cnt = 0;
	f->timeout.cnt++;
	f->cwnd = 2;
	f->epoch_ns = 0;
	f->recovery_seq = f->next_seq;
	f->stats.cuts++;
	f->last_ack_ns = now_ns;
}

/*
 * undo_rto: what was given up arrives after all, before anything that was sent since. It was only late, as time stamps tell
 * a real sender (RFC 3522, RFC 4015): all is as if it had waited.
 */
static void undo_rto(struct flow *f)
{
	for (uint64_t seq = f->timeout.from_seq; seq < f->tail_seq; seq++) {
		struct flow_pkt *p = &f->pkts[seq % FLOW_WINDOW];

		f->out_cnt += p->is_given_up;
		p->is_out = p->is_given_up;
		p->is_given_up = false;
	}
	f->tail_seq = f->timeout.from_seq;
	f->cwnd = f->timeout.cwnd;
	f->ssthresh = f->timeout.ssthresh;
	f->w_max = f->timeout.w_max;
	f->recovery_seq = f->timeout.from_seq;
	f->timeout.cnt = 0;
}

void flow_build(struct flow *f, struct qb_buf *b, uint64_t now_ns)
{
	uint64_t seq;

	if (f->kind != FLOW_UDP && f->out_cnt >= (uint32_t)f->cwnd)
		on_rto(f, now_ns);
	seq = f->next_seq++;
	build_headers(f, b, false, f->bytes);
	b->data[BODY_OFF] = 0;
	qb_store_be64(b->data + BODY_OFF + 4, seq);
	qb_store_be64(b->data + BODY_OFF + 12, now_ns);
	f->stats.sent++;
	if (f->kind == FLOW_UDP) {
		f->next_ns += f->interval_ns;
		return;
	}
	if (f->out_cnt == 0)
		f->last_ack_ns = now_ns;
	f->pkts[seq % FLOW_WINDOW] = (struct flow_pkt){.sent_ns = now_ns, .is_out = true};
	f->out_cnt++;
	f->next_ns = now_ns;
}

/* ---- receiver ---- */

static bool is_seen(const struct flow *f, uint64_t seq)
{
	return f->seen[seq % FLOW_WINDOW / 8] >> (seq % 8) & 1;
}

static void on_data(struct flow *f, uint64_t seq, uint64_t sent_ns, uint32_t len, uint64_t now_ns)
{
	uint8_t *byte = &f->seen[seq % FLOW_WINDOW / 8];
	uint8_t bit = (uint8_t)(1u << (seq % 8));

	for (; f->top_seq <= seq; f->top_seq++) {
		f->seen[f->top_seq % FLOW_WINDOW / 8] &= (uint8_t)~(1u << (f->top_seq % 8));
		if (f->top_seq >= ACK_SPAN && !is_seen(f, f->top_seq - ACK_SPAN))
			f->row_seq = f->top_seq - ACK_SPAN + 1;
	}
	if (*byte & bit) {
		f->stats.duplicates++;
		return;
	}
	if (seq + 1 < f->top_seq)
		f->stats.out_of_order++;
	*byte |= bit;
	f->stats.received++;
	f->stats.arrived += seq >= f->from_seq;
	f->stats.bytes += len;
	f->stats.max_gap_ns = qb_max_u64(f->stats.max_gap_ns, now_ns - f->last_rx_ns);
	f->last_rx_ns = now_ns;
	if (f->delay_cnt < DELAYS_MAX)
		f->delay_us[f->delay_cnt++] = (uint32_t)((now_ns - sent_ns) / 1000);
}

/* ---- sender ---- */

static void grow(struct flow *f, uint64_t now_ns)
{
	double t, k, target;

	if (f->cwnd < f->ssthresh) {
		f->cwnd += 1;
		return;
	}
	if (f->epoch_ns == 0) {
		f->epoch_ns = now_ns;
		f->w_est = f->cwnd;
	}
	t = (double)(now_ns - f->epoch_ns + f->srtt_ns) / 1e9;
	k = cbrt(fmax(f->w_max - f->w_max * CUBIC_BETA, 0) / CUBIC_C);
	target = CUBIC_C * pow(t - k, 3) + f->w_max;
	f->w_est += (f->w_est < f->w_max ? RENO_ALPHA : 1) / f->cwnd;
	f->cwnd += target > f->cwnd ? fmin((target - f->cwnd) / f->cwnd, 0.5) : 0.01 / f->cwnd;
	f->cwnd = fmax(f->cwnd, f->w_est);
}

static void on_loss(struct flow *f, uint64_t seq)
{
	if (seq < f->recovery_seq)
		return;
	f->recovery_seq = f->next_seq;
	f->stats.cuts++;
	f->w_max = f->cwnd < f->w_max ? f->cwnd * (1 + CUBIC_BETA) / 2 : f->cwnd;
	f->cwnd = fmax(f->cwnd * CUBIC_BETA, 2);
	f->ssthresh = f->cwnd;
	f->epoch_ns = 0;
}

/*
 * is_late: RACK's sent more than a reordering window before something that was acknowledged, or
 * QUIC's packet and time thresholds.
 */
static bool is_late(const struct flow *f, uint64_t seq, uint64_t now_ns)
{
	const struct flow_pkt *p = &f->pkts[seq % FLOW_WINDOW];

	if (f->kind == FLOW_TCP)
		return p->sent_ns + f->min_rtt_ns / 4 < f->rack_sent_ns;
	return seq + QUIC_PACKET_THRESHOLD <= f->largest_acked ||
	       (seq < f->largest_acked && p->sent_ns + f->srtt_ns * 9 / 8 <= now_ns);
}

static void detect(struct flow *f, uint64_t now_ns)
{

	for (uint64_t seq = f->tail_seq; seq < f->next_seq; seq++) {
		struct flow_pkt *p = &f->pkts[seq % FLOW_WINDOW];

		if (p->is_out) {
			if (!is_late(f, seq, now_ns))
				break;
			p->is_out = false;
			f->out_cnt--;
			on_loss(f, seq);
		}
		if (seq == f->tail_seq)
			f->tail_seq++;
	}
}

static void on_ack_one(struct flow *f, uint64_t seq, bool is_newest, uint64_t now_ns)
{
	struct flow_pkt *p = &f->pkts[seq % FLOW_WINDOW];
	uint64_t rtt_ns, off_ns;

	if (f->timeout.cnt && p->is_given_up && seq >= f->timeout.from_seq && seq < f->tail_seq)
		undo_rto(f);
	if (seq < f->tail_seq || seq >= f->next_seq || !p->is_out)
		return;
	rtt_ns = now_ns - p->sent_ns;
	p->is_out = false;
	f->out_cnt--;
	f->last_ack_ns = now_ns;
	f->timeout.cnt = 0;
	if (!is_newest) {
		grow(f, now_ns);
		return;
	}
	f->min_rtt_ns = qb_min_u64(f->min_rtt_ns, rtt_ns);
	off_ns = rtt_ns > f->srtt_ns ? rtt_ns - f->srtt_ns : f->srtt_ns - rtt_ns;
	f->rttvar_ns = f->srtt_ns ? (3 * f->rttvar_ns + off_ns) / 4 : rtt_ns / 2;
	f->srtt_ns = f->srtt_ns ? (7 * f->srtt_ns + rtt_ns) / 8 : rtt_ns;
	f->rack_sent_ns = qb_max_u64(f->rack_sent_ns, p->sent_ns);
	grow(f, now_ns);
	f->largest_acked = qb_max_u64(f->largest_acked, seq);
	detect(f, now_ns);
	f->next_ns = now_ns;
}

static void on_ack(struct flow *f, uint64_t seq, uint64_t mask, uint32_t row, uint64_t now_ns)
{
	if (row)
		for (uint64_t i = qb_max_u64(f->tail_seq, seq - ACK_SPAN - row); i < seq - ACK_SPAN; i++)
			on_ack_one(f, i, false, now_ns);
	for (uint64_t i = 0; i < ACK_SPAN && i < seq; i++)
		if (mask & (UINT64_C(1) << i))
			on_ack_one(f, seq - 1 - i, false, now_ns);
	on_ack_one(f, seq, true, now_ns);
}

/* seen_mask has bit i set when packet seq - 1 - i has arrived. */
static uint64_t seen_mask(const struct flow *f, uint64_t seq)
{
	uint64_t mask = 0;

	for (uint64_t i = 0; i < ACK_SPAN && i < seq; i++)
		mask |= (uint64_t)is_seen(f, seq - 1 - i) << i;
	return mask;
}

/* row_of is how many packets below those have arrived without a gap. */
static uint32_t row_of(const struct flow *f, uint64_t seq)
{
	if (seq + 1 != f->top_seq || seq < f->row_seq + ACK_SPAN)
		return 0;
	return (uint32_t)qb_min_u64(seq - ACK_SPAN - f->row_seq, FLOW_WINDOW / 2);
}

uint32_t flow_of(const struct qb_buf *b)
{
	uint32_t id;

	if (b->len < IP_HDR + UDP_HDR || b->data[0] != 0x45)
		return UINT32_MAX;
	/* What a server sends has its port first. */
	for (uint32_t off = IP_HDR; off <= IP_HDR + 2; off += 2) {
		id = (uint32_t)qb_load_be16(b->data + off) - SIM_PORT_BASE;
		if (id < SIM_FLOWS_MAX)
			return id;
	}
	return UINT32_MAX;
}

bool flow_on_packet(struct flow *f, const struct qb_buf *b, struct qb_buf *ack, uint64_t now_ns)
{
	bool is_ack = b->data[BODY_OFF] == 1;
	uint64_t seq = qb_load_be64(b->data + BODY_OFF + 4);
	bool is_ce;

	if (is_ack) {
		if (b->data[BODY_OFF + 1])
			on_loss(f, seq); /* RFC 9438 §4.6: the same reduction */
		on_ack(f, seq, qb_load_be64(b->data + BODY_OFF + 20), qb_load_be32(b->data + BODY_OFF + 12), now_ns);
		return false;
	}
	on_data(f, seq, qb_load_be64(b->data + BODY_OFF + 12), b->len, now_ns);
	is_ce = qb_ip_ecn(b->data) == QB_ECN_CE;
	f->stats.ce += is_ce;
	if (f->kind == FLOW_UDP)
		return false;
	build_headers(f, ack, true, BODY_OFF + BODY_LEN);
	ack->data[BODY_OFF] = 1;
	ack->data[BODY_OFF + 1] = is_ce;
	qb_store_be64(ack->data + BODY_OFF + 4, seq);
	qb_store_be32(ack->data + BODY_OFF + 12, row_of(f, seq));
	qb_store_be64(ack->data + BODY_OFF + 20, seen_mask(f, seq));
	return true;
}
