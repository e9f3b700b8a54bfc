/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sending parts of streams: the application's bytes, what of them is due, frames into packets, and
 * what became of those. Order within a packet: limits and resets first, then what was lost, then
 * new data, stream by stream in turn within an urgency.
 */
#include "quic/streams_impl.h"

#include <errno.h>

enum {
	/* A STREAM frame is cut to the room that is left, but not to less data than this. */
	DATA_MIN = 64,
	/* The longest control frame: RESET_STREAM_AT. */
	CTL_BYTES_MAX = 1 + 4 * 8,
};

/* ---- lost data ---- */

static void lost_remove(struct lost_set *ls, uint32_t i, uint32_t n)
{
	memmove(&ls->r[i], &ls->r[i + n], (ls->cnt - i - n) * sizeof(ls->r[0]));
	ls->cnt -= n;
}

/* No room for another piece: the nearer neighbour is stretched up to it, and some bytes are sent
 * for nothing. */
static void lost_stretch(struct lost_set *ls, uint32_t i, uint64_t from, uint64_t to)
{
	if (i == 0 || (i < ls->cnt && ls->r[i].from - to < from - ls->r[i - 1].to))
		ls->r[i].from = from;
	else
		ls->r[i - 1].to = to;
}

static void lost_add(struct lost_set *ls, uint64_t from, uint64_t to)
{
	uint32_t i = 0, n = 0;

	while (i < ls->cnt && ls->r[i].to < from)
		i++;
	while (i + n < ls->cnt && ls->r[i + n].from <= to) {
		from = qb_min_u64(from, ls->r[i + n].from);
		to = qb_max_u64(to, ls->r[i + n].to);
		n++;
	}
	if (n == 0) {
		if (ls->cnt == LOST_MAX) {
			lost_stretch(ls, i, from, to);
			return;
		}
		memmove(&ls->r[i + 1], &ls->r[i], (ls->cnt - i) * sizeof(ls->r[0]));
		ls->cnt++;
	} else {
		lost_remove(ls, i + 1, n - 1);
	}
	ls->r[i].from = from;
	ls->r[i].to = to;
}

/* The first piece that is lost and still not acknowledged; drops from the set what has been
 * meanwhile. */
static bool lost_first(struct stream_tx *tx, uint64_t *from, uint64_t *to)
{
	struct lost_set *ls = &tx->lost;

	while (ls->cnt) {
		*from = qb_chunk_buf_unmarked(&tx->buf, ls->r[0].from, ls->r[0].to, to);
		if (*from < ls->r[0].to) {
			ls->r[0].from = *from;
			return true;
		}
		lost_remove(ls, 0, 1);
	}
	return false;
}

/* The first n bytes of the first piece were sent again. */
static void lost_sent(struct lost_set *ls, size_t n)
{
	ls->r[0].from += n;
	if (ls->r[0].from >= ls->r[0].to)
		lost_remove(ls, 0, 1);
}

/* ---- queues ---- */

/* A FIN with no data in front of it, or one that was lost. */
static bool is_bare_fin_due(const struct stream_tx *tx)
{
	return tx->state == TX_OPEN && tx->has_fin &&
	       ((!tx->is_fin_sent && tx->next == tx->end) || tx->is_fin_lost);
}

static bool is_blocked(const struct qb_stream *st)
{
	return tx_has_data(&st->tx) && st->tx.next < st->tx.end && st->tx.next >= st->tx.max;
}

void qb_stream_tx_update(struct qb_streams *s, struct qb_stream *st)
{
	struct stream_tx *tx = &st->tx;
	bool is_open = tx_has_data(tx);
	uint64_t from, to;

	link_set(&s->free_queue[st->urgency], &st->free_link,
		 is_open && (lost_first(tx, &from, &to) || is_bare_fin_due(tx)));
	link_set(&s->data_queue[st->urgency], &st->data_link,
		 is_open && tx->next < qb_min_u64(tx->end, tx->max));
	/* Not before: the final size counts against the peer's limits, whatever was sent. */
	if (tx->state == TX_RESET_AT && tx->is_reset_due && tx->next == tx->end) {
		tx->is_reset_due = false;
		qb_stream_ctl(s, st, CTL_RESET_STREAM);
	}
	if (!is_blocked(st)) {
		qb_stream_ctl_clear(s, st, CTL_STREAM_DATA_BLOCKED);
	} else if (tx->blocked_at != tx->max + 1) {
		tx->blocked_at = tx->max + 1;
		qb_stream_ctl(s, st, CTL_STREAM_DATA_BLOCKED);
	}
}

