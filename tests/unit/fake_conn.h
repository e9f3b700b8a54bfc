/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stand-in for QUIC's streams: the qb_conn_stream_* functions over byte arrays in memory, for
 * tests of h3/ that need no packets. Included by one .c file of a program, whose definitions then
 * win over the library's.
 */
#pragma once

#include <errno.h>

#include "h3/h3.h"

enum { FAKE_STREAMS = 24, FAKE_BYTES = 16384, FAKE_NO_CODE = 0xdead };

struct fake_stream {
	bool is_used;
	uint64_t id;
	/* towards the code under test */
	uint8_t rx[FAKE_BYTES];
	size_t rx_len, rx_off;
	bool rx_fin, rx_reset;
	uint64_t rx_code;
	bool is_stop_sent; /* it said STOP_SENDING */
	uint8_t urgency;
	bool is_incremental;
	uint64_t stop_code;
	/* from it */
	uint8_t tx[FAKE_BYTES];
	size_t tx_len, tx_moved;
	bool tx_fin, tx_reset, tx_stopped, is_end_moved, is_stop_moved;
	uint64_t tx_code;
};

struct qb_conn {
	bool is_server;
	uint32_t open_bidi, open_uni, max_bidi, max_uni;
	size_t read_max, write_max; /* of one call */
	uint32_t max_datagram_bytes;
	bool is_failed;
	uint64_t fail_code;
	const char *fail_why;
	struct fake_stream streams[FAKE_STREAMS];
};

static void fake_init(struct qb_conn *c, bool is_server)
{
	for (int i = 0; i < FAKE_STREAMS; i++)
		c->streams[i].is_used = false;
	c->is_server = is_server;
	c->open_bidi = c->open_uni = 0;
	c->max_bidi = c->max_uni = 8;
	c->read_max = c->write_max = SIZE_MAX;
	c->max_datagram_bytes = 1400;
	c->is_failed = false;
	c->fail_code = FAKE_NO_CODE;
	c->fail_why = "";
}

static struct fake_stream *fake_find(struct qb_conn *c, uint64_t id)
{
	for (int i = 0; i < FAKE_STREAMS; i++) {
		if (c->streams[i].is_used && c->streams[i].id == id)
			return &c->streams[i];
	}
	return NULL;
}

static struct fake_stream *fake_get(struct qb_conn *c, uint64_t id)
{
	struct fake_stream *s = fake_find(c, id);

	for (int i = 0; !s && i < FAKE_STREAMS; i++) {
		if (c->streams[i].is_used)
			continue;
		s = &c->streams[i];
		s->is_used = true;
		s->id = id;
		s->rx_len = s->rx_off = s->tx_len = s->tx_moved = 0;
		s->rx_fin = s->rx_reset = s->is_stop_sent = false;
		s->tx_fin = s->tx_reset = s->tx_stopped = false;
		s->is_end_moved = s->is_stop_moved = false;
		s->urgency = 3;
		s->is_incremental = true;
		s->rx_code = s->tx_code = s->stop_code = FAKE_NO_CODE;
	}
	QB_BUG_ON(!s);
	return s;
}

int64_t qb_conn_open_stream(struct qb_conn *c, bool is_bidi)
{
	uint32_t *cnt = is_bidi ? &c->open_bidi : &c->open_uni;
	uint64_t id;

	if (*cnt >= (is_bidi ? c->max_bidi : c->max_uni))
		return -EAGAIN;
	id = 4u * (*cnt)++ + (is_bidi ? 0 : 2) + (c->is_server ? 1 : 0);
	(void)fake_get(c, id);
	return (int64_t)id;
}

int64_t qb_conn_stream_write(struct qb_conn *c, uint64_t id, const void *data, size_t len,
			     bool is_fin)
{
	struct fake_stream *s = fake_find(c, id);
	size_t n = s ? QB_MIN(len, QB_MIN(c->write_max, sizeof(s->tx) - s->tx_len)) : 0;

	if (!s)
		return -ENOENT;
	if (s->tx_reset || s->tx_fin || s->tx_stopped)
		return -EPIPE;
	if (n)
		memcpy(s->tx + s->tx_len, data, n);
	s->tx_len += n;
	s->tx_fin = is_fin && n == len;
	return (int64_t)n;
}

