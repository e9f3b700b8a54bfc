/* SPDX-License-Identifier: BSD-2-Clause */
/* Router duties on inner packets, the hub's routing table, and ranges turned into prefixes. */
#include "daemon.h"
#include "inner.h"
#include "ptb.h"
#include "resolver.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- inner packets ---- */

static uint8_t frames[4 * QB_FRAME_BYTES];
static struct qb_buf bufs[4];
static struct qb_depot depot;
static struct qb_pool pool;

static void set_up(void)
{
	memset(frames, 0, sizeof(frames));
	qb_depot_init(&depot, frames, bufs, 4);
	qb_pool_init(&pool, &depot);
}

static uint16_t checksum(const uint8_t *p, size_t len, uint32_t sum)
{
	for (; len > 1; len -= 2, p += 2)
		sum += qb_load_be16(p);
	if (len)
		sum += (uint32_t)*p << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* tcp_syn builds a SYN with `opts` in front of an MSS option of 1460. */
static struct qb_buf *tcp_syn(uint8_t version, const uint8_t *opts, uint32_t opts_len)
{
	struct qb_buf *b = qb_buf_get(&pool);
	uint32_t ip_len = version == 4 ? 20 : 40, tcp_len = (20 + opts_len + 4 + 3) / 4 * 4;
	uint8_t *ip = b->data, *tcp = ip + ip_len;
	uint32_t pseudo = 6 + tcp_len;

	b->len = ip_len + tcp_len;
	memset(ip, 0, b->len);
	if (version == 4) {
		ip[0] = 0x45;
		qb_store_be16(ip + 2, (uint16_t)b->len);
		ip[8] = 64;
		ip[9] = 6;
		qb_store_be32(ip + 12, 0x0a000001);
		qb_store_be32(ip + 16, 0xc0000201);
		qb_store_be16(ip + 10, checksum(ip, 20, 0));
	} else {
		ip[0] = 0x60;
		qb_store_be16(ip + 4, (uint16_t)tcp_len);
		ip[6] = 6;
		ip[7] = 64;
		ip[8] = ip[24] = 0xfd;
		ip[23] = 1;
		ip[39] = 2;
	}
	tcp[12] = (uint8_t)(tcp_len / 4 << 4);
	tcp[13] = 2;
	if (opts_len)
		memcpy(tcp + 20, opts, opts_len);
	memcpy(tcp + 20 + opts_len, (uint8_t[4]){2, 4, 1460 >> 8, 1460 & 0xff}, 4);
	for (size_t i = version == 4 ? 12 : 8; i < ip_len; i += 2)
		pseudo += qb_load_be16(ip + i);
	qb_store_be16(tcp + 16, checksum(tcp, tcp_len, pseudo));
	return b;
}

static bool tcp_checksum_ok(const struct qb_buf *b)
{
	uint32_t ip_len = b->data[0] >> 4 == 4 ? 20 : 40, pseudo = 6 + b->len - ip_len;

	for (size_t i = ip_len == 20 ? 12 : 8; i < ip_len; i += 2)
		pseudo += qb_load_be16(b->data + i);
	return checksum(b->data + ip_len, b->len - ip_len, pseudo) == 0;
}

START_TEST(mss_is_clamped)
{
	static const uint8_t opts[] = {1, 1, 4, 2, 3, 3, 7}; /* NOPs, SACK permitted, window scale */

	for (uint8_t version = 4; version <= 6; version += 2) {
		for (uint32_t len = 0; len <= 2; len++) { /* the MSS option at even and odd places */
			struct qb_buf *b = tcp_syn(version, opts, len);
			uint32_t at = (version == 4 ? 40 : 60) + len + 2, overhead = version == 4 ? 40 : 60;

			ck_assert(tcp_checksum_ok(b));
			ck_assert(qb_inner_clamp_mss(b, 1400));
			ck_assert_uint_eq(qb_load_be16(b->data + at), 1400 - overhead);
			ck_assert(tcp_checksum_ok(b));
			ck_assert(!qb_inner_clamp_mss(b, 1400));
			ck_assert(!qb_inner_clamp_mss(b, 1500));
			qb_buf_put(&pool, b);
		}
	}
}
END_TEST

START_TEST(mss_of_broken_options)
{
	static const uint8_t zero_len[] = {8, 0}, too_long[] = {8, 40}, end[] = {0};
	struct qb_buf *b = tcp_syn(4, zero_len, sizeof(zero_len));

	ck_assert(!qb_inner_clamp_mss(b, 1400));
	qb_buf_put(&pool, b);
	b = tcp_syn(4, too_long, sizeof(too_long));
	ck_assert(!qb_inner_clamp_mss(b, 1400));
	qb_buf_put(&pool, b);
	b = tcp_syn(4, end, sizeof(end));
	ck_assert(!qb_inner_clamp_mss(b, 1400));
	b->data[32] = 0xf0; /* data offset beyond the packet */
	ck_assert(!qb_inner_clamp_mss(b, 1400));
	qb_buf_put(&pool, b);
}
END_TEST

START_TEST(headers_are_checked)
{
	struct qb_buf *b = tcp_syn(4, NULL, 0), *v6 = tcp_syn(6, NULL, 0);
	uint32_t len = b->len;

	ck_assert_int_eq(qb_inner_check(b), 4);
	b->len += 10; /* padding of the link */
	ck_assert_int_eq(qb_inner_check(b), 4);
	ck_assert_uint_eq(b->len, len);
	for (uint32_t i = 0; i < len; i++) {
		b->len = i;
		ck_assert_int_eq(qb_inner_check(b), -EBADMSG);
	}
	for (uint32_t i = 0; i < 40; i++) {
		v6->len = i;
		ck_assert_int_eq(qb_inner_check(v6), -EBADMSG);
	}
	b->len = len;
	b->data[0] = 0x44;
	ck_assert_int_eq(qb_inner_check(b), -EBADMSG);
	b->data[0] = 0x55;
	ck_assert_int_eq(qb_inner_check(b), -EBADMSG);
	qb_buf_put(&pool, b);
	qb_buf_put(&pool, v6);
}
END_TEST

START_TEST(hop_limits_run_out)
{
	struct qb_buf *b = tcp_syn(4, NULL, 0), *v6 = tcp_syn(6, NULL, 0);

	for (int hops = 64; hops > 1; hops--) {
		ck_assert(qb_inner_hop(b));
		ck_assert_uint_eq(checksum(b->data, 20, 0), 0);
		ck_assert(qb_inner_hop(v6));
	}
	ck_assert(!qb_inner_hop(b));
	ck_assert(!qb_inner_hop(v6));
	ck_assert_uint_eq(b->data[8], 1);
	qb_buf_put(&pool, b);
	qb_buf_put(&pool, v6);
}
END_TEST

START_TEST(icmp_errors)
{
	static const uint8_t src4[4] = {192, 0, 0, 8}, src6[16] = {1};
	struct qb_buf *b = tcp_syn(4, NULL, 0), *out = qb_buf_get(&pool);
	uint32_t pseudo = 58;

	ck_assert(qb_inner_icmp_error(b, QB_INNER_TOO_BIG, 1380, src4, out));
	ck_assert_int_eq(qb_inner_check(out), 4);
	ck_assert_uint_eq(checksum(out->data, 20, 0), 0);
	ck_assert_uint_eq(checksum(out->data + 20, out->len - 20, 0), 0);
	ck_assert_uint_eq(out->data[20], 3);
	ck_assert_uint_eq(out->data[21], 4);
	ck_assert_uint_eq(qb_load_be16(out->data + 26), 1380);
	ck_assert_mem_eq(out->data + 16, b->data + 12, 4);
	ck_assert_mem_eq(out->data + 28, b->data, b->len);

	/* No error about an error, a later fragment, or a packet from nowhere. */
	ck_assert(!qb_inner_icmp_error(out, QB_INNER_TTL, 0, src4, b));
	b = tcp_syn(4, NULL, 0);
	b->data[7] = 1;
	ck_assert(!qb_inner_icmp_error(b, QB_INNER_TTL, 0, src4, out));
	b->data[7] = 0;
	memset(b->data + 12, 0, 4);
	ck_assert(!qb_inner_icmp_error(b, QB_INNER_TTL, 0, src4, out));
	qb_buf_put(&pool, b);

	b = tcp_syn(6, NULL, 0);
	ck_assert(qb_inner_icmp_error(b, QB_INNER_TOO_BIG, 1400, src6, out));
	ck_assert_int_eq(qb_inner_check(out), 6);
	ck_assert_uint_eq(out->data[40], 2);
	ck_assert_uint_eq(qb_load_be32(out->data + 44), 1400);
	pseudo += out->len - 40;
	for (size_t i = 8; i < 40; i += 2)
		pseudo += qb_load_be16(out->data + i);
	ck_assert_uint_eq(checksum(out->data + 40, out->len - 40, pseudo), 0);
	b->data[24] = 0xff; /* to a group: only "too big" may be answered */
	ck_assert(!qb_inner_icmp_error(b, QB_INNER_TTL, 0, src6, out));
	ck_assert(qb_inner_icmp_error(b, QB_INNER_TOO_BIG, 1400, src6, out));
	qb_buf_put(&pool, b);
	qb_buf_put(&pool, out);
}
END_TEST

/* No error about an ICMPv6 error behind extension headers, nor where it may be one: RFC 4443 §2.4 (e.1). */
START_TEST(icmp_errors_about_chains)
{
	static const struct {
		uint8_t first;	 /* next header of the fixed one */
		uint8_t ext[24]; /* what follows, zeros behind it */
		bool is_answered;
	} rows[] = {
		{60, {58, 0, 1, 4}, false}, /* destination options, then type 0: an error */
		{60, {58, 0, 1, 4, 0, 0, 0, 0, 128}, true},
		{60, {17, 0, 1, 4}, true},
		{0, {60, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4}, false},
		{43, {58, 0}, false},
		{51, {58, 1}, false},
		{51, {58, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 135}, true},
		{44, {58, 0, 0, 1}, false},				 /* a first fragment */
		{44, {58, 0, 0, 1, 0, 0, 0, 0, 128}, true},
		{44, {58, 0, 0, 9, 0, 0, 0, 0, 128}, false},	 /* a later one: who knows */
		{44, {17, 0, 0, 9}, true},
		{44, {60, 0, 0, 9}, false},
		{60, {58, 9, 1, 4}, false},			 /* longer than the packet */
		{59, {0}, true},
	};
	static const uint8_t src6[16] = {1};
	struct qb_buf *b = tcp_syn(6, NULL, 0), *out = qb_buf_get(&pool);

	b->len = 40 + sizeof(rows[0].ext);
	qb_store_be16(b->data + 4, sizeof(rows[0].ext));
	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++) {
		b->data[6] = rows[i].first;
		memcpy(b->data + 40, rows[i].ext, sizeof(rows[i].ext));
		ck_assert_msg(qb_inner_icmp_error(b, QB_INNER_TTL, 0, src6, out) == rows[i].is_answered, "row %zu", i);
	}
	qb_buf_put(&pool, b);
	qb_buf_put(&pool, out);
}
END_TEST

