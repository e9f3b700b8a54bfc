/* SPDX-License-Identifier: BSD-2-Clause */
/* The vocabulary: addresses, prefixes, pools, slabs, heaps, rings, hashes. */
#include "base/addr.h"
#include "base/buf.h"
#include "base/counters.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/ring.h"
#include "base/slab.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *text, *formatted; /* NULL: refused */
} addrs[] = {
	{"192.0.2.1", "192.0.2.1:443"},
	{"192.0.2.1:4433", "192.0.2.1:4433"},
	{"2001:db8::1", "[2001:db8::1]:443"},
	{"[2001:db8::1]", "[2001:db8::1]:443"},
	{"[2001:db8::1]:4433", "[2001:db8::1]:4433"},
	{"192.0.2.1:65536", NULL},
	{"192.0.2.1:", NULL},
	{"192.0.2.1:+5", NULL},
	{"192.0.2", NULL},
	{"[2001:db8::1", NULL},
	{"[2001:db8::1]x", NULL},
	{"hub.example.net:443", NULL},
	{"", NULL},
};

START_TEST(addresses)
{
	struct qb_addr a;
	char text[QB_ADDR_STRLEN];
	int ret = qb_addr_parse(addrs[_i].text, 443, &a);

	ck_assert_int_eq(ret, addrs[_i].formatted ? 0 : -EINVAL);
	if (addrs[_i].formatted)
		ck_assert_str_eq(qb_addr_format(&a, text), addrs[_i].formatted);
}
END_TEST

static const struct {
	const char *text;
	bool is_good;
	const char *inside, *outside; /* of good ones */
} prefixes[] = {
	{"10.0.0.0/8", true, "10.255.255.255", "11.0.0.0"},
	{"10.64.0.128/25", true, "10.64.0.255", "10.64.0.127"},
	{"192.0.2.7", true, "192.0.2.7", "192.0.2.6"},
	{"0.0.0.0/0", true, "255.255.255.255", "::1"},
	{"fd00::/8", true, "fdff::1", "fe00::"},
	{"2001:db8::/33", true, "2001:db8:7fff::", "2001:db8:8000::"},
	{"::/0", true, "ffff::", "1.2.3.4"},
	{"10.0.0.1/8", false, NULL, NULL},
	{"10.0.0.0/33", false, NULL, NULL},
	{"10.0.0.0/", false, NULL, NULL},
	{"fd00::1/64", false, NULL, NULL},
	{"x/8", false, NULL, NULL},
};

START_TEST(prefix_texts)
{
	struct qb_prefix p;
	struct qb_addr a;
	uint8_t first[16], last[16];

	ck_assert_int_eq(qb_prefix_parse(prefixes[_i].text, &p), prefixes[_i].is_good ? 0 : -EINVAL);
	if (!prefixes[_i].is_good)
		return;
	ck_assert_int_eq(qb_addr_parse(prefixes[_i].inside, 0, &a), 0);
	ck_assert(qb_prefix_has(&p, a.family, a.ip));
	qb_prefix_range(&p, first, last);
	ck_assert_int_le(memcmp(first, a.ip, 16), 0);
	ck_assert_int_ge(memcmp(last, a.ip, 16), 0);
	ck_assert_int_eq(qb_addr_parse(prefixes[_i].outside, 0, &a), 0);
	ck_assert(!qb_prefix_has(&p, a.family, a.ip));
}
END_TEST

START_TEST(prefix_cover)
{
	struct qb_prefix a, b;

	ck_assert_int_eq(qb_prefix_parse("10.0.0.0/8", &a), 0);
	ck_assert_int_eq(qb_prefix_parse("10.5.0.0/16", &b), 0);
	ck_assert(qb_prefix_covers(&a, &b));
	ck_assert(!qb_prefix_covers(&b, &a));
	ck_assert(qb_prefix_covers(&a, &a));
}
END_TEST

enum { FRAMES = 2048 };

