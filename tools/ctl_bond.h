/* SPDX-License-Identifier: BSD-2-Clause */
/* quicbondctl bond: the bond as a whole. */
#pragma once

#include "tools/ctl_render.h"

/* ctl_bond makes the object that `bond` shows out of what `status` says. */
json_t *ctl_bond(const json_t *status);
void ctl_render_bond(const struct ctl_style *st, const json_t *answer);
/* ctl_bond_part is one object of that alone: failover, fec. */
json_t *ctl_bond_part(const json_t *status, const char *name);
void ctl_render_bond_part(const struct ctl_style *st, const json_t *answer);
