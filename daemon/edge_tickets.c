/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An edge's tickets as the bytes of a file. Its reader runs at start, on the main thread, over
 * whatever is there.
 *
 *     magic (8) | count (1) | count × { hub's key (32) | length (2) | bytes }
 */
#include "node.h"

#include <errno.h>

#include "wire/varint.h"

static const uint8_t magic[8] = {'q', 'b', 't', 'c', 'k', 't', 's', '1'};

size_t qb_edge_tickets_build(const struct qb_edge_tickets *ts, uint8_t out[QB_EDGE_TICKETS_BYTES])
{
	struct qb_wr w = qb_wr_init(out, QB_EDGE_TICKETS_BYTES);

	qb_wr_bytes(&w, magic, sizeof(magic));
	qb_wr_u8(&w, (uint8_t)ts->cnt);
	for (uint32_t i = 0; i < ts->cnt; i++) {
		qb_wr_bytes(&w, ts->t[i].hub_key, QB_PUBKEY_LEN);
		qb_wr_be16(&w, (uint16_t)ts->t[i].len);
		qb_wr_bytes(&w, ts->t[i].bytes, ts->t[i].len);
	}
	QB_BUG_ON(w.bad);
	return (size_t)(w.p - out);
}

int qb_edge_tickets_parse(struct qb_edge_tickets *ts, const uint8_t *p, size_t len)
{
	struct qb_rd r = qb_rd_init(p, len);
	const uint8_t *head = qb_rd_take(&r, sizeof(magic));
	uint32_t cnt = qb_rd_u8(&r);

	memset(ts, 0, sizeof(*ts));
	if (!head || memcmp(head, magic, sizeof(magic)) != 0 || cnt > QB_EDGE_TICKETS)
		return -EBADMSG;
	for (uint32_t i = 0; i < cnt; i++) {
		struct qb_edge_ticket *t = &ts->t[i];

		qb_rd_copy(&r, t->hub_key, QB_PUBKEY_LEN);
		t->len = qb_rd_be16(&r);
		r.bad |= t->len > sizeof(t->bytes);
		if (r.bad)
			break;
		qb_rd_copy(&r, t->bytes, t->len);
	}
	if (r.bad || qb_rd_left(&r)) {
		memset(ts, 0, sizeof(*ts));
		return -EBADMSG;
	}
	ts->cnt = cnt;
	return 0;
}
