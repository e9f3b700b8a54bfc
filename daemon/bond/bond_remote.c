/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remote paths: so far behind the quickest (a geostationary satellite beside LTE) that what is
 * striped over them waits longer than most flows take. Called by bond_tx.c, bond_links.c and
 * bond_pins.c, where the scheduler is auto. Nothing is striped over them; where one carries several
 * times as much as all near ones, everything goes there (sched.c).
 *
 * Else whole flows may: where several fill the near paths for long, each that would have more there
 * moves to a remote path and keeps to it. At first it has less, for its window is one for the near
 * paths and grows each round trip by little; the others have at once what it leaves, so that
 * together they have more from the start. The longer it takes to get back what it had, the longer
 * it must have lasted to move. Where the near paths have room again flows come back.
 *
 * It must be known what a remote path carries, and what is sent there to find out must not be
 * anybody's data: once the near paths have been full for a while, it is filled with padding until
 * its congestion control knows.
 */
#include "bond/internal.h"

/* A flow that stays with the near paths. */
#define HOME QB_BOND_PATHS_MAX
_Static_assert(HOME < 32, "no path of qb_queue.held_paths");

/* A flow wants more if its packets wait for so long. */
#define WANTS_NS (10 * QB_NS_PER_MS)
/* One that does not for so long, or is away and sends nothing, or lost its path, begins anew. */
#define KEEP_NS (2 * QB_NS_PER_SEC)
/* To move it must have wanted more for so long, and for so long a kbit/s that it had. */
#define LAST_MIN_NS	 (500 * QB_NS_PER_MS)
#define LAST_NS_PER_KBPS (500 * QB_NS_PER_US)
/* One that sends less, after it has been there for a while, does not fill any path. */
#define LITTLE_BPS    UINT64_C(100000)
#define LITTLE_FOR_NS (2 * QB_NS_PER_SEC)
/* Between two that move, and between two that come back: what others get then must show first. */
#define GO_NS	     (10 * QB_NS_PER_MS)
#define COME_NS	     QB_NS_PER_SEC
#define WINDOW_SHIFT 29 /* 0.54 s */

#define FULL_AFTER_NS	QB_NS_PER_SEC
#define FULL_MOST_NS	(2 * QB_NS_PER_SEC)
#define FULL_STEP_NS	(100 * QB_NS_PER_MS)
#define FULL_BACKLOG_NS (5 * QB_NS_PER_MS)

/* Its congestion control may have been told before to find out anew: that takes as long. */
#define FILL_RTTS     4
#define FILL_MOST_NS  (15 * QB_NS_PER_SEC)
#define FILL_AGAIN_NS (300 * QB_NS_PER_SEC)

/* Such links are paid by volume more often than others: what is found to be no better is asked half
 * as often each time. */
enum { FILL_CNT_MAX = 5 };

static bool is_remote(const struct qb_bond *b, uint32_t path)
{
	return b->tuning.outlook.remote >> path & 1;
}

static bool is_away(const struct qb_bond *b, const struct qb_pin *pin)
{
	return pin->until_ns > b->now_ns && pin->path < HOME;
}

static bool carries(const struct qb_bond *b, uint8_t path)
{
	return b->chosen >> path & 1 && is_remote(b, path);
}

/* ---- what flows and paths carry ---- */

static uint32_t window_of(uint64_t now_ns)
{
	return (uint32_t)(now_ns >> WINDOW_SHIFT);
}

/* bps_of is what was counted of late. */
static uint64_t bps_of(const struct qb_pin *pin, uint64_t now_ns)
{
	uint64_t span_ns =
		(now_ns & ((UINT64_C(1) << WINDOW_SHIFT) - 1)) + (UINT64_C(1) << WINDOW_SHIFT);

	return qb_pin_lately(pin, window_of(now_ns)) * 8 * QB_NS_PER_SEC / span_ns;
}

static uint64_t home_bps(const struct qb_bond *b, const struct qb_path_view *views, uint32_t n)
{
	uint64_t bps = 0;

	for (uint32_t i = 0; i < n; i++)
		if (views[i].is_usable && !views[i].is_far && !is_remote(b, i))
			bps += qb_view_rate_bps(&views[i]);
	return bps;
}

/* count_flows: by path, HOME for the near ones. */
static void count_flows(const struct qb_bond *b, uint32_t cnt[QB_BOND_PATHS_MAX + 1])
{
	memset(cnt, 0, (QB_BOND_PATHS_MAX + 1) * sizeof(cnt[0]));
	for (uint32_t i = 0; i < QB_PINS; i++)
		if (b->pins[i].until_ns > b->now_ns)
			cnt[b->pins[i].path]++;
}

