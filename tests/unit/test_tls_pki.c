/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server that is known by a CA and a name, to a client that is known by its key: who gets in, and
 * who does not. The certificates are made here.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/nid.h>
#include <openssl/pem.h>

#include "tls/internal.h"
#include "tls_feed.h"

enum { CLIENT, SERVER, PEM_MAX = 8192 };

static const uint8_t params[] = {0x04, 0x04, 0x80, 0x10, 0x00, 0x00};
static char id_pem[3][256]; /* client, server, another client */
static uint8_t pub[3][QB_PUBKEY_LEN];
static EVP_PKEY *ca_key[2];
static X509 *ca[2];
static char ca_pem[2][PEM_MAX];

/* ---- certificates ---- */

static EVP_PKEY *new_key(void)
{
	EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
	EVP_PKEY *key = EVP_PKEY_new();

	ck_assert(ec && key && EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
	return key;
}

static void add_ext(X509 *x, int nid, bool is_critical, const uint8_t *der, size_t len)
{
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *ext;

	ck_assert(value && ASN1_OCTET_STRING_set(value, der, (int)len));
	ext = X509_EXTENSION_create_by_NID(NULL, nid, is_critical, value);
	ck_assert(ext && X509_add_ext(x, ext, -1));
	X509_EXTENSION_free(ext);
	ASN1_OCTET_STRING_free(value);
}

static void add_is_ca(X509 *x)
{
	static const uint8_t der[] = {0x30, 3, 1, 1, 0xff};

	add_ext(x, NID_basic_constraints, true, der, sizeof(der));
}

/* add_names: a DNS name and an IPv4 address (RFC 5280 §4.2.1.6). */
static void add_names(X509 *x, const char *dns, const uint8_t ip[4])
{
	uint8_t der[128] = {0x30, 0, 0x82, (uint8_t)strlen(dns)};
	size_t len = 4 + strlen(dns);

	memcpy(der + 4, dns, strlen(dns));
	der[len] = 0x87;
	der[len + 1] = 4;
	memcpy(der + len + 2, ip, 4);
	len += 6;
	der[1] = (uint8_t)(len - 2);
	add_ext(x, NID_subject_alt_name, false, der, len);
}

static void add_for_clients_only(X509 *x)
{
	static const uint8_t der[] = {0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2};

	add_ext(x, NID_ext_key_usage, false, der, sizeof(der));
}

/* new_cert: alt NULL is a CA, "" neither that nor anybody. It is good from an hour ago to in_s. */
static X509 *new_cert(EVP_PKEY *key, const char *cn, const char *alt, long in_s, X509 *issuer,
		      EVP_PKEY *issuer_key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	ck_assert(X509_set_version(x, X509_VERSION_3) &&
		  ASN1_INTEGER_set(X509_get_serialNumber(x), 7));
	ck_assert(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)cn, -1, -1,
					     0));
	ck_assert(X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name));
	ck_assert(X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
		  X509_gmtime_adj(X509_getm_notAfter(x), in_s));
	ck_assert(X509_set_pubkey(x, key));
	if (!alt)
		add_is_ca(x);
	else if (*alt)
		add_names(x, alt, (const uint8_t[]){192, 0, 2, 1});
	if (strcmp(cn, "client") == 0)
		add_for_clients_only(x);
	ck_assert_int_gt(X509_sign(x, issuer_key, EVP_sha256()), 0);
	return x;
}

static void put_pem(char out[PEM_MAX], X509 *const *certs, size_t cnt, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const uint8_t *data;
	size_t len;

	for (size_t i = 0; i < cnt; i++)
		ck_assert(PEM_write_bio_X509(bio, certs[i]));
	if (key)
		ck_assert(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
	ck_assert(BIO_mem_contents(bio, &data, &len));
	ck_assert_uint_lt(len, PEM_MAX);
	memcpy(out, data, len);
	out[len] = '\0';
	BIO_free(bio);
}

static void setup(void)
{
	char err[QB_TLS_ERR_LEN];

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(qb_key_generate(id_pem[i], sizeof(id_pem[i])), 0);
		ck_assert_int_eq(qb_key_public(id_pem[i], pub[i], err), 0);
	}
	for (int i = 0; i < 2; i++) {
		ca_key[i] = new_key();
		ca[i] = new_cert(ca_key[i], i ? "other CA" : "CA", NULL, 3600, NULL, ca_key[i]);
		put_pem(ca_pem[i], &ca[i], 1, NULL);
	}
}

