/* SPDX-License-Identifier: BSD-2-Clause */
/* Schedulers as pure functions over snapshots of paths. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "base/rand.h"
#include "bond/sched.h"

#define MS  QB_NS_PER_MS
#define NOW (100 * QB_NS_PER_SEC)

/* A path by its RTT, rate, how many packets it takes now, and when the pacer lets the next one go.
 */
static struct qb_path_view path(uint64_t rtt_ms, uint64_t mbps, uint64_t pkts, uint64_t next_ms)
{
	return (struct qb_path_view){
		.is_usable = true,
		.is_validated = true,
		.srtt_ns = rtt_ms * MS,
		.min_rtt_ns = rtt_ms * MS,
		.rttvar_ns = rtt_ms * MS / 16,
		.rate_bps = mbps * 1000000,
		.cwnd_bytes = mbps * 125 * rtt_ms * 2,
		.in_flight_bytes = mbps * 125 * rtt_ms / 2,
		.budget_bytes = pkts * 1500,
		.next_send_ns = next_ms ? NOW + next_ms * MS : 0,
		.max_inner_bytes = 1400,
	};
}

struct view_in {
	uint64_t rtt_ms, mbps, pkts, next_ms;
	uint32_t loss_ppm;
	uint64_t owd_ms;
	bool is_off, is_far;
	uint32_t mtu;
};

#define PATH(rtt_ms_, mbps_, pkts_, ...)                                                           \
	{                                                                                          \
		.rtt_ms = rtt_ms_, .mbps = mbps_, .pkts = pkts_, ##__VA_ARGS__                     \
	}

