/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A setting that a client of the control socket changes: the key, a newline, the value. It is
 * stored as the file's would be, or refused with an error that names it, and then nothing has
 * changed.
 */
#include <stdlib.h>

#include "conf/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What the key is in; all are cleared. */
union home {
	struct qb_conf conf;
	struct qb_conf_policy policy;
	struct qb_conf_link link;
};

static void store(const struct qb_conf_setting *s, const char *value)
{
	static const char *const list[] = {"minrtt", "cubic", NULL};
	static const struct qb_conf_names names = {.schedulers = list, .congestions = list};
	static union home home, before;
	char err[QB_CONF_ERR_LEN] = "";
	int ret;

	memset(&home, 0, sizeof(home));
	before = home;
	ret = qb_conf_setting_store(s, &home, value, &names, err);
	if (ret == 0)
		return;
	QB_BUG_ON(memcmp(&home, &before, sizeof(home)) != 0);
	QB_BUG_ON(strlen(err) >= sizeof(err) || strncmp(err, s->section, strlen(s->section)) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = memchr(data, '\n', len);
	struct qb_conf_setting s = {0};
	char *key, *value;

	if (!end)
		return 0;
	key = strndup((const char *)data, (size_t)(end - data));
	value = strndup((const char *)end + 1, len - (size_t)(end + 1 - data));
	if (qb_conf_setting_find(key, &s) == 0) {
		QB_BUG_ON(*s.name && !qb_conf_is_name(s.name));
		store(&s, value);
	}
	free(key);
	free(value);
	return 0;
}
