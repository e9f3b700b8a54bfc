/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of a folder and how much they take together; the oldest go when it is too much. Inside
 * of qlog/. */
#pragma once

#include "base/base.h"

enum { QB_QLOG_NAME_LEN = 96 };

struct qb_qlog_file {
	struct qb_qlog_file *next; /* younger */
	char name[QB_QLOG_NAME_LEN];
	uint64_t bytes;
	bool is_open;
};

struct qb_qlog_folder {
	int fd;
	struct qb_qlog_file *oldest, *newest;
	uint64_t bytes, bytes_max;
};

/* qb_qlog_folder_init takes fd and counts the traces that are in the folder already. Returns 0 or
 * -errno. */
int qb_qlog_folder_init(struct qb_qlog_folder *d, int fd, uint64_t bytes_max) QB_MUST_CHECK;
void qb_qlog_folder_fini(struct qb_qlog_folder *d);
/* qb_qlog_folder_create makes a file that was not there. Returns its descriptor or -errno. */
int qb_qlog_folder_create(struct qb_qlog_folder *d, const char *name, struct qb_qlog_file **out);
/* qb_qlog_folder_grow counts bytes that a file got, and removes the oldest files as long as there
 * is too much. */
void qb_qlog_folder_grow(struct qb_qlog_folder *d, struct qb_qlog_file *f, size_t bytes);
