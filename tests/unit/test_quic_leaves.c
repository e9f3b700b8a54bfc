/* SPDX-License-Identifier: BSD-2-Clause */
/* The small parts of a connection, each alone: RTT, pacer, MTU search, sent records, rate, IDs, ACK state, tokens. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "quic/cids.h"
#include "quic/mtu.h"
#include "quic/pacer.h"
#include "quic/rate.h"
#include "quic/refs.h"
#include "quic/rtt.h"
#include "quic/sent.h"
#include "quic/space.h"
#include "quic/token.h"

#define MS QB_NS_PER_MS
#define SEC QB_NS_PER_SEC

/* ---- rtt ---- */

START_TEST(test_rtt)
{
	struct qb_rtt r;

	qb_rtt_init(&r);
	ck_assert(!qb_rtt_has_sample(&r));
	/* RFC 9002 §6.2.2: 333 ms and half of it make about a second. */
	ck_assert_uint_eq(qb_rtt_pto_ns(&r, 0), 333 * MS + 4 * (333 * MS / 2));
	qb_rtt_update(&r, 100 * MS, 50 * MS, 1 * SEC);
	ck_assert_uint_eq(r.smoothed_ns, 100 * MS);
	ck_assert_uint_eq(r.var_ns, 50 * MS);
	ck_assert_uint_eq(r.min_ns, 100 * MS);
	/* The delay is taken off: 140 - 20 = 120, var = 3/4 * 50 + 1/4 * 20, srtt = 7/8 * 100 + 1/8 * 120. */
	qb_rtt_update(&r, 140 * MS, 20 * MS, 2 * SEC);
	ck_assert_uint_eq(r.var_ns, 42500000);
	ck_assert_uint_eq(r.smoothed_ns, 102500000);
	/* But never below the smallest RTT. */
	qb_rtt_update(&r, 110 * MS, 20 * MS, 3 * SEC);
	ck_assert_uint_eq(r.smoothed_ns, (7 * UINT64_C(102500000) + 110 * MS) / 8);
	ck_assert_uint_eq(r.min_ns, 100 * MS);
	qb_rtt_update(&r, 80 * MS, 0, 3 * SEC);
	ck_assert_uint_eq(r.min_ns, 80 * MS);
	ck_assert_uint_eq(qb_rtt_pto_ns(&r, 25 * MS), r.smoothed_ns + 4 * r.var_ns + 25 * MS);
	ck_assert_uint_eq(qb_rtt_persistent_ns(&r, 25 * MS), 3 * qb_rtt_pto_ns(&r, 25 * MS));
	ck_assert_uint_eq(qb_rtt_loss_delay_ns(&r), r.smoothed_ns + r.smoothed_ns / 8);
}
END_TEST

START_TEST(test_rtt_granularity)
{
	struct qb_rtt r;
	int i;

	qb_rtt_init(&r);
	for (i = 0; i < 100; i++)
		qb_rtt_update(&r, 100 * 1000, 0, SEC);
	ck_assert_uint_eq(r.smoothed_ns, 100 * 1000);
	ck_assert_uint_eq(qb_rtt_pto_ns(&r, 0), 100 * 1000 + MS);
	ck_assert_uint_eq(qb_rtt_loss_delay_ns(&r), MS);
}
END_TEST

/* ---- pacer ---- */

START_TEST(test_pacer_unpaced)
{
	struct qb_pacer p;

	qb_pacer_init(&p, SEC);
	ck_assert_uint_eq(qb_pacer_budget(&p, SEC), UINT64_MAX);
	ck_assert_uint_eq(qb_pacer_next_ns(&p, 1500, SEC), 0);
	qb_pacer_on_sent(&p, 1500, SEC);
	ck_assert_uint_eq(qb_pacer_budget(&p, SEC), UINT64_MAX);
}
END_TEST

static const uint64_t rates[] = {1000, 64000, 1000000, 33333333, 1000000000, UINT64_C(100000000000)};

