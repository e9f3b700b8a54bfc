/* SPDX-License-Identifier: BSD-2-Clause */
/* The status snapshot as JSON, schema 1. Inside of ctl/, and for tests. Each returns a new
 * reference, NULL without memory. */
#pragma once

#include <jansson.h>

#include "ctl/ctl.h"

enum { QB_CTL_SCHEMA = 1 };

json_t *qb_json_status(const struct qb_status *st);
/* qb_json_links: an edge's links; a hub's are those of all sites, each with "site". */
json_t *qb_json_links(const struct qb_status *st);
json_t *qb_json_sites(const struct qb_status *st);
json_t *qb_json_counters(const struct qb_status *st);
json_t *qb_json_io(const struct qb_io_status *st);
json_t *qb_json_flows(const struct qb_flows *flows);
json_t *qb_json_tun(const struct qb_tun_status *t);
json_t *qb_json_sched(const struct qb_sched_status *s);
json_t *qb_json_findings(const struct qb_findings *f);
json_t *qb_json_event(const struct qb_ctl_event *ev);
/* qb_json_text is a string; bytes that are not UTF-8 become '?'. */
json_t *qb_json_text(const char *text);
