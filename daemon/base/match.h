/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words that conf/ reads and bond/ heeds: which inner packets a policy is for, what protects them, and when links are given up.
 * Conditions of one kind are alternatives; of each kind that is given one must hold.
 */
#pragma once

#include "base/addr.h"

enum {
	QB_MATCH_PORTS_MAX = 16,
	QB_MATCH_PREFIXES_MAX = 8,
	QB_MATCH_MARKS_MAX = 8,
	QB_MATCH_ALL_MARKS_MAX = 16, /* different ones that packets in the tunnel are matched by */
};

/* A transport protocol, and ports of either end. */
struct qb_match_port {
	uint8_t proto; /* 0: any that has ports */
	bool has_port; /* else the whole protocol */
	uint16_t first, last;
};

/* A firewall mark. */
struct qb_match_mark {
	uint32_t value, mask;
};

/* qb_match_mark_find: where in a list; -1: not in it. */
static inline int qb_match_mark_find(const struct qb_match_mark *list, uint32_t cnt, const struct qb_match_mark *m)
{
	for (uint32_t i = 0; i < cnt; i++)
		if (list[i].value == m->value && list[i].mask == m->mask)
			return (int)i;
	return -1;
}

/* Forward error correction, as configured. */
enum qb_fec_mode { QB_FEC_INHERIT, QB_FEC_AUTO, QB_FEC_OFF, QB_FEC_FIXED };

struct qb_fec_want {
	enum qb_fec_mode mode; /* INHERIT, of a rule: the bond's */
	bool is_rs;	       /* fixed: Reed-Solomon, else XOR */
	uint8_t sources, repairs;
	uint8_t min_pct, max_pct; /* auto: repair symbols to packets; 0: QB_FEC_MIN_PCT, QB_FEC_MAX_PCT */
};

/* What auto may add, and what bounds of that may be. */
enum { QB_FEC_MIN_PCT = 2, QB_FEC_MAX_PCT = 50 };

/* What keeps to one path. */
enum qb_grain {
	QB_GRAIN_AUTO,	 /* flows that send little: to the quickest, unless another is clearly quicker; the others are striped */
	QB_GRAIN_PACKET, /* nothing: each packet goes where it arrives first */
	QB_GRAIN_FLOW,	 /* all flows */
};

/* When a link that has fallen silent is given up, and what it takes to be trusted again. 0: as measured. */
struct qb_fail_want {
	uint32_t mult;		       /* times the normal wait for an ACK */
	uint64_t min_ns, max_ns;       /* bounds of that */
	uint32_t recover_probes;       /* that must come back */
	uint64_t recover_max_ns;       /* the longest that a link which fails again and again must stay sound first */
};
/* qb_fail_want_is_crossed: the lower bound is above the upper one. */
static inline bool qb_fail_want_is_crossed(const struct qb_fail_want *w)
{
	return w->max_ns && w->min_ns > w->max_ns;
}

struct qb_match {
	uint64_t dscps; /* a bit each; 0: any */
	struct qb_match_port ports[QB_MATCH_PORTS_MAX];
	uint32_t port_cnt; /* 0: any */
	struct qb_prefix src[QB_MATCH_PREFIXES_MAX], dst[QB_MATCH_PREFIXES_MAX];
	uint32_t src_cnt, dst_cnt; /* 0: any */
	struct qb_match_mark marks[QB_MATCH_MARKS_MAX];
	uint32_t mark_cnt; /* 0: any */
	uint16_t mark_bits; /* in the tunnel: the same, as qb_buf's marks */
};
