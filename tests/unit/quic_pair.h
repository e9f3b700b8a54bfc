/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two QUIC endpoints in memory with up to eight links between them, in virtual time: delay, jitter,
 * loss, duplication, corruption and NAT, all from one seed. For the connection tests; each includes
 * this once.
 *
 *     client link i: 10.0.i.1:1000+i ──► NAT ──► 192.0.2.1:443 server
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "quic/quic.h"
#ifndef REQUIRE /* fuzz targets have their own */
#include "require.h"
#endif

#define PAIR_UNUSED __attribute__((unused))

enum {
	PAIR_LINKS = 8,
	PAIR_PKT_MAX = 1600,
	PAIR_DGRAMS = 65536,
	CLIENT = 0,
	SERVER = 1,
};

#ifndef PAIR_FRAMES
#define PAIR_FRAMES 8192
#endif

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

struct pair_link {
	uint64_t delay_ns, jitter_ns;
	double loss, dup, corrupt, truncate, ce;
	bool is_bleaching;  /* clears ECN */
	uint64_t rate_bps;  /* 0: unlimited */
	uint64_t up_bps;    /* of what the client sends; 0: rate_bps */
	uint64_t queue_ns;  /* longest queue of a limited link */
	uint32_t mtu_bytes; /* 0: unlimited; larger UDP payloads vanish */
	bool is_down;
	uint16_t nat_port; /* what the server sees as the client's port */
	uint8_t nat_host;  /* last byte of the address that it sees */
	uint64_t busy_ns[2];
	uint64_t sent_pkts[2], sent_bytes[2], dropped_pkts;
};

struct pair_pkt {
	struct pair_pkt *next;
	uint64_t at_ns, seq;
	int to;
	struct qb_tuple tuple;
	uint32_t len;
	uint8_t data[PAIR_PKT_MAX];
};

struct pair_end {
	struct qb_quic *q;
	void *mem;
	struct qb_quic_cfg cfg;
	struct qb_tls_ctx *tls;
	struct qb_counters counters;
	struct qb_depot depot;
	struct qb_pool pool;
	uint8_t *frames;
	struct qb_buf *bufs;
	struct qb_conn *conn; /* the newest one that was announced */
	uint32_t events[32];  /* by type */
	struct qb_quic_event last[32];
	char reason[QB_CONN_REASON_LEN];
	uint32_t dgram_cnt, dgram_by_path[QB_PATHS_MAX];
	uint8_t dgram_seen[PAIR_DGRAMS]; /* how often each number came */
	uint64_t rx_pkts;
};

struct pair {
	uint64_t now_ns, seq;
	struct qb_rand rnd;
	struct pair_link link[PAIR_LINKS];
	struct pair_pkt *queue;
	struct pair_end end[2];
	/* Hooks of a test; any may be NULL. */
	void (*on_event)(struct pair *p, int side, const struct qb_quic_event *ev);
	void (*on_tick)(struct pair *p, int side); /* before each send */
	/* May change a packet on its way; false: drop it. */
	bool (*on_packet)(struct pair *p, int from, struct pair_pkt *pkt);
	void *user;
	uint64_t lag_ns[2]; /* of the time to a packet's delivery what it has been there already */
	uint64_t tick_ns; /* > 0: on_tick at least so often */
	bool is_tls_shared;
	bool is_garbage_ok; /* datagrams need not be ours */
};

struct pair_opts {
	uint64_t seed;
	uint32_t max_path_id_client, max_path_id_server;
	enum qb_retry_mode retry;
	uint32_t retry_half_open;
	uint64_t idle_ns, keepalive_ns;
	bool wrong_client_key, wrong_server_key;
	const char *cc;
	struct qb_path_tune tune;
	uint32_t conns;
	uint32_t sent_records, stream_chunks;
	uint32_t ack_pkts_max;
	uint32_t versions[2][QB_VERSIONS_MAX], version_first;
	struct qb_addr preferred4;
	bool is_migration_refused[2];
	uint64_t key_update_ns, key_update_pkts;
	uint32_t mp_dialects[2];
	bool is_quic_bit_greased[2];
	uint8_t spin_of_16;
	bool is_early[2];
	const char *early_context;
	uint32_t streams; /* 0: 16 */
	uint16_t server_worker, server_workers;
	/* Contexts to be used (and kept) instead of new ones. */
	struct qb_tls_ctx *tls[2];
};

