/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registry of schedulers. A scheduler is a pure function over a snapshot; adding one is a file and a line in the list.
 */
#include "bond/sched.h"

#include <errno.h>

const struct qb_sched *const qb_sched_list[] = {
	&qb_sched_auto,
	&qb_sched_minrtt,
	&qb_sched_roundrobin,
	&qb_sched_weighted,
	&qb_sched_blest,
	&qb_sched_ecf,
	&qb_sched_deadline,
	&qb_sched_redundant,
	&qb_sched_redundant2,
	&qb_sched_redundant3,
	&qb_sched_redundant4,
	NULL,
};

const struct qb_sched *qb_sched_find(const char *name)
{
	uint32_t i;

	for (i = 0; qb_sched_list[i]; i++) {
		if (strcmp(qb_sched_list[i]->name, name) == 0)
			return qb_sched_list[i];
	}
	return NULL;
}

/* In the order of qb_sched_forms. */
static const struct {
	const struct qb_sched *base;
	uint32_t least, most;
	const char *unit;
	uint32_t scale;
} tunable[] = {
	{&qb_sched_minrtt, 0, 100, "%", 1},
	{&qb_sched_blest, 1, 10000, "ms", 1000},
};
const char *const qb_sched_forms[] = {"minrtt:0-100%", "blest:1-10000ms", NULL};

int qb_sched_tune(const char *name, struct qb_sched *out)
{
	uint32_t i;

	for (i = 0; i < QB_ARRAY_LEN(tunable); i++) {
		size_t len = strlen(tunable[i].base->name);
		uint32_t number = 0;
		const char *at;

		if (strncmp(name, tunable[i].base->name, len) != 0 || name[len] != ':')
			continue;
		for (at = name + len + 1; *at >= '0' && *at <= '9' && number <= tunable[i].most; at++)
			number = number * 10 + (uint32_t)(*at - '0');
		if (at == name + len + 1 || number < tunable[i].least || number > tunable[i].most ||
		    strcmp(at, tunable[i].unit) != 0)
			continue;
		*out = *tunable[i].base;
		out->name = name;
		out->param = number * tunable[i].scale;
		return 0;
	}
	return -ENOENT;
}

void qb_sched_start(const struct qb_sched *s, void *st)
{
	if (s->run)
		qb_sched_plan_init(st);
	else if (s->init)
		s->init(st);
	if (s->has_param)
		memcpy(st, &s->param, sizeof(s->param));
}

int qb_sched_decide(const struct qb_sched *s, void *st, struct qb_counters *counters, const struct qb_sched_ask *ask)
{
	int path = s->run ? qb_sched_plan_pick(s, st, counters, ask) : s->pick(st, ask->v, ask->n, ask->pkt, ask->now_ns);

	return ask->stand && !ask->pkt->is_sparse ? qb_sched_stand(ask->stand, counters, ask, path) : path;
}
