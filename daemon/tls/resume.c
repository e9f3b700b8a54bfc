/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Resumption of TLS sessions, and 0-RTT: what contexts need for it, a client's sessions as bytes,
 * and whom a resumed handshake identifies. Called by the handshake, on the worker that owns the
 * connection.
 */
#include "tls/internal.h"

#include <errno.h>

#include <openssl/err.h>
#include <openssl/mem.h>

/* BoringSSL does not tell its clock who asks: it is the handshake that runs on this thread. */
static _Thread_local const struct qb_tls_ctx *asking;

static void ssl_clock(const SSL *ssl, struct timeval *out)
{
	(void)ssl;
	out->tv_sec = (time_t)qb_tls_unix_s(asking);
	out->tv_usec = 0;
}

void qb_tls_note_asking(const struct qb_tls *t)
{
	asking = t->ctx;
}

void qb_tls_ctx_set_clock(struct qb_tls_ctx *ctx, uint64_t (*unix_s)(void *arg), void *arg)
{
	ctx->unix_s = unix_s;
	ctx->unix_arg = arg;
	SSL_CTX_set_current_time_cb(ctx->ssl_ctx, ssl_clock);
}

/* on_new_session keeps a client's session as bytes; the oldest gives way. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct qb_tls *t = SSL_get_app_data(ssl);
	struct qb_tls_session s;

	if (!SSL_SESSION_to_bytes(session, &s.bytes, &s.len)) {
		ERR_clear_error();
		return 0;
	}
	if (s.len > QB_TLS_SESSION_MAX || t->session_cnt == QB_TLS_SESSIONS_MAX) {
		OPENSSL_cleanse(s.bytes, s.len);
		OPENSSL_free(s.bytes);
		return 0;
	}
	t->sessions[t->session_cnt++] = s;
	return 0;
}

static bool set_server(struct qb_tls_ctx *ctx, const struct qb_tls_cfg *cfg)
{
	static const uint8_t id[] = "quicbond";
	SSL_CTX *s = ctx->ssl_ctx;

	SSL_CTX_set_session_cache_mode(s, SSL_SESS_CACHE_OFF);
	if (!cfg->tickets) {
		SSL_CTX_set_options(s, SSL_OP_NO_TICKET);
		return true;
	}
	SSL_CTX_set_ticket_aead_method(s, &qb_tls_ticket_method);
	SSL_CTX_set_session_psk_dhe_timeout(s, QB_TICKET_LIFE_S);
	/* The ticket has the key itself; a certificate would only make the first flight larger. */
	SSL_CTX_set_retain_only_sha256_of_client_certs(s, 1);
	SSL_CTX_set_early_data_enabled(s, cfg->is_early);
	return SSL_CTX_set_num_tickets(s, QB_TLS_TICKETS) &&
	       SSL_CTX_set_session_id_context(s, id, sizeof(id) - 1);
}

bool qb_tls_set_resumption(struct qb_tls_ctx *ctx, const struct qb_tls_cfg *cfg)
{
	SSL_CTX *s = ctx->ssl_ctx;

	if (cfg->is_server)
		return set_server(ctx, cfg);
	SSL_CTX_set_session_cache_mode(s, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(s, on_new_session);
	/* A session's server must be one that the list of today has. */
	SSL_CTX_set_reverify_on_resume(s, 1);
	return true;
}

int qb_tls_resume(struct qb_tls *t, const uint8_t *session, size_t len, bool is_early)
{
	SSL_SESSION *s = SSL_SESSION_from_bytes(session, len, t->ctx->ssl_ctx);
	int ok = s && SSL_set_session(t->ssl, s);

	SSL_SESSION_free(s);
	ERR_clear_error();
	if (!ok)
		return -EINVAL;
	SSL_set_early_data_enabled(t->ssl, is_early);
	return 0;
}

size_t qb_tls_take_session(struct qb_tls *t, uint8_t out[QB_TLS_SESSION_MAX])
{
	size_t len;

	if (!t->session_cnt)
		return 0;
	len = t->sessions[0].len;
	memcpy(out, t->sessions[0].bytes, len);
	OPENSSL_cleanse(t->sessions[0].bytes, len);
	OPENSSL_free(t->sessions[0].bytes);
	t->session_cnt--;
	memmove(&t->sessions[0], &t->sessions[1], t->session_cnt * sizeof(t->sessions[0]));
	return len;
}

bool qb_tls_has_session(const struct qb_tls *t)
{
	return t->session_cnt > 0;
}

void qb_tls_drop_sessions(struct qb_tls *t)
{
	for (uint32_t i = 0; i < t->session_cnt; i++) {
		OPENSSL_cleanse(t->sessions[i].bytes, t->sessions[i].len);
		OPENSSL_free(t->sessions[i].bytes);
	}
	t->session_cnt = 0;
}

int qb_tls_set_early_context(struct qb_tls *t, const uint8_t *context, size_t len)
{
	return SSL_set_quic_early_data_context(t->ssl, context, len) ? 0 : -EPROTO;
}

/* adopt: a server's client is whom its ticket names, for the handshake rests on that ticket's
 * secret. */
static void adopt(struct qb_tls *t)
{
	t->has_peer_key = t->ticket.has_key;
	memcpy(t->peer_key, t->ticket.key, QB_PUBKEY_LEN);
	t->peer_idx = t->ticket.peer_idx;
}

void qb_tls_note_early(struct qb_tls *t, bool is_rejected)
{
	if (is_rejected) {
		t->early = QB_TLS_EARLY_REJECTED;
		return;
	}
	t->is_resumed = SSL_session_reused(t->ssl);
	if (t->ctx->is_server && t->is_resumed)
		adopt(t);
	if (!t->is_complete)
		t->early = t->ctx->is_server ? QB_TLS_EARLY_ACCEPTED : QB_TLS_EARLY_OFFERED;
	else if (t->early == QB_TLS_EARLY_OFFERED)
		t->early = QB_TLS_EARLY_ACCEPTED;
	else if (t->wants_early && t->early == QB_TLS_EARLY_NONE)
		t->early = QB_TLS_EARLY_REJECTED;
}

enum qb_tls_early qb_tls_early(const struct qb_tls *t)
{
	/* The answer is known before the handshake is complete. */
	if (t->early == QB_TLS_EARLY_OFFERED && SSL_early_data_accepted(t->ssl))
		return QB_TLS_EARLY_ACCEPTED;
	return t->early;
}

bool qb_tls_is_resumed(const struct qb_tls *t)
{
	return t->ssl ? SSL_session_reused(t->ssl) : t->is_resumed;
}

bool qb_tls_is_replay(const struct qb_tls *t)
{
	return t->is_replay;
}
