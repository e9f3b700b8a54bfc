/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings, scripts and statistics as text; then the UDP proxy with its control socket, over
 * loopback. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/os.h"
#include "tools/netem_host.h"

enum { CAP = 64, PATIENCE_MS = 5000 };

static char err[QB_NETEM_ERR_LEN];

/* ---- parameters ---- */

static const struct {
	const char *name, *text, *shown; /* shown NULL: refused */
} param_rows[] = {
	{"rate", "300M", "300000000"},
	{"rate", "1.5Gbit", "1500000000"},
	{"rate", "64kbit", "64000"},
	{"rate", "0", "0"},
	{"rate", "-1", NULL},
	{"rate", "1e6", NULL},
	{"rate", "0x10", NULL},
	{"rate", "inf", NULL},
	{"rate", "", NULL},
	{"rate", "1 M", NULL},
	{"rate", "10Mb", NULL},
	{"rate", "99999999999G", NULL},
	{"delay", "50ms", "50ms"},
	{"delay", "0.25ms", "0.25ms"},
	{"delay", "1s", "1000ms"},
	{"delay", "0", "0"},
	{"delay", "50", NULL},
	{"dist", "normal", "normal"},
	{"dist", "pareto", NULL},
	{"loss", "0.1", "0.1"},
	{"loss", "100%", "100"},
	{"loss", "101", NULL},
	{"burst", "1", NULL},
	{"burst", "1,200", NULL},
	{"burst-p", "1%", "1"},
	{"limit", "100", "100p"},
	{"limit", "64kB", "64000B"},
	{"limit", "50ms", "50ms"},
	{"limit", "100p,50ms,1MB", "100p,1000000B,50ms"},
	{"limit", "0", "0"},
	{"limit", "50ms,", NULL},
	{"limit", "many", NULL},
	{"overhead", "-14", "-14"},
	{"overhead", "99999", NULL},
	{"reorder-gap", "5", "5"},
	{"mtu", "1400", "1400"},
	{"mtu", "5000000000", NULL},
	{"down", "on", "1"},
	{"down", "maybe", NULL},
	{"sideways", "1", NULL},
};

START_TEST(test_param)
{
	struct qb_netem_params p = qb_netem_params_default();
	const struct qb_netem_params before = p;
	char shown[QB_NETEM_VALUE_LEN];
	int ret = qb_netem_params_set(&p, param_rows[_i].name, param_rows[_i].text, err);

	if (!param_rows[_i].shown) {
		ck_assert_int_eq(ret, -EINVAL);
		ck_assert_uint_gt(strlen(err), 0);
		ck_assert_mem_eq(&p, &before, sizeof(p));
		return;
	}
	ck_assert_int_eq(ret, 0);
	for (const struct qb_netem_key *k = qb_netem_keys; k->name; k++) {
		if (strcmp(k->name, param_rows[_i].name))
			continue;
		k->format((const char *)&p + k->offset, shown);
		ck_assert_str_eq(shown, param_rows[_i].shown);
		/* What is shown can be set. */
		ck_assert_int_eq(qb_netem_params_set(&p, k->name, shown, err), 0);
	}
}
END_TEST

/* ---- a link ---- */

static struct qb_netem_link lnk;
static void *mem[2];

static void link_open(void)
{
	for (int i = 0; i < 2; i++)
		mem[i] = aligned_alloc(16, (qb_netem_footprint(CAP) + 15) & ~(size_t)15);
	qb_netem_link_init(&lnk, mem, CAP, 1, 14, 1000);
}

static void link_close(void)
{
	qb_netem_link_fini(&lnk);
	free(mem[0]);
	free(mem[1]);
}

