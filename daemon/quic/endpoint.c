/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The endpoint: one region of memory cut into slabs and tables, and the way of a datagram to its connection.
 * qb_quic_recv and qb_quic_send are the worker's two calls a round.
 */
#include "quic/conn.h"

enum {
	CID_BUCKETS_PER_CONN = 16,
	SENT_CHUNKS_PER_CONN = 12, /* each space holds one that is not full */
	REFS_PER_CONN = 64,
	DGRAM_MIN = 21, /* RFC 9000 §10.3: the smallest that may be QUIC to us */
	HDR_DCID_LEN_OFF = 5,
};

struct layout {
	size_t conns, hs_spaces, sent, refs, streams, chunks, timers, cids, resets, half_opens, total;
	uint32_t sent_cnt, ref_cnt, stream_cnt;
	size_t bucket_cnt;
};

static size_t place(size_t *total, size_t bytes)
{
	size_t at = *total;

	*total = (at + bytes + 63) & ~(size_t)63;
	return at;
}

static size_t pow2_at_least(size_t n)
{
	size_t p = 16;

	while (p < n)
		p *= 2;
	return p;
}

_Static_assert(offsetof(struct qb_conn, path[1]) <= 4 * QB_PAGE_BYTES, "a connection with one path takes four pages");

static size_t conn_bytes(void)
{
	return qb_page_up(sizeof(struct qb_conn));
}

static struct layout lay_out(const struct qb_quic_limits *lim)
{
	struct layout l = {0};
	struct qb_streams_cfg scfg = {.own_max = lim->streams_per_conn + QB_STREAMS_OWN_EXTRA};
	struct qb_tparams tp;

	qb_conn_limit_params(lim, &tp);
	l.sent_cnt = lim->sent_records / QB_SENT_CHUNK + lim->conns * SENT_CHUNKS_PER_CONN +
		     lim->sent_records / (QB_SENT_NEAR / 4 * QB_SENT_CHUNK); /* directories */
	l.ref_cnt = lim->sent_records + lim->conns * REFS_PER_CONN;
	l.stream_cnt = qb_streams_obj_cnt(&scfg, &tp) * lim->conns;
	l.bucket_cnt = pow2_at_least((size_t)lim->conns * CID_BUCKETS_PER_CONN);
	place(&l.total, qb_page_up(sizeof(struct qb_quic)));
	l.conns = place(&l.total, qb_slab_footprint(conn_bytes(), lim->conns));
	l.hs_spaces = place(&l.total, qb_slab_footprint(2 * sizeof(struct qb_space), lim->conns));
	l.sent = place(&l.total, qb_slab_footprint(qb_sent_slab_bytes(), l.sent_cnt));
	l.refs = place(&l.total, qb_slab_footprint(qb_refs_slab_bytes(), l.ref_cnt));
	l.streams = place(&l.total, qb_slab_footprint(qb_stream_obj_bytes(), l.stream_cnt));
	l.chunks = place(&l.total, qb_chunk_store_footprint(lim->stream_chunks));
	l.timers = place(&l.total, sizeof(struct qb_timer *) * lim->conns);
	l.cids = place(&l.total, sizeof(struct qb_cid_entry *) * l.bucket_cnt);
	l.resets = place(&l.total, sizeof(struct qb_reset_entry *) * l.bucket_cnt);
	l.half_opens = place(&l.total, qb_half_opens_footprint(lim->conns));
	return l;
}

size_t qb_quic_footprint(const struct qb_quic_limits *limits)
{
	return lay_out(limits).total;
}

/* owner_key is the same after a restart: by it tokens find their servers again. */
static struct qb_hash_key owner_key(const struct qb_node_secret *secret)
{
	static const char label[] = "owners of tokens";
	uint8_t out[QB_RESET_TOKEN_LEN];

	/* A pseudo-random function like any other. */
	qb_reset_token(secret, (const uint8_t *)label, sizeof(label), out);
	return (struct qb_hash_key){qb_load_be64(out), qb_load_be64(out + 8)};
}

struct qb_quic *qb_quic_init(void *mem, const struct qb_quic_cfg *cfg, uint64_t now_ns)
{
	struct layout l = lay_out(&cfg->limits);
	struct qb_quic *q = mem;
	uint8_t *base = mem;

