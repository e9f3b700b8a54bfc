/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two ends that shake hands in memory: suites, versions, who is let in and who is not, and what
 * each refusal looks like on both sides.
 */
#include <errno.h>
#include <stdlib.h>

#include "tls/internal.h"
#include "tls_hex.h"

/*
 * BoringSSL picks ChaCha20 only on CPUs without AES. It asks this function of libcrypto, which ours
 * stands in front of in the dynamic symbol order.
 */
static int has_aes = 1;
int EVP_has_aes_hardware(void) __attribute__((weak));
int EVP_has_aes_hardware(void)
{
	return has_aes;
}

enum { CLIENT, SERVER, ALERT_MISSING_CERT = 116, ALERT_NO_ALPN = 120, ALERT_CERT_UNKNOWN = 46 };

static const uint8_t client_params[] = {0x04, 0x04, 0x80, 0x10, 0x00, 0x00};
static const uint8_t server_params[] = {0x01, 0x02, 0x40, 0x64};

static char pem[3][256]; /* client, server, stranger */
static uint8_t pub[3][QB_PUBKEY_LEN];

struct pair {
	struct qb_tls_ctx *ctx[2];
	struct qb_tls *t[2];
	size_t fed[2][QB_LEVEL_CNT]; /* bytes of each end's output that the other has got */
	size_t chunk;		     /* bytes handed in at once; 0: all there are */
};

struct setup {
	const uint8_t *client_trusts, *server_trusts;
	const char *client_alpn, *server_alpn;
	const char *client_key;
	bool is_peer_optional;
	uint32_t version;
};

static struct setup setup_good(void)
{
	return (struct setup){
		.client_trusts = pub[SERVER],
		.server_trusts = pub[CLIENT],
		.client_alpn = "h3",
		.server_alpn = "h3",
		.client_key = pem[CLIENT],
		.version = QB_QUIC_V1,
	};
}

static struct qb_tls_ctx *ctx_of(const struct setup *s, int side)
{
	uint8_t peers[2][QB_PUBKEY_LEN] = {{1}};
	const struct qb_tls_cfg cfg = {
		.is_server = side == SERVER,
		.key_pem = side == SERVER ? pem[SERVER] : s->client_key,
		.name = side == SERVER ? "hub.example" : "edge",
		.alpn = side == SERVER ? s->server_alpn : s->client_alpn,
		.peers = (const uint8_t(*)[QB_PUBKEY_LEN])peers,
		.peer_cnt = 2,
		.is_peer_optional = s->is_peer_optional,
	};
	char err[QB_TLS_ERR_LEN] = "";
	struct qb_tls_ctx *ctx;

	memcpy(peers[1], side == SERVER ? s->server_trusts : s->client_trusts, QB_PUBKEY_LEN);
	ctx = qb_tls_ctx_new(&cfg, err);
	ck_assert_msg(ctx != NULL, "%s", err);
	return ctx;
}

static void pair_begin(struct pair *p, const struct setup *s)
{
	p->t[CLIENT] = qb_tls_new(p->ctx[CLIENT], s->version, client_params, sizeof(client_params),
				  "hub.example");
	p->t[SERVER] =
		qb_tls_new(p->ctx[SERVER], s->version, server_params, sizeof(server_params), NULL);
	ck_assert_ptr_nonnull(p->t[CLIENT]);
	ck_assert_ptr_nonnull(p->t[SERVER]);
}

static void pair_new(struct pair *p, const struct setup *s)
{
	memset(p, 0, sizeof(*p));
	for (int side = 0; side < 2; side++)
		p->ctx[side] = ctx_of(s, side);
	pair_begin(p, s);
}

static void pair_free(struct pair *p)
{
	for (int side = 0; side < 2; side++) {
		qb_tls_free(p->t[side]);
		qb_tls_ctx_free(p->ctx[side]);
	}
}

