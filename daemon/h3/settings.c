/* SPDX-License-Identifier: BSD-2-Clause */
/* SETTINGS, both ways. Called by control.c. */
#include "h3/settings.h"

#include <errno.h>

#include "h3/frames.h"
#include "h3/qpack.h"

enum {
	SETTING_QPACK_MAX_TABLE_CAPACITY = 0x01,
	SETTING_MAX_FIELD_SECTION_SIZE = 0x06,
	SETTING_QPACK_BLOCKED_STREAMS = 0x07,
	SETTING_ENABLE_CONNECT_PROTOCOL = 0x08,
	SETTING_H3_DATAGRAM = 0x33,
};

/*
 * Settings that a peer may send, for what they may be and to notice doubles. The limits on what
 * *we* send are not kept: our encoder uses no table and our sections have a few hundred bytes.
 */
static const struct {
	uint64_t id, max;
} known[] = {
	{SETTING_QPACK_MAX_TABLE_CAPACITY, QB_VARINT_MAX},
	{SETTING_MAX_FIELD_SECTION_SIZE, QB_VARINT_MAX},
	{SETTING_QPACK_BLOCKED_STREAMS, QB_VARINT_MAX},
	{SETTING_ENABLE_CONNECT_PROTOCOL, 1},
	{SETTING_H3_DATAGRAM, 1},
};

/* Left over from HTTP/2: RFC 9114 §7.2.4.1 */
static bool is_forbidden(uint64_t id)
{
	return id == 0x00 || (id >= 0x02 && id <= 0x05);
}

static int on_setting(struct qb_h3_settings_parser *p, uint64_t id, uint64_t value)
{
	if (is_forbidden(id))
		return -EBADMSG;
	for (size_t i = 0; i < QB_ARRAY_LEN(known); i++) {
		if (known[i].id != id)
			continue;
		if (p->seen & 1u << i || value > known[i].max)
			return -EBADMSG;
		p->seen |= 1u << i;
	}
	if (id == SETTING_ENABLE_CONNECT_PROTOCOL)
		p->settings.has_connect_protocol = value;
	else if (id == SETTING_H3_DATAGRAM)
		p->settings.has_datagrams = value;
	return 0;
}

int qb_h3_settings_feed(struct qb_h3_settings_parser *p, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		struct qb_rd pair;
		uint64_t id, value;

		p->pair[p->pair_len++] = data[i];
		pair = qb_rd_init(p->pair, p->pair_len);
		id = qb_rd_varint(&pair);
		value = qb_rd_varint(&pair);
		if (pair.bad)
			continue;
		p->pair_len = 0;
		if (on_setting(p, id, value) < 0)
			return -EBADMSG;
	}
	return 0;
}

static void put_setting(struct qb_wr *w, uint64_t id, uint64_t value)
{
	qb_wr_varint(w, id);
	qb_wr_varint(w, value);
}

void qb_h3_settings_build(struct qb_wr *w, bool is_server)
{
	uint8_t payload[64];
	struct qb_wr pw = qb_wr_init(payload, sizeof(payload));

	put_setting(&pw, SETTING_MAX_FIELD_SECTION_SIZE, QB_QPACK_SECTION_MAX);
	put_setting(&pw, SETTING_H3_DATAGRAM, 1);
	if (is_server)
		put_setting(&pw, SETTING_ENABLE_CONNECT_PROTOCOL, 1);
	put_setting(&pw, qb_h3_reserved(0x3ab), 0);
	qb_wr_varint(w, QB_H3_FRAME_SETTINGS);
	qb_wr_varint(w, (uint64_t)(pw.p - payload));
	qb_wr_bytes(w, payload, (size_t)(pw.p - payload));
}
