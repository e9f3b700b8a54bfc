/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Session tickets and 0-RTT between two ends in memory: whom a resumed handshake identifies, and
 * all that must not get in by a ticket: replays, sites that were removed, tickets of another hub,
 * of another version, cut ones, old ones.
 */
#include <errno.h>
#include <stdlib.h>

#include "tls/internal.h"
#include "tls_feed.h"
#include "tls_hex.h"

enum { CLIENT, SERVER, START_S = 1800000000, SESSIONS = 8 };

static const uint8_t params[] = {0x04, 0x04, 0x80, 0x10, 0x00, 0x00};
static char pem[3][256]; /* client, server, another client */
static uint8_t pub[3][QB_PUBKEY_LEN];
static uint64_t clock_s[2];

struct session {
	uint8_t bytes[QB_TLS_SESSION_MAX];
	size_t len;
};

/* The server that a test talks to, and the sessions that its client has. */
struct bench {
	struct qb_tickets *tickets;
	struct qb_tls_ctx *ctx[2];
	const char *context;
	uint32_t version;
	struct session session[SESSIONS];
	uint32_t session_cnt;
};

/* What became of one handshake. */
struct outcome {
	int failed; /* which side; -1: none */
	bool is_resumed, is_replay;
	enum qb_tls_early early[2];
	int peer_idx;
	uint8_t peer_key[QB_PUBKEY_LEN];
	char err[QB_TLS_ERR_LEN];
	size_t hello_len;
};

static uint64_t clock_of(void *arg)
{
	return *(uint64_t *)arg;
}

static struct qb_tls_ctx *make_ctx(int side, struct qb_tickets *tickets,
				   const uint8_t trusted[QB_PUBKEY_LEN], bool is_open)
{
	uint8_t peers[2][QB_PUBKEY_LEN] = {{1}};
	const struct qb_tls_cfg cfg = {
		.is_server = side == SERVER,
		.key_pem = pem[side],
		.name = side == SERVER ? "hub" : "edge",
		.alpn = "h3",
		.peers = (const uint8_t(*)[QB_PUBKEY_LEN])peers,
		.peer_cnt = 2,
		.is_peer_optional = is_open,
		.tickets = tickets,
		.is_early = true,
	};
	char err[QB_TLS_ERR_LEN] = "";
	struct qb_tls_ctx *ctx;

	memcpy(peers[1], trusted, QB_PUBKEY_LEN);
	ctx = qb_tls_ctx_new(&cfg, err);
	ck_assert_msg(ctx != NULL, "%s", err);
	qb_tls_ctx_set_clock(ctx, clock_of, &clock_s[side]);
	return ctx;
}

static void set_server(struct bench *b, struct qb_tickets *tickets,
		       const uint8_t trusted[QB_PUBKEY_LEN])
{
	qb_tls_ctx_free(b->ctx[SERVER]);
	b->ctx[SERVER] = make_ctx(SERVER, tickets, trusted, false);
}

static void bench_init(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	clock_s[CLIENT] = clock_s[SERVER] = START_S;
	b->tickets = qb_tickets_new(NULL, START_S);
	ck_assert_ptr_nonnull(b->tickets);
	b->ctx[CLIENT] = make_ctx(CLIENT, NULL, pub[SERVER], false);
	b->context = "limits";
	b->version = QB_QUIC_V1;
	set_server(b, b->tickets, pub[CLIENT]);
}

static void bench_fini(struct bench *b)
{
	qb_tls_ctx_free(b->ctx[CLIENT]);
	qb_tls_ctx_free(b->ctx[SERVER]);
	qb_tickets_free(b->tickets);
}

/* Two handshakes under way, and how much of each end's output the other has got. */
struct run {
	struct qb_tls *t[2];
	size_t fed[2][QB_LEVEL_CNT];
};

static void run_begin(struct bench *b, struct run *r, const struct session *s)
{
	memset(r, 0, sizeof(*r));
	for (int side = 0; side < 2; side++) {
		r->t[side] = qb_tls_new(b->ctx[side], b->version, params, sizeof(params), "hub");
		ck_assert_ptr_nonnull(r->t[side]);
	}
	ck_assert_int_eq(qb_tls_set_early_context(r->t[SERVER], (const uint8_t *)b->context,
						  strlen(b->context)),
			 0);
	if (s)
		ck_assert_int_eq(qb_tls_resume(r->t[CLIENT], s->bytes, s->len, true), 0);
	ck_assert_int_eq(qb_tls_advance(r->t[CLIENT]), 0);
}

