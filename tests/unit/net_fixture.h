/* SPDX-License-Identifier: BSD-2-Clause */
/* Buffers and small helpers that the tests of packet I/O share. Included by one test each. */
#pragma once

#include <check.h>
#include <poll.h>
#include <stdlib.h>

#include "net/net.h"

enum { FIXTURE_FRAMES = 8192, FIXTURE_UMEM = 4096, WAIT_MS = 1000 };

struct fixture {
	struct qb_depot depot;
	struct qb_pool pool;
	struct qb_counters counters;
};

static inline void fixture_init(struct fixture *f)
{
	size_t bytes = (size_t)FIXTURE_FRAMES * QB_FRAME_BYTES_MAX;

	memset(f, 0, sizeof(*f));
	qb_depot_init(&f->depot, aligned_alloc(4096, bytes),
		      calloc(FIXTURE_FRAMES, sizeof(struct qb_buf)), FIXTURE_FRAMES);
	qb_depot_set_umem(&f->depot, FIXTURE_UMEM);
	qb_pool_init(&f->pool, &f->depot);
}

/* Every frame must have come home. */
static inline void fixture_fini(struct fixture *f)
{
	qb_pool_fini(&f->pool);
	ck_assert_uint_eq(f->depot.free_cnt, FIXTURE_FRAMES);
	ck_assert_uint_eq(f->depot.umem_free_cnt, f->depot.umem_cnt);
	free(f->depot.frames);
	free(f->depot.bufs);
}

static inline struct qb_addr addr_of(const char *text)
{
	struct qb_addr a;

	ck_assert_int_eq(qb_addr_parse(text, 0, &a), 0);
	return a;
}

/* What ports are opened on that name no interface; NULL: none. */
static struct qb_net_if *fixture_xif __attribute__((unused));

static inline struct qb_net *open_net(const struct qb_net_cfg *wanted)
{
	struct qb_net_cfg cfg = *wanted;
	char err[160];
	struct qb_net *n;
	int rc;

	if (cfg.xif == NULL)
		cfg.xif = fixture_xif;
	rc = qb_net_open(&cfg, &n, err);

	ck_assert_msg(rc == 0, "qb_net_open: %d %s", rc, err);
	return n;
}

/* A QUIC-like short header: 0x40, connection ID with the worker in its second byte, then a pattern.
 */
static inline struct qb_buf *make_packet(struct fixture *f, const struct qb_tuple *t, uint32_t len,
					 uint8_t worker, uint8_t mark)
{
	struct qb_buf *b = qb_buf_get(&f->pool);

	ck_assert_ptr_nonnull(b);
	memset(b->data, mark, len);
	b->data[0] = 0x40;
	if (len > 2)
		b->data[2] = worker;
	b->len = len;
	b->tuple = *t;
	return b;
}

static inline uint8_t mark_of(const struct qb_buf *b)
{
	return b->data[b->len - 1];
}

/* Receives until `want` datagrams are there, or nothing more comes for a second. */
static inline uint32_t recv_some(struct fixture *f, struct qb_net *n, struct qb_batch *out,
				 uint32_t want)
{
	struct pollfd p[16];
	int fds[16];
	uint32_t cnt = qb_net_fds(n, fds, 16);

	for (uint32_t i = 0; i < cnt; i++)
		p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	for (;;) {
		while (qb_net_recv(n, &f->pool, out) > 0 && out->cnt < want)
			;
		if (out->cnt >= want || poll(p, cnt, WAIT_MS) <= 0)
			return out->cnt;
	}
}
