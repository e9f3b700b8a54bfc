/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The XDP program over packet fixtures, by BPF_PROG_RUN: verdict and counter of every branch. Needs
 * root, but no network device. Unbound AF_XDP sockets stand in the socket map: what is redirected
 * names the worker.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "bpf/qb_bpf.h"
#include "bpf/xdp_steer.skel.h"
#include "quic/quic.h"

enum {
	WORKERS = 4,
	PORT = 4433,
	DROP = 1 /* XDP_DROP */,
	PASS = 2 /* XDP_PASS */,
	REDIRECT = 4 /* XDP_REDIRECT */
};

enum spec_flag {
	OTHER_PORT = 1 << 0,
	OTHER_HOST = 1 << 1,
	FRAGMENT_FIRST = 1 << 2,
	FRAGMENT_LATER = 1 << 3,
	IP_OPTIONS = 1 << 4,
	DONT_FRAGMENT = 1 << 5,
};

struct spec {
	const char *name;
	uint8_t tags;	    /* VLAN tags */
	uint16_t ethertype; /* instead of IP's */
	uint8_t family;
	uint8_t ext[6]; /* IPv6 extension headers */
	uint8_t ext_cnt;
	uint8_t ext_len; /* of each, in units of 8 bytes beyond the first */
	uint8_t proto;	 /* instead of UDP */
	uint32_t flags;
	uint8_t quic[24];
	uint8_t quic_len;
	uint32_t cut;	/* bytes to cut off the end */
	uint32_t extra; /* bytes to add to it */
	enum qb_xdp_reason want;
	int worker; /* where `want` is a steered one; -1 any */
};

#define SHORT(w) .quic = {0x41, 0x15, (w), 1, 2, 3, 4, 5, 6, 7, 8, 9}, .quic_len = 24
#define LONG(first, ver, cidlen, w)                                                                \
	.quic = {(first),                                                                          \
		 (uint8_t)((ver) >> 24),                                                           \
		 (uint8_t)((ver) >> 16),                                                           \
		 (uint8_t)((ver) >> 8),                                                            \
		 (uint8_t)(ver),                                                                   \
		 (cidlen),                                                                         \
		 0x15,                                                                             \
		 (w)},                                                                             \
	.quic_len = 24
#define V1 1u
#define V2 0x6b3343cfu