/* ---- routing table ---- */

static struct qb_rtable_entry entry(const char *prefix, uint32_t site)
{
	struct qb_rtable_entry e = {.site = site};
	struct qb_prefix p;

	ck_assert_int_eq(qb_prefix_parse(prefix, &p), 0);
	e.family = p.family;
	qb_prefix_range(&p, e.first, e.last);
	return e;
}

static uint32_t lookup(const struct qb_rtable *t, const char *dst)
{
	struct qb_addr a;
	const struct qb_rtable_entry *e;

	ck_assert_int_eq(qb_addr_parse(dst, 0, &a), 0);
	e = qb_rtable_find(t, a.family, a.ip);
	return e ? e->site : QB_SITE_NONE;
}

START_TEST(routing_table)
{
	struct qb_rtable_entry entries[] = {
		entry("fd64::2/128", 0),   entry("10.64.0.3/32", 1), entry("192.168.10.0/24", 0),
		entry("10.64.0.2/32", 0),  entry("fd64::3/128", 1),  entry("2001:db8:1::/48", 1),
	};
	struct qb_rtable *t = qb_rtable_build(entries, QB_ARRAY_LEN(entries));

	ck_assert_uint_eq(lookup(t, "10.64.0.2"), 0);
	ck_assert_uint_eq(lookup(t, "10.64.0.3"), 1);
	ck_assert_uint_eq(lookup(t, "10.64.0.4"), QB_SITE_NONE);
	ck_assert_uint_eq(lookup(t, "10.64.0.1"), QB_SITE_NONE);
	ck_assert_uint_eq(lookup(t, "192.168.10.255"), 0);
	ck_assert_uint_eq(lookup(t, "192.168.11.0"), QB_SITE_NONE);
	ck_assert_uint_eq(lookup(t, "fd64::2"), 0);
	ck_assert_uint_eq(lookup(t, "fd64::3"), 1);
	ck_assert_uint_eq(lookup(t, "fd64::4"), QB_SITE_NONE);
	ck_assert_uint_eq(lookup(t, "2001:db8:1:ffff::1"), 1);
	ck_assert_uint_eq(lookup(t, "::"), QB_SITE_NONE);
	ck_assert_uint_eq(lookup(t, "0.0.0.0"), QB_SITE_NONE);
	qb_rtable_free(t);
	t = qb_rtable_build(NULL, 0);
	ck_assert_uint_eq(lookup(t, "10.64.0.2"), QB_SITE_NONE);
	ck_assert_uint_eq(lookup(t, "fd64::2"), QB_SITE_NONE);
	qb_rtable_free(t);
}
END_TEST

