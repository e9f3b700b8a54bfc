/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AQM of a flow queue: CoDel (RFC 8289), which marks where it can and drops else, with a
 * shallow threshold for L4S flows (RFC 9332). Called by queue.c for each packet that leaves.
 */
#include "bond/codel.h"

#include "base/ip_ecn.h"

enum {
	MTU_BYTES = 1514,
	/* Signals for which a flow's answer is waited for, before the control law alone decides. */
	PATIENT_SIGNALS = 16,
	/* A flow with this part of all that is queued is one of those that fill the queue. */
	FAT_SHARE = 8,
};

/* A packet that waited for so long did so through an outage. */
#define STALE_NS (5 * QB_NS_PER_SEC)

/*
 * foresee: a packet was queued long ago, in terms of the cache. The next one's headers are read at
 * the next turn, and others written in front of them; where those of the one behind it lie is known
 * by then.
 */
static void foresee(const struct qb_buf *next)
{
	qb_prefetch(next->data - 1);
	qb_prefetch(next->data);
	if (next->next)
		qb_buf_foresee(next->next);
}

struct qb_buf *qb_codel_take_plain(struct qb_queue *q, struct qb_queue_flow *f)
{
	struct qb_buf *b = f->head;

	if (!b)
		return NULL;
	f->head = b->next;
	if (f->head)
		foresee(f->head);
	else
		f->tail = NULL;
	b->next = NULL;
	q->backlog_bytes[qb_queue_idx_of(q, f)] -= b->len;
	q->bytes -= b->len;
	q->pkts--;
	return b;
}

void qb_codel_drop(struct qb_queue *q, struct qb_buf *b)
{
	qb_count(q->counters, QB_CNT_DROP_QUEUE);
	if (q->meter)
		qb_meter_on_drop(q->meter, (uint32_t)b->meta);
	qb_buf_put(q->pool, b);
}

/* mark sets CE if the packet is ECN-capable. */
static bool mark(struct qb_queue *q, struct qb_buf *b)
{
	if (!qb_ip_mark_ce(b->data))
		return false;
	qb_count(q->counters, QB_CNT_ECN_MARKED);
	if (q->meter)
		qb_meter_on_mark(q->meter, (uint32_t)b->meta);
	return true;
}

/* ---- CoDel, RFC 8289 §5 ---- */

static uint32_t isqrt_u64(uint64_t x)
{
	uint64_t root = 0, bit = UINT64_C(1) << 62;

	while (bit > x)
		bit >>= 2;
	for (; bit; bit >>= 2) {
		if (x >= root + bit) {
			x -= root + bit;
			root = (root >> 1) + bit;
		} else {
			root >>= 1;
		}
	}
	return (uint32_t)root;
}

/*
 * control_law_ns is interval / sqrt(cnt), but for the first signals not less than it takes until
 * the flow's answer shows here: its packets wait in this queue of their own first. A flow that does
 * not answer gets signals at the full rate.
 */
static uint64_t control_law_ns(const struct qb_queue *q, uint64_t t_ns, uint32_t cnt,
			       uint64_t sojourn_ns)
{
	/* In fixed point, with eight bits after the point. */
	uint64_t step_ns = (q->interval_ns << 8) / isqrt_u64((uint64_t)cnt << 16);

	if (cnt <= PATIENT_SIGNALS)
		step_ns = qb_max_u64(step_ns, sojourn_ns + q->rtt_ns);
	return t_ns + step_ns;
}

/*
 * is_flooding: the queues are half full, and much of that is this flow's. It is better to signal
 * one flow now than to drop blindly soon.
 */
static bool is_flooding(const struct qb_queue *q, const struct qb_queue_flow *f)
{
	return q->pkts >= q->cap_pkts / 2 &&
	       (uint64_t)q->backlog_bytes[qb_queue_idx_of(q, f)] * FAT_SHARE >= q->bytes;
}

/*
 * is_overdue: packets have waited for longer than the target for a whole interval. A queue that
 * grows far beyond that within an interval is a flow in slow start: it is signalled at once, for
 * each round trip without a signal doubles its excess.
 */
