/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Classification, called by qb_bond_enqueue for each inner packet. Without a policy it is one
 * lookup in a table of DSCPs; with one, a lookup in the cache by flow hash and DSCP, and only for a
 * flow's first packet a walk over the rules.
 */
#include "bond/classes.h"

#include <errno.h>

#include "bond/flow.h"
#include "bond/sched.h"

enum { PROTO_UDP = 17 };

/* Spreads firewall marks over a hash: 2^32 by the golden ratio. */
#define MARKS_SPREAD UINT32_C(0x9e3779b1)

/* A conversation bears so much delay one way (ITU-T G.114). */
#define REALTIME_DEADLINE_NS (150 * QB_NS_PER_MS)

/*
 * RFC 4594 and RFC 8622, as far as they name what a WAN link must tell apart. Other code points
 * mean nothing that holds beyond one network: behaviour decides.
 */
static const uint8_t by_dscp[64] = {
	[46] = QB_CLASS_REALTIME,    /* EF: telephony */
	[44] = QB_CLASS_REALTIME,    /* VOICE-ADMIT, RFC 5865 */
	[48] = QB_CLASS_REALTIME,    /* CS6: network control */
	[34] = QB_CLASS_INTERACTIVE, /* AF41..AF43: video conferences */
	[36] = QB_CLASS_INTERACTIVE, [38] = QB_CLASS_INTERACTIVE,
	[32] = QB_CLASS_INTERACTIVE, /* CS4: real-time interactive */
	[40] = QB_CLASS_INTERACTIVE, /* CS5: signalling */
	[1] = QB_CLASS_BACKGROUND,   /* LE */
	[8] = QB_CLASS_BACKGROUND,   /* CS1: scavenger */
};

const char *qb_class_name(enum qb_class c)
{
	static const char *const names[QB_CLASS_CNT] = {
		[QB_CLASS_AUTO] = "auto",
		[QB_CLASS_REALTIME] = "realtime",
		[QB_CLASS_INTERACTIVE] = "interactive",
		[QB_CLASS_BULK] = "bulk",
		[QB_CLASS_BACKGROUND] = "background",
	};

	return (unsigned int)c < QB_CLASS_CNT ? names[c] : "unknown";
}

int qb_class_parse(const char *text, enum qb_class *out)
{
	for (int c = 0; c < QB_CLASS_CNT; c++) {
		if (strcmp(text, qb_class_name((enum qb_class)c)) != 0)
			continue;
		*out = (enum qb_class)c;
		return 0;
	}
	return -EINVAL;
}

size_t qb_classes_footprint(void)
{
	return QB_CLASS_ENTRIES * sizeof(struct qb_class_entry);
}

void qb_classes_init(struct qb_classes *c, void *mem)
{
	*c = (struct qb_classes){.cache = mem};
}

void qb_classes_set_policy(struct qb_classes *c, const struct qb_policy *policy)
{
	c->policy = policy && policy->cnt ? policy : NULL;
	qb_classes_set_deadlines(c, c->has_deadlines);
	/* Every 256 changes an old entry would have the generation of a new one. */
	if (c->policy && c->generation++ == 0)
		memset(c->cache, 0, qb_classes_footprint());
}

void qb_classes_set_deadlines(struct qb_classes *c, bool has_deadlines)
{
	c->has_deadlines = c->has_any_deadlines = has_deadlines;
	for (uint32_t i = 0; c->policy && i < c->policy->cnt; i++) {
		const struct qb_sched *s = c->policy->rules[i].treat.sched;

		c->has_any_deadlines |= s && s->has_deadlines;
	}
}

/* ---- rules ---- */

static bool has_prefix(const struct qb_prefix *p, uint32_t cnt, uint8_t family, const uint8_t *ip)
{
	if (cnt == 0)
		return true;
	for (uint32_t i = 0; i < cnt; i++)
		if (qb_prefix_has(&p[i], family, ip))
			return true;
	return false;
}

