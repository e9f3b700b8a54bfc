/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A scheduler that remembers: the first usable path that has not lost a packet since the last run.
 * What it was asked shows in its memory. */
#include <quicbond/sched.h>

QBS_MAP;

SEC("syscall") int memory(struct qbs_call *call)
{
	struct qbs_area *a = qbs_area(call);
	__u32 pick = QBS_WAIT;

	if (!a || a->abi != QBS_ABI)
		return 1;
	for (__u32 i = 0; i < QBS_PATHS; i++) {
		const struct qbs_path *p = &a->paths[i];

		if (pick == QBS_WAIT && p->flags & QBS_USABLE && p->lost_packets == a->memory[i])
			pick = i;
		a->memory[i] = p->lost_packets;
	}
	a->memory[QBS_MEMORY - 1]++;
	a->memory[QBS_MEMORY - 2] = a->paths[1].wait_ns;
	a->memory[QBS_MEMORY - 3] = a->paths[1].generation;
	a->valid_us = 1000000;
	return qbs_answer(a, pick);
}

char _license[] SEC("license") = "Dual BSD/GPL";
