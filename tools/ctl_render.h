/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers of the daemon as text: for people with units and colour, for pipes plain. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum { CTL_EXIT_FINE = 0, CTL_EXIT_ERROR = 1, CTL_EXIT_DEGRADED = 2 };

struct ctl_style {
	FILE *out;
	bool has_units; /* "12.3 Mbit/s" and not 12300000 */
	bool has_colour;
};

/* Each takes the answer's object, of which nothing is believed: what is missing is shown as "-". */
void ctl_render_status(const struct ctl_style *st, const json_t *status);
/*
 * ctl_render_top is the status with what congestion control does on each of an edge's links, and with the heaviest
 * flows (NULL: not known).
 */
void ctl_render_top(const struct ctl_style *st, const json_t *status, const json_t *flows);
/* ctl_render_lines prints the answer's "lines", one each. */
void ctl_render_lines(const struct ctl_style *st, const json_t *answer);
void ctl_render_sched(const struct ctl_style *st, const json_t *answer);
void ctl_render_decisions(const struct ctl_style *st, const json_t *answer);
void ctl_render_flows(const struct ctl_style *st, const json_t *answer);
void ctl_render_links(const struct ctl_style *st, const json_t *answer);
void ctl_render_sites(const struct ctl_style *st, const json_t *answer);
void ctl_render_errors(const struct ctl_style *st, const json_t *answer);
void ctl_render_known(const struct ctl_style *st, const json_t *answer);
void ctl_render_conns(const struct ctl_style *st, const json_t *answer);
void ctl_render_qlog(const struct ctl_style *st, const json_t *answer);
void ctl_render_blocks(const struct ctl_style *st, const json_t *answer);
void ctl_render_io(const struct ctl_style *st, const json_t *answer);
void ctl_render_findings(const struct ctl_style *st, const json_t *answer);
/* ctl_findings_exit: 2 when something is wrong, 0 when there are hints at most. */
int ctl_findings_exit(const json_t *answer);
void ctl_render_counters(const struct ctl_style *st, const json_t *answer);
/* ctl_status_exit is the exit code that a status means: fine, or degraded. */
int ctl_status_exit(const json_t *status);
