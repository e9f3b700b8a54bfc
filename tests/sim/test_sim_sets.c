/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Never slower than the best link alone: link sets as they are found in the field, and link sets
 * drawn by seed, each run bonded and link by link.
 *
 *   QB_SETS=from,count, QB_SETS=restless:from,count
 *     other drawn sets than the usual ones, all of them printed; `make check-sets` runs thousands
 *   QB_SETS=even:from,count
 *     of the calm ones, those whose links are alike enough for the bond to be their sum
 *   QB_SETS=field, QB_SETS=field:3
 *     the sets of the field, each direction and kind of traffic; or only the fourth
 *   QB_RUN=1000
 *     with either, the same sets with other random numbers
 *   QB_ONLY=0
 *     with either, one link where the bond would be
 *   QB_TRACE=ms
 *     with these, also what happens inside, a line so often
 *   QB_CC=name
 *     another congestion controller
 *   QB_TRAFFIC=0, QB_TRAFFIC=copa
 *     with either, only the first kind of traffic there is (TCP, one flow); our own QUIC inside, with that controller
 */
#include "sim_set.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { DRAWN_CNT = 32, RESTLESS_CNT = 16 };

/* ---- as found in the field ---- */

static void satellite_steps(struct qb_netem_params *p, uint32_t link, enum sim_dir dir,
			    uint64_t at_ms)
{
	(void)dir;
	if (link == 1)
		p->delay_ns = (at_ms / 5000 % 2 ? 80 : 30) * QB_NS_PER_MS / 2;
}

static void policed_half_way(struct qb_netem_params *p, uint32_t link, enum sim_dir dir,
			     uint64_t at_ms)
{
	(void)dir;
	p->police_bps = link == 0 && at_ms >= 3000 ? 1000000 : 0;
}

#define L(down, up, rtt, queue, ...)                                                               \
	{                                                                                          \
		.down_mbps = down, .up_mbps = up, .rtt_ms = rtt, .queue_ms = queue, ##__VA_ARGS__  \
	}

/* clang-format off */
static const struct field_set {
	struct sim_set set;
	double of_sum;	   /* asked of the bond, of the sum of rates; 0: only not to be slower than the best link */
	double call_limit_ms; /* p95, above what it is on the quickest link that carries nothing else */
} field[] = {
	{{.name = "fibre and DSL", .link_cnt = 2, .link = {L(300, 300, 10, 40), L(80, 80, 30, 60)}}, 0.9, 30},
	{{.name = "twins", .link_cnt = 2, .link = {L(100, 100, 25, 50), L(100, 100, 25, 50)}}, 0.9, 30},
	{{.name = "fibre and LTE", .link_cnt = 2,
	  .link = {L(300, 300, 16, 40), L(30, 30, 80, 100, .jitter_ms = 20, .loss_down = 0.005, .loss_up = 0.005)}}, 0, 30},
	{{.name = "four LTE", .link_cnt = 4,
	  .link = {L(40, 20, 50, 150, .jitter_ms = 5), L(25, 12, 60, 200, .jitter_ms = 8), L(15, 8, 45, 100, .jitter_ms = 5),
		   L(8, 4, 70, 300, .jitter_ms = 10)}}, 0.65, 30},
	{{.name = "DSL and a low satellite", .link_cnt = 2, .link = {L(50, 50, 20, 60), L(150, 150, 30, 60)},
	  .change = satellite_steps}, 0, 30},
	{{.name = "a modem with 4 s of buffer", .link_cnt = 2, .link = {L(20, 20, 40, 4000), L(30, 30, 30, 60)}}, 0.9, 30},
	{{.name = "policed half-way", .link_cnt = 2, .link = {L(50, 50, 30, 60), L(30, 30, 40, 60)}, .change = policed_half_way},
	 0, 30},
	{{.name = "half lost one way", .link_cnt = 2, .link = {L(50, 50, 25, 50), L(50, 50, 25, 50, .loss_down = 0.5)}}, 0, 30},
	{{.name = "geostationary and LTE", .link_cnt = 2, .link = {L(30, 30, 600, 200), L(40, 20, 40, 80)}}, 0, 30},
	{{.name = "unequal directions", .link_cnt = 2, .link = {L(100, 10, 20, 60), L(30, 30, 40, 60)}}, 0.85, 30},
};
/* clang-format on */

