/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bonding, sans I/O: which packet leaves next, by which path, and in which order what arrives is
 * handed on. The front door of this folder. It knows neither QUIC nor interfaces: paths are small
 * indices with a view (sending) and an observation (liveness) that the owner fills in.
 *
 *     inner packets ─► qb_bond_enqueue ─► flow queues (sparse first, AQM)
 *                                           ─► qb_bond_pick ─► (packet, path)
 *     arrived packets ─► qb_bond_rx ─► in order by flow ─► out batch
 *
 * One struct qb_bond a connection; its memory is given at init. Buffers that are dropped go back to
 * the pool and are counted. Times are of one monotonic clock, in ns. A set of paths is a bit each.
 */
#pragma once

#include "base/buf.h"
#include "base/counters.h"
#include "bond/classes.h"
#include "bond/meter.h"

enum {
	QB_BOND_PATHS_MAX = 8,
	QB_BOND_FILL_MS = 300, /* as QB_LINK_ACT_FILL */
	QB_BOND_LINKS_MAX = 32,
	/*
	 * The bond header, in front of an inner packet in our context ID (network order):
	 *   0                   32  33  34         48
	 *   | tunnel sequence    | A | B | delta     | IP packet …
	 * Every packet of a direction gets the next tunnel sequence number (the low 32 bits of a
	 * 64-bit counter with a random start). delta is the distance back to the previous packet of
	 * the same inner flow; 0, deliver at once, for the first of a flow, for a sparse flow, and
	 * where that packet is more than 16,383 numbers back.
	 *   A: the packet was lost, and is sent again with the number that it had.
	 *   B: it waits for a packet that is late, but not until one that was lost comes again: a
	 *      call's, whose flow has just changed its path.
	 */
	QB_BOND_HEADER_LEN = 6,
	QB_BOND_VERSION = 1,
	QB_BOND_FEC_VERSION = 1, /* of the headers in bond/fec.h */
};

struct qb_bond;

enum qb_tier { QB_TIER_PRIMARY, QB_TIER_SECONDARY, QB_TIER_BACKUP, QB_TIER_NEVER, QB_TIER_CNT };

enum qb_link_state {
	QB_LINK_ABSENT,	 /* no interface, address or gateway: there is no path */
	QB_LINK_PROBING, /* being validated, or coming back and to prove itself first */
	QB_LINK_ACTIVE,
	QB_LINK_SUSPECT, /* no ACK for longer than normal: new packets go elsewhere */
	QB_LINK_STANDBY, /* usable, kept in reserve by tier */
	QB_LINK_FAILED,	 /* dead; probed calmly */
	QB_LINK_DRAINED, /* by command */
	QB_LINK_STATE_CNT,
};

const char *qb_link_state_name(enum qb_link_state s);
/* qb_link_state_serves: the link carries traffic, or would if those of better tiers did not. */
static inline bool qb_link_state_serves(enum qb_link_state s)
{
	return s == QB_LINK_ACTIVE || s == QB_LINK_STANDBY;
}
const char *qb_tier_name(enum qb_tier t);
/* qb_tier_parse: -EINVAL for what is no tier's name. */
int qb_tier_parse(const char *text, enum qb_tier *out) QB_MUST_CHECK;

/* What the sending side needs to know of a path, as of one moment; qb_bond_pick charges it. */
struct qb_path_view {
	bool is_usable; /* open, with a peer address that may be sent to */
	bool is_validated;
	bool is_far;	/* too far behind: left out of striping; set by qb_bond_pick */
	bool is_steady; /* of a known rate, with next to no loss; set by qb_bond_pick */
	uint64_t srtt_ns, min_rtt_ns, rttvar_ns; /* RFC 9002 §5; 0 before the first sample */
	uint64_t cwnd_bytes, in_flight_bytes;
	uint64_t rate_bps;     /* pacing or delivery rate; 0 unknown */
	uint64_t pacing_bps;   /* the controller's own rate, kept while the path idles; 0 unknown */
	uint64_t budget_bytes; /* may leave right now */
	uint64_t next_send_ns; /* when the pacer lets the next one go; 0 now */
	uint64_t sample_age_ns; /* since the last ACK, so the age of srtt_ns */
	uint64_t owd_delta_ns;	/* one-way delay above the fastest path's, by the peer; 0 unknown */
	uint64_t owd_base_delta_ns; /* likewise without queues */
	uint32_t loss_ppm;	    /* recent */
	uint32_t max_inner_bytes;   /* largest inner packet that fits */
	uint32_t weight;	    /* 50 to 1000, for the weighted scheduler; 0: by its rate */
	enum qb_tier tier;	    /* set by qb_bond_pick */
	/* For BPF schedulers; built-in ones do not look at these. */
	uint32_t generation; /* changes when another path takes this slot */
	uint32_t link;	     /* edge: number of the link */
	uint64_t tx_packets, acked_packets, lost_packets; /* since the path began */
};

