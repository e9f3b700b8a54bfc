/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sets up AF_XDP sockets and keeps the rings that the workers of a queue share. Set-up is our own:
 * a socket must share its UMEM with one that is bound to the very same device and queue, else the
 * kernel wants rings of its own for it. Each interface registers the depot's memory anew, so that
 * one may be zero-copy while another copies.
 */
#include "net/xsk_queue.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	FILL_MIN = 64,
	FILL_RING_SHARE = 2, /* nor is a ring ever filled more than to this part */
	FILL_SHARE = 2,	     /* all rings together are filled with at most this part of the UMEM */
	SERVICE_BATCH = 64,
	/* A socket that was closed holds its queue until the kernel's deferred work has run, which
	 * is behind that for namespaces that go: two seconds. */
	BUSY_TRIES = 200,
	BUSY_WAIT_MS = 10,
	PROBE_FRAMES = 16,
	BUSY_POLL_US = 20,
	UMEM_TX_SW_CSUM = 1 << 1,
	UMEM_TX_METADATA_LEN = 1 << 2,
};

static void sleep_ms(long ms)
{
	struct timespec t = {.tv_nsec = ms * 1000000};

	(void)nanosleep(&t, NULL);
}

/* ---- rings ---- */

static int set_ring(int fd, int option, uint32_t size)
{
	return setsockopt(fd, SOL_XDP, option, &size, sizeof(size)) == 0 ? 0 : -errno;
}

static int get_offsets(int fd, struct xdp_mmap_offsets *off)
{
	socklen_t len = sizeof(*off);

	if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, off, &len) != 0)
		return -errno;
	return len == sizeof(*off) ? 0 : -ENOTSUP;
}

/* Which ring of a socket, and its shape. */
struct ring {
	off_t pgoff;
	size_t entry_bytes;
	uint32_t size;
};

static uint8_t *map_ring(int fd, const struct xdp_ring_offset *off, const struct ring *ring,
			 struct qb_xsk_map *m)
{
	m->len = off->desc + ring->size * ring->entry_bytes;
	m->addr = mmap(NULL, m->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
		       ring->pgoff);
	if (m->addr == MAP_FAILED)
		m->addr = NULL;
	return m->addr;
}

static void unmap_ring(struct qb_xsk_map *m)
{
	if (m->addr)
		munmap(m->addr, m->len);
	m->addr = NULL;
}

static int map_prod(int fd, const struct xdp_ring_offset *off, const struct ring *ring,
		    struct qb_xsk_map *m, struct xsk_ring_prod *r)
{
	uint8_t *p = map_ring(fd, off, ring, m);

	if (p == NULL)
		return -errno;
	*r = (struct xsk_ring_prod){
		.cached_cons = ring->size,
		.mask = ring->size - 1,
		.size = ring->size,
		.producer = (uint32_t *)(void *)(p + off->producer),
		.consumer = (uint32_t *)(void *)(p + off->consumer),
		.ring = p + off->desc,
		.flags = (uint32_t *)(void *)(p + off->flags),
	};
	return 0;
}

static int map_cons(int fd, const struct xdp_ring_offset *off, const struct ring *ring,
		    struct qb_xsk_map *m, struct xsk_ring_cons *r)
{
	uint8_t *p = map_ring(fd, off, ring, m);

	if (p == NULL)
		return -errno;
	*r = (struct xsk_ring_cons){
		.mask = ring->size - 1,
		.size = ring->size,
		.producer = (uint32_t *)(void *)(p + off->producer),
		.consumer = (uint32_t *)(void *)(p + off->consumer),
		.ring = p + off->desc,
		.flags = (uint32_t *)(void *)(p + off->flags),
	};
	return 0;
}

static int bind_once(int fd, uint32_t ifindex, uint32_t queue, uint16_t flags, int shared_fd)
{
	struct sockaddr_xdp sa = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = flags,
		.sxdp_ifindex = ifindex,
		.sxdp_queue_id = queue,
		.sxdp_shared_umem_fd = shared_fd >= 0 ? (uint32_t)shared_fd : 0,
	};

	if (shared_fd >= 0)
		sa.sxdp_flags = XDP_SHARED_UMEM;
	return bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 ? 0 : -errno;
}

