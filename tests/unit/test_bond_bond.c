/* SPDX-License-Identifier: BSD-2-Clause */
/* The bond's front door: numbering, unpick, MTU, link states and views, warm-up copies, batches
 * that fill up. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bond/bond.h"
#include "bond/header.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

enum { FRAMES = 4096, TCP_FLOW = 1 };

static uint8_t *frames;
static struct qb_buf *bufs;
static struct qb_depot depot;
static struct qb_pool pool;
static struct qb_counters counters;
static struct qb_bond *b;
static void *mem;
static uint64_t now;

static void setup(void)
{
	struct qb_bond_cfg cfg = {
				  .reorder = QB_REORDER_AUTO,
				  .queue_pkts = 1000,
				  .reorder_pkts = 1024,
				  .seed = 42,
				  .counters = &counters,
				  .pool = &pool};

	now = 50 * SEC;
	frames = malloc((size_t)FRAMES * QB_FRAME_BYTES);
	bufs = calloc(FRAMES, sizeof(*bufs));
	memset(&counters, 0, sizeof(counters));
	qb_depot_init(&depot, frames, bufs, FRAMES);
	qb_pool_init(&pool, &depot);
	mem = malloc(qb_bond_footprint(&cfg));
	memset(mem, 0xa5, qb_bond_footprint(&cfg));
	b = qb_bond_init((uint8_t *)mem, &cfg, now);
	qb_bond_set_ordered(b, true);
}

static void teardown(void)
{
	qb_bond_fini(b);
	qb_pool_fini(&pool);
	ck_assert_uint_eq(depot.free_cnt, FRAMES);
	free(mem);
	free(bufs);
	free(frames);
}

static void link_up(uint8_t path)
{
	struct qb_path_obs obs[QB_BOND_PATHS_MAX] = {0};

	qb_bond_path_reset(b, path, true, QB_TIER_PRIMARY, now);
	for (uint32_t i = 0; i < QB_BOND_PATHS_MAX; i++)
		obs[i].is_open = true;
	ck_assert_uint_eq(qb_bond_observe(b, path, obs, QB_BOND_PATHS_MAX, now), 0);
}

static struct qb_path_view view(uint64_t rtt_ms, uint64_t pkts)
{
	return (struct qb_path_view){.is_usable = true,
				     .is_validated = true,
				     .srtt_ns = rtt_ms * MS,
				     .min_rtt_ns = rtt_ms * MS,
				     .cwnd_bytes = rtt_ms * 1250 * 2,
				     .rate_bps = 10000000,
				     .budget_bytes = pkts * 1500,
				     .next_send_ns = pkts ? 0 : now + MS,
				     .max_inner_bytes = 1400};
}

static void enqueue(uint8_t flow, uint32_t len, uint32_t cnt)
{
	struct qb_batch in = {0};

	for (uint32_t i = 0; i < cnt; i++) {
		struct qb_buf *buf = qb_buf_get(&pool);

		buf->len = len;
		memset(buf->data, 0, 40);
		buf->data[0] = 0x45;
		qb_store_be16(buf->data + 2, (uint16_t)len);
		buf->data[9] = flow == TCP_FLOW ? 6 : 17;
		buf->data[15] = flow;
		qb_batch_add(&in, buf);
		if (qb_batch_full(&in) || i + 1 == cnt)
			qb_bond_enqueue(b, &in, now);
	}
	ck_assert_uint_eq(in.cnt, 0);
}

START_TEST(numbers_and_deltas)
{
	struct qb_path_view v[1];
	uint32_t first = 0, last[4] = {0};
	uint8_t path;

	link_up(0);
	/*
	 * Two bulk flows, one of them TCP and so in order from its second packet on, and a call
	 * that waits for nobody.
	 */
	enqueue(1, 1300, 40);
	enqueue(2, 1300, 40);
	enqueue(3, 200, 5);
	for (uint32_t i = 0; i < 85; i++) {
		struct qb_bond_header h;
		struct qb_buf *buf;
		uint8_t flow;

		v[0] = view(20, 4);
		buf = qb_bond_pick(b, v, 1, now, &path);
		ck_assert_ptr_nonnull(buf);
		ck_assert_uint_eq(path, 0);
		ck_assert(buf->flags & QB_BUF_ORDERED);
		ck_assert_int_eq(qb_bond_header_parse(buf->data, buf->len, &h), QB_BOND_HEADER_LEN);
		flow = buf->data[QB_BOND_HEADER_LEN + 15];
		ck_assert(!h.is_brief || (flow == 2 && !(buf->flags & QB_BUF_BULK)));
		if (i == 0)
			first = h.seq;
		ck_assert_uint_eq(h.seq, first + i);
		ck_assert_uint_eq(h.seq, buf->seq);
		/* Behind packets that are bulk, the others of their flow do not overtake them. */
		if (flow == 3 || !last[flow])
			ck_assert_uint_eq(h.delta, 0);
		else if (flow != 2 || buf->flags & QB_BUF_BULK || h.delta)
			ck_assert_uint_eq(h.delta, h.seq - last[flow]);
		last[flow] = h.seq;
		qb_buf_put(&pool, buf);
	}
	ck_assert(!qb_bond_has_queued(b));
	ck_assert_ptr_null(qb_bond_pick(b, v, 1, now, &path));
	ck_assert_uint_eq(qb_bond_tx_deadline_ns(b), QB_NEVER_NS);
}
END_TEST

START_TEST(without_ordering_nothing_is_added)
{
	struct qb_path_view v[1] = {view(20, 4)};
	struct qb_buf *buf;
	uint8_t path;

	link_up(0);
	qb_bond_set_ordered(b, false);
	enqueue(1, 500, 1);
	buf = qb_bond_pick(b, v, 1, now, &path);
	ck_assert_uint_eq(buf->len, 500);
	ck_assert(!(buf->flags & QB_BUF_ORDERED));
	qb_buf_put(&pool, buf);
}
END_TEST