/* What the state machine needs to know of a path. */
struct qb_path_obs {
	bool is_open; /* validated and not closing */
	uint64_t srtt_ns, rttvar_ns, pto_ns;
	uint64_t last_rx_ns, last_ack_ns;
	uint64_t oldest_unacked_ns;  /* when the oldest packet in flight left; 0: there is none */
	uint64_t last_acked_sent_ns; /* when the newest packet left that was acknowledged */
	uint64_t acked_packets, lost_packets;
	bool is_starting;    /* in slow start: what it loses tells nothing of the path */
	bool is_peer_backup; /* the peer asked for it (RFC 10069 §4.3, PATH_STATUS_BACKUP) */
	bool has_owd;	     /* the peer tells when packets arrive */
	int64_t owd_ns; /* one-way delay by its clock, which starts anywhere: only changes count */
};

enum qb_reorder_mode { QB_REORDER_AUTO, QB_REORDER_OFF, QB_REORDER_FIXED };

struct qb_bond_cfg {
	const struct qb_sched *sched; /* NULL: auto */
	uint32_t worker;	      /* told to schedulers that run outside (qb_sched.run) */
	struct qb_fec_want fec;
	enum qb_reorder_mode reorder;
	uint64_t reorder_max_ns;  /* QB_REORDER_FIXED: the longest wait */
	uint64_t failback_ns;	  /* as qb_bond_set_failback */
	struct qb_fail_want fail; /* as qb_bond_want_fail */
	uint32_t queue_pkts;	  /* bound of the flow queues together */
	uint32_t reorder_pkts;	  /* bound of the reorder buffer; a power of two */
	uint64_t seed;
	struct qb_counters *counters; /* borrowed */
	struct qb_pool *pool;	      /* borrowed */
};

/* qb_bond_footprint: bytes of memory for qb_bond_init. */
size_t qb_bond_footprint(const struct qb_bond_cfg *cfg);
struct qb_bond *qb_bond_init(void *mem, const struct qb_bond_cfg *cfg, uint64_t now_ns);
/* qb_bond_fini gives every buffer that is queued or held back to the pool. */
void qb_bond_fini(struct qb_bond *b);
/* qb_bond_set_sched changes the scheduler (borrowed until the next call); NULL: auto. */
void qb_bond_set_sched(struct qb_bond *b, const struct qb_sched *s);
/* qb_bond_set_reorder_max bounds the reorder buffer in bytes; 0: by cfg.reorder_pkts alone. */
void qb_bond_set_reorder_max(struct qb_bond *b, uint64_t max_bytes);
/* qb_bond_set_policy: which traffic is treated how (borrowed until the next call; NULL: none). */
void qb_bond_set_policy(struct qb_bond *b, const struct qb_policy *policy);
/* qb_bond_set_ordered: whether the peer agreed to the bond header; else nothing is numbered. */
void qb_bond_set_ordered(struct qb_bond *b, bool is_ordered);
/* qb_bond_set_fec: whether the peer agreed to forward error correction; _want_fec: how it is used. */
void qb_bond_set_fec(struct qb_bond *b, bool is_agreed);
void qb_bond_want_fec(struct qb_bond *b, const struct qb_fec_want *want);
/* qb_bond_fec_room: bytes to leave free in full packets, so that they can be protected as well. */
uint32_t qb_bond_fec_room(const struct qb_bond *b);

/* ---- sending ---- */

