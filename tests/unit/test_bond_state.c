/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The link state machine against scripted links. Each link answers what it is sent after its RTT
 * unless it is cut; the script is a list of times at which links are cut, mended, drained, given
 * traffic. Observed every 10 ms, as the tunnel does.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "bond/state.h"

#define MS  QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

enum { LINKS = 3, SENT_MAX = 65536 };

struct fake {
	bool is_cut;
	uint64_t rtt_ns, interval_ns,
		next_tx_ns;	 /* traffic while the link is chosen: a packet each interval */
	uint64_t sent[SENT_MAX]; /* send times; 0: lost */
	uint32_t head, tail;
	uint64_t keepalive_ns;
	struct qb_path_obs obs;
	uint64_t downs, ups, suspects, probes, last_down_ns, last_up_ns, first_suspect_ns;
};

static struct qb_links links;
static struct fake fakes[LINKS];
static uint64_t now_ns;
static uint32_t n;

static void setup(void)
{
	memset(fakes, 0, sizeof(fakes));
	qb_links_init(&links);
	now_ns = 100 * SEC;
	n = 0;
}

static struct fake *add(uint64_t rtt_ms, enum qb_tier tier)
{
	struct fake *f = &fakes[n];

	f->rtt_ns = rtt_ms * MS;
	f->interval_ns = 2 * MS;
	f->obs.is_open = true;
	f->obs.srtt_ns = f->rtt_ns;
	f->obs.rttvar_ns = f->rtt_ns / 20;
	f->next_tx_ns = now_ns;
	qb_links_reset(&links, (uint8_t)n++, true, tier, now_ns);
	return f;
}

static void fake_send(struct fake *f)
{
	ck_assert_uint_lt(f->tail - f->head, SENT_MAX);
	f->sent[f->tail++ % SENT_MAX] = f->is_cut ? now_ns | UINT64_C(1) << 63 : now_ns;
}

static void fake_acks(struct fake *f)
{
	uint32_t last = f->head;

	for (uint32_t i = f->head; i != f->tail; i++) {
		uint64_t at = f->sent[i % SENT_MAX];
		bool is_lost = at >> 63;

		at &= ~(UINT64_C(1) << 63);
		if (at + f->rtt_ns > now_ns)
			break;
		if (is_lost || f->is_cut)
			continue;
		f->obs.last_acked_sent_ns = at;
		f->obs.last_ack_ns = now_ns;
		f->obs.acked_packets++;
		last = i + 1;
	}
	f->head = last;
	f->obs.oldest_unacked_ns =
		f->head == f->tail ? 0 : f->sent[f->head % SENT_MAX] & ~(UINT64_C(1) << 63);
}

static void step(void)
{
	struct qb_path_obs obs[LINKS];
	uint32_t chosen = qb_links_choose(&links, (1u << n) - 1);

	for (uint32_t i = 0; i < n; i++) {
		struct fake *f = &fakes[i];

		while (f->next_tx_ns <= now_ns) {
			if (f->interval_ns && chosen >> i & 1)
				fake_send(f);
			f->next_tx_ns += f->interval_ns ? f->interval_ns : 10 * MS;
		}
		fake_acks(f);
		obs[i] = f->obs;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct fake *f = &fakes[i];
		bool was_suspect = links.link[i].state == QB_LINK_SUSPECT;
		uint32_t act = qb_links_observe(&links, (uint8_t)i, obs, n, now_ns);

		if (act & QB_LINK_ACT_PROBE) {
			fake_send(f);
			f->probes++;
		}
		if (act & QB_LINK_ACT_DOWN) {
			f->downs++;
			f->last_down_ns = now_ns;
			f->head = f->tail - (act & QB_LINK_ACT_PROBE ? 1 : 0);
		}
		if (act & QB_LINK_ACT_UP) {
			f->ups++;
			f->last_up_ns = now_ns;
		}
		if (!was_suspect && links.link[i].state == QB_LINK_SUSPECT) {
			f->suspects++;
			if (!f->first_suspect_ns)
				f->first_suspect_ns = now_ns;
		}
	}
	now_ns += 10 * MS;
}