START_TEST(unpick_keeps_the_number_and_the_place)
{
	struct qb_path_view v[1];
	struct qb_buf *one, *two, *again;
	struct qb_bond_stats st;
	uint8_t path;
	uint32_t seq;

	link_up(0);
	enqueue(1, 1300, 10);
	v[0] = view(20, 4);
	one = qb_bond_pick(b, v, 1, now, &path);
	two = qb_bond_pick(b, v, 1, now, &path);
	seq = one->seq;
	qb_bond_unpick(b, two, now);
	qb_bond_unpick(b, one, now);
	qb_bond_get_stats(b, &st);
	ck_assert_uint_eq(st.queued_pkts, 10);
	/* No path: nothing goes out, nothing is lost. */
	v[0] = view(20, 0);
	ck_assert_ptr_null(qb_bond_pick(b, v, 1, now, &path));
	ck_assert_uint_eq(qb_bond_tx_deadline_ns(b), now + MS);
	v[0] = view(20, 4);
	again = qb_bond_pick(b, v, 1, now, &path);
	ck_assert_ptr_eq(again, one);
	ck_assert_uint_eq(again->seq, seq);
	ck_assert_uint_eq(again->len, 1300 + QB_BOND_HEADER_LEN);
	qb_buf_put(&pool, again);
	again = qb_bond_pick(b, v, 1, now, &path);
	ck_assert_ptr_eq(again, two);
	qb_buf_put(&pool, again);
}
END_TEST

/* Bulk that comes back from transport each time takes no slot that a call waits for. */
START_TEST(a_call_goes_before_bulk_that_came_back)
{
	struct qb_path_view v[1];
	struct qb_buf *bulk, *call;
	uint8_t path;

	link_up(0);
	enqueue(1, 1300, 60);
	for (;;) {
		v[0] = view(20, 4);
		bulk = qb_bond_pick(b, v, 1, now, &path);
		ck_assert_ptr_nonnull(bulk);
		if (bulk->flags & QB_BUF_BULK)
			break;
		qb_buf_put(&pool, bulk);
	}
	enqueue(3, 200, 1);
	qb_bond_unpick(b, bulk, now);
	v[0] = view(20, 1);
	call = qb_bond_pick(b, v, 1, now, &path);
	ck_assert_ptr_nonnull(call);
	ck_assert(!(call->flags & QB_BUF_BULK));
	qb_buf_put(&pool, call);
	v[0] = view(20, 1);
	ck_assert_ptr_eq(qb_bond_pick(b, v, 1, now, &path), bulk);
	qb_buf_put(&pool, bulk);
}
END_TEST

/* call_takes sends a packet of a call by that path and returns its header; put_back: not at the
 * first try, but by the other. */
static struct qb_bond_header call_takes(uint8_t want, bool is_put_back)
{
	struct qb_path_view v[2] = {view(20, 4), view(20, 4)};
	struct qb_bond_header h;
	struct qb_buf *buf;
	uint8_t path;

	now += MS;
	enqueue(3, 200, 1);
	v[want ^ is_put_back].srtt_ns = v[want ^ is_put_back].min_rtt_ns = 10 * MS;
	buf = qb_bond_pick(b, v, 2, now, &path);
	if (is_put_back) {
		ck_assert_uint_ne(path, want);
		qb_bond_unpick(b, buf, now);
		v[!want].srtt_ns = v[!want].min_rtt_ns = 100 * MS;
		ck_assert_ptr_eq(qb_bond_pick(b, v, 2, now, &path), buf);
	}
	ck_assert_uint_eq(path, want);
	ck_assert_int_eq(qb_bond_header_parse(buf->data, buf->len, &h), QB_BOND_HEADER_LEN);
	qb_buf_put(&pool, buf);
	return h;
}

/* A call that once had to wait in a queue that did not drain is bulk for half a second, not for as long as it lasts. */
START_TEST(a_call_that_had_to_wait_is_sparse_again)
{
	struct qb_path_view v[1];
	uint32_t bulk[2] = {0};
	uint8_t path;

	link_up(0);
	enqueue(3, 1000, 12);
	for (int i = 0; i < 200; i++) {
		struct qb_buf *buf;

		for (v[0] = view(20, 20); (buf = qb_bond_pick(b, v, 1, now, &path));) {
			bulk[i >= 100] += !!(buf->flags & QB_BUF_BULK);
			qb_buf_put(&pool, buf);
		}
		now += 10 * MS;
		enqueue(3, 200, 1);
	}
	ck_assert_uint_gt(bulk[0], 10);
	ck_assert_uint_eq(bulk[1], 0);
}
END_TEST

START_TEST(a_call_that_changes_its_path_stays_in_order)
{
	struct qb_path_obs obs[QB_BOND_PATHS_MAX] = {0};
	struct qb_bond_header h;

	link_up(0);
	link_up(1);
	for (uint32_t i = 0; i < QB_BOND_PATHS_MAX; i++)
		obs[i] = (struct qb_path_obs){.is_open = true, .srtt_ns = 20 * MS};
	qb_bond_observe(b, 0, obs, 2, now);
	for (int i = 0; i < 5; i++)
		ck_assert_uint_eq(call_takes(0, false).delta, 0);
	/* For a round trip it may overtake what went before, by whatever path that was. */
	h = call_takes(1, false);
	ck_assert_uint_eq(h.delta, 1);
	ck_assert(h.is_brief);
	for (int i = 0; i < 15; i++)
		ck_assert_uint_eq(call_takes(1, false).delta, 1);
	now += 10 * MS;
	ck_assert_uint_eq(call_takes(1, false).delta, 0);
	/* One that the path did not take, and then the next. */
	h = call_takes(0, true);
	ck_assert_uint_eq(h.delta, 1);
	ck_assert(h.is_brief);
	now += 50 * MS;
	ck_assert_uint_eq(call_takes(0, false).delta, 0);
	/* What a path owes that may not carry data any more is not waited for. */
	qb_bond_set_drained(b, 0, true);
	ck_assert_uint_eq(call_takes(1, false).delta, 0);
}
END_TEST

START_TEST(what_fits_nowhere_is_dropped)
{
	struct qb_path_view v[2] = {view(20, 4), view(40, 4)};
	struct qb_buf *buf;
	uint8_t path;

	link_up(0);
	link_up(1);
	v[0].max_inner_bytes = 1000;
	enqueue(1, 1200, 1);
	buf = qb_bond_pick(b, v, 2, now, &path);
	ck_assert_ptr_nonnull(buf);
	ck_assert_uint_eq(path, 1);
	qb_buf_put(&pool, buf);
	v[1].max_inner_bytes = 1000;
	enqueue(2, 1200, 1);
	enqueue(3, 900, 1);
	buf = qb_bond_pick(b, v, 2, now, &path);
	ck_assert_uint_eq(buf->data[QB_BOND_HEADER_LEN + 15], 3);
	qb_buf_put(&pool, buf);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_TOO_BIG], 1);
}
END_TEST

