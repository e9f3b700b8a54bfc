/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames about paths and connection IDs (RFC 9000 §19.15-16, RFC 10069 §4): received, sent, and their fate. */
#include "quic/conn.h"

/* ---- receiving ---- */

static int above_limit(struct qb_fault *fault)
{
	return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION, "path ID above the limit");
}

static int on_new_cid(struct qb_conn *c, const struct qb_frame *f, struct qb_fault *fault)
{
	struct qb_path_id *pid;
	int rc;

	if (c->hs.peer_scid.len == 0)
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION,
				    "connection IDs from a peer that uses none");
	if (f->new_cid.path_id > c->mp.local_max)
		return above_limit(fault);
	pid = qb_multipath_find(c, f->new_cid.path_id);
	if (!pid || pid->state == QB_PID_CLOSING)
		return 0;
	rc = qb_remote_cids_add(&pid->remote, &f->new_cid, fault);
	if (rc < 0)
		return rc;
	/* One that was in use may just have been retired: go on with another at once. */
	if (pid->has_path)
		qb_remote_cids_current(&pid->remote);
	qb_multipath_sync_reset(c, pid);
	c->mp.is_dirty = true;
	qb_multipath_check_available(c);
	return 0;
}

static int on_retire_cid(struct qb_conn *c, const struct qb_frame *f, struct qb_fault *fault)
{
	struct qb_path_id *pid;
	struct qb_local_cid *lc;

	if (f->retire_cid.path_id > c->mp.local_max)
		return above_limit(fault);
	pid = qb_multipath_find(c, f->retire_cid.path_id);
	if (!pid)
		return 0;
	if (f->retire_cid.seq >= pid->local.next_seq)
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION,
				    "retired a connection ID that was never issued");
	lc = qb_local_cids_find(&pid->local, f->retire_cid.seq);
	if (!lc || pid->state == QB_PID_CLOSING)
		return 0;
	lc->tx = QB_TX_NONE;
	qb_multipath_refill(c);
	return 0;
}

static int on_abandon(struct qb_conn *c, const struct qb_frame *f, uint64_t now_ns,
		      struct qb_fault *fault)
{
	struct qb_path_id *pid;

	if (f->path_abandon.path_id > c->mp.local_max)
		return above_limit(fault);
	pid = qb_multipath_find(c, f->path_abandon.path_id);
	if (!pid)
		return 0;
	/* Only the first says why. */
	if (pid->state == QB_PID_SPARE || pid->state == QB_PID_IN_USE)
		qb_trace_abandoned(c, pid->id, f->path_abandon.error_code, true, now_ns);
	qb_multipath_abandon(c, pid, QB_QUIC_NO_ERROR, true, now_ns);
	return 0;
}

/* answer: who says what a path's status is by another path may not have heard what arrived by it. */
static void answer(struct qb_conn *c, const struct qb_path_id *pid, const struct qb_path *rx_path)
{
	struct qb_path *p = pid->has_path ? &c->path[pid->path] : NULL;

	if (p && p != rx_path && p->phase == QB_PATH_OPEN)
		p->is_ack_detoured = qb_rx_space_repeat_ack(&p->space.rx);
}

static int on_status(struct qb_conn *c, const struct qb_rx_pkt *rx, const struct qb_frame *f, struct qb_fault *fault)
{
	struct qb_path_id *pid;

	if (f->path_status.path_id > c->mp.local_max)
		return above_limit(fault);
	pid = qb_multipath_find(c, f->path_status.path_id);
	if (!pid || f->path_status.seq < pid->status_rx_seq)
		return 0;
	pid->status_rx_seq = f->path_status.seq + 1;
	pid->is_peer_backup = f->type == QB_FRAME_PATH_STATUS_BACKUP;
	answer(c, pid, rx->path);
	return 0;
}

static int on_max_path_id(struct qb_conn *c, const struct qb_frame *f, struct qb_fault *fault)
{
	if (f->max_path_id.max > QB_PATH_ID_MAX || f->max_path_id.max < c->mp.first_remote_max)
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION, "bad MAX_PATH_ID");
	if (f->max_path_id.max <= c->mp.remote_max)
		return 0;
	c->mp.remote_max = (uint32_t)f->max_path_id.max;
	qb_multipath_refill(c);
	qb_multipath_check_available(c);
	return 0;
}

static int on_cids_blocked(struct qb_conn *c, const struct qb_frame *f, struct qb_fault *fault)
{
	const struct qb_path_id *pid;

	if (f->path_cids_blocked.path_id > c->mp.local_max)
		return above_limit(fault);
	pid = qb_multipath_find(c, f->path_cids_blocked.path_id);
	if (pid && f->path_cids_blocked.next_seq > pid->local.next_seq)
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION, "bad PATH_CIDS_BLOCKED");
	return 0;
}

