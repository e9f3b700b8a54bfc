/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Settings that change while the daemon runs: what of the config becomes schedulers, policies and
 * parameters that workers use. The main thread makes them; a worker takes them over between two
 * rounds, so the ones before go when all have.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct qb_scheds *qb_settings_load(const struct qb_conf *c, uint32_t worker_cnt,
				   char err[QB_ERR_LEN])
{
	struct qb_scheds *scheds = qb_scheds_open(c, worker_cnt);
	const char *why = scheds ? qb_scheds_missing(scheds, NULL) : "out of memory";

	if (!why)
		return scheds;
	snprintf(err, QB_ERR_LEN, "%s", why);
	qb_scheds_close(scheds);
	return NULL;
}

/* tell_missing: a tunnel without the schedulers that the config names is better than none. */
static void tell_missing(const struct qb_daemon *d)
{
	const char *bond = d->conf->bond.scheduler, *why = qb_scheds_missing(d->scheds, bond);

	if (why)
		qb_err("%s; auto is used instead", why);
	for (uint32_t i = 0; i < d->conf->policy_cnt; i++) {
		const struct qb_conf_policy *p = &d->conf->policies[i];

		why = qb_scheds_missing(d->scheds, p->scheduler);
		if (why)
			qb_err("[Policy %s]: %s; the bond's scheduler is used instead", p->name, why);
	}
}

int qb_settings_open(struct qb_daemon *d)
{
	d->scheds = qb_scheds_open(d->conf, d->worker_cnt);
	if (!d->scheds)
		return -ENOMEM;
	tell_missing(d);
	qb_policy_watch_marks(d);
	d->policy = qb_policy_new(d, d->scheds);
	return d->policy ? 0 : -ENOMEM;
}

void qb_settings_close(struct qb_daemon *d)
{
	free(d->policy);
	qb_scheds_close(d->scheds);
}

const char *qb_settings_scheduler(const struct qb_daemon *d)
{
	const struct qb_sched *s = qb_scheds_find(d->scheds, d->conf->bond.scheduler);

	return s ? s->name : qb_sched_list[0]->name;
}

static void do_apply(struct qb_worker *w, void *arg)
{
	struct qb_daemon *d = arg;
	struct qb_path_tune tune = qb_daemon_tune(d->conf, NULL);

	qb_quic_set_tls(w->node->quic, d->tls);
	qb_quic_set_rekey(w->node->quic, d->conf->tunnel.rekey_ns, d->conf->tunnel.rekey_pkts);
	qb_quic_set_tune(w->node->quic, &tune);
	qb_quic_set_retry(w->node->quic, qb_shield_retry(d));
	qb_quic_set_spin(w->node->quic, d->conf->tunnel.spin_of_16);
	qb_quic_set_padding(w->node->quic, d->conf->tunnel.pad_bytes);
	qb_quic_set_preferred(w->node->quic, &d->conf->listen.preferred4, &d->conf->listen.preferred6);
	qb_node_set_cc(w->node, qb_cc_find(d->conf->bond.congestion), qb_now_ns());
	qb_node_set_policy(w->node, d->policy, &d->conf->bond.fec);
	qb_node_set_sched(w->node, qb_scheds_find(d->scheds, d->conf->bond.scheduler));
	w->node->cfg.failback_ns = d->conf->bond.failback_ns;
	w->node->cfg.fail = d->conf->bond.fail;
	if (d->conf->role == QB_ROLE_EDGE) {
		qb_edge_set_failover(w->node, d->conf->bond.mode == QB_MODE_FAILOVER);
		qb_edge_set_mesh(w->node, d->conf->bond.is_mesh_full, qb_now_ns());
		qb_edge_set_reserve(w->node, qb_uplinks_reserve_ns(d));
	}
	w->node->cfg.reorder_max_bytes = d->conf->bond.reorder_max_bytes;
	w->node->cfg.grain = d->conf->bond.grain;
	w->node->cfg.has_tail_copies = d->conf->bond.has_tail_copies;
	for (struct qb_tunnel *t = w->node->tunnels; t; t = t->next) {
		qb_bond_set_failback(t->bond, w->node->cfg.failback_ns);
		qb_bond_want_fail(t->bond, &w->node->cfg.fail);
		qb_bond_set_grain(t->bond, w->node->cfg.grain);
		qb_bond_set_tail(t->bond, w->node->cfg.has_tail_copies);
		qb_bond_set_reorder_max(t->bond, w->node->cfg.reorder_max_bytes);
		qb_tunnel_stir(t);
	}
}

int qb_settings_apply(struct qb_daemon *d, struct qb_scheds *scheds)
{
	struct qb_policy *old = d->policy,
			 *policy = qb_policy_new(d, scheds ? scheds : d->scheds);
	struct qb_scheds *old_scheds = scheds ? d->scheds : NULL;

	if (!policy) {
		qb_scheds_close(scheds);
		return -ENOMEM;
	}
	qb_policy_watch_marks(d);
	d->policy = policy;
	if (scheds)
		d->scheds = scheds;
	for (uint16_t w = 0; w < d->worker_cnt; w++)
		qb_worker_call(&d->workers[w], do_apply, d);
	if (d->conf->role == QB_ROLE_EDGE) {
		qb_uplinks_settle(d);
		qb_direct_update(d);
	}
	free(old);
	qb_scheds_close(old_scheds);
	return 0;
}