static struct pair_opts PAIR_UNUSED pair_default_opts(uint64_t seed)
{
	return (struct pair_opts){
		.seed = seed,
		.max_path_id_client = 7,
		.max_path_id_server = 7,
		.retry = QB_RETRY_OFF,
		.idle_ns = 30 * SEC,
		.cc = "newreno",
		.conns = 8,
		.sent_records = 65536,
		.stream_chunks = 4096,
		.server_workers = 256,
	};
}

static struct qb_tuple pair_client_tuple(uint32_t link)
{
	struct qb_tuple t = {0};

	t.local.family = t.peer.family = 4;
	memcpy(t.local.ip, (uint8_t[]){10, 0, (uint8_t)link, 1}, 4);
	t.local.port = (uint16_t)(1000 + link);
	memcpy(t.peer.ip, (uint8_t[]){192, 0, 2, 1}, 4);
	t.peer.port = 443;
	t.link = (uint16_t)link;
	return t;
}

static struct qb_tuple pair_server_tuple(const struct pair *p, uint32_t link)
{
	struct qb_tuple t = {0};

	t.local.family = t.peer.family = 4;
	memcpy(t.peer.ip, (uint8_t[]){10, 0, (uint8_t)link, p->link[link].nat_host}, 4);
	t.peer.port = p->link[link].nat_port;
	memcpy(t.local.ip, (uint8_t[]){192, 0, 2, 1}, 4);
	t.local.port = 443;
	return t;
}

static void pair_make_keys(char pem[2][512], uint8_t pub[2][QB_PUBKEY_LEN])
{
	char err[QB_TLS_ERR_LEN];
	int i;

	for (i = 0; i < 2; i++) {
		REQUIRE((qb_key_generate(pem[i], 512)) == 0);
		REQUIRE((qb_key_public(pem[i], pub[i], err)) == 0);
	}
}

static void pair_start_end(struct pair *p, int side, const struct pair_opts *o)
{
	struct pair_end *e = &p->end[side];
	size_t bytes;

	e->cfg.is_server = side == SERVER;
	e->cfg.worker = side == SERVER ? o->server_worker : 0;
	e->cfg.worker_cnt = o->server_workers;
	e->cfg.limits = (struct qb_quic_limits){.conns = o->conns,
						.streams_per_conn = o->streams ? o->streams : 16,
						.sent_records = o->sent_records,
						.stream_chunks = o->stream_chunks};
	e->cfg.tls = e->tls;
	memset(e->cfg.reset_secret.key, 0x11 + side, 32);
	memset(e->cfg.token_secret.key, 0x33 + side, 32);
	qb_store_be64(e->cfg.seed, qb_rand_u64(&p->rnd));
	e->cfg.cc = qb_cc_find(o->cc);
	e->cfg.tune = o->tune;
	REQUIRE(e->cfg.cc);
	e->cfg.idle_timeout_ns = o->idle_ns;
	e->cfg.handshake_timeout_ns = 60 * SEC;
	e->cfg.keepalive_ns = o->keepalive_ns;
	e->cfg.max_path_id = side == SERVER ? o->max_path_id_server : o->max_path_id_client;
	e->cfg.retry = o->retry;
	e->cfg.retry_half_open = o->retry_half_open;
	e->cfg.max_udp_bytes = 1472;
	e->cfg.ack_pkts_max = o->ack_pkts_max;
	memcpy(e->cfg.versions, o->versions[side], sizeof(e->cfg.versions));
	e->cfg.version_first = o->version_first;
	e->cfg.preferred4 = o->preferred4;
	e->cfg.is_migration_refused = o->is_migration_refused[side];
	e->cfg.key_update_ns = o->key_update_ns;
	e->cfg.key_update_pkts = o->key_update_pkts;
	e->cfg.mp_dialects = o->mp_dialects[side];
	e->cfg.is_quic_bit_greased = o->is_quic_bit_greased[side];
	e->cfg.spin_of_16 = o->spin_of_16;
	e->cfg.is_early = o->is_early[side];
	e->cfg.early_context = o->early_context;
	e->cfg.counters = &e->counters;
	e->cfg.pool = &e->pool;
	bytes = qb_quic_footprint(&e->cfg.limits);
	e->mem = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
	REQUIRE(e->mem);
	e->q = qb_quic_init(e->mem, &e->cfg, p->now_ns);
}

