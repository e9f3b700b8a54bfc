/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A NAT for one client in front of a UDP service: forgets its mapping, or moves to another address, after so many
 * datagrams; and drops the client's datagrams of given ordinals, while it counts what the server dares to send.
 *
 *     nat LISTEN_ADDRESS PORT UPSTREAM_ADDRESS PORT [port-at=N] [addr-at=N,ADDRESS] [drop-up=N,N,...]
 *
 * On SIGTERM prints a line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DROPS_MAX = 64, BUF_BYTES = 4 << 20 };

struct nat {
	int inner, outer;
	struct sockaddr_in6 upstream, client;
	struct sockaddr_in6 other; /* the address to move to */
	uint64_t port_at, addr_at; /* downward datagrams; 0: never */
	uint64_t drops[DROPS_MAX];
	uint32_t drop_cnt;
	bool has_client, is_gap_over;
	uint64_t up_cnt, up_bytes, down_cnt, down_bytes, passed_cnt, passed_bytes, rebinds;
	uint64_t gap_up_bytes, gap_down_bytes; /* what had passed until all drops were over */
};

static volatile sig_atomic_t is_over;

static void on_term(int signo)
{
	(void)signo;
	is_over = 1;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* IPv4 addresses are written as mapped ones: one kind of socket for both. */
static struct sockaddr_in6 parse_addr(const char *text, const char *port)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))};
	char mapped[80];

	snprintf(mapped, sizeof(mapped), strchr(text, ':') ? "%s" : "::ffff:%s", text);
	if (inet_pton(AF_INET6, mapped, &sa.sin6_addr) != 1) {
		fprintf(stderr, "nat: %s is not an address\n", text);
		exit(2);
	}
	return sa;
}

static int open_socket(const struct sockaddr_in6 *local)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		die("socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &(int){BUF_BYTES}, sizeof(int));
	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
	if (bind(fd, (const struct sockaddr *)local, sizeof(*local)))
		die("bind");
	return fd;
}

static void rebind(struct nat *n, bool is_other_addr)
{
	struct sockaddr_in6 local = {.sin6_family = AF_INET6};
	int fresh;

	if (is_other_addr)
		local.sin6_addr = n->other.sin6_addr;
	fresh = open_socket(&local);
	close(n->outer);
	n->outer = fresh;
	n->rebinds++;
}

static bool is_dropped(const struct nat *n, uint64_t ordinal)
{
	for (uint32_t i = 0; i < n->drop_cnt; i++)
		if (n->drops[i] == ordinal)
			return true;
	return false;
}

static void end_gap(struct nat *n)
{
	if (n->is_gap_over)
		return;
	n->is_gap_over = true;
	n->gap_up_bytes = n->passed_bytes;
	n->gap_down_bytes = n->down_bytes;
}

static void pass_up(struct nat *n)
{
	uint8_t buf[65536];
	socklen_t len = sizeof(n->client);
	ssize_t got;

	while ((got = recvfrom(n->inner, buf, sizeof(buf), 0, (struct sockaddr *)&n->client, &len)) >= 0) {
		n->has_client = true;
		n->up_bytes += (uint64_t)got;
		if (is_dropped(n, ++n->up_cnt))
			continue;
		if (n->drop_cnt && n->up_cnt > n->drops[n->drop_cnt - 1])
			end_gap(n);
		n->passed_cnt++;
		n->passed_bytes += (uint64_t)got;
		(void)!sendto(n->outer, buf, (size_t)got, 0, (struct sockaddr *)&n->upstream,
			      sizeof(n->upstream));
	}
}

static void pass_down(struct nat *n)
{
	uint8_t buf[65536];
	ssize_t got;

	while ((got = recv(n->outer, buf, sizeof(buf), 0)) >= 0) {
		n->down_bytes += (uint64_t)got;
		n->down_cnt++;
		if (n->has_client)
			(void)!sendto(n->inner, buf, (size_t)got, 0, (struct sockaddr *)&n->client,
				      sizeof(n->client));
		if (n->down_cnt == n->port_at || n->down_cnt == n->addr_at)
			rebind(n, n->down_cnt == n->addr_at);
	}
}

static void parse_option(struct nat *n, char *arg)
{
	char *value = strchr(arg, '='), *end;

	if (!value)
		exit(2);
	*value++ = 0;
	if (strcmp(arg, "port-at") == 0) {
		n->port_at = strtoull(value, NULL, 10);
	} else if (strcmp(arg, "addr-at") == 0) {
		n->addr_at = strtoull(value, &end, 10);
		n->other = parse_addr(end + 1, "0");
	} else if (strcmp(arg, "drop-up") == 0) {
		for (; *value && n->drop_cnt < DROPS_MAX; value = *end ? end + 1 : end)
			n->drops[n->drop_cnt++] = strtoull(value, &end, 10);
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_term};
	struct sockaddr_in6 local, any = {.sin6_family = AF_INET6};
	struct nat n = {0};

	if (argc < 5)
		return 2;
	for (int i = 5; i < argc; i++)
		parse_option(&n, argv[i]);
	local = parse_addr(argv[1], argv[2]);
	n.upstream = parse_addr(argv[3], argv[4]);
	n.inner = open_socket(&local);
	n.outer = open_socket(&any);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	fprintf(stderr, "ready\n");
	while (!is_over) {
		struct pollfd fds[2] = {{n.inner, POLLIN, 0}, {n.outer, POLLIN, 0}};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[0].revents)
			pass_up(&n);
		if (fds[1].revents)
			pass_down(&n);
	}
	end_gap(&n);
	printf("{\"up\":%ju,\"up_bytes\":%ju,\"passed\":%ju,\"down\":%ju,\"down_bytes\":%ju,\"rebinds\":%ju,"
	       "\"gap_up_bytes\":%ju,\"gap_down_bytes\":%ju}\n",
	       n.up_cnt, n.up_bytes, n.passed_cnt, n.down_cnt, n.down_bytes, n.rebinds, n.gap_up_bytes,
	       n.gap_down_bytes);
	return 0;
}