/* A packet that waits for the link of its policy does not keep those behind it when it fits none any more. */
START_TEST(what_waits_for_its_link_may_become_too_big)
{
	static const struct qb_policy policy = {
		.cnt = 1, .rules = {{.match = {.ports = {{.proto = 17}}, .port_cnt = 1}, .treat = {.via = 1u << 1}}}};
	struct qb_path_view v[2] = {view(20, 4), view(20, 0)};
	struct qb_buf *buf;
	uint8_t path;

	link_up(0);
	link_up(1);
	qb_bond_set_link(b, 1, 1);
	qb_bond_set_policy(b, &policy);
	enqueue(2, 1200, 1);
	ck_assert_ptr_null(qb_bond_pick(b, v, 2, now, &path));
	v[0].max_inner_bytes = 1000;
	v[1] = view(20, 4);
	v[1].max_inner_bytes = 1000;
	enqueue(2, 900, 1);
	buf = qb_bond_pick(b, v, 2, now, &path);
	ck_assert_ptr_nonnull(buf);
	ck_assert_uint_eq(path, 1);
	ck_assert_uint_eq(buf->len, 900 + QB_BOND_HEADER_LEN);
	qb_buf_put(&pool, buf);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_TOO_BIG], 1);
}
END_TEST

/* What the link of its policy refused at the last moment waits for that, and nobody else does; without the link it goes by any. */
START_TEST(what_is_put_back_keeps_to_its_links)
{
	static const struct qb_policy policy = {
		.cnt = 1, .rules = {{.match = {.ports = {{.proto = 17}}, .port_cnt = 1}, .treat = {.via = 1u << 1}}}};
	struct qb_path_view v[2];
	struct qb_buf *back[3], *buf;
	uint8_t path;

	link_up(0);
	link_up(1);
	qb_bond_set_link(b, 1, 1);
	qb_bond_set_policy(b, &policy);
	enqueue(2, 1000, 3);
	v[0] = v[1] = view(20, 4);
	for (int i = 0; i < 3; i++) {
		back[i] = qb_bond_pick(b, v, 2, now, &path);
		ck_assert_uint_eq(path, 1);
	}
	for (int i = 2; i >= 0; i--)
		qb_bond_unpick(b, back[i], now);
	enqueue(TCP_FLOW, 1300, 40);
	v[1] = view(20, 0);
	v[1].next_send_ns = now + 10 * MS;
	for (int i = 0; i < 40; i++) {
		v[0] = view(20, 40);
		buf = qb_bond_pick(b, v, 2, now, &path);
		ck_assert_ptr_nonnull(buf);
		ck_assert_uint_eq(path, 0);
		ck_assert_uint_eq(buf->data[QB_BOND_HEADER_LEN + 9], 6);
		qb_buf_put(&pool, buf);
	}
	ck_assert_ptr_null(qb_bond_pick(b, v, 2, now, &path));
	ck_assert_uint_eq(qb_bond_tx_deadline_ns(b), now + 10 * MS);
	v[0] = v[1] = view(20, 4);
	for (int i = 0; i < 2; i++) {
		ck_assert_ptr_eq(qb_bond_pick(b, v, 2, now, &path), back[i]);
		ck_assert_uint_eq(path, 1);
		qb_buf_put(&pool, back[i]);
	}
	qb_bond_set_drained(b, 1, true);
	ck_assert_ptr_eq(qb_bond_pick(b, v, 2, now, &path), back[2]);
	ck_assert_uint_eq(path, 0);
	qb_buf_put(&pool, back[2]);
	ck_assert(!qb_bond_has_queued(b));
}
END_TEST

START_TEST(malformed_packets_are_counted)
{
	struct qb_batch in = {0};
	struct qb_buf *buf = qb_buf_get(&pool);

	buf->len = 10;
	memset(buf->data, 0x45, 10);
	qb_batch_add(&in, buf);
	qb_bond_enqueue(b, &in, now);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_TUN_MALFORMED], 1);
	ck_assert(!qb_bond_has_queued(b));
	/* Nothing behind the bond header. */
	buf = qb_buf_get(&pool);
	buf->len = QB_BOND_HEADER_LEN;
	buf->flags = QB_BUF_ORDERED;
	qb_batch_add(&in, buf);
	qb_bond_rx(b, &in, &(struct qb_batch){0}, now);
	ck_assert_uint_eq(counters.v[QB_CNT_DROP_TUN_MALFORMED], 2);
}
END_TEST

START_TEST(drained_links_carry_nothing)
{
	struct qb_path_view v[2] = {view(20, 4), view(40, 4)};
	struct qb_bond_link_info info;
	struct qb_buf *buf;
	uint8_t path;

	link_up(0);
	link_up(1);
	qb_bond_set_drained(b, 0, true);
	enqueue(1, 500, 1);
	buf = qb_bond_pick(b, v, 2, now, &path);
	ck_assert_uint_eq(path, 1);
	ck_assert(!v[0].is_usable);
	qb_buf_put(&pool, buf);
	qb_bond_link_info(b, 0, now, &info);
	ck_assert_int_eq(info.state, QB_LINK_DRAINED);
	ck_assert_str_eq(info.reason, "by command");
	qb_bond_link_info(b, 1, now, &info);
	ck_assert_double_eq(info.share, 1);
}
END_TEST

START_TEST(a_slower_path_is_announced_by_copies)
{
	uint32_t seen[4096] = {0}, base = 0, copies = 0, on_slow = 0;
	struct qb_path_view v[2];
	uint8_t path;

	link_up(0);
	link_up(1);
	for (int i = 0; i < 200; i++, now += MS) {
		struct qb_buf *buf;

		enqueue(1, 1300, 3);
		v[0] = view(20, i % 2);
		v[1] = view(60, 1);
		while ((buf = qb_bond_pick(b, v, 2, now, &path))) {
			if (base == 0)
				base = buf->seq;
			if (seen[buf->seq - base]++)
				copies++;
			on_slow += path == 1;
			/* Until the receiver knows of it, the slower path has nothing of its own.
			 */
			if (path == 1 && i < 25)
				ck_assert_uint_le(on_slow, 6);
			qb_buf_put(&pool, buf);
		}
	}
	ck_assert_uint_ge(copies, 2);
	ck_assert_uint_le(copies, 8);
	ck_assert_uint_gt(on_slow, 80);
}
END_TEST

