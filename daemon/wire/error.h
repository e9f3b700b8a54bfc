/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transport error codes (RFC 9000 §20.1, RFC 9368 §9.2, RFC 10069 §6) and the way in which parsers
 * and state machines tell that the peer broke the protocol.
 */
#pragma once

#include <errno.h>

#include "base/base.h"

enum qb_quic_error {
	QB_QUIC_NO_ERROR = 0x00,
	QB_QUIC_INTERNAL_ERROR = 0x01,
	QB_QUIC_CONNECTION_REFUSED = 0x02,
	QB_QUIC_FLOW_CONTROL_ERROR = 0x03,
	QB_QUIC_STREAM_LIMIT_ERROR = 0x04,
	QB_QUIC_STREAM_STATE_ERROR = 0x05,
	QB_QUIC_FINAL_SIZE_ERROR = 0x06,
	QB_QUIC_FRAME_ENCODING_ERROR = 0x07,
	QB_QUIC_TRANSPORT_PARAMETER_ERROR = 0x08,
	QB_QUIC_CONNECTION_ID_LIMIT_ERROR = 0x09,
	QB_QUIC_PROTOCOL_VIOLATION = 0x0a,
	QB_QUIC_INVALID_TOKEN = 0x0b,
	QB_QUIC_APPLICATION_ERROR = 0x0c,
	QB_QUIC_CRYPTO_BUFFER_EXCEEDED = 0x0d,
	QB_QUIC_KEY_UPDATE_ERROR = 0x0e,
	QB_QUIC_AEAD_LIMIT_REACHED = 0x0f,
	QB_QUIC_NO_VIABLE_PATH = 0x10,
	QB_QUIC_VERSION_NEGOTIATION_ERROR = 0x11,
	/* Multipath: reasons of PATH_ABANDON */
	QB_QUIC_APPLICATION_ABANDON_PATH = 0x3e,
	QB_QUIC_PATH_RESOURCE_LIMIT_REACHED = 0x3e75,
	QB_QUIC_PATH_UNSTABLE_OR_POOR = 0x3e76,
	QB_QUIC_NO_CID_AVAILABLE_FOR_PATH = 0x3e77,
	/* CRYPTO_ERROR: this plus the TLS alert */
	QB_QUIC_CRYPTO_ERROR = 0x0100,
	QB_QUIC_CRYPTO_ERROR_LAST = 0x01ff,
};

/* What the peer did wrong: the transport error code to close with, and words for the reason phrase.
 */
struct qb_fault {
	uint64_t code;
	const char *why; /* static text */
};

/* qb_fault_set fills in a fault and returns -EBADMSG, so that a parser can return it. */
static inline int qb_fault_set(struct qb_fault *fault, uint64_t code, const char *why)
{
	fault->code = code;
	fault->why = why;
	return -EBADMSG;
}

/* qb_quic_error_name returns "FLOW_CONTROL_ERROR" and so on; "CRYPTO_ERROR" for alerts, "UNKNOWN"
 * for others. */
const char *qb_quic_error_name(uint64_t code);

enum { QB_ERROR_TEXT_LEN = 64 };

/* qb_quic_error_format writes "PROTOCOL_VIOLATION (0xa)", an alert of TLS with its name, and returns text. */
const char *qb_quic_error_format(uint64_t code, char text[QB_ERROR_TEXT_LEN]);