int qb_multipath_on_frame(struct qb_conn *c, const struct qb_rx_pkt *rx, const struct qb_frame *f,
			  struct qb_fault *fault)
{
	switch (f->type) {
	case QB_FRAME_NEW_CONNECTION_ID:
	case QB_FRAME_PATH_NEW_CONNECTION_ID:
		return on_new_cid(c, f, fault);
	case QB_FRAME_RETIRE_CONNECTION_ID:
	case QB_FRAME_PATH_RETIRE_CONNECTION_ID:
		return on_retire_cid(c, f, fault);
	case QB_FRAME_PATH_ABANDON:
		return on_abandon(c, f, rx->now_ns, fault);
	case QB_FRAME_PATH_STATUS_BACKUP:
	case QB_FRAME_PATH_STATUS_AVAILABLE:
		return on_status(c, rx, f, fault);
	case QB_FRAME_MAX_PATH_ID:
		return on_max_path_id(c, f, fault);
	case QB_FRAME_PATHS_BLOCKED:
		return f->max_path_id.max > c->mp.local_max ? above_limit(fault) : 0;
	case QB_FRAME_PATH_CIDS_BLOCKED:
		return on_cids_blocked(c, f, fault);
	default:
		return 0;
	}
}

/* ---- sending ---- */

struct writer {
	struct qb_wr *w;
	struct qb_frame_ref *refs;
	size_t cap, *cnt;
	enum qb_mp_dialect dialect;
};

/* put appends a frame if it and its reference fit. */
static bool put(struct writer *wr, const struct qb_frame *f, uint8_t kind, uint64_t id, uint64_t off)
{
	struct qb_frame said = *f;

	said.dialect = wr->dialect;
	if (*wr->cnt == wr->cap || !qb_frame_try(wr->w, &said))
		return false;
	wr->refs[(*wr->cnt)++] = (struct qb_frame_ref){.kind = kind, .id = id, .off = off};
	return true;
}

static bool put_new_cids(struct qb_conn *c, struct qb_path_id *pid, struct writer *wr)
{
	uint8_t token[QB_RESET_TOKEN_LEN];
	uint32_t i;

	for (i = 0; i < QB_CIDS_LOCAL; i++) {
		struct qb_local_cid *lc = &pid->local.slot[i];
		struct qb_frame f = {
			.type = pid->id ? QB_FRAME_PATH_NEW_CONNECTION_ID
					: QB_FRAME_NEW_CONNECTION_ID,
		};

		if (lc->tx != QB_TX_DUE)
			continue;
		qb_reset_token(&c->q->cfg.reset_secret, lc->entry.cid.id, lc->entry.cid.len, token);
		f.new_cid.path_id = pid->id;
		f.new_cid.seq = lc->seq;
		f.new_cid.cid = lc->entry.cid;
		f.new_cid.reset_token = token;
		if (!put(wr, &f, QB_REF_NEW_CID, pid->id, lc->seq))
			return false;
		lc->tx = QB_TX_SENT;
	}
	return true;
}

static bool put_retires(struct qb_path_id *pid, struct writer *wr)
{
	uint32_t i;

	for (i = 0; i < QB_CIDS_RETIRES; i++) {
		struct qb_remote_cids *r = &pid->remote;
		struct qb_frame f = {
			.type = pid->id ? QB_FRAME_PATH_RETIRE_CONNECTION_ID
					: QB_FRAME_RETIRE_CONNECTION_ID,
		};

		if (r->retire_tx[i] != QB_TX_DUE)
			continue;
		f.retire_cid.path_id = pid->id;
		f.retire_cid.seq = r->retire_seq[i];
		if (!put(wr, &f, QB_REF_RETIRE_CID, pid->id, r->retire_seq[i]))
			return false;
		r->retire_tx[i] = QB_TX_SENT;
	}
	return true;
}

static bool put_status(struct qb_path_id *pid, struct writer *wr)
{
	struct qb_frame f = {
		.type = pid->is_backup ? QB_FRAME_PATH_STATUS_BACKUP
				       : QB_FRAME_PATH_STATUS_AVAILABLE,
		.path_status = {.path_id = pid->id, .seq = pid->status_tx_seq},
	};

	if (pid->status_tx != QB_TX_DUE)
		return true;
	if (!put(wr, &f, QB_REF_PATH_STATUS, pid->id, pid->status_tx_seq))
		return false;
	pid->status_tx = QB_TX_SENT;
	return true;
}

/* abandon_code is the reason as the dialect has it. */
static uint64_t abandon_code(uint64_t code, enum qb_mp_dialect dialect)
{
	if (dialect == QB_MP_RFC)
		return code;
	switch (code) {
	case QB_QUIC_APPLICATION_ABANDON_PATH:
		return dialect == QB_MP_DRAFT15 ? UINT64_C(0x4150504142414e) : 0;
	case QB_QUIC_PATH_RESOURCE_LIMIT_REACHED:
		return dialect == QB_MP_DRAFT15 ? UINT64_C(0x52534c494d4954) : 0;
	case QB_QUIC_PATH_UNSTABLE_OR_POOR:
		return dialect == QB_MP_DRAFT15 ? UINT64_C(0x554e5f494e5446) : 0;
	case QB_QUIC_NO_CID_AVAILABLE_FOR_PATH:
		return dialect == QB_MP_DRAFT15 ? UINT64_C(0x4e4f5f4349445f) : 0;
	default:
		return code;
	}
}

