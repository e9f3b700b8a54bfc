/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet I/O behind one table of verbs. A struct qb_net is one UDP port of one worker: on an edge a
 * link's interface, on a hub a listen address. Backends: UDP sockets (GSO, GRO, SO_REUSEPORT
 * steering by connection ID) and AF_XDP beside them (the socket stays bound: it holds the port, and
 * takes what XDP passes on), and io_uring below the UDP sockets.
 */
#pragma once

#include "base/buf.h"
#include "base/counters.h"

enum qb_io_mode {
	QB_IO_AUTO,
	QB_IO_XDP_ZEROCOPY,
	QB_IO_XDP_COPY,
	QB_IO_XDP_GENERIC,
	QB_IO_UDP,
	QB_IO_URING,
	QB_IO_MODE_CNT
};

const char *qb_io_mode_name(enum qb_io_mode m);
/* qb_io_mode_parse reads a name as in the config file. Returns 0 or -EINVAL. */
int qb_io_mode_parse(const char *text, enum qb_io_mode *out) QB_MUST_CHECK;

/* qb_bpf_prepare makes libbpf quiet and lets its maps be as large as they want. Before the first
 * object is opened. */
void qb_bpf_prepare(void);

/* ---- the guard ---- */

/*
 * What a server drops before it costs anything, in XDP where there is a program on the interface
 * and on the socket elsewhere: sources on a block list, what cannot be QUIC, and first flights
 * above a rate. Main thread. Closed after all ports and interfaces.
 */
struct qb_guard;

/* qb_guard_open loads it. Returns 0, or -errno where BPF is not to be had: then there is none. */
int qb_guard_open(uint16_t worker_cnt, struct qb_guard **out) QB_MUST_CHECK;
void qb_guard_close(struct qb_guard *g);
/* qb_guard_block drops all that a prefix sends to our ports. Returns 0, -EEXIST or -ENOSPC. */
int qb_guard_block(struct qb_guard *g, const struct qb_prefix *p) QB_MUST_CHECK;
/* qb_guard_unblock takes it off the list: 0 or -ENOENT. */
int qb_guard_unblock(struct qb_guard *g, const struct qb_prefix *p) QB_MUST_CHECK;
/* qb_guard_blocks lists what is blocked; returns how many (<= cap). */
uint32_t qb_guard_blocks(const struct qb_guard *g, struct qb_prefix *out, uint32_t cap);
/*
 * qb_guard_know tells of a peer that has proved who it is: the prefix around it is no stranger any
 * more when all strangers are held to a rate.
 */
void qb_guard_know(const struct qb_guard *g, const struct qb_addr *peer);
/* qb_guard_counter: by index; NULL ends the list. */
const char *qb_guard_counter(const struct qb_guard *g, uint32_t idx, uint64_t *value);
/* First flights a second; 0: as many as are usual. Twice as many may come at once. */
struct qb_guard_limits {
	uint32_t source;    /* from an IPv4 /24 or an IPv6 /56 */
	uint32_t strangers; /* from all prefixes together that are not known */
};
/* qb_guard_limit sets the rates, at any time. Returns 0 or -errno. */
int qb_guard_limit(struct qb_guard *g, const struct qb_guard_limits *l) QB_MUST_CHECK;

/* The attack that is under way, or the last one. */
struct qb_guard_attack {
	bool is_on;
	uint32_t cnt;		       /* until now, with this one */
	uint64_t begin_ns, end_ns;     /* end: of the last one that is over */
	uint64_t source_ps, total_ps; /* refused a second at the worst: by their prefix's limit, by that of all strangers */
};
/*
 * qb_guard_poll looks whether an attack is under way: more than 100 first flights a second refused, until there were none so many
 * for ten seconds. Call it about once a second.
 */
const struct qb_guard_attack *qb_guard_poll(struct qb_guard *g, uint64_t now_ns);
/* qb_guard_attack is what the last look found. */
const struct qb_guard_attack *qb_guard_attack(const struct qb_guard *g);

