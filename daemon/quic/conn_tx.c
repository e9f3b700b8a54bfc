/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a connection sends when qb_quic_send asks: CONNECTION_CLOSE, the handshake, answers and challenges of
 * paths, then for each path its ACKs and probes, and stream and control frames on the best path. Datagrams of
 * the tunnel go by datagram_tx.c.
 */
#include "quic/packet.h"

enum {
	INITIAL_DGRAM_MIN = 1200,
	PATH_FRAME_DGRAM = 1200, /* datagrams with PATH_CHALLENGE or PATH_RESPONSE (RFC 9000 §8.2.1) */
	CHALLENGE_WAIT_MIN_NS = 100 * 1000 * 1000,
	ACK_RANGES_MANY = 16,	 /* with so many a PING asks the peer to let some be forgotten */
	RECORDS_MANY = 256,	 /* likewise with so many packets that nobody has acknowledged */
};

/* Why a loop over things to send stopped. */
enum tx_result { TX_NOTHING, TX_SENT, TX_FULL };

static const struct qb_frame ping = {.type = QB_FRAME_PING};
static const struct qb_frame immediate_ack = {.type = QB_FRAME_IMMEDIATE_ACK};

/* ---- handshake ---- */

static bool level_wants(struct qb_conn *c, enum qb_level level, uint64_t now_ns)
{
	if (!c->keys.tx[level])
		return false;
	return qb_rx_space_is_due(&qb_conn_space(c, level, NULL)->rx, now_ns) ||
	       qb_crypto_has_data(&c->crypto[level], c->tls, level);
}

/* probe_level: where a PING is of use when there is nothing to repeat. */
static enum qb_level probe_level(const struct qb_conn *c)
{
	return c->keys.tx[QB_LEVEL_HANDSHAKE] ? QB_LEVEL_HANDSHAKE : QB_LEVEL_INITIAL;
}

static void write_crypto(struct qb_conn *c, struct qb_tx_pkt *pkt)
{
	enum qb_level level = pkt->level;
	uint64_t off;
	size_t len;

	while (pkt->ref_cnt < QB_REFS_PER_PKT &&
	       (len = qb_crypto_write(&c->crypto[level], c->tls, level, &pkt->w, &off)) > 0) {
		pkt->flags |= QB_SENT_ELICITING | QB_SENT_IN_FLIGHT;
		pkt->refs[pkt->ref_cnt++] = (struct qb_frame_ref){
			.kind = QB_REF_CRYPTO, .id = level, .off = off, .len = (uint32_t)len};
	}
}

static void fill_level(struct qb_tx_dgram *d, enum qb_level level, uint64_t now_ns)
{
	struct qb_conn *c = d->c;
	struct qb_tx_pkt *pkt;

	if (!level_wants(c, level, now_ns) && !(c->hs.probe_cnt && level == probe_level(c)))
		return;
	pkt = qb_tx_begin(d, level);
	if (!pkt)
		return;
	if (qb_conn_space(c, level, NULL)->rx.pending_cnt)
		qb_tx_ack(d, pkt, d->path, now_ns);
	write_crypto(c, pkt);
	if (c->hs.probe_cnt && level == probe_level(c) && !(pkt->flags & QB_SENT_ELICITING))
		qb_tx_frame(pkt, &ping, NULL);
	if (qb_tx_is_empty(pkt))
		qb_tx_cancel(d);
}

static void fill_app(struct qb_tx_dgram *d, bool has_data, bool wants_ping, uint64_t now_ns);
static void write_streams(struct qb_conn *c, struct qb_tx_pkt *pkt, bool is_control_only, uint64_t now_ns);

/* fill_early adds a 0-RTT packet, until the server is heard: then 1-RTT keys are near. */
static void fill_early(struct qb_tx_dgram *d, uint64_t now_ns)
{
	struct qb_conn *c = d->c;
	struct qb_tx_pkt *pkt;

	if (c->keys.tx[QB_LEVEL_HANDSHAKE] || !qb_streams_has_data(&c->streams))
		return;
	pkt = qb_tx_begin(d, QB_LEVEL_EARLY);
	if (!pkt)
		return;
	write_streams(c, pkt, false, now_ns);
	if (qb_tx_is_empty(pkt))
		qb_tx_cancel(d);
}

/* fill_behind uses what room the handshake leaves in a datagram for data. */
static void fill_behind(struct qb_tx_dgram *d, uint64_t now_ns)
{
	struct qb_conn *c = d->c;

	if (!qb_conn_may_write(c))
		return;
	/*
	 * With a probe goes a PING that the server can read for sure: it may have dropped its Handshake keys, and only such a
	 * packet shows it an address that a NAT has changed meanwhile.
	 */
	if (c->keys.tx[QB_LEVEL_APP])
		fill_app(d, true, c->hs.probe_cnt && !c->is_server, now_ns);
	else
		fill_early(d, now_ns);
}

