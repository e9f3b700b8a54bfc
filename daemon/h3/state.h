/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of HTTP/3 on a connection, private to this folder, and who looks after which part:
 *
 *     h3.c       birth, dispatch of QUIC's events, the round that finds the next event
 *     control.c  the peer's unidirectional streams: control, QPACK, unknown ones
 *     request.c  what the peer sends on request streams
 *     session.c  what the owner asks for: requests, responses, capsules, datagrams
 *     plain.c    plain requests and responses, and their bodies
 *     stream.c   the bytes between a QUIC stream and its buffers
 *
 * Streams are read only in qb_h3_next_event, and only until something is to be told: what is not
 * read yet stays in QUIC's flow control, so nothing has to be queued here.
 */
#pragma once

#include "h3/capsule.h"
#include "h3/frames.h"
#include "h3/h3.h"
#include "h3/message.h"
#include "h3/qpack.h"
#include "h3/settings.h"

enum {
	QB_H3_UNIS_MAX = 8, /* the peer's three, and some whose type is not known yet */
	QB_H3_OWN_UNIS = 3, /* control, QPACK encoder, QPACK decoder */
	QB_H3_IN_BYTES = 1024,
	QB_H3_UPDATES_MAX = 8, /* priorities kept for requests that are still to come; the oldest is forgotten */
	/* Requests that a client may give up; one that ended in order makes up for some. */
	QB_H3_PATIENCE = 100,
	QB_H3_PATIENCE_EARNED = 4,
	QB_H3_OUT_BYTES =
		QB_CAPSULE_BYTES_MAX + 1024, /* the largest capsule, and others before it */
};

/* Bytes that were read from a stream and not looked at yet. */
struct qb_h3_in {
	uint16_t off, len;
	bool is_readable; /* QUIC said so, and it has not run dry since */
	bool has_fin;	  /* the stream ends after these bytes */
	uint8_t buf[QB_H3_IN_BYTES];
};

/* Bytes that the stream did not take yet. */
struct qb_h3_out {
	uint64_t id; /* of the stream */
	uint16_t off, len;
	bool has_fin; /* FIN follows them */
	bool is_done; /* FIN or a reset was sent: nothing can follow */
};

/* ---- the peer's unidirectional streams ---- */

enum qb_h3_uni_kind {
	QB_H3_UNI_FREE,
	QB_H3_UNI_NEW, /* its type is not complete */
	QB_H3_UNI_CONTROL,
	QB_H3_UNI_ENCODER,
	QB_H3_UNI_DECODER,
};

struct qb_h3_uni {
	uint64_t id;
	enum qb_h3_uni_kind kind;
	bool is_readable;
	uint8_t type[8], type_len;
};

struct qb_h3_control {
	struct qb_h3_in in;
	struct qb_h3_framer framer;
	struct qb_h3_settings_parser settings;
	bool has_frame;		     /* the first frame began, so SETTINGS are over or under way */
	uint8_t value[8 + QB_H3_PRIORITY_BYTES], value_len; /* first bytes of the frame's payload */
	bool is_cut; /* there were more */
	uint64_t goaway_id;	     /* the last one; at first the largest */
	uint64_t max_push_id;
	bool has_max_push_id;
};

/* ---- request streams ---- */

/* A PRIORITY_UPDATE that came before its request (RFC 9218 §7). */
struct qb_h3_update {
	uint64_t id; /* of the stream */
	struct qb_h3_priority priority; /* not given: the slot is free */
};

enum qb_h3_phase {
	QB_H3_FREE,
	QB_H3_HEADERS, /* waiting for the request (server) or the response (client) */
	QB_H3_HELD,    /* server: a request that waits for the peer's SETTINGS */
	QB_H3_OFFERED, /* server: a request that waits for qb_h3_respond */
	QB_H3_OPEN,    /* a session */
	QB_H3_ENDED,   /* a session that is over: QB_H3_EV_CLOSED is due */
	QB_H3_DRAIN,   /* what is left in the output buffer is still to go out */
	QB_H3_ASKED,   /* server: a plain request that was not told, or waits for qb_h3_reply */
	QB_H3_REPLY,   /* server: its body is being sent */
	QB_H3_BODY,    /* client: the body of a response is read */
};

