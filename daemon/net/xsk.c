/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AF_XDP backend: one socket on every queue of the interface for each worker. Received frames
 * become buffers where they lie; what XDP passed on is read from the UDP socket beside it. In
 * zero-copy mode packets leave by the transmit ring, with headers written in front; a peer whose
 * next hop is unknown, and every peer in copy mode, is sent to by the UDP socket, which has GSO.
 * Runs on the worker that owns the port.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/qb_bpf.h"
#include "net/eth.h"
#include "net/hop.h"
#include "net/udp.h"
#include "net/xif.h"
#include "net/xsk_queue.h"

enum {
	KICK_TRIES = 64,
	UDP_TURNS = 4, /* the socket is read at least every so many calls, however busy the rings */
	LOCALS_KNOWN = 8,
	FORESEEN = 3, /* frames */
};

struct xsk {
	struct qb_net base;
	struct qb_net *udp;
	struct qb_net_if *xif;
	struct qb_net_if_port *port; /* this one, in the interface's table */
	uint32_t sock_cnt;	     /* 0: another port of the worker has them */
	int fd[QB_NET_QUEUES_MAX];
	struct qb_xsk_rings rings[QB_NET_QUEUES_MAX];
	uint32_t rx_turn;
	uint32_t seed; /* of the program's stamps */
	bool has_tx;
	uint32_t tx_queue;
	struct qb_hops hops;
	struct qb_addr learned_peer; /* whose hop was noted last */
	uint8_t learned_mac[6];
	struct qb_addr locals[LOCALS_KNOWN]; /* told to the XDP program */
	uint32_t locals_next;
};

/* ---- the worker's ports on the interface ---- */

static int register_port(struct xsk *x)
{
	struct qb_net_if_worker *w = &x->xif->worker[x->base.cfg.worker];
	struct qb_addr local;

	qb_net_udp.local(x->udp, &local);
	for (uint32_t i = 0; i < QB_NET_IF_PORTS_MAX; i++) {
		if (w->port[i].port != 0)
			continue;
		w->port[i] = (struct qb_net_if_port){
			.port = local.port, .link = x->base.cfg.link, .family = local.family};
		x->port = &w->port[i];
		return qb_net_if_add_port(x->xif, local.port);
	}
	return -ENOSPC;
}

/* The program goes on steering a port while another worker, or the other family, has it open. */
static void unregister_port(struct xsk *x)
{
	uint16_t port = x->port->port;
	bool is_used = false;

	memset(x->port, 0, sizeof(*x->port));
	for (uint32_t w = 0; w < x->xif->cfg.worker_cnt; w++) {
		for (uint32_t i = 0; i < QB_NET_IF_PORTS_MAX; i++)
			is_used |= x->xif->worker[w].port[i].port == port;
	}
	if (!is_used)
		qb_net_if_clear_port(x->xif, port);
}

static bool is_port(const struct qb_net_if_port *p, const struct qb_addr *local)
{
	return p->port == local->port && (p->family == 0 || p->family == local->family);
}

/* Whose packet it is that came by this worker's sockets. */
static uint16_t link_of(const struct xsk *x, const struct qb_addr *local)
{
	const struct qb_net_if_worker *w = &x->xif->worker[x->base.cfg.worker];

	if (QB_LIKELY(is_port(x->port, local)))
		return x->port->link;
	for (uint32_t i = 0; i < QB_NET_IF_PORTS_MAX; i++) {
		if (is_port(&w->port[i], local))
			return w->port[i].link;
	}
	return x->port->link;
}

/* ---- open and close ---- */

static void drain_rx(struct xsk *x, uint32_t queue, struct qb_pool *pool)
{
	struct xsk_ring_cons *rx = &x->rings[queue].rx;
	uint32_t cnt, at;

	while ((cnt = xsk_ring_cons__peek(rx, QB_BATCH_MAX, &at)) > 0) {
		for (uint32_t i = 0; i < cnt; i++) {
			struct qb_buf *b = qb_buf_of_addr(x->base.cfg.depot,
							  xsk_ring_cons__rx_desc(rx, at + i)->addr);

			b->conn = NULL;
			qb_buf_put(pool, b);
		}
		xsk_ring_cons__release(rx, cnt);
		qb_xsk_queue_service(x->xif->queue[queue], pool, cnt);
	}
}