	memset(q, 0, sizeof(*q));
	q->cfg = *cfg;
	qb_version_init(&q->cfg);
	q->now_ns = now_ns;
	qb_drbg_seed(&q->rnd, cfg->seed);
	q->hash_key.k0 = qb_drbg_u64(&q->rnd);
	q->hash_key.k1 = qb_drbg_u64(&q->rnd);
	q->owner_key = owner_key(&cfg->token_secret);
	qb_slab_init(&q->conn_slab, base + l.conns, conn_bytes(), cfg->limits.conns);
	qb_slab_init(&q->hs_space_slab, base + l.hs_spaces, 2 * sizeof(struct qb_space), cfg->limits.conns);
	qb_slab_init(&q->sent_slab, base + l.sent, qb_sent_slab_bytes(), l.sent_cnt);
	qb_slab_init(&q->ref_slab, base + l.refs, qb_refs_slab_bytes(), l.ref_cnt);
	qb_slab_init(&q->stream_slab, base + l.streams, qb_stream_obj_bytes(), l.stream_cnt);
	qb_chunk_store_init(&q->chunks, base + l.chunks, cfg->limits.stream_chunks,
			    qb_drbg_u64(&q->rnd));
	for (uint32_t i = 0; i < 2; i++)
		qb_space_init(&q->no_space[i], &q->sent_slab);
	qb_heap_init(&q->timers, (struct qb_timer **)(void *)(base + l.timers), cfg->limits.conns);
	q->cid_bucket = (struct qb_cid_entry **)(void *)(base + l.cids);
	q->reset_bucket = (struct qb_reset_entry **)(void *)(base + l.resets);
	q->bucket_mask = l.bucket_cnt - 1;
	memset(q->cid_bucket, 0, l.bucket_cnt * sizeof(*q->cid_bucket));
	memset(q->reset_bucket, 0, l.bucket_cnt * sizeof(*q->reset_bucket));
	qb_half_opens_init(&q->half_opens, base + l.half_opens, cfg->limits.conns, &q->hash_key);
	qb_stateless_init(&q->stateless, now_ns);
	return q;
}

void qb_quic_fini(struct qb_quic *q)
{
	while (q->conns)
		qb_conn_free(q->conns);
	qb_early_fini(q);
	explicit_bzero(&q->cfg.reset_secret, sizeof(q->cfg.reset_secret));
	explicit_bzero(&q->cfg.token_secret, sizeof(q->cfg.token_secret));
	explicit_bzero(q->cfg.seed, sizeof(q->cfg.seed));
	explicit_bzero(&q->rnd, sizeof(q->rnd));
	qb_stateless_fini(q);
}

void qb_quic_set_tls(struct qb_quic *q, struct qb_tls_ctx *tls)
{
	q->cfg.tls = tls;
}

void qb_quic_set_rekey(struct qb_quic *q, uint64_t ns, uint64_t pkts)
{
	q->cfg.key_update_ns = ns;
	q->cfg.key_update_pkts = pkts;
}

void qb_quic_set_spin(struct qb_quic *q, uint8_t of_16)
{
	if (q->cfg.spin_of_16 == of_16)
		return;
	q->cfg.spin_of_16 = of_16;
	for (struct qb_conn *c = NULL; (c = qb_quic_next_conn(q, c));)
		for (uint32_t i = 0; i < c->path_cnt; i++)
			qb_path_draw_spin(&c->path[i], of_16, qb_drbg_u64(&q->rnd));
}

void qb_quic_set_padding(struct qb_quic *q, uint16_t bytes)
{
	q->cfg.pad_bytes = bytes;
}

void qb_quic_set_preferred(struct qb_quic *q, const struct qb_addr *v4, const struct qb_addr *v6)
{
	q->cfg.preferred4 = *v4;
	q->cfg.preferred6 = *v6;
}

size_t qb_quic_tokens(const struct qb_quic *q, uint8_t out[QB_TOKENS_BYTES])
{
	return qb_tokens_build(&q->tokens_kept, out);
}

uint32_t qb_quic_tokens_change(const struct qb_quic *q)
{
	return q->tokens_kept.change_cnt;
}

