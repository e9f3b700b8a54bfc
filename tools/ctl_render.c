/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Draws the daemon's answers: tables of columns, each a row of (JSON field, titles, kind), and the
 * head of the status screen. Called by quicbondctl.c. Text from the daemon may come from a peer: it
 * is made harmless for the terminal before it is printed.
 */
#include "tools/ctl_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/counters.h"

enum { TOP_FLOWS = 10 };

/* ---- values ---- */

void ctl_put_text(struct cell *cell, const char *text)
{
	size_t n = 0;

	for (; *text && n < sizeof(cell->text) - 1; text++) {
		unsigned char ch = (unsigned char)*text;

		if (ch == 0xc2 && ((unsigned char)text[1] & 0xe0) == 0x80) {
			cell->text[n++] = '?';
			text++;
		} else {
			cell->text[n++] = ch < 0x20 || ch == 0x7f ? '?' : *text;
		}
	}
	cell->text[n] = '\0';
	if (n == 0)
		strcpy(cell->text, "-");
}

/* put_scaled writes a number in thousands: 12.3 Mbit/s. */
static void put_scaled(struct cell *cell, double v, const char *unit)
{
	static const char *const steps[] = {"", "k", "M", "G", "T", "P"};
	size_t i = 0;

	while (v >= 999.95 && i + 1 < QB_ARRAY_LEN(steps)) {
		v /= 1000;
		i++;
	}
	snprintf(cell->text, sizeof(cell->text), i == 0 ? "%.0f %s%s" : "%.1f %s%s", v, steps[i],
		 unit);
}

/* put_age writes the two largest units: 2 h 13 min. */
static void put_age(struct cell *cell, double seconds)
{
	uint64_t s = seconds > 0 && seconds < 1e15 ? (uint64_t)seconds : 0;

	if (s < 60)
		snprintf(cell->text, sizeof(cell->text), "%u s", (unsigned int)s);
	else if (s < 3600)
		snprintf(cell->text, sizeof(cell->text), "%u min %u s", (unsigned int)(s / 60),
			 (unsigned int)(s % 60));
	else if (s < 86400)
		snprintf(cell->text, sizeof(cell->text), "%u h %u min", (unsigned int)(s / 3600),
			 (unsigned int)(s / 60 % 60));
	else
		snprintf(cell->text, sizeof(cell->text), "%llu d %u h",
			 (unsigned long long)(s / 86400), (unsigned int)(s / 3600 % 24));
}

static void put_with_units(struct cell *cell, enum kind kind, double v)
{
	switch (kind) {
	case MS:
		snprintf(cell->text, sizeof(cell->text), "%.1f ms", v);
		break;
	case RATIO:
		snprintf(cell->text, sizeof(cell->text), "%.1f %%", v * 100);
		break;
	case BPS:
		put_scaled(cell, v, "bit/s");
		break;
	case BYTES:
		put_scaled(cell, v, "B");
		break;
	case AGE:
		put_age(cell, v);
		break;
	default:
		snprintf(cell->text, sizeof(cell->text), "%.0f", v);
		break;
	}
}

/* join writes an array of strings as a list. */
static void put_list(struct cell *cell, const json_t *array)
{
	char text[CELL_LEN] = "";
	size_t n = 0, i;
	json_t *item;

	json_array_foreach((json_t *)array, i, item)
	{
		const char *s = json_string_value(item);

		if (s && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? "," : "", s);
	}
	ctl_put_text(cell, text);
}

static void put_value(const struct ctl_style *st, struct cell *cell, enum kind kind,
		      const json_t *v)
{
	if (json_is_string(v))
		ctl_put_text(cell, json_string_value(v));
	else if (json_is_array(v))
		put_list(cell, v);
	else if (!json_is_number(v))
		ctl_put_text(cell, "");
	else if (st->has_units && kind > COUNT)
		put_with_units(cell, kind, json_number_value(v));
	else if (json_is_integer(v))
		snprintf(cell->text, sizeof(cell->text), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(v));
	else
		snprintf(cell->text, sizeof(cell->text), "%.15g", json_real_value(v));
}

/* ---- colour ---- */

static const char *state_colour(const char *state)
{
	static const struct {
		const char *state, *colour;
	} colours[] = {
		{"bonded", "\033[32m"},	 {"active", "\033[32m"},   {"connected", "\033[32m"},
		{"single", "\033[33m"},	 {"degraded", "\033[33m"}, {"connecting", "\033[33m"},
		{"probing", "\033[33m"}, {"suspect", "\033[33m"},  {"standby", "\033[36m"},
		{"drained", "\033[36m"}, {"failed", "\033[31m"},   {"absent", "\033[31m"},
		{"down", "\033[31m"},
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(colours); i++)
		if (strcmp(colours[i].state, state) == 0)
			return colours[i].colour;
	return "";
}

