/* SPDX-License-Identifier: BSD-2-Clause */
/* A client's first Initial: address validation by Retry, limits, and the new connection; called by endpoint.c. */
#include "quic/conn.h"
#include "quic/token.h"

#include <errno.h>

enum {
	INITIAL_DGRAM_MIN = 1200, /* RFC 9000 §14.1 */
	DCID_MIN = 8,		  /* RFC 9000 §7.2 */
	TLS_BYTES = 48 * 1024,	  /* of a handshake under way */
};

void qb_quic_set_retry(struct qb_quic *q, enum qb_retry_mode mode)
{
	q->cfg.retry = mode;
}

/*
 * wants_retry: where there is a crowd, in all or of one source, only addresses that are real add to it. Nobody's handshake ever
 * has to go for a forged address.
 */
static bool wants_retry(const struct qb_quic *q, const struct qb_addr *peer)
{
	switch (q->cfg.retry) {
	case QB_RETRY_ALWAYS:
		return true;
	case QB_RETRY_AUTO:
		return q->half_opens.cnt >= q->cfg.retry_half_open ||
		       q->conn_slab.used_cnt == q->conn_slab.cap ||
		       qb_half_open_cnt_of(&q->half_opens, peer) >= QB_HALF_OPEN_RETRY;
	case QB_RETRY_OFF:
		break;
	}
	return false;
}

/* check_token returns 1 with a valid token, 0 without, -ETIME with a Retry's that is too old. */
static int check_token(struct qb_quic *q, const struct qb_buf *in, const struct qb_hdr *h,
		       uint64_t now_ns, struct qb_token *token)
{
	struct qb_token_owner owner = {&in->tuple.peer, h->version, h->dcid};
	int rc;

	if (!h->token.len)
		return 0;
	rc = qb_token_check(&q->cfg.token_secret, &owner, h->token, now_ns, token);
	/* A second use may be somebody else's, who saw the first (RFC 9000 §8.1.4). */
	if (rc == 0 && !token->is_retry &&
	    !qb_tokens_seen_add(&q->tokens_seen, &q->hash_key, h->token))
		rc = -EBADMSG;
	qb_count(q->cfg.counters, rc == 0 ? QB_CNT_TOKENS_OK : QB_CNT_TOKENS_BAD);
	if (rc == 0)
		return 1;
	/* What is not ours may be another server's NEW_TOKEN: as good as none (RFC 9000 §8.1.3). */
	return rc == -ETIME && token->is_retry ? rc : 0;
}

/* weight is what a half-open connection holds, TLS's part as measured. */
static uint64_t weight(const struct qb_conn *c)
{
	uint64_t chunks = 0;
	uint32_t i;

	for (i = 0; i < QB_LEVEL_CNT; i++)
		chunks += c->crypto[i].rx.cnt;
	return sizeof(*c) + TLS_BYTES + chunks * sizeof(struct qb_chunk);
}

static void evict(struct qb_quic *q, struct qb_half_open *victim)
{
	qb_count(q->cfg.counters, QB_CNT_HALF_OPEN_EVICTED);
	qb_conn_free(QB_CONTAINER_OF(victim, struct qb_conn, half_open));
}

static void make_room(struct qb_quic *q, const struct qb_addr *peer)
{
	struct qb_half_open *victim = qb_half_open_victim(&q->half_opens, peer);

	if (!victim && q->conn_slab.used_cnt == q->conn_slab.cap)
		victim = qb_half_open_oldest(&q->half_opens);
	if (victim)
		evict(q, victim);
}

void qb_accept_weigh(struct qb_quic *q, struct qb_conn *c)
{
	struct qb_half_open *victim;

	if (QB_LIKELY(!c->half_open.source))
		return;
	victim = qb_half_open_weigh(&q->half_opens, &c->half_open, weight(c));
	if (victim)
		evict(q, victim);
}

static struct qb_conn *make_conn(struct qb_quic *q, const struct qb_buf *in, const struct qb_hdr *h,
				 const struct qb_token *token, uint64_t now_ns)
{
	struct qb_conn *c = qb_conn_new(q, true, &in->tuple, now_ns);
	struct qb_handshake *hs;

	if (!c)
		return NULL;
	qb_half_open_add(&q->half_opens, &c->half_open, &in->tuple.peer, weight(c));
	hs = &c->hs;
	c->version = hs->first_version = h->version;
	qb_cid_set(&hs->initial_dcid, h->dcid);
	qb_cid_set(&hs->odcid, h->dcid);
	if (token)
		c->path[0].amp.is_validated = true;
	if (token && token->is_retry) {
		qb_cid_set(&hs->odcid, (struct qb_bytes){token->odcid, token->odcid_len});
		hs->retry_scid = hs->initial_dcid;
		hs->has_retry = true;
	}
	hs->odcid_entry = (struct qb_cid_entry){.conn = c, .cid = hs->initial_dcid};
	qb_endpoint_link_cid(q, &hs->odcid_entry);
	if (qb_handshake_accept(c) < 0) {
		qb_conn_free(c);
		return NULL;
	}
	return c;
}

struct qb_conn *qb_accept_initial(struct qb_quic *q, const struct qb_buf *in, const struct qb_hdr *h,
				  uint64_t now_ns)
{
	struct qb_token token;
	struct qb_conn *c;
	int rc;

	if (in->len < INITIAL_DGRAM_MIN) {
		qb_count(q->cfg.counters, QB_CNT_DROP_INITIAL_SIZE);
		return NULL;
	}
	if (h->dcid.len < DCID_MIN) {
		qb_count(q->cfg.counters, QB_CNT_DROP_HEADER);
		return NULL;
	}
	if (!qb_path_is_peer_ok(&in->tuple.local, &in->tuple.peer)) {
		qb_count(q->cfg.counters, QB_CNT_DROP_PEER_ADDRESS);
		return NULL;
	}
	rc = check_token(q, in, h, now_ns, &token);
	if (rc < 0) {
		qb_stateless_send_refusal(q, in, h, QB_QUIC_INVALID_TOKEN, now_ns);
		return NULL;
	}
	if (rc == 0 && wants_retry(q, &in->tuple.peer)) {
		qb_stateless_send_retry(q, in, h, now_ns);
		return NULL;
	}
	make_room(q, &in->tuple.peer);
	c = make_conn(q, in, h, rc == 1 ? &token : NULL, now_ns);
	if (!c) {
		qb_count(q->cfg.counters, QB_CNT_DROP_CONN_LIMIT);
		qb_stateless_send_refusal(q, in, h, QB_QUIC_CONNECTION_REFUSED, now_ns);
	}
	return c;
}
