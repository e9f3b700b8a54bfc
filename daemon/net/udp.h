/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The UDP backend's object: one socket a family, scratch space for a receive batch, and for a send
 * batch. udp.c opens and receives, udp_tx.c sends.
 */
#pragma once

#include <sys/socket.h>

#include "net/sock.h"

enum {
	QB_UDP_SLOTS = 32,
	QB_UDP_SLOT_BYTES = 1 << 16, /* the largest super-packet that GRO makes */
	QB_UDP_RX_CMSG_BYTES = 192,
	QB_UDP_TX_CMSG_BYTES = 96, /* packet info, traffic class, segment size */
};

/*
 * Where the kernel puts one message: frames for as many datagrams as the latest one held, of its
 * size, and what is more or of another size goes to scratch, each byte where it would be if all
 * were there.
 */
struct qb_udp_slot {
	struct qb_buf **frame; /* NULL: taken */
	uint32_t frame_cnt, frame_bytes;
	const uint8_t *scratch;
};

/* Datagrams that the kernel handed over and that are not in a batch yet. */
struct qb_udp_rx {
	uint8_t *scratch; /* QB_UDP_SLOTS × QB_UDP_SLOT_BYTES */
	uint32_t slot_cnt, slot_idx;
	uint32_t off_bytes; /* into the present slot */
	uint32_t seg_bytes; /* of the present slot; 0 before it was looked at */
	uint32_t segs_next, seg_next_bytes; /* foreseen of the next slot: datagrams, their size */
	uint32_t got_last[2];	/* slots of the latest read, IPv4 and IPv6 */
	struct qb_udp_slot slot[QB_UDP_SLOTS];
	struct qb_buf *frame[QB_BATCH_MAX]; /* of all slots; none between calls */
	uint32_t frame_cnt;
	uint64_t stamp_ns; /* of the present slot: when the kernel had it, by the wall clock; 0: it
			      does not say */
	uint64_t wall_ns, mono_ns; /* both clocks, when the slots were read */
	struct qb_tuple tuple;
	struct mmsghdr msg[QB_UDP_SLOTS];
	struct iovec iov[QB_BATCH_MAX + QB_UDP_SLOTS];
	union qb_sockaddr name[QB_UDP_SLOTS];
	_Alignas(8) uint8_t cmsg[QB_UDP_SLOTS][QB_UDP_RX_CMSG_BYTES];
};

/* Datagrams of one tuple, ECN and size: one message, cut by the kernel or the NIC. */
struct qb_udp_run {
	uint8_t first, last, cnt; /* indexes into the batch */
	bool is_closed;
	uint32_t seg_bytes, bytes;
};

struct qb_udp_tx {
	struct qb_udp_run run[QB_BATCH_MAX];
	uint8_t next[QB_BATCH_MAX]; /* of the same run */
	struct mmsghdr msg[QB_BATCH_MAX];
	struct iovec iov[QB_BATCH_MAX];
	union qb_sockaddr name[QB_BATCH_MAX];
	_Alignas(8) uint8_t cmsg[QB_BATCH_MAX][QB_UDP_TX_CMSG_BYTES];
};

struct qb_uring;

struct qb_udp {
	struct qb_net base;
	struct qb_uring *ring; /* below the io_uring backend; else NULL */
	int fd[2];	       /* IPv4, IPv6; -1: none */
	struct qb_addr bound[2];
	bool is_in_group[2];
	uint8_t rx_turn;
	bool has_gso;
	uint8_t gso_strikes; /* refusals of a whole run whose parts went through one by one */
	struct qb_udp_rx rx;
	struct qb_udp_tx tx;
};

static inline uint32_t qb_udp_fam(uint8_t family)
{
	return family == 6;
}

/* qb_udp_attach_guard puts the guard, if there is one, before the sockets: where no XDP program is.
 */
void qb_udp_attach_guard(struct qb_net *n);
/* qb_udp_figures (figures.c) and qb_udp_send (udp_tx.c) are the backend's verbs. */
uint32_t qb_udp_figures(const struct qb_net *n, struct qb_figure *out);
int qb_udp_send(struct qb_net *n, struct qb_pool *pool, struct qb_batch *in);