/* Where a session's or request's bytes go; apart, so that the scan over requests stays in few cache
 * lines. */
struct qb_h3_room {
	struct qb_h3_in in; /* first: all that most sessions ever touch lies together */
	union {
		uint8_t section[QB_QPACK_SECTION_MAX]; /* HEADERS */
		struct {
			char authority[QB_H3_FIELD_MAX], path[QB_H3_FIELD_MAX];
		} request;			 /* HELD */
		union qb_capsule_store capsules; /* OPEN */
	};
	uint8_t out[QB_H3_OUT_BYTES];
};

struct qb_h3_request {
	uint64_t id;
	enum qb_h3_phase phase;
	bool is_told; /* the owner knows the session: it must hear of its end */
	bool is_plain;	    /* no CONNECT */
	bool is_head, has_trailers;
	bool has_end; /* the peer's side is over */
	bool is_due;	    /* BODY or WRITABLE is to be told */
	uint64_t body_left; /* bytes still to come or to send; QB_H3_LEN_UNKNOWN: not announced */
	uint16_t section_len;
	uint64_t error_code; /* ENDED */
	struct qb_h3_group group; /* server: of the request */
	struct qb_h3_framer framer;
	struct qb_capsule_parser capsule;
	struct qb_h3_out out;
	struct qb_h3_room *room;
};

/* Which of the peer's streams of a kind were seen: everything below `next`, but for the zero bits.
 */
struct qb_h3_window {
	uint64_t next; /* stream number (ID / 4) after the highest one */
	uint64_t seen; /* bit i: next - 1 - i */
};

struct qb_h3 {
	struct qb_conn *conn; /* borrowed */
	bool is_server;
	bool is_failed; /* the connection is being closed: nothing happens any more */
	bool has_settings;
	bool is_resumed; /* client: the settings of an earlier connection hold until the peer's are here */
	bool can_datagrams; /* both sides said so */
	bool can_connect;   /* client: ENABLE_CONNECT_PROTOCOL too */
	bool is_going_away;
	bool is_serving; /* server: plain requests are the owner's */
	struct qb_h3_update updates[QB_H3_UPDATES_MAX];
	uint8_t updates_next; /* the slot that the next one takes */
	uint8_t patience; /* server: for so many more that are given up */
	struct qb_h3_window bidi_seen, uni_seen;
	struct qb_qpack_decoder_stream decoder_stream;
	struct qb_h3_uni unis[QB_H3_UNIS_MAX];
	struct qb_h3_out own[QB_H3_OWN_UNIS];
	uint8_t own_out[QB_H3_OWN_UNIS][128];
	struct qb_h3_request requests[QB_H3_REQUESTS_MAX];
	struct qb_h3_control control;
	struct qb_h3_room rooms[QB_H3_REQUESTS_MAX];
};

/* qb_h3_fail closes the connection with an HTTP/3 error. Returns -EPROTO. */
int qb_h3_fail(struct qb_h3 *h, uint64_t error_code, const char *why);

/* ---- stream.c ---- */

/* What qb_h3_window_take says of a stream number. */
enum qb_h3_seen { QB_H3_SEEN_NEW, QB_H3_SEEN_BEFORE, QB_H3_SEEN_TOO_OLD };
enum qb_h3_seen qb_h3_window_take(struct qb_h3_window *w, uint64_t number);

/*
 * qb_h3_in_fill reads on when all was taken. Returns the bytes there are, 0 (none now, or the end:
 * has_fin), or -ECONNRESET with the peer's code.
 */
int qb_h3_in_fill(struct qb_conn *c, uint64_t id, struct qb_h3_in *in, uint64_t *error_code);
/* qb_h3_in_rd and qb_h3_in_taken bracket a parser: the bytes to read, and how far it came. */
struct qb_rd qb_h3_in_rd(const struct qb_h3_in *in);
void qb_h3_in_taken(struct qb_h3_in *in, const struct qb_rd *rd);