static int run_end(struct run *r)
{
	for (int idle = 0, to = SERVER; idle < 2; to = !to) {
		int ret = tls_feed(r->t[!to], r->t[to], r->fed[to]);

		if (ret < 0)
			return to;
		idle = ret ? 0 : idle + 1;
	}
	return -1;
}

static void run_free(struct run *r)
{
	qb_tls_free(r->t[CLIENT]);
	qb_tls_free(r->t[SERVER]);
}

static struct outcome judge(const struct run *r, int failed)
{
	struct outcome o = {.failed = failed};
	const uint8_t *data;
	const char *text;

	o.is_resumed = qb_tls_is_resumed(r->t[SERVER]);
	o.is_replay = qb_tls_is_replay(r->t[SERVER]);
	o.peer_idx = qb_tls_peer_index(r->t[SERVER]);
	(void)qb_tls_peer_key(r->t[SERVER], o.peer_key);
	o.hello_len = qb_tls_output(r->t[CLIENT], QB_LEVEL_INITIAL, &data);
	for (int side = 0; side < 2; side++)
		o.early[side] = qb_tls_early(r->t[side]);
	if (failed >= 0) {
		(void)qb_tls_alert(r->t[failed], &text);
		snprintf(o.err, sizeof(o.err), "%s", text);
		return o;
	}
	for (int side = 0; side < 2; side++)
		ck_assert(qb_tls_is_complete(r->t[side]));
	return o;
}

/* connect_with runs a whole handshake, with a session if there is one, and keeps what new ones come
 * out of it. */
static struct outcome connect_with(struct bench *b, const struct session *s)
{
	struct outcome o;
	struct run r;

	run_begin(b, &r, s);
	o = judge(&r, run_end(&r));
	b->session_cnt = 0;
	while (o.failed < 0 && b->session_cnt < SESSIONS) {
		struct session *new = &b->session[b->session_cnt];

		new->len = qb_tls_take_session(r.t[CLIENT], new->bytes);
		if (!new->len)
			break;
		b->session_cnt++;
	}
	run_free(&r);
	return o;
}

static struct session first_session(struct bench *b)
{
	struct outcome o = connect_with(b, NULL);

	ck_assert_int_eq(o.failed, -1);
	ck_assert(!o.is_resumed);
	ck_assert_uint_ge(b->session_cnt, 3);
	return b->session[0];
}

static void check_is_client(const struct outcome *o)
{
	ck_assert_int_eq(o->failed, -1);
	ck_assert_int_eq(o->peer_idx, 1);
	ck_assert_mem_eq(o->peer_key, pub[CLIENT], QB_PUBKEY_LEN);
}

START_TEST(resumed_is_the_same_site)
{
	struct bench b;
	struct session s;
	struct outcome o;

	bench_init(&b);
	s = first_session(&b);
	/* Again and again: each resumed handshake gives new tickets. */
	for (int i = 0; i < 3; i++) {
		o = connect_with(&b, &s);
		check_is_client(&o);
		ck_assert(o.is_resumed && !o.is_replay);
		ck_assert_int_eq(o.early[CLIENT], QB_TLS_EARLY_ACCEPTED);
		ck_assert_int_eq(o.early[SERVER], QB_TLS_EARLY_ACCEPTED);
		/* The first flight still fits one datagram. */
		ck_assert_uint_lt(o.hello_len, 1100);
		ck_assert_uint_ge(b.session_cnt, 3);
		s = b.session[0];
	}
	bench_fini(&b);
}
END_TEST

