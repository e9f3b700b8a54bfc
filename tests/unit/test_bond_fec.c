/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forward error correction: any K of K + R symbols give the packets back; headers and blocks that
 * lie are refused; and in a bond it costs nothing without need, no more than half where it is
 * needed, and reaches the last packets of a flow in time.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "bond/bond.h"
#include "bond/fec.h"
#include "bond/header.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

enum { FRAMES = 4096, LINKS = 2, SYMBOL = 1500 };

static uint8_t *frames;
static struct qb_buf *bufs;
static struct qb_depot depot;
static struct qb_pool pool;
static struct qb_counters counters;
static struct qb_fec_code code;
static uint8_t code_tables[QB_FEC_TABLES_BYTES];
static struct qb_rand dice;
static uint64_t now;

static void setup(void)
{
	now = 10 * SEC;
	frames = malloc((size_t)FRAMES * QB_FRAME_BYTES);
	bufs = calloc(FRAMES, sizeof(*bufs));
	memset(&counters, 0, sizeof(counters));
	qb_depot_init(&depot, frames, bufs, FRAMES);
	qb_pool_init(&pool, &depot);
	qb_fec_code_init(&code, code_tables);
	qb_rand_seed(&dice, 4711);
}

static void teardown(void)
{
	qb_pool_fini(&pool);
	ck_assert_uint_eq(depot.free_cnt, FRAMES);
	free(bufs);
	free(frames);
}

/* ---- the code ---- */

/* solve_all makes a block of k sources, loses those whose bit is set, and makes them again out of
 * the repairs in `use`. */
static void solve_all(uint32_t k, uint32_t r, uint32_t lost, uint32_t use)
{
	static uint8_t source[QB_FEC_SOURCES_MAX][SYMBOL], repair[QB_FEC_REPAIRS_MAX][SYMBOL],
		got[QB_FEC_REPAIRS_MAX][SYMBOL];
	enum qb_fec_scheme scheme = r == 1 && k % 2 ? QB_FEC_XOR : QB_FEC_RS;
	uint8_t *repairs[QB_FEC_REPAIRS_MAX], *picked[QB_FEC_REPAIRS_MAX], *out[QB_FEC_REPAIRS_MAX];
	uint8_t repair_idx[QB_FEC_REPAIRS_MAX], source_idx[QB_FEC_REPAIRS_MAX];
	uint32_t len[QB_FEC_SOURCES_MAX], longest = 0, cnt = 0, n = 0;

	for (uint32_t j = 0; j < r; j++) {
		memset(repair[j], 0, SYMBOL);
		repairs[j] = repair[j];
	}
	for (uint32_t i = 0; i < k; i++) {
		len[i] = 9 + (uint32_t)qb_rand_below(&dice, SYMBOL - 9);
		longest = QB_MAX(longest, len[i]);
		for (uint32_t x = 0; x < SYMBOL; x++)
			source[i][x] = x < len[i] ? (uint8_t)qb_rand_u64(&dice) : 0;
		qb_fec_code_add(&code, scheme, i, source[i], len[i], r, repairs);
	}
	for (uint32_t i = 0; i < k; i++)
		if (lost >> i & 1)
			source_idx[cnt++] = (uint8_t)i;
	for (uint32_t j = 0; j < r && n < cnt; j++) {
		if (!(use >> j & 1))
			continue;
		picked[n] = repair[j];
		out[n] = got[n];
		repair_idx[n++] = (uint8_t)j;
	}
	ck_assert_uint_eq(n, cnt);
	for (uint32_t i = 0; i < k; i++)
		for (uint32_t a = 0; !(lost >> i & 1) && a < n; a++)
			qb_fec_code_drop(scheme, i, source[i], len[i], repair_idx[a], picked[a]);
	ck_assert(qb_fec_code_solve(scheme, cnt, repair_idx, picked, source_idx, out, longest));
	for (uint32_t a = 0; a < cnt; a++)
		ck_assert_int_eq(memcmp(got[a], source[source_idx[a]], longest), 0);
}

START_TEST(any_of_a_small_block)
{
	for (uint32_t k = 1; k <= 6; k++)
		for (uint32_t r = 1; r <= 4; r++)
			for (uint32_t lost = 1; lost < 1u << k; lost++)
				for (uint32_t use = 1; use < 1u << r; use++)
					if (__builtin_popcount(lost) == __builtin_popcount(use))
						solve_all(k, r, lost, use);
}
END_TEST

