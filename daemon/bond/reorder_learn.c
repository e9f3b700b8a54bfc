/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the reorder buffer learns of paths: how far each trails the fastest, how much it reorders by
 * itself, and how long lost packets take to come again. From that follow the hold time and the
 * repair time. Called by reorder.c.
 */
#include "bond/reorder.h"

/* The resolution of the logs of sequence numbers over time. */
#define LOG_STEP_NS QB_NS_PER_MS

enum {
	LEARN_SAMPLES = 16,	     /* fewer do not count as known */
	TOLERANCE_DECAY_PKTS = 1024, /* after so many in order the tolerance falls by a quarter */
};

void qb_reorder_log_reached(struct qb_reorder *r, uint64_t now_ns)
{
	struct qb_reorder_mark *last;

	if (r->log_cnt) {
		last = &r->log[(r->log_first + r->log_cnt - 1) % QB_REORDER_LOG_LEN];
		if (now_ns < last->at_ns + LOG_STEP_NS) {
			/* All that arrives within a step counts as reached at its beginning. */
			last->seq = r->highest_seq;
			return;
		}
	}
	if (r->log_cnt == QB_REORDER_LOG_LEN) {
		r->log_first = (r->log_first + 1) % QB_REORDER_LOG_LEN;
		r->log_cnt--;
	}
	r->log[(r->log_first + r->log_cnt++) % QB_REORDER_LOG_LEN] =
		(struct qb_reorder_mark){.seq = r->highest_seq, .at_ns = now_ns};
}

/* reached_ns returns when a number at or above seq first arrived; the log is not empty. */
static uint64_t reached_ns(const struct qb_reorder *r, uint64_t seq)
{
	uint32_t low = 0, high = r->log_cnt - 1;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (r->log[(r->log_first + mid) % QB_REORDER_LOG_LEN].seq >= seq)
			high = mid;
		else
			low = mid + 1;
	}
	return r->log[(r->log_first + low) % QB_REORDER_LOG_LEN].at_ns;
}

/* learn_lateness: quick to rise, slow to fall, for a hold that is too short costs more than one too
 * long. */
static void learn_lateness(struct qb_reorder_path *p, uint64_t late_ns)
{
	if (late_ns > p->late_ns)
		p->late_ns += (late_ns - p->late_ns + 3) / 4;
	else
		p->late_ns -= (p->late_ns - late_ns) / 256;
	if (p->sample_cnt < LEARN_SAMPLES)
		p->sample_cnt++;
}

void qb_reorder_learn_path(struct qb_reorder *r, uint8_t path, uint64_t seq, uint64_t now_ns)
{
	struct qb_reorder_path *p = &r->paths[path % QB_BOND_PATHS_MAX];

	if (seq >= r->highest_seq || !r->log_cnt)
		learn_lateness(p, 0);
	else
		learn_lateness(p, qb_sub_sat_u64(now_ns, reached_ns(r, seq)));
	if (!p->is_known || seq > p->highest_seq) {
		p->highest_seq = seq;
		p->is_known = true;
		if (++p->in_order_cnt % TOLERANCE_DECAY_PKTS == 0)
			p->tolerance_pkts -= (p->tolerance_pkts + 3) / 4;
	} else if (p->highest_seq - seq <= QB_REORDER_TOLERANCE_MAX) {
		p->tolerance_pkts = QB_MAX(p->tolerance_pkts, (uint32_t)(p->highest_seq - seq));
	}
	p->last_rx_ns = now_ns;
}

/* passed_ns returns when every path had passed seq; 0: that is not known. */
static uint64_t passed_ns(const struct qb_reorder *r, uint64_t seq)
{
	uint32_t i;

	for (i = 0; i < r->passed_cnt; i++) {
		const struct qb_reorder_mark *m =
			&r->passed[(r->passed_first + i) % QB_REORDER_LOG_LEN];

		if (m->seq >= seq)
			return m->at_ns;
	}
	return 0;
}

void qb_reorder_learn_repair(struct qb_reorder *r, uint8_t path, uint64_t seq, uint64_t now_ns)
{
	uint64_t since_ns = passed_ns(r, seq), late_ns;

	r->repair_rx_seq = seq;
	r->repair_rx_ns = r->paths[path % QB_BOND_PATHS_MAX].repair_rx_ns = now_ns;
	if (seq > r->passed_seq)
		return;
	/* One for which it was not waited long enough raises the time as well. */
	late_ns = since_ns ? now_ns - since_ns : r->repair_ns;
	if (late_ns > r->repair_late_ns)
		r->repair_late_ns += (late_ns - r->repair_late_ns + 1) / 2;
	else
		r->repair_late_ns -= (r->repair_late_ns - late_ns) / 64;
	/* Packets that were lost together say no more than one of them does: the next loss may be
	 * repaired by another path, or be lost once more. */
	if (now_ns - r->counted_ns < r->repair_ns)
		return;
	r->counted_ns = now_ns;
	if (r->repair_cnt < LEARN_SAMPLES)
		r->repair_cnt++;
}

