/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A node: one worker's whole protocol engine, sans I/O. It owns a QUIC endpoint and the tunnels on it, and plays
 * the edge's or the hub's part. UDP payloads and inner packets go in and out as batches; what the main thread must
 * know leaves as notices. The daemon's worker puts sockets and the TUN device around it, the simulator puts virtual
 * links around it.
 *
 *     UDP payloads ─► qb_rx ─► inner packets            (rx.c)
 *     inner packets ─► qb_tx ─► qb_tx_flush ─► UDP payloads   (tx.c)
 *     qb_node_poll: timers;  qb_node_deadline_ns: when
 */
#pragma once

#include "base/heap.h"
#include "base/rand.h"
#include "base/slab.h"
#include "bond/bond.h"
#include "conf/conf.h"
#include "h3/h3.h"
#include "known.h"
#include "quic/quic.h"

enum {
	QB_NODE_LINKS_MAX = QB_CONF_LINKS_MAX,
	QB_NODE_NOTICES_MAX = 256,
	QB_NODE_ADDRS_MAX = 4,
	QB_NODE_SOURCES_MAX = 64,
	QB_EDGE_HUBS_MAX = QB_CONF_HUBS_MAX * QB_CONF_HUB_ADDRS_MAX,
	QB_EDGE_TICKETS = 8, /* kept of sessions with hubs, all together */
	QB_EDGE_TICKETS_BYTES = 8 + 1 + QB_EDGE_TICKETS * (QB_PUBKEY_LEN + 2 + QB_SESSION_MAX), /* of their file, at most */
	/* QUIC, HTTP datagram and bond header around an inner packet in the usual case */
	QB_TUNNEL_OVERHEAD = 1 + QB_CID_LEN + 4 + 1 + QB_AEAD_TAG_LEN + 2 + QB_BOND_HEADER_LEN,
	QB_SESSIONS_MAX = 8, /* of one site, each over a connection of its own: members of a group (h3.h) */
	QB_INNER_MTU_MIN = 1280,
	QB_INNER_MTU_MAX = 1500,
};

#define QB_SITE_NONE UINT32_MAX
#define QB_PATH_ID_NONE UINT64_MAX

struct qb_node;

/* What a worker or the simulator hands to the main thread (or to a test). */
enum qb_notice_type {
	QB_NOTE_HUB_STATE,  /* edge: hub state changed: text = state, reason */
	QB_NOTE_ADDRESSES,  /* edge: addresses assigned: prefixes */
	QB_NOTE_ROUTES,	    /* either: ranges the peer advertises (edge: hub's; hub: the site's, checked) */
	QB_NOTE_MTU,	    /* mtu_bytes of the tunnel changed */
	QB_NOTE_LINK_STATE, /* link/site, from, text (to), reason */
	QB_NOTE_LINK_USE,   /* the same, of enum qb_link_use */
	QB_NOTE_SITE_UP,    /* hub: site, generation, mtu_bytes */
	QB_NOTE_SITE_DOWN,  /* hub: site, generation, reason */
	QB_NOTE_PEER,	    /* hub: site, peer: an address from which it has been heard */
	QB_NOTE_TICKETS,    /* edge: its tickets are others now, or what servers know its addresses by */
	QB_NOTE_FAILURE,    /* failure; of a path: has_path, path_id */
};

struct qb_notice {
	enum qb_notice_type type;
	uint32_t site;	     /* hub: index into the table of sites that the node had then */
	uint8_t site_key[QB_PUBKEY_LEN]; /* hub: whose that is, whatever the table is now */
	uint32_t generation; /* hub: of the site's session */
	struct qb_h3_group group; /* of the session; edge: id 0: the hub lets us have no more than this one */
	uint64_t opened_ns;	  /* hub: likewise */
	uint32_t link;
	uint32_t mtu_bytes;
	struct qb_addr peer;
	const char *from, *to; /* static names */
	char reason[QB_CONN_REASON_LEN];
	uint32_t cnt;
	union {
		struct qb_prefix prefixes[QB_H3_ADDRS_MAX];
		struct qb_h3_route routes[QB_NODE_SOURCES_MAX];
		struct { /* hub: which of a site's links it is about, for the state of one and its use */
			uint32_t path_id;
			char name[QB_H3_LINK_NAME_LEN]; /* what the edge calls it; "": not told */
		} path;
		struct {
			struct qb_quic_failure conn;
			bool has_path;
			uint32_t path_id;
		} failure;
	};
};