static void PAIR_UNUSED pair_make_tls(const struct pair_opts *o, struct qb_tls_ctx *tls[2])
{
	char pem[2][512], err[QB_TLS_ERR_LEN] = "";
	uint8_t pub[2][QB_PUBKEY_LEN];
	int i;

	pair_make_keys(pem, pub);
	if (o->wrong_client_key)
		pub[CLIENT][0] ^= 1;
	if (o->wrong_server_key)
		pub[SERVER][0] ^= 1;
	for (i = 0; i < 2; i++) {
		struct qb_tls_cfg tc = {
			.is_server = i == SERVER,
			.key_pem = pem[i],
			.name = i == SERVER ? "hub" : "edge",
			.alpn = "h3",
			.peers = (const uint8_t(*)[QB_PUBKEY_LEN]) & pub[!i],
			.peer_cnt = 1,
		};

		tls[i] = qb_tls_ctx_new(&tc, err);
		REQUIRE(tls[i]);
	}
}

static struct pair *pair_new(const struct pair_opts *o)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct qb_tls_ctx *tls[2] = {o->tls[0], o->tls[1]};
	int i;

	p->now_ns = SEC;
	p->is_tls_shared = tls[0] != NULL;
	qb_rand_seed(&p->rnd, o->seed);
	if (!p->is_tls_shared)
		pair_make_tls(o, tls);
	for (i = 0; i < PAIR_LINKS; i++)
		p->link[i] = (struct pair_link){.delay_ns = (10 + 5 * (uint64_t)i) * MS,
						.nat_port = (uint16_t)(5000 + i),
						.nat_host = 1};
	for (i = 0; i < 2; i++) {
		struct pair_end *e = &p->end[i];

		e->tls = tls[i];
		e->frames = aligned_alloc(4096, (size_t)PAIR_FRAMES * QB_FRAME_BYTES);
		e->bufs = calloc(PAIR_FRAMES, sizeof(*e->bufs));
		qb_depot_init(&e->depot, e->frames, e->bufs, PAIR_FRAMES);
		qb_pool_init(&e->pool, &e->depot);
		pair_start_end(p, i, o);
	}
	return p;
}

static void pair_free(struct pair *p)
{
	struct pair_pkt *k;
	int i;

	while ((k = p->queue)) {
		p->queue = k->next;
		free(k);
	}
	for (i = 0; i < 2; i++) {
		struct pair_end *e = &p->end[i];

		qb_quic_fini(e->q);
		qb_pool_fini(&e->pool);
		/* Every buffer came home. */
		REQUIRE(e->depot.free_cnt == PAIR_FRAMES);
		if (!p->is_tls_shared)
			qb_tls_ctx_free(e->tls);
		free(e->mem);
		free(e->frames);
		free(e->bufs);
	}
	free(p);
}

/* ---- links ---- */

static void pair_enqueue(struct pair *p, struct pair_pkt *k)
{
	struct pair_pkt **at = &p->queue;

	k->seq = p->seq++;
	while (*at &&
	       ((*at)->at_ns < k->at_ns || ((*at)->at_ns == k->at_ns && (*at)->seq < k->seq)))
		at = &(*at)->next;
	k->next = *at;
	*at = k;
}

static bool pair_chance(struct pair *p, double probability)
{
	return probability > 0 && qb_rand_unit(&p->rnd) < probability;
}

static int pair_link_of(const struct pair *p, int from, const struct qb_tuple *t)
{
	(void)p;
	return from == CLIENT ? t->link : t->peer.ip[2];
}

