/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of hubs to addresses, on a thread of its own: a resolver may be silent for long, above all while no link is up. The main
 * thread asks, is woken through a descriptor, and takes the result.
 */
#pragma once

#include "conf/conf.h"
#include "node.h"

struct qb_resolver;

/* qb_resolver_open starts the thread; wake_fd is made readable when there is a result. NULL: no memory or no thread. */
struct qb_resolver *qb_resolver_open(int wake_fd);
/* qb_resolver_close does not wait: a lookup in progress ends by itself, and its result is dropped. */
void qb_resolver_close(struct qb_resolver *r);
/* qb_resolver_ask looks up all addresses of the config's hubs (copied); it replaces a question that waits. */
void qb_resolver_ask(struct qb_resolver *r, const struct qb_conf *c);
/* qb_resolver_forget: no answer is wanted any more. */
void qb_resolver_forget(struct qb_resolver *r);
/* qb_resolver_take copies a new result out; false: there is none. */
bool qb_resolver_take(struct qb_resolver *r, struct qb_edge_hub hubs[QB_EDGE_HUBS_MAX], uint32_t *cnt);
/* qb_resolver_is_numeric: no hub is given by name, so that a lookup is quick and once is enough. */
bool qb_resolver_is_numeric(const struct qb_conf *c);
/* qb_resolver_lookup does the same at once, for a config that is numeric. Returns how many. */
uint32_t qb_resolver_lookup(const struct qb_conf_hub *hubs, uint32_t hub_cnt, struct qb_edge_hub out[QB_EDGE_HUBS_MAX]);
