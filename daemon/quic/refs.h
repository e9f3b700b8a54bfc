/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of frame references, kept beside the sent-packet records: most packets have none. */
#pragma once

#include "base/slab.h"
#include "quic/frame_ref.h"

enum { QB_REFS_PER_PKT = 24 };

/* qb_refs_slab_bytes is the object size of the slab that the functions below want. */
size_t qb_refs_slab_bytes(void);
/* qb_refs_has_room: a packet's worth of references may be stored. */
bool qb_refs_has_room(const struct qb_slab *s);
/* qb_refs_store makes a list of refs and returns its head; 0 for none. The caller knows that there is room. */
uint32_t qb_refs_store(struct qb_slab *s, const struct qb_frame_ref *refs, size_t cnt);
/* qb_refs_take removes and frees the head of a list: false at its end. */
bool qb_refs_take(struct qb_slab *s, uint32_t *head, struct qb_frame_ref *out);
/* qb_refs_drop frees a list. */
void qb_refs_drop(struct qb_slab *s, uint32_t *head);
