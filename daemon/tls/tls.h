/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS 1.3 for QUIC over BoringSSL: identities, handshakes, and the small keyed functions (tokens, reset
 * tokens). The front door of this folder; nobody outside it includes a BoringSSL header.
 *
 * A node's identity is an Ed25519 key; its certificate is self-signed from it at start. Each side checks
 * the other's raw public key against a list before the handshake can complete, so that an unlisted peer never
 * gets 1-RTT keys from us. Beside it a server may hold an ordinary certificate, for clients that look at it as
 * web clients do, by a CA and a name: strangers, and edges that are told to.
 */
#pragma once

#include "base/base.h"
#include "tls/drbg.h"
#include "tls/keys.h"
#include "tls/tickets.h"

enum {
	QB_PUBKEY_LEN = 32,
	QB_PUBKEY_TEXT_LEN = 45, /* 44 base64 characters and the NUL */
	QB_TLS_ERR_LEN = 160,
	QB_TLS_SESSION_MAX = 6144, /* bytes of a client's session, with the server's chain */
};

struct qb_tls_ctx; /* identity, certificate, policy: one a process, shared by workers, read-only in use */
struct qb_tls;	   /* one handshake and what stays of it */

/* ---- identities ---- */

/* qb_key_generate writes a new Ed25519 private key as PKCS#8 PEM. Returns 0 or -ENOSPC. */
int qb_key_generate(char *pem, size_t cap) QB_MUST_CHECK;
/* qb_key_public reads a PEM private key and stores its public half. Returns 0, or -EINVAL with why in err. */
int qb_key_public(const char *pem, uint8_t pub[QB_PUBKEY_LEN], char err[QB_TLS_ERR_LEN]) QB_MUST_CHECK;
void qb_pubkey_format(const uint8_t pub[QB_PUBKEY_LEN], char text[QB_PUBKEY_TEXT_LEN]);
/* qb_pubkey_parse reads 44 characters of base64. Returns 0 or -EINVAL. */
int qb_pubkey_parse(const char *text, uint8_t pub[QB_PUBKEY_LEN]) QB_MUST_CHECK;

/*
 * qb_tls_name_key is what stands in the place of the public key of a server that is known by its name (cfg.named): qb_tls_peer_key
 * tells it, and no key is the same.
 */
void qb_tls_name_key(const char *server_name, uint8_t key[QB_PUBKEY_LEN]);

/* ---- context ---- */

/* What proves the peer. In a tunnel it is a key, or for a hub a CA and a name (cfg.named). */
enum qb_tls_check {
	QB_TLS_CHECK_KEYS, /* its Ed25519 key is listed in cfg.peers */
	QB_TLS_CHECK_CA,   /* client: a chain to a CA of cfg.ca_pem, made out to the server's name */
	QB_TLS_CHECK_NONE, /* client: nothing; for tools that say so loudly */
};

/* A server that proves itself as web servers do: by a certificate of this CA's, made out to this name. */
struct qb_tls_named {
	const char *server_name, *ca_pem;
	const char *crl_pem; /* what the CAs took back; NULL: nobody asks. Every CA of a chain must have a list that is in force. */
};

struct qb_tls_cfg {
	bool is_server;
	/* Private key, PEM; only read during the call. NULL: no identity (not with QB_TLS_CHECK_KEYS on a client). */
	const char *key_pem;
	const char *name;    /* subject of the certificate and, on a client, the SNI default */
	const char *alpn;    /* "h3" */
	enum qb_tls_check check;
	/* The peers that may connect (server) or the hub's keys (client). Copied. */
	const uint8_t (*peers)[QB_PUBKEY_LEN];
	uint32_t peer_cnt;
	/* Client with QB_TLS_CHECK_KEYS: the servers of these names are checked so instead. Copied. */
	const struct qb_tls_named *named;
	uint32_t named_cnt;
	bool is_peer_optional; /* server: also accept clients without a certificate (peer index -1) */
	/*
	 * Server: an ordinary certificate (PEM, leaf first, P-256, P-384 or RSA) and its key. Clients that take other
	 * signatures than Ed25519's get it; a client of ours, which takes nothing else, gets the identity. With
	 * is_peer_optional those strangers are not even asked for a certificate.
	 */
	const char *cert_pem, *cert_key_pem;
	const char *ca_pem; /* QB_TLS_CHECK_CA: certificates of the CAs */
	/* Server: what resumption rests on; borrowed, and outlives every handshake. NULL: there is none. */
	struct qb_tickets *tickets;
	bool is_early; /* server: takes 0-RTT data with a ticket */
};

