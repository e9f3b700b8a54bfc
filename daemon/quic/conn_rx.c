/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a UDP datagram to opened packets: header protection, packet numbers, keys, duplicates, and what
 * an authenticated packet says about its path. Frames are frames_rx.c's.
 */
#include "quic/conn.h"

#include <errno.h>

enum {
	INITIAL_DGRAM_MIN = 1200,
};

static void drop(const struct qb_conn *c, enum qb_counter why)
{
	qb_count(c->q->cfg.counters, why);
	qb_trace_dropped(c, why);
}

/* unprotect removes header protection; returns the packet number's length. */
static uint8_t unprotect(const struct qb_keys *k, uint8_t *pkt, size_t pn_off, uint8_t first_mask)
{
	uint8_t mask[QB_HP_MASK_LEN], pn_len, i;

	qb_keys_hp_mask(k, pkt + pn_off + QB_HP_SAMPLE_OFF, mask);
	pkt[0] ^= mask[0] & first_mask;
	pn_len = (uint8_t)((pkt[0] & QB_HDR_PN_LEN) + 1);
	for (i = 0; i < pn_len; i++)
		pkt[pn_off + i] ^= mask[1 + i];
	return pn_len;
}

static uint64_t decode_pn(const struct qb_rx_space *s, const uint8_t *p, uint8_t pn_len)
{
	uint64_t largest = s ? qb_ranges_largest(&s->ranges) : QB_PN_NONE;

	/* QB_PN_NONE + 1 is 0. */
	return qb_pn_decode(largest + 1, qb_pn_read(p, pn_len), pn_len);
}

static void count_auth_failure(struct qb_conn *c, uint64_t now_ns)
{
	drop(c, QB_CNT_DROP_AUTH);
	c->keys.failed_cnt++;
	if (c->keys.tx[QB_LEVEL_APP] && qb_keyring_is_worn(&c->keys))
		qb_conn_fail(c, QB_QUIC_AEAD_LIMIT_REACHED, 0, "too many forged packets", now_ns);
}

/*
 * on_opened: an authenticated packet that is no duplicate. Frames, then the ACK state. Returns 0, or -EPROTO when the
 * connection is gone.
 */
static int on_opened(struct qb_conn *c, struct qb_rx_pkt *rx, const uint8_t *payload, size_t len)
{
	struct qb_space *s = qb_conn_space(c, rx->level, rx->path);
	bool is_app = rx->level == QB_LEVEL_APP || rx->level == QB_LEVEL_EARLY;
	const struct qb_ack_policy *policy = is_app ? &c->ack_freq.policy : &qb_ack_policy_handshake;
	int rc;

	rx->is_opened = true;
	qb_count(c->q->cfg.counters, QB_CNT_PACKETS_RX);
	qb_trace_received(c, rx, payload, len);
	rx->path->total.rx_packets++;
	rx->path->live.last_rx_ns = rx->now_ns;
	qb_conn_on_rx_progress(c, rx->now_ns);
	rc = qb_frames_rx(c, rx, payload, len);
	if (rc == -ENOBUFS)
		return 0;
	/* The keys, and with them the space, may be gone by what the frames said. */
	if (rx->level == QB_LEVEL_APP || c->keys.rx[rx->level])
		qb_rx_space_on_packet(&s->rx, rx->pn, rx->is_eliciting,
				      (enum qb_ecn)(rx->b->tuple.ecn & 3), policy, rx->b->rx_ns);
	if (QB_UNLIKELY(rx->wants_ack))
		s->rx.ack_at_ns = 0;
	return rc;
}

/* ---- 1-RTT ---- */

/*
 * pick_key chooses the key phase before anything is opened (RFC 9001 §6.3, §6.5): the other phase is the
 * previous one for packets from before the first of the current phase, else the next one.
 */
static struct qb_keys *pick_key(struct qb_conn *c, const struct qb_path *p, uint64_t pn, bool phase,
				bool *is_next)
{
	struct qb_keyring *k = &c->keys;

	*is_next = false;
	if (phase == k->phase)
		return k->rx[QB_LEVEL_APP];
	if (k->rx_prev && (!p || p->rx_phase_pn == QB_PN_NONE || pn < p->rx_phase_pn))
		return k->rx_prev;
	*is_next = true;
	return k->rx_next;
}

