/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One direction of an emulated link, sans I/O: packets are opaque pointers with a length, time is
 * an argument, memory is given once. quicbond-netem runs it against the clock, tests/sim in virtual
 * time.
 *
 *     enqueue ─> down? mtu? policer ─> queue (tail drop, mark) ─> rate ─> loss ─> delay, jitter, reorder
 * ─> dequeue └─ refused, the caller keeps the packet              └─ lost: dequeue gives it back as
 * such
 *
 * Every random decision has a generator of its own: whether the n-th packet on the wire is lost
 * depends on the seed and n, not on which other impairments are on.
 */
#pragma once

#include "base/heap.h"
#include "base/rand.h"
#include "base/slab.h"

enum qb_netem_dist { QB_NETEM_UNIFORM, QB_NETEM_NORMAL, QB_NETEM_DIST_CNT };

/* Probabilities are 0 to 1; 0 turns what a field says off, unless noted. */
struct qb_netem_params {
	uint64_t rate_bps; /* 0: infinite */
	uint64_t delay_ns;
	uint64_t
		jitter_ns; /* half the width of a uniform, the deviation of a normal distribution */
	uint64_t limit_pkts; /* the queue, what is being sent included */
	uint64_t limit_bytes;
	uint64_t limit_ns;	     /* the longest wait before a packet's first bit leaves */
	uint64_t mark_ns;	     /* CE for what waited longer than that; 0: never */
	uint64_t police_bps;	     /* drops what is above, whatever the queue */
	uint64_t police_burst_bytes; /* 0: 10 ms of the rate, at least 10 kB */
	uint64_t reorder_delay_ns;   /* a reordered packet is held back so much longer */
	uint64_t dup_delay_ns;	     /* how far behind the original its copy arrives */
	double loss;
	double ge_p,
		ge_r; /* Gilbert-Elliott: good to bad and back, per packet; off while ge_p is 0 */
	uint64_t ge_step_ns;	/* so long without a packet is as good as one to them: a fade passes by itself; 0: only packets count */
	double ge_bad, ge_good; /* loss in the bad state (usually 1) and in the good one */
	double reorder;
	double dup;
	double corrupt;
	uint32_t corrupt_from;	/* the payload's first bytes stay as they are */
	uint32_t streak;	/* so many in a row at most are lost by `loss`, or damaged; 0: any number */
	uint32_t reorder_gap;	/* only every n-th packet may be reordered; 0 or 1: any */
	int32_t overhead_bytes; /* what the rate and the policer add to each packet's length */
	uint32_t mtu_bytes;	/* longer IP packets are dropped */
	enum qb_netem_dist dist;
	bool is_jitter_reorder; /* jitter may change the order */
	bool is_down;		/* a blackout: nothing gets in or out */
};

enum qb_netem_drop {
	QB_NETEM_TAKEN, /* not a drop */
	QB_NETEM_DROP_DOWN,
	QB_NETEM_DROP_MTU,
	QB_NETEM_DROP_POLICE,
	QB_NETEM_DROP_QUEUE,
	QB_NETEM_DROP_LOSS,
	QB_NETEM_DROP_BURST,
	QB_NETEM_DROP_FULL, /* all the engine's entries are in use: give it more */
	QB_NETEM_DROP_CNT
};

extern const char *const qb_netem_drop_names[QB_NETEM_DROP_CNT];

struct qb_netem_stats {
	uint64_t in_pkts, in_bytes, out_pkts, out_bytes;
	uint64_t drops[QB_NETEM_DROP_CNT];
	uint64_t dup_pkts, corrupt_pkts, reorder_pkts, late_pkts;
	uint64_t queue_max_pkts, queue_max_bytes;
};

struct qb_netem_out {
	void *pkt;
	uint32_t len;
	enum qb_netem_drop drop; /* QB_NETEM_TAKEN: deliver; else lost: only give it back */
	bool is_copy; /* deliver a copy: the engine keeps the packet and will hand it out again */
	bool is_late;	 /* it waited longer than mark_ns: mark it, if its transport knows ECN */
	bool is_corrupt; /* flip bit number `corrupt_rand % bits` of what the caller regards as
			    payload */
	uint64_t corrupt_rand;
	uint64_t at_ns; /* when it was due, at or before now_ns */
};

enum qb_netem_die { /* what is diced for */
		    QB_NETEM_DIE_LOSS,
		    QB_NETEM_DIE_GE,
		    QB_NETEM_DIE_JITTER,
		    QB_NETEM_DIE_REORDER,
		    QB_NETEM_DIE_DUP,
		    QB_NETEM_DIE_CORRUPT,
		    QB_NETEM_DIE_CNT
};

struct qb_netem_entry;

struct qb_netem_list {
	struct qb_netem_entry *head, **tail;
};

struct qb_netem {
	struct qb_netem_params params;
	struct qb_slab entries;
	struct qb_netem_list queue; /* its head is being sent */
	struct qb_netem_list lost;  /* waits to be given back */
	struct qb_heap wire;	    /* sent, not yet there */
	uint64_t now_ns;
	uint64_t sent_at_ns; /* when the queue's head has left, if there is one */
	uint64_t arrival_ns; /* the last one kept in order: later packets arrive later */
	uint64_t police_tat_ns;
	uint64_t queue_pkts, queue_bytes;
	uint32_t gap_idx;
	uint32_t lost_streak, corrupt_streak;
	uint32_t l2_bytes; /* in front of each IP packet; the owner sets it after init */
	bool is_ge_bad;
	uint64_t ge_ns; /* when the last packet met that state */
	struct qb_rand dice[QB_NETEM_DIE_CNT];
	struct qb_netem_stats stats;
};

/* qb_netem_params_default: a perfect link; a rate gets a queue of 1,000 packets. */
struct qb_netem_params qb_netem_params_default(void);

/* qb_netem_footprint is the memory that an engine for cap packets at a time needs. */
size_t qb_netem_footprint(uint32_t cap);
/* qb_netem_init: a perfect link in mem (16-byte aligned, touched only as far as it is used). */
void qb_netem_init(struct qb_netem *e, void *mem, uint32_t cap, uint64_t seed);
/*
 * qb_netem_configure changes the parameters. Packets on the wire keep their arrival time, the one
 * being sent goes on at the new rate, those that wait are subject to the new limit only in so far
 * as later ones are.
 */
void qb_netem_configure(struct qb_netem *e, const struct qb_netem_params *p, uint64_t now_ns);

/*
 * qb_netem_enqueue offers a packet of len bytes that arrived at now_ns (an earlier time than the
 * last one heard of counts as that). Returns QB_NETEM_TAKEN, or why not, and then the packet stays
 * the caller's.
 */
enum qb_netem_drop qb_netem_enqueue(struct qb_netem *e, void *pkt, uint32_t len, uint64_t now_ns);
/* qb_netem_deadline_ns is when to call qb_netem_dequeue next; QB_NEVER_NS while nothing is inside.
 */
uint64_t qb_netem_deadline_ns(const struct qb_netem *e);
/* qb_netem_dequeue gives one packet back, delivered or lost. Returns false when none is due: call
 * it until then. */
bool qb_netem_dequeue(struct qb_netem *e, uint64_t now_ns, struct qb_netem_out *out);

/* qb_netem_queue_ns is how long a packet that comes now would wait. */
uint64_t qb_netem_queue_ns(const struct qb_netem *e);
/* qb_netem_held_cnt is how many packets the engine holds, on the wire and in the queue. */
static inline uint32_t qb_netem_held_cnt(const struct qb_netem *e)
{
	return e->entries.used_cnt;
}