int qb_quic_set_tokens(struct qb_quic *q, const uint8_t *p, size_t len)
{
	return qb_tokens_parse(&q->tokens_kept, p, len);
}

void qb_quic_set_cc(struct qb_quic *q, const struct qb_cc *cc)
{
	q->cfg.cc = cc;
}

void qb_quic_set_tune(struct qb_quic *q, const struct qb_path_tune *tune)
{
	q->cfg.tune = *tune;
}

/* ---- tables ---- */

static struct qb_cid_entry **cid_slot(const struct qb_quic *q, struct qb_bytes cid)
{
	return &q->cid_bucket[qb_siphash(&q->hash_key, cid.p, cid.len) & q->bucket_mask];
}

void qb_endpoint_link_cid(struct qb_quic *q, struct qb_cid_entry *e)
{
	struct qb_cid_entry **slot = cid_slot(q, qb_cid_bytes(&e->cid));

	QB_BUG_ON(e->is_linked);
	e->next = *slot;
	*slot = e;
	e->is_linked = true;
}

void qb_endpoint_unlink_cid(struct qb_quic *q, struct qb_cid_entry *e)
{
	struct qb_cid_entry **slot;

	if (!e->is_linked)
		return;
	for (slot = cid_slot(q, qb_cid_bytes(&e->cid)); *slot != e; slot = &(*slot)->next)
		;
	*slot = e->next;
	e->is_linked = false;
	if (q->cid_latest == e)
		q->cid_latest = NULL;
}

struct qb_cid_entry *qb_endpoint_find_cid(const struct qb_quic *q, struct qb_bytes cid)
{
	struct qb_cid_entry *e;

	for (e = *cid_slot(q, cid); e; e = e->next) {
		if (qb_cid_is(&e->cid, cid))
			return e;
	}
	return NULL;
}

static struct qb_reset_entry **reset_slot(const struct qb_quic *q, const uint8_t *token)
{
	uint64_t hash = qb_siphash(&q->hash_key, token, QB_RESET_TOKEN_LEN);

	return &q->reset_bucket[hash & q->bucket_mask];
}

void qb_endpoint_link_reset(struct qb_quic *q, struct qb_reset_entry *e)
{
	struct qb_reset_entry **slot = reset_slot(q, e->token);

	QB_BUG_ON(e->is_linked);
	e->next = *slot;
	*slot = e;
	e->is_linked = true;
}

void qb_endpoint_unlink_reset(struct qb_quic *q, struct qb_reset_entry *e)
{
	struct qb_reset_entry **slot;

	if (!e->is_linked)
		return;
	for (slot = reset_slot(q, e->token); *slot != e; slot = &(*slot)->next)
		;
	*slot = e->next;
	e->is_linked = false;
}

struct qb_conn *qb_endpoint_find_reset(const struct qb_quic *q, const uint8_t *token)
{
	struct qb_reset_entry *e;

	for (e = *reset_slot(q, token); e; e = e->next) {
		if (qb_ct_eq(e->token, token, QB_RESET_TOKEN_LEN))
			return e->conn;
	}
	return NULL;
}

void qb_endpoint_make_cid(struct qb_quic *q, struct qb_cid *cid)
{
	cid->len = QB_CID_LEN;
	do {
		qb_drbg_bytes(&q->rnd, cid->id, QB_CID_LEN);
		cid->id[0] &= 0x1f; /* QUIC-LB: configuration 0 */
		cid->id[QB_CID_WORKER_OFF] = (uint8_t)q->cfg.worker;
	} while (qb_endpoint_find_cid(q, qb_cid_bytes(cid)));
}

/* ---- receive ---- */

/* is_reset: whatever a datagram looks like that means nothing to us, it may be a stateless reset (RFC 9000 §10.3). */
static bool is_reset(struct qb_quic *q, const struct qb_buf *b, uint64_t now_ns)
{
	struct qb_conn *c = qb_endpoint_find_reset(q, b->data + b->len - QB_RESET_TOKEN_LEN);

	return c && qb_conn_on_stateless_reset(c, &b->tuple, now_ns);
}

/* on_stray counts what is nobody's. Returns false, as one who has not kept the buffer. */
static bool on_stray(struct qb_quic *q, const struct qb_buf *b, enum qb_counter why, uint64_t now_ns)
{
	if (!is_reset(q, b, now_ns))
		qb_count(q->cfg.counters, why);
	return false;
}

