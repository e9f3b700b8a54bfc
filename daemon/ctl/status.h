/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `status`, `links`, `sites`, `flows`, `counters` and `io` show: a snapshot in plain structs, filled by the
 * daemon's workers, turned into JSON (schema 1) by ctl/json.c.
 */
#pragma once

#include "base/addr.h"
#include "base/counters.h"

enum { QB_IO_IFS_MAX = 16, QB_IO_QUEUES_MAX = 64, QB_IO_FIGURES_MAX = 24, QB_IO_STAGES_MAX = 8 };

enum { QB_STATUS_LINKS_MAX = 8, QB_STATUS_ADDRS_MAX = 8, QB_STATUS_NAME_LEN = 64 };

struct qb_link_status {
	char name[QB_STATUS_NAME_LEN];
	char peer_name[32]; /* hub: what the edge calls it; "": not told */
	char ifname[16], kind[16];
	char state[16], tier[16], io[16];
	char io_reason[128];
	char local[QB_ADDR_STRLEN], peer[QB_ADDR_STRLEN], public_addr[QB_ADDR_STRLEN];
	uint32_t score; /* of its quality, 0 to 1000 */
	double rtt_loaded_ms; /* its round trip while it is kept busy; 0: it has not been */
	int32_t signal_dbm; /* of the radio that it hears; 0: none */
	uint32_t signal_pct_plus1; /* as its modem rates it; 0: not known */
	char technology[8]; /* of its modem: 2G, 3G, LTE, 5G; "": not known */
	uint32_t rank;	/* edge: its place among those of its tier, 1 the first */
	uint32_t weight; /* edge: as configured; 0: by its rate */
	double rtt_ms, rtt_min_ms, rtt_var_ms, rtt_latest_ms, jitter_ms, loss, share;
	double owd_tx_ms, owd_rx_ms, queue_tx_ms, queue_rx_ms; /* 0: not known */
	uint64_t tx_bps, rx_bps; /* over the last second */
	uint64_t cwnd_bytes, in_flight_bytes, ssthresh_bytes, pacing_bps, delivery_bps;
	uint64_t limit_bps; /* of what is sent, by RateUp or the edge's RateDown; 0: none */
	uint32_t mtu_bytes, path_id;
	uint32_t path_cnt; /* of one connection's paths over it, which are told together; path_id is one of them */
	char congestion[16], congestion_phase[24], congestion_reason[80];
	char ecn[16];
	char reason[160], share_reason[160];
	char use[16]; /* by the scheduler, while it is active */
	char partners[QB_STATUS_LINKS_MAX][QB_STATUS_NAME_LEN]; /* links that wait in one queue with it somewhere */
	uint32_t partner_cnt;
	uint64_t tx_packets, rx_packets, tx_bytes, rx_bytes, lost_packets, spurious_packets;
	uint64_t auth_fail, dup_rx, ooo_rx; /* packets received */
	uint64_t ect0_rx, ect1_rx, ce_rx, ce_tx;
	uint64_t failures, recoveries;
	uint32_t flaps;
	double state_age_s;
};

struct qb_site_status {
	char name[QB_STATUS_NAME_LEN];
	char state[16]; /* connected, down */
	char addresses[QB_STATUS_ADDRS_MAX][QB_PREFIX_STRLEN];
	uint32_t address_cnt;
	char prefixes[QB_STATUS_ADDRS_MAX][QB_PREFIX_STRLEN];
	uint32_t prefix_cnt;
	uint32_t worker; /* of its first connection */
	uint32_t connections;
	double connected_s;
	double loaded_queue_ms; /* how long packets for it wait in our queue while there is one */
	char protection[128]; /* whether and why calls are sent to it more than once */
	struct qb_link_status links[QB_STATUS_LINKS_MAX];
	uint32_t link_cnt;
};

/* What `io` shows: the kernel's figures and the BPF programs', interface by interface. */
struct qb_figures {
	struct qb_figure f[QB_IO_FIGURES_MAX];
	uint32_t cnt;
};

struct qb_io_if {
	char name[QB_STATUS_NAME_LEN]; /* the link's, on an edge */
	char ifname[16], io[16], reason[160];
	char offers[160]; /* QB_NET_OFFERS_LEN: by the driver, to XDP and AF_XDP */
	struct qb_figures sockets;  /* UDP, of all workers' ports */
	struct qb_figures program;  /* XDP */
	struct qb_figures queues[QB_IO_QUEUES_MAX];
	uint32_t queue_cnt;
};

/* What a stage of the workers' loops did in the rounds that were timed. */
struct qb_io_stage {
	const char *name;
	uint64_t packets, ns;
};

struct qb_io_status {
	struct qb_io_if ifs[QB_IO_IFS_MAX];
	uint32_t if_cnt;
	struct qb_figures guard;
	struct qb_io_stage stages[QB_IO_STAGES_MAX];
	uint32_t stage_cnt;
};

enum { QB_TUN_ADDRS_MAX = 16, QB_TUN_ROUTES_SHOWN = 4096, QB_TUN_QUEUES_MAX = 256 };

/* What one queue of the TUN device has carried; rx is what the daemon read from it. */
struct qb_tun_queue_status {
	uint32_t queue, worker;
	bool is_on; /* the kernel gives it packets */
	uint64_t rx_packets, rx_bytes, rx_super, rx_malformed;
	uint64_t tx_packets, tx_bytes, tx_super, tx_refused;
};

