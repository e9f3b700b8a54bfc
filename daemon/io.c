/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `quicbondctl io` shows: of each interface how packets come and go and why, what the kernel and the XDP program count, how
 * full the rings and buffers are; the guard; and what each stage of the way through costs. Main thread, which opens and closes the ports.
 */
#include "daemon.h"

#include <stdio.h>

static struct qb_io_if *new_if(struct qb_daemon *d, struct qb_io_status *st, const char *name, const char *ifname)
{
	const struct qb_if *iface = qb_nl_if_by_name(d->nl, ifname);
	struct qb_io_if *i;

	if (st->if_cnt == QB_ARRAY_LEN(st->ifs))
		return NULL;
	i = &st->ifs[st->if_cnt++];
	snprintf(i->name, sizeof(i->name), "%s", name);
	snprintf(i->ifname, sizeof(i->ifname), "%s", ifname);
	if (iface)
		(void)qb_net_offers(iface->ifindex, i->offers, sizeof(i->offers));
	return i;
}

static void add_xif(struct qb_io_if *i, struct qb_net_if *xif)
{
	const char *name;
	uint64_t value;
	uint32_t cnt;

	for (uint32_t k = 0; k < QB_IO_FIGURES_MAX && (name = qb_net_if_counter(xif, k, &value)); k++)
		i->program.f[i->program.cnt++] = (struct qb_figure){name, value};
	for (uint32_t q = 0; q < QB_IO_QUEUES_MAX; q++) {
		cnt = qb_net_if_queue_figures(xif, q, i->queues[q].f);
		if (cnt == 0)
			break;
		i->queues[q].cnt = cnt;
		i->queue_cnt = q + 1;
	}
}

/* A port of a worker's; all ports of an interface work the same way. */
static void add_port(struct qb_io_if *i, const struct qb_net *net)
{
	snprintf(i->io, sizeof(i->io), "%s", qb_io_mode_name(qb_net_mode(net)));
	snprintf(i->reason, sizeof(i->reason), "%s", qb_net_reason(net));
	i->sockets.cnt = qb_net_socket_figures(net, i->sockets.f);
}

static void add_uplinks(struct qb_daemon *d, struct qb_io_status *st)
{
	for (uint32_t k = 0; k < QB_NODE_LINKS_MAX; k++) {
		const struct qb_uplink *u = &d->uplinks[k];
		struct qb_io_if *i = u->is_used ? new_if(d, st, u->conf.name, u->conf.ifname) : NULL;

		if (!i)
			continue;
		snprintf(i->reason, sizeof(i->reason), "%s", u->reason);
		if (!u->is_open)
			continue;
		for (uint16_t w = 0; w < d->worker_cnt; w++)
			if (d->workers[w].ports[k].net)
				add_port(i, d->workers[w].ports[k].net);
		add_xif(i, u->xif);
	}
}

static void add_listens(struct qb_daemon *d, struct qb_io_status *st)
{
	const struct qb_conf *c = d->conf;
	uint32_t if_cnt = QB_MAX(c->listen.if_cnt, 1);

	for (uint32_t k = 0; k < if_cnt; k++) {
		struct qb_io_if *i = new_if(d, st, "", c->listen.if_cnt ? c->listen.ifnames[k] : "any");

		for (uint32_t a = 0; i && a < c->listen.addr_cnt; a++)
			for (uint16_t w = 0; w < d->worker_cnt; w++)
				if (d->workers[w].ports[a * if_cnt + k].net)
					add_port(i, d->workers[w].ports[a * if_cnt + k].net);
		if (i && d->listens[k].xif)
			add_xif(i, d->listens[k].xif);
	}
}

static void add_stages(const struct qb_daemon *d, struct qb_io_status *st)
{
	static const char *const names[] = {
#define NAME(id, name) [QB_STAGE_##id] = name,
		QB_STAGES(NAME)
#undef NAME
	};

	_Static_assert((int)QB_STAGE_CNT <= (int)QB_IO_STAGES_MAX, "room for all stages");
	st->stage_cnt = QB_STAGE_CNT;
	for (uint32_t k = 0; k < QB_STAGE_CNT; k++) {
		st->stages[k] = (struct qb_io_stage){.name = names[k]};
		for (uint16_t w = 0; w < d->worker_cnt; w++) {
			const struct qb_stages *s = &d->workers[w].stages;

			st->stages[k].packets += atomic_load_explicit(&s->packets[k], memory_order_relaxed);
			st->stages[k].ns += atomic_load_explicit(&s->ns[k], memory_order_relaxed);
		}
	}
}

int qb_io_fill(void *arg, struct qb_io_status *st, char *err)
{
	struct qb_daemon *d = arg;
	const char *name;
	uint64_t value;

	(void)err;
	if (d->conf->role == QB_ROLE_EDGE)
		add_uplinks(d, st);
	else
		add_listens(d, st);
	for (uint32_t k = 0; d->guard && (name = qb_guard_counter(d->guard, k, &value)); k++)
		if (st->guard.cnt < QB_IO_FIGURES_MAX)
			st->guard.f[st->guard.cnt++] = (struct qb_figure){name, value};
	add_stages(d, st);
	return 0;
}
