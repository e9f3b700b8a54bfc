/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames, bytes to struct and back, by one table: a frame is its type, a list of varint fields, and
 * where that does not say it all, a tail with a function to read and one to write it. Called by the
 * connection for every frame of every packet.
 */
#include "wire/frame.h"

#define MAX_ACK_DELAY_US (UINT64_C(1) << 14) * 1000

/* ---- tails: what comes behind the varint fields. Readers return 0 or -EBADMSG with the fault set.
 * ---- */

static int bad_encoding(struct qb_fault *fault, const char *why)
{
	return qb_fault_set(fault, QB_QUIC_FRAME_ENCODING_ERROR, why);
}

static int parse_padding(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	const uint8_t *start = rd->p;

	(void)fault;
	while (rd->p < rd->end && *rd->p == QB_FRAME_PADDING)
		rd->p++;
	f->padding.len = (size_t)(rd->p - start) + 1;
	return 0;
}

static void build_padding(struct qb_wr *w, const struct qb_frame *f)
{
	size_t more = f->padding.len ? f->padding.len - 1 : 0;
	uint8_t *p = qb_wr_take(w, more);

	if (p)
		memset(p, QB_FRAME_PADDING, more);
}

static bool is_ack_ecn(uint64_t type)
{
	return type == QB_FRAME_ACK_ECN || type == QB_FRAME_PATH_ACK_ECN || type == QB_FRAME_ACK_TS_ECN ||
	       type == QB_FRAME_PATH_ACK_TS_ECN;
}

/* Walks over the encoded ranges, checking that none goes below zero (RFC 9000 §19.3.1). */
static int parse_ack_ranges(struct qb_frame_ack *ack, struct qb_rd *rd, struct qb_fault *fault)
{
	uint64_t smallest;

	if (ack->first_range > ack->largest)
		return bad_encoding(fault, "ACK range below zero");
	smallest = ack->largest - ack->first_range;
	ack->ranges.p = rd->p;
	for (uint64_t i = 0; i < ack->range_cnt; i++) {
		uint64_t gap = qb_rd_varint(rd);
		uint64_t len = qb_rd_varint(rd);

		if (rd->bad)
			return bad_encoding(fault, "ACK ranges cut short");
		if (gap + 2 > smallest || len > smallest - gap - 2)
			return bad_encoding(fault, "ACK range below zero");
		smallest -= gap + 2 + len;
	}
	ack->ranges.len = (size_t)(rd->p - ack->ranges.p);
	return 0;
}

static int parse_ack(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	int rc;

	f->ack.first_range = qb_rd_varint(rd);
	if (rd->bad)
		return 0;
	rc = parse_ack_ranges(&f->ack, rd, fault);
	if (rc || !is_ack_ecn(f->type))
		return rc;
	f->ack.ect0 = qb_rd_varint(rd);
	f->ack.ect1 = qb_rd_varint(rd);
	f->ack.ce = qb_rd_varint(rd);
	return 0;
}

static void build_ack_ecn(struct qb_wr *w, const struct qb_frame *f)
{
	if (!is_ack_ecn(f->type))
		return;
	qb_wr_varint(w, f->ack.ect0);
	qb_wr_varint(w, f->ack.ect1);
	qb_wr_varint(w, f->ack.ce);
}

static void build_ack(struct qb_wr *w, const struct qb_frame *f)
{
	qb_wr_varint(w, f->ack.first_range);
	qb_wr_bytes(w, f->ack.ranges.p, f->ack.ranges.len);
	build_ack_ecn(w, f);
}

/*
 * What follows the fields of an ACK: ranges of packets, from the largest down, each with the time at which its first arrived and how
 * much earlier those below it did. One is kept; the others only have to be there.
 */
