/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Joining packets: what belongs together becomes one super-packet, what does not stays alone; and
 * cutting every super-packet again gives the very packets that came, each flow in its order.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "base/rand.h"
#include "tests/unit/inner_packets.h"
#include "tun/coalesce.h"
#include "tun/segment.h"

enum {
	FIN = 1,
	SYN = 2,
	RST = 4,
	PSH = 8,
	ACK = 16,
	URG = 32,
	ECE = 64,
	CWR = 128,
	DF = 0x4000,
	MF = 0x2000
};

static _Alignas(64) uint8_t frames[QB_BATCH_MAX * QB_FRAME_BYTES];
static struct qb_buf bufs[QB_BATCH_MAX];
static uint8_t original[QB_BATCH_MAX][QB_FRAME_BYTES];
static struct qb_depot depot;
static struct qb_pool pool;
static struct qb_batch batch;
static struct qb_joiner joiner;

static void setup(void)
{
	qb_depot_init(&depot, frames, bufs, QB_BATCH_MAX);
	qb_pool_init(&pool, &depot);
	batch.cnt = 0;
}

static uint8_t *add(const struct pkt_spec *spec)
{
	struct qb_buf *b = qb_buf_get(&pool);

	b->len = pkt_build(b->data, spec);
	qb_batch_add(&batch, b);
	return b->data;
}

static void plan(bool has_uso)
{
	for (uint32_t i = 0; i < batch.cnt; i++)
		memcpy(original[i], batch.buf[i]->data, batch.buf[i]->len);
	qb_joiner_plan(&joiner, &batch, has_uso);
}

/* is_same compares two packets; where DF is set the identification (and its checksum) may differ.
 */
static bool is_same(const uint8_t *got, const uint8_t *want, uint32_t len, bool is_id_fixed)
{
	uint8_t a[QB_FRAME_BYTES], b[QB_FRAME_BYTES];

	memcpy(a, got, len);
	memcpy(b, want, len);
	if (is_id_fixed) {
		memset(a + 4, 0, 2);
		memset(a + 10, 0, 2);
		memset(b + 4, 0, 2);
		memset(b + 10, 0, 2);
	}
	return memcmp(a, b, len) == 0;
}

/* check_run cuts one run and compares the pieces to what it was made of. */
static void check_run(const struct qb_run *run, uint32_t seed)
{
	static uint8_t flat[65536], piece[QB_FRAME_BYTES];
	struct iovec iov[QB_BATCH_MAX];
	struct virtio_net_hdr_v1 vh;
	struct qb_segment s;
	uint32_t len = 0, cnt = qb_joiner_build(&joiner, &batch, run, &vh, iov);
	uint8_t idx = run->first;

	ck_assert_uint_eq(cnt, run->cnt);
	for (uint32_t i = 0; i < cnt; i++) {
		ck_assert_uint_le(len + iov[i].iov_len, 65535);
		memcpy(flat + len, iov[i].iov_base, iov[i].iov_len);
		len += (uint32_t)iov[i].iov_len;
	}
	ck_assert_uint_eq(len, run->len);
	if (cnt == 1) {
		ck_assert_uint_eq(vh.flags | vh.gso_type, 0);
		ck_assert_mem_eq(flat, original[idx], len);
		return;
	}
	ck_assert_int_eq(qb_segment_init(&s, &vh, flat, len), 0);
	ck_assert_uint_eq(qb_segment_left(&s), cnt);
	for (uint32_t i = 0; i < cnt; i++, idx = joiner.next[idx]) {
		uint32_t n = qb_segment_next(&s, piece);

		ck_assert_uint_eq(n, batch.buf[idx]->len);
		ck_assert_msg(is_same(piece, original[idx], n, run->is_id_fixed),
			      "seed %u, packet %u", seed, idx);
	}
}

/* check_plan cuts everything; every packet has to be in exactly one run. */
static void check_plan(uint32_t seed)
{
	bool is_seen[QB_BATCH_MAX] = {false};
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < joiner.run_cnt; i++) {
		const struct qb_run *run = &joiner.run[i];
		uint8_t idx = run->first;

		for (uint32_t k = 0; k < run->cnt; k++, idx = joiner.next[idx], cnt++) {
			ck_assert(!is_seen[idx]);
			is_seen[idx] = true;
		}
		check_run(run, seed);
	}
	ck_assert_uint_eq(cnt, batch.cnt);
}