/* Whatever the rate, over ten seconds as much leaves as it says. */
START_TEST(test_pacer_rate)
{
	uint64_t rate = rates[_i], now = SEC, sent = 0, next;
	struct qb_pacer p;
	double expect = (double)rate * 10 / 8;
	uint32_t n;

	qb_pacer_init(&p, now);
	qb_pacer_set_rate(&p, rate, 1200, now);
	ck_assert_uint_ge(p.burst_bytes, 2400);
	ck_assert_uint_le(p.burst_bytes, 65536);
	for (n = 0; now < 11 * SEC && n < 3000000; n++) {
		next = qb_pacer_next_ns(&p, 1200, now);
		if (next) {
			ck_assert_uint_gt(next, now);
			ck_assert(qb_pacer_budget(&p, now) < 1200);
			now = next;
			ck_assert_uint_eq(qb_pacer_next_ns(&p, 1200, now), 0);
		}
		qb_pacer_on_sent(&p, 1200, now);
		sent += 1200;
	}
	if (now >= 11 * SEC) {
		ck_assert_double_ge((double)sent, expect * 0.999);
		ck_assert_double_le((double)sent, expect * 1.001 + p.burst_bytes + 1200);
	} else {
		double secs = (double)(now - SEC) / 1e9;

		ck_assert_double_le((double)sent, (double)rate * secs / 8 + p.burst_bytes + 1200);
	}
}
END_TEST

START_TEST(test_pacer_burst)
{
	struct qb_pacer p;

	qb_pacer_init(&p, 0);
	qb_pacer_set_rate(&p, 80000000, 1200, 0);
	ck_assert_uint_eq(p.burst_bytes, 10000);
	/* However long it was idle, no more than the burst. */
	ck_assert_uint_eq(qb_pacer_budget(&p, 1000 * SEC), 10000);
	qb_pacer_on_sent(&p, 10000, 1000 * SEC);
	ck_assert_uint_eq(qb_pacer_budget(&p, 1000 * SEC), 0);
	ck_assert_uint_eq(qb_pacer_budget(&p, 1000 * SEC + MS / 2), 5000);
	/* A change of rate takes nothing away and gives nothing for free. */
	qb_pacer_set_rate(&p, 160000000, 1200, 1000 * SEC + MS / 2);
	ck_assert_uint_eq(qb_pacer_budget(&p, 1000 * SEC + MS / 2), 5000);
	ck_assert_uint_eq(p.burst_bytes, 20000);
	/* Probes may overdraw, by one burst at most. */
	qb_pacer_on_sent(&p, 60000, 1000 * SEC + MS / 2);
	ck_assert_uint_eq(qb_pacer_next_ns(&p, 1200, 1000 * SEC + MS / 2),
			  1000 * SEC + MS / 2 + (20000 + 1200) * 50);
}
END_TEST

/* ---- mtu ---- */

/* search runs the probes over a path that carries up to limit bytes; returns how many it took. */
static uint32_t search(struct qb_mtu *m, uint16_t limit, uint64_t *now)
{
	uint32_t cnt = 0;
	uint16_t size;

	while ((size = qb_mtu_probe_due(m, *now)) != 0) {
		ck_assert_uint_lt(cnt++, 100);
		qb_mtu_on_probe_sent(m, size);
		ck_assert_uint_eq(qb_mtu_probe_due(m, *now), 0);
		*now += 50 * MS;
		if (size <= limit)
			qb_mtu_on_probe_acked(m, size, *now);
		else
			qb_mtu_on_probe_lost(m, size, *now);
	}
	return cnt;
}

static const uint16_t limits[] = {1200, 1201, 1210, 1252, 1280, 1350, 1400, 1452, 1460, 1471, 1472, 9000};

