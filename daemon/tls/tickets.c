/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Session tickets of a server: BoringSSL calls seal and open during handshakes, on any worker; keys
 * are rotated, loaded and saved by the main thread. A lock stands between them, which handshakes
 * take twice and packets never.
 *
 *     ticket:  key ID (8) | nonce (12) | AES-256-GCM-SIV of: flags | site's key (32) | made_s (8) |
 * tag (8) | TLS session bound to: key ID, version of QUIC (RFC 9369 §5: a ticket is for the version
 * that it was given in)
 */
#include "tls/internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

enum {
	KEY_ID_LEN = 8,
	KEY_LEN = 32,
	WIRE_OVERHEAD = KEY_ID_LEN + QB_TLS_NONCE_LEN + QB_AEAD_TAG_LEN,
	HEAD_LEN = 1 + QB_PUBKEY_LEN + 8 + 8, /* of the plaintext */
	OVERHEAD = WIRE_OVERHEAD + HEAD_LEN,
	FLAG_HAS_KEY = 1,
	CLOCK_SLACK_S = 60, /* a saved key may seem to be so much from the future */
};

static const char file_magic[8] = {'q', 'b', 't', 'k', 'e', 'y', 's', '1'};

struct ticket_key {
	uint64_t made_s; /* 0: none */
	uint8_t id[KEY_ID_LEN];
	uint8_t key[KEY_LEN];
};

struct qb_tickets {
	pthread_mutex_t lock;
	struct ticket_key key[QB_TICKET_KEYS]; /* the newest first */
	struct qb_strikes *strikes;
	struct qb_strikes *own_strikes; /* owned */
	uint64_t distrust_s;		/* tickets from before it ... */
	uint64_t distrust_until_s;	/* ... are ignored until then */
};

/* ---- tickets that were used ---- */

enum qb_strike_result qb_strikes_add(struct qb_strikes *s, uint64_t tag, uint64_t now_s)
{
	struct qb_strike *way = s->slot[tag % QB_STRIKE_BUCKETS], *oldest = way;

	if (tag == 0)
		tag = 1;
	for (uint32_t i = 0; i < QB_STRIKE_WAYS; i++) {
		if (way[i].tag == tag)
			return QB_STRIKE_AGAIN;
		if (way[i].used_s < oldest->used_s)
			oldest = &way[i];
	}
	/* A clock that was set back makes entries look young: that costs round trips, not safety.
	 */
	if (oldest->tag && now_s < oldest->used_s + QB_STRIKE_KEEP_S)
		return QB_STRIKE_FULL;
	*oldest = (struct qb_strike){.tag = tag, .used_s = now_s};
	return QB_STRIKE_NEW;
}

/* ---- keys ---- */

static void make_key(struct ticket_key *k, uint64_t now_s)
{
	k->made_s = now_s ? now_s : 1;
	RAND_bytes(k->id, sizeof(k->id));
	RAND_bytes(k->key, sizeof(k->key));
}

struct qb_tickets *qb_tickets_new(struct qb_strikes *strikes, uint64_t now_s)
{
	struct qb_tickets *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	if (!strikes)
		strikes = t->own_strikes = calloc(1, sizeof(*strikes));
	if (!strikes) {
		free(t);
		return NULL;
	}
	pthread_mutex_init(&t->lock, NULL);
	t->strikes = strikes;
	make_key(&t->key[0], now_s);
	return t;
}

void qb_tickets_free(struct qb_tickets *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	OPENSSL_cleanse(t->key, sizeof(t->key));
	free(t->own_strikes);
	free(t);
}

/* is_alive: a ticket that the key has sealed may be good still. */
static bool is_alive(const struct ticket_key *k, uint64_t now_s)
{
	return k->made_s && k->made_s <= now_s + CLOCK_SLACK_S &&
	       now_s < k->made_s + QB_TICKET_KEY_LIFE_S + QB_TICKET_LIFE_S;
}

bool qb_tickets_rotate(struct qb_tickets *t, uint64_t now_s)
{
	bool is_changed = false;

	pthread_mutex_lock(&t->lock);
	for (uint32_t i = 0; i < QB_TICKET_KEYS; i++) {
		if (t->key[i].made_s && !is_alive(&t->key[i], now_s)) {
			OPENSSL_cleanse(&t->key[i], sizeof(t->key[i]));
			is_changed = true;
		}
	}
	if (!t->key[0].made_s || now_s >= t->key[0].made_s + QB_TICKET_KEY_LIFE_S) {
		memmove(&t->key[1], &t->key[0], sizeof(t->key) - sizeof(t->key[0]));
		make_key(&t->key[0], now_s);
		is_changed = true;
	}
	pthread_mutex_unlock(&t->lock);
	return is_changed;
}

void qb_tickets_distrust(struct qb_tickets *t, uint64_t start_s)
{
	t->distrust_s = start_s;
	t->distrust_until_s = start_s + QB_STRIKE_KEEP_S;
}

