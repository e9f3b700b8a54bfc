/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside quic/streams: one stream, and what streams.c (life, limits, events), stream_recv.c and
 * stream_send.c share. Nobody else includes this.
 */
#pragma once

#include "quic/streams.h"

enum stream_window { WINDOW_BIDI_LOCAL, WINDOW_BIDI_REMOTE, WINDOW_UNI };

/* Connection-level frames that are due; the pairs are indexed by "is unidirectional". */
enum due_flag {
	DUE_MAX_DATA = 1 << 0,
	DUE_DATA_BLOCKED = 1 << 1,
	DUE_MAX_STREAMS = 1 << 2,     /* << 1 for unidirectional */
	DUE_STREAMS_BLOCKED = 1 << 4, /* << 1 likewise */
};

/* Control frames of a stream that are due. */
enum ctl_flag {
	CTL_RESET_STREAM = 1 << 0,
	CTL_STOP_SENDING = 1 << 1,
	CTL_MAX_STREAM_DATA = 1 << 2,
	CTL_STREAM_DATA_BLOCKED = 1 << 3,
};

enum event_flag {
	EVENT_READABLE = 1 << 0,
	EVENT_WRITABLE = 1 << 1,
	EVENT_STOPPED = 1 << 2,
};

/*
 * Sending part (RFC 9000 §3.1). TX_OPEN is Ready, Send and Data Sent together: has_fin and
 * is_fin_sent tell. TX_RESET_AT still delivers what was promised (RESET_STREAM_AT).
 *
 *     TX_OPEN ──all acknowledged───────────────────────────────► TX_DONE
 *      │ └──reset at──► TX_RESET_AT ──both acknowledged────────────▲
 *      │                   └──reset──┐                             │
 *      └──reset──────────────────────┴──► TX_RESET ──acknowledged──┘
 */
enum tx_state { TX_NONE, TX_OPEN, TX_RESET_AT, TX_RESET, TX_DONE };

/*
 * Receiving part (RFC 9000 §3.2). RX_OPEN is Recv, Size Known, Data Recvd and Reset Recvd; RX_DONE:
 * the application has read to the end, has seen the reset, or asked to stop and the final size is
 * known.
 */
enum rx_state { RX_NONE, RX_OPEN, RX_DONE };

enum { LOST_MAX = 16 };

#define NO_SIZE UINT64_MAX

/* Data to be sent again: ascending, disjoint. Where there are too many pieces, neighbours are
 * joined. */
struct lost_set {
	uint32_t cnt;
	struct {
		uint64_t from, to;
	} r[LOST_MAX];
};

struct stream_tx {
	enum tx_state state;
	bool has_fin; /* `end` is final */
	bool is_fin_sent, is_fin_acked, is_fin_lost;
	bool wants_room;     /* a write was short */
	uint64_t next;	     /* first byte never sent */
	uint64_t end;	     /* first byte never written by the application */
	uint64_t max;	     /* MAX_STREAM_DATA of the peer */
	uint64_t blocked_at; /* max at which STREAM_DATA_BLOCKED was last due, +1; 0: never */
	uint64_t reset_code;
	uint64_t reliable_size; /* of the reset; its final size is `next` */
	bool is_reset_acked;
	bool is_reset_due; /* RESET_STREAM_AT, once all that it promises was sent */
	struct qb_chunk_buf
		buf; /* marks: acknowledged; base: what was acknowledged without a gap */
	struct lost_set lost;
};

struct stream_rx {
	enum rx_state state;
	bool is_stopped; /* by our STOP_SENDING */
	bool has_reset;	 /* by the peer */
	bool is_fin_told, is_reset_told;
	uint64_t highest;	/* first byte never received; what flow control counts */
	uint64_t final_size;	/* or NO_SIZE */
	uint64_t reliable_size; /* with has_reset: data up to here is still delivered */
	uint64_t reset_code, stop_code;
	struct qb_rx_window
		win; /* consumed: also what this stream has given back to the connection's window */
	struct qb_chunk_buf buf; /* marks: received; base: read */
};

