/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The main thread's state: config, netlink, the TUN device, links (edge) or sites (hub), and the workers. It does all
 * that is slow or rare and never touches a packet.
 */
#pragma once

#include "conf/conf.h"
#include "ctl/ctl.h"
#include "link/link.h"
#include "metrics/metrics.h"
#include "qlog/qlog.h"
#include "tls/tls.h"
#include "blocks.h"
#include "sched_bpf.h"
#include "spread.h"
#include "worker.h"

enum {
	QB_RULE_PRIO_LINK = 5190,     /* from a link's source address: the link's own table; up to 5199: direct.c */
	QB_RULE_PRIO_MAIN = 5200,     /* everything but main's default routes */
	QB_RULE_PRIO_TUNNEL = 5201,   /* the tunnel's default routes */
	QB_TUNNEL_ROUTES_MAX = 128,
	QB_ERR_LEN = QB_CTL_ERR_LEN,
	QB_KEEP_NAME_LEN = 64,
};

/* edge: one WAN link as the main thread knows it */
struct qb_uplink {
	bool is_used;
	struct qb_conf_link conf;
	enum qb_tier tier;
	enum qb_tier tier_in_force; /* as told: never, where Mode = single uses another one */
	struct qb_link_order order; /* as told */
	bool is_down_by_command, is_drained;
	const char *path_state; /* as worker 0 told last; NULL: nothing yet */
	uint64_t path_since_ns; /* when it did */
	bool is_left; /* drained by `failover now` */
	struct qb_net_if *xif;
	bool is_open;		/* a port is open on worker 0 at least */
	bool is_io_refused;	/* the way that Io demands could not be had */
	bool was_open;		/* one has been, with this config */
	uint16_t ports[QB_WORKERS_MAX]; /* local port on each worker; 0: none there */
	bool is_up;		/* as told to the worker */
	uint8_t family;		/* outer */
	uint32_t ifindex;
	struct qb_addr local;	/* with the port */
	struct qb_addr gateway; /* as set in its table */
	struct qb_addr ruled;	/* source address that its rule is for; family 0: none */
	enum qb_io_mode io;
	char io_reason[128];
	char reason[128];	/* why it is not up */
};

/* edge: one worker's part of the tunnel */
struct qb_lane {
	bool is_joined;	 /* has ports, or tries to */
	bool is_connected;
	bool is_steered; /* its TUN queue is on */
	uint32_t mtu_bytes;
	uint64_t slept_ns; /* at the last look */
};

/* hub: one session of a site, on the worker that its connection belongs to */
struct qb_site_session {
	bool is_up;
	uint16_t worker;
	uint32_t generation;
	struct qb_h3_group group;
	uint64_t opened_ns;
	uint32_t mtu_bytes;
};

/* hub: one site as the main thread knows it */
struct qb_site {
	struct qb_conf_site *conf; /* in the running config */
	struct qb_prefix addrs[QB_NODE_ADDRS_MAX];
	uint32_t addr_cnt;
	struct qb_site_session sessions[QB_SESSIONS_MAX]; /* by member of their group */
	bool is_up;	    /* some session is */
	uint64_t up_ns;	    /* since when */
	uint32_t mtu_bytes; /* the largest of the sessions' */
	struct qb_h3_route routes[QB_NODE_SOURCES_MAX]; /* advertised and allowed */
	uint32_t route_cnt;
	struct qb_nl_route kernel[QB_TUNNEL_ROUTES_MAX];
	uint32_t kernel_cnt;
};

/* hub: one interface that it listens on */
struct qb_listen {
	struct qb_net_if *xif;
	uint32_t ifindex;
	bool is_open;  /* all its ports are */
	bool was_open; /* they have been: a way that is gone now is no error of the config */
	bool is_up;    /* as netlink had it last */
};

/* What is kept over a restart (keep.c). */
struct qb_used_file;
struct qb_keep {
	struct qb_statedir dir;
	bool is_failing; /* said so */
	struct qb_tickets *tickets; /* hub */
	struct qb_used_file *used;  /* hub; NULL: in memory only */
	uint64_t poll_ns;
};

