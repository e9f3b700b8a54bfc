/* SPDX-License-Identifier: BSD-2-Clause */
/* `quicbondctl sched`: the schedulers, and their last decisions. Called by quicbondctl.c. */
#include "tools/ctl_table.h"

#include <string.h>

#include "base/base.h"

/* clang-format off */
#define COLS_DECISION \
	{ "age_ms",    "AGO",       "AGE_MS",    MS }, \
	{ "scheduler", "SCHEDULER", "SCHEDULER", TEXT }, \
	{ "kind",      "KIND",      "KIND",      TEXT }, \
	{ "bytes",     "SIZE",      "BYTES",     BYTES }, \
	{ "link",      "LINK",      "LINK",      TEXT }, \
	{ "reason",    "WHY",       "WHY",       TEXT }, \
	{ "choices",   "CHOICES: DELAY AND WAIT", "CHOICES", TEXT }

static const struct column decision_cols[] = { COLS_DECISION };
static const struct column site_decision_cols[] = { { "site", "SITE", "SITE", TEXT }, COLS_DECISION };
/* clang-format on */

/* choices_text: "dsl 12.3+0.0 ms free, lte 40.1+2.0 ms busy". New reference. */
static json_t *choices_text(const struct ctl_style *st, const json_t *choices)
{
	char text[512] = "";
	size_t i, n = 0;
	json_t *c;

	json_array_foreach((json_t *)choices, i, c)
	{
		if (n >= sizeof(text))
			break;
		n += (size_t)snprintf(text + n, sizeof(text) - n, st->has_units ? "%s%s %.1f+%.1f ms %s" : "%s%s:%.1f:%.1f:%s",
				      !n ? "" : st->has_units ? ", " : ",", ctl_text_of(c, "link"),
				      json_number_value(json_object_get(c, "delay_ms")),
				      json_number_value(json_object_get(c, "wait_ms")), ctl_text_of(c, "state"));
	}
	return json_string(text);
}

void ctl_render_decisions(const struct ctl_style *st, const json_t *answer)
{
	const json_t *list = json_object_get(answer, "decisions");
	json_t *rows = json_array(), *d;
	size_t i;

	json_array_foreach((json_t *)list, i, d)
	{
		json_t *row = json_copy(d);

		json_object_set_new(row, "age_ms", json_real(json_number_value(json_object_get(d, "age_s")) * 1e3));
		json_object_set_new(row, "choices", choices_text(st, json_object_get(d, "choices")));
		json_array_append_new(rows, row);
	}
	if (json_object_get(json_array_get(list, 0), "site"))
		ctl_print_table(st, site_decision_cols, QB_ARRAY_LEN(site_decision_cols), rows);
	else
		ctl_print_table(st, decision_cols, QB_ARRAY_LEN(decision_cols), rows);
	json_decref(rows);
}

/* print_scheduler: the one in force has a star. */
static void print_scheduler(const struct ctl_style *st, const char *name, bool is_in_force)
{
	struct cell cell;

	ctl_put_text(&cell, name);
	fprintf(st->out, "%s%s\n", is_in_force ? "* " : "  ", cell.text);
}

void ctl_render_sched(const struct ctl_style *st, const json_t *answer)
{
	const char *in_force = ctl_text_of(answer, "scheduler");
	bool is_listed = false;
	json_t *name;
	size_t i;

	json_array_foreach(json_object_get(answer, "schedulers"), i, name)
	{
		const char *text = json_string_value(name);
		bool is_it = text && strcmp(text, in_force) == 0;

		is_listed |= is_it;
		if (text)
			print_scheduler(st, text, is_it);
	}
	json_array_foreach(json_object_get(answer, "forms"), i, name)
	{
		if (json_is_string(name))
			print_scheduler(st, json_string_value(name), false);
	}
	if (!is_listed && *in_force)
		print_scheduler(st, in_force, true);
}