START_TEST(some_of_large_blocks)
{
	for (uint32_t round = 0; round < 60; round++) {
		uint32_t k = 1 + (uint32_t)qb_rand_below(&dice, QB_FEC_SOURCES_MAX), lost = 0,
			 use = 0;
		uint32_t r = 1 + (uint32_t)qb_rand_below(&dice, QB_FEC_REPAIRS_MAX);
		uint32_t m = 1 + (uint32_t)qb_rand_below(&dice, QB_MIN(k, r));

		while ((uint32_t)__builtin_popcount(lost) < m)
			lost |= 1u << qb_rand_below(&dice, k);
		while ((uint32_t)__builtin_popcount(use) < m)
			use |= 1u << qb_rand_below(&dice, r);
		solve_all(k, r, lost, use);
	}
	solve_all(32, 16, 0xffff0000u, 0xffff);
	solve_all(32, 16, 0x0000ffffu, 0xffff);
	solve_all(16, 16, 0x0000ffffu, 0xffff);
}
END_TEST

/* ---- headers ---- */

START_TEST(headers)
{
	struct qb_fec_header h;
	uint8_t p[64] = {0};

	for (uint32_t first = 0; first < 256; first++) {
		for (uint32_t sources = 0; sources < 256; sources += sources < 40 ? 1 : 43) {
			for (uint32_t len = 0; len < sizeof(p); len += len < 20 ? 1 : 11) {
				int n;

				p[0] = (uint8_t)first;
				p[4] = (uint8_t)sources;
				n = qb_fec_header_parse(p, len, &h);
				if (n < 0)
					continue;
				ck_assert_uint_lt((uint32_t)n, len);
				if (!h.is_repair) {
					ck_assert_uint_lt(h.idx, QB_FEC_SOURCES_MAX);
					ck_assert_uint_gt(len - (uint32_t)n, QB_BOND_HEADER_LEN);
					continue;
				}
				ck_assert_uint_lt(h.idx, QB_FEC_REPAIRS_MAX);
				ck_assert_uint_ge(h.source_cnt, 1);
				ck_assert_uint_le(h.source_cnt, QB_FEC_SOURCES_MAX);
				ck_assert_uint_gt(len - (uint32_t)n,
						  QB_FEC_LENGTH_LEN + QB_BOND_HEADER_LEN);
			}
		}
	}
	for (int is_repair = 0; is_repair < 2; is_repair++) {
		struct qb_fec_header in = {.is_repair = is_repair,
					   .scheme = is_repair ? QB_FEC_RS : QB_FEC_XOR,
					   .idx = 13,
					   .source_cnt = is_repair ? 32 : 0,
					   .block = 0xabcdef};

		qb_fec_header_build(p, &in);
		ck_assert_int_eq(qb_fec_header_parse(p, 40, &h),
				 is_repair ? QB_FEC_REPAIR_LEN : QB_FEC_SOURCE_LEN);
		ck_assert(h.is_repair == in.is_repair && h.scheme == in.scheme && h.idx == in.idx &&
			  h.source_cnt == in.source_cnt && h.block == in.block);
	}
	/* XOR has one symbol; reserved bits are zero. */
	qb_fec_header_build(
		p, &(struct qb_fec_header){
			   .is_repair = true, .scheme = QB_FEC_XOR, .idx = 1, .source_cnt = 4});
	ck_assert_int_lt(qb_fec_header_parse(p, 40, &h), 0);
	qb_fec_header_build(
		p, &(struct qb_fec_header){
			   .is_repair = true, .scheme = QB_FEC_RS, .idx = 1, .source_cnt = 4});
	p[5] = 1;
	ck_assert_int_lt(qb_fec_header_parse(p, 40, &h), 0);
}
END_TEST

/* ---- a receiver against a peer that lies ---- */

static struct qb_fec_rx *new_rx(void)
{
	struct qb_fec_rx *rx = malloc(sizeof(*rx) + QB_FEC_BLOCKS * sizeof(struct qb_fec_block));

	qb_fec_rx_init(rx, (struct qb_fec_block *)(void *)(rx + 1), &pool, &counters);
	return rx;
}