/* clang-format off */
static const struct {
	const char *what, *sched;
	struct view_in v[3];
	bool is_sparse;
	uint64_t queued_bytes, waited_ms;
	int want;
} picks[] = {
	{"one path", "auto", {PATH(20, 10, 4)}, false, 0, 0, 0},
	{"nothing free", "auto", {PATH(20, 10, 0, .next_ms = 1)}, false, 9000, 0, QB_SCHED_WAIT},
	{"lower delay", "auto", {PATH(40, 10, 4), PATH(20, 10, 4)}, false, 9000, 0, 1},
	{"sparse: lower delay", "auto", {PATH(40, 10, 4), PATH(20, 10, 4)}, true, 0, 0, 1},
	{"sparse waits a slot for a much better path", "auto", {PATH(20, 10, 0, .next_ms = 1), PATH(120, 10, 4)}, true, 0, 0, QB_SCHED_WAIT},
	{"sparse does not wait when that is slower", "auto", {PATH(20, 10, 0, .next_ms = 9), PATH(30, 10, 4)}, true, 0, 0, 1},
	{"sparse gives up a path that does not move", "auto", {PATH(20, 10, 0, .next_ms = 0), PATH(40, 10, 4)}, true, 0, 30, 1},
	{"bulk: a single packet waits", "auto", {PATH(20, 10, 0, .next_ms = 1), PATH(60, 10, 4)}, false, 0, 0, QB_SCHED_WAIT},
	{"bulk: backlog below the lag waits", "auto", {PATH(20, 10, 0, .next_ms = 1), PATH(60, 10, 4)}, false, 20000, 0, QB_SCHED_WAIT},
	{"bulk: backlog above the lag strikes out", "auto", {PATH(20, 10, 0, .next_ms = 1), PATH(60, 10, 4)}, false, 26000, 0, 1},
	{"bulk: even paths share at once", "auto", {PATH(20, 10, 0, .next_ms = 1), PATH(20, 10, 4)}, false, 0, 0, 1},
	{"bulk: never the satellite", "auto", {PATH(20, 10, 0, .next_ms = 1), PATH(600, 10, 4, .is_far = true)}, false, 9000000, 0, QB_SCHED_WAIT},
	{"bulk: the satellite if there is nothing else", "auto", {PATH(20, 10, 4, .is_off = true), PATH(600, 10, 4)}, false, 0, 0, 1},
	{"bulk: a lossy path is worth less", "auto", {PATH(20, 10, 0, .next_ms = 1), PATH(20, 10, 4, .loss_ppm = 100000)}, false, 20000, 0, QB_SCHED_WAIT},
	{"sparse: a lossy path is worth less", "auto", {PATH(20, 10, 4, .loss_ppm = 100000), PATH(40, 10, 4)}, true, 0, 0, 1},
	{"a little loss is nobody's fault", "auto", {PATH(20, 10, 4, .loss_ppm = 9000), PATH(24, 10, 4)}, false, 0, 0, 0},
	{"sparse: one-way delays beat RTTs", "auto", {PATH(40, 10, 4), PATH(30, 10, 4, .owd_ms = 15)}, true, 0, 0, 0},
	{"bulk: one-way delays beat RTTs", "auto", {PATH(40, 10, 4), PATH(30, 10, 4, .owd_ms = 15)}, false, 0, 0, 0},
	{"bulk: one-way delays say what a backlog is for", "auto", {PATH(40, 10, 0, .next_ms = 1), PATH(30, 10, 4, .owd_ms = 15)}, false, 15000, 0, QB_SCHED_WAIT},
	{"bulk: ways that are half of round trips tell no more", "auto", {PATH(30, 10, 4), PATH(40, 10, 4, .owd_ms = 4)}, false, 0, 0, 0},
	{"bulk: and when it is there", "auto", {PATH(40, 10, 0, .next_ms = 1), PATH(30, 10, 4, .owd_ms = 15)}, false, 20000, 0, 1},
	{"MTU", "auto", {PATH(20, 10, 4, .mtu = 1100), PATH(60, 10, 4)}, false, 0, 0, 1},
	{"three: the middle one first", "auto", {PATH(20, 10, 0, .next_ms = 1), PATH(40, 10, 4), PATH(60, 10, 4)}, false, 30000, 0, 1},
	{"three: the last when both others are busy", "auto", {PATH(20, 10, 0, .next_ms = 1), PATH(40, 10, 0, .next_ms = 1), PATH(60, 10, 4)}, false, 60000, 0, 2},
	{"three: not yet", "auto", {PATH(20, 10, 0, .next_ms = 1), PATH(40, 10, 0, .next_ms = 1), PATH(60, 10, 4)}, false, 30000, 0, QB_SCHED_WAIT},
	{"lowest RTT", "minrtt", {PATH(40, 10, 4), PATH(20, 10, 4)}, false, 0, 0, 1},
	{"lowest RTT that is free", "minrtt", {PATH(40, 10, 4), PATH(20, 10, 0, .next_ms = 1)}, false, 0, 0, 0},
	{"not usable", "minrtt", {PATH(40, 10, 4), PATH(20, 10, 4, .is_off = true)}, false, 0, 0, 0},
	{"fast path free", "ecf", {PATH(20, 10, 4), PATH(60, 10, 4)}, false, 90000, 0, 0},
	{"small rest waits for the fast path", "ecf", {PATH(20, 10, 0, .next_ms = 1), PATH(200, 2, 4)}, false, 3000, 0, QB_SCHED_WAIT},
	{"much to send takes the slow one", "ecf", {PATH(20, 10, 0, .next_ms = 1), PATH(60, 10, 4)}, false, 900000, 0, 1},
	{"what a path carries counts, not a window of twice as much", "ecf", {PATH(20, 10, 0, .next_ms = 1), PATH(60, 10, 4)}, false, 80000, 0, 1},
	{"slow path would block", "blest", {PATH(10, 100, 0, .next_ms = 1), PATH(200, 10, 4)}, false, 90000, 0, QB_SCHED_WAIT},
	{"slow path would not block", "blest", {PATH(20, 10, 0, .next_ms = 1), PATH(40, 10, 4)}, false, 90000, 0, 1},
	{"first", "roundrobin", {PATH(40, 10, 4), PATH(20, 10, 4)}, false, 0, 0, 0},
	{"none", "weighted", {PATH(40, 10, 0, .next_ms = 1), PATH(20, 10, 0, .next_ms = 1)}, false, 0, 0, QB_SCHED_WAIT},
};
/* clang-format on */

/* clang-format off */
static const struct {
	const char *what;
	struct view_in v[3];
	uint32_t known, want;
} looks[] = {
	{"near ones are all in", {PATH(20, 10, 4), PATH(200, 5, 4)}, 3, 0},
	{"a satellite that brings no more than the rest", {PATH(40, 50, 4), PATH(600, 50, 4)}, 3, 2},
	{"a satellite that brings more", {PATH(40, 20, 4), PATH(600, 50, 4)}, 3, 2},
	{"a satellite that brings several times as much", {PATH(40, 10, 4), PATH(600, 50, 4)}, 3, 1},
	{"a little more, a little later", {PATH(20, 100, 4), PATH(60, 10, 4)}, 3, 0},
	{"a little more, much later", {PATH(20, 100, 4), PATH(140, 10, 4)}, 3, 2},
	{"a third more, much later", {PATH(20, 100, 4), PATH(240, 33, 4)}, 3, 0},
	{"a satellite that nobody knows yet", {PATH(40, 50, 4), PATH(600, 10, 4)}, 1, 2},
	{"near, and nobody knows it yet", {PATH(40, 50, 4), PATH(240, 10, 4)}, 1, 0},
	{"several times as much, as it seems", {PATH(40, 5, 4), PATH(900, 50, 4)}, 1, 2},
	{"twice as much, but too far away", {PATH(40, 20, 4), PATH(900, 50, 4)}, 3, 2},
	{"further than the receiver can wait", {PATH(40, 50, 4), PATH(900, 10, 4)}, 3, 2},
	{"so far, but most of it is there", {PATH(40, 5, 4), PATH(900, 50, 4)}, 3, 1},
	{"the middle belongs to the better part", {PATH(20, 10, 4), PATH(400, 10, 4), PATH(900, 100, 4)}, 7, 3},
	{"alone", {PATH(600, 1, 4)}, 1, 0},
	{"all is lost", {PATH(40, 30, 4, .loss_ppm = 1000000)}, 1, 0},
	{"what is lost is not carried", {PATH(40, 30, 4), PATH(40, 60, 4, .loss_ppm = 600000)}, 3, 2},
};
/* clang-format on */

