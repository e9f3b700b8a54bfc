/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A BPF program that is no scheduler. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("syscall") int other(void *ctx)
{
	return ctx != 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
