/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What we set: addresses, routes and rules, each marked with our protocol number, by which all of
 * it is found and removed again, also what a killed predecessor left behind. Never a route of
 * somebody else's.
 */
#include "link/internal.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>

/* <linux/if_addr.h> of older systems lacks it; older kernels ignore it. */
enum { ATTR_IFA_PROTO = 11 };

static int send_if_built(struct qb_nl *nl, struct nl_msg *msg, int build_ret)
{
	if (build_ret) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return qb_nl_talk(nl, msg);
}

/* ---- interfaces and addresses ---- */

int qb_nl_if_up(struct qb_nl *nl, uint32_t ifindex, uint32_t mtu_bytes)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC,
				.ifi_index = (int)ifindex,
				.ifi_flags = IFF_UP,
				.ifi_change = IFF_UP};
	struct nl_msg *msg = qb_nl_request(RTM_NEWLINK, 0, &ifi, sizeof(ifi));

	if (!msg)
		return -ENOMEM;
	return send_if_built(nl, msg, mtu_bytes ? nla_put_u32(msg, IFLA_MTU, mtu_bytes) : 0);
}

int qb_nl_sign(struct qb_nl *nl, uint32_t ifindex)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex};
	struct nl_msg *msg = qb_nl_request(RTM_NEWLINK, 0, &ifi, sizeof(ifi));

	if (!msg)
		return -ENOMEM;
	return send_if_built(nl, msg,
			     nla_put_string(msg, IFLA_IFALIAS, QB_IF_ALIAS) |
				     nla_put_u32(msg, IFLA_GROUP, QB_IF_GROUP));
}

struct others {
	uint32_t own_ifindex;
	bool has_any;
};

static void on_other(struct qb_nl *nl, struct nlmsghdr *nlh, void *arg)
{
	struct others *o = arg;
	const struct ifinfomsg *ifi = nlmsg_data(nlh);
	const struct nlattr *alias;

	(void)nl;
	if (nlh->nlmsg_type != RTM_NEWLINK || (uint32_t)ifi->ifi_index == o->own_ifindex)
		return;
	alias = nlmsg_find_attr(nlh, sizeof(*ifi), IFLA_IFALIAS);
	/* A TUN device that outlived its process has no carrier. */
	if (alias && (ifi->ifi_flags & IFF_RUNNING) && nla_strcmp(alias, QB_IF_ALIAS) == 0)
		o->has_any = true;
}

bool qb_nl_is_alone(struct qb_nl *nl, uint32_t own_ifindex)
{
	struct others o = {.own_ifindex = own_ifindex};

	(void)qb_nl_dump(nl, RTM_GETLINK, AF_UNSPEC, on_other, &o);
	return !o.has_any;
}

static int change_addr(struct qb_nl *nl, int type, int flags, uint32_t ifindex,
		       const struct qb_prefix *p)
{
	size_t len = p->family == 6 ? 16 : 4;
	struct ifaddrmsg ifa = {
		.ifa_family = (uint8_t)qb_nl_family(p->family),
		.ifa_prefixlen = p->len,
		/* Nobody else is on a tunnel: without the wait for duplicates it can be sent from
		   at once. */
		.ifa_flags = p->family == 6 ? IFA_F_NODAD : 0,
		.ifa_scope = RT_SCOPE_UNIVERSE,
		.ifa_index = ifindex,
	};
	struct nl_msg *msg = qb_nl_request(type, flags, &ifa, sizeof(ifa));
	int ret;

	if (!msg)
		return -ENOMEM;
	ret = nla_put(msg, IFA_LOCAL, (int)len, p->ip);
	ret |= nla_put(msg, IFA_ADDRESS, (int)len, p->ip);
	if (type == RTM_NEWADDR)
		ret |= nla_put_u8(msg, ATTR_IFA_PROTO, QB_RTPROT);
	return send_if_built(nl, msg, ret);
}

int qb_nl_addr_add(struct qb_nl *nl, uint32_t ifindex, const struct qb_prefix *p)
{
	int ret = change_addr(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, p);

	return ret == -EEXIST ? 0 : ret;
}

