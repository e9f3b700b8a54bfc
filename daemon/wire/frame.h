/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames (RFC 9000 §19, DATAGRAM RFC 9221, multipath RFC 10069 §4, ACK frequency, reliable stream
 * reset): bytes to struct qb_frame and back, without copying payloads. What each frame may do is
 * one table, qb_frame_rule.
 *
 * The parser checks all that can be known without a connection. Left to the connection: frames of
 * extensions that were not negotiated, frames that only one role may send (NEW_TOKEN,
 * HANDSHAKE_DONE), empty packets.
 */
#pragma once

#include "wire/error.h"
#include "wire/header.h"
#include "wire/varint.h"

enum qb_frame_type {
	QB_FRAME_PADDING = 0x00,
	QB_FRAME_PING = 0x01,
	QB_FRAME_ACK = 0x02,
	QB_FRAME_ACK_ECN = 0x03,
	QB_FRAME_RESET_STREAM = 0x04,
	QB_FRAME_STOP_SENDING = 0x05,
	QB_FRAME_CRYPTO = 0x06,
	QB_FRAME_NEW_TOKEN = 0x07,
	QB_FRAME_STREAM = 0x08, /* to 0x0f; a parsed or built frame has exactly this type */
	QB_FRAME_MAX_DATA = 0x10,
	QB_FRAME_MAX_STREAM_DATA = 0x11,
	QB_FRAME_MAX_STREAMS_BIDI = 0x12,
	QB_FRAME_MAX_STREAMS_UNI = 0x13,
	QB_FRAME_DATA_BLOCKED = 0x14,
	QB_FRAME_STREAM_DATA_BLOCKED = 0x15,
	QB_FRAME_STREAMS_BLOCKED_BIDI = 0x16,
	QB_FRAME_STREAMS_BLOCKED_UNI = 0x17,
	QB_FRAME_NEW_CONNECTION_ID = 0x18,
	QB_FRAME_RETIRE_CONNECTION_ID = 0x19,
	QB_FRAME_PATH_CHALLENGE = 0x1a,
	QB_FRAME_PATH_RESPONSE = 0x1b,
	QB_FRAME_CONNECTION_CLOSE = 0x1c,
	QB_FRAME_CONNECTION_CLOSE_APP = 0x1d,
	QB_FRAME_HANDSHAKE_DONE = 0x1e,
	QB_FRAME_IMMEDIATE_ACK = 0x1f,
	QB_FRAME_RESET_STREAM_AT = 0x24,
	QB_FRAME_DATAGRAM = 0x30,
	QB_FRAME_DATAGRAM_LEN = 0x31,
	QB_FRAME_PATH_ACK = 0x3e,
	QB_FRAME_PATH_ACK_ECN = 0x3f,
	QB_FRAME_ACK_FREQUENCY = 0xaf,
	QB_FRAME_PATH_ABANDON = 0x3e75,
	QB_FRAME_PATH_STATUS_BACKUP = 0x3e76,
	QB_FRAME_PATH_STATUS_AVAILABLE = 0x3e77,
	QB_FRAME_PATH_NEW_CONNECTION_ID = 0x3e78,
	QB_FRAME_PATH_RETIRE_CONNECTION_ID = 0x3e79,
	QB_FRAME_MAX_PATH_ID = 0x3e7a,
	QB_FRAME_PATHS_BLOCKED = 0x3e7b,
	QB_FRAME_PATH_CIDS_BLOCKED = 0x3e7c,
	/* draft-ietf-quic-address-discovery, for IPv4 and IPv6 */
	QB_FRAME_OBSERVED_ADDRESS4 = 0x9f81a6,
	QB_FRAME_OBSERVED_ADDRESS6 = 0x9f81a7,
	/* draft-ietf-quic-receive-ts: ACK and PATH_ACK with the times at which packets arrived */
	QB_FRAME_ACK_TS = 0x03178307,
	QB_FRAME_ACK_TS_ECN = 0x03178308,
	QB_FRAME_PATH_ACK_TS = 0x03178309,
	QB_FRAME_PATH_ACK_TS_ECN = 0x0317830a,
};

enum {
	QB_SRT_LEN = 16, /* stateless reset token */
	QB_PATH_CHALLENGE_LEN = 8,
	/* Most bytes of a STREAM and of a CRYPTO frame's header */
	QB_STREAM_OVERHEAD_MAX = 1 + 8 + 8 + 4,
	QB_CRYPTO_OVERHEAD_MAX = 1 + 8 + 4,
};