static double sum_mbps(const struct sim_set *set, enum sim_dir dir)
{
	double sum = 0;

	for (uint32_t i = 0; i < set->link_cnt; i++)
		sum += dir == SIM_DOWN ? set->link[i].down_mbps : set->link[i].up_mbps;
	return sum;
}

static const struct traffic {
	const char *name;
	uint32_t flows;
	bool is_quic;
	const char *inner;
} traffics[] = {
	{"TCP, 1 flow", 1, false, NULL},
	{"TCP, 16 flows", 16, false, NULL},
	{"QUIC, 1 flow", 1, true, NULL},
	{"QUIC, auto", 1, true, "auto"},
	{"QUIC, cubic", 1, true, "cubic"},
};

static struct sim_set_run base_run(uint64_t seed, enum sim_dir dir, const struct traffic *t)
{
	return (struct sim_set_run){.seed = seed,
				    .only = SIM_SET_ALL,
				    .dir = dir,
				    .flows = t->flows,
				    .is_quic = t->is_quic,
				    .inner = t->inner,
				    .congestion = getenv("QB_CC")};
}

/* run_field returns bond / best link, and how much later calls come than by the quickest link alone. */
static double run_field(const struct field_set *f, enum sim_dir dir, const struct traffic *t,
			uint64_t seed, struct sim_set_result *r, double *call_ms)
{
	struct sim_set_run run = base_run(seed, dir, t);
	double best, quiet_ms;

	run.settle_ms = 4000;
	run.span_ms = 6000;
	best = sim_set_best_mbps(&f->set, &run, NULL);
	quiet_ms = sim_set_quiet_ms(&f->set, &run);
	if (getenv("QB_ONLY"))
		run.only = (uint32_t)atoi(getenv("QB_ONLY"));
	run.has_calls = true;
	run.trace_ms = getenv("QB_TRACE") ? (uint32_t)atoi(getenv("QB_TRACE")) : 0;
	if (!sim_set_go(&f->set, &run, r))
		return 0;
	*call_ms = r->call_p95_ms - quiet_ms;
	printf("%-26s %-4s %-13s best %6.1f bond %6.1f Mbit/s: %.2f of the best, %.2f of the sum; "
	       "call "
	       "lost %.2f %%, p95 %+6.1f p99 %+6.1f ms\n",
	       f->set.name, dir == SIM_UP ? "up" : "down", t->name, best, r->mbps, r->mbps / best,
	       r->mbps / sum_mbps(&f->set, dir), r->call_loss * 100,
	       *call_ms, r->call_p99_ms - quiet_ms);
	return r->mbps / best;
}

static double middle(double a, double b, double c)
{
	return QB_MAX(QB_MIN(a, b), QB_MIN(QB_MAX(a, b), c));
}

/*
 * is_worth_less: the satellite carries half as much again as LTE, up, which is not worth half a second to what is sent: it stays
 * with LTE (sched.c, times_for), although a single transfer that lasts would have more by the satellite.
 */
static bool is_worth_less(const struct field_set *f, enum sim_dir dir)
{
	return dir == SIM_UP && f->set.link[0].rtt_ms == 600;
}

/* field_set: what one run of a few seconds misses by a little is judged by the median of three. */
static void field_set(const struct field_set *f, enum sim_dir dir, const struct traffic *t)
{
	double least = is_worth_less(f, dir) ? 0.7 : 0.95;
	double sum = sum_mbps(&f->set, dir), ratio[3], call_ms[3], of_sum;
	struct sim_set_result r[3];

	ratio[0] = run_field(f, dir, t, 1, &r[0], &call_ms[0]);
	of_sum = r[0].mbps / sum;
	if (ratio[0] < least || of_sum < f->of_sum || call_ms[0] > f->call_limit_ms) {
		ratio[1] = run_field(f, dir, t, 2, &r[1], &call_ms[1]);
		ratio[2] = run_field(f, dir, t, 3, &r[2], &call_ms[2]);
		ratio[0] = middle(ratio[0], ratio[1], ratio[2]);
		of_sum = middle(r[0].mbps, r[1].mbps, r[2].mbps) / sum;
		call_ms[0] = middle(call_ms[0], call_ms[1], call_ms[2]);
	}
	ck_assert_double_ge(ratio[0], least);
	ck_assert_double_ge(of_sum, f->of_sum);
	ck_assert_double_le(r[0].call_loss, 0.005);
	ck_assert_double_le(call_ms[0], f->call_limit_ms);
}

