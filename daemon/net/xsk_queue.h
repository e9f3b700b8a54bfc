/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One receive queue of an interface under AF_XDP: an anchor socket, which holds the UMEM and binds
 * the queue, and the fill and completion rings, which are per queue whatever number of sockets
 * share it. The workers' own sockets share the anchor's.
 *
 *     depot ──fill──► kernel, NIC ──rx ring──► worker     (b->conn marks a frame that the kernel
 * holds) worker ──tx ring──► kernel, NIC ──completion──► depot
 */
#pragma once

#include <xdp/xsk.h>

#include "net/xif.h"

enum {
	QB_XSK_DESC_META = 1 << 1, /* a descriptor's option: metadata stand before the frame */
	QB_XSK_TX_CSUM = 1 << 1,   /* the metadata's flag */
};

/* What the kernel calls struct xsk_tx_metadata, as far as it is asked for here. */
struct qb_xsk_tx_meta {
	uint64_t flags;
	uint16_t csum_start, csum_off; /* from the frame's start, and from there */
	uint32_t reserved;
	uint64_t launch_ns;
};

struct qb_xsk_map {
	void *addr;
	size_t len;
};

struct qb_xsk_queue {
	struct qb_net_if *xif;
	struct qb_depot *depot;
	uint32_t no;
	int fd; /* the anchor */
	_Alignas(
		QB_CACHELINE) int busy; /* 1 while a worker is at the rings; others need not wait */
	uint32_t filled;		/* frames that the kernel has for receiving */
	struct xsk_ring_prod fill;
	struct xsk_ring_cons comp;
	struct qb_xsk_map fill_map, comp_map;
};

/* A socket's own rings. */
struct qb_xsk_rings {
	struct xsk_ring_cons rx;
	struct xsk_ring_prod tx;
	struct qb_xsk_map rx_map, tx_map;
};

/*
 * A frame that one worker gives to the kernel may come back to another. The kernel's rings order
 * that, which the language cannot know: the giver calls hand_over before it submits, the taker
 * take_over after it has peeked.
 */
static inline void qb_xsk_hand_over(struct qb_xsk_queue *q)
{
	__atomic_fetch_add(&q->filled, 0, __ATOMIC_RELEASE);
}

static inline void qb_xsk_take_over(struct qb_xsk_queue *q)
{
	(void)__atomic_load_n(&q->filled, __ATOMIC_ACQUIRE);
}

/*
 * qb_xsk_queues_open makes the anchors of all queues over the depot's memory, in the interface's
 * mode, and fills them. The interface's lock is held. Returns 0 or -errno; then none is left.
 */
int qb_xsk_queues_open(struct qb_net_if *i, struct qb_depot *depot, bool is_zerocopy,
		       char err[QB_NET_ERR_LEN]) QB_MUST_CHECK;
/* qb_xsk_share makes a worker's socket on a queue; has_tx gives it a transmit ring. Returns its fd
 * or -errno. */
int qb_xsk_share(struct qb_xsk_queue *q, bool has_tx, struct qb_xsk_rings *r,
		 char err[QB_NET_ERR_LEN]) QB_MUST_CHECK;
void qb_xsk_rings_close(struct qb_xsk_rings *r);
/* qb_xsk_fill_target: frames that the kernel should have for receiving. */
uint32_t qb_xsk_fill_target(const struct qb_xsk_queue *q);
/*
 * qb_xsk_queue_service tops the fill ring up from the pool, after taken_cnt frames were received,
 * and takes home what was sent. Does nothing but count where another worker is at it.
 */
void qb_xsk_queue_service(struct qb_xsk_queue *q, struct qb_pool *pool, uint32_t taken_cnt);
