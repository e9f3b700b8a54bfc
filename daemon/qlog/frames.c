/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames as the schema names them (quic-events §9.13), those of multipath and of ACK frequency in
 * the same manner. Contents of streams and datagrams, tokens and reset tokens stay out. Called by
 * format.c on the writer's thread.
 */
#include <ctype.h>
#include <stdio.h>

#include "qlog/format.h"
#include "wire/error.h"

enum {
	ACK_RANGES_SHOWN = 128,
	NAME_MAX_LEN = 48,
};

/* lower writes a name of ours as the schema's are written. */
static void lower(struct qb_qlog_text *t, const char *key, const char *name)
{
	char text[NAME_MAX_LEN];
	size_t n;

	for (n = 0; name[n] && n < sizeof(text); n++)
		text[n] = (char)tolower((unsigned char)name[n]);
	qb_text_string_n(t, key, text, n);
}

void qb_qlog_error(struct qb_qlog_text *t, const char *key, uint64_t code, bool is_app)
{
	const char *name = qb_quic_error_name(code);
	char text[32];

	if (!is_app && code >= QB_QUIC_CRYPTO_ERROR && code <= QB_QUIC_CRYPTO_ERROR_LAST) {
		snprintf(text, sizeof(text), "crypto_error_0x%03x", (unsigned int)code);
		qb_text_string(t, key, text);
	} else if (!is_app && strcmp(name, "UNKNOWN") != 0) {
		lower(t, key, name);
	} else {
		qb_text_string(t, key, "unknown");
		qb_text_uint(t, "error_code", code);
	}
}

static void raw(struct qb_qlog_text *t, size_t payload_len)
{
	qb_text_object(t, "raw");
	qb_text_uint(t, "payload_length", payload_len);
	qb_text_close(t, '}');
}

static void raw_length(struct qb_qlog_text *t, size_t len)
{
	qb_text_object(t, "raw");
	qb_text_uint(t, "length", len);
	qb_text_uint(t, "payload_length", len);
	qb_text_close(t, '}');
}

static void ack(const struct qb_frame *f, uint8_t exponent, struct qb_qlog_text *t)
{
	struct qb_ack_iter it;
	struct qb_range r;
	uint32_t cnt = 0;

	/* A delay that large is nonsense; it must only not overflow. */
	qb_text_ms(t, "ack_delay",
		   (QB_MIN(f->ack.delay, UINT64_C(1) << 32) << exponent) * QB_NS_PER_US);
	qb_text_array(t, "acked_ranges");
	qb_ack_iter_init(&it, &f->ack);
	while (cnt++ < ACK_RANGES_SHOWN && qb_ack_iter_next(&it, &r)) {
		qb_text_array(t, NULL);
		qb_text_uint(t, NULL, r.first);
		if (r.last != r.first)
			qb_text_uint(t, NULL, r.last);
		qb_text_close(t, ']');
	}
	qb_text_close(t, ']');
	if (qb_frame_is_ack_ts(f->type))
		qb_text_uint(t, "receive_timestamps", f->ack.ts_cnt);
	if (f->type != QB_FRAME_ACK_ECN && f->type != QB_FRAME_PATH_ACK_ECN &&
	    f->type != QB_FRAME_ACK_TS_ECN && f->type != QB_FRAME_PATH_ACK_TS_ECN)
		return;
	qb_text_uint(t, "ect1", f->ack.ect1);
	qb_text_uint(t, "ect0", f->ack.ect0);
	qb_text_uint(t, "ce", f->ack.ce);
}

static void observed(const struct qb_frame *f, struct qb_qlog_text *t)
{
	struct qb_addr a = {.family = f->type == QB_FRAME_OBSERVED_ADDRESS4 ? 4 : 6};
	char text[QB_ADDR_STRLEN];

	memcpy(a.ip, f->observed.ip, qb_addr_ip_len(&a));
	qb_text_uint(t, "sequence_number", f->observed.seq);
	qb_text_string(t, a.family == 4 ? "ip_v4" : "ip_v6", qb_addr_format(&a, text));
	qb_text_uint(t, a.family == 4 ? "port_v4" : "port_v6", f->observed.port);
}

static void new_cid(const struct qb_frame *f, struct qb_qlog_text *t)
{
	qb_text_uint(t, "sequence_number", f->new_cid.seq);
	qb_text_uint(t, "retire_prior_to", f->new_cid.retire_prior_to);
	qb_text_uint(t, "connection_id_length", f->new_cid.cid.len);
	qb_text_hex(t, "connection_id", f->new_cid.cid.id, f->new_cid.cid.len);
}

