/* SPDX-License-Identifier: BSD-2-Clause */
/* Controllers event by event, without a path: the formulas of their sources, and what all of them
 * owe the transport. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "base/rand.h"
#include "cc/coupled.h"
#include "cc/hystart.h"

#define MS QB_NS_PER_MS

enum { MSS = 1200, RTT_MS = 100 };

/* The state of one controller, and the clock and totals that its events need. */
struct unit {
	_Alignas(16) uint8_t st[QB_CC_STATE_MAX];
	const struct qb_cc *cc;
	uint64_t now_ns, delivered_bytes;
};

static void begin_in(struct unit *u, const char *name, uint64_t cwnd_bytes,
		     struct qb_cc_group *group)
{
	struct qb_cc_cfg cfg = {.mss_bytes = MSS,
				.init_rtt_ns = 333 * MS,
				.init_cwnd_bytes = cwnd_bytes,
				.seed = 1,
				.group = group};

	*u = (struct unit){.cc = qb_cc_find(name), .now_ns = 1000 * MS};
	ck_assert_ptr_nonnull(u->cc);
	u->cc->init(u->st, &cfg, u->now_ns);
}

static void begin(struct unit *u, const char *name, uint64_t cwnd_bytes)
{
	begin_in(u, name, cwnd_bytes, NULL);
}

static uint64_t cwnd(const struct unit *u)
{
	struct qb_cc_view v;

	u->cc->view(u->st, &v);
	return v.cwnd_bytes;
}

static struct qb_cc_ack ack_of(struct unit *u, uint64_t bytes, uint64_t rtt_ns)
{
	u->delivered_bytes += bytes;
	return (struct qb_cc_ack){
		.now_ns = u->now_ns,
		.acked_bytes = bytes,
		.in_flight_bytes = qb_sub_sat_u64(cwnd(u), bytes),
		.prior_in_flight_bytes = cwnd(u),
		.largest_sent_ns = u->now_ns - rtt_ns,
		.rtt_ns = rtt_ns,
		.srtt_ns = rtt_ns,
		.min_rtt_ns = rtt_ns,
		.rate_bps = cwnd(u) * 8 * 1000 / RTT_MS,
		.rate_interval_ns = rtt_ns,
		.rate_delivered_bytes = cwnd(u),
		.prior_delivered_bytes = qb_sub_sat_u64(u->delivered_bytes, cwnd(u)),
		.delivered_bytes = u->delivered_bytes,
		.tx_in_flight_bytes = cwnd(u),
		.is_cwnd_limited = true,
	};
}

static void ack(struct unit *u, uint64_t bytes)
{
	struct qb_cc_ack ev = ack_of(u, bytes, RTT_MS * MS);

	u->cc->on_ack(u->st, &ev);
}

/* A window's worth of acknowledgements, packet by packet, over a round trip. */
static void ack_round(struct unit *u)
{
	uint64_t cnt = cwnd(u) / MSS;

	for (uint64_t i = 0; i < cnt; i++) {
		u->now_ns += RTT_MS * MS / cnt;
		ack(u, MSS);
	}
}

static void lose(struct unit *u, bool is_persistent)
{
	struct qb_cc_loss ev = {
		.now_ns = u->now_ns,
		.lost_bytes = MSS,
		.largest_sent_ns = u->now_ns - RTT_MS * MS,
		.in_flight_bytes = cwnd(u) - MSS,
		.tx_in_flight_bytes = cwnd(u),
		.lost_since_tx_bytes = MSS,
		.delivered_bytes = u->delivered_bytes,
		.range_cnt = 1,
		.is_persistent = is_persistent,
	};

	u->cc->on_loss(u->st, &ev);
}

/* The end of recovery: a packet that was sent in it is acknowledged, by an ACK that gives no
 * growth.
 */
static void recover(struct unit *u)
{
	struct qb_cc_ack ev = ack_of(u, MSS, RTT_MS * MS);

	ev.largest_sent_ns = u->now_ns + 1;
	ev.is_cwnd_limited = false;
	u->cc->on_ack(u->st, &ev);
}

static void mark(struct unit *u, uint64_t ce_pkts, uint64_t ect_pkts)
{
	struct qb_cc_ecn ev = {
		.now_ns = u->now_ns,
		.ce_pkts = ce_pkts,
		.ect_pkts = ect_pkts,
		.largest_sent_ns = u->now_ns - RTT_MS * MS,
		.srtt_ns = RTT_MS * MS,
		.delivered_bytes = u->delivered_bytes,
	};

	u->cc->on_ecn(u->st, &ev);
}

