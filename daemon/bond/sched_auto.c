/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The default scheduler: earliest expected arrival.
 *
 * A sparse packet (call, game, DNS, SYN) takes the path with the lowest delay; it waits there only
 * for the next pacing slot, and only if it still arrives earlier than by leaving at once elsewhere.
 *
 * Bulk takes the path on which it would arrive first, counting the wait for that path's next slot.
 * When that path is busy, a slower path that is free is used as soon as the backlog would keep the
 * faster ones busy for longer than the slower one lags behind: before that the flow would only wait
 * for its slowest packet, after that the slower path adds its whole rate. So the faster paths never
 * run dry because of the slower one, and the bond is never slower than they are alone. The AQM lets
 * such a backlog stand (tuning.c).
 *
 * Where the peer tells when packets arrive, delays are those of the forward path: for sparse packets
 * always, for bulk where they are far from half of the round trips. A flow's round trip is the
 * forward path that it takes and the quickest path back, which its ACKs take, not a path's own round
 * trip; and a delay-based sender (BBR) fits its window to the forward path of its first packets, so
 * the rest must not move to a slower one.
 *
 * Once used, a slower path stays in use without a backlog, for what the faster ones cannot take, as
 * long as bulk fills those. Delay-based senders (BBR, Copa, Vegas) take a backlog for congestion and
 * slow down until the faster paths are enough, far below what the bond has; without one they see a
 * steady delay, the slower path's. Loss-based senders have less delay as well. A path that loses
 * packets, or whose rate is still being found out, has to be worth it each time.
 */
#include "bond/sched.h"

/* Sparse flows change the path for a gain of more than this (or an eighth), not for noise. */
#define SPARSE_GAIN_MIN_NS QB_NS_PER_MS

#define STRIPE_WINDOW_NS (100 * QB_NS_PER_MS) /* over which bulk's rate is measured */
#define STRIPE_KEEP_NS	 QB_NS_PER_SEC	      /* a slower path stays in use after it helped */
#define STRIPE_KEEP_PCT	 90 /* bulk fills the faster paths with this part of their rate */

struct auto_state {
	uint8_t sparse_path; /* index + 1; 0 none */
	struct {
		uint64_t since_ns, bytes;
		uint64_t bps; /* in the window before */
	} bulk;
	uint64_t striped_until_ns[QB_BOND_PATHS_MAX]; /* until then a slower path stays in use */
};

_Static_assert(sizeof(struct auto_state) <= QB_SCHED_AUTO_BYTES, "others embed it");

static void auto_init(void *st)
{
	memset(st, 0, sizeof(struct auto_state));
}

struct estimate {
	uint64_t delay_ns, arrival_ns; /* from now on; arrival_ns with the wait for a slot */
	bool is_candidate, is_free;
};

static void estimate_all(const struct qb_path_view *v, uint32_t n, const struct qb_pkt_meta *pkt,
			 uint64_t now_ns, struct estimate *e)
{
	enum qb_delay_by by = qb_views_delay_by(v, n, pkt->is_sparse);
	uint32_t i;

	for (i = 0; i < n; i++) {
		e[i].is_candidate = qb_view_fits(&v[i], pkt->bytes);
		if (!e[i].is_candidate)
			continue;
		e[i].is_free = qb_view_can_send(&v[i], pkt->bytes);
		e[i].delay_ns = qb_view_delay_ns(&v[i], by);
		e[i].arrival_ns = e[i].delay_ns + qb_view_wait_ns(&v[i], pkt, now_ns);
	}
}

/* earliest returns the candidate that delivers first, or -1. must_be_free: that may send now. */
static int earliest(const struct estimate *e, uint32_t n, bool must_be_free)
{
	int best = -1;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (!e[i].is_candidate || (must_be_free && !e[i].is_free))
			continue;
		if (best < 0 || e[i].arrival_ns < e[best].arrival_ns)
			best = (int)i;
	}
	return best;
}

