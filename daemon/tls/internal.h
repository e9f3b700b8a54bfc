/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of this folder share. Nobody outside includes it (except this folder's tests): it
 * is where BoringSSL's headers come in.
 */
#pragma once

#include <stdatomic.h>

#include <openssl/base.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tls/tls.h"

enum {
	QB_TLS_NONCE_LEN = 12,
	QB_TLS_SEED_LEN = 32,	      /* of an Ed25519 private key (RFC 8032 §5.1.5) */
	QB_TLS_CERT_LIST_MAX = 16384, /* bytes of certificates that a peer may send */
	QB_TLS_CHAIN_MAX = 16,	      /* certificates of a chain of ours */
	QB_TLS_SESSIONS_MAX = 8,      /* that wait to be taken */
	QB_TLS_TICKETS = 4,	      /* given at once: a client may have to try several links */
};

/* An ordinary certificate with its chain and key. */
struct qb_tls_cert {
	CRYPTO_BUFFER *chain[QB_TLS_CHAIN_MAX]; /* owned; leaf first */
	size_t cnt;
	EVP_PKEY *key; /* owned */
};

/* A server that is known by a CA and its name. */
struct qb_tls_ca {
	char *name;	   /* owned */
	X509_STORE *store; /* owned */
	uint8_t key[QB_PUBKEY_LEN];
};

struct qb_tls_ctx {
	_Atomic uint32_t ref_cnt;
	SSL_CTX *ssl_ctx;
	bool is_server;
	bool is_peer_optional;
	enum qb_tls_check check;
	struct qb_tls_cert cert; /* for strangers; cnt 0: none */
	X509_STORE *cas;	 /* owned; QB_TLS_CHECK_CA */
	char *name;	   /* owned; default SNI of a client */
	uint8_t alpn[256]; /* one protocol, length-prefixed */
	uint32_t alpn_len;
	uint8_t (*peers)[QB_PUBKEY_LEN]; /* owned */
	uint32_t peer_cnt;
	struct qb_tls_ca *named; /* owned */
	uint32_t named_cnt;
	void (*keylog)(void *arg, const char *text);
	void *keylog_arg;
	struct qb_tickets *tickets; /* borrowed; server */
	uint64_t (*unix_s)(void *arg); /* NULL: the system's clock */
	void *unix_arg;
};

/* CRYPTO bytes of one level, from offset 0. */
struct qb_tls_out {
	uint8_t *data; /* owned */
	size_t len;
	size_t cap;
	bool is_dropped;
};

/* Whom a client's ticket names. It is that one if the handshake is resumed with it. */
struct qb_tls_ticket {
	bool has_key;
	uint8_t key[QB_PUBKEY_LEN];
	int peer_idx;
};

/* A session that the server gave us. */
struct qb_tls_session {
	uint8_t *bytes; /* owned by BoringSSL's heap */
	size_t len;
};

struct qb_tls {
	struct qb_tls_ctx *ctx; /* one reference */
	const struct qb_tls_ca *named; /* client: how the server is checked; NULL: as the context has it */
	SSL *ssl; /* NULL: a server's handshake is over */
	uint32_t version;
	enum qb_suite suite;
	bool is_complete;
	bool is_resumed;
	bool is_failed;
	bool has_peer_key;
	bool has_params, wants_params; /* ours are set; the ClientHello waits for them */
	uint8_t alert;
	enum qb_tls_fault fault;
	uint8_t peer_key[QB_PUBKEY_LEN];
	int peer_idx;
	const char *verify_err; /* why the peer's certificate was refused, or NULL */
	char *server_name;	/* owned; client: what the server must be called */
	uint8_t *hello_params;	/* owned; the client's transport parameters, before TLS has looked at them */
	size_t hello_params_len;
	enum qb_tls_early early;
	bool is_replay, wants_early; /* server: the ticket had been used; the client offers 0-RTT */
	struct qb_tls_ticket ticket;
	struct qb_tls_session sessions[QB_TLS_SESSIONS_MAX];
	uint32_t session_cnt;
	char err[QB_TLS_ERR_LEN];
	struct qb_tls_out out[QB_LEVEL_CNT];
	struct qb_keys *keys[QB_LEVEL_CNT][2]; /* not yet taken; [1] is our sending direction */
};

/* qb_tls_ctx_get takes another reference. */
struct qb_tls_ctx *qb_tls_ctx_get(struct qb_tls_ctx *ctx);

/* qb_tls_key_parse reads a PEM Ed25519 private key, qb_tls_any_key_parse one of any kind. NULL with why in err. */
EVP_PKEY *qb_tls_key_parse(const char *pem, char err[QB_TLS_ERR_LEN]);
EVP_PKEY *qb_tls_any_key_parse(const char *pem, char err[QB_TLS_ERR_LEN]);

/*
 * qb_tls_cert_build makes the self-signed certificate of a key; it depends on nothing else than key
 * and name. Returns NULL with why in err.
 */
CRYPTO_BUFFER *qb_tls_cert_build(EVP_PKEY *key, const char *name, char err[QB_TLS_ERR_LEN]);
/* qb_tls_cert_key finds the Ed25519 public key in a DER certificate. Returns 0 or -EBADMSG. */
int qb_tls_cert_key(const uint8_t *der, size_t len, uint8_t pub[QB_PUBKEY_LEN]) QB_MUST_CHECK;

/* The handshake's hooks that the context installs. */
extern const SSL_QUIC_METHOD qb_tls_quic_method;
enum ssl_verify_result_t qb_tls_verify_peer(SSL *ssl, uint8_t *alert);
enum ssl_select_cert_result_t qb_tls_on_hello(const SSL_CLIENT_HELLO *hello);

/* qb_tls_peer_find looks a key up in the list of peers. -1: not there. */
int qb_tls_peer_find(const struct qb_tls_ctx *ctx, const uint8_t key[QB_PUBKEY_LEN]);

/* ---- tickets.c, resume.c ---- */

extern const SSL_TICKET_AEAD_METHOD qb_tls_ticket_method;
uint64_t qb_tls_unix_s(const struct qb_tls_ctx *ctx);
/* qb_tls_note_asking comes before every call of BoringSSL's that looks at a clock. */
void qb_tls_note_asking(const struct qb_tls *t);
/* qb_tls_set_resumption configures tickets and sessions of either side. */
bool qb_tls_set_resumption(struct qb_tls_ctx *ctx, const struct qb_tls_cfg *cfg);
/* qb_tls_note_early: SSL_do_handshake has returned; is_rejected: with that. */
void qb_tls_note_early(struct qb_tls *t, bool is_rejected);
void qb_tls_drop_sessions(struct qb_tls *t);

/* ---- pki.c: ordinary certificates ---- */

/* qb_tls_cert_load reads a chain and its key. Returns 0 or -EINVAL with why in err; qb_tls_cert_drop undoes it. */
int qb_tls_cert_load(struct qb_tls_cert *c, const char *cert_pem, const char *key_pem,
		     char err[QB_TLS_ERR_LEN]) QB_MUST_CHECK;
void qb_tls_cert_drop(struct qb_tls_cert *c);
/* qb_tls_cas_load reads CA certificates. NULL with why in err. */
X509_STORE *qb_tls_cas_load(const char *pem, char err[QB_TLS_ERR_LEN]);
/* qb_tls_select_cert is the hook that gives strangers ctx->cert. */
enum ssl_select_cert_result_t qb_tls_select_cert(const SSL_CLIENT_HELLO *hello);
/* qb_tls_verify_ca and qb_tls_verify_none are hooks beside qb_tls_verify_peer. */
enum ssl_verify_result_t qb_tls_verify_ca(SSL *ssl, uint8_t *alert);
enum ssl_verify_result_t qb_tls_verify_none(SSL *ssl, uint8_t *alert);
/* qb_tls_set_web_algs lets a connection sign and check with what the web uses, too. */
bool qb_tls_set_web_algs(SSL_CTX *s);
/* qb_tls_named_load copies cfg.named. False with why in err; qb_tls_named_drop undoes it, also half of it. */
bool qb_tls_named_load(struct qb_tls_ctx *ctx, const struct qb_tls_cfg *cfg, char err[QB_TLS_ERR_LEN]);
void qb_tls_named_drop(struct qb_tls_ctx *ctx);
/* qb_tls_use_named has a client's server checked by its CA, if it is one of those. */
bool qb_tls_use_named(struct qb_tls *t);

/* qb_tls_nonce mixes path ID and packet number into the IV (RFC 9001 §5.3, RFC 10069 §2.4). */
static inline void qb_tls_nonce(const uint8_t iv[QB_TLS_NONCE_LEN], uint32_t path_id, uint64_t pn,
				uint8_t nonce[QB_TLS_NONCE_LEN])
{
	qb_store_be32(nonce, qb_load_be32(iv) ^ path_id);
	qb_store_be64(nonce + 4, qb_load_be64(iv + 4) ^ pn);
}
