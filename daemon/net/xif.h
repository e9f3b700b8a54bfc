/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An interface with an XDP program on it: the program, its maps, and the fill and completion rings
 * of each queue, which the AF_XDP sockets of all workers on that queue share. if.c attaches and
 * detaches, xsk.c uses.
 */
#pragma once

#include <pthread.h>

#include "net/internal.h"

struct xdp_steer;
struct qb_xsk_queue;

enum {
	QB_NET_QUEUES_MAX = 64,
	QB_NET_IF_PORTS_MAX = 4, /* of one worker on one interface */
};

/* A port that a worker has open on the interface. The worker's AF_XDP sockets get the packets of
 * all of them. */
struct qb_net_if_port {
	uint16_t port; /* 0: none */
	uint16_t link;
	uint8_t family; /* 0: both */
};

struct qb_xsk_rings;

struct qb_net_if_worker {
	bool has_sockets;
	const int *fds;			  /* of its sockets, by queue; guarded by the lock */
	const struct qb_xsk_rings *rings; /* the same */
	struct qb_net_if_port port[QB_NET_IF_PORTS_MAX];
};

struct qb_net_if {
	struct qb_net_if_cfg cfg;
	enum qb_io_mode mode;	/* in use */
	bool is_auto;		/* may fall back */
	bool is_busy_poll_vain; /* it was asked for, and would make no difference */
	uint32_t blocked_id;	/* another's XDP program that was in the way; 0: none was */
	char reason[QB_NET_REASON_LEN];
	struct xdp_steer *skel; /* NULL: no XDP here */
	int link_fd;		/* the program hangs on it; -1: it does not */
	uint32_t joined_id;	/* the program, in another's dispatcher (join.h); 0: it is not */
	uint32_t dispatcher_id; /* which was there when it was looked for last */
	uint32_t queue_cnt;
	uint8_t mac[6];

	pthread_mutex_t lock; /* guards what follows, while ports are opened and closed */
	uint32_t port_cnt;    /* open ports */
	struct qb_net_if_worker
		*worker; /* worker_cnt; each read by its own thread without the lock */
	int umem_fd;	 /* any bound socket on the interface; -1: none yet */
	struct qb_xsk_queue *queue[QB_NET_QUEUES_MAX];

	/* The device completes UDP checksums of what leaves by the rings. */
	bool has_tx_csum;
	/* Transmit by AF_XDP in copy mode too: slower than the socket, for tests of the path. The
	   kernel completes checksums then, where they are left. */
	bool is_tx_forced;
};

/* What the program is made with. */
struct qb_steer_params {
	uint32_t worker_cnt, queue_cnt, hash_seed;
	bool is_server;
};

struct qb_steer_params qb_steer_params(const struct qb_net_if *i);
/*
 * qb_steer_open makes the program and its maps ready to load, for a dispatcher (is_beside) without
 * stamps; NULL, with errno, where that fails.
 */
struct xdp_steer *qb_steer_open(const struct qb_steer_params *p, bool has_frags, bool is_beside);

/* qb_net_if_add_local lets the program take packets to an address of this host. */
void qb_net_if_add_local(struct qb_net_if *i, const struct qb_addr *a);
/* qb_net_if_clear_port takes back qb_net_if_add_port. */
void qb_net_if_clear_port(struct qb_net_if *i, uint16_t port);
/* qb_net_if_beside says, for reasons, that the program shares the interface with others; or "". */
const char *qb_net_if_beside(const struct qb_net_if *i);
/* qb_net_if_busy_poll says, for reasons, that there is busy polling, or why not where it was asked
 * for; or "". */
const char *qb_net_if_busy_poll(const struct qb_net_if *i);
/* qb_net_if_detach takes the program off: the interface is left to sockets. The lock is held. */
void qb_net_if_detach(struct qb_net_if *i, const char *why);
/* qb_net_if_set_socket puts a worker's socket on a queue into the program's map; fd -1 takes it
 * out. */
int qb_net_if_set_socket(struct qb_net_if *i, uint32_t queue, uint16_t worker, int fd);

/* qb_xsk_queues_close (xsk.c) gives back the rings of all queues and the frames in them. No port is
 * open any more. */
void qb_xsk_queues_close(struct qb_net_if *i);
/* qb_xsk_probe_zerocopy (xsk.c) tells whether the driver lets a socket bind zero-copy: 0 or -errno.
 */
int qb_xsk_probe_zerocopy(const struct qb_net_if_cfg *cfg);
