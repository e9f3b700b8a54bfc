/* SPDX-License-Identifier: BSD-2-Clause */
/* The bond of one connection, for the files that are it: bond.c and bond_*.c. */
#pragma once

#include "bond/bond.h"
#include "bond/classes.h"
#include "bond/copies.h"
#include "bond/explain.h"
#include "bond/fec.h"
#include "bond/flow.h"
#include "bond/keep.h"
#include "bond/line.h"
#include "bond/quality.h"
#include "bond/queue.h"
#include "bond/reorder.h"
#include "bond/repair.h"
#include "bond/sbd.h"
#include "bond/sched.h"
#include "bond/state.h"
#include "bond/tuning.h"
#include "bond/warm.h"

/* At once: the bond's, and one for each policy, whose numbers may all differ. */
enum { QB_BOND_SCHEDS_MAX = 1 + QB_POLICY_RULES_MAX };

/* A scheduler with what it remembers. */
struct qb_bond_slot {
	const struct qb_sched *sched; /* NULL: free */
	struct qb_sched_stand stand;
	_Alignas(QB_CACHELINE) uint8_t state[QB_SCHED_STATE_MAX];
};

enum { ASIDE_CNT = QB_POLICY_RULES_MAX + QB_BOND_PATHS_MAX };

/* A packet that was taken from the queue and waits for the scheduler's consent. */
struct qb_bond_pending {
	struct qb_buf *buf;
	uint64_t refused_ns; /* since when; 0 not yet */
};

/* What small packets of bulk ride along with: the last one, and what still fits beside it. */
struct qb_bond_ride {
	uint64_t at_ns;
	uint32_t room_bytes;
	uint8_t path;
};

/* Which flows keep to which paths. */
struct qb_pinning {
	uint64_t filled_ns[QB_BOND_PATHS_MAX]; /* since when flows keep it busy; 0: never */
	uint64_t gone_ns[QB_BOND_PATHS_MAX];   /* when these ceased to carry data */
	uint64_t look_ns;		       /* when one may go to a better path */
};

/* What is known of remote paths. */
struct qb_remote {
	uint64_t filled_ns[QB_BOND_PATHS_MAX]; /* when it was begun to fill it; 0: never */
	uint8_t fill_cnt[QB_BOND_PATHS_MAX];   /* how often, up to FILL_CNT_MAX */
	uint64_t fill_bps[QB_BOND_PATHS_MAX];  /* what all carried then */
	uint64_t all_bps;		       /* and do now */
	uint64_t go_ns, come_ns;	       /* when a flow may move there, and back */
	struct qb_pin home;		       /* what the near paths carried of late */
	bool has_pins;			       /* pins hold something */
	uint64_t seen_ns, full_ns;	       /* full: for how long the near paths have been, of late */
};

struct qb_bond {
	struct qb_counters *counters;
	struct qb_pool *pool;
	uint32_t worker;
	bool is_ordered;
	bool has_fec; /* the peer agreed to it */
	struct qb_fec_want fec_want;
	uint64_t now_ns; /* the latest that any caller told */
	uint64_t moved_ns; /* when packets last came by; 0: none since it was told to rest */
	struct qb_hash_key hash_key;