static int parse_timestamps(struct qb_frame_ack *ack, struct qb_rd *rd, struct qb_fault *fault)
{
	uint64_t range_cnt = qb_rd_varint(rd);

	for (uint64_t i = 0; i < range_cnt && !rd->bad; i++) {
		uint64_t below = qb_rd_varint(rd);
		uint64_t cnt = qb_rd_varint(rd);

		if (below > ack->largest)
			return bad_encoding(fault, "timestamp of a packet below zero");
		if (cnt > qb_rd_left(rd))
			return bad_encoding(fault, "timestamps cut short");
		for (uint64_t j = 0; j < cnt; j++) {
			uint64_t ts = qb_rd_varint(rd);

			/* What the distance of further ranges counts from has changed between drafts: only the first is read. */
			if (ack->ts_cnt++ || i)
				continue;
			ack->has_ts = true;
			ack->ts_pn = ack->largest - below;
			ack->ts = ts;
		}
	}
	return 0;
}

static void build_timestamps(struct qb_wr *w, const struct qb_frame *f)
{
	if (!qb_frame_is_ack_ts(f->type))
		return;
	qb_wr_varint(w, f->ack.has_ts);
	if (!f->ack.has_ts)
		return;
	qb_wr_varint(w, f->ack.largest - f->ack.ts_pn);
	qb_wr_varint(w, 1);
	qb_wr_varint(w, f->ack.ts);
}

static int parse_ack_ts(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	int rc = parse_ack(f, rd, fault);

	return rc || rd->bad ? rc : parse_timestamps(&f->ack, rd, fault);
}

static void build_ack_ts(struct qb_wr *w, const struct qb_frame *f)
{
	build_ack(w, f);
	build_timestamps(w, f);
}

static int parse_reset_stream_at(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	(void)rd;
	if (f->reset_stream.reliable_size > f->reset_stream.final_size)
		return bad_encoding(fault, "reliable size above final size");
	return 0;
}

static struct qb_bytes parse_bytes(struct qb_rd *rd)
{
	return qb_rd_bytes(rd, qb_rd_varint(rd));
}

static void build_bytes(struct qb_wr *w, struct qb_bytes b)
{
	qb_wr_varint(w, b.len);
	qb_wr_bytes(w, b.p, b.len);
}

static int parse_crypto(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	f->crypto.data = parse_bytes(rd);
	if (f->crypto.off + f->crypto.data.len > QB_VARINT_MAX)
		return bad_encoding(fault, "CRYPTO data ends beyond 2^62-1");
	return 0;
}

static void build_crypto(struct qb_wr *w, const struct qb_frame *f)
{
	build_bytes(w, f->crypto.data);
}

static int parse_new_token(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	f->new_token = parse_bytes(rd);
	if (!rd->bad && f->new_token.len == 0)
		return bad_encoding(fault, "empty token");
	return 0;
}

static void build_new_token(struct qb_wr *w, const struct qb_frame *f)
{
	build_bytes(w, f->new_token);
}

enum { STREAM_FIN = 0x01, STREAM_LEN = 0x02, STREAM_OFF = 0x04 };

static int parse_stream(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	struct qb_frame_stream *st = &f->stream;

	if (f->type & STREAM_OFF)
		st->off = qb_rd_varint(rd);
	st->data = f->type & STREAM_LEN ? parse_bytes(rd) : qb_rd_bytes(rd, qb_rd_left(rd));
	st->is_fin = f->type & STREAM_FIN;
	if (st->off + st->data.len > QB_VARINT_MAX)
		return bad_encoding(fault, "STREAM data ends beyond 2^62-1");
	f->type = QB_FRAME_STREAM;
	return 0;
}

/* The type depends on the content, so this frame has a builder of its own. */
static void build_stream(struct qb_wr *w, const struct qb_frame_stream *st)
{
	qb_wr_u8(w, (uint8_t)(QB_FRAME_STREAM | STREAM_LEN | (st->off ? STREAM_OFF : 0) |
			      (st->is_fin ? STREAM_FIN : 0)));
	qb_wr_varint(w, st->id);
	if (st->off)
		qb_wr_varint(w, st->off);
	build_bytes(w, st->data);
}

static int parse_streams_limit(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	(void)rd;
	if (f->limit.max > QB_STREAMS_LIMIT_MAX)
		return bad_encoding(fault, "more than 2^60 streams");
	return 0;
}

