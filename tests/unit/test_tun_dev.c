/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TUN device with the kernel's own TCP and UDP on either side. Two devices in two new network
 * namespaces, and the test is the wire between them:
 *
 *     namespace a: socket - qba0 <-> qb_tun_read, qb_tun_write <-> qbb0 - socket: namespace b
 */
#include <check.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tun/tun.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { FRAME_CNT = 1024, TRANSFER_BYTES = 16 << 20, GIVE_UP_S = 60 };

struct side {
	int ns_fd;
	struct qb_tun *tun;
	struct qb_counters cnt; /* reads of this side's device, writes to it */
};

static struct side side[2];
static _Alignas(4096) uint8_t frames[FRAME_CNT * QB_FRAME_BYTES];
static struct qb_buf bufs[FRAME_CNT];
static struct qb_depot depot;
static struct qb_pool pool;

static uint8_t content[TRANSFER_BYTES];

static void fill_content(void)
{
	for (uint32_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i * 131 + (i >> 8) * 7 + (i >> 16));
}

static uint64_t total(enum qb_counter id)
{
	return qb_counter_read(&side[0].cnt, id) + qb_counter_read(&side[1].cnt, id);
}

static void open_side(struct side *s, const char *name, const char *net4, const char *net6,
		      bool has_offload)
{
	char err[160] = "", cmd[300];

	memset(s, 0, sizeof(*s));
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	s->ns_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(s->ns_fd, 0);
	ck_assert_msg(qb_tun_open(name, 1, has_offload, &s->tun, err) == 0, "%s", err);
	ck_assert_str_eq(qb_tun_name(s->tun), name);
	ck_assert_uint_eq(qb_tun_ifindex(s->tun), if_nametoindex(name));
	snprintf(cmd, sizeof(cmd),
		 "ip addr add %s dev %s && ip addr add %s dev %s nodad && ip link set %s mtu 1400 "
		 "up",
		 net4, name, net6, name, name);
	ck_assert_msg(system(cmd) == 0, "%s", cmd);
}

static void open_both(bool has_offload)
{
	qb_depot_init(&depot, frames, bufs, FRAME_CNT);
	qb_pool_init(&pool, &depot);
	open_side(&side[0], "qba0", "10.9.0.1/24", "fd09::1/64", has_offload);
	open_side(&side[1], "qbb0", "10.9.0.2/24", "fd09::2/64", has_offload);
}

static void close_both(void)
{
	for (int i = 0; i < 2; i++) {
		qb_tun_close(side[i].tun);
		close(side[i].ns_fd);
	}
	/* Every buffer came home. */
	qb_pool_fini(&pool);
	ck_assert_uint_eq(depot.free_cnt, FRAME_CNT);
}

/* carry moves packets between the devices until neither has any more. */
static void carry(void)
{
	struct qb_batch batch = {0};
	bool is_busy = true;

	while (is_busy) {
		is_busy = false;
		for (int i = 0; i < 2; i++) {
			struct qb_tun_queue *from = qb_tun_queue(side[i].tun, 0),
					    *to = qb_tun_queue(side[!i].tun, 0);

			if (qb_tun_read(from, &pool, &side[i].cnt, &batch, 42) == 0)
				continue;
			ck_assert_uint_eq(batch.buf[0]->rx_ns, 42);
			ck_assert_uint_eq(qb_buf_headroom(&depot, batch.buf[0]), QB_HEADROOM);
			qb_tun_write(to, &pool, &side[!i].cnt, &batch);
			ck_assert_uint_eq(batch.cnt, 0);
			is_busy = true;
		}
		ck_assert(is_busy || !qb_tun_has_pending(qb_tun_queue(side[0].tun, 0)));
	}
}

static socklen_t address(bool is_v6, int which, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in *a4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (is_v6) {
		a6->sin6_family = AF_INET6;
		a6->sin6_port = htons(port);
		inet_pton(AF_INET6, which ? "fd09::2" : "fd09::1", &a6->sin6_addr);
		return sizeof(*a6);
	}
	a4->sin_family = AF_INET;
	a4->sin_port = htons(port);
	inet_pton(AF_INET, which ? "10.9.0.2" : "10.9.0.1", &a4->sin_addr);
	return sizeof(*a4);
}