void qb_tickets_save(struct qb_tickets *t, uint8_t out[QB_TICKET_KEYS_BYTES])
{
	uint8_t *p = out;

	memcpy(p, file_magic, sizeof(file_magic));
	p += sizeof(file_magic);
	pthread_mutex_lock(&t->lock);
	for (uint32_t i = 0; i < QB_TICKET_KEYS; i++) {
		qb_store_be64(p, t->key[i].made_s);
		memcpy(p + 8, t->key[i].id, KEY_ID_LEN);
		memcpy(p + 8 + KEY_ID_LEN, t->key[i].key, KEY_LEN);
		p += 8 + KEY_ID_LEN + KEY_LEN;
	}
	pthread_mutex_unlock(&t->lock);
	SHA256(out, (size_t)(p - out), p);
}

int qb_tickets_load(struct qb_tickets *t, const uint8_t *bytes, size_t len, uint64_t now_s)
{
	const uint8_t *p = bytes + sizeof(file_magic);
	uint8_t sum[SHA256_DIGEST_LENGTH];
	uint32_t cnt = 0;

	if (len != QB_TICKET_KEYS_BYTES || memcmp(bytes, file_magic, sizeof(file_magic)) != 0)
		return -EBADMSG;
	SHA256(bytes, QB_TICKET_KEYS_BYTES - sizeof(sum), sum);
	if (CRYPTO_memcmp(sum, bytes + QB_TICKET_KEYS_BYTES - sizeof(sum), sizeof(sum)) != 0)
		return -EBADMSG;
	pthread_mutex_lock(&t->lock);
	for (uint32_t i = 0; i < QB_TICKET_KEYS; i++, p += 8 + KEY_ID_LEN + KEY_LEN) {
		struct ticket_key k = {.made_s = qb_load_be64(p)};

		memcpy(k.id, p + 8, KEY_ID_LEN);
		memcpy(k.key, p + 8 + KEY_ID_LEN, KEY_LEN);
		if (is_alive(&k, now_s))
			t->key[cnt++] = k;
		OPENSSL_cleanse(&k, sizeof(k));
	}
	pthread_mutex_unlock(&t->lock);
	/* With no key left of those, the one that we began with goes on. */
	(void)qb_tickets_rotate(t, now_s);
	return 0;
}

/* ---- seal and open ---- */

static void init_aead(EVP_AEAD_CTX *aead, const struct ticket_key *k)
{
	EVP_AEAD_CTX_zero(aead);
	QB_BUG_ON(!EVP_AEAD_CTX_init(aead, EVP_aead_aes_256_gcm_siv(), k->key, sizeof(k->key),
				     QB_AEAD_TAG_LEN, NULL));
}

static void build_ad(const struct qb_tls *t, const uint8_t id[KEY_ID_LEN],
		     uint8_t ad[KEY_ID_LEN + 4])
{
	memcpy(ad, id, KEY_ID_LEN);
	qb_store_be32(ad + KEY_ID_LEN, t->version);
}

static size_t max_overhead(SSL *ssl)
{
	(void)ssl;
	return OVERHEAD;
}

/* build_head names the client: by the certificate that it showed, or by the ticket that it came
 * with. */
static void build_head(const struct qb_tls *t, uint8_t head[HEAD_LEN])
{
	bool is_resumed = SSL_session_reused(t->ssl);
	bool has_key = is_resumed ? t->ticket.has_key : t->has_peer_key;

	memset(head, 0, HEAD_LEN);
	head[0] = has_key ? FLAG_HAS_KEY : 0;
	if (has_key)
		memcpy(head + 1, is_resumed ? t->ticket.key : t->peer_key, QB_PUBKEY_LEN);
	qb_store_be64(head + 1 + QB_PUBKEY_LEN, qb_tls_unix_s(t->ctx));
	RAND_bytes(head + 1 + QB_PUBKEY_LEN + 8, 8);
}

static int seal(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out_len, const uint8_t *in,
		size_t in_len)
{
	const struct qb_tls *t = SSL_get_app_data(ssl);
	struct qb_tickets *tk = t->ctx->tickets;
	uint8_t ad[KEY_ID_LEN + 4], *nonce = out + KEY_ID_LEN, *body = nonce + QB_TLS_NONCE_LEN;
	struct ticket_key k;
	EVP_AEAD_CTX aead;
	size_t len;
	int ok;

	if (max_out_len < in_len + OVERHEAD)
		return 0;
	pthread_mutex_lock(&tk->lock);
	k = tk->key[0];
	pthread_mutex_unlock(&tk->lock);
	memmove(body + HEAD_LEN, in, in_len);
	memcpy(out, k.id, KEY_ID_LEN);
	RAND_bytes(nonce, QB_TLS_NONCE_LEN);
	build_head(t, body);
	build_ad(t, k.id, ad);
	init_aead(&aead, &k);
	ok = EVP_AEAD_CTX_seal(&aead, body, &len, max_out_len - (size_t)(body - out), nonce,
			       QB_TLS_NONCE_LEN, body, HEAD_LEN + in_len, ad, sizeof(ad));
	EVP_AEAD_CTX_cleanup(&aead);
	OPENSSL_cleanse(&k, sizeof(k));
	*out_len = (size_t)(body - out) + len;
	return ok;
}