static int parse_new_cid(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	struct qb_frame_new_cid *nc = &f->new_cid;
	uint8_t len = qb_rd_u8(rd);

	if (rd->bad)
		return 0;
	if (len == 0 || len > QB_CID_MAX)
		return bad_encoding(fault, "connection ID length");
	if (nc->retire_prior_to > nc->seq)
		return bad_encoding(fault, "Retire Prior To above the sequence number");
	nc->cid.len = len;
	qb_rd_copy(rd, nc->cid.id, len);
	nc->reset_token = qb_rd_take(rd, QB_SRT_LEN);
	return 0;
}

static void build_new_cid(struct qb_wr *w, const struct qb_frame *f)
{
	qb_wr_u8(w, f->new_cid.cid.len);
	qb_wr_bytes(w, f->new_cid.cid.id, f->new_cid.cid.len);
	qb_wr_bytes(w, f->new_cid.reset_token, QB_SRT_LEN);
}

static int parse_path_challenge(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	(void)fault;
	qb_rd_copy(rd, f->path_challenge, QB_PATH_CHALLENGE_LEN);
	return 0;
}

static void build_path_challenge(struct qb_wr *w, const struct qb_frame *f)
{
	qb_wr_bytes(w, f->path_challenge, QB_PATH_CHALLENGE_LEN);
}

static int parse_close(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	(void)fault;
	f->close.reason = parse_bytes(rd);
	return 0;
}

static void build_close(struct qb_wr *w, const struct qb_frame *f)
{
	build_bytes(w, f->close.reason);
}

static int parse_datagram(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	(void)fault;
	f->datagram = f->type == QB_FRAME_DATAGRAM_LEN ? parse_bytes(rd)
						       : qb_rd_bytes(rd, qb_rd_left(rd));
	return 0;
}

static void build_datagram(struct qb_wr *w, const struct qb_frame *f)
{
	if (f->type == QB_FRAME_DATAGRAM_LEN)
		qb_wr_varint(w, f->datagram.len);
	qb_wr_bytes(w, f->datagram.p, f->datagram.len);
}

static int parse_ack_frequency(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	(void)rd;
	if (f->ack_frequency.max_ack_delay_us >= MAX_ACK_DELAY_US)
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION,
				    "requested ACK delay of 2^14 ms or more");
	return 0;
}

static int parse_path_abandon(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	(void)fault;
	if (f->dialect == QB_MP_DRAFT10)
		(void)parse_bytes(rd); /* a reason phrase */
	return 0;
}

static void build_path_abandon(struct qb_wr *w, const struct qb_frame *f)
{
	if (f->dialect == QB_MP_DRAFT10)
		build_bytes(w, (struct qb_bytes){0});
}

static int parse_max_path_id(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	(void)rd;
	if (f->max_path_id.max > QB_PATH_ID_MAX)
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION, "path ID above 2^32-1");
	return 0;
}

static size_t observed_len(const struct qb_frame *f)
{
	return f->type == QB_FRAME_OBSERVED_ADDRESS6 ? 16 : 4;
}

static int parse_observed(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	(void)fault;
	qb_rd_copy(rd, f->observed.ip, observed_len(f));
	f->observed.port = qb_rd_be16(rd);
	return 0;
}

static void build_observed(struct qb_wr *w, const struct qb_frame *f)
{
	qb_wr_bytes(w, f->observed.ip, observed_len(f));
	qb_wr_be16(w, f->observed.port);
}

/* ---- the table ---- */

struct codec {
	struct qb_frame_rule rule;
	uint8_t field_cnt;
	uint8_t field_off[4]; /* varints, as offsets into struct qb_frame */
	int (*parse)(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault);
	void (*build)(struct qb_wr *w, const struct qb_frame *f);
};

enum {
	/* Rows: types below 0x40 are their own index, the rest follows. */
	ROW_ACK_FREQUENCY = 0x40,
	ROW_PATH_ABANDON,
	ROW_ACK_TS = ROW_PATH_ABANDON + 8,
	ROW_OBSERVED = ROW_ACK_TS + 4,
	ROW_CNT = ROW_OBSERVED + 2,

	P_IH01 = QB_IN_INITIAL | QB_IN_0RTT | QB_IN_HANDSHAKE | QB_IN_1RTT,
	P_IH1 = QB_IN_INITIAL | QB_IN_HANDSHAKE | QB_IN_1RTT,
	P_01 = QB_IN_0RTT | QB_IN_1RTT,
	P_1 = QB_IN_1RTT,