/* rx_unknown: nobody has that connection ID. Perhaps it is a stateless reset; else one may be due. */
static void rx_unknown(struct qb_quic *q, const struct qb_buf *b, uint64_t now_ns)
{
	if (is_reset(q, b, now_ns))
		return;
	qb_count(q->cfg.counters, QB_CNT_DROP_UNKNOWN_CID);
	qb_stateless_send_reset(q, b, b->data + 1, now_ns);
}

/* rx_known hands a long header's datagram to its connection, and behind it those that had to wait for it. */
static bool rx_known(struct qb_quic *q, const struct qb_cid_entry *e, struct qb_buf *b, struct qb_batch *out,
		     uint64_t now_ns)
{
	struct qb_conn *c = e->conn;
	bool is_taken = qb_conn_rx(c, e, b, out, now_ns);
	struct qb_buf *held;

	if (QB_LIKELY(!q->early_held_cnt) || c->state != QB_CONN_HANDSHAKE || qb_early_is_awaited(c))
		return is_taken;
	while ((held = qb_early_take_held(q, &c->hs.initial_dcid))) {
		if (qb_batch_full(out) || !c->hs.odcid_entry.is_linked ||
		    !qb_conn_rx(c, &c->hs.odcid_entry, held, out, now_ns))
			qb_buf_put(q->cfg.pool, held);
	}
	return is_taken;
}

static bool rx_long(struct qb_quic *q, struct qb_buf *b, struct qb_batch *out, uint64_t now_ns)
{
	const struct qb_cid_entry *e;
	struct qb_conn *c;
	struct qb_hdr h;
	bool is_taken;

	if (qb_hdr_parse(&h, b->data, b->len, QB_CID_LEN) < 0)
		return on_stray(q, b, QB_CNT_DROP_HEADER, now_ns);
	if (h.type == QB_PKT_OTHER_VERSION ||
	    (h.type != QB_PKT_VERSION_NEGOTIATION && !qb_version_is_ours(&q->cfg, h.version))) {
		if (is_reset(q, b, now_ns))
			return false;
		qb_count(q->cfg.counters, QB_CNT_DROP_VERSION);
		if (q->cfg.is_server)
			qb_stateless_send_vn(q, b, &h, now_ns);
		return false;
	}
	e = qb_endpoint_find_cid(q, h.dcid);
	if (h.type == QB_PKT_0RTT && (!e || qb_early_is_awaited(e->conn)) && qb_early_hold(q, b, now_ns))
		return true;
	if (e) {
		c = e->conn;
		is_taken = rx_known(q, e, b, out, now_ns);
		qb_accept_weigh(q, c);
		return is_taken;
	}
	/* Only who has our parameters may do without the bit, and whom a token shows to have had them (RFC 9287 §3.1). */
	if (!q->cfg.is_server || h.type != QB_PKT_INITIAL || (!(h.first & QB_HDR_FIXED) && !h.token.len))
		return on_stray(q, b, QB_CNT_DROP_UNKNOWN_CID, now_ns);
	c = qb_accept_initial(q, b, &h, now_ns);
	if (!c)
		return false;
	rx_known(q, &c->hs.odcid_entry, b, out, now_ns);
	/* Nothing in it opened: no state for that. */
	if (!c->hs.has_peer_scid)
		qb_conn_free(c);
	else
		qb_accept_weigh(q, c);
	return false;
}

/* find_short: datagrams that came together are mostly for one connection ID. */
static const struct qb_cid_entry *find_short(struct qb_quic *q, struct qb_bytes cid)
{
	const struct qb_cid_entry *e = q->cid_latest;

	if (QB_LIKELY(e && qb_cid_is(&e->cid, cid)))
		return e;
	e = qb_endpoint_find_cid(q, cid);
	if (e)
		q->cid_latest = e;
	return e;
}

