/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receiver's reorder buffer: hands packets on in the order of their flow, without knowing
 * flows. Each packet names its predecessor (sequence number minus delta), and waits for that one
 * alone.
 */
#pragma once

#include "bond/bond.h"

enum {
	QB_REORDER_WINDOW =
		65536, /* sequence numbers remembered, to tell second copies; more than any delta */
	QB_REORDER_CAP_MAX = QB_REORDER_WINDOW / 2,
	QB_REORDER_LOG_LEN = 512,
	QB_REORDER_TOLERANCE_MAX = 512,
	QB_REORDER_IDX_NONE = 0xffffffff,
};

#define QB_REORDER_HOLD_MIN_NS (5 * QB_NS_PER_MS)
#define QB_REORDER_HOLD_MAX_NS (400 * QB_NS_PER_MS)
/* Until the spread is known. A loss does not wait for this: it is recognised by sequence numbers.
 */
/* What a repair takes beyond the round trip and a half, until it is known better: the ACK's delay, and the pacer's. */
#define QB_REORDER_REPAIR_MARGIN_NS (20 * QB_NS_PER_MS)
#define QB_REORDER_REPAIR_MAX_NS    (300 * QB_NS_PER_MS)
#define QB_REORDER_HOLD_START_NS (100 * QB_NS_PER_MS)
/* Packets of calls (QB_BUF_BRIEF) are held for the spread as well, within these bounds. */
#define QB_REORDER_BRIEF_MIN_NS (20 * QB_NS_PER_MS)
#define QB_REORDER_BRIEF_MAX_NS (50 * QB_NS_PER_MS)

/* Who waits in one line: those that wait until a lost packet may have come again, and those that do not. */
enum { QB_REORDER_WHOLE, QB_REORDER_BRIEF, QB_REORDER_LINES };

/* Holds the packet whose predecessor has this slot's number. */
struct qb_reorder_slot {
	struct qb_buf *buf;
	uint64_t seq, since_ns;
	uint64_t pred;
	uint32_t prev, next; /* in its line, by since_ns, oldest first */
	uint8_t line;
};

struct qb_reorder_line {
	uint32_t oldest, newest; /* slots */
};

struct qb_reorder_path {
	bool is_known;
	uint64_t highest_seq, last_rx_ns;
	uint64_t again_ns; /* when it last brought what was sent again */
	uint64_t late_ns; /* how far this path trails the fastest: quick to rise, slow to fall */
	uint64_t rtt_ns; /* as the owner told; 0: unknown */
	uint32_t sample_cnt;
	uint32_t in_order_cnt;
	uint32_t tolerance_pkts; /* sequence numbers by which it reorders within itself */
};

struct qb_reorder_mark {
	uint64_t seq, at_ns;
};

struct qb_reorder {
	enum qb_reorder_mode mode;
	uint64_t fixed_ns;
	struct qb_pool *pool;
	struct qb_counters *counters;

	uint64_t now_ns; /* of what is done at the moment */
	bool is_started;
	uint64_t highest_seq;
	uint64_t floor_seq; /* everything below was delivered or given up */
	struct qb_reorder_slot *slots;
	uint64_t *slot_used; /* a bit a slot */
	uint32_t cap, held_cnt;
	uint64_t held_bytes, limit_bytes;	/* 0: as many packets as there is room for */
	struct qb_reorder_line lines[QB_REORDER_LINES];
	struct qb_buf *ready_head, *ready_tail; /* released, not handed out yet */
	struct qb_reorder_path paths[QB_BOND_PATHS_MAX];
	uint64_t hold_ns;
	uint64_t repair_ns; /* how long a lost packet may take to come again; 0: it will not */
	uint64_t repair_late_ns; /* how long behind that moment repairs come: quick to rise, slow to fall */
	uint32_t repair_cnt;	 /* of which that was learned, up to enough */
	uint64_t again_seq, again_ns; /* the last packet that was sent again, and when it came */
	uint64_t passed_seq; /* every path that carries traffic is beyond this */
	struct qb_reorder_mark *passed; /* when it came to be: a ring of QB_REORDER_LOG_LEN, ascending */
	uint32_t passed_first, passed_cnt;
	struct qb_reorder_mark *log; /* when the highest number was reached: a ring, ascending */
	uint32_t log_first, log_cnt;
	uint64_t *arrived; /* QB_REORDER_WINDOW bits */
	uint64_t *done;	   /* delivered, or given up by time */
};

size_t qb_reorder_footprint(uint32_t cap);
void qb_reorder_init(struct qb_reorder *r, void *mem, const struct qb_bond_cfg *cfg);
void qb_reorder_fini(struct qb_reorder *r);
/*
 * qb_reorder_forget: nothing is held. What was missing is not waited for any more, and when numbers were reached is forgotten. Of its
 * memory any part may become zeros from then on.
 */
void qb_reorder_forget(struct qb_reorder *r);
/*
 * qb_reorder_push takes a packet whose bond header is off: b->seq, b->delta and b->path are set. is_again: it tells
 * nothing of how its path orders packets.
 */
void qb_reorder_push(struct qb_reorder *r, struct qb_buf *b, bool is_again, uint64_t now_ns);
/* qb_reorder_set_rtt: a path's round trip; what is lost there comes again about as much later. */
void qb_reorder_set_rtt(struct qb_reorder *r, uint8_t path, uint64_t rtt_ns);
/* qb_reorder_pass takes a packet that has no number: it goes out with the next batch. */
void qb_reorder_pass(struct qb_reorder *r, struct qb_buf *b);
/* qb_reorder_settle looks for gaps that every path has passed; after each batch of pushes. */
void qb_reorder_settle(struct qb_reorder *r, uint64_t now_ns);
/* qb_reorder_expire releases what has waited for the hold time. */
void qb_reorder_expire(struct qb_reorder *r, uint64_t now_ns);
/* qb_reorder_flush moves released packets to out. Returns true when out filled up. */
bool qb_reorder_flush(struct qb_reorder *r, struct qb_batch *out);
/* qb_reorder_set_limit: packets that are held back take no more than that; 0: no limit but the slots. */
void qb_reorder_set_limit(struct qb_reorder *r, uint64_t limit_bytes);
uint64_t qb_reorder_deadline_ns(const struct qb_reorder *r);
void qb_reorder_path_reset(struct qb_reorder *r, uint8_t path);