static void teardown(void)
{
	for (int i = 0; i < 2; i++) {
		EVP_PKEY_free(ca_key[i]);
		X509_free(ca[i]);
	}
}

/* ---- handshakes ---- */

/* How a handshake is set up: the zero value is one that works. */
struct scene {
	const char *alt;       /* DNS name of the certificate; NULL: hub.example; "": no names */
	const char *cn;	       /* its subject; NULL: hub */
	const char *name;      /* that the client looks for; NULL: hub.example */
	long in_s;	       /* how long the certificate is good; 0: an hour */
	int trusted;	       /* CA of the client */
	bool is_stranger;      /* the client's key is another one */
	bool is_key_only;      /* the client knows the server by its key */
	bool is_wrong_key;     /* ... which is another's */
	bool is_certless;      /* the server has no such certificate */
	bool has_intermediate; /* and sends it */
	bool is_no_ca;	       /* ... which is none */
	enum { CRL_NONE, CRL_OTHER, CRL_REVOKED, CRL_OLD, CRL_OLDISH, CRL_STRANGE } crl; /* that the client has */
};

struct bench {
	struct qb_tickets *tickets;
	struct qb_tls_ctx *ctx[2];
	struct qb_tls *t[2];
	uint8_t session[QB_TLS_SESSION_MAX];
	size_t session_len;
};

static void make_server(struct bench *b, const struct scene *s)
{
	EVP_PKEY *key = new_key(), *mid_key = new_key();
	X509 *mid = new_cert(mid_key, "intermediate", s->is_no_ca ? "" : NULL, 3600, ca[0], ca_key[0]), *chain[2];
	char cert_pem[PEM_MAX], key_pem[PEM_MAX], err[QB_TLS_ERR_LEN] = "";
	struct qb_tls_cfg cfg = {
		.is_server = true,
		.key_pem = id_pem[SERVER],
		.name = "hub",
		.alpn = "h3",
		.peers = (const uint8_t(*)[QB_PUBKEY_LEN]) & pub[CLIENT],
		.peer_cnt = 1,
		.tickets = b->tickets,
		.is_early = true,
	};

	chain[0] = new_cert(key, s->cn ? s->cn : "hub", s->alt ? s->alt : "hub.example", s->in_s ? s->in_s : 3600,
			    s->has_intermediate ? mid : ca[0],
			    s->has_intermediate ? mid_key : ca_key[0]);
	chain[1] = mid;
	put_pem(cert_pem, chain, s->has_intermediate ? 2 : 1, NULL);
	put_pem(key_pem, NULL, 0, key);
	if (!s->is_certless) {
		cfg.cert_pem = cert_pem;
		cfg.cert_key_pem = key_pem;
	}
	b->ctx[SERVER] = qb_tls_ctx_new(&cfg, err);
	ck_assert_msg(b->ctx[SERVER] != NULL, "%s", err);
	X509_free(chain[0]);
	X509_free(mid);
	EVP_PKEY_free(key);
	EVP_PKEY_free(mid_key);
}

/* put_crl: all certificates have the number 7. */
static const char *put_crl(const struct scene *s, char out[PEM_MAX])
{
	int by = s->crl == CRL_STRANGE;
	long until_s = s->crl == CRL_OLD ? -400 : s->crl == CRL_OLDISH ? -200 : 3600;
	X509_CRL *crl = X509_CRL_new();
	X509_REVOKED *revoked = X509_REVOKED_new();
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	ASN1_TIME *t = ASN1_TIME_new();
	BIO *bio = BIO_new(BIO_s_mem());
	const uint8_t *data;
	size_t len;

	ck_assert(X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
		  X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca[by])));
	ck_assert(X509_gmtime_adj(t, -3600) && X509_CRL_set1_lastUpdate(crl, t) && X509_REVOKED_set_revocationDate(revoked, t));
	ck_assert(X509_gmtime_adj(t, until_s) && X509_CRL_set1_nextUpdate(crl, t));
	ck_assert(ASN1_INTEGER_set(serial, s->crl == CRL_REVOKED ? 7 : 8) && X509_REVOKED_set_serialNumber(revoked, serial));
	ck_assert(X509_CRL_add0_revoked(crl, revoked));
	ck_assert_int_gt(X509_CRL_sign(crl, ca_key[by], EVP_sha256()), 0);
	ck_assert(PEM_write_bio_X509_CRL(bio, crl) && BIO_mem_contents(bio, &data, &len));
	ck_assert_uint_lt(len, PEM_MAX);
	memcpy(out, data, len);
	out[len] = '\0';
	BIO_free(bio);
	ASN1_TIME_free(t);
	ASN1_INTEGER_free(serial);
	X509_CRL_free(crl);
	return out;
}