/* udp builds a packet of a flow; a fragment other than the first has no ports. */
static struct qb_buf *udp(uint8_t version, uint16_t port, bool is_fragment)
{
	struct qb_buf *b = qb_buf_get(&pool);
	uint32_t off = version == 4 ? 20 : 40;
	uint8_t *ip = b->data;

	b->len = off + 12;
	memset(ip, 0, b->len);
	ip[0] = version == 4 ? 0x45 : 0x60;
	ip[version == 4 ? 9 : 6] = 17;
	ip[version == 4 ? 15 : 23] = 1;
	ip[version == 4 ? 19 : 39] = 2;
	if (is_fragment)
		qb_store_be16(ip + 6, 0x2000);
	qb_store_be16(ip + off, port);
	qb_store_be16(ip + off + 2, 443);
	return b;
}

/* All packets of a flow go by one session, many flows by all of them about evenly, and fragments stay together. */
START_TEST(flows_are_spread_over_sessions)
{
	uint8_t version = _i ? 6 : 4;
	struct qb_rtable_entry e = {.via_cnt = 3};
	uint32_t cnt[3] = {0};

	for (uint16_t m = 0; m < 3; m++)
		e.via[m] = (struct qb_rtable_via){.worker = (uint16_t)(5 - m), .member = (uint8_t)m};
	for (uint16_t port = 1; port <= 3000; port++) {
		struct qb_buf *b = udp(version, port, false);
		const struct qb_rtable_via *via = qb_rtable_via_of(&e, b);

		b->data[b->len - 1] = 99; /* of the payload */
		ck_assert_ptr_eq(via, qb_rtable_via_of(&e, b));
		ck_assert_uint_eq(via->worker, 5 - via->member);
		cnt[via->member]++;
		qb_buf_put(&pool, b);
	}
	for (uint32_t m = 0; m < 3; m++)
		ck_assert_msg(cnt[m] > 800 && cnt[m] < 1200, "session %u got %u of 3000", m, cnt[m]);
	e.via_cnt = 1;
	for (uint16_t port = 1; port < 100; port++) {
		struct qb_buf *a = udp(4, port, true), *b = udp(version, port, false);

		ck_assert_uint_eq(qb_inner_flow(a->data, a->len), qb_inner_flow(udp(4, 1, true)->data, a->len));
		ck_assert_ptr_eq(qb_rtable_via_of(&e, b), &e.via[0]);
		set_up();
	}
}
END_TEST

