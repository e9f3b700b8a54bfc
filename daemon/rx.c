/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way down: what arrives from the WAN, stage by stage, until it is an inner packet for the kernel. Each stage takes a
 * batch and hands one on.
 *
 *     qb_quic_recv   UDP payloads → opened DATAGRAM payloads, and events
 *     take_run       → a run of one tunnel's packets, HTTP datagram headers stripped (qb_h3_unwrap)
 *     qb_bond_rx     → in order by flow
 *     qb_rx_admit    → source checked, a link's ECN mark carried to the inner header, MSS clamped: ready for qb_tun_write
 *
 * On a worker's thread; the simulator calls it too.
 */
#include "base/ip_ecn.h"
#include "inner.h"
#include "node.h"

enum { OTHERS_DIV = 10 };

/*
 * prove: the first packets of a session that began in 0-RTT may come with the client's Finished, before the event that tells of
 * it. What came in 0-RTT itself proves nothing, and is dropped.
 */
static void prove(struct qb_node *n, struct qb_tunnel *t, uint64_t now_ns)
{
	struct qb_conn_info info;

	qb_conn_get_info(t->conn, &info);
	if (info.is_established)
		qb_hub_on_proof(n, t, now_ns);
}

/* brings_all: no other path brings a tenth of what this one does. */
static bool brings_all(const struct qb_tunnel *t, uint8_t path)
{
	for (uint8_t i = 0; i < QB_PATHS_MAX; i++)
		if (i != path && t->paths[i].is_used && t->paths[i].rx_bps >= t->paths[path].rx_bps / OTHERS_DIV)
			return false;
	return true;
}

/*
 * strip_mark: a link's mark on a packet of a flow that is striped over several links says little about that flow, which would
 * take it for the state of all of them; it goes no further than to QUIC, which has counted it.
 */
static void strip_mark(const struct qb_tunnel *t, struct qb_buf *b)
{
	if (QB_UNLIKELY(b->tuple.ecn == QB_ECN_CE) && !brings_all(t, b->path))
		b->tuple.ecn = QB_ECN_NOT;
}

/* strip unwraps one payload. Returns whether it is for the tunnel's bond: an inner packet with or without headers of ours, or a
 * repair symbol. */
static bool strip(struct qb_node *n, struct qb_tunnel *t, struct qb_buf *b, uint64_t now_ns)
{
	uint64_t session, context;

	if (QB_UNLIKELY(t && t->is_unproven))
		prove(n, t, now_ns);

	if (!t || !t->is_open || qb_h3_unwrap(t->h3, b, &session, &context) || session != t->session) {
		qb_count(n->counters, QB_CNT_DROP_CONTEXT);
		return false;
	}
	if (context == 0)
		return true;
	if (t->fec_rx_context && context == t->fec_rx_context) {
		b->flags |= QB_BUF_FEC;
		strip_mark(t, b);
		return true;
	}
	if (context != t->bond_rx_context || b->len < QB_BOND_HEADER_LEN) {
		qb_count(n->counters, QB_CNT_DROP_CONTEXT);
		return false;
	}
	b->flags |= QB_BUF_ORDERED;
	strip_mark(t, b);
	return true;
}

/* take_run moves the first payloads that belong to one tunnel from n->datagrams to n->run. */
static void take_run(struct qb_node *n, uint64_t now_ns)
{
	struct qb_batch *in = &n->datagrams;
	void *conn = in->buf[0]->conn;
	uint32_t i;

	n->run_tunnel = qb_conn_user(conn);
	for (i = 0; i < in->cnt && in->buf[i]->conn == conn; i++) {
		struct qb_buf *b = in->buf[i];

		b->flags &= (uint8_t)~(QB_BUF_ORDERED | QB_BUF_FEC | QB_BUF_RECOVERED);
		if (strip(n, n->run_tunnel, b, now_ns))
			qb_batch_add(&n->run, b);
		else
			qb_buf_put(n->pool, b);
	}
	in->cnt -= i;
	memmove(in->buf, in->buf + i, in->cnt * sizeof(in->buf[0]));
}

void qb_rx_admit(struct qb_node *n, struct qb_tunnel *t, struct qb_batch *inner, uint32_t from)
{
	uint32_t kept = from;

	for (uint32_t i = from; i < inner->cnt; i++) {
		struct qb_buf *b = inner->buf[i];

		if (qb_inner_check(b) < 0) {
			qb_count(n->counters, QB_CNT_DROP_TUN_MALFORMED);
			qb_buf_put(n->pool, b);
		} else if (!qb_tunnel_may_source(t, b->data, b->len)) {
			qb_count(n->counters, QB_CNT_DROP_SOURCE);
			qb_buf_put(n->pool, b);
		} else {
			if (qb_ip_ecn_egress(b->data, (enum qb_ecn)b->tuple.ecn, qb_conn_path_is_l4s(t->conn, b->path)))
				qb_count(n->counters, QB_CNT_ECN_CARRIED);
			if (qb_inner_clamp_mss(b, t->mtu_bytes))
				qb_count(n->counters, QB_CNT_MSS_CLAMPED);
			inner->buf[kept++] = b;
		}
	}
	inner->cnt = kept;
}

/* deliver works off n->datagrams and n->run. Returns true when `inner` is full and something is left. */
static bool deliver(struct qb_node *n, struct qb_batch *inner, uint64_t now_ns)
{
	for (;;) {
		uint32_t before = inner->cnt;

		if (n->run.cnt == 0) {
			if (n->datagrams.cnt == 0)
				return false;
			take_run(n, now_ns);
			continue;
		}
		qb_bond_rx(n->run_tunnel->bond, &n->run, inner, now_ns);
		qb_rx_admit(n, n->run_tunnel, inner, before);
		if (n->run.cnt)
			return true;
		qb_tunnel_arm(n->run_tunnel, now_ns);
	}
}

bool qb_rx(struct qb_node *n, struct qb_batch *udp, struct qb_batch *inner, uint64_t now_ns)
{
	for (;;) {
		if (deliver(n, inner, now_ns))
			return true;
		/* Events come after the data of the same batch: a closed connection's buffers are gone by now. */
		qb_node_handle_events(n, now_ns);
		if (udp->cnt == 0)
			break;
		qb_quic_recv(n->quic, udp, &n->datagrams, now_ns);
	}
	/* ACKs may have told of losses, or opened windows. */
	qb_tunnel_wake_moved(n, now_ns);
	return false;
}