static int bind_patiently(int fd, uint32_t ifindex, uint32_t queue, uint16_t flags, int shared_fd)
{
	int rc = -EBUSY;

	for (int i = 0; i < BUSY_TRIES && rc == -EBUSY; i++) {
		if (i > 0)
			sleep_ms(BUSY_WAIT_MS);
		rc = bind_once(fd, ifindex, queue, flags, shared_fd);
	}
	return rc;
}

/* Its last member, and the flags, are newer than the headers of some build hosts (6.8, 6.11). */
struct umem_reg {
	uint64_t addr, len;
	uint32_t chunk_size, headroom, flags, tx_metadata_len;
};

static int register_umem(int fd, void *area, uint32_t cnt, uint32_t frame_bytes, uint32_t tx_flags)
{
	struct umem_reg reg = {
		.addr = (uintptr_t)area,
		.len = (uint64_t)cnt * frame_bytes,
		.chunk_size = frame_bytes,
		.flags = tx_flags,
		.tx_metadata_len = tx_flags ? sizeof(struct qb_xsk_tx_meta) : 0,
	};

	return setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) == 0 ? 0 : -errno;
}

static uint16_t wakeup_flag(const struct qb_net_if_cfg *cfg)
{
	return cfg->is_wakeup_off ? 0 : XDP_USE_NEED_WAKEUP;
}

/* ---- probes ---- */

/* Binds a socket over a few frames of its own, and lets go again. */
static int probe_bind(const struct qb_net_if_cfg *cfg, uint32_t queue, uint16_t flags)
{
	size_t bytes = (size_t)PROBE_FRAMES * cfg->frame_bytes;
	void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	int rc = -errno;

	if (fd < 0 || area == MAP_FAILED)
		goto out;
	rc = register_umem(fd, area, PROBE_FRAMES, cfg->frame_bytes, 0);
	if (rc == 0)
		rc = set_ring(fd, XDP_UMEM_FILL_RING, PROBE_FRAMES);
	if (rc == 0)
		rc = set_ring(fd, XDP_UMEM_COMPLETION_RING, PROBE_FRAMES);
	if (rc == 0)
		rc = set_ring(fd, XDP_RX_RING, PROBE_FRAMES);
	if (rc == 0)
		rc = bind_once(fd, cfg->ifindex, queue, flags, -1);
out:
	if (fd >= 0)
		close(fd);
	if (area != MAP_FAILED)
		munmap(area, bytes);
	return rc;
}

/* The kernel lets go of a queue some time after its last socket is closed. */
static int probe_patiently(const struct qb_net_if_cfg *cfg, uint32_t queue, uint16_t flags)
{
	int rc = -EBUSY;

	for (int i = 0; i < BUSY_TRIES && rc == -EBUSY; i++) {
		if (i > 0)
			sleep_ms(BUSY_WAIT_MS);
		rc = probe_bind(cfg, queue, flags);
	}
	return rc;
}

int qb_xsk_probe_zerocopy(const struct qb_net_if_cfg *cfg)
{
	return probe_patiently(cfg, 0, XDP_ZEROCOPY | wakeup_flag(cfg));
}

/* ---- fill and completion ---- */

/* What there is, over the rings that are open: a queue that comes gets its part from what the
 * others use up. */
uint32_t qb_xsk_fill_target(const struct qb_xsk_queue *q)
{
	uint32_t rings = __atomic_load_n(&q->depot->umem_rx_queues, __ATOMIC_RELAXED);
	uint32_t share = q->depot->umem_cnt / FILL_SHARE / QB_MAX(rings, 1);

	return QB_MIN(QB_MAX(share, FILL_MIN), q->xif->cfg.ring_size / FILL_RING_SHARE);
}

