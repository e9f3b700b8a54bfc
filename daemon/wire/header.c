/* SPDX-License-Identifier: BSD-2-Clause */
/* Packet headers, bytes to struct and back. Called for every datagram before anything is
 * authenticated. */
#include "wire/header.h"

#include <errno.h>

/* Long packet types' bits, by version (RFC 9000 §17.2, RFC 9369 §3.2). */
static const enum qb_pkt_type types_v1[4] = {QB_PKT_INITIAL, QB_PKT_0RTT, QB_PKT_HANDSHAKE,
					     QB_PKT_RETRY};
static const enum qb_pkt_type types_v2[4] = {QB_PKT_RETRY, QB_PKT_INITIAL, QB_PKT_0RTT,
					     QB_PKT_HANDSHAKE};

static const char *const type_names[QB_PKT_TYPE_CNT] = {
	[QB_PKT_INITIAL] = "Initial",
	[QB_PKT_0RTT] = "0-RTT",
	[QB_PKT_HANDSHAKE] = "Handshake",
	[QB_PKT_1RTT] = "1-RTT",
	[QB_PKT_RETRY] = "Retry",
	[QB_PKT_VERSION_NEGOTIATION] = "Version Negotiation",
	[QB_PKT_OTHER_VERSION] = "unknown version",
};

const char *qb_pkt_type_name(enum qb_pkt_type type)
{
	return type_names[type];
}

static uint8_t type_bits(uint32_t version, enum qb_pkt_type type)
{
	const enum qb_pkt_type *types = version == QB_QUIC_V2 ? types_v2 : types_v1;
	uint8_t bits = 0;

	while (bits < 3 && types[bits] != type)
		bits++;
	return (uint8_t)(bits << 4);
}

/* ---- parsing ---- */

/* The part that all versions have in common (RFC 8999 §5.1). */
static void parse_invariant(struct qb_rd *rd, struct qb_hdr *h)
{
	h->first = qb_rd_u8(rd);
	h->version = qb_rd_be32(rd);
	h->dcid = qb_rd_bytes(rd, qb_rd_u8(rd));
	h->scid = qb_rd_bytes(rd, qb_rd_u8(rd));
}

/* A packet's header protection sample must lie inside it (RFC 9001 §5.4.2). */
static bool has_sample(const struct qb_hdr *h)
{
	return h->pkt_len - h->pn_off >= QB_HP_SAMPLE_OFF + 16;
}

static int parse_long_numbered(struct qb_hdr *h, struct qb_rd *rd, const uint8_t *start)
{
	uint64_t length;

	if (h->type == QB_PKT_INITIAL)
		h->token = qb_rd_bytes(rd, qb_rd_varint(rd));
	length = qb_rd_varint(rd);
	if (rd->bad || length > qb_rd_left(rd))
		return -EBADMSG;
	h->pn_off = (size_t)(rd->p - start);
	h->pkt_len = h->pn_off + length;
	return has_sample(h) ? 0 : -EBADMSG;
}

static int parse_retry(struct qb_hdr *h, struct qb_rd *rd)
{
	size_t left = qb_rd_left(rd);

	if (rd->bad || left < QB_RETRY_TAG_LEN)
		return -EBADMSG;
	h->token = qb_rd_bytes(rd, left - QB_RETRY_TAG_LEN);
	h->retry_tag = rd->p;
	return 0;
}

static int parse_long(struct qb_hdr *h, const uint8_t *p, size_t len)
{
	struct qb_rd rd = qb_rd_init(p, len);

	parse_invariant(&rd, h);
	if (rd.bad)
		return -EBADMSG;
	h->pkt_len = len;
	if (h->version == 0) {
		h->type = QB_PKT_VERSION_NEGOTIATION;
		h->versions = qb_rd_bytes(&rd, qb_rd_left(&rd));
		return h->versions.len && h->versions.len % 4 == 0 ? 0 : -EBADMSG;
	}
	if (h->version != QB_QUIC_V1 && h->version != QB_QUIC_V2) {
		h->type = QB_PKT_OTHER_VERSION;
		return 0;
	}
	if (h->dcid.len > QB_CID_MAX || h->scid.len > QB_CID_MAX)
		return -EBADMSG;
	h->type = (h->version == QB_QUIC_V2 ? types_v2 : types_v1)[(h->first >> 4) & 3];
	return h->type == QB_PKT_RETRY ? parse_retry(h, &rd) : parse_long_numbered(h, &rd, p);
}

static int parse_short(struct qb_hdr *h, const uint8_t *p, size_t len, size_t local_cid_len)
{
	struct qb_rd rd = qb_rd_init(p, len);

	h->type = QB_PKT_1RTT;
	h->first = qb_rd_u8(&rd);
	h->dcid = qb_rd_bytes(&rd, local_cid_len);
	if (rd.bad)
		return -EBADMSG;
	h->pn_off = (size_t)(rd.p - p);
	h->pkt_len = len;
	return has_sample(h) ? 0 : -EBADMSG;
}

int qb_hdr_parse(struct qb_hdr *h, const uint8_t *p, size_t len, size_t local_cid_len)
{
	*h = (struct qb_hdr){0};
	if (len == 0)
		return -EBADMSG;
	if (p[0] & QB_HDR_LONG)
		return parse_long(h, p, len);
	return parse_short(h, p, len, local_cid_len);
}

