/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* What the program on the TUN device's egress and user space agree on. */
#pragma once

#include <linux/types.h>

enum { QB_TUN_MARKS_MAX = 16 }; /* the bits of a VLAN tag */

/* A packet has it whose mark, as far as the mask goes, is the value. No packet: value 1, mask 0. */
struct qb_tun_mark {
	__u32 value, mask;
};