/* ---- all of them ---- */

START_TEST(test_registry)
{
	static const char *const names[] = {"auto",   "bbr3",	 "bbr2",     "bbr1",
					    "cubic",  "newreno", "westwood", "copa",
					    "prague", "lia",	 "olia",     "balia"};

	for (size_t i = 0; i < QB_ARRAY_LEN(names); i++) {
		const struct qb_cc *cc = qb_cc_find(names[i]);

		ck_assert_ptr_nonnull(cc);
		ck_assert_str_eq(cc->name, names[i]);
		ck_assert_uint_le(cc->state_bytes, QB_CC_STATE_MAX);
		ck_assert(cc->init && cc->on_sent && cc->on_ack && cc->on_loss && cc->on_ecn &&
			  cc->on_spurious && cc->view);
		ck_assert_int_eq(cc->is_ect1, !strcmp(names[i], "prague"));
	}
	ck_assert_ptr_null(qb_cc_find("reno"));
	ck_assert_ptr_null(qb_cc_find(""));
	ck_assert_str_eq(qb_cc_list[0]->name, "auto");
}
END_TEST

START_TEST(test_initial)
{
	const struct qb_cc *cc = qb_cc_list[_i];
	struct qb_cc_view v;
	struct unit u;

	begin(&u, cc->name, 0);
	cc->view(u.st, &v);
	ck_assert_uint_eq(v.cwnd_bytes, qb_cc_initial_cwnd(MSS)); /* RFC 9002 §7.2 */
	ck_assert_uint_eq(v.ssthresh_bytes, UINT64_MAX);
	ck_assert(*v.phase);
}
END_TEST

/* A mark is answered (RFC 3168, RFC 9002 §7.1): fewer bytes in flight or a lower rate than without
 * it, within a few rounds. */
START_TEST(test_marks_are_answered)
{
	const struct qb_cc *cc = qb_cc_list[_i];
	struct qb_cc_view with, without;
	struct unit u[2];

	for (int k = 0; k < 2; k++) {
		begin(&u[k], cc->name, 100 * MSS);
		for (int round = 0; round < 3; round++) {
			ack_round(&u[k]);
			if (k)
				mark(&u[k], 2, 8);
			ack(&u[k], MSS);
		}
	}
	cc->view(u[0].st, &without);
	cc->view(u[1].st, &with);
	ck_assert(with.cwnd_bytes < without.cwnd_bytes || with.pacing_bps < without.pacing_bps);
}
END_TEST

/* RFC 9002 §7.6.2: at most the minimum window (BBR's is four packets), and growth from there. */
START_TEST(test_persistent)
{
	const struct qb_cc *cc = qb_cc_list[_i];
	struct unit u;

	begin(&u, cc->name, 100 * MSS);
	for (int round = 0; round < 3; round++)
		ack_round(&u);
	lose(&u, true);
	ck_assert_uint_ge(cwnd(&u), 2 * MSS);
	ck_assert_uint_le(cwnd(&u), 4 * MSS);
	for (int round = 0; round < 4; round++)
		ack_round(&u);
	ck_assert_uint_gt(cwnd(&u), 4 * MSS);
}
END_TEST

/* Any sequence of events, sensible or not: the window is never below a packet or two, nor absurd,
 * and nothing overflows. */
