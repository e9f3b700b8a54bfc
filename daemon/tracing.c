/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lets people look into connections: traces (qlog/), started by the config or by quicbondctl,
 * and the key log. Main thread. What needs root is done by qb_tracing_prepare before privileges are
 * dropped; after that, traces go below the one folder that was made then, whoever asks for them.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * root_folder is where traces may be: the one of the config, else one of ours; is_given: below one that systemd has made.
 */
static const char *root_folder(const struct qb_conf *c, char path[QB_QLOG_PATH_LEN], bool *is_given)
{
	const char *state = qb_statedir_path(is_given);

	if (c->log.qlog[0]) {
		*is_given = false;
		return c->log.qlog;
	}
	snprintf(path, QB_QLOG_PATH_LEN, "%s/qlog", state);
	return path;
}

/* ---- before privileges are dropped ---- */

/*
 * give makes a folder for the user that the daemon becomes. One that is there stays as it is,
 * unless it is_ours: systemd makes the state directory root's again at each start.
 */
static void give(const char *path, uid_t uid, gid_t gid, bool is_ours)
{
	int fd;

	if (mkdir(path, 0750) && !(errno == EEXIST && is_ours))
		return;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	/* New files are the group's, so that those who may ask for traces may read them; the unit
	 * forbids that bit. */
	if (fchmod(fd, 02750))
		(void)!fchmod(fd, 0750);
	if (fchown(fd, uid, gid))
		qb_warn("cannot give %s to the daemon's user: %s", path, strerror(errno));
	close(fd);
}

static void make_folder(const struct qb_conf *c)
{
	char path[QB_QLOG_PATH_LEN];
	bool is_given;
	const char *root = root_folder(c, path, &is_given);
	struct group *group = getgrnam(c->control.group);
	uid_t uid;
	gid_t gid;

	if (qb_privs_user(c->user, &uid, &gid) == 0)
		give(root, uid, group ? group->gr_gid : gid, is_given);
}

static int open_key_log(struct qb_daemon *d)
{
	const char *path = d->conf->log.key_log;

	if (!path[0])
		return 0;
	d->key_log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (d->key_log_fd < 0) {
		qb_err("cannot write to the key log %s: %s", path, strerror(errno));
		return -errno;
	}
	qb_warn("THE KEYS OF ALL CONNECTIONS ARE WRITTEN TO %s ([Log] KeyLog): whoever reads that "
		"file reads the traffic",
		path);
	return 0;
}

int qb_tracing_prepare(struct qb_daemon *d)
{
	make_folder(d->conf);
	return open_key_log(d);
}

/* on_key_line comes from any worker: one write a line, so that lines stay whole. */
static void on_key_line(void *arg, const char *text)
{
	const struct qb_daemon *d = arg;
	char line[512];
	int len = snprintf(line, sizeof(line), "%s\n", text);

	if (len > 0 && (size_t)len < sizeof(line) && write(d->key_log_fd, line, (size_t)len) != len)
		qb_warn("the key log cannot be written: %s", strerror(errno));
}

void qb_tracing_watch_keys(struct qb_daemon *d, struct qb_tls_ctx *tls)
{
	if (d->key_log_fd > 0)
		qb_tls_ctx_keylog(tls, on_key_line, d);
}

/* ---- traces ---- */

struct attach {
	struct qb_qlog *q;
	const uint8_t *key; /* of the only site; NULL: everybody */
};

static void do_attach(struct qb_worker *w, void *arg)
{
	const struct attach *a = arg;

	qb_node_observe(w->node, a->q ? qb_qlog_observer(a->q, w->idx) : NULL, a->key, qb_now_ns());
}

static void attach_all(struct qb_daemon *d, struct attach *a)
{
	for (uint16_t w = 0; w < d->worker_cnt; w++)
		qb_worker_call(&d->workers[w], do_attach, a);
}

static const struct qb_conf_site *find_site(const struct qb_conf *c, const char *name)
{
	for (uint32_t i = 0; c->role == QB_ROLE_HUB && i < c->site_cnt; i++)
		if (strcmp(c->sites[i].name, name) == 0)
			return &c->sites[i];
	return NULL;
}

