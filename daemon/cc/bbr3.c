/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BBRv3 (draft-ietf-ccwg-bbr-06): the constants of its machine, which is in bbr.c, bbr_phase.c and
 * bbr_loss.c.
 *
 *     Startup    doubles the rate each round until it stops growing for three, or losses or marks
 *                say enough
 *     Drain      half the rate until no more than the BDP is in flight, three rounds at most
 *     DOWN       0.9 of the rate until the queue is gone and there is room below inflight_longterm
 *     CRUISE     the rate; losses lower the short-term bounds; for 2 to 3 s or 63 rounds
 *     REFILL     the rate for a round, short-term bounds forgotten
 *     UP         1.25 of the rate until it stops growing or the losses pass 2 %
 *     ProbeRTT   half the BDP for 200 ms if there was no new minimum RTT for 5 s
 *
 * Its authors' tcp_bbr.c (v3) for Linux differs from the draft in Drain, 1/2.885, and DOWN, 0.91.
 */
#include "cc/algorithms.h"
#include "cc/bbr.h"

static const struct qb_bbr_params params = {
	.pacing_gain = {[QB_BBR_STARTUP] = 2.77,
			[QB_BBR_DRAIN] = 0.5,
			[QB_BBR_DOWN] = 0.9,
			[QB_BBR_CRUISE] = 1,
			[QB_BBR_REFILL] = 1,
			[QB_BBR_UP] = 1.25,
			[QB_BBR_PROBE_RTT] = 1},
	.cwnd_gain = {[QB_BBR_STARTUP] = 2,
		      [QB_BBR_DRAIN] = 2,
		      [QB_BBR_DOWN] = 2,
		      [QB_BBR_CRUISE] = 2,
		      [QB_BBR_REFILL] = 2,
		      [QB_BBR_UP] = 2.25,
		      [QB_BBR_PROBE_RTT] = 0.5},
	.startup_full_loss_cnt = 6,
	.drain_max_rounds = 3,
	.is_up_until_full = true,
	.is_precautionary = true,
};

static void init(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns)
{
	qb_bbr_init(st, &params, cfg, now_ns);
}

const struct qb_cc qb_cc_bbr3 = {
	.name = "bbr3",
	.init = init,
	QB_BBR_HOOKS,
};