static uint32_t give(struct qb_fec_rx *rx, const struct qb_fec_header *h, uint32_t len,
		     uint8_t fill)
{
	struct qb_buf *b = qb_buf_get(&pool);
	struct qb_batch made = {0};
	uint32_t n = h->is_repair ? QB_FEC_REPAIR_LEN : QB_FEC_SOURCE_LEN;

	ck_assert_ptr_nonnull(b);
	memset(b->data, fill, n + len);
	qb_fec_header_build(b->data, h);
	b->len = n + len;
	b->flags = QB_BUF_FEC;
	b = qb_fec_rx_take(rx, b, &made, now);
	ck_assert_int_eq(b != NULL, !h->is_repair);
	if (b)
		qb_buf_put(&pool, b);
	n = made.cnt;
	qb_batch_put(&pool, &made);
	return n;
}

START_TEST(contradictions_end_a_block)
{
	struct qb_fec_rx *rx = new_rx();
	struct qb_fec_header s = {.idx = 1, .block = 7};
	struct qb_fec_header r = {.is_repair = true,
				  .scheme = QB_FEC_RS,
				  .source_cnt = 4,
				  .block = 7},
			     other;

	/* A source beyond the block's end. */
	s.idx = 5;
	ck_assert_uint_eq(give(rx, &s, 50, 1), 0);
	ck_assert_uint_eq(give(rx, &r, 60, 1), 0);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_FEC], 1);
	ck_assert_uint_eq(rx->kept_cnt, 0);
	/* A source longer than the symbols. */
	s = (struct qb_fec_header){.block = 8};
	r.block = 8;
	r.source_cnt = 2;
	ck_assert_uint_eq(give(rx, &s, 80, 1), 0);
	ck_assert_uint_eq(give(rx, &r, 60, 1), 0);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_FEC], 2);
	/* Symbols of two lengths, two counts, two schemes. */
	for (uint32_t i = 0; i < 3; i++) {
		r = (struct qb_fec_header){
			.is_repair = true, .scheme = QB_FEC_RS, .source_cnt = 4, .block = 9 + i};
		other = r;
		other.idx = i == 2 ? 0 : 1;
		other.source_cnt = i == 1 ? 5 : 4;
		other.scheme = i == 2 ? QB_FEC_XOR : QB_FEC_RS;
		ck_assert_uint_eq(give(rx, &r, 60, 1), 0);
		ck_assert_uint_eq(give(rx, &other, i == 0 ? 61 : 60, 1), 0);
		ck_assert_uint_eq(counters.v[QB_CNT_DROP_FEC], 3 + i);
		ck_assert_uint_eq(rx->kept_cnt, 0);
	}
	/* A length that is none: what comes out is thrown away. */
	r = (struct qb_fec_header){
		.is_repair = true, .scheme = QB_FEC_XOR, .source_cnt = 1, .block = 20};
	ck_assert_uint_eq(give(rx, &r, 60, 0xff), 0);
	r.block = 21;
	ck_assert_uint_eq(give(rx, &r, 60, 0), 0);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_FEC], 8 - 1);
	ck_assert_uint_eq(counters.v[QB_CNT_FEC_RECOVERED], 0);
	qb_fec_rx_fini(rx);
	free(rx);
}
END_TEST

START_TEST(what_is_kept_is_bounded_and_forgotten)
{
	struct qb_fec_rx *rx = new_rx();

	for (uint32_t i = 0; i < 3000; i++) {
		struct qb_fec_header h = {.idx = (uint8_t)(i % 31),
					  .block = i / 31 + (uint32_t)qb_rand_below(&dice, 40)};

		give(rx, &h, 7 + (uint32_t)qb_rand_below(&dice, 1000), (uint8_t)i);
		ck_assert_uint_le(rx->kept_cnt, QB_FEC_KEPT_MAX);
	}
	ck_assert_uint_gt(rx->kept_cnt, 0);
	now += SEC;
	qb_fec_rx_expire(rx, now);
	ck_assert_uint_eq(rx->kept_cnt, 0);
	ck_assert_uint_eq(pool.cnt + depot.free_cnt, FRAMES);
	qb_fec_rx_fini(rx);
	free(rx);
}
END_TEST

/* Of a block of four one packet and one symbol came: three stay lost, and are counted once, whether
 * the block grows old or makes room.
 */