static void make_client(struct bench *b, const struct scene *s)
{
	char crl[PEM_MAX];
	const struct qb_tls_named named = {s->name ? s->name : "hub.example", ca_pem[s->trusted],
					   s->crl ? put_crl(s, crl) : NULL};
	char err[QB_TLS_ERR_LEN] = "";
	struct qb_tls_cfg cfg = {
		.key_pem = id_pem[s->is_stranger ? 2 : CLIENT],
		.name = "edge",
		.alpn = "h3",
		.peers = (const uint8_t(*)[QB_PUBKEY_LEN]) & pub[s->is_wrong_key ? 2 : SERVER],
		.peer_cnt = 1,
		.named = &named,
		.named_cnt = !s->is_key_only,
	};

	b->ctx[CLIENT] = qb_tls_ctx_new(&cfg, err);
	ck_assert_msg(b->ctx[CLIENT] != NULL, "%s", err);
}

/* shake returns which side refused; -1: none. */
static int shake(struct bench *b, const char *name)
{
	size_t fed[2][QB_LEVEL_CNT] = {{0}};

	for (int side = 0; side < 2; side++) {
		qb_tls_free(b->t[side]);
		b->t[side] = qb_tls_new(b->ctx[side], QB_QUIC_V1, params, sizeof(params), name);
		ck_assert_ptr_nonnull(b->t[side]);
	}
	ck_assert_int_eq(qb_tls_set_early_context(b->t[SERVER], (const uint8_t *)"x", 1), 0);
	if (b->session_len)
		ck_assert_int_eq(qb_tls_resume(b->t[CLIENT], b->session, b->session_len, true), 0);
	/* What a ticket is from is checked again, before anything is sent. */
	if (qb_tls_advance(b->t[CLIENT]))
		return CLIENT;
	for (int idle = 0, to = SERVER; idle < 2; to = !to) {
		int ret = tls_feed(b->t[!to], b->t[to], fed[to]);

		if (ret < 0)
			return to;
		idle = ret ? 0 : idle + 1;
	}
	ck_assert(qb_tls_is_complete(b->t[CLIENT]) && qb_tls_is_complete(b->t[SERVER]));
	b->session_len = qb_tls_take_session(b->t[CLIENT], b->session);
	return -1;
}

static void bench_init(struct bench *b, const struct scene *s)
{
	memset(b, 0, sizeof(*b));
	b->tickets = qb_tickets_new(NULL, (uint64_t)time(NULL));
	make_server(b, s);
	make_client(b, s);
}

static void bench_fini(struct bench *b)
{
	for (int side = 0; side < 2; side++) {
		qb_tls_free(b->t[side]);
		qb_tls_ctx_free(b->ctx[side]);
	}
	qb_tickets_free(b->tickets);
}