START_TEST(test_mtu_search)
{
	uint16_t limit = limits[_i];
	uint64_t now = SEC;
	struct qb_mtu m;
	uint32_t cnt;

	qb_mtu_init(&m, 1472);
	ck_assert_uint_eq(qb_mtu_probe_due(&m, now), 0);
	qb_mtu_start(&m, now);
	ck_assert_uint_eq(qb_mtu_probe_due(&m, now), 1472);
	cnt = search(&m, limit, &now);
	ck_assert_uint_le(m.cur_bytes, QB_MIN(limit, 1472));
	ck_assert_uint_ge(m.cur_bytes + QB_MTU_STEP, QB_MIN(limit, 1472));
	if (limit >= 1472)
		ck_assert_uint_eq(cnt, 1);
	/* Much later it looks again: the route may have changed. */
	ck_assert(qb_mtu_deadline_ns(&m) == (m.cur_bytes == 1472 ? QB_NEVER_NS : now + QB_MTU_RAISE_NS));
	now += QB_MTU_RAISE_NS;
	search(&m, 9000, &now);
	ck_assert_uint_eq(m.cur_bytes, 1472);
}
END_TEST

START_TEST(test_mtu_black_hole)
{
	uint64_t now = SEC, pto = 100 * MS;
	struct qb_mtu m;
	int i;

	qb_mtu_init(&m, 1472);
	qb_mtu_start(&m, now);
	search(&m, 1472, &now);
	/* Many losses at once are congestion; and acknowledged ones in between prove that the size works. */
	for (i = 0; i < 100; i++)
		ck_assert(!qb_mtu_on_lost(&m, 1400, pto, now));
	qb_mtu_on_acked(&m, 1400);
	now += SEC;
	ck_assert(!qb_mtu_on_lost(&m, 1400, pto, now));
	/* Small ones prove nothing. */
	for (i = 0; i < 20; i++) {
		now += 20 * MS;
		qb_mtu_on_acked(&m, 1200);
		if (qb_mtu_on_lost(&m, 1400, pto, now))
			break;
		ck_assert(!qb_mtu_on_lost(&m, 1200, pto, now));
	}
	ck_assert_int_lt(i, 20);
	ck_assert_uint_eq(m.cur_bytes, 1200);
	search(&m, 1300, &now);
	ck_assert_uint_le(m.cur_bytes, 1300);
	ck_assert_uint_ge(m.cur_bytes, 1300 - QB_MTU_STEP);
}
END_TEST

START_TEST(test_mtu_peer_limit)
{
	uint64_t now = 0;
	struct qb_mtu m;

	qb_mtu_init(&m, 1472);
	qb_mtu_lower_max(&m, 1300);
	qb_mtu_start(&m, now);
	search(&m, 9000, &now);
	ck_assert_uint_eq(m.cur_bytes, 1300);
	qb_mtu_init(&m, 100);
	ck_assert_uint_eq(m.max_bytes, 1200);
}
END_TEST

/* ---- sent records ---- */

static struct qb_slab make_slab(size_t obj, uint32_t cnt)
{
	struct qb_slab s;

	qb_slab_init(&s, aligned_alloc(16, qb_slab_footprint(obj, cnt)), obj, cnt);
	return s;
}

START_TEST(test_sent)
{
	struct qb_slab slab = make_slab(qb_sent_slab_bytes(), 4);
	struct qb_sent *s = malloc(sizeof(*s));
	struct qb_sent_pkt *p;
	uint64_t pn;

	qb_sent_init(s, &slab);
	for (pn = 0; pn < 4 * QB_SENT_CHUNK; pn++) {
		ck_assert(qb_sent_reserve(s));
		ck_assert_uint_eq(s->next_pn, pn);
		p = qb_sent_push(s);
		p->state = QB_SENT_FLIGHT;
		p->flags = QB_SENT_ELICITING;
		p->sent_ns = pn;
		s->eliciting_cnt++;
	}
	/* Memory is out: nothing may be sent. */
	ck_assert(!qb_sent_reserve(s));
	ck_assert_uint_eq(qb_sent_at(s, 100)->sent_ns, 100);
	ck_assert_uint_eq(qb_sent_oldest(s)->sent_ns, 0);
	for (pn = 0; pn < 70; pn++) {
		qb_sent_at(s, pn)->state = pn == 65 ? QB_SENT_LOST : QB_SENT_ACKED;
		s->eliciting_cnt--;
	}
	s->largest_acked = 69;
	qb_sent_trim(s, 1000, 500);
	/* The lost one is remembered for a while. */
	ck_assert_uint_eq(s->tail_pn, 65);
	ck_assert_uint_eq(slab.used_cnt, 3);
	qb_sent_skip_settled(s);
	ck_assert_uint_eq(s->first_flight_pn, 70);
	ck_assert_uint_eq(qb_sent_oldest(s)->sent_ns, 70);
	qb_sent_trim(s, 1000, 1500);
	ck_assert_uint_eq(s->tail_pn, 70);
	ck_assert(qb_sent_reserve(s));
	qb_sent_fini(s);
	ck_assert_uint_eq(slab.used_cnt, 0);
	free(s);
	free(slab.mem);
}
END_TEST