START_TEST(test_set)
{
	link_open();
	ck_assert_int_eq(
		qb_netem_link_set(&lnk, " ab.rate=1M  ba.loss=50 delay=5.5ms\n", 2000, err), 0);
	ck_assert_uint_eq(lnk.dir[0].params.rate_bps, 1000000);
	ck_assert_uint_eq(lnk.dir[1].params.rate_bps, 0);
	ck_assert(lnk.dir[0].params.loss == 0 && lnk.dir[1].params.loss == 0.5);
	ck_assert_uint_eq(lnk.dir[0].params.delay_ns, 5500000);
	ck_assert_uint_eq(lnk.dir[1].params.delay_ns, 5500000);
	ck_assert_int_eq(
		qb_netem_link_set(&lnk, "up.down=1 down.rate=2M both.burst=1,50", 3000, err), 0);
	ck_assert(lnk.dir[0].params.is_down && !lnk.dir[1].params.is_down);
	ck_assert_uint_eq(lnk.dir[1].params.rate_bps, 2000000);
	ck_assert(lnk.dir[0].params.ge_r == 0.5);
	/* All or nothing. */
	ck_assert_int_eq(qb_netem_link_set(&lnk, "ab.rate=9M ba.loss=fifty", 4000, err), -EINVAL);
	ck_assert_uint_eq(lnk.dir[0].params.rate_bps, 1000000);
	ck_assert_int_eq(qb_netem_link_set(&lnk, "left.rate=9M", 4000, err), -EINVAL);
	ck_assert_int_eq(qb_netem_link_set(&lnk, "rate", 4000, err), -EINVAL);
	ck_assert_int_eq(qb_netem_link_set(&lnk, "", 4000, err), 0);
	link_close();
}
END_TEST

START_TEST(test_script)
{
	const uint64_t s = QB_NS_PER_SEC;

	link_open();
	ck_assert_int_eq(qb_netem_link_script(&lnk, "10s both.down=1; 12s down=0 ab.loss=5;", err),
			 0);
	ck_assert_uint_eq(qb_netem_link_deadline_ns(&lnk), 10 * s + 1000);
	qb_netem_link_run(&lnk, 10 * s);
	ck_assert(!lnk.dir[0].params.is_down);
	qb_netem_link_run(&lnk, 10 * s + 1000);
	ck_assert(lnk.dir[0].params.is_down && lnk.dir[1].params.is_down);
	qb_netem_link_run(&lnk, 60 * s);
	ck_assert(!lnk.dir[0].params.is_down);
	ck_assert(lnk.dir[0].params.loss == 0.05);
	ck_assert_uint_eq(qb_netem_link_deadline_ns(&lnk), QB_NEVER_NS);

	ck_assert_int_eq(qb_netem_link_script(&lnk, "soon down=1", err), -EINVAL);
	ck_assert_int_eq(qb_netem_link_script(&lnk, "2s down=1; 1s down=0", err), -EINVAL);
	ck_assert_int_eq(qb_netem_link_script(&lnk, "2s dwon=1", err), -EINVAL);
	link_close();
}
END_TEST

START_TEST(test_json)
{
	static char text[QB_NETEM_ANSWER_LEN];
	json_t *j, *ab;
	char pkt = 0;

	link_open();
	/* The longest figures fit. */
	memset(&lnk.dir[0].stats, 0xff, sizeof(lnk.dir[0].stats));
	memset(&lnk.dir[1].stats, 0xff, sizeof(lnk.dir[1].stats));
	memset(lnk.io_drops, 0xff, sizeof(lnk.io_drops));
	qb_netem_link_json(&lnk, 2000, text, sizeof(text));
	memset(&lnk.dir[0].stats, 0, sizeof(lnk.dir[0].stats));
	memset(&lnk.dir[1].stats, 0, sizeof(lnk.dir[1].stats));
	memset(lnk.io_drops, 0, sizeof(lnk.io_drops));

	ck_assert_int_eq(qb_netem_link_set(&lnk, "ab.rate=8000 ab.limit=1p", 2000, err), 0);
	ck_assert_int_eq(qb_netem_enqueue(&lnk.dir[0], &pkt, 100, 2000), QB_NETEM_TAKEN);
	ck_assert_int_eq(qb_netem_enqueue(&lnk.dir[0], &pkt, 100, 2000), QB_NETEM_DROP_QUEUE);
	ck_assert_uint_eq(qb_netem_link_json(&lnk, 2000, text, sizeof(text)), strlen(text));
	j = json_loads(text, 0, NULL);
	ck_assert_ptr_nonnull(j);
	ab = json_object_get(j, "ab");
	ck_assert_int_eq(json_integer_value(json_object_get(ab, "packets_in")), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(ab, "queue_packets")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(ab, "queue_us")), 100000);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(ab, "drops"), "queue")),
			 1);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(ab, "drops"), "total")),
			 1);
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(ab, "params"), "limit")),
			 "1p");
	ck_assert_ptr_nonnull(json_object_get(j, "ba"));
	json_decref(j);
	link_close();
}
END_TEST

