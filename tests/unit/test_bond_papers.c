/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the authors of minrtt, ECF and BLEST say of them, in a model as theirs is: a sender with a
 * window and a queue before each of two links, and a receiver that waits for what is missing.
 *
 * ECF (Lim et al., CoNEXT 2017): on unlike links minrtt leaves the fast one idle at the end of each
 * burst, for the slow one still carries the rest; ECF is done earlier, and no later where links are
 * alike. BLEST (Ferlin et al., IFIP Networking 2016): on unlike links less waits at the receiver
 * for what is missing, and the bond is not slower than its best link.
 */
#include <check.h>
#include <stdlib.h>

#include "bond/sched.h"

#define MS QB_NS_PER_MS

enum {
	PKT_BYTES = 1400,
	WIRE_BYTES = PKT_BYTES + QB_SCHED_OVERHEAD,
	PKTS_MAX = 8192,
	STEP_US = 100
};

struct link {
	uint64_t bps, rtt_ns, window_pkts;
};

struct flight {
	uint64_t acked_ns, rtt_ns;
};

struct path {
	struct link l;
	uint64_t free_ns; /* when the link is done with what it has */
	uint64_t srtt_ns;
	uint32_t first, sent;
	struct flight flights[PKTS_MAX];
};

struct result {
	double done_ms; /* when all is there */
	uint32_t held;	/* packets that waited at the receiver at once, at most */
	uint32_t by[2]; /* packets by each path */
};

static struct path paths[2];
static uint64_t arrived_ns[PKTS_MAX];

static void see(struct qb_path_view *v, const struct path *p, uint64_t now)
{
	uint64_t in_flight = (uint64_t)(p->sent - p->first) * WIRE_BYTES,
		 window = p->l.window_pkts * WIRE_BYTES;

	*v = (struct qb_path_view){.is_usable = true,
				   .is_validated = true,
				   .srtt_ns = p->srtt_ns,
				   .min_rtt_ns = p->l.rtt_ns,
				   .rttvar_ns = p->l.rtt_ns / 16,
				   .rate_bps = p->l.bps,
				   .cwnd_bytes = window,
				   .in_flight_bytes = in_flight,
				   .budget_bytes = window - in_flight,
				   .next_send_ns = now};
}

static void acked(struct path *p, uint64_t now)
{
	while (p->first < p->sent && p->flights[p->first].acked_ns <= now)
		p->srtt_ns = (7 * p->srtt_ns + p->flights[p->first++].rtt_ns) / 8;
}

static void send(struct path *p, uint32_t pkt, uint64_t now)
{
	p->free_ns =
		qb_max_u64(p->free_ns, now) + (uint64_t)WIRE_BYTES * 8 * QB_NS_PER_SEC / p->l.bps;
	arrived_ns[pkt] = p->free_ns + p->l.rtt_ns / 2;
	p->flights[p->sent++] =
		(struct flight){p->free_ns + p->l.rtt_ns, p->free_ns + p->l.rtt_ns - now};
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = arrived_ns[*(const uint32_t *)a], y = arrived_ns[*(const uint32_t *)b];

	return x < y ? -1 : x > y;
}

/* receive goes through the packets as they arrive, and counts those that wait for one before them.
 */
static void receive(uint32_t cnt, struct result *r)
{
	static uint32_t order[PKTS_MAX];
	static bool is_there[PKTS_MAX];
	uint32_t next = 0;

	memset(is_there, 0, sizeof(is_there));
	for (uint32_t i = 0; i < cnt; i++)
		order[i] = i;
	qsort(order, cnt, sizeof(order[0]), by_time);
	for (uint32_t i = 0; i < cnt; i++) {
		is_there[order[i]] = true;
		while (next < cnt && is_there[next])
			next++;
		r->held = QB_MAX(r->held, i + 1 - next);
	}
	r->done_ms = (double)arrived_ns[order[cnt - 1]] / 1e6;
}

/* burst hands `cnt` packets to a scheduler at once. */
static struct result burst(const char *name, struct link fast, struct link slow, uint32_t cnt)
{
	_Alignas(16) uint8_t state[QB_SCHED_STATE_MAX];
	const struct qb_sched *s = qb_sched_find(name);
	struct result r = {0};
	uint32_t pkt = 0;

