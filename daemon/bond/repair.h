/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sender's memory of packets under way: a ring by tunnel sequence number that holds a reference to each sent buffer
 * until its path reports it settled, so that a lost one can be sent again. Nothing is copied, and nothing is kept that
 * was acknowledged.
 */
#pragma once

#include "bond/bond.h"

enum {
	QB_REPAIR_CAP = 4096,  /* packets under way that are remembered; a power of two */
	QB_REPAIR_TRIES_MAX = 3,
};

/* One packet under way, as it lies in its frame: sealed, or, where it left in a bundle, as the bond handed it out. */
struct qb_repair_slot {
	struct qb_buf *buf; /* NULL: settled, or taken out */
	uint8_t *pkt;	    /* lower layers may move buf->data */
	uint64_t sent_ns;
	uint32_t seq, hash;
	uint16_t pkt_len;
	uint16_t inner_len; /* of what the bond handed out: the end of the plaintext */
	uint16_t delta;
	uint8_t path, flags, tries, class, rule;
	uint16_t path_pkt; /* its place among those that left by the path */
	bool has_arrived;  /* taken out, and known to have arrived since */
};

struct qb_repair {
	struct qb_repair_slot *slots;
	struct qb_pool *pool;
	uint32_t tail, head; /* sequence numbers; the ring holds [tail, head) */
	uint32_t kept_cnt;
	bool is_started;
	uint16_t path_pkts[QB_BOND_PATHS_MAX]; /* that left, modulo 2^16 */
	struct qb_repair_run {
		uint16_t last; /* path_pkt of the last one that was lost */
		uint16_t len;
		double mean;
	} runs[QB_BOND_PATHS_MAX]; /* of losses in a row */
};

size_t qb_repair_footprint(void);
void qb_repair_init(struct qb_repair *r, void *mem, struct qb_pool *pool);
void qb_repair_fini(struct qb_repair *r);
/* qb_repair_forget lets go of what is kept. Of its memory any part may become zeros from then on. */
void qb_repair_forget(struct qb_repair *r);
/* qb_repair_keep takes a reference to a packet that just left; inner_len of its last bytes are the bond's. */
void qb_repair_keep(struct qb_repair *r, struct qb_buf *b, uint32_t inner_len, uint64_t now_ns);
/* qb_repair_settle lets go of what left before the oldest packet that its path still waits for (0: it waits for none). */
void qb_repair_settle(struct qb_repair *r, const uint64_t oldest_unacked_ns[QB_BOND_PATHS_MAX], uint64_t now_ns);
/*
 * qb_repair_take takes the packet out that left at sent_ns by that path: a buffer of its own, sealed as it was
 * sent, with *inner_len as given to qb_repair_keep. NULL: not kept, or no buffer for a copy.
 */
struct qb_buf *qb_repair_take(struct qb_repair *r, uint32_t seq, uint8_t path, uint64_t sent_ns, uint32_t *inner_len);
/* qb_repair_take_stranded is the same for one that was not lost: it tells nothing of the path's losses. */
struct qb_buf *qb_repair_take_stranded(struct qb_repair *r, uint32_t seq, uint8_t path, uint64_t sent_ns, uint32_t *inner_len);
/* qb_repair_next returns the first packet from *seq on that is kept, and moves *seq there; NULL: there is none. qb_repair_take_at takes it out. */
const struct qb_repair_slot *qb_repair_next(const struct qb_repair *r, uint32_t *seq);
struct qb_buf *qb_repair_take_at(struct qb_repair *r, uint32_t seq, uint32_t *inner_len);
/*
 * qb_repair_spare: cnt packets of numbers in a row, the last of which left at sent_ns by that path, have arrived. qb_repair_is_spared tells
 * of one that was taken out whether that is known.
 */
void qb_repair_spare(struct qb_repair *r, uint32_t seq, uint32_t cnt, uint8_t path, uint64_t sent_ns);
bool qb_repair_is_spared(const struct qb_repair *r, const struct qb_buf *b);
/* qb_repair_burst is how many packets in a row the path loses at a time, on average; 1 at least. */
double qb_repair_burst(const struct qb_repair *r, uint8_t path);
/* Tries are remembered in the buffer while it is queued again. */
uint8_t qb_repair_tries(const struct qb_buf *b);
void qb_repair_count_try(struct qb_buf *b);
