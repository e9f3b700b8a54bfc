/* SPDX-License-Identifier: BSD-2-Clause */
/* One request line in, one answer out. Inside of ctl/, and for tests. */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "ctl/ctl.h"

struct qb_ctl_request {
	const struct qb_ctl_verbs *verbs;
	void *arg;
	uid_t uid;	 /* who asks, for the log */
	bool is_monitor; /* set: from now on the client wants events */
};

/*
 * qb_ctl_answer handles one line (without its newline) and returns the answer's object, a new
 * reference; NULL when out of memory. What is wrong with the request is said in the answer.
 */
json_t *qb_ctl_answer(struct qb_ctl_request *r, const char *line, size_t len);
/* qb_ctl_error is {"schema": 1, "error": text}. */
json_t *qb_ctl_error(const char *text);
