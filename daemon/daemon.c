/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's main thread: start in order, one epoll loop over signals, netlink, control and the workers' notices, stop in
 * reverse order. Everything that it sets in the kernel carries our route protocol number and is swept at start and end.
 */
#include "daemon.h"
#include "ptb.h"
#include "resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum {
	RESOLVE_AGAIN_S =
		10, /* while the hub is not reached: it may have moved, or DNS may be back */
	NOTICES_AT_ONCE = 64, /* of one worker */
	WATCHDOG_STALL_S = 5, /* a worker that began no round for so long is stuck */
	EDGE_CONNS = 2 * QB_NODE_LINKS_MAX,
	HOLD_S = 120,
	HOLD_OTHER_S = 30,
};

/* ---- config ---- */

const struct qb_conf_names *qb_conf_known_names(void)
{
	static const char *scheds[32], *ccs[32];
	static const struct qb_conf_names names = {scheds, ccs};
	unsigned int cnt = 0;

	for (unsigned int i = 0; qb_sched_list[i] && cnt + 1 < QB_ARRAY_LEN(scheds); i++)
		scheds[cnt++] = qb_sched_list[i]->name;
	for (unsigned int i = 0; qb_sched_forms[i] && cnt + 1 < QB_ARRAY_LEN(scheds); i++)
		scheds[cnt++] = qb_sched_forms[i];
	for (unsigned int i = 0; qb_cc_list[i] && i + 1 < QB_ARRAY_LEN(ccs); i++)
		ccs[i] = qb_cc_list[i]->name;
	return &names;
}

/* ---- workers ---- */

static void use_hubs(struct qb_daemon *d)
{
	qb_spread_refresh(d);
	qb_uplinks_refresh(d);
}

/* find_hubs gets the hubs' addresses: at once where they are numeric, else in the background. */
static void find_hubs(struct qb_daemon *d)
{
	d->resolved_ns = qb_now_ns();
	if (!qb_resolver_is_numeric(d->conf)) {
		qb_resolver_ask(d->resolver, d->conf);
		return;
	}
	qb_resolver_forget(d->resolver);
	d->hub_cnt = qb_resolver_lookup(d->conf->hubs, d->conf->hub_cnt, d->hubs);
	use_hubs(d);
}

/* take_hubs uses what the resolver found; an answer without any address leaves the old ones in force. */
static void take_hubs(struct qb_daemon *d)
{
	struct qb_edge_hub hubs[QB_EDGE_HUBS_MAX];
	uint32_t cnt;

	if (!d->resolver || !qb_resolver_take(d->resolver, hubs, &cnt) || cnt == 0)
		return;
	if (cnt == d->hub_cnt && !memcmp(hubs, d->hubs, cnt * sizeof(hubs[0])))
		return;
	memcpy(d->hubs, hubs, cnt * sizeof(hubs[0]));
	d->hub_cnt = cnt;
	use_hubs(d);
}

static void find_hubs_again(struct qb_daemon *d)
{
	if (d->conf->role == QB_ROLE_EDGE && (!d->hub_state || strcmp(d->hub_state, "connected")) &&
	    !qb_resolver_is_numeric(d->conf) && qb_now_ns() - d->resolved_ns > RESOLVE_AGAIN_S * QB_NS_PER_SEC)
		find_hubs(d);
}

/* hold_ns: how long a session outlives silence. Who has something else to try does so sooner. */
static uint64_t hold_ns(const struct qb_conf *c)
{
	bool has_other = c->role == QB_ROLE_EDGE && (c->hub_cnt > 1 || c->tunnel.is_direct_on_loss);

	if (c->tunnel.hold_ns)
		return c->tunnel.hold_ns;
	return (has_other ? HOLD_OTHER_S : HOLD_S) * QB_NS_PER_SEC;
}

