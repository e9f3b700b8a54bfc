/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Over how many workers an edge spreads its tunnel. One connection belongs to one worker, so one
 * core bounds it; another worker joins, with a connection of its own, when those that serve are
 * busy and a core is idle. Main thread.
 */
#pragma once

#include "base/base.h"

struct qb_daemon;

/* The decision, apart from everything: how many workers serve, and for how long it has been too
 * much or too little. */
struct qb_spread {
	uint16_t active, max;
	uint32_t busy_spans, calm_spans;
};

/*
 * qb_spread_decide takes a span's loads, 0..1 each, of the active workers, and how many cores were
 * idle. Returns how many workers shall serve now, and remembers it.
 */
uint16_t qb_spread_decide(struct qb_spread *s, const double *loads, double idle_cores);

/* qb_spread_open says what holds from the start. `is_fixed`: all workers serve, whatever the load.
 */
void qb_spread_open(struct qb_daemon *d, bool is_fixed);
/* qb_spread_poll looks at the load, about once a second. */
void qb_spread_poll(struct qb_daemon *d);
/* qb_spread_on_hub follows worker's session: "connected" or not, and whether the hub lets others
 * live beside it. */
void qb_spread_on_hub(struct qb_daemon *d, uint16_t worker, bool is_connected, bool can_spread);
/* qb_spread_on_mtu: what worker's session carries. The TUN device gets the largest that some
 * session does. */
void qb_spread_on_mtu(struct qb_daemon *d, uint16_t worker, uint32_t mtu_bytes);
/* qb_spread_refresh tells the workers beside the first one of the hubs anew. */
void qb_spread_refresh(struct qb_daemon *d);
