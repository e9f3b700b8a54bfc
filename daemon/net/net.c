/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registry of packet I/O backends, and the front door's functions, which only pass the call on.
 * Called by the workers for their own ports; nothing here is shared between threads.
 */
#include "net/net.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "net/xif.h"
#include "net/internal.h"

struct mode_row {
	const char *name;
	const struct qb_net_ops *ops;
};

/* clang-format off */
static const struct mode_row mode_rows[QB_IO_MODE_CNT] = {
	[QB_IO_AUTO]         = {"auto",         &qb_net_udp},
	[QB_IO_XDP_ZEROCOPY] = {"xdp-zerocopy", &qb_net_xsk},
	[QB_IO_XDP_COPY]     = {"xdp-copy",     &qb_net_xsk},
	[QB_IO_XDP_GENERIC]  = {"xdp-generic",  &qb_net_xsk},
	[QB_IO_UDP]          = {"udp",          &qb_net_udp},
	[QB_IO_URING]        = {"uring",        &qb_net_uring},
};
/* clang-format on */

static pthread_once_t seed_once = PTHREAD_ONCE_INIT;
static uint32_t seed;

const char *qb_io_mode_name(enum qb_io_mode m)
{
	return (unsigned int)m < QB_IO_MODE_CNT ? mode_rows[m].name : "unknown";
}

int qb_io_mode_parse(const char *text, enum qb_io_mode *out)
{
	for (unsigned int m = 0; m < QB_IO_MODE_CNT; m++) {
		if (strcasecmp(text, mode_rows[m].name) == 0) {
			*out = (enum qb_io_mode)m;
			return 0;
		}
	}
	return -EINVAL;
}

void qb_net_base_init(struct qb_net *n, const struct qb_net_ops *ops, const struct qb_net_cfg *cfg)
{
	n->ops = ops;
	n->cfg = *cfg;
	n->counters = cfg->counters ? cfg->counters : &n->own_counters;
	n->mode = QB_IO_UDP;
	if (cfg->xif)
		snprintf(n->reason, sizeof(n->reason), "%s", qb_net_if_reason(cfg->xif));
	else
		snprintf(n->reason, sizeof(n->reason), "UDP sockets on any interface");
}

bool qb_net_is_link_fault(int err)
{
	return err == ENETDOWN || err == ENODEV || err == ENETUNREACH;
}

const char *qb_net_ifname(const struct qb_net_cfg *cfg)
{
	if (cfg->ifname[0])
		return cfg->ifname;
	return cfg->xif ? cfg->xif->cfg.ifname : "";
}

static void draw_seed(void)
{
	struct timespec ts;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == (ssize_t)sizeof(seed))
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	seed = (uint32_t)ts.tv_nsec;
}

uint32_t qb_net_steer_seed(void)
{
	pthread_once(&seed_once, draw_seed);
	return seed;
}

int qb_net_open(const struct qb_net_cfg *cfg, struct qb_net **out, char err[160])
{
	enum qb_io_mode mode = cfg->xif ? qb_net_if_mode(cfg->xif) : QB_IO_UDP;

	*out = NULL;
	err[0] = '\0';
	if (cfg->depot == NULL || cfg->worker >= QB_MAX(cfg->worker_cnt, 1) ||
	    (cfg->xif && cfg->worker >= cfg->xif->cfg.worker_cnt) ||
	    (cfg->local.family != 0 && cfg->local.family != 4 && cfg->local.family != 6)) {
		snprintf(err, QB_NET_ERR_LEN, "bad worker number or address family");
		return -EINVAL;
	}
	return mode_rows[mode].ops->open(cfg, out, err);
}

void qb_net_close(struct qb_net *n)
{
	if (n)
		n->ops->close(n);
}

void qb_net_local(const struct qb_net *n, struct qb_addr *out)
{
	n->ops->local(n, out);
}

uint32_t qb_net_fds(const struct qb_net *n, int *fds, uint32_t cap)
{
	return n->ops->fds(n, fds, cap);
}

uint32_t qb_net_recv(struct qb_net *n, struct qb_pool *pool, struct qb_batch *out)
{
	uint32_t cnt = n->ops->recv(n, pool, out);

	if (cnt)
		qb_count(n->counters, QB_CNT_IO_RX_BATCHES);
	return cnt;
}

int qb_net_send(struct qb_net *n, struct qb_pool *pool, struct qb_batch *in)
{
	if (in->cnt == 0)
		return 0;
	qb_count(n->counters, QB_CNT_IO_TX_BATCHES);
	return n->ops->send(n, pool, in);
}

uint32_t qb_net_socket_figures(const struct qb_net *n, struct qb_figure *out)
{
	return n->ops->figures(n, out);
}

enum qb_io_mode qb_net_mode(const struct qb_net *n)
{
	return n->mode;
}

const char *qb_net_reason(const struct qb_net *n)
{
	return n->reason;
}

void qb_net_set_hop(struct qb_net *n, uint8_t family, const struct qb_addr *peer,
		    const uint8_t src_mac[6], const uint8_t *dst_mac)
{
	if (n->ops->set_hop)
		n->ops->set_hop(n, family, peer, src_mac, dst_mac);
}
