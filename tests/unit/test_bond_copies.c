/* SPDX-License-Identifier: BSD-2-Clause */
/* Duplication: copies take links of their own, arrive as one packet, cost no more than they may,
 * and are not sent in vain. */
#include <check.h>
#include <stdlib.h>

#include "bond/bond.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

enum { FRAMES = 4096, LINKS = 3, LEN = 200 };

static uint8_t *frames;
static struct qb_buf bufs[FRAMES];
static struct qb_depot depot;
static struct qb_pool pool;
static struct qb_counters counters;
static struct qb_bond *tx, *rx;
static void *tx_mem, *rx_mem;
static struct qb_path_obs obs[QB_BOND_PATHS_MAX];
static struct qb_path_view views[LINKS];
static uint64_t now;
static uint32_t by_link[LINKS];
static uint64_t under_way; /* on each link, bytes */
static double at_once;	   /* losses: so many in a row */

static struct qb_bond *new_bond(void **mem)
{
	struct qb_bond_cfg cfg = {
				  .queue_pkts = 1000,
				  .reorder_pkts = 1024,
				  .seed = 7,
				  .counters = &counters,
				  .pool = &pool};
	struct qb_bond *b;

	*mem = malloc(qb_bond_footprint(&cfg));
	b = qb_bond_init(*mem, &cfg, now);
	qb_bond_set_ordered(b, true);
	return b;
}

static void observe(void)
{
	for (uint8_t i = 0; i < LINKS; i++)
		qb_bond_observe(tx, i, obs, QB_BOND_PATHS_MAX, now);
}

static void setup(void)
{
	now = 100 * SEC;
	frames = malloc((size_t)FRAMES * QB_FRAME_BYTES);
	memset(&counters, 0, sizeof(counters));
	memset(by_link, 0, sizeof(by_link));
	under_way = 0;
	at_once = 1;
	memset(obs, 0, sizeof(obs));
	qb_depot_init(&depot, frames, bufs, FRAMES);
	qb_pool_init(&pool, &depot);
	tx = new_bond(&tx_mem);
	rx = new_bond(&rx_mem);
	for (uint8_t i = 0; i < LINKS; i++) {
		obs[i] = (struct qb_path_obs){
			.is_open = true, .srtt_ns = 20 * MS, .rttvar_ns = MS, .pto_ns = 100 * MS};
		qb_bond_path_reset(tx, i, true, QB_TIER_PRIMARY, now);
	}
	observe();
}

static void teardown(void)
{
	qb_bond_fini(tx);
	qb_bond_fini(rx);
	qb_pool_fini(&pool);
	ck_assert_uint_eq(depot.free_cnt, FRAMES);
	free(tx_mem);
	free(rx_mem);
	free(frames);
}

static void refresh(void)
{
	for (uint32_t i = 0; i < LINKS; i++)
		views[i] = (struct qb_path_view){.is_usable = true,
						 .is_validated = true,
						 .srtt_ns = (20 + 10 * i) * MS,
						 .min_rtt_ns = (20 + 10 * i) * MS,
						 .cwnd_bytes = 100000,
						 .in_flight_bytes = under_way,
						 .rate_bps = 20000000,
						 .budget_bytes = 15000,
						 .max_inner_bytes = 1400};
}

static void call_packet(uint32_t n)
{
	struct qb_batch in = {.cnt = 1};
	struct qb_buf *b = qb_buf_get(&pool);
	uint8_t *p = b->data;

	b->len = LEN;
	memset(p, 0, LEN);
	p[0] = 0x45;
	qb_store_be16(p + 2, LEN);
	p[9] = 17;
	qb_store_be32(p + 12, 0x0a000001);
	qb_store_be32(p + 16, 0x0a000002);
	qb_store_be32(p + 40, n);
	in.buf[0] = b;
	qb_bond_enqueue(tx, &in, now);
}

/* carry sends what there is over links of which a bit of `dead` each loses all. Returns how many
 * packets came out. */
