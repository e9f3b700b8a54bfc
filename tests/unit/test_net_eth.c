/* SPDX-License-Identifier: BSD-2-Clause */
/* Ethernet frames built and parsed, and the table of next hops. Pure functions. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "base/csum.h"
#include "net/eth.h"
#include "net/hop.h"

static const struct qb_eth_hop mac = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};

static struct qb_tuple tuple_of(int family, uint8_t ecn)
{
	struct qb_tuple t = {.ecn = ecn};
	int rc = qb_addr_parse(family == 6 ? "[2001:db8::1]:4433" : "192.0.2.1:4433", 0, &t.local);

	rc |= qb_addr_parse(family == 6 ? "[2001:db8::2]:50000" : "192.0.2.2:50000", 0, &t.peer);
	ck_assert_int_eq(rc, 0);
	return t;
}

/* Builds into a buffer with room in front; returns where the frame begins. */
static uint8_t *build(uint8_t mem[2048], int family, uint8_t ecn, uint32_t len)
{
	struct qb_tuple t = tuple_of(family, ecn);

	for (uint32_t i = 0; i < len; i++)
		mem[100 + i] = (uint8_t)(i * 7 + 1);
	qb_eth_build(mem + 100, len, &t, &mac, false);
	return mem + 100 - qb_eth_hdr_bytes(t.peer.family);
}

/* The sum over pseudo header and datagram, checksum included, is all ones. */
static void check_udp_csum(const uint8_t *frame, int family, uint32_t len)
{
	const uint8_t *ip = frame + 14, *udp = ip + (family == 6 ? 40 : 20);
	uint64_t sum = family == 6 ? qb_csum_pseudo(ip + 8, 32, 17, len + 8)
				   : qb_csum_pseudo(ip + 12, 8, 17, len + 8);

	ck_assert_uint_ne(qb_load_be16(udp + 6), 0);
	ck_assert_uint_eq(qb_csum_fold(qb_csum_add(sum, udp, len + 8)), 0xffff);
}

START_TEST(round_trip)
{
	static const uint32_t lens[] = {1, 2, 3, 21, 1199, 1200, 1452, 1472};
	int family = _i & 1 ? 6 : 4;
	uint32_t len = lens[_i / 2];
	uint8_t mem[2048] = {0};
	struct qb_tuple t = tuple_of(family, 0);
	struct qb_eth_frame f;

	for (uint8_t ecn = 0; ecn < 4; ecn++) {
		uint8_t *frame = build(mem, family, ecn, len);
		uint32_t bytes = qb_eth_hdr_bytes((uint8_t)family) + len;

		check_udp_csum(frame, family, len);
		ck_assert_int_eq(qb_eth_parse(frame, bytes, &f), 0);
		ck_assert_uint_eq(f.ecn, ecn);
		ck_assert_uint_eq(f.payload_off, bytes - len);
		ck_assert_uint_eq(f.payload_len, len);
		ck_assert(!f.is_tagged);
		ck_assert_mem_eq(f.src_mac, mac.src_mac, 6);
		ck_assert_mem_eq(frame, mac.dst_mac, 6);
		ck_assert(qb_addr_eq(&f.src, &t.local));
		ck_assert(qb_addr_eq(&f.dst, &t.peer));
		/* Ethernet's padding does not count; a byte less is no packet. */
		ck_assert_int_eq(qb_eth_parse(frame, bytes + 7, &f), 0);
		ck_assert_uint_eq(f.payload_len, len);
		for (uint32_t cut = 1; cut <= bytes; cut++)
			ck_assert_int_eq(qb_eth_parse(frame, bytes - cut, &f), -EBADMSG);
	}
}
END_TEST

START_TEST(ip4_header)
{
	uint8_t mem[2048] = {0};
	uint8_t *ip = build(mem, 4, 2, 100) + 14;

	ck_assert_uint_eq(ip[0], 0x45);
	ck_assert_uint_eq(ip[1], 2);
	ck_assert_uint_eq(qb_load_be16(ip + 2), 128);
	ck_assert_uint_eq(qb_load_be16(ip + 6), 0x4000);
	ck_assert_uint_eq(qb_csum_fold(qb_csum_add(0, ip, 20)), 0xffff);
}
END_TEST