/* Cut short behind the header, or with a header length that lies, nothing behind the packet's end is read. */
START_TEST(flow_of_a_cut_packet)
{
	struct qb_buf *b = udp(4, 1000, false);
	uint32_t whole = qb_inner_flow(b->data, b->len), cut = qb_inner_flow(b->data, 20);

	ck_assert_uint_ne(whole, cut);
	ck_assert_uint_eq(qb_inner_flow(b->data, 23), cut);
	b->data[0] = 0x4f;
	ck_assert_uint_eq(qb_inner_flow(b->data, b->len), cut);
}
END_TEST

/* ---- "packet too big" ---- */

/* too_big builds an ICMP message about a UDP packet of ip_bytes; IPv4 comes with its own header, as a raw socket gives it. */
static uint32_t too_big(uint8_t *out, uint8_t family, uint32_t mtu_bytes, uint16_t ip_bytes)
{
	uint8_t *icmp = family == 4 ? out + 24 : out, *ip = icmp + 8, *udp = ip + (family == 4 ? 24 : 40);

	memset(out, 0, 128);
	if (family == 4) {
		out[0] = 0x46; /* with an option */
		icmp[0] = 3;
		icmp[1] = 4;
		qb_store_be16(icmp + 6, (uint16_t)mtu_bytes);
		ip[0] = 0x46;
		qb_store_be16(ip + 2, ip_bytes);
		ip[9] = 17;
		qb_store_be32(ip + 12, 0x0a000001);
		qb_store_be32(ip + 16, 0xc0000201);
	} else {
		icmp[0] = 2;
		qb_store_be32(icmp + 4, mtu_bytes);
		ip[0] = 0x60;
		qb_store_be16(ip + 4, (uint16_t)(ip_bytes - 40));
		ip[6] = 17;
		ip[8] = 0xfd;
		ip[24] = 0xfd;
		ip[39] = 1;
	}
	qb_store_be16(udp, 1234);
	qb_store_be16(udp + 2, 4433);
	udp[8] = 0x40;
	return (uint32_t)(udp + 8 + 20 - out);
}

