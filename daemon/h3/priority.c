/* SPDX-License-Identifier: BSD-2-Clause */
/* The Priority header and the value of PRIORITY_UPDATE (RFC 9218 §4). Called by message.c and
 * control.c. */
#include "h3/priority.h"

/* Where in a dictionary we are. */
struct depth {
	bool is_string, is_escaped;
	uint32_t lists;
};

/* is_separator: it ends a member of the dictionary. Strings and inner lists may contain it. */
static bool is_separator(struct depth *d, uint8_t c)
{
	if (d->is_string) {
		if (d->is_escaped)
			d->is_escaped = false;
		else if (c == '\\')
			d->is_escaped = true;
		else
			d->is_string = c != '"';
		return false;
	}
	d->is_string = c == '"';
	d->lists += c == '(';
	d->lists -= c == ')' && d->lists > 0;
	return c == ',' && d->lists == 0;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* take_member reads "u=N", "i", "i=?1" or "i=?0", with or without parameters; all else has no
 * meaning here. */
static void take_member(const uint8_t *p, size_t len, struct qb_h3_priority *out)
{
	const uint8_t *parameters = memchr(p, ';', len);

	if (parameters)
		len = (size_t)(parameters - p);
	while (len && is_blank(p[len - 1]))
		len--;
	if (len == 3 && p[0] == 'u' && p[1] == '=' && p[2] >= '0' && p[2] <= '7')
		out->urgency = (uint8_t)(p[2] - '0');
	else if (len == 1 && p[0] == 'i')
		out->is_incremental = true;
	else if (len == 4 && memcmp(p, "i=?", 3) == 0 && (p[3] == '0' || p[3] == '1'))
		out->is_incremental = p[3] == '1';
}

void qb_h3_priority_parse(const uint8_t *p, size_t len, struct qb_h3_priority *out)
{
	struct depth d = {0};
	size_t from = 0;

	*out = (struct qb_h3_priority){.urgency = QB_H3_URGENCY_DEFAULT, .is_given = true};
	for (size_t i = 0; i <= len; i++) {
		if (i < len && !is_separator(&d, p[i]))
			continue;
		while (from < i && is_blank(p[from]))
			from++;
		take_member(p + from, i - from, out);
		from = i + 1;
	}
}
