/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Traces of connections as qlog files (draft-ietf-quic-qlog-main-schema-14, -quic-events-13), JSON
 * text sequences (RFC 7464), one file a connection: the front door of this folder.
 *
 *     quic/ ─► observer ─► ring, one a worker ─► writer thread ─► text ─►
 * FOLDER/TIME-CID-ROLE.sqlog
 *
 * The packet path copies an event into its worker's ring and goes on; what finds no room is
 * counted, and the file says how much is missing. Formatting and disk are the writer's. The folder
 * never holds more than it may: a long trace goes on in another file, and the oldest files go.
 */
#pragma once

#include "quic/quic.h"

enum {
	QB_QLOG_PATH_LEN = 256,
	QB_QLOG_ERR_LEN = 256,
	QB_QLOG_FEEDS_MAX = 16,
};

struct qb_qlog;

struct qb_qlog_cfg {
	const char *folder;	   /* exists, and is ours to write to */
	int folder_fd;		   /* of it; taken over */
	const char *node;	   /* who we are */
	const char *alpn;	   /* what every connection speaks; NULL: not told */
	uint32_t feed_cnt;	   /* workers */
	size_t ring_bytes;	   /* of each; 0: 8 MB */
	uint64_t file_bytes_max;   /* then the trace goes on in another; 0: 64 MB */
	uint64_t folder_bytes_max; /* then the oldest files go; 0: 512 MB */
};

struct qb_qlog_status {
	char folder[QB_QLOG_PATH_LEN];
	uint32_t traces;	       /* connections that are traced now */
	uint64_t events, bytes;	       /* written since the start */
	uint64_t dropped;	       /* events that found no room */
	char problem[QB_QLOG_ERR_LEN]; /* what the disk said last; "" nothing */
};

/*
 * qb_qlog_open_folder opens the folder NAME below root for qb_qlog_open and makes it where it is
 * missing; NULL or "" is root itself, and root or a folder right in it may be given by its whole
 * path. Nothing outside of root can be named, and no link is followed. *folder gets its path.
 * Returns a descriptor, or -errno with why in err.
 */
int qb_qlog_open_folder(const char *root, const char *name, char folder[QB_QLOG_PATH_LEN],
			char err[QB_QLOG_ERR_LEN]);

/* qb_qlog_open starts the writer's thread. Returns 0, or -errno with why in err. */
int qb_qlog_open(const struct qb_qlog_cfg *cfg, struct qb_qlog **out,
		 char err[QB_QLOG_ERR_LEN]) QB_MUST_CHECK;
/* qb_qlog_observer is for the connections of a worker, and for its thread only. */
const struct qb_observer *qb_qlog_observer(const struct qb_qlog *q, uint32_t feed);
/* qb_qlog_close writes what is in the rings and ends. No connection has an observer of it any more.
 */
void qb_qlog_close(struct qb_qlog *q);
void qb_qlog_get_status(struct qb_qlog *q, struct qb_qlog_status *out);
