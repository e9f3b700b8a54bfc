/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CRYPTO stream of one encryption level (RFC 9000 §7.5). What we send lies in TLS's own buffer and is never
 * copied; what arrives out of order waits in chunks, at most QB_CRYPTO_WINDOW bytes ahead.
 */
#pragma once

#include "quic/chunks.h"
#include "tls/tls.h"
#include "wire/frame.h"

enum {
	QB_CRYPTO_WINDOW = 16 * 1024,
	QB_CRYPTO_TOTAL_MAX = 128 * 1024, /* one level, one connection: no flood */
};

struct qb_crypto {
	struct qb_chunk_buf rx;
	uint64_t tx_off;		    /* sent up to here */
	uint64_t lost_off, lost_end;	    /* to be sent again; empty when equal */
};

void qb_crypto_init(struct qb_crypto *c, struct qb_chunk_store *store);
void qb_crypto_fini(struct qb_crypto *c);
/* qb_crypto_error is the error that TLS has ended with, as QUIC has it (RFC 9001 §4.8); why: in words. */
uint64_t qb_crypto_error(const struct qb_tls *tls, const char **why);
/*
 * qb_crypto_on_frame takes a CRYPTO frame and gives TLS what is in order. Returns 1 when TLS got something (advance
 * it), 0, -EBADMSG with *fault, -ENOBUFS (do not acknowledge the packet).
 */
int qb_crypto_on_frame(struct qb_crypto *c, struct qb_tls *tls, enum qb_level level, uint64_t off,
		       struct qb_bytes data, struct qb_fault *fault) QB_MUST_CHECK;
bool qb_crypto_has_data(const struct qb_crypto *c, const struct qb_tls *tls, enum qb_level level);
/* qb_crypto_write appends one CRYPTO frame of what is due. Returns its bytes and offset; 0: did not fit. */
size_t qb_crypto_write(struct qb_crypto *c, const struct qb_tls *tls, enum qb_level level,
		       struct qb_wr *w, uint64_t *off);
void qb_crypto_on_lost(struct qb_crypto *c, uint64_t off, uint64_t len);