START_TEST(look_table)
{
	struct qb_sched_outlook out = {0};
	struct qb_path_view v[3];
	uint32_t n = 0;

	for (; n < 3 && looks[_i].v[n].rtt_ms; n++)
		v[n] = path(looks[_i].v[n].rtt_ms, looks[_i].v[n].mbps, looks[_i].v[n].pkts, 0);
	for (uint32_t i = 0; i < n; i++)
		v[i].loss_ppm = looks[_i].v[i].loss_ppm;
	qb_sched_look(v, n, looks[_i].known, &out);
	ck_assert_msg(out.far == looks[_i].want, "%s: %x, not %x", looks[_i].what, out.far, looks[_i].want);
}
END_TEST

/* Rates are no whole megabits: half of the bond is worth a wait, whatever it is in numbers. */
START_TEST(small_paths_have_rates_too)
{
	static const uint64_t rates_bps[] = {900000, 1900000, 300000};

	for (uint32_t i = 0; i < QB_ARRAY_LEN(rates_bps); i++) {
		struct qb_path_view v[2] = {path(40, 1, 4, 0), path(140, 1, 4, 0)};
		struct qb_sched_outlook out = {0};

		for (uint32_t k = 0; k < 2; k++) {
			v[k].rate_bps = rates_bps[i];
			v[k].cwnd_bytes = 1000;
			v[k].in_flight_bytes = 0;
			v[k].rttvar_ns = 0;
		}
		v[0].rate_bps *= 2;
		v[1].loss_ppm = 1000;
		qb_sched_look(v, 2, 3, &out);
		ck_assert_uint_eq(out.far, 0);
	}
}
END_TEST

/* A path that jitters is late each now and then, and a flow that is striped waits for it each time. */
START_TEST(jitter_is_lateness)
{
	struct qb_path_view v[2] = {path(20, 100, 4, 0), path(60, 10, 4, 0)};
	struct qb_sched_outlook out = {0};

	v[1].rttvar_ns = 20 * MS;
	qb_sched_look(v, 2, 3, &out);
	ck_assert_uint_eq(out.far, 2);
	ck_assert_uint_eq(out.lag_ns[1], 20 * MS);
	/* Like others, it is no reason. */
	v[0].rttvar_ns = 20 * MS;
	out = (struct qb_sched_outlook){0};
	qb_sched_look(v, 2, 3, &out);
	ck_assert_uint_eq(out.far, 0);
}
END_TEST

/* Near the bound a path stays what it was. */
START_TEST(far_and_near_do_not_alternate)
{
	static const uint32_t rtts_ms[] = {90, 120, 90, 60, 90}, wants[] = {0, 2, 2, 0, 0};
	struct qb_sched_outlook out = {0};

	for (uint32_t i = 0; i < QB_ARRAY_LEN(rtts_ms); i++) {
		struct qb_path_view v[2] = {path(20, 100, 4, 0), path(rtts_ms[i], 10, 4, 0)};

		v[0].rttvar_ns = v[1].rttvar_ns = 0;
		qb_sched_look(v, 2, 3, &out);
		ck_assert_uint_eq(out.far, wants[i]);
	}
}
END_TEST

