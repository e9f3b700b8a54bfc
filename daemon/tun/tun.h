/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TUN device, with super-packets both ways: reads carry a virtio header and up to 64 KB that
 * are cut into frames (TSO, USO); writes coalesce what follows in a flow. One queue a worker.
 */
#pragma once

#include "base/buf.h"
#include "base/counters.h"
#include "base/match.h"

struct qb_tun;	     /* the device */
struct qb_tun_queue; /* one worker's queue */

/*
 * qb_tun_open creates the device (not persistent) with queue_cnt queues. offload false reads and
 * writes single packets. Returns 0 or -errno with why in err.
 */
int qb_tun_open(const char *name, uint32_t queue_cnt, bool has_offload, struct qb_tun **out,
		char err[160]) QB_MUST_CHECK;
void qb_tun_close(struct qb_tun *t);
const char *qb_tun_name(const struct qb_tun *t);
uint32_t qb_tun_ifindex(const struct qb_tun *t);
/* qb_tun_offloads: whether TCP and UDP super-packets pass, with checksums that are filled in later. */
void qb_tun_offloads(const struct qb_tun *t, bool *has_tso, bool *has_uso);
struct qb_tun_queue *qb_tun_queue(struct qb_tun *t, uint32_t idx);
/*
 * qb_tun_queue_steer lets the kernel give a queue packets, or gives them to the other queues. (Which queue a flow goes to follows
 * the queue that its other direction was written to.) Packets that are in it stay. Returns 0 or -errno.
 */
int qb_tun_queue_steer(struct qb_tun_queue *q, bool is_on);
int qb_tun_queue_fd(const struct qb_tun_queue *q);
/*
 * qb_tun_set_marks has packets from now on come with the set of these firewall marks that they have
 * (qb_buf's marks, a bit each); cnt up to QB_MATCH_ALL_MARKS_MAX. Returns 0 or -errno with why in
 * err: the kernel has no BPF filters for it.
 */
int qb_tun_set_marks(struct qb_tun *t, const struct qb_match_mark *marks, uint32_t cnt,
		     char err[160]) QB_MUST_CHECK;

/*
 * qb_tun_read appends inner IP packets to `out` (data at the IP header, QB_HEADROOM in front,
 * checksums complete) until it is full or the device has no more. A super-packet that does not fit
 * whole is remembered and goes on with the next call. Returns how many.
 */
uint32_t qb_tun_read(struct qb_tun_queue *q, struct qb_pool *pool, struct qb_counters *cnt,
		     struct qb_batch *out, uint64_t now_ns);
/* qb_tun_has_pending: a cut super-packet waits for the next qb_tun_read (the fd may not be
 * readable). */
bool qb_tun_has_pending(const struct qb_tun_queue *q);
/* qb_tun_write writes all packets, coalescing runs of a flow into super-packets, and gives the
 * buffers back. */
void qb_tun_write(struct qb_tun_queue *q, struct qb_pool *pool, struct qb_counters *cnt,
		  struct qb_batch *in);