/*
 * A link that loses much, and carries more than the quick one all the same, is to have all bulk: until the receiver knows of it the
 * quick one goes on. That takes as long as packets are on their way there for, whatever their loss is expected to cost: for a second
 * nothing left at all.
 */
START_TEST(nothing_waits_for_a_path_to_be_announced)
{
	uint32_t quick = 0, lossy = 0;
	struct qb_path_view v[2];
	uint8_t path;

	link_up(0);
	link_up(1);
	for (int i = 0; i < 120; i++, now += MS) {
		struct qb_buf *buf;

		enqueue(1, 1300, 3);
		v[0] = view(10, 1);
		v[1] = view(100, 1);
		v[1].rate_bps = 25000000;
		v[1].loss_ppm = 150000;
		while ((buf = qb_bond_pick(b, v, 2, now, &path))) {
			quick += i >= 10 && i < 40 && path == 0;
			lossy += i >= 60 && path == 1;
			qb_buf_put(&pool, buf);
		}
	}
	ck_assert(v[0].is_far);
	ck_assert_uint_ge(quick, 20);
	ck_assert_uint_ge(lossy, 50);
}
END_TEST

START_TEST(out_fills_up_and_nothing_is_lost)
{
	struct qb_batch in = {0}, out = {0};
	uint32_t got = 0, calls = 0;

	/* 0 first, then 200..2 on a second path, each waiting for the one before, then 1. */
	for (int i = 0; i <= 201; i++) {
		uint32_t seq = i == 0 ? 0 : 202 - (uint32_t)i;
		struct qb_buf *buf = qb_buf_get(&pool);

		qb_bond_header_build(buf->data, &(struct qb_bond_header){.seq = seq + 1000,
									 .delta = seq ? 1 : 0});
		buf->len = 100;
		buf->flags = QB_BUF_ORDERED;
		buf->path = i == 0 || i == 201 ? 1 : 0;
		qb_batch_add(&in, buf);
		while (in.cnt) {
			uint32_t before = in.cnt;

			qb_bond_rx(b, &in, &out, now);
			if (in.cnt == before)
				break;
		}
		if (i == 0) {
			qb_batch_put(&pool, &out);
			got++;
		}
	}
	do {
		for (uint32_t i = 0; i < out.cnt; i++) {
			ck_assert_uint_eq(out.buf[i]->seq, 1000 + got++);
			ck_assert_uint_eq(out.buf[i]->len, 100 - QB_BOND_HEADER_LEN);
			qb_buf_put(&pool, out.buf[i]);
		}
		out.cnt = 0;
		calls++;
	} while (qb_bond_rx_poll(b, &out, now) || out.cnt);
	ck_assert_uint_eq(got, 202);
	ck_assert_uint_ge(calls, 4);
	ck_assert_uint_eq(qb_bond_rx_deadline_ns(b), QB_NEVER_NS);
}
END_TEST

START_TEST(schedulers_can_be_swapped)
{
	struct qb_bond_stats st;

	qb_bond_set_sched(b, qb_sched_find("ecf"));
	qb_bond_get_stats(b, &st);
	ck_assert_str_eq(st.sched, "ecf");
	qb_bond_set_sched(b, NULL);
	qb_bond_get_stats(b, &st);
	ck_assert_str_eq(st.sched, "auto");
}
END_TEST

START_TEST(loss_is_measured_and_explained)
{
	struct qb_path_obs obs[2] = {{.is_open = true}, {.is_open = true}};
	struct qb_bond_link_info info;

	link_up(0);
	link_up(1);
	for (int i = 0; i < 130; i++, now += 10 * MS) {
		obs[0].acked_packets += 95;
		obs[0].lost_packets += 5;
		obs[1].acked_packets += 100;
		obs[0].rttvar_ns = 3 * MS;
		qb_bond_observe(b, 0, obs, 2, now);
		qb_bond_observe(b, 1, obs, 2, now);
	}
	qb_bond_link_info(b, 0, now, &info);
	ck_assert_double_eq_tol(info.loss, 0.05, 0.005);
	ck_assert_uint_eq(info.jitter_ns, 3 * MS);
	ck_assert_ptr_nonnull(strstr(info.reason, "loses 5.0 %"));
	ck_assert_str_eq(info.share_reason, info.reason);
	ck_assert_str_eq(qb_link_use_name(info.use), "when_full");
	/* Another scheduler does not care. */
	qb_bond_set_sched(b, qb_sched_find("roundrobin"));
	qb_bond_link_info(b, 0, now, &info);
	ck_assert_str_eq(info.reason, "loses 5.0 %");
	ck_assert_str_eq(info.share_reason, "loses 5.0 %; idle: there is nothing to send");
	ck_assert_str_eq(qb_link_use_name(info.use), "normal");
	qb_bond_set_sched(b, NULL);
	qb_bond_link_info(b, 1, now, &info);
	ck_assert_double_eq(info.loss, 0);
	ck_assert_str_eq(info.reason, "");
	ck_assert_str_eq(info.share_reason, "idle: there is nothing to send");
	ck_assert_int_eq(info.use, QB_LINK_USE_NORMAL);
	/* Nothing sent for a while: it gets another chance. */
	for (int i = 0; i < 600; i++, now += 100 * MS)
		qb_bond_observe(b, 0, obs, 2, now);
	qb_bond_link_info(b, 0, now, &info);
	ck_assert_double_lt(info.loss, 0.01);
}
END_TEST