static void start_phase(struct qb_conn *c, const char *trigger)
{
	uint32_t i;

	for (i = 0; i < c->path_cnt; i++) {
		c->path[i].rx_phase_pn = QB_PN_NONE;
		c->path[i].tx_phase_pn = c->path[i].space.sent.next_pn;
	}
	c->keys.phase_ns = c->q->now_ns;
	qb_count(c->q->cfg.counters, QB_CNT_KEY_UPDATES);
	qb_trace_key(c, QB_TRACE_KEY_UPDATED, QB_LEVEL_APP, true, c->keys.update_cnt, trigger,
		     c->q->now_ns);
	qb_trace_key(c, QB_TRACE_KEY_UPDATED, QB_LEVEL_APP, false, c->keys.update_cnt, trigger,
		     c->q->now_ns);
}

void qb_conn_update_keys(struct qb_conn *c)
{
	c->is_update_wanted = false;
	if (qb_keyring_update(&c->keys) == 0)
		start_phase(c, "local_update");
}

/* note_phase remembers where the current key phase began on a path. Returns -EPROTO on failure. */
static int note_phase(struct qb_conn *c, struct qb_path *p, uint64_t pn, bool phase, bool is_next,
		      uint64_t now_ns)
{
	struct qb_keyring *k = &c->keys;

	if (is_next) {
		/* The peer may not update again before we acknowledged something in this phase, and we have
		 * not sent anything in it yet (RFC 9001 §6.1). */
		if (!k->sealed_cnt)
			return qb_conn_fail(c, QB_QUIC_KEY_UPDATE_ERROR, 0, "key updates too fast", now_ns);
		if (qb_keyring_update(k) < 0)
			return qb_conn_fail(c, QB_QUIC_INTERNAL_ERROR, 0, "out of memory", now_ns);
		start_phase(c, "remote_update");
	}
	if (phase != k->phase)
		return 0;
	p->rx_phase_pn = QB_MIN(p->rx_phase_pn, pn);
	if (QB_UNLIKELY(k->rx_prev && k->rx_prev_until_ns == QB_NEVER_NS))
		k->rx_prev_until_ns = now_ns + 3 * qb_conn_max_pto_ns(c);
	return 0;
}

/* new_path: the client used an unused path ID (RFC 10069 §3.1). NULL: refused. */
static struct qb_path *new_path(struct qb_conn *c, struct qb_path_id *pid,
				const struct qb_buf *b, uint64_t now_ns)
{
	struct qb_path *p;

	if (!c->is_server || pid->state != QB_PID_SPARE || !qb_path_is_peer_ok(&b->tuple.local, &b->tuple.peer))
		return NULL;
	p = qb_multipath_attach(c, pid, &b->tuple, now_ns);
	if (!p) {
		qb_multipath_abandon(c, pid, QB_QUIC_PATH_RESOURCE_LIMIT_REACHED, false, now_ns);
		return NULL;
	}
	p->amp.rx_bytes = p->total.rx_bytes = b->len;
	qb_trace_tuple(c, p, false, now_ns);
	qb_path_start_validation(p, qb_conn_max_pto_ns(c), now_ns);
	qb_conn_queue_path_event(c, p, QB_EVBIT_PATH_OPENED);
	return p;
}

/* note_spin: the server reflects the bit of the newest packet, the client inverts it (RFC 9000 §17.4). */
static void note_spin(const struct qb_conn *c, struct qb_path *p, uint64_t pn, bool bit)
{
	uint64_t largest = qb_ranges_largest(&p->space.rx.ranges);

	if (largest == QB_PN_NONE || pn > largest)
		p->spin.value = bit == c->is_server;
}

/* is_reset: a stateless reset looks like anything, also like a long header's packet for us that cannot be read. */
static bool is_reset(struct qb_conn *c, const struct qb_rx_pkt *rx, const uint8_t token[QB_RESET_TOKEN_LEN])
{
	struct qb_conn *victim = qb_endpoint_find_reset(c->q, token);

	return victim && qb_conn_on_stateless_reset(victim, &rx->b->tuple, rx->now_ns);
}

