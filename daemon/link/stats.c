/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel knows of one device: its addresses, and its own counters. For `quicbondctl tun`;
 * main thread.
 */
#include "link/internal.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

struct answer {
	struct qb_nl_stats *out;
	bool has_come;
};

static void on_link(struct qb_nl *nl, struct nlmsghdr *nlh, void *arg)
{
	struct answer *a = arg;
	const struct ifinfomsg *ifi = nlmsg_data(nlh);
	const struct nlattr *attr;
	struct rtnl_link_stats64 s = {0};

	(void)nl;
	if (nlh->nlmsg_type != RTM_NEWLINK)
		return;
	a->has_come = true;
	a->out->is_up = (ifi->ifi_flags & IFF_UP) && (ifi->ifi_flags & IFF_RUNNING);
	attr = nlmsg_find_attr(nlh, sizeof(*ifi), IFLA_MTU);
	a->out->mtu_bytes = attr ? nla_get_u32(attr) : 0;
	attr = nlmsg_find_attr(nlh, sizeof(*ifi), IFLA_TXQLEN);
	a->out->queue_len = attr ? nla_get_u32(attr) : 0;
	attr = nlmsg_find_attr(nlh, sizeof(*ifi), IFLA_STATS64);
	if (!attr)
		return;
	/* Newer kernels have more fields, older ones fewer. */
	memcpy(&s, nla_data(attr), QB_MIN(sizeof(s), (size_t)nla_len(attr)));
	a->out->rx_packets = s.rx_packets;
	a->out->rx_bytes = s.rx_bytes;
	a->out->rx_dropped = s.rx_dropped;
	a->out->rx_errors = s.rx_errors;
	a->out->tx_packets = s.tx_packets;
	a->out->tx_bytes = s.tx_bytes;
	a->out->tx_dropped = s.tx_dropped;
	a->out->tx_errors = s.tx_errors;
}

int qb_nl_stats_read(struct qb_nl *nl, uint32_t ifindex, struct qb_nl_stats *out)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex};
	struct nl_msg *msg = qb_nl_request(RTM_GETLINK, 0, &ifi, sizeof(ifi));
	struct answer a = {.out = out};
	int ret;

	memset(out, 0, sizeof(*out));
	if (!msg)
		return -ENOMEM;
	ret = qb_nl_ask(nl, msg, on_link, &a);
	return ret ? ret : a.has_come ? 0 : -ENODEV;
}

uint32_t qb_nl_addresses(const struct qb_nl *nl, uint32_t ifindex, struct qb_prefix *out,
			 uint32_t cap)
{
	const struct nl_addr_row *rows = nl->addrs.rows;
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < nl->addrs.cnt && cnt < cap; i++) {
		if (rows[i].ifindex != ifindex)
			continue;
		out[cnt] =
			(struct qb_prefix){.family = rows[i].ip.family, .len = rows[i].prefix_len};
		memcpy(out[cnt++].ip, rows[i].ip.ip, sizeof(out[0].ip));
	}
	return cnt;
}