int qb_nl_addr_del(struct qb_nl *nl, uint32_t ifindex, const struct qb_prefix *p)
{
	return change_addr(nl, RTM_DELADDR, 0, ifindex, p);
}

/* ---- routes ---- */

static uint32_t route_table(const struct qb_nl_route *r)
{
	return r->table ? r->table : RT_TABLE_MAIN;
}

/* find_set returns the place of a route that we added, by what makes routes the same for the
 * kernel; or cnt. */
static uint32_t find_set(const struct qb_nl *nl, const struct qb_nl_route *r)
{
	uint32_t i;

	for (i = 0; i < nl->set_routes.cnt; i++) {
		const struct qb_nl_route *old = qb_nl_table_row(&nl->set_routes, i);

		if (memcmp(&old->dst, &r->dst, sizeof(r->dst)) == 0 &&
		    route_table(old) == route_table(r) && old->metric == r->metric)
			break;
	}
	return i;
}

static int put_via(struct nl_msg *msg, const struct qb_nl_route *r)
{
	struct {
		uint16_t family;
		uint8_t ip[16];
	} via6 = {.family = AF_INET6};

	if (r->via.family == 0)
		return 0;
	if (r->via.family == r->dst.family)
		return nla_put(msg, RTA_GATEWAY, qb_addr_ip_len(&r->via), r->via.ip);
	if (r->via.family != 6)
		return -EINVAL;
	memcpy(via6.ip, r->via.ip, sizeof(via6.ip));
	return nla_put(msg, RTA_VIA, sizeof(via6), &via6);
}

static int put_metrics(struct nl_msg *msg, const struct qb_nl_route *r)
{
	struct nlattr *nest;
	int ret = 0;

	if (r->mtu_bytes == 0 && r->advmss_bytes == 0)
		return 0;
	nest = nla_nest_start(msg, RTA_METRICS);
	if (!nest)
		return -ENOMEM;
	if (r->mtu_bytes)
		ret |= nla_put_u32(msg, RTAX_MTU, r->mtu_bytes);
	if (r->advmss_bytes)
		ret |= nla_put_u32(msg, RTAX_ADVMSS, r->advmss_bytes);
	nla_nest_end(msg, nest);
	return ret;
}

static int change_route(struct qb_nl *nl, int type, int flags, const struct qb_nl_route *r)
{
	uint32_t table = route_table(r);
	struct rtmsg rtm = {
		.rtm_family = (uint8_t)qb_nl_family(r->dst.family),
		.rtm_dst_len = r->dst.len,
		.rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC,
		.rtm_protocol = QB_RTPROT,
		.rtm_type = r->ifindex ? RTN_UNICAST : RTN_UNREACHABLE,
		.rtm_scope = RT_SCOPE_UNIVERSE,
	};
	struct nl_msg *msg;
	int ret = 0;

	if (r->dst.family == 4 && r->ifindex && r->via.family == 0)
		rtm.rtm_scope = RT_SCOPE_LINK;
	if (type == RTM_DELROUTE && r->dst.family == 4)
		rtm.rtm_scope = RT_SCOPE_NOWHERE; /* any */
	msg = qb_nl_request(type, flags, &rtm, sizeof(rtm));
	if (!msg)
		return -ENOMEM;
	if (r->dst.len)
		ret |= nla_put(msg, RTA_DST, r->dst.family == 6 ? 16 : 4, r->dst.ip);
	ret |= nla_put_u32(msg, RTA_TABLE, table);
	if (r->ifindex)
		ret |= nla_put_u32(msg, RTA_OIF, r->ifindex);
	if (r->metric)
		ret |= nla_put_u32(msg, RTA_PRIORITY, r->metric);
	if (r->src.family)
		ret |= nla_put(msg, RTA_PREFSRC, qb_addr_ip_len(&r->src), r->src.ip);
	ret |= put_via(msg, r);
	ret |= put_metrics(msg, r);
	return send_if_built(nl, msg, ret);
}

