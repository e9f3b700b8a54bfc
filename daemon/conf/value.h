/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parsers of values share. Inside of conf/. */
#pragma once

#include "conf/keys.h"

/* qb_conf_refuse says in v->why what is wrong. Returns -EINVAL, so that a parser can end with it.
 */
int qb_conf_refuse(struct qb_conf_value *v, const char *fmt, ...) QB_PRINTF(2, 3);
/* qb_conf_refuse_text is for the usual case: "TEXT" is not WHAT. */
int qb_conf_refuse_text(struct qb_conf_value *v, const char *text, const char *what);
/* qb_conf_parse_u32 reads decimal digits that fill the text. Returns 0 or -EINVAL (also out of
 * range). */
int qb_conf_parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *out) QB_MUST_CHECK;
/* qb_conf_is_ifname holds text against the kernel's own rules for a device's name (dev_valid_name).
 */
bool qb_conf_is_ifname(const char *text);
