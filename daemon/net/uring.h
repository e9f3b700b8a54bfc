/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_uring below the UDP backend: one ring a port receives, with a multishot request for each
 * socket and a ring of provided buffers as large as GRO's super-packets, so that a wake-up costs
 * one system call whatever has come; another sends a whole batch of GSO messages by one call.
 * Sockets are registered with both.
 */
#pragma once

#include "net/udp.h"

struct qb_uring;

/* qb_uring_probe tells whether the kernel has all that is needed: 0 or -errno. */
int qb_uring_probe(void);
/* qb_uring_open makes the rings for sockets (-1: none). Returns 0 or -errno. */
int qb_uring_open(const int fd[2], struct qb_uring **out) QB_MUST_CHECK;
void qb_uring_close(struct qb_uring *r);
/* qb_uring_fd is readable when something has come. */
int qb_uring_fd(const struct qb_uring *r);
/* qb_uring_read fills rx with at most cap messages, all of rx being drained; true when there may be
 * more. The port's thread. */
bool qb_uring_read(struct qb_uring *r, struct qb_udp_rx *rx, uint32_t cap);
/* qb_uring_send sends messages by socket fam; msg_len is what was sent of each, or 0 of one that
 * was refused. */
void qb_uring_send(struct qb_uring *r, uint32_t fam, struct mmsghdr *msg, uint32_t cnt);
