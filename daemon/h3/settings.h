/* SPDX-License-Identifier: BSD-2-Clause */
/* The SETTINGS frame (RFC 9114 §7.2.4): an incremental parser of its payload, and ours. */
#pragma once

#include "wire/varint.h"

enum { QB_H3_SETTINGS_BYTES_MAX = 4096 }; /* of a peer's frame; more is no use to anybody */

struct qb_h3_settings {
	bool has_connect_protocol; /* ENABLE_CONNECT_PROTOCOL = 1 (RFC 9220) */
	bool has_datagrams;	   /* H3_DATAGRAM = 1 (RFC 9297 §2.1.1) */
};

struct qb_h3_settings_parser {
	struct qb_h3_settings settings;
	uint32_t seen; /* bit i: row i of the table of settings was there */
	uint8_t pair[16], pair_len;
};

/* qb_h3_settings_feed takes some of the payload. Returns 0 or -EBADMSG (H3_SETTINGS_ERROR). */
int qb_h3_settings_feed(struct qb_h3_settings_parser *p, const uint8_t *data,
			size_t len) QB_MUST_CHECK;
/* qb_h3_settings_is_whole: the payload may end here. */
static inline bool qb_h3_settings_is_whole(const struct qb_h3_settings_parser *p)
{
	return p->pair_len == 0;
}

/* qb_h3_settings_build writes our SETTINGS frame. */
void qb_h3_settings_build(struct qb_wr *w, bool is_server);
