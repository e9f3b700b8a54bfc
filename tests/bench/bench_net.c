/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet I/O by UDP sockets and by io_uring, side by side: CPU nanoseconds a packet of one thread
 * that sends a batch over loopback and receives it. Bulk is one peer, so GSO and GRO join what they
 * can; mixed is a batch to as many peers as it has packets. One line a figure, for people.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "net/net.h"

enum { FRAMES = 8192, ROUNDS = 3000, REPEATS = 5, PACKET_BYTES = 1300, PORTS = 16 };

static struct qb_depot depot;
static struct qb_pool pool;

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * QB_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static struct qb_net *open_port(struct qb_net_if *xif)
{
	struct qb_net_cfg cfg = {.xif = xif, .worker_cnt = 1, .depot = &depot};
	struct qb_batch none = {0};
	char err[160];
	struct qb_net *n;

	if (qb_addr_parse("127.0.0.1", 0, &cfg.local) || qb_net_open(&cfg, &n, err)) {
		fprintf(stderr, "no port: %s\n", err);
		exit(1);
	}
	(void)qb_net_recv(n, &pool, &none,
			  0); /* a worker does so at once: io_uring asks for input then */
	return n;
}

/* Sends a batch, packet i to peer i modulo peer_cnt, and takes in all of it. */
static uint32_t round_trip(struct qb_net *from, struct qb_net *const *to, uint32_t peer_cnt,
			   uint32_t cnt)
{
	struct qb_batch tx = {0};
	uint32_t got = 0;

	for (uint32_t i = 0; i < cnt; i++) {
		struct qb_buf *b = qb_buf_get(&pool);

		b->len = PACKET_BYTES;
		memset(&b->tuple, 0, sizeof(b->tuple));
		qb_net_local(from, &b->tuple.local);
		qb_net_local(to[i % peer_cnt], &b->tuple.peer);
		qb_batch_add(&tx, b);
	}
	if (qb_net_send(from, &pool, &tx))
		exit(1);
	for (uint32_t k = 0; k < peer_cnt; k++) {
		struct pollfd p = {.events = POLLIN};
		struct qb_batch rx = {0};

		/* As a worker does: asleep until something is there, then until nothing is. */
		(void)qb_net_fds(to[k], &p.fd, 1);
		(void)poll(&p, 1, 1);
		while (qb_net_recv(to[k], &pool, &rx, 0)) {
			got += rx.cnt;
			qb_batch_put(&pool, &rx);
		}
	}
	return got;
}

/* The best of several: what the code costs, not what the neighbours do. */
static double measure(struct qb_net *from, struct qb_net *const *to, uint32_t peer_cnt,
		      uint32_t cnt)
{
	double best = 1e12;

	for (uint32_t r = 0; r < REPEATS; r++) {
		uint64_t got = 0, before = cpu_ns();

		for (uint32_t i = 0; i < ROUNDS; i++)
			got += round_trip(from, to, peer_cnt, cnt);
		if (got)
			best = QB_MIN(best, (double)(cpu_ns() - before) / (double)got);
	}
	return best;
}

static void run(enum qb_io_mode mode)
{
	struct qb_net_if_cfg cfg = {.ifname = "lo", .ifindex = 1, .mode = mode, .worker_cnt = 1};
	struct qb_net *from, *to[PORTS];
	struct qb_net_if *xif;

	if (qb_net_if_open(&cfg, &xif)) {
		printf("%-6s %s\n", qb_io_mode_name(mode), qb_net_if_reason(xif));
		return;
	}
	from = open_port(xif);
	for (uint32_t k = 0; k < PORTS; k++)
		to[k] = open_port(xif);
	printf("%-6s bulk %6.0f   mixed %6.0f   single %6.0f   ns a packet\n",
	       qb_io_mode_name(mode), measure(from, to, 1, QB_BATCH_MAX),
	       measure(from, to, PORTS, PORTS), measure(from, to, 1, 1));
	qb_net_close(from);
	for (uint32_t k = 0; k < PORTS; k++)
		qb_net_close(to[k]);
	qb_net_if_close(xif);
}

int main(void)
{
	qb_depot_init(&depot, aligned_alloc(4096, (size_t)FRAMES * QB_FRAME_BYTES),
		      calloc(FRAMES, sizeof(struct qb_buf)), FRAMES);
	qb_pool_init(&pool, &depot);
	run(QB_IO_UDP);
	run(QB_IO_URING);
	qb_pool_fini(&pool);
	free(depot.frames);
	free(depot.bufs);
	return 0;
}
