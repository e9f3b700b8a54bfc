/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How strong the radio is that an interface hears, as nl80211 tells: for people who look at
 * `links`. Main thread, when somebody asks. A host without nl80211 has no such figure.
 */
#include "link/link.h"

#include <errno.h>
#include <linux/nl80211.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>

struct qb_radio {
	struct nl_sock *sock;
	int family;
};

struct heard {
	int dbm; /* 0: nothing */
	int ret; /* 1: there is more to come */
};

int qb_radio_parse(struct nlmsghdr *nlh)
{
	static struct nla_policy policy[NL80211_STA_INFO_MAX + 1] = {
		[NL80211_STA_INFO_SIGNAL] = {.type = NLA_U8},
		[NL80211_STA_INFO_SIGNAL_AVG] = {.type = NLA_U8},
	};
	struct nlattr *attr[NL80211_ATTR_MAX + 1], *info[NL80211_STA_INFO_MAX + 1], *signal;

	if (genlmsg_parse(nlh, 0, attr, NL80211_ATTR_MAX, NULL) || !attr[NL80211_ATTR_STA_INFO] ||
	    nla_parse_nested(info, NL80211_STA_INFO_MAX, attr[NL80211_ATTR_STA_INFO], policy))
		return 0;
	signal = info[NL80211_STA_INFO_SIGNAL_AVG] ? info[NL80211_STA_INFO_SIGNAL_AVG]
						   : info[NL80211_STA_INFO_SIGNAL];
	return signal ? (int8_t)nla_get_u8(signal) : 0;
}

/* on_station: a link's interface is a client and hears one station, its access point; of several,
 * the first. */
static int on_station(struct nl_msg *msg, void *arg)
{
	struct heard *h = arg;

	if (h->dbm == 0)
		h->dbm = qb_radio_parse(nlmsg_hdr(msg));
	return NL_SKIP;
}

static int on_finish(struct nl_msg *msg, void *arg)
{
	(void)msg;
	((struct heard *)arg)->ret = 0;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	(void)who;
	((struct heard *)arg)->ret = e->error;
	return NL_STOP;
}

struct qb_radio *qb_radio_open(void)
{
	struct qb_radio *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->family = -1;
	r->sock = nl_socket_alloc();
	if (r->sock && genl_connect(r->sock) == 0)
		r->family = genl_ctrl_resolve(r->sock, NL80211_GENL_NAME);
	if (r->family >= 0)
		return r;
	qb_radio_close(r);
	return NULL;
}

void qb_radio_close(struct qb_radio *r)
{
	if (!r)
		return;
	nl_socket_free(r->sock);
	free(r);
}

int qb_radio_dbm(struct qb_radio *r, uint32_t ifindex)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	struct nl_msg *msg = nlmsg_alloc();
	struct heard h = {.ret = 1};

	if (cb && msg &&
	    genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, r->family, 0, NLM_F_DUMP,
			NL80211_CMD_GET_STATION, 0) &&
	    nla_put_u32(msg, NL80211_ATTR_IFINDEX, ifindex) == 0 &&
	    nl_send_auto(r->sock, msg) >= 0) {
		nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_station, &h);
		nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, &h);
		nl_cb_err(cb, NL_CB_CUSTOM, on_error, &h);
		while (h.ret > 0 && nl_recvmsgs(r->sock, cb) >= 0)
			;
	}
	nlmsg_free(msg);
	nl_cb_put(cb);
	return h.dbm;
}
