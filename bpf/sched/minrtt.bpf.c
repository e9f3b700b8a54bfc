/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * A sample scheduler: the free path with the lowest round trip, as TCP's multipath scheduler of
 * that name. Paths within a tenth of it count as equal, and the one in use stays in use.
 */
#include <quicbond/sched.h>

QBS_MAP;

/* What the program remembers of a connection. */
enum { LAST, /* path + 1; 0 none */ };

static __always_inline __u32 lowest_rtt(const struct qbs_area *a)
{
	__u32 best = QBS_WAIT;
	__u64 best_ns = ~0ULL;

	for (__u32 i = 0; i < QBS_PATHS; i++) {
		const struct qbs_path *p = &a->paths[i];

		if (qbs_can_send(p, a->bytes) && p->srtt_ns < best_ns) {
			best = i;
			best_ns = p->srtt_ns;
		}
	}
	return best;
}

static __always_inline __u32 choose(const struct qbs_area *a)
{
	__u32 best = lowest_rtt(a), last = (__u32)a->memory[LAST] - 1;

	if (best >= QBS_PATHS)
		return QBS_WAIT;
	if (last < QBS_PATHS && qbs_can_send(&a->paths[last], a->bytes) &&
	    a->paths[last].srtt_ns <= a->paths[best].srtt_ns + a->paths[best].srtt_ns / 10)
		return last;
	return best;
}

SEC("syscall") int minrtt(struct qbs_call *call)
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
		a->memory[LAST] = pick + 1;
		qbs_spend(&a->paths[pick], a->bytes);
	}
	a->cnt = n;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