static bool has_new_data(const struct qb_streams *s)
{
	for (size_t i = 0; i < QB_STREAM_URGENCY_CNT; i++)
		if (!link_empty(&s->data_queue[i]))
			return true;
	return false;
}

static bool has_free_data(const struct qb_streams *s)
{
	for (size_t i = 0; i < QB_STREAM_URGENCY_CNT; i++)
		if (!link_empty(&s->free_queue[i]))
			return true;
	return false;
}

bool qb_streams_has_data(const struct qb_streams *s)
{
	if (s->due || !link_empty(&s->ctl_queue) || has_free_data(s))
		return true;
	if (!has_new_data(s))
		return false;
	return s->tx_bytes < s->tx_max || s->tx_blocked_at != s->tx_max + 1;
}

/* ---- the application ---- */

static uint64_t room(const struct qb_streams *s, const struct stream_tx *tx)
{
	return qb_sub_sat_u64(s->send_buf_bytes, tx->end - tx->buf.base);
}

int64_t qb_streams_write_data(struct qb_streams *s, uint64_t id, const void *data, size_t len,
			      bool is_fin)
{
	struct qb_stream *st = qb_stream_find(s, id);
	struct stream_tx *tx;
	size_t want, n;

	if (!st || st->tx.state == TX_NONE)
		return -ENOENT;
	tx = &st->tx;
	if (tx->state != TX_OPEN || tx->has_fin)
		return -EPIPE;
	want = (size_t)qb_min_u64(len, room(s, tx));
	n = qb_chunk_buf_put(&tx->buf, tx->end, data,
			     QB_MIN(want, qb_chunk_share_send_room(&s->tx_share)));
	tx->end += n;
	if (n == len)
		tx->has_fin = is_fin;
	else
		tx->wants_room = true;
	if (n < want)
		link_set(&s->starved, &st->starved_link, true);
	qb_stream_tx_update(s, st);
	return (int64_t)n;
}

int qb_streams_set_priority(struct qb_streams *s, uint64_t id, uint8_t urgency, bool is_incremental)
{
	struct qb_stream *st = qb_stream_find(s, id);

	if (!st || urgency >= QB_STREAM_URGENCY_CNT)
		return -ENOENT;
	link_set(&s->data_queue[st->urgency], &st->data_link, false);
	link_set(&s->free_queue[st->urgency], &st->free_link, false);
	st->urgency = urgency;
	st->is_in_turn = !is_incremental;
	qb_stream_tx_update(s, st);
	return 0;
}

/* ---- writing frames ---- */

struct out {
	struct qb_wr *w;
	struct qb_frame_ref *refs;
	size_t cap;
	size_t *cnt;
	uint64_t now_ns;
};

static bool is_out_full(const struct out *o)
{
	return *o->cnt >= o->cap;
}

/* Asked before a control frame is made up: making one moves windows. */
static bool has_ctl_room(const struct out *o)
{
	return !is_out_full(o) && !o->w->bad && qb_wr_room(o->w) >= CTL_BYTES_MAX;
}

static void put(struct out *o, const struct qb_frame *f, const struct qb_frame_ref *ref)
{
	qb_frame_build(o->w, f);
	o->refs[(*o->cnt)++] = *ref;
}

static void put_limit(struct out *o, uint64_t type, enum qb_ref_kind kind, uint64_t id,
		      uint64_t max)
{
	struct qb_frame f = {.type = type, .limit = {.stream_id = id, .max = max}};
	struct qb_frame_ref ref = {.kind = (uint8_t)kind, .id = id, .off = max};

	put(o, &f, &ref);
}

static void put_max_streams(struct qb_streams *s, struct out *o, bool is_uni)
{
	struct qb_stream_set *set = &s->peer[is_uni];

	set->max = qb_max_u64(set->max, qb_min_u64(set->closed_cnt + s->peer_concurrency[is_uni],
						   QB_STREAMS_LIMIT_MAX));
	put_limit(o, QB_FRAME_MAX_STREAMS_BIDI + is_uni, QB_REF_MAX_STREAMS_BIDI + is_uni, 0,
		  set->max);
}

static void put_max_data(struct qb_streams *s, struct out *o)
{
	qb_stream_rx_window_raise(&s->rx, s->cfg.max_data_cap, s->rtt_ns, o->now_ns);
	put_limit(o, QB_FRAME_MAX_DATA, QB_REF_MAX_DATA, 0, s->rx.max);
}

