/* SPDX-License-Identifier: BSD-2-Clause */
/* How often ACKs are sent: rules of the receiver, what the sender asks for, and what it is worth.
 */
#include <check.h>
#include <stdlib.h>
#include <errno.h>

#include "quic/conn.h"
#include "quic_bulk.h"

/* ---- the receiver's rules ---- */

/* Packet numbers as they arrive; `!` an ACK is due then (and sent), `c` the packet is CE-marked. */
static const struct rule_case {
	const char *what;
	uint32_t every, reorder;
	const char *steps;
} rule_cases[] = {
	{"default: every other", 2, 1, "0 1! 2 3!"},
	{"default: a gap, and what fills it", 2, 1, "0 2! 1! 3 4!"},
	{"each packet", 1, 1, "0! 1! 2!"},
	{"every fifth", 5, 3, "0 1 2 3 4! 5 6 7 8 9!"},
	/* The two examples of §6.2.1. */
	{"threshold 3", 100, 3, "0 1 3 4 5! 8 9! 10!"},
	{"threshold 5", 100, 5, "0 1 3 5 6 7! 8 9!"},
	{"threshold 0: never", 100, 0, "0 1 5 9 20 21 2"},
	{"threshold 3, filled in time", 100, 3, "0 2 1 3 4 5 6"},
	{"threshold 3, too late for the peer", 100, 3, "0 2 3 4! 1! 5"},
	{"numbers that start high", 100, 3, "7! 8! 9! 10 11"},
	{"each mark, by default", 2, 1, "0c! 1c!"},
	{"the first mark in a row", 100, 3, "0 1c! 2c 3c 4 5c!"},
};

START_TEST(test_rules)
{
	const struct rule_case *rc = &rule_cases[_i];
	struct qb_ack_policy policy = {rc->every, rc->reorder, 10 * MS};
	struct qb_space *s = calloc(1, sizeof(*s));
	struct qb_slab slab = {0};
	const char *at = rc->steps;
	char *end;

	qb_space_init(s, &slab);
	while (*at) {
		uint64_t pn = strtoull(at, &end, 10);
		bool is_ce = *end == 'c', is_due = end[is_ce] == '!';

		qb_rx_space_on_packet(&s->rx, pn, true, is_ce ? QB_ECN_CE : QB_ECN_NOT, &policy,
				      SEC);
		ck_assert_msg(qb_rx_space_is_due(&s->rx, SEC) == is_due, "%s: packet %llu",
			      rc->what, (unsigned long long)pn);
		ck_assert(qb_rx_space_is_due(&s->rx, SEC + 10 * MS));
		if (is_due)
			qb_rx_space_on_ack_sent(&s->rx);
		at = end + is_ce + is_due;
		at += *at == ' ';
	}
	free(s);
}
END_TEST

/* Against the definition in words: the draft's, computed the slow way. */
START_TEST(test_rules_random)
{
	enum { NUMBERS = 400 };
	struct qb_space *s = calloc(1, sizeof(*s));
	struct qb_slab slab = {0};
	static bool got[NUMBERS];
	struct qb_rand rnd;
	uint64_t largest = 0, reported = QB_PN_NONE;
	uint32_t n, threshold;

	qb_rand_seed(&rnd, (uint64_t)_i);
	threshold = 2 + (uint32_t)qb_rand_below(&rnd, 6);
	memset(got, 0, sizeof(got));
	qb_space_init(s, &slab);
	for (n = 0; n < 300; n++) {
		struct qb_ack_policy policy = {1000, threshold, SEC};
		uint64_t base = largest > 8 ? largest - 8 : 0, pn, m, from;
		bool want = false;

		do {
			pn = base + qb_rand_below(&rnd, 14);
		} while (pn < NUMBERS && got[pn]);
		if (pn >= NUMBERS)
			break;
		got[pn] = true;
		largest = QB_MAX(largest, pn);
		from = reported == QB_PN_NONE || reported + 1 < threshold
			       ? 0
			       : reported + 1 - threshold;
		for (m = from; m < largest; m++) {
			if (!got[m]) {
				want = largest - m >= threshold;
				break;
			}
		}
		want |= reported != QB_PN_NONE && pn + threshold <= reported;
		qb_rx_space_on_packet(&s->rx, pn, true, QB_ECN_NOT, &policy, SEC);
		ck_assert_msg(qb_rx_space_is_due(&s->rx, SEC) == want, "seed %d, packet %llu", _i,
			      (unsigned long long)pn);
		if (want || qb_rand_below(&rnd, 10) == 0) {
			qb_rx_space_on_ack_sent(&s->rx);
			reported = largest;
		}
	}
	free(s);
}
END_TEST