struct qb_path_tune qb_daemon_tune(const struct qb_conf *c, const struct qb_conf_link *link)
{
	struct qb_path_tune tune = {
		.init_window_pkts = c->bond.init_window_pkts,
		.min_window_pkts = c->bond.min_window_pkts,
		.init_rtt_ns = c->bond.init_rtt_ns,
		.persistent_ptos = c->bond.persistent_ptos,
		.is_ecn_off = !c->bond.is_ecn_on,
	};

	if (link && link->init_window_pkts)
		tune.init_window_pkts = link->init_window_pkts;
	if (link && link->min_window_pkts)
		tune.min_window_pkts = link->min_window_pkts;
	if (link && link->init_rtt_ns)
		tune.init_rtt_ns = link->init_rtt_ns;
	return tune;
}

static struct qb_node_cfg node_cfg(struct qb_daemon *d)
{
	const struct qb_conf *c = d->conf;
	bool is_hub = c->role == QB_ROLE_HUB;
	uint32_t conns = is_hub ? 64 + 4 * c->site_cnt : EDGE_CONNS;
	struct qb_node_cfg cfg = {
		.role = c->role,
		.sched = qb_scheds_find(d->scheds, c->bond.scheduler),
		.policy = d->policy,
		.fec = c->bond.fec,
		.reorder = c->bond.is_reorder_off	? QB_REORDER_OFF
			   : c->bond.reorder_max_ns ? QB_REORDER_FIXED
						    : QB_REORDER_AUTO,
		.reorder_max_ns = c->bond.reorder_max_ns,
		.reorder_max_bytes = c->bond.reorder_max_bytes,
		.failback_ns = c->bond.failback_ns,
		.fail = c->bond.fail,
		.grain = c->bond.grain,
		.has_tail_copies = c->bond.has_tail_copies,
		.is_failover = c->bond.mode == QB_MODE_FAILOVER,
		.is_mesh_full = c->bond.is_mesh_full,
		.reserve_ns = c->bond.failover_ns,
		.tunnels = conns,
		.mtu_bytes = c->tunnel.mtu_bytes,
		.quic = {
			.limits = {
				.conns = conns,
				.streams_per_conn = 16,
				.sent_records = is_hub ? 262144 : 65536,
				.stream_chunks = 64 * conns,
			},
			.tls = d->tls,
			.cc = qb_cc_find(c->bond.congestion),
			.tune = qb_daemon_tune(c, NULL),
			.idle_timeout_ns = hold_ns(c),
			.handshake_timeout_ns = 10 * QB_NS_PER_SEC,
			.keepalive_ns = is_hub ? 0 : 2 * QB_NS_PER_SEC,
			.max_path_id = 2 * QB_PATHS_MAX,
			.preferred4 = c->listen.preferred4,
			.preferred6 = c->listen.preferred6,
			.retry = qb_shield_retry(d),
			.retry_half_open = 64,
			.ack_pkts_max = c->bond.is_ack_freq_off ? 1 : 0,
			.max_udp_bytes = 1472,
			.key_update_ns = c->tunnel.rekey_ns,
			.key_update_pkts = c->tunnel.rekey_pkts,
			/* The guard, and firewalls on the way, tell QUIC from other things by it. */
			.is_quic_bit_greased = false,
			.spin_of_16 = c->tunnel.spin_of_16,
			.pad_bytes = c->tunnel.pad_bytes,
			.is_early = true,
			/* What a request in 0-RTT takes for granted: the hub's SETTINGS, and CONNECT-IP. */
			.early_context = "h3 connect-ip 1",
		},
	};

	return cfg;
}

