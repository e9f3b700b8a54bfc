/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One TLS handshake over QUIC's CRYPTO streams. quic/ hands in received bytes, advances, and takes
 * out bytes to send and keys; BoringSSL calls the hooks of SSL_QUIC_METHOD meanwhile, which only
 * store. Runs on the worker that owns the connection.
 */
#include "tls/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pool.h>

_Static_assert((int)QB_LEVEL_INITIAL == (int)ssl_encryption_initial, "levels");
_Static_assert((int)QB_LEVEL_EARLY == (int)ssl_encryption_early_data, "levels");
_Static_assert((int)QB_LEVEL_HANDSHAKE == (int)ssl_encryption_handshake, "levels");
_Static_assert((int)QB_LEVEL_APP == (int)ssl_encryption_application, "levels");

enum {
	OUT_CAP_MIN = 1024,
	SNI_MAX = 255,
};

/* ---- hooks ---- */

static bool suite_of(const SSL_CIPHER *cipher, enum qb_suite *suite)
{
	switch (SSL_CIPHER_get_protocol_id(cipher)) {
	case 0x1301:
		*suite = QB_SUITE_AES128GCM;
		return true;
	case 0x1302:
		*suite = QB_SUITE_AES256GCM;
		return true;
	case 0x1303:
		*suite = QB_SUITE_CHACHA20;
		return true;
	default:
		return false;
	}
}

static int set_secret(SSL *ssl, enum ssl_encryption_level_t level, const SSL_CIPHER *cipher,
		      const uint8_t *secret, size_t secret_len, bool is_tx)
{
	struct qb_tls *t = SSL_get_app_data(ssl);
	struct qb_keys **slot = &t->keys[level][is_tx];

	if (!suite_of(cipher, &t->suite))
		return 0;
	qb_keys_free(*slot);
	*slot = qb_keys_new(t->version, t->suite, secret, secret_len);
	return *slot != NULL;
}

static int set_read_secret(SSL *ssl, enum ssl_encryption_level_t level, const SSL_CIPHER *cipher,
			   const uint8_t *secret, size_t secret_len)
{
	return set_secret(ssl, level, cipher, secret, secret_len, false);
}

static int set_write_secret(SSL *ssl, enum ssl_encryption_level_t level, const SSL_CIPHER *cipher,
			    const uint8_t *secret, size_t secret_len)
{
	return set_secret(ssl, level, cipher, secret, secret_len, true);
}

static int add_handshake_data(SSL *ssl, enum ssl_encryption_level_t level, const uint8_t *data,
			      size_t len)
{
	struct qb_tls *t = SSL_get_app_data(ssl);
	struct qb_tls_out *o = &t->out[level];

	if (o->is_dropped)
		return 1;
	if (len > o->cap - o->len) {
		size_t cap = QB_MAX(o->cap * 2, QB_MAX(o->len + len, (size_t)OUT_CAP_MIN));
		uint8_t *p = realloc(o->data, cap);

		if (!p)
			return 0;
		o->data = p;
		o->cap = cap;
	}
	memcpy(o->data + o->len, data, len);
	o->len += len;
	return 1;
}

static int flush_flight(SSL *ssl)
{
	(void)ssl;
	return 1;
}

static int send_alert(SSL *ssl, enum ssl_encryption_level_t level, uint8_t alert)
{
	struct qb_tls *t = SSL_get_app_data(ssl);

	(void)level;
	t->alert = alert;
	return 1;
}

const SSL_QUIC_METHOD qb_tls_quic_method = {
	.set_read_secret = set_read_secret,
	.set_write_secret = set_write_secret,
	.add_handshake_data = add_handshake_data,
	.flush_flight = flush_flight,
	.send_alert = send_alert,
};