START_TEST(packet_too_big)
{
	uint8_t family = _i ? 6 : 4, msg[128];
	uint32_t len = too_big(msg, family, 1400, 1500), hdr = family == 4 ? 24 : 40;
	struct qb_ptb ptb;

	ck_assert(qb_ptb_parse(family, msg, len, &ptb));
	ck_assert_uint_eq(ptb.bytes, 1400 - hdr - 8);
	ck_assert_uint_eq(ptb.local.family, family);
	ck_assert_uint_eq(ptb.local.ip[0], family == 4 ? 10 : 0xfd);
	ck_assert_uint_eq(ptb.peer.ip[family == 4 ? 3 : 15], 1);
	ck_assert_uint_eq(ptb.local.port, 1234);
	ck_assert_uint_eq(ptb.peer.port, 4433);
	ck_assert_uint_eq(ptb.quoted_len, 20);
	ck_assert_uint_eq(ptb.quoted[0], 0x40);
	for (uint32_t cut = 0; cut < len - 20; cut++)
		ck_assert(!qb_ptb_parse(family, msg, cut, &ptb));
	for (uint32_t cut = len - 20; cut < len; cut++) {
		ck_assert(qb_ptb_parse(family, msg, cut, &ptb));
		ck_assert_uint_eq(ptb.quoted_len, cut - (len - 20));
	}
	/* About a packet that fits, or a size that leaves nothing, it says nothing. */
	len = too_big(msg, family, 1500, 1500);
	ck_assert(!qb_ptb_parse(family, msg, len, &ptb));
	len = too_big(msg, family, hdr + 8, 1500);
	ck_assert(!qb_ptb_parse(family, msg, len, &ptb));
	len = too_big(msg, family, 0, 1500);
	ck_assert(!qb_ptb_parse(family, msg, len, &ptb));
	len = too_big(msg, family, 1400, 1500);
	msg[family == 4 ? 24 : 0] = 11; /* another message */
	ck_assert(!qb_ptb_parse(family, msg, len, &ptb));
	len = too_big(msg, family, 1400, 1500);
	msg[family == 4 ? 24 + 8 + 9 : 8 + 6] = 6; /* about TCP */
	ck_assert(!qb_ptb_parse(family, msg, len, &ptb));
}
END_TEST