START_TEST(pick_table)
{
	struct qb_path_view v[3];
	struct qb_pkt_meta pkt = {.bytes = 1300,
				  .is_sparse = picks[_i].is_sparse,
				  .queued_bytes = picks[_i].queued_bytes,
				  .waited_ns = picks[_i].waited_ms * MS};
	const struct qb_sched *s = qb_sched_find(picks[_i].sched);
	_Alignas(16) uint8_t st[QB_SCHED_STATE_MAX];
	uint32_t n = 0;
	int got;

	for (; n < 3 && picks[_i].v[n].rtt_ms; n++) {
		const struct view_in *in = &picks[_i].v[n];

		v[n] = path(in->rtt_ms, in->mbps, in->pkts, in->next_ms);
		v[n].loss_ppm = in->loss_ppm;
		v[n].owd_delta_ns = in->owd_ms * MS;
		v[n].owd_base_delta_ns = in->owd_ms * MS;
		v[n].is_usable = !in->is_off;
		v[n].is_far = in->is_far;
		if (in->mtu)
			v[n].max_inner_bytes = in->mtu;
	}
	memset(st, 0xa5, sizeof(st));
	if (s->init)
		s->init(st);
	got = s->pick(st, v, n, &pkt, NOW);
	ck_assert_msg(got == picks[_i].want, "%s (%s): %d, not %d", picks[_i].what, picks[_i].sched,
		      got, picks[_i].want);
}
END_TEST

START_TEST(registry)
{
	static const char *const names[] = {"auto",	"minrtt", "roundrobin",
					    "weighted", "blest",  "ecf", "deadline", "redundant:4"};

	for (uint32_t i = 0; i < QB_ARRAY_LEN(names); i++) {
		const struct qb_sched *s = qb_sched_find(names[i]);

		ck_assert_ptr_nonnull(s);
		ck_assert_str_eq(s->name, names[i]);
		ck_assert_uint_le(s->state_bytes, QB_SCHED_STATE_MAX);
	}
	ck_assert_ptr_null(qb_sched_find("nonsense"));
}
END_TEST

/* Whatever the views say, a scheduler only names a path that may send. */
START_TEST(never_a_path_that_may_not)
{
	const struct qb_sched *s = qb_sched_list[_i];
	_Alignas(16) uint8_t st[QB_SCHED_STATE_MAX];
	uint64_t x = 88172645463325252u;

	if (s->init)
		s->init(st);
	for (int round = 0; round < 100000; round++) {
		struct qb_path_view v[QB_BOND_PATHS_MAX];
		struct qb_pkt_meta pkt;
		uint32_t n;
		int got;

		for (uint32_t i = 0; i < QB_BOND_PATHS_MAX; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			v[i] = path(x % 700, x >> 10 & 1023, x >> 20 & 3, x >> 22 & 15);
			v[i].is_usable = x >> 26 & 3;
			if ((x >> 28 & 7) == 0)
				v[i].cwnd_bytes = v[i].srtt_ns = v[i].min_rtt_ns = v[i].rate_bps =
					0;
			v[i].loss_ppm = (uint32_t)(x >> 31 & 0xfffff);
			v[i].max_inner_bytes = x >> 51 & 1 ? 1400 : 1000;
		}
		n = 1 + (uint32_t)(x >> 52) % QB_BOND_PATHS_MAX;
		pkt = (struct qb_pkt_meta){.bytes = 40 + (uint32_t)(x >> 40) % 1360,
					   .is_sparse = x & 1,
					   .queued_bytes = x >> 44,
					   .age_ns = x >> 38,
					   .deadline_ns = (x >> 5 & 1) * (x >> 37)};
		got = s->pick(st, v, n, &pkt, NOW);
		if (got == QB_SCHED_WAIT || (got == QB_SCHED_LATE && s->has_deadlines))
			continue;
		ck_assert_int_ge(got, 0);
		ck_assert_int_lt(got, (int)n);
		ck_assert(qb_view_can_send(&v[got], pkt.bytes));
	}
}
END_TEST

