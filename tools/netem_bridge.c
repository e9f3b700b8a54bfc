/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The backend that joins two interfaces at layer 2, through packet sockets with a virtio header: a
 * checksum that the sender's kernel left to its hardware is passed on as such, and a super-packet
 * (TSO, USO, GRO) is cut into the packets that a wire would have carried, each with its own fate.
 * What arrives at port 0 is direction 0.
 */
#include "tools/netem_host.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/csum.h"
#include "base/ip_ecn.h"
#include "tun/segment.h"

enum {
	VLAN_LEN = 4,
	SUPER_MAX = 65536 + 64, /* IP's longest, with Ethernet header and tags */
	CMSG_ROOM = 128,
	RCVBUF_BYTES = 32 << 20,
	ROUND_BATCHES = 4, /* read at most so many before what is due is sent */
};

struct port {
	struct qb_netem_source source; /* first: on_ready gets it */
	struct bridge *bridge;
	uint32_t dir; /* of what arrives here */
	char ifname[IFNAMSIZ];
	/* receive */
	struct mmsghdr rx[QB_NETEM_BATCH];
	struct iovec rx_iov[QB_NETEM_BATCH][3];
	char rx_cmsg[QB_NETEM_BATCH][CMSG_ROOM] __attribute__((aligned(16)));
	struct qb_netem_frame *rx_frame[QB_NETEM_BATCH];
	/* send */
	struct mmsghdr tx[QB_NETEM_BATCH];
	struct iovec tx_iov[QB_NETEM_BATCH][2];
	struct qb_netem_frame *tx_frame[QB_NETEM_BATCH];
	uint32_t tx_cnt;
};

struct bridge {
	struct qb_netem_host *host;
	struct port port[2];
	/* Where what is longer than a frame goes: a frame's room in front, to make super-packets
	 * contiguous. */
	uint8_t *over_mem;
	size_t over_bytes; /* of each */
};

/* ---- frames ---- */

static uint32_t l2_len(const uint8_t *frame, uint32_t len)
{
	uint32_t off = 12;

	while (off + 2 + VLAN_LEN <= len && (qb_load_be16(frame + off) == ETH_P_8021Q ||
					     qb_load_be16(frame + off) == ETH_P_8021AD))
		off += VLAN_LEN;
	return off + 2;
}

/* payload_off: behind the IP header, so that what is corrupted still gets there. */
static uint32_t payload_off(const uint8_t *frame, uint32_t len)
{
	uint32_t off = l2_len(frame, len);

	if (off < len && frame[off] >> 4 == 4)
		off += (frame[off] & 0xfu) * 4;
	else if (off < len && frame[off] >> 4 == 6)
		off += 40;
	return off;
}

/* make_csum completes a checksum; until then the receiving kernel would take anything for right. */
static void make_csum(struct qb_netem_frame *f)
{
	uint8_t *pkt = f->data + f->off;
	uint32_t start = f->vnet.csum_start, at = start + f->vnet.csum_offset;

	if (!(f->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || at + 2 > f->len)
		return;
	qb_csum_store(pkt + at, qb_csum_add(0, pkt + start, f->len - start));
	f->vnet.flags = 0;
}

static void bridge_corrupt(struct qb_netem_frame *f, uint32_t from, uint64_t rand)
{
	uint8_t *pkt = f->data + f->off;
	uint32_t off = payload_off(pkt, f->len);
	uint64_t bit;

	if (off + (uint64_t)from >= f->len)
		return;
	off += from;
	make_csum(f);
	bit = rand % ((uint64_t)(f->len - off) * 8);
	pkt[off + bit / 8] ^= (uint8_t)(1 << bit % 8);
}

static void bridge_mark(struct qb_netem_frame *f)
{
	uint8_t *pkt = f->data + f->off;
	uint32_t off = l2_len(pkt, f->len), end = payload_off(pkt, f->len);
	uint16_t type = off <= f->len ? qb_load_be16(pkt + off - 2) : 0;

	if ((type == ETH_P_IP || type == ETH_P_IPV6) && end >= off + 20 && end <= f->len)
		qb_ip_mark_ce(pkt + off);
}

/* ---- receive ---- */

static void rx_slot_init(struct port *p, uint32_t i)
{
	struct bridge *b = p->bridge;
	uint8_t *over = b->over_mem + (size_t)i * b->over_bytes + b->host->frame_room;
	struct qb_netem_frame *f = p->rx_frame[i];

	/* Room for a tag in front, which the kernel hands over apart from the packet. */
	f->off = VLAN_LEN;
	p->rx_iov[i][0] = (struct iovec){&f->vnet, sizeof(f->vnet)};
	p->rx_iov[i][1] = (struct iovec){f->data + VLAN_LEN, b->host->frame_room - VLAN_LEN};
	p->rx_iov[i][2] = (struct iovec){over, SUPER_MAX};
	p->rx[i].msg_hdr = (struct msghdr){
		.msg_iov = p->rx_iov[i],
		.msg_iovlen = 3,
		.msg_control = p->rx_cmsg[i],
		.msg_controllen = CMSG_ROOM,
	};
}

/* vlan_tag finds the tag that belongs in front of the packet. Returns false when it has none. */
static bool vlan_tag(const struct msghdr *m, uint8_t tag[VLAN_LEN])
{
	struct msghdr *msg = (struct msghdr *)m;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
		struct tpacket_auxdata aux;

		if (cm->cmsg_level != SOL_PACKET || cm->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(cm), sizeof(aux));
		if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
			return false;
		qb_store_be16(tag, aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid
									     : ETH_P_8021Q);
		qb_store_be16(tag + 2, aux.tp_vlan_tci);
		return true;
	}
	return false;
}

