/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Careful resume (RFC 9959), under every controller: the phases by the letter, and in virtual time
 * a start on a link that is as it was, that has less to give, that is another one, that others
 * fill.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "cc_bench.h"

#define MBIT   (UINT64_C(1000000))
#define MS     CCB_MS
#define MSS    1200
#define IW     (10 * MSS)
#define SAVED  (200 * MSS)
#define RTT_MS 100

/* ---- the phases ---- */

static const struct qb_cc_cfg cfg = {.mss_bytes = MSS, .init_cwnd_bytes = IW};

struct unit {
	struct qb_resume r;
	uint64_t now_ns, in_flight_bytes;
};

static void ack_sent(struct unit *u, uint64_t bytes, uint64_t sent_ns)
{
	struct qb_cc_ack ev = {
		.now_ns = u->now_ns,
		.acked_bytes = bytes,
		.prior_in_flight_bytes = u->in_flight_bytes,
		.in_flight_bytes = u->in_flight_bytes - bytes,
		.largest_sent_ns = sent_ns,
		.rtt_ns = RTT_MS * MS,
		.srtt_ns = RTT_MS * MS,
		.min_rtt_ns = RTT_MS * MS,
		.is_cwnd_limited = true,
	};

	qb_resume_on_ack(&u->r, &ev);
	u->in_flight_bytes -= bytes;
}

static void send(struct unit *u, uint64_t bytes)
{
	for (; bytes; bytes -= MSS) {
		struct qb_cc_sent ev = {.now_ns = u->now_ns, .bytes = MSS};

		u->in_flight_bytes += MSS;
		ev.in_flight_bytes = u->in_flight_bytes;
		qb_resume_on_sent(&u->r, &ev);
	}
}

static void lose(struct unit *u, uint64_t bytes)
{
	struct qb_cc_loss ev = {.now_ns = u->now_ns, .lost_bytes = bytes};

	u->in_flight_bytes -= bytes;
	ev.in_flight_bytes = u->in_flight_bytes;
	qb_resume_on_loss(&u->r, &ev);
}

/* The view of a controller that wants so much. */
static struct qb_cc_view view(const struct unit *u, uint64_t cwnd_bytes)
{
	struct qb_cc_view v = {.cwnd_bytes = cwnd_bytes, .phase = "slow start"};

	qb_resume_view(&u->r, RTT_MS * MS, &v);
	return v;
}

/* At the end of reconnaissance: the initial window is acknowledged, as much is in flight again. */
static void jump_with(struct unit *u, uint64_t saved_bytes, uint64_t saved_rtt_ns)
{
	struct qb_known known = {.cwnd_bytes = saved_bytes, .rtt_ns = saved_rtt_ns};

	*u = (struct unit){.now_ns = 1000 * MS};
	qb_resume_init(&u->r, &cfg);
	qb_resume_seed(&u->r, &known);
	send(u, IW);
	u->now_ns += RTT_MS * MS;
	for (uint64_t done = 0; done < IW && u->r.phase == QB_RESUME_RECON; done += 2 * MSS) {
		ck_assert_uint_eq(view(u, IW + done).cwnd_bytes, IW + done);
		send(u, 4 * MSS);
		ack_sent(u, 2 * MSS, u->now_ns - RTT_MS * MS);
	}
}

static void jump(struct unit *u)
{
	jump_with(u, SAVED, RTT_MS * MS);
	ck_assert_int_eq(u->r.phase, QB_RESUME_UNVALIDATED);
}

/* §4.3: half of what was saved, paced over the RTT; PipeSize is what was in flight. */
START_TEST(test_jump)
{
	struct unit u;
	struct qb_cc_view v;

	jump(&u);
	v = view(&u, 2 * IW);
	ck_assert_uint_eq(v.cwnd_bytes, SAVED / 2);
	ck_assert_uint_eq(v.pacing_bps, SAVED / 2 * 8 * 1000 / RTT_MS);
	ck_assert_uint_eq(u.r.pipe_bytes, u.in_flight_bytes + 2 * MSS);
	/* A controller that wants more gets it. */
	ck_assert_uint_eq(view(&u, SAVED).cwnd_bytes, SAVED);
}
END_TEST

