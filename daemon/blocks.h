/* SPDX-License-Identifier: BSD-2-Clause */
/* The hub's block list: prefixes by file and by command, in order. What is in it the guard drops.
 */
#pragma once

#include "base/addr.h"

enum { QB_BLOCKS_MAX = 16384, QB_BLOCKS_BYTES = QB_BLOCKS_MAX * 26 };

struct qb_block {
	struct qb_prefix prefix;
	bool by_file, by_command;
	uint64_t until_s; /* by command: UNIX time; 0: for good */
};

struct qb_blocks {
	struct qb_block *list; /* owned; sorted by prefix */
	uint32_t cnt;
};

/* qb_blocks_add blocks by command. Returns 0, -EEXIST (as it is already), -ENOSPC or -ENOMEM. */
int qb_blocks_add(struct qb_blocks *b, const struct qb_prefix *p, uint64_t until_s) QB_MUST_CHECK;
/* qb_blocks_del takes back what a command did: 0, -ENOENT, or -EPERM where it is the file that
 * names it. */
int qb_blocks_del(struct qb_blocks *b, const struct qb_prefix *p) QB_MUST_CHECK;
/* qb_blocks_take_file has those of the file be these. Returns 0, -ENOSPC or -ENOMEM (then some of
 * them are missing). */
int qb_blocks_take_file(struct qb_blocks *b, const struct qb_prefix *p, uint32_t cnt) QB_MUST_CHECK;
bool qb_blocks_has(const struct qb_blocks *b, const struct qb_prefix *p);
/* qb_blocks_expire takes out those whose time is over. Returns whether there were any. */
bool qb_blocks_expire(struct qb_blocks *b, uint64_t now_s);
/* qb_blocks_save writes those by command (QB_BLOCKS_BYTES at most); qb_blocks_load adds them: 0, or
 * -errno for damaged bytes. */
size_t qb_blocks_save(const struct qb_blocks *b, uint8_t *out);
int qb_blocks_load(struct qb_blocks *b, const uint8_t *data, size_t len) QB_MUST_CHECK;
void qb_blocks_fini(struct qb_blocks *b);
