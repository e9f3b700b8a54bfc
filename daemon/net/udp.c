/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The UDP backend: opening and receiving. recvmmsg() reads super-packets that GRO joined; each of
 * their datagrams lands in a frame of its own when it is of the size of those before, and else is
 * copied there from scratch. A batch that is full leaves the rest of a slot for the next call. Runs
 * on the worker that owns the port; also inside the AF_XDP backend, whose socket takes what XDP
 * passes on.
 */
#include "net/udp.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "net/guard.h"
#include "net/uring.h"

enum {
	PORT_TRIES = 16,
	FRAME_ROOM = QB_FRAME_BYTES - QB_HEADROOM,
	SLOTS_MIN = 4,
	SEGS_ALONE =
		4, /* a system call for so many datagrams costs less than copying some of them */
	STAMP_AGE_NS_MAX = 1000 * 1000 * 1000, /* older: the wall clock was set meanwhile */
};

/* ---- open and close ---- */

static void close_sockets(struct qb_udp *u)
{
	for (uint32_t f = 0; f < 2; f++) {
		if (u->fd[f] < 0)
			continue;
		if (u->is_in_group[f])
			qb_reuseport_leave(&u->bound[f], qb_net_ifname(&u->base.cfg));
		u->is_in_group[f] = false;
		close(u->fd[f]);
		u->fd[f] = -1;
	}
}

static int open_family(struct qb_udp *u, uint8_t family, uint16_t port, char err[QB_NET_ERR_LEN])
{
	uint32_t f = qb_udp_fam(family);
	int fd = qb_sock_open(&u->base.cfg, family, port, err);

	if (fd < 0)
		return fd;
	u->fd[f] = fd;
	qb_sock_local(fd, &u->bound[f]);
	return 0;
}

/* Both families on one port. A host without IPv6 is fine; a port that IPv6 has taken is tried
 * again. */
static int open_both(struct qb_udp *u, char err[QB_NET_ERR_LEN])
{
	uint16_t port = u->base.cfg.local.port;
	int rc = 0;

	for (int try = 0; try < PORT_TRIES; try++) {
		rc = open_family(u, 4, port, err);
		if (rc)
			return rc;
		rc = open_family(u, 6, u->bound[0].port, err);
		if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
			return 0;
		if (rc != -EADDRINUSE || port != 0)
			return rc;
		close_sockets(u);
	}
	return rc;
}

void qb_udp_attach_guard(struct qb_net *n)
{
	struct qb_udp *u = (struct qb_udp *)n;

	for (uint32_t f = 0; f < 2 && n->cfg.guard; f++) {
		int rc = u->fd[f] >= 0 ? qb_guard_attach(n->cfg.guard, u->fd[f]) : 0;

		if (rc)
			qb_warn("no guard before the UDP socket: %s", strerror(-rc));
	}
}

/* Without the program packets still arrive: the kernel spreads them, and workers hand them over. */
static void join_groups(struct qb_udp *u)
{
	const struct qb_net_cfg *cfg = &u->base.cfg;
	int rc;

	if (!cfg->is_server || cfg->worker_cnt < 2)
		return;
	for (uint32_t f = 0; f < 2; f++) {
		if (u->fd[f] < 0)
			continue;
		rc = qb_reuseport_join(u->fd[f], &u->bound[f], qb_net_ifname(cfg), cfg->worker,
				       cfg->worker_cnt);
		u->is_in_group[f] = rc == 0;
		if (rc)
			snprintf(u->base.reason, sizeof(u->base.reason),
				 "no steering by connection ID: %s", strerror(-rc));
	}
}