START_TEST(what_cannot_be_made_is_counted)
{
	struct qb_fec_rx *rx = new_rx();
	struct qb_fec_header source = {.idx = 1, .block = 9};
	struct qb_fec_header repair = {
		.is_repair = true, .scheme = QB_FEC_RS, .source_cnt = 4, .block = 9};

	give(rx, &source, 60, 1);
	give(rx, &repair, 100, 2);
	source.block = 9 + (_i ? QB_FEC_BLOCKS : 0);
	now += _i ? 0 : SEC;
	give(rx, &source, 60, 1);
	qb_fec_rx_expire(rx, now);
	qb_fec_rx_expire(rx, now + SEC);
	ck_assert_uint_eq(counters.v[QB_CNT_FEC_FAILED], 3);
	ck_assert_uint_eq(counters.v[QB_CNT_FEC_RECOVERED], 0);
	qb_fec_rx_fini(rx);
	free(rx);
}
END_TEST

/* ---- in bonds ---- */

static struct qb_bond *tx, *rx_bond;
static void *tx_mem, *rx_mem;
static struct qb_path_obs obs[QB_BOND_PATHS_MAX];
static uint64_t rtt_ns;
static uint32_t symbols_by_link[LINKS], sources_by_link[LINKS];
static uint64_t sent_bytes, inner_bytes;

static struct qb_bond *new_bond(void **mem, struct qb_fec_want want)
{
	struct qb_bond_cfg cfg = {.queue_pkts = 1000,
				  .reorder_pkts = 1024,
				  .seed = 7,
				  .counters = &counters,
				  .pool = &pool,
				  .fec = want};
	struct qb_bond *b;

	*mem = malloc(qb_bond_footprint(&cfg));
	b = qb_bond_init(*mem, &cfg, now);
	qb_bond_set_ordered(b, true);
	qb_bond_set_fec(b, true);
	return b;
}

static void start(struct qb_fec_want want, uint64_t rtt)
{
	rtt_ns = rtt;
	sent_bytes = inner_bytes = 0;
	memset(symbols_by_link, 0, sizeof(symbols_by_link));
	memset(sources_by_link, 0, sizeof(sources_by_link));
	memset(obs, 0, sizeof(obs));
	tx = new_bond(&tx_mem, want);
	rx_bond = new_bond(&rx_mem, want);
	for (uint8_t i = 0; i < LINKS; i++) {
		obs[i] = (struct qb_path_obs){
			.is_open = true, .srtt_ns = rtt_ns, .rttvar_ns = MS, .pto_ns = 3 * rtt_ns};
		qb_bond_path_reset(tx, i, true, QB_TIER_PRIMARY, now);
		qb_bond_observe(tx, i, obs, QB_BOND_PATHS_MAX, now);
	}
}

static void stop(void)
{
	qb_bond_fini(tx);
	qb_bond_fini(rx_bond);
	free(tx_mem);
	free(rx_mem);
}

/* put queues a packet of its own length and content. */
static void put(uint32_t n, uint8_t dscp)
{
	struct qb_batch in = {.cnt = 1};
	struct qb_buf *b = qb_buf_get(&pool);
	uint8_t *p = b->data;

	b->len = 60 + n * 37 % 1200;
	inner_bytes += b->len;
	for (uint32_t i = 0; i < b->len; i++)
		p[i] = (uint8_t)(n + i * 7);
	p[0] = 0x45;
	p[1] = (uint8_t)(dscp << 2);
	qb_store_be16(p + 2, (uint16_t)b->len);
	qb_store_be16(p + 6, 0);
	p[9] = 17;
	qb_store_be32(p + 12, 0x0a000001);
	qb_store_be32(p + 16, 0x0a000002);
	qb_store_be32(p + 20, 0x13881388);
	qb_store_be32(p + 40, n);
	in.buf[0] = b;
	qb_bond_enqueue(tx, &in, now);
}

/* check returns which packet it is, having looked at all of it. */
static uint32_t check(const struct qb_buf *b)
{
	uint32_t n = qb_load_be32(b->data + 40), wrong = 0;

	ck_assert_uint_eq(b->len, 60 + n * 37 % 1200);
	for (uint32_t i = 44; i < b->len; i++)
		wrong += b->data[i] != (uint8_t)(n + i * 7);
	ck_assert_uint_eq(wrong, 0);
	return n;
}

/* carry sends what is due over `links` links; a packet is lost with this chance. seen counts
 * packets that come out. */
