/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Peers whose transport parameters lie, or contradict what they do: each is told which error it is (RFC 9000 §7.3, §7.4, §18.2,
 * RFC 9368 §4, RFC 10069 §2.1), and neither end keeps anything of them.
 */
#include <check.h>

#include "quic_liar.h"

/* ---- clients ---- */

struct client_lie {
	const char *what;
	uint64_t error;
	void (*change)(struct qb_conn *c, struct qb_tparams *tp);
	bool is_empty;
	uint8_t more_len, more[40]; /* behind ours */
};

static void other_scid(struct qb_conn *c, struct qb_tparams *tp)
{
	(void)c;
	tp->initial_scid.id[3] ^= 1;
}

static void no_scid(struct qb_conn *c, struct qb_tparams *tp)
{
	(void)c;
	tp->has_initial_scid = false;
}

/* Packets without a source connection ID, and parameters that agree. */
static void without_cids(struct qb_conn *c, struct qb_tparams *tp)
{
	c->hs.local_scid.len = tp->initial_scid.len = 0;
}

static void other_version(struct qb_conn *c, struct qb_tparams *tp)
{
	(void)c;
	tp->version_info.chosen = QB_QUIC_V2;
}

static void few_cids(struct qb_conn *c, struct qb_tparams *tp)
{
	(void)c;
	tp->cid_limit = 1;
}

static void small_packets(struct qb_conn *c, struct qb_tparams *tp)
{
	(void)c;
	tp->max_udp_payload_bytes = 1199;
}

/* clang-format off */
static const struct client_lie client_lies[] = {
	{"nothing wrong", 0, NULL, false, 0, {0}},
	{"another source connection ID", QB_QUIC_TRANSPORT_PARAMETER_ERROR, other_scid, false, 0, {0}},
	{"no source connection ID", QB_QUIC_TRANSPORT_PARAMETER_ERROR, no_scid, false, 0, {0}},
	{"no parameters", QB_QUIC_TRANSPORT_PARAMETER_ERROR, NULL, true, 0, {0}},
	{"multipath with empty connection IDs", QB_QUIC_PROTOCOL_VIOLATION, without_cids, false, 0, {0}},
	{"another version", QB_QUIC_VERSION_NEGOTIATION_ERROR, other_version, false, 0, {0}},
	{"one connection ID", QB_QUIC_TRANSPORT_PARAMETER_ERROR, few_cids, false, 0, {0}},
	{"packets below the minimum", QB_QUIC_TRANSPORT_PARAMETER_ERROR, small_packets, false, 0, {0}},
	{"a parameter twice", QB_QUIC_TRANSPORT_PARAMETER_ERROR, NULL, false, 2, {0x1d, 0}},
	{"a server's parameter", QB_QUIC_TRANSPORT_PARAMETER_ERROR, NULL, false, 18, {0x02, 16}},
	{"cut short", QB_QUIC_TRANSPORT_PARAMETER_ERROR, NULL, false, 2, {0x21, 9}},
	{"an unknown one", 0, NULL, false, 4, {0x21, 2, 1, 2}},
};
/* clang-format on */

/* empty_params makes two extensions of the ClientHello's transport parameters: none, and one that nobody knows. */
static void empty_params(struct qb_conn *c, size_t len)
{
	const uint8_t head[] = {0, 0x39, (uint8_t)(len >> 8), (uint8_t)len}, none[] = {0, 0x39, 0, 0, 0xfa, 0xfa};
	const uint8_t *hello;
	size_t hello_len = qb_tls_output(c->tls, QB_LEVEL_INITIAL, &hello);
	uint8_t *at = memmem(hello, hello_len, head, sizeof(head));

	ck_assert_ptr_nonnull(at);
	memcpy(at, none, sizeof(none));
	qb_store_be16(at + sizeof(none), (uint16_t)(len - 4));
}

