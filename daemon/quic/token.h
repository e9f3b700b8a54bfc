/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address validation tokens (RFC 9000 §8.1): they prove that the client receives at its address. A
 * Retry's is for the address and port, for the connection ID that the Retry gave, for seconds, and
 * carries the Destination Connection ID of the client's first Initial back to us, so that a server
 * keeps no state before. A NEW_TOKEN's is for another connection from the same address, for a day,
 * once. Both are for one version of QUIC.
 */
#pragma once

#include "base/addr.h"
#include "base/hash.h"
#include "quic/quic.h"
#include "tls/tls.h"
#include "wire/varint.h"

enum {
	QB_TOKEN_CID_MAX = 20,
	QB_TOKEN_MAX = 1 + 8 + 1 + QB_TOKEN_CID_MAX + 28,
	QB_TOKENS_SEEN = 1024,
};

#define QB_TOKEN_LIFE_NS     (10 * QB_NS_PER_SEC)
#define QB_TOKEN_NEW_LIFE_NS (24 * 3600 * QB_NS_PER_SEC)

struct qb_token {
	bool is_retry;
	uint8_t odcid_len; /* of a Retry's */
	uint8_t odcid[QB_TOKEN_CID_MAX];
};

/* Whom a token is for. */
struct qb_token_owner {
	const struct qb_addr *peer;
	uint32_t version;
	struct qb_bytes cid; /* that our Retry gives it, and that its Initial comes with */
};

size_t qb_token_build(const struct qb_node_secret *secret, struct qb_drbg *rnd,
		      const struct qb_token_owner *owner, const struct qb_token *in,
		      uint64_t now_ns, uint8_t out[QB_TOKEN_MAX]);
/* qb_token_check opens a token that came in an Initial. Returns 0, -EBADMSG (not one of ours), or
 * -ETIME (too old). */
int qb_token_check(const struct qb_node_secret *secret, const struct qb_token_owner *owner,
		   struct qb_bytes token, uint64_t now_ns, struct qb_token *out) QB_MUST_CHECK;

/* ---- a server's memory of tokens that were used ---- */

struct qb_tokens_seen {
	uint64_t tag[QB_TOKENS_SEEN]; /* by hash; newer ones push older ones out */
};

/* qb_tokens_seen_add returns false when the token was used before. */
bool qb_tokens_seen_add(struct qb_tokens_seen *s, const struct qb_hash_key *key,
			struct qb_bytes token);

/* ---- a client's tokens ---- */

struct qb_kept_token {
	uint64_t whose; /* hash of the server and of our address; 0: free */
	uint32_t version;
	uint16_t len;
	uint8_t bytes[QB_TOKEN_KEPT_MAX];
};

struct qb_tokens_kept {
	uint32_t next; /* slot to be used when all are taken */
	uint32_t change_cnt;
	struct qb_kept_token slot[QB_TOKENS_KEPT];
};

void qb_tokens_keep(struct qb_tokens_kept *s, uint64_t whose, uint32_t version,
		    struct qb_bytes token);
/* qb_tokens_take moves the newest token for that server out (each is used once). Returns its
 * length, 0: none. */
size_t qb_tokens_take(struct qb_tokens_kept *s, uint64_t whose, uint32_t version,
		      uint8_t out[QB_TOKEN_KEPT_MAX]);
/*
 * As the bytes of a file, for a restart: magic (8) | count (1) | count × { whose (8) | version (4) | length (2) | bytes }.
 * qb_tokens_build returns the length; qb_tokens_parse 0, or -EBADMSG and none are kept.
 */
size_t qb_tokens_build(const struct qb_tokens_kept *s, uint8_t out[QB_TOKENS_BYTES]);
int qb_tokens_parse(struct qb_tokens_kept *s, const uint8_t *p, size_t len) QB_MUST_CHECK;
