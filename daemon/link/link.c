/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netlink object: subscribed to changes before it dumps what there is, so that nothing falls in
 * between; and questions about next hops and neighbours, which go to the kernel. Main thread only.
 */
#include "link/internal.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/log.h"

enum { RCVBUF_BYTES = 1 << 20 };

static int on_event(struct nl_msg *msg, void *arg)
{
	qb_nl_cache_on_msg(arg, nlmsg_hdr(msg), NULL);
	return NL_OK;
}

static int open_events(struct qb_nl *nl)
{
	int rcvbuf = RCVBUF_BYTES, fd, ret;

	nl_socket_disable_seq_check(nl->events);
	nl_socket_modify_cb(nl->events, NL_CB_VALID, NL_CB_CUSTOM, on_event, nl);
	ret = nl_connect(nl->events, NETLINK_ROUTE);
	if (ret)
		return ret;
	fd = nl_socket_get_fd(nl->events);
	/* A burst (a full table loaded) should not overrun it; without the right to force, the
	 * limit is the limit. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	ret = nl_socket_add_memberships(nl->events, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
					RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
					RTNLGRP_NEIGH, 0);
	return ret ? ret : nl_socket_set_nonblocking(nl->events);
}

static int open_asks(struct qb_nl *nl)
{
	/* The kernel answers at once; should it not, the main thread must not hang. */
	const struct timeval limit = {.tv_sec = 5};
	int ret;

	nl_socket_disable_auto_ack(nl->asks);
	ret = nl_connect(nl->asks, NETLINK_ROUTE);
	if (ret == 0)
		(void)setsockopt(nl_socket_get_fd(nl->asks), SOL_SOCKET, SO_RCVTIMEO, &limit,
				 sizeof(limit));
	return ret;
}

int qb_nl_open(struct qb_nl **out, char err[160])
{
	struct qb_nl *nl = calloc(1, sizeof(*nl));
	int ret;

	if (!nl)
		goto no_memory;
	qb_nl_cache_init(nl);
	nl->events = nl_socket_alloc();
	nl->asks = nl_socket_alloc();
	if (!nl->events || !nl->asks)
		goto no_memory;
	ret = open_events(nl);
	if (ret == 0)
		ret = open_asks(nl);
	if (ret) {
		snprintf(err, 160, "netlink: cannot open a socket: %s", nl_geterror(ret));
		qb_nl_close(nl);
		return -EIO;
	}
	ret = qb_nl_cache_dump(nl);
	if (ret) {
		snprintf(err, 160, "netlink: cannot list interfaces and routes: %s",
			 strerror(-ret));
		qb_nl_close(nl);
		return ret;
	}
	qb_nl_view_build(nl);
	*out = nl;
	return 0;
no_memory:
	snprintf(err, 160, "netlink: out of memory");
	qb_nl_close(nl);
	return -ENOMEM;
}

void qb_nl_close(struct qb_nl *nl)
{
	if (!nl)
		return;
	nl_socket_free(nl->events);
	nl_socket_free(nl->asks);
	qb_nl_cache_fini(nl);
	free(nl);
}

int qb_nl_fd(const struct qb_nl *nl)
{
	return nl_socket_get_fd(nl->events);
}

bool qb_nl_process(struct qb_nl *nl)
{
	bool has_changed;
	int ret;

	do {
		ret = nl_recvmsgs_default(nl->events);
		/* ENOBUFS, as libnl calls it: messages were lost, what is queued is old. */
		if (ret == -NLE_NOMEM)
			nl->must_dump_all = true;
	} while (ret == 0 || ret == -NLE_NOMEM);
	if (ret != -NLE_AGAIN && ret != -NLE_INTR)
		nl->must_dump_all = true;
	has_changed = nl->has_changed || nl->must_dump_all;
	ret = 0;
	if (nl->must_dump_all)
		ret = qb_nl_cache_dump(nl);
	else if (nl->must_dump_routes)
		ret = qb_nl_cache_dump_routes(nl);
	if (ret) {
		qb_warn("netlink: cannot list interfaces and routes: %s", strerror(-ret));
		nl->must_dump_all = true;
	}
	if (nl->is_stale)
		has_changed |= qb_nl_view_build(nl);
	nl->has_changed = false;
	return has_changed;
}

const struct qb_if *qb_nl_interfaces(const struct qb_nl *nl, uint32_t *cnt)
{
	*cnt = nl->if_cnt;
	return nl->ifs;
}

const struct qb_if *qb_nl_if_by_name(const struct qb_nl *nl, const char *name)
{
	for (uint32_t i = 0; i < nl->if_cnt; i++) {
		if (strcmp(nl->ifs[i].name, name) == 0)
			return &nl->ifs[i];
	}
	return NULL;
}

const struct qb_if *qb_nl_if_by_index(const struct qb_nl *nl, uint32_t ifindex)
{
	for (uint32_t i = 0; i < nl->if_cnt; i++) {
		if (nl->ifs[i].ifindex == ifindex)
			return &nl->ifs[i];
	}
	return NULL;
}

/* ---- neighbours ---- */

struct neigh_answer {
	uint16_t state; /* NUD_* */
	uint8_t mac[6];
	bool has_mac;
};

static void on_neigh_answer(struct qb_nl *nl, struct nlmsghdr *nlh, void *arg)
{
	struct nlattr *attr[NDA_MAX + 1];
	struct neigh_answer *a = arg;
	struct ndmsg *ndm = nlmsg_data(nlh);

	(void)nl;
	if (nlh->nlmsg_type != RTM_NEWNEIGH ||
	    nlmsg_parse(nlh, sizeof(*ndm), attr, NDA_MAX, NULL) < 0)
		return;
	a->state = ndm->ndm_state;
	a->has_mac = attr[NDA_LLADDR] && nla_len(attr[NDA_LLADDR]) == 6;
	if (a->has_mac)
		memcpy(a->mac, nla_data(attr[NDA_LLADDR]), 6);
}

