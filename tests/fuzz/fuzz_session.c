/* SPDX-License-Identifier: BSD-2-Clause */
/* A client's session, as a file held it. What parses must survive a round trip. */
#include "quic/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t bytes[QB_SESSION_MAX], second[QB_SESSION_MAX];
	struct qb_session s, again;
	size_t n, m;

	if (qb_session_parse(&s, data, len) < 0)
		return 0;
	QB_BUG_ON(s.tls.p < data || s.tls.p + s.tls.len != data + len);
	n = qb_session_build(&s, bytes);
	QB_BUG_ON(!n || qb_session_parse(&again, bytes, n) < 0);
	QB_BUG_ON(qb_session_lowered(&s.params, &again.params) ||
		  qb_session_lowered(&again.params, &s.params));
	m = qb_session_build(&again, second);
	QB_BUG_ON(n != m || memcmp(bytes, second, n) != 0);
	return 0;
}