/* ---- the proxy ---- */

static struct qb_netem_host host;
static struct qb_netem_control *control;
static pthread_t runner;
static char sock_path[64], proxy_addr[32];
static struct sockaddr_in proxy_sin;
static int server;

static int udp_open(struct sockaddr_in *sin)
{
	socklen_t len = sizeof(*sin);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	*sin = (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)sin, sizeof(*sin)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)sin, &len), 0);
	return fd;
}

static void *run(void *arg)
{
	(void)arg;
	qb_netem_host_run(&host);
	return NULL;
}

static void proxy_open(void)
{
	struct sockaddr_in sin;
	char upstream[32];
	int fd;

	server = udp_open(&sin);
	snprintf(upstream, sizeof(upstream), "127.0.0.1:%d", ntohs(sin.sin_port));
	/* A port that is free, as it was a moment ago. */
	fd = udp_open(&proxy_sin);
	close(fd);
	snprintf(proxy_addr, sizeof(proxy_addr), "127.0.0.1:%d", ntohs(proxy_sin.sin_port));
	snprintf(sock_path, sizeof(sock_path), "/tmp/test_netem_link.%d", getpid());
	ck_assert_msg(qb_netem_proxy_open(&host, proxy_addr, upstream, 1000, 1, err) == 0, "%s",
		      err);
	ck_assert_int_eq(qb_netem_control_open(&host, sock_path, &control), 0);
	ck_assert_int_eq(pthread_create(&runner, NULL, run, NULL), 0);
}

static json_t *ask(const char *line)
{
	char answer[QB_NETEM_ANSWER_LEN];

	ck_assert_msg(qb_netem_control_ask(sock_path, line, answer, err) == 0, "%s", err);
	return json_loads(answer, 0, NULL);
}

static void proxy_close(void)
{
	ask("quit");
	pthread_join(runner, NULL);
	qb_netem_control_close(control);
	ck_assert_int_ne(access(sock_path, F_OK), 0);
	qb_netem_proxy_close(&host);
	close(server);
}

/* recv_from waits for a datagram. Returns its length, or -1 when none comes. */
static ssize_t recv_from(int fd, char *buf, size_t room, struct sockaddr_in *from, int wait_ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	socklen_t len = sizeof(*from);

	if (poll(&pfd, 1, wait_ms) != 1)
		return -1;
	return recvfrom(fd, buf, room, 0, (struct sockaddr *)from, from ? &len : NULL);
}

static void send_to(int fd, const char *text, const struct sockaddr_in *to)
{
	ck_assert_int_eq(
		sendto(fd, text, strlen(text), 0, (const struct sockaddr *)to, sizeof(*to)),
		(ssize_t)strlen(text));
}

START_TEST(test_proxy)
{
	struct sockaddr_in sin, from[3];
	char buf[2048];
	int clients[3];
	uint64_t from_ns;
	json_t *j;

	proxy_open();
	ask("set up.delay=20ms down.delay=10ms");
	/* Each client is somebody of its own to the server, and gets its own answers. */
	for (int i = 0; i < 3; i++) {
		clients[i] = udp_open(&sin);
		snprintf(buf, sizeof(buf), "client %d", i);
		from_ns = qb_now_ns();
		send_to(clients[i], buf, &proxy_sin);
		ck_assert_int_eq(recv_from(server, buf, sizeof(buf), &from[i], PATIENCE_MS), 8);
		ck_assert_int_eq(buf[7], '0' + i);
		ck_assert_uint_ge(qb_now_ns() - from_ns, 20 * QB_NS_PER_MS);
		for (int k = 0; k < i; k++)
			ck_assert_int_ne(from[i].sin_port, from[k].sin_port);
	}
	for (int i = 2; i >= 0; i--) {
		snprintf(buf, sizeof(buf), "answer %d", i);
		send_to(server, buf, &from[i]);
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(recv_from(clients[i], buf, sizeof(buf), &sin, PATIENCE_MS), 8);
		ck_assert_int_eq(buf[7], '0' + i);
		ck_assert_int_eq(sin.sin_port, proxy_sin.sin_port);
	}
	/* The same socket again. */
	send_to(clients[1], "more", &proxy_sin);
	ck_assert_int_eq(recv_from(server, buf, sizeof(buf), &sin, PATIENCE_MS), 4);
	ck_assert_int_eq(sin.sin_port, from[1].sin_port);

	j = ask("stats");
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(j, "ab"), "packets_out")), 4);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(j, "ba"), "bytes_out")),
			 3 * (8 + 28));
	json_decref(j);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	proxy_close();
}
END_TEST