#define QB_STREAMS_LIMIT_MAX (UINT64_C(1) << 60)
#define QB_PATH_ID_MAX	     UINT32_MAX

/*
 * Code points of multipath that are in use. Drafts have others than RFC 10069, and up to -10 PATH_ABANDON had a reason
 * phrase and there were no *_BLOCKED frames. A frame's type is always the RFC's; its dialect says how it is written.
 */
enum qb_mp_dialect {
	QB_MP_RFC,
	QB_MP_DRAFT15, /* draft-ietf-quic-multipath -11 to -18, by the parameter of -13 to -15 */
	QB_MP_DRAFT10,
	QB_MP_DIALECT_CNT
};

/* Packet types in which a frame may stand, as bits; QB_IN(type) is the bit of a packet type. */
enum {
	QB_IN_INITIAL = 1 << QB_PKT_INITIAL,
	QB_IN_0RTT = 1 << QB_PKT_0RTT,
	QB_IN_HANDSHAKE = 1 << QB_PKT_HANDSHAKE,
	QB_IN_1RTT = 1 << QB_PKT_1RTT,
};

enum qb_frame_flag {
	QB_FRAME_ELICITS_ACK = 1 << 0,
	QB_FRAME_IN_FLIGHT =
		1 << 1, /* counts toward congestion control (all but ACK and CONNECTION_CLOSE) */
	QB_FRAME_PROBING = 1 << 2,   /* RFC 9000 §9.1 */
	QB_FRAME_MULTIPATH = 1 << 3, /* only if multipath was negotiated */
};

struct qb_frame_rule {
	const char *name;
	uint8_t packets; /* QB_IN_* */
	uint8_t flags;	 /* enum qb_frame_flag */
};

/* An inclusive range of packet numbers. */
struct qb_range {
	uint64_t first, last;
};

struct qb_frame_ack {	  /* ACK, PATH_ACK */
	uint64_t path_id; /* 0 for ACK */
	uint64_t largest;
	uint64_t delay;		 /* as sent: µs >> the sender's ack_delay_exponent */
	uint64_t range_cnt;	 /* besides the first */
	uint64_t first_range;	 /* packets below largest in the first range */
	struct qb_bytes ranges;	 /* range_cnt encoded pairs, known to be valid: see qb_ack_iter */
	uint64_t ect0, ect1, ce; /* ..._ECN types only, else 0 */
	/* ..._TS types: how many timestamps there are, and the first, of packet ts_pn (as sent: µs from the sender's own beginning,
	 * >> the exponent that it was asked for). Built with that one alone. */
	uint64_t ts_cnt, ts_pn, ts;
	bool has_ts;
};

struct qb_frame_stream {
	uint64_t id, off;
	struct qb_bytes data;
	bool is_fin;
};

struct qb_frame_new_cid { /* NEW_CONNECTION_ID, PATH_NEW_CONNECTION_ID */
	uint64_t path_id; /* 0 for NEW_CONNECTION_ID */
	uint64_t seq, retire_prior_to;
	struct qb_cid cid;
	const uint8_t *reset_token; /* QB_SRT_LEN bytes */
};

struct qb_frame {
	uint64_t type;
	enum qb_mp_dialect dialect; /* multipath frames only */
	union {
		struct {
			size_t len;
		} padding; /* a whole run of them */
		struct qb_frame_ack ack;
		struct {
			uint64_t id, error_code, final_size;
			uint64_t reliable_size; /* RESET_STREAM_AT; 0 for RESET_STREAM */
		} reset_stream;
		struct {
			uint64_t id, error_code;
		} stop_sending;
		struct {
			uint64_t off;
			struct qb_bytes data;
		} crypto;
		struct qb_bytes new_token;
		struct qb_frame_stream stream;
		struct {
			uint64_t stream_id; /* MAX_STREAM_DATA and STREAM_DATA_BLOCKED; else 0 */
			uint64_t max;
		} limit; /* MAX_DATA, MAX_STREAM_DATA, MAX_STREAMS and the three *_BLOCKED */
		struct qb_frame_new_cid new_cid;
		struct {
			uint64_t path_id; /* 0 for RETIRE_CONNECTION_ID */
			uint64_t seq;
		} retire_cid;
		uint8_t path_challenge[QB_PATH_CHALLENGE_LEN]; /* and PATH_RESPONSE */
		struct {
			uint64_t error_code;
			uint64_t frame_type; /* 0 for the application's */
			struct qb_bytes reason;
		} close;
		struct qb_bytes datagram;
		struct {
			uint64_t seq, eliciting_threshold, max_ack_delay_us, reordering_threshold;
		} ack_frequency;
		struct {
			uint64_t path_id, error_code;
		} path_abandon;
		struct {
			uint64_t path_id, seq;
		} path_status;
		struct {
			uint64_t max;
		} max_path_id; /* and PATHS_BLOCKED */
		struct {
			uint64_t path_id, next_seq;
		} path_cids_blocked;
		struct {
			uint64_t seq;
			uint8_t ip[16]; /* 4 of them for IPv4 */
			uint16_t port;
		} observed;
	};
};

