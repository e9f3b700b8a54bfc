/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Versions: which are spoken, the change from v1 to v2 inside a handshake (RFC 9369 §4.1), the
 * second attempt after a Version Negotiation packet, and what shows that nobody meddled with either
 * (RFC 9368 §4).
 */
#include "quic/conn.h"

#include <errno.h>

void qb_version_init(struct qb_quic_cfg *cfg)
{
	if (!cfg->versions[0]) {
		cfg->versions[0] = QB_QUIC_V1;
		cfg->versions[1] = QB_QUIC_V2;
	}
	if (!qb_version_is_ours(cfg, cfg->version_first))
		cfg->version_first =
			qb_version_is_ours(cfg, QB_QUIC_V1) ? QB_QUIC_V1 : cfg->versions[0];
}

bool qb_version_is_ours(const struct qb_quic_cfg *cfg, uint32_t version)
{
	uint32_t i;

	for (i = 0; i < QB_VERSIONS_MAX && cfg->versions[i]; i++) {
		if (cfg->versions[i] == version)
			return true;
	}
	return false;
}

/* select is our favourite among those that the other side has; 0: none. Also any that is known to
 * work. */
static uint32_t select(const struct qb_quic_cfg *cfg, const uint32_t *theirs, size_t cnt,
		       uint32_t also)
{
	size_t i, j;

	for (i = 0; i < QB_VERSIONS_MAX && cfg->versions[i]; i++) {
		if (cfg->versions[i] == also)
			return also;
		for (j = 0; j < cnt; j++) {
			if (cfg->versions[i] == theirs[j])
				return theirs[j];
		}
	}
	return 0;
}

void qb_version_set_info(const struct qb_conn *c, struct qb_version_info *vi)
{
	const struct qb_quic_cfg *cfg = &c->q->cfg;
	uint32_t i;

	vi->chosen = c->version;
	vi->available_cnt = 0;
	for (i = 0; i < QB_VERSIONS_MAX && cfg->versions[i]; i++)
		vi->available[vi->available_cnt++] = cfg->versions[i];
}

/* ---- server ---- */

/* A first flight of v1 can be read as one of v2; we never go back. */
static uint32_t choose(const struct qb_conn *c)
{
	const struct qb_version_info *vi = &c->peer.version_info;
	uint32_t best;

	if (!c->peer.has_version_info || c->version != QB_QUIC_V1)
		return c->version;
	best = select(&c->q->cfg, vi->available, vi->available_cnt, c->version);
	return best == QB_QUIC_V2 ? best : c->version;
}

int qb_version_negotiate(struct qb_conn *c)
{
	struct qb_keyring *k = &c->keys;
	struct qb_keys *rx, *tx;
	uint32_t version = choose(c);

	if (version == c->version)
		return 0;
	if (qb_keys_new_initial(version, c->hs.initial_dcid.id, c->hs.initial_dcid.len, true, &rx,
				&tx) < 0)
		return -ENOMEM;
	/* The client goes on in the old version until it has heard us. */
	k->rx_other = k->rx[QB_LEVEL_INITIAL];
	k->rx[QB_LEVEL_INITIAL] = rx;
	qb_keys_free(k->tx[QB_LEVEL_INITIAL]);
	k->tx[QB_LEVEL_INITIAL] = tx;
	c->version = version;
	qb_tls_set_version(c->tls, version);
	return 0;
}

/* ---- client ---- */

static bool may_switch(const struct qb_conn *c, uint32_t version)
{
	return !c->is_server && !c->hs.is_version_fixed && c->version == QB_QUIC_V1 &&
	       version == QB_QUIC_V2 && qb_version_is_ours(&c->q->cfg, version) &&
	       c->keys.tx[QB_LEVEL_INITIAL];
}

struct qb_keys *qb_version_other_keys(struct qb_conn *c, uint32_t version)
{
	struct qb_keyring *k = &c->keys;

	if (c->is_server)
		return version == c->hs.first_version ? k->rx_other : NULL;
	if (!may_switch(c, version))
		return NULL;
	if (!k->rx_other &&
	    qb_keys_new_initial(version, c->hs.initial_dcid.id, c->hs.initial_dcid.len, false,
				&k->rx_other, &k->tx_other) < 0)
		return NULL;
	return k->rx_other;
}

