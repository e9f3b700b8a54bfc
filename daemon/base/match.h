/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which inner packets a policy is for, as conf/ reads it and bond/ looks for it. Conditions of one
 * kind are alternatives; of each kind that is given one must hold.
 */
#pragma once

#include "base/addr.h"

enum {
	QB_MATCH_PORTS_MAX = 16,
	QB_MATCH_PREFIXES_MAX = 8,
};

/* A transport protocol, and ports of either end. */
struct qb_match_port {
	uint8_t proto; /* 0: any that has ports */
	bool has_port; /* else the whole protocol */
	uint16_t first, last;
};

struct qb_match {
	uint64_t dscps; /* a bit each; 0: any */
	struct qb_match_port ports[QB_MATCH_PORTS_MAX];
	uint32_t port_cnt; /* 0: any */
	struct qb_prefix src[QB_MATCH_PREFIXES_MAX], dst[QB_MATCH_PREFIXES_MAX];
	uint32_t src_cnt, dst_cnt; /* 0: any */
};
