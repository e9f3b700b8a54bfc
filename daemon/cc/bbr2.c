/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BBRv2 (its authors' implementation for Linux, tcp_bbr2.c of v2alpha, whose constants these are;
 * draft-cardwell-iccrg-bbr-congestion-control-02 describes the machine): the same machine as BBRv3
 * (bbr3.c has its states) with other constants. Startup is 2.89 fast with as large a window and
 * ends after eight lossy ranges; Drain is its inverse, without a limit; DOWN is deeper, 0.75; UP
 * ends once 1.25 of the BDP is in flight, and there is no careful second probe.
 */
#include "cc/algorithms.h"
#include "cc/bbr.h"

static const struct qb_bbr_params params = {
	.pacing_gain = {[QB_BBR_STARTUP] = 2.89,
			[QB_BBR_DRAIN] = 1 / 2.89,
			[QB_BBR_DOWN] = 0.75,
			[QB_BBR_CRUISE] = 1,
			[QB_BBR_REFILL] = 1,
			[QB_BBR_UP] = 1.25,
			[QB_BBR_PROBE_RTT] = 1},
	.cwnd_gain = {[QB_BBR_STARTUP] = 2.89,
		      [QB_BBR_DRAIN] = 2.89,
		      [QB_BBR_DOWN] = 2,
		      [QB_BBR_CRUISE] = 2,
		      [QB_BBR_REFILL] = 2,
		      [QB_BBR_UP] = 2,
		      [QB_BBR_PROBE_RTT] = 0.5},
	.startup_full_loss_cnt = 8,
};

static void init(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns)
{
	qb_bbr_init(st, &params, cfg, now_ns);
}

const struct qb_cc qb_cc_bbr2 = {
	.name = "bbr2",
	.init = init,
	QB_BBR_HOOKS,
};
