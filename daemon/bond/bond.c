/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bond of one connection: its memory, and what is agreed with the peer or set by the user.
 * Sending is in bond_tx.c, receiving in bond_rx.c, links in bond_links.c.
 *
 *     mem: | struct qb_bond | flow queues | flow table | classes | packets under way | reorder |
 */
#include "bond/internal.h"

#include "base/slab.h"

_Static_assert(offsetof(struct qb_bond, scheds[1]) <= 3 * QB_PAGE_BYTES,
	       "a bond at rest takes three pages");

static size_t align_up(size_t n)
{
	return (n + QB_CACHELINE - 1) & ~(size_t)(QB_CACHELINE - 1);
}

size_t qb_bond_footprint(const struct qb_bond_cfg *cfg)
{
	/* One cache line more, so that mem may have any alignment. */
	return QB_CACHELINE + align_up(sizeof(struct qb_bond)) + align_up(qb_queue_footprint()) +
	       align_up(qb_flow_table_footprint()) + align_up(qb_classes_footprint()) +
	       align_up(qb_repair_footprint()) + align_up(qb_reorder_footprint(cfg->reorder_pkts));
}

struct qb_bond *qb_bond_init(void *mem, const struct qb_bond_cfg *cfg, uint64_t now_ns)
{
	struct qb_bond *b = (struct qb_bond *)align_up((size_t)mem);
	uint8_t *p = (uint8_t *)b + align_up(sizeof(*b));
	uint32_t i;

	memset(b, 0, offsetof(struct qb_bond, scheds));
	b->sched_cnt = 1;
	b->scheds[0].sched = NULL;
	b->counters = cfg->counters;
	b->pool = cfg->pool;
	b->now_ns = now_ns;
	b->hash_key.k0 = qb_mix_u64(cfg->seed + 1);
	b->hash_key.k1 = qb_mix_u64(b->hash_key.k0 + 1);
	b->tx_seq = (uint32_t)qb_mix_u64(b->hash_key.k1 + 1);
	b->tx_deadline_ns = QB_NEVER_NS;
	qb_queue_init(&b->queue, p, cfg->queue_pkts, cfg->pool, cfg->counters);
	b->queue.pins = b->pins;
	p += align_up(qb_queue_footprint());
	qb_flow_table_init(&b->flows, p);
	p += align_up(qb_flow_table_footprint());
	qb_classes_init(&b->classes, p);
	qb_queue_set_classes(&b->queue, &b->classes);
	p += align_up(qb_classes_footprint());
	qb_repair_init(&b->under_way, p, cfg->pool);
	p += align_up(qb_repair_footprint());
	qb_reorder_init(&b->reorder, p, cfg);
	qb_fec_code_init(&b->fec_code, b->fec_tables);
	b->explain.ring = b->decisions;
	qb_fec_tx_init(&b->fec_tx, &b->fec_code, cfg->pool, cfg->counters);
	qb_fec_rx_init(&b->fec_rx, b->fec_blocks, cfg->pool, cfg->counters);
	b->fec_want = cfg->fec;
	qb_bond_meter_init(b, cfg->seed);
	qb_links_init(&b->links);
	b->links.failback_ns = cfg->failback_ns;
	b->links.fail = cfg->fail;
	for (i = 0; i < QB_BOND_PATHS_MAX; i++)
		qb_quality_reset(&b->quality[i]);
	b->worker = cfg->worker;
	qb_bond_set_sched(b, cfg->sched);
	return b;
}

void qb_bond_fini(struct qb_bond *b)
{
	struct qb_buf *buf;

	while ((buf = qb_line_take(&b->returned)) || (buf = qb_line_take(&b->repairs)) ||
	       (buf = qb_line_take(&b->copies)))
		qb_buf_put(b->pool, buf);
	qb_bond_aside_fini(b);
	qb_repair_fini(&b->under_way);
	qb_fec_tx_fini(&b->fec_tx);
	qb_fec_rx_fini(&b->fec_rx);
	if (b->sparse.buf)
		qb_buf_put(b->pool, b->sparse.buf);
	if (b->bulk.buf)
		qb_buf_put(b->pool, b->bulk.buf);
	qb_queue_fini(&b->queue);
	qb_reorder_fini(&b->reorder);
}

static void set_slot(struct qb_bond_slot *slot, const struct qb_sched *s)
{
	QB_BUG_ON(s && s->state_bytes > QB_SCHED_STATE_MAX);
	slot->sched = s;
	slot->stand = (struct qb_sched_stand){0};
	if (s)
		qb_sched_start(s, slot->state);
}

void qb_bond_set_sched(struct qb_bond *b, const struct qb_sched *s)
{
	if (!s)
		s = &qb_sched_auto;
	if (s != b->scheds[0].sched)
		set_slot(&b->scheds[0], s);
	qb_classes_set_deadlines(&b->classes, s->has_deadlines);
}

struct qb_bond_slot *qb_bond_slot_of(struct qb_bond *b, const struct qb_sched *s)
{
	struct qb_bond_slot *slot = b->scheds;

	for (uint32_t i = 1; s && i < b->sched_cnt; i++)
		if (b->scheds[i].sched == s)
			slot = &b->scheds[i];
	return slot;
}

void qb_bond_set_policy(struct qb_bond *b, const struct qb_policy *policy)
{
	const struct qb_sched *wanted[QB_BOND_SCHEDS_MAX] = {b->scheds[0].sched};
	uint32_t cnt = 1, k;

	for (uint32_t i = 0; policy && i < policy->cnt; i++) {
		const struct qb_sched *s = policy->rules[i].treat.sched;

		for (k = 1; s && k < cnt && wanted[k] != s; k++)
			;
		if (s && k == cnt)
			wanted[cnt++] = s;
	}
	while (b->sched_cnt < cnt)
		b->scheds[b->sched_cnt++].sched = NULL;
	for (k = 1; k < b->sched_cnt; k++)
		if (b->scheds[k].sched != wanted[k])
			set_slot(&b->scheds[k], wanted[k]);
	qb_classes_set_policy(&b->classes, policy);
}

void qb_bond_set_reorder_max(struct qb_bond *b, uint64_t max_bytes)
{
	qb_reorder_set_limit(&b->reorder, max_bytes);
}

void qb_bond_set_ordered(struct qb_bond *b, bool is_ordered)
{
	b->is_ordered = is_ordered;
}

void qb_bond_set_fec(struct qb_bond *b, bool is_agreed)
{
	b->has_fec = is_agreed;
}

void qb_bond_want_fec(struct qb_bond *b, const struct qb_fec_want *want)
{
	b->fec_want = *want;
}

uint32_t qb_bond_fec_room(const struct qb_bond *b)
{
	bool is_fixed = b->fec_want.mode == QB_FEC_FIXED;

	for (uint32_t i = 0; b->classes.policy && i < b->classes.policy->cnt; i++)
		is_fixed |= b->classes.policy->rules[i].treat.fec.mode == QB_FEC_FIXED;
	return b->has_fec && is_fixed ? QB_FEC_ROOM : 0;
}