/* qb_bond_enqueue classifies and queues inner IP packets (data at the IP header). Takes all
 * buffers. */
void qb_bond_enqueue(struct qb_bond *b, struct qb_batch *in, uint64_t now_ns);
/*
 * qb_bond_pick returns the next packet, and in *path (an index into views[0..n)) the path that it
 * is to leave by. With ordering agreed the bond header is already in front (QB_BUF_ORDERED), and
 * the FEC header in front of that where QB_BUF_FEC is set; a buffer with that flag alone is a
 * repair symbol. NULL: nothing is queued, or all that is waits for a path (until
 * qb_bond_tx_deadline_ns at the latest; an ACK may come earlier).
 *
 * The chosen view is charged with the packet, so that one snapshot serves a batch. Views of links
 * that may not carry data now (suspect, in reserve, drained …) become unusable in the snapshot; a
 * loss_ppm of 0 becomes what qb_bond_observe has measured.
 */
struct qb_buf *qb_bond_pick(struct qb_bond *b, struct qb_path_view *views, uint32_t n,
			    uint64_t now_ns, uint8_t *path);
/* qb_bond_unpick puts a picked packet back at the head: the path refused it after all. */
void qb_bond_unpick(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns);
/* qb_bond_strip removes the headers of a picked packet. False: it is a repair symbol, no packet. */
bool qb_bond_strip(struct qb_buf *buf);
bool qb_bond_has_queued(const struct qb_bond *b);
uint32_t qb_bond_queued_pkts(const struct qb_bond *b);
/*
 * Packets that left are remembered until they are settled, and sent again if they are lost.
 * qb_bond_on_sent: a picked packet was sealed and handed on (seq and path as it left; inner_len is
 * its length when it was picked). qb_bond_on_settled: all losses reported so far were dealt with;
 * when the oldest packet in flight of each path left (0: none).
 */
void qb_bond_on_sent(struct qb_bond *b, struct qb_buf *buf, uint32_t inner_len, uint64_t now_ns);
void qb_bond_on_settled(struct qb_bond *b, const uint64_t oldest_unacked_ns[QB_BOND_PATHS_MAX],
			uint64_t now_ns);
/*
 * qb_bond_take_lost returns the packet that left at sent_ns by that path and was reported lost, as
 * it was sealed, if it is still worth sending; else NULL. The last *inner_len bytes of its
 * plaintext are what was picked: with data and len set to them it goes to qb_bond_repair, which
 * queues it to be sent again. qb_bond_take_stranded: the same for one in flight on a path that
 * failed.
 */
struct qb_buf *qb_bond_take_lost(struct qb_bond *b, uint32_t seq, uint8_t path, uint64_t sent_ns,
				 uint32_t *inner_len, uint64_t now_ns);
struct qb_buf *qb_bond_take_stranded(struct qb_bond *b, uint32_t seq, uint8_t path,
				     uint64_t sent_ns, uint32_t *inner_len);
/*
 * qb_bond_on_arrived: cnt packets with consecutive numbers, the last of which left at sent_ns by
 * that path, have arrived. Those that still wait to be sent again need not be.
 */
void qb_bond_on_arrived(struct qb_bond *b, uint32_t seq, uint32_t cnt, uint8_t path,
			uint64_t sent_ns);
void qb_bond_repair(struct qb_bond *b, struct qb_buf *buf);
/* qb_bond_tx_deadline_ns: when to call qb_bond_pick again at the latest. */
uint64_t qb_bond_tx_deadline_ns(const struct qb_bond *b);

/* ---- receiving ---- */

/*
 * qb_bond_rx takes packets that arrived (path set; data at the FEC header if QB_BUF_FEC is set, at
 * the bond header if QB_BUF_ORDERED is, else at the IP header), and appends to `out` what may be
 * delivered, data at the IP header. Takes all buffers of `in` unless `out` fills up; then
 * in->buf[0..in->cnt) are left: call again.
 */
void qb_bond_rx(struct qb_bond *b, struct qb_batch *in, struct qb_batch *out, uint64_t now_ns);
/* qb_bond_rx_poll releases what has waited long enough. True: `out` is full, call again. */
bool qb_bond_rx_poll(struct qb_bond *b, struct qb_batch *out, uint64_t now_ns);
/* qb_bond_rx_deadline_ns: when to call it. */
uint64_t qb_bond_rx_deadline_ns(const struct qb_bond *b);

