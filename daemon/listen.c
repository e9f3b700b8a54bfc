/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hub's ports on the main thread: one a worker for each listen address, on the interfaces that [Listen] names or on all; and
 * the guard before them. An interface that goes takes its ports with it; they are opened again when it is back.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>

/* ---- ports ---- */

struct port_call {
	uint32_t idx;
	struct qb_net *net;
};

static void do_add_port(struct qb_worker *w, void *arg)
{
	struct port_call *c = arg;

	qb_worker_add_port(w, c->idx, c->net);
}

static void do_del_port(struct qb_worker *w, void *arg)
{
	struct port_call *c = arg;

	qb_worker_del_port(w, c->idx);
}

static int open_port(struct qb_daemon *d, uint32_t idx, const struct qb_addr *addr, struct qb_net_if *xif,
		     const char *ifname, char *err)
{
	char text[QB_ADDR_STRLEN], why[160];

	for (uint16_t w = 0; w < d->worker_cnt; w++) {
		struct qb_net_cfg cfg = {
			.xif = xif,
			.local = *addr,
			.is_bound_to_device = ifname != NULL,
			.link = (uint16_t)idx,
			.worker = w,
			.worker_cnt = d->worker_cnt,
			.is_server = true,
			.guard = d->guard,
			.depot = &d->depot,
			.counters = &d->workers[w].counters,
		};
		struct port_call call = {.idx = idx};
		int ret;

		if (ifname)
			snprintf(cfg.ifname, sizeof(cfg.ifname), "%s", ifname);
		ret = qb_net_open(&cfg, &call.net, why);
		if (ret) {
			snprintf(err, QB_ERR_LEN, "cannot listen on %s: %s", qb_addr_format(addr, text), why);
			return ret;
		}
		qb_worker_call(&d->workers[w], do_add_port, &call);
	}
	if (xif)
		qb_net_if_add_port(xif, addr->port);
	return 0;
}

/* ---- interfaces ---- */

/* Ports are numbered by address, then by interface. */
static uint32_t port_idx(const struct qb_daemon *d, uint32_t addr, uint32_t i)
{
	return addr * QB_MAX(d->conf->listen.if_cnt, 1) + i;
}

static void close_if(struct qb_daemon *d, uint32_t i)
{
	struct qb_listen *l = &d->listens[i];

	for (uint32_t a = 0; a < d->conf->listen.addr_cnt; a++) {
		struct port_call call = {.idx = port_idx(d, a, i)};

		for (uint16_t w = 0; w < d->worker_cnt; w++)
			qb_worker_call(&d->workers[w], do_del_port, &call);
	}
	qb_net_if_close(l->xif);
	l->xif = NULL;
	l->is_open = false;
}

static int open_xdp(struct qb_daemon *d, uint32_t i, char *err)
{
	const struct qb_conf *c = d->conf;
	struct qb_listen *l = &d->listens[i];
	struct qb_net_if_cfg cfg = {
		.mode = QB_IO_AUTO,
		.worker_cnt = d->worker_cnt,
		.guard = d->guard,
		.is_busy_polled = c->listen.xdp.is_busy_polled,
		.is_wakeup_off = !c->listen.xdp.has_wakeup,
		.ring_size = c->listen.xdp.ring_size,
		.frame_bytes = c->frame_bytes,
		.may_fall_back = l->was_open,
	};
	int ret;

	if (qb_io_mode_parse(c->listen.io, &cfg.mode))
		cfg.mode = QB_IO_AUTO;
	cfg.ifindex = l->ifindex;
	snprintf(cfg.ifname, sizeof(cfg.ifname), "%s", c->listen.ifnames[i]);
	ret = qb_net_if_open(&cfg, &l->xif);
	if (ret)
		snprintf(err, QB_ERR_LEN, "[Listen] Io = %s cannot be had on %s: %.120s", c->listen.io,
			 c->listen.ifnames[i], l->xif ? qb_net_if_reason(l->xif) : strerror(-ret));
	return ret;
}