static int udp_open(const struct qb_net_cfg *cfg, struct qb_net **out, char err[QB_NET_ERR_LEN])
{
	struct qb_udp *u = calloc(1, sizeof(*u));
	int rc = -ENOMEM;

	if (u)
		u->rx.scratch = malloc((size_t)QB_UDP_SLOTS * QB_UDP_SLOT_BYTES);
	if (u == NULL || u->rx.scratch == NULL) {
		snprintf(err, QB_NET_ERR_LEN, "no memory for a UDP port");
		goto fail;
	}
	qb_net_base_init(&u->base, &qb_net_udp, cfg);
	u->fd[0] = u->fd[1] = -1;
	u->has_gso = true;
	u->rx.segs_next = 1;
	if (cfg->local.family == 0)
		rc = open_both(u, err);
	else
		rc = open_family(u, cfg->local.family, cfg->local.port, err);
	if (rc) {
		close_sockets(u);
		goto fail;
	}
	join_groups(u);
	if (cfg->xif == NULL || qb_net_if_mode(cfg->xif) >= QB_IO_UDP)
		qb_udp_attach_guard(&u->base);
	err[0] = '\0';
	*out = &u->base;
	return 0;
fail:
	if (u)
		free(u->rx.scratch);
	free(u);
	return rc;
}

static void udp_close(struct qb_net *n)
{
	struct qb_udp *u = (struct qb_udp *)n;

	qb_uring_close(u->ring);
	close_sockets(u);
	free(u->rx.scratch);
	free(u);
}

static void udp_local(const struct qb_net *n, struct qb_addr *out)
{
	const struct qb_udp *u = (const struct qb_udp *)n;

	*out = u->bound[u->fd[0] < 0];
	if (n->cfg.local.family == 0)
		out->family = 0;
}

static uint32_t udp_fds(const struct qb_net *n, int *fds, uint32_t cap)
{
	const struct qb_udp *u = (const struct qb_udp *)n;
	uint32_t cnt = 0;

	for (uint32_t f = 0; f < 2; f++) {
		if (u->fd[f] >= 0 && cnt < cap)
			fds[cnt++] = u->fd[f];
	}
	return cnt;
}

/* ---- receive ---- */

static bool is_link_local(const struct qb_addr *a)
{
	return a->family == 6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

static uint64_t timespec_ns(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * QB_NS_PER_SEC + (uint64_t)t->tv_nsec;
}

/* The kernel stamps by the wall clock, which may be set: what is read along with it tells how far
 * it is from ours. */
static void compare_clocks(struct qb_udp_rx *rx)
{
	struct timespec wall, mono;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	rx->wall_ns = timespec_ns(&wall);
	rx->mono_ns = timespec_ns(&mono);
}

/* When the present slot came in; 0 where that is not told, or cannot be. */
static uint64_t arrival_ns(const struct qb_udp_rx *rx)
{
	uint64_t age_ns = rx->wall_ns - rx->stamp_ns;

	return rx->stamp_ns && rx->stamp_ns <= rx->wall_ns && age_ns < STAMP_AGE_NS_MAX
		       ? rx->mono_ns - age_ns
		       : 0;
}

static void read_cmsg(const struct cmsghdr *c, struct qb_udp_rx *rx)
{
	struct qb_addr *local = &rx->tuple.local;
	const void *data = CMSG_DATA(c);
	struct in6_pktinfo info6;
	struct in_pktinfo info4;
	struct timespec stamp;
	int value;

	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		memcpy(&info4, data, sizeof(info4));
		memcpy(local->ip, &info4.ipi_addr, 4);
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&info6, data, sizeof(info6));
		memcpy(local->ip, &info6.ipi6_addr, 16);
		if (is_link_local(local))
			local->scope_id = info6.ipi6_ifindex;
	} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
		rx->tuple.ecn = *(const uint8_t *)data & 3;
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
		memcpy(&value, data, sizeof(value));
		rx->tuple.ecn = (uint8_t)(value & 3);
	} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
		memcpy(&stamp, data, sizeof(stamp));
		rx->stamp_ns = timespec_ns(&stamp);
	} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
		memcpy(&value, data, sizeof(value));
		if (value > 0)
			rx->seg_bytes = (uint32_t)value;
	}
}

/* flatten copies what frames hold of the slot to scratch, where the rest of it is, and gives them
 * up. */