static void token(const struct qb_frame *f, struct qb_qlog_text *t)
{
	qb_text_object(t, "token");
	qb_text_string(t, "type", "resumption");
	raw(t, f->new_token.len);
	qb_text_close(t, '}');
}

static void close_frame(const struct qb_frame *f, struct qb_qlog_text *t)
{
	bool is_app = f->type == QB_FRAME_CONNECTION_CLOSE_APP;

	qb_text_string(t, "error_space", is_app ? "application" : "transport");
	qb_qlog_error(t, "error", f->close.error_code, is_app);
	qb_text_string_n(t, "reason", (const char *)f->close.reason.p, f->close.reason.len);
	if (!is_app)
		qb_text_uint(t, "trigger_frame_type", f->close.frame_type);
}

static void reset_stream(const struct qb_frame *f, struct qb_qlog_text *t)
{
	qb_text_uint(t, "stream_id", f->reset_stream.id);
	qb_qlog_error(t, "error", f->reset_stream.error_code, true);
	qb_text_uint(t, "final_size", f->reset_stream.final_size);
	if (f->type == QB_FRAME_RESET_STREAM_AT)
		qb_text_uint(t, "reliable_size", f->reset_stream.reliable_size);
}

static void stream(const struct qb_frame *f, struct qb_qlog_text *t)
{
	qb_text_uint(t, "stream_id", f->stream.id);
	qb_text_uint(t, "offset", f->stream.off);
	if (f->stream.is_fin)
		qb_text_bool(t, "fin", true);
	raw_length(t, f->stream.data.len);
}

/* limit: MAX_* and *_BLOCKED. */
static void limit(const struct qb_frame *f, struct qb_qlog_text *t)
{
	bool is_max = f->type <= QB_FRAME_MAX_STREAMS_UNI;

	if (f->type == QB_FRAME_MAX_STREAM_DATA || f->type == QB_FRAME_STREAM_DATA_BLOCKED)
		qb_text_uint(t, "stream_id", f->limit.stream_id);
	if (f->type == QB_FRAME_MAX_STREAMS_BIDI || f->type == QB_FRAME_STREAMS_BLOCKED_BIDI)
		qb_text_string(t, "stream_type", "bidirectional");
	if (f->type == QB_FRAME_MAX_STREAMS_UNI || f->type == QB_FRAME_STREAMS_BLOCKED_UNI)
		qb_text_string(t, "stream_type", "unidirectional");
	qb_text_uint(t, is_max ? "maximum" : "limit", f->limit.max);
}

static void ack_frequency(const struct qb_frame *f, struct qb_qlog_text *t)
{
	qb_text_uint(t, "sequence_number", f->ack_frequency.seq);
	qb_text_uint(t, "ack_eliciting_threshold", f->ack_frequency.eliciting_threshold);
	qb_text_uint(t, "requested_max_ack_delay", f->ack_frequency.max_ack_delay_us);
	qb_text_uint(t, "reordering_threshold", f->ack_frequency.reordering_threshold);
}

/* multipath writes what frames of RFC 10069 have beside what their twins of RFC 9000 have. */
static void multipath(const struct qb_frame *f, struct qb_qlog_text *t)
{
	switch (f->type) {
	case QB_FRAME_PATH_ABANDON:
		qb_text_uint(t, "path_id", f->path_abandon.path_id);
		qb_qlog_error(t, "error", f->path_abandon.error_code, false);
		break;
	case QB_FRAME_PATH_STATUS_BACKUP:
	case QB_FRAME_PATH_STATUS_AVAILABLE:
		qb_text_uint(t, "path_id", f->path_status.path_id);
		qb_text_uint(t, "sequence_number", f->path_status.seq);
		break;
	case QB_FRAME_PATH_NEW_CONNECTION_ID:
		qb_text_uint(t, "path_id", f->new_cid.path_id);
		new_cid(f, t);
		break;
	case QB_FRAME_PATH_RETIRE_CONNECTION_ID:
		qb_text_uint(t, "path_id", f->retire_cid.path_id);
		qb_text_uint(t, "sequence_number", f->retire_cid.seq);
		break;
	case QB_FRAME_MAX_PATH_ID:
	case QB_FRAME_PATHS_BLOCKED:
		qb_text_uint(t, "maximum", f->max_path_id.max);
		break;
	case QB_FRAME_PATH_CIDS_BLOCKED:
		qb_text_uint(t, "path_id", f->path_cids_blocked.path_id);
		qb_text_uint(t, "next_sequence_number", f->path_cids_blocked.next_seq);
		break;
	}
}

