/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the config's [Policy] sections to the table that workers use. The main thread builds it; a
 * worker takes it over between two rounds, so the one before may be freed when all have.
 */
#include "daemon.h"

#include <stdlib.h>

static void treatment(const struct qb_conf_policy *c, const struct qb_scheds *scheds, struct qb_treatment *t)
{
	*t = (struct qb_treatment){.class = QB_CLASS_AUTO};
	QB_BUG_ON(qb_class_parse(c->class, &t->class));
	if (strcmp(c->scheduler, "bond") != 0)
		t->sched = qb_scheds_find(scheds, c->scheduler);
	t->copies = (uint8_t)c->copies;
	t->fec = c->fec;
	t->deadline_ns = c->deadline_ns;
	if (strcmp(c->ordered, "auto") != 0)
		t->ordering = strcmp(c->ordered, "yes") == 0 ? QB_ORDERING_YES : QB_ORDERING_NO;
}

/* links_of is the set of links that a policy names, as far as they are there. */
static uint32_t links_of(const struct qb_daemon *d, const struct qb_conf_via *via)
{
	uint32_t links = 0;

	for (uint32_t i = 0; i < via->cnt; i++) {
		int idx = qb_uplinks_find(d, via->links[i]);

		if (idx >= 0)
			links |= 1u << idx;
	}
	return links;
}

static uint16_t mark_bits(const struct qb_match *m, const struct qb_match_mark *all, uint32_t cnt)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < m->mark_cnt; i++) {
		int at = qb_match_mark_find(all, cnt, &m->marks[i]);

		if (at >= 0)
			bits |= 1u << at;
	}
	return (uint16_t)bits;
}

void qb_policy_watch_marks(struct qb_daemon *d)
{
	struct qb_match_mark marks[QB_MATCH_ALL_MARKS_MAX];
	uint32_t cnt = qb_conf_marks(d->conf, marks);
	char err[sizeof(d->marks_err)] = "";

	if (cnt)
		qb_bpf_prepare();
	/* Told once; then doctor knows. */
	if (qb_tun_set_marks(d->tun, marks, cnt, err) && strcmp(err, d->marks_err) != 0)
		qb_err("policies do not match firewall marks: %s", err);
	memcpy(d->marks_err, err, sizeof(err));
}

struct qb_policy *qb_policy_new(const struct qb_daemon *d, const struct qb_scheds *scheds)
{
	const struct qb_conf *c = d->conf;
	struct qb_policy *p = calloc(1, sizeof(*p));
	struct qb_match_mark marks[QB_MATCH_ALL_MARKS_MAX];
	uint32_t mark_cnt = qb_conf_marks(c, marks);

	_Static_assert((int)QB_NODE_LINKS_MAX <= (int)QB_BOND_LINKS_MAX, "a bit for each");
	_Static_assert((int)QB_CONF_POLICIES_MAX <= (int)QB_POLICY_RULES_MAX,
		       "every section has its rule");
	if (!p)
		return NULL;
	for (uint32_t i = 0; i < c->policy_cnt; i++) {
		struct qb_rule *r = &p->rules[p->cnt];

		/* What of its packets is in the tunnel has come there by routing, and is like any other. */
		if (c->policies[i].via.is_direct)
			continue;
		r->match = c->policies[i].match;
		r->match.mark_bits = mark_bits(&r->match, marks, mark_cnt);
		treatment(&c->policies[i], scheds, &r->treat);
		r->treat.via = links_of(d, &c->policies[i].via);
		p->cnt++;
	}
	return p;
}

struct qb_conf_policy *qb_policy_find(struct qb_conf *c, const char *name)
{
	for (uint32_t i = 0; i < c->policy_cnt; i++)
		if (strcmp(c->policies[i].name, name) == 0)
			return &c->policies[i];
	return NULL;
}