static int pick_sparse(struct auto_state *st, const struct qb_path_view *v, const struct estimate *e,
		       uint32_t n, const struct qb_pkt_meta *pkt)
{
	int best = earliest(e, n, false), last = (int)st->sparse_path - 1;

	if (best < 0)
		return QB_SCHED_WAIT;
	if (!pkt->is_loose && last >= 0 && (uint32_t)last < n && e[last].is_candidate) {
		uint64_t gain = e[last].arrival_ns - e[best].arrival_ns;
		/* One-way delays are differences: the quickest path's is 0. */
		uint64_t delay = qb_max_u64(e[last].delay_ns, v[last].min_rtt_ns / 2);

		if (gain <= qb_max_u64(SPARSE_GAIN_MIN_NS, delay / 8))
			best = last;
	}
	if (!e[best].is_free)
		return QB_SCHED_WAIT;
	st->sparse_path = (uint8_t)(best + 1);
	return best;
}

/* note_bulk measures the rate of what is striped. */
static void note_bulk(struct auto_state *st, uint32_t bytes, uint64_t now_ns)
{
	uint64_t span_ns = now_ns - st->bulk.since_ns;

	if (span_ns >= STRIPE_WINDOW_NS) {
		st->bulk.bps = st->bulk.bytes * 8 * QB_NS_PER_SEC / span_ns;
		st->bulk.since_ns = now_ns;
		st->bulk.bytes = 0;
	}
	st->bulk.bytes += bytes;
}

/* helps: a packet on path s now delays nothing: the faster paths are busy for as long as s lags, or
 * were, and have been full since. */
static bool helps(struct auto_state *st, const struct qb_path_view *v, const struct estimate *e, uint32_t n, int s,
		  int first, const struct qb_pkt_meta *pkt, uint64_t now_ns)
{
	uint64_t faster_bps = 0, busy_ns;
	bool is_striped = v[s].is_steady && now_ns < st->striped_until_ns[s], is_full;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (e[i].is_candidate && e[i].delay_ns < e[s].delay_ns)
			faster_bps += qb_view_rate_bps(&v[i]);
	}
	if (faster_bps == 0)
		return true;
	busy_ns = pkt->queued_bytes * 8 * QB_NS_PER_SEC / faster_bps;
	is_full = st->bulk.bps >= faster_bps / 100 * STRIPE_KEEP_PCT;
	if (e[s].arrival_ns <= e[first].arrival_ns + busy_ns || (is_striped && is_full)) {
		st->striped_until_ns[s] = now_ns + STRIPE_KEEP_NS;
		return true;
	}
	return is_striped;
}

static int pick_bulk(struct auto_state *st, const struct qb_path_view *v, struct estimate *e, uint32_t n,
		     const struct qb_pkt_meta *pkt, uint64_t now_ns)
{
	uint32_t i;
	int first, s;

	for (i = 0; i < n; i++)
		e[i].is_candidate = e[i].is_candidate && !v[i].is_far;
	first = earliest(e, n, false);
	if (first < 0 || e[first].is_free)
		return first < 0 ? QB_SCHED_WAIT : first;
	s = earliest(e, n, true);
	return s >= 0 && helps(st, v, e, n, s, first, pkt, now_ns) ? s : QB_SCHED_WAIT;
}

static int auto_pick(void *st, const struct qb_path_view *v, uint32_t n,
		     const struct qb_pkt_meta *pkt, uint64_t now_ns)
{
	struct estimate e[QB_BOND_PATHS_MAX];
	int path;

	estimate_all(v, n, pkt, now_ns, e);
	if (pkt->is_sparse)
		return pick_sparse(st, v, e, n, pkt);
	path = pick_bulk(st, v, e, n, pkt, now_ns);
	if (path >= 0)
		note_bulk(st, pkt->bytes, now_ns);
	return path;
}

const struct qb_sched qb_sched_auto = {
	.name = "auto",
	.state_bytes = sizeof(struct auto_state),
	.init = auto_init,
	.pick = auto_pick,
};
