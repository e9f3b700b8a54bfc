/* SPDX-License-Identifier: BSD-2-Clause */
/* Log lines to standard error: with systemd's priority prefix when it reads them, else with time and level. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum qb_log_level qb_log_max = QB_LOG_INFO;

static const char *const names[QB_LOG_LEVEL_CNT] = {
	[QB_LOG_ERR] = "err",
	[QB_LOG_WARN] = "warn",
	[QB_LOG_INFO] = "info",
	[QB_LOG_DBG] = "debug",
};

/* syslog(3) priorities */
static const int priorities[QB_LOG_LEVEL_CNT] = {
	[QB_LOG_ERR] = 3,
	[QB_LOG_WARN] = 4,
	[QB_LOG_INFO] = 6,
	[QB_LOG_DBG] = 7,
};

int qb_log_level_parse(const char *text, enum qb_log_level *out)
{
	for (unsigned int i = 0; i < QB_LOG_LEVEL_CNT; i++) {
		if (!strcmp(text, names[i])) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *qb_log_level_name(enum qb_log_level level)
{
	return names[level];
}

void qb_log(enum qb_log_level level, const char *fmt, ...)
{
	char text[1024];
	struct timespec ts;
	struct tm tm;
	va_list ap;

	if (level > qb_log_max)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (getenv("JOURNAL_STREAM")) {
		fprintf(stderr, "<%d>%s\n", priorities[level], text);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	localtime_r(&ts.tv_sec, &tm);
	fprintf(stderr, "%02d:%02d:%02d.%03ld %-5s %s\n", tm.tm_hour, tm.tm_min, tm.tm_sec,
		ts.tv_nsec / 1000000, names[level], text);
}