static void paint(const struct ctl_style *st, const char *colour, const char *text)
{
	if (st->has_colour && *colour)
		fprintf(st->out, "%s%s\033[0m", colour, text);
	else
		fputs(text, st->out);
}

/* ---- tables ---- */

/* width counts characters, not bytes (UTF-8). */
static size_t width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void print_cell(const struct ctl_style *st, enum kind kind, const char *text, size_t wide,
		       bool is_last, const char *colour)
{
	int pad = (int)(wide - width(text));
	bool is_right = kind >= COUNT;

	if (is_right)
		fprintf(st->out, "%*s", pad, "");
	paint(st, colour, text);
	if (!is_right && !is_last)
		fprintf(st->out, "%*s", pad, "");
	fputs(is_last ? "\n" : "  ", st->out);
}

/* print_table shows an array of objects, a line each. */
void ctl_print_table(const struct ctl_style *st, const struct column *cols, size_t col_cnt,
			const json_t *rows)
{
	size_t row_cnt = json_array_size(rows), wide[COLUMNS_MAX];
	struct cell *cells = calloc(row_cnt * col_cnt + 1, sizeof(*cells));

	if (!cells || col_cnt > COLUMNS_MAX)
		abort();
	for (size_t c = 0; c < col_cnt; c++)
		wide[c] = width(st->has_units ? cols[c].title : cols[c].plain_title);
	for (size_t r = 0; r < row_cnt; r++) {
		for (size_t c = 0; c < col_cnt; c++) {
			struct cell *cell = &cells[r * col_cnt + c];

			put_value(st, cell, cols[c].kind,
				  json_object_get(json_array_get(rows, r), cols[c].field));
			wide[c] = QB_MAX(wide[c], width(cell->text));
		}
	}
	for (size_t c = 0; c < col_cnt; c++)
		print_cell(st, cols[c].kind, st->has_units ? cols[c].title : cols[c].plain_title,
			   wide[c], c + 1 == col_cnt, "\033[1m");
	for (size_t i = 0; i < row_cnt * col_cnt; i++) {
		size_t c = i % col_cnt;

		print_cell(st, cols[c].kind, cells[i].text, wide[c], c + 1 == col_cnt,
			   cols[c].kind == STATE ? state_colour(cells[i].text) : "");
	}
	free(cells);
}

/* clang-format off */
#define COL_SITE     { "site",       "SITE",     "SITE",          TEXT }
#define COL_NAME     { "name",       "LINK",     "LINK",          TEXT }
#define COL_IFACE    { "interface",  "IFACE",    "IFACE",         TEXT }
#define COL_STATE    { "state",      "STATE",    "STATE",         STATE }
#define COL_TIER     { "tier",       "TIER",     "TIER",          TEXT }
#define COL_IO       { "io",         "IO",       "IO",            TEXT }
#define COL_RTT      { "rtt_ms",     "RTT",      "RTT_MS",        MS }
#define COL_LOSS     { "loss",       "LOSS",     "LOSS",          RATIO }
#define COL_SHARE    { "share",      "SHARE",    "SHARE",         RATIO }
#define COL_TX_RATE  { "tx_bps",     "SENDING",  "TX_BPS",        BPS }
#define COL_RX_RATE  { "rx_bps",     "RECEIVING","RX_BPS",        BPS }
#define COL_TX_BYTES { "tx_bytes",   "SENT",     "TX_BYTES",      BYTES }
#define COL_RX_BYTES { "rx_bytes",   "RECEIVED", "RX_BYTES",      BYTES }
#define COL_REASON   { "reason",     "REASON",   "REASON",        TEXT }
#define COL_WHY      { "share_reason", "REASON", "REASON",        TEXT }
#define COLS_DETAIL \
	COL_STATE, COL_TIER, COL_IO, COL_RTT, \
	{ "rtt_min_ms", "MIN",    "RTT_MIN_MS", MS }, \
	{ "jitter_ms",  "JITTER", "JITTER_MS",  MS }, \
	{ "queue_tx_ms", "QUEUE", "QUEUE_TX_MS", MS }, \
	COL_LOSS, COL_SHARE, COL_TX_RATE, COL_RX_RATE, COL_TX_BYTES, COL_RX_BYTES, \
	{ "cwnd",       "CWND",      "CWND",      BYTES }, \
	{ "in_flight",  "IN FLIGHT", "IN_FLIGHT", BYTES }, \
	{ "congestion", "CC",        "CC",        TEXT }, \
	COL_WHY

