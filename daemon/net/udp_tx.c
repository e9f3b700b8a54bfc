/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The UDP backend: sending. A batch is sorted into runs of equal tuple, ECN and size (the last of a
 * run may be shorter), each of which leaves as one GSO message; all messages of a family go down in
 * one sendmmsg(). The order of packets within a tuple is kept. Devices and kernels that refuse GSO
 * get single messages.
 *
 * The kernel is not given times of departure (SO_TXTIME, where fq or etf is the device's qdisc):
 * what waits there has its path already, and late choice is what bonding lives by. The pacer wakes
 * the worker instead.
 */
#include "net/uring.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

enum {
	GSO_SEGS_MAX = 64,	    /* UDP_MAX_SEGMENTS of older kernels */
	GSO_BYTES_MAX = 65535 - 48, /* IPv6 and UDP headers count */
	RUN_LOOKBACK = 8,
	GSO_STRIKES_MAX = 3,
	/*
	 * How long a full socket buffer may hold up the worker, once a batch. Long enough for a
	 * fast NIC to drain some, too short to hurt other links; a slow link's excess is loss,
	 * which congestion control must see.
	 */
	FULL_WAIT_NS = 200 * 1000,
};

/* ---- runs ---- */

/* Whether the packet may follow in this run. The run of its tuple that cannot take it is closed for
 * ever. */
static bool run_takes(const struct qb_udp_run *r, const struct qb_buf *b)
{
	return !r->is_closed && b->len <= r->seg_bytes && r->cnt < GSO_SEGS_MAX &&
	       r->bytes + b->len <= GSO_BYTES_MAX;
}

static struct qb_udp_run *find_run(struct qb_udp *u, const struct qb_batch *in, uint32_t run_cnt,
				   const struct qb_buf *b)
{
	uint32_t lowest = run_cnt > RUN_LOOKBACK ? run_cnt - RUN_LOOKBACK : 0;

	for (uint32_t i = run_cnt; u->has_gso && i > lowest; i--) {
		struct qb_udp_run *r = &u->tx.run[i - 1];
		const struct qb_buf *first = in->buf[r->first];

		if (!qb_tuple_eq(&first->tuple, &b->tuple))
			continue;
		/* The newest run of the tuple decides: joining an older one would reorder. */
		return first->tuple.ecn == b->tuple.ecn && run_takes(r, b) ? r : NULL;
	}
	return NULL;
}

/* Returns how many runs the batch makes. */
static uint32_t make_runs(struct qb_udp *u, const struct qb_batch *in)
{
	struct qb_udp_tx *tx = &u->tx;
	uint32_t run_cnt = 0;

	for (uint32_t i = 0; i < in->cnt; i++) {
		const struct qb_buf *b = in->buf[i];
		struct qb_udp_run *r = find_run(u, in, run_cnt, b);

		if (r == NULL) {
			tx->run[run_cnt++] = (struct qb_udp_run){.first = (uint8_t)i,
								 .last = (uint8_t)i,
								 .cnt = 1,
								 .seg_bytes = b->len,
								 .bytes = b->len};
			continue;
		}
		tx->next[r->last] = (uint8_t)i;
		r->last = (uint8_t)i;
		r->cnt++;
		r->bytes += b->len;
		r->is_closed = b->len < r->seg_bytes;
	}
	return run_cnt;
}

/* ---- messages ---- */

static void put_cmsg(struct msghdr *m, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)m->msg_control + m->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	m->msg_controllen += CMSG_SPACE(len);
}

