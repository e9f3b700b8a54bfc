/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guard, in the XDP program by BPF_PROG_RUN and before a UDP socket over loopback, which have
 * to agree: verdict and counter of every reason, rates by source prefix and in all, the block list.
 * The maps are those of the daemon's own object, so its side of them is tested as well. Needs root,
 * but no network device.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "bpf/qb_bpf.h"
#include "bpf/xdp_steer.skel.h"
#include "net/guard.h"
#include "quic/quic.h"

enum { WORKERS = 4, PORT = 4433, HEAD_BYTES = 40, HDR4 = 14 + 20 + 8, HDR6 = 14 + 40 + 8 };

struct spec {
	const char *name;
	uint8_t quic[HEAD_BYTES]; /* what follows is zero */
	uint32_t bytes;		  /* of the UDP payload */
	int32_t udp_extra;	  /* by what the UDP header's length lies */
	enum qb_guard_reason want;
	bool is_xdp_only;
};

#define V1	 0, 0, 0, 1
#define V2	 0x6b, 0x33, 0x43, 0xcf
#define CID8	 8, 1, 2, 3, 4, 5, 6, 7, 8
#define CID10(w) 10, 0x15, w, 1, 2, 3, 4, 5, 6, 7, 8
/* Token of no bytes, a body of 1100. */
#define TAIL 0, 0x44, 0x4c

/* clang-format off */
static const struct spec specs[] = {
	{"short", {0x41, 0x15, 1}, 40, .want = QB_GUARD_PASS},
	{"short, like a reset", {0x41, 0x15, 1}, 21, .want = QB_GUARD_PASS},
	{"too short", {0x41, 0x15, 1}, 20, .want = QB_GUARD_SHORT},
	{"empty", {0}, 0, .want = QB_GUARD_SHORT},
	{"short, fixed bit", {0x01, 0x15, 1}, 40, .want = QB_GUARD_FIXED_BIT},
	{"short, a worker that is not", {0x41, 0x15, 4}, 40, .want = QB_GUARD_PASS},
	{"Initial", {0xc0, V1, CID8, 0, TAIL}, 1200, .want = QB_GUARD_INITIALS},
	{"Initial, v2", {0xd0, V2, CID8, 0, TAIL}, 1200, .want = QB_GUARD_INITIALS},
	{"Initial, our CID", {0xc0, V1, CID10(2), CID8, TAIL}, 1200, .want = QB_GUARD_INITIALS},
	{"Initial with a token", {0xc0, V1, CID8, 0, 4, 1, 2, 3, 4, 0x44, 0x4c}, 1200, .want = QB_GUARD_INITIALS},
	{"Initial, fixed bit", {0x80, V1, CID8, 0, TAIL}, 1200, .want = QB_GUARD_FIXED_BIT},
	{"Initial too small", {0xc0, V1, CID8, 0, TAIL}, 1199, .want = QB_GUARD_INITIAL_SIZE},
	{"Initial, v2, too small", {0xd0, V2, CID8, 0, TAIL}, 1199, .want = QB_GUARD_INITIAL_SIZE},
	{"Initial, short CID", {0xc0, V1, 7, 1, 2, 3, 4, 5, 6, 7, 0, TAIL}, 1200, .want = QB_GUARD_CID},
	{"Initial, long CID", {0xc0, V1, 21}, 1200, .want = QB_GUARD_CID},
	{"Initial, long source CID", {0xc0, V1, CID8, 21}, 1200, .want = QB_GUARD_CID},
	{"token past the end", {0xc0, V1, CID8, 0, 0x7f, 0xff}, 1200, .want = QB_GUARD_LENGTH},
	{"token up to the end", {0xc0, V1, CID8, 0, 0x44, 0xa0}, 1201, .want = QB_GUARD_LENGTH},
	{"huge token", {0xc0, V1, CID8, 0, 0xff, 0xff, 0xff, 0xff}, 1200, .want = QB_GUARD_LENGTH},
	{"body past the end", {0xc0, V1, CID8, 0, 0, 0x44, 0xa0}, 1200, .want = QB_GUARD_LENGTH},
	{"body to the end", {0xc0, V1, CID8, 0, 0, 0x44, 0x9e}, 1200, .want = QB_GUARD_INITIALS},
	{"body too small", {0xc0, V1, CID8, 0, 0, 19}, 1200, .want = QB_GUARD_LENGTH},
	{"length in four bytes", {0xc0, V1, CID8, 0, 0, 0x80, 0, 0x04, 0x4c}, 1200, .want = QB_GUARD_INITIALS},
	{"length in eight bytes", {0xc0, V1, CID8, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0x04, 0x4c}, 1200, .want = QB_GUARD_LENGTH},
	{"0-RTT", {0xd0, V1, CID8}, 300, .want = QB_GUARD_INITIALS},
	{"0-RTT, short CID", {0xd0, V1, 7}, 300, .want = QB_GUARD_CID},
	{"handshake", {0xe0, V1, CID10(3)}, 100, .want = QB_GUARD_PASS},
	{"handshake, a worker that is not", {0xe0, V1, CID10(4)}, 100, .want = QB_GUARD_CID},
	{"handshake, not our CID", {0xe0, V1, CID8}, 100, .want = QB_GUARD_CID},
	{"handshake, v2", {0xf0, V2, CID10(0)}, 100, .want = QB_GUARD_PASS},
	{"Retry", {0xf0, V1, CID10(0)}, 100, .want = QB_GUARD_TYPE},
	{"Retry, v2", {0xc0, V2, CID10(0)}, 100, .want = QB_GUARD_TYPE},
	{"version negotiation", {0x80, 0, 0, 0, 0, CID10(0)}, 100, .want = QB_GUARD_TYPE},
	{"other version", {0x80, 0xba, 0xba, 0xba, 0xba, CID8}, 1200, .want = QB_GUARD_INITIALS},
	{"other version, small", {0x80, 0xba, 0xba, 0xba, 0xba, CID8}, 1199, .want = QB_GUARD_VERSION},
	{"UDP length below its header", {0x41, 0x15, 1}, 40, -41, .want = QB_GUARD_LENGTH, .is_xdp_only = true},
	{"UDP length past the end", {0x41, 0x15, 1}, 40, 1, .want = QB_GUARD_LENGTH, .is_xdp_only = true},
	{"UDP length before the end", {0x41, 0x15, 1}, 40, -19, .want = QB_GUARD_PASS, .is_xdp_only = true},
};
/* clang-format on */