/* put_ext_hdr puts an extension header before what the quoted IPv6 header names as next. Returns the new length. */
static uint32_t put_ext_hdr(uint8_t *msg, uint32_t len, uint8_t type, uint8_t more_units)
{
	uint8_t *ip = msg + 8, *ext = ip + 40;
	uint32_t bytes = 8 + 8u * more_units;

	memmove(ext + bytes, ext, len - 48);
	memset(ext, 0, bytes);
	ext[0] = ip[6];
	ext[1] = more_units;
	ip[6] = type;
	qb_store_be16(ip + 4, (uint16_t)(qb_load_be16(ip + 4) + bytes));
	return len + bytes;
}

/* Routers on the way may have put options before UDP; with them less fits. */
START_TEST(packet_too_big_with_options)
{
	uint8_t msg[256];
	struct qb_ptb ptb;
	uint32_t len = too_big(msg, 6, 1400, 1500);

	len = put_ext_hdr(msg, len, 60, 1);
	len = put_ext_hdr(msg, len, 0, 0);
	ck_assert(qb_ptb_parse(6, msg, len, &ptb));
	ck_assert_uint_eq(ptb.bytes, 1400 - 40 - 24 - 8);
	ck_assert_uint_eq(ptb.local.port, 1234);
	ck_assert_uint_eq(ptb.quoted_len, 20);
	for (uint32_t cut = 0; cut < len - 20; cut++)
		ck_assert(!qb_ptb_parse(6, msg, cut, &ptb));
	/* One that runs past the end, a fragment's, and too many. */
	msg[8 + 40 + 1] = 255;
	ck_assert(!qb_ptb_parse(6, msg, len, &ptb));
	len = too_big(msg, 6, 1400, 1500);
	len = put_ext_hdr(msg, len, 44, 0);
	ck_assert(!qb_ptb_parse(6, msg, len, &ptb));
	len = too_big(msg, 6, 1400, 1500);
	for (int i = 0; i < 5; i++)
		len = put_ext_hdr(msg, len, 60, 0);
	ck_assert(!qb_ptb_parse(6, msg, len, &ptb));
}
END_TEST

/* ---- workers of an edge ---- */

