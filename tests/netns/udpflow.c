/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A steady flow of UDP packets, and what becomes of it: `udpflow send ADDRESS PORT PPS BYTES [MARK]`
 * in one namespace, `udpflow recv ADDRESS PORT` in another. On SIGUSR1 the receiver prints a line of
 * JSON about the time since the last one (or the first packet); a silence that still goes on
 * counts. If packets are missing it waits a moment for them first: what comes out of order is not
 * lost. Run by the tests in tests/netns.
 */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

enum {
	BYTES_MAX = 1400,
	PACKET_MAX = 65536,
	PAIR_NS = 50000,
	STRAGGLERS_NS = 200000000,
	WINDOW = 65536,
	BIN_US = 100, /* of delays */
	BINS = 50000,
};

static const uint64_t ns_per_s = 1000000000;

/* What a packet begins with, in host order: both ends are one machine. */
struct head {
	uint64_t seq;
	uint64_t sent_ns;
};

struct tally {
	uint64_t received, duplicates, disordered;
	uint64_t first_seq;
	uint64_t gap_ns;   /* longest silence */
	uint64_t delay_ns; /* longest one-way delay */
	uint32_t delays[BINS]; /* how many had so many BIN_US; the last: or more */
};

struct receiver {
	struct tally t;
	bool has_any;
	uint64_t last_ns, highest_seq;
	uint8_t seen[WINDOW / 8]; /* by sequence number, the last WINDOW of them */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * ns_per_s + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "udpflow: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_socket(const char *host, const char *port, bool is_server)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM,
				 .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV},
			*ai;
	int buf_bytes = 4 << 20, fd;

	if (getaddrinfo(host, port, &hints, &ai)) {
		errno = EINVAL;
		die(host);
	}
	fd = socket(ai->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, is_server ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &buf_bytes,
		   sizeof(buf_bytes));
	if (is_server ? bind(fd, ai->ai_addr, ai->ai_addrlen)
		      : connect(fd, ai->ai_addr, ai->ai_addrlen))
		die(host);
	freeaddrinfo(ai);
	return fd;
}

/* ---- sending ---- */

static _Noreturn void run_send(int fd, uint64_t pps, size_t bytes)
{
	uint8_t packet[BYTES_MAX] = {0};
	uint64_t start_ns = now_ns();

	for (uint64_t seq = 0;; seq++) {
		uint64_t at_ns = start_ns + seq * ns_per_s / pps;
		struct timespec at = {.tv_sec = (time_t)(at_ns / ns_per_s),
				      .tv_nsec = (long)(at_ns % ns_per_s)};
		struct head head = {.seq = seq};

		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
			;
		head.sent_ns = now_ns();
		memcpy(packet, &head, sizeof(head));
		/* What cannot be sent is a lost packet: routes and links come and go in these
		 * tests. */
		(void)!send(fd, packet, bytes, 0);
	}
}

/* ---- receiving ---- */

static bool test_and_set(struct receiver *r, uint64_t seq)
{
	uint8_t *byte = &r->seen[seq % WINDOW / 8], bit = (uint8_t)(1u << seq % 8);
	bool was_set = *byte & bit;

	*byte |= bit;
	return was_set;
}

static void forget(struct receiver *r, uint64_t from, uint64_t to)
{
	if (to - from >= WINDOW)
		memset(r->seen, 0, sizeof(r->seen));
	for (; from <= to && to - from < WINDOW; from++)
		r->seen[from % WINDOW / 8] &= (uint8_t) ~(1u << from % 8);
}

static void max_of(uint64_t *max, uint64_t v)
{
	if (v > *max)
		*max = v;
}

/* since: the clocks of stamps and of everything else are a little apart. */
static uint64_t since(uint64_t at_ns, uint64_t from_ns)
{
	return at_ns > from_ns ? at_ns - from_ns : 0;
}

static void on_packet(struct receiver *r, const struct head *h, uint64_t at_ns)
{
	uint64_t bin;

	if (!r->has_any) {
		r->has_any = true;
		r->highest_seq = h->seq;
		r->t.first_seq = h->seq;
		r->last_ns = at_ns;
	}
	if (h->seq > r->highest_seq) {
		forget(r, r->highest_seq + 1, h->seq);
		r->highest_seq = h->seq;
	} else if (h->seq < r->highest_seq) {
		r->t.disordered++;
	}
	if (test_and_set(r, h->seq)) {
		r->t.duplicates++;
		return;
	}
	r->t.received += h->seq >= r->t.first_seq; /* else it was told as lost */
	max_of(&r->t.gap_ns, since(at_ns, r->last_ns));
	max_of(&r->t.delay_ns, since(at_ns, h->sent_ns));
	bin = since(at_ns, h->sent_ns) / 1000 / BIN_US;
	r->t.delays[bin < BINS ? bin : BINS - 1]++;
	r->last_ns = at_ns;
}

