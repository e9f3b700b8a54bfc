/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server's preferred address (RFC 9000 §9.6): offered by a server that was told to. A client
 * probes it over each of its paths, the first as soon as the handshake is confirmed, while the path
 * goes on where it is, and moves a path there if it answers. The server follows when it has
 * validated the same (§9.6.2).
 */
#include "quic/conn.h"

void qb_preferred_offer(struct qb_conn *c)
{
	const struct qb_quic_cfg *cfg = &c->q->cfg;
	struct qb_local_cid *lc;

	if (!cfg->preferred4.family && !cfg->preferred6.family)
		return;
	/* Sequence number 1 is the one in the transport parameter (RFC 9000 §5.1.1). */
	lc = qb_multipath_add_cid(c, &c->mp.pid[0], 2);
	QB_BUG_ON(!lc || lc->seq != 1);
	lc->tx = QB_TX_DONE;
}

void qb_preferred_fill(struct qb_conn *c, struct qb_tparams *tp)
{
	const struct qb_quic_cfg *cfg = &c->q->cfg;
	struct qb_preferred_addr *pa = &tp->preferred_addr;
	const struct qb_local_cid *lc = qb_local_cids_find(&c->mp.pid[0].local, 1);

	if (!lc)
		return;
	tp->has_preferred_addr = true;
	pa->cid = lc->entry.cid;
	qb_reset_token(&c->q->cfg.reset_secret, pa->cid.id, pa->cid.len, pa->reset_token);
	if (cfg->preferred4.family == 4) {
		memcpy(pa->ipv4, cfg->preferred4.ip, sizeof(pa->ipv4));
		pa->port4 = cfg->preferred4.port;
	}
	if (cfg->preferred6.family == 6) {
		memcpy(pa->ipv6, cfg->preferred6.ip, sizeof(pa->ipv6));
		pa->port6 = cfg->preferred6.port;
	}
}

/* pick_addr makes the offered address of the family that we use already. False: there is none to be
 * used. */
static bool pick_addr(const struct qb_preferred_addr *pa, const struct qb_addr *now,
		      struct qb_addr *out)
{
	*out = (struct qb_addr){.family = now->family};
	if (now->family == 4) {
		memcpy(out->ip, pa->ipv4, sizeof(pa->ipv4));
		out->port = pa->port4;
	} else {
		memcpy(out->ip, pa->ipv6, sizeof(pa->ipv6));
		out->port = pa->port6;
	}
	/* No server may send us into a network that is narrower than its own (RFC 9000 §21.5.3). */
	return out->port && !qb_addr_eq(out, now) && qb_addr_scope(out) != QB_SCOPE_NONE &&
	       qb_addr_scope(out) >= qb_addr_scope(now);
}

/* start_alt begins to find out whether the other end answers there, with a connection ID of its own
 * (RFC 9000 §9.5). */
static void start_alt(struct qb_conn *c, struct qb_path *p, const struct qb_tuple *tuple,
		      uint64_t now_ns)
{
	const struct qb_remote_cid *rc = qb_remote_cids_spare(&qb_conn_pid(c, p)->remote);

	/* The oldest may still be for an address that was left. */
	if (!rc || p->has_prev_cid)
		return;
	p->alt.tuple = *tuple;
	p->alt.tuple.ecn = 0;
	p->alt.cid_seq = rc->seq;
	qb_validation_start(&p->alt.validation, qb_conn_max_pto_ns(c), now_ns);
}

void qb_preferred_probe(struct qb_conn *c, struct qb_path *p, uint64_t now_ns)
{
	struct qb_tuple to = p->tuple;

	if (c->is_server || !c->peer.has_preferred_addr || c->q->cfg.is_preferred_ignored ||
	    !c->hs.is_confirmed || p->phase == QB_PATH_UNUSED ||
	    !pick_addr(&c->peer.preferred_addr, &p->tuple.peer, &to.peer))
		return;
	start_alt(c, p, &to, now_ns);
}

void qb_preferred_on_arrival(struct qb_conn *c, struct qb_path *p, const struct qb_tuple *tuple,
			     uint64_t now_ns)
{
	if (!p->alt.validation.is_active || !qb_tuple_eq(&p->alt.tuple, tuple))
		start_alt(c, p, tuple, now_ns);
}

void qb_preferred_on_response(struct qb_conn *c, struct qb_path *p, uint64_t now_ns)
{
	struct qb_path_id *pid = qb_conn_pid(c, p);

	p->alt.validation.is_active = false;
	if (p->phase == QB_PATH_CLOSING || !qb_remote_cids_use(&pid->remote, p->alt.cid_seq))
		return;
	qb_multipath_sync_reset(c, pid);
	c->mp.is_dirty = true;
	p->former_peer = p->tuple.peer;
	p->is_new_network |= !qb_addr_ip_eq(&p->tuple.peer, &p->alt.tuple.peer) ||
			     !qb_addr_ip_eq(&p->tuple.local, &p->alt.tuple.local);
	p->tuple = p->alt.tuple;
	p->rx_cid = NULL;
	p->cc.moved_pn = p->space.sent.next_pn;
	qb_trace_tuple(c, p, false, now_ns);
	qb_path_on_validated(c, p, now_ns);
}
