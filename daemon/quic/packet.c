/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets under construction: headers, numbers, padding, sealing, bookkeeping; used by conn_tx.c and datagram_tx.c. */
#include "quic/packet.h"

enum {
	PKT_ROOM_MIN = 40, /* beyond the header: less is not worth a packet */
	SKIP_FIRST = 64,   /* packet numbers left out: the first within so many, then ever more rarely */
	SKIP_PERIOD_MAX = 1 << 17,
};

bool qb_tx_open(struct qb_tx_dgram *d, struct qb_conn *c, struct qb_path *p, size_t max_bytes)
{
	d->c = c;
	d->path = p;
	d->cnt = 0;
	d->cid = NULL;
	d->tuple = NULL;
	d->b = qb_buf_get(c->q->cfg.pool);
	if (!d->b)
		return false;
	d->end = d->b->data + max_bytes;
	return true;
}

static void choose_skip(struct qb_conn *c, struct qb_path *p)
{
	uint64_t next = p->space.sent.next_pn;
	uint64_t period = QB_MIN(QB_MAX(next, (uint64_t)SKIP_FIRST), (uint64_t)SKIP_PERIOD_MAX);

	p->skip_pn = next + 1 + qb_drbg_u64(&c->q->rnd) % period;
}

bool qb_tx_next_pn(struct qb_conn *c, struct qb_path *p, enum qb_level level, uint64_t *pn)
{
	struct qb_sent *s = &qb_conn_space(c, level, p)->sent;

	if (!qb_sent_reserve(s))
		return false;
	if (level == QB_LEVEL_APP && QB_UNLIKELY(s->next_pn >= p->skip_pn)) {
		/* A peer that acknowledges a number never used did not wait for packets (RFC 9000 §21.4). */
		if (p->skip_pn == s->next_pn)
			qb_sent_push(s);
		choose_skip(c, p);
		if (!qb_sent_reserve(s))
			return false;
	}
	*pn = s->next_pn;
	return true;
}

static uint8_t pn_len_of(const struct qb_sent *s, uint64_t pn)
{
	/* Two bytes at least: header sizes stay the same for most of the time. */
	return QB_MAX((uint8_t)2, qb_pn_len(pn, s->largest_acked));
}

static bool build_header(struct qb_tx_dgram *d, struct qb_tx_pkt *pkt, const struct qb_remote_cid *rc)
{
	struct qb_conn *c = d->c;
	struct qb_long_hdr h = {
		.type = qb_tx_pkt_type(pkt->level),
		.version = c->version,
		.dcid = &rc->cid,
		.scid = &c->hs.local_scid,
		.pn = pkt->pn,
		.pn_len = pkt->pn_len,
	};

	if (pkt->level == QB_LEVEL_APP) {
		qb_hdr_build_short(&pkt->w, &rc->cid, qb_tx_spin(d->path, rc->seq, pkt->pn),
				   c->keys.phase, pkt->pn, pkt->pn_len);
	} else {
		if (pkt->level == QB_LEVEL_INITIAL && !c->is_server)
			h.token = (struct qb_bytes){c->retry_token, c->hs.token_len};
		qb_hdr_build_long(&pkt->w, &h, &pkt->length_at);
	}
	qb_tx_grease(c, d->path, pkt->pn, pkt->start);
	return !pkt->w.bad && qb_wr_room(&pkt->w) >= PKT_ROOM_MIN;
}

/* pad_frames appends PADDING; all of it is zeros. */
static void pad_frames(struct qb_tx_pkt *pkt, size_t n)
{
	n = QB_MIN(n, qb_wr_room(&pkt->w));
	if (!n)
		return;
	memset(qb_wr_take(&pkt->w, n), 0, n);
	pkt->flags |= QB_SENT_IN_FLIGHT;
}

/* pad_for_sample: header protection samples 16 bytes, four behind the packet number's start. */
static void pad_for_sample(struct qb_tx_pkt *pkt)
{
	size_t len = (size_t)(pkt->w.p - pkt->payload);

	if (len + pkt->pn_len < QB_HP_SAMPLE_OFF)
		pad_frames(pkt, QB_HP_SAMPLE_OFF - pkt->pn_len - len);
}