static void run_ms(uint64_t ms)
{
	for (uint64_t end = now_ns + ms * MS; now_ns < end;)
		step();
}

static enum qb_link_state state_of(uint32_t i)
{
	return (enum qb_link_state)links.link[i].state;
}

START_TEST(names)
{
	enum qb_tier t;

	for (int i = 0; i < QB_LINK_STATE_CNT; i++)
		ck_assert_uint_gt(strlen(qb_link_state_name((enum qb_link_state)i)), 3);
	for (int i = 0; i < QB_TIER_CNT; i++) {
		ck_assert_int_eq(qb_tier_parse(qb_tier_name((enum qb_tier)i), &t), 0);
		ck_assert_int_eq(t, i);
	}
	ck_assert_int_eq(qb_tier_parse("", &t), -EINVAL);
	ck_assert_int_eq(qb_tier_parse("primaryx", &t), -EINVAL);
}
END_TEST

static const struct {
	uint64_t rtt_ms[2], interval_ms, suspect_before_ms, fail_before_ms;
} deaths[] = {
	{{25, 25}, 2, 65, 150}, {{25, 60}, 2, 120, 200}, {{60, 25}, 2, 105, 300},
	{{5, 5}, 1, 60, 140},	{{25, 25}, 20, 85, 170}, {{200, 25}, 5, 300, 850},
};

START_TEST(silent_death)
{
	struct fake *f = add(deaths[_i].rtt_ms[0], QB_TIER_PRIMARY);
	uint64_t cut_ns;
	char reason[64];

	f->interval_ns = add(deaths[_i].rtt_ms[1], QB_TIER_PRIMARY)->interval_ns =
		deaths[_i].interval_ms * MS;
	run_ms(1000);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(1), QB_LINK_ACTIVE);
	f->is_cut = true;
	cut_ns = now_ns;
	run_ms(2000);
	ck_assert_uint_le(f->first_suspect_ns - cut_ns, deaths[_i].suspect_before_ms * MS);
	ck_assert_int_eq(state_of(0), QB_LINK_FAILED);
	ck_assert_uint_le(f->last_down_ns - cut_ns, deaths[_i].fail_before_ms * MS);
	ck_assert_uint_eq(f->downs, 1);
	ck_assert_uint_eq(fakes[1].suspects, 0);
	ck_assert_uint_eq(qb_links_choose(&links, 3), 2);
	ck_assert_uint_eq(qb_links_absent(&links), 1);
	qb_links_reason(&links, 0, now_ns, reason, sizeof(reason));
	ck_assert_ptr_nonnull(strstr(reason, "no ACK for "));
	/* Probes go on, calmly. */
	ck_assert_uint_ge(f->probes, 4);
	ck_assert_uint_le(f->probes, 14);
	f->is_cut = false;
	cut_ns = now_ns;
	run_ms(1500);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_uint_eq(qb_links_absent(&links), 0);
	ck_assert_uint_eq(f->ups, 1);
	ck_assert_uint_lt(f->last_up_ns - cut_ns, SEC);
}
END_TEST

/* How long a link may be silent, and what it must show afterwards, can be said. */
static const struct {
	struct qb_fail_want want;
	uint64_t down_ms[2], up_ms[2]; /* at least, at most; silence begins with what was under way when the link was cut */
} wishes[] = {
	{{0}, {90, 150}, {30, 1000}},
	{{.mult = 10}, {350, 420}, {30, 1000}},
	{{.min_ns = 800 * MS}, {760, 820}, {30, 1000}},
	{{.mult = 20, .max_ns = 300 * MS}, {260, 320}, {30, 1000}},
	{{.max_ns = 30 * MS}, {20, 60}, {30, 1000}},
	{{.recover_probes = 20}, {90, 150}, {800, 1900}},
};