static void insert_tag(struct qb_netem_frame *f, const uint8_t tag[VLAN_LEN])
{
	uint8_t *pkt = f->data + f->off;

	memmove(pkt - VLAN_LEN, pkt, 12);
	memcpy(pkt - VLAN_LEN + 12, tag, VLAN_LEN);
	f->off -= VLAN_LEN;
	f->len += VLAN_LEN;
	f->vnet.csum_start = (uint16_t)(f->vnet.csum_start + VLAN_LEN);
}

static void rx_single(struct port *p, uint32_t i, uint32_t len, uint64_t at_ns)
{
	struct qb_netem_host *h = p->bridge->host;
	struct qb_netem_frame *f = p->rx_frame[i];
	struct qb_netem_frame *fresh;
	uint8_t tag[VLAN_LEN];

	if (len > h->frame_room - VLAN_LEN || len < ETH_HLEN) {
		h->link.io_drops[p->dir][QB_NETEM_IO_BAD]++;
		return;
	}
	fresh = qb_netem_frame_get(h);
	if (!fresh) {
		h->link.io_drops[p->dir][QB_NETEM_IO_BAD]++;
		return;
	}
	p->rx_frame[i] = fresh;
	f->len = len;
	f->vnet.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	f->vnet.hdr_len = 0;
	if (vlan_tag(&p->rx[i].msg_hdr, tag))
		insert_tag(f, tag);
	qb_netem_host_offer(h, p->dir, f, f->len, at_ns);
}

/* cut offers the pieces of a super-packet at pkt, l2 bytes of Ethernet in front. Returns false when
 * it cannot. */