static void flatten(struct qb_udp_rx *rx, uint32_t idx, struct qb_pool *pool)
{
	struct qb_udp_slot *slot = &rx->slot[idx];
	uint32_t left = rx->msg[idx].msg_len;

	for (uint32_t i = 0; i < slot->frame_cnt && left; i++) {
		uint32_t len = QB_MIN(left, slot->frame_bytes);
		uint8_t *at = rx->scratch + (size_t)idx * QB_UDP_SLOT_BYTES +
			      (size_t)i * slot->frame_bytes;

		left -= len;
		if (!slot->frame[i])
			continue;
		memcpy(at, slot->frame[i]->data, len);
		qb_buf_put(pool, slot->frame[i]);
		slot->frame[i] = NULL;
	}
	slot->frame_cnt = 0;
}

/* is_as_foreseen: each frame holds one datagram, whole. */
static bool is_as_foreseen(const struct qb_udp_slot *slot, uint32_t seg_bytes, uint32_t len)
{
	return seg_bytes == slot->frame_bytes || (seg_bytes == len && len <= slot->frame_bytes);
}

/* foresee: single ones between long ones do not mean that there will be no more long ones. */
static void foresee(struct qb_udp_rx *rx, uint32_t segs)
{
	rx->segs_next = QB_MAX(QB_MAX(segs, rx->segs_next / 2), 1u);
	if (segs > 1)
		rx->seg_next_bytes = QB_MIN(rx->seg_bytes, (uint32_t)FRAME_ROOM);
}

/* Reads the present slot's address, ECN and segment size. */
static void slot_begin(struct qb_udp *u, struct qb_pool *pool)
{
	struct qb_udp_rx *rx = &u->rx;
	struct mmsghdr *m = &rx->msg[rx->slot_idx];
	uint32_t segs;

	memset(&rx->tuple, 0, sizeof(rx->tuple));
	qb_sockaddr_get(&rx->name[rx->slot_idx], &rx->tuple.peer);
	rx->tuple.link = u->base.cfg.link;
	rx->tuple.local.family = rx->tuple.peer.family;
	rx->tuple.local.port = u->bound[qb_udp_fam(rx->tuple.peer.family)].port;
	rx->seg_bytes = QB_MAX(m->msg_len, 1);
	rx->off_bytes = 0;
	rx->stamp_ns = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m->msg_hdr); c; c = CMSG_NXTHDR(&m->msg_hdr, c))
		read_cmsg(c, rx);
	segs = (m->msg_len + rx->seg_bytes - 1) / rx->seg_bytes;
	if (segs > 1)
		qb_count_add(u->base.counters, QB_CNT_IO_GRO_SEGMENTS, segs);
	foresee(rx, segs);
	if (m->msg_hdr.msg_flags & MSG_TRUNC || rx->tuple.peer.family == 0)
		rx->off_bytes = m->msg_len;
	if (!is_as_foreseen(&rx->slot[rx->slot_idx], rx->seg_bytes, m->msg_len))
		flatten(rx, rx->slot_idx, pool);
}

/* take returns the datagram of that many bytes that comes next, in a buffer; NULL when there is
 * none. */
static struct qb_buf *take(struct qb_udp_rx *rx, struct qb_pool *pool, uint32_t len)
{
	struct qb_udp_slot *slot = &rx->slot[rx->slot_idx];
	uint32_t nth = rx->off_bytes / rx->seg_bytes;
	struct qb_buf *b;

	if (nth < slot->frame_cnt) {
		b = slot->frame[nth];
		slot->frame[nth] = NULL;
		return b;
	}
	b = qb_buf_get(pool);
	if (b)
		memcpy(b->data, slot->scratch + rx->off_bytes, len);
	return b;
}