static const struct column status_links[] = {
	COL_NAME, COL_IFACE, COL_STATE, COL_TIER, COL_IO, COL_RTT, COL_LOSS, COL_SHARE,
	COL_TX_RATE, COL_RX_RATE, COL_WHY,
};

static const struct column detail_links[] = { COL_NAME, COL_IFACE, COLS_DETAIL };
/* A hub knows a link by what its edge calls it, and by where it comes from. */
static const struct column detail_site_links[] = { COL_SITE, COL_NAME, { "peer_name", "NAME", "PEER_NAME", TEXT }, { "peer", "PEER", "PEER", TEXT }, COLS_DETAIL };

static const struct column top_links[] = {
	COL_NAME,
	{ "congestion",       "CC",        "CC",           TEXT },
	{ "congestion_phase", "PHASE",     "PHASE",        TEXT },
	{ "rtt_min_ms",       "RTT MIN",   "RTT_MIN_MS",   MS },
	{ "queue_tx_ms",      "QUEUE",     "QUEUE_TX_MS",  MS },
	{ "cwnd",             "CWND",      "CWND",         BYTES },
	{ "in_flight",        "IN FLIGHT", "IN_FLIGHT",    BYTES },
	{ "pacing_bps",       "PACING",    "PACING_BPS",   BPS },
	{ "delivery_bps",     "DELIVERED", "DELIVERY_BPS", BPS },
	{ "congestion_reason", "WHY",      "WHY",          TEXT },
};

#define COLS_FLOW \
	{ "direction",   "DIR",         "DIR",         TEXT }, \
	{ "class",       "CLASS",       "CLASS",       TEXT }, \
	{ "rate_bps",    "RATE",        "RATE_BPS",    BPS }, \
	{ "wait_ms",     "WAIT",        "WAIT_MS",     MS }, \
	{ "wait_max_ms", "MAX",         "WAIT_MAX_MS", MS }, \
	{ "drops",       "DROPS",       "DROPS",       COUNT }, \
	{ "marks",       "MARKS",       "MARKS",       COUNT }, \
	{ "paths",       "PATHS",       "PATHS",       TEXT }, \
	{ "protocol",    "PROTO",       "PROTO",       TEXT }, \
	{ "source",      "SOURCE",      "SOURCE",      TEXT }, \
	{ "destination", "DESTINATION", "DESTINATION", TEXT }

static const struct column flow_cols[] = { COLS_FLOW };
static const struct column site_flow_cols[] = { COL_SITE, COLS_FLOW };

static const struct column sites[] = {
	{ "name",        "SITE",      "SITE",        TEXT },
	COL_STATE,
	{ "links",       "LINKS",     "LINKS",       TEXT },
	COL_TX_RATE, COL_RX_RATE, COL_TX_BYTES, COL_RX_BYTES,
	{ "connected_s", "CONNECTED", "CONNECTED_S", AGE },
	{ "addresses",   "ADDRESSES", "ADDRESSES",   TEXT },
	{ "prefixes",    "PREFIXES",  "PREFIXES",    TEXT },
};

static const struct column conn_cols[] = {
	{ "name",        "NAME",      "NAME",        TEXT },
	{ "use",         "USE",       "USE",         TEXT },
	COL_STATE,
	{ "worker",      "WORKER",    "WORKER",      COUNT },
	{ "version",     "VERSION",   "VERSION",     COUNT },
	{ "cipher",      "CIPHER",    "CIPHER",      TEXT },
	{ "began",       "BEGAN",     "BEGAN",       TEXT },
	{ "paths",       "PATHS",     "PATHS",       COUNT },
	{ "streams",     "STREAMS",   "STREAMS",     COUNT },
	COL_TX_BYTES, COL_RX_BYTES,
	{ "age_s",       "AGE",       "AGE_S",       AGE },
	{ "silent_s",    "SILENT",    "SILENT_S",    AGE },
	{ "peer",        "PEER",      "PEER",        TEXT },
	{ "cid",         "CID",       "CID",         TEXT },
};

static const struct column known_cols[] = {
	{ "name",        "LINK",      "LINK",        TEXT },
	{ "rate_bps",    "RATE",      "RATE_BPS",    BPS },
	{ "window",      "WINDOW",    "WINDOW",      BYTES },
	{ "rtt_ms",      "RTT",       "RTT_MS",      MS },
	{ "age_s",       "AGE",       "AGE_S",       AGE },
	{ "left_s",      "LEFT",      "LEFT_S",      AGE },
	{ "key",         "KEY",       "KEY",         TEXT },
};

