/* SPDX-License-Identifier: BSD-2-Clause */
/* QUIC v2, the change of version inside a handshake, Version Negotiation, and what tells a downgrade (RFC 9368, 9369). */
#include <check.h>

#include "quic/conn.h"
#include "quic_bulk.h"

#define V1 QB_QUIC_V1
#define V2 QB_QUIC_V2

static uint32_t version_of(struct pair *p, int side)
{
	struct qb_conn_info info;

	qb_conn_get_info(p->end[side].conn, &info);
	return info.version;
}

static const struct combination {
	const char *what;
	uint32_t client[2], first, server[2], want;
	uint32_t vn_cnt;
} combinations[] = {
	{"defaults", {0}, 0, {0}, V1, 0},
	{"both v2 only", {V2}, V2, {V2}, V2, 0},
	{"client begins with v2", {V2, V1}, V2, {V1, V2}, V2, 0},
	{"server goes over to v2", {V1, V2}, 0, {V2, V1}, V2, 0},
	{"client would rather have v2 but begins with v1", {V2, V1}, V1, {V2, V1}, V2, 0},
	{"server may, client has no v2", {V1}, 0, {V2, V1}, V1, 0},
	{"client could, server has no v2", {V2, V1}, V1, {V1}, V1, 0},
	{"server stays where it is", {V2, V1}, V1, {V1, V2}, V1, 0},
	{"negotiation: v2 refused", {V2, V1}, V2, {V1}, V1, 1},
	{"negotiation: v1 refused", {V1, V2}, V1, {V2}, V2, 1},
};

static void run(const struct combination *k, uint64_t seed, enum qb_retry_mode retry, double loss)
{
	struct pair_opts o = pair_default_opts(seed);
	struct pair *p;
	struct bulk b;

	memcpy(o.versions[CLIENT], k->client, sizeof(k->client));
	memcpy(o.versions[SERVER], k->server, sizeof(k->server));
	o.version_first = k->first;
	o.retry = retry;
	p = pair_new(&o);
	p->link[0].loss = loss;
	p->link[0].jitter_ns = loss > 0 ? 30 * MS : 0;
	p->link[0].dup = loss / 2;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert_msg(pair_run_until(p, pair_is_up, 60 * SEC), "%s, seed %d: %s", k->what, (int)seed,
		      p->end[CLIENT].reason);
	ck_assert_msg(version_of(p, CLIENT) == k->want, "%s: %x", k->what, version_of(p, CLIENT));
	ck_assert_uint_eq(version_of(p, SERVER), k->want);
	if (loss <= 0)
		ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_VERSION_NEG_TX], k->vn_cnt);
	if (retry == QB_RETRY_ALWAYS)
		ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_RETRY_RX], 1);
	bulk_start(p, &b, (int)seed % 2, 100000);
	ck_assert(pair_run_until(p, bulk_is_done, 60 * SEC));
	pair_free(p);
}

START_TEST(test_combinations)
{
	run(&combinations[_i / 2], 1 + (uint64_t)_i, _i % 2 ? QB_RETRY_ALWAYS : QB_RETRY_OFF, 0);
}
END_TEST

START_TEST(test_combinations_lossy)
{
	uint32_t n = (uint32_t)_i % QB_ARRAY_LEN(combinations);

	run(&combinations[n], 100 + (uint64_t)_i, _i % 3 ? QB_RETRY_OFF : QB_RETRY_ALWAYS, 0.25);
}
END_TEST

/* What is on the wire: the client's first flight in v1, everything of the server's handshake in v2. */
static uint32_t seen[2][2]; /* long headers by side, by version (v2: 1) */
static uint32_t wrong;

static bool watch(struct pair *p, int from, struct pair_pkt *pkt)
{
	size_t left = pkt->len;
	uint8_t *at = pkt->data;
	struct qb_hdr h;

	(void)p;
	while (left && (at[0] & 0x80) && qb_hdr_parse(&h, at, left, QB_CID_LEN) == 0) {
		seen[from][h.version == V2]++;
		/* Handshake packets exist in the negotiated version only (RFC 9369 §4.1). */
		wrong += h.type == QB_PKT_HANDSHAKE && h.version != V2;
		wrong += from == SERVER && h.type == QB_PKT_INITIAL && h.version != V2;
		at += h.pkt_len;
		left -= h.pkt_len;
	}
	return true;
}