/* Gives one end what is new from the other. Returns 1 if there was something, 0, or -EPROTO. */
static int feed(struct pair *p, int to, enum qb_level level)
{
	const uint8_t *data;
	size_t len = qb_tls_output(p->t[!to], level, &data);
	size_t *off = &p->fed[!to][level];
	size_t n = len - *off;

	if (n == 0)
		return 0;
	if (p->chunk && n > p->chunk)
		n = p->chunk;
	if (qb_tls_provide(p->t[to], level, data + *off, n) || qb_tls_advance(p->t[to]))
		return -EPROTO;
	*off += n;
	return 1;
}

/* Runs until nothing moves. Returns the side that failed, or -1. */
static int pump(struct pair *p)
{
	bool moved = true;

	if (qb_tls_advance(p->t[CLIENT]))
		return CLIENT;
	while (moved) {
		moved = false;
		for (int to = 0; to < 2; to++) {
			for (int level = 0; level < QB_LEVEL_CNT; level++) {
				int ret;

				while ((ret = feed(p, to, (enum qb_level)level)) > 0)
					moved = true;
				if (ret < 0)
					return to;
			}
		}
	}
	return -1;
}

static void check_keys_agree(struct qb_keys *tx, struct qb_keys *rx)
{
	uint8_t pkt[4 + 12 + QB_AEAD_TAG_LEN] = "hdr.hello, peer";
	uint8_t sample[QB_HP_SAMPLE_LEN] = {9}, a[QB_HP_MASK_LEN], b[QB_HP_MASK_LEN];

	ck_assert_ptr_nonnull(tx);
	ck_assert_ptr_nonnull(rx);
	ck_assert_int_eq(qb_keys_suite(tx), qb_keys_suite(rx));
	qb_keys_seal(tx, 1, 42, pkt, 4, 12);
	ck_assert_int_eq(qb_keys_open(rx, 1, 42, pkt, 4, 12 + QB_AEAD_TAG_LEN), 12);
	ck_assert_mem_eq(pkt, "hdr.hello, peer", 16);
	qb_keys_hp_mask(tx, sample, a);
	qb_keys_hp_mask(rx, sample, b);
	ck_assert_mem_eq(a, b, sizeof(a));
	qb_keys_free(tx);
	qb_keys_free(rx);
}

static void check_agreement(struct pair *p)
{
	static const enum qb_level levels[] = {QB_LEVEL_HANDSHAKE, QB_LEVEL_APP};

	for (size_t i = 0; i < QB_ARRAY_LEN(levels); i++) {
		for (int from = 0; from < 2; from++) {
			check_keys_agree(qb_tls_take_keys(p->t[from], levels[i], true),
					 qb_tls_take_keys(p->t[!from], levels[i], false));
			ck_assert_ptr_null(qb_tls_take_keys(p->t[from], levels[i], true));
		}
	}
}

static void check_complete(struct pair *p)
{
	const uint8_t *params;
	uint8_t key[QB_PUBKEY_LEN];

	for (int side = 0; side < 2; side++)
		ck_assert(qb_tls_is_complete(p->t[side]));
	ck_assert_uint_eq(qb_tls_peer_params(p->t[CLIENT], &params), sizeof(server_params));
	ck_assert_mem_eq(params, server_params, sizeof(server_params));
	ck_assert_uint_eq(qb_tls_peer_params(p->t[SERVER], &params), sizeof(client_params));
	ck_assert_mem_eq(params, client_params, sizeof(client_params));
	ck_assert_int_eq(qb_tls_peer_index(p->t[CLIENT]), 1);
	ck_assert(qb_tls_peer_key(p->t[CLIENT], key));
	ck_assert_mem_eq(key, pub[SERVER], sizeof(key));
}