/* ---- interfaces ---- */

struct qb_net;
struct qb_net_if; /* one interface's XDP program and maps, shared by the workers */

/*
 * qb_net_joiner_start forks the process that takes our places in libxdp's dispatchers: for root
 * only, before its rights are given up and threads are started, and only where libxdp is in use.
 * Without it an interface with a dispatcher is left to sockets.
 */
void qb_net_joiner_start(void);
/* qb_net_joiner_stop returns when all places are given back. */
void qb_net_joiner_stop(void);

enum {
	QB_NET_RING_SIZE = 2048,
	QB_NET_RING_SIZE_MIN = 64,
	QB_NET_RING_SIZE_MAX = 16384,
};

struct qb_net_if_cfg {
	char ifname[16];
	uint32_t ifindex;
	enum qb_io_mode mode;
	uint16_t worker_cnt;
	const struct qb_guard *guard; /* of a server; NULL: none */
	bool is_busy_polled; /* AF_XDP: the driver is asked for packets, and raises fewer interrupts
			      */
	bool is_wakeup_off;  /* AF_XDP: the driver looks at the rings by itself (no need-wakeup) */
	uint32_t ring_size;  /* AF_XDP: of each ring, a power of two; 0: QB_NET_RING_SIZE */
	uint32_t frame_bytes; /* of the depot; 0: QB_FRAME_BYTES */
	bool may_fall_back; /* sockets do meanwhile, where a mode that was demanded cannot be had */
};

/*
 * qb_net_if_open attaches the XDP program to an interface (main thread, before the workers' ports).
 * For a mode that does not attach XDP, or where auto decides against it, *out is still an object:
 * qb_net_if_mode tells what will be used and qb_net_if_reason why. Returns 0, or -errno when the
 * mode was demanded and cannot be had: *out is an object all the same (but for -ENOMEM), in UDP
 * mode with the reason, to go on with or to close. Ports close before their interface, the
 * interface before the depot goes.
 */
int qb_net_if_open(const struct qb_net_if_cfg *cfg, struct qb_net_if **out) QB_MUST_CHECK;
/* qb_net_if_add_port lets the program steer a UDP port (host order) to the workers. */
int qb_net_if_add_port(struct qb_net_if *i, uint16_t port);
/*
 * qb_net_if_refresh re-reads this host's addresses, as the program takes nothing that is sent
 * elsewhere: call it when addresses change. (A new address that is not told arrives by the socket
 * and is learned from there.)
 */
void qb_net_if_refresh(struct qb_net_if *i);
/*
 * qb_net_if_check tells why the interface has to be closed and opened anew, with its ports: the
 * program was taken off, the number of queues is another, or what was in the way is gone. NULL:
 * all is well. A few system calls: for about once a second.
 */
const char *qb_net_if_check(struct qb_net_if *i);
void qb_net_if_close(struct qb_net_if *i);
enum qb_io_mode qb_net_if_mode(const struct qb_net_if *i);
const char *qb_net_if_reason(const struct qb_net_if *i);
/* qb_net_if_counter: the BPF program's counters, by index: name NULL ends the list. */
const char *qb_net_if_counter(const struct qb_net_if *i, uint32_t idx, uint64_t *value);

/* What a device is set to. */
struct qb_net_device {
	uint32_t rx_ring, rx_ring_max; /* descriptors; 0: the driver does not say */
	bool has_tx_csum, has_gro, has_lro;
};

/* qb_net_device_read returns 0 or -errno. What the driver does not tell is as it should be. */
int qb_net_device_read(const char *ifname, struct qb_net_device *out) QB_MUST_CHECK;
/*
 * qb_net_offers writes what the driver offers to XDP and AF_XDP: words like "redirect zero-copy
 * tx-checksum". Returns 0, or -errno where it offers nothing or the kernel does not tell.
 */
enum { QB_NET_OFFERS_LEN = 160 };
int qb_net_offers(uint32_t ifindex, char *out, size_t cap);
/* qb_net_sysctl reads a number below /proc/sys. Returns 0 or -errno. */
int qb_net_sysctl(const char *path, long *out) QB_MUST_CHECK;