START_TEST(keys_of_the_first_flight_agree)
{
	uint8_t pkt[4 + 12 + QB_AEAD_TAG_LEN] = "hdr.hello, peer";
	struct qb_keys *tx, *rx;
	struct bench b;
	struct session s;
	struct run r;

	bench_init(&b);
	s = first_session(&b);
	run_begin(&b, &r, &s);
	tx = qb_tls_take_keys(r.t[CLIENT], QB_LEVEL_EARLY, true);
	ck_assert_ptr_nonnull(tx);
	ck_assert_int_eq(qb_tls_early(r.t[CLIENT]), QB_TLS_EARLY_OFFERED);
	ck_assert_int_eq(tls_feed(r.t[CLIENT], r.t[SERVER], r.fed[SERVER]), 1);
	rx = qb_tls_take_keys(r.t[SERVER], QB_LEVEL_EARLY, false);
	ck_assert_ptr_nonnull(rx);
	qb_keys_seal(tx, 0, 7, pkt, 4, 12);
	ck_assert_int_eq(qb_keys_open(rx, 0, 7, pkt, 4, 12 + QB_AEAD_TAG_LEN), 12);
	qb_keys_free(tx);
	qb_keys_free(rx);
	/* The server may answer, but reads nothing under 1-RTT keys before the client's Finished.
	 */
	ck_assert_int_eq(qb_tls_early(r.t[SERVER]), QB_TLS_EARLY_ACCEPTED);
	ck_assert(!qb_tls_is_complete(r.t[SERVER]));
	ck_assert_int_eq(qb_tls_peer_index(r.t[SERVER]), 1);
	tx = qb_tls_take_keys(r.t[SERVER], QB_LEVEL_APP, true);
	ck_assert_ptr_nonnull(tx);
	ck_assert_ptr_null(qb_tls_take_keys(r.t[SERVER], QB_LEVEL_APP, false));
	qb_keys_free(tx);
	ck_assert_int_eq(run_end(&r), -1);
	ck_assert(qb_tls_is_complete(r.t[SERVER]));
	run_free(&r);
	bench_fini(&b);
}
END_TEST

/* RFC 9001 §4.6.1: how much 0-RTT data there may be is QUIC's to say, and a ticket has one value for that. */
START_TEST(a_ticket_with_a_size)
{
	static const uint8_t any_size[] = {0, 42, 0, 4, 0xff, 0xff, 0xff, 0xff};
	struct bench b;
	struct run r;
	const uint8_t *out;
	uint8_t copy[4096];
	size_t len, i;

	bench_init(&b);
	run_begin(&b, &r, NULL);
	ck_assert_int_eq(run_end(&r), -1);
	len = qb_tls_output(r.t[SERVER], QB_LEVEL_APP, &out);
	ck_assert_uint_lt(len, sizeof(copy));
	memcpy(copy, out, len);
	for (i = 0; i + sizeof(any_size) <= len && memcmp(copy + i, any_size, sizeof(any_size)) != 0; i++)
		;
	ck_assert_uint_lt(i + sizeof(any_size), len);
	copy[i + 7] = 0xfe;
	ck_assert_int_eq(qb_tls_provide(r.t[CLIENT], QB_LEVEL_APP, copy, len), 0);
	ck_assert_int_eq(qb_tls_advance(r.t[CLIENT]), -EPROTO);
	ck_assert_int_eq(qb_tls_fault(r.t[CLIENT]), QB_TLS_FAULT_RULES);
	run_free(&r);
	bench_fini(&b);
}
END_TEST

START_TEST(a_ticket_is_good_once)
{
	struct bench b;
	struct session s;
	struct outcome o;

	bench_init(&b);
	s = first_session(&b);
	o = connect_with(&b, &s);
	ck_assert(o.is_resumed);
	o = connect_with(&b, &s);
	check_is_client(&o);
	ck_assert(!o.is_resumed && o.is_replay);
	ck_assert_int_eq(o.early[CLIENT], QB_TLS_EARLY_REJECTED);
	ck_assert_int_eq(o.early[SERVER], QB_TLS_EARLY_REJECTED);
	bench_fini(&b);
}
END_TEST

START_TEST(a_removed_site_has_no_use_for_its_ticket)
{
	struct bench b;
	struct session s;
	struct outcome o;

	bench_init(&b);
	s = first_session(&b);
	set_server(&b, b.tickets, pub[2]); /* reload: another site has taken its place */
	o = connect_with(&b, &s);
	ck_assert_int_eq(o.failed, SERVER);
	ck_assert(!o.is_resumed);
	ck_assert_str_eq(o.err, "the peer's public key is not listed");
	/* It comes back to the list: the ticket has not been used up. */
	set_server(&b, b.tickets, pub[CLIENT]);
	o = connect_with(&b, &s);
	check_is_client(&o);
	ck_assert(o.is_resumed);
	bench_fini(&b);
}
END_TEST