static int open_socket(int which, bool is_v6, int type)
{
	struct sockaddr_storage ss;
	socklen_t len = address(is_v6, which, 5000, &ss);
	int fd, one = 1;

	ck_assert_int_eq(setns(side[which].ns_fd, CLONE_NEWNET), 0);
	fd = socket(is_v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

struct stream {
	int fd;
	uint64_t tx, rx;
};

static void pump(struct stream *s)
{
	static uint8_t buf[1 << 16];
	uint64_t n = QB_MIN((uint64_t)sizeof(buf), TRANSFER_BYTES - s->tx);
	ssize_t got = n ? send(s->fd, content + s->tx, n, MSG_NOSIGNAL) : 0;

	if (got > 0)
		s->tx += (uint64_t)got;
	while ((got = recv(s->fd, buf, sizeof(buf), 0)) > 0) {
		ck_assert_uint_le(s->rx + (uint64_t)got, TRANSFER_BYTES);
		ck_assert_mem_eq(buf, content + s->rx, (size_t)got);
		s->rx += (uint64_t)got;
	}
}

static void wait_for_input(const struct stream s[2])
{
	struct pollfd p[4] = {
		{qb_tun_queue_fd(qb_tun_queue(side[0].tun, 0)), POLLIN, 0},
		{qb_tun_queue_fd(qb_tun_queue(side[1].tun, 0)), POLLIN, 0},
		{s[0].fd, POLLIN, 0},
		{s[1].fd, POLLIN, 0},
	};

	poll(p, 4, 100);
}

/* TCP at full tilt in both directions at once. */
static void transfer(bool is_v6)
{
	int listen_fd = open_socket(0, is_v6, SOCK_STREAM),
	    client_fd = open_socket(1, is_v6, SOCK_STREAM);
	struct stream s[2] = {{.fd = -1}, {.fd = client_fd}};
	struct sockaddr_storage ss;
	socklen_t len = address(is_v6, 0, 5000, &ss);
	time_t give_up = time(NULL) + GIVE_UP_S;

	ck_assert_int_eq(listen(listen_fd, 1), 0);
	ck_assert(connect(client_fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS);
	while (s[0].fd < 0 && time(NULL) < give_up) {
		carry();
		s[0].fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	ck_assert_int_ge(s[0].fd, 0);
	while ((s[0].rx < TRANSFER_BYTES || s[1].rx < TRANSFER_BYTES) && time(NULL) < give_up) {
		pump(&s[0]);
		pump(&s[1]);
		carry();
		wait_for_input(s);
	}
	ck_assert_uint_eq(s[0].rx, TRANSFER_BYTES);
	ck_assert_uint_eq(s[1].rx, TRANSFER_BYTES);
	close(s[0].fd);
	close(s[1].fd);
	close(listen_fd);
}

static const struct transfer_case {
	bool is_v6, has_offload;
} transfer_cases[] = {{false, true}, {true, true}, {false, false}, {true, false}};

START_TEST(tcp_both_ways)
{
	const struct transfer_case *c = &transfer_cases[_i];

	open_both(c->has_offload);
	transfer(c->is_v6);
	ck_assert_uint_eq(total(QB_CNT_DROP_TUN_MALFORMED), 0);
	ck_assert_uint_eq(total(QB_CNT_DROP_TUN_WRITE), 0);
	ck_assert_uint_eq(total(QB_CNT_DROP_NO_BUFFER), 0);
	ck_assert_uint_eq(total(QB_CNT_TUN_RX), total(QB_CNT_TUN_TX));
	ck_assert_uint_eq(total(QB_CNT_TUN_RX_BYTES), total(QB_CNT_TUN_TX_BYTES));
	ck_assert_uint_ge(total(QB_CNT_TUN_RX_BYTES), total(QB_CNT_TUN_RX) * 20);
	for (int i = 0; i < 2; i++) {
		uint64_t rx_super = qb_counter_read(&side[i].cnt, QB_CNT_TUN_RX_SUPER);
		uint64_t tx_super = qb_counter_read(&side[i].cnt, QB_CNT_TUN_TX_SUPER);

		/* At the very least eight packets to a super-packet on the average. */
		ck_assert_uint_eq(c->has_offload, rx_super > 0 && tx_super > 0);
		if (c->has_offload)
			ck_assert_uint_gt(qb_counter_read(&side[i].cnt, QB_CNT_TUN_TX),
					  tx_super * 8);
	}
	close_both();
}
END_TEST

/* One send of 20 datagrams with UDP_SEGMENT arrives as the same 20, odd last one included. */
START_TEST(udp_super_packet)
{
	const size_t len_all = 20 * 1000 - 333;
	uint8_t got[2000];
	bool is_v6 = _i;
	struct sockaddr_storage ss;
	int from, to, size = 1000;
	socklen_t len;

	open_both(true);
	from = open_socket(0, is_v6, SOCK_DGRAM);
	to = open_socket(1, is_v6, SOCK_DGRAM);
	len = address(is_v6, 1, 5000, &ss);
	ck_assert_int_eq(setsockopt(from, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)), 0);
	ck_assert_int_eq(sendto(from, content, len_all, 0, (struct sockaddr *)&ss, len), len_all);
	carry();
	for (uint32_t i = 0; i < 20; i++) {
		ssize_t want = i == 19 ? 667 : 1000;

		ck_assert_int_eq(recv(to, got, sizeof(got), 0), want);
		ck_assert_mem_eq(got, content + i * 1000, (size_t)want);
	}
	ck_assert_int_eq(recv(to, got, sizeof(got), 0), -1);
	ck_assert_uint_eq(total(QB_CNT_DROP_TUN_MALFORMED) + total(QB_CNT_DROP_TUN_WRITE), 0);
	ck_assert_uint_ge(qb_counter_read(&side[0].cnt, QB_CNT_TUN_RX), 20);
	close(from);
	close(to);
	close_both();
}
END_TEST

/* send_marked sends single packets and super-packets with a firewall mark, and returns which marks
 * came with all of them. */
static uint16_t send_marked(int from, int to, const struct sockaddr *sa, socklen_t len, int mark)
{
	static const int sizes[] = {700, 9000, 60000};
	uint8_t got[2000];
	struct qb_batch batch = {0};
	int marks = -1;

	ck_assert_int_eq(setsockopt(from, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	for (uint32_t i = 0; i < QB_ARRAY_LEN(sizes); i++)
		ck_assert_int_eq(sendto(from, content, (size_t)sizes[i], 0, sa, len), sizes[i]);
	while (qb_tun_read(qb_tun_queue(side[0].tun, 0), &pool, &side[0].cnt, &batch, 42)) {
		for (uint32_t i = 0; i < batch.cnt; i++) {
			/* The kernel sends some of its own. */
			if (batch.buf[i]->data[batch.buf[i]->data[0] >> 4 == 4 ? 9 : 6] != 17)
				continue;
			ck_assert(marks < 0 || marks == batch.buf[i]->marks);
			marks = batch.buf[i]->marks;
		}
		qb_tun_write(qb_tun_queue(side[1].tun, 0), &pool, &side[1].cnt, &batch);
	}
	for (uint32_t i = 0; i < QB_ARRAY_LEN(sizes); i++)
		for (int at = 0; at < sizes[i]; at += 1000) {
			ssize_t n = QB_MIN(1000, sizes[i] - at);

			ck_assert_int_eq(recv(to, got, sizeof(got), 0), n);
			ck_assert_mem_eq(got, content + at, (size_t)n);
		}
	ck_assert_int_eq(recv(to, got, sizeof(got), 0), -1);
	ck_assert_int_ge(marks, 0);
	return (uint16_t)marks;
}

/* The marks that were asked for are told of with each packet; what the packets are is as ever. */
START_TEST(firewall_marks)
{
	static const struct qb_match_mark wanted[] = {{0x60, 0xf0}, {7, UINT32_MAX}, {1, 1}};
	struct sockaddr_storage ss;
	int from, to, size = 1000, room = 1 << 20;
	char err[160] = "";
	socklen_t len = address(_i, 1, 5000, &ss);
	struct sockaddr *sa = (struct sockaddr *)&ss;

	open_both(true);
	to = open_socket(1, _i, SOCK_DGRAM);
	from = open_socket(0, _i, SOCK_DGRAM); /* the thread stays in that namespace */
	ck_assert_int_eq(setsockopt(from, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)), 0);
	ck_assert_int_eq(setsockopt(to, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)), 0);
	ck_assert_int_eq(qb_tun_set_marks(side[0].tun, NULL, 0, err), 0);
	ck_assert_uint_eq(send_marked(from, to, sa, len, 7), 0);
	ck_assert_msg(!qb_tun_set_marks(side[0].tun, wanted, 3, err), "%s", err);
	ck_assert_uint_eq(send_marked(from, to, sa, len, 0), 0);
	ck_assert_uint_eq(send_marked(from, to, sa, len, 0x1162), 1);
	ck_assert_uint_eq(send_marked(from, to, sa, len, 7), 6);
	ck_assert_uint_eq(send_marked(from, to, sa, len, 0x61), 5);
	ck_assert_uint_eq(send_marked(from, to, sa, len, 8), 0);
	/* Others, while it runs; and none. */
	ck_assert_int_eq(qb_tun_set_marks(side[0].tun, wanted + 1, 1, err), 0);
	ck_assert_uint_eq(send_marked(from, to, sa, len, 7), 1);
	ck_assert_uint_eq(send_marked(from, to, sa, len, 0x61), 0);
	ck_assert_int_eq(qb_tun_set_marks(side[0].tun, NULL, 0, err), 0);
	ck_assert_uint_eq(send_marked(from, to, sa, len, 7), 0);
	ck_assert_uint_eq(total(QB_CNT_DROP_TUN_MALFORMED) + total(QB_CNT_DROP_TUN_WRITE), 0);
	ck_assert_uint_gt(qb_counter_read(&side[0].cnt, QB_CNT_TUN_RX_SUPER), 10);
	close(from);
	close(to);
	close_both();
}
END_TEST

/* A super-packet goes on where the batch before was full; with no buffers it is dropped and
 * counted. */
START_TEST(goes_on_and_runs_dry)
{
	static uint8_t buf[60000];
	struct qb_batch batch = {0}, hoard = {0};
	struct qb_tun_queue *q;
	struct sockaddr_storage ss;
	int fd, size = 500;
	socklen_t len;
	uint32_t cnt = 0;

	open_both(true);
	q = qb_tun_queue(side[0].tun, 0);
	fd = open_socket(0, false, SOCK_DGRAM);
	len = address(false, 1, 5000, &ss);
	carry();
	ck_assert_int_eq(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)), 0);
	ck_assert_int_eq(sendto(fd, buf, sizeof(buf), 0, (struct sockaddr *)&ss, len), sizeof(buf));
	ck_assert_uint_eq(qb_tun_read(q, &pool, &side[0].cnt, &batch, 1), QB_BATCH_MAX);
	for (; batch.cnt; cnt++) {
		ck_assert_uint_eq(batch.buf[0]->len, 528);
		qb_batch_put(&pool, &batch);
		cnt += QB_BATCH_MAX - 1;
		qb_tun_read(q, &pool, &side[0].cnt, &batch, 2);
		if (batch.cnt < QB_BATCH_MAX) {
			cnt += batch.cnt;
			qb_batch_put(&pool, &batch);
		}
	}
	ck_assert_uint_eq(cnt, 120);
	ck_assert(!qb_tun_has_pending(q));

	/* Ten buffers for 120 packets. */
	for (struct qb_buf *b; (b = qb_buf_get(&pool)) != NULL;
	     b->next = hoard.buf[0], hoard.buf[0] = b)
		hoard.cnt++;
	for (uint32_t i = 0; i < 10; i++, hoard.cnt--) {
		struct qb_buf *b = hoard.buf[0];

		hoard.buf[0] = b->next;
		qb_buf_put(&pool, b);
	}
	ck_assert_int_eq(sendto(fd, buf, sizeof(buf), 0, (struct sockaddr *)&ss, len), sizeof(buf));
	while (qb_tun_read(q, &pool, &side[0].cnt, &batch, 3) || qb_tun_has_pending(q))
		;
	ck_assert_uint_eq(batch.cnt, 10);
	ck_assert_uint_ge(total(QB_CNT_DROP_NO_BUFFER), 1);
	ck_assert(!qb_tun_has_pending(q));
	qb_batch_put(&pool, &batch);
	for (struct qb_buf *b = hoard.buf[0], *next; hoard.cnt; b = next, hoard.cnt--) {
		next = b->next;
		qb_buf_put(&pool, b);
	}
	close(fd);
	close_both();
}
END_TEST

START_TEST(opens_and_closes)
{
	struct qb_tun *a, *b;
	char err[160] = "";

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ck_assert_int_eq(qb_tun_open("qbt0", 4, true, &a, err), 0);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_ge(qb_tun_queue_fd(qb_tun_queue(a, i)), 0);
	/* Nobody joins a device that is somebody else's. */
	ck_assert_int_eq(qb_tun_open("qbt0", 1, true, &b, err), -EBUSY);
	ck_assert_ptr_nonnull(strstr(err, "qbt0"));
	ck_assert_int_eq(qb_tun_open("a name too long", 1, true, &b, err), -EINVAL);
	ck_assert_int_eq(qb_tun_open("qbt1", 0, true, &b, err), -EINVAL);
	ck_assert_int_eq(qb_tun_open("qbt%d", 1, false, &b, err), 0);
	ck_assert_str_eq(qb_tun_name(b), "qbt1");
	qb_tun_close(a);
	ck_assert_uint_eq(if_nametoindex("qbt0"), 0);
	qb_tun_close(b);
	ck_assert_uint_eq(if_nametoindex("qbt1"), 0);
	qb_tun_close(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tun_dev");
	TCase *tc = tcase_create("device");
	SRunner *sr;
	int failed;

	if (geteuid() != 0) {
		puts("SKIP: TUN devices and network namespaces need root");
		return 77;
	}
	if (access("/dev/net/tun", F_OK) != 0) {
		puts("SKIP: there is no /dev/net/tun");
		return 77;
	}
	fill_content();
	tcase_add_test(tc, opens_and_closes);
	tcase_add_loop_test(tc, tcp_both_ways, 0, QB_ARRAY_LEN(transfer_cases));
	tcase_add_loop_test(tc, udp_super_packet, 0, 2);
	tcase_add_loop_test(tc, firewall_marks, 0, 2);
	tcase_add_test(tc, goes_on_and_runs_dry);
	tcase_set_timeout(tc, 2 * GIVE_UP_S);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