static int start_workers(struct qb_daemon *d)
{
	struct qb_node_cfg cfg = node_cfg(d);
	bool is_hub = d->conf->role == QB_ROLE_HUB;
	uint64_t group_id;

	qb_os_entropy(&group_id, sizeof(group_id));
	group_id = 1 + group_id % QB_H3_GROUP_ID_MAX;
	d->workers = aligned_alloc(QB_CACHELINE, d->worker_cnt * sizeof(*d->workers));
	if (!d->workers)
		return -ENOMEM;
	memset(d->workers, 0, d->worker_cnt * sizeof(*d->workers));
	if (qb_node_secret_derive(d->key_pem, "reset", &cfg.quic.reset_secret) ||
	    qb_node_secret_derive(d->key_pem, "token", &cfg.quic.token_secret))
		return -EINVAL;
	for (uint16_t i = 0; i < d->worker_cnt; i++) {
		struct qb_worker_cfg wcfg = {
			.idx = i,
			.cnt = d->worker_cnt,
			.all = d->workers,
			.depot = &d->depot,
			.tun = qb_tun_queue(d->tun, i),
			.main_wake_fd = d->wake_fd,
			.node = cfg,
			.cpu = is_hub && d->worker_cnt > 1 ? qb_cpu_nth(i) : -1,
		};
		int ret;

		wcfg.node.group = (struct qb_h3_group){.id = group_id, .member = (uint8_t)i};
		qb_os_entropy(wcfg.node.quic.seed, sizeof(wcfg.node.quic.seed));
		ret = qb_worker_start(&d->workers[i], &wcfg);
		if (ret)
			return ret;
	}
	return 0;
}

static void check_watchdog(struct qb_daemon *d)
{
	uint64_t now_ns = qb_now_ns();

	for (uint16_t i = 0; i < d->worker_cnt; i++)
		if (qb_sub_sat_u64(now_ns, d->workers[i].last_round_ns) > WATCHDOG_STALL_S * QB_NS_PER_SEC)
			return; /* no sign of life for systemd: it restarts us */
	sd_notify(0, "WATCHDOG=1");
}

/* ---- events ---- */

void qb_daemon_tell(struct qb_daemon *d, struct qb_ctl_event *ev)
{
	const char *link = ev->peer_name && *ev->peer_name ? ev->peer_name : ev->link, *reason = ev->reason ? ev->reason : "";
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ev->time_s = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
	qb_log_to(strncmp(ev->type, "link_", 5) ? QB_LOG_DAEMON : QB_LOG_BOND, strcmp(ev->type, "link_use") ? QB_LOG_INFO : QB_LOG_DBG,
		  "%s %s%s%s: %s -> %s%s%s", ev->type, ev->name, link ? "/" : "", link ? link : "", ev->from, ev->to, *reason ? ": " : "",
		  reason);
	if (d->ctl)
		qb_ctl_emit(d->ctl, ev);
}

void qb_daemon_emit(struct qb_daemon *d, const char *type, const char *name, const char *from, const char *to,
		    const char *reason)
{
	struct qb_ctl_event ev = {.type = type, .name = name, .from = from, .to = to, .reason = reason};

	qb_daemon_tell(d, &ev);
}

void qb_daemon_set_mtu(struct qb_daemon *d, uint32_t mtu_bytes)
{
	int ret = qb_nl_if_up(d->nl, qb_tun_ifindex(d->tun), mtu_bytes);

	if (ret)
		qb_warn("cannot set MTU %u on %s: %s", mtu_bytes, qb_tun_name(d->tun), strerror(-ret));
	else
		d->tun_mtu_bytes = mtu_bytes;
}

/* lane_notice: what a worker beside the first one tells. Its session has the same addresses and routes. */
static void lane_notice(struct qb_daemon *d, uint16_t w, const struct qb_notice *note)
{
	bool is_connected = note->type == QB_NOTE_HUB_STATE && !strcmp(note->to, "connected");

	if (note->type == QB_NOTE_MTU)
		qb_spread_on_mtu(d, w, note->mtu_bytes);
	if (note->type != QB_NOTE_HUB_STATE)
		return;
	if (is_connected != d->lanes[w].is_connected)
		qb_info("worker %u: %s -> %s: %s", w, note->from, note->to, note->reason);
	qb_spread_on_hub(d, w, is_connected, false);
}

