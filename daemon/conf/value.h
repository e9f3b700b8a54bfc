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
/* qb_conf_find_word returns the place of text among words (NULL at the end), or -1. */
int qb_conf_find_word(const char *const *words, const char *text);
/*
 * qb_conf_next_item takes the next of a comma-separated list, trimmed. Returns 1, 0 at the end, or -EINVAL (empty, or
 * too long for item).
 */
int qb_conf_next_item(struct qb_conf_value *v, const char **pos, char *item, size_t cap);
/* qb_conf_refuse_prefix tells host bits from nonsense. */
int qb_conf_refuse_prefix(struct qb_conf_value *v, const char *text);
/* qb_conf_is_ifname holds text against the kernel's own rules for a device's name (dev_valid_name).
 */
bool qb_conf_is_ifname(const char *text);
