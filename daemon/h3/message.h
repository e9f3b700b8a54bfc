/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What requests and responses say (RFC 9114 §4.2-4.4, RFC 9220, RFC 9484 §4): checks a field
 * section, keeps what matters of it, and builds ours.
 */
#pragma once

#include "h3/h3.h"
#include "wire/varint.h"

struct qb_h3_message {
	bool is_connect;    /* :method = CONNECT */
	bool has_protocol;  /* :protocol is there: extended CONNECT */
	bool is_connect_ip; /* :protocol = connect-ip */
	bool is_https;
	bool is_too_long; /* authority or path did not fit */
	uint16_t status;  /* responses; 0 in requests */
	char authority[QB_H3_FIELD_MAX], path[QB_H3_FIELD_MAX];
};

/*
 * qb_h3_message_parse reads a field section. Returns 0, -EBADMSG (malformed message:
 * H3_MESSAGE_ERROR), -E2BIG (larger than we announced), or -EPROTO (QPACK_DECOMPRESSION_FAILED).
 */
int qb_h3_message_parse(const uint8_t *section, size_t len, bool is_request,
			struct qb_h3_message *out) QB_MUST_CHECK;

/* qb_h3_request_verdict is 200 for a CONNECT-IP request that we can serve, else the status that
 * refuses it. */
uint16_t qb_h3_request_verdict(const struct qb_h3_message *m);

/* The builders write HEADERS frames. */
void qb_h3_build_request(struct qb_wr *w, const char *authority);
void qb_h3_build_response(struct qb_wr *w, uint16_t status);
/* qb_h3_is_authority tells whether the text may be an :authority (host and port, no user,
 * printable). */
bool qb_h3_is_authority(const char *text);