static void carry(uint32_t links, double loss, uint8_t *seen)
{
	struct qb_path_view v[LINKS];
	struct qb_batch in = {0}, out = {0};
	struct qb_buf *b;
	uint8_t path;

	for (uint32_t i = 0; i < LINKS; i++)
		v[i] = (struct qb_path_view){.is_usable = i < links,
					     .is_validated = true,
					     .srtt_ns = rtt_ns + i * MS,
					     .min_rtt_ns = rtt_ns + i * MS,
					     .cwnd_bytes = 1000000,
					     .rate_bps = 50000000,
					     .budget_bytes = 100000,
					     .max_inner_bytes = 1400};
	while (qb_bond_has_queued(tx) && (b = qb_bond_pick(tx, v, LINKS, now, &path))) {
		bool is_symbol = b->flags & QB_BUF_FEC && !(b->flags & QB_BUF_ORDERED);

		sent_bytes += b->len;
		*(is_symbol ? &symbols_by_link[path] : &sources_by_link[path]) += 1;
		if ((double)qb_rand_below(&dice, 1000000) < loss * 1e6)
			qb_buf_put(&pool, b);
		else
			qb_batch_add(&in, b);
		if (!qb_batch_full(&in))
			continue;
		qb_bond_rx(rx_bond, &in, &out, now);
	}
	do {
		qb_bond_rx(rx_bond, &in, &out, now);
		for (uint32_t i = 0; i < out.cnt; i++)
			seen[check(out.buf[i])]++;
		qb_batch_put(&pool, &out);
	} while (in.cnt);
}

/* A fixed code over random loss: everything arrives at most once, whole, and what the code can give
 * back does arrive. */
START_TEST(random_losses)
{
	static const struct qb_fec_want codes[] = {{.mode = QB_FEC_FIXED, .sources = 4, .repairs = 1},
						   {.mode = QB_FEC_FIXED, .is_rs = true, .sources = 10, .repairs = 3},
						   {.mode = QB_FEC_FIXED, .is_rs = true, .sources = 20, .repairs = 10},
						   {.mode = QB_FEC_FIXED, .is_rs = true, .sources = 32, .repairs = 16}};
	uint8_t *seen = calloc(4001, 1);
	uint32_t lost = 0;

	start(codes[_i % 4], 40 * MS);
	for (uint32_t i = 0; i < 4000; i++, now += 5 * MS) {
		put(i, 46);
		carry(LINKS, 0.02 + 0.02 * _i / 4, seen);
	}
	now += SEC;
	carry(LINKS, 0, seen);
	for (uint32_t i = 0; i < 4000; i++) {
		ck_assert_uint_le(seen[i], 1);
		lost += seen[i] == 0;
	}
	ck_assert_uint_gt(counters.v[QB_CNT_FEC_RECOVERED], 30);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_FEC], 0);
	/* Blocks end after six packets, with as many symbols as are theirs: 4 + 1, 6 + 2, 6 + 3, 6
	 * + 3. */
	ck_assert_uint_le(lost, _i % 4 == 0 ? 16 * (1 + (uint32_t)_i / 4) : _i % 4 == 1 ? 16 : 2);
	ck_assert_double_le((double)counters.v[QB_CNT_FEC_SENT], 0.52 * 4000);
	for (uint32_t i = 0; i < LINKS; i++)
		ck_assert(sources_by_link[i] == 0 || symbols_by_link[i] < sources_by_link[i]);
	free(seen);
	stop();
}
END_TEST

START_TEST(symbols_take_another_link_where_there_is_one)
{
	uint8_t *seen = calloc(401, 1);

	start((struct qb_fec_want){.mode = QB_FEC_FIXED, .is_rs = true, .sources = 4, .repairs = 2}, 40 * MS);
	for (uint32_t i = 0; i < 400; i++, now += 5 * MS) {
		put(i, 46);
		carry(_i ? 1 : LINKS, 0, seen);
	}
	ck_assert_uint_eq(sources_by_link[0], 400);
	ck_assert_uint_eq(symbols_by_link[_i ? 0 : 1], 200);
	ck_assert_uint_eq(counters.v[QB_CNT_FEC_USELESS], 200);
	free(seen);
	stop();
}
END_TEST

/* One packet, then silence: its repair comes within half of the deadline all the same, and is asked
 * for by the timer. */
