/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receiver's reorder buffer: hands packets on in the order of their flow, without knowing
 * flows. Each packet names its predecessor (sequence number minus delta), and waits for that one
 * alone. Internal to bond/.
 */
#pragma once

#include "bond/bond.h"

enum {
	/* Sequence numbers remembered, so that second copies are told; more than any delta. */
	QB_REORDER_WINDOW = 65536,
	QB_REORDER_CAP_MAX = QB_REORDER_WINDOW / 2,
	QB_REORDER_LOG_LEN = 512,
	/* Numbers; a packet further behind says nothing of how its path reorders. */
	QB_REORDER_TOLERANCE_MAX = 512,
	QB_REORDER_IDX_NONE = 0xffffffff,
};

#define QB_REORDER_HOLD_MIN_NS (5 * QB_NS_PER_MS)
#define QB_REORDER_HOLD_MAX_NS (400 * QB_NS_PER_MS)
/* While a path's lateness is not known. A loss does not wait for that: every path passes it. */
#define QB_REORDER_HOLD_START_NS (100 * QB_NS_PER_MS)
/* What a retransmission takes beyond round trips until that is measured: ACK delay and pacing. */
#define QB_REORDER_REPAIR_MARGIN_NS (20 * QB_NS_PER_MS)
#define QB_REORDER_REPAIR_MAX_NS    (300 * QB_NS_PER_MS)
/* A path is idle after a silence of so many hold times, within these bounds. */
#define QB_REORDER_IDLE_HOLDS  4
#define QB_REORDER_IDLE_MIN_NS (200 * QB_NS_PER_MS)
#define QB_REORDER_IDLE_MAX_NS (1 * QB_NS_PER_SEC)
/* Brief packets are held for the hold time as well, within these bounds. */
#define QB_REORDER_BRIEF_MIN_NS (20 * QB_NS_PER_MS)
#define QB_REORDER_BRIEF_MAX_NS (50 * QB_NS_PER_MS)

/*
 * Held packets wait in two lines: whole ones until a lost predecessor may have been sent again,
 * brief ones (QB_BUF_BRIEF: of calls, for which a gap is better than a delay) only as long as it
 * may be late.
 */
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

/* What is learned of a path; its numbers are those that left by it for the first time. */
struct qb_reorder_path {
	bool is_known;
	uint64_t highest_seq, last_rx_ns;
	uint64_t repair_rx_ns; /* when it last brought a packet that was sent again */
	uint64_t late_ns;      /* how far it trails the fastest path */
	uint64_t rtt_ns;       /* as the owner told; 0: unknown */
	uint32_t sample_cnt;   /* of late_ns, up to enough */
	uint32_t in_order_cnt;
	uint32_t tolerance_pkts; /* sequence numbers by which it reorders within itself */
};

/* A number, and the time from which on it holds. */
struct qb_reorder_mark {
	uint64_t seq, at_ns;
};

struct qb_reorder {
	enum qb_reorder_mode mode;
	uint64_t fixed_ns; /* hold time of QB_REORDER_FIXED */
	struct qb_pool *pool;
	struct qb_counters *counters;

	uint64_t now_ns; /* of the call being served */
	bool is_started;
	uint64_t highest_seq;
	uint64_t floor_seq; /* everything below was delivered or given up */
	struct qb_reorder_slot *slots;
	uint64_t *slot_used; /* a bit a slot */
	uint32_t cap, held_cnt;
	uint64_t held_bytes, limit_bytes; /* 0: as many packets as there is room for */
	struct qb_reorder_line lines[QB_REORDER_LINES];
	struct qb_buf *ready_head, *ready_tail; /* released, not handed out yet */
	struct qb_reorder_path paths[QB_BOND_PATHS_MAX];
	uint64_t hold_ns;
	uint64_t repair_ns;	 /* how long a lost packet may take to come again; 0: it will not */
	uint64_t repair_late_ns; /* how long after all paths had passed them repairs came */
	uint32_t repair_cnt;	 /* losses of which that was learned, up to enough */
	uint64_t counted_ns;	 /* when the last of them was counted */
	uint64_t repair_rx_seq, repair_rx_ns; /* the last packet that came after being sent again */
	uint64_t passed_seq;		      /* every path that carries traffic is beyond this */
	struct qb_reorder_mark *passed; /* since when: a ring of QB_REORDER_LOG_LEN, ascending */
	uint32_t passed_first, passed_cnt;
	struct qb_reorder_mark *log; /* when the highest number was reached: a ring, ascending */
	uint32_t log_first, log_cnt;
	uint64_t *arrived; /* QB_REORDER_WINDOW bits */
	uint64_t *done;	   /* likewise: delivered, or given up */
};