	F = QB_FRAME_IN_FLIGHT,
	AE = QB_FRAME_IN_FLIGHT | QB_FRAME_ELICITS_ACK,
	PR = QB_FRAME_PROBING,
	MP = QB_FRAME_MULTIPATH,
};

/* clang-format off */
#define OFF(field) (uint8_t)offsetof(struct qb_frame, field)
#define NO_FIELDS 0, {0}
#define ONE(a) 1, {OFF(a)}
#define TWO(a, b) 2, {OFF(a), OFF(b)}
#define THREE(a, b, c) 3, {OFF(a), OFF(b), OFF(c)}
#define FOUR(a, b, c, d) 4, {OFF(a), OFF(b), OFF(c), OFF(d)}
#define STREAM_ROW {{"STREAM", P_01, AE}, ONE(stream.id), parse_stream, NULL}

static const struct codec codecs[ROW_CNT] = {
	[QB_FRAME_PADDING] = {{"PADDING", P_IH01, F | PR}, NO_FIELDS, parse_padding, build_padding},
	[QB_FRAME_PING] = {{"PING", P_IH01, AE}, NO_FIELDS, NULL, NULL},
	[QB_FRAME_ACK] = {{"ACK", P_IH1, 0},
		THREE(ack.largest, ack.delay, ack.range_cnt), parse_ack, build_ack},
	[QB_FRAME_ACK_ECN] = {{"ACK_ECN", P_IH1, 0},
		THREE(ack.largest, ack.delay, ack.range_cnt), parse_ack, build_ack},
	[QB_FRAME_RESET_STREAM] = {{"RESET_STREAM", P_01, AE},
		THREE(reset_stream.id, reset_stream.error_code, reset_stream.final_size), NULL, NULL},
	[QB_FRAME_STOP_SENDING] = {{"STOP_SENDING", P_01, AE},
		TWO(stop_sending.id, stop_sending.error_code), NULL, NULL},
	[QB_FRAME_CRYPTO] = {{"CRYPTO", P_IH1, AE}, ONE(crypto.off), parse_crypto, build_crypto},
	[QB_FRAME_NEW_TOKEN] = {{"NEW_TOKEN", P_1, AE}, NO_FIELDS, parse_new_token, build_new_token},
	[QB_FRAME_STREAM] = STREAM_ROW, [0x09] = STREAM_ROW, [0x0a] = STREAM_ROW, [0x0b] = STREAM_ROW,
	[0x0c] = STREAM_ROW, [0x0d] = STREAM_ROW, [0x0e] = STREAM_ROW, [0x0f] = STREAM_ROW,
	[QB_FRAME_MAX_DATA] = {{"MAX_DATA", P_01, AE}, ONE(limit.max), NULL, NULL},
	[QB_FRAME_MAX_STREAM_DATA] = {{"MAX_STREAM_DATA", P_01, AE},
		TWO(limit.stream_id, limit.max), NULL, NULL},
	[QB_FRAME_MAX_STREAMS_BIDI] = {{"MAX_STREAMS_BIDI", P_01, AE}, ONE(limit.max), parse_streams_limit, NULL},
	[QB_FRAME_MAX_STREAMS_UNI] = {{"MAX_STREAMS_UNI", P_01, AE}, ONE(limit.max), parse_streams_limit, NULL},
	[QB_FRAME_DATA_BLOCKED] = {{"DATA_BLOCKED", P_01, AE}, ONE(limit.max), NULL, NULL},
	[QB_FRAME_STREAM_DATA_BLOCKED] = {{"STREAM_DATA_BLOCKED", P_01, AE},
		TWO(limit.stream_id, limit.max), NULL, NULL},
	[QB_FRAME_STREAMS_BLOCKED_BIDI] = {{"STREAMS_BLOCKED_BIDI", P_01, AE},
		ONE(limit.max), parse_streams_limit, NULL},
	[QB_FRAME_STREAMS_BLOCKED_UNI] = {{"STREAMS_BLOCKED_UNI", P_01, AE},
		ONE(limit.max), parse_streams_limit, NULL},
	[QB_FRAME_NEW_CONNECTION_ID] = {{"NEW_CONNECTION_ID", P_01, AE | PR},
		TWO(new_cid.seq, new_cid.retire_prior_to), parse_new_cid, build_new_cid},
	[QB_FRAME_RETIRE_CONNECTION_ID] = {{"RETIRE_CONNECTION_ID", P_1, AE}, ONE(retire_cid.seq), NULL, NULL},
	[QB_FRAME_PATH_CHALLENGE] = {{"PATH_CHALLENGE", P_01, AE | PR},
		NO_FIELDS, parse_path_challenge, build_path_challenge},
	[QB_FRAME_PATH_RESPONSE] = {{"PATH_RESPONSE", P_1, AE | PR},
		NO_FIELDS, parse_path_challenge, build_path_challenge},
	[QB_FRAME_CONNECTION_CLOSE] = {{"CONNECTION_CLOSE", P_IH01, 0},
		TWO(close.error_code, close.frame_type), parse_close, build_close},
	[QB_FRAME_CONNECTION_CLOSE_APP] = {{"CONNECTION_CLOSE_APP", P_01, 0},
		ONE(close.error_code), parse_close, build_close},
	[QB_FRAME_HANDSHAKE_DONE] = {{"HANDSHAKE_DONE", P_1, AE}, NO_FIELDS, NULL, NULL},
	[QB_FRAME_IMMEDIATE_ACK] = {{"IMMEDIATE_ACK", P_1, AE}, NO_FIELDS, NULL, NULL},
	[QB_FRAME_RESET_STREAM_AT] = {{"RESET_STREAM_AT", P_01, AE},
		FOUR(reset_stream.id, reset_stream.error_code, reset_stream.final_size,
		     reset_stream.reliable_size), parse_reset_stream_at, NULL},
	[QB_FRAME_DATAGRAM] = {{"DATAGRAM", P_01, AE}, NO_FIELDS, parse_datagram, build_datagram},
	[QB_FRAME_DATAGRAM_LEN] = {{"DATAGRAM", P_01, AE}, NO_FIELDS, parse_datagram, build_datagram},
	[QB_FRAME_PATH_ACK] = {{"PATH_ACK", P_1, MP},
		FOUR(ack.path_id, ack.largest, ack.delay, ack.range_cnt), parse_ack, build_ack},
	[QB_FRAME_PATH_ACK_ECN] = {{"PATH_ACK_ECN", P_1, MP},
		FOUR(ack.path_id, ack.largest, ack.delay, ack.range_cnt), parse_ack, build_ack},
	[ROW_ACK_FREQUENCY] = {{"ACK_FREQUENCY", P_1, AE},
		FOUR(ack_frequency.seq, ack_frequency.eliciting_threshold, ack_frequency.max_ack_delay_us,
		     ack_frequency.reordering_threshold), parse_ack_frequency, NULL},
	[ROW_PATH_ABANDON] = {{"PATH_ABANDON", P_1, AE | MP},
		TWO(path_abandon.path_id, path_abandon.error_code), parse_path_abandon, build_path_abandon},
	[ROW_PATH_ABANDON + 1] = {{"PATH_STATUS_BACKUP", P_1, AE | MP},
		TWO(path_status.path_id, path_status.seq), NULL, NULL},
	[ROW_PATH_ABANDON + 2] = {{"PATH_STATUS_AVAILABLE", P_1, AE | MP},
		TWO(path_status.path_id, path_status.seq), NULL, NULL},
	[ROW_PATH_ABANDON + 3] = {{"PATH_NEW_CONNECTION_ID", P_1, AE | PR | MP},
		THREE(new_cid.path_id, new_cid.seq, new_cid.retire_prior_to), parse_new_cid, build_new_cid},
	[ROW_PATH_ABANDON + 4] = {{"PATH_RETIRE_CONNECTION_ID", P_1, AE | MP},
		TWO(retire_cid.path_id, retire_cid.seq), NULL, NULL},
	[ROW_PATH_ABANDON + 5] = {{"MAX_PATH_ID", P_1, AE | MP}, ONE(max_path_id.max), parse_max_path_id, NULL},
	[ROW_PATH_ABANDON + 6] = {{"PATHS_BLOCKED", P_1, AE | MP}, ONE(max_path_id.max), parse_max_path_id, NULL},
	[ROW_PATH_ABANDON + 7] = {{"PATH_CIDS_BLOCKED", P_1, AE | MP},
		TWO(path_cids_blocked.path_id, path_cids_blocked.next_seq), NULL, NULL},
	[ROW_OBSERVED] = {{"OBSERVED_ADDRESS", P_1, AE | PR}, ONE(observed.seq), parse_observed, build_observed},
	[ROW_OBSERVED + 1] = {{"OBSERVED_ADDRESS", P_1, AE | PR}, ONE(observed.seq), parse_observed, build_observed},
	[ROW_ACK_TS] = {{"ACK_RECEIVE_TIMESTAMPS", P_1, 0},
		THREE(ack.largest, ack.delay, ack.range_cnt), parse_ack_ts, build_ack_ts},
	[ROW_ACK_TS + 1] = {{"ACK_RECEIVE_TIMESTAMPS_ECN", P_1, 0},
		THREE(ack.largest, ack.delay, ack.range_cnt), parse_ack_ts, build_ack_ts},
	[ROW_ACK_TS + 2] = {{"PATH_ACK_RECEIVE_TIMESTAMPS", P_1, MP},
		FOUR(ack.path_id, ack.largest, ack.delay, ack.range_cnt), parse_ack_ts, build_ack_ts},
	[ROW_ACK_TS + 3] = {{"PATH_ACK_RECEIVE_TIMESTAMPS_ECN", P_1, MP},
		FOUR(ack.path_id, ack.largest, ack.delay, ack.range_cnt), parse_ack_ts, build_ack_ts},
};
/* clang-format on */