static bool handshake_wants(struct qb_conn *c, uint64_t now_ns)
{
	return level_wants(c, QB_LEVEL_INITIAL, now_ns) ||
	       level_wants(c, QB_LEVEL_HANDSHAKE, now_ns);
}

static enum tx_result tx_handshake(struct qb_conn *c, struct qb_batch *out, uint64_t now_ns)
{
	struct qb_path *p = &c->path[0];
	struct qb_tx_dgram d;
	bool has_initial = false;
	size_t i;

	if (c->hs.probe_cnt && !handshake_wants(c, now_ns)) {
		/* A second probe says the same as the first, lest one loss cost another, longer timeout. */
		qb_loss_requeue(c, &c->hs_space[0], UINT32_MAX);
		qb_loss_requeue(c, &c->hs_space[1], UINT32_MAX);
	}
	if (!c->hs.probe_cnt && !handshake_wants(c, now_ns))
		return TX_NOTHING;
	/* Only whole datagrams: Initials that elicit ACKs must fill one anyway. */
	if (qb_path_amp_room(p) < INITIAL_DGRAM_MIN)
		return TX_NOTHING;
	if (qb_batch_full(out))
		return TX_FULL;
	if (!qb_tx_open(&d, c, p, INITIAL_DGRAM_MIN))
		return TX_NOTHING;
	fill_level(&d, QB_LEVEL_INITIAL, now_ns);
	fill_level(&d, QB_LEVEL_HANDSHAKE, now_ns);
	if (d.cnt)
		fill_behind(&d, now_ns);
	for (i = 0; i < d.cnt; i++)
		has_initial |= d.pkt[i].level == QB_LEVEL_INITIAL &&
			       (!c->is_server || (d.pkt[i].flags & QB_SENT_ELICITING));
	if (c->hs.probe_cnt)
		c->hs.probe_cnt--;
	if (!qb_tx_close(&d, has_initial ? INITIAL_DGRAM_MIN : 0, out, now_ns))
		return TX_NOTHING;
	/* RFC 9001 §4.9.1: the client's first Handshake packet ends its use of Initial keys. */
	if (!c->is_server && d.pkt[d.cnt - 1].level >= QB_LEVEL_HANDSHAKE)
		qb_handshake_discard(c, QB_LEVEL_INITIAL, now_ns);
	return TX_SENT;
}

/* ---- 1-RTT ---- */

/* write_acks appends what this packet's path has to report, and what paths that may not send themselves have. */
static void write_acks(struct qb_tx_dgram *d, struct qb_tx_pkt *pkt, uint64_t now_ns)
{
	struct qb_conn *c = d->c;
	uint32_t i;

	for (i = 0; i < c->path_cnt; i++) {
		struct qb_path *p = &c->path[i];

		if (p->phase == QB_PATH_UNUSED || p == d->path || !p->space.rx.pending_cnt)
			continue;
		if (p->phase == QB_PATH_CLOSING || p->is_down || p->is_ack_detoured)
			p->is_ack_detoured &= !qb_tx_ack(d, pkt, p, now_ns);
	}
	/* Last, so that the record remembers this one. */
	if (d->path->space.rx.pending_cnt && !d->path->is_ack_detoured)
		qb_tx_ack(d, pkt, d->path, now_ns);
}

static void write_streams(struct qb_conn *c, struct qb_tx_pkt *pkt, bool is_control_only,
			  uint64_t now_ns)
{
	if (qb_streams_write(&c->streams, &pkt->w, pkt->refs, QB_REFS_PER_PKT, &pkt->ref_cnt,
			     is_control_only, now_ns))
		pkt->flags |= QB_SENT_ELICITING | QB_SENT_IN_FLIGHT;
}

static void write_ack_frequency(struct qb_conn *c, struct qb_tx_pkt *pkt)
{
	const struct qb_frame_ref ref = {.kind = QB_REF_ACK_FREQUENCY, .off = c->ack_freq.ask.seq};
	struct qb_frame f;

	if (qb_ack_freq_frame(&c->ack_freq, &f) && qb_tx_frame(pkt, &f, &ref))
		c->ack_freq.ask.tx = QB_TX_SENT;
}

