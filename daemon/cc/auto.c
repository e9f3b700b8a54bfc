/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The default of every link: BBRv3 (bbr3.c has the states) guided by delay (bbr_guide.c). A choice between controllers by what a
 * link looks like was weighed and measured, and is not made: on each sort of link that a site has, this one is at least
 * as fast as the best of the others that keep the queue short, so there is nothing to switch to, and a switch would forget
 * the model. What it does differently from BBRv3, and what tests/unit/test_cc_*.c hold it to (utilisation, mean queue;
 * BBRv3 in parentheses):
 *
 *     50 Mbit/s, 30 ms                             99 %, 0.3 ms (97 %, 2 ms)
 *     20 Mbit/s, 60 ms, buffer of 4 s              99 %, 0.8 ms (97 %, 4 ms; CUBIC 2000 ms)
 *     10 Mbit/s, 600 ms                            98 %, 16 ms (90 %, 115 ms)
 *     20 Mbit/s, 60 ms, 1 % and 5 % random loss    96 %, 86 % (84 %, 16 %; CUBIC 10 %, 4 %)
 *     the delay jumps by 25 ms each 15 s           98 %, 0.8 ms (96 %, 5 ms)
 *     a cell whose rate wanders, 4 to 50 Mbit/s    92 %, 12 ms (96 %, 79 ms; CUBIC 100 %, 363 ms)
 *     two flows of a kind, 50 Mbit/s, 40 ms        28 and 22 Mbit/s, 10 ms (28 and 21, 38 ms)
 *     beside one CUBIC, buffers of 0.5 to 4 BDP    34 to 57 % of the link (51 to 69 %)
 *
 * The phase in the view has the reason in it: "lossy" while loss is taken for noise, "yielding" while a queue is drained.
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
	.state_bytes = sizeof(struct qb_bbr),
	.init = init,
	.on_sent = qb_bbr_on_sent,
	.on_ack = qb_bbr_on_ack,
	.on_loss = qb_bbr_on_loss,
	.on_ecn = qb_bbr_on_ecn,
	.on_spurious = qb_bbr_on_spurious,
	.view = qb_bbr_view,
};
