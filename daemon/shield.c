/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guard before the hub's ports: limits as the config has them, whether an attack is under way
 * and what follows from it, and the block list, by file and by command. Main thread.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

enum { BLOCK_LIFE_MAX_H = 24 * 366 };

_Static_assert((int)QB_BLOCKS_MAX == (int)QB_CONF_BLOCKS_MAX, "what the file may name");

/* ---- limits and attacks ---- */

enum qb_retry_mode qb_shield_retry(const struct qb_daemon *d)
{
	const char *retry = d->conf->listen.retry;

	if (strcmp(retry, "off") == 0)
		return QB_RETRY_OFF;
	return d->is_attacked || strcmp(retry, "always") == 0 ? QB_RETRY_ALWAYS : QB_RETRY_AUTO;
}

static void do_set_retry(struct qb_worker *w, void *arg)
{
	qb_quic_set_retry(w->node->quic, qb_shield_retry(arg));
}

static void set_limits(const struct qb_daemon *d)
{
	const struct qb_guard_limits limits = {.source = d->conf->listen.source_limit,
					       .strangers = d->conf->listen.stranger_limit};
	int ret = qb_guard_limit(d->guard, &limits);

	if (ret)
		qb_warn("the guard's limits cannot be set: %s", strerror(-ret));
}

void qb_shield_why(const struct qb_daemon *d, char *out, size_t len)
{
	const struct qb_guard_attack *a = qb_guard_attack(d->guard);

	snprintf(out, len,
		 "up to %llu Initials a second refused: %llu above their prefix's limit, %llu "
		 "above that of all strangers",
		 (unsigned long long)(a->source_ps + a->total_ps), (unsigned long long)a->source_ps,
		 (unsigned long long)a->total_ps);
}

static void follow_attack(struct qb_daemon *d, uint64_t now_ns)
{
	const struct qb_guard_attack *a = qb_guard_poll(d->guard, now_ns);
	char why[160];

	if (a->is_on == d->is_attacked)
		return;
	d->is_attacked = a->is_on;
	for (uint16_t w = 0; w < d->worker_cnt; w++)
		qb_worker_call(&d->workers[w], do_set_retry, d);
	qb_shield_why(d, why, sizeof(why));
	qb_daemon_emit(d, "guard", d->conf->name, a->is_on ? "calm" : "attack",
		       a->is_on ? "attack" : "calm", why);
}

/* ---- the block list ---- */

/* sync_guard has the guard block what is on the list, and nothing else. */
static void sync_guard(struct qb_daemon *d)
{
	struct qb_prefix *in_force = malloc(QB_BLOCKS_MAX * sizeof(*in_force));
	uint32_t cnt = in_force ? qb_guard_blocks(d->guard, in_force, QB_BLOCKS_MAX) : 0;
	int ret = in_force ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < cnt; i++)
		if (!qb_blocks_has(&d->blocks, &in_force[i]) &&
		    qb_guard_unblock(d->guard, &in_force[i]))
			ret = -EIO;
	for (uint32_t i = 0; i < d->blocks.cnt; i++) {
		int one = qb_guard_block(d->guard, &d->blocks.list[i].prefix);

		if (one && one != -EEXIST)
			ret = one;
	}
	if (ret)
		qb_warn("not all of the block list is in force: %s", strerror(-ret));
	free(in_force);
}

static void keep_blocks(struct qb_daemon *d)
{
	uint8_t *bytes = malloc(QB_BLOCKS_BYTES);

	if (bytes)
		qb_keep_save(d, "blocks", bytes, qb_blocks_save(&d->blocks, bytes));
	free(bytes);
}

static void load_blocks(struct qb_daemon *d)
{
	uint8_t *bytes = malloc(QB_BLOCKS_BYTES + 1);
	int len = bytes ? qb_keep_load(d, "blocks", bytes, QB_BLOCKS_BYTES + 1) : -ENOMEM;

	if (len > 0 && qb_blocks_load(&d->blocks, bytes, (size_t)len))
		qb_warn("the block list that was kept is damaged: `quicbondctl block list` shows "
			"what is in force");
	free(bytes);
	(void)qb_blocks_expire(&d->blocks, qb_wall_s());
}

static void take_file(struct qb_daemon *d)
{
	const struct qb_conf_blocks *f = &d->conf->listen.blocks;
	int ret = qb_blocks_take_file(&d->blocks, f->p, f->cnt);

	if (ret)
		qb_warn("not all of %s is in force: %s", d->conf->listen.block_file,
			strerror(-ret));
	sync_guard(d);
	if (f->cnt)
		qb_info("%s: %u prefixes are blocked", d->conf->listen.block_file, f->cnt);
}

