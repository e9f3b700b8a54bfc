/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What strangers may make a server hold: connections whose handshake is not complete, counted and
 * weighed in all and by the prefix that they come from. A connection is on these books from its
 * first Initial until its handshake completes or it is freed, whichever way that comes about. At a
 * limit the oldest of the source that has most goes; established connections have no place here and
 * never do. Pure bookkeeping: accept.c decides and frees.
 */
#pragma once

#include "base/addr.h"
#include "base/hash.h"
#include "base/slab.h"

enum {
	QB_HALF_OPEN_SOURCE_MAX = 16, /* connections of one source, or an eighth of all */
	QB_HALF_OPEN_RETRY = 8,	      /* so many of a source: the next has to prove its address */
	QB_HALF_OPEN_BUCKETS = 256,
};

#define QB_HALF_OPEN_BYTES	  (UINT64_C(64) << 20) /* in all */
#define QB_HALF_OPEN_SOURCE_BYTES (UINT64_C(5) << 19)

/* One IPv4 address or IPv6 /56, as long as it has connections. */
struct qb_half_source {
	uint8_t prefix[16];
	uint8_t family;
	uint32_t cnt;
	uint64_t bytes;
	struct qb_half_open *oldest, *newest;
	struct qb_half_source *bucket_next;
	struct qb_half_source *next, *prev; /* all of them */
};

/* A connection's entry; embedded in it. */
struct qb_half_open {
	struct qb_half_source *source; /* NULL: not on the books */
	struct qb_half_open *newer, *older;
	uint64_t bytes;
};

struct qb_half_opens {
	struct qb_slab slab; /* of sources */
	struct qb_hash_key key;
	struct qb_half_source *bucket[QB_HALF_OPEN_BUCKETS];
	struct qb_half_source *sources;
	uint32_t cnt, cap,
		source_cap; /* connections; how many there may be, in all and of one source */
	uint64_t bytes;
};

/* qb_half_opens_footprint is the memory for cap connections, each from another source. */
size_t qb_half_opens_footprint(uint32_t cap);
void qb_half_opens_init(struct qb_half_opens *h, void *mem, uint32_t cap,
			const struct qb_hash_key *key);
/* qb_half_open_cnt_of is how many connections the source of an address has. */
uint32_t qb_half_open_cnt_of(const struct qb_half_opens *h, const struct qb_addr *peer);
/*
 * qb_half_open_victim is the connection that has to go before another of this source comes, or
 * NULL: there is room. peer NULL: before anybody else comes.
 */
struct qb_half_open *qb_half_open_victim(const struct qb_half_opens *h, const struct qb_addr *peer);
/* qb_half_open_oldest is the oldest of the source that has most; NULL: there are none. */
struct qb_half_open *qb_half_open_oldest(const struct qb_half_opens *h);
/* qb_half_open_add enters a connection that weighs so many bytes; the caller made room for it. */
void qb_half_open_add(struct qb_half_opens *h, struct qb_half_open *e, const struct qb_addr *peer,
		      uint64_t bytes);
/* qb_half_open_weigh: it weighs this much by now. Returns who has to go for it (perhaps itself), or
 * NULL. */
struct qb_half_open *qb_half_open_weigh(struct qb_half_opens *h, struct qb_half_open *e,
					uint64_t bytes);
/* qb_half_open_remove takes a connection off the books, if it is on them. */
void qb_half_open_remove(struct qb_half_opens *h, struct qb_half_open *e);
