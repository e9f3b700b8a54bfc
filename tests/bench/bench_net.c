/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways of packets side by side, which is what the defaults rest on: CPU nanoseconds a packet of
 * one thread that sends a batch and receives it. Bulk is one peer, so GSO and GRO join what they
 * can; mixed is a batch to as many peers as it has packets; single is a batch of one. Over loopback
 * UDP sockets and io_uring; for root also over a veth pair AF_XDP with copies, without and with
 * busy polling; and into a device that swallows all, what MSG_ZEROCOPY would save a driver that can
 * send from user memory. And how late a wait for a packet's time ends. One line a figure, for
 * people.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "net/net.h"

enum {
	FRAMES = 8192,
	ROUNDS = 3000,
	REPEATS = 5,
	PACKET_BYTES = 1300,
	PORTS = 16,
	FDS = 8,
	RUN_PKTS = 44, /* of a GSO message */
	REAP_EVERY = 16,
	WAITS = 1000,
};

static struct qb_depot depot;
static struct qb_pool pool;

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * QB_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static uint64_t mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * QB_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static struct qb_net *open_port(struct qb_net_if *xif, const char *local)
{
	struct qb_net_cfg cfg = {.xif = xif, .worker_cnt = 1, .depot = &depot};
	struct qb_batch none = {0};
	char err[160];
	struct qb_net *n;

	if (qb_addr_parse(local, 0, &cfg.local) || qb_net_open(&cfg, &n, err)) {
		fprintf(stderr, "no port: %s\n", err);
		exit(1);
	}
	/* A worker does so at once: io_uring asks for input then. */
	(void)qb_net_recv(n, &pool, &none);
	return n;
}

/* Sends a batch, packet i to peer i modulo peer_cnt, and takes in all of it. */
static uint32_t round_trip(struct qb_net *from, struct qb_net *const *to, uint32_t peer_cnt,
			   uint32_t cnt)
{
	struct qb_batch tx = {0};
	uint32_t got = 0;

	for (uint32_t i = 0; i < cnt; i++) {
		struct qb_buf *b = qb_buf_get(&pool);

		b->len = PACKET_BYTES;
		memcpy(b->data, "\x40\x15\x00", 3); /* what the XDP program takes for worker 0's */
		memset(&b->tuple, 0, sizeof(b->tuple));
		qb_net_local(from, &b->tuple.local);
		qb_net_local(to[i % peer_cnt], &b->tuple.peer);
		qb_batch_add(&tx, b);
	}
	if (qb_net_send(from, &pool, &tx))
		exit(1);
	for (uint32_t k = 0; k < peer_cnt; k++) {
		struct qb_batch rx = {0};
		struct pollfd p[FDS];
		int fds[FDS];
		uint32_t fd_cnt = qb_net_fds(to[k], fds, FDS);

		/* As a worker does: asleep until something is there, then until nothing is. */
		for (uint32_t i = 0; i < fd_cnt; i++)
			p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
		(void)poll(p, fd_cnt, 1);
		while (qb_net_recv(to[k], &pool, &rx)) {
			got += rx.cnt;
			qb_batch_put(&pool, &rx);
		}
	}
	return got;
}

/* The best of several: what the code costs, not what the neighbours do. */
static double measure(struct qb_net *from, struct qb_net *const *to, uint32_t peer_cnt,
		      uint32_t cnt)
{
	double best = 1e12;

	for (uint32_t r = 0; r < REPEATS; r++) {
		uint64_t got = 0, before = cpu_ns();

		for (uint32_t i = 0; i < ROUNDS; i++)
			got += round_trip(from, to, peer_cnt, cnt);
		if (got)
			best = QB_MIN(best, (double)(cpu_ns() - before) / (double)got);
	}
	return best;
}

static void run(enum qb_io_mode mode)
{
	struct qb_net_if_cfg cfg = {.ifname = "lo", .ifindex = 1, .mode = mode, .worker_cnt = 1};
	struct qb_net *from, *to[PORTS];
	struct qb_net_if *xif;

	if (qb_net_if_open(&cfg, &xif)) {
		printf("%-6s %s\n", qb_io_mode_name(mode), qb_net_if_reason(xif));
		return;
	}
	from = open_port(xif, "127.0.0.1");
	for (uint32_t k = 0; k < PORTS; k++)
		to[k] = open_port(xif, "127.0.0.1");
	printf("%-6s bulk %6.0f   mixed %6.0f   single %6.0f   ns a packet\n",
	       qb_io_mode_name(mode), measure(from, to, 1, QB_BATCH_MAX),
	       measure(from, to, PORTS, PORTS), measure(from, to, 1, 1));
	qb_net_close(from);
	for (uint32_t k = 0; k < PORTS; k++)
		qb_net_close(to[k]);
	qb_net_if_close(xif);
}

/* ---- over a veth pair: namespaces without names, which end with this program ---- */

static int new_ns(void)
{
	int fd =
		unshare(CLONE_NEWNET) ? -1 : open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		perror("namespace");
		exit(1);
	}
	return fd;
}

static void must(const char *line)
{
	if (system(line)) {
		fprintf(stderr, "failed: %s\n", line);
		exit(1);
	}
}

