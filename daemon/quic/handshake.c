/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS inside QUIC (RFC 9001 §4): keys, transport parameters, completion and confirmation. */
#include "quic/conn.h"
#include "quic/session.h"

#include <errno.h>

enum {
	MAX_DATA_BYTES = 1 << 20,
	MAX_STREAM_DATA_BYTES = 256 << 10,
	ALERT_CERTIFICATE_UNKNOWN = 46, /* what tls/ says to a peer whose key is not listed */
};

void qb_conn_limit_params(const struct qb_quic_limits *lim, struct qb_tparams *tp)
{
	qb_tparams_init(tp);
	tp->max_data = MAX_DATA_BYTES;
	tp->max_stream_data_bidi_local = MAX_STREAM_DATA_BYTES;
	tp->max_stream_data_bidi_remote = MAX_STREAM_DATA_BYTES;
	tp->max_stream_data_uni = MAX_STREAM_DATA_BYTES;
	tp->max_streams_bidi = lim->streams_per_conn;
	tp->max_streams_uni = lim->streams_per_conn;
}

void qb_conn_our_params(const struct qb_quic *q, struct qb_tparams *tp)
{
	uint32_t i;

	qb_conn_limit_params(&q->cfg.limits, tp);
	tp->max_idle_timeout_ms = q->cfg.idle_timeout_ns / QB_NS_PER_MS;
	tp->max_udp_payload_bytes = QB_FRAME_BYTES - QB_HEADROOM - QB_TAILROOM;
	tp->ack_delay_exponent = QB_ACK_DELAY_EXPONENT;
	tp->max_ack_delay_ms = QB_ACK_DELAY_MAX_MS;
	tp->has_min_ack_delay = true;
	tp->min_ack_delay_us = QB_ACK_DELAY_MIN_US;
	tp->has_address_discovery = true;
	tp->address_discovery = q->cfg.is_server ? QB_ADDRESS_TELL : QB_ADDRESS_WANT;
	tp->has_rx_timestamps = true;
	tp->rx_timestamps_max = QB_RX_TIMESTAMPS;
	tp->cid_limit = QB_CIDS_REMOTE;
	tp->reset_stream_at = true;
	tp->grease_quic_bit = q->cfg.is_quic_bit_greased;
	tp->disable_active_migration = q->cfg.is_migration_refused;
	tp->max_datagram_frame_bytes = 65535;
	for (i = 0; i < QB_MP_DIALECT_CNT && q->cfg.max_path_id != UINT32_MAX; i++) {
		tp->has_max_path_id[i] = q->cfg.mp_dialects ? q->cfg.mp_dialects >> i & 1 : i == QB_MP_RFC;
		if (tp->has_max_path_id[i])
			tp->max_path_id[i] = QB_MIN(q->cfg.max_path_id, (uint32_t)QB_PATH_IDS - 1);
	}
}

/* build_params encodes our parameters for this connection. Returns their length. */
static size_t build_params(struct qb_conn *c, uint8_t bytes[QB_TP_BYTES_MAX])
{
	const struct qb_quic *q = c->q;
	struct qb_wr w = qb_wr_init(bytes, QB_TP_BYTES_MAX);
	struct qb_tparams tp;

	qb_conn_our_params(q, &tp);
	tp.has_initial_scid = true;
	tp.initial_scid = c->hs.local_scid;
	tp.has_version_info = true;
	qb_version_set_info(c, &tp.version_info);
	if (c->is_server) {
		tp.has_original_dcid = true;
		tp.original_dcid = c->hs.odcid;
		tp.has_retry_scid = c->hs.has_retry;
		tp.retry_scid = c->hs.retry_scid;
		tp.has_reset_token = true;
		qb_reset_token(&q->cfg.reset_secret, c->hs.local_scid.id, c->hs.local_scid.len,
			       tp.reset_token);
		qb_preferred_fill(c, &tp);
	}
	qb_tparams_build(&w, &tp, !c->is_server, qb_drbg_u64(&c->q->rnd));
	QB_BUG_ON(w.bad);
	qb_trace_params(c, true, &tp, q->now_ns);
	return QB_TP_BYTES_MAX - qb_wr_room(&w);
}

static int make_initial_keys(struct qb_conn *c)
{
	const struct qb_cid *dcid = &c->hs.initial_dcid;

	return qb_keys_new_initial(c->version, dcid->id, dcid->len, c->is_server,
				   &c->keys.rx[QB_LEVEL_INITIAL], &c->keys.tx[QB_LEVEL_INITIAL]);
}

