/* SPDX-License-Identifier: BSD-2-Clause */
/* Cutting super-packets: every piece is a whole packet, and together they are what was cut. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "base/csum.h"
#include "base/rand.h"
#include "tests/unit/inner_packets.h"
#include "tun/segment.h"

enum { FIN = 1, SYN = 2, PSH = 8, ACK = 16, ECE = 64, CWR = 128 };

static uint8_t super[65536 + 64], piece[65536];

/* super_build makes what Linux hands out: one big packet with the pseudo header's sum as its
 * checksum. */
static uint32_t super_build(const struct pkt_spec *spec, uint16_t gso_size,
			    struct virtio_net_hdr_v1 *vh)
{
	uint32_t len = pkt_build(super, spec);
	uint32_t l4_off = pkt_l4_off(super), csum_offset = spec->is_udp ? 6 : 16;

	qb_store_be16(super + l4_off + csum_offset,
		      (uint16_t)~naive_csum(naive_pseudo(super, pkt_proto(super), len - l4_off),
					    NULL, 0));
	*vh = (struct virtio_net_hdr_v1){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_size = gso_size,
		.gso_type = spec->is_udp  ? VIRTIO_NET_HDR_GSO_UDP_L4
			    : spec->is_v6 ? VIRTIO_NET_HDR_GSO_TCPV6
					  : VIRTIO_NET_HDR_GSO_TCPV4,
		.csum_start = (uint16_t)l4_off,
		.csum_offset = (uint16_t)csum_offset,
	};
	if (spec->flags & CWR)
		vh->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	return len;
}

static const struct cut_case {
	const char *what;
	struct pkt_spec spec;
	uint16_t gso_size;
	uint32_t cnt;
} cut_cases[] = {
	{"TCPv4", {.flags = ACK, .seq = 7, .id = 5, .payload_len = 5000}, 1448, 4},
	{"TCPv4 exact", {.flags = ACK | PSH, .seq = 7, .id = 0xfffe, .payload_len = 4344}, 1448, 3},
	{"TCPv4 timestamps, FIN, CWR",
	 {.has_timestamps = true,
	  .flags = ACK | PSH | FIN | CWR | ECE,
	  .seq = 0xfffffff0,
	  .payload_len = 64000},
	 1436,
	 45},
	{"TCPv4 one piece", {.flags = ACK | PSH | FIN | CWR, .payload_len = 99}, 100, 1},
	{"TCPv4 odd", {.flags = ACK, .payload_len = 1001}, 1, 1001},
	{"TCPv6", {.is_v6 = true, .flags = ACK | PSH, .seq = 1, .payload_len = 40000}, 1428, 29},
	{"TCPv6 odd",
	 {.is_v6 = true, .has_timestamps = true, .flags = ACK, .payload_len = 3333},
	 333,
	 11},
	{"UDPv4", {.is_udp = true, .id = 9, .payload_len = 12001}, 1200, 11},
	{"UDPv6", {.is_udp = true, .is_v6 = true, .payload_len = 2500}, 1237, 3},
};

START_TEST(cuts_super_packets)
{
	const struct cut_case *c = &cut_cases[_i];
	struct virtio_net_hdr_v1 vh;
	uint32_t len = super_build(&c->spec, c->gso_size, &vh), done = 0;
	uint32_t l4_off = pkt_l4_off(super);
	struct qb_segment s;

	ck_assert_int_eq(qb_segment_init(&s, &vh, super, len), 0);
	ck_assert_uint_eq(qb_segment_left(&s), c->cnt);
	for (uint32_t i = 0; i < c->cnt; i++) {
		bool is_last = i + 1 == c->cnt;
		uint32_t n = qb_segment_next(&s, piece),
			 want = is_last ? c->spec.payload_len - done : c->gso_size;

		ck_assert_msg(pkt_is_intact(piece, n), "%s: piece %u of %u", c->what, i, c->cnt);
		ck_assert_uint_le(n, qb_segment_max_len(&s));
		ck_assert_uint_eq(n, s.hdr_len + want);
		ck_assert_mem_eq(piece + s.hdr_len, super + s.hdr_len + done, want);
		ck_assert_uint_eq(pkt_l4_off(piece), l4_off);
		if (!c->spec.is_v6)
			ck_assert_uint_eq(qb_load_be16(piece + 4), (uint16_t)(c->spec.id + i));
		if (!c->spec.is_udp) {
			uint8_t flags = c->spec.flags;

			if (!is_last)
				flags &= ~(FIN | PSH);
			if (i > 0)
				flags &= ~CWR;
			ck_assert_uint_eq(qb_load_be32(piece + l4_off + 4), c->spec.seq + done);
			ck_assert_uint_eq(piece[l4_off + 13], flags);
			ck_assert_mem_eq(piece + l4_off + 20, super + l4_off + 20,
					 s.hdr_len - l4_off - 20);
		}
		done += want;
	}
	ck_assert_uint_eq(qb_segment_left(&s), 0);
	ck_assert_uint_eq(done, c->spec.payload_len);
}
END_TEST

