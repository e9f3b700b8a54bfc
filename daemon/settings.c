/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `quicbondctl set KEY VALUE`: a setting changes in the running config, and in the workers. The file is not touched. Main thread.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

static int set_log_level(const char *value, char *err)
{
	struct qb_log_levels levels;
	char wrong[QB_LOG_TEXT_LEN];

	if (qb_log_levels_parse(value, &levels, wrong)) {
		snprintf(err, QB_ERR_LEN, "\"%.64s\" is no log level; err, warn, info, debug, or TARGET:LEVEL with %s", wrong,
			 qb_log_targets());
		return -EINVAL;
	}
	qb_log_set(&levels);
	return 0;
}

/* set_key changes a key of the config as the file would. */
static int set_key(struct qb_daemon *d, const struct qb_conf_setting *s, const char *value, char err[QB_CONF_ERR_LEN])
{
	void *base = d->conf;
	int ret;

	if (!strcmp(s->section, "Link") && d->conf->role == QB_ROLE_EDGE)
		return qb_uplinks_set(d, s, value, err);
	if (*s->name)
		base = strcmp(s->section, "Policy") ? NULL : qb_policy_find(d->conf, s->name);
	if (!base) {
		snprintf(err, QB_CONF_ERR_LEN, "there is no [%s %s]", s->section, s->name);
		return -ENOENT;
	}
	ret = qb_conf_setting_store(s, base, value, qb_conf_known_names(), err);
	return ret ? ret : qb_daemon_apply(d);
}

int qb_daemon_set(void *arg, const char *key, const char *value, char *err)
{
	char why[QB_CONF_ERR_LEN] = "", keys[QB_CONF_ERR_LEN];
	struct qb_conf_setting s;
	struct qb_daemon *d = arg;
	int ret;

	if (!strcasecmp(key, "Log.Level"))
		return set_log_level(value, err);
	if (!strcasecmp(key, "Bond.Scheduler") && qb_sched_find(value)) {
		snprintf(d->conf->bond.scheduler, sizeof(d->conf->bond.scheduler), "%s", value);
		return qb_daemon_apply(d);
	}
	if (!qb_conf_setting_find(key, &s)) {
		ret = set_key(d, &s, value, why);
		snprintf(err, QB_ERR_LEN, "%.255s", why);
		return ret;
	}
	qb_conf_live_keys(keys, sizeof(keys));
	snprintf(err, QB_ERR_LEN, "cannot set %.32s; Log.Level, Bond.Scheduler and these can be: %.165s", key, keys);
	return -EINVAL;
}