/* §4.2: the RTT says that it is another path; or there is nothing to win. */
START_TEST(test_no_jump)
{
	static const struct {
		uint64_t saved_bytes, saved_rtt_ns;
		bool is_used;
	} rows[] = {
		{SAVED, RTT_MS * MS, true},
		{SAVED, 2 * RTT_MS * MS, true},
		{SAVED, 2 * RTT_MS * MS + 2, false},
		{SAVED, RTT_MS * MS / 10, true},
		{SAVED, RTT_MS * MS / 10 - MS, false},
		{4 * IW - 1, RTT_MS * MS, false},
		{SAVED, 0, false},
		{0, 0, false},
	};
	struct unit u;

	jump_with(&u, rows[_i].saved_bytes, rows[_i].saved_rtt_ns);
	ck_assert_int_eq(u.r.phase, rows[_i].is_used ? QB_RESUME_UNVALIDATED : QB_RESUME_NORMAL);
	if (!rows[_i].is_used)
		ck_assert_uint_eq(view(&u, IW).cwnd_bytes, IW);
}
END_TEST

/* §4.2: a path that has little to carry does not jump, however long it takes. */
START_TEST(test_no_jump_without_need)
{
	struct qb_known known = {.cwnd_bytes = SAVED, .rtt_ns = RTT_MS * MS};
	struct unit u = {.now_ns = MS};

	qb_resume_init(&u.r, &cfg);
	qb_resume_seed(&u.r, &known);
	for (int i = 0; i < 100; i++) {
		struct qb_cc_ack ev = {.now_ns = u.now_ns += MS,
				       .acked_bytes = MSS,
				       .prior_in_flight_bytes = MSS,
				       .min_rtt_ns = RTT_MS * MS,
				       .srtt_ns = RTT_MS * MS};

		qb_resume_on_ack(&u.r, &ev);
	}
	ck_assert_int_eq(u.r.phase, QB_RESUME_RECON);
}
END_TEST

/* §4.2: congestion in the initial window ends it. */
START_TEST(test_loss_in_reconnaissance)
{
	struct qb_known known = {.cwnd_bytes = SAVED, .rtt_ns = RTT_MS * MS};
	struct unit u = {.now_ns = MS};

	qb_resume_init(&u.r, &cfg);
	qb_resume_seed(&u.r, &known);
	send(&u, IW);
	lose(&u, MSS);
	ck_assert_int_eq(u.r.phase, QB_RESUME_NORMAL);
	ck_assert(!u.r.is_refused);
}
END_TEST

/* §4.4: what is in flight, no more, until all of it is acknowledged. */
START_TEST(test_validates)
{
	struct unit u;
	uint64_t left;

	jump(&u);
	u.now_ns += MS;
	send(&u, 60 * MSS);
	u.now_ns += (RTT_MS - 2) * MS;
	ack_sent(&u, u.in_flight_bytes - 60 * MSS, u.r.jump_ns);
	ck_assert_int_eq(u.r.phase, QB_RESUME_UNVALIDATED);
	ack_sent(&u, MSS, u.r.last_ns - 1);
	ck_assert_int_eq(u.r.phase, QB_RESUME_VALIDATING);
	ck_assert_uint_eq(view(&u, IW).cwnd_bytes, 60 * MSS);
	for (left = 58; left > 1; left--) {
		ack_sent(&u, MSS, u.r.last_ns - 1);
		ck_assert_int_eq(u.r.phase, QB_RESUME_VALIDATING);
	}
	ack_sent(&u, MSS, u.r.last_ns);
	ck_assert_int_eq(u.r.phase, QB_RESUME_NORMAL);
	ck_assert_uint_eq(view(&u, 70 * MSS).cwnd_bytes, 70 * MSS);
	ck_assert(!u.r.is_refused);
}
END_TEST

