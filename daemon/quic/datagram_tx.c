/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tunnel's way out: one DATAGRAM frame (RFC 9221) becomes one packet, written around its payload where it lies.
 *
 *     | header | ACK, if due | 0x30 | payload | tag |
 *                                   ^ b->data on entry
 *
 * Small ones that wait at the same time share a packet, for what a packet costs hardly depends on its size: a bundle.
 *
 *     | header | ACK, if due | 0x31 | length | payload | 0x31 | length | payload | tag |
 *                            ^ bundle->data on entry
 *
 * Where sizes are not to tell what is inside (cfg.pad_bytes), PADDING fills packets up, in front of the frames: what was sent is
 * read again from its end (qb_conn_unseal_datagram).
 */
#include "quic/packet.h"

#include <errno.h>

enum {
	LOWER_HEADROOM = 80, /* for Ethernet, VLAN, IPv6 and UDP, in front of our header */
	ACK_MAX = 96,	     /* an ACK that is larger goes in a packet of its own */
	PN_LEN_ASSUMED = 4,
	PLAINTEXT_MIN = 4,   /* so that header protection has its sample */
};

/* packet_overhead is what surrounds the frames on that path, at most. */
static uint32_t packet_overhead(const struct qb_remote_cid *rc)
{
	return 1u + rc->cid.len + PN_LEN_ASSUMED + QB_AEAD_TAG_LEN;
}

/* frames_max is how many bytes of frames a packet of the path takes. */
static uint32_t frames_max(const struct qb_conn *c, const struct qb_path *p)
{
	const struct qb_remote_cids *r = &c->mp.pid[p->pid].remote;

	return r->cur < 0 ? 0 : p->mtu.cur_bytes - packet_overhead(&r->slot[r->cur]);
}

uint32_t qb_datagram_max(const struct qb_conn *c, const struct qb_path *p)
{
	uint64_t frame_max = QB_MIN((uint64_t)frames_max(c, p), c->peer.max_datagram_frame_bytes);

	return frame_max ? (uint32_t)frame_max - 1 : 0;
}

uint32_t qb_conn_bundle_room(const struct qb_conn *c, uint8_t path)
{
	uint32_t room;

	if (path >= c->path_cnt || c->path[path].phase == QB_PATH_UNUSED)
		return 0;
	room = QB_MIN(frames_max(c, &c->path[path]), (uint32_t)(QB_FRAME_BYTES - QB_HEADROOM - QB_TAILROOM));
	/* A peer that limits its frames to less will hardly want many of them at once. */
	return c->peer.max_datagram_frame_bytes < room ? 0 : room;
}

uint32_t qb_bundle_bytes(uint32_t len)
{
	return (uint32_t)(1 + qb_varint_len(len)) + len;
}

void qb_bundle_add(struct qb_buf *bundle, const struct qb_buf *b)
{
	uint8_t *p = bundle->data + bundle->len;

	*p++ = QB_FRAME_DATAGRAM_LEN;
	p += qb_varint_write(p, b->len);
	memcpy(p, b->data, b->len);
	bundle->len += qb_bundle_bytes(b->len);
}

/* write_ack puts the path's ACK into tmp if it is due and small. Returns its length. */
static size_t write_ack(struct qb_conn *c, struct qb_path *p, uint8_t tmp[ACK_MAX], size_t room,
			uint64_t now_ns)
{
	struct qb_wr w = qb_wr_init(tmp, QB_MIN(room, (size_t)ACK_MAX));

	if (QB_LIKELY(!qb_rx_space_is_due(&p->space.rx, now_ns)) || p->is_ack_detoured ||
	    !qb_rx_space_write_ack(&p->space.rx, &w, qb_conn_ack_form(c, p), now_ns))
		return 0;
	return (size_t)(w.p - tmp);
}

static int check(const struct qb_conn *c, const struct qb_path *p)
{
	/* The phase first: nothing else of an unused path is set. */
	if (c->state != QB_CONN_ESTABLISHED ||
	    (p->phase != QB_PATH_OPEN && p->phase != QB_PATH_VALIDATING) || p->is_down ||
	    c->mp.pid[p->pid].remote.cur < 0)
		return -ENOTCONN;
	return 0;
}