START_TEST(silence_and_proof_as_wanted)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);
	uint64_t from_ns;

	links.fail = wishes[_i].want;
	add(25, QB_TIER_PRIMARY);
	run_ms(1000);
	f->is_cut = true;
	from_ns = now_ns;
	run_ms(2000);
	ck_assert_uint_eq(f->downs, 1);
	ck_assert_uint_ge(f->last_down_ns - from_ns, wishes[_i].down_ms[0] * MS);
	ck_assert_uint_le(f->last_down_ns - from_ns, wishes[_i].down_ms[1] * MS);
	f->is_cut = false;
	from_ns = now_ns;
	run_ms(2500);
	ck_assert_uint_eq(f->ups, 1);
	ck_assert_uint_ge(f->last_up_ns - from_ns, wishes[_i].up_ms[0] * MS);
	ck_assert_uint_le(f->last_up_ns - from_ns, wishes[_i].up_ms[1] * MS);
}
END_TEST

START_TEST(a_flapping_link_is_kept_out_as_long_as_wanted)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);
	uint64_t back_ns;

	links.fail.recover_max_ns = 3 * SEC;
	add(25, QB_TIER_PRIMARY);
	run_ms(1000);
	for (int i = 0; i < 8; i++) {
		f->is_cut = true;
		run_ms(1000);
		f->is_cut = false;
		run_ms(4500);
		ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	}
	ck_assert_uint_ge(f->downs, 8);
	f->is_cut = true;
	run_ms(1000);
	f->is_cut = false;
	back_ns = now_ns;
	run_ms(6000);
	ck_assert_uint_ge(f->last_up_ns - back_ns, 3 * SEC);
	ck_assert_uint_le(f->last_up_ns - back_ns, 4 * SEC);
}
END_TEST

/* With answers that come late now and then, a probe is waited for longer than the rest of the time in which a link is to be sound. */
START_TEST(a_link_that_dies_at_the_end_of_its_proof_is_not_trusted)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);
	const struct qb_link *k = &links.link[0];
	uint64_t ups;

	f->obs.rttvar_ns = 80 * MS;
	add(25, QB_TIER_PRIMARY);
	run_ms(1000);
	for (int i = 0; i < 2; i++) {
		f->is_cut = true;
		run_ms(3000);
		f->is_cut = false;
		while (state_of(0) != QB_LINK_PROBING)
			step();
		ups = f->ups;
		if (i == 0)
			run_ms(2000);
	}
	ck_assert_uint_ge(k->stable_ns, SEC);
	while (now_ns < k->since_ns + k->stable_ns - 150 * MS)
		step();
	ck_assert_int_eq(state_of(0), QB_LINK_PROBING);
	f->is_cut = true;
	run_ms(2000);
	ck_assert_uint_eq(f->ups, ups);
	f->is_cut = false;
	run_ms(6000);
	ck_assert_uint_eq(f->ups, ups + 1);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
}
END_TEST

/* A link that dies each half minute and works in between is back within a second each time; one that does so each second is not. */
START_TEST(what_works_for_long_is_forgiven)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);
	uint64_t back_ns;

	add(25, QB_TIER_PRIMARY);
	run_ms(1000);
	for (int i = 0; i < 8; i++) {
		f->is_cut = true;
		run_ms(6000);
		f->is_cut = false;
		back_ns = now_ns;
		run_ms(18000);
		ck_assert_uint_eq(f->ups, (uint32_t)i + 1);
		ck_assert_uint_lt(f->last_up_ns - back_ns, SEC);
	}
	for (int i = 0; i < 4; i++) {
		f->is_cut = true;
		run_ms(1000);
		f->is_cut = false;
		back_ns = now_ns;
		run_ms(6000);
	}
	ck_assert_uint_ge(f->last_up_ns - back_ns, 4 * SEC);
}
END_TEST

/*
 * Whatever happens to links, in whatever order: only transitions that the table allows (state.c aborts on others), no link that is
 * drained or of tier "never" carries data, one that is sound is found by whoever wants to send, of those that are active all are of
 * one tier, and in the end all are as if nothing had been.
 */
