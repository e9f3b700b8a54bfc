/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QUIC inside: two endpoints whose datagrams travel as inner IPv4 packets. The client opens one
 * stream; data flows from it or to it, as fast as congestion control lets it, and what arrives is
 * read at once.
 */
#include "sim_inner.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	HEADERS = 20 + 8,
	SERVER_PORT = 443,
	SENT_RECORDS = 65536,
	STREAM_CHUNKS = 16384,
	CHUNK = 16384,
};

enum { CLIENT, SERVER };

struct end {
	struct qb_quic *quic;
	void *mem;
	struct qb_pool pool;
	struct qb_counters counters;
	struct qb_conn *conn;
	bool is_due; /* something came or was written */
};

struct inner {
	struct inner_cfg cfg;
	struct end end[2];
	uint64_t stream;
	uint64_t read_bytes;
};

static struct qb_addr addr(uint32_t ip, uint16_t port)
{
	struct qb_addr a = {.family = 4, .port = port};

	qb_store_be32(a.ip, ip);
	return a;
}

static struct qb_tuple tuple_of(const struct inner *in, int side)
{
	struct qb_addr client = addr(SIM_SITE_IP, (uint16_t)(SIM_PORT_BASE + in->cfg.id)),
		       server = addr(SIM_FAR_IP, SERVER_PORT);

	return (struct qb_tuple){.local = side == CLIENT ? client : server,
				 .peer = side == CLIENT ? server : client};
}

static void open_end(struct inner *in, int side, uint64_t now_ns)
{
	struct end *e = &in->end[side];
	struct qb_quic_cfg cfg = {
		.is_server = side == SERVER,
		.limits = {.conns = 2,
			   .streams_per_conn = 4,
			   .sent_records = SENT_RECORDS,
			   .stream_chunks = STREAM_CHUNKS},
		.tls = in->cfg.tls[side],
		.cc = qb_cc_find(in->cfg.cc),
		.idle_timeout_ns = 60 * QB_NS_PER_SEC,
		.handshake_timeout_ns = 10 * QB_NS_PER_SEC,
		.max_path_id = UINT32_MAX,
		.retry = QB_RETRY_OFF,
		.max_udp_bytes = SIM_MTU - HEADERS,
		.counters = &e->counters,
		.pool = &e->pool,
	};
	struct qb_rand rand;

	QB_BUG_ON(!cfg.cc);
	qb_rand_seed(&rand, in->cfg.seed + (uint64_t)side);
	for (size_t i = 0; i < sizeof(cfg.seed); i++)
		cfg.seed[i] = (uint8_t)qb_rand_u64(&rand);
	qb_pool_init(&e->pool, in->cfg.depot);
	e->mem = aligned_alloc(64, (qb_quic_footprint(&cfg.limits) + 63) & ~(size_t)63);
	QB_BUG_ON(!e->mem);
	e->quic = qb_quic_init(e->mem, &cfg, now_ns);
	e->is_due = true;
}

struct inner *inner_new(const struct inner_cfg *cfg, uint64_t now_ns)
{
	struct inner *in = calloc(1, sizeof(*in));
	struct qb_tuple tuple;

	QB_BUG_ON(!in);
	in->cfg = *cfg;
	open_end(in, CLIENT, now_ns);
	open_end(in, SERVER, now_ns);
	tuple = tuple_of(in, CLIENT);
	in->end[CLIENT].conn = qb_quic_connect(in->end[CLIENT].quic, &tuple, "hub", now_ns);
	QB_BUG_ON(!in->end[CLIENT].conn);
	return in;
}

void inner_free(struct inner *in)
{
	for (int side = 0; side < 2; side++) {
		struct end *e = &in->end[side];

		qb_quic_fini(e->quic);
		qb_pool_fini(&e->pool);
		free(e->mem);
	}
	free(in);
}

/* ---- the transfer ---- */

/* is_writer: the client, where data goes up. */
static bool is_writer(const struct inner *in, int side)
{
	return (in->cfg.dir == SIM_UP) == (side == CLIENT);
}

static void write_on(struct inner *in, int side)
{
	static const uint8_t zeros[CHUNK];

	while (qb_conn_stream_write(in->end[side].conn, in->stream, zeros, CHUNK, false) > 0)
		;
}

static void read_all(struct inner *in, int side)
{
	static uint8_t waste[CHUNK];
	int64_t n;
	bool is_fin;

	while ((n = qb_conn_stream_read(in->end[side].conn, in->stream, waste, CHUNK, &is_fin,
					NULL)) > 0)
		in->read_bytes += is_writer(in, side) ? 0 : (uint64_t)n;
}

