/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests for files, as many at once as the peer allows. Called by quicbond-client with its connections' events. */
#include "tools/interop_fetch.h"

#include <errno.h>
#include <stdlib.h>

enum { READ_BYTES = 65536 };

/* ---- files ---- */

static struct qb_fetch_file *find(struct qb_fetch *f, uint64_t stream)
{
	for (uint32_t i = 0; i < f->next; i++) {
		if (f->file[i].state == QB_FETCH_RUNNING && f->file[i].stream == stream)
			return &f->file[i];
	}
	return NULL;
}

static void end(struct qb_fetch *f, struct qb_fetch_file *file, bool is_ok)
{
	if (file->out && fclose(file->out))
		is_ok = false;
	file->out = NULL;
	file->state = is_ok ? QB_FETCH_DONE : QB_FETCH_FAILED;
	f->running_cnt--;
	if (is_ok)
		f->done_cnt++;
	else
		f->failed_cnt++;
}

static int open_out(const struct qb_fetch *f, struct qb_fetch_file *file)
{
	const char *base = strrchr(file->path, '/');
	char full[1024];
	int n;

	if (!f->dir)
		return 0;
	n = snprintf(full, sizeof(full), "%s/%s", f->dir, base && base[1] ? base + 1 : "index.html");
	if (n < 0 || (size_t)n >= sizeof(full))
		return -ENAMETOOLONG;
	file->out = fopen(full, "we");
	return file->out ? 0 : -errno;
}

static void take_bytes(struct qb_fetch *f, struct qb_fetch_file *file, const uint8_t *data, size_t len)
{
	file->bytes += len;
	f->bytes += len;
	if (file->out)
		(void)fwrite(data, 1, len, file->out);
}

/* ---- HTTP/3 ---- */

static void h3_read(struct qb_fetch *f, struct qb_fetch_file *file)
{
	static uint8_t buf[READ_BYTES];
	bool is_end = false;
	int64_t n;

	while ((n = qb_h3_read_body(f->h3, file->stream, buf, sizeof(buf), &is_end)) > 0) {
		take_bytes(f, file, buf, (size_t)n);
		if (is_end)
			break;
	}
	if (is_end)
		end(f, file, file->status == 200 &&
				     (file->body_len == QB_H3_LEN_UNKNOWN || file->body_len == file->bytes));
}

static void h3_poll(struct qb_fetch *f)
{
	struct qb_fetch_file *file;
	struct qb_h3_event ev;

	while (qb_h3_next_event(f->h3, &ev)) {
		file = find(f, ev.session);
		if (!file)
			continue;
		if (ev.type == QB_H3_EV_RESPONSE) {
			file->status = ev.status;
			file->body_len = ev.body_len;
		} else if (ev.type == QB_H3_EV_BODY) {
			h3_read(f, file);
		} else if (ev.type == QB_H3_EV_CLOSED) {
			end(f, file, false);
		}
	}
}

/* ---- HTTP/0.9 ---- */

static void hq_on_event(struct qb_fetch *f, const struct qb_quic_event *ev)
{
	static uint8_t buf[READ_BYTES];
	struct qb_fetch_file *file = find(f, ev->stream_id);
	bool is_fin = false;
	int64_t n;

	if (!file || ev->type != QB_EV_STREAM_READABLE)
		return;
	do {
		n = qb_conn_stream_read(f->conn, file->stream, buf, sizeof(buf), &is_fin, NULL);
		if (n > 0)
			take_bytes(f, file, buf, (size_t)n);
	} while (n > 0 && !is_fin);
	if (n < 0 || is_fin)
		end(f, file, n >= 0);
}

static int64_t hq_get(struct qb_fetch *f, const char *path)
{
	char line[512];
	int len = snprintf(line, sizeof(line), "GET %s\r\n", path);
	int64_t id;

	if (len < 0 || (size_t)len >= sizeof(line))
		return -EINVAL;
	id = qb_conn_open_stream(f->conn, true);
	/* A fresh stream takes a line. */
	if (id >= 0 && qb_conn_stream_write(f->conn, (uint64_t)id, line, (size_t)len, true) != len)
		return -EPIPE;
	return id;
}

/* ---- both ---- */

static void ask_for_more(struct qb_fetch *f)
{
	while (f->next < f->cnt && f->running_cnt < QB_FETCH_PARALLEL) {
		struct qb_fetch_file *file = &f->file[f->next];
		int64_t id = f->h3 ? qb_h3_get(f->h3, f->authority, file->path)
				   : hq_get(f, file->path);

		if (id == -EAGAIN || id == -ENOSPC)
			return;
		f->next++;
		f->running_cnt++;
		file->state = QB_FETCH_RUNNING;
		file->stream = (uint64_t)id;
		if (id < 0 || open_out(f, file) < 0)
			end(f, file, false);
	}
}

int qb_fetch_begin(struct qb_fetch *f, struct qb_conn *conn, bool is_h3)
{
	void *mem = is_h3 ? malloc(qb_h3_footprint()) : NULL;
	int rc;

	f->conn = conn;
	if (is_h3) {
		rc = mem ? qb_h3_init(mem, conn, false, &f->h3) : -ENOMEM;
		if (rc < 0) {
			free(mem);
			return rc;
		}
	}
	ask_for_more(f);
	return 0;
}

void qb_fetch_fini(struct qb_fetch *f)
{
	for (uint32_t i = 0; i < f->next; i++) {
		if (f->file[i].state == QB_FETCH_RUNNING)
			end(f, &f->file[i], false);
	}
	free(f->h3);
	f->h3 = NULL;
}

void qb_fetch_on_event(struct qb_fetch *f, const struct qb_quic_event *ev)
{
	if (ev && f->h3)
		qb_h3_on_quic_event(f->h3, ev);
	else if (ev)
		hq_on_event(f, ev);
	if (f->h3)
		h3_poll(f);
	ask_for_more(f);
}
