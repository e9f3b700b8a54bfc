/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/3 (RFC 9114) with extended CONNECT (RFC 9220), HTTP datagrams and capsules (RFC 9297) and
 * CONNECT-IP (RFC 9484), sans I/O, over one struct qb_conn. Both roles. QPACK with the static
 * table.
 *
 * The owner hands in the connection's QUIC events and reads back what they mean with
 * qb_h3_next_event, until it returns false: streams are read there and nowhere else. Datagram
 * payloads are wrapped and unwrapped in place.
 */
#pragma once

#include "quic/quic.h"

enum {
	QB_H3_SESSIONS_MAX = 4, /* CONNECT-IP requests open at once on a connection */
	QB_H3_REQUESTS_MAX = QB_H3_SESSIONS_MAX + 2, /* streams at once, plain requests included */
	QB_H3_LINK_NAME_LEN = 32, /* with the end's NUL */
	QB_H3_ADDRS_MAX = 16,	/* entries of one ADDRESS_ASSIGN or ADDRESS_REQUEST that are kept */
	QB_H3_ROUTES_MAX = 128, /* ranges of one ROUTE_ADVERTISEMENT that are kept */
	QB_H3_FIELD_MAX = 256,	/* bytes of a header field's value that are kept */
	QB_H3_DATAGRAM_OVERHEAD = 8 + 8, /* most that qb_h3_wrap writes in front; 2 in practice */
};

#define QB_H3_NO_SESSION UINT64_MAX
#define QB_H3_LEN_UNKNOWN UINT64_MAX

/* HTTP/3 and capsule protocol error codes that callers use (RFC 9114 §8.1, RFC 9297 §5.2). */
enum {
	QB_H3_DATAGRAM_ERROR = 0x33,
	QB_H3_NO_ERROR = 0x0100,
	QB_H3_EXCESSIVE_LOAD = 0x0107,
	QB_H3_REQUEST_REJECTED = 0x010b,
	QB_H3_REQUEST_CANCELLED = 0x010c,
	QB_H3_MESSAGE_ERROR = 0x010e,
};

struct qb_h3;

struct qb_h3_addr { /* an entry of ADDRESS_ASSIGN / ADDRESS_REQUEST */
	uint64_t request_id;
	struct qb_prefix prefix; /* of a request, all-zero address: any */
};

struct qb_h3_route {	  /* an entry of ROUTE_ADVERTISEMENT: inclusive range */
	uint8_t family;	  /* 4 or 6 */
	uint8_t ip_proto; /* 0: all */
	uint8_t first[16], last[16];
};

enum qb_h3_event_type {
	QB_H3_EV_NONE,
	QB_H3_EV_READY,	  /* the peer's SETTINGS are here; is_ok: they allow what we need */
	QB_H3_EV_REQUEST, /* server, after READY: a CONNECT-IP request; answer with qb_h3_respond */
	QB_H3_EV_RESPONSE, /* client: status of our request; unless it is 2xx (is_ok) a tunnel is over */
	QB_H3_EV_ADDRESS_ASSIGN,  /* addrs, addr_cnt; is_ok: all of them are here */
	QB_H3_EV_ADDRESS_REQUEST, /* likewise */
	QB_H3_EV_ROUTES,	  /* routes, route_cnt; is_ok: all of them are here */
	QB_H3_EV_BOND,		  /* the peer's bond capsule: bond_version, bond_context */
	QB_H3_EV_FEC,		  /* the peer's FEC capsule: likewise */
	QB_H3_EV_LINK,		  /* the peer's link capsule: link */
	QB_H3_EV_CLOSED,	  /* the peer ended the session, or broke its rules: error_code */
	QB_H3_EV_GOAWAY, /* no more requests; those that it did not look at are CLOSED next */
	QB_H3_EV_GET, /* server that serves: a GET or HEAD (is_head); answer with qb_h3_reply */
	QB_H3_EV_WRITABLE, /* server: qb_h3_write_body may go on */
	QB_H3_EV_BODY,	   /* client: some of a body, or its end, is there: qb_h3_read_body */
};

