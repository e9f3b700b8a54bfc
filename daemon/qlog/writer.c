/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer: one thread that empties the workers' rings, keeps one open file a traced connection,
 * and never makes anybody wait. Opened and closed by the main thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"
#include "qlog/folder.h"
#include "qlog/format.h"
#include "qlog/qlog.h"
#include "qlog/ring.h"

enum {
	TRACES_MAX = 256, /* connections at once; more are not traced */
	BUF_BYTES = 128 * 1024,
	BUF_FULL = BUF_BYTES - QB_QLOG_RECORD_MAX, /* write when so much is there */
	POLL_MS = 10,
	FLUSH_MS = 500, /* so late may a file be behind */
	GROUP_LEN = 2 * QB_CID_MAX + 1,
	RETRY_S = 10, /* after the disk refused */
};

#define RING_BYTES	 ((size_t)8 << 20)
#define FILE_BYTES_MAX	 ((uint64_t)64 << 20)
#define FOLDER_BYTES_MAX ((uint64_t)512 << 20)

struct trace {
	bool is_used;
	uint32_t feed;
	uint64_t conn;
	struct qb_qlog_state state;
	char stem[64], begin[48]; /* of the files' names; when it began */
	char group[GROUP_LEN];
	uint32_t part;
	int fd; /* -1: nothing can be written */
	struct qb_qlog_file *file;
	uint64_t file_bytes;
	char *buf;
	size_t len;
	uint64_t last_ns;  /* time of the newest event */
	uint64_t retry_ns; /* without a file: when to try another */
};

struct qb_qlog {
	struct qb_qlog_cfg cfg;
	char node[64], alpn[16], folder_path[QB_QLOG_PATH_LEN];
	struct qb_pages pages[QB_QLOG_FEEDS_MAX];
	struct qb_qlog_ring ring[QB_QLOG_FEEDS_MAX];
	uint64_t dropped_told[QB_QLOG_FEEDS_MAX];
	struct qb_observer observer[QB_QLOG_FEEDS_MAX];
	struct qb_qlog_folder folder;
	struct qb_thread thread;
	_Atomic bool is_ending;
	struct trace trace[TRACES_MAX];
	struct trace *last; /* found last */
	_Atomic uint64_t events, bytes;
	_Atomic uint32_t trace_cnt;
	pthread_mutex_t lock; /* of problem */
	char problem[QB_QLOG_ERR_LEN];
};

static void on_event(void *arg, const struct qb_trace_event *ev)
{
	qb_qlog_ring_put(arg, ev);
}

/* ---- files ---- */

static void note_problem(struct qb_qlog *q, const char *what, int err)
{
	pthread_mutex_lock(&q->lock);
	snprintf(q->problem, sizeof(q->problem), "%s: %s", what, strerror(err));
	pthread_mutex_unlock(&q->lock);
}

static void end_file(struct trace *tr)
{
	if (tr->file)
		tr->file->is_open = false;
	if (tr->fd >= 0)
		close(tr->fd);
	tr->fd = -1;
	tr->file = NULL;
}

/* flush writes the buffer out. A disk that takes no more ends the trace's file, not the trace: the
 * next part may fit. */
static void flush(struct qb_qlog *q, struct trace *tr)
{
	size_t done = 0;

	while (tr->fd >= 0 && done < tr->len) {
		ssize_t n = write(tr->fd, tr->buf + done, tr->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			note_problem(q, tr->file->name, n < 0 ? errno : EIO);
			end_file(tr);
			tr->retry_ns = qb_now_ns() + RETRY_S * QB_NS_PER_SEC;
			break;
		}
		done += (size_t)n;
	}
	if (tr->file)
		qb_qlog_folder_grow(&q->folder, tr->file, done);
	tr->file_bytes += done;
	atomic_fetch_add_explicit(&q->bytes, done, memory_order_relaxed);
	tr->len = 0;
}

