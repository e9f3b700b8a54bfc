/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known of links, for the control socket: shown with the names of those that are up now,
 * and forgotten. The table knows keys only, so names come from the paths that there are. Main
 * thread; workers answer on theirs.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct search {
	const struct qb_daemon *d;
	struct qb_ctl_known *out;
};

/* ---- on a worker's thread, while the main thread waits ---- */

static void name_path(const struct qb_daemon *d, const struct qb_tunnel *t, uint8_t path, char *out,
		      size_t len)
{
	char link[QB_STATUS_NAME_LEN] = "";

	qb_flows_name_path(d, t, path, link, sizeof(link));
	if (d->conf->role == QB_ROLE_HUB && t->site < d->conf->site_cnt)
		snprintf(out, len, "%s/%s", d->sites[t->site].conf->name, link);
	else
		snprintf(out, len, "%s", link);
}

static void put_name(struct qb_ctl_known *out, uint64_t key, const char *name)
{
	for (uint32_t i = 0; i < out->cnt; i++)
		if (out->list[i].key == key)
			snprintf(out->list[i].name, sizeof(out->list[i].name), "%s", name);
}

static void name_known(struct qb_worker *w, void *arg)
{
	const struct search *s = arg;

	for (struct qb_tunnel *t = w->node->tunnels; t; t = t->next) {
		for (uint8_t i = 0; i < QB_PATHS_MAX; i++) {
			char name[2 * QB_STATUS_NAME_LEN];
			struct qb_path_info info;

			if (!t->paths[i].is_used ||
			    !qb_conn_path_info(t->conn, i, qb_now_ns(), &info))
				continue;
			name_path(s->d, t, i, name, sizeof(name));
			put_name(s->out, qb_tunnel_known_key(t, &info.tuple), name);
		}
	}
}

static void forget(struct qb_worker *w, void *arg)
{
	const uint64_t *key = arg;

	qb_known_forget(&w->node->known, *key);
}

/* ---- main thread ---- */

static int by_age(const void *a, const void *b)
{
	const struct qb_ctl_known_link *x = a, *y = b;

	return x->age_s < y->age_s ? -1 : x->age_s > y->age_s;
}

int qb_known_list(void *arg, struct qb_ctl_known *out, char *err)
{
	struct qb_daemon *d = arg;
	struct search s = {d, out};
	uint64_t wall_ns;

	(void)err;
	qb_known_sync(d);
	wall_ns = d->known.wall_ns + qb_now_ns();
	out->life_s = (double)QB_KNOWN_LIFE_NS / 1e9;
	for (uint32_t i = 0; i < QB_KNOWN_SETS * QB_KNOWN_WAYS && out->cnt < QB_CTL_KNOWN; i++) {
		const struct qb_known_entry *e = qb_known_at(&d->known, i);

		if (!e)
			continue;
		out->list[out->cnt++] = (struct qb_ctl_known_link){
			.key = e->key,
			.window_bytes = e->what.cwnd_bytes,
			.rate_bps = (uint64_t)((double)e->what.cwnd_bytes * 8e9 /
					       (double)QB_MAX(e->what.rtt_ns, UINT64_C(1))),
			.rtt_ms = (double)e->what.rtt_ns / 1e6,
			.age_s = (double)qb_sub_sat_u64(wall_ns, e->at_ns) / 1e9,
		};
	}
	qsort(out->list, out->cnt, sizeof(out->list[0]), by_age);
	for (uint16_t w = 0; w < d->worker_cnt; w++)
		qb_worker_call(&d->workers[w], name_known, &s);
	return 0;
}

static bool is_meant(const struct qb_ctl_known_link *k, const char *name)
{
	char key[17];

	snprintf(key, sizeof(key), "%016llx", (unsigned long long)k->key);
	return !name || strcmp(k->name, name) == 0 || strcmp(key, name) == 0;
}

int qb_known_drop(void *arg, const char *name, uint32_t *cnt, char *err)
{
	struct qb_ctl_known *all = calloc(1, sizeof(*all));
	struct qb_daemon *d = arg;

	if (!all)
		return -ENOMEM;
	qb_known_list(d, all, err);
	for (uint32_t i = 0; i < all->cnt; i++) {
		if (!is_meant(&all->list[i], name))
			continue;
		*cnt += qb_known_forget(&d->known, all->list[i].key);
		for (uint16_t w = 0; w < d->worker_cnt; w++)
			qb_worker_call(&d->workers[w], forget, &all->list[i].key);
	}
	free(all);
	if (*cnt == 0 && name) {
		snprintf(err, QB_ERR_LEN, "nothing is known of \"%.64s\"; see quicbondctl known",
			 name);
		return -ENOENT;
	}
	if (*cnt)
		qb_known_save(d); /* or it would be back after a crash */
	return 0;
}