/* write_token gives the client a token for the address that the packet goes to. */
static void write_token(struct qb_conn *c, struct qb_path *p, struct qb_tx_pkt *pkt)
{
	const struct qb_token_owner owner = {.peer = &p->tuple.peer, .version = c->version};
	const struct qb_frame_ref ref = {.kind = QB_REF_NEW_TOKEN, .id = p->id};
	struct qb_frame f = {.type = QB_FRAME_NEW_TOKEN};
	const struct qb_token body = {.is_retry = false};
	uint8_t token[QB_TOKEN_MAX];

	if (p->token_tx != QB_TX_DUE || !p->amp.is_validated)
		return;
	f.new_token.p = token;
	f.new_token.len = qb_token_build(&c->q->cfg.token_secret, &c->q->rnd, &owner, &body,
					 c->q->now_ns, token);
	if (qb_tx_frame(pkt, &f, &ref))
		p->token_tx = QB_TX_SENT;
}

/* write_observed tells the client what its address on this path looks like from here. */
static void write_observed(struct qb_conn *c, struct qb_path *p, struct qb_tx_pkt *pkt)
{
	const struct qb_addr *peer = &p->tuple.peer;
	const struct qb_frame_ref ref = {.kind = QB_REF_OBSERVED, .id = p->id, .off = c->observed_seq};
	struct qb_frame f = {
		.type = peer->family == 6 ? QB_FRAME_OBSERVED_ADDRESS6 : QB_FRAME_OBSERVED_ADDRESS4,
		.observed = {.seq = c->observed_seq, .port = peer->port},
	};

	if (p->observed_tx != QB_TX_DUE)
		return;
	memcpy(f.observed.ip, peer->ip, sizeof(f.observed.ip));
	if (!qb_tx_frame(pkt, &f, &ref))
		return;
	p->observed_tx = QB_TX_SENT;
	p->observed_seq = c->observed_seq++;
}

static void write_control(struct qb_conn *c, struct qb_path *p, struct qb_tx_pkt *pkt)
{
	const struct qb_frame done = {.type = QB_FRAME_HANDSHAKE_DONE};
	const struct qb_frame_ref ref = {.kind = QB_REF_HANDSHAKE_DONE};
	size_t before = pkt->ref_cnt;

	if (c->hs.done_tx == QB_TX_DUE && qb_tx_frame(pkt, &done, &ref))
		c->hs.done_tx = QB_TX_SENT;
	/* Before tickets, which fill a packet: without these the client cannot open its other paths. */
	qb_multipath_write(c, &pkt->w, pkt->refs, QB_REFS_PER_PKT, &pkt->ref_cnt);
	write_ack_frequency(c, pkt);
	write_token(c, p, pkt);
	write_observed(c, p, pkt);
	write_crypto(c, pkt);
	if (pkt->ref_cnt > before)
		pkt->flags |= QB_SENT_ELICITING | QB_SENT_IN_FLIGHT;
}

static bool has_control(const struct qb_conn *c)
{
	return c->hs.done_tx == QB_TX_DUE || qb_multipath_has_due(c) ||
	       c->ack_freq.ask.tx == QB_TX_DUE ||
	       qb_crypto_has_data(&c->crypto[QB_LEVEL_APP], c->tls, QB_LEVEL_APP);
}

static bool has_app_data(const struct qb_conn *c)
{
	return has_control(c) || qb_streams_has_data(&c->streams);
}

/*
 * wants_answer: who only receives sends nothing but ACKs, and those nobody acknowledges. Now and then somebody has to (RFC 9000
 * §13.2.4), or what is remembered of ranges and of packets sent grows without an end.
 */
static bool wants_answer(const struct qb_path *p, uint64_t now_ns)
{
	const struct qb_space *s = &p->space;

	return (s->rx.ranges.cnt >= ACK_RANGES_MANY || s->sent.next_pn - s->sent.tail_pn >= RECORDS_MANY) &&
	       s->last_eliciting_ns + p->rtt.smoothed_ns <= now_ns;
}

/* fill_app adds a 1-RTT packet: ACKs, then (has_data) whatever waits, then a PING where one is wanted. */
static void fill_app(struct qb_tx_dgram *d, bool has_data, bool wants_ping, uint64_t now_ns)
{
	struct qb_tx_pkt *pkt = qb_tx_begin(d, QB_LEVEL_APP);

	if (!pkt)
		return;
	write_acks(d, pkt, now_ns);
	if (has_data) {
		write_control(d->c, d->path, pkt);
		write_streams(d->c, pkt, false, now_ns);
	}
	if (!(pkt->flags & QB_SENT_ELICITING) && !wants_ping && !qb_tx_is_empty(pkt))
		wants_ping = wants_answer(d->path, now_ns);
	/* Who probes does not want to wait for the delay that was agreed for bulk. */
	if (wants_ping && qb_ack_freq_wants_immediate(&d->c->ack_freq))
		qb_tx_frame(pkt, &immediate_ack, NULL);
	if (wants_ping && !(pkt->flags & QB_SENT_ELICITING))
		qb_tx_frame(pkt, &ping, NULL);
	if (qb_tx_is_empty(pkt))
		qb_tx_cancel(d);
}

