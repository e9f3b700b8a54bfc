/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forward error correction of tunnel packets, in a context ID of its own that the peer has agreed
 * to. Internal to bond/.
 *
 * A block is up to 32 packets of one class and up to 16 repair symbols. In front of a packet that
 * is protected (network order):
 *
 *   0   1       8         32
 *   | 0 | index | block   | bond header, IP packet …
 *
 * and a repair symbol:
 *
 *   0   1    2        4       8         32         40  48
 *   | 1 | RS | 0      | index | block   | sources  | 0  | symbol …
 *
 * block counts up, modulo 2^24, over all classes. A symbol of a source is its length (16 bits),
 * then bond header and packet, filled up with zeros to the block's longest: so lengths are
 * protected as well. sources is how many the block has, 1..32.
 */
#pragma once

#include "bond/bond.h"
#include "bond/fec_code.h"

enum {
	QB_FEC_SOURCE_LEN = 4,
	QB_FEC_REPAIR_LEN = 6,
	QB_FEC_LENGTH_LEN = 2,
	QB_FEC_SYMBOL_MAX = QB_FRAME_BYTES - QB_HEADROOM - QB_TAILROOM,
	/* By so much a repair symbol is longer than the packet: protected packets leave that room. */
	QB_FEC_ROOM = QB_FEC_REPAIR_LEN + QB_FEC_LENGTH_LEN,
	QB_FEC_BLOCK_MASK = 0xffffff,
};

struct qb_fec_header {
	bool is_repair;
	enum qb_fec_scheme scheme; /* of a repair symbol */
	uint8_t idx;
	uint8_t source_cnt; /* of a repair symbol */
	uint32_t block;
};

/* qb_fec_header_build writes QB_FEC_SOURCE_LEN or QB_FEC_REPAIR_LEN bytes at p. */
void qb_fec_header_build(uint8_t *p, const struct qb_fec_header *h);
/* qb_fec_header_parse returns the bytes consumed, or -EBADMSG: cut short, a value out of its range,
 * or nothing behind it. */
int qb_fec_header_parse(const uint8_t *p, uint32_t len, struct qb_fec_header *h) QB_MUST_CHECK;

/* ---- sending ---- */

/* How a block is protected. */
struct qb_fec_plan {
	enum qb_fec_scheme scheme;
	uint8_t sources, repairs; /* 0 sources: not at all; 0 repairs: as many as it takes, */
	uint8_t min_pct, max_pct; /* in per cent of the sources */
};

/* The open block of a class. */
struct qb_fec_open {
	struct qb_fec_plan plan;
	bool is_auto;
	uint32_t number;
	uint32_t source_cnt;
	uint32_t symbol_len;
	uint64_t close_ns;		    /* at the latest */
	uint8_t by_path[QB_BOND_PATHS_MAX]; /* how many sources left by it */
	struct qb_buf *repairs[QB_FEC_REPAIRS_MAX];
	/* how quickly packets come */
	uint64_t last_ns, gap_ns;
};

struct qb_fec_tx {
	struct qb_fec_code *code;
	struct qb_pool *pool;
	struct qb_counters *counters;
	uint32_t next_block;
	struct qb_fec_open open[QB_CLASS_CNT];
	uint32_t credit_bytes; /* that auto may spend on repairs */
	bool is_on;	       /* for calls */
	double why_loss, why_burst;
	double share; /* repairs to sources, as auto chose them last */
	uint64_t repair_ns; /* how long a retransmission takes */
};

void qb_fec_tx_init(struct qb_fec_tx *f, struct qb_fec_code *code, struct qb_pool *pool,
		    struct qb_counters *counters);
void qb_fec_tx_fini(struct qb_fec_tx *f);
/*
 * qb_fec_tx_look chooses anew what calls need: loss and mean burst length (packets) of the links
 * that they take, the round trip there.
 */
void qb_fec_tx_look(struct qb_fec_tx *f, double loss, double burst, uint64_t rtt_ns);
/* qb_fec_tx_plan is what a packet gets; wanted as configured. */
struct qb_fec_plan qb_fec_tx_plan(const struct qb_fec_tx *f, const struct qb_fec_want *wanted,
				  bool is_call);
/*
 * qb_fec_tx_add makes a numbered packet (its bond header in front) part of its class's block, and
 * writes the FEC header. wait_ns: how long the first of a block may wait for its repair. False: it
 * goes unprotected.
 */
bool qb_fec_tx_add(struct qb_fec_tx *f, const struct qb_fec_plan *plan, struct qb_buf *b,
		   uint64_t wait_ns, uint64_t now_ns);
/*
 * qb_fec_tx_next hands out the next repair symbol of a block that is complete or due, ready to be
 * sent; *taken: the path that most of its sources took, as a bit. NULL: there is none.
 */
struct qb_buf *qb_fec_tx_next(struct qb_fec_tx *f, uint64_t *taken, uint64_t now_ns);
uint64_t qb_fec_tx_deadline_ns(const struct qb_fec_tx *f);

/* qb_fec_tx_reason appends to buf what is done for calls, if anything. */
void qb_fec_tx_reason(const struct qb_fec_tx *f, char *buf, size_t len);

/* ---- receiving ---- */

enum { QB_FEC_BLOCKS = 32, QB_FEC_KEPT_MAX = 256 };

/* A block as far as it has arrived. */
struct qb_fec_block {
	bool is_used, is_done; /* done: nothing is missing */
	uint8_t source_cnt;    /* 0: no repair symbol yet */
	enum qb_fec_scheme scheme;
	uint32_t number, source_bits, repair_bits, symbol_len;
	uint64_t since_ns;
	struct qb_buf *sources[QB_FEC_SOURCES_MAX]; /* copies, from the length on */
	struct qb_buf *repairs[QB_FEC_REPAIRS_MAX];
};

struct qb_fec_rx {
	struct qb_pool *pool;
	struct qb_counters *counters;
	bool is_started;
	uint32_t newest; /* block */
	uint32_t kept_cnt;
	struct qb_fec_block *blocks;
};

/* qb_fec_rx_init is given QB_FEC_BLOCKS blocks; it does not touch them. */
void qb_fec_rx_init(struct qb_fec_rx *f, struct qb_fec_block *blocks, struct qb_pool *pool,
		    struct qb_counters *counters);
void qb_fec_rx_fini(struct qb_fec_rx *f);
/*
 * qb_fec_rx_take takes what came in the FEC context. Returns the packet, its bond header in front,
 * or NULL: it was a repair symbol, or malformed. Packets that can be made now are appended to
 * `made`, likewise.
 */
struct qb_buf *qb_fec_rx_take(struct qb_fec_rx *f, struct qb_buf *b, struct qb_batch *made,
			      uint64_t now_ns);
/* qb_fec_rx_expire lets go of blocks that are too old to matter. */
void qb_fec_rx_expire(struct qb_fec_rx *f, uint64_t now_ns);
