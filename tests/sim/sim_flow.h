/* SPDX-License-Identifier: BSD-2-Clause */
/* Inner traffic of the simulator: what the flows send and what they make of what arrives. */
#pragma once

#include "sim_inner.h"

enum {
	FLOW_WINDOW = 1 << 16, /* packets a TCP-like flow remembers */
	DELAYS_MAX = 1 << 17,
};

enum flow_kind { FLOW_NONE, FLOW_UDP, FLOW_TCP, FLOW_QUIC, FLOW_INNER };

struct flow_pkt {
	uint64_t sent_ns;
	bool is_out;	    /* in flight */
	bool is_given_up;   /* was in flight when the sender timed out */
};

struct flow {
	enum flow_kind kind;
	enum sim_dir dir;
	uint32_t id, bytes;
	enum qb_ecn ecn;
	bool is_stopped;
	uint64_t interval_ns, next_ns; /* UDP */
	uint64_t next_seq;
	/* receiver */
	uint8_t *seen;	      /* bit a packet, modulo FLOW_WINDOW */
	uint64_t top_seq;     /* highest that arrived, plus one */
	uint64_t row_seq;     /* from here on none was missing when 64 later ones had come */
	uint64_t last_rx_ns;
	uint64_t from_seq; /* those before were sent before the measurement began */
	struct sim_flow_stats stats;
	uint32_t *delay_us;
	uint32_t delay_cnt;
	/* TCP-like sender */
	struct flow_pkt *pkts;
	uint64_t tail_seq;    /* oldest that may be out */
	double cwnd, ssthresh, w_max, w_est; /* packets */
	uint64_t epoch_ns, recovery_seq;
	uint64_t min_rtt_ns, srtt_ns, rttvar_ns, rack_sent_ns, largest_acked;
	uint32_t out_cnt;
	uint64_t last_ack_ns;
	struct {
		uint32_t cnt; /* in a row: nothing was acknowledged since the first */
		uint64_t from_seq;
		double cwnd, ssthresh, w_max; /* before */
	} timeout;
	struct inner *inner;  /* FLOW_INNER: both its ends, and none of the above but receiver's */
	uint64_t read_bytes;  /* of its stream, when the measurement began */
};

void flow_init(struct flow *f, uint32_t id, enum flow_kind kind, enum sim_dir dir, uint64_t now_ns);
void flow_fini(struct flow *f);
/* flow_next_ns: when it wants to send; QB_NEVER_NS while it waits for ACKs. */
uint64_t flow_next_ns(const struct flow *f);
/* flow_build writes the next packet into b. */
void flow_build(struct flow *f, struct qb_buf *b, uint64_t now_ns);
/*
 * flow_on_packet takes an inner packet that came out at the far end (or an ACK that came back). Returns true when `ack`
 * (an empty buffer) was filled with an answer.
 */
bool flow_on_packet(struct flow *f, const struct qb_buf *b, struct qb_buf *ack, uint64_t now_ns);
/* flow_of tells whose packet this is; UINT32_MAX: nobody's. */
uint32_t flow_of(const struct qb_buf *b);