/* clang-format off */
static const struct spec specs[] = {
	/* short headers */
	{"v4 short w0", .family = 4, SHORT(0), .want = QB_XDP_STEERED_SHORT, .worker = 0},
	{"v4 short w3", .family = 4, SHORT(3), .want = QB_XDP_STEERED_SHORT, .worker = 3},
	{"v4 short DF", .family = 4, SHORT(1), .flags = DONT_FRAGMENT, .want = QB_XDP_STEERED_SHORT, .worker = 1},
	{"v6 short w2", .family = 6, SHORT(2), .want = QB_XDP_STEERED_SHORT, .worker = 2},
	{"v4 vlan", .tags = 1, .family = 4, SHORT(2), .want = QB_XDP_STEERED_SHORT, .worker = 2},
	{"v4 qinq", .tags = 2, .family = 4, SHORT(1), .want = QB_XDP_STEERED_SHORT, .worker = 1},
	{"v6 vlan", .tags = 1, .family = 6, SHORT(3), .want = QB_XDP_STEERED_SHORT, .worker = 3},
	{"v6 qinq", .tags = 2, .family = 6, SHORT(0), .want = QB_XDP_STEERED_SHORT, .worker = 0},
	{"short w4 of 4", .family = 4, SHORT(4), .want = QB_XDP_PASS_UNKNOWN_WORKER},
	{"short w255", .family = 6, SHORT(255), .want = QB_XDP_PASS_UNKNOWN_WORKER},
	{"short, like a reset", .family = 4, SHORT(1), .cut = 3, .want = QB_XDP_STEERED_SHORT, .worker = 1},
	{"shorter than a reset", .family = 4, SHORT(1), .cut = 4, .want = QB_XDP_DROP_GUARD},
	{"empty datagram", .family = 4, SHORT(1), .cut = 24, .want = QB_XDP_DROP_GUARD},
	/* long headers, our CIDs */
	{"v1 handshake", .family = 4, LONG(0xe0, V1, 10, 2), .want = QB_XDP_STEERED_LONG, .worker = 2},
	{"v1 initial, our CID", .family = 4, LONG(0xc0, V1, 10, 1), .want = QB_XDP_STEERED_LONG, .worker = 1},
	{"v1 retry", .family = 6, LONG(0xf0, V1, 10, 3), .want = QB_XDP_STEERED_LONG, .worker = 3},
	{"v2 handshake", .family = 6, LONG(0xf0, V2, 10, 0), .want = QB_XDP_STEERED_LONG, .worker = 0},
	{"version negotiation", .family = 4, LONG(0x80, 0, 10, 1), .want = QB_XDP_STEERED_LONG, .worker = 1},
	{"version negotiation, foreign", .family = 4, LONG(0x80, 0, 8, 1), .want = QB_XDP_PASS_FOREIGN_CID},
	{"v1 handshake, worker unknown", .family = 4, LONG(0xe0, V1, 10, 9), .want = QB_XDP_PASS_UNKNOWN_WORKER},
	{"v1 handshake, foreign", .family = 4, LONG(0xe0, V1, 8, 1), .want = QB_XDP_PASS_FOREIGN_CID},
	{"v1 retry, foreign", .family = 4, LONG(0xf0, V1, 20, 1), .want = QB_XDP_PASS_FOREIGN_CID},
	{"v2 retry, foreign", .family = 4, LONG(0xc0, V2, 8, 1), .want = QB_XDP_PASS_FOREIGN_CID},
	{"v2 handshake, foreign", .family = 4, LONG(0xf0, V2, 8, 1), .want = QB_XDP_PASS_FOREIGN_CID},
	/* first flights */
	{"v1 initial", .family = 4, LONG(0xc3, V1, 8, 1), .want = QB_XDP_STEERED_HASH, .worker = -1},
	{"v1 0-RTT", .family = 6, LONG(0xd0, V1, 8, 1), .want = QB_XDP_STEERED_HASH, .worker = -1},
	{"v1 initial, 10 foreign bytes", .family = 4, LONG(0xc0, V1, 10, 200), .want = QB_XDP_STEERED_HASH, .worker = -1},
	{"v1 initial, 20 bytes", .family = 4, LONG(0xc0, V1, 20, 1), .want = QB_XDP_STEERED_HASH, .worker = -1},
	{"v2 initial", .family = 4, LONG(0xd0, V2, 8, 1), .want = QB_XDP_STEERED_HASH, .worker = -1},
	{"v2 0-RTT", .family = 6, LONG(0xe0, V2, 8, 1), .want = QB_XDP_STEERED_HASH, .worker = -1},
	{"unknown version", .family = 4, LONG(0xc0, 0xbabababau, 8, 1), .want = QB_XDP_PASS_VERSION},
	{"long, cut", .family = 4, LONG(0xc0, V1, 8, 1), .cut = 4, .want = QB_XDP_DROP_GUARD},
	{"long, just enough", .family = 4, LONG(0xe0, V1, 10, 1), .cut = 3, .want = QB_XDP_STEERED_LONG, .worker = 1},
	/* not for us */
	{"arp", .ethertype = 0x0806, .family = 4, SHORT(0), .want = QB_XDP_PASS_NOT_IP},
	{"vlan arp", .tags = 1, .ethertype = 0x0806, .family = 4, SHORT(0), .want = QB_XDP_PASS_NOT_IP},
	{"three tags", .tags = 3, .family = 4, SHORT(0), .want = QB_XDP_PASS_NOT_IP},
	{"v4 tcp", .family = 4, .proto = 6, SHORT(0), .want = QB_XDP_PASS_NOT_UDP},
	{"v6 icmp", .family = 6, .proto = 58, SHORT(0), .want = QB_XDP_PASS_NOT_UDP},
	{"v4 other port", .family = 4, SHORT(0), .flags = OTHER_PORT, .want = QB_XDP_PASS_OTHER_PORT},
	{"v6 other port", .family = 6, SHORT(0), .flags = OTHER_PORT, .want = QB_XDP_PASS_OTHER_PORT},
	{"v4 other host", .family = 4, SHORT(0), .flags = OTHER_HOST, .want = QB_XDP_PASS_NOT_LOCAL},
	{"v6 other host", .family = 6, SHORT(0), .flags = OTHER_HOST, .want = QB_XDP_PASS_NOT_LOCAL},
	{"v4 first fragment", .family = 4, SHORT(0), .flags = FRAGMENT_FIRST, .want = QB_XDP_PASS_FRAGMENT},
	{"v4 later fragment", .family = 4, SHORT(0), .flags = FRAGMENT_LATER, .want = QB_XDP_PASS_FRAGMENT},
	{"v4 options", .family = 4, SHORT(0), .flags = IP_OPTIONS, .want = QB_XDP_PASS_IP_OPTIONS},
	/* extension headers */
	{"v6 hop-by-hop", .family = 6, .ext = {0}, .ext_cnt = 1, SHORT(1), .want = QB_XDP_STEERED_SHORT, .worker = 1},
	{"v6 destination", .family = 6, .ext = {60}, .ext_cnt = 1, .ext_len = 2, SHORT(2), .want = QB_XDP_STEERED_SHORT, .worker = 2},
	{"v6 both", .family = 6, .ext = {0, 60}, .ext_cnt = 2, .ext_len = 1, SHORT(3), .want = QB_XDP_STEERED_SHORT, .worker = 3},
	{"v6 five", .family = 6, .ext = {0, 60, 60, 60, 60}, .ext_cnt = 5, SHORT(3), .want = QB_XDP_PASS_NOT_UDP},
	{"v6 fragment", .family = 6, .ext = {44}, .ext_cnt = 1, SHORT(0), .want = QB_XDP_PASS_FRAGMENT},
	{"v6 hop-by-hop, fragment", .family = 6, .ext = {0, 44}, .ext_cnt = 2, SHORT(0), .want = QB_XDP_PASS_FRAGMENT},
	{"v6 routing", .family = 6, .ext = {43}, .ext_cnt = 1, SHORT(0), .want = QB_XDP_PASS_IP_OPTIONS},
	{"v6 extension cut", .family = 6, .ext = {60}, .ext_cnt = 1, SHORT(0), .cut = 33, .want = QB_XDP_PASS_TRUNCATED},
	{"v6 long extension cut", .family = 6, .ext = {60}, .ext_cnt = 1, .ext_len = 200, SHORT(0), .cut = 1500, .want = QB_XDP_PASS_TRUNCATED},
	/* truncation, layer by layer */
	{"ethernet alone", .family = 4, SHORT(0), .cut = 52, .want = QB_XDP_PASS_TRUNCATED},
	{"vlan tag cut", .tags = 1, .family = 4, SHORT(0), .cut = 54, .want = QB_XDP_PASS_TRUNCATED},
	{"v4 header cut", .family = 4, SHORT(0), .cut = 33, .want = QB_XDP_PASS_TRUNCATED},
	{"v6 header cut", .family = 6, SHORT(0), .cut = 33, .want = QB_XDP_PASS_TRUNCATED},
	{"udp header cut", .family = 4, SHORT(0), .cut = 25, .want = QB_XDP_PASS_TRUNCATED},
	/* size */
	{"largest", .family = 4, SHORT(1), .extra = QB_BPF_FRAME_BYTES_MAX - 66, .want = QB_XDP_STEERED_SHORT, .worker = 1},
	{"too large", .family = 4, SHORT(1), .extra = QB_BPF_FRAME_BYTES_MAX - 65, .want = QB_XDP_PASS_TOO_LARGE},
	{"several buffers", .family = 4, SHORT(1), .extra = 8000, .want = QB_XDP_PASS_TOO_LARGE},
};
/* clang-format on */