int qb_handshake_begin(struct qb_conn *c, const char *server_name, const struct qb_session *resume, uint64_t now_ns)
{
	enum { DCID_LEN = 16 };
	struct qb_remote_cid *rc = &c->mp.pid[0].remote.slot[0];
	struct qb_handshake *hs = &c->hs;
	uint8_t bytes[QB_TP_BYTES_MAX];
	struct qb_tls *old = c->tls;
	size_t len;

	hs->odcid.len = DCID_LEN;
	qb_drbg_bytes(&c->q->rnd, hs->odcid.id, DCID_LEN);
	hs->initial_dcid = hs->odcid;
	hs->is_peer_validating = true;
	hs->probe_base_ns = now_ns;
	/* Until the server has chosen its own, packets go to an ID that we made up (RFC 9000 §7.2). */
	rc->cid = hs->odcid;
	rc->is_present = true;
	hs->token_len = (uint16_t)qb_tokens_take(
		&c->q->tokens_kept, qb_conn_token_key(c, &c->path[0].tuple.local), c->version, c->retry_token);
	if (!old)
		qb_trace_started(c, false, now_ns);
	len = build_params(c, bytes);
	c->tls = old ? qb_tls_new_like(old, c->version, bytes, len)
		     : qb_tls_new(c->q->cfg.tls, c->version, bytes, len, server_name);
	qb_tls_free(old);
	if (!c->tls || make_initial_keys(c) < 0)
		return -ENOMEM;
	/* What is no session after all costs a round trip, and nothing else. */
	if (resume)
		(void)!qb_early_resume(c, resume);
	qb_handshake_advance(c, now_ns);
	return 0;
}

int qb_handshake_accept(struct qb_conn *c)
{
	qb_preferred_offer(c);
	c->tls = qb_tls_new(c->q->cfg.tls, c->version, NULL, 0, NULL);
	return c->tls && make_initial_keys(c) == 0 ? 0 : -ENOMEM;
}

/* ---- the peer's parameters ---- */

static bool cid_matches(bool has, const struct qb_cid *got, const struct qb_cid *seen)
{
	return has && qb_cid_eq(got, seen);
}

/* check_ids compares the connection IDs with those that were seen (RFC 9000 §7.3). */
static const char *check_ids(const struct qb_conn *c, const struct qb_tparams *tp)
{
	const struct qb_handshake *hs = &c->hs;

	if (!cid_matches(tp->has_initial_scid, &tp->initial_scid, &hs->peer_scid))
		return "initial_source_connection_id does not match";
	if (c->is_server)
		return NULL;
	if (!cid_matches(tp->has_original_dcid, &tp->original_dcid, &hs->odcid))
		return "original_destination_connection_id does not match";
	if (tp->has_retry_scid != hs->has_retry ||
	    (hs->has_retry && !qb_cid_eq(&tp->retry_scid, &hs->retry_scid)))
		return "retry_source_connection_id does not match";
	return NULL;
}

static int take_preferred_addr(struct qb_conn *c, const struct qb_tparams *tp, struct qb_fault *fault)
{
	/* Its connection ID is valid whether we go there or not. */
	struct qb_frame_new_cid f = {
		.seq = 1,
		.cid = tp->preferred_addr.cid,
		.reset_token = tp->preferred_addr.reset_token,
	};

	return tp->has_preferred_addr ? qb_remote_cids_add(&c->mp.pid[0].remote, &f, fault) : 0;
}

static void apply_params(struct qb_conn *c)
{
	const struct qb_tparams *tp = &c->peer;
	uint64_t peer_idle_ns = QB_MIN(tp->max_idle_timeout_ms, UINT64_C(1) << 40) * QB_NS_PER_MS;
	struct qb_remote_cid *rc = qb_remote_cids_current(&c->mp.pid[0].remote);

	if (!c->idle_timeout_ns || (peer_idle_ns && peer_idle_ns < c->idle_timeout_ns))
		c->idle_timeout_ns = peer_idle_ns;
	qb_mtu_lower_max(&c->path[0].mtu, tp->max_udp_payload_bytes);
	qb_ack_freq_on_params(c);
	c->is_greasing = tp->grease_quic_bit && c->q->cfg.is_quic_bit_greased;
	if (rc && tp->has_reset_token) {
		memcpy(rc->token, tp->reset_token, sizeof(rc->token));
		rc->has_token = true;
		qb_multipath_sync_reset(c, &c->mp.pid[0]);
	}
}