/* Out of the program's map first. A frame that comes after the drain is reclaimed with its queue.
 */
static void close_sockets(struct xsk *x)
{
	struct qb_pool pool;

	qb_pool_init(&pool, x->base.cfg.depot);
	for (uint32_t q = 0; q < x->sock_cnt; q++) {
		(void)qb_net_if_set_socket(x->xif, q, x->base.cfg.worker, -1);
		drain_rx(x, q, &pool);
		qb_xsk_rings_close(&x->rings[q]);
		close(x->fd[q]);
	}
	if (x->sock_cnt && x->has_tx)
		__atomic_fetch_sub(&x->base.cfg.depot->umem_tx_queues, 1, __ATOMIC_RELAXED);
	if (x->sock_cnt) {
		struct qb_net_if_worker *w = &x->xif->worker[x->base.cfg.worker];

		w->has_sockets = false;
		w->fds = NULL;
		w->rings = NULL;
	}
	x->sock_cnt = 0;
	qb_pool_fini(&pool);
}

static int open_sockets(struct xsk *x, char err[QB_NET_ERR_LEN])
{
	struct qb_net_if *i = x->xif;
	int rc = 0;

	for (uint32_t q = 0; q < i->queue_cnt; q++) {
		int fd =
			qb_xsk_share(i->queue[q], x->has_tx && q == x->tx_queue, &x->rings[q], err);

		if (fd < 0)
			return fd;
		x->fd[q] = fd;
		x->sock_cnt = q + 1;
		rc = qb_net_if_set_socket(i, q, x->base.cfg.worker, fd);
		if (rc) {
			snprintf(err, QB_NET_ERR_LEN, "the XDP program's socket map: %s",
				 strerror(-rc));
			return rc;
		}
	}
	return rc;
}

/* The first port opens the interface's queues, and finds out there whether zero-copy works for
 * good. */
static int open_queues(struct qb_net_if *i, struct qb_depot *depot, char err[QB_NET_ERR_LEN])
{
	int rc;

	if (i->queue[0])
		return 0;
	if (i->mode == QB_IO_UDP) {
		snprintf(err, QB_NET_ERR_LEN, "%s", i->reason);
		return -EOPNOTSUPP;
	}
	rc = qb_xsk_queues_open(i, depot, i->mode == QB_IO_XDP_ZEROCOPY, err);
	if (rc && i->is_auto)
		qb_net_if_detach(i, err);
	return rc;
}

/* A worker's second port on an interface needs no sockets: the first one's get its packets as well.
 */
static int open_rings(struct xsk *x, char err[QB_NET_ERR_LEN])
{
	struct qb_net_if *i = x->xif;
	struct qb_net_if_worker *w = &i->worker[x->base.cfg.worker];
	int rc;

	if (w->has_sockets)
		return 0;
	x->has_tx = i->mode == QB_IO_XDP_ZEROCOPY || i->is_tx_forced;
	x->tx_queue = x->base.cfg.worker % i->queue_cnt;
	rc = open_sockets(x, err);
	if (x->sock_cnt && x->has_tx)
		__atomic_fetch_add(&x->base.cfg.depot->umem_tx_queues, 1, __ATOMIC_RELAXED);
	w->has_sockets = rc == 0;
	w->fds = x->fd;
	w->rings = x->rings;
	return rc;
}

static int open_locked(struct xsk *x, char err[QB_NET_ERR_LEN])
{
	struct qb_net_if *i = x->xif;
	int rc;

	pthread_mutex_lock(&i->lock);
	rc = open_queues(i, x->base.cfg.depot, err);
	if (rc == 0)
		rc = open_rings(x, err);
	if (rc == 0) {
		rc = register_port(x);
		if (rc)
			snprintf(err, QB_NET_ERR_LEN, "too many ports on %s", i->cfg.ifname);
	}
	if (rc)
		close_sockets(x);
	else
		i->port_cnt++;
	pthread_mutex_unlock(&i->lock);
	return rc;
}