START_TEST(pools_share_a_depot)
{
	struct qb_buf *bufs = calloc(FRAMES, sizeof(*bufs)), *taken[FRAMES];
	uint8_t *frames = aligned_alloc(4096, (size_t)FRAMES * QB_FRAME_BYTES);
	struct qb_depot depot;
	struct qb_pool a, b;
	uint32_t cnt = 0;

	qb_depot_init(&depot, frames, bufs, FRAMES);
	qb_pool_init(&a, &depot);
	qb_pool_init(&b, &depot);
	while (cnt < FRAMES && (taken[cnt] = qb_buf_get(&a)))
		cnt++;
	ck_assert_uint_eq(cnt, FRAMES);
	ck_assert_ptr_null(qb_buf_get(&a));
	ck_assert_uint_eq(a.empty_cnt, 1);
	ck_assert_uint_eq(qb_buf_headroom(&depot, taken[7]), QB_HEADROOM);
	ck_assert_ptr_eq(qb_buf_of_addr(&depot, (uint64_t)(taken[7]->data - frames)), taken[7]);
	/* Given back to another pool they all come round again. */
	for (uint32_t i = 0; i < cnt; i++)
		qb_buf_put(&b, taken[i]);
	qb_pool_fini(&b);
	qb_pool_fini(&a);
	ck_assert_uint_eq(depot.free_cnt, FRAMES);
	free(bufs);
	free(frames);
}
END_TEST

static uint32_t take_all(struct qb_pool *p, struct qb_buf **taken, struct qb_buf *(*get)(struct qb_pool *))
{
	uint32_t cnt = 0;

	while (cnt < FRAMES && (taken[cnt] = get(p)))
		cnt++;
	return cnt;
}

/* The UMEM's frames are the last ones that anybody gets; or the first, where a NIC sends from them, down to a quarter. */
START_TEST(umem_is_kept_apart)
{
	enum { UMEM = 512 };
	struct qb_buf *bufs = calloc(FRAMES, sizeof(*bufs)), *taken[FRAMES];
	uint8_t *frames = aligned_alloc(4096, (size_t)FRAMES * QB_FRAME_BYTES);
	struct qb_depot depot;
	struct qb_pool p;

	qb_depot_init(&depot, frames, bufs, FRAMES);
	qb_depot_set_umem(&depot, UMEM);
	qb_pool_init(&p, &depot);
	ck_assert_uint_eq(take_all(&p, taken, qb_buf_get_umem), UMEM);
	ck_assert_uint_eq(p.empty_cnt, 0);
	ck_assert(qb_depot_umem_is_scarce(&depot));
	for (uint32_t i = 0; i < UMEM; i++) {
		ck_assert_uint_lt(taken[i]->idx, UMEM);
		qb_buf_put(&p, taken[i]);
	}
	qb_pool_fini(&p);
	ck_assert_uint_eq(depot.umem_free_cnt, UMEM);
	ck_assert(!qb_depot_umem_is_scarce(&depot));
	for (depot.umem_tx_queues = 0; depot.umem_tx_queues < 2; depot.umem_tx_queues++) {
		uint32_t first = 0;

		ck_assert_uint_eq(take_all(&p, taken, qb_buf_get), FRAMES);
		for (uint32_t i = 0; i < FRAMES / 2; i++)
			first += qb_buf_is_umem(&depot, taken[i]);
		if (depot.umem_tx_queues)
			ck_assert_uint_ge(first, UMEM * 3 / 4);
		else
			ck_assert_uint_eq(first, 0);
		for (uint32_t i = 0; i < FRAMES; i++)
			qb_buf_put(&p, taken[i]);
		qb_pool_fini(&p);
		ck_assert_uint_eq(depot.free_cnt, FRAMES);
		ck_assert_uint_eq(depot.umem_free_cnt, UMEM);
	}
	free(bufs);
	free(frames);
}
END_TEST

START_TEST(buffers_grow_in_front)
{
	struct qb_buf buf;
	uint8_t frame[QB_FRAME_BYTES];
	struct qb_depot depot;
	struct qb_pool pool;
	struct qb_buf *b;

	qb_depot_init(&depot, frame, &buf, 1);
	qb_pool_init(&pool, &depot);
	b = qb_buf_get(&pool);
	b->len = 100;
	ck_assert_ptr_eq(qb_buf_push(b, 20), frame + QB_HEADROOM - 20);
	ck_assert_uint_eq(b->len, 120);
	qb_buf_pull(b, 50);
	ck_assert_uint_eq(b->len, 70);
	ck_assert_uint_eq(qb_buf_tailroom(&depot, b), QB_FRAME_BYTES - QB_HEADROOM - 30 - 70);
	qb_buf_put(&pool, b);
}
END_TEST