START_TEST(a_client_resumes_with_listed_hubs_only)
{
	struct bench b;
	struct session s;
	struct run r;

	bench_init(&b);
	s = first_session(&b);
	qb_tls_ctx_free(b.ctx[CLIENT]);
	b.ctx[CLIENT] = make_ctx(CLIENT, NULL, pub[2], false);
	memset(&r, 0, sizeof(r));
	r.t[CLIENT] = qb_tls_new(b.ctx[CLIENT], b.version, params, sizeof(params), "hub");
	ck_assert_int_eq(qb_tls_resume(r.t[CLIENT], s.bytes, s.len, true), 0);
	ck_assert_int_eq(qb_tls_advance(r.t[CLIENT]), -EPROTO);
	ck_assert_ptr_null(qb_tls_take_keys(r.t[CLIENT], QB_LEVEL_EARLY, true));
	run_free(&r);
	bench_fini(&b);
}
END_TEST

START_TEST(another_hubs_ticket_is_none)
{
	struct qb_tickets *other = qb_tickets_new(NULL, START_S);
	struct bench b;
	struct session s;
	struct outcome o;

	bench_init(&b);
	s = first_session(&b);
	set_server(&b, other, pub[CLIENT]);
	o = connect_with(&b, &s);
	check_is_client(&o);
	ck_assert(!o.is_resumed && !o.is_replay);
	ck_assert_int_eq(o.early[SERVER], QB_TLS_EARLY_REJECTED);
	bench_fini(&b);
	qb_tickets_free(other);
}
END_TEST

/* with_ticket is a session with another ticket in it. */
static struct session with_ticket(const struct bench *b, const struct session *s,
				  const uint8_t *ticket, size_t len)
{
	SSL_SESSION *ssl = SSL_SESSION_from_bytes(s->bytes, s->len, b->ctx[CLIENT]->ssl_ctx);
	struct session out;
	uint8_t *bytes;

	ck_assert(ssl && SSL_SESSION_set_ticket(ssl, ticket, len));
	ck_assert(SSL_SESSION_to_bytes(ssl, &bytes, &out.len));
	memcpy(out.bytes, bytes, out.len);
	OPENSSL_free(bytes);
	SSL_SESSION_free(ssl);
	return out;
}

START_TEST(cut_and_changed_tickets)
{
	uint8_t ticket[QB_TLS_SESSION_MAX];
	const uint8_t *p;
	SSL_SESSION *ssl;
	struct session s, bad;
	struct outcome o;
	struct bench b;
	size_t len;

	bench_init(&b);
	s = first_session(&b);
	ssl = SSL_SESSION_from_bytes(s.bytes, s.len, b.ctx[CLIENT]->ssl_ctx);
	SSL_SESSION_get0_ticket(ssl, &p, &len);
	memcpy(ticket, p, len);
	SSL_SESSION_free(ssl);
	for (size_t cut = 1; cut < len; cut += 13) {
		bad = with_ticket(&b, &s, ticket, cut);
		o = connect_with(&b, &bad);
		check_is_client(&o);
		ck_assert(!o.is_resumed);
	}
	for (size_t i = 0; i < len; i += 7) {
		ticket[i] ^= 0x10;
		bad = with_ticket(&b, &s, ticket, len);
		ticket[i] ^= 0x10;
		o = connect_with(&b, &bad);
		check_is_client(&o);
		ck_assert(!o.is_resumed);
	}
	/* None of that used it up. */
	o = connect_with(&b, &s);
	ck_assert(o.is_resumed);
	bench_fini(&b);
}
END_TEST

START_TEST(who_stole_a_ticket_lacks_its_secret)
{
	struct session s, stolen;
	struct bench b;
	struct outcome o;
	const uint8_t *p;
	SSL_SESSION *ssl;
	size_t len;

	bench_init(&b);
	s = first_session(&b);
	stolen = b.session[1];
	/* A ticket as it was seen on the wire, with the secret of another session. */
	ssl = SSL_SESSION_from_bytes(stolen.bytes, stolen.len, b.ctx[CLIENT]->ssl_ctx);
	SSL_SESSION_get0_ticket(ssl, &p, &len);
	s = with_ticket(&b, &s, p, len);
	SSL_SESSION_free(ssl);
	o = connect_with(&b, &s);
	ck_assert_int_eq(o.failed, SERVER);
	ck_assert_int_eq(o.peer_idx, -1);
	bench_fini(&b);
}
END_TEST

