/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys of a connection; conn_rx.c opens with them, conn_tx.c seals. */
#include "quic/keyring.h"

#include <errno.h>

static void replace(struct qb_keys **slot, struct qb_keys *keys)
{
	qb_keys_free(*slot);
	*slot = keys;
}

void qb_keyring_discard(struct qb_keyring *k, enum qb_level level)
{
	replace(&k->rx[level], NULL);
	replace(&k->tx[level], NULL);
	if (level == QB_LEVEL_INITIAL) {
		replace(&k->rx_other, NULL);
		replace(&k->tx_other, NULL);
	}
}

void qb_keyring_fini(struct qb_keyring *k)
{
	int level;

	for (level = 0; level < QB_LEVEL_CNT; level++)
		qb_keyring_discard(k, (enum qb_level)level);
	replace(&k->rx_prev, NULL);
	replace(&k->rx_next, NULL);
}

int qb_keyring_install_app(struct qb_keyring *k)
{
	replace(&k->rx_next, qb_keys_next(k->rx[QB_LEVEL_APP]));
	return k->rx_next ? 0 : -ENOMEM;
}

int qb_keyring_update(struct qb_keyring *k)
{
	struct qb_keys *tx = qb_keys_next(k->tx[QB_LEVEL_APP]);
	struct qb_keys *rx_next = qb_keys_next(k->rx_next);

	if (!tx || !rx_next) {
		qb_keys_free(tx);
		qb_keys_free(rx_next);
		return -ENOMEM;
	}
	replace(&k->tx[QB_LEVEL_APP], tx);
	replace(&k->rx_prev, k->rx[QB_LEVEL_APP]);
	k->rx[QB_LEVEL_APP] = k->rx_next;
	k->rx_next = rx_next;
	k->rx_prev_until_ns = QB_NEVER_NS;
	k->phase = !k->phase;
	k->is_update_unacked = true;
	k->sealed_cnt = 0;
	k->update_cnt++;
	return 0;
}

bool qb_keyring_may_update(const struct qb_keyring *k, uint64_t pto_ns, uint64_t now_ns)
{
	return k->rx_next && !k->is_update_unacked && !k->rx_prev &&
	       now_ns >= k->acked_ns + 3 * pto_ns;
}

bool qb_keyring_wants_update(const struct qb_keyring *k, uint64_t max_pkts)
{
	uint64_t half = qb_suite_confidentiality_limit(qb_keys_suite(k->tx[QB_LEVEL_APP])) / 2;

	return k->sealed_cnt >= (max_pkts ? QB_MIN(max_pkts, half) : half);
}

bool qb_keyring_is_worn(const struct qb_keyring *k)
{
	enum qb_suite suite = qb_keys_suite(k->tx[QB_LEVEL_APP]);

	return k->sealed_cnt >= qb_suite_confidentiality_limit(suite) ||
	       k->failed_cnt >= qb_suite_integrity_limit(suite);
}