/* Round and round: millions of packets in a handful of chunks. */
START_TEST(test_sent_ring)
{
	struct qb_slab slab = make_slab(qb_sent_slab_bytes(), 3);
	struct qb_sent *s = malloc(sizeof(*s));
	uint64_t n;

	qb_sent_init(s, &slab);
	for (n = 0; n < 300000; n++) {
		if (!qb_sent_reserve(s))
			ck_abort_msg("no memory at %llu", (unsigned long long)n);
		qb_sent_push(s)->state = QB_SENT_FLIGHT;
		if (n < 60)
			continue;
		qb_sent_at(s, n - 60)->state = QB_SENT_ACKED;
		s->largest_acked = n - 60;
		qb_sent_trim(s, 0, 0);
	}
	qb_sent_fini(s);
	ck_assert_uint_eq(slab.used_cnt, 0);
	free(s);
	free(slab.mem);
}
END_TEST

START_TEST(test_refs)
{
	struct qb_slab slab = make_slab(qb_refs_slab_bytes(), QB_REFS_PER_PKT + 2);
	struct qb_frame_ref in[3] = {{.id = 1}, {.id = 2}, {.id = 3}}, out;
	uint32_t head, i;

	ck_assert_uint_eq(qb_refs_store(&slab, in, 0), 0);
	head = qb_refs_store(&slab, in, 3);
	ck_assert(!qb_refs_has_room(&slab));
	for (i = 1; i <= 3; i++) {
		ck_assert(qb_refs_take(&slab, &head, &out));
		ck_assert_uint_eq(out.id, i);
	}
	ck_assert(!qb_refs_take(&slab, &head, &out));
	ck_assert(qb_refs_has_room(&slab));
	head = qb_refs_store(&slab, in, 3);
	qb_refs_drop(&slab, &head);
	ck_assert_uint_eq(slab.used_cnt, 0);
	free(slab.mem);
}
END_TEST

/* ---- rate ---- */

/* Ten packets of 1,000 bytes, 1 ms apart, acknowledged one by one 50 ms later: 8 Mbit/s. */
START_TEST(test_rate)
{
	struct qb_sent_pkt pkt[100] = {0};
	struct qb_rate r = {0};
	uint64_t in_flight = 0, t;
	uint32_t sent = 0, acked = 0;

	for (t = 1000; t < 1150; t++) {
		if (sent < 100) {
			pkt[sent].bytes = 1000;
			pkt[sent].sent_ns = t * MS;
			qb_rate_on_sent(&r, &pkt[sent++], in_flight, t * MS);
			in_flight += 1000;
		}
		if (t >= 1050) {
			struct qb_rate_sample rs = {0};

			qb_rate_on_acked(&r, &rs, &pkt[acked], acked, t * MS);
			in_flight -= 1000;
			qb_rate_finish(&r, &rs, 50 * MS);
			acked++;
			if (acked > 51) {
				ck_assert_uint_ge(rs.bps, 7900000);
				ck_assert_uint_le(rs.bps, 8100000);
				ck_assert(!rs.is_app_limited);
			}
		}
	}
	ck_assert_uint_eq(r.delivered_bytes, 100000);
}
END_TEST