START_TEST(what_early_data_relies_on_has_changed)
{
	struct bench b;
	struct session s;
	struct outcome o;

	bench_init(&b);
	s = first_session(&b);
	b.context = "lower limits";
	o = connect_with(&b, &s);
	check_is_client(&o);
	ck_assert(o.is_resumed);
	ck_assert_int_eq(o.early[CLIENT], QB_TLS_EARLY_REJECTED);
	ck_assert_int_eq(o.early[SERVER], QB_TLS_EARLY_REJECTED);
	bench_fini(&b);
}
END_TEST

START_TEST(a_ticket_is_for_its_version)
{
	struct bench b;
	struct session s;
	struct outcome o;

	bench_init(&b);
	s = first_session(&b);
	b.version = QB_QUIC_V2;
	o = connect_with(&b, &s);
	check_is_client(&o);
	ck_assert(!o.is_resumed);
	bench_fini(&b);
}
END_TEST

START_TEST(keys_and_memory_outlive_a_restart)
{
	struct qb_strikes *strikes = calloc(1, sizeof(*strikes));
	struct qb_tickets *before = qb_tickets_new(strikes, START_S), *after;
	uint8_t saved[QB_TICKET_KEYS_BYTES];
	struct bench b;
	struct session s, used;
	struct outcome o;

	bench_init(&b);
	set_server(&b, before, pub[CLIENT]);
	s = first_session(&b);
	used = b.session[1];
	o = connect_with(&b, &used);
	ck_assert(o.is_resumed);
	qb_tickets_save(before, saved);
	after = qb_tickets_new(strikes, START_S + 5);
	ck_assert_int_eq(qb_tickets_load(after, saved, sizeof(saved), START_S + 5), 0);
	clock_s[CLIENT] = clock_s[SERVER] = START_S + 5;
	set_server(&b, after, pub[CLIENT]);
	o = connect_with(&b, &s);
	check_is_client(&o);
	ck_assert(o.is_resumed);
	ck_assert_int_eq(o.early[SERVER], QB_TLS_EARLY_ACCEPTED);
	/* What was used before the restart is still known to be. */
	o = connect_with(&b, &used);
	ck_assert(o.is_replay && !o.is_resumed);
	bench_fini(&b);
	qb_tickets_free(before);
	qb_tickets_free(after);
	free(strikes);
}
END_TEST

START_TEST(without_memory_no_early_data)
{
	uint8_t saved[QB_TICKET_KEYS_BYTES];
	struct qb_tickets *after;
	struct session s, later;
	struct outcome o;
	struct bench b;

	bench_init(&b);
	s = first_session(&b);
	later = b.session[1];
	qb_tickets_save(b.tickets, saved);
	after = qb_tickets_new(NULL, START_S + 5);
	ck_assert_int_eq(qb_tickets_load(after, saved, sizeof(saved), START_S + 5), 0);
	qb_tickets_distrust(after, START_S + 5);
	clock_s[CLIENT] = clock_s[SERVER] = START_S + 5;
	set_server(&b, after, pub[CLIENT]);
	o = connect_with(&b, &s);
	check_is_client(&o);
	ck_assert(!o.is_resumed && !o.is_replay);
	ck_assert_int_eq(o.early[SERVER], QB_TLS_EARLY_REJECTED);
	/* A ticket from after the start is good at once ... */
	s = b.session[0];
	o = connect_with(&b, &s);
	ck_assert_int_eq(o.early[SERVER], QB_TLS_EARLY_ACCEPTED);
	/* ... and one from before it once a replay would be too old. */
	clock_s[CLIENT] = clock_s[SERVER] = START_S + 5 + QB_STRIKE_KEEP_S;
	o = connect_with(&b, &later);
	ck_assert_int_eq(o.early[SERVER], QB_TLS_EARLY_ACCEPTED);
	bench_fini(&b);
	qb_tickets_free(after);
}
END_TEST