static void rx_short(struct qb_conn *c, struct qb_path_id *pid, struct qb_rx_pkt *rx, uint8_t *pkt,
		     size_t len)
{
	struct qb_path *p = pid->has_path ? &c->path[pid->path] : NULL;
	const size_t pn_off = 1 + QB_CID_LEN;
	uint8_t token[QB_RESET_TOKEN_LEN], pn_len;
	const struct qb_keys *key;
	bool phase, is_next;
	size_t hdr_len;
	int n;

	if (c->state != QB_CONN_ESTABLISHED) {
		drop(c, QB_CNT_DROP_NO_KEYS);
		return;
	}
	if (len < pn_off + QB_HP_SAMPLE_OFF + QB_HP_SAMPLE_LEN) {
		drop(c, QB_CNT_DROP_SHORT);
		return;
	}
	memcpy(token, pkt + len - sizeof(token), sizeof(token));
	pn_len = unprotect(c->keys.rx[QB_LEVEL_APP], pkt, pn_off, QB_HDR_SHORT_PROTECTED);
	hdr_len = pn_off + pn_len;
	rx->pn = decode_pn(p ? &p->space.rx : NULL, pkt + pn_off, pn_len);
	phase = pkt[0] & QB_HDR_KEY_PHASE;
	key = pick_key(c, p, rx->pn, phase, &is_next);
	n = qb_keys_open(key, pid->id, rx->pn, pkt, hdr_len, len - hdr_len);
	if (n < 0) {
		if (is_reset(c, rx, token))
			return;
		if (p)
			p->total.unopened_packets++;
		count_auth_failure(c, rx->now_ns);
		return;
	}
	if (p && qb_ranges_has(&p->space.rx.ranges, rx->pn)) {
		p->total.duplicate_packets++;
		drop(c, QB_CNT_DROP_DUPLICATE);
		return;
	}
	if (p)
		p->total.reordered_packets += rx->pn + 1 < qb_ranges_largest(&p->space.rx.ranges) + 1;
	if (!p)
		p = new_path(c, pid, rx->b, rx->now_ns);
	if (!p) {
		drop(c, QB_CNT_DROP_UNKNOWN_CID);
		return;
	}
	rx->path = p;
	if (QB_UNLIKELY(p->spin.is_on))
		note_spin(c, p, rx->pn, pkt[0] & QB_HDR_SPIN);
	if (pkt[0] & QB_HDR_SHORT_RESERVED) {
		qb_conn_fail(c, QB_QUIC_PROTOCOL_VIOLATION, 0, "reserved bits set", rx->now_ns);
		return;
	}
	if (note_phase(c, p, rx->pn, phase, is_next, rx->now_ns) < 0 ||
	    on_opened(c, rx, pkt + hdr_len, (size_t)n) < 0)
		return;
	if (c->is_server)
		qb_path_on_address(c, p, rx);
}

/* ---- long headers ---- */

/* is_scid_ok: the peer's Source Connection ID is fixed by its first packet (RFC 9000 §7.2). */
static bool is_scid_ok(const struct qb_conn *c, const struct qb_hdr *h)
{
	return !c->hs.has_peer_scid || qb_cid_is(&c->hs.peer_scid, h->scid);
}

static void take_peer_scid(struct qb_conn *c, const struct qb_hdr *h)
{
	struct qb_remote_cids *r = &c->mp.pid[0].remote;

	qb_cid_set(&c->hs.peer_scid, h->scid);
	c->hs.has_peer_scid = true;
	qb_remote_cids_init(r);
	r->slot[0].cid = c->hs.peer_scid;
	r->slot[0].is_present = true;
	(void)qb_remote_cids_see(r, 0);
	r->cur = 0;
}

static void on_long_opened(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_hdr *h,
			   const uint8_t *payload, size_t len)
{
	if (!c->hs.has_peer_scid) {
		take_peer_scid(c, h);
		if (c->is_server)
			qb_trace_started(c, false, rx->now_ns);
	}
	if (rx->level == QB_LEVEL_HANDSHAKE && c->is_server) {
		/* RFC 9000 §8.1, RFC 9001 §4.9.1 */
		c->path[0].amp.is_validated = true;
		qb_handshake_discard(c, QB_LEVEL_INITIAL, rx->now_ns);
	}
	if (rx->level == QB_LEVEL_HANDSHAKE && !c->is_server)
		c->hs.is_peer_validating = false;
	(void)on_opened(c, rx, payload, len);
}

static struct qb_keys *long_keys(struct qb_conn *c, const struct qb_hdr *h, enum qb_level level)
{
	if (QB_LIKELY(h->version == c->version))
		return c->keys.rx[level];
	return level == QB_LEVEL_INITIAL ? qb_version_other_keys(c, h->version) : NULL;
}

static enum qb_level level_of(enum qb_pkt_type type)
{
	if (type == QB_PKT_0RTT)
		return QB_LEVEL_EARLY;
	return type == QB_PKT_INITIAL ? QB_LEVEL_INITIAL : QB_LEVEL_HANDSHAKE;
}

