/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An attacker on the wire: `hostile INTERFACE PORT COUNT SEED` reads what leaves by an interface (a
 * side of an emulated link) and sends after it: replays, truncated and bit-flipped copies, random
 * bytes behind valid connection IDs, long headers of all kinds, forged sources. Ends after COUNT
 * packets with a line of JSON. Run by test_hostile.sh.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	FRAME_MAX = 2048,
	ETH_HDR = 14,
	IP4_HDR = 20,
	IP6_HDR = 40,
	UDP_HDR = 8,
	PAYLOAD_MAX = 1400,
	INITIAL_BYTES = 1200,
	CID_LEN = 8,
	MEMORY = 256, /* frames to replay from */
	PATIENCE_MS = 5000,
};

struct frame {
	uint32_t len, ip_off, udp_off; /* udp_off 0: none */
	uint8_t data[FRAME_MAX];
};

static uint64_t rand_state;

static uint32_t rand_below(uint32_t n)
{
	rand_state ^= rand_state << 13;
	rand_state ^= rand_state >> 7;
	rand_state ^= rand_state << 17;
	return (uint32_t)(rand_state >> 32) % n;
}

static void rand_fill(uint8_t *p, uint32_t len)
{
	while (len--)
		*p++ = (uint8_t)rand_below(256);
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* ---- frames ---- */

/* parse finds a UDP datagram from or to the port. Returns false for anything else. */
static bool parse(struct frame *f, uint16_t port)
{
	const uint8_t *ip = f->data + ETH_HDR;

	f->ip_off = ETH_HDR;
	f->udp_off = 0;
	if (f->len < ETH_HDR + IP4_HDR + UDP_HDR)
		return false;
	if (get16(f->data + 12) == ETH_P_IP && ip[0] == 0x45 && ip[9] == IPPROTO_UDP &&
	    !(get16(ip + 6) & 0x3fff))
		f->udp_off = ETH_HDR + IP4_HDR;
	else if (get16(f->data + 12) == ETH_P_IPV6 && ip[6] == IPPROTO_UDP &&
		 f->len >= ETH_HDR + IP6_HDR + UDP_HDR)
		f->udp_off = ETH_HDR + IP6_HDR;
	if (!f->udp_off || f->udp_off + get16(f->data + f->udp_off + 4) > f->len ||
	    get16(f->data + f->udp_off + 4) < UDP_HDR)
		return false;
	f->len = f->udp_off + get16(f->data + f->udp_off + 4);
	return get16(f->data + f->udp_off) == port || get16(f->data + f->udp_off + 2) == port;
}

static uint8_t *payload(struct frame *f, uint32_t *len)
{
	*len = f->len - f->udp_off - UDP_HDR;
	return f->data + f->udp_off + UDP_HDR;
}

static uint32_t sum(uint32_t acc, const uint8_t *p, uint32_t len)
{
	for (; len > 1; len -= 2, p += 2)
		acc += get16(p);
	return len ? acc + (uint32_t)(*p << 8) : acc;
}

static uint16_t fold(uint32_t acc)
{
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return (uint16_t)~acc;
}

/* finish makes lengths and checksums right, so that the kernel delivers it. */
static void finish(struct frame *f, uint32_t payload_len)
{
	uint8_t *ip = f->data + f->ip_off, *udp = f->data + f->udp_off;
	uint32_t udp_len = UDP_HDR + payload_len, acc = udp_len + IPPROTO_UDP;
	bool is_v4 = ip[0] >> 4 == 4;

	f->len = f->udp_off + udp_len;
	put16(udp + 4, udp_len);
	put16(udp + 6, 0);
	if (is_v4) {
		put16(ip + 2, IP4_HDR + udp_len);
		put16(ip + 10, 0);
		put16(ip + 10, fold(sum(0, ip, IP4_HDR)));
	} else {
		put16(ip + 4, udp_len);
	}
	acc = is_v4 ? sum(acc, ip + 12, 8) : sum(acc, ip + 8, 32);
	put16(udp + 6, fold(sum(acc, udp, udp_len)));
	if (!get16(udp + 6))
		put16(udp + 6, 0xffff);
}

/* ---- attacks: each changes a copy of a real datagram and returns the new payload length ---- */

static uint32_t replay(uint8_t *p, uint32_t len)
{
	(void)p;
	return len;
}

static uint32_t truncated(uint8_t *p, uint32_t len)
{
	(void)p;
	return len ? rand_below(len) : 0;
}

static uint32_t flipped(uint8_t *p, uint32_t len)
{
	for (uint32_t n = 1 + rand_below(8); len && n; n--)
		p[rand_below(len)] ^= (uint8_t)(1u << rand_below(8));
	return len;
}

static uint32_t extended(uint8_t *p, uint32_t len)
{
	uint32_t more = len < PAYLOAD_MAX ? rand_below(PAYLOAD_MAX - len) : 0;

	rand_fill(p + len, more);
	return len + more;
}

static uint32_t noise(uint8_t *p, uint32_t len)
{
	len = rand_below(PAYLOAD_MAX);
	rand_fill(p, len);
	return len;
}

/* Nearly what a stateless reset looks like, and what a packet of ours does. */
static uint32_t noise_behind_cid(uint8_t *p, uint32_t len)
{
	uint32_t new_len = 1 + CID_LEN + rand_below(PAYLOAD_MAX - 1 - CID_LEN);

	(void)len;
	p[0] = (uint8_t)(0x40 | (p[0] & 0x3f));
	rand_fill(p + 1 + CID_LEN, new_len - 1 - CID_LEN);
	return new_len;
}

static uint32_t no_fixed_bit(uint8_t *p, uint32_t len)
{
	if (len)
		p[0] &= (uint8_t)~0x40;
	return len;
}

/* long_header writes one with random connection IDs, lengths as they come. Returns its length. */
static uint32_t long_header(uint8_t *p, uint8_t first, uint32_t version, uint8_t dcid_len)
{
	uint8_t scid_len = (uint8_t)rand_below(21);
	uint32_t n = 0;

	p[n++] = first;
	put16(p + n, version >> 16);
	put16(p + n + 2, version);
	n += 4;
	p[n++] = dcid_len;
	rand_fill(p + n, dcid_len);
	n += dcid_len;
	p[n++] = scid_len;
	rand_fill(p + n, scid_len);
	return n + scid_len;
}

static uint32_t forged_initial(uint8_t *p, uint32_t len)
{
	uint32_t n = long_header(p, (uint8_t)(0xc0 | rand_below(16)), 1, CID_LEN);

	len = rand_below(4) ? INITIAL_BYTES : rand_below(INITIAL_BYTES - 100) + 100;
	p[n++] = 0; /* no token */
	put16(p + n, 0x4000 | ((len - n - 2) & 0x3fff));
	n += 2;
	rand_fill(p + n, len > n ? len - n : 0);
	return len;
}

static uint32_t other_long_header(uint8_t *p, uint32_t len)
{
	static const uint32_t versions[] = {1, 1, 0, 0x6b3343cf, 0xff00001d, 0x0a0a0a0a};
	uint32_t n = long_header(p, (uint8_t)(0x80 | rand_below(128)), versions[rand_below(6)],
				 (uint8_t)rand_below(30));

	len = n + rand_below(PAYLOAD_MAX - n);
	rand_fill(p + n, len - n);
	return len;
}

static uint32_t twice(uint8_t *p, uint32_t len)
{
	if (2 * len > PAYLOAD_MAX)
		return len;
	memcpy(p + len, p, len);
	return 2 * len;
}

static uint32_t empty(uint8_t *p, uint32_t len)
{
	(void)p;
	(void)len;
	return 0;
}

static const struct attack {
	const char *name;
	uint32_t (*change)(uint8_t *p, uint32_t len);
	bool is_old, is_forged; /* from an old datagram; from another source */
} attacks[] = {
	{"replay", replay, false, false},
	{"old_replay", replay, true, false},
	{"forged_replay", replay, true, true},
	{"truncated", truncated, false, false},
	{"flipped", flipped, false, false},
	{"flipped_forged", flipped, false, true},
	{"extended", extended, false, false},
	{"noise", noise, false, false},
	{"noise_behind_cid", noise_behind_cid, false, false},
	{"no_fixed_bit", no_fixed_bit, false, false},
	{"forged_initial", forged_initial, false, true},
	{"other_long_header", other_long_header, false, false},
	{"twice", twice, false, false},
	{"empty", empty, false, false},
};

enum { ATTACK_CNT = sizeof(attacks) / sizeof(attacks[0]) };

static struct frame memory[MEMORY];
static uint32_t memory_cnt, sent[ATTACK_CNT];

static void forge_source(struct frame *f)
{
	uint8_t *ip = f->data + f->ip_off;

	if (ip[0] >> 4 == 4)
		ip[15] = (uint8_t)(3 + rand_below(250));
	else
		ip[23] = (uint8_t)(3 + rand_below(250));
	put16(f->data + f->udp_off, 1024 + rand_below(60000));
}

static int strike(int fd, const struct frame *real, uint32_t kind)
{
	const struct attack *a = &attacks[kind];
	struct frame f =
		a->is_old ? memory[rand_below(memory_cnt < MEMORY ? memory_cnt : MEMORY)] : *real;
	uint32_t len;
	uint8_t *p = payload(&f, &len);

	if (a->is_forged)
		forge_source(&f);
	finish(&f, a->change(p, len));
	if (send(fd, f.data, f.len, 0) < 0)
		return errno == EMSGSIZE || errno == ENOBUFS ? 0 : -errno;
	sent[kind]++;
	return 1;
}

/* ---- the wire ---- */

static int open_wire(const char *ifname)
{
	struct sockaddr_ll sll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	sll.sll_ifindex = (int)if_nametoindex(ifname);
	if (fd < 0 || !sll.sll_ifindex || bind(fd, (struct sockaddr *)&sll, sizeof(sll))) {
		perror(ifname);
		exit(1);
	}
	return fd;
}

/* next_frame waits for a datagram that leaves by the interface. */
static bool next_frame(int fd, uint16_t port, struct frame *f)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		struct sockaddr_ll from;
		socklen_t from_len = sizeof(from);
		ssize_t len;

		if (poll(&p, 1, PATIENCE_MS) <= 0)
			return false;
		len = recvfrom(fd, f->data, sizeof(f->data), MSG_TRUNC, (struct sockaddr *)&from,
			       &from_len);
		if (len < 0 || len > (ssize_t)sizeof(f->data) ||
		    from.sll_pkttype != PACKET_OUTGOING)
			continue;
		f->len = (uint32_t)len;
		if (parse(f, port))
			return true;
	}
}

int main(int argc, char **argv)
{
	static struct frame f;
	uint32_t todo, done = 0, kind = 0;
	bool was_quiet = false;
	int fd;

	if (argc != 5) {
		fputs("usage: hostile INTERFACE PORT COUNT SEED\n", stderr);
		return 2;
	}
	fd = open_wire(argv[1]);
	todo = (uint32_t)strtoul(argv[3], NULL, 10);
	rand_state = 0x9e3779b97f4a7c15u ^ strtoul(argv[4], NULL, 10);
	while (done < todo) {
		int ret;

		if (!next_frame(fd, (uint16_t)strtoul(argv[2], NULL, 10), &f)) {
			was_quiet = true;
			break;
		}
		memory[memory_cnt++ % MEMORY] = f;
		ret = strike(fd, &f, kind++ % ATTACK_CNT);
		if (ret < 0) {
			fprintf(stderr, "hostile: %s\n", strerror(-ret));
			return 1;
		}
		done += (uint32_t)ret;
	}
	printf("{\"captured\":%u,\"sent\":%u", memory_cnt, done);
	for (uint32_t i = 0; i < ATTACK_CNT; i++)
		printf(",\"%s\":%u", attacks[i].name, sent[i]);
	puts("}");
	return was_quiet;
}