/*
 * Sessions of one edge that belong together, one a connection: `id` is drawn when the edge starts, `member` tells them apart. In the
 * request it is a field of our own, a structured item (RFC 9651) that others do not know and skip:
 *
 *     quicbond-session: 281474976710655;member=1
 *
 * A server that says the same in its answer lets the members live side by side; any other takes the newest for the only one.
 */
struct qb_h3_group {
	uint64_t id; /* at most QB_H3_GROUP_ID_MAX; 0: none */
	uint8_t member;
};

/* RFC 9651 §3.3.1: no integer is larger. */
#define QB_H3_GROUP_ID_MAX UINT64_C(999999999999999)

/* How a client wants one of its paths used on the way down, and what it tells of the link that the path takes (capsule.h). */
struct qb_h3_link {
	uint64_t path_id, rate_kbps, weight;
	const char *name; /* "": not told */
	bool is_metered;  /* paid by volume */
};

struct qb_h3_event {
	enum qb_h3_event_type type;
	uint64_t session; /* stream ID of the request */
	bool is_ok, is_head;
	uint16_t status;
	uint64_t body_len; /* RESPONSE to qb_h3_get: as announced, or QB_H3_LEN_UNKNOWN */
	uint64_t error_code;
	char authority[QB_H3_FIELD_MAX], path[QB_H3_FIELD_MAX];
	struct qb_h3_group group; /* of REQUEST and RESPONSE */
	const struct qb_h3_addr *addrs; /* valid until the next call on this qb_h3 */
	uint32_t addr_cnt;
	const struct qb_h3_route *routes;
	uint32_t route_cnt;
	uint64_t bond_version, bond_context;
	struct qb_h3_link link;
};

size_t qb_h3_footprint(void);
/* qb_h3_init builds the state in mem (qb_h3_footprint() bytes) for an established connection and
 * opens the control and QPACK streams. Returns 0, or -EAGAIN or -ENOTCONN of qb_conn_open_stream.
 */
int qb_h3_init(void *mem, struct qb_conn *conn, bool is_server, struct qb_h3 **out) QB_MUST_CHECK;

/* qb_h3_on_quic_event takes STREAM_* events of the connection; protocol errors close it
 * (qb_conn_fail_app). */
void qb_h3_on_quic_event(struct qb_h3 *h, const struct qb_quic_event *ev);
bool qb_h3_next_event(struct qb_h3 *h, struct qb_h3_event *ev);

/*
 * qb_h3_connect_ip sends the request (target and ipproto "*"), as a member of a group unless that is NULL. Returns the session, or -EAGAIN
 * (before READY, or the peer allows no more streams), -ENOSPC, -EOPNOTSUPP (READY was not is_ok),
 * -ESHUTDOWN (after GOAWAY), -EINVAL (no valid authority), -ENOTCONN.
 */
int64_t qb_h3_connect_ip(struct qb_h3 *h, const char *authority, const struct qb_h3_group *group) QB_MUST_CHECK;
/*
 * qb_h3_resume (client): the server's settings allowed sessions on an earlier connection, and are remembered (RFC 9114
 * §7.2.4.2): requests may go out in 0-RTT, before READY. If they do not hold any more, READY says so.
 */
void qb_h3_resume(struct qb_h3 *h);
/* qb_h3_respond answers a request: 200 opens the session, in the group that it asked for, 300..599 end it. Returns 0, -ENOENT or
 * -EINVAL. */
int qb_h3_respond(struct qb_h3 *h, uint64_t session, uint16_t status);
/*
 * Capsules, on an open session. Each returns 0, -ENOENT, -EAGAIN (the stream's buffer is full), or
 * -EINVAL (the peer would not take it: host bits set, request IDs missing, more than
 * QB_H3_ADDRS_MAX entries and so on).
 */
