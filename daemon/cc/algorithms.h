/* SPDX-License-Identifier: BSD-2-Clause */
/* What each algorithm's file exports to the registry. */
#pragma once

#include "cc/cc.h"

extern const struct qb_cc qb_cc_auto;
extern const struct qb_cc qb_cc_balia;
extern const struct qb_cc qb_cc_bbr1;
extern const struct qb_cc qb_cc_bbr2;
extern const struct qb_cc qb_cc_bbr3;
extern const struct qb_cc qb_cc_copa;
extern const struct qb_cc qb_cc_cubic;
extern const struct qb_cc qb_cc_lia;
extern const struct qb_cc qb_cc_newreno;
extern const struct qb_cc qb_cc_olia;
extern const struct qb_cc qb_cc_prague;
extern const struct qb_cc qb_cc_westwood;
