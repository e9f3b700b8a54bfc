/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet headers of QUIC v1 and v2 (RFC 9000 §17, RFC 9369 §3.2, invariants RFC 8999): parsing what
 * can be read before header protection is removed, building, packet number coding. Protection
 * itself is tls/keys.h.
 */
#pragma once

#include "wire/varint.h"

/* The versions; tls/keys.h says the same (a difference would not compile). */
#define QB_QUIC_V1 UINT32_C(0x00000001)
#define QB_QUIC_V2 UINT32_C(0x6b3343cf)

enum {
	QB_CID_MAX = 20, /* of v1 and v2; the invariants allow 255 */
	QB_PN_LEN_MAX = 4,
	QB_HP_SAMPLE_OFF = 4, /* the sample starts so far behind the start of the packet number */
	QB_RETRY_TAG_LEN = 16,
	QB_LONG_LENGTH_LEN = 2, /* bytes that qb_hdr_build_long keeps free for the Length field */
	QB_LONG_LENGTH_MAX = 0x3fff,
	/* Bits of the first byte */
	QB_HDR_LONG = 0x80,
	QB_HDR_FIXED = 0x40,
	QB_HDR_SPIN = 0x20,
	QB_HDR_SHORT_RESERVED = 0x18, /* visible once protection is off; must be 0 */
	QB_HDR_KEY_PHASE = 0x04,
	QB_HDR_LONG_RESERVED = 0x0c,
	QB_HDR_PN_LEN = 0x03,
	QB_HDR_LONG_PROTECTED = 0x0f, /* what the mask covers */
	QB_HDR_SHORT_PROTECTED = 0x1f,
};

#define QB_PN_MAX QB_VARINT_MAX
/* "No packet number yet". */
#define QB_PN_NONE UINT64_MAX

struct qb_cid {
	uint8_t len;
	uint8_t id[QB_CID_MAX];
};

static inline bool qb_cid_eq(const struct qb_cid *a, const struct qb_cid *b)
{
	return a->len == b->len && memcmp(a->id, b->id, a->len) == 0;
}

static inline bool qb_cid_is(const struct qb_cid *cid, struct qb_bytes b)
{
	return cid->len == b.len && (b.len == 0 || memcmp(cid->id, b.p, b.len) == 0);
}

/* qb_cid_set copies b, which has at most QB_CID_MAX bytes. */
static inline void qb_cid_set(struct qb_cid *cid, struct qb_bytes b)
{
	QB_BUG_ON(b.len > QB_CID_MAX);
	cid->len = (uint8_t)b.len;
	if (b.len)
		memcpy(cid->id, b.p, b.len);
}

static inline struct qb_bytes qb_cid_bytes(const struct qb_cid *cid)
{
	return (struct qb_bytes){cid->id, cid->len};
}

enum qb_pkt_type {
	QB_PKT_INITIAL,
	QB_PKT_0RTT,
	QB_PKT_HANDSHAKE,
	QB_PKT_1RTT,
	QB_PKT_RETRY,
	QB_PKT_VERSION_NEGOTIATION,
	QB_PKT_OTHER_VERSION, /* a long header of a version not spoken: only version and CIDs are
				 known */
	QB_PKT_TYPE_CNT
};

const char *qb_pkt_type_name(enum qb_pkt_type type);

/*
 * A parsed header. Pointers lead into the datagram.
 *
 *     long:  | first | version | dcid | scid | token | length | pn, payload, tag |   next packet
 * ... ^ pn_off          ^ pkt_len
 */
struct qb_hdr {
	enum qb_pkt_type type;
	uint8_t first;		  /* still protected where the type has protection */
	uint32_t version;	  /* 0 for 1-RTT and Version Negotiation */
	struct qb_bytes dcid;	  /* up to 255 bytes for VERSION_NEGOTIATION and OTHER_VERSION, else
				     QB_CID_MAX */
	struct qb_bytes scid;	  /* empty for 1-RTT */
	struct qb_bytes token;	  /* Initial and Retry */
	struct qb_bytes versions; /* Version Negotiation: 4 bytes each, see qb_vn_version */
	const uint8_t *retry_tag; /* Retry: QB_RETRY_TAG_LEN bytes */
	size_t pn_off;		  /* from the packet's start; 0 for types without a packet number */
	size_t pkt_len; /* of this packet; what follows in the datagram is another (coalesced) one
			 */
};