static int open_if(struct qb_daemon *d, uint32_t i, char *err)
{
	const struct qb_conf *c = d->conf;
	struct qb_listen *l = &d->listens[i];
	const struct qb_if *iface = qb_nl_if_by_name(d->nl, c->listen.ifnames[i]);
	int ret;

	if (!iface) {
		snprintf(err, QB_ERR_LEN, "[Listen] Interface: there is no %s", c->listen.ifnames[i]);
		return -ENODEV;
	}
	l->ifindex = iface->ifindex;
	l->is_up = iface->is_up;
	ret = open_xdp(d, i, err);
	for (uint32_t a = 0; !ret && a < c->listen.addr_cnt; a++)
		ret = open_port(d, port_idx(d, a, i), &c->listen.addrs[a], l->xif, c->listen.ifnames[i], err);
	if (ret) {
		close_if(d, i);
		return ret;
	}
	l->is_open = l->was_open = true;
	qb_info("listening on %s with %s: %s", c->listen.ifnames[i], qb_io_mode_name(qb_net_if_mode(l->xif)),
		qb_net_if_reason(l->xif));
	return 0;
}

int qb_listen_open(struct qb_daemon *d, char err[QB_ERR_LEN])
{
	const struct qb_conf *c = d->conf;
	int ret = qb_guard_open(d->worker_cnt, &d->guard);

	if (ret)
		qb_warn("no guard before the ports: BPF cannot be had: %s", strerror(-ret));
	qb_shield_open(d);
	if (c->listen.addr_cnt * QB_MAX(c->listen.if_cnt, 1) > QB_PORTS_MAX) {
		snprintf(err, QB_ERR_LEN, "[Listen]: more than %d pairs of address and interface", QB_PORTS_MAX);
		return -E2BIG;
	}
	ret = 0;
	for (uint32_t i = 0; !ret && i < c->listen.if_cnt; i++)
		ret = open_if(d, i, err);
	for (uint32_t a = 0; !ret && c->listen.if_cnt == 0 && a < c->listen.addr_cnt; a++)
		ret = open_port(d, port_idx(d, a, 0), &c->listen.addrs[a], NULL, NULL, err);
	return ret;
}

/*
 * A device that went is another one when it is back, whatever its name. One that was down may have lost its rings, and one that
 * had no zero-copy while it was down may have it now.
 */
static void refresh_if(struct qb_daemon *d, uint32_t i)
{
	struct qb_listen *l = &d->listens[i];
	const char *name = d->conf->listen.ifnames[i];
	const struct qb_if *iface = qb_nl_if_by_name(d->nl, name);
	bool was_open = l->is_open, is_another = !iface || iface->ifindex != l->ifindex;
	char err[QB_ERR_LEN] = "the interface is gone";

	if (l->is_open && (is_another || (iface->is_up && !l->is_up)))
		close_if(d, i);
	if (iface && !l->is_open)
		(void)open_if(d, i, err);
	else if (l->is_open)
		qb_net_if_refresh(l->xif);
	l->is_up = iface && iface->is_up;
	if (was_open != l->is_open)
		qb_daemon_emit(d, "listen", name, was_open ? "open" : "absent", was_open ? "absent" : "open",
			       was_open ? err : "");
}

void qb_listen_refresh(struct qb_daemon *d)
{
	for (uint32_t i = 0; d->conf->role == QB_ROLE_HUB && i < d->conf->listen.if_cnt; i++)
		refresh_if(d, i);
}

void qb_listen_close(struct qb_daemon *d)
{
	for (uint32_t i = 0; i < QB_CONF_LISTEN_MAX; i++)
		qb_net_if_close(d->listens[i].xif);
	qb_shield_close(d);
}

/* An interface may be back before its address is, or before the kernel has let go of what was there. */
static void check_if(struct qb_daemon *d, uint32_t i)
{
	struct qb_listen *l = &d->listens[i];
	const char *why = l->is_open ? qb_net_if_check(l->xif) : NULL;
	char err[QB_ERR_LEN];

	if (why) {
		enum qb_io_mode was = qb_net_if_mode(l->xif);

		close_if(d, i);
		if (open_if(d, i, err) == 0)
			qb_daemon_emit(d, "io", d->conf->listen.ifnames[i], qb_io_mode_name(was),
				       qb_io_mode_name(qb_net_if_mode(l->xif)), why);
	}
	if (!l->is_open)
		refresh_if(d, i);
}

static void check_ifs(struct qb_daemon *d, uint64_t now_ns)
{
	if (d->conf->role != QB_ROLE_HUB || now_ns - d->listen_ns < QB_NS_PER_SEC)
		return;
	d->listen_ns = now_ns;
	for (uint32_t i = 0; i < d->conf->listen.if_cnt; i++)
		check_if(d, i);
}

void qb_listen_poll(struct qb_daemon *d)
{
	uint64_t now_ns = qb_now_ns();

	check_ifs(d, now_ns);
	qb_shield_poll(d, now_ns);
}