static void happen(uint32_t what, uint32_t i)
{
	struct fake *f = &fakes[i];

	switch (what) {
	case 0:
	case 1:
		f->is_cut = !f->is_cut;
		break;
	case 2:
		qb_links_set_drained(&links, (uint8_t)i, !links.link[i].is_drained, now_ns);
		break;
	case 3:
		qb_links_set_tier(&links, (uint8_t)i, (enum qb_tier)(now_ns / MS / 10 % QB_TIER_CNT), now_ns);
		break;
	case 4:
		f->obs.is_open = !f->obs.is_open;
		break;
	case 5:
		f->obs.is_peer_backup = !f->obs.is_peer_backup;
		break;
	case 6:
		qb_links_set_rank(&links, (uint8_t)i, (uint8_t)(now_ns / MS / 10 % LINKS), now_ns);
		break;
	case 7:
		qb_links_set_failover(&links, !links.is_failover, now_ns);
		break;
	case 8:
		qb_links_set_failback(&links, links.failback_ns ? 0 : 2 * SEC, now_ns);
		break;
	case 9:
		f->rtt_ns = (5 + now_ns / MS / 10 % 16 * 15) * MS;
		break;
	default:
		qb_links_reset(&links, (uint8_t)i, true, QB_TIER_PRIMARY, now_ns);
		f->obs.is_open = true;
		break;
	}
}

static void check_links(void)
{
	uint32_t all = (1u << n) - 1, chosen = qb_links_choose(&links, all), order = UINT32_MAX;

	for (uint32_t i = 0; i < n; i++) {
		const struct qb_link *k = &links.link[i];
		enum qb_tier tier = k->is_peer_backup ? QB_MAX((enum qb_tier)k->tier, QB_TIER_BACKUP) : (enum qb_tier)k->tier;
		uint32_t place = (uint32_t)tier * LINKS + (links.is_failover ? k->rank : 0);

		if (k->is_drained || tier == QB_TIER_NEVER) {
			ck_assert_uint_eq(chosen >> i & 1, 0);
			ck_assert(!k->is_drained || k->state == QB_LINK_DRAINED);
			continue;
		}
		ck_assert_uint_ne(chosen, 0);
		if (k->state != QB_LINK_ACTIVE)
			continue;
		ck_assert_uint_eq(chosen >> i & 1, 1);
		ck_assert(order == UINT32_MAX || order == place);
		order = place;
	}
}

START_TEST(whatever_happens)
{
	struct qb_rand r;

	qb_rand_seed(&r, 4711 + (uint64_t)_i);
	for (int i = 0; i < LINKS; i++)
		add(10 + 20 * (uint64_t)i, QB_TIER_PRIMARY);
	for (int i = 0; i < 300; i++) {
		happen((uint32_t)qb_rand_below(&r, 11), (uint32_t)qb_rand_below(&r, LINKS));
		for (uint64_t steps = qb_rand_below(&r, 40); steps; steps--) {
			step();
			check_links();
		}
	}
	qb_links_set_failover(&links, false, now_ns);
	qb_links_set_failback(&links, 0, now_ns);
	for (uint32_t i = 0; i < LINKS; i++) {
		fakes[i].is_cut = fakes[i].obs.is_peer_backup = false;
		fakes[i].obs.is_open = true;
		fakes[i].rtt_ns = 30 * MS;
		qb_links_set_drained(&links, (uint8_t)i, false, now_ns);
		qb_links_set_tier(&links, (uint8_t)i, QB_TIER_PRIMARY, now_ns);
	}
	run_ms(35000);
	for (uint32_t i = 0; i < LINKS; i++)
		ck_assert_int_eq(state_of(i), QB_LINK_ACTIVE);
	ck_assert_uint_eq(qb_links_choose(&links, 7), 7);
}
END_TEST

START_TEST(a_loss_is_not_a_death)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);

	add(25, QB_TIER_PRIMARY);
	run_ms(500);
	/* Every tenth packet is lost, for long. */
	for (int i = 0; i < 500; i++) {
		f->is_cut = i % 10 == 0;
		fake_send(f);
		f->is_cut = false;
		step();
	}
	ck_assert_uint_eq(f->suspects, 0);
}
END_TEST

/* What a long way holds up for a moment is not suspected: to send again what is under way there would cost more than that. */
START_TEST(a_long_way_may_take_a_moment_more)
{
	struct fake *f = add(600, QB_TIER_PRIMARY);

	add(40, QB_TIER_PRIMARY);
	f->obs.rttvar_ns = MS / 2;
	run_ms(1000);
	for (int i = 0; i < 20; i++) {
		f->rtt_ns = (i % 2 ? 634 : 600) * MS;
		run_ms(700);
	}
	ck_assert_uint_eq(f->suspects, 0);
}
END_TEST