/* §4.3: all that the jump allows is sent: what is in flight is to be validated. */
START_TEST(test_validates_when_full)
{
	struct unit u;

	jump(&u);
	send(&u, SAVED / 2 - u.in_flight_bytes);
	ck_assert_int_eq(u.r.phase, QB_RESUME_VALIDATING);
	ck_assert_uint_eq(view(&u, IW).cwnd_bytes, SAVED / 2);
}
END_TEST

/* §4.3: a round trip in which nothing much was sent: back to the controller's own window. */
START_TEST(test_rate_limited)
{
	struct unit u;

	jump(&u);
	u.now_ns += RTT_MS * MS + 1;
	ack_sent(&u, 2 * MSS, u.r.jump_ns);
	ck_assert_int_eq(u.r.phase, QB_RESUME_NORMAL);
	ck_assert_uint_eq(view(&u, 2 * IW).cwnd_bytes, 2 * IW);
}
END_TEST

/* §4.5: half of PipeSize at the most, until the last unvalidated packet is settled; what was saved
 * is not used again. */
START_TEST(test_retreats)
{
	struct qb_known known = {.cwnd_bytes = SAVED, .rtt_ns = RTT_MS * MS};
	struct unit u;
	uint64_t pipe_bytes;

	jump(&u);
	u.now_ns += MS;
	send(&u, SAVED / 2 - u.in_flight_bytes);
	u.now_ns += (RTT_MS - 2) * MS;
	ack_sent(&u, 5 * MSS, u.r.jump_ns);
	pipe_bytes = u.r.pipe_bytes;
	if (_i) {
		struct qb_cc_ecn ev = {.now_ns = u.now_ns, .ce_pkts = 1};

		qb_resume_on_ecn(&u.r, &ev);
	} else {
		lose(&u, 30 * MSS);
	}
	ck_assert_int_eq(u.r.phase, QB_RESUME_RETREAT);
	ck_assert_uint_eq(view(&u, 80 * MSS).cwnd_bytes, pipe_bytes / 2);
	ck_assert_uint_eq(view(&u, 3 * MSS).cwnd_bytes, 3 * MSS);
	ck_assert_uint_le(view(&u, 80 * MSS).pacing_bps, pipe_bytes / 2 * 8 * 1000 / RTT_MS);
	lose(&u, MSS); /* once */
	ack_sent(&u, MSS, u.r.last_ns - 1);
	ck_assert_uint_eq(view(&u, 80 * MSS).cwnd_bytes, pipe_bytes / 2);
	ack_sent(&u, MSS, u.r.last_ns);
	ck_assert_int_eq(u.r.phase, QB_RESUME_NORMAL);
	ck_assert_uint_eq(view(&u, 40 * MSS).cwnd_bytes, 40 * MSS);
	qb_resume_seed(&u.r, &known);
	ck_assert_int_eq(u.r.phase, QB_RESUME_NORMAL);
}
END_TEST

/* ---- on links ---- */

static const struct ccb_link wan = {
	.rate_bps = 100 * MBIT, .rtt_ns = 60 * MS, .queue_bytes = 1500000};

static const char *const names[] = {"auto", "bbr3", "bbr2", "bbr1",  "cubic",	 "newreno",
				    "copa", "lia",  "olia", "balia", "westwood", "prague"};

/* What a flow learns of a link in ten seconds. */
static struct qb_known learn(const char *cc, const struct ccb_link *link)
{
	struct qb_known known;
	struct ccb b;

	ccb_init(&b, link, 3);
	ccb_add(&b, cc, 0);
	ccb_run(&b, 11 * CCB_SEC);
	ck_assert(qb_resume_observed(&b.flow[0].resume, &known));
	ccb_fini(&b);
	return known;
}

static bool is_model(const char *cc)
{
	return !strcmp(cc, "auto") || !strcmp(cc, "bbr3") || !strcmp(cc, "bbr2");
}

