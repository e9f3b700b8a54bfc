/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is remembered of links' capacities between connections and between runs, for a careful start (RFC 9959): a table of
 * fixed size, by a key that says which link in which network to whom. A node has one; the main thread brings those of all
 * workers together and keeps them in a file.
 */
#pragma once

#include "quic/quic.h"

enum {
	QB_KNOWN_WAYS = 4,
	QB_KNOWN_SETS = 512,
	QB_KNOWN_LINE_MAX = 96, /* bytes of text an entry */
	QB_KNOWN_TEXT_MAX = (QB_KNOWN_SETS * QB_KNOWN_WAYS + 2) * QB_KNOWN_LINE_MAX,
};

/* A link may be another one a day later. */
#define QB_KNOWN_LIFE_NS (24 * 3600 * QB_NS_PER_SEC)

struct qb_known_entry {
	uint64_t key; /* 0: free */
	struct qb_known what;
	uint64_t at_ns; /* when it was measured, on the wall clock */
};

struct qb_known_table {
	uint64_t wall_ns; /* add it to now_ns for the wall clock's time; 0 without a main thread */
	struct qb_known_entry slot[QB_KNOWN_SETS][QB_KNOWN_WAYS];
};

/* qb_known_put remembers; the oldest entry makes room. */
void qb_known_put(struct qb_known_table *t, uint64_t key, const struct qb_known *what, uint64_t now_ns);
/* qb_known_get: false where nothing is known, or it is too old. */
bool qb_known_get(const struct qb_known_table *t, uint64_t key, uint64_t now_ns, struct qb_known *out);
/* qb_known_merge takes over what is newer in another table. Returns how many entries. */
uint32_t qb_known_merge(struct qb_known_table *t, const struct qb_known_table *from);
/* qb_known_forget removes what is known by a key; 0: everything. Returns how many entries. */
uint32_t qb_known_forget(struct qb_known_table *t, uint64_t key);
/* qb_known_at goes through the table: entries 0 to QB_KNOWN_SETS * QB_KNOWN_WAYS - 1; NULL: nothing is there. */
const struct qb_known_entry *qb_known_at(const struct qb_known_table *t, uint32_t idx);
/* qb_known_key joins what a link's knowledge depends on. */
uint64_t qb_known_key(uint64_t network, const struct qb_addr *addr, const uint8_t peer_key[QB_PUBKEY_LEN]);

/* qb_known_format writes the table as text of at most QB_KNOWN_TEXT_MAX bytes; returns its length. */
size_t qb_known_format(const struct qb_known_table *t, char *text);
/*
 * qb_known_parse reads such a text into a table. Returns how many entries, or -EBADMSG for what is not whole: then nothing of
 * it is taken.
 */
int qb_known_parse(struct qb_known_table *t, const char *text, size_t len);