_Static_assert(sizeof(struct qb_frame) <= UINT8_MAX, "field offsets are bytes");

static const struct codec *find_codec(uint64_t type)
{
	const struct codec *c;

	if (type < ROW_ACK_FREQUENCY)
		c = &codecs[type];
	else if (type == QB_FRAME_ACK_FREQUENCY)
		c = &codecs[ROW_ACK_FREQUENCY];
	else if (type >= QB_FRAME_PATH_ABANDON && type <= QB_FRAME_PATH_CIDS_BLOCKED)
		c = &codecs[ROW_PATH_ABANDON + (type - QB_FRAME_PATH_ABANDON)];
	else if (qb_frame_is_observed(type))
		c = &codecs[ROW_OBSERVED + (type - QB_FRAME_OBSERVED_ADDRESS4)];
	else if (qb_frame_is_ack_ts(type))
		c = &codecs[ROW_ACK_TS + (type - QB_FRAME_ACK_TS)];
	else
		return NULL;
	return c->rule.name ? c : NULL;
}

const struct qb_frame_rule *qb_frame_rule(uint64_t type)
{
	const struct codec *c = find_codec(type);

	return c ? &c->rule : NULL;
}

const char *qb_frame_name(uint64_t type)
{
	const struct codec *c = find_codec(type);

	return c ? c->rule.name : "UNKNOWN";
}

