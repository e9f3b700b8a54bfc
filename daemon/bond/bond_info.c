/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a bond tells of its links: state, share, and the reason for either. Called by the tunnel,
 * for the people who look.
 */
#include "bond/internal.h"

#include <stdio.h>

#include "bond/sched.h"

/* Parts of all that is sent that are as good as all, and as nothing. */
#define NEARLY_ALL     0.98
#define NEARLY_NOTHING 0.01

static const char *const use_names[QB_LINK_USE_CNT] = {
	[QB_LINK_USE_NORMAL] = "normal",
	[QB_LINK_USE_SHARED] = "shared",
	[QB_LINK_USE_WHEN_FULL] = "when_full",
	[QB_LINK_USE_LEFT_OUT] = "left_out",
};

const char *qb_link_use_name(enum qb_link_use u)
{
	return (unsigned)u < QB_LINK_USE_CNT ? use_names[u] : "?";
}

/* heeds_outlook: the bond's scheduler goes by what auto makes of the paths as a whole. Others have
 * a mind of their own. */
static bool heeds_outlook(const struct qb_sched *s)
{
	return s == &qb_sched_auto || s->has_deadlines;
}

/* is_only: no other link is in service. */
static bool is_only(const struct qb_bond *b, uint8_t path)
{
	for (uint8_t i = 0; i < QB_BOND_PATHS_MAX; i++)
		if (i != path && b->links.link[i].state == QB_LINK_ACTIVE)
			return false;
	return true;
}

/* explain_use: how an active link is used, and why if there is anything to say. */
static enum qb_link_use explain_use(const struct qb_bond *b, uint8_t path, char *buf, size_t len)
{
	enum qb_link_use use = qb_tuning_explain(&b->tuning, path, b->quality[path].steady_loss,
						 heeds_outlook(b->scheds[0].sched), is_only(b, path), buf, len);

	if (use != QB_LINK_USE_NORMAL || !b->sbd.partners[path])
		return use;
	if (buf[0] == '\0')
		snprintf(buf, len, "shares a bottleneck with another link");
	return QB_LINK_USE_SHARED;
}

/* is_others_mostly: most of what left by other links did so for that reason. */
static bool is_others_mostly(const struct qb_bond *b, uint8_t path, enum qb_sent_why why, uint64_t now_ns)
{
	uint64_t bytes, all = 0, such = 0;

	for (uint8_t i = 0; i < QB_BOND_PATHS_MAX; i++) {
		bytes = i == path ? 0 : qb_quality_tx_bytes(&b->quality[i], now_ns);
		all += bytes;
		such += qb_quality_is_mostly(&b->quality[i], why) ? bytes : 0;
	}
	return such > all / 2;
}

/* explain_ruled: a share that the bond's scheduler did not give; NULL: it did. At most 47 bytes, as all the words for shares that may
 * stand behind a reason. */
static const char *explain_ruled(const struct qb_bond *b, uint8_t path, double share, uint64_t now_ns)
{
	const struct qb_quality *q = &b->quality[path];

	if (share <= NEARLY_NOTHING) {
		if (is_others_mostly(b, path, QB_SENT_RULED, now_ns))
			return "idle: policies send all there is by others";
		return is_others_mostly(b, path, QB_SENT_KEPT, now_ns) ? "idle: flows keep to other links" : NULL;
	}
	if (qb_quality_is_mostly(q, QB_SENT_RULED))
		return "carries what policies send by it";
	if (qb_quality_is_mostly(q, QB_SENT_KEPT))
		return "carries flows that keep to it";
	return qb_quality_is_mostly(q, QB_SENT_EXTRA) ? "carries copies and repair symbols" : NULL;
}

/* explain_chosen: a share that auto gave. */
static const char *explain_chosen(double share)
{
	if (share <= NEARLY_NOTHING)
		return "idle: quicker links have room for all there is to send";
	if (share >= NEARLY_ALL)
		return "carries all there is to send: it is the quickest and has room";
	return "carries what its rate and delay allow beside the others";
}

/* explain_given: the same where another scheduler than auto gives out shares. */
static void explain_given(const struct qb_sched *s, double share, char *buf, size_t len)
{
	const char *who = s->run ? "the BPF program" : s->name;

	if (share <= NEARLY_NOTHING)
		snprintf(buf, len, "idle: %s gives it nothing", who);
	else if (s->copies > 1)
		snprintf(buf, len, "carries packets, and copies of others'");
	else
		snprintf(buf, len, "carries what %s gives it", who);
}