START_TEST(joins_a_tcp_run)
{
	bool is_v6 = _i & 1, has_timestamps = _i & 2;
	struct iovec iov[QB_BATCH_MAX];
	struct virtio_net_hdr_v1 vh;

	for (uint32_t i = 0; i < 40; i++)
		add(&(struct pkt_spec){.is_v6 = is_v6,
				       .has_timestamps = has_timestamps,
				       .seq = 0xffff0000u + i * 1348,
				       .flags = i == 39 ? ACK | PSH : ACK,
				       .id = (uint16_t)(65530 + i),
				       .payload_len = i == 39 ? 17 : 1348,
				       .payload_seed = i});
	plan(false);
	ck_assert_uint_eq(joiner.run_cnt, 1);
	ck_assert_uint_eq(joiner.run[0].cnt, 40);
	check_plan(0);
	qb_joiner_build(&joiner, &batch, &joiner.run[0], &vh, iov);
	ck_assert_uint_eq(vh.gso_type, is_v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4);
	ck_assert_uint_eq(vh.gso_size, 1348);
	ck_assert_uint_eq(vh.csum_start, is_v6 ? 40 : 20);
	ck_assert_uint_eq(vh.csum_offset, 16);
	ck_assert_uint_eq(vh.hdr_len, (is_v6 ? 40 : 20) + (has_timestamps ? 32 : 20));
	/* Payloads are written from where they are. */
	ck_assert_ptr_eq(iov[1].iov_base, batch.buf[1]->data + vh.hdr_len);
}
END_TEST

START_TEST(joins_udp)
{
	bool is_v6 = _i & 1;

	for (uint32_t i = 0; i < 10; i++)
		add(&(struct pkt_spec){.is_v6 = is_v6,
				       .is_udp = true,
				       .id = (uint16_t)i,
				       .payload_len = i == 9 ? 100 : 1200});
	plan(true);
	ck_assert_uint_eq(joiner.run_cnt, 1);
	check_plan(0);
	setup();
	for (uint32_t i = 0; i < 10; i++)
		add(&(struct pkt_spec){
			.is_v6 = is_v6, .is_udp = true, .id = (uint16_t)i, .payload_len = 1200});
	plan(false);
	ck_assert_uint_eq(joiner.run_cnt, 10);
}
END_TEST

START_TEST(joins_across_a_batch)
{
	for (uint32_t i = 0; i < 60; i++)
		add(&(struct pkt_spec){.flow = (uint8_t)(i % 4),
				       .is_v6 = i % 4 == 3,
				       .is_udp = i % 4 == 2,
				       .flags = ACK,
				       .seq = i / 4 * 500,
				       .id = (uint16_t)(i / 4),
				       .payload_len = 500});
	plan(true);
	ck_assert_uint_eq(joiner.run_cnt, 4);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(joiner.run[i].cnt, 15);
	check_plan(0);
}
END_TEST

START_TEST(never_longer_than_ip)
{
	for (uint32_t i = 0; i < 64; i++)
		add(&(struct pkt_spec){
			.flags = ACK, .seq = i * 1600, .id = (uint16_t)i, .payload_len = 1600});
	plan(false);
	ck_assert_uint_eq(joiner.run_cnt, 2);
	ck_assert_uint_eq(joiner.run[0].cnt, 40);
	check_plan(0);
}
END_TEST

