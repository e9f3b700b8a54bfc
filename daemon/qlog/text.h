/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON text in a fixed buffer. What does not fit sets is_full and leaves the rest out; the caller
 * drops the record then. */
#pragma once

#include "base/base.h"

struct qb_qlog_text {
	char *mem;
	size_t len, cap;
	bool is_full;
	bool needs_comma; /* a value stands before what comes next */
};

static inline struct qb_qlog_text qb_qlog_text_init(char *mem, size_t cap)
{
	return (struct qb_qlog_text){.mem = mem, .cap = cap};
}

void qb_text_open(struct qb_qlog_text *t, char bracket);
void qb_text_close(struct qb_qlog_text *t, char bracket);
/* qb_text_key writes the name of a member; NULL (in an array, or at the top): nothing. A value
 * follows. */
void qb_text_key(struct qb_qlog_text *t, const char *key);
void qb_text_object(struct qb_qlog_text *t, const char *key);
void qb_text_array(struct qb_qlog_text *t, const char *key);
void qb_text_uint(struct qb_qlog_text *t, const char *key, uint64_t v);
void qb_text_bool(struct qb_qlog_text *t, const char *key, bool v);
/* qb_text_ms writes nanoseconds as milliseconds with six decimals. */
void qb_text_ms(struct qb_qlog_text *t, const char *key, uint64_t ns);
/* qb_text_string escapes what JSON wants escaped; NUL and what is not ASCII become '?'. */
void qb_text_string(struct qb_qlog_text *t, const char *key, const char *v);
void qb_text_string_n(struct qb_qlog_text *t, const char *key, const char *v, size_t len);
void qb_text_hex(struct qb_qlog_text *t, const char *key, const uint8_t *p, size_t len);
/* qb_text_raw appends as it is. */
void qb_text_raw(struct qb_qlog_text *t, const char *p, size_t len);
