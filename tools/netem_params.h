/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A link's parameters as text, `rate=300M`: one table that the command line, the control socket,
 * scripts, usage and the simulator read.
 */
#pragma once

#include "tools/netem_engine.h"

enum { QB_NETEM_ERR_LEN = 160, QB_NETEM_VALUE_LEN = 64 };

struct qb_netem_key {
	const char *name;
	const char *value; /* what is expected, for the usage text */
	const char *help;
	int (*parse)(const char *text, void *field);
	void (*format)(const void *field, char out[QB_NETEM_VALUE_LEN]);
	size_t offset; /* in struct qb_netem_params */
};

/* The end has no name. */
extern const struct qb_netem_key qb_netem_keys[];

/* qb_netem_params_set changes one parameter. Returns 0 or -EINVAL with why in err. */
int qb_netem_params_set(struct qb_netem_params *p, const char *name, const char *value,
			char err[QB_NETEM_ERR_LEN]) QB_MUST_CHECK;
/* qb_netem_time_parse reads a time with its unit ("50ms", "1.5s", "0"). Returns 0 or -EINVAL. */
int qb_netem_time_parse(const char *text, uint64_t *out_ns) QB_MUST_CHECK;