static void slot_take(struct qb_udp *u, struct qb_pool *pool, struct qb_batch *out)
{
	struct qb_udp_rx *rx = &u->rx;
	uint32_t left = rx->msg[rx->slot_idx].msg_len - rx->off_bytes;
	uint32_t len = QB_MIN(left, rx->seg_bytes);
	struct qb_buf *b;

	if (len > FRAME_ROOM) {
		qb_count(u->base.counters, QB_CNT_DROP_OVERSIZE);
		rx->off_bytes += len;
		return;
	}
	b = take(rx, pool, len);
	rx->off_bytes += len;
	if (b == NULL) {
		qb_count(u->base.counters, QB_CNT_DROP_NO_BUFFER);
		return;
	}
	b->len = len;
	b->tuple = rx->tuple;
	b->rx_ns = arrival_ns(rx);
	qb_batch_add(out, b);
}

static void drain_slots(struct qb_udp *u, struct qb_pool *pool, struct qb_batch *out)
{
	struct qb_udp_rx *rx = &u->rx;

	while (rx->slot_idx < rx->slot_cnt) {
		if (rx->seg_bytes == 0)
			slot_begin(u, pool);
		while (rx->off_bytes < rx->msg[rx->slot_idx].msg_len) {
			if (qb_batch_full(out))
				return;
			slot_take(u, pool, out);
		}
		rx->slot_idx++;
		rx->seg_bytes = 0;
	}
}

/* release_frames: between calls no frame is ours, so what a full batch left goes to scratch. */
static void release_frames(struct qb_udp_rx *rx, struct qb_pool *pool)
{
	for (uint32_t i = rx->slot_idx; i < rx->slot_cnt; i++)
		flatten(rx, i, pool);
	for (uint32_t i = 0; i < rx->frame_cnt; i++)
		if (rx->frame[i])
			qb_buf_put(pool, rx->frame[i]);
	rx->frame_cnt = 0;
}

/* lay_frames puts frames for what is foreseen in front of the slot's scratch. Returns how many. */
static uint32_t lay_frames(struct qb_udp_rx *rx, struct qb_udp_slot *slot, struct iovec *iov,
			   struct qb_pool *pool, uint32_t room)
{
	uint32_t cnt = rx->segs_next;

	/* Of one that comes alone the next may be longer. */
	if (rx->segs_next >= SEGS_ALONE)
		cnt = QB_UDP_SLOT_BYTES / rx->seg_next_bytes;
	cnt = QB_MIN(cnt, room - rx->frame_cnt);
	slot->frame = &rx->frame[rx->frame_cnt];
	slot->frame_bytes = rx->segs_next > 1 ? rx->seg_next_bytes : FRAME_ROOM;
	for (slot->frame_cnt = 0; slot->frame_cnt < cnt; slot->frame_cnt++) {
		struct qb_buf *b = qb_buf_get(pool);

		if (!b)
			break;
		rx->frame[rx->frame_cnt++] = b;
		iov[slot->frame_cnt] = (struct iovec){b->data, slot->frame_bytes};
	}
	return slot->frame_cnt;
}

/* lay_slots makes room for `cap` messages, of `room` datagrams at most in frames. */
static void lay_slots(struct qb_udp_rx *rx, uint32_t cap, struct qb_pool *pool, uint32_t room)
{
	struct iovec *iov = rx->iov;

	for (uint32_t i = 0; i < cap; i++) {
		uint8_t *scratch = rx->scratch + (size_t)i * QB_UDP_SLOT_BYTES;
		uint32_t cnt = lay_frames(rx, &rx->slot[i], iov, pool, room);
		size_t in_frames = (size_t)cnt * rx->slot[i].frame_bytes;

		rx->slot[i].scratch = scratch;
		iov[cnt] = (struct iovec){scratch + in_frames,
					  qb_sub_sat_u64(QB_UDP_SLOT_BYTES, in_frames)};
		rx->msg[i].msg_hdr = (struct msghdr){
			.msg_name = &rx->name[i],
			.msg_namelen = sizeof(rx->name[i]),
			.msg_iov = iov,
			.msg_iovlen = cnt + 1,
			.msg_control = rx->cmsg[i],
			.msg_controllen = sizeof(rx->cmsg[i]),
		};
		iov += cnt + 1;
	}
}

