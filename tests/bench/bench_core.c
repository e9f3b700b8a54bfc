/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the QUIC core costs a packet: two endpoints in one thread, buffers passed from one to the
 * other without a copy, virtual time. Each stage of a round handles a batch and is a function of
 * its own, for the clock here and for callgrind's --toggle-collect (see tests/bench/core).
 *
 *     sender                                   receiver
 *     stage_seal    qb_conn_send_datagram ──►  stage_open   qb_quic_recv
 *                   or qb_conn_send_bundle
 *     stage_write   qb_conn_stream_write       stage_read   qb_conn_stream_read
 *     stage_send    qb_quic_send          ──►
 *     stage_acked   qb_quic_recv          ◄──  stage_ack    qb_quic_send
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rand.h"
#include "quic/quic.h"

enum {
	SENDER = 0,
	RECEIVER = 1,
	FRAMES = 32768,
	WIRE_CAP = 16384,      /* packets on the wire, each way; a power of two */
	DELAY_NS = 500 * 1000, /* one way */
	STEP_NS = 100 * 1000,  /* between rounds */
	PAYLOAD_BYTES = 1400,
	SMALL_BYTES = 72, /* an inner packet of 64 bytes, and headers */
	CHUNK_BYTES = 16384,
	SETTLE_ROUNDS = 20000, /* 2 s: handshake, MTU discovery, window */
	LINKS_MAX = 4,
};

enum stage { SEAL, WRITE, SEND, OPEN, READ, ACK, ACKED, STAGE_CNT };
static const char *const stage_names[STAGE_CNT] = {
	[SEAL] = "seal", [WRITE] = "write", [SEND] = "send",   [OPEN] = "open",
	[READ] = "read", [ACK] = "ack",	    [ACKED] = "acked",
};

struct wire {
	uint32_t head, tail;
	struct {
		uint64_t at_ns;
		struct qb_buf *b;
	} slot[WIRE_CAP];
};

struct end {
	struct qb_quic *q;
	struct qb_conn *conn;
	struct qb_counters counters;
	struct wire wire; /* what is on its way to this end */
};

struct bench {
	uint64_t now_ns;
	struct qb_depot depot;
	struct qb_pool pool;
	struct end end[2];
	uint32_t link_cnt;
	int64_t stream;
	uint64_t delivered, packets, wire_packets, wanted;
	bool is_streams;
	uint32_t payload_bytes; /* of a datagram */
	uint64_t stage_ns[STAGE_CNT];
};

