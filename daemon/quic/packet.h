/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Building packets into one UDP datagram. Frames of up to three packets (Initial, Handshake, 1-RTT) are written one
 * behind the other, each with room for its tag; only then the last is padded and all are sealed.
 */
#pragma once

#include "quic/conn.h"

struct qb_tx_pkt {
	enum qb_level level;
	struct qb_wr w; /* frames go here; a tag's room is kept behind */
	uint8_t *start, *payload, *length_at;
	uint64_t pn;
	uint8_t pn_len;
	uint8_t flags; /* enum qb_sent_flag */
	uint8_t ack_path;
	uint32_t ack_largest;
	struct qb_frame_ref refs[QB_REFS_PER_PKT];
	size_t ref_cnt;
};

struct qb_tx_dgram {
	struct qb_conn *c;
	struct qb_path *path;
	struct qb_buf *b;
	uint8_t *end; /* of the datagram at its largest */
	const struct qb_remote_cid *cid; /* to send to; NULL: the one in use on the path */
	const struct qb_tuple *tuple;	 /* where it goes, without an ECN mark; NULL: the path's, marked */
	uint32_t cnt;
	struct qb_tx_pkt pkt[3];
};

static inline enum qb_pkt_type qb_tx_pkt_type(enum qb_level level)
{
	static const enum qb_pkt_type types[QB_LEVEL_CNT] = {
		[QB_LEVEL_INITIAL] = QB_PKT_INITIAL,
		[QB_LEVEL_EARLY] = QB_PKT_0RTT,
		[QB_LEVEL_HANDSHAKE] = QB_PKT_HANDSHAKE,
		[QB_LEVEL_APP] = QB_PKT_1RTT,
	};

	return types[level];
}

/* qb_tx_open takes a buffer for a datagram of up to max_bytes on a path. False: no buffer. */
bool qb_tx_open(struct qb_tx_dgram *d, struct qb_conn *c, struct qb_path *p, size_t max_bytes) QB_MUST_CHECK;
/* qb_tx_begin starts another packet. NULL: no keys, no room, no memory for its record. */
struct qb_tx_pkt *qb_tx_begin(struct qb_tx_dgram *d, enum qb_level level);
/* qb_tx_cancel drops the packet begun last. */
void qb_tx_cancel(struct qb_tx_dgram *d);
/* qb_tx_frame appends a frame with its reference (may be NULL), if both fit. */
bool qb_tx_frame(struct qb_tx_pkt *pkt, const struct qb_frame *f, const struct qb_frame_ref *ref);
/* qb_tx_ack appends the ACK of a space. */
bool qb_tx_ack(struct qb_tx_dgram *d, struct qb_tx_pkt *pkt, struct qb_path *of, uint64_t now_ns);
/* qb_tx_is_empty: nothing but the header so far. */
static inline bool qb_tx_is_empty(const struct qb_tx_pkt *pkt)
{
	return pkt->w.p == pkt->payload;
}
/*
 * qb_tx_close pads the datagram to pad_to bytes (0: as little as possible), seals its packets, records them and
 * appends it to out; an empty datagram's buffer goes back. Returns its length.
 */
size_t qb_tx_close(struct qb_tx_dgram *d, size_t pad_to, struct qb_batch *out, uint64_t now_ns);

/* qb_tx_next_pn returns the number of the next packet of a space, leaving one out now and then. False: no memory. */
bool qb_tx_next_pn(struct qb_conn *c, struct qb_path *p, enum qb_level level, uint64_t *pn);
/*
 * qb_tx_spin is the spin bit of a packet to connection ID cid_seq of the peer's: it begins anew with each; where it is not in
 * use, it is noise (RFC 9000 §17.4).
 */
static inline bool qb_tx_spin(struct qb_path *p, uint64_t cid_seq, uint64_t pn)
{
	if (QB_LIKELY(!p->spin.is_on))
		return qb_mix_u64(pn ^ p->skip_pn) & 1;
	if (p->spin.cid_seq != cid_seq)
		p->spin.value = false;
	p->spin.cid_seq = cid_seq;
	return p->spin.value;
}
/* qb_tx_grease makes noise of a finished header's fixed bit where the peer does not mind (RFC 9287). */
static inline void qb_tx_grease(const struct qb_conn *c, const struct qb_path *p, uint64_t pn, uint8_t *first)
{
	if (QB_UNLIKELY(c->is_greasing) && (qb_mix_u64(pn ^ p->skip_pn) & 2))
		*first &= (uint8_t)~QB_HDR_FIXED;
}
/* qb_tx_seal protects a packet in place. */
void qb_tx_seal(struct qb_conn *c, const struct qb_path *p, enum qb_level level, uint8_t *pkt,
		size_t hdr_len, uint8_t pn_len, uint64_t pn, size_t payload_len);
/* qb_tx_record keeps the record of a packet just built and updates all sums. */
struct qb_sent_pkt *qb_tx_record(struct qb_conn *c, struct qb_path *p, enum qb_level level,
				 uint8_t flags, size_t bytes, uint64_t now_ns);

static inline void qb_trace_sent(const struct qb_conn *c, const struct qb_path *p, const struct qb_tx_pkt *pkt,
				 uint64_t now_ns)
{
	QB_PROBE(packet_sent, c, p->id, pkt->pn, (size_t)(pkt->w.p - pkt->start) + QB_AEAD_TAG_LEN);
	if (QB_UNLIKELY(c->observer))
		qb_trace_emit_sent(c, p, pkt, now_ns);
}
