/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of a folder as answers to GET. HTTP/0.9 over QUIC ("hq-interop") is a stream a request: the line
 * "GET /path" one way, the file the other. Called by quicbond-server with its connections' events.
 */
#include "tools/interop_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HQ_NO_FILE = 0x10 }; /* of our own: HTTP/0.9 has no error codes */

/* ---- files ---- */

static struct qb_serve_file *find(struct qb_serve *s, uint64_t stream)
{
	for (int i = 0; i < QB_SERVE_FILES; i++) {
		if (s->file[i].is_used && s->file[i].stream == stream)
			return &s->file[i];
	}
	return NULL;
}

static struct qb_serve_file *take(struct qb_serve *s, uint64_t stream)
{
	for (int i = 0; i < QB_SERVE_FILES; i++) {
		struct qb_serve_file *f = &s->file[i];

		if (f->is_used)
			continue;
		*f = (struct qb_serve_file){.is_used = true, .stream = stream};
		return f;
	}
	return NULL;
}

static void put(struct qb_serve_file *f)
{
	if (f->map)
		munmap(f->map, f->bytes);
	f->map = NULL;
	f->is_used = false;
}

/* A path of a request names a file below the root: nothing with "..", no folder. */
static int open_file(struct qb_serve *s, struct qb_serve_file *f, const char *path)
{
	char full[1024];
	struct stat st;
	int fd, n = snprintf(full, sizeof(full), "%s%.*s", s->root, (int)strcspn(path, "?"), path);

	if (path[0] != '/' || strstr(path, "/..") || n < 0 || (size_t)n >= sizeof(full))
		return -EINVAL;
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EISDIR;
	}
	f->bytes = (size_t)st.st_size;
	if (f->bytes)
		f->map = mmap(NULL, f->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (f->map == MAP_FAILED) {
		f->map = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* ---- HTTP/3 ---- */

static void h3_answer(struct qb_serve *s, const struct qb_h3_event *ev)
{
	struct qb_serve_file *f = take(s, ev->session);

	if (!f || open_file(s, f, ev->path) < 0) {
		s->refused_cnt++;
		(void)qb_h3_reply(s->h3, ev->session, f ? 404 : 503, 0);
		if (f)
			put(f);
		return;
	}
	s->files_cnt++;
	if (qb_h3_reply(s->h3, ev->session, 200, f->bytes) < 0 || ev->is_head || f->bytes == 0)
		put(f);
}

static void h3_go_on(struct qb_serve *s, struct qb_serve_file *f)
{
	int64_t n = qb_h3_write_body(s->h3, f->stream, f->map + f->off, f->bytes - f->off);

	if (n > 0) {
		f->off += (size_t)n;
		s->bytes_cnt += (uint64_t)n;
	}
	if (n < 0 || f->off == f->bytes)
		put(f);
}

static void h3_poll(struct qb_serve *s)
{
	struct qb_h3_event ev;
	struct qb_serve_file *f;

	while (qb_h3_next_event(s->h3, &ev)) {
		switch (ev.type) {
		case QB_H3_EV_GET:
			h3_answer(s, &ev);
			break;
		case QB_H3_EV_REQUEST:
			(void)qb_h3_respond(s->h3, ev.session, 501);
			break;
		case QB_H3_EV_WRITABLE:
		case QB_H3_EV_CLOSED:
			f = find(s, ev.session);
			if (f && ev.type == QB_H3_EV_CLOSED)
				put(f);
			else if (f)
				h3_go_on(s, f);
			break;
		default:
			break;
		}
	}
}

/* ---- HTTP/0.9 ---- */

static void hq_refuse(struct qb_serve *s, struct qb_serve_file *f)
{
	s->refused_cnt++;
	(void)qb_conn_stream_reset(s->conn, f->stream, HQ_NO_FILE);
	(void)qb_conn_stream_stop(s->conn, f->stream, HQ_NO_FILE);
	put(f);
}

static void hq_go_on(struct qb_serve *s, struct qb_serve_file *f)
{
	int64_t n = qb_conn_stream_write(s->conn, f->stream, f->map + f->off, f->bytes - f->off, true);

	if (n < 0) {
		put(f);
		return;
	}
	f->off += (size_t)n;
	s->bytes_cnt += (uint64_t)n;
	if (f->off == f->bytes)
		put(f);
}

/* hq_request parses "GET /path", with or without a line end. */
static void hq_request(struct qb_serve *s, struct qb_serve_file *f)
{
	char *path = f->line + 4;

	f->line[f->line_len] = 0;
	path[strcspn(path, " \r\n")] = 0;
	if (strncmp(f->line, "GET ", 4) != 0 || open_file(s, f, path) < 0) {
		hq_refuse(s, f);
		return;
	}
	f->is_answering = true;
	s->files_cnt++;
	hq_go_on(s, f);
}

static void hq_read(struct qb_serve *s, struct qb_serve_file *f)
{
	bool is_fin = false;
	int64_t n;

	do {
		uint32_t room = (uint32_t)sizeof(f->line) - 1 - f->line_len;

		n = qb_conn_stream_read(s->conn, f->stream, f->line + f->line_len, room, &is_fin, NULL);
		if (n < 0 || (room == 0 && !is_fin)) {
			hq_refuse(s, f);
			return;
		}
		f->line_len += (uint32_t)n;
	} while (n > 0 && !is_fin);
	if (is_fin)
		hq_request(s, f);
}

static void hq_on_event(struct qb_serve *s, const struct qb_quic_event *ev)
{
	struct qb_serve_file *f = find(s, ev->stream_id);

	if (ev->stream_id & 3)
		return;
	switch (ev->type) {
	case QB_EV_STREAM_READABLE:
		if (!f)
			f = take(s, ev->stream_id);
		if (f && !f->is_answering)
			hq_read(s, f);
		break;
	case QB_EV_STREAM_WRITABLE:
		if (f && f->is_answering)
			hq_go_on(s, f);
		break;
	case QB_EV_STREAM_STOPPED:
		if (f)
			put(f);
		break;
	default:
		break;
	}
}

/* ---- both ---- */

struct qb_serve *qb_serve_new(struct qb_conn *conn, const char *root, bool is_h3)
{
	struct qb_serve *s = calloc(1, sizeof(*s));
	void *mem = is_h3 && s ? malloc(qb_h3_footprint()) : NULL;

	if (!s || (is_h3 && !mem)) {
		free(s);
		return NULL;
	}
	s->conn = conn;
	s->root = root;
	if (is_h3 && qb_h3_init(mem, conn, true, &s->h3) < 0) {
		free(mem);
		free(s);
		return NULL;
	}
	if (is_h3)
		qb_h3_serve(s->h3);
	return s;
}

void qb_serve_free(struct qb_serve *s)
{
	if (!s)
		return;
	for (int i = 0; i < QB_SERVE_FILES; i++) {
		if (s->file[i].is_used)
			put(&s->file[i]);
	}
	free(s->h3);
	free(s);
}

void qb_serve_on_event(struct qb_serve *s, const struct qb_quic_event *ev)
{
	if (!s->h3) {
		hq_on_event(s, ev);
		return;
	}
	qb_h3_on_quic_event(s->h3, ev);
	h3_poll(s);
}