START_TEST(the_last_packets_are_protected_in_time)
{
	struct qb_policy p = {.cnt = 1, .rules = {{.treat = {.deadline_ns = 80 * MS}}}};
	uint8_t seen[2] = {0};
	uint64_t at;

	start((struct qb_fec_want){.mode = QB_FEC_FIXED, .is_rs = true, .sources = 10, .repairs = 2}, 40 * MS);
	if (_i)
		qb_bond_set_policy(tx, &p);
	put(0, 46);
	carry(LINKS, 1, seen);
	ck_assert_uint_eq(seen[0], 0);
	at = qb_bond_tx_deadline_ns(tx);
	ck_assert_uint_eq(at, now + (_i ? 40 : 30) * MS);
	ck_assert(!qb_bond_has_queued(tx));
	now = at;
	qb_bond_rx_poll(tx, &(struct qb_batch){0}, now);
	ck_assert(qb_bond_has_queued(tx));
	carry(LINKS, 0, seen);
	ck_assert_uint_eq(seen[0], 1);
	ck_assert_uint_eq(counters.v[QB_CNT_FEC_RECOVERED], 1);
	ck_assert_uint_eq(qb_bond_tx_deadline_ns(tx), QB_NEVER_NS);
	stop();
}
END_TEST

/* losing lets the links' reports tell of loss for some time, with a call of 50 packets a second. */
static void losing(uint32_t links, double loss, uint32_t packets, uint8_t *seen, uint32_t first)
{
	double owed = 0;

	for (uint32_t i = 0; i < packets; i++, now += 20 * MS) {
		put(first + i, 0);
		carry(links, loss, seen);
		owed += loss;
		for (uint8_t k = 0; k < LINKS; k++) {
			if (owed >= 1)
				obs[k].lost_packets++;
			else
				obs[k].acked_packets++;
			obs[k].last_ack_ns = obs[k].last_rx_ns = now;
			qb_bond_observe(tx, k, obs, QB_BOND_PATHS_MAX, now);
		}
		owed -= owed >= 1;
	}
}

/* A block is due while no link works: it waits for one, and the timer is not set again and again.
 */
START_TEST(an_outage_is_waited_for)
{
	uint8_t seen[2] = {0};

	start((struct qb_fec_want){.mode = QB_FEC_FIXED, .is_rs = true, .sources = 10, .repairs = 2}, 40 * MS);
	put(0, 46);
	carry(LINKS, 1, seen);
	now = qb_bond_tx_deadline_ns(tx);
	qb_bond_rx_poll(tx, &(struct qb_batch){0}, now);
	carry(0, 0, seen);
	ck_assert_uint_eq(qb_bond_tx_deadline_ns(tx), QB_NEVER_NS);
	ck_assert(qb_bond_has_queued(tx));
	now += SEC / 10;
	carry(LINKS, 0, seen);
	ck_assert_uint_eq(seen[0], 1);
	stop();
}
END_TEST

START_TEST(auto_protects_calls_where_a_retransmission_is_late)
{
	uint8_t *seen = calloc(10000, 1);
	uint32_t lost = 0;

	start((struct qb_fec_want){0}, 100 * MS);
	/* No loss: nothing on top but the bond header. */
	losing(1, 0, 500, seen, 0);
	ck_assert_uint_eq(counters.v[QB_CNT_FEC_BLOCKS], 0);
	ck_assert_uint_eq(sent_bytes, inner_bytes + 500 * QB_BOND_HEADER_LEN);
	losing(1, 0.05, 500, seen, 500);
	sent_bytes = inner_bytes = 0;
	losing(1, 0.05, 4000, seen, 1000);
	for (uint32_t i = 1000; i < 4990; i++)
		lost += seen[i] == 0;
	ck_assert_uint_le(lost, 3990 / 100); /* without retransmissions, which this test has not */
	ck_assert_uint_gt(counters.v[QB_CNT_FEC_RECOVERED], 100);
	ck_assert_uint_le(counters.v[QB_CNT_FEC_BYTES] * 100, inner_bytes * 75);
	/* It ends when the link is good again. */
	losing(1, 0, 3000, seen, 5000);
	sent_bytes = inner_bytes = 0;
	losing(1, 0, 200, seen, 8000);
	ck_assert_uint_eq(sent_bytes, inner_bytes + 200 * QB_BOND_HEADER_LEN);
	free(seen);
	stop();
}
END_TEST

START_TEST(auto_leaves_it_where_it_does_not_pay)
{
	uint8_t *seen = calloc(2000, 1);

	/* A retransmission over 20 ms is in time; with another link, copies are better. */
	start((struct qb_fec_want){0}, _i ? 100 * MS : 20 * MS);
	losing(_i ? LINKS : 1, 0.05, 1500, seen, 0);
	ck_assert_uint_lt(counters.v[QB_CNT_FEC_PROTECTED], 200);
	ck_assert(!_i || counters.v[QB_CNT_COPIES_SENT] > 1000);
	free(seen);
	stop();
}
END_TEST