static void edge_notice(struct qb_daemon *d, const struct qb_notice *note)
{
	bool is_connected = note->type == QB_NOTE_HUB_STATE && !strcmp(note->to, "connected");

	switch (note->type) {
	case QB_NOTE_HUB_STATE:
		if (is_connected)
			snprintf(d->hub_name, sizeof(d->hub_name), "%.*s", QB_CONF_NAME_LEN - 1, note->reason);
		qb_spread_on_hub(d, 0, is_connected, note->group.id != 0);
		d->hub_state = note->to;
		snprintf(d->hub_reason, sizeof(d->hub_reason), "%s", is_connected ? "" : note->reason);
		qb_daemon_emit(d, "hub_state", d->hub_cnt ? d->hubs[0].name : "", note->from, note->to, note->reason);
		qb_routes_update(d);
		break;
	case QB_NOTE_ADDRESSES:
		qb_routes_set_addresses(d, note->prefixes, note->cnt);
		qb_routes_update(d);
		break;
	case QB_NOTE_ROUTES:
		memcpy(d->offered, note->routes, note->cnt * sizeof(note->routes[0]));
		d->offered_cnt = note->cnt;
		qb_routes_update(d);
		break;
	case QB_NOTE_MTU:
		qb_spread_on_mtu(d, 0, note->mtu_bytes);
		break;
	case QB_NOTE_TICKETS:
		qb_keep_tickets(d);
		break;
	case QB_NOTE_LINK_STATE:
	case QB_NOTE_LINK_USE:
		if (note->link < QB_NODE_LINKS_MAX && note->type == QB_NOTE_LINK_STATE) {
			d->uplinks[note->link].path_state = note->to;
			d->uplinks[note->link].path_since_ns = qb_now_ns();
		}
		if (note->link < QB_NODE_LINKS_MAX)
			qb_daemon_emit(d, note->type == QB_NOTE_LINK_USE ? "link_use" : "link_state", d->uplinks[note->link].conf.name, note->from, note->to,
				       note->reason);
		break;
	default:
		break;
	}
}

static void take_notices(struct qb_daemon *d)
{
	qb_wake_clear(d->wake_fd);
	take_hubs(d);
	for (uint16_t w = 0; w < d->worker_cnt; w++) {
		struct qb_notice *note;
		uint32_t cnt = 0;

		while ((note = qb_worker_next_notice(&d->workers[w]))) {
			if (note->type == QB_NOTE_FAILURE)
				qb_errors_on_failure(d, note);
			else if (d->conf->role == QB_ROLE_EDGE && w > 0)
				lane_notice(d, w, note);
			else if (d->conf->role == QB_ROLE_EDGE)
				edge_notice(d, note);
			else
				qb_sites_on_notice(d, w, note);
			free(note);
			if (++cnt == NOTICES_AT_ONCE) { /* no worker keeps us from signals and the watchdog */
				qb_wake(d->wake_fd);
				break;
			}
		}
	}
	qb_status_follow(d);
	qb_sites_settle(d);
}

/* ---- reload ---- */

/* What a running daemon cannot change: it would have to be another daemon. */
static const char *needs_restart(const struct qb_conf *a, const struct qb_conf *b)
{
	if (a->role != b->role)
		return "Node.Role";
	if (strcmp(a->key_file, b->key_file))
		return "Node.Key";
	if (a->buffers != b->buffers)
		return "Node.Buffers";
	if (a->umem_frames != b->umem_frames)
		return "Node.Umem";
	if (a->frame_bytes != b->frame_bytes)
		return "Node.FrameSize";
	if (a->workers != b->workers)
		return "Node.Workers";
	if (strcmp(a->tunnel.device, b->tunnel.device))
		return "Tunnel.Device";
	if (a->tunnel.table != b->tunnel.table)
		return "Tunnel.Table";
	if (a->tunnel.mtu_bytes != b->tunnel.mtu_bytes)
		return "Tunnel.Mtu";
	if (a->tunnel.hold_ns != b->tunnel.hold_ns)
		return "Tunnel.HoldTime";
	if (a->bond.is_reorder_off != b->bond.is_reorder_off || a->bond.reorder_max_ns != b->bond.reorder_max_ns)
		return "Bond.Reorder";
	if (a->bond.is_ack_freq_off != b->bond.is_ack_freq_off)
		return "Bond.AckFrequency";
	if (a->listen.addr_cnt != b->listen.addr_cnt ||
	    memcmp(a->listen.addrs, b->listen.addrs, sizeof(a->listen.addrs)) ||
	    a->listen.if_cnt != b->listen.if_cnt ||
	    memcmp(a->listen.ifnames, b->listen.ifnames, sizeof(a->listen.ifnames)) ||
	    strcmp(a->listen.io, b->listen.io) || !qb_conf_xdp_eq(&a->listen.xdp, &b->listen.xdp))
		return "the [Listen] section";
	if (strcmp(a->control.socket, b->control.socket))
		return "Control.Socket";
	if (strcmp(a->log.key_log, b->log.key_log))
		return "Log.KeyLog";
	return NULL;
}