START_TEST(test_wire)
{
	struct pair_opts o = pair_default_opts(1);
	struct pair *p;

	o.versions[SERVER][0] = V2;
	o.versions[SERVER][1] = V1;
	p = pair_new(&o);
	p->on_packet = watch;
	memset(seen, 0, sizeof(seen));
	wrong = 0;
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	ck_assert_uint_eq(seen[CLIENT][0], 1);
	ck_assert_uint_gt(seen[CLIENT][1], 0);
	ck_assert_uint_eq(seen[SERVER][0], 0);
	ck_assert_uint_gt(seen[SERVER][1], 0);
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_DROP_AUTH], 0);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_DROP_AUTH], 0);
	pair_free(p);
}
END_TEST

START_TEST(test_nothing_in_common)
{
	struct pair_opts o = pair_default_opts(2);
	struct pair *p;

	o.versions[CLIENT][0] = V1;
	o.versions[SERVER][0] = V2;
	p = pair_new(&o);
	ck_assert_ptr_nonnull(pair_connect(p));
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	ck_assert_uint_eq(p->end[CLIENT].last[QB_EV_CONN_CLOSED].error_code,
			  QB_QUIC_VERSION_NEGOTIATION_ERROR);
	ck_assert_ptr_null(qb_quic_next_conn(p->end[SERVER].q, NULL));
	pair_free(p);
}
END_TEST

/* ---- forged Version Negotiation ---- */

static struct pair_pkt first_flight;
static bool has_first_flight;

static bool catch_first(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from != CLIENT || has_first_flight)
		return true;
	first_flight = *pkt;
	has_first_flight = true;
	return true;
}

/* forge_vn answers the client's first flight as an attacker that can read it. */
static void forge_vn(struct pair *p, const uint32_t *versions, size_t cnt, bool is_scid_right)
{
	struct qb_tuple t = pair_client_tuple(0);
	uint8_t pkt[200];
	struct qb_wr w = qb_wr_init(pkt, sizeof(pkt));
	struct qb_bytes dcid, scid;
	struct qb_hdr h;

	ck_assert_int_eq(qb_hdr_parse(&h, first_flight.data, first_flight.len, QB_CID_LEN), 0);
	dcid = h.scid;
	scid = h.dcid;
	if (!is_scid_right)
		scid.len--;
	qb_vn_build(&w, 0x55, dcid, scid, versions, cnt);
	pair_inject(p, CLIENT, &t, pkt, (uint32_t)(w.p - pkt));
}

static struct pair *begin(uint64_t seed, const uint32_t *client, const uint32_t *server)
{
	struct pair_opts o = pair_default_opts(seed);
	struct pair *p;

	memcpy(o.versions[CLIENT], client, 2 * sizeof(*client));
	memcpy(o.versions[SERVER], server, 2 * sizeof(*server));
	p = pair_new(&o);
	has_first_flight = false;
	p->on_packet = catch_first;
	ck_assert_ptr_nonnull(pair_connect(p));
	pair_poll(p, CLIENT);
	ck_assert(has_first_flight);
	return p;
}

/* The attacker pushes the client to a version that both have but neither prefers: found out at the end. */
START_TEST(test_downgrade)
{
	static const uint32_t both[] = {V1, V2}, lie[] = {V2};
	struct pair *p = begin(3, both, both);
	struct pair_end *e = &p->end[CLIENT];

	forge_vn(p, lie, 1, true);
	pair_run(p, 3 * SEC);
	ck_assert_uint_eq(e->events[QB_EV_CONN_ESTABLISHED], 0);
	ck_assert_uint_eq(e->last[QB_EV_CONN_CLOSED].error_code, QB_QUIC_VERSION_NEGOTIATION_ERROR);
	ck_assert_str_eq(e->reason, "version negotiation was tampered with");
	/* Nor does the server take it for a connection. */
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_NEW], 0);
	pair_free(p);
}
END_TEST