static const struct {
	enum qb_suite suite;
	uint32_t version;
	size_t chunk;
} rounds[] = {
	{QB_SUITE_AES128GCM, QB_QUIC_V1, 0},   {QB_SUITE_AES128GCM, QB_QUIC_V2, 1},
	{QB_SUITE_AES256GCM, QB_QUIC_V1, 100}, {QB_SUITE_AES256GCM, QB_QUIC_V2, 0},
	{QB_SUITE_CHACHA20, QB_QUIC_V1, 0},    {QB_SUITE_CHACHA20, QB_QUIC_V2, 7},
};

START_TEST(suites)
{
	struct setup s = setup_good();
	struct pair p = {.chunk = rounds[_i].chunk};
	uint8_t key[QB_PUBKEY_LEN];

	has_aes = rounds[_i].suite != QB_SUITE_CHACHA20;
	s.version = rounds[_i].version;
	for (int side = 0; side < 2; side++) {
		p.ctx[side] = ctx_of(&s, side);
		ck_assert_int_eq(qb_tls_ctx_set_suite(p.ctx[side], rounds[_i].suite), 0);
	}
	pair_begin(&p, &s);
	ck_assert_int_eq(pump(&p), -1);
	check_complete(&p);
	ck_assert_int_eq(qb_tls_suite(p.t[CLIENT]), rounds[_i].suite);
	ck_assert_int_eq(qb_tls_suite(p.t[SERVER]), rounds[_i].suite);
	ck_assert_int_eq(qb_tls_peer_index(p.t[SERVER]), 1);
	ck_assert(qb_tls_peer_key(p.t[SERVER], key));
	ck_assert_mem_eq(key, pub[CLIENT], sizeof(key));
	check_agreement(&p);
	pair_free(&p);
	has_aes = 1;
}
END_TEST

START_TEST(suite_unavailable)
{
	struct setup s = setup_good();
	struct qb_tls_ctx *ctx = ctx_of(&s, CLIENT);

	ck_assert_int_eq(qb_tls_ctx_set_suite(ctx, QB_SUITE_CHACHA20), -ENOTSUP);
	has_aes = 0;
	ck_assert_int_eq(qb_tls_ctx_set_suite(ctx, QB_SUITE_AES128GCM), -ENOTSUP);
	has_aes = 1;
	qb_tls_ctx_free(ctx);
}
END_TEST

static void check_failed(struct pair *p, int side, uint8_t alert, const char *why)
{
	const char *text;

	ck_assert_uint_eq(qb_tls_alert(p->t[side], &text), alert);
	ck_assert_str_eq(text, why);
	ck_assert(!qb_tls_is_complete(p->t[side]));
	ck_assert_ptr_null(qb_tls_take_keys(p->t[side], QB_LEVEL_APP, true));
	ck_assert_ptr_null(qb_tls_take_keys(p->t[side], QB_LEVEL_APP, false));
	ck_assert_int_eq(qb_tls_advance(p->t[side]), -EPROTO);
	ck_assert_int_eq(qb_tls_provide(p->t[side], QB_LEVEL_HANDSHAKE, (const uint8_t *)"", 1),
			 -EPROTO);
}

static const char not_listed[] = "the peer's public key is not listed";

START_TEST(server_not_listed)
{
	struct setup s = setup_good();
	struct pair p;
	uint8_t key[QB_PUBKEY_LEN];

	s.client_trusts = pub[2];
	pair_new(&p, &s);
	ck_assert_int_eq(pump(&p), CLIENT);
	check_failed(&p, CLIENT, ALERT_CERT_UNKNOWN, not_listed);
	ck_assert_int_eq(qb_tls_peer_index(p.t[CLIENT]), -1);
	ck_assert(qb_tls_peer_key(p.t[CLIENT], key));
	ck_assert_mem_eq(key, pub[SERVER], sizeof(key));
	ck_assert(!qb_tls_peer_key(p.t[SERVER], key));
	pair_free(&p);
}
END_TEST

