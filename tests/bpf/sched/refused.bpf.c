/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A scheduler that the verifier refuses: it does not look whether it got its area. */
#include <quicbond/sched.h>

QBS_MAP;

SEC("syscall") int refused(struct qbs_call *call)
{
	return qbs_answer(qbs_area(call), 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
