/* SPDX-License-Identifier: BSD-2-Clause */
/* quicbondctl top: the state of links or sites in a terminal, drawn anew all the time. */
#pragma once

#include "tools/ctl_render.h"

/*
 * ctl_top shows what the daemon says each every_s seconds, `times` times (0: until "q" is pressed, or for ever into a pipe, where each
 * time is a text of its own). A daemon that does not answer is asked again. Returns the exit code of the last state.
 */
int ctl_top(const char *socket, const struct ctl_style *style, double every_s, unsigned int times);