/* One path of a tunnel and the link below it. */
struct qb_tunnel_path {
	bool is_used;
	uint16_t link;
	uint32_t generation; /* counts the paths that were in this place */
	enum qb_link_state seen_state; /* last one that a notice told */
	enum qb_link_use seen_use, next_use; /* as told; as of the last tick */
	uint64_t gap_ns;	       /* how long it had been silent when its packets went elsewhere */
	uint64_t second_tx_bytes, second_rx_bytes; /* totals at the last tick */
	uint64_t tx_bps, rx_bps;
	uint32_t weight; /* as struct qb_path_view has it */
	bool is_metered; /* the link is paid by volume */
	uint64_t loaded_rtt_ns; /* its round trip while it is kept busy, smoothed; 0: it has not been */
};

/* hub: how the edge wants one of its paths used on the way down. */
struct qb_path_wish {
	bool is_used;
	uint64_t path_id;
	uint64_t limit_bps;
	uint32_t weight;
	char name[QB_H3_LINK_NAME_LEN]; /* of the link that it takes; "": not told */
	bool is_metered;		/* that is paid by volume */
};

/* Capsules that found no room in their stream: what they said is said again, as it is by then. */
enum qb_unsent {
	QB_UNSENT_ADDRESSES = 1 << 0,
	QB_UNSENT_ROUTES = 1 << 1,
	QB_UNSENT_BOND = 1 << 2,
	QB_UNSENT_FEC = 1 << 3,
	QB_UNSENT_LINKS = 1 << 4,
};

/* A CONNECT-IP session with its bond, over one connection. */
struct qb_tunnel {
	struct qb_timer timer; /* first: the heap hands it back */
	struct qb_node *node;
	struct qb_conn *conn;
	struct qb_h3 *h3;
	struct qb_bond *bond;
	uint64_t session;      /* QB_H3_NO_SESSION before the request */
	uint64_t bond_rx_context; /* what the peer may number its packets in; 0: not offered */
	uint64_t bond_tx_context; /* 0: the peer has not agreed to the bond header */
	uint64_t fec_rx_context, fec_tx_context; /* the same for forward error correction */
	bool is_open;	       /* inner packets may flow */
	bool is_unproven;      /* hub: began in 0-RTT, and the peer has not answered yet: it may be a replay */
	bool is_ready;	       /* in the node's list of tunnels to flush */
	bool is_resting;       /* looked at when something happens, as good as not by itself (qb_tunnel_stir) */
	uint32_t site;
	uint32_t generation;
	struct qb_h3_group group; /* hub: as the request said; edge: as the hub's answer said */
	uint32_t mtu_bytes; /* largest inner packet that some path carries */
	uint64_t opened_ns, tick_ns, observe_ns;
	uint64_t asked_ns; /* hub: when what the site asked for would be paid off, at the rate that is granted */
	uint64_t loaded_queue_ns; /* how long packets wait in the bond's queue while there is one, smoothed */
	struct qb_tunnel_path paths[QB_PATHS_MAX];
	struct qb_path_wish wishes[QB_PATHS_MAX]; /* hub */
	struct qb_h3_route sources[QB_NODE_SOURCES_MAX]; /* what the peer may send from; 0: anything */
	uint32_t source_cnt;
	uint8_t unsent;				/* enum qb_unsent */
	uint32_t request_cnt;			/* hub: address requests among them */
	uint64_t request_ids[QB_H3_ADDRS_MAX];
	uint8_t request_families[QB_H3_ADDRS_MAX];
	struct qb_tunnel *next_ready;
	struct qb_tunnel *next; /* of all tunnels of the node */
};

/* edge: how much a link is used, as configured */
struct qb_link_rates {
	uint64_t up_bps, down_bps; /* at most; 0: as much as it carries */
	uint32_t weight;	   /* 0: by its rate */
	char name[QB_H3_LINK_NAME_LEN]; /* that the hub is told; "": none */
	bool is_metered;	   /* paid by volume: nothing is sent over it only to find out what it carries */
};

