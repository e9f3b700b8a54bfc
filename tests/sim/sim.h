/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulator: an edge and a hub, the daemon's real code from QUIC to reorder, joined by n emulated links, in virtual time.
 * One seed, one run. Inner traffic comes from flows: constant-rate UDP, and a TCP-like sender (CUBIC with RACK).
 *
 *     flow ─► edge node ═ link 0..n-1 (each way apart) ═ hub node ─► flow
 */
#pragma once

#include "base/ip_ecn.h"
#include "node.h"
#include "tools/netem_engine.h"

enum {
	SIM_LINKS_MAX = 8,
	SIM_CELL = SIM_LINKS_MAX - 1, /* sim_link of the shared part of those in sim_cfg.cell */
	SIM_FLOWS_MAX = 64,
	SIM_MTU = 1400, /* inner bytes of a full packet */
	SIM_PORT_BASE = 10000, /* of inner packets: plus the flow's index */
};

/* Inner addresses: the site's, and 198.51.100.1 behind the hub. */
#define SIM_SITE_IP UINT32_C(0x0a400002)
#define SIM_FAR_IP  UINT32_C(0xc6336401)

enum sim_dir { SIM_UP, SIM_DOWN, SIM_DIR_CNT };

struct sim_cfg {
	uint64_t seed;
	uint32_t link_cnt;
	const char *scheduler;	/* NULL: auto */
	const char *congestion; /* NULL: the daemon's default */
	uint32_t cell; /* links that share what comes behind them, a bit each; see SIM_CELL */
	uint32_t hold_s;	/* 0: 30 */
	bool is_single_path;	/* the edge offers no multipath */
	bool is_ipv6_outside;
	uint64_t tick_ns;	/* a busy machine: nothing happens but at multiples of it; 0: at once */
};

struct sim_flow_stats {
	uint64_t sent, received, duplicates, out_of_order;
	uint64_t arrived;	/* of those sent since the last sim_flow_reset */
	uint64_t max_gap_ns;	/* between arrivals, since the last sim_flow_reset */
	uint64_t bytes;		/* delivered once */
	uint64_t ce;		/* of those received, marked */
	uint64_t delay_p50_ns, delay_p95_ns, delay_p99_ns, delay_max_ns;
	/* of a TCP-like sender, as of now: window in packets, round trip, times that it slowed down
	 */
	double cwnd;
	uint64_t srtt_ns, cuts; /* of QUIC inside: packets that were lost */
	const char *phase; /* of its controller; NULL: it is no QUIC inside */
};

struct sim;

struct sim *sim_new(const struct sim_cfg *cfg);
void sim_free(struct sim *s);
uint64_t sim_now_ns(const struct sim *s);

/* sim_link_profile sets both directions: rate in bit/s, one-way delay, queue as time at that rate. */
void sim_link_profile(struct sim *s, uint32_t link, uint64_t rate_bps, uint64_t delay_ns, uint64_t queue_ns);
/* sim_link gives the emulation of one direction, for everything else. */
struct qb_netem *sim_link(struct sim *s, uint32_t link, enum sim_dir dir);
/* sim_link_down has both directions drop everything, or not any more; nobody is told. */
void sim_link_down(struct sim *s, uint32_t link, bool is_down);
/* sim_link_carrier tells the edge that a link is up or gone, as netlink would. */
void sim_link_carrier(struct sim *s, uint32_t link, bool is_up);

/* sim_run lets time pass. sim_connect runs until the session is open and every link has an active path; false: not within limit. */
void sim_run(struct sim *s, uint64_t span_ns);
bool sim_connect(struct sim *s, uint64_t limit_ns);
/* sim_hub_restart replaces the hub by a new one with the same keys, also those of its tickets. */
void sim_hub_restart(struct sim *s);
/* sim_edge_restart does so with the edge, which says no goodbye; it keeps its tickets. */
void sim_edge_restart(struct sim *s);

struct qb_node *sim_edge(struct sim *s);
struct qb_node *sim_hub(struct sim *s);
/* sim_tunnel: the edge's or the hub's; NULL: there is none. */
struct qb_tunnel *sim_tunnel(struct sim *s, bool is_hub);
const struct qb_counters *sim_counters(const struct sim *s, bool is_hub);
/* sim_link_state: of the edge's (or the hub's) path over a link. */
enum qb_link_state sim_link_state(struct sim *s, bool is_hub, uint32_t link);
/* sim_bytes: UDP payload bytes that entered a link's direction so far. */
uint64_t sim_bytes(const struct sim *s, uint32_t link, enum sim_dir dir);

/* Flows: returned as an index. pps packets a second of `bytes` each. */
uint32_t sim_udp_flow(struct sim *s, enum sim_dir dir, double pps, uint32_t bytes);
uint32_t sim_tcp_flow(struct sim *s, enum sim_dir dir);
uint32_t sim_quic_flow(struct sim *s, enum sim_dir dir);
/* sim_inner_flow: a transfer by our own QUIC inside the tunnel, with a congestion controller of that name. */
uint32_t sim_inner_flow(struct sim *s, enum sim_dir dir, const char *congestion);
/* sim_flow_ecn: what its packets say; Not-ECT unless set. A sender takes an echoed mark as a loss. */
void sim_flow_ecn(struct sim *s, uint32_t flow, enum qb_ecn ecn);
void sim_flow_stop(struct sim *s, uint32_t flow);
/* sim_flow_reset begins a new measurement. */
void sim_flow_reset(struct sim *s, uint32_t flow);
void sim_flow_stats(struct sim *s, uint32_t flow, struct sim_flow_stats *out);