/* tell has a client that has not sent anything yet say other parameters. */
static void tell(struct pair *p, struct qb_conn *c, const struct client_lie *l)
{
	uint8_t bytes[QB_TP_BYTES_MAX];
	struct qb_wr w = qb_wr_init(bytes, sizeof(bytes));
	struct qb_tparams tp;

	qb_conn_our_params(c->q, &tp);
	tp.has_initial_scid = tp.has_version_info = true;
	tp.initial_scid = c->hs.local_scid;
	qb_version_set_info(c, &tp.version_info);
	if (l->change)
		l->change(c, &tp);
	qb_tparams_build(&w, &tp, true, 0);
	qb_wr_bytes(&w, l->more, l->more_len);
	ck_assert(!w.bad);
	qb_tls_free(c->tls);
	c->tls = qb_tls_new(c->q->cfg.tls, c->version, bytes, sizeof(bytes) - qb_wr_room(&w), "hub");
	ck_assert_ptr_nonnull(c->tls);
	qb_handshake_advance(c, p->now_ns);
	if (l->is_empty)
		empty_params(c, sizeof(bytes) - qb_wr_room(&w));
}

static uint64_t failure_of(struct pair *p, int side)
{
	struct qb_quic_failure f;

	return qb_quic_next_failure(p->end[side].q, &f) ? f.error_code : 0;
}

START_TEST(test_client_lies)
{
	const struct client_lie *l = &client_lies[_i];
	struct pair_opts o = pair_default_opts(1 + (uint64_t)_i);
	struct pair *p = pair_new(&o);
	struct qb_conn *c = pair_connect(p);
	uint64_t code;

	tell(p, c, l);
	if (!l->error) {
		ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
		pair_free(p);
		return;
	}
	pair_run(p, 100 * MS);
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_NEW], 0);
	code = failure_of(p, SERVER);
	ck_assert_msg(code == l->error, "%s: %llx", l->what, (unsigned long long)code);
	/* It is told, where it can be reached. */
	if (l->change != without_cids)
		ck_assert_msg(p->end[CLIENT].last[QB_EV_CONN_CLOSED].error_code == l->error, "%s: %s", l->what,
			      p->end[CLIENT].reason);
	pair_run(p, 100 * SEC);
	ck_assert_uint_eq(p->end[SERVER].q->conn_slab.used_cnt, 0);
	pair_free(p);
}
END_TEST

/* ---- servers ---- */

static void other_odcid(struct qb_conn *c)
{
	c->hs.odcid.id[0] ^= 1;
}

static void no_retry_of_mine(struct qb_conn *c)
{
	c->hs.has_retry = true;
	c->hs.retry_scid = c->hs.local_scid;
}

static void forgotten_retry(struct qb_conn *c)
{
	c->hs.has_retry = false;
}

static void other_retry_scid(struct qb_conn *c)
{
	c->hs.retry_scid.id[0] ^= 1;
}

static void other_scid_than_said(struct qb_conn *c)
{
	c->hs.local_scid.id[5] ^= 1;
}

static void server_without_cids(struct qb_conn *c)
{
	c->hs.local_scid.len = 0;
}

/* clang-format off */
static const struct server_lie {
	const char *what;
	uint64_t error;
	void (*change)(struct qb_conn *c);
	bool is_late; /* once the parameters are made */
	bool has_retry, has_preferred, has_no_multipath;
} server_lies[] = {
	{"nothing wrong", 0, NULL, .has_retry = true},
	{"another original connection ID", QB_QUIC_TRANSPORT_PARAMETER_ERROR, other_odcid, .is_late = false},
	{"a Retry that was none", QB_QUIC_TRANSPORT_PARAMETER_ERROR, no_retry_of_mine, .is_late = false},
	{"a Retry forgotten", QB_QUIC_TRANSPORT_PARAMETER_ERROR, forgotten_retry, .has_retry = true},
	{"another Retry's connection ID", QB_QUIC_TRANSPORT_PARAMETER_ERROR, other_retry_scid, .has_retry = true},
	{"another source connection ID", QB_QUIC_TRANSPORT_PARAMETER_ERROR, other_scid_than_said, .is_late = true},
	{"multipath with empty connection IDs", QB_QUIC_PROTOCOL_VIOLATION, server_without_cids, .is_late = false},
	{"preferred address with empty connection IDs", QB_QUIC_TRANSPORT_PARAMETER_ERROR, server_without_cids,
		.has_preferred = true, .has_no_multipath = true},
};
/* clang-format on */

