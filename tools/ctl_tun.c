/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quicbondctl tun: the TUN device with its addresses, offloads, what each queue carries, and the
 * routes that lead into it. Called by quicbondctl.c.
 */
#include "tools/ctl_tun.h"

#include <string.h>

#include "base/base.h"
#include "tools/ctl_table.h"

/* clang-format off */
static const struct column queue_cols[] = {
	{ "queue",        "QUEUE",     "QUEUE",        COUNT },
	{ "on",           "ON",        "ON",           TEXT },
	{ "rx_packets",   "PACKETS",   "RX_PACKETS",   COUNT },
	{ "rx_bytes",     "READ",      "RX_BYTES",     BYTES },
	{ "rx_super",     "SUPER",     "RX_SUPER",     COUNT },
	{ "rx_malformed", "MALFORMED", "RX_MALFORMED", COUNT },
	{ "tx_packets",   "PACKETS",   "TX_PACKETS",   COUNT },
	{ "tx_bytes",     "WRITTEN",   "TX_BYTES",     BYTES },
	{ "tx_super",     "SUPER",     "TX_SUPER",     COUNT },
	{ "tx_refused",   "REFUSED",   "TX_REFUSED",   COUNT },
};

static const struct column route_cols[] = {
	{ "prefix", "ROUTE", "ROUTE", TEXT },
	{ "table",  "TABLE", "TABLE", COUNT },
	{ "site",   "SITE",  "SITE",  TEXT },
};
/* clang-format on */

static void print_line(const struct ctl_style *st, const char *name, const char *text)
{
	struct cell cell;

	ctl_put_text(&cell, text);
	fprintf(st->out, "%-10s  %s\n", name, *cell.text ? cell.text : "-");
}

static void print_list(const struct ctl_style *st, const char *name, const json_t *list)
{
	char text[CELL_LEN] = "";
	json_t *v;
	size_t i, n = 0;

	json_array_foreach((json_t *)list, i, v)
	{
		const char *one = json_string_value(v);

		if (one && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "",
					      one);
	}
	print_line(st, name, text);
}

/* with_words: the queues, with words for what is true or false. New reference. */
static json_t *with_words(const json_t *queues)
{
	json_t *rows = json_array(), *q;
	size_t i;

	json_array_foreach((json_t *)queues, i, q)
	{
		json_t *row = json_copy(q);

		json_object_set_new(
			row, "on",
			json_string(json_is_true(json_object_get(q, "on")) ? "yes" : "no"));
		json_array_append_new(rows, row);
	}
	return rows;
}

static void print_device(const struct ctl_style *st, const json_t *tun)
{
	char text[CELL_LEN];

	snprintf(text, sizeof(text), "%s, index %" JSON_INTEGER_FORMAT ", %s",
		 ctl_text_of(tun, "device"), json_integer_value(json_object_get(tun, "ifindex")),
		 json_is_true(json_object_get(tun, "up")) ? "up" : "down");
	print_line(st, "device", text);
	snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT "%s",
		 json_integer_value(json_object_get(tun, "mtu")),
		 json_is_true(json_object_get(tun, "mtu_auto")) ? ", follows the paths"
								: ", as configured");
	print_line(st, "mtu", text);
	print_list(st, "addresses", json_object_get(tun, "addresses"));
	print_list(st, "offloads", json_object_get(tun, "offloads"));
	snprintf(text, sizeof(text),
		 "%" JSON_INTEGER_FORMAT " packets of the host found no room (%" JSON_INTEGER_FORMAT
		 " fit in a queue), %" JSON_INTEGER_FORMAT " errors",
		 json_integer_value(json_object_get(tun, "unread")),
		 json_integer_value(json_object_get(tun, "queue_len")),
		 json_integer_value(json_object_get(tun, "errors")));
	print_line(st, "kernel", text);
}

void ctl_render_tun(const struct ctl_style *st, const json_t *answer)
{
	const json_t *tun = json_object_get(answer, "tun"),
		     *routes = json_object_get(tun, "routes");
	json_t *queues = with_words(json_object_get(tun, "queues"));
	bool has_sites = json_object_get(json_array_get(routes, 0), "site") != NULL;

	print_device(st, tun);
	fputc('\n', st->out);
	ctl_print_table(st, queue_cols, QB_ARRAY_LEN(queue_cols), queues);
	json_decref(queues);
	if (json_array_size(routes) == 0)
		return;
	fputc('\n', st->out);
	ctl_print_table(st, route_cols, QB_ARRAY_LEN(route_cols) - !has_sites, routes);
}