static bool is_overdue(const struct qb_queue *q, struct qb_queue_flow *f, const struct qb_buf *b,
		       uint64_t now_ns)
{
	uint64_t waited_ns = b ? qb_sub_sat_u64(now_ns, b->rx_ns) : 0;

	if (b && f->head && (waited_ns >= q->ramp_ns || is_flooding(q, f)))
		return true;
	if (waited_ns < q->target_ns || q->backlog_bytes[qb_queue_idx_of(q, f)] <= MTU_BYTES) {
		f->first_above_ns = 0;
		return false;
	}
	if (f->first_above_ns == 0) {
		f->first_above_ns = now_ns + q->interval_ns;
		return false;
	}
	return now_ns >= f->first_above_ns;
}

/* signal_congestion marks the packet, or drops it and takes the next. */
static struct qb_buf *signal_congestion(struct qb_queue *q, struct qb_queue_flow *f,
					struct qb_buf *b)
{
	if (mark(q, b))
		return b;
	qb_codel_drop(q, b);
	return qb_codel_take_plain(q, f);
}

static void enter_dropping(struct qb_queue *q, struct qb_queue_flow *f, uint64_t sojourn_ns,
			   uint64_t now_ns)
{
	uint32_t delta = f->drop_cnt - f->last_drop_cnt;
	bool was_recent = now_ns < f->drop_next_ns + 16 * q->interval_ns;

	/* Soon after the last time, continue at the rate that worked then. */
	f->is_dropping = true;
	f->drop_cnt = delta > 1 && was_recent ? delta : 1;
	f->drop_next_ns = control_law_ns(q, now_ns, f->drop_cnt, sojourn_ns);
	f->last_drop_cnt = f->drop_cnt;
}

/*
 * mark_l4s: ECT(1) says that the sender answers each mark by a little (RFC 9331), so it is marked
 * from a short wait on, at once, and never dropped as a signal (RFC 9332, here with a queue for
 * each flow).
 */
static void mark_l4s(struct qb_queue *q, struct qb_buf *b, uint64_t sojourn_ns)
{
	if (sojourn_ns > q->shallow_ns)
		mark(q, b);
}

/*
 * take_fresh drops what waited through an outage: its sender has sent it again since, or nobody
 * wants it any more. The flow's last packet leaves all the same, so that the far end answers and
 * the flow goes on at once, but not if it is past its deadline.
 */
static struct qb_buf *take_fresh(struct qb_queue *q, struct qb_queue_flow *f, uint64_t now_ns)
{
	struct qb_buf *b = qb_codel_take_plain(q, f);

	while (b && qb_queue_has_deadlines(q) && qb_classes_due_ns(q->classes, b) < now_ns) {
		qb_count(q->counters, QB_CNT_DROP_LATE);
		qb_buf_put(q->pool, b);
		b = qb_codel_take_plain(q, f);
	}
	while (b && f->head && qb_sub_sat_u64(now_ns, b->rx_ns) > STALE_NS) {
		qb_codel_drop(q, b);
		b = qb_codel_take_plain(q, f);
	}
	return b;
}

struct qb_buf *qb_codel_take(struct qb_queue *q, struct qb_queue_flow *f, uint64_t now_ns)
{
	struct qb_buf *b = take_fresh(q, f, now_ns);
	uint64_t sojourn_ns = b ? qb_sub_sat_u64(now_ns, b->rx_ns) : 0;
	bool is_late;

	if (b && qb_ip_ecn(b->data) == QB_ECN_ECT1) {
		mark_l4s(q, b, sojourn_ns);
		return b;
	}
	is_late = is_overdue(q, f, b, now_ns);
	if (!f->is_dropping) {
		if (is_late) {
			b = signal_congestion(q, f, b);
			is_overdue(q, f, b, now_ns);
			enter_dropping(q, f, sojourn_ns, now_ns);
		}
		return b;
	}
	if (!is_late) {
		f->is_dropping = false;
		return b;
	}
	while (b && f->is_dropping && now_ns >= f->drop_next_ns) {
		struct qb_buf *marked = b;

		f->drop_cnt++;
		b = signal_congestion(q, f, b);
		f->drop_next_ns = control_law_ns(q, f->drop_next_ns, f->drop_cnt, sojourn_ns);
		if (b == marked)
			break;
		if (!is_overdue(q, f, b, now_ns))
			f->is_dropping = false;
	}
	return b;
}