/* A packet with a tag in it is cut into the same pieces as without; what only looks like a tag
 * stays. */
START_TEST(takes_a_tag_out)
{
	static uint8_t tagged[sizeof(super) + 4], other[sizeof(piece)];
	const struct cut_case *c = &cut_cases[_i];
	struct virtio_net_hdr_v1 vh, tagged_vh;
	uint32_t len = super_build(&c->spec, c->gso_size, &vh), tagged_len = len + 4;
	struct qb_segment want, got;
	uint8_t *p = tagged;

	tagged_vh = vh;
	tagged_vh.csum_start += 4;
	memcpy(tagged, super, 12);
	qb_store_be32(tagged + 12, 0x8100a000 + (uint32_t)_i);
	memcpy(tagged + 16, super + 12, len - 12);
	ck_assert_uint_eq(qb_segment_untag(&tagged_vh, &p, &tagged_len), 0xa000 + (uint32_t)_i);
	ck_assert_ptr_eq(p, tagged + 4);
	ck_assert_uint_eq(tagged_len, len);
	ck_assert_mem_eq(&tagged_vh, &vh, sizeof(vh));
	ck_assert_int_eq(qb_segment_init(&want, &vh, super, len), 0);
	ck_assert_int_eq(qb_segment_init(&got, &tagged_vh, p, tagged_len), 0);
	while (qb_segment_left(&want)) {
		uint32_t n = qb_segment_next(&want, piece);

		ck_assert_uint_eq(qb_segment_next(&got, other), n);
		ck_assert_mem_eq(other, piece, n);
	}
	ck_assert_uint_eq(qb_segment_left(&got), 0);

	/* From 129.0.160.1, or the like in IPv6. */
	memcpy(tagged, super, len);
	qb_store_be32(tagged + 12, 0x8100a001);
	p = tagged;
	tagged_len = len;
	ck_assert_uint_eq(qb_segment_untag(&tagged_vh, &p, &tagged_len), 0);
	ck_assert(p == tagged && tagged_len == len);
	for (tagged_len = 0; tagged_len < 60; tagged_len++) {
		uint8_t *copy = malloc(tagged_len);
		uint32_t n = tagged_len;

		memcpy(copy, tagged, n);
		p = copy;
		ck_assert_uint_eq(qb_segment_untag(&tagged_vh, &p, &n), 0);
		free(copy);
	}
}
END_TEST

/* Without NEEDS_CSUM the field holds anything: the pseudo header comes from the addresses. */
START_TEST(cuts_without_partial_checksum)
{
	struct virtio_net_hdr_v1 vh;
	uint32_t len =
		super_build(&(struct pkt_spec){.flags = ACK, .payload_len = 3000}, 1000, &vh);
	struct qb_segment s;

	vh.flags = 0;
	qb_store_be16(super + 36, 0xdead);
	ck_assert_int_eq(qb_segment_init(&s, &vh, super, len), 0);
	while (qb_segment_left(&s))
		ck_assert(pkt_is_intact(piece, qb_segment_next(&s, piece)));
}
END_TEST

/* A hop-by-hop header between IPv6 and TCP is copied to every piece; csum_start tells where TCP
 * begins. */