enum { QB_NET_FIGURES_MAX = 20 };

/*
 * qb_net_if_queue_figures tells what the kernel counts of the AF_XDP sockets on a queue, those of
 * all workers together, and how full its rings are. Returns how many figures (<=
 * QB_NET_FIGURES_MAX); 0: there is no such queue. Main thread.
 */
uint32_t qb_net_if_queue_figures(struct qb_net_if *i, uint32_t no, struct qb_figure *out);

struct qb_net_cfg {
	struct qb_net_if *xif; /* NULL: sockets on any interface */
	/*
	 * family 0: both families on one port (IPv6 where the host has it). ip all zero: any
	 * address. port 0: the kernel chooses (see qb_net_local).
	 */
	struct qb_addr local;
	bool is_bound_to_device; /* leave by xif's interface whatever the routing table says */
	char ifname[16];	 /* for is_bound_to_device without xif */
	uint16_t link;		 /* stamped into tuple.link of what arrives */
	uint16_t worker; /* worker 0 opens first: the reuseport group's program hangs on it */
	uint16_t worker_cnt;
	bool is_server; /* SO_REUSEPORT group steered by the CID's worker byte */
	const struct qb_guard
		*guard; /* put before the socket where the interface has no XDP program */
	struct qb_depot *depot;
	struct qb_counters *counters;
};

/* qb_net_open returns 0 or -errno with why in err (160 bytes). */
int qb_net_open(const struct qb_net_cfg *cfg, struct qb_net **out, char err[160]) QB_MUST_CHECK;
void qb_net_close(struct qb_net *n);
/* qb_net_local: the bound address with the real port. */
void qb_net_local(const struct qb_net *n, struct qb_addr *out);
/* qb_net_fds stores the descriptors to poll for input; returns how many (<= cap). */
uint32_t qb_net_fds(const struct qb_net *n, int *fds, uint32_t cap);
/*
 * qb_net_recv appends datagrams to `out` until it is full or nothing is there: data/len is the UDP
 * payload, tuple is set, and rx_ns, to when the kernel had it (CLOCK_MONOTONIC; of AF_XDP when the
 * XDP program saw it), or to 0 where that is not told. Returns how many. Never blocks. A batch that
 * came back full may have left more behind, which no descriptor tells: call again before polling.
 */
uint32_t qb_net_recv(struct qb_net *n, struct qb_pool *pool, struct qb_batch *out);
/*
 * qb_net_send sends and takes all buffers (tuple.local with a set IP chooses the source address;
 * tuple.ecn is written to the IP header). Runs of equal tuple and size leave as one GSO send. What
 * the kernel refuses is counted and dropped. Returns 0, or -errno of a fault of the link as a whole
 * (ENETDOWN, ENODEV, ENETUNREACH).
 */
int qb_net_send(struct qb_net *n, struct qb_pool *pool, struct qb_batch *in);
/*
 * qb_net_socket_figures adds what the kernel says of the port's UDP sockets to out: how full their
 * buffers are, how large, and what found no room. Returns how many figures (<= QB_NET_FIGURES_MAX).
 * Any thread, while the port is open.
 */
uint32_t qb_net_socket_figures(const struct qb_net *n, struct qb_figure *out);
enum qb_io_mode qb_net_mode(const struct qb_net *n);
const char *qb_net_reason(const struct qb_net *n);
/*
 * qb_net_set_hop tells the link-layer next hop for peers of a family (XDP transmit): dst is the
 * gateway's or the peer's MAC as the neighbour table has it, NULL while it is not resolved (the
 * socket sends meanwhile). peer NULL: for every peer without an entry of its own. Called on the
 * port's own thread.
 */
void qb_net_set_hop(struct qb_net *n, uint8_t family, const struct qb_addr *peer,
		    const uint8_t src_mac[6], const uint8_t *dst_mac);