/* in_range: at either end, for a service's port is the source in one direction. */
static bool in_range(const struct qb_match_port *m, const uint8_t *ports)
{
	uint16_t from = qb_load_be16(ports), to = qb_load_be16(ports + 2);

	return (from >= m->first && from <= m->last) || (to >= m->first && to <= m->last);
}

static bool has_port(const struct qb_match *m, const struct qb_buf *b,
		     const struct qb_flow_pkt *pkt)
{
	if (m->port_cnt == 0)
		return true;
	for (uint32_t i = 0; i < m->port_cnt; i++) {
		const struct qb_match_port *p = &m->ports[i];

		if (p->proto && p->proto != pkt->proto)
			continue;
		if (!p->has_port || (pkt->has_ports && in_range(p, b->data + pkt->l4_off)))
			return true;
	}
	return false;
}

static bool matches(const struct qb_match *m, const struct qb_buf *b, const struct qb_flow_pkt *pkt)
{
	const uint8_t *src = b->data + (pkt->version == 4 ? 12 : 8);

	if (m->dscps && !(m->dscps >> pkt->dscp & 1))
		return false;
	if (m->mark_cnt && !(m->mark_bits & b->marks))
		return false;
	return has_port(m, b, pkt) && has_prefix(m->src, m->src_cnt, pkt->version, src) &&
	       has_prefix(m->dst, m->dst_cnt, pkt->version, src + (pkt->version == 4 ? 4 : 16));
}

static void classify(const struct qb_classes *c, const struct qb_buf *b,
		     const struct qb_flow_pkt *pkt, struct qb_class_entry *out)
{
	uint32_t i;

	out->rule = QB_RULE_NONE;
	out->class = by_dscp[pkt->dscp];
	for (i = 0; i < c->policy->cnt && !matches(&c->policy->rules[i].match, b, pkt); i++)
		;
	if (i == c->policy->cnt)
		return;
	out->rule = (uint8_t)i;
	if (c->policy->rules[i].treat.class != QB_CLASS_AUTO)
		out->class = (uint8_t)c->policy->rules[i].treat.class;
}

enum qb_class qb_classes_mark(struct qb_classes *c, struct qb_buf *b, const struct qb_flow_pkt *pkt)
{
	struct qb_class_entry none = {.rule = QB_RULE_NONE, .class = by_dscp[pkt->dscp]},
			      *e = &none;

	if (c->policy) {
		/* Packets with other marks count as another flow here. */
		uint32_t hash = pkt->hash ^ b->marks * MARKS_SPREAD;

		e = &c->cache[hash % QB_CLASS_ENTRIES];
		if (e->hash != hash || e->dscp != pkt->dscp || e->generation != c->generation) {
			*e = (struct qb_class_entry){
				.hash = hash, .dscp = pkt->dscp, .generation = c->generation};
			classify(c, b, pkt, e);
		}
	}
	b->meta = qb_meta(pkt->hash, e->class, e->rule) | (uint64_t)(pkt->proto == PROTO_UDP)
								  << QB_META_UDP_SHIFT;
	return (enum qb_class)e->class;
}

uint64_t qb_classes_deadline_ns(const struct qb_classes *c, const struct qb_buf *b)
{
	const struct qb_treatment *t;

	if (!c->has_any_deadlines)
		return 0;
	t = qb_classes_treat(c, b);
	if (t && t->sched ? !t->sched->has_deadlines : !c->has_deadlines)
		return 0;
	if (t && t->deadline_ns)
		return t->deadline_ns;
	return qb_buf_class(b) == QB_CLASS_REALTIME ? REALTIME_DEADLINE_NS : 0;
}

uint64_t qb_classes_due_ns(const struct qb_classes *c, const struct qb_buf *b)
{
	uint64_t deadline_ns = qb_classes_deadline_ns(c, b);

	return deadline_ns ? b->rx_ns + deadline_ns : QB_NEVER_NS;
}
