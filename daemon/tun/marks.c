/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Firewall marks of what comes out of the TUN device: a program on its egress
 * (bpf/tun_marks.bpf.c), which is there from the first mark that somebody wants to know of until
 * the device goes. Called by the main thread; a change of the marks counts from the next packet on.
 */
#include "tun/internal.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "bpf/tun_marks.bpf.h"
#include "bpf/tun_marks.skel.h"

_Static_assert((int)QB_TUN_MARKS_MAX == (int)QB_MATCH_ALL_MARKS_MAX, "a bit of the tag for each");

static int fail(char err[160], int ret, const char *what)
{
	snprintf(err, 160, "%s: %s", what, strerror(-ret));
	return ret;
}

/*
 * is_clsact asks whether the qdisc in that place is one with an egress: with the older one,
 * ingress, the kernel takes a filter for the egress and runs it on what comes in. Returns 0,
 * -EINVAL where it is another one, or another error.
 */
static int is_clsact(uint32_t ifindex)
{
	struct {
		struct nlmsghdr head;
		struct tcmsg tc;
		struct nlattr kind;
		char name[8];
	} ask = {
		.head = {.nlmsg_len = sizeof(ask),
			 .nlmsg_type = RTM_GETQDISC,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.tc = {.tcm_ifindex = (int)ifindex, .tcm_parent = TC_H_CLSACT},
		.kind = {.nla_len = NLA_HDRLEN + sizeof("clsact"), .nla_type = TCA_KIND},
		.name = "clsact",
	};
	union {
		struct nlmsghdr head;
		char bytes[4096];
	} got;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE),
	    ret = fd < 0 ? -errno : -EPROTO;

	if (fd >= 0 && send(fd, &ask, sizeof(ask), 0) < 0)
		ret = -errno;
	/* The kernel has answered before send returns: perhaps with the qdisc, then with how it
	 * went. */
	for (uint32_t i = 0; fd >= 0 && i < 4 &&
			     recv(fd, &got, sizeof(got), MSG_DONTWAIT) >=
				     (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr));
	     i++) {
		if (got.head.nlmsg_type != NLMSG_ERROR)
			continue;
		ret = ((const struct nlmsgerr *)NLMSG_DATA(&got.head))->error;
		break;
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

static int attach(uint32_t ifindex, int prog_fd, char err[160])
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
			    .attach_point = BPF_TC_EGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd);
	int ret = bpf_tc_hook_create(&hook);

	/* It may be there: somebody else looks at what enters the tunnel, too. */
	if (ret && ret != -EEXIST)
		return fail(err, ret, "no clsact qdisc (sch_ingress)");
	ret = ret ? is_clsact(ifindex) : 0;
	if (ret == -EINVAL) {
		snprintf(err, 160,
			 "the TUN device has an ingress qdisc; tc qdisc del it, or make it clsact, "
			 "which has the same and an egress");
		return ret;
	}
	if (ret)
		return fail(err, ret, "what qdisc the TUN device has cannot be asked");
	ret = bpf_tc_attach(&hook, &opts);
	return ret ? fail(err, ret, "no BPF filter (cls_bpf)") : 0;
}

static void fill(struct qb_tun_mark *to, const struct qb_match_mark *marks, uint32_t cnt)
{
	for (uint32_t i = 0; i < QB_TUN_MARKS_MAX; i++)
		to[i] = i < cnt ? (struct qb_tun_mark){marks[i].value, marks[i].mask}
				: (struct qb_tun_mark){.value = 1};
}

static int start(struct qb_tun *t, const struct qb_match_mark *marks, uint32_t cnt, char err[160])
{
	struct tun_marks *s = tun_marks__open();
	int ret = s ? tun_marks__load(s) : -errno;

	if (ret) {
		fail(err, ret, "the BPF program does not load");
		tun_marks__destroy(s);
		return ret;
	}
	fill(s->bss->marks, marks, cnt);
	for (uint32_t i = 0; i < t->queue_cnt; i++)
		__atomic_store_n(&t->queue[i]->has_marks, true, __ATOMIC_RELAXED);
	ret = attach(t->ifindex, bpf_program__fd(s->progs.qb_tun_marks), err);
	if (ret)
		tun_marks__destroy(s);
	else
		t->marks = s;
	return ret;
}

int qb_tun_set_marks(struct qb_tun *t, const struct qb_match_mark *marks, uint32_t cnt,
		     char err[160])
{
	if (!t->marks)
		return cnt ? start(t, marks, cnt, err) : 0;
	fill(t->marks->bss->marks, marks, cnt);
	return 0;
}

void qb_tun_drop_marks(struct qb_tun *t)
{
	tun_marks__destroy(t->marks);
	t->marks = NULL;
}