START_TEST(cuts_behind_extension_header)
{
	struct pkt_spec spec = {.is_v6 = true, .flags = ACK, .payload_len = 3000};
	static const uint8_t hop[8] = {6, 0, 1, 4, 0, 0, 0, 0};
	struct virtio_net_hdr_v1 vh;
	uint32_t len = super_build(&spec, 1400, &vh), cnt = 0;
	struct qb_segment s;

	memmove(super + 48, super + 40, len - 40);
	memcpy(super + 40, hop, 8);
	super[6] = 0;
	vh.csum_start = 48;
	ck_assert_int_eq(qb_segment_init(&s, &vh, super, len + 8), 0);
	for (; qb_segment_left(&s); cnt++) {
		uint32_t n = qb_segment_next(&s, piece);

		ck_assert_mem_eq(piece + 40, hop, 8);
		ck_assert_uint_eq(qb_load_be16(piece + 4), n - 40);
		memmove(piece + 40, piece + 48, n - 48);
		piece[6] = 6;
		qb_store_be16(piece + 4, (uint16_t)(n - 48));
		ck_assert(pkt_is_intact(piece, n - 8));
	}
	ck_assert_uint_eq(cnt, 3);
}
END_TEST

START_TEST(completes_single_checksum)
{
	for (int kind = 0; kind < 4; kind++) {
		struct pkt_spec spec = {.is_v6 = kind & 1,
					.is_udp = kind & 2,
					.flags = SYN,
					.payload_len = 777,
					.id = 3};
		struct virtio_net_hdr_v1 vh;
		uint32_t len = super_build(&spec, 0, &vh);
		struct qb_segment s;

		vh.gso_type = VIRTIO_NET_HDR_GSO_NONE;
		ck_assert_int_eq(qb_segment_init(&s, &vh, super, len), 0);
		ck_assert_uint_eq(qb_segment_left(&s), 1);
		ck_assert_uint_eq(qb_segment_next(&s, piece), len);
		pkt_set_csums(super, len);
		ck_assert_mem_eq(piece, super, len);
	}
}
END_TEST

/* A UDP checksum that comes out as zero is written as 0xffff: zero would mean that there is none.
 */
START_TEST(udp_zero_checksum)
{
	struct pkt_spec spec = {.is_udp = true, .payload_len = 4};
	struct virtio_net_hdr_v1 vh;
	uint32_t len = super_build(&spec, 0, &vh);
	struct qb_segment s;

	vh.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	/* Two payload bytes make up for all the rest. */
	qb_store_be16(super + 28, 0);
	qb_store_be16(super + 28, naive_csum(0, super + 20, len - 20));
	ck_assert_int_eq(qb_segment_init(&s, &vh, super, len), 0);
	qb_segment_next(&s, piece);
	ck_assert_uint_eq(qb_load_be16(piece + 26), 0xffff);
	ck_assert(pkt_is_intact(piece, len));
}
END_TEST

START_TEST(plain_packet_unchanged)
{
	uint32_t len = pkt_build(super, &(struct pkt_spec){.flags = ACK, .payload_len = 100});
	struct virtio_net_hdr_v1 vh = {0};
	struct qb_segment s;

	/* Bytes behind the packet's own end go. */
	ck_assert_int_eq(qb_segment_init(&s, &vh, super, len + 6), 0);
	ck_assert_uint_eq(qb_segment_next(&s, piece), len);
	ck_assert_mem_eq(piece, super, len);
}
END_TEST

static const struct bad_case {
	const char *what;
	struct virtio_net_hdr_v1 vh;
	uint32_t len;
	uint8_t first; /* byte of the packet */
	uint8_t doff;
} bad_cases[] = {
	{"empty", {0}, 0, 0x45, 0x50},
	{"cut IPv4 header", {0}, 19, 0x45, 0x50},
	{"cut IPv6 header", {0}, 39, 0x60, 0x50},
	{"version", {0}, 140, 0x55, 0x50},
	{"IHL", {0}, 140, 0x44, 0x50},
	{"shorter than it says", {0}, 100, 0x45, 0x50},
	{"checksum outside", {.flags = 1, .csum_start = 130, .csum_offset = 16}, 140, 0x45, 0x50},
	{"checksum in the IP header",
	 {.flags = 1, .csum_start = 4, .csum_offset = 6},
	 140,
	 0x45,
	 0x50},
	{"no gso_size",
	 {.flags = 1, .gso_type = 1, .csum_start = 20, .csum_offset = 16},
	 140,
	 0x45,
	 0x50},
	{"odd csum_offset",
	 {.flags = 1, .gso_type = 1, .gso_size = 9, .csum_start = 20, .csum_offset = 6},
	 140,
	 0x45,
	 0x50},
	{"TCP header outside",
	 {.flags = 1, .gso_type = 1, .gso_size = 9, .csum_start = 130, .csum_offset = 16},
	 140,
	 0x45,
	 0x50},
	{"data offset small",
	 {.flags = 1, .gso_type = 1, .gso_size = 9, .csum_start = 20, .csum_offset = 16},
	 140,
	 0x45,
	 0x40},
	{"data offset big",
	 {.flags = 1, .gso_type = 1, .gso_size = 9, .csum_start = 20, .csum_offset = 16},
	 50,
	 0x45,
	 0xf0},
	{"UFO",
	 {.flags = 1, .gso_type = 3, .gso_size = 9, .csum_start = 20, .csum_offset = 6},
	 140,
	 0x45,
	 0x50},
	{"TCP said, UDP there", {.gso_type = 5, .gso_size = 9}, 140, 0x45, 0x50},
};