/* delete_ours removes the route of this destination, table and metric, if it carries our number. */
static int delete_ours(struct qb_nl *nl, const struct qb_nl_route *r)
{
	const struct qb_nl_route key = {
		.dst = r->dst, .ifindex = r->ifindex, .table = r->table, .metric = r->metric};

	return change_route(nl, RTM_DELROUTE, 0, &key);
}

int qb_nl_route_add(struct qb_nl *nl, const struct qb_nl_route *r)
{
	uint32_t i = find_set(nl, r);
	int ret;

	if (i < nl->set_routes.cnt) {
		/* Ours: replaced without a moment in which there is none. */
		ret = change_route(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, r);
		if (ret == 0)
			memcpy(qb_nl_table_row(&nl->set_routes, i), r, sizeof(*r));
		return ret;
	}
	ret = change_route(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, r);
	/* A predecessor's is taken over; somebody else's stays, and is the caller's trouble. */
	if (ret == -EEXIST && delete_ours(nl, r) == 0)
		ret = change_route(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, r);
	if (ret == 0 && !qb_nl_table_add(&nl->set_routes, r)) {
		(void)delete_ours(nl, r);
		return -ENOMEM;
	}
	return ret;
}

int qb_nl_route_del(struct qb_nl *nl, const struct qb_nl_route *r)
{
	uint32_t i = find_set(nl, r);

	if (i < nl->set_routes.cnt)
		qb_nl_table_remove(&nl->set_routes, i);
	return delete_ours(nl, r);
}

/* ---- rules ---- */

static int put_rule(struct nl_msg *msg, const struct qb_nl_rule *r)
{
	struct fib_rule_port_range ports = {.start = r->dport_first, .end = r->dport_last};
	int len = r->family == 6 ? 16 : 4, ret = 0;

	if (r->table)
		ret |= nla_put_u32(msg, FRA_TABLE, r->table);
	ret |= nla_put_u32(msg, FRA_PRIORITY, r->priority);
	ret |= nla_put_u8(msg, FRA_PROTOCOL, QB_RTPROT);
	if (r->from.len)
		ret |= nla_put(msg, FRA_SRC, len, r->from.ip);
	if (r->to.len)
		ret |= nla_put(msg, FRA_DST, len, r->to.ip);
	if (r->iif[0])
		ret |= nla_put_string(msg, FRA_IIFNAME, r->iif);
	if (r->suppress_prefix_len_plus1)
		ret |= nla_put_u32(msg, FRA_SUPPRESS_PREFIXLEN, r->suppress_prefix_len_plus1 - 1);
	if (r->fwmark) {
		ret |= nla_put_u32(msg, FRA_FWMARK, r->fwmark);
		ret |= nla_put_u32(msg, FRA_FWMASK, r->fwmask ? r->fwmask : UINT32_MAX);
	} else if (r->fwmask) { /* those bits are 0 */
		ret |= nla_put_u32(msg, FRA_FWMARK, 0);
		ret |= nla_put_u32(msg, FRA_FWMASK, r->fwmask);
	}
	if (r->proto)
		ret |= nla_put_u8(msg, FRA_IP_PROTO, r->proto);
	if (r->dport_first)
		ret |= nla_put(msg, FRA_DPORT_RANGE, sizeof(ports), &ports);
	if (r->goto_priority)
		ret |= nla_put_u32(msg, FRA_GOTO, r->goto_priority);
	if (r->is_not_tunnel)
		ret |= nla_put_u32(msg, FRA_SUPPRESS_IFGROUP, QB_IF_GROUP);
	return ret;
}

static uint8_t rule_action(const struct qb_nl_rule *r)
{
	if (r->goto_priority)
		return FR_ACT_GOTO;
	if (r->is_nop)
		return FR_ACT_NOP;
	return r->is_unreachable ? FR_ACT_UNREACHABLE : FR_ACT_TO_TBL;
}

