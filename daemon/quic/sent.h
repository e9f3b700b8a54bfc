/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was sent in one packet number space and not yet settled: one record a packet, found by number in
 * constant time.
 *
 *     settled and forgotten | tail_pn ... first_flight_pn ... next_pn |
 *                           '--- records, in chunks of 64 from a slab that all connections share; so is
 *                                the directory of the chunks of who has many
 *
 * Lost packets keep their record for a while, so that a late acknowledgement is noticed.
 */
#pragma once

#include "base/slab.h"
#include "wire/header.h"

enum {
	QB_SENT_CHUNK = 64,
	QB_SENT_NEAR = 16,  /* chunks that are found without a directory of their own: 1,024 packets */
	QB_SENT_DIR = 1024, /* chunks of one space: 65,536 packets */
};

enum qb_sent_state {
	QB_SENT_SKIPPED, /* never sent: an acknowledgement of it is a lie (RFC 9000 §21.4) */
	QB_SENT_FLIGHT,
	QB_SENT_ACKED,
	QB_SENT_LOST,
};

enum qb_sent_flag {
	QB_SENT_ELICITING = 1 << 0,
	QB_SENT_IN_FLIGHT = 1 << 1, /* counts against the window */
	QB_SENT_DATAGRAM = 1 << 2,
	QB_SENT_MTU_PROBE = 1 << 3,
	QB_SENT_APP_LIMITED = 1 << 4,
	QB_SENT_HAS_ACK = 1 << 5,   /* ack_path, ack_largest say which */
	QB_SENT_ECT = 1 << 6,
	QB_SENT_ELSEWHERE = 1 << 7, /* a challenge or an answer, to another address than the path's */
};

struct qb_sent_pkt {
	uint64_t sent_ns;
	uint64_t delivered_bytes;   /* of the path, when this was sent */
	uint64_t delivered_ns;
	uint64_t first_sent_ns;
	union {
		uint64_t cookie;    /* of the DATAGRAM */
		uint64_t run_lo_pn; /* acknowledged: so far down everything is acknowledged as well */
	};
	uint32_t tx_in_flight_bytes;
	uint32_t lost_bytes;	    /* of the path, when this was sent (low bits) */
	uint32_t frames;	    /* head of the list of frame references; 0 none */
	uint32_t ack_largest;	    /* low bits of the largest number that an ACK in here reported */
	uint16_t bytes;
	uint8_t state;		    /* enum qb_sent_state */
	uint8_t flags;
	uint8_t ack_path;
	uint8_t datagram_cnt;
};

_Static_assert(sizeof(struct qb_sent_pkt) == 64, "one cache line");

struct qb_sent {
	struct qb_slab *slab;
	uint64_t tail_pn, first_flight_pn, next_pn;
	uint64_t largest_acked; /* QB_PN_NONE before the first */
	uint32_t eliciting_cnt; /* in flight */
	/* Where the chunks are, modulo: slab index + 1; 0 none. */
	uint32_t near[QB_SENT_NEAR];
	uint32_t *dir; /* QB_SENT_DIR of them instead, in a chunk of its own, once near[] was too small; else NULL */
};

/* qb_sent_slab_bytes is the object size of the slab that qb_sent_init wants. */
size_t qb_sent_slab_bytes(void);
void qb_sent_init(struct qb_sent *s, struct qb_slab *slab);
/* qb_sent_fini gives the chunks back. */
void qb_sent_fini(struct qb_sent *s);
/* qb_sent_reserve makes sure that the next packet has a record. False: no memory, do not send. */
bool qb_sent_reserve(struct qb_sent *s) QB_MUST_CHECK;
/* qb_sent_push takes the next packet number, for which room was reserved. */
struct qb_sent_pkt *qb_sent_push(struct qb_sent *s);
/* qb_sent_at is the record of pn, tail_pn <= pn < next_pn. */
struct qb_sent_pkt *qb_sent_at(const struct qb_sent *s, uint64_t pn);
/* qb_sent_trim forgets what is settled; lost packets are kept for keep_lost_ns after they were sent. */
void qb_sent_trim(struct qb_sent *s, uint64_t keep_lost_ns, uint64_t now_ns);
/* qb_sent_skip_settled moves first_flight_pn up to the oldest ack-eliciting packet in flight. */
void qb_sent_skip_settled(struct qb_sent *s);
/* qb_sent_oldest returns the oldest ack-eliciting packet in flight, or NULL. */
const struct qb_sent_pkt *qb_sent_oldest(const struct qb_sent *s);
