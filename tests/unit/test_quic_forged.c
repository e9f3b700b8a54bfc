/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Handshake packets by somebody who sees the client's and races the server, or replays: Retry,
 * Initials, packets behind them. What cannot be told from the server's does no more harm than to
 * end the attempt; everything else changes nothing.
 */
#include <check.h>

#include "quic_liar.h"

/* ---- Retry ---- */

enum retry_kind {
	RETRY_BAD_TAG,
	RETRY_NO_TOKEN,
	RETRY_SAME_CID,
	RETRY_OTHER_VERSION,
	RETRY_HUGE_TOKEN,
	RETRY_SECOND,	   /* after the server's own */
	RETRY_AFTER_HELLO, /* after something of the server's opened */
	RETRY_KIND_CNT
};

struct forger {
	enum retry_kind kind;
	bool is_exact; /* as the server itself might have sent it */
	uint32_t sent_cnt;
};

/* inject_retry hands the client a Retry that answers its last Initial. */
static void inject_retry(struct pair *p, struct qb_conn *c, const struct forger *f)
{
	const struct qb_cid scid = {.len = 8, .id = {9, 8, 7, 6, 5, 4, 3, 2}};
	const struct qb_cid *dcid = &c->hs.initial_dcid;
	bool is_same = !f->is_exact && f->kind == RETRY_SAME_CID;
	uint8_t pkt[1500], token[QB_RETRY_TOKEN_MAX + 100] = {1, 2, 3};
	size_t token_len = 40, len;
	uint32_t version = c->version;
	struct qb_tuple t = pair_client_tuple(0);
	struct qb_wr w = qb_wr_init(pkt, sizeof(pkt));
	uint8_t *tag;

	if (!f->is_exact) {
		token_len = f->kind == RETRY_NO_TOKEN	  ? 0
			    : f->kind == RETRY_HUGE_TOKEN ? sizeof(token)
							  : 40;
		if (f->kind == RETRY_OTHER_VERSION)
			version = QB_QUIC_V2;
	}
	qb_retry_build(&w, version, 5, &c->hs.local_scid, is_same ? dcid : &scid,
		       (struct qb_bytes){token, token_len});
	len = (size_t)(w.p - pkt);
	tag = qb_wr_take(&w, QB_RETRY_TAG_LEN);
	REQUIRE(tag);
	qb_retry_tag(version, dcid->id, dcid->len, pkt, len, tag);
	if (!f->is_exact && f->kind == RETRY_BAD_TAG)
		tag[3] ^= 1;
	pair_inject(p, CLIENT, &t, pkt, (uint32_t)(w.p - pkt));
}

static struct qb_conn *attempt;

/* Before each datagram of the server's that is right for the kind, the forger's arrives. */
static bool race(struct pair *p, int from, struct pair_pkt *pkt)
{
	struct forger *f = p->user;
	bool is_retry = (pkt->data[0] & 0xf0) == 0xf0;

	if (from != SERVER || f->sent_cnt >= 4 || !(pkt->data[0] & 0x80))
		return true;
	if (f->kind == RETRY_SECOND && is_retry)
		return true;
	f->sent_cnt++;
	if (f->kind == RETRY_AFTER_HELLO || f->kind == RETRY_SECOND) {
		/* The original first. */
		pair_inject(p, CLIENT, &pkt->tuple, pkt->data, pkt->len);
		inject_retry(p, attempt, f);
		return false;
	}
	inject_retry(p, attempt, f);
	return true;
}

START_TEST(test_retry_refused)
{
	struct forger f = {.kind = (enum retry_kind)_i};
	struct pair_opts o = pair_default_opts(10 + (uint64_t)_i);
	struct pair *p;

	if (f.kind == RETRY_SECOND)
		o.retry = QB_RETRY_ALWAYS;
	p = pair_new(&o);
	p->user = &f;
	p->on_packet = race;
	attempt = pair_connect(p);
	ck_assert(pair_run_until(p, pair_is_up, 10 * SEC));
	ck_assert_uint_ge(f.sent_cnt, 1);
	ck_assert_uint_ge(p->end[CLIENT].counters.v[QB_CNT_DROP_RETRY] +
				  p->end[CLIENT].counters.v[QB_CNT_DROP_HEADER],
			  1);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_RETRY_RX], f.kind == RETRY_SECOND);
	pair_run(p, 1 * SEC);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), 0);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(p->end[SERVER].dgram_seen[1], 1);
	pair_free(p);
}
END_TEST

/*
 * One that is perfect: the client follows it, and finds out by the server's parameters, which know
 * of no Retry (RFC 9000 §7.3). Or the server did send one: then they name another connection ID.
 */