/* Every share has its reason, none and all too. */
START_TEST(shares_are_explained)
{
	struct qb_path_view v[2] = {view(20, 100), view(30, 0)};
	struct qb_bond_link_info info;
	struct qb_buf *buf;
	uint8_t path;

	link_up(0);
	for (int round = 0; round < 2; round++) {
		enqueue(2, 100, 5);
		while ((buf = qb_bond_pick(b, v, round + 1u, now, &path)))
			qb_buf_put(&pool, buf);
		qb_bond_link_info(b, 0, now, &info);
		ck_assert_double_eq(info.share, 1);
		ck_assert_str_eq(info.share_reason, round ? "carries all there is to send: it is the quickest and has room"
							  : "carries all: no other link is in use");
		if (round == 0)
			link_up(1);
	}
	qb_bond_link_info(b, 1, now, &info);
	ck_assert_str_eq(info.share_reason, "idle: quicker links have room for all there is to send");
	qb_bond_set_sched(b, qb_sched_find("minrtt"));
	for (uint8_t i = 0; i < 2; i++) {
		qb_bond_link_info(b, i, now, &info);
		ck_assert_str_eq(info.share_reason, i ? "idle: minrtt gives it nothing" : "carries what minrtt gives it");
	}
	qb_bond_set_sched(b, qb_sched_find("redundant:2"));
	qb_bond_link_info(b, 0, now, &info);
	ck_assert_str_eq(info.share_reason, "carries packets, and copies of others'");
	qb_bond_set_drained(b, 1, true);
	qb_bond_link_info(b, 1, now, &info);
	ck_assert_str_eq(info.share_reason, "by command");
}
END_TEST

/* send_calls sends so many packets of a call, one a millisecond, and asks what both links carry. */
static void send_calls(uint32_t cnt, struct qb_bond_link_info info[2])
{
	struct qb_path_view v[2];
	struct qb_buf *buf;
	uint8_t path;

	for (uint32_t i = 0; i < cnt; i++, now += MS) {
		enqueue(2, 200, 1);
		v[0] = view(20, 40);
		v[1] = view(60, 40);
		while ((buf = qb_bond_pick(b, v, 2, now, &path)))
			qb_buf_put(&pool, buf);
	}
	for (uint8_t i = 0; i < 2; i++)
		qb_bond_link_info(b, i, now, &info[i]);
}

/* What the scheduler has no say in is not explained by what it would do. */
START_TEST(shares_that_policies_give_are_explained)
{
	struct qb_policy policy = {
		.cnt = 1, .rules = {{.match = {.ports = {{.proto = 17}}, .port_cnt = 1}, .treat = {.via = 1u << 1}}}};
	struct qb_bond_link_info info[2];

	link_up(0);
	link_up(1);
	qb_bond_set_link(b, 1, 1);
	qb_bond_set_policy(b, &policy);
	send_calls(100, info);
	ck_assert_double_eq(info[1].share, 1);
	ck_assert_str_eq(info[0].share_reason, "idle: policies send all there is by others");
	ck_assert_ptr_nonnull(strstr(info[1].reason, "behind: used when others are full"));
	ck_assert_ptr_nonnull(strstr(info[1].share_reason, "; carries what policies send by it"));
	/* As much is sent twice. */
	policy.rules[0].treat = (struct qb_treatment){.copies = 2};
	now += 2 * SEC;
	send_calls(100, info);
	ck_assert_str_eq(info[0].share_reason, "carries what its rate and delay allow beside the others");
	ck_assert_ptr_nonnull(strstr(info[1].share_reason, "; carries copies and repair symbols"));
	/* Nothing is behind where there is nothing before it. */
	policy.cnt = 0;
	qb_bond_set_drained(b, 0, true);
	qb_bond_link_info(b, 1, now, &info[1]);
	ck_assert_str_eq(info[1].share_reason, "carries all: no other link is in use");
	ck_assert_str_eq(info[1].reason, "");
	now += 2 * SEC;
	qb_bond_link_info(b, 1, now, &info[1]);
	ck_assert_str_eq(info[1].share_reason, "idle: there is nothing to send");
}
END_TEST

/* However many policies have a scheduler with a number of its own, each is served by that. */
START_TEST(each_policy_has_its_scheduler)
{
	static struct qb_policy policy = {.cnt = QB_POLICY_RULES_MAX};
	static struct qb_sched scheds[QB_POLICY_RULES_MAX];
	static char names[QB_POLICY_RULES_MAX][16];
	struct qb_path_view v[1];
	struct qb_buf *buf;
	uint8_t path;

	link_up(0);
	for (uint8_t i = 0; i < QB_POLICY_RULES_MAX; i++) {
		struct qb_rule *r = &policy.rules[i];

		snprintf(names[i], sizeof(names[i]), "minrtt:%u%%", i);
		ck_assert_int_eq(qb_sched_tune(names[i], &scheds[i]), 0);
		r->match.src_cnt = 1;
		r->match.src[0] = (struct qb_prefix){.family = 4, .len = 32, .ip = {0, 0, 0, i + 2u}};
		r->treat.sched = &scheds[i];
	}
	qb_bond_set_policy(b, &policy);
	for (uint8_t i = 0; i < QB_POLICY_RULES_MAX; i++, now += 10 * MS) {
		enqueue(i + 2, 200, 1);
		v[0] = view(20, 4);
		buf = qb_bond_pick(b, v, 1, now, &path);
		ck_assert_ptr_nonnull(buf);
		qb_buf_put(&pool, buf);
		ck_assert_str_eq(qb_bond_decision(b, 0)->sched, names[i]);
	}
}
END_TEST

/* The last bulk packet of a burst is followed by a probe, once, while it is not acknowledged. */
START_TEST(the_tail_of_a_burst_is_probed)
{
	struct qb_path_obs obs[QB_BOND_PATHS_MAX] = {{.is_open = true}};
	struct qb_path_view v[1] = {view(20, 20)};
	struct qb_buf *buf;
	uint32_t probes = 0;
	uint8_t path;

	link_up(0);
	enqueue(1, 1300, 12);
	while ((buf = qb_bond_pick(b, v, 1, now, &path)))
		qb_buf_put(&pool, buf);
	obs[0].oldest_unacked_ns = now;
	obs[0].srtt_ns = 20 * MS;
	for (int i = 0; i < 15; i++, now += MS)
		probes += (qb_bond_observe(b, 0, obs, 1, now) & QB_LINK_ACT_PROBE) != 0;
	ck_assert_uint_eq(probes, 1);
}
END_TEST

/* turns picks cnt packets of bulk and counts how often the path is another one than before. */
static uint32_t turns(uint32_t len, uint32_t cnt)
{
	struct qb_path_view v[2] = {view(20, 1000), view(20, 1000)};
	uint32_t turn_cnt = 0, n = 0;
	uint8_t path, before = 0;

	enqueue(TCP_FLOW, len, 900);
	for (struct qb_buf *buf; (buf = qb_bond_pick(b, v, 2, now, &path));) {
		if (buf->flags & QB_BUF_BULK && n++ < cnt)
			turn_cnt += path != before;
		before = path;
		qb_buf_put(&pool, buf);
	}
	ck_assert_uint_ge(n, cnt);
	return turn_cnt;
}