static const struct {
	const char *what;
	struct scene s;
	int refused; /* by which side; -1: nobody */
	const char *why;
} rows[] = {
	{"as it should be", {0}, -1, NULL},
	{"by an intermediate CA", {.has_intermediate = true}, -1, NULL},
	{"by its address", {.name = "192.0.2.1"}, -1, NULL},
	{"by a wildcard", {.alt = "*.example.net", .name = "hub.example.net"}, -1, NULL},
	{"a name that begins with an address",
	 {.alt = "192.0.2.1.example.net", .name = "192.0.2.1.example.net"},
	 -1,
	 NULL},
	{"by its key, all the same", {.is_key_only = true, .name = "hub"}, -1, NULL},
	{"another name", {.name = "hub.example.net"}, CLIENT, "Hostname mismatch"},
	{"another address", {.name = "192.0.2.2"}, CLIENT, "IP address mismatch"},
	{"a wildcard for more than a label",
	 {.alt = "*.example.net", .name = "a.hub.example.net"},
	 CLIENT,
	 "Hostname mismatch"},
	{"a name that begins like it", {.alt = "hub.example.evil"}, CLIENT, "Hostname mismatch"},
	{"an address that the name begins with",
	 {.name = "192.0.2.1.example.net"},
	 CLIENT,
	 "Hostname mismatch"},
	{"a wildcard for a part of a label",
	 {.alt = "h*.example.net", .name = "hub.example.net"},
	 CLIENT,
	 "Hostname mismatch"},
	{"a wildcard for all", {.alt = "*", .name = "hub"}, CLIENT, "Hostname mismatch"},
	{"a name in the subject only", {.alt = "", .cn = "hub.example"}, CLIENT, "Hostname mismatch"},
	{"no name to look for", {.name = ""}, CLIENT, NULL},
	{"for clients only", {.cn = "client"}, CLIENT, "unsupported certificate purpose"},
	{"by who is no CA",
	 {.has_intermediate = true, .is_no_ca = true},
	 CLIENT,
	 "invalid CA certificate"},
	{"another CA", {.trusted = 1}, CLIENT, "unable to get local issuer certificate"},
	{"expired", {.in_s = -400}, CLIENT, "certificate has expired"},
	{"expired by a clock that is fast", {.in_s = -200}, -1, NULL},
	{"not on the list", {.crl = CRL_OTHER}, -1, NULL},
	{"revoked", {.crl = CRL_REVOKED}, CLIENT, "certificate revoked"},
	{"by a list that is old", {.crl = CRL_OLD}, CLIENT, "CRL has expired"},
	{"by a list that was good until a moment ago", {.crl = CRL_OLDISH}, -1, NULL},
	{"by another CA's list", {.crl = CRL_STRANGE}, CLIENT, "unable to get certificate CRL"},
	{"by an intermediate CA without a list",
	 {.has_intermediate = true, .crl = CRL_OTHER},
	 CLIENT,
	 "unable to get certificate CRL"},
	{"no certificate but the identity",
	 {.is_certless = true},
	 CLIENT,
	 "self signed certificate"},
	{"a stranger", {.is_stranger = true}, SERVER, "the peer's public key is not listed"},
	{"by a wrong key",
	 {.is_key_only = true, .is_wrong_key = true, .name = "hub"},
	 CLIENT,
	 "the peer's public key is not listed"},
};

START_TEST(who_gets_in)
{
	const struct scene *s = &rows[_i].s;
	uint8_t want[QB_PUBKEY_LEN], got[QB_PUBKEY_LEN];
	const char *name = s->name ? s->name : "hub.example", *why = "";
	struct bench b;
	int refused;

	bench_init(&b, s);
	refused = shake(&b, name);
	if (refused >= 0)
		(void)qb_tls_alert(b.t[refused], &why);
	ck_assert_msg(refused == rows[_i].refused, "%s: %d, %s", rows[_i].what, refused, why);
	if (rows[_i].why)
		ck_assert_msg(strcmp(why, rows[_i].why) == 0, "%s: %s", rows[_i].what, why);
	if (refused < 0) {
		/* Each knows whom it has: the server by the key, the client by key or name. */
		ck_assert(qb_tls_peer_key(b.t[SERVER], got));
		ck_assert_mem_eq(got, pub[CLIENT], QB_PUBKEY_LEN);
		ck_assert_int_eq(qb_tls_peer_index(b.t[SERVER]), 0);
		qb_tls_name_key(name, want);
		ck_assert(qb_tls_peer_key(b.t[CLIENT], got));
		ck_assert_mem_eq(got, s->is_key_only ? pub[SERVER] : want, QB_PUBKEY_LEN);
	}
	bench_fini(&b);
}
END_TEST

