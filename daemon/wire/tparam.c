/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transport parameters by one table: a row says where a parameter lives, who may send it and what
 * it may be. Called by the connection with what TLS carried.
 */
#include "wire/tparam.h"

enum kind {
	KIND_VARINT,
	KIND_FLAG, /* empty value; presence is all */
	KIND_CID,
	KIND_TOKEN,
	KIND_PREFERRED_ADDR,
	KIND_VERSION_INFO,
};

struct row {
	uint64_t id;
	const char *name;
	enum kind kind;
	bool is_server_only;
	int16_t off;		 /* of the value in struct qb_tparams */
	int16_t has_off;	 /* of its has_*, or NO_HAS */
	uint64_t min, max, dflt; /* KIND_VARINT */
};

enum { NO_HAS = -1, CLIENT_TOO = false, SERVER_ONLY = true };

#define OFF(field) (int16_t) offsetof(struct qb_tparams, field)
#define VMAX	   QB_VARINT_MAX

/* clang-format off */
static const struct row rows[] = {
	{0x00, "original_destination_connection_id", KIND_CID, SERVER_ONLY,
		OFF(original_dcid), OFF(has_original_dcid), 0, 0, 0},
	{0x01, "max_idle_timeout", KIND_VARINT, CLIENT_TOO, OFF(max_idle_timeout_ms), NO_HAS, 0, VMAX, 0},
	{0x02, "stateless_reset_token", KIND_TOKEN, SERVER_ONLY, OFF(reset_token), OFF(has_reset_token), 0, 0, 0},
	{0x03, "max_udp_payload_size", KIND_VARINT, CLIENT_TOO, OFF(max_udp_payload_bytes), NO_HAS,
		QB_UDP_PAYLOAD_MIN, VMAX, QB_UDP_PAYLOAD_MAX},
	{0x04, "initial_max_data", KIND_VARINT, CLIENT_TOO, OFF(max_data), NO_HAS, 0, VMAX, 0},
	{0x05, "initial_max_stream_data_bidi_local", KIND_VARINT, CLIENT_TOO,
		OFF(max_stream_data_bidi_local), NO_HAS, 0, VMAX, 0},
	{0x06, "initial_max_stream_data_bidi_remote", KIND_VARINT, CLIENT_TOO,
		OFF(max_stream_data_bidi_remote), NO_HAS, 0, VMAX, 0},
	{0x07, "initial_max_stream_data_uni", KIND_VARINT, CLIENT_TOO,
		OFF(max_stream_data_uni), NO_HAS, 0, VMAX, 0},
	{0x08, "initial_max_streams_bidi", KIND_VARINT, CLIENT_TOO,
		OFF(max_streams_bidi), NO_HAS, 0, QB_STREAMS_LIMIT_MAX, 0},
	{0x09, "initial_max_streams_uni", KIND_VARINT, CLIENT_TOO,
		OFF(max_streams_uni), NO_HAS, 0, QB_STREAMS_LIMIT_MAX, 0},
	{0x0a, "ack_delay_exponent", KIND_VARINT, CLIENT_TOO, OFF(ack_delay_exponent), NO_HAS,
		0, 20, QB_ACK_DELAY_EXPONENT_DEFAULT},
	{0x0b, "max_ack_delay", KIND_VARINT, CLIENT_TOO, OFF(max_ack_delay_ms), NO_HAS,
		0, (1 << 14) - 1, QB_MAX_ACK_DELAY_DEFAULT_MS},
	{0x0c, "disable_active_migration", KIND_FLAG, CLIENT_TOO, OFF(disable_active_migration), NO_HAS, 0, 0, 0},
	{0x0d, "preferred_address", KIND_PREFERRED_ADDR, SERVER_ONLY,
		OFF(preferred_addr), OFF(has_preferred_addr), 0, 0, 0},
	{0x0e, "active_connection_id_limit", KIND_VARINT, CLIENT_TOO, OFF(cid_limit), NO_HAS,
		2, VMAX, QB_CID_LIMIT_DEFAULT},
	{0x0f, "initial_source_connection_id", KIND_CID, CLIENT_TOO,
		OFF(initial_scid), OFF(has_initial_scid), 0, 0, 0},
	{0x10, "retry_source_connection_id", KIND_CID, SERVER_ONLY, OFF(retry_scid), OFF(has_retry_scid), 0, 0, 0},
	{0x11, "version_information", KIND_VERSION_INFO, CLIENT_TOO,
		OFF(version_info), OFF(has_version_info), 0, 0, 0},
	{0x1d, "reset_stream_at", KIND_FLAG, CLIENT_TOO, OFF(reset_stream_at), NO_HAS, 0, 0, 0},
	{0x20, "max_datagram_frame_size", KIND_VARINT, CLIENT_TOO, OFF(max_datagram_frame_bytes), NO_HAS, 0, VMAX, 0},
	{0x3e, "initial_max_path_id", KIND_VARINT, CLIENT_TOO, OFF(max_path_id[QB_MP_RFC]),
		OFF(has_max_path_id[QB_MP_RFC]), 0, QB_PATH_ID_MAX, 0},
	{0x0f739bbc1b666d0d, "initial_max_path_id (-15)", KIND_VARINT, CLIENT_TOO, OFF(max_path_id[QB_MP_DRAFT15]),
		OFF(has_max_path_id[QB_MP_DRAFT15]), 0, QB_PATH_ID_MAX, 0},
	{0x0f739bbc1b666d09, "initial_max_path_id (-10)", KIND_VARINT, CLIENT_TOO, OFF(max_path_id[QB_MP_DRAFT10]),
		OFF(has_max_path_id[QB_MP_DRAFT10]), 0, QB_PATH_ID_MAX, 0},
	{0x2ab2, "grease_quic_bit", KIND_FLAG, CLIENT_TOO, OFF(grease_quic_bit), NO_HAS, 0, 0, 0},
	{0xff04de1b, "min_ack_delay", KIND_VARINT, CLIENT_TOO, OFF(min_ack_delay_us), OFF(has_min_ack_delay),
		0, VMAX, 0},
	{0x9f81a176, "address_discovery", KIND_VARINT, CLIENT_TOO, OFF(address_discovery), OFF(has_address_discovery),
		0, QB_ADDRESS_BOTH, 0},
	{0x4ac07, "max_receive_timestamps_per_ack", KIND_VARINT, CLIENT_TOO, OFF(rx_timestamps_max),
		OFF(has_rx_timestamps), 0, VMAX, 0},
	{0x4ac26, "receive_timestamps_exponent", KIND_VARINT, CLIENT_TOO, OFF(rx_timestamps_exponent), NO_HAS, 0, 20, 0},
};
/* clang-format on */

