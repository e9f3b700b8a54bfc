/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Joining the packets of a batch into super-packets for a TUN device with a virtio header (what GRO
 * does in the kernel): runs of TCP segments that follow each other, runs of UDP datagrams of one
 * length. Nothing is copied: a run becomes a list of pieces of its frames. Pure functions over
 * bytes.
 */
#pragma once

#include <linux/virtio_net.h>
#include <sys/uio.h>

#include "base/buf.h"

/* One write to the device: a single packet (cnt 1) or a super-packet. */
struct qb_run {
	uint8_t first, last; /* places in the batch; qb_joiner.next leads from one to the other */
	uint8_t cnt;
	bool is_open;	 /* may grow */
	bool is_checked; /* the first packet's checksums were verified */
	bool is_v6, is_udp;
	bool is_id_fixed; /* IPv4: all have one identification, else it counts up */
	uint8_t l4_off, hdr_len;
	uint16_t piece_bytes; /* payload of every packet but the last */
	uint32_t len;	      /* of the super-packet */
	uint32_t next_seq;    /* TCP */
};

enum { QB_JOINER_SLOTS = 2 * QB_BATCH_MAX };

/* The plan for one batch. */
struct qb_joiner {
	uint32_t run_cnt;
	uint32_t barrier; /* runs before it do not grow any more */
	struct qb_run run[QB_BATCH_MAX];
	uint8_t next[QB_BATCH_MAX];
	uint8_t slot[QB_JOINER_SLOTS]; /* hash table of flows: index of the flow's newest run + 1 */
};

/*
 * qb_joiner_plan sorts a batch into runs, to be written in their order. Within a flow that is the
 * order of the batch; flows may pass each other. What may not be joined, or has a wrong checksum,
 * is a run of its own, as it came. has_uso: the device takes UDP super-packets.
 */
void qb_joiner_plan(struct qb_joiner *j, const struct qb_batch *in, bool has_uso);

/*
 * qb_joiner_build writes the virtio header of a run and, where there are several packets, changes
 * the first one's headers to the super-packet's. iov gets cnt pieces of the frames. Returns cnt.
 */
uint32_t qb_joiner_build(const struct qb_joiner *j, const struct qb_batch *in,
			 const struct qb_run *run, struct virtio_net_hdr_v1 *vh,
			 struct iovec iov[QB_BATCH_MAX]);
