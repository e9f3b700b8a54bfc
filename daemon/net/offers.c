/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a driver offers to XDP and AF_XDP, as the kernel's "netdev" family of generic netlink tells
 * it (6.3 and later): zero-copy, metadata on receive and transmit. For `io`, on the main thread.
 * The answer is parsed apart from the asking, so that a test needs no such driver.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/offers.h"

enum {
	MSG_BYTES = 4096,
	WAIT_MS = 200,
	/* The netdev family's numbers, which older headers do not have. */
	NETDEV_GET = 1,
	ATTR_IFINDEX = 1,
	ATTR_XDP = 3,
	ATTR_RX_METADATA = 5,
	ATTR_XSK = 6,
};

struct bit_name {
	uint16_t attr;
	uint8_t bit;
	const char *name;
};

/* clang-format off */
static const struct bit_name bit_names[] = {
	{ATTR_XDP,         0, "xdp"},
	{ATTR_XDP,         1, "redirect"},
	{ATTR_XDP,         2, "xmit"},
	{ATTR_XDP,         3, "zero-copy"},
	{ATTR_XDP,         5, "frags"},
	{ATTR_RX_METADATA, 0, "rx-timestamp"},
	{ATTR_RX_METADATA, 1, "rx-hash"},
	{ATTR_RX_METADATA, 2, "rx-vlan"},
	{ATTR_XSK,         0, "tx-timestamp"},
	{ATTR_XSK,         1, "tx-checksum"},
	{ATTR_XSK,         2, "tx-launch-time"},
};
/* clang-format on */

/* ---- messages ---- */

struct request {
	struct nlmsghdr nl;
	struct genlmsghdr gen;
	struct nlattr attr;
	uint8_t value[16];
};

static void make_request(struct request *r, uint16_t family, uint8_t cmd, uint16_t attr,
			 const void *value, uint16_t bytes)
{
	memset(r, 0, sizeof(*r));
	r->nl.nlmsg_type = family;
	r->nl.nlmsg_flags = NLM_F_REQUEST;
	r->gen.cmd = cmd;
	r->gen.version = 1;
	r->attr.nla_type = attr;
	r->attr.nla_len = (uint16_t)(NLA_HDRLEN + bytes);
	memcpy(r->value, value, bytes);
	r->nl.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN) + NLA_ALIGN(r->attr.nla_len);
}

/* find_attr returns the bytes of an attribute of a generic netlink message; 0: it is not there. */
static uint32_t find_attr(const uint8_t *msg, size_t len, uint16_t type, const uint8_t **value)
{
	struct nlmsghdr nl;
	size_t off = NLMSG_HDRLEN + GENL_HDRLEN;

	if (len < off)
		return 0;
	memcpy(&nl, msg, sizeof(nl));
	if (nl.nlmsg_len > len || nl.nlmsg_type == NLMSG_ERROR)
		return 0;
	len = nl.nlmsg_len;
	while (off + NLA_HDRLEN <= len) {
		struct nlattr a;

		memcpy(&a, msg + off, sizeof(a));
		if (a.nla_len < NLA_HDRLEN || off + a.nla_len > len)
			return 0;
		*value = msg + off + NLA_HDRLEN;
		if ((a.nla_type & NLA_TYPE_MASK) == type)
			return a.nla_len - (uint32_t)NLA_HDRLEN;
		off += NLA_ALIGN(a.nla_len);
	}
	return 0;
}

int qb_net_offers_parse(const uint8_t *msg, size_t len, char *out, size_t cap)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < QB_ARRAY_LEN(bit_names); i++) {
		const struct bit_name *b = &bit_names[i];
		const uint8_t *value;
		uint64_t bits;

		if (find_attr(msg, len, b->attr, &value) != sizeof(bits))
			continue;
		memcpy(&bits, value, sizeof(bits));
		if (bits >> b->bit & 1 && at < cap)
			at += (size_t)snprintf(out + at, cap - at, "%s%s", at ? " " : "", b->name);
	}
	return at ? 0 : -ENODATA;
}

/* ---- asking ---- */

static ssize_t ask(int fd, const struct request *r, uint8_t answer[MSG_BYTES])
{
	if (send(fd, r, r->nl.nlmsg_len, 0) < 0)
		return -errno;
	return recv(fd, answer, MSG_BYTES, 0);
}

int qb_net_offers(uint32_t ifindex, char *out, size_t cap)
{
	struct timeval wait = {.tv_usec = WAIT_MS * 1000};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	uint8_t answer[MSG_BYTES];
	const uint8_t *value;
	uint16_t family = 0;
	struct request r;
	ssize_t len = 0;

	out[0] = '\0';
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	make_request(&r, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, "netdev", 7);
	len = ask(fd, &r, answer);
	if (len > 0 && find_attr(answer, (size_t)len, CTRL_ATTR_FAMILY_ID, &value) == 2)
		memcpy(&family, value, sizeof(family));
	if (family) {
		make_request(&r, family, NETDEV_GET, ATTR_IFINDEX, &ifindex, sizeof(ifindex));
		len = ask(fd, &r, answer);
	}
	close(fd);
	if (!family || len <= 0)
		return -EOPNOTSUPP;
	return qb_net_offers_parse(answer, (size_t)len, out, cap);
}