/* ---- to move and to come back ---- */

/* place finds the path for a flow that wants more than it has at home. */
static uint8_t place(struct qb_bond *b, const struct qb_pin *pin, const struct qb_buf *buf,
		     const struct qb_path_view *views, uint32_t n)
{
	uint64_t lasts_ns = b->now_ns - pin->since_ns, best_bps;
	uint32_t cnt[QB_BOND_PATHS_MAX + 1];
	uint8_t best = HOME;

	if (b->now_ns < b->remote.go_ns || lasts_ns < LAST_MIN_NS)
		return HOME;
	b->remote.go_ns = b->now_ns + GO_NS;
	count_flows(b, cnt);
	best_bps = home_bps(b, views, n) / QB_MAX(cnt[HOME], 1u);
	if (cnt[HOME] < 2 || lasts_ns < best_bps / 1000 * LAST_NS_PER_KBPS)
		return HOME;
	for (uint8_t i = 0; i < n; i++) {
		uint64_t bps = qb_view_rate_bps(&views[i]) / (cnt[i] + 1);

		if (!carries(b, i) || !(b->tuning.known >> i & 1) ||
		    views[i].loss_ppm > 2 * QB_SCHED_LOSS_FREE_PPM ||
		    !qb_view_fits(&views[i], qb_bond_inner_len(buf)) || bps < best_bps)
			continue;
		best_bps = bps;
		best = i;
	}
	return best;
}

/* is_better_at_home: the near paths have room for more than the flow has where it is. */
static bool is_better_at_home(const struct qb_bond *b, const struct qb_pin *pin,
			      const struct qb_path_view *views, uint32_t n)
{
	uint64_t bps = bps_of(pin, b->now_ns), room_bps;

	if (b->now_ns - pin->since_ns >= LITTLE_FOR_NS && bps < LITTLE_BPS)
		return true;
	if (b->now_ns < b->remote.come_ns)
		return false;
	room_bps = home_bps(b, views, n) / 2;
	return bps_of(&b->remote.home, b->now_ns) < room_bps && bps < room_bps;
}

/* ---- a flow's packets ---- */

/* is_free: nobody but the bond says where it goes, and how soon. */
static bool is_free(const struct qb_bond *b, const struct qb_buf *buf)
{
	const struct qb_treatment *treat = qb_classes_treat(&b->classes, buf);
	enum qb_class class = qb_buf_class(buf);

	return (class == QB_CLASS_AUTO || class == QB_CLASS_BULK || class == QB_CLASS_BACKGROUND) &&
	       qb_bond_is_free(b, treat) && !(treat && treat->deadline_ns);
}

static bool may_move(const struct qb_bond *b, const struct qb_buf *buf)
{
	return b->tuning.outlook.remote & b->chosen && buf->flags & QB_BUF_BULK &&
	       buf->flags & QB_BUF_STREAM && is_free(b, buf);
}

bool qb_bond_remote_keeps(const struct qb_bond *b, uint32_t hash)
{
	const struct qb_pin *pin = &b->pins[qb_pin_of(hash)];

	return b->remote.has_pins && b->tuning.outlook.remote && b->grain == QB_GRAIN_AUTO &&
	       pin->flow == hash && is_away(b, pin);
}

int qb_bond_remote_path(const struct qb_bond *b, const struct qb_buf *buf)
{
	uint32_t hash = qb_bond_hash_of(buf);
	const struct qb_pin *pin = &b->pins[qb_pin_of(hash)];

	return qb_bond_remote_keeps(b, hash) && carries(b, pin->path) && may_move(b, buf)
		       ? pin->path
		       : -1;
}

/* change_path: where the flow goes from here on; a path, or HOME. */
static void change_path(struct qb_bond *b, struct qb_pin *pin, uint8_t path)
{
	*pin = (struct qb_pin){.flow = pin->flow,
			       .path = path,
			       .since_ns = b->now_ns,
			       .until_ns = b->now_ns + KEEP_NS};
	b->remote.come_ns = b->now_ns + COME_NS;
}

/* begin: most bonds have no remote path, and never touch that memory. */
static void begin(struct qb_bond *b)
{
	if (!b->remote.has_pins)
		memset(b->pins, 0, sizeof(b->pins));
	b->remote.has_pins = true;
}