struct qb_tx_pkt *qb_tx_begin(struct qb_tx_dgram *d, enum qb_level level)
{
	struct qb_conn *c = d->c;
	struct qb_path_id *pid = qb_conn_pid(c, d->path);
	const struct qb_remote_cid *rc = d->cid ? d->cid : qb_remote_cids_current(&pid->remote);
	struct qb_tx_pkt *pkt = &d->pkt[d->cnt], *prev = d->cnt ? pkt - 1 : NULL;
	uint8_t *at;

	if (prev)
		pad_for_sample(prev);
	at = prev ? prev->w.p + QB_AEAD_TAG_LEN : d->b->data;
	if (!c->keys.tx[level] || !rc || !qb_refs_has_room(&c->q->ref_slab) ||
	    at + QB_AEAD_TAG_LEN >= d->end)
		return NULL;
	if (level == QB_LEVEL_APP)
		qb_multipath_sync_reset(c, pid);
	if (!qb_tx_next_pn(c, d->path, level, &pkt->pn))
		return NULL;
	pkt->level = level;
	pkt->start = at;
	pkt->flags = 0;
	pkt->ref_cnt = 0;
	pkt->pn_len = pn_len_of(&qb_conn_space(c, level, d->path)->sent, pkt->pn);
	pkt->w = qb_wr_init(at, (size_t)(d->end - at) - QB_AEAD_TAG_LEN);
	if (!build_header(d, pkt, rc))
		return NULL;
	pkt->payload = pkt->w.p;
	d->cnt++;
	return pkt;
}

void qb_tx_cancel(struct qb_tx_dgram *d)
{
	d->cnt--;
}

bool qb_tx_frame(struct qb_tx_pkt *pkt, const struct qb_frame *f, const struct qb_frame_ref *ref)
{
	const struct qb_frame_rule *rule = qb_frame_rule(f->type);

	if (ref && pkt->ref_cnt == QB_REFS_PER_PKT)
		return false;
	if (!qb_frame_try(&pkt->w, f))
		return false;
	if (rule->flags & QB_FRAME_ELICITS_ACK)
		pkt->flags |= QB_SENT_ELICITING;
	if (rule->flags & QB_FRAME_IN_FLIGHT)
		pkt->flags |= QB_SENT_IN_FLIGHT;
	if (ref)
		pkt->refs[pkt->ref_cnt++] = *ref;
	return true;
}

bool qb_tx_ack(struct qb_tx_dgram *d, struct qb_tx_pkt *pkt, struct qb_path *of, uint64_t now_ns)
{
	struct qb_rx_space *rx = &qb_conn_space(d->c, pkt->level, of)->rx;
	struct qb_ack_form form = {0};

	if (pkt->level == QB_LEVEL_APP)
		form = qb_conn_ack_form(d->c, of);
	if (!qb_rx_space_write_ack(rx, &pkt->w, form, now_ns))
		return false;
	qb_rx_space_on_ack_sent(rx);
	pkt->flags |= QB_SENT_HAS_ACK;
	pkt->ack_path = of->idx;
	pkt->ack_largest = (uint32_t)qb_ranges_largest(&rx->ranges);
	return true;
}

void qb_tx_seal(struct qb_conn *c, const struct qb_path *p, enum qb_level level, uint8_t *pkt,
		size_t hdr_len, uint8_t pn_len, uint64_t pn, size_t payload_len)
{
	const struct qb_keys *key = c->keys.tx[level];
	uint8_t mask[QB_HP_MASK_LEN], i;
	uint8_t *pn_at = pkt + hdr_len - pn_len;

	qb_keys_seal(key, level == QB_LEVEL_APP ? p->id : 0, pn, pkt, hdr_len, payload_len);
	qb_keys_hp_mask(key, pn_at + QB_HP_SAMPLE_OFF, mask);
	pkt[0] ^= mask[0] & (level == QB_LEVEL_APP ? QB_HDR_SHORT_PROTECTED : QB_HDR_LONG_PROTECTED);
	for (i = 0; i < pn_len; i++)
		pn_at[i] ^= mask[1 + i];
	if (level == QB_LEVEL_APP)
		c->keys.sealed_cnt++;
}