/* explain_share says why an active link has the share that it has; out->reason is what there is to complain of. */
static void explain_share(const struct qb_bond *b, uint8_t path, uint64_t total_bytes, uint64_t now_ns,
			  struct qb_bond_link_info *out)
{
	const struct qb_sched *s = b->scheds[0].sched;
	const char *why = explain_ruled(b, path, out->share, now_ns);
	char given[48];

	if (total_bytes == 0) {
		why = "idle: there is nothing to send";
	} else if (is_only(b, path)) {
		why = "carries all: no other link is in use";
	} else if (!why && !heeds_outlook(s)) {
		explain_given(s, out->share, given, sizeof(given));
		why = given;
	}
	if (!out->reason[0])
		snprintf(out->share_reason, sizeof(out->share_reason), "%s", why ? why : explain_chosen(out->share));
	else if (!why || (total_bytes == 0 && heeds_outlook(s)))
		snprintf(out->share_reason, sizeof(out->share_reason), "%s", out->reason);
	else
		snprintf(out->share_reason, sizeof(out->share_reason), "%.44s; %s", out->reason, why);
}

void qb_bond_link_info(const struct qb_bond *b, uint8_t path, uint64_t now_ns,
		       struct qb_bond_link_info *out)
{
	const struct qb_link *k = &b->links.link[path];
	uint64_t total = 0, own = qb_quality_tx_bytes(&b->quality[path], now_ns);

	for (uint32_t i = 0; i < QB_BOND_PATHS_MAX; i++)
		total += qb_quality_tx_bytes(&b->quality[i], now_ns);
	*out = (struct qb_bond_link_info){
		.state = (enum qb_link_state)k->state,
		.tier = (enum qb_tier)k->tier,
		.share = total ? (double)own / (double)total : 0,
		.loss = b->quality[path].loss,
		.jitter_ns = b->quality[path].jitter_ns,
		.state_since_ns = k->since_ns,
		.partners = b->sbd.partners[path],
		.failures = k->failures,
		.recoveries = k->recoveries,
		.flaps = k->flaps,
	};
	if (out->state == QB_LINK_SUSPECT || out->state == QB_LINK_FAILED)
		out->silent_ns = qb_sub_sat_u64(now_ns, k->silent_since_ns);
	qb_links_reason(&b->links, path, now_ns, out->reason, sizeof(out->reason));
	if (out->state == QB_LINK_ACTIVE && out->reason[0] == '\0')
		out->use = explain_use(b, path, out->reason, sizeof(out->reason));
	if (out->state == QB_LINK_ACTIVE)
		explain_share(b, path, total, now_ns, out);
	else
		snprintf(out->share_reason, sizeof(out->share_reason), "%s", out->reason);
}

const struct qb_bond_decision *qb_bond_decision(const struct qb_bond *b, uint32_t idx)
{
	const struct qb_explain *e = &b->explain;

	return idx < QB_MIN(e->cnt, (uint32_t)QB_BOND_DECISIONS)
		       ? &e->ring[(e->cnt - 1 - idx) % QB_BOND_DECISIONS]
		       : NULL;
}

uint64_t qb_bond_queued_bytes(const struct qb_bond *b)
{
	return b->queue.bytes + b->returned.bytes + b->repairs.bytes +
	       (b->sparse.buf ? b->sparse.buf->len : 0) + (b->bulk.buf ? b->bulk.buf->len : 0);
}

uint32_t qb_bond_queued_pkts(const struct qb_bond *b)
{
	return b->queue.pkts + b->returned.pkts + b->repairs.pkts + b->copies.pkts +
	       (b->sparse.buf != NULL) + (b->bulk.buf != NULL) +
	       (uint32_t)__builtin_popcountll(b->aside_set);
}

void qb_bond_get_stats(const struct qb_bond *b, struct qb_bond_stats *out)
{
	/* What is copied is not corrected, too. */
	bool is_fec_on = b->has_fec && b->fec_tx.is_on && !b->duplication.pays;

	*out = (struct qb_bond_stats){
		.queued_pkts = qb_bond_queued_pkts(b),
		.queued_bytes = qb_bond_queued_bytes(b),
		.queue_delay_ns = b->queue_delay_ns,
		.held_pkts = b->reorder.held_cnt,
		.hold_ns = b->reorder.hold_ns,
		.sched = b->scheds[0].sched->name,
		.is_fec_on = is_fec_on,
		.call_loss = b->fec_tx.why_loss,
		.call_burst = b->fec_tx.why_burst,
		.fec_share = is_fec_on ? b->fec_tx.share : 0,
	};
	qb_copies_reason(&b->duplication, out->protection, sizeof(out->protection));
	if (is_fec_on)
		qb_fec_tx_reason(&b->fec_tx, out->protection, sizeof(out->protection));
}