START_TEST(field_sets_with_one_flow)
{
	field_set(&field[_i], SIM_DOWN, &traffics[0]);
}
END_TEST

START_TEST(field_sets_with_sixteen_flows)
{
	field_set(&field[_i], _i % 2 ? SIM_UP : SIM_DOWN, &traffics[1]);
}
END_TEST

START_TEST(field_sets_with_a_quic_transfer)
{
	field_set(&field[_i], SIM_UP, &traffics[2]);
}
END_TEST

/*
 * A sender that goes by delay takes the backlog in front of a slower path for congestion: over DSL and a satellite whose delay
 * had stepped, it went down to the DSL's rate, a third of what the satellite alone gave it. When one of two links was policed, it
 * lowered its rate with each mark on the backlog that it was draining, and had 0.9 of the other.
 */
START_TEST(a_sender_that_goes_by_delay)
{
	static const struct {
		uint32_t set, traffic;
		enum sim_dir dir;
	} found[] = {{4, 3, SIM_UP}, {4, 3, SIM_DOWN}, {4, 4, SIM_DOWN}, {6, 3, SIM_UP}, {6, 3, SIM_DOWN}};

	field_set(&field[found[_i].set], found[_i].dir, &traffics[found[_i].traffic]);
}
END_TEST

/*
 * Links that are quick one way and slow the other. What comes alone goes by the way there, also the first packets of a flow, and
 * BBR makes its window for the round trip that these saw: bulk must not go by round trips then, over the longer way. It had 0.2 to
 * 0.8 of the best link.
 */
START_TEST(links_quick_one_way)
{
	static const struct traffic bbr1 = {"QUIC, bbr1", 1, false, "bbr1"};
	static const struct field_set sets[] = {
		{{.name = "5/35 and 25/5 ms", .link_cnt = 2, .link = {L(50, 50, 40, 100, .skew_ms = -15), L(50, 50, 30, 100, .skew_ms = 10)}},
		 0, 30},
		{{.name = "10/70 and 70/10 ms", .link_cnt = 2, .link = {L(50, 50, 80, 100, .skew_ms = -30), L(50, 50, 80, 100, .skew_ms = 30)}},
		 0, 30},
	};
	static const struct {
		uint32_t set;
		const struct traffic *traffic;
		enum sim_dir dir;
	} found[] = {{0, &bbr1, SIM_UP}, {0, &traffics[3], SIM_DOWN}, {1, &bbr1, SIM_UP}};

	field_set(&sets[found[_i].set], found[_i].dir, found[_i].traffic);
}
END_TEST

/* ---- drawn by seed ---- */

/* is_even: rates and round trips within 3 : 1, and nothing to upset them. The bond is to be the sum of such links. */
static bool is_even(const struct sim_set *set, enum sim_dir dir)
{
	double least = 1e9, most = 0;
	uint32_t quickest_ms = UINT32_MAX, slowest_ms = 0;

	for (uint32_t i = 0; i < set->link_cnt; i++) {
		const struct sim_set_link *l = &set->link[i];
		double mbps = dir == SIM_DOWN ? l->down_mbps : l->up_mbps;

		if (l->burst_pkts || l->delay_every_ms || l->rate_every_ms || l->flap_up_ms)
			return false;
		least = QB_MIN(least, mbps);
		most = QB_MAX(most, mbps);
		quickest_ms = QB_MIN(quickest_ms, l->rtt_ms);
		slowest_ms = QB_MAX(slowest_ms, l->rtt_ms);
	}
	return most <= 3 * least && slowest_ms <= 3 * quickest_ms;
}

static enum sim_dir dir_of(uint64_t seed)
{
	return seed & 1 ? SIM_DOWN : SIM_UP;
}

/* asked_traffic: what is asked for by name; NULL: nothing. */
static const struct traffic *asked_traffic(void)
{
	static struct traffic named = {.name = "QUIC", .flows = 1, .is_quic = true};
	uint32_t i;

	named.inner = getenv("QB_TRAFFIC");
	if (!named.inner)
		return NULL;
	i = (uint32_t)atoi(named.inner);
	return *named.inner >= '0' && *named.inner <= '9' && i < QB_ARRAY_LEN(traffics) ? &traffics[i] : &named;
}