static void rx_long_protected(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_hdr *h,
			      uint8_t *pkt)
{
	struct qb_space *s;
	struct qb_keys *key;
	size_t hdr_len;
	uint8_t pn_len;
	int n;

	rx->level = level_of(h->type);
	key = long_keys(c, h, rx->level);
	if (!key) {
		drop(c, QB_CNT_DROP_NO_KEYS);
		return;
	}
	if (!is_scid_ok(c, h) || (!c->is_server && h->token.len)) {
		drop(c, QB_CNT_DROP_HEADER);
		return;
	}
	s = qb_conn_space(c, rx->level, &c->path[0]);
	pn_len = unprotect(key, pkt, h->pn_off, QB_HDR_LONG_PROTECTED);
	hdr_len = h->pn_off + pn_len;
	rx->pn = decode_pn(&s->rx, pkt + h->pn_off, pn_len);
	rx->path = &c->path[0];
	n = qb_keys_open(key, 0, rx->pn, pkt, hdr_len, h->pkt_len - hdr_len);
	if (n < 0) {
		count_auth_failure(c, rx->now_ns);
		return;
	}
	if (qb_ranges_has(&s->rx.ranges, rx->pn)) {
		drop(c, QB_CNT_DROP_DUPLICATE);
		return;
	}
	if (pkt[0] & QB_HDR_LONG_RESERVED) {
		/* Who is told needs an address. */
		if (!c->hs.has_peer_scid)
			take_peer_scid(c, h);
		qb_conn_fail(c, QB_QUIC_PROTOCOL_VIOLATION, 0, "reserved bits set", rx->now_ns);
		return;
	}
	qb_version_switch(c, h->version);
	if (h->type == QB_PKT_0RTT)
		drop(c, QB_CNT_EARLY_PACKETS_RX);
	on_long_opened(c, rx, h, pkt + hdr_len, (size_t)n);
}

/* rx_retry: start again with the server's token and connection ID (RFC 9000 §17.2.5.2). */
static void rx_retry(struct qb_conn *c, const struct qb_hdr *h, const uint8_t *pkt, uint64_t now_ns)
{
	struct qb_handshake *hs = &c->hs;
	struct qb_keys *rx, *tx;
	uint8_t tag[QB_RETRY_TAG_LEN];

	qb_retry_tag(c->version, hs->initial_dcid.id, hs->initial_dcid.len, pkt,
		     h->pkt_len - QB_RETRY_TAG_LEN, tag);
	if (c->is_server || h->version != c->version || hs->has_retry || hs->has_peer_scid || !h->token.len ||
	    h->token.len > sizeof(c->retry_token) || qb_cid_is(&hs->initial_dcid, h->scid) ||
	    !qb_ct_eq(tag, h->retry_tag, sizeof(tag)) ||
	    qb_keys_new_initial(c->version, h->scid.p, h->scid.len, false, &rx, &tx) < 0) {
		drop(c, QB_CNT_DROP_RETRY);
		return;
	}
	qb_trace_bare(c, QB_PKT_RETRY, NULL, 0, now_ns);
	hs->has_retry = true;
	qb_cid_set(&hs->retry_scid, h->scid);
	hs->initial_dcid = hs->retry_scid;
	memcpy(c->retry_token, h->token.p, h->token.len);
	hs->token_len = (uint16_t)h->token.len;
	c->mp.pid[0].remote.slot[0].cid = hs->retry_scid;
	qb_keyring_discard(&c->keys, QB_LEVEL_INITIAL);
	c->keys.rx[QB_LEVEL_INITIAL] = rx;
	c->keys.tx[QB_LEVEL_INITIAL] = tx;
	/* The same CRYPTO data again; packet numbers go on (RFC 9000 §17.2.5.3). */
	qb_loss_requeue(c, &c->hs_space[0], UINT32_MAX);
	qb_early_send_again(c);
	c->path[0].pto_count = 0;
	qb_conn_on_rx_progress(c, now_ns);
	qb_count(c->q->cfg.counters, QB_CNT_RETRY_RX);
}

/* rx_one_long handles one packet of a datagram. */
static void rx_one_long(struct qb_conn *c, struct qb_rx_pkt *rx, const struct qb_hdr *h, uint8_t *pkt)
{
	rx->type = h->type;
	switch (h->type) {
	case QB_PKT_VERSION_NEGOTIATION:
		qb_version_on_vn(c, h, rx->now_ns);
		return;
	case QB_PKT_OTHER_VERSION:
		drop(c, QB_CNT_DROP_VERSION);
		return;
	case QB_PKT_RETRY:
		rx_retry(c, h, pkt, rx->now_ns);
		return;
	case QB_PKT_INITIAL:
	case QB_PKT_0RTT:
	case QB_PKT_HANDSHAKE:
		break;
	case QB_PKT_1RTT:
	case QB_PKT_TYPE_CNT:
		return;
	}
	if (h->type == QB_PKT_INITIAL && c->is_server && rx->b->len < INITIAL_DGRAM_MIN) {
		drop(c, QB_CNT_DROP_INITIAL_SIZE);
		return;
	}
	rx_long_protected(c, rx, h, pkt);
}

