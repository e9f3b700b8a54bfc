/* SPDX-License-Identifier: BSD-2-Clause */
/* The certificate walk that finds a peer's key, which a stranger can reach before anything is
 * proved. */
#include "tls/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t pub[QB_PUBKEY_LEN];

	if (qb_tls_cert_key(data, len, pub) == 0)
		QB_BUG_ON(len < QB_PUBKEY_LEN);
	return 0;
}