static int change_rule(struct qb_nl *nl, int type, int flags, const struct qb_nl_rule *r)
{
	struct fib_rule_hdr frh = {
		.family = (uint8_t)qb_nl_family(r->family),
		.src_len = r->from.family ? r->from.len : 0,
		.dst_len = r->to.family ? r->to.len : 0,
		.table = r->table < 256 ? (uint8_t)r->table : RT_TABLE_UNSPEC,
		.action = rule_action(r),
		.flags = r->is_inverted ? FIB_RULE_INVERT : 0,
	};
	struct nl_msg *msg = qb_nl_request(type, flags, &frh, sizeof(frh));

	if (!msg)
		return -ENOMEM;
	return send_if_built(nl, msg, put_rule(msg, r));
}

int qb_nl_rule_add(struct qb_nl *nl, const struct qb_nl_rule *r)
{
	int ret = change_rule(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, r);

	return ret == -EEXIST ? 0 : ret;
}

int qb_nl_rule_del(struct qb_nl *nl, const struct qb_nl_rule *r)
{
	return change_rule(nl, RTM_DELRULE, 0, r);
}

/* ---- sweeping ---- */

/* The messages of a dump that speak of something of ours, to be sent back as deletions. */
struct sweep {
	struct nl_msg **msgs;
	uint32_t cnt, cap;
};

static bool is_ours(struct nlmsghdr *nlh)
{
	struct nlattr *attr;

	switch (nlh->nlmsg_type) {
	case RTM_NEWROUTE: {
		const struct rtmsg *rtm = nlmsg_data(nlh);

		return rtm->rtm_protocol == QB_RTPROT && !(rtm->rtm_flags & RTM_F_CLONED);
	}
	case RTM_NEWRULE:
		attr = nlmsg_find_attr(nlh, sizeof(struct fib_rule_hdr), FRA_PROTOCOL);
		return attr && nla_get_u8(attr) == QB_RTPROT;
	case RTM_NEWADDR:
		attr = nlmsg_find_attr(nlh, sizeof(struct ifaddrmsg), ATTR_IFA_PROTO);
		return attr && nla_get_u8(attr) == QB_RTPROT;
	default:
		return false;
	}
}

static void on_swept(struct qb_nl *nl, struct nlmsghdr *nlh, void *arg)
{
	struct sweep *s = arg;
	struct nl_msg *msg;

	(void)nl;
	if (!is_ours(nlh))
		return;
	if (s->cnt == s->cap) {
		uint32_t cap = s->cap ? 2 * s->cap : 64;
		struct nl_msg **msgs = realloc(s->msgs, cap * sizeof(*msgs));

		if (!msgs)
			return;
		s->msgs = msgs;
		s->cap = cap;
	}
	msg = nlmsg_convert(nlh);
	if (!msg)
		return;
	/* RTM_NEWx, RTM_DELx and RTM_GETx follow each other. */
	nlmsg_hdr(msg)->nlmsg_type++;
	nlmsg_hdr(msg)->nlmsg_flags = NLM_F_REQUEST;
	nlmsg_hdr(msg)->nlmsg_seq = NL_AUTO_SEQ;
	nlmsg_hdr(msg)->nlmsg_pid = NL_AUTO_PORT;
	s->msgs[s->cnt++] = msg;
}

static int sweep_kind(struct qb_nl *nl, int get_type, int family)
{
	struct sweep s = {.cnt = 0};
	int done = 0;

	(void)qb_nl_dump(nl, get_type, family, on_swept, &s);
	for (uint32_t i = 0; i < s.cnt; i++)
		done += qb_nl_talk(nl, s.msgs[i]) == 0;
	free(s.msgs);
	return done;
}

int qb_nl_sweep(struct qb_nl *nl)
{
	int cnt = 0;

	nl->set_routes.cnt = 0;
	/* Rules first: what no rule leads to, nobody misses. */
	cnt += sweep_kind(nl, RTM_GETRULE, AF_INET);
	cnt += sweep_kind(nl, RTM_GETRULE, AF_INET6);
	cnt += sweep_kind(nl, RTM_GETROUTE, AF_INET);
	cnt += sweep_kind(nl, RTM_GETROUTE, AF_INET6);
	cnt += sweep_kind(nl, RTM_GETADDR, AF_UNSPEC);
	return cnt;
}
