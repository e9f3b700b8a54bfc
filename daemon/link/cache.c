/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cache: interfaces, addresses and default routes out of rtnetlink's messages, be they of a
 * dump or notifications. Other routes are not kept, for a router may have a million; next hops are
 * asked for one by one. Of neighbours only those that somebody asked for.
 */
#include "link/internal.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>

#include "base/log.h"

void qb_nl_cache_init(struct qb_nl *nl)
{
	nl->links.row_bytes = sizeof(struct nl_link);
	nl->addrs.row_bytes = sizeof(struct nl_addr_row);
	nl->defaults.row_bytes = sizeof(struct nl_default);
	nl->set_routes.row_bytes = sizeof(struct qb_nl_route);
}

void qb_nl_cache_fini(struct qb_nl *nl)
{
	free(nl->links.rows);
	free(nl->addrs.rows);
	free(nl->defaults.rows);
	free(nl->set_routes.rows);
}

static void add_or_lose(struct nl_table *t, const void *row)
{
	if (!qb_nl_table_add(t, row))
		qb_warn("netlink: out of memory, an entry is not known");
}

/* ---- interfaces ---- */

static bool is_kind_tun(struct nlattr *info)
{
	struct nlattr *attr[IFLA_INFO_MAX + 1];

	if (!info || nla_parse_nested(attr, IFLA_INFO_MAX, info, NULL) < 0 || !attr[IFLA_INFO_KIND])
		return false;
	return nla_strcmp(attr[IFLA_INFO_KIND], "tun") == 0;
}

static void forget_of(struct nl_table *t, uint32_t ifindex)
{
	/* Every row of these tables begins with its interface. */
	for (uint32_t i = t->cnt; i-- > 0;) {
		if (*(uint32_t *)qb_nl_table_row(t, i) == ifindex)
			qb_nl_table_remove(t, i);
	}
}

static void on_link(struct qb_nl *nl, struct nlmsghdr *nlh)
{
	struct nlattr *attr[IFLA_MAX + 1];
	struct ifinfomsg *ifi = nlmsg_data(nlh);
	struct nl_link l = {.ifindex = (uint32_t)ifi->ifi_index,
			    .flags = ifi->ifi_flags,
			    .type = ifi->ifi_type};
	uint32_t i;

	/* A bridge speaks of its ports in the same words. */
	if (ifi->ifi_family != AF_UNSPEC ||
	    nlmsg_parse(nlh, sizeof(*ifi), attr, IFLA_MAX, NULL) < 0)
		return;
	for (i = 0; i < nl->links.cnt; i++) {
		if (((struct nl_link *)qb_nl_table_row(&nl->links, i))->ifindex == l.ifindex)
			break;
	}
	nl->is_stale = true;
	if (nlh->nlmsg_type == RTM_DELLINK) {
		if (i < nl->links.cnt)
			qb_nl_table_remove(&nl->links, i);
		forget_of(&nl->addrs, l.ifindex);
		forget_of(&nl->defaults, l.ifindex);
		return;
	}
	if (attr[IFLA_IFNAME])
		nla_strlcpy(l.name, attr[IFLA_IFNAME], sizeof(l.name));
	if (attr[IFLA_MTU])
		l.mtu_bytes = nla_get_u32(attr[IFLA_MTU]);
	if (attr[IFLA_ADDRESS] && nla_len(attr[IFLA_ADDRESS]) == sizeof(l.mac)) {
		memcpy(l.mac, nla_data(attr[IFLA_ADDRESS]), sizeof(l.mac));
		l.has_mac = l.type == ARPHRD_ETHER;
	}
	l.is_tun = l.type == ARPHRD_NONE && is_kind_tun(attr[IFLA_LINKINFO]);
	if (i == nl->links.cnt) {
		add_or_lose(&nl->links, &l);
		return;
	}
	/* IPv4 routes of an interface that goes down vanish without a message. */
	if ((((struct nl_link *)qb_nl_table_row(&nl->links, i))->flags ^ l.flags) & IFF_UP)
		nl->must_dump_routes = true;
	memcpy(qb_nl_table_row(&nl->links, i), &l, sizeof(l));
}

/* ---- addresses ---- */