static int xsk_open(const struct qb_net_cfg *cfg, struct qb_net **out, char err[QB_NET_ERR_LEN])
{
	struct xsk *x = calloc(1, sizeof(*x));
	int rc;

	if (x == NULL) {
		snprintf(err, QB_NET_ERR_LEN, "no memory for an AF_XDP port");
		return -ENOMEM;
	}
	qb_net_base_init(&x->base, &qb_net_xsk, cfg);
	x->xif = cfg->xif;
	x->seed = qb_net_steer_seed();
	rc = qb_net_udp.open(cfg, &x->udp, err);
	if (rc) {
		free(x);
		return rc;
	}
	rc = open_locked(x, err);
	if (rc && x->xif->is_auto) {
		/* Nobody asked for AF_XDP: the socket does alone. */
		qb_udp_attach_guard(x->udp);
		*out = x->udp;
		snprintf(x->udp->reason, sizeof(x->udp->reason), "%s", err);
		err[0] = '\0';
		free(x);
		return 0;
	}
	if (rc) {
		qb_net_udp.close(x->udp);
		free(x);
		return rc;
	}
	x->base.mode = x->xif->mode;
	snprintf(x->base.reason, sizeof(x->base.reason), "%s", x->xif->reason);
	*out = &x->base;
	return 0;
}

static void xsk_close(struct qb_net *n)
{
	struct xsk *x = (struct xsk *)n;

	pthread_mutex_lock(&x->xif->lock);
	unregister_port(x);
	close_sockets(x);
	x->xif->port_cnt--;
	pthread_mutex_unlock(&x->xif->lock);
	qb_net_udp.close(x->udp);
	free(x);
}

static void xsk_local(const struct qb_net *n, struct qb_addr *out)
{
	const struct xsk *x = (const struct xsk *)n;

	qb_net_udp.local(x->udp, out);
}

static uint32_t xsk_fds(const struct qb_net *n, int *fds, uint32_t cap)
{
	const struct xsk *x = (const struct xsk *)n;
	uint32_t cnt = qb_net_udp.fds(x->udp, fds, cap);

	for (uint32_t q = 0; q < x->sock_cnt && cnt < cap; q++)
		fds[cnt++] = x->fd[q];
	return cnt;
}

/* ---- receive ---- */

static void learn_hop(struct xsk *x, const struct qb_eth_frame *f)
{
	if (qb_addr_ip_eq(&x->learned_peer, &f->src) && !f->is_tagged &&
	    memcmp(x->learned_mac, f->src_mac, 6) == 0)
		return;
	qb_hops_learn(&x->hops, &f->src, x->xif->mac, f->src_mac, f->is_tagged);
	x->learned_peer = f->src;
	memcpy(x->learned_mac, f->src_mac, 6);
}

static void set_scope(struct qb_addr *a, uint32_t ifindex)
{
	if (a->family == 6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80)
		a->scope_id = ifindex;
}

/*
 * Where packets are held for long, others' frames take the place of the UMEM's, which the rings
 * cannot do without.
 */
static struct qb_buf *copy_out(struct xsk *x, struct qb_pool *pool, struct qb_buf *b,
			       const uint8_t *payload, uint32_t len)
{
	struct qb_buf *copy = qb_buf_get(pool);

	if (copy == NULL)
		return b;
	if (qb_buf_is_umem(x->base.cfg.depot, copy)) {
		qb_buf_put(pool, copy);
		return b;
	}
	memcpy(copy->data, payload, len);
	qb_buf_put(pool, b);
	qb_count(x->base.counters, QB_CNT_IO_UMEM_COPIES);
	return copy;
}

/*
 * When the XDP program saw the frame, or 0. It is taken away, as the frame may come by another
 * interface next, whose driver has no room for it.
 */
static uint64_t take_stamp(uint8_t *data, uint64_t room, uint32_t seed)
{
	struct qb_bpf_stamp stamp;

	if (room < sizeof(stamp))
		return 0;
	memcpy(&stamp, data - sizeof(stamp), sizeof(stamp));
	if (stamp.seed != seed)
		return 0;
	memset(data - sizeof(stamp), 0, sizeof(stamp));
	return stamp.ns;
}