/* As long as a path has room, no scheduler refuses bulk for longer than a receiver would wait, in whatever state the paths are. */
START_TEST(bulk_is_never_refused_for_ever)
{
	const struct qb_sched *s = qb_sched_list[_i];
	_Alignas(16) uint8_t st[QB_SCHED_STATE_MAX];
	struct qb_counters counters = {0};
	uint64_t x = 88172645463325252u;

	for (int round = 0; round < 100; round++) {
		struct qb_sched_outlook out = {0};
		struct qb_sched_stand stand = {0};
		struct qb_path_view v[QB_BOND_PATHS_MAX];
		struct qb_pkt_meta pkt = {.bytes = 1300};
		uint64_t now = NOW, refused_ns = 0;
		uint32_t n;

		qb_sched_start(s, st);
		for (uint32_t i = 0; i < QB_BOND_PATHS_MAX; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			v[i] = path(x % 900, 1 + (x >> 10 & 255), x >> 20 & 1 ? 100 : 0, 0);
			v[i].is_usable = x >> 26 & 3;
			v[i].loss_ppm = x >> 28 & 1 ? (uint32_t)(x >> 31 & 0xfffff) : 0;
			if (x >> 29 & 1)
				v[i].in_flight_bytes = 2 * v[i].cwnd_bytes;
		}
		n = 2 + (uint32_t)(x >> 52) % (QB_BOND_PATHS_MAX - 1);
		pkt.queued_bytes = x >> 30 & 1 ? 0 : x >> 44;
		for (int step = 0; step < 250; step++, now += 5 * MS) {
			struct qb_sched_ask ask = {.v = v, .n = n, .pkt = &pkt, .now_ns = now, .stand = &stand};
			bool has_room = false, has_near = false, has_any = false;

			if (step % 10 == 0)
				qb_sched_look(v, n, (uint32_t)(x >> 3 & 0xff), &out);
			for (uint32_t i = 0; i < n; i++) {
				v[i].is_far = out.far >> i & 1;
				has_any |= v[i].is_usable;
				has_near |= v[i].is_usable && !v[i].is_far;
				has_room |= qb_view_can_send(&v[i], pkt.bytes);
			}
			ck_assert_int_eq(has_near, has_any);
			pkt.waited_ns = refused_ns ? now - refused_ns : 0;
			pkt.age_ns = pkt.waited_ns;
			if (qb_sched_decide(s, st, &counters, &ask) >= 0) {
				refused_ns = 0;
				continue;
			}
			if (!refused_ns)
				refused_ns = now;
			if (has_room)
				ck_assert_uint_le(now - refused_ns, QB_SCHED_LAG_MAX_MS * MS);
		}
	}
}
END_TEST

/* Once a path that was left out has to stand in it carries all, instead of a packet now and then; until another takes something. */
START_TEST(a_path_that_stands_in_carries_all)
{
	struct qb_path_view v[2] = {path(20, 100, 0, 0), path(600, 10, 100, 0)};
	const struct qb_sched *s = qb_sched_find("auto");
	_Alignas(16) uint8_t st[QB_SCHED_STATE_MAX];
	struct qb_sched_stand stand = {0};
	struct qb_counters counters = {0};
	struct qb_pkt_meta pkt = {.bytes = 1300, .queued_bytes = 100000};
	struct qb_sched_ask ask = {.v = v, .n = 2, .pkt = &pkt, .now_ns = NOW, .stand = &stand};
	uint32_t cnt = 0;

	qb_sched_start(s, st);
	v[0].in_flight_bytes = v[0].cwnd_bytes;
	v[1].is_far = true;
	for (int i = 0; i < 500; i++, ask.now_ns += MS)
		cnt += qb_sched_decide(s, st, &counters, &ask) == 1;
	ck_assert_uint_eq(cnt, 500 - QB_SCHED_LAG_MAX_MS);
	ck_assert_uint_eq(counters.v[QB_CNT_SCHED_STOOD], cnt);
	v[0].budget_bytes = 1500;
	ck_assert_int_eq(qb_sched_decide(s, st, &counters, &ask), 0);
	v[0].budget_bytes = 0;
	ck_assert_int_eq(qb_sched_decide(s, st, &counters, &ask), QB_SCHED_WAIT);
	/* Having waited long ago says nothing about now. */
	ask.now_ns += 1000 * MS;
	ck_assert_int_eq(qb_sched_decide(s, st, &counters, &ask), QB_SCHED_WAIT);
}
END_TEST

static bool is_paced; /* the last path has no room for one packet in four */

static void weighted_shares(const char *name, const uint64_t *mbps, const uint32_t *weights, uint32_t n, double *share)
{
	const struct qb_sched *s = qb_sched_find(name);
	_Alignas(16) uint8_t st[QB_SCHED_STATE_MAX];
	struct qb_path_view v[3];
	uint64_t bytes[3] = {0}, total = 0, x = 1;

	s->init(st);
	for (uint32_t i = 0; i < n; i++) {
		v[i] = path(20, mbps[i], 100, 0);
		v[i].cwnd_bytes = 0;
		v[i].weight = weights ? weights[i] : 0;
	}
	for (int i = 0; i < 10000; i++) {
		struct qb_pkt_meta pkt;
		int got;

		x = x * 6364136223846793005u + 1442695040888963407u;
		pkt = (struct qb_pkt_meta){.bytes = 100 + (uint32_t)(x >> 40) % 1300};
		for (uint32_t k = 0; k < n; k++)
			v[k].budget_bytes = is_paced && k == 2 && i % 4 == 0 ? 0 : 150000;
		got = s->pick(st, v, n, &pkt, NOW);
		bytes[got] += pkt.bytes;
		total += pkt.bytes;
	}
	for (uint32_t i = 0; i < n; i++)
		share[i] = (double)bytes[i] / (double)total;
}

