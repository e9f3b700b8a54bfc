/* SPDX-License-Identifier: BSD-2-Clause */
/* quicbondctl tun: the TUN device. */
#pragma once

#include "tools/ctl_render.h"

void ctl_render_tun(const struct ctl_style *st, const json_t *answer);