_Static_assert(QB_ARRAY_LEN(rows) <= 32, "the duplicate mask has 32 bits");

static void *at(const struct qb_tparams *tp, int16_t off)
{
	return (uint8_t *)(uintptr_t)tp + off;
}

void qb_tparams_init(struct qb_tparams *tp)
{
	*tp = (struct qb_tparams){0};
	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++)
		if (rows[i].kind == KIND_VARINT)
			*(uint64_t *)at(tp, rows[i].off) = rows[i].dflt;
}

/* ---- parsing: each reads one value, all of `rd`, and returns whether it is valid ---- */

static bool parse_cid(struct qb_cid *cid, struct qb_rd *rd)
{
	size_t len = qb_rd_left(rd);

	if (len > QB_CID_MAX)
		return false;
	qb_cid_set(cid, qb_rd_bytes(rd, len));
	return true;
}

static bool parse_preferred_addr(struct qb_preferred_addr *pa, struct qb_rd *rd)
{
	uint8_t cid_len;

	qb_rd_copy(rd, pa->ipv4, sizeof(pa->ipv4));
	pa->port4 = qb_rd_be16(rd);
	qb_rd_copy(rd, pa->ipv6, sizeof(pa->ipv6));
	pa->port6 = qb_rd_be16(rd);
	cid_len = qb_rd_u8(rd);
	if (cid_len == 0 || cid_len > QB_CID_MAX)
		return false;
	pa->cid.len = cid_len;
	qb_rd_copy(rd, pa->cid.id, cid_len);
	qb_rd_copy(rd, pa->reset_token, sizeof(pa->reset_token));
	return true;
}

