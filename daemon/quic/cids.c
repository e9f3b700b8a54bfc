/* SPDX-License-Identifier: BSD-2-Clause */
/* Issuing, storing, rotating and retiring connection IDs of one path ID; called by pathid.c and frames_rx.c. */
#include "quic/cids.h"

void qb_local_cids_init(struct qb_local_cids *s)
{
	memset(s, 0, sizeof(*s));
}

struct qb_local_cid *qb_local_cids_free_slot(struct qb_local_cids *s, uint64_t limit)
{
	struct qb_local_cid *found = NULL;
	uint32_t used_cnt = 0, i;

	for (i = 0; i < QB_CIDS_LOCAL; i++) {
		struct qb_local_cid *lc = &s->slot[i];

		if (lc->tx != QB_TX_NONE)
			used_cnt++;
		else if (!found || (found->entry.is_linked && (!lc->entry.is_linked || lc->seq < found->seq)))
			found = lc;
	}
	if (used_cnt >= QB_MIN(limit, (uint64_t)QB_CIDS_ISSUED))
		return NULL;
	return found;
}

struct qb_local_cid *qb_local_cids_find(struct qb_local_cids *s, uint64_t seq)
{
	uint32_t i;

	for (i = 0; i < QB_CIDS_LOCAL; i++) {
		if (s->slot[i].tx != QB_TX_NONE && s->slot[i].seq == seq)
			return &s->slot[i];
	}
	return NULL;
}

void qb_remote_cids_init(struct qb_remote_cids *s)
{
	memset(s, 0, sizeof(*s));
	s->cur = -1;
}

static int queue_retire(struct qb_remote_cids *s, uint64_t seq)
{
	uint32_t i;

	for (i = 0; i < QB_CIDS_RETIRES; i++) {
		if (s->retire_tx[i] != QB_TX_NONE && s->retire_seq[i] == seq)
			return 0;
	}
	for (i = 0; i < QB_CIDS_RETIRES; i++) {
		if (s->retire_tx[i] == QB_TX_NONE) {
			s->retire_seq[i] = seq;
			s->retire_tx[i] = QB_TX_DUE;
			return 0;
		}
	}
	return -ENOSPC;
}

static int retire_below(struct qb_remote_cids *s, uint64_t prior_to)
{
	uint32_t i;

	for (i = 0; i < QB_CIDS_REMOTE; i++) {
		struct qb_remote_cid *r = &s->slot[i];

		if (!r->is_present || r->seq >= prior_to)
			continue;
		if (queue_retire(s, r->seq) < 0)
			return -ENOSPC;
		r->is_present = false;
		if (s->cur == (int8_t)i)
			s->cur = -1;
	}
	return 0;
}

/* check_known compares a frame with what an earlier one said (RFC 9000 §19.15): 1 if it is a repetition. */
static int check_known(const struct qb_remote_cids *s, const struct qb_frame_new_cid *f,
		       struct qb_fault *fault)
{
	uint32_t i;

	for (i = 0; i < QB_CIDS_REMOTE; i++) {
		const struct qb_remote_cid *r = &s->slot[i];
		bool same_cid = r->is_present && qb_cid_eq(&r->cid, &f->cid);
		bool same_seq = r->is_present && r->seq == f->seq;

		if (same_cid != same_seq ||
		    (same_seq && r->has_token &&
		     !qb_ct_eq(r->token, f->reset_token, QB_SRT_LEN)))
			return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION,
					    "connection ID issued twice, differently");
		if (same_seq)
			return 1;
	}
	return 0;
}

bool qb_remote_cids_see(struct qb_remote_cids *s, uint64_t seq)
{
	uint64_t ahead = seq + 1 - s->seen_end, behind = s->seen_end - 1 - seq;
	bool was_seen = seq < s->seen_end && (behind >= 64 || s->seen >> behind & 1);

	if (seq >= s->seen_end) {
		s->seen = (ahead < 64 ? s->seen << ahead : 0) | 1;
		s->seen_end = seq + 1;
	} else if (behind < 64) {
		s->seen |= UINT64_C(1) << behind;
	}
	return was_seen;
}