static const struct column io_interfaces[] = {
	{ "interface", "INTERFACE", "INTERFACE", TEXT },
	COL_NAME, COL_IO,
	{ "offers",    "DRIVER OFFERS", "DRIVER_OFFERS", TEXT },
	COL_REASON,
};

static const struct column io_figures[] = {
	{ "interface", "INTERFACE", "INTERFACE", TEXT },
	{ "where",     "WHERE",     "WHERE",     TEXT },
	{ "figure",    "FIGURE",    "FIGURE",    TEXT },
	{ "value",     "VALUE",     "VALUE",     COUNT },
};

static const struct column io_stages[] = {
	{ "stage",   "STAGE",   "STAGE",      TEXT },
	{ "packets", "PACKETS", "PACKETS",    COUNT },
	{ "ns_each", "NS EACH", "NS_EACH",    COUNT },
	{ "share",   "SHARE",   "SHARE",      TEXT },
};

static const struct column counters[] = {
	{ "name",  "COUNTER", "COUNTER", TEXT },
	{ "value", "VALUE",   "VALUE",   COUNT },
	{ "help",  "WHAT",    "WHAT",    TEXT },
};
/* clang-format on */

/* ---- sums ---- */

static const char *const summed[] = {"tx_bps", "rx_bps", "tx_bytes", "rx_bytes"};

struct sums {
	json_int_t v[QB_ARRAY_LEN(summed)];
	size_t link_cnt, usable_cnt;
};

const char *ctl_text_of(const json_t *o, const char *field)
{
	const char *text = json_string_value(json_object_get(o, field));

	return text ? text : "";
}

/* May carry traffic now, or would as soon as it was its turn. */
static bool is_usable(const json_t *link)
{
	const char *state = ctl_text_of(link, "state");

	return strcmp(state, "active") == 0 || strcmp(state, "standby") == 0;
}

static void add_links(struct sums *s, const json_t *links)
{
	json_t *link;
	size_t i;

	json_array_foreach((json_t *)links, i, link)
	{
		for (size_t k = 0; k < QB_ARRAY_LEN(summed); k++)
			s->v[k] += json_integer_value(json_object_get(link, summed[k]));
		s->link_cnt++;
		s->usable_cnt += is_usable(link);
	}
}

/* site_rows are the sites with what their table shows of their links: "2/3" and sums. New
 * reference. */
static json_t *site_rows(const json_t *list)
{
	json_t *rows = json_array(), *site;
	size_t i;

	json_array_foreach((json_t *)list, i, site)
	{
		json_t *row = json_copy(site);
		struct sums s = {0};
		char links[32];

		add_links(&s, json_object_get(site, "links"));
		snprintf(links, sizeof(links), "%zu/%zu", s.usable_cnt, s.link_cnt);
		json_object_set_new(row, "links", json_string(links));
		for (size_t k = 0; k < QB_ARRAY_LEN(summed); k++)
			json_object_set_new(row, summed[k], json_integer(s.v[k]));
		json_array_append_new(rows, row);
	}
	return rows;
}

/* ---- the verbs ---- */

void ctl_render_links(const struct ctl_style *st, const json_t *answer)
{
	const json_t *links = json_object_get(answer, "links");

	if (json_object_get(json_array_get(links, 0), "site"))
		ctl_print_table(st, detail_site_links, QB_ARRAY_LEN(detail_site_links), links);
	else
		ctl_print_table(st, detail_links, QB_ARRAY_LEN(detail_links), links);
}

/* flow_paths says "dsl 71 %, lte 29 %", or dsl:0.71,lte:0.29 for a script. */
static json_t *flow_paths(const struct ctl_style *st, const json_t *paths)
{
	char text[CELL_LEN] = "";
	size_t n = 0, i;
	json_t *p;

	json_array_foreach((json_t *)paths, i, p)
	{
		double share = json_number_value(json_object_get(p, "share"));

		if (n >= sizeof(text))
			break;
		n += (size_t)snprintf(text + n, sizeof(text) - n, st->has_units ? "%s%s %.0f %%" : "%s%s:%.2f",
				      !n ? "" : st->has_units ? ", " : ",", ctl_text_of(p, "link"),
				      st->has_units ? share * 100 : share);
	}
	return json_string(text);
}

