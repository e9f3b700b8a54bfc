/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random loss, for auto.c: loss without a queue that does not grow when we send faster is the
 * radio's, and no congestion. A policer or a short buffer drops without much of a queue, too, but
 * in proportion to the excess, so it does not pass.
 *
 * The loss rate of a probe (what is sent above the path's rate) is compared with that of quiet
 * times, in which no queue is seen. Called by the other bbr_*.c files; says no to versions that are
 * not guided.
 */
#include "cc/bbr.h"

#include <math.h>

enum {
	JUDGE_PKTS = 64, /* fewer packets say nothing of a loss rate */
};

/* Parts of what is sent, 0 to 1. */
static const double NOISE_VISIBLE = 0.002; /* worth a word to the user */
static const double NOISE_MAX = 0.1;	   /* no link worth bonding loses more at random */
static const double PROBE_MARGIN = 0.01;   /* by which a probe may lose more than twice as much */

uint64_t qb_bbr_noise_bytes(const struct qb_bbr *b, uint64_t of_bytes)
{
	double pkts = b->noise.loss * (double)of_bytes / b->mss_bytes;

	/* The mean and two deviations of it, for losses come in lumps. */
	return b->noise.loss > 0 ? (uint64_t)((pkts + 2 * sqrt(pkts)) * b->mss_bytes) : 0;
}

bool qb_bbr_noise_is_policed(const struct qb_bbr *b, uint64_t lost_bytes, uint64_t of_bytes)
{
	return b->par->is_guided && (double)lost_bytes > NOISE_MAX * (double)of_bytes;
}

bool qb_bbr_noise_is_lossy(const struct qb_bbr *b)
{
	return b->noise.loss > NOISE_VISIBLE;
}

/* is_quiet: no queue is seen on either way. A way back that is busy may drop what it carries. */
static bool is_quiet(const struct qb_bbr *b)
{
	return !qb_bbr_guide_has_queue(b) && !qb_bbr_guide_has_rtt_queue(b);
}

bool qb_bbr_noise_explains_round(const struct qb_bbr *b)
{
	uint64_t round_bytes = b->noise.round_lost_bytes + b->loss.inflight_latest_bytes;

	return b->par->is_guided && is_quiet(b) && !b->loss.ce_pkts &&
	       b->noise.round_lost_bytes <= qb_bbr_noise_bytes(b, round_bytes);
}

static bool is_probe_feedback(const struct qb_bbr *b)
{
	return b->probe.acks == QB_BBR_ACKS_PROBE_FEEDBACK ||
	       b->probe.acks == QB_BBR_ACKS_PROBE_STOPPING;
}

static bool is_quiet_feedback(const struct qb_bbr *b)
{
	return b->probe.acks == QB_BBR_ACKS_INIT && b->full.is_reached && is_quiet(b);
}

void qb_bbr_noise_on_ack(struct qb_bbr *b, const struct qb_cc_ack *rs)
{
	if (is_probe_feedback(b))
		b->noise.up_acked_bytes += rs->acked_bytes;
	else if (is_quiet_feedback(b))
		b->noise.quiet_acked_bytes += rs->acked_bytes;
}

void qb_bbr_noise_on_loss(struct qb_bbr *b, uint64_t lost_bytes)
{
	b->noise.round_lost_bytes += lost_bytes;
	if (is_probe_feedback(b))
		b->noise.up_lost_bytes += lost_bytes;
	else if (is_quiet_feedback(b))
		b->noise.quiet_lost_bytes += lost_bytes;
}

/* take_loss computes a loss rate and starts over; false: there are too few packets for one. */
static bool take_loss(const struct qb_bbr *b, uint64_t *acked_bytes, uint64_t *lost_bytes,
		      double *loss)
{
	uint64_t all_bytes = *acked_bytes + *lost_bytes;

	if (all_bytes < JUDGE_PKTS * (uint64_t)b->mss_bytes)
		return false;
	*loss = (double)*lost_bytes / (double)all_bytes;
	*acked_bytes = *lost_bytes = 0;
	return true;
}

void qb_bbr_noise_on_probe_end(struct qb_bbr *b)
{
	struct qb_bbr_noise *s = &b->noise;
	double up_loss;

	if (!b->par->is_guided)
		return;
	take_loss(b, &s->quiet_acked_bytes, &s->quiet_lost_bytes, &s->quiet_loss);
	if (!take_loss(b, &s->up_acked_bytes, &s->up_lost_bytes, &up_loss))
		return;
	if (up_loss > 2 * s->quiet_loss + PROBE_MARGIN || s->quiet_loss > NOISE_MAX)
		s->loss /= 2;
	else
		s->loss += (s->quiet_loss - s->loss) / 2;
}