/* Reads one round of slots; returns true when the socket may have more. Slots must all be drained.
 */
static bool read_slots(struct qb_udp *u, uint32_t fam, struct qb_pool *pool, uint32_t room)
{
	struct qb_udp_rx *rx = &u->rx;
	uint32_t cap = room / rx->segs_next;
	int got;

	/* Few are laid out where few come, and long ones one by one: so each has as many frames as
	 * it needs. */
	if (rx->segs_next >= SEGS_ALONE && !u->ring)
		cap = 1;
	cap = QB_MIN(QB_MAX(cap, 1), QB_MAX(2 * rx->got_last[fam], (uint32_t)SLOTS_MIN));
	cap = QB_MIN(cap, (uint32_t)QB_UDP_SLOTS);
	rx->slot_idx = 0;
	rx->slot_cnt = 0;
	rx->seg_bytes = 0;
	if (u->ring)
		return qb_uring_read(u->ring, rx, cap);
	release_frames(rx, pool);
	lay_slots(rx, cap, pool, room);
	got = recvmmsg(u->fd[fam], rx->msg, cap, MSG_DONTWAIT, NULL);
	rx->got_last[fam] = got > 0 ? (uint32_t)got : 0;
	rx->slot_cnt = rx->got_last[fam];
	return rx->slot_cnt == cap;
}

/* has_room: a long one that would not fit the rest of the batch waits for the next. */
static bool has_room(const struct qb_udp_rx *rx, const struct qb_batch *out, uint32_t before)
{
	uint32_t room = QB_BATCH_MAX - out->cnt;

	return room && (out->cnt == before || rx->segs_next < SEGS_ALONE || rx->segs_next <= room);
}

static uint32_t udp_recv(struct qb_net *n, struct qb_pool *pool, struct qb_batch *out)
{
	struct qb_udp *u = (struct qb_udp *)n;
	uint32_t before = out->cnt;

	drain_slots(u, pool, out);
	u->rx_turn ^= 1; /* neither family starves the other */
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t fam = i ^ u->rx_turn;
		bool has_more = u->fd[fam] >= 0 || u->ring; /* a ring has both */

		while (has_more && has_room(&u->rx, out, before)) {
			has_more = read_slots(u, fam, pool, QB_BATCH_MAX - out->cnt);
			if (u->rx.slot_cnt)
				compare_clocks(&u->rx);
			drain_slots(u, pool, out);
		}
	}
	release_frames(&u->rx, pool);
	return out->cnt - before;
}

/* ---- over io_uring ---- */

static int uring_open(const struct qb_net_cfg *cfg, struct qb_net **out, char err[QB_NET_ERR_LEN])
{
	struct qb_udp *u;
	int rc = udp_open(cfg, out, err);

	if (rc)
		return rc;
	u = (struct qb_udp *)*out;
	rc = qb_uring_open(u->fd, &u->ring);
	if (rc) {
		snprintf(err, QB_NET_ERR_LEN, "io_uring: %s", strerror(-rc));
		udp_close(*out);
		*out = NULL;
		return rc;
	}
	u->base.ops = &qb_net_uring;
	u->base.mode = QB_IO_URING;
	return 0;
}

static uint32_t uring_fds(const struct qb_net *n, int *fds, uint32_t cap)
{
	const struct qb_udp *u = (const struct qb_udp *)n;

	if (cap == 0)
		return 0;
	fds[0] = qb_uring_fd(u->ring);
	return 1;
}

const struct qb_net_ops qb_net_uring = {
	.name = "uring",
	.open = uring_open,
	.close = udp_close,
	.local = udp_local,
	.fds = uring_fds,
	.recv = udp_recv,
	.send = qb_udp_send,
	.figures = qb_udp_figures,
};

const struct qb_net_ops qb_net_udp = {
	.name = "udp",
	.open = udp_open,
	.close = udp_close,
	.local = udp_local,
	.fds = udp_fds,
	.recv = udp_recv,
	.send = qb_udp_send,
	.figures = qb_udp_figures,
};
