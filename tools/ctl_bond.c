/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quicbondctl bond: how many links are in which state, what failovers cost, what reordering, repair
 * and forward error correction did; made of what `status` says. Called by quicbondctl.c.
 */
#include "tools/ctl_bond.h"

#include <string.h>

#include "base/base.h"
#include "tools/ctl_table.h"

/* What is shown of the counters, each under a name of its own. */
struct figure {
	const char *name, *counter;
};

/* clang-format off */
static const struct figure failover[] = {
	{"failovers", "failovers"}, {"rescued", "rescued"}, {"recoveries", "recoveries"}, {"flaps_held", "flaps_held"},
	{"moves", "path_moves"},
	{"gap_le_50ms", "failover_gap_le_50ms"}, {"gap_le_100ms", "failover_gap_le_100ms"}, {"gap_le_200ms", "failover_gap_le_200ms"},
	{"gap_le_500ms", "failover_gap_le_500ms"}, {"gap_more", "failover_gap_more"},
};
static const struct figure reorder[] = {
	{"held", "reorder_held"}, {"repaired", "reorder_repaired"}, {"released_loss", "reorder_released_loss"},
	{"released_time", "reorder_timeout"}, {"released_full", "reorder_full"}, {"late", "reorder_late"}, {"duplicates", "drop_reorder_dup"},
	{"hold_le_5ms", "reorder_hold_le_5ms"}, {"hold_le_20ms", "reorder_hold_le_20ms"}, {"hold_le_50ms", "reorder_hold_le_50ms"},
	{"hold_le_100ms", "reorder_hold_le_100ms"}, {"hold_more", "reorder_hold_more"},
};
static const struct figure repair[] = {
	{"repaired", "repaired"}, {"failed", "repair_failed"}, {"copies", "copies_sent"}, {"copies_bytes", "copies_bytes"},
	{"copies_skipped", "copies_skipped"}, {"tail_copies", "tail_copies"},
};
static const struct figure fec[] = {
	{"blocks", "fec_blocks"}, {"protected", "fec_protected"}, {"sent", "fec_sent"}, {"bytes", "fec_bytes"},
	{"recovered", "fec_recovered"}, {"failed", "fec_failed"}, {"useless", "fec_useless"},
};

static const struct {
	const char *name;
	const struct figure *figures;
	size_t cnt;
} parts[] = {
	{"failover", failover, QB_ARRAY_LEN(failover)},
	{"reorder", reorder, QB_ARRAY_LEN(reorder)},
	{"repair", repair, QB_ARRAY_LEN(repair)},
	{"fec", fec, QB_ARRAY_LEN(fec)},
};

static const char *const states[] = {"active", "standby", "suspect", "probing", "failed", "drained", "absent"};
/* clang-format on */

static double number_of(const json_t *o, const char *field)
{
	return json_number_value(json_object_get(o, field));
}

static json_t *figures_of(const struct figure *f, size_t cnt, const json_t *counters)
{
	json_t *o = json_object();

	for (size_t i = 0; i < cnt; i++)
		json_object_set_new(o, f[i].name,
				    json_integer((json_int_t)number_of(counters, f[i].counter)));
	return o;
}

/* mean puts what n of something took on average, of which `unit` make a millisecond. */
static void mean(json_t *o, const char *name, double sum, double n, double unit)
{
	json_object_set_new(
		o, name,
		json_real(n > 0 ? (double)(long long)(sum / n / unit * 1000 + 0.5) / 1000 : 0));
}

/* all_links: an edge's, or those of all of a hub's sites. */
static json_t *all_links(const json_t *status)
{
	json_t *all = json_array(), *site;
	size_t i;

	json_array_extend(all, json_object_get(status, "links"));
	json_array_foreach(json_object_get(status, "sites"), i, site)
		json_array_extend(all, json_object_get(site, "links"));
	return all;
}

static json_t *links_of(const json_t *links)
{
	json_t *o = json_pack("{s:I}", "total", (json_int_t)json_array_size(links)), *l;
	double rtt_ms = 0, flaps = 0;
	size_t i;

	for (size_t k = 0; k < QB_ARRAY_LEN(states); k++) {
		json_int_t cnt = 0;

		json_array_foreach((json_t *)links, i, l) cnt +=
			strcmp(ctl_text_of(l, "state"), states[k]) == 0;
		json_object_set_new(o, states[k], json_integer(cnt));
	}
	json_array_foreach((json_t *)links, i, l)
	{
		double more_ms = number_of(l, "rtt_loaded_ms") - number_of(l, "rtt_min_ms");

		flaps += number_of(l, "flaps");
		rtt_ms = QB_MAX(rtt_ms, number_of(l, "rtt_loaded_ms") > 0 ? more_ms : 0);
	}
	json_object_set_new(o, "flaps", json_integer((json_int_t)flaps));
	json_object_set_new(o, "loaded_rtt_more_ms", json_real(rtt_ms));
	return o;
}

