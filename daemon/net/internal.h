/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of this folder share: the table of verbs that a backend fills in, and the head of
 * every struct qb_net. A backend's own struct begins with struct qb_net.
 */
#pragma once

#include "net/net.h"

enum {
	QB_NET_REASON_LEN = 160,
	QB_NET_ERR_LEN = 160,
};

struct qb_net_ops {
	const char *name;
	/* open allocates; cfg stays valid for the object's life (it is copied by qb_net_base_init).
	 */
	int (*open)(const struct qb_net_cfg *cfg, struct qb_net **out, char err[QB_NET_ERR_LEN]);
	void (*close)(struct qb_net *n);
	void (*local)(const struct qb_net *n, struct qb_addr *out);
	uint32_t (*fds)(const struct qb_net *n, int *fds, uint32_t cap);
	uint32_t (*recv)(struct qb_net *n, struct qb_pool *pool, struct qb_batch *out);
	int (*send)(struct qb_net *n, struct qb_pool *pool, struct qb_batch *in);
	/* figures adds to the figures of the port's UDP sockets; returns how many there are. */
	uint32_t (*figures)(const struct qb_net *n, struct qb_figure *out);
	/* set_hop may be NULL: the kernel finds the next hop. */
	void (*set_hop)(struct qb_net *n, uint8_t family, const struct qb_addr *peer,
			const uint8_t src_mac[6], const uint8_t *dst_mac);
};

struct qb_net {
	const struct qb_net_ops *ops;
	struct qb_net_cfg cfg;
	struct qb_counters *counters; /* cfg's, or own_counters */
	enum qb_io_mode mode;
	char reason[QB_NET_REASON_LEN];
	struct qb_counters own_counters;
};

extern const struct qb_net_ops qb_net_udp;
extern const struct qb_net_ops qb_net_uring;
extern const struct qb_net_ops qb_net_xsk;

void qb_net_base_init(struct qb_net *n, const struct qb_net_ops *ops, const struct qb_net_cfg *cfg);
/* qb_net_fault tells whether errno is of the link as a whole, which qb_net_send reports. */
bool qb_net_is_link_fault(int err);
/* qb_net_ifname: the interface that the port belongs to, or "". */
const char *qb_net_ifname(const struct qb_net_cfg *cfg);
/* qb_net_steer_seed: the process's random seed for spreading Initials, the same in both BPF
 * programs. */
uint32_t qb_net_steer_seed(void);

/* ---- device.c ---- */

/* qb_net_may_busy_poll: false where preferred busy polling makes no difference to the device. */
bool qb_net_may_busy_poll(const char *ifname);
/* qb_net_busy_polled: packets that busy polling brought to sockets of this namespace, anybody's. */
uint64_t qb_net_busy_polled(void);

/* ---- reuseport.c ---- */

/*
 * qb_reuseport_join puts a bound socket into its group as the worker's: the first to come makes the
 * group and hangs the BPF program on it. Returns 0 or -errno: the kernel then spreads by its own
 * hash.
 */
int qb_reuseport_join(int fd, const struct qb_addr *local, const char *ifname, uint16_t worker,
		      uint16_t worker_cnt);
void qb_reuseport_leave(const struct qb_addr *local, const char *ifname);