static enum tx_result tx_app(struct qb_conn *c, struct qb_path *p, bool has_data, bool wants_ping,
			     struct qb_batch *out, uint64_t now_ns)
{
	size_t max_bytes = (size_t)QB_MIN((uint64_t)p->mtu.cur_bytes, qb_path_amp_room(p));
	struct qb_tx_dgram d;

	if (qb_batch_full(out))
		return TX_FULL;
	/* Only probes may go beyond the window (RFC 9002 §7). */
	if (has_data && !wants_ping)
		max_bytes = QB_MIN(max_bytes, (size_t)qb_path_window(p));
	if (!qb_tx_open(&d, c, p, max_bytes))
		return TX_NOTHING;
	fill_app(&d, has_data, wants_ping, now_ns);
	if (!qb_tx_close(&d, 0, out, now_ns))
		return TX_NOTHING;
	p->was_datagram &= !has_data;
	return TX_SENT;
}

/*
 * has_window: window and pacer let another packet go, if only a short one. Behind a datagram it may lie beyond what the pacer has
 * saved up: who waited for room for a full packet would never see it beside a tunnel that takes every byte.
 */
static bool has_window(const struct qb_path *p, uint64_t now_ns)
{
	return qb_path_window(p) >= QB_DATA_ROOM_MIN &&
	       !qb_pacer_next_ns(&p->pacer, p->was_datagram ? 1 : p->mtu.cur_bytes, now_ns) &&
	       qb_path_amp_room(p) >= QB_MTU_BASE;
}

/* data_rank orders paths for stream and control data: lower is better, and only the best there are count. */
static uint32_t data_rank(struct qb_conn *c, const struct qb_path *p)
{
	if (qb_path_is_usable(p))
		return 2u * qb_path_is_suspect(p) + qb_conn_pid(c, p)->is_peer_backup;
	/* The client may speak before the handshake is confirmed. */
	return p->phase == QB_PATH_VALIDATING && !c->hs.is_confirmed ? 0 : UINT32_MAX;
}

/*
 * data_path picks the path for stream and control data: the shortest RTT that has window, among those that answer
 * before those that do not, backups last.
 */
static struct qb_path *data_path(struct qb_conn *c, uint64_t now_ns)
{
	struct qb_path *best = NULL;
	uint32_t best_rank = UINT32_MAX, rank, i;

	for (i = 0; i < c->path_cnt; i++)
		best_rank = QB_MIN(best_rank, data_rank(c, &c->path[i]));
	if (best_rank == UINT32_MAX)
		return NULL;
	for (i = 0; i < c->path_cnt; i++) {
		struct qb_path *p = &c->path[i];

		rank = data_rank(c, p);
		if (rank == best_rank && has_window(p, now_ns) &&
		    (!best || p->rtt.smoothed_ns < best->rtt.smoothed_ns))
			best = p;
	}
	return best;
}

static enum tx_result tx_data(struct qb_conn *c, struct qb_batch *out, uint64_t now_ns)
{
	struct qb_path *p;

	if (!has_app_data(c))
		return TX_NOTHING;
	p = data_path(c, now_ns);
	return p ? tx_app(c, p, true, false, out, now_ns) : TX_NOTHING;
}

/* ---- paths ---- */

/* A datagram that is about an address: where it goes, by which connection ID, and how large it may be. */
struct padded {
	const struct qb_tuple *tuple;
	const struct qb_remote_cid *cid; /* NULL: the path's */
	uint64_t limit_bytes;
};

static enum tx_result tx_padded(struct qb_conn *c, struct qb_path *p, const struct padded *to,
				const struct qb_frame *f, struct qb_batch *out, uint64_t now_ns)
{
	/* The amplification limit goes before the size: then the MTU is proven later (RFC 9000 §8.2.1). */
	size_t max_bytes = (size_t)QB_MIN((uint64_t)PATH_FRAME_DGRAM, to->limit_bytes);
	bool is_here = qb_tuple_eq(to->tuple, &p->tuple);
	struct qb_tx_dgram d;
	struct qb_tx_pkt *pkt;

	if (qb_batch_full(out))
		return TX_FULL;
	if (!qb_tx_open(&d, c, p, max_bytes))
		return TX_NOTHING;
	d.cid = to->cid;
	d.tuple = to->tuple;
	pkt = qb_tx_begin(&d, QB_LEVEL_APP);
	if (pkt) {
		qb_tx_frame(pkt, f, NULL);
		/* Anything that is no probe, from or to another address, would move the path there. */
		if (is_here) {
			write_acks(&d, pkt, now_ns);
			write_control(c, p, pkt);
		}
		if (qb_tx_is_empty(pkt))
			qb_tx_cancel(&d);
	}
	if (!qb_tx_close(&d, max_bytes, out, now_ns))
		return TX_NOTHING;
	if (!is_here)
		qb_sent_at(&p->space.sent, p->space.sent.next_pn - 1)->flags |= QB_SENT_ELSEWHERE;
	return TX_SENT;
}

