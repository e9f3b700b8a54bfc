/* SPDX-License-Identifier: BSD-2-Clause */
/* Log lines to standard error: with systemd's priority prefix when it reads them, else with time
 * and level. Any thread. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	BURST = 100,  /* lines of one place at once, */
	PERIOD_S = 5, /* and again after so long */
	PLACES = 64,
};

enum qb_log_level qb_log_max = QB_LOG_INFO;
void (*qb_log_hook)(enum qb_log_level level, const char *text);

static struct qb_log_levels levels = {{[0 ... QB_LOG_TARGET_CNT - 1] = QB_LOG_INFO}};

static const char *const names[QB_LOG_LEVEL_CNT] = {
	[QB_LOG_ERR] = "err",
	[QB_LOG_WARN] = "warn",
	[QB_LOG_INFO] = "info",
	[QB_LOG_DBG] = "debug",
};

static const char *const targets[QB_LOG_TARGET_CNT] = {
	[QB_LOG_DAEMON] = "daemon", [QB_LOG_QUIC] = "quic", [QB_LOG_BOND] = "bond",
	[QB_LOG_TLS] = "tls",	    [QB_LOG_NET] = "net",   [QB_LOG_LINK] = "link",
	[QB_LOG_TUN] = "tun",	    [QB_LOG_OS] = "os",	    [QB_LOG_CONF] = "conf",
	[QB_LOG_CTL] = "ctl",	    [QB_LOG_QLOG] = "qlog",
};

/* syslog(3) priorities */
static const int priorities[QB_LOG_LEVEL_CNT] = {
	[QB_LOG_ERR] = 3,
	[QB_LOG_WARN] = 4,
	[QB_LOG_INFO] = 6,
	[QB_LOG_DBG] = 7,
};

/* ---- levels ---- */

static int find(const char *const *list, unsigned int cnt, const char *text, size_t len)
{
	for (unsigned int i = 0; i < cnt; i++)
		if (strlen(list[i]) == len && strncmp(list[i], text, len) == 0)
			return (int)i;
	return -1;
}

int qb_log_level_parse(const char *text, enum qb_log_level *out)
{
	int i = find(names, QB_LOG_LEVEL_CNT, text, strlen(text));

	if (i < 0)
		return -EINVAL;
	*out = (enum qb_log_level)i;
	return 0;
}

const char *qb_log_level_name(enum qb_log_level level)
{
	return names[level];
}

const char *qb_log_targets(void)
{
	return "daemon, quic, bond, tls, net, link, tun, os, conf, ctl, qlog";
}

/* parse_word reads LEVEL or TARGET:LEVEL. */
static int parse_word(const char *word, size_t len, struct qb_log_levels *out)
{
	const char *colon = memchr(word, ':', len);
	size_t skip = colon ? (size_t)(colon - word) + 1 : 0;
	int target = colon ? find(targets, QB_LOG_TARGET_CNT, word, skip - 1) : -1;
	int level = find(names, QB_LOG_LEVEL_CNT, word + skip, len - skip);

	if (level < 0 || (colon && target < 0))
		return -EINVAL;
	for (int i = 0; i < QB_LOG_TARGET_CNT; i++)
		if (i == target || !colon)
			out->of[i] = (enum qb_log_level)level;
	return 0;
}

int qb_log_levels_parse(const char *text, struct qb_log_levels *out, char wrong[QB_LOG_TEXT_LEN])
{
	struct qb_log_levels l = {{[0 ... QB_LOG_TARGET_CNT - 1] = QB_LOG_INFO}};
	/* The level of all comes first, wherever it stands. */
	for (int is_target = 0; is_target <= 1; is_target++) {
		const char *at = text;

		for (;;) {
			size_t len, end = strcspn(at, ",");

			while (end && (*at == ' ' || *at == '\t'))
				at++, end--;
			for (len = end; len && (at[len - 1] == ' ' || at[len - 1] == '\t'); len--)
				;
			if ((memchr(at, ':', len) != NULL) == is_target &&
			    parse_word(at, len, &l)) {
				snprintf(wrong, QB_LOG_TEXT_LEN, "%.*s", (int)len, at);
				return -EINVAL;
			}
			at += end;
			if (!*at)
				break;
			at++;
		}
	}
	*out = l;
	return 0;
}

