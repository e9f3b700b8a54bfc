/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A link is two directions, each an engine, with the text that changes them (settings, scripts) and
 * the JSON that tells how they are. Shared by quicbond-netem's backends and its control socket; no
 * descriptors here.
 */
#pragma once

#include "tools/netem_params.h"

enum { QB_NETEM_STEPS_MAX = 64 };

/* Drops that happen outside of the engine. */
enum qb_netem_io_drop {
	QB_NETEM_IO_SOCKET, /* the receive socket overflowed: this process was too slow */
	QB_NETEM_IO_SEND,   /* the kernel did not take it */
	QB_NETEM_IO_BAD,    /* longer than a frame, or a super-packet that cannot be cut */
	QB_NETEM_IO_CNT
};

struct qb_netem_step {
	uint64_t at_ns; /* after the start */
	char *text;
};

struct qb_netem_link {
	struct qb_netem dir[2]; /* ab, ba */
	uint64_t io_drops[2][QB_NETEM_IO_CNT];
	uint64_t start_ns;
	struct qb_netem_step steps[QB_NETEM_STEPS_MAX];
	uint32_t step_cnt, step_idx;
	char *script;
};

/* qb_netem_link_init: mem[i] holds an engine for cap packets; l2_bytes are in front of each IP
 * packet. */
void qb_netem_link_init(struct qb_netem_link *l, void *const mem[2], uint32_t cap, uint64_t seed,
			uint32_t l2_bytes, uint64_t now_ns);
void qb_netem_link_fini(struct qb_netem_link *l);

/*
 * qb_netem_link_set applies words like "ab.rate=1M ba.loss=50 down=1" (up. and down. are other
 * names for ab. and ba.; both. may be left out), all of them or none. Returns 0 or -EINVAL with why
 * in err.
 */
int qb_netem_link_set(struct qb_netem_link *l, const char *text, uint64_t now_ns,
		      char err[QB_NETEM_ERR_LEN]) QB_MUST_CHECK;
/* qb_netem_link_script takes "10s both.down=1; 12s both.down=0". Returns 0 or -EINVAL with why in
 * err. */
int qb_netem_link_script(struct qb_netem_link *l, const char *text,
			 char err[QB_NETEM_ERR_LEN]) QB_MUST_CHECK;
/* qb_netem_link_run does the steps that are due. */
void qb_netem_link_run(struct qb_netem_link *l, uint64_t now_ns);
/* qb_netem_link_deadline_ns: of both directions and the script. */
uint64_t qb_netem_link_deadline_ns(const struct qb_netem_link *l);
/* qb_netem_link_json writes one line; room 8 kB. Returns its length. */
size_t qb_netem_link_json(const struct qb_netem_link *l, uint64_t now_ns, char *out, size_t room);