struct qb_daemon {
	char conf_path[QB_CONF_PATH_LEN];
	struct qb_conf *conf;
	char key_pem[4096];
	char *cert_key_pem;			    /* owned; NULL: none */
	char cert_key_path[QB_CONF_PATH_LEN]; /* where it is from */
	struct qb_tls_ctx *tls;
	struct qb_scheds *scheds; /* that conf names; workers borrow them */
	struct qb_policy *policy; /* made from conf; the same */
	char marks_err[160]; /* why they cannot match firewall marks; "": they do */
	struct qb_nl *nl;
	struct qb_ctl *ctl;
	struct qb_metrics *metrics; /* NULL: off */
	struct qb_tun *tun;
	struct qb_depot depot;
	struct qb_pages frame_mem, buf_mem;
	struct qb_worker *workers;
	uint16_t worker_cnt;
	int wake_fd, signal_fd, epoll_fd;
	int ptb_fds[2]; /* ICMP of IPv4 and IPv6; negative: none */
	uint32_t ptb_cnt; /* taken since ptb_ns */
	uint64_t ptb_ns;
	uint64_t start_ns;
	bool is_stopping;
	bool is_started; /* all workers run */
	uint32_t tun_mtu_bytes;
	struct qb_keep keep;
	struct qb_qlog *qlog; /* NULL: nothing is traced */
	char qlog_site[QB_CONF_NAME_LEN];
	int key_log_fd; /* 0: none */
	struct qb_known_table known; /* of all workers */
	uint64_t known_synced_ns, known_written_ns;
	bool is_known_dirty;

	/* edge */
	struct qb_uplink uplinks[QB_NODE_LINKS_MAX];
	uint64_t uplinks_ns; /* when they were looked at last */
	bool are_links_new;  /* policies may name them */
	bool is_failed_over; /* by command: links in reserve serve */
	struct qb_resolver *resolver;
	uint64_t resolved_ns; /* when the hubs' names were looked up last */
	struct qb_edge_hub hubs[QB_EDGE_HUBS_MAX];
	uint32_t hub_cnt;
	struct qb_radio *radio; /* NULL: nobody has asked for one, or there is none */
	struct qb_modems *modems; /* NULL: out of memory */
	const char *hub_state;
	const char *bond_state; /* as `monitor` was told */
	uint64_t served_ns; /* when a link carried traffic last, or the hub had yet to answer */
	char hub_name[QB_CONF_NAME_LEN]; /* that worker 0 is connected to, or was */
	struct qb_spread spread;
	struct qb_lane lanes[QB_WORKERS_MAX];
	bool can_spread, is_spread_fixed;
	uint64_t spread_ns;
	double idle_s;
	char hub_reason[QB_CONN_REASON_LEN];
	struct qb_prefix addrs[QB_H3_ADDRS_MAX]; /* assigned */
	uint32_t addr_cnt;
	struct qb_h3_route offered[QB_NODE_SOURCES_MAX]; /* advertised by the hub */
	uint32_t offered_cnt;
	struct qb_nl_route routes[QB_TUNNEL_ROUTES_MAX]; /* installed */
	uint32_t route_cnt;
	bool has_default_rules;
	struct qb_nl_rule *direct; /* owned: rules that are set */
	uint32_t direct_cnt;

	/* hub */
	struct qb_site *sites; /* conf->site_cnt of them */
	struct qb_hub_site *site_tables[QB_WORKERS_MAX];
	struct qb_rtable *rtable;
	bool is_rtable_stale;
	struct qb_listen listens[QB_CONF_LISTEN_MAX]; /* of [Listen] Interface */
	struct qb_guard *guard; /* NULL: BPF is not to be had */
	bool is_attacked;
	struct qb_blocks blocks;
	uint64_t blocks_ns; /* when they were looked at last */
	uint64_t listen_ns; /* when its interfaces were looked at last */
};

/* qb_daemon_run: everything from start to SIGTERM. Returns the exit status: 0 fine, 1 a fault, 2 a config error. */
int qb_daemon_run(const char *conf_path);
/* qb_daemon_stays_root: nobody said that it is to be root, but there is nobody else that it could become. */
bool qb_daemon_stays_root(const struct qb_daemon *d);
/* qb_daemon_tell sends an event, whose time it sets, to `monitor` and the log; qb_daemon_emit makes one. */
void qb_daemon_tell(struct qb_daemon *d, struct qb_ctl_event *ev);
void qb_daemon_emit(struct qb_daemon *d, const char *type, const char *name, const char *from, const char *to,
		    const char *reason);
/* qb_daemon_set_mtu sets the TUN device's MTU. */
void qb_daemon_set_mtu(struct qb_daemon *d, uint32_t mtu_bytes);
/* qb_daemon_tune: where a link's congestion control starts from; link NULL: any link of the bond. */
struct qb_path_tune qb_daemon_tune(const struct qb_conf *c, const struct qb_conf_link *link);
/* qb_conf_known_names: what [Bond] and [Link] may name. */
const struct qb_conf_names *qb_conf_known_names(void);

