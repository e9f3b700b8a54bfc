/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables, for the files that draw answers: ctl_render.c, ctl_render_sched.c. */
#pragma once

#include "tools/ctl_render.h"

enum { CELL_LEN = 256, COLUMNS_MAX = 24 };

enum kind { TEXT, STATE, COUNT, MS, RATIO, BPS, BYTES, AGE, KIND_CNT };

struct column {
	const char *field;
	const char *title;	 /* with units in the cells */
	const char *plain_title; /* the unit is in the title */
	enum kind kind;
};

struct cell {
	char text[CELL_LEN];
};

/* ctl_put_text copies harmlessly: no control characters, neither ASCII's nor Unicode's C1 (0xc2 0x80 to 0x9f). */
void ctl_put_text(struct cell *cell, const char *text);
/* ctl_print_table prints a head and a line for each of the rows, an array of objects. */
void ctl_print_table(const struct ctl_style *st, const struct column *cols, size_t col_cnt, const json_t *rows);
/* ctl_text_of is a string of the object; "" where there is none. */
const char *ctl_text_of(const json_t *o, const char *field);
