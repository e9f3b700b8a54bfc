/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which small links hold enough for now; called by bond_tx.c for each packet of bulk and each pure
 * ACK, and for each packet of a call that leaves.
 *
 * In doubt bulk is carried. A link counts as small by its pacing rate: that is what it once proved to
 * carry, and is kept while the link idles; it is high while the rate is being found out. And what may
 * be in flight is never less than a round trip at that rate, and two packets: a link that was taken
 * for smaller than it is delivers more, and does not count as small any more.
 */
#include "bond/keep.h"

#include "bond/sched.h"

/* There are calls when so many of their packets leave in a second, and for some time after. */
#define CALLS_PKTS 10
#define CALLS_NS   (3 * QB_NS_PER_SEC)
/* A full packet takes such a link 2 ms or more. */
#define SMALL_BPS UINT64_C(6000000)
/* Calls do not take a path that is slower than the quickest by more than this, one way. */
#define NEAR_NS (15 * QB_NS_PER_MS)
/* An ACK that is later than this harms its flow more than the queue would. */
#define ACK_LAG_NS (50 * QB_NS_PER_MS)
/* QUIC, UDP and IP around a packet. */
#define OVERHEAD_BYTES 60

/* A queue of this length may stand in the link. */
#define WAIT_NS (6 * QB_NS_PER_MS)
/* Bulk is kept off a link only if the others carry this many times as much. */
#define OTHER_PARTS 10

void qb_keep_on_call(struct qb_keep *k, uint64_t now_ns)
{
	if (now_ns - k->begin_ns > QB_NS_PER_SEC) {
		k->begin_ns = now_ns;
		k->cnt = 0;
	}
	if (++k->cnt >= CALLS_PKTS)
		k->calls_ns = now_ns;
}

static bool is_small(const struct qb_path_view *v)
{
	return v->pacing_bps && v->pacing_bps <= SMALL_BPS;
}

/*
 * small_paths returns, a bit each, those that are small and about as quick as the quickest. None if
 * that one is not small itself, for then calls have it, or if there is no other path.
 */
static uint32_t small_paths(const struct qb_path_view *v, uint32_t n)
{
	const struct qb_path_view *quickest = NULL;
	uint32_t set = 0, usable = 0, i;

	for (i = 0; i < n; i++) {
		usable += v[i].is_usable;
		if (v[i].is_usable && v[i].min_rtt_ns &&
		    (!quickest || v[i].min_rtt_ns < quickest->min_rtt_ns))
			quickest = &v[i];
	}
	if (usable < 2 || !quickest || !is_small(quickest))
		return 0;
	for (i = 0; i < n; i++)
		if (v[i].is_usable && v[i].min_rtt_ns && is_small(&v[i]) &&
		    v[i].min_rtt_ns / 2 <= quickest->min_rtt_ns / 2 + NEAR_NS)
			set |= 1u << i;
	return set;
}

static uint64_t bytes_in(uint64_t rate_bps, uint64_t ns)
{
	return rate_bps / 8 * (ns / QB_NS_PER_US) / (QB_NS_PER_SEC / QB_NS_PER_US);
}

static bool is_full(const struct qb_path_view *v, uint32_t bytes)
{
	uint64_t wait_bytes = bytes_in(v->pacing_bps, WAIT_NS);

	return v->in_flight_bytes + bytes >=
	       bytes_in(v->pacing_bps, v->min_rtt_ns) +
		       qb_max_u64(wait_bytes, 2 * (bytes + OVERHEAD_BYTES));
}

static uint32_t full_paths(const struct qb_path_view *v, uint32_t n, uint32_t small, bool is_bulk,
			   uint32_t bytes)
{
	uint64_t all_bps = 0;
	uint32_t full = 0, i;

	for (i = 0; i < n; i++)
		if (v[i].is_usable)
			all_bps += qb_view_rate_bps(&v[i]);
	for (i = 0; i < n; i++)
		if (small >> i & 1 && (!is_bulk || v[i].pacing_bps * OTHER_PARTS <= all_bps) &&
		    is_full(&v[i], bytes))
			full |= 1u << i;
	return full;
}

/* is_free_elsewhere: another path takes the packet now, and is not much slower. */
static bool is_free_elsewhere(const struct qb_path_view *v, uint32_t n, uint32_t full,
			      uint32_t bytes)
{
	uint64_t least_ns = QB_NEVER_NS;
	uint32_t i;

	for (i = 0; i < n; i++)
		if (full >> i & 1)
			least_ns = qb_min_u64(least_ns, v[i].min_rtt_ns);
	for (i = 0; i < n; i++)
		if (!(full >> i & 1) && qb_view_can_send(&v[i], bytes) &&
		    v[i].min_rtt_ns / 2 <= least_ns / 2 + ACK_LAG_NS)
			return true;
	return false;
}

const struct qb_path_view *qb_keep_views(const struct qb_keep *k, const struct qb_path_view *v,
					 uint32_t n, bool is_bulk, uint32_t bytes,
					 struct qb_path_view room[QB_BOND_PATHS_MAX],
					 uint64_t now_ns)
{
	uint32_t small, full;

	if (!k->calls_ns || now_ns - k->calls_ns > CALLS_NS)
		return v;
	small = small_paths(v, n);
	full = small ? full_paths(v, n, small, is_bulk, bytes) : 0;
	if (!full || (!is_bulk && !is_free_elsewhere(v, n, full, bytes)))
		return v;
	memcpy(room, v, n * sizeof(*v));
	for (uint32_t i = 0; i < n; i++) {
		if (!(full >> i & 1))
			continue;
		room[i].budget_bytes = 0;
		/* Bulk may find it best to wait for it; an ACK goes at once. */
		room[i].is_usable = is_bulk;
	}
	return room;
}