uint64_t qb_reorder_waits_from_ns(const struct qb_reorder *r, uint64_t missing_seq,
				  uint64_t since_ns)
{
	if (r->repair_rx_ns <= since_ns || r->repair_rx_seq >= missing_seq)
		return since_ns;
	return qb_min_u64(r->repair_rx_ns, since_ns + QB_REORDER_REPAIR_MAX_NS);
}

uint64_t qb_reorder_passed_due_ns(const struct qb_reorder *r)
{
	const struct qb_reorder_mark *m = &r->passed[r->passed_first];

	return r->passed_cnt ? qb_reorder_waits_from_ns(r, m->seq, m->at_ns) + r->repair_ns
			     : QB_NEVER_NS;
}

/*
 * repair_time_ns: how long after every path has passed a missing packet it may still arrive. Before
 * any retransmission was seen it is assumed to take the slowest path (any_rtt_ns), or to be lost
 * once more: to give up too early would end a flow's slow start.
 */
static uint64_t repair_time_ns(const struct qb_reorder *r, uint64_t rtt_ns, uint64_t any_rtt_ns)
{
	uint64_t learned_ns = r->repair_late_ns + r->repair_late_ns / 4 + QB_REORDER_HOLD_MIN_NS;
	uint64_t t_ns = rtt_ns;

	if (r->repair_cnt < LEARN_SAMPLES)
		t_ns = qb_max_u64(2 * rtt_ns, any_rtt_ns + any_rtt_ns / 2) +
		       QB_REORDER_REPAIR_MARGIN_NS;
	return qb_min_u64(qb_max_u64(learned_ns, t_ns), QB_REORDER_REPAIR_MAX_NS);
}

void qb_reorder_update_hold(struct qb_reorder *r, uint64_t now_ns)
{
	uint64_t late_ns = 0, rtt_ns = 0, any_rtt_ns = 0;
	uint32_t i;

	if (r->mode != QB_REORDER_AUTO)
		return;
	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		const struct qb_reorder_path *p = &r->paths[i];
		bool is_carrying = qb_reorder_is_carrying(r, p, now_ns);

		any_rtt_ns = qb_max_u64(any_rtt_ns, p->rtt_ns);
		if (is_carrying ||
		    (p->repair_rx_ns && now_ns - p->repair_rx_ns <= qb_reorder_idle_ns(r)))
			rtt_ns = qb_max_u64(rtt_ns, p->rtt_ns);
		if (!is_carrying)
			continue;
		late_ns = qb_max_u64(late_ns, p->late_ns);
		if (p->sample_cnt < LEARN_SAMPLES)
			late_ns = qb_max_u64(late_ns, QB_REORDER_HOLD_START_NS);
	}
	late_ns += late_ns / 4 + QB_REORDER_HOLD_MIN_NS;
	r->hold_ns = qb_min_u64(late_ns, QB_REORDER_HOLD_MAX_NS);
	r->repair_ns = rtt_ns ? repair_time_ns(r, rtt_ns, any_rtt_ns) : 0;
}

void qb_reorder_note_passed(struct qb_reorder *r, uint64_t seq, uint64_t now_ns)
{
	struct qb_reorder_mark *last;

	if (seq <= r->passed_seq)
		return;
	r->passed_seq = seq;
	last = &r->passed[(r->passed_first + r->passed_cnt - 1) % QB_REORDER_LOG_LEN];
	if (r->passed_cnt == QB_REORDER_LOG_LEN ||
	    (r->passed_cnt && now_ns < last->at_ns + LOG_STEP_NS)) {
		last->seq = seq;
		return;
	}
	r->passed[(r->passed_first + r->passed_cnt++) % QB_REORDER_LOG_LEN] =
		(struct qb_reorder_mark){.seq = seq, .at_ns = now_ns};
}

void qb_reorder_set_rtt(struct qb_reorder *r, uint8_t path, uint64_t rtt_ns)
{
	r->paths[path].rtt_ns = rtt_ns;
}

void qb_reorder_path_reset(struct qb_reorder *r, uint8_t path)
{
	memset(&r->paths[path], 0, sizeof(r->paths[path]));
}