/* qb_tls_ctx_new returns NULL with why in err. */
struct qb_tls_ctx *qb_tls_ctx_new(const struct qb_tls_cfg *cfg, char err[QB_TLS_ERR_LEN]);
/* qb_tls_ctx_free drops the caller's reference; handshakes that still use the context keep it. */
void qb_tls_ctx_free(struct qb_tls_ctx *ctx);
/*
 * qb_tls_ctx_set_suite wants one AEAD, on both sides, for tests; default: by the CPU. Returns 0, or
 * -ENOTSUP where BoringSSL would choose another one on this CPU.
 */
int qb_tls_ctx_set_suite(struct qb_tls_ctx *ctx, enum qb_suite only) QB_MUST_CHECK;
/* qb_tls_ctx_set_groups wants these key exchanges ("P-256:X25519"), the best first, for tests. 0, or -EINVAL. */
int qb_tls_ctx_set_groups(struct qb_tls_ctx *ctx, const char *groups) QB_MUST_CHECK;
/* qb_tls_ctx_keylog calls back with NSS key log lines (set before use; NULL turns it off). */
void qb_tls_ctx_keylog(struct qb_tls_ctx *ctx, void (*line)(void *arg, const char *text), void *arg);
/* qb_tls_ctx_set_clock replaces the clock that ages of tickets are measured by (Unix time, in seconds), for tests. */
void qb_tls_ctx_set_clock(struct qb_tls_ctx *ctx, uint64_t (*unix_s)(void *arg), void *arg);

/* ---- one handshake ---- */

/*
 * qb_tls_new begins a handshake. params: our encoded transport parameters (copied); a server may leave them out
 * (NULL) until it has seen the client's. server_name: client only, may be NULL. NULL when out of memory.
 */
struct qb_tls *qb_tls_new(struct qb_tls_ctx *ctx, uint32_t version, const uint8_t *params,
			  size_t params_len, const char *server_name);
/* qb_tls_new_like begins another handshake of a client with the same context and name as an earlier one. */
struct qb_tls *qb_tls_new_like(const struct qb_tls *old, uint32_t version, const uint8_t *params,
			       size_t params_len);
void qb_tls_free(struct qb_tls *t);
/*
 * qb_tls_wants_params: a server's handshake has read the whole ClientHello, qb_tls_peer_params shows the client's
 * parameters, and qb_tls_advance goes on once qb_tls_set_params was called. -EPROTO: TLS refuses them.
 */
bool qb_tls_wants_params(const struct qb_tls *t);
int qb_tls_set_params(struct qb_tls *t, const uint8_t *params, size_t params_len) QB_MUST_CHECK;
/* qb_tls_set_version: keys that are made from now on are those of that version. */
void qb_tls_set_version(struct qb_tls *t, uint32_t version);

/*
 * qb_tls_provide hands in CRYPTO data of a level, in order; qb_tls_advance then runs the handshake (also call
 * it once on a client to begin). Both return 0, or -EPROTO after which qb_tls_alert gives the TLS alert.
 * After completion qb_tls_advance handles post-handshake messages (tickets).
 */
int qb_tls_provide(struct qb_tls *t, enum qb_level level, const uint8_t *data, size_t len) QB_MUST_CHECK;
int qb_tls_advance(struct qb_tls *t) QB_MUST_CHECK;
bool qb_tls_is_complete(const struct qb_tls *t);
/* qb_tls_alert: the alert that ended the handshake. text: why, in words. */
uint8_t qb_tls_alert(const struct qb_tls *t, const char **text);
/* What QUIC calls that. */
enum qb_tls_fault {
	QB_TLS_FAULT_ALERT,    /* 0x0100 + alert */
	QB_TLS_FAULT_RULES,    /* PROTOCOL_VIOLATION: TLS is in order, but RFC 9001 §4 forbids it to QUIC */
	QB_TLS_FAULT_TOO_MUCH, /* CRYPTO_BUFFER_EXCEEDED */
};
enum qb_tls_fault qb_tls_fault(const struct qb_tls *t);

/*
 * qb_tls_output shows the CRYPTO bytes of a level that were produced since the start: *data and the return
 * value (length) stay valid until the next call that advances. They are never consumed: offset o of the
 * CRYPTO stream is (*data)[o], so retransmission needs no copy. qb_tls_drop frees a level's bytes.
 */
