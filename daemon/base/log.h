/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Logging for the folders that touch the system. One line an event, written where the context is
 * known; never per packet. Under systemd lines carry the "<N>" priority prefix, else a time and a
 * level.
 *
 * Each line has a target, which is the folder that it comes from, "daemon" for the top level; each
 * target may have a level of its own. The same words from one place more often than a reader can
 * follow are left out and counted.
 */
#pragma once

#include "base/base.h"

enum qb_log_level { QB_LOG_ERR, QB_LOG_WARN, QB_LOG_INFO, QB_LOG_DBG, QB_LOG_LEVEL_CNT };

enum qb_log_target {
	QB_LOG_DAEMON,
	QB_LOG_QUIC, /* what the daemon tells of connections */
	QB_LOG_BOND, /* likewise of links */
	QB_LOG_TLS,
	QB_LOG_NET,
	QB_LOG_LINK,
	QB_LOG_TUN,
	QB_LOG_OS,
	QB_LOG_CONF,
	QB_LOG_CTL,
	QB_LOG_QLOG,
	QB_LOG_TARGET_CNT
};

struct qb_log_levels {
	enum qb_log_level of[QB_LOG_TARGET_CNT];
};

enum { QB_LOG_TEXT_LEN = 128 };

/* The highest level of any target: what is above it is not even put into words. */
extern enum qb_log_level qb_log_max;

/* qb_log_level_parse reads "err", "warn", "info" or "debug". Returns 0 or -EINVAL. */
int qb_log_level_parse(const char *text, enum qb_log_level *out) QB_MUST_CHECK;
const char *qb_log_level_name(enum qb_log_level level);
/* qb_log_levels_parse reads "info, quic:debug, net:warn". Returns 0, or -EINVAL with the word that
 * is wrong. */
int qb_log_levels_parse(const char *text, struct qb_log_levels *out,
			char wrong[QB_LOG_TEXT_LEN]) QB_MUST_CHECK;
/* qb_log_targets is the list of names, for messages. */
const char *qb_log_targets(void);
/* qb_log_set puts levels in force, for all threads. */
void qb_log_set(const struct qb_log_levels *levels);
/* qb_log_hook, if set (before the first thread starts), is also told each warning and error. */
extern void (*qb_log_hook)(enum qb_log_level level, const char *text);

void qb_log_from(const char *file, enum qb_log_level level, const char *fmt, ...) QB_PRINTF(3, 4);
void qb_log_to(enum qb_log_target target, enum qb_log_level level, const char *fmt, ...)
	QB_PRINTF(3, 4);

#define qb_log(level, ...) qb_log_from(__FILE__, level, __VA_ARGS__)
#define qb_err(...)	   qb_log(QB_LOG_ERR, __VA_ARGS__)
#define qb_warn(...)	   qb_log(QB_LOG_WARN, __VA_ARGS__)
#define qb_info(...)	   qb_log(QB_LOG_INFO, __VA_ARGS__)
#define qb_dbg(...)                                                                                \
	do {                                                                                       \
		if (qb_log_max >= QB_LOG_DBG)                                                      \
			qb_log(QB_LOG_DBG, __VA_ARGS__);                                           \
	} while (0)