/* ---- policy.c ---- */

/* qb_policy_watch_marks has the TUN device tell of the firewall marks that policies match by. */
void qb_policy_watch_marks(struct qb_daemon *d);
/* qb_policy_new makes the table of the config's policies (free with free). NULL: out of memory. */
struct qb_policy *qb_policy_new(const struct qb_daemon *d, const struct qb_scheds *scheds);
/* qb_policy_find finds a section [Policy NAME]; NULL: there is none. */
struct qb_conf_policy *qb_policy_find(struct qb_conf *c, const char *name);

/* ---- settings.c ---- */

/* qb_settings_open makes what workers need of d->conf, before they start; qb_settings_close frees it after they ended. */
int qb_settings_open(struct qb_daemon *d) QB_MUST_CHECK;
void qb_settings_close(struct qb_daemon *d);
/* qb_settings_load loads the schedulers of a config. NULL: one cannot be had; err says why. */
struct qb_scheds *qb_settings_load(const struct qb_conf *c, uint32_t worker_cnt, char err[QB_ERR_LEN]);
/*
 * qb_settings_apply hands the workers what of d->conf needs no more than that, with its schedulers (owned from now on; NULL:
 * those in force). Returns 0 or -ENOMEM: all stays as it was.
 */
int qb_settings_apply(struct qb_daemon *d, struct qb_scheds *scheds) QB_MUST_CHECK;
/* qb_settings_set is the control socket's verb `set`. */
int qb_settings_set(void *arg, const char *key, const char *value, char *err);
/* qb_settings_scheduler is the name of the bond's scheduler in force. */
const char *qb_settings_scheduler(const struct qb_daemon *d);

/* ---- uplinks.c: the edge's links ---- */

int qb_uplinks_open(struct qb_daemon *d, char err[QB_ERR_LEN]) QB_MUST_CHECK;
/* qb_uplinks_refresh compares what netlink knows with what the worker was told. */
void qb_uplinks_refresh(struct qb_daemon *d);
/* qb_uplinks_poll looks after what netlink does not tell, and tries closed ports again; about once a second. */
void qb_uplinks_poll(struct qb_daemon *d);
void qb_uplinks_close(struct qb_daemon *d);
/* qb_uplinks_join opens a port for each link on one more worker and tells it the links; qb_uplinks_leave takes them away. */
void qb_uplinks_join(struct qb_daemon *d, uint16_t worker);
void qb_uplinks_leave(struct qb_daemon *d, uint16_t worker);
int qb_uplinks_command(struct qb_daemon *d, const char *name, const char *verb, char *err);
/* qb_uplinks_table is the number of a link's own routing table, empty while the link is down. */
uint32_t qb_uplinks_table(const struct qb_daemon *d, uint32_t idx);
/* qb_uplinks_find returns the index of the link of that name, or -1. */
int qb_uplinks_find(const struct qb_daemon *d, const char *name);
/* qb_uplinks_set changes one of a link's settings, also of one that no section tells of. */
int qb_uplinks_set(struct qb_daemon *d, const struct qb_conf_setting *s, const char *value, char err[QB_CONF_ERR_LEN]);
/* qb_uplinks_tell tells the workers how a link is to be used. */
void qb_uplinks_tell(struct qb_daemon *d, uint32_t idx);
/* qb_uplinks_reload takes over tiers, congestion controllers and new or removed links from d->conf. */
void qb_uplinks_reload(struct qb_daemon *d);

/* ---- uplinks_order.c: which of them come first ---- */

/* qb_uplinks_settle orders the links anew, and tells workers what has become of it. */
void qb_uplinks_settle(struct qb_daemon *d);
/* qb_uplinks_reserve_ns: as qb_edge_set_reserve wants it now. */
uint64_t qb_uplinks_reserve_ns(const struct qb_daemon *d);
/* qb_uplinks_why_unused says why a link that is up has no path; NULL: it will have one. */
const char *qb_uplinks_why_unused(const struct qb_daemon *d, const struct qb_uplink *u);
/* qb_uplinks_failover has links in reserve take over ("now"), or those that were left serve again ("back"). */
int qb_uplinks_failover(struct qb_daemon *d, const char *verb, char *err);

/* ---- io.c ---- */

/* qb_io_fill is the control socket's verb `io`. */
int qb_io_fill(void *arg, struct qb_io_status *st, char *err);

/* ---- conns.c ---- */

/* qb_conns_fill is the control socket's verb `conns`. */
int qb_conns_fill(void *arg, struct qb_ctl_conns *out, char *err);

/* ---- flows.c ---- */

