/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * A sample scheduler: one link after the other, in the config's order. The first is filled up to
 * its window, what it cannot take goes to the next: with the links in the order of what they cost,
 * the cheapest carries all that it can. On a hub, which has no links, the paths' own order counts.
 * Sparse packets take the free path with the lowest round trip.
 */
#include <quicbond/sched.h>

QBS_MAP;

static __always_inline __u32 choose(const struct qbs_area *a)
{
	__u32 best = QBS_WAIT;
	__u64 least = ~0ULL;

	for (__u32 i = 0; i < QBS_PATHS; i++) {
		const struct qbs_path *p = &a->paths[i];
		__u64 rank = a->kind == QBS_BULK ? p->link : p->srtt_ns;

		if (!qbs_can_send(p, a->bytes) || rank >= least)
			continue;
		best = i;
		least = rank;
	}
	return best;
}

SEC("syscall") int fillfirst(struct qbs_call *call)
{
	struct qbs_area *a = qbs_area(call);
	__u32 n;

	if (!a)
		return 1;
	for (n = 0; n < QBS_PICKS; n++) {
		__u32 pick = choose(a);

		a->picks[n] = (__u8)pick;
		if (pick >= QBS_PATHS) {
			n++;
			break;
		}
		qbs_spend(&a->paths[pick], a->bytes);
	}
	a->cnt = n;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
