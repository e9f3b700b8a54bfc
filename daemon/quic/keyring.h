/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection's packet protection keys by level, and the update of the 1-RTT ones (RFC 9001 §6). */
#pragma once

#include "tls/keys.h"

struct qb_keyring {
	struct qb_keys *rx[QB_LEVEL_CNT], *tx[QB_LEVEL_CNT];
	/* Initial, of the other version while a handshake may still change it (version.c). */
	struct qb_keys *rx_other, *tx_other;
	/* 1-RTT: the phases before and after the current one. The next is derived ahead, so that opening a
	 * packet takes the same time whether or not it begins a new phase. */
	struct qb_keys *rx_prev, *rx_next;
	uint64_t rx_prev_until_ns; /* QB_NEVER_NS: until a packet of the current phase arrived */
	bool phase;
	bool is_update_unacked;	   /* no packet of the current phase has been acknowledged yet */
	uint64_t phase_ns;	   /* when the current phase began */
	uint64_t acked_ns;	   /* when the first one was */
	uint64_t sealed_cnt;	   /* with the current 1-RTT key, all paths together */
	uint64_t failed_cnt;	   /* packets that did not open, all keys */
	uint64_t update_cnt;
};

void qb_keyring_fini(struct qb_keyring *k);
/* qb_keyring_discard forgets a level. */
void qb_keyring_discard(struct qb_keyring *k, enum qb_level level);
/* qb_keyring_install_app finishes the set of 1-RTT keys. -ENOMEM. */
int qb_keyring_install_app(struct qb_keyring *k) QB_MUST_CHECK;
/* qb_keyring_update moves both directions to the next phase. -ENOMEM. */
int qb_keyring_update(struct qb_keyring *k) QB_MUST_CHECK;
/* qb_keyring_may_update: the last update is settled for three PTOs (RFC 9001 §6.5). */
bool qb_keyring_may_update(const struct qb_keyring *k, uint64_t pto_ns, uint64_t now_ns);
/* qb_keyring_wants_update: the key has sealed so many packets (0: any number), or half of what it may at all. */
bool qb_keyring_wants_update(const struct qb_keyring *k, uint64_t max_pkts);
/* qb_keyring_is_worn: nothing more may be sealed, or too much failed to open (RFC 9001 §6.6). */
bool qb_keyring_is_worn(const struct qb_keyring *k);