/* What `tun` shows. */
struct qb_tun_status {
	char device[16];
	uint32_t ifindex, mtu_bytes, queue_len;
	bool is_up, is_mtu_auto, has_tso, has_uso;
	char addresses[QB_TUN_ADDRS_MAX][QB_PREFIX_STRLEN];
	uint32_t address_cnt;
	struct {
		char prefix[QB_PREFIX_STRLEN];
		char site[QB_STATUS_NAME_LEN]; /* hub: whose; "" */
		uint32_t table;
	} routes[QB_TUN_ROUTES_SHOWN];
	uint32_t route_cnt;
	uint64_t kernel_dropped; /* what the host sent and no queue had room for: it was not read in time */
	uint64_t kernel_errors;
	struct qb_tun_queue_status queues[QB_TUN_QUEUES_MAX];
	uint32_t queue_cnt;
};

enum { QB_STATUS_FLOWS_MAX = 64 };

/* One of the heaviest flows, as it was in the last second or two. */
struct qb_flow_status {
	const char *direction; /* tx, rx: of this end */
	const char *class; /* NULL: the far end's affair */
	char site[QB_STATUS_NAME_LEN]; /* hub */
	char protocol[12];
	char source[QB_ADDR_STRLEN], destination[QB_ADDR_STRLEN];
	struct {
		char link[QB_STATUS_NAME_LEN];
		double share;
	} paths[QB_STATUS_LINKS_MAX];
	uint32_t path_cnt;
	double queue_ms, queue_max_ms; /* tx: what packets waited before they left */
	double hold_ms, hold_max_ms;   /* rx: what they waited for others */
	uint64_t bps, bytes;
	uint64_t drops, marks; /* by the queue */
	double age_s;
};

struct qb_flows {
	struct qb_flow_status f[QB_STATUS_FLOWS_MAX]; /* the heaviest first */
	uint32_t cnt;
};

enum { QB_STATUS_DECISIONS_MAX = 32, QB_STATUS_SCHEDS_MAX = 32 };

/* One of the last decisions of a scheduler. */
struct qb_decision_status {
	double age_s;
	char site[QB_STATUS_NAME_LEN]; /* hub */
	char scheduler[48];
	uint32_t flow, bytes;
	const char *kind;		/* sparse, bulk */
	char link[QB_STATUS_NAME_LEN];	/* "": none yet */
	char reason[128];
	struct {
		char link[QB_STATUS_NAME_LEN];
		const char *state;
		double delay_ms, wait_ms;
	} choices[QB_STATUS_LINKS_MAX];
	uint32_t choice_cnt;
};

/* What `sched` shows. */
struct qb_sched_status {
	char scheduler[272]; /* in force */
	const char *names[QB_STATUS_SCHEDS_MAX];
	uint32_t name_cnt;
	const char *forms[QB_STATUS_SCHEDS_MAX]; /* of names that say more: with a number or a file in them */
	uint32_t form_cnt;
	struct qb_decision_status d[QB_STATUS_DECISIONS_MAX]; /* the newest first */
	uint32_t cnt;
};

/* What `doctor` has found. */
struct qb_finding {
	bool is_fault; /* else a hint: it works, but not as well as it could */
	char where[QB_STATUS_NAME_LEN]; /* an interface or link, or "host" */
	char text[256], mend[160];
};

struct qb_findings {
	struct {
		const char *cpu[8]; /* instructions that it has */
		uint32_t cpu_cnt;
		const char *aead; /* that this node wants; NULL: not told */
		char why[160];
		char in_use[128]; /* by connections, how many */
	} crypto;
	struct qb_finding f[64];
	uint32_t cnt;
};

struct qb_status {
	char role[8], name[QB_STATUS_NAME_LEN], state[16];
	double uptime_s;
	uint32_t workers, connections;
	struct {
		char device[16];
		uint32_t mtu_bytes;
		char addresses[QB_STATUS_ADDRS_MAX][QB_PREFIX_STRLEN];
		uint32_t address_cnt;
	} tunnel;
	struct { /* edge */
		char name[QB_STATUS_NAME_LEN], address[QB_ADDR_STRLEN], state[16], reason[128];
		const char *cipher; /* of the tunnel; NULL: there is none */
		bool is_resumed, is_early; /* it began with a ticket; with its request in 0-RTT */
		uint32_t tickets;   /* for the next time */
		uint64_t key_updates;
	} hub;
	struct { /* hub */
		bool is_there, is_attacked;
		uint32_t attacks, blocks;
		double since_s;	   /* while attacked */
		double over_s;	   /* since the last one; 0: none, or one is on */
		char reason[160]; /* of the one that is on, or the last */
	} guard;
	char mode[16]; /* edge: of the bond */
	char scheduler[272];
	char grain[8];
	double loaded_queue_ms; /* edge: the same */
	char protection[128]; /* edge: the same */
	struct {
		char wanted[16]; /* as configured */
		bool is_on;	 /* for calls, by auto */
		double overhead; /* bytes of repair symbols to bytes of packets that they protect */
		double loss;	 /* of the link that calls take, 0..1 */
		double burst;	 /* how many in a row, on average; 0: none is lost */
		double share;	 /* what auto adds now: symbols to packets */
	} fec;
	struct qb_link_status links[QB_STATUS_LINKS_MAX]; /* edge */
	uint32_t link_cnt;
	struct qb_site_status *sites; /* hub; the snapshot's maker frees it when it was shown */
	uint32_t site_cnt;
	struct qb_counters counters;
	struct {
		char name[64];
		uint64_t value;
	} extra[192]; /* counters of the guard and of interfaces' XDP programs */
	uint32_t extra_cnt;
};