static bool put_abandon(struct qb_path_id *pid, struct writer *wr)
{
	struct qb_frame f = {
		.type = QB_FRAME_PATH_ABANDON,
		.path_abandon = {.path_id = pid->id,
				 .error_code = abandon_code(pid->abandon_code, wr->dialect)},
	};

	if (pid->abandon_tx != QB_TX_DUE)
		return true;
	if (!put(wr, &f, QB_REF_PATH_ABANDON, pid->id, 0))
		return false;
	pid->abandon_tx = QB_TX_SENT;
	return true;
}

static bool put_blocked(struct qb_conn *c, struct writer *wr)
{
	struct qb_multipath *mp = &c->mp;
	struct qb_frame f = {.type = QB_FRAME_PATHS_BLOCKED};
	bool is_done;

	if (mp->blocked_tx != QB_TX_DUE ||
	    !qb_frame_has_dialect(QB_FRAME_PATHS_BLOCKED, wr->dialect))
		return true;
	if (mp->blocked_on) {
		f.type = QB_FRAME_PATH_CIDS_BLOCKED;
		f.path_cids_blocked.path_id = mp->blocked_on->id;
		f.path_cids_blocked.next_seq = mp->blocked_on->remote.seen_end;
		is_done = put(wr, &f, QB_REF_CIDS_BLOCKED, 0, 0);
	} else {
		f.max_path_id.max = mp->remote_max;
		is_done = put(wr, &f, QB_REF_PATHS_BLOCKED, 0, mp->remote_max);
	}
	if (is_done)
		mp->blocked_tx = QB_TX_SENT;
	return is_done;
}

static bool put_pid(struct qb_conn *c, struct qb_path_id *pid, struct writer *wr)
{
	switch (pid->state) {
	case QB_PID_FREE:
		return true;
	case QB_PID_CLOSING:
		return put_abandon(pid, wr);
	case QB_PID_SPARE:
	case QB_PID_IN_USE:
		break;
	}
	return put_new_cids(c, pid, wr) && put_retires(pid, wr) && put_status(pid, wr);
}

void qb_multipath_write(struct qb_conn *c, struct qb_wr *w, struct qb_frame_ref *refs, size_t cap,
			size_t *cnt)
{
	struct writer wr = {
		.w = w, .refs = refs, .cap = cap, .cnt = cnt, .dialect = c->mp.dialect};
	struct qb_frame f = {.type = QB_FRAME_MAX_PATH_ID};
	uint32_t i;

	if (!c->mp.is_dirty)
		return;
	f.max_path_id.max = c->mp.local_max;
	if (c->mp.max_path_id_tx == QB_TX_DUE) {
		if (!put(&wr, &f, QB_REF_MAX_PATH_ID, 0, c->mp.local_max))
			return;
		c->mp.max_path_id_tx = QB_TX_SENT;
	}
	for (i = 0; i < QB_PATH_IDS; i++) {
		if (!put_pid(c, &c->mp.pid[i], &wr))
			return;
	}
	if (put_blocked(c, &wr))
		c->mp.is_dirty = false;
}

bool qb_multipath_has_due(const struct qb_conn *c)
{
	return c->mp.is_dirty;
}

/* ---- fate ---- */

static void settle(enum qb_tx_state *tx, bool is_acked)
{
	if (*tx == QB_TX_SENT)
		*tx = is_acked ? QB_TX_DONE : QB_TX_DUE;
}

void qb_multipath_on_ref(struct qb_conn *c, const struct qb_frame_ref *ref, bool is_acked)
{
	struct qb_path_id *pid = qb_multipath_find(c, ref->id);
	struct qb_local_cid *lc;

	if (!is_acked)
		c->mp.is_dirty = true;
	if (ref->kind == QB_REF_MAX_PATH_ID) {
		if (ref->off == c->mp.local_max)
			settle(&c->mp.max_path_id_tx, is_acked);
		return;
	}
	if (ref->kind == QB_REF_PATHS_BLOCKED || ref->kind == QB_REF_CIDS_BLOCKED) {
		/* Not worth repeating: what it asked for may be here by now, or it is asked again. */
		c->mp.blocked_tx = QB_TX_NONE;
		return;
	}
	if (!pid)
		return;
	switch (ref->kind) {
	case QB_REF_NEW_CID:
		lc = qb_local_cids_find(&pid->local, ref->off);
		if (lc)
			settle(&lc->tx, is_acked);
		break;
	case QB_REF_RETIRE_CID:
		qb_remote_cids_on_retire_fate(&pid->remote, ref->off, is_acked);
		break;
	case QB_REF_PATH_ABANDON:
		settle(&pid->abandon_tx, is_acked);
		break;
	case QB_REF_PATH_STATUS:
		if (ref->off == pid->status_tx_seq)
			settle(&pid->status_tx, is_acked);
		break;
	default:
		break;
	}
}