static const struct qb_ctl_verbs verbs;

static int reload(void *arg, char *err)
{
	struct qb_daemon *d = arg;
	char conf_err[QB_CONF_ERR_LEN];
	struct qb_conf *old = d->conf, *c = qb_conf_load(d->conf_path, qb_conf_known_names(), conf_err);
	struct qb_tls_ctx *tls, *old_tls;
	struct qb_metrics *metrics;
	struct qb_scheds *scheds;
	const char *key;
	int ret = 0;

	if (!c) {
		snprintf(err, QB_ERR_LEN, "%s", conf_err);
		return -EINVAL;
	}
	key = needs_restart(old, c);
	if (key) {
		snprintf(err, QB_ERR_LEN, "%s cannot change while running; restart the daemon", key);
		qb_conf_free(c);
		return -EBUSY;
	}
	scheds = qb_settings_load(c, d->worker_cnt, err);
	if (!scheds) {
		qb_conf_free(c);
		return -EINVAL;
	}
	tls = qb_identity_make_tls(d, c);
	if (!tls) {
		snprintf(err, QB_ERR_LEN, "TLS refused the new config; the log says why");
		qb_scheds_close(scheds);
		qb_conf_free(c);
		return -EINVAL;
	}
	ret = qb_scrape_open(d, c, &verbs, &metrics, err);
	d->conf = c;
	if (!ret && c->role == QB_ROLE_HUB)
		ret = qb_sites_reload(d, old, err);
	if (ret) { /* the old state stays whole */
		d->conf = old;
		qb_scrape_drop(d, metrics);
		qb_scheds_close(scheds);
		qb_tls_ctx_free(tls);
		qb_conf_free(c);
		return ret;
	}
	qb_scrape_take(d, metrics);
	old_tls = d->tls;
	d->tls = tls;
	if (qb_settings_apply(d, scheds))
		qb_warn("out of memory: policies stay as they were");
	qb_shield_reload(d);
	if (c->role == QB_ROLE_EDGE)
		qb_spread_refresh(d);
	qb_tls_ctx_free(old_tls); /* not before: a worker begins a handshake with it at any time */
	if (c->role == QB_ROLE_EDGE) {
		qb_uplinks_reload(d);
		find_hubs(d);
		qb_routes_update(d);
	}
	if (!getenv("QUICBOND_LOG_LEVEL"))
		qb_log_set(&c->log.levels);
	qb_tracing_follow_conf(d, old);
	qb_conf_free(old);
	qb_info("config read again");
	return 0;
}

static void reload_by_signal(struct qb_daemon *d)
{
	char err[QB_ERR_LEN] = "";

	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(qb_now_ns() / 1000));
	if (reload(d, err))
		qb_err("reload: %s; the old config stays in force", err);
	sd_notify(0, "READY=1");
}

/* ---- control ---- */

static int ctl_failover(void *arg, const char *verb, char *err)
{
	return qb_uplinks_failover(arg, verb, err);
}

static int ctl_link(void *arg, const char *name, const char *verb, char *err)
{
	struct qb_daemon *d = arg;

	if (d->conf->role != QB_ROLE_EDGE) {
		snprintf(err, QB_ERR_LEN, "a hub has no links of its own");
		return -EINVAL;
	}
	return qb_uplinks_command(d, name, verb, err);
}