static void pair_transmit(struct pair *p, int from, const struct qb_tuple *tuple,
			  const uint8_t *data, uint32_t len)
{
	int no = pair_link_of(p, from, tuple);
	struct pair_link *l = &p->link[no];
	struct pair_pkt *k;
	uint64_t start_ns;

	REQUIRE(no < PAIR_LINKS && len <= PAIR_PKT_MAX);
	l->sent_pkts[from]++;
	l->sent_bytes[from] += len;
	/* An address that the NAT no longer maps is a dead end. */
	if (from == SERVER &&
	    (tuple->peer.port != l->nat_port || tuple->peer.ip[3] != l->nat_host)) {
		l->dropped_pkts++;
		return;
	}
	if (l->is_down || pair_chance(p, l->loss) || (l->mtu_bytes && len > l->mtu_bytes)) {
		l->dropped_pkts++;
		return;
	}
	start_ns = QB_MAX(p->now_ns, l->busy_ns[from]);
	if (l->rate_bps) {
		if (start_ns - p->now_ns > l->queue_ns) {
			l->dropped_pkts++;
			return;
		}
		start_ns += (uint64_t)len * 8 * SEC / (from == CLIENT && l->up_bps ? l->up_bps : l->rate_bps);
		l->busy_ns[from] = start_ns;
	}
	k = calloc(1, sizeof(*k));
	k->to = !from;
	k->len = len;
	memcpy(k->data, data, len);
	k->tuple = from == CLIENT ? pair_server_tuple(p, (uint32_t)no)
				  : pair_client_tuple((uint32_t)no);
	/* The server may have several addresses. */
	if (from == CLIENT)
		k->tuple.local = tuple->peer;
	else
		k->tuple.peer = tuple->local;
	k->tuple.ecn = l->is_bleaching ? 0 : tuple->ecn;
	if (k->tuple.ecn && pair_chance(p, l->ce))
		k->tuple.ecn = 3;
	k->at_ns =
		start_ns + l->delay_ns + (l->jitter_ns ? qb_rand_below(&p->rnd, l->jitter_ns) : 0);
	if (pair_chance(p, l->corrupt))
		k->data[qb_rand_below(&p->rnd, len)] ^= (uint8_t)(1u << qb_rand_below(&p->rnd, 8));
	if (pair_chance(p, l->truncate))
		k->len = (uint32_t)qb_rand_below(&p->rnd, len);
	if (p->on_packet && !p->on_packet(p, from, k)) {
		free(k);
		return;
	}
	if (pair_chance(p, l->dup)) {
		struct pair_pkt *twin = malloc(sizeof(*twin));

		*twin = *k;
		twin->at_ns += qb_rand_below(&p->rnd, 50 * MS);
		pair_enqueue(p, twin);
	}
	pair_enqueue(p, k);
}

/* ---- endpoints ---- */

static void pair_take_datagrams(struct pair *p, struct pair_end *e, struct qb_batch *out)
{
	uint32_t i;

	for (i = 0; i < out->cnt; i++) {
		struct qb_buf *b = out->buf[i];

		REQUIRE(b->conn);
		e->dgram_cnt++;
		e->dgram_by_path[b->path]++;
		if (b->len >= 4) {
			uint32_t no = qb_load_be32(b->data), j;

			if (no < PAIR_DGRAMS && e->dgram_seen[no] < 255)
				e->dgram_seen[no]++;
			for (j = 4; j < b->len && b->data[j] == (uint8_t)(no + j); j++)
				;
			REQUIRE(j == b->len || p->is_garbage_ok);
		}
		qb_buf_put(&e->pool, b);
	}
	out->cnt = 0;
}

static void pair_take_events(struct pair *p, int side)
{
	struct pair_end *e = &p->end[side];
	struct qb_quic_event ev;

	while (qb_quic_next_event(e->q, &ev)) {
		e->events[ev.type]++;
		e->last[ev.type] = ev;
		if (ev.type == QB_EV_CONN_NEW || ev.type == QB_EV_CONN_ESTABLISHED)
			e->conn = ev.conn;
		if (ev.type == QB_EV_CONN_CLOSED) {
			snprintf(e->reason, sizeof(e->reason), "%s", qb_conn_reason(ev.conn));
			if (e->conn == ev.conn)
				e->conn = NULL;
		}
		if (p->on_event)
			p->on_event(p, side, &ev);
	}
}

static void pair_send(struct pair *p, int side)
{
	struct pair_end *e = &p->end[side];
	struct qb_batch out;
	bool more;

	do {
		uint32_t i;

		out.cnt = 0;
		more = qb_quic_send(e->q, &out, p->now_ns);
		for (i = 0; i < out.cnt; i++)
			pair_transmit(p, side, &out.buf[i]->tuple, out.buf[i]->data,
				      out.buf[i]->len);
		qb_batch_put(&e->pool, &out);
	} while (more);
}

/* pair_inject hands a datagram to an endpoint as if it had come over a link. */
static void pair_inject(struct pair *p, int side, const struct qb_tuple *tuple, const uint8_t *data,
			uint32_t len)
{
	struct pair_end *e = &p->end[side];
	struct qb_batch in = {0}, out = {0};
	struct qb_buf *b = qb_buf_get(&e->pool);

	REQUIRE(b);
	memcpy(b->data, data, len);
	b->len = len;
	b->tuple = *tuple;
	b->rx_ns = p->now_ns - p->lag_ns[side];
	e->rx_pkts++;
	qb_batch_add(&in, b);
	while (in.cnt) {
		qb_quic_recv(e->q, &in, &out, p->now_ns);
		pair_take_datagrams(p, e, &out);
	}
}