/* edge: a link's place among the others */
struct qb_link_order {
	uint8_t rank;	 /* among those of its tier, where one is used at a time */
	bool is_reserve; /* others are used before it */
};

/* edge: a WAN link as the main thread last described it */
struct qb_edge_link {
	bool is_up;
	bool is_drained;
	struct qb_addr local4, local6; /* with port; family 0: none */
	enum qb_tier tier;
	struct qb_link_order order;
	uint64_t better_ns;	       /* when one that is used before it was last seen to work */
	const struct qb_cc *cc;	       /* NULL: the bond's */
	uint64_t keepalive_ns;	       /* as qb_conn_set_path_keepalive has it */
	uint64_t network;	       /* which network the link is in, as far as one can tell */
	struct qb_path_tune tune;
	struct qb_link_rates rates;
	uint64_t told_path_id;	       /* the hub was told of the rates of that path ... */
	struct qb_link_rates told;     /* ... which were these */
	int path;		       /* index in the tunnel, or -1 */
	uint32_t base;		       /* its own number; another one: a leg, a further path of that link ... */
	uint32_t hub;		       /* ... to that address */
	struct qb_addr to;	       /* what its path was opened to */
	uint64_t retry_ns;	       /* not before this time: open a path again */
	uint32_t retry_cnt;
};

struct qb_edge_hub {
	struct qb_addr addr;
	char name[QB_CONF_NAME_LEN];
	char server_name[QB_CONF_PATH_LEN]; /* what it must be called; "": it is known by its key */
	uint8_t public_key[QB_PUBKEY_LEN];  /* or in its place qb_tls_name_key */
};

/* What a hub gave to come back with, good once: bytes of qb_conn_take_session, and whose they are. */
struct qb_edge_ticket {
	uint8_t hub_key[QB_PUBKEY_LEN];
	uint32_t len;
	uint8_t bytes[QB_SESSION_MAX];
};

struct qb_edge_tickets {
	uint32_t cnt; /* the newest last */
	struct qb_edge_ticket t[QB_EDGE_TICKETS];
};

struct qb_edge_attempt {
	struct qb_conn *conn;
	uint32_t link, hub;
};

struct qb_edge {
	struct qb_edge_link links[QB_NODE_LINKS_MAX];
	struct qb_edge_hub hubs[QB_EDGE_HUBS_MAX];
	uint32_t hub_cnt;
	struct qb_tunnel *tunnel; /* the established one */
	uint32_t hub_idx;	  /* where it goes */
	struct qb_edge_attempt attempts[QB_NODE_LINKS_MAX];
	uint32_t attempt_cnt;
	uint32_t next_try;	  /* round robin over hub × link combinations */
	uint64_t next_attempt_ns;
	uint32_t failures;	  /* in a row, for the backoff */
	const char *state;	  /* "down", "connecting", "connected" */
	char reason[QB_CONN_REASON_LEN]; /* that was told with it */
	struct qb_conf_prefixes advertise;
	struct qb_h3_group group; /* what our sessions say that they belong to */
	struct qb_edge_tickets tickets;
	bool has_new_tickets; /* to be told */
	uint32_t tokens_change; /* as it was told */
	struct qb_conn *errand; /* a connection that only fetches tickets; NULL: none */
	uint64_t errand_ns;	/* when the next one begins */
	uint64_t errand_end_ns; /* when this one has what it is for; QB_NEVER_NS: not yet */
};

struct qb_hub_site {
	uint8_t public_key[QB_PUBKEY_LEN];
	struct qb_prefix addrs[QB_NODE_ADDRS_MAX];
	uint32_t addr_cnt;
	struct qb_conf_prefixes prefixes; /* that it may advertise */
	struct qb_tunnel *tunnels[QB_SESSIONS_MAX]; /* on this worker, by member; NULL: none */
};

struct qb_hub {
	struct qb_hub_site *sites; /* borrowed; one table a worker */
	uint32_t site_cnt;
	struct qb_conf_prefixes advertise; /* what sites may reach through us */
	uint32_t next_generation;
};