struct qb_sent_pkt *qb_tx_record(struct qb_conn *c, struct qb_path *p, enum qb_level level,
				 uint8_t flags, size_t bytes, uint64_t now_ns)
{
	struct qb_space *s = qb_conn_space(c, level, p);
	struct qb_sent_pkt *rec = qb_sent_push(&s->sent);

	rec->sent_ns = now_ns;
	rec->bytes = (uint16_t)bytes;
	rec->state = QB_SENT_FLIGHT;
	rec->flags = flags;
	p->total.tx_packets++;
	qb_count(c->q->cfg.counters, QB_CNT_PACKETS_TX);
	if (flags & QB_SENT_ELICITING) {
		s->sent.eliciting_cnt++;
		s->last_eliciting_ns = now_ns;
		p->live.last_tx_eliciting_ns = now_ns;
		/* RFC 9000 §10.1: the first one since something was received restarts the idle timer. */
		if (!c->is_idle_armed_by_tx) {
			c->is_idle_armed_by_tx = true;
			c->idle_base_ns = now_ns;
		}
	}
	if (flags & QB_SENT_IN_FLIGHT) {
		struct qb_cc_sent ev = {.now_ns = now_ns, .bytes = (uint32_t)bytes};
		bool was_idle = p->cc.in_flight_bytes == 0;

		qb_rate_on_sent(&p->rate, rec, p->cc.in_flight_bytes, now_ns);
		p->cc.in_flight_bytes += bytes;
		qb_pacer_on_sent(&p->pacer, (uint32_t)bytes, now_ns);
		ev.in_flight_bytes = p->cc.in_flight_bytes;
		ev.is_app_limited = p->rate.app_limited_bytes != 0;
		p->cc.algo->on_sent(p->cc.state, &ev);
		qb_resume_on_sent(&p->cc.resume, &ev);
		if (was_idle) /* the controller may begin anew with another rate */
			qb_path_update_cc(p, now_ns);
	} else if (p->limit_bps) {
		qb_pacer_on_sent(&p->pacer, (uint32_t)bytes, now_ns);
	}
	return rec;
}

static size_t close_pkt(struct qb_tx_dgram *d, struct qb_tx_pkt *pkt, uint8_t ecn, uint64_t now_ns)
{
	size_t hdr_len = (size_t)(pkt->payload - pkt->start);
	size_t payload_len = (size_t)(pkt->w.p - pkt->payload);
	size_t bytes = hdr_len + payload_len + QB_AEAD_TAG_LEN;
	struct qb_sent_pkt *rec;

	if (pkt->level != QB_LEVEL_APP)
		qb_hdr_set_length(pkt->length_at, pkt->pn_len + payload_len + QB_AEAD_TAG_LEN);
	qb_trace_sent(d->c, d->path, pkt, now_ns);
	qb_tx_seal(d->c, d->path, pkt->level, pkt->start, hdr_len, pkt->pn_len, pkt->pn, payload_len);
	if (ecn)
		pkt->flags |= QB_SENT_ECT;
	rec = qb_tx_record(d->c, d->path, pkt->level, pkt->flags, bytes, now_ns);
	rec->frames = qb_refs_store(&d->c->q->ref_slab, pkt->refs, pkt->ref_cnt);
	rec->ack_path = pkt->ack_path;
	rec->ack_largest = pkt->ack_largest;
	return bytes;
}

size_t qb_tx_close(struct qb_tx_dgram *d, size_t pad_to, struct qb_batch *out, uint64_t now_ns)
{
	struct qb_tx_pkt *last;
	size_t total, i;
	uint8_t ecn = 0;

	if (!d->cnt) {
		qb_buf_put(d->c->q->cfg.pool, d->b);
		return 0;
	}
	last = &d->pkt[d->cnt - 1];
	pad_for_sample(last);
	total = (size_t)(last->w.p - d->b->data) + QB_AEAD_TAG_LEN;
	if (total < pad_to)
		pad_frames(last, pad_to - total);
	/* What asks whether an address is there must not die of a mark. */
	if (d->c->hs.is_confirmed && !d->tuple)
		ecn = qb_ecn_codepoint(d->path);
	for (total = 0, i = 0; i < d->cnt; i++)
		total += close_pkt(d, &d->pkt[i], ecn, now_ns);
	d->b->len = (uint32_t)total;
	d->b->tuple = d->tuple ? *d->tuple : d->path->tuple;
	d->b->tuple.ecn = ecn;
	d->b->path = d->path->idx;
	d->path->amp.tx_bytes += total;
	d->path->total.tx_bytes += total;
	qb_count_add(d->c->q->cfg.counters, QB_CNT_BYTES_TX, total);
	qb_batch_add(out, d->b);
	return total;
}