static void open_stream(struct inner *in)
{
	int64_t id = qb_conn_open_stream(in->end[CLIENT].conn, true);

	QB_BUG_ON(id < 0);
	in->stream = (uint64_t)id;
	if (is_writer(in, CLIENT))
		write_on(in, CLIENT);
	else
		QB_BUG_ON(qb_conn_stream_write(in->end[CLIENT].conn, in->stream, "x", 1, false) !=
			  1);
}

static void take_events(struct inner *in, int side)
{
	struct end *e = &in->end[side];
	struct qb_quic_event ev;

	while (qb_quic_next_event(e->quic, &ev)) {
		switch (ev.type) {
		case QB_EV_CONN_NEW:
			e->conn = ev.conn;
			break;
		case QB_EV_CONN_ESTABLISHED:
			open_stream(in);
			break;
		case QB_EV_CONN_CLOSED:
			e->conn = NULL;
			break;
		case QB_EV_STREAM_READABLE:
			read_all(in, side);
			if (is_writer(in, side))
				write_on(in, side);
			break;
		case QB_EV_STREAM_WRITABLE:
			if (is_writer(in, side))
				write_on(in, side);
			break;
		default:
			break;
		}
	}
}

/* ---- packets ---- */

/* wrap makes an inner packet of a UDP payload. */
static void wrap(const struct qb_buf *udp, struct qb_buf *b)
{
	uint8_t *ip = b->data;

	b->len = udp->len + HEADERS;
	memset(ip, 0, HEADERS);
	ip[0] = 0x45;
	ip[1] = (uint8_t)udp->tuple.ecn;
	qb_store_be16(ip + 2, (uint16_t)b->len);
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, udp->tuple.local.ip, 4);
	memcpy(ip + 16, udp->tuple.peer.ip, 4);
	qb_store_be16(ip + 20, udp->tuple.local.port);
	qb_store_be16(ip + 22, udp->tuple.peer.port);
	qb_store_be16(ip + 24, (uint16_t)(udp->len + 8));
	memcpy(ip + HEADERS, udp->data, udp->len);
}

bool inner_send(struct inner *in, bool is_server, struct qb_pool *pool, struct qb_batch *out,
		uint64_t now_ns)
{
	struct end *e = &in->end[is_server];
	struct qb_batch udp = {0};
	bool has_more;

	if (!e->is_due && qb_quic_deadline_ns(e->quic) > now_ns)
		return false;
	take_events(in, is_server);
	has_more = qb_quic_send(e->quic, &udp, now_ns);
	for (uint32_t i = 0; i < udp.cnt; i++) {
		struct qb_buf *b = qb_buf_get(pool);

		QB_BUG_ON(!b || udp.buf[i]->len + HEADERS > SIM_MTU);
		wrap(udp.buf[i], b);
		qb_batch_add(out, b);
	}
	qb_batch_put(&e->pool, &udp);
	take_events(in, is_server);
	e->is_due = has_more;
	return has_more;
}

void inner_recv(struct inner *in, bool is_server, const struct qb_buf *b, uint64_t now_ns)
{
	struct end *e = &in->end[is_server];
	struct qb_batch udp = {0}, datagrams = {0};
	struct qb_buf *copy = qb_buf_get(&e->pool);

	QB_BUG_ON(!copy);
	copy->len = b->len - HEADERS;
	memcpy(copy->data, b->data + HEADERS, copy->len);
	copy->tuple = tuple_of(in, is_server);
	copy->tuple.ecn = b->data[1] & 3;
	copy->rx_ns = now_ns;
	qb_batch_add(&udp, copy);
	qb_quic_recv(e->quic, &udp, &datagrams, now_ns);
	qb_batch_put(&e->pool, &datagrams);
	take_events(in, is_server);
	e->is_due = true;
}

uint64_t inner_next_ns(const struct inner *in)
{
	uint64_t at = QB_NEVER_NS;

	for (int side = 0; side < 2; side++)
		at = qb_min_u64(at,
				in->end[side].is_due ? 0 : qb_quic_deadline_ns(in->end[side].quic));
	return at;
}

uint64_t inner_read_bytes(const struct inner *in)
{
	return in->read_bytes;
}

bool inner_path(const struct inner *in, uint64_t now_ns, struct qb_path_info *out)
{
	const struct end *e = &in->end[in->cfg.dir == SIM_UP ? CLIENT : SERVER];

	return e->conn && qb_conn_path_info(e->conn, 0, now_ns, out);
}