START_TEST(a_late_replay_has_the_wrong_age)
{
	struct bench b;
	struct session s;
	struct outcome o;

	bench_init(&b);
	s = first_session(&b);
	/* The client's first flight as of START_S, at a server that forgot, for it came so much
	 * later. */
	clock_s[SERVER] = START_S + QB_STRIKE_KEEP_S;
	o = connect_with(&b, &s);
	check_is_client(&o);
	ck_assert(o.is_resumed);
	ck_assert_int_eq(o.early[SERVER], QB_TLS_EARLY_REJECTED);
	/* The age that TLS forgives is well inside what the memory keeps. */
	s = b.session[0];
	clock_s[SERVER] += QB_STRIKE_KEEP_S / 2;
	o = connect_with(&b, &s);
	ck_assert_int_eq(o.early[SERVER], QB_TLS_EARLY_REJECTED);
	bench_fini(&b);
}
END_TEST

START_TEST(strangers_resume_as_strangers)
{
	struct bench b;
	struct session s;
	struct outcome o;
	uint8_t none[QB_PUBKEY_LEN] = {0};

	bench_init(&b);
	qb_tls_ctx_free(b.ctx[SERVER]);
	b.ctx[SERVER] = make_ctx(SERVER, b.tickets, pub[2], true);
	qb_tls_ctx_free(b.ctx[CLIENT]);
	/* A client without a certificate. */
	{
		const struct qb_tls_cfg cfg = {
			.name = "x", .alpn = "h3", .check = QB_TLS_CHECK_NONE};
		char err[QB_TLS_ERR_LEN];

		b.ctx[CLIENT] = qb_tls_ctx_new(&cfg, err);
		ck_assert_ptr_nonnull(b.ctx[CLIENT]);
		qb_tls_ctx_set_clock(b.ctx[CLIENT], clock_of, &clock_s[CLIENT]);
	}
	s = first_session(&b);
	o = connect_with(&b, &s);
	ck_assert_int_eq(o.failed, -1);
	ck_assert(o.is_resumed);
	ck_assert_int_eq(o.peer_idx, -1);
	ck_assert_mem_eq(o.peer_key, none, sizeof(none));
	/* Where only sites may come in, such a ticket is nothing. */
	s = b.session[0];
	set_server(&b, b.tickets, pub[CLIENT]);
	o = connect_with(&b, &s);
	ck_assert_int_eq(o.failed, SERVER);
	bench_fini(&b);
}
END_TEST

START_TEST(keys_change_and_die)
{
	struct bench b;
	struct session s, old;
	struct outcome o;

	bench_init(&b);
	old = first_session(&b);
	ck_assert(!qb_tickets_rotate(b.tickets, START_S + QB_TICKET_KEY_LIFE_S - 1));
	ck_assert(qb_tickets_rotate(b.tickets, START_S + QB_TICKET_KEY_LIFE_S));
	clock_s[CLIENT] = clock_s[SERVER] = START_S + QB_TICKET_KEY_LIFE_S;
	o = connect_with(&b, &old);
	ck_assert(o.is_resumed);
	s = b.session[0];
	for (uint64_t day = 2; day <= 9; day++)
		qb_tickets_rotate(b.tickets, START_S + day * QB_TICKET_KEY_LIFE_S);
	/* The key that sealed the first ticket is gone, and the second one has expired. */
	clock_s[CLIENT] = clock_s[SERVER] = START_S + 9 * QB_TICKET_KEY_LIFE_S;
	o = connect_with(&b, &s);
	check_is_client(&o);
	ck_assert(!o.is_resumed);
	/* A server that slept for a year has nothing left. */
	ck_assert(qb_tickets_rotate(b.tickets, START_S + 365 * (uint64_t)QB_TICKET_KEY_LIFE_S));
	bench_fini(&b);
}
END_TEST

START_TEST(saved_keys_that_are_none)
{
	struct qb_tickets *t = qb_tickets_new(NULL, START_S);
	uint8_t saved[QB_TICKET_KEYS_BYTES], again[QB_TICKET_KEYS_BYTES];

	qb_tickets_save(t, saved);
	for (size_t len = 0; len < sizeof(saved); len++)
		ck_assert_int_eq(qb_tickets_load(t, saved, len, START_S), -EBADMSG);
	for (size_t i = 0; i < sizeof(saved); i++) {
		saved[i] ^= 1;
		ck_assert_int_eq(qb_tickets_load(t, saved, sizeof(saved), START_S), -EBADMSG);
		saved[i] ^= 1;
	}
	qb_tickets_save(t, again);
	ck_assert_mem_eq(saved, again, sizeof(saved));
	ck_assert_int_eq(qb_tickets_load(t, saved, sizeof(saved), START_S), 0);
	qb_tickets_save(t, again);
	ck_assert_mem_eq(saved, again, sizeof(saved));
	/* From a clock that ran ahead by an hour: not to be trusted. */
	ck_assert_int_eq(qb_tickets_load(t, saved, sizeof(saved), START_S - 3600), 0);
	qb_tickets_free(t);
}
END_TEST

