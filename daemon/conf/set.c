/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Settings that change while the daemon runs: `quicbondctl set Bond.Fec off`. Values are read as
 * the config file's are, and as strictly. Called by the daemon's control verbs; main thread only.
 */
#include "conf/keys.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <strings.h>

enum { FIELD_MAX_BYTES = 1024 };

/* What can be put into force at any time. The others need a reload or a restart. */
static const struct {
	const char *section, *name;
} live[] = {
	{"Bond", "Mode"},	 {"Bond", "Primary"}, {"Bond", "Mesh"},	  {"Bond", "Scheduler"},  {"Bond", "Congestion"},
	{"Bond", "Grain"}, {"Bond", "TailCopies"},	{"Bond", "ReorderMax"},	 {"Bond", "Failover"},	 {"Bond", "Failback"},	  {"Bond", "Fec"},
	{"Bond", "FailMult"}, {"Bond", "FailMin"}, {"Bond", "FailMax"}, {"Bond", "RecoverProbes"}, {"Bond", "RecoverMax"},
	{"Policy", "Class"},	 {"Policy", "Scheduler"}, {"Policy", "Ordered"},
	{"Policy", "Duplicate"}, {"Policy", "Fec"},	  {"Policy", "Deadline"},  {"Policy", "Via"},
	{"Link", "Tier"}, {"Link", "Congestion"}, {"Link", "RateUp"}, {"Link", "RateDown"}, {"Link", "Weight"}, {"Link", "Priority"},
};

static bool is_live(const struct qb_conf_key *k)
{
	for (size_t i = 0; i < QB_ARRAY_LEN(live); i++)
		if (strcmp(live[i].section, k->section) == 0 && strcmp(live[i].name, k->name) == 0)
			return true;
	return false;
}

/* is_key: "Bond.Fec", or "Link.NAME.Congestion"; a name may have dots of its own. */
static bool is_key(const struct qb_conf_key *k, const char *text, char name[QB_CONF_NAME_LEN])
{
	size_t head = strlen(k->section), tail = strlen(k->name), len = strlen(text);
	bool is_named = strcmp(k->section, "Bond") != 0;

	name[0] = '\0';
	if (len < head + 1 + tail + (is_named ? 2 : 0) ||
	    strncasecmp(text, k->section, head) != 0 || text[head] != '.' ||
	    strcasecmp(text + len - tail, k->name) != 0 || text[len - tail - 1] != '.')
		return false;
	if (!is_named)
		return len == head + 1 + tail;
	if (len - head - tail - 2 >= QB_CONF_NAME_LEN)
		return false;
	snprintf(name, QB_CONF_NAME_LEN, "%.*s", (int)(len - head - tail - 2), text + head + 1);
	return qb_conf_is_name(name);
}

void qb_conf_live_keys(char *out, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < QB_ARRAY_LEN(live) && used < len; i++) {
		bool is_first = i == 0 || strcmp(live[i].section, live[i - 1].section) != 0;

		used += (size_t)snprintf(out + used, len - used, "%s%s%s%s",
					 i == 0	    ? ""
					 : is_first ? "; "
						    : ", ",
					 is_first ? live[i].section : "",
					 !is_first			   ? ""
					 : strcmp(live[i].section, "Bond") ? ".NAME."
									   : ".",
					 live[i].name);
	}
}

int qb_conf_setting_find(const char *text, struct qb_conf_setting *s)
{
	for (const struct qb_conf_key *k = qb_conf_keys; k->name; k++) {
		if (!k->parse || !is_live(k) || !is_key(k, text, s->name))
			continue;
		s->key = k;
		s->section = k->section;
		s->roles = k->roles;
		return 0;
	}
	return -ENOENT;
}

const char *qb_conf_setting_key(const struct qb_conf_setting *s)
{
	return s->key->name;
}

/* contradicts: with its new value the setting does not go with others, as the file's check has it. */
static bool contradicts(const struct qb_conf_setting *s, const void *base, struct qb_conf_value *v)
{
	if (strcmp(s->section, "Bond") || !qb_fail_want_is_crossed(&((const struct qb_conf *)base)->bond.fail))
		return false;
	snprintf(v->why, sizeof(v->why), "FailMin would be more than FailMax");
	snprintf(v->allowed, sizeof(v->allowed), "a FailMin of at most FailMax");
	return true;
}

int qb_conf_setting_store(const struct qb_conf_setting *s, void *base, const char *text,
			  const struct qb_conf_names *names, char err[QB_CONF_ERR_LEN])
{
	struct qb_conf_value v = {.text = text, .size = s->key->size, .names = names};
	_Alignas(max_align_t) char field[FIELD_MAX_BYTES] = {0}, was[FIELD_MAX_BYTES];
	char *place = (char *)base + s->key->offset;

	QB_BUG_ON(v.size == 0 || v.size > sizeof(field));
	if (!*text) {
		snprintf(v.why, sizeof(v.why), "no value");
	} else if (!s->key->parse(&v, field)) {
		memcpy(was, place, v.size);
		memcpy(place, field, v.size);
		if (!contradicts(s, base, &v))
			return 0;
		memcpy(place, was, v.size);
	}
	snprintf(err, QB_CONF_ERR_LEN, "%s%s%s.%s: %s; allowed: %s", s->section,
		 *s->name ? "." : "", s->name, s->key->name, v.why,
		 v.allowed[0]	   ? v.allowed
		 : s->key->allowed ? s->key->allowed
				   : "auto or a name");
	return -EINVAL;
}