/* Two packets that differ from a good pair in one thing each: joined or not. */
static const struct pair_case {
	const char *what;
	struct pkt_spec a, b;
	bool is_joined;
} pair_cases[] = {
#define A                                                                                          \
	{                                                                                          \
		.flags = ACK, .seq = 1, .id = 7, .payload_len = 100                                \
	}
	{"good", A, {.flags = ACK, .seq = 101, .id = 8, .payload_len = 100}, true},
	{"shorter", A, {.flags = ACK, .seq = 101, .id = 8, .payload_len = 1}, true},
	{"PSH on the second",
	 A,
	 {.flags = ACK | PSH, .seq = 101, .id = 8, .payload_len = 100},
	 true},
	{"FIN on the second",
	 A,
	 {.flags = ACK | FIN, .seq = 101, .id = 8, .payload_len = 100},
	 true},
	{"longer", A, {.flags = ACK, .seq = 101, .id = 8, .payload_len = 101}, false},
	{"no payload", A, {.flags = ACK, .seq = 101, .id = 8}, false},
	{"gap", A, {.flags = ACK, .seq = 102, .id = 8, .payload_len = 100}, false},
	{"overlap", A, {.flags = ACK, .seq = 100, .id = 8, .payload_len = 100}, false},
	{"same again", A, {.flags = ACK, .seq = 1, .id = 8, .payload_len = 100}, false},
	{"acknowledges more",
	 A,
	 {.flags = ACK, .seq = 101, .id = 8, .ack = 1, .payload_len = 100},
	 false},
	{"window",
	 A,
	 {.flags = ACK, .seq = 101, .id = 8, .window = 999, .payload_len = 100},
	 false},
	{"options",
	 A,
	 {.has_timestamps = true, .flags = ACK, .seq = 101, .id = 8, .payload_len = 88},
	 false},
	{"RST", A, {.flags = ACK | RST, .seq = 101, .id = 8, .payload_len = 100}, false},
	{"URG", A, {.flags = ACK | URG, .seq = 101, .id = 8, .payload_len = 100}, false},
	{"ECE", A, {.flags = ACK | ECE, .seq = 101, .id = 8, .payload_len = 100}, false},
	{"CWR on the second",
	 A,
	 {.flags = ACK | CWR, .seq = 101, .id = 8, .payload_len = 100},
	 false},
	{"TTL", A, {.flags = ACK, .ttl = 63, .seq = 101, .id = 8, .payload_len = 100}, false},
	{"DSCP or ECN",
	 A,
	 {.flags = ACK, .tos = 3, .seq = 101, .id = 8, .payload_len = 100},
	 false},
	{"DF", A, {.flags = ACK, .frag = DF, .seq = 101, .id = 8, .payload_len = 100}, false},
	{"identification", A, {.flags = ACK, .seq = 101, .id = 9, .payload_len = 100}, false},
	{"fixed identification", A, {.flags = ACK, .seq = 101, .id = 7, .payload_len = 100}, false},
	{"fragment", A, {.flags = ACK, .frag = MF, .seq = 101, .id = 8, .payload_len = 100}, false},
	{"IP options",
	 A,
	 {.flags = ACK, .ip_options = 4, .seq = 101, .id = 8, .payload_len = 100},
	 false},
	{"other flow",
	 A,
	 {.flow = 1, .flags = ACK, .seq = 101, .id = 8, .payload_len = 100},
	 false},
	{"SYN first",
	 {.flags = ACK | SYN, .seq = 0, .id = 7, .payload_len = 100},
	 {.flags = ACK, .seq = 101, .id = 8, .payload_len = 100},
	 false},
	{"PSH first",
	 {.flags = ACK | PSH, .seq = 1, .id = 7, .payload_len = 100},
	 {.flags = ACK, .seq = 101, .id = 8, .payload_len = 100},
	 false},
	{"CWR first",
	 {.flags = ACK | CWR, .seq = 1, .id = 7, .payload_len = 100},
	 {.flags = ACK, .seq = 101, .id = 8, .payload_len = 100},
	 true},
	{"fixed identification with DF",
	 {.flags = ACK, .frag = DF, .seq = 1, .payload_len = 100},
	 {.flags = ACK, .frag = DF, .seq = 101, .payload_len = 100},
	 true},
	{"IPv6 hop limit",
	 {.is_v6 = true, .flags = ACK, .payload_len = 9},
	 {.is_v6 = true, .ttl = 9, .flags = ACK, .seq = 9, .payload_len = 9},
	 false},
	{"IPv6 traffic class",
	 {.is_v6 = true, .flags = ACK, .payload_len = 9},
	 {.is_v6 = true, .tos = 1, .flags = ACK, .seq = 9, .payload_len = 9},
	 false},
	{"UDP longer",
	 {.is_udp = true, .payload_len = 9},
	 {.is_udp = true, .id = 1, .payload_len = 10},
	 false},
	{"UDP without checksum",
	 {.is_udp = true, .payload_len = 9},
	 {.is_udp = true, .id = 1, .has_no_csum = true, .payload_len = 9},
	 false},
	{"UDP empty", {.is_udp = true, .payload_len = 9}, {.is_udp = true, .id = 1}, false},
#undef A
};

START_TEST(pairs)
{
	const struct pair_case *c = &pair_cases[_i];

	add(&c->a);
	add(&c->b);
	plan(true);
	ck_assert_msg(joiner.run_cnt == (c->is_joined ? 1 : 2), "%s", c->what);
	check_plan(0);
}
END_TEST