static bool cut(struct port *p, const struct msghdr *m, const struct virtio_net_hdr *vnet,
		const uint8_t *pkt, uint32_t len, uint64_t at_ns)
{
	struct qb_netem_host *h = p->bridge->host;
	uint32_t l2 = l2_len(pkt, len);
	struct virtio_net_hdr_v1 vh = {
		.flags = vnet->flags,
		.gso_type = vnet->gso_type,
		.gso_size = vnet->gso_size,
		.csum_start = (uint16_t)(vnet->csum_start - l2),
		.csum_offset = vnet->csum_offset,
	};
	struct qb_segment s;
	uint8_t tag[VLAN_LEN];
	bool has_tag = vlan_tag(m, tag);

	if (l2 > len || (vnet->csum_start < l2 && (vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) ||
	    qb_segment_init(&s, &vh, pkt + l2, len - l2) ||
	    l2 + qb_segment_max_len(&s) > h->frame_room - VLAN_LEN)
		return false;
	while (qb_segment_left(&s)) {
		struct qb_netem_frame *f = qb_netem_frame_get(h);

		if (!f)
			return false;
		f->off = VLAN_LEN;
		memcpy(f->data + VLAN_LEN, pkt, l2);
		f->len = l2 + qb_segment_next(&s, f->data + VLAN_LEN + l2);
		if (has_tag)
			insert_tag(f, tag);
		qb_netem_host_offer(h, p->dir, f, f->len, at_ns);
	}
	return true;
}

static void rx_super(struct port *p, uint32_t i, uint32_t len, uint64_t at_ns)
{
	struct qb_netem_host *h = p->bridge->host;
	const struct qb_netem_frame *f = p->rx_frame[i];
	const uint8_t *pkt = f->data + VLAN_LEN;
	uint32_t room = h->frame_room - VLAN_LEN;

	if (len > room) {
		uint8_t *over = p->rx_iov[i][2].iov_base;

		memcpy(over - room, pkt, room);
		pkt = over - room;
	}
	if (len > room + SUPER_MAX || len < ETH_HLEN ||
	    !cut(p, &p->rx[i].msg_hdr, &f->vnet, pkt, len, at_ns))
		h->link.io_drops[p->dir][QB_NETEM_IO_BAD]++;
}

/* rx_one returns when the packet arrived. */
static uint64_t rx_one(struct port *p, uint32_t i, const struct qb_netem_clock *clock)
{
	uint32_t len = p->rx[i].msg_len - (uint32_t)sizeof(struct virtio_net_hdr);
	uint64_t at_ns = qb_netem_clock_arrival_ns(clock, &p->rx[i].msg_hdr);

	if (p->rx_frame[i]->vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		rx_single(p, i, len, at_ns);
	else
		rx_super(p, i, len, at_ns);
	rx_slot_init(p, i);
	return at_ns;
}

static uint32_t port_ready(struct qb_netem_source *s, uint64_t now_ns)
{
	struct port *p = QB_CONTAINER_OF(s, struct port, source);
	struct qb_netem_clock clock;
	uint64_t at_ns = now_ns;
	uint32_t total = 0;

	for (uint32_t round = 0; round < ROUND_BATCHES; round++) {
		int n = recvmmsg(s->fd, p->rx, QB_NETEM_BATCH, MSG_DONTWAIT, NULL);

		/* A kind of super-packet that this kernel cannot describe: it is gone, others
		 * follow. */
		if (n < 0 && errno == EINVAL) {
			p->bridge->host->link.io_drops[p->dir][QB_NETEM_IO_BAD]++;
			continue;
		}
		if (n <= 0)
			return total;
		qb_netem_clock_read(&clock);
		for (int i = 0; i < n; i++)
			at_ns = rx_one(p, (uint32_t)i, &clock);
		total += (uint32_t)n;
		if (n < QB_NETEM_BATCH)
			return total;
	}
	qb_netem_host_unread(p->bridge->host, p->dir, at_ns);
	return total;
}

/* ---- send ---- */

static void bridge_flush(void *backend, uint32_t dir)
{
	struct bridge *b = backend;
	struct port *p = &b->port[1 - dir];
	uint32_t done = 0;

	while (done < p->tx_cnt) {
		int n = sendmmsg(p->source.fd, p->tx + done, p->tx_cnt - done, MSG_DONTWAIT);

		if (n > 0) {
			done += (uint32_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		b->host->link.io_drops[dir][QB_NETEM_IO_SEND]++;
		done++;
	}
	for (uint32_t i = 0; i < p->tx_cnt; i++)
		qb_netem_frame_put(b->host, p->tx_frame[i]);
	p->tx_cnt = 0;
}

static void bridge_deliver(void *backend, uint32_t dir, struct qb_netem_frame *f)
{
	struct bridge *b = backend;
	struct port *p = &b->port[1 - dir];
	uint32_t i = p->tx_cnt++;

	p->tx_frame[i] = f;
	p->tx_iov[i][0] = (struct iovec){&f->vnet, sizeof(f->vnet)};
	p->tx_iov[i][1] = (struct iovec){f->data + f->off, f->len};
	p->tx[i].msg_hdr = (struct msghdr){.msg_iov = p->tx_iov[i], .msg_iovlen = 2};
	if (p->tx_cnt == QB_NETEM_BATCH)
		bridge_flush(b, dir);
}

static void bridge_poll(void *backend, uint64_t now_ns)
{
	struct bridge *b = backend;

	(void)now_ns;
	for (uint32_t i = 0; i < 2; i++) {
		struct tpacket_stats st;
		socklen_t len = sizeof(st);

		/* Reading resets the kernel's counts. */
		if (getsockopt(b->port[i].source.fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0)
			b->host->link.io_drops[i][QB_NETEM_IO_SOCKET] += st.tp_drops;
	}
}

/* ---- set-up ---- */

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

static int port_open(struct port *p)
{
	struct sockaddr_ll sll = {.sll_family = AF_PACKET,
				  .sll_protocol = __builtin_bswap16(ETH_P_ALL)};
	struct packet_mreq mreq = {.mr_type = PACKET_MR_PROMISC};
	/* Protocol 0: nothing is received before bind has chosen the interface. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret;

	p->source.fd = fd;
	if (fd < 0)
		return -errno;
	sll.sll_ifindex = mreq.mr_ifindex = (int)if_nametoindex(p->ifname);
	if (sll.sll_ifindex == 0)
		return -ENODEV;
	ret = set_option(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
	if (!ret)
		ret = set_option(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	if (!ret)
		ret = set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	if (!ret)
		ret = qb_netem_clock_stamps(fd);
	if (!ret && setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq, sizeof(mreq)))
		ret = -errno;
	if (ret)
		return ret;
	if (set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, RCVBUF_BYTES))
		(void)!set_option(fd, SOL_SOCKET, SO_RCVBUF, RCVBUF_BYTES);
	return bind(fd, (struct sockaddr *)&sll, sizeof(sll)) ? -errno : 0;
}

/* if_mtu returns the interface's MTU, or -errno. */
static int if_mtu(const char *ifname)
{
	struct ifreq ifr = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	ret = ioctl(fd, SIOCGIFMTU, &ifr) ? -errno : ifr.ifr_mtu;
	close(fd);
	return ret;
}

static int port_start(struct bridge *b, uint32_t i)
{
	struct port *p = &b->port[i];
	int ret = port_open(p);

	if (ret)
		return ret;
	for (uint32_t k = 0; k < QB_NETEM_BATCH; k++) {
		p->rx_frame[k] = qb_netem_frame_get(b->host);
		rx_slot_init(p, k);
	}
	p->source.on_ready = port_ready;
	return qb_netem_host_watch(b->host, &p->source);
}

static int bridge_alloc(struct qb_netem_host *h, struct bridge **out)
{
	struct bridge *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->host = h;
	b->over_bytes = h->frame_room + SUPER_MAX;
	b->over_mem = malloc(b->over_bytes * QB_NETEM_BATCH);
	if (!b->over_mem) {
		free(b);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < 2; i++) {
		b->port[i].source.fd = -1;
		b->port[i].bridge = b;
		b->port[i].dir = i;
	}
	*out = b;
	return 0;
}

int qb_netem_bridge_open(struct qb_netem_host *h, const char *ifname_a, const char *ifname_b,
			 uint32_t cap, uint64_t seed, char err[QB_NETEM_ERR_LEN])
{
	const char *names[2] = {ifname_a, ifname_b};
	uint32_t mtu_max = 1500;
	struct bridge *b = NULL;
	int ret;

	for (int i = 0; i < 2; i++) {
		int mtu = if_mtu(names[i]);

		if (mtu < 0) {
			snprintf(err, QB_NETEM_ERR_LEN, "%.20s: %s", names[i], strerror(-mtu));
			return mtu;
		}
		mtu_max = QB_MAX(mtu_max, (uint32_t)mtu);
	}
	ret = qb_netem_host_open(h, cap, mtu_max + ETH_HLEN + 2 * VLAN_LEN, ETH_HLEN, seed);
	if (ret) {
		snprintf(err, QB_NETEM_ERR_LEN, "%s", strerror(-ret));
		return ret;
	}
	ret = bridge_alloc(h, &b);
	h->backend = b;
	h->deliver = bridge_deliver;
	h->flush = bridge_flush;
	h->corrupt = bridge_corrupt;
	h->mark = bridge_mark;
	h->poll = bridge_poll;
	for (uint32_t i = 0; i < 2 && !ret; i++) {
		snprintf(b->port[i].ifname, IFNAMSIZ, "%s", names[i]);
		ret = port_start(b, i);
		if (ret)
			snprintf(err, QB_NETEM_ERR_LEN, "%.20s: %s", names[i], strerror(-ret));
	}
	if (ret)
		qb_netem_bridge_close(h);
	return ret;
}

void qb_netem_bridge_close(struct qb_netem_host *h)
{
	struct bridge *b = h->backend;

	if (b) {
		for (int i = 0; i < 2; i++)
			if (b->port[i].source.fd >= 0)
				close(b->port[i].source.fd);
		free(b->over_mem);
		free(b);
	}
	h->backend = NULL;
	qb_netem_host_close(h);
}