START_TEST(client_not_listed)
{
	struct setup s = setup_good();
	struct pair p;

	s.client_key = pem[2];
	s.is_peer_optional = _i;
	pair_new(&p, &s);
	ck_assert_int_eq(pump(&p), SERVER);
	check_failed(&p, SERVER, ALERT_CERT_UNKNOWN, not_listed);
	ck_assert_int_eq(qb_tls_peer_index(p.t[SERVER]), -1);
	pair_free(&p);
}
END_TEST

START_TEST(alpn_mismatch)
{
	struct setup s = setup_good();
	struct pair p;

	s.client_alpn = "hq-interop";
	pair_new(&p, &s);
	ck_assert_int_eq(pump(&p), SERVER);
	check_failed(&p, SERVER, ALERT_NO_ALPN, "NO_APPLICATION_PROTOCOL");
	pair_free(&p);
}
END_TEST

START_TEST(alpn_absent)
{
	struct setup s = setup_good();
	struct pair p;

	pair_new(&p, &s);
	SSL_set_alpn_protos(p.t[CLIENT]->ssl, NULL, 0);
	/* BoringSSL's client refuses to begin without one. */
	ck_assert_int_eq(qb_tls_advance(p.t[CLIENT]), -EPROTO);
	ck_assert_int_eq(qb_tls_advance(p.t[CLIENT]), -EPROTO);
	pair_free(&p);
}
END_TEST

START_TEST(client_without_cert)
{
	struct setup s = setup_good();
	struct pair p;

	pair_new(&p, &s);
	SSL_certs_clear(p.t[CLIENT]->ssl);
	ck_assert_int_eq(pump(&p), SERVER);
	check_failed(&p, SERVER, ALERT_MISSING_CERT, "PEER_DID_NOT_RETURN_A_CERTIFICATE");
	/* The client was done, and thinks that it is in; the server's CONNECTION_CLOSE tells it. */
	ck_assert(qb_tls_is_complete(p.t[CLIENT]));
	pair_free(&p);
}
END_TEST

START_TEST(client_optional)
{
	struct setup s = setup_good();
	struct pair p;
	uint8_t key[QB_PUBKEY_LEN];

	s.is_peer_optional = true;
	pair_new(&p, &s);
	SSL_certs_clear(p.t[CLIENT]->ssl);
	ck_assert_int_eq(pump(&p), -1);
	check_complete(&p);
	ck_assert_int_eq(qb_tls_peer_index(p.t[SERVER]), -1);
	ck_assert(!qb_tls_peer_key(p.t[SERVER], key));
	check_agreement(&p);
	pair_free(&p);
}
END_TEST

/* The server has 1-RTT secrets after its first flight, but nobody gets them before the client is
 * known. */
START_TEST(no_early_app_keys)
{
	struct setup s = setup_good();
	struct pair p;

	pair_new(&p, &s);
	ck_assert_int_eq(qb_tls_advance(p.t[CLIENT]), 0);
	ck_assert_int_eq(feed(&p, SERVER, QB_LEVEL_INITIAL), 1);
	ck_assert_ptr_nonnull(p.t[SERVER]->keys[QB_LEVEL_APP][1]);
	ck_assert_ptr_null(qb_tls_take_keys(p.t[SERVER], QB_LEVEL_APP, true));
	ck_assert_int_eq(pump(&p), -1);
	check_agreement(&p);
	pair_free(&p);
}
END_TEST