struct qb_node_cfg {
	enum qb_role role;
	struct qb_quic_cfg quic;      /* is_server follows from role; counters and pool too */
	const struct qb_sched *sched;	/* borrowed; NULL: auto */
	const struct qb_policy *policy; /* borrowed; NULL: none */
	struct qb_fec_want fec;
	enum qb_reorder_mode reorder;
	uint64_t reorder_max_ns;
	uint64_t reorder_max_bytes;   /* as qb_bond_set_reorder_max */
	uint64_t failback_ns;	      /* as qb_bond_set_failback */
	struct qb_fail_want fail;     /* as qb_bond_want_fail */
	enum qb_grain grain;
	bool has_tail_copies;	      /* as qb_bond_set_tail */
	bool is_failover;	      /* edge: one link at a time */
	bool is_mesh_full;	      /* edge: each link has a path to each of the hub's addresses */
	uint64_t reserve_ns;	      /* edge: as qb_edge_set_reserve */
	uint32_t tunnels;	      /* at once */
	uint32_t mtu_bytes;	      /* fixed inner MTU; 0: from the paths */
	struct qb_h3_group group;     /* edge: of this worker's session; id 0: it has the tunnel for itself */
};

struct qb_node {
	enum qb_role role;
	struct qb_node_cfg cfg;
	struct qb_counters *counters;
	struct qb_pool *pool;
	struct qb_rand rand;
	struct qb_quic *quic;
	struct qb_slab tunnel_slab;
	struct qb_heap heap;
	struct qb_tunnel *tunnels, *ready;
	uint64_t icmp_tokens_ns;      /* rate limit of ICMP errors */
	uint64_t failure_ns;	      /* the second that failures are counted in */
	uint32_t failure_cnt;	      /* told in it */
	/* receive in progress: datagrams that the output batch had no room for yet */
	struct qb_batch datagrams, run;
	struct qb_tunnel *run_tunnel;
	struct qb_batch icmp_out; /* errors for inner senders; go out with the next inner batch */
	struct qb_notice notices[QB_NODE_NOTICES_MAX];
	uint32_t notice_head, notice_tail;
	struct qb_edge edge;
	struct qb_hub hub;
	/* Who watches connections; only those of one site, if the key is set. */
	const struct qb_observer *observer;
	bool is_site_observed;
	uint8_t observed_key[QB_PUBKEY_LEN];
	struct qb_known_table known;
};

size_t qb_node_footprint(const struct qb_node_cfg *cfg);
/* qb_node_init builds a node in mem (16-byte aligned, zero). */
struct qb_node *qb_node_init(void *mem, const struct qb_node_cfg *cfg, uint64_t now_ns);
void qb_node_fini(struct qb_node *n);

/* ---- the two directions ---- */

/*
 * qb_rx takes UDP payloads and appends inner packets to `inner`. Returns true when `inner` filled up: write it out,
 * empty it and call again (`udp` then holds what is left, possibly nothing).
 */
bool qb_rx(struct qb_node *n, struct qb_batch *udp, struct qb_batch *inner, uint64_t now_ns);
/* qb_rx_admit keeps of inner->buf[from..], which a tunnel's bond released, what may go to the kernel. */
void qb_rx_admit(struct qb_node *n, struct qb_tunnel *t, struct qb_batch *inner, uint32_t from);
/* qb_tx takes inner packets for a tunnel (NULL: no route): checks them, queues them. ICMP errors for their senders
 * come out of the next qb_rx or qb_node_poll. */
void qb_tx(struct qb_node *n, struct qb_tunnel *t, struct qb_batch *inner, uint64_t now_ns);
/* qb_tx_flush appends UDP payloads that may leave now; true: `udp` filled up and there is more. */
bool qb_tx_flush(struct qb_node *n, struct qb_batch *udp, uint64_t now_ns);

/* qb_node_poll runs the timers; inner packets that are released are appended. True as for qb_rx. */
bool qb_node_poll(struct qb_node *n, struct qb_batch *inner, uint64_t now_ns);
uint64_t qb_node_deadline_ns(const struct qb_node *n);
/* qb_node_next_notice takes the oldest notice. */
bool qb_node_next_notice(struct qb_node *n, struct qb_notice *out);
/* qb_node_notice appends one (the node's own parts call it); a full outbox forgets the oldest, of a link if there is one. */
struct qb_notice *qb_node_notice(struct qb_node *n, enum qb_notice_type type);
/*
 * qb_tunnel_notice appends one about a tunnel. What the tunnel's routes or MTU are replaces what they were, if that has not been
 * taken yet: a peer cannot flood the outbox.
 */