	/* sending */
	uint32_t tx_seq; /* the next packet's */
	struct qb_bond_pending sparse, bulk;
	uint64_t aside_set; /* of aside: those that hold a packet, a bit each */
	enum qb_grain grain;
	struct qb_pinning pinning;		 /* where that is QB_GRAIN_FLOW */
	struct qb_remote remote;		 /* where that is QB_GRAIN_AUTO */
	struct qb_line returned; /* by qb_bond_unpick */
	struct qb_line repairs;
	bool is_line_mixed;   /* of repairs: not all that is not striped comes first */
	int32_t others_bytes; /* that flows that lost nothing may send before the next of these */
	struct qb_line copies; /* of packets that just left */
	struct qb_copies duplication;
	struct qb_keep keep;
	struct qb_fec_tx fec_tx;
	uint32_t least_inner_bytes; /* that every usable path carries */
	struct qb_repair under_way;
	uint64_t tail_ns[QB_BOND_PATHS_MAX]; /* when the last bulk packet left; 0: probed for */
	uint64_t look_ns[QB_BOND_PATHS_MAX]; /* when a path that is left out was last looked at */
	bool has_tail;			     /* as qb_bond_set_tail */
	uint64_t bulk_ns;		     /* when bulk left last; 0: its end has been dealt with */
	uint64_t slowest_rtt_ns;	     /* of the links that live */
	uint64_t repair_age_ns;		     /* older packets are not sent again */
	struct qb_bond_ride ride;
	uint64_t tx_deadline_ns, queue_delay_ns;
	uint32_t usable; /* paths, a bit each, whatever their state */
	uint32_t chosen; /* of them: those that may carry data */
	uint8_t link_of[QB_BOND_PATHS_MAX];
	struct qb_tuning tuning;
	struct qb_warm warm;
	struct qb_explain explain;
	uint32_t sched_cnt; /* of scheds: those that were ever in use */
	struct qb_queue queue;
	struct qb_flow_table flows;
	struct qb_classes classes;

	/* receiving */
	struct qb_reorder reorder;

	/* links */
	struct qb_links links;
	struct qb_quality quality[QB_BOND_PATHS_MAX];
	struct qb_sbd sbd;

	struct qb_meter meters[2]; /* by enum qb_bond_direction */
	struct qb_fec_rx fec_rx;
	struct qb_fec_code fec_code;

	/* What follows is large, and touched only as far as it is used. */
	struct qb_bond_slot scheds[QB_BOND_SCHEDS_MAX]; /* the bond's own first */
	struct qb_meter_flow meter_flows[2][QB_METER_FLOWS];
	struct qb_bond_pending aside[ASIDE_CNT]; /* by rule, then by path */
	struct qb_bond_decision decisions[QB_BOND_DECISIONS];
	struct qb_fec_block fec_blocks[QB_FEC_BLOCKS];
	uint8_t fec_tables[QB_FEC_TABLES_BYTES];
	struct qb_pin pins[QB_PINS]; /* of pinning, or remote */
};

/* ---- bond.c ---- */

/* qb_bond_slot_of finds the state that a scheduler has in this bond; NULL: the bond's own. */
struct qb_bond_slot *qb_bond_slot_of(struct qb_bond *b, const struct qb_sched *s);
/* qb_bond_is_free: auto alone says which path a packet takes, no other scheduler and no policy. treat: what that wants; may be NULL. */
static inline bool qb_bond_is_free(const struct qb_bond *b, const struct qb_treatment *treat)
{
	return b->scheds[0].sched == &qb_sched_auto && !(treat && (treat->sched || treat->via));
}
/* qb_bond_inner_len: of the inner packet, without headers of ours. */
static inline uint32_t qb_bond_inner_len(const struct qb_buf *buf)
{
	uint32_t headers = buf->flags & QB_BUF_ORDERED ? QB_BOND_HEADER_LEN : 0;

	if (buf->flags & QB_BUF_FEC)
		headers += buf->flags & QB_BUF_ORDERED ? QB_FEC_SOURCE_LEN : QB_BOND_HEADER_LEN;
	return buf->len - headers;
}
/* qb_bond_hash_of: of the packet's flow. */
static inline uint32_t qb_bond_hash_of(const struct qb_buf *buf)
{
	return (uint32_t)buf->meta;
}

/* ---- bond_tx.c ---- */

/*
 * qb_bond_choose asks the packet's scheduler for its path: an index into views, QB_SCHED_WAIT or QB_SCHED_LATE. *refused_ns is
 * when it first had to wait, 0 before; the caller keeps it.
 */
int qb_bond_choose(struct qb_bond *b, const struct qb_path_view *views, uint32_t n, const struct qb_buf *buf,
		   uint64_t *refused_ns, uint64_t now_ns);
