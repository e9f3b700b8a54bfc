/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The streams of a connection: opening, finding and ending them, the peer's and our limits, events.
 * Called by the connection, on its worker's thread. The receiving and sending parts are
 * stream_recv.c and stream_send.c.
 */
#include "quic/streams_impl.h"

#include <errno.h>

#include "base/hash.h"

/* ---- set-up ---- */

size_t qb_stream_obj_bytes(void)
{
	return sizeof(struct qb_stream);
}

uint32_t qb_streams_obj_cnt(const struct qb_streams_cfg *cfg, const struct qb_tparams *ours)
{
	return cfg->own_max + (uint32_t)ours->max_streams_bidi + (uint32_t)ours->max_streams_uni;
}

void qb_streams_init(struct qb_streams *s, const struct qb_streams_cfg *cfg,
		     const struct qb_tparams *ours)
{
	*s = (struct qb_streams){.cfg = *cfg};
	s->send_buf_bytes = cfg->send_buf_bytes;
	s->our_stream_window[WINDOW_BIDI_LOCAL] = ours->max_stream_data_bidi_local;
	s->our_stream_window[WINDOW_BIDI_REMOTE] = ours->max_stream_data_bidi_remote;
	s->our_stream_window[WINDOW_UNI] = ours->max_stream_data_uni;
	s->peer[0].max = s->peer_concurrency[0] = ours->max_streams_bidi;
	s->peer[1].max = s->peer_concurrency[1] = ours->max_streams_uni;
	s->rx = (struct qb_rx_window){.max = ours->max_data, .size = ours->max_data};
	s->tx_share.store = s->rx_share.store = cfg->chunks;
	link_init(&s->ctl_queue);
	for (size_t i = 0; i < QB_STREAM_URGENCY_CNT; i++) {
		link_init(&s->free_queue[i]);
		link_init(&s->data_queue[i]);
	}
	link_init(&s->starved);
	link_init(&s->events);
}

/* Which initial window a stream has, as the endpoint that does (not) own it announces it. */
static enum stream_window window_kind(uint64_t id, bool is_announcers)
{
	if (id_is_uni(id))
		return WINDOW_UNI;
	return is_announcers ? WINDOW_BIDI_LOCAL : WINDOW_BIDI_REMOTE;
}

static uint64_t initial_tx_max(const struct qb_streams *s, uint64_t id)
{
	return s->peer_stream_window[window_kind(id, !qb_streams_is_own(s, id))];
}

void qb_streams_set_peer_params(struct qb_streams *s, const struct qb_tparams *peer)
{
	s->tx_max = qb_max_u64(s->tx_max, peer->max_data);
	s->can_reset_at = peer->reset_stream_at;
	s->own[0].max = qb_max_u64(s->own[0].max, peer->max_streams_bidi);
	s->own[1].max = qb_max_u64(s->own[1].max, peer->max_streams_uni);
	s->peer_stream_window[WINDOW_BIDI_LOCAL] = peer->max_stream_data_bidi_local;
	s->peer_stream_window[WINDOW_BIDI_REMOTE] = peer->max_stream_data_bidi_remote;
	s->peer_stream_window[WINDOW_UNI] = peer->max_stream_data_uni;
	for (size_t i = 0; i < QB_STREAM_BUCKET_CNT; i++) {
		for (struct qb_stream *st = s->bucket[i]; st; st = st->bucket_next) {
			st->tx.max = qb_max_u64(st->tx.max, initial_tx_max(s, st->id));
			qb_stream_tx_update(s, st);
		}
	}
}

int qb_streams_replace_peer_params(struct qb_streams *s, const struct qb_tparams *peer)
{
	if (s->tx_bytes > peer->max_data || s->own[0].opened_cnt > peer->max_streams_bidi ||
	    s->own[1].opened_cnt > peer->max_streams_uni)
		return -EDQUOT;
	s->tx_max = 0;
	s->own[0].max = s->own[1].max = 0;
	for (size_t i = 0; i < QB_STREAM_BUCKET_CNT; i++) {
		for (struct qb_stream *st = s->bucket[i]; st; st = st->bucket_next)
			st->tx.max = 0;
	}
	qb_streams_set_peer_params(s, peer);
	for (size_t i = 0; i < QB_STREAM_BUCKET_CNT; i++) {
		for (struct qb_stream *st = s->bucket[i]; st; st = st->bucket_next) {
			if (st->tx.state != TX_NONE && st->tx.next > st->tx.max)
				return -EDQUOT;
		}
	}
	return 0;
}