struct qb_notice *qb_tunnel_notice(struct qb_tunnel *t, enum qb_notice_type type);
/* qb_tunnel_tell_peer tells a hub's main thread from where a site's path comes. */
void qb_tunnel_tell_peer(struct qb_tunnel *t, const struct qb_path_info *path);
void qb_node_handle_events(struct qb_node *n, uint64_t now_ns);
/* qb_node_set_cc changes the bond's congestion controller, on paths that exist too, unless their link has its own. */
void qb_node_set_cc(struct qb_node *n, const struct qb_cc *cc, uint64_t now_ns);
/* qb_node_set_policy swaps the policies of all tunnels (borrowed; the former ones are not used any more), and what the bond wants
 * of forward error correction. */
void qb_node_set_policy(struct qb_node *n, const struct qb_policy *policy, const struct qb_fec_want *fec);
/* qb_node_set_sched swaps the bond's scheduler in all tunnels (borrowed; the former one is not used any more). */
void qb_node_set_sched(struct qb_node *n, const struct qb_sched *sched);

/*
 * qb_node_observe has all connections watched, those that are there and those that come; with a site's key that site's alone,
 * from when it is known. NULL: none any more.
 */
void qb_node_observe(struct qb_node *n, const struct qb_observer *o, const uint8_t *site_key, uint64_t now_ns);
/* qb_node_observe_site is told whose a connection is. */
void qb_node_observe_site(struct qb_node *n, struct qb_conn *conn, const uint8_t *key, uint64_t now_ns);

/* ---- tunnels (tunnel.c) ---- */

struct qb_tunnel *qb_tunnel_new(struct qb_node *n, struct qb_conn *conn, uint64_t now_ns);
void qb_tunnel_free(struct qb_tunnel *t);
void qb_tunnel_mark_ready(struct qb_tunnel *t);
/* qb_tunnel_wake_moved marks ready whose connection has moved, if there is anything to send or to send again, and looks at those
 * that were at rest. */
void qb_tunnel_wake_moved(struct qb_node *n, uint64_t now_ns);
/* qb_tunnel_path_add / _del follow the connection's paths. */
void qb_tunnel_path_add(struct qb_tunnel *t, uint8_t path, uint16_t link, enum qb_tier tier, uint64_t now_ns);
/* qb_tunnel_peer_name: what the edge calls the link of one of its paths; "" where it has not told. */
const char *qb_tunnel_peer_name(const struct qb_tunnel *t, uint64_t path_id);
/* qb_tunnel_wish: the edge wants one of its paths used like that. */
void qb_tunnel_wish(struct qb_tunnel *t, const struct qb_path_wish *wish, uint64_t now_ns);
/* qb_tunnel_known_key is by what a path's capacity is remembered. */
uint64_t qb_tunnel_known_key(const struct qb_tunnel *t, const struct qb_tuple *tuple);
/* qb_tunnel_path_resume gives a path that begins, here or in another network, what is known of it. */
void qb_tunnel_path_resume(struct qb_tunnel *t, uint8_t path, uint64_t now_ns);
/* qb_tunnel_path_lost: the link below a path is gone, so what is under way goes by others; then comes qb_tunnel_path_del. */
void qb_tunnel_path_lost(struct qb_tunnel *t, uint8_t path, uint64_t now_ns);
void qb_tunnel_path_del(struct qb_tunnel *t, uint8_t path, uint64_t now_ns);
/* qb_tunnel_apply_cc gives every path the controller that its link, or else the bond, is to have. */
void qb_tunnel_apply_cc(struct qb_tunnel *t, uint64_t now_ns);
/* qb_tunnel_views fills the scheduler's view of every path; returns how many slots. */
uint32_t qb_tunnel_views(struct qb_tunnel *t, struct qb_path_view *views, uint64_t now_ns);
/* qb_tunnel_repair queues again what QUIC reports lost. Returns whether there was anything. */
bool qb_tunnel_repair(struct qb_tunnel *t, uint64_t now_ns);
/* qb_tunnel_note_sent notes what became of a capsule: one that found no room (-EAGAIN) is sent again later. */
void qb_tunnel_note_sent(struct qb_tunnel *t, enum qb_unsent what, int ret);
/* qb_tunnel_observe runs the link states when they are due, tells changes, and follows MTU. */
void qb_tunnel_observe(struct qb_tunnel *t, uint64_t now_ns);
void qb_tunnel_arm(struct qb_tunnel *t, uint64_t now_ns);
/* qb_tunnel_stir: there are packets for it, or something was set that it is to look at, soon. */
void qb_tunnel_stir(struct qb_tunnel *t);
/* qb_tunnel_may_source: the inner source address is one that the peer may use. */
bool qb_tunnel_may_source(const struct qb_tunnel *t, const uint8_t *ip_packet, uint32_t len);
/* qb_tunnel_ranges turns prefixes into ranges, sorted as RFC 9484 §4.7.3 wants them. Returns how many (<= cap). */
uint32_t qb_tunnel_ranges(const struct qb_prefix *p, uint32_t cnt, struct qb_h3_route *out, uint32_t cap);