/* padded_bytes is what a packet of so many bytes becomes where its size is not to tell anything. */
static uint32_t padded_bytes(const struct qb_conn *c, const struct qb_path *p, uint32_t bytes)
{
	uint32_t block = c->q->cfg.pad_bytes, most = p->mtu.cur_bytes;

	if (QB_LIKELY(!block))
		return bytes;
	most = QB_MIN(most, (uint32_t)(QB_FRAME_BYTES - LOWER_HEADROOM - QB_AEAD_TAG_LEN));
	return QB_MAX(bytes, QB_MIN((bytes + block - 1) / block * block, most));
}

/* has_budget: a packet of that many bytes may leave. */
static bool has_budget(const struct qb_path *p, uint32_t bytes, uint64_t now_ns)
{
	return bytes <= qb_path_window(p) &&
	       !qb_pacer_next_ns(&p->pacer, bytes, now_ns) && qb_path_amp_room(p) >= bytes;
}

/* spare_bytes is what an ACK may add to a packet of that many bytes. */
static uint64_t spare_bytes(const struct qb_path *p, uint64_t bytes)
{
	return qb_sub_sat_u64(QB_MIN(qb_path_window(p), qb_path_amp_room(p)), bytes);
}

/* What the record says of the datagrams in a packet. */
struct content {
	uint64_t cookie;
	uint32_t cnt;
};

static void account(struct qb_conn *c, struct qb_path *p, struct qb_buf *b, struct content what, uint32_t ack_largest,
		    bool has_ack, uint64_t now_ns)
{
	uint8_t flags = QB_SENT_ELICITING | QB_SENT_IN_FLIGHT | QB_SENT_DATAGRAM;
	struct qb_sent_pkt *rec;

	b->tuple = p->tuple;
	b->tuple.ecn = qb_ecn_codepoint(p);
	b->path = p->idx;
	if (b->tuple.ecn)
		flags |= QB_SENT_ECT;
	if (has_ack)
		flags |= QB_SENT_HAS_ACK;
	rec = qb_tx_record(c, p, QB_LEVEL_APP, flags, b->len, now_ns);
	rec->cookie = what.cookie;
	rec->datagram_cnt = (uint8_t)what.cnt;
	rec->ack_path = p->idx;
	rec->ack_largest = ack_largest;
	p->was_datagram = true;
	p->amp.tx_bytes += b->len;
	p->total.tx_bytes += b->len;
	qb_count_add(c->q->cfg.counters, QB_CNT_BYTES_TX, b->len);
	qb_count_add(c->q->cfg.counters, QB_CNT_DATAGRAMS_TX, what.cnt);
}

/* rearm: the connection's timer must not be later than this packet's probe timeout. */
static void rearm(struct qb_conn *c, const struct qb_path *p, uint64_t now_ns)
{
	uint64_t at_ns = now_ns + qb_path_pto_ns(p, qb_conn_peer_ack_delay_ns(c));

	if (at_ns < c->timer.at_ns)
		qb_heap_set(&c->q->timers, &c->timer, at_ns);
}

/* admit says whether so many bytes of frames may leave by the path now, and gives them the packet's number. */
static int admit(struct qb_conn *c, uint8_t path, uint32_t bytes, uint32_t largest_frame, uint64_t *pn, uint64_t now_ns)
{
	const struct qb_remote_cid *rc;
	struct qb_path *p;
	int err;

	if (path >= c->path_cnt)
		return -ENOTCONN;
	p = &c->path[path];
	err = check(c, p);
	if (err < 0)
		return err;
	if (bytes > frames_max(c, p) || largest_frame > c->peer.max_datagram_frame_bytes)
		return -EMSGSIZE;
	rc = qb_remote_cids_current(&qb_conn_pid(c, p)->remote);
	if (!has_budget(p, padded_bytes(c, p, bytes + packet_overhead(rc)), now_ns) || !qb_tx_next_pn(c, p, QB_LEVEL_APP, pn)) {
		c->has_backlog = true;
		return -EAGAIN;
	}
	return 0;
}