/* A server must not ask who the client is once the handshake is over (RFC 9001 §4.4); BoringSSL only says "unexpected". */
static void on_message(int is_write, int version, int type, const void *data, size_t len, SSL *ssl, void *arg)
{
	struct qb_tls *t = SSL_get_app_data(ssl);

	(void)version;
	(void)arg;
	if (!is_write && type == SSL3_RT_HANDSHAKE && len && t->is_complete &&
	    *(const uint8_t *)data == SSL3_MT_CERTIFICATE_REQUEST)
		t->fault = QB_TLS_FAULT_RULES;
}

/* Looks at every entry, so that time does not tell which one it was. */
int qb_tls_peer_find(const struct qb_tls_ctx *ctx, const uint8_t key[QB_PUBKEY_LEN])
{
	int found = -1;

	for (uint32_t i = 0; i < ctx->peer_cnt; i++)
		if (qb_ct_eq(ctx->peers[i], key, QB_PUBKEY_LEN))
			found = (int)i;
	return found;
}

enum ssl_verify_result_t qb_tls_verify_peer(SSL *ssl, uint8_t *alert)
{
	struct qb_tls *t = SSL_get_app_data(ssl);
	const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(ssl);
	const CRYPTO_BUFFER *leaf = chain ? sk_CRYPTO_BUFFER_value(chain, 0) : NULL;

	if (!leaf ||
	    qb_tls_cert_key(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf), t->peer_key) != 0) {
		t->verify_err = "the peer's certificate holds no Ed25519 key";
		*alert = SSL_AD_BAD_CERTIFICATE;
		return ssl_verify_invalid;
	}
	t->has_peer_key = true;
	t->peer_idx = qb_tls_peer_find(t->ctx, t->peer_key);
	if (t->peer_idx < 0) {
		t->verify_err = "the peer's public key is not listed";
		*alert = SSL_AD_CERTIFICATE_UNKNOWN;
		return ssl_verify_invalid;
	}
	return ssl_verify_ok;
}

/*
 * A server decides about versions and answers transport parameters when it knows the client's: the handshake pauses
 * here until it has.
 */
enum ssl_select_cert_result_t qb_tls_on_hello(const SSL_CLIENT_HELLO *hello)
{
	struct qb_tls *t = SSL_get_app_data(hello->ssl);
	const uint8_t *p;
	size_t len;

	t->wants_early |= SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_early_data, &p, &len);
	if (!t->has_params && !t->hello_params &&
	    SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_quic_transport_parameters, &p, &len)) {
		t->hello_params = malloc(len + 1);
		if (!t->hello_params)
			return ssl_select_cert_error;
		memcpy(t->hello_params, p, len);
		t->hello_params_len = len;
		t->wants_params = true;
	}
	/* Without the extension there is nothing to wait for: BoringSSL refuses the hello. */
	if (t->wants_params)
		return ssl_select_cert_retry;
	return t->ctx->cert.cnt ? qb_tls_select_cert(hello) : ssl_select_cert_success;
}

/* ---- life ---- */

/* RFC 6066 §3: a DNS name, no IP address. A name whose last label is a number is an address. */
static bool is_sni(const char *name)
{
	size_t len = strlen(name);
	const char *last = strrchr(name, '.');

	last = last ? last + 1 : name;
	return len > 0 && len <= SNI_MAX && last[strspn(last, "0123456789")] != '\0' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		       len;
}

static bool set_side(struct qb_tls *t, const char *server_name)
{
	const char *name = server_name ? server_name : t->ctx->name;

	if (t->ctx->is_server) {
		SSL_set_accept_state(t->ssl);
		return true;
	}
	SSL_set_connect_state(t->ssl);
	t->server_name = strdup(name);
	if (!t->server_name || !qb_tls_use_named(t))
		return false;
	return !is_sni(name) || SSL_set_tlsext_host_name(t->ssl, name);
}