static struct qb_guard *guard;
static struct xdp_steer *xdp;

struct packet {
	uint8_t data[2048];
	uint32_t len;
};

/* A packet from 198.51.100.1 or 2001:db8:1:0::1, or from source number n. */
static void build(struct packet *p, const struct spec *s, uint8_t family, uint32_t n)
{
	uint32_t hdr = family == 6 ? HDR6 : HDR4;
	uint8_t *ip = p->data + 14, *udp = p->data + hdr - 8;

	memset(p, 0, sizeof(*p));
	qb_store_be16(p->data + 12, family == 6 ? 0x86dd : 0x0800);
	if (family == 6) {
		ip[0] = 0x60;
		qb_store_be16(ip + 4, (uint16_t)(8 + s->bytes));
		ip[6] = 17;
		memcpy(ip + 8, "\x20\x01\x0d\xb8", 4);
		qb_store_be16(ip + 12, (uint16_t)n);
		ip[23] = 1;
		ip[24 + 15] = 2;
	} else {
		ip[0] = 0x45;
		qb_store_be16(ip + 2, (uint16_t)(28 + s->bytes));
		ip[9] = 17;
		qb_store_be32(ip + 12, (198u << 24) + (51u << 16) + (100u << 8) + 1 + (n << 8));
		memcpy(ip + 16, "\xc0\x00\x02\x02", 4);
	}
	qb_store_be16(udp, 50000);
	qb_store_be16(udp + 2, PORT);
	qb_store_be16(udp + 4, (uint16_t)(8 + (int32_t)s->bytes + s->udp_extra));
	memcpy(udp + 8, s->quic, QB_MIN(s->bytes, HEAD_BYTES));
	p->len = hdr + s->bytes;
}

static bool is_dropped_by_xdp(const struct packet *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = p->len);

	ck_assert_int_eq(bpf_prog_test_run_opts(bpf_program__fd(xdp->progs.qb_xdp_steer), &opts),
			 0);
	return opts.retval == 1;
}

