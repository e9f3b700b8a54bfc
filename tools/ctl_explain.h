/* SPDX-License-Identifier: BSD-2-Clause */
/* One link, explained in sentences. */
#pragma once

#include <jansson.h>

/*
 * ctl_explain makes {"schema", "link", "lines"} of the daemon's answer to `links`, of which nothing is
 * believed. On a hub a name is SITE/LINK. NULL: there is no such link.
 */
json_t *ctl_explain(const json_t *answer, const char *name);