START_TEST(test_retry_exact)
{
	struct forger f = {.is_exact = true};
	struct pair_opts o = pair_default_opts(30);
	struct pair *p;

	o.retry = _i ? QB_RETRY_ALWAYS : QB_RETRY_OFF;
	p = pair_new(&o);
	p->user = &f;
	attempt = pair_connect(p);
	inject_retry(p, attempt, &f);
	ck_assert_uint_eq(p->end[CLIENT].counters.v[QB_CNT_RETRY_RX], 1);
	pair_run(p, 70 * SEC);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_ESTABLISHED], 0);
	ck_assert_uint_eq(p->end[CLIENT].events[QB_EV_CONN_CLOSED], 1);
	if (!_i)
		ck_assert_uint_eq(p->end[CLIENT].last[QB_EV_CONN_CLOSED].error_code,
				  QB_QUIC_TRANSPORT_PARAMETER_ERROR);
	ck_assert_uint_eq(p->end[SERVER].q->half_opens.cnt, 0);
	pair_free(p);
}
END_TEST

/* Who serves takes no Retry at all. */
START_TEST(test_retry_to_server)
{
	struct pair_opts o = pair_default_opts(32);
	struct pair *p = pair_new(&o);
	struct forger f = {.is_exact = true};
	struct qb_tuple t = pair_server_tuple(p, 0);
	uint8_t pkt[100] = {0xf0, 0, 0, 0, 1, 8};

	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	inject_retry(p, p->end[CLIENT].conn, &f);
	memcpy(pkt + 5 + 1, p->end[SERVER].conn->hs.local_scid.id, QB_CID_LEN);
	pkt[5] = QB_CID_LEN;
	pair_inject(p, SERVER, &t, pkt, sizeof(pkt));
	pair_run(p, 1 * SEC);
	ck_assert(pair_is_up(p));
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_RETRY_RX], 0);
	pair_free(p);
}
END_TEST

/* ---- Initials ---- */

static struct pair_pkt first_flight;
static bool has_first_flight;

static bool keep_first(struct pair *p, int from, struct pair_pkt *pkt)
{
	(void)p;
	if (from == CLIENT && !has_first_flight) {
		first_flight = *pkt;
		has_first_flight = true;
	}
	return true;
}

static struct pair *pair_with_first_flight(uint64_t seed)
{
	struct pair_opts o = pair_default_opts(seed);
	struct pair *p = pair_new(&o);

	has_first_flight = false;
	p->on_packet = keep_first;
	ck_assert_ptr_nonnull(pair_connect(p));
	pair_poll(p, CLIENT);
	ck_assert(has_first_flight);
	return p;
}

/* The client's first packet, again from everywhere, under way and afterwards: nobody there is sent
 * anything. */
START_TEST(test_initial_replayed)
{
	struct pair *p = pair_with_first_flight(40);
	uint32_t i, n;

	for (n = 0; n < 40; n++) {
		for (i = 1; i < PAIR_LINKS; i++) {
			struct qb_tuple t = pair_server_tuple(p, i);

			if (n || p->end[SERVER].q->half_opens.cnt) /* not before the client's own */
				pair_inject(p, SERVER, &t, first_flight.data, first_flight.len);
		}
		pair_run(p, 2 * MS);
	}
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	ck_assert_uint_eq(p->end[SERVER].events[QB_EV_CONN_NEW], 1);
	pair_run(p, 2 * SEC);
	ck_assert(pair_is_up(p));
	pair_free(p);
}
END_TEST

/* Overtaken by a replay from elsewhere: the copy costs three times its size at most, in all. */
START_TEST(test_initial_overtaken)
{
	struct pair *p = pair_with_first_flight(41);
	struct qb_tuple t = pair_server_tuple(p, 3);

	pair_inject(p, SERVER, &t, first_flight.data, first_flight.len);
	pair_run(p, 70 * SEC);
	/* The client's own packets come from another address: they count for nobody else's. */
	ck_assert_uint_le(p->link[3].sent_bytes[SERVER], 3 * first_flight.len);
	ck_assert_uint_eq(p->end[SERVER].q->half_opens.cnt, 0);
	pair_free(p);
}
END_TEST

/* An Initial with strangers' packets behind it (CVE-2025-54939): they are dropped, and nothing of
 * them is kept. */
START_TEST(test_coalesced_strangers)
{
	struct pair *p = pair_with_first_flight(42);
	struct pair_pkt k;
	uint32_t i, len, n;

	pair_run(p, 15 * MS);
	for (n = 0; n < 2000; n++) {
		k = first_flight;
		len = k.len;
		/* Handshake packets with other connection IDs; the Initial's own length stays
		 * right. */
		for (i = 0; i < 5 && len + 60 < PAIR_PKT_MAX; i++, len += 60) {
			uint8_t *q = k.data + len;

			memset(q, (int)n, 60);
			q[0] = 0xe0;
			qb_store_be32(q + 1, QB_QUIC_V1);
			q[5] = 8;
			q[14] = 0;
			qb_store_be16(q + 15, 0x4000 | 43);
		}
		k.len = len;
		pair_inject(p, SERVER, &k.tuple, k.data, k.len);
		ck_assert_uint_le(p->end[SERVER].q->conn_slab.used_cnt, 1);
	}
	ck_assert_uint_ge(p->end[SERVER].counters.v[QB_CNT_DROP_COALESCED], 2000);
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	pair_free(p); /* every buffer came home */
}
END_TEST