static uint64_t counter(uint32_t reason)
{
	uint64_t v = 0;

	ck_assert_ptr_nonnull(qb_guard_counter(guard, reason, &v));
	return v;
}

static void setup(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct qb_bpf_local local4 = {.ip = {192, 0, 2, 2}, .family = 4};
	struct qb_bpf_local local6 = {.ip = {[15] = 2}, .family = 6};
	uint8_t one = 1;

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	ck_assert_int_eq(qb_guard_open(WORKERS, &guard), 0);
	xdp = xdp_steer__open();
	ck_assert_ptr_nonnull(xdp);
	xdp->rodata->worker_cnt = WORKERS;
	xdp->rodata->is_server = 1;
	ck_assert_int_eq(
		qb_guard_share(guard,
			       &(struct qb_guard_maps){.conf = xdp->maps.guard_conf,
						       .state = xdp->maps.guard_state,
						       .sources = xdp->maps.guard_sources,
						       .known = xdp->maps.guard_known,
						       .blocks = xdp->maps.guard_blocks,
						       .counters = xdp->maps.guard_counters}),
		0);
	ck_assert_int_eq(xdp_steer__load(xdp), 0);
	xdp->bss->port_bits[PORT / 64] |= UINT64_C(1) << PORT % 64;
	ck_assert_int_eq(
		bpf_map__update_elem(xdp->maps.locals, &local4, sizeof(local4), &one, 1, 0), 0);
	ck_assert_int_eq(
		bpf_map__update_elem(xdp->maps.locals, &local6, sizeof(local6), &one, 1, 0), 0);
}

static void teardown(void)
{
	xdp_steer__destroy(xdp);
	qb_guard_close(guard);
}

/* Runs a packet and checks that no counter but the named one moved. */
static void expect(const struct spec *s, const struct packet *p, enum qb_guard_reason want)
{
	uint64_t before[QB_GUARD_REASON_CNT];
	bool is_dropped;

	for (uint32_t r = 0; r < QB_GUARD_REASON_CNT; r++)
		before[r] = counter(r);
	is_dropped = is_dropped_by_xdp(p);
	ck_assert_msg(is_dropped == (want <= QB_GUARD_DROP_LAST), "%s: %s", s->name,
		      is_dropped ? "dropped" : "let by");
	for (uint32_t r = 0; r < QB_GUARD_REASON_CNT; r++)
		ck_assert_msg(counter(r) - before[r] == (r == (uint32_t)want),
			      "%s: counter %u moved by %d", s->name, r,
			      (int)(counter(r) - before[r]));
}

START_TEST(verdicts)
{
	const struct spec *s = &specs[_i];

	for (uint8_t family = 4; family <= 6; family += 2) {
		struct packet p;

		build(&p, s, family, 0);
		expect(s, &p, s->want);
	}
}
END_TEST

/* A socket with the guard before it, and one that is connected to it. */
static void open_pair(uint8_t family, int fd[2])
{
	struct sockaddr_in6 sa6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in sa4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *sa = family == 6 ? (struct sockaddr *)&sa6 : (struct sockaddr *)&sa4;
	socklen_t len = family == 6 ? sizeof(sa6) : sizeof(sa4);

	for (int i = 0; i < 2; i++) {
		fd[i] = socket(sa->sa_family, SOCK_DGRAM, 0);
		ck_assert_int_ge(fd[i], 0);
	}
	ck_assert_int_eq(bind(fd[0], sa, len), 0);
	ck_assert_int_eq(getsockname(fd[0], sa, &len), 0);
	ck_assert_int_eq(connect(fd[1], sa, len), 0);
	ck_assert_int_eq(qb_guard_attach(guard, fd[0]), 0);
}

static bool has_arrived(int fd)
{
	uint8_t data[2048];
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 2000) == 1 && recv(fd, data, sizeof(data), MSG_DONTWAIT) >= 0;
}