/* ---- between two endpoints ---- */

struct worth {
	uint64_t data_pkts, ack_pkts, ack_bytes, lost_pkts, took_ns;
	struct qb_ack_ask ask;
};

/* transfer moves 12 MB from the server over a link of that rate; up_bps: of the way back, 0: the same. */
static struct worth transfer_by(uint64_t up_bps, uint64_t seed, const char *cc, uint32_t ack_pkts_max,
			     uint64_t rate_bps, double loss, uint64_t jitter_ns)
{
	struct pair_opts o = pair_default_opts(seed);
	struct pair_link *l;
	struct qb_path_info info;
	struct worth w;
	uint64_t start_ns, ack_bytes;
	struct pair *p;
	struct bulk b;

	o.cc = cc;
	o.ack_pkts_max = ack_pkts_max;
	p = pair_up(&o);
	l = &p->link[0];
	l->rate_bps = rate_bps;
	l->up_bps = up_bps;
	/* Where links lose by themselves, what a start-up overflows would hide whose losses these are. */
	l->queue_ns = loss > 0 ? 500 * MS : 60 * MS;
	l->loss = loss;
	l->jitter_ns = jitter_ns;
	l->sent_pkts[CLIENT] = l->sent_pkts[SERVER] = 0;
	ack_bytes = l->sent_bytes[CLIENT];
	start_ns = p->now_ns;
	bulk_start(p, &b, SERVER, 12 << 20);
	ck_assert_msg(pair_run_until(p, bulk_is_done, 200 * SEC), "%s, seed %d", cc, (int)seed);
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &info));
	w = (struct worth){
		.data_pkts = l->sent_pkts[SERVER],
		.ack_pkts = l->sent_pkts[CLIENT],
		.lost_pkts = info.lost_packets,
		.took_ns = p->now_ns - start_ns,
		.ack_bytes = l->sent_bytes[CLIENT] - ack_bytes,
		.ask = p->end[SERVER].conn->ack_freq.ask,
	};
	pair_free(p);
	return w;
}

static struct worth transfer(uint64_t seed, const char *cc, uint32_t ack_pkts_max,
			     uint64_t rate_bps, double loss, uint64_t jitter_ns)
{
	return transfer_by(0, seed, cc, ack_pkts_max, rate_bps, loss, jitter_ns);
}

static double acks_a_packet(const struct worth *w)
{
	return (double)w->ack_pkts / (double)w->data_pkts;
}

static const char *const controllers[] = {"newreno", "cubic", "bbr3", "auto"};

/* A fast download costs few ACKs, and neither time nor losses are the price. */
START_TEST(test_worth)
{
	const char *cc = controllers[_i % 4];
	uint64_t seed = 10 + (uint64_t)_i;
	struct worth off = transfer(seed, cc, 1, 100000000, 0, 0);
	struct worth on = transfer(seed, cc, 0, 100000000, 0, 0);

	ck_assert_uint_eq(off.ask.seq, 0);
	ck_assert(acks_a_packet(&off) > 0.45);
	ck_assert_msg(acks_a_packet(&on) < 0.15, "%s: %.3f ACKs a packet", cc, acks_a_packet(&on));
	ck_assert_msg(on.took_ns < off.took_ns + off.took_ns / 5 + 50 * MS, "%s: %llu ms, not %llu",
		      cc, (unsigned long long)(on.took_ns / MS),
		      (unsigned long long)(off.took_ns / MS));
	ck_assert_uint_le(on.lost_pkts, off.lost_pkts + off.data_pkts / 20);
	ck_assert_uint_gt(on.ask.pkts, 4);
	ck_assert_uint_le(on.ask.pkts, QB_ACK_PKTS_MAX);
	ck_assert_uint_ge(on.ask.delay_ns, QB_ACK_DELAY_MIN_US * QB_NS_PER_US);
}
END_TEST

