/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All streams of one connection (RFC 9000 §2-4), sans I/O: state machines, flow control on both
 * levels, reassembly, retransmission, fair scheduling. The connection feeds frames in, lets this
 * module append frames to its packets, and reports what became of them.
 *
 *     app    qb_streams_open/write_data/read/reset/stop        qb_streams_next_event
 *                     │                                              ▲
 *     packets  qb_streams_write ──► frames + qb_frame_ref      qb_streams_on_frame ◄── frames
 *                                       └──► qb_streams_on_acked | qb_streams_on_lost
 *
 * Stream objects come from a slab, data lies in chunks of a qb_chunk_store; the endpoint owns both
 * and all its connections share them. Peers can hold no more of either than our limits allow: a
 * chunk covers an aligned part of a stream, so a stream's memory is bounded by its window whatever
 * the peer's holes and frame sizes.
 */
#pragma once

#include "base/slab.h"
#include "quic/chunks.h"
#include "quic/frame_ref.h"
#include "quic/quic.h"
#include "wire/frame.h"
#include "wire/tparam.h"

enum {
	QB_STREAM_BUCKET_CNT = 64,
	QB_STREAM_URGENCY_CNT = 8, /* RFC 9218: 0 first */
	QB_STREAM_URGENCY_DEFAULT = 3,
};

struct qb_stream;

struct qb_streams_cfg {
	bool is_server;
	uint32_t own_max;	 /* streams of ours open at once, both kinds together */
	/* Data that one stream holds queued or unacknowledged: at first, and at most where windows are large. */
	uint32_t send_buf_bytes, send_buf_cap_bytes;
	uint64_t max_data_cap,
		max_stream_data_cap; /* how far auto-tuning may open the receive windows */
	struct qb_slab *stream_slab; /* objects of qb_stream_obj_bytes(); borrowed */
	/*
	 * Borrowed. Half of it is kept for receiving; a connection may fill max_data_cap of that,
	 * plus two chunks a stream.
	 */
	struct qb_chunk_store *chunks;
};

/* A node of a circular list; the list's head is one as well. */
struct qb_link {
	struct qb_link *next, *prev;
};

/* A receive window, of a stream or of the connection. */
struct qb_rx_window {
	uint64_t max;	     /* announced to the peer */
	uint64_t consumed;   /* bytes that the application took (or that were thrown away) */
	uint64_t size;	     /* how far max runs ahead of consumed */
	uint64_t updated_ns; /* when max was last raised */
};

/* The streams that one side opened, of one kind. */
struct qb_stream_set {
	uint64_t opened_cnt; /* ever, implicitly ones included */
	uint64_t closed_cnt; /* ever */
	uint64_t max;	     /* ours: the peer's limit for us; the peer's: what we announced */
	uint64_t blocked_at; /* ours: limit at which STREAMS_BLOCKED was last sent, +1; 0: never */
};

struct qb_streams {
	struct qb_streams_cfg cfg;
	struct qb_stream_set own[2], peer[2]; /* [1]: unidirectional */
	uint64_t our_stream_window[3];	/* enum stream_window: initial windows that we announced */
	uint64_t peer_stream_window[3]; /* that the peer announced */
	uint64_t peer_concurrency[2];	/* peer-opened streams that we allow at once */
	uint64_t rtt_ns;
	uint64_t send_buf_bytes; /* what a stream may hold now */
	struct qb_chunk_share tx_share, rx_share;
	uint32_t live_cnt;
	bool can_reset_at; /* the peer knows RESET_STREAM_AT */
	uint32_t due; /* connection-level frames to be sent: bits of enum due_flag */
	/* receiving */
	struct qb_rx_window rx;
	uint64_t rx_bytes; /* sum over streams of the highest offset received */
	/* sending */
	uint64_t tx_max;	  /* MAX_DATA of the peer */
	uint64_t tx_bytes;	  /* sum over streams of the highest offset sent */
	uint64_t tx_blocked_at;	  /* tx_max at which DATA_BLOCKED was last sent, +1; 0: never */
	struct qb_link ctl_queue; /* streams with control frames due */
	/* By urgency: with data that needs no connection credit (lost, or a FIN alone); with new data that
	 * their own credit covers */
	struct qb_link free_queue[QB_STREAM_URGENCY_CNT];
	struct qb_link data_queue[QB_STREAM_URGENCY_CNT];
	struct qb_link starved;			   /* whose writer waits for memory */
	struct qb_link events;			   /* with events to be read */
	struct qb_stream *bucket[QB_STREAM_BUCKET_CNT];
};

/* qb_stream_obj_bytes is the size of the stream slab's objects. */
size_t qb_stream_obj_bytes(void);
/* qb_streams_obj_cnt is how many of them a connection can hold at most. */
uint32_t qb_streams_obj_cnt(const struct qb_streams_cfg *cfg, const struct qb_tparams *ours);

/* qb_streams_init: `ours` are the limits that this endpoint announces in its transport parameters.
 */
void qb_streams_init(struct qb_streams *s, const struct qb_streams_cfg *cfg,
		     const struct qb_tparams *ours);
/* qb_streams_fini gives all memory back. */
void qb_streams_fini(struct qb_streams *s);
/* qb_streams_set_peer_params applies the peer's limits; until then nothing can be opened or sent.
 */