static struct sim_set_run drawn_run(uint64_t seed, uint64_t run_seed)
{
	struct traffic t = {.flows = seed & 2 ? 8 : 1, .is_quic = seed % 3 == 0};
	struct sim_set_run run = base_run(run_seed, dir_of(seed), asked_traffic() ? asked_traffic() : &t);

	run.settle_ms = 4000;
	run.span_ms = 5000;
	/* The same calls beside one link as beside the bond: some links are so small that they count. */
	run.has_calls = true;
	return run;
}

/* drawn_set returns bond / best link. */
static double drawn_set(uint64_t seed, uint64_t run_seed, bool is_restless, bool is_verbose)
{
	struct sim_set_run run = drawn_run(seed, run_seed);
	struct sim_set_result r;
	struct sim_set set;
	double best, ratio, sum;
	char text[512], even[64] = "";
	bool is_summed;

	sim_set_draw(seed, is_restless, &set);
	is_summed = is_verbose && is_even(&set, run.dir);
	best = sim_set_best_mbps(&set, &run, is_summed ? &sum : NULL);
	if (getenv("QB_ONLY"))
		run.only = (uint32_t)atoi(getenv("QB_ONLY"));
	run.trace_ms = getenv("QB_TRACE") ? (uint32_t)atoi(getenv("QB_TRACE")) : 0;
	if (!sim_set_go(&set, &run, &r)) {
		printf("%s %llu does not come up\n", is_restless ? "restless" : "set", (unsigned long long)seed);
		return 0;
	}
	ratio = r.mbps / best;
	if (is_verbose || ratio < 0.95 || r.call_loss > 0.005) {
		sim_set_describe(&set, text, sizeof(text));
		if (is_summed)
			snprintf(even, sizeof(even), ", even, %.3f of what they carry alone", (r.mbps + r.call_mbps) / sum);
		printf("%s %llu %s %u %s: best %.1f bond %.1f (%.3f; %.3f of the sum%s) call p95 %+.1f ms lost %.2f %%: %s\n",
		       is_restless ? "restless" : "set", (unsigned long long)seed, run.dir == SIM_UP ? "up" : "down", run.flows,
		       run.is_quic ? "QUIC" : "TCP", best, r.mbps, ratio, r.mbps / sum_mbps(&set, run.dir),
		       even, r.call_p95_ms - sim_set_quiet_ms(&set, &run), r.call_loss * 100, text);
		fflush(stdout);
	}
	return ratio;
}

/* Here, too, a single run of five seconds is not the last word. */
static void check_drawn_set(uint64_t seed, bool is_restless)
{
	double ratio = drawn_set(seed, seed, is_restless, false);

	if (ratio < 0.95)
		ratio = middle(ratio, drawn_set(seed, seed + 1000, is_restless, true),
			       drawn_set(seed, seed + 2000, is_restless, true));
	ck_assert_double_ge(ratio, 0.95);
}

START_TEST(drawn_sets)
{
	check_drawn_set((uint64_t)_i, false);
}
END_TEST

/* Sets in which the bond was once a half or a third of its best link: what was lost waited, or was lost again and again. */
START_TEST(drawn_sets_whose_small_links_lose)
{
	static const struct {
		uint64_t seed, run;
	} found[] = {{0, 4000}, {0, 6000}, {169, 169}, {169, 4169}};

	ck_assert_double_ge(drawn_set(found[_i].seed, found[_i].run, false, true), 0.95);
}
END_TEST

/*
 * ACKs come by all links, those of a quick one before older ones of a slow one: 2 Mbit/s 6 ms, 17 Mbit/s 75 ms. TCP takes nothing for lost
 * that an ACK has told of, whichever came first.
 */
START_TEST(acks_overtake_each_other)
{
	ck_assert_double_ge(drawn_set(89, 2089, false, true), 1);
}
END_TEST

/*
 * A large link that flaps, and a link of 1 Mbit/s that is left: of what is sent again by that, half was known to have arrived, for it had left
 * after something that was lost.
 */
START_TEST(what_arrived_is_not_rescued)
{
	ck_assert_double_ge(drawn_set(964, 964 + 1000 * (uint64_t)_i, true, true), 0.9);
}
END_TEST

