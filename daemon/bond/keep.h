/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small links that are quick stay quick for calls. Each full packet takes a link of 2 Mbit/s 6 ms,
 * and a controller keeps a queue of several there; pure ACKs of a download, which want the quickest
 * link as well, fill it until it is as slow as the next. So while there are calls such a link gets
 * what keeps it busy, and no more. Internal to bond/.
 */
#pragma once

#include "bond/bond.h"

struct qb_keep {
	uint64_t begin_ns; /* of the second in which calls' packets are counted */
	uint64_t calls_ns; /* when there were calls last; 0: never */
	uint32_t cnt;
};

/* qb_keep_on_call: a packet of a call leaves (qb_copies_is_call). */
void qb_keep_on_call(struct qb_keep *k, uint64_t now_ns);
/*
 * qb_keep_views returns the views for a packet of bulk or a pure ACK: v, or `room`, in which small
 * links that hold enough have no budget. For an ACK it is v unless another link that is not much
 * slower takes it at once.
 */
const struct qb_path_view *qb_keep_views(const struct qb_keep *k, const struct qb_path_view *v,
					 uint32_t n, bool is_bulk, uint32_t bytes,
					 struct qb_path_view room[QB_BOND_PATHS_MAX],
					 uint64_t now_ns);