	memset(paths, 0, sizeof(paths));
	paths[0].l = fast;
	paths[1].l = slow;
	for (int i = 0; i < 2; i++)
		paths[i].srtt_ns = paths[i].l.rtt_ns;
	qb_sched_start(s, state);
	for (uint64_t now = 0; pkt < cnt; now += STEP_US * QB_NS_PER_US) {
		acked(&paths[0], now);
		acked(&paths[1], now);
		while (pkt < cnt) {
			struct qb_pkt_meta meta = {.bytes = PKT_BYTES,
						   .queued_bytes =
							   (uint64_t)(cnt - pkt - 1) * PKT_BYTES};
			struct qb_path_view v[2];
			int path;

			see(&v[0], &paths[0], now);
			see(&v[1], &paths[1], now);
			path = s->pick(state, v, slow.bps ? 2 : 1, &meta, now);
			if (path == QB_SCHED_WAIT)
				break;
			r.by[path]++;
			send(&paths[path], pkt++, now);
		}
		ck_assert_uint_lt(now, 100 * QB_NS_PER_SEC);
	}
	receive(cnt, &r);
	return r;
}

/* Windows of the path's own size and half of it again. */
static struct link link_of(uint64_t mbps, uint64_t rtt_ms)
{
	return (struct link){mbps * 1000000, rtt_ms * MS,
			     2 + mbps * 1000000 / 8 * rtt_ms / 1000 * 3 / 2 / WIRE_BYTES};
}

static const struct {
	uint64_t fast_mbps, fast_ms, slow_mbps, slow_ms;
} unlike[] = {
	{8, 20, 1, 100}, {10, 20, 2, 200}, {20, 15, 2, 150}, {50, 10, 5, 120}, {10, 20, 10, 250}};

START_TEST(ecf_is_done_earlier_on_unlike_links)
{
	struct link fast = link_of(unlike[_i].fast_mbps, unlike[_i].fast_ms),
		    slow = link_of(unlike[_i].slow_mbps, unlike[_i].slow_ms);
	double ecf_ms = 0, minrtt_ms = 0;

	for (uint32_t pkts = 30; pkts <= 480; pkts *= 2) {
		struct result ecf = burst("ecf", fast, slow, pkts),
			      minrtt = burst("minrtt", fast, slow, pkts);

		/* Never later than by a packet or two. */
		ck_assert_double_le(ecf.done_ms, minrtt.done_ms * 1.02 + 2);
		ecf_ms += ecf.done_ms;
		minrtt_ms += minrtt.done_ms;
	}
	ck_assert_msg(ecf_ms < minrtt_ms * 0.9, "ECF %.0f ms, minrtt %.0f ms", ecf_ms, minrtt_ms);
}
END_TEST

START_TEST(ecf_uses_like_links_as_minrtt_does)
{
	struct link l = link_of(10, 30);

	for (uint32_t pkts = 60; pkts <= 960; pkts *= 2) {
		struct result ecf = burst("ecf", l, l, pkts), minrtt = burst("minrtt", l, l, pkts),
			      one = burst("minrtt", l, (struct link){0}, pkts);

		ck_assert_double_le(ecf.done_ms, minrtt.done_ms * 1.05);
		if (pkts >= 480)
			ck_assert_double_le(ecf.done_ms, one.done_ms * 0.6);
	}
}
END_TEST

START_TEST(blest_keeps_the_receiver_from_waiting)
{
	/* Unlike enough that the fast link sends more than the receiver holds while a packet of the
	 * slow one is under way. */
	struct link fast = link_of(100, 20), slow = link_of(10, 300);
	struct result blest = burst("blest", fast, slow, 4000),
		      minrtt = burst("minrtt", fast, slow, 4000),
		      one = burst("minrtt", fast, (struct link){0}, 4000);

	ck_assert_msg(blest.held * 4 < minrtt.held, "BLEST %u, minrtt %u", blest.held, minrtt.held);
	ck_assert_double_le(blest.done_ms, one.done_ms * 1.01);
	/* Links that block nobody are all used. */
	fast = link_of(20, 20);
	slow = link_of(10, 40);
	blest = burst("blest", fast, slow, 2000);
	one = burst("minrtt", fast, (struct link){0}, 2000);
	ck_assert_double_le(blest.done_ms, one.done_ms * 0.75);
	ck_assert_uint_ge(blest.by[1], 400);
}
END_TEST

START_TEST(minrtt_fills_the_quick_link_first)
{
	struct link fast = link_of(20, 20), slow = link_of(20, 60);
	struct result r = burst("minrtt", fast, slow, (uint32_t)fast.window_pkts);

	ck_assert_uint_eq(r.by[1], 0);
	r = burst("minrtt", fast, slow, (uint32_t)fast.window_pkts + 5);
	ck_assert_uint_eq(r.by[1], 5);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond papers");
	TCase *tc = tcase_create("papers");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, ecf_is_done_earlier_on_unlike_links, 0, (int)QB_ARRAY_LEN(unlike));
	tcase_add_test(tc, ecf_uses_like_links_as_minrtt_does);
	tcase_add_test(tc, blest_keeps_the_receiver_from_waiting);
	tcase_add_test(tc, minrtt_fills_the_quick_link_first);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
