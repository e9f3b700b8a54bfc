/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates as the rest of the world has them: one beside our identity for those who ask for such, and the check of a server's
 * chain by CA and name. An edge that knows its hub's key needs neither: it takes Ed25519 signatures only and compares keys
 * (cert.c). Loaded at start and on reload; the hooks run on workers.
 */
#include "tls/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

enum {
	EXT_SIGNATURE_ALGORITHMS = 13, /* RFC 8446 §4.2.3 */
	CLOCK_TOLERANCE_S = 300,
};

/* ---- loading ---- */

/* next_cert takes the next certificate off a PEM text. NULL at its end. */
static CRYPTO_BUFFER *next_cert(BIO *bio)
{
	CRYPTO_BUFFER *buf = NULL;
	uint8_t *der = NULL;
	char *name = NULL, *header = NULL;
	long len = 0;

	while (!buf && PEM_read_bio(bio, &name, &header, &der, &len)) {
		if (strcmp(name, PEM_STRING_X509) == 0 && len > 0)
			buf = CRYPTO_BUFFER_new(der, (size_t)len, NULL);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	ERR_clear_error();
	return buf;
}

static int load_chain(struct qb_tls_cert *c, const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	CRYPTO_BUFFER *buf;

	if (!bio)
		return -EINVAL;
	while (c->cnt < QB_TLS_CHAIN_MAX && (buf = next_cert(bio)))
		c->chain[c->cnt++] = buf;
	BIO_free(bio);
	return c->cnt ? 0 : -EINVAL;
}

static bool is_pair(const struct qb_tls_cert *c)
{
	X509 *leaf = X509_parse_from_buffer(c->chain[0]);
	bool ok = leaf && X509_check_private_key(leaf, c->key);

	X509_free(leaf);
	ERR_clear_error();
	return ok;
}

int qb_tls_cert_load(struct qb_tls_cert *c, const char *cert_pem, const char *key_pem,
		     char err[QB_TLS_ERR_LEN])
{
	*c = (struct qb_tls_cert){0};
	c->key = qb_tls_any_key_parse(key_pem, err);
	if (!c->key)
		return -EINVAL;
	if (load_chain(c, cert_pem) < 0)
		snprintf(err, QB_TLS_ERR_LEN, "no PEM certificate found");
	else if (!is_pair(c))
		snprintf(err, QB_TLS_ERR_LEN, "the certificate is not of this private key");
	else
		return 0;
	qb_tls_cert_drop(c);
	return -EINVAL;
}

void qb_tls_cert_drop(struct qb_tls_cert *c)
{
	for (size_t i = 0; i < c->cnt; i++)
		CRYPTO_BUFFER_free(c->chain[i]);
	EVP_PKEY_free(c->key);
	*c = (struct qb_tls_cert){0};
}

X509_STORE *qb_tls_cas_load(const char *pem, char err[QB_TLS_ERR_LEN])
{
	X509_STORE *store = X509_STORE_new();
	BIO *bio = BIO_new_mem_buf(pem, -1);
	CRYPTO_BUFFER *buf;
	uint32_t cnt = 0;

	while (store && bio && (buf = next_cert(bio))) {
		X509 *x = X509_parse_from_buffer(buf);

		cnt += x && X509_STORE_add_cert(store, x);
		X509_free(x);
		CRYPTO_BUFFER_free(buf);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (cnt)
		return store;
	snprintf(err, QB_TLS_ERR_LEN, "no CA certificate found");
	X509_STORE_free(store);
	return NULL;
}

/* load_crls has every chain checked against lists. False with why: there is none. */
static bool load_crls(X509_STORE *store, const char *pem, char err[QB_TLS_ERR_LEN])
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509_CRL *crl;
	uint32_t cnt = 0;

	while (bio && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
		cnt += X509_STORE_add_crl(store, crl) == 1;
		X509_CRL_free(crl);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (!cnt)
		snprintf(err, QB_TLS_ERR_LEN, "no certificate revocation list found");
	return cnt && X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
}

static const uint16_t web_algs[] = {
	SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA256,
	SSL_SIGN_ED25519,		 SSL_SIGN_ECDSA_SECP384R1_SHA384,
	SSL_SIGN_RSA_PSS_RSAE_SHA384,	 SSL_SIGN_RSA_PSS_RSAE_SHA512,
	SSL_SIGN_RSA_PKCS1_SHA256, /* in certificates only */
};

bool qb_tls_set_web_algs(SSL_CTX *s)
{
	return SSL_CTX_set_verify_algorithm_prefs(s, web_algs, QB_ARRAY_LEN(web_algs)) &&
	       SSL_CTX_set_signing_algorithm_prefs(s, web_algs, QB_ARRAY_LEN(web_algs));
}

/* ---- servers that are known by a CA and a name ---- */

void qb_tls_name_key(const char *server_name, uint8_t key[QB_PUBKEY_LEN])
{
	static const char label[] = "quicbond server name";
	SHA256_CTX sha;

	SHA256_Init(&sha);
	SHA256_Update(&sha, label, sizeof(label));
	SHA256_Update(&sha, server_name, strlen(server_name));
	SHA256_Final(key, &sha);
}

bool qb_tls_named_load(struct qb_tls_ctx *ctx, const struct qb_tls_cfg *cfg, char err[QB_TLS_ERR_LEN])
{
	char why[QB_TLS_ERR_LEN] = "out of memory";

	ctx->named = calloc(cfg->named_cnt + 1, sizeof(*ctx->named));
	for (; ctx->named && ctx->named_cnt < cfg->named_cnt; ctx->named_cnt++) {
		const struct qb_tls_named *from = &cfg->named[ctx->named_cnt];
		struct qb_tls_ca *to = &ctx->named[ctx->named_cnt];

		to->name = strdup(from->server_name);
		to->store = qb_tls_cas_load(from->ca_pem, why);
		qb_tls_name_key(from->server_name, to->key);
		if (to->name && to->store && (!from->crl_pem || load_crls(to->store, from->crl_pem, why)))
			continue;
		ctx->named_cnt++;
		snprintf(err, QB_TLS_ERR_LEN, "%.60s: %.80s", from->server_name, why);
		return false;
	}
	return ctx->named != NULL;
}

void qb_tls_named_drop(struct qb_tls_ctx *ctx)
{
	for (uint32_t i = 0; i < ctx->named_cnt; i++) {
		free(ctx->named[i].name);
		X509_STORE_free(ctx->named[i].store);
	}
	free(ctx->named);
}

bool qb_tls_use_named(struct qb_tls *t)
{
	for (uint32_t i = 0; i < t->ctx->named_cnt && !t->named; i++)
		if (strcmp(t->ctx->named[i].name, t->server_name) == 0)
			t->named = &t->ctx->named[i];
	if (!t->named)
		return true;
	SSL_set_custom_verify(t->ssl, SSL_VERIFY_PEER, qb_tls_verify_ca);
	return SSL_set_verify_algorithm_prefs(t->ssl, web_algs, QB_ARRAY_LEN(web_algs));
}

/* ---- a server's choice ---- */

/* is_ours: a client that takes Ed25519 signatures and no others. */
static bool is_ours(const SSL_CLIENT_HELLO *hello)
{
	const uint8_t *data;
	size_t len;
	uint16_t alg;
	CBS ext, list;

	if (!SSL_early_callback_ctx_extension_get(hello, EXT_SIGNATURE_ALGORITHMS, &data, &len))
		return false;
	CBS_init(&ext, data, len);
	if (!CBS_get_u16_length_prefixed(&ext, &list) || CBS_len(&list) == 0)
		return false;
	while (CBS_get_u16(&list, &alg)) {
		if (alg != SSL_SIGN_ED25519)
			return false;
	}
	return true;
}

enum ssl_select_cert_result_t qb_tls_select_cert(const SSL_CLIENT_HELLO *hello)
{
	static const uint16_t algs[] = {
		SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA256,
		SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384,
		SSL_SIGN_RSA_PSS_RSAE_SHA512,	 SSL_SIGN_ED25519,
	};
	struct qb_tls *t = SSL_get_app_data(hello->ssl);
	const struct qb_tls_cert *c = &t->ctx->cert;

	if (is_ours(hello))
		return ssl_select_cert_success;
	if (!SSL_set_chain_and_key(hello->ssl, c->chain, c->cnt, c->key, NULL) ||
	    !SSL_set_signing_algorithm_prefs(hello->ssl, algs, QB_ARRAY_LEN(algs)))
		return ssl_select_cert_error;
	/* It has no certificate that could mean anything to us; browsers would ask their user for one. */
	if (t->ctx->is_peer_optional)
		SSL_set_custom_verify(hello->ssl, SSL_VERIFY_NONE, qb_tls_verify_peer);
	return ssl_select_cert_success;
}

/* ---- a client's checks ---- */

static STACK_OF(X509) *parse_chain(const STACK_OF(CRYPTO_BUFFER) *bufs)
{
	STACK_OF(X509) *chain = sk_X509_new_null();

	for (size_t i = 0; chain && i < sk_CRYPTO_BUFFER_num(bufs); i++) {
		X509 *x = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(bufs, i));

		if (x && sk_X509_push(chain, x))
			continue;
		X509_free(x);
		sk_X509_pop_free(chain, X509_free);
		return NULL;
	}
	return chain;
}

/*
 * The name must be the certificate's, as a DNS name or as an address; its subject tells nothing
 * (RFC 9525 §2). BoringSSL's own reading of addresses stops where a name goes on, like 192.0.2.1.example.net.
 */
static bool set_name(X509_STORE_CTX *store_ctx, const char *name)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store_ctx);
	uint8_t ip[16];

	if (inet_pton(AF_INET, name, ip) == 1)
		return X509_VERIFY_PARAM_set1_ip(param, ip, 4);
	if (inet_pton(AF_INET6, name, ip) == 1)
		return X509_VERIFY_PARAM_set1_ip(param, ip, 16);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	return X509_VERIFY_PARAM_set1_host(param, name, strlen(name));
}