/* ---- dialects ---- */

#define DRAFT_BASE UINT64_C(0x15228c00)

static const struct {
	uint64_t type;
	uint8_t draft; /* behind DRAFT_BASE */
	bool is_new;   /* not in -10 */
} draft_types[] = {
	{QB_FRAME_PATH_ACK, 0x00, false},
	{QB_FRAME_PATH_ACK_ECN, 0x01, false},
	{QB_FRAME_PATH_ABANDON, 0x05, false},
	{QB_FRAME_PATH_STATUS_BACKUP, 0x07, false},
	{QB_FRAME_PATH_STATUS_AVAILABLE, 0x08, false},
	{QB_FRAME_PATH_NEW_CONNECTION_ID, 0x09, false},
	{QB_FRAME_PATH_RETIRE_CONNECTION_ID, 0x0a, false},
	{QB_FRAME_MAX_PATH_ID, 0x0c, false},
	{QB_FRAME_PATHS_BLOCKED, 0x0d, true},
	{QB_FRAME_PATH_CIDS_BLOCKED, 0x0e, true},
};

bool qb_frame_has_dialect(uint64_t type, enum qb_mp_dialect dialect)
{
	for (size_t i = 0; i < QB_ARRAY_LEN(draft_types); i++)
		if (draft_types[i].type == type)
			return dialect != QB_MP_DRAFT10 || !draft_types[i].is_new;
	return true;
}