START_TEST(test_any_events)
{
	const struct qb_cc *cc = qb_cc_list[_i];
	struct qb_cc_group group = {0};
	struct qb_cc_view v;
	struct qb_rand r;
	struct unit u;

	qb_rand_seed(&r, (uint64_t)_i);
	begin_in(&u, cc->name, 0, &group);
	for (int i = 0; i < 20000; i++) {
		struct qb_cc_ack ev = ack_of(&u, 1 + qb_rand_below(&r, 20 * MSS),
					     1 + qb_rand_below(&r, 300 * MS));
		struct qb_cc_sent sent = {.now_ns = u.now_ns,
					  .bytes = MSS,
					  .in_flight_bytes = MSS + qb_rand_below(&r, 100 * MSS),
					  .is_app_limited = qb_rand_below(&r, 2)};

		ev.rate_bps = qb_rand_below(&r, 4) ? qb_rand_below(&r, 1000000000) : 0;
		ev.is_rate_app_limited = qb_rand_below(&r, 3) == 0;
		ev.is_cwnd_limited = qb_rand_below(&r, 3) != 0;
		ev.in_flight_bytes = qb_rand_below(&r, 200 * MSS);
		ev.rtt_ns = qb_rand_below(&r, 5) ? ev.rtt_ns : 0;
		cc->on_sent(u.st, &sent);
		if (qb_rand_below(&r, 40) == 0)
			lose(&u, qb_rand_below(&r, 20) == 0);
		if (qb_rand_below(&r, 60) == 0)
			mark(&u, 1 + qb_rand_below(&r, 5), qb_rand_below(&r, 10));
		cc->on_ack(u.st, &ev);
		if (qb_rand_below(&r, 80) == 0)
			cc->on_spurious(u.st, u.now_ns);
		v = (struct qb_cc_view){0};
		cc->view(u.st, &v);
		ck_assert_uint_ge(v.cwnd_bytes, MSS);
		ck_assert_uint_le(v.cwnd_bytes, UINT64_C(1) << 40);
		ck_assert_uint_le(v.pacing_bps, UINT64_C(1) << 40);
		ck_assert(*v.phase);
		u.now_ns += qb_rand_below(&r, qb_rand_below(&r, 50) ? 20 * MS : 5000 * MS);
	}
}
END_TEST

/* ---- Reno's family ---- */

START_TEST(test_reno)
{
	struct unit u;
	uint64_t was;

	begin(&u, "newreno", 10 * MSS);
	ack(&u, 5 * MSS);
	ck_assert_uint_eq(cwnd(&u),
			  15 * MSS); /* slow start: what was acknowledged (RFC 9002 §7.3.1) */
	lose(&u, false);
	recover(&u);
	ck_assert_uint_eq(cwnd(&u), 15 * MSS / 2); /* §7.3.2 */
	was = cwnd(&u);
	u.now_ns += 10 * MS;
	lose(&u, false); /* sent before the recovery period: one reduction is enough */
	ck_assert_uint_eq(cwnd(&u), was);
	ack(&u, 5 * MSS); /* no growth in recovery */
	ck_assert_uint_eq(cwnd(&u), was);
	u.now_ns += 2 * RTT_MS * MS;
	ack_round(&u); /* congestion avoidance: a packet a window (§7.3.3) */
	ck_assert_uint_ge(cwnd(&u), was + MSS * 8 / 10);
	ck_assert_uint_le(cwnd(&u), was + MSS);
}
END_TEST

START_TEST(test_reno_not_limited)
{
	struct qb_cc_ack ev;
	struct unit u;

	begin(&u, "newreno", 10 * MSS);
	ev = ack_of(&u, 5 * MSS, RTT_MS * MS);
	ev.is_cwnd_limited = false;
	u.cc->on_ack(u.st, &ev);
	ck_assert_uint_eq(cwnd(&u), 10 * MSS); /* RFC 9002 §7.8 */
}
END_TEST

START_TEST(test_spurious_restores)
{
	static const char *const names[] = {"newreno", "cubic", "westwood", "prague", "lia"};
	struct unit u;
	uint64_t was;

	begin(&u, names[_i], 100 * MSS);
	ack_round(&u);
	was = cwnd(&u);
	lose(&u, false);
	recover(&u);
	ck_assert_uint_lt(cwnd(&u), was);
	u.cc->on_spurious(u.st, u.now_ns);
	ck_assert_uint_eq(cwnd(&u), was);
	u.cc->on_spurious(u.st, u.now_ns); /* once */
	ck_assert_uint_eq(cwnd(&u), was);
}
END_TEST

/* W(t) = C(t-K)³ + Wmax with K = ∛(Wmax(1-β)/C): back at Wmax after K, concave before, convex after
 * (RFC 9438 §4.2). */
START_TEST(test_cubic_curve)
{
	const double w_max = 1000, k_s = cbrt(1000 * 0.3 / 0.4);
	struct unit u;
	uint64_t start_ns;

	begin(&u, "cubic", (uint64_t)w_max * MSS);
	lose(&u, false);
	recover(&u);
	ck_assert_uint_eq(cwnd(&u), 700 * MSS); /* §4.6 */
	u.now_ns += 2 * RTT_MS * MS;
	start_ns = u.now_ns;
	while (u.now_ns < start_ns + (uint64_t)(1.5 * k_s * 1e9)) {
		double t_s = (double)(u.now_ns - start_ns) / 1e9;
		double w = 0.4 * pow(t_s - k_s, 3) + w_max;

		if (t_s > 1)
			ck_assert_double_eq_tol((double)cwnd(&u) / MSS, w, 20);
		ack_round(&u);
	}
}
END_TEST