static void on_addr(struct qb_nl *nl, struct nlmsghdr *nlh)
{
	struct nlattr *attr[IFA_MAX + 1], *ip;
	struct ifaddrmsg *ifa = nlmsg_data(nlh);
	struct nl_addr_row a = {.ifindex = ifa->ifa_index,
				.prefix_len = ifa->ifa_prefixlen,
				.scope = ifa->ifa_scope,
				.flags = ifa->ifa_flags};
	uint32_t i;

	if (nlmsg_parse(nlh, sizeof(*ifa), attr, IFA_MAX, NULL) < 0)
		return;
	/* On a point-to-point interface IFA_ADDRESS is the peer's. */
	ip = attr[IFA_LOCAL] ? attr[IFA_LOCAL] : attr[IFA_ADDRESS];
	if (!ip || !qb_nl_get_addr(ip, &a.ip))
		return;
	if (attr[IFA_FLAGS])
		a.flags = nla_get_u32(attr[IFA_FLAGS]);
	for (i = 0; i < nl->addrs.cnt; i++) {
		const struct nl_addr_row *old = qb_nl_table_row(&nl->addrs, i);

		if (old->ifindex == a.ifindex && old->prefix_len == a.prefix_len &&
		    qb_addr_ip_eq(&old->ip, &a.ip))
			break;
	}
	if (nlh->nlmsg_type == RTM_DELADDR) {
		if (i == nl->addrs.cnt)
			return;
		qb_nl_table_remove(&nl->addrs, i);
		/* Routes that prefer the address, or all of the interface after its last one, go
		 * silently. */
		nl->must_dump_routes = true;
	} else if (i < nl->addrs.cnt) {
		struct nl_addr_row *old = qb_nl_table_row(&nl->addrs, i);

		/* A lease renewed is no news. */
		if (old->flags == a.flags && old->scope == a.scope)
			return;
		*old = a;
	} else {
		add_or_lose(&nl->addrs, &a);
	}
	nl->is_stale = true;
	nl->has_changed = true;
}

/* ---- default routes ---- */

static bool get_via(struct nlattr **attr, struct qb_addr *out)
{
	if (attr[RTA_GATEWAY])
		return qb_nl_get_addr(attr[RTA_GATEWAY], out);
	if (attr[RTA_VIA]) {
		/* An IPv4 route by way of an IPv6 router (RFC 5549): a family, then the address. */
		const struct rtvia *via = nla_data(attr[RTA_VIA]);
		size_t len = (size_t)nla_len(attr[RTA_VIA]);

		if (len < sizeof(*via) + 16 || via->rtvia_family != AF_INET6)
			return false;
		out->family = 6;
		memcpy(out->ip, via->rtvia_addr, 16);
	}
	return true;
}

void qb_nl_each_hop(const struct rtmsg *rtm, struct nlattr **attr, nl_on_hop on_hop, void *arg)
{
	struct nl_hop hop = {.ifindex = 0};
	struct rtnexthop *nh;
	int left;

	if (!attr[RTA_MULTIPATH]) {
		if ((rtm->rtm_flags & RTNH_F_DEAD) || !attr[RTA_OIF] || !get_via(attr, &hop.via))
			return;
		hop.ifindex = nla_get_u32(attr[RTA_OIF]);
		on_hop(&hop, arg);
		return;
	}
	nh = nla_data(attr[RTA_MULTIPATH]);
	for (left = nla_len(attr[RTA_MULTIPATH]); left >= (int)sizeof(*nh);) {
		struct nlattr *nh_attr[RTA_MAX + 1];
		int nh_len = nh->rtnh_len;

		if (nh_len < (int)sizeof(*nh) || nh_len > left)
			return;
		hop = (struct nl_hop){.ifindex = (uint32_t)nh->rtnh_ifindex};
		if (!(nh->rtnh_flags & RTNH_F_DEAD) &&
		    nla_parse(nh_attr, RTA_MAX, (struct nlattr *)RTNH_DATA(nh),
			      nh_len - (int)sizeof(*nh), NULL) >= 0 &&
		    get_via(nh_attr, &hop.via))
			on_hop(&hop, arg);
		left -= NLMSG_ALIGN(nh_len);
		nh = RTNH_NEXT(nh);
	}
}

struct default_ctx {
	struct qb_nl *nl;
	struct nl_default row; /* without the hop's part */
	bool is_new;
};

static bool is_same_route(const struct nl_default *a, const struct nl_default *b)
{
	return a->family == b->family && a->table == b->table && a->metric == b->metric;
}

static void on_default_hop(const struct nl_hop *hop, void *arg)
{
	struct default_ctx *ctx = arg;
	struct nl_table *t = &ctx->nl->defaults;
	uint32_t i;

	ctx->row.ifindex = hop->ifindex;
	ctx->row.via = hop->via;
	/* A link-local router is one of this interface. */
	if (hop->via.family == 6 && hop->via.ip[0] == 0xfe && (hop->via.ip[1] & 0xc0) == 0x80)
		ctx->row.via.scope_id = hop->ifindex;
	for (i = 0; i < t->cnt; i++) {
		const struct nl_default *old = qb_nl_table_row(t, i);

		if (is_same_route(old, &ctx->row) && old->ifindex == hop->ifindex &&
		    qb_addr_ip_eq(&old->via, &hop->via))
			break;
	}
	if (i < t->cnt)
		qb_nl_table_remove(t, i);
	if (ctx->is_new)
		add_or_lose(t, &ctx->row);
	ctx->nl->is_stale = true;
}