/* qb_bond_is_too_big: no path that is usable will ever carry the packet. */
static inline bool qb_bond_is_too_big(const struct qb_path_view *views, uint32_t n, const struct qb_buf *buf)
{
	for (uint32_t i = 0; i < n; i++)
		if (qb_view_fits(&views[i], qb_bond_inner_len(buf)))
			return false;
	return true;
}
/* qb_bond_drop counts a packet as dropped, and frees it. */
void qb_bond_drop(struct qb_bond *b, struct qb_buf *buf, enum qb_counter why);
/* qb_bond_wait_for_paths: look again when one of the paths may have room for so many bytes. */
void qb_bond_wait_for_paths(struct qb_bond *b, const struct qb_path_view *views, uint32_t n,
			    uint32_t bytes, uint64_t now_ns);
/* qb_bond_hand_out charges the path with the packet, numbers it if it has no number yet, and
 * returns it. */
struct qb_buf *qb_bond_hand_out(struct qb_bond *b, struct qb_buf *buf, struct qb_path_view *view,
				int path, uint64_t now_ns);

/* ---- bond_info.c ---- */

/* qb_bond_queued_bytes: of packets that wait to leave, but for copies. */
uint64_t qb_bond_queued_bytes(const struct qb_bond *b);

/* ---- bond_again.c ---- */

/*
 * qb_bond_pick_repair takes the first packet that is to be sent again; there is one. It leaves by another path than the one that
 * lost it, where that costs little time; what was lost twice leaves by two. NULL: it waits for a path.
 */
struct qb_buf *qb_bond_pick_repair(struct qb_bond *b, struct qb_path_view *views, uint32_t n, uint64_t now_ns);
/* qb_bond_spare_repairs drops what turned out to have arrived while it waited to be sent again. */
void qb_bond_spare_repairs(struct qb_bond *b);
/*
 * qb_bond_has_long_line: when a large link dies, what it had under way may take a small one a second. Flows that lost nothing do
 * not wait for that.
 */
bool qb_bond_has_long_line(const struct qb_bond *b);
/* qb_bond_part_line: what is not striped does not wait for that either, and comes first. */
void qb_bond_part_line(struct qb_bond *b);

/* ---- bond_order.c ---- */

/* qb_bond_number gives the packet, which leaves by buf->path if it is not bulk, its place in the
 * order, and the header that tells it. */
void qb_bond_number(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns);
/* qb_bond_order_anew: a packet that was put back leaves now, maybe by another path than it was
 * numbered for. */
void qb_bond_order_anew(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns);

/* ---- bond_protect.c ---- */

/* qb_bond_copy_of returns a numbered copy of a packet, or NULL. */
struct qb_buf *qb_bond_copy_of(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns);
/* qb_bond_put_copy queues a copy of a numbered packet, and so many more of that, to leave by other paths than those in
 * `taken`. */
void qb_bond_put_copy(struct qb_bond *b, struct qb_buf *buf, uint64_t more, uint64_t taken, uint64_t now_ns);
/* qb_bond_protect sees to it that a packet that was just handed out may be lost: by copies, or by
 * forward error correction. */
void qb_bond_protect(struct qb_bond *b, struct qb_buf *buf, uint64_t now_ns);
/* qb_bond_put_symbols queues the repair symbols of blocks that end by now. */
void qb_bond_put_symbols(struct qb_bond *b, uint64_t now_ns);
/* qb_bond_pick_copy takes the next copy or symbol that finds a path of its own; a copy that does
 * not is given up. */
struct qb_buf *qb_bond_pick_copy(struct qb_bond *b, struct qb_path_view *views, uint32_t n,
				 uint64_t now_ns);

/* ---- bond_ride.c ---- */

/* qb_bond_ride returns the path of the bulk before it if a small packet is to go along, in the same
 * QUIC packet where that works out; else QB_SCHED_WAIT: the scheduler is to be asked. */
int qb_bond_ride(const struct qb_bond *b, const struct qb_path_view *views, uint32_t n,
		 const struct qb_buf *buf, uint64_t now_ns);
/* qb_bond_board notes that bulk leaves by a path, and whether it rode. */
void qb_bond_board(struct qb_bond *b, const struct qb_buf *buf, uint8_t path, bool rode,
		   uint64_t now_ns);

/* ---- bond_via.c ---- */