static void members(const struct qb_frame *f, uint8_t exponent, struct qb_qlog_text *t)
{
	switch (f->type) {
	case QB_FRAME_PADDING:
		raw(t, f->padding.len);
		break;
	case QB_FRAME_PATH_ACK:
	case QB_FRAME_PATH_ACK_ECN:
	case QB_FRAME_PATH_ACK_TS:
	case QB_FRAME_PATH_ACK_TS_ECN:
		qb_text_uint(t, "path_id", f->ack.path_id);
		ack(f, exponent, t);
		break;
	case QB_FRAME_OBSERVED_ADDRESS4:
	case QB_FRAME_OBSERVED_ADDRESS6:
		observed(f, t);
		break;
	case QB_FRAME_ACK:
	case QB_FRAME_ACK_ECN:
	case QB_FRAME_ACK_TS:
	case QB_FRAME_ACK_TS_ECN:
		ack(f, exponent, t);
		break;
	case QB_FRAME_RESET_STREAM:
	case QB_FRAME_RESET_STREAM_AT:
		reset_stream(f, t);
		break;
	case QB_FRAME_STOP_SENDING:
		qb_text_uint(t, "stream_id", f->stop_sending.id);
		qb_qlog_error(t, "error", f->stop_sending.error_code, true);
		break;
	case QB_FRAME_CRYPTO:
		qb_text_uint(t, "offset", f->crypto.off);
		raw_length(t, f->crypto.data.len);
		break;
	case QB_FRAME_NEW_TOKEN:
		token(f, t);
		break;
	case QB_FRAME_STREAM ... QB_FRAME_STREAM + 7:
		stream(f, t);
		break;
	case QB_FRAME_MAX_DATA ... QB_FRAME_STREAMS_BLOCKED_UNI:
		limit(f, t);
		break;
	case QB_FRAME_NEW_CONNECTION_ID:
		new_cid(f, t);
		break;
	case QB_FRAME_RETIRE_CONNECTION_ID:
		qb_text_uint(t, "sequence_number", f->retire_cid.seq);
		break;
	case QB_FRAME_PATH_CHALLENGE:
	case QB_FRAME_PATH_RESPONSE:
		qb_text_hex(t, "data", f->path_challenge, QB_PATH_CHALLENGE_LEN);
		break;
	case QB_FRAME_CONNECTION_CLOSE:
	case QB_FRAME_CONNECTION_CLOSE_APP:
		close_frame(f, t);
		break;
	case QB_FRAME_DATAGRAM:
	case QB_FRAME_DATAGRAM_LEN:
		raw_length(t, f->datagram.len);
		break;
	case QB_FRAME_ACK_FREQUENCY:
		ack_frequency(f, t);
		break;
	default:
		multipath(f, t);
		break;
	}
}

/* name_of: types that differ in a bit only have one name. */
static const char *name_of(uint64_t type)
{
	switch (type) {
	case QB_FRAME_ACK_ECN:
	case QB_FRAME_ACK_TS:
	case QB_FRAME_ACK_TS_ECN:
		return "ack";
	case QB_FRAME_PATH_ACK_ECN:
	case QB_FRAME_PATH_ACK_TS:
	case QB_FRAME_PATH_ACK_TS_ECN:
		return "path_ack";
	case QB_FRAME_CONNECTION_CLOSE_APP:
		return "connection_close";
	case QB_FRAME_DATAGRAM_LEN:
		return "datagram";
	case QB_FRAME_MAX_STREAMS_BIDI:
	case QB_FRAME_MAX_STREAMS_UNI:
		return "max_streams";
	case QB_FRAME_STREAMS_BLOCKED_BIDI:
	case QB_FRAME_STREAMS_BLOCKED_UNI:
		return "streams_blocked";
	default:
		return qb_frame_name(type);
	}
}

void qb_qlog_format_frames(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
			   struct qb_qlog_text *t)
{
	const uint8_t *at = ev->extra;
	size_t left = ev->extra_bytes;
	uint8_t exponent = s->ack_delay_exponent[ev->type == QB_TRACE_PACKET_RECEIVED];

	qb_text_array(t, "frames");
	while (left) {
		struct qb_fault fault;
		struct qb_frame f;
		int n = qb_frame_parse_as(&f, at, left, ev->packet.type, ev->packet.dialect,
					  &fault);

		qb_text_object(t, NULL);
		if (n <= 0) {
			/* The connection ends by it; the rest cannot be read. */
			qb_text_string(t, "frame_type", "unknown");
			qb_text_uint(t, "frame_type_bytes", f.type);
			raw(t, left);
			qb_text_close(t, '}');
			break;
		}
		lower(t, "frame_type", name_of(f.type));
		members(&f, exponent, t);
		qb_text_close(t, '}');
		at += n;
		left -= (size_t)n;
	}
	qb_text_close(t, ']');
}
