/* SPDX-License-Identifier: BSD-2-Clause */
/* Serving the files of a folder, over HTTP/3 or HTTP/0.9: the application of quicbond-server. */
#pragma once

#include "h3/h3.h"

enum { QB_SERVE_FILES = 128 }; /* answers under way at once, on one connection */

/* An answer under way. */
struct qb_serve_file {
	bool is_used;
	uint64_t stream;
	uint8_t *map; /* the whole file; owned */
	size_t bytes, off;
	/* HTTP/0.9: the request line so far */
	char line[512];
	uint32_t line_len;
	bool is_answering;
};

struct qb_serve {
	struct qb_conn *conn;
	const char *root;
	struct qb_h3 *h3; /* owned; NULL: HTTP/0.9 */
	uint64_t files_cnt, bytes_cnt, refused_cnt;
	struct qb_serve_file file[QB_SERVE_FILES];
};

/* qb_serve_new begins with a connection that was just established. NULL when out of memory. */
struct qb_serve *qb_serve_new(struct qb_conn *conn, const char *root, bool is_h3);
void qb_serve_free(struct qb_serve *s);
/* qb_serve_on_event takes STREAM_* events of the connection and answers. */
void qb_serve_on_event(struct qb_serve *s, const struct qb_quic_event *ev);
