/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One bottleneck in virtual time, for congestion controllers: senders with window, pacing, delivery
 * rate samples and loss detection as the transport has them (its pacer, rate and RTT code is linked
 * in), receivers that acknowledge every second packet, and between them
 *
 *     senders ─> policer ─> queue (tail drop, CE above a delay) ─> rate ─> loss ─> delay ─┐
 *        ^── delay <── slots (aggregation) <── loss <── ACKs <── receivers <──────────────┘
 *
 * Change b.link between two runs to change the path. All is repeatable by the seed.
 */
#pragma once

#include "base/rand.h"
#include "cc/cc.h"
#include "cc/resume.h"
#include "quic/pacer.h"
#include "quic/rate.h"
#include "quic/rtt.h"

enum {
	CCB_MSS_BYTES = 1252,
	CCB_FLOWS = 8,
	CCB_RING = 1 << 17, /* packets that a flow may have unsettled, and packets in the queue */
	CCB_HIST = 4096,
};

#define CCB_MS	QB_NS_PER_MS
#define CCB_SEC QB_NS_PER_SEC

struct ccb_link {
	uint64_t rate_bps;
	uint64_t rtt_ns; /* without any queue; half of it each way */
	uint64_t queue_bytes;
	double loss; /* random, after the queue */
	double ack_loss;
	double reorder; /* this part of the packets arrives reorder_ns late */
	uint64_t reorder_ns;
	uint64_t jitter_ns;    /* mean of a delay on top, in order */
	uint64_t ack_wait_ns;  /* what ACKs wait for on their way behind other traffic */
	bool has_owd;	       /* the receiver tells when packets arrive */
	uint64_t owd_gap_ns;   /* ... but not in one of four such times; 0: always */
	uint64_t ack_slot_ns;  /* ACKs leave at multiples of it; 0: at once */
	uint64_t data_slot_ns; /* likewise the packets: a radio's frames */
	uint64_t mark_ns;      /* CE for ECN-capable packets that waited longer; 0: never */
	uint64_t police_bps, police_burst_bytes;
	bool is_down;
};

struct ccb_pkt {
	struct qb_sent_pkt rec;
	uint64_t rx_order; /* filled by the receiver */
	uint64_t owd_ns; /* how long it was on its way */
};

/* What happened to a flow since ccb_mark. */
struct ccb_stats {
	uint64_t sent_pkts, lost_pkts, acked_bytes, ce_pkts, spurious_cnt;
};

struct ccb_flow {
	/* the test's choice */
	const struct qb_cc *cc;
	uint64_t start_ns, stop_ns;
	uint64_t extra_rtt_ns;
	uint64_t app_bps;	  /* 0: as much as goes */
	uint64_t app_burst_bytes; /* the application writes so much at a time; 0: a packet */
	struct qb_known known;	  /* of an earlier time, for careful resume */
	struct qb_cc_group *shared_group; /* with flows of another bottleneck */
	uint32_t sharer_cnt; /* paths of its connection in this queue, as the bond found out */
	uint32_t group;	     /* flows of one number are paths of one connection; 0: on its own */
	/* results */
	struct ccb_stats stats;
	struct qb_cc_view view;
	struct qb_resume resume;
	uint64_t in_flight_bytes, total_acked_bytes;
	struct qb_rtt rtt;
	struct ccb_private *priv;
};

struct ccb {
	struct ccb_link link;
	struct ccb_flow flow[CCB_FLOWS];
	uint32_t flow_cnt;
	uint64_t now_ns, mark_ns;
	uint64_t queue_bytes, queue_peak_bytes; /* now and the most since the mark */
	uint64_t drop_cnt, served_bytes;	/* since the mark */
	uint32_t delay_hist[CCB_HIST]; /* waiting time of packets, by 1/8 ms and then by octaves */
	uint64_t delay_cnt, delay_sum_ns, delay_max_ns;
	struct qb_rand rand;
	struct qb_cc_group group[CCB_FLOWS];
	struct ccb_queue *queue;
};

void ccb_init(struct ccb *b, const struct ccb_link *link, uint64_t seed);
void ccb_fini(struct ccb *b);
/* ccb_add adds a flow of that controller that begins at start_ns. */
struct ccb_flow *ccb_add(struct ccb *b, const char *cc, uint64_t start_ns);
void ccb_run(struct ccb *b, uint64_t until_ns);
/* ccb_mark begins a new measurement. */
void ccb_mark(struct ccb *b);

/* Since the mark: bits a second of a flow, of all as a part of the link's rate now; waiting time in
 * ms. */
double ccb_flow_bps(const struct ccb *b, const struct ccb_flow *f);
double ccb_utilisation(const struct ccb *b);
double ccb_delay_mean_ms(const struct ccb *b);
double ccb_delay_pct_ms(const struct ccb *b, double pct);
double ccb_loss_rate(const struct ccb_flow *f);
/* The controller's state, for white-box tests. */
void *ccb_state(struct ccb_flow *f);
