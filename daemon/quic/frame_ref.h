/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a sent packet remembers of a frame: enough to send its content again, or to know that it
 * arrived. The module that wrote the frame gets the reference back when the packet is acknowledged
 * or lost.
 */
#pragma once

#include "base/base.h"

enum qb_ref_kind {
	QB_REF_NONE,
	/* quic/streams; `id` is the stream where there is one, `off` the limit for MAX_* and
	 *_BLOCKED */
	QB_REF_STREAM, /* id, off, len, is_fin */
	QB_REF_RESET_STREAM,
	QB_REF_STOP_SENDING,
	QB_REF_MAX_DATA,
	QB_REF_MAX_STREAM_DATA,
	QB_REF_MAX_STREAMS_BIDI,
	QB_REF_MAX_STREAMS_UNI,
	QB_REF_DATA_BLOCKED,
	QB_REF_STREAM_DATA_BLOCKED,
	QB_REF_STREAMS_BLOCKED_BIDI,
	QB_REF_STREAMS_BLOCKED_UNI,
	QB_REF_STREAMS_LAST = QB_REF_STREAMS_BLOCKED_UNI,
	/* the connection's own: CRYPTO, NEW_CONNECTION_ID, HANDSHAKE_DONE, PATH_* ... */
	QB_REF_CONN_FIRST = 32,
};

struct qb_frame_ref {
	uint8_t kind; /* enum qb_ref_kind, or the connection's from QB_REF_CONN_FIRST on */
	bool is_fin;
	uint32_t len;
	uint64_t id;
	uint64_t off;
};
