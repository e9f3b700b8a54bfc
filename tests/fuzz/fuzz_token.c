/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address validation tokens. Any bytes are no token of ours; one that we made, changed or cut somewhere, is none any more, and as
 * it was it gives back what went in.
 *
 *     | kind | what to change | how | odcid, or the bytes to be taken for a token
 */
#include "quic/token.h"

#include "tls/drbg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEAD = 3, NOW_S = 1000 };

static void check_ours(const struct qb_node_secret *secret, const struct qb_token_owner *owner, const uint8_t *data,
		       size_t len)
{
	const uint64_t now_ns = NOW_S * QB_NS_PER_SEC;
	struct qb_token in = {.is_retry = data[0] & 2}, out;
	uint8_t bytes[QB_TOKEN_MAX];
	struct qb_bytes token = {bytes, 0};
	struct qb_drbg rnd;

	qb_drbg_seed(&rnd, (const uint8_t[32]){0});
	if (in.is_retry) {
		in.odcid_len = (uint8_t)QB_MIN(len - HEAD, (size_t)QB_TOKEN_CID_MAX);
		memcpy(in.odcid, data + HEAD, in.odcid_len);
	}
	token.len = qb_token_build(secret, &rnd, owner, &in, now_ns, bytes);
	QB_BUG_ON(qb_token_check(secret, owner, token, now_ns, &out) != 0);
	QB_BUG_ON(out.is_retry != in.is_retry || out.odcid_len != in.odcid_len ||
		  memcmp(out.odcid, in.odcid, in.odcid_len) != 0);
	QB_BUG_ON(qb_token_check(secret, owner, token, now_ns + QB_TOKEN_NEW_LIFE_NS + 1, &out) == 0);
	if (data[2]) {
		bytes[data[1] % token.len] ^= data[2];
		/* The first byte's other bits are noise, but they are bound as well. */
		QB_BUG_ON(qb_token_check(secret, owner, token, now_ns, &out) == 0);
	} else {
		token.len = data[1] % token.len;
		QB_BUG_ON(qb_token_check(secret, owner, token, now_ns, &out) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct qb_node_secret secret = {0};
	const struct qb_addr peer = {.family = 4, .ip = {192, 0, 2, 1}, .port = 443};
	const struct qb_token_owner owner = {.peer = &peer, .version = 1, .cid = {(const uint8_t *)"12345678", 8}};
	struct qb_token out;

	if (len < HEAD)
		return 0;
	if (data[0] & 1)
		check_ours(&secret, &owner, data, len);
	else
		QB_BUG_ON(qb_token_check(&secret, &owner, (struct qb_bytes){data + HEAD, len - HEAD}, 0, &out) == 0);
	return 0;
}