void qb_streams_set_window(struct qb_streams *s, uint64_t bytes)
{
	s->send_buf_bytes = qb_max_u64(s->send_buf_bytes, qb_min_u64(2 * bytes, s->cfg.send_buf_cap_bytes));
}

/* ---- life of a stream ---- */

static struct qb_stream **bucket_of(struct qb_streams *s, uint64_t id)
{
	return &s->bucket[qb_mix_u64(id) % QB_STREAM_BUCKET_CNT];
}

struct qb_stream *qb_stream_find(const struct qb_streams *s, uint64_t id)
{
	struct qb_stream *st = *bucket_of((struct qb_streams *)s, id);

	while (st && st->id != id)
		st = st->bucket_next;
	return st;
}

uint64_t qb_streams_tx_limit(const struct qb_streams *s, uint64_t id)
{
	const struct qb_stream *st = qb_stream_find(s, id);

	return st ? st->tx.max : QB_VARINT_MAX;
}

static void init_parts(struct qb_streams *s, struct qb_stream *st)
{
	bool is_own = qb_streams_is_own(s, st->id);
	bool is_uni = id_is_uni(st->id);
	uint64_t window = s->our_stream_window[window_kind(st->id, is_own)];

	st->tx.state = is_uni && !is_own ? TX_NONE : TX_OPEN;
	st->tx.max = initial_tx_max(s, st->id);
	qb_chunk_buf_init_shared(&st->tx.buf, &s->tx_share);
	st->rx.state = is_uni && is_own ? RX_NONE : RX_OPEN;
	st->rx.final_size = NO_SIZE;
	st->rx.win = (struct qb_rx_window){.max = window, .size = window};
	qb_chunk_buf_init_shared(&st->rx.buf, &s->rx_share);
}

static struct qb_stream *stream_new(struct qb_streams *s, uint64_t id)
{
	struct qb_stream *st = qb_slab_get(s->cfg.stream_slab);
	struct qb_stream **head = bucket_of(s, id);

	if (!st)
		return NULL;
	*st = (struct qb_stream){.id = id, .urgency = QB_STREAM_URGENCY_DEFAULT};
	link_init(&st->ctl_link);
	link_init(&st->free_link);
	link_init(&st->data_link);
	link_init(&st->starved_link);
	link_init(&st->event_link);
	init_parts(s, st);
	st->bucket_next = *head;
	*head = st;
	s->live_cnt++;
	return st;
}

static void stream_free(struct qb_streams *s, struct qb_stream *st)
{
	struct qb_stream **p = bucket_of(s, st->id);

	while (*p != st)
		p = &(*p)->bucket_next;
	*p = st->bucket_next;
	link_remove(&st->ctl_link);
	link_remove(&st->free_link);
	link_remove(&st->data_link);
	link_remove(&st->starved_link);
	link_remove(&st->event_link);
	qb_chunk_buf_clear(&st->tx.buf);
	qb_chunk_buf_clear(&st->rx.buf);
	qb_slab_put(s->cfg.stream_slab, st);
	s->live_cnt--;
}

/* The peer may open another stream for each that is over; it is told of a quarter of them at a
 * time. */
static void on_peer_stream_closed(struct qb_streams *s, bool is_uni)
{
	struct qb_stream_set *set = &s->peer[is_uni];
	uint64_t due = set->closed_cnt + s->peer_concurrency[is_uni] - set->max;

	if (due >= (s->peer_concurrency[is_uni] + 3) / 4 && set->max < QB_STREAMS_LIMIT_MAX)
		s->due |= DUE_MAX_STREAMS << is_uni;
}

void qb_stream_done(struct qb_streams *s, struct qb_stream *st)
{
	bool is_own = qb_streams_is_own(s, st->id);
	bool is_uni = id_is_uni(st->id);

	if (tx_has_data(&st->tx) || st->tx.state == TX_RESET || st->rx.state == RX_OPEN)
		return;
	if (st->events & EVENT_STOPPED)
		return;
	stream_free(s, st);
	if (is_own) {
		s->own[is_uni].closed_cnt++;
	} else {
		s->peer[is_uni].closed_cnt++;
		on_peer_stream_closed(s, is_uni);
	}
}

void qb_streams_fini(struct qb_streams *s)
{
	for (size_t i = 0; i < QB_STREAM_BUCKET_CNT; i++)
		while (s->bucket[i])
			stream_free(s, s->bucket[i]);
}