/* quantile_ms: so many of a hundred had no longer delay. */
static double quantile_ms(const struct tally *t, unsigned pct)
{
	uint64_t seen = 0, bin = 0;

	for (; bin < BINS; bin++) {
		seen += t->delays[bin];
		if (seen * 100 >= t->received * pct)
			break;
	}
	return (double)bin * BIN_US / 1000;
}

static uint64_t sent_of(const struct receiver *r)
{
	return r->has_any ? r->highest_seq + 1 - r->t.first_seq : 0;
}

static void report(struct receiver *r)
{
	struct tally *t = &r->t;
	uint64_t sent = sent_of(r);
	uint64_t at_ns = now_ns();

	if (r->has_any)
		max_of(&t->gap_ns, since(at_ns, r->last_ns));
	printf("{\"sent\":%" PRIu64 ",\"received\":%" PRIu64 ",\"lost\":%" PRIu64
	       ",\"duplicates\":%" PRIu64 ",\"disordered\":%" PRIu64
	       ",\"gap_ms\":%.1f,\"delay_p50_ms\":%.1f,\"delay_p95_ms\":%.1f,\"delay_p99_ms\":%.1f"
	       ",\"delay_max_ms\":%.1f}\n",
	       sent, t->received, sent > t->received ? sent - t->received : 0, t->duplicates,
	       t->disordered, (double)t->gap_ns / 1e6, quantile_ms(t, 50), quantile_ms(t, 95),
	       quantile_ms(t, 99), (double)t->delay_ns / 1e6);
	fflush(stdout);
	*t = (struct tally){.first_seq = r->highest_seq + 1};
}

/* take receives a packet, and when the kernel had it: this process may have been waiting for its turn. */
static ssize_t take(int fd, uint8_t *packet, uint64_t *at_ns)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct timespec))];
	struct iovec iov = {packet, PACKET_MAX};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, 0);
	struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	struct timespec stamp, wall;

	do { /* both clocks at one moment, not one before and one after a pause */
		*at_ns = now_ns();
		clock_gettime(CLOCK_REALTIME, &wall);
	} while (now_ns() - *at_ns > PAIR_NS);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
		return n;
	memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
	*at_ns -= (uint64_t)(wall.tv_sec - stamp.tv_sec) * ns_per_s + (uint64_t)wall.tv_nsec -
		  (uint64_t)stamp.tv_nsec;
	return n;
}

static _Noreturn void run_recv(int fd)
{
	static struct receiver r;
	struct signalfd_siginfo info;
	struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.events = POLLIN}};
	uint8_t packet[PACKET_MAX];
	uint64_t due_ns = 0; /* of a report; 0: none is asked for */
	sigset_t set;
	int one = 1;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)))
		die("SO_TIMESTAMPNS");
	fds[1].fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fds[1].fd < 0)
		die("signalfd");
	puts("{\"ready\":true}");
	fflush(stdout);
	for (;;) {
		if (poll(fds, 2, due_ns ? 1 : -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[0].revents & POLLIN) {
			struct head head;
			uint64_t at_ns;

			if (take(fd, packet, &at_ns) >= (ssize_t)sizeof(head)) {
				memcpy(&head, packet, sizeof(head));
				on_packet(&r, &head, at_ns);
			}
		} else if (fds[1].revents & POLLIN && read(fds[1].fd, &info, sizeof(info)) == sizeof(info)) {
			/* What has arrived is counted before it is told. */
			due_ns = now_ns() + STRAGGLERS_NS;
		}
		if (!due_ns || (r.t.received < sent_of(&r) && now_ns() < due_ns))
			continue;
		report(&r);
		due_ns = 0;
	}
}

static int open_marked(char **argv, unsigned int mark)
{
	int fd = open_socket(argv[2], argv[3], false);

	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)))
		die("SO_MARK");
	return fd;
}

int main(int argc, char **argv)
{
	unsigned long pps, bytes, mark;

	if (argc == 4 && !strcmp(argv[1], "recv"))
		run_recv(open_socket(argv[2], argv[3], true));
	if ((argc == 6 || argc == 7) && !strcmp(argv[1], "send")) {
		pps = strtoul(argv[4], NULL, 10);
		bytes = strtoul(argv[5], NULL, 10);
		mark = argc == 7 ? strtoul(argv[6], NULL, 0) : 0;
		if (pps > 0 && bytes >= sizeof(struct head) && bytes <= BYTES_MAX)
			run_send(open_marked(argv, (unsigned int)mark), pps, bytes);
	}
	fputs("usage: udpflow recv ADDRESS PORT | udpflow send ADDRESS PORT PPS BYTES [MARK]\n", stderr);
	return 2;
}