/* ---- links ---- */

enum qb_link_action {
	QB_LINK_ACT_NONE = 0,
	QB_LINK_ACT_PROBE = 1 << 0, /* send a probe on the path now */
	QB_LINK_ACT_DOWN = 1 << 1,  /* the path failed: send what is in flight there by others */
	QB_LINK_ACT_UP = 1 << 2,    /* it is back */
	QB_LINK_ACT_FILL = 1 << 3, /* fill it with padding for QB_BOND_FILL_MS, to learn its rate */
};

/*
 * qb_bond_observe runs the path's state machine. obs_all: observations of all n paths by index, as
 * an ACK on another path proves that the peer lives. Returns enum qb_link_action flags.
 */
uint32_t qb_bond_observe(struct qb_bond *b, uint8_t path, const struct qb_path_obs *obs_all,
			 uint32_t n, uint64_t now_ns);
/* qb_bond_observe_deadline_ns: when a state may change by time alone. */
uint64_t qb_bond_observe_deadline_ns(const struct qb_bond *b);
/* qb_bond_path_reset: the slot has a new path, or none (is_present false). */
void qb_bond_path_reset(struct qb_bond *b, uint8_t path, bool is_present, enum qb_tier tier,
			uint64_t now_ns);
/* qb_bond_set_link: which of the owner's links the path in the slot runs over, as policies name
 * them. */
void qb_bond_set_link(struct qb_bond *b, uint8_t path, uint8_t link);
/* qb_bond_expect_partners: two paths go by one link, so they share its bottleneck. */
void qb_bond_expect_partners(struct qb_bond *b, uint8_t path, uint8_t other);
/* qb_bond_partners: the other paths that share this one's bottleneck, a bit each. */
uint8_t qb_bond_partners(const struct qb_bond *b, uint8_t path);
void qb_bond_set_tier(struct qb_bond *b, uint8_t path, enum qb_tier tier);
/* qb_bond_set_failback: how long a link of a better tier must be sound before it is used again; 0:
 * at once; QB_NEVER_NS: not while the worse one works. */
void qb_bond_set_failback(struct qb_bond *b, uint64_t failback_ns);
/* qb_bond_want_fail: when a silent link has failed, and when it is trusted again. */
void qb_bond_want_fail(struct qb_bond *b, const struct qb_fail_want *want);
/* qb_bond_set_rank: where one path of a tier is used at a time, it is the one of the lowest rank; the
 * number of its link, unless this is called. */
void qb_bond_set_rank(struct qb_bond *b, uint8_t path, uint8_t rank);
/* qb_bond_set_tail (TailCopies): at a transfer's end, copies of late packets go by the quickest
 * path. */
void qb_bond_set_tail(struct qb_bond *b, bool is_on);
/*
 * qb_bond_take_tail returns a copy of the next such packet, from *seq on (0 at first), as
 * qb_bond_take_stranded does. NULL: there are no more.
 */
struct qb_buf *qb_bond_take_tail(struct qb_bond *b, const struct qb_path_obs *obs, uint32_t n,
				 uint32_t *seq, uint32_t *inner_len, uint64_t now_ns);
/* qb_bond_set_grain: what keeps to one path. */
void qb_bond_set_grain(struct qb_bond *b, enum qb_grain grain);
/* qb_bond_set_failover: one link at a time, in the order of their ranks within a tier; or all of a
 * tier. */
void qb_bond_set_failover(struct qb_bond *b, bool is_failover);
void qb_bond_set_drained(struct qb_bond *b, uint8_t path, bool is_drained);

/* How the scheduler uses a link that is active. */
enum qb_link_use {
	QB_LINK_USE_NORMAL,
	QB_LINK_USE_SHARED,    /* it shares a bottleneck with another one */
	QB_LINK_USE_WHEN_FULL, /* it is lossy or slow: only once the others are full */
	QB_LINK_USE_LEFT_OUT,  /* too far behind for striping */
	QB_LINK_USE_CNT,
};

const char *qb_link_use_name(enum qb_link_use u);