static uint32_t carry(uint32_t dead)
{
	struct qb_batch in = {0}, out = {0};
	struct qb_buf *b;
	uint8_t path;

	while ((b = qb_bond_pick(tx, views, LINKS, now, &path))) {
		by_link[path]++;
		if (dead >> path & 1)
			qb_buf_put(&pool, b);
		else
			qb_batch_add(&in, b);
	}
	qb_bond_rx(rx, &in, &out, now);
	ck_assert_uint_eq(in.cnt, 0);
	path = (uint8_t)out.cnt;
	qb_batch_put(&pool, &out);
	return path;
}

START_TEST(copies_take_links_of_their_own_and_arrive_once)
{
	struct qb_policy p = {.cnt = 1, .rules = {{.treat = {.copies = (uint8_t)(1 + _i)}}}};
	uint32_t copies = QB_MIN(1u + (uint32_t)_i, (uint32_t)LINKS), got = 0;

	qb_bond_set_policy(tx, &p);
	for (uint32_t i = 0; i < 100; i++, now += 20 * MS) {
		refresh();
		call_packet(i);
		got += carry(0);
	}
	ck_assert_uint_eq(got, 100);
	ck_assert_uint_eq(counters.v[QB_CNT_COPIES_SENT], (copies - 1) * 100);
	ck_assert_uint_eq(counters.v[QB_CNT_COPIES_BYTES], (copies - 1) * 100 * LEN);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_REORDER_DUP], (copies - 1) * 100);
	for (uint32_t i = 0; i < LINKS; i++)
		ck_assert_uint_eq(by_link[i], i < copies ? 100 : 0);
}
END_TEST

START_TEST(any_link_may_die)
{
	struct qb_policy p = {.cnt = 1, .rules = {{.treat = {.copies = 2}}}};
	uint32_t got = 0;

	qb_bond_set_policy(tx, &p);
	for (uint32_t i = 0; i < 200; i++, now += 20 * MS) {
		refresh();
		call_packet(i);
		got += carry(1u << (i / 20 % 2));
	}
	ck_assert_uint_eq(got, 200);
}
END_TEST

START_TEST(the_redundant_schedulers)
{
	static const struct {
		const char *name;
		uint32_t copies;
	} cases[] = {{"redundant", LINKS},
		     {"redundant:2", 2},
		     {"redundant:3", 3},
		     {"redundant:4", LINKS},
		     {"minrtt", 1}};
	uint32_t got = 0;

	qb_bond_set_sched(tx, qb_sched_find(cases[_i].name));
	for (uint32_t i = 0; i < 50; i++, now += 20 * MS) {
		refresh();
		call_packet(i);
		got += carry(0);
	}
	ck_assert_uint_eq(got, 50);
	ck_assert_uint_eq(counters.v[QB_CNT_COPIES_SENT], (cases[_i].copies - 1) * 50);
}
END_TEST

START_TEST(a_copy_that_finds_no_room_is_given_up)
{
	struct qb_policy p = {.cnt = 1, .rules = {{.treat = {.copies = 2}}}};
	uint32_t got = 0;

	qb_bond_set_policy(tx, &p);
	refresh();
	for (uint32_t i = 1; i < LINKS; i++) {
		views[i].budget_bytes = 0;
		views[i].next_send_ns = now + 4 * MS;
	}
	call_packet(0);
	got += carry(0);
	/* It has a little patience, and asks to be looked at. */
	ck_assert(qb_bond_has_queued(tx));
	ck_assert_uint_le(qb_bond_tx_deadline_ns(tx), now + 5 * MS);
	now += 6 * MS;
	got += carry(0);
	ck_assert(!qb_bond_has_queued(tx));
	ck_assert_uint_eq(got, 1);
	ck_assert_uint_eq(counters.v[QB_CNT_COPIES_SENT], 0);
	ck_assert_uint_eq(counters.v[QB_CNT_COPIES_SKIPPED], 1);
	/* With one link left there is nowhere to go at all. */
	refresh();
	views[1].is_usable = views[2].is_usable = false;
	call_packet(1);
	ck_assert_uint_eq(carry(0), 1);
	ck_assert(!qb_bond_has_queued(tx));
}
END_TEST