static const uint8_t src4[4] = {192, 0, 2, 1}, dst4[4] = {192, 0, 2, 2}, other4[4] = {192, 0, 2, 3};
static const uint8_t src6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
static const uint8_t dst6[16] = {0x20, 1, 0xd, 0xb8, [15] = 2};
static const uint8_t other6[16] = {0x20, 1, 0xd, 0xb8, [15] = 3};

static struct xdp_steer *skel;
static int socks[WORKERS];

struct packet {
	uint8_t data[16384];
	uint32_t len;
};

static uint8_t *grow(struct packet *p, uint32_t n)
{
	uint8_t *at = p->data + p->len;

	memset(at, 0, n);
	p->len += n;
	return at;
}

static void put_eth(struct packet *p, const struct spec *s)
{
	uint16_t type = s->family == 6 ? 0x86dd : 0x0800;
	uint8_t *e = grow(p, 12);

	memset(e, 2, 12);
	for (int i = 0; i < s->tags; i++) {
		uint8_t *tag = grow(p, 4);

		qb_store_be16(tag, s->tags > 1 && i == 0 ? 0x88a8 : 0x8100);
		qb_store_be16(tag + 2, (uint16_t)(100 + i));
	}
	qb_store_be16(grow(p, 2), s->ethertype ? s->ethertype : type);
}