START_TEST(test_rate_app_limited)
{
	struct qb_sent_pkt pkt[3] = {{.bytes = 1000}, {.bytes = 1000}, {.bytes = 1000}};
	struct qb_rate r = {0};
	struct qb_rate_sample rs = {0};

	qb_rate_set_app_limited(&r, 0);
	pkt[0].sent_ns = 1 * SEC;
	qb_rate_on_sent(&r, &pkt[0], 0, 1 * SEC);
	ck_assert(pkt[0].flags & QB_SENT_APP_LIMITED);
	qb_rate_on_acked(&r, &rs, &pkt[0], 0, 2 * SEC);
	qb_rate_finish(&r, &rs, SEC);
	ck_assert(rs.is_app_limited);
	ck_assert_uint_eq(rs.bps, 8000);
	pkt[1].sent_ns = 3 * SEC;
	qb_rate_on_sent(&r, &pkt[1], 0, 3 * SEC);
	ck_assert(!(pkt[1].flags & QB_SENT_APP_LIMITED));
	/* Faster than light: compressed ACKs give no sample. */
	rs = (struct qb_rate_sample){0};
	qb_rate_on_acked(&r, &rs, &pkt[1], 1, 3 * SEC + 10);
	qb_rate_finish(&r, &rs, SEC);
	ck_assert_uint_eq(rs.bps, 0);
}
END_TEST

/* ---- connection IDs ---- */

static struct qb_frame_new_cid new_cid(uint64_t seq, uint64_t prior)
{
	static uint8_t token[16];
	struct qb_frame_new_cid f = {.seq = seq, .retire_prior_to = prior, .reset_token = token};

	f.cid.len = 8;
	qb_store_be64(f.cid.id, seq * 7919 + 1);
	return f;
}

START_TEST(test_remote_cids)
{
	struct qb_remote_cids s;
	struct qb_frame_new_cid f;
	struct qb_fault fault;
	uint64_t seq;

	qb_remote_cids_init(&s);
	ck_assert_ptr_null(qb_remote_cids_current(&s));
	for (seq = 0; seq < 4; seq++) {
		f = new_cid(seq, 0);
		ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), 0);
		/* Repetition is no sin. */
		ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), 0);
	}
	ck_assert_uint_eq(qb_remote_cids_current(&s)->seq, 0);
	f = new_cid(4, 0);
	ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), -EBADMSG);
	ck_assert_uint_eq(fault.code, QB_QUIC_CONNECTION_ID_LIMIT_ERROR);
	/* Rotation makes room, and owes a RETIRE. */
	ck_assert(qb_remote_cids_rotate(&s));
	ck_assert_uint_eq(qb_remote_cids_current(&s)->seq, 1);
	ck_assert_uint_eq(s.retire[0].seq, 0);
	ck_assert_int_eq(s.retire[0].tx, QB_TX_DUE);
	ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), 0);
	/* The frame about the retired one comes late again: it does not come back. */
	f = new_cid(0, 0);
	ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), 0);
	/* The peer retires all but the newest. */
	f = new_cid(5, 5);
	ck_assert_int_eq(qb_remote_cids_add(&s, &f, &fault), 0);
	ck_assert_uint_eq(qb_remote_cids_current(&s)->seq, 5);
	ck_assert(!qb_remote_cids_has_spare(&s));
	ck_assert(!qb_remote_cids_rotate(&s));
	/* A number below the limit that arrives now is retired at once. */
	s.retire[0].tx = QB_TX_SENT;
	qb_remote_cids_on_retire_fate(&s, 0, false);
	ck_assert_int_eq(s.retire[0].tx, QB_TX_DUE);
	s.retire[0].tx = QB_TX_SENT;
	qb_remote_cids_on_retire_fate(&s, 0, true);
	ck_assert_int_eq(s.retire[0].tx, QB_TX_NONE);
}
END_TEST

START_TEST(test_local_cids)
{
	struct qb_local_cids s;
	struct qb_local_cid *c;
	uint32_t i;

	qb_local_cids_init(&s);
	for (i = 0; i < 2; i++) {
		c = qb_local_cids_free_slot(&s, 2);
		ck_assert_ptr_nonnull(c);
		c->seq = s.next_seq++;
		c->tx = QB_TX_DUE;
	}
	ck_assert_ptr_null(qb_local_cids_free_slot(&s, 2));
	ck_assert_ptr_nonnull(qb_local_cids_free_slot(&s, 100));
	ck_assert_ptr_eq(qb_local_cids_find(&s, 1), c);
	ck_assert_ptr_null(qb_local_cids_find(&s, 2));
	c->tx = QB_TX_NONE;
	ck_assert_ptr_null(qb_local_cids_find(&s, 1));
	ck_assert_ptr_nonnull(qb_local_cids_free_slot(&s, 2));
}
END_TEST