static const struct qb_ctl_verbs verbs = {
	.status = qb_status_fill,
	.status_done = qb_status_done,
	.io = qb_io_fill,
	.flows = qb_flows_fill,
	.conns = qb_conns_fill,
	.known = qb_known_list,
	.forget = qb_known_drop,
	.sched = qb_decisions_fill,
	.tun = qb_device_fill,
	.doctor = qb_doctor,
	.reload = reload,
	.link = ctl_link,
	.set = qb_settings_set,
	.failover = ctl_failover,
	.block = qb_shield_block,
	.blocks = qb_shield_blocks,
	.qlog = qb_tracing_command,
	.errors = qb_errors_list,
};

/* ---- start, loop, stop ---- */

static int open_memory(struct qb_daemon *d)
{
	uint32_t frames = qb_conf_buffers(d->conf);
	int ret = qb_pages_map((size_t)frames * d->conf->frame_bytes, QB_PAGES_HUGE, &d->frame_mem);

	if (!ret)
		ret = qb_pages_map(frames * sizeof(struct qb_buf), 0, &d->buf_mem);
	if (!ret)
		qb_depot_init(&d->depot, d->frame_mem.mem, d->buf_mem.mem, frames);
	if (!ret)
		qb_depot_set_frame_bytes(&d->depot, d->conf->frame_bytes);
	if (!ret)
		qb_depot_set_umem(&d->depot, qb_conf_umem(d->conf));
	return ret;
}

static uint16_t choose_workers(const struct qb_conf *c)
{
	uint32_t cnt = c->workers ? c->workers : qb_cpu_cnt();

	if (c->role == QB_ROLE_EDGE)
		cnt = QB_MIN(cnt, (uint32_t)QB_SESSIONS_MAX);
	return (uint16_t)QB_MIN(cnt, (uint32_t)QB_WORKERS_MAX);
}

static int open_kernel(struct qb_daemon *d)
{
	char err[QB_ERR_LEN] = "";
	int ret = qb_nl_open(&d->nl, err);

	if (ret) {
		qb_err("netlink: %s", err);
		return ret;
	}
	/* The device first: who gets it is not a second daemon by mistake, which must not touch what the first set. */
	ret = qb_tun_open(d->conf->tunnel.device, d->worker_cnt, true, &d->tun, err);
	if (ret) {
		qb_err("TUN device %s: %s", d->conf->tunnel.device, err);
		return ret;
	}
	if (!qb_nl_is_alone(d->nl, qb_tun_ifindex(d->tun)))
		qb_info("another quicbondd runs here: routes of earlier runs stay, if there are any");
	else if (qb_nl_sweep(d->nl) > 0)
		qb_info("removed routes that an earlier run left behind");
	ret = qb_nl_sign(d->nl, qb_tun_ifindex(d->tun));
	if (ret)
		qb_warn("TUN device %s: no alias: %s", d->conf->tunnel.device, strerror(-ret));
	qb_nl_process(d->nl);
	if (d->conf->tunnel.mtu_bytes)
		qb_daemon_set_mtu(d, d->conf->tunnel.mtu_bytes);
	else
		qb_daemon_set_mtu(d, d->conf->role == QB_ROLE_HUB ? QB_INNER_MTU_MAX : QB_INNER_MTU_MIN);
	return 0;
}

static int open_role(struct qb_daemon *d)
{
	char err[QB_ERR_LEN] = "";
	int ret;

	if (d->conf->role == QB_ROLE_EDGE) {
		d->resolver = qb_resolver_open(d->wake_fd);
		if (!d->resolver)
			return -ENOMEM;
		qb_spread_open(d, d->conf->workers > 1);
		ret = qb_uplinks_open(d, err);
		find_hubs(d);
		qb_routes_update(d);
		qb_direct_update(d);
	} else {
		ret = qb_sites_open(d, err);
		if (!ret)
			ret = qb_listen_open(d, err);
	}
	if (ret)
		qb_err("%s", err);
	return ret;
}