START_TEST(output_and_drop)
{
	struct setup s = setup_good();
	struct pair p;
	const uint8_t *data;
	uint8_t hello[2048];
	size_t len;

	pair_new(&p, &s);
	ck_assert_uint_eq(qb_tls_output(p.t[CLIENT], QB_LEVEL_INITIAL, &data), 0);
	ck_assert_int_eq(qb_tls_advance(p.t[CLIENT]), 0);
	len = qb_tls_output(p.t[CLIENT], QB_LEVEL_INITIAL, &data);
	ck_assert_uint_gt(len, 100);
	ck_assert_uint_eq(data[0], 1); /* ClientHello */
	/* RFC 9001 §8.4: legacy_session_id is empty. */
	ck_assert_uint_eq(data[4 + 2 + 32], 0);
	memcpy(hello, data, len);
	ck_assert_int_eq(pump(&p), -1);
	ck_assert_uint_eq(qb_tls_output(p.t[CLIENT], QB_LEVEL_INITIAL, &data), len);
	ck_assert_mem_eq(data, hello, len);
	qb_tls_drop(p.t[CLIENT], QB_LEVEL_INITIAL);
	ck_assert_uint_eq(qb_tls_output(p.t[CLIENT], QB_LEVEL_INITIAL, &data), 0);
	pair_free(&p);
}
END_TEST

static const struct {
	const char *name, *sni;
} names[] = {
	{"hub.example", "hub.example"}, {NULL, "edge"},	    {"", NULL}, {"192.0.2.1", NULL},
	{"2001:db8::1", NULL},		{"bad name", NULL},
};

START_TEST(sni)
{
	struct setup s = setup_good();
	struct qb_tls_ctx *ctx = ctx_of(&s, CLIENT);
	struct qb_tls *t =
		qb_tls_new(ctx, QB_QUIC_V1, client_params, sizeof(client_params), names[_i].name);
	const char *got;

	/* The handshake keeps the context that a reload has dropped. */
	qb_tls_ctx_free(ctx);
	ck_assert_int_eq(qb_tls_advance(t), 0);
	got = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
	if (names[_i].sni)
		ck_assert_str_eq(got, names[_i].sni);
	else
		ck_assert_ptr_null(got);
	qb_tls_free(t);
}
END_TEST

START_TEST(garbage)
{
	struct setup s = setup_good();
	struct pair p;
	static const uint8_t junk[] = {1, 0, 0, 4, 0xde, 0xad, 0xbe, 0xef};
	const char *text;

	pair_new(&p, &s);
	ck_assert_int_eq(qb_tls_provide(p.t[SERVER], QB_LEVEL_INITIAL, junk, sizeof(junk)), 0);
	ck_assert_int_eq(qb_tls_advance(p.t[SERVER]), -EPROTO);
	ck_assert_uint_eq(qb_tls_alert(p.t[SERVER], &text), 50); /* decode_error */
	ck_assert_str_eq(text, "DECODE_ERROR");
	/* Data of a level that is not read now. */
	ck_assert_int_eq(qb_tls_advance(p.t[CLIENT]), 0);
	ck_assert_int_eq(qb_tls_provide(p.t[CLIENT], QB_LEVEL_APP, junk, sizeof(junk)), -EPROTO);
	ck_assert_int_eq(qb_tls_fault(p.t[CLIENT]), QB_TLS_FAULT_RULES);
	ck_assert_uint_eq(qb_tls_alert(p.t[CLIENT], NULL), 10); /* unexpected_message */
	pair_free(&p);
}
END_TEST

/* RFC 9001 §4.1.3: a level ends with the message that brings the next one's keys, whenever what is behind it comes. */
START_TEST(too_much_of_a_level)
{
	struct setup s = setup_good();
	struct pair p;
	static const uint8_t more[] = {1, 0, 0, 0};
	uint8_t both[4096];
	const uint8_t *hello;
	size_t len;

	pair_new(&p, &s);
	ck_assert_int_eq(qb_tls_advance(p.t[CLIENT]), 0);
	len = qb_tls_output(p.t[CLIENT], QB_LEVEL_INITIAL, &hello);
	ck_assert_uint_lt(len + sizeof(more), sizeof(both));
	memcpy(both, hello, len);
	memcpy(both + len, more, sizeof(more));
	if (_i == 0) {
		ck_assert_int_eq(qb_tls_provide(p.t[SERVER], QB_LEVEL_INITIAL, both, len + sizeof(more)), 0);
		ck_assert_int_eq(qb_tls_advance(p.t[SERVER]), -EPROTO);
	} else {
		ck_assert_int_eq(feed(&p, SERVER, QB_LEVEL_INITIAL), 1);
		ck_assert_int_eq(qb_tls_provide(p.t[SERVER], QB_LEVEL_INITIAL, more, sizeof(more)), -EPROTO);
	}
	ck_assert_int_eq(qb_tls_fault(p.t[SERVER]), QB_TLS_FAULT_RULES);
	pair_free(&p);
}
END_TEST