/* A payload whose checksum comes out as zero: it must be sent as ones. */
START_TEST(zero_checksum)
{
	struct qb_tuple t = tuple_of(4, 0);
	uint8_t mem[256] = {0};
	bool seen = false;

	for (uint32_t v = 0; v < 65536; v++) {
		qb_store_be16(mem + 100, (uint16_t)v);
		qb_eth_build(mem + 100, 2, &t, &mac, false);
		ck_assert_uint_ne(qb_load_be16(mem + 98), 0);
		seen |= qb_load_be16(mem + 98) == 0xffff;
	}
	ck_assert(seen);
}
END_TEST

/* What the device completes sums up to what is complete at once. */
START_TEST(checksum_left)
{
	struct qb_tuple t = tuple_of(_i ? 6 : 4, 1);
	uint8_t whole[2048] = {0}, left[2048] = {0}, *frame = build(whole, _i ? 6 : 4, 1, 777);
	uint8_t *udp = left + 100 - QB_ETH_UDP_BYTES;

	memcpy(left + 100, whole + 100, 777);
	qb_eth_build(left + 100, 777, &t, &mac, true);
	ck_assert(memcmp(udp, whole + 100 - QB_ETH_UDP_BYTES, QB_ETH_UDP_BYTES));
	/* As a device does: over all from where it starts, the field with it, stored in the field.
	 */
	qb_csum_store(udp + QB_ETH_CSUM_OFF, qb_csum_add(0, udp, QB_ETH_UDP_BYTES + 777));
	ck_assert_mem_eq(left + (frame - whole), frame, qb_eth_hdr_bytes(t.peer.family) + 777);
}
END_TEST

struct damage {
	const char *name;
	int family;
	uint32_t off; /* from the frame's start */
	uint8_t value;
};

/* clang-format off */
static const struct damage damages[] = {
	{"ethertype", 4, 12, 0x09},
	{"version", 4, 14, 0x65},
	{"options", 4, 14, 0x46},
	{"fragment offset", 4, 21, 0x01},
	{"more fragments", 4, 20, 0x20},
	{"tcp", 4, 23, 6},
	{"header checksum", 4, 22, 63},
	{"total length short", 4, 17, 20},
	{"total length long", 4, 16, 0x7f},
	{"udp length short", 4, 39, 7},
	{"udp length long", 4, 38, 0x7f},
	{"version", 6, 14, 0x40},
	{"payload length long", 6, 18, 0x7f},
	{"payload length short", 6, 19, 7},
	{"next header", 6, 20, 6},
	{"fragment", 6, 20, 44},
	{"udp length long", 6, 58, 0x7f},
};
/* clang-format on */

START_TEST(damaged)
{
	const struct damage *d = &damages[_i];
	uint8_t mem[2048] = {0};
	uint8_t *frame = build(mem, d->family, 0, 100);
	struct qb_eth_frame f;

	frame[d->off] = d->value;
	/* The header checksum is right again, but where it is what is damaged. */
	if (d->family == 4 && d->off != 22) {
		qb_store_be16(frame + 24, 0);
		qb_csum_store(frame + 24, qb_csum_add(0, frame + 14, 20));
	}
	ck_assert_msg(qb_eth_parse(frame, qb_eth_hdr_bytes((uint8_t)d->family) + 100, &f) ==
			      -EBADMSG,
		      "%s", d->name);
}
END_TEST

/* Tags stand between the addresses and the type. */
START_TEST(vlan_tags)
{
	uint8_t mem[2048] = {0}, tagged[2048];
	uint8_t *frame = build(mem, 4, 1, 100);
	struct qb_eth_frame f;

	for (uint32_t tags = 1; tags <= 3; tags++) {
		for (uint16_t id = 0; id < 2; id++) {
			memcpy(tagged, frame, 12);
			for (uint32_t i = 0; i < tags; i++) {
				qb_store_be16(tagged + 12 + 4 * i, i ? 0x8100 : 0x88a8);
				qb_store_be16(tagged + 14 + 4 * i, (uint16_t)(0xe000 | id));
			}
			memcpy(tagged + 12 + 4 * tags, frame + 12, 130);
			ck_assert_int_eq(qb_eth_parse(tagged, 142 + 4 * tags, &f),
					 tags <= 2 ? 0 : -EBADMSG);
			ck_assert_int_eq(f.is_tagged, id != 0);
			ck_assert(tags > 2 || f.payload_off == 42 + 4 * tags);
		}
	}
}
END_TEST

