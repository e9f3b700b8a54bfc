/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The default of every link: BBRv3 (bbr3.c has the states) guided by delay (bbr_guide.c). A choice
 * between controllers by what a link looks like was weighed and measured, and is not made. What
 * another one does better on one sort of link, it pays for on the next: Copa with 70 % of the link
 * where the delay steps or a radio has slots, and a fifth of its packets at a policer; BBRv1 with
 * queues where the rate wanders; BBRv2 and BBRv3 with a rate in ruins at 5 % loss; CUBIC with
 * that at 1 % and with seconds of queue in a modem. And a switch would forget the model. `make
 * bench-cc` has the figures, docs/congestion.md a table of them. In short, utilisation and mean
 * queue of this one (of BBRv3):
 *
 *     300 Mbit/s, 16 ms                            99 %, 0.3 ms (97 %, 1 ms)
 *     20 Mbit/s, 60 ms, buffer of 4 s              99 %, 0.9 ms (97 %, 4 ms; CUBIC 2700 ms)
 *     20 Mbit/s, 600 ms                            98 %, 14 ms (91 %, 108 ms)
 *     20 Mbit/s, 60 ms, 1 % random loss            96 % (86 %; CUBIC 10 %)
 *     30 Mbit/s, 80 ms, jitter, 0.5 % loss         95 %, 9 ms (87 %, 22 ms; CUBIC 5 %)
 *     the delay jumps by 50 ms each 15 s           99 %, 0.7 ms (92 %, 3 ms)
 *     a cell whose rate wanders, 4 to 50 Mbit/s    91 %, 14 ms (95 %, 90 ms; CUBIC 100 %, 580 ms)
 *     beside one CUBIC, buffers of 0.5 to 4 BDP    41 to 73 % of the link (49 to 72 %)
 *
 * The view says why in words (qb_bbr_guide_why), and its phase has it in short: "lossy" while loss
 * is taken for noise, "yielding" while a queue is drained.
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
	.is_starting = qb_bbr_is_starting,
};
