/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TUN device's descriptors. The main thread opens and closes the device; each worker reads and
 * writes its own queue. Every packet carries a virtio header, whether or not the kernel may hand
 * out super-packets, so that there is one way to read and one to write.
 */
#include "tun/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* <linux/if_tun.h> of older systems lacks them; in Linux since 6.2, which wants both or none. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
	PIECE_MAX = QB_FRAME_BYTES - QB_HEADROOM - QB_TAILROOM,
	QUEUES_MAX = 256, /* the kernel's MAX_TAP_QUEUES */
};

/* ---- the device ---- */

static int fail(char err[160], int e, const char *name, const char *what)
{
	snprintf(err, 160, "TUN device %s: %s: %s", name, what, strerror(e));
	return -e;
}

static int create_failed(char err[160], int e, const char *name)
{
	switch (e) {
	case EBUSY:
		snprintf(err, 160, "TUN device %s: there is an interface of this name already",
			 name);
		return -e;
	case EPERM:
		snprintf(err, 160, "TUN device %s: not permitted (CAP_NET_ADMIN is needed)", name);
		return -e;
	default:
		return fail(err, e, name, "cannot create it");
	}
}

static int set_offload(struct qb_tun_queue *q, bool has_offload)
{
	const unsigned long tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

	q->has_offload = has_offload;
	q->has_uso = false;
	if (!has_offload)
		return ioctl(q->fd, TUNSETOFFLOAD, 0ul);
	if (ioctl(q->fd, TUNSETOFFLOAD, tso | TUN_F_USO4 | TUN_F_USO6) == 0) {
		q->has_uso = true;
		return 0;
	}
	return ioctl(q->fd, TUNSETOFFLOAD, tso);
}

static int open_queue(struct qb_tun *t, uint32_t idx, bool has_offload, char err[160])
{
	struct qb_tun_queue *q = t->queue[idx];
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
	int hdr_bytes = sizeof(struct virtio_net_hdr_v1);

	q->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (q->fd < 0)
		return fail(err, errno, t->name,
			    "cannot open /dev/net/tun (is the tun module there?)");
	/* The first queue makes the device and must not join one of somebody else. */
	if (idx == 0)
		ifr.ifr_flags |= (short)IFF_TUN_EXCL;
	memcpy(ifr.ifr_name, t->name, IFNAMSIZ);
	if (ioctl(q->fd, TUNSETIFF, &ifr))
		return create_failed(err, errno, t->name);
	memcpy(t->name, ifr.ifr_name, IFNAMSIZ);
	if (ioctl(q->fd, TUNSETVNETHDRSZ, &hdr_bytes))
		return fail(err, errno, t->name, "cannot set the header size");
	if (set_offload(q, has_offload))
		return fail(err, errno, t->name, "cannot set offloads");
	return 0;
}

static int alloc_queues(struct qb_tun *t, uint32_t queue_cnt)
{
	t->queue = calloc(queue_cnt, sizeof(*t->queue));
	if (!t->queue)
		return -ENOMEM;
	for (; t->queue_cnt < queue_cnt; t->queue_cnt++) {
		struct qb_tun_queue *q =
			aligned_alloc(QB_CACHELINE, (sizeof(*q) + QB_CACHELINE - 1) &
							    ~(size_t)(QB_CACHELINE - 1));

		if (!q)
			return -ENOMEM;
		memset(q, 0, sizeof(*q));
		q->fd = -1;
		t->queue[t->queue_cnt] = q;
	}
	return 0;
}

int qb_tun_open(const char *name, uint32_t queue_cnt, bool has_offload, struct qb_tun **out,
		char err[160])
{
	struct qb_tun *t;
	int ret;

	if (queue_cnt == 0 || queue_cnt > QUEUES_MAX || strlen(name) >= IFNAMSIZ) {
		snprintf(err, 160, "TUN device %s: bad name or number of queues", name);
		return -EINVAL;
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		return fail(err, ENOMEM, name, "cannot create it");
	strcpy(t->name, name);
	ret = alloc_queues(t, queue_cnt);
	if (ret)
		fail(err, -ret, name, "cannot create it");
	for (uint32_t i = 0; i < queue_cnt && ret == 0; i++)
		ret = open_queue(t, i, has_offload, err);
	if (ret == 0) {
		t->ifindex = if_nametoindex(t->name);
		if (t->ifindex == 0)
			ret = fail(err, errno, t->name, "has vanished");
	}
	if (ret) {
		qb_tun_close(t);
		return ret;
	}
	*out = t;
	return 0;
}

void qb_tun_close(struct qb_tun *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->queue_cnt; i++) {
		if (t->queue[i]->fd >= 0)
			close(t->queue[i]->fd);
		free(t->queue[i]);
	}
	free(t->queue);
	qb_tun_drop_marks(t);
	free(t);
}

const char *qb_tun_name(const struct qb_tun *t)
{
	return t->name;
}

uint32_t qb_tun_ifindex(const struct qb_tun *t)
{
	return t->ifindex;
}

struct qb_tun_queue *qb_tun_queue(struct qb_tun *t, uint32_t idx)
{
	QB_BUG_ON(idx >= t->queue_cnt);
	return t->queue[idx];
}