/* flow_rows are the first `max` flows as their table shows them. New reference. */
static json_t *flow_rows(const struct ctl_style *st, const json_t *list, size_t max)
{
	json_t *rows = json_array(), *f;
	size_t i;

	json_array_foreach((json_t *)list, i, f)
	{
		bool is_tx = strcmp(ctl_text_of(f, "direction"), "tx") == 0;
		json_t *row = json_copy(f);

		if (i == max) {
			json_decref(row);
			break;
		}
		json_object_set_new(row, "paths", flow_paths(st, json_object_get(f, "paths")));
		json_object_set(row, "wait_ms", json_object_get(f, is_tx ? "queue_ms" : "hold_ms"));
		json_object_set(row, "wait_max_ms", json_object_get(f, is_tx ? "queue_max_ms" : "hold_max_ms"));
		json_array_append_new(rows, row);
	}
	return rows;
}

static void print_flows(const struct ctl_style *st, const json_t *answer, size_t max)
{
	const json_t *list = json_object_get(answer, "flows");
	json_t *rows = flow_rows(st, list, max);

	if (json_object_get(json_array_get(list, 0), "site"))
		ctl_print_table(st, site_flow_cols, QB_ARRAY_LEN(site_flow_cols), rows);
	else
		ctl_print_table(st, flow_cols, QB_ARRAY_LEN(flow_cols), rows);
	json_decref(rows);
}

void ctl_render_flows(const struct ctl_style *st, const json_t *answer)
{
	print_flows(st, answer, SIZE_MAX);
}

void ctl_render_sites(const struct ctl_style *st, const json_t *answer)
{
	json_t *rows = site_rows(json_object_get(answer, "sites"));

	ctl_print_table(st, sites, QB_ARRAY_LEN(sites), rows);
	json_decref(rows);
}

void ctl_render_conns(const struct ctl_style *st, const json_t *answer)
{
	const json_t *list = json_object_get(answer, "connections");
	json_t *rows = json_array(), *c;
	size_t i;

	json_array_foreach((json_t *)list, i, c)
	{
		bool is_resumed = json_is_true(json_object_get(c, "resumed"));
		json_t *row = json_copy(c);

		json_object_set_new(row, "began",
				    json_string(json_is_true(json_object_get(c, "early")) ? "0-RTT"
						: is_resumed				  ? "resumed"
											  : "new"));
		json_array_append_new(rows, row);
	}
	ctl_print_table(st, conn_cols, QB_ARRAY_LEN(conn_cols), rows);
	if (json_integer_value(json_object_get(answer, "total")) > (json_int_t)json_array_size(list))
		fprintf(st->out, "... of %" JSON_INTEGER_FORMAT "\n",
			json_integer_value(json_object_get(answer, "total")));
	json_decref(rows);
}

void ctl_render_known(const struct ctl_style *st, const json_t *answer)
{
	double life_s = json_number_value(json_object_get(answer, "life_s"));
	json_t *rows = json_array(), *k;
	size_t i;

	json_array_foreach(json_object_get(answer, "known"), i, k)
	{
		double age_s = json_number_value(json_object_get(k, "age_s"));
		json_t *row = json_copy(k);

		json_object_set_new(row, "left_s", json_real(life_s > age_s ? life_s - age_s : 0));
		json_array_append_new(rows, row);
	}
	ctl_print_table(st, known_cols, QB_ARRAY_LEN(known_cols), rows);
	json_decref(rows);
}

void ctl_render_lines(const struct ctl_style *st, const json_t *answer)
{
	struct cell cell;
	json_t *line;
	size_t i;

	json_array_foreach(json_object_get(answer, "lines"), i, line)
	{
		put_value(st, &cell, TEXT, line);
		fprintf(st->out, "%s\n", cell.text);
	}
}

static const char *counter_help(const char *name)
{
	for (size_t i = 0; i < QB_COUNTER_CNT; i++)
		if (strcmp(qb_counter_rows[i].name, name) == 0)
			return qb_counter_rows[i].help;
	return "";
}

void ctl_render_counters(const struct ctl_style *st, const json_t *answer)
{
	json_t *rows = json_array(), *value;
	const char *name;

	json_object_foreach(json_object_get(answer, "counters"), name, value)
		json_array_append_new(rows, json_pack("{s:s, s:O, s:s}", "name", name, "value",
						      value, "help", counter_help(name)));
	/* What a counter means is for people; a script has the name. */
	ctl_print_table(st, counters, st->has_units ? 3 : 2, rows);
	json_decref(rows);
}