/* RFC 9438 §4.7: a second loss below the old maximum gives room: Wmax = cwnd·(1+β)/2, which the
 * curve then flattens at. */
START_TEST(test_cubic_fast_convergence)
{
	struct unit u;
	uint64_t at;

	begin(&u, "cubic", 1000 * MSS);
	lose(&u, false);
	recover(&u);
	u.now_ns += 2 * RTT_MS * MS;
	for (int i = 0; i < 10; i++)
		ack_round(&u);
	at = cwnd(&u);
	ck_assert_uint_lt(at, 1000 * MSS);
	u.now_ns += 2 * RTT_MS * MS;
	lose(&u, false);
	recover(&u);
	ck_assert_double_eq_tol((double)cwnd(&u), 0.7 * (double)at, 2 * MSS);
	u.now_ns += 2 * RTT_MS * MS;
	for (int i = 0; i < 55; i++) /* K is about 5.6 s */
		ack_round(&u);
	ck_assert_double_eq_tol((double)cwnd(&u), 0.85 * (double)at, 20 * MSS);
}
END_TEST

/* RFC 9438 §5.8: time without enough to send does not count, and an epoch that began in such a time
 * is not in the future. */
START_TEST(test_cubic_idle)
{
	struct qb_cc_sent sent = {.bytes = MSS, .in_flight_bytes = MSS, .is_app_limited = true};
	struct unit u;
	uint64_t before;

	begin(&u, "cubic", 1000 * MSS);
	sent.now_ns = u.now_ns;
	u.cc->on_sent(u.st, &sent); /* app-limited from here on */
	lose(&u, false);
	recover(&u);
	u.now_ns += 2 * RTT_MS * MS;
	ack(&u, MSS); /* the epoch begins */
	u.now_ns += 60000 * MS;
	sent.now_ns = u.now_ns;
	sent.is_app_limited = false;
	u.cc->on_sent(u.st, &sent);
	before = cwnd(&u);
	ack_round(&u);
	ck_assert_uint_le(cwnd(&u), before + before / 20);
}
END_TEST

/* RFC 9406 §4.2: eight samples of 1/8 more than the last round's minimum begin CSS; §4.3: it ends
 * after five rounds, or at once when the delay was noise. */
static enum qb_hystart_verdict hystart_round(struct qb_hystart *h, uint64_t *delivered_bytes,
					     uint64_t rtt_ns)
{
	enum qb_hystart_verdict v = QB_HYSTART_GROW;

	for (int i = 0; i < 20; i++) {
		struct qb_cc_ack ev = {.rtt_ns = rtt_ns, .in_flight_bytes = 20 * MSS};

		*delivered_bytes += MSS;
		ev.delivered_bytes = *delivered_bytes;
		v = qb_hystart_on_ack(h, &ev);
		if (v == QB_HYSTART_EXIT)
			break;
	}
	return v;
}

START_TEST(test_hystart_exit)
{
	struct qb_hystart h;
	uint64_t delivered_bytes = 0;
	int rounds = 0;

	qb_hystart_init(&h);
	ck_assert_int_eq(hystart_round(&h, &delivered_bytes, 40 * MS), QB_HYSTART_GROW);
	ck_assert_int_eq(hystart_round(&h, &delivered_bytes, 40 * MS), QB_HYSTART_GROW);
	ck_assert_int_eq(hystart_round(&h, &delivered_bytes, 44 * MS),
			 QB_HYSTART_GROW); /* below the threshold of 5 ms */
	ck_assert_int_eq(hystart_round(&h, &delivered_bytes, 50 * MS), QB_HYSTART_GROW_CSS);
	while (hystart_round(&h, &delivered_bytes, 55 * MS) == QB_HYSTART_GROW_CSS)
		rounds++;
	ck_assert_int_ge(rounds, 3);
	ck_assert_int_le(rounds, 5);
}
END_TEST

START_TEST(test_hystart_noise)
{
	struct qb_hystart h;
	uint64_t delivered_bytes = 0;

	qb_hystart_init(&h);
	hystart_round(&h, &delivered_bytes, 40 * MS);
	hystart_round(&h, &delivered_bytes, 40 * MS);
	ck_assert_int_eq(hystart_round(&h, &delivered_bytes, 60 * MS), QB_HYSTART_GROW_CSS);
	ck_assert_int_eq(hystart_round(&h, &delivered_bytes, 40 * MS), QB_HYSTART_GROW);
	ck_assert(!h.is_css);
}
END_TEST