START_TEST(memory_that_was_hardly_written)
{
	uint64_t mem[6] = {1, 0, 2, UINT64_MAX, 0, 3};

	qb_clear_sparse(mem + 1, 4 * sizeof(mem[0]));
	ck_assert_uint_eq(mem[0], 1);
	for (int i = 1; i < 5; i++)
		ck_assert_uint_eq(mem[i], 0);
	ck_assert_uint_eq(mem[5], 3);
	ck_assert_uint_eq(qb_page_up(0), 0);
	ck_assert_uint_eq(qb_page_up(1), 4096);
	ck_assert_uint_eq(qb_page_up(4096), 4096);
}
END_TEST

START_TEST(slabs)
{
	_Alignas(16) uint8_t mem[16 * 48];
	struct qb_slab s;
	void *objs[16];

	ck_assert_uint_eq(qb_slab_footprint(33, 16), sizeof(mem));
	qb_slab_init(&s, mem, 33, 16);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 16; i++) {
			objs[i] = qb_slab_get(&s);
			ck_assert_ptr_nonnull(objs[i]);
			memset(objs[i], i, 33);
		}
		ck_assert_ptr_null(qb_slab_get(&s));
		for (int i = 0; i < 16; i++) {
			ck_assert_uint_eq(((uint8_t *)objs[i])[32], i);
			qb_slab_put(&s, objs[i]);
		}
		ck_assert_uint_eq(s.used_cnt, 0);
	}
}
END_TEST

enum { TIMERS = 200 };

START_TEST(heaps_stay_in_order)
{
	struct qb_timer timers[TIMERS] = {0}, *slots[TIMERS];
	struct qb_heap h;
	struct qb_rand r;

	qb_rand_seed(&r, (uint64_t)_i);
	qb_heap_init(&h, slots, TIMERS);
	for (int step = 0; step < 5000; step++) {
		struct qb_timer *t = &timers[qb_rand_below(&r, TIMERS)];
		uint64_t min = QB_NEVER_NS;

		qb_heap_set(&h, t, qb_rand_below(&r, 4) ? qb_rand_below(&r, 1000) : QB_NEVER_NS);
		for (int i = 0; i < TIMERS; i++)
			if (timers[i].pos)
				min = qb_min_u64(min, timers[i].at_ns);
		ck_assert_uint_eq(qb_heap_first(&h) ? qb_heap_first(&h)->at_ns : QB_NEVER_NS, min);
	}
}
END_TEST

START_TEST(rings)
{
	void *slots[4];
	struct qb_ring ring;
	int items[6];

	qb_ring_init(&ring, slots, 4);
	ck_assert_ptr_null(qb_ring_pop(&ring));
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 4; i++)
			ck_assert(qb_ring_push(&ring, &items[i]));
		ck_assert(!qb_ring_push(&ring, &items[4]));
		for (int i = 0; i < 4; i++)
			ck_assert_ptr_eq(qb_ring_pop(&ring), &items[i]);
		ck_assert_ptr_null(qb_ring_pop(&ring));
	}
}
END_TEST

START_TEST(random_numbers)
{
	struct qb_rand a, b;
	unsigned int below[10] = {0};
	double sum = 0;

	qb_rand_seed(&a, 7);
	qb_rand_seed(&b, 7);
	for (int i = 0; i < 100000; i++) {
		ck_assert_uint_eq(qb_rand_u64(&a), qb_rand_u64(&b));
		below[qb_rand_below(&a, 10)]++;
		qb_rand_u64(&b);
		sum += qb_rand_unit(&a);
		qb_rand_u64(&b);
	}
	for (int i = 0; i < 10; i++)
		ck_assert_uint_ge(below[i], 9500);
	ck_assert_double_ge(sum / 100000, 0.49);
	ck_assert_double_le(sum / 100000, 0.51);
}
END_TEST

START_TEST(siphash)
{
	struct qb_hash_key k = {1, 2}, other = {1, 3};
	uint8_t data[24] = {0};
	uint64_t base = qb_siphash(&k, data, sizeof(data));

	ck_assert_uint_eq(base, qb_siphash(&k, data, sizeof(data)));
	ck_assert_uint_ne(base, qb_siphash(&other, data, sizeof(data)));
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] ^= 1;
		ck_assert_uint_ne(base, qb_siphash(&k, data, sizeof(data)));
		data[i] ^= 1;
		ck_assert_uint_ne(base, qb_siphash(&k, data, i));
	}
}
END_TEST

START_TEST(counter_names_are_unique)
{
	for (unsigned int i = 0; i < QB_COUNTER_CNT; i++)
		for (unsigned int k = 0; k < i; k++)
			ck_assert_str_ne(qb_counter_rows[i].name, qb_counter_rows[k].name);
}
END_TEST

