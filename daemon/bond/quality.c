/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Link quality: fed by qb_bond_observe (acknowledgement totals) and qb_bond_pick (bytes), read by
 * qb_bond_link_info and, for the loss, by the schedulers.
 */
#include "bond/quality.h"

#include "bond/sched.h"

#define BUCKET_NS (QB_NS_PER_SEC / QB_QUALITY_BUCKETS)
/*
 * A link that carries nothing is forgiven its losses over time, to get another chance. The first
 * one comes soon, for the losses may have been a short buffer's that overflowed in slow start or
 * when the rate fell; whether it loses for good, the next time shows.
 */
#define FORGIVE_FIRST_NS (500 * QB_NS_PER_MS)
#define FORGIVE_HALF_NS	 (15 * QB_NS_PER_SEC)
/* A loss rate that counts against a link: if it loses as much after its next chance, that is a
 * relapse. */
#define BAD_LOSS 0.02
/* A span over which loss is measured has at least so many packets, and takes at least so long. */
#define SPAN_PKTS 64
#define SPAN_NS	  (200 * QB_NS_PER_MS)
/* In so many spans the losses of slow start are not held against a link. */
#define START_SPANS 10
/* A link that loses carries next to nothing: a span as long as this with less loss counts, too. */
#define TRICKLE_NS QB_NS_PER_SEC
/* So much in each of so many spans is no queue that overflows: no controller takes longer to back
 * off. */
#define RUIN_LOSS  0.2
#define RUIN_SPANS 2
/* Each relapse doubles the time to the next chance, so many times at most. */
#define RELAPSES_MAX 3
/* Of how many packets it is said why they left here. */
#define WHY_PKTS 64

void qb_quality_reset(struct qb_quality *q)
{
	memset(q, 0, sizeof(*q));
}

static uint64_t forgive_half_ns(const struct qb_quality *q)
{
	return q->relapse_cnt ? FORGIVE_HALF_NS << (q->relapse_cnt - 1) : FORGIVE_FIRST_NS;
}

static void forgive(struct qb_quality *q, uint64_t span_ns)
{
	uint64_t half_ns = forgive_half_ns(q);

	for (; span_ns > half_ns && q->steady_loss > 0; span_ns -= half_ns)
		q->steady_loss /= 2;
	q->steady_loss /= 1.0 + (double)span_ns / (double)half_ns;
}

/* span_range returns the smallest and the greatest loss of the last n spans. */
static void span_range(const struct qb_quality *q, uint32_t n, double *least, double *most)
{
	*least = 1;
	*most = 0;
	for (uint32_t i = 1; i <= n; i++) {
		double loss = q->span_loss[(q->span_cnt - i) % QB_QUALITY_SPANS];

		*least = QB_MIN(*least, loss);
		*most = QB_MAX(*most, loss);
	}
}

