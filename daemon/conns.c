/* SPDX-License-Identifier: BSD-2-Clause */
/* The QUIC connections for the control socket, as each worker finds them on its own thread. Main thread. */
#include "daemon.h"

#include <stdio.h>

struct search {
	struct qb_daemon *d;
	struct qb_ctl_conns *out;
};

/* use_of: what a connection is for. */
static const char *use_of(const struct qb_node *n, struct qb_conn *c)
{
	const struct qb_tunnel *t = qb_conn_user(c);

	if (n->role == QB_ROLE_EDGE && n->edge.errand == c)
		return "tickets";
	if (t)
		return t->is_open ? "tunnel" : "opening";
	return "";
}

static void sum_paths(const struct qb_conn *c, struct qb_ctl_conn *out, uint64_t now_ns)
{
	struct qb_path_info p;

	for (uint8_t i = 0; i < QB_PATHS_MAX; i++) {
		if (!qb_conn_path_info(c, i, now_ns, &p))
			continue;
		if (!out->paths++)
			qb_addr_format(&p.tuple.peer, out->peer);
		out->tx_bytes += p.tx_bytes;
		out->rx_bytes += p.rx_bytes;
	}
}

static void fill(const struct search *s, const struct qb_worker *w, struct qb_conn *c, struct qb_ctl_conn *out)
{
	uint64_t now_ns = qb_now_ns();
	struct qb_conn_info info;

	qb_conn_get_info(c, &info);
	*out = (struct qb_ctl_conn){
		.worker = w->idx,
		.use = use_of(w->node, c),
		.state = info.state,
		.version = info.version == QB_QUIC_V2 ? 2 : 1,
		.cipher = info.is_established ? qb_suite_name(info.suite) : "",
		.is_resumed = info.is_resumed,
		.is_early = info.early == QB_TLS_EARLY_ACCEPTED,
		.is_multipath = info.is_multipath,
		.streams = info.streams,
		.credit_bytes = info.stream_credit_bytes,
		.window_bytes = info.stream_window_bytes,
		.datagram_bytes = info.max_datagram_bytes,
		.key_updates = info.key_updates,
		.age_s = (double)qb_sub_sat_u64(now_ns, info.created_ns) / 1e9,
		.silent_s = (double)qb_sub_sat_u64(now_ns, info.last_rx_ns) / 1e9,
	};
	snprintf(out->name, sizeof(out->name), "%s",
		 qb_errors_peer_name(s->d, info.has_peer_key ? info.peer_key : NULL));
	for (uint32_t i = 0; i < info.odcid.len; i++)
		snprintf(out->cid + 2 * i, 3, "%02x", info.odcid.id[i]);
	sum_paths(c, out, now_ns);
}

static void collect(struct qb_worker *w, void *arg)
{
	const struct search *s = arg;

	for (struct qb_conn *c = NULL; (c = qb_quic_next_conn(w->node->quic, c)); s->out->total++)
		if (s->out->total < QB_CTL_CONNS)
			fill(s, w, c, &s->out->list[s->out->total]);
}

int qb_conns_fill(void *arg, struct qb_ctl_conns *out, char *err)
{
	struct search s = {arg, out};

	(void)err;
	for (uint16_t w = 0; w < s.d->worker_cnt; w++)
		qb_worker_call(&s.d->workers[w], collect, &s);
	return 0;
}
