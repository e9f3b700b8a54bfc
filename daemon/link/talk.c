/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests to the kernel over the second netlink socket, one at a time and each answered before the
 * next. libnl does the framing; the kernel's own error number is kept, which libnl's functions
 * would flatten.
 */
#include "link/internal.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <sys/socket.h>

enum { DUMP_TRIES = 5, STRAYS_MAX = 64 };

struct talk {
	struct qb_nl *nl;
	nl_on_msg on_msg;
	void *arg;
	int ret;
	bool is_torn; /* a dump during which something changed */
};

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct talk *t = arg;

	if (nlmsg_hdr(msg)->nlmsg_flags & NLM_F_DUMP_INTR)
		t->is_torn = true;
	if (t->on_msg)
		t->on_msg(t->nl, nlmsg_hdr(msg), t->arg);
	return NL_OK;
}

static int on_dump_intr(struct nl_msg *msg, void *arg)
{
	struct talk *t = arg;

	(void)msg;
	t->is_torn = true;
	return NL_OK;
}

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	struct talk *t = arg;

	(void)who;
	t->ret = e->error;
	return NL_STOP;
}

static int exchange(struct qb_nl *nl, struct nl_msg *msg, struct talk *t)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int ret;

	t->nl = nl;
	if (!cb || !msg) {
		nl_cb_put(cb);
		nlmsg_free(msg);
		return -ENOMEM;
	}
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, t);
	nl_cb_set(cb, NL_CB_DUMP_INTR, NL_CB_CUSTOM, on_dump_intr, t);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, t);
	ret = nl_send_auto(nl->asks, msg);
	nlmsg_free(msg);
	if (ret >= 0)
		ret = nl_recvmsgs(nl->asks, cb);
	/* What is left of an exchange that failed half way is passed over. */
	for (int i = 0; ret == -NLE_SEQ_MISMATCH && i < STRAYS_MAX; i++)
		ret = nl_recvmsgs(nl->asks, cb);
	nl_cb_put(cb);
	/* What on_error saw says more than the code that libnl makes of it. */
	return t->ret ? t->ret : ret < 0 ? -EIO : 0;
}

int qb_nl_talk(struct qb_nl *nl, struct nl_msg *msg)
{
	struct talk t = {.on_msg = NULL};

	if (msg)
		nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_ACK;
	return exchange(nl, msg, &t);
}

int qb_nl_ask(struct qb_nl *nl, struct nl_msg *msg, nl_on_msg on_msg, void *arg)
{
	struct talk t = {.on_msg = on_msg, .arg = arg};

	return exchange(nl, msg, &t);
}

int qb_nl_dump(struct qb_nl *nl, int type, int family, nl_on_msg on_msg, void *arg)
{
	int ret;

	for (int i = 0; i < DUMP_TRIES; i++) {
		struct talk t = {.on_msg = on_msg, .arg = arg};
		struct rtgenmsg gen = {.rtgen_family = (unsigned char)family};

		ret = exchange(nl, qb_nl_request(type, NLM_F_DUMP, &gen, sizeof(gen)), &t);
		if (ret || !t.is_torn)
			return ret;
	}
	/* It never holds still; the notifications will put right what is missing. */
	return 0;
}

struct nl_msg *qb_nl_request(int type, int flags, const void *hdr, size_t hdr_bytes)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

	if (msg && nlmsg_append(msg, (void *)(uintptr_t)hdr, hdr_bytes, NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

int qb_nl_family(uint8_t family)
{
	return family == 6 ? AF_INET6 : family == 4 ? AF_INET : AF_UNSPEC;
}

bool qb_nl_get_addr(const struct nlattr *attr, struct qb_addr *out)
{
	int len = nla_len(attr);

	if (len != 4 && len != 16)
		return false;
	memset(out, 0, sizeof(*out));
	out->family = len == 4 ? 4 : 6;
	memcpy(out->ip, nla_data(attr), (size_t)len);
	return true;
}