int qb_bond_remote_pin(struct qb_bond *b, const struct qb_buf *buf,
		       const struct qb_path_view *views, uint32_t n)
{
	uint32_t hash = qb_bond_hash_of(buf);
	struct qb_pin *pin = &b->pins[qb_pin_of(hash)];
	uint8_t path;

	if (b->grain != QB_GRAIN_AUTO || !may_move(b, buf))
		return -1;
	begin(b);
	if (pin->until_ns <= b->now_ns)
		*pin = (struct qb_pin){.flow = hash, .path = HOME, .since_ns = b->now_ns};
	if (pin->flow != hash || (pin->path == HOME && b->now_ns - buf->rx_ns < WANTS_NS))
		return -1;
	if (pin->path < HOME && !carries(b, pin->path))
		return -1;
	pin->until_ns = b->now_ns + KEEP_NS;
	path = pin->path;
	if (path == HOME)
		path = place(b, pin, buf, views, n);
	else if (is_better_at_home(b, pin, views, n))
		path = HOME;
	if (path != pin->path)
		change_path(b, pin, path);
	return path < HOME ? path : -1;
}

void qb_bond_remote_sent(struct qb_bond *b, const struct qb_buf *buf, uint8_t path)
{
	uint32_t hash = qb_bond_hash_of(buf), window = window_of(b->now_ns);
	struct qb_pin *pin = &b->pins[qb_pin_of(hash)];

	if (!b->remote.has_pins || !b->tuning.outlook.remote)
		return;
	if (!is_remote(b, path)) {
		qb_pin_count(&b->remote.home, window, qb_bond_inner_len(buf));
	} else if (pin->flow == hash && pin->path == path) {
		qb_pin_count(pin, window, qb_bond_inner_len(buf));
		/* What its controller knows it goes on to know while it has something to carry. */
		if (b->tuning.known >> path & 1)
			b->tuning.growth[path].known_ns = b->now_ns;
	}
}

/* ---- to know what a remote path carries ---- */

void qb_bond_remote_look(struct qb_bond *b, uint64_t backlog_bytes, uint64_t rate_bps,
			 uint64_t now_ns)
{
	struct qb_remote *r = &b->remote;
	uint64_t span_ns = qb_min_u64(now_ns - r->seen_ns, FULL_STEP_NS);

	r->seen_ns = now_ns;
	r->all_bps = rate_bps;
	if (backlog_bytes * 8 * QB_NS_PER_SEC >= FULL_BACKLOG_NS * rate_bps)
		r->full_ns = qb_min_u64(r->full_ns + span_ns, FULL_MOST_NS);
	else
		r->full_ns = qb_sub_sat_u64(r->full_ns, span_ns);
}

/* again_ns: so long after it was last begun; where the others carry half of what they did, it may
 * be the better one by now. */
static uint64_t again_ns(const struct qb_remote *r, uint8_t path)
{
	if (r->all_bps < r->fill_bps[path] / 2)
		return FILL_AGAIN_NS;
	return FILL_AGAIN_NS << (QB_MAX(r->fill_cnt[path], 1) - 1);
}

/* A path that comes and goes is not filled more often than one that stays. */
void qb_bond_remote_reset(struct qb_bond *b, uint8_t path)
{
	b->remote.fill_cnt[path] = QB_MIN(b->remote.fill_cnt[path], 1);
}

bool qb_bond_remote_fill(struct qb_bond *b, uint8_t path, const struct qb_path_obs *o,
			 uint64_t now_ns)
{
	struct qb_remote *r = &b->remote;
	uint64_t since_ns = now_ns - r->filled_ns[path];

	if (!carries(b, path) || b->scheds[0].sched != &qb_sched_auto ||
	    b->tuning.known >> path & 1 || now_ns - r->seen_ns > QB_BOND_FILL_MS * QB_NS_PER_MS)
		return false;
	if (!r->filled_ns[path] || since_ns > again_ns(r, path)) {
		if (r->full_ns < FULL_AFTER_NS)
			return false;
		r->filled_ns[path] = now_ns;
		r->fill_bps[path] = r->all_bps;
		r->fill_cnt[path] = (uint8_t)QB_MIN(r->fill_cnt[path] + 1, (int)FILL_CNT_MAX);
		return true;
	}
	if (since_ns > FILL_MOST_NS || o->is_starting || since_ns < FILL_RTTS * o->srtt_ns)
		return since_ns <= FILL_MOST_NS;
	qb_tuning_found(&b->tuning, path, now_ns);
	return false;
}