static void shares(const char *name, const uint64_t *mbps, uint32_t n, double *share)
{
	weighted_shares(name, mbps, NULL, n, share);
}

START_TEST(weighted_follows_weights)
{
	static const uint64_t mbps[] = {50, 30, 20}, uneven[] = {1000, 1, 1};
	static const uint32_t weights[] = {100, 200, 700}, mixed[] = {0, 500, 0};
	double share[3];

	weighted_shares("weighted", mbps, weights, 3, share);
	ck_assert_double_eq_tol(share[0], 0.1, 0.02);
	ck_assert_double_eq_tol(share[1], 0.2, 0.02);
	ck_assert_double_eq_tol(share[2], 0.7, 0.02);
	/* The fastest one counts as 1000: 1000, 500, 400. */
	weighted_shares("weighted", mbps, mixed, 3, share);
	ck_assert_double_eq_tol(share[0], 1000 / 1900., 0.02);
	ck_assert_double_eq_tol(share[1], 500 / 1900., 0.02);
	/* One that is busy now and then gets its part all the same. */
	is_paced = true;
	weighted_shares("weighted", mbps, weights, 3, share);
	is_paced = false;
	ck_assert_double_eq_tol(share[0], 0.1, 0.02);
	ck_assert_double_eq_tol(share[2], 0.7, 0.02);
	/* Nobody is starved. */
	weighted_shares("weighted", uneven, NULL, 3, share);
	ck_assert_double_eq_tol(share[1], 0.05, 0.01);
	ck_assert_double_eq_tol(share[2], 0.05, 0.01);
}
END_TEST

/* Any weights, any sizes, paths that are busy now and then: bytes go by the weights as they are, to one in a hundred of each part. */
START_TEST(weighted_is_exact)
{
	_Alignas(16) uint8_t st[QB_SCHED_STATE_MAX];
	const struct qb_sched *s = qb_sched_find("weighted");
	struct qb_path_view v[QB_BOND_PATHS_MAX];
	uint64_t bytes[QB_BOND_PATHS_MAX] = {0}, total = 0, weights = 0;
	uint32_t n, least, span;
	struct qb_rand r;

	qb_rand_seed(&r, (uint64_t)_i);
	n = _i ? 2 + (uint32_t)(qb_rand_u64(&r) % (QB_BOND_PATHS_MAX - 1)) : 2;
	least = 40 + (uint32_t)(qb_rand_u64(&r) % 1000);
	span = 1 + (uint32_t)(qb_rand_u64(&r) % (1400 - least));
	s->init(st);
	for (uint32_t i = 0; i < n; i++) {
		v[i] = path(20, 1 + qb_rand_u64(&r) % 1000, 100, 0);
		v[i].weight = 50 + (uint32_t)(qb_rand_u64(&r) % 951);
		if (_i == 0)
			v[i].weight = i ? 50 : 1000;
		weights += v[i].weight;
	}
	for (int k = 0; k < 200000; k++) {
		struct qb_pkt_meta pkt = {.bytes = least + (uint32_t)(qb_rand_u64(&r) % span)};
		int got;

		for (uint32_t i = 0; i < n; i++)
			v[i].budget_bytes = qb_rand_u64(&r) % 64 ? 150000 : 0;
		got = s->pick(st, v, n, &pkt, NOW);
		if (got < 0)
			continue;
		bytes[got] += pkt.bytes;
		total += pkt.bytes;
	}
	for (uint32_t i = 0; i < n; i++) {
		double want = (double)v[i].weight / (double)weights;

		ck_assert_double_eq_tol((double)bytes[i] / (double)total, want, want / 100);
	}
}
END_TEST

START_TEST(weighted_follows_rates)
{
	static const uint64_t mbps[] = {50, 30, 20};
	double share[3];

	shares("weighted", mbps, 3, share);
	ck_assert_double_eq_tol(share[0], 0.5, 0.02);
	ck_assert_double_eq_tol(share[1], 0.3, 0.02);
	ck_assert_double_eq_tol(share[2], 0.2, 0.02);
	shares("roundrobin", mbps, 3, share);
	ck_assert_double_eq_tol(share[0], 0.333, 0.02);
}
END_TEST

/* ---- a slower path stays in use ---- */