/* call lets one run for so many seconds while every link loses a part of what is acknowledged.
 * Returns copies per packet. */
static double call(uint32_t seconds, double loss, uint64_t jitter_ns)
{
	uint64_t before = counters.v[QB_CNT_COPIES_SENT], sent = (uint64_t)seconds * 50;
	double owed[LINKS] = {0};
	bool is_losing[LINKS] = {false};

	for (uint32_t i = 0; i < sent; i++, now += 20 * MS) {
		refresh();
		call_packet(i);
		ck_assert_uint_eq(carry(0), 1);
		for (uint32_t k = 0; k < LINKS; k++) {
			owed[k] += loss;
			obs[k].rttvar_ns = jitter_ns;
			obs[k].last_ack_ns = obs[k].last_rx_ns = now;
			is_losing[k] = owed[k] >= (is_losing[k] ? 1 : at_once);
			if (is_losing[k]) {
				owed[k] -= 1;
				obs[k].lost_packets++;
			} else {
				obs[k].acked_packets++;
			}
		}
		observe();
	}
	return (double)(counters.v[QB_CNT_COPIES_SENT] - before) / (double)sent;
}

START_TEST(auto_duplicates_while_it_pays)
{
	struct qb_bond_stats stats;

	/* Nothing lost: nothing spent. */
	ck_assert_double_eq(call(10, 0, MS), 0);
	qb_bond_get_stats(tx, &stats);
	ck_assert_str_eq(stats.protection,
			 "calls are sent once: the best link loses 0.0 %, jitter 1.0 ms");
	call(5, 0.05, MS);
	ck_assert_double_ge(call(10, 0.05, MS), 0.99);
	qb_bond_get_stats(tx, &stats);
	ck_assert_ptr_nonnull(
		strstr(stats.protection, "calls are sent twice: the best link loses "));
	/* It ends when the link is good again. */
	call(60, 0, MS);
	ck_assert_double_eq(call(10, 0, MS), 0);
	call(1, 0, 20 * MS);
	ck_assert_double_ge(call(5, 0, 20 * MS), 0.99);
}
END_TEST

/* A link that carries other traffic, too, loses now and then: while it does, nobody is to guess whether it does. */
START_TEST(what_was_proven_holds)
{
	under_way = 50000;
	call(10, 0.05, MS);
	at_once = 4;
	ck_assert_double_ge(call(30, 0.03, MS), 0.99);
	call(30, 0, MS);
	ck_assert_double_eq(call(10, 0, MS), 0);
}
END_TEST

/* come_back lets the quickest link be silent until it is given up, and answer again until it is in service. */
static void come_back(void)
{
	for (uint32_t ms = 0; ms < 4000; ms += 10, now += 10 * MS) {
		obs[0].oldest_unacked_ns = ms < 1000 ? now - ms * MS - MS : 0;
		for (uint32_t k = ms < 1000; k < LINKS; k++)
			obs[k].last_acked_sent_ns = now;
		observe();
	}
}

/* What failed may fail again: what is under way then would come as late as that takes to be seen. */
START_TEST(calls_do_not_rely_on_what_just_came_back)
{
	struct qb_bond_stats stats;

	call(5, 0, MS);
	come_back();
	call(1, 0, MS);
	ck_assert_double_ge(call(3, 0, MS), 0.99);
	qb_bond_get_stats(tx, &stats);
	ck_assert_str_eq(stats.protection, "calls are sent twice: the best link loses 0.0 %, jitter 1.0 ms; it had failed a moment ago");
	call(10, 0, MS);
	ck_assert_double_eq(call(10, 0, MS), 0);
}
END_TEST