static void pair_poll(struct pair *p, int side)
{
	pair_take_events(p, side);
	if (p->on_tick)
		p->on_tick(p, side);
	pair_send(p, side);
	pair_take_events(p, side);
}

static uint64_t pair_next_ns(const struct pair *p)
{
	uint64_t at_ns = p->queue ? p->queue->at_ns : QB_NEVER_NS;
	int i;

	for (i = 0; i < 2; i++)
		at_ns = QB_MIN(at_ns, qb_quic_deadline_ns(p->end[i].q));
	if (p->tick_ns)
		at_ns = QB_MIN(at_ns, p->now_ns + p->tick_ns);
	return at_ns;
}

/* pair_step moves to the next thing that happens. False: nothing ever will, before until_ns. */
static bool pair_step(struct pair *p, uint64_t until_ns)
{
	uint64_t at_ns = pair_next_ns(p);
	int i;

	if (at_ns > until_ns) {
		p->now_ns = until_ns;
		return false;
	}
	p->now_ns = QB_MAX(at_ns, p->now_ns);
	while (p->queue && p->queue->at_ns <= p->now_ns) {
		struct pair_pkt *k = p->queue;

		p->queue = k->next;
		pair_inject(p, k->to, &k->tuple, k->data, k->len);
		free(k);
	}
	for (i = 0; i < 2; i++)
		pair_poll(p, i);
	return true;
}

static void PAIR_UNUSED pair_run(struct pair *p, uint64_t for_ns)
{
	uint64_t until_ns = p->now_ns + for_ns;

	pair_poll(p, CLIENT);
	pair_poll(p, SERVER);
	while (pair_step(p, until_ns))
		;
}

/* pair_run_until steps until cond holds; false after for_ns. */
static bool PAIR_UNUSED pair_run_until(struct pair *p, bool (*cond)(struct pair *), uint64_t for_ns)
{
	uint64_t until_ns = p->now_ns + for_ns;

	pair_poll(p, CLIENT);
	pair_poll(p, SERVER);
	while (!cond(p)) {
		if (!pair_step(p, until_ns))
			return cond(p);
	}
	return true;
}

static bool PAIR_UNUSED pair_is_up(struct pair *p)
{
	return p->end[CLIENT].conn && p->end[SERVER].conn;
}

static struct qb_conn *pair_connect(struct pair *p)
{
	struct qb_tuple t = pair_client_tuple(0);

	return qb_quic_connect(p->end[CLIENT].q, &t, "hub", p->now_ns);
}

/* pair_up makes a pair with its connection established. */
PAIR_UNUSED static struct pair *pair_up(const struct pair_opts *o)
{
	struct pair *p = pair_new(o);

	REQUIRE(pair_connect(p));
	REQUIRE(pair_run_until(p, pair_is_up, 30 * SEC));
	pair_run(p, 200 * MS);
	return p;
}

/* pair_send_dgram sends numbered datagram `no` of len bytes; returns qb_conn_send_datagram's
 * result. */
static int PAIR_UNUSED pair_send_dgram(struct pair *p, int side, uint8_t path, uint32_t no,
				       uint32_t len)
{
	struct pair_end *e = &p->end[side];
	struct qb_buf *b = qb_buf_get(&e->pool);
	uint32_t i;
	int rc;

	REQUIRE(b);
	qb_store_be32(b->data, no);
	for (i = 4; i < len; i++)
		b->data[i] = (uint8_t)(no + i);
	b->len = len;
	rc = qb_conn_send_datagram(e->conn, path, b, no, p->now_ns);
	if (rc == 0)
		pair_transmit(p, side, &b->tuple, b->data, b->len);
	qb_buf_put(&e->pool, b);
	return rc;
}

/* pair_open_path opens a path over a link and waits until it is validated. */
static uint8_t PAIR_UNUSED pair_open_path(struct pair *p, uint32_t link)
{
	struct qb_tuple t = pair_client_tuple(link);
	struct qb_path_info info;
	int path = qb_conn_open_path(p->end[CLIENT].conn, &t, p->now_ns);

	REQUIRE(path >= 0);
	pair_run(p, 1 * SEC);
	REQUIRE(p->end[CLIENT].conn);
	REQUIRE(qb_conn_path_info(p->end[CLIENT].conn, (uint8_t)path, p->now_ns, &info));
	REQUIRE(info.phase == QB_PATH_OPEN);
	return (uint8_t)path;
}