/* A ticket of such a server: good once, and not once its name is another CA's. */
START_TEST(resumed)
{
	struct scene s = {.has_intermediate = true};
	uint8_t want[QB_PUBKEY_LEN], got[QB_PUBKEY_LEN];
	struct bench b;

	bench_init(&b, &s);
	ck_assert_int_eq(shake(&b, "hub.example"), -1);
	ck_assert_uint_gt(b.session_len, 0);
	ck_assert(!qb_tls_is_resumed(b.t[CLIENT]));
	ck_assert_int_eq(shake(&b, "hub.example"), -1);
	ck_assert(qb_tls_is_resumed(b.t[CLIENT]));
	ck_assert_int_eq(qb_tls_early(b.t[CLIENT]), QB_TLS_EARLY_ACCEPTED);
	qb_tls_name_key("hub.example", want);
	ck_assert(qb_tls_peer_key(b.t[CLIENT], got));
	ck_assert_mem_eq(got, want, QB_PUBKEY_LEN);
	ck_assert_uint_gt(b.session_len, 0);
	qb_tls_ctx_free(b.ctx[CLIENT]);
	s.trusted = 1;
	make_client(&b, &s);
	ck_assert_int_eq(shake(&b, "hub.example"), CLIENT);
	bench_fini(&b);
}
END_TEST

/* ... nor once its certificate was revoked. */
START_TEST(revoked_meanwhile)
{
	struct scene s = {.crl = CRL_OTHER};
	const char *why = "";
	struct bench b;

	bench_init(&b, &s);
	ck_assert_int_eq(shake(&b, "hub.example"), -1);
	ck_assert_uint_gt(b.session_len, 0);
	qb_tls_ctx_free(b.ctx[CLIENT]);
	s.crl = CRL_REVOKED;
	make_client(&b, &s);
	ck_assert_int_eq(shake(&b, "hub.example"), CLIENT);
	(void)qb_tls_alert(b.t[CLIENT], &why);
	ck_assert_str_eq(why, "certificate revoked");
	bench_fini(&b);
}
END_TEST

/* A ticket that was given to who knows the server by its key is of no use by a CA and a name, nor the other way round. */
START_TEST(ticket_of_the_other_kind)
{
	struct scene s = {.is_key_only = _i == 0};
	struct bench b;

	bench_init(&b, &s);
	ck_assert_int_eq(shake(&b, "hub.example"), -1);
	ck_assert_uint_gt(b.session_len, 0);
	qb_tls_ctx_free(b.ctx[CLIENT]);
	s.is_key_only = !s.is_key_only;
	make_client(&b, &s);
	ck_assert_int_eq(shake(&b, "hub.example"), CLIENT);
	ck_assert(!qb_tls_is_complete(b.t[SERVER]));
	bench_fini(&b);
}
END_TEST

START_TEST(bad_files)
{
	static const char *const bad[] = {
		"", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
	struct qb_tls_named named[] = {{"good.example", ca_pem[0], NULL}, {"bad.example", bad[_i], NULL}};
	char err[QB_TLS_ERR_LEN] = "";
	struct qb_tls_cfg cfg = {.key_pem = id_pem[CLIENT],
				 .name = "edge",
				 .alpn = "h3",
				 .named = named,
				 .named_cnt = 2};

	ck_assert_ptr_null(qb_tls_ctx_new(&cfg, err));
	ck_assert_str_eq(err, "bad.example: no CA certificate found");
	named[1] = (struct qb_tls_named){"bad.example", ca_pem[0], bad[_i]};
	ck_assert_ptr_null(qb_tls_ctx_new(&cfg, err));
	ck_assert_str_eq(err, "bad.example: no certificate revocation list found");
}
END_TEST

/* A name's key is of nobody else, whatever the name. */
START_TEST(name_keys)
{
	uint8_t a[QB_PUBKEY_LEN], b[QB_PUBKEY_LEN];

	qb_tls_name_key("a", a);
	qb_tls_name_key("b", b);
	ck_assert_mem_ne(a, b, sizeof(a));
	qb_tls_name_key("a", b);
	ck_assert_mem_eq(a, b, sizeof(a));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tls/pki");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, who_gets_in, 0, (int)QB_ARRAY_LEN(rows));
	tcase_add_test(tc, resumed);
	tcase_add_test(tc, revoked_meanwhile);
	tcase_add_loop_test(tc, ticket_of_the_other_kind, 0, 2);
	tcase_add_loop_test(tc, bad_files, 0, 3);
	tcase_add_test(tc, name_keys);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
