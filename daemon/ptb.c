/* SPDX-License-Identifier: BSD-2-Clause */
/*
 *     ICMP ─► raw socket (only PTB passes its filter) ─► parse ─► every worker: whose path? ─► its MTU search
 *
 * On the main thread. The kernel takes no notice for us: our sockets send with IP_PMTUDISC_PROBE, and AF_XDP sends by itself.
 */
#include "ptb.h"
#include "daemon.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <linux/icmp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ICMP_HDR = 8,
	IP4_HDR = 20,
	IP6_HDR = 40,
	UDP_HDR = 8,
	PROTO_HOPOPTS = 0,
	PROTO_UDP = 17,
	PROTO_DSTOPTS = 60,
	EXT_HDRS_MAX = 4,
	MSG_MAX = 2048,
	PER_SECOND = 50, /* messages that are looked at: each is asked of all workers */
};

/* read_udp takes ports and payload of a quoted packet. */
static bool read_udp(const uint8_t *udp, size_t len, struct qb_ptb *ptb)
{
	if (len < UDP_HDR)
		return false;
	ptb->local.port = qb_load_be16(udp);
	ptb->peer.port = qb_load_be16(udp + 2);
	ptb->quoted = udp + UDP_HDR;
	ptb->quoted_len = (uint32_t)(len - UDP_HDR);
	return true;
}

static bool read_quoted4(const uint8_t *ip, size_t len, uint32_t mtu_bytes, struct qb_ptb *ptb)
{
	size_t hdr = len >= IP4_HDR ? 4u * (ip[0] & 0x0f) : 0;

	if (hdr < IP4_HDR || hdr > len || ip[0] >> 4 != 4 || ip[9] != PROTO_UDP || (qb_load_be16(ip + 6) & 0x1fff) ||
	    qb_load_be16(ip + 2) <= mtu_bytes || mtu_bytes <= hdr + UDP_HDR)
		return false;
	ptb->local.family = ptb->peer.family = 4;
	memcpy(ptb->local.ip, ip + 12, 4);
	memcpy(ptb->peer.ip, ip + 16, 4);
	ptb->bytes = mtu_bytes - (uint32_t)hdr - UDP_HDR;
	return read_udp(ip + hdr, len - hdr, ptb);
}

/* skip_ext_hdrs returns how long the headers before UDP are, which somebody on the way may have put there; 0: no UDP follows. */
static size_t skip_ext_hdrs(const uint8_t *ip, size_t len)
{
	uint8_t next = ip[6];
	size_t at = IP6_HDR;

	for (int i = 0; i < EXT_HDRS_MAX && (next == PROTO_HOPOPTS || next == PROTO_DSTOPTS); i++) {
		if (at + 2 > len)
			return 0;
		next = ip[at];
		at += 8 + 8u * ip[at + 1];
	}
	return next == PROTO_UDP && at <= len ? at : 0;
}

static bool read_quoted6(const uint8_t *ip, size_t len, uint32_t mtu_bytes, struct qb_ptb *ptb)
{
	size_t hdr = len >= IP6_HDR ? skip_ext_hdrs(ip, len) : 0;

	if (!hdr || ip[0] >> 4 != 6 || (uint32_t)qb_load_be16(ip + 4) + IP6_HDR <= mtu_bytes || mtu_bytes <= hdr + UDP_HDR)
		return false;
	ptb->local.family = ptb->peer.family = 6;
	memcpy(ptb->local.ip, ip + 8, 16);
	memcpy(ptb->peer.ip, ip + 24, 16);
	ptb->bytes = mtu_bytes - (uint32_t)hdr - UDP_HDR;
	return read_udp(ip + hdr, len - hdr, ptb);
}

bool qb_ptb_parse(uint8_t family, const uint8_t *msg, size_t len, struct qb_ptb *ptb)
{
	size_t hdr = 0;

	memset(ptb, 0, sizeof(*ptb));
	if (family == 4) {
		if (len < IP4_HDR)
			return false;
		hdr = 4u * (msg[0] & 0x0f);
	}
	if (len < hdr + ICMP_HDR)
		return false;
	msg += hdr;
	len -= hdr + ICMP_HDR;
	if (family == 4)
		return msg[0] == ICMP_DEST_UNREACH && msg[1] == ICMP_FRAG_NEEDED &&
		       read_quoted4(msg + ICMP_HDR, len, qb_load_be16(msg + 6), ptb);
	return msg[0] == ICMP6_PACKET_TOO_BIG && read_quoted6(msg + ICMP_HDR, len, qb_load_be32(msg + 4), ptb);
}

/* ---- on a worker's thread ---- */

static void do_ptb(struct qb_worker *w, void *arg)
{
	qb_quic_on_ptb(w->node->quic, arg, qb_now_ns());
}

/* ---- on the main thread ---- */

static int open_one(uint8_t family)
{
	struct icmp_filter only4 = {.data = ~(1u << ICMP_DEST_UNREACH)};
	struct icmp6_filter only6;
	int fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	int ret;

	if (fd < 0)
		return -errno;
	ICMP6_FILTER_SETBLOCKALL(&only6);
	ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &only6);
	ret = family == 4 ? setsockopt(fd, SOL_RAW, ICMP_FILTER, &only4, sizeof(only4))
			  : setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &only6, sizeof(only6));
	if (ret == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

void qb_ptb_open(struct qb_daemon *d)
{
	for (int i = 0; i < 2; i++) {
		d->ptb_fds[i] = open_one(i ? 6 : 4);
		if (d->ptb_fds[i] < 0)
			qb_info("no ICMPv%u: %s; path MTUs are found by probes alone", i ? 6 : 4, strerror(-d->ptb_fds[i]));
	}
}

void qb_ptb_close(struct qb_daemon *d)
{
	for (int i = 0; i < 2; i++)
		if (d->ptb_fds[i] > 0)
			close(d->ptb_fds[i]);
}

/* may_take: so many a second; what is more waits in the socket, and falls off there. */
static bool may_take(struct qb_daemon *d, uint64_t now_ns)
{
	if (now_ns - d->ptb_ns >= QB_NS_PER_SEC) {
		d->ptb_ns = now_ns;
		d->ptb_cnt = 0;
	}
	return d->ptb_cnt++ < PER_SECOND;
}

void qb_ptb_process(struct qb_daemon *d)
{
	uint8_t msg[MSG_MAX];

	for (int i = 0; i < 2; i++) {
		ssize_t len;

		while (d->ptb_fds[i] > 0 && (len = recv(d->ptb_fds[i], msg, sizeof(msg), 0)) > 0) {
			struct qb_ptb ptb;

			if (!qb_ptb_parse(i ? 6 : 4, msg, (size_t)len, &ptb) || !may_take(d, qb_now_ns()))
				continue;
			for (uint16_t w = 0; w < d->worker_cnt; w++)
				qb_worker_call(&d->workers[w], do_ptb, &ptb);
		}
	}
}