/*
 * cid_elsewhere: another address gets another connection ID than the path's, if it used one too: that which the path will have
 * once it has moved there (RFC 9000 §9.5). NULL: the path's.
 */
static const struct qb_remote_cid *cid_elsewhere(struct qb_conn *c, const struct qb_path *p, const struct qb_response *r)
{
	struct qb_remote_cids *remote = &qb_conn_pid(c, p)->remote;

	if (p->phase == QB_PATH_UNUSED)
		return NULL;
	if (p->has_prev_cid && qb_tuple_eq(&r->tuple, &p->prev_tuple))
		return qb_remote_cids_find(remote, p->prev_cid_seq);
	return r->is_other_cid ? qb_remote_cids_spare(remote) : NULL;
}

static enum tx_result tx_responses(struct qb_conn *c, struct qb_batch *out, uint64_t now_ns)
{
	enum tx_result rc = TX_NOTHING;

	while (c->response_cnt) {
		const struct qb_response *r = &c->response[0];
		struct qb_frame f = {.type = QB_FRAME_PATH_RESPONSE};
		struct qb_path *p = &c->path[r->path];
		struct padded to = {.tuple = &r->tuple};

		if (qb_tuple_eq(&r->tuple, &p->tuple)) {
			to.limit_bytes = qb_path_amp_room(p);
		} else {
			to.limit_bytes = r->max_bytes;
			to.cid = cid_elsewhere(c, p, r);
		}
		memcpy(f.path_challenge, r->data, sizeof(r->data));
		rc = p->phase == QB_PATH_UNUSED ? TX_NOTHING : tx_padded(c, p, &to, &f, out, now_ns);
		if (rc == TX_FULL)
			return rc;
		/* Sent, or it cannot be: the peer will ask again. */
		memmove(c->response, c->response + 1, --c->response_cnt * sizeof(c->response[0]));
	}
	return rc;
}

/*
 * challenge_wait_ns is how long to wait for the first answer. A path that nothing is known of is asked at the pace of the others,
 * as one would with the RTT of an earlier connection (RFC 9002 §6.2.2); on the first of all there is no better guess than the RFC's.
 */
static uint64_t challenge_wait_ns(const struct qb_conn *c, const struct qb_path *p)
{
	uint64_t own_ns = qb_rtt_pto_ns(&p->rtt, 0), longest_ns = 0;
	uint32_t i;

	if (qb_rtt_has_sample(&p->rtt))
		return own_ns;
	for (i = 0; i < c->path_cnt; i++) {
		const struct qb_path *other = &c->path[i];

		if (other->phase != QB_PATH_UNUSED && qb_rtt_has_sample(&other->rtt))
			longest_ns = QB_MAX(longest_ns, qb_rtt_pto_ns(&other->rtt, 0));
	}
	if (!longest_ns)
		return own_ns;
	return QB_MIN(own_ns, QB_MAX(longest_ns, (uint64_t)CHALLENGE_WAIT_MIN_NS));
}

/* send_challenge draws another challenge of a validation and sends it. */
static enum tx_result send_challenge(struct qb_conn *c, struct qb_path *p, struct qb_validation *v,
				     const struct padded *to, struct qb_batch *out, uint64_t now_ns)
{
	struct qb_frame f = {.type = QB_FRAME_PATH_CHALLENGE};
	uint8_t *data = v->data[v->sent_cnt % QB_CHALLENGES];
	enum tx_result rc;

	if (qb_batch_full(out))
		return TX_FULL;
	qb_drbg_bytes(&c->q->rnd, data, QB_PATH_CHALLENGE_LEN);
	memcpy(f.path_challenge, data, QB_PATH_CHALLENGE_LEN);
	rc = tx_padded(c, p, to, &f, out, now_ns);
	if (rc != TX_SENT)
		return rc;
	v->next_ns = now_ns + (challenge_wait_ns(c, p) << QB_MIN(v->sent_cnt, (uint8_t)3));
	v->sent_cnt++;
	return TX_SENT;
}

