/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether the receiver knows that a path is in use; asked by qb_bond_pick for each bulk packet. */
#include "bond/warm.h"

/* Shorter than the time after which a receiver takes a path for idle (bond/reorder.h). */
#define PAUSE_MAX_NS	 (150 * QB_NS_PER_MS)
#define COPY_INTERVAL_NS (5 * QB_NS_PER_MS)
#define MARGIN_NS	 (5 * QB_NS_PER_MS) /* beyond the lag, for the copies to be seen */
/* Paths so close reorder by a packet or two, which every transport tolerates. */
#define LAG_FREE_NS QB_NS_PER_MS

void qb_warm_reset(struct qb_warm *w, uint8_t path)
{
	w->tx_ns[path] = w->since_ns[path] = w->copy_ns[path] = 0;
}

static bool is_in_use(const struct qb_warm *w, uint8_t path, uint64_t now_ns)
{
	return w->tx_ns[path] && now_ns - w->tx_ns[path] <= PAUSE_MAX_NS;
}

bool qb_warm_is_ready(const struct qb_warm *w, uint8_t path, uint64_t lag_ns, uint64_t now_ns)
{
	if (lag_ns < LAG_FREE_NS)
		return true;
	return is_in_use(w, path, now_ns) && now_ns - w->since_ns[path] >= lag_ns + MARGIN_NS;
}

bool qb_warm_wants_copy(const struct qb_warm *w, uint8_t path, uint64_t now_ns)
{
	return now_ns - w->copy_ns[path] >= COPY_INTERVAL_NS;
}

void qb_warm_on_sent(struct qb_warm *w, uint8_t path, bool is_copy, uint64_t now_ns)
{
	if (!is_in_use(w, path, now_ns))
		w->since_ns[path] = now_ns;
	w->tx_ns[path] = now_ns;
	if (is_copy)
		w->copy_ns[path] = now_ns;
}
