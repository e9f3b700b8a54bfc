/* SPDX-License-Identifier: BSD-2-Clause */
/* The frame of lia.c, olia.c and balia.c: membership in the connection's group, and Reno around the
 * coupled growth. */
#include "cc/coupled.h"

#define SILENCE_NS (2 * QB_NS_PER_SEC) /* a path without news for so long carries nothing */

/* ---- the group ---- */

static struct qb_cc_member *join(struct qb_cc_group *group, const void *st)
{
	if (!group)
		return NULL;
	qb_cc_group_leave(group, st);
	for (uint32_t i = 0; i < QB_CC_GROUP_MAX; i++) {
		if (!group->member[i].owner) {
			group->member[i].owner = st;
			return &group->member[i];
		}
	}
	return NULL;
}

void qb_cc_group_leave(struct qb_cc_group *group, const void *st)
{
	for (uint32_t i = 0; i < QB_CC_GROUP_MAX; i++)
		if (group->member[i].owner == st)
			group->member[i] = (struct qb_cc_member){0};
}

bool qb_coupled_is_usable(const struct qb_cc_member *m, uint64_t now_ns)
{
	return m->owner && m->srtt_ns && qb_sub_sat_u64(now_ns, m->last_ack_ns) <= SILENCE_NS;
}

double qb_coupled_total_rate(const struct qb_coupled *s, uint64_t now_ns)
{
	double sum = 0;

	for (uint32_t i = 0; i < QB_CC_GROUP_MAX; i++)
		if (qb_coupled_is_usable(&s->group->member[i], now_ns))
			sum += qb_coupled_rate(&s->group->member[i]);
	return sum;
}

static bool is_alone(const struct qb_coupled *s, uint64_t now_ns)
{
	for (uint32_t i = 0; s->self && i < QB_CC_GROUP_MAX; i++)
		if (&s->group->member[i] != s->self &&
		    qb_coupled_is_usable(&s->group->member[i], now_ns))
			return false;
	return true;
}

static void publish(struct qb_coupled *s, const struct qb_cc_ack *ev)
{
	s->self->srtt_ns = ev->srtt_ns;
	s->self->last_ack_ns = ev->now_ns;
	s->self->since_loss_bytes += ev->acked_bytes;
	s->self->cwnd_bytes = s->reno.cwnd_bytes;
}

/* ---- events ---- */

void qb_coupled_init(struct qb_coupled *s, const struct qb_coupled_rule *rule,
		     const struct qb_cc_cfg *cfg)
{
	*s = (struct qb_coupled){.rule = rule, .group = cfg->group};
	s->self = join(cfg->group, s);
	qb_reno_init(&s->reno, cfg);
	if (s->self)
		s->self->cwnd_bytes = s->reno.cwnd_bytes;
}

void qb_coupled_on_sent(void *st, const struct qb_cc_sent *ev)
{
	struct qb_coupled *s = st;

	qb_reno_on_sent(&s->reno, ev);
}

void qb_coupled_on_ack(void *st, const struct qb_cc_ack *ev)
{
	struct qb_coupled *s = st;
	double inc_bytes;

	if (s->self)
		publish(s, ev);
	if (!qb_reno_on_ack(&s->reno, ev))
		return;
	inc_bytes = qb_reno_increase(&s->reno, ev->acked_bytes);
	if (!is_alone(s, ev->now_ns))
		inc_bytes = s->rule->increase(s, ev->acked_bytes, ev->now_ns);
	qb_reno_grow(&s->reno, inc_bytes);
}

uint64_t qb_coupled_halve(const struct qb_coupled *s, uint64_t now_ns)
{
	(void)now_ns;
	return s->reno.cwnd_bytes / 2;
}

static void reduce(struct qb_coupled *s, const struct qb_cc_loss *ev)
{
	uint64_t cwnd_bytes = s->reno.cwnd_bytes / 2;

	if (!qb_reno_is_new_event(&s->reno, ev))
		return;
	if (!is_alone(s, ev->now_ns))
		cwnd_bytes = s->rule->decrease(s, ev->now_ns);
	qb_reno_reduce(&s->reno, cwnd_bytes, ev);
	if (!s->self)
		return;
	s->self->between_losses_bytes = s->self->since_loss_bytes;
	s->self->since_loss_bytes = 0;
	s->self->cwnd_bytes = s->reno.cwnd_bytes;
}

void qb_coupled_on_loss(void *st, const struct qb_cc_loss *ev)
{
	struct qb_coupled *s = st;

	reduce(s, ev);
	qb_reno_after_loss(&s->reno, ev);
}

void qb_coupled_on_ecn(void *st, const struct qb_cc_ecn *ev)
{
	struct qb_cc_loss mark = qb_reno_mark(ev);

	if (ev->ce_pkts)
		qb_coupled_on_loss(st, &mark);
}

void qb_coupled_on_spurious(void *st, uint64_t now_ns)
{
	struct qb_coupled *s = st;

	(void)now_ns;
	qb_reno_on_spurious(&s->reno);
}

void qb_coupled_view(const void *st, struct qb_cc_view *out)
{
	const struct qb_coupled *s = st;

	qb_reno_view(&s->reno, out);
}