/* ---- edge (edge.c) ---- */

void qb_edge_init(struct qb_node *n, uint64_t now_ns);
/* qb_edge_set_hubs: attempts begin anew when they are others; a connection to one that is not among them any more ends. */
void qb_edge_set_hubs(struct qb_node *n, const struct qb_edge_hub *hubs, uint32_t cnt, uint64_t now_ns);
void qb_edge_set_advertise(struct qb_node *n, const struct qb_conf_prefixes *p);
/* qb_edge_set_link says how a link is now; an address change moves its path. */
void qb_edge_set_link(struct qb_node *n, uint32_t link, bool is_up, const struct qb_addr *local4,
		      const struct qb_addr *local6, enum qb_tier tier, uint64_t now_ns);
void qb_edge_drain_link(struct qb_node *n, uint32_t link, bool is_drained);
/* qb_edge_set_link_keepalive says how long a link may be silent: 0 as the others, QB_KEEPALIVE_LONGEST as its NATs allow. */
void qb_edge_set_link_keepalive(struct qb_node *n, uint32_t link, uint64_t keepalive_ns);
/* qb_edge_set_link_network says which network a link is in (knowledge of it holds there only), and where its paths start from. */
void qb_edge_set_link_network(struct qb_node *n, uint32_t link, uint64_t network, const struct qb_path_tune *tune);
/* qb_edge_set_failover: one link at a time, or all of a tier; the hub follows. */
void qb_edge_set_failover(struct qb_node *n, bool is_failover);
/* qb_edge_set_link_order says which links come first. */
void qb_edge_set_link_order(struct qb_node *n, uint32_t link, const struct qb_link_order *order);
/*
 * qb_edge_set_reserve: a link in reserve has a path all the time (0); or only once none that is used before it has worked for so
 * long; or never (QB_NEVER_NS).
 */
void qb_edge_set_reserve(struct qb_node *n, uint64_t reserve_ns);
/* qb_edge_set_link_rates limits what is sent over a link, asks the hub to do so, and tells it the link's name. */
void qb_edge_set_link_rates(struct qb_node *n, uint32_t link, const struct qb_link_rates *rates, uint64_t now_ns);
/* qb_edge_set_link_cc gives a link a congestion controller of its own; NULL: the bond's. */
void qb_edge_set_link_cc(struct qb_node *n, uint32_t link, const struct qb_cc *cc, uint64_t now_ns);
/* qb_edge_apply_policy gives the bond, and the hub, what is configured of a link. */
void qb_edge_apply_policy(struct qb_node *n, uint32_t link);
void qb_edge_close_link_path(struct qb_node *n, uint32_t link, uint64_t now_ns);
void qb_edge_poll(struct qb_node *n, uint64_t now_ns);
uint64_t qb_edge_deadline_ns(const struct qb_node *n);
void qb_edge_on_event(struct qb_node *n, const struct qb_quic_event *ev, uint64_t now_ns);
/* qb_edge_resend and qb_hub_resend send what t->unsent says. */
void qb_edge_resend(struct qb_node *n, struct qb_tunnel *t, uint64_t now_ns);
void qb_edge_on_h3(struct qb_node *n, struct qb_tunnel *t, const struct qb_h3_event *ev, uint64_t now_ns);
const char *qb_edge_hub_name(const struct qb_node *n);
/* qb_edge_tickets_build returns the length; qb_edge_tickets_parse 0, or -EBADMSG and none. */
size_t qb_edge_tickets_build(const struct qb_edge_tickets *ts, uint8_t out[QB_EDGE_TICKETS_BYTES]);
int qb_edge_tickets_parse(struct qb_edge_tickets *ts, const uint8_t *p, size_t len) QB_MUST_CHECK;
/* qb_edge_set_tickets gives a node what an earlier one had; QB_NOTE_TICKETS says that they are to be saved. */
void qb_edge_set_tickets(struct qb_node *n, const struct qb_edge_tickets *tickets);