/* A fast downlink with a slow uplink: the ACKs fit, and the download is not held up by them. */
START_TEST(test_asymmetric)
{
	const char *cc = controllers[_i % 4];
	struct worth off = transfer_by(500000, 50 + (uint64_t)_i, cc, 1, 60000000, 0, 0);
	struct worth on = transfer_by(500000, 50 + (uint64_t)_i, cc, 0, 60000000, 0, 0);
	double off_bps = (double)off.ack_bytes * 8e9 / (double)off.took_ns, on_bps = (double)on.ack_bytes * 8e9 / (double)on.took_ns;

	if (getenv("QB_FIGURES"))
		printf("%s: %.3f ACKs a packet in place of %.3f, %.0f kbit/s up in place of %.0f, %llu ms in place of %llu\n", cc,
		       acks_a_packet(&on), acks_a_packet(&off), on_bps / 1e3, off_bps / 1e3,
		       (unsigned long long)(on.took_ns / MS), (unsigned long long)(off.took_ns / MS));
	ck_assert_uint_gt(on.ask.seq, 0);
	ck_assert(acks_a_packet(&on) < acks_a_packet(&off) / 2);
	ck_assert_uint_lt(on.ack_bytes, off.ack_bytes / 2);
	ck_assert_uint_le(on.took_ns, off.took_ns + off.took_ns / 20);
}
END_TEST

/* With loss and reordering, recovery is as good as with many ACKs. */
START_TEST(test_worth_lossy)
{
	const char *cc = controllers[_i % 4];
	uint64_t seed = 30 + (uint64_t)_i;
	struct worth off = transfer(seed, cc, 1, 50000000, 0.005, _i % 2 ? 2 * MS : 0);
	struct worth on = transfer(seed, cc, 0, 50000000, 0.005, _i % 2 ? 2 * MS : 0);

	ck_assert_msg(on.took_ns < off.took_ns * 3 / 2 + 200 * MS, "%s: %llu ms, not %llu", cc,
		      (unsigned long long)(on.took_ns / MS),
		      (unsigned long long)(off.took_ns / MS));
	ck_assert_uint_lt(on.ack_pkts, off.ack_pkts);
	/* What comes a little late is not taken for lost. */
	ck_assert_uint_le(on.lost_pkts, off.lost_pkts * 3 / 2 + 20);
}
END_TEST

/* A slow link keeps an ACK for every other packet: nothing is asked. */
START_TEST(test_slow)
{
	struct pair_opts o = pair_default_opts(50);
	struct pair *p = pair_up(&o);
	uint32_t i;

	for (i = 0; i < 200; i++) {
		ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, i, 200), 0);
		pair_run(p, 20 * MS);
	}
	ck_assert_uint_eq(p->end[SERVER].conn->ack_freq.ask.seq, 0);
	pair_free(p);
}
END_TEST

static void request(struct pair *p, uint32_t every, uint64_t delay_ns)
{
	struct qb_ack_freq *f = &p->end[SERVER].conn->ack_freq;

	f->ask = (struct qb_ack_ask){.seq = f->ask.seq + 1,
				     .pkts = every,
				     .reorder_pkts = 3,
				     .delay_ns = delay_ns,
				     .tx = QB_TX_DUE};
	f->review_ns = QB_NEVER_NS;
	qb_conn_touch(p->end[SERVER].conn);
}

