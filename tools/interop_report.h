/* SPDX-License-Identifier: BSD-2-Clause */
/* One line of JSON about a connection, for scripts that compare it with what they wanted to see. */
#pragma once

#include "tools/interop_host.h"

struct qb_interop_result {
	bool is_ok;
	uint64_t files_cnt, failed_cnt, bytes_cnt;
	uint64_t begin_ns;
	uint32_t paths_opened, paths_moved, paths_closed;
	const char *error; /* NULL: none */
};

/* qb_interop_report prints the facts of a connection (NULL: only the result) and all counters that are not 0. */
void qb_interop_report(FILE *to, const struct qb_interop *io, const struct qb_conn *conn,
		       const struct qb_interop_result *r);