static int watch(struct qb_daemon *d, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int open_control(struct qb_daemon *d)
{
	char err[QB_ERR_LEN] = "";
	int ret = qb_ctl_open(d->conf->control.socket, d->conf->control.group, &verbs, d, &d->ctl, err);

	if (ret)
		qb_err("control socket %s: %s", d->conf->control.socket, err);
	return ret;
}

static int open_metrics(struct qb_daemon *d)
{
	char err[QB_ERR_LEN] = "";
	struct qb_metrics *m;
	int ret = qb_scrape_open(d, d->conf, &verbs, &m, err);

	if (ret)
		qb_err("%s", err);
	else
		qb_scrape_take(d, m);
	return ret;
}

bool qb_daemon_stays_root(const struct qb_daemon *d)
{
	return geteuid() == 0 && !d->conf->user[0];
}

/* drop_privileges comes after what needs root (key, TUN device, control socket), before the first worker. */
static int drop_privileges(struct qb_daemon *d)
{
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	char err[QB_ERR_LEN] = "";
	int ret;

	setrlimit(RLIMIT_MEMLOCK, &all); /* AF_XDP pins its frames */
	ret = qb_privs_drop(d->conf->user, err);
	if (ret)
		qb_err("cannot give up privileges: %s", err);
	else if (qb_daemon_stays_root(d))
		qb_warn("there is no user quicbond: the daemon stays root, with few capabilities; systemd-sysusers makes one");
	return ret;
}

static unsigned int syscall_needs(const struct qb_conf *c)
{
	const char *uring = qb_io_mode_name(QB_IO_URING);
	bool has_uring = !strcasecmp(c->listen.io, uring);

	for (uint32_t i = 0; i < c->link_cnt; i++)
		has_uring |= !strcasecmp(c->links[i].io, uring);
	return has_uring ? QB_SECCOMP_URING : 0;
}

static int start(struct qb_daemon *d)
{
	char err[QB_ERR_LEN] = "";
	int ret;

	qb_net_joiner_start();
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	d->wake_fd = qb_wake_open();
	d->signal_fd = qb_signals_open();
	if (d->epoll_fd < 0 || d->wake_fd < 0 || d->signal_fd < 0)
		return -errno;
	ret = qb_identity_read(d);
	if (ret)
		return ret;
	d->worker_cnt = choose_workers(d->conf);
	qb_keep_open(d);
	ret = qb_tracing_prepare(d);
	if (!ret)
		ret = open_memory(d);
	if (!ret)
		ret = open_kernel(d);
	if (!ret)
		ret = open_control(d);
	if (!ret)
		ret = open_metrics(d);
	if (!ret)
		qb_ptb_open(d);
	if (!ret)
		ret = drop_privileges(d);
	if (!ret)
		ret = qb_settings_open(d);
	if (!ret)
		ret = qb_keep_start(d);
	if (!ret)
		d->tls = qb_identity_make_tls(d, d->conf);
	if (!ret && !d->tls)
		ret = -EINVAL;
	if (!ret)
		ret = start_workers(d);
	if (!ret) {
		qb_keep_give(d);
		qb_tracing_follow_conf(d, NULL);
		d->is_started = true;
		qb_known_start(d);
		ret = open_role(d);
	}
	if (ret)
		return ret;
	ret = qb_privs_seccomp(syscall_needs(d->conf), err);
	if (ret && ret != -ENOSYS) {
		qb_err("seccomp: %s", err);
		return ret;
	}
	if (watch(d, d->wake_fd) || watch(d, d->signal_fd) || watch(d, qb_nl_fd(d->nl)) ||
	    watch(d, qb_ctl_fd(d->ctl)))
		return -errno;
	for (int i = 0; i < 2; i++)
		if (d->ptb_fds[i] >= 0 && watch(d, d->ptb_fds[i]))
			return -errno;
	return 0;
}

static void on_signal(struct qb_daemon *d)
{
	int sig;

	while ((sig = qb_signals_read(d->signal_fd)) > 0) {
		if (sig == SIGHUP)
			reload_by_signal(d);
		else
			d->is_stopping = true;
	}
}

static void on_netlink(struct qb_daemon *d)
{
	if (!qb_nl_process(d->nl))
		return;
	qb_uplinks_refresh(d);
	qb_listen_refresh(d);
}

static void loop(struct qb_daemon *d)
{
	while (!d->is_stopping) {
		struct epoll_event evs[8];
		int cnt = epoll_wait(d->epoll_fd, evs, QB_ARRAY_LEN(evs), 1000);

		for (int i = 0; i < cnt; i++) {
			if (evs[i].data.fd == d->signal_fd)
				on_signal(d);
			else if (evs[i].data.fd == d->wake_fd)
				take_notices(d);
			else if (evs[i].data.fd == qb_nl_fd(d->nl))
				on_netlink(d);
			else if (evs[i].data.fd == qb_ctl_fd(d->ctl))
				qb_ctl_process(d->ctl);
			else if (evs[i].data.fd == qb_metrics_fd(d->metrics))
				qb_metrics_process(d->metrics);
			else
				qb_ptb_process(d);
		}
		qb_metrics_process(d->metrics);
		qb_uplinks_poll(d);
		qb_listen_poll(d);
		qb_keep_poll(d);
		qb_known_poll(d);
		check_watchdog(d);
		qb_spread_poll(d);
		find_hubs_again(d);
	}
}

static void stop(struct qb_daemon *d)
{
	sd_notify(0, "STOPPING=1");
	if (d->ctl)
		qb_ctl_close(d->ctl);
	qb_metrics_close(d->metrics);
	if (d->is_started)
		qb_known_close(d);
	for (uint16_t i = 0; d->workers && i < d->worker_cnt; i++)
		qb_worker_halt(&d->workers[i]);
	for (uint16_t i = 0; d->workers && i < d->worker_cnt; i++)
		qb_worker_stop(&d->workers[i]);
	free(d->workers);
	qb_tracing_fini(d);
	if (d->resolver)
		qb_resolver_close(d->resolver);
	qb_uplinks_close(d);
	qb_direct_close(d);
	qb_listen_close(d);
	qb_net_joiner_stop();
	qb_sites_close(d);
	qb_ptb_close(d);
	if (d->tun && qb_nl_is_alone(d->nl, qb_tun_ifindex(d->tun)))
		qb_nl_sweep(d->nl);
	if (d->tun)
		qb_tun_close(d->tun);
	if (d->nl)
		qb_nl_close(d->nl);
	qb_radio_close(d->radio);
	qb_modems_free(d->modems);
	if (d->tls)
		qb_tls_ctx_free(d->tls);
	qb_keep_close(d);
	qb_pages_unmap(&d->frame_mem);
	qb_pages_unmap(&d->buf_mem);
	qb_settings_close(d);
	qb_conf_free(d->conf);
}

int qb_daemon_run(const char *conf_path)
{
	struct qb_daemon *d = calloc(1, sizeof(*d));
	char err[QB_CONF_ERR_LEN];
	int ret;

	if (!d)
		return 1;
	d->keep.dir.fd = -1;
	snprintf(d->conf_path, sizeof(d->conf_path), "%s", conf_path);
	d->start_ns = qb_now_ns();
	d->conf = qb_conf_load(conf_path, qb_conf_known_names(), err);
	if (!d->conf) {
		fprintf(stderr, "%s\n", err);
		free(d);
		return 2;
	}
	if (!getenv("QUICBOND_LOG_LEVEL"))
		qb_log_set(&d->conf->log.levels);
	qb_errors_open();
	ret = start(d);
	if (!ret) {
		qb_info("%s %s is ready: %u worker%s", qb_role_name(d->conf->role), d->conf->name, d->worker_cnt,
			d->worker_cnt == 1 ? "" : "s");
		sd_notify(0, "READY=1");
		loop(d);
	}
	stop(d);
	qb_identity_close(d);
	free(d);
	return ret ? 1 : 0;
}
