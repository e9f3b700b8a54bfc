/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answers to packets that belong to no connection: Version Negotiation, Retry, refusal, stateless
 * reset. Each kind is limited in rate, and none is larger than what a stranger sent; called by
 * endpoint.c and accept.c.
 */
#include "quic/conn.h"
#include "quic/token.h"

enum {
	INITIAL_DGRAM_MIN = 1200,
	RESET_MIN = 21, /* RFC 9000 §10.3 */
	RESET_MAX = 43,
};

/* Answers of each kind. A Retry costs little and is what a client waits for. */
static const struct qb_budget_rule rules[QB_STATELESS_KIND_CNT] = {
	[QB_STATELESS_VN] = {100, 100},
	[QB_STATELESS_RETRY] = {5000, 5000},
	[QB_STATELESS_REFUSAL] = {100, 100},
	[QB_STATELESS_RESET] = {200, 200},
};

void qb_stateless_init(struct qb_stateless *s, uint64_t now_ns)
{
	uint32_t i;

	for (i = 0; i < QB_STATELESS_KIND_CNT; i++)
		qb_budget_init(&s->budget[i], &rules[i], now_ns);
}

/* get returns an empty buffer for an answer to `to`, or NULL: rate limit, full queue, no buffer. */
static struct qb_buf *get(struct qb_quic *q, enum qb_stateless_kind kind, const struct qb_buf *to,
			  uint64_t now_ns)
{
	struct qb_stateless *s = &q->stateless;
	struct qb_buf *b;

	if (s->cnt == QB_STATELESS_QUEUE || !qb_budget_spend(&s->budget[kind], &rules[kind], 1, now_ns))
		return NULL;
	b = qb_buf_get(q->cfg.pool);
	if (!b)
		return NULL;
	b->tuple = to->tuple;
	b->tuple.ecn = 0;
	return b;
}

/* push queues the finished answer. */
static void push(struct qb_quic *q, struct qb_buf *b)
{
	struct qb_stateless *s = &q->stateless;

	s->queue[(s->head + s->cnt++) % QB_STATELESS_QUEUE] = b;
}

bool qb_stateless_flush(struct qb_quic *q, struct qb_batch *out)
{
	struct qb_stateless *s = &q->stateless;

	while (s->cnt && !qb_batch_full(out)) {
		struct qb_buf *b = s->queue[s->head];

		qb_count(q->cfg.counters, QB_CNT_PACKETS_TX);
		qb_count_add(q->cfg.counters, QB_CNT_BYTES_TX, b->len);
		qb_batch_add(out, b);
		s->head = (s->head + 1) % QB_STATELESS_QUEUE;
		s->cnt--;
	}
	return s->cnt != 0;
}

void qb_stateless_fini(struct qb_quic *q)
{
	struct qb_stateless *s = &q->stateless;

	for (; s->cnt; s->cnt--) {
		qb_buf_put(q->cfg.pool, s->queue[s->head]);
		s->head = (s->head + 1) % QB_STATELESS_QUEUE;
	}
}

void qb_stateless_send_vn(struct qb_quic *q, const struct qb_buf *in, const struct qb_hdr *h,
			  uint64_t now_ns)
{
	uint32_t versions[QB_VERSIONS_MAX + 1], cnt = 0;
	struct qb_buf *b;
	struct qb_wr w;

	if (in->len < INITIAL_DGRAM_MIN)
		return;
	b = get(q, QB_STATELESS_VN, in, now_ns);
	if (!b)
		return;
	w = qb_wr_init(b->data, INITIAL_DGRAM_MIN);
	while (cnt < QB_VERSIONS_MAX && q->cfg.versions[cnt]) {
		versions[cnt] = q->cfg.versions[cnt];
		cnt++;
	}
	/* A reserved one (RFC 9000 §15): peers must cope with versions that they do not know. */
	versions[cnt++] = 0x1a2a3a4a;
	qb_vn_build(&w, (uint8_t)qb_drbg_u64(&q->rnd), h->scid, h->dcid, versions, cnt);
	b->len = (uint32_t)(w.p - b->data);
	push(q, b);
	qb_count(q->cfg.counters, QB_CNT_VERSION_NEG_TX);
}