/* One connection-level frame that is due. */
static void put_due(struct qb_streams *s, struct out *o, enum due_flag flag)
{
	switch ((uint32_t)flag) {
	case DUE_MAX_DATA:
		put_max_data(s, o);
		break;
	case DUE_DATA_BLOCKED:
		put_limit(o, QB_FRAME_DATA_BLOCKED, QB_REF_DATA_BLOCKED, 0, s->tx_max);
		break;
	case DUE_MAX_STREAMS:
	case DUE_MAX_STREAMS << 1:
		put_max_streams(s, o, flag != DUE_MAX_STREAMS);
		break;
	case DUE_STREAMS_BLOCKED:
		put_limit(o, QB_FRAME_STREAMS_BLOCKED_BIDI, QB_REF_STREAMS_BLOCKED_BIDI, 0,
			  s->own[0].max);
		break;
	case DUE_STREAMS_BLOCKED << 1:
		put_limit(o, QB_FRAME_STREAMS_BLOCKED_UNI, QB_REF_STREAMS_BLOCKED_UNI, 0,
			  s->own[1].max);
		break;
	}
}

static bool write_due(struct qb_streams *s, struct out *o)
{
	while (s->due) {
		uint32_t flag = s->due & -s->due;

		if (!has_ctl_room(o))
			return false;
		put_due(s, o, flag);
		s->due &= ~flag;
	}
	return true;
}

static void put_max_stream_data(struct qb_streams *s, struct qb_stream *st, struct out *o)
{
	struct qb_rx_window *win = &st->rx.win;

	qb_stream_rx_window_raise(win, s->cfg.max_stream_data_cap, s->rtt_ns, o->now_ns);
	/* A stream alone must not be held back by the connection's window. */
	s->rx.size =
		qb_max_u64(s->rx.size, qb_min_u64(win->size + win->size / 2, s->cfg.max_data_cap));
	put_limit(o, QB_FRAME_MAX_STREAM_DATA, QB_REF_MAX_STREAM_DATA, st->id, win->max);
}

static void put_reset(struct qb_stream *st, struct out *o)
{
	struct qb_frame_ref ref;
	struct qb_frame f;

	qb_stream_tx_fill_reset(st, &f, &ref);
	put(o, &f, &ref);
}

static void put_stop(struct qb_stream *st, struct out *o)
{
	struct qb_frame f = {.type = QB_FRAME_STOP_SENDING,
			     .stop_sending = {.id = st->id, .error_code = st->rx.stop_code}};
	struct qb_frame_ref ref = {.kind = QB_REF_STOP_SENDING, .id = st->id};

	put(o, &f, &ref);
}

/* One control frame of a stream. */
static void put_ctl(struct qb_streams *s, struct qb_stream *st, struct out *o, enum ctl_flag flag)
{
	switch (flag) {
	case CTL_RESET_STREAM:
		put_reset(st, o);
		break;
	case CTL_STOP_SENDING:
		put_stop(st, o);
		break;
	case CTL_MAX_STREAM_DATA:
		put_max_stream_data(s, st, o);
		break;
	case CTL_STREAM_DATA_BLOCKED:
		put_limit(o, QB_FRAME_STREAM_DATA_BLOCKED, QB_REF_STREAM_DATA_BLOCKED, st->id,
			  st->tx.max);
		break;
	}
}

static bool write_ctl(struct qb_streams *s, struct out *o)
{
	while (!link_empty(&s->ctl_queue)) {
		struct qb_stream *st =
			QB_CONTAINER_OF(s->ctl_queue.next, struct qb_stream, ctl_link);

		while (st->ctl) {
			unsigned int flag = st->ctl & -(unsigned int)st->ctl;

			if (!has_ctl_room(o))
				return false;
			put_ctl(s, st, o, flag);
			st->ctl &= (uint8_t)~flag;
		}
		link_remove(&st->ctl_link);
	}
	return true;
}

/*
 * Appends a STREAM frame with up to `want` bytes from off on, the FIN with it if it ends there.
 * Returns whether it did; *n is the number of bytes.
 */