static int take_params(struct qb_conn *c, uint64_t now_ns)
{
	struct qb_fault fault = {.code = QB_QUIC_TRANSPORT_PARAMETER_ERROR};
	const uint8_t *bytes;
	size_t len = qb_tls_peer_params(c->tls, &bytes);

	if (c->hs.is_params_ok || !len)
		return 0;
	if (qb_tparams_parse(&c->peer, bytes, len, c->is_server, &fault) < 0)
		return qb_conn_fail(c, fault.code, 0, fault.why, now_ns);
	fault.why = check_ids(c, &c->peer);
	if (fault.why)
		return qb_conn_fail(c, fault.code, 0, fault.why, now_ns);
	fault.why = qb_version_check(c);
	if (fault.why)
		return qb_conn_fail(c, QB_QUIC_VERSION_NEGOTIATION_ERROR, 0, fault.why, now_ns);
	if (qb_multipath_is_offered(&c->peer) && c->hs.peer_scid.len == 0)
		return qb_conn_fail(c, QB_QUIC_PROTOCOL_VIOLATION, 0,
				    "multipath without connection IDs", now_ns);
	if (c->peer.has_preferred_addr && c->hs.peer_scid.len == 0)
		return qb_conn_fail(c, fault.code, 0, "preferred_address without connection IDs", now_ns);
	if (qb_early_check_params(c, now_ns) < 0)
		return -EPROTO;
	if (take_preferred_addr(c, &c->peer, &fault) < 0)
		return qb_conn_fail(c, fault.code, 0, fault.why, now_ns);
	c->hs.is_params_ok = true;
	qb_trace_params(c, false, &c->peer, now_ns);
	apply_params(c);
	return 0;
}

/* ---- progress ---- */

static void take_key(struct qb_conn *c, struct qb_keys **slot, enum qb_level level, bool is_tx, uint64_t now_ns)
{
	if (*slot)
		return;
	*slot = qb_tls_take_keys(c->tls, level, is_tx);
	if (*slot)
		qb_trace_key(c, QB_TRACE_KEY_UPDATED, level, is_tx, 0, "tls", now_ns);
}

static int take_keys(struct qb_conn *c, uint64_t now_ns)
{
	static const enum qb_level levels[] = {QB_LEVEL_HANDSHAKE, QB_LEVEL_APP};
	struct qb_keyring *k = &c->keys;
	size_t i;

	if (c->is_server && c->q->cfg.is_early)
		take_key(c, &k->rx[QB_LEVEL_EARLY], QB_LEVEL_EARLY, false, now_ns);
	for (i = 0; i < QB_ARRAY_LEN(levels); i++) {
		enum qb_level level = levels[i];

		take_key(c, &k->tx[level], level, true, now_ns);
		take_key(c, &k->rx[level], level, false, now_ns);
	}
	if (k->rx[QB_LEVEL_APP] && !k->rx_next && qb_keyring_install_app(k) < 0)
		return qb_conn_fail(c, QB_QUIC_INTERNAL_ERROR, 0, "out of memory", now_ns);
	return 0;
}

static int complete(struct qb_conn *c, uint64_t now_ns)
{
	/* TLS takes care that the extension is there (RFC 9001 §8.2), not that anything is in it. */
	if (!c->hs.is_params_ok)
		return qb_conn_fail(c, QB_QUIC_TRANSPORT_PARAMETER_ERROR, 0, "no transport parameters", now_ns);
	if (!c->keys.rx_next || !c->keys.tx[QB_LEVEL_APP])
		return qb_conn_fail(c, QB_QUIC_INTERNAL_ERROR, 0, "handshake incomplete", now_ns);
	qb_early_on_complete(c, now_ns);
	c->state = QB_CONN_ESTABLISHED;
	qb_half_open_remove(&c->q->half_opens, &c->half_open);
	qb_count(c->q->cfg.counters, QB_CNT_HANDSHAKES);
	qb_streams_set_peer_params(&c->streams, &c->peer);
	qb_multipath_on_params(c);
	c->keys.phase_ns = now_ns;
	/* A key update must not come before a packet of this phase was acknowledged. */
	c->keys.is_update_unacked = true;
	c->was_announced = true;
	qb_conn_queue_event(c, QB_EVBIT_READY);
	qb_trace_state(c, "handshake_complete", now_ns);
	if (c->is_server) {
		c->hs.done_tx = QB_TX_DUE;
		qb_handshake_confirm(c, now_ns);
	}
	return 0;
}