/* ---- Prague ---- */

/* α follows the marked fraction by 1/16 a round, and the window falls by α/2
 * (draft-briscoe-iccrg-prague-congestion-control). */
START_TEST(test_prague_alpha)
{
	struct unit u;
	uint64_t before;

	begin(&u, "prague", 1000 * MSS);
	mark(&u, 1, 99); /* the first mark: α = 1, slow start is over */
	ck_assert_uint_le(cwnd(&u), 540 * MSS);
	for (int i = 0; i < 200; i++) { /* a tenth of the packets marked, for long */
		u.now_ns += 2 * RTT_MS * MS;
		mark(&u, 1, 9);
		for (int k = 0; k < 20 && cwnd(&u) < 500 * MSS; k++)
			ack(&u, cwnd(&u));
	}
	u.now_ns += 2 * RTT_MS * MS;
	before = cwnd(&u);
	mark(&u, 1, 9);
	ck_assert_double_eq_tol((double)cwnd(&u) / (double)before, 1 - 0.1 / 2, 0.02);
	before = cwnd(&u);
	u.now_ns += 10 * MS;
	mark(&u, 1, 9); /* once a virtual round trip */
	ck_assert_uint_eq(cwnd(&u), before);
	lose(&u, false); /* the mark's cut counts towards the halving */
	recover(&u);
	ck_assert_double_eq_tol((double)cwnd(&u) / (double)before, 0.5 / (1 - 0.1 / 2), 0.03);
}
END_TEST

/* What was marked gives no growth: half of the packets marked, half of it (tcp_prague.c, "unsaturated marking"). */
START_TEST(test_prague_growth)
{
	double growth[2];

	for (int i = 0; i < 2; i++) {
		struct unit u;
		uint64_t before;

		begin(&u, "prague", 100 * MSS);
		mark(&u, 1, 99);
		u.now_ns += MS; /* not yet time for another cut */
		before = cwnd(&u);
		for (int k = 0; k < 10; k++) {
			if (i)
				mark(&u, 2, 2);
			ack(&u, 4 * MSS);
		}
		growth[i] = (double)(cwnd(&u) - before);
	}
	ck_assert_double_gt(growth[0], 0.5 * MSS);
	ck_assert_double_eq_tol(growth[1] / growth[0], 0.5, 0.05);
}
END_TEST

/* ---- couplings ---- */

static void add_member(struct qb_cc_group *g, uint32_t i, uint64_t cwnd_pkts, uint64_t rtt_ms,
		       uint64_t now_ns)
{
	g->member[i] = (struct qb_cc_member){.owner = &g->member[i],
					     .cwnd_bytes = cwnd_pkts * MSS,
					     .srtt_ns = rtt_ms * MS,
					     .last_ack_ns = now_ns};
}

/* The growth of one acknowledged packet in congestion avoidance, in packets, beside another path.
 */
static double growth(const char *name, uint64_t own_pkts, uint64_t other_pkts,
		     uint64_t other_rtt_ms)
{
	struct qb_cc_group group = {0};
	struct unit u;
	double sum = 0;

	begin_in(&u, name, 2 * own_pkts * MSS, &group);
	lose(&u, false);
	recover(&u);
	u.now_ns += 2 * RTT_MS * MS;
	add_member(&group, 5, other_pkts, other_rtt_ms, u.now_ns);
	for (int i = 0; i < 100; i++) {
		uint64_t before = cwnd(&u);

		ack(&u, MSS);
		sum += (double)cwnd(&u) - (double)before;
	}
	return sum / MSS / 100;
}