struct start {
	double acked_bytes; /* in the first second */
	double p95_ms, lost_pkts;
	double later_util; /* of three to six seconds */
	bool is_refused;
};

static struct start start_on(const char *cc, const struct ccb_link *link,
			     const struct qb_known *known, const char *rival)
{
	struct start s;
	struct ccb b;
	struct ccb_flow *f;

	ccb_init(&b, link, 5);
	f = ccb_add(&b, cc, rival ? 10 * CCB_SEC : 0);
	if (rival) {
		ccb_add(&b, rival, 0);
		ccb_run(&b, 11 * CCB_SEC);
		ccb_mark(&b);
	}
	if (known)
		f->known = *known;
	ccb_run(&b, b.now_ns + CCB_SEC);
	s.acked_bytes = (double)f->stats.acked_bytes;
	s.p95_ms = ccb_delay_pct_ms(&b, 95);
	s.lost_pkts = (double)f->stats.lost_pkts;
	ccb_run(&b, b.now_ns + 2 * CCB_SEC);
	ccb_mark(&b);
	ccb_run(&b, b.now_ns + 3 * CCB_SEC);
	s.later_util = ccb_utilisation(&b);
	s.is_refused = f->resume.is_refused;
	ccb_fini(&b);
	return s;
}

/* What was learnt is what the link is. */
START_TEST(test_learns)
{
	struct qb_known known = learn(names[_i], &wan);
	double bdp = (double)wan.rate_bps / 8 * 0.06;

	ck_assert_double_ge((double)known.cwnd_bytes, 0.8 * bdp);
	ck_assert_double_le((double)known.cwnd_bytes, 1.3 * bdp);
	ck_assert_uint_ge(known.rtt_ns, wan.rtt_ns);
	ck_assert_uint_le(known.rtt_ns, wan.rtt_ns + 5 * MS);
}
END_TEST

/* The link is as it was: more in the first second, no more loss and no more of a queue. */
START_TEST(test_same_link)
{
	struct qb_known known = learn(names[_i], &wan);
	struct start cold = start_on(names[_i], &wan, NULL, NULL),
		     warm = start_on(names[_i], &wan, &known, NULL);

	printf("%-9s first second: %5.2f MB cold, %5.2f MB resumed; queue %5.1f and %5.1f ms, lost "
	       "%.0f and %.0f\n",
	       names[_i], cold.acked_bytes / 1e6, warm.acked_bytes / 1e6, cold.p95_ms, warm.p95_ms,
	       cold.lost_pkts, warm.lost_pkts);
	ck_assert_double_ge(warm.acked_bytes, 1.1 * cold.acked_bytes);
	/* Where a doubling window passes BDP and buffer is a matter of where it begins: what it
	 * loses then is up to half of that. The model's window is bound by the BDP. */
	ck_assert_double_le(warm.lost_pkts,
			    cold.lost_pkts + (is_model(names[_i])
						      ? 20
						      : 0.5 * (1500000 + 750000) / CCB_MSS_BYTES));
	ck_assert_double_le(warm.p95_ms, cold.p95_ms + 30);
	ck_assert(!warm.is_refused);
	ck_assert_double_ge(warm.later_util, cold.later_util - 0.05);
}
END_TEST

/* Half of it is gone, or nine tenths, and the buffer is short: no harm, beside a start without
 * knowledge. */