static void accept_frame(struct xsk *x, struct qb_pool *pool, const struct xdp_desc *desc,
			 struct qb_batch *out)
{
	struct qb_depot *d = x->base.cfg.depot;
	struct qb_buf *b = qb_buf_of_addr(d, desc->addr);
	uint8_t *data = d->frames + desc->addr;
	uint64_t stamp_ns = take_stamp(data, desc->addr % d->frame_bytes, x->seed);
	struct qb_eth_frame f;

	b->conn = NULL;
	if (qb_eth_parse(data, desc->len, &f)) {
		qb_count(x->base.counters, QB_CNT_DROP_HEADER);
		qb_buf_put(pool, b);
		return;
	}
	if (x->has_tx)
		learn_hop(x, &f);
	b->data = data + f.payload_off;
	if (QB_UNLIKELY(qb_depot_umem_is_scarce(d)))
		b = copy_out(x, pool, b, b->data, f.payload_len);
	b->len = f.payload_len;
	b->flags = 0;
	b->next = NULL;
	b->rx_ns = stamp_ns;
	if (QB_LIKELY(stamp_ns))
		qb_count(x->base.counters, QB_CNT_IO_XSK_STAMPED);
	b->tuple = (struct qb_tuple){
		.local = f.dst, .peer = f.src, .link = link_of(x, &f.dst), .ecn = f.ecn};
	set_scope(&b->tuple.local, x->xif->cfg.ifindex);
	set_scope(&b->tuple.peer, x->xif->cfg.ifindex);
	qb_batch_add(out, b);
}

/*
 * foresee: in copy mode the processor that a packet came in on has written its frame. While the headers of one are looked at, the
 * rest of it, which is deciphered later, and the headers of one behind it are on their way here.
 */
static void foresee(struct qb_depot *d, const struct xsk_ring_cons *rx, uint32_t at, uint32_t left)
{
	const struct xdp_desc *desc = xsk_ring_cons__rx_desc(rx, at);

	for (uint32_t off = QB_CACHELINE; off < desc->len; off += QB_CACHELINE)
		qb_prefetch_far(d->frames + desc->addr + off);
	if (left <= FORESEEN)
		return;
	desc = xsk_ring_cons__rx_desc(rx, at + FORESEEN);
	qb_prefetch(d->frames + desc->addr - 1); /* the stamp */
	qb_prefetch(d->frames + desc->addr);
	qb_buf_foresee(qb_buf_of_addr(d, desc->addr));
}

static void recv_queue(struct xsk *x, uint32_t queue, struct qb_pool *pool, struct qb_batch *out)
{
	struct xsk_ring_cons *rx = &x->rings[queue].rx;
	uint32_t at, cnt;

	if (x->xif->cfg.is_busy_polled)
		(void)recvfrom(x->fd[queue], NULL, 0, MSG_DONTWAIT, NULL, NULL);
	cnt = xsk_ring_cons__peek(rx, QB_BATCH_MAX - out->cnt, &at);
	qb_xsk_take_over(x->xif->queue[queue]);
	for (uint32_t i = 0; i < cnt; i++) {
		foresee(x->base.cfg.depot, rx, at + i, cnt - i);
		accept_frame(x, pool, xsk_ring_cons__rx_desc(rx, at + i), out);
	}
	if (cnt) {
		xsk_ring_cons__release(rx, cnt);
		qb_count_add(x->base.counters, QB_CNT_IO_XSK_RX, cnt);
	}
	qb_xsk_queue_service(x->xif->queue[queue], pool, cnt);
}

/* The kernel delivered to an address that the program does not know: from now on it does. */
static void learn_locals(struct xsk *x, const struct qb_batch *out, uint32_t from)
{
	for (uint32_t i = from; i < out->cnt; i++) {
		const struct qb_addr *local = &out->buf[i]->tuple.local;
		bool is_known = false;

		for (uint32_t k = 0; k < LOCALS_KNOWN && !is_known; k++)
			is_known = qb_addr_ip_eq(&x->locals[k], local);
		if (is_known)
			continue;
		x->locals[x->locals_next++ % LOCALS_KNOWN] = *local;
		qb_net_if_add_local(x->xif, local);
	}
}