struct qb_stream {
	uint64_t id;
	struct qb_stream *bucket_next;
	struct qb_link ctl_link, free_link, data_link, starved_link, event_link;
	uint8_t ctl;	/* enum ctl_flag */
	uint8_t events; /* enum event_flag */
	uint8_t urgency;
	bool is_in_turn; /* RFC 9218: not incremental, to be finished before the next one */
	uint64_t stop_code; /* of the peer's STOP_SENDING */
	struct stream_tx tx;
	struct stream_rx rx;
};

/* ---- lists ---- */

static inline void link_init(struct qb_link *l)
{
	l->next = l->prev = l;
}

/* Of a head: the list is empty. Of a node: it is in no list. */
static inline bool link_empty(const struct qb_link *l)
{
	return l->next == l;
}

static inline void link_remove(struct qb_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	link_init(l);
}

/* Puts a node that is in no list last. */
static inline void link_append(struct qb_link *head, struct qb_link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

/* Puts a node last or takes it out, whatever it was before; one that stays keeps its place. */
static inline void link_set(struct qb_link *head, struct qb_link *l, bool is_in)
{
	if (is_in && link_empty(l))
		link_append(head, l);
	else if (!is_in && !link_empty(l))
		link_remove(l);
}

/* ---- stream IDs (RFC 9000 §2.1) ---- */

static inline bool id_is_uni(uint64_t id)
{
	return id & 2;
}

/* ---- streams.c ---- */

struct qb_stream *qb_stream_find(const struct qb_streams *s, uint64_t id);
/* qb_stream_done frees the stream if both parts are over and the application knows what it must. */
void qb_stream_done(struct qb_streams *s, struct qb_stream *st);
/* qb_stream_event / qb_stream_ctl make an event or a control frame due; _clear takes it back. */
void qb_stream_event(struct qb_streams *s, struct qb_stream *st, enum event_flag flag);
void qb_stream_event_clear(struct qb_streams *s, struct qb_stream *st, enum event_flag flag);
void qb_stream_ctl(struct qb_streams *s, struct qb_stream *st, enum ctl_flag flag);
void qb_stream_ctl_clear(struct qb_streams *s, struct qb_stream *st, enum ctl_flag flag);

/* ---- stream_recv.c ---- */

int qb_stream_rx_on_stream(struct qb_streams *s, struct qb_stream *st,
			   const struct qb_frame_stream *f, struct qb_fault *fault);
int qb_stream_rx_on_reset(struct qb_streams *s, struct qb_stream *st, const struct qb_frame *f,
			  struct qb_fault *fault);
/* qb_stream_rx_window_raise moves a window ahead of what was consumed, wider if the peer keeps
 * running into it. */
void qb_stream_rx_window_raise(struct qb_rx_window *win, uint64_t cap, uint64_t rtt_ns,
			       uint64_t now_ns);
/* qb_stream_rx_wants_credit: the peer's STREAM frames still need our MAX_STREAM_DATA. */
bool qb_stream_rx_wants_credit(const struct qb_stream *st);

/* tx_has_data: data of it may still have to be sent. */
static inline bool tx_has_data(const struct stream_tx *tx)
{
	return tx->state == TX_OPEN || tx->state == TX_RESET_AT;
}

/* ---- stream_reset.c ---- */

void qb_stream_tx_reset(struct qb_streams *s, struct qb_stream *st, uint64_t error_code);
/* qb_stream_tx_end: the sending part is over or abandoned, nothing of it is kept. */
void qb_stream_tx_end(struct qb_streams *s, struct qb_stream *st, enum tx_state state);
/* qb_stream_tx_fill_reset makes the frame that is due. */
void qb_stream_tx_fill_reset(const struct qb_stream *st, struct qb_frame *f, struct qb_frame_ref *ref);
void qb_stream_tx_on_reset_fate(struct qb_streams *s, struct qb_stream *st, const struct qb_frame_ref *ref,
				bool is_acked);
/* qb_stream_tx_is_over: everything that had to arrive was acknowledged. */
bool qb_stream_tx_is_over(const struct stream_tx *tx);

/* ---- stream_send.c ---- */

/* qb_stream_tx_update puts the stream into the queues that it belongs to by now. */
void qb_stream_tx_update(struct qb_streams *s, struct qb_stream *st);