static int open_traces(struct qb_daemon *d, const char *folder, char *err)
{
	char root[QB_QLOG_PATH_LEN], path[QB_QLOG_PATH_LEN];
	bool is_given;
	struct qb_qlog_cfg cfg = {
		.folder = path, .node = d->conf->name, .alpn = "h3", .feed_cnt = d->worker_cnt};

	cfg.folder_fd = qb_qlog_open_folder(root_folder(d->conf, root, &is_given), folder, path, err);
	return cfg.folder_fd < 0 ? cfg.folder_fd : qb_qlog_open(&cfg, &d->qlog, err);
}

int qb_tracing_start(struct qb_daemon *d, const char *folder, const char *site, char *err)
{
	const struct qb_conf_site *s = site && *site ? find_site(d->conf, site) : NULL;
	struct attach a = {.key = s ? s->public_key : NULL};
	struct qb_qlog_status st;
	int ret;

	if (d->qlog) {
		qb_qlog_get_status(d->qlog, &st);
		snprintf(err, QB_ERR_LEN,
			 "connections are traced already, to %.160s; qlog stop ends that",
			 st.folder);
		return -EALREADY;
	}
	if (site && *site && !s) {
		snprintf(err, QB_ERR_LEN, "there is no site %.64s", site);
		return -ENOENT;
	}
	ret = open_traces(d, folder, err);
	if (ret < 0)
		return ret;
	a.q = d->qlog;
	snprintf(d->qlog_site, sizeof(d->qlog_site), "%s", s ? s->name : "");
	attach_all(d, &a);
	qb_qlog_get_status(d->qlog, &st);
	qb_daemon_emit(d, "qlog", d->qlog_site[0] ? d->qlog_site : "all", "off", "on", st.folder);
	return 0;
}

int qb_tracing_stop(struct qb_daemon *d, char *err)
{
	struct attach none = {0};

	if (!d->qlog) {
		snprintf(err, QB_ERR_LEN, "no connection is traced");
		return -EALREADY;
	}
	attach_all(d, &none);
	qb_qlog_close(d->qlog);
	d->qlog = NULL;
	qb_daemon_emit(d, "qlog", d->qlog_site[0] ? d->qlog_site : "all", "on", "off", "");
	return 0;
}

void qb_tracing_follow_conf(struct qb_daemon *d, const struct qb_conf *old)
{
	const char *was = old ? old->log.qlog : "", *now = d->conf->log.qlog;
	char err[QB_ERR_LEN] = "";

	if (strcmp(was, now) == 0)
		return;
	if (d->qlog)
		(void)qb_tracing_stop(d, err);
	if (now[0] && qb_tracing_start(d, NULL, NULL, err))
		qb_err("[Log] Qlog: %s", err);
}

void qb_tracing_fini(struct qb_daemon *d)
{
	if (d->qlog)
		qb_qlog_close(d->qlog);
	d->qlog = NULL;
	if (d->key_log_fd > 0)
		close(d->key_log_fd);
}

/* ---- control ---- */

int qb_tracing_command(void *arg, const char *verb, const char *folder, const char *site,
		       struct qb_ctl_qlog *out, char *err)
{
	struct qb_daemon *d = arg;
	struct qb_qlog_status st;
	int ret = 0;

	if (strcmp(verb, "start") == 0)
		ret = qb_tracing_start(d, folder, site, err);
	else if (strcmp(verb, "stop") == 0)
		ret = qb_tracing_stop(d, err);
	if (ret)
		return ret;
	*out = (struct qb_ctl_qlog){.is_on = d->qlog != NULL};
	snprintf(out->site, sizeof(out->site), "%s", d->qlog ? d->qlog_site : "");
	snprintf(out->key_log, sizeof(out->key_log), "%s", d->conf->log.key_log);
	if (!d->qlog)
		return 0;
	qb_qlog_get_status(d->qlog, &st);
	snprintf(out->folder, sizeof(out->folder), "%s", st.folder);
	snprintf(out->problem, sizeof(out->problem), "%s", st.problem);
	out->traces = st.traces;
	out->events = st.events;
	out->bytes = st.bytes;
	out->dropped = st.dropped;
	return 0;
}