START_TEST(test_proxy_impairments)
{
	struct sockaddr_in sin;
	char buf[2048], sent[1001] = {0};
	int client = udp_open(&sin), flipped = 0;

	proxy_open();
	memset(sent, 'x', 1000);
	ask("set up.corrupt=100");
	send_to(client, sent, &proxy_sin);
	ck_assert_int_eq(recv_from(server, buf, sizeof(buf), NULL, PATIENCE_MS), 1000);
	for (int i = 0; i < 1000; i++)
		flipped += __builtin_popcount((uint8_t)(buf[i] ^ sent[i]));
	ck_assert_int_eq(flipped, 1);

	/* Often enough for a flip of any bit to be among the first eight bytes. */
	ask("set up.corrupt-from=8");
	for (int n = 0; n < 200; n++) {
		send_to(client, "the headand a tail", &proxy_sin);
		ck_assert_int_eq(recv_from(server, buf, sizeof(buf), NULL, PATIENCE_MS), 18);
		ck_assert(memcmp(buf, "the head", 8) == 0 && memcmp(buf, "the headand a tail", 18) != 0);
	}
	send_to(client, "too few", &proxy_sin);
	ck_assert_int_eq(recv_from(server, buf, sizeof(buf), NULL, PATIENCE_MS), 7);
	ck_assert(memcmp(buf, "too few", 7) == 0);

	ask("set up.corrupt=0 up.corrupt-from=0 up.dup=100");
	send_to(client, "twice", &proxy_sin);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(recv_from(server, buf, sizeof(buf), NULL, PATIENCE_MS), 5);

	ask("set up.dup=0 up.down=1");
	send_to(client, "lost", &proxy_sin);
	ck_assert_int_eq(recv_from(server, buf, sizeof(buf), NULL, 50), -1);
	ask("set up.down=0");
	send_to(client, "back again", &proxy_sin);
	ck_assert_int_eq(recv_from(server, buf, sizeof(buf), NULL, PATIENCE_MS), 10);
	close(client);
	proxy_close();
}
END_TEST

START_TEST(test_control_refuses)
{
	static const struct {
		const char *line, *why;
	} rows[] = {
		{"set rate=fast", "rate=fast: expected BITS/S"},
		{"set", "the commands are"},
		{"", "the commands are"},
		{"dance", "the commands are"},
	};
	char answer[QB_NETEM_ANSWER_LEN], again[QB_NETEM_ERR_LEN];
	struct qb_netem_control *other;

	proxy_open();
	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++) {
		ck_assert_int_eq(qb_netem_control_ask(sock_path, rows[i].line, answer, again),
				 -EREMOTEIO);
		ck_assert_msg(strncmp(again, rows[i].why, strlen(rows[i].why)) == 0, "%s", again);
	}
	/* One that is alive keeps its socket. */
	ck_assert_int_eq(qb_netem_control_open(&host, sock_path, &other), -EADDRINUSE);
	proxy_close();
	ck_assert_int_eq(qb_netem_control_ask(sock_path, "stats", answer, again), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("netem_link");
	TCase *tc = tcase_create("text"), *io = tcase_create("proxy");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, test_param, 0, QB_ARRAY_LEN(param_rows));
	tcase_add_test(tc, test_set);
	tcase_add_test(tc, test_script);
	tcase_add_test(tc, test_json);
	tcase_set_timeout(io, 30);
	tcase_add_test(io, test_proxy);
	tcase_add_test(io, test_proxy_impairments);
	tcase_add_test(io, test_control_refuses);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, io);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