/* on_hello (server): the client has said everything that our parameters depend on. Returns -EPROTO on failure. */
static int on_hello(struct qb_conn *c, uint64_t now_ns)
{
	uint8_t bytes[QB_TP_BYTES_MAX];
	size_t len;

	if (take_params(c, now_ns) < 0)
		return -EPROTO;
	if (!c->hs.is_params_ok)
		return qb_conn_fail(c, QB_QUIC_TRANSPORT_PARAMETER_ERROR, 0, "no transport parameters", now_ns);
	if (qb_version_negotiate(c) < 0 || qb_early_set_context(c) < 0)
		return qb_conn_fail(c, QB_QUIC_INTERNAL_ERROR, 0, "out of memory", now_ns);
	len = build_params(c, bytes);
	return qb_tls_set_params(c->tls, bytes, len);
}

/* advance_tls runs TLS, with a stop at the client's parameters. */
static int advance_tls(struct qb_conn *c, uint64_t now_ns)
{
	int rc = qb_tls_advance(c->tls);

	if (rc < 0 || !qb_tls_wants_params(c->tls))
		return rc;
	rc = on_hello(c, now_ns);
	return rc < 0 ? rc : qb_tls_advance(c->tls);
}

void qb_handshake_advance(struct qb_conn *c, uint64_t now_ns)
{
	const char *why = "";
	uint64_t code;

	if (advance_tls(c, now_ns) < 0) {
		if (!qb_conn_is_open(c))
			return;
		code = qb_crypto_error(c->tls, &why);
		if (code == QB_QUIC_CRYPTO_ERROR + ALERT_CERTIFICATE_UNKNOWN)
			qb_count(c->q->cfg.counters, QB_CNT_PEERS_REFUSED);
		/* Keys that were made before the alert carry it to the peer. */
		if (take_keys(c, now_ns) == 0)
			qb_conn_fail(c, code, QB_FRAME_CRYPTO, why, now_ns);
		return;
	}
	if (take_params(c, now_ns) < 0 || take_keys(c, now_ns) < 0)
		return;
	if (c->is_server)
		qb_early_accept(c);
	else
		qb_early_begin(c);
	if (c->state == QB_CONN_HANDSHAKE && qb_tls_is_complete(c->tls))
		complete(c, now_ns);
	if (qb_tls_has_session(c->tls))
		qb_conn_queue_event(c, QB_EVBIT_SESSION);
}

void qb_handshake_confirm(struct qb_conn *c, uint64_t now_ns)
{
	struct qb_path *p = &c->path[0];

	if (c->hs.is_confirmed)
		return;
	c->hs.is_confirmed = true;
	c->hs.is_peer_validating = false;
	qb_trace_state(c, "handshake_confirmed", now_ns);
	qb_handshake_discard(c, QB_LEVEL_INITIAL, now_ns);
	qb_handshake_discard(c, QB_LEVEL_HANDSHAKE, now_ns);
	if (p->phase == QB_PATH_VALIDATING) {
		p->phase = QB_PATH_OPEN;
		p->validated_ns = now_ns;
		p->was_validated = true;
		qb_trace_validated(c, p, now_ns);
		qb_mtu_start(&p->mtu, now_ns);
	}
	if (c->is_server)
		p->token_tx = QB_TX_DUE;
	qb_path_tell_observed(c, p);
	qb_preferred_probe(c, p, now_ns);
	qb_multipath_check_available(c);
	qb_conn_touch(c);
}

void qb_handshake_discard(struct qb_conn *c, enum qb_level level, uint64_t now_ns)
{
	struct qb_space *s = qb_conn_space(c, level, NULL);

	if (!c->keys.rx[level] && !c->keys.tx[level])
		return;
	qb_keyring_discard(&c->keys, level);
	qb_trace_key(c, QB_TRACE_KEY_DISCARDED, level, true, 0, "tls", now_ns);
	qb_trace_key(c, QB_TRACE_KEY_DISCARDED, level, false, 0, "tls", now_ns);
	qb_loss_forget(c, &c->path[0], s);
	qb_space_init(s, &c->q->sent_slab);
	qb_crypto_fini(&c->crypto[level]);
	qb_tls_drop(c->tls, level);
	c->path[0].pto_count = 0;
	c->hs.probe_base_ns = now_ns;
}
