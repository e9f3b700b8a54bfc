/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The default of every link: BBRv3 (bbr3.c has the states) guided by delay (bbr_guide.c), random
 * loss (bbr_noise.c) and marks (bbr_marks.c). It does not choose among controllers by what a link
 * looks like, for none is better on one sort of link without being worse on the next. Copa uses 70 %
 * of a link where the delay steps or a radio has slots, and loses a fifth of its packets at a policer;
 * BBRv1 makes queues where the rate varies; BBRv2 and BBRv3 lose most of their rate at 5 % loss;
 * CUBIC at 1 %, and it makes seconds of queue in a modem. And a switch would forget the model.
 *
 * Utilisation and mean queue, and in brackets those of BBRv3, by `make bench-cc`
 * (docs/congestion.md has all figures):
 *
 *     300 Mbit/s, 16 ms                            99 %, 0.3 ms (97 %, 1 ms)
 *     20 Mbit/s, 60 ms, buffer of 4 s              99 %, 0.9 ms (97 %, 4 ms; CUBIC 2700 ms)
 *     20 Mbit/s, 600 ms                            98 %, 14 ms (91 %, 108 ms)
 *     20 Mbit/s, 60 ms, 1 % random loss            96 % (86 %; CUBIC 10 %)
 *     30 Mbit/s, 80 ms, jitter, 0.5 % loss         95 %, 9 ms (87 %, 22 ms; CUBIC 5 %)
 *     the delay jumps by 50 ms each 15 s           99 %, 0.7 ms (92 %, 3 ms)
 *     a cell whose rate varies, 4 to 50 Mbit/s     90 %, 9 ms (95 %, 90 ms; CUBIC 100 %, 580 ms)
 *     beside one CUBIC, buffers of 0.5 to 4 BDP    36 to 63 % of the link (52 to 70 %)
 *
 * The view's `why` says in words what is made of the path (qb_bbr_guide_why), its phase in short:
 * "lossy" while loss is taken for random, "yielding" while a queue is drained.
 */
#include "cc/algorithms.h"
#include "cc/bbr.h"

static const struct qb_bbr_params params = {
	.pacing_gain = {[QB_BBR_STARTUP] = 2.77,
			[QB_BBR_DRAIN] = 0.5,
			[QB_BBR_DOWN] = 0.8,
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
	.is_guided = true,
};

static void init(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns)
{
	qb_bbr_init(st, &params, cfg, now_ns);
}

const struct qb_cc qb_cc_auto = {
	.name = "auto",
	.init = init,
	QB_BBR_HOOKS,
};
