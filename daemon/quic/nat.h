/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long a path may be silent before the NATs on its way forget it: learned from what the server
 * sees of us (OBSERVED_ADDRESS). A binding that a silence did not cost is good for a little more;
 * one that it did is not asked for so much again. For links on which every packet has its price;
 * others are pinged so often that no NAT forgets them.
 */
#pragma once

#include "base/base.h"

#define QB_NAT_FIRST_NS (25 * QB_NS_PER_SEC) /* what nearly every NAT stands */
#define QB_NAT_LEAST_NS (5 * QB_NS_PER_SEC)
#define QB_NAT_MOST_NS	(120 * QB_NS_PER_SEC)

struct qb_nat {
	uint64_t interval_ns; /* of silence, at most */
	uint64_t
		lost_ns; /* the shortest silence that a binding did not survive; 0: none is known */
	uint64_t tested_ns;    /* the silence that the last ping ended; 0: its result is in */
	uint64_t pinged_ns;    /* when that was */
	uint32_t survived_cnt; /* silences of interval_ns in a row */
};

void qb_nat_init(struct qb_nat *n);
/* qb_nat_on_ping: after so long a silence a packet goes out. */
void qb_nat_on_ping(struct qb_nat *n, uint64_t silent_ns, uint64_t now_ns);
/* qb_nat_on_moved: the server sees us at another address. */
void qb_nat_on_moved(struct qb_nat *n, uint64_t now_ns);