static bool rx_datagram(struct qb_quic *q, struct qb_buf *b, struct qb_batch *out, uint64_t now_ns)
{
	const struct qb_cid_entry *e;

	qb_count_add(q->cfg.counters, QB_CNT_BYTES_RX, b->len);
	if (b->len < DGRAM_MIN) {
		qb_count(q->cfg.counters, QB_CNT_DROP_SHORT);
		return false;
	}
	if (!(b->data[0] & QB_HDR_FIXED) && !q->cfg.is_quic_bit_greased &&
	    !((b->data[0] & QB_HDR_LONG) && qb_load_be32(b->data + 1) == 0))
		return on_stray(q, b, QB_CNT_DROP_FIXED_BIT, now_ns);
	if (b->data[0] & QB_HDR_LONG)
		return rx_long(q, b, out, now_ns);
	e = find_short(q, (struct qb_bytes){b->data + 1, QB_CID_LEN});
	if (QB_LIKELY(e != NULL))
		return qb_conn_rx(e->conn, e, b, out, now_ns);
	if (!(b->data[0] & QB_HDR_FIXED))
		return on_stray(q, b, QB_CNT_DROP_FIXED_BIT, now_ns);
	rx_unknown(q, b, now_ns);
	return false;
}

/* A datagram that belongs to no connection: it may open one, and costs as much as hundreds of others. */
static bool is_stranger(const struct qb_quic *q, const struct qb_buf *b)
{
	uint32_t dcid_len;

	if (b->len < DGRAM_MIN || !(b->data[0] & QB_HDR_LONG))
		return false;
	dcid_len = b->data[HDR_DCID_LEN_OFF];
	return dcid_len > QB_CID_MAX || HDR_DCID_LEN_OFF + 1 + dcid_len > b->len ||
	       !qb_endpoint_find_cid(q, (struct qb_bytes){b->data + HDR_DCID_LEN_OFF + 1, dcid_len});
}

/* let_known_first: a crowd at the door does not keep those inside waiting. The order within a connection stays. */
static void let_known_first(struct qb_quic *q, struct qb_batch *in)
{
	struct qb_buf *strangers[QB_BATCH_MAX];
	uint32_t kept = 0, cnt = 0;

	for (uint32_t i = 0; i < in->cnt; i++) {
		if (QB_UNLIKELY(is_stranger(q, in->buf[i])))
			strangers[cnt++] = in->buf[i];
		else
			in->buf[kept++] = in->buf[i];
	}
	memcpy(in->buf + kept, strangers, cnt * sizeof(strangers[0]));
}

void qb_quic_recv(struct qb_quic *q, struct qb_batch *in, struct qb_batch *out, uint64_t now_ns)
{
	uint32_t i;

	q->now_ns = now_ns;
	if (q->cfg.is_server)
		let_known_first(q, in);
	for (i = 0; i < in->cnt && out->cnt + QB_BUNDLE_MAX <= QB_BATCH_MAX; i++) {
		if (!rx_datagram(q, in->buf[i], out, now_ns))
			qb_buf_put(q->cfg.pool, in->buf[i]);
	}
	in->cnt -= i;
	memmove(in->buf, in->buf + i, in->cnt * sizeof(in->buf[0]));
}

/* ---- send ---- */

bool qb_quic_send(struct qb_quic *q, struct qb_batch *out, uint64_t now_ns)
{
	struct qb_timer *t;

	q->now_ns = now_ns;
	if (qb_stateless_flush(q, out))
		return true;
	while ((t = qb_heap_first(&q->timers)) && t->at_ns <= now_ns) {
		struct qb_conn *c = QB_CONTAINER_OF(t, struct qb_conn, timer);
		bool has_more;

		qb_conn_run(c, now_ns);
		qb_conn_note_moved(c);
		if (c->state == QB_CONN_DEAD && !c->events.is_queued) {
			qb_conn_free(c);
			continue;
		}
		has_more = qb_conn_tx(c, out, now_ns);
		qb_conn_rearm(c, has_more, now_ns);
		if (has_more)
			return true;
	}
	return false;
}

uint64_t qb_quic_deadline_ns(const struct qb_quic *q)
{
	const struct qb_timer *t = qb_heap_first(&q->timers);

	if (q->stateless.cnt)
		return 0;
	return t ? t->at_ns : QB_NEVER_NS;
}

struct qb_conn *qb_quic_next_conn(struct qb_quic *q, struct qb_conn *after)
{
	return after ? after->next : q->conns;
}
