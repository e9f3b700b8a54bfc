/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `quicbondctl tun` shows: the TUN device as the kernel has it, the routes that lead into it,
 * and what each worker's queue carries. Main thread.
 */
#include "daemon.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

static void add_route(struct qb_tun_status *t, const struct qb_nl_route *r, const char *site)
{
	uint32_t i = t->route_cnt;

	if (i == QB_ARRAY_LEN(t->routes))
		return;
	t->route_cnt++;
	qb_prefix_format(&r->dst, t->routes[i].prefix);
	t->routes[i].table = r->table ? r->table : (uint32_t)RT_TABLE_MAIN;
	snprintf(t->routes[i].site, sizeof(t->routes[i].site), "%s", site);
}

static void add_routes(const struct qb_daemon *d, struct qb_tun_status *t)
{
	for (uint32_t i = 0; i < d->route_cnt; i++)
		add_route(t, &d->routes[i], "");
	for (uint32_t s = 0; d->conf->role == QB_ROLE_HUB && s < d->conf->site_cnt; s++)
		for (uint32_t i = 0; i < d->sites[s].kernel_cnt; i++)
			add_route(t, &d->sites[s].kernel[i], d->sites[s].conf->name);
}

static void add_queues(const struct qb_daemon *d, struct qb_tun_status *t)
{
	_Static_assert((int)QB_WORKERS_MAX <= (int)QB_TUN_QUEUES_MAX, "a queue a worker");

	for (uint16_t w = 0; w < d->worker_cnt; w++) {
		const struct qb_counters *c = &d->workers[w].counters;

		t->queues[t->queue_cnt++] = (struct qb_tun_queue_status){
			.queue = w,
			.worker = w,
			.is_on = d->conf->role == QB_ROLE_HUB || d->lanes[w].is_steered,
			.rx_packets = qb_counter_read(c, QB_CNT_TUN_RX),
			.rx_bytes = qb_counter_read(c, QB_CNT_TUN_RX_BYTES),
			.rx_super = qb_counter_read(c, QB_CNT_TUN_RX_SUPER),
			.rx_malformed = qb_counter_read(c, QB_CNT_DROP_TUN_MALFORMED),
			.tx_packets = qb_counter_read(c, QB_CNT_TUN_TX),
			.tx_bytes = qb_counter_read(c, QB_CNT_TUN_TX_BYTES),
			.tx_super = qb_counter_read(c, QB_CNT_TUN_TX_SUPER),
			.tx_refused = qb_counter_read(c, QB_CNT_DROP_TUN_WRITE),
		};
	}
}

int qb_device_fill(void *arg, struct qb_tun_status *t, char *err)
{
	struct qb_daemon *d = arg;
	struct qb_prefix addrs[QB_TUN_ADDRS_MAX];
	struct qb_nl_stats stats;
	int ret = qb_nl_stats_read(d->nl, qb_tun_ifindex(d->tun), &stats);

	if (ret) {
		snprintf(err, QB_ERR_LEN, "the kernel does not tell of %s: %s", qb_tun_name(d->tun),
			 strerror(-ret));
		return ret;
	}
	snprintf(t->device, sizeof(t->device), "%s", qb_tun_name(d->tun));
	t->ifindex = qb_tun_ifindex(d->tun);
	t->is_up = stats.is_up;
	t->mtu_bytes = stats.mtu_bytes;
	t->queue_len = stats.queue_len;
	t->is_mtu_auto = d->conf->tunnel.mtu_bytes == 0;
	t->kernel_dropped = stats.tx_dropped;
	t->kernel_errors = stats.tx_errors + stats.rx_errors;
	qb_tun_offloads(d->tun, &t->has_tso, &t->has_uso);
	t->address_cnt = qb_nl_addresses(d->nl, t->ifindex, addrs, QB_TUN_ADDRS_MAX);
	for (uint32_t i = 0; i < t->address_cnt; i++)
		qb_prefix_format(&addrs[i], t->addresses[i]);
	add_routes(d, t);
	add_queues(d, t);
	return 0;
}