/* to_dialect is the number that a type goes by. */
static uint64_t to_dialect(uint64_t type, enum qb_mp_dialect dialect)
{
	if (QB_LIKELY(dialect == QB_MP_RFC))
		return type;
	for (size_t i = 0; i < QB_ARRAY_LEN(draft_types); i++)
		if (draft_types[i].type == type)
			return DRAFT_BASE + draft_types[i].draft;
	return type;
}

/* from_dialect is the type that goes by a number; one that no codec has where the dialect does not know it. */
static uint64_t from_dialect(uint64_t number, enum qb_mp_dialect dialect)
{
	if (QB_LIKELY(dialect == QB_MP_RFC))
		return number;
	for (size_t i = 0; i < QB_ARRAY_LEN(draft_types); i++) {
		if (draft_types[i].type == number)
			return DRAFT_BASE;
		if (DRAFT_BASE + draft_types[i].draft == number)
			return qb_frame_has_dialect(draft_types[i].type, dialect) ? draft_types[i].type
										   : DRAFT_BASE;
	}
	return number;
}

/* ---- parse and build ---- */

static uint64_t *field_at(struct qb_frame *f, uint8_t off)
{
	return (uint64_t *)(void *)((uint8_t *)f + off);
}

static void build_head(struct qb_wr *w, const struct codec *c, const struct qb_frame *f)
{
	qb_wr_varint(w, to_dialect(f->type, f->dialect));
	for (uint8_t i = 0; i < c->field_cnt; i++)
		qb_wr_varint(w, *field_at((struct qb_frame *)f, c->field_off[i]));
}

static int parse_type(struct qb_frame *f, struct qb_rd *rd, struct qb_fault *fault)
{
	bool is_minimal;

	f->type = qb_rd_varint_min(rd, &is_minimal);
	if (rd->bad)
		return bad_encoding(fault, "frame type cut short");
	if (!is_minimal)
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION,
				    "frame type not in its shortest encoding");
	return 0;
}

int qb_frame_parse(struct qb_frame *f, const uint8_t *p, size_t len, enum qb_pkt_type pkt,
		   struct qb_fault *fault)
{
	return qb_frame_parse_as(f, p, len, pkt, QB_MP_RFC, fault);
}

int qb_frame_parse_as(struct qb_frame *f, const uint8_t *p, size_t len, enum qb_pkt_type pkt,
		      enum qb_mp_dialect dialect, struct qb_fault *fault)
{
	struct qb_rd rd = qb_rd_init(p, len);
	const struct codec *c;
	int rc;

	*f = (struct qb_frame){0};
	rc = parse_type(f, &rd, fault);
	if (rc)
		return rc;
	f->type = from_dialect(f->type, dialect);
	c = find_codec(f->type);
	if (!c)
		return bad_encoding(fault, "unknown frame type");
	f->dialect = dialect;
	if (!(c->rule.packets & (1u << pkt)))
		return qb_fault_set(fault, QB_QUIC_PROTOCOL_VIOLATION,
				    "frame not allowed in this packet type");
	for (uint8_t i = 0; i < c->field_cnt; i++)
		*field_at(f, c->field_off[i]) = qb_rd_varint(&rd);
	rc = c->parse && !rd.bad ? c->parse(f, &rd, fault) : 0;
	if (rc)
		return rc;
	if (rd.bad)
		return bad_encoding(fault, "frame cut short");
	return (int)(rd.p - p);
}

void qb_frame_build(struct qb_wr *w, const struct qb_frame *f)
{
	const struct codec *c = find_codec(f->type);
	uint8_t *start = w->p;

	QB_BUG_ON(!c);
	if (c->parse == parse_stream) {
		build_stream(w, &f->stream);
	} else {
		build_head(w, c, f);
		if (c->build)
			c->build(w, f);
	}
	if (w->bad)
		w->p = start;
}

