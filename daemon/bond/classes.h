/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Classes of inner traffic and the policies that set them. A packet's class is what a policy says,
 * else what its DSCP says, else what its flow's behaviour says (bond/flow.h): sparse or bulk. Part
 * of the front door.
 */
#pragma once

#include "base/buf.h"
#include "base/match.h"

enum qb_class {
	QB_CLASS_AUTO,	      /* by its flow's behaviour: bulk or sparse */
	QB_CLASS_REALTIME,    /* calls, games: first, by the path with the lowest delay */
	QB_CLASS_INTERACTIVE, /* what somebody waits for */
	QB_CLASS_BULK,
	QB_CLASS_BACKGROUND, /* gets what the others leave, and a small part in any case */
	QB_CLASS_CNT,
};

enum {
	QB_POLICY_RULES_MAX = 32,
	QB_POLICY_COPIES_AUTO = 0,
	QB_POLICY_COPIES_MAX = 8,
	QB_RULE_NONE = 0xff,
};

enum qb_ordering { QB_ORDERING_AUTO, QB_ORDERING_YES, QB_ORDERING_NO };

struct qb_sched;

/* What happens to the packets of a rule. */
struct qb_treatment {
	enum qb_class class;
	const struct qb_sched *sched; /* NULL: the bond's */
	uint8_t copies; /* how often each packet leaves; QB_POLICY_COPIES_AUTO: as it pays */
	struct qb_fec_want fec;
	uint64_t deadline_ns; /* the age from which on they are of no use; 0: as their class says */
	enum qb_ordering ordering; /* auto: what is striped arrives in order */
	uint32_t via; /* the links (qb_bond_set_link) that they may take, a bit each; 0: any */
};

struct qb_rule {
	struct qb_match match;
	struct qb_treatment treat;
};

/* The rules, of which the first that matches counts. Read-only while a bond uses it. */
struct qb_policy {
	uint32_t cnt;
	struct qb_rule rules[QB_POLICY_RULES_MAX];
};

const char *qb_class_name(enum qb_class c);
/* qb_class_parse: -EINVAL for what is no class's name. */
int qb_class_parse(const char *text, enum qb_class *out) QB_MUST_CHECK;

/* What the rules say of a flow. */
struct qb_class_entry {
	uint32_t hash; /* 0: free */
	uint8_t dscp, rule, class, generation;
};

enum { QB_CLASS_ENTRIES = 2048 };

/* The bond's classifier: the policy, and a cache by flow, so that rules are matched against a
 * flow's first packet only. */
struct qb_classes {
	const struct qb_policy *policy; /* borrowed */
	uint8_t generation;		/* of the policy: older entries do not count */
	bool has_deadlines;		/* the bond's scheduler heeds them */
	bool has_any_deadlines;		/* it does, or a rule's scheduler */
	struct qb_class_entry *cache;	/* QB_CLASS_ENTRIES */
};

struct qb_flow_pkt;

size_t qb_classes_footprint(void);
void qb_classes_init(struct qb_classes *c, void *mem);
void qb_classes_set_policy(struct qb_classes *c, const struct qb_policy *policy);
/* qb_classes_mark writes class and rule of an inner packet that qb_flow_parse accepted into its
 * buffer; returns the class. */
enum qb_class qb_classes_mark(struct qb_classes *c, struct qb_buf *b,
			      const struct qb_flow_pkt *pkt);
/* qb_classes_set_deadlines: whether the bond's scheduler heeds deadlines. */
void qb_classes_set_deadlines(struct qb_classes *c, bool has_deadlines);
/* qb_classes_deadline_ns: the age from which on a packet is of no use to its scheduler; 0: none. */
uint64_t qb_classes_deadline_ns(const struct qb_classes *c, const struct qb_buf *b);
/* qb_classes_due_ns: when the packet has that age; QB_NEVER_NS. */
uint64_t qb_classes_due_ns(const struct qb_classes *c, const struct qb_buf *b);

/*
 * A queued packet's meta, from bit 0 on:
 *   0            32      40      43    44       48     56      64
 *   | flow hash  | tries | class | UDP | copies | rule | avoid |
 * tries: how often it was sent again (bond/repair.h). Of a copy: how many more there shall be, and
 * the paths that it must not take, a bit each (bond_protect.c).
 */
enum {
	QB_META_TRIES_SHIFT = 32,
	QB_META_CLASS_SHIFT = 40,
	QB_META_UDP_SHIFT = 43,
	QB_META_COPIES_SHIFT = 44,
	QB_META_RULE_SHIFT = 48,
	QB_META_AVOID_SHIFT = 56,
};

/* qb_meta: of a packet that leaves for the first time. */
static inline uint64_t qb_meta(uint32_t hash, uint8_t class, uint8_t rule)
{
	return hash | (uint64_t) class << QB_META_CLASS_SHIFT |
	       (uint64_t)rule << QB_META_RULE_SHIFT;
}

static inline enum qb_class qb_buf_class(const struct qb_buf *b)
{
	return (enum qb_class)(b->meta >> QB_META_CLASS_SHIFT & 7);
}

static inline bool qb_buf_is_udp(const struct qb_buf *b)
{
	return b->meta >> QB_META_UDP_SHIFT & 1;
}

static inline uint8_t qb_buf_rule(const struct qb_buf *b)
{
	return (uint8_t)(b->meta >> QB_META_RULE_SHIFT);
}

/* qb_classes_treat is what the buffer's rule wants; NULL: it has no rule. */
static inline const struct qb_treatment *qb_classes_treat(const struct qb_classes *c,
							  const struct qb_buf *b)
{
	uint8_t rule = qb_buf_rule(b);

	/* It may have been queued under a policy with more rules. */
	if (!c->policy || rule >= c->policy->cnt)
		return NULL;
	return &c->policy->rules[rule].treat;
}