void qb_streams_set_peer_params(struct qb_streams *s, const struct qb_tparams *peer);
/*
 * qb_streams_replace_peer_params forgets limits that were only remembered (0-RTT that was rejected) and applies the peer's.
 * Returns 0, or -EDQUOT where what was sent or opened under the old ones exceeds the new ones.
 */
int qb_streams_replace_peer_params(struct qb_streams *s, const struct qb_tparams *peer) QB_MUST_CHECK;
/* qb_streams_is_own: it is ours to open. */
static inline bool qb_streams_is_own(const struct qb_streams *s, uint64_t id)
{
	return (id & 1) == s->cfg.is_server;
}
/* qb_streams_tx_limit is the peer's limit for what we send on a stream; of one that is over, the largest there is. */
uint64_t qb_streams_tx_limit(const struct qb_streams *s, uint64_t id);
/* qb_streams_set_rtt tells the (largest path's) smoothed RTT, for window auto-tuning. */
static inline void qb_streams_set_rtt(struct qb_streams *s, uint64_t rtt_ns)
{
	s->rtt_ns = rtt_ns;
}

/*
 * qb_streams_set_window tells how much may be in flight on all paths together: a stream holds twice that, what is under way and
 * what comes after it, or its buffer would be the bound of its rate. It never gets less again.
 */
void qb_streams_set_window(struct qb_streams *s, uint64_t bytes);

/* ---- towards the connection ---- */

/*
 * qb_streams_on_frame takes STREAM, RESET_STREAM(_AT), STOP_SENDING, MAX_DATA, MAX_STREAM_DATA,
 * MAX_STREAMS and the *_BLOCKED frames. Returns 0; -EBADMSG with the connection error in *fault; or
 * -ENOBUFS when no memory was left for the data: nothing was taken from this frame, so the packet
 * must not be acknowledged (the peer sends it again), or the connection is closed with the
 * INTERNAL_ERROR that *fault holds then.
 */
int qb_streams_on_frame(struct qb_streams *s, const struct qb_frame *f,
			struct qb_fault *fault) QB_MUST_CHECK;

/* qb_streams_is_frame tells whether a frame type belongs to qb_streams_on_frame. */
bool qb_streams_is_frame(uint64_t type);

/*
 * qb_streams_write appends the stream frames that are due, as many as fit into w and refs, and
 * describes each in refs[*ref_cnt..ref_cap), raising *ref_cnt. All of them elicit ACKs and may
 * stand in 0-RTT and 1-RTT packets. is_control_only leaves STREAM data out. Returns the bytes
 * written.
 */
size_t qb_streams_write(struct qb_streams *s, struct qb_wr *w, struct qb_frame_ref *refs,
			size_t ref_cap, size_t *ref_cnt, bool is_control_only, uint64_t now_ns);
/* qb_streams_has_data: qb_streams_write would write something, given room. */
bool qb_streams_has_data(const struct qb_streams *s);

/* qb_streams_on_acked / _on_lost: fate of a frame that qb_streams_write described. References of
 * streams that are gone are fine, so is on_lost followed by on_acked (a spurious loss) or on_lost
 * twice. */
void qb_streams_on_acked(struct qb_streams *s, const struct qb_frame_ref *ref);
void qb_streams_on_lost(struct qb_streams *s, const struct qb_frame_ref *ref);

/*
 * qb_streams_next_event fills type, stream_id and error_code of QB_EV_STREAM_READABLE, _WRITABLE or
 * _STOPPED. READABLE comes for each arrival of something that can be read (not again for what was
 * left unread); WRITABLE once after a write that was short. Returns false when there is none.
 */
bool qb_streams_next_event(struct qb_streams *s, struct qb_quic_event *ev);
/* qb_streams_has_event: qb_streams_next_event would return one. */
bool qb_streams_has_event(const struct qb_streams *s);

/* ---- towards the application: the stream calls of quic/quic.h ---- */

/* qb_streams_open returns the stream ID, or -EAGAIN at the peer's limit, ours (own_max), or without
 * memory. */
int64_t qb_streams_open(struct qb_streams *s, bool is_bidi) QB_MUST_CHECK;
/* qb_streams_write_data: see qb_conn_stream_write. -EPIPE, -ENOENT. */
int64_t qb_streams_write_data(struct qb_streams *s, uint64_t id, const void *data, size_t len,
			      bool is_fin);
/* qb_streams_read: see qb_conn_stream_read. -ECONNRESET, -ENOENT. */
int64_t qb_streams_read(struct qb_streams *s, uint64_t id, void *out, size_t cap, bool *is_fin,
			uint64_t *error_code);
/* qb_streams_reset abandons sending: RESET_STREAM. -ENOENT; 0 also when all was delivered already.
 */
int qb_streams_reset(struct qb_streams *s, uint64_t id, uint64_t error_code);
/* qb_streams_reset_at: see qb_conn_stream_reset_at. */
int qb_streams_reset_at(struct qb_streams *s, uint64_t id, uint64_t error_code, uint64_t reliable_size);
/* qb_streams_stop asks the peer to stop: STOP_SENDING. What arrives is thrown away. -ENOENT. */
int qb_streams_stop(struct qb_streams *s, uint64_t id, uint64_t error_code);
/* qb_streams_set_priority: see qb_conn_stream_priority. -ENOENT. */
int qb_streams_set_priority(struct qb_streams *s, uint64_t id, uint8_t urgency, bool is_incremental);