START_TEST(on_a_socket)
{
	const struct spec *s = &specs[_i];

	for (uint8_t family = 4; family <= 6 && !s->is_xdp_only; family += 2) {
		uint8_t quic[2048] = {0};
		uint64_t before[QB_GUARD_REASON_CNT];
		int fd[2];

		for (uint32_t r = 0; r < QB_GUARD_REASON_CNT; r++)
			before[r] = counter(r);
		memcpy(quic, s->quic, HEAD_BYTES);
		open_pair(family, fd);
		ck_assert_int_eq(send(fd[1], quic, s->bytes, 0), s->bytes);
		if (s->want > QB_GUARD_DROP_LAST)
			ck_assert_msg(has_arrived(fd[0]), "%s: dropped", s->name);
		/* What follows is let by: when it has arrived, the first was judged, and was
		 * dropped. */
		memcpy(quic, specs[0].quic, HEAD_BYTES);
		ck_assert_int_eq(send(fd[1], quic, specs[0].bytes, 0), specs[0].bytes);
		ck_assert(has_arrived(fd[0]));
		ck_assert_int_lt(recv(fd[0], quic, sizeof(quic), MSG_DONTWAIT), 0);
		for (uint32_t r = 0; r < QB_GUARD_REASON_CNT; r++)
			ck_assert_msg(counter(r) - before[r] == (r == (uint32_t)s->want),
				      "%s: counter %u", s->name, r);
		close(fd[0]);
		close(fd[1]);
	}
}
END_TEST

static const struct spec initial = {.quic = {0xc0, V1, CID8, 0, TAIL}, .bytes = 1200};
static const struct spec with_token = {.quic = {0xc0, V1, CID8, 0, 1, 9, 0x44, 0x4c},
				       .bytes = 1200};
static const struct spec stray = {.quic = {0x41, 0x15, 200}, .bytes = 40};

static uint32_t count_let_by(const struct spec *s, uint8_t family, uint32_t first, uint32_t sources,
			     uint32_t each)
{
	uint32_t cnt = 0;

	for (uint32_t n = 0; n < sources; n++) {
		for (uint32_t k = 0; k < each; k++) {
			struct packet p;

			build(&p, s, family, first + n);
			cnt += !is_dropped_by_xdp(&p);
		}
	}
	return cnt;
}

/* A prefix has its burst, whatever the address in it; others have theirs. The rate is slow beside
 * this test. */
START_TEST(source_limit)
{
	for (uint8_t family = 4; family <= 6; family += 2) {
		uint64_t before = counter(QB_GUARD_SOURCE_LIMIT);
		uint32_t got = count_let_by(&initial, family, 0, 1, 300);
		struct packet p;

		ck_assert_uint_ge(got, 64);
		ck_assert_uint_le(got, 100);
		ck_assert_uint_eq(counter(QB_GUARD_SOURCE_LIMIT) - before, 300 - got);
		build(&p, &initial, family, 0);
		p.data[14 + (family == 6 ? 8 + 9 : 15)] = 77; /* another host of the same prefix */
		ck_assert(is_dropped_by_xdp(&p));
		build(&p, &initial, family, 1);
		ck_assert(!is_dropped_by_xdp(&p));
	}
}
END_TEST

/* Sources everywhere: the total holds, those with a token have a total of their own, and the table
 * is left alone. */
START_TEST(total_limit)
{
	uint32_t got = count_let_by(&initial, 4, 0, 6000, 1);

	ck_assert_uint_ge(got, 400);
	ck_assert_uint_le(got, 2000);
	ck_assert_uint_eq(counter(QB_GUARD_TOTAL_LIMIT), 6000 - got);
	ck_assert_uint_eq(counter(QB_GUARD_INITIALS), got);
	ck_assert_uint_eq(count_let_by(&with_token, 4, 7000, 100, 1), 100);
	/* What is not a first flight is not concerned. */
	ck_assert_uint_eq(count_let_by(&specs[0], 4, 0, 100, 10), 1000);
}
END_TEST

