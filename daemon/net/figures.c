/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel counts of sockets: XDP_STATISTICS and ring levels of a queue, buffers and drops
 * of UDP sockets. Read by the main thread while workers go on; nothing is kept here.
 */
#include <linux/sock_diag.h>
#include <stddef.h>
#include <sys/socket.h>

#include "net/udp.h"
#include "net/xif.h"
#include "net/xsk_queue.h"

struct statistic {
	const char *name;
	size_t off;
	bool is_of_queue; /* every socket on the queue tells the same */
};

/* clang-format off */
static const struct statistic statistics[] = {
	{"rx_dropped",         offsetof(struct xdp_statistics, rx_dropped),               false},
	{"rx_ring_full",       offsetof(struct xdp_statistics, rx_ring_full),             false},
	{"rx_fill_ring_empty", offsetof(struct xdp_statistics, rx_fill_ring_empty_descs), true},
	{"rx_invalid_descs",   offsetof(struct xdp_statistics, rx_invalid_descs),         true},
	{"tx_invalid_descs",   offsetof(struct xdp_statistics, tx_invalid_descs),         false},
	{"tx_ring_empty",      offsetof(struct xdp_statistics, tx_ring_empty_descs),      false},
};

enum level { LEVEL_FILL, LEVEL_FILL_TARGET, LEVEL_RX, LEVEL_TX, LEVEL_COMPLETION, LEVEL_RING,
	     LEVEL_UMEM, LEVEL_FRAME, LEVEL_WAKEUP, LEVEL_BUSY_POLL, LEVEL_BUSY_POLLED, LEVEL_CNT };
static const char *const level_names[LEVEL_CNT] = {
	[LEVEL_FILL]        = "fill_level",
	[LEVEL_FILL_TARGET] = "fill_target",
	[LEVEL_RX]          = "rx_level",
	[LEVEL_TX]          = "tx_level",
	[LEVEL_COMPLETION]  = "completion_level",
	[LEVEL_RING]        = "ring_size",
	[LEVEL_UMEM]        = "umem_frames",
	[LEVEL_FRAME]       = "frame_bytes",
	[LEVEL_WAKEUP]      = "need_wakeup",
	[LEVEL_BUSY_POLL]   = "busy_poll_sockets",
	[LEVEL_BUSY_POLLED] = "busy_polled_packets",
};

static const struct {
	const char *name;
	int idx;
} meminfo[] = {
	{"rx_queued_bytes", SK_MEMINFO_RMEM_ALLOC},
	{"rx_buffer_bytes", SK_MEMINFO_RCVBUF},
	{"tx_queued_bytes", SK_MEMINFO_WMEM_ALLOC},
	{"tx_buffer_bytes", SK_MEMINFO_SNDBUF},
	{"drops",           SK_MEMINFO_DROPS},
};
/* clang-format on */

_Static_assert(QB_ARRAY_LEN(statistics) + LEVEL_CNT <= QB_NET_FIGURES_MAX, "figures of a queue");
_Static_assert(QB_ARRAY_LEN(meminfo) <= QB_NET_FIGURES_MAX, "figures of a socket");

/* ---- AF_XDP ---- */

static void add_statistics(int fd, bool is_queue, struct qb_figure *out)
{
	struct xdp_statistics s = {0};
	socklen_t len = sizeof(s);

	if (getsockopt(fd, SOL_XDP, XDP_STATISTICS, &s, &len) != 0)
		return;
	for (size_t i = 0; i < QB_ARRAY_LEN(statistics); i++) {
		uint64_t value;

		memcpy(&value, (const uint8_t *)&s + statistics[i].off, sizeof(value));
		if (statistics[i].is_of_queue == is_queue)
			out[i].value += value;
	}
}

/* Entries that the one side has put into a ring and the other has not taken out. */
static uint32_t level(const uint32_t *producer, const uint32_t *consumer)
{
	if (producer == NULL)
		return 0;
	return __atomic_load_n(producer, __ATOMIC_RELAXED) -
	       __atomic_load_n(consumer, __ATOMIC_RELAXED);
}

static bool prefers_busy_poll(int fd)
{
	int prefers = 0;
	socklen_t len = sizeof(prefers);

	return getsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &prefers, &len) == 0 && prefers;
}

static void add_worker(const struct qb_net_if_worker *w, uint32_t no, struct qb_figure *out)
{
	struct qb_figure *levels = out + QB_ARRAY_LEN(statistics);

	if (!w->has_sockets)
		return;
	add_statistics(w->fds[no], false, out);
	levels[LEVEL_BUSY_POLL].value += prefers_busy_poll(w->fds[no]);
	levels[LEVEL_RX].value += level(w->rings[no].rx.producer, w->rings[no].rx.consumer);
	levels[LEVEL_TX].value += level(w->rings[no].tx.producer, w->rings[no].tx.consumer);
}

uint32_t qb_net_if_queue_figures(struct qb_net_if *i, uint32_t no, struct qb_figure *out)
{
	struct qb_figure *levels = out + QB_ARRAY_LEN(statistics);
	const struct qb_xsk_queue *q;

	pthread_mutex_lock(&i->lock);
	q = no < i->queue_cnt ? i->queue[no] : NULL;
	for (size_t k = 0; q && k < QB_ARRAY_LEN(statistics); k++)
		out[k] = (struct qb_figure){.name = statistics[k].name};
	for (size_t k = 0; q && k < LEVEL_CNT; k++)
		levels[k] = (struct qb_figure){.name = level_names[k]};
	if (q) {
		add_statistics(q->fd, true, out);
		for (uint32_t w = 0; w < i->cfg.worker_cnt; w++)
			add_worker(&i->worker[w], no, out);
		levels[LEVEL_FILL].value = level(q->fill.producer, q->fill.consumer);
		levels[LEVEL_FILL_TARGET].value = qb_xsk_fill_target(q);
		levels[LEVEL_COMPLETION].value = level(q->comp.producer, q->comp.consumer);
		levels[LEVEL_RING].value = i->cfg.ring_size;
		levels[LEVEL_UMEM].value = q->depot->umem_cnt;
		levels[LEVEL_FRAME].value = q->depot->frame_bytes;
		levels[LEVEL_WAKEUP].value = !i->cfg.is_wakeup_off;
		levels[LEVEL_BUSY_POLLED].value = qb_net_busy_polled();
	}
	pthread_mutex_unlock(&i->lock);
	return q ? (uint32_t)(QB_ARRAY_LEN(statistics) + LEVEL_CNT) : 0;
}

/* ---- UDP ---- */

uint32_t qb_udp_figures(const struct qb_net *n, struct qb_figure *out)
{
	const struct qb_udp *u = (const struct qb_udp *)n;

	for (uint32_t f = 0; f < 2; f++) {
		uint32_t info[SK_MEMINFO_VARS] = {0};
		socklen_t len = sizeof(info);

		if (u->fd[f] < 0 || getsockopt(u->fd[f], SOL_SOCKET, SO_MEMINFO, info, &len) != 0)
			continue;
		for (size_t i = 0; i < QB_ARRAY_LEN(meminfo); i++)
			out[i].value += info[meminfo[i].idx];
	}
	for (size_t i = 0; i < QB_ARRAY_LEN(meminfo); i++)
		out[i].name = meminfo[i].name;
	return QB_ARRAY_LEN(meminfo);
}