struct qb_tls *qb_tls_new(struct qb_tls_ctx *ctx, uint32_t version, const uint8_t *params,
			  size_t params_len, const char *server_name)
{
	struct qb_tls *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ctx = qb_tls_ctx_get(ctx);
	t->version = version;
	t->suite = QB_SUITE_AES128GCM;
	t->peer_idx = -1;
	t->ssl = SSL_new(ctx->ssl_ctx);
	if (!t->ssl || !SSL_set_app_data(t->ssl, t) || !set_side(t, server_name))
		goto fail;
	SSL_set_quic_use_legacy_codepoint(t->ssl, 0);
	SSL_set_msg_callback(t->ssl, on_message);
	SSL_set_shed_handshake_config(t->ssl, 1);
	if (params && qb_tls_set_params(t, params, params_len) < 0)
		goto fail;
	return t;
fail:
	ERR_clear_error();
	qb_tls_free(t);
	return NULL;
}

struct qb_tls *qb_tls_new_like(const struct qb_tls *old, uint32_t version, const uint8_t *params,
			       size_t params_len)
{
	return qb_tls_new(old->ctx, version, params, params_len, old->server_name);
}

bool qb_tls_wants_params(const struct qb_tls *t)
{
	return t->wants_params;
}

int qb_tls_set_params(struct qb_tls *t, const uint8_t *params, size_t params_len)
{
	if (!SSL_set_quic_transport_params(t->ssl, params, params_len))
		return -EPROTO;
	t->has_params = true;
	t->wants_params = false;
	return 0;
}

void qb_tls_set_version(struct qb_tls *t, uint32_t version)
{
	t->version = version;
}

void qb_tls_free(struct qb_tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	for (int level = 0; level < QB_LEVEL_CNT; level++) {
		qb_keys_free(t->keys[level][0]);
		qb_keys_free(t->keys[level][1]);
		free(t->out[level].data);
	}
	qb_tls_ctx_free(t->ctx);
	qb_tls_drop_sessions(t);
	free(t->server_name);
	free(t->hello_params);
	free(t);
}

/* ---- running ---- */

/* note_fault: what TLS could not know, and what of TLS QUIC does not have (RFC 9001 §4.1.3, §4.6.1). */
static void note_fault(struct qb_tls *t, uint32_t code)
{
	int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
	/* BoringSSL refuses a session's max_early_data_size so, and no other thing that comes after a handshake. */
	bool is_early_size = t->is_complete && t->alert == SSL_AD_ILLEGAL_PARAMETER && reason == SSL_R_DECODE_ERROR;

	if (reason == SSL_R_WRONG_ENCRYPTION_LEVEL_RECEIVED || reason == SSL_R_EXCESS_HANDSHAKE_DATA || is_early_size)
		t->fault = QB_TLS_FAULT_RULES;
	else if (reason == SSL_R_EXCESSIVE_MESSAGE_SIZE && !t->alert)
		t->fault = QB_TLS_FAULT_TOO_MUCH;
	if (t->fault != QB_TLS_FAULT_ALERT && !t->alert)
		t->alert = SSL_AD_UNEXPECTED_MESSAGE;
}

/* BoringSSL has called send_alert for most errors; the rest are misplaced bytes or our own. */
static int fail(struct qb_tls *t)
{
	uint32_t code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);

	note_fault(t, code);
	if (!t->alert)
		t->alert = SSL_AD_INTERNAL_ERROR;
	if (t->verify_err)
		reason = t->verify_err;
	snprintf(t->err, sizeof(t->err), "%s",
		 reason ? reason : SSL_alert_desc_string_long(t->alert));
	ERR_clear_error();
	t->is_failed = true;
	return -EPROTO;
}

/*
 * let_go: a server that has given out its tickets has nothing more to say, and no client may say more (RFC 8446 §4.6 leaves it
 * only key updates, which QUIC forbids: RFC 9001 §6). Half of what a connection at rest takes of TLS is given back.
 */
static void let_go(struct qb_tls *t)
{
	const uint8_t *params;
	size_t len;

	if (!t->ctx->is_server)
		return;
	if (!t->hello_params) {
		SSL_get_peer_quic_transport_params(t->ssl, &params, &len);
		t->hello_params = malloc(len + 1);
		if (!t->hello_params)
			return;
		memcpy(t->hello_params, params, len);
		t->hello_params_len = len;
	}
	SSL_free(t->ssl);
	t->ssl = NULL;
}