static uint32_t xsk_recv(struct qb_net *n, struct qb_pool *pool, struct qb_batch *out)
{
	struct xsk *x = (struct xsk *)n;
	uint32_t before = out->cnt, from;

	x->rx_turn++;
	for (uint32_t i = 0; i < x->sock_cnt && !qb_batch_full(out); i++)
		recv_queue(x, (x->rx_turn + i) % x->sock_cnt, pool, out);
	if (out->cnt > before && x->rx_turn % UDP_TURNS != 0)
		return out->cnt - before;
	from = out->cnt;
	if (qb_net_udp.recv(x->udp, pool, out))
		learn_locals(x, out, from);
	return out->cnt - before;
}

/* ---- transmit ---- */

/* Fills in the source where the caller left it to us; false: the kernel must choose one. */
static bool has_source(struct xsk *x, struct qb_tuple *t)
{
	static const uint8_t any[16];
	struct qb_addr bound;

	if (t->local.family == t->peer.family && memcmp(t->local.ip, any, 16) != 0)
		return t->local.port != 0;
	qb_net_udp.local(x->udp, &bound);
	if (bound.family != t->peer.family || memcmp(bound.ip, any, 16) == 0)
		return false;
	t->local = bound;
	return true;
}

/* Asks the device for the UDP checksum, in front of the frame. */
static void leave_csum(const struct qb_buf *b, uint32_t hdr_bytes)
{
	struct qb_xsk_tx_meta meta = {
		.flags = QB_XSK_TX_CSUM,
		.csum_start = (uint16_t)(hdr_bytes - QB_ETH_UDP_BYTES),
		.csum_off = QB_ETH_CSUM_OFF,
	};

	memcpy(b->data - sizeof(meta), &meta, sizeof(meta));
}

/* The NIC reads no other memory than the UMEM. NULL: all of that is in use; the buffer stays. */
static struct qb_buf *copy_in(struct xsk *x, struct qb_pool *pool, struct qb_buf *b)
{
	struct qb_buf *copy = qb_buf_get_umem(pool);

	if (copy == NULL)
		return NULL;
	copy->data = qb_buf_frame(pool->depot, copy) + qb_buf_headroom(pool->depot, b);
	memcpy(copy->data, b->data, b->len);
	copy->len = b->len;
	copy->tuple = b->tuple;
	qb_buf_put(pool, b);
	qb_count(x->base.counters, QB_CNT_IO_UMEM_COPIES);
	return copy;
}

/* Puts a packet with its headers into the batch; false: the UDP socket has to send this one. */
static bool make_frame(struct xsk *x, struct qb_pool *pool, struct qb_buf *b,
		       struct qb_batch *frames)
{
	uint32_t hdr_bytes = qb_eth_hdr_bytes(b->tuple.peer.family);
	const struct qb_eth_hop *hop = qb_hops_find(&x->hops, &b->tuple.peer);

	if (hop == NULL) {
		qb_count(x->base.counters, QB_CNT_IO_NO_NEIGHBOUR);
		return false;
	}
	if (!has_source(x, &b->tuple) ||
	    qb_buf_headroom(x->base.cfg.depot, b) < hdr_bytes + sizeof(struct qb_xsk_tx_meta))
		return false;
	if (QB_UNLIKELY(!qb_buf_is_umem(pool->depot, b)))
		b = copy_in(x, pool, b);
	if (b == NULL)
		return false;
	qb_eth_build(b->data, b->len, &b->tuple, hop, x->xif->has_tx_csum);
	qb_buf_push(b, hdr_bytes);
	if (x->xif->has_tx_csum)
		leave_csum(b, hdr_bytes);
	qb_batch_add(frames, b);
	return true;
}

/* EAGAIN, EBUSY and ENOBUFS may all mean that the completion ring is full: drain it, or this never
 * ends. */