static bool put_data(struct qb_stream *st, struct out *o, uint64_t off, size_t want, size_t *n)
{
	struct stream_tx *tx = &st->tx;
	size_t fixed_len = qb_stream_hdr_len(st->id, off, 0) - 1;
	struct qb_frame f = {.type = QB_FRAME_STREAM, .stream = {.id = st->id, .off = off}};
	struct qb_frame_ref *ref;
	uint8_t *len_at;

	*n = want ? qb_payload_fit(qb_wr_room(o->w), fixed_len, want) : 0;
	if (is_out_full(o) || *n < QB_MIN(want, (size_t)DATA_MIN))
		return false;
	f.stream.is_fin = tx->state == TX_OPEN && tx->has_fin && off + *n == tx->end;
	if (!qb_frame_try(o->w, &f))
		return false;
	/* The frame was built empty: its length and data go where its zero length stands. */
	len_at = o->w->p - 1;
	o->w->p = len_at + qb_varint_write(len_at, *n);
	qb_chunk_buf_get(&tx->buf, off, o->w->p, *n);
	o->w->p += *n;
	if (f.stream.is_fin) {
		tx->is_fin_sent = true;
		tx->is_fin_lost = false;
	}
	ref = &o->refs[(*o->cnt)++];
	*ref = (struct qb_frame_ref){.kind = QB_REF_STREAM,
				     .is_fin = f.stream.is_fin,
				     .len = (uint32_t)*n,
				     .id = st->id,
				     .off = off};
	return true;
}

/* Lost data and bare FINs of one urgency: covered by credit that was used before. */
static bool write_free(struct qb_streams *s, struct qb_link *queue, struct out *o)
{
	while (!link_empty(queue)) {
		struct qb_stream *st = QB_CONTAINER_OF(queue->next, struct qb_stream, free_link);
		struct stream_tx *tx = &st->tx;
		uint64_t from, to;
		size_t n;

		if (lost_first(tx, &from, &to)) {
			if (!put_data(st, o, from, (size_t)(to - from), &n))
				return false;
			lost_sent(&tx->lost, n);
		} else if (is_bare_fin_due(tx) && !put_data(st, o, tx->end, 0, &n)) {
			return false;
		}
		link_remove(&st->free_link);
		qb_stream_tx_update(s, st);
	}
	return true;
}

/* New data of one urgency: streams that are incremental take turns, others are finished one by one. */
static bool write_new(struct qb_streams *s, struct qb_link *queue, struct out *o)
{
	while (!link_empty(queue) && s->tx_bytes < s->tx_max) {
		struct qb_stream *st = QB_CONTAINER_OF(queue->next, struct qb_stream, data_link);
		struct stream_tx *tx = &st->tx;
		uint64_t want = qb_min_u64(tx->end, tx->max) - tx->next;
		size_t n;

		if (!put_data(st, o, tx->next, (size_t)qb_min_u64(want, s->tx_max - s->tx_bytes),
			      &n))
			return false;
		tx->next += n;
		s->tx_bytes += n;
		if (!st->is_in_turn)
			link_remove(&st->data_link); /* to the end of the queue, if it stays */
		qb_stream_tx_update(s, st);
	}
	return true;
}

static bool write_data(struct qb_streams *s, struct out *o)
{
	for (size_t i = 0; i < QB_STREAM_URGENCY_CNT; i++)
		if (!write_free(s, &s->free_queue[i], o) || !write_new(s, &s->data_queue[i], o))
			return false;
	return true;
}

static void note_blocked(struct qb_streams *s)
{
	if (s->tx_bytes < s->tx_max) {
		s->due &= ~(uint32_t)DUE_DATA_BLOCKED;
	} else if (has_new_data(s) && s->tx_blocked_at != s->tx_max + 1) {
		s->tx_blocked_at = s->tx_max + 1;
		s->due |= DUE_DATA_BLOCKED;
	}
}

size_t qb_streams_write(struct qb_streams *s, struct qb_wr *w, struct qb_frame_ref *refs,
			size_t ref_cap, size_t *ref_cnt, bool is_control_only, uint64_t now_ns)
{
	struct out o = {.w = w, .refs = refs, .cap = ref_cap, .cnt = ref_cnt, .now_ns = now_ns};
	const uint8_t *start = w->p;

	note_blocked(s);
	if (write_due(s, &o) && write_ctl(s, &o) && !is_control_only && write_data(s, &o)) {
		note_blocked(s);
		write_due(s, &o);
		write_ctl(s, &o);
	}
	return (size_t)(w->p - start);
}

/* ---- fates ---- */