/*
 * flow_pct lets 4,000 packets of a call (or many of them, gap_ns apart) pass auto, 100 ms from the
 * other end. Returns how many symbols it adds to a hundred packets.
 */
static double flow_pct(double loss, double burst, uint64_t gap_ns, const char *bounds)
{
	struct qb_fec_want want = {.mode = QB_FEC_AUTO};
	uint64_t taken, were_pkts = counters.v[QB_CNT_FEC_PROTECTED], were = counters.v[QB_CNT_FEC_SENT];
	static struct qb_fec_tx f;
	struct qb_buf *b;

	if (bounds)
		sscanf(bounds, "%hhu-%hhu", &want.min_pct, &want.max_pct);
	qb_fec_tx_init(&f, &code, &pool, &counters);
	qb_fec_tx_look(&f, loss, burst, 100 * MS);
	for (uint32_t i = 0; i < 4000; i++, now += gap_ns) {
		struct qb_fec_plan plan = qb_fec_tx_plan(&f, &want, true);

		b = qb_buf_get(&pool);
		b->len = 200;
		memset(b->data, (int)i, b->len);
		if (plan.sources)
			ck_assert(qb_fec_tx_add(&f, &plan, b, 30 * MS, now));
		qb_buf_put(&pool, b);
		while ((b = qb_fec_tx_next(&f, &taken, now)))
			qb_buf_put(&pool, b);
	}
	qb_fec_tx_fini(&f);
	were_pkts = counters.v[QB_CNT_FEC_PROTECTED] - were_pkts;
	return were_pkts ? 100 * (double)(counters.v[QB_CNT_FEC_SENT] - were) / (double)were_pkts : 0;
}

/* What auto adds follows the loss, from nothing to half, and how many packets are lost in a row. */
START_TEST(auto_adds_as_much_as_the_loss_asks_for)
{
	static const struct {
		double loss, burst;
		uint64_t gap_ms;
		const char *bounds;
		double least_pct, most_pct;
	} rows[] = {
		/* clang-format off */
		{ .loss = 0.001, .burst = 1, .gap_ms = 1 },
		{ .loss = 0.01, .burst = 1, .gap_ms = 1, .least_pct = 3, .most_pct = 10 },
		{ .loss = 0.05, .burst = 1, .gap_ms = 1, .least_pct = 12, .most_pct = 22 },
		{ .loss = 0.10, .burst = 1, .gap_ms = 1, .least_pct = 23, .most_pct = 35 },
		{ .loss = 0.30, .burst = 1, .gap_ms = 1, .least_pct = 48, .most_pct = 50 },
		{ .loss = 0.01, .burst = 5, .gap_ms = 1, .least_pct = 15, .most_pct = 18 },
		/* a call alone: two packets come in time to help each other */
		{ .loss = 0.01, .burst = 1, .gap_ms = 20, .least_pct = 49, .most_pct = 50 },
		{ .loss = 0.001, .burst = 1, .gap_ms = 1, .bounds = "30-40" },
		{ .loss = 0.01, .burst = 1, .gap_ms = 1, .bounds = "30-40", .least_pct = 30, .most_pct = 34 },
		{ .loss = 0.10, .burst = 1, .gap_ms = 1, .bounds = "2-10", .least_pct = 9, .most_pct = 10 },
		{ .loss = 0.10, .burst = 9, .gap_ms = 1, .bounds = "2-10", .least_pct = 9, .most_pct = 10 },
		{ .loss = 0.05, .burst = 1, .gap_ms = 20, .bounds = "2-10", .least_pct = 8, .most_pct = 10 },
		{ .loss = 0.05, .burst = 1, .gap_ms = 5, .bounds = "2-2", .least_pct = 1.5, .most_pct = 2 },
		{ .loss = 0.30, .burst = 1, .gap_ms = 1, .bounds = "50-50", .least_pct = 48, .most_pct = 50 },
		/* clang-format on */
	};
	double pct = flow_pct(rows[_i].loss, rows[_i].burst, rows[_i].gap_ms * MS, rows[_i].bounds);

	ck_assert_double_ge(pct, rows[_i].least_pct);
	ck_assert_double_le(pct, rows[_i].most_pct);
}
END_TEST