static struct nl_msg *neigh_request(int type, int flags, uint32_t ifindex, const struct qb_addr *ip,
				    uint8_t ntf)
{
	struct ndmsg ndm = {.ndm_family = (uint8_t)qb_nl_family(ip->family),
			    .ndm_ifindex = (int)ifindex,
			    .ndm_flags = ntf};
	struct nl_msg *msg = qb_nl_request(type, flags, &ndm, sizeof(ndm));

	if (msg && nla_put(msg, NDA_DST, qb_addr_ip_len(ip), ip->ip) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

/* watch_of returns the watch on a neighbour, a new one (the oldest goes) if there is none. */
static struct nl_watch *watch_of(struct qb_nl *nl, uint32_t ifindex, const struct qb_addr *ip)
{
	struct nl_watch *w;

	for (uint32_t i = 0; i < nl->watch_cnt; i++) {
		w = &nl->watch[i];
		if (w->ifindex == ifindex && qb_addr_ip_eq(&w->ip, ip))
			return w;
	}
	if (nl->watch_cnt < NL_WATCH_MAX)
		nl->watch_cnt++;
	w = &nl->watch[nl->watch_next++ % NL_WATCH_MAX];
	*w = (struct nl_watch){.ifindex = ifindex, .ip = *ip};
	return w;
}

int qb_nl_neighbour(struct qb_nl *nl, uint32_t ifindex, const struct qb_addr *ip, uint8_t mac[6])
{
	const int fresh = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_DELAY;
	struct nl_watch *w = watch_of(nl, ifindex, ip);
	struct neigh_answer a = {.state = 0};
	int ret =
		qb_nl_ask(nl, neigh_request(RTM_GETNEIGH, 0, ifindex, ip, 0), on_neigh_answer, &a);

	w->has_mac = ret == 0 && a.has_mac && (a.state & (fresh | NUD_STALE));
	/*
	 * Packets that bypass the kernel neither resolve nor confirm a neighbour: pretend to use
	 * it. An answer will come as a notification.
	 */
	if (!w->has_mac || !(a.state & fresh)) {
		ret = qb_nl_talk(nl,
				 neigh_request(RTM_NEWNEIGH, NLM_F_CREATE, ifindex, ip, NTF_USE));
		if (ret)
			qb_dbg("netlink: cannot ask for a neighbour: %s", strerror(-ret));
	}
	if (!w->has_mac)
		return -ENOENT;
	memcpy(w->mac, a.mac, 6);
	memcpy(mac, a.mac, 6);
	return 0;
}

/* ---- next hops ---- */

struct hop_answer {
	uint32_t ifindex;
	struct qb_addr via;
	bool is_found;
};

static void on_answer_hop(const struct nl_hop *hop, void *arg)
{
	struct hop_answer *a = arg;

	if (hop->ifindex != a->ifindex || a->is_found)
		return;
	a->is_found = true;
	a->via = hop->via;
}

static void on_hop_answer(struct qb_nl *nl, struct nlmsghdr *nlh, void *arg)
{
	struct nlattr *attr[RTA_MAX + 1];
	struct rtmsg *rtm = nlmsg_data(nlh);

	(void)nl;
	if (nlh->nlmsg_type == RTM_NEWROUTE && rtm->rtm_type == RTN_UNICAST &&
	    nlmsg_parse(nlh, sizeof(*rtm), attr, RTA_MAX, NULL) >= 0)
		qb_nl_each_hop(rtm, attr, on_answer_hop, arg);
}

/*
 * ask_hop looks up the route that the kernel would take through the interface. RTM_F_FIB_MATCH asks
 * for the route itself: a plain IPv4 lookup would declare everything on link where the interface
 * has no route.
 */
static struct nl_msg *hop_request(const struct qb_if *f, const struct qb_addr *dst)
{
	const struct qb_addr *src = dst->family == 6 ? &f->src6 : &f->src4;
	uint8_t len = qb_addr_ip_len(dst), bits = (uint8_t)(len * 8);
	struct rtmsg rtm = {.rtm_family = (uint8_t)qb_nl_family(dst->family),
			    .rtm_dst_len = bits,
			    .rtm_flags = RTM_F_FIB_MATCH};
	struct nl_msg *msg;
	int ret;

	if (src->family)
		rtm.rtm_src_len = bits;
	msg = qb_nl_request(RTM_GETROUTE, 0, &rtm, sizeof(rtm));
	if (!msg)
		return NULL;
	ret = nla_put(msg, RTA_DST, len, dst->ip);
	ret |= nla_put_u32(msg, RTA_OIF, f->ifindex);
	if (src->family)
		ret |= nla_put(msg, RTA_SRC, len, src->ip);
	if (ret) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

int qb_nl_next_hop(struct qb_nl *nl, uint32_t ifindex, const struct qb_addr *dst,
		   struct qb_addr *hop)
{
	const struct qb_if *f = qb_nl_if_by_index(nl, ifindex);
	struct hop_answer a = {.ifindex = ifindex};
	const struct qb_addr *gw;

	if (!f)
		return -ENODEV;
	if (qb_nl_ask(nl, hop_request(f, dst), on_hop_answer, &a) == 0 && a.is_found) {
		gw = &a.via;
	} else if (dst->family == 6 ? f->has_default6 : f->has_default4) {
		/* A default route of a table that no rule leads to yet. */
		gw = dst->family == 6 ? &f->gw6 : &f->gw4;
	} else {
		return -ENETUNREACH;
	}
	*hop = gw->family ? *gw : *dst;
	hop->port = 0;
	return 0;
}