/* wall_clock is the time of day at then_ns; returns the milliseconds in its second. */
static unsigned int wall_clock(uint64_t then_ns, struct tm *tm)
{
	struct timespec ts;
	uint64_t wall_ns;

	clock_gettime(CLOCK_REALTIME, &ts);
	wall_ns = (uint64_t)ts.tv_sec * QB_NS_PER_SEC + (uint64_t)ts.tv_nsec;
	wall_ns -= QB_MIN(qb_sub_sat_u64(qb_now_ns(), then_ns), wall_ns);
	ts.tv_sec = (time_t)(wall_ns / QB_NS_PER_SEC);
	gmtime_r(&ts.tv_sec, tm);
	return (unsigned int)(wall_ns % QB_NS_PER_SEC / QB_NS_PER_MS);
}

/* name_trace gives it the name that its files begin with, and the time of its beginning as people
 * write it. */
static void name_trace(struct trace *tr)
{
	char second[32];
	struct tm tm;
	unsigned int ms = wall_clock(tr->state.begin_ns, &tm);

	strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(tr->begin, sizeof(tr->begin), "%s.%03uZ", second, ms % 1000);
	strftime(second, sizeof(second), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(tr->stem, sizeof(tr->stem), "%s-%.16s-%s", second, tr->group,
		 tr->state.is_server ? "server" : "client");
}

static void begin_file(struct qb_qlog *q, struct trace *tr)
{
	struct qb_qlog_text t = qb_qlog_text_init(tr->buf, BUF_BYTES);
	struct qb_qlog_head head = {.node = q->node, .begin = tr->begin, .group = tr->group};
	char name[QB_QLOG_NAME_LEN];

	tr->part++;
	do {
		if (tr->part == 1)
			snprintf(name, sizeof(name), "%s.sqlog", tr->stem);
		else
			snprintf(name, sizeof(name), "%s-%u.sqlog", tr->stem, tr->part);
		tr->fd = qb_qlog_folder_create(&q->folder, name, &tr->file);
	} while (tr->fd == -EEXIST && ++tr->part < 10000);
	tr->file_bytes = 0;
	if (tr->fd < 0) {
		note_problem(q, name, -tr->fd);
		tr->fd = -1;
		tr->retry_ns = qb_now_ns() + RETRY_S * QB_NS_PER_SEC;
		return;
	}
	head.part = tr->part;
	qb_qlog_format_head(&tr->state, &head, &t);
	tr->len = t.len;
}

/* ---- traces ---- */

static struct trace *find(struct qb_qlog *q, uint32_t feed, uint64_t conn)
{
	struct trace *last = q->last;

	if (last && last->is_used && last->conn == conn && last->feed == feed)
		return last;
	for (uint32_t i = 0; i < TRACES_MAX; i++)
		if (q->trace[i].is_used && q->trace[i].conn == conn && q->trace[i].feed == feed)
			return q->last = &q->trace[i];
	return NULL;
}

static struct trace *begin_trace(struct qb_qlog *q, uint32_t feed, const struct qb_trace_event *ev)
{
	const struct qb_cid *cid = &ev->started.odcid;
	struct trace *tr = q->trace;
	struct qb_qlog_text group;
	char quoted[GROUP_LEN + 2];

	while (tr < q->trace + TRACES_MAX && tr->is_used)
		tr++;
	if (tr == q->trace + TRACES_MAX)
		return NULL;
	*tr = (struct trace){.feed = feed, .conn = ev->conn, .fd = -1, .buf = malloc(BUF_BYTES)};
	if (!tr->buf)
		return NULL;
	tr->is_used = true;
	qb_qlog_state_init(&tr->state, ev->started.is_server, ev->now_ns);
	tr->state.alpn = q->alpn[0] ? q->alpn : NULL;
	group = qb_qlog_text_init(quoted, sizeof(quoted));
	qb_text_hex(&group, NULL, cid->id, cid->len);
	snprintf(tr->group, sizeof(tr->group), "%.*s", 2 * cid->len, quoted + 1);
	name_trace(tr);
	begin_file(q, tr);
	atomic_fetch_add_explicit(&q->trace_cnt, 1, memory_order_relaxed);
	return tr;
}

static void end_trace(struct qb_qlog *q, struct trace *tr)
{
	flush(q, tr);
	end_file(tr);
	free(tr->buf);
	tr->is_used = false;
	atomic_fetch_sub_explicit(&q->trace_cnt, 1, memory_order_relaxed);
}

static void write_event(struct qb_qlog *q, struct trace *tr, const struct qb_trace_event *ev)
{
	struct qb_qlog_text t;

	if (tr->len > BUF_FULL)
		flush(q, tr);
	if (tr->file_bytes > q->cfg.file_bytes_max || (tr->fd < 0 && qb_now_ns() >= tr->retry_ns)) {
		flush(q, tr);
		end_file(tr);
		begin_file(q, tr);
	}
	if (tr->fd < 0)
		return;
	t = qb_qlog_text_init(tr->buf + tr->len, BUF_BYTES - tr->len);
	qb_qlog_format(&tr->state, ev, &t);
	tr->len += t.len;
	tr->last_ns = ev->now_ns;
	atomic_fetch_add_explicit(&q->events, 1, memory_order_relaxed);
}

static void take(struct qb_qlog *q, uint32_t feed, const struct qb_trace_event *ev)
{
	struct trace *tr = find(q, feed, ev->conn);

	if (!tr && ev->type == QB_TRACE_CONNECTION_STARTED)
		tr = begin_trace(q, feed, ev);
	if (!tr)
		return; /* it has no beginning: an Initial that nobody could open, or one connection
			   too many */
	write_event(q, tr, ev);
	if (ev->type == QB_TRACE_TRACE_ENDED)
		end_trace(q, tr);
}

/* tell_dropped: each file of the worker says that something is missing, for nobody knows whose it
 * was. */
static void tell_dropped(struct qb_qlog *q, uint32_t feed)
{
	uint64_t cnt = atomic_load_explicit(&q->ring[feed].dropped, memory_order_relaxed) -
		       q->dropped_told[feed];

	if (!cnt)
		return;
	q->dropped_told[feed] += cnt;
	for (uint32_t i = 0; i < TRACES_MAX; i++) {
		struct trace *tr = &q->trace[i];
		struct qb_qlog_text t;

		if (!tr->is_used || tr->feed != feed)
			continue;
		t = qb_qlog_text_init(tr->buf + tr->len, BUF_BYTES - tr->len);
		qb_qlog_format_dropped(&tr->state, cnt, tr->last_ns, &t);
		tr->len += t.is_full ? 0 : t.len;
	}
}

/* ---- the thread ---- */

static void drain(struct qb_qlog *q)
{
	for (uint32_t i = 0; i < q->cfg.feed_cnt; i++) {
		const struct qb_trace_event *ev;

		while ((ev = qb_qlog_ring_get(&q->ring[i]))) {
			take(q, i, ev);
			qb_qlog_ring_next(&q->ring[i]);
		}
		tell_dropped(q, i);
	}
}

static void flush_all(struct qb_qlog *q)
{
	for (uint32_t i = 0; i < TRACES_MAX; i++)
		if (q->trace[i].is_used)
			flush(q, &q->trace[i]);
}

static void run(void *arg)
{
	const struct timespec nap = {.tv_nsec = POLL_MS * (long)QB_NS_PER_MS};
	struct qb_qlog *q = arg;
	uint64_t flushed_ns = 0;

	while (!atomic_load(&q->is_ending)) {
		drain(q);
		if (qb_now_ns() - flushed_ns > FLUSH_MS * QB_NS_PER_MS) {
			flush_all(q);
			flushed_ns = qb_now_ns();
		}
		nanosleep(&nap, NULL);
	}
	drain(q);
	for (uint32_t i = 0; i < TRACES_MAX; i++)
		if (q->trace[i].is_used)
			end_trace(q, &q->trace[i]);
}

/* ---- for the main thread ---- */

static void release(struct qb_qlog *q)
{
	for (uint32_t i = 0; i < q->cfg.feed_cnt; i++)
		qb_pages_unmap(&q->pages[i]);
	qb_qlog_folder_fini(&q->folder);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static int open_feeds(struct qb_qlog *q)
{
	for (uint32_t i = 0; i < q->cfg.feed_cnt; i++) {
		int ret = qb_pages_map(q->cfg.ring_bytes, 0, &q->pages[i]);

		if (ret)
			return ret;
		qb_qlog_ring_init(&q->ring[i], q->pages[i].mem, q->cfg.ring_bytes);
		q->observer[i] = (struct qb_observer){on_event, &q->ring[i]};
	}
	return 0;
}

int qb_qlog_open(const struct qb_qlog_cfg *cfg, struct qb_qlog **out, char err[QB_QLOG_ERR_LEN])
{
	struct qb_qlog *q = aligned_alloc(QB_CACHELINE, (sizeof(*q) + QB_CACHELINE - 1) &
								~(size_t)(QB_CACHELINE - 1));
	int ret;

	QB_BUG_ON(cfg->feed_cnt > QB_QLOG_FEEDS_MAX);
	if (!q) {
		close(cfg->folder_fd);
		snprintf(err, QB_QLOG_ERR_LEN, "out of memory");
		return -ENOMEM;
	}
	memset(q, 0, sizeof(*q));
	q->cfg = *cfg;
	q->cfg.ring_bytes = cfg->ring_bytes ? cfg->ring_bytes : RING_BYTES;
	q->cfg.file_bytes_max = cfg->file_bytes_max ? cfg->file_bytes_max : FILE_BYTES_MAX;
	snprintf(q->node, sizeof(q->node), "%s", cfg->node);
	snprintf(q->alpn, sizeof(q->alpn), "%s", cfg->alpn ? cfg->alpn : "");
	snprintf(q->folder_path, sizeof(q->folder_path), "%s", cfg->folder);
	pthread_mutex_init(&q->lock, NULL);
	ret = qb_qlog_folder_init(&q->folder, cfg->folder_fd,
				  cfg->folder_bytes_max ? cfg->folder_bytes_max : FOLDER_BYTES_MAX);
	if (!ret)
		ret = open_feeds(q);
	if (!ret)
		ret = qb_thread_start(&q->thread, "qb-qlog", -1, run, q);
	if (ret) {
		snprintf(err, QB_QLOG_ERR_LEN, "cannot trace to %.160s: %s", cfg->folder,
			 strerror(-ret));
		release(q);
		return ret;
	}
	*out = q;
	return 0;
}

const struct qb_observer *qb_qlog_observer(const struct qb_qlog *q, uint32_t feed)
{
	return &q->observer[feed];
}

void qb_qlog_close(struct qb_qlog *q)
{
	atomic_store(&q->is_ending, true);
	qb_thread_join(&q->thread);
	release(q);
}

void qb_qlog_get_status(struct qb_qlog *q, struct qb_qlog_status *out)
{
	*out = (struct qb_qlog_status){
		.traces = atomic_load_explicit(&q->trace_cnt, memory_order_relaxed),
		.events = atomic_load_explicit(&q->events, memory_order_relaxed),
		.bytes = atomic_load_explicit(&q->bytes, memory_order_relaxed),
	};
	for (uint32_t i = 0; i < q->cfg.feed_cnt; i++)
		out->dropped += atomic_load_explicit(&q->ring[i].dropped, memory_order_relaxed);
	snprintf(out->folder, sizeof(out->folder), "%s", q->folder_path);
	pthread_mutex_lock(&q->lock);
	snprintf(out->problem, sizeof(out->problem), "%s", q->problem);
	pthread_mutex_unlock(&q->lock);
}