START_TEST(workers_join_by_load)
{
	static const double idle = 0.1, busy = 0.9;
	struct qb_spread s = {.active = 1, .max = 3};
	double loads[3] = {busy, busy, busy};

	/* Short, or without a core to spare: no. */
	ck_assert_uint_eq(qb_spread_decide(&s, loads, 1), 1);
	ck_assert_uint_eq(qb_spread_decide(&s, loads, 0.2), 1);
	ck_assert_uint_eq(qb_spread_decide(&s, loads, 1), 1);
	ck_assert_uint_eq(qb_spread_decide(&s, loads, 1), 2);
	/* One of two is not busy: one flow fills one core, and another connection would not help it. */
	loads[1] = 0.7;
	for (int i = 0; i < 10; i++)
		ck_assert_uint_eq(qb_spread_decide(&s, loads, 1), 2);
	loads[1] = busy;
	qb_spread_decide(&s, loads, 1);
	ck_assert_uint_eq(qb_spread_decide(&s, loads, 1), 3);
	for (int i = 0; i < 10; i++)
		ck_assert_uint_eq(qb_spread_decide(&s, loads, 1), 3);
	/* Calm for a minute: one less, and once more; a busy second begins the minute anew. */
	loads[0] = loads[1] = loads[2] = idle;
	for (int i = 0; i < 59; i++)
		ck_assert_uint_eq(qb_spread_decide(&s, loads, 1), 3);
	loads[0] = loads[1] = busy;
	ck_assert_uint_eq(qb_spread_decide(&s, loads, 1), 3);
	loads[0] = loads[1] = idle;
	for (int i = 0; i < 59; i++)
		ck_assert_uint_eq(qb_spread_decide(&s, loads, 1), 3);
	ck_assert_uint_eq(qb_spread_decide(&s, loads, 1), 2);
	for (int i = 0; i < 60; i++)
		qb_spread_decide(&s, loads, 1);
	ck_assert_uint_eq(s.active, 1);
	for (int i = 0; i < 200; i++)
		ck_assert_uint_eq(qb_spread_decide(&s, loads, 1), 1);
}
END_TEST

static const struct {
	struct qb_h3_group newer, older;
	bool replaces;
} replace_rows[] = {
	{{0, 0}, {0, 0}, true},	 {{7, 0}, {7, 0}, true},  {{7, 1}, {7, 0}, false}, {{7, 0}, {7, 1}, false},
	{{8, 1}, {7, 0}, true},	 {{8, 1}, {7, 1}, true},  {{0, 0}, {7, 1}, true},  {{7, 1}, {0, 0}, true},
};

START_TEST(members_of_a_group_live_side_by_side)
{
	ck_assert_int_eq(qb_hub_replaces(&replace_rows[_i].newer, &replace_rows[_i].older), replace_rows[_i].replaces);
}
END_TEST

/* ---- ranges ---- */

static const struct {
	const char *first, *last, *prefixes;
} range_rows[] = {
	{"0.0.0.0", "255.255.255.255", "0.0.0.0/0 "},
	{"10.0.0.0", "10.0.0.255", "10.0.0.0/24 "},
	{"10.0.0.1", "10.0.0.1", "10.0.0.1/32 "},
	{"10.0.0.1", "10.0.0.6", "10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32 "},
	{"255.255.255.254", "255.255.255.255", "255.255.255.254/31 "},
	{"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0 "},
	{"fd00::1", "fd00::2", "fd00::1/128 fd00::2/128 "},
};

START_TEST(ranges_become_prefixes)
{
	struct qb_addr first, last;
	struct qb_h3_route r = {0};
	struct qb_prefix out[16];
	char text[512] = "", one[QB_PREFIX_STRLEN];
	uint32_t cnt;

	ck_assert_int_eq(qb_addr_parse(range_rows[_i].first, 0, &first), 0);
	ck_assert_int_eq(qb_addr_parse(range_rows[_i].last, 0, &last), 0);
	r.family = first.family;
	memcpy(r.first, first.ip, 16);
	memcpy(r.last, last.ip, 16);
	cnt = qb_routes_from_ranges(&r, 1, out, QB_ARRAY_LEN(out));
	for (uint32_t i = 0; i < cnt; i++) {
		strcat(text, qb_prefix_format(&out[i], one));
		strcat(text, " ");
	}
	ck_assert_str_eq(text, range_rows[_i].prefixes);
}
END_TEST

START_TEST(prefixes_become_sorted_ranges)
{
	struct qb_prefix p[3];
	struct qb_h3_route out[3];

	ck_assert_int_eq(qb_prefix_parse("fd00::/8", &p[0]), 0);
	ck_assert_int_eq(qb_prefix_parse("192.168.0.0/16", &p[1]), 0);
	ck_assert_int_eq(qb_prefix_parse("10.0.0.0/8", &p[2]), 0);
	ck_assert_uint_eq(qb_tunnel_ranges(p, 3, out, 3), 3);
	ck_assert_uint_eq(out[0].first[0], 10);
	ck_assert_uint_eq(out[1].first[0], 192);
	ck_assert_uint_eq(out[2].family, 6);
	ck_assert_uint_eq(qb_tunnel_ranges(p, 3, out, 2), 2);
}
END_TEST

