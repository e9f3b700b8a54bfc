/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Logging for the folders that touch the system. One line an event, written where the context is known;
 * never per packet. Under systemd lines carry the "<N>" priority prefix, else a time and a level.
 */
#pragma once

#include "base/base.h"

enum qb_log_level { QB_LOG_ERR, QB_LOG_WARN, QB_LOG_INFO, QB_LOG_DBG, QB_LOG_LEVEL_CNT };

extern enum qb_log_level qb_log_max;

/* qb_log_level_parse reads "err", "warn", "info" or "debug". Returns 0 or -EINVAL. */
int qb_log_level_parse(const char *text, enum qb_log_level *out) QB_MUST_CHECK;
const char *qb_log_level_name(enum qb_log_level level);
void qb_log(enum qb_log_level level, const char *fmt, ...) QB_PRINTF(2, 3);

#define qb_err(...) qb_log(QB_LOG_ERR, __VA_ARGS__)
#define qb_warn(...) qb_log(QB_LOG_WARN, __VA_ARGS__)
#define qb_info(...) qb_log(QB_LOG_INFO, __VA_ARGS__)
#define qb_dbg(...)                                                                                \
	do {                                                                                       \
		if (qb_log_max >= QB_LOG_DBG)                                                      \
			qb_log(QB_LOG_DBG, __VA_ARGS__);                                           \
	} while (0)