int qb_hdr_dcid(const uint8_t *p, size_t len, size_t local_cid_len, struct qb_bytes *dcid)
{
	struct qb_rd rd = qb_rd_init(p, len);

	if (qb_rd_u8(&rd) & QB_HDR_LONG) {
		qb_rd_be32(&rd);
		*dcid = qb_rd_bytes(&rd, qb_rd_u8(&rd));
	} else {
		*dcid = qb_rd_bytes(&rd, local_cid_len);
	}
	return rd.bad ? -EBADMSG : 0;
}

/* ---- building ---- */

static void build_cid(struct qb_wr *w, struct qb_bytes cid)
{
	qb_wr_u8(w, (uint8_t)cid.len);
	qb_wr_bytes(w, cid.p, cid.len);
}

static void build_pn(struct qb_wr *w, uint64_t pn, uint8_t pn_len)
{
	uint8_t *p = qb_wr_take(w, pn_len);

	if (p)
		qb_pn_write(p, pn, pn_len);
}

void qb_hdr_build_long(struct qb_wr *w, const struct qb_long_hdr *h, uint8_t **length_at)
{
	qb_wr_u8(w, (uint8_t)(QB_HDR_LONG | QB_HDR_FIXED | type_bits(h->version, h->type) |
			      (h->pn_len - 1)));
	qb_wr_be32(w, h->version);
	build_cid(w, qb_cid_bytes(h->dcid));
	build_cid(w, qb_cid_bytes(h->scid));
	if (h->type == QB_PKT_INITIAL) {
		qb_wr_varint(w, h->token.len);
		qb_wr_bytes(w, h->token.p, h->token.len);
	}
	*length_at = qb_wr_take(w, QB_LONG_LENGTH_LEN);
	build_pn(w, h->pn, h->pn_len);
}

void qb_hdr_set_length(uint8_t *length_at, size_t pn_and_sealed_len)
{
	QB_BUG_ON(pn_and_sealed_len > QB_LONG_LENGTH_MAX);
	qb_varint_write_as(length_at, pn_and_sealed_len, QB_LONG_LENGTH_LEN);
}

size_t qb_hdr_long_len(const struct qb_long_hdr *h)
{
	size_t len = 1 + 4 + 1 + (size_t)h->dcid->len + 1 + h->scid->len + QB_LONG_LENGTH_LEN;

	if (h->type == QB_PKT_INITIAL)
		len += qb_varint_len(h->token.len) + h->token.len;
	return len + h->pn_len;
}

void qb_hdr_build_short(struct qb_wr *w, const struct qb_cid *dcid, bool is_spin, bool key_phase,
			uint64_t pn, uint8_t pn_len)
{
	qb_wr_u8(w, (uint8_t)(QB_HDR_FIXED | (is_spin ? QB_HDR_SPIN : 0) |
			      (key_phase ? QB_HDR_KEY_PHASE : 0) | (pn_len - 1)));
	qb_wr_bytes(w, dcid->id, dcid->len);
	build_pn(w, pn, pn_len);
}

void qb_vn_build(struct qb_wr *w, uint8_t first_bits, struct qb_bytes dcid, struct qb_bytes scid,
		 const uint32_t *versions, size_t cnt)
{
	/* The fixed bit is set so that it looks like QUIC to whoever demultiplexes (RFC 9000
	 * §17.2.1). */
	qb_wr_u8(w, first_bits | QB_HDR_LONG | QB_HDR_FIXED);
	qb_wr_be32(w, 0);
	build_cid(w, dcid);
	build_cid(w, scid);
	for (size_t i = 0; i < cnt; i++)
		qb_wr_be32(w, versions[i]);
}

void qb_retry_build(struct qb_wr *w, uint32_t version, uint8_t first_bits,
		    const struct qb_cid *dcid, const struct qb_cid *scid, struct qb_bytes token)
{
	qb_wr_u8(w, (uint8_t)(QB_HDR_LONG | QB_HDR_FIXED | type_bits(version, QB_PKT_RETRY) |
			      (first_bits & 0x0f)));
	qb_wr_be32(w, version);
	build_cid(w, qb_cid_bytes(dcid));
	build_cid(w, qb_cid_bytes(scid));
	qb_wr_bytes(w, token.p, token.len);
}

/* ---- packet numbers ---- */

uint8_t qb_pn_len(uint64_t pn, uint64_t largest_acked)
{
	uint64_t unacked = largest_acked == QB_PN_NONE ? pn + 1 : pn - largest_acked;

	/* Twice the distance must be representable (RFC 9000 §17.1). */
	if (unacked <= UINT64_C(1) << 7)
		return 1;
	if (unacked <= UINT64_C(1) << 15)
		return 2;
	return unacked <= UINT64_C(1) << 23 ? 3 : 4;
}

void qb_pn_write(uint8_t *p, uint64_t pn, uint8_t pn_len)
{
	for (uint8_t i = 0; i < pn_len; i++)
		p[i] = (uint8_t)(pn >> (8 * (pn_len - 1 - i)));
}

uint32_t qb_pn_read(const uint8_t *p, uint8_t pn_len)
{
	uint32_t pn = 0;

	for (uint8_t i = 0; i < pn_len; i++)
		pn = pn << 8 | p[i];
	return pn;
}

uint64_t qb_pn_decode(uint64_t expected, uint32_t truncated, uint8_t pn_len)
{
	uint64_t win = UINT64_C(1) << (8 * pn_len);
	uint64_t half = win / 2;
	uint64_t cand = (expected & ~(win - 1)) | truncated;

	if (cand + half <= expected && cand < (UINT64_C(1) << 62) - win)
		return cand + win;
	if (cand > expected + half && cand >= win)
		return cand - win;
	return cand;
}
