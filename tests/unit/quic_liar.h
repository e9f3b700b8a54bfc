/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames that no honest endpoint sends, in packets that are real; for the tests of what peers may
 * do to each other. */
#pragma once

#include "quic/packet.h"
#include "quic_pair.h"

/* send_frames has a connection send one packet of a level on path 0 with the same frame so many
 * times, or as often as it fits. Returns how often. */
static uint32_t PAIR_UNUSED send_frames(struct pair *p, int side, struct qb_conn *c,
					enum qb_level level, const struct qb_frame *f, uint32_t cnt)
{
	struct qb_batch out = {0};
	struct qb_tx_dgram d;
	struct qb_tx_pkt *pkt;
	uint32_t n = 0;

	REQUIRE(qb_tx_open(&d, c, &c->path[0], 1200));
	pkt = qb_tx_begin(&d, level);
	REQUIRE(pkt);
	while (n < cnt && qb_tx_frame(pkt, f, NULL))
		n++;
	REQUIRE(n > 0);
	REQUIRE(qb_tx_close(&d, level == QB_LEVEL_INITIAL ? 1200 : 0, &out, p->now_ns) > 0);
	pair_transmit(p, side, &out.buf[0]->tuple, out.buf[0]->data, out.buf[0]->len);
	qb_batch_put(&p->end[side].pool, &out);
	return n;
}

/* send_frame: one 1-RTT packet with one frame, on the newest connection. */
static void PAIR_UNUSED send_frame(struct pair *p, int side, const struct qb_frame *f)
{
	send_frames(p, side, p->end[side].conn, QB_LEVEL_APP, f, 1);
}
