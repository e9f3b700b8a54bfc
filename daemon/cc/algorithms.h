/* SPDX-License-Identifier: BSD-2-Clause */
/* What each algorithm's file exports to the registry. */
#pragma once

#include "cc/cc.h"

extern const struct qb_cc qb_cc_newreno;
extern const struct qb_cc qb_cc_cubic;
extern const struct qb_cc qb_cc_bbr3;
extern const struct qb_cc qb_cc_auto;