/* In the middle of a flood, who is known has the rate of its own prefix; another prefix has none. */
START_TEST(known_prefix)
{
	struct qb_addr host = {.family = 4, .ip = {198, 51, 100 + 9, 77}};
	struct qb_addr net6 = {.family = 6, .ip = {0x20, 0x01, 0x0d, 0xb8, 0, 7, 0, 0, 9}};
	uint32_t got;

	count_let_by(&initial, 4, 1000, 6000, 1);
	ck_assert_uint_lt(count_let_by(&initial, 4, 9, 1, 20), 5);
	qb_guard_know(guard, &host);
	qb_guard_know(guard, &net6);
	got = count_let_by(&initial, 4, 9, 1, 200);
	ck_assert_uint_ge(got, 60);
	ck_assert_uint_le(got, 100);
	ck_assert_uint_eq(count_let_by(&initial, 6, 7, 1, 30), 30);
	ck_assert_uint_lt(count_let_by(&initial, 4, 10, 1, 20), 5);
	ck_assert_uint_lt(count_let_by(&initial, 6, 8, 1, 20), 5);
}
END_TEST

/* What looks like a stateless reset shares its prefix's rate. */
START_TEST(stray_limit)
{
	uint32_t got = count_let_by(&stray, 6, 0, 1, 300);

	ck_assert_uint_ge(got, 64);
	ck_assert_uint_le(got, 100);
	ck_assert_uint_eq(counter(QB_GUARD_STRAY_LIMIT), 300 - got);
}
END_TEST

/* Strays from everywhere are held to a total, and leave the buckets of sources alone. */
START_TEST(spoofed_strays)
{
	uint32_t got = count_let_by(&initial, 4, 5, 1, 200);

	ck_assert_uint_ge(got, 64);
	got = count_let_by(&stray, 4, 1000, 6000, 1);
	ck_assert_uint_ge(got, 1000);
	ck_assert_uint_le(got, 4000);
	ck_assert_uint_eq(counter(QB_GUARD_STRAY_LIMIT), 6000 - got);
	ck_assert_uint_le(count_let_by(&initial, 4, 5, 1, 50), 40);
	/* Packets of connections are not concerned. */
	ck_assert_uint_eq(count_let_by(&specs[0], 4, 0, 500, 1), 500);
}
END_TEST

/* From our own address, from groups, from nobody, from port 0: no answer could reach a sender. */
START_TEST(forged_sources)
{
	static const struct {
		uint8_t family, ip[16];
		bool is_forged;
	} sources[] = {
		{4, {192, 0, 2, 2}, true},	    {4, {0, 1, 2, 3}, true},	  {4, {224, 0, 0, 1}, true},
		{4, {255, 255, 255, 255}, true},    {4, {240, 0, 0, 1}, true},	  {4, {192, 0, 2, 3}, false},
		{4, {223, 255, 255, 1}, false},	    {6, {[15] = 2}, true},	  {6, {0xff, 2, [15] = 1}, true},
		{6, {0xfe, 0x80, [15] = 1}, false}, {6, {0x20, 1, [15] = 2}, false},
	};
	struct packet p;

	for (size_t i = 0; i < QB_ARRAY_LEN(sources); i++) {
		bool is_v6 = sources[i].family == 6;

		build(&p, &specs[0], sources[i].family, 0);
		memcpy(p.data + 14 + (is_v6 ? 8 : 12), sources[i].ip, is_v6 ? 16 : 4);
		expect(&specs[0], &p, sources[i].is_forged ? QB_GUARD_SOURCE : QB_GUARD_PASS);
	}
	build(&p, &initial, 4, 0);
	qb_store_be16(p.data + 34, 0);
	expect(&initial, &p, QB_GUARD_SOURCE);
}
END_TEST

/* shift makes room for n bytes at off. */
static void shift(struct packet *p, uint32_t off, uint32_t n)
{
	memmove(p->data + off + n, p->data + off, p->len - off);
	memset(p->data + off, 0, n);
	p->len += n;
}

/*
 * What is between Ethernet and UDP: tags and extension headers are looked through, so that nobody
 * passes the limits by them; what the kernel has to put together or to route is left to it, and
 * meets the guard at the socket.
 */