/* One bit wrong anywhere that a checksum covers: the packet goes alone, as it came. */
START_TEST(corrupted_goes_alone)
{
	static const uint32_t offs[] = {10, 11, 36, 37, 40, 41, 90, 139};

	for (uint32_t which = 0; which < 3; which++) {
		for (uint32_t o = 0; o < QB_ARRAY_LEN(offs); o++) {
			setup();
			for (uint32_t i = 0; i < 3; i++) {
				uint8_t *p = add(&(struct pkt_spec){.flags = ACK,
								    .seq = i * 100,
								    .id = (uint16_t)i,
								    .payload_len = 100});

				if (i == which)
					p[offs[o]] ^= 0x10;
			}
			plan(false);
			check_plan(0);
			/* 0|12, 0|1|2, 01|2 */
			ck_assert_uint_eq(joiner.run_cnt, which == 1 ? 3 : 2);
			for (uint32_t i = 0; i < joiner.run_cnt; i++)
				if (joiner.run[i].first == which)
					ck_assert_uint_eq(joiner.run[i].cnt, 1);
		}
	}
}
END_TEST

/* An acknowledgement or a fragment between two segments keeps its place. */
START_TEST(order_within_a_flow)
{
	static const struct pkt_spec between[] = {
		{.flags = ACK, .seq = 100, .id = 1, .ack = 50},
		{.flags = ACK, .seq = 0, .id = 1, .frag = MF, .payload_len = 64},
		{.flags = ACK, .seq = 0, .id = 1, .ip_options = 8, .payload_len = 64},
	};

	for (uint32_t k = 0; k < QB_ARRAY_LEN(between); k++) {
		setup();
		add(&(struct pkt_spec){.flags = ACK, .seq = 0, .id = 0, .payload_len = 100});
		add(&between[k]);
		add(&(struct pkt_spec){.flags = ACK, .seq = 100, .id = 1, .payload_len = 100});
		plan(false);
		ck_assert_uint_eq(joiner.run_cnt, 3);
		for (uint8_t i = 0; i < 3; i++)
			ck_assert_uint_eq(joiner.run[i].first, i);
	}
}
END_TEST

/* Packets that are not what they seem are left alone and read within their bounds (ASan watches).
 */
START_TEST(malformed_go_alone)
{
	struct qb_rand r;

	qb_rand_seed(&r, (uint64_t)_i);
	for (int round = 0; round < 3000; round++) {
		setup();
		for (uint32_t i = 0; i < 20; i++) {
			uint8_t *p = add(&(struct pkt_spec){.is_v6 = qb_rand_below(&r, 2),
							    .is_udp = qb_rand_below(&r, 2),
							    .flags = ACK,
							    .payload_len = 50});
			uint32_t cut = (uint32_t)qb_rand_below(&r, batch.buf[i]->len + 1);

			if (qb_rand_below(&r, 2))
				p[qb_rand_below(&r, 60)] = (uint8_t)qb_rand_u64(&r);
			else
				batch.buf[i]->len = cut;
		}
		plan(true);
		check_plan((uint32_t)round);
	}
}
END_TEST

/* ---- random traffic ---- */

struct flow {
	struct pkt_spec spec; /* of the next segment */
	uint32_t mss;
	bool is_id_fixed;
};

static void random_flow(struct flow *f, uint8_t number, struct qb_rand *r)
{
	*f = (struct flow){.mss = 1 + (uint32_t)qb_rand_below(r, 1500),
			   .is_id_fixed = qb_rand_below(r, 3) == 0};
	f->spec = (struct pkt_spec){
		.is_v6 = qb_rand_below(r, 2),
		.is_udp = qb_rand_below(r, 3) == 0,
		.has_timestamps = qb_rand_below(r, 2),
		.flow = number,
		.tos = (uint8_t)qb_rand_below(r, 4),
		.flags = ACK,
		.id = (uint16_t)qb_rand_u64(r),
		.seq = (uint32_t)qb_rand_u64(r),
		.frag = f->is_id_fixed || qb_rand_below(r, 2) ? DF : 0,
	};
}

/* is_flow_key: the protocol, an address or a port is at this place. */
static bool is_flow_key(const uint8_t *p, uint32_t off)
{
	uint32_t l4_off = pkt_l4_off(p);

	return off == (p[0] >> 4 == 6 ? 6 : 9) ||
	       (off >= (p[0] >> 4 == 6 ? 8 : 12) && off < l4_off + 4);
}