START_TEST(a_hiccup_is_forgiven_at_once)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);

	add(25, QB_TIER_PRIMARY);
	run_ms(500);
	f->is_cut = true;
	run_ms(70);
	ck_assert_int_eq(state_of(0), QB_LINK_SUSPECT);
	ck_assert_uint_eq(qb_links_choose(&links, 3), 2);
	f->is_cut = false;
	run_ms(100);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_uint_eq(f->downs + f->ups, 0);
}
END_TEST

START_TEST(delay_jumps_teach_patience)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);

	add(25, QB_TIER_PRIMARY);
	run_ms(500);
	/* ACKs come 80 ms later now and then, while the smoothed RTT says 25. */
	for (int i = 0; i < 20; i++) {
		f->rtt_ns = 100 * MS;
		run_ms(150);
		f->rtt_ns = 25 * MS;
		run_ms(150);
	}
	ck_assert_uint_le(f->suspects, 6);
	ck_assert_uint_eq(f->downs, 0);
}
END_TEST

START_TEST(toggling_each_second_is_kept_out)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);

	add(25, QB_TIER_PRIMARY);
	run_ms(1000);
	for (int i = 0; i < 30; i++) {
		f->is_cut = true;
		run_ms(1000);
		f->is_cut = false;
		run_ms(1000);
	}
	ck_assert_uint_le(f->downs, 3);
	/* Sound for good: it is trusted again, in its time. */
	run_ms(35000);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
}
END_TEST

START_TEST(total_outage_excludes_nobody)
{
	for (int i = 0; i < 3; i++)
		add(25, QB_TIER_PRIMARY);
	run_ms(500);
	for (int i = 0; i < 3; i++)
		fakes[i].is_cut = true;
	run_ms(5000);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_int_eq(state_of(i), QB_LINK_SUSPECT);
		ck_assert_uint_eq(fakes[i].downs, 0);
	}
	ck_assert_uint_eq(qb_links_choose(&links, 7), 7);
	fakes[1].is_cut = false;
	run_ms(600);
	ck_assert_int_eq(state_of(1), QB_LINK_ACTIVE);
	ck_assert_uint_eq(qb_links_choose(&links, 7), 2);
	/* Now that one lives, the others are known to be dead. */
	run_ms(600);
	ck_assert_int_eq(state_of(0), QB_LINK_FAILED);
	ck_assert_int_eq(state_of(2), QB_LINK_FAILED);
}
END_TEST

START_TEST(the_last_one_left_needs_one_probe)
{
	struct fake *f = add(25, QB_TIER_PRIMARY), *g = add(25, QB_TIER_PRIMARY);

	run_ms(500);
	for (int i = 0; i < 4; i++) {
		f->is_cut = true;
		run_ms(700);
		f->is_cut = false;
		run_ms(700);
	}
	/* f is distrusted by now; but when g dies, f is all there is. */
	ck_assert_int_ne(state_of(0), QB_LINK_ACTIVE);
	g->is_cut = true;
	run_ms(700);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
}
END_TEST

START_TEST(a_single_link_is_always_used)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);

	run_ms(500);
	f->is_cut = true;
	run_ms(3000);
	ck_assert_int_eq(state_of(0), QB_LINK_SUSPECT);
	ck_assert_uint_eq(qb_links_choose(&links, 1), 1);
	f->is_cut = false;
	run_ms(600);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
}
END_TEST

