/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A scheduler of this version whose map holds something else. */
#include <quicbond/sched.h>

struct narrow_area {
	__u64 word;
};

const volatile __u32 qbs_abi SEC(".rodata.qbs") = QBS_ABI;
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct narrow_area);
} qbs_areas SEC(".maps");

SEC("syscall") int narrow(struct qbs_call *call)
{
	__u32 key = call->area;
	struct narrow_area *a = bpf_map_lookup_elem(&qbs_areas, &key);

	return a ? (int)a->word : 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