START_TEST(test_slower_link)
{
	static const double parts[] = {0.5, 0.1};
	const char *cc = names[(size_t)_i / QB_ARRAY_LEN(parts)];
	double part = parts[(size_t)_i % QB_ARRAY_LEN(parts)];
	struct qb_known known = learn(cc, &wan);
	struct ccb_link link = wan;
	struct start cold, warm;

	link.rate_bps = (uint64_t)((double)link.rate_bps * part);
	link.queue_bytes = (uint64_t)((double)link.rate_bps / 8 * 0.06);
	cold = start_on(cc, &link, NULL, NULL);
	warm = start_on(cc, &link, &known, NULL);
	printf("%-9s %2.0f %% of the rate: %5.2f MB cold, %5.2f MB resumed; lost %.0f and %.0f, "
	       "then %.0f and %.0f %%%s\n",
	       cc, 100 * part, cold.acked_bytes / 1e6, warm.acked_bytes / 1e6, cold.lost_pkts,
	       warm.lost_pkts, 100 * cold.later_util, 100 * warm.later_util,
	       warm.is_refused ? ", refused" : "");
	/* A loss so early meets a rate filter of Westwood's that has seen the initial window only.
	 */
	ck_assert_double_ge(warm.acked_bytes,
			    (strcmp(cc, "westwood") ? 0.85 : 0.4) * cold.acked_bytes);
	ck_assert_double_ge(warm.later_util, QB_MIN(cold.later_util, 0.95) - 0.1);
	/* The jump is at most half of what was saved: what of it does not fit is lost, once. */
	ck_assert_double_le(warm.lost_pkts * CCB_MSS_BYTES,
			    cold.lost_pkts * CCB_MSS_BYTES +
				    (is_model(cc) ? 0.5 : 0.7) * (double)known.cwnd_bytes);
	if (part < 0.2)
		ck_assert(warm.is_refused);
}
END_TEST

/* Another one has the link meanwhile: it keeps its share. */
START_TEST(test_others)
{
	struct qb_known known = learn(names[_i], &wan);
	struct start cold = start_on(names[_i], &wan, NULL, "cubic"),
		     warm = start_on(names[_i], &wan, &known, "cubic");

	ck_assert_double_le(warm.lost_pkts * CCB_MSS_BYTES,
			    cold.lost_pkts * CCB_MSS_BYTES + (double)known.cwnd_bytes / 2);
	ck_assert_double_ge(warm.later_util, cold.later_util - 0.05);
}
END_TEST

/* A path that idles keeps what it learnt under load. */
START_TEST(test_idle_keeps)
{
	struct qb_known before, after;
	struct ccb_flow *f;
	struct ccb b;

	ccb_init(&b, &wan, 3);
	f = ccb_add(&b, "auto", 0);
	ccb_run(&b, 10 * CCB_SEC);
	ck_assert(qb_resume_observed(&f->resume, &before));
	f->app_bps = MBIT / 10;
	ccb_run(&b, 60 * CCB_SEC);
	ck_assert(qb_resume_observed(&f->resume, &after));
	ck_assert_uint_ge(after.cwnd_bytes, before.cwnd_bytes * 9 / 10);
	/* And a slower link is learnt under load, within two slots. */
	f->app_bps = 0;
	b.link.rate_bps /= 4;
	ccb_run(&b, 90 * CCB_SEC);
	ck_assert(qb_resume_observed(&f->resume, &after));
	ck_assert_uint_le(after.cwnd_bytes, before.cwnd_bytes * 2 / 5);
	ccb_fini(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cc_resume");
	TCase *t = tcase_create("resume");
	SRunner *r;
	int failed, cnt = (int)QB_ARRAY_LEN(names);

	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_jump);
	tcase_add_loop_test(t, test_no_jump, 0, 8);
	tcase_add_test(t, test_no_jump_without_need);
	tcase_add_test(t, test_loss_in_reconnaissance);
	tcase_add_test(t, test_validates);
	tcase_add_test(t, test_validates_when_full);
	tcase_add_test(t, test_rate_limited);
	tcase_add_loop_test(t, test_retreats, 0, 2);
	tcase_add_loop_test(t, test_learns, 0, cnt);
	tcase_add_loop_test(t, test_same_link, 0, cnt);
	tcase_add_loop_test(t, test_slower_link, 0, 2 * cnt);
	tcase_add_loop_test(t, test_others, 0, cnt);
	tcase_add_test(t, test_idle_keeps);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
