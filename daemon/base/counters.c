/* SPDX-License-Identifier: BSD-2-Clause */
/* The counter table's names and help texts. */
#include "base/counters.h"

const struct qb_counter_row qb_counter_rows[QB_COUNTER_CNT] = {
#define QB_COUNTER(id, name, help) [QB_CNT_##id] = {name, help},
#include "base/counters.def"
#undef QB_COUNTER
};