static void data_acked(struct qb_streams *s, struct qb_stream *st, const struct qb_frame_ref *ref)
{
	struct stream_tx *tx = &st->tx;

	if (!tx_has_data(tx))
		return;
	tx->is_fin_acked |= ref->is_fin;
	if (tx->is_fin_acked)
		tx->is_fin_lost = false;
	if (qb_chunk_buf_mark(&tx->buf, ref->off, ref->len))
		qb_chunk_buf_release(&tx->buf, tx->buf.frontier);
	if (qb_stream_tx_is_over(tx)) {
		qb_stream_tx_end(s, st, TX_DONE);
		qb_stream_done(s, st);
		return;
	}
	/* Not for every packet: a writer wants a quarter of the buffer at least. */
	if (tx->wants_room && link_empty(&st->starved_link) &&
	    room(s, tx) >= s->send_buf_bytes / 4) {
		tx->wants_room = false;
		qb_stream_event(s, st, EVENT_WRITABLE);
	}
	qb_stream_tx_update(s, st);
}

void qb_streams_on_acked(struct qb_streams *s, const struct qb_frame_ref *ref)
{
	struct qb_stream *st;

	if (ref->kind != QB_REF_STREAM && ref->kind != QB_REF_RESET_STREAM)
		return;
	st = qb_stream_find(s, ref->id);
	if (!st)
		return;
	if (ref->kind == QB_REF_STREAM)
		data_acked(s, st, ref);
	else
		qb_stream_tx_on_reset_fate(s, st, ref, true);
}

static void data_lost(struct qb_streams *s, struct qb_stream *st, const struct qb_frame_ref *ref)
{
	struct stream_tx *tx = &st->tx;
	uint64_t from = qb_max_u64(ref->off, tx->buf.frontier);
	uint64_t to = ref->off + ref->len;

	if (!tx_has_data(tx))
		return;
	if (tx->state == TX_RESET_AT)
		to = qb_min_u64(to, tx->reliable_size);
	if (from < to)
		lost_add(&tx->lost, from, to);
	if (ref->is_fin && !tx->is_fin_acked)
		tx->is_fin_lost = true;
	qb_stream_tx_update(s, st);
}

/* What a stream's lost frame means now: most are sent again only if nothing newer has been. */
static void stream_frame_lost(struct qb_streams *s, struct qb_stream *st,
			      const struct qb_frame_ref *ref)
{
	switch (ref->kind) {
	case QB_REF_STREAM:
		data_lost(s, st, ref);
		break;
	case QB_REF_RESET_STREAM:
		qb_stream_tx_on_reset_fate(s, st, ref, false);
		break;
	case QB_REF_STOP_SENDING:
		if (st->rx.state == RX_OPEN)
			qb_stream_ctl(s, st, CTL_STOP_SENDING);
		break;
	case QB_REF_MAX_STREAM_DATA:
		if (qb_stream_rx_wants_credit(st) && ref->off == st->rx.win.max)
			qb_stream_ctl(s, st, CTL_MAX_STREAM_DATA);
		break;
	case QB_REF_STREAM_DATA_BLOCKED:
		if (is_blocked(st) && ref->off == st->tx.max)
			qb_stream_ctl(s, st, CTL_STREAM_DATA_BLOCKED);
		break;
	default:
		break;
	}
}

static void streams_blocked_lost(struct qb_streams *s, uint64_t max, bool is_uni)
{
	const struct qb_stream_set *set = &s->own[is_uni];

	if (max == set->max && set->opened_cnt >= set->max)
		s->due |= DUE_STREAMS_BLOCKED << is_uni;
}

void qb_streams_on_lost(struct qb_streams *s, const struct qb_frame_ref *ref)
{
	struct qb_stream *st;

	switch (ref->kind) {
	case QB_REF_MAX_DATA:
		if (ref->off == s->rx.max)
			s->due |= DUE_MAX_DATA;
		break;
	case QB_REF_MAX_STREAMS_BIDI:
	case QB_REF_MAX_STREAMS_UNI:
		if (ref->off == s->peer[ref->kind - QB_REF_MAX_STREAMS_BIDI].max)
			s->due |= DUE_MAX_STREAMS << (ref->kind - QB_REF_MAX_STREAMS_BIDI);
		break;
	case QB_REF_DATA_BLOCKED:
		if (ref->off == s->tx_max && s->tx_bytes >= s->tx_max && has_new_data(s))
			s->due |= DUE_DATA_BLOCKED;
		break;
	case QB_REF_STREAMS_BLOCKED_BIDI:
	case QB_REF_STREAMS_BLOCKED_UNI:
		streams_blocked_lost(s, ref->off, ref->kind == QB_REF_STREAMS_BLOCKED_UNI);
		break;
	default:
		st = qb_stream_find(s, ref->id);
		if (st)
			stream_frame_lost(s, st, ref);
	}
}
