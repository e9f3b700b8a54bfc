/* SPDX-License-Identifier: BSD-2-Clause */
/* The few forms of JSON that a trace has, fast enough for each packet; used by format.c and file.c.
 */
#include "qlog/text.h"

#include <stdio.h>

void qb_text_raw(struct qb_qlog_text *t, const char *p, size_t len)
{
	if (len > t->cap - t->len) {
		t->is_full = true;
		return;
	}
	memcpy(t->mem + t->len, p, len);
	t->len += len;
}

static void put(struct qb_qlog_text *t, char c)
{
	qb_text_raw(t, &c, 1);
}

void qb_text_open(struct qb_qlog_text *t, char bracket)
{
	put(t, bracket);
	t->needs_comma = false;
}

void qb_text_close(struct qb_qlog_text *t, char bracket)
{
	put(t, bracket);
	t->needs_comma = true;
}

void qb_text_key(struct qb_qlog_text *t, const char *key)
{
	if (t->needs_comma)
		put(t, ',');
	t->needs_comma = true;
	if (!key)
		return;
	put(t, '"');
	qb_text_raw(t, key, strlen(key));
	qb_text_raw(t, "\":", 2);
}

void qb_text_object(struct qb_qlog_text *t, const char *key)
{
	qb_text_key(t, key);
	qb_text_open(t, '{');
}

void qb_text_array(struct qb_qlog_text *t, const char *key)
{
	qb_text_key(t, key);
	qb_text_open(t, '[');
}

static void digits(struct qb_qlog_text *t, uint64_t v, unsigned int at_least)
{
	char text[20];
	unsigned int n = 0;

	while (v || n < at_least) {
		text[sizeof(text) - ++n] = (char)('0' + v % 10);
		v /= 10;
	}
	qb_text_raw(t, text + sizeof(text) - n, n);
}

void qb_text_uint(struct qb_qlog_text *t, const char *key, uint64_t v)
{
	qb_text_key(t, key);
	digits(t, v, 1);
}

void qb_text_bool(struct qb_qlog_text *t, const char *key, bool v)
{
	qb_text_key(t, key);
	qb_text_raw(t, v ? "true" : "false", v ? 4 : 5);
}

void qb_text_ms(struct qb_qlog_text *t, const char *key, uint64_t ns)
{
	qb_text_key(t, key);
	digits(t, ns / QB_NS_PER_MS, 1);
	put(t, '.');
	digits(t, ns % QB_NS_PER_MS, 6);
}

static void escaped(struct qb_qlog_text *t, unsigned char c)
{
	char text[8];

	if (c == '"' || c == '\\') {
		put(t, '\\');
		put(t, (char)c);
	} else if (c && (c < 0x20 || c == 0x7f)) {
		qb_text_raw(t, text, (size_t)snprintf(text, sizeof(text), "\\u%04x", c));
	} else {
		put(t, c && c < 0x80 ? (char)c : '?');
	}
}

void qb_text_string_n(struct qb_qlog_text *t, const char *key, const char *v, size_t len)
{
	size_t i;

	qb_text_key(t, key);
	put(t, '"');
	for (i = 0; i < len; i++)
		escaped(t, (unsigned char)v[i]);
	put(t, '"');
}

void qb_text_string(struct qb_qlog_text *t, const char *key, const char *v)
{
	qb_text_string_n(t, key, v, strlen(v));
}

void qb_text_hex(struct qb_qlog_text *t, const char *key, const uint8_t *p, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t i;

	qb_text_key(t, key);
	put(t, '"');
	for (i = 0; i < len; i++) {
		put(t, hex[p[i] >> 4]);
		put(t, hex[p[i] & 15]);
	}
	put(t, '"');
}