struct qb_bond_link_info {
	enum qb_link_state state;
	enum qb_tier tier;
	char reason[64]; /* why it is in that state, or why its share is small; "" if all is well */
	enum qb_link_use use;  /* while it is active */
	char share_reason[96]; /* why it carries what it carries, always */
	double share;	       /* of the bytes sent in the last second */
	double loss;	       /* recent, 0..1 */
	uint64_t jitter_ns;
	uint64_t state_since_ns;
	uint32_t partners; /* paths that share a bottleneck with it, a bit each */
	uint64_t failures, recoveries;
	uint32_t flaps;	    /* failures soon after one another: each makes the next proof longer */
	uint64_t silent_ns; /* suspect, failed: how long nothing was heard */
};
void qb_bond_link_info(const struct qb_bond *b, uint8_t path, uint64_t now_ns,
		       struct qb_bond_link_info *out);
enum qb_link_state qb_bond_link_state(const struct qb_bond *b, uint8_t path);

struct qb_bond_stats {
	uint32_t queued_pkts;
	uint64_t queued_bytes, queue_delay_ns; /* of the last packet picked */
	uint32_t held_pkts;		       /* in the reorder buffer */
	uint64_t hold_ns;		       /* hold time in force */
	const char *sched;
	char protection[128]; /* whether and why calls are sent more than once */
	bool is_fec_on;	      /* for calls, by auto */
	double call_loss;     /* of the link that calls take, 0..1 */
	double call_burst;    /* how many packets are lost in a row there, on average */
	double fec_share;     /* while FEC is on: repair symbols per packet */
};
void qb_bond_get_stats(const struct qb_bond *b, struct qb_bond_stats *out);

/* Memory that an idle bond does without: any part of it may become zeros, or stay as it is. */
struct qb_bond_span {
	void *mem;
	size_t bytes;
};

enum { QB_BOND_SPANS_MAX = 6 };

/*
 * qb_bond_rest, once there was no traffic for ten seconds, returns how many spans of memory are not
 * needed until there is traffic again; 0 before that, and when it has said so already.
 */
uint32_t qb_bond_rest(struct qb_bond *b, struct qb_bond_span out[QB_BOND_SPANS_MAX],
		      uint64_t now_ns);
/* qb_bond_is_quiet: there was no packet since it was told to rest, or since the beginning. */
bool qb_bond_is_quiet(const struct qb_bond *b);

/* qb_bond_meter returns the heavy flows of a direction; NULL: there was no traffic lately. */
enum qb_bond_direction { QB_BOND_TX, QB_BOND_RX };
const struct qb_meter *qb_bond_meter(struct qb_bond *b, enum qb_bond_direction dir,
				     uint64_t now_ns);

/* ---- why this path (bond/explain.c) ---- */

enum { QB_BOND_DECISIONS = 32 };

enum qb_choice_state {
	QB_CHOICE_OFF,	   /* no path, or one that may not carry data now */
	QB_CHOICE_TOO_BIG, /* the packet does not fit */
	QB_CHOICE_FAR,	   /* too far behind for striping */
	QB_CHOICE_BUSY,	   /* window or pacer do not let it go now */
	QB_CHOICE_FREE,
	QB_CHOICE_STATE_CNT,
};

const char *qb_choice_state_name(enum qb_choice_state s);

/* A path that could be chosen, and the delay and wait that were expected of it. */
struct qb_bond_choice {
	uint8_t state; /* enum qb_choice_state */
	uint64_t delay_ns, wait_ns;
};

struct qb_bond_decision {
	uint64_t at_ns;
	uint32_t flow, bytes;
	bool is_sparse;
	int8_t path;	/* as qb_sched.pick returned */
	char sched[48]; /* name of the scheduler that decided, cut off if it is longer */
	struct qb_bond_choice choices[QB_BOND_PATHS_MAX];
};

/* qb_bond_decision returns one of the decisions kept (not every packet's is), 0 the newest. NULL:
 * no more. */
const struct qb_bond_decision *qb_bond_decision(const struct qb_bond *b, uint32_t idx);
/* qb_bond_explain writes a decision in words; names are those of the paths. */
void qb_bond_explain(const struct qb_bond_decision *d, const char *const names[QB_BOND_PATHS_MAX],
		     char *out, size_t len);