static void fill_up(struct qb_xsk_queue *q, struct qb_pool *pool)
{
	uint32_t have = __atomic_load_n(&q->filled, __ATOMIC_RELAXED);
	uint32_t want = (uint32_t)qb_sub_sat_u64(qb_xsk_fill_target(q), have);
	uint32_t cnt = 0, at;

	want = QB_MIN(want, xsk_prod_nb_free(&q->fill, want));
	if (want == 0 || xsk_ring_prod__reserve(&q->fill, want, &at) == 0)
		return;
	for (; cnt < want; cnt++) {
		struct qb_buf *b = qb_buf_get_umem(pool);

		if (b == NULL)
			break;
		b->conn = q;
		*xsk_ring_prod__fill_addr(&q->fill, at + cnt) =
			(uint64_t)b->idx * q->depot->frame_bytes;
	}
	q->fill.cached_prod -= want - cnt;
	__atomic_fetch_add(&q->filled, cnt, __ATOMIC_RELEASE); /* hands over */
	xsk_ring_prod__submit(&q->fill, cnt);
}

static void take_home(struct qb_xsk_queue *q, struct qb_pool *pool)
{
	uint32_t cnt, at;

	do {
		cnt = xsk_ring_cons__peek(&q->comp, SERVICE_BATCH, &at);
		qb_xsk_take_over(q);
		for (uint32_t i = 0; i < cnt; i++) {
			struct qb_buf *b = qb_buf_of_addr(
				q->depot, *xsk_ring_cons__comp_addr(&q->comp, at + i));

			b->conn = NULL;
			qb_buf_put(pool, b);
		}
		if (cnt)
			xsk_ring_cons__release(&q->comp, cnt);
	} while (cnt == SERVICE_BATCH);
}