/* add_figures: what is zero says nothing to people; a script gets it all. */
static void add_figures(const struct ctl_style *st, json_t *rows, const char *ifname, const char *where,
			const json_t *figures)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)figures, name, value)
		if (!st->has_units || json_integer_value(value))
			json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:O}", "interface", ifname,
							      "where", where, "figure", name, "value",
							      value));
}

/* stage_rows adds to each stage what it is of all of them. */
static json_t *stage_rows(const json_t *stages)
{
	json_t *rows = json_array(), *row;
	double all_ns = 0;
	const json_t *s;
	char share[16];
	size_t k;

	json_array_foreach((json_t *)stages, k, s)
		all_ns += (double)json_integer_value(json_object_get(s, "ns"));
	json_array_foreach((json_t *)stages, k, s)
	{
		snprintf(share, sizeof(share), "%.0f %%",
			 all_ns > 0 ? 100 * (double)json_integer_value(json_object_get(s, "ns")) / all_ns : 0);
		row = json_copy((json_t *)s);
		json_object_set_new(row, "share", json_string(share));
		json_array_append_new(rows, row);
	}
	return rows;
}

void ctl_render_io(const struct ctl_style *st, const json_t *answer)
{
	const json_t *ifs = json_object_get(answer, "interfaces"), *i, *queue;
	json_t *rows = json_array();
	size_t k, q;

	json_array_foreach((json_t *)ifs, k, i)
	{
		const char *ifname = ctl_text_of(i, "interface");

		add_figures(st, rows, ifname, "sockets", json_object_get(i, "sockets"));
		add_figures(st, rows, ifname, "program", json_object_get(i, "program"));
		json_array_foreach((json_t *)json_object_get(i, "queues"), q, queue)
		{
			char where[32];

			snprintf(where, sizeof(where), "queue%zu", q);
			add_figures(st, rows, ifname, where, queue);
		}
	}
	add_figures(st, rows, "all", "guard", json_object_get(answer, "guard"));
	ctl_print_table(st, io_interfaces, QB_ARRAY_LEN(io_interfaces), ifs);
	putc('\n', st->out);
	ctl_print_table(st, io_figures, QB_ARRAY_LEN(io_figures), rows);
	json_decref(rows);
	rows = stage_rows(json_object_get(answer, "stages"));
	if (json_array_size(rows)) {
		putc('\n', st->out);
		ctl_print_table(st, io_stages, QB_ARRAY_LEN(io_stages), rows);
	}
	json_decref(rows);
}

/* print_crypto tells what protects packets, and why. */
static void print_crypto(const struct ctl_style *st, const json_t *crypto)
{
	struct cell cpu, aead, why, in_use;

	if (!json_is_object(crypto))
		return;
	put_list(&cpu, json_object_get(crypto, "cpu"));
	ctl_put_text(&aead, ctl_text_of(crypto, "aead"));
	ctl_put_text(&why, ctl_text_of(crypto, "why"));
	ctl_put_text(&in_use, ctl_text_of(crypto, "in_use"));
	fprintf(st->out, "crypto: %s: %s (CPU: %s); in use: %s\n", aead.text, why.text, cpu.text, in_use.text);
}

void ctl_render_findings(const struct ctl_style *st, const json_t *answer)
{
	const json_t *list = json_object_get(answer, "findings"), *f;
	size_t i;

	print_crypto(st, json_object_get(answer, "crypto"));
	if (json_array_size(list) == 0)
		fprintf(st->out, "nothing found\n");
	json_array_foreach((json_t *)list, i, f)
	{
		struct cell where, text, mend;

		ctl_put_text(&where, ctl_text_of(f, "where"));
		ctl_put_text(&text, ctl_text_of(f, "text"));
		ctl_put_text(&mend, ctl_text_of(f, "mend"));
		fprintf(st->out, "%s: %s: %s\n    mend: %s\n",
			strcmp(ctl_text_of(f, "severity"), "fault") == 0 ? "FAULT" : "hint", where.text, text.text,
			mend.text);
	}
}

int ctl_findings_exit(const json_t *answer)
{
	const json_t *f;
	size_t i;

	json_array_foreach((json_t *)json_object_get(answer, "findings"), i, f)
		if (strcmp(ctl_text_of(f, "severity"), "fault") == 0)
			return CTL_EXIT_DEGRADED;
	return CTL_EXIT_FINE;
}

