/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every counter and every reason for which a packet is dropped, in one table: `quicbondctl counters`, the
 * metrics text and the manual page read the same rows. Each worker owns one struct qb_counters and is
 * its only writer; others read it whenever they like.
 */
#pragma once

#include "base/base.h"

/* QB_COUNTER(identifier, "public_name", "help") */
enum qb_counter {
#define QB_COUNTER(id, name, help) QB_CNT_##id,
#include "base/counters.def"
#undef QB_COUNTER
	QB_COUNTER_CNT
};

struct qb_counters {
	uint64_t v[QB_COUNTER_CNT];
};

/* A number of which there is no counter, as another owns it: the kernel, or a BPF program. */
struct qb_figure {
	const char *name; /* static */
	uint64_t value;
};

struct qb_counter_row {
	const char *name;
	const char *help;
};

extern const struct qb_counter_row qb_counter_rows[QB_COUNTER_CNT];

static inline void qb_count_add(struct qb_counters *c, enum qb_counter id, uint64_t n)
{
	__atomic_store_n(&c->v[id], c->v[id] + n, __ATOMIC_RELAXED);
}

static inline void qb_count(struct qb_counters *c, enum qb_counter id)
{
	qb_count_add(c, id, 1);
}

static inline uint64_t qb_counter_read(const struct qb_counters *c, enum qb_counter id)
{
	return __atomic_load_n(&c->v[id], __ATOMIC_RELAXED);
}