/*
 * A link whose round trip jumps and comes back: 17 Mbit/s 11 ms, half of the time 116 ms. It took the longer path for a queue of its
 * own and went down to a tenth of the rate: 0.55 to 0.89.
 */
START_TEST(a_link_whose_delay_jumps)
{
	ck_assert_double_ge(middle(drawn_set(489, 489, true, true), drawn_set(489, 489 + 3000, true, true),
				   drawn_set(489, 489 + 4000, true, true)),
			    1.15);
}
END_TEST

/* late_calls_ms: how much later calls are than on the quickest link alone, p95, the median of three runs. */
static double late_calls_ms(uint64_t seed, bool is_restless)
{
	double late_ms[3];

	for (uint64_t i = 0; i < 3; i++) {
		struct sim_set_run run = drawn_run(seed, seed + 1000 * i);
		struct sim_set_result r;
		struct sim_set set;

		sim_set_draw(seed, is_restless, &set);
		ck_assert(sim_set_go(&set, &run, &r));
		ck_assert_double_le(r.call_loss, 0.005);
		late_ms[i] = r.call_p95_ms - sim_set_quiet_ms(&set, &run);
	}
	printf("calls, %s %llu: p95 %+.1f %+.1f %+.1f ms\n", is_restless ? "restless" : "set", (unsigned long long)seed, late_ms[0],
	       late_ms[1], late_ms[2]);
	return middle(late_ms[0], late_ms[1], late_ms[2]);
}

/*
 * 7 Mbit/s 6 ms, half of the time 78 ms, the quickest link there is when it is short: then what the longer path held must not stand
 * as a queue that calls wait behind. They came 35 to 70 ms late.
 */
START_TEST(calls_by_a_link_whose_delay_jumps)
{
	ck_assert_double_le(late_calls_ms(61, true), 30);
}
END_TEST

/*
 * A large slow link that overflows in slow start, loses a fifth for a moment and carries more than the quick ones all the same. That it
 * lost more and more counted as a second chance in vain; and when bulk moved there all stood still until it was announced.
 */
START_TEST(an_overflow_stops_nobody)
{
	ck_assert_double_ge(drawn_set(384, 384, false, true), 0.95);
}
END_TEST

/*
 * The quickest link is a small one, full of bulk as all are: 3.8 Mbit/s 7 ms, 1.5 Mbit/s 10 ms, 3 Mbit/s 8 ms, 4 Mbit/s 8 ms.
 * A probe for more rate is a queue there of several packets, each of which takes 3 to 8 ms; every few round trips, they stood
 * for good. 55: an uplink of 1 Mbit/s, 12 ms, that the ACKs of 45 Mbit/s filled.
 */
START_TEST(calls_by_a_small_quick_link)
{
	static const uint64_t found[] = {6, 18, 116, 197, 55};
	uint64_t seed = found[_i];

	ck_assert_double_le(late_calls_ms(seed, false), 30);
}
END_TEST

/*
 * A link that works for 1.1 of 3 s, beside one that is left with 0.4 Mbit/s each time. Calls that had waited passed for bulk, took turns
 * with eight transfers, and lost a quarter and a sixth. They are late there all the same.
 */
START_TEST(calls_that_waited_are_not_lost)
{
	struct sim_set_run run = drawn_run(686, 686 + 2000 * (uint64_t)_i);
	struct sim_set_result r;
	struct sim_set set;

	sim_set_draw(686, true, &set);
	ck_assert(sim_set_go(&set, &run, &r));
	printf("calls that waited: p95 %.1f ms, lost %.2f %%\n", r.call_p95_ms, r.call_loss * 100);
	ck_assert_double_le(r.call_loss, 0.01);
}
END_TEST

/*
 * Links alike, of which one has a delay that the scheduler uses by fits and starts: it never left start-up, lost a fifth of what
 * it was given to overflows of its own making, and was left out for that. Runs that once had 0.62 and 0.5 of the sum.
 * 632: a link of 1 Mbit/s is a third of the bond; it had 0.88. 681: one burst of losses in a transfer's start; 0.81.
 */