static enum tx_result tx_challenge(struct qb_conn *c, struct qb_path *p, struct qb_batch *out,
				   uint64_t now_ns)
{
	struct padded to = {.tuple = &p->tuple, .limit_bytes = qb_path_amp_room(p)};
	struct padded prev = {
		.tuple = &p->prev_tuple,
		.cid = p->has_prev_cid ? qb_remote_cids_find(&qb_conn_pid(c, p)->remote, p->prev_cid_seq) : NULL,
		.limit_bytes = PATH_FRAME_DGRAM,
	};
	struct qb_frame f = {.type = QB_FRAME_PATH_CHALLENGE};
	struct qb_validation *v = &p->validation;
	bool is_first = v->sent_cnt == 0;
	enum tx_result rc;

	if (!v->is_active || v->next_ns > now_ns || to.limit_bytes < QB_CHALLENGE_ROOM_MIN)
		return TX_NOTHING;
	rc = send_challenge(c, p, v, &to, out, now_ns);
	/* The old address is asked too: is the peer still there? (RFC 9000 §9.3.3) */
	if (rc == TX_SENT && is_first && p->has_prev && !qb_batch_full(out)) {
		qb_drbg_bytes(&c->q->rnd, p->prev_challenge, QB_PATH_CHALLENGE_LEN);
		memcpy(f.path_challenge, p->prev_challenge, QB_PATH_CHALLENGE_LEN);
		(void)tx_padded(c, p, &prev, &f, out, now_ns);
	}
	return rc;
}

/* tx_alt_challenge asks whether the path would also work with the server's preferred address. */
static enum tx_result tx_alt_challenge(struct qb_conn *c, struct qb_path *p, struct qb_batch *out,
				       uint64_t now_ns)
{
	struct qb_validation *v = &p->alt.validation;
	struct padded to = {
		.tuple = &p->alt.tuple,
		.cid = qb_remote_cids_find(&qb_conn_pid(c, p)->remote, p->alt.cid_seq),
		.limit_bytes = PATH_FRAME_DGRAM,
	};

	/* The peer may have retired it meanwhile. */
	v->is_active &= to.cid != NULL;
	if (!v->is_active || v->next_ns > now_ns)
		return TX_NOTHING;
	return send_challenge(c, p, v, &to, out, now_ns);
}

/* tx_ping sends a PING that is padded to so many bytes, if the path takes them now; flags: more of enum qb_sent_flag. */
static enum tx_result tx_ping(struct qb_conn *c, struct qb_path *p, uint16_t bytes, uint8_t flags, struct qb_batch *out,
			      uint64_t now_ns)
{
	struct qb_tx_dgram d;
	struct qb_tx_pkt *pkt;

	if (!qb_path_is_usable(p) || !c->hs.is_confirmed || qb_path_budget(p, now_ns) < bytes)
		return TX_NOTHING;
	if (qb_batch_full(out))
		return TX_FULL;
	if (!qb_tx_open(&d, c, p, bytes))
		return TX_NOTHING;
	pkt = qb_tx_begin(&d, QB_LEVEL_APP);
	if (pkt) {
		qb_tx_frame(pkt, &ping, NULL);
		pkt->flags |= flags;
	}
	return qb_tx_close(&d, bytes, out, now_ns) ? TX_SENT : TX_NOTHING;
}

static enum tx_result tx_mtu_probe(struct qb_conn *c, struct qb_path *p, struct qb_batch *out,
				   uint64_t now_ns)
{
	uint16_t bytes = qb_mtu_probe_due(&p->mtu, now_ns);
	enum tx_result rc = bytes ? tx_ping(c, p, bytes, QB_SENT_MTU_PROBE, out, now_ns) : TX_NOTHING;

	if (rc == TX_SENT)
		qb_mtu_on_probe_sent(&p->mtu, bytes);
	return rc;
}

static bool wants_fill(const struct qb_conn *c, const struct qb_path *p, uint64_t now_ns)
{
	return QB_UNLIKELY(c->fill_until_ns > now_ns) && p->fill_until_ns > now_ns && qb_path_is_usable(p) && !p->is_doubted;
}

/* tx_fill keeps a path busy of which the owner wants to know what it carries. */
static enum tx_result tx_fill(struct qb_conn *c, struct qb_path *p, struct qb_batch *out, uint64_t now_ns)
{
	enum tx_result rc = wants_fill(c, p, now_ns) ? tx_ping(c, p, p->mtu.cur_bytes, 0, out, now_ns) : TX_NOTHING;