/* verify_at returns X509_V_OK, or what is wrong with the chain at that time. */
static long verify_at(struct qb_tls *t, STACK_OF(X509) *chain, time_t unix_s)
{
	X509_STORE_CTX *sc = X509_STORE_CTX_new();
	long err = X509_V_ERR_INVALID_CALL;

	if (sc && X509_STORE_CTX_init(sc, t->named ? t->named->store : t->ctx->cas, sk_X509_value(chain, 0), chain) &&
	    X509_STORE_CTX_set_default(sc, "ssl_server") && set_name(sc, t->server_name)) {
		X509_STORE_CTX_set_time(sc, 0, unix_s);
		err = X509_verify_cert(sc) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(sc);
	}
	X509_STORE_CTX_free(sc);
	ERR_clear_error();
	return err;
}

/* verify_chain: clocks that differ a little are no reason to refuse a hub. */
static const char *verify_chain(struct qb_tls *t, STACK_OF(X509) *chain)
{
	time_t now_s = time(NULL);
	long err = verify_at(t, chain, now_s);

	if (err == X509_V_ERR_CERT_NOT_YET_VALID || err == X509_V_ERR_CRL_NOT_YET_VALID)
		err = verify_at(t, chain, now_s + CLOCK_TOLERANCE_S);
	else if (err == X509_V_ERR_CERT_HAS_EXPIRED || err == X509_V_ERR_CRL_HAS_EXPIRED)
		err = verify_at(t, chain, now_s - CLOCK_TOLERANCE_S);
	if (err == X509_V_ERR_INVALID_CALL)
		return "the certificate cannot be checked against this name";
	return err == X509_V_OK ? NULL : X509_verify_cert_error_string(err);
}

enum ssl_verify_result_t qb_tls_verify_ca(SSL *ssl, uint8_t *alert)
{
	struct qb_tls *t = SSL_get_app_data(ssl);
	const STACK_OF(CRYPTO_BUFFER) *bufs = SSL_get0_peer_certificates(ssl);
	STACK_OF(X509) *chain = bufs ? parse_chain(bufs) : NULL;

	*alert = SSL_AD_BAD_CERTIFICATE;
	t->verify_err = "the server's certificate cannot be read";
	if (chain && sk_X509_num(chain) > 0)
		t->verify_err = verify_chain(t, chain);
	sk_X509_pop_free(chain, X509_free);
	if (!t->verify_err && t->named) {
		t->has_peer_key = true;
		memcpy(t->peer_key, t->named->key, sizeof(t->peer_key));
	}
	return t->verify_err ? ssl_verify_invalid : ssl_verify_ok;
}

enum ssl_verify_result_t qb_tls_verify_none(SSL *ssl, uint8_t *alert)
{
	(void)ssl;
	(void)alert;
	return ssl_verify_ok;
}