int qb_tun_queue_steer(struct qb_tun_queue *q, bool is_on)
{
	struct ifreq ifr = {.ifr_flags = is_on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	return ioctl(q->fd, TUNSETQUEUE, &ifr) ? -errno : 0;
}

void qb_tun_offloads(const struct qb_tun *t, bool *has_tso, bool *has_uso)
{
	*has_tso = t->queue[0]->has_offload;
	*has_uso = t->queue[0]->has_uso;
}

int qb_tun_queue_fd(const struct qb_tun_queue *q)
{
	return q->fd;
}

/* ---- reading ---- */

bool qb_tun_has_pending(const struct qb_tun_queue *q)
{
	return qb_segment_left(&q->cut) > 0;
}

static void drop_pending(struct qb_tun_queue *q, struct qb_counters *cnt, enum qb_counter why)
{
	qb_count_add(cnt, why, qb_segment_left(&q->cut));
	q->cut.idx = q->cut.cnt;
}

/* fetch reads what will be cut next. Returns false when the device has nothing. */
static bool fetch(struct qb_tun_queue *q, struct qb_counters *cnt)
{
	struct iovec iov[2] = {{&q->vh, sizeof(q->vh)}, {q->scratch, sizeof(q->scratch)}};
	ssize_t n = readv(q->fd, iov, 2);
	uint8_t *pkt = q->scratch;
	uint32_t len = (uint32_t)(n - (ssize_t)sizeof(q->vh));

	if (n < 0)
		return false;
	q->marks = 0;
	if (__atomic_load_n(&q->has_marks, __ATOMIC_RELAXED) && n >= (ssize_t)sizeof(q->vh))
		q->marks = qb_segment_untag(&q->vh, &pkt, &len);
	if (n < (ssize_t)sizeof(q->vh) || qb_segment_init(&q->cut, &q->vh, pkt, len)) {
		q->cut.cnt = q->cut.idx = 0;
		qb_count(cnt, QB_CNT_DROP_TUN_MALFORMED);
		return true;
	}
	if (q->cut.cnt > 1)
		qb_count(cnt, QB_CNT_TUN_RX_SUPER);
	if (qb_segment_max_len(&q->cut) > PIECE_MAX)
		drop_pending(q, cnt, QB_CNT_DROP_TUN_MALFORMED);
	return true;
}

uint32_t qb_tun_read(struct qb_tun_queue *q, struct qb_pool *pool, struct qb_counters *cnt,
		     struct qb_batch *out, uint64_t now_ns)
{
	uint32_t before = out->cnt;
	uint32_t fetch_cnt = 0;
	uint64_t bytes = 0;

	while (!qb_batch_full(out)) {
		struct qb_buf *b;

		if (!qb_tun_has_pending(q)) {
			/* Bounded, for broken packets fill no batch. */
			if (fetch_cnt++ == 2 * QB_BATCH_MAX || !fetch(q, cnt))
				break;
			continue;
		}
		b = qb_buf_get(pool);
		if (!b) {
			drop_pending(q, cnt, QB_CNT_DROP_NO_BUFFER);
			break;
		}
		b->len = qb_segment_next(&q->cut, b->data);
		bytes += b->len;
		b->rx_ns = now_ns;
		b->marks = q->marks;
		qb_batch_add(out, b);
	}
	qb_count_add(cnt, QB_CNT_TUN_RX, out->cnt - before);
	qb_count_add(cnt, QB_CNT_TUN_RX_BYTES, bytes);
	return out->cnt - before;
}

/* ---- writing ---- */

static void write_run(struct qb_tun_queue *q, struct qb_counters *cnt, const struct qb_batch *in,
		      const struct qb_run *run)
{
	struct iovec iov[1 + QB_BATCH_MAX];
	struct virtio_net_hdr_v1 vh;
	ssize_t written;
	uint32_t piece_cnt = qb_joiner_build(&q->joiner, in, run, &vh, iov + 1);

	iov[0] = (struct iovec){.iov_base = &vh, .iov_len = sizeof(vh)};
	written = writev(q->fd, iov, (int)piece_cnt + 1);
	if (written < 0) {
		qb_count_add(cnt, QB_CNT_DROP_TUN_WRITE, run->cnt);
		return;
	}
	qb_count_add(cnt, QB_CNT_TUN_TX, run->cnt);
	/* Each of the packets had the headers that only the first has here. */
	qb_count_add(cnt, QB_CNT_TUN_TX_BYTES,
		     (uint64_t)written - sizeof(vh) + (run->cnt - 1u) * run->hdr_len);
	if (run->cnt > 1)
		qb_count(cnt, QB_CNT_TUN_TX_SUPER);
}

/* write_single is for a device without offloads, which refuses virtio headers that ask for any. */
static void write_single(struct qb_tun_queue *q, struct qb_counters *cnt, const struct qb_buf *b)
{
	struct virtio_net_hdr_v1 vh = {.flags = 0};
	struct iovec iov[2] = {{&vh, sizeof(vh)}, {b->data, b->len}};

	if (writev(q->fd, iov, 2) < 0) {
		qb_count(cnt, QB_CNT_DROP_TUN_WRITE);
		return;
	}
	qb_count(cnt, QB_CNT_TUN_TX);
	qb_count_add(cnt, QB_CNT_TUN_TX_BYTES, b->len);
}

void qb_tun_write(struct qb_tun_queue *q, struct qb_pool *pool, struct qb_counters *cnt,
		  struct qb_batch *in)
{
	if (q->has_offload) {
		qb_joiner_plan(&q->joiner, in, q->has_uso);
		for (uint32_t i = 0; i < q->joiner.run_cnt; i++)
			write_run(q, cnt, in, &q->joiner.run[i]);
	} else {
		for (uint32_t i = 0; i < in->cnt; i++)
			write_single(q, cnt, in->buf[i]);
	}
	qb_batch_put(pool, in);
}