void ctl_render_blocks(const struct ctl_style *st, const json_t *answer)
{
	const json_t *list = json_object_get(answer, "entries"), *e;
	size_t i;

	json_array_foreach(list, i, e) {
		const json_t *left = json_object_get(e, "left_s");
		struct cell cell, age;

		ctl_put_text(&cell, ctl_text_of(e, "prefix"));
		fputs(cell.text, st->out);
		if (json_is_number(left)) {
			put_value(st, &age, AGE, left);
			fprintf(st->out, "  for %s%s", age.text, st->has_units ? "" : " s");
		}
		fprintf(st->out, "%s\n", json_is_true(json_object_get(e, "file")) ? "  by file" : "");
	}
}

/* label begins a line of the status screen. */
static void label(const struct ctl_style *st, const char *name)
{
	fprintf(st->out, "%-11s  ", name);
}

static void line(const struct ctl_style *st, const char *name, enum kind kind, const json_t *v)
{
	struct cell cell;

	label(st, name);
	put_value(st, &cell, kind, v);
	paint(st, kind == STATE ? state_colour(cell.text) : "", cell.text);
	fputc('\n', st->out);
}

/* ctl_render_errors shows a line each: time, how often, who, path, error: text. */
void ctl_render_errors(const struct ctl_style *st, const json_t *answer)
{
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(answer, "errors"), i, e) {
		time_t at = (time_t)json_number_value(json_object_get(e, "time"));
		json_int_t cnt = json_integer_value(json_object_get(e, "count"));
		struct cell name, error, text;
		const char *who;
		char when[32];
		struct tm tm;

		localtime_r(&at, &tm);
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
		who = *ctl_text_of(e, "name") ? ctl_text_of(e, "name") : ctl_text_of(e, "peer");
		ctl_put_text(&name, who);
		ctl_put_text(&error, ctl_text_of(e, "error"));
		ctl_put_text(&text, ctl_text_of(e, "text"));
		fprintf(st->out, "%s  ", when);
		if (cnt > 1)
			fprintf(st->out, "%" JSON_INTEGER_FORMAT " times  ", cnt);
		if (*who)
			fprintf(st->out, "%s  ", name.text);
		if (*ctl_text_of(e, "cid"))
			fprintf(st->out, "%.16s  ", ctl_text_of(e, "cid"));
		if (json_is_integer(json_object_get(e, "path")))
			fprintf(st->out, "path %" JSON_INTEGER_FORMAT "  ",
				json_integer_value(json_object_get(e, "path")));
		fprintf(st->out, "%s: %s\n", error.text, text.text);
	}
}

void ctl_render_qlog(const struct ctl_style *st, const json_t *answer)
{
	const json_t *q = json_object_get(answer, "qlog");
	bool is_on = json_is_true(json_object_get(q, "on"));

	label(st, "tracing");
	fprintf(st->out, "%s\n", is_on ? "on" : "off");
	if (*ctl_text_of(q, "key_log"))
		line(st, "key_log", TEXT, json_object_get(q, "key_log"));
	if (!is_on)
		return;
	line(st, "folder", TEXT, json_object_get(q, "folder"));
	if (*ctl_text_of(q, "site"))
		line(st, "site", TEXT, json_object_get(q, "site"));
	line(st, "connections", COUNT, json_object_get(q, "connections"));
	line(st, "events", COUNT, json_object_get(q, "events"));
	line(st, "bytes", BYTES, json_object_get(q, "bytes"));
	line(st, "dropped", COUNT, json_object_get(q, "dropped"));
	if (*ctl_text_of(q, "problem"))
		line(st, "problem", TEXT, json_object_get(q, "problem"));
}

/* print_fec: a line where there is forward error correction. */
static void print_fec(const struct ctl_style *st, const json_t *fec)
{
	struct cell wanted;

	if (!json_integer_value(json_object_get(fec, "sent")) && !json_integer_value(json_object_get(fec, "recovered")))
		return;
	ctl_put_text(&wanted, ctl_text_of(fec, "wanted"));
	label(st, "fec");
	fprintf(st->out, "%s: %.1f %% added to %" JSON_INTEGER_FORMAT " packets; %" JSON_INTEGER_FORMAT
			 " came back by it, %" JSON_INTEGER_FORMAT " did not\n",
		wanted.text, json_number_value(json_object_get(fec, "overhead")) * 100,
		json_integer_value(json_object_get(fec, "protected")),
		json_integer_value(json_object_get(fec, "recovered")), json_integer_value(json_object_get(fec, "failed")));
}

/* print_guard tells of an attack while there is one. */
static void print_guard(const struct ctl_style *st, const json_t *guard)
{
	struct cell age, why;

	if (!json_is_true(json_object_get(guard, "attack")))
		return;
	put_value(st, &age, AGE, json_object_get(guard, "since_s"));
	ctl_put_text(&why, ctl_text_of(guard, "reason"));
	label(st, "attack");
	fprintf(st->out, "for %s%s: %s\n", age.text, st->has_units ? "" : " s", why.text);
}

