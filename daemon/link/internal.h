/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of link/ share: the cache of what the kernel told us (cache.c), and a way to ask
 * it (talk.c).
 */
#pragma once

#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "link/link.h"

enum { NL_WATCH_MAX = 128 };

/* An interface, as far as the kernel's message about it says. */
struct nl_link {
	uint32_t ifindex;
	char name[16];
	uint32_t flags; /* IFF_* */
	uint32_t mtu_bytes;
	uint16_t type; /* ARPHRD_* */
	uint8_t mac[6];
	bool has_mac, is_tun;
};

struct nl_addr_row {
	uint32_t ifindex;
	struct qb_addr ip;
	uint8_t prefix_len, scope;
	uint32_t flags; /* IFA_F_* */
};

/* A default route, or one next hop of it. */
struct nl_default {
	uint32_t ifindex;
	uint8_t family;
	uint32_t table, metric;
	struct qb_addr via, src; /* family 0: none */
};

/* A neighbour that was asked for: changes of it are reported. */
struct nl_watch {
	uint32_t ifindex;
	struct qb_addr ip;
	uint8_t mac[6];
	bool has_mac;
};

/* A growing array of rows. */
struct nl_table {
	void *rows;
	uint32_t cnt, cap;
	uint32_t row_bytes;
};

struct qb_nl {
	struct nl_sock *events; /* notifications only, nonblocking */
	struct nl_sock *asks;	/* dumps, questions and changes, each with its answer */
	struct nl_table links, addrs, defaults;
	struct nl_table set_routes; /* struct qb_nl_route: what we added and may replace */
	struct nl_watch watch[NL_WATCH_MAX];
	uint32_t watch_cnt, watch_next;
	struct qb_if ifs[QB_LINK_IFS_MAX];
	uint32_t if_cnt;
	bool has_changed;      /* since the last qb_nl_process */
	bool is_stale;	       /* interfaces, addresses or routes: build ifs anew */
	bool must_dump_routes; /* the kernel dropped routes without a word */
	bool must_dump_all;    /* messages were lost */
};

typedef void (*nl_on_msg)(struct qb_nl *nl, struct nlmsghdr *nlh, void *arg);

/* ---- talk.c ---- */

/* qb_nl_talk sends one request, takes the message over, and waits for its acknowledgement. Returns
 * 0 or the kernel's -errno. */
int qb_nl_talk(struct qb_nl *nl, struct nl_msg *msg);
/* qb_nl_ask is qb_nl_talk for a request with one answer, which goes to on_msg. */
int qb_nl_ask(struct qb_nl *nl, struct nl_msg *msg, nl_on_msg on_msg, void *arg);
/* qb_nl_dump hands every object of a kind (RTM_GET*) to on_msg. family: AF_UNSPEC for all. */
int qb_nl_dump(struct qb_nl *nl, int type, int family, nl_on_msg on_msg, void *arg);
/* qb_nl_request starts a message with a header struct of hdr_bytes. NULL: out of memory. */
struct nl_msg *qb_nl_request(int type, int flags, const void *hdr, size_t hdr_bytes);

int qb_nl_family(uint8_t family);
/* qb_nl_get_addr reads an address attribute; false when its length is no address's. */
bool qb_nl_get_addr(const struct nlattr *attr, struct qb_addr *out);

/* ---- table.c ---- */

/* qb_nl_table_add appends a copy of the row. False: out of memory. */
bool qb_nl_table_add(struct nl_table *t, const void *row);
void qb_nl_table_remove(struct nl_table *t, uint32_t idx);
static inline void *qb_nl_table_row(const struct nl_table *t, uint32_t idx)
{
	return (uint8_t *)t->rows + (size_t)idx * t->row_bytes;
}

/* ---- cache.c ---- */

void qb_nl_cache_init(struct qb_nl *nl);
void qb_nl_cache_fini(struct qb_nl *nl);
/* qb_nl_cache_on_msg takes one message of a dump or a notification. */
void qb_nl_cache_on_msg(struct qb_nl *nl, struct nlmsghdr *nlh, void *arg);
/* qb_nl_cache_dump fetches everything, qb_nl_cache_dump_routes the routes, anew. */
int qb_nl_cache_dump(struct qb_nl *nl);
int qb_nl_cache_dump_routes(struct qb_nl *nl);

/* One next hop of a route message: its attributes, with multipath resolved by qb_nl_each_hop. */
struct nl_hop {
	uint32_t ifindex;
	struct qb_addr via;
};
typedef void (*nl_on_hop)(const struct nl_hop *hop, void *arg);
struct rtmsg;
void qb_nl_each_hop(const struct rtmsg *rtm, struct nlattr **attr, nl_on_hop on_hop, void *arg);

/* ---- view.c ---- */

/* qb_nl_view_build derives nl->ifs from the cache and returns whether anything differs from before.
 */
bool qb_nl_view_build(struct qb_nl *nl);