static void put_ip4(struct packet *p, const struct spec *s)
{
	uint32_t len = s->flags & IP_OPTIONS ? 24 : 20;
	uint8_t *ip = grow(p, len);

	ip[0] = (uint8_t)(0x40 | len / 4);
	if (s->flags & DONT_FRAGMENT)
		qb_store_be16(ip + 6, 0x4000);
	if (s->flags & FRAGMENT_FIRST)
		qb_store_be16(ip + 6, 0x2000);
	if (s->flags & FRAGMENT_LATER)
		qb_store_be16(ip + 6, 185);
	ip[8] = 64;
	ip[9] = s->proto ? s->proto : 17;
	memcpy(ip + 12, src4, 4);
	memcpy(ip + 16, s->flags & OTHER_HOST ? other4 : dst4, 4);
}

static void put_ip6(struct packet *p, const struct spec *s)
{
	uint8_t last = s->proto ? s->proto : 17;
	uint8_t *ip = grow(p, 40);

	ip[0] = 0x60;
	ip[6] = s->ext_cnt ? s->ext[0] : last;
	ip[7] = 64;
	memcpy(ip + 8, src6, 16);
	memcpy(ip + 24, s->flags & OTHER_HOST ? other6 : dst6, 16);
	for (int i = 0; i < s->ext_cnt; i++) {
		uint8_t *ext = grow(p, 8 + 8u * s->ext_len);

		ext[0] = i + 1 < s->ext_cnt ? s->ext[i + 1] : last;
		ext[1] = s->ext_len;
	}
}

static void build(struct packet *p, const struct spec *s, uint16_t src_port)
{
	uint8_t *udp;

	p->len = 0;
	put_eth(p, s);
	if (s->family == 6)
		put_ip6(p, s);
	else
		put_ip4(p, s);
	udp = grow(p, 8);
	qb_store_be16(udp, src_port);
	qb_store_be16(udp + 2, s->flags & OTHER_PORT ? PORT + 1 : PORT);
	memcpy(grow(p, s->quic_len), s->quic, s->quic_len);
	grow(p, s->extra);
	p->len -= s->cut;
	qb_store_be16(udp + 4,
		      (uint16_t)(8 + s->quic_len + s->extra - QB_MIN(s->cut, s->quic_len)));
}

static int run(const struct packet *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = p->len);

	ck_assert_int_eq(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.qb_xdp_steer), &opts),
			 0);
	return (int)opts.retval;
}

static uint64_t counter(uint32_t reason)
{
	uint64_t v[256] = {0}, sum = 0;
	int cpus = libbpf_num_possible_cpus();

	ck_assert_int_le(cpus, 256);
	ck_assert_int_eq(bpf_map__lookup_elem(skel->maps.counters, &reason, sizeof(reason), v,
					      (size_t)cpus * 8, 0),
			 0);
	for (int i = 0; i < cpus; i++)
		sum += v[i];
	return sum;
}