	if (rc == TX_SENT)
		qb_count(c->q->cfg.counters, QB_CNT_FILL_PACKETS);
	return rc;
}

/* may_ack_itself: the path carries its own ACKs, so that its RTT is its own. */
static bool may_ack_itself(const struct qb_path *p)
{
	return (p->phase == QB_PATH_OPEN || p->phase == QB_PATH_VALIDATING) && !p->is_down && !p->is_ack_detoured;
}

static enum tx_result tx_path(struct qb_conn *c, struct qb_path *p, struct qb_batch *out,
			      uint64_t now_ns)
{
	enum tx_result rc;
	bool is_probe = p->probe_cnt > 0;

	rc = tx_challenge(c, p, out, now_ns);
	if (QB_UNLIKELY(p->alt.validation.is_active) && rc == TX_NOTHING)
		rc = tx_alt_challenge(c, p, out, now_ns);
	if (rc == TX_NOTHING)
		rc = tx_mtu_probe(c, p, out, now_ns);
	if (rc != TX_NOTHING)
		return rc;
	if (is_probe && p->phase != QB_PATH_CLOSING) {
		/* On a path held for dead, or that may be, only a PING is risked. */
		rc = tx_app(c, p, !p->is_down && !qb_multipath_has_healthy(c, p), true, out, now_ns);
		if (rc != TX_FULL)
			p->probe_cnt--;
		return rc;
	}
	if (QB_UNLIKELY(p->token_tx == QB_TX_DUE || p->observed_tx == QB_TX_DUE) && qb_path_is_usable(p) && !p->is_doubted &&
	    has_window(p, now_ns))
		rc = tx_app(c, p, true, false, out, now_ns);
	if (rc != TX_NOTHING)
		return rc;
	/* ACKs come first, and need not fit the window: what else there is follows by itself where that is short. */
	if (may_ack_itself(p) && qb_rx_space_is_due(&p->space.rx, now_ns))
		return tx_app(c, p,
			      qb_path_is_usable(p) && !p->is_doubted && has_window(p, now_ns) &&
				      qb_path_window(p) >= p->mtu.cur_bytes,
			      false, out, now_ns);
	return TX_NOTHING;
}

/* tx_orphan_acks: what arrived on paths that may not answer for themselves is reported on another. */
static enum tx_result tx_orphan_acks(struct qb_conn *c, struct qb_batch *out, uint64_t now_ns)
{
	struct qb_path *carrier = NULL;
	bool is_due = false;
	uint32_t i;

	for (i = 0; i < c->path_cnt; i++) {
		struct qb_path *p = &c->path[i];

		if (p->phase == QB_PATH_UNUSED)
			continue;
		if (may_ack_itself(p))
			carrier = carrier && carrier->rtt.smoothed_ns < p->rtt.smoothed_ns ? carrier
											  : p;
		else
			is_due |= qb_rx_space_is_due(&p->space.rx, now_ns);
	}
	if (!is_due)
		return TX_NOTHING;
	if (!carrier) {
		/* Nobody can tell the peer: forget that it was due. */
		for (i = 0; i < c->path_cnt; i++) {
			if (c->path[i].phase != QB_PATH_UNUSED)
				c->path[i].space.rx.ack_at_ns = QB_NEVER_NS;
			c->path[i].is_ack_detoured = false;
		}
		return TX_NOTHING;
	}
	return tx_app(c, carrier, false, false, out, now_ns);
}

/* ---- closing ---- */

static void close_frame(const struct qb_conn *c, enum qb_level level, struct qb_frame *f)
{
	const struct qb_close *cl = &c->close;

	*f = (struct qb_frame){.type = QB_FRAME_CONNECTION_CLOSE};
	f->close.error_code = cl->error_code;
	f->close.frame_type = cl->frame_type;
	if (cl->is_app && level != QB_LEVEL_APP) {
		/* Application state must not leak before the handshake is done (RFC 9000 §10.2.3). */
		f->close.error_code = QB_QUIC_APPLICATION_ERROR;
		return;
	}
	if (cl->is_app)
		f->type = QB_FRAME_CONNECTION_CLOSE_APP;
	f->close.reason = (struct qb_bytes){(const uint8_t *)cl->reason, strlen(cl->reason)};
}

static enum tx_result tx_close(struct qb_conn *c, struct qb_batch *out, uint64_t now_ns)
{
	static const enum qb_level levels[] = {QB_LEVEL_INITIAL, QB_LEVEL_HANDSHAKE, QB_LEVEL_APP};
	struct qb_path *p = qb_conn_close_path_of(c);
	struct qb_tx_dgram d;
	struct qb_tx_pkt *pkt;
	struct qb_frame f;
	bool has_initial = false;
	size_t i, max_bytes;