/* qb_flows_fill is the control socket's verb `flows`. */
int qb_flows_fill(void *arg, struct qb_flows *out, char *err);
/* qb_flows_name_path says which link a path of the tunnel is, as `links` calls it. On the tunnel's thread. */
void qb_flows_name_path(const struct qb_daemon *d, const struct qb_tunnel *t, uint8_t path, char *out, size_t len);

/* ---- decisions.c ---- */

/* qb_decisions_fill is the control socket's verb `sched`. */
int qb_decisions_fill(void *arg, struct qb_sched_status *out, char *err);

/* ---- device.c ---- */

/* qb_device_fill is the control socket's verb `tun`. */
int qb_device_fill(void *arg, struct qb_tun_status *t, char *err);

/* ---- doctor.c ---- */

/* qb_doctor is the control socket's verb `doctor`. */
int qb_doctor(void *arg, struct qb_findings *f, char *err);

/* ---- sites.c: the hub's sites ---- */

int qb_sites_open(struct qb_daemon *d, char err[QB_ERR_LEN]) QB_MUST_CHECK;
void qb_sites_close(struct qb_daemon *d);
/* qb_sites_reload swaps the site table for d->conf's; old is the config that it was built from. */
int qb_sites_reload(struct qb_daemon *d, const struct qb_conf *old, char *err);
void qb_sites_on_notice(struct qb_daemon *d, uint16_t worker, const struct qb_notice *note);
/* qb_sites_settle gives the workers the routing table that follows from the notices: once for many. */
void qb_sites_settle(struct qb_daemon *d);

/* ---- scrape.c: the metrics endpoint, as the config has it ---- */

/*
 * qb_scrape_open opens what c wants, unless that is what d has already: *out. qb_scrape_take puts it into force and closes what was
 * before; qb_scrape_drop gives it up.
 */
int qb_scrape_open(struct qb_daemon *d, const struct qb_conf *c, const struct qb_ctl_verbs *verbs, struct qb_metrics **out,
		   char err[QB_ERR_LEN]) QB_MUST_CHECK;
void qb_scrape_take(struct qb_daemon *d, struct qb_metrics *m);
void qb_scrape_drop(struct qb_daemon *d, struct qb_metrics *m);

/* ---- identity.c ---- */

/* qb_identity_read reads the private keys, as root. Errors are logged. */
int qb_identity_read(struct qb_daemon *d) QB_MUST_CHECK;
/* qb_identity_make_tls makes the context of a config, and fills in what stands for the keys of hubs known by a CA. NULL: logged. */
struct qb_tls_ctx *qb_identity_make_tls(struct qb_daemon *d, struct qb_conf *c);
/* qb_identity_open_key: the file of a private key that others on this host may read or write; NULL: none. */
const char *qb_identity_open_key(const struct qb_daemon *d);
void qb_identity_close(struct qb_daemon *d);

/* ---- listen.c: the hub's ports, and the guard before them ---- */

int qb_listen_open(struct qb_daemon *d, char err[QB_ERR_LEN]) QB_MUST_CHECK;
/* qb_listen_refresh follows interfaces that go and come back, and the host's addresses. */
void qb_listen_refresh(struct qb_daemon *d);
/* qb_listen_poll looks after the guard and what netlink does not tell, and tries closed ports again. */
void qb_listen_poll(struct qb_daemon *d);
/* qb_listen_close: the workers have stopped. */
void qb_listen_close(struct qb_daemon *d);

/* ---- shield.c: the guard before the hub's ports, its limits, attacks, the block list ---- */

void qb_shield_open(struct qb_daemon *d);
void qb_shield_close(struct qb_daemon *d);
/* qb_shield_poll looks whether an attack began or ended, and what of the block list has expired. */
void qb_shield_poll(struct qb_daemon *d, uint64_t now_ns);
/* qb_shield_reload takes limits and the file's prefixes over from d->conf. */
void qb_shield_reload(struct qb_daemon *d);
/* qb_shield_retry: when clients have to prove their addresses, by the config and by what the guard sees. */
enum qb_retry_mode qb_shield_retry(const struct qb_daemon *d);
/* qb_shield_why says why the attack that is on, or was last, is held to be one. */
void qb_shield_why(const struct qb_daemon *d, char *out, size_t len);
/* qb_shield_block and _blocks are the control socket's verbs `block` and `blocks`. */
int qb_shield_block(void *arg, const char *verb, const char *prefix, const char *life, char *err);
int qb_shield_blocks(void *arg, struct qb_ctl_block *out, uint32_t *cnt, char *err);

/* ---- routes.c: the tunnel's addresses and routes in the kernel ---- */