/* Small bulk packets go by one path until they fill a QUIC packet; large ones are spread one by one, and so are all where a scheduler
 * was asked for by name. */
START_TEST(small_bulk_rides_together)
{
	uint32_t small, large;

	link_up(0);
	link_up(1);
	(void)turns(1300, 100); /* both paths are known to the receiver */
	now += 40 * MS;
	large = turns(1300, 200);
	now += 40 * MS;
	small = turns(200, 700);
	ck_assert_uint_gt(large, 60);
	ck_assert_uint_gt(small, 4);
	ck_assert_uint_lt(small, 700 / 5);
	qb_bond_set_sched(b, qb_sched_find("roundrobin"));
	now += 40 * MS;
	ck_assert_uint_gt(turns(60, 200), 190);
}
END_TEST

/* A path that cannot take the sparse packet ahead saves up for it: smaller bulk does not use up its
 * budget. */
START_TEST(small_bulk_does_not_starve_a_large_sparse_packet)
{
	struct qb_path_view v[1] = {view(20, 0)};
	struct qb_buf *buf;
	uint8_t path;

	link_up(0);
	enqueue(1, 100, 400);
	v[0].budget_bytes = 100000;
	for (int i = 0; i < 300; i++) {
		buf = qb_bond_pick(b, v, 1, now, &path);
		ck_assert_ptr_nonnull(buf);
		qb_buf_put(&pool, buf);
	}
	enqueue(2, 1300, 1);
	v[0].budget_bytes = 500;
	ck_assert_ptr_null(qb_bond_pick(b, v, 1, now, &path));
	ck_assert_uint_eq(v[0].budget_bytes, 500);
	v[0].budget_bytes = 1500;
	buf = qb_bond_pick(b, v, 1, now, &path);
	ck_assert_uint_ge(buf->len, 1300);
	qb_buf_put(&pool, buf);
}
END_TEST

/* lose has the path lose what was just picked. */
static void lose(struct qb_buf *buf, uint8_t path)
{
	uint32_t seq = buf->seq, inner_len;
	struct qb_buf *again;

	qb_bond_on_sent(b, buf, buf->len, now);
	qb_buf_put(&pool, buf);
	again = qb_bond_take_lost(b, seq, path, now, &inner_len, now + MS);
	ck_assert_ptr_nonnull(again);
	qb_bond_repair(b, again);
}

static struct qb_buf *pick_bulk_by(uint8_t want)
{
	struct qb_path_view v[2] = {view(10, 100), view(80, 10)};
	struct qb_buf *buf;
	uint8_t path;

	v[0].rate_bps = 100000000;
	v[1].rate_bps = 1000000;
	v[0].cwnd_bytes = 200000;
	v[1].cwnd_bytes = 20000;
	for (int i = 0; i < 2; i++)
		v[i].in_flight_bytes = v[i].cwnd_bytes / 2;
	buf = qb_bond_pick(b, v, 2, now, &path);
	ck_assert_ptr_nonnull(buf);
	ck_assert_uint_eq(path, want);
	return buf;
}

/* A link that brings too little for its delay is no detour: what was lost elsewhere would wait for it in vain. */
START_TEST(what_was_lost_does_not_wait_for_a_path_left_out)
{
	struct qb_bond_link_info info;

	link_up(0);
	link_up(1);
	for (int i = 0; i < 100; i++, now += 10 * MS) {
		enqueue(2, 1300, 40);
		for (int k = 0; k < 40; k++)
			qb_buf_put(&pool, pick_bulk_by(0));
	}
	qb_bond_link_info(b, 1, now, &info);
	ck_assert_ptr_nonnull(strstr(info.reason, "would slow flows down"));
	enqueue(2, 1300, 1);
	lose(pick_bulk_by(0), 0);
	qb_buf_put(&pool, pick_bulk_by(0));
}
END_TEST

/* Nor is one whose packets are smaller: it waits for the path that carries it. */
START_TEST(what_was_lost_is_not_too_big_for_the_path_that_lost_it)
{
	struct qb_path_view v[2] = {view(20, 10), view(20, 10)};
	struct qb_buf *buf;
	uint8_t path;

	link_up(0);
	link_up(1);
	v[1].max_inner_bytes = 1200;
	enqueue(2, 1300, 1);
	buf = qb_bond_pick(b, v, 2, now, &path);
	ck_assert_ptr_nonnull(buf);
	ck_assert_uint_eq(path, 0);
	lose(buf, 0);
	buf = qb_bond_pick(b, v, 2, now, &path);
	ck_assert_ptr_nonnull(buf);
	ck_assert_uint_eq(path, 0);
	ck_assert_uint_eq(qb_counter_read(&counters, QB_CNT_DROP_TOO_BIG), 0);
	qb_buf_put(&pool, buf);
}
END_TEST

/* Of what a silent link had under way some turns out to have arrived: what of it still waits is not sent again. */
START_TEST(what_arrived_after_all_is_not_sent_again)
{
	enum { CNT = 6 };
	struct qb_path_view v[2] = {view(20, 100), view(20, 0)};
	uint32_t first = 0, inner_len, i;
	struct qb_buf *buf;
	uint8_t path;

	link_up(0);
	link_up(1);
	enqueue(2, 1300, CNT);
	for (i = 0; i < CNT; i++) {
		buf = qb_bond_pick(b, v, 2, now, &path);
		ck_assert_uint_eq(path, 0);
		first = i ? first : buf->seq;
		qb_bond_on_sent(b, buf, buf->len, now);
		qb_buf_put(&pool, buf);
	}
	ck_assert_ptr_null(qb_bond_take_stranded(b, first, 1, now, &inner_len));
	ck_assert_ptr_null(qb_bond_take_stranded(b, first, 0, now - 1, &inner_len));
	for (i = 0; i < CNT; i++) {
		buf = qb_bond_take_stranded(b, first + i, 0, now, &inner_len);
		ck_assert_ptr_nonnull(buf);
		qb_bond_repair(b, buf);
	}
	v[0].is_usable = false;
	v[1] = view(20, 100);
	buf = qb_bond_pick(b, v, 2, now, &path);
	ck_assert_uint_eq(buf->seq, first);
	qb_buf_put(&pool, buf);
	/* Not what left by another path, or later. */
	qb_bond_on_arrived(b, first, CNT, 1, now);
	qb_bond_on_arrived(b, first, CNT, 0, now - 1);
	qb_bond_on_arrived(b, first, 4, 0, now);
	for (i = 4; i < CNT; i++) {
		buf = qb_bond_pick(b, v, 2, now, &path);
		ck_assert_ptr_nonnull(buf);
		ck_assert_uint_eq(buf->seq, first + i);
		qb_buf_put(&pool, buf);
	}
	ck_assert_ptr_null(qb_bond_pick(b, v, 2, now, &path));
	ck_assert_uint_eq(counters.v[QB_CNT_REPAIR_SPARED], 3);
}
END_TEST