static int need_guard(const struct qb_daemon *d, char *err)
{
	if (d->guard)
		return 0;
	snprintf(err, QB_ERR_LEN, "%s",
		 d->conf->role == QB_ROLE_HUB ? "there is no guard: BPF cannot be had here"
					      : "only a hub has a block list");
	return -EOPNOTSUPP;
}

/* until reads for how long. Returns 0 or -EINVAL. */
static int until(const char *life, uint64_t *until_s, char *err)
{
	uint64_t ns;

	*until_s = 0;
	if (!life)
		return 0;
	if (qb_conf_parse_duration(life, &ns) || ns < QB_NS_PER_SEC ||
	    ns > BLOCK_LIFE_MAX_H * 3600 * QB_NS_PER_SEC) {
		snprintf(err, QB_ERR_LEN, "\"%.32s\" is no time to block for; allowed: 1s to 8784h",
			 life);
		return -EINVAL;
	}
	*until_s = qb_wall_s() + ns / QB_NS_PER_SEC;
	return 0;
}

int qb_shield_block(void *arg, const char *verb, const char *prefix, const char *life, char *err)
{
	struct qb_daemon *d = arg;
	struct qb_prefix p;
	uint64_t until_s;
	int ret = need_guard(d, err);

	if (!ret && qb_prefix_parse(prefix, &p)) {
		snprintf(err, QB_ERR_LEN,
			 "\"%.64s\" is no prefix like 192.0.2.0/24 or 2001:db8::/32", prefix);
		ret = -EINVAL;
	}
	if (!ret)
		ret = until(life, &until_s, err);
	if (ret)
		return ret;
	ret = strcmp(verb, "add") ? qb_blocks_del(&d->blocks, &p)
				  : qb_blocks_add(&d->blocks, &p, until_s);
	if (ret == -ENOENT)
		snprintf(err, QB_ERR_LEN, "%.64s is not on the list", prefix);
	else if (ret == -EEXIST)
		snprintf(err, QB_ERR_LEN, "%.64s is on the list", prefix);
	else if (ret == -EPERM)
		snprintf(err, QB_ERR_LEN, "%.64s is in the file %s: take it out there and reload",
			 prefix, d->conf->listen.block_file);
	else if (ret == -ENOSPC)
		snprintf(err, QB_ERR_LEN, "the list is full");
	if (ret)
		return ret;
	sync_guard(d);
	keep_blocks(d);
	return 0;
}

int qb_shield_blocks(void *arg, struct qb_ctl_block *out, uint32_t *cnt, char *err)
{
	struct qb_daemon *d = arg;
	uint64_t now_s = qb_wall_s();
	int ret = need_guard(d, err);

	*cnt = ret ? 0 : QB_MIN(*cnt, d->blocks.cnt);
	for (uint32_t i = 0; i < *cnt; i++) {
		const struct qb_block *b = &d->blocks.list[i];

		out[i] = (struct qb_ctl_block){
			.prefix = b->prefix, .by_file = b->by_file, .by_command = b->by_command};
		if (b->by_command && b->until_s)
			out[i].left_s = b->until_s > now_s ? (double)(b->until_s - now_s) : 1;
	}
	return ret;
}

static void follow_time(struct qb_daemon *d, uint64_t now_ns)
{
	if (now_ns - d->blocks_ns < QB_NS_PER_SEC)
		return;
	d->blocks_ns = now_ns;
	if (!qb_blocks_expire(&d->blocks, qb_wall_s()))
		return;
	sync_guard(d);
	keep_blocks(d);
}

/* ---- start, reload, stop ---- */

void qb_shield_open(struct qb_daemon *d)
{
	if (!d->guard)
		return;
	set_limits(d);
	load_blocks(d);
	take_file(d);
}

void qb_shield_reload(struct qb_daemon *d)
{
	if (!d->guard)
		return;
	set_limits(d);
	take_file(d);
}

void qb_shield_poll(struct qb_daemon *d, uint64_t now_ns)
{
	if (!d->guard)
		return;
	follow_attack(d, now_ns);
	follow_time(d, now_ns);
}

void qb_shield_close(struct qb_daemon *d)
{
	qb_guard_close(d->guard);
	qb_blocks_fini(&d->blocks);
}