/* Likewise when the server would go over to the better version by itself. */
START_TEST(test_downgrade_upgraded)
{
	static const uint32_t server[] = {V2, V1}, client[] = {V2, V1}, lie[] = {V1};
	struct pair_opts o = pair_default_opts(4);
	struct pair *p;

	memcpy(o.versions[CLIENT], client, sizeof(client));
	memcpy(o.versions[SERVER], server, sizeof(server));
	o.version_first = V2;
	p = pair_new(&o);
	has_first_flight = false;
	p->on_packet = catch_first;
	ck_assert_ptr_nonnull(pair_connect(p));
	pair_poll(p, CLIENT);
	forge_vn(p, lie, 1, true);
	pair_run(p, 3 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_ESTABLISHED], 0);
	ck_assert_uint_eq(p->end[CLIENT].last[QB_EV_CONN_CLOSED].error_code,
			  QB_QUIC_VERSION_NEGOTIATION_ERROR);
	pair_free(p);
}
END_TEST

/* Forgeries that must be ignored. */
START_TEST(test_vn_ignored)
{
	static const uint32_t both[] = {V1, V2}, has_ours[] = {V2, 0x0a0a0a0a, V1}, other[] = {V2};
	static const uint32_t unknown[] = {0x12345678};
	struct pair *p = begin(5 + (uint64_t)_i, both, both);

	switch (_i) {
	case 0: /* it lists what we are speaking */
		forge_vn(p, has_ours, 3, true);
		break;
	case 1: /* by somebody who does not see our packets */
		forge_vn(p, other, 1, false);
		forge_vn(p, unknown, 1, false);
		break;
	case 2: /* too late */
		ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
		forge_vn(p, other, 1, true);
		forge_vn(p, unknown, 1, true);
		break;
	case 3: /* after the first packet of the server's */
		while (!p->end[SERVER].rx_pkts)
			pair_step(p, p->now_ns + SEC);
		while (!p->end[CLIENT].rx_pkts)
			pair_step(p, p->now_ns + SEC);
		forge_vn(p, unknown, 1, true);
		break;
	case 4: /* to a server */
		ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
		{
			struct qb_tuple t = pair_server_tuple(p, 0);
			const struct qb_cid *cid = &p->end[SERVER].conn->hs.local_scid;
			uint8_t pkt[100];
			struct qb_wr w = qb_wr_init(pkt, sizeof(pkt));

			qb_vn_build(&w, 0, qb_cid_bytes(cid), qb_cid_bytes(cid), other, 1);
			pair_inject(p, SERVER, &t, pkt, (uint32_t)(w.p - pkt));
		}
		break;
	}
	ck_assert_msg(pair_run_until(p, pair_is_up, 5 * SEC), "%d: %s", _i, p->end[CLIENT].reason);
	pair_run(p, 1 * SEC);
	ck_assert(pair_is_up(p));
	ck_assert_uint_eq(version_of(p, CLIENT), V1);
	pair_free(p);
}
END_TEST

/* A second negotiation is not followed. */
START_TEST(test_vn_once)
{
	static const uint32_t client[] = {V1, V2}, server[] = {V2, 0}, lie[] = {V1}, lie2[] = {0x77};
	struct pair *p = begin(20, client, server);

	has_first_flight = false; /* the next one is that of the second attempt */
	while (!has_first_flight)
		ck_assert(pair_step(p, p->now_ns + SEC));
	forge_vn(p, lie, 1, true);
	forge_vn(p, lie2, 1, true);
	ck_assert_msg(pair_run_until(p, pair_is_up, 5 * SEC), "%s", p->end[CLIENT].reason);
	ck_assert_uint_eq(version_of(p, CLIENT), V2);
	pair_free(p);
}
END_TEST

/* Initials of the other version that do not open change nothing; those whose keys anybody can make are the
 * server's to send, but noise is not. */
START_TEST(test_noise_in_v2)
{
	static const uint32_t both[] = {V1, V2};
	struct pair *p = begin(30 + (uint64_t)_i, both, both);
	struct qb_tuple t = pair_client_tuple(0);
	struct pair_pkt k;
	uint32_t n, i;

	for (n = 0; n < 50; n++) {
		struct qb_hdr h;

		k = first_flight;
		ck_assert_int_eq(qb_hdr_parse(&h, k.data, k.len, QB_CID_LEN), 0);
		/* Its own packet with the IDs swapped, as v2, in noise. */
		k.data[0] = (uint8_t)(0xd0 | (qb_rand_u64(&p->rnd) & 15));
		qb_store_be32(k.data + 1, V2);
		k.data[5] = (uint8_t)h.scid.len;
		memcpy(k.data + 6, first_flight.data + 6 + h.dcid.len + 1, h.scid.len);
		k.data[6 + h.scid.len] = 8;
		k.data[15 + h.scid.len] = 0;
		qb_store_be16(k.data + 16 + h.scid.len, (uint16_t)(0x4000 | (1200 - 18 - h.scid.len)));
		for (i = (uint32_t)(18 + h.scid.len); i < 1200; i++)
			k.data[i] = (uint8_t)qb_rand_u64(&p->rnd);
		pair_inject(p, CLIENT, &t, k.data, 1200);
	}
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_DROP_AUTH], 50);
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	ck_assert_uint_eq(version_of(p, CLIENT), V1);
	pair_free(p);
}
END_TEST

