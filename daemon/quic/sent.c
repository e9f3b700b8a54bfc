/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring of sent-packet records of a packet number space; used by conn_tx.c and ack.c. */
#include "quic/sent.h"

struct chunk {
	struct qb_sent_pkt pkt[QB_SENT_CHUNK];
};

static struct chunk *chunk_of(const struct qb_sent *s, uint32_t ref)
{
	return (struct chunk *)(void *)(s->slab->mem + (size_t)(ref - 1) * s->slab->obj_bytes);
}

static uint32_t *dir_slot(struct qb_sent *s, uint64_t pn)
{
	return &s->chunk[(pn / QB_SENT_CHUNK) % QB_SENT_DIR];
}

static void drop_chunk(struct qb_sent *s, uint64_t pn)
{
	uint32_t *slot = dir_slot(s, pn);

	if (*slot)
		qb_slab_put(s->slab, chunk_of(s, *slot));
	*slot = 0;
}

size_t qb_sent_slab_bytes(void)
{
	return sizeof(struct chunk);
}

void qb_sent_init(struct qb_sent *s, struct qb_slab *slab)
{
	*s = (struct qb_sent){.slab = slab, .largest_acked = QB_PN_NONE};
}

void qb_sent_fini(struct qb_sent *s)
{
	uint32_t i;

	for (i = 0; i < QB_SENT_DIR; i++)
		drop_chunk(s, (uint64_t)i * QB_SENT_CHUNK);
}

bool qb_sent_reserve(struct qb_sent *s)
{
	uint32_t *slot = dir_slot(s, s->next_pn);
	struct chunk *c;

	if (s->next_pn / QB_SENT_CHUNK - s->tail_pn / QB_SENT_CHUNK >= QB_SENT_DIR)
		return false;
	if (QB_LIKELY(*slot))
		return true;
	c = qb_slab_get(s->slab);
	if (!c)
		return false;
	*slot = (uint32_t)((size_t)((uint8_t *)c - s->slab->mem) / s->slab->obj_bytes) + 1;
	return true;
}

struct qb_sent_pkt *qb_sent_at(const struct qb_sent *s, uint64_t pn)
{
	uint32_t ref = s->chunk[(pn / QB_SENT_CHUNK) % QB_SENT_DIR];

	return &chunk_of(s, ref)->pkt[pn % QB_SENT_CHUNK];
}

struct qb_sent_pkt *qb_sent_push(struct qb_sent *s)
{
	struct qb_sent_pkt *p = qb_sent_at(s, s->next_pn++);

	*p = (struct qb_sent_pkt){.state = QB_SENT_SKIPPED};
	return p;
}

void qb_sent_trim(struct qb_sent *s, uint64_t keep_lost_ns, uint64_t now_ns)
{
	if (s->largest_acked == QB_PN_NONE)
		return;
	while (s->tail_pn <= s->largest_acked) {
		const struct qb_sent_pkt *p = qb_sent_at(s, s->tail_pn);

		/* Packets that only acknowledge may stay unanswered: they hold up nothing. */
		if ((p->state == QB_SENT_FLIGHT && (p->flags & QB_SENT_ELICITING)) ||
		    (p->state == QB_SENT_LOST && p->sent_ns + keep_lost_ns > now_ns))
			return;
		s->tail_pn++;
		if (s->tail_pn % QB_SENT_CHUNK == 0)
			drop_chunk(s, s->tail_pn - 1);
	}
}

static uint64_t first_eliciting(const struct qb_sent *s)
{
	uint64_t pn = QB_MAX(s->first_flight_pn, s->tail_pn);

	for (; pn < s->next_pn; pn++) {
		const struct qb_sent_pkt *p = qb_sent_at(s, pn);

		if (p->state == QB_SENT_FLIGHT && (p->flags & QB_SENT_ELICITING))
			break;
	}
	return pn;
}

void qb_sent_skip_settled(struct qb_sent *s)
{
	s->first_flight_pn = first_eliciting(s);
}

const struct qb_sent_pkt *qb_sent_oldest(const struct qb_sent *s)
{
	return s->eliciting_cnt ? qb_sent_at(s, first_eliciting(s)) : NULL;
}