/* download lets so much of one QUIC flow come, and sends so many of its acknowledgements. Returns how many of these went twice. */
static uint64_t download(uint32_t bytes, uint32_t acks)
{
	uint64_t before = counters.v[QB_CNT_COPIES_SENT];

	for (uint32_t i = 0; i < QB_MAX(bytes / 1400, acks); i++, now += MS) {
		bool is_ack = i >= bytes / 1400;
		struct qb_buf *b = qb_buf_get(&pool);
		struct qb_batch in = {.cnt = 1, .buf = {b}}, out = {0};

		b->len = is_ack ? 68 : 1400;
		memset(b->data, 0, 68);
		b->data[0] = 0x45;
		qb_store_be16(b->data + 2, (uint16_t)b->len);
		b->data[9] = 17;
		qb_store_be32(b->data + (is_ack ? 12 : 16), 0x0a000001);
		qb_store_be32(b->data + (is_ack ? 16 : 12), 0x0a000002);
		qb_store_be16(b->data + (is_ack ? 22 : 20), 443);
		qb_store_be16(b->data + (is_ack ? 20 : 22), 50000);
		refresh();
		if (is_ack) {
			qb_bond_enqueue(tx, &in, now);
			carry(0);
			continue;
		}
		b->flags = 0;
		qb_bond_rx(tx, &in, &out, now);
		qb_batch_put(&pool, &out);
	}
	return counters.v[QB_CNT_COPIES_SENT] - before;
}

/* Small packets of UDP are a call's, or something short; but not where a download comes the other way. */
START_TEST(acknowledgements_are_no_call)
{
	call(10, 0.05, MS);
	ck_assert_uint_eq(download(0, 20), 20);
	/* It has to be known that the flow exists. */
	download(300000, 0);
	ck_assert_uint_eq(download(0, 20), 0);
	ck_assert_double_ge(call(1, 0.05, MS), 0.99);
	now += 6 * SEC;
	ck_assert_uint_eq(download(0, 20), 20);
}
END_TEST

START_TEST(auto_has_a_budget)
{
	uint64_t sent = 0, copies, span_ns;

	call(10, 0.05, MS);
	copies = counters.v[QB_CNT_COPIES_BYTES];
	span_ns = now;
	/* A hundred calls' worth of sparse flows over 60 Mbit/s: the copies stay below a twentieth
	 * of it. */
	for (uint32_t i = 0; i < 4000; i++, now += 200 * QB_NS_PER_US) {
		struct qb_buf *b = qb_buf_get(&pool);
		struct qb_batch in = {.cnt = 1, .buf = {b}};

		refresh();
		b->len = 1000;
		memset(b->data, 0, 100);
		b->data[0] = 0x45;
		qb_store_be16(b->data + 2, 1000);
		b->data[9] = 17;
		qb_store_be32(b->data + 12, i % 200);
		sent += b->len;
		qb_bond_enqueue(tx, &in, now);
		carry(0);
	}
	span_ns = now - span_ns;
	copies = counters.v[QB_CNT_COPIES_BYTES] - copies;
	ck_assert_uint_gt(copies, 0);
	ck_assert_uint_le(copies, 60000000 / 8 / 20 * span_ns / SEC + 20000);
	ck_assert_uint_lt(copies, sent / 5);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond_copies");
	TCase *tc = tcase_create("copies");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, copies_take_links_of_their_own_and_arrive_once, 0, 5);
	tcase_add_test(tc, any_link_may_die);
	tcase_add_loop_test(tc, the_redundant_schedulers, 0, 5);
	tcase_add_test(tc, a_copy_that_finds_no_room_is_given_up);
	tcase_add_test(tc, auto_duplicates_while_it_pays);
	tcase_add_test(tc, what_was_proven_holds);
	tcase_add_test(tc, calls_do_not_rely_on_what_just_came_back);
	tcase_add_test(tc, acknowledgements_are_no_call);
	tcase_add_test(tc, auto_has_a_budget);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