static void put_socket(uint32_t key, bool is_there)
{
	if (is_there)
		ck_assert_int_eq(bpf_map__update_elem(skel->maps.xsks, &key, 4, &socks[key], 4, 0),
				 0);
	else
		(void)bpf_map__delete_elem(skel->maps.xsks, &key, 4, 0);
}

static void add_local(uint8_t family, const uint8_t *ip, size_t len)
{
	struct qb_bpf_local key = {.family = family};
	uint8_t one = 1;

	memcpy(key.ip, ip, len);
	ck_assert_int_eq(bpf_map__update_elem(skel->maps.locals, &key, sizeof(key), &one, 1, 0), 0);
}

static void setup(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	skel = xdp_steer__open();
	ck_assert_ptr_nonnull(skel);
	skel->rodata->worker_cnt = WORKERS;
	skel->rodata->hash_seed = 12345;
	ck_assert_int_eq(bpf_map__set_max_entries(skel->maps.xsks, WORKERS), 0);
	ck_assert_int_eq(xdp_steer__load(skel), 0);
	skel->bss->port_bits[PORT / 64] |= UINT64_C(1) << PORT % 64;
	add_local(4, dst4, 4);
	add_local(6, dst6, 16);
	for (uint32_t w = 0; w < WORKERS; w++) {
		socks[w] = socket(AF_XDP, SOCK_RAW, 0);
		ck_assert_int_ge(socks[w], 0);
	}
}

static void teardown(void)
{
	for (uint32_t w = 0; w < WORKERS; w++)
		close(socks[w]);
	xdp_steer__destroy(skel);
}

static bool is_steered(enum qb_xdp_reason r)
{
	return r <= QB_XDP_STEERED_LAST;
}

static int verdict_of(enum qb_xdp_reason r)
{
	if (r == QB_XDP_DROP_GUARD)
		return DROP;
	return is_steered(r) ? REDIRECT : PASS;
}

/* Runs a packet and checks that exactly one counter, the named one, moved. */
static void expect(const struct spec *s, const struct packet *p, enum qb_xdp_reason want,
		   int want_action)
{
	uint64_t before[QB_XDP_REASON_CNT];
	int action;

	for (uint32_t r = 0; r < QB_XDP_REASON_CNT; r++)
		before[r] = counter(r);
	action = run(p);
	ck_assert_msg(action == want_action, "%s: action %d", s->name, action);
	for (uint32_t r = 0; r < QB_XDP_REASON_CNT; r++)
		ck_assert_msg(counter(r) - before[r] == (r == want), "%s: counter %u moved by %d",
			      s->name, r, (int)(counter(r) - before[r]));
}

/* With every worker's socket there. */
START_TEST(verdicts)
{
	const struct spec *s = &specs[_i];
	struct packet p;

	for (uint32_t w = 0; w < WORKERS; w++)
		put_socket(w, true);
	build(&p, s, 50000);
	expect(s, &p, s->want, verdict_of(s->want));
}
END_TEST

/* Without any, the kernel gets what would have been steered. */
START_TEST(no_sockets)
{
	const struct spec *s = &specs[_i];
	struct packet p;

	build(&p, s, 50000);
	expect(s, &p, is_steered(s->want) ? QB_XDP_PASS_NO_SOCKET : s->want,
	       s->want == QB_XDP_DROP_GUARD ? DROP : PASS);
}
END_TEST

/* With only the named worker's socket there it is that one, and with all but that one it is none.
 */
START_TEST(right_worker)
{
	const struct spec *s = &specs[_i];
	struct packet p;

	if (!is_steered(s->want) || s->worker < 0)
		return;
	build(&p, s, 50000);
	put_socket((uint32_t)s->worker, true);
	expect(s, &p, s->want, REDIRECT);
	for (uint32_t w = 0; w < WORKERS; w++)
		put_socket(w, w != (uint32_t)s->worker);
	expect(s, &p, QB_XDP_PASS_NO_SOCKET, PASS);
}
END_TEST

