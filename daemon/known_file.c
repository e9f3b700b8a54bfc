/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file of known links, `known-ID` in the state directory, on the main thread: read at start, brought together from all workers
 * about once a minute, written now and then and at the end. Without a directory, knowledge lasts as long as the daemon.
 */
#include "daemon.h"

#include <stdlib.h>
#include <time.h>

enum {
	SYNC_S = 60,   /* between workers */
	WRITE_S = 300, /* to the file; and at the end */
};

static const char what[] = "known";

static uint64_t wall_offset_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * QB_NS_PER_SEC + (uint64_t)ts.tv_nsec - qb_now_ns();
}

static void read_file(struct qb_daemon *d)
{
	char *text = malloc(QB_KNOWN_TEXT_MAX);
	int len = text ? qb_keep_load(d, what, text, QB_KNOWN_TEXT_MAX) : 0;
	int cnt;

	if (len > 0) {
		cnt = qb_known_parse(&d->known, text, (size_t)len);
		if (cnt < 0)
			qb_warn("what was saved of known links is not whole; it is measured again");
		else
			qb_info("%d known links were saved", cnt);
	}
	free(text);
}

void qb_known_save(struct qb_daemon *d)
{
	char *text = malloc(QB_KNOWN_TEXT_MAX);

	if (text)
		qb_keep_save(d, what, text, qb_known_format(&d->known, text));
	free(text);
	d->known_written_ns = qb_now_ns();
	d->is_known_dirty = false;
}

/* ---- on a worker's thread, while the main thread waits ---- */

static void exchange(struct qb_worker *w, void *arg)
{
	struct qb_daemon *d = arg;
	struct qb_known_table *theirs = &w->node->known;

	d->is_known_dirty |= qb_known_merge(&d->known, theirs) > 0;
	qb_known_merge(theirs, &d->known);
	theirs->wall_ns = d->known.wall_ns;
}

void qb_known_sync(struct qb_daemon *d)
{
	d->known.wall_ns = wall_offset_ns();
	for (uint16_t i = 0; i < d->worker_cnt; i++)
		qb_worker_call(&d->workers[i], exchange, d);
	d->known_synced_ns = qb_now_ns();
}

void qb_known_start(struct qb_daemon *d)
{
	read_file(d);
	d->known_written_ns = qb_now_ns();
	qb_known_sync(d);
}

void qb_known_poll(struct qb_daemon *d)
{
	uint64_t now_ns = qb_now_ns();

	if (now_ns - d->known_synced_ns < SYNC_S * QB_NS_PER_SEC)
		return;
	qb_known_sync(d);
	if (d->is_known_dirty && now_ns - d->known_written_ns >= WRITE_S * QB_NS_PER_SEC)
		qb_known_save(d);
}

void qb_known_close(struct qb_daemon *d)
{
	qb_known_sync(d);
	if (d->is_known_dirty)
		qb_known_save(d);
}
