/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Retry tokens (RFC 9000 §8.1.2): they prove that the client receives at its address, and carry the Destination
 * Connection ID of its first Initial back to us, so that a server keeps no state before.
 */
#pragma once

#include "base/addr.h"
#include "tls/tls.h"

enum {
	QB_TOKEN_CID_MAX = 20,
	QB_TOKEN_MAX = 1 + 8 + 1 + QB_TOKEN_CID_MAX + 28,
};

#define QB_TOKEN_LIFE_NS (10 * QB_NS_PER_SEC)

struct qb_token {
	uint8_t odcid_len;
	uint8_t odcid[QB_TOKEN_CID_MAX];
};

/* qb_token_build makes a token bound to the client's address and to rscid, the ID that our Retry gives it. */
size_t qb_token_build(const struct qb_node_secret *secret, struct qb_drbg *rnd,
		      const struct qb_addr *peer, const uint8_t *rscid, size_t rscid_len,
		      const struct qb_token *in, uint64_t now_ns, uint8_t out[QB_TOKEN_MAX]);
/*
 * qb_token_check opens a token from an Initial with that Destination Connection ID. Returns 0, -EBADMSG (not one
 * of ours), or -ETIME (too old).
 */
int qb_token_check(const struct qb_node_secret *secret, const struct qb_addr *peer,
		   const uint8_t *dcid, size_t dcid_len, const uint8_t *token, size_t token_len,
		   uint64_t now_ns, struct qb_token *out) QB_MUST_CHECK;