static uint32_t worker_of(const struct packet *p)
{
	uint32_t found = WORKERS;

	for (uint32_t w = 0; w < WORKERS; w++) {
		for (uint32_t k = 0; k < WORKERS; k++)
			put_socket(k, k == w);
		if (run(p) != REDIRECT)
			continue;
		ck_assert_uint_eq(found, WORKERS);
		found = w;
	}
	ck_assert_uint_lt(found, WORKERS);
	return found;
}

/* Initials of many clients spread over all workers; one client's stay together whatever their CIDs.
 */
START_TEST(initials_spread)
{
	uint32_t seen[WORKERS] = {0};

	for (uint16_t port = 40000; port < 40200; port++) {
		struct spec s = {.family = port & 1 ? 6 : 4, LONG(0xc0, V1, 8, 77)};
		struct packet p;
		uint32_t w;

		build(&p, &s, port);
		w = worker_of(&p);
		seen[w]++;
		s.quic[6] ^= 0xff;
		s.quic[0] = 0xd0;
		build(&p, &s, port);
		ck_assert_uint_eq(worker_of(&p), w);
	}
	for (uint32_t w = 0; w < WORKERS; w++)
		ck_assert_uint_ge(seen[w], 20);
}
END_TEST

/* What is steered carries the time in front of it; what goes on to the kernel is as it was. */
START_TEST(stamps)
{
	static const struct spec steered = {.family = 4, SHORT(1)},
				 passed = {.family = 4, .proto = 6, SHORT(1)};
	static uint8_t out[2048];
	struct xdp_md in_ctx = {0}, out_ctx = {0};
	struct qb_bpf_stamp stamp;
	struct timespec before, after;
	struct packet p;

	for (int k = 0; k < 2; k++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p.data, .data_out = out,
			    .data_size_out = sizeof(out), .ctx_in = &in_ctx,
			    .ctx_size_in = sizeof(in_ctx), .ctx_out = &out_ctx,
			    .ctx_size_out = sizeof(out_ctx));

		put_socket(1, true);
		build(&p, k ? &passed : &steered, 50000);
		opts.data_size_in = in_ctx.data_end = p.len;
		clock_gettime(CLOCK_MONOTONIC, &before);
		ck_assert_int_eq(
			bpf_prog_test_run_opts(bpf_program__fd(skel->progs.qb_xdp_steer), &opts),
			0);
		clock_gettime(CLOCK_MONOTONIC, &after);
		ck_assert_uint_eq(opts.retval, k ? PASS : REDIRECT);
		ck_assert_uint_eq(out_ctx.data - out_ctx.data_meta, k ? 0 : sizeof(stamp));
		ck_assert_mem_eq(out + (k ? 0 : sizeof(stamp)), p.data, p.len);
		memcpy(&stamp, out, sizeof(stamp));
		if (k)
			continue;
		ck_assert_uint_eq(stamp.seed, 12345);
		ck_assert_uint_ge(stamp.ns, (uint64_t)before.tv_sec * QB_NS_PER_SEC +
						    (uint64_t)before.tv_nsec);
		ck_assert_uint_le(stamp.ns,
				  (uint64_t)after.tv_sec * QB_NS_PER_SEC + (uint64_t)after.tv_nsec);
	}
}
END_TEST

START_TEST(constants_agree)
{
	ck_assert_int_eq((int)QB_BPF_CID_LEN, (int)QB_CID_LEN);
	ck_assert_int_eq((int)QB_BPF_CID_WORKER_OFF, (int)QB_CID_WORKER_OFF);
	ck_assert_int_eq((int)QB_BPF_FRAME_BYTES_MAX, (int)QB_FRAME_BYTES - 256);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bpf/xdp_steer");
	TCase *tc = tcase_create("fixtures");
	SRunner *sr;
	int failed;

	if (geteuid() != 0) {
		printf("SKIP: loading BPF programs needs root\n");
		return 77;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, verdicts, 0, (int)QB_ARRAY_LEN(specs));
	tcase_add_loop_test(tc, no_sockets, 0, (int)QB_ARRAY_LEN(specs));
	tcase_add_loop_test(tc, right_worker, 0, (int)QB_ARRAY_LEN(specs));
	tcase_add_test(tc, initials_spread);
	tcase_add_test(tc, stamps);
	tcase_add_test(tc, constants_agree);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