static int set_log_level(const char *value, char *err)
{
	struct qb_log_levels levels;
	char wrong[QB_LOG_TEXT_LEN];

	if (qb_log_levels_parse(value, &levels, wrong)) {
		snprintf(err, QB_ERR_LEN,
			 "\"%.64s\" is no log level; err, warn, info, debug, or TARGET:LEVEL with "
			 "%s",
			 wrong, qb_log_targets());
		return -EINVAL;
	}
	qb_log_set(&levels);
	return 0;
}

/* check_primary: the link that is to come first must be there. */
static int check_primary(const struct qb_daemon *d, char err[QB_ERR_LEN])
{
	const char *primary = d->conf->bond.primary;

	if (d->conf->role == QB_ROLE_HUB || strcmp(primary, "auto") == 0 || qb_uplinks_find(d, primary) >= 0)
		return 0;
	snprintf(err, QB_ERR_LEN, "no link is called \"%s\"; a link's name, or auto", primary);
	return -ENOENT;
}

/* check_via: links that a policy names must be there, and its conditions must go with it, as the file's check has it. */
static int check_via(const struct qb_daemon *d, const struct qb_conf_policy *p, char err[QB_ERR_LEN])
{
	const struct qb_conf_via *via = &p->via;

	struct qb_match_mark marks[QB_MATCH_ALL_MARKS_MAX];

	if (via->is_direct && p->match.dscps) {
		snprintf(err, QB_ERR_LEN, "[Policy %s] matches by dscp:, which does not go with direct", p->name);
		return -EINVAL;
	}
	if (qb_conf_marks(d->conf, marks) > QB_MATCH_ALL_MARKS_MAX) {
		snprintf(err, QB_ERR_LEN, "with [Policy %s] that were more than %d different marks", p->name, QB_MATCH_ALL_MARKS_MAX);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < via->cnt; i++) {
		if (d->conf->role == QB_ROLE_EDGE && qb_uplinks_find(d, via->links[i]) >= 0)
			continue;
		snprintf(err, QB_ERR_LEN, "no link is called \"%s\"", via->links[i]);
		return -ENOENT;
	}
	return 0;
}

/*
 * load_again loads the schedulers anew after `value` was stored for one of them, even if it is the
 * one in force: its file may be another by now. A config that names one that cannot be had is as it
 * was before; but others that the start had to do without are no hindrance.
 */
static int load_again(struct qb_daemon *d, char *field, const char *old, char err[QB_ERR_LEN])
{
	struct qb_scheds *scheds = qb_scheds_open(d->conf, d->worker_cnt);
	const char *why = scheds ? qb_scheds_missing(scheds, field) : "out of memory";

	if (!why)
		return qb_settings_apply(d, scheds);
	snprintf(err, QB_ERR_LEN, "%s", why);
	qb_scheds_close(scheds);
	memcpy(field, old, QB_CONF_SCHED_LEN);
	return -EINVAL;
}

/* set_key changes a key of the config as the file would. */
static int set_key(struct qb_daemon *d, const struct qb_conf_setting *s, const char *value,
		   char err[QB_ERR_LEN])
{
	char *scheduler = d->conf->bond.scheduler, old[QB_CONF_SCHED_LEN], primary[QB_CONF_NAME_LEN];
	struct qb_conf_policy *p = NULL, was;
	void *base = d->conf;
	int ret;

	if (!strcmp(s->section, "Link") && d->conf->role == QB_ROLE_EDGE)
		return qb_uplinks_set(d, s, value, err);
	if (!(s->roles & 1u << d->conf->role)) {
		snprintf(err, QB_ERR_LEN, "[%s] %s is for a node whose Role is %s; this one is %s", s->section, qb_conf_setting_key(s),
			 d->conf->role == QB_ROLE_EDGE ? "hub" : "edge", qb_role_name(d->conf->role));
		return -EINVAL;
	}
	if (*s->name) {
		p = strcmp(s->section, "Policy") ? NULL : qb_policy_find(d->conf, s->name);
		if (!p) {
			snprintf(err, QB_ERR_LEN, "there is no [%s %s]", s->section, s->name);
			return -ENOENT;
		}
		scheduler = p->scheduler;
		base = p;
		was = *p;
	}
	memcpy(old, scheduler, sizeof(old));
	memcpy(primary, d->conf->bond.primary, sizeof(primary));
	ret = qb_conf_setting_store(s, base, value, qb_conf_known_names(), err);
	if (!ret && p && check_via(d, p, err)) {
		*p = was;
		ret = -ENOENT;
	}
	/* One that the file names may yet come. */
	if (!ret && strcmp(primary, d->conf->bond.primary) != 0 && check_primary(d, err)) {
		memcpy(d->conf->bond.primary, primary, sizeof(primary));
		ret = -ENOENT;
	}
	if (ret)
		return ret;
	/* Another one may have to be made; a program is loaded anew in any case. */
	if (strcmp(old, scheduler) || !strncasecmp(value, "bpf:", 4))
		return load_again(d, scheduler, old, err);
	return qb_settings_apply(d, NULL);
}

int qb_settings_set(void *arg, const char *key, const char *value, char *err)
{
	char keys[QB_CONF_ERR_LEN];
	struct qb_conf_setting s;
	struct qb_daemon *d = arg;

	if (!strcasecmp(key, "Log.Level"))
		return set_log_level(value, err);
	if (!qb_conf_setting_find(key, &s))
		return set_key(d, &s, value, err);
	qb_conf_live_keys(keys, sizeof(keys));
	snprintf(err, QB_ERR_LEN, "cannot set %.32s; Log.Level and these can be: %s", key, keys);
	return -EINVAL;
}