void qb_xsk_queue_service(struct qb_xsk_queue *q, struct qb_pool *pool, uint32_t taken_cnt)
{
	if (taken_cnt)
		__atomic_fetch_sub(&q->filled, taken_cnt, __ATOMIC_RELAXED);
	if (__atomic_exchange_n(&q->busy, 1, __ATOMIC_ACQUIRE))
		return;
	take_home(q, pool);
	fill_up(q, pool);
	__atomic_store_n(&q->busy, 0, __ATOMIC_RELEASE);
	if (xsk_ring_prod__needs_wakeup(&q->fill))
		(void)recvfrom(q->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/* ---- queues ---- */

static int map_queue(struct qb_xsk_queue *q)
{
	struct ring fill = {XDP_UMEM_PGOFF_FILL_RING, sizeof(uint64_t), q->xif->cfg.ring_size};
	struct ring comp = {XDP_UMEM_PGOFF_COMPLETION_RING, sizeof(uint64_t),
			    q->xif->cfg.ring_size};
	struct xdp_mmap_offsets off;
	int rc = get_offsets(q->fd, &off);

	if (rc == 0)
		rc = map_prod(q->fd, &off.fr, &fill, &q->fill_map, &q->fill);
	if (rc == 0)
		rc = map_cons(q->fd, &off.cr, &comp, &q->comp_map, &q->comp);
	return rc;
}

/* What the driver does is what counts, not what was asked for. */
static int check_zerocopy(int fd)
{
	struct xdp_options o = {0};
	socklen_t len = sizeof(o);

	if (getsockopt(fd, SOL_XDP, XDP_OPTIONS, &o, &len) != 0)
		return -errno;
	return o.flags & XDP_OPTIONS_ZEROCOPY ? 0 : -EOPNOTSUPP;
}

/* A kernel that offers metadata and then refuses them is one of those before 6.11. */
static int register_depot(struct qb_xsk_queue *q)
{
	struct qb_net_if *i = q->xif;
	struct qb_depot *d = q->depot;
	int rc = -EINVAL;

	if (i->has_tx_csum)
		rc = register_umem(q->fd, d->frames, d->umem_cnt, d->frame_bytes,
				   UMEM_TX_METADATA_LEN | (i->is_tx_forced ? UMEM_TX_SW_CSUM : 0));
	i->has_tx_csum = rc == 0;
	return rc ? register_umem(q->fd, d->frames, d->umem_cnt, d->frame_bytes, 0) : 0;
}

/* The anchor's receive ring is never in the program's map: bind() just wants one. */
static int open_anchor(struct qb_xsk_queue *q, uint16_t flags)
{
	struct qb_net_if *i = q->xif;
	bool is_first = i->umem_fd < 0;
	int rc = 0;

	q->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (q->fd < 0)
		return -errno;
	if (is_first)
		rc = register_depot(q);
	if (rc == 0)
		rc = set_ring(q->fd, XDP_UMEM_FILL_RING, i->cfg.ring_size);
	if (rc == 0)
		rc = set_ring(q->fd, XDP_UMEM_COMPLETION_RING, i->cfg.ring_size);
	if (rc == 0)
		rc = set_ring(q->fd, XDP_RX_RING, 2);
	if (rc == 0)
		rc = map_queue(q);
	if (rc == 0)
		rc = bind_patiently(q->fd, i->cfg.ifindex, q->no, flags, i->umem_fd);
	if (rc == 0 && flags & XDP_ZEROCOPY)
		rc = check_zerocopy(q->fd);
	if (rc == 0 && is_first)
		i->umem_fd = q->fd;
	return rc;
}

static void free_queue(struct qb_xsk_queue *q)
{
	unmap_ring(&q->fill_map);
	unmap_ring(&q->comp_map);
	if (q->fd >= 0)
		close(q->fd);
	free(q);
}

static int open_queue(struct qb_net_if *i, struct qb_depot *depot, uint32_t no, uint16_t flags)
{
	struct qb_xsk_queue *q = aligned_alloc(QB_CACHELINE, sizeof(*q));
	int rc;

	if (q == NULL)
		return -ENOMEM;
	memset(q, 0, sizeof(*q));
	q->xif = i;
	q->depot = depot;
	q->no = no;
	rc = open_anchor(q, flags);
	if (rc) {
		free_queue(q);
		return rc;
	}
	i->queue[no] = q;
	__atomic_fetch_add(&depot->umem_rx_queues, 1, __ATOMIC_RELAXED);
	return 0;
}

static void fill_all(struct qb_net_if *i, struct qb_depot *depot)
{
	struct qb_pool pool;

	qb_pool_init(&pool, depot);
	for (uint32_t no = 0; no < i->queue_cnt; no++)
		qb_xsk_queue_service(i->queue[no], &pool, 0);
	qb_pool_fini(&pool);
}

int qb_xsk_queues_open(struct qb_net_if *i, struct qb_depot *depot, bool is_zerocopy,
		       char err[QB_NET_ERR_LEN])
{
	uint16_t flags = (is_zerocopy ? XDP_ZEROCOPY : XDP_COPY) | wakeup_flag(&i->cfg);
	int rc;

	for (uint32_t no = 0; no < i->queue_cnt; no++) {
		rc = open_queue(i, depot, no, flags);
		if (rc == 0)
			continue;
		snprintf(err, QB_NET_ERR_LEN, "AF_XDP on %s queue %u: %s", i->cfg.ifname, no,
			 strerror(-rc));
		qb_xsk_queues_close(i);
		return rc;
	}
	fill_all(i, depot);
	if (is_zerocopy)
		snprintf(i->reason, sizeof(i->reason),
			 "AF_XDP zero-copy on %u queue%s, confirmed by XDP_OPTIONS%s%s%s",
			 i->queue_cnt, i->queue_cnt == 1 ? "" : "s",
			 i->has_tx_csum ? ", checksums by the device" : "", qb_net_if_beside(i),
			 qb_net_if_busy_poll(i));
	return 0;
}

/* Frames that the kernel still had when the queue was closed: in its rings, or with the driver. */
static void reclaim(struct qb_depot *depot, const struct qb_xsk_queue *q)
{
	struct qb_pool pool;

	qb_pool_init(&pool, depot);
	for (uint32_t i = 0; i < depot->umem_cnt; i++) {
		struct qb_buf *b = &depot->bufs[i];

		if (__atomic_load_n(&b->conn, __ATOMIC_RELAXED) != q)
			continue;
		b->conn = NULL;
		qb_buf_put(&pool, b);
	}
	qb_pool_fini(&pool);
}

void qb_xsk_queues_close(struct qb_net_if *i)
{
	i->umem_fd = -1;
	for (uint32_t no = 0; no < QB_NET_QUEUES_MAX; no++) {
		struct qb_xsk_queue *q = i->queue[no];

		if (q == NULL)
			continue;
		i->queue[no] = NULL;
		__atomic_fetch_sub(&q->depot->umem_rx_queues, 1, __ATOMIC_RELAXED);
		unmap_ring(&q->fill_map);
		unmap_ring(&q->comp_map);
		close(q->fd);
		q->fd = -1;
		(void)probe_patiently(&i->cfg, no, XDP_COPY);
		reclaim(q->depot, q);
		free_queue(q);
	}
}

/* ---- workers' sockets ---- */

void qb_xsk_rings_close(struct qb_xsk_rings *r)
{
	unmap_ring(&r->rx_map);
	unmap_ring(&r->tx_map);
}

static int map_own_rings(int fd, uint32_t size, bool has_tx, struct qb_xsk_rings *r)
{
	struct ring rx = {XDP_PGOFF_RX_RING, sizeof(struct xdp_desc), size};
	struct ring tx = {XDP_PGOFF_TX_RING, sizeof(struct xdp_desc), size};
	struct xdp_mmap_offsets off;
	int rc = get_offsets(fd, &off);

	if (rc == 0)
		rc = map_cons(fd, &off.rx, &rx, &r->rx_map, &r->rx);
	if (rc == 0 && has_tx)
		rc = map_prod(fd, &off.tx, &tx, &r->tx_map, &r->tx);
	return rc;
}

/*
 * Preferred busy polling: while somebody asks for packets the driver leaves its interrupts off, as
 * far as the device's napi_defer_hard_irqs and gro_flush_timeout allow. A kernel that does not know
 * it goes on as before.
 */
static void prefer_busy_poll(int fd)
{
	static const struct {
		int name, value;
	} opts[] = {
		{SO_PREFER_BUSY_POLL, 1},
		{SO_BUSY_POLL, BUSY_POLL_US},
		{SO_BUSY_POLL_BUDGET, QB_BATCH_MAX},
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(opts); i++)
		if (setsockopt(fd, SOL_SOCKET, opts[i].name, &opts[i].value,
			       sizeof(opts[i].value)) != 0)
			qb_warn("no preferred busy polling: %s", strerror(errno));
}

int qb_xsk_share(struct qb_xsk_queue *q, bool has_tx, struct qb_xsk_rings *r,
		 char err[QB_NET_ERR_LEN])
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	uint32_t size = q->xif->cfg.ring_size;
	int rc;

	memset(r, 0, sizeof(*r));
	if (fd < 0) {
		rc = -errno;
		goto fail;
	}
	rc = set_ring(fd, XDP_RX_RING, size);
	if (rc == 0 && has_tx)
		rc = set_ring(fd, XDP_TX_RING, size);
	if (rc == 0)
		rc = map_own_rings(fd, size, has_tx, r);
	if (rc == 0)
		rc = bind_patiently(fd, q->xif->cfg.ifindex, q->no, 0, q->fd);
	if (rc == 0 && q->xif->cfg.is_busy_polled)
		prefer_busy_poll(fd);
	if (rc == 0)
		return fd;
fail:
	snprintf(err, QB_NET_ERR_LEN, "AF_XDP socket on %s queue %u: %s", q->xif->cfg.ifname, q->no,
		 strerror(-rc));
	qb_xsk_rings_close(r);
	if (fd >= 0)
		close(fd);
	return rc;
}
