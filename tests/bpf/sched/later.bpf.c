/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A scheduler that was made for another version of the interface. */
#include <quicbond/sched.h>
#undef QBS_ABI
#define QBS_ABI 2

QBS_MAP;

SEC("syscall") int later(struct qbs_call *call)
{
	struct qbs_area *a = qbs_area(call);

	return a ? qbs_answer(a, 0) : 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