/* ---- ACK state ---- */

START_TEST(test_ack_timing)
{
	struct qb_space *s = malloc(sizeof(*s));
	struct qb_slab slab = make_slab(qb_sent_slab_bytes(), 1);
	struct qb_rx_space *rx = &s->rx;

	qb_space_init(s, &slab);
	/* The first waits a little, the second does not. */
	qb_rx_space_on_packet(rx, 0, true, QB_ECN_NOT, 10 * MS, SEC);
	ck_assert_uint_eq(rx->ack_at_ns, SEC + 10 * MS);
	qb_rx_space_on_packet(rx, 1, true, QB_ECN_NOT, 10 * MS, SEC + MS);
	ck_assert(qb_rx_space_is_due(rx, SEC + MS));
	qb_rx_space_on_ack_sent(rx);
	ck_assert_uint_eq(rx->ack_at_ns, QB_NEVER_NS);
	/* What elicits nothing is never due. */
	qb_rx_space_on_packet(rx, 2, false, QB_ECN_NOT, 10 * MS, SEC);
	ck_assert_uint_eq(rx->ack_at_ns, QB_NEVER_NS);
	/* A gap, its filling, and a CE mark are reported at once. */
	qb_rx_space_on_packet(rx, 4, true, QB_ECN_NOT, 10 * MS, SEC);
	ck_assert(qb_rx_space_is_due(rx, SEC));
	qb_rx_space_on_ack_sent(rx);
	qb_rx_space_on_packet(rx, 3, true, QB_ECN_NOT, 10 * MS, SEC);
	ck_assert(qb_rx_space_is_due(rx, SEC));
	qb_rx_space_on_ack_sent(rx);
	qb_rx_space_on_packet(rx, 5, true, QB_ECN_CE, 10 * MS, SEC);
	ck_assert(qb_rx_space_is_due(rx, SEC));
	ck_assert_uint_eq(rx->ce, 1);
	qb_rx_space_on_ack_sent(rx);
	/* Handshake packets always. */
	qb_rx_space_on_packet(rx, 6, true, QB_ECN_NOT, 0, SEC);
	ck_assert(qb_rx_space_is_due(rx, SEC));
	free(slab.mem);
	free(s);
}
END_TEST

START_TEST(test_ack_frame)
{
	struct qb_space *s = malloc(sizeof(*s));
	struct qb_slab slab = make_slab(qb_sent_slab_bytes(), 1);
	struct qb_rx_space *rx = &s->rx;
	struct qb_fault fault;
	struct qb_ack_iter it;
	struct qb_range r;
	struct qb_frame f;
	uint8_t buf[500];
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));
	uint64_t pn;
	int n;

	qb_space_init(s, &slab);
	ck_assert(!qb_rx_space_write_ack(rx, &w, false, 0, SEC));
	for (pn = 0; pn < 100; pn += pn % 10 == 8 ? 2 : 1)
		qb_rx_space_on_packet(rx, pn, true, QB_ECN_NOT, 10 * MS, SEC);
	ck_assert(qb_rx_space_write_ack(rx, &w, true, 3, SEC + 8 * MS));
	n = qb_frame_parse(&f, buf, (size_t)(w.p - buf), QB_PKT_1RTT, &fault);
	ck_assert_int_eq(n, w.p - buf);
	ck_assert_uint_eq(f.type, QB_FRAME_PATH_ACK);
	ck_assert_uint_eq(f.ack.path_id, 3);
	ck_assert_uint_eq(f.ack.largest, 98);
	ck_assert_uint_eq(f.ack.delay, 1000); /* 8 ms in units of 8 µs */
	qb_ack_iter_init(&it, &f.ack);
	for (pn = 90; qb_ack_iter_next(&it, &r); pn -= 10) {
		ck_assert_uint_eq(r.first, pn);
		ck_assert_uint_eq(r.last, pn + 8);
	}
	/* Once the peer has seen that report, the old part of it goes; the newest range stays. */
	ck_assert_uint_eq(rx->ranges.cnt, 10);
	qb_rx_space_on_ack_acked(rx, 98);
	ck_assert_uint_eq(rx->ranges.cnt, 1);
	ck_assert_uint_eq(qb_ranges_largest(&rx->ranges), 98);
	ck_assert(qb_ranges_has(&rx->ranges, 9));
	free(slab.mem);
	free(s);
}
END_TEST