int64_t qb_conn_stream_read(struct qb_conn *c, uint64_t id, void *out, size_t cap, bool *is_fin,
			    uint64_t *error_code)
{
	struct fake_stream *s = fake_find(c, id);
	size_t n;

	if (!s)
		return -ENOENT;
	if (s->rx_reset) {
		if (error_code)
			*error_code = s->rx_code;
		return -ECONNRESET;
	}
	n = QB_MIN(s->rx_len - s->rx_off, QB_MIN(cap, c->read_max));
	memcpy(out, s->rx + s->rx_off, n);
	s->rx_off += n;
	*is_fin = s->rx_fin && s->rx_off == s->rx_len;
	return (int64_t)n;
}

int qb_conn_stream_reset(struct qb_conn *c, uint64_t id, uint64_t error_code)
{
	struct fake_stream *s = fake_find(c, id);

	if (!s)
		return -ENOENT;
	if (!s->tx_reset)
		s->tx_code = error_code;
	s->tx_reset = true;
	return 0;
}

int qb_conn_stream_priority(struct qb_conn *c, uint64_t id, uint8_t urgency, bool is_incremental)
{
	struct fake_stream *s = fake_find(c, id);

	if (!s)
		return -ENOENT;
	s->urgency = urgency;
	s->is_incremental = is_incremental;
	return 0;
}

int qb_conn_stream_stop(struct qb_conn *c, uint64_t id, uint64_t error_code)
{
	struct fake_stream *s = fake_find(c, id);

	if (!s)
		return -ENOENT;
	if (!s->is_stop_sent)
		s->stop_code = error_code;
	s->is_stop_sent = true;
	return 0;
}

void qb_conn_fail_app(struct qb_conn *c, uint64_t error_code, const char *why)
{
	QB_BUG_ON(c->is_failed); /* once is enough */
	c->is_failed = true;
	c->fail_code = error_code;
	c->fail_why = why;
}

void qb_conn_get_info(const struct qb_conn *c, struct qb_conn_info *out)
{
	*out = (struct qb_conn_info){
		.is_established = true,
		.max_datagram_bytes = c->max_datagram_bytes,
	};
}

/* ---- what the peer and the network do ---- */

static inline void fake_event(struct qb_conn *c, struct qb_h3 *h, enum qb_quic_event_type type,
			      uint64_t id, uint64_t code)
{
	struct qb_quic_event ev = {.type = type, .conn = c, .stream_id = id, .error_code = code};

	qb_h3_on_quic_event(h, &ev);
}

/* fake_rx lets bytes arrive on a stream. */
static inline void fake_rx(struct qb_conn *c, struct qb_h3 *h, uint64_t id, const void *data,
			   size_t len, bool is_fin)
{
	struct fake_stream *s = fake_get(c, id);

	len = QB_MIN(len, sizeof(s->rx) - s->rx_len);
	if (len)
		memcpy(s->rx + s->rx_len, data, len);
	s->rx_len += len;
	s->rx_fin |= is_fin;
	fake_event(c, h, QB_EV_STREAM_READABLE, id, 0);
}

static inline void fake_rx_reset(struct qb_conn *c, struct qb_h3 *h, uint64_t id, uint64_t code)
{
	struct fake_stream *s = fake_get(c, id);

	s->rx_reset = true;
	s->rx_code = code;
	fake_event(c, h, QB_EV_STREAM_READABLE, id, 0);
}

static inline void fake_rx_stop(struct qb_conn *c, struct qb_h3 *h, uint64_t id, uint64_t code)
{
	fake_get(c, id)->tx_stopped = true;
	fake_event(c, h, QB_EV_STREAM_STOPPED, id, code);
}

/* fake_move carries at most `chunk` bytes a stream from one end to the other; true when anything
 * moved. */
static inline bool fake_move(struct qb_conn *from, struct qb_conn *to, struct qb_h3 *to_h,
			     size_t chunk)
{
	bool is_moved = false;

	for (int i = 0; i < FAKE_STREAMS; i++) {
		struct fake_stream *s = &from->streams[i];
		size_t n;

		if (!s->is_used)
			continue;
		if (s->is_stop_sent && !s->is_stop_moved) {
			s->is_stop_moved = is_moved = true;
			fake_rx_stop(to, to_h, s->id, s->stop_code);
		}
		if (s->is_end_moved)
			continue;
		n = QB_MIN(chunk, s->tx_len - s->tx_moved);
		if (s->tx_reset) {
			s->is_end_moved = is_moved = true;
			fake_rx_reset(to, to_h, s->id, s->tx_code);
		} else if (n > 0 || s->tx_fin) {
			bool is_fin = s->tx_fin && n == s->tx_len - s->tx_moved;

			fake_rx(to, to_h, s->id, s->tx + s->tx_moved, n, is_fin);
			s->tx_moved += n;
			s->is_end_moved = is_fin;
			is_moved = true;
		}
	}
	return is_moved;
}