size_t qb_tls_output(const struct qb_tls *t, enum qb_level level, const uint8_t **data);
void qb_tls_drop(struct qb_tls *t, enum qb_level level);

/*
 * qb_tls_take_keys returns keys that the handshake installed since the last call (ownership passes), or
 * NULL. is_tx: our sending direction. 1-RTT keys of both directions come when the handshake is complete; to send to a client
 * whose 0-RTT data is accepted, at once.
 */
struct qb_keys *qb_tls_take_keys(struct qb_tls *t, enum qb_level level, bool is_tx);

/* qb_tls_peer_params: the peer's transport parameters once known; 0 before. */
size_t qb_tls_peer_params(const struct qb_tls *t, const uint8_t **params);
/*
 * qb_tls_peer_index: which of cfg.peers it is, -1 for none; qb_tls_peer_key stores its key (false: none). Proven
 * once the handshake is complete; after a failed one the key tells who asked.
 */
int qb_tls_peer_index(const struct qb_tls *t);
bool qb_tls_peer_key(const struct qb_tls *t, uint8_t pub[QB_PUBKEY_LEN]);
enum qb_suite qb_tls_suite(const struct qb_tls *t);

/* ---- resumption and 0-RTT (RFC 8446 §2.2, §4.2.10) ---- */

/*
 * qb_tls_resume, before a client's first qb_tls_advance, offers a session that an earlier one took. is_early: with 0-RTT, if it
 * allows that. Returns 0, or -EINVAL for bytes that are no session; the handshake may go on without.
 */
int qb_tls_resume(struct qb_tls *t, const uint8_t *session, size_t len, bool is_early) QB_MUST_CHECK;
/* qb_tls_take_session (client) moves the oldest session that the server gave out. Returns its length; 0: none. */
size_t qb_tls_take_session(struct qb_tls *t, uint8_t out[QB_TLS_SESSION_MAX]);
bool qb_tls_has_session(const struct qb_tls *t);
/*
 * qb_tls_set_early_context (server), before or with qb_tls_set_params: what 0-RTT data may rely on. A ticket that was given with
 * another context is good for resumption only. -EPROTO: out of memory.
 */
int qb_tls_set_early_context(struct qb_tls *t, const uint8_t *context, size_t len) QB_MUST_CHECK;

enum qb_tls_early {
	QB_TLS_EARLY_NONE,     /* no 0-RTT was offered (server: or it is not known yet) */
	QB_TLS_EARLY_OFFERED,  /* client: keys are there, the server's answer is not */
	QB_TLS_EARLY_ACCEPTED, /* server: the client is the one that its ticket says; it has proven its key before */
	QB_TLS_EARLY_REJECTED,
};
enum qb_tls_early qb_tls_early(const struct qb_tls *t);
/* qb_tls_is_resumed: the peer's identity rests on an earlier handshake. qb_tls_is_replay: its ticket had been used. */
bool qb_tls_is_resumed(const struct qb_tls *t);
bool qb_tls_is_replay(const struct qb_tls *t);

/* ---- keyed functions ---- */

/* A node's secret for what must survive a restart: derived from its private key, used below. */
struct qb_node_secret {
	uint8_t key[32];
};

/* qb_node_secret_derive: HKDF of the private key with a label ("reset", "token"). 0 or -EINVAL. */
int qb_node_secret_derive(const char *key_pem, const char *label, struct qb_node_secret *out) QB_MUST_CHECK;
/* qb_reset_token: 16 bytes of HMAC-SHA256(secret, cid) (RFC 9000 §10.3.2). */
void qb_reset_token(const struct qb_node_secret *s, const uint8_t *cid, size_t cid_len,
		    uint8_t token[QB_RESET_TOKEN_LEN]);
/*
 * qb_token_seal / qb_token_open: AES-256-GCM-SIV with a random nonce over an opaque body and associated data (an
 * address). seal needs body_len + 28 bytes of room and returns the token's length; open returns the body's
 * length or -EBADMSG.
 */
size_t qb_token_seal(const struct qb_node_secret *s, struct qb_drbg *rnd, const uint8_t *ad, size_t ad_len,
		     const uint8_t *body, size_t body_len, uint8_t *token);
int qb_token_open(const struct qb_node_secret *s, const uint8_t *ad, size_t ad_len, const uint8_t *token,
		  size_t token_len, uint8_t *body, size_t cap) QB_MUST_CHECK;
/* qb_ct_eq compares in constant time. */
bool qb_ct_eq(const void *a, const void *b, size_t len);
