/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Giving up the sending part of a stream: at once (RESET_STREAM), or after what was promised has
 * arrived (RESET_STREAM_AT, draft-ietf-quic-reliable-stream-reset). Called by the application's
 * side and by stream_send.c.
 */
#include "quic/streams_impl.h"

#include <errno.h>

void qb_stream_tx_end(struct qb_streams *s, struct qb_stream *st, enum tx_state state)
{
	st->tx.state = state;
	st->tx.lost.cnt = 0;
	st->tx.wants_room = false;
	qb_chunk_buf_clear(&st->tx.buf);
	link_set(&s->starved, &st->starved_link, false);
	qb_stream_tx_update(s, st);
}

void qb_stream_tx_reset(struct qb_streams *s, struct qb_stream *st, uint64_t error_code)
{
	/* The code of an earlier reset stands. */
	if (st->tx.state == TX_OPEN)
		st->tx.reset_code = error_code;
	st->tx.reliable_size = 0;
	qb_stream_tx_end(s, st, TX_RESET);
	qb_stream_ctl(s, st, CTL_RESET_STREAM);
}

int qb_streams_reset(struct qb_streams *s, uint64_t id, uint64_t error_code)
{
	struct qb_stream *st = qb_stream_find(s, id);

	if (!st || st->tx.state == TX_NONE)
		return -ENOENT;
	if (tx_has_data(&st->tx))
		qb_stream_tx_reset(s, st, error_code);
	return 0;
}

/* cut forgets what lies beyond the reliable size and was not sent, or was lost. */
static void cut(struct stream_tx *tx)
{
	struct lost_set *ls = &tx->lost;

	tx->end = qb_max_u64(tx->next, tx->reliable_size);
	while (ls->cnt && ls->r[ls->cnt - 1].from >= tx->reliable_size)
		ls->cnt--;
	if (ls->cnt)
		ls->r[ls->cnt - 1].to = qb_min_u64(ls->r[ls->cnt - 1].to, tx->reliable_size);
}

int qb_streams_reset_at(struct qb_streams *s, uint64_t id, uint64_t error_code,
			uint64_t reliable_size)
{
	struct qb_stream *st = qb_stream_find(s, id);
	struct stream_tx *tx;

	if (!st || st->tx.state == TX_NONE)
		return -ENOENT;
	tx = &st->tx;
	if (!s->can_reset_at)
		return -EOPNOTSUPP;
	if (!tx_has_data(tx))
		return 0;
	/* What was promised may only shrink. */
	if (reliable_size > (tx->state == TX_OPEN ? tx->end : tx->reliable_size))
		return -EINVAL;
	if (!reliable_size) {
		qb_stream_tx_reset(s, st, error_code);
		return 0;
	}
	if (tx->state == TX_OPEN)
		tx->reset_code = error_code;
	tx->state = TX_RESET_AT;
	tx->reliable_size = reliable_size;
	tx->is_reset_acked = false;
	tx->wants_room = false;
	link_set(&s->starved, &st->starved_link, false);
	cut(tx);
	tx->is_reset_due = true;
	qb_stream_tx_update(s, st);
	return 0;
}

void qb_stream_tx_fill_reset(const struct qb_stream *st, struct qb_frame *f,
			     struct qb_frame_ref *ref)
{
	const struct stream_tx *tx = &st->tx;

	*f = (struct qb_frame){
		.type = tx->reliable_size ? QB_FRAME_RESET_STREAM_AT : QB_FRAME_RESET_STREAM,
		.reset_stream = {.id = st->id,
				 .error_code = tx->reset_code,
				 .final_size = tx->next,
				 .reliable_size = tx->reliable_size},
	};
	*ref = (struct qb_frame_ref){
		.kind = QB_REF_RESET_STREAM, .id = st->id, .off = tx->reliable_size};
}

bool qb_stream_tx_is_over(const struct stream_tx *tx)
{
	if (tx->state == TX_RESET_AT)
		return tx->is_reset_acked && tx->buf.frontier >= tx->reliable_size;
	return tx->state == TX_OPEN && tx->is_fin_acked && tx->buf.frontier == tx->end;
}

void qb_stream_tx_on_reset_fate(struct qb_streams *s, struct qb_stream *st,
				const struct qb_frame_ref *ref, bool is_acked)
{
	struct stream_tx *tx = &st->tx;

	/* An earlier one promised more: what counts is the newest. */
	if ((tx->state != TX_RESET && tx->state != TX_RESET_AT) || ref->off != tx->reliable_size)
		return;
	if (!is_acked) {
		qb_stream_ctl(s, st, CTL_RESET_STREAM);
		return;
	}
	tx->is_reset_acked = true;
	qb_stream_ctl_clear(s, st, CTL_RESET_STREAM);
	if (tx->state == TX_RESET || qb_stream_tx_is_over(tx)) {
		qb_stream_tx_end(s, st, TX_DONE);
		qb_stream_done(s, st);
	}
}