int64_t qb_streams_open(struct qb_streams *s, bool is_bidi)
{
	bool is_uni = !is_bidi;
	struct qb_stream_set *set = &s->own[is_uni];
	uint64_t live_cnt = s->own[0].opened_cnt - s->own[0].closed_cnt + s->own[1].opened_cnt -
			    s->own[1].closed_cnt;
	uint64_t id = set->opened_cnt << 2 | (uint64_t)is_uni << 1 | s->cfg.is_server;

	if (set->opened_cnt >= set->max) {
		if (set->blocked_at != set->max + 1) {
			set->blocked_at = set->max + 1;
			s->due |= DUE_STREAMS_BLOCKED << is_uni;
		}
		return -EAGAIN;
	}
	if (live_cnt >= s->cfg.own_max || !stream_new(s, id))
		return -EAGAIN;
	set->opened_cnt++;
	return (int64_t)id;
}

/* A stream that the peer uses opens all lower ones of its kind too (RFC 9000 §2.1). */
static int open_peer_streams(struct qb_streams *s, uint64_t id, struct qb_fault *fault)
{
	struct qb_stream_set *set = &s->peer[id_is_uni(id)];
	uint64_t cnt = (id >> 2) + 1;
	const struct qb_slab *slab = s->cfg.stream_slab;

	if (cnt <= set->opened_cnt)
		return 0;
	if (cnt > set->max)
		return qb_fault_set(fault, QB_QUIC_STREAM_LIMIT_ERROR, "stream ID above the limit");
	if (cnt - set->opened_cnt > slab->cap - slab->used_cnt) {
		qb_fault_set(fault, QB_QUIC_INTERNAL_ERROR, "no memory for streams");
		return -ENOBUFS;
	}
	while (set->opened_cnt < cnt)
		stream_new(s, set->opened_cnt++ << 2 | (id & 3));
	return 0;
}

/* ---- frames ---- */

enum part { PART_RX, PART_TX };

/*
 * Finds the stream that a frame is about, opening it where the peer may; *out is NULL for one that
 * is over (RFC 9000 §19.4-19.13: which frames are wrong for which kinds).
 */
static int stream_for_frame(struct qb_streams *s, uint64_t id, enum part part,
			    struct qb_stream **out, struct qb_fault *fault)
{
	bool is_own = qb_streams_is_own(s, id);

	*out = NULL;
	if (id_is_uni(id) && is_own == (part == PART_RX))
		return qb_fault_set(fault, QB_QUIC_STREAM_STATE_ERROR,
				    part == PART_RX ? "stream is send-only"
						    : "stream is receive-only");
	if (is_own && id >> 2 >= s->own[id_is_uni(id)].opened_cnt)
		return qb_fault_set(fault, QB_QUIC_STREAM_STATE_ERROR, "stream not opened yet");
	if (!is_own) {
		int rc = open_peer_streams(s, id, fault);

		if (rc)
			return rc;
	}
	*out = qb_stream_find(s, id);
	return 0;
}

static void on_stop_sending(struct qb_streams *s, struct qb_stream *st, uint64_t error_code)
{
	if (!tx_has_data(&st->tx))
		return;
	/* The code is copied (RFC 9000 §3.5). */
	qb_stream_tx_reset(s, st, error_code);
	st->stop_code = error_code;
	qb_stream_event(s, st, EVENT_STOPPED);
}

static void on_max_stream_data(struct qb_streams *s, struct qb_stream *st, uint64_t max)
{
	if (max <= st->tx.max)
		return;
	st->tx.max = max;
	qb_stream_tx_update(s, st);
}

static void on_max_data(struct qb_streams *s, uint64_t max)
{
	if (max <= s->tx_max)
		return;
	s->tx_max = max;
	s->due &= ~(uint32_t)DUE_DATA_BLOCKED;
}

static void on_max_streams(struct qb_streams *s, uint64_t max, bool is_uni)
{
	s->own[is_uni].max = qb_max_u64(s->own[is_uni].max, max);
	if (s->own[is_uni].opened_cnt < s->own[is_uni].max)
		s->due &= ~(uint32_t)(DUE_STREAMS_BLOCKED << is_uni);
}

static int on_rx_frame(struct qb_streams *s, const struct qb_frame *f, uint64_t id,
		       struct qb_fault *fault)
{
	struct qb_stream *st;
	int rc = stream_for_frame(s, id, PART_RX, &st, fault);

	if (rc || !st)
		return rc;
	if (f->type == QB_FRAME_STREAM)
		return qb_stream_rx_on_stream(s, st, &f->stream, fault);
	if (f->type == QB_FRAME_STREAM_DATA_BLOCKED)
		return 0;
	return qb_stream_rx_on_reset(s, st, f, fault);
}

static int on_tx_frame(struct qb_streams *s, const struct qb_frame *f, uint64_t id,
		       struct qb_fault *fault)
{
	struct qb_stream *st;
	int rc = stream_for_frame(s, id, PART_TX, &st, fault);