int qb_h3_send_addresses(struct qb_h3 *h, uint64_t session, bool is_request,
			 const struct qb_h3_addr *addrs, uint32_t cnt);
/* routes must be sorted as RFC 9484 §4.7.3 says; -EINVAL otherwise. */
int qb_h3_send_routes(struct qb_h3 *h, uint64_t session, const struct qb_h3_route *routes,
		      uint32_t cnt);
/*
 * qb_h3_send_bond offers (client) or accepts (server) our context ID: datagrams with it carry the
 * bond header (bond/header.h). A peer that does not know the capsule skips it, and then only
 * context 0 is used.
 */
int qb_h3_send_bond(struct qb_h3 *h, uint64_t session, uint64_t version, uint64_t context);
/* qb_h3_send_fec is the same for the context ID of forward error correction (bond/fec.h). */
int qb_h3_send_fec(struct qb_h3 *h, uint64_t session, uint64_t version, uint64_t context);
int qb_h3_send_link(struct qb_h3 *h, uint64_t session, const struct qb_h3_link *link);
/* qb_h3_close_session ends a session, in order with QB_H3_NO_ERROR, else by a reset. No CLOSED
 * follows. */
void qb_h3_close_session(struct qb_h3 *h, uint64_t session, uint64_t error_code);

/* qb_h3_wrap writes quarter stream ID and context ID in front of b's payload, qb_h3_wrap_bytes of them. */
uint32_t qb_h3_wrap_bytes(uint64_t session, uint64_t context);
void qb_h3_wrap(const struct qb_h3 *h, uint64_t session, uint64_t context, struct qb_buf *b);
/*
 * qb_h3_unwrap strips them off a received DATAGRAM payload. Returns 0, -ENOENT (no such session:
 * drop it), or -EBADMSG after it closed the connection with H3_DATAGRAM_ERROR.
 */
int qb_h3_unwrap(struct qb_h3 *h, struct qb_buf *b, uint64_t *session,
		 uint64_t *context) QB_MUST_CHECK;

/* ---- plain requests, without a tunnel: files ---- */

/* qb_h3_error_name is "H3_FRAME_UNEXPECTED" and so on, "UNKNOWN" for others. */
const char *qb_h3_error_name(uint64_t code);

/* qb_h3_serve hands GET and HEAD requests to the owner of a server; else they are refused with 404. */
void qb_h3_serve(struct qb_h3 *h);
/*
 * qb_h3_get asks for a file, before READY too. RESPONSE follows, then BODY until qb_h3_read_body
 * saw the end; or CLOSED, where there is an end without success. Returns the stream's ID, or
 * -EAGAIN (the peer allows no more streams), -ENOSPC, -EINVAL (no valid authority or path),
 * -ESHUTDOWN (after GOAWAY), -ENOTCONN.
 */
int64_t qb_h3_get(struct qb_h3 *h, const char *authority, const char *path) QB_MUST_CHECK;
/*
 * qb_h3_read_body copies what is there of a body. Returns how many bytes; 0: none now, wait for
 * BODY, or with *is_end set the end; -ENOENT (also: cut off, CLOSED tells why).
 */
int64_t qb_h3_read_body(struct qb_h3 *h, uint64_t id, void *out, size_t cap, bool *is_end);
/*
 * qb_h3_reply answers a GET or HEAD; exactly body_len bytes must follow (none to a HEAD), and with
 * the last of them the request is over. Returns 0, -ENOENT or -EINVAL (status not 200..599).
 */
int qb_h3_reply(struct qb_h3 *h, uint64_t id, uint16_t status, uint64_t body_len);
/*
 * qb_h3_write_body sends the next bytes. Returns how many were taken (fewer than len: wait for
 * WRITABLE), or -ENOENT: the client wants no more, or all was sent.
 */
int64_t qb_h3_write_body(struct qb_h3 *h, uint64_t id, const void *data, size_t len);