static bool find_key(struct qb_tickets *tk, const uint8_t id[KEY_ID_LEN], uint64_t now_s,
		     struct ticket_key *out)
{
	bool is_found = false;

	pthread_mutex_lock(&tk->lock);
	for (uint32_t i = 0; i < QB_TICKET_KEYS && !is_found; i++) {
		if (!is_alive(&tk->key[i], now_s) || memcmp(tk->key[i].id, id, KEY_ID_LEN) != 0)
			continue;
		*out = tk->key[i];
		is_found = true;
	}
	pthread_mutex_unlock(&tk->lock);
	return is_found;
}

static int decrypt(const struct qb_tls *t, uint8_t *out, size_t cap, const uint8_t *in,
		   size_t in_len, size_t *len)
{
	uint8_t ad[KEY_ID_LEN + 4];
	struct ticket_key k;
	EVP_AEAD_CTX aead;
	int ok;

	if (in_len < OVERHEAD || !find_key(t->ctx->tickets, in, qb_tls_unix_s(t->ctx), &k))
		return -EBADMSG;
	build_ad(t, k.id, ad);
	init_aead(&aead, &k);
	ok = EVP_AEAD_CTX_open(&aead, out, len, cap, in + KEY_ID_LEN, QB_TLS_NONCE_LEN,
			       in + KEY_ID_LEN + QB_TLS_NONCE_LEN,
			       in_len - KEY_ID_LEN - QB_TLS_NONCE_LEN, ad, sizeof(ad));
	EVP_AEAD_CTX_cleanup(&aead);
	OPENSSL_cleanse(&k, sizeof(k));
	ERR_clear_error();
	return ok && *len >= HEAD_LEN ? 0 : -EBADMSG;
}

/*
 * judge decides about a ticket of ours. It is used up by this even if the handshake fails: who
 * shows it to us has seen it, and the one that it was made for loses no more than a round trip.
 */
static bool judge(struct qb_tls *t, const uint8_t head[HEAD_LEN])
{
	struct qb_tickets *tk = t->ctx->tickets;
	uint64_t made_s = qb_load_be64(head + 1 + QB_PUBKEY_LEN), now_s = qb_tls_unix_s(t->ctx);
	uint64_t tag = qb_load_be64(head + 1 + QB_PUBKEY_LEN + 8);
	enum qb_strike_result strike;

	t->ticket.has_key = head[0] & FLAG_HAS_KEY;
	memcpy(t->ticket.key, head + 1, QB_PUBKEY_LEN);
	t->ticket.peer_idx = t->ticket.has_key ? qb_tls_peer_find(t->ctx, t->ticket.key) : -1;
	/* Who is not listed any more shows his key again, and is refused by it. */
	if (t->ticket.peer_idx < 0 && (t->ticket.has_key || !t->ctx->is_peer_optional))
		return false;
	pthread_mutex_lock(&tk->lock);
	strike = qb_strikes_add(tk->strikes, tag, now_s);
	pthread_mutex_unlock(&tk->lock);
	t->is_replay = strike == QB_STRIKE_AGAIN;
	/*
	 * Resumption alone would be safe even then, but takes as many round trips as a full
	 * handshake, and what BoringSSL gives out on a connection without 0-RTT is never good for
	 * 0-RTT.
	 */
	return strike == QB_STRIKE_NEW &&
	       (made_s >= tk->distrust_s || now_s >= tk->distrust_until_s);
}

static enum ssl_ticket_aead_result_t open_ticket(SSL *ssl, uint8_t *out, size_t *out_len,
						 size_t max_out_len, const uint8_t *in,
						 size_t in_len)
{
	struct qb_tls *t = SSL_get_app_data(ssl);
	size_t len;

	if (decrypt(t, out, max_out_len, in, in_len, &len) < 0 || !judge(t, out))
		return ssl_ticket_aead_ignore_ticket;
	*out_len = len - HEAD_LEN;
	memmove(out, out + HEAD_LEN, *out_len);
	return ssl_ticket_aead_success;
}

const SSL_TICKET_AEAD_METHOD qb_tls_ticket_method = {
	.max_overhead = max_overhead,
	.seal = seal,
	.open = open_ticket,
};

uint64_t qb_tls_unix_s(const struct qb_tls_ctx *ctx)
{
	return ctx->unix_s ? ctx->unix_s(ctx->unix_arg) : (uint64_t)time(NULL);
}