static int kick(struct xsk *x, struct qb_pool *pool)
{
	struct qb_xsk_queue *q = x->xif->queue[x->tx_queue];

	if (!x->xif->cfg.is_wakeup_off && !xsk_ring_prod__needs_wakeup(&x->rings[x->tx_queue].tx))
		return 0;
	for (int i = 0; i < KICK_TRIES; i++) {
		if (sendto(x->fd[x->tx_queue], NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
			return 0;
		if (errno != EAGAIN && errno != EBUSY && errno != ENOBUFS && errno != EINTR)
			return errno;
		qb_xsk_queue_service(q, pool, 0);
	}
	return 0;
}

/* Places in the transmit ring, up to cnt. A full ring gets one kick to make some. */
static uint32_t make_places(struct xsk *x, struct qb_pool *pool, uint32_t cnt)
{
	struct xsk_ring_prod *tx = &x->rings[x->tx_queue].tx;
	uint32_t places = xsk_prod_nb_free(tx, cnt);

	if (places < cnt) {
		qb_count(x->base.counters, QB_CNT_IO_TX_FULL);
		(void)kick(x, pool);
		places = xsk_prod_nb_free(tx, cnt);
	}
	return QB_MIN(places, cnt);
}

static int send_frames(struct xsk *x, struct qb_pool *pool, struct qb_batch *frames)
{
	struct qb_xsk_queue *q = x->xif->queue[x->tx_queue];
	struct xsk_ring_prod *tx = &x->rings[x->tx_queue].tx;
	uint32_t cnt = make_places(x, pool, frames->cnt);
	uint32_t at = 0;
	int err;

	if (cnt < frames->cnt)
		qb_count_add(x->base.counters, QB_CNT_IO_TX_ERRORS, frames->cnt - cnt);
	for (; frames->cnt > cnt; frames->cnt--)
		qb_buf_put(pool, frames->buf[frames->cnt - 1]);
	if (cnt == 0 || xsk_ring_prod__reserve(tx, cnt, &at) == 0)
		return 0;
	for (uint32_t i = 0; i < cnt; i++) {
		struct qb_buf *b = frames->buf[i];

		b->conn = q;
		*xsk_ring_prod__tx_desc(tx, at + i) =
			(struct xdp_desc){.addr = (uint64_t)(b->data - q->depot->frames),
					  .len = b->len,
					  .options = x->xif->has_tx_csum ? QB_XSK_DESC_META : 0};
	}
	frames->cnt = 0;
	qb_xsk_hand_over(q);
	xsk_ring_prod__submit(tx, cnt);
	qb_count_add(x->base.counters, QB_CNT_IO_XSK_TX, cnt);
	err = kick(x, pool);
	qb_xsk_queue_service(q, pool, 0);
	return qb_net_is_link_fault(err) || err == ENXIO ? -ENETDOWN : 0;
}

static int xsk_send(struct qb_net *n, struct qb_pool *pool, struct qb_batch *in)
{
	struct xsk *x = (struct xsk *)n;
	struct qb_batch frames = {0}, rest = {0};
	int rc = 0, rc_udp = 0;

	if (!x->has_tx)
		return qb_net_udp.send(x->udp, pool, in);
	for (uint32_t i = 0; i < in->cnt; i++) {
		if (!make_frame(x, pool, in->buf[i], &frames))
			qb_batch_add(&rest, in->buf[i]);
	}
	in->cnt = 0;
	if (frames.cnt)
		rc = send_frames(x, pool, &frames);
	if (rest.cnt)
		rc_udp = qb_net_udp.send(x->udp, pool, &rest);
	return rc ? rc : rc_udp;
}

static uint32_t xsk_figures(const struct qb_net *n, struct qb_figure *out)
{
	return qb_udp_figures(((const struct xsk *)n)->udp, out);
}

static void xsk_set_hop(struct qb_net *n, uint8_t family, const struct qb_addr *peer,
			const uint8_t src_mac[6], const uint8_t *dst_mac)
{
	struct xsk *x = (struct xsk *)n;

	memset(&x->learned_peer, 0, sizeof(x->learned_peer));
	qb_hops_set(&x->hops, family, peer, src_mac, dst_mac);
}

const struct qb_net_ops qb_net_xsk = {
	.name = "xsk",
	.open = xsk_open,
	.close = xsk_close,
	.local = xsk_local,
	.fds = xsk_fds,
	.recv = xsk_recv,
	.send = xsk_send,
	.figures = xsk_figures,
	.set_hop = xsk_set_hop,
};