/* qb_bond_is_via: the packet's policy names links, and one of them carries data. */
bool qb_bond_is_via(const struct qb_bond *b, const struct qb_buf *buf);
/* qb_bond_via narrows the views to those links, in `room`; else they stay as they are. */
const struct qb_path_view *qb_bond_via(struct qb_bond *b, const struct qb_buf *buf,
				       const struct qb_path_view *views, uint32_t n,
				       struct qb_path_view room[QB_BOND_PATHS_MAX]);
/* qb_bond_set_aside: the packet waits for such a link. False: it is none of those, everybody waits. */
bool qb_bond_set_aside(struct qb_bond *b, struct qb_bond_pending *p);
/* qb_bond_aside_next walks over what is set aside, from *slot 0 on; qb_bond_aside_done takes one
 * out. */
struct qb_bond_pending *qb_bond_aside_next(struct qb_bond *b, uint32_t *slot);
void qb_bond_aside_done(struct qb_bond *b, struct qb_bond_pending *p);
void qb_bond_aside_fini(struct qb_bond *b);

/* ---- bond_pins.c ---- */

/* qb_bond_pin_path: the path that the packet's flow keeps to; -1: it may take any. */
int qb_bond_pin_path(const struct qb_bond *b, const struct qb_buf *buf);
/* qb_bond_pin is that after the flow was found one, or a better one, if need be. */
int qb_bond_pin(struct qb_bond *b, const struct qb_buf *buf, const struct qb_path_view *views, uint32_t n);
/* qb_bond_pin_waits: a flow waits for its path. */
void qb_bond_pin_waits(struct qb_bond *b, uint8_t path);
/* qb_bond_pins_part: those paths (a bit each) do not carry data any more. */
void qb_bond_pins_part(struct qb_bond *b, uint32_t gone);
/* qb_bond_pin_sent: one of its packets leaves. */
void qb_bond_pin_sent(struct qb_bond *b, const struct qb_buf *buf, uint8_t path);

/* ---- bond_remote.c ---- */

/* qb_bond_remote_keeps: the flow goes by a remote path, however little it sends there. */
bool qb_bond_remote_keeps(const struct qb_bond *b, uint32_t hash);
/* qb_bond_remote_path: the remote path that the packet's flow keeps to; -1: it keeps to none. */
int qb_bond_remote_path(const struct qb_bond *b, const struct qb_buf *buf);
/* qb_bond_remote_pin is that after a flow that fills the near paths for long was given one, and one that is better off there came back. */
int qb_bond_remote_pin(struct qb_bond *b, const struct qb_buf *buf, const struct qb_path_view *views, uint32_t n);
/* qb_bond_remote_sent: one of its packets leaves. */
void qb_bond_remote_sent(struct qb_bond *b, const struct qb_buf *buf, uint8_t path);
/* qb_bond_remote_look tells how much waits for the paths in use, each time that these are looked at. */
void qb_bond_remote_look(struct qb_bond *b, uint64_t backlog_bytes, uint64_t rate_bps, uint64_t now_ns);
/* qb_bond_remote_fill: the path is to be filled for a moment, as its rate has to be known. */
bool qb_bond_remote_fill(struct qb_bond *b, uint8_t path, const struct qb_path_obs *o, uint64_t now_ns);
/* qb_bond_remote_reset: another path has the slot, or none. */
void qb_bond_remote_reset(struct qb_bond *b, uint8_t path);

/* ---- bond_tail.c ---- */

/* qb_bond_tail_due_ns: when the end of a transfer is to be looked at. */
uint64_t qb_bond_tail_due_ns(const struct qb_bond *b);

/* ---- bond_meter.c ---- */

void qb_bond_meter_init(struct qb_bond *b, uint64_t seed);
/* qb_bond_meter_tx: a packet leaves for the first time; _rx: those of out from `from` on are handed
 * on. */
void qb_bond_meter_tx(struct qb_bond *b, const struct qb_buf *buf, uint8_t path, uint64_t now_ns);
void qb_bond_meter_rx(struct qb_bond *b, const struct qb_batch *out, uint32_t from,
		      uint64_t now_ns);