/* What is asked is done: by count, by time, at once; old requests change nothing. */
START_TEST(test_obeyed)
{
	struct pair_opts o = pair_default_opts(60 + (uint64_t)_i);
	struct pair *p = pair_up(&o);
	const struct qb_ack_policy *policy = &p->end[CLIENT].conn->ack_freq.policy;
	uint64_t before;
	uint32_t i;

	pair_run(p, 3 * SEC);
	p->link[0].loss = _i ? 0.3 : 0;
	request(p, 10, 50 * MS);
	pair_run(p, 3 * SEC);
	p->link[0].loss = 0;
	ck_assert_uint_eq(policy->every_pkts, 10);
	ck_assert_uint_eq(policy->reorder_pkts, 3);
	ck_assert_uint_eq(policy->max_delay_ns, 50 * MS);
	ck_assert_int_eq(p->end[SERVER].conn->ack_freq.ask.tx, QB_TX_DONE);
	ck_assert_uint_eq(qb_conn_peer_ack_delay_ns(p->end[SERVER].conn), 50 * MS);
	pair_run(p, 1 * SEC);
	before = p->link[0].sent_pkts[CLIENT];
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, i, 200), 0);
		pair_run(p, 1 * MS);
	}
	pair_run(p, 100 * MS);
	ck_assert_uint_ge(p->link[0].sent_pkts[CLIENT] - before, 10);
	ck_assert_uint_le(p->link[0].sent_pkts[CLIENT] - before, 14);
	/* One alone waits for the delay; that is no loss. */
	before = p->link[0].sent_pkts[CLIENT];
	ck_assert_int_eq(pair_send_dgram(p, SERVER, 0, i, 200), 0);
	pair_run(p, 45 * MS);
	ck_assert_uint_eq(p->link[0].sent_pkts[CLIENT], before);
	pair_run(p, 30 * MS);
	ck_assert_uint_eq(p->link[0].sent_pkts[CLIENT], before + 1);
	ck_assert_uint_eq(p->end[SERVER].counters.v[QB_CNT_PACKETS_SPURIOUS], 0);
	/* A probe is answered at once. */
	qb_conn_probe_path(p->end[SERVER].conn, 0, p->now_ns);
	before = p->link[0].sent_pkts[CLIENT];
	pair_run(p, 12 * MS);
	ck_assert_uint_eq(p->link[0].sent_pkts[CLIENT], before + 1);
	pair_free(p);
}
END_TEST

/*
 * What an ACK says of its delay is taken off the smoothed round trip, but never more than the peer said that it would delay
 * (RFC 9002 §5.3), and nothing where less than the least round trip would be left.
 */
START_TEST(test_delay_is_bounded)
{
	static const uint64_t said_ms[] = {10, 60, 1000};
	struct pair_opts o = pair_default_opts(80);
	struct pair *p = pair_up(&o);
	struct qb_conn *c = p->end[CLIENT].conn;
	struct qb_path *path = &c->path[0];
	uint64_t bound_ns, was_ns, off_ns;

	pair_run(p, 3 * SEC);
	p->link[0].loss = 1;
	was_ns = path->space.sent.next_pn;
	qb_conn_probe_path(c, 0, p->now_ns);
	pair_run(p, 1 * MS);
	ck_assert_uint_gt(path->space.sent.next_pn, was_ns);
	bound_ns = qb_conn_peer_ack_delay_ns(c);
	ck_assert_uint_gt(bound_ns, 0);
	ck_assert_uint_lt(bound_ns, 60 * MS);
	{
		struct qb_buf b = {.rx_ns = p->now_ns + 150 * MS};
		struct qb_rx_pkt rx = {.level = QB_LEVEL_APP, .path = path, .b = &b, .now_ns = b.rx_ns};
		const struct qb_frame_ack ack = {
			.largest = path->space.sent.next_pn - 1,
			.delay = said_ms[_i] * 1000 >> c->peer.ack_delay_exponent,
		};

		was_ns = path->rtt.smoothed_ns;
		off_ns = QB_MIN(said_ms[_i] * MS, bound_ns);
		ck_assert_int_eq(qb_ack_on_frame(c, path, &rx, &ack), 0);
		ck_assert_uint_ge(path->rtt.latest_ns, 150 * MS);
		ck_assert_uint_le(path->rtt.smoothed_ns, (7 * was_ns + path->rtt.latest_ns - off_ns) / 8 + 1000);
		ck_assert_uint_ge(path->rtt.smoothed_ns, (7 * was_ns + path->rtt.latest_ns - off_ns) / 8 - 1000);
	}
	pair_free(p);
}
END_TEST