static const struct server_lie *told;
static bool is_hello_lost; /* behind a Retry */

static bool make_liar(struct pair *p, int from, struct pair_pkt *pkt)
{
	struct qb_conn *server = qb_quic_next_conn(p->end[SERVER].q, NULL);
	struct qb_conn *client = qb_quic_next_conn(p->end[CLIENT].q, NULL);

	(void)pkt;
	if (from == CLIENT && is_hello_lost && client->hs.has_retry)
		return false;
	if (from == SERVER && told && told->is_late && server && server->hs.is_params_ok) {
		told->change(server);
		told = NULL;
		return false; /* it has the old one; the next will not */
	}
	return true;
}

START_TEST(test_server_lies)
{
	const struct server_lie *l = &server_lies[_i];
	const struct qb_frame ping = {.type = QB_FRAME_PING};
	struct pair_opts o = pair_default_opts(50 + (uint64_t)_i);
	struct qb_conn *c, *server;
	struct pair *p;

	o.retry = l->has_retry ? QB_RETRY_ALWAYS : QB_RETRY_OFF;
	if (l->has_preferred)
		o.preferred4 = (struct qb_addr){.family = 4, .ip = {198, 51, 100, 9}, .port = 4443};
	if (l->has_no_multipath)
		o.max_path_id_server = UINT32_MAX;
	p = pair_new(&o);
	told = l;
	is_hello_lost = l->has_retry && l->change;
	p->on_packet = make_liar;
	c = pair_connect(p);
	if (l->has_retry)
		while (!c->hs.has_retry) {
			pair_poll(p, CLIENT);
			ck_assert(pair_step(p, p->now_ns + 5 * SEC));
		}
	if (l->change && !l->is_late) {
		/* Before the ClientHello: the server has a connection, and no parameters yet. */
		is_hello_lost = false;
		send_frames(p, CLIENT, c, QB_LEVEL_INITIAL, &ping, 1);
		p->link[0].is_down = true;
		pair_run(p, 15 * MS);
		p->link[0].is_down = false;
		server = qb_quic_next_conn(p->end[SERVER].q, NULL);
		ck_assert_ptr_nonnull(server);
		ck_assert(!server->hs.is_params_ok);
		l->change(server);
	}
	if (!l->error) {
		ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
		pair_free(p);
		return;
	}
	pair_run(p, 3 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_ESTABLISHED], 0);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_msg(p->end[CLIENT].last[QB_EV_CONN_CLOSED].error_code == l->error &&
			      !p->end[CLIENT].last[QB_EV_CONN_CLOSED].is_by_peer,
		      "%s: %llx, %s", l->what, (unsigned long long)p->end[CLIENT].last[QB_EV_CONN_CLOSED].error_code,
		      p->end[CLIENT].reason);
	pair_free(p);
}
END_TEST

/* Who is sent packets without a connection ID cannot have more of them (RFC 9000 §19.15). */
START_TEST(test_ids_from_one_without)
{
	static const uint8_t token[16] = {1};
	struct qb_frame f = {.type = QB_FRAME_NEW_CONNECTION_ID,
			     .new_cid = {.seq = 1, .cid = {.len = 8}, .reset_token = token}};
	struct pair_opts o = pair_default_opts(80);
	struct pair *p;

	o.max_path_id_client = UINT32_MAX;
	p = pair_up(&o);
	p->end[SERVER].conn->hs.peer_scid.len = 0;
	send_frame(p, CLIENT, &f);
	pair_run(p, 100 * MS);
	ck_assert_uint_eq(p->end[SERVER].last[QB_EV_CONN_CLOSED].error_code, QB_QUIC_PROTOCOL_VIOLATION);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/params");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_client_lies, 0, (int)QB_ARRAY_LEN(client_lies));
	tcase_add_loop_test(tc, test_server_lies, 0, (int)QB_ARRAY_LEN(server_lies));
	tcase_add_test(tc, test_ids_from_one_without);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
