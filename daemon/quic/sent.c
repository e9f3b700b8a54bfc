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

_Static_assert(sizeof(struct chunk) >= QB_SENT_DIR * sizeof(uint32_t), "a directory is a chunk");

static uint32_t dir_len(const struct qb_sent *s)
{
	return s->dir ? QB_SENT_DIR : QB_SENT_NEAR;
}

static uint32_t *dir_slot(struct qb_sent *s, uint64_t pn)
{
	uint64_t no = pn / QB_SENT_CHUNK;

	return s->dir ? &s->dir[no % QB_SENT_DIR] : &s->near[no % QB_SENT_NEAR];
}

/* shrink_dir gives the directory back when near[] is large enough by far. */
static void shrink_dir(struct qb_sent *s)
{
	uint64_t no = s->tail_pn / QB_SENT_CHUNK;
	uint32_t *dir = s->dir;

	if (s->next_pn / QB_SENT_CHUNK - no >= QB_SENT_NEAR / 4)
		return;
	for (uint32_t i = 0; i < QB_SENT_NEAR; i++, no++)
		s->near[no % QB_SENT_NEAR] = dir[no % QB_SENT_DIR];
	s->dir = NULL;
	qb_slab_put(s->slab, dir);
}

/* grow_dir moves what near[] says to a directory. */
static bool grow_dir(struct qb_sent *s)
{
	uint64_t no = s->tail_pn / QB_SENT_CHUNK;
	uint32_t *dir = qb_slab_get(s->slab);

	if (!dir)
		return false;
	memset(dir, 0, QB_SENT_DIR * sizeof(*dir));
	for (uint32_t i = 0; i < QB_SENT_NEAR; i++, no++)
		dir[no % QB_SENT_DIR] = s->near[no % QB_SENT_NEAR];
	s->dir = dir;
	return true;
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

	for (i = 0; i < dir_len(s); i++)
		drop_chunk(s, (uint64_t)i * QB_SENT_CHUNK);
	if (s->dir)
		qb_slab_put(s->slab, s->dir);
	s->dir = NULL;
}

bool qb_sent_reserve(struct qb_sent *s)
{
	uint64_t span = s->next_pn / QB_SENT_CHUNK - s->tail_pn / QB_SENT_CHUNK;
	struct chunk *c;
	uint32_t *slot;

	if (QB_UNLIKELY(span >= dir_len(s)) && (s->dir || !grow_dir(s)))
		return false;
	slot = dir_slot(s, s->next_pn);
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
	uint32_t ref = *dir_slot((struct qb_sent *)s, pn);

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
		if (s->tail_pn % QB_SENT_CHUNK == 0) {
			drop_chunk(s, s->tail_pn - 1);
			if (s->dir)
				shrink_dir(s);
		}
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