/* Of the server's first datagrams only the Initial arrives. */
static bool only_initial(struct pair *p, int from, struct pair_pkt *pkt)
{
	struct qb_hdr h;

	(void)p;
	if (from == CLIENT)
		return true;
	REQUIRE(qb_hdr_parse(&h, pkt->data, pkt->len, QB_CID_LEN) == 0);
	pkt->len = (uint32_t)h.pkt_len;
	return h.type == QB_PKT_INITIAL;
}

/* A second server's Initial, with keys that anybody can make: by another source connection ID, with a token, as no server sends
 * it, or from where no server is. All too late to end anything. */
START_TEST(test_initial_of_second_server)
{
	static const struct {
		bool is_other_cid, is_elsewhere;
		uint8_t token_len;
		enum qb_counter drop;
	} second[] = {
		{true, false, 0, QB_CNT_DROP_HEADER},
		{false, false, 5, QB_CNT_DROP_HEADER},
		{false, true, 0, QB_CNT_DROP_PEER_ADDRESS},
	};
	struct pair_opts o = pair_default_opts(43);
	struct pair *p = pair_new(&o);
	struct qb_conn *c = pair_connect(p);
	const struct qb_cid other = {.len = 8, .id = {1, 1, 2, 3, 5, 8, 13, 21}};
	struct qb_frame close = {.type = QB_FRAME_CONNECTION_CLOSE, .close.error_code = 1};
	struct qb_tuple t = pair_client_tuple(0);
	struct qb_keys *rx, *tx;
	uint8_t pkt[1200], mask[QB_HP_MASK_LEN], *length_at;
	struct qb_long_hdr lh = {.type = QB_PKT_INITIAL, .version = QB_QUIC_V1, .pn_len = 4};
	struct qb_wr w = qb_wr_init(pkt, sizeof(pkt));
	size_t hdr_len, len, i;

	p->on_packet = only_initial;
	while (!c->hs.has_peer_scid) {
		pair_poll(p, CLIENT);
		ck_assert(pair_step(p, p->now_ns + 5 * SEC));
	}
	ck_assert(c->keys.rx[QB_LEVEL_INITIAL] != NULL);
	ck_assert_int_eq(qb_keys_new_initial(QB_QUIC_V1, c->hs.initial_dcid.id,
					     c->hs.initial_dcid.len, true, &rx, &tx),
			 0);
	lh.dcid = &c->hs.local_scid;
	lh.scid = second[_i].is_other_cid ? &other : &c->hs.peer_scid;
	lh.token = (struct qb_bytes){other.id, second[_i].token_len};
	t.peer.port = (uint16_t)(t.peer.port + second[_i].is_elsewhere);
	lh.pn = 77;
	qb_hdr_build_long(&w, &lh, &length_at);
	hdr_len = (size_t)(w.p - pkt);
	qb_frame_build(&w, &close);
	while ((size_t)(w.p - pkt) < 100)
		qb_wr_u8(&w, 0);
	len = (size_t)(w.p - pkt) - hdr_len;
	qb_hdr_set_length(length_at, 4 + len + QB_AEAD_TAG_LEN);
	qb_keys_seal(tx, 0, 77, pkt, hdr_len, len);
	qb_keys_hp_mask(tx, pkt + hdr_len - 4 + QB_HP_SAMPLE_OFF, mask);
	pkt[0] ^= mask[0] & QB_HDR_LONG_PROTECTED;
	for (i = 0; i < 4; i++)
		pkt[hdr_len - 4 + i] ^= mask[1 + i];
	pair_inject(p, CLIENT, &t, pkt, (uint32_t)(hdr_len + len + QB_AEAD_TAG_LEN));
	ck_assert_uint_eq(p->end[CLIENT].counters.v[second[_i].drop], 1);
	p->on_packet = NULL;
	ck_assert(pair_run_until(p, pair_is_up, 5 * SEC));
	qb_keys_free(rx);
	qb_keys_free(tx);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/forged");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_retry_refused, 0, RETRY_KIND_CNT);
	tcase_add_loop_test(tc, test_retry_exact, 0, 2);
	tcase_add_test(tc, test_retry_to_server);
	tcase_add_test(tc, test_initial_replayed);
	tcase_add_test(tc, test_initial_overtaken);
	tcase_add_test(tc, test_coalesced_strangers);
	tcase_add_loop_test(tc, test_initial_of_second_server, 0, 3);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
