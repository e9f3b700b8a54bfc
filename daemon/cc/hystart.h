/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HyStart++ (RFC 9406): leave the first slow start when the round trip grows, by way of a few
 * rounds of conservative slow start. For controllers that have a slow start.
 */
#pragma once

#include "cc/cc.h"

struct qb_hystart {
	bool is_done, is_css;
	uint32_t css_rounds;
	uint32_t sample_cnt;
	uint64_t round_end_bytes; /* delivered_bytes at which the round is over */
	uint64_t last_min_rtt_ns, min_rtt_ns, css_baseline_ns;
};

enum qb_hystart_verdict {
	QB_HYSTART_GROW,     /* slow start */
	QB_HYSTART_GROW_CSS, /* a quarter of it */
	QB_HYSTART_EXIT,     /* to congestion avoidance, now */
};

void qb_hystart_init(struct qb_hystart *h);
/* qb_hystart_on_ack: the flight at the end of an ACK tells when the next round ends. */
enum qb_hystart_verdict qb_hystart_on_ack(struct qb_hystart *h, const struct qb_cc_ack *ev);
