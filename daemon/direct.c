/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * [Policy] with Via = direct: packets that leave by the links as they would without the bond. That
 * is decided where it belongs, in the kernel's routing, before anything gets to the tunnel's
 * device:
 *
 *     5191  each condition of such a policy: goto 5194; of one that comes before it: goto 5199
 *     5192  the others: goto 5199
 *     5194  main, but nothing that leads into the tunnel
 *     5195  the links' own tables, where a route into the tunnel hides the way out
 *     5198  unreachable
 *     5199  on to what routes everything else
 *
 * Main thread.
 */
#include "daemon.h"

#include <stdlib.h>

enum {
	PRIO_MATCH = 5191,
	PRIO_SKIP,
	PRIO_MAIN = 5194,
	PRIO_LINKS,
	PRIO_NO_WAY = 5198,
	PRIO_END,
	MAIN_TABLE = 254,
	/* Of a family, beside those of conditions. Without them the rest would lead past the tunnel. */
	FRAME_RULES = 4 + QB_NODE_LINKS_MAX,
	MATCH_RULES_MAX = 512,
	RULES_MAX = MATCH_RULES_MAX + 2 * FRAME_RULES,
};

struct rules {
	struct qb_nl_rule *r;
	uint32_t cnt, match_cnt;
	bool is_full;
};

/* add: there is room (RULES_MAX). */
static struct qb_nl_rule *add(struct rules *s, uint8_t family, uint32_t priority)
{
	struct qb_nl_rule *r = &s->r[s->cnt++];

	/* Compared as bytes: the padding is zero, too. */
	memset(r, 0, sizeof(*r));
	r->family = family;
	r->priority = priority;
	return r;
}

static uint32_t at_least_one(uint32_t cnt)
{
	return cnt ? cnt : 1;
}

/* add_match adds a rule for each way in which the conditions can hold. */
static void add_match(struct rules *s, const struct qb_match *m, uint8_t family, uint32_t target)
{
	uint32_t srcs = at_least_one(m->src_cnt), dsts = at_least_one(m->dst_cnt);
	uint32_t ports = at_least_one(m->port_cnt), marks = at_least_one(m->mark_cnt);

	for (uint32_t i = 0; i < srcs * dsts * ports * marks; i++) {
		const struct qb_prefix *src = m->src_cnt ? &m->src[i % srcs] : NULL,
				       *dst = m->dst_cnt ? &m->dst[i / srcs % dsts] : NULL;
		const struct qb_match_port *port =
			m->port_cnt ? &m->ports[i / srcs / dsts % ports] : NULL;
		const struct qb_match_mark *mark =
			m->mark_cnt ? &m->marks[i / srcs / dsts / ports] : NULL;
		struct qb_nl_rule *r;

		if ((src && src->family != family) || (dst && dst->family != family))
			continue;
		if (s->match_cnt == MATCH_RULES_MAX) {
			s->is_full = true;
			return;
		}
		s->match_cnt++;
		r = add(s, family, PRIO_MATCH);
		r->goto_priority = target;
		if (src)
			r->from = *src;
		if (dst)
			r->to = *dst;
		if (port) {
			r->proto = port->proto;
			r->dport_first = port->has_port ? port->first : 0;
			r->dport_last = port->has_port ? port->last : 0;
		}
		if (mark) {
			r->fwmark = mark->value;
			r->fwmask = mark->mask;
		}
	}
}

static void add_frame(struct rules *s, const struct qb_daemon *d, uint8_t family)
{
	struct qb_nl_rule *r;

	add(s, family, PRIO_SKIP)->goto_priority = PRIO_END;
	r = add(s, family, PRIO_MAIN);
	r->table = MAIN_TABLE;
	r->is_not_tunnel = true;
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++)
		add(s, family, PRIO_LINKS)->table = qb_uplinks_table(d, i);
	add(s, family, PRIO_NO_WAY)->is_unreachable = true;
	add(s, family, PRIO_END)->is_nop = true;
}

/* wanted lists the rules in the order of their priorities. */
static void wanted(const struct qb_daemon *d, struct rules *s)
{
	const struct qb_conf *c = d->conf;
	uint32_t last = c->policy_cnt;

	while (last > 0 && !c->policies[last - 1].via.is_direct)
		last--;
	if (last == 0)
		return;
	for (uint8_t family = 4; family <= 6; family += 2) {
		for (uint32_t i = 0; i < last; i++) {
			const struct qb_conf_policy *p = &c->policies[i];

			/* Routing does not see a DSCP: such a policy is one for what is in the
			 * tunnel. */
			if (p->via.is_direct || !p->match.dscps)
				add_match(s, &p->match, family,
					  p->via.is_direct ? PRIO_MAIN : PRIO_END);
		}
		add_frame(s, d, family);
	}
}

static void set_rule(const struct qb_daemon *d, const struct qb_nl_rule *r)
{
	int ret = qb_nl_rule_add(d->nl, r);

	if (ret)
		qb_warn("cannot set an IPv%u rule: %s", r->family, strerror(-ret));
}

void qb_direct_update(struct qb_daemon *d)
{
	struct rules want = {.r = calloc(RULES_MAX, sizeof(struct qb_nl_rule))};

	if (!want.r)
		return;
	wanted(d, &want);
	if (want.is_full)
		qb_warn("policies with Via = direct take more than %d rules: some do not hold",
			MATCH_RULES_MAX);
	if (want.cnt == d->direct_cnt &&
	    (want.cnt == 0 || !memcmp(want.r, d->direct, want.cnt * sizeof(*want.r)))) {
		free(want.r);
		return;
	}
	for (uint32_t i = 0; i < d->direct_cnt; i++)
		qb_nl_rule_del(d->nl, &d->direct[i]);
	/* From the end: what leads to others comes when they are there. Those of one priority are
	 * asked in the order in which they came. */
	for (uint32_t priority = PRIO_END; priority >= PRIO_MATCH; priority--)
		for (uint32_t i = 0; i < want.cnt; i++)
			if (want.r[i].priority == priority)
				set_rule(d, &want.r[i]);
	free(d->direct);
	d->direct = want.r;
	d->direct_cnt = want.cnt;
}

void qb_direct_close(struct qb_daemon *d)
{
	for (uint32_t i = 0; i < d->direct_cnt; i++)
		qb_nl_rule_del(d->nl, &d->direct[i]);
	free(d->direct);
	d->direct = NULL;
	d->direct_cnt = 0;
}
