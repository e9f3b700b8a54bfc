/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions as bytes; called by early.c and, for what tickets depend on, by handshake.c. */
#include "quic/session.h"

#include <errno.h>

enum { FLAG_NO_MIGRATION = 1, FLAG_RESET_AT = 2, RTT_US_MAX = 10 * 1000 * 1000 };

static const uint8_t magic[4] = {'Q', 'B', 's', 1};

/*
 * What is remembered (RFC 9000 §7.4.1, RFC 9221 §3): a server that takes 0-RTT data must not lower
 * any of these. All that follows from connection IDs, delays or multipath (RFC 10069 §2.1) begins
 * afresh.
 */
/* clang-format off */
static const struct {
	const char *name;
	size_t off;
	uint64_t min, max;
	bool is_limit; /* of what 0-RTT data may do */
} rows[] = {
#define ROW(field, lo, hi, limit) {#field, offsetof(struct qb_tparams, field), lo, hi, limit}
	ROW(max_udp_payload_bytes, QB_UDP_PAYLOAD_MIN, QB_VARINT_MAX, false),
	ROW(cid_limit, QB_CID_LIMIT_DEFAULT, QB_VARINT_MAX, true),
	ROW(max_data, 0, QB_VARINT_MAX, true),
	ROW(max_stream_data_bidi_local, 0, QB_VARINT_MAX, true),
	ROW(max_stream_data_bidi_remote, 0, QB_VARINT_MAX, true),
	ROW(max_stream_data_uni, 0, QB_VARINT_MAX, true),
	ROW(max_streams_bidi, 0, UINT64_C(1) << 60, true),
	ROW(max_streams_uni, 0, UINT64_C(1) << 60, true),
	ROW(max_datagram_frame_bytes, 0, QB_VARINT_MAX, true),
#undef ROW
};
/* clang-format on */

static uint64_t *field_of(struct qb_tparams *tp, size_t i)
{
	return (uint64_t *)(void *)((uint8_t *)tp + rows[i].off);
}

static uint64_t value_of(const struct qb_tparams *tp, size_t i)
{
	return *(const uint64_t *)(const void *)((const uint8_t *)tp + rows[i].off);
}

void qb_session_put_params(struct qb_wr *w, const struct qb_tparams *tp)
{
	size_t i;

	for (i = 0; i < QB_ARRAY_LEN(rows); i++)
		qb_wr_varint(w, value_of(tp, i));
	qb_wr_u8(w, (uint8_t)((tp->disable_active_migration ? FLAG_NO_MIGRATION : 0) |
			      (tp->reset_stream_at ? FLAG_RESET_AT : 0)));
}

size_t qb_session_build(const struct qb_session *s, uint8_t *out)
{
	struct qb_wr w = qb_wr_init(out, QB_SESSION_MAX);

	qb_wr_bytes(&w, magic, sizeof(magic));
	qb_wr_be32(&w, s->version);
	qb_wr_varint(&w, QB_MIN(s->rtt_ns / QB_NS_PER_US, (uint64_t)RTT_US_MAX));
	qb_session_put_params(&w, &s->params);
	qb_wr_be16(&w, (uint16_t)s->tls.len);
	qb_wr_bytes(&w, s->tls.p, s->tls.len);
	return w.bad ? 0 : (size_t)(w.p - out);
}

int qb_session_parse(struct qb_session *s, const uint8_t *p, size_t len)
{
	struct qb_rd r = qb_rd_init(p, len);
	const uint8_t *head = qb_rd_take(&r, sizeof(magic));
	uint8_t flags;
	size_t i;

	if (!head || memcmp(head, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	s->version = qb_rd_be32(&r);
	s->rtt_ns = qb_rd_varint(&r);
	if (s->rtt_ns > RTT_US_MAX)
		return -EBADMSG;
	s->rtt_ns *= QB_NS_PER_US;
	qb_tparams_init(&s->params);
	for (i = 0; i < QB_ARRAY_LEN(rows); i++) {
		uint64_t v = qb_rd_varint(&r);

		if (r.bad || v < rows[i].min || v > rows[i].max)
			return -EBADMSG;
		*field_of(&s->params, i) = v;
	}
	flags = qb_rd_u8(&r);
	s->params.disable_active_migration = flags & FLAG_NO_MIGRATION;
	s->params.reset_stream_at = flags & FLAG_RESET_AT;
	s->tls = qb_rd_bytes(&r, qb_rd_be16(&r));
	if (r.bad || qb_rd_left(&r) || flags & ~(FLAG_NO_MIGRATION | FLAG_RESET_AT) ||
	    !s->tls.len || s->tls.len > QB_TLS_SESSION_MAX)
		return -EBADMSG;
	return 0;
}

const char *qb_session_lowered(const struct qb_tparams *was, const struct qb_tparams *now)
{
	size_t i;

	for (i = 0; i < QB_ARRAY_LEN(rows); i++) {
		if (rows[i].is_limit && value_of(now, i) < value_of(was, i))
			return rows[i].name;
	}
	return was->reset_stream_at && !now->reset_stream_at ? "reset_stream_at" : NULL;
}