/* make_room has so many bytes free in front of the frames, which move behind where it must: padded_bytes left room for that. */
static void make_room(const struct qb_depot *depot, struct qb_buf *b, uint32_t bytes)
{
	uint32_t have = qb_buf_headroom(depot, b), by = have < bytes ? bytes - have : 0;

	if (!by)
		return;
	QB_BUG_ON(qb_buf_tailroom(depot, b) < by + QB_AEAD_TAG_LEN);
	memmove(b->data + by, b->data, b->len);
	b->data += by;
}

/* seal makes the frames in b a sealed packet. */
static void seal(struct qb_conn *c, struct qb_path *p, struct qb_buf *b, uint64_t pn, struct content what, uint64_t now_ns)
{
	const struct qb_remote_cid *rc = qb_remote_cids_current(&qb_conn_pid(c, p)->remote);
	uint32_t overhead = packet_overhead(rc), padding, ack_largest = 0;
	const struct qb_depot *depot = c->q->cfg.pool->depot;
	size_t ack_len, room, pad, payload_len = b->len;
	uint8_t ack[ACK_MAX], pn_len;
	struct qb_wr w;

	qb_multipath_sync_reset(c, qb_conn_pid(c, p));
	pn_len = QB_MAX((uint8_t)2, qb_pn_len(pn, p->space.sent.largest_acked));
	overhead -= PN_LEN_ASSUMED - pn_len;
	padding = padded_bytes(c, p, b->len + overhead) - b->len - overhead;
	if (QB_UNLIKELY(padding))
		make_room(depot, b, LOWER_HEADROOM + overhead + padding);
	room = qb_sub_sat_u64(qb_buf_headroom(depot, b), LOWER_HEADROOM + overhead);
	room = QB_MIN(room, p->mtu.cur_bytes - overhead - b->len);
	room = QB_MIN(room, spare_bytes(p, b->len + overhead));
	/* A packet that an ACK makes longer tells that there was one. */
	if (QB_UNLIKELY(c->q->cfg.pad_bytes))
		room = QB_MIN(room, (size_t)padding);
	ack_len = write_ack(c, p, ack, room, now_ns);
	if (ack_len) {
		ack_largest = (uint32_t)qb_ranges_largest(&p->space.rx.ranges);
		qb_rx_space_on_ack_sent(&p->space.rx);
	}
	/* From the inside out: PADDING where all is too short, ACK, header. */
	pad = payload_len + ack_len < PLAINTEXT_MIN ? PLAINTEXT_MIN - payload_len - ack_len : 0;
	if (padding > ack_len + pad) {
		pad = padding - ack_len;
		qb_count_add(c->q->cfg.counters, QB_CNT_PADDING_TX, pad);
	}
	memset(qb_buf_push(b, (uint32_t)pad), 0, pad);
	memcpy(qb_buf_push(b, (uint32_t)ack_len), ack, ack_len);
	payload_len += pad + ack_len;
	overhead = 1u + rc->cid.len + pn_len;
	w = qb_wr_init(qb_buf_push(b, overhead), overhead);
	qb_hdr_build_short(&w, &rc->cid, qb_tx_spin(p, rc->seq, pn), c->keys.phase, pn, pn_len);
	qb_tx_grease(c, p, pn, b->data);
	qb_trace_sent_datagram(c, p, b,
			       (struct qb_trace_layout){.hdr_len = overhead,
							.payload_len = (uint32_t)payload_len,
							.before_len = (uint32_t)(pad + ack_len),
							.pn = pn},
			       now_ns);
	qb_tx_seal(c, p, QB_LEVEL_APP, b->data, overhead, pn_len, pn, payload_len);
	b->len += QB_AEAD_TAG_LEN;
	account(c, p, b, what, ack_largest, ack_len != 0, now_ns);
	rearm(c, p, now_ns);
}

int qb_conn_send_datagram(struct qb_conn *c, uint8_t path, struct qb_buf *b, uint64_t cookie,
			  uint64_t now_ns)
{
	uint64_t pn;
	int err = admit(c, path, 1 + b->len, 1 + b->len, &pn, now_ns);

	if (err < 0)
		return err;
	*qb_buf_push(b, 1) = QB_FRAME_DATAGRAM;
	seal(c, &c->path[path], b, pn, (struct content){.cookie = cookie, .cnt = 1}, now_ns);
	return 0;
}