static void put_source(struct msghdr *m, const struct qb_addr *src)
{
	if (src->family == 6) {
		struct in6_pktinfo info = {.ipi6_ifindex = src->scope_id};

		memcpy(&info.ipi6_addr, src->ip, 16);
		put_cmsg(m, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	} else {
		struct in_pktinfo info = {0};

		memcpy(&info.ipi_spec_dst, src->ip, 4);
		put_cmsg(m, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
}

static bool needs_source(const struct qb_udp *u, const struct qb_tuple *t)
{
	static const uint8_t any[16];

	return t->local.family == t->peer.family && memcmp(t->local.ip, any, 16) != 0 &&
	       !qb_addr_ip_eq(&t->local, &u->bound[qb_udp_fam(t->peer.family)]);
}

/* Builds message `at` from a run; its pieces go to iov. UDP_SEGMENT stands last, so that it can be
 * cut off. */
static void make_msg(struct qb_udp *u, const struct qb_batch *in, const struct qb_udp_run *r,
		     uint32_t at, struct iovec *iov)
{
	struct msghdr *m = &u->tx.msg[at].msg_hdr;
	const struct qb_tuple *t = &in->buf[r->first]->tuple;
	uint16_t seg_bytes = (uint16_t)r->seg_bytes;
	int tos = t->ecn & 3;

	for (uint32_t i = 0, b = r->first; i < r->cnt; i++, b = u->tx.next[b])
		iov[i] = (struct iovec){in->buf[b]->data, in->buf[b]->len};
	*m = (struct msghdr){
		.msg_name = &u->tx.name[at],
		.msg_namelen = qb_sockaddr_set(&u->tx.name[at], &t->peer),
		.msg_iov = iov,
		.msg_iovlen = r->cnt,
		.msg_control = u->tx.cmsg[at],
	};
	if (needs_source(u, t))
		put_source(m, &t->local);
	if (tos && t->peer.family == 6)
		put_cmsg(m, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	else if (tos)
		put_cmsg(m, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	if (r->cnt > 1)
		put_cmsg(m, IPPROTO_UDP, UDP_SEGMENT, &seg_bytes, sizeof(seg_bytes));
	if (m->msg_controllen == 0)
		m->msg_control = NULL;
}

/* ---- sending ---- */

static uint32_t count_datagrams(const struct mmsghdr *msg, uint32_t cnt)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < cnt; i++)
		sum += (uint32_t)msg[i].msg_hdr.msg_iovlen;
	return sum;
}

static void note_sent(struct qb_udp *u, const struct mmsghdr *msg, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++) {
		uint32_t segs = (uint32_t)msg[i].msg_hdr.msg_iovlen;

		if (segs < 2)
			continue;
		qb_count_add(u->base.counters, QB_CNT_IO_GSO_SEGMENTS, segs);
		u->gso_strikes = 0;
	}
}

static void wait_writable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	struct timespec wait = {.tv_nsec = FULL_WAIT_NS};

	(void)ppoll(&p, 1, &wait, NULL);
}

static void disable_gso(struct qb_udp *u, int err)
{
	u->has_gso = false;
	snprintf(u->base.reason, sizeof(u->base.reason),
		 "no UDP GSO on this device or kernel (%s): single sends", strerror(err));
}

/*
 * EIO: the device cannot compute checksums, and never will. EINVAL and EMSGSIZE: either no GSO, or
 * segments beyond the device's MTU; then the single sends fail as well.
 */
static void note_refused_run(struct qb_udp *u, int err, bool parts_went)
{
	if (err == EIO || (parts_went && ++u->gso_strikes >= GSO_STRIKES_MAX))
		disable_gso(u, err);
}

/* What one call of send_msgs has come to. */
struct outcome {
	int fault; /* errno of the link as a whole, or 0 */
	uint32_t dropped;
	bool has_waited;
};

static void send_msgs(struct qb_udp *u, int fd, struct mmsghdr *msg, uint32_t cnt,
		      struct outcome *o);

static void send_parts(struct qb_udp *u, int fd, const struct msghdr *whole, struct outcome *o)
{
	struct mmsghdr part[GSO_SEGS_MAX];

	for (size_t i = 0; i < whole->msg_iovlen; i++) {
		part[i].msg_hdr = *whole;
		part[i].msg_hdr.msg_iov = &whole->msg_iov[i];
		part[i].msg_hdr.msg_iovlen = 1;
		part[i].msg_hdr.msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
		if (part[i].msg_hdr.msg_controllen == 0)
			part[i].msg_hdr.msg_control = NULL;
	}
	send_msgs(u, fd, part, (uint32_t)whole->msg_iovlen, o);
}

static bool is_gso_refusal(int err)
{
	return err == EIO || err == EINVAL || err == EMSGSIZE;
}

/* Deals with the message that the kernel refused. Returns how many messages are done with. */
static uint32_t on_refused(struct qb_udp *u, int fd, struct mmsghdr *msg, uint32_t cnt, int err,
			   struct outcome *o)
{
	uint32_t dropped = o->dropped;

	if (err == EINTR)
		return 0;
	if (err == EAGAIN) {
		qb_count(u->base.counters, QB_CNT_IO_TX_FULL);
		if (!o->has_waited) {
			o->has_waited = true;
			wait_writable(fd);
			return 0;
		}
		o->dropped += count_datagrams(msg, cnt);
		return cnt;
	}
	if (msg->msg_hdr.msg_iovlen > 1 && is_gso_refusal(err)) {
		send_parts(u, fd, &msg->msg_hdr, o);
		note_refused_run(u, err, o->dropped == dropped);
		return 1;
	}
	if (qb_net_is_link_fault(err))
		o->fault = err;
	o->dropped += count_datagrams(msg, 1);
	return 1;
}

/* What the ring could not send the plain call tries again, and deals with why. */
static void send_by_ring(struct qb_udp *u, uint32_t fam, struct mmsghdr *msg, uint32_t cnt,
			 struct outcome *o)
{
	qb_uring_send(u->ring, fam, msg, cnt);
	for (uint32_t i = 0; i < cnt; i++) {
		if (msg[i].msg_len)
			note_sent(u, &msg[i], 1);
		else
			send_msgs(u, u->fd[fam], &msg[i], 1, o);
	}
}

static void send_msgs(struct qb_udp *u, int fd, struct mmsghdr *msg, uint32_t cnt,
		      struct outcome *o)
{
	while (cnt > 0) {
		int sent = sendmmsg(fd, msg, cnt, MSG_DONTWAIT | MSG_NOSIGNAL);
		uint32_t done;

		if (sent > 0) {
			done = (uint32_t)sent;
			note_sent(u, msg, done);
		} else {
			done = on_refused(u, fd, msg, cnt, errno, o);
		}
		msg += done;
		cnt -= done;
	}
}

static void send_family(struct qb_udp *u, const struct qb_batch *in, uint32_t run_cnt, uint32_t fam,
			struct outcome *o)
{
	struct iovec *iov = u->tx.iov;
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < run_cnt; i++) {
		const struct qb_udp_run *r = &u->tx.run[i];

		if (qb_udp_fam(in->buf[r->first]->tuple.peer.family) != fam)
			continue;
		make_msg(u, in, r, cnt++, iov);
		iov += r->cnt;
	}
	if (cnt == 0)
		return;
	if (u->fd[fam] < 0) {
		o->fault = ENETUNREACH;
		o->dropped += count_datagrams(u->tx.msg, cnt);
		return;
	}
	if (u->ring)
		send_by_ring(u, fam, u->tx.msg, cnt, o);
	else
		send_msgs(u, u->fd[fam], u->tx.msg, cnt, o);
}

int qb_udp_send(struct qb_net *n, struct qb_pool *pool, struct qb_batch *in)
{
	struct qb_udp *u = (struct qb_udp *)n;
	struct outcome o = {0};
	uint32_t run_cnt = make_runs(u, in);

	for (uint32_t fam = 0; fam < 2; fam++)
		send_family(u, in, run_cnt, fam, &o);
	if (o.dropped)
		qb_count_add(n->counters, QB_CNT_IO_TX_ERRORS, o.dropped);
	qb_batch_put(pool, in);
	return -o.fault;
}