/* qb_h3_out_put queues bytes whole or not at all, and sends what the stream takes. 0, -EAGAIN or
 * -EPIPE. */
int qb_h3_out_put(struct qb_conn *c, struct qb_h3_out *o, uint8_t *buf, size_t cap,
		  const uint8_t *data, size_t len);
void qb_h3_out_fin(struct qb_conn *c, struct qb_h3_out *o, uint8_t *buf);
void qb_h3_out_flush(struct qb_conn *c, struct qb_h3_out *o, uint8_t *buf);
void qb_h3_out_reset(struct qb_conn *c, struct qb_h3_out *o, uint64_t error_code);

/* ---- control.c ---- */

void qb_h3_uni_on_readable(struct qb_h3 *h, uint64_t id);
/* qb_h3_unis_poll reads the peer's unidirectional streams. Returns true when *ev was filled in. */
bool qb_h3_unis_poll(struct qb_h3 *h, struct qb_h3_event *ev);

/* ---- request.c ---- */

struct qb_h3_request *qb_h3_request_find(struct qb_h3 *h, uint64_t id);
/* qb_h3_request_new takes a slot for a stream, or returns NULL. */
struct qb_h3_request *qb_h3_request_new(struct qb_h3 *h, uint64_t id);
/* qb_h3_request_update (server) takes a PRIORITY_UPDATE. */
void qb_h3_request_update(struct qb_h3 *h, uint64_t id, const struct qb_h3_priority *p);
void qb_h3_request_on_readable(struct qb_h3 *h, uint64_t id);
void qb_h3_request_on_stopped(struct qb_h3 *h, struct qb_h3_request *r, uint64_t error_code);
/* qb_h3_request_abort resets both directions; the owner hears of it if it knows the session. */
void qb_h3_request_abort(struct qb_h3 *h, struct qb_h3_request *r, uint64_t error_code);
/* qb_h3_request_finish ends our side in order and asks the peer for no more. */
void qb_h3_request_finish(struct qb_h3 *h, struct qb_h3_request *r);
/* qb_h3_request_settle frees the slot when nothing is left to do. */
void qb_h3_request_settle(struct qb_h3_request *r);
bool qb_h3_request_poll(struct qb_h3 *h, struct qb_h3_request *r, struct qb_h3_event *ev);
/* qb_h3_request_put queues bytes whole or not at all. 0, -EAGAIN or -EPIPE. */
int qb_h3_request_put(struct qb_h3 *h, struct qb_h3_request *r, const uint8_t *data, size_t len);
/* qb_h3_request_piece takes the next piece of a frame. 1: *ev was filled in; 0; -EAGAIN: bytes are missing; -EPROTO. */
int qb_h3_request_piece(struct qb_h3 *h, struct qb_h3_request *r, struct qb_h3_event *ev);
/* qb_h3_request_on_end takes the end of what the peer sends; ret < 0: a reset. */
void qb_h3_request_on_end(struct qb_h3 *h, struct qb_h3_request *r, int ret, uint64_t error_code);

/* ---- plain.c ---- */

/* qb_h3_plain_on_request and _on_response begin what follows a plain message's header; the latter returns 1. */
void qb_h3_plain_on_request(struct qb_h3_request *r, const struct qb_h3_message *m);
int qb_h3_plain_on_response(struct qb_h3_request *r, const struct qb_h3_message *m,
			    struct qb_h3_event *ev);
/* qb_h3_plain_on_data counts bytes of a body. -EBADMSG: more than was announced. */
int qb_h3_plain_on_data(struct qb_h3_request *r, uint64_t len);
/* qb_h3_plain_tell fills in an event that is due. Returns 1 or -EAGAIN. */
int qb_h3_plain_tell(struct qb_h3_request *r, struct qb_h3_event *ev);
