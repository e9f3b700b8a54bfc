/* SPDX-License-Identifier: BSD-2-Clause */
/* One worker's endpoint: what its connections share. Inside this folder only. */
#pragma once

#include "base/hash.h"
#include "base/heap.h"
#include "quic/budget.h"
#include "quic/chunks.h"
#include "quic/cids.h"
#include "quic/half_open.h"
#include "quic/quic.h"
#include "quic/token.h"

enum {
	QB_STATELESS_QUEUE = 64, /* Retry, Version Negotiation, stateless reset: waiting to leave */
	QB_EARLY_HELD = 8,	 /* datagrams of 0-RTT that wait for their Initial packet */
};

#define QB_EARLY_HOLD_NS (200 * QB_NS_PER_MS)

/* Each kind has its own budget: a flood of strays must not keep honest clients from their Retry. */
enum qb_stateless_kind {
	QB_STATELESS_VN,
	QB_STATELESS_RETRY,
	QB_STATELESS_REFUSAL,
	QB_STATELESS_RESET,
	QB_STATELESS_KIND_CNT,
};

/* Packets that belong to no connection. */
struct qb_stateless {
	struct qb_buf *queue[QB_STATELESS_QUEUE];
	uint32_t head, cnt;
	struct qb_budget budget[QB_STATELESS_KIND_CNT];
};

/* A datagram that overtook the Initial packet before it. */
struct qb_early_held {
	struct qb_buf *b; /* NULL: free */
	uint64_t at_ns;
};

enum { QB_FAILURES = 16 };

struct qb_failure_ring {
	uint32_t head, cnt;
	struct qb_quic_failure slot[QB_FAILURES];
};

/* A list of connections that is emptied from its head. */
struct qb_conn_queue {
	struct qb_conn *head, *tail;
};

struct qb_quic {
	struct qb_quic_cfg cfg;
	struct qb_drbg rnd;
	struct qb_hash_key hash_key;
	struct qb_hash_key owner_key; /* client: for whose a kept token is */
	struct qb_slab conn_slab, sent_slab, ref_slab, stream_slab, hs_space_slab;
	struct qb_space no_space[2]; /* of connections that are open: in them nothing is sent, nothing arrives */
	struct qb_chunk_store chunks;
	struct qb_heap timers;
	struct qb_cid_entry **cid_bucket;
	const struct qb_cid_entry *cid_latest; /* linked; of the latest short header; NULL: unknown */
	struct qb_reset_entry **reset_bucket;
	uint64_t bucket_mask;
	struct qb_conn *conns; /* all of them, newest first */
	struct qb_conn_queue event_queue;
	struct qb_conn *moved; /* connections that the owner is to look at */
	struct qb_stateless stateless;
	struct qb_half_opens half_opens; /* server */
	struct qb_tokens_kept tokens_kept; /* client */
	struct qb_tokens_seen tokens_seen; /* server */
	struct qb_early_held early_held[QB_EARLY_HELD]; /* server */
	uint32_t early_held_cnt;
	uint64_t now_ns; /* of the last call */
	uint64_t conn_cnt; /* connections that there ever were */
	struct qb_failure_ring failures;
};

/* ---- tables (endpoint.c) ---- */

void qb_endpoint_link_cid(struct qb_quic *q, struct qb_cid_entry *e);
void qb_endpoint_unlink_cid(struct qb_quic *q, struct qb_cid_entry *e);
struct qb_cid_entry *qb_endpoint_find_cid(const struct qb_quic *q, struct qb_bytes cid);
void qb_endpoint_link_reset(struct qb_quic *q, struct qb_reset_entry *e);
void qb_endpoint_unlink_reset(struct qb_quic *q, struct qb_reset_entry *e);
/* qb_endpoint_find_reset returns the connection whose peer gave out that token (16 bytes), or NULL. */
struct qb_conn *qb_endpoint_find_reset(const struct qb_quic *q, const uint8_t *token);
/* qb_endpoint_make_cid draws a connection ID for one of our connections (quic.h says how it is made). */
void qb_endpoint_make_cid(struct qb_quic *q, struct qb_cid *cid);

/* ---- packets without a connection (stateless.c) ---- */

void qb_stateless_init(struct qb_stateless *s, uint64_t now_ns);
/* qb_stateless_flush moves answers to `out`; true: not all fit. */
bool qb_stateless_flush(struct qb_quic *q, struct qb_batch *out);
void qb_stateless_fini(struct qb_quic *q);
void qb_stateless_send_vn(struct qb_quic *q, const struct qb_buf *in, const struct qb_hdr *h,
			  uint64_t now_ns);
void qb_stateless_send_retry(struct qb_quic *q, const struct qb_buf *in, const struct qb_hdr *h,
			     uint64_t now_ns);
/* qb_stateless_send_refusal closes a handshake before it began: CONNECTION_CLOSE in an Initial. */
void qb_stateless_send_refusal(struct qb_quic *q, const struct qb_buf *in, const struct qb_hdr *h,
			       uint64_t error_code, uint64_t now_ns);
void qb_stateless_send_reset(struct qb_quic *q, const struct qb_buf *in, const uint8_t *cid,
			     uint64_t now_ns);

/* ---- new connections (accept.c) ---- */

/*
 * qb_accept_initial answers a client's first Initial: a new connection, which the caller hands the datagram to, or
 * NULL (counted; a Retry or refusal is on its way where one is due).
 */
struct qb_conn *qb_accept_initial(struct qb_quic *q, const struct qb_buf *in, const struct qb_hdr *h,
				  uint64_t now_ns);
/* qb_accept_weigh looks again at what a connection costs, and frees whoever has to make room (perhaps itself). */
void qb_accept_weigh(struct qb_quic *q, struct qb_conn *c);