/* by_loss lists the spans, those that lost least first. */
static void by_loss(const struct qb_quality *q, uint32_t order[QB_QUALITY_SPANS])
{
	for (uint32_t i = 0; i < QB_QUALITY_SPANS; i++) {
		uint32_t at = i;

		for (; at > 0 && q->span_loss[order[at - 1]] > q->span_loss[i]; at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
}

/*
 * usual_loss: the least of a few samples underestimates, most of all where few packets go by and
 * now and then none of them is lost. So the spans are added up from the best one on, as long as the
 * next is within three standard deviations (of a Poisson variable) of what is to be expected, which
 * a queue that overflowed is not. A link on which every other span loses nothing has no steady
 * loss.
 */
static double usual_loss(const struct qb_quality *q)
{
	uint32_t order[QB_QUALITY_SPANS], best;
	double pkts, lost;

	by_loss(q, order);
	best = order[0];
	if (q->span_cnt < QB_QUALITY_SPANS || q->span_loss[order[QB_QUALITY_SPANS / 2]] <= 0)
		return q->span_loss[best];
	pkts = q->span_pkts[best];
	lost = pkts * q->span_loss[best];
	for (uint32_t i = 1; i < QB_QUALITY_SPANS; i++) {
		double more_pkts = q->span_pkts[order[i]],
		       more = more_pkts * q->span_loss[order[i]];
		double due = more_pkts * (lost + more) / (pkts + more_pkts);

		if (more > due && (more - due) * (more - due) > 9 * due)
			break;
		pkts += more_pkts;
		lost += more;
	}
	return lost / pkts;
}

/*
 * note_relapse counts how often a link got another chance and lost about as much again. Without a chance before, more loss is
 * the same event: an overflow that goes on while the controller backs off.
 */
static void note_relapse(struct qb_quality *q, double before, double most)
{
	if (q->steady_loss >= BAD_LOSS) {
		if (q->is_bad && before < q->bad_loss / 2 && before < q->steady_loss / 2) {
			q->relapse_cnt = QB_MIN(q->relapse_cnt + 1, (uint32_t)RELAPSES_MAX);
			q->bad_loss = 0;
		}
		q->bad_loss = QB_MAX(q->bad_loss, q->steady_loss);
		q->is_bad = true;
	} else if (most < BAD_LOSS) {
		q->is_bad = false;
		q->bad_loss = 0;
		q->relapse_cnt = 0;
	}
}

/*
 * judge computes the steady loss from the spans, the last of which lost so much. For a link that was ruined before one span is
 * enough. A span that lost less than is held against the link does not bring back what it was forgiven.
 */
static void judge(struct qb_quality *q, double loss)
{
	double least, most, ruin, before = q->steady_loss;

	span_range(q, q->is_ruined ? 1 : RUIN_SPANS, &ruin, &most);
	span_range(q, QB_QUALITY_SPANS, &least, &most);
	q->steady_loss = usual_loss(q);
	if (loss <= before)
		q->steady_loss = QB_MIN(q->steady_loss, before);
	/* At first, slow start may overflow a short buffer for two spans. */
	if (ruin >= RUIN_LOSS && q->span_cnt > QB_QUALITY_SPANS) {
		q->is_ruined = true;
		q->steady_loss = ruin;
	} else if (most < RUIN_LOSS) {
		q->is_ruined = false;
	}
	note_relapse(q, before, most);
}

/* take_start: the losses of the span that ends may be slow start's; that is allowed START_SPANS
 * times. */
static bool take_start(struct qb_quality *q)
{
	bool is_due = q->is_span_starting && q->start_span_cnt < START_SPANS;

	q->start_span_cnt += is_due;
	q->is_span_starting = false;
	return is_due;
}

/* end_span closes the present span if it is long enough. */
static void end_span(struct qb_quality *q, uint64_t srtt_ns, uint64_t now_ns)
{
	uint64_t n = q->span_acked + q->span_lost, span_ns = now_ns - q->span_start_ns, bps;
	double loss = (double)q->span_lost / (double)n;

	if (n < SPAN_PKTS &&
	    !(q->steady_loss >= BAD_LOSS && loss < q->steady_loss && span_ns >= TRICKLE_NS))
		return;
	if (span_ns < qb_max_u64(SPAN_NS, srtt_ns))
		return;
	bps = (uint64_t)((double)q->span_tx_bytes * (1 - loss) * 8e9 / (double)span_ns);
	q->span_acked = q->span_lost = q->span_tx_bytes = 0;
	q->span_start_ns = now_ns;
	if (loss < q->steady_loss) {
		forgive(q, span_ns);
		/* That a small rate gets through says little: a policer lets it pass, too. */
		if (bps < q->lossy_bps / 2)
			return;
	}
	q->lossy_bps = loss * 1e6 > QB_SCHED_LOSS_FREE_PPM ? bps : 0;
	if (take_start(q))
		loss = QB_MIN(loss, RUIN_LOSS / 2);
	q->span_pkts[q->span_cnt % QB_QUALITY_SPANS] = (uint32_t)n;
	q->span_loss[q->span_cnt++ % QB_QUALITY_SPANS] = loss;
	judge(q, loss);
}

void qb_quality_observe(struct qb_quality *q, const struct qb_path_obs *obs, uint64_t now_ns)
{
	uint64_t acked = qb_sub_sat_u64(obs->acked_packets, q->acked_packets);
	uint64_t lost = qb_sub_sat_u64(obs->lost_packets, q->lost_packets), n = acked + lost;
	uint64_t span_ns = qb_sub_sat_u64(now_ns, q->observed_ns);

	q->jitter_ns = obs->rttvar_ns;
	if (n == 0 && span_ns < FORGIVE_HALF_NS / 64)
		return;
	q->acked_packets = obs->acked_packets;
	q->lost_packets = obs->lost_packets;
	q->observed_ns = now_ns;
	if (n == 0) {
		double x = (double)span_ns / (double)FORGIVE_HALF_NS;

		q->loss /= 1.0 + QB_MIN(x, 1.0);
		forgive(q, span_ns);
		return;
	}
	if (q->span_acked + q->span_lost == 0)
		q->span_start_ns = now_ns;
	q->span_acked += acked;
	q->span_lost += lost;
	q->is_span_starting |= obs->is_starting;
	end_span(q, obs->srtt_ns, now_ns);
	q->loss += ((double)lost / (double)n - q->loss) *
		   ((double)n / (double)(n + QB_QUALITY_LOSS_MEMORY_PKTS));
}

void qb_quality_skip(struct qb_quality *q, const struct qb_path_obs *obs, uint64_t now_ns)
{
	q->acked_packets = obs->acked_packets;
	q->lost_packets = obs->lost_packets;
	q->observed_ns = now_ns;
}

static void roll(struct qb_quality *q, uint64_t epoch)
{
	uint64_t gone = epoch - q->tx_epoch;

	if (gone >= QB_QUALITY_BUCKETS) {
		memset(q->tx_bytes, 0, sizeof(q->tx_bytes));
	} else {
		while (gone--)
			q->tx_bytes[(epoch - gone) % QB_QUALITY_BUCKETS] = 0;
	}
	q->tx_epoch = epoch;
}

void qb_quality_on_sent(struct qb_quality *q, uint32_t bytes, uint64_t now_ns)
{
	uint64_t epoch = now_ns / BUCKET_NS;

	if (epoch > q->tx_epoch)
		roll(q, epoch);
	q->tx_bytes[q->tx_epoch % QB_QUALITY_BUCKETS] += bytes;
	q->span_tx_bytes += bytes;
}

void qb_quality_add_why(struct qb_quality *q, enum qb_sent_why why)
{
	q->is_told = false;
	for (uint32_t i = QB_SENT_CHOSEN + 1; i < QB_SENT_WHY_CNT; i++) {
		q->why_parts[i] = (uint16_t)(q->why_parts[i] - q->why_parts[i] / WHY_PKTS + (why == i ? UINT16_MAX / WHY_PKTS : 0));
		q->is_told |= q->why_parts[i] >= WHY_PKTS;
	}
}

uint64_t qb_quality_tx_bytes(const struct qb_quality *q, uint64_t now_ns)
{
	uint64_t epoch = now_ns / BUCKET_NS, sum = 0;
	uint32_t i;

	for (i = 0; i < QB_QUALITY_BUCKETS; i++) {
		/* The bucket of epoch tx_epoch - i counts if that lies within the last second. */
		if (q->tx_epoch < i || q->tx_epoch - i + QB_QUALITY_BUCKETS <= epoch)
			break;
		sum += q->tx_bytes[(q->tx_epoch - i) % QB_QUALITY_BUCKETS];
	}
	return sum;
}
