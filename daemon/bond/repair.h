/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sender's memory of packets in flight: a ring by tunnel sequence number that holds a reference to
 * each sent buffer until its path reports it settled, so that a lost one can be sent again. Nothing is
 * copied, and nothing is kept that was acknowledged. Internal to bond/.
 */
#pragma once

#include "bond/bond.h"

enum {
	QB_REPAIR_CAP = 4096,	 /* packets in flight that are remembered; a power of two */
	QB_REPAIR_TRIES_MAX = 3, /* how often a packet is sent again */
};

/* A packet in flight, as it lies in its frame: sealed, or, if it left in a bundle, as it was picked. */
struct qb_repair_slot {
	struct qb_buf *buf; /* NULL: settled, or taken out */
	uint8_t *pkt;	    /* lower layers may move buf->data */
	uint64_t sent_ns;
	uint32_t seq, hash;
	uint16_t pkt_len;
	uint16_t inner_len; /* of what was picked: the end of the plaintext */
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
/* qb_repair_forget lets go of what is kept. Any part of its memory may become zeros from then on. */
void qb_repair_forget(struct qb_repair *r);
/* qb_repair_keep takes a reference to a packet that just left; its last inner_len bytes were picked. */
void qb_repair_keep(struct qb_repair *r, struct qb_buf *b, uint32_t inner_len, uint64_t now_ns);
/* qb_repair_settle lets go of what left before its path's oldest packet in flight (0: there is none). */
void qb_repair_settle(struct qb_repair *r, const uint64_t oldest_unacked_ns[QB_BOND_PATHS_MAX], uint64_t now_ns);
/*
 * qb_repair_take takes the packet out that left at sent_ns by that path and was lost: a buffer of its
 * own, sealed as it was sent, with *inner_len as given to qb_repair_keep. NULL: it is not kept, or
 * there is no buffer for a copy.
 */
struct qb_buf *qb_repair_take(struct qb_repair *r, uint32_t seq, uint8_t path, uint64_t sent_ns, uint32_t *inner_len);
/* qb_repair_take_stranded: the same for one that was not reported lost, so that no loss is counted. */
struct qb_buf *qb_repair_take_stranded(struct qb_repair *r, uint32_t seq, uint8_t path, uint64_t sent_ns, uint32_t *inner_len);
/*
 * qb_repair_next returns the first packet from *seq on that is kept, and moves *seq there; NULL: there
 * is none. qb_repair_take_at takes it out.
 */
const struct qb_repair_slot *qb_repair_next(const struct qb_repair *r, uint32_t *seq);
struct qb_buf *qb_repair_take_at(struct qb_repair *r, uint32_t seq, uint32_t *inner_len);
/*
 * qb_repair_spare: cnt packets with consecutive numbers, the last of which left at sent_ns by that
 * path, have arrived. qb_repair_is_spared: whether that is known of one that was taken out.
 */
void qb_repair_spare(struct qb_repair *r, uint32_t seq, uint32_t cnt, uint8_t path, uint64_t sent_ns);
bool qb_repair_is_spared(const struct qb_repair *r, const struct qb_buf *b);
/* qb_repair_burst: how many packets in a row the path loses at a time, on average; at least 1. */
double qb_repair_burst(const struct qb_repair *r, uint8_t path);
/* Tries are remembered in the buffer while it is queued again. */
uint8_t qb_repair_tries(const struct qb_buf *b);
void qb_repair_count_try(struct qb_buf *b);
