/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client's session as bytes: the version of QUIC, the server's transport parameters that 0-RTT
 * may rely on (RFC 9000 §7.4.1), and the TLS session. Its reader takes what a file held, so it
 * trusts nothing.
 */
#pragma once

#include "quic/quic.h"
#include "wire/tparam.h"

struct qb_session {
	uint32_t version;
	uint64_t rtt_ns; /* 0: not known */
	struct qb_tparams params; /* those that are remembered; defaults for all others */
	struct qb_bytes tls;
};

/* qb_session_build returns the length; out has QB_SESSION_MAX bytes. */
size_t qb_session_build(const struct qb_session *s, uint8_t *out);
/* qb_session_parse returns 0 or -EBADMSG. s->tls points into p. */
int qb_session_parse(struct qb_session *s, const uint8_t *p, size_t len) QB_MUST_CHECK;
/* qb_session_put_params writes the parameters that are remembered; they are what a server's tickets
 * for 0-RTT depend on, too. */
void qb_session_put_params(struct qb_wr *w, const struct qb_tparams *tp);
/* qb_session_lowered compares new parameters with remembered ones. NULL, or the name of a limit
 * that is lower now. */
const char *qb_session_lowered(const struct qb_tparams *was, const struct qb_tparams *now);
