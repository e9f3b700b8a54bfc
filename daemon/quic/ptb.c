/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a router says of the path MTU (RFC 9000 §14.2.1, RFC 8899 §4.6), for the worker that asks each of its connections. Anybody
 * can send ICMP: only what quotes a packet of ours, by the connection ID that the peer gave us, is believed.
 */
#include "quic/conn.h"

/* is_ours: the quoted packet went over this path, with the connection ID in use there. */
static bool is_ours(struct qb_conn *c, const struct qb_path *p, const struct qb_ptb *ptb)
{
	const struct qb_remote_cid *rc;

	if (p->phase == QB_PATH_UNUSED || !qb_addr_eq(&p->tuple.local, &ptb->local) ||
	    !qb_addr_eq(&p->tuple.peer, &ptb->peer))
		return false;
	rc = qb_remote_cids_current(&c->mp.pid[p->pid].remote);
	/* Large packets have a short header (RFC 9000 §17.3.1); a peer without connection IDs cannot be told from a stranger. */
	return rc && rc->cid.len && ptb->quoted_len >= 1u + rc->cid.len && !(ptb->quoted[0] & QB_HDR_LONG) &&
	       memcmp(ptb->quoted + 1, rc->cid.id, rc->cid.len) == 0;
}

bool qb_quic_on_ptb(struct qb_quic *q, const struct qb_ptb *ptb, uint64_t now_ns)
{
	for (struct qb_conn *c = NULL; (c = qb_quic_next_conn(q, c));) {
		for (uint32_t i = 0; i < c->path_cnt; i++) {
			struct qb_path *p = &c->path[i];

			if (c->state != QB_CONN_ESTABLISHED || !is_ours(c, p, ptb))
				continue;
			qb_count(q->cfg.counters, QB_CNT_PTB_TAKEN);
			if (qb_mtu_on_ptb(&p->mtu, ptb->bytes, now_ns))
				qb_path_update_cc(p, now_ns);
			qb_conn_touch(c);
			return true;
		}
	}
	return false;
}