START_TEST(tiers)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);
	char reason[64];

	add(25, QB_TIER_SECONDARY);
	add(25, QB_TIER_NEVER);
	/* Keepalives only, where nothing else goes. */
	run_ms(500);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(1), QB_LINK_STANDBY);
	ck_assert_int_eq(state_of(2), QB_LINK_STANDBY);
	qb_links_reason(&links, 1, now_ns, reason, sizeof(reason));
	ck_assert_str_eq(reason, "in reserve: secondary");
	f->is_cut = true;
	run_ms(130);
	ck_assert_int_eq(state_of(1), QB_LINK_ACTIVE);
	ck_assert_uint_eq(qb_links_choose(&links, 7), 2);
	run_ms(1000);
	ck_assert_int_eq(state_of(0), QB_LINK_FAILED);
	f->is_cut = false;
	run_ms(1200);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(1), QB_LINK_STANDBY);
	qb_links_set_tier(&links, 1, QB_TIER_PRIMARY, now_ns);
	ck_assert_int_eq(state_of(1), QB_LINK_ACTIVE);
	qb_links_set_tier(&links, 0, QB_TIER_BACKUP, now_ns);
	ck_assert_int_eq(state_of(0), QB_LINK_STANDBY);
	qb_links_set_tier(&links, 1, QB_TIER_NEVER, now_ns);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(1), QB_LINK_STANDBY);
	ck_assert_uint_eq(qb_links_choose(&links, 6), 0);
}
END_TEST

/* Also while it is the only link that works. */
START_TEST(tier_never_says_so)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);
	char reason[64];

	add(25, QB_TIER_NEVER);
	run_ms(500);
	qb_links_reason(&links, 1, now_ns, reason, sizeof(reason));
	ck_assert_str_eq(reason, "not used");
	f->is_cut = true;
	run_ms(3000);
	ck_assert_int_eq(state_of(1), QB_LINK_STANDBY);
	qb_links_reason(&links, 1, now_ns, reason, sizeof(reason));
	ck_assert_str_eq(reason, "not used");
}
END_TEST

static void cut_and_mend(struct fake *f)
{
	f->is_cut = true;
	run_ms(1500);
	ck_assert_int_eq(state_of(0), QB_LINK_FAILED);
	ck_assert_int_eq(state_of(1), QB_LINK_ACTIVE);
	f->is_cut = false;
	run_ms(1500);
}

/* Failback: a better tier that failed waits its time, or for ever, but not at the start nor after a
 * hiccup. */
START_TEST(failback_waits)
{
	struct fake *f;
	char reason[64];

	qb_links_set_failback(&links, 10 * SEC, now_ns);
	f = add(25, QB_TIER_PRIMARY);
	fakes[0].obs.is_open = false;
	add(25, QB_TIER_BACKUP);
	run_ms(500);
	ck_assert_int_eq(state_of(1), QB_LINK_ACTIVE);
	f->obs.is_open = true;
	run_ms(500);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(1), QB_LINK_STANDBY);
	cut_and_mend(f);
	ck_assert_int_eq(state_of(0), QB_LINK_STANDBY);
	ck_assert_int_eq(state_of(1), QB_LINK_ACTIVE);
	qb_links_reason(&links, 0, now_ns, reason, sizeof(reason));
	ck_assert_str_eq(reason, "in reserve: back, must stay sound for 10 s");
	run_ms(7000);
	ck_assert_int_eq(state_of(0), QB_LINK_STANDBY);
	run_ms(3000);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(1), QB_LINK_STANDBY);
}
END_TEST

/* One at a time: by tier, then by rank, which is not the order of slots; failback holds within a tier, too. */
START_TEST(failover_uses_one_link_at_a_time)
{
	char reason[64];

	qb_links_set_failback(&links, 10 * SEC, now_ns);
	add(25, QB_TIER_PRIMARY);
	add(15, QB_TIER_PRIMARY);
	add(10, QB_TIER_BACKUP);
	qb_links_set_rank(&links, 0, 1, now_ns);
	qb_links_set_rank(&links, 1, 0, now_ns);
	run_ms(500);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	qb_links_set_failover(&links, true, now_ns);
	run_ms(500);
	ck_assert_int_eq(state_of(0), QB_LINK_STANDBY);
	ck_assert_int_eq(state_of(1), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(2), QB_LINK_STANDBY);
	qb_links_reason(&links, 0, now_ns, reason, sizeof(reason));
	ck_assert_str_eq(reason, "in reserve: one link is used at a time");
	qb_links_reason(&links, 2, now_ns, reason, sizeof(reason));
	ck_assert_str_eq(reason, "in reserve: backup");
	fakes[1].is_cut = true;
	run_ms(1000);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(1), QB_LINK_FAILED);
	ck_assert_int_eq(state_of(2), QB_LINK_STANDBY);
	fakes[1].is_cut = false;
	run_ms(5000);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(1), QB_LINK_STANDBY);
	run_ms(8000);
	ck_assert_int_eq(state_of(0), QB_LINK_STANDBY);
	ck_assert_int_eq(state_of(1), QB_LINK_ACTIVE);
	/* Another one is to be the first: at once, whatever failback says. */
	qb_links_set_rank(&links, 1, 2, now_ns);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(1), QB_LINK_STANDBY);
	qb_links_set_failover(&links, false, now_ns);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(1), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(2), QB_LINK_STANDBY);
}
END_TEST