static void die(const char *what)
{
	fprintf(stderr, "bench_core: %s\n", what);
	exit(1);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * QB_NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* ---- the wire ---- */

static struct qb_tuple tuple_of(int to, uint16_t link)
{
	struct qb_tuple t = {.link = link};
	struct qb_addr edge = {
		.family = 4, .port = (uint16_t)(1000 + link), .ip = {10, 0, (uint8_t)link, 2}};
	struct qb_addr hub = {.family = 4, .port = 443, .ip = {192, 0, 2, 1}};

	t.local = to == RECEIVER ? hub : edge;
	t.peer = to == RECEIVER ? edge : hub;
	return t;
}

static void transmit(struct bench *m, int to, struct qb_batch *batch)
{
	struct wire *w = &m->end[to].wire;

	for (uint32_t i = 0; i < batch->cnt; i++) {
		struct qb_buf *b = batch->buf[i];
		uint8_t ecn = b->tuple.ecn;

		if (w->tail - w->head == WIRE_CAP)
			die("the wire is full");
		b->tuple = tuple_of(to, b->tuple.link);
		b->tuple.ecn = ecn;
		w->slot[w->tail % WIRE_CAP].at_ns = m->now_ns + DELAY_NS;
		w->slot[w->tail++ % WIRE_CAP].b = b;
	}
	batch->cnt = 0;
}

static void arrive(struct bench *m, int to, struct qb_batch *batch)
{
	struct wire *w = &m->end[to].wire;

	batch->cnt = 0;
	while (w->head != w->tail && w->slot[w->head % WIRE_CAP].at_ns <= m->now_ns &&
	       !qb_batch_full(batch)) {
		struct qb_buf *b = w->slot[w->head++ % WIRE_CAP].b;

		b->rx_ns = m->now_ns;
		b->conn = NULL;
		qb_batch_add(batch, b);
	}
}

/* ---- stages ---- */

#define STAGE __attribute__((noinline))

/* seal_bundle sends the first of them in one packet. Returns how many these are. */
static uint32_t seal_bundle(struct bench *m, struct qb_buf **b, uint32_t cnt, uint8_t path,
			    struct qb_batch *out)
{
	struct qb_buf *bundle = qb_buf_get(&m->pool);

	if (!bundle)
		die("out of buffers");
	cnt = QB_MIN(cnt, (uint32_t)QB_BUNDLE_MAX);
	for (uint32_t i = 0; i < cnt; i++) {
		qb_bundle_add(bundle, b[i]);
		qb_buf_put(&m->pool, b[i]);
	}
	if (qb_conn_send_bundle(m->end[SENDER].conn, path, bundle, cnt, 0, m->now_ns))
		qb_buf_put(&m->pool, bundle);
	else
		qb_batch_add(out, bundle);
	return cnt;
}

STAGE static void stage_seal(struct bench *m, struct qb_batch *in, struct qb_batch *out)
{
	uint32_t i = 0;

	while (m->payload_bytes == SMALL_BYTES && i < in->cnt)
		i += seal_bundle(m, in->buf + i, in->cnt - i,
				 (uint8_t)(i / QB_BUNDLE_MAX % m->link_cnt), out);
	for (; i < in->cnt; i++) {
		struct qb_buf *b = in->buf[i];
		uint8_t path = (uint8_t)((m->packets + i) % m->link_cnt);

		if (qb_conn_send_datagram(m->end[SENDER].conn, path, b, i, m->now_ns))
			qb_buf_put(&m->pool, b);
		else
			qb_batch_add(out, b);
	}
	in->cnt = 0;
}

STAGE static void stage_write(struct bench *m, const uint8_t *data)
{
	if (qb_conn_stream_write(m->end[SENDER].conn, (uint64_t)m->stream, data, CHUNK_BYTES,
				 false) < 0)
		die("the stream cannot be written");
}

STAGE static bool stage_send(struct bench *m, struct qb_batch *out)
{
	return qb_quic_send(m->end[SENDER].q, out, m->now_ns);
}

STAGE static bool stage_ack(struct bench *m, struct qb_batch *out)
{
	return qb_quic_send(m->end[RECEIVER].q, out, m->now_ns);
}

STAGE static void stage_open(struct bench *m, struct qb_batch *in, struct qb_batch *out)
{
	qb_quic_recv(m->end[RECEIVER].q, in, out, m->now_ns);
}

STAGE static void stage_acked(struct bench *m, struct qb_batch *in, struct qb_batch *out)
{
	qb_quic_recv(m->end[SENDER].q, in, out, m->now_ns);
}

STAGE static int64_t stage_read(struct bench *m, uint8_t *data)
{
	bool is_fin;

	return qb_conn_stream_read(m->end[RECEIVER].conn, (uint64_t)m->stream, data, CHUNK_BYTES,
				   &is_fin, NULL);
}

/* ---- a round ---- */

static void take_events(struct bench *m, int side)
{
	struct end *e = &m->end[side];
	struct qb_quic_event ev;

	while (qb_quic_next_event(e->q, &ev)) {
		if (ev.type == QB_EV_CONN_NEW || ev.type == QB_EV_CONN_ESTABLISHED)
			e->conn = ev.conn;
		if (ev.type == QB_EV_CONN_CLOSED)
			die(qb_conn_reason(ev.conn));
	}
}

static void send_all(struct bench *m, int side)
{
	struct qb_batch out = {0};
	bool has_more;

	do {
		uint64_t from = cpu_ns();

		has_more = side == SENDER ? stage_send(m, &out) : stage_ack(m, &out);
		m->stage_ns[side == SENDER ? SEND : ACK] += cpu_ns() - from;
		if (side == SENDER)
			m->wire_packets += out.cnt;
		transmit(m, !side, &out);
	} while (has_more);
}

static void receive_all(struct bench *m, int side)
{
	struct qb_batch in, out = {0};

	for (arrive(m, side, &in); in.cnt; arrive(m, side, &in)) {
		while (in.cnt) {
			uint64_t from = cpu_ns();

			if (side == SENDER)
				stage_acked(m, &in, &out);
			else
				stage_open(m, &in, &out);
			m->stage_ns[side == SENDER ? ACKED : OPEN] += cpu_ns() - from;
			m->delivered += out.cnt;
			qb_batch_put(&m->pool, &out);
		}
	}
}

/* room is how many packets may leave now, all paths taking turns. */
static uint32_t room(const struct bench *m)
{
	uint64_t least = QB_BATCH_MAX;
	struct qb_path_info info;

	for (uint8_t path = 0; path < m->link_cnt; path++) {
		if (!qb_conn_path_info(m->end[SENDER].conn, path, m->now_ns, &info))
			return 0;
		least = qb_min_u64(least, info.budget_bytes / (m->payload_bytes + 100));
	}
	return (uint32_t)qb_min_u64(least * m->link_cnt, QB_BATCH_MAX);
}

static void offer_datagrams(struct bench *m)
{
	struct qb_batch in = {0}, out = {0};
	uint32_t cnt = room(m);
	uint64_t from;

	while (in.cnt < cnt) {
		struct qb_buf *b = qb_buf_get(&m->pool);

		if (!b)
			die("out of buffers");
		b->len = m->payload_bytes;
		qb_batch_add(&in, b);
	}
	from = cpu_ns();
	cnt = in.cnt;
	stage_seal(m, &in, &out);
	m->stage_ns[SEAL] += cpu_ns() - from;
	m->packets += m->payload_bytes == SMALL_BYTES ? cnt : out.cnt;
	m->wire_packets += out.cnt;
	transmit(m, RECEIVER, &out);
}

static void offer_stream(struct bench *m)
{
	static uint8_t data[CHUNK_BYTES];
	uint64_t from = cpu_ns();

	stage_write(m, data);
	m->stage_ns[WRITE] += cpu_ns() - from;
}

static void read_stream(struct bench *m)
{
	static uint8_t data[CHUNK_BYTES];
	int64_t n;

	do {
		uint64_t from = cpu_ns();

		n = stage_read(m, data);
		m->stage_ns[READ] += cpu_ns() - from;
		if (n > 0)
			m->delivered += (uint64_t)n;
	} while (n == CHUNK_BYTES);
}

static void round_trip(struct bench *m, bool is_offering)
{
	m->now_ns += STEP_NS;
	receive_all(m, SENDER);
	receive_all(m, RECEIVER);
	take_events(m, SENDER);
	take_events(m, RECEIVER);
	if (is_offering && m->is_streams)
		offer_stream(m);
	else if (is_offering)
		offer_datagrams(m);
	send_all(m, SENDER);
	if (is_offering && m->is_streams && m->end[RECEIVER].conn)
		read_stream(m);
	send_all(m, RECEIVER);
}

/* ---- set-up ---- */

static void start_end(struct bench *m, int side, struct qb_tls_ctx *tls)
{
	struct qb_quic_cfg cfg = {
		.is_server = side == RECEIVER,
		.limits = {.conns = 4,
			   .streams_per_conn = 16,
			   .sent_records = 65536,
			   .stream_chunks = 8192},
		.tls = tls,
		.cc = qb_cc_find("cubic"),
		.idle_timeout_ns = 30 * QB_NS_PER_SEC,
		.handshake_timeout_ns = 10 * QB_NS_PER_SEC,
		.max_path_id = LINKS_MAX,
		.retry = QB_RETRY_OFF,
		.max_udp_bytes = 1472,
		.counters = &m->end[side].counters,
		.pool = &m->pool,
	};
	size_t bytes = (qb_quic_footprint(&cfg.limits) + 63) & ~(size_t)63;

	memset(cfg.seed, 7 + side, sizeof(cfg.seed));
	m->end[side].q = qb_quic_init(aligned_alloc(64, bytes), &cfg, m->now_ns);
}

static void start(struct bench *m)
{
	char pem[2][512], err[QB_TLS_ERR_LEN] = "";
	uint8_t pub[2][QB_PUBKEY_LEN];
	struct qb_tuple t;

	m->now_ns = QB_NS_PER_SEC;
	qb_depot_init(&m->depot, aligned_alloc(4096, (size_t)FRAMES * QB_FRAME_BYTES),
		      calloc(FRAMES, sizeof(struct qb_buf)), FRAMES);
	qb_pool_init(&m->pool, &m->depot);
	for (int i = 0; i < 2; i++)
		if (qb_key_generate(pem[i], sizeof(pem[i])) || qb_key_public(pem[i], pub[i], err))
			die("no keys");
	for (int i = 0; i < 2; i++) {
		struct qb_tls_cfg tc = {.is_server = i == RECEIVER,
					.key_pem = pem[i],
					.name = "bench",
					.alpn = "h3",
					.peers = (const uint8_t(*)[QB_PUBKEY_LEN])pub[!i],
					.peer_cnt = 1};
		struct qb_tls_ctx *tls = qb_tls_ctx_new(&tc, err);

		if (!tls)
			die(err);
		start_end(m, i, tls);
	}
	t = tuple_of(SENDER, 0);
	qb_quic_connect(m->end[SENDER].q, &t, NULL, m->now_ns);
	for (uint32_t i = 0, open = 1; i < SETTLE_ROUNDS; i++) {
		round_trip(m, false);
		if (!m->end[SENDER].conn || !m->end[RECEIVER].conn || open == m->link_cnt)
			continue;
		t = tuple_of(SENDER, (uint16_t)open);
		open += qb_conn_open_path(m->end[SENDER].conn, &t, m->now_ns) >= 0;
	}
	if (!m->end[SENDER].conn || !m->end[RECEIVER].conn)
		die("no connection");
}

static void report(const struct bench *m)
{
	double per = (double)(m->is_streams ? m->wire_packets : m->packets), sum = 0;

	printf("%s, %u link%s, %.0f packets of ", m->is_streams ? "streams" : "datagrams",
	       m->link_cnt, m->link_cnt > 1 ? "s" : "", per);
	printf(m->is_streams ? "the path's size:\n" : "%u bytes payload:\n", m->payload_bytes);
	for (int i = 0; i < STAGE_CNT; i++) {
		if (m->stage_ns[i] == 0 || per == 0)
			continue;
		sum += (double)m->stage_ns[i] / per;
		printf("  %-6s %8.0f ns/packet\n", stage_names[i], (double)m->stage_ns[i] / per);
	}
	printf("  %-6s %8.0f ns/packet, %.2f s/GB\n", "all", sum, sum / m->payload_bytes);
}

STAGE static void measure(struct bench *m)
{
	for (uint64_t i = 0; (m->is_streams ? m->wire_packets : m->packets) < m->wanted; i++) {
		round_trip(m, true);
		if (i > 20 * m->wanted)
			die("it does not move");
	}
}

int main(int argc, char **argv)
{
	struct bench *m = calloc(1, sizeof(*m));

	if (argc < 2 || (strcmp(argv[1], "datagrams") && strcmp(argv[1], "small") &&
			 strcmp(argv[1], "streams"))) {
		fprintf(stderr, "usage: bench_core datagrams|small|streams [PACKETS] [LINKS]\n");
		return 2;
	}
	m->is_streams = !strcmp(argv[1], "streams");
	m->payload_bytes = strcmp(argv[1], "small") ? PAYLOAD_BYTES : SMALL_BYTES;
	m->wanted = argc > 2 ? strtoull(argv[2], NULL, 10) : 700000;
	m->link_cnt = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 2;
	if (m->link_cnt < 1 || m->link_cnt > LINKS_MAX)
		die("1 to 4 links");
	start(m);
	if (m->is_streams)
		m->stream = qb_conn_open_stream(m->end[SENDER].conn, true);
	for (uint32_t i = 0; i < 5000; i++) /* the window opens */
		round_trip(m, true);
	memset(m->stage_ns, 0, sizeof(m->stage_ns));
	m->packets = m->wire_packets = m->delivered = 0;
	measure(m);
	report(m);
	return 0;
}