/* rx_coalesced walks the packets of a datagram whose first has a long header (RFC 9000 §12.2). */
static void rx_coalesced(struct qb_conn *c, const struct qb_cid_entry *entry, struct qb_rx_pkt *rx)
{
	uint8_t *pkt = rx->b->data;
	size_t left = rx->b->len;
	struct qb_cid first;
	struct qb_hdr h;

	/* The caller parsed it already to find us: it has a connection ID. */
	first = entry->cid;
	while (left > 0 && qb_conn_is_open(c)) {
		if (qb_hdr_parse(&h, pkt, left, QB_CID_LEN) < 0) {
			drop(c, QB_CNT_DROP_HEADER);
			return;
		}
		if (!(h.first & QB_HDR_FIXED) && !c->q->cfg.is_quic_bit_greased &&
		    h.type != QB_PKT_VERSION_NEGOTIATION) {
			drop(c, QB_CNT_DROP_FIXED_BIT);
			return;
		}
		if (!qb_cid_is(&first, h.dcid)) {
			drop(c, QB_CNT_DROP_COALESCED);
			return;
		}
		if (h.type == QB_PKT_1RTT) {
			rx->type = QB_PKT_1RTT;
			rx->level = QB_LEVEL_APP;
			rx_short(c, &c->mp.pid[entry->pid], rx, pkt, left);
			return;
		}
		rx_one_long(c, rx, &h, pkt);
		pkt += h.pkt_len;
		left -= h.pkt_len;
	}
}

/* ---- the datagram ---- */

/* is_peer_ok: a client's peers never move, but to the address that they prefer (RFC 9000 §9). */
static bool is_peer_ok(const struct qb_conn *c, const struct qb_cid_entry *entry,
		       const struct qb_tuple *tuple)
{
	const struct qb_path_id *pid = &c->mp.pid[entry->pid];
	const struct qb_path *p = pid->has_path ? &c->path[pid->path] : NULL;

	if (c->is_server)
		return true;
	return p && (qb_addr_eq(&p->tuple.peer, &tuple->peer) ||
		     (p->alt.validation.is_active && qb_addr_eq(&p->alt.tuple.peer, &tuple->peer)) ||
		     qb_addr_eq(&p->former_peer, &tuple->peer));
}

static void count_arrival(struct qb_conn *c, const struct qb_cid_entry *entry, const struct qb_buf *b)
{
	const struct qb_path_id *pid = &c->mp.pid[entry->pid];
	struct qb_path *p = pid->has_path ? &c->path[pid->path] : NULL;

	if (!p)
		return;
	p->total.rx_bytes += b->len;
	if (!p->amp.is_validated && qb_tuple_eq(&p->tuple, &b->tuple))
		p->amp.rx_bytes += b->len;
}

bool qb_conn_rx(struct qb_conn *c, const struct qb_cid_entry *entry, struct qb_buf *b,
		struct qb_batch *out, uint64_t now_ns)
{
	struct qb_rx_pkt rx = {.b = b, .out = out, .cid = entry, .now_ns = now_ns};
	uint8_t token[QB_RESET_TOKEN_LEN];

	/* Of what waited before it was looked at, this is when it arrived. */
	if (!b->rx_ns || b->rx_ns > now_ns)
		b->rx_ns = now_ns;
	if (!qb_conn_is_open(c)) {
		qb_close_on_packet(c);
		return false;
	}
	qb_conn_note_moved(c);
	if (!is_peer_ok(c, entry, &b->tuple)) {
		drop(c, QB_CNT_DROP_PEER_ADDRESS);
		return false;
	}
	count_arrival(c, entry, b);
	if (QB_LIKELY(!(b->data[0] & QB_HDR_LONG))) {
		rx.type = QB_PKT_1RTT;
		rx.level = QB_LEVEL_APP;
		rx_short(c, &c->mp.pid[entry->pid], &rx, b->data, b->len);
	} else {
		memcpy(token, b->data + b->len - sizeof(token), sizeof(token));
		rx_coalesced(c, entry, &rx);
		if (!rx.is_opened)
			(void)is_reset(c, &rx, token);
	}
	qb_conn_touch(c);
	qb_conn_queue_stream_events(c);
	if (!rx.has_datagram)
		return false;
	b->data += rx.datagram.p - b->data;
	b->len = (uint32_t)rx.datagram.len;
	b->conn = c;
	b->path = rx.datagram_path;
	out->buf[rx.slot] = b;
	return true;
}