START_TEST(failback_never_until_it_must)
{
	struct fake *f, *g;
	char reason[64];

	qb_links_set_failback(&links, QB_NEVER_NS, now_ns);
	f = add(25, QB_TIER_PRIMARY);
	g = add(25, QB_TIER_SECONDARY);
	run_ms(500);
	cut_and_mend(f);
	run_ms(60000);
	ck_assert_int_eq(state_of(0), QB_LINK_STANDBY);
	ck_assert_int_eq(state_of(1), QB_LINK_ACTIVE);
	qb_links_reason(&links, 0, now_ns, reason, sizeof(reason));
	ck_assert_str_eq(reason, "in reserve: back, and Failback is never");
	g->is_cut = true;
	run_ms(300);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	g->is_cut = false;
	run_ms(3000);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_int_eq(state_of(1), QB_LINK_STANDBY);
	/* By command, too. */
	cut_and_mend(f);
	ck_assert_int_eq(state_of(0), QB_LINK_STANDBY);
	qb_links_set_drained(&links, 1, true, now_ns);
	run_ms(100);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
}
END_TEST

START_TEST(the_peer_may_ask_for_reserve)
{
	add(25, QB_TIER_PRIMARY);
	add(25, QB_TIER_PRIMARY);
	run_ms(100);
	fakes[1].obs.is_peer_backup = true;
	run_ms(20);
	ck_assert_int_eq(state_of(1), QB_LINK_STANDBY);
	fakes[1].obs.is_peer_backup = false;
	run_ms(20);
	ck_assert_int_eq(state_of(1), QB_LINK_ACTIVE);
}
END_TEST

START_TEST(draining)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);

	add(25, QB_TIER_PRIMARY);
	run_ms(100);
	qb_links_set_drained(&links, 0, true, now_ns);
	ck_assert_int_eq(state_of(0), QB_LINK_DRAINED);
	ck_assert_uint_eq(qb_links_choose(&links, 3), 2);
	run_ms(1000);
	qb_links_set_drained(&links, 0, false, now_ns);
	run_ms(20);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	/* Drained while dead: must prove itself, and the owner hears that it is back. */
	f->is_cut = true;
	run_ms(500);
	ck_assert_int_eq(state_of(0), QB_LINK_FAILED);
	qb_links_set_drained(&links, 0, true, now_ns);
	run_ms(100);
	ck_assert_uint_eq(qb_links_absent(&links), 0); /* nobody waits for it */
	qb_links_set_drained(&links, 0, false, now_ns);
	run_ms(300);
	ck_assert_int_eq(state_of(0), QB_LINK_FAILED);
	ck_assert_uint_eq(f->ups, 0);
	f->is_cut = false;
	run_ms(1000);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_uint_eq(f->ups, 1);
}
END_TEST

START_TEST(validation_first)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);

	f->obs.is_open = false;
	run_ms(100);
	ck_assert_int_eq(state_of(0), QB_LINK_PROBING);
	/* Nothing else there: it may be used as far as the transport lets it. */
	ck_assert_uint_eq(qb_links_choose(&links, 1), 1);
	f->obs.is_open = true;
	run_ms(20);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	qb_links_reset(&links, 0, false, QB_TIER_PRIMARY, now_ns);
	ck_assert_int_eq(state_of(0), QB_LINK_ABSENT);
	ck_assert_uint_eq(qb_links_choose(&links, 1), 0);
	ck_assert_uint_eq(qb_links_deadline_ns(&links), QB_NEVER_NS);
}
END_TEST

