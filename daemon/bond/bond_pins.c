/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grain = flow: each flow that sends much keeps to one path; called by bond_via.c, which has its packets wait for that.
 *
 * A flow gets the path that gives it most rate beside those that are there, each counted by how much of an equal share it
 * takes: acknowledgements hardly count. It goes on by another when its path has not carried data for a while, or when it would
 * get twice as much there; but not before it has been where it is for so long that its rate there says something, and one at
 * a time. Before flows have kept a path busy for a while, nobody knows what it can do: it is taken for as good as the best.
 */
#include "bond/internal.h"

/* A flow that was quiet for so long may go on by another path: nothing of it is under way. */
#define PIN_NS (2 * QB_NS_PER_SEC)
/* For so long a flow stays where it is, and counts in full; less where it could have a path for itself. */
#define GRACE_NS       (2 * QB_NS_PER_SEC)
#define GRACE_ALONE_NS (500 * QB_NS_PER_MS)
/* Between two flows that change their path: what they get there must show first. */
#define SETTLE_NS QB_NS_PER_SEC
/* Flows that keep a path busy for so long have shown what it can do. */
#define FILL_NS QB_NS_PER_SEC

/* A path that is only suspected of having died is back within that; meanwhile its flows go by any. */
#define GONE_NS QB_NS_PER_SEC

enum {
	WINDOW_SHIFT = 28, /* 268 ms */
	WHOLE = 256,	   /* a flow that takes its share */
};

/* How a path is shared. */
struct share {
	uint64_t bytes;
	uint32_t cnt, load; /* load: of flows, in 1/WHOLE */
};

static uint32_t window_of(uint64_t now_ns)
{
	return (uint32_t)(now_ns >> WINDOW_SHIFT);
}

static uint64_t lately(const struct qb_pin *pin, uint64_t now_ns)
{
	return qb_pin_lately(pin, window_of(now_ns));
}

static bool carries(const struct qb_bond *b, uint8_t path)
{
	return b->chosen >> path & 1;
}

/* is_pinned: the flow belongs to its path, also while that carries nothing for a moment. */
static bool is_pinned(const struct qb_bond *b, const struct qb_pin *pin)
{
	return pin->until_ns > b->now_ns && (carries(b, pin->path) || b->now_ns - b->pinning.gone_ns[pin->path] < GONE_NS);
}

/* load_of is how much of an equal share of its path a flow takes. */
static uint32_t load_of(const struct qb_bond *b, const struct qb_pin *pin, const struct share *share)
{
	uint64_t bytes = lately(pin, b->now_ns);

	if (b->now_ns - pin->since_ns < GRACE_ALONE_NS || bytes * share->cnt >= share->bytes)
		return WHOLE;
	return (uint32_t)(bytes * share->cnt * WHOLE / share->bytes);
}

static void share_out(const struct qb_bond *b, struct share shares[QB_BOND_PATHS_MAX])
{
	memset(shares, 0, QB_BOND_PATHS_MAX * sizeof(shares[0]));
	for (uint32_t i = 0; i < QB_PINS; i++) {
		const struct qb_pin *pin = &b->pins[i];

		if (!is_pinned(b, pin))
			continue;
		shares[pin->path].bytes += lately(pin, b->now_ns);
		shares[pin->path].cnt++;
	}
	for (uint32_t i = 0; i < QB_PINS; i++)
		if (is_pinned(b, &b->pins[i]))
			shares[b->pins[i].path].load += load_of(b, &b->pins[i], &shares[b->pins[i].path]);
}

static bool is_known(const struct qb_bond *b, uint32_t path)
{
	return b->pinning.filled_ns[path] && b->now_ns - b->pinning.filled_ns[path] >= FILL_NS;
}

/* grace_ns is how long a flow stays where it is, although it would be better off by a path with that load. */
static uint64_t grace_ns(uint32_t load)
{
	return load < WHOLE / 4 ? GRACE_ALONE_NS : GRACE_NS;
}