/* ---- tokens ---- */

START_TEST(test_token)
{
	struct qb_node_secret key = {.key = {1, 2, 3}}, other = {.key = {4}};
	struct qb_addr a = {.family = 4, .ip = {192, 0, 2, 7}, .port = 1234}, b = a;
	struct qb_token in = {.odcid_len = 8, .odcid = {1, 2, 3, 4, 5, 6, 7, 8}}, out;
	uint8_t cid[10] = {9, 9}, buf[QB_TOKEN_MAX];
	uint64_t now = 100 * SEC;
	struct qb_drbg rnd;
	size_t len, i;

	qb_drbg_seed(&rnd, key.key);
	len = qb_token_build(&key, &rnd, &a, cid, sizeof(cid), &in, now, buf);
	ck_assert_uint_le(len, sizeof(buf));
	ck_assert_int_eq(qb_token_check(&key, &a, cid, sizeof(cid), buf, len, now + SEC, &out), 0);
	ck_assert_uint_eq(out.odcid_len, 8);
	ck_assert_mem_eq(out.odcid, in.odcid, 8);
	ck_assert_int_eq(qb_token_check(&key, &a, cid, sizeof(cid), buf, len,
					now + QB_TOKEN_LIFE_NS + 1, &out),
			 -ETIME);
	ck_assert_int_eq(qb_token_check(&key, &a, cid, sizeof(cid), buf, len, now - 1, &out), -ETIME);
	b.port++;
	ck_assert_int_eq(qb_token_check(&key, &b, cid, sizeof(cid), buf, len, now, &out), -EBADMSG);
	ck_assert_int_eq(qb_token_check(&other, &a, cid, sizeof(cid), buf, len, now, &out), -EBADMSG);
	ck_assert_int_eq(qb_token_check(&key, &a, cid, 9, buf, len, now, &out), -EBADMSG);
	for (i = 0; i < len; i++) {
		buf[i] ^= 0x10;
		ck_assert_int_eq(qb_token_check(&key, &a, cid, sizeof(cid), buf, len, now, &out),
				 -EBADMSG);
		buf[i] ^= 0x10;
		ck_assert_int_eq(qb_token_check(&key, &a, cid, sizeof(cid), buf, i, now, &out),
				 -EBADMSG);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/leaves");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_rtt);
	tcase_add_test(tc, test_rtt_granularity);
	tcase_add_test(tc, test_pacer_unpaced);
	tcase_add_loop_test(tc, test_pacer_rate, 0, (int)QB_ARRAY_LEN(rates));
	tcase_add_test(tc, test_pacer_burst);
	tcase_add_loop_test(tc, test_mtu_search, 0, (int)QB_ARRAY_LEN(limits));
	tcase_add_test(tc, test_mtu_black_hole);
	tcase_add_test(tc, test_mtu_peer_limit);
	tcase_add_test(tc, test_sent);
	tcase_add_test(tc, test_sent_ring);
	tcase_add_test(tc, test_refs);
	tcase_add_test(tc, test_rate);
	tcase_add_test(tc, test_rate_app_limited);
	tcase_add_test(tc, test_remote_cids);
	tcase_add_test(tc, test_local_cids);
	tcase_add_test(tc, test_ack_timing);
	tcase_add_test(tc, test_ack_frame);
	tcase_add_test(tc, test_token);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