/* ---- what the peer says, against what happened ---- */

static const struct check_case {
	const char *what;
	bool is_server, has_vn, has_info;
	uint32_t ours[2], version, first, chosen, available[3];
	bool is_ok;
} check_cases[] = {
	{"plain", false, false, true, {V1, V2}, V1, V1, V1, {V1, V2}, true},
	{"without", false, false, false, {V1, V2}, V1, V1, 0, {0}, true},
	{"v2 without", false, false, false, {V1, V2}, V2, V2, 0, {0}, true},
	{"switched", false, false, true, {V1, V2}, V2, V1, V2, {V2, V1}, true},
	{"switched without a word", false, false, false, {V1, V2}, V2, V1, 0, {0}, false},
	{"switched, but says v1", false, false, true, {V1, V2}, V2, V1, V1, {V1, V2}, false},
	{"says v2", false, false, true, {V1, V2}, V1, V1, V2, {V2}, false},
	{"negotiated", false, true, true, {V1, V2}, V2, V2, V2, {V2}, true},
	{"negotiated, nothing available", false, true, true, {V1, V2}, V2, V2, V2, {0}, true},
	{"negotiated, but had ours", false, true, true, {V1, V2}, V2, V2, V2, {V2, V1}, false},
	{"negotiated v1, had v2", false, true, true, {V2, V1}, V1, V1, V1, {V2, V1}, false},
	{"negotiated v1, without", false, true, false, {V2, V1}, V1, V1, 0, {0}, true},
	{"negotiated v2, without", false, true, false, {V1, V2}, V2, V2, 0, {0}, false},
	{"with unknown ones", false, true, true, {V1, V2}, V2, V2, V2, {0x0a0a0a0a, V2, 7}, true},
	{"client's", true, false, true, {V1, V2}, V1, V1, V1, {V1, V2}, true},
	{"client's, without", true, false, false, {V1, V2}, V1, V1, 0, {0}, true},
	{"client says v2", true, false, true, {V1, V2}, V1, V1, V2, {V2, V1}, false},
};

START_TEST(test_check)
{
	const struct check_case *k = &check_cases[_i];
	struct qb_conn *c = calloc(1, sizeof(*c));
	struct qb_quic *q = calloc(1, sizeof(*q));
	const char *why;

	c->q = q;
	memcpy(q->cfg.versions, k->ours, sizeof(k->ours));
	c->is_server = k->is_server;
	c->version = k->version;
	c->hs.first_version = k->first;
	c->hs.has_vn = k->has_vn;
	c->peer.has_version_info = k->has_info;
	c->peer.version_info.chosen = k->chosen;
	memcpy(c->peer.version_info.available, k->available, sizeof(k->available));
	while (c->peer.version_info.available_cnt < 3 &&
	       k->available[c->peer.version_info.available_cnt])
		c->peer.version_info.available_cnt++;
	why = qb_version_check(c);
	ck_assert_msg((why == NULL) == k->is_ok, "%s: %s", k->what, why ? why : "accepted");
	free(q);
	free(c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/version");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_combinations, 0, 2 * (int)QB_ARRAY_LEN(combinations));
	tcase_add_loop_test(tc, test_combinations_lossy, 0, 60);
	tcase_add_test(tc, test_wire);
	tcase_add_test(tc, test_nothing_in_common);
	tcase_add_test(tc, test_downgrade);
	tcase_add_test(tc, test_downgrade_upgraded);
	tcase_add_loop_test(tc, test_vn_ignored, 0, 5);
	tcase_add_test(tc, test_vn_once);
	tcase_add_loop_test(tc, test_noise_in_v2, 0, 3);
	tcase_add_loop_test(tc, test_check, 0, (int)QB_ARRAY_LEN(check_cases));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
