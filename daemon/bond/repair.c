/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring of packets in flight: filled by qb_bond_on_sent, emptied by qb_bond_on_settled, and read by
 * qb_bond_take_lost and the like (bond_again.c).
 *
 *     tail                                   head
 *     ──┴── settled? kept kept taken kept … ──┴──► sequence numbers
 */
#include "bond/repair.h"

/* A packet is not kept for longer, if its path reports nothing of it. */
#define KEEP_MAX_NS (2 * QB_NS_PER_SEC)

/* Runs of losses of which the mean length is made. */
#define RUN_MEMORY 8

size_t qb_repair_footprint(void)
{
	return QB_REPAIR_CAP * sizeof(struct qb_repair_slot);
}

void qb_repair_init(struct qb_repair *r, void *mem, struct qb_pool *pool)
{
	memset(r, 0, sizeof(*r));
	r->slots = mem;
	r->pool = pool;
}

static struct qb_repair_slot *slot_of(const struct qb_repair *r, uint32_t seq)
{
	return &r->slots[seq % QB_REPAIR_CAP];
}

static void let_go(struct qb_repair *r, struct qb_repair_slot *s)
{
	if (!s->buf)
		return;
	qb_buf_put(r->pool, s->buf);
	s->buf = NULL;
	r->kept_cnt--;
}

void qb_repair_fini(struct qb_repair *r)
{
	for (; r->tail != r->head; r->tail++)
		let_go(r, slot_of(r, r->tail));
}

void qb_repair_forget(struct qb_repair *r)
{
	qb_repair_fini(r);
	r->is_started = false;
	r->tail = r->head = 0;
}

/* open_slot makes the ring reach up to seq. False: it lies too far back. */
static bool open_slot(struct qb_repair *r, uint32_t seq)
{
	if (!r->is_started) {
		r->tail = r->head = seq;
		r->is_started = true;
	}
	if ((int32_t)(seq - r->tail) < 0) {
		/* Sent again after its neighbours were settled. */
		if (r->head - seq > QB_REPAIR_CAP)
			return false;
		r->tail = seq;
	}
	if (seq - r->head >= QB_REPAIR_CAP && (int32_t)(seq - r->head) >= 0) {
		qb_repair_fini(r);
		r->tail = r->head = seq;
	}
	while ((int32_t)(seq - r->head) >= 0) {
		if (r->head - r->tail == QB_REPAIR_CAP)
			let_go(r, slot_of(r, r->tail++));
		slot_of(r, r->head++)->buf = NULL;
	}
	return true;
}

/* place_of is a packet's place among those that left by its path; packets of a bundle share one. */
static uint16_t place_of(struct qb_repair *r, const struct qb_buf *b)
{
	uint16_t *next = &r->path_pkts[b->path % QB_BOND_PATHS_MAX];

	return b->flags & QB_BUF_FOLLOWS ? (uint16_t)(*next - 1) : (*next)++;
}

void qb_repair_keep(struct qb_repair *r, struct qb_buf *b, uint32_t inner_len, uint64_t now_ns)
{
	struct qb_repair_slot *s;

	/* This must not take the last frames of the pool. */
	if (qb_pool_is_scarce(r->pool) || !open_slot(r, b->seq))
		return;
	s = slot_of(r, b->seq);
	let_go(r, s);
	*s = (struct qb_repair_slot){
		.buf = b,
		.pkt = b->data,
		.sent_ns = now_ns,
		.seq = b->seq,
		.hash = (uint32_t)b->meta,
		.pkt_len = (uint16_t)b->len,
		.inner_len = (uint16_t)inner_len,
		.delta = b->delta,
		.path = b->path,
		.flags = b->flags,
		.tries = qb_repair_tries(b),
		.class = (uint8_t)qb_buf_class(b),
		.rule = qb_buf_rule(b),
		.path_pkt = place_of(r, b),
	};
	qb_buf_ref(b);
	r->kept_cnt++;
}

void qb_repair_settle(struct qb_repair *r, const uint64_t oldest_unacked_ns[QB_BOND_PATHS_MAX], uint64_t now_ns)
{
	for (; r->tail != r->head; r->tail++) {
		struct qb_repair_slot *s = slot_of(r, r->tail);
		uint64_t oldest_ns;

		if (!s->buf)
			continue;
		oldest_ns = oldest_unacked_ns[s->path];
		if (oldest_ns && s->sent_ns >= oldest_ns && now_ns - s->sent_ns < KEEP_MAX_NS)
			return;
		let_go(r, s);
	}
}

/* writable returns the slot's packet in a frame that nobody else reads: its own, or a copy's. */
static struct qb_buf *writable(struct qb_repair *r, const struct qb_repair_slot *s)
{
	struct qb_buf *b = s->buf, *copy;