START_TEST(refuses_malformed)
{
	const struct bad_case *c = &bad_cases[_i];
	uint8_t *p = malloc(c->len ? c->len : 1);
	struct qb_segment s;

	pkt_build(super, &(struct pkt_spec){.flags = ACK, .payload_len = 100});
	super[0] = c->first;
	super[32] = c->doff;
	memcpy(p, super, c->len);
	ck_assert_msg(qb_segment_init(&s, &c->vh, p, c->len) == -EBADMSG, "%s", c->what);
	free(p);
}
END_TEST

/* Whatever is read, nothing is written beyond what was announced. */
START_TEST(random_bytes)
{
	struct qb_rand r;

	qb_rand_seed(&r, (uint64_t)_i);
	for (int round = 0; round < 20000; round++) {
		uint32_t len = (uint32_t)qb_rand_below(&r, 300), max_len;
		uint8_t *p = malloc(len + 1), *out;
		struct virtio_net_hdr_v1 vh;
		struct qb_segment s;

		for (uint32_t i = 0; i < len; i++)
			p[i] = (uint8_t)qb_rand_u64(&r);
		if (len > 6) {
			p[0] = round & 1 ? 0x45 : 0x60;
			qb_store_be16(p + (round & 1 ? 2 : 4),
				      (uint16_t)(len - (round & 1 ? 0 : 40)));
		}
		vh = (struct virtio_net_hdr_v1){
			.flags = (uint8_t)qb_rand_below(&r, 2),
			.gso_type = (uint8_t)qb_rand_below(&r, 7),
			.gso_size = (uint16_t)qb_rand_below(&r, 300),
			.csum_start = (uint16_t)qb_rand_below(&r, 80),
			.csum_offset = qb_rand_below(&r, 2) ? 16 : 6,
		};
		if (qb_segment_init(&s, &vh, p, len) == 0) {
			max_len = qb_segment_max_len(&s);
			out = malloc(max_len);
			while (qb_segment_left(&s))
				ck_assert_uint_le(qb_segment_next(&s, out), max_len);
			free(out);
		}
		free(p);
	}
}
END_TEST

START_TEST(csum_equals_naive)
{
	struct qb_rand r;

	qb_rand_seed(&r, 4711);
	for (uint32_t len = 0; len < 3000; len++) {
		uint32_t off = (uint32_t)qb_rand_below(&r, 9);
		uint8_t field[2];

		for (uint32_t i = 0; i < len; i++)
			super[off + i] = len % 3 ? (uint8_t)qb_rand_u64(&r) : 0xff;
		qb_csum_store(field, qb_csum_add(0, super + off, len));
		ck_assert_uint_eq(qb_load_be16(field), naive_csum(0, super + off, len));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tun_segment");
	TCase *tc = tcase_create("segment");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, cuts_super_packets, 0, QB_ARRAY_LEN(cut_cases));
	tcase_add_loop_test(tc, takes_a_tag_out, 0, QB_ARRAY_LEN(cut_cases));
	tcase_add_test(tc, cuts_without_partial_checksum);
	tcase_add_test(tc, cuts_behind_extension_header);
	tcase_add_test(tc, completes_single_checksum);
	tcase_add_test(tc, udp_zero_checksum);
	tcase_add_test(tc, plain_packet_unchanged);
	tcase_add_loop_test(tc, refuses_malformed, 0, QB_ARRAY_LEN(bad_cases));
	tcase_add_loop_test(tc, random_bytes, 0, 4);
	tcase_add_test(tc, csum_equals_naive);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