/* qb_frame_rule returns the row of a frame type (any of the STREAM types too), or NULL if it is
 * unknown. */
const struct qb_frame_rule *qb_frame_rule(uint64_t type);
/* qb_frame_name returns "STREAM" and so on, "UNKNOWN" for others. */
const char *qb_frame_name(uint64_t type);

/*
 * qb_frame_parse reads one frame from the len > 0 bytes at p, found in a packet of type pkt.
 * Returns the bytes it took, or -EBADMSG with the transport error to close with in *fault; f->type
 * is set then too, when the type itself could be read (for CONNECTION_CLOSE's frame type field),
 * else 0.
 */
int qb_frame_parse(struct qb_frame *f, const uint8_t *p, size_t len, enum qb_pkt_type pkt,
		   struct qb_fault *fault) QB_MUST_CHECK;

static inline bool qb_frame_is_observed(uint64_t type)
{
	return type == QB_FRAME_OBSERVED_ADDRESS4 || type == QB_FRAME_OBSERVED_ADDRESS6;
}

/* qb_frame_is_ack_ts: one of the four with timestamps. */
static inline bool qb_frame_is_ack_ts(uint64_t type)
{
	return type >= QB_FRAME_ACK_TS && type <= QB_FRAME_PATH_ACK_TS_ECN;
}

/* qb_frame_has_dialect: the frame exists in that dialect. */
bool qb_frame_has_dialect(uint64_t type, enum qb_mp_dialect dialect);

/* qb_frame_parse_as is qb_frame_parse for a connection whose multipath frames are in that dialect. */
int qb_frame_parse_as(struct qb_frame *f, const uint8_t *p, size_t len, enum qb_pkt_type pkt,
		      enum qb_mp_dialect dialect, struct qb_fault *fault) QB_MUST_CHECK;

/*
 * qb_frame_build appends a frame. What does not fit leaves w->p where it was and sets w->bad. A
 * STREAM frame is written with its length; DATAGRAM (0x30) without, so it must be the packet's
 * last.
 */
void qb_frame_build(struct qb_wr *w, const struct qb_frame *f);
/* qb_frame_try is qb_frame_build that leaves w usable when the frame does not fit, and returns
 * false then. */
bool qb_frame_try(struct qb_wr *w, const struct qb_frame *f) QB_MUST_CHECK;

/*
 * qb_ack_build appends an ACK or PATH_ACK frame for the cnt > 0 ascending, disjoint, non-adjacent
 * ranges at r: the newest first, as many as fit. f gives type, dialect, path_id, delay and ECN counts; the
 * rest of it is ignored. Returns false, with w untouched, if not even the newest range fits.
 */
bool qb_ack_build(struct qb_wr *w, const struct qb_frame *f, const struct qb_range *r, size_t cnt);

/* Walks the ranges of a parsed ACK from the largest packet number down. */
struct qb_ack_iter {
	struct qb_rd rd;
	uint64_t left;
	uint64_t smallest;
	struct qb_range first;
	bool is_started;
};

void qb_ack_iter_init(struct qb_ack_iter *it, const struct qb_frame_ack *ack);
bool qb_ack_iter_next(struct qb_ack_iter *it, struct qb_range *out);

/* ---- sizes, for packing packets ---- */

/* qb_stream_hdr_len is the header of a STREAM frame with a length field for up to data_len bytes.
 */
size_t qb_stream_hdr_len(uint64_t id, uint64_t off, size_t data_len);
/* qb_crypto_hdr_len likewise for CRYPTO. */
size_t qb_crypto_hdr_len(uint64_t off, size_t data_len);
/*
 * qb_payload_fit is the most data of want bytes that goes into room bytes behind a header of
 * fixed_len bytes and a varint length; 0 if none.
 */
size_t qb_payload_fit(size_t room, size_t fixed_len, size_t want);