/* best_for returns the path that gives the packet's flow most; `pin`: what it has now, NULL: nothing. -1: none. */
static int best_for(const struct qb_bond *b, const struct qb_buf *buf, const struct qb_pin *pin, const struct qb_path_view *views,
		    uint32_t n)
{
	struct share shares[QB_BOND_PATHS_MAX];
	uint64_t most_bps = 0, best_bps = 0;
	int best = -1;

	share_out(b, shares);
	/* Who takes little of what it has would not take more elsewhere. */
	if (pin && load_of(b, pin, &shares[pin->path]) < WHOLE / 2)
		return pin->path;
	for (uint32_t i = 0; i < n; i++)
		if (views[i].is_usable)
			most_bps = qb_max_u64(most_bps, qb_view_rate_bps(&views[i]));
	for (uint32_t i = 0; i < n; i++) {
		uint64_t bps = is_known(b, i) ? qb_view_rate_bps(&views[i]) : most_bps;
		bool is_own = pin && pin->path == i;

		if (views[i].is_far || !qb_view_fits(&views[i], qb_bond_inner_len(buf)))
			continue;
		if (pin && !is_own && b->now_ns - pin->since_ns < grace_ns(shares[i].load))
			continue;
		bps = is_own ? 2 * bps * WHOLE / QB_MAX(shares[i].load, (uint32_t)WHOLE) : bps * WHOLE / (shares[i].load + WHOLE);
		if (bps <= best_bps)
			continue;
		best_bps = bps;
		best = (int)i;
	}
	return best;
}

/* may_move: it is time to look whether flows are spread well. Not while one of them waits for its path: it would be overtaken. */
static bool may_move(const struct qb_bond *b, const struct qb_pin *pin)
{
	return b->now_ns >= b->pinning.look_ns && b->now_ns - pin->since_ns >= GRACE_ALONE_NS &&
	       !(b->aside_set >> (QB_POLICY_RULES_MAX + pin->path) & 1);
}

static bool keeps(const struct qb_bond *b, const struct qb_buf *buf)
{
	return b->grain == QB_GRAIN_FLOW && buf->flags & QB_BUF_BULK;
}

int qb_bond_pin_path(const struct qb_bond *b, const struct qb_buf *buf)
{
	const struct qb_pin *pin = &b->pins[qb_pin_of(qb_bond_hash_of(buf))];

	if (b->grain != QB_GRAIN_FLOW)
		return qb_bond_remote_path(b, buf);
	return keeps(b, buf) && is_pinned(b, pin) && carries(b, pin->path) ? pin->path : -1;
}

int qb_bond_pin(struct qb_bond *b, const struct qb_buf *buf, const struct qb_path_view *views, uint32_t n)
{
	struct qb_pin *pin = &b->pins[qb_pin_of(qb_bond_hash_of(buf))];
	bool is_old;
	int path;

	if (b->grain != QB_GRAIN_FLOW)
		return qb_bond_remote_pin(b, buf, views, n);
	if (!keeps(b, buf))
		return -1;
	is_old = is_pinned(b, pin);
	if (is_old && (!carries(b, pin->path) || !may_move(b, pin))) {
		pin->until_ns = b->now_ns + PIN_NS;
		return qb_bond_pin_path(b, buf);
	}
	path = best_for(b, buf, is_old ? pin : NULL, views, n);
	if (path < 0)
		return -1;
	if (is_old)
		b->pinning.look_ns = b->now_ns + (path == pin->path ? SETTLE_NS / 16 : SETTLE_NS);
	if (!is_old || path != pin->path)
		*pin = (struct qb_pin){.path = (uint8_t)path, .since_ns = b->now_ns, .window = window_of(b->now_ns)};
	pin->until_ns = b->now_ns + PIN_NS;
	return path;
}

void qb_bond_pin_waits(struct qb_bond *b, uint8_t path)
{
	if (!b->pinning.filled_ns[path])
		b->pinning.filled_ns[path] = b->now_ns;
}

void qb_bond_pins_part(struct qb_bond *b, uint32_t gone)
{
	for (uint32_t i = 0; i < QB_BOND_PATHS_MAX; i++)
		if (gone >> i & 1)
			b->pinning.gone_ns[i] = b->now_ns;
}

void qb_bond_pin_sent(struct qb_bond *b, const struct qb_buf *buf, uint8_t path)
{
	struct qb_pin *pin = &b->pins[qb_pin_of(qb_bond_hash_of(buf))];

	if (b->grain != QB_GRAIN_FLOW)
		qb_bond_remote_sent(b, buf, path);
	else if (keeps(b, buf) && pin->path == path)
		qb_pin_count(pin, window_of(b->now_ns), qb_bond_inner_len(buf));
}

void qb_bond_set_grain(struct qb_bond *b, enum qb_grain grain)
{
	if (grain == QB_GRAIN_FLOW && b->grain != QB_GRAIN_FLOW) {
		memset(b->pins, 0, sizeof(b->pins));
		b->pinning = (struct qb_pinning){0};
	}
	if (grain != b->grain)
		b->remote.has_pins = false;
	b->grain = grain;
}