/* add_fec puts there what is not in the counters: what auto goes by, what it adds, and what that came to. */
static void add_fec(json_t *part, const json_t *from)
{
	static const char *const fields[] = {"loss", "burst", "redundancy", "overhead"};

	json_object_set_new(part, "wanted", json_string(ctl_text_of(from, "wanted")));
	for (size_t i = 0; i < QB_ARRAY_LEN(fields); i++)
		json_object_set_new(part, fields[i], json_real(number_of(from, fields[i])));
}

json_t *ctl_bond(const json_t *status)
{
	const json_t *counters = json_object_get(status, "counters");
	json_t *links = all_links(status), *o = json_object(), *part;

	json_object_set_new(o, "mode", json_string(ctl_text_of(status, "mode")));
	json_object_set_new(o, "state", json_string(ctl_text_of(status, "state")));
	json_object_set_new(o, "scheduler", json_string(ctl_text_of(status, "scheduler")));
	json_object_set_new(o, "grain", json_string(ctl_text_of(status, "grain")));
	json_object_set_new(o, "loaded_queue_ms", json_real(number_of(status, "loaded_queue_ms")));
	json_object_set_new(o, "links", links_of(links));
	json_decref(links);
	for (size_t i = 0; i < QB_ARRAY_LEN(parts); i++)
		json_object_set_new(o, parts[i].name,
				    figures_of(parts[i].figures, parts[i].cnt, counters));
	part = json_object_get(o, "failover");
	mean(part, "gap_mean_ms", number_of(counters, "failover_gap_ms"),
	     number_of(part, "failovers"), 1);
	part = json_object_get(o, "reorder");
	mean(part, "hold_mean_ms", number_of(counters, "reorder_hold_us"), number_of(part, "held"),
	     1000);
	add_fec(json_object_get(o, "fec"), json_object_get(status, "fec"));
	return json_pack("{s:i, s:o}", "schema", 1, "bond", o);
}

/* print_part: "links       total 2, active 2, ...". */
static void print_part(const struct ctl_style *st, const char *name, const json_t *part)
{
	const char *key, *sep = "";
	json_t *v;

	fprintf(st->out, "%-11s  ", name);
	json_object_foreach((json_t *)part, key, v)
	{
		fprintf(st->out, "%s%s ", sep, key);
		if (json_is_string(v))
			fprintf(st->out, "%s", json_string_value(v));
		else if (json_is_real(v))
			fprintf(st->out, "%.3g", json_real_value(v));
		else
			fprintf(st->out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		sep = ", ";
	}
	fputc('\n', st->out);
}

json_t *ctl_bond_part(const json_t *status, const char *name)
{
	json_t *all = ctl_bond(status),
	       *part = json_incref(json_object_get(json_object_get(all, "bond"), name));

	json_decref(all);
	return json_pack("{s:i, s:o}", "schema", 1, name, part);
}

void ctl_render_bond_part(const struct ctl_style *st, const json_t *answer)
{
	const char *name;
	json_t *part;

	json_object_foreach((json_t *)answer, name, part)
	{
		if (json_is_object(part))
			print_part(st, name, part);
	}
}

void ctl_render_bond(const struct ctl_style *st, const json_t *answer)
{
	static const char *const words[] = {"mode", "state", "scheduler", "grain"};
	const json_t *bond = json_object_get(answer, "bond");
	struct cell cell;

	for (size_t i = 0; i < QB_ARRAY_LEN(words); i++) {
		ctl_put_text(&cell, ctl_text_of(bond, words[i]));
		if (*cell.text)
			fprintf(st->out, "%-11s  %s\n", words[i], cell.text);
	}
	print_part(st, "links", json_object_get(bond, "links"));
	for (size_t i = 0; i < QB_ARRAY_LEN(parts); i++)
		print_part(st, parts[i].name, json_object_get(bond, parts[i].name));
	fprintf(st->out, "%-11s  waits %.1f ms in our queue while there is one\n", "load",
		number_of(bond, "loaded_queue_ms"));
}