START_TEST(odd_frames)
{
	static const struct spec bad = {.name = "bad", .quic = {0x01, 0x15, 1}, .bytes = 40};
	struct packet p;

	for (uint8_t family = 4; family <= 6; family += 2) {
		build(&p, &bad, family, 0);
		shift(&p, 12, 4);
		qb_store_be16(p.data + 12, 0x8100);
		expect(&bad, &p, QB_GUARD_FIXED_BIT);
		shift(&p, 12, 4);
		qb_store_be16(p.data + 12, 0x88a8);
		expect(&bad, &p, QB_GUARD_FIXED_BIT);
		shift(&p, 12, 4); /* one tag more than there is sense in */
		qb_store_be16(p.data + 12, 0x88a8);
		expect(&bad, &p, QB_GUARD_PASS);
	}
	build(&p, &bad, 4, 0);
	p.data[14 + 6] = 0x20; /* more fragments */
	expect(&bad, &p, QB_GUARD_PASS);
	build(&p, &bad, 4, 0);
	p.data[14 + 7] = 1; /* a later fragment */
	expect(&bad, &p, QB_GUARD_PASS);
	build(&p, &bad, 4, 0);
	shift(&p, 34, 4);
	p.data[14] = 0x46; /* an option */
	expect(&bad, &p, QB_GUARD_PASS);
	for (uint32_t i = 0; i < 5; i++) { /* destination options, one header after the other */
		build(&p, &bad, 6, 0);
		p.data[14 + 6] = 60;
		for (uint32_t k = 0; k <= i; k++) {
			shift(&p, 54, 8);
			p.data[54] = k == 0 ? 17 : 60;
		}
		expect(&bad, &p, i < 4 ? QB_GUARD_FIXED_BIT : QB_GUARD_PASS);
	}
	build(&p, &bad, 6, 0);
	p.data[14 + 6] = 60;
	shift(&p, 54, 8);
	p.data[54] = 17;
	p.data[55] = 0xff; /* longer than the packet */
	expect(&bad, &p, QB_GUARD_PASS);
	for (uint8_t next = 43; next <= 44; next++) { /* routing, fragment */
		build(&p, &bad, 6, 0);
		p.data[14 + 6] = next;
		shift(&p, 54, 8);
		p.data[54] = 17;
		expect(&bad, &p, QB_GUARD_PASS);
	}
	for (uint32_t len = 0; len < HDR4 + 40; len++) { /* cut anywhere: nothing is read that is not there */
		build(&p, &specs[0], 4, 0);
		p.len = QB_MAX(len, 14u);
		(void)is_dropped_by_xdp(&p);
	}
}
END_TEST

static struct qb_prefix prefix(const char *text)
{
	struct qb_prefix p;

	ck_assert_int_eq(qb_prefix_parse(text, &p), 0);
	return p;
}

START_TEST(block_list)
{
	struct qb_prefix net4 = prefix("198.51.100.0/24"), net6 = prefix("2001:db8::/32"),
			 host = prefix("198.51.101.1");
	struct qb_prefix list[8];

	ck_assert_int_eq(qb_guard_block(guard, &net4), 0);
	ck_assert_int_eq(qb_guard_block(guard, &net4), -EEXIST);
	ck_assert_int_eq(qb_guard_block(guard, &host), 0);
	ck_assert_uint_eq(qb_guard_blocks(guard, list, QB_ARRAY_LEN(list)), 2);
	ck_assert_uint_eq(qb_guard_blocks(guard, list, 1), 1);
	ck_assert_uint_eq(count_let_by(&specs[0], 4, 0, 1, 3), 0);
	ck_assert_uint_eq(count_let_by(&specs[0], 4, 1, 1, 1), 0);
	ck_assert_uint_eq(count_let_by(&specs[0], 4, 2, 1, 1), 1);
	ck_assert_uint_eq(count_let_by(&specs[0], 6, 0, 1, 1), 1);
	ck_assert_int_eq(qb_guard_block(guard, &net6), 0);
	ck_assert_uint_eq(count_let_by(&specs[0], 6, 0, 9, 1), 0);
	ck_assert_uint_eq(counter(QB_GUARD_BLOCKED), 13);
	ck_assert_int_eq(qb_guard_unblock(guard, &net4), 0);
	ck_assert_int_eq(qb_guard_unblock(guard, &net4), -ENOENT);
	ck_assert_uint_eq(count_let_by(&specs[0], 4, 0, 1, 1), 1);
	ck_assert_int_eq(qb_guard_unblock(guard, &net6), 0);
	ck_assert_int_eq(qb_guard_unblock(guard, &host), 0);
	ck_assert_uint_eq(qb_guard_blocks(guard, list, QB_ARRAY_LEN(list)), 0);
}
END_TEST