START_TEST(even_sets_are_their_sum)
{
	static const struct {
		uint64_t seed, run;
	} found[] = {{83, 83}, {100, 3100}, {632, 632}, {681, 681}};
	struct sim_set_run run = drawn_run(found[_i].seed, found[_i].run);
	struct sim_set_result r;
	struct sim_set set;
	double sum;

	sim_set_draw(found[_i].seed, false, &set);
	ck_assert(is_even(&set, run.dir));
	sim_set_best_mbps(&set, &run, &sum);
	ck_assert(sim_set_go(&set, &run, &r));
	printf("even links, set %llu: %.1f of %.1f Mbit/s\n", (unsigned long long)found[_i].seed, r.mbps + r.call_mbps, sum);
	ck_assert_double_ge((r.mbps + r.call_mbps) / sum, 0.9);
}
END_TEST

START_TEST(drawn_restless_sets)
{
	check_drawn_set((uint64_t)_i, true);
}
END_TEST

/* other_seed: with which random numbers a set runs that is asked for by name. */
static uint64_t other_seed(uint64_t seed)
{
	return seed + (getenv("QB_RUN") ? strtoul(getenv("QB_RUN"), NULL, 10) : 0);
}

static int run_field_sets(const char *which)
{
	uint32_t i = *which == ':' ? (uint32_t)atoi(which + 1) : 0, bad = 0;
	uint32_t end = *which == ':' ? i + 1 : QB_ARRAY_LEN(field);
	struct sim_set_result r;
	double call_ms;

	for (; i < end && i < QB_ARRAY_LEN(field); i++)
		for (int dir = 0; dir < SIM_DIR_CNT; dir++)
			for (uint32_t t = 0; t < (asked_traffic() ? 1 : QB_ARRAY_LEN(traffics)); t++)
				bad += run_field(&field[i], dir, asked_traffic() ? asked_traffic() : &traffics[t],
						 other_seed(1), &r, &call_ms) < 0.95;
	printf("%u slower than the best link\n", bad);
	return bad != 0;
}

static int run_others(const char *range)
{
	static const char restless[] = "restless:", even[] = "even:";
	bool is_restless = !strncmp(range, restless, strlen(restless)), must_be_even = !strncmp(range, even, strlen(even));
	char *end;
	unsigned long from, cnt, bad = 0;

	if (!strncmp(range, "field", 5))
		return run_field_sets(range + 5);
	if (is_restless)
		range += strlen(restless);
	if (must_be_even)
		range += strlen(even);
	from = strtoul(range, &end, 10);
	cnt = *end ? strtoul(end + 1, NULL, 10) : 1;
	for (unsigned long seed = from; seed < from + cnt; seed++) {
		struct sim_set set;

		sim_set_draw(seed, is_restless, &set);
		if (must_be_even && !is_even(&set, dir_of(seed)))
			continue;
		bad += drawn_set(seed, other_seed(seed), is_restless, true) < 0.95;
	}
	printf("%lu of %lu slower than the best link\n", bad, cnt);
	return bad != 0;
}

int main(void)
{
	Suite *suite = suite_create("sim_sets");
	TCase *tc = tcase_create("sets");
	SRunner *sr;
	int failed;

	if (getenv("QB_SETS"))
		return run_others(getenv("QB_SETS"));
	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, field_sets_with_one_flow, 0, QB_ARRAY_LEN(field));
	tcase_add_loop_test(tc, field_sets_with_sixteen_flows, 0, QB_ARRAY_LEN(field));
	tcase_add_loop_test(tc, field_sets_with_a_quic_transfer, 0, QB_ARRAY_LEN(field));
	tcase_add_loop_test(tc, a_sender_that_goes_by_delay, 0, 5);
	tcase_add_loop_test(tc, links_quick_one_way, 0, 3);
	tcase_add_loop_test(tc, drawn_sets, 0, DRAWN_CNT);
	tcase_add_loop_test(tc, drawn_sets_whose_small_links_lose, 0, 4);
	tcase_add_test(tc, acks_overtake_each_other);
	tcase_add_loop_test(tc, what_arrived_is_not_rescued, 0, 2);
	tcase_add_test(tc, a_link_whose_delay_jumps);
	tcase_add_test(tc, calls_by_a_link_whose_delay_jumps);
	tcase_add_test(tc, an_overflow_stops_nobody);
	tcase_add_loop_test(tc, calls_by_a_small_quick_link, 0, 5);
	tcase_add_loop_test(tc, calls_that_waited_are_not_lost, 0, 2);
	tcase_add_loop_test(tc, even_sets_are_their_sum, 0, 4);
	tcase_add_loop_test(tc, drawn_restless_sets, 0, RESTLESS_CNT);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