void qb_stateless_send_retry(struct qb_quic *q, const struct qb_buf *in, const struct qb_hdr *h,
			     uint64_t now_ns)
{
	uint8_t token[QB_TOKEN_MAX], *tag;
	struct qb_token body = {.is_retry = true, .odcid_len = (uint8_t)h->dcid.len};
	struct qb_cid dcid, scid;
	struct qb_buf *b = get(q, QB_STATELESS_RETRY, in, now_ns);
	struct qb_wr w;
	size_t len;

	if (!b)
		return;
	qb_cid_set(&dcid, h->scid);
	qb_endpoint_make_cid(q, &scid);
	memcpy(body.odcid, h->dcid.p, h->dcid.len);
	len = qb_token_build(&q->cfg.token_secret, &q->rnd,
			     &(struct qb_token_owner){&in->tuple.peer, h->version, qb_cid_bytes(&scid)},
			     &body, now_ns, token);
	w = qb_wr_init(b->data, INITIAL_DGRAM_MIN);
	qb_retry_build(&w, h->version, (uint8_t)qb_drbg_u64(&q->rnd), &dcid, &scid,
		       (struct qb_bytes){token, len});
	len = (size_t)(w.p - b->data);
	tag = qb_wr_take(&w, QB_RETRY_TAG_LEN);
	QB_BUG_ON(!tag);
	qb_retry_tag(h->version, h->dcid.p, h->dcid.len, b->data, len, tag);
	b->len = (uint32_t)(w.p - b->data);
	push(q, b);
	qb_count(q->cfg.counters, QB_CNT_RETRY_TX);
}

void qb_stateless_send_refusal(struct qb_quic *q, const struct qb_buf *in, const struct qb_hdr *h,
			       uint64_t error_code, uint64_t now_ns)
{
	struct qb_frame f = {.type = QB_FRAME_CONNECTION_CLOSE, .close.error_code = error_code};
	struct qb_keys *rx = NULL, *tx = NULL;
	struct qb_cid dcid, scid;
	struct qb_long_hdr lh = {
		.type = QB_PKT_INITIAL,
		.version = h->version,
		.dcid = &dcid,
		.scid = &scid,
		.pn_len = 4,
	};
	uint8_t *length_at, mask[QB_HP_MASK_LEN];
	size_t hdr_len, payload_len, pn_off, i;
	struct qb_buf *b = get(q, QB_STATELESS_REFUSAL, in, now_ns);
	struct qb_wr w;

	if (!b)
		return;
	if (qb_keys_new_initial(h->version, h->dcid.p, h->dcid.len, true, &rx, &tx) < 0) {
		qb_buf_put(q->cfg.pool, b);
		return;
	}
	qb_cid_set(&dcid, h->scid);
	qb_cid_set(&scid, h->dcid);
	w = qb_wr_init(b->data, INITIAL_DGRAM_MIN);
	qb_hdr_build_long(&w, &lh, &length_at);
	hdr_len = (size_t)(w.p - b->data);
	qb_frame_build(&w, &f);
	QB_BUG_ON(w.bad);
	payload_len = (size_t)(w.p - b->data) - hdr_len;
	qb_hdr_set_length(length_at, 4 + payload_len + QB_AEAD_TAG_LEN);
	qb_keys_seal(tx, 0, 0, b->data, hdr_len, payload_len);
	pn_off = hdr_len - 4;
	qb_keys_hp_mask(tx, b->data + pn_off + QB_HP_SAMPLE_OFF, mask);
	b->data[0] ^= mask[0] & QB_HDR_LONG_PROTECTED;
	for (i = 0; i < 4; i++)
		b->data[pn_off + i] ^= mask[1 + i];
	b->len = (uint32_t)(hdr_len + payload_len + QB_AEAD_TAG_LEN);
	push(q, b);
	qb_keys_free(rx);
	qb_keys_free(tx);
}

void qb_stateless_send_reset(struct qb_quic *q, const struct qb_buf *in, const uint8_t *cid,
			     uint64_t now_ns)
{
	struct qb_buf *b;
	uint32_t len;

	/* Shorter than what it answers, so that two endpoints cannot keep each other busy (RFC 9000
	 * §10.3.3). */
	if (in->len <= RESET_MIN)
		return;
	/* Another worker's connection is none of ours to reset, but one of a worker that was there before a restart is anybody's. */
	if (cid[QB_CID_WORKER_OFF] != (uint8_t)q->cfg.worker && cid[QB_CID_WORKER_OFF] < q->cfg.worker_cnt)
		return;
	b = get(q, QB_STATELESS_RESET, in, now_ns);
	if (!b)
		return;
	len = QB_MIN(in->len - 1, (uint32_t)RESET_MAX);
	qb_drbg_bytes(&q->rnd, b->data, len - QB_RESET_TOKEN_LEN);
	b->data[0] = (uint8_t)((b->data[0] & 0x3f) | QB_HDR_FIXED);
	qb_reset_token(&q->cfg.reset_secret, cid, QB_CID_LEN, b->data + len - QB_RESET_TOKEN_LEN);
	b->len = len;
	push(q, b);
	qb_count(q->cfg.counters, QB_CNT_STATELESS_RESET_TX);
}