/* qb_edge_path_tuple finds the hub's address that a link or leg goes to, of the hub that we are connected to. */
bool qb_edge_path_tuple(const struct qb_edge *e, uint32_t slot, struct qb_tuple *out);

/* ---- several paths a link (edge_mesh.c) ---- */

/* qb_edge_next_leg goes through a link's slots, its own first: QB_NODE_LINKS_MAX is the end. */
uint32_t qb_edge_next_leg(const struct qb_edge *e, uint32_t link, uint32_t at);
uint32_t qb_edge_leg_cnt(const struct qb_edge *e, uint32_t link);
/* qb_edge_end_leg gives a slot back, if it is a leg's. */
void qb_edge_end_leg(struct qb_node *n, uint32_t slot, uint64_t now_ns);
/* qb_edge_set_mesh: whether each link has a path to each of the hub's addresses, or one alone. */
void qb_edge_set_mesh(struct qb_node *n, bool is_full, uint64_t now_ns);
/* qb_edge_look_after_legs finds slots for legs that are missing; edge.c opens their paths as it does links'. */
void qb_edge_look_after_legs(struct qb_node *n, uint64_t now_ns);

/* ---- which links have paths (edge_reserve.c) ---- */

/* qb_edge_use_ns: from when on, as things are, the link may have a path; QB_NEVER_NS. */
uint64_t qb_edge_use_ns(const struct qb_node *n, uint32_t link);
/* qb_edge_look_after_reserve notes who works, and closes paths that nobody wants any more. */
void qb_edge_look_after_reserve(struct qb_node *n, uint64_t now_ns);

/* ---- hub (hub.c) ---- */

/* qb_hub_set_sites swaps the site table (borrowed, the old one until this returns): sessions of keys that are gone are closed,
 * others' addresses and sources follow. */
void qb_hub_set_sites(struct qb_node *n, struct qb_hub_site *sites, uint32_t cnt, uint64_t now_ns);
void qb_hub_set_advertise(struct qb_node *n, const struct qb_conf_prefixes *p);
/* qb_hub_is_allowed: a range lies inside one of the prefixes. */
bool qb_hub_is_allowed(const struct qb_conf_prefixes *prefixes, const struct qb_h3_route *r);
void qb_hub_on_event(struct qb_node *n, const struct qb_quic_event *ev, uint64_t now_ns);
void qb_hub_resend(struct qb_node *n, struct qb_tunnel *t);
void qb_hub_on_h3(struct qb_node *n, struct qb_tunnel *t, const struct qb_h3_event *ev, uint64_t now_ns);
/*
 * qb_hub_replaces: a session asked for as `newer` ends one of the same site that was asked for as `older`. Members of one group
 * live side by side; whatever else comes is the same edge, begun anew.
 */
bool qb_hub_replaces(const struct qb_h3_group *newer, const struct qb_h3_group *older);
/* qb_hub_on_proof: the peer of a session that began in 0-RTT is alive. */
void qb_hub_on_proof(struct qb_node *n, struct qb_tunnel *t, uint64_t now_ns);
/* qb_hub_close_site ends a session (replaced by a newer one elsewhere, or revoked). */
void qb_hub_close_site(struct qb_node *n, uint32_t site, uint32_t generation, const char *why, uint64_t now_ns);