START_TEST(test_coupled_formulas)
{
	/* Two paths alike, w packets each: LIA (w/rtt²)/(2w/rtt)² = 1/(4w) (RFC 6356 §3); OLIA's
	 * first term the same and ε 0; BALIA's too, as its α is 1: (1+1)/2·(4+1)/5 = 1. */
	ck_assert_double_eq_tol(growth("lia", 50, 50, RTT_MS), 1.0 / 200, 0.0003);
	ck_assert_double_eq_tol(growth("olia", 50, 50, RTT_MS), 1.0 / 200, 0.0003);
	ck_assert_double_eq_tol(growth("balia", 50, 50, RTT_MS), 1.0 / 200, 0.0003);
	/* A small path beside a large one: LIA max(w/rtt²)/(Σ)² = 150/200²; BALIA
	 * 50/200²·(1+3)/2·(4+3)/5. */
	ck_assert_double_eq_tol(growth("lia", 50, 150, RTT_MS), 150.0 / 40000, 0.0003);
	ck_assert_double_eq_tol(growth("balia", 50, 150, RTT_MS), 50.0 / 40000 * 2 * 1.4, 0.0003);
	/* OLIA: the best path (it alone has delivered) with the smaller window gets ε/w =
	 * 1/(2·1)/50 on top. */
	ck_assert_double_eq_tol(growth("olia", 50, 150, RTT_MS), 50.0 / 40000 + 1.0 / 2 / 50,
				0.0005);
	/* None grows faster than Reno alone, nor slower than not at all. */
	ck_assert_double_le(growth("lia", 50, 1, 10 * RTT_MS), 1.0 / 50 + 0.0003);
}
END_TEST

/* A path that is silent, or that left, does not count: Reno again. */
START_TEST(test_coupled_silence)
{
	struct qb_cc_group group = {0};
	struct unit u;
	uint64_t before;

	begin_in(&u, "lia", 100 * MSS, &group);
	lose(&u, false);
	recover(&u);
	add_member(&group, 5, 50, RTT_MS, u.now_ns);
	u.now_ns += 5000 * MS;
	before = cwnd(&u);
	ack(&u, 10 * MSS);
	ck_assert_uint_eq(cwnd(&u) - before, 10 * MSS / 50);
	ck_assert_ptr_eq(group.member[0].owner, u.st);
	qb_cc_group_leave(&group, u.st);
	ck_assert_ptr_null(group.member[0].owner);
}
END_TEST

/* A controller that is begun again on the same state keeps one membership; a full group leaves the
 * rest on their own. */
START_TEST(test_coupled_members)
{
	struct qb_cc_group group = {0};
	struct unit u;
	int cnt = 0;

	begin_in(&u, "olia", 0, &group);
	begin_in(&u, "balia", 0, &group);
	for (int i = 0; i < QB_CC_GROUP_MAX; i++)
		cnt += group.member[i].owner == u.st;
	ck_assert_int_eq(cnt, 1);
	for (uint32_t i = 1; i < QB_CC_GROUP_MAX; i++)
		add_member(&group, i, 10, RTT_MS, u.now_ns);
	qb_cc_group_leave(&group, u.st);
	add_member(&group, 0, 10, RTT_MS, u.now_ns);
	begin_in(&u, "balia", 100 * MSS, &group);
	lose(&u, false);
	recover(&u);
	ck_assert_uint_eq(cwnd(&u), 50 * MSS);
}
END_TEST

/* BALIA's decrease: w/2·min(α, 1.5), so a path with two thirds of the best rate or less loses three
 * quarters. */
START_TEST(test_balia_decrease)
{
	struct qb_cc_group group = {0};
	struct unit u;

	begin_in(&u, "balia", 100 * MSS, &group);
	ack(&u, MSS);
	add_member(&group, 5, 300, RTT_MS, u.now_ns);
	lose(&u, false);
	recover(&u);
	ck_assert_double_eq_tol((double)cwnd(&u) / MSS, 101 * 0.25, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cc_unit");
	TCase *t = tcase_create("unit");
	SRunner *r;
	int failed, all = 0;

	while (qb_cc_list[all])
		all++;
	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_registry);
	tcase_add_loop_test(t, test_initial, 0, all);
	tcase_add_loop_test(t, test_marks_are_answered, 0, all);
	tcase_add_loop_test(t, test_persistent, 0, all);
	tcase_add_loop_test(t, test_any_events, 0, all);
	tcase_add_test(t, test_reno);
	tcase_add_test(t, test_reno_not_limited);
	tcase_add_loop_test(t, test_spurious_restores, 0, 5);
	tcase_add_test(t, test_cubic_curve);
	tcase_add_test(t, test_cubic_fast_convergence);
	tcase_add_test(t, test_cubic_idle);
	tcase_add_test(t, test_hystart_exit);
	tcase_add_test(t, test_hystart_noise);
	tcase_add_test(t, test_prague_alpha);
	tcase_add_test(t, test_prague_growth);
	tcase_add_test(t, test_coupled_formulas);
	tcase_add_test(t, test_coupled_silence);
	tcase_add_test(t, test_coupled_members);
	tcase_add_test(t, test_balia_decrease);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
