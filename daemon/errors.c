/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last 256 errors: connections that failed, paths that did not answer, and what the log warned
 * of. Kept for `quicbondctl errors`; any thread adds, the main thread reads.
 */
#include "daemon.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

static struct {
	pthread_mutex_t lock;
	uint32_t head, cnt;
	struct qb_ctl_error slot[QB_CTL_ERRORS];
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER};

static double wall_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool is_same(const struct qb_ctl_error *a, const struct qb_ctl_error *b)
{
	return a->has_path == b->has_path && a->path_id == b->path_id &&
	       !strcmp(a->name, b->name) && !strcmp(a->error, b->error) &&
	       !strcmp(a->text, b->text);
}

/* add keeps an error. What says the same as the newest one is counted there: an edge without a hub
 * must not push out all else. */
static void add(struct qb_ctl_error *e)
{
	struct qb_ctl_error *newest;

	e->time_s = wall_s();
	e->cnt = 1;
	pthread_mutex_lock(&ring.lock);
	newest = &ring.slot[(ring.head + ring.cnt - 1) % QB_CTL_ERRORS];
	if (ring.cnt && is_same(newest, e)) {
		e->cnt = newest->cnt + 1;
		*newest = *e;
	} else {
		if (ring.cnt == QB_CTL_ERRORS) {
			ring.head = (ring.head + 1) % QB_CTL_ERRORS;
			ring.cnt--;
		}
		ring.slot[(ring.head + ring.cnt++) % QB_CTL_ERRORS] = *e;
	}
	pthread_mutex_unlock(&ring.lock);
}

static void on_log(enum qb_log_level level, const char *text)
{
	struct qb_ctl_error e = {0};

	snprintf(e.error, sizeof(e.error), "%s", qb_log_level_name(level));
	snprintf(e.text, sizeof(e.text), "%s", text);
	add(&e);
}

void qb_errors_open(void)
{
	qb_log_hook = on_log;
}

const char *qb_errors_peer_name(const struct qb_daemon *d, const uint8_t *key)
{
	const struct qb_conf *c = d->conf;

	for (uint32_t i = 0; key && c->role == QB_ROLE_HUB && i < c->site_cnt; i++)
		if (!memcmp(c->sites[i].public_key, key, QB_PUBKEY_LEN))
			return c->sites[i].name;
	for (uint32_t i = 0; key && c->role == QB_ROLE_EDGE && i < c->hub_cnt; i++)
		if (!memcmp(c->hubs[i].public_key, key, QB_PUBKEY_LEN))
			return c->hubs[i].name;
	return "";
}

static void name_error(const struct qb_quic_failure *f, char text[QB_ERROR_TEXT_LEN])
{
	if (f->is_app)
		snprintf(text, QB_ERROR_TEXT_LEN, "%s (0x%" PRIx64 ")",
			 qb_h3_error_name(f->error_code), f->error_code);
	else
		qb_quic_error_format(f->error_code, text);
}

static void cid_text(const struct qb_cid *cid, char *text)
{
	for (uint32_t i = 0; i < cid->len; i++)
		sprintf(text + 2 * i, "%02x", cid->id[i]);
}

void qb_errors_on_failure(struct qb_daemon *d, const struct qb_notice *note)
{
	const struct qb_quic_failure *f = &note->failure.conn;
	struct qb_ctl_error e = {.has_path = note->failure.has_path,
				 .path_id = note->failure.path_id};
	char name[QB_ERROR_TEXT_LEN], path[32] = "";

	name_error(f, name);
	snprintf(e.name, sizeof(e.name), "%s", qb_errors_peer_name(d, f->has_key ? f->peer_key : NULL));
	snprintf(e.error, sizeof(e.error), "%s", name);
	qb_addr_format(&f->peer, e.peer);
	cid_text(&f->odcid, e.cid);
	snprintf(e.text, sizeof(e.text), "%s%s%s", f->is_handshake ? "handshake: " : "", f->reason,
		 f->is_by_peer ? " (said the peer)" : "");
	add(&e);
	if (e.has_path)
		snprintf(path, sizeof(path), ", path %" PRIu32, e.path_id);
	qb_log_to(QB_LOG_QUIC, QB_LOG_INFO, "connection %.16s with %s%s%s%s: %s: %s", e.cid, e.name,
		  e.name[0] ? " at " : "", e.peer, path, e.error, e.text);
}

int qb_errors_list(void *arg, struct qb_ctl_error *out, uint32_t *cnt, char *err)
{
	uint32_t i;

	(void)arg;
	(void)err;
	pthread_mutex_lock(&ring.lock);
	for (i = 0; i < ring.cnt && i < *cnt; i++)
		out[i] = ring.slot[(ring.head + i) % QB_CTL_ERRORS];
	pthread_mutex_unlock(&ring.lock);
	*cnt = i;
	return 0;
}