/* ---- schedulers: the registry (bond/sched.c) ---- */

struct qb_pkt_meta {
	uint32_t bytes;	       /* of the inner packet */
	uint32_t flow;	       /* hash */
	bool is_sparse;	       /* wants the lowest delay */
	bool is_loose;	       /* its flow may change the path for any gain */
	uint64_t queued_bytes; /* waiting behind it */
	uint64_t waited_ns;    /* since it was first refused (QB_SCHED_WAIT); 0 at the first try */
	uint64_t age_ns;       /* since it was queued */
	uint64_t deadline_ns;  /* the age from which on it is of no use; 0: none */
};

enum {
	QB_SCHED_WAIT = -1,
	QB_SCHED_LATE = -2, /* no path brings the packet there in time: drop it */
	QB_SCHED_STATE_MAX = 512,
	QB_SCHED_PICKS_MAX = 64,
	QB_SCHED_MEMORY_WORDS = 16,
};

/* How long bulk waits although a path has room; zero at first. */
struct qb_sched_stand {
	uint64_t since_ns; /* 0: it does not */
	uint64_t asked_ns; /* when the scheduler was last asked */
};

/* What a scheduler is asked, and what one that runs outside of this folder answers: where the next
 * packets like `pkt` go. */
struct qb_sched_ask {
	const struct qb_path_view *v;
	uint32_t n;
	const struct qb_pkt_meta *pkt;
	uint32_t worker;
	uint64_t now_ns;
	struct qb_sched_stand *stand; /* NULL: it may wait as long as the scheduler wants */
};

struct qb_sched_answer {
	uint64_t valid_ns;		 /* for how long */
	uint32_t cnt;			 /* of pick */
	int8_t pick[QB_SCHED_PICKS_MAX]; /* as qb_sched.pick returns */
};

struct qb_sched {
	const char *name;
	size_t state_bytes;
	uint32_t copies; /* of each packet, by different paths; 0 and 1: the packet alone */
	bool has_param;	 /* its state begins with `param`, a uint32_t that init leaves alone */
	uint32_t param;
	bool has_deadlines; /* packets with a deadline: the earliest first, late ones are dropped */
	void (*init)(void *st);
	/*
	 * pick returns an index into v[0..n) of a view that is usable and has budget; or
	 * QB_SCHED_WAIT, if it is better to wait than to use what is free now; or QB_SCHED_LATE. A
	 * pure function.
	 */
	int (*pick)(void *st, const struct qb_path_view *v, uint32_t n,
		    const struct qb_pkt_meta *pkt, uint64_t now_ns);
	/*
	 * Instead of pick: decides for several packets at once, outside of this folder (a BPF
	 * program). memory is the scheduler's own. Returns 0, or -errno if it did not run. The
	 * answer is checked; `fault` is told what is wrong with it, before auto stands in. Both run
	 * on the worker's thread.
	 */
	int (*run)(const struct qb_sched *s, const struct qb_sched_ask *ask,
		   uint64_t memory[QB_SCHED_MEMORY_WORDS], struct qb_sched_answer *out);
	void (*fault)(const struct qb_sched *s, const char *what);
};

/* qb_sched_start initialises a scheduler's state (QB_SCHED_STATE_MAX bytes); qb_sched_decide asks
 * it for a path. */
void qb_sched_start(const struct qb_sched *s, void *st);
int qb_sched_decide(const struct qb_sched *s, void *st, struct qb_counters *counters,
		    const struct qb_sched_ask *ask);
/* qb_sched_find returns the scheduler of that name, or NULL; qb_sched_list is all of them, NULL at
 * the end. */
const struct qb_sched *qb_sched_find(const char *name);
extern const struct qb_sched *const qb_sched_list[];
/* qb_sched_forms: names with a number and its range, like "minrtt:0-100%". NULL at the end. */
extern const char *const qb_sched_forms[];
/* qb_sched_tune makes a scheduler of such a name ("minrtt:25%"; borrowed). -ENOENT: it is none. */
int qb_sched_tune(const char *name, struct qb_sched *out) QB_MUST_CHECK;
