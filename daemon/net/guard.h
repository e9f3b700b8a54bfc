/* SPDX-License-Identifier: BSD-2-Clause */
/* What the rest of this folder needs of the guard: its maps for another program, its filter for a
 * socket. */
#pragma once

#include "net/net.h"

struct bpf_map;

/* The guard's maps in another program's skeleton that is not loaded yet. */
struct qb_guard_maps {
	struct bpf_map *conf, *state, *sources, *known, *blocks, *counters;
};

/* qb_guard_share puts the guard's maps into the place of a program's own. Returns 0 or -errno. */
int qb_guard_share(const struct qb_guard *g, const struct qb_guard_maps *m) QB_MUST_CHECK;
/* qb_guard_fds lists the maps' descriptors, in the order of struct qb_guard_maps. */
void qb_guard_fds(const struct qb_guard *g, int out[6]);
/* qb_guard_attach puts the guard before a UDP socket. Returns 0 or -errno. */
int qb_guard_attach(const struct qb_guard *g, int fd) QB_MUST_CHECK;

/* qb_bpf_read_counter sums an element of a per-CPU array of 64-bit numbers. */
uint64_t qb_bpf_read_counter(const struct bpf_map *map, uint32_t idx);