START_TEST(an_idle_link_is_left_in_peace)
{
	struct fake *f = add(25, QB_TIER_PRIMARY);

	add(25, QB_TIER_PRIMARY);
	f->interval_ns = 0;
	run_ms(10000);
	ck_assert_int_eq(state_of(0), QB_LINK_ACTIVE);
	ck_assert_uint_eq(f->suspects, 0);
	fakes[1].interval_ns = 0;
	run_ms(1000);
	ck_assert_uint_eq(qb_links_deadline_ns(&links), QB_NEVER_NS);
	qb_links_on_sent(&links, 0, now_ns);
	ck_assert_uint_le(qb_links_deadline_ns(&links), now_ns + 10 * MS);
}
END_TEST

/*
 * Packets of a batch leave at one instant. When the link dies with half a batch acknowledged, the newest one acknowledged
 * and the oldest one outstanding have the same send time: that is silence, not progress.
 */
START_TEST(half_a_batch_is_silence)
{
	struct qb_path_obs obs[2];
	uint64_t end_ns;

	add(20, QB_TIER_PRIMARY);
	add(20, QB_TIER_PRIMARY);
	for (int i = 0; i < 100; i++, now_ns += 10 * MS)
		step();
	ck_assert_uint_eq(links.link[0].state, QB_LINK_ACTIVE);
	obs[0] = fakes[0].obs;
	obs[0].oldest_unacked_ns = obs[0].last_acked_sent_ns = now_ns - 20 * MS;
	obs[0].last_ack_ns = obs[0].last_rx_ns = now_ns;
	for (end_ns = now_ns + 300 * MS; now_ns < end_ns; now_ns += 10 * MS) {
		obs[1] = fakes[1].obs;
		obs[1].oldest_unacked_ns = 0;
		obs[1].last_ack_ns = obs[1].last_rx_ns = now_ns;
		obs[1].last_acked_sent_ns = now_ns - 20 * MS;
		obs[1].acked_packets++;
		qb_links_on_sent(&links, 0, now_ns);
		qb_links_observe(&links, 0, obs, 2, now_ns);
		qb_links_observe(&links, 1, obs, 2, now_ns);
	}
	ck_assert_uint_ne(links.link[0].state, QB_LINK_ACTIVE);
	ck_assert_uint_eq(links.link[1].state, QB_LINK_ACTIVE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bond state");
	TCase *tc = tcase_create("state");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, half_a_batch_is_silence);
	tcase_add_test(tc, names);
	tcase_add_loop_test(tc, silent_death, 0, (int)QB_ARRAY_LEN(deaths));
	tcase_add_loop_test(tc, silence_and_proof_as_wanted, 0, (int)QB_ARRAY_LEN(wishes));
	tcase_add_test(tc, a_flapping_link_is_kept_out_as_long_as_wanted);
	tcase_add_test(tc, a_link_that_dies_at_the_end_of_its_proof_is_not_trusted);
	tcase_add_test(tc, what_works_for_long_is_forgiven);
	tcase_add_loop_test(tc, whatever_happens, 0, 20);
	tcase_add_test(tc, a_loss_is_not_a_death);
	tcase_add_test(tc, a_long_way_may_take_a_moment_more);
	tcase_add_test(tc, a_hiccup_is_forgiven_at_once);
	tcase_add_test(tc, delay_jumps_teach_patience);
	tcase_add_test(tc, toggling_each_second_is_kept_out);
	tcase_add_test(tc, total_outage_excludes_nobody);
	tcase_add_test(tc, the_last_one_left_needs_one_probe);
	tcase_add_test(tc, a_single_link_is_always_used);
	tcase_add_test(tc, tiers);
	tcase_add_test(tc, tier_never_says_so);
	tcase_add_test(tc, failback_waits);
	tcase_add_test(tc, failover_uses_one_link_at_a_time);
	tcase_add_test(tc, failback_never_until_it_must);
	tcase_add_test(tc, the_peer_may_ask_for_reserve);
	tcase_add_test(tc, draining);
	tcase_add_test(tc, validation_first);
	tcase_add_test(tc, an_idle_link_is_left_in_peace);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
