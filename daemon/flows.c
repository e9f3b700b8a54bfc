/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heaviest flows for the control socket: each worker looks through the meters of its tunnels on its own thread, and
 * keeps the best. Main thread.
 */
#include "daemon.h"

#include <stdio.h>
#include <stdlib.h>

struct search {
	const struct qb_daemon *d;
	struct qb_flows *out;
};

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static void name_protocol(char *out, size_t len, uint8_t proto)
{
	static const struct {
		uint8_t proto;
		const char *name;
	} names[] = {{1, "icmp"}, {6, "tcp"}, {17, "udp"}, {47, "gre"}, {50, "esp"}, {58, "icmpv6"}, {132, "sctp"}};

	snprintf(out, len, "%u", proto);
	for (size_t i = 0; i < QB_ARRAY_LEN(names); i++)
		if (names[i].proto == proto)
			snprintf(out, len, "%s", names[i].name);
}

void qb_flows_name_path(const struct qb_daemon *d, const struct qb_tunnel *t, uint8_t path, char *out, size_t len)
{
	const struct qb_tunnel_path *p = &t->paths[path];
	struct qb_path_info info;

	if (d->conf->role == QB_ROLE_EDGE && p->link < QB_NODE_LINKS_MAX)
		snprintf(out, len, "%s", d->uplinks[p->link].conf.name);
	else if (qb_conn_path_info(t->conn, path, qb_now_ns(), &info))
		snprintf(out, len, "path%u", info.path_id);
}

static void fill_paths(const struct search *s, const struct qb_tunnel *t, const struct qb_meter_flow *f,
		       struct qb_flow_status *out)
{
	uint64_t total = (uint64_t)f->now.bytes + f->last.bytes;

	for (uint8_t i = 0; i < QB_METER_PATHS; i++) {
		uint64_t bytes = (uint64_t)f->now.by_path[i] + f->last.by_path[i];

		char name[sizeof(out->paths[0].link)] = "";
		uint32_t at = 0;

		if (bytes == 0 || !t->paths[i].is_used)
			continue;
		qb_flows_name_path(s->d, t, i, name, sizeof(name));
		/* An edge's link may have several paths. */
		while (at < out->path_cnt && strcmp(out->paths[at].link, name) != 0)
			at++;
		out->path_cnt = QB_MAX(out->path_cnt, at + 1);
		memcpy(out->paths[at].link, name, sizeof(name));
		out->paths[at].share += (double)bytes / (double)total;
	}
}

static void fill(const struct search *s, const struct qb_tunnel *t, enum qb_bond_direction dir,
		 const struct qb_meter_flow *f, uint64_t now_ns, struct qb_flow_status *out)
{
	uint64_t delay_ns = (f->now.delay_sum_ns + f->last.delay_sum_ns) / QB_MAX(f->now.samples + f->last.samples, 1u);
	uint64_t max_ns = qb_max_u64(f->now.delay_max_ns, f->last.delay_max_ns);

	out->direction = dir == QB_BOND_TX ? "tx" : "rx";
	if (s->d->conf->role == QB_ROLE_HUB && t->site < s->d->conf->site_cnt)
		snprintf(out->site, sizeof(out->site), "%s", s->d->sites[t->site].conf->name);
	name_protocol(out->protocol, sizeof(out->protocol), f->proto);
	qb_addr_format(&f->src, out->source);
	qb_addr_format(&f->dst, out->destination);
	out->class = f->class ? qb_class_name((enum qb_class)f->class) : NULL;
	fill_paths(s, t, f, out);
	if (dir == QB_BOND_TX) {
		out->queue_ms = ms(delay_ns);
		out->queue_max_ms = ms(max_ns);
	} else {
		out->hold_ms = ms(delay_ns);
		out->hold_max_ms = ms(max_ns);
	}
	out->bytes = f->bytes;
	out->drops = f->drops;
	out->marks = f->marks;
	out->age_s = (double)qb_sub_sat_u64(now_ns, f->since_ns) / 1e9;
}

/* place finds room for a flow of that rate, the heaviest first. NULL: there are heavier ones enough. */
static struct qb_flow_status *place(struct qb_flows *out, uint64_t bps)
{
	uint32_t at = out->cnt;

	while (at > 0 && out->f[at - 1].bps < bps)
		at--;
	if (at == QB_STATUS_FLOWS_MAX)
		return NULL;
	out->cnt = QB_MIN(out->cnt + 1, (uint32_t)QB_STATUS_FLOWS_MAX);
	memmove(&out->f[at + 1], &out->f[at], (out->cnt - at - 1) * sizeof(out->f[0]));
	out->f[at] = (struct qb_flow_status){.bps = bps};
	return &out->f[at];
}

static void look_at(struct search *s, struct qb_tunnel *t, enum qb_bond_direction dir, uint64_t now_ns)
{
	const struct qb_meter *m = qb_bond_meter(t->bond, dir, now_ns);

	for (uint32_t i = 0; m && i < QB_METER_FLOWS; i++) {
		uint64_t bps = m->hash[i] ? qb_meter_bps(m, &m->flows[i], now_ns) : 0;
		struct qb_flow_status *out = bps ? place(s->out, bps) : NULL;

		if (out)
			fill(s, t, dir, &m->flows[i], now_ns, out);
	}
}

static void collect(struct qb_worker *w, void *arg)
{
	uint64_t now_ns = qb_now_ns();

	for (struct qb_tunnel *t = w->node->tunnels; t; t = t->next) {
		if (!t->is_open)
			continue;
		look_at(arg, t, QB_BOND_TX, now_ns);
		look_at(arg, t, QB_BOND_RX, now_ns);
	}
}

int qb_flows_fill(void *arg, struct qb_flows *out, char *err)
{
	struct search s = {.d = arg, .out = out};

	(void)err;
	for (uint16_t w = 0; w < s.d->worker_cnt; w++)
		qb_worker_call(&s.d->workers[w], collect, &s);
	return 0;
}