/* RFC 9368 §3, §4: versions are not zero, and a client's choice is among those it offers. */
static bool parse_version_info(struct qb_version_info *vi, struct qb_rd *rd, bool is_from_client)
{
	bool is_chosen_available = false;

	vi->chosen = qb_rd_be32(rd);
	if (vi->chosen == 0)
		return false;
	while (qb_rd_left(rd) && !rd->bad) {
		uint32_t version = qb_rd_be32(rd);

		if (version == 0)
			return false;
		is_chosen_available |= version == vi->chosen;
		if (vi->available_cnt < QB_TP_VERSIONS_MAX)
			vi->available[vi->available_cnt++] = version;
	}
	return is_chosen_available || !is_from_client;
}

static bool parse_value(struct qb_tparams *tp, const struct row *row, struct qb_rd *rd,
			bool is_from_client)
{
	void *out = at(tp, row->off);
	uint64_t v;

	switch (row->kind) {
	case KIND_VARINT:
		v = qb_rd_varint(rd);
		*(uint64_t *)out = v;
		return v >= row->min && v <= row->max;
	case KIND_FLAG:
		*(bool *)out = true;
		return true;
	case KIND_CID:
		return parse_cid(out, rd);
	case KIND_TOKEN:
		qb_rd_copy(rd, out, QB_SRT_LEN);
		return true;
	case KIND_PREFERRED_ADDR:
		return parse_preferred_addr(out, rd);
	case KIND_VERSION_INFO:
		return parse_version_info(out, rd, is_from_client);
	}
	return false;
}

static const struct row *find_row(uint64_t id)
{
	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++)
		if (rows[i].id == id)
			return &rows[i];
	return NULL;
}

static int fail(struct qb_fault *fault, const char *why)
{
	return qb_fault_set(fault, QB_QUIC_TRANSPORT_PARAMETER_ERROR, why);
}

static int parse_one(struct qb_tparams *tp, const struct row *row, struct qb_bytes value,
		     bool is_from_client, struct qb_fault *fault)
{
	struct qb_rd rd = qb_rd_init(value.p, value.len);

	if (is_from_client && row->is_server_only)
		return fail(fault, row->name);
	if (!parse_value(tp, row, &rd, is_from_client) || rd.bad || qb_rd_left(&rd))
		return fail(fault, row->name);
	if (row->has_off != NO_HAS)
		*(bool *)at(tp, row->has_off) = true;
	return 0;
}

/* What can only be checked when all are known. */
static int check_whole(const struct qb_tparams *tp, bool is_from_client, struct qb_fault *fault)
{
	if (!tp->has_initial_scid)
		return fail(fault, "initial_source_connection_id missing");
	if (!is_from_client && !tp->has_original_dcid)
		return fail(fault, "original_destination_connection_id missing");
	if (tp->has_min_ack_delay && tp->min_ack_delay_us > tp->max_ack_delay_ms * 1000)
		return fail(fault, "min_ack_delay above max_ack_delay");
	return 0;
}

int qb_tparams_parse(struct qb_tparams *tp, const uint8_t *p, size_t len, bool is_from_client,
		     struct qb_fault *fault)
{
	struct qb_rd rd = qb_rd_init(p, len);
	uint32_t seen = 0;