static void on_route(struct qb_nl *nl, struct nlmsghdr *nlh)
{
	struct nlattr *attr[RTA_MAX + 1];
	struct rtmsg *rtm = nlmsg_data(nlh);
	struct default_ctx ctx = {.nl = nl, .is_new = nlh->nlmsg_type == RTM_NEWROUTE};
	struct nl_default *row = &ctx.row;

	/* Our own lead into the tunnel and say nothing of the links. */
	if (rtm->rtm_dst_len != 0 || rtm->rtm_type != RTN_UNICAST ||
	    rtm->rtm_protocol == QB_RTPROT || (rtm->rtm_flags & RTM_F_CLONED) ||
	    (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6) ||
	    nlmsg_parse(nlh, sizeof(*rtm), attr, RTA_MAX, NULL) < 0)
		return;
	row->family = rtm->rtm_family == AF_INET ? 4 : 6;
	row->table = attr[RTA_TABLE] ? nla_get_u32(attr[RTA_TABLE]) : rtm->rtm_table;
	row->metric = attr[RTA_PRIORITY] ? nla_get_u32(attr[RTA_PRIORITY]) : 0;
	if (attr[RTA_PREFSRC] && !qb_nl_get_addr(attr[RTA_PREFSRC], &row->src))
		return;
	/* What is replaced is not taken back first. */
	for (uint32_t i = nl->defaults.cnt;
	     ctx.is_new && (nlh->nlmsg_flags & NLM_F_REPLACE) && i-- > 0;) {
		if (is_same_route(qb_nl_table_row(&nl->defaults, i), row))
			qb_nl_table_remove(&nl->defaults, i);
	}
	qb_nl_each_hop(rtm, attr, on_default_hop, &ctx);
}

/* ---- neighbours ---- */

static void on_neigh(struct qb_nl *nl, struct nlmsghdr *nlh)
{
	struct nlattr *attr[NDA_MAX + 1];
	struct ndmsg *ndm = nlmsg_data(nlh);
	const int usable =
		NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
	struct qb_addr ip;
	bool has_mac;

	if (nlmsg_parse(nlh, sizeof(*ndm), attr, NDA_MAX, NULL) < 0 || !attr[NDA_DST] ||
	    !qb_nl_get_addr(attr[NDA_DST], &ip))
		return;
	has_mac = nlh->nlmsg_type == RTM_NEWNEIGH && (ndm->ndm_state & usable) &&
		  attr[NDA_LLADDR] && nla_len(attr[NDA_LLADDR]) == 6;
	for (uint32_t i = 0; i < nl->watch_cnt; i++) {
		struct nl_watch *w = &nl->watch[i];

		if (w->ifindex != (uint32_t)ndm->ndm_ifindex || !qb_addr_ip_eq(&w->ip, &ip))
			continue;
		if (has_mac != w->has_mac ||
		    (has_mac && memcmp(w->mac, nla_data(attr[NDA_LLADDR]), 6) != 0))
			nl->has_changed = true;
		w->has_mac = has_mac;
		if (has_mac)
			memcpy(w->mac, nla_data(attr[NDA_LLADDR]), 6);
		return;
	}
}

/* ---- all of it ---- */

void qb_nl_cache_on_msg(struct qb_nl *nl, struct nlmsghdr *nlh, void *arg)
{
	static const struct {
		int new_type, del_type;
		size_t hdr_bytes;
		void (*fn)(struct qb_nl *nl, struct nlmsghdr *nlh);
	} rows[] = {
		{RTM_NEWLINK, RTM_DELLINK, sizeof(struct ifinfomsg), on_link},
		{RTM_NEWADDR, RTM_DELADDR, sizeof(struct ifaddrmsg), on_addr},
		{RTM_NEWROUTE, RTM_DELROUTE, sizeof(struct rtmsg), on_route},
		{RTM_NEWNEIGH, RTM_DELNEIGH, sizeof(struct ndmsg), on_neigh},
	};

	(void)arg;
	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++) {
		if ((nlh->nlmsg_type == rows[i].new_type || nlh->nlmsg_type == rows[i].del_type) &&
		    nlmsg_valid_hdr(nlh, (int)rows[i].hdr_bytes))
			rows[i].fn(nl, nlh);
	}
}

int qb_nl_cache_dump_routes(struct qb_nl *nl)
{
	nl->must_dump_routes = false;
	nl->is_stale = true;
	nl->defaults.cnt = 0;
	return qb_nl_dump(nl, RTM_GETROUTE, AF_UNSPEC, qb_nl_cache_on_msg, NULL);
}

int qb_nl_cache_dump(struct qb_nl *nl)
{
	int ret;

	nl->must_dump_all = false;
	nl->links.cnt = nl->addrs.cnt = 0;
	ret = qb_nl_dump(nl, RTM_GETLINK, AF_UNSPEC, qb_nl_cache_on_msg, NULL);
	if (ret == 0)
		ret = qb_nl_dump(nl, RTM_GETADDR, AF_UNSPEC, qb_nl_cache_on_msg, NULL);
	if (ret == 0)
		ret = qb_nl_cache_dump_routes(nl);
	for (uint32_t i = 0; i < nl->watch_cnt; i++)
		nl->watch[i].has_mac = false;
	if (ret == 0 && nl->watch_cnt)
		ret = qb_nl_dump(nl, RTM_GETNEIGH, AF_UNSPEC, qb_nl_cache_on_msg, NULL);
	return ret;
}