int qb_tls_provide(struct qb_tls *t, enum qb_level level, const uint8_t *data, size_t len)
{
	if (t->is_failed)
		return -EPROTO;
	ERR_clear_error();
	if (!t->ssl) {
		t->alert = SSL_AD_UNEXPECTED_MESSAGE;
		return 0;
	}
	if (!SSL_provide_quic_data(t->ssl, (enum ssl_encryption_level_t)level, data, len))
		return fail(t);
	return 0;
}

int qb_tls_advance(struct qb_tls *t)
{
	int ret;

	if (t->is_failed)
		return -EPROTO;
	ERR_clear_error();
	qb_tls_note_asking(t);
	if (!t->ssl)
		return t->alert ? fail(t) : 0;
	if (t->is_complete)
		return SSL_process_quic_post_handshake(t->ssl) ? 0 : fail(t);
	ret = SSL_do_handshake(t->ssl);
	if (ret != 1 && SSL_get_error(t->ssl, ret) == SSL_ERROR_EARLY_DATA_REJECTED) {
		qb_tls_note_early(t, true);
		SSL_reset_early_data_reject(t->ssl);
		ret = SSL_do_handshake(t->ssl);
	}
	if (ret == 1) {
		t->is_complete = !SSL_in_early_data(t->ssl);
		qb_tls_note_early(t, false);
		if (t->is_complete)
			let_go(t);
		return 0;
	}
	switch (SSL_get_error(t->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_PENDING_CERTIFICATE:
		return 0;
	default:
		return fail(t);
	}
}

bool qb_tls_is_complete(const struct qb_tls *t)
{
	return t->is_complete;
}

uint8_t qb_tls_alert(const struct qb_tls *t, const char **text)
{
	if (text)
		*text = t->err;
	return t->alert;
}

size_t qb_tls_output(const struct qb_tls *t, enum qb_level level, const uint8_t **data)
{
	*data = t->out[level].data;
	return t->out[level].len;
}

void qb_tls_drop(struct qb_tls *t, enum qb_level level)
{
	free(t->out[level].data);
	t->out[level] = (struct qb_tls_out){.is_dropped = true};
}

struct qb_keys *qb_tls_take_keys(struct qb_tls *t, enum qb_level level, bool is_tx)
{
	struct qb_keys *k = t->keys[level][is_tx];

	/*
	 * BoringSSL gives a server its 1-RTT keys before the client has proved who it is (half-RTT
	 * data). We send nothing to strangers, and RFC 9001 §5.7 forbids reading so early: they
	 * wait for the end. Who resumes has proved it: the keys rest on its ticket's secret.
	 */
	if (level == QB_LEVEL_APP && !t->is_complete &&
	    !(is_tx && t->ctx->is_server && t->early == QB_TLS_EARLY_ACCEPTED))
		return NULL;
	t->keys[level][is_tx] = NULL;
	return k;
}

size_t qb_tls_peer_params(const struct qb_tls *t, const uint8_t **params)
{
	size_t len;

	if (t->ssl)
		SSL_get_peer_quic_transport_params(t->ssl, params, &len);
	if (!t->ssl || !len) {
		*params = t->hello_params;
		len = t->hello_params_len;
	}
	return len;
}

int qb_tls_peer_index(const struct qb_tls *t)
{
	return t->peer_idx;
}

bool qb_tls_peer_key(const struct qb_tls *t, uint8_t pub[QB_PUBKEY_LEN])
{
	if (t->has_peer_key)
		memcpy(pub, t->peer_key, QB_PUBKEY_LEN);
	return t->has_peer_key;
}

enum qb_tls_fault qb_tls_fault(const struct qb_tls *t)
{
	return t->fault;
}

enum qb_suite qb_tls_suite(const struct qb_tls *t)
{
	return t->suite;
}