int qb_remote_cids_add(struct qb_remote_cids *s, const struct qb_frame_new_cid *f,
		       struct qb_fault *fault)
{
	bool was_seen;
	uint32_t i;
	int rc;

	rc = check_known(s, f, fault);
	if (rc < 0)
		return rc;
	if (f->retire_prior_to > s->retire_prior_to) {
		s->retire_prior_to = f->retire_prior_to;
		if (retire_below(s, f->retire_prior_to) < 0)
			goto flood;
	}
	was_seen = qb_remote_cids_see(s, f->seq);
	/* What is there, or was given back by us: the frame came again, however late. */
	if (was_seen)
		return 0;
	if (f->seq < s->retire_prior_to) {
		/* It arrives after its retirement: say so (RFC 9000 §19.15). */
		if (queue_retire(s, f->seq) < 0)
			goto flood;
		return 0;
	}
	for (i = 0; i < QB_CIDS_REMOTE; i++) {
		struct qb_remote_cid *r = &s->slot[i];

		if (r->is_present)
			continue;
		r->cid = f->cid;
		r->seq = f->seq;
		r->is_present = true;
		r->has_token = true;
		memcpy(r->token, f->reset_token, QB_SRT_LEN);
		return 0;
	}
	return qb_fault_set(fault, QB_QUIC_CONNECTION_ID_LIMIT_ERROR, "too many connection IDs");
flood:
	return qb_fault_set(fault, QB_QUIC_CONNECTION_ID_LIMIT_ERROR,
			    "too many retirements under way");
}

struct qb_remote_cid *qb_remote_cids_spare(struct qb_remote_cids *s)
{
	struct qb_remote_cid *best = NULL;
	uint32_t i;

	for (i = 0; i < QB_CIDS_REMOTE; i++) {
		struct qb_remote_cid *r = &s->slot[i];

		if (r->is_present && s->cur != (int8_t)i && (!best || r->seq < best->seq))
			best = r;
	}
	return best;
}

bool qb_remote_cids_switch(struct qb_remote_cids *s)
{
	const struct qb_remote_cid *spare = qb_remote_cids_spare(s);

	if (spare)
		s->cur = (int8_t)(spare - s->slot);
	return spare;
}

struct qb_remote_cid *qb_remote_cids_current(struct qb_remote_cids *s)
{
	if (QB_UNLIKELY(s->cur < 0) && !qb_remote_cids_switch(s))
		return NULL;
	return &s->slot[s->cur];
}

struct qb_remote_cid *qb_remote_cids_find(struct qb_remote_cids *s, uint64_t seq)
{
	uint32_t i;

	for (i = 0; i < QB_CIDS_REMOTE; i++) {
		if (s->slot[i].is_present && s->slot[i].seq == seq)
			return &s->slot[i];
	}
	return NULL;
}

bool qb_remote_cids_use(struct qb_remote_cids *s, uint64_t seq)
{
	struct qb_remote_cid *old = qb_remote_cids_current(s), *to = qb_remote_cids_find(s, seq);

	if (!to)
		return false;
	if (old && old != to) {
		if (queue_retire(s, old->seq) < 0)
			return false;
		old->is_present = false;
	}
	s->cur = (int8_t)(to - s->slot);
	return true;
}

void qb_remote_cids_retire(struct qb_remote_cids *s, uint64_t seq)
{
	struct qb_remote_cid *r = qb_remote_cids_find(s, seq);

	if (r && r != qb_remote_cids_current(s) && queue_retire(s, seq) == 0)
		r->is_present = false;
}

void qb_remote_cids_on_retire_fate(struct qb_remote_cids *s, uint64_t seq, bool is_acked)
{
	uint32_t i;

	for (i = 0; i < QB_CIDS_RETIRES; i++) {
		if (s->retire_tx[i] == QB_TX_SENT && s->retire_seq[i] == seq)
			s->retire_tx[i] = is_acked ? QB_TX_NONE : QB_TX_DUE;
	}
}
