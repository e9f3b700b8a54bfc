/* SPDX-License-Identifier: BSD-2-Clause */
/* Smoothing and windowed minimum of one-way delays; fed by ack.c. */
#include "quic/owd.h"

void qb_owd_update(struct qb_owd_dir *d, int64_t delay_ns, uint64_t now_ns)
{
	d->latest_ns = delay_ns;
	if (!d->has_sample) {
		*d = (struct qb_owd_dir){true, delay_ns, delay_ns, {delay_ns, delay_ns}, now_ns};
		return;
	}
	if (now_ns - d->window_ns >= QB_OWD_WINDOW_NS) {
		/* After a long silence the window before tells nothing either. */
		d->min_ns[1] =
			now_ns - d->window_ns < 2 * QB_OWD_WINDOW_NS ? d->min_ns[0] : delay_ns;
		d->min_ns[0] = delay_ns;
		d->window_ns = now_ns;
	}
	d->min_ns[0] = QB_MIN(d->min_ns[0], delay_ns);
	d->smoothed_ns += (delay_ns - d->smoothed_ns) / 8;
}