START_TEST(nothing_without_the_peers_consent_or_against_the_owners_will)
{
	struct qb_policy p = {.cnt = 1, .rules = {{.treat = {.fec = {.mode = QB_FEC_OFF}}}}};
	uint8_t *seen = calloc(200, 1);

	start((struct qb_fec_want){.mode = QB_FEC_FIXED, .is_rs = true, .sources = 4, .repairs = 2}, 40 * MS);
	ck_assert_uint_eq(qb_bond_fec_room(tx), QB_FEC_ROOM);
	if (_i == 0)
		qb_bond_set_fec(tx, false);
	else
		qb_bond_set_policy(tx, &p);
	for (uint32_t i = 0; i < 100; i++, now += 5 * MS) {
		put(i, 46);
		carry(LINKS, 0, seen);
	}
	ck_assert_uint_eq(counters.v[QB_CNT_FEC_BLOCKS], 0);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_uint_eq(seen[i], 1);
	ck_assert_uint_eq(qb_bond_fec_room(tx), _i ? QB_FEC_ROOM : 0);
	free(seen);
	stop();
}
END_TEST

/* A lost packet that was protected is sent again without the FEC header; a symbol is not sent again
 * at all. */
START_TEST(repairs_of_protected_packets)
{
	struct qb_path_view v = {.is_usable = true,
				 .srtt_ns = 40 * MS,
				 .min_rtt_ns = 40 * MS,
				 .cwnd_bytes = 100000,
				 .rate_bps = 50000000,
				 .budget_bytes = 100000,
				 .max_inner_bytes = 1400};
	struct qb_batch in = {0}, out = {0};
	struct qb_buf *b, *again;
	uint32_t len, inner_len;
	uint8_t path;

	start((struct qb_fec_want){.mode = QB_FEC_FIXED, .is_rs = true, .sources = 10, .repairs = 2}, 40 * MS);
	put(3, 46);
	b = qb_bond_pick(tx, &v, 1, now, &path);
	ck_assert(b->flags & QB_BUF_FEC && b->flags & QB_BUF_ORDERED);
	len = b->len;
	qb_bond_on_sent(tx, b, len, now);
	qb_buf_put(&pool, b);
	again = qb_bond_take_lost(tx, b->seq, 0, now, &inner_len, now + MS);
	ck_assert_ptr_nonnull(again);
	ck_assert_uint_eq(inner_len, len);
	qb_bond_repair(tx, again);
	b = qb_bond_pick(tx, &v, 1, now + MS, &path);
	ck_assert_uint_eq(b->len, len - QB_FEC_SOURCE_LEN);
	ck_assert(!(b->flags & QB_BUF_FEC) && b->flags & QB_BUF_ORDERED);
	qb_batch_add(&in, b);
	qb_bond_rx(rx_bond, &in, &out, now + MS);
	ck_assert_uint_eq(out.cnt, 1);
	ck_assert_uint_eq(check(out.buf[0]), 3);
	qb_batch_put(&pool, &out);
	now += 40 * MS;
	b = qb_bond_pick(tx, &v, 1, now, &path);
	ck_assert(b->flags & QB_BUF_FEC && !(b->flags & QB_BUF_ORDERED));
	ck_assert(!qb_bond_strip(b));
	qb_bond_on_sent(tx, b, b->len, now);
	ck_assert_ptr_null(qb_bond_take_lost(tx, b->seq, 0, now, &inner_len, now));
	qb_buf_put(&pool, b);
	stop();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond_fec");
	TCase *tc = tcase_create("fec");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, any_of_a_small_block);
	tcase_add_test(tc, some_of_large_blocks);
	tcase_add_test(tc, headers);
	tcase_add_test(tc, contradictions_end_a_block);
	tcase_add_test(tc, what_is_kept_is_bounded_and_forgotten);
	tcase_add_loop_test(tc, what_cannot_be_made_is_counted, 0, 2);
	tcase_add_loop_test(tc, random_losses, 0, 8);
	tcase_add_loop_test(tc, symbols_take_another_link_where_there_is_one, 0, 2);
	tcase_add_loop_test(tc, the_last_packets_are_protected_in_time, 0, 2);
	tcase_add_test(tc, an_outage_is_waited_for);
	tcase_add_test(tc, auto_protects_calls_where_a_retransmission_is_late);
	tcase_add_loop_test(tc, auto_adds_as_much_as_the_loss_asks_for, 0, 14);
	tcase_add_loop_test(tc, auto_leaves_it_where_it_does_not_pay, 0, 2);
	tcase_add_loop_test(tc, nothing_without_the_peers_consent_or_against_the_owners_will, 0, 2);
	tcase_add_test(tc, repairs_of_protected_packets);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