START_TEST(ip6_extensions)
{
	uint8_t mem[2048] = {0}, ext[2048] = {0};
	uint8_t *frame = build(mem, 6, 0, 100);
	struct qb_eth_frame f;

	/* Hop-by-hop of 8 bytes, destination options of 16. */
	memcpy(ext, frame, 54);
	ext[20] = 0;
	qb_store_be16(ext + 18, 8 + 100 + 24);
	ext[54] = 60;
	ext[62] = 17;
	ext[63] = 1;
	memcpy(ext + 78, frame + 54, 108);
	ck_assert_int_eq(qb_eth_parse(ext, 186, &f), 0);
	ck_assert_uint_eq(f.payload_off, 86);
	ck_assert_uint_eq(f.payload_len, 100);
	ext[63] = 200;
	ck_assert_int_eq(qb_eth_parse(ext, 186, &f), -EBADMSG);
}
END_TEST

/* ---- next hops ---- */

static struct qb_addr peer_of(uint32_t n)
{
	struct qb_addr a = {.ip = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n},
			    .family = 4,
			    .port = 99};

	return a;
}

START_TEST(hop_order)
{
	static const uint8_t me[6] = {1}, gw[6] = {2}, seen[6] = {3}, own[6] = {4};
	struct qb_hops *h = calloc(1, sizeof(*h));
	struct qb_addr a = peer_of(1), b = peer_of(2);

	ck_assert_ptr_null(qb_hops_find(h, &a));
	qb_hops_learn(h, &a, me, seen, false);
	ck_assert_mem_eq(qb_hops_find(h, &a)->dst_mac, seen, 6);
	ck_assert_mem_eq(qb_hops_find(h, &a)->src_mac, me, 6);
	ck_assert_ptr_null(qb_hops_find(h, &b));
	/* The gateway goes before what was seen. */
	qb_hops_set(h, 4, NULL, me, gw);
	ck_assert_mem_eq(qb_hops_find(h, &a)->dst_mac, gw, 6);
	ck_assert_mem_eq(qb_hops_find(h, &b)->dst_mac, gw, 6);
	/* A peer's own entry goes before all, and learning does not change it. */
	qb_hops_set(h, 4, &a, me, own);
	qb_hops_learn(h, &a, me, seen, false);
	ck_assert_mem_eq(qb_hops_find(h, &a)->dst_mac, own, 6);
	qb_hops_set(h, 4, &a, me, NULL);
	ck_assert_ptr_null(qb_hops_find(h, &a));
	/* Behind a VLAN a plain frame is of no use, whatever the gateway. */
	qb_hops_learn(h, &b, me, seen, true);
	ck_assert_ptr_null(qb_hops_find(h, &b));
	/* Unresolved: all that was learned is doubtful. */
	qb_hops_set(h, 4, NULL, me, NULL);
	qb_hops_learn(h, &b, me, seen, false);
	ck_assert_mem_eq(qb_hops_find(h, &b)->dst_mac, seen, 6);
	qb_hops_set(h, 4, NULL, me, NULL);
	ck_assert_ptr_null(qb_hops_find(h, &b));
	free(h);
}
END_TEST

/* Many strangers push each other out, never an entry of the owner's. */
START_TEST(hop_eviction)
{
	static const uint8_t me[6] = {1}, own[6] = {4}, seen[6] = {3};
	struct qb_hops *h = calloc(1, sizeof(*h));
	uint32_t left = 0;

	for (uint32_t n = 0; n < 64; n++) {
		struct qb_addr a = peer_of(n);

		qb_hops_set(h, 4, &a, me, own);
	}
	for (uint32_t n = 64; n < 100000; n++) {
		struct qb_addr a = peer_of(n);

		qb_hops_learn(h, &a, me, seen, false);
	}
	for (uint32_t n = 0; n < 100000; n++) {
		struct qb_addr a = peer_of(n);
		const struct qb_eth_hop *hop = qb_hops_find(h, &a);

		if (n < 64)
			ck_assert_mem_eq(hop->dst_mac, own, 6);
		left += hop != NULL;
	}
	ck_assert_uint_eq(left, QB_HOP_BUCKETS * QB_HOP_WAYS);
	free(h);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/eth");
	TCase *tc = tcase_create("frames and hops");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, round_trip, 0, 16);
	tcase_add_test(tc, ip4_header);
	tcase_add_test(tc, zero_checksum);
	tcase_add_loop_test(tc, checksum_left, 0, 2);
	tcase_add_loop_test(tc, damaged, 0, (int)QB_ARRAY_LEN(damages));
	tcase_add_test(tc, vlan_tags);
	tcase_add_test(tc, ip6_extensions);
	tcase_add_test(tc, hop_order);
	tcase_add_test(tc, hop_eviction);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