	if (c->state != QB_CONN_CLOSING || !c->close.is_due)
		return TX_NOTHING;
	if (qb_batch_full(out))
		return TX_FULL;
	c->close.is_due = false;
	if (!p)
		return TX_NOTHING;
	max_bytes = (size_t)QB_MIN((uint64_t)INITIAL_DGRAM_MIN, qb_path_amp_room(p));
	if (!qb_tx_open(&d, c, p, max_bytes))
		return TX_NOTHING;
	for (i = 0; i < QB_ARRAY_LEN(levels); i++) {
		/* Once the peer surely has 1-RTT keys, only those. */
		if ((levels[i] != QB_LEVEL_APP && c->hs.is_confirmed) ||
		    (levels[i] == QB_LEVEL_APP && !c->keys.tx[QB_LEVEL_APP]))
			continue;
		close_frame(c, levels[i], &f);
		pkt = qb_tx_begin(&d, levels[i]);
		if (!pkt)
			continue;
		if (!qb_tx_frame(pkt, &f, NULL))
			qb_tx_cancel(&d);
		else
			has_initial |= levels[i] == QB_LEVEL_INITIAL && !c->is_server;
	}
	return qb_tx_close(&d, has_initial ? INITIAL_DGRAM_MIN : 0, out, now_ns) ? TX_SENT
										  : TX_NOTHING;
}

/* ---- all of it ---- */

void qb_conn_note_limits(struct qb_conn *c, uint64_t now_ns)
{
	bool has_more = c->has_backlog || qb_streams_has_data(&c->streams);
	uint32_t i;

	for (i = 0; i < c->path_cnt; i++) {
		struct qb_path *p = &c->path[i];

		if (p->phase == QB_PATH_UNUSED)
			continue;
		p->pacer.has_waiting = (has_more || wants_fill(c, p, now_ns)) && qb_path_budget(p, now_ns) < p->mtu.cur_bytes;
		if (p->pacer.has_waiting)
			p->cc.limited_pn = p->space.sent.next_pn;
		else
			qb_rate_set_app_limited(&p->rate, p->cc.in_flight_bytes);
	}
}

/* tx_early sends what a client has to say before the handshake is complete. */
static enum tx_result tx_early(struct qb_conn *c, struct qb_batch *out, uint64_t now_ns)
{
	struct qb_path *p = &c->path[0];
	struct qb_tx_dgram d;

	if (!c->keys.tx[QB_LEVEL_EARLY] || !has_window(p, now_ns))
		return TX_NOTHING;
	if (qb_batch_full(out))
		return TX_FULL;
	if (!qb_tx_open(&d, c, p, p->mtu.cur_bytes))
		return TX_NOTHING;
	fill_early(&d, now_ns);
	return qb_tx_close(&d, 0, out, now_ns) ? TX_SENT : TX_NOTHING;
}

static enum tx_result tx_one(struct qb_conn *c, struct qb_batch *out, uint64_t now_ns)
{
	enum tx_result rc = TX_NOTHING;
	uint32_t i;

	if (!c->hs.is_confirmed)
		rc = tx_handshake(c, out, now_ns);
	if (rc != TX_NOTHING || !qb_conn_may_write(c))
		return rc;
	if (!c->keys.tx[QB_LEVEL_APP])
		return tx_early(c, out, now_ns);
	rc = tx_responses(c, out, now_ns);
	for (i = 0; i < c->path_cnt && rc == TX_NOTHING; i++) {
		if (c->path[i].phase != QB_PATH_UNUSED)
			rc = tx_path(c, &c->path[i], out, now_ns);
	}
	if (rc == TX_NOTHING)
		rc = tx_orphan_acks(c, out, now_ns);
	if (rc == TX_NOTHING)
		rc = tx_data(c, out, now_ns);
	for (i = 0; QB_UNLIKELY(c->fill_until_ns > now_ns) && i < c->path_cnt && rc == TX_NOTHING; i++)
		rc = tx_fill(c, &c->path[i], out, now_ns);
	return rc;
}

bool qb_conn_tx(struct qb_conn *c, struct qb_batch *out, uint64_t now_ns)
{
	enum tx_result rc;

	if (!qb_conn_is_open(c))
		return tx_close(c, out, now_ns) == TX_FULL;
	do {
		rc = tx_one(c, out, now_ns);
	} while (rc == TX_SENT);
	if (rc == TX_FULL)
		return true;
	qb_conn_note_limits(c, now_ns);
	qb_conn_queue_stream_events(c);
	return false;
}
