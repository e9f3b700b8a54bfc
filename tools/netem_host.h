/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What surrounds a link that runs against the clock: frames, the event loop, and the backend
 * (bridge or proxy) that packets come from and go to. One thread does everything.
 */
#pragma once

#include <linux/virtio_net.h>

#include "tools/netem_link.h"

enum { QB_NETEM_BATCH = 64, QB_NETEM_ANSWER_LEN = 8192 };

/* A packet in memory. */
struct qb_netem_frame {
	struct virtio_net_hdr vnet; /* bridge: a checksum that is still to be made */
	uint32_t off, len;	    /* where in data the packet is */
	void *client;		    /* proxy: whose it is */
	uint32_t *refs;		    /* counts the frames that point there; may be NULL */
	uint8_t data[];
};

/* Something that epoll watches. */
struct qb_netem_source {
	int fd;
	/* on_ready reads what there is, up to a fair share, and returns how many packets that was.
	 */
	uint32_t (*on_ready)(struct qb_netem_source *s, uint64_t now_ns);
};

struct qb_netem_host {
	struct qb_netem_link link;
	struct qb_slab frames;
	uint32_t frame_room; /* bytes in a frame's data */
	int epoll_fd;
	bool is_stopping;
	/*
	 * Up to when all that has arrived for a direction was read. Its engine's time goes no
	 * further, or what waits in the socket while this process does not get the processor would
	 * find a link that had been idle.
	 */
	uint64_t horizon_ns[2];
	void *engine_mem[2], *frame_mem;
	size_t engine_bytes, frame_bytes;
	/* The backend. deliver takes the frame over, and may keep it until flush. */
	void *backend;
	void (*deliver)(void *backend, uint32_t dir, struct qb_netem_frame *f);
	void (*flush)(void *backend, uint32_t dir);
	/* corrupt flips one bit of what may be corrupted, if that is more than the first `from` bytes. */
	void (*corrupt)(struct qb_netem_frame *f, uint32_t from, uint64_t rand);
	/* mark sets Congestion Experienced in an IP packet that can be marked; NULL: no headers here. */
	void (*mark)(struct qb_netem_frame *f);
	/* poll is called about once a second, and before statistics are shown. */
	void (*poll)(void *backend, uint64_t now_ns);
};

/* qb_netem_host_open makes an empty host. frame_room: the longest packet. Returns 0 or -errno. */
int qb_netem_host_open(struct qb_netem_host *h, uint32_t cap, uint32_t frame_room,
		       uint32_t l2_bytes, uint64_t seed) QB_MUST_CHECK;
void qb_netem_host_close(struct qb_netem_host *h);
/* qb_netem_host_watch adds a source, which stays where it is until its descriptor is closed.
 * Returns 0 or -errno. */
int qb_netem_host_watch(struct qb_netem_host *h, struct qb_netem_source *s) QB_MUST_CHECK;

/* qb_netem_frame_get returns an empty frame, or NULL when all are in use. */
struct qb_netem_frame *qb_netem_frame_get(struct qb_netem_host *h);
void qb_netem_frame_put(struct qb_netem_host *h, struct qb_netem_frame *f);
/* qb_netem_host_offer hands a frame to a direction, which takes it over whatever happens. len is
 * what counts. */
void qb_netem_host_offer(struct qb_netem_host *h, uint32_t dir, struct qb_netem_frame *f,
			 uint32_t len, uint64_t now_ns);
/* qb_netem_host_unread: what arrived at at_ns was read, what came for this direction after it
 * perhaps not. */
static inline void qb_netem_host_unread(struct qb_netem_host *h, uint32_t dir, uint64_t at_ns)
{
	h->horizon_ns[dir] = qb_min_u64(h->horizon_ns[dir], at_ns);
}
/* qb_netem_host_run goes on until is_stopping. */
void qb_netem_host_run(struct qb_netem_host *h);

struct msghdr;

/* A packet's arrival by the kernel's clock, brought to CLOCK_MONOTONIC. */
struct qb_netem_clock {
	int64_t real_minus_mono_ns;
	uint64_t now_ns;
};

/* qb_netem_clock_read is called once a batch, for the wall clock may be set. */
void qb_netem_clock_read(struct qb_netem_clock *c);
/* qb_netem_clock_stamps asks for arrival times on a socket. */
int qb_netem_clock_stamps(int fd) QB_MUST_CHECK;
/* qb_netem_clock_arrival_ns is the message's arrival time, or now where it has none. */
uint64_t qb_netem_clock_arrival_ns(const struct qb_netem_clock *c, const struct msghdr *m);

/* ---- backends ---- */

/* qb_netem_bridge_open opens host and bridge. Returns 0 or -errno with why in err. */
int qb_netem_bridge_open(struct qb_netem_host *h, const char *ifname_a, const char *ifname_b,
			 uint32_t cap, uint64_t seed, char err[QB_NETEM_ERR_LEN]) QB_MUST_CHECK;
/* qb_netem_proxy_open opens host and proxy; addresses as ADDR:PORT. Returns 0 or -errno with why in
 * err. */
int qb_netem_proxy_open(struct qb_netem_host *h, const char *listen_text, const char *upstream_text,
			uint32_t cap, uint64_t seed, char err[QB_NETEM_ERR_LEN]) QB_MUST_CHECK;
/* Each closes the host too. */
void qb_netem_bridge_close(struct qb_netem_host *h);
void qb_netem_proxy_close(struct qb_netem_host *h);

/* ---- control ---- */

struct qb_netem_control;

/* qb_netem_control_open listens on a UNIX socket. Returns 0 or -errno. */
int qb_netem_control_open(struct qb_netem_host *h, const char *path,
			  struct qb_netem_control **out) QB_MUST_CHECK;
void qb_netem_control_close(struct qb_netem_control *c);
/*
 * qb_netem_control_ask sends one line to a running quicbond-netem. answer gets its line, without
 * the newline. Returns 0, or -errno (-EREMOTEIO: refused) with why in err.
 */
int qb_netem_control_ask(const char *path, const char *line, char answer[QB_NETEM_ANSWER_LEN],
			 char err[QB_NETEM_ERR_LEN]) QB_MUST_CHECK;

/* ---- offloads ---- */

/*
 * qb_netem_offload_set switches segmentation, receive coalescing and checksum offload of an
 * interface, as far as it has them. Returns 0 or -errno.
 */
int qb_netem_offload_set(const char *ifname, bool is_on) QB_MUST_CHECK;
