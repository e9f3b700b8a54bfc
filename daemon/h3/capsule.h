/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Capsules (RFC 9297 §3.2) of CONNECT-IP (RFC 9484 §4.7) and our own: an incremental parser that
 * checks every entry and keeps at most one entry's bytes, and the builders.
 *
 * The bond capsule, QB_CAPSULE_BOND, registers the one context ID beside 0 whose datagrams carry
 * the bond header:
 *
 *     Bond Capsule {
 *       Type (i) = 0x3ab0d1,
 *       Length (i),
 *       Version (i),
 *       Context ID (i),
 *       Extension (..),   for versions to come: ignored
 *     }
 *
 * The client offers a context ID (even, not 0) and the highest version that it speaks, the server
 * accepts with the same context ID and the version to use. Whoever does not know the capsule skips
 * it (RFC 9297 §3.2), and then nothing but context 0 is ever sent. The FEC capsule, 0x3ab0d2, is of the same form and
 * registers another context ID in the same way, after the bond's: that of packets that are protected and of what
 * protects them.
 *
 * The link capsule, 0x3ab0d3, says how the client wants one of its paths used on the way down; each replaces the one before
 * about the same path:
 *
 *     Link Capsule {
 *       Type (i) = 0x3ab0d3,
 *       Length (i),
 *       Path ID (i),
 *       Rate (i),     at most, in kbit/s of IP packets; 0: as much as it carries
 *       Weight (i),   50 to 1000, for schedulers that go by weights; 0: by its rate
 *       [Name Length (8),   0 to 31
 *        Name (..),         what the client calls the link: ASCII from 0x21 to 0x7e
 *        [Flags (i)]],      1: it is paid by volume
 *       Extension (..),
 *     }
 *
 * It is sent once the server has agreed to the bond capsule.
 */
#pragma once

#include "h3/h3.h"
#include "wire/varint.h"

enum qb_capsule_type {
	QB_CAPSULE_DATAGRAM = 0x00,
	QB_CAPSULE_ADDRESS_ASSIGN = 0x01,
	QB_CAPSULE_ADDRESS_REQUEST = 0x02,
	QB_CAPSULE_ROUTE_ADVERTISEMENT = 0x03,
	QB_CAPSULE_BOND = 0x3ab0d1,
	QB_CAPSULE_FEC = 0x3ab0d2,
	QB_CAPSULE_LINK = 0x3ab0d3,
};

enum { QB_CAPSULE_NUMBERS_MAX = 4, QB_CAPSULE_LINK_METERED = 1 };

/* Most bytes that a capsule of ours takes: the longest list of routes. */
enum { QB_CAPSULE_BYTES_MAX = 8 + QB_H3_ROUTES_MAX * 34 };

/* Where the entries of the capsule that is being read are kept. */
union qb_capsule_store {
	struct qb_h3_addr addrs[QB_H3_ADDRS_MAX];
	struct qb_h3_route routes[QB_H3_ROUTES_MAX];
	char name[QB_H3_LINK_NAME_LEN]; /* of a link; "": none was given */
};

struct qb_capsule_parser {
	uint64_t type, left; /* of the capsule that we are inside of */
	uint8_t buf[40];     /* its header, then one entry at a time */
	uint8_t buf_len;
	bool is_inside;
	/* what a complete capsule said */
	uint32_t entry_cnt; /* all of them; those that are kept: qb_capsule_kept_cnt */
	struct qb_h3_route last_route;
	uint64_t numbers[QB_CAPSULE_NUMBERS_MAX]; /* of a capsule of ours */
};

/*
 * qb_capsule_feed takes bytes off `in`. Returns 1 when it has just completed a capsule of a type
 * that carries something for the caller (p->type, entries in store), 0 when all input was taken,
 * -EBADMSG for a malformed capsule. Unknown capsules, and datagrams in capsules, are skipped.
 */
int qb_capsule_feed(struct qb_capsule_parser *p, union qb_capsule_store *store,
		    struct qb_rd *in) QB_MUST_CHECK;
/* qb_capsule_kept_cnt is the number of entries in the store. */
uint32_t qb_capsule_kept_cnt(const struct qb_capsule_parser *p);

/* qb_capsule_is_idle: not inside a capsule, so the stream may end here. */
static inline bool qb_capsule_is_idle(const struct qb_capsule_parser *p)
{
	return !p->is_inside && p->buf_len == 0;
}

/*
 * The builders set w->bad where something does not fit. They write what they are given:
 * qb_capsule_check tells whether a peer would take the len bytes for one valid capsule.
 */
void qb_capsule_build_addrs(struct qb_wr *w, bool is_request, const struct qb_h3_addr *addrs,
			    uint32_t cnt);
void qb_capsule_build_routes(struct qb_wr *w, const struct qb_h3_route *routes, uint32_t cnt);
/* qb_capsule_build_context: QB_CAPSULE_BOND or QB_CAPSULE_FEC */
void qb_capsule_build_context(struct qb_wr *w, enum qb_capsule_type type, uint64_t version, uint64_t context);
/* qb_capsule_build_link leaves a name out that has other characters, and the end of one that is too long. */
void qb_capsule_build_link(struct qb_wr *w, const struct qb_h3_link *link);
bool qb_capsule_check(const uint8_t *capsule, size_t len);