/* random_packet adds a flow's next packet: mostly an orderly segment, now and then anything else.
 */
static void random_packet(struct flow *f, struct qb_rand *r)
{
	struct pkt_spec s = f->spec;
	uint8_t *p;

	s.payload_len = f->mss;
	s.payload_seed = (uint32_t)qb_rand_u64(r);
	switch (qb_rand_below(r, 24)) {
	case 0:
		s.payload_len = (uint32_t)qb_rand_below(r, 1500);
		break;
	case 1:
		s.payload_len = 0;
		break;
	case 2:
		s.flags |= (uint8_t)qb_rand_u64(r);
		break;
	case 3:
		s.flags |= PSH;
		break;
	case 4:
		s.seq += (uint32_t)qb_rand_below(r, 5000);
		break;
	case 5:
		f->spec.ack++;
		break;
	case 6:
		s.frag = MF;
		break;
	case 7:
		s.ip_options = 8;
		break;
	case 8:
		s.has_no_csum = true;
		break;
	case 9:
		s.ttl = 3;
		break;
	case 10:
		s.flags |= CWR;
		break;
	default:
		break;
	}
	s.payload_len = QB_MIN(s.payload_len, 1500u);
	p = add(&s);
	if (qb_rand_below(r, 40) == 0) {
		uint32_t off = (uint32_t)qb_rand_below(r, batch.buf[batch.cnt - 1]->len);

		/* Not where it would make it another flow's, whose order is its own. */
		if (!is_flow_key(p, off))
			p[off] ^= (uint8_t)(1 << qb_rand_below(r, 8));
	}
	f->spec.seq = s.seq + s.payload_len;
	if (!f->is_id_fixed)
		f->spec.id++;
}

static uint32_t total_pkts, total_runs;

START_TEST(round_trip)
{
	struct flow flows[6];
	uint8_t flow_of[QB_BATCH_MAX];

	for (uint32_t round = 0; round < 500; round++) {
		uint32_t seed = (uint32_t)_i * 500 + round, cnt, burst = 0;
		int last_seen[QB_ARRAY_LEN(flows)];
		struct qb_rand r;
		uint8_t f = 0;

		setup();
		qb_rand_seed(&r, seed);
		cnt = 1 + (uint32_t)qb_rand_below(&r, QB_ARRAY_LEN(flows));
		for (uint8_t i = 0; i < cnt; i++)
			random_flow(&flows[i], i, &r);
		while (!qb_batch_full(&batch)) {
			if (burst-- == 0) {
				f = (uint8_t)qb_rand_below(&r, cnt);
				burst = (uint32_t)qb_rand_below(&r, 12);
			}
			flow_of[batch.cnt] = f;
			random_packet(&flows[f], &r);
		}
		plan(qb_rand_below(&r, 4) != 0);
		check_plan(seed);
		memset(last_seen, -1, sizeof(last_seen));
		for (uint32_t i = 0; i < joiner.run_cnt; i++) {
			uint8_t idx = joiner.run[i].first;

			for (uint32_t k = 0; k < joiner.run[i].cnt; k++, idx = joiner.next[idx]) {
				ck_assert_msg(last_seen[flow_of[idx]] < idx,
					      "seed %u: packet %u out of order", seed, idx);
				last_seen[flow_of[idx]] = idx;
			}
		}
		total_pkts += batch.cnt;
		total_runs += joiner.run_cnt;
	}
	/* The property would hold trivially if nothing were ever joined. */
	ck_assert_uint_lt(total_runs * 10, total_pkts * 8);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tun_coalesce");
	TCase *tc = tcase_create("coalesce");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, joins_a_tcp_run, 0, 4);
	tcase_add_loop_test(tc, joins_udp, 0, 2);
	tcase_add_test(tc, joins_across_a_batch);
	tcase_add_test(tc, never_longer_than_ip);
	tcase_add_loop_test(tc, pairs, 0, QB_ARRAY_LEN(pair_cases));
	tcase_add_test(tc, corrupted_goes_alone);
	tcase_add_test(tc, order_within_a_flow);
	tcase_add_loop_test(tc, malformed_go_alone, 0, 3);
	tcase_add_loop_test(tc, round_trip, 0, 10);
	tcase_set_timeout(tc, 120);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