START_TEST(test_stale)
{
	struct qb_frame f = {.type = QB_FRAME_ACK_FREQUENCY,
			     .ack_frequency = {.seq = 4,
					       .eliciting_threshold = 7,
					       .max_ack_delay_us = 5000,
					       .reordering_threshold = 2}};
	struct qb_fault fault = {0};
	struct qb_ack_freq af;

	qb_ack_freq_init(&af);
	ck_assert_int_eq(qb_ack_freq_on_frame(&af, &f, &fault), 0);
	ck_assert_uint_eq(af.policy.every_pkts, 8);
	f.ack_frequency.seq = 3;
	f.ack_frequency.eliciting_threshold = 1;
	ck_assert_int_eq(qb_ack_freq_on_frame(&af, &f, &fault), 0);
	ck_assert_uint_eq(af.policy.every_pkts, 8);
	f.ack_frequency.seq = 4;
	ck_assert_int_eq(qb_ack_freq_on_frame(&af, &f, &fault), 0);
	ck_assert_uint_eq(af.policy.every_pkts, 8);
	f.ack_frequency.seq = 5;
	f.ack_frequency.eliciting_threshold = 0;
	ck_assert_int_eq(qb_ack_freq_on_frame(&af, &f, &fault), 0);
	ck_assert_uint_eq(af.policy.every_pkts, 1);
	f.ack_frequency.max_ack_delay_us = 0;
	ck_assert_int_eq(qb_ack_freq_on_frame(&af, &f, &fault), -EBADMSG);
	ck_assert_uint_eq(fault.code, QB_QUIC_PROTOCOL_VIOLATION);
}
END_TEST

/* Two paths, one fast and one slow: the slow one still reports several times a round trip. */
START_TEST(test_paths)
{
	struct pair_opts o = pair_default_opts(70 + (uint64_t)_i);
	struct pair *p;
	struct bulk b;
	uint32_t i;

	o.cc = controllers[_i % 4];
	p = pair_up(&o);
	pair_open_path(p, 1);
	for (i = 0; i < 2; i++) {
		p->link[i].rate_bps = i ? 5000000 : 100000000;
		p->link[i].queue_ns = 60 * MS;
		p->link[i].loss = _i / 4 ? 0.01 : 0;
	}
	bulk_start(p, &b, SERVER, 12 << 20);
	ck_assert(pair_run_until(p, bulk_is_done, 200 * SEC));
	/* Lost on either path was told soon: no more than a few probe timeouts. */
	ck_assert_uint_lt(p->end[SERVER].counters.v[QB_CNT_PTO_FIRED], 12);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/ackfreq");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_rules, 0, (int)QB_ARRAY_LEN(rule_cases));
	tcase_add_loop_test(tc, test_rules_random, 0, 100);
	tcase_add_loop_test(tc, test_worth, 0, 8);
	tcase_add_loop_test(tc, test_worth_lossy, 0, 8);
	tcase_add_loop_test(tc, test_asymmetric, 0, 4);
	tcase_add_test(tc, test_slow);
	tcase_add_loop_test(tc, test_obeyed, 0, 4);
	tcase_add_loop_test(tc, test_delay_is_bounded, 0, 3);
	tcase_add_test(tc, test_stale);
	tcase_add_loop_test(tc, test_paths, 0, 8);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