/* fill has bulk of so many packets of 1,250 bytes a second take the quicker path, for a while. */
static void fill(void *st, struct qb_path_view *v, uint32_t pps, uint32_t ms, uint64_t *now_ns)
{
	const struct qb_pkt_meta pkt = {.bytes = 1250};
	struct qb_path_view was = v[0];

	v[0] = path(20, 10, 4, 0);
	for (uint32_t sent = 0; sent < pps * ms / 1000; sent++) {
		*now_ns += QB_NS_PER_SEC / pps;
		ck_assert_int_eq(qb_sched_auto.pick(st, v, 2, &pkt, *now_ns), 0);
	}
	v[0] = was;
}

static int pick_when_busy(void *st, const struct qb_path_view *v, uint64_t queued_bytes, uint64_t now_ns)
{
	const struct qb_pkt_meta pkt = {.bytes = 1250, .queued_bytes = queued_bytes};

	return qb_sched_auto.pick(st, v, 2, &pkt, now_ns);
}

/*
 * A backlog shows once that the slower path is worth it. Then there need be none, as long as bulk is nine tenths of what the
 * quicker one carries (10 Mbit/s: 1,000 packets a second).
 */
START_TEST(a_slower_path_stays_in_use)
{
	static const struct {
		bool is_steady;
		uint32_t pps, ms;
		int want;
	} cases[] = {
		{true, 1000, 300, 1},
		{true, 920, 3000, 1},
		{true, 500, 500, 1}, /* who slows down for a moment */
		{true, 500, 1500, QB_SCHED_WAIT},
		{false, 1000, 300, QB_SCHED_WAIT},
	};
	struct qb_path_view v[2] = {path(20, 10, 0, 1), path(60, 10, 4, 0)};
	_Alignas(8) uint8_t st[QB_SCHED_STATE_MAX];
	uint64_t now_ns = NOW;

	v[1].is_steady = cases[_i].is_steady;
	qb_sched_start(&qb_sched_auto, st);
	ck_assert_int_eq(pick_when_busy(st, v, 0, now_ns), QB_SCHED_WAIT);
	ck_assert_int_eq(pick_when_busy(st, v, 26000, now_ns), 1);
	for (uint32_t spent_ms = 0; spent_ms < cases[_i].ms; spent_ms += 100) {
		fill(st, v, cases[_i].pps, 100, &now_ns);
		(void)pick_when_busy(st, v, 0, now_ns);
	}
	ck_assert_int_eq(pick_when_busy(st, v, 0, now_ns), cases[_i].want);
}
END_TEST

START_TEST(near_equal_rtts_do_not_flap)
{
	struct qb_path_view v[2] = {path(20, 10, 4, 0), path(21, 10, 4, 0)};
	struct qb_pkt_meta pkt = {.bytes = 1300, .is_sparse = true};
	static const char *const names[] = {"minrtt", "auto"};

	for (uint32_t i = 0; i < 2; i++) {
		const struct qb_sched *s = qb_sched_find(names[i]);
		_Alignas(16) uint8_t st[QB_SCHED_STATE_MAX];

		s->init(st);
		v[0].srtt_ns = v[0].min_rtt_ns = 20 * MS;
		ck_assert_int_eq(s->pick(st, v, 2, &pkt, NOW), 0);
		v[0].srtt_ns = v[0].min_rtt_ns = 22 * MS;
		ck_assert_int_eq(s->pick(st, v, 2, &pkt, NOW), 0);
		v[0].srtt_ns = v[0].min_rtt_ns = 40 * MS;
		ck_assert_int_eq(s->pick(st, v, 2, &pkt, NOW), 1);
	}
}
END_TEST

static int picked(const struct qb_sched *s, void *st, const struct qb_path_view *v, uint64_t queued_bytes)
{
	struct qb_pkt_meta pkt = {.bytes = 1300, .queued_bytes = queued_bytes};
	struct qb_sched_ask ask = {.v = v, .n = 2, .pkt = &pkt, .now_ns = NOW};

	return qb_sched_decide(s, st, NULL, &ask);
}