	if (rc || !st)
		return rc;
	if (f->type == QB_FRAME_STOP_SENDING)
		on_stop_sending(s, st, f->stop_sending.error_code);
	else
		on_max_stream_data(s, st, f->limit.max);
	return 0;
}

int qb_streams_on_frame(struct qb_streams *s, const struct qb_frame *f, struct qb_fault *fault)
{
	switch (f->type) {
	case QB_FRAME_STREAM:
		return on_rx_frame(s, f, f->stream.id, fault);
	case QB_FRAME_RESET_STREAM:
	case QB_FRAME_RESET_STREAM_AT:
		return on_rx_frame(s, f, f->reset_stream.id, fault);
	case QB_FRAME_STREAM_DATA_BLOCKED:
		return on_rx_frame(s, f, f->limit.stream_id, fault);
	case QB_FRAME_STOP_SENDING:
		return on_tx_frame(s, f, f->stop_sending.id, fault);
	case QB_FRAME_MAX_STREAM_DATA:
		return on_tx_frame(s, f, f->limit.stream_id, fault);
	case QB_FRAME_MAX_DATA:
		on_max_data(s, f->limit.max);
		return 0;
	case QB_FRAME_MAX_STREAMS_BIDI:
	case QB_FRAME_MAX_STREAMS_UNI:
		on_max_streams(s, f->limit.max, f->type == QB_FRAME_MAX_STREAMS_UNI);
		return 0;
	default: /* DATA_BLOCKED, STREAMS_BLOCKED: credit never waits for them (RFC 9000 §4.1) */
		return 0;
	}
}

bool qb_streams_is_frame(uint64_t type)
{
	return type == QB_FRAME_RESET_STREAM || type == QB_FRAME_STOP_SENDING ||
	       type == QB_FRAME_RESET_STREAM_AT ||
	       (type >= QB_FRAME_STREAM && type <= QB_FRAME_STREAMS_BLOCKED_UNI);
}

/* ---- events and control frames ---- */

void qb_stream_event(struct qb_streams *s, struct qb_stream *st, enum event_flag flag)
{
	st->events |= (uint8_t)flag;
	link_set(&s->events, &st->event_link, true);
}

void qb_stream_ctl(struct qb_streams *s, struct qb_stream *st, enum ctl_flag flag)
{
	st->ctl |= (uint8_t)flag;
	link_set(&s->ctl_queue, &st->ctl_link, true);
}

void qb_stream_event_clear(struct qb_streams *s, struct qb_stream *st, enum event_flag flag)
{
	st->events &= (uint8_t)~flag;
	link_set(&s->events, &st->event_link, st->events);
}

void qb_stream_ctl_clear(struct qb_streams *s, struct qb_stream *st, enum ctl_flag flag)
{
	st->ctl &= (uint8_t)~flag;
	link_set(&s->ctl_queue, &st->ctl_link, st->ctl);
}

static bool can_feed(const struct qb_streams *s)
{
	return !link_empty(&s->starved) && qb_chunk_share_send_room(&s->tx_share) > 0;
}

bool qb_streams_has_event(const struct qb_streams *s)
{
	return !link_empty(&s->events) || can_feed(s);
}

/* Takes one event off the stream: the one that explains the others first. */
static enum event_flag take_event(struct qb_streams *s, struct qb_stream *st)
{
	enum event_flag flag = EVENT_WRITABLE;

	if (st->events & EVENT_STOPPED)
		flag = EVENT_STOPPED;
	else if (st->events & EVENT_READABLE)
		flag = EVENT_READABLE;
	qb_stream_event_clear(s, st, flag);
	return flag;
}

bool qb_streams_next_event(struct qb_streams *s, struct qb_quic_event *ev)
{
	struct qb_stream *st;

	if (can_feed(s)) {
		st = QB_CONTAINER_OF(s->starved.next, struct qb_stream, starved_link);
		link_remove(&st->starved_link);
		st->tx.wants_room = false;
		qb_stream_event(s, st, EVENT_WRITABLE);
	}
	if (link_empty(&s->events))
		return false;
	st = QB_CONTAINER_OF(s->events.next, struct qb_stream, event_link);
	ev->stream_id = st->id;
	switch (take_event(s, st)) {
	case EVENT_STOPPED:
		ev->type = QB_EV_STREAM_STOPPED;
		ev->error_code = st->stop_code;
		qb_stream_done(s, st);
		break;
	case EVENT_READABLE:
		ev->type = QB_EV_STREAM_READABLE;
		break;
	case EVENT_WRITABLE:
		ev->type = QB_EV_STREAM_WRITABLE;
		break;
	}
	return true;
}