START_TEST(flood)
{
	struct setup s = setup_good();
	struct pair p;
	/* A ClientHello that announces 16 MB. */
	static const uint8_t junk[1024] = {1, 0xff, 0xff, 0xff};
	int ret = 0;
	size_t sent = 0;

	pair_new(&p, &s);
	while (ret == 0) {
		ret = qb_tls_provide(p.t[SERVER], QB_LEVEL_INITIAL, junk, sizeof(junk));
		if (ret == 0)
			ret = qb_tls_advance(p.t[SERVER]);
		sent += sizeof(junk);
		ck_assert_uint_lt(sent, 65536);
	}
	ck_assert_int_eq(ret, -EPROTO);
	ck_assert_int_eq(qb_tls_fault(p.t[SERVER]), QB_TLS_FAULT_TOO_MUCH);
	pair_free(&p);
}
END_TEST

/* RFC 9001 §6: a TLS KeyUpdate ends the connection with unexpected_message. */
START_TEST(tls_key_update)
{
	struct setup s = setup_good();
	static const uint8_t msg[] = {24, 0, 0, 1, 0};
	struct pair p;

	pair_new(&p, &s);
	ck_assert_int_eq(pump(&p), -1);
	ck_assert_int_eq(qb_tls_provide(p.t[_i], QB_LEVEL_APP, msg, sizeof(msg)), 0);
	ck_assert_int_eq(qb_tls_advance(p.t[_i]), -EPROTO);
	ck_assert_uint_eq(qb_tls_alert(p.t[_i], NULL), 10);
	ck_assert_int_eq(qb_tls_fault(p.t[_i]), QB_TLS_FAULT_ALERT);
	pair_free(&p);
}
END_TEST

/* RFC 9001 §4.4: nobody is asked for a certificate once the handshake is over. */
START_TEST(late_certificate_request)
{
	struct setup s = setup_good();
	static const uint8_t msg[] = {13, 0, 0, 3, 0, 0, 0};
	struct pair p;

	pair_new(&p, &s);
	ck_assert_int_eq(pump(&p), -1);
	ck_assert_int_eq(qb_tls_provide(p.t[CLIENT], QB_LEVEL_APP, msg, sizeof(msg)), 0);
	ck_assert_int_eq(qb_tls_advance(p.t[CLIENT]), -EPROTO);
	ck_assert_int_eq(qb_tls_fault(p.t[CLIENT]), QB_TLS_FAULT_RULES);
	pair_free(&p);
}
END_TEST

/* Any flipped bit of the server's encrypted flight must end the handshake at the client. */
START_TEST(tampered_flight)
{
	struct setup s = setup_good();
	struct pair p;
	const uint8_t *data;
	uint8_t copy[4096];
	size_t len;
	int ret;

	pair_new(&p, &s);
	ck_assert_int_eq(qb_tls_advance(p.t[CLIENT]), 0);
	ck_assert_int_eq(feed(&p, SERVER, QB_LEVEL_INITIAL), 1);
	ck_assert_int_eq(feed(&p, CLIENT, QB_LEVEL_INITIAL), 1);
	len = qb_tls_output(p.t[SERVER], QB_LEVEL_HANDSHAKE, &data);
	ck_assert_uint_lt(len, sizeof(copy));
	memcpy(copy, data, len);
	copy[len * (size_t)_i / 16] ^= 1;
	ret = qb_tls_provide(p.t[CLIENT], QB_LEVEL_HANDSHAKE, copy, len);
	if (ret == 0)
		ret = qb_tls_advance(p.t[CLIENT]);
	/* A changed length may leave it waiting for more, but never done. */
	ck_assert(ret == 0 || ret == -EPROTO);
	ck_assert(!qb_tls_is_complete(p.t[CLIENT]));
	ck_assert_ptr_null(qb_tls_take_keys(p.t[CLIENT], QB_LEVEL_APP, true));
	pair_free(&p);
}
END_TEST