	if (!qb_buf_is_shared(b)) {
		b->data = s->pkt;
		b->len = s->pkt_len;
		return b;
	}
	copy = qb_buf_get(r->pool);
	if (copy) {
		/* At the same place in the frame, so that there is headroom as in the original. */
		copy->data += s->pkt - (qb_buf_frame(r->pool->depot, b) + QB_HEADROOM);
		copy->len = s->pkt_len;
		memcpy(copy->data, s->pkt, s->pkt_len);
	}
	qb_buf_put(r->pool, b);
	return copy;
}

static struct qb_buf *take(struct qb_repair *r, struct qb_repair_slot *s, uint32_t *inner_len)
{
	struct qb_buf *b = writable(r, s);

	s->buf = NULL;
	r->kept_cnt--;
	if (!b)
		return NULL;
	b->seq = s->seq;
	b->delta = s->delta;
	b->flags = s->flags;
	b->path = s->path;
	b->meta = qb_meta(s->hash, s->class, s->rule) | (uint64_t)s->tries << QB_META_TRIES_SHIFT;
	b->next = NULL;
	*inner_len = s->inner_len;
	return b;
}

/* note_loss counts losses in a row; a path's losses are reported in the order of sending. */
static void note_loss(struct qb_repair_run *run, uint16_t path_pkt)
{
	if (run->len && path_pkt == run->last)
		return;
	if (run->len && path_pkt == (uint16_t)(run->last + 1)) {
		run->len++;
	} else {
		run->mean += ((double)run->len - run->mean) / RUN_MEMORY;
		run->len = 1;
	}
	run->last = path_pkt;
}

/* kept_slot returns the slot of the packet that left at sent_ns by that path, or NULL. */
static struct qb_repair_slot *kept_slot(const struct qb_repair *r, uint32_t seq, uint8_t path, uint64_t sent_ns)
{
	struct qb_repair_slot *s = slot_of(r, seq);

	return seq - r->tail < r->head - r->tail && s->buf && s->path == path && s->sent_ns == sent_ns ? s : NULL;
}

struct qb_buf *qb_repair_take(struct qb_repair *r, uint32_t seq, uint8_t path, uint64_t sent_ns, uint32_t *inner_len)
{
	struct qb_repair_slot *s = kept_slot(r, seq, path, sent_ns);

	if (!s)
		return NULL;
	note_loss(&r->runs[path], s->path_pkt);
	return take(r, s, inner_len);
}

struct qb_buf *qb_repair_take_stranded(struct qb_repair *r, uint32_t seq, uint8_t path, uint64_t sent_ns, uint32_t *inner_len)
{
	struct qb_repair_slot *s = kept_slot(r, seq, path, sent_ns);

	return s ? take(r, s, inner_len) : NULL;
}

void qb_repair_spare(struct qb_repair *r, uint32_t seq, uint32_t cnt, uint8_t path, uint64_t sent_ns)
{
	for (uint32_t i = 0; i < QB_MIN(cnt, (uint32_t)QB_REPAIR_CAP); i++) {
		struct qb_repair_slot *s = slot_of(r, seq + i);

		/* A packet that left again since is kept again, or left by another path. */
		if (!s->buf && s->seq == seq + i && s->path == path && s->sent_ns <= sent_ns)
			s->has_arrived = true;
	}
}

bool qb_repair_is_spared(const struct qb_repair *r, const struct qb_buf *b)
{
	const struct qb_repair_slot *s = slot_of(r, b->seq);

	return s->has_arrived && !s->buf && s->seq == b->seq;
}

double qb_repair_burst(const struct qb_repair *r, uint8_t path)
{
	const struct qb_repair_run *run = &r->runs[path];

	return run->mean > 1 ? run->mean : 1;
}

const struct qb_repair_slot *qb_repair_next(const struct qb_repair *r, uint32_t *seq)
{
	/* A walk that has ended stays at the head. */
	if (*seq - r->tail > r->head - r->tail)
		*seq = r->tail;
	for (; *seq != r->head; ++*seq)
		if (slot_of(r, *seq)->buf)
			return slot_of(r, *seq);
	return NULL;
}

struct qb_buf *qb_repair_take_at(struct qb_repair *r, uint32_t seq, uint32_t *inner_len)
{
	return take(r, slot_of(r, seq), inner_len);
}

uint8_t qb_repair_tries(const struct qb_buf *b)
{
	return (uint8_t)(b->meta >> QB_META_TRIES_SHIFT);
}

void qb_repair_count_try(struct qb_buf *b)
{
	b->meta += UINT64_C(1) << QB_META_TRIES_SHIFT;
}