/* ---- hubs' names ---- */

static struct qb_conf *hubs_conf(const char *host)
{
	struct qb_conf *c = calloc(1, sizeof(*c));

	c->hub_cnt = 1;
	snprintf(c->hubs[0].name, sizeof(c->hubs[0].name), "fra");
	snprintf(c->hubs[0].addrs[0].host, sizeof(c->hubs[0].addrs[0].host), "%s", host);
	c->hubs[0].addrs[0].port = 4433;
	c->hubs[0].addr_cnt = 1;
	return c;
}

START_TEST(numeric_hubs_need_no_resolver)
{
	struct qb_conf *c = hubs_conf("2001:db8::1");
	struct qb_edge_hub out[QB_EDGE_HUBS_MAX];
	char text[QB_ADDR_STRLEN];

	ck_assert(qb_resolver_is_numeric(c));
	ck_assert_uint_eq(qb_resolver_lookup(c->hubs, 1, out), 1);
	ck_assert_str_eq(qb_addr_format(&out[0].addr, text), "[2001:db8::1]:4433");
	ck_assert_str_eq(out[0].name, "fra");
	free(c);
}
END_TEST

START_TEST(names_are_resolved_in_the_background)
{
	struct qb_conf *c = hubs_conf("localhost");
	struct qb_edge_hub out[QB_EDGE_HUBS_MAX];
	int wake_fd = qb_wake_open();
	struct qb_resolver *r = qb_resolver_open(wake_fd);
	struct pollfd pfd = {.fd = wake_fd, .events = POLLIN};
	uint32_t cnt = 0;

	ck_assert(!qb_resolver_is_numeric(c));
	ck_assert(!qb_resolver_take(r, out, &cnt));
	qb_resolver_ask(r, c);
	ck_assert_int_eq(poll(&pfd, 1, 10000), 1);
	ck_assert(qb_resolver_take(r, out, &cnt));
	ck_assert_uint_ge(cnt, 1);
	ck_assert_uint_eq(out[0].addr.port, 4433);
	ck_assert(!qb_resolver_take(r, out, &cnt));
	/* An answer that comes when the config has changed is of no use. */
	qb_resolver_ask(r, c);
	qb_resolver_forget(r);
	ck_assert(!qb_resolver_take(r, out, &cnt));
	qb_resolver_close(r);
	close(wake_fd);
	free(c);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("top");
	TCase *tc = tcase_create("top");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, mss_is_clamped);
	tcase_add_test(tc, mss_of_broken_options);
	tcase_add_test(tc, headers_are_checked);
	tcase_add_test(tc, hop_limits_run_out);
	tcase_add_test(tc, icmp_errors);
	tcase_add_test(tc, icmp_errors_about_chains);
	tcase_add_test(tc, routing_table);
	tcase_add_loop_test(tc, flows_are_spread_over_sessions, 0, 2);
	tcase_add_test(tc, flow_of_a_cut_packet);
	tcase_add_loop_test(tc, packet_too_big, 0, 2);
	tcase_add_test(tc, packet_too_big_with_options);
	tcase_add_test(tc, workers_join_by_load);
	tcase_add_loop_test(tc, members_of_a_group_live_side_by_side, 0, QB_ARRAY_LEN(replace_rows));
	tcase_add_loop_test(tc, ranges_become_prefixes, 0, QB_ARRAY_LEN(range_rows));
	tcase_add_test(tc, prefixes_become_sorted_ranges);
	tcase_add_test(tc, numeric_hubs_need_no_resolver);
	tcase_add_test(tc, names_are_resolved_in_the_background);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