/* qb_reorder_footprint: bytes of memory for qb_reorder_init; cap: packets held, a power of two. */
size_t qb_reorder_footprint(uint32_t cap);
void qb_reorder_init(struct qb_reorder *r, void *mem, const struct qb_bond_cfg *cfg);
/* qb_reorder_fini gives all buffers that are held back to the pool. */
void qb_reorder_fini(struct qb_reorder *r);
/*
 * qb_reorder_forget, while nothing is held: what was missing is not waited for any more, and when
 * numbers were reached is forgotten. Any part of its memory may become zeros from then on.
 */
void qb_reorder_forget(struct qb_reorder *r);
/*
 * qb_reorder_push takes a packet whose bond header is off: b->seq, b->delta and b->path are set.
 * is_again: it was sent again, so that it tells nothing of how its path orders packets.
 */
void qb_reorder_push(struct qb_reorder *r, struct qb_buf *b, bool is_again, uint64_t now_ns);
/* qb_reorder_pass takes a packet that has no number: it goes out with the next batch. */
void qb_reorder_pass(struct qb_reorder *r, struct qb_buf *b);
/* qb_reorder_settle looks for gaps that every path has passed; after each batch of pushes. */
void qb_reorder_settle(struct qb_reorder *r, uint64_t now_ns);
/* qb_reorder_expire releases what has waited long enough. */
void qb_reorder_expire(struct qb_reorder *r, uint64_t now_ns);
/* qb_reorder_flush moves released packets to out. Returns true when out filled up. */
bool qb_reorder_flush(struct qb_reorder *r, struct qb_batch *out);
/* qb_reorder_set_limit bounds what is held, in bytes; 0: by the number of slots alone. */
void qb_reorder_set_limit(struct qb_reorder *r, uint64_t limit_bytes);
/* qb_reorder_deadline_ns: when to settle and expire again; 0 while packets are ready. */
uint64_t qb_reorder_deadline_ns(const struct qb_reorder *r);

/* ---- reorder_learn.c ---- */

/* qb_reorder_set_rtt: a path's round trip; what it loses comes again about as much later. */
void qb_reorder_set_rtt(struct qb_reorder *r, uint8_t path, uint64_t rtt_ns);
void qb_reorder_path_reset(struct qb_reorder *r, uint8_t path);
/* qb_reorder_log_reached notes when highest_seq was reached. */
void qb_reorder_log_reached(struct qb_reorder *r, uint64_t now_ns);
/* qb_reorder_learn_path: a packet came by the path to which it was first given. */
void qb_reorder_learn_path(struct qb_reorder *r, uint8_t path, uint64_t seq, uint64_t now_ns);
/* qb_reorder_learn_repair: a packet that was sent again came. */
void qb_reorder_learn_repair(struct qb_reorder *r, uint8_t path, uint64_t seq, uint64_t now_ns);
/* qb_reorder_update_hold computes hold time and repair time anew (QB_REORDER_AUTO). */
void qb_reorder_update_hold(struct qb_reorder *r, uint64_t now_ns);
/* qb_reorder_idle_ns: a path that was silent for longer is idle, and nobody waits for it. */
static inline uint64_t qb_reorder_idle_ns(const struct qb_reorder *r)
{
	return QB_MIN(QB_MAX(r->hold_ns * QB_REORDER_IDLE_HOLDS, QB_REORDER_IDLE_MIN_NS),
		      QB_REORDER_IDLE_MAX_NS);
}
/* qb_reorder_is_carrying: the path brought something of late, so it may bring what is missing. */
static inline bool qb_reorder_is_carrying(const struct qb_reorder *r,
					  const struct qb_reorder_path *p, uint64_t now_ns)
{
	return p->is_known && now_ns - p->last_rx_ns <= qb_reorder_idle_ns(r);
}
/* qb_reorder_note_passed: every path that carries traffic is beyond seq. */
void qb_reorder_note_passed(struct qb_reorder *r, uint64_t seq, uint64_t now_ns);
/* qb_reorder_passed_due_ns: when the oldest number that was passed has had its repair time. */
uint64_t qb_reorder_passed_due_ns(const struct qb_reorder *r);
/*
 * qb_reorder_waits_from_ns: packets that were lost together come again one after the other. While
 * they do, those behind them are still to come: their repair time begins with the last one, at
 * since_ns else.
 */
uint64_t qb_reorder_waits_from_ns(const struct qb_reorder *r, uint64_t missing_seq,
				  uint64_t since_ns);
