/* SPDX-License-Identifier: BSD-2-Clause */
/* One end of a TLS handshake hears what the other has said since: for tests that shake hands
 * without QUIC. */
#pragma once

#include <errno.h>

#include "tls/tls.h"

/* tls_feed: *fed is how much of each level `to` has got. Returns 1: something was new, 0: nothing,
 * -EPROTO: `to` refused. */
static inline int tls_feed(struct qb_tls *from, struct qb_tls *to, size_t fed[QB_LEVEL_CNT])
{
	int moved = 0;

	for (int level = 0; level < QB_LEVEL_CNT; level++) {
		const uint8_t *data;
		size_t len = qb_tls_output(from, (enum qb_level)level, &data);

		if (len == fed[level])
			continue;
		if (qb_tls_provide(to, (enum qb_level)level, data + fed[level], len - fed[level]) ||
		    qb_tls_advance(to))
			return -EPROTO;
		fed[level] = len;
		moved = 1;
	}
	return moved;
}