/* pick_by_one lets a path that takes one packet at a time have the next one. Returns its flow. */
static uint8_t pick_by_one(bool *is_again)
{
	struct qb_path_view v = view(20, 1);
	struct qb_buf *buf;
	struct qb_bond_header h;
	uint8_t path, flow;

	now += MS;
	buf = qb_bond_pick(b, &v, 1, now, &path);
	ck_assert_ptr_nonnull(buf);
	ck_assert_int_gt(qb_bond_header_parse(buf->data, buf->len, &h), 0);
	*is_again = h.is_again;
	ck_assert(qb_bond_strip(buf));
	flow = buf->data[15];
	qb_buf_put(&pool, buf);
	return flow;
}

/*
 * What a large link had under way when it died is sent again ahead of what its flows sent later. A flow that lost nothing takes
 * turns with it, as with one more flow; and what is not striped goes ahead.
 */
START_TEST(what_a_dead_link_had_holds_up_nobody_else)
{
	struct qb_buf *sent[401];
	struct qb_path_view v = view(20, 600);
	uint32_t again[5] = {0}, anew[5] = {0};
	bool is_again;
	uint8_t path;

	link_up(0);
	enqueue(2, 1300, 250);
	enqueue(3, 1300, 250);
	for (int i = 0; i < 400; i++)
		sent[i] = qb_bond_pick(b, &v, 1, now, &path);
	enqueue(4, 200, 1);
	sent[400] = qb_bond_pick(b, &v, 1, now, &path);
	for (int i = 0; i < 401; i++)
		lose(sent[i], path);
	enqueue(1, 1300, 100);
	/* 64 packets take 67 ms: the last 20 ms of them go at one go. */
	for (int i = 0; i < 60; i++) {
		uint8_t flow = pick_by_one(&is_again);

		*(is_again ? &again[flow] : &anew[flow]) += 1;
		/* The first packets of the others were not striped either. */
		ck_assert(again[4] || i < 8);
	}
	ck_assert_uint_ge(anew[1], 15);
	ck_assert_uint_le(anew[1], 22);
	ck_assert_uint_eq(again[1] + anew[2] + anew[3] + anew[4], 0);
}
END_TEST

START_TEST(what_was_lost_twice_leaves_by_two_paths)
{
	struct qb_path_view v[2] = {view(20, 10), view(20, 10)};
	struct qb_buf *buf, *copy;
	uint8_t path, other;

	link_up(0);
	link_up(1);
	enqueue(2, 1300, 1);
	for (int i = 0; i < 2; i++) {
		buf = qb_bond_pick(b, v, 2, now, &path);
		lose(buf, path);
	}
	buf = qb_bond_pick(b, v, 2, now, &path);
	copy = qb_bond_pick(b, v, 2, now, &other);
	ck_assert_uint_eq(buf->seq, copy->seq);
	ck_assert_uint_ne(path, other);
	ck_assert_uint_eq(counters.v[QB_CNT_COPIES_SENT], 1);
	qb_buf_put(&pool, buf);
	qb_buf_put(&pool, copy);
}
END_TEST

/*
 * Flows that send much keep to a path each, their small packets too; while it is busy they wait, and nobody else for them; and they
 * go on by another when it is gone.
 */
START_TEST(flows_may_keep_to_a_path)
{
	struct qb_path_view v[2];
	int of[4] = {-1, -1, -1, -1};
	struct qb_buf *buf;
	uint8_t path, flow;

	link_up(0);
	link_up(1);
	qb_bond_set_grain(b, QB_GRAIN_FLOW);
	for (uint32_t len = 1300; len; len = len == 1300 ? 100 : 0) {
		enqueue(2, len, 40);
		enqueue(3, len, 40);
		for (uint32_t i = 0; i < 80; i++) {
			v[0] = v[1] = view(20, 40);
			buf = qb_bond_pick(b, v, 2, now, &path);
			ck_assert_ptr_nonnull(buf);
			flow = buf->data[QB_BOND_HEADER_LEN + 15];
			if (buf->flags & QB_BUF_BULK && of[flow] < 0)
				of[flow] = path;
			ck_assert(!(buf->flags & QB_BUF_BULK) || of[flow] == path);
			qb_buf_put(&pool, buf);
		}
	}
	ck_assert_int_ge(of[2], 0);
	ck_assert_int_eq(of[3], !of[2]);
	enqueue(2, 1300, 3);
	enqueue(3, 1300, 3);
	for (uint32_t i = 0; i < 6; i++) {
		v[0] = v[1] = view(20, 40);
		if (i < 3)
			v[of[2]] = view(20, 0);
		else
			v[of[2]].is_usable = false;
		buf = qb_bond_pick(b, v, 2, now, &path);
		ck_assert_ptr_nonnull(buf);
		ck_assert_int_eq(path, of[3]);
		ck_assert_uint_eq(buf->data[QB_BOND_HEADER_LEN + 15], i < 3 ? 3 : 2);
		qb_buf_put(&pool, buf);
		v[of[2]] = view(20, 0);
		if (i == 2)
			ck_assert_ptr_null(qb_bond_pick(b, v, 2, now, &path));
	}
	ck_assert(!qb_bond_has_queued(b));
	/* Its path was gone for a moment: it goes back there. Not after a second. */
	for (int is_long = 0; is_long < 2; is_long++) {
		now += 100 * MS;
		for (int i = 0; is_long && i < 13; i++, now += 100 * MS) {
			enqueue(2, 1300, 20);
			v[of[3]] = view(20, 40);
			while ((buf = qb_bond_pick(b, v, 2, now, &path)))
				qb_buf_put(&pool, buf);
		}
		enqueue(2, 1300, 20);
		v[0] = v[1] = view(20, 40);
		while ((buf = qb_bond_pick(b, v, 2, now, &path))) {
			ck_assert(!(buf->flags & QB_BUF_BULK) || path == of[is_long ? 3 : 2]);
			qb_buf_put(&pool, buf);
		}
		v[of[2]].is_usable = false;
	}
}
END_TEST