bool qb_frame_try(struct qb_wr *w, const struct qb_frame *f)
{
	struct qb_wr tmp = *w;

	qb_frame_build(&tmp, f);
	if (!tmp.bad)
		w->p = tmp.p;
	return !tmp.bad;
}

/* ---- ACK ranges ---- */

static struct qb_frame_ack ack_of(const struct qb_frame *f, const struct qb_range *newest)
{
	struct qb_frame_ack ack = f->ack;

	ack.largest = newest->last;
	ack.first_range = newest->last - newest->first;
	ack.range_cnt = 0;
	ack.ranges = (struct qb_bytes){0};
	return ack;
}

/* Size of an encoded range below `above`: gap and length. */
static size_t ack_range_len(const struct qb_range *r, const struct qb_range *above)
{
	return qb_varint_len(above->first - r->last - 2) + qb_varint_len(r->last - r->first);
}

/* How many ranges besides the newest go into room bytes. */
static size_t ack_ranges_fit(const struct qb_range *r, size_t cnt, size_t room)
{
	size_t n = 0;

	while (n + 1 < cnt) {
		size_t len = ack_range_len(&r[cnt - 2 - n], &r[cnt - 1 - n]);

		if (len > room)
			break;
		room -= len;
		n++;
	}
	return n;
}

bool qb_ack_build(struct qb_wr *w, const struct qb_frame *f, const struct qb_range *r, size_t cnt)
{
	struct qb_frame out = {.type = f->type, .dialect = f->dialect, .ack = ack_of(f, &r[cnt - 1])};
	struct qb_wr whole = *w, tmp = *w;
	size_t room;

	/* Written once with the longest count it may get, to see what room is left for ranges. */
	out.ack.range_cnt = cnt - 1;
	qb_frame_build(&tmp, &out);
	if (tmp.bad)
		return false;
	room = qb_wr_room(&tmp);
	out.ack.range_cnt = ack_ranges_fit(r, cnt, room);

	build_head(&whole, find_codec(out.type), &out);
	qb_wr_varint(&whole, out.ack.first_range);
	for (uint64_t i = 0; i < out.ack.range_cnt; i++) {
		const struct qb_range *x = &r[cnt - 2 - i];

		qb_wr_varint(&whole, x[1].first - x->last - 2);
		qb_wr_varint(&whole, x->last - x->first);
	}
	build_ack_ecn(&whole, &out);
	build_timestamps(&whole, &out);
	QB_BUG_ON(whole.bad);
	w->p = whole.p;
	return true;
}

void qb_ack_iter_init(struct qb_ack_iter *it, const struct qb_frame_ack *ack)
{
	*it = (struct qb_ack_iter){
		.rd = qb_rd_init(ack->ranges.p, ack->ranges.len),
		.left = ack->range_cnt,
		.first = {ack->largest - ack->first_range, ack->largest},
	};
}

bool qb_ack_iter_next(struct qb_ack_iter *it, struct qb_range *out)
{
	if (!it->is_started) {
		it->is_started = true;
		*out = it->first;
	} else {
		if (it->left == 0)
			return false;
		it->left--;
		out->last = it->smallest - qb_rd_varint(&it->rd) - 2;
		out->first = out->last - qb_rd_varint(&it->rd);
	}
	it->smallest = out->first;
	return true;
}

/* ---- sizes ---- */

size_t qb_stream_hdr_len(uint64_t id, uint64_t off, size_t data_len)
{
	return 1 + qb_varint_len(id) + (off ? qb_varint_len(off) : 0) + qb_varint_len(data_len);
}

size_t qb_crypto_hdr_len(uint64_t off, size_t data_len)
{
	return 1 + qb_varint_len(off) + qb_varint_len(data_len);
}

size_t qb_payload_fit(size_t room, size_t fixed_len, size_t want)
{
	size_t n;

	if (room <= fixed_len + 1)
		return 0;
	room -= fixed_len;
	n = QB_MIN(want, room - 1);
	return QB_MIN(n, room - qb_varint_len(n));
}