/* A name may carry a number: how much more round trip minrtt stays for, how long blest lets the faster path be blocked. */
START_TEST(a_number_tunes_a_scheduler)
{
	static const char *const none[] = {"minrtt:101%", "minrtt:%", "minrtt:5", "minrtt:-5%", "minrtt:5%x", "minrtt:99999999999%",
					   "blest:0ms", "blest:10001ms", "ecf:5%", "minrtt", ""};
	static const struct {
		const char *name;
		uint64_t rtt_ms;
		int want;
	} rows[] = {
		{"minrtt", 23, 0}, {"minrtt", 24, 1}, {"minrtt:0%", 22, 1}, {"minrtt:50%", 31, 0}, {"minrtt:50%", 32, 1},
	};
	_Alignas(16) uint8_t st[QB_SCHED_STATE_MAX];
	struct qb_path_view v[2];
	struct qb_sched tuned;

	for (size_t i = 0; i < QB_ARRAY_LEN(none); i++)
		ck_assert_int_eq(qb_sched_tune(none[i], &tuned), -ENOENT);
	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++) {
		const struct qb_sched *s = qb_sched_tune(rows[i].name, &tuned) ? qb_sched_find(rows[i].name) : &tuned;

		ck_assert_str_eq(s->name, rows[i].name);
		v[0] = path(20, 10, 4, 0);
		v[1] = path(21, 10, 4, 0);
		qb_sched_start(s, st);
		ck_assert_int_eq(picked(s, st, v, 0), 0);
		v[0].srtt_ns = rows[i].rtt_ms * MS;
		ck_assert_int_eq(picked(s, st, v, 0), rows[i].want);
	}
	v[0] = path(10, 100, 0, 1);
	v[1] = path(200, 10, 4, 0);
	qb_sched_start(qb_sched_find("blest"), st);
	ck_assert_int_eq(picked(qb_sched_find("blest"), st, v, 90000), QB_SCHED_WAIT);
	for (int is_long = 0; is_long < 2; is_long++) {
		ck_assert_int_eq(qb_sched_tune(is_long ? "blest:1000ms" : "blest:10ms", &tuned), 0);
		qb_sched_start(&tuned, st);
		ck_assert_int_eq(picked(&tuned, st, v, 90000), is_long ? 1 : QB_SCHED_WAIT);
	}
}
END_TEST

/* One-way delays are known as differences: what changes the path is a part of the whole way all the same. */
START_TEST(one_way_delays_do_not_flap)
{
	struct qb_path_view v[2] = {path(80, 10, 4, 0), path(80, 10, 4, 0)};
	struct qb_pkt_meta pkt = {.bytes = 1300, .is_sparse = true};
	const struct qb_sched *s = qb_sched_find("auto");
	_Alignas(16) uint8_t st[QB_SCHED_STATE_MAX];

	s->init(st);
	v[1].owd_delta_ns = 4 * MS;
	ck_assert_int_eq(s->pick(st, v, 2, &pkt, NOW), 0);
	v[0].owd_delta_ns = 4 * MS;
	v[1].owd_delta_ns = 0;
	ck_assert_int_eq(s->pick(st, v, 2, &pkt, NOW), 0);
	v[0].owd_delta_ns = 6 * MS;
	ck_assert_int_eq(s->pick(st, v, 2, &pkt, NOW), 1);
}
END_TEST

START_TEST(charging_spends_the_budget)
{
	struct qb_path_view v = path(20, 10, 2, 0);
	uint64_t in_flight = v.in_flight_bytes;

	qb_view_charge(&v, 1300, NOW);
	ck_assert_uint_eq(v.budget_bytes, 3000 - 1330);
	ck_assert_uint_eq(v.in_flight_bytes, in_flight + 1330);
	ck_assert_uint_gt(v.next_send_ns, NOW);
	ck_assert(qb_view_can_send(&v, 1300));
	qb_view_charge(&v, 1300, NOW);
	ck_assert(!qb_view_can_send(&v, 1300));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond sched");
	TCase *tc = tcase_create("sched");
	SRunner *sr;
	int failed, scheds = 0;

	while (qb_sched_list[scheds])
		scheds++;
	tcase_add_loop_test(tc, look_table, 0, QB_ARRAY_LEN(looks));
	tcase_add_test(tc, small_paths_have_rates_too);
	tcase_add_test(tc, jitter_is_lateness);
	tcase_add_test(tc, far_and_near_do_not_alternate);
	tcase_add_loop_test(tc, pick_table, 0, (int)QB_ARRAY_LEN(picks));
	tcase_add_test(tc, registry);
	tcase_add_loop_test(tc, never_a_path_that_may_not, 0, scheds);
	tcase_add_loop_test(tc, bulk_is_never_refused_for_ever, 0, scheds);
	tcase_add_test(tc, a_path_that_stands_in_carries_all);
	tcase_add_test(tc, weighted_follows_rates);
	tcase_add_test(tc, weighted_follows_weights);
	tcase_add_loop_test(tc, weighted_is_exact, 0, 20);
	tcase_add_loop_test(tc, a_slower_path_stays_in_use, 0, 5);
	tcase_add_test(tc, near_equal_rtts_do_not_flap);
	tcase_add_test(tc, a_number_tunes_a_scheduler);
	tcase_add_test(tc, one_way_delays_do_not_flap);
	tcase_add_test(tc, charging_spends_the_budget);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