/* An attack is told from a few refused ones, and lasts a while. */
START_TEST(attack_mode)
{
	uint64_t t_ns = 5 * QB_NS_PER_SEC;

	const struct qb_guard_attack *a = qb_guard_poll(guard, t_ns);

	ck_assert(!a->is_on && a->cnt == 0);
	count_let_by(&initial, 4, 0, 1, 150);
	ck_assert(!qb_guard_poll(guard, t_ns + QB_NS_PER_SEC)->is_on);
	count_let_by(&initial, 4, 0, 1, 500);
	ck_assert(!qb_guard_poll(guard, t_ns + QB_NS_PER_SEC + 1)->is_on);
	ck_assert(qb_guard_poll(guard, t_ns + 2 * QB_NS_PER_SEC)->is_on);
	ck_assert_uint_ge(a->source_ps, 450);
	ck_assert_uint_eq(a->total_ps, 0);
	ck_assert_uint_eq(a->begin_ns, t_ns + 2 * QB_NS_PER_SEC);
	ck_assert(qb_guard_poll(guard, t_ns + 11 * QB_NS_PER_SEC)->is_on);
	ck_assert(!qb_guard_poll(guard, t_ns + 12 * QB_NS_PER_SEC)->is_on);
	ck_assert_uint_eq(a->end_ns, t_ns + 12 * QB_NS_PER_SEC);
	/* The next one is another, and what is told of it is its own. */
	count_let_by(&initial, 4, 1, 3000, 1);
	ck_assert(qb_guard_poll(guard, t_ns + 13 * QB_NS_PER_SEC)->is_on);
	ck_assert_uint_eq(qb_guard_attack(guard)->cnt, 2);
	ck_assert_uint_lt(a->source_ps, 100);
	ck_assert_uint_ge(a->total_ps, 1000);
}
END_TEST

/* The limits are those that are set, while it runs; 0 is what is usual. */
START_TEST(other_limits)
{
	struct qb_addr net6 = {.family = 6, .ip = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 9}};
	struct qb_guard_limits l = {.source = 5, .strangers = 1000};
	uint32_t got;

	ck_assert_int_eq(qb_guard_limit(guard, &l), 0);
	got = count_let_by(&initial, 4, 0, 1, 100);
	ck_assert_uint_ge(got, 10);
	ck_assert_uint_le(got, 20);
	got = count_let_by(&initial, 4, 1, 6000, 1);
	ck_assert_uint_ge(got, 1990);
	ck_assert_uint_le(got, 5000);
	l = (struct qb_guard_limits){0};
	ck_assert_int_eq(qb_guard_limit(guard, &l), 0);
	qb_guard_know(guard, &net6); /* what strangers have used up of their new limit is not at issue */
	got = count_let_by(&initial, 6, 0, 1, 300);
	ck_assert_uint_ge(got, 64);
	ck_assert_uint_le(got, 100);
}
END_TEST

START_TEST(constants_agree)
{
	ck_assert_int_eq((int)QB_BPF_CID_LEN, (int)QB_CID_LEN);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bpf/guard");
	TCase *tc = tcase_create("fixtures");
	SRunner *sr;
	int failed;

	if (geteuid() != 0) {
		printf("SKIP: loading BPF programs needs root\n");
		return 77;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, verdicts, 0, (int)QB_ARRAY_LEN(specs));
	tcase_add_loop_test(tc, on_a_socket, 0, (int)QB_ARRAY_LEN(specs));
	tcase_add_test(tc, source_limit);
	tcase_add_test(tc, total_limit);
	tcase_add_test(tc, known_prefix);
	tcase_add_test(tc, stray_limit);
	tcase_add_test(tc, block_list);
	tcase_add_test(tc, attack_mode);
	tcase_add_test(tc, other_limits);
	tcase_add_test(tc, spoofed_strays);
	tcase_add_test(tc, forged_sources);
	tcase_add_test(tc, odd_frames);
	tcase_add_test(tc, constants_agree);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