void qb_version_switch(struct qb_conn *c, uint32_t version)
{
	struct qb_keyring *k = &c->keys;
	struct qb_keys *rx = k->rx_other, *tx = k->tx_other;

	if (c->is_server || version == c->version)
		return;
	k->rx_other = k->tx_other = NULL;
	qb_keyring_discard(k, QB_LEVEL_INITIAL);
	k->rx[QB_LEVEL_INITIAL] = rx;
	k->tx[QB_LEVEL_INITIAL] = tx;
	c->version = version;
	c->hs.is_version_fixed = true;
	/* Nothing is sent in 0-RTT in a version that the server chose (RFC 9369 §4.1). */
	qb_early_discard(c, c->q->now_ns);
	qb_tls_set_version(c->tls, version);
}

/* again begins from nothing, as if this were the first attempt. */
static int again(struct qb_conn *c, uint32_t version, uint64_t now_ns)
{
	c->hs.has_vn = true;
	c->version = c->hs.first_version = version;
	qb_keyring_discard(&c->keys, QB_LEVEL_INITIAL);
	qb_loss_forget(c, &c->path[0], &c->hs_space[0]);
	qb_space_init(&c->hs_space[0], &c->q->sent_slab);
	qb_crypto_fini(&c->crypto[QB_LEVEL_INITIAL]);
	qb_crypto_init(&c->crypto[QB_LEVEL_INITIAL], &c->q->chunks);
	c->path[0].pto_count = 0;
	/* A session is for the version that failed. */
	qb_early_stop(c);
	return qb_handshake_begin(c, NULL, NULL, now_ns);
}

static void tell_vn(const struct qb_conn *c, const struct qb_hdr *h, uint64_t now_ns)
{
	uint32_t versions[64], cnt = (uint32_t)QB_MIN(qb_vn_cnt(h), QB_ARRAY_LEN(versions));

	for (uint32_t i = 0; i < cnt; i++)
		versions[i] = qb_vn_version(h, i);
	qb_trace_bare(c, QB_PKT_VERSION_NEGOTIATION, versions, cnt, now_ns);
}

void qb_version_on_vn(struct qb_conn *c, const struct qb_hdr *h, uint64_t now_ns)
{
	uint32_t theirs[32], cnt = 0, version;
	size_t i;

	qb_count(c->q->cfg.counters, QB_CNT_DROP_RETRY);
	if (c->is_server || c->hs.has_vn || c->hs.has_peer_scid || c->hs.has_retry ||
	    !qb_cid_is(&c->hs.initial_dcid, h->scid))
		return;
	for (i = 0; i < qb_vn_cnt(h); i++) {
		/* A server that has our version does not ask for another: forged, or old. */
		if (qb_vn_version(h, i) == c->version)
			return;
		if (qb_version_is_ours(&c->q->cfg, qb_vn_version(h, i)) &&
		    cnt < QB_ARRAY_LEN(theirs))
			theirs[cnt++] = qb_vn_version(h, i);
	}
	tell_vn(c, h, now_ns);
	version = select(&c->q->cfg, theirs, cnt, 0);
	if (!version)
		qb_close_silently(c, QB_QUIC_VERSION_NEGOTIATION_ERROR,
				  "the server speaks other versions", now_ns);
	else if (again(c, version, now_ns) < 0)
		qb_close_silently(c, QB_QUIC_INTERNAL_ERROR, "out of memory", now_ns);
}

const char *qb_version_check(const struct qb_conn *c)
{
	const struct qb_version_info *vi = &c->peer.version_info;
	uint32_t only_v1 = QB_QUIC_V1;

	if (!c->peer.has_version_info) {
		/* Who says nothing has v1 and nothing else. */
		if (c->version != c->hs.first_version ||
		    (c->hs.has_vn && select(&c->q->cfg, &only_v1, 1, 0) != c->version))
			return "version_information is missing";
		return NULL;
	}
	if (vi->chosen != (c->is_server ? c->hs.first_version : c->version))
		return "the peer means another version";
	/* Knowing all that the server has, would we have tried the same one? */
	if (c->hs.has_vn &&
	    select(&c->q->cfg, vi->available, vi->available_cnt, c->version) != c->hs.first_version)
		return "version negotiation was tampered with";
	return NULL;
}
