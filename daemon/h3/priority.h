/* SPDX-License-Identifier: BSD-2-Clause */
/* What is urgent (RFC 9218): the priority of a response, as a client wishes it, and of our own
 * streams. */
#pragma once

#include "h3/h3.h"

enum {
	QB_H3_URGENCY_CONTROL = 0, /* SETTINGS, GOAWAY, QPACK */
	QB_H3_URGENCY_SESSION = 1, /* capsules of a tunnel's session: addresses, routes */
	QB_H3_URGENCY_DEFAULT = 3,
	QB_H3_PRIORITY_BYTES = 64, /* longer values of PRIORITY_UPDATE are not read */
};

struct qb_h3_priority {
	uint8_t urgency; /* 0 (first) to 7 */
	bool is_incremental;
	bool is_given; /* else it is the default */
};

/*
 * qb_h3_priority_parse reads a Priority Field Value, a dictionary of RFC 9651. What it does not
 * know it skips; a value that is none leaves the default, or what there was before it in the text.
 */
void qb_h3_priority_parse(const uint8_t *p, size_t len, struct qb_h3_priority *out);