static void run_veth(int near, int far, enum qb_io_mode mode, bool is_busy_polled)
{
	struct qb_net_if_cfg cfg = {
		.ifname = "qbfar", .mode = mode, .worker_cnt = 1, .is_busy_polled = is_busy_polled};
	struct qb_net *from, *to;
	struct qb_net_if *xif;

	(void)setns(far, CLONE_NEWNET);
	cfg.ifindex = if_nametoindex(cfg.ifname);
	if (qb_net_if_open(&cfg, &xif)) {
		printf("%-8s %s\n", qb_io_mode_name(mode), qb_net_if_reason(xif));
		qb_net_if_close(xif);
		return;
	}
	to = open_port(xif, "10.78.0.2");
	(void)setns(near, CLONE_NEWNET);
	from = open_port(NULL, "10.78.0.1");
	printf("veth: udp to %-8s%s   bulk %6.0f   single %6.0f   ns a packet\n",
	       qb_io_mode_name(mode), is_busy_polled ? ", busy polling" : "              ",
	       measure(from, &to, 1, QB_BATCH_MAX), measure(from, &to, 1, 1));
	qb_net_close(from);
	qb_net_close(to);
	qb_net_if_close(xif);
}

static void compare_on_veth(void)
{
	int near = new_ns(), far = new_ns();
	char line[160];

	snprintf(line, sizeof(line),
		 "ip link add qbfar type veth peer name qbnear netns /proc/%d/fd/%d && ip addr add "
		 "10.78.0.2/24 dev qbfar "
		 "&& ip link set qbfar up",
		 (int)getpid(), near);
	must(line);
	(void)setns(near, CLONE_NEWNET);
	must("ip addr add 10.78.0.1/24 dev qbnear && ip link set qbnear up");
	run_veth(near, far, QB_IO_UDP, false);
	run_veth(near, far, QB_IO_XDP_COPY, false);
	run_veth(near, far, QB_IO_XDP_COPY, true);
	close(near);
	close(far);
}

/* ---- what zero-copy sends would save ---- */

static int open_swallowed(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = PACKET_BYTES, one = 1;

	to.sin_addr.s_addr = htonl(0x0a4f0002);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) ||
	    setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)) ||
	    setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one))) {
		perror("zero-copy socket");
		exit(1);
	}
	return fd;
}

/* Completions tell when the memory may be used again: a daemon would have to read them. */
static void reap(int fd)
{
	char control[128];
	struct msghdr m = {.msg_control = control, .msg_controllen = sizeof(control)};

	while (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
		m.msg_controllen = sizeof(control);
}

static double measure_send(int fd, int flags)
{
	double best = 1e12;

	for (uint32_t r = 0; r < REPEATS; r++) {
		uint64_t before = cpu_ns(), sent = 0;

		for (uint32_t i = 0; i < ROUNDS; i++) {
			sent += send(fd, depot.frames, RUN_PKTS * PACKET_BYTES, flags) > 0
					? RUN_PKTS
					: 0;
			if (flags && i % REAP_EVERY == 0)
				reap(fd);
		}
		if (sent)
			best = QB_MIN(best, (double)(cpu_ns() - before) / (double)sent);
	}
	return best;
}

static void compare_zerocopy(void)
{
	int ns = new_ns(), fd;

	/* A bridge without ports: it takes super-packets, and has nobody to give them to. */
	must("ip link add qbnull type bridge && ip addr add 10.79.0.1/24 dev qbnull && ip link set "
	     "qbnull up && "
	     "ip neigh add 10.79.0.2 lladdr 02:00:00:00:00:02 dev qbnull");
	fd = open_swallowed();
	printf("send into a device that swallows: plain %.0f, MSG_ZEROCOPY %.0f ns a packet\n",
	       measure_send(fd, 0), measure_send(fd, MSG_ZEROCOPY));
	close(fd);
	close(ns);
}

static int later(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* How late a worker is woken that waits for its next packet's time, as workers do and by a timerfd.
 */
static void compare_waits(void)
{
	static const char *const names[] = {"epoll_pwait2", "timerfd"};
	static int64_t late_ns[WAITS];
	int epoll_fd = epoll_create1(0), timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct epoll_event ev = {.events = EPOLLIN};

	for (int way = 0; way < 2; way++) {
		for (uint32_t i = 0; i < WAITS; i++) {
			uint64_t wait_ns = 200000 + i % 7 * 100000, at_ns = mono_ns() + wait_ns,
				 ticks;
			struct timespec ts = {.tv_nsec = (long)wait_ns};
			struct itimerspec timer = {.it_value = ts};

			if (way == 0) {
				(void)epoll_pwait2(epoll_fd, &ev, 1, &ts, NULL);
			} else {
				(void)timerfd_settime(timer_fd, 0, &timer, NULL);
				(void)epoll_wait(epoll_fd, &ev, 1, -1);
				if (read(timer_fd, &ticks, sizeof(ticks)) < 0)
					exit(1);
			}
			late_ns[i] = (int64_t)(mono_ns() - at_ns);
		}
		qsort(late_ns, WAITS, sizeof(late_ns[0]), later);
		printf("%s: late by %.0f us, one in ten by %.0f us and more\n", names[way],
		       (double)late_ns[WAITS / 2] / 1e3, (double)late_ns[WAITS * 9 / 10] / 1e3);
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &ev))
			break;
	}
	close(timer_fd);
	close(epoll_fd);
}

int main(void)
{
	qb_depot_init(&depot, aligned_alloc(4096, (size_t)FRAMES * QB_FRAME_BYTES),
		      calloc(FRAMES, sizeof(struct qb_buf)), FRAMES);
	qb_depot_set_umem(&depot, FRAMES / 4);
	qb_pool_init(&pool, &depot);
	compare_waits();
	run(QB_IO_UDP);
	run(QB_IO_URING);
	if (geteuid() == 0) {
		compare_on_veth();
		compare_zerocopy();
	} else {
		printf("AF_XDP and MSG_ZEROCOPY are measured for root only\n");
	}
	qb_pool_fini(&pool);
	free(depot.frames);
	free(depot.bufs);
	return 0;
}
