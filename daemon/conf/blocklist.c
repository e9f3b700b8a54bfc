/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file that [Listen] BlockFile names: a prefix a line, with comments, as lists of drop prefixes
 * are published. Read with the config, so that a reload takes it whole or not at all. Called by
 * qb_conf_load.
 */
#include "conf/value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int by_prefix(const void *a, const void *b)
{
	return qb_prefix_order(a, b);
}

/* sort_out leaves each prefix once, in order. */
static void sort_out(struct qb_conf_blocks *out)
{
	uint32_t cnt = 0;

	if (out->cnt)
		qsort(out->p, out->cnt, sizeof(*out->p), by_prefix);
	for (uint32_t i = 0; i < out->cnt; i++)
		if (cnt == 0 || qb_prefix_order(&out->p[cnt - 1], &out->p[i]))
			out->p[cnt++] = out->p[i];
	out->cnt = cnt;
}

static int refuse(const char *file, int line, const char *why, char err[QB_CONF_ERR_LEN])
{
	snprintf(err, QB_CONF_ERR_LEN,
		 "%.200s:%d: %s; allowed: a prefix a line, like 192.0.2.0/24 or 2001:db8::/32, # "
		 "comment",
		 file, line, why);
	return -EINVAL;
}

/* take_line reads the line's prefix, if it has one. Returns how many, or -EINVAL with why in v. */
static int take_line(struct qb_conf_value *v, const char *line, size_t len, struct qb_prefix *out)
{
	char item[QB_CONF_NAME_LEN];
	size_t end = 0;

	while (len && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	while (end < len && line[end] != '#' && line[end] != ';')
		end++;
	while (end && (line[end - 1] == ' ' || line[end - 1] == '\t' || line[end - 1] == '\r'))
		end--;
	if (end == 0)
		return 0;
	if (end >= sizeof(item))
		return qb_conf_refuse(v, "\"%.40s...\" is not a prefix", line);
	for (size_t i = 0; i < end; i++)
		if ((unsigned char)line[i] <= ' ' || (unsigned char)line[i] >= 0x7f)
			return qb_conf_refuse(v, "one prefix a line");
	memcpy(item, line, end);
	item[end] = '\0';
	return qb_prefix_parse(item, out) ? qb_conf_refuse_prefix(v, item) : 1;
}

int qb_conf_parse_blocks(const char *file, const char *text, size_t len, struct qb_conf_blocks *out,
			 char err[QB_CONF_ERR_LEN])
{
	struct qb_conf_value v = {.text = ""};
	struct qb_prefix p;
	int rc;

	*out = (struct qb_conf_blocks){.p = NULL};
	for (int line = 1; len; line++) {
		const char *nl = memchr(text, '\n', len);
		size_t line_len = nl ? (size_t)(nl - text) : len;

		rc = take_line(&v, text, line_len, &p);
		if (rc < 0)
			rc = refuse(file, line, v.why, err);
		else if (rc && out->cnt == QB_CONF_BLOCKS_MAX)
			rc = refuse(file, line, "more than 16384 prefixes", err);
		else if (rc && !out->p)
			out->p = malloc(QB_CONF_BLOCKS_MAX * sizeof(*out->p));
		if (rc > 0 && !out->p)
			rc = refuse(file, line, "out of memory", err);
		if (rc < 0) {
			free(out->p);
			*out = (struct qb_conf_blocks){.p = NULL};
			return rc;
		}
		if (rc)
			out->p[out->cnt++] = p;
		text += line_len + (nl != NULL);
		len -= line_len + (nl != NULL);
	}
	sort_out(out);
	return 0;
}