/* A call keeps to its path for a small gain, or goes packet by packet. */
START_TEST(the_grain_may_be_a_packet)
{
	struct qb_path_view v[2];
	struct qb_buf *buf;
	uint8_t path;

	link_up(0);
	link_up(1);
	qb_bond_set_grain(b, _i ? QB_GRAIN_PACKET : QB_GRAIN_AUTO);
	for (int i = 0; i < 10; i++, now += 20 * MS) {
		enqueue(3, 200, 1);
		v[0] = view(20 + (uint64_t)i % 2, 4);
		v[1] = view(21 - (uint64_t)i % 2, 4);
		buf = qb_bond_pick(b, v, 2, now, &path);
		ck_assert_ptr_nonnull(buf);
		ck_assert_uint_eq(path, _i ? i % 2 : 0);
		qb_buf_put(&pool, buf);
	}
}
END_TEST

/* At the end what is late under way on a slow path is taken out to go by the quick one, once; not while there is more, and not unasked. */
START_TEST(the_end_does_not_wait_for_a_slow_path)
{
	struct qb_path_obs obs[2] = {{.is_open = true, .srtt_ns = 20 * MS}, {.is_open = true, .srtt_ns = 200 * MS}};
	struct qb_path_view v[2];
	uint32_t seq = 0, inner_len, slow = 0, got = 0;
	struct qb_buf *buf;
	uint8_t path;

	link_up(0);
	link_up(1);
	qb_bond_set_sched(b, qb_sched_find("roundrobin"));
	qb_bond_set_tail(b, _i);
	for (int i = 0; i < 10; i++, now += 10 * MS) {
		v[0] = view(20, 100);
		v[1] = view(20, 100);
		enqueue(2, 1300, 20);
		while ((buf = qb_bond_pick(b, v, 2, now, &path))) {
			qb_bond_on_sent(b, buf, buf->len, now);
			slow += i == 9 && path == 1 && buf->flags & QB_BUF_BULK;
			qb_buf_put(&pool, buf);
		}
	}
	qb_bond_on_settled(b, (uint64_t[QB_BOND_PATHS_MAX]){now - 10 * MS, now - 10 * MS}, now);
	now -= 6 * MS;
	ck_assert_ptr_null(qb_bond_take_tail(b, obs, 2, &seq, &inner_len, now));
	now += 6 * MS;
	enqueue(2, 1300, 1);
	ck_assert_ptr_null(qb_bond_take_tail(b, obs, 2, &seq, &inner_len, now));
	v[0] = view(20, 100);
	buf = qb_bond_pick(b, v, 1, now, &path);
	ck_assert_ptr_nonnull(buf);
	qb_buf_put(&pool, buf);
	now += 6 * MS;
	while ((buf = qb_bond_take_tail(b, obs, 2, &seq, &inner_len, now))) {
		ck_assert_uint_eq(buf->path, 1);
		qb_bond_repair(b, buf);
		got++;
	}
	ck_assert_uint_ge(slow, 8);
	ck_assert_uint_eq(got, _i ? slow : 0);
	ck_assert_uint_eq(counters.v[QB_CNT_TAIL_COPIES], got);
	for (uint32_t i = 0; i < got; i++) {
		v[0] = view(20, 100);
		v[1] = view(200, 100);
		buf = qb_bond_pick(b, v, 2, now, &path);
		ck_assert_ptr_nonnull(buf);
		ck_assert_uint_eq(path, 0);
		qb_buf_put(&pool, buf);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond");
	TCase *tc = tcase_create("bond");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, numbers_and_deltas);
	tcase_add_test(tc, without_ordering_nothing_is_added);
	tcase_add_test(tc, unpick_keeps_the_number_and_the_place);
	tcase_add_test(tc, a_call_goes_before_bulk_that_came_back);
	tcase_add_test(tc, a_call_that_had_to_wait_is_sparse_again);
	tcase_add_test(tc, a_call_that_changes_its_path_stays_in_order);
	tcase_add_test(tc, what_fits_nowhere_is_dropped);
	tcase_add_test(tc, what_waits_for_its_link_may_become_too_big);
	tcase_add_test(tc, what_is_put_back_keeps_to_its_links);
	tcase_add_test(tc, malformed_packets_are_counted);
	tcase_add_test(tc, drained_links_carry_nothing);
	tcase_add_test(tc, a_slower_path_is_announced_by_copies);
	tcase_add_test(tc, nothing_waits_for_a_path_to_be_announced);
	tcase_add_test(tc, out_fills_up_and_nothing_is_lost);
	tcase_add_test(tc, schedulers_can_be_swapped);
	tcase_add_test(tc, loss_is_measured_and_explained);
	tcase_add_test(tc, shares_are_explained);
	tcase_add_test(tc, shares_that_policies_give_are_explained);
	tcase_add_test(tc, each_policy_has_its_scheduler);
	tcase_add_test(tc, the_tail_of_a_burst_is_probed);
	tcase_add_test(tc, small_bulk_does_not_starve_a_large_sparse_packet);
	tcase_add_test(tc, what_was_lost_does_not_wait_for_a_path_left_out);
	tcase_add_test(tc, what_was_lost_is_not_too_big_for_the_path_that_lost_it);
	tcase_add_test(tc, what_arrived_after_all_is_not_sent_again);
	tcase_add_test(tc, what_a_dead_link_had_holds_up_nobody_else);
	tcase_add_test(tc, what_was_lost_twice_leaves_by_two_paths);
	tcase_add_test(tc, small_bulk_rides_together);
	tcase_add_loop_test(tc, the_end_does_not_wait_for_a_slow_path, 0, 2);
	tcase_add_test(tc, flows_may_keep_to_a_path);
	tcase_add_loop_test(tc, the_grain_may_be_a_packet, 0, 2);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
