/* SPDX-License-Identifier: BSD-2-Clause */
/* Fetching files, over HTTP/3 or HTTP/0.9: the application of quicbond-client. */
#pragma once

#include <stdio.h>

#include "h3/h3.h"

enum { QB_FETCH_PARALLEL = 128 };

enum qb_fetch_state { QB_FETCH_WAITING, QB_FETCH_RUNNING, QB_FETCH_DONE, QB_FETCH_FAILED };

struct qb_fetch_file {
	const char *path;
	enum qb_fetch_state state;
	uint64_t stream, bytes, body_len;
	uint16_t status;
	FILE *out; /* owned; NULL: bytes are counted only */
};

struct qb_fetch {
	struct qb_conn *conn;
	const char *authority, *dir;
	struct qb_h3 *h3; /* owned; NULL: HTTP/0.9 */
	struct qb_fetch_file *file; /* borrowed */
	uint32_t cnt, next, running_cnt, done_cnt, failed_cnt;
	uint64_t bytes;
};

/* qb_fetch_begin starts fetching cnt files over an established connection. Returns 0 or -errno. */
int qb_fetch_begin(struct qb_fetch *f, struct qb_conn *conn, bool is_h3) QB_MUST_CHECK;
void qb_fetch_fini(struct qb_fetch *f);
/* qb_fetch_on_event takes STREAM_* events of the connection; NULL only asks for more files where there is room. */
void qb_fetch_on_event(struct qb_fetch *f, const struct qb_quic_event *ev);

static inline bool qb_fetch_is_over(const struct qb_fetch *f)
{
	return f->done_cnt + f->failed_cnt == f->cnt;
}