void qb_log_set(const struct qb_log_levels *l)
{
	enum qb_log_level max = QB_LOG_ERR;

	for (int i = 0; i < QB_LOG_TARGET_CNT; i++) {
		__atomic_store_n(&levels.of[i], l->of[i], __ATOMIC_RELAXED);
		max = QB_MAX(max, l->of[i]);
	}
	__atomic_store_n(&qb_log_max, max, __ATOMIC_RELAXED);
}

/* ---- how often ---- */

/* may_tell: this place has told little lately. *left_out is what was not told since. */
static bool may_tell(const char *fmt, time_t now_s, unsigned int *left_out)
{
	static struct {
		const char *fmt;
		time_t since_s;
		unsigned int cnt, left_out;
	} places[PLACES];
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	unsigned int i = (unsigned int)((uintptr_t)fmt >> 3) * 2654435761u % PLACES;
	bool may;

	*left_out = 0;
	pthread_mutex_lock(&lock);
	if (places[i].fmt != fmt || now_s - places[i].since_s >= PERIOD_S ||
	    now_s < places[i].since_s) {
		*left_out = places[i].fmt == fmt ? places[i].left_out : 0;
		places[i].fmt = fmt;
		places[i].since_s = now_s;
		places[i].cnt = places[i].left_out = 0;
	}
	may = ++places[i].cnt <= BURST;
	places[i].left_out += !may;
	pthread_mutex_unlock(&lock);
	return may;
}

/* ---- lines ---- */

static void line(enum qb_log_level level, const struct timespec *ts, const char *text)
{
	struct tm tm;

	if (getenv("JOURNAL_STREAM")) {
		fprintf(stderr, "<%d>%s\n", priorities[level], text);
		return;
	}
	localtime_r(&ts->tv_sec, &tm);
	fprintf(stderr, "%02d:%02d:%02d.%03ld %-5s %s\n", tm.tm_hour, tm.tm_min, tm.tm_sec,
		ts->tv_nsec / 1000000, names[level], text);
}

static void vlog(enum qb_log_target target, enum qb_log_level level, const char *fmt, va_list ap)
{
	char text[1024], more[64];
	unsigned int left_out;
	struct timespec ts;

	if (level > qb_log_max || level > __atomic_load_n(&levels.of[target], __ATOMIC_RELAXED))
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	if (!may_tell(fmt, ts.tv_sec, &left_out))
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	if (left_out) {
		snprintf(more, sizeof(more), "%u lines like the next one were left out", left_out);
		line(level, &ts, more);
	}
	line(level, &ts, text);
	if (level <= QB_LOG_WARN && qb_log_hook)
		qb_log_hook(level, text);
}

/* target_of takes the folder out of a source file's name. */
static enum qb_log_target target_of(const char *file)
{
	static const char top[] = "daemon/";
	const char *folder = strstr(file, top), *end;
	int i;

	if (!folder)
		return QB_LOG_DAEMON;
	folder += sizeof(top) - 1;
	end = strchr(folder, '/');
	i = end ? find(targets, QB_LOG_TARGET_CNT, folder, (size_t)(end - folder)) : -1;
	return i < 0 ? QB_LOG_DAEMON : (enum qb_log_target)i;
}

void qb_log_from(const char *file, enum qb_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(target_of(file), level, fmt, ap);
	va_end(ap);
}

void qb_log_to(enum qb_log_target target, enum qb_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(target, level, fmt, ap);
	va_end(ap);
}
