/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server's session tickets (RFC 8446 §4.6.1): the keys that they are sealed with, and the memory
 * of those that were used. A ticket is good once; a second use, whoever's it is, costs a full
 * handshake.
 *
 * A replayed first flight (RFC 8446 §8) is stopped twice. Its ticket is in the memory of used ones;
 * and once it has left that memory, TLS finds the age that its client stated, which the replay
 * cannot change, to be off by more than a minute. Entries therefore may be overwritten after
 * QB_STRIKE_KEEP_S, and where a bucket holds only younger ones the ticket is ignored: the memory is
 * bounded, and fails towards one more round trip.
 *
 * Keys are random, change daily and are destroyed when their last ticket has expired, so that who
 * gets hold of them can read 0-RTT data of a week. One object serves all workers and outlives
 * reloads of the configuration.
 */
#pragma once

#include "base/base.h"

enum {
	QB_TICKET_LIFE_S = 7 * 24 * 3600, /* RFC 8446 §4.6.1: no longer than that */
	QB_TICKET_KEY_LIFE_S = 24 * 3600, /* a key seals for so long */
	QB_TICKET_KEYS = QB_TICKET_LIFE_S / QB_TICKET_KEY_LIFE_S + 2,
	QB_TICKET_KEYS_BYTES = 8 + QB_TICKET_KEYS * (8 + 8 + 32) + 32, /* saved */
	QB_STRIKE_KEEP_S = 180, /* twice the age difference that TLS forgives, and some */
	QB_STRIKE_WAYS = 8,
	QB_STRIKE_BUCKETS = 2048,
};

/* A ticket that was used; tag 0: none. */
struct qb_strike {
	uint64_t tag, used_s;
};

/* The memory of used tickets. Its owner may keep it in a mapped file, so that it outlives the
 * process. */
struct qb_strikes {
	struct qb_strike slot[QB_STRIKE_BUCKETS][QB_STRIKE_WAYS];
};

enum qb_strike_result {
	QB_STRIKE_NEW,
	QB_STRIKE_AGAIN, /* this one was used before */
	QB_STRIKE_FULL,	 /* not remembered: nothing may depend on its being used once */
};

/* qb_strikes_add remembers a ticket's use. */
enum qb_strike_result qb_strikes_add(struct qb_strikes *s, uint64_t tag, uint64_t now_s);

struct qb_tickets;

/* qb_tickets_new begins with a fresh key. strikes: borrowed; NULL: memory of its own. NULL when out
 * of memory. */
struct qb_tickets *qb_tickets_new(struct qb_strikes *strikes, uint64_t now_s);
/* qb_tickets_free wipes and frees; NULL is fine. */
void qb_tickets_free(struct qb_tickets *t);
/*
 * qb_tickets_load takes over the keys that qb_tickets_save wrote, as far as they are still good.
 * Returns 0, or -EBADMSG for bytes that are none; then nothing has changed.
 */
int qb_tickets_load(struct qb_tickets *t, const uint8_t *bytes, size_t len,
		    uint64_t now_s) QB_MUST_CHECK;
void qb_tickets_save(struct qb_tickets *t, uint8_t out[QB_TICKET_KEYS_BYTES]);
/* qb_tickets_rotate makes a new key when it is time, and forgets those whose tickets have expired.
 * True: save them. */
bool qb_tickets_rotate(struct qb_tickets *t, uint64_t now_s);
/*
 * qb_tickets_distrust: what was used before start_s may have been forgotten. Tickets from before it
 * are ignored until a replay of what they were used for is too old anyway.
 */
void qb_tickets_distrust(struct qb_tickets *t, uint64_t start_s);