/* qb_routes_from_ranges decomposes ranges into prefixes. Returns how many (<= cap). */
uint32_t qb_routes_from_ranges(const struct qb_h3_route *ranges, uint32_t cnt, struct qb_prefix *out, uint32_t cap);
void qb_routes_set_addresses(struct qb_daemon *d, const struct qb_prefix *addrs, uint32_t cnt);
/* qb_routes_update installs what the hub offers and the config accepts, and takes away what no longer holds. */
void qb_routes_update(struct qb_daemon *d);

/* ---- direct.c: policies whose packets pass the tunnel by ---- */

/* qb_direct_update sets the rules that the config's policies ask for, and takes away others. */
void qb_direct_update(struct qb_daemon *d);
void qb_direct_close(struct qb_daemon *d);

/* ---- keep.c: what outlives us ---- */

/* qb_keep_open comes before privileges are dropped, qb_keep_start after, qb_keep_give when there are workers. */
void qb_keep_open(struct qb_daemon *d);
int qb_keep_start(struct qb_daemon *d) QB_MUST_CHECK;
void qb_keep_give(struct qb_daemon *d);
/* qb_keep_tickets saves an edge's, and its tokens; qb_keep_poll changes a hub's keys when it is time. */
void qb_keep_tickets(struct qb_daemon *d);
void qb_keep_poll(struct qb_daemon *d);
/* qb_keep_close comes when no handshake is left. */
void qb_keep_close(struct qb_daemon *d);
/* qb_keep_save and _load: a file of that name for this node. _load returns its length (at most cap), or -errno. */
void qb_keep_save(struct qb_daemon *d, const char *what, const void *data, size_t len);
int qb_keep_load(struct qb_daemon *d, const char *what, void *out, size_t cap);
/* ---- known_file.c: what is known of links, between workers and between runs ---- */

/* qb_known_start comes once workers run, qb_known_poll about once a second, qb_known_close before the workers halt. */
void qb_known_start(struct qb_daemon *d);
void qb_known_poll(struct qb_daemon *d);
void qb_known_close(struct qb_daemon *d);
/* qb_known_sync brings the tables of all workers together; qb_known_save writes the file. */
void qb_known_sync(struct qb_daemon *d);
void qb_known_save(struct qb_daemon *d);

/* ---- known_ctl.c ---- */

/* The control socket's verbs `known` and `known forget`. */
int qb_known_list(void *arg, struct qb_ctl_known *out, char *err);
int qb_known_drop(void *arg, const char *name, uint32_t *cnt, char *err);

/* ---- errors.c: the last ones ---- */

/* qb_errors_open has warnings and errors of the log kept; before any thread starts. */
void qb_errors_open(void);
void qb_errors_on_failure(struct qb_daemon *d, const struct qb_notice *note);
/* qb_errors_list is the control verb. */
/* qb_errors_peer_name: which site or hub has that key (NULL: none); "". */
const char *qb_errors_peer_name(const struct qb_daemon *d, const uint8_t *key);
int qb_errors_list(void *arg, struct qb_ctl_error *out, uint32_t *cnt, char *err);

/* ---- tracing.c: traces of connections, and their keys ---- */

/* qb_tracing_prepare does what needs root. Returns 0 or -errno, once it was logged. */
int qb_tracing_prepare(struct qb_daemon *d) QB_MUST_CHECK;
/* qb_tracing_watch_keys has the keys of handshakes by tls written, if the config wants that. */
void qb_tracing_watch_keys(struct qb_daemon *d, struct qb_tls_ctx *tls);
/* qb_tracing_start traces to a folder below ours (NULL: itself), one site or (NULL) all. Returns 0 or -errno with err. */
int qb_tracing_start(struct qb_daemon *d, const char *folder, const char *site, char *err);
int qb_tracing_stop(struct qb_daemon *d, char *err);
/* qb_tracing_follow_conf starts or stops what d->conf says otherwise than old; NULL: the first config. */
void qb_tracing_follow_conf(struct qb_daemon *d, const struct qb_conf *old);
void qb_tracing_fini(struct qb_daemon *d);
/* qb_tracing_command is the control verb. */
int qb_tracing_command(void *arg, const char *verb, const char *folder, const char *site, struct qb_ctl_qlog *out,
		       char *err);

/* ---- status.c ---- */

int qb_status_fill(void *arg, struct qb_status *st, char *err);
/* qb_status_follow tells `monitor` when an edge's bond is in another state. */
void qb_status_follow(struct qb_daemon *d);
void qb_status_done(void *arg, struct qb_status *st);
