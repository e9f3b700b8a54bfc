/* SPDX-License-Identifier: BSD-2-Clause */
/* Address validation tokens, made, checked, kept; called by accept.c, stateless.c, frames_rx.c and
 * conn_tx.c; kept over a restart through endpoint.c. */
#include "quic/token.h"

#include <errno.h>

enum {
	KIND_BIT = 0x01, /* of the first byte, whose other bits are noise: set in a NEW_TOKEN's */
	BODY_MAX = 8 + 1 + QB_TOKEN_CID_MAX,
	AD_MAX = 1 + 16 + 1 + 4 + 2 + QB_TOKEN_CID_MAX,
};

/* build_ad lists what the token is bound to, beginning with the byte that says which kind it is. */
static size_t build_ad(const struct qb_token_owner *o, uint8_t first, uint8_t ad[AD_MAX])
{
	struct qb_wr w = qb_wr_init(ad, AD_MAX);

	qb_wr_u8(&w, first);
	qb_wr_bytes(&w, o->peer->ip, sizeof(o->peer->ip));
	qb_wr_u8(&w, o->peer->family);
	qb_wr_be32(&w, o->version);
	if (!(first & KIND_BIT)) {
		qb_wr_be16(&w, o->peer->port);
		qb_wr_bytes(&w, o->cid.p, o->cid.len);
	}
	return (size_t)(w.p - ad);
}

size_t qb_token_build(const struct qb_node_secret *secret, struct qb_drbg *rnd,
		      const struct qb_token_owner *owner, const struct qb_token *in,
		      uint64_t now_ns, uint8_t out[QB_TOKEN_MAX])
{
	uint8_t ad[AD_MAX], body[BODY_MAX];
	size_t ad_len, body_len = 8;

	qb_drbg_bytes(rnd, out, 1);
	out[0] = (uint8_t)((out[0] & ~KIND_BIT) | (in->is_retry ? 0 : KIND_BIT));
	ad_len = build_ad(owner, out[0], ad);
	qb_store_be64(body, now_ns);
	if (in->is_retry) {
		body[8] = in->odcid_len;
		memcpy(body + 9, in->odcid, in->odcid_len);
		body_len = 9u + in->odcid_len;
	}
	return 1 + qb_token_seal(secret, rnd, ad, ad_len, body, body_len, out + 1);
}

static int parse_body(const uint8_t *body, size_t len, struct qb_token *out)
{
	if (!out->is_retry)
		return len == 8 ? 0 : -EBADMSG;
	if (len < 9 || body[8] > QB_TOKEN_CID_MAX || len != 9u + body[8])
		return -EBADMSG;
	out->odcid_len = body[8];
	memcpy(out->odcid, body + 9, out->odcid_len);
	return 0;
}

int qb_token_check(const struct qb_node_secret *secret, const struct qb_token_owner *owner,
		   struct qb_bytes token, uint64_t now_ns, struct qb_token *out)
{
	uint8_t ad[AD_MAX], body[BODY_MAX];
	uint64_t made_ns, life_ns;
	int len;

	*out = (struct qb_token){0};
	if (!token.len || token.len > QB_TOKEN_MAX || owner->cid.len > QB_TOKEN_CID_MAX)
		return -EBADMSG;
	out->is_retry = !(token.p[0] & KIND_BIT);
	len = qb_token_open(secret, ad, build_ad(owner, token.p[0], ad), token.p + 1, token.len - 1,
			    body, sizeof(body));
	if (len < 0 || parse_body(body, (size_t)len, out) < 0)
		return -EBADMSG;
	made_ns = qb_load_be64(body);
	life_ns = out->is_retry ? QB_TOKEN_LIFE_NS : QB_TOKEN_NEW_LIFE_NS;
	return made_ns > now_ns || now_ns - made_ns > life_ns ? -ETIME : 0;
}

