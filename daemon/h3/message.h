/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What requests and responses say (RFC 9114 §4.2-4.4, RFC 9220, RFC 9484 §4): checks a field
 * section, keeps what matters of it, and builds ours.
 */
#pragma once

#include "h3/h3.h"
#include "h3/priority.h"
#include "wire/varint.h"

enum qb_h3_kind {
	QB_H3_TUNNEL_RESPONSE, /* to CONNECT: a success has no content */
	QB_H3_REQUEST,
	QB_H3_RESPONSE, /* to a plain request */
	QB_H3_TRAILERS,
};

struct qb_h3_message {
	bool is_connect;    /* :method = CONNECT */
	bool is_get, is_head;
	bool has_protocol;  /* :protocol is there: extended CONNECT */
	bool is_connect_ip; /* :protocol = connect-ip */
	bool is_https;
	bool is_too_long; /* authority or path did not fit */
	uint16_t status;  /* responses; 0 in requests */
	uint64_t content_len; /* QB_H3_LEN_UNKNOWN: not said */
	char authority[QB_H3_FIELD_MAX], path[QB_H3_FIELD_MAX];
	struct qb_h3_priority priority; /* of a request */
	struct qb_h3_group group; /* id 0: not said, or not in a form that we know */
};

/*
 * qb_h3_message_parse reads a field section. Returns 0, -EBADMSG (malformed message:
 * H3_MESSAGE_ERROR), -E2BIG (larger than we announced), or -EPROTO (QPACK_DECOMPRESSION_FAILED).
 */
int qb_h3_message_parse(const uint8_t *section, size_t len, enum qb_h3_kind kind,
			struct qb_h3_message *out) QB_MUST_CHECK;

/* qb_h3_request_verdict is 200 for a CONNECT-IP request that we can serve, else the status that
 * refuses it. */
uint16_t qb_h3_request_verdict(const struct qb_h3_message *m);

/* The builders write HEADERS frames: of CONNECT-IP, and of plain messages. */
void qb_h3_build_request(struct qb_wr *w, const char *authority, const struct qb_h3_group *group);
void qb_h3_build_response(struct qb_wr *w, uint16_t status, const struct qb_h3_group *group);
void qb_h3_build_get(struct qb_wr *w, const char *authority, const char *path);
void qb_h3_build_reply(struct qb_wr *w, uint16_t status, uint64_t content_len);
/* qb_h3_is_path tells whether the text may be a :path: origin form, printable. */
bool qb_h3_is_path(const char *text);
/* qb_h3_is_authority tells whether the text may be an :authority (host and port, no user,
 * printable). */
bool qb_h3_is_authority(const char *text);