int qb_conn_send_bundle(struct qb_conn *c, uint8_t path, struct qb_buf *bundle, uint32_t cnt, uint64_t cookie,
			uint64_t now_ns)
{
	uint64_t pn;
	int err = admit(c, path, bundle->len, 0, &pn, now_ns);

	if (err < 0)
		return err;
	seal(c, &c->path[path], bundle, pn, (struct content){.cookie = cookie, .cnt = cnt}, now_ns);
	qb_count(c->q->cfg.counters, QB_CNT_BUNDLES_TX);
	qb_count_add(c->q->cfg.counters, QB_CNT_BUNDLED_TX, cnt);
	return 0;
}

void qb_conn_set_backlog(struct qb_conn *c, bool has_backlog, uint64_t now_ns)
{
	c->has_backlog = has_backlog;
	qb_conn_note_limits(c, now_ns);
}

bool qb_conn_next_lost(struct qb_conn *c, struct qb_lost_datagram *out)
{
	struct qb_lost_ring *r = &c->lost;

	if (!r->cnt)
		return false;
	*out = c->lost_slots[r->head];
	r->head = (r->head + 1) % QB_LOST_RING;
	r->cnt--;
	return true;
}

bool qb_conn_next_in_flight(struct qb_conn *c, uint8_t path, uint64_t *pn, struct qb_lost_datagram *out)
{
	const struct qb_sent *sent;

	if (path >= c->path_cnt || c->path[path].phase == QB_PATH_UNUSED)
		return false;
	sent = &qb_conn_space(c, QB_LEVEL_APP, &c->path[path])->sent;
	for (*pn = QB_MAX(*pn, sent->first_flight_pn); *pn < sent->next_pn;) {
		const struct qb_sent_pkt *rec = qb_sent_at(sent, (*pn)++);

		if (rec->state != QB_SENT_FLIGHT || !(rec->flags & QB_SENT_DATAGRAM))
			continue;
		*out = (struct qb_lost_datagram){
			.cookie = rec->cookie, .sent_ns = rec->sent_ns, .path = path, .cnt = rec->datagram_cnt};
		return true;
	}
	return false;
}

int qb_conn_unseal_datagram(const struct qb_conn *c, uint8_t path, struct qb_buf *b)
{
	const struct qb_keys *key = c->keys.tx[QB_LEVEL_APP];
	const struct qb_remote_cids *r;
	const struct qb_path *p;
	uint8_t mask[QB_HP_MASK_LEN], pn_len, i, *pn_at;
	uint32_t hdr_len;
	uint64_t pn;
	int len;

	if (path >= c->path_cnt || c->path[path].phase == QB_PATH_UNUSED || !key)
		return -EBADMSG;
	p = &c->path[path];
	r = &c->mp.pid[p->pid].remote;
	if (r->cur < 0)
		return -EBADMSG;
	hdr_len = 1u + r->slot[r->cur].cid.len;
	if (b->len < hdr_len + QB_HP_SAMPLE_OFF + QB_HP_SAMPLE_LEN)
		return -EBADMSG;
	pn_at = b->data + hdr_len;
	qb_keys_hp_mask(key, pn_at + QB_HP_SAMPLE_OFF, mask);
	b->data[0] ^= mask[0] & QB_HDR_SHORT_PROTECTED;
	pn_len = (uint8_t)((b->data[0] & 3) + 1);
	pn = 0;
	for (i = 0; i < pn_len; i++) {
		pn_at[i] ^= mask[1 + i];
		pn = pn << 8 | pn_at[i];
	}
	hdr_len += pn_len;
	/* The newest number before the next one that ends like this: far fewer are under way than two bytes count. */
	pn = p->space.sent.next_pn - 1 - ((p->space.sent.next_pn - 1 - pn) & ((UINT64_C(1) << (8 * pn_len)) - 1));
	len = qb_keys_open(key, p->id, pn, b->data, hdr_len, b->len - hdr_len);
	if (len < 0)
		return -EBADMSG;
	b->data += hdr_len;
	b->len = (uint32_t)len;
	return 0;
}