/*
 * qb_hdr_parse reads the header of the packet at p, of a datagram that has len bytes from there on.
 * A short header's connection ID has local_cid_len bytes. For types with a packet number, success
 * means that the header protection sample lies inside the packet. The fixed bit is not checked for
 * v1 and v2 (RFC 9287): see `first`. Returns 0 or -EBADMSG.
 */
int qb_hdr_parse(struct qb_hdr *h, const uint8_t *p, size_t len,
		 size_t local_cid_len) QB_MUST_CHECK;

/* qb_hdr_dcid finds the connection ID alone, for routing a datagram. Returns 0 or -EBADMSG. */
int qb_hdr_dcid(const uint8_t *p, size_t len, size_t local_cid_len,
		struct qb_bytes *dcid) QB_MUST_CHECK;

static inline size_t qb_vn_cnt(const struct qb_hdr *h)
{
	return h->versions.len / 4;
}

static inline uint32_t qb_vn_version(const struct qb_hdr *h, size_t i)
{
	return qb_load_be32(h->versions.p + 4 * i);
}

/* ---- building; every builder sets w->bad when it does not fit ---- */

struct qb_long_hdr {
	enum qb_pkt_type type; /* INITIAL, 0RTT or HANDSHAKE */
	uint32_t version;
	const struct qb_cid *dcid, *scid;
	struct qb_bytes token; /* INITIAL only */
	uint64_t pn;
	uint8_t pn_len; /* 1..4, of qb_pn_len */
};

/*
 * qb_hdr_build_long appends a long header with its packet number. *length_at is where
 * qb_hdr_set_length must store the length of packet number, payload and tag once it is known.
 */
void qb_hdr_build_long(struct qb_wr *w, const struct qb_long_hdr *h, uint8_t **length_at);
void qb_hdr_set_length(uint8_t *length_at, size_t pn_and_sealed_len);
/* qb_hdr_long_len is what qb_hdr_build_long will need. */
size_t qb_hdr_long_len(const struct qb_long_hdr *h);

/* qb_hdr_build_short appends a 1-RTT header: 1 + dcid->len + pn_len bytes. */
void qb_hdr_build_short(struct qb_wr *w, const struct qb_cid *dcid, bool is_spin, bool key_phase,
			uint64_t pn, uint8_t pn_len);

/*
 * qb_vn_build appends a Version Negotiation packet. dcid and scid are those of the packet it
 * answers, swapped by the caller (up to 255 bytes each); first_bits are random.
 */
void qb_vn_build(struct qb_wr *w, uint8_t first_bits, struct qb_bytes dcid, struct qb_bytes scid,
		 const uint32_t *versions, size_t cnt);

/* qb_retry_build appends a Retry packet without its tag (qb_retry_tag makes that). first_bits are
 * random. */
void qb_retry_build(struct qb_wr *w, uint32_t version, uint8_t first_bits,
		    const struct qb_cid *dcid, const struct qb_cid *scid, struct qb_bytes token);

/* ---- packet numbers (RFC 9000 §17.1, A.2, A.3) ---- */

/* qb_pn_len is the bytes to send pn in; largest_acked may be QB_PN_NONE. */
uint8_t qb_pn_len(uint64_t pn, uint64_t largest_acked);
void qb_pn_write(uint8_t *p, uint64_t pn, uint8_t pn_len);
/* qb_pn_read is the truncated number at p. */
uint32_t qb_pn_read(const uint8_t *p, uint8_t pn_len);
/* qb_pn_decode restores a number; expected is the largest received plus one, or 0. */
uint64_t qb_pn_decode(uint64_t expected, uint32_t truncated, uint8_t pn_len);