START_TEST(the_memory_is_bounded)
{
	struct qb_strikes *s = calloc(1, sizeof(*s));
	uint64_t now = START_S;

	for (uint64_t i = 0; i < QB_STRIKE_WAYS; i++)
		ck_assert_int_eq(qb_strikes_add(s, 5 + i * QB_STRIKE_BUCKETS, now + i),
				 QB_STRIKE_NEW);
	for (uint64_t i = 0; i < QB_STRIKE_WAYS; i++)
		ck_assert_int_eq(qb_strikes_add(s, 5 + i * QB_STRIKE_BUCKETS, now + 10),
				 QB_STRIKE_AGAIN);
	ck_assert_int_eq(qb_strikes_add(s, 5 + 100 * QB_STRIKE_BUCKETS, now + QB_STRIKE_KEEP_S - 1),
			 QB_STRIKE_FULL);
	ck_assert_int_eq(qb_strikes_add(s, 5 + 100 * QB_STRIKE_BUCKETS, now + QB_STRIKE_KEEP_S),
			 QB_STRIKE_NEW);
	/* The oldest gave way, no other. */
	ck_assert_int_eq(qb_strikes_add(s, 5 + QB_STRIKE_BUCKETS, now + QB_STRIKE_KEEP_S),
			 QB_STRIKE_AGAIN);
	/* A clock that was set back makes nothing forget. */
	ck_assert_int_eq(qb_strikes_add(s, 5 + 101 * QB_STRIKE_BUCKETS, now - 1000),
			 QB_STRIKE_FULL);
	free(s);
}
END_TEST

START_TEST(bytes_that_are_no_session)
{
	struct bench b;
	struct session s;

	bench_init(&b);
	s = first_session(&b);
	for (size_t len = 0; len < s.len; len += 11) {
		struct qb_tls *t =
			qb_tls_new(b.ctx[CLIENT], QB_QUIC_V1, params, sizeof(params), "hub");

		ck_assert_int_eq(qb_tls_resume(t, s.bytes, len, true), -EINVAL);
		ck_assert_int_eq(qb_tls_advance(t), 0);
		qb_tls_free(t);
	}
	bench_fini(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tls/resume");
	TCase *tc = tcase_create("resume");
	char err[QB_TLS_ERR_LEN];
	SRunner *sr;
	int failed;

	for (int i = 0; i < 3; i++)
		if (qb_key_generate(pem[i], sizeof(pem[i])) || qb_key_public(pem[i], pub[i], err))
			return 2;
	tcase_add_test(tc, resumed_is_the_same_site);
	tcase_add_test(tc, keys_of_the_first_flight_agree);
	tcase_add_test(tc, a_ticket_with_a_size);
	tcase_add_test(tc, a_ticket_is_good_once);
	tcase_add_test(tc, a_removed_site_has_no_use_for_its_ticket);
	tcase_add_test(tc, a_client_resumes_with_listed_hubs_only);
	tcase_add_test(tc, another_hubs_ticket_is_none);
	tcase_add_test(tc, cut_and_changed_tickets);
	tcase_add_test(tc, who_stole_a_ticket_lacks_its_secret);
	tcase_add_test(tc, what_early_data_relies_on_has_changed);
	tcase_add_test(tc, a_ticket_is_for_its_version);
	tcase_add_test(tc, keys_and_memory_outlive_a_restart);
	tcase_add_test(tc, without_memory_no_early_data);
	tcase_add_test(tc, a_late_replay_has_the_wrong_age);
	tcase_add_test(tc, strangers_resume_as_strangers);
	tcase_add_test(tc, keys_change_and_die);
	tcase_add_test(tc, saved_keys_that_are_none);
	tcase_add_test(tc, the_memory_is_bounded);
	tcase_add_test(tc, bytes_that_are_no_session);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