bool qb_tokens_seen_add(struct qb_tokens_seen *s, const struct qb_hash_key *key,
			struct qb_bytes token)
{
	uint64_t hash = qb_siphash(key, token.p, token.len);
	uint64_t *slot = &s->tag[hash % QB_TOKENS_SEEN];

	if (*slot == hash)
		return false;
	*slot = hash;
	return true;
}

void qb_tokens_keep(struct qb_tokens_kept *s, uint64_t whose, uint32_t version,
		    struct qb_bytes token)
{
	struct qb_kept_token *slot = NULL;
	uint32_t i;

	if (token.len > QB_TOKEN_KEPT_MAX)
		return;
	for (i = 0; i < QB_TOKENS_KEPT; i++) {
		struct qb_kept_token *k = &s->slot[i];

		if (k->whose == whose && k->version == version) {
			slot = k;
			break;
		}
		if (!k->whose && !slot)
			slot = k;
	}
	if (!slot)
		slot = &s->slot[s->next++ % QB_TOKENS_KEPT];
	slot->whose = whose;
	slot->version = version;
	slot->len = (uint16_t)token.len;
	memcpy(slot->bytes, token.p, token.len);
	s->change_cnt++;
}

size_t qb_tokens_take(struct qb_tokens_kept *s, uint64_t whose, uint32_t version,
		      uint8_t out[QB_TOKEN_KEPT_MAX])
{
	uint32_t i;

	for (i = 0; i < QB_TOKENS_KEPT; i++) {
		struct qb_kept_token *k = &s->slot[i];

		if (k->whose != whose || k->version != version)
			continue;
		memcpy(out, k->bytes, k->len);
		k->whose = 0;
		s->change_cnt++;
		return k->len;
	}
	return 0;
}

/* ---- for a restart ---- */

static const uint8_t magic[8] = {'q', 'b', 't', 'o', 'k', 'e', 'n', '1'};

size_t qb_tokens_build(const struct qb_tokens_kept *s, uint8_t out[QB_TOKENS_BYTES])
{
	struct qb_wr w = qb_wr_init(out, QB_TOKENS_BYTES);
	uint8_t cnt = 0;

	qb_wr_bytes(&w, magic, sizeof(magic));
	qb_wr_u8(&w, 0);
	for (uint32_t i = 0; i < QB_TOKENS_KEPT; i++) {
		const struct qb_kept_token *k = &s->slot[i];

		if (!k->whose)
			continue;
		cnt++;
		qb_wr_be32(&w, (uint32_t)(k->whose >> 32));
		qb_wr_be32(&w, (uint32_t)k->whose);
		qb_wr_be32(&w, k->version);
		qb_wr_be16(&w, k->len);
		qb_wr_bytes(&w, k->bytes, k->len);
	}
	QB_BUG_ON(w.bad);
	out[sizeof(magic)] = cnt;
	return (size_t)(w.p - out);
}

int qb_tokens_parse(struct qb_tokens_kept *s, const uint8_t *p, size_t len)
{
	struct qb_rd r = qb_rd_init(p, len);
	const uint8_t *head = qb_rd_take(&r, sizeof(magic));
	uint32_t cnt = qb_rd_u8(&r), i = 0;

	memset(s, 0, sizeof(*s));
	if (!head || memcmp(head, magic, sizeof(magic)) != 0 || cnt > QB_TOKENS_KEPT)
		return -EBADMSG;
	for (; i < cnt; i++) {
		struct qb_kept_token *k = &s->slot[i];

		k->whose = (uint64_t)qb_rd_be32(&r) << 32;
		k->whose |= qb_rd_be32(&r);
		k->version = qb_rd_be32(&r);
		k->len = qb_rd_be16(&r);
		if (r.bad || !k->whose || !k->len || k->len > sizeof(k->bytes))
			break;
		qb_rd_copy(&r, k->bytes, k->len);
	}
	if (i == cnt && !r.bad && !qb_rd_left(&r))
		return 0;
	memset(s, 0, sizeof(*s));
	return -EBADMSG;
}