	qb_tparams_init(tp);
	while (qb_rd_left(&rd)) {
		uint64_t id = qb_rd_varint(&rd);
		struct qb_bytes value = qb_rd_bytes(&rd, qb_rd_varint(&rd));
		const struct row *row;
		uint32_t bit;
		int rc;

		if (rd.bad)
			return fail(fault, "transport parameters cut short");
		row = find_row(id);
		if (!row)
			continue;
		bit = UINT32_C(1) << (row - rows);
		if (seen & bit)
			return fail(fault, row->name);
		seen |= bit;
		rc = parse_one(tp, row, value, is_from_client, fault);
		if (rc)
			return rc;
	}
	return check_whole(tp, is_from_client, fault);
}

/* ---- building ---- */

static void build_preferred_addr(struct qb_wr *w, const struct qb_preferred_addr *pa)
{
	qb_wr_bytes(w, pa->ipv4, sizeof(pa->ipv4));
	qb_wr_be16(w, pa->port4);
	qb_wr_bytes(w, pa->ipv6, sizeof(pa->ipv6));
	qb_wr_be16(w, pa->port6);
	qb_wr_u8(w, pa->cid.len);
	qb_wr_bytes(w, pa->cid.id, pa->cid.len);
	qb_wr_bytes(w, pa->reset_token, sizeof(pa->reset_token));
}

static void build_version_info(struct qb_wr *w, const struct qb_version_info *vi)
{
	qb_wr_be32(w, vi->chosen);
	for (uint32_t i = 0; i < vi->available_cnt; i++)
		qb_wr_be32(w, vi->available[i]);
}

static void build_value(struct qb_wr *w, const struct row *row, const void *value)
{
	const struct qb_cid *cid = value;

	switch (row->kind) {
	case KIND_VARINT:
		qb_wr_varint(w, *(const uint64_t *)value);
		break;
	case KIND_FLAG:
		break;
	case KIND_CID:
		qb_wr_bytes(w, cid->id, cid->len);
		break;
	case KIND_TOKEN:
		qb_wr_bytes(w, value, QB_SRT_LEN);
		break;
	case KIND_PREFERRED_ADDR:
		build_preferred_addr(w, value);
		break;
	case KIND_VERSION_INFO:
		build_version_info(w, value);
		break;
	}
}

static bool is_present(const struct qb_tparams *tp, const struct row *row)
{
	if (row->has_off != NO_HAS)
		return *(const bool *)at(tp, row->has_off);
	if (row->kind == KIND_FLAG)
		return *(const bool *)at(tp, row->off);
	return *(const uint64_t *)at(tp, row->off) != row->dflt;
}

static void build_param(struct qb_wr *w, uint64_t id, const uint8_t *value, size_t len)
{
	qb_wr_varint(w, id);
	qb_wr_varint(w, len);
	qb_wr_bytes(w, value, len);
}

/* A reserved parameter, 31·N + 27, of no meaning (RFC 9000 §18.1). */
static void build_grease(struct qb_wr *w, uint64_t grease)
{
	uint64_t id = 31 * (grease >> 32) + 27;
	uint8_t value[8];

	qb_store_be64(value, grease);
	build_param(w, id, value + 4, grease & 3);
}

void qb_tparams_build(struct qb_wr *w, const struct qb_tparams *tp, bool is_client, uint64_t grease)
{
	uint8_t buf[4 + 4 * QB_TP_VERSIONS_MAX + sizeof(struct qb_preferred_addr)];

	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++) {
		struct qb_wr value = qb_wr_init(buf, sizeof(buf));

		if ((is_client && rows[i].is_server_only) || !is_present(tp, &rows[i]))
			continue;
		build_value(&value, &rows[i], at(tp, rows[i].off));
		w->bad |= value.bad;
		build_param(w, rows[i].id, buf, (size_t)(value.p - buf));
	}
	if (grease)
		build_grease(w, grease);
}
