/* SPDX-License-Identifier: BSD-2-Clause */
/* Singly linked lists of frame references by slab index; used by conn_tx.c and ack.c. */
#include "quic/refs.h"

struct node {
	struct qb_frame_ref ref;
	uint32_t next;
};

static struct node *node_of(const struct qb_slab *s, uint32_t no)
{
	return (struct node *)(void *)(s->mem + (size_t)(no - 1) * s->obj_bytes);
}

size_t qb_refs_slab_bytes(void)
{
	return sizeof(struct node);
}

bool qb_refs_has_room(const struct qb_slab *s)
{
	return s->cap - s->used_cnt >= QB_REFS_PER_PKT;
}

uint32_t qb_refs_store(struct qb_slab *s, const struct qb_frame_ref *refs, size_t cnt)
{
	uint32_t head = 0;

	while (cnt-- > 0) {
		struct node *n = qb_slab_get(s);

		QB_BUG_ON(!n);
		n->ref = refs[cnt];
		n->next = head;
		head = (uint32_t)((size_t)((uint8_t *)n - s->mem) / s->obj_bytes) + 1;
	}
	return head;
}

bool qb_refs_take(struct qb_slab *s, uint32_t *head, struct qb_frame_ref *out)
{
	struct node *n;

	if (!*head)
		return false;
	n = node_of(s, *head);
	*out = n->ref;
	*head = n->next;
	qb_slab_put(s, n);
	return true;
}

void qb_refs_drop(struct qb_slab *s, uint32_t *head)
{
	struct qb_frame_ref ref;

	while (qb_refs_take(s, head, &ref))
		;
}
