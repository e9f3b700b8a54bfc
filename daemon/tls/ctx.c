/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process's TLS context: identity, certificate, the list of peers, policy. Built at start and
 * again on reload by the main thread; workers begin handshakes from it and change nothing in it,
 * and every handshake holds a reference, so that the old context goes when its last handshake does.
 */
#include "tls/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/pool.h>

static int select_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
		       unsigned int in_len, void *arg)
{
	const struct qb_tls_ctx *ctx = arg;
	uint8_t *proto;

	(void)ssl;
	if (SSL_select_next_proto(&proto, out_len, ctx->alpn, ctx->alpn_len, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = proto;
	return SSL_TLSEXT_ERR_OK;
}

static bool set_alpn(struct qb_tls_ctx *ctx, const char *alpn)
{
	size_t len = strlen(alpn);

	if (len == 0 || len > UINT8_MAX)
		return false;
	ctx->alpn[0] = (uint8_t)len;
	memcpy(ctx->alpn + 1, alpn, len);
	ctx->alpn_len = (uint32_t)len + 1;
	if (ctx->is_server) {
		SSL_CTX_set_alpn_select_cb(ctx->ssl_ctx, select_alpn, ctx);
		return true;
	}
	/* This one returns zero on success. */
	return SSL_CTX_set_alpn_protos(ctx->ssl_ctx, ctx->alpn, ctx->alpn_len) == 0;
}

static int verify_mode(const struct qb_tls_cfg *cfg)
{
	if (cfg->is_server && cfg->is_peer_optional)
		return SSL_VERIFY_PEER;
	return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

/* Ed25519 is in neither of BoringSSL's default lists. */
static bool set_ed25519(SSL_CTX *s)
{
	static const uint16_t algs[] = {SSL_SIGN_ED25519};

	return SSL_CTX_set_verify_algorithm_prefs(s, algs, QB_ARRAY_LEN(algs)) &&
	       SSL_CTX_set_signing_algorithm_prefs(s, algs, QB_ARRAY_LEN(algs));
}

/* How the peer is checked: by keys, unless a client says otherwise. */
static bool set_check(struct qb_tls_ctx *ctx, const struct qb_tls_cfg *cfg)
{
	SSL_CTX *s = ctx->ssl_ctx;

	if (cfg->check != QB_TLS_CHECK_KEYS) {
		SSL_CTX_set_custom_verify(s, SSL_VERIFY_PEER,
					  cfg->check == QB_TLS_CHECK_CA ? qb_tls_verify_ca
									: qb_tls_verify_none);
		return !cfg->is_server && qb_tls_set_web_algs(s);
	}
	SSL_CTX_set_custom_verify(s, verify_mode(cfg), qb_tls_verify_peer);
	SSL_CTX_set_max_cert_list(s, QB_TLS_CERT_LIST_MAX);
	return set_ed25519(s);
}

static bool set_policy(struct qb_tls_ctx *ctx, const struct qb_tls_cfg *cfg)
{
	SSL_CTX *s = ctx->ssl_ctx;

	return SSL_CTX_set_min_proto_version(s, TLS1_3_VERSION) &&
	       SSL_CTX_set_max_proto_version(s, TLS1_3_VERSION) &&
	       SSL_CTX_set_quic_method(s, &qb_tls_quic_method) && set_check(ctx, cfg) &&
	       set_alpn(ctx, cfg->alpn) && qb_tls_set_resumption(ctx, cfg);
}

static bool copy_cfg(struct qb_tls_ctx *ctx, const struct qb_tls_cfg *cfg)
{
	size_t bytes = (size_t)cfg->peer_cnt * sizeof(*ctx->peers);

	ctx->is_server = cfg->is_server;
	ctx->is_peer_optional = cfg->is_peer_optional;
	ctx->check = cfg->check;
	ctx->tickets = cfg->tickets;
	ctx->name = strdup(cfg->name);
	ctx->peers = malloc(bytes ? bytes : 1);
	if (!ctx->name || !ctx->peers)
		return false;
	if (bytes)
		memcpy(ctx->peers, cfg->peers, bytes);
	ctx->peer_cnt = cfg->peer_cnt;
	return true;
}

static bool set_identity(struct qb_tls_ctx *ctx, const struct qb_tls_cfg *cfg,
			 char err[QB_TLS_ERR_LEN])
{
	EVP_PKEY *key = qb_tls_key_parse(cfg->key_pem, err);
	CRYPTO_BUFFER *cert = key ? qb_tls_cert_build(key, cfg->name, err) : NULL;
	bool ok = cert && SSL_CTX_set_chain_and_key(ctx->ssl_ctx, &cert, 1, key, NULL);

	if (cert && !ok)
		snprintf(err, QB_TLS_ERR_LEN, "TLS refuses key and certificate");
	CRYPTO_BUFFER_free(cert);
	EVP_PKEY_free(key);
	return ok;
}

/* set_certs loads what comes from files: our identity, the certificate for strangers, the CAs. */
static bool set_certs(struct qb_tls_ctx *ctx, const struct qb_tls_cfg *cfg,
		      char err[QB_TLS_ERR_LEN])
{
	if (!cfg->key_pem && (cfg->is_server || cfg->check == QB_TLS_CHECK_KEYS)) {
		snprintf(err, QB_TLS_ERR_LEN, "no private key");
		return false;
	}
	if (cfg->key_pem && !set_identity(ctx, cfg, err))
		return false;
	if (cfg->is_server && cfg->cert_pem) {
		if (qb_tls_cert_load(&ctx->cert, cfg->cert_pem,
				     cfg->cert_key_pem ? cfg->cert_key_pem : "", err) < 0)
			return false;
	}
	SSL_CTX_set_select_certificate_cb(ctx->ssl_ctx, qb_tls_on_hello);
	if (!qb_tls_named_load(ctx, cfg, err))
		return false;
	if (cfg->check == QB_TLS_CHECK_CA) {
		ctx->cas = qb_tls_cas_load(cfg->ca_pem ? cfg->ca_pem : "", err);
		return ctx->cas != NULL;
	}
	return true;
}

struct qb_tls_ctx *qb_tls_ctx_new(const struct qb_tls_cfg *cfg, char err[QB_TLS_ERR_LEN])
{
	struct qb_tls_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx) {
		snprintf(err, QB_TLS_ERR_LEN, "out of memory");
		return NULL;
	}
	atomic_init(&ctx->ref_cnt, 1);
	/* Buffers, not X.509 objects: what a stranger sends never meets the X.509 parser. */
	ctx->ssl_ctx = SSL_CTX_new(TLS_with_buffers_method());
	if (!ctx->ssl_ctx || !copy_cfg(ctx, cfg)) {
		snprintf(err, QB_TLS_ERR_LEN, "out of memory");
		goto fail;
	}
	if (!set_policy(ctx, cfg)) {
		snprintf(err, QB_TLS_ERR_LEN, "TLS refuses the policy (ALPN \"%s\")", cfg->alpn);
		goto fail;
	}
	if (!set_certs(ctx, cfg, err))
		goto fail;
	return ctx;
fail:
	ERR_clear_error();
	qb_tls_ctx_free(ctx);
	return NULL;
}

struct qb_tls_ctx *qb_tls_ctx_get(struct qb_tls_ctx *ctx)
{
	atomic_fetch_add_explicit(&ctx->ref_cnt, 1, memory_order_relaxed);
	return ctx;
}

void qb_tls_ctx_free(struct qb_tls_ctx *ctx)
{
	if (!ctx || atomic_fetch_sub_explicit(&ctx->ref_cnt, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(ctx->ssl_ctx);
	qb_tls_cert_drop(&ctx->cert);
	X509_STORE_free(ctx->cas);
	qb_tls_named_drop(ctx);
	free(ctx->peers);
	free(ctx->name);
	free(ctx);
}

int qb_tls_ctx_set_suite(struct qb_tls_ctx *ctx, enum qb_suite only)
{
	/* BoringSSL's choice among TLS 1.3 suites has no setting: it follows the CPU, and in older
	 * ones the group, in newer ones a policy, which chooses signatures, too. */
	if (only == QB_SUITE_AES256GCM) {
#ifdef SSL_CURVE_CECPQ2
		static const int group = NID_CECPQ2;

		return SSL_CTX_set1_curves(ctx->ssl_ctx, &group, 1) ? 0 : -ENOTSUP;
#else
		return SSL_CTX_set_compliance_policy(ctx->ssl_ctx,
						     ssl_compliance_policy_wpa3_192_202304) &&
				       set_ed25519(ctx->ssl_ctx)
			       ? 0
			       : -ENOTSUP;
#endif
	}
	return (only == QB_SUITE_AES128GCM) == (EVP_has_aes_hardware() != 0) ? 0 : -ENOTSUP;
}

int qb_tls_ctx_set_groups(struct qb_tls_ctx *ctx, const char *groups)
{
	return SSL_CTX_set1_curves_list(ctx->ssl_ctx, groups) ? 0 : -EINVAL;
}

static void keylog_line(const SSL *ssl, const char *text)
{
	const struct qb_tls *t = SSL_get_app_data(ssl);

	if (t->ctx->keylog)
		t->ctx->keylog(t->ctx->keylog_arg, text);
}

void qb_tls_ctx_keylog(struct qb_tls_ctx *ctx, void (*line)(void *arg, const char *text), void *arg)
{
	ctx->keylog = line;
	ctx->keylog_arg = arg;
	SSL_CTX_set_keylog_callback(ctx->ssl_ctx, line ? keylog_line : NULL);
}
