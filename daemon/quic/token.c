/* SPDX-License-Identifier: BSD-2-Clause */
/* Retry tokens; called by accept.c. */
#include "quic/token.h"

#include <errno.h>

enum {
	TYPE_RETRY = 1,
	BODY_MAX = 1 + 8 + 1 + QB_TOKEN_CID_MAX,
	AD_MAX = 16 + 2 + 1 + QB_TOKEN_CID_MAX,
};

static size_t build_ad(const struct qb_addr *peer, const uint8_t *cid, size_t cid_len,
		       uint8_t ad[AD_MAX])
{
	memcpy(ad, peer->ip, 16);
	qb_store_be16(ad + 16, peer->port);
	ad[18] = peer->family;
	memcpy(ad + 19, cid, cid_len);
	return 19 + cid_len;
}

size_t qb_token_build(const struct qb_node_secret *secret, struct qb_drbg *rnd,
		      const struct qb_addr *peer, const uint8_t *rscid, size_t rscid_len,
		      const struct qb_token *in, uint64_t now_ns, uint8_t out[QB_TOKEN_MAX])
{
	uint8_t ad[AD_MAX], body[BODY_MAX];
	size_t ad_len = build_ad(peer, rscid, rscid_len, ad);

	body[0] = TYPE_RETRY;
	qb_store_be64(body + 1, now_ns);
	body[9] = in->odcid_len;
	memcpy(body + 10, in->odcid, in->odcid_len);
	return qb_token_seal(secret, rnd, ad, ad_len, body, 10u + in->odcid_len, out);
}

int qb_token_check(const struct qb_node_secret *secret, const struct qb_addr *peer,
		   const uint8_t *dcid, size_t dcid_len, const uint8_t *token, size_t token_len,
		   uint64_t now_ns, struct qb_token *out)
{
	uint8_t ad[AD_MAX], body[BODY_MAX];
	uint64_t made_ns;
	size_t ad_len;
	int len;

	if (dcid_len > QB_TOKEN_CID_MAX || token_len > QB_TOKEN_MAX)
		return -EBADMSG;
	ad_len = build_ad(peer, dcid, dcid_len, ad);
	len = qb_token_open(secret, ad, ad_len, token, token_len, body, sizeof(body));
	if (len < 10 || body[0] != TYPE_RETRY || body[9] > QB_TOKEN_CID_MAX || len != 10 + body[9])
		return -EBADMSG;
	made_ns = qb_load_be64(body + 1);
	if (made_ns > now_ns || now_ns - made_ns > QB_TOKEN_LIFE_NS)
		return -ETIME;
	out->odcid_len = body[9];
	memcpy(out->odcid, body + 10, out->odcid_len);
	return 0;
}