START_TEST(log_levels)
{
	enum qb_log_level level;

	for (unsigned int i = 0; i < QB_LOG_LEVEL_CNT; i++) {
		ck_assert_int_eq(qb_log_level_parse(qb_log_level_name(i), &level), 0);
		ck_assert_uint_eq(level, i);
	}
	ck_assert_int_eq(qb_log_level_parse("loud", &level), -EINVAL);
}
END_TEST

/* One level for all, others for some, in any order; what is wrong is named. */
START_TEST(log_targets)
{
	static const char *const bad[][2] = {{"loud", "loud"}, {"info,", ""}, {"", ""}, {"quic:", "quic:"}, {":debug", ":debug"},
					     {"info, quick:debug", "quick:debug"}, {"quic:debug:info", "quic:debug:info"}};
	struct qb_log_levels l;
	char wrong[QB_LOG_TEXT_LEN];

	ck_assert_int_eq(qb_log_levels_parse("quic:debug , warn,net:err", &l, wrong), 0);
	ck_assert_uint_eq(l.of[QB_LOG_QUIC], QB_LOG_DBG);
	ck_assert_uint_eq(l.of[QB_LOG_NET], QB_LOG_ERR);
	ck_assert_uint_eq(l.of[QB_LOG_CTL], QB_LOG_WARN);
	ck_assert_int_eq(qb_log_levels_parse("ctl:debug", &l, wrong), 0);
	ck_assert_uint_eq(l.of[QB_LOG_CTL], QB_LOG_DBG);
	ck_assert_uint_eq(l.of[QB_LOG_QUIC], QB_LOG_INFO);
	for (size_t i = 0; i < QB_ARRAY_LEN(bad); i++) {
		ck_assert_int_eq(qb_log_levels_parse(bad[i][0], &l, wrong), -EINVAL);
		ck_assert_str_eq(wrong, bad[i][1]);
	}
}
END_TEST

static uint32_t hooked;
static char hooked_text[64];

static void on_line(enum qb_log_level level, const char *text)
{
	hooked++;
	ck_assert_uint_le(level, QB_LOG_WARN);
	snprintf(hooked_text, sizeof(hooked_text), "%s", text);
}

/* A target's level counts for its folder; the same words are told so often and no more; warnings are handed on. */
START_TEST(log_lines)
{
	struct qb_log_levels l;
	char wrong[QB_LOG_TEXT_LEN];

	ck_assert_int_eq(qb_log_levels_parse("warn, net:err", &l, wrong), 0);
	qb_log_set(&l);
	ck_assert_uint_eq(qb_log_max, QB_LOG_WARN);
	qb_log_hook = on_line;
	qb_log_from("daemon/net/udp.c", QB_LOG_WARN, "not from net");
	ck_assert_uint_eq(hooked, 0);
	qb_log_from("daemon/ctl/ctl.c", QB_LOG_WARN, "from %s", "ctl");
	ck_assert_uint_eq(hooked, 1);
	ck_assert_str_eq(hooked_text, "from ctl");
	qb_log_from("daemon/daemon.c", QB_LOG_INFO, "too low");
	qb_log_to(QB_LOG_NET, QB_LOG_ERR, "from net");
	ck_assert_uint_eq(hooked, 2);
	for (int i = 0; i < 1000; i++)
		qb_warn("flood %d", i);
	ck_assert_uint_ge(hooked, 2 + 100);
	ck_assert_uint_le(hooked, 2 + 300);
	qb_log_hook = NULL;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base");
	TCase *tc = tcase_create("base");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, addresses, 0, QB_ARRAY_LEN(addrs));
	tcase_add_loop_test(tc, prefix_texts, 0, QB_ARRAY_LEN(prefixes));
	tcase_add_test(tc, prefix_cover);
	tcase_add_test(tc, pools_share_a_depot);
	tcase_add_test(tc, umem_is_kept_apart);
	tcase_add_test(tc, buffers_grow_in_front);
	tcase_add_test(tc, slabs);
	tcase_add_test(tc, memory_that_was_hardly_written);
	tcase_add_loop_test(tc, heaps_stay_in_order, 0, 5);
	tcase_add_test(tc, rings);
	tcase_add_test(tc, random_numbers);
	tcase_add_test(tc, siphash);
	tcase_add_test(tc, counter_names_are_unique);
	tcase_add_test(tc, log_levels);
	tcase_add_test(tc, log_targets);
	tcase_add_test(tc, log_lines);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
