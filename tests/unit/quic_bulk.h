/* SPDX-License-Identifier: BSD-2-Clause */
/* A bulk transfer over one stream between the ends of a quic_pair, byte for byte checked. */
#pragma once

#include "quic_pair.h"

struct bulk {
	int64_t id;
	int from;
	uint64_t total, written, read;
	bool is_done;
};

static uint8_t bulk_byte(uint64_t off)
{
	return (uint8_t)(off * 131 + (off >> 8));
}

static void bulk_write(struct pair *p, struct bulk *b)
{
	struct qb_conn *c = p->end[b->from].conn;
	uint8_t piece[4096];
	int64_t n;

	while (c && b->written < b->total) {
		size_t len = (size_t)QB_MIN(b->total - b->written, sizeof(piece)), i;

		for (i = 0; i < len; i++)
			piece[i] = bulk_byte(b->written + i);
		n = qb_conn_stream_write(c, (uint64_t)b->id, piece, len,
					 b->written + len == b->total);
		REQUIRE(n >= 0);
		b->written += (uint64_t)n;
		if ((size_t)n < len)
			return;
	}
}

static void bulk_read(struct pair *p, struct bulk *b)
{
	struct qb_conn *c = p->end[!b->from].conn;
	uint8_t piece[8192];
	bool is_fin = false;
	int64_t n, i;

	while (c && !is_fin) {
		n = qb_conn_stream_read(c, (uint64_t)b->id, piece, sizeof(piece), &is_fin, NULL);
		if (n <= 0 && !is_fin)
			return;
		for (i = 0; i < n && piece[i] == bulk_byte(b->read + (uint64_t)i); i++)
			;
		REQUIRE(i == n);
		b->read += (uint64_t)n;
	}
	if (is_fin) {
		ck_assert_uint_eq(b->read, b->total);
		b->is_done = true;
	}
}

static void bulk_on_event(struct pair *p, int side, const struct qb_quic_event *ev)
{
	struct bulk *b = p->user;

	if (ev->type == QB_EV_STREAM_READABLE && side != b->from &&
	    ev->stream_id == (uint64_t)b->id)
		bulk_read(p, b);
	if (ev->type == QB_EV_STREAM_WRITABLE && side == b->from)
		bulk_write(p, b);
}

static void PAIR_UNUSED bulk_start(struct pair *p, struct bulk *b, int from, uint64_t total)
{
	*b = (struct bulk){.from = from, .total = total};
	p->user = b;
	p->on_event = bulk_on_event;
	b->id = qb_conn_open_stream(p->end[from].conn, true);
	ck_assert_int_ge(b->id, 0);
	bulk_write(p, b);
}

static bool PAIR_UNUSED bulk_is_done(struct pair *p)
{
	return ((struct bulk *)p->user)->is_done;
}