static void print_head(const struct ctl_style *st, const json_t *status)
{
	const json_t *tunnel = json_object_get(status, "tunnel");
	const json_t *hub = json_object_get(status, "hub");

	line(st, "name", TEXT, json_object_get(status, "name"));
	line(st, "role", TEXT, json_object_get(status, "role"));
	line(st, "state", STATE, json_object_get(status, "state"));
	line(st, st->has_units ? "up" : "uptime_s", AGE, json_object_get(status, "uptime_s"));
	line(st, "device", TEXT, json_object_get(tunnel, "device"));
	line(st, "mtu", COUNT, json_object_get(tunnel, "mtu"));
	line(st, "addresses", TEXT, json_object_get(tunnel, "addresses"));
	line(st, "scheduler", TEXT, json_object_get(status, "scheduler"));
	if (*ctl_text_of(status, "protection"))
		line(st, "protection", TEXT, json_object_get(status, "protection"));
	print_fec(st, json_object_get(status, "fec"));
	print_guard(st, json_object_get(status, "guard"));
	if (!json_is_object(hub))
		return;
	line(st, "hub", TEXT, json_object_get(hub, "name"));
	line(st, "hub_address", TEXT, json_object_get(hub, "address"));
	line(st, "hub_state", STATE, json_object_get(hub, "state"));
	if (*ctl_text_of(hub, "reason"))
		line(st, "hub_reason", TEXT, json_object_get(hub, "reason"));
}

static void print_sums(const struct ctl_style *st, const struct sums *s)
{
	static const struct {
		const char *label, *plain;
		enum kind kind;
	} rows[] = {
		{"sending", "tx_bps", BPS},
		{"receiving", "rx_bps", BPS},
		{"sent", "tx_bytes", BYTES},
		{"received", "rx_bytes", BYTES},
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++) {
		json_t *v = json_integer(s->v[i]);

		line(st, st->has_units ? rows[i].label : rows[i].plain, rows[i].kind, v);
		json_decref(v);
	}
}

void ctl_render_status(const struct ctl_style *st, const json_t *status)
{
	const json_t *links = json_object_get(status, "links");
	json_t *rows = site_rows(json_object_get(status, "sites")), *row;
	struct sums s = {0};
	size_t i;

	print_head(st, status);
	add_links(&s, links);
	json_array_foreach(rows, i, row) for (size_t k = 0; k < QB_ARRAY_LEN(summed); k++) s.v[k] +=
		json_integer_value(json_object_get(row, summed[k]));
	print_sums(st, &s);
	fputc('\n', st->out);
	if (strcmp(ctl_text_of(status, "role"), "hub") == 0)
		ctl_print_table(st, sites, QB_ARRAY_LEN(sites), rows);
	else
		ctl_print_table(st, status_links, QB_ARRAY_LEN(status_links), links);
	json_decref(rows);
}

void ctl_render_top(const struct ctl_style *st, const json_t *status, const json_t *flows)
{
	const json_t *links = json_object_get(status, "links");

	ctl_render_status(st, status);
	if (json_array_size(links)) {
		fputc('\n', st->out);
		ctl_print_table(st, top_links, QB_ARRAY_LEN(top_links), links);
	}
	if (json_array_size(json_object_get(flows, "flows"))) {
		fputc('\n', st->out);
		print_flows(st, flows, TOP_FLOWS);
	}
}

int ctl_status_exit(const json_t *status)
{
	static const char *const degraded[] = {"down", "connecting", "degraded"};
	const char *state = ctl_text_of(status, "state");
	size_t wanted = 0, i;
	json_t *link;

	for (i = 0; i < QB_ARRAY_LEN(degraded); i++)
		if (strcmp(state, degraded[i]) == 0)
			return CTL_EXIT_DEGRADED;
	if (strcmp(state, "single") != 0 || strcmp(ctl_text_of(status, "mode"), "single") == 0)
		return CTL_EXIT_FINE;
	/* One link of one is fine; one of several is not. Those that nobody wants do not count. */
	json_array_foreach(json_object_get(status, "links"), i, link) wanted +=
		strcmp(ctl_text_of(link, "tier"), "never") != 0 &&
		strcmp(ctl_text_of(link, "state"), "drained") != 0;
	return wanted > 1 ? CTL_EXIT_DEGRADED : CTL_EXIT_FINE;
}
