/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A scheduler that the verifier lets by and that talks nonsense: it picks paths that are not there.
 */
#include <quicbond/sched.h>

QBS_MAP;

SEC("syscall") int garbage(struct qbs_call *call)
{
	struct qbs_area *a = qbs_area(call);

	return a ? qbs_answer(a, 200) : 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