static void count_line(void *arg, const char *text)
{
	ck_assert_ptr_nonnull(strstr(text, "_SECRET"));
	++*(int *)arg;
}

START_TEST(keylog)
{
	struct setup s = setup_good();
	struct pair p;
	int lines = 0;

	memset(&p, 0, sizeof(p));
	for (int side = 0; side < 2; side++)
		p.ctx[side] = ctx_of(&s, side);
	qb_tls_ctx_keylog(p.ctx[CLIENT], count_line, &lines);
	pair_begin(&p, &s);
	ck_assert_int_eq(pump(&p), -1);
	ck_assert_int_ge(lines, 4);
	qb_tls_ctx_keylog(p.ctx[CLIENT], NULL, NULL);
	pair_free(&p);
}
END_TEST

START_TEST(ctx_errors)
{
	struct qb_tls_cfg cfg = {.key_pem = pem[0], .name = "edge", .alpn = "h3"};
	char err[QB_TLS_ERR_LEN];
	struct qb_tls_ctx *ctx = qb_tls_ctx_new(&cfg, err);

	ck_assert_ptr_nonnull(ctx);
	qb_tls_ctx_free(ctx);
	cfg.key_pem = "nothing";
	ck_assert_ptr_null(qb_tls_ctx_new(&cfg, err));
	ck_assert_str_eq(err, "no PEM private key found");
	cfg.key_pem = pem[0];
	cfg.name = "";
	ck_assert_ptr_null(qb_tls_ctx_new(&cfg, err));
	ck_assert_str_eq(err, "the name must have 1 to 64 bytes");
	cfg.name = "edge";
	cfg.alpn = "";
	ck_assert_ptr_null(qb_tls_ctx_new(&cfg, err));
	qb_tls_ctx_free(NULL);
	qb_tls_free(NULL);
}
END_TEST

static void make_keys(void)
{
	char err[QB_TLS_ERR_LEN];

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(qb_key_generate(pem[i], sizeof(pem[i])), 0);
		ck_assert_int_eq(qb_key_public(pem[i], pub[i], err), 0);
	}
}

int main(void)
{
	Suite *s = suite_create("tls_handshake");
	TCase *tc = tcase_create("handshake");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, make_keys, NULL);
	tcase_add_loop_test(tc, suites, 0, (int)QB_ARRAY_LEN(rounds));
	tcase_add_test(tc, suite_unavailable);
	tcase_add_test(tc, server_not_listed);
	tcase_add_loop_test(tc, client_not_listed, 0, 2);
	tcase_add_test(tc, alpn_mismatch);
	tcase_add_test(tc, alpn_absent);
	tcase_add_test(tc, client_without_cert);
	tcase_add_test(tc, client_optional);
	tcase_add_test(tc, no_early_app_keys);
	tcase_add_test(tc, output_and_drop);
	tcase_add_loop_test(tc, sni, 0, (int)QB_ARRAY_LEN(names));
	tcase_add_test(tc, garbage);
	tcase_add_loop_test(tc, too_much_of_a_level, 0, 2);
	tcase_add_test(tc, flood);
	tcase_add_loop_test(tc, tls_key_update, 0, 2);
	tcase_add_test(tc, late_certificate_request);
	tcase_add_loop_test(tc, tampered_flight, 0, 16);
	tcase_add_test(tc, keylog);
	tcase_add_test(tc, ctx_errors);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
